"""Loaders to set at random, and what a real `DataLoader` does with such settings, workers included."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from dataclasses import astuple, dataclass, field
from multiprocessing import RawArray
from typing import Any

import numpy.random  # noqa: F401  # which each worker would import anew
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

DATASETS = ("map", "whole", "strided", "chunked")
MAIN = 4
"""Where the main process stands among the numbers of workers, which are smaller."""
TOLD = "    info = get_worker_info()\n    return f"


@dataclass(frozen=True)
class Settings:
    """What a reader fills in, in the order of the fields."""

    n: int
    batch_size: int | None
    dataset: str
    workers: int = 0
    drop_last: bool = False
    shuffle: bool = False
    seed: int = 0

    def typed(self) -> list:
        return [*map(str, astuple(self)[:4]), self.drop_last, self.shuffle, str(self.seed)]


@dataclass
class Outcome:
    """What a program did: the batches of each epoch, as items and worker, how often a process loaded an item."""

    length: int
    epochs: list[list[tuple[list[int], str]]]
    loads: Counter[tuple[str, int]]
    warned: bool
    loader: Any = field(repr=False)


def random_settings(chooser: random.Random) -> Settings:
    """A third of them with workers, each of which takes 50 ms to start, and about one in ten refused."""
    dataset = chooser.choice(["map", "map", "map", *DATASETS[1:]])
    batch_size = chooser.choice([None, *range(1, 6), *range(1, 6), chooser.randint(6, 16), chooser.randint(-1, 0)])
    workers = chooser.choice([0] * 14 + [1, 1, 1, 2, 2, 3, 4])
    is_shuffled = chooser.random() < (0.05 if dataset != "map" else 0.3 if workers else 0.7)
    seeds = [chooser.randrange(9), chooser.randrange(2**32), 2**32 - 1]
    return Settings(
        n=chooser.choice([chooser.randint(1, 12), chooser.randint(1, 40)]),
        batch_size=batch_size,
        dataset=dataset,
        workers=workers,
        drop_last=chooser.random() < (0.1 if batch_size is None else 0.4),
        shuffle=is_shuffled,
        seed=chooser.choice(seeds),
    )


def share(settings: Settings, worker: int) -> list[int]:
    """The items that one of several workers has to load of a dataset with `__iter__`."""
    items = list(range(settings.n))
    workers = max(settings.workers, 1)
    size = -(-settings.n // workers)
    shares = {"whole": items, "strided": items[worker::workers], "chunked": items[worker * size :][:size]}
    return shares[settings.dataset]


class Stream(IterableDataset):
    """A dataset that a loader takes for one without indices."""

    def __iter__(self):
        raise NotImplementedError


def refusal(settings: Settings) -> str | None:
    """What torch raises for settings that it refuses."""
    dataset = Stream() if settings.dataset != "map" else range(settings.n)
    try:
        DataLoader(dataset, settings.batch_size, settings.shuffle, drop_last=settings.drop_last)  # type: ignore[arg-type]
    except ValueError as error:
        return f"ValueError: {error}"
    return None


def run(program: str, settings: Settings) -> Outcome:
    """Run a program that prints the batches of its loader."""
    assert program.count(TOLD) == 1
    loads = RawArray("i", (MAIN + 1) * settings.n)  # of all processes
    counting = f"    info = get_worker_info()\n    loads[(info.id if info else {MAIN}) * {settings.n} + item] += 1\n"
    printed: list[Any] = []
    names = {"__name__": "__main__", "print": printed.append, "loads": loads}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        exec(program.replace(TOLD, counting + TOLD), names)
    length, *batches = printed
    count = 2 if settings.shuffle else 1
    assert len(batches) % count == 0
    own = len(batches) // count
    told = list(map(parsed, batches))
    return Outcome(
        length=length,
        epochs=[told[epoch * own : (epoch + 1) * own] for epoch in range(count)],
        loads=Counter({(process(n // settings.n), n % settings.n): count for n, count in enumerate(loads) if count}),
        warned=any("Length of IterableDataset" in str(one.message) for one in warned),
        loader=names["loader"],
    )


def process(number: int) -> str:
    return "main" if number == MAIN else f"worker {number}"


def parsed(batch: list[str] | str) -> tuple[list[int], str]:
    """The items of a batch, and who loaded all of them."""
    told = [item.split(" by ") for item in ([batch] if isinstance(batch, str) else batch)]
    (who,) = {who for _, who in told}
    return [int(item) for item, _ in told], who


def is_set(loader: DataLoader, settings: Settings) -> bool:
    """Whether a loader is what was asked for."""
    shuffled = isinstance(loader.sampler, RandomSampler)
    known = (
        len(loader.dataset),  # type: ignore[arg-type]
        loader.batch_size,
        not isinstance(loader.dataset, IterableDataset),
        loader.num_workers,
        loader.drop_last,
        shuffled,
        loader.sampler.generator.initial_seed() if shuffled else settings.seed,  # type: ignore[attr-defined]
    )
    n, batch_size, dataset, *rest = astuple(settings)
    return known == (n, batch_size, dataset == "map", *rest)
