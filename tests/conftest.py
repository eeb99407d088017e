"""What the tests share: a book of tiny pages, and pytest running on it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from types import ModuleType

import numpy  # noqa: F401  # what an inner run of pytest imports is forgotten, and this cannot be imported twice
import pytest

pytest_plugins = ["pytester", "browser"]

SLOW = ("test_browser.py", "test_standalone.py", "test_downloads.py", "test_programs.py")
"""Files that take minutes. One that came last would have a worker for itself, while the others have nothing to do."""


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # pytest-xdist would begin with the files that hold the most tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in SLOW)


class Book:
    """An empty book to write pages into, and the runs of pytest on it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.docs = pytester.mkdir("docs")

    def page(self, text: str, name: str = "page") -> Path:
        """Write a page; its first line is the first that is not empty."""
        file = self.docs / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
        return file

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest, on all pages unless some are named."""
        return self.pytester.runpytest_inprocess(
            "-p", "tensorproof.collect", "-p", "no:cacheprovider", "-rs", *arguments
        )

    def check(self, text: str, *arguments: str) -> pytest.RunResult:
        """Write `docs/page.md` and run pytest on it."""
        self.page(text)
        return self.run(*arguments)

    def limit(self, seconds: float) -> None:
        """Set how long a block may take."""
        self.pytester.makeini(f"[pytest]\nblock_time_limit = {seconds}")

    def files(self) -> dict[str, bytes]:
        """Every file of the book and its bytes."""
        return {str(file.relative_to(self.docs)): file.read_bytes() for file in self.docs.rglob("*") if file.is_file()}


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """Torch, loaded before the first inner run of a test: it cannot be imported twice either."""
    import torch

    return torch


@pytest.fixture
def book(pytester: pytest.Pytester) -> Book:
    return Book(pytester)


def verdicts(run: pytest.RunResult) -> dict[str, str]:
    """What became of each block that ran: `passed`, `failed` or `skipped`."""
    reports = run.reprec.getreports("pytest_runtest_logreport")
    return {report.nodeid.removeprefix("docs/"): report.outcome for report in reports if report.when == "call"}


def says(run: pytest.RunResult, *parts: str) -> None:
    """The report of a run holds these parts, in this order, each within a line."""
    run.stdout.fnmatch_lines([f"*{part.replace('[', '[[]')}*" for part in parts])
