# %% [markdown]
# # Dtype table
#
# The dtypes of your machine, a row for each: bytes, range, the spacing at 1,
# how far it counts, and how long a matrix product takes compared with float32.
# Where the device has no matrix product, the row says so.
#
# ```console
# $ python dtypes.py
# $ python dtypes.py --device cuda --dtypes float32,bfloat16 --size 4096
# ```

# %%
"""Dtype table: bytes, range, spacing and speed of the dtypes of a machine."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float8_e5m2,
    torch.float8_e4m3fn,
    torch.bfloat16,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
)


def name_of(dtype: torch.dtype) -> str:
    """The name without the module: `float32`."""
    return str(dtype).removeprefix("torch.")


# %% [markdown]
# ## Which numbers a dtype has
#
# An integer dtype has every whole number of its range. A float dtype has them
# up to the place where its spacing becomes 2.


# %%
@dataclass(frozen=True)
class Facts:
    """What a dtype can hold. Complex numbers are described by their parts."""

    bytes: int
    """The size of an element."""
    lowest: int | float
    """The smallest finite number."""
    highest: int | float
    """The largest finite number."""
    eps: float | None
    """The distance from 1 to the next larger number, None for integers."""
    counts_to: int
    """The whole numbers from 0 to here are all there."""


def facts(dtype: torch.dtype) -> Facts:
    """The numbers that a dtype can hold.

    Raises:
        TypeError: if torch does not tell, as for quantized dtypes.
    """
    if dtype == torch.bool:
        return Facts(dtype.itemsize, 0, 1, None, 1)
    if not (dtype.is_floating_point or dtype.is_complex):
        whole = torch.iinfo(dtype)
        return Facts(dtype.itemsize, whole.min, whole.max, None, whole.max)
    real = torch.finfo(dtype)
    end = round(2 / real.eps)
    return Facts(dtype.itemsize, real.min, real.max, real.eps, end)


# %% [markdown]
# ## How fast it is
#
# A machine does not run at one speed. So each dtype is timed right beside
# float32, now before it and now after it, and the median of the ratios counts.
# How far the row of float32 is from 1 shows how far to trust the others.


# %%
def matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A matrix of the whole numbers 0 to 3 at random.

    Returns:
        A tensor of shape `(size, size)`.

    Raises:
        RuntimeError, TypeError: if the device does not hold the dtype.
    """
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(4, (size, size), generator=generator)
    return numbers.to(dtype).to(device)


def refusal(dtype: torch.dtype, device: torch.device) -> str:
    """Why a device does not multiply matrices of a dtype; empty if it does."""
    try:
        small = matrix(16, dtype, device)
        (small @ small).cpu()
    except (RuntimeError, TypeError) as error:
        return str(error).partition("\n")[0]
    return ""


def seconds(a: Tensor, repeats: int = 1) -> float:
    """The time of the product `a @ a`, on average over some repeats.

    Args:
        a: Of shape `(size, size)`, on any device.
        repeats: How many products to compute without waiting in between.
    """
    waits = a.device.type != "cpu"
    if waits:
        torch.accelerator.synchronize(a.device)
    start = time.perf_counter()
    for _ in range(repeats):
        a @ a
    if waits:
        torch.accelerator.synchronize(a.device)
    return (time.perf_counter() - start) / repeats


def ratio(
    dtype: torch.dtype, device: torch.device, size: int, limit: float = 0.2
) -> float:
    """The time of a matrix product, divided by its time in float32.

    On the CPU it uses one thread, so that other programs disturb it less.

    Args:
        dtype: One that the device multiplies.
        device: Where both products run.
        size: The rows and the columns of the matrices.
        limit: The seconds to spend. There are 3 pairs at least, 101 at most.

    Returns:
        The median over the pairs.
    """
    pair = [matrix(size, each, device) for each in (dtype, torch.float32)]
    ratios: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # The first product may load a library. Short ones are repeated for
        # half a millisecond: long beside the clock, and short enough for most
        # pairs to pass undisturbed.
        warm = [min(seconds(a), seconds(a)) for a in pair]
        repeats = [1 + int(0.0005 / max(once, 1e-6)) for once in warm]
        end = time.perf_counter() + limit
        order, times = [0, 1], [0.0, 0.0]
        while len(ratios) < 3 or (
            len(ratios) < 101 and time.perf_counter() < end
        ):
            for each in order:
                times[each] = seconds(pair[each], repeats[each])
            ratios.append(times[0] / times[1])
            order.reverse()
    finally:
        torch.set_num_threads(threads)
    return median(ratios)


