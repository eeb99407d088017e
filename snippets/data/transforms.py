# %% [markdown]
# # Paired augmentation
#
# A picture, the mask of its objects and their boxes are cropped, mirrored and
# turned together, and only the picture changes its brightness. What goes in
# is checked, and so is what comes out. Sample i of epoch e is the same in
# every run, with any number of workers.
#
# ```console
# $ python transforms.py
# $ python transforms.py photo.png mask.png --count 20 --crop 128 --seed 7
# $ python transforms.py --workers 2 --plot pairs.png
# ```

# %%
"""Augment a picture together with its mask and its boxes."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## A sample that fits together
#
# The mask holds 0 where there is nothing, and elsewhere the number of an
# object. A box reaches from its left and upper edge up to its right and lower
# edge, so an object of one pixel has a box of size 1. `masks_to_boxes` names
# the last pixel instead, one less.

# %%
MOST = 65535
"""The largest number of an object: what a PNG of 16 bits can hold."""
WHOLE = (torch.uint8, torch.int16, torch.int32, torch.int64)
"""The dtypes that a mask can have."""


@dataclass(frozen=True)
class Sample:
    """A picture with its mask and its boxes. They are checked when it is made.

    Raises:
        ValueError: if they do not fit together.
    """

    picture: Tensor
    """Of shape `(1, H, W)` or `(3, H, W)` and dtype uint8."""
    mask: Tensor
    """Of shape `(H, W)` and a dtype of whole numbers: 0, or an object's."""
    boxes: Tensor
    """Of shape `(N, 4)` and dtype float32: left, top, right, bottom."""
    labels: Tensor
    """Of shape `(N,)` and dtype int64: the number that each box has in the
    mask."""

    def __post_init__(self) -> None:
        check_pair(self.picture, self.mask)
        check_boxes(self.boxes, self.labels, self.size)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[1], self.picture.shape[2]

    def to(self, device: torch.device) -> Sample:
        """The same sample on a device."""
        return Sample(
            self.picture.to(device),
            self.mask.to(device),
            self.boxes.to(device),
            self.labels.to(device),
        )


def check_pair(picture: Tensor, mask: Tensor) -> None:
    """Say what is wrong with a picture and its mask.

    Args:
        picture: As in `Sample`.
        mask: As in `Sample`.

    Raises:
        ValueError: if they do not fit, with what to do about it.
    """
    shape = tuple(picture.shape)
    if len(shape) != 3 or shape[0] not in (1, 3) or not picture.numel():
        hint = ": permute(2, 0, 1)" if shape[2:] in ((1,), (3,)) else ""
        raise ValueError(
            f"a picture is (1, H, W) or (3, H, W), not {shape}{hint}"
        )
    if picture.dtype != torch.uint8:
        raise ValueError(
            f"the picture is {picture.dtype}: augment uint8, and scale behind"
        )
    if mask.dtype not in WHOLE:
        raise ValueError(
            f"the mask is {mask.dtype}: it holds the numbers of objects, so "
            "make it int64"
        )
    if tuple(mask.shape) != shape[1:]:
        raise ValueError(
            f"the mask is {tuple(mask.shape)} and the picture {shape[1:]}: "
            "both need the same height and width"
        )
    if int(mask.min()) < 0 or int(mask.max()) > MOST:
        raise ValueError(
            f"the mask goes from {mask.min()} to {mask.max()}: numbers of "
            f"objects are 0 to {MOST}"
        )


def check_boxes(boxes: Tensor, labels: Tensor, size: tuple[int, int]) -> None:
    """Say what is wrong with the boxes of a picture.

    Args:
        boxes: As in `Sample`.
        labels: As in `Sample`.
        size: Height and width of the picture.

    Raises:
        ValueError: if a box has no area or leaves the picture, or the labels
            do not fit.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes are (N, 4), not {tuple(boxes.shape)}")
    if tuple(labels.shape) != (len(boxes),):
        raise ValueError(
            f"{len(boxes)} boxes need as many labels, not "
            f"{tuple(labels.shape)}"
        )
    left, top, right, bottom = boxes.unbind(1)
    height, width = size
    flat = (right <= left) | (bottom <= top)
    out = (left < 0) | (top < 0) | (right > width) | (bottom > height)
    for wrong, said in ((flat, "has no area"), (out, "leaves the picture")):
        if wrong.any():
            i = int(wrong.nonzero()[0, 0])
            raise ValueError(f"box {i} {said}: {boxes[i].tolist()}")


def boxes_of(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of the objects of a mask.

    Args:
        mask: As in `Sample`.

    Returns:
        Boxes and labels, as in `Sample`, in the order of the labels.
    """
    from torchvision.ops import masks_to_boxes  # takes a second to load

    labels = mask.unique().long()
    labels = labels[labels > 0]
    if not len(labels):
        return torch.zeros(0, 4, device=mask.device), labels
    few = labels.split(32)  # a mask for each object at once may be too much
    parts = [masks_to_boxes(mask == some[:, None, None]) for some in few]
    boxes = torch.cat(parts).float()
    return boxes + boxes.new_tensor([0, 0, 1, 1]), labels


