# %% [markdown]
# # Gradient doctor
#
# Put `examine(model, loss)` in the place of `loss.backward()` for one step. It
# runs the backward pass, leaves the gradients as `backward()` would, and tells
# for each parameter what is wrong with its gradient:
# `print(report(examine(model, loss)))`.
#
# Run as a program, it examines networks with planted bugs on scikit-learn's
# digits.
#
# ```console
# $ python gradients.py
# $ python gradients.py --case deep --plot gradients.png
# ```

# %%
"""Gradient doctor: what is wrong with the gradient of each parameter."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## What can be wrong
#
# The tape says whether a path leads from the loss to a parameter. A second
# backward pass, from the loss times 4096, says which zeros were too small for
# their dtype: those that are zero no longer.


# %%
KINDS = {
    "cut off": "no path leads from the loss to it: it was not used, or "
    "detach, no_grad, item or a comparison ended the path",
    "missing": "a path leads to it, but an operation on it returned None",
    "frozen": "it requires no gradient, and no step will move it",
    "frozen late": "it requires no gradient, but holds one, and the next "
    "step of an optimizer will move it",
    "leftover": "a gradient was there before, and this one was added to it: "
    "call zero_grad(), unless you collect the parts of a batch",
    "not finite": "it holds inf or nan: no step may follow",
    "exploding": "it is very large",
    "zero": "all of it is 0: a dead activation, or a step function",
    "underflow": "numbers became 0 that are not 0 with a larger loss: "
    "scale the loss, or use a dtype with more bits",
    "vanishing": "it is too small to move anything",
}
"""What `examine` finds, and what each finding means."""

SCALE = 2.0**12
"""The loss is multiplied by it to find what underflows."""


@dataclass(frozen=True)
class Row:
    """What `examine` says about a parameter."""

    name: str
    """As in `named_parameters`."""
    shape: tuple[int, ...]
    dtype: torch.dtype
    size: float | None
    """The norm of the gradient of this loss, or None if there is none."""
    findings: dict[str, str] = field(default_factory=dict)
    """Some of `KINDS`, each with what was measured; empty if all is well."""


# %% [markdown]
# ## The examination


# %%
def reachable(loss: Tensor) -> set[int]:
    """The ids of the leaves that paths of the tape lead to from the loss.

    Args:
        loss: A tensor, the end of a tape or not.
    """
    if loss.grad_fn is None:
        return {id(loss)} if loss.requires_grad else set()
    found, seen, waiting = set(), {loss.grad_fn}, [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        for below, _ in node.next_functions:
            if below is not None and below not in seen:
                seen.add(below)
                waiting.append(below)
    return found


def values(gradient: Tensor) -> Tensor:
    """The numbers in a gradient that is dense or sparse."""
    gradient = gradient.detach()
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def magnitudes(gradient: Tensor | None) -> Tensor | None:
    """The sizes of the numbers in a gradient, of rank 1 and dtype float64."""
    if gradient is None:
        return None
    return values(gradient).abs().cpu().double().flatten()


def held(gradient: Tensor | None) -> float:
    """The norm of a gradient that is there, and 0 without one."""
    found = magnitudes(gradient)
    return 0.0 if found is None else found.norm().item()


def culprit(loss: Tensor, parameters: dict[str, Tensor]) -> str:
    """The operation whose backward step made the first nan, or nothing."""
    with warnings.catch_warnings(action="ignore"):
        try:
            with torch.autograd.set_detect_anomaly(True):
                gradients(loss, parameters)
        except RuntimeError as error:
            match = re.search(r"Function '(\w+)' returned nan", str(error))
            return match[1] if match else ""
    return ""


def examine(
    model: nn.Module, loss: Tensor, large: float = 1e3, small: float = 1e-9
) -> list[Row]:
    """Run `loss.backward()` and tell what is wrong with the gradients.

    Afterwards each `grad` is as `loss.backward()` leaves it, and the tape is
    freed. Before that, the tape is walked two or three times, so hooks on
    tensors run as often. A loss without a tape is not an error here: all
    parameters are cut off then.

    Args:
        model: The module whose parameters are examined.
        loss: One number of any rank, straight from a forward pass.
        large: The norm of a gradient from which on it explodes.
        small: How large the largest number of a gradient has to be, so that
            it does not vanish.

    Returns:
        A row for each parameter, in the order of `named_parameters`.

    Raises:
        ValueError: if the loss is not a tensor of one floating number, or the
            model has no parameters.
        RuntimeError: if the tape cannot be walked more than once, in torch's
            words: it was freed already, or a compiled model made it.
    """
    if not isinstance(loss, Tensor):
        kind = type(loss).__name__
        raise ValueError(f"the loss is a tensor, not {kind}: leave out item()")
    if loss.numel() != 1:
        raise ValueError(
            f"the loss is one number, not of shape {tuple(loss.shape)}: "
            "take its mean"
        )
    if not loss.is_floating_point():
        raise ValueError(f"the loss is a float, not {loss.dtype}")
    named = dict(model.named_parameters())
    if not named:
        raise ValueError(f"{type(model).__name__} has no parameters")
    paths = reachable(loss)
    before = {name: held(parameter.grad) for name, parameter in named.items()}
    trained = {name: p for name, p in named.items() if p.requires_grad}
    fresh: dict[str, Tensor] = {}
    larger: dict[str, Tensor] = {}
    origin = ""
    if loss.requires_grad:
        if trained:
            fresh = gradients(loss, trained)
            larger = gradients(loss, trained, SCALE)
        if any(values(gradient).isnan().any() for gradient in fresh.values()):
            origin = culprit(loss, trained)
        loss.backward()
    rows = []
    for name, parameter in named.items():
        size = magnitudes(fresh.get(name))
        found = findings(
            trained=parameter.requires_grad,
            path=id(parameter) in paths,
            before=before[name],
            sizes=size,
            larger=magnitudes(larger.get(name)),
            origin=origin,
            large=large,
            small=small,
        )
        rows.append(
            Row(
                name,
                tuple(parameter.shape),
                parameter.dtype,
                None if size is None else size.norm().item(),
                dict(found),
            )
        )
    return rows


def gradients(
    loss: Tensor, parameters: dict[str, Tensor], scale: float = 1.0
) -> dict[str, Tensor]:
    """The gradients of the loss times `scale`, of those that get one.

    The tape is kept, and `grad` stays as it is.
    """
    found = torch.autograd.grad(
        loss,
        list(parameters.values()),
        torch.full_like(loss, scale),
        allow_unused=True,
        retain_graph=True,
    )
    pairs = zip(parameters, found, strict=True)
    return {name: grad for name, grad in pairs if grad is not None}


def findings(
    *,
    trained: bool,
    path: bool,
    before: float,
    sizes: Tensor | None,
    larger: Tensor | None,
    origin: str,
    large: float,
    small: float,
) -> Iterator[tuple[str, str]]:
    """What is wrong with one gradient, and what was measured.

    Args:
        trained: Whether the parameter requires a gradient.
        path: Whether the tape leads to it.
        before: The norm of the gradient that was there.
        sizes: Those of the numbers in its gradient.
        larger: The same with the loss times `SCALE`.
        origin: The operation that made the first nan, if it is known.
        large: From which norm on it explodes.
        small: Below which largest number it vanishes.
    """
    if not trained:
        late = ("frozen late", f"norm {before:.1e}")
        yield late if before else ("frozen", "")
        return
    if before:
        yield "leftover", f"norm {before:.1e}"
    if sizes is None:
        yield ("missing" if path else "cut off"), ""
        return
    if not len(sizes):
        return
    if bad := int((~sizes.isfinite()).sum()):
        first = f", first in {origin}" if origin else ""
        yield "not finite", f"{bad} of {len(sizes)}{first}"
        return
    lost = 0
    if larger is not None and len(larger) == len(sizes):
        lost = int(((sizes == 0) & (larger > 0) & larger.isfinite()).sum())
    if lost:
        yield "underflow", f"{lost} of {len(sizes)}"
    if sizes.norm() > large:
        yield "exploding", f"norm above {large:g}"
    elif not lost and not sizes.any():
        yield "zero", ""
    elif not lost and sizes.max() < small:
        yield "vanishing", f"none above {sizes.max():.1e}"


# %% [markdown]
# ## A table and a picture


# %%
def report(rows: Sequence[Row]) -> str:
    """The rows as a table, and below it what the findings mean."""
    table = [["parameter", "shape", "dtype", "gradient", "finding"]]
    for row in rows:
        words = [f"{k} ({v})" if v else k for k, v in row.findings.items()]
        shape = " x ".join(map(str, row.shape)) or "one number"
        dtype = str(row.dtype).removeprefix("torch.")
        size = "none" if row.size is None else f"{row.size:.1e}"
        table.append([row.name, shape, dtype, size, ", ".join(words) or "ok"])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    found = {kind for row in rows for kind in row.findings}
    lines += [f"{kind}: {KINDS[kind]}" for kind in KINDS if kind in found]
    return "\n".join(lines)


def draw(rows: Sequence[Row]) -> Figure:
    """Draw a bar per parameter: the norm of its gradient, and what is wrong.

    Args:
        rows: From `examine`, at least one.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, place = plt.subplots(
        figsize=(8, 0.28 * len(rows) + 1.2), layout="constrained"
    )
    drawn = [row.size or 0.0 for row in rows]
    sizes = [size if 0 < size < float("inf") else 0.0 for size in drawn]
    least = min([size for size in sizes if size], default=1.0) / 10
    colors = ["C1" if row.findings else "C0" for row in rows]
    spots = list(range(len(rows)))
    place.barh(
        spots,
        [max(size, least) - least for size in sizes],
        left=least,
        color=colors,
    )
    place.set_yticks(spots, [row.name for row in rows])
    place.set_xscale("log")
    for spot, row in zip(spots, rows, strict=True):
        words = " " + ", ".join(row.findings)
        right = max(sizes[spot], least)
        place.text(right, spot, words, va="center", fontsize="small")
    place.margins(x=0.3, y=0.02)
    place.set_xlim(left=least)
    place.invert_yaxis()
    place.set_xlabel("norm of the gradient")
    return figure


