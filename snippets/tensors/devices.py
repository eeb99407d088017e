# %% [markdown]
# # Device race
#
# Which device is faster for what: a product and a sum of two matrices run on
# the CPU and on the GPU, with the way there and without, at growing sizes.
# The program finds the size from which the second is faster. Without a GPU,
# one thread of the CPU races all of them.
#
# ```console
# $ python devices.py
# $ python devices.py --device cuda --sizes 64,256,1024,4096 --plot race.png
# ```

# %%
"""Device race: from which size on a device is faster than another."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPERATIONS = {"product": torch.mm, "sum": torch.add}
"""Two operations on the same bytes: a product of n rows does n/6 operations
for each byte of float32, a sum 1/12."""

# %% [markdown]
# ## An honest clock
#
# A GPU works off a queue, so the clock waits for an empty queue before it
# starts and before it stops. Short calls are repeated without a wait, until
# they are long beside the clock.


# %%
def seconds(
    run: Callable[[], object],
    wait: Callable[[], object],
    repeats: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """The time of a call, on average over some repeats.

    Args:
        run: What is timed.
        wait: Returns once all that was asked for is done.
        repeats: How often to call, without waiting in between.
        clock: Tells the time in seconds.
    """
    wait()
    start = clock()
    for _ in range(repeats):
        run()
    wait()
    return (clock() - start) / repeats


# %% [markdown]
# A machine does not run at one speed. So the contenders take turns: each round
# times all of them, in one order and then in the other, and what is compared
# is the times of one round. The median over the rounds counts.


# %%
def rounds(
    timers: Sequence[Callable[[int], float]],
    limit: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Time several contenders in turn.

    Args:
        timers: Each takes a number of repeats and returns the seconds of one.
        limit: The seconds to spend. There are 3 rounds at least, 101 at most.
        clock: Tells the time in seconds.

    Returns:
        For each round the seconds of each contender.
    """
    end = clock() + limit
    warm = [median(timer(1) for _ in range(3)) for timer in timers]
    repeats = [1 + int(0.0002 / max(once, 1e-7)) for once in warm]
    found: list[list[float]] = []
    order = list(range(len(timers)))
    while len(found) < 3 or (len(found) < 101 and clock() < end):
        times = [0.0] * len(timers)
        for each in order:
            times[each] = timers[each](repeats[each])
        found.append(times)
        order.reverse()
    return found


def ratio(found: Sequence[Sequence[float]], one: int, other: int) -> float:
    """How many times as long the one takes as the other.

    Returns:
        The median over the rounds of `rounds`.
    """
    return median(times[one] / times[other] for times in found)


# %% [markdown]
# ## From which size on
#
# The crossing is where the ratio passes a level for good. Between two sizes it
# is found on the straight line that joins them on logarithmic axes. A ratio of
# 1 is a draw, and noise is on both sides of it, so the level is 1.1.


# %%
LEVEL = 1.1


def crossing(
    sizes: Sequence[int], ratios: Sequence[float], level: float = LEVEL
) -> float | None:
    """The size from which on all ratios are above a level.

    Args:
        sizes: In growing order.
        ratios: One for each size, above 0.
        level: What a ratio has to pass.

    Returns:
        A size between the last ratio up to the level and the next one, the
        first size if all are above it, and None if the last one is not.
    """
    lost = [place for place, each in enumerate(ratios) if each <= level]
    if not lost:
        return float(sizes[0])
    if lost[-1] == len(sizes) - 1:
        return None
    near = slice(lost[-1], lost[-1] + 2)
    x, y = sizes[near], [math.log(each / level) for each in ratios[near]]
    return x[0] * (x[1] / x[0]) ** (y[0] / (y[0] - y[1]))


# %% [markdown]
# ## The contenders


