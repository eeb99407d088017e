# %% [markdown]
# # Honest summary
#
# Count, range, sum, mean, deviation and median of any tensor, whole or along a
# dimension. Missing and infinite numbers are counted and left out. Sums of
# whole numbers are exact, integers and halves have a mean, and what does not
# exist is left empty. The tensor comes from a file or is real data.
#
# ```console
# $ python operations.py --data wine --dim 0
# $ python operations.py weights.pt --key layer.weight --torch
# $ python operations.py table.csv --dim 0 --plot summary.png
# ```

# %%
"""Honest summary: statistics of any tensor, whole or along a dimension."""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, islice, product
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# %% [markdown]
# ## What a summary says
#
# All of it is about the finite numbers. A statistic that does not exist, such
# as the mean of no numbers, is `None`.


# %%
@dataclass(frozen=True)
class Summary:
    """Statistics of the finite numbers of a tensor."""

    numbers: int
    """How many finite numbers there are."""
    missing: int
    """How many elements are NaN."""
    infinite: int
    """How many elements are plus or minus infinity."""
    lowest: int | float | None
    highest: int | float | None
    total: int | float | None
    """Their sum, 0 for no numbers, and None if it exceeds a float64."""
    mean: float | None
    std: float | None
    """With N - 1 in the denominator, None for fewer than two numbers."""
    median: float | None
    """The mean of the two in the middle, where there are two."""


# %% [markdown]
# ## Whole numbers
#
# int64 is as wide as integers get, so its sums can wrap around. The upper and
# the lower 32 bits of each number are added up on their own, which leaves room
# for two thousand million numbers. Python's integers then hold any total.
#
# The deviation does not change when the same number is subtracted from all.
# Without the lowest, numbers that lie close together are small, and floats
# hold them without loss.


# %%
def exact_sum(whole: Tensor) -> int:
    """The sum of a tensor of dtype int64 and at most 2^31 elements."""
    upper, lower = whole >> 32, whole & (2**32 - 1)
    return (int(upper.sum()) << 32) + int(lower.sum())


