# %% [markdown]
# # Shape doctor
#
# Give it a shape, or a file with a tensor, and a chain of operations. After
# each step it tells rank, shape, strides and offset, whether the step made a
# view or a copy, and why `view` would not have been allowed.
#
# ```console
# $ python rank.py 2,3,4 "permute(2, 0, 1)" "reshape(4, 6)" "[0]"
# $ python rank.py weights.pt "T" "view(-1)"
# ```

# %%
"""Shape doctor: what operations do to rank, shape and memory of a tensor."""

from __future__ import annotations

import argparse
import ast
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## One step
#
# An operation is written as you would write it behind a tensor:
# `permute(2, 0, 1)`, `T`, `[:, 0]`. Only the operations below are known, and
# their arguments are plain numbers, so a chain from a stranger runs no code.

# %%
OPERATIONS = (
    "contiguous", "expand", "flatten", "flip", "movedim", "mT", "permute",
    "ravel", "repeat", "reshape", "squeeze", "swapaxes", "T", "t",
    "transpose", "unflatten", "unsqueeze", "view",
)  # fmt: skip


def apply(tensor: Tensor, operation: str) -> Tensor:
    """Apply one operation, as in `tensor.<operation>` or `tensor[...]`.

    Raises:
        ValueError: if it is not one index or one of `OPERATIONS`, or if torch
            refuses it.
    """
    text = operation.strip().removeprefix(".")
    try:
        tree = ast.parse(
            f"x{text}" if text.startswith("[") else f"x.{text}", mode="eval"
        ).body
        call = tree if isinstance(tree, ast.Call) else None
        head = call.func if call else tree
        if not isinstance(getattr(head, "value", None), ast.Name):
            raise ValueError("not one operation: give each one by itself")
        if isinstance(head, ast.Subscript) and not call:
            index = _index(head.slice)
            return tensor[index if isinstance(index, tuple) else (index,)]
        if not isinstance(head, ast.Attribute) or head.attr not in OPERATIONS:
            raise ValueError(
                f"not an operation I know: one of {', '.join(OPERATIONS)}, "
                "or an index like [0, :2]"
            )
        result = getattr(tensor, head.attr)
        if call:
            words = {str(w.arg): _plain(w.value) for w in call.keywords}
            result = result(*map(_plain, call.args), **words)
        if not isinstance(result, Tensor):
            raise ValueError(f"call it: {head.attr}(...)")
        return result
    except (SyntaxError, MemoryError):
        raise ValueError(f"{operation[:60]!r} is not Python") from None
    except (IndexError, RuntimeError, TypeError, ValueError, Warning) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{operation[:60]!r}: {reason}") from None


def _plain(node: ast.expr) -> Any:
    """The value of an argument that is written down: a number, a tuple, …"""
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError("an argument is not a plain value") from None


def _index(node: ast.expr) -> Any:
    """The value of an index: numbers, slices, `None`, `...`, lists of them."""
    if isinstance(node, ast.Tuple):
        return tuple(_index(part) for part in node.elts)
    if isinstance(node, ast.Slice):
        bounds = (node.lower, node.upper, node.step)
        return slice(
            *(None if part is None else _plain(part) for part in bounds)
        )
    return _plain(node)


# %% [markdown]
# ## When a view is allowed
#
# A view cuts the same elements anew without moving one. Two neighbouring
# dimensions can be merged if they lie end to end: the stride of the left one
# is the size times the stride of the right one. Where they do not, there is a
# seam, and every new shape has to keep it: the number of elements behind the
# seam has to be the number of elements in the last so many dimensions of the
# new shape.


# %%
def seams(tensor: Tensor) -> list[tuple[int, int]]:
    """The neighbouring dimensions that do not lie end to end.

    Returns:
        Pairs of dimensions, from left to right, those of size 1 left out;
        empty for a contiguous tensor.
    """
    long = [dim for dim in range(tensor.ndim) if tensor.shape[dim] != 1]
    return [
        (a, b)
        for a, b in pairwise(long)
        if tensor.stride(a) != tensor.shape[b] * tensor.stride(b)
    ]