# %% [markdown]
# ## Planted bugs
#
# Each case makes a network for the digits with one bug in it, and a loss. The
# findings it should lead to stand in `CASES`.


# %%
@dataclass(frozen=True)
class Digits:
    """Pictures of digits."""

    pictures: Tensor
    """Of shape `(N, 64)` and dtype float32, values from 0 to 1."""
    labels: Tensor
    """Of shape `(N,)` and dtype int64."""


def load(device: torch.device, count: int = 300) -> Digits:
    """The first digits of scikit-learn."""
    from sklearn.datasets import load_digits

    pixels, shown = map(torch.tensor, load_digits(return_X_y=True))
    pictures = pixels[:count].float() / 16
    return Digits(pictures.to(device), shown[:count].to(device))


class Net(nn.Module):
    """Three layers, and between them what `change` does to their output."""

    def __init__(
        self, change: Callable[[Tensor], Tensor] = torch.relu
    ) -> None:
        super().__init__()
        self.first = nn.Linear(64, 32)
        self.middle = nn.Linear(32, 32)
        self.head = nn.Linear(32, 10)
        self.change = change

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores of shape `(N, 10)` for pictures of shape `(N, 64)`."""
        hidden = self.change(self.first(pictures))
        return self.head(torch.relu(self.middle(hidden)))


class Stack(nn.Sequential):
    """Many layers, each followed by the same activation function."""

    def __init__(
        self, depth: int, activation: type[nn.Module], deviation: float = 0.0
    ) -> None:
        layers = [nn.Linear(64, 64) for _ in range(depth)]
        for layer in layers if deviation else ():
            nn.init.normal_(layer.weight, std=deviation)
        parts = [part for layer in layers for part in (layer, activation())]
        super().__init__(*parts, nn.Linear(64, 10))


class Forgets(torch.autograd.Function):
    """A product with a vector whose rule returns no gradient for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        """Multiply each row of `x`, `(N, D)`, by `scale`, `(D,)`."""
        ctx.save_for_backward(scale)
        return x * scale

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None]:
        """The gradient of `x`, and none of `scale`."""
        return incoming * ctx.saved_tensors[0], None


