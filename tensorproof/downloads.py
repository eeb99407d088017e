"""The code of a page to take along: a notebook and a script that run from end to end without the book.

They hold the text and the blocks of the page and no results: what the code prints is the reader's own to see.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tensorproof import standalone
from tensorproof.page import CONTAINER, Block, Page, with_site_links

_NEEDS = "It needs `pip install torch torchvision matplotlib scikit-learn scikit-image`."
FORK = """import multiprocessing

multiprocessing.set_start_method("fork", force=True)  # a spawned worker would need a file to import"""
"""The first cell of a page whose blocks have workers: they start as they do on the page, whatever this Python does."""
_OF_THE_SITE = re.compile(r"^ *(<!--.*-->|</?explore-\w+>)$")


def notebook(page: Page, url: str) -> str:
    """The page as a Jupyter notebook. Cells that raise are tagged, and Jupyter goes on past them.

    Args:
        page: The page.
        url: Its address on the site.
    """
    return _notebook_of(page.text, page.path, url)


def script(page: Page, url: str) -> str:
    """The page as a Python file in cells (`# %%`). What a block raises is printed, and the script goes on.

    Args:
        page: The page.
        url: Its address on the site.
    """
    return _script_of(page.text, page.path, url)


@cache  # by the text: `mkdocs serve` makes all pages anew after each edit
def _notebook_of(text: str, path: Path, url: str) -> str:
    cells = []
    for part in _parts(Page.parse(text, path), url):
        if isinstance(part, str):
            cells.append(new_markdown_cell(part))
        else:
            tags = {"tags": ["raises-exception"]} if standalone.error_of(part) else {}
            source = standalone.with_guard(part, part.source)
            cells.append(new_code_cell(source.rstrip("\n"), metadata=tags))
    return str(jupytext.writes(_notebook(_with_fork(cells)), "ipynb"))


@cache
def _script_of(text: str, path: Path, url: str) -> str:
    cells = []
    for part in _parts(Page.parse(text, path), url):
        if isinstance(part, str):
            cells.append(new_markdown_cell(_wrapped(part)))
        else:
            source = standalone.with_figure(part, standalone.going_on(part))
            cells.append(new_code_cell(source.rstrip("\n")))
    return str(jupytext.writes(_notebook(_with_fork(cells)), "py:percent"))


def _with_fork(cells: list[NotebookNode]) -> list[NotebookNode]:
    has_workers = any(cell["cell_type"] == "code" and "num_workers" in cell["source"] for cell in cells)
    return [cells[0], new_code_cell(FORK), *cells[1:]] if has_workers else cells


@cache
def program_as_notebook(source: str) -> str:
    """A program in cells (`# %%`) as a Jupyter notebook."""
    return str(jupytext.writes(_notebook(jupytext.reads(source, "py:percent")["cells"]), "ipynb"))


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"  # the same in every build
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    plain = {"notebook_metadata_filter": "-all"}  # no header in the script
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "jupytext": plain})  # type: ignore[no-any-return]  # nbformat has no types


def _parts(page: Page, url: str) -> Iterator[str | Block]:
    """Text and blocks in turn, without results and answers; each heading begins a new text."""
    text: list[str] = []
    for part in _lines_and_blocks(page, url):
        if (isinstance(part, Block) or part.startswith("#")) and "".join(text).strip():
            yield re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip("\n")
            text = []
        if isinstance(part, Block):
            yield part
        else:
            text.append(part)
            if part.startswith("# "):
                text += ["", f"The code of <{url}>. Run it from the top: it prints what the chapter shows.", "", _NEEDS]
    if "".join(text).strip():
        yield re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip("\n")


def _lines_and_blocks(page: Page, url: str) -> Iterator[str | Block]:
    blocks = {number: block for block in page.blocks for number in range(block.line - 1, block.last + 1)}
    results = {
        number for block in page.blocks for result in block.results for number in range(result.first, result.last + 1)
    }
    boxes: list[tuple[int, str]] = []  # indent and kind of those that are open
    anchor = ""  # of the exercise that an answer belongs to
    for number, line in enumerate(page.text.split("\n"), 1):
        indent = len(line) - len(line.lstrip())
        while line.strip() and boxes and boxes[-1][0] >= indent:
            boxes.pop()
        if block := blocks.get(number):
            anchor = block.anchor
            if number == block.line and not block.is_answer:
                yield block
            continue
        if number in results or _OF_THE_SITE.match(line):
            continue
        if box := CONTAINER.match(line):
            boxes.append((indent, box["kind"]))
            if box["kind"] == "success":
                yield f"A solution, and answers that look right and are wrong: <{url}#{anchor}>"
            elif box["kind"] not in ("failure", "question") and box["title"]:  # a question comes before its answer
                yield f"**{box['title']}**"
        elif not any(kind in ("success", "failure") for _, kind in boxes):
            yield _with_absolute_links(line[4 * len(boxes) :], url)


def _with_absolute_links(line: str, url: str) -> str:
    """Links as they work from anywhere."""
    return re.sub(r"\]\(([^)\s]+)\)", lambda match: f"]({_absolute(match[1], url)})", line)


def _absolute(target: str, url: str) -> str:
    if target.startswith("#"):
        return url + target
    target = re.sub(r"(^|/)index\.md|\.(md|py)(?=#|$)", "/", with_site_links(target))
    return urljoin(urljoin(url, ".."), target)


def _wrapped(text: str) -> str:
    """Text in lines that an editor shows, as long as none of them then begins like a list, a heading or a formula."""
    lines = []
    for line in text.split("\n"):
        parts = textwrap.wrap(line, 86, break_long_words=False, break_on_hyphens=False)
        lines += [line] if any(re.match(r"[$|>#+*-]|\d+\.|```", part) for part in parts) else parts or [""]
    return "\n".join(lines)
