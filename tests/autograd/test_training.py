"""Runs that are killed, stopped or shared end as one that nobody disturbed, and what is wrong is refused.

Most runs are children of one process that has imported torch already and forks: importing it takes seconds.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import os
import pickle
import pty
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

PROGRAM = Path(__file__).parents[2] / "snippets/autograd/training.py"
training = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")
ALONE = training.Team(CPU)
SMALL = ("--device", "cpu", "--epochs", "4", "--batch-size", "33")  # with 400 rows: 9 steps, the last of 16 rows
SETTINGS = training.Settings(epochs=4, batch_size=33)
STEPS = 9

# Reads lines of JSON: to start a run, answered with the number of its process, or to wait for one, answered with how it
# ended. What a run is asked to do at a moment, it does to itself. The moments are steps of training, or calls and
# returns of functions, of C too, counted from the start or inside of `save`.
WARM = r"""
import json, os, pathlib, resource, runpy, signal, sys, traceback
import sklearn.datasets, torch

torch.set_num_threads(1)
names = runpy.run_path(sys.argv[1])["main"].__globals__
torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # imports much
whole = names["digits"]()
small = torch.utils.data.TensorDataset(*whole[:400])
print("ready", flush=True)


def end():
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(step, act):
    plain, steps = names["train_step"], iter(range(1, 10**6))

    def train_step(*arguments):
        result = plain(*arguments)
        if next(steps) == step:
            act()
        return result

    names["train_step"] = train_step


class Calls:
    def __init__(self, anywhere=0, saving=0):
        self.moments = [anywhere, saving]
        self.counts = [0, 0, 0]
        self.saving = False
        sys.setprofile(self.count)

    def count(self, frame, event, argument):
        if frame.f_code is names["save"].__code__ and event in ("call", "return"):
            self.saving = event == "call"
            self.counts[2] += self.saving
        for kind in range(1 + self.saving):
            self.counts[kind] += 1
            if self.counts[kind] == self.moments[kind]:
                end()


def tear(number, share):
    plain, numbers = pathlib.Path.open, iter(range(1, 10**6))

    def opened(path, mode="r", *rest):
        file = plain(path, mode, *rest)
        if mode != "wb" or next(numbers) < number:
            return file

        class Torn:
            __enter__ = lambda self: self
            __exit__ = lambda self, *_: file.close()

            def write(self, content):
                file.write(content[: int(share * len(content))])
                file.flush()
                end()

        return Torn()

    pathlib.Path.open = opened


