"""Rewrites the results on a page to what its blocks did: what `pytest --update` does.

Only results change: the text of a `text` or `pytb` fence, a `text` fence that is missing or no longer
printed, a figure file. What may vary on the page (`...`, the last digits of a float) stays as it is.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from tensorproof import figures
from tensorproof.page import Block, Page, Result
from tensorproof.results import figure_file, same_error, same_text
from tensorproof.session import Outcome


def cannot_update(block: Block, outcome: Outcome) -> bool:
    """Whether only an author can tell what is meant.

    The block broke, raises or no longer raises, draws more or fewer figures, or prints what would end its fence.
    """
    return bool(
        outcome.broken
        or bool(outcome.error) != bool(block.result("pytb"))
        or len(outcome.figures) != len(block.figures)
        or "```" in outcome.printed
    )


def updated_text(page: Page, outcomes: dict[int, Outcome]) -> str:
    """The text of the page with the results of these blocks (by their place on the page) brought up to date."""
    lines = page.text.split("\n")
    for at in sorted(outcomes, reverse=True):  # from the end, so that line numbers before it stay true
        block, outcome = page.blocks[at], outcomes[at]
        if outcome.skipped:
            continue
        if (error := block.result("pytb")) and not same_error(error.shown, outcome.error):
            _replace(lines, error, outcome.error)
        _update_text(lines, block, outcome.printed.strip("\n"))
    return "\n".join(lines)


def _update_text(lines: list[str], block: Block, printed: str) -> None:
    shown = block.result("text")
    if shown is None:
        if printed:
            fence = ["", "```text", *printed.split("\n"), "```"]
            lines[block.last : block.last] = [(block.indent + line).rstrip() for line in fence]
    elif not printed:
        first = shown.first - 1
        if not lines[first - 1].strip(" >"):
            first -= 1
        del lines[first : shown.last]
    elif not same_text(shown.shown, printed):
        _replace(lines, shown, printed)


def _replace(lines: list[str], result: Result, text: str) -> None:
    lines[result.first : result.last - 1] = [(result.indent + line).rstrip() for line in text.split("\n")]


def update(page: Page, outcomes: dict[int, Outcome]) -> str:
    """Write the results of these blocks to the page and its figure files; return the diff."""
    changed = {page.path: updated_text(page, outcomes)}
    for at, outcome in outcomes.items():
        for result, drawn in zip(page.blocks[at].figures, outcome.figures, strict=True):
            changed[figure_file(page, result)] = drawn
    diffs = []
    for path, new in changed.items():
        old = path.read_text("utf-8") if path.exists() else ""
        if path.suffix == ".svg" and old and not figures.difference(old, new):
            continue
        if new != old:
            _write(path, new)
            versions = old.splitlines(), new.splitlines()
            diff = difflib.unified_diff(*versions, str(path), str(path), "before", "after", lineterm="")
            diffs.append("\n".join(diff) if path.suffix == ".md" else f"drawn anew: {path}")
    return "\n".join(diffs)


def _write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    newline = "\r\n" if path.exists() and b"\r\n" in path.read_bytes() else "\n"
    part.write_text(text, "utf-8", newline=newline)
    os.replace(part, path)
