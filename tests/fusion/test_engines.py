"""Each engine here makes what the program says of it and computes what PyTorch does; the page shows a record."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "snippets/fusion/engines.py"
PAGE = ROOT / "docs/fusion/engines.md"
RECORD = ROOT / "docs/fusion/engines-speed.json"
CPU = torch.device("cpu")


def load_program():
    spec = importlib.util.spec_from_file_location("program_engines", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["program_engines"] = module
    spec.loader.exec_module(module)
    return module


engines = load_program()

FUSED = {"f1": (1, 2), "f2": (1, 3)}
UNFUSED = {"f1": (2, 4), "f2": (3, 7)}
COUNTS = dict.fromkeys(engines.ENGINES, FUSED) | dict.fromkeys(("eager", "torchscript", "onnxruntime"), UNFUSED)
"""Kernels and passes of each engine."""
LOSES_NAN = {"tvm", "openvino", "triton"}


# What engines make


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """What the program finds here. Its process is its own: a compiler is no good parent for forks."""
    file = tmp_path_factory.mktemp("engines") / "it.json"
    command = [sys.executable, "-W", "error", PROGRAM, "--rounds", "2", "--device", "cpu"]
    ran = subprocess.run([*command, "--record", file], capture_output=True, text=True, timeout=600)
    assert (ran.returncode, ran.stderr) == (0, "")
    return json.loads(file.read_text("utf-8")) | {"printed": ran.stdout}


def row_of(found, engine, function, size):
    return next(
        row for row in found["rows"] if (row["engine"], row["function"], row["size"]) == (engine, function, size)
    )


def without_nan(function):
    """What comes out first if `relu` makes 0 of a nan."""
    model, (x, *others) = engines.example(function, 4, CPU)
    return float(model(x.nan_to_num(0), *others)[0, 0, 0, 0])


@pytest.mark.parametrize("function", ["f1", "f2"])
@pytest.mark.parametrize("engine", engines.ENGINES)
def test_an_engine_fuses_what_is_said_of_it_and_computes_what_pytorch_does(engine, function, recorded):
    row = row_of(recorded, engine, function, 4)
    if row.get("missing", "").startswith(("not installed", "no compiler")):
        pytest.skip(f"{engine}: {row['missing']}")
    kernels, passes = COUNTS[engine][function]
    assert "missing" not in row
    assert row["kernels"] == kernels
    assert row["passes"] == pytest.approx(passes, rel=0.01)  # f2 reads 1 KB about its channels as well
    assert row["apart"] == 0 if function == "f1" else row["apart"] < 2e-6
    nan, lost = float(row["nan"]), without_nan(function)
    if engine in LOSES_NAN:
        assert nan == pytest.approx(lost, rel=1e-3) or (engine == "triton" and math.isnan(nan))  # before Triton 3.9
    else:
        assert math.isnan(nan)
    assert ("seconds" in row) == (engine != "triton")  # which is interpreted


def test_a_record_tells_what_ran_on_what(recorded):
    assert recorded["versions"]["torch"] == torch.__version__
    assert recorded["settings"]["threads"] == 1
    assert recorded["settings"]["rounds"] == 2
    assert recorded["machine"]["device"] == "cpu"
    for function in ("f1", "f2"):
        row = row_of(recorded, "eager", function, 4)
        assert [*row["ratios"]] == ["eager", "floor new", "floor out"]
        assert row["ratios"]["eager"] > 0
        assert row["spread"][0] <= row["seconds"] <= row["spread"][1]


def test_all_engines_are_reported(recorded):
    for row in recorded["rows"]:
        assert re.search(rf"^{row['engine']}  +{re.escape(row.get('missing', str(row.get('kernels'))))}",
                         recorded["printed"], re.MULTILINE)  # fmt: skip
    assert {row["engine"] for row in recorded["rows"]} == set(engines.ENGINES)


def test_the_program_of_an_engine_is_shown_and_nothing_timed(capsys):
    assert engines.main(["--show", "eager", "--size", "1", "--device", "cpu"]) == 0
    f1, f2 = capsys.readouterr().out.split("# eager, f2")
    assert f1 == "# eager, f1\naten.relu.default\naten.add.Tensor\n\n"
    assert re.findall(r"aten\.(\w+)", f2) == ["relu", "native_batch_norm", "add"]


# Counting


def test_a_kernel_reads_a_tensor_once_and_writes_its_result():
    x, r = torch.ones(2, 1, 64, 64, 64)
    for run, kernels, passes in (
        (lambda: x + r, 1, 3),
        (lambda: x + x, 1, 2),
        (lambda: torch.relu(x).add_(3), 2, 4),
        (lambda: torch.empty_like(x)[:0], 1, 2),
    ):
        found = engines.dispatched(run)
        assert (found.kernels, found.moved / x.nbytes) == (kernels, passes)


HLO = """HloModule jit_f

