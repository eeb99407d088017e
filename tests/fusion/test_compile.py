"""The compile doctor finds breaks, guards, kernels and bytes that are known, and whose results are wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tensorproof.needs import has

ROOT = Path(__file__).parents[2]


def load_program():
    spec = importlib.util.spec_from_file_location("program_compile", ROOT / "snippets/fusion/compile.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["program_compile"] = module
    spec.loader.exec_module(module)
    return module


doctor = load_program()
needs_compiler = pytest.mark.skipif(not has("compiler"), reason="needs compiler, which this machine lacks")


@pytest.fixture(scope="module")
def without_compiler():
    """What is found about the broken example where there is no compiler."""
    from torch._inductor import config

    with config.patch({"cpp.cxx": (None, "/nowhere/g++")}):
        more = [[torch.ones(6)], [torch.ones(7)]]
        return doctor.diagnose(doctor.broken, torch.arange(5.0), more=more)


# Counted without a compiler


def test_a_break_is_told_with_the_line_that_causes_it(without_compiler):
    (found,) = without_compiler.breaks
    assert without_compiler.graphs == 2
    assert (Path(found.file).name, found.code) == ("compile.py", "if x.abs().max() > 2:")
    assert Path(found.file).read_text("utf-8").splitlines()[found.line - 1].strip() == found.code
    assert found.reason == "A branch asks for the value of a tensor"


@pytest.mark.parametrize(
    ("file", "place"), [("/a/mine.py", "mine.py:9"), ("/tmp/ipykernel_77/123456.py", "line 9 of a cell")]
)
def test_a_break_is_told_where_a_reader_can_look(file, place):
    assert doctor.Break("A reason", file, 9, "if x > 0:").place == place


def test_a_function_in_one_piece_has_no_break():
    assert doctor.breaks_of(doctor.chain, torch.ones(3)) == (1, [])


def test_a_print_is_a_break_and_is_held_back(capsys):
    def loud(x):
        x = x + 1
        print("loud")
        return x * 2

    graphs, (found,) = doctor.breaks_of(loud, torch.ones(3))
    assert (graphs, found.code) == (2, 'print("loud")')
    assert found.reason.startswith("Failed to trace builtin operator: Dynamo does not know how to trace ")
    assert "`print`" in found.reason
    assert capsys.readouterr() == ("", "")


@needs_compiler
def test_a_break_in_a_loop_leaves_nothing_to_compile_and_is_told():
    def looped(x):
        for _ in range(2):
            x = torch.relu(x) + 3
            print(end="")
        return x

    found = doctor.diagnose(looped, torch.ones(3), rounds=0)
    (told,) = found.breaks
    assert (found.graphs, told.code) == (0, 'print(end="")')
    assert (found.operations, found.kernels, found.bytes) == (4, None, None)
    assert "unknown     kernels and bytes: nothing is compiled" in str(found)
    assert doctor.breaks_of(lambda x: 3, torch.ones(3)) == (0, [])


def test_a_break_in_a_loop_is_told_where_a_function_that_it_calls_is_compiled():
    def looped(x):
        for _ in range(2):
            x = doctor.chain(x)
            print(end="")
        return x

    graphs, (told,) = doctor.breaks_of(looped, torch.ones(3))
    assert (graphs, told.code) == (1, 'print(end="")')


def test_the_second_length_is_compiled_again_and_the_third_is_not(without_compiler):
    assert [(each.call, each.guard) for each in without_compiler.recompiles] == [
        (2, "tensor 'x' size mismatch at index 0. expected 5, actual 6")
    ]
    assert without_compiler.calls == 3


def test_the_guard_of_another_dtype_is_told():
    calls = [[torch.ones(3)], [torch.ones(3)], [torch.ones(3).double()]]
    (found,) = doctor.recompiles_of(doctor.chain, calls)
    assert found.call == 3
    assert "dtype mismatch. expected Float, actual Double" in found.guard


def test_without_a_compiler_the_rest_is_told(without_compiler):
    found = without_compiler
    assert (found.kernels, found.bytes, found.speed, found.agreement) == (None,) * 4
    (why,) = found.untold
    assert why.startswith("kernels, bytes, speed and results: InvalidCxxCompiler: No working C++ compiler found")
    assert "unknown     kernels" in str(found)
    assert "break at compile.py:" in str(found)


@pytest.mark.parametrize(
    ("function", "operations", "moved"),
    [
        (lambda x: torch.relu(x) + 3, 2, 4),
        (lambda x: x.T.reshape(-1)[:0], 1, 2),  # a transpose moves nothing, to flatten it copies
        (lambda x: x.relu_().add_(3), 2, 4),  # read and written, be it in one place
        (lambda x: torch.empty_like(x), 0, 0),
        (lambda x: x + x, 1, 2),  # what is passed twice is read once
    ],
    ids=["chain", "views", "in place", "empty", "twice"],
)
def test_eager_operations_and_their_bytes_are_counted(function, operations, moved):
    x = torch.ones(10, 20)
    with doctor.Traffic() as found:
        function(x)
    assert (found.operations, found.bytes) == (operations, moved * x.nbytes)


def test_what_is_expanded_is_in_memory_once():
    assert doctor.size_of(torch.ones(1).expand(1000)) == 4
    assert doctor.size_of(torch.ones(1000)[:10]) == 40


def test_kernels_are_counted_where_they_are_called():
    source = """
