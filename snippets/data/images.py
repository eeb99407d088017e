# %% [markdown]
# # Image dataset
#
# Pictures in class folders, or named by a CSV, become samples: a uint8 tensor
# `(3, H, W)` and the number of its class. Each row that is no sample is named
# with its file and the reason. By default the first one is an error. With
# `skip=True` they are all left out and listed, so that samples and list
# together are all there was.
#
# ```console
# $ python images.py pictures/train
# $ python images.py labels.csv --root pictures --file name --label species
# $ python images.py pictures/test --classes cat,dog,owl --skip
# ```

# %%
"""Image files as samples: uint8 tensors (3, H, W), none lost silently."""

from __future__ import annotations

import argparse
import csv
import io
import logging
import re
import stat
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## From a file to a tensor
#
# Whatever the file holds, RGB of 8 bits comes out, upright. The size is
# compared with a limit before anything is decoded: a file of a few kilobytes
# can hold gigabytes of pixels.

# %%
PIXELS = 50_000_000
"""The most pixels of a picture, unless told otherwise."""
WHITE = (255, 255, 255)


def read_picture(
    path: Path, max_pixels: int = PIXELS, first_frame: bool = False
) -> Tensor:
    """Make a tensor of a picture file.

    Grey and palette pictures become RGB, 16 bits of grey are rounded to 8,
    alpha is laid on white, and what a phone noted about how to turn the
    picture is done.

    Args:
        path: The file. What it holds counts, whatever its ending.
        max_pixels: The most pixels that are decoded. Above its own limit,
            `Image.MAX_IMAGE_PIXELS`, Pillow refuses as well.
        first_frame: Take the first picture of an animation, or of a file
            with several pages.

    Returns:
        A tensor of shape `(3, H, W)` and dtype uint8.

    Raises:
        ValueError: if that cannot be done. The message is the reason, without
            the name of the file.
    """
    if reason := why_no_file(path):
        raise ValueError(reason)
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # what is wrong raises as well
            with Image.open(file) as image:
                return _from_pillow(image, max_pixels, first_frame)
    except (MemoryError, _Refused):
        raise
    except Image.UnidentifiedImageError:
        raise ValueError("it is no picture that Pillow knows") from None
    except OSError as error:
        said = error.strerror or str(error)
        raise ValueError(f"it cannot be read: {said}") from None
    except Exception as error:  # of a broken file Pillow raises many kinds
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"it cannot be read: {said}") from None


class _Refused(ValueError):
    """A file that Pillow can read, and that is still no sample."""


