"""Programs as pages: what mkdocs-jupyter makes of `snippets/`, written again as Markdown like any other page.

mkdocs-jupyter runs a program as a notebook. Its pages bring half a megabyte of styles, formulae that are not
set, and pictures on white; a chapter needs none of that, and neither does a program.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jupytext
from bs4 import BeautifulSoup, Tag

from tensorproof import figures

KERNEL = "book"
"""The kernel that runs programs: it draws SVG, and in the style of the book."""

_RUN_WITH = ("torch", "torchvision", "numpy", "matplotlib", "scikit-learn", "scikit-image", "mkdocs-jupyter")
_HERE = Path(__file__).parent
_STYLE = (_HERE / "kernels" / KERNEL / "kernel.json", _HERE / "matplotlibrc")
_PLACE = "<!-- figure {} -->"


class ProgramError(Exception):
    """A program cannot be shown as a page."""


def use_kernel() -> None:
    """Have Jupyter find the kernel of the book, unless it knows one by that name, and matplotlib its style."""
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [os.environ.get("JUPYTER_PATH"), str(_HERE)]))
    os.environ["MATPLOTLIBRC"] = str(_HERE / "matplotlibrc")


def cache_folder(root: Path) -> Path:
    """The folder that keeps what programs printed and drew with the versions and the style that are here.

    mkdocs-jupyter looks at their text alone, and would show what they printed with others.
    """
    versions = " ".join(f"{name} {version(name)}" for name in _RUN_WITH)
    style = b"".join(file.read_bytes() for file in _STYLE)
    return root / ".cache" / "programs" / hashlib.sha256(versions.encode() + style).hexdigest()[:16]


def is_program(html: str) -> bool:
    """Whether the content of a page comes from mkdocs-jupyter."""
    return '<div class="jupyter-wrapper">' in html


@cache  # by what it printed: `mkdocs serve` makes all pages anew after each edit
def as_page(program: Path, html: str) -> tuple[str, list[str]]:
    """A program as a page: its cells, and below each cell what it printed and drew.

    Args:
        program: The program, in cells (`# %%`).
        html: What mkdocs-jupyter made of it.

    Returns:
        Markdown with a comment in the place of each figure (see `with_figures`), and the figures as HTML.

    Raises:
        ProgramError: if a cell warned, or drew a figure that no docstring describes.
    """
    outputs = iter(BeautifulSoup(html, "lxml").select('.jp-CodeCell[id^="cell-id="]'))
    parts: list[str] = []
    drawn: list[str] = []
    for cell in jupytext.read(program)["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append(cell["source"])
            continue
        parts.append(_fence("python", cell["source"]))
        printed = ""  # it comes in pieces, cut where the kernel happened to send it
        for output in next(outputs).select(".jp-OutputArea-output"):
            if output.get("data-mime-type") == "application/vnd.jupyter.stderr":
                raise ProgramError(f"{program}: on standard error: {output.get_text().strip()}")
            if picture := output.find("img"):
                parts += [_fence("text", printed)] * bool(printed)
                printed = ""
                parts.append(_PLACE.format(len(drawn)))
                alt = _described(program, cell["source"])
                drawn.append(figures.inline(_svg(picture), f"{program.stem}-{len(drawn)}", alt))
            else:
                printed += (output.find("pre") or output).get_text()
        parts += [_fence("text", printed)] * bool(printed)
    return "\n\n".join(parts), drawn


def with_figures(html: str, drawn: list[str]) -> str:
    """Put the figures of a program into its page."""
    for number, figure in enumerate(drawn):
        html = html.replace(_PLACE.format(number), figure)
    return html


def _fence(language: str, text: str) -> str:
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _svg(picture: Tag) -> str:
    kind, _, data = str(picture["src"]).partition(",")
    assert kind == "data:image/svg+xml;base64", kind
    return figures.normal(base64.b64decode(data).decode())


def _described(program: Path, cell: str) -> str:
    """What a figure shows: the first line of the docstring of the function that the cell calls last to draw it."""
    described = {
        node.name: ast.get_docstring(node)
        for node in ast.walk(ast.parse(program.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    called = [
        node.value.func.id
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
    ]
    said = next((text for name in reversed(called) if (text := described.get(name))), None)
    if not said:
        raise ProgramError(f"{program}: a figure that nothing describes: call a function whose docstring says it")
    shown = said.splitlines()[0].removeprefix("Draw ").rstrip(".")
    return shown[0].upper() + shown[1:]
