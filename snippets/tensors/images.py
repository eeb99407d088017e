# %% [markdown]
# # Picture converter
#
# Any picture file becomes a float tensor of shape `(3, H, W)` with numbers
# from 0 to 1, and such a tensor becomes a file. What can be exact is exact:
# 1, 8 and 16 bits come back to the last level. Of what cannot, the program
# says what is lost. A file is written only after it has been read back.
#
# ```console
# $ python images.py photo.jpg
# $ python images.py logo.png --background black --to logo.jpg --quality 90
# $ python images.py scan.tiff --bits 16 --to scan.png
# ```

# %%
"""Picture files of any mode as (3, H, W) float tensors, and back."""

from __future__ import annotations

import argparse
import io
import logging
import os
import re
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageColor, ImageOps
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## From a file to a tensor
#
# Pillow decodes the file. Its mode says what a pixel is, and each mode has a
# white of its own: True, 255 or 65535. A picture with a palette holds numbers
# of colours, which are looked up. A picture with alpha is laid on a
# background. What a phone noted about how to turn it is done.


# %%
@dataclass(frozen=True)
class Picture:
    """A picture as a tensor, and what became of the file on the way."""

    pixels: Tensor
    """Of shape `(3, H, W)` and dtype float32, numbers from 0 to 1."""
    bits: int
    """The bits per channel of the file: 1, 8, 16, or 32 for floats."""
    source: str
    """What the file was, such as `PNG, 640 x 480, mode RGB`."""
    done: tuple[str, ...] = ()
    """What was done and can be undone without loss."""
    lost: tuple[str, ...] = ()
    """What the tensor does not hold."""


