# %% [markdown]
# # Loader benchmark
#
# How many pictures a second reach a training loop, and what takes the rest of
# the time: the pictures of a folder are decoded, resized and made floats in
# several ways, with several numbers of workers. All of them are held against
# the floor, which is decoding alone. Then the program recommends one.
#
# ```console
# $ python loaders.py
# $ python loaders.py pictures/train --workers 0,2,4 --batch-size 64
# $ python loaders.py --generate 5000 --count 500 --rounds 10 --record it.json
# ```

# %%
"""Loader benchmark: pictures per second, held against decoding alone."""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import multiprocessing
import os
import platform
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## Parts of a pipeline
#
# What a picture goes through: it is decoded, its shorter side is resized and
# the middle is cut out, and its bytes become floats. torchvision is imported
# where it is used, as that takes a second.

# %%
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Those of red, green and blue in ImageNet, where white is 1."""


def open_with_pillow(path: Path) -> Image.Image:
    """Decode a file with Pillow: RGB, upright.

    Raises:
        OSError: if it is no picture, or broken.
    """
    with Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return image.convert("RGB")


def decode_with_pillow(path: Path) -> Tensor:
    """Decode a file with Pillow: a uint8 tensor `(3, H, W)`."""
    from torchvision.transforms.v2.functional import pil_to_tensor

    return pil_to_tensor(open_with_pillow(path))


def decode(path: Path) -> Tensor:
    """Decode a file with torchvision: a uint8 tensor `(3, H, W)`, upright.

    Raises:
        RuntimeError: if it is no JPEG, PNG, GIF or WebP, or broken.
    """
    from torchvision.io import decode_image

    return decode_image(str(path), mode="RGB", apply_exif_orientation=True)


def fit(pixels: Tensor, size: int) -> Tensor:
    """Resize the shorter side, and cut out the middle.

    Args:
        pixels: Of shape `(..., 3, H, W)` and dtype uint8.
        size: Height and width of what comes out, in pixels.

    Returns:
        A tensor of shape `(..., 3, size, size)` and dtype uint8.
    """
    from torchvision.transforms.v2 import functional as TF

    return TF.center_crop(TF.resize(pixels, [size], antialias=True), [size])


def to_float(pixels: Tensor) -> Tensor:
    """Scale and normalize: float32 of the same shape, on the same device.

    Args:
        pixels: Of shape `(..., 3, H, W)` and dtype uint8.
    """
    from torchvision.transforms.v2 import functional as TF

    scaled = TF.to_dtype(pixels, torch.float32, scale=True)
    return TF.normalize(scaled, [*MEAN], [*DEVIATION], inplace=True)


def levels(pixels: Tensor) -> Tensor:
    """Undo `to_float`: levels from 0 to 255 on the CPU, not rounded."""
    mean, deviation = (
        torch.tensor(each)[:, None, None] for each in (MEAN, DEVIATION)
    )
    return (pixels.cpu() * deviation + mean) * 255


# %% [markdown]
# ## Recipes
#
# A recipe says what is done with each file, which a worker can do, and what is
# done with each batch, on its device. All of them end in the same floats. The
# functions have names, as workers that do not fork get them by name.


# %%
@cache
def _v1(size: int) -> Callable[[Image.Image], Tensor]:
    from torchvision import transforms as v1

    return v1.Compose(
        [
            v1.Resize(size),
            v1.CenterCrop(size),
            v1.ToTensor(),
            v1.Normalize(MEAN, DEVIATION),
        ]
    )


def pillow_v1(path: Path, size: int) -> Tensor:
    """Pillow decodes and resizes: float32 `(3, size, size)`."""
    return _v1(size)(open_with_pillow(path))


def pillow_v2(path: Path, size: int) -> Tensor:
    """Pillow decodes, the tensor is resized: float32 `(3, size, size)`."""
    return to_float(fit(decode_with_pillow(path), size))


def item_floats(path: Path, size: int) -> Tensor:
    """torchvision decodes, all is done here: float32 `(3, size, size)`."""
    return to_float(fit(decode(path), size))


def item_bytes(path: Path, size: int) -> Tensor:
    """torchvision decodes, floats are left: uint8 `(3, size, size)`."""
    return fit(decode(path), size)


def item_whole(path: Path, size: int) -> Tensor:
    """torchvision decodes, the rest is left: uint8 `(3, H, W)`."""
    return decode(path)


def batch_floats(batch: Tensor, size: int) -> Tensor:
    """Make floats of a batch of bytes `(N, 3, size, size)`."""
    return to_float(batch)


def batch_whole(batch: Tensor, size: int) -> Tensor:
    """Make floats `(N, 3, size, size)` of a batch of bytes `(N, 3, H, W)`."""
    return to_float(fit(batch, size))


def batch_done(batch: Tensor, size: int) -> Tensor:
    """Leave a batch as it is."""
    return batch


@dataclass(frozen=True)
class Recipe:
    """A way from files to a batch."""

    item: Callable[[Path, int], Tensor]
    """What a loader does with a file, given the size."""
    batch: Callable[[Tensor, int], Tensor]
    """What is done with a batch on its device, given the size."""
    workers: bool = True
    """Whether it is tried with workers, too."""


NAIVE = "PIL, v1 per item"
REFERENCE = "decode_image, v2 per item"
WHOLE = "decode_image, all on the batch"
RECIPES = {
    NAIVE: Recipe(pillow_v1, batch_done, workers=False),
    "PIL, v2 per item": Recipe(pillow_v2, batch_done),
    REFERENCE: Recipe(item_floats, batch_done),
    "decode_image, floats on the batch": Recipe(item_bytes, batch_floats),
    WHOLE: Recipe(item_whole, batch_whole, workers=False),
}
"""What is compared, beside pictures that lie in memory as bytes."""

# %% [markdown]
# ## The loader
#
# A `Dataset` gives item i, and `DataLoader` makes batches of them. Here an
# index names the recipe as well, so that all recipes share the same workers.
# Workers are started once and wait between two rounds.


# %%
Index = tuple[str, int]


class Pictures(Dataset[Tensor]):
    """The pictures of some files. Index `(recipe, i)` is file i, prepared.

    Args:
        paths: The files.
        size: Height and width of what comes out, in pixels.
    """

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self.paths, self.size = list(paths), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Index) -> Tensor:
        recipe, i = index
        return RECIPES[recipe].item(self.paths[i], self.size)


def quiet(worker: int = 0) -> None:
    """Ignore warnings of the decoders, in this process or in a worker.

    Pillow warns of files that it can read. torchvision 0.29 warns that its
    decoders will move to TorchCodec.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", "The image decoding", DeprecationWarning)