def middle(ordered: Tensor) -> tuple[int | float, int | float]:
    """The two numbers in the middle of a sorted vector, one twice if odd."""
    n = len(ordered)
    return ordered[(n - 1) // 2].item(), ordered[n // 2].item()


def summary_of_whole(x: Tensor) -> Summary:
    """The summary of a tensor of bools or integers, of any shape."""
    shift = 0
    if x.dtype == torch.uint64:  # as int64 it starts at -2^63
        shift = 2**63
        x = x.view(torch.int64) ^ -shift
    whole = x.long().flatten()
    n = whole.numel()
    if not n:
        return Summary(0, 0, 0, None, None, 0, None, None, None)
    ordered = whole.sort().values
    low, high = int(ordered[0]), int(ordered[-1])
    total = exact_sum(whole) + n * shift
    start = low if high - low < 2**62 else 0
    a, b = middle(ordered)
    return Summary(
        numbers=n,
        missing=0,
        infinite=0,
        lowest=low + shift,
        highest=high + shift,
        total=total,
        mean=total / n,
        std=deviation((whole - start).double()),
        median=(int(a) + int(b) + 2 * shift) / 2,
    )


# %% [markdown]
# ## Floats
#
# Every float dtype fits into float64. `math.fsum` rounds once, at the end, so
# neither the order nor a small number between large ones matters. A mean may
# exist where the sum does not: the mean of two numbers of 1.7e308. So numbers
# that large are divided by a power of two first, and numbers whose squares
# would be too large or too small are, too.


# %%
def sum_of_floats(x: Tensor) -> float:
    """The sum of a vector of finite float64, rounded once.

    Raises:
        OverflowError: if it exceeds a float64, on the way or at the end.
    """
    return math.fsum(
        chain.from_iterable(part.tolist() for part in x.split(2**16))
    )


def scaled(x: Tensor) -> tuple[Tensor, int]:
    """A vector of float64 times a power of two that brings it below 1.

    Returns:
        The vector, and the exponent that undoes it: `x` is `y * 2**exponent`.
    """
    exponent = math.frexp(float(x.abs().max()))[1]
    half = -exponent // 2  # 2**-exponent alone may exceed a float64
    return x * 2.0**half * 2.0 ** (-exponent - half), exponent


def unscaled(value: float, exponent: int) -> float | None:
    """A value times `2**exponent`, None if that exceeds a float64."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return None


def deviation(x: Tensor) -> float | None:
    """The standard deviation of a vector of finite float64.

    Returns:
        None for fewer than two numbers, or if it exceeds a float64.
    """
    n = len(x)
    if n < 2:
        return None
    y, exponent = scaled(x)
    # The mean is subtracted twice, because the first one is rounded. Each
    # time the numbers are brought near 1, or their squares might become 0.
    for _ in range(2):
        y, more = scaled(y - sum_of_floats(y) / n)
        exponent += more
    return unscaled(math.sqrt(float(y.square().sum()) / (n - 1)), exponent)


def summary_of_floats(x: Tensor) -> Summary:
    """The summary of a tensor of any float dtype and any shape.

    Raises:
        RuntimeError: if torch does not convert the dtype to float64.
    """
    every = x.double().flatten()
    finite = every[every.isfinite()]
    n, missing = len(finite), int(every.isnan().sum())
    infinite = len(every) - n - missing
    if not n:
        return Summary(0, missing, infinite, None, None, 0, None, None, None)
    ordered = finite.sort().values
    total: float | None
    try:
        total = sum_of_floats(finite)
        mean: float | None = total / n
    except OverflowError:
        y, exponent = scaled(finite)
        total = unscaled(sum_of_floats(y), exponent)
        mean = unscaled(sum_of_floats(y) / n, exponent)
    return Summary(
        numbers=n,
        missing=missing,
        infinite=infinite,
        lowest=ordered[0].item(),
        highest=ordered[-1].item(),
        total=total,
        mean=mean,
        std=deviation(finite),
        median=float(sum(map(Fraction, middle(ordered))) / 2),
    )


# %% [markdown]
# ## Any tensor, whole or along a dimension


# %%
def plain(x: Tensor) -> Tensor:
    """The tensor on the CPU, without a tape, if it holds real numbers.

    Raises:
        ValueError: if it holds none, and why.
    """
    if x.dtype.is_complex:
        raise ValueError(
            "complex numbers have no order, so no summary: "
            "take .real, .imag or .abs()"
        )
    if x.layout != torch.strided or x.is_nested or x.is_quantized:
        raise ValueError("only dense tensors have a summary: use .to_dense()")
    if x.is_meta:
        raise ValueError("a tensor on the meta device holds no numbers")
    return x.detach().cpu()


@torch.no_grad()
def summarize(x: Tensor) -> Summary:
    """The summary of all numbers of a tensor.

    Args:
        x: A tensor of any shape, real dtype and device. It stays as it is.

    Raises:
        ValueError: if the tensor holds no real numbers.
    """
    x = plain(x)
    try:
        if x.dtype.is_floating_point:
            return summary_of_floats(x)
        return summary_of_whole(x)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"torch does not compute with {x.dtype}: convert it first"
        ) from None


def slices(x: Tensor, dim: int) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """The vectors of a tensor along a dimension, each with its index.

    The indices are those of `x.sum(dim)`: without the dimension.

    Args:
        x: A tensor of rank 1 or more.
        dim: The dimension that goes away, from `-x.ndim` to `x.ndim - 1`.

    Raises:
        ValueError: if the tensor has no such dimension.
    """
    if not -x.ndim <= dim < x.ndim:
        have = f"from {-x.ndim} to {x.ndim - 1}" if x.ndim else "none"
        raise ValueError(f"there is no dimension {dim}: there are {have}")
    last = x.movedim(dim, -1)
    for index in product(*map(range, last.shape[:-1])):
        yield index, last[index]


def count(x: Tensor, dim: int) -> int:
    """How many vectors a tensor has along a dimension that it has."""
    return math.prod(
        size for d, size in enumerate(x.shape) if d != dim % x.ndim
    )


# %% [markdown]
# ## Files
#
# A CSV file may begin with a row of names. An empty cell, `NA` and `nan` are
# missing numbers. A whole number that the dtype cannot hold is refused.


# %%
@dataclass(frozen=True)
class Source:
    """A tensor, where it is from, and what its columns are called."""

    name: str
    tensor: Tensor
    columns: tuple[str, ...] = ()
    """Names for the last dimension, or none."""


MISSING = ("", "na", "nan")
WHOLE = r"[+-]?\d+"
DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?"


def is_missing(cell: str) -> bool:
    """Whether a cell of a table says that there is no number."""
    return cell.strip().lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell of a table is a number, or a missing one."""
    decimal = re.fullmatch(DECIMAL, cell.strip(), re.ASCII | re.IGNORECASE)
    return bool(decimal) or is_missing(cell)


def float_from(cell: str) -> float:
    """The float64 of a cell that is a number.

    Raises:
        ValueError: if it is out of range, or a whole number that is no float.
    """
    text = cell.strip().lower()
    if is_missing(text):
        return math.nan
    number = float(text)
    if math.isinf(number) and "inf" not in text:
        raise ValueError(f"{text} is too large for a float64")
    if re.fullmatch(WHOLE, text) and int(text) != number:
        raise ValueError(f"{text} is not a float64, and its column needs one")
    return number


def read_csv(path: Path) -> Source:
    """The table in a CSV file, int64 if it holds whole numbers only.

    Raises:
        ValueError: naming the line, if it is no table of numbers.
        OSError: if the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file: {error}") from None
    while rows and not rows[-1]:
        rows.pop()
    words = [cell for cell in rows[0] if not is_missing(cell)] if rows else []
    header = bool(words) and not any(map(is_number, words))
    columns = tuple(cell.strip() for cell in rows[0]) if header else ()
    table = rows[header:]
    if not table or not table[0]:
        raise ValueError(f"{path} holds no numbers")
    for number, row in enumerate(table, 1 + header):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{path}, row {number}: {len(row)} cells, "
                f"where the first row has {len(rows[0])}"
            )
        for cell in row:
            if not is_number(cell):
                raise ValueError(
                    f"{path}, row {number}: {cell!r} is no number"
                )
    if all(re.fullmatch(WHOLE, cell.strip()) for row in table for cell in row):
        return Source(path.name, whole_table(table, path), columns)
    try:
        floats = [[float_from(cell) for cell in row] for row in table]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Source(
        path.name, torch.tensor(floats, dtype=torch.float64), columns
    )


def whole_table(table: Sequence[Sequence[str]], path: Path) -> Tensor:
    """A table of whole numbers as int64.

    Raises:
        ValueError: if one of them is out of range.
    """
    for cell in chain.from_iterable(table):
        if len(cell.strip()) > 20 or not -(2**63) <= int(cell) < 2**63:
            raise ValueError(f"{path}: {cell.strip():.30} is too large")
    return torch.tensor([[int(cell) for cell in row] for row in table])


def read_npy(path: Path) -> Source:
    """The array in a NumPy file.

    Raises:
        ValueError: if there is none, or torch has no such dtype.
        OSError: if the file cannot be read.
    """
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except OSError:
        raise
    except Exception:  # whatever a broken file makes of a reader
        raise ValueError(f"{path} is no NumPy array of numbers") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays: save one as .npy")
    native = array.astype(array.dtype.newbyteorder("="))
    try:
        return Source(path.name, torch.from_numpy(native))
    except TypeError:
        raise ValueError(
            f"{path} holds {array.dtype}, and torch has no such dtype"
        ) from None


def read_pt(path: Path, key: str | None) -> Source:
    """The tensor that `torch.save` wrote, or one of a dictionary of tensors.

    Raises:
        ValueError: if there is none, or none of that key.
        OSError: if the file cannot be read.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception:  # whatever a broken file makes of a reader
        raise ValueError(
            f"{path} cannot be read: it is broken, "
            "or holds more than tensors and plain values"
        ) from None
    if isinstance(found, dict):
        tensors = {
            str(name): value
            for name, value in found.items()
            if isinstance(value, Tensor)
        }
        if key not in tensors:
            named = ", ".join(tensors) or "no tensors"
            raise ValueError(f"{path} holds {named}: choose one with --key")
        return Source(f"{path.name}, {key}", tensors[key])
    if key is not None:
        raise ValueError(f"{path} holds no dictionary: leave out --key")
    if not isinstance(found, Tensor):
        raise ValueError(f"{path} holds a {type(found).__name__}, no tensor")
    return Source(path.name, found)


def read(path: Path, key: str | None = None) -> Source:
    """The tensor in a file, by the ending of its name.

    Raises:
        ValueError: if there is no such file, or no tensor in it.
        OSError: if it cannot be read.
    """
    ending = path.suffix.lower()
    if ending not in (".pt", ".npy", ".csv"):
        raise ValueError(f"{path} is no .pt, .npy or .csv file")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if ending == ".pt":
        return read_pt(path, key)
    if key is not None:
        raise ValueError(f"--key is for .pt files, and {path} is none")
    return read_npy(path) if ending == ".npy" else read_csv(path)


# %% [markdown]
# ## Real data


# %%
def table_of(name: str) -> Source:
    """A table of scikit-learn, of shape `(N, D)` and dtype float64."""
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    return Source(name, torch.tensor(data.data), tuple(data.feature_names))


def digits() -> Source:
    """The 1797 digits of scikit-learn, of shape `(1797, 8, 8)`."""
    from sklearn.datasets import load_digits

    return Source("digits", torch.tensor(load_digits().images))


def astronaut() -> Source:
    """The photo of scikit-image, of shape `(512, 512, 3)` and dtype uint8."""
    from skimage.data import astronaut

    names = ("red", "green", "blue")
    return Source("astronaut", torch.tensor(astronaut()), names)


DATA: dict[str, Callable[[], Source]] = {
    "iris": partial(table_of, "iris"),
    "wine": partial(table_of, "wine"),
    "diabetes": partial(table_of, "diabetes"),
    "breast_cancer": partial(table_of, "breast_cancer"),
    "digits": digits,
    "astronaut": astronaut,
}


# %% [markdown]
# ## On the command line


# %%
Row = tuple[str, Summary]


def label(index: tuple[int, ...], source: Source, dim: int) -> str:
    """What to call a slice: the name of its column, or its index."""
    *front, last = index or (0,)
    ndim = source.tensor.ndim
    if ndim == 1:
        return "all"
    names = source.columns if dim % ndim != ndim - 1 else ()
    if len(names) == source.tensor.shape[-1] > last:
        return ", ".join([*map(str, front), names[last]])
    return ", ".join(map(str, index))


def summaries(source: Source, dim: int | None, most: int) -> list[Row]:
    """The summary of the whole, or of the first slices along a dimension.

    Args:
        source: The tensor.
        dim: The dimension that goes away, None for all of them.
        most: How many slices at most.

    Raises:
        ValueError: if there is no such dimension, or there are no numbers.
    """
    if dim is None:
        return [("all", summarize(source.tensor))]
    parts = islice(slices(plain(source.tensor), dim), most)
    return [(label(at, source, dim), summarize(part)) for at, part in parts]


def torch_says(x: Tensor, name: str) -> str:
    """What a reduction of torch returns for all numbers, or `error`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deviation of one number warns
        try:
            return written(getattr(x, name)().item())
        except (RuntimeError, TypeError, IndexError):
            return "error"


HEADS = {
    "numbers": "numbers",
    "missing": "nan",
    "infinite": "inf",
    "lowest": "min",
    "highest": "max",
    "total": "sum",
    "mean": "mean",
    "std": "std",
    "median": "median",
}


def written(value: float | None) -> str:
    """A number for people: whole numbers in full, None as a dash."""
    if value is None:
        return "-"
    return str(int(value)) if isinstance(value, int) else f"{value:.6g}"


def report(rows: Sequence[Row], source: Source, compare: bool = False) -> str:
    """A table with a line for each summary.

    Args:
        rows: The summaries, with what to call each.
        source: What they are of.
        compare: Whether to add a line with what torch says of the whole.
    """
    table = [["", *HEADS.values()]]
    for name, summary in rows:
        table.append([name, *(written(getattr(summary, x)) for x in HEADS)])
    if compare:
        x, known = source.tensor, list(HEADS.values())
        says = [torch_says(x, name) for name in known[3:]]
        table.append(["torch says of all", str(x.numel()), "", "", *says])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    shape = tuple(source.tensor.shape)
    dtype = str(source.tensor.dtype).removeprefix("torch.")
    lines = [f"{source.name}: {shape}, {dtype}; of the finite numbers"]
    for first, *rest in table:
        cells = map(str.rjust, rest, widths[1:])
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def draw(rows: Sequence[Row]) -> Figure:
    """Draw a line per summary: range, deviation, mean and median.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, place = plt.subplots(
        figsize=(7, 0.4 * len(rows) + 1.4), layout="constrained"
    )
    for y, (_, summary) in enumerate(rows):
        if summary.lowest is None or summary.highest is None:
            continue
        ends = [float(summary.lowest), float(summary.highest)]
        place.plot(ends, [y, y], color="tab:grey", linewidth=1)
        if summary.mean is not None:
            if summary.std is not None:
                near = [summary.mean - summary.std, summary.mean + summary.std]
                place.plot(near, [y, y], color="tab:blue", linewidth=5)
            place.plot(summary.mean, y, "o", color="tab:orange")
        place.plot(summary.median, y, "|", color="tab:red", markersize=16)
    place.set_yticks(range(len(rows)), [name for name, _ in rows])
    place.set_ylim(len(rows) - 0.5, -0.5)
    place.set_title(
        "range (grey), mean (dot) and deviation (blue), median (bar)"
    )
    return figure


def whole_number(text: str, name: str, least: int | None = None) -> int:
    """Read a whole number of at most 9 digits.

    Raises:
        ValueError: if it is none, or less than `least`.
    """
    if re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
        number = int(text)
        if least is None or number >= least:
            return number
    end = "" if least is None else f" from {least}"
    raise ValueError(f"{name} is a whole number{end}, not {text!r}")


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


def moved(source: Source, device: torch.device) -> Source:
    """A source whose tensor lies on a device.

    Raises:
        ValueError: if the device has no such dtype.
    """
    try:
        return replace(source, tensor=source.tensor.to(device))
    except TypeError:  # so says mps of float64
        dtype = source.tensor.dtype
        raise ValueError(
            f"{device.type} has no {dtype}: leave out --device"
        ) from None


def source_from(
    file: Path | None, data: str | None, key: str | None
) -> Source:
    """The tensor that the command line names.

    Raises:
        ValueError: if it names two, none that exists, or no such data.
        OSError: if a file cannot be read.
    """
    if file is None:
        if key is not None:
            raise ValueError("--key is for .pt files: name one")
        name = data or "iris"
        if name not in DATA:
            raise ValueError(f"no data {name!r}: choose of {', '.join(DATA)}")
        return DATA[name]()
    if data is not None:
        raise ValueError("name a file or --data, and not both")
    return read(file, key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Statistics of any tensor, whole or along a dimension."
    )
    parser.add_argument(
        "file", nargs="?", type=Path, help="a .pt, .npy or .csv file"
    )
    parser.add_argument(
        "--data", metavar="NAME", help=f"real data: {', '.join(DATA)}"
    )
    parser.add_argument(
        "--key", metavar="NAME", help="which tensor of a dictionary in a .pt"
    )
    parser.add_argument(
        "--dim", metavar="D", help="the dimension that goes away"
    )
    parser.add_argument(
        "--rows", default="20", help="the most slices (default: 20)"
    )
    parser.add_argument(
        "--torch", action="store_true", help="add what torch says of the whole"
    )
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="auto|cpu|cuda|mps",
        help="where torch reduces for --torch (default: cpu)",
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw (.png, .svg, .pdf)"
    )
    options = parser.parse_args(arguments)
    try:
        dim = None
        if options.dim is not None:
            dim = whole_number(options.dim, "--dim")
        most = whole_number(options.rows, "--rows", least=1)
        device = device_from(options.device)
        source = source_from(options.file, options.data, options.key)
        source = moved(source, device)
        rows = summaries(source, dim, most)
        if options.plot:
            draw(rows).savefig(options.plot)
        print(report(rows, source, options.torch))
        more = 0 if dim is None else count(source.tensor, dim) - len(rows)
        if more:
            print(f"and {more} more: see --rows")
    except (ValueError, OSError) as error:
        print(f"operations.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, iris by columns
        half = Source("halves", astronaut().tensor.half())
        print(report(summaries(half, None, 1), half, compare=True))
        flowers = DATA["iris"]()
        rows = summaries(flowers, 0, 20)
        print(report(rows, flowers))
        draw(rows)
    else:
        sys.exit(main())