def _from_pillow(
    image: Image.Image, max_pixels: int, first_frame: bool
) -> Tensor:
    """Make a tensor of a picture that Pillow has opened."""
    (width, height), kind = image.size, image.format
    if width * height > max_pixels:
        raise _Refused(
            f"it has {width} x {height} pixels, and the limit is {max_pixels}"
        )
    frames = getattr(image, "n_frames", 1)
    # An MPO is a JPEG from a phone, with a preview behind the picture.
    if frames > 1 and kind != "MPO" and not first_frame:
        raise _Refused(
            f"it has {frames} frames, and first_frame=True takes one"
        )
    image.seek(0)
    image.load()
    image = ImageOps.exif_transpose(image)
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and kind == "PPM"):
        deep = np.array(image).astype(np.int64)
        grey = ((deep + 128) // 257).astype(np.uint8)  # 65535 is 255 x 257
        return torch.from_numpy(grey).repeat(3, 1, 1)
    if mode in ("I", "F"):
        raise _Refused(
            f"it has mode {mode}, and nobody says which number is white"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*WHITE, 255))
        image = Image.alpha_composite(ground, image)
    array = np.array(image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def why_no_file(path: Path) -> str:
    """Why a path leads to no file with something in it, or "" if it does."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        return f"it cannot be looked at: {said}"
    if stat.S_ISDIR(found.st_mode):
        return "it is a folder"
    if not stat.S_ISREG(found.st_mode):
        return "it is a device or a pipe"  # to open one may wait forever
    return "" if found.st_size else "it is empty"


# %% [markdown]
# ## Rows: what a folder or a table lists
#
# No picture is opened here. A row with a `problem` is no sample.


# %%
@dataclass(frozen=True)
class Row:
    """A row of a table, or something found in a folder."""

    place: str
    """Where it stands, such as `labels.csv, line 4`."""
    file: str
    """The name as the table has it, or relative to the folder."""
    label: str
    """The name of its class, or "" if it has none."""
    path: Path
    """Where the file lies, with links followed."""
    problem: str = ""
    """Why it is no sample, or ""."""
    hidden: bool = False
    """Whether it was left out for its name. That is never an error."""

    def __str__(self) -> str:
        return f"{self.place}, {shown(self.file)}: {self.problem}"


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """A key that sorts numbers within names as numbers: 2 before 10."""
    parts = re.split("([0-9]+)", text.casefold())
    for at in range(1, len(parts), 2):
        parts[at] = parts[at].lstrip("0")
    sizes = [len(part) * (at % 2) for at, part in enumerate(parts)]
    return list(zip(sizes, parts, strict=True)), text


def shown(name: str) -> str:
    """A name on one line, with what cannot be printed as `\\x..`."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def folder_rows(root: str | Path, outside: bool = False) -> list[Row]:
    """List what lies in the class folders of a folder.

    Whatever lies there is a row: pictures, files of other kinds, hidden
    files, and a class folder without a picture. They come in natural order.

    Args:
        root: The folder. Each folder in it is a class, and the folders in
            that one belong to the class.
        outside: Follow links that lead out of `root`.

    Raises:
        ValueError: if there is no such folder, or no class folder in it.
    """
    root = Path(root)
    base = _folder(root)
    rows: list[Row] = []
    for path in _listed(root):
        label = path.name if path.is_dir() else ""
        found = list(_found(path, label, root, base, outside, {base}))
        if label and not label.startswith(".") and not any(map(_seen, found)):
            why = "it is a class folder without a picture"
            found.append(Row("", path.name, label, path, why))
        rows += found
    if not any(row.label for row in rows):
        raise ValueError(
            f"{shown(str(root))} holds no class folder: name the folder in "
            "which each class has a folder of its own"
        )
    return [
        replace(row, place=f"{shown(root.name or str(root))}, entry {number}")
        for number, row in enumerate(rows, 1)
    ]


def _folder(root: Path) -> Path:
    if not root.is_dir():
        raise ValueError(f"there is no folder {shown(str(root))}")
    return root.resolve()


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: natural(path.name))


def _seen(row: Row) -> bool:
    return not row.hidden


def _found(
    path: Path,
    label: str,
    root: Path,
    base: Path,
    outside: bool,
    above: set[Path],
) -> Iterator[Row]:
    """The rows of a file, or of a folder and all that lies in it."""
    file = path.relative_to(root).as_posix()
    if path.name.startswith("."):
        yield Row("", file, "", path, "it is hidden", hidden=True)
        return
    row = _followed(Row("", file, label, path), base, outside)
    if row.problem:
        yield row
    elif not label:
        yield replace(row, problem="it lies beside the class folders")
    elif not path.is_dir():
        yield replace(row, problem=why_no_file(row.path))
    elif row.path in above:
        yield replace(row, problem="it is a link in a circle")
    else:
        try:
            listed = _listed(path)
        except OSError as error:
            said = f"it cannot be listed: {error.strerror}"
            yield replace(row, problem=said)
            return
        for each in listed:
            yield from _found(
                each, label, root, base, outside, above | {row.path}
            )


def _followed(row: Row, base: Path, outside: bool) -> Row:
    """The row with its links followed. They may not lead out of `base`."""
    try:
        real = row.path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        return replace(row, problem=f"it is no path: {error}")
    if not outside and not real.is_relative_to(base):
        return replace(row, problem="it lies outside the folder")
    return replace(row, path=real)


def table_rows(
    table: str | Path,
    root: str | Path | None = None,
    file: str = "file",
    label: str = "label",
    encoding: str = "utf-8-sig",
    outside: bool = False,
) -> list[Row]:
    """List the rows of a CSV.

    Blanks around names are dropped, and empty lines are no rows.

    Args:
        table: The CSV, with the names of its columns in the first row.
        root: The folder that the files are relative to. None is that of the
            table.
        file: The column with the names of files.
        label: The column with the names of classes.
        encoding: That of the table. The default is UTF-8, with a mark or
            without.
        outside: Take files that lie outside `root`.

    Raises:
        ValueError: if the table cannot be read, has no row or lacks a column.
    """
    table = Path(table)
    root = table.parent if root is None else Path(root)
    base = _folder(root)
    name = shown(table.name)
    if why := why_no_file(table):
        raise ValueError(f"{shown(str(table))}: {why}")
    lines = _lines(table.read_bytes(), name, encoding)
    _, header = next(lines, (0, []))
    for column in (file, label):
        if header.count(column) != 1:
            has = ", ".join(map(repr, header)) or "none"
            many = "two columns" if column in header else "no column"
            raise ValueError(f"{name} has {many} {column!r}: it has {has}")
    rows = []
    for line, cells in lines:
        named = dict(zip(header, cells, strict=False))
        given, kind = named.get(file, ""), named.get(label, "")
        place, path = f"{name}, line {line}", root / given
        row = Row(place, given, "" if kind.lower() == "nan" else kind, path)
        if len(cells) != len(header):
            why = f"{len(cells)} cells, and the header has {len(header)}"
            row = replace(row, problem=why)
        elif not given:
            row = replace(row, problem="no file is named")
        elif not row.label:
            row = replace(row, problem=f"its label is {kind or 'empty'}")
        else:
            row = _followed(row, base, outside)
            if not row.problem:
                row = replace(row, problem=why_no_file(row.path))
        rows.append(row)
    if not rows:
        raise ValueError(f"{name} has a header and no row")
    return rows


