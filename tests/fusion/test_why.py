"""Bytes and operations are counted for known functions, what binds follows from them, and a record says how it came."""

from __future__ import annotations

import itertools
import json
import math
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode, flop_registry

PROGRAM = Path(__file__).parents[2] / "snippets/fusion/why.py"
NAMES = runpy.run_path(str(PROGRAM))
why = SimpleNamespace(**NAMES)
INSIDE = why.main.__globals__
CPU = torch.device("cpu")


def counted(function, *tensors):
    """The kernels of a function: name, bytes read, bytes written, operations."""
    return [(each.name, each.read, each.written, each.flops) for each in why.count(function, *tensors)]


# Counting


def test_f1_is_two_kernels_and_moves_its_tensor_four_times():
    assert counted(why.f1, torch.ones(10, 100)) == [("relu", 4000, 4000, 1000), ("add", 4000, 4000, 1000)]


def test_f2_is_three_kernels_and_moves_its_tensor_seven_times():
    x = why.images(2**16, CPU)
    norm, whole = why.norm_of(x), 2**16
    assert counted(why.f2, x, x + 1, *norm) == [
        ("relu", whole, whole, whole // 4),
        ("native_batch_norm", whole + 4 * 64 * 4, whole, whole // 4),
        ("add", 2 * whole, whole, whole // 4),
    ]


X = torch.arange(12.0).reshape(3, 4)
"""48 bytes."""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.T.reshape(2, 6)[None].expand(5, 2, 6).detach()[0, 1], [("clone", 48, 48, 0)]),
        (lambda x: x.T[1:].unsqueeze(0).view_as(x.T[1:].unsqueeze(0)).split(1), []),
        (lambda x: x * x, [("mul", 48, 48, 12)]),
        (lambda x: x + x.T.contiguous().T, [("clone", 48, 48, 0), ("add", 96, 48, 12)]),
        (lambda x: x[:2] + x[1:], [("add", 64, 32, 8)]),
        (lambda x: x + x[:, :1], [("add", 60, 48, 12)]),
        (lambda x: x[:, :1].expand(3, 1000) + 1, [("add", 12, 12000, 3000)]),
        (lambda x: x.clone().add_(3), [("clone", 48, 48, 0), ("add_", 48, 48, 12)]),
        (lambda x: torch.add(x, 3, out=torch.empty(3, 4)), [("add", 48, 48, 12)]),
        (lambda x: torch.empty(3, 4).copy_(x), [("copy_", 48, 48, 0)]),
        (lambda x: torch.empty(3, 4).copy_(x[0]), [("copy_", 16, 48, 0)]),
        (lambda x: torch.empty_like(x).fill_(1), [("fill_", 0, 48, 0)]),
        (lambda x: x.new_zeros(5, dtype=torch.int8), [("new_zeros", 0, 5, 0)]),
        (lambda x: x.to(torch.float64), [("_to_copy", 48, 96, 0)]),
        (lambda x: x > 1, [("gt", 48, 12, 12)]),
        (lambda x: torch.cat([x, x[:1]]), [("cat", 64, 64, 0)]),
        (lambda x: x.sum(), [("sum", 48, 4, 12)]),
        (lambda x: torch.equal(x, x + 1), [("add", 48, 48, 12), ("equal", 96, 0, 12)]),
        (lambda x: x.max(dim=1), [("max", 48, 12 + 24, 12)]),
        (lambda x: F.embedding(torch.tensor([2, 2]), x), [("embedding", 32 + 16, 32, 0)]),
        (lambda x: torch._foreach_mul([x, x[0]], 2), [("_foreach_mul", 64, 64, 12)]),
        (lambda x: x @ x.T, [("mm", 48, 36, 2 * 3 * 4 * 3)]),
        (lambda x: F.linear(x, x, x[0, :3]), [("addmm", 12 + 48, 36, 72)]),
        (lambda x: x[:0] + 1, [("add", 0, 0, 0)]),
    ],
    ids=itertools.count(),
)
def test_what_a_kernel_moves_and_computes(function, expected):
    x = X.clone()
    x_first = x.data_ptr()
    assert counted(function, x) == expected
    assert x.data_ptr() == x_first


