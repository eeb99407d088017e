# %% [markdown]
# # Tape viewer
#
# It shows what `backward` will walk along: the nodes behind a loss, the leaves
# that will get a gradient, and the places where the tape ends, with the line
# of code that cut it. Models on digits are built in. A function of yours that
# returns a loss is read from a file, and run.
#
# ```console
# $ python tape.py --model cut
# $ python tape.py --file train.py:loss --plot tape.svg
# ```

# %%
"""Tape viewer: the nodes behind a loss, its leaves, and where it was cut."""

from __future__ import annotations

import argparse
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, resolve_name

if TYPE_CHECKING:
    from types import FrameType

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# %% [markdown]
# ## Who saw what was cut
#
# A tape holds what was recorded and nothing else. Where it ends, it has a
# `None`, be it for data, for a frozen weight or for a weight that a `detach`
# took away. `Watch` sees each call of torch while the loss is computed, and
# remembers where the numbers came from that the tape does not know.


# %%
@dataclass(frozen=True)
class Cut:
    """A call that took numbers off the tape."""

    call: str
    """Its name, like `detach`, and `under no_grad` if that was on."""
    line: int
    """The line that called it; 0 if no line of Python did."""
    code: str
    """What stands on that line."""

    def __str__(self) -> str:
        return f"{self.call} in line {self.line}, {self.code}"


@dataclass(frozen=True)
class Past:
    """Where the numbers of a tensor come from, on the tape or off it."""

    leaves: frozenset[int] = frozenset()
    """The ids of all leaves that require a gradient."""
    frozen: frozenset[int] = frozenset()
    """The ids of all parameters that do not."""
    cuts: tuple[Cut, ...] = ()
    """The cuts on the way, the first one first."""


NUMBERS = {"item", "tolist", "numpy", "__float__", "__array__", "__complex__"}
"""Methods of a tensor that return its numbers as something else."""
TORCH = str(Path(torch.__file__).parent)


class Watch(TorchFunctionMode):
    """See every call of torch, and remember what the tape does not.

    Use it as `with Watch() as watched:` around the computation of the loss.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[Any, list[Any]] = {}
        """For each node what went in without being recorded."""
        self._past: dict[int, Past] = {}
        self._memory: dict[int, Past] = {}  # what arrays of NumPy share
        self._kept: list[Any] = []  # so that an id stays what it is

    def past(self, thing: Any) -> Past:
        """Where a tensor, an array or a number comes from."""
        if id(thing) in self._past:
            return self._past[id(thing)]
        if not isinstance(thing, Tensor) or not thing.is_leaf:
            return Past()
        self._kept.append(thing)
        if thing.requires_grad:  # it may be frozen or not at the next call
            return Past(leaves=frozenset([id(thing)]))
        if isinstance(thing, nn.Parameter):
            return Past(frozen=frozenset([id(thing)]))
        return self._memory.get(address(thing), Past())

    def _remember(self, thing: Any, past: Past) -> None:
        self._past[id(thing)] = past
        self._kept.append(thing)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Let a call of torch happen, and remember what came of it."""
        given = list(flat((args, kwargs or {})))
        tensors = [each for each in given if isinstance(each, Tensor)]
        tracked = [each.requires_grad for each in tensors]
        inner = [each.requires_grad and not each.is_leaf for each in tensors]
        pasts = [self.past(each) for each in given]
        result = func(*args, **(kwargs or {}))

        path = (resolve_name(func) or "").split(".")
        name = path[-2] if path[-1] == "__get__" else path[-1]
        past = Past(
            frozenset().union(*(each.leaves for each in pasts)),
            frozenset().union(*(each.frozen for each in pasts)),
            tuple(dict.fromkeys(cut for each in pasts for cut in each.cuts)),
        )
        if name in NUMBERS:
            if any(tracked) or past.cuts:
                past = add(past, () if past.cuts else (self._cut(name),))
                self._remember(result, past)
                if name in ("numpy", "__array__"):  # no call makes a tensor
                    self._memory[address(tensors[0])] = past
            return result
        for tensor in flat(result):
            if not isinstance(tensor, Tensor):
                continue
            if tensor.grad_fn is not None:
                ends = [each for each in given if self._is_end(each)]
                self.ends.setdefault(tensor.grad_fn, ends)
                self._remember(tensor, past)
            elif not any(tensor is each for each in tensors):
                lost = any(tracked) and not tensor.requires_grad
                cut = (self._cut(name),) if lost else ()
                if not tensor.requires_grad:  # a leaf begins a new tape
                    self._remember(tensor, add(past, cut))
            elif any(
                was and tensor is each
                for was, each in zip(inner, tensors, strict=True)
            ):  # it stopped requiring a gradient in place, by `detach_`
                self._remember(tensor, add(past, (self._cut(name),)))
        return result

    def _is_end(self, thing: Any) -> bool:
        if isinstance(thing, Tensor):
            return not thing.requires_grad
        return id(thing) in self._past

    def _cut(self, name: str) -> Cut:
        if not torch.is_grad_enabled():
            name = f"{name} under no_grad"
        frame: FrameType | None = sys._getframe(2)
        while frame and frame.f_code.co_filename.startswith(TORCH):
            frame = frame.f_back
        if not frame:
            return Cut(name, 0, "")
        file, line = frame.f_code.co_filename, frame.f_lineno
        return Cut(name, line, linecache.getline(file, line).strip())


