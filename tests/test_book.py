"""The book as a whole: nothing on a page can be changed by hand unnoticed, and its code keeps the house style."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tensorproof import record
from tensorproof.page import Page
from tensorproof.results import figure_file, mismatches
from tensorproof.session import Outcome

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [file for file in sorted(DOCS.rglob("*.md")) if Page.read(file).blocks]
every_page = pytest.mark.parametrize("file", PAGES, ids=lambda file: file.relative_to(DOCS).as_posix())


def as_shown(page, block):
    """What the block does if the page is right. Whether it is, the page's own tests find out by running it."""
    shown = {result.kind: result.shown for result in block.results}
    return Outcome(
        printed=shown["text"] + "\n" if "text" in shown else "",
        error=shown.get("pytb", ""),
        figures=tuple(figure_file(page, figure).read_text("utf-8") for figure in block.figures),
    )


def changed_by_hand(text):
    """The text with one character changed, for every letter and every digit that carries meaning."""
    for match in re.finditer(r"[A-Za-z]+|\d[\d.]*(?:e[-+]?\d+)?", text):
        if text[max(0, match.start() - 3) : match.start()].endswith("...") or text[match.end() :].startswith("..."):
            continue  # beside text that may vary
        first = match[0][0]
        other = str((int(first) + 1) % 10) if first.isdigit() else ("y" if first == "x" else "x")
        yield text[: match.start()] + other + text[match.start() + 1 :]


@every_page
def test_a_word_or_number_changed_in_a_result_is_noticed(file):
    page = Page.read(file)
    for block in page.blocks:
        outcome = as_shown(page, block)
        assert not mismatches(page, block, outcome)
        texts = [result for result in block.results if result.kind != "figure"]
        without_figures = replace(outcome, figures=[])  # to compare them takes a second, each time
        for at, result in enumerate(texts):
            for changed in changed_by_hand(result.shown):
                results = [*texts[:at], replace(result, shown=changed), *texts[at + 1 :]]
                found = mismatches(page, replace(block, results=results), without_figures)
                assert [problem.line for problem in found] == [result.first], changed


@every_page
def test_a_figure_changed_by_hand_is_noticed(file, tmp_path):
    page = Page.read(file)
    for block in page.blocks:
        outcome = as_shown(page, block)
        for figure in block.figures:
            svg = figure_file(page, figure).read_text("utf-8")
            changes = [svg.replace(word, f">{word[1:-1]}x<", 1) for word in re.findall(r">[^<>\s]+<", svg)]
            changes += [re.sub(r"\bL (\d+)", lambda match: f"L {int(match[1]) + 1}", svg, count=1)]
            changes += [svg.replace("currentColor", "red", 1)]
            for changed in changes:
                copy = tmp_path / figure.shown
                copy.parent.mkdir(exist_ok=True)
                copy.write_text(changed, "utf-8")
                assert mismatches(replace(page, path=tmp_path / file.name), block, outcome)


@every_page
def test_the_record_is_of_the_page_as_it_is(file, request):
    """The site says of each page when it was tested, and that has to be true of what it shows."""
    if request.config.option.record:
        pytest.skip("this run writes the record")
    name = file.relative_to(DOCS).as_posix()
    if why := record.stale(DOCS / "reference" / "tested.json", name, Page.read(file)):
        pytest.fail(f"{why}: pytest docs --record docs/reference/tested.json".replace(f"{ROOT}/", ""), pytrace=False)


@pytest.mark.parametrize(
    "file", [file for file in PAGES if file.parent != DOCS], ids=lambda file: file.relative_to(DOCS).as_posix()
)
def test_a_chapter_asks_ten_questions_and_keeps_the_answers_closed(file):
    answers = [
        line.split()[0]
        for block in Page.read(file).blocks
        if block.heading == "Ten questions"
        for result in block.results
        for line in result.shown.splitlines()
        if result.indent and not line.startswith(" ")
    ]
    assert answers == [str(number) for number in range(1, 11)]


@every_page
def test_ruff_finds_nothing_in_the_blocks_of_a_page(file):
    ignored = {
        "E3": "between blocks lies text",
        "B018": "a block may consist of the expression that raises",
        "B905": "blocks are short, and so are their zips",
        "E402": "imports stand where they are first needed",
        "F811": "an answer to an exercise replaces the starter",
        "I001": "imports stand where they are first needed",
    }
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "-q",
        "--output-format",
        "concise",
        "--stdin-filename",
        str(file.with_suffix(".py")),
    ]
    command += ["--extend-ignore", ",".join(ignored), "-"]
    run = subprocess.run(command, input="".join(Page.read(file).as_program()), capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("command", ["format --check --diff", "check"])
def test_ruff_finds_nothing_in_the_code_of_the_project(command):
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *command.split(), "."], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_type_checker_finds_nothing():
    run = subprocess.run([sys.executable, "-m", "mypy"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout


def test_every_file_that_contributing_names_exists():
    tree = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("```text\n")[1].split("```")[0]
    folder = ROOT
    for line in tree.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0] if not line.startswith("mkdocs") else line
        folder = ROOT if not line.startswith(" ") else folder
        for name in re.split(r",?\s+", names):
            assert (folder / name).exists(), f"{line!r}: there is no {folder / name}"
        if names.endswith("/") and not line.startswith(" "):
            folder = ROOT / names