def sample_of(picture: Tensor, mask: Tensor) -> Sample:
    """Make a sample of a picture and its mask. The boxes are the mask's.

    Raises:
        ValueError: if they do not fit together, or the mask has no object.
    """
    check_pair(picture, mask)
    boxes, labels = boxes_of(mask)
    if not len(labels):
        raise ValueError("the mask marks no object: it is 0 everywhere")
    return Sample(picture, mask, boxes, labels)


# %% [markdown]
# ## Draw, then move
#
# What is drawn is kept apart from what is done with it. So the numbers can
# come from a generator of their own, and one draw moves all parts. Each part
# is wrapped in its type, by which `torchvision` treats it: a mask takes the
# nearest pixel, a box has its corners moved, and colours are the picture's.


# %%
@dataclass(frozen=True)
class Draw:
    """What is done to one sample."""

    top: int
    """The first row of the crop."""
    left: int
    """The first column of the crop."""
    size: int
    """Height and width of the crop, in pixels."""
    mirrored: bool = False
    """Whether left and right change places."""
    upside_down: bool = False
    """Whether top and bottom change places."""
    angle: float = 0.0
    """How far it is turned to the left before the crop, in degrees."""
    brightness: float = 1.0
    """What the picture is multiplied by."""

    def __str__(self) -> str:
        """In words, such as `crop at (3, 40), mirrored`."""
        words = [f"crop at ({self.top}, {self.left})"]
        words += ["mirrored"] * self.mirrored
        words += ["upside down"] * self.upside_down
        words += [f"turned {self.angle:.1f}"] * (self.angle != 0)
        return ", ".join([*words, f"brightness {self.brightness:.2f}"])


def draw_for(
    size: tuple[int, int], crop: int, generator: torch.Generator
) -> Draw:
    """Draw what is done to a sample.

    Args:
        size: Height and width of its picture.
        crop: Height and width of the crop.
        generator: Where the numbers come from, on the CPU.

    Raises:
        ValueError: if the crop is larger than the picture.
    """
    height, width = size
    if not 1 <= crop <= min(size):
        raise ValueError(
            f"a crop of {crop} does not fit into {height} x {width} pixels"
        )

    # Each sample takes as many numbers, in double: then none is rounded to 1.
    u = torch.rand(7, generator=generator, dtype=torch.float64).tolist()
    return Draw(
        top=int(u[0] * (height - crop + 1)),
        left=int(u[1] * (width - crop + 1)),
        size=crop,
        mirrored=u[2] < 0.5,
        upside_down=u[3] < 0.5,
        angle=30 * u[5] - 15 if u[4] < 0.5 else 0.0,
        brightness=0.6 + 0.8 * u[6],
    )


def move(part: Tensor, draw: Draw) -> Tensor:
    """Turn, crop and mirror one part, as its type wants it.

    Args:
        part: A `tv_tensors.Image`, `Mask` or `BoundingBoxes`.
        draw: What to do.
    """
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as TF

    if draw.angle:
        smooth = InterpolationMode.BILINEAR
        part = TF.rotate(part, draw.angle, interpolation=smooth)
    part = TF.crop(part, draw.top, draw.left, draw.size, draw.size)
    if draw.mirrored:
        part = TF.horizontal_flip(part)
    return TF.vertical_flip(part) if draw.upside_down else part


@dataclass(frozen=True)
class Pair:
    """An augmented sample, and how its parts agree."""

    sample: Sample
    draw: Draw
    dropped: int
    """How many boxes went with their labels, as nothing of their objects is
    left."""
    cut: int
    """How many objects lost pixels, or were turned. Their boxes are taken
    from the mask again."""
    alike: float
    """At which part of the pixels picture and mask say the same."""
    off: float
    """How far the moved boxes of whole objects are from the mask's, in
    pixels."""
    wider: float
    """How far the moved boxes of the others reach beyond the mask's."""


