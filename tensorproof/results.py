"""Compares what a page shows with what its code did.

Text is equal if it is the same, but for three liberties: white space at the end of a line, `...` on the
page for text that may vary, and numbers with a decimal point, which may differ by one part in a million
(float32 carries seven digits, and processors differ in the last). Whole numbers have no liberty.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path

from tensorproof import figures
from tensorproof.page import Block, Page, Result
from tensorproof.session import Outcome

RELATIVE_TOLERANCE = 1e-6

_TOKEN = re.compile(r"\.\.\.|\d+\.\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+|\d+|\s+|\w|.", re.DOTALL)
_FLOAT = re.compile(r"(\d+\.\d*|\.\d+)(e[-+]?\d+)?|\d+e[-+]?\d+")


def same_text(shown: str, actual: str) -> bool:
    """Whether text on a page tells what was printed."""
    return _matches(_tokens(shown), _tokens(actual))


def same_error(shown: str, actual: str) -> bool:
    """Whether an error on a page is the one that was raised: its type to the letter, its message as text."""
    return shown.partition(":")[0].strip() == actual.partition(":")[0].strip() and same_text(shown, actual)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall("\n".join(line.rstrip() for line in text.strip("\n").split("\n")))


def _matches(shown: list[str], actual: list[str]) -> bool:
    """Match tokens, where `...` stands for any number of them (a glob, by the usual two pointers)."""
    at = in_actual = 0
    wild = resume = -1
    while in_actual < len(actual):
        if at < len(shown) and shown[at] == "...":
            wild, resume = at, in_actual
            at += 1
        elif at < len(shown) and _same_token(shown[at], actual[in_actual]):
            at += 1
            in_actual += 1
        elif wild >= 0:
            at, resume = wild + 1, resume + 1
            in_actual = resume
        else:
            return False
    return all(token == "..." for token in shown[at:])


def _same_token(shown: str, actual: str) -> bool:
    if shown == actual:
        return True
    if not (_FLOAT.fullmatch(shown) and _FLOAT.fullmatch(actual)):
        return False
    return math.isclose(float(shown), float(actual), rel_tol=RELATIVE_TOLERANCE)


@dataclass(frozen=True)
class Mismatch:
    """One way in which a block does not do what its page says."""

    line: int
    problem: str
    shown: str = ""
    actual: str = ""

    def __str__(self) -> str:
        if not (self.shown or self.actual):
            return self.problem
        diff = difflib.ndiff(self.shown.splitlines() or [""], self.actual.splitlines() or [""])
        lines = ["- shown on the page", "+ what the code does", "", *diff]
        return "\n".join([self.problem, "", *(f"    {line}".rstrip() for line in lines)])


def mismatches(page: Page, block: Block, outcome: Outcome) -> list[Mismatch]:
    """All the ways in which a block does not do what its page says."""
    if outcome.skipped:
        return []
    if outcome.broken:
        return [Mismatch(block.line, outcome.broken)]
    return [*_error(block, outcome), *_printed(block, outcome), *_figures(page, block, outcome)]


def _error(block: Block, outcome: Outcome) -> list[Mismatch]:
    shown = block.result("pytb")
    if shown is None:
        return [Mismatch(block.line, f"it raises {outcome.error}\n\n{outcome.traceback}")] if outcome.error else []
    if not outcome.error:
        passes = {"wrong": "the wrong answer passes", "check": "the starter passes"}.get(block.role)
        what = f"{passes} the check of {block.heading!r}" if passes else "it raises nothing"
        return [Mismatch(shown.first, f"{what}, but the page shows an error", shown.shown)]
    if not same_error(shown.shown, outcome.error):
        return [Mismatch(shown.first, "it raises another error than the page shows", shown.shown, outcome.error)]
    return []


def _printed(block: Block, outcome: Outcome) -> list[Mismatch]:
    shown = block.result("text")
    actual = outcome.printed.strip("\n")
    if shown is None:
        return [Mismatch(block.line, "it prints, and the page shows nothing of it", "", actual)] if actual else []
    if not actual:
        return [Mismatch(shown.first, "it prints nothing, but the page shows text", shown.shown)]
    if not same_text(shown.shown, actual):
        return [Mismatch(shown.first, "it prints something else than the page shows", shown.shown, actual)]
    return []


def _figures(page: Page, block: Block, outcome: Outcome) -> list[Mismatch]:
    drawn, shown = outcome.figures, block.figures
    if len(drawn) != len(shown):
        return [
            Mismatch(block.line, f"figures that it draws: {len(drawn)}; that the page shows below it: {len(shown)}")
        ]
    return [problem for result, figure in zip(shown, drawn, strict=True) for problem in _figure(page, result, figure)]


def _figure(page: Page, result: Result, drawn: str) -> list[Mismatch]:
    file = figure_file(page, result)
    if not file.exists():
        return [Mismatch(result.first, f"there is no {result.shown}: `--update` draws it")]
    difference = figures.difference(file.read_text("utf-8"), drawn)
    return [Mismatch(result.first, f"it draws another figure than {result.shown}: {difference}")] if difference else []


def figure_file(page: Page, result: Result) -> Path:
    return page.path.parent / result.shown