def test_a_convolution_and_an_attention_count_as_torch_counts_them():
    pixels, weight = torch.ones(2, 3, 8, 8), torch.ones(5, 3, 3, 3)
    ((name, read, written, flops),) = counted(F.conv2d, pixels, weight)
    assert (name, flops) == ("convolution", 2 * (2 * 6 * 6) * 5 * 3 * 9)
    assert (read, written) == (4 * (pixels.numel() + weight.numel()), 4 * 2 * 5 * 6 * 6)
    q = torch.ones(1, 2, 16, 8)
    (kernel,) = why.count(F.scaled_dot_product_attention, q, q + 1, q + 2)
    assert kernel.flops == 2 * 2 * (2 * 16 * 16 * 8)
    assert kernel.read == 3 * 4 * q.numel()


def test_attention_is_counted_where_torch_has_no_formula_for_this_device(monkeypatch):
    for name in ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention_for_cpu_backward"):
        monkeypatch.delitem(flop_registry, getattr(torch.ops.aten, name), raising=False)  # torch 2.11 has none
    q = torch.ones(1, 2, 16, 8, requires_grad=True)

    def step(q):
        with torch.enable_grad():
            F.scaled_dot_product_attention(q, q, q).sum().backward()

    product = 2 * 2 * 16 * 16 * 8
    flops = {each.name.partition("_for_cpu")[2]: each.flops for each in why.count(step, q) if "for_cpu" in each.name}
    assert flops == {"": 2 * product, "_backward": 5 * product}


def test_a_step_of_a_model_counts_as_torch_counts_it_backward_included():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5))

    def step(pixels):
        with torch.enable_grad():
            model(pixels).square().mean().backward()

    pixels = torch.ones(2, 3, 8, 8)
    kernels = why.count(step, pixels)
    with FlopCounterMode(display=False) as torchs:
        step(pixels)
    products = {"mm", "addmm", "convolution", "convolution_backward"}
    assert sum(each.flops for each in kernels if each.name in products) == torchs.get_total_flops() > 0
    assert [each.name for each in kernels if each.name in products].count("convolution_backward") == 1


def test_inference_mode_and_the_device_meta_change_no_count():
    def layer(x, weight):
        return F.linear(x, weight).softmax(-1).reshape(-1)

    def inferred(x, weight):
        with torch.inference_mode():
            return layer(x, weight)

    tensors = [torch.ones(2, 6, 4), torch.ones(3, 4)]
    expected = counted(layer, *tensors)
    assert [name for name, *_ in expected] == ["mm", "_softmax"]
    assert counted(inferred, *tensors) == expected
    assert counted(layer, *(each.to("meta") for each in tensors)) == expected


def test_fused_a_function_would_read_arguments_and_write_results():
    assert why.least_bytes(why.f1, X) == 2 * 48
    x = why.images(2**16, CPU)
    assert why.least_bytes(why.f2, x, x + 1, *why.norm_of(x)) == 3 * 2**16 + 4 * 64 * 4
    assert why.least_bytes(lambda a, b: (a + b, a), X, X) == 3 * 48


# The clock


class Machine:
    """A device with a queue and a clock: a call returns at once, its work takes longer."""

    def __init__(self):
        self.now = self.free = 0.0
        self.calls = []

    def call(self, name, takes):
        def run():
            self.calls.append(name)
            self.now += 0.001
            self.free = max(self.now, self.free) + takes

        return run

    def wait(self):
        self.now = max(self.now, self.free)

    def clock(self):
        return self.now


def test_the_clock_waits_for_the_work_and_not_for_what_was_there_before():
    machine = Machine()
    machine.call("before", 100.0)()
    run = machine.call("timed", 5.0)
    assert why.seconds(run, machine.wait, 1, machine.clock) == pytest.approx(5.001)
    assert why.seconds(run, machine.wait, 10, machine.clock) == pytest.approx(5.0001)


def test_functions_run_twice_before_any_time_counts_and_then_take_turns():
    machine = Machine()
    runs = {name: machine.call(name, takes) for name, takes in (("a", 1.0), ("b", 3.0))}
    found = why.rounds(runs, 3, machine.wait, machine.clock)
    assert "".join(machine.calls) == "aabb" + "ab" + "ba" + "ab"
    assert [list(times) for times in found] == [["a", "b"]] * 3
    assert why.typical(found, "b") == pytest.approx(3.001)


def test_a_short_call_is_repeated_until_it_is_long_beside_the_clock():
    ticks, calls = itertools.count(), []
    found = why.rounds({"a": lambda: calls.append(0)}, 1, lambda: None, lambda: next(ticks) * 1e-5)
    assert len(calls) == 2 + 51
    assert found[0]["a"] == pytest.approx(1e-5 / 51)