def address(tensor: Tensor) -> int:
    """Where the numbers of a tensor begin in memory; -1 if nowhere."""
    if tensor.layout != torch.strided or not tensor.numel():
        return -1
    return tensor.untyped_storage().data_ptr()


def add(past: Past, cut: tuple[Cut, ...]) -> Past:
    """A past with one more cut, or as it is."""
    return Past(past.leaves, past.frozen, past.cuts + cut)


def flat(thing: Any) -> Iterator[Any]:
    """The things in nested lists, tuples and dictionaries."""
    if isinstance(thing, Mapping):
        thing = tuple(thing.values())
    if isinstance(thing, (list, tuple)):
        for part in thing:
            yield from flat(part)
    else:
        yield thing


# %% [markdown]
# ## The parts of a tape
#
# `grad_fn` is the node that made a tensor. Its `next_functions` are the nodes
# that made what went into it, and so on down to the leaves. A node can be
# reached along several ways, and it comes once. The order is the one in which
# `backward` can go: each part after all those that pass it a gradient.


# %%
@dataclass(frozen=True)
class Part:
    """A node of the tape, or an end of it."""

    kind: str
    """`operation`, `leaf`, `frozen`, `cut` or `constant`."""
    name: str
    """Of the node, or of the tensor."""
    note: str
    """What else is known: the result's name, a shape, a line of code."""
    edges: tuple[int, ...]
    """The numbers of the parts that it passes a gradient on to, or would."""


def named(things: Mapping[str, Any]) -> dict[int, str]:
    """The names of tensors by their ids, those within modules included.

    Args:
        things: By name: tensors, floats, modules, and lists and dictionaries
            of them. Other things are left out.
    """
    found: dict[int, str] = {}
    for name, thing in things.items():
        inside: Mapping[str, Any] = {}
        if isinstance(thing, (Tensor, float)):
            found.setdefault(id(thing), name)
        elif isinstance(thing, nn.Module):
            tensors = {**dict(thing.named_parameters())}
            tensors |= dict(thing.named_buffers())
            inside = {f"{name}.{key}": each for key, each in tensors.items()}
        elif isinstance(thing, Mapping):
            inside = {f"{name}[{key!r}]": each for key, each in thing.items()}
        elif isinstance(thing, (list, tuple)):
            inside = {f"{name}[{i}]": each for i, each in enumerate(thing)}
        for key, label in named(inside).items() if inside else ():
            found.setdefault(key, label)
    return found


def _after(node: Any) -> list[Any]:
    return [each for each, _ in node.next_functions if each is not None]


def _is_leaf(node: Any) -> bool:
    return hasattr(node, "variable")  # it is an AccumulateGrad


def in_order(loss: Tensor) -> list[Any]:
    """The nodes that `backward` visits, each after all that lead to it.

    Args:
        loss: A tensor that requires a gradient.
    """
    root = torch.autograd.graph.get_gradient_edge(loss).node
    order: list[Any] = []
    seen, open_ = {root}, [(root, iter(_after(root)))]
    while open_:  # by hand: a tape can be longer than Python may recurse
        node, rest = open_[-1]
        for each in rest:
            if each not in seen:
                seen.add(each)
                open_.append((each, iter(_after(each))))
                break
        else:
            order.append(node)
            open_.pop()
    return order[::-1]