def _lines(
    data: bytes, name: str, encoding: str
) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV, each with the number of its first line."""
    try:
        text = data.decode(encoding)
    except LookupError:
        raise ValueError(f"there is no encoding {encoding!r}") from None
    except UnicodeError as error:
        line = data[: getattr(error, "start", 0)].count(b"\n") + 1
        kind = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise ValueError(f"{name}, line {line}: it is not {kind}") from None
    # Strict: a quote that is never closed would swallow the rows below it.
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for cells in reader:
            if cells:
                yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{name}, line {line}: {error}") from None


# %% [markdown]
# ## The dataset
#
# The order of `classes` decides which number a class has. Keep it with the
# model, and give it to every other dataset: `classes=train.classes`.


# %%
class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Pictures as samples `(pixels, label)`.

    `pixels` is a uint8 tensor `(3, H, W)`, or what `transform` makes of it,
    and `label` an int, the place of its class in `classes`.

    Args:
        rows: From `folder_rows` or `table_rows`.
        classes: The names of the classes, in the order of their numbers. None
            takes those of the rows, in natural order.
        skip: Leave out rows that are no sample. To know them, each picture is
            decoded once. Otherwise the first one known from its row is an
            error here, and a broken picture is one when it is asked for.
        transform: Called with the pixels of each sample.
        max_pixels: As in `read_picture`.
        first_frame: As in `read_picture`.
        watch: Called with each row before its picture is decoded.

    Raises:
        ValueError: if `classes` has a name twice or none, if a row is no
            sample and `skip` is false, or if no sample is left. The message
            names file, row and reason.
    """

    classes: tuple[str, ...]
    """The names of the classes. The place of a name is its number."""
    samples: list[Row]
    """The rows that are samples."""
    skipped: list[Row]
    """All other rows, each with its problem."""

    def __init__(
        self,
        rows: Sequence[Row],
        classes: Sequence[str] | None = None,
        skip: bool = False,
        transform: Callable[[Tensor], Tensor] | None = None,
        max_pixels: int = PIXELS,
        first_frame: bool = False,
        watch: Callable[[Row], object] | None = None,
    ) -> None:
        if classes is None:
            classes = sorted({row.label for row in rows} - {""}, key=natural)
        elif isinstance(classes, str):
            raise ValueError(f"classes is a list of names, not {classes!r}")
        self.classes = tuple(classes)
        self.numbers = {name: i for i, name in enumerate(self.classes)}
        if not self.classes or len(self.numbers) < len(self.classes):
            raise ValueError(f"classes need names that differ: {classes}")
        self.transform = transform
        self.max_pixels, self.first_frame = max_pixels, first_frame
        checked = self._repeated([self._labelled(row) for row in rows])
        if skip:
            checked = [self._decoded(row, watch) for row in checked]
        self.samples = [row for row in checked if not row.problem]
        self.skipped = [row for row in checked if row.problem]
        wrong = [row for row in self.skipped if not row.hidden]
        if wrong and not (skip and self.samples):
            more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
            raise ValueError(f"{wrong[0]}{more}")
        if not self.samples:
            raise ValueError("there is no picture among the rows")

    def _labelled(self, row: Row) -> Row:
        if row.problem or row.label in self.numbers:
            return row
        few = ", ".join(map(shown, self.classes[:5]))
        few += ", ..." if self.classes[5:] else ""
        said = f"unknown label {shown(row.label)!r}: the classes are {few}"
        return replace(row, problem=said)

    def _repeated(self, rows: list[Row]) -> list[Row]:
        """Mark a file that is there twice, and both if the labels differ."""
        first: dict[Path, int] = {}
        for at, row in enumerate(rows):
            if row.problem:
                continue
            before = first.setdefault(row.path, at)
            if before == at:
                continue
            other = rows[before]
            where = other.place.rpartition(", ")[2]
            said = f"the same file as {where}"
            if other.label != row.label:
                said += f", with label {shown(other.label)}"
                if not other.problem:
                    here = row.place.rpartition(", ")[2]
                    said_there = f"{here} has label {shown(row.label)} for it"
                    rows[before] = replace(other, problem=said_there)
            rows[at] = replace(row, problem=said)
        return rows

    def _decoded(self, row: Row, watch: Callable[[Row], object] | None) -> Row:
        if row.problem:
            return row
        if watch:
            watch(row)
        try:
            read_picture(row.path, self.max_pixels, self.first_frame)
        except ValueError as error:
            return replace(row, problem=str(error))
        return row

    def pixels(self, index: int) -> Tensor:
        """The picture of a sample before the transform.

        Raises:
            ValueError: if it cannot be read, with file, row and reason.
        """
        row = self.samples[index]
        try:
            return read_picture(row.path, self.max_pixels, self.first_frame)
        except ValueError as error:
            raise ValueError(f"{replace(row, problem=str(error))}") from None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels(index)
        if self.transform:
            pixels = self.transform(pixels)
        return pixels, self.numbers[self.samples[index].label]