# %%
def loss_of(model: nn.Module, digits: Digits) -> Tensor:
    """The cross-entropy of a model."""
    return F.cross_entropy(model(digits.pictures), digits.labels)


def build_healthy(digits: Digits) -> tuple[nn.Module, Tensor]:
    """Nothing is wrong."""
    model = Net().to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_unused(digits: Digits) -> tuple[nn.Module, Tensor]:
    """A layer is made and never called."""
    model = Net()
    model.spare = nn.Linear(32, 32)
    model.to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_detached(digits: Digits) -> tuple[nn.Module, Tensor]:
    """detach() stands behind the first layer."""
    model = Net(lambda hidden: hidden.detach()).to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_item(digits: Digits) -> tuple[nn.Module, Tensor]:
    """The loss went through item()."""
    model, loss = build_healthy(digits)
    return model, torch.tensor(loss.item())


def build_missing(digits: Digits) -> tuple[nn.Module, Tensor]:
    """A rule of our own returns None for one of its inputs."""
    scale = nn.Parameter(torch.ones(32))
    model = Net(lambda hidden: Forgets.apply(hidden, model.scale))
    model.scale = scale
    model.to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_rounded(digits: Digits) -> tuple[nn.Module, Tensor]:
    """round() stands behind the first layer."""
    model = Net(torch.round).to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_dead(digits: Digits) -> tuple[nn.Module, Tensor]:
    """A bias of -100 makes every input of a relu negative."""
    model = Net()
    nn.init.constant_(model.middle.bias, -100)
    model.to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_nan(digits: Digits) -> tuple[nn.Module, Tensor]:
    """where() hides the root of a negative number."""
    model = Net(lambda hidden: torch.where(hidden > 0, hidden.sqrt(), 0.0))
    model.to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_deep(digits: Digits) -> tuple[nn.Module, Tensor]:
    """Twenty layers with sigmoid."""
    model = Stack(20, nn.Sigmoid).to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_wild(digits: Digits) -> tuple[nn.Module, Tensor]:
    """Ten layers with weights of a deviation of 0.7."""
    model = Stack(10, nn.ReLU, 0.7).to(digits.pictures.device)
    return model, loss_of(model, digits)


