# %% [markdown]
# # Nearest neighbours
#
# A picture of a digit gets the class that most of its k nearest examples have.
# There is nothing to train. All pairs of a query and an example meet in one
# broadcast, and the queries come in chunks, so that a chunk stays within the
# memory that you allow.
#
# ```console
# $ python broadcasting.py --k 5 --memory 16MB
# $ python broadcasting.py --plot neighbours.png
# ```

# %%
"""Nearest neighbours: one broadcast per chunk, within a limit of memory."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## All pairs in one broadcast
#
# With `None` the queries become `(Q, 1, D)` and the examples `(1, N, D)`.
# Their difference is `(Q, N, D)`, and that tensor is what costs memory. It is
# squared in place, because a second one of its size would double the cost.
#
# Two examples can be equally far away. A stable sort leaves them in their
# order, so the answer does not depend on how the queries are cut into chunks.


# %%
def squared_distances(queries: Tensor, examples: Tensor) -> Tensor:
    """The squared distance of each query to each example.

    Args:
        queries: A tensor of shape `(Q, D)` and a floating dtype.
        examples: A tensor of shape `(N, D)`, dtype and device as `queries`.

    Returns:
        A tensor of shape `(Q, N)` and the same dtype. On the way there is one
        of shape `(Q, N, D)`.
    """
    difference = queries[:, None] - examples[None]  # (Q, 1, D) - (1, N, D)
    return difference.square_().sum(dim=2)


def nearest(
    queries: Tensor,
    examples: Tensor,
    k: int,
    distances: Callable[[Tensor, Tensor], Tensor] = squared_distances,
) -> Tensor:
    """The k nearest examples of each query, the nearest first.

    Of examples at the same distance, the one with the lower number is nearer.

    Args:
        queries: A tensor of shape `(Q, D)`.
        examples: A tensor of shape `(N, D)`, N at least k.
        k: How many to find.
        distances: What gives the distances, or anything that grows with them.

    Returns:
        The numbers of the examples, of shape `(Q, k)` and dtype int64.
    """
    _, order = distances(queries, examples).sort(dim=1, stable=True)
    return order[:, :k].clone()  # a view would keep all N of them


def vote(labels: Tensor, classes: Tensor) -> Tensor:
    """The class that comes most often in each row.

    Of classes with as many votes, the first in `classes` wins.

    Args:
        labels: A tensor of shape `(Q, k)`.
        classes: The classes to vote for, of shape `(C,)` and the same dtype.

    Returns:
        A tensor of shape `(Q,)` and the same dtype.
    """
    votes = (labels[:, :, None] == classes).sum(dim=1)  # (Q, k, C) to (Q, C)
    return classes[votes.argmax(dim=1)]


# %% [markdown]
# ## As much as memory allows
#
# What a query takes is known beforehand: its differences from all examples,
# then the distances in order, then the votes. The differences are gone before
# the distances are sorted, so the larger of the two counts.


# %%
def bytes_per_query(examples: Tensor, k: int, classes: int) -> int:
    """The bytes that classifying one query takes at most.

    Args:
        examples: A tensor of shape `(N, D)`.
        k: How many neighbours vote.
        classes: The number of classes.
    """
    n, d = examples.shape
    size, index = examples.element_size(), torch.int64.itemsize
    differences = n * (d + 1) * size  # and their sums, the distances
    sort = 2 * n * (size + index)  # before, after, the order, room to work
    votes = k * index + (k + 1) * classes * (1 + index)
    return max(differences, sort) + votes


def chunk_size(examples: Tensor, k: int, classes: int, limit: int) -> int:
    """How many queries fit into the limit at once.

    Args:
        examples: A tensor of shape `(N, D)`.
        k: How many neighbours vote.
        classes: The number of classes.
        limit: The memory in bytes.

    Raises:
        ValueError: if not even one fits.
    """
    one = bytes_per_query(examples, k, classes)
    if one > limit:
        raise ValueError(
            f"{in_units(limit)} of memory is too little: one query and "
            f"{len(examples)} examples take {in_units(one)}"
        )
    return limit // one


def classify(
    queries: Tensor,
    examples: Tensor,
    labels: Tensor,
    k: int,
    limit: int,
    distances: Callable[[Tensor, Tensor], Tensor] = squared_distances,
) -> Tensor:
    """The class of each query: the most frequent of its k nearest examples.

    Beside the arguments and the result it takes at most `limit` bytes on the
    CPU. An accelerator may add the room in which it sorts.

    Args:
        queries: A tensor of shape `(Q, D)` and a floating dtype.
        examples: A tensor of shape `(N, D)`, dtype and device as `queries`.
        labels: The classes of the examples, of shape `(N,)` and dtype int64.
        k: How many neighbours vote, from 1 to N.
        limit: The memory in bytes.
        distances: As in `nearest`.

    Returns:
        A tensor of shape `(Q,)` and dtype int64.

    Raises:
        ValueError: if the shapes or dtypes do not fit, k is out of range, or
            not even one query fits into the limit.
    """
    if (queries.ndim, examples.ndim) != (2, 2):
        raise ValueError("queries and examples have shapes (Q, D) and (N, D)")
    if queries.shape[1] != examples.shape[1]:
        raise ValueError(
            f"queries have {queries.shape[1]} features, "
            f"examples {examples.shape[1]}"
        )
    if labels.shape != examples.shape[:1]:
        raise ValueError(
            f"{len(examples)} examples need labels of shape "
            f"({len(examples)},), not {tuple(labels.shape)}"
        )
    for tensor in (queries, examples):
        if not tensor.is_floating_point():
            raise ValueError(f"{tensor.dtype} can overflow: use .float()")
    if not 1 <= k <= len(examples):
        raise ValueError(f"k is from 1 to {len(examples)}, not {k}")
    classes = labels.unique()
    at_once = chunk_size(examples, k, len(classes), limit)
    result = labels.new_empty(len(queries))
    chunks = zip(queries.split(at_once), result.split(at_once), strict=True)
    for chunk, part in chunks:
        found = nearest(chunk, examples, k, distances)
        part[:] = vote(labels[found], classes)
    return result


# %% [markdown]
# ## Amounts of memory


# %%
UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


def bytes_from(text: str) -> int:
    """Read an amount of memory like `64MB`, `1.5 GB`, `512KiB` or `1000`.

    Returns:
        The number of bytes.

    Raises:
        ValueError: if it is none.
    """
    pattern = r"(\d{1,15}\.?\d{0,9})\s*([kmg]?)(i?)b?"
    match = re.fullmatch(pattern, text.strip().lower(), re.ASCII)
    if not match or (match[3] and not match[2]):
        raise ValueError(f"{text!r} is not an amount of memory like 64MB")
    unit = UNITS[match[2]]
    if match[3]:
        unit = 1024 ** list(UNITS).index(match[2])
    return int(float(match[1]) * unit)


def in_units(nbytes: int) -> str:
    """Write a number of bytes for people: 63400000 is `63.4 MB`."""
    for name, unit in (("GB", 1000**3), ("MB", 1000**2), ("kB", 1000)):
        if nbytes >= unit:
            return f"{nbytes / unit:.1f} {name}"
    return f"{nbytes} bytes"


# %% [markdown]
# ## The digits


# %%
@dataclass(frozen=True)
class Digits:
    """Pictures of digits, a fifth of them held out."""

    examples: Tensor
    """Of shape `(1438, 64)` and dtype float32, values from 0 to 16."""
    labels: Tensor
    """Of shape `(1438,)` and dtype int64, values from 0 to 9."""
    queries: Tensor
    """The pictures held out, of shape `(359, 64)`."""
    truth: Tensor
    """What they show, of shape `(359,)`."""


def load(seed: int, device: torch.device) -> Digits:
    """The 1797 digits of scikit-learn in an order that the seed decides."""
    from sklearn.datasets import load_digits

    pixels, shown = map(torch.tensor, load_digits(return_X_y=True))
    order = torch.randperm(
        len(pixels), generator=torch.Generator().manual_seed(seed)
    )
    held_out, kept = order[: len(order) // 5], order[len(order) // 5 :]
    pixels, shown = pixels.float().to(device), shown.to(device)
    return Digits(pixels[kept], shown[kept], pixels[held_out], shown[held_out])


def draw(digits: Digits, rows: Sequence[int], k: int) -> Figure:
    """Draw some queries, each with its k nearest examples.

    Args:
        digits: The pictures.
        rows: The numbers of the queries.
        k: How many examples to draw for each.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(
        len(rows),
        k + 1,
        figsize=(k + 1.4, 1.3 * len(rows)),
        squeeze=False,
        layout="constrained",
    )
    for row, line in zip(rows, places, strict=True):
        query = digits.queries[row : row + 1]
        found = nearest(query, digits.examples, k)[0]
        pictures = torch.cat([query, digits.examples[found]])
        shown = [digits.truth[row], *digits.labels[found]]
        for place, picture, digit in zip(line, pictures, shown, strict=True):
            place.imshow(picture.reshape(8, 8).cpu().numpy(), cmap="gray_r")
            place.set_title(f"is {digit}")
            place.set(xticks=[], yticks=[])
        line[0].set_ylabel("query")
    return figure


