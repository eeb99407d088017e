"""The pytest plugin: every block of every page under `docs/` is a test.

pytest-markdown-docs collects the pages and owns the test items. It asks this module for a parser, which
is the page model, and for a runner, which is the session of the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_markdown_docs import plugin as markdown_docs
from pytest_markdown_docs._runners import register_runner
from pytest_markdown_docs.definitions import FenceTestDefinition

from tensorproof.page import Block, Page, PageError
from tensorproof.record import PROPERTY, Ran, Recorder
from tensorproof.results import Mismatch, mismatches
from tensorproof.session import TIME_LIMIT, Outcome, Session
from tensorproof.update import cannot_update, update


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tensorproof", "pages of the book")
    group.addoption("--update", action="store_true", help="rewrite the results and figures of the pages that run")
    group.addoption("--record", metavar="FILE", type=Path, help="write down what ran, for the site to show")
    parser.addini("block_time_limit", "seconds that one block of a page may take", default=str(TIME_LIMIT))


def pytest_configure(config: pytest.Config) -> None:
    if config.option.markdowndocs:
        raise pytest.UsageError("leave out --markdown-docs: pages need no switch, and it imports every .py file")
    # A page compiles a few small kernels: processes to compile them in would take longer to start.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    if workers := config.getoption("numprocesses", default=None):
        if config.option.update:
            raise pytest.UsageError("leave out -n with --update: it rewrites pages one after the other")
        config.option.dist = "loadfile"  # a page has one session, so it runs in one worker
        # Threads that outnumber the cores wait for each other without letting go of a core.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    if config.option.record and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config.option.record))


def pytest_unconfigure(config: pytest.Config) -> None:
    for path in [path for path, page_file in _page_files.items() if page_file.config is config]:
        del _page_files[path]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".md" and parent.config.rootpath / "docs" in file_path.parents:
        return PageFile.from_parent(parent, path=file_path)
    return None


_page_files: dict[Path, PageFile] = {}
"""The pages of the runs of this process: pytest-markdown-docs hands a runner the path of a page and nothing else."""


class PageFile(markdown_docs.MarkdownTextFile):
    """A page with its session, which lives from the first to the last of its blocks that run."""

    page: Page
    session_of_page: Session

    def collect(self) -> Generator[pytest.Item, None, None]:
        self.page = Page.read(self.path)
        _page_files[self.path] = self
        self.block_at = {block.line: block for block in self.page.blocks}
        self.to_update: dict[int, Outcome] = {}
        self.failed = False
        items = super().collect()  # type: ignore[no-untyped-call]  # pytest-markdown-docs has no types
        for item, block in zip(items, self.page.blocks, strict=True):
            # pytest-markdown-docs names an item after its line, which moves.
            yield type(item).from_parent(self, name=block.name, test_definition=item.test_definition)

    def setup(self) -> None:
        self.session_of_page = Session(self.page, float(self.config.getini("block_time_limit")))

    def teardown(self) -> None:
        self.session_of_page.close()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]  # a method of pytest, which allows text
        """What to say of a page that cannot be read."""
        if isinstance(excinfo.value, PageError):
            return self.relative(str(excinfo.value))
        return super().repr_failure(excinfo)

    def relative(self, text: str) -> str:
        """Text with paths as a reader of a report would type them, and those of libraries as they are imported."""
        text = re.sub(r'File "[^"]*/(?:site-packages|python3\.\d+)/', 'File "', text)
        return text.replace(f"{self.config.rootpath}/", "")


@pytest.hookimpl(tryfirst=True)
def pytest_markdown_docs_markdown_it() -> Any:
    return SimpleNamespace(parse=_fence_tokens)


def _fence_tokens(text: str) -> list[SimpleNamespace]:
    """The blocks of a page as the tokens of markdown-it that pytest-markdown-docs makes items of."""
    blocks = next(file.page.blocks for file in _page_files.values() if file.page.text == text)
    info = f"python runner:{PageRunner.__name__}"
    return [
        SimpleNamespace(type="fence", info=info, content=block.source, map=(block.line - 2, block.last))
        for block in blocks
    ]


class BlockFailure(Exception):
    """A block does not do what its page says; the text shows the block and every problem with its line."""

    def __init__(self, page: Page, block: Block, problems: list[Mismatch], errors: str) -> None:
        code = block.source.rstrip("\n").split("\n")
        parts = [
            *(f"{page.path}:{problem.line}: {problem}" for problem in problems),
            f"{page.path}:{block.line}: this block",
            "\n".join(f"{block.line + at:>6} | {line}".rstrip() for at, line in enumerate(code)),
        ]
        if errors.strip():
            parts.append("it wrote to standard error:\n" + errors.strip()[-2000:])
        super().__init__("\n\n".join(parts))


@register_runner()
class PageRunner:
    """Holds a block against its page.

    pytest-markdown-docs runs a test a second time if its runner raises TypeError. This one never does:
    what a block raises stays in its interpreter and comes back as text.
    """

    def runtest(self, test: FenceTestDefinition, args: dict[str, Any], *, asyncio_runner: object = None) -> None:
        page_file = _page_files[Path(test.source_path)]
        page, block = page_file.page, page_file.block_at[test.start_line + 1]
        outcome = page_file.session_of_page.outcome(block)
        if outcome.skipped:
            raise pytest.skip.Exception(outcome.skipped, _use_item_location=True)  # of the block, not of this line
        problems = mismatches(page, block, outcome)
        if page_file.config.option.update and not cannot_update(block, outcome):
            page_file.to_update[page.blocks.index(block)] = outcome
        elif problems:
            page_file.failed = True
            raise BlockFailure(page, block, problems, outcome.errors)

    def repr_failure(
        self, test: FenceTestDefinition, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        page_file = _page_files[Path(test.source_path)]
        return page_file.relative(str(excinfo.value if isinstance(excinfo.value, BlockFailure) else excinfo.getrepr()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Say in each report what runs, so that a record can be made of the reports of all workers."""
    if isinstance(item.parent, PageFile):
        block = item.parent.block_at[item.start_line + 1]  # type: ignore[attr-defined]  # an item of pytest-markdown-docs
        name = item.path.relative_to(item.config.rootpath / "docs").as_posix()
        item.user_properties.append((PROPERTY, asdict(Ran.of(name, item.parent.page, block))))
    return (yield)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the pages that `--update` brought up to date, and show what changed."""
    if not config.option.update:
        return
    terminalreporter.section("updated pages")
    for path, page_file in _page_files.items():
        if page_file.config is not config:
            continue
        if page_file.failed:
            terminalreporter.write_line(f"left as it was, because a block failed: {page_file.relative(str(path))}")
        elif page_file.to_update:
            diff = page_file.relative(update(page_file.page, page_file.to_update))
            terminalreporter.write_line(diff or "nothing to change")
