"""The race finds where made-up times cross, its clock waits, and what does not fit is refused."""

from __future__ import annotations

import itertools
import math
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/devices.py"
devices = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Machine:
    """A device with a queue and a clock: a call returns at once, its work takes longer."""

    def __init__(self, takes=1.0, returns=0.001):
        self.now = self.free = 0.0
        self.takes, self.returns = takes, returns
        self.calls = 0

    def run(self):
        self.calls += 1
        self.now += self.returns
        self.free = max(self.now, self.free) + self.takes

    def wait(self):
        self.now = max(self.now, self.free)

    def clock(self):
        return self.now


def time_on(machine, repeats=1):
    return devices.seconds(machine.run, machine.wait, repeats, machine.clock)


def row(operation="product", size=64, faster=None, way=0.5):
    return devices.Row(operation, size, {"cuda": 2.0} if faster is None else faster, way)


def test_the_clock_waits_for_the_work_that_was_asked_for():
    assert time_on(Machine(takes=5.0)) == pytest.approx(5.001)


def test_work_that_was_in_the_queue_before_is_not_counted():
    machine = Machine(takes=100.0)
    machine.run()
    machine.takes = 5.0
    assert time_on(machine) == pytest.approx(5.001)


def test_the_time_is_that_of_one_call_and_repeats_do_not_wait_in_between():
    machine = Machine(takes=5.0, returns=1.0)
    assert time_on(machine, repeats=10) == pytest.approx((1 + 10 * 5) / 10)
    assert machine.calls == 10


def test_a_sleep_twice_as_long_takes_about_twice_the_time():
    short, long = (lambda n, s=s: devices.seconds(lambda: time.sleep(s), lambda: None, n) for s in (0.02, 0.04))
    found = devices.rounds([long, short], limit=0.0)
    assert len(found) == 3
    assert 1.3 < devices.ratio(found, 0, 1) < 2.7
    assert devices.ratio(found, 1, 0) < 1


def made_up(*factors, drift=1.0, slow=()):
    """Timers of contenders on a machine whose speed drifts from call to call, and that is slow at some calls."""
    calls, order = itertools.count(), []

    def timer(repeats, factor, number):
        call = next(calls)
        order.append((number, repeats))
        return factor * drift**call * (1000 if call in slow else 1)

    return [lambda n, f=f, i=i: timer(n, f, i) for i, f in enumerate(factors)], order


def test_a_drift_of_the_machine_does_not_change_the_ratio():
    timers, _ = made_up(0.003, 0.001, drift=1.01)
    ticks = itertools.count()
    found = devices.rounds(timers, limit=41, clock=lambda: float(next(ticks)))
    assert len(found) > 30
    assert devices.ratio(found, 0, 1) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("call", [6, 7])  # the first two calls of the rounds
def test_an_interruption_does_not_change_the_ratio(call):
    timers, _ = made_up(0.003, 0.001, slow={call})
    assert devices.ratio(devices.rounds(timers, limit=0.0), 0, 1) == pytest.approx(3)


def test_contenders_take_turns_in_both_orders_after_warming_up():
    timers, order = made_up(0.01, 0.01)
    devices.rounds(timers, limit=0.0)
    assert [number for number, _ in order] == [0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1]


def test_short_calls_are_repeated_and_long_ones_are_not():
    timers, order = made_up(0.000_01, 0.1)
    devices.rounds(timers, limit=0.0)
    repeats = {number: {n for who, n in order[6:] if who == number} for number in (0, 1)}
    assert repeats[0] <= {20, 21}
    assert repeats[1] == {1}


@pytest.mark.parametrize(("limit", "expected"), [(0, 3), (50, 50), (1e9, 101)])
def test_rounds_end_with_the_time_but_there_are_3_to_101(limit, expected):
    timers, _ = made_up(1.0)
    ticks = itertools.count()
    found = devices.rounds(timers, limit, clock=lambda: float(next(ticks)))
    assert abs(len(found) - expected) <= 3
    assert 3 <= len(found) <= 101


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([0.5, 0.25, 4.0, 8.0], math.sqrt(20 * 40)),
        ([0.5, 2.0, 4.0, 8.0], math.sqrt(10 * 20)),
        ([0.5, 2.0, 0.5, 2.0], math.sqrt(40 * 80)),  # for good: not where it passes for a moment
        ([2.0, 3.0, 4.0, 5.0], 10),
        ([0.1, 0.2, 0.3, 0.4], None),
        ([2.0, 2.0, 2.0, 0.5], None),
        ([0.5, 0.5, 0.5, 1.0], None),
        ([0.5, 1.0, 4.0, 8.0], 20),  # a draw is not faster
    ],
)
def test_the_crossing_of_made_up_times(ratios, expected):
    found = devices.crossing([10, 20, 40, 80], ratios, level=1.0)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_the_crossing_of_two_known_laws_is_found():
    """One device takes n squared, the other 1000 and a tenth of n squared: they meet where n squared is 10000 / 9."""
    sizes = [2**power for power in range(12)]
    ratios = [n**2 / (1000 + n**2 / 10) for n in sizes]
    assert devices.crossing(sizes, ratios, level=1.0) == pytest.approx(math.sqrt(10000 / 9), rel=0.02)