def augment(sample: Sample, draw: Draw) -> Pair:
    """Move all parts of a sample alike, and check what comes out.

    Args:
        sample: What is augmented. It is left as it is.
        draw: What to do.

    Raises:
        RuntimeError: if mask or boxes came out wrong.
    """
    from torchvision import tv_tensors
    from torchvision.transforms.v2.functional import adjust_brightness

    picture = move(tv_tensors.Image(sample.picture), draw)
    mask = move(tv_tensors.Mask(sample.mask), draw).as_subclass(Tensor)
    corners = tv_tensors.BoundingBoxes(
        sample.boxes, format="XYXY", canvas_size=sample.size
    )
    moved = move(corners, draw).as_subclass(Tensor)

    if not torch.isin(mask.unique(), sample.mask.unique()).all():
        raise RuntimeError("the mask has numbers that it did not have before")

    # The mask once more, taken for a picture: does it land where the mask is?
    shown = tv_tensors.Image((sample.mask > 0).byte()[None] * 255)
    alike = ((move(shown, draw)[0] > 127) == (mask > 0)).float().mean()

    boxes, labels = boxes_of(mask)
    kept = torch.isin(sample.labels, labels)
    if not sample.labels[kept].equal(labels):
        raise RuntimeError("labels were lost, or came in another order")
    before, after = (
        part.flatten().long().bincount(minlength=MOST + 1)[labels]
        for part in (sample.mask, mask)
    )
    whole = (before == after) & (draw.angle == 0)
    distance = (moved[kept] - boxes).abs()
    off = float(distance[whole].max()) if whole.any() else 0.0
    wider = float(distance[~whole].max()) if (~whole).any() else 0.0
    if off > 1:
        raise RuntimeError(f"a box is {off:.1f} pixels from its object")

    picture = adjust_brightness(picture, draw.brightness)
    out = Sample(picture.as_subclass(Tensor), mask, boxes, labels)
    return Pair(
        out,
        draw,
        dropped=int((~kept).sum()),
        cut=int((~whole).sum()),
        alike=float(alike),
        off=off,
        wider=wider,
    )


# %% [markdown]
# ## The same sample whoever loads it
#
# Each sample has a generator, seeded with the seed of the run, the epoch and
# its index. `SeedSequence` mixes the three, so that sample 1 of epoch 0 is
# another one than sample 0 of epoch 1. The epoch lies in shared memory, where
# workers that live on see it.


# %%
class Pairs(Dataset[Pair]):
    """Augmented versions of one sample."""

    def __init__(
        self, sample: Sample, count: int, crop: int, seed: int = 0
    ) -> None:
        """Make a dataset.

        Args:
            sample: What is augmented, on the CPU if workers load it.
            count: How many versions an epoch has.
            crop: Height and width of each, in pixels.
            seed: Another seed makes other versions.

        Raises:
            ValueError: if the crop is larger than the picture.
        """
        draw_for(sample.size, crop, torch.Generator())
        self.sample, self.count, self.crop = sample, count, crop
        self.seed, self._epoch = seed, torch.tensor(0).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Go on to other versions, before an epoch begins."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Pair:
        if not 0 <= i < self.count:
            raise IndexError(f"there is no sample {i} of {self.count}")
        mixed = np.random.SeedSequence([self.seed, int(self._epoch), i])
        (state,) = mixed.generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state))
        draw = draw_for(self.sample.size, self.crop, generator)
        return augment(self.sample, draw)


# %% [markdown]
# ## A picture with its mask
#
# Without files it is the coins of scikit-image. Pixels that are brighter than
# their surroundings are coins, as one corner of the photo is brighter than the
# rest. Each coin gets a number.


# %%
def coins() -> Sample:
    """The coins of scikit-image, each with a number."""
    from skimage.data import coins as photo
    from skimage.filters import gaussian, threshold_local
    from skimage.measure import label
    from skimage.segmentation import clear_border

    pixels = photo()
    smooth = gaussian(pixels, 2)
    bright = smooth > threshold_local(smooth, 121, offset=-0.03)
    numbers = label(clear_border(bright))
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes > 400)
    mask = np.searchsorted(large, numbers) + 1
    mask[~np.isin(numbers, large)] = 0
    return sample_of(torch.tensor(pixels)[None], torch.tensor(mask))


