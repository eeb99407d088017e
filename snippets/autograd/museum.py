# %% [markdown]
# # Ten buggy runs
#
# One training loop, and ten bugs that raise nothing. Each bug changes one or
# two lines of the loop, and everything else stays: the digits of
# scikit-learn, the network, the seeds. So what differs in the curves is what
# the bug did.
#
# ```console
# $ python museum.py
# $ python museum.py --bug "eval() forgotten" --plot forgotten.png
# $ python museum.py --record runs.json
# ```

# %%
"""Bug museum: what ten silent bugs of a training loop do to its curves."""

from __future__ import annotations

import argparse
import datetime
import inspect
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# %% [markdown]
# ## The digits and the network
#
# The pictures to train on are sorted by class, as files in folders are.


# %%
@dataclass(frozen=True)
class Digits:
    """Pictures of digits, to train on and to test with."""

    train_x: Tensor
    """Of shape `(1200, 8, 8)` and a float dtype, values from 0 to 16."""
    train_y: Tensor
    """Their labels, of shape `(1200,)`, dtype int64, in ascending order."""
    test_x: Tensor
    """Of shape `(597, 8, 8)`, like `train_x`."""
    test_y: Tensor
    """Of shape `(597,)`, in no order."""


def load(device: torch.device) -> Digits:
    """The digits of scikit-learn, always split in the same way.

    They are float64, so that rounding does not tell machines apart. MPS has
    no float64.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = torch.tensor(data.images), torch.tensor(data.target)
    if device.type == "mps":
        x = x.float()
    fixed = torch.Generator().manual_seed(0)
    order = torch.randperm(len(y), generator=fixed)
    train, test = order[:1200], order[1200:]
    train = train[y[train].argsort(stable=True)]
    parts = (x[train], y[train], x[test], y[test])
    return Digits(*(part.to(device) for part in parts))


def network() -> nn.Sequential:
    """A network whose head is for 100 classes, until it gets another."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 100),
    )


# %% [markdown]
# ## The loop, without a bug


# %%
Trained = tuple[
    nn.Module, list[tuple[float, float]], list[tuple[float, float]]
]
"""A network, and the loss and the accuracy of each step and of each test."""


def measure(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, float]:
    """The loss of a model, and the share that it gets right."""
    scores = model(x)
    loss = F.cross_entropy(scores, y)
    right = scores.argmax(dim=1) == y
    return loss, right.float().mean().item()


