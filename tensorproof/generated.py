"""What the site writes about the book: how pages were tested, where code is to be had, what became of the claims."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from tensorproof import claims, reading, record
from tensorproof.page import Page


def about_chapter(docs: Path, name: str) -> str:
    """Below the title of a chapter: how long it takes, and its code to take along.

    Args:
        docs: The folder of the pages.
        name: The chapter, relative to it: `tensors/rank.md`.
    """
    stem = PurePosixPath(name).stem
    minutes = _number(reading.minutes(Page.read(docs / name)), "minute")
    files = f"a [notebook]({stem}-chapter.ipynb){{ download }} or a [script]({stem}-chapter.py){{ download }}"
    return f"About {minutes} to read. Take its code along as {files}."


def about_program(docs: Path, name: str) -> str:
    """Below the title of a program: where it is to be had, and its chapter.

    Args:
        docs: The folder of the pages.
        name: The program, relative to the folder beside it: `snippets/tensors/rank.py`.
    """
    path = PurePosixPath(name)
    files = " or ".join(
        f"[{path.stem}{kind}]({path.stem}/{path.stem}{kind}){{ download }}" for kind in (".py", ".ipynb")
    )
    chapter = PurePosixPath(*path.parts[1:]).with_suffix(".md")
    above = "../" * (len(path.parts) - 1)
    belongs = f" It belongs to [this chapter]({above}{chapter})." if (docs / chapter).is_file() else ""
    return f"Download it as {files}.{belongs}"


def about_tests(docs: Path, name: str) -> str:
    """With what the blocks of a page ran last as they are, or that they did not."""
    here = record.fingerprints(Page.read(docs / name))
    current = {
        surroundings: entry
        for surroundings, entry in record.read(docs / "reference" / "tested.json").items()
        if entry["pages"].get(name, {}).get("fingerprints") == here
    }
    to_record = "../" * name.count("/") + "reference/tested.md"
    if not current:
        return f"The code of this page has [not been tested]({to_record}) since it was last changed."
    surroundings, entry = max(current.items(), key=lambda item: (item[1]["date"], item[0]))
    others = f", and with {_number(len(current) - 1, 'other set-up')}" if len(current) > 1 else ""
    return f"[Tested]({to_record}) {entry['date']}: {_counts(entry['pages'][name])}, with {surroundings}{others}."


def _counts(counts: dict[str, Any]) -> str:
    """What ran on a page, in words: `34 blocks ran: 19 results, 14 expected errors, 1 figure, 2 exercises`."""
    names = {kind: kind.removesuffix("s") for kind in record.COUNTED[1:]} | {"errors": "expected error"}
    said = [_number(counts[kind], name) for kind, name in names.items() if counts[kind]]
    if counts["skips"]:
        said.append(f"{len(counts['skips'])} skipped")
    return f"{_number(counts['blocks'], 'block')} ran: {', '.join(said) or 'nothing shown'}"


def _number(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def all_records(docs: Path) -> str:
    """The whole record in Markdown: for each surroundings a table of the pages that ran there."""
    parts = []
    entries = record.read(docs / "reference" / "tested.json")
    for name, entry in sorted(entries.items(), key=lambda item: (item[1]["date"], item[0]), reverse=True):
        rows = ["| Page | Code | What ran | Skipped |", "|---|---|---|---|"]
        for page, counts in entry["pages"].items():
            file = docs / page
            current = file.exists() and record.fingerprints(Page.read(file)) == counts["fingerprints"]
            skips = "; ".join(f"{skip['block']}: {skip['reason']}" for skip in counts["skips"]) or "nothing"
            link = f"[{page.removesuffix('.md')}](../{page})" if file.exists() else page
            rows.append(f"| {link} | {'as shown' if current else 'changed since'} | {_counts(counts)} | {skips} |")
        parts.append(f"## {name}\n\nLast run {entry['date']}.\n\n" + "\n".join(rows))
    return "\n\n".join(parts) or "No run has been recorded."


def all_claims(docs: Path) -> str:
    """Every claim with its verdict, what is so, and links to the blocks that prove it."""
    ledger = claims.read(docs / "reference" / "claims.yaml")
    found = claims.proofs([Page.read(file) for file in sorted(docs.rglob("*.md"))])
    items = []
    for claim in ledger:
        links = {
            f"[{proof.block.heading}](../{proof.page.path.relative_to(docs).as_posix()}#{proof.block.anchor})"
            for proof in found.get(claim.id, [])
        }
        verdict = claim.verdict.replace("-", " ").capitalize()
        items.append(f"- **{claim.claim}** *{verdict}.* {claim.fact} See {' and '.join(sorted(links))}.")
    return "\n".join(items)