def test_noise_around_1_is_no_crossing():
    assert devices.crossing([1, 2, 3], [1.02, 0.99, 1.04]) is None
    assert devices.crossing([1, 2, 3], [1.0, 1.05, 1.5]) > 2


def test_the_gpu_races_all_threads_of_the_cpu_with_the_way_and_without():
    assert [str(place) for place in devices.places(CUDA, 4)] == ["cpu with 4 threads", "cuda", "cuda and the way"]


def test_without_a_gpu_one_thread_races_all_of_them():
    assert [str(place) for place in devices.places(CPU, 4)] == ["cpu with 1 thread", "cpu with 4 threads"]
    assert [str(place) for place in devices.places(CPU, 1)] == ["cpu with 1 thread"]


class Operation:
    """A sum that tells where its matrices lay and how many threads it had."""

    def __init__(self):
        self.seen = []

    def __call__(self, a, b):
        self.seen.append((a.device.type, b.device.type, torch.get_num_threads()))
        return a + b


@pytest.fixture
def keep_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("keep_threads")
def test_an_operation_runs_with_the_threads_of_its_place():
    operation, pair = Operation(), (torch.ones(2, 2), torch.ones(2, 2))
    one = devices.timer(operation, devices.Place(CPU, 1), pair)
    two = devices.timer(operation, devices.Place(CPU, 2), pair)
    one(3), two(1), one(1)
    threads = [seen[2] for seen in operation.seen]
    assert threads[-2:] == [1, 1]  # the first of them warms up after the change
    assert threads[-4:-2] == [2, 2]
    assert set(threads[:-4]) == {1}


class Elsewhere:
    """A matrix of the CPU that goes to `meta`, and whose way back is counted: `meta` gives nothing back."""

    backs = 0

    def __init__(self, tensor):
        self.tensor = tensor

    def to(self, device):
        return Elsewhere(self.tensor.to(device))

    def cpu(self):
        Elsewhere.backs += 1


def times_of(travels, monkeypatch):
    """Where the matrices lay when two calls began, and how many results went back."""
    seen = []
    Elsewhere.backs = 0

    def operation(a, b):
        seen.append((a.tensor.device.type, b.tensor.device.type))
        return a

    place = devices.Place(torch.device("meta"), torch.get_num_threads(), travels)
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: None)
    pair = [Elsewhere(torch.ones(2, 2)), Elsewhere(torch.ones(2, 2))]
    devices.timer(operation, place, pair)(2)
    return seen, Elsewhere.backs


def test_matrices_that_travel_bring_the_result_back(monkeypatch):
    there = [("meta", "meta")] * 2
    assert times_of(True, monkeypatch) == (there, 2)
    assert times_of(False, monkeypatch) == (there, 0)


def test_matrices_move_to_another_device_before_or_during_the_race(monkeypatch):
    moves = []

    class Counted(Elsewhere):
        def to(self, device):
            moves.append(device)
            return super().to(device)

    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: None)
    for travels, expected in ((False, 0), (True, 6)):
        place = devices.Place(torch.device("meta"), torch.get_num_threads(), travels)
        run = devices.timer(lambda a, b: a, place, [Counted(torch.ones(1)), Counted(torch.ones(1))])
        moves.clear()
        run(3)
        assert len(moves) == expected


def test_the_device_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    devices.Place(CPU, 1).wait()
    assert waited == []
    devices.Place(CUDA, 1).wait()
    assert waited == [CUDA]


def test_the_way_is_timed_by_copies_even_on_the_cpu():
    class Copied:
        copies = 0

        def to(self, device, copy=False):
            Copied.copies += copy
            return self

    devices.mover(devices.Place(CPU, 1), [Copied(), Copied()])(2)
    assert Copied.copies == 2 * 3  # two there and one back


@pytest.mark.usefixtures("keep_threads")
def test_a_race_has_a_row_for_each_operation_and_size_and_leaves_the_threads_alone():
    torch.set_num_threads(1)
    rows = list(devices.race(devices.places(CPU, 2), [4, 8], limit=0.0))
    assert [(row.operation, row.size) for row in rows] == [("product", 4), ("product", 8), ("sum", 4), ("sum", 8)]
    assert all(list(row.faster) == ["cpu with 2 threads"] for row in rows)
    assert all(value > 0 for row in rows for value in (*row.faster.values(), row.way))
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("keep_threads")
def test_a_rival_is_compared_with_the_first_and_the_way_with_who_stays_at_home(monkeypatch):
    race = devices.race.__globals__
    monkeypatch.setitem(race, "timer", lambda operation, place, pair: ("timer", place))
    monkeypatch.setitem(race, "mover", lambda place, pair: ("mover", place))
    asked = []

    def rounds(timers, limit):
        asked.append(timers)
        return [[8.0, 2.0, 4.0, 6.0]] * 3

    monkeypatch.setitem(race, "rounds", rounds)
    contenders = devices.places(CUDA, 4)
    first = next(devices.race(contenders, [4]))
    assert first.faster == {"cuda": 4.0, "cuda and the way": 2.0}
    assert first.way == 3.0
    assert asked[0][-1] == ("mover", contenders[1])


