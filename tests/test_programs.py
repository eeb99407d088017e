"""Every program runs alone, says what is wrong in one sentence, and has a chapter."""

from __future__ import annotations

import ast
import json
import os
import runpy
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
import torch
from fresh import LOAD_THE_COMPILER

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted((ROOT / "snippets").rglob("*.py"))
CHAPTERS = sorted(set((ROOT / "docs").glob("*/*.md")) - set((ROOT / "docs/reference").glob("*.md")))
ALLOWED = {"torch", "torchvision", "numpy", "matplotlib", "sklearn", "skimage", *sys.stdlib_module_names}
ALLOWED |= {"PIL"}  # Pillow comes with torchvision
BESIDE = {"fusion/engines.py": {"jax", "onnx", "onnxruntime", "openvino", "triton", "tvm"}}
"""What a program imports as well, where it is installed."""
ACCELERATOR = torch.accelerator.current_accelerator(check_available=True)
DEVICES = ["cpu", ACCELERATOR.type] if ACCELERATOR else ["cpu"]

every_program = pytest.mark.parametrize(
    "program", PROGRAMS, ids=lambda path: path.relative_to(ROOT / "snippets").as_posix()
)


RUN_IN_A_FORK = (
    LOAD_THE_COMPILER
    + """
import gc, json, os, runpy, signal, sys, time, traceback
import matplotlib.pyplot, skimage.data, sklearn.datasets, torchvision

gc.freeze()
loading = time.process_time()
asked, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
for line in asked:
    folder, *sys.argv = json.loads(line)
    if (child := os.fork()) == 0:
        signal.alarm(120)  # one that hangs is ended, and its test fails
        os.chdir(folder)
        os.dup2(os.open(folder + ".out", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(os.open(folder + ".err", os.O_WRONLY | os.O_CREAT), 2)
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    _, status, used = os.wait4(child, 0)
    seconds = loading + used.ru_utime + used.ru_stime
    print(json.dumps([os.waitstatus_to_exitcode(status), seconds]), file=answers, flush=True)
"""
)


@pytest.fixture(scope="module")
def run():
    """Run a program in a folder: its exit code, what it printed, what it complained of, seconds of the processor.

    It runs in a fork of an interpreter that has loaded the libraries, which takes longer than most programs do. The
    seconds hold that as well.
    """
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    command = [sys.executable, "-W", "error", "-c", RUN_IN_A_FORK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as warm:

        def ask(folder, *arguments):
            warm.stdin.write(json.dumps([str(folder), *map(str, arguments)]) + "\n")
            warm.stdin.flush()
            code, seconds = json.loads(warm.stdout.readline())
            out, err = (Path(f"{folder}.{end}").read_text("utf-8") for end in ("out", "err"))
            return code, out, err, seconds

        yield ask
        warm.stdin.close()


@every_program
@pytest.mark.parametrize("device", DEVICES)
def test_runs_without_a_warning_in_under_20_seconds(program, device, run, tmp_path):
    """Seconds of the processor, as other tests share it. Two cores that are free need fewer by the clock."""
    code, out, err, seconds = run(tmp_path, program, "--device", device)
    assert (code, err) == (0, "")
    assert out
    assert seconds < 20
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_python_runs_a_program(tmp_path):
    command = [sys.executable, "-W", "error", ROOT / "snippets" / "tensors" / "rank.py", "--device", "cpu"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout


IMPORT_EACH = """
import contextlib, io, json, os, runpy, sys, time
import torch

for program in sys.argv[1:]:
    if os.fork() == 0:  # a fresh process for each, in which torch is there already
        before, start = set(sys.modules), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            runpy.run_path(program)
        print(json.dumps([program, out.getvalue(), time.perf_counter() - start, sorted(set(sys.modules) - before)]))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def imported():
    """What importing each program prints, the seconds it takes beyond torch, and the modules it brings."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    command = [sys.executable, "-W", "error", "-c", IMPORT_EACH, *map(str, PROGRAMS)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {Path(program): measured for program, *measured in map(json.loads, lines)}


@every_program
def test_importing_it_is_light(program, imported):
    printed, seconds, modules = imported[program]
    assert printed == ""
    assert seconds < 1
    assert "matplotlib" not in modules


@every_program
def test_help_names_the_device(program, capsys):
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(program))["main"](["--help"])
    assert ended.value.code == 0
    assert "auto|cpu|cuda|mps" in capsys.readouterr().out


@every_program
@pytest.mark.parametrize(
    ("arguments", "named"), [(["--device", "tpu"], "tpu"), (["missing.pt"], "missing")], ids=["no device", "no file"]
)
def test_bad_input_ends_with_2_and_one_sentence(program, arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = runpy.run_path(str(program))["main"](arguments)
    except SystemExit as ended:  # a program that takes no file: argparse shows the usage, then the sentence
        code = ended.code
    out, err = capsys.readouterr()
    sentences = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert (code, out, len(sentences)) == (2, "", 1), err
    assert sentences[0].startswith(f"{program.name}: ") or err.startswith("usage:")
    assert named in sentences[0]
    assert list(tmp_path.iterdir()) == []


@every_program
def test_imports_nothing_but_the_standard_library_and_what_readers_have(program):
    roots = set()
    for node in ast.walk(ast.parse(program.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add("." * node.level or node.module.partition(".")[0])
    assert roots <= ALLOWED | BESIDE.get(program.relative_to(ROOT / "snippets").as_posix(), set())


@every_program
def test_hides_no_module(program):
    """A program run as a file has its folder first on `sys.path`: a `numpy.py` there breaks all its neighbours."""
    assert program.stem not in sys.builtin_module_names
    assert PathFinder.find_spec(program.stem) is None


def test_what_programs_have_in_common_is_the_same_in_all():
    """A program is pasted whole, so each holds `device_from` for itself."""
    functions = {
        ast.unparse(node)
        for program in PROGRAMS
        for node in ast.parse(program.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "device_from"
    }
    assert len(functions) == 1


@every_program
def test_is_written_in_cells_and_opens_with_a_docstring(program):
    text = program.read_text("utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    assert text.count("\n# %%\n") >= 3
    assert '\n# %%\nif __name__ == "__main__":\n' in text
    assert ast.get_docstring(ast.parse(text))


def public(tree: ast.Module):
    """The functions, classes and methods that are made for others."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for part in node.body:
                if isinstance(part, (ast.FunctionDef, ast.ClassDef)) and not part.name.startswith("_"):
                    yield part


@every_program
def test_public_names_have_docstrings_and_annotations(program):
    bare = []
    for node in public(ast.parse(program.read_text("utf-8"))):
        if not ast.get_docstring(node):
            bare.append(f"{node.name}: docstring")
        if isinstance(node, ast.FunctionDef):
            a = node.args
            arguments = filter(None, [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg])
            bare += [f"{node.name}({each.arg})" for each in arguments if not each.annotation and each.arg != "self"]
            bare += [] if node.returns else [f"{node.name} ->"]
    assert bare == []


def paths(files, folder):
    return {file.relative_to(ROOT / folder).with_suffix("").as_posix() for file in files}


def test_every_program_has_a_chapter_and_every_chapter_a_program():
    assert PROGRAMS
    assert paths(PROGRAMS, "snippets") == paths(CHAPTERS, "docs")