def test_a_gpu_is_waited_for_and_the_cpu_is_not(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    why.waiter(CPU)()
    assert waited == []
    why.waiter(torch.device("cuda"))()
    assert waited == [torch.device("cuda")]


def test_a_ratio_is_taken_within_a_round():
    found = [{"a": 2.0 * pace, "b": 1.0 * pace} for pace in (1, 10, 100)]
    assert why.ratios(found, "a", "b") == [2.0] * 3
    assert why.typical(found, "a") == 20


# Ceilings and the prediction

CEILINGS = why.Ceilings(bandwidth=100.0, fresh=50.0, rate=1000.0, overhead=0.25)


@pytest.mark.parametrize(
    ("kernels", "parts", "seconds", "bound"),
    [
        ([(300, 200, 10)], (5, 0.01, 0.25), 5.25, "memory"),
        ([(10, 10, 5000)], (0.2, 5, 0.25), 5.25, "compute"),
        ([(4, 4, 2)] * 10, (0.8, 0.02, 2.5), 3.3, "overhead"),
        ([(50, 50, 3000), (300, 100, 0)], (5, 3, 0.5), 5.5, "memory"),
        ([], (0, 0, 0), 0, "memory"),
    ],
)
def test_the_slower_of_bytes_and_operations_counts_and_calls_come_on_top(kernels, parts, seconds, bound):
    kernels = [why.Kernel("any", *each) for each in kernels]
    found = why.predict(kernels, CEILINGS)
    assert (found.memory, found.compute, found.overhead) == pytest.approx(parts)
    assert found.seconds == pytest.approx(seconds)
    assert found.bound == bound
    assert CEILINGS.ridge == 10


def test_ceilings_follow_from_bytes_operations_and_times():
    gauge = why.Gauge(2**16, CPU)
    times = dict(zip(gauge.runs, (1.0, 2.0, 4.0, 8.0), strict=True))
    found = gauge.read([times, {name: 100 * time for name, time in times.items()}, times])
    assert found == why.Ceilings(2 * 2**16, 2**16, 2 * 1024**3 / 4, 8.0)
    kernels = {name: counted(run)[0] for name, run in gauge.runs.items()}
    assert [name for name, *_ in kernels.values()] == ["copy_", "clone", "mm", "relu"]
    assert sum(kernels["ceiling there"][1:3]) == sum(kernels["ceiling fresh"][1:3]) == gauge.copied
    assert kernels["ceiling product"][3] == gauge.computed


def test_all_forms_of_a_chain_compute_the_same():
    for forms in why.chains(why.images(2**17, CPU)).values():
        eager, *others = [form.function(*form.tensors).clone() for form in forms[:3]]
        for other in others:
            torch.testing.assert_close(other, eager)
    found = {each.name: each.function(*each.tensors) for each in why.cases(2**16, CPU)}
    torch.testing.assert_close(found["addcmul"], found["x * s + r"])
    torch.testing.assert_close(found["SDPA"], found["attention"])


def test_by_hand_memory_is_saved_or_kernels_are():
    found = {each.name: why.count(each.function, *each.tensors) for each in why.cases(2**16, CPU)}
    passes = {name: round(sum(each.moved for each in kernels) / 2**16, 1) for name, kernels in found.items()}
    assert passes["copy"] == 2
    assert passes["f1"] == passes["f1 in place"] == passes["f1 out="] == 4
    assert passes["f2"] == passes["f2 in place"] == passes["f2 out="] == 7
    assert (passes["x * s + r"], passes["addcmul"]) == (5, 3)
    assert [len(found[name]) for name in ("attention", "SDPA", "softmax", "product")] == [4, 1, 1, 1]
    assert passes["SDPA"] * 6 < passes["attention"]


def test_nan_stays_nan_in_every_form_of_f1():
    x = torch.tensor([math.nan, -1.0])
    for found in (why.f1(x), why.f1_in_place(x), why.f1_out(x, torch.empty(2))):
        assert found.isnan().tolist() == [True, False]


# What comes out


def point(name="f", moved=100, flops=50, seconds=2.0):
    kernels = [why.Kernel("any", moved, 0, flops)]
    return why.Point(name, kernels, why.predict(kernels, CEILINGS), seconds)


def test_the_report_tells_what_was_predicted_and_measured():
    made = [
        point(moved=4_000_000, flops=2_000_000, seconds=80_000.0),
        why.Point("view", [], why.predict([], CEILINGS), 1),
    ]
    first, second = why.report(made).splitlines()[1:]
    assert first.split() == ["f", "1", "4.0", "0.50", "40000250.000", "80000000.000", "2.00", "memory"]
    assert second.split() == ["view", "0", "0.0", "0.00", "0.000", "1000.000", "nan", "-"]


def test_the_figure_has_a_roof_with_the_ridge_and_a_point_for_each_function_that_computes():
    import matplotlib.pyplot as plt

    figure = why.draw([point(), point("copy", flops=0), point("g", flops=5000)], CEILINGS)
    (axes,) = figure.axes
    roof, *points = axes.get_lines()
    assert [line.get_label() for line in points] == ["f", "g"]
    assert (points[0].get_xdata()[0], points[0].get_ydata()[0]) == pytest.approx((0.5, 25e-9))
    assert roof.get_xdata()[1] == CEILINGS.ridge
    assert list(roof.get_ydata()) == pytest.approx([0.25 * 100e-9, 1000e-9, 1000e-9])
    assert "FLOP/B" in axes.get_xlabel()
    plt.close(figure)


def test_the_cache_is_the_largest_one_that_the_system_tells_of(tmp_path):
    for place, size in enumerate(("48K", "2048K", "260M", "odd")):
        (tmp_path / f"cache/index{place}").mkdir(parents=True)
        (tmp_path / f"cache/index{place}/size").write_text(size + "\n")
    assert why.cache_size(tmp_path) == 260 * 2**20
    assert why.cache_size(tmp_path / "none") is None


@pytest.mark.parametrize(("cached", "size", "warned"), [(2**20, 2**20, True), (2**20, 2**21, False), (None, 1, False)])
def test_a_size_that_a_cache_holds_is_told_of(cached, size, warned, monkeypatch):
    monkeypatch.setitem(INSIDE, "cache_size", lambda: cached)
    assert ("a cache holds 1 MB" in why.opening(size, CPU, torch.float32)) is warned


# The command line

MODEL = """
import torch
from helper import three

def block(x, y=0):
    return torch.relu(x) * three + y

def fails(x):
    raise KeyError("first line\\nsecond line")

class Net(torch.nn.Module):
    def forward(self, x):
        return x @ x.mT

net = Net()
number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a file of functions, and broken ones."""
    (tmp_path / "helper.py").write_text("three = 3.0\n")
    (tmp_path / "model_of_mine.py").write_text(MODEL)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "ends.py").write_text("raise SystemExit('no')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules), [*sys.path]
    yield tmp_path
    assert sys.path == before[1]
    for name in set(sys.modules) - before[0]:
        if name in ("helper", "model_of_mine") or name.startswith("roofline_"):
            del sys.modules[name]


def run(*arguments):
    """The exit code of the program; `-1` is an option to argparse."""
    given = [] if "--device" in arguments else ["--device", "cpu"]
    try:
        return why.main([*arguments, *given])
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "abacus"], "this machine has no abacus: it has cpu"),
        (["--device", ""], "this machine has no : it has cpu"),
        (["--size", "big"], "--size is a number of MB from 0.01 to 65536, not 'big'"),
        (["--size", ""], "not ''"),
        (["--size", "0"], "not '0'"),
        (["--size", "-1"], "--size"),
        (["--size", "nan"], "not 'nan'"),
        (["--size", "1e3"], "not '1e3'"),
        (["--size", "٣"], "not '٣'"),
        (["--size", "99999"], "not '99999'"),
        (["--threads", "0"], "--threads is a whole number from 1 to"),
        (["--threads", "99999"], "not '99999'"),
        (["--rounds", "0"], "--rounds is a whole number from 1 to 1000, not '0'"),
        (["--rounds", ""], "not ''"),
        (["--dtype", "int64"], "--dtype is float32, float64, float16, bfloat16, not 'int64'"),
        (["--function", "block"], "--function is file.py:name or module:name, not 'block'"),
        (["--function", ""], "--function is file.py:name or module:name, not ''"),
        (["--function", "model_of_mine.py:"], "not 'model_of_mine.py:'"),
        (["--function", "missing.py:f"], "there is no file missing.py"),
        (["--function", "missing_module:f"], "missing_module cannot be imported: ModuleNotFoundError: No module"),
        (["--function", "broken.py:f"], "broken.py cannot be imported: SyntaxError: "),
        (["--function", "ends.py:f"], "ends.py cannot be imported: SystemExit: no"),
        (["--function", "model_of_mine.py:blok"], "model_of_mine.py has no blok"),
        (["--function", "model_of_mine.py:number"], "number in model_of_mine.py is no function"),
        (["--function", "model_of_mine.py:fails", "--shape", "2"], "fails for a tensor of (2,): KeyError: 'first line"),
        (
            ["--function", "math:sin", "--shape", "2", "--shape", "2,3"],
            "math:sin fails for a tensor of (2,), (2, 3): T",
        ),
        (["--function", "torch:relu", "--shape", "2,x"], "each part of --shape is a whole number from 1 to 10"),
        (["--function", "torch:relu", "--shape", ""], "not ''"),
        (["--function", "torch:relu", "--shape", "99999999,99999999"], "more than cpu has free"),
        (["--shape", "2"], "--shape is for --function"),
        (["--plot", "roof.xyz"], "roof.xyz does not end in .pdf, .png, .svg"),
        (["--plot", "nowhere/roof.png"], "there is no folder nowhere"),
        (["--record", "speed.txt"], "speed.txt does not end in .json"),
        (["--record", "."], ". is a folder"),
        (["--record", "it.json", "--plot", "it.png"], "--record goes without --function and --plot"),
        (["--record", "it.json", "--size", "0.05"], "the smallest size of a record is 0.0625 MB"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_sentence(arguments, said, here, monkeypatch, capsys):
    def measured(*_):
        raise AssertionError("bad input is found before anything is measured")

    for name in ("rounds", "fresh_process"):
        monkeypatch.setitem(INSIDE, name, measured)
    before = sorted(here.rglob("*"))
    code = run(*arguments)
    out, err = capsys.readouterr()
    sentences = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert (code, out, len(sentences)) == (2, "", 1), err
    assert sentences[0].startswith("why.py: ")
    assert said in sentences[0]
    assert sorted(here.rglob("*")) == before


QUICK = ["--size", "0.0625", "--rounds", "1"]


def test_a_function_in_a_file_is_placed_and_its_kernels_are_listed(here, capsys):
    given = ["--function", "model_of_mine.py:block", "--shape", "1000,250", "--shape", "250"]
    assert run(*QUICK, *given, "--plot", "roof.svg") == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line.split() for line in out.splitlines()]
    assert ["block", "3", "6.0", "0.12"] in [line[:4] for line in lines]
    assert ["relu", "1", "1.000", "1.000", "0.250"] in lines
    assert ["add", "1", "1.001", "1.000", "0.250"] in lines
    assert out.endswith("6.0 MB in all; one kernel for all would move 2.0 MB\n")
    assert "block" in (here / "roof.svg").read_text("utf-8")


