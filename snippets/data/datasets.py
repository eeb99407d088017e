# %% [markdown]
# # Table dataset
#
# Any table of numbers as training, validation and test set. The file is
# checked cell by cell, and the first thing that is wrong is named with its
# place. Rows are split by a seed, on request without tearing groups apart,
# and standardised with what the training part alone says.
#
# ```console
# $ python datasets.py
# $ python datasets.py visits.csv --target outcome --group patient --seed 1
# ```

# %%
"""Table dataset: a CSV file, checked, split and standardised, in loaders."""

from __future__ import annotations

import argparse
import csv
import io
import math
import re
import sys
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## Reading the file
#
# The first row has the names of the columns. Rows are counted as a spreadsheet
# counts them: the names are row 1.


# %%
@dataclass(frozen=True)
class Cells:
    """A table as it was written: names, and rows of text."""

    source: str
    """Where it comes from, for messages."""
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def place(self, row: int, column: str) -> str:
        """Where a cell is, in words; `row` counts from 0 below the names."""
        return f"{self.source}, row {row + 2}, column {column!r}"

    def index(self, name: str) -> int:
        """Which column has this name, from 0.

        Raises:
            ValueError: if none has.
        """
        if name not in self.names:
            raise ValueError(
                f"{self.source} has no column {name!r}: choose one of "
                f"{', '.join(self.names)}{self.other_separator()}"
            )
        return self.names.index(name)

    def column(self, name: str) -> list[str]:
        """The cells of a column, from top to bottom.

        Raises:
            ValueError: if there is no such column, or a cell is empty or
                says that its value is missing.
        """
        where = self.index(name)
        cells = [row[where] for row in self.rows]
        for row, cell in enumerate(cells):
            if cell.lower() in MISSING:
                raise ValueError(
                    f"{self.place(row, name)}: {cell!r} is a missing value: "
                    "fill it in, or remove the row or the column"
                )
        return cells

    def other_separator(self) -> str:
        """A hint, if the names look separated by something else."""
        for sign, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if len(self.names) == 1 and sign in self.names[0]:
                return f" (separated by {name}? Save it with commas)"
        return ""


MISSING = {"", "nan", "na", "n/a", "null", "none", "?"}
"""What stands for a missing value, in small letters."""


