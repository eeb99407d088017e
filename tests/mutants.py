"""Changes every literal of a page by hand, one at a time, and tells which changes the page does not notice.

`python tests/mutants.py docs/tensors/rank.md` prints one line per literal that could be changed unnoticed.
The blocks before a change run once: a fork of the interpreter runs the changed block and those behind it.
"""

from __future__ import annotations

import ast
import copy
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tensorproof.interpreter import Interpreter
from tensorproof.page import Block, Page
from tensorproof.results import mismatches
from tensorproof.session import Outcome, environment, request

CAUGHT, UNNOTICED = 0, 1
SECONDS = 30
"""A change that makes a page run longer than this is noticed, too."""


def mutants(block: Block) -> Iterator[tuple[int, str, str]]:
    """Line of the page, the literal as it stands there, and the source of the block with another one in its place."""
    lines = block.source.splitlines(keepends=True)
    tree = ast.parse(block.source)
    in_f_strings = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in in_f_strings or node.value in (None, ...):
            continue
        line = lines[node.lineno - 1].encode()
        changed = line[: node.col_offset] + repr(other(node.value)).encode() + line[node.end_col_offset :]
        source = "".join([*lines[: node.lineno - 1], changed.decode(), *lines[node.lineno :]])
        yield block.line + node.lineno - 1, repr(node.value), source


def other(value: object) -> object:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}x"


def outcome(interpreter: Interpreter, block: Block) -> Outcome:
    return Outcome.of(interpreter.run(request(block)))


def notices(interpreter: Interpreter, page: Page, at: int, source: str) -> bool:
    """Whether the page fails if this block has another source; runs in a process of its own."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != UNNOTICED
    signal.alarm(SECONDS)
    changed = replace(page.blocks[at], source=source)
    for block in page.blocks[at + 1 :]:
        if block.check is page.blocks[at]:
            block.check = changed
    for block in [changed, *page.blocks[at + 1 :]]:
        if mismatches(page, block, outcome(interpreter, block)):
            os._exit(CAUGHT)
    os._exit(UNNOTICED)


def main(path: Path) -> None:
    page = Page.read(path)
    report = os.fdopen(os.dup(1), "w")  # the interpreter captures standard output
    interpreter = Interpreter(str(path), copy.copy(page.as_program()))
    for at, block in enumerate(page.blocks):
        for line, literal, source in mutants(block):
            if not notices(interpreter, page, at, source):
                print(f"{path}:{line}: {literal}", file=report, flush=True)
        outcome(interpreter, block)


if __name__ == "__main__":
    if "OMP_NUM_THREADS" not in os.environ:  # a fork has none of the threads of its parent
        os.execve(sys.executable, [sys.executable, *sys.argv], environment() | {"OMP_NUM_THREADS": "1"})
    main(Path(sys.argv[1]))
