# %% [markdown]
# # Module inventory
#
# It lists every tensor that hangs on a module, in a registry or beside them,
# and tells for each whether it is trained, moved and saved. Below stand
# sentences about what training, moving or saving will miss:
# `print(report(inventory(model, optimizer)))`.
#
# Run as a program, it examines built-in cases, models of torchvision, or a
# module of yours.
#
# ```console
# $ python modules.py
# $ python modules.py --torchvision fasterrcnn_resnet50_fpn
# $ python modules.py --file net.py:Net --eval --plot bytes.png
# ```

# %%
"""Module inventory: what hangs on a module, and who sees it."""

from __future__ import annotations

import argparse
import inspect
import linecache
import sys
import traceback
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## The walk
#
# A module has three registries: parameters, buffers and modules. What torch
# walks is the tree of these. `pieces` walks on where torch does not, into
# plain attributes, lists, tuples, dicts, sets and objects.

# %%
KINDS = {
    "parameter": "parameter",
    "buffer": "buffer",
    "unsaved": "non-persistent buffer",
    "attribute": "as an attribute",
    "list": "in a list",
    "tuple": "in a tuple",
    "dict": "in a dict",
    "set": "in a set",
    "object": "in an object",
}
"""How a tensor can hang on a module. The first three are registered."""

REGISTERED = {"parameter", "buffer", "unsaved"}
OWN = set(vars(nn.Module()))
"""The attributes of every module, its registries among them."""
DEPTH = 8
"""How many containers within each other are looked through."""


@dataclass(frozen=True)
class Piece:
    """A tensor or a module, and where it hangs."""

    path: str
    """As `state_dict` would call it; `hidden[0].weight` beside the tree."""
    root: str
    """Beside the tree, the path of the attribute that leads there."""
    kind: str
    """One of `KINDS`; for modules also `module`, in a registry."""
    thing: Any


def pieces(module: nn.Module) -> Iterator[Piece]:
    """All tensors and modules on a module, itself first, then depth first.

    A tensor or a module that is reached along several paths comes several
    times. A list or an object is looked through once.

    Args:
        module: Any module.
    """
    yield from _inside(module, "", "", "module", (), set())


def _inside(
    module: nn.Module,
    path: str,
    root: str,
    kind: str,
    above: tuple[int, ...],
    seen: set[int],
) -> Iterator[Piece]:
    """What hangs on a module; `above` are the ids of those that hold it."""
    yield Piece(path, root, kind, module)
    if id(module) in above:  # a module below itself
        return
    above = (*above, id(module))
    dot = f"{path}." if path else ""
    own = vars(module)
    unsaved = own.get("_non_persistent_buffers_set", ())
    for name, tensor in own.get("_parameters", {}).items():
        if tensor is not None:
            yield Piece(
                dot + name, root, kind if root else "parameter", tensor
            )
    for name, buffer in own.get("_buffers", {}).items():
        if buffer is not None:
            how = "unsaved" if name in unsaved else "buffer"
            yield Piece(dot + name, root, kind if root else how, buffer)
    for name, part in own.get("_modules", {}).items():
        if part is not None:
            yield from _inside(part, dot + name, root, kind, above, seen)
    for name, value in own.items():
        if name not in OWN:
            here = dot + name
            yield from _beside(
                value, here, root or here, kind if root else "", above, seen
            )


def _beside(
    value: Any,
    path: str,
    root: str,
    kind: str,
    above: tuple[int, ...],
    seen: set[int],
    depth: int = 0,
) -> Iterator[Piece]:
    """What hangs on an attribute that no registry knows."""
    if isinstance(value, nn.Module):
        kind = kind or "attribute"
        yield from _inside(value, path, root, kind, above, seen)
        return
    if isinstance(value, Tensor):
        yield Piece(path, root, kind or "attribute", value)
        return
    if depth == DEPTH or id(value) in seen:
        return
    held, how = _held(value)
    if held:
        seen.add(id(value))
    for label, each in held:
        yield from _beside(
            each, path + label, root, kind or how, above, seen, depth + 1
        )