def test_the_report_tells_bytes_ratios_and_crossings():
    contenders = devices.places(CUDA, 4)
    rows = [
        row(operation, size, {"cuda": fast, "cuda and the way": way}, 7.25)
        for operation, ways in (("product", (0.1, 1.21)), ("sum", (0.1, 0.2)))
        for size, fast, way in zip((10, 1000), (1.5, 9.0), ways, strict=True)
    ]
    lines = devices.report(rows, contenders).splitlines()
    assert lines[1].split() == ["10", "1200", "1.50", "0.10", "7.25"]
    assert lines[2].split() == ["1000", "12000000", "9.00", "1.21", "7.25"]
    assert "product: from 10 rows, the smallest size, on, cuda is more than a tenth faster" in lines
    assert "product: from about 840 rows on, cuda and the way is more than a tenth faster" in lines
    assert "sum: at 1000 rows, cuda and the way is not more than a tenth faster" in lines
    assert not any("only the CPU" in line for line in lines)


def test_with_the_cpu_alone_it_says_what_it_would_do_with_a_gpu():
    rows = [row(operation, 4, {}) for operation in devices.OPERATIONS]
    assert "with a GPU, it would race" in devices.report(rows, devices.places(CPU, 1))


def test_a_figure_has_a_line_for_each_column_and_marks_crossings():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    rows = [row(name, size, {"cuda": size / 20}) for name in devices.OPERATIONS for size in (10, 40)]
    figure = devices.draw(rows)
    for place in figure.axes:
        rival, mark, way, _ = place.get_lines()
        assert list(rival.get_ydata()) == [0.5, 2.0]
        assert mark.get_xdata()[0] == pytest.approx(22)
        assert list(way.get_ydata()) == [0.5, 0.5]
    pyplot.close(figure)


def test_free_memory_is_what_the_system_can_give():
    free = devices.free_memory(CPU)
    if free is not None:
        assert 10**7 < free < 10**14
    assert devices.free_memory(torch.device("mps")) is None


def test_sizes_are_refused_by_the_memory_that_is_free(monkeypatch):
    free = {"cpu": 8 * 4 * 100**2, "cuda": 8 * 4 * 50**2}
    monkeypatch.setitem(devices.check_memory.__globals__, "free_memory", lambda device: free[device.type])
    devices.check_memory([100, 3], CPU)
    devices.check_memory([50], CUDA)
    with pytest.raises(ValueError, match=r"101 rows .* cpu"):
        devices.check_memory([101, 3], CPU)
    with pytest.raises(ValueError, match=r"51 rows .* cuda"):
        devices.check_memory([51], CUDA)
    free["cuda"] = 10**12
    with pytest.raises(ValueError, match=r"101 rows .* cpu"):
        devices.check_memory([101], CUDA)


def test_where_the_system_does_not_tell_the_attempt_does(monkeypatch):
    monkeypatch.setitem(devices.check_memory.__globals__, "free_memory", lambda device: None)
    devices.check_memory([10], CPU)
    with pytest.raises(ValueError, match="9999999 rows"):
        devices.check_memory([9_999_999], CPU)


@pytest.mark.parametrize(("text", "sizes"), [("64", [64]), ("64, 16,64", [16, 64]), ("007", [7])])
def test_sizes_come_in_order_and_once(text, sizes):
    assert devices.sizes_from(text) == sizes


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--device", "abacus"], "abacus"),
        (["--device", ""], "this machine has no"),
        (["--sizes", ""], "''"),
        (["--sizes", "64,"], "''"),
        (["--sizes", "0"], "'0'"),
        (["--sizes", "-3"], "'-3'"),
        (["--sizes", "1.5"], "1.5"),
        (["--sizes", "٣"], "٣"),
        (["--sizes", "12345678"], "12345678"),
        (["--sizes", "4,9999999"], "9999999 rows need"),
        (["--threads", "0"], "--threads"),
        (["--threads", "many"], "many"),
        (["--threads", "99999"], "99999"),
        (["--sizes", "4", "--plot", "no/such/folder.png"], "folder.png"),
        (["--sizes", "4", "--plot", "race.xyz"], "xyz"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert devices.main(arguments if "--device" in arguments else ["--device", "cpu", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("devices.py: ")
    assert named in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_runs_out_of_memory_is_told_of(monkeypatch, capsys):
    def race(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")

    monkeypatch.setitem(devices.main.__globals__, "race", race)
    assert devices.main(["--device", "cpu", "--sizes", "64"]) == 2
    assert capsys.readouterr().err == "devices.py: matrices of 64 rows do not fit into the memory of cpu\n"


def test_a_race_on_the_command_line(tmp_path, capsys):
    file = tmp_path / "race.png"
    threads = torch.get_num_threads()
    assert devices.main(["--device", "cpu", "--sizes", "8,16", "--plot", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["product", "8", "16"]
    assert "only the CPU raced" in out
    assert file.stat().st_size > 0
    assert torch.get_num_threads() == threads