@pytest.mark.parametrize("function", ["model_of_mine:net", "model_of_mine.py:net.forward"])
@pytest.mark.usefixtures("here")
def test_a_module_and_a_method_are_functions_as_well(function, capsys):
    assert run(*QUICK, "--function", function, "--dtype", "float64") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["bmm", "1", "0.131", "0.131", "0.524"] in lines  # 64 products of 16 x 16


def test_the_functions_of_the_program_are_placed(capsys):
    before = torch.get_num_threads()
    assert run(*QUICK, "--threads", "1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("cpu, 1 thread, float32, tensors of 0.0625 MB\n")
    assert [line.split("  ")[0] for line in out.splitlines()[-13:]] == [each.name for each in why.cases(1, CPU)]
    assert torch.get_num_threads() == before


# The record


@pytest.fixture
def in_process(monkeypatch, capsys):
    """The processes of a record run in this one: their command lines and environments."""
    asked = []

    def child(command, env, stdout, text, check):
        asked.append((command, env))
        assert command[:2] == [sys.executable, str(PROGRAM)]
        code = why.main(command[2:])
        return SimpleNamespace(returncode=code, stdout=capsys.readouterr().out)

    monkeypatch.setattr(INSIDE["subprocess"], "run", child)
    monkeypatch.setitem(INSIDE, "no_compiler", lambda: "there is none")
    monkeypatch.setattr(INSIDE["platform"], "libc_ver", lambda: ("glibc", "2.36"))
    return asked


def test_a_record_holds_what_bytes_predict_and_what_was_measured(in_process, tmp_path, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    file = tmp_path / "speed.json"
    assert run("--record", str(file), "--size", "0.5", "--rounds", "2", "--threads", "1") == 0
    written = json.loads(file.read_text("utf-8"))
    assert written["versions"]["torch"] == torch.__version__
    assert written["settings"]["sizes"] == [2**16, 2**19]
    assert (written["settings"]["threads"], written["settings"]["rounds"]) == (1, 2)
    assert written["machine"]["device"] == "cpu"
    assert list(written["memory"]) == ["default", "kept"]
    for part in written["memory"].values():
        assert part["left out"] == {"fused": "there is none"}
        assert part["ceilings"]["bandwidth"] > 0
        rows = {(row["example"], row["form"], row["size"]): row for row in part["rows"]}
        assert len(rows) == len(part["rows"]) == 2 * 5 * 2
        for (example, form, size), row in rows.items():
            floor = rows[example, "floor out", size]
            assert row["predicted ratio"] == pytest.approx(row["moved"] / floor["moved"], rel=1e-3)
            assert row["spread"][0] <= row["ratio"] <= row["spread"][1]
            assert row["seconds"] > 0
            assert row["predicted seconds"] > 0
            assert form != "floor out" or row["ratio"] == 1
        assert rows["f1", "f1", 2**19]["predicted ratio"] == 2
        assert rows["f2", "f2", 2**19]["predicted ratio"] == pytest.approx(7 / 3, rel=0.01)
        assert rows["f1", "f1 out=", 2**19]["kernels"] == 2
    (_, default), (_, kept) = in_process
    assert "MALLOC_TRIM_THRESHOLD_" not in default
    assert {name: kept[name] for name in why.KEEP} == written["environment of kept"] == why.KEEP
    assert "PATH" not in os.environ or kept["PATH"] == default["PATH"] == os.environ["PATH"]


def test_what_a_compiler_made_takes_part_as_one_kernel_that_moves_the_least(monkeypatch):
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compiled(function, backend="eager"))
    rows = why.compare(2**16, CPU, torch.float32, CEILINGS, 1, compiled=True)
    fused = {row["example"]: (row["kernels"], row["moved"]) for row in rows if row["form"].endswith("fused")}
    assert fused == {"f1": (1, 2 * 2**16), "f2": (1, 3 * 2**16 + 4 * 64 * 4)}


def test_compiled_functions_and_modules_are_known_as_such():
    net, other = torch.nn.ReLU(), torch.nn.ReLU()
    assert not why.is_compiled(net)
    assert not why.is_compiled(why.f1)
    assert why.is_compiled(torch.compile(net, backend="eager"))
    assert why.is_compiled(torch.compile(why.f1, backend="eager"))
    other.compile(backend="eager")
    assert why.is_compiled(other)
    (kernel,) = why.kernels_of(torch.compile(why.f1, backend="eager"), X)
    assert kernel == why.Kernel("compiled", 48, 48, 24)


def test_without_a_compiler_the_record_says_why(monkeypatch):
    def compiled(function):
        def call(x):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\n\nmore")

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    why.no_compiler.cache_clear()
    assert why.no_compiler() == "RuntimeError: InvalidCxxCompiler: No working C++ compiler found"
    why.no_compiler.cache_clear()


def test_elsewhere_than_glibc_memory_is_not_kept_and_sizes_that_do_not_fit_are_left_out(
    in_process, tmp_path, monkeypatch
):
    def check(needed, device):
        if needed > 2**20:
            raise ValueError("too much")

    monkeypatch.setitem(INSIDE, "check_memory", check)
    monkeypatch.setattr(INSIDE["platform"], "libc_ver", lambda: ("", ""))
    file = tmp_path / "speed.json"
    assert run("--record", str(file), "--size", "0.5", "--rounds", "1") == 0
    written = json.loads(file.read_text("utf-8"))
    assert list(written["memory"]) == ["default"]
    assert "glibc" in written["left out"]["kept"]
    assert written["memory"]["default"]["left out"][f"{2**19} bytes"] == "too much"
    assert {row["size"] for row in written["memory"]["default"]["rows"]} == {2**16}


def test_on_a_gpu_torch_keeps_the_memory_itself(monkeypatch):
    monkeypatch.setitem(INSIDE, "fresh_process", lambda options, kept: {"kept": kept})
    monkeypatch.setitem(INSIDE, "processor", lambda device: "H100")
    made = why.record([], torch.device("cuda"), {})
    assert made["memory"] == {"default": {"kept": False}}
    assert made["left out"] == {"kept": "torch keeps the memory of cuda itself"}


def test_a_process_that_fails_leaves_no_record(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(INSIDE["subprocess"], "run", lambda *_, **__: SimpleNamespace(returncode=2, stdout=""))
    assert run("--record", str(tmp_path / "speed.json")) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "why.py: the process that measures failed: see above\n")
    assert list(tmp_path.iterdir()) == []


# What the page shows


ROOT = PROGRAM.parents[2]
PAGE = (ROOT / "docs/fusion/why.md").read_text("utf-8")
RECORD = json.loads((ROOT / "docs/fusion/why-speed.json").read_text("utf-8"))


def row_of(memory: str, example: str, form: str, size: int) -> dict:
    """What was recorded with memory of either kind, for tensors of so many bytes."""
    rows = RECORD["memory"][memory]["rows"]
    (row,) = [row for row in rows if (row["example"], row["form"], row["size"]) == (example, form, size)]
    return row


def recorded(memory: str, form: str, size: int) -> float:
    """How many times its floor a function took."""
    return row_of(memory, form.split()[0], form, size)["ratio"]


@pytest.mark.parametrize(("form", "eager"), [("f1", 2), ("f2", 7 / 3)])
def test_the_page_shows_the_record(form, eager):
    columns = [(memory, form + fused) for memory in ("default", "kept") for fused in ("", " fused")]
    lines = [
        f"| `{form}` of | eager | fused | eager, kept | fused, kept |",
        "|---|---|---|---|---|",
        f"| by bytes | {eager:.2f} | 1.00 | {eager:.2f} | 1.00 |",
    ]
    for size in RECORD["settings"]["sizes"]:
        amount = f"{size // 2**20} MB" if size >= 2**20 else f"{size // 2**10} KB"
        lines.append(" | ".join([f"| {amount}", *(f"{recorded(*each, size):.2f}" for each in columns)]) + " |")
    table = "\n".join(lines)
    assert table in PAGE, f"the page has to show\n{table}"


def test_the_page_computes_with_the_ceilings_of_the_record():
    assert max(RECORD["settings"]["sizes"]) == 2**29 > RECORD["machine"]["cache"]  # what the bandwidth is measured with
    measured = RECORD["memory"]["kept"]["ceilings"]
    bandwidth, rate, overhead = measured["bandwidth"] / 1e9, measured["rate"] / 1e9, measured["overhead"] * 1e6
    line = f"bandwidth, rate, overhead = {bandwidth:.1f}e9, {rate:.0f}e9, {overhead:.1f}e-6"
    assert line in PAGE, f"the page has to show\n{line}"


def test_the_page_names_the_machine_and_the_versions_of_the_record():
    versions, machine = RECORD["versions"], RECORD["machine"]
    line = (
        f"Recorded on {RECORD['date']} on one thread of an {machine['processor']} with a cache of "
        f"{machine['cache'] // 2**20} MB, Python {versions['python']}, torch {versions['torch']}: medians of the "
        f"ratios within {RECORD['settings']['rounds']} rounds."
    )
    assert line in PAGE, f"the page has to show\n{line}"


def test_bytes_predict_what_fusion_saves_within_15_percent_where_memory_is_kept():
    saved = [recorded("kept", form, 2**29) / recorded("kept", f"{form} fused", 2**29) for form in ("f1", "f2")]
    assert saved == pytest.approx([2, 7 / 3], rel=0.15)
    line = f"eager takes {saved[0]:.1f} times as long as fused for `f1`, and {saved[1]:.1f} times for `f2`"
    assert line in PAGE, f"the page has to show\n{line}"


def test_the_text_says_what_the_record_holds():
    for memory in ("default", "kept"):
        for form in ("f1", "f2"):
            assert recorded(memory, f"{form} fused", 2**16) > recorded(memory, form, 2**16)
        floor = row_of(memory, "f1", "floor out", 2**16)
        assert floor["predicted seconds"] / floor["seconds"] == pytest.approx(6, abs=0.5)
    for form, results in (("f1", 2), ("f2", 3), ("f1 fused", 1), ("f2 fused", 1)):
        fresh = (recorded("default", form, 2**29) - recorded("kept", form, 2**29)) / results
        assert 1 < fresh < 2.05, (form, fresh)