def read_csv(path: Path) -> Cells:
    """Read a file of comma-separated values.

    Blanks around names and cells are no part of them. Cells may be quoted,
    and a byte-order mark and empty lines at the end are allowed.

    Raises:
        ValueError: if it cannot be read, is no such table, or has no rows.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, row {row}: the byte {content[error.start]:#04x} is not "
            "UTF-8: save the file as UTF-8"
        ) from error
    rows: list[tuple[str, ...]] = []
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""), skipinitialspace=True, strict=True
        )
        for cells in reader:
            rows.append(tuple(cell.strip() for cell in cells))
    except csv.Error as error:
        raise ValueError(
            f"{path}, row {len(rows) + 1}: {error}: correct the quotes there"
        ) from error
    while rows and not rows[-1]:
        rows.pop()
    if not rows:
        raise ValueError(f"{path} is empty: it needs a row of names and rows")
    return cells_from(str(path), rows)


def cells_from(source: str, rows: Sequence[tuple[str, ...]]) -> Cells:
    """Check the form of a table whose first row has the names.

    Raises:
        ValueError: if a name is missing or comes twice, if a row is longer or
            shorter than the names, or if there are no rows below them.
    """
    names = rows[0]
    for number, name in enumerate(names, 1):
        if not name:
            raise ValueError(
                f"{source}, row 1: column {number} has no name: give it one"
            )
        if names.index(name) < number - 1:
            raise ValueError(
                f"{source}, row 1: columns {names.index(name) + 1} and "
                f"{number} are both named {name!r}: rename one"
            )
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise ValueError(
                f"{source}, row {number}: {len(row)} cells where the names "
                f"are {len(names)}: each name needs one (quote cells with "
                "commas, remove empty lines)"
            )
    if len(rows) == 1:
        raise ValueError(f"{source} has names and no rows: add some")
    return Cells(source, tuple(names), tuple(rows[1:]))


def wine() -> Cells:
    """The 178 wines of scikit-learn, 13 measurements and a class each."""
    from sklearn.datasets import load_wine

    found = load_wine()
    rows = [(*found.feature_names, "class")]
    for measured, label in zip(found.data, found.target, strict=True):
        name = str(found.target_names[label])
        rows.append((*(repr(float(value)) for value in measured), name))
    return cells_from("wine", rows)


# %% [markdown]
# ## Numbers and classes
#
# A cell is a number or the program stops. Targets that are words become
# classes, those with a fraction stay numbers. Whole numbers may be meant
# either way: up to 20 different ones are taken for classes, unless `--task`
# says otherwise.


# %%
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LARGEST = 1e30
"""The largest number that is taken, so that float32 has room for sums."""


def number_from(text: str) -> float | None:
    """The number that a cell holds, infinite included; None if it is none."""
    if NUMBER.fullmatch(text) or text.lower().lstrip("+-") in (
        "inf",
        "infinity",
    ):
        return float(text)
    return None


def numbers(cells: Cells, name: str, hint: str) -> list[float]:
    """A column of numbers.

    Args:
        cells: The table.
        name: The column.
        hint: What to do where a cell is none, for the message.

    Raises:
        ValueError: if a cell holds no number, or an infinite or huge one.
    """
    values = []
    for row, text in enumerate(cells.column(name)):
        value = number_from(text)
        if value is None:
            raise ValueError(
                f"{cells.place(row, name)}: {text!r} is no number: {hint}"
            )
        if abs(value) > LARGEST:
            raise ValueError(
                f"{cells.place(row, name)}: {text!r} is beyond 1e30: correct "
                "it, or choose another unit"
            )
        values.append(value)
    return values


@dataclass(frozen=True)
class Table:
    """A table in numbers. Row i of each tensor is row i of the table."""

    source: str
    columns: tuple[str, ...]
    """The names of the inputs."""
    inputs: Tensor
    """Of shape `(N, D)`, float64, in the units of the table."""
    target: str
    """The name of the target."""
    targets: Tensor
    """Of shape `(N,)`: classes from 0, int64, or numbers, float32."""
    classes: tuple[str, ...]
    """The name of each class; empty where targets are numbers."""
    groups: tuple[Hashable, ...]
    """For each row, what must not be torn apart: equal groups stay together.
    Without a column of groups, each row has its own."""


def is_classes(cells: Cells, target: str, task: str) -> bool:
    """Whether targets are classes; `task` is auto, classes or numbers.

    Raises:
        ValueError: if some are numbers and some are not, and `task` is auto.
    """
    if task != "auto":
        return task == "classes"
    texts = cells.column(target)
    values = [number_from(text) for text in texts]
    if None not in values:
        kinds = {value for value in values if value is not None}
        return len(kinds) <= 20 and all(kind.is_integer() for kind in kinds)
    if values.count(None) < len(values):
        row = values.index(None)
        raise ValueError(
            f"{cells.place(row, target)}: {texts[row]!r} is no number, and "
            "other targets are: correct it, or say --task classes"
        )
    return True


def table_from(
    cells: Cells,
    target: str,
    group: str | None = None,
    without: Sequence[str] = (),
    task: str = "auto",
) -> Table:
    """Make numbers of text. Nothing is dropped, filled in or guessed.

    Args:
        cells: What was read.
        target: The column to predict.
        group: The column that says which rows belong together. It is no input.
        without: Columns to leave out.
        task: `classes`, `numbers`, or `auto` to decide by the column.

    Raises:
        ValueError: what is wrong, and where.
    """
    for name in (target, *([] if group is None else [group]), *without):
        cells.index(name)
    if group == target or {target, group} & set(without):
        raise ValueError("target, group and left out are different columns")
    if is_classes(cells, target, task):
        texts = cells.column(target)
        keys: Sequence[Any] = texts
        if all(number_from(text) is not None for text in texts):
            keys = numbers(cells, target, "")  # 1 is 1.0, and 2 is before 10
        named = dict(zip(reversed(keys), reversed(texts), strict=True))
        classes = tuple(named[key] for key in sorted(named))
        order = {key: number for number, key in enumerate(sorted(named))}
        targets = torch.tensor([order[key] for key in keys])
    else:
        classes = ()
        hint = "correct it, or say --task classes"
        targets = torch.tensor(numbers(cells, target, hint)).float()
    if len(targets.unique()) < 2:
        raise ValueError(
            f"{cells.source}, column {target!r} is {cells.column(target)[0]} "
            "in all rows: choose another target"
        )
    apart = {target, group, *without}
    columns = tuple(name for name in cells.names if name not in apart)
    if not columns:
        raise ValueError(f"{cells.source} has no inputs beside {target!r}")
    inputs = []
    for name in columns:
        hint = f"correct it, or leave the column out: --without {name!r}"
        inputs.append(numbers(cells, name, hint))
    groups: Sequence[Hashable] = range(len(cells.rows))
    if group is not None:
        groups = cells.column(group)
    return Table(
        cells.source,
        columns,
        torch.tensor(inputs, dtype=torch.float64).T.contiguous(),
        target,
        targets,
        classes,
        tuple(groups),
    )


# %% [markdown]
# ## Splitting
#
# Groups are drawn one after the other. Each goes, with all of its rows, to
# the part that will be least full, measured by its share. The seed decides
# the order, and so the parts: on every run, and for any number of workers.


# %%
PARTS = {"training": 0.7, "validation": 0.15, "test": 0.15}
"""The parts and their shares of the rows."""


def split(groups: Sequence[Hashable], seed: int) -> dict[str, list[int]]:
    """Split rows into the three parts.

    Args:
        groups: The group of each row; rows of one group stay together.
        seed: What the order of the groups is drawn from.

    Returns:
        For each part the numbers of its rows, in ascending order.

    Raises:
        ValueError: if there are fewer than three groups.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    if len(members) < len(PARTS):
        raise ValueError(
            f"three parts need three groups or more, not {len(members)}: add "
            "rows of others"
        )
    parts: dict[str, list[int]] = {name: [] for name in PARTS}
    drawn = torch.randperm(
        len(members), generator=torch.Generator().manual_seed(seed)
    )
    drawn_groups = [list(members.values())[n] for n in drawn.tolist()]
    for left, rows in zip(
        range(len(members), 0, -1), drawn_groups, strict=True
    ):
        open_to = [name for name in PARTS if not parts[name]]
        if left > len(open_to):  # or else each empty part needs the next one
            open_to = list(PARTS)
        fullest = {
            name: (len(parts[name]) + len(rows)) / PARTS[name]
            for name in open_to
        }
        parts[min(fullest, key=fullest.__getitem__)] += rows
    return {name: sorted(rows) for name, rows in parts.items()}


