"""How long it takes to read a page, up to its questions and exercises."""

from __future__ import annotations

from tensorproof.page import Page

WORDS_PER_MINUTE = 238
"""Silent reading of English non-fiction, on average (Brysbaert 2019, doi:10.1016/j.jml.2019.104047)."""
SECONDS_PER_LINE_OF_CODE = 4
SECONDS_PER_LINE_OF_RESULT = 2
"""Estimates of ours: code is read with its meaning, a result is held against an expectation."""
WORK = ("Ten questions", "Exercise")
"""How the headings begin below which a reader does not read but work."""


def minutes(page: Page) -> int:
    """Whole minutes to read text, blocks and results; questions and exercises take as long as they take."""
    end = min((line for line, title in page.headings.items() if title.startswith(WORK)), default=None)
    lines = page.text.split("\n")[:end]
    fenced = set()
    code = results = 0
    for block in [block for block in page.blocks if block.line <= len(lines)]:
        length = block.source.count("\n")
        code += length
        fenced |= set(range(block.line - 1, block.last + 1))
        for result in block.results:
            results += 0 if result.kind == "figure" else result.last - result.first - 1
            fenced |= set(range(result.first, result.last + 1))
    words = sum(
        sum(any(map(str.isalnum, word)) for word in line.split())  # the lines of a table are no words
        for number, line in enumerate(lines, 1)
        if number not in fenced and not line.lstrip().startswith("<!--")
    )
    seconds = words * 60 / WORDS_PER_MINUTE + code * SECONDS_PER_LINE_OF_CODE + results * SECONDS_PER_LINE_OF_RESULT
    return max(1, round(seconds / 60))
