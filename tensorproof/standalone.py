"""Blocks in a program that stands alone, where an error would end what comes after it.

On its page a block may raise, and the next one runs all the same.
"""

from __future__ import annotations

import ast
from itertools import pairwise

from tensorproof.dependencies import needed
from tensorproof.needs import guard
from tensorproof.page import SYNTAX_ERRORS, Block, Page


def with_needs(page: Page, block: Block) -> str:
    """A program in which a block does what it does on its page: the imports and blocks that it needs, and itself.

    The check of an exercise stands behind an answer. What earlier blocks raise is printed, so that the program
    goes on; what this block raises comes out of it.
    """
    return joined(pieces(page, block))


def pieces(page: Page, block: Block) -> list[str]:
    """That program in pieces: the imports, each block that it needs, and itself with the check behind it."""
    if is_wrong_syntax(block):
        return [block.source]
    imports, before = needed(page, block)
    itself = with_guard(block, with_figure(block, block.source))
    return [
        "\n".join(imports),
        *(going_on(each) for each in before),
        joined([itself, block.check.source]) if block.check else itself,
    ]


def is_wrong_syntax(block: Block) -> bool:
    """Whether the block is an example of what Python does not understand."""
    return error_of(block) in SYNTAX_ERRORS


def error_of(block: Block) -> str:
    """The type of the error that a block raises, as its page shows it; empty if it raises none."""
    result = block.result("pytb")
    return result.shown.partition(":")[0].strip() if result else ""


def going_on(block: Block) -> str:
    """The code of a block as code that prints the error it raises, and goes on."""
    if is_wrong_syntax(block):
        return "".join(f"# {line}\n" for line in block.source.splitlines())
    if not (error := error_of(block)):
        return with_guard(block, block.source)
    package = error.rpartition(".")[0]
    caught = f'try:\n{indented(block.source)}except {error} as error:\n    print(f"{error}: {{error}}")\n'
    return with_guard(block, f"import {package}\n\n{caught}" if package else caught)


def with_figure(block: Block, source: str) -> str:
    """The code of a block, which shows what it draws."""
    return f"{source}plt.show()\n" if block.figures else source


def with_guard(block: Block, source: str) -> str:
    """The code of a block, run only where there is what it needs."""
    if not block.needs:
        return source
    return guard(block.needs) + indented(source)


def indented(source: str) -> str:
    """Code moved right by four spaces, but for lines that begin inside a string."""
    inside = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
        for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)
    }
    lines = source.splitlines(keepends=True)
    return "".join(line if at in inside or not line.strip() else f"    {line}" for at, line in enumerate(lines, 1))


def joined(parts: list[str]) -> str:
    """Pieces of code as one, with two blank lines around what defines functions and classes."""
    parts = [part.strip("\n") + "\n" for part in parts if part.strip()]
    program = parts[0]
    for before, part in pairwise(parts):
        program += ("\n\n" if _defines(before, -1) or _defines(part, 0) else "\n") + part
    return program


def _defines(source: str, place: int) -> bool:
    body = ast.parse(source).body
    return bool(body) and isinstance(body[place], ast.FunctionDef | ast.ClassDef)