# %% [markdown]
# ## Standardising
#
# The mean and the standard deviation are those of the training part. Of the
# other parts they would tell the model something that it cannot know.


# %%
@dataclass(frozen=True)
class Scale:
    """What is subtracted from each column, and what it is divided by."""

    mean: Tensor
    """Of shape `(D,)`, float64."""
    std: Tensor
    """Of shape `(D,)`, float64, above 0."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Standardise inputs of shape `(..., D)`; the result is float32."""
        return ((inputs.double() - self.mean) / self.std).float()


def scale_of(inputs: Tensor) -> Scale:
    """The scale that gives these inputs mean 0 and standard deviation 1.

    A column that is constant gets mean 0 and is divided by 1.

    Args:
        inputs: Of shape `(N, D)`, N at least 1, float64.
    """
    offset = inputs[0]
    span = (inputs - offset).abs().amax(dim=0)
    span[span == 0] = 1  # constant, and exactly so, whatever is rounded
    steps = (inputs - offset) / span
    std = span * steps.std(dim=0, correction=0)
    std[std == 0] = 1
    return Scale(offset + span * steps.mean(dim=0), std)


# %% [markdown]
# ## The dataset
#
# Each part holds its own rows only, which is all that a worker process gets
# to see. A sample is a copy: whoever changes it in place, changes no data.


