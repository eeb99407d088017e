# %% [markdown]
# # Shape doctor
#
# Give it a shape, or a file with a tensor, and a chain of operations. After each step it tells rank, shape,
# strides and offset, whether the step made a view or a copy, and why `view` would not have been allowed.
#
# ```console
# $ python rank.py 2,3,4 "permute(2, 0, 1)" "reshape(4, 6)" "[0]" "unsqueeze(0)"
# $ python rank.py weights.pt "T" "view(-1)"
# ```

# %%
"""Shape doctor: what a chain of operations does to rank, shape, strides and memory of a tensor."""

from __future__ import annotations

import argparse
import ast
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

# %% [markdown]
# ## One step
#
# An operation is written as you would write it behind a tensor: `permute(2, 0, 1)`, `T`, `[:, 0]`. Only the
# operations below are known, and their arguments are plain numbers, so a chain from a stranger runs no code.

# %%
OPERATIONS = (
    "contiguous", "expand", "flatten", "flip", "movedim", "mT", "permute", "ravel", "repeat", "reshape",
    "squeeze", "swapaxes", "T", "t", "transpose", "unflatten", "unsqueeze", "view",
)  # fmt: skip


def apply(tensor: Tensor, operation: str) -> Tensor:
    """Apply one operation, written as in `tensor.<operation>` or `tensor[...]`.

    Raises:
        ValueError: if the operation is not one of `OPERATIONS` or an index, or if torch refuses it.
    """
    text = operation.strip().removeprefix(".")
    try:
        tree = ast.parse(f"x{text}" if text.startswith("[") else f"x.{text}", mode="eval").body
        if isinstance(tree, ast.Subscript) and text.startswith("["):
            return tensor[_index(tree.slice)]
        name = tree.func if isinstance(tree, ast.Call) else tree
        if not isinstance(name, ast.Attribute) or name.attr not in OPERATIONS:
            raise ValueError(f"not an operation I know: one of {', '.join(OPERATIONS)}, or an index like [0, :2]")
        if not isinstance(tree, ast.Call):
            result = getattr(tensor, name.attr)
            if not isinstance(result, Tensor):
                raise ValueError(f"call it: {name.attr}(...)")
            return result
        named = {word.arg: ast.literal_eval(word.value) for word in tree.keywords if word.arg}
        return getattr(tensor, name.attr)(*map(ast.literal_eval, tree.args), **named)
    except SyntaxError:
        raise ValueError(f"{operation!r} is not Python") from None
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{operation!r}: {str(error).splitlines()[0]}") from None


def _index(node: ast.expr):
    """The value of an index that is made of whole numbers, slices, `None`, `...` and lists of them."""
    if isinstance(node, ast.Tuple):
        return tuple(_index(part) for part in node.elts)
    if isinstance(node, ast.Slice):
        return slice(*(None if part is None else ast.literal_eval(part) for part in (node.lower, node.upper, node.step)))
    return ast.literal_eval(node)


# %% [markdown]
# ## Would `view` be allowed?
#
# A view cuts the same elements anew without moving one. Two neighbouring dimensions can be merged if they lie
# end to end: the stride of the left one is the size times the stride of the right one. Where they do not, there
# is a seam, and every new shape has to keep it: the number of elements behind the seam has to be the number of
# elements in the last so many dimensions of the new shape.


# %%
def seams(tensor: Tensor) -> list[tuple[int, int]]:
    """The neighbouring dimensions that do not lie end to end, those of size 1 left out.

    Returns:
        Pairs of dimensions, from left to right; empty for a contiguous tensor.
    """
    long = [dim for dim in range(tensor.ndim) if tensor.shape[dim] != 1]
    return [(a, b) for a, b in zip(long, long[1:]) if tensor.stride(a) != tensor.shape[b] * tensor.stride(b)]


