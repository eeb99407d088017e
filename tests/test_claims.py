"""The ledger of claims: whole, each claim proved by a block that shows or asserts something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tensorproof import claims
from tensorproof.claims import Claim
from tensorproof.page import Page

ROOT = Path(__file__).parent.parent


def ledger(*ids: str) -> list[Claim]:
    return [Claim(name, "It is said.", "true", "It is so.", "A book") for name in ids]


def page(code: str, directive: str = "<!-- proves: rank -->", result: str = "") -> Page:
    return Page.parse(f"{directive}\n```python\n{code}\n```\n{result}", Path("docs/page.md"))


@pytest.mark.parametrize(
    "proof",
    [
        page("assert True"),
        page("if True:\n    assert True"),
        page("print(1)", result="```text\n1\n```\n"),
        page("1 / 0", result="```pytb\nZeroDivisionError: division by zero\n```\n"),
        page("draw()", result="![A line](page/line.svg)\n"),
    ],
    ids=["asserts", "asserts within", "shows text", "shows an error", "shows a figure"],
)
def test_a_claim_is_proved_by_a_block_that_shows_or_asserts(proof: Page) -> None:
    assert claims.problems(ledger("rank"), [proof]) == []


def test_a_block_that_neither_shows_nor_asserts_proves_nothing() -> None:
    assert claims.problems(ledger("rank"), [page("x = 1")]) == [
        "docs/page.md:3: proves 'rank', but shows no result and asserts nothing"
    ]


def test_a_claim_that_no_block_proves_is_a_problem() -> None:
    assert claims.problems(ledger("rank", "axis"), [page("assert True")]) == ["axis: no block proves this claim"]


def test_a_proof_of_an_unknown_claim_is_a_problem() -> None:
    assert claims.problems(ledger("rank"), [page("assert True", "<!-- proves: rank, rang, axes -->")]) == [
        "docs/page.md:3: proves 'axes', which is no claim",
        "docs/page.md:3: proves 'rang', which is no claim",
    ]


def test_a_claim_may_have_several_proofs() -> None:
    both = [page("assert 1"), page("assert 2", "<!-- proves: rank, axis -->")]
    assert claims.problems(ledger("rank", "axis"), both) == []
    assert [len(found) for found in claims.proofs(both).values()] == [2, 1]


ENTRY = """
- id: rank
  claim: It is said.
  verdict: true-with-limits
  fact: It is so.
  source: A book
"""


def test_a_ledger_is_read(tmp_path: Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(ENTRY)
    assert claims.read(file) == [Claim("rank", "It is said.", "true-with-limits", "It is so.", "A book")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ENTRY + ENTRY, "rank comes twice"),
        (
            ENTRY.replace("true-with-limits", "maybe"),
            "rank: the verdict 'maybe' is none of true, true-with-limits, false, opinion",
        ),
        (
            ENTRY.replace("true-with-limits", "true"),
            "claim 1 (rank): 'verdict' is True and not a text: put it in quotes",
        ),
        (ENTRY.replace("  fact: It is so.\n", ""), "claim 1 (rank): .*missing.*'fact'"),
        (ENTRY.replace("fact", "facts"), "claim 1 (rank): .*unexpected.*'facts'"),
        (ENTRY + "- id: axis\n", "claim 2 (axis): .*missing"),
        (ENTRY.replace("It is so.", ""), "claim 1 (rank): 'fact' is None and not a text"),
        (ENTRY + "- axis\n", "claim 2 is not a mapping of fields"),
        ("", "a ledger is a list of claims"),
        ("id: rank\n", "a ledger is a list of claims"),
    ],
    ids=[
        "twice",
        "verdict",
        "bare verdict",
        "missing",
        "unknown",
        "missing in the second",
        "empty",
        "no fields",
        "nothing",
        "no list",
    ],
)
def test_a_ledger_that_is_not_whole_is_an_error_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"claims.yaml: {problem}".replace("(", r"\(").replace(")", r"\)")):
        claims.read(file)


def test_the_claims_of_the_book_are_proved() -> None:
    pages = [Page.read(file) for file in sorted((ROOT / "docs").rglob("*.md"))]
    assert claims.problems(claims.read(ROOT / "docs/reference/claims.yaml"), pages) == []
