"""The words of the book: where one appears first on a page, it leads to the glossary and tells what it means."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

PAGE = "reference/glossary.md"

_ENTRY = re.compile(r"^(?P<term>\w[\w -]*)\n:   (?P<definition>.+)$", re.MULTILINE)
_TAG = re.compile(r"(<[^>]*>)")
_NAME = re.compile(r"</?([\w-]+)")
_UNTOUCHED = {"a", "button", "code", "h1", "h2", "h3", "h4", "math", "pre", "script", "style", "summary", "svg"}
"""Elements whose text stays as it is."""


def read(file: Path) -> dict[str, str]:
    """The terms of the glossary, and what each means in plain text, without the link to its chapter."""
    entries = _ENTRY.finditer(file.read_text("utf-8"))
    return {entry["term"]: re.sub(r"\s*\[.*?\]\(.*?\)|`", "", entry["definition"]) for entry in entries}


def with_anchors(html: str) -> str:
    """The page of the glossary with an anchor at each of its terms."""
    return re.sub(r"<dt>([\w -]+)</dt>", lambda match: f'<dt id="{anchor(match[1])}">{match[1]}</dt>', html)


def anchor(term: str) -> str:
    return term.replace(" ", "-")


def forms(term: str) -> set[str]:
    """A term and its plural."""
    return {term, f"{term}s", f"{term}es", re.sub("ix$", "ices", term)}


def with_tooltips(html: str, terms: dict[str, str], glossary: str) -> str:
    """The content of a page in which each term, where it appears first, tells what it means.

    A term that the page itself defines, which it does in bold type, is left alone.

    Args:
        html: The content.
        terms: Terms and their meanings.
        glossary: The address of the glossary, relative to the page.
    """
    bold = {word.lower() for word in re.findall(r"<strong>(.*?)</strong>", html)}
    ahead = {term for term in terms if bold.isdisjoint(forms(term))}
    if not ahead:
        return html
    term_of = {form: term for term in ahead for form in forms(term)}
    word = re.compile(rf"\b({'|'.join(sorted(term_of, key=len, reverse=True))})\b", re.IGNORECASE)

    def link(match: re.Match[str]) -> str:
        term = term_of[match[1].lower()]
        if term not in ahead:
            return match[0]
        ahead.remove(term)
        return f'<a class="term" href="{glossary}#{anchor(term)}" title="{escape(terms[term])}">{match[0]}</a>'

    parts, untouched = [], 0
    for part in _TAG.split(html):
        if (tag := _NAME.match(part)) and tag[1] in _UNTOUCHED:
            untouched += -1 if part.startswith("</") else 1
        parts.append(part if untouched or part.startswith("<") else word.sub(link, part))
    return "".join(parts)
