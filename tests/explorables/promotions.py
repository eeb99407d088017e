"""What promotion makes of two operands: asked of torch, and written into the module that the explorable looks it up in.

`python tests/explorables/promotions.py` adds the answers of the torch that runs it to those of other versions.
"""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import torch

MODULE = Path(__file__).parents[2] / "docs" / "explorables" / "promotions.js"
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
NUMBERS = {"bool": True, "int": 1, "float": 1.0, "complex": 1j}
OPERANDS = {
    **{f"dims {name}": torch.ones(1, dtype=getattr(torch, name)) for name in DTYPES},
    **{f"rank 0 {name}": torch.ones((), dtype=getattr(torch, name)) for name in DTYPES},
    **{f"number {name}": number for name, number in NUMBERS.items()},
}
RESULTS = (*DTYPES, "complex32", "bcomplex32")
"""An answer is written as one letter: the first of these as a, the next as b."""


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def ask() -> list[str]:
    """A row of letters for each operand on the left, with a letter for each on the right."""
    letters = {name: chr(ord("a") + n) for n, name in enumerate(RESULTS)}
    answers = [letters[short(torch.result_type(a, b))] for a, b in product(OPERANDS.values(), repeat=2)]
    return ["".join(answers[start : start + len(OPERANDS)]) for start in range(0, len(answers), len(OPERANDS))]


def minor(version: str) -> tuple[int, ...]:
    """2.15.0+cpu is (2, 15)."""
    return tuple(map(int, version.split("+")[0].split(".")[:2]))


def read() -> dict[str, list[str]]:
    """The tables in the module, each under the version since which it holds."""
    found = re.search(r"TABLES = (\{.*?\});", MODULE.read_text("utf-8"), re.DOTALL) if MODULE.is_file() else None
    return json.loads(re.sub(r",(\s*[\]}])", r"\1", found[1])) if found else {}


def table_of(version: str, tables: dict[str, list[str]]) -> list[str]:
    """The table that holds for a version."""
    return tables[max((since for since in tables if minor(since) <= minor(version)), key=minor)]


def write(tables: dict[str, list[str]]) -> None:
    """Write the tables, without those that repeat the one before."""
    ordered = sorted(tables.items(), key=lambda item: minor(item[0]))
    kept = {since: rows for n, (since, rows) in enumerate(ordered) if n == 0 or rows != ordered[n - 1][1]}
    lists = "".join(
        f'  "{since}": [\n' + "".join(f'    "{row}",\n' for row in rows) + "  ],\n" for since, rows in kept.items()
    )
    names = "".join(f"export const {name} = {json.dumps(list(value))};\n" for name, value in NAMES.items())
    MODULE.write_text(f"{HEAD}\n{names}\n{COMMENT}\nexport const TABLES = {{\n{lists}}};\n", "utf-8")


NAMES = {"OPERANDS": OPERANDS, "RESULTS": RESULTS}
HEAD = (
    "/** What torch.result_type says of two operands. Written by tests/explorables/promotions.py, never by hand. */\n"
)
COMMENT = "/** Since a version: a row for each operand, and in it a letter for each other. An a is RESULTS[0]. */"

if __name__ == "__main__":
    write(read() | {".".join(map(str, minor(torch.__version__))): ask()})