class Plan(list[list[Index]]):
    """The indices of each batch that a loader makes next."""

    def of(self, recipe: str, numbers: Sequence[int], batch_size: int) -> None:
        """Plan a recipe for some files, in that order.

        Args:
            recipe: Its name.
            numbers: Places in the list of files.
            batch_size: How many make a batch. The last one may be smaller.
        """
        self[:] = [
            [(recipe, i) for i in numbers[start : start + batch_size]]
            for start in range(0, len(numbers), batch_size)
        ]


class Kitchen:
    """Loaders for the same files, one for each number of workers.

    Used in a `with`, whose end stops the workers.

    Args:
        paths: The files.
        size: Height and width of what comes out, in pixels.
        batch_size: How many pictures make a batch.
        device: Where the batches go.
        start: How workers are started, such as "fork". None is as usual.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        batch_size: int,
        device: torch.device,
        start: str | None = None,
    ) -> None:
        self.dataset = Pictures(paths, size)
        self.batch_size, self.device, self.start = batch_size, device, start
        self.loaders: dict[int, tuple[Plan, DataLoader[Tensor]]] = {}

    def __enter__(self) -> Kitchen:
        return self

    def __exit__(self, *_: object) -> None:
        self.loaders.clear()

    def loader(self, workers: int) -> tuple[Plan, DataLoader[Tensor]]:
        """The loader with so many workers, and its plan."""
        if workers not in self.loaders:
            plan = Plan()
            loader = DataLoader(
                self.dataset,
                batch_sampler=plan,
                num_workers=workers,
                persistent_workers=workers > 0,
                multiprocessing_context=self.start if workers else None,
                worker_init_fn=quiet,
                pin_memory=self.device.type == "cuda",
            )
            self.loaders[workers] = plan, loader
        return self.loaders[workers]

    def batches(
        self, recipe: str, numbers: Sequence[int], workers: int
    ) -> Iterator[Tensor]:
        """Load some files, in that order.

        Args:
            recipe: The name of a recipe.
            numbers: Places in `paths`.
            workers: How many processes load. With 0, this one does.

        Yields:
            float32 tensors `(N, 3, size, size)` on the device.
        """
        plan, loader = self.loader(workers)
        plan.of(recipe, numbers, self.batch_size)
        finish, size = RECIPES[recipe].batch, self.dataset.size
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads. Those here feed the
            # queues of other loaders, and no worker needs them.
            warnings.filterwarnings("ignore", ".*multi-threaded.*fork")
            arriving = iter(loader)
        for batch in arriving:
            yield finish(batch.to(self.device, non_blocking=True), size)

    def cached(self, pictures: Tensor) -> Iterator[Tensor]:
        """Make the batches of pictures that lie in memory.

        Args:
            pictures: Of shape `(N, 3, size, size)` and dtype uint8.

        Yields:
            As `batches` does.
        """
        for part in pictures.split(self.batch_size):
            yield to_float(part.to(self.device))


# %% [markdown]
# ## An honest clock
#
# A machine does not run at one speed. So each round times every variant on the
# same pictures, in one order and in the next round in the other, and compares
# the times of one round. Medians over the rounds count. Before a round its
# files are read, so none of the variants waits for a disk. Starting workers is
# not timed with them.


# %%
@dataclass(frozen=True)
class Variant:
    """What is timed."""

    recipe: str
    """The name of a recipe, of a step, or `CACHED`."""
    workers: int | None = None
    """None is for a step: it runs without a loader."""

    def __str__(self) -> str:
        if self.workers is None:
            return self.recipe
        return (
            f"{self.recipe}, {self.workers} worker{'s'[: self.workers != 1]}"
        )


CACHED = "cached bytes, floats on the batch"
STEPS: dict[str, Callable[[Path, int], Tensor]] = {
    "decode_image": item_whole,
    "decode_image, resize": item_bytes,
    "decode_image, resize, float": item_floats,
    "PIL to tensor": lambda path, size: decode_with_pillow(path),
}
"""Parts of recipes that run without a loader. The first two are decoders."""
DECODERS = [Variant("decode_image"), Variant("PIL to tensor")]
"""The faster one is the floor."""


def variants(workers: Sequence[int], whole: bool) -> list[Variant]:
    """All that is timed.

    Args:
        workers: The numbers of workers.
        whole: Whether the pictures have one size, so that whole ones can be
            stacked.
    """
    found = [Variant(step) for step in STEPS]
    for name, recipe in RECIPES.items():
        if name == WHOLE and not whole:
            continue
        counts = workers if recipe.workers else [0]
        found += [Variant(name, count) for count in counts]
    return [*found, Variant(CACHED, 0)]


def run(
    kitchen: Kitchen, variant: Variant, numbers: Sequence[int], kept: Tensor
) -> int:
    """Do once what is timed, and wait until it is done.

    Args:
        kitchen: Has the files and the loaders.
        variant: What to do.
        numbers: Places of the files.
        kept: These pictures as bytes, `(N, 3, size, size)`, for `CACHED`.

    Returns:
        How many pictures came out.
    """
    data, count = kitchen.dataset, 0
    if variant.workers is None:
        step = STEPS[variant.recipe]
        for i in numbers:
            step(data.paths[i], data.size)
        return len(numbers)
    if variant.recipe == CACHED:
        batches = kitchen.cached(kept)
    else:
        batches = kitchen.batches(variant.recipe, numbers, variant.workers)
    for batch in batches:
        count += len(batch)
    if kitchen.device.type != "cpu":
        torch.accelerator.synchronize(kitchen.device)
    return count


def rounds(
    kitchen: Kitchen,
    contenders: Sequence[Variant],
    count: int,
    repeats: int,
    watch: Callable[[str], object] = str,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[Variant, float]]:
    """Time all variants in turn. A round takes the next pictures.

    Args:
        kitchen: Has the files and the loaders.
        contenders: What is timed.
        count: How many pictures a round has.
        repeats: How many rounds there are, beside one to warm up.
        watch: Called with what is done next.
        clock: Tells the time in seconds.

    Returns:
        For each round the seconds that each variant takes for a picture.
    """
    paths, size = kitchen.dataset.paths, kitchen.dataset.size
    found: list[dict[Variant, float]] = []
    order, threads = list(contenders), torch.get_num_threads()
    torch.set_num_threads(1)  # a worker has one, and the floor is per core
    try:
        for turn in range(-1, repeats):
            first, some = max(turn, 0) * count, count
            if turn < 0:  # to warm up, one batch is enough
                some = min(count, kitchen.batch_size)
            numbers = [(first + i) % len(paths) for i in range(some)]
            kept = torch.stack([item_bytes(paths[i], size) for i in numbers])
            times = {}
            for variant in order:
                watch(f"round {turn + 1} of {repeats}: {variant}")
                start = clock()
                came = run(kitchen, variant, numbers, kept)
                times[variant] = (clock() - start) / some
                if came != some:
                    raise ValueError(
                        f"{variant} gave {came} of {some} pictures"
                    )
            if turn >= 0:
                found.append({each: times[each] for each in contenders})
            order.reverse()
    finally:
        torch.set_num_threads(threads)
    return found


# %% [markdown]
# ## What came out


# %%
@dataclass(frozen=True)
class Row:
    """What the rounds say of a variant. All numbers are medians over them."""

    variant: Variant
    rate: float
    """Pictures per second."""
    floors: float
    """Times the speed of decoding alone, on one core."""
    naive: float
    """Times the speed of Pillow with v1 per item and no workers."""
    share: float
    """The share of the floor, on as many cores as it has processes for."""


def floor_of(found: Sequence[Mapping[Variant, float]]) -> Variant:
    """The decoder with the smaller median."""
    return min(
        DECODERS, key=lambda each: median(times[each] for times in found)
    )


def summary(found: Sequence[Mapping[Variant, float]], cores: int) -> list[Row]:
    """Make rows of times. Ratios are taken within each round.

    Args:
        found: The seconds for a picture, as `rounds` returns them.
        cores: How many there are. Decoding on all of them is so many times as
            fast as on one.
    """
    floor, naive, rows = floor_of(found), Variant(NAIVE, 0), []
    for variant in found[0]:
        floors = median(times[floor] / times[variant] for times in found)
        rows.append(
            Row(
                variant,
                rate=median(1 / times[variant] for times in found),
                floors=floors,
                naive=median(times[naive] / times[variant] for times in found),
                share=floors / min(cores, max(1, variant.workers or 0)),
            )
        )
    return rows


MARGIN = 0.05
"""Variants whose speeds differ by less are taken for equally fast."""


def recommend(rows: Sequence[Row], margin: float = MARGIN) -> Row:
    """The fastest variant, or one with fewer workers that is as good.

    Pictures in memory are no way to load them, so that is not recommended.

    Args:
        rows: Those of `summary`.
        margin: The part of the best speed that does not count.

    Raises:
        ValueError: if there is nothing to choose from.
    """
    loaded = [
        row
        for row in rows
        if row.variant.workers is not None and row.variant.recipe != CACHED
    ]
    if not loaded:
        raise ValueError("no loader was timed, so none can be recommended")
    level = max(row.floors for row in loaded) * (1 - margin)
    good = [row for row in loaded if row.floors >= level]
    return min(good, key=lambda row: (row.variant.workers, -row.floors))


def losses(found: Sequence[Mapping[Variant, float]]) -> dict[str, float]:
    """What takes the time beside decoding, in floors for a picture.

    Each is the difference of two variants of a round, over the floor of that
    round: the median over the rounds. 0.5 takes half as long as to decode.
    """
    floor, steps = floor_of(found), [Variant(step) for step in STEPS]
    pairs = {
        "resize and crop": (steps[1], steps[0]),
        "float and normalize": (steps[2], steps[1]),
        "batches": (Variant(REFERENCE, 0), steps[2]),
        "to another process": (Variant(REFERENCE, 1), Variant(REFERENCE, 0)),
        "PIL instead of decode_image": (steps[3], steps[0]),
        "v1 instead of v2": (
            Variant(NAIVE, 0),
            Variant("PIL, v2 per item", 0),
        ),
    }
    return {
        name: median((times[a] - times[b]) / times[floor] for times in found)
        for name, (a, b) in pairs.items()
        if a in found[0] and b in found[0]
    }


def dashes(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, the first column to the left and others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        )
        for row in rows
    )


def report(found: Sequence[Mapping[Variant, float]], cores: int) -> str:
    """The table of all variants, what takes the rest, and what to take.

    Args:
        found: The seconds for a picture, as `rounds` returns them.
        cores: How many there are.
    """
    rows, floor = summary(found, cores), floor_of(found)
    heads = ["", "pictures/s", "x naive", "of the floor"]
    table = [heads] + [
        [
            str(row.variant),
            f"{row.rate:.0f}",
            f"{row.naive:.2f}",
            f"{row.share:.0%}",
        ]
        for row in rows
    ]
    lines = [dashes(table), ""]
    lines.append(f"the floor: {floor} alone, times the cores in use")
    parts = [f"{name} {part:+.2f}" for name, part in losses(found).items()]
    lines.append("beside it, in times of the floor: " + ", ".join(parts))
    best = recommend(rows)
    lines.append(
        f"take {best.variant}: {best.naive:.1f} x the naive one, "
        f"{best.share:.0%} of the floor"
    )
    for row in rows:
        faster = row.floors / best.floors
        if faster > 1 + MARGIN and row.variant.recipe == CACHED:
            lines.append(
                f"pictures that stay in memory as bytes: {faster:.1f} x that, "
                "where nothing random comes before the resize"
            )
    return "\n".join(lines)


def draw(rows: Sequence[Row]) -> Figure:
    """Draw pictures per second as bars, those without a loader in grey.

    Args:
        rows: Those of `summary`.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, place = plt.subplots(
        figsize=(8, 0.6 + 0.3 * len(rows)), layout="constrained"
    )
    best = recommend(rows)
    bars = place.barh(
        [str(row.variant) for row in rows],
        [row.rate for row in rows],
        color=[
            "tab:orange"
            if row is best
            else "0.6"
            if row.variant.workers is None
            else "tab:blue"
            for row in rows
        ],
    )
    place.bar_label(bars, [f"{row.rate:.0f}" for row in rows], padding=3)
    place.invert_yaxis()
    place.margins(x=0.12)
    place.set_xlabel("pictures per second (orange: recommended)")
    return figure