def why_no_view(tensor: Tensor, shape: Sequence[int]) -> str:
    """Why `tensor.view(shape)` is not allowed; empty if it is allowed.

    Args:
        tensor: Any strided tensor.
        shape: The new sizes, all of them given (no -1).
    """
    elements = math.prod(shape)
    if elements != tensor.numel():
        return (
            f"{tuple(shape)} has {elements} elements, "
            f"and the tensor has {tensor.numel()}"
        )
    kept = {math.prod(shape[dim:]) for dim in range(len(shape) + 1)}
    for a, b in seams(tensor) if elements else []:
        if math.prod(tensor.shape[b:]) not in kept:
            return (
                f"dimensions {a} and {b} would be merged, and they do not lie "
                f"end to end: stride {tensor.stride(a)} is not "
                f"{tensor.shape[b]} x {tensor.stride(b)}"
            )
    return ""


# %% [markdown]
# ## The whole chain


# %%
@dataclass(frozen=True)
class Step:
    """A tensor after an operation."""

    operation: str
    tensor: Tensor
    copied: bool
    """Whether the result has another storage than the tensor before it."""
    note: str = ""
    """Why it had to copy, where a `view` would have done otherwise."""


def examine(tensor: Tensor, operations: Sequence[str]) -> list[Step]:
    """Apply operations one after the other and tell what each of them did.

    Args:
        tensor: The tensor to start from, of any shape, dtype and device.
        operations: As in `apply`.

    Returns:
        One step for the tensor itself and one per operation.

    Raises:
        ValueError: naming the step that is wrong.
    """
    steps = [Step("x", tensor, copied=False)]
    for number, operation in enumerate(operations, 1):
        before = steps[-1].tensor
        try:
            after = apply(before, operation)
        except ValueError as error:
            where = f"step {number}, on {tuple(before.shape)}"
            raise ValueError(f"{where}: {error}") from None
        copied = (
            after.untyped_storage().data_ptr()
            != before.untyped_storage().data_ptr()
        )
        name = operation.strip().removeprefix(".")
        is_cut = name.startswith(("reshape", "flatten", "ravel"))
        note = why_no_view(before, after.shape) if copied and is_cut else ""
        steps.append(Step(name, after, copied, note))
    return steps


def report(steps: Sequence[Step]) -> str:
    """The steps as a table; strides and offsets are counted in elements."""
    rows = [["", "rank", "shape", "strides", "offset", "contiguous", "memory"]]
    for step in steps:
        tensor = step.tensor
        memory = "a copy" if step.copied else "a view"
        if step is steps[0]:
            nbytes = tensor.untyped_storage().nbytes()
            memory = f"{nbytes} bytes, {tensor.dtype}, on {tensor.device}"
        if step.note:
            memory += f": {step.note}"
        rows.append([
            step.operation,
            str(tensor.ndim),
            str(tuple(tensor.shape)),
            str(tensor.stride()),
            str(tensor.storage_offset()),
            "yes" if tensor.is_contiguous() else "no",
            memory,
        ])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
    )


# %% [markdown]
# ## A picture of the storage
#
# Each strip is the storage that a step walks along. The numbers tell in which
# order it visits the places.


