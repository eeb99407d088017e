"""Fresh interpreters for code that leaves the book: a new one, and copies of one that has torch loaded already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tensorproof.session import OURS, Outcome, environment

PRINT_WARNINGS = """
import sys
import warnings


def show(message, category, *_, **__):
    print(f"{category.__name__}: {message}")


warnings.showwarning = show
"""
"""What a page does to warnings, as a `sitecustomize.py`: they are printed, without file and line."""

WARM = """
import json, multiprocessing, os, sys, tempfile
import matplotlib.pyplot, skimage.data, sklearn.datasets, torch, torch.utils.data

from tensorproof.interpreter import Interpreter

sys.path.remove(sys.argv[1])
for line in sys.stdin:
    if os.fork():
        os.wait()
        continue
    answers = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        interpreter = Interpreter("program.py", [])
        interpreter.main.__dict__.clear()
        interpreter.main.__dict__["__name__"] = "__main__"
        answer = interpreter.run({"source": json.loads(line), "line": 1, "needs": [], "check": None})
        print(json.dumps(answer), file=answers, flush=True)
        os.chdir("/")
    os._exit(0)
"""


class WarmInterpreter:
    """Runs each program in a fork of an interpreter that has imported the libraries and holds no name of them."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", WARM, OURS]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        )

    def run(self, program: str) -> Outcome:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(program) + "\n")
        self.process.stdin.flush()
        return Outcome.of(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        self.process.communicate()


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a reader, who has no part of this project; warnings are printed as on a page."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PRINT_WARNINGS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON", "MPL"))}
    kept.pop("DISPLAY", None)  # else matplotlib says that it cannot show what it draws
    return kept | {"PYTHONPATH": str(folder), "PYTHONUTF8": "1", "COLUMNS": "80"}


def run_file(program: str, folder: Path) -> Outcome:
    """`python page.py` in an empty folder."""
    (folder / "empty").mkdir()
    (folder / "page.py").write_text(program, "utf-8")
    environment = surroundings(folder / "site") | {"MPLBACKEND": "agg"}
    command = [sys.executable, "../page.py"]
    run = subprocess.run(command, cwd=folder / "empty", env=environment, capture_output=True, encoding="utf-8")
    error = run.stderr.strip().splitlines()[-1] if run.returncode else ""
    return Outcome(printed=run.stdout, errors=run.stderr, error=error, traceback=run.stderr)


def run_notebook(text: str, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook as Jupyter does, in an empty folder and a kernel of its own."""
    (folder / "empty").mkdir()
    made = nbformat.reads(text, as_version=4)
    environment = surroundings(folder / "site") | {"IPYTHONDIR": str(folder / "ipython")}
    resources = {"metadata": {"path": str(folder / "empty")}}
    return NotebookClient(made, timeout=120, resources=resources).execute(env=environment)