# %% [markdown]
# ## On the command line


# %%
def whole_number(text: str, name: str, least: int) -> int:
    """Read a whole number of at most 18 digits.

    Raises:
        ValueError: if it is none, or less than `least`.
    """
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) < least:
        raise ValueError(
            f"{name} is a whole number from {least}, not {text!r}"
        )
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


def show(digits: Digits, k: int, limit: int) -> list[int]:
    """Classify the pictures held out and print how well that went.

    Returns:
        The numbers of the queries, those that were classified wrongly first.
    """
    queries, examples, labels = digits.queries, digits.examples, digits.labels
    predicted = classify(queries, examples, labels, k, limit)
    (q, d), n = queries.shape, len(examples)
    at_once = min(q, chunk_size(examples, k, len(labels.unique()), limit))
    size = examples.element_size()
    print(
        f"all pairs: ({q}, 1, {d}) - (1, {n}, {d}) is ({q}, {n}, {d}), "
        f"{in_units(q * n * d * size)}"
    )
    print(
        f"in one chunk: ({at_once}, {n}, {d}), "
        f"{in_units(at_once * n * d * size)}"
    )
    right = predicted == digits.truth
    print(
        f"right with k = {k}: {int(right.sum())} of {q}, {right.sum() / q:.1%}"
    )
    exact = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
    check = classify(queries, examples, labels, k, limit, exact)
    same = int((check == predicted).sum())
    print(f"the same class with torch.cdist: {same} of {q}")
    return right.int().sort(stable=True).indices.tolist()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Classify digits by their nearest neighbours."
    )
    parser.add_argument(
        "--k", default="3", help="how many neighbours vote (default: 3)"
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        default="64MB",
        help="the most that a chunk may take (default: 64MB)",
    )
    parser.add_argument(
        "--seed", default="0", help="which digits are held out (default: 0)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="draw queries with their neighbours, mistakes first",
    )
    options = parser.parse_args(arguments)
    try:
        k = whole_number(options.k, "--k", least=1)
        limit = bytes_from(options.memory)
        seed = whole_number(options.seed, "--seed", least=0)
        digits = load(seed, device_from(options.device))
        rows = show(digits, k, limit)
        if options.plot:
            draw(digits, rows[:5], min(k, 8)).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"broadcasting.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the defaults
        digits = load(0, torch.device("cpu"))
        draw(digits, show(digits, 3, bytes_from("64MB"))[:5], 3)
    else:
        sys.exit(main())
