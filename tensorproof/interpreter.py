"""The interpreter that runs one page: `python -m tensorproof.interpreter`, driven by `session`.

It reads one request per line of standard input and answers each with one line on what was its standard
output when it started. Blocks see an empty standard input, and what they print is captured at the level
of the file descriptor, so that it holds what C++ and the workers of a DataLoader print as well.
"""

from __future__ import annotations

import json
import linecache
import multiprocessing
import os
import sys
import tempfile
import traceback
import types
import warnings
from typing import Any

from tensorproof.needs import has


class Interpreter:
    """Executes the blocks of one page in the namespace of a `__main__` module of their own.

    Args:
        path: The page, as it shall be named in tracebacks.
        program: The lines of the page as a Python file (`Page.as_program`).
    """

    def __init__(self, path: str, program: list[str]) -> None:
        self.path = path
        self.main = types.ModuleType("__main__")
        self.main.__file__ = path
        sys.modules["__main__"] = self.main
        self.knows(program)
        self.printed = capture(1)
        self.errors = capture(2)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with what others write
        warnings.showwarning = show_warning

    def knows(self, program: list[str]) -> None:
        """Take these as the lines of the file, for tracebacks and for `inspect`."""
        # No mtime: linecache keeps the entry.
        linecache.cache[self.path] = (sum(map(len, program)), None, program, self.path)

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a block, and the check of its exercise behind it, and tell what they did."""
        missing = [need for need in request["needs"] if not has(need)]
        if missing:
            return {"skipped": f"needs {missing[0]}, which this machine lacks"}
        names = dict(self.main.__dict__)
        error = self.execute(request["source"], request["line"])
        if error is None and request["check"]:
            error = self.execute(**request["check"])
        if request["check"]:  # an answer to an exercise leaves nothing behind
            self.main.__dict__.clear()
            self.main.__dict__.update(names)
        sys.stdout.flush()
        sys.stderr.flush()
        return {
            "printed": self.printed.read(),
            "errors": self.errors.read(),
            "figures": drawn_figures(),
            "error": error,
        }

    def execute(self, source: str, line: int) -> dict[str, str] | None:
        """Run code whose first line is a line of the page; return the exception that came out of it."""
        try:
            code = compile("\n" * (line - 1) + source, self.path, "exec", dont_inherit=True)
            exec(code, self.main.__dict__)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the block's doing, too
            trace = traceback.TracebackException.from_exception(error)
            while trace.stack and trace.stack[0].filename == __file__:
                trace.stack.pop(0)
            return {"shown": exception_line(error), "traceback": "".join(trace.format())}
        return None


class capture:
    """Points a file descriptor at a temporary file and reads what has been written there since."""

    def __init__(self, descriptor: int) -> None:
        self.file = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # it stays open as long as the interpreter runs
        os.dup2(self.file.fileno(), descriptor)

    def read(self) -> str:
        # Writers share the file's offset: read through it only after they are flushed, then start anew.
        self.file.seek(0)
        text = self.file.read().decode("utf-8", "replace")
        self.file.seek(0)
        self.file.truncate()
        return text


def exception_line(error: BaseException) -> str:
    """The exception as Python prints it below a traceback, without the source lines of a SyntaxError."""
    kind = type(error)
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    name = module + kind.__qualname__
    if isinstance(error, SyntaxError):
        return f"{name}: {error.msg}"
    return "".join(traceback.format_exception_only(error)).strip() or name


def show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning is part of what a reader sees, so it is part of what a block prints; its file and line are not."""
    print(f"{category.__name__}: {message}")


def drawn_figures() -> list[str]:
    """The figures that are open, as SVG; they are closed."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    from tensorproof.figures import take

    return take()


def main() -> None:
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if "fork" in multiprocessing.get_all_start_methods():
        # A page is no file that a spawned worker could import.
        multiprocessing.set_start_method("fork")
    start = json.loads(requests.readline())
    sys.path.remove(start["ours"])  # a page imports nothing of ours
    interpreter = Interpreter(start["path"], start["program"])
    for line in requests:
        answers.write(json.dumps(interpreter.run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