def why_no_view(tensor: Tensor, shape: Sequence[int]) -> str:
    """Why `tensor.view(shape)` is not allowed, in one sentence; empty if it is allowed.

    Args:
        tensor: Any strided tensor.
        shape: The new sizes, all of them given (no -1).
    """
    if math.prod(shape) != tensor.numel():
        return f"{tuple(shape)} has {math.prod(shape)} elements, and the tensor has {tensor.numel()}"
    kept = {math.prod(shape[dim:]) for dim in range(len(shape) + 1)}
    for a, b in seams(tensor) if tensor.numel() else []:
        if math.prod(tensor.shape[b:]) not in kept:
            return (
                f"dimensions {a} and {b} would be merged, and they do not lie end to end: "
                f"stride {tensor.stride(a)} is not {tensor.shape[b]} x {tensor.stride(b)}"
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
    """Whether the operation copied: the result does not share the storage of the tensor before it."""
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
            raise ValueError(f"step {number}, on {tuple(before.shape)}: {error}") from None
        copied = after.untyped_storage().data_ptr() != before.untyped_storage().data_ptr()
        is_cut = operation.strip().removeprefix(".").startswith(("reshape", "flatten", "ravel"))
        note = why_no_view(before, after.shape) if copied and is_cut else ""
        steps.append(Step(operation.strip(), after, copied, note))
    return steps


def report(steps: Sequence[Step]) -> str:
    """The steps as a table with a line per step; strides and offsets are counted in elements."""
    rows = [("", "rank", "shape", "strides", "offset", "contiguous", "memory")]
    for step in steps:
        tensor = step.tensor
        memory = "a copy" if step.copied else "a view"
        if step is steps[0]:
            memory = f"{tensor.untyped_storage().nbytes()} bytes, {tensor.dtype}, on {tensor.device}"
        if step.note:
            memory += f": {step.note}"
        cells = (tensor.ndim, tuple(tensor.shape), tensor.stride(), tensor.storage_offset())
        rows.append((step.operation, *map(str, cells), "yes" if tensor.is_contiguous() else "no", memory))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


# %% [markdown]
# ## A picture of the storage
#
# Each strip is the storage that a step walks along. The numbers tell in which order it visits the places.


# %%
def draw(steps: Sequence[Step]):
    """Draw the storage after each step, numbered in the order in which the elements of the tensor visit it.

    Args:
        steps: From `examine`. Storages of more than 100 elements are too long to draw.

    Returns:
        The matplotlib figure.

    Raises:
        ValueError: if a storage is too long.
    """
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(len(steps), 1, figsize=(9, 0.8 * len(steps) + 0.4), squeeze=False)
    for place, step in zip(places[:, 0], steps):
        tensor = step.tensor
        length = tensor.untyped_storage().nbytes() // tensor.element_size()
        if length > 100:
            raise ValueError(f"{step.operation}: a storage of {length} elements is too long to draw, 100 is the most")
        order = torch.full((length,), math.nan)
        at = torch.arange(length).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).flatten()
        order[at] = torch.arange(len(at), dtype=torch.float32)
        place.matshow(order[None], cmap="Blues", vmin=-max(1, len(at) // 3), aspect="auto")
        for x in at.unique().tolist():
            place.text(x, 0, f"{order[x]:g}", ha="center", va="center", fontsize=8,
                       color="white" if order[x] > len(at) / 2 else "black")  # fmt: skip
        place.set(xticks=[], yticks=[0], yticklabels=[step.operation])
    figure.tight_layout()
    return figure


# %% [markdown]
# ## On the command line


# %%
def tensor_from(text: str, device: torch.device) -> Tensor:
    """A tensor from a file (`.pt`, `.npy`) or, from sizes like `2,3,4`, filled with 0, 1, 2, …

    Raises:
        ValueError: if it is neither, or the file holds no tensor.
    """
    path = Path(text)
    if path.suffix not in (".pt", ".pth", ".npy"):
        try:
            shape = [int(size) for size in text.strip("()[]").split(",") if size.strip()]
        except ValueError:
            raise ValueError(f"{text!r} is neither a shape like 2,3,4 nor a .pt, .pth or .npy file") from None
        if min(shape, default=0) < 0:
            raise ValueError(f"{text!r}: a size cannot be negative")
        return torch.arange(math.prod(shape), device=device).reshape(shape)
    if not path.is_file():
        raise ValueError(f"there is no file {text}")
    try:
        if path.suffix == ".npy":
            import numpy as np

            loaded = torch.from_numpy(np.load(path))
        else:
            loaded = torch.load(path, weights_only=True)
    except Exception as error:  # whatever a broken file makes of a reader
        raise ValueError(f"{text} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, Tensor):
        raise ValueError(f"{text} holds a {type(loaded).__name__} and no tensor")
    return loaded.to(device)


def device_from(name: str) -> torch.device:
    """The device of that name; `auto` is the accelerator of this machine, or the CPU if it has none.

    Raises:
        ValueError: if this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return accelerator or torch.device("cpu")
    if name != "cpu" and (accelerator is None or accelerator.type != name):
        raise ValueError(f"this machine has no {name}: it has {'cpu' if accelerator is None else f'cpu and {accelerator.type}'}")
    return torch.device(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(description="What a chain of operations does to a tensor.")
    parser.add_argument("tensor", nargs="?", default="2,3,4", help="sizes, like 2,3,4, or a .pt, .pth or .npy file (default: %(default)s)")
    parser.add_argument("operations", nargs="*", help='like "permute(2, 0, 1)" "reshape(4, 6)" T "[0, :2]"')
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the storage after each step (.png, .svg, .pdf)")
    options = parser.parse_args(arguments)
    try:
        steps = examine(tensor_from(options.tensor, device_from(options.device)), options.operations)
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
        steps = examine(torch.arange(24).reshape(2, 3, 4), ["permute(2, 0, 1)", "[1:3]", "reshape(4, 3)", "T"])
        print(report(steps))
        draw(steps)
    else:
        sys.exit(main())
