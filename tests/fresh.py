"""Fresh interpreters for code that leaves the book: a new one, and forks of one that has torch loaded already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from tensorproof.needs import EXPRESSIONS
from tensorproof.session import OURS, Outcome, environment

Tree = dict[str, tuple[list[str], "Tree"]]

PRINT_WARNINGS = """
import sys
import warnings


def show(message, category, *_, **__):
    print(f"{category.__name__}: {message}")


warnings.showwarning = show
"""
"""What a page does to warnings, as a `sitecustomize.py`: they are printed, without file and line."""

LOAD_THE_COMPILER = f"""
import os, shutil
import torch._dynamo.testing, torch._inductor.codecache, torch._inductor.codegen.cpp, torch._inductor.compile_fx

if not torch.cuda.device_count():
    torch._inductor.codecache.torch_key()
    torch._inductor.codecache.CacheBase.get_system()
    if {EXPRESSIONS["compiler"]}:
        # The comment makes it ask for vector instructions.
        kernel = 'extern "C" void kernel(float*) {{}} // at::vec::'
        torch._inductor.codecache.CppPythonBindingsCodeCache.load_pybinding(["float*"], kernel)
"""
"""What each first compilation would do again: load the compiler, hash the sources of torch, and prepare for g++.

Nothing is compiled with `torch.compile`, as that wakes autograd, whose threads forks would wait for. Nor may forks use
a GPU that their parent has asked for anything.
"""

WARM = (
    LOAD_THE_COMPILER
    + """
import gc, json, os, shutil, sys, tempfile
import matplotlib.pyplot, skimage.data, sklearn.datasets, torch.utils.data

from tensorproof.interpreter import Interpreter, drawn_figures


def in_a_fork(function, *arguments):
    if child := os.fork():
        os.waitpid(child, 0)
        return
    try:
        with tempfile.TemporaryDirectory() as folder:  # what forks write stays apart, too
            shutil.copytree(".", folder, dirs_exist_ok=True)
            os.chdir(folder)
            function(*arguments)
            os.chdir("/")
    finally:
        os._exit(0)


def begin(tree):
    interpreter = Interpreter("program.py", [])
    interpreter.main.__dict__.clear()
    interpreter.main.__dict__["__name__"] = "__main__"
    grow(tree, interpreter, "")


def grow(tree, interpreter, before):
    branches = [(interpreter, before, piece, *rest) for piece, rest in tree.items()]
    for branch in branches[:-1]:
        in_a_fork(run, *branch)
    for branch in branches[-1:]:  # disturbs no other, and a fork takes a tenth of a second
        run(*branch)


def run(interpreter, before, piece, names, below):
    interpreter.knows((before + piece).splitlines(keepends=True))
    error = interpreter.execute(piece, before.count("\\n") + 1)
    sys.stdout.flush()
    sys.stderr.flush()
    said = {"printed": interpreter.printed.read(), "errors": interpreter.errors.read(), "error": error}
    if names or error:
        told = [*names, *(all_names(below) if error else [])], said
        if below and matplotlib.pyplot.get_fignums():
            in_a_fork(tell, *told)  # to draw a figure changes it
        else:
            tell(*told)
    if not error:
        grow(below, interpreter, before + piece + "\\n\\n")


def all_names(tree):
    return [name for names, below in tree.values() for name in [*names, *all_names(below)]]


def tell(names, said):
    figures = drawn_figures()
    for name in names:
        print(json.dumps([name, said | {"figures": figures}]), file=answers, flush=True)


sys.path.remove(sys.argv[1])
answers = os.fdopen(os.dup(1), "w")
gc.freeze()  # else the collector of each fork would look at all that is loaded, and so copy it
with tempfile.TemporaryDirectory() as empty:
    os.chdir(empty)
    for line in sys.stdin:
        in_a_fork(begin, json.loads(line))
        print(json.dumps(["", None]), file=answers, flush=True)
    os.chdir("/")