# %%
class TableDataset(Dataset[tuple[Tensor, Tensor]]):
    """Rows of a table: an input `(D,)`, float32, and a target each.

    Args:
        table: The table.
        rows: The numbers of the rows.
        scale: What standardises the inputs.

    Raises:
        ValueError: if a standardised input is infinite in float32.
    """

    def __init__(
        self, table: Table, rows: Sequence[int], scale: Scale
    ) -> None:
        self.rows = tuple(rows)
        """Where each sample stands in the table."""
        self.inputs = scale(table.inputs[list(rows)])
        self.targets = table.targets[list(rows)]
        wrong = (~self.inputs.isfinite()).nonzero().tolist()
        if wrong:
            row, column = wrong[0]
            raise ValueError(
                f"{table.source}, row {self.rows[row] + 2}, column "
                f"{table.columns[column]!r}: too far from the training rows "
                "for float32: correct it"
            )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.inputs[i].clone(), self.targets[i].clone()


def datasets_of(table: Table, seed: int) -> dict[str, TableDataset]:
    """The three parts of a table, standardised by the first."""
    rows = split(table.groups, seed)
    scale = scale_of(table.inputs[rows["training"]])
    return {name: TableDataset(table, rows[name], scale) for name in PARTS}


def loaders_of(
    parts: dict[str, TableDataset],
    batch_size: int,
    seed: int,
    workers: int = 0,
    start: str | None = None,
) -> dict[str, DataLoader]:
    """A loader for each part. No row is left out, and training is shuffled.

    Args:
        parts: What `datasets_of` returns.
        batch_size: The rows of a batch; the last one may have fewer.
        seed: What the order of the training rows is drawn from.
        workers: How many processes fetch samples; they change no order.
        start: How these start: fork, forkserver, spawn, or None for what is
            usual on this system.
    """
    return {
        name: DataLoader(
            part,
            batch_size,
            shuffle=name == "training",
            num_workers=workers,
            multiprocessing_context=start if workers else None,
            generator=torch.Generator().manual_seed(seed),
        )
        for name, part in parts.items()
    }


# %% [markdown]
# ## A linear model
#
# It shows that the loaders work, and what better models have to beat.


# %%
EPOCHS = 20


