"""What the book costs to run and to edit, measured: `uv run python tests/benchmark.py [a] [b] [c] [d]`.

(a) A page of chained blocks under pytest, against a plain script and against stock pytest-markdown-docs.
(b) Every page of the book in its session, against the same code as a plain script.
(c) From an edit to the rebuilt page under `mkdocs serve`, with today's chapters and with a full book of them.
(d) The first visit of each chapter and program in Chromium, on a processor slowed four times.

What is compared is measured in the same round, one after the other, in an order that turns from round to
round: a ratio is taken within a round, and the median over the rounds is held against its bound. The exit
code is 1 if a bound is missed and 2 if something could not be measured. Nothing is written outside a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from browser import NO_BROWSER, PAGE_BUDGET, PROGRAM_BUDGET, SWITCHES, Server, Visit, find_chromium, knows_only
from mkdocs.utils.yaml import yaml_load
from playwright.sync_api import Browser, sync_playwright

from tensorproof.page import Block, Page
from tensorproof.session import Outcome, Session, environment

ROOT = Path(__file__).parent.parent
MEASURED_WITH = ("pytest", "pytest-markdown-docs", "torch", "mkdocs", "mkdocs-material", "mkdocs-jupyter")

BLOCKS, PAUSE = 50, 0.02
"""Blocks of the chained page, and seconds that each of them takes."""
CHAPTERS = 30
"""Chapters of a full book."""
PAGE_BOUND, BOOK_BOUND = 1.1, 1.3
"""How many times as long as a plain script a page may take: the chained one, and those of the book together."""
EDIT_BOUND = 1.5
"""Seconds from an edit to the rebuilt page."""
PAINT_BOUND = 1.0
"""Seconds from the request of a page to its largest contentful paint."""
FIGURES_OF_PYTEST = ("phases", "session", "command")
GIVE_UP = 180.0
"""Seconds after which something that was waited for will not happen."""

Rounds = dict[str, list[float]]
"""What was measured, by name: one value per round."""
Measure = Callable[[], dict[str, float]]


class BenchmarkError(Exception):
    """Something that was to be measured did not work."""


@dataclass
class Row:
    """A line of the table."""

    name: str
    values: list[float]
    unit: str = "s"
    bound: float | None = None

    @property
    def missed(self) -> bool:
        return self.bound is not None and median(self.values) > self.bound

    def __str__(self) -> str:
        numbers = "".join(f"{value:8.3f}" for value in (median(self.values), min(self.values), max(self.values)))
        verdict = f"  at most {self.bound:g}: {'MISSED' if self.missed else 'holds'}" if self.bound is not None else ""
        return f"{self.name:<66}{numbers} {self.unit}{verdict}"


def ratio(name: str, rounds: Rounds, above: str, below: str, bound: float | None = None) -> Row:
    """How many times `below` goes into `above`, round by round."""
    return Row(name, [a / b for a, b in zip(rounds[above], rounds[below], strict=True)], "x", bound)


def paired(rounds: int, measures: list[Measure]) -> Rounds:
    """Take every measure once per round, in an order that turns from round to round."""
    taken: Rounds = {}
    for number in range(rounds):
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
        for measure in measures if number % 2 == 0 else reversed(measures):
            for name, value in measure().items():
                taken.setdefault(name, []).append(value)
    return taken


def seconds_of(command: list[str], folder: Path, env: dict[str, str]) -> float:
    """How long a command takes that has to succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-3000:]}")
    return seconds


# (a) A page of chained blocks