# %% [markdown]
# ## The same pictures
#
# Before anything is timed, every file is decoded by both decoders, and a batch
# of each recipe is held against that of `decode_image` with v2 per item. They
# agree to a level or two of 255: Pillow rounds another way where it resizes.

# %%
ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif"}
"""What both decoders read."""
ALIKE = 1.0
"""How many of 255 levels recipes may differ by, on average over a batch."""


def files_in(folder: Path) -> list[Path]:
    """The pictures in a folder and the folders in it, hidden ones left out.

    Raises:
        ValueError: if there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise ValueError(f"{folder} {what}: name a folder with pictures")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in ENDINGS
        and path.is_file()
        and not any(
            part.startswith(".") for part in path.relative_to(folder).parts
        )
    ]
    if not found:
        raise ValueError(
            f"{folder} holds no picture that ends in {', '.join(ENDINGS)}"
        )
    return found


def one_line(error: BaseException) -> str:
    """The last line of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def check_file(path: Path) -> tuple[int, int]:
    """Decode a file with both decoders.

    Returns:
        Height and width in pixels.

    Raises:
        ValueError: if one of them cannot, or both give different pictures.
            The message names the file.
    """
    try:
        one = decode_with_pillow(path)
    except Exception as error:  # Pillow raises many kinds
        raise ValueError(
            f"{path}: Pillow cannot read it: {one_line(error)}"
        ) from None
    try:
        other = decode(path)
    except RuntimeError as error:
        raise ValueError(
            f"{path}: decode_image cannot read it: {one_line(error)}"
        ) from None
    if one.shape != other.shape or other.dtype != torch.uint8:
        raise ValueError(
            f"{path}: Pillow makes {tuple(one.shape)} of it, decode_image "
            f"{tuple(other.shape)} of {other.dtype}: leave it out"
        )
    off = float((one.short() - other.short()).abs().float().mean())
    if off > ALIKE:
        raise ValueError(
            f"{path}: Pillow and decode_image are {off:.0f} levels apart on "
            "average: save it as RGB of 8 bits"
        )
    height, width = one.shape[1:]
    return height, width