def train(digits: Digits, seed: int, epochs: int) -> Trained:
    """Train a network, and test it after each epoch."""
    torch.manual_seed(seed)
    x, y = digits.train_x / 16, digits.train_y
    test_x = digits.test_x / 16
    test_y = digits.test_y
    model = network().to(x)
    model[-1] = nn.Linear(64, 10).to(x)
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    steps, tests = [], []
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(x)).split(50):
            loss, right = measure(model, x[batch], y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps.append((loss.item(), right))
        model.eval()
        with torch.no_grad():
            loss, right = measure(model, test_x, test_y)
        tests.append((loss.item(), right))
    return model, steps, tests


# %% [markdown]
# ## Ten bugs


# %%
@dataclass(frozen=True)
class Bug:
    """Lines of the loop, what stands there instead, and how it shows."""

    changes: dict[str, str]
    """Lines of `measure` or `train`, without their indentation, and what
    replaces each: another line, or nothing."""
    tells: str
    """What in the curves gives it away."""
    alike: tuple[str, ...] = ()
    """Lines that would look the same if they were broken instead."""


HEAD = "model[-1] = nn.Linear(64, 10).to(x)"
OPTIMIZER = "optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)"
BUGS = {
    "batches not shuffled": Bug(
        {
            "for batch in torch.randperm(len(x)).split(50):": (
                "for batch in torch.arange(len(x)).split(50):"
            )
        },
        "The training does worse than a guess, and the test no better "
        "than a guess. A batch has one class or two, and the network has "
        "learned to answer with the class before.",
    ),
    "softmax twice": Bug(
        {"scores = model(x)": "scores = model(x).softmax(dim=1)"},
        "The accuracy is fine, but no loss falls below 1.46: that is what "
        "ten classes cost if the right score is 1 and all others are 0.",
        alike=("loss = F.cross_entropy(scores, y)",),
    ),
    "test pictures not scaled": Bug(
        {"test_x = digits.test_x / 16": "test_x = digits.test_x"},
        "Training is as it should be. Most of the test is right, and yet "
        "its loss is far above that of a guess: the scores are too large.",
    ),
    "zero_grad() before step()": Bug(
        {
            "optimizer.zero_grad()": "loss.backward()",
            "loss.backward()": "optimizer.zero_grad()",
        },
        "Nothing moves. Every epoch costs about what the first batch cost.",
        alike=("optimizer.step()",),
    ),
    "eval() forgotten": Bug(
        {"model.eval()": ""},
        "In the end the test is no better than the training. Without a bug "
        "it is, as Dropout is off there.",
    ),
    "accuracy against all labels": Bug(
        {
            "right = scores.argmax(dim=1) == y": (
                "right = scores.argmax(dim=1, keepdim=True) == y"
            )
        },
        "Both losses fall as they should, and both accuracies stay at a "
        "tenth. They contradict each other. With `keepdim` the guesses are "
        "a column, and each is compared with all labels.",
    ),
    "test pictures transposed": Bug(
        {"test_x = digits.test_x / 16": "test_x = digits.test_x.mT / 16"},
        "Training is as it should be. The test is right about as often as "
        "a guess, and its loss is far above that of a guess: the network "
        "is sure of itself and wrong.",
    ),
    "head replaced too late": Bug(
        {HEAD: OPTIMIZER, OPTIMIZER: HEAD},
        "It learns, but slowly, and both losses stay above those without a "
        "bug. The last layer stays as it was drawn, and the others work "
        "around it. The optimizer holds the old head, which gets no gradient.",
    ),
    "zero_grad() forgotten": Bug(
        {"optimizer.zero_grad()": ""},
        "The loss goes up by powers of ten. Each step repeats all steps "
        "before, on top of the momentum, so the weights swing, further and "
        "further.",
    ),
    "classes of the test shifted": Bug(
        {"test_y = digits.test_y": "test_y = (digits.test_y - 1) % 10"},
        "Training is as it should be. The test is right far less often than "
        "a guess: to miss that often, one has to know the answers. "
        "The classes of the test begin with the digit 1 and end with 0.",
    ),
}
"""The bugs, by the names that they have on the command line."""

HEALTHY = Bug({}, "Nothing is wrong.")


def loop() -> list[str]:
    """The lines of `measure` and `train`."""
    return [
        line
        for function in (measure, train)
        for line in inspect.getsource(function).rstrip().splitlines()
    ]


def places(bug: Bug, source: Sequence[str]) -> dict[int, str]:
    """The numbers of the lines that a bug changes, and what each becomes.

    Raises:
        ValueError: if a line stands in the loop less or more than once.
    """
    found = {}
    bare = [line.strip() for line in source]
    for line, instead in bug.changes.items():
        if bare.count(line) != 1:
            raise ValueError(f"{bare.count(line)} lines of the loop: {line}")
        found[bare.index(line)] = instead
    return found


def plant(bug: Bug) -> Callable[..., Any]:
    """The function `train` with a bug in it, or in the `measure` it calls.

    Args:
        bug: What to change. `HEALTHY` changes nothing.
    """
    if bug is HEALTHY:
        return train
    lines = loop()
    for n, instead in places(bug, lines).items():
        lines[n] = lines[n].replace(lines[n].strip(), instead)
    planted = dict(globals())
    exec("\n".join(lines), planted)
    return planted["train"]


# %% [markdown]
# ## A run, and what can be asked about it


# %%
@dataclass(frozen=True)
class Run:
    """The curves of one training, a number for each epoch."""

    first: float
    """The loss of the first batch, before any step."""
    train_loss: list[float]
    """The mean over the batches of an epoch, as it was trained on them."""
    train_right: list[float]
    """The share of the training pictures that were right, in the same way."""
    test_loss: list[float]
    test_right: list[float]


def run(bug: Bug, digits: Digits, seed: int, epochs: int) -> Run:
    """Train with a bug.

    Args:
        bug: One of `BUGS`, or `HEALTHY`.
        digits: Pictures; the number to train on can be divided by 50.
        seed: Decides the weights, the order of the batches and the dropout.
        epochs: At least 1.
    """
    _, steps, tests = plant(bug)(digits, seed, epochs)
    each = torch.tensor(steps, dtype=torch.float64)
    means = each.unflatten(0, (epochs, -1)).mean(dim=1)
    curves = [*means.T.tolist(), *map(list, zip(*tests, strict=True))]
    return Run(steps[0][0], *curves)


@dataclass(frozen=True)
class Clues:
    """What one asks next, answered for one seed."""

    batch: tuple[float, float, float, float]
    """Losses and accuracies, train and test, as in a `Run`, after 30 steps
    with the same 50 pictures, which are the test as well."""
    unmoved: list[str]
    """The parameters that are after the training what they were before."""
    without: list[str]
    """The parameters whose `grad` is None after the training."""
    repeats: bool
    """Whether the trained network returns the same scores twice."""


def ask(bug: Bug, digits: Digits, seed: int, epochs: int) -> Clues:
    """Train with a bug, and find the clues that the curves do not show.

    Args:
        bug: One of `BUGS`, or `HEALTHY`.
        digits: As for `run`.
        seed: As for `run`.
        epochs: As for `run`.
    """
    learn = plant(bug)
    few = slice(None, None, len(digits.train_x) // 50)
    x, y = digits.train_x[few][:50], digits.train_y[few][:50]
    _, steps, tests = learn(Digits(x, y, x, y), seed, 30)
    before = dict(learn(digits, seed, 0)[0].named_parameters())
    model, *_ = learn(digits, seed, epochs)
    after = dict(model.named_parameters())
    with torch.no_grad():
        repeats = torch.equal(model(x), model(x))
    return Clues(
        (*steps[-1], *tests[-1]),
        [name for name in after if torch.equal(before[name], after[name])],
        [name for name, weight in after.items() if weight.grad is None],
        repeats,
    )


# %% [markdown]
# ## A table and a picture


# %%
CURVES = ("train_loss", "train_right", "test_loss", "test_right")
HEADS = ("first loss", "train loss", "right", "test loss", "right")


def spread(numbers: Sequence[float]) -> str:
    """The lowest and the highest of some numbers, or the only one."""
    low, high = f"{min(numbers):.3g}", f"{max(numbers):.3g}"
    return low if low == high else f"{low} to {high}"


def line(name: str, cells: Sequence[str], width: int) -> str:
    """A line of a table."""
    return (name.ljust(29) + "".join(c.ljust(width) for c in cells)).rstrip()


def summary(name: str, runs: Sequence[Run]) -> str:
    """A line with the first loss, and what the last epoch measured.

    Args:
        name: Of the bug.
        runs: At least one, each with another seed.
    """
    columns = [[run.first for run in runs]] + [
        [getattr(run, curve)[-1] for run in runs] for curve in CURVES
    ]
    width = 12 if len(runs) == 1 else 21
    return line(name, [spread(column) for column in columns], width)


def answer(clues: Clues) -> str:
    """The clues in words."""
    loss, right, test_loss, test_right = clues.batch
    return (
        f"one batch by heart: train loss {loss:.3g}, right {right:.3g}, "
        f"test loss {test_loss:.3g}, right {test_right:.3g}\n"
        f"did not move: {', '.join(clues.unmoved) or 'none'}\n"
        f"without gradient: {', '.join(clues.without) or 'none'}\n"
        f"the same test twice: {'one result' if clues.repeats else 'two'}"
    )


def diff(bug: Bug) -> str:
    """The lines of a bug, before and after."""
    after = filter(None, bug.changes.values())
    return "\n".join(
        [f"- {x}" for x in bug.changes] + [f"+ {x}" for x in after]
    )


def plot(run: Run, losses: Axes, rights: Axes, train: str, test: str) -> None:
    """Draw the four curves of a run in two colors, those of tests dashed."""
    epochs = range(1, len(run.test_loss) + 1)
    losses.plot(epochs, run.train_loss, color=train)
    losses.plot(epochs, run.test_loss, color=test, ls="--")
    rights.plot(epochs, run.train_right, color=train)
    rights.plot(epochs, run.test_right, color=test, ls="--")


def draw(museum: dict[str, list[Run]]) -> Figure:
    """Draw the curves of each bug, a line for each seed.

    Args:
        museum: Runs by the name of their bug; those that are "healthy" are
            drawn in grey behind all others.

    Returns:
        The matplotlib figure, with a row for each bug.
    """
    import matplotlib.pyplot as plt

    names = [name for name in museum if name != "healthy"]
    figure, places = plt.subplots(
        len(names),
        2,
        figsize=(8, 2.2 * len(names) + 0.4),
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    for name, (losses, rights) in zip(names, places, strict=True):
        for run in museum.get("healthy", []):
            plot(run, losses, rights, "0.6", "0.6")
        for run in museum[name]:
            plot(run, losses, rights, "C0", "C1")
        losses.set(yscale="log", ylabel="loss")
        losses.set_title(name, loc="left")
        rights.set(ylim=(-0.03, 1.03), ylabel="share that is right")
        rights.legend(rights.get_lines()[-2:], ["train", "test"])
    for place in places[-1]:
        place.set_xlabel("epoch")
    return figure


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


def short(number: float) -> float:
    """Three digits of a number, which are enough to draw it."""
    return float(f"{number:.3g}")


def rounded(run: Run, healthy: Run) -> dict[str, Any]:
    """A run in the record, where None is a curve as in the healthy one."""
    kept: dict[str, Any] = {"first": short(run.first)}
    for name in CURVES:
        curve = [*map(short, getattr(run, name))]
        same = run is not healthy and getattr(run, name) == getattr(
            healthy, name
        )
        kept[name] = None if same else curve
    return kept


def record(
    museum: dict[str, list[Run]], clues: dict[str, Clues], device: torch.device
) -> dict[str, Any]:
    """What ran on which machine, and its curves.

    Args:
        museum: The runs of all bugs and of "healthy".
        clues: Those of all bugs and of "healthy".
        device: Where they ran.
    """
    bugs, bare = {}, [line.strip() for line in loop()]
    for name, runs in museum.items():
        bug = BUGS.get(name, HEALTHY)
        pairs = zip(runs, museum["healthy"], strict=True)
        bugs[name] = {
            "changes": places(bug, loop()),
            "tells": bug.tells,
            "alike": [bare.index(line) for line in bug.alike],
            **vars(clues[name]),
            "batch": [*map(short, clues[name].batch)],
            "runs": [rounded(*pair) for pair in pairs],
        }
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "device": device.type,
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": version("scikit-learn"),
        },
        "loop": loop(),
        "bugs": bugs,
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
def whole_number(text: str, name: str, low: int, high: int) -> int:
    """Read a whole number between two others.

    Raises:
        ValueError: if it is none.
    """
    if re.fullmatch(r"\d{1,4}", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    raise ValueError(
        f"{name} is a whole number, {low} to {high}, not {text!r}"
    )


def check(file: str | None, ends: Iterable[str]) -> None:
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
    if Path(file).suffix[1:] not in ends:
        raise ValueError(f"{file} does not end in .{', .'.join(ends)}")


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
        description="Train with ten silent bugs, and see their curves."
    )
    parser.add_argument(
        "--bug",
        default="all",
        metavar="NAME",
        help=f"one of {', '.join(BUGS)} (default: all)",
    )
    parser.add_argument(
        "--seeds", default="1", help="how many runs of each (default: 1)"
    )
    parser.add_argument(
        "--epochs", default="10", help="how long each run is (default: 10)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument("--plot", metavar="FILE", help="draw the curves")
    parser.add_argument(
        "--record", metavar="FILE", help="write the curves of all as JSON"
    )
    options = parser.parse_args(arguments)
    try:
        if options.bug not in ("all", *BUGS):
            raise ValueError(
                f"no bug {options.bug!r}: choose of all, {', '.join(BUGS)}"
            )
        if options.record and options.bug != "all":
            raise ValueError("--record writes all bugs: leave out --bug")
        seeds = whole_number(options.seeds, "--seeds", 1, 100)
        epochs = whole_number(options.epochs, "--epochs", 1, 1000)
        device = device_from(options.device)
        check(options.record, ["json"])
        check(options.plot, ["pdf", "png", "svg"])
        torch.set_num_threads(1)  # so small, they are fastest on one
        digits = load(device)
        chosen = dict(BUGS)
        if options.bug != "all":
            chosen = {options.bug: BUGS[options.bug]}
        print(line("", HEADS, 12 if seeds == 1 else 21))
        museum = {}
        for name, bug in {"healthy": HEALTHY, **chosen}.items():
            museum[name] = [run(bug, digits, n, epochs) for n in range(seeds)]
            print(summary(name, museum[name]), flush=True)
        if options.bug != "all":
            bug = BUGS[options.bug]
            print(f"\n{diff(bug)}\n{bug.tells}")
            print(answer(ask(bug, digits, 0, epochs)))
        if options.record:
            bugs = {"healthy": HEALTHY, **BUGS}
            clues = {
                name: ask(bug, digits, 0, epochs) for name, bug in bugs.items()
            }
            written = record(museum, clues, device)
            text = json.dumps(written, separators=(",", ":"))
            save(text + "\n", Path(options.record))
        if options.plot:
            draw(museum).savefig(options.plot)
    except (ValueError, OSError) as error:
        print(f"museum.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, two bugs
        torch.set_num_threads(1)
        pictures = load(torch.device("cpu"))
        shown = {
            name: [run(bug, pictures, seed, 10) for seed in range(3)]
            for name, bug in {"healthy": HEALTHY, **BUGS}.items()
            if name in ("healthy", "softmax twice", "zero_grad() forgotten")
        }
        for name, three in shown.items():
            print(summary(name, three))
        draw(shown)
    else:
        sys.exit(main())