def build_half(digits: Digits) -> tuple[nn.Module, Tensor]:
    """Five layers with sigmoid in float16."""
    model = Stack(5, nn.Sigmoid).to(digits.pictures.device).half()
    half = Digits(digits.pictures.half(), digits.labels)
    return model, loss_of(model, half)


def build_leftover(digits: Digits) -> tuple[nn.Module, Tensor]:
    """zero_grad() was forgotten after a step."""
    model, loss = build_healthy(digits)
    loss.backward()
    return model, loss_of(model, digits)


def build_frozen(digits: Digits) -> tuple[nn.Module, Tensor]:
    """The layer in the middle is frozen."""
    model = Net().to(digits.pictures.device)
    model.middle.requires_grad_(False)
    return model, loss_of(model, digits)


def build_late(digits: Digits) -> tuple[nn.Module, Tensor]:
    """The first layer is frozen between backward() and zero_grad()."""
    model, loss = build_healthy(digits)
    loss.backward()
    model.middle.zero_grad()
    model.head.zero_grad()
    model.first.requires_grad_(False)
    return model, loss_of(model, digits)


CASES: dict[str, Callable[[Digits], tuple[nn.Module, Tensor]]] = {
    name.removeprefix("build_"): value
    for name, value in list(globals().items())
    if name.startswith("build_")
}
"""The planted bugs: each makes a model and a loss, and says what is wrong."""


def build(case: str, seed: int, device: torch.device) -> list[Row]:
    """Plant a bug and examine it.

    Args:
        case: One of `CASES`.
        seed: Decides the weights that the network starts with.
        device: Where it runs.
    """
    torch.manual_seed(seed)
    return examine(*CASES[case](load(device)))


# %% [markdown]
# ## On the command line


# %%
def summary(rows: Sequence[Row]) -> str:
    """Each finding with the names of its parameters, a line each."""
    lines = []
    for kind in KINDS:
        names = [row.name for row in rows if kind in row.findings]
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            lines.append(f"    {kind}: {', '.join(names[:4])}{more}")
    return "\n".join(lines) or "    ok"


def whole_number(text: str, name: str) -> int:
    """Read a whole number of at most 18 digits.

    Raises:
        ValueError: if it is none.
    """
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise ValueError(f"{name} is a whole number from 0, not {text!r}")
    return int(text)


def device_from(name: str) -> torch.device:
    """The device of that name; `auto` is the accelerator, or else the CPU.

    Raises:
        ValueError: if this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    found = [accelerator] if accelerator else []
    found.append(torch.device("cpu"))
    for device in found:
        if name in ("auto", device.type):
            return device
    here = " and ".join(device.type for device in reversed(found))
    raise ValueError(f"this machine has no {name}: it has {here}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Find planted bugs in the gradients of networks."
    )
    parser.add_argument(
        "--case",
        default="all",
        metavar="NAME",
        help=f"one of {', '.join(CASES)} (default: all)",
    )
    parser.add_argument(
        "--seed", default="0", help="decides the first weights (default: 0)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw the size of each gradient; needs a --case",
    )
    options = parser.parse_args(arguments)
    try:
        if options.case not in ("all", *CASES):
            raise ValueError(
                f"no case {options.case!r}: choose of all, {', '.join(CASES)}"
            )
        if options.plot and options.case == "all":
            raise ValueError("--plot draws one network: add a --case")
        seed = whole_number(options.seed, "--seed")
        device = device_from(options.device)
        if options.case != "all":
            rows = build(options.case, seed, device)
            if options.plot:
                draw(rows).savefig(options.plot)
            print(CASES[options.case].__doc__)
            print(report(rows))
        else:
            for case, plant in CASES.items():
                print(f"{case}: {plant.__doc__}")
                print(summary(build(case, seed, device)))
    except (ValueError, OSError) as error:
        print(f"gradients.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, two cases
        cpu = torch.device("cpu")
        print(report(build("nan", 0, cpu)))
        draw(build("deep", 0, cpu))
    else:
        sys.exit(main())
