"""A session runs the blocks of one page, each at most once, in a fresh interpreter of its own.

A process per page is what makes the rules of a page hold without effort: nothing leaks to the next one,
and a block that never ends, exits or crashes takes only its own page with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorproof.page import Block, Page

OURS = str(Path(__file__).parent.parent)
TIME_LIMIT = 60.0
"""Seconds that one block may take."""


@dataclass(frozen=True)
class Outcome:
    """What a block did."""

    printed: str = ""
    errors: str = ""
    """What it wrote to standard error: shown when it fails, compared with nothing."""
    figures: tuple[str, ...] = ()
    error: str = ""
    """The exception as Python prints it below a traceback; empty if it raised none."""
    traceback: str = ""
    skipped: str = ""
    """Why it was not run."""
    broken: str = ""
    """Why it has no outcome: it ended its interpreter, took too long, or a block before it failed."""

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Outcome:
        """The outcome that an answer of the interpreter tells of."""
        if "skipped" in answer:
            return cls(skipped=answer["skipped"])
        error = answer["error"] or {"shown": "", "traceback": ""}
        return cls(
            printed=answer["printed"],
            errors=answer["errors"],
            figures=tuple(answer["figures"]),
            error=error["shown"],
            traceback=error["traceback"],
        )


def request(block: Block) -> dict[str, Any]:
    """What the interpreter needs to know of a block to run it."""
    check = {"source": block.check.source, "line": block.check.line} if block.check else None
    return {"source": block.source, "line": block.line, "needs": block.needs, "check": check}


class Session:
    """Runs the blocks of a page.

    Args:
        page: The page.
        time_limit: Seconds that one block may take.
    """

    def __init__(self, page: Page, time_limit: float = TIME_LIMIT) -> None:
        self.page = page
        self.time_limit = time_limit
        self.outcomes: list[Outcome] = []
        self._interpreter: _Process | None = None

    def outcome(self, block: Block) -> Outcome:
        """What the block did; the blocks before it run first unless they have run."""
        wanted = self.page.blocks.index(block)
        while len(self.outcomes) <= wanted:
            self.outcomes.append(self._run(self.page.blocks[len(self.outcomes)]))
        return self.outcomes[wanted]

    def _run(self, block: Block) -> Outcome:
        for earlier, outcome in zip(self.page.blocks, self.outcomes, strict=False):
            if outcome.broken or (outcome.error and not earlier.result("pytb") and earlier.role != "solution"):
                return Outcome(broken=f"not run, because the block at {self.page.path.name}:{earlier.line} failed")
        if self._interpreter is None:
            self._interpreter = _Process(self.page)
        return self._interpreter.ask(request(block), self.time_limit)

    def close(self) -> None:
        """End the interpreter and all that its blocks started."""
        if self._interpreter is not None:
            self._interpreter.end()
            self._interpreter = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Process:
    """The interpreter of one page, in an empty folder of its own."""

    def __init__(self, page: Page) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorproof.interpreter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder.name,
            env=environment(),
            encoding="utf-8",
            start_new_session=True,  # so that the workers a block starts end with it
        )
        self.answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._send({"path": str(page.path), "program": page.as_program(), "ours": OURS})

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.answers.put(line)

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended; `ask` says so
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def ask(self, question: dict[str, Any], time_limit: float) -> Outcome:
        self._send(question)
        waited, step = 0.0, 0.2
        while True:
            try:
                return Outcome.of(json.loads(self.answers.get(timeout=step)))
            except queue.Empty:
                waited += step
                if self.process.poll() is not None and self.answers.empty():
                    return Outcome(broken=f"it ended its interpreter ({exit_status(self.process.returncode)})")
                if waited >= time_limit:
                    self.end()
                    return Outcome(broken=f"it did not end within {time_limit:g} s")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.folder.cleanup()


def environment() -> dict[str, str]:
    """The environment of a page: the user's, less what would change results, plus what draws figures."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON", "MPL"))}
    return kept | {
        "PYTHONPATH": OURS,
        "PYTHONUTF8": "1",
        "COLUMNS": "80",
        "MPLBACKEND": "agg",
        "MATPLOTLIBRC": str(Path(__file__).parent / "matplotlibrc"),
    }


def exit_status(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