def nodes_of(
    loss: Tensor,
    names: Mapping[str, Any] | None = None,
    watched: Watch | None = None,
) -> list[Part]:
    """The tape behind a tensor, from its node to the leaves.

    Args:
        loss: A tensor of any shape that requires a gradient.
        names: Tensors and modules, by the names to show them with.
        watched: What saw the loss being computed. Without it, what is not on
            the tape is a `constant`, whatever it was.

    Returns:
        The parts, each after all those that lead to it.

    Raises:
        ValueError: if the tensor has no tape.
    """
    if not loss.requires_grad:
        raise ValueError("it does not require a gradient: it has no tape")
    labels = named(names or {})
    made = {
        each.grad_fn: labels[id(each)]
        for each in _tensors(names or {})
        if each.requires_grad and each.grad_fn is not None
    }
    order = in_order(loss)
    parts: list[Part] = []
    ends: list[Part] = []
    places: dict[int, int] = {}
    number = {node: i for i, node in enumerate(order)}
    for node in order:
        edges = [number[each] for each in _after(node)]
        if _is_leaf(node):
            leaf = node.variable
            name = labels.get(id(leaf), "unnamed")
            parts.append(Part("leaf", name, str(tuple(leaf.shape)), ()))
            continue
        if watched and node in watched.ends:
            for thing in watched.ends[node]:
                if id(thing) not in places:
                    places[id(thing)] = len(order) + len(ends)
                    ends.append(_end(thing, labels, watched))
                edges.append(places[id(thing)])
        else:
            for each, _ in node.next_functions if not watched else ():
                if each is None:
                    edges.append(len(order) + len(ends))
                    ends.append(Part("constant", "not recorded", "", ()))
        note = made.get(node, "")
        parts.append(Part("operation", node.name(), note, tuple(edges)))
    return parts + ends


def _tensors(things: Mapping[str, Any]) -> list[Tensor]:
    return [each for each in flat(things) if isinstance(each, Tensor)]


def _end(thing: Any, labels: Mapping[int, str], watched: Watch) -> Part:
    """What stands at the end of a tape, from what was seen of it."""
    past = watched.past(thing)
    shape = str(tuple(thing.shape)) if hasattr(thing, "shape") else "a number"
    name = labels.get(id(thing), "unnamed")
    if past.cuts:
        return Part("cut", name, f"{shape}, by {past.cuts[0]}", ())
    if past.frozen:
        frozen = sorted(labels.get(each, "unnamed") for each in past.frozen)
        own = past.frozen == {id(thing)}
        note = shape if own else f"{shape}, from {', '.join(frozen)}"
        return Part("frozen", name, note, ())
    return Part("constant", name, shape, ())


def lost(
    loss: Tensor, names: Mapping[str, Any] | None, watched: Watch
) -> list[str]:
    """The leaves that the loss was computed from and that the tape misses.

    Args:
        loss: A tensor.
        names: Tensors and modules, by the names to show them with.
        watched: What saw the loss being computed.

    Returns:
        Their names, in order.
    """
    nodes = in_order(loss) if loss.requires_grad else []
    reached = {id(each.variable) for each in nodes if _is_leaf(each)}
    labels = named(names or {})
    missed = watched.past(loss).leaves - reached
    return sorted(labels.get(each, "unnamed") for each in missed)


# %% [markdown]
# ## The tape as text


# %%
def as_text(
    loss: Tensor,
    names: Mapping[str, Any] | None = None,
    watched: Watch | None = None,
) -> str:
    """The tape as a list: number, part, and where its gradient goes.

    Args:
        loss: As in `nodes_of`.
        names: As in `nodes_of`.
        watched: As in `nodes_of`.
    """
    rows = [["", "node or tensor", "passes its gradient on to"]]
    for number, part in enumerate(nodes_of(loss, names, watched), 1):
        if part.kind == "operation":
            goes = ", ".join(str(each + 1) for each in part.edges)
            name = f"{part.name} ({part.note})" if part.note else part.name
        else:
            goes, name = f"{part.kind}: {part.note}".rstrip(": "), part.name
        rows.append([str(number), name, goes])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{number:>{widths[0]}}  {name:{widths[1]}}  {goes}".rstrip()
        for number, name, goes in rows
    ]
    if watched:
        missed = lost(loss, names, watched)
        lines.append(f"cut off from the loss: {', '.join(missed) or 'none'}")
    return "\n".join(lines)