def child(ask):
    signal.alarm(120)  # nothing may hang
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what was started in the background ignores it
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(ask[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(ask.get("env", {}))
    names["digits"] = lambda: whole if ask.get("whole") else small
    if "patience" in ask:
        names["PATIENCE"] *= 0
        names["PATIENCE"] += type(names["PATIENCE"])(seconds=ask["patience"])
    if "limit" in ask:
        resource.setrlimit(resource.RLIMIT_FSIZE, (ask["limit"], ask["limit"]))
    for step, number in ask.get("signals", []):
        at_step(step, lambda number=number: signal.raise_signal(number))
    if "tear" in ask:
        tear(*ask["tear"])
    calls = Calls(**ask["calls"]) if "calls" in ask else None
    try:
        code = names["main"](ask["arguments"])
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.setprofile(None)
    sys.stdout.flush()
    sys.stderr.flush()
    if calls:
        pathlib.Path(ask["counts"]).write_text(json.dumps(calls.counts))
    os._exit(code)


for line in sys.stdin:
    ask = json.loads(line)
    if "wait" in ask:
        print(os.waitstatus_to_exitcode(os.waitpid(ask["wait"], 0)[1]), flush=True)
    elif child_id := os.fork():
        print(child_id, flush=True)
    else:
        child(ask)
"""


class Started:
    """A run of the program, a child of the warm process."""

    def __init__(self, warm, folder, *arguments, **ask):
        self.warm, self.folder = warm, folder
        self.out, self.err = (folder.parent / f"{folder.name}.{ask.get('name', '')}{kind}" for kind in ("out", "err"))
        self.pid = warm.tell(arguments=[str(each) for each in arguments], out=str(self.out), err=str(self.err), **ask)

    def end(self):
        """Wait until it ends: its code, what it printed, and its errors."""
        return self.warm.tell(wait=self.pid), self.out.read_text(), self.err.read_text()


class Warm:
    """The process that has imported torch."""

    def __init__(self):
        command = [sys.executable, "-c", WARM, PROGRAM]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment)
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, **ask):
        print(json.dumps(ask), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def run(self, folder, *arguments, **ask):
        return Started(self, folder, *arguments, **ask).end()

    def team(self, folder, *arguments, asks=({}, {}), **both):
        """Processes that share a run, as torchrun starts them: one for each of `asks`."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        shared = {"WORLD_SIZE": str(len(asks)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **LOOPBACK}
        started = []
        for rank, ask in enumerate(asks):
            env = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            started.append(Started(self, folder, *arguments, name=f"{rank}.", env=env, **both, **ask))
        return started


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other take most of the time of so small a network."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}


@pytest.fixture(scope="module")
def warm():
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    process = Warm()
    yield process
    process.process.stdin.close()
    process.process.wait()


@pytest.fixture
def folder(tmp_path):
    """An empty folder; what runs print lies beside it."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def read(file):
    return torch.load(file, weights_only=True)


def same(one, other):
    """Whether two checkpoints, or parts of them, agree in every bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def apart(one, other):
    """The largest difference between the parameters in two checkpoints."""
    return max((one["model"][name] - other["model"][name]).abs().max().item() for name in one["model"])


@pytest.fixture(scope="module")
def undisturbed(warm, tmp_path_factory):
    """A run of 36 steps that nobody disturbs: its last checkpoint, what it printed, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    start = time.perf_counter()
    code, out, err = warm.run(folder, *SMALL, "--checkpoint", folder / "run.pt")
    assert (code, err) == (0, "")
    assert [file.name for file in folder.iterdir()] == ["run.pt"]
    return SimpleNamespace(state=read(folder / "run.pt"), out=out, seconds=time.perf_counter() - start)


def sleep_or_see(seconds, file):
    """Sleep, but no longer than until a file was replaced twice."""
    end, seen = time.perf_counter() + seconds, set()
    while time.perf_counter() < end and len(seen) < 3:
        time.sleep(0.0002)
        if file.exists():
            seen.add(file.stat().st_mtime_ns)


def test_killed_twenty_times_it_ends_bit_for_bit_as_one_that_nobody_disturbed(warm, undisturbed, folder):
    counted, file, draw = folder.parent / "counts", folder / "run.pt", random.Random(1)
    command = [*SMALL, "--every", "1", "--checkpoint", file]
    code, out, _ = warm.run(folder, *command, calls={}, counts=str(counted))
    assert (code, out, same(read(file), undisturbed.state)) == (0, undisturbed.out, True)
    anywhere, saving, saves = json.loads(counted.read_text())
    assert saves == 4 * (STEPS + 1)
    file.unlink()
    ways = (
        [{"calls": {"anywhere": draw.randint(1, anywhere // 6)}} for _ in range(6)]
        + [{"calls": {"saving": draw.randint(1, 5 * saving // saves)}} for _ in range(7)]
        + [{"tear": [draw.randint(1, 4), draw.random()]} for _ in range(3)]
        + [{"clock": draw.uniform(0, undisturbed.seconds / 3)} for _ in range(4)]
    )
    draw.shuffle(ways)
    left, going = set(), []
    for way in ways:
        wait = way.pop("clock", None)
        started = Started(warm, folder, *command, **way)
        if wait is not None:
            sleep_or_see(wait, file)
            os.kill(started.pid, signal.SIGKILL)
        code, out, err = started.end()
        assert (code, err) == (-signal.SIGKILL, "")
        going += out.splitlines()[:1]
        left |= {each.name for each in folder.iterdir()}
        if file.exists():
            assert training.load(file, SETTINGS)["epoch"] < 4
    assert left == {"run.pt", ".run.pt.training-lock", ".run.pt.training-part"}
    assert any(line.startswith("going on") and " 0 steps" not in line for line in going)
    code, out, err = warm.run(folder, *command)
    first, *rest = out.splitlines()
    assert (code, err, first.startswith("going on after ")) == (0, "", True)
    assert undisturbed.out.endswith("\n".join([*rest, ""]))
    assert 1 < len(rest) < 5
    assert same(read(file), undisturbed.state)
    assert [each.name for each in folder.iterdir()] == ["run.pt"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [4, 9, 10])
def test_a_signal_ends_the_step_saves_and_the_same_command_goes_on(warm, undisturbed, folder, number, step):
    command = [*SMALL, "--checkpoint", folder / "run.pt"]
    code, out, err = warm.run(folder, *command, signals=[(step, number)])
    place = {4: "0 epochs and 4 steps", 9: "0 epochs and 9 steps", 10: "1 epoch and 1 step"}[step]
    assert (code, out) == (128 + number, "".join(undisturbed.out.splitlines(True)[: (step - 1) // 9]))
    assert err == f"training.py: stopped after {place}: the same command goes on from {folder / 'run.pt'}\n"
    assert training.load(folder / "run.pt", SETTINGS)["step"] == (step - 1) % 9 + 1
    code, out, err = warm.run(folder, *command)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"going on after {place}"
    assert same(read(folder / "run.pt"), undisturbed.state)


def test_without_a_checkpoint_it_stops_as_well_and_writes_nothing(warm, folder):
    code, _, err = warm.run(folder, *SMALL, signals=[(4, signal.SIGINT)])
    assert code == 130
    assert err == "training.py: stopped after 0 epochs and 4 steps: nothing is saved without --checkpoint\n"
    assert list(folder.iterdir()) == []


def test_a_second_signal_ends_it_at_once(warm, folder):
    twice = [(4, signal.SIGINT), (4, signal.SIGINT)]
    code, _, err = warm.run(folder, *SMALL, "--checkpoint", folder / "run.pt", signals=twice)
    assert (code, err.splitlines()[-1]) == (1, "KeyboardInterrupt")
    assert list(folder.iterdir()) == []
    code, _, err = warm.run(folder, *SMALL, signals=[(4, signal.SIGTERM), (4, signal.SIGTERM)])
    assert (code, err) == (-signal.SIGTERM, "")


def test_a_run_that_has_ended_tells_its_result_again(warm, undisturbed, folder):
    command = [*SMALL, "--checkpoint", folder / "run.pt"]
    for _ in range(2):
        code, out, err = warm.run(folder, *command)
        assert (code, err, out.splitlines()[-1]) == (0, "", undisturbed.out.splitlines()[-1])
        assert same(read(folder / "run.pt"), undisturbed.state)
    assert out.splitlines()[0] == "going on after 4 epochs and 0 steps"


def test_checks_change_nothing_in_the_run(warm, undisturbed, folder):
    code, out, err = warm.run(folder, *SMALL, "--check", "--checkpoint", folder / "run.pt")
    assert (code, out, err) == (0, "6 checks passed\n" + undisturbed.out, "")
    assert same(read(folder / "run.pt"), undisturbed.state)


def test_the_seed_decides_how_it_ends(warm, undisturbed, folder):
    warm.run(folder, *SMALL, "--seed", "1", "--checkpoint", folder / "run.pt")
    assert apart(read(folder / "run.pt"), undisturbed.state) > 0.01


# Two processes


def test_torchrun_finds_what_one_process_finds(warm, folder):
    command = ["--device", "cpu", "--epochs", "1", "--batch-size", "101", "--dropout", "0", "--checkpoint"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning", **LOOPBACK}
    run = subprocess.run(
        [*launch, PROGRAM, *command, folder / "two.pt"], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (run.returncode, run.stderr) == (0, "")
    code, out, _ = warm.run(folder, *command, folder / "one.pt", whole=True)
    assert (code, out) == (0, run.stdout)
    one, two = read(folder / "one.pt"), read(folder / "two.pt")
    assert apart(one, two) < 1e-5
    assert two["settings"] == one["settings"] | {"processes": 2}
    assert one["history"][0]["accuracy"] == two["history"][0]["accuracy"] > 0.8


@pytest.fixture(scope="module")
def shared(warm, tmp_path_factory):
    """The last checkpoint of a run that two processes share."""
    folder = tmp_path_factory.mktemp("shared")
    first, second = warm.team(folder, *SMALL, "--checkpoint", folder / "run.pt")
    assert first.end()[::2] == second.end()[::2] == (0, "")
    assert second.out.read_text() == ""
    return read(folder / "run.pt")


def test_shares_of_each_batch_are_weighted_by_their_rows(warm, folder):
    """Shares of 139 and 138 rows, and of 2 and 1: without dropout, the gradients are those of one process."""
    command = [*SMALL, "--epochs", "1", "--batch-size", "277", "--dropout", "0", "--checkpoint"]
    for each in warm.team(folder, *command, folder / "two.pt"):
        assert each.end()[::2] == (0, "")
    warm.run(folder, *command, folder / "one.pt")
    one, two = read(folder / "one.pt"), read(folder / "two.pt")
    assert apart(one, two) < 1e-5
    for name, mixed in one["optimizer"]["state"].items():  # a tenth of the last gradient is in it
        torch.testing.assert_close(two["optimizer"]["state"][name]["exp_avg"], mixed["exp_avg"], rtol=1e-3, atol=1e-6)


def test_two_processes_draw_what_they_drop_from_seeds_of_their_own(warm, folder):
    for each in warm.team(folder, *SMALL, "--epochs", "1", "--batch-size", "40", "--checkpoint", folder / "run.pt"):
        assert each.end()[0] == 0
    first, second = read(folder / "run.pt")["random"]  # both drew for 20 rows in each step
    assert not same(first, second)


def test_if_one_of_two_is_killed_the_other_fails_and_both_go_on_bit_for_bit(warm, shared, folder):
    command = [*SMALL, "--every", "4", "--checkpoint", folder / "run.pt"]
    first, second = warm.team(folder, *command, asks=({}, {"signals": [(15, signal.SIGKILL)]}))
    assert second.end()[0] == -signal.SIGKILL
    assert first.end()[0] == 1
    assert training.load(folder / "run.pt", training.Settings(4, 33, processes=2))["step"] == 4
    for each in warm.team(folder, *command):
        assert each.end()[::2] == (0, "")
    assert same(read(folder / "run.pt"), shared)


def test_a_signal_to_one_of_two_stops_both_after_the_same_step(warm, shared, folder):
    command = [*SMALL, "--checkpoint", folder / "run.pt"]
    first, second = warm.team(folder, *command, asks=({}, {"signals": [(13, signal.SIGTERM)]}))
    code, _, err = first.end()
    assert (code, err.startswith("training.py: stopped after 1 epoch and 4 steps: ")) == (143, True)
    assert second.end() == (143, "", "")
    for each in warm.team(folder, *command):
        assert each.end()[::2] == (0, "")
    assert same(read(folder / "run.pt"), shared)


def test_three_processes_go_on_bit_for_bit_though_sums_of_three_depend_on_their_order(warm, folder):
    (folder / "stopped").mkdir()
    for path, signals in [("whole.pt", []), ("stopped/run.pt", [(5, signal.SIGTERM)]), ("stopped/run.pt", [])]:
        team = warm.team(folder, *SMALL, "--checkpoint", folder / path, asks=({}, {}, {"signals": signals}))
        assert {each.end()[0] for each in team} == {143 if signals else 0}
    assert same(read(folder / "whole.pt"), read(folder / "stopped/run.pt"))


def test_a_process_that_hangs_does_not_hang_the_other(warm, folder):
    first, second = warm.team(folder, *SMALL, patience=2, asks=({}, {"signals": [(3, signal.SIGSTOP)]}))
    assert first.end()[0] == 1
    os.kill(second.pid, signal.SIGKILL)
    second.end()


def test_both_of_two_refuse_a_checkpoint_and_the_first_tells_why(warm, folder):
    (folder / "run.pt").write_text("hello")
    first, second = warm.team(folder, *SMALL, "--checkpoint", folder / "run.pt")
    assert first.end() == (2, "", f"training.py: {folder / 'run.pt'} is damaged, or no checkpoint of this program\n")
    assert second.end() == (2, "", "")


def test_a_disk_that_is_full_stops_both_of_two(warm, folder):
    first, second = warm.team(folder, *SMALL, "--checkpoint", folder / "run.pt", limit=10_000)
    assert first.end() == (2, "", f"training.py: cannot write {folder / 'run.pt'}: File too large\n")
    assert second.end() == (2, "", "")
    assert list(folder.iterdir()) == []


def batches(count, size, rank, processes):
    draw_from = torch.Generator().manual_seed(3)
    return training.Batches(count, size, draw_from, training.Team(CPU, rank, processes))


@pytest.mark.parametrize(("count", "size", "processes"), [(10, 4, 1), (10, 4, 2), (11, 4, 3), (7, 7, 2), (5, 9, 5)])
def test_shares_make_up_the_batches_of_one_process(count, size, processes):
    whole = list(batches(count, size, 0, 1))
    shares = [list(batches(count, size, rank, processes)) for rank in range(processes)]
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == whole
    assert sorted(chain(*whole)) == list(range(count))
    assert [len(batch) for batch in whole] == [batches(count, size, 0, 1).rows(step) for step in range(len(whole))]
    assert {len(each) for each in shares} == {len(batches(count, size, 0, 1))} == {len(whole)}


def test_a_process_without_a_row_in_the_last_batch_is_refused():
    batches(10, 4, 0, 2)
    with pytest.raises(ValueError, match="3 processes: choose another --batch-size"):
        batches(10, 4, 0, 3)


# Checkpoints that are no good


def sealed(content):
    return content + hashlib.sha256(content).digest()


def saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


class Bomb:
    """Tells when it is unpickled."""

    def __reduce__(self):
        return (print, ("boom",))


def flipped(good, place):
    spot = int(place * len(good))
    return good[:spot] + bytes([good[spot] ^ 1]) + good[spot + 1 :]


DAMAGED = {
    "empty": lambda good: b"",
    "a byte": lambda good: b"P",
    "zeros": lambda good: bytes(len(good)),
    "cut in half": lambda good: good[: len(good) // 2],
    "cut by a byte": lambda good: good[:-1],
    "longer by a byte": lambda good: good + b"\0",
    "a page of zeros": lambda good: good[:4096] + bytes(4096) + good[8192:],
    "written twice": lambda good: good + good,
    "text": lambda good: b"hello\n",
    "a pickle with a class": lambda good: pickle.dumps(Bomb()),
    "saved with torch": lambda good: saved({"weights": torch.ones(3)}),
    "its bytes without the digest": lambda good: good[:-32],
    **{
        f"a bit at {place}": lambda good, place=place: flipped(good, place)
        for place in (0, 0.01, 0.3, 0.7, 0.99, 0.9999)
    },
}
OTHERS = {
    "another program's": lambda state: {"weights": torch.ones(3)},
    "no dictionary": lambda state: [1, 2, 3],
    "a class": lambda state: state | {"model": Bomb()},
    "an older format": lambda state: state | {"format": "training.py 0"},
    "another network's": lambda state: state | {"model": nn.Linear(2, 2).state_dict()},
    "without a part": lambda state: {name: state[name] for name in state if name != "optimizer"},
    "other settings": lambda state: state | {"settings": state["settings"] | {"seed": 3, "lr": 0.1}},
}


@pytest.fixture
def refused(folder, undisturbed, capfd):
    """Check that a run refuses a file with a sentence, which is returned, and leaves it as it is."""

    def check(content):
        file = folder / "run.pt"
        file.write_bytes(content)
        assert training.main([*SMALL, "--checkpoint", str(file)]) == 2
        out, err = capfd.readouterr()
        assert (out, err.count("\n"), file.read_bytes()) == ("", 1, content)
        assert err.startswith("training.py: ")
        assert [each.name for each in folder.iterdir()] == ["run.pt"]
        return err.removeprefix("training.py: ").rstrip().replace(str(file), "FILE")

    return check


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_or_foreign_checkpoint_is_refused(kind, undisturbed, refused):
    good = sealed(saved(undisturbed.state))
    assert refused(DAMAGED[kind](good)) == "FILE is damaged, or no checkpoint of this program"


@pytest.mark.parametrize("kind", OTHERS)
def test_a_whole_checkpoint_that_does_not_fit_is_refused(kind, undisturbed, refused):
    sentence = refused(sealed(saved(OTHERS[kind](undisturbed.state))))
    assert sentence == {
        "an older format": "FILE has the format 'training.py 0', not 'training.py 1'",
        "another network's": "the checkpoint is of another network",
        "without a part": "the checkpoint is of another network",
        "other settings": "FILE is of a run with lr 0.1, not 0.005; seed 3, not 0",
    }.get(kind, "FILE is no checkpoint of this program")


def test_every_flipped_bit_is_found(undisturbed, tmp_path):
    good, draw = sealed(saved(undisturbed.state)), random.Random(0)
    for _ in range(50):
        (tmp_path / "run.pt").write_bytes(flipped(good, draw.random()))
        with pytest.raises(ValueError, match="is damaged"):
            training.load(tmp_path / "run.pt", SETTINGS)


@pytest.mark.parametrize(
    "changed",
    [
        {"epochs": 7},
        {"batch_size": 32},
        {"lr": 0.1},
        {"dropout": 0.0},
        {"seed": 1},
        {"device": "cuda"},
        {"processes": 2},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_all_settings_have_to_agree(changed, undisturbed, tmp_path):
    (tmp_path / "run.pt").write_bytes(sealed(saved(undisturbed.state)))
    assert training.load(tmp_path / "run.pt", SETTINGS)["epoch"] == 4
    ((name, value),) = changed.items()
    other = training.Settings(**{"epochs": 4, "batch_size": 33} | changed)
    with pytest.raises(ValueError, match=f"{name} .*, not {value}"):
        training.load(tmp_path / "run.pt", other)


def test_what_is_no_file_is_refused(folder, capsys):
    (folder / "run.pt").mkdir()
    os.mkfifo(folder / "pipe.pt")
    for name in ("run.pt", "pipe.pt"):
        assert training.main([*SMALL, "--checkpoint", str(folder / name)]) == 2
        assert capsys.readouterr() == ("", f"training.py: {folder / name} is no file\n")
    assert {each.name for each in folder.iterdir()} == {"run.pt", "pipe.pt"}


# What the system refuses


def test_a_disk_that_is_full_leaves_the_old_checkpoint(warm, undisturbed, folder):
    command = [*SMALL, "--checkpoint", folder / "run.pt"]
    warm.run(folder, *command, signals=[(12, signal.SIGINT)])
    before = (folder / "run.pt").read_bytes()
    code, _, err = warm.run(folder, *command, limit=len(before) // 2)
    assert (code, err) == (2, f"training.py: cannot write {folder / 'run.pt'}: File too large\n")
    assert (folder / "run.pt").read_bytes() == before
    assert [each.name for each in folder.iterdir()] == ["run.pt"]
    code, _, err = warm.run(folder, *command)
    assert (code, err, same(read(folder / "run.pt"), undisturbed.state)) == (0, "", True)


def test_a_missing_folder_is_told_before_the_first_step(folder, capsys):
    assert training.main([*SMALL, "--checkpoint", str(folder / "no/run.pt")]) == 2
    expected = f"training.py: cannot write to {folder / 'no'}: No such file or directory\n"
    assert capsys.readouterr() == ("", expected)


def test_a_folder_that_takes_no_files_is_told_before_the_first_step(folder, capsys):
    folder.chmod(0o500)
    place = folder
    if os.access(folder, os.W_OK):  # for root, no mode forbids it
        place = Path("/proc")
    if not place.exists() or os.uname().sysname != "Linux":
        pytest.skip("no folder here that takes no files")
    assert training.main([*SMALL, "--checkpoint", str(place / "run.pt")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"training.py: cannot write to {place}: ")


def test_a_second_run_on_the_same_file_is_refused(folder, capsys):
    file = folder / "run.pt"
    with training.locked(file):
        assert training.main([*SMALL, "--checkpoint", str(file)]) == 2
        assert capsys.readouterr() == ("", f"training.py: {file} is in use by another run\n")
        with training.locked(folder / "other.pt"):
            pass
    with training.locked(file):
        pass
    assert list(folder.iterdir()) == []


def test_a_lock_that_is_removed_while_it_is_opened_is_no_lock(folder, monkeypatch):
    plain = training.fcntl.flock
    lock = training.beside(folder / "run.pt", "lock")

    def late(*arguments):
        lock.unlink()
        plain(*arguments)

    monkeypatch.setattr(training.fcntl, "flock", late)
    with pytest.raises(ValueError, match="in use"), training.locked(folder / "run.pt"):
        pass


def test_only_its_own_temporary_files_are_removed(warm, folder):
    others = {"run.pt.tmp", ".run.pt.part", ".other.pt.training-part", ".other.pt.training-lock"}
    for _ in range(2):  # the second run has nothing to write
        for name in [*others, ".run.pt.training-part", ".run.pt.training-lock"]:
            (folder / name).write_text("left")
        code, _, err = warm.run(folder, *SMALL, "--epochs", "1", "--checkpoint", folder / "run.pt")
        assert (code, err) == (0, "")
        assert {each.name for each in folder.iterdir()} == others | {"run.pt"}


def test_content_is_on_the_disk_before_its_name_and_the_name_after(folder, monkeypatch):
    done = []

    def noting(name, plain):
        def noted(first, *rest):
            folder_itself = name == "fsync" and os.path.samestat(os.fstat(first), folder.stat())
            size = os.fstat(first).st_size if name == "fsync" else 0
            done.append("fsync folder" if folder_itself else f"{name} {size > 100 if size else ''}".strip())
            return plain(first, *rest)

        return noted

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    training.save(folder / "run.pt", {"weights": torch.ones(100)})
    assert done == ["fsync True", "replace", "fsync folder"]
    assert read(folder / "run.pt")["weights"].sum() == 100


def test_a_checkpoint_behind_a_link_is_replaced_where_it_is(warm, folder):
    (folder / "disk").mkdir()
    (folder / "run.pt").symlink_to("disk/real.pt")
    assert warm.run(folder, *SMALL, "--epochs", "1", "--checkpoint", folder / "run.pt")[0] == 0
    assert (folder / "run.pt").is_symlink()
    assert [each.name for each in (folder / "disk").iterdir()] == ["real.pt"]


# Training and validation


def small_run(net=None, team=ALONE, **changed):
    settings = training.Settings(**{"epochs": 2, "batch_size": 33} | changed)
    parts = training.split(Subset(training.digits(), range(300)), settings.seed)
    torch.manual_seed(0)
    return training.Run(net or training.network(settings.dropout), parts[0], settings, team), *parts[1:]


def test_a_plain_loop_finds_the_same_parameters():
    run, validation, _ = small_run(dropout=0.0)
    net, data = copy.deepcopy(run.net), run.loader.dataset
    assert training.train(run, validation)
    optimizer = torch.optim.AdamW(net.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 14)
    loader = DataLoader(data, 33, shuffle=True, generator=torch.Generator().manual_seed(0))
    assert len(data) == 210
    orders = torch.Generator().manual_seed(0)
    for _ in range(2):
        torch.empty((), dtype=torch.int64).random_(generator=orders)  # a loader draws a seed for its workers
        for rows in torch.randperm(210, generator=orders).split(33):
            pictures, labels = (torch.stack(list(part)) for part in zip(*[data[row] for row in rows], strict=True))
            optimizer.zero_grad()
            F.cross_entropy(net(pictures), labels).backward()
            optimizer.step()
            schedule.step()
    assert len(loader) == len(run.loader) == 7
    for mine, plain in zip(run.net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-5)
    assert run.schedule.get_last_lr() == pytest.approx([0], abs=1e-9)


def test_the_training_loss_is_the_mean_over_all_rows_of_the_epoch():
    run, validation, _ = small_run(lr=1e-12, dropout=0.0)
    before, _ = training.evaluate(run.net, run.loader.dataset, ALONE)
    training.train(run, validation)
    assert [row["training loss"] for row in run.history] == pytest.approx([before] * 2, rel=1e-5)


@pytest.mark.parametrize("size", [1, 7, 45, 1000])
def test_validation_is_exact_whatever_the_size_of_its_batches(size):
    net = nn.Sequential(training.network(0.5), nn.Dropout(0.5))
    data = Subset(training.digits(), range(45))
    pictures, labels = data.dataset[:45]
    right = (net.eval()(pictures).argmax(1) == labels).double().mean().item()
    loss = F.cross_entropy(net(pictures), labels).item()
    net.train()
    assert training.evaluate(net, data, ALONE, size) == pytest.approx((loss, right), rel=1e-6)
    assert net.training
    net.eval()
    training.evaluate(net, data, ALONE)
    assert not net.training


def test_validation_builds_no_tape_and_changes_no_buffers():
    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.taped = nn.BatchNorm1d(64), []
            self.layer = nn.Linear(64, 10)

        def forward(self, pictures):
            scores = self.layer(self.norm(pictures.flatten(1)))
            self.taped.append(scores.requires_grad)
            return scores

    net = Watched()
    before = copy.deepcopy(net.state_dict())
    training.evaluate(net, Subset(training.digits(), range(50)), ALONE, 20)
    assert net.taped == [False] * 3
    assert same(net.state_dict(), before)


def test_the_parts_share_no_row_and_the_seed_decides_them():
    data = training.digits()
    parts = training.split(data, 0)
    assert [len(part) for part in parts] == [1258, 270, 269]
    assert sorted(chain(*(part.indices for part in parts))) == list(range(1797))
    assert (
        list(training.split(data, 0)[2].indices) == list(parts[2].indices) != list(training.split(data, 1)[2].indices)
    )


def test_pictures_are_floats_from_0_to_1_and_labels_int64():
    pictures, labels = training.digits().tensors
    assert (pictures.shape, pictures.dtype) == ((1797, 1, 8, 8), torch.float32)
    assert (pictures.min(), pictures.max()) == (0, 1)
    assert (labels.dtype, labels.unique().tolist()) == (torch.int64, list(range(10)))


def test_a_loss_that_is_no_number_ends_the_run_and_saves_nothing(warm, folder):
    code, out, err = warm.run(folder, *SMALL, "--lr", "1e30", "--every", "1", "--checkpoint", folder / "run.pt")
    assert (code, out) == (2, "")
    assert err in {f"training.py: the loss became {bad}: try a smaller --lr\n" for bad in ("nan", "inf")}
    kept = read(folder / "run.pt") if (folder / "run.pt").exists() else {"loss": 0.0}
    assert math.isfinite(kept["loss"])


# Checks before the start


class Transposed(nn.Sequential):
    def forward(self, x):
        return super().forward(x).T


class Cut(nn.Sequential):
    def forward(self, x):
        for place, part in enumerate(self):
            x = part(x.detach() if place == 3 else x)
        return x


class Blown(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + (self[0].weight.sum() * 0).sqrt() * 0


class Drops(nn.Sequential):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.2)  # in eval, too


def rows(count=32):
    return training.digits()[:count]


def planted(kind=nn.Sequential, *more):
    torch.manual_seed(0)
    return kind(*training.network(0.25), *more)


def wide():
    net = planted()
    nn.init.normal_(net[-1].weight)
    return net


def frozen():
    return planted().requires_grad_(False)


X, Y = rows()
BUGS = {
    "transposed": (Transposed, Y, "check_rows", r"scores \(10, 32\) and labels \(32,\)"),
    "labels of a column": (nn.Sequential, Y[:, None], "check_rows", r"labels \(32, 1\)"),
    "fewer labels": (nn.Sequential, Y[:31], "check_rows", r"labels \(31,\)"),
    "labels float": (nn.Sequential, Y.float(), "check_labels", "labels are torch.float32"),
    "labels int32": (nn.Sequential, Y.int(), "check_labels", "labels are torch.int32"),
    "labels from 1": (nn.Sequential, Y + 1, "check_labels", "labels go from 1 to 10, with 10 classes"),
    "labels from -1": (nn.Sequential, Y - 1, "check_labels", "labels go from -1 to 8, with 10 classes"),
    "wide weights": (lambda *_: wide(), Y, "check_first_loss", "the first loss is .*, far from ln C = 2.30"),
    "detached": (Cut, Y, "check_gradients", "0.weight gets no gradient"),
    "not finite": (Blown, Y, "check_gradients", "the gradient of 0.weight is not finite"),
    "dropout in eval": (Drops, Y, "check_eval", "depend on chance"),
    "softmax": (
        lambda *parts: nn.Sequential(*parts, nn.Softmax(1)),
        Y,
        "check_overfit",
        "by heart: its loss is 1.[4-9]",
    ),
    "relu in the end": (lambda *parts: nn.Sequential(*parts, nn.Sigmoid()), Y, "check_overfit", "by heart"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_by_its_check_and_by_none_before(bug):
    kind, labels, found_by, said = BUGS[bug]
    net = planted(kind)
    with pytest.raises(AssertionError, match=said) as found:
        training.preflight(net, X, labels)
    assert found_by in [entry.name for entry in found.traceback]


def test_every_check_has_its_bug():
    names = [check.__name__ for check in training.CHECKS]
    assert {found_by for _, _, found_by, _ in BUGS.values()} == set(names)
    assert len(names) == 6


@pytest.mark.parametrize("seed", range(3))
def test_a_sound_network_passes_and_is_left_as_it_was(seed):
    torch.manual_seed(seed)
    net = training.network(0.25).eval()
    before, chance = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    training.preflight(net, X, Y)
    assert same(net.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), chance)
    assert (net.training, [p.grad for p in net.parameters()]) == (False, [None] * 10)


def test_batch_norm_and_frozen_layers_pass_the_checks():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))
    net[1].bias.requires_grad_(False)
    training.preflight(net, X, Y)


def test_a_check_that_fails_ends_the_program_with_its_sentence(monkeypatch, capsys):
    names = training.main.__globals__
    monkeypatch.setitem(names, "network", lambda dropout: planted(Cut))
    assert training.main([*SMALL, "--check"]) == 2
    assert capsys.readouterr() == ("", "training.py: 0.weight gets no gradient\n")


# On the command line


def test_what_is_printed_where_nobody_watches(warm, folder):
    code, out, err = warm.run(folder, "--device", "cpu", whole=True)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 9)
    for epoch, line in enumerate(lines[:8], 1):
        words = line.split()
        assert words[:4] == ["epoch", f"{epoch}:", "training", "loss"]
        assert words[5:7] == ["validation", "loss"]
        assert words[8] == "accuracy"
    assert lines[8].startswith("test: loss 0.")
    assert float(lines[8].split()[-1]) > 0.96


def test_a_terminal_gets_a_bar_that_disappears(monkeypatch, capsys):
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for step in (1, 5, 10):
            training.show_progress(2, step, 10, ALONE)
            training.show_progress(2, step, 10, training.Team(CPU, 1, 2))
    bars = ["epoch 3 [##..................] 1/10", "epoch 3 [##########..........] 5/10", " " * 36]
    expected = "".join(f"{bar}\r" for bar in bars)
    shown = ""
    while len(shown) < len(expected) and select.select([ours], [], [], 5)[0]:  # it hands over what it has so far
        shown += os.read(ours, 1000).decode()
    os.close(ours)
    assert shown == expected
    monkeypatch.undo()
    training.show_progress(2, 5, 10, ALONE)
    assert capsys.readouterr() == ("", "")


def test_lines_are_those_of_the_history():
    history = [{"training loss": 2.0, "validation loss": 1.0, "accuracy": 0.5}] * 2
    history[1] = {"training loss": 1.0, "validation loss": 0.5, "accuracy": 0.75}
    losses, accuracy = training.draw(history).axes
    assert [list(line.get_ydata()) for line in losses.lines] == [[2.0, 1.0], [1.0, 0.5]]
    assert [line.get_label() for line in losses.lines] == ["training loss", "validation loss"]
    assert list(accuracy.lines[0].get_ydata()) == [50.0, 75.0]
    assert list(accuracy.lines[0].get_xdata()) == [1, 2]


def test_the_plot_is_written(warm, folder):
    code, _, err = warm.run(folder, *SMALL, "--epochs", "1", "--plot", folder / "curves.svg")
    assert (code, err) == (0, "")
    assert [each.name for each in folder.iterdir()] == ["curves.svg"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--batch-size", "0"], "--batch-size"),
        (["--batch-size", "10000000"], "--batch-size"),
        (["--lr", "0"], "--lr"),
        (["--lr", "nan"], "--lr"),
        (["--lr", "inf"], "--lr"),
        (["--dropout", "1"], "--dropout"),
        (["--dropout", "-0.1"], "--dropout"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "9" * 20], "--seed"),
        (["--every", "-1"], "--every"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "no/such/folder.png"], "no such folder"),
        (["--plot", "curves.xyz"], "curves.xyz"),
        (["--plot", "curves"], "curves"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert training.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("training.py: ")
    assert named in err
    assert (out, err.count("\n")) == ("", 1)
    assert list(folder.iterdir()) == []