# %%
@dataclass(frozen=True)
class Place:
    """Where an operation runs, and where its matrices come from."""

    device: torch.device
    threads: int
    """Threads of the CPU. An operation elsewhere does not use them."""
    travels: bool = False
    """Whether the matrices come from the CPU and the result goes back."""

    def __str__(self) -> str:
        if self.device.type != "cpu":
            return self.device.type + " and the way" * self.travels
        return f"cpu with {self.threads} thread{'s' * (self.threads > 1)}"

    def wait(self) -> None:
        """Return once all that the device was asked for is done."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)


def places(device: torch.device, threads: int) -> list[Place]:
    """The contenders, the one to beat first.

    Args:
        device: The device that races the CPU; the CPU races itself, with one
            thread, and has no rival where that is all it has.
        threads: The most threads of the CPU.
    """
    cpu = Place(torch.device("cpu"), threads)
    if device.type != "cpu":
        return [cpu, Place(device, threads), Place(device, threads, True)]
    return [Place(cpu.device, 1), cpu] if threads > 1 else [cpu]


def timer(
    operation: Callable[[Tensor, Tensor], Tensor],
    place: Place,
    matrices: Sequence[Tensor],
) -> Callable[[int], float]:
    """What times an operation at a place.

    Args:
        operation: Takes two matrices and returns one.
        place: Where it runs.
        matrices: Two of shape `(n, n)` on the CPU.
    """
    here = list(matrices)
    there = here if place.travels else [a.to(place.device) for a in here]

    def run() -> Tensor:
        a, b = (matrix.to(place.device) for matrix in there)
        return operation(a, b).cpu() if place.travels else operation(a, b)

    def time_it(repeats: int) -> float:
        if torch.get_num_threads() != place.threads:
            torch.set_num_threads(place.threads)
            run()  # starts the threads
        return seconds(run, place.wait, repeats)

    return time_it


def mover(place: Place, matrices: Sequence[Tensor]) -> Callable[[int], float]:
    """What times the way of two matrices to a device, and of one back.

    On the CPU, where there is no way, it times copies in its memory.

    Args:
        place: Where they go.
        matrices: Two of shape `(n, n)` on the CPU.
    """
    result = matrices[0].to(place.device)

    def run() -> None:
        for matrix in matrices:
            matrix.to(place.device, copy=True)
        result.to("cpu", copy=True)

    return partial(seconds, run, place.wait)


# %% [markdown]
# ## The race
#
# Sizes that do not fit into the memory are refused before anything runs.


# %%
@dataclass(frozen=True)
class Row:
    """One operation at one size."""

    operation: str
    size: int
    """The rows and the columns of the matrices."""
    faster: dict[str, float]
    """For each rival, how many times as long the first contender takes."""
    way: float
    """How many times as long the way of the matrices takes as the operation,
    where the last contender computes."""


def free_memory(device: torch.device) -> int | None:
    """The bytes that are free on a device, None if it does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    told = []
    if (file := Path("/proc/meminfo")).exists():
        line = re.search(r"MemAvailable:\s*(\d+) kB", file.read_text())
        told += [int(line[1]) * 1024] if line else []
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        told.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    group = Path("/sys/fs/cgroup")
    if (group / "memory.max").exists():
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        told += [int(limit) - used] if limit.isdigit() else []
    return min(told, default=None)


def check_memory(sizes: Sequence[int], device: torch.device) -> None:
    """Refuse sizes that do not fit into the memory of the CPU or a device.

    Raises:
        ValueError: naming the largest size.
    """
    needed = 8 * max(sizes) ** 2 * torch.float32.itemsize
    for each in {torch.device("cpu"), device}:
        free = free_memory(each)
        if free is None:  # then the attempt tells
            try:
                torch.empty(needed, dtype=torch.uint8, device=each)
            except RuntimeError:
                free = 0
        if free is not None and needed > free:
            raise ValueError(
                f"matrices of {max(sizes)} rows need {needed / 1e9:.1f} GB, "
                f"more than {each.type} has free"
            )


def race(
    contenders: Sequence[Place], sizes: Sequence[int], limit: float = 0.2
) -> Iterator[Row]:
    """Time both operations at each size, the first contender against the rest.

    Args:
        contenders: Those of `places`.
        sizes: Rows and columns of the matrices.
        limit: The seconds to spend on an operation at a size.

    Yields:
        A row for each operation and size.
    """
    threads = torch.get_num_threads()
    # What the matrices are worth comparing with: the last that stays at home.
    home = max(i for i, place in enumerate(contenders) if not place.travels)
    try:
        for name, operation in OPERATIONS.items():
            for size in sizes:
                draw_from = torch.Generator().manual_seed(0)
                matrices = torch.rand(2, size, size, generator=draw_from)
                pair = matrices.unbind()
                timers = [timer(operation, each, pair) for each in contenders]
                timers.append(mover(contenders[home], pair))
                found = rounds(timers, limit)
                yield Row(
                    name,
                    size,
                    {
                        str(place): ratio(found, 0, rival)
                        for rival, place in enumerate(contenders)
                        if rival > 0
                    },
                    ratio(found, -1, home),
                )
    finally:
        torch.set_num_threads(threads)


# %% [markdown]
# ## What came out


# %%
def verdict(rows: Sequence[Row], rival: str) -> str:
    """One sentence: from which size on a rival is faster.

    Args:
        rows: Those of one operation, sizes in growing order.
        rival: One of the names in `faster`.
    """
    sizes = [row.size for row in rows]
    found = crossing(sizes, [row.faster[rival] for row in rows])
    name = rows[0].operation
    if found is None:
        return (
            f"{name}: at {sizes[-1]} rows, {rival} is not more than a "
            f"tenth faster"
        )
    if found == sizes[0]:
        start = f"{sizes[0]} rows, the smallest size,"
    else:
        start = f"about {float(f'{found:.1e}'):.0f} rows"
    return f"{name}: from {start} on, {rival} is more than a tenth faster"