def chained_page(rounds: int) -> list[Row]:
    """A page of chained blocks, against a plain script, plain test functions and stock pytest-markdown-docs.

    The bound is on the page's session by itself against the script: both start and end an interpreter. What
    pytest adds to that is in the lines below, each said to be the phases of all tests (setup, call, teardown),
    the session of pytest (collection included) or the whole command (the start of pytest included).
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        write_chained(folder)
        page = Page.read(folder / "docs" / "chained.md")
        taken = paired(
            rounds,
            [
                lambda: {"script": seconds_of([sys.executable, "chained.py"], folder, environment())},
                partial(time_session, "chained", page),
                lambda: pytest_run("functions", folder, "test_chained.py"),
                lambda: pytest_run("ours", folder, "-p", "tensorproof.collect", "docs/chained.md"),
                lambda: pytest_run("stock", folder, "--markdown-docs", "stock.md"),
            ],
        )
    under_pytest = {"functions": f"{BLOCKS} plain test functions", "ours": "ours", "stock": "stock, `continuation`"}
    return [
        Row(f"plain script of the {BLOCKS} blocks", taken["script"]),
        Row("session of the page", taken["chained session"]),
        *(
            Row(f"pytest, {title}: {figure}", taken[f"{kind} {figure}"])
            for kind, title in under_pytest.items()
            for figure in FIGURES_OF_PYTEST
        ),
        ratio("pytest: phases of ours / plain script", taken, "ours phases", "script"),
        *(
            ratio(f"pytest: {figure} of ours / plain test functions", taken, f"ours {figure}", f"functions {figure}")
            for figure in FIGURES_OF_PYTEST
        ),
        ratio("pytest: phases of stock / ours", taken, "stock phases", "ours phases"),
        ratio("(a) session of the page / plain script", taken, "chained session", "script", PAGE_BOUND),
    ]


def chained_blocks() -> list[str]:
    """Blocks that take a while each and need a name of the block before."""
    first = f"import time\n\nstep_0 = 0\ntime.sleep({PAUSE})\n"
    return [first, *(f"step_{at} = step_{at - 1} + 1\ntime.sleep({PAUSE})\n" for at in range(1, BLOCKS))]


def write_chained(folder: Path) -> None:
    """Write the blocks as a page of ours, as one for stock pytest-markdown-docs, as a script and as test functions."""
    blocks = chained_blocks()
    (folder / "docs").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\njunit_duration_report = total\n", "utf-8")
    (folder / "docs" / "chained.md").write_text("\n".join(f"```python\n{block}```\n" for block in blocks), "utf-8")
    stock = [f"```python{' continuation' if at else ''}\n{block}```\n" for at, block in enumerate(blocks)]
    (folder / "stock.md").write_text("\n".join(stock), "utf-8")
    (folder / "chained.py").write_text("".join(blocks), "utf-8")
    tests = [
        f"def test_{at}():\n    global step_{at}, time\n{textwrap.indent(block, '    ')}"
        for at, block in enumerate(blocks)
    ]
    (folder / "test_chained.py").write_text("\n\n".join(tests), "utf-8")


def pytest_run(name: str, folder: Path, *arguments: str) -> dict[str, float]:
    """Seconds of a run of pytest in one process, as it reports them, and of the whole command."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml", *arguments]
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    seconds = seconds_of(command, folder, env | {"PYTHONPATH": str(ROOT)})
    suite = ElementTree.parse(folder / "report.xml").getroot().find("testsuite")
    assert suite is not None
    phases = sum(float(case.get("time", "nan")) for case in suite.iter("testcase"))
    figures = (phases, float(suite.get("time", "nan")), seconds)
    return {f"{name} {figure}": value for figure, value in zip(FIGURES_OF_PYTEST, figures, strict=True)}


# (b) The pages of the book


def book(rounds: int) -> list[Row]:
    """Every page of the book in its session, against the same code as a plain script.

    Both draw, save as SVG and close the figures of a block where it ends; only ours makes them follow the
    colours of a page, which is part of its cost. Neither waits for torch to be taken down at the end.
    """
    pages = [page for file in sorted((ROOT / "docs").rglob("*.md")) if (page := Page.read(file)).blocks]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        titles: list[str] = []
        measures: list[Measure] = []
        for page in pages:
            title, outcomes = page.path.relative_to(ROOT / "docs").as_posix(), run_page(page)
            if broken := problem(page, outcomes):
                print(f"  left out: {title}: {broken}", file=sys.stderr)
                continue
            script = Path(name) / f"{len(titles)}.py"
            script.write_text(plain_script(page, outcomes), "utf-8")
            titles.append(title)
            measures += [partial(time_session, title, page), partial(time_script, title, script)]
        if not titles:
            raise BenchmarkError("no page does what it says")
        taken = paired(rounds, measures)
    for kind in ("session", "script"):
        taken[kind] = [sum(values) for values in zip(*(taken[f"{title} {kind}"] for title in titles), strict=True)]
    return [
        Row(f"{len(titles)} pages as plain scripts, start of their interpreters included", taken["script"]),
        Row(f"{len(titles)} pages in their sessions, start of their interpreters included", taken["session"]),
        *(ratio(f"    {title}", taken, f"{title} session", f"{title} script") for title in titles),
        ratio("(b) all pages: sessions / plain scripts", taken, "session", "script", BOOK_BOUND),
    ]