%fused_computation (p: f32[2,8]) -> f32[2,8] {
  %p = f32[2,8]{1,0} parameter(0)
  ROOT %neg = f32[2,8]{1,0} negate(%p)
}

ENTRY %main.1 (x.1: f32[2,8], w: f32[8]) -> f32[2,8] {
  %x.1 = f32[2,8]{1,0} parameter(0), metadata={op_name="x"}
  %w = f32[8]{0} parameter(1)
  %c = f32[] constant(3)
  %first = f32[8]{0} fusion(%w, %c), kind=kLoop, calls=%fused_computation.1
  ROOT %second = f32[2,8]{1,0} fusion(%x.1, /*index=1*/%first, %x.1), kind=kLoop, calls=%fused_computation
}
"""


def test_kernels_of_hlo_are_those_of_its_entry():
    assert engines.hlo_kernels(HLO) == [4 * (8 + 1 + 8), 4 * (16 + 8 + 16)]


def test_what_is_compared_is_all_but_the_first_number_and_that_one_apart():
    expected = torch.zeros(2, 64, 64, 64)
    expected[0, 0, 0, 0] = math.nan
    off = expected[:1].clone()
    off[0, 63, 63, 63] = -0.5
    assert engines.compare(off, expected)[0] == 0.5
    assert math.isnan(engines.compare(off, expected)[1])
    off[0, 0, 0, 0] = 3
    assert engines.compare(off, expected) == (0.5, 3)
    off[0, 0, 0, 1] = math.nan
    assert math.isnan(engines.compare(off, expected)[0])


def test_a_fused_function_moves_what_its_floors_move():
    for name, passes in (("f1", 2), ("f2", 3)):
        _, inputs = engines.example(name, 1, CPU)
        for floor, run in engines.floors(inputs).items():
            found = engines.dispatched(run)
            assert found.kernels == 1
            seen = passes + (floor == "floor out")  # the mode sees `out` as an input as well
            assert found.moved / inputs[0].nbytes == seen


def test_the_same_seed_makes_the_same_inputs():
    (model, (x, r)), (again, (x2, r2)) = (engines.example("f2", 1, CPU, seed=3) for _ in range(2))
    assert x.isnan().sum() == 1
    assert torch.equal(r, r2)
    assert torch.equal(model(r, x.nan_to_num()), again(r2, x2.nan_to_num()))
    other = engines.example("f2", 1, CPU, seed=4)[1][1]
    assert not torch.equal(r, other)


# Timing


def test_engines_take_turns_and_every_other_round_goes_backwards():
    calls = []

    def timer(name):
        def run(repeats):
            calls.append((name, repeats))
            return {"slow": 1.0, "fast": 0.001}[name]

        return run

    found = engines.rounds({"slow": timer("slow"), "fast": timer("fast")}, 2)
    warm, first, second = calls[:4], calls[4:6], calls[6:]
    assert warm == [("slow", 1), ("fast", 1)] * 2
    assert first == [("slow", 1), ("fast", 3)]
    assert second == first[::-1]
    assert found == [{"slow": 1.0, "fast": 0.001}] * 2


def test_ratios_are_taken_within_a_round(monkeypatch):
    model, inputs = engines.example("f1", 1, CPU)
    row = engines.Row("f1", 1, "jax")
    pace = (1, 10, 100)  # the machine slows down, all alike
    times = {"eager": 4, "floor new": 2, "floor out": 1, "jax": 3}
    monkeypatch.setattr(engines, "rounds", lambda *_: [{k: p * v for k, v in times.items()} for p in pace])
    fused = engines.Fused("", 1, 2, lambda: None)
    engines.time_all([row], {"jax": fused}, model, inputs, 3, str)
    assert row.ratios == {"eager": 0.75, "floor new": 1.5, "floor out": 3}
    assert row.times == [3, 30, 300]


def test_cores_and_threads_are_given_back():
    before = torch.get_num_threads(), engines.cores_here()
    with engines.on_cores(1):
        assert torch.get_num_threads() == 1
        assert engines.cores_here() == 1 or not hasattr(os, "sched_setaffinity")
    assert (torch.get_num_threads(), engines.cores_here()) == before


# What is missing or fails


def failing(model, inputs, threads):
    raise RuntimeError("a long story\nof a compiler")


def test_an_engine_that_fails_stops_no_other(monkeypatch, capsys):
    monkeypatch.setitem(engines.ENGINES, "jax", engines.Engine(failing))
    given = ["--engines", "eager,jax", "--size", "1", "--rounds", "1", "--device", "cpu"]
    assert engines.main(given) == 1
    out = capsys.readouterr().out
    assert out.count("\njax  fails: of a compiler") == 2
    assert len(re.findall(r"\neager +2 +4\.00 +equal", out)) == 1


def test_an_engine_that_is_not_installed_is_reported(monkeypatch, capsys):
    packages = ("here=json", "thing=no_such_module", "other_one")
    monkeypatch.setitem(engines.ENGINES, "jax", engines.Engine(failing, packages))
    assert engines.main(["--engines", "jax", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count("\njax  not installed: pip install thing other_one") == 2


def test_an_engine_that_knows_no_gpu_says_so():
    x = torch.empty(1, 64, 64, 64, device="meta")
    with pytest.raises(engines.Missing, match="not on meta"):
        engines.prepare("tvm", engines.F1(), (x,), 1)


def test_without_a_compiler_inductor_is_missing(monkeypatch):
    class InvalidCxxCompiler(Exception):
        pass

    def compile_it(*_):
        raise InvalidCxxCompiler("No working C++ compiler found")

    monkeypatch.setitem(engines.ENGINES, "inductor", engines.Engine(compile_it))
    with pytest.raises(engines.Missing, match=r"no compiler for C\+\+"):
        engines.prepare("inductor", *engines.example("f1", 1, CPU), 1)


def test_a_process_of_tensorflow_that_ends_says_why(monkeypatch):
    monkeypatch.setattr(engines, "TENSORFLOW", "import sys\nsys.exit('no such\\nsymbol')")
    with pytest.raises(RuntimeError, match="the process of TensorFlow ended: symbol"):
        engines.tensorflow_xla(*engines.example("f2", 1, CPU), 1)


# The command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engines", "eager,xla"], "there is no engine 'xla': take all or eager, torchscript, inductor, "),
        (["--engines", ""], "there is no engine ''"),
        (["--show", "fast"], "there is no engine 'fast'"),
        (["--size", "0"], "--size is a whole number from 1 to 65536, not '0'"),
        (["--size", "1,,2"], "not ''"),
        (["--size", "1.5"], "not '1.5'"),
        (["--size", "\u0663"], "--size is a whole number"),
        (["--rounds", "0"], "--rounds is a whole number from 1 to 1000, not '0'"),
        (["--threads", "0"], "--threads is a whole number from 1 to "),
        (["--threads", "4097"], "not '4097'"),
        (["--seed", "-1"], "--seed"),
        (["--device", "tpu"], "this machine has no tpu: it has cpu"),
        (["--record", "out.txt"], "out.txt does not end in .json"),
        (["--record", "nowhere/out.json"], "there is no folder nowhere"),
        (["--record", "folder.json"], "folder.json is a folder"),
    ],
    ids=" ".join,
)
def test_bad_input_gives_one_sentence(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder.json").mkdir()
    try:
        code = engines.main(arguments)
    except SystemExit as ended:  # "-1" is an option to argparse
        code = ended.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    sentences = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert len(sentences) == 1
    assert sentences[0].startswith("engines.py: ") or err.startswith("usage:")
    assert said in sentences[0]
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


# The record behind the page


def tables(found):
    """The tables of the page: what the engines made, and what it takes at 512 and at 1 MB."""
    made = ["| engine | `f1`: kernels, passes | `f2`: kernels, passes | `relu(nan) + 3` | largest difference |"]
    made += ["|---|---|---|---|---|"]
    for engine in engines.ENGINES:
        f1, f2 = (row_of(found, engine, name, 512) for name in ("f1", "f2"))
        counts = [f"{row['kernels']}, {row['passes']:.0f}" for row in (f1, f2)]
        apart = max(f1["apart"], f2["apart"])
        made.append(f"| {engine} | {counts[0]} | {counts[1]} | {f1['nan']} | {apart:.1g} |")
    spent = ["| engine | `f1` at 512 MB: of eager | floor new | floor out | `f2`: of eager | floor new | floor out |"]
    spent += ["|---|---|---|---|---|---|---|"]
    small = ["| engine | `f1` at 1 MB: of eager | `f2`: of eager |", "|---|---|---|"]
    for engine in engines.ENGINES:
        rows = {(name, size): row_of(found, engine, name, size) for name in ("f1", "f2") for size in (1, 512)}
        if "ratios" not in rows["f1", 512]:
            continue
        cells = [f"{rows[name, 512]['ratios'][beside]:.2f}" for name in ("f1", "f2") for beside in engines.BESIDE]
        spent.append(f"| {engine} | {' | '.join(cells)} |")
        cells = [f"{rows[name, 1]['ratios']['eager']:.1f}" for name in ("f1", "f2")]
        small.append(f"| {engine} | {' | '.join(cells)} |")
    return "\n".join(made), "\n".join(spent), "\n".join(small)


def source(found):
    """The sentence below the tables."""
    versions, machine = found["versions"], found["machine"]
    names = {"jax": "JAX", "tensorflow-cpu": "TensorFlow", "apache-tvm": "TVM", "onnxruntime": "ONNX Runtime"}
    names |= {"openvino": "OpenVINO", "triton": "Triton"}
    told = ", ".join(f"{name} {versions[package]}" for package, name in names.items())
    return (
        f"Recorded on {found['date']} on one of the {machine['cores']} cores of an {machine['processor']}, Python "
        f"{versions['python']}, torch {versions['torch']}, {told}: medians of the ratios within "
        f"{found['settings']['rounds']} rounds."
    )


def plotted(found):
    """The lines that the figure is drawn from."""
    timed = [engine for engine in engines.ENGINES if "ratios" in row_of(found, engine, "f1", 512)]
    both = {
        engine: [row_of(found, engine, name, 512)["ratios"]["floor out"] for name in ("f1", "f2")] for engine in timed
    }
    return "\n".join(f'    "{engine}": ({f1:.2f}, {f2:.2f}),' for engine, (f1, f2) in both.items())


def test_the_page_shows_the_record():
    found, page = json.loads(RECORD.read_text("utf-8")), PAGE.read_text("utf-8")
    for part in (*tables(found), plotted(found), source(found)):
        assert part in page, f"the page has to show\n{part}"


def test_the_page_installs_what_the_project_does():
    group = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["engines"]
    line = re.search(r"^\$ pip install (jax tensorflow.*)$", PAGE.read_text("utf-8"), re.MULTILINE)[1]
    assert line.split() == [re.match(r"[\w-]+", each)[0] for each in group]


def test_the_text_says_what_the_record_holds():
    found = json.loads(RECORD.read_text("utf-8"))
    small, large = (
        {
            (engine, name): row_of(found, engine, name, size).get("ratios")
            for engine in engines.ENGINES
            for name in ("f1", "f2")
        }
        for size in (1, 512)
    )
    for name, passes, gained in (("f1", 2, 0.51), ("f2", 7 / 3, 0.37)):
        assert all(large[engine, name]["eager"] < gained for engine in ("inductor", "jax"))
        assert all(large[engine, name]["floor new"] == pytest.approx(1, abs=0.1) for engine in ("inductor", "jax"))
        assert all(large[engine, name]["floor new"] < 0.6 for engine in ("tensorflow", "tvm", "openvino"))
        assert all(large[engine, name]["floor out"] < 1.3 for engine in ("tensorflow", "tvm", "openvino"))
        eager, script = (row_of(found, engine, name, 512)["spread"] for engine in ("eager", "torchscript"))
        assert script[0] == pytest.approx(eager[0], rel=0.02)
        assert script[1] == pytest.approx(2 * eager[0], rel=0.1)
        assert large["onnxruntime", name]["floor out"] == pytest.approx(passes, rel=0.15)
        assert small["tensorflow", name]["eager"] > 2
        assert small["tensorflow", name]["eager"] / small["tvm", name]["eager"] == pytest.approx(6, rel=0.15)
        assert large["tensorflow", name]["eager"] == pytest.approx(large["tvm", name]["eager"], rel=0.1)
        assert small["onnxruntime", name]["eager"] <= small["inductor", name]["eager"]


def test_the_record_holds_every_engine_and_its_counts():
    found = json.loads(RECORD.read_text("utf-8"))
    assert {row["size"] for row in found["rows"]} == {1, 512}
    for engine in engines.ENGINES:
        for function in ("f1", "f2"):
            row = row_of(found, engine, function, 512)
            kernels, passes = COUNTS[engine][function]
            assert (row["kernels"], round(row["passes"], 2)) == (kernels, passes)
