"""The ledger of claims: sentences that learners are told, each with a verdict, each proved by a block.

`docs/reference/claims.yaml` holds them; `<!-- proves: id -->` above a block binds it to them.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import yaml

from tensorproof.page import Block, Page

VERDICTS = ("true", "true-with-limits", "false", "opinion")


@dataclass(frozen=True)
class Claim:
    """A sentence that learners are told, and what is so."""

    id: str
    claim: str
    verdict: str
    """`true`, `true-with-limits`, `false` or `opinion`."""
    fact: str
    source: str


@dataclass(frozen=True)
class Proof:
    """A block that proves a claim."""

    page: Page
    block: Block

    def __str__(self) -> str:
        return f"{self.page.path}:{self.block.line}"


def read(file: Path) -> list[Claim]:
    """Read a ledger.

    Raises:
        ValueError: naming the file and the claim, if a field is missing, unknown or wrong, or an id comes twice.
    """
    claims: dict[str, Claim] = {}
    entries = yaml.safe_load(file.read_text("utf-8"))
    if not isinstance(entries, list):
        raise ValueError(f"{file}: a ledger is a list of claims")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise ValueError(f"{file}: claim {number} is not a mapping of fields")
        place = f"{file}: claim {number} ({entry.get('id')})"
        try:
            claim = Claim(**entry)
        except TypeError as error:
            raise ValueError(f"{place}: {error}") from None
        for name, value in entry.items():
            if not isinstance(value, str):
                raise ValueError(f"{place}: {name!r} is {value!r} and not a text: put it in quotes")
        if claim.verdict not in VERDICTS:
            raise ValueError(f"{file}: {claim.id}: the verdict {claim.verdict!r} is none of {', '.join(VERDICTS)}")
        if claim.id in claims:
            raise ValueError(f"{file}: {claim.id} comes twice")
        claims[claim.id] = claim
    return list(claims.values())


def proofs(pages: list[Page]) -> dict[str, list[Proof]]:
    """The blocks that prove each claim, by its id."""
    found: dict[str, list[Proof]] = {}
    for page in pages:
        for block in page.blocks:
            for claim in block.proves:
                found.setdefault(claim, []).append(Proof(page, block))
    return found


def problems(claims: list[Claim], pages: list[Page]) -> list[str]:
    """What is wrong between ledger and pages: unknown ids, claims without proof, proofs that show nothing."""
    found = proofs(pages)
    unknown = sorted(found.keys() - {claim.id for claim in claims})
    return [
        *(f"{proof}: proves {name!r}, which is no claim" for name in unknown for proof in found[name]),
        *(f"{proof}: proves {name!r}, but shows no result and asserts nothing"
          for name in found for proof in found[name] if not _shows_or_asserts(proof.block)),
        *(f"{claim.id}: no block proves this claim" for claim in claims if claim.id not in found),
    ]  # fmt: skip


def _shows_or_asserts(block: Block) -> bool:
    return bool(block.results) or any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(block.source)))