BROKEN = (
    OSError,
    SyntaxError,  # so Pillow says that a PNG is broken
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    RuntimeError,
    AttributeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises for files that are no pictures, or broken ones."""


def decode(data: bytes, name: str, background: str = "white") -> Picture:
    """Make a tensor of the bytes of a picture file.

    Args:
        data: The bytes.
        name: What to call the file in messages.
        background: The colour on which a picture with alpha is laid, such as
            `white` or `#ff8000`.

    Raises:
        ValueError: if the bytes are no picture, a broken one, one of more
            pixels than Pillow takes, or one without a known white.
    """
    ground = color_from(background)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                picture = from_pillow(image, ground)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{name} is no picture that Pillow knows") from None
    except BROKEN as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name} cannot be read: {said}") from None
    told = dict.fromkeys(str(each.message).strip() for each in warned)
    if not told:
        return picture
    lost = (
        *picture.lost,
        *(f"perhaps more: Pillow warns {text!r}" for text in told),
    )
    return replace(picture, lost=lost)


def from_pillow(image: Image.Image, ground: Tensor) -> Picture:
    """Make a tensor of a picture that Pillow has opened.

    Args:
        image: The picture, as `Image.open` returns it.
        ground: The background, of shape `(3, 1, 1)`.

    Raises:
        ValueError: if nobody can tell which number is white.
    """
    width, height = image.size
    source = f"{image.format}, {width} x {height}, mode {image.mode}"
    done, lost = [], []
    if (frames := getattr(image, "n_frames", 1)) > 1:
        lost.append(f"all but the first of {frames} frames")
    if not image.mode.startswith("I") and sixteen_bits(image):
        lost.append("8 of 16 bits: Pillow keeps 16 for grey pictures only")
    if image.info.get("icc_profile"):
        lost.append("the colour profile, but none of the numbers")
    image.load()
    if (turn := image.getexif().get(0x0112, 1)) in range(2, 9):
        image = ImageOps.exif_transpose(image)
        done.append(f"turned upright, as EXIF orientation {turn} says")
    mode, bits = image.mode, 8
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        bits = 16
        pixels = torch.tensor(np.array(image).astype(np.float32)) / 65535
        if "transparency" in image.info:
            lost.append("which level is transparent")
    elif mode == "F":
        bits = 32
        pixels = torch.tensor(np.array(image))
        if not ((pixels >= 0) & (pixels <= 1)).all():
            raise ValueError(
                f"its floats go from {pixels.min():g} to {pixels.max():g}, "
                "and only from 0 to 1 it is clear which one is white"
            )
    elif mode == "I":
        raise ValueError(
            "its numbers have 32 bits, and nobody says which one is white"
        )
    else:
        bits = 1 if mode == "1" else 8
        if mode in ("P", "PA"):
            done.append("the colours looked up in the palette")
        elif mode not in ("1", "L", "LA", "RGB", "RGBA", "RGBX"):
            lost.append(f"the colours of {mode}, which became RGB")
        alpha = image.has_transparency_data
        image = image.convert("RGBA" if alpha else "RGB")
        array = np.array(image)
        pixels = torch.tensor(array).permute(2, 0, 1) / 255
        if alpha:
            pixels, solid = pixels[:3], pixels[3:]
            through = int((solid < 1).sum())
            pixels = pixels * solid + ground * (1 - solid)
            if through:
                lost.append(f"alpha: {through} pixels lie on the background")
            else:
                done.append("alpha left out: every pixel is solid")
    if pixels.ndim == 2:
        pixels = pixels.expand(3, -1, -1)
    return Picture(pixels.contiguous(), bits, source, tuple(done), tuple(lost))


def sixteen_bits(image: Image.Image) -> bool:
    """Whether the file has 16 bits per channel. Ask before it is loaded."""
    tiles = getattr(image, "tile", [])
    return any(re.search(r";16", str(tile)) for tile in tiles)


def read(
    path: Path,
    background: str = "white",
    device: torch.device | None = None,
) -> Picture:
    """Make a tensor of a picture file.

    Args:
        path: The file.
        background: As in `decode`.
        device: Where the tensor is to lie, or None for the CPU.

    Raises:
        OSError: if there is no such file.
        ValueError: as in `decode`.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    picture = decode(path.read_bytes(), str(path), background)
    return replace(picture, pixels=picture.pixels.to(device or "cpu"))


# %% [markdown]
# ## From a tensor to a file
#
# Round first, then clamp, then cast. `x * 255` alone would take 0.999 to 254
# and 1.1 to 24.


# %%
def to_levels(pixels: Tensor, bits: int = 8) -> tuple[Tensor, list[str]]:
    """Make whole numbers of floats.

    Args:
        pixels: A tensor of shape `(3, H, W)`, a floating dtype and any
            device, where 0 is black and 1 is white.
        bits: 8 for levels up to 255, or 16 for levels up to 65535.

    Returns:
        The levels, of shape `(3, H, W)` and dtype int32 on the CPU, and what
        was lost, in words.

    Raises:
        ValueError: if the shape or the dtype is another, or NaN is among the
            numbers.
    """
    if pixels.ndim != 3 or len(pixels) != 3 or not pixels.numel():
        shape = tuple(pixels.shape)
        hint = ": permute(2, 0, 1)" if shape[2:] == (3,) else ""
        raise ValueError(f"a picture is (3, H, W), not {shape}{hint}")
    if not pixels.is_floating_point():
        raise ValueError(f"{pixels.dtype} has another white: divide by it")
    if bits not in (8, 16):
        raise ValueError(f"a level has 8 or 16 bits, not {bits}")
    if pixels.isnan().any():
        raise ValueError("there is NaN among the numbers")
    lost, white = [], 2**bits - 1
    exact = pixels.detach().cpu().double()  # mps has no float64
    inside = exact.clamp(0, 1)
    if clipped := int((exact != inside).sum()):
        lost.append(f"{clipped} numbers beyond 0 and 1")
    levels = (inside * white).round()
    # The nearest float32 to a level counts as that level.
    apart = (inside - levels / white).abs() > 2**-24
    if rounded := int((apart & (exact == inside)).sum()):
        lost.append(f"{rounded} numbers between two levels of {bits} bits")
    return levels.int(), lost


DEEP = ("PNG", "TIFF")
"""The formats that hold 16 bits per channel."""


def format_of(path: Path) -> str | None:
    """The name of the format that the ending of a file name stands for."""
    return Image.registered_extensions().get(path.suffix.lower())


def encode(levels: Tensor, path: Path, bits: int, quality: int) -> bytes:
    """Make the bytes of a picture file.

    Args:
        levels: What `to_levels` returns.
        path: The file that is meant. Its ending names the format.
        bits: As in `to_levels`.
        quality: From 1 to 100, for formats that have one.

    Raises:
        ValueError: if Pillow writes no such file.
    """
    name = format_of(path)
    if name not in Image.SAVE:
        raise ValueError(f"{path}: no picture that Pillow writes ends so")
    if bits == 16:
        if name not in DEEP:
            raise ValueError(f"{name} holds no 16 bits: take .png or .tiff")
        if not (levels == levels[0]).all():
            raise ValueError("Pillow writes 16 bits of grey pictures only")
        image = Image.fromarray(levels[0].numpy().astype(np.uint16))
    else:
        array = levels.permute(1, 2, 0).byte().numpy()
        image = Image.fromarray(np.ascontiguousarray(array))
    buffer = io.BytesIO()
    options = {} if name in DEEP else {"quality": quality}
    try:
        image.save(buffer, name, **options)
    except BROKEN as error:
        raise ValueError(f"no {name} can be made of it: {error}") from None
    return buffer.getvalue()


def write(
    pixels: Tensor, path: Path, bits: int = 8, quality: int = 95
) -> list[str]:
    """Write a picture file, once it has been read back.

    Args:
        pixels: As in `to_levels`.
        path: The file. Its ending names the format.
        bits: As in `to_levels`.
        quality: As in `encode`.

    Returns:
        What the file does not hold of the tensor, in words.

    Raises:
        ValueError: as in `to_levels` and `encode`.
        OSError: if it cannot be written. Then there is no new file.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}: make it first")
    levels, lost = to_levels(pixels, bits)
    data = encode(levels, path, bits, quality)
    back = decode(data, f"what was written for {path}")
    if back.pixels.shape != pixels.shape:
        raise ValueError(
            f"{path.suffix} changed the size to {tuple(back.pixels.shape)}"
        )
    white = 2**bits - 1
    apart = ((back.pixels.double() * white).round() - levels).abs()
    if changed := int((apart > 0).sum()):
        lost.append(
            f"{changed / apart.numel():.1%} of the levels changed, "
            f"by up to {int(apart.max())} of {white}"
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return lost


# %% [markdown]
# ## A picture of every kind


# %%
def write_examples(folder: Path) -> list[Path]:
    """Write small pictures of different modes.

    Returns:
        The paths of the files.
    """
    from skimage.data import astronaut, camera, horse

    photo = Image.fromarray(astronaut()[:480:8, ::8])
    grey = camera()[:480:8, ::8]
    exif = Image.Exif()
    exif[0x0112] = 6
    faded = photo.copy()
    faded.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.convert("L").save(folder / "grey.png")
    photo.quantize(16).save(folder / "palette.png")
    faded.save(folder / "alpha.png")
    Image.fromarray(horse()[::6, ::6]).save(folder / "bool.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "deep.png")
    photo.transpose(Image.Transpose.ROTATE_90).save(
        folder / "phone.jpg", exif=exif
    )
    names = ("grey", "palette", "alpha", "bool", "deep")
    return [*(folder / f"{name}.png" for name in names), folder / "phone.jpg"]


def draw(pictures: Mapping[str, Picture]) -> Figure:
    """Draw pictures side by side, each below its name.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(
        1,
        len(pictures),
        figsize=(max(2.4, 1.5 * len(pictures)), 1.9),
        squeeze=False,
        layout="constrained",
    )
    for place, (name, picture) in zip(
        places.flat, pictures.items(), strict=True
    ):
        place.imshow(picture.pixels.permute(1, 2, 0).cpu().numpy())
        place.set_title(name)
        place.axis("off")
    return figure


# %% [markdown]
# ## On the command line


# %%
def color_from(text: str) -> Tensor:
    """A colour by its name or like `#ff8000`, of shape `(3, 1, 1)`.

    Raises:
        ValueError: if it is none, or a transparent one.
    """
    try:
        color = ImageColor.getrgb(text)
    except (ValueError, AttributeError):
        raise ValueError(
            f"{text!r} is no colour such as white or #ff8000"
        ) from None
    if len(color) != 3:
        raise ValueError(f"a background is solid, and {text!r} has an alpha")
    return torch.tensor(color)[:, None, None] / 255


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


def bits_for(picture: Picture, path: Path) -> int:
    """As many bits per channel as the picture has and the file can hold."""
    return 16 if picture.bits == 16 and format_of(path) in DEEP else 8


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


def same_file(one: Path, other: Path) -> bool:
    """Whether both are there and are one file."""
    return one.exists() and other.exists() and one.samefile(other)


def listed(name: str, source: str, lines: Mapping[str, Sequence[str]]) -> str:
    """A name with what it is, and below it what was done and lost."""
    text = [f"{name}: {source}"]
    for word, notes in lines.items():
        text += [f"    {word}: {note}" for note in notes]
    return "\n".join(text)


def report(name: str, picture: Picture) -> str:
    """What the file was, and what became of it."""
    shape = tuple(picture.pixels.shape)
    low, high = picture.pixels.min(), picture.pixels.max()
    device = picture.pixels.device
    facts = f"{picture.source} -> {shape}, {low:.3f} to {high:.3f}, {device}"
    notes = {"done": picture.done, "lost": picture.lost or ("nothing",)}
    return listed(name, facts, notes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="A picture file as a (3, H, W) float tensor, and back."
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="a picture file (default: examples of six kinds)",
    )
    parser.add_argument(
        "--to",
        metavar="OUT",
        type=Path,
        help="write the tensor to a file (.png, .jpg, .tiff and others)",
    )
    parser.add_argument(
        "--bits",
        help="per channel of OUT, 8 or 16 (default: 16 if the file has 16 and "
        "OUT is PNG or TIFF, else 8)",
    )
    parser.add_argument(
        "--quality", default="95", help="of a JPEG or WebP (default: 95)"
    )
    parser.add_argument(
        "--background",
        default="white",
        metavar="COLOUR",
        help="below a picture with alpha (default: white)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw it (.png, .svg, .pdf)"
    )
    options = parser.parse_args(arguments)
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        if options.bits not in (None, "8", "16"):
            raise ValueError(f"--bits is 8 or 16, not {options.bits!r}")
        quality = whole_number(options.quality, "--quality", 1, 100)
        color_from(options.background)
        device = device_from(options.device)
        if options.to and not options.file:
            raise ValueError("--to needs a file to read")
        if options.to and same_file(options.to, options.file):
            raise ValueError(f"{options.to} is the file to read")
        with tempfile.TemporaryDirectory() as folder:
            files = [options.file] if options.file else None
            pictures = {
                path.name: read(path, options.background, device)
                for path in files or write_examples(Path(folder))
            }
        for name, picture in pictures.items():
            print(report(name, picture))
        if options.to:
            (picture,) = pictures.values()
            bits = int(options.bits or bits_for(picture, options.to))
            lost = write(picture.pixels, options.to, bits, quality)
            size = f"{options.to.stat().st_size} bytes"
            lines = {"lost": lost or ["nothing"]}
            print(listed(str(options.to), size, lines))
        if options.plot:
            draw(pictures).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"images.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the examples
        with tempfile.TemporaryDirectory() as folder:
            files = write_examples(Path(folder))
            pictures = {path.stem: read(path) for path in files}
        for name, picture in pictures.items():
            print(report(name, picture))
        draw(pictures)
    else:
        sys.exit(main())