"""
)


class WarmInterpreter:
    """Runs programs in forks of an interpreter that has imported the libraries and holds no name of them.

    A program is given in pieces. Those that begin with the same pieces share them: a fork is made where they part.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-c", WARM, OURS]
        alone = {"OMP_NUM_THREADS": "1"}  # a fork has none of the threads that are there
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment() | alone, text=True
        )

    def run(self, programs: dict[str, list[str]]) -> dict[str, Outcome]:
        """What the last piece of each program did, or the piece that ended it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(shared(programs)) + "\n")
        self.process.stdin.flush()
        answers = {}
        for line in self.process.stdout:
            name, answer = json.loads(line)
            if not name:
                break
            answers[name] = Outcome.of(answer)
        return answers

    def close(self) -> None:
        self.process.communicate()


def shared(programs: dict[str, list[str]]) -> Tree:
    """The pieces of programs as a tree: behind each piece the names of those that end there, and what comes next."""
    tree: Tree = {}
    for name, pieces in programs.items():
        names, below = [], tree
        for piece in pieces:
            names, below = below.setdefault(piece, ([], {}))
        names.append(name)
    return tree


FORK_KERNELS = (
    LOAD_THE_COMPILER
    + """
import json, os, signal, socket, sys
import matplotlib.pyplot, skimage.data, sklearn.datasets, torchvision
from ipykernel.kernelapp import IPKernelApp

with socket.socket(socket.AF_UNIX) as server:
    server.bind(sys.argv[1])
    server.listen()
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel
    while True:
        caller, _ = server.accept()  # a kernel keeps this open as long as it lives
        if os.fork():
            caller.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server.close()
        folder, environment, arguments = json.loads(caller.makefile().readline())
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[0] = ""
        IPKernelApp.launch_instance(arguments)
        os._exit(0)
"""
)

ASK_FOR_A_KERNEL = """
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as caller:
    caller.connect(sys.argv[1])
    caller.sendall((json.dumps([os.getcwd(), dict(os.environ), sys.argv[2:]]) + "\\n").encode())
    caller.recv(1)  # when the kernel has ended
"""


class WarmKernels:
    """Starts Jupyter's kernels as forks of an interpreter that has imported the libraries.

    Args:
        environment: What that interpreter starts with. A kernel has the environment of who asks for it.
        name: The name of the kernel.
        arguments: What it is started with.
    """

    def __init__(
        self,
        environment: dict[str, str],
        name: str = "python3",
        arguments: Sequence[str] = ("-f", "{connection_file}"),
    ) -> None:
        self.folder = tempfile.TemporaryDirectory()  # the address of a socket is short
        folder = Path(self.folder.name)
        spec = folder / "kernels" / name / "kernel.json"
        spec.parent.mkdir(parents=True)
        command = [sys.executable, "-c", ASK_FOR_A_KERNEL, str(folder / "socket"), *arguments]
        spec.write_text(json.dumps({"display_name": name, "language": "python", "argv": command}), "utf-8")
        command = [sys.executable, "-c", FORK_KERNELS, str(folder / "socket")]
        inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # a kernel sets it before it loads pyplot
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment | inline, text=True)
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def manager(self) -> AsyncKernelManager:
        """What starts and stops one kernel."""
        specs = KernelSpecManager(kernel_dirs=[f"{self.folder.name}/kernels"], ensure_native_kernel=False)
        return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


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


def run_notebook(text: str, folder: Path, kernels: WarmKernels | None = None) -> nbformat.NotebookNode:
    """Run a notebook as Jupyter does, in an empty folder and a kernel of its own."""
    (folder / "empty").mkdir()
    made = nbformat.reads(text, as_version=4)
    environment = surroundings(folder / "site") | {"IPYTHONDIR": str(folder / "ipython")}
    resources = {"metadata": {"path": str(folder / "empty")}}
    manager = kernels.manager() if kernels else None
    client = NotebookClient(made, manager, timeout=120, resources=resources)
    return client.execute(env=environment, cleanup_kc=True)