# %% [markdown]
# ## The tape as a picture
#
# The loss stands on top. Each part stands below all those that pass it a
# gradient, and, within its row, near them.

# %%
MOST = 120
"""How many parts can be drawn."""
FILL = {"leaf": "#1f5fbf", "frozen": "#656d76", "cut": "#b3261e"}


def draw(
    loss: Tensor,
    names: Mapping[str, Any] | None = None,
    watched: Watch | None = None,
) -> Figure:
    """Draw the tape of a loss: nodes, leaves, frozen parts and cuts.

    Args:
        loss: As in `nodes_of`.
        names: As in `nodes_of`.
        watched: As in `nodes_of`.

    Returns:
        The matplotlib figure.

    Raises:
        ValueError: if it has no tape, or one of more than `MOST` parts.
    """
    import matplotlib.pyplot as plt

    parts = nodes_of(loss, names, watched)
    if len(parts) > MOST:
        raise ValueError(
            f"the tape has {len(parts)} parts, "
            f"and {MOST} is the most that can be drawn"
        )
    places, pieces = layout(parts)
    columns = [x for x, _ in (*places, *pieces)]
    left, right = min(columns), max(columns)
    height = max(y for _, y in places)
    figure, axes = plt.subplots(
        figsize=(1.9 * (right - left) + 2.1, 0.62 * height + 0.7),
        layout="constrained",
    )
    for place, part in zip(places, parts, strict=True):
        for edge in part.edges:
            style = "-" if parts[edge].kind in ("operation", "leaf") else ":"
            _line(axes, place, places[edge], pieces, style)
        fill = FILL.get(part.kind)
        axes.text(
            place[0], -place[1], caption(part),
            ha="center", va="center", fontsize=8,
            color="white" if fill else "black",
            bbox={
                "boxstyle": "round",
                "facecolor": fill or "none",
                "edgecolor": fill or "black",
                "linewidth": 0 if part.kind == "constant" else 0.8,
            },
        )  # fmt: skip
    axes.set(xlim=(left - 0.6, right + 0.6), ylim=(-height - 0.6, 0.6))
    axes.axis("off")
    return figure