def differences(
    kitchen: Kitchen, contenders: Sequence[Variant], numbers: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """How far the recipes are from the reference, in levels of 255.

    Args:
        kitchen: Has the files and the loaders.
        contenders: What is timed.
        numbers: Places of the files to look at.

    Returns:
        For each recipe the mean and the largest difference, with the number
        of workers that has most of it.

    Raises:
        ValueError: if one gives other pictures, or the same in another order.
    """
    size = kitchen.dataset.size
    found: dict[str, tuple[float, float]] = {}
    paths = [kitchen.dataset.paths[i] for i in numbers]
    kept = torch.stack([item_bytes(path, size) for path in paths])
    expected = levels(torch.cat([*kitchen.batches(REFERENCE, numbers, 0)]))
    for variant in contenders:
        if variant.workers is None:
            continue
        if variant.recipe == CACHED:
            batches = kitchen.cached(kept)
        else:
            batches = kitchen.batches(variant.recipe, numbers, variant.workers)
        got = torch.cat([*batches])
        if got.shape != expected.shape or got.dtype != torch.float32:
            raise ValueError(
                f"{variant} gives {tuple(got.shape)} of {got.dtype}, and not "
                f"{tuple(expected.shape)} of float32"
            )
        off = (levels(got) - expected).abs()
        mean, most = found.get(variant.recipe, (0.0, 0.0))
        mean, most = max(mean, float(off.mean())), max(most, float(off.max()))
        if mean > ALIKE:
            raise ValueError(
                f"{variant} gives other pictures than {REFERENCE}: they are "
                f"{mean:.1f} levels of 255 apart on average"
            )
        found[variant.recipe] = mean, most
    return found


# %% [markdown]
# ## Pictures to measure with


# %%
def write_examples(
    folder: Path, count: int, seed: int, width: int = 500
) -> None:
    """Write JPEGs, four to three: parts of the pictures of scikit-image.

    Args:
        folder: Where to.
        count: How many.
        seed: Another seed cuts out other parts.
        width: How wide they are, in pixels.
    """
    from skimage import data

    names = ("astronaut", "coffee", "rocket", "chelsea", "hubble_deep_field")
    photos = [Image.fromarray(getattr(data, name)()) for name in names]
    random = np.random.default_rng(seed)
    for number in range(count):
        photo = photos[number % len(photos)]
        side = random.uniform(0.5, 1) * min(photo.width / 4, photo.height / 3)
        left = random.uniform(0, photo.width - 4 * side)
        top = random.uniform(0, photo.height - 3 * side)
        photo.resize(
            (width, width * 3 // 4),
            Image.Resampling.BICUBIC,
            box=(left, top, left + 4 * side, top + 3 * side),
        ).save(folder / f"{number:05}.jpg", quality=90)


# %% [markdown]
# ## The record


# %%
def processor() -> str:
    """The model of the processor, as far as the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        told = ""
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def cores_here() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def short(number: float) -> float:
    """Three digits of a number: more are noise."""
    return float(f"{number:.3g}")


def record(
    found: Sequence[Mapping[Variant, float]],
    settings: Mapping[str, object],
    apart: Mapping[str, tuple[float, float]],
    cores: int,
    device: torch.device,
) -> dict[str, Any]:
    """What was measured, on which machine, ready for JSON.

    Args:
        found: The seconds for a picture, as `rounds` returns them.
        settings: What was asked for.
        apart: What `differences` returns.
        cores: How many there are.
        device: Where the batches went.
    """
    rows, floor = summary(found, cores), floor_of(found)
    best = recommend(rows)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": cores,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "device": device.type,
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
            "pillow": version("pillow"),
        },
        "settings": dict(settings),
        "floor": str(floor),
        "rows": [
            {
                "recipe": row.variant.recipe,
                "workers": row.variant.workers,
                "rate": short(row.rate),
                "naive": short(row.naive),
                "floors": short(row.floors),
                "share": short(row.share),
                "spread": [
                    short(
                        pick(
                            times[floor] / times[row.variant]
                            for times in found
                        )
                    )
                    for pick in (min, max)
                ],
            }
            for row in rows
        ],
        "losses": {name: short(part) for name, part in losses(found).items()},
        "levels apart": {
            name: [short(mean), short(most)]
            for name, (mean, most) in apart.items()
        },
        "recommended": {
            "recipe": best.variant.recipe,
            "workers": best.variant.workers,
        },
    }


def save(text: str, file: Path) -> None:
    """Write a text: all of it, or nothing.

    Raises:
        OSError: if it cannot be written there.
    """
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, encoding="utf-8", delete=False
    ) as part:
        part.write(text)
    try:
        Path(part.name).chmod(0o644)
        os.replace(part.name, file)
    except OSError:
        os.unlink(part.name)
        raise


# %% [markdown]
# ## On the command line


# %%
def whole_number(text: str, name: str, least: int, most: int) -> int:
    """Read a whole number of at most nine digits.

    Raises:
        ValueError: if it is none, or out of range.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text) or not (
        least <= int(text) <= most
    ):
        raise ValueError(
            f"{name} is a whole number from {least} to {most}, not {text!r}"
        )
    return int(text)


def workers_from(text: str) -> list[int]:
    """The numbers of workers in a text like `0,1,2`, in growing order.

    Raises:
        ValueError: if one of them is no whole number from 0 to 64.
    """
    parts = [part.strip() for part in text.split(",")]
    return sorted({whole_number(part, "--workers", 0, 64) for part in parts})


def check_ending(file: str | None, endings: Sequence[str]) -> None:
    """See that a file can be written, before anything runs.

    Raises:
        ValueError: if its folder is missing, or its name ends in another way.
    """
    if file is None:
        return
    if not Path(file).parent.is_dir():
        raise ValueError(f"there is no folder {Path(file).parent} for {file}")
    if Path(file).is_dir():
        raise ValueError(f"{file} is a folder")
    if Path(file).suffix[1:] not in endings:
        raise ValueError(f"{file} does not end in .{', .'.join(endings)}")


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


def progress(text: str) -> None:
    """Show what is done in a line on a terminal, and nowhere else."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def measure(
    folder: Path,
    workers: Sequence[int],
    batch_size: int,
    size: int,
    count: int,
    repeats: int,
    seed: int,
    device: torch.device,
    start: str | None = None,
    watch: Callable[[str], object] = str,
) -> tuple[
    list[dict[Variant, float]],
    dict[str, object],
    dict[str, tuple[float, float]],
]:
    """Check the pictures of a folder, and time all variants on them.

    Args:
        folder: Has the pictures.
        workers: The numbers of workers.
        batch_size: How many pictures make a batch.
        size: Height and width of what is loaded, in pixels.
        count: How many pictures a round has. Fewer are there: all of them.
        repeats: How many rounds there are.
        seed: Decides on the order of the pictures.
        device: Where the batches go.
        start: How workers are started. None is as usual.
        watch: Called with what is done next.

    Returns:
        What `rounds` returns, what was measured with, and what `differences`
        returns.

    Raises:
        ValueError: if the folder or a picture in it cannot be used.
    """
    paths = files_in(folder)
    order = torch.randperm(
        len(paths), generator=torch.Generator().manual_seed(seed)
    )
    count = min(count, len(paths))
    paths = [paths[i] for i in order[: count * repeats].tolist()]
    sizes = set()
    for number, path in enumerate(paths, 1):
        watch(f"checking picture {number} of {len(paths)}")
        sizes.add(check_file(path))
    contenders = variants(workers, len(sizes) == 1)
    busy = short(os.getloadavg()[0]) if hasattr(os, "getloadavg") else None
    with Kitchen(paths, size, batch_size, device, start) as kitchen:
        some = range(min(len(paths), batch_size))
        apart = differences(kitchen, contenders, some)
        found = rounds(kitchen, contenders, count, repeats, watch)
    settings = {
        "pictures": len(paths),
        "sides": [[min(side), max(side)] for side in zip(*sizes, strict=True)],
        "kilobytes": round(
            sum(path.stat().st_size for path in paths) / len(paths) / 1000
        ),
        "size": size,
        "batch": batch_size,
        "count": count,
        "rounds": repeats,
        "seed": seed,
        "start": start or multiprocessing.get_start_method(),
        "load": busy,
    }
    return found, settings, apart


def opening(
    settings: Mapping[str, Any],
    apart: Mapping[str, tuple[float, float]],
    cores: int,
    device: torch.device,
) -> str:
    """What was measured with, and how alike the recipes are, as text."""
    (low, high), (narrow, wide) = settings["sides"]
    tall = f"{low}" if low == high else f"{low} to {high}"
    broad = f"{narrow}" if narrow == wide else f"{narrow} to {wide}"
    lines = [
        f"rounds: {settings['rounds']}, of {settings['count']} pictures each, "
        f"{tall} x {broad} pixels, to batches of {settings['batch']} x 3 x "
        f"{settings['size']} x {settings['size']}, {device.type}, {cores} "
        f"core{'s'[: cores != 1]}"
    ]
    if WHOLE not in apart:
        lines.append("their sizes differ, so whole ones make no batch")
    for name, (mean, largest) in apart.items():
        if largest > 0.001:  # more than floats are rounded by
            lines.append(
                f"{name} is {mean:.3f} levels of 255 off on average, "
                f"{largest:.1f} at most"
            )
    lines.append(f"all else gives the pictures of {REFERENCE}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Pictures per second of a folder, in several ways."
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="has pictures, in folders too (default: some of scikit-image)",
    )
    parser.add_argument(
        "--generate",
        metavar="N",
        help="write so many pictures of 500 x 375, and take them",
    )
    parser.add_argument(
        "--workers",
        default="0,1,2",
        metavar="A,B",
        help="numbers of processes that load (default: 0,1,2)",
    )
    parser.add_argument(
        "--start",
        metavar="|".join(multiprocessing.get_all_start_methods()),
        help="how workers are started (default: as Python does)",
    )
    parser.add_argument(
        "--batch-size", default="16", help="pictures in a batch (default: 16)"
    )
    parser.add_argument(
        "--size",
        help="height and width of what is loaded, in pixels (default: 224, "
        "and 112 without a folder)",
    )
    parser.add_argument(
        "--count", default="128", help="pictures in a round (default: 128)"
    )
    parser.add_argument(
        "--rounds", default="3", help="how often all is timed (default: 3)"
    )
    parser.add_argument(
        "--seed", default="0", help="of the order and --generate (default: 0)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw it (.png, .svg, .pdf)"
    )
    parser.add_argument(
        "--record", metavar="FILE.json", help="write what came out as JSON"
    )
    options = parser.parse_args(arguments)
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        workers = workers_from(options.workers)
        batch_size = whole_number(options.batch_size, "--batch-size", 1, 4096)
        small = not (options.folder or options.generate)
        asked = options.size or ("112" if small else "224")
        size = whole_number(asked, "--size", 1, 4096)
        count = whole_number(options.count, "--count", 1, 1_000_000)
        repeats = whole_number(options.rounds, "--rounds", 1, 1000)
        seed = whole_number(options.seed, "--seed", 0, 999_999_999)
        device = device_from(options.device)
        starts = multiprocessing.get_all_start_methods()
        if options.start not in (None, *starts):
            raise ValueError(
                f"--start is {' or '.join(starts)} here, not {options.start!r}"
            )
        if options.generate is not None and options.folder:
            raise ValueError("name a folder or --generate, not both")
        made = whole_number(options.generate or "64", "--generate", 1, 100_000)
        check_ending(options.record, ["json"])
        check_ending(options.plot, ["pdf", "png", "svg"])
        cores = cores_here()
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            quiet()
            folder = options.folder
            if not folder:
                made_in = tempfile.TemporaryDirectory(prefix="loaders-")
                folder = Path(stack.enter_context(made_in))
                progress(f"writing {made} pictures")
                write_examples(folder, made, seed, 250 if small else 500)
            found, settings, apart = measure(
                folder,
                workers,
                batch_size,
                size,
                count,
                repeats,
                seed,
                device,
                options.start,
                progress,
            )
        progress("")
        if options.record:
            written = record(found, settings, apart, cores, device)
            save(json.dumps(written, indent=1) + "\n", Path(options.record))
        if options.plot:
            draw(summary(found, cores)).savefig(options.plot)
        print(opening(settings, apart, cores, device))
        print()
        print(report(found, cores))
    except (ValueError, OSError) as error:
        progress("")
        print(f"loaders.py: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook: no workers, few pictures
        cores, cpu = cores_here(), torch.device("cpu")
        with tempfile.TemporaryDirectory() as folder:
            write_examples(Path(folder), count=32, seed=0, width=250)
            found, settings, apart = measure(
                Path(folder), [0], 8, 112, 32, 3, 0, cpu
            )
        print(opening(settings, apart, cores, cpu))
        print(report(found, cores))
        draw(summary(found, cores))
    else:
        sys.exit(main())
