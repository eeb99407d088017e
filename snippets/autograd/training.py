# %% [markdown]
# # Training loop
#
# A loop to copy into a project: seeded, checked before it starts, validated
# after each epoch, and safe to stop. Killed at any moment and started again
# with the same command, it ends with the same parameters, bit for bit, as a
# run that nobody disturbed.
#
# Run as a program, it trains a small network on scikit-learn's digits. With
# `torchrun`, processes share each batch, and the gradients stay the same.
#
# ```console
# $ python training.py --check --checkpoint digits.pt --plot curves.svg
# $ torchrun --standalone --nproc-per-node 2 training.py --checkpoint two.pt
# ```

# %%
"""Training loop: stopped at any moment, it goes on as if nothing happened."""

from __future__ import annotations

import argparse
import copy
import hashlib
import io
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import (
    DataLoader,
    Dataset,
    Sampler,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

# %% [markdown]
# ## Data and network
#
# `GroupNorm` stands where many networks have `BatchNorm`, which would measure
# each process's share of a batch for itself and change the gradients.


# %%
def digits() -> TensorDataset:
    """Pictures `(1797, 1, 8, 8)`, float32 from 0 to 1, and labels, int64."""
    from sklearn.datasets import load_digits

    pixels, labels = map(torch.tensor, load_digits(return_X_y=True))
    return TensorDataset(pixels.float().view(-1, 1, 8, 8) / 16, labels.long())


def split(data: Dataset, seed: int) -> list[Subset]:
    """Parts for training, validation and test: 70, 15 and 15 percent."""
    draw_from = torch.Generator().manual_seed(seed)
    return random_split(data, [0.7, 0.15, 0.15], draw_from)


def network(dropout: float) -> nn.Sequential:
    """Pictures `(N, 1, 8, 8)` to scores `(N, 10)`, both float32."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(32 * 4 * 4, 10),
    )


# %% [markdown]
# ## Processes that share a run


# %%
PATIENCE = timedelta(minutes=2)
"""How long a process waits for the others before it fails."""


@dataclass(frozen=True)
class Team:
    """The processes of a run: this one alone, or those of torchrun."""

    device: torch.device
    rank: int = 0
    size: int = 1

    def sum(self, *numbers: float) -> list[float]:
        """Add up each number over all processes, in float64."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return sums.tolist()

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def first(self, work: Callable[[], Any]) -> Any:
        """What the first process gets from `work`, given to all.

        Raises:
            ValueError: in all processes, if `work` raises it.
        """
        told = [None, None]
        if self.rank == 0:
            try:
                told[0] = work()
            except ValueError as error:
                told[1] = str(error)
        if self.size > 1:
            dist.broadcast_object_list(told)
        if told[1] is not None:
            raise ValueError(told[1])
        return told[0]


@contextmanager
def joined(name: str) -> Iterator[Team]:
    """Join the processes that torchrun started, if it did.

    Args:
        name: That of a device, as in `device_from`.

    Raises:
        ValueError: if the processes cannot meet on such devices.
    """
    device = device_from(name)
    if device.type == "cuda":  # the same bits in each run
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    rank = int(os.environ.get("RANK", "0"))
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if device.index >= torch.cuda.device_count():
            raise ValueError("each process needs a GPU: start fewer")
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise ValueError(f"{size} processes cannot share one {device.type}")
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Team(device, rank, size)
    except BaseException as error:  # its frames hold the network, which has
        clear_frames(error.__traceback__)  # to go before the group goes
        raise
    finally:
        dist.destroy_process_group()


def add_up(bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Add up gradients over all processes, for `register_comm_hook`.

    `DistributedDataParallel` would put many into one bucket, another one after
    its first step, and their places in it decide how three numbers or more are
    rounded. Each by itself, they are the same in a run that goes on.
    """
    for gradient in bucket.gradients():
        dist.all_reduce(gradient)
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


class Batches(Sampler[list[int]]):
    """The rows of each batch that this process computes.

    Args:
        count: How many rows the data has.
        size: The rows of a batch, of all processes together.
        draw_from: What each epoch's order is drawn from.
        team: The processes, which draw the same order.

    Raises:
        ValueError: if a process would find no row in the last batch.
    """

    def __init__(
        self, count: int, size: int, draw_from: torch.Generator, team: Team
    ) -> None:
        self.count, self.size, self.team = count, size, team
        self.draw_from = draw_from
        self.done = 0
        """How many batches of the next epoch to leave out."""
        if self.rows(len(self) - 1) < team.size:
            raise ValueError(
                f"the last of {count} rows are too few for {team.size} "
                "processes: choose another --batch-size"
            )

    def rows(self, step: int) -> int:
        """How many rows all processes have in a batch; the last has fewer."""
        return min(self.size, self.count - step * self.size)

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.count, generator=self.draw_from)
        for batch in order.split(self.size)[self.done :]:
            yield batch.tensor_split(self.team.size)[self.team.rank].tolist()


# %% [markdown]
# ## Checks before the start


# %%
def require(holds: bool, message: str) -> None:
    """An assert that `python -O` keeps."""
    if not holds:
        raise AssertionError(message)


def check_rows(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Scores are `(N, C)` where labels are `(N,)`."""
    found, rows = tuple(model(x).shape), tuple(y.shape)
    fits = len(found) == 2 and len(rows) == 1 and found[0] == rows[0]
    require(fits, f"scores {found} and labels {rows} are not (N, C) and (N,)")


def check_labels(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Labels are whole numbers from 0 to C - 1, of dtype int64."""
    classes = model(x).shape[1]
    require(y.dtype == torch.int64, f"labels are {y.dtype}")
    low, high = int(y.min()), int(y.max())
    fits = low >= 0 and high < classes
    require(fits, f"labels go from {low} to {high}, with {classes} classes")


def check_first_loss(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """A network that knows nothing has a loss of about ln C."""
    scores = model(x)
    loss = F.cross_entropy(scores, y).item()
    guess = math.log(scores.shape[1])
    near = abs(loss - guess) < guess / 4
    require(near, f"the first loss is {loss:.2f}, far from ln C = {guess:.2f}")


def check_gradients(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Every parameter that is trained gets a finite gradient."""
    model.zero_grad()
    F.cross_entropy(model(x), y).backward()
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if parameter.requires_grad:
            require(gradient is not None, f"{name} gets no gradient")
            finite = bool(gradient.isfinite().all())
            require(finite, f"the gradient of {name} is not finite")


def check_eval(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """After `eval()`, the same pictures get the same scores twice."""
    model.eval()
    same = torch.equal(model(x), model(x))
    require(same, "after eval(), scores still depend on chance")


def check_overfit(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """A hundred steps on one batch bring its loss below a tenth of ln C."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    limit = math.log(model(x).shape[1]) / 10
    for _ in range(100):
        loss = F.cross_entropy(model(x), y)
        if loss < limit:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    require(
        False, f"one batch is not learned by heart: its loss is {loss:.2f}"
    )


CHECKS = (
    check_rows,
    check_labels,
    check_first_loss,
    check_gradients,
    check_eval,
    check_overfit,
)


def preflight(model: nn.Module, pictures: Tensor, labels: Tensor) -> None:
    """Run all checks on copies; model and random numbers stay as they are.

    Args:
        model: Untrained, from pictures to scores `(N, C)`, float32.
        pictures: Some rows of the training data, on the model's device.
        labels: Theirs, `(N,)`, int64.

    Raises:
        AssertionError: what is wrong, from the first check that fails.
    """
    before = random_state(pictures.device)
    try:
        for check in CHECKS:
            check(copy.deepcopy(model).train(), pictures, labels)
    finally:
        set_random_state(before, pictures.device)


# %% [markdown]
# ## A run


# %%
@dataclass(frozen=True)
class Settings:
    """What decides how a run ends. A checkpoint fits the same ones only."""

    epochs: int = 8
    batch_size: int = 64
    """The rows of a batch, of all processes together."""
    lr: float = 5e-3
    dropout: float = 0.25
    seed: int = 0
    device: str = "cpu"
    processes: int = 1

    def __post_init__(self) -> None:
        whole = 1 <= self.epochs <= 10**6 and 1 <= self.batch_size <= 10**6
        for holds, rule in [
            (whole, "--epochs and --batch-size are from 1 to 1000000"),
            (0 < self.lr < math.inf, "--lr is a number above 0"),
            (0 <= self.dropout < 1, "--dropout is at least 0 and below 1"),
            (0 <= self.seed < 2**60, "--seed is from 0 to 2**60 - 1"),
        ]:
            if not holds:
                raise ValueError(rule)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of the global generators of the CPU and a device, uint8."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Go back to what `random_state` found."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu":
        module = torch.get_device_module(device)
        module.set_rng_state(states[device.type])


FORMAT = "training.py 1"
"""Stands in each checkpoint; the number grows when its parts change."""

PLACE = ("epoch", "step", "loss", "history", "order")
"""What tells how far a `Run` is."""


class Run:
    """A network in training, and how far it is.

    Args:
        net: From pictures to scores `(N, C)`; moved to the team's device.
        data: Rows of a picture and a label, a whole number.
        settings: Their `seed` decides each epoch's order and what is dropped.
        team: The processes that share each batch.
    """

    def __init__(
        self, net: nn.Module, data: Dataset, settings: Settings, team: Team
    ) -> None:
        self.settings, self.team = settings, team
        self.net = self.model = net.to(team.device)
        if team.size > 1:
            self.model = nn.parallel.DistributedDataParallel(net)
            self.model.register_comm_hook(
                None, lambda _, bucket: add_up(bucket)
            )
        torch.manual_seed(settings.seed + 1 + team.rank)  # what is dropped
        self.shuffler = torch.Generator().manual_seed(settings.seed)
        self.batches = Batches(
            len(data), settings.batch_size, self.shuffler, team
        )
        self.loader = DataLoader(
            data, batch_sampler=self.batches, generator=self.shuffler
        )
        self.optimizer = torch.optim.AdamW(net.parameters(), settings.lr)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, settings.epochs * len(self.batches)
        )
        self.epoch = self.step = 0
        self.loss = 0.0
        """The sum over the rows of this epoch so far."""
        self.order = self.shuffler.get_state()
        """What this epoch's order is drawn from."""
        self.history: list[dict[str, float]] = []

    def place(self) -> str:
        """How far it is, in words."""
        counts = {"epoch": self.epoch, "step": self.step}
        words = [f"{n} {name}{'s'[n == 1 :]}" for name, n in counts.items()]
        return " and ".join(words)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on from here. Every process has to ask."""
        return {
            "format": FORMAT,
            "settings": asdict(self.settings),
            **{name: getattr(self, name) for name in PLACE},
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.team.gather(random_state(self.team.device)),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same settings.

        Raises:
            ValueError: if it is that of another network.
        """
        try:
            self.net.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            for name in PLACE:
                setattr(self, name, state[name])
            self.shuffler.set_state(self.order)
            mine = state["random"][self.team.rank]
            set_random_state(mine, self.team.device)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError("the checkpoint is of another network") from error


# %% [markdown]
# ## The loop


# %%
def train_step(run: Run, pictures: Tensor, labels: Tensor) -> float:
    """One step of all processes, as if one had the whole batch.

    The gradients of all processes are added up, so each process divides the
    sum of its losses by the rows that all of them have.

    Args:
        run: What is trained.
        pictures: Those of this process, float32.
        labels: Theirs, `(N,)`, int64.

    Returns:
        The sum of the losses of these rows.
    """
    scores = run.model(pictures.to(run.team.device))
    labels = labels.to(run.team.device)
    loss = F.cross_entropy(scores, labels, reduction="sum")
    run.optimizer.zero_grad()
    (loss / run.batches.rows(run.step)).backward()
    run.optimizer.step()
    run.schedule.step()
    return loss.item()


@torch.no_grad()
def evaluate(
    net: nn.Module, data: Dataset, team: Team, size: int = 256
) -> tuple[float, float]:
    """The loss and the accuracy, from 0 to 1, as means over all rows.

    Args:
        net: The network; it is left in the mode that it was in.
        data: Rows of a picture and a label; each process takes its share.
        team: The processes.
        size: The rows of a batch, which change nothing.
    """
    was_training = net.training
    net.eval()
    loss, right = 0.0, 0
    share = Subset(data, range(team.rank, len(data), team.size))
    for pictures, labels in DataLoader(share, size):
        scores, labels = net(pictures.to(team.device)), labels.to(team.device)
        loss += F.cross_entropy(scores, labels, reduction="sum").item()
        right += (scores.argmax(1) == labels).sum().item()
    net.train(was_training)
    loss, right = team.sum(loss, right)
    return loss / len(data), right / len(data)


def train(
    run: Run,
    validation: Dataset,
    save: Callable[[], None] = lambda: None,
    every: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until the last epoch.

    Args:
        run: A new one, or one that goes on.
        validation: Rows that it is not trained with.
        save: Called after each epoch, and where it is stopped.
        every: Call it after so many steps of an epoch, too, unless 0.
        stop: Asked after each step. One process is enough to stop all.

    Returns:
        False if it was stopped, or else True.

    Raises:
        ValueError: if the loss is no longer finite; nothing is saved then.
    """
    count, steps = run.batches.count, len(run.batches)
    while run.epoch < run.settings.epochs:
        run.batches.done = run.step
        for pictures, labels in run.loader:
            loss = train_step(run, pictures, labels)
            loss, stopped = run.team.sum(loss, stop())
            if not math.isfinite(loss):
                raise ValueError(f"the loss became {loss}: try a smaller --lr")
            run.loss += loss
            run.step += 1
            show_progress(run.epoch, run.step, steps, run.team)
            if stopped or (every and run.step % every == 0):
                save()
            if stopped:
                return False
        checked, accuracy = evaluate(run.net, validation, run.team)
        row = {"training loss": run.loss / count}
        row |= {"validation loss": checked, "accuracy": accuracy}
        run.history.append(row)
        run.epoch, run.step, run.loss = run.epoch + 1, 0, 0.0
        run.order = run.shuffler.get_state()
        save()
        if run.team.rank == 0:
            words = ", ".join(f"{name} {row[name]:.4f}" for name in row)
            print(f"epoch {run.epoch}: {words}", flush=True)
    return True


def show_progress(epoch: int, step: int, steps: int, team: Team) -> None:
    """Show a bar on a terminal, and remove it after the last step."""
    if team.rank == 0 and sys.stderr.isatty():
        bar = ("#" * (20 * step // steps)).ljust(20, ".")
        text = f"epoch {epoch + 1} [{bar}] {step}/{steps}"
        shown = text if step < steps else " " * len(text)
        print(f"{shown}\r", end="", file=sys.stderr, flush=True)


# %% [markdown]
# ## Checkpoints
#
# A checkpoint is what `torch.save` writes, followed by its SHA-256:
# `torch.load(file, weights_only=True)` reads it, and damage of a single bit
# is found.


# %%
@contextmanager
def naming(action: str) -> Iterator[None]:
    """Make an OSError a ValueError: one sentence that names the action."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot {action}: {error.strerror}") from error


def beside(path: Path, kind: str) -> Path:
    """A hidden file of this program in the folder of a checkpoint."""
    return path.with_name(f".{path.name}.training-{kind}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other runs from a checkpoint, and clean up after killed ones.

    The system ends the lock when the process ends, however it ends.

    Raises:
        ValueError: if another run holds it, or the folder takes no files.
    """
    lock = beside(path, "lock")
    with ExitStack() as stack:
        with naming(f"write to {path.parent}"):
            file = stack.enter_context(lock.open("a"))
            try:
                if fcntl:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = os.path.samestat(os.fstat(file.fileno()), lock.stat())
            except (BlockingIOError, FileNotFoundError):
                mine = False
            if not mine:  # locked, or removed by a run that just ended
                raise ValueError(f"{path} is in use by another run")
            beside(path, "part").unlink(missing_ok=True)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint as a whole.

    Whoever reads it, at any moment, finds all of the old one or of the new.

    Raises:
        ValueError: if it cannot be written; the old one is still there then.
    """
    buffer, part = io.BytesIO(), beside(path, "part")
    torch.save(state, buffer)
    content = buffer.getvalue()
    with naming(f"write {path}"):
        try:
            with part.open("wb") as file:
                file.write(content + hashlib.sha256(content).digest())
                file.flush()
                os.fsync(file.fileno())  # the content is on the disk, then
            os.replace(part, path)
            if hasattr(os, "O_DIRECTORY"):
                folder = os.open(path.parent, os.O_DIRECTORY)
                os.fsync(folder)  # and the name is on the disk, too
                os.close(folder)
        finally:
            part.unlink(missing_ok=True)


def load(path: Path, settings: Settings) -> dict[str, Any] | None:
    """The state in a checkpoint, or None if there is none yet.

    Raises:
        ValueError: if it is damaged, of another program or of other settings.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    with naming(f"read {path}"):
        content = path.read_bytes()
    content, digest = content[:-32], content[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(
            f"{path} is damaged, or no checkpoint of this program"
        )
    try:
        state = torch.load(io.BytesIO(content), "cpu", weights_only=True)
        made, found = state["format"], state["settings"]
    except Exception as error:  # whatever the bytes of others lead to
        raise ValueError(f"{path} is no checkpoint of this program") from error
    if made != FORMAT:
        raise ValueError(f"{path} has the format {made!r}, not {FORMAT!r}")
    differ = [
        f"{name} {found.get(name)}, not {value}"
        for name, value in asdict(settings).items()
        if found.get(name) != value
    ]
    if differ:
        raise ValueError(f"{path} is of a run with {'; '.join(differ)}")
    return state


# %% [markdown]
# ## A picture


# %%
def draw(history: Sequence[dict[str, float]]) -> Figure:
    """Draw the losses and the accuracy after each epoch.

    Args:
        history: That of a run.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    epochs = range(1, len(history) + 1)
    for name, style in [
        ("training loss", "C0o-"),
        ("validation loss", "C1o-"),
    ]:
        places[0].plot(
            epochs, [row[name] for row in history], style, label=name
        )
    places[0].legend()
    places[0].set(yscale="log", xlabel="epoch", ylabel="mean cross-entropy")
    places[1].plot(epochs, [100 * row["accuracy"] for row in history], "C1o-")
    places[1].set(xlabel="epoch", ylabel="accuracy in validation (%)")
    return figure


def check_plot(path: Path) -> None:
    """Refuse a picture that cannot be written, before hours of training.

    Raises:
        ValueError: if its folder or its format does not exist.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    if not path.absolute().parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no such folder")
    if path.suffix[1:].lower() not in FigureCanvasBase.filetypes:
        raise ValueError(f"cannot write {path}: take .png, .svg or .pdf")


# %% [markdown]
# ## On the command line


# %%
class Stop:
    """Notes the first Ctrl-C or SIGTERM. The second ends the run at once."""

    def __init__(self) -> None:
        self.signal = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.before:
            signal.signal(number, self.before[number])

    def note(self, number: int, _: object) -> None:
        """What the system calls when a signal comes."""
        self.signal = number
        self.__exit__()

    def asked(self) -> bool:
        """Whether a signal came."""
        return self.signal > 0


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


def keep(run: Run, path: Path | None, held: ExitStack) -> Callable[[], None]:
    """Lock a checkpoint, go on from it, and return what saves to it.

    Args:
        run: What is trained. All its processes call this, and the result.
        path: The checkpoint; there may be none yet, or None to save nothing.
        held: Ends the lock.

    Raises:
        ValueError: if the file is in use, or is no checkpoint of this run.
    """
    if path is None:
        return lambda: None
    file, first = path.resolve(), run.team.first
    first(lambda: held.enter_context(locked(file)))
    if state := first(lambda: load(file, run.settings)):
        run.resume(state)

    def save_run() -> None:
        state = run.state()  # the states of all processes
        first(lambda: save(file, state))

    return save_run


def work(options: argparse.Namespace, team: Team, stop: Stop) -> int:
    """Train, and test in the end. Returns the exit code."""
    shared = {f.name for f in fields(Settings)} & set(vars(options))
    settings = Settings(
        **{name: getattr(options, name) for name in shared - {"device"}},
        device=team.device.type,
        processes=team.size,
    )
    if options.every < 0:
        raise ValueError("--every is a number of steps, or 0")
    if options.plot:
        check_plot(options.plot)
    say = print if team.rank == 0 else lambda *_, **__: None
    training, validation, test = split(digits(), settings.seed)
    torch.manual_seed(settings.seed)
    run = Run(network(settings.dropout), training, settings, team)
    if options.check:
        batch = default_collate([training[row] for row in range(32)])
        preflight(run.net, *(part.to(team.device) for part in batch))
        say(f"{len(CHECKS)} checks passed")
    with ExitStack() as held:
        save = keep(run, options.checkpoint, held)
        if run.epoch or run.step:
            say(f"going on after {run.place()}")
        if not train(run, validation, save, options.every, stop.asked):
            where = "nothing is saved without --checkpoint"
            if options.checkpoint:
                where = f"the same command goes on from {options.checkpoint}"
            told = f"training.py: stopped after {run.place()}: {where}"
            say(told, file=sys.stderr)
            return 128 + (stop.signal or signal.SIGTERM)
    loss, accuracy = evaluate(run.net, test, team)
    say(f"test: loss {loss:.4f}, accuracy {accuracy:.4f}")
    if options.plot and team.rank == 0:
        draw(run.history).savefig(options.plot)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Train on digits, and go on where a run was stopped."
    )
    add = parser.add_argument
    add("--epochs", type=int, default=8)
    add("--batch-size", type=int, default=64, help="of all processes together")
    add("--lr", type=float, default=5e-3, help="that of the first step")
    add("--dropout", type=float, default=0.25)
    add("--seed", type=int, default=0)
    add("--device", default="auto", metavar="auto|cpu|cuda|mps")
    add("--check", action="store_true", help="check network and labels first")
    add("--checkpoint", type=Path, help="a file to save to and to go on from")
    add("--every", type=int, default=0, help="save after so many steps, too")
    add("--plot", type=Path, help="a picture of losses and accuracy to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # for a network so small, more only wait
    try:
        with Stop() as stop, joined(options.device) as team:
            return work(options, team, stop)
    except (ValueError, OSError, AssertionError) as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"training.py: {error}", file=sys.stderr)
        return 2


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, four epochs
        team, settings = Team(torch.device("cpu")), Settings(epochs=4)
        training, validation, test = split(digits(), settings.seed)
        torch.manual_seed(settings.seed)
        run = Run(network(settings.dropout), training, settings, team)
        train(run, validation)
        draw(run.history)
    else:
        sys.exit(main())