def _line(
    axes: Axes,
    place: Place,
    end: Place,
    pieces: Mapping[Place, Place],
    style: str,
) -> None:
    """Draw a line from one part to another, past the rows in between."""
    points = [end]
    while points[0][1] > place[1] + 1:
        points.insert(0, next(a for a, b in pieces.items() if b == points[0]))
    points.insert(0, place)
    x, y = [x for x, _ in points], [-y for _, y in points]
    y[0] -= 0.27
    y[-1] += 0.27
    axes.plot(x[:-1], y[:-1], style, color="black", linewidth=1)
    arrow = {"arrowstyle": "->" if style == "-" else "-", "linestyle": style}
    arrow |= {"shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x[-1], y[-1]), (x[-2], y[-2]), arrowprops=arrow)


def caption(part: Part) -> str:
    """What is written into the box of a part: two lines at most."""
    if part.kind == "operation":
        return part.name + (f"\n{part.note}" if part.note else "")
    if part.kind == "cut":
        by = part.note.split(", by ")[1]
        return f"{part.name}\ncut by {by.split(',')[0]}"
    return f"{part.name}\n{part.kind} {part.note.split(', from')[0]}".rstrip()


Place = tuple[float, int]
"""A column, in widths of a box, and a row, counted from 0 at the loss."""


def layout(parts: Sequence[Part]) -> tuple[list[Place], dict[Place, Place]]:
    """Where to draw each part, and how the lines get there.

    A line that passes by a row of boxes takes a place in it for itself. Lines
    to the same part share these places.

    Args:
        parts: From `nodes_of`.

    Returns:
        A place for each part, no two of them less than 1 apart in a row, and
        the pieces of the lines that pass by rows: where each leads on to.
    """
    rows = [0] * len(parts)
    for number, part in enumerate(parts):
        for edge in part.edges:
            rows[edge] = max(rows[edge], rows[number] + 1)
    above: list[list[int]] = [[] for _ in parts]
    passing: dict[tuple[int, int], int] = {}  # which line passes which row
    for number, part in enumerate(parts):
        for edge in dict.fromkeys(part.edges):
            last = number
            for row in range(rows[number] + 1, rows[edge]):
                if (edge, row) not in passing:
                    passing[edge, row] = len(rows)
                    rows.append(row)
                    above.append([])
                here = passing[edge, row]
                above[here].append(last)
                last = here
            above[edge].append(last)
    leads = {
        here: passing.get((edge, row + 1), edge)
        for (edge, row), here in passing.items()
    }
    columns = [0.0] * len(rows)
    for row in range(max(rows) + 1):
        wanted = {}
        for number in [i for i, each in enumerate(rows) if each == row]:
            over = above[number] or [number]
            wanted[number] = sum(columns[each] for each in over) / len(over)
        line = sorted(wanted, key=lambda number: wanted[number])
        middle = sum(wanted.values()) / len(wanted)
        for i, number in enumerate(line):
            columns[number] = middle + i - (len(line) - 1) / 2
    places = list(zip(columns, rows, strict=True))
    pieces = {places[here]: places[end] for here, end in leads.items()}
    return places[: len(parts)], pieces


# %% [markdown]
# ## Losses to look at
#
# Each computes the loss of a model on all digits, and returns everything
# whose name should be shown.


# %%
@dataclass(frozen=True)
class Digits:
    """The pictures of scikit-learn."""

    pixels: Tensor
    """Of shape `(1797, 64)` and dtype float32, values from 0 to 1."""
    labels: Tensor
    """Of shape `(1797,)` and dtype int64."""


def load(device: torch.device) -> Digits:
    """The 1797 digits of scikit-learn on a device."""
    from sklearn.datasets import load_digits

    pixels, labels = map(torch.tensor, load_digits(return_X_y=True))
    return Digits((pixels / 16).float().to(device), labels.to(device))


def two_layers(digits: Digits) -> tuple[Tensor, dict[str, Any]]:
    """The loss of a network with one hidden layer."""
    first, second = nn.Linear(64, 32), nn.Linear(32, 10)
    nn.ModuleList([first, second]).to(digits.pixels.device)
    pixels, labels = digits.pixels, digits.labels
    hidden = first(pixels).relu()
    loss = F.cross_entropy(second(hidden), labels)
    return loss, locals()


def frozen(digits: Digits) -> tuple[Tensor, dict[str, Any]]:
    """The same with a first layer that stays as it is."""
    first, second = nn.Linear(64, 32), nn.Linear(32, 10)
    nn.ModuleList([first, second]).to(digits.pixels.device)
    first.requires_grad_(False)
    pixels, labels = digits.pixels, digits.labels
    hidden = first(pixels).relu()
    loss = F.cross_entropy(second(hidden), labels)
    return loss, locals()


def cut(digits: Digits) -> tuple[Tensor, dict[str, Any]]:
    """The same with two mistakes: a `detach`, and a penalty as a number."""
    first, second = nn.Linear(64, 32), nn.Linear(32, 10)
    nn.ModuleList([first, second]).to(digits.pixels.device)
    pixels, labels = digits.pixels, digits.labels
    hidden = first(pixels).relu().detach()
    penalty = first.weight.square().mean().item()
    loss = F.cross_entropy(second(hidden), labels) + penalty
    return loss, locals()


def recurrent(digits: Digits) -> tuple[Tensor, dict[str, Any]]:
    """The loss of a network that reads the upper rows of a digit in turn."""
    read, answer = nn.Linear(8 + 16, 16), nn.Linear(16, 10)
    nn.ModuleList([read, answer]).to(digits.pixels.device)
    rows, labels = digits.pixels.reshape(-1, 8, 8), digits.labels
    state = rows.new_zeros(len(rows), 16)
    for row in range(3):
        state = read(torch.cat([rows[:, row], state], dim=1)).tanh()
    loss = F.cross_entropy(answer(state), labels)
    return loss, locals()


MODELS = {
    "two-layers": two_layers,
    "frozen": frozen,
    "cut": cut,
    "recurrent": recurrent,
}

# %% [markdown]
# ## A function of yours
#
# It is called without arguments and returns the loss. Its own variables give
# the names: they are read when it returns.


# %%
@contextmanager
def reading_locals(function: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Read the variables of a function each time when it returns.

    Args:
        function: A function written in Python.

    Yields:
        A dictionary, which is empty until the function returns.
    """
    found: dict[str, Any] = {}
    code = getattr(function, "__code__", None)

    def look(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)


def run_file(text: str) -> tuple[Tensor, dict[str, Any], Watch]:
    """Run a function in a file, like `train.py:loss`.

    Args:
        text: The path, a colon and the name of the function.

    Returns:
        The loss, what has names, and what was seen.

    Raises:
        ValueError: if there is no such file or function, if it fails, or if
            what it returns is not one tensor with a tape.
    """
    file, colon, name = text.rpartition(":")
    path = Path(file)
    if not colon or not name.isidentifier():
        raise ValueError(f"{text!r} is not like path.py:function")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    watched = Watch()
    linecache.checkcache(str(path))
    try:
        code = compile(path.read_text("utf-8"), str(path), "exec")
        space: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
        search = list(sys.path)
        sys.path.insert(0, str(path.parent.resolve()))
        try:
            with watched:
                exec(code, space)
                function = space.get(name)
                if not callable(function):
                    raise LookupError
                with reading_locals(function) as variables:
                    loss = function()
        finally:
            sys.path[:] = search
    except LookupError as error:
        if name in space and callable(space[name]):
            raise ValueError(_told(error, path)) from None
        raise ValueError(f"{path} has no function {name}") from None
    except (Exception, SystemExit) as error:
        raise ValueError(_told(error, path)) from None
    if not isinstance(loss, Tensor):
        kind = type(loss).__name__
        raise ValueError(f"{name} returned a {kind} and no tensor")
    names = {**variables, **space}
    if not loss.requires_grad:
        why = "nothing that it was computed from requires a gradient"
        if cuts := watched.past(loss).cuts:
            why = f"it was cut by {cuts[0]}"
        raise ValueError(f"what {name} returned has no tape: {why}")
    return loss, names, watched


def _told(error: BaseException, path: Path) -> str:
    """What went wrong in a file, in one sentence."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    where = f"line {lines[-1]} of {path}" if lines else f"{path}"
    said = " ".join(str(error).split())
    return f"{where} raised {type(error).__name__}: {said}".rstrip(": ")


# %% [markdown]
# ## On the command line


# %%
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


def built_in(
    name: str, seed: int, device: torch.device
) -> tuple[Tensor, dict[str, Any], Watch]:
    """Compute the loss of one of `MODELS`.

    Args:
        name: Which one.
        seed: Decides its weights.
        device: Where to compute.

    Returns:
        The loss, what has names, and what was seen.

    Raises:
        ValueError: if there is no such model.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}: one of {', '.join(MODELS)}")
    digits = load(device)
    torch.manual_seed(seed)
    with Watch() as watched:
        loss, names = MODELS[name](digits)
    return loss, names, watched


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Show the tape behind a loss: nodes, leaves and cuts."
    )
    parser.add_argument(
        "--model",
        default="two-layers",
        metavar="NAME",
        help=f"one of {', '.join(MODELS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--file",
        metavar="PATH:FUNCTION",
        help="a function of yours that returns a loss; the file is executed",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the tape (.png, .svg, .pdf)",
    )
    parser.add_argument(
        "--seed", default="0", help="decides the weights (default: 0)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    options = parser.parse_args(arguments)
    try:
        if not re.fullmatch(r"\d{1,18}", options.seed, re.ASCII):
            raise ValueError(f"--seed is a whole number, not {options.seed!r}")
        device = device_from(options.device)
        if options.file:
            torch.manual_seed(int(options.seed))
            with device:
                loss, names, watched = run_file(options.file)
        else:
            seed = int(options.seed)
            loss, names, watched = built_in(options.model, seed, device)
        figure = draw(loss, names, watched) if options.plot else None
        text = as_text(loss, names, watched)
        if figure:
            figure.savefig(options.plot)
        print(text)
    except (ValueError, OSError) as error:
        print(f"tape.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, two of the models
        for model in ("two-layers", "cut"):
            loss, names, watched = built_in(model, 0, torch.device("cpu"))
            print(as_text(loss, names, watched), end="\n\n")
        draw(loss, names, watched)
    else:
        sys.exit(main())