def train(
    table: Table,
    loader: DataLoader,
    device: torch.device,
    seed: int,
) -> nn.Linear:
    """Fit a linear model to the training part.

    Args:
        table: What the loader is of.
        loader: The training part.
        device: Where to compute.
        seed: What the first weights are drawn from.

    Returns:
        A model from inputs `(N, D)` to scores `(N, C)`, or to numbers
        `(N, 1)` in the units of the target.
    """
    torch.manual_seed(seed)
    model = nn.Linear(len(table.columns), len(table.classes) or 1).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    targets = loader.dataset.targets
    mean, std = torch.zeros(()), torch.ones(())
    if not table.classes:
        scale = scale_of(targets[:, None].double())
        mean, std = scale.mean[0].float(), scale.std[0].float()
    for epoch in range(EPOCHS):
        for inputs, rows in loader:
            scores, rows = model(inputs.to(device)), rows.to(device)
            if table.classes:
                loss = F.cross_entropy(scores, rows)
            else:
                wanted = (rows - mean.to(device)) / std.to(device)
                loss = F.mse_loss(scores[:, 0], wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        show_progress(epoch + 1)
    with torch.no_grad():  # from standardised targets to their own units
        model.weight *= std.to(device)
        model.bias *= std.to(device)
        model.bias += mean.to(device)
    return model


@torch.no_grad()
def evaluate(table: Table, model: nn.Module, loader: DataLoader) -> float:
    """The accuracy, from 0 to 1, or the root of the mean squared error.

    Args:
        table: What the loader is of.
        model: On any device, in eval mode if that matters.
        loader: The part to measure on; each row counts the same.
    """
    device = next(model.parameters()).device
    total = 0.0
    for inputs, targets in loader:
        scores = model(inputs.to(device)).cpu()
        if table.classes:
            total += (scores.argmax(dim=1) == targets).sum().item()
        else:
            errors = scores[:, 0].double() - targets.double()
            total += errors.square().sum().item()
    mean = total / len(loader.dataset)
    return mean if table.classes else math.sqrt(mean)


def guess(table: Table, training: Tensor, other: Tensor) -> float:
    """What `evaluate` gives for the same answer to all: the most frequent
    class of the training part, or the mean of its targets."""
    if table.classes:
        return (other == training.mode().values).double().mean().item()
    answer = training.double().mean()
    return (other.double() - answer).square().mean().sqrt().item()


def show_progress(epoch: int) -> None:
    """Show a bar on a terminal, and remove it after the last epoch."""
    if sys.stderr.isatty():
        bar = ("#" * epoch).ljust(EPOCHS, ".")
        shown = bar if epoch < EPOCHS else " " * len(bar)
        print(f"{shown}\r", end="", file=sys.stderr, flush=True)


# %% [markdown]
# ## What it has found


# %%
def counts(table: Table, targets: Tensor) -> str:
    """How often each class comes, or where the numbers lie, in words."""
    if not table.classes:
        low, high = targets.min().item(), targets.max().item()
        return f"{low:g} to {high:g}"
    found = Counter(targets.tolist())
    shown = [f"{name} {found[n]}" for n, name in enumerate(table.classes)]
    more = [f"and {len(shown) - 8} classes more"] if len(shown) > 8 else []
    return ", ".join(shown[:8] + more)


def repeated(parts: dict[str, TableDataset]) -> int:
    """How many rows of the other parts have the inputs of a training row."""
    known = {tuple(row) for row in parts["training"].inputs.tolist()}
    others = [parts[name].inputs.tolist() for name in ("validation", "test")]
    return sum(tuple(row) in known for rows in others for row in rows)


def describe(table: Table, parts: dict[str, TableDataset]) -> None:
    """Print what is in a table and in its parts."""
    kind = f"{len(table.classes)} classes" if table.classes else "numbers"
    print(
        f"{table.source}: {len(table.targets)} rows, {len(table.columns)} "
        f"inputs, target {table.target!r} ({kind})"
    )
    for name, part in parts.items():
        groups = len({table.groups[row] for row in part.rows})
        of = f" of {groups} group{'s'[groups == 1 :]}"
        of = of if groups < len(part) else ""
        words = counts(table, part.targets)
        print(f"{name:<10} {len(part):>6} rows{of}: {words}")
    seen = set(parts["training"].targets.tolist())
    for n, name in enumerate(table.classes):
        if n not in seen:
            print(f"no row of class {name} is in the training part")
    training = parts["training"].inputs
    for column, name in zip(training.T, table.columns, strict=True):
        if not column.any():
            print(f"column {name!r} is constant in the training part")
    if copies := repeated(parts):
        print(
            f"{copies} rows outside the training part have the inputs of a "
            "row in it: do they belong to one group?"
        )


def draw(table: Table, parts: dict[str, TableDataset]) -> Figure:
    """Draw the mean of each standardised input in each part.

    Args:
        table: The table.
        parts: What `datasets_of` returns.

    Returns:
        The matplotlib figure. The means of the training part are 0.
    """
    import matplotlib.pyplot as plt

    figure, place = plt.subplots(
        figsize=(6, 1.2 + 0.24 * len(table.columns)), layout="constrained"
    )
    for (name, part), marker in zip(parts.items(), "osD", strict=True):
        means = part.inputs.mean(dim=0).numpy()
        place.plot(means, range(len(means)), marker, label=name)
    place.set_yticks(range(len(table.columns)), table.columns)
    place.invert_yaxis()
    place.set_xlabel("mean, in standard deviations of the training part")
    place.legend()
    return figure


# %% [markdown]
# ## On the command line


# %%
def whole_number(text: str, name: str, low: int, high: int) -> int:
    """Read a whole number.

    Raises:
        ValueError: if it is none, or out of range.
    """
    if re.fullmatch(r"\d{1,18}", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    raise ValueError(
        f"{name} is a whole number, {low} to {high}, not {text!r}"
    )


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


def check_plot(path: Path) -> None:
    """Refuse a picture that cannot be written, before the work starts.

    Raises:
        ValueError: if its folder or its format does not exist.
    """
    if not path.absolute().parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no such folder")
    if path.suffix.lower() not in (".pdf", ".png", ".svg") or path.is_dir():
        raise ValueError(f"cannot write {path}: take .png, .svg or .pdf")


def show(
    table: Table,
    parts: dict[str, TableDataset],
    loaders: dict[str, DataLoader],
    device: torch.device,
    seed: int,
) -> None:
    """Print what was found, and how a linear model does in validation."""
    describe(table, parts)
    model = train(table, loaders["training"], device, seed)
    measured = evaluate(table, model, loaders["validation"])
    guessed = guess(
        table, parts["training"].targets, parts["validation"].targets
    )
    if table.classes:
        what, found = "accuracy", f"{measured:.1%} (a guess: {guessed:.1%})"
    else:
        what, found = "error", f"{measured:.4g} (a guess: {guessed:.4g})"
    print(f"a linear model has a validation {what} of {found}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Check, split and standardise a table, and fit it."
    )
    parser.add_argument(
        "table",
        nargs="?",
        type=Path,
        help="a CSV file whose first row has names (default: 178 wines)",
    )
    parser.add_argument("--target", metavar="NAME", help="what to predict")
    parser.add_argument(
        "--group",
        metavar="NAME",
        help="rows that are equal there stay together",
    )
    parser.add_argument(
        "--without",
        metavar="NAME",
        action="append",
        default=[],
        help="a column to leave out; may be given several times",
    )
    parser.add_argument(
        "--task",
        default="auto",
        metavar="auto|classes|numbers",
        help="what the targets are (default: auto)",
    )
    parser.add_argument(
        "--batch-size", default="32", help="rows of a batch (default: 32)"
    )
    parser.add_argument(
        "--seed", default="0", help="decides the split (default: 0)"
    )
    parser.add_argument(
        "--workers", default="0", help="processes that fetch (default: 0)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path)
    options = parser.parse_args(arguments)
    try:
        batch_size = whole_number(options.batch_size, "--batch-size", 1, 10**6)
        seed = whole_number(options.seed, "--seed", 0, 2**53)
        workers = whole_number(options.workers, "--workers", 0, 64)
        if options.task not in ("auto", "classes", "numbers"):
            raise ValueError(
                f"--task is auto, classes or numbers, not {options.task!r}"
            )
        device = device_from(options.device)
        if options.plot:
            check_plot(options.plot)
        cells = read_csv(options.table) if options.table else wine()
        target = options.target or ("" if options.table else "class")
        if not target:
            raise ValueError(
                "say what to predict: --target with one of "
                f"{', '.join(cells.names)}{cells.other_separator()}"
            )
        group = options.group and options.group.strip()
        without = [name.strip() for name in options.without]
        table = table_from(cells, target.strip(), group, without, options.task)
        parts = datasets_of(table, seed)
        loaders = loaders_of(parts, batch_size, seed, workers)
        show(table, parts, loaders, device, seed)
        if options.plot:
            draw(table, parts).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"datasets.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, the defaults
        wines = table_from(wine(), "class")
        three = datasets_of(wines, 0)
        show(wines, three, loaders_of(three, 32, 0), torch.device("cpu"), 0)
        draw(wines, three)
    else:
        sys.exit(main())
