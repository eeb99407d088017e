"""Words of the glossary: read from its page, linked once from every other page, and none of the book is missing."""

import re
from pathlib import Path

import pytest

from tensorproof import glossary

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TERMS = {"matrix": "Of rank 2.", "stride": "Places to walk.", "rank": 'How many "indices".', "row of views": "Some."}


def linked(html: str) -> str:
    """The page with its tooltips, in which a linked word stands in brackets."""
    return re.sub(r'<a class="term"[^>]*>(.*?)</a>', r"[\1]", glossary.with_tooltips(html, TERMS, "../glossary/"))


def test_terms_are_read_with_their_meaning_and_without_the_link_to_a_chapter(tmp_path):
    file = tmp_path / "glossary.md"
    file.write_text(
        "# Glossary\n\nText.\n\nrank\n:   How many `indices`. [Rank](rank.md#a)\n\nrow of views\n:   Some.\n"
    )
    assert glossary.read(file) == {"rank": "How many indices.", "row of views": "Some."}


def test_a_word_leads_to_the_glossary_and_tells_what_it_means():
    assert glossary.with_tooltips("<p>A rank.</p>", TERMS, "../glossary/") == (
        '<p>A <a class="term" href="../glossary/#rank" title="How many &quot;indices&quot;.">rank</a>.</p>'
    )


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>A rank and a rank.</p><p>Rank.</p>", "<p>A [rank] and a rank.</p><p>Rank.</p>"),
        ("<p>Strides and ranks.</p>", "<p>[Strides] and [ranks].</p>"),
        ("<p>Two matrices and a matrix.</p>", "<p>Two [matrices] and a matrix.</p>"),
        ("<p>A row of views.</p>", "<p>A [row of views].</p>"),
        ("<p>Franked and ranking.</p>", "<p>Franked and ranking.</p>"),
        ("<h2>A rank</h2><p>A rank.</p>", "<h2>A rank</h2><p>A [rank].</p>"),
        ("<p><a href='#'>A <em>rank</em></a>, a rank.</p>", "<p><a href='#'>A <em>rank</em></a>, a [rank].</p>"),
        (
            "<pre><code>rank</code></pre><p><code>rank</code></p>",
            "<pre><code>rank</code></pre><p><code>rank</code></p>",
        ),
        ('<img alt="a rank"><p>rank</p>', '<img alt="a rank"><p>[rank]</p>'),
        ("<svg><text>rank</text></svg><p>rank</p>", "<svg><text>rank</text></svg><p>[rank]</p>"),
        ("<summary>rank</summary><p>rank</p>", "<summary>rank</summary><p>[rank]</p>"),
        ("<p>A rank. The <strong>rank</strong> is</p>", "<p>A rank. The <strong>rank</strong> is</p>"),
        ("<p>A rank. <strong>Ranks</strong> are</p>", "<p>A rank. <strong>Ranks</strong> are</p>"),
    ],
)
def test_a_word_is_linked_where_it_stands_in_text_for_the_first_time(html, expected):
    assert linked(html) == expected


def test_the_glossary_has_an_anchor_for_each_term():
    html = "<dl><dt>rank</dt><dd>rank</dd><dt>row of views</dt></dl>"
    assert glossary.with_anchors(html) == (
        '<dl><dt id="rank">rank</dt><dd>rank</dd><dt id="row-of-views">row of views</dt></dl>'
    )


def test_the_glossary_is_in_alphabetical_order_and_every_entry_is_read():
    terms = list(glossary.read(DOCS / glossary.PAGE))
    assert terms == sorted(terms)
    assert len(terms) == (DOCS / glossary.PAGE).read_text("utf-8").count("\n:   ") > 0


def test_every_word_that_a_chapter_defines_is_in_the_glossary():
    terms = set(glossary.read(DOCS / glossary.PAGE))
    defined = {
        (file.name, word.lower())
        for file in DOCS.rglob("*/*.md")
        if file.parent.name != "reference"
        for word in re.findall(r"\*\*(\w[\w -]*)\*\*", file.read_text("utf-8"))
    }
    assert defined
    assert {
        (name, word) for name, word in defined if word not in terms and word.removesuffix("s") not in terms
    } == set()