def _held(value: Any) -> tuple[list[tuple[str, Any]], str]:
    """What a container or an object holds, with labels, and its kind."""
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", each) for key, each in value.items()], "dict"
    if isinstance(value, (list, tuple, deque)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return [(f"[{i}]", each) for i, each in enumerate(value)], kind
    if isinstance(value, AbstractSet):
        return [("{...}", each) for each in value], "set"
    callables = (FunctionType, BuiltinFunctionType, MethodType)
    if isinstance(value, (type, ModuleType, *callables)):
        return [], "object"
    names = {**getattr(value, "__dict__", {})}
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if hasattr(value, name):
                names[name] = getattr(value, name)
    return [(f".{name}", each) for name, each in names.items()], "object"


# %% [markdown]
# ## What is trained, moved and saved


# %%
@dataclass(frozen=True)
class Row:
    """What is known of a tensor that hangs on a module."""

    path: str
    kind: str
    """One of `KINDS`."""
    shape: tuple[int, ...] | None
    """None for a lazy tensor, which gets its shape from the first input."""
    dtype: torch.dtype
    device: torch.device
    trained: str
    """`yes` if an optimizer will move it, `frozen` or `no` if not."""
    moved: bool
    """Whether `to` moves it."""
    saved: bool
    """Whether it is in the `state_dict`."""
    shares: str
    """The path of the first tensor on the same memory, if there is one."""
    numbers: int
    nbytes: int
    """What it adds to memory: 0 if it shares the memory of a row above."""


@dataclass(frozen=True)
class Inventory:
    """The tensors of a module, and what is to be said of them."""

    rows: list[Row]
    warnings: list[str]
    """One sentence for each thing that training, moving or saving misses."""


def inventory(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    scoring: bool = False,
) -> Inventory:
    """List what hangs on a module. Nothing is changed, and nothing is run.

    Args:
        model: Any module.
        optimizer: What trains it. Without one, all of its `parameters()`
            that require a gradient count as trained.
        scoring: Whether the model should be in `eval` mode.

    Returns:
        A row for each tensor and path, those beside the tree last, and the
        warnings. A parameter that a list or an object names once more is not
        repeated.

    Raises:
        TypeError: if the model is no `nn.Module`.
        ValueError: if its class did not call `super().__init__()`, or if it
            is registered below itself.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"a module is wanted, not a {type(model).__name__}")
    if "_modules" not in vars(model):
        raise ValueError(
            f"{type(model).__name__} has no registries: "
            "its __init__ has to call super().__init__() first"
        )
    try:
        keys = set(model.state_dict())
    except RecursionError:
        raise ValueError("a module is registered below itself") from None
    found = list(pieces(model))
    tree = {id(each.thing): each for each in found if not each.root}
    listed = [
        each
        for each in found
        if not each.root  # the tree, and beside it what is not in it as well
        or id(each.thing) not in tree
        or tree[id(each.thing)].kind in ("buffer", "unsaved")
    ]
    listed.sort(key=lambda each: bool(each.root))
    held = optimized(optimizer) if optimizer else None
    rows = list(_rows(listed, held, keys))
    said = [
        *_beside_the_tree(listed, tree),
        *_shared(listed),
        *_optimizer(listed, held),
        *_modes(listed, scoring),
        *_places(rows),
    ]
    return Inventory(rows, said)


def optimized(optimizer: torch.optim.Optimizer) -> set[int]:
    """The ids of the tensors that an optimizer holds."""
    groups = optimizer.param_groups
    return {id(each) for group in groups for each in group["params"]}


def _rows(
    listed: Sequence[Piece], held: set[int] | None, keys: set[str]
) -> Iterator[Row]:
    first: dict[Any, str] = {}
    for piece in listed:
        tensor = piece.thing
        if not isinstance(tensor, Tensor):
            continue
        registered = piece.kind in REGISTERED
        if held is not None:
            trained = "yes" if id(tensor) in held else "no"
        else:
            trained = "yes" if piece.kind == "parameter" else "no"
        if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
            trained = "frozen"
        lazy = is_lazy(tensor)
        memory = _memory(tensor)
        shares = first.setdefault(memory, piece.path)
        shares = "" if shares == piece.path else shares
        yield Row(
            piece.path,
            piece.kind,
            None if lazy else tuple(tensor.shape),
            tensor.dtype,
            tensor.device,
            trained,
            registered,
            registered and piece.path in keys,
            shares,
            0 if lazy else tensor.numel(),
            0 if lazy or shares else _nbytes(tensor),
        )


def _memory(tensor: Tensor) -> Any:
    """What is the same for all tensors on the same memory."""
    if is_lazy(tensor) or tensor.layout != torch.strided:
        return id(tensor), "tensor"
    return tensor.untyped_storage()._cdata


def _nbytes(tensor: Tensor) -> int:
    if tensor.layout != torch.strided:
        return 0
    return tensor.numel() * tensor.element_size()


# %% [markdown]
# ## What will be missed


# %%
def some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    names = list(dict.fromkeys(names))
    if len(names) > 3:
        names = [*names[:3], f"{len(names) - 3} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]][len(names) < 2 :])


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _beside_the_tree(
    listed: Sequence[Piece], tree: Mapping[int, Piece]
) -> Iterator[str]:
    """A sentence for each attribute that holds what no registry knows."""
    roots: dict[str, list[Piece]] = defaultdict(list)
    for piece in listed:
        if piece.root:
            roots[piece.root].append(piece)
    for root, held in roots.items():
        modules = [each for each in held if isinstance(each.thing, nn.Module)]
        inner = tuple(f"{each.path}." for each in modules)
        outer = [each for each in modules if not each.path.startswith(inner)]
        tensors = [
            each
            for each in held
            if isinstance(each.thing, Tensor)
            and not each.path.startswith(inner)
        ]
        if outer:
            how = KINDS[outer[0].kind]
            better = "nn.ModuleDict" if "dict" in how else "nn.ModuleList"
            if how == "as an attribute":
                better = "a plain assignment"
            yield (
                f"{root}: {_plural(len(outer), 'module')} {how}, which "
                "parameters(), to(), state_dict() and eval() pass by: "
                f"use {better}."
            )
        copies = [each for each in tensors if id(each.thing) in tree]
        if copies:
            twin = tree[id(copies[0].thing)].path
            yield (
                f"{root}: names the buffer {twin} once more, and keeps the "
                "old one when to() replaces it."
            )
        tensors = [each for each in tensors if id(each.thing) not in tree]
        results = [each for each in tensors if each.thing.grad_fn is not None]
        if results:
            yield (
                f"{root}: {_plural(len(results), 'result')} of an operation, "
                "kept with its tape: keep detach() of it, unless a hook makes "
                "it anew in each pass."
            )
        leaves = [each for each in tensors if each.thing.grad_fn is None]
        if leaves:
            how = KINDS[leaves[0].kind]
            learned = any(each.thing.requires_grad for each in leaves)
            better = "nn.Parameter" if learned else "register_buffer"
            if learned and how != "as an attribute":
                better = "nn.ParameterList or nn.ParameterDict"
            missed = "parameters(), " if learned else ""
            yield (
                f"{root}: {_plural(len(leaves), 'tensor')} {how}, which "
                f"{missed}to() and state_dict() pass by: use {better}."
            )


def _shared(listed: Sequence[Piece]) -> Iterator[str]:
    """A sentence for each module and each parameter with several names."""
    paths: dict[int, list[str]] = defaultdict(list)
    things: dict[int, Any] = {}
    for piece in listed:
        if not piece.root:
            paths[id(piece.thing)].append(piece.path)
            things[id(piece.thing)] = piece.thing
    repeated: tuple[str, ...] = ()
    for key, names in paths.items():
        own = [name for name in names if not name.startswith(repeated)]
        if len(names) < 2 or (repeated and not own):
            continue
        if isinstance(things[key], nn.Module):
            repeated += tuple(f"{name}." for name in names)
            if any(True for _ in things[key].parameters()):
                yield f"{some(names)} are one module, with one set of weights."
        elif len(own) > 1 or not repeated:
            yield f"{some(names)} are one tensor: its weights are shared."


def _optimizer(
    listed: Sequence[Piece], held: set[int] | None
) -> Iterator[str]:
    """What an optimizer holds too little or too much."""
    if held is None:
        return
    parameters = [
        each
        for each in listed
        if isinstance(each.thing, nn.Parameter) and not each.root
    ]
    missing = [
        each.path
        for each in parameters
        if each.thing.requires_grad and id(each.thing) not in held
    ]
    if missing:
        yield (
            f"{some(missing)}: not in the optimizer, so no step moves "
            f"{'it' if len(missing) == 1 else 'them'}."
        )
    strange = held - {id(each.thing) for each in listed}
    if strange:
        yield (
            f"The optimizer holds {_plural(len(strange), 'tensor')} that the "
            "module does not have: was a layer replaced?"
        )


def _modes(listed: Sequence[Piece], scoring: bool) -> Iterator[str]:
    """What is in `train` mode and should not be."""
    modules = [each for each in listed if isinstance(each.thing, nn.Module)]
    moving = [each for each in modules if _keeps_statistics(each.thing)]
    awake = [
        each.path or "the module"
        for each in modules
        if each.thing.training
        and (_drops(each.thing) or isinstance(each.thing, _NormBase))
        and (each in moving or not isinstance(each.thing, _NormBase))
    ]
    if scoring and awake:
        yield f"{some(awake)}: in train mode, so call eval() before you score."
    frozen = [
        each.path or "the module"
        for each in moving
        if each.thing.training
        and each.thing.weight is not None
        and not any(it.requires_grad for it in each.thing.parameters())
    ]
    if frozen and not scoring:
        yield (
            f"{some(frozen)}: frozen, but in train mode, so each forward pass "
            "moves the running statistics: call eval() on it."
        )


def _keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, _NormBase) and module.track_running_stats


def _drops(module: nn.Module) -> bool:
    """Whether a module is random in train mode, as far as one can see."""
    for name in ("p", "dropout"):
        value = getattr(module, name, None)
        if isinstance(value, float) and 0 < value <= 1:
            return True
    return False


def _places(rows: Sequence[Row]) -> Iterator[str]:
    """Whether the tensors are on several devices."""
    places: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        places[str(row.device)].append(row.path)
    if len(places) > 1:
        parts = [
            f"{some(names)} on {place}" for place, names in places.items()
        ]
        yield f"The tensors lie on several devices: {'; '.join(parts)}."


# %% [markdown]
# ## A table and a picture


# %%
def in_units(count: float) -> str:
    """A number of bytes, such as `1.5 MB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def totals(rows: Sequence[Row]) -> str:
    """How many numbers and bytes there are; what is shared counts once."""
    own = [row for row in rows if not row.shares]
    lines = []
    for name, kinds in (
        ("parameters", {"parameter"}),
        ("buffers", {"buffer", "unsaved"}),
        ("beside the tree", set(KINDS) - REGISTERED),
    ):
        these = [row for row in own if row.kind in kinds]
        numbers = sum(row.numbers for row in these)
        size = in_units(sum(row.nbytes for row in these))
        count = _plural(len(these), "tensor")
        lines.append(f"{name}: {numbers} in {count}, {size}")
    numbers = sum(row.numbers for row in own if row.trained == "yes")
    return "\n".join([*lines, f"trained: {numbers}"])


def report(found: Inventory, most: int = 60) -> str:
    """The rows as a table, the totals, and the warnings.

    Args:
        found: From `inventory`.
        most: How many rows are shown.
    """
    table = [["path", "kind", "shape", "dtype", "device"]]
    table[0] += ["trained", "moved", "saved", "shares"]
    for row in found.rows[:most]:
        sizes = ["unknown"] if row.shape is None else row.shape
        shape = " x ".join(map(str, sizes)) or "one number"
        table.append(
            [
                row.path,
                KINDS[row.kind],
                shape,
                str(row.dtype).removeprefix("torch."),
                str(row.device),
                row.trained,
                "yes" if row.moved else "no",
                "yes" if row.saved else "no",
                row.shares,
            ]
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    if len(found.rows) > most:
        lines.append(f"and {len(found.rows) - most} more")
    said = [f"! {each}" for each in found.warnings]
    return "\n".join([*lines, totals(found.rows), *said])


def layers(rows: Sequence[Row], most: int = 24) -> dict[str, dict[str, int]]:
    """The bytes of each layer: of its parameters, its buffers, and the rest.

    Args:
        rows: From `inventory`.
        most: How many layers there may be. If there are more, those with a
            common beginning are taken together.
    """
    for depth in range(9, 0, -1):
        sizes: dict[str, dict[str, int]] = {}
        for row in rows:
            parts = row.path.split(".")
            name = ".".join(parts[:-1][:depth]) or "itself"
            if row.kind not in REGISTERED:
                name = ".".join(parts[:depth]).split("[")[0]
            group = {"parameter": "parameters", "buffer": "buffers"}.get(
                "buffer" if row.kind == "unsaved" else row.kind, "unregistered"
            )
            held = sizes.setdefault(name, {})
            held[group] = held.get(group, 0) + row.nbytes
        if len(sizes) <= most:
            break
    return sizes


def draw(rows: Sequence[Row]) -> Figure:
    """Draw the bytes of each layer: parameters, buffers, and unregistered.

    Args:
        rows: From `inventory`, at least one.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    sizes = layers(rows)
    figure, place = plt.subplots(
        figsize=(7, 0.28 * len(sizes) + 1.2), layout="constrained"
    )
    left = [0.0] * len(sizes)
    for group, color in (
        ("parameters", "C0"),
        ("buffers", "C2"),
        ("unregistered", "C3"),
    ):
        widths = [held.get(group, 0) / 1000 for held in sizes.values()]
        if any(widths):
            spots = range(len(sizes))
            place.barh(spots, widths, left=left, color=color, label=group)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    place.set_yticks(range(len(sizes)), list(sizes))
    place.invert_yaxis()
    place.set_xlabel("kilobytes")
    place.legend()
    return figure


# %% [markdown]
# ## Cases
#
# Each makes a module with one thing to find, and an optimizer where that is
# part of it.

# %%
Made = nn.Module | tuple[nn.Module, torch.optim.Optimizer]


class Net(nn.Module):
    """Hidden layers and a head, for digits."""

    def __init__(self, hidden: Any) -> None:
        super().__init__()
        self.hidden = hidden
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of shape `(N, 10)` for pictures of shape `(N, 64)`."""
        for layer in self.hidden:
            x = layer(x).relu()
        return self.head(x)


def make_healthy() -> Made:
    """Nothing is wrong."""
    return Net(nn.ModuleList([nn.Linear(64, 64), nn.BatchNorm1d(64)]))


def make_list() -> Made:
    """The hidden layers are in a list."""
    return Net([nn.Linear(64, 64) for _ in range(2)])


def make_dict() -> Made:
    """A layer is in a dict, behind the key of its task."""
    model = Net(nn.ModuleList([nn.Linear(64, 64)]))
    model.tasks = {"even": nn.Linear(64, 2)}
    return model


def make_attribute() -> Made:
    """The mean of the data is a plain tensor."""
    from sklearn.datasets import load_digits

    model = Net(nn.ModuleList([nn.Linear(64, 64)]))
    model.mean = torch.tensor(load_digits().data).float().mean(dim=0)
    return model


def make_learned() -> Made:
    """Two tensors that require a gradient are plain, in a tuple."""
    model = Net(nn.ModuleList([nn.Linear(64, 64)]))
    model.scales = tuple(torch.ones(64, requires_grad=True) for _ in "ab")
    return model


def make_result() -> Made:
    """What the last pass computed is kept, with its tape."""
    model = Net(nn.ModuleList([nn.Linear(64, 64)]))
    model.last = model(torch.ones(2, 64, device=model.head.weight.device))
    return model


def make_repeated() -> Made:
    """One layer stands in three places."""
    return Net(nn.ModuleList([nn.Linear(64, 64)] * 3))


def make_tied() -> Made:
    """Two layers have one weight."""
    model = Net(nn.ModuleList([nn.Linear(64, 64), nn.Linear(64, 64)]))
    model.hidden[1].weight = model.hidden[0].weight
    return model


def make_frozen() -> Made:
    """A frozen batch norm is in train mode."""
    model = Net(nn.ModuleList([nn.Linear(64, 64), nn.BatchNorm1d(64)]))
    model.hidden.requires_grad_(False)
    return model


def make_replaced() -> Made:
    """The head was replaced after the optimizer had been made."""
    model = Net(nn.ModuleList([nn.Linear(64, 64)]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.head = nn.Linear(64, 10)
    return model, optimizer


CASES: dict[str, Callable[[], Made]] = {
    name.removeprefix("make_"): value
    for name, value in list(globals().items())
    if name.startswith("make_")
}
"""What there is to find: each makes a module, and says what is in it."""


# %% [markdown]
# ## Models of torchvision, and yours


# %%
def from_torchvision(name: str) -> nn.Module:
    """A model of torchvision without its weights.

    It lies on `meta`, which stores no numbers, if it can be made there.

    Raises:
        ValueError: if torchvision has no model of that name.
    """
    from torchvision import models

    try:
        builder = models.get_model_builder(name)
    except (ValueError, KeyError):
        raise ValueError(f"torchvision has no model {name!r}") from None
    options = {"weights": None, "weights_backbone": None}
    known = inspect.signature(builder).parameters
    given = {key: options[key] for key in options if key in known}
    with warnings.catch_warnings(action="ignore"):
        try:
            with torch.device("meta"):
                return builder(**given)
        except (RuntimeError, NotImplementedError):  # it reads its numbers
            return builder(**given)


def from_file(text: str) -> Made:
    """A module in a file, like `net.py:Net`.

    Args:
        text: The path, a colon and a name: that of a module, or of a class or
            function that returns one when it is called without arguments. A
            function may return an optimizer as well.

    Raises:
        ValueError: if there is no such file or name, if it fails, or if what
            it returns is no module.
    """
    file, colon, name = text.rpartition(":")
    path = Path(file)
    if not colon or not name.isidentifier():
        raise ValueError(f"{text!r} is not like path.py:name")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    linecache.checkcache(str(path))
    search = list(sys.path)
    sys.path.insert(0, str(path.parent.resolve()))
    space: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    try:
        code = compile(path.read_text("utf-8"), str(path), "exec")
        exec(code, space)
        made = space.get(name)
        if callable(made) and not isinstance(made, nn.Module):
            made = made()
    except (Exception, SystemExit) as error:
        raise ValueError(_told(error, path)) from None
    finally:
        sys.path[:] = search
    if name not in space:
        raise ValueError(f"{path} has no {name}")
    model, optimizer = made if _is_pair(made) else (made, None)
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise ValueError(f"{name} is a {kind}, or returns one, and no module")
    return model if optimizer is None else (model, optimizer)


def _is_pair(made: Any) -> bool:
    return (
        isinstance(made, tuple)
        and len(made) == 2
        and isinstance(made[1], torch.optim.Optimizer)
    )


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


def examine(
    made: Made, device: torch.device | None = None, scoring: bool = False
) -> Inventory:
    """The inventory of what a case or a file made, after a move.

    Args:
        made: A module, or a module and its optimizer.
        device: Where `to` moves the module before; None if nowhere.
        scoring: As in `inventory`.
    """
    model, optimizer = made if isinstance(made, tuple) else (made, None)
    if device is not None:
        model.to(device)
    return inventory(model, optimizer, scoring)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="List the tensors of a module, and who sees them."
    )
    parser.add_argument(
        "--case",
        metavar="NAME",
        help=f"one of {', '.join(CASES)} (default: all)",
    )
    parser.add_argument(
        "--torchvision", metavar="NAME", help="a model of torchvision"
    )
    parser.add_argument(
        "--file",
        metavar="PATH:NAME",
        help="a module of yours, or what returns one; the file is executed",
    )
    parser.add_argument(
        "--eval",
        action="store_true",
        help="the module should be in eval mode: tell what is not",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the bytes of each layer"
    )
    options = parser.parse_args(arguments)
    try:
        device: torch.device | None = device_from(options.device)
        chosen = (options.case, options.torchvision, options.file)
        if sum(each is not None for each in chosen) > 1:
            raise ValueError("choose one of --case, --torchvision and --file")
        if options.plot and not any(chosen):
            raise ValueError("--plot draws one module: choose it")
        if not any(each is not None for each in chosen):
            for name, make in CASES.items():
                found = examine(make(), device, options.eval)
                said = [f"    {each}" for each in found.warnings]
                print(f"{name}: {make.__doc__}")
                print("\n".join(said or ["    ok"]))
            return 0
        if options.case is not None:
            if options.case not in CASES:
                raise ValueError(
                    f"no case {options.case!r}: one of {', '.join(CASES)}"
                )
            made = CASES[options.case]()
        elif options.torchvision is not None:
            made, device = from_torchvision(options.torchvision), None
        else:
            made = from_file(options.file)
        try:
            found = examine(made, device, options.eval)
        except (RuntimeError, NotImplementedError) as error:
            said = " ".join(str(error).split())
            raise ValueError(f"the module cannot be moved: {said}") from None
        if options.plot:
            if not found.rows:
                raise ValueError("it has no tensors to draw")
            draw(found.rows).savefig(options.plot)
        print(report(found))
    except (ValueError, OSError) as error:
        print(f"modules.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, two of the cases
        for case in ("list", "replaced"):
            print(report(examine(CASES[case]())), end="\n\n")
        draw(examine(CASES["list"]()).rows)
    else:
        sys.exit(main())