cpp_fused_add_0 = async_compile.cpp_pybinding(['const float*'], r'''
    cpp_fused_nothing(in_ptr0)
''')
    def call(self, args):
        buf0 = empty_strided_cpu((64, ), (1, ), torch.float32)
        cpp_fused_add_0(arg0_1, buf0)
        extern_kernels.mm(buf0, arg1_1, out=buf1)
        buf2 = extern_kernels.convolution(buf1, stride=(1, 1))
        triton_poi_fused_relu_1.run(buf2, 64, stream=stream0)
        buf3 = torch.ops.aten.sort.stable(buf2)
        assert_size_stride(buf3, (64, ), (1, ))
"""
    assert doctor.kernels_in(source) == 5


# Built


@pytest.fixture(scope="module")
def built():
    return doctor.build(doctor.chain, torch.randn(100, 100))


@needs_compiler
def test_a_chain_is_one_kernel_that_moves_what_it_must(built):
    assert (built.kernels, built.bytes) == (1, 2 * 40_000)


@needs_compiler
def test_compiled_code_agrees(built):
    found = doctor.agreement(doctor.chain, built.function, torch.randn(100, 100))
    assert (found.close, found.equal) == (True, True)
    assert found.eager == found.compiled < 1e-6


@needs_compiler
def test_the_whole_diagnosis(capsys):
    found = doctor.diagnose(doctor.chain, torch.randn(100, 100), rounds=1)
    assert (found.graphs, found.breaks, found.recompiles, found.untold) == (1, (), (), ())
    assert (found.operations, found.eager_bytes, found.bytes, found.least_bytes) == (2, 160_000, 80_000, 80_000)
    assert found.speed.eager > 0 < found.speed.floor
    assert found.agreement.close
    lines = str(found).splitlines()
    assert "kernels     1 for 2 operations" in lines
    assert "moved       80.0 KB, eager 160.0 KB, at least 80.0 KB" in lines
    assert capsys.readouterr() == ("", "")


# Results


def test_a_nan_that_is_lost_is_a_disagreement():
    x = torch.tensor([1.0, float("nan")])
    assert doctor.agreement(torch.relu, torch.relu, x).equal
    assert not doctor.agreement(torch.relu, lambda x: torch.relu(x).nan_to_num(0), x).close


@pytest.mark.parametrize(("apart", "close"), [(1e-7, True), (1e-3, False)])
def test_the_tolerance_is_that_of_the_dtype(apart, close):
    x = torch.ones(5)
    assert doctor.agreement(torch.abs, lambda x: x * (1 + 2 * apart), x).close == close
    assert doctor.agreement(torch.abs, lambda x: x * (1 + apart * 1e4), x.bfloat16()).close == close


def test_another_dtype_or_shape_is_a_disagreement():
    x = torch.ones(5)
    assert not doctor.agreement(torch.abs, lambda x: x.double(), x).close
    x = torch.ones(1)
    assert not doctor.agreement(torch.abs, lambda x: x.sum(), x).close


def test_float64_tells_whose_error_is_larger():
    def twice(x):
        return x + 1 + 1

    x = torch.full((4,), 256.0).bfloat16()
    found = doctor.agreement(twice, lambda x: twice(x.float()).bfloat16(), x)
    assert (found.eager, found.compiled, found.equal) == (2, 0, False)
    assert "eager 2.0e+00, compiled 0.0e+00" in "\n".join(doctor.agreement_lines(found))


def test_a_module_is_doubled_and_stays_as_it_is():
    net = nn.Linear(3, 2)
    found = doctor.agreement(net, net, torch.ones(4, 3))
    assert found.eager is not None
    assert net.weight.dtype == torch.float32
    assert doctor.agreement(lambda x: net(x), net, torch.ones(4, 3)).eager is None


def test_random_results_are_recognised():
    assert doctor.draws(lambda x: nn.functional.dropout(x), torch.ones(64))
    assert not doctor.draws(torch.relu, torch.tensor([1.0, float("nan")]))
    state = torch.get_rng_state()
    doctor.draws(torch.rand_like, torch.ones(3))
    assert torch.get_rng_state().equal(state)


def test_a_function_that_changes_its_input_is_refused():
    x = torch.ones(3)
    with pytest.raises(ValueError, match="changes its inputs"):
        doctor.diagnose(lambda x: x.add_(1), x)
    assert x.equal(torch.ones(3))


# The clock


def test_ratios_are_taken_within_a_round():
    time, pace = 0.0, iter([1, 1, 1, 100, 100, 100, 10, 10, 10])
    takes = {"eager": 6, "built": 2}

    def clock():
        return time

    def spend(name):
        nonlocal time
        time += takes[name]

    def count_one(call, count, device, clock=None):
        if clock is None:  # how many calls make a round
            return 1.0
        before = time
        call()
        return (time - before or 1) * next(pace)

    original, doctor.seconds = doctor.seconds, count_one
    try:
        found = doctor.speed(lambda x: spend("eager"), lambda x: spend("built"), [torch.ones(2)], 16, 3, clock)
    finally:
        doctor.seconds = original
    assert (found.eager, found.floor) == (3, 2)


def test_the_time_of_one_call_is_told():
    ticks = iter([10.0, 16.0])
    calls = []
    assert doctor.seconds(lambda: calls.append(1), 3, torch.device("cpu"), lambda: next(ticks)) == 2
    assert len(calls) == 3


# The command line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    (folder / "mine.py").write_text(
        "import torch\nnumber = 3\ndef add(x, y):\n    return x + y\n"
        "def change(x):\n    return x.add_(1)\ndef shout(x):\n    print('out')\n    return x\n"
    )
    (folder / "faulty.py").write_text("raise KeyError('no\\nway')\n")
    (folder / "leaves.py").write_text("raise SystemExit(3)\n")
    (folder / "notes.txt").write_text("text")
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--function", "mine.py"], "--function is file.py:name, not 'mine.py'"),
        (["--function", "none.py:add"], "none.py is no file"),
        (["--function", "notes.txt:add"], "notes.txt does not end in .py"),
        (["--function", "faulty.py:add"], "faulty.py fails: "),
        (["--function", "leaves.py:add"], "leaves.py fails: 3"),
        (["--function", "mine.py:sub"], "mine.py has no function sub"),
        (["--function", "mine.py:number"], "mine.py has no function number"),
        (["--function", "mine.py:add"], "it fails: add() missing 1 required positional argument: 'y'"),
        (["--function", "mine.py:add", "--shape", "2,3+4"], "it fails: The size of tensor a (3) must match"),
        (["--function", "mine.py:change"], "the function changes its inputs"),
        (["--function", "mine.py:add", "--shape", "2,0"], "--shape is sizes like 64,64 or 8,3+3, not '2,0'"),
        (["--function", "mine.py:add", "--shape", "x"], "--shape is sizes"),
        (["--shape", "2,3"], "--shape goes with --function"),
        (["--dtype", "int8"], "--dtype is one of float32, float64, float16, bfloat16, not int8"),
        (["--device", "tpu"], "this machine has no tpu"),
        (["--threads", "0"], "--threads is a whole number from 1 to 1024, not '0'"),
        (["--rounds", "-1"], "--rounds is a whole number from 0 to 1000, not '-1'"),
        (["--rounds", "1.5"], "--rounds is a whole number from 0 to 1000"),
        (["--seed", "\u0663"], "--seed is a whole number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_sentence(arguments, said, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before, threads = sorted(folder.rglob("*")), torch.get_num_threads()
    given = [] if "--device" in arguments else ["--device", "cpu"]
    try:
        code = doctor.main([*given, *arguments])
    except SystemExit as ended:  # "-1" is an option to argparse
        code = ended.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    sentences = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert len(sentences) == 1
    assert said in sentences[0]
    assert (sorted(folder.rglob("*")), torch.get_num_threads()) == (before, threads)


@needs_compiler
def test_a_function_of_a_file_is_diagnosed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    given = ["--device", "cpu", "--rounds", "0", "--threads", "1", "--dtype", "bfloat16"]
    shapes = ["--shape", "8,32+32", "--shape", "16,32+32"]
    assert doctor.main([*given, "--function", "mine.py:add", *shapes]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[:3] == [
        "graphs      1",
        "recompiles  1 in 2 calls",
        "            call 2: tensor 'x' size mismatch at index 0. expected 8, actual 16",
    ]
    assert "moved       1.1 KB, eager 1.1 KB, at least 1.1 KB" in out  # 2 x 8 x 32 and 32 of two bytes
    assert "results     agree" in out
    assert "speed" not in out