@dataclass(frozen=True)
class Row:
    """A dtype on a device."""

    dtype: torch.dtype
    facts: Facts
    ratio: float | None
    """The time of a matrix product compared with float32, None without one."""
    refusal: str
    """Why there is no matrix product; empty if there is one."""


def measure(
    dtypes: Iterable[torch.dtype], device: torch.device, size: int = 0
) -> Iterator[Row]:
    """The rows of the table, one after the other.

    Args:
        dtypes: Those of `DTYPES`, in any order.
        device: One that has float32.
        size: The rows and the columns of the matrices; 0 is 128 on the CPU
            and 2048 elsewhere.
    """
    size = size or (128 if device.type == "cpu" else 2048)
    for dtype in dtypes:
        reason = refusal(dtype, device)
        compared = None if reason else ratio(dtype, device, size)
        yield Row(dtype, facts(dtype), compared, reason)


# %% [markdown]
# ## On the command line


# %%
def written(number: float) -> str:
    """A number in few characters: `255`, `2^24`, `2^31 - 1`, `3.4028e+38`."""
    if isinstance(number, int) and abs(number) >= 100_000:
        for offset, ending in ((0, ""), (1, " - 1")):
            power = abs(number) + offset
            if power.bit_count() == 1:
                sign = "-" if number < 0 else ""
                return f"{sign}2^{power.bit_length() - 1}{ending}"
    return f"{number:.5g}"


HEADS = ("dtype", "bytes", "lowest", "highest", "eps", "counts to", "matmul")


def cells(row: Row) -> list[str]:
    """A row of the table as texts, in the order of `HEADS`."""
    known = row.facts
    return [
        name_of(row.dtype),
        str(known.bytes),
        written(known.lowest),
        written(known.highest),
        "" if known.eps is None else written(known.eps),
        written(known.counts_to),
        f"none: {row.refusal}" if row.ratio is None else f"{row.ratio:.3g}",
    ]


def report(rows: Iterable[Row], device: torch.device) -> str:
    """The table, and below it what its last column means."""
    table = [list(HEADS), *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    where = "one thread of the cpu" if device.type == "cpu" else device.type
    lines.append(f"matmul: its time on {where}, in times of float32")
    return "\n".join(lines)


def draw(rows: Iterable[Row]) -> Figure:
    """Draw a dot per dtype that has a matrix product: the time of it.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    timed = {name_of(row.dtype): row.ratio for row in rows if row.ratio}
    figure, place = plt.subplots(
        figsize=(8, 0.3 * len(timed) + 1), layout="constrained"
    )
    place.plot(list(timed.values()), list(timed), "o")
    place.axvline(1, color="grey", linestyle=":")
    place.set_xscale("log")
    place.invert_yaxis()
    place.set_xlabel("time of a matrix product, in times of float32")
    return figure


def dtypes_from(text: str) -> list[torch.dtype]:
    """The dtypes in a text like `float32,bfloat16`.

    Raises:
        ValueError: if a name is none of `DTYPES`, or there is no name.
    """
    known = {name_of(dtype): dtype for dtype in DTYPES}
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in known:
            raise ValueError(
                f"no dtype {name!r}: choose of {', '.join(known)}"
            )
    return [known[name] for name in names]


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
        description="Bytes, range, spacing and speed of dtypes."
    )
    parser.add_argument(
        "--dtypes",
        default=",".join(map(name_of, DTYPES)),
        metavar="A,B",
        help="such as float32,bfloat16 (default: all)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the times (.png, .svg, .pdf)",
    )
    options = parser.parse_args(arguments)
    try:
        device = device_from(options.device)
        rows = list(measure(dtypes_from(options.dtypes), device))
        if options.plot:
            draw(rows).savefig(options.plot)
        print(report(rows, device))
    except (ValueError, OSError) as error:
        print(f"dtypes.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the CPU
        rows = list(measure(DTYPES, torch.device("cpu")))
        print(report(rows, torch.device("cpu")))
        draw(rows)
    else:
        sys.exit(main())