def run_page(page: Page) -> list[Outcome]:
    """Run all blocks of a page."""
    with Session(page) as session:
        return [session.outcome(block) for block in page.blocks]


def problem(page: Page, outcomes: list[Outcome]) -> str:
    """Why a page cannot be measured: a block that does not do what the page says; empty if none."""
    for block, outcome in zip(page.blocks, outcomes, strict=True):
        if outcome.broken:
            return outcome.broken
        if bool(outcome.error) != bool(block.result("pytb")) and not outcome.skipped:
            return f"the block in line {block.line} {f'raises {outcome.error}' if outcome.error else 'raises nothing'}"
    return ""


def time_session(title: str, page: Page) -> dict[str, float]:
    start = time.perf_counter()
    run_page(page)
    return {f"{title} session": time.perf_counter() - start}


def time_script(title: str, script: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        return {f"{title} script": seconds_of([sys.executable, str(script)], Path(folder), environment())}


def plain_script(page: Page, outcomes: list[Outcome]) -> str:
    """The code of a page as a script without the blocks that were skipped."""
    ran = [block for block, outcome in zip(page.blocks, outcomes, strict=True) if not outcome.skipped]
    return "\n".join(map(as_code, ran)) + END


def as_code(block: Block) -> str:
    """A block, and behind an answer to an exercise its check; what the page shows to raise may raise."""
    code = f"{block.source}\n{block.check.source}" if block.check else block.source
    if block.result("pytb"):
        code = f"try:\n{textwrap.indent(code, '    ')}except BaseException:\n    pass\n"
    if block.check:
        code = KEEP_NAMES + code + RESTORE_NAMES
    return code + (SAVE_FIGURES if block.figures else "")


KEEP_NAMES = "names_of_page = dict(globals())\n"
RESTORE_NAMES = "globals().update(names_of_page)\n"
"""An answer to an exercise redefines nothing for the blocks behind it."""
SAVE_FIGURES = """
import io
import matplotlib.pyplot as plt
for number in plt.get_fignums():
    plt.figure(number).savefig(io.StringIO(), format="svg", metadata={"Date": None})
plt.close("all")
"""
END = """
import os
os._exit(0)
"""
"""A session kills its interpreter: a script that ends in the usual way would also wait for torch to be taken down."""


# (c) From an edit to the rebuilt page


def edit(rounds: int) -> list[Row]:
    """From an edit to the rebuilt page, by a real server on a copy of the repository.

    The programs under `snippets/` are pages of the site, with what they printed taken from the cache. A full
    book has as many programs as chapters. The floor is the same book without our hooks, our extensions,
    mkdocs-jupyter and the programs.
    """
    with ExitStack() as stack:
        today = stack.enter_context(served(copy_of_book, "today"))
        full = stack.enter_context(served(copy_of_full_book, "full"))
        floor = stack.enter_context(served(copy_of_plain_book, "floor"))
        taken = paired(rounds, [today, full, floor])
    return [
        Row("today's chapters: last build by itself", taken["today build"]),
        Row(f"{CHAPTERS} chapters: last build by itself", taken["full build"]),
        Row(f"{CHAPTERS} chapters without anything of ours: last build by itself", taken["floor build"]),
        Row(f"{CHAPTERS} chapters without anything of ours: from edit to page", taken["floor edit"]),
        ratio(f"build of {CHAPTERS} chapters: ours / without anything of ours", taken, "full build", "floor build"),
        Row("(c) today's chapters: from edit to page", taken["today edit"], bound=EDIT_BOUND),
        Row(f"(c) {CHAPTERS} chapters: from edit to page", taken["full edit"], bound=EDIT_BOUND),
    ]


@contextmanager
def served(make: Callable[[Path], Path], name: str) -> Iterator[Measure]:
    """Serve what `make` writes into a folder while the context lasts; what it gives measures one edit."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary).resolve() / "book"
        page = make(folder)
        url = f"http://127.0.0.1:{free_port()}"
        server = start_server(folder, url.removeprefix("http://"))
        try:
            address = f"{url}/{page.relative_to(folder / 'docs').with_suffix('').as_posix()}/"
            wait_for("", address, server, folder)
            yield partial(time_edit, name, page, address, server, folder)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def start_server(folder: Path, address: str) -> subprocess.Popen[bytes]:
    """Start `mkdocs serve` on a copy of the book; all that it writes stays beside the copy."""
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "TMPDIR": str(folder.parent)}
    command = [sys.executable, "-m", "mkdocs", "serve", "-f", "benchmark.yml", "--no-strict", "--dev-addr", address]
    with (folder.parent / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(text: str, address: str, server: subprocess.Popen[bytes], folder: Path) -> None:
    """Ask for a page until it is there and holds a text."""
    end = time.perf_counter() + GIVE_UP
    while time.perf_counter() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=GIVE_UP) as answer:
                if text in answer.read().decode():
                    return
        except urllib.error.URLError:
            pass  # it is not up yet
        time.sleep(0.02)
    raise BenchmarkError(f"mkdocs serve did not show {text or 'the page'!r}:\n{log_of(folder)[-3000:]}")


def log_of(folder: Path) -> str:
    """What the server of a copy has said so far."""
    return (folder.parent / "log").read_text("utf-8")


def time_edit(name: str, page: Path, address: str, server: subprocess.Popen[bytes], folder: Path) -> dict[str, float]:
    """Add a sentence to a page and wait until it is served; also how long MkDocs says that the build took."""
    time.sleep(1 + random.random() / 2)  # the server looks for changes every half second: meet it anywhere in between
    sentence = f"Edited {time.time_ns()}."
    text = page.read_text("utf-8")
    start = time.perf_counter()
    page.write_text(f"{text}\n{sentence}\n", "utf-8")
    wait_for(sentence, address, server, folder)
    seconds = time.perf_counter() - start
    built = re.findall(r"Documentation built in ([\d.]+) seconds", log_of(folder))
    return {f"{name} edit": seconds, f"{name} build": float(built[-1])}


def copy_of_book(folder: Path) -> Path:
    """Copy the repository; the page to edit is the longest chapter."""
    left_out = shutil.ignore_patterns(".git", ".venv", "site", "tests", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=left_out)
    configure(folder, {})
    return longest_chapter(folder)


def copy_of_full_book(folder: Path) -> Path:
    """Copy the repository and put copies of its longest chapter and program in the place of all of them."""
    copy_of_book(folder)
    chapters, programs = fill_with_longest(folder)
    configure(folder, {"nav": [*other_pages(folder, chapters), {"Chapters": chapters}, {"Programs": programs}]})
    return folder / "docs" / chapters[0]


def copy_of_plain_book(folder: Path) -> Path:
    """The full book without our hooks, our extensions, mkdocs-jupyter and the programs."""
    copy_of_book(folder)
    chapters, _ = fill_with_longest(folder)
    extensions = [entry for entry in settings(folder)["markdown_extensions"] if "tensorproof" not in str(entry)]
    without = {"hooks": [], "plugins": ["search"], "markdown_extensions": extensions}
    configure(folder, without | {"nav": [*other_pages(folder, chapters), {"Chapters": chapters}]})
    return folder / "docs" / chapters[0]


def configure(folder: Path, changes: dict[str, Any]) -> None:
    """Write `benchmark.yml`: the settings of the book with some of them changed."""
    (folder / "benchmark.yml").write_text(yaml.dump({"INHERIT": "mkdocs.yml", **changes}), "utf-8")


def settings(folder: Path) -> dict[str, Any]:
    with (folder / "mkdocs.yml").open("rb") as file:
        return yaml_load(file)


def longest_chapter(folder: Path) -> Path:
    return max(chapters_of(folder), key=lambda file: file.stat().st_size)


def chapters_of(folder: Path) -> list[Path]:
    """The pages of the book that have blocks, without its home page and its reference."""
    docs = folder / "docs"
    files = [file for file in docs.glob("*/*.md") if file.parent.name != "reference"]
    return [file for file in files if "```python" in file.read_text("utf-8")]


def fill_with_longest(folder: Path) -> tuple[list[str], list[str]]:
    """Put copies of the longest chapter and program in the place of all of them; return their paths in the site."""
    chapter = longest_chapter(folder)
    programs = list((folder / "snippets").rglob("*.py"))
    program = max(programs, key=lambda file: file.stat().st_size)
    copies = [copy_chapter(chapter, f"{chapter.stem}-{at}") for at in range(1, CHAPTERS + 1)]
    copied = [Path(shutil.copy(program, program.with_stem(f"{program.stem}-{at}"))) for at in range(1, CHAPTERS + 1)]
    for file in chapters_of(folder):
        if file not in copies:
            file.unlink()
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)
    for file in programs:
        file.unlink()
    return paths(copies, folder / "docs"), paths(copied, folder)


def copy_chapter(chapter: Path, name: str) -> Path:
    """Copy a chapter with its figures under another name."""
    copy = chapter.with_stem(name)
    copy.write_text(chapter.read_text("utf-8").replace(f"]({chapter.stem}/", f"]({name}/"), "utf-8")
    if chapter.with_suffix("").is_dir():
        shutil.copytree(chapter.with_suffix(""), copy.with_suffix(""))
    return copy


def other_pages(folder: Path, chapters: list[str]) -> list[str]:
    """The pages that are no chapters."""
    return [path for path in paths(sorted((folder / "docs").rglob("*.md")), folder / "docs") if path not in chapters]


def paths(files: list[Path], folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in files]


# (d) A first visit


def first_visit(rounds: int) -> list[Row]:
    """From the request of a page to its largest contentful paint, on the loopback, with an empty cache.

    The processor is slowed four times by Chromium. The bytes are those that the server sends, compressed with gzip.
    """
    chromium = find_chromium()
    if chromium is None:
        raise BenchmarkError(NO_BROWSER)
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder]
        seconds_of(command, ROOT, os.environ | {"SITE_URL": server.url})
        browser = playwright.chromium.launch(executable_path=chromium, args=[*SWITCHES, knows_only(server)])
        pages = [file.parent.relative_to(folder) for file in sorted(Path(folder).glob("**/tensors/*/index.html"))]
        measures = [partial(time_visit, browser, server, f"{page.as_posix()}/") for page in pages]
        taken = paired(rounds, measures)
        for page in pages:
            url = f"{page.as_posix()}/"
            rows.append(Row(f"{url} largest contentful paint", taken[f"{url} paint"], "s", PAINT_BOUND))
            budget = PROGRAM_BUDGET if url.startswith("snippets") else PAGE_BUDGET
            rows.append(Row(f"{url} transferred", taken[f"{url} bytes"], "KB", budget / 1000))
        browser.close()
        server.close()
    return rows


LARGEST_PAINT = """
new Promise(resolve => new PerformanceObserver(
    list => resolve(list.getEntries().at(-1).startTime)
).observe({ type: "largest-contentful-paint", buffered: true }))
"""


def time_visit(browser: Browser, server: Server, url: str) -> dict[str, float]:
    """Open a page with an empty cache, and tell when it was painted and what it took."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    visited = Visit(page, server).go(url)
    paint = page.evaluate(LARGEST_PAINT) / 1000
    context.close()
    return {f"{url} paint": paint, f"{url} bytes": visited.transferred / 1000}


PARTS: dict[str, Callable[[int], list[Row]]] = {"a": chained_page, "b": book, "c": edit, "d": first_visit}


def main() -> int:
    """Measure the parts that are asked for and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="a b c d", help="what to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: 5)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"unknown part {', '.join(sorted(unknown))}: one of {', '.join(PARTS)}")
    versions = ", ".join(f"{name} {version(name)}" for name in MEASURED_WITH)
    print(f"{date.today()}, {os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, {versions}")
    missed = []
    for part in arguments.parts or PARTS:
        rows = PARTS[part](arguments.rounds)
        print(f"\n{(PARTS[part].__doc__ or '').strip()}\n\n{f'{arguments.rounds} rounds':<66}  median  lowest highest")
        print(*rows, sep="\n", flush=True)
        missed += [row for row in rows if row.missed]
    for row in missed:
        print(f"\nMISSED: {row.name}: {median(row.values):.3f} {row.unit}, at most {row.bound:g}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