def pixels_of(path: Path) -> Image.Image:
    """The picture in a file, turned upright.

    Raises:
        ValueError: if there is none.
        OSError: if there is no such file.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is no picture that Pillow knows") from None
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # whatever a broken file makes Pillow raise
        raise ValueError(f"{path} cannot be read: {error}") from None


def read(picture: Path, mask: Path) -> Sample:
    """Make a sample of two files.

    Args:
        picture: A picture of 8 bits, grey or in colour.
        mask: A picture of the same size with one channel, whose numbers, 0
            apart, are those of objects. Of a palette the numbers count.

    Raises:
        ValueError: if they are none or do not fit together.
        OSError: if there is no such file.
    """
    image, numbers = pixels_of(picture), pixels_of(mask)
    if image.mode == "P" and not image.has_transparency_data:
        image = image.convert("RGB")
    if image.mode not in ("L", "RGB"):
        raise ValueError(
            f"{picture} has mode {image.mode}: convert it to RGB or L first"
        )
    if numbers.mode not in ("1", "L", "P", "I", "I;16"):
        raise ValueError(
            f"{mask} has mode {numbers.mode}: a mask has one channel of whole "
            "numbers"
        )
    pixels = torch.tensor(np.atleast_3d(np.array(image))).permute(2, 0, 1)
    objects = torch.tensor(np.array(numbers).astype(np.int64))
    try:
        return sample_of(pixels.contiguous(), objects)
    except ValueError as error:
        raise ValueError(f"{mask} beside {picture}: {error}") from None


def draw(pairs: Sequence[Pair]) -> Figure:
    """Draw pairs side by side: pictures, edges of masks, boxes.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    figure, places = plt.subplots(
        1,
        len(pairs),
        figsize=(max(2.4, 2.2 * len(pairs)), 2.6),
        squeeze=False,
        layout="constrained",
    )
    for i, (place, pair) in enumerate(zip(places.flat, pairs, strict=True)):
        sample = pair.sample.to(torch.device("cpu"))
        pixels = sample.picture.permute(1, 2, 0).numpy()
        place.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        place.contour(sample.mask.numpy() > 0, [0.5], colors="tab:orange")
        for left, top, right, bottom in sample.boxes.tolist():
            corner = (left - 0.5, top - 0.5)  # a pixel reaches 0.5 around it
            box = Rectangle(
                corner, right - left, bottom - top, fill=False, ec="tab:blue"
            )
            place.add_patch(box)
        place.set_title(f"{i}: {len(sample.labels)} objects")
        place.axis("off")
    return figure


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


def report(i: int, pair: Pair) -> str:
    """What was drawn for a pair, what is left, and how it agrees."""
    left = len(pair.sample.labels)
    agrees = f"picture and mask agree at {pair.alike:.2%}"
    if pair.cut < left:
        agrees += f", boxes of whole objects to {pair.off:g} px"
    if pair.cut:
        agrees += (
            f", {pair.cut} cut or turned: boxes taken from the mask, "
            f"{pair.wider:.0f} px tighter"
        )
    return (
        f"pair {i}: {pair.draw}\n"
        f"    {left} of {left + pair.dropped} objects, {pair.dropped} dropped "
        f"with their labels\n    {agrees}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Augment a picture together with its mask and its boxes."
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="PICTURE MASK",
        help="two pictures of one size (default: coins, with a mask)",
    )
    parser.add_argument(
        "--count", default="4", help="how many pairs (default: 4)"
    )
    parser.add_argument(
        "--crop",
        help="height and width of a pair, in pixels (default: two thirds of "
        "the shorter side)",
    )
    parser.add_argument(
        "--epoch", default="0", help="other pairs (default: 0)"
    )
    parser.add_argument("--seed", default="0", help="(default: 0)")
    parser.add_argument(
        "--workers", default="0", help="processes that load (default: 0)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw it (.png, .svg, .pdf)"
    )
    options = parser.parse_args(arguments)
    try:
        count = whole_number(options.count, "--count", 1, 100_000)
        epoch = whole_number(options.epoch, "--epoch", 0, 999_999_999)
        seed = whole_number(options.seed, "--seed", 0, 999_999_999)
        workers = whole_number(options.workers, "--workers", 0, 64)
        device = device_from(options.device)
        if len(options.files) not in (0, 2):
            raise ValueError(
                f"{' '.join(map(str, options.files))}: name a picture and its "
                "mask, or no file"
            )
        sample = read(*options.files) if options.files else coins()
        shorter = min(sample.size)
        crop = shorter * 2 // 3 or 1
        if options.crop:
            crop = whole_number(options.crop, "--crop", 1, shorter)
        pairs = Pairs(sample, count, crop, seed)
        pairs.set_epoch(epoch)
        loader = DataLoader(pairs, batch_size=None, num_workers=workers)
        some = []
        for i, pair in enumerate(loader):
            pair = replace(pair, sample=pair.sample.to(device))
            print(report(i, pair))
            some += [pair] * (i < 4)
        if options.plot:
            draw(some).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"transforms.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook
        examples = list(Pairs(coins(), count=4, crop=100))
        for i, pair in enumerate(examples):
            print(report(i, pair))
        draw(examples)
    else:
        sys.exit(main())