# %%
def draw(steps: Sequence[Step]) -> Figure:
    """Draw the storage after each step, its places numbered as visited.

    Args:
        steps: From `examine`.

    Returns:
        The matplotlib figure.

    Raises:
        ValueError: if a storage has more than 100 elements.
    """
    import matplotlib.pyplot as plt

    for step in steps:
        storage = step.tensor.untyped_storage()
        length = storage.nbytes() // step.tensor.element_size()
        if length > 100:
            raise ValueError(
                f"{step.operation}: its storage has {length} elements, "
                "and 100 is the most that can be drawn"
            )
    figure, places = plt.subplots(
        len(steps), 1, figsize=(9, 0.8 * len(steps) + 0.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for place, step in zip(places[:, 0], steps, strict=True):
        tensor = step.tensor
        storage = tensor.untyped_storage()
        line = torch.arange(storage.nbytes() // tensor.element_size())
        at = line.as_strided(
            tensor.shape, tensor.stride(), tensor.storage_offset()
        ).flatten()
        order = torch.full(line.shape, math.nan)
        order[at] = torch.arange(len(at), dtype=torch.float32)
        pale = -max(1, len(at) // 3)
        place.matshow(order[None], cmap="Blues", vmin=pale, aspect="auto")
        for x in set(at.tolist()):
            color = "white" if order[x] > len(at) / 2 else "0.1"
            place.text(
                x, 0, f"{order[x]:g}",
                ha="center", va="center", fontsize=8, color=color,
            )  # fmt: skip
        place.set(xticks=[], yticks=[0], yticklabels=[step.operation])
    return figure


# %% [markdown]
# ## On the command line


# %%
def sizes_from(text: str) -> tuple[int, ...]:
    """The sizes in a text like `2,3,4` or `(2, 3, 4)`.

    Raises:
        ValueError: if the text is no shape, or a size is negative.
    """
    try:
        shape = [int(n) for n in text.strip("()[]").split(",") if n.strip()]
    except ValueError:
        raise ValueError(f"{text!r} is not a shape like 2,3,4") from None
    if min(shape, default=0) < 0:
        raise ValueError(f"{text!r}: a size cannot be negative")
    return tuple(shape)


def tensor_in(path: Path) -> Tensor:
    """The tensor in a file, `.npy` or of `torch.save`.

    Raises:
        ValueError: if there is no such file or no tensor with strides in it.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        if path.suffix == ".npy":
            import numpy as np

            loaded = torch.from_numpy(np.load(path))
        else:
            loaded = torch.load(path, weights_only=True)
    except OSError:
        raise
    except Exception:  # whatever a broken file makes of a reader
        raise ValueError(
            f"{path} cannot be read: it is broken, "
            "or holds more than numbers and tensors"
        ) from None
    if not isinstance(loaded, Tensor) or loaded.layout != torch.strided:
        kind = type(loaded).__name__
        raise ValueError(f"{path} holds a {kind} and no tensor with strides")
    return loaded


def tensor_from(text: str, device: torch.device) -> Tensor:
    """A tensor from a file, or from sizes like `2,3,4`, filled with 0, 1, 2, …

    Raises:
        ValueError: if it is neither, as in `tensor_in` and `sizes_from`, or if
            the device cannot hold it.
    """
    try:
        if Path(text).suffix in (".pt", ".pth", ".npy"):
            return tensor_in(Path(text)).to(device)
        shape = sizes_from(text)
        return torch.arange(math.prod(shape), device=device).reshape(shape)
    except (RuntimeError, TypeError):
        raise ValueError(f"{text} does not fit on {device}") from None


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
        description="What a chain of operations does to a tensor."
    )
    parser.add_argument(
        "tensor",
        nargs="?",
        default="2,3,4",
        help="sizes, or a .pt, .pth or .npy file (default: %(default)s)",
    )
    parser.add_argument(
        "operations",
        nargs="*",
        help='like "permute(2, 0, 1)" "reshape(4, 6)" T "[0, :2]"',
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the storage after each step (.png, .svg, .pdf)",
    )
    options = parser.parse_args(arguments)
    try:
        tensor = tensor_from(options.tensor, device_from(options.device))
        steps = examine(tensor, options.operations)
        print(report(steps))
        if options.plot:
            draw(steps).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"rank.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, an example
        steps = examine(
            torch.arange(24).reshape(2, 3, 4),
            ["permute(2, 0, 1)", "[1:3]", "reshape(4, 3)", "T"],
        )
        print(report(steps))
        draw(steps)
    else:
        sys.exit(main())