def of(rows: Sequence[Row], operation: str) -> list[Row]:
    """The rows of one operation."""
    return [row for row in rows if row.operation == operation]


def report(rows: Sequence[Row], contenders: Sequence[Place]) -> str:
    """The tables, and below them the crossings.

    Args:
        rows: Those of `race`.
        contenders: The ones that raced.
    """
    rivals = [str(place) for place in contenders[1:]]
    lines = []
    for operation in OPERATIONS:
        heads = [operation, "bytes", *rivals, "way"]
        table = [heads]
        for row in of(rows, operation):
            moved = 3 * row.size**2 * torch.float32.itemsize
            ratios = [*(row.faster[rival] for rival in rivals), row.way]
            table.append(
                [str(row.size), str(moved), *map("{:.2f}".format, ratios)]
            )
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["  ".join(map(str.rjust, row, widths)) for row in table]
        lines.append("")
    for rival in rivals:
        lines += [verdict(of(rows, each), rival) for each in OPERATIONS]
    first, last = contenders[0], [p for p in contenders if not p.travels][-1]
    if rivals:
        lines.append(f"a rival's column: time of {first} / time of the rival")
    lines.append(f"way: time to move the matrices / time on {last}")
    if last.device.type == "cpu":
        lines.append(
            "only the CPU raced: with a GPU, it would race that GPU, with "
            "the way there and without"
        )
    return "\n".join(lines)


def draw(rows: Sequence[Row]) -> Figure:
    """Draw what the tables hold: one line for each column of ratios.

    A dotted line marks where a rival becomes faster.

    Args:
        rows: Those of `race`.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(
        1, len(OPERATIONS), figsize=(9, 3.6), sharey=True, layout="constrained"
    )
    for place, operation in zip(places, OPERATIONS, strict=True):
        some = of(rows, operation)
        sizes = [row.size for row in some]
        for rival in some[0].faster:
            ratios = [row.faster[rival] for row in some]
            (line,) = place.plot(sizes, ratios, "o-", label=rival)
            found = crossing(sizes, ratios)
            if found is not None:
                place.axvline(found, color=line.get_color(), linestyle=":")
        ways = [row.way for row in some]
        place.plot(sizes, ways, ".--", color="grey", label="way")
        place.axhline(1, color="black", linewidth=0.8)
        place.set(xscale="log", yscale="log", title=operation)
        place.set_xlabel("rows of the matrices")
    places[0].set_ylabel("ratio of times")
    places[0].legend()
    return figure


# %% [markdown]
# ## On the command line


# %%
def sizes_from(text: str) -> list[int]:
    """The sizes in a text like `64,256,1024`, in growing order.

    Raises:
        ValueError: if one of them is no whole number from 1 to 9999999.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not re.fullmatch(r"0*[1-9]\d{0,6}", part, re.ASCII):
            raise ValueError(
                f"--sizes are whole numbers from 1 to 9999999, not {part!r}"
            )
    return sorted({int(part) for part in parts})


def threads_from(text: str) -> int:
    """The threads in a text; an empty one is what torch uses.

    Raises:
        ValueError: if it is no whole number up to the processors there are.
    """
    most = os.cpu_count() or 1
    if not text:
        return torch.get_num_threads()
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not (
        1 <= int(text) <= most
    ):
        raise ValueError(
            f"--threads is a whole number from 1 to {most}, not {text!r}"
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


def default_sizes(device: torch.device) -> list[int]:
    """Powers of 2 that take some seconds on a device."""
    return [2**power for power in range(4, 10 if device.type == "cpu" else 13)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="From which size on a device is faster than the CPU."
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--sizes",
        metavar="A,B",
        help="rows of the matrices (default: 16 to 512, 4096 with a GPU)",
    )
    parser.add_argument(
        "--threads",
        default="",
        metavar="N",
        help="the most threads of the CPU (default: those of torch)",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw the ratios (.png, .svg, .pdf)",
    )
    options = parser.parse_args(arguments)
    try:
        device = device_from(options.device)
        sizes = default_sizes(device)
        if options.sizes is not None:
            sizes = sizes_from(options.sizes)
        contenders = places(device, threads_from(options.threads))
        check_memory(sizes, device)
        rows = list(race(contenders, sizes))
        if options.plot:
            draw(rows).savefig(options.plot)
        print(report(rows, contenders))
    except torch.OutOfMemoryError:
        print(
            f"devices.py: matrices of {max(sizes)} rows do not fit into the "
            f"memory of {device.type}",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError) as error:
        print(f"devices.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the CPU
        contenders = places(torch.device("cpu"), torch.get_num_threads())
        rows = list(race(contenders, default_sizes(torch.device("cpu"))))
        print(report(rows, contenders))
        draw(rows)
    else:
        sys.exit(main())