def check_same_classes(one: ImageFiles, other: ImageFiles) -> None:
    """Refuse two datasets in which a number stands for two classes.

    Raises:
        ValueError: if their classes differ. The message names the first.
    """
    for number, pair in enumerate(zip_longest(one.classes, other.classes)):
        if pair[0] != pair[1]:
            here, there = (shown(name or "missing") for name in pair)
            raise ValueError(
                f"class {number} is {here} in one and {there} in the other: "
                "give classes=train.classes to both"
            )


# %% [markdown]
# ## What is in it
#
# The mean and the deviation of each colour, over all pixels, are what
# `v2.Normalize` wants. They are summed up as whole numbers, so the order of
# the pictures does not matter.


# %%
def color_statistics(
    pictures: Iterable[Tensor], device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of each colour, over all pixels.

    Args:
        pictures: uint8 tensors `(3, H, W)`, of any sizes.
        device: Where to sum, or None for the CPU.

    Returns:
        Two float64 tensors `(3,)` on the CPU, where white is 1.
    """
    count, total = 0, torch.zeros(2, 3, dtype=torch.int64)
    for picture in pictures:
        pixels = picture.to(device or "cpu").long().flatten(1)
        count += pixels.shape[1]
        total += torch.stack([pixels.sum(1), (pixels * pixels).sum(1)]).cpu()
    mean, square = total.double() / count
    return mean / 255, (square - mean * mean).clamp(min=0).sqrt() / 255


def report(dataset: ImageFiles, device: torch.device | None = None) -> str:
    """What is in a dataset, and what is not, as text."""
    left, kept = dataset.skipped, Counter(row.label for row in dataset.samples)
    rows = len(dataset) + len(left)
    lines = [f"{rows} rows: {len(dataset)} samples, {len(left)} left out"]
    for number, name in enumerate(dataset.classes):
        lines.append(f"  class {number}, {shown(name)}: {kept[name]}")
    mean, std = color_statistics(
        map(dataset.pixels, range(len(dataset))), device
    )
    for name, numbers in (("mean", mean), ("deviation", std)):
        colors = ", ".join(f"{number:.3f}" for number in numbers)
        lines.append(f"{name} of red, green, blue: {colors}")
    lines += [f"left out: {row}" for row in left]
    return "\n".join(lines)


# %% [markdown]
# ## The digits as class folders


# %%
def write_examples(folder: Path) -> Path:
    """Write the digits of scikit-learn as class folders, three of them broken.

    Returns:
        The folder that holds the class folders.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    root = folder / "digits"
    for name in digits.target_names:
        (root / str(name)).mkdir(parents=True)
    levels = (digits.images * 255 / 16).round().astype(np.uint8)
    for number, (array, name) in enumerate(
        zip(levels, digits.target, strict=True)
    ):
        Image.fromarray(array).save(root / str(name) / f"{number}.png")
    whole = (root / "0" / "0.png").read_bytes()
    (root / "0" / "0.png").write_bytes(whole[: len(whole) // 2])
    (root / "3" / "13.png").write_bytes(b"")
    (root / "7" / "17.png").write_text("a label, no picture\n")
    return root


def draw(dataset: ImageFiles) -> Figure:
    """Draw the first picture of each class, and how many it has.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    labels = [row.label for row in dataset.samples]
    names = [name for name in dataset.classes if name in labels][:20]
    columns = min(5, len(names))
    lines = -(-len(names) // columns)
    figure, places = plt.subplots(
        lines,
        columns,
        figsize=(1.3 * columns, 1.5 * lines),
        squeeze=False,
        layout="constrained",
    )
    for place in places.flat:
        place.axis("off")
    for place, name in zip(places.flat, names, strict=False):
        pixels = dataset.pixels(labels.index(name))
        place.imshow(pixels.permute(1, 2, 0).numpy())
        place.set_title(
            f"{shown(name)}: {labels.count(name)}", parse_math=False
        )
    return figure


# %% [markdown]
# ## On the command line


# %%
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


def whole_number(text: str, name: str, least: int, most: int) -> int:
    """Read a whole number of at most twelve digits.

    Raises:
        ValueError: if it is none, or out of range.
    """
    if not re.fullmatch(r"[0-9]{1,12}", text) or not (
        least <= int(text) <= most
    ):
        raise ValueError(
            f"{name} is a whole number from {least} to {most}, not {text!r}"
        )
    return int(text)


def progress(count: int) -> Callable[[Row], None]:
    """Count rows in a line on a terminal, and nowhere else."""
    seen = 0

    def watch(row: Row) -> None:
        nonlocal seen
        seen += 1
        if sys.stderr.isatty() and (seen % 100 == 0 or seen == count):
            end = "\n" if seen == count else ""
            print(f"\r{seen} of {count}", end=end, file=sys.stderr)

    return watch


def rows_from(options: argparse.Namespace) -> list[Row]:
    """The rows that the command line names.

    Raises:
        ValueError: as in `folder_rows` and `table_rows`, or if an option
            needs a table.
    """
    source: Path = options.source
    table = {
        name: getattr(options, name)
        for name in ("root", "file", "label", "encoding")
    }
    given = {name: value for name, value in table.items() if value is not None}
    if source.is_dir():
        if given:
            option, name = next(iter(given)), shown(str(source))
            raise ValueError(f"--{option} is for tables, and {name} is none")
        return folder_rows(source, options.outside)
    if not source.exists():
        raise ValueError(
            f"there is no {shown(str(source))}: name a folder or a table"
        )
    return table_rows(source, outside=options.outside, **given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Picture files as a dataset of uint8 tensors (3, H, W)."
    )
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="FOLDER|TABLE.csv",
        help="class folders, or a table (default: the digits, three broken)",
    )
    parser.add_argument(
        "--root", help="where the files are (default: beside the table)"
    )
    parser.add_argument("--file", help="the column of files (default: file)")
    parser.add_argument(
        "--label", help="the column of classes (default: label)"
    )
    parser.add_argument("--encoding", help="of the table (default: UTF-8)")
    parser.add_argument(
        "--classes",
        metavar="A,B",
        help="their names in order (default: those that occur, 2 before 10)",
    )
    parser.add_argument(
        "--skip",
        action="store_true",
        help="leave out what is no sample, and list it",
    )
    parser.add_argument(
        "--outside",
        action="store_true",
        help="take files outside the folder, too",
    )
    parser.add_argument(
        "--first-frame",
        action="store_true",
        help="take the first picture of an animation",
    )
    parser.add_argument(
        "--max-pixels",
        default=str(PIXELS),
        help=f"the most pixels of a picture (default: {PIXELS})",
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
        limit = whole_number(options.max_pixels, "--max-pixels", 1, 10**12)
        device = device_from(options.device)
        names = options.classes
        with tempfile.TemporaryDirectory() as folder:
            if not options.source:
                options.source = write_examples(Path(folder))
                options.skip = True
            rows = rows_from(options)
            dataset = ImageFiles(
                rows,
                names and [name.strip() for name in names.split(",")],
                options.skip,
                max_pixels=limit,
                first_frame=options.first_frame,
                watch=progress(sum(not row.problem for row in rows)),
            )
            text = report(dataset, device)
            if options.plot:
                draw(dataset).savefig(options.plot)
        print(text)
    except (ValueError, OSError) as error:
        print(f"images.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the digits
        with tempfile.TemporaryDirectory() as folder:
            rows = folder_rows(write_examples(Path(folder)))
            digits = ImageFiles(rows, skip=True)
            print(report(digits))
            draw(digits)
    else:
        sys.exit(main())
