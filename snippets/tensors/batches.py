# %% [markdown]
# # Layer doctor
#
# Give it a layer. It calls the layer with tensors of rank 0 to 5 and tells
# which ranks it accepts, which sizes are free and which are fixed, what comes
# out, and which rank is one sample and which a batch. Give it the shape of an
# input as well, and if the layer refuses it you learn what would help.
#
# ```console
# $ python batches.py "Linear(5, 2)"
# $ python batches.py "Conv2d(3, 8, 3)" --input 1,32,32,3
# ```

# %%
"""Layer doctor: which shapes a layer accepts, and what each size means."""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn

# %% [markdown]
# ## A layer from a text
#
# The name has to be a layer of `torch.nn` and the arguments plain values, so a
# text from a stranger runs no code but the layer's.


# %%
def build_layer(text: str) -> nn.Module:
    """Build a layer of `torch.nn` from a text like `Conv2d(3, 8, 3)`.

    Raises:
        ValueError: if there is no such layer, an argument is not a plain
            value, or the layer refuses the arguments.
    """
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if not isinstance(call, ast.Call):
        raise ValueError(f"{text[:60]!r} is not a layer like Conv2d(3, 8, 3)")
    name = ast.unparse(call.func).removeprefix("torch.").removeprefix("nn.")
    kinds = {
        name: kind
        for name, kind in vars(nn).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    if name not in kinds:
        close = difflib.get_close_matches(name, kinds, 1)
        hint = f": did you mean {close[0]}?" if close else ""
        raise ValueError(f"torch.nn has no layer {name}{hint}")
    try:
        arguments = [ast.literal_eval(value) for value in call.args]
        words = {str(w.arg): ast.literal_eval(w.value) for w in call.keywords}
    except ValueError:
        raise ValueError(f"{text!r}: arguments are not plain values") from None
    try:
        with warnings.catch_warnings(action="ignore"):
            layer = kinds[name](*arguments, **words)
    except Exception as error:  # whatever a layer makes of its arguments
        raise ValueError(f"{text!r}: {first_line(error)}") from None
    if any(map(nn.parameter.is_lazy, layer.parameters())):
        raise ValueError(f"{text!r} takes its sizes from its first input")
    return layer


def first_line(error: Exception) -> str:
    """What an exception says, without the lines that follow the first."""
    return next(iter(str(error).splitlines()), type(error).__name__)


# %% [markdown]
# ## Calling it
#
# A layer that takes more than one input, like `MultiheadAttention`, gets the
# same tensor for each. Layers that look things up take whole numbers.


# %%
def zeros(layer: nn.Module, shape: Sequence[int]) -> Tensor:
    """An input of zeros on torch's default device, float32 or int64."""
    looks_up = isinstance(layer, (nn.Embedding, nn.EmbeddingBag))
    dtype = torch.int64 if looks_up else torch.float32
    return torch.zeros(tuple(shape), dtype=dtype)


@torch.no_grad()
def call(layer: nn.Module, tensor: Tensor) -> Any:
    """What the layer makes of a tensor.

    Raises:
        ValueError: if it refuses the tensor, with its own message.
    """
    wanted = inspect.signature(layer.forward).parameters.values()
    required = [each for each in wanted if each.default is each.empty]
    try:
        with warnings.catch_warnings(action="ignore"):
            return layer(*[tensor] * len(required))
    except Exception as error:  # whatever a layer makes of its input
        raise ValueError(first_line(error)) from None


def accepts(layer: nn.Module, shape: Sequence[int]) -> bool:
    """Whether the layer, in its mode (eval or train), takes such an input."""
    try:
        call(layer, zeros(layer, shape))
    except ValueError:
        return False
    return True


def shapes_of(result: Any) -> Any:
    """A result with the shape of each tensor in its place."""
    if isinstance(result, Tensor):
        return tuple(result.shape)
    if isinstance(result, (tuple, list)):
        return tuple(map(shapes_of, result))
    return result


# %% [markdown]
# ## Finding the shapes that it accepts
#
# Sizes that a layer insists on are among its own numbers, or are products of
# two of them. So try each of these in each place, with small sizes around it,
# then larger ones. When a shape is accepted, vary one size at a time to see
# what it means. A layer that ties two sizes to each other is not seen through.


# %%
def sizes_that_matter(layer: nn.Module) -> list[tuple[int, ...]]:
    """The numbers of a layer, each alone, and those that it keeps together."""
    found = {tuple(parameter.shape[-1:]) for parameter in layer.parameters()}
    for part in layer.modules():
        for value in vars(part).values():
            sizes = value if isinstance(value, (tuple, list)) else (value,)
            if sizes and all(type(n) is int and 0 < n < 10**6 for n in sizes):
                found |= {tuple(sizes), *((n,) for n in sizes)}
    single = [sizes[0] for sizes in found if len(sizes) == 1]
    found |= {(a * b,) for a in single for b in single if a * b <= 1024}
    return sorted(found - {()}, key=lambda sizes: (-len(sizes), sizes))


def candidates(layer: nn.Module, rank: int) -> Iterator[tuple[int, ...]]:
    """Shapes of a rank to try; their free sizes are none of the layer's."""
    special = sizes_that_matter(layer)
    unlike = [n for n in range(2, 200) if (n,) not in special]
    for least in (3, 6, 12, 48):
        large = [n for n in unlike[1:] if n >= least]
        free = (*unlike[:1], *large)[:rank]
        yield free
        for block in [*special, (24,)]:
            for at in range(rank - len(block) + 1):
                shape = (*free[:at], *block, *free[at + len(block) :])
                if math.prod(shape) <= 2**18:
                    yield shape


def meaning(layer: nn.Module, shape: tuple[int, ...], dim: int) -> str:
    """What the size of one dimension of an accepted shape means to the layer.

    Returns:
        `any`, a size, `3 or more`, `a multiple of 4`, or the sizes of those
        tried that are accepted.
    """
    size = shape[dim]
    tried = [1, size - 1, size, size + 1, 2 * size]
    if size <= 64:
        tried = list(range(1, 2 * size + 2))
    tried = sorted({n for n in tried if n > 0})
    good = [
        n
        for n in tried
        if accepts(layer, (*shape[:dim], n, *shape[dim + 1 :]))
    ]
    if good == tried:
        return "any"
    if good == [size]:
        return str(size)
    least = good[0]
    if least - 1 in tried and good == [n for n in tried if n >= least]:
        return f"{least} or more"
    if good == [n for n in tried if n % least == 0]:
        return f"a multiple of {least}"
    return "one of " + ", ".join(map(str, good))


@dataclass(frozen=True)
class Answer:
    """What a layer makes of inputs of a rank."""

    shape: tuple[int, ...]
    """An input that it accepts, or the first one that it refuses."""
    sizes: tuple[str, ...] = ()
    """What each size means, as in `meaning`."""
    output: Any = None
    """The shape of what comes out, or a tuple of shapes."""
    refusal: str = ""
    """Why it accepts none, in torch's words; empty if it accepts some."""


def find_shapes(
    layer: nn.Module, ranks: Sequence[int] = range(6)
) -> list[Answer]:
    """Find for each rank whether a layer, in its mode, accepts it, and how.

    Args:
        layer: Any module that takes one tensor, or the same one several times,
            on torch's default device.
        ranks: The ranks to try.
    """
    answers = []
    for rank in ranks:
        shapes = list(candidates(layer, rank))
        good = next((shape for shape in shapes if accepts(layer, shape)), None)
        if good is None:
            reason = refusal(layer, shapes[0])
            answers.append(Answer(shapes[0], refusal=reason))
            continue
        sizes = tuple(meaning(layer, good, dim) for dim in range(rank))
        output = shapes_of(call(layer, zeros(layer, good)))
        answers.append(Answer(good, sizes, output))
    return answers


def refusal(layer: nn.Module, shape: Sequence[int]) -> str:
    """Why the layer refuses such an input; empty if it accepts it."""
    try:
        call(layer, zeros(layer, shape))
    except ValueError as error:
        return str(error)
    return ""


# %% [markdown]
# ## One sample or a batch?
#
# An input is a batch if the result is what comes of its samples one by one.
# Where the layer takes no single sample, batches of one take its place.


# %%
def joins(
    layer: nn.Module, shape: tuple[int, ...], dim: int, *, keep: bool = False
) -> bool:
    """Whether a result is made of the results of its samples one by one.

    Args:
        layer: In eval mode.
        shape: A shape that it accepts.
        dim: The dimension that may count the samples.
        keep: Whether each sample keeps this dimension, with size 1.
    """
    tensor = zeros(layer, shape)
    if tensor.is_floating_point():  # numbers that differ, and are not random
        tensor += torch.arange(tensor.numel()).sin().reshape(shape)
    samples = tensor.chunk(shape[dim], dim) if keep else tensor.unbind(dim)
    join = torch.cat if keep else torch.stack
    try:
        whole, *parts = (call(layer, each) for each in (tensor, *samples))
        while isinstance(whole, tuple):
            whole, parts = whole[0], [part[0] for part in parts]
        joined = join(parts, dim)
    except (IndexError, RuntimeError, TypeError, ValueError):
        return False
    alike = joined.shape == whole.shape
    return alike and torch.allclose(joined, whole, atol=1e-4)


def batch_dimension(layer: nn.Module, shape: tuple[int, ...]) -> int | None:
    """The dimension, 0 or 1, along which inputs of one rank less lie."""
    dims = range(min(2, len(shape)))
    return next((dim for dim in dims if joins(layer, shape, dim)), None)


def roles(layer: nn.Module, answers: Sequence[Answer]) -> list[str]:
    """What each input is to the layer: one sample, or a batch.

    Args:
        layer: In eval mode.
        answers: From `find_shapes`, for ranks that follow one another.
    """
    dims = [
        None if answer.refusal else batch_dimension(layer, answer.shape)
        for answer in answers
    ]
    found = []
    for answer, dim, above in zip(
        answers, dims, [*dims[1:], None], strict=True
    ):
        shape = answer.shape
        if answer.refusal:
            found.append("refused")
        elif dim is not None:
            found.append(f"a batch along dimension {dim}")
        elif above is not None:
            found.append("one sample")
        elif shape and joins(layer, shape, 0, keep=True):
            found.append("a batch along dimension 0")
        else:
            found.append("one whole")
    return found


# %% [markdown]
# ## What would help


# %%
@dataclass(frozen=True)
class Cure:
    """An operation on a tensor after which a layer accepts it."""

    operation: str
    shape: tuple[int, ...]
    """The shape after it."""


def cures(layer: nn.Module, shape: Sequence[int]) -> list[Cure]:
    """What turns a shape into one that the layer, in its mode, accepts.

    Added dimensions of size 1 come first, then permutations. Which of them is
    meant, only you know: a layer takes height for width.

    Args:
        layer: On torch's default device.
        shape: Of rank 6 or less.
    """
    rank = len(shape)
    tried = [
        Cure(f"unsqueeze({dim})", (*shape[:dim], 1, *shape[dim:]))
        for dim in range(rank + 1)
    ]
    tried += [
        Cure(f"permute{order}", tuple(shape[dim] for dim in order))
        for order in permutations(range(rank))
        if order != tuple(range(rank))
    ]
    return [cure for cure in tried if accepts(layer, cure.shape)]


# %% [markdown]
# ## On the command line


# %%
def report(layer: nn.Module) -> str:
    """What a layer makes of inputs of rank 0 to 5, as a table."""
    training = find_shapes(layer.train())
    answers = find_shapes(layer.eval())
    rows = [["rank", "sizes", "for example", "gives", "is"]]
    names = roles(layer, answers)
    for answer, train, name in zip(answers, training, names, strict=True):
        rank = str(len(answer.shape))
        if answer.refusal:
            rows.append([rank, "refused: " + answer.refusal])
            continue
        sizes = ", ".join(answer.sizes) or "none"
        if train.refusal:
            sizes += f" (in training refused: {train.refusal})"
        elif train.sizes != answer.sizes:
            sizes += f" (in training: {', '.join(train.sizes)})"
        example, output = str(answer.shape), str(answer.output)
        rows.append([rank, sizes, example, output, name])
    wide = [row for row in rows if len(row) > 2]
    widths = [max(map(len, column)) for column in zip(*wide, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
    )


def advice(layer: nn.Module, shape: tuple[int, ...]) -> str:
    """What the layer makes of one shape, and what would help if it refuses."""
    reason = refusal(layer.eval(), shape)
    if not reason:
        output = shapes_of(call(layer, zeros(layer, shape)))
        return f"{shape} gives {output}"
    found = cures(layer, shape)
    lines = [f"{shape} is refused: {reason}"]
    for cure in found[:3]:
        output = shapes_of(call(layer, zeros(layer, cure.shape)))
        lines.append(
            f"  x.{cure.operation} is {cure.shape} and gives {output}"
        )
    if not found:
        lines.append(
            "  No order of the dimensions and no added one would help."
        )
    return "\n".join(lines)


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
        description="Which shapes a layer accepts, and what each size means."
    )
    parser.add_argument(
        "layer",
        nargs="?",
        default="Conv2d(3, 8, 3)",
        help="as behind torch.nn (default: %(default)s)",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="SIZES",
        help="a shape to try, like 1,32,32,3; may be given more than once",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    options = parser.parse_args(arguments)
    try:
        shapes = [sizes_from(text) for text in options.input]
        for shape in shapes:
            if len(shape) > 6 or math.prod(shape) > 2**26:
                raise ValueError(
                    f"{shape} is too large to try: rank 6 and {2**26} "
                    "elements are the most"
                )
        with device_from(options.device):
            layer = build_layer(options.layer)
            print(layer)
            print(report(layer))
            for shape in shapes:
                print(advice(layer, shape))
    except (ValueError, OSError) as error:
        print(f"batches.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, an example
        layer = build_layer("Conv2d(3, 8, 3)")
        print(report(layer))
        print(advice(layer, (1, 32, 32, 3)))
    else:
        sys.exit(main())
