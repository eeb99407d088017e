"""The record says what ran, page by page, and nothing of a page that failed or did not run as a whole."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import Book

from tensorproof import record
from tensorproof.page import Page

RANK = """
# Rank

```python
print(1)
```

```text
1
```

```python
1 / 0
```

```pytb
ZeroDivisionError: division by zero
```

## Exercise: make it true

```python
answer = False
```

```python
assert answer
```

```pytb
AssertionError
```

??? success

    ```python
    answer = True
    ```

??? failure

    ```python
    answer = 0
    ```

    ```pytb
    AssertionError
    ```
"""


pytestmark = pytest.mark.usefixtures("torch")  # the record asks it for its device


@pytest.fixture
def file(book: Book) -> Path:
    return book.docs.parent / "tested.json"


def pages(file: Path) -> dict[str, Any]:
    """What is recorded of each page with the versions and the device at hand."""
    [entry] = record.read(file).values()
    return dict(entry["pages"])


def test_a_run_records_what_ran_on_each_page(book: Book, file: Path) -> None:
    rank = book.page(RANK, "tensors/rank")
    book.page("```python\nx = 1\n```\n", "index")
    book.run("--record", str(file)).assert_outcomes(passed=7)
    [(name, entry)] = record.read(file).items()
    assert name == ", ".join(f"{key} {value}" for key, value in record.surroundings().items())
    assert entry["date"] == date.today().isoformat()
    assert entry["pages"]["tensors/rank.md"] == {
        "blocks": 6,
        "results": 1,
        "errors": 3,
        "figures": 0,
        "exercises": 1,
        "skips": [],
        "fingerprints": record.fingerprints(Page.read(rank)),
    }
    assert list(entry["pages"]) == ["index.md", "tensors/rank.md"]


def test_without_record_nothing_is_recorded(book: Book, file: Path) -> None:
    book.check(RANK).assert_outcomes(passed=6)
    assert not file.exists()


@pytest.mark.parametrize(
    ("failing", "arguments"),
    [
        (RANK.replace("print(1)", "print(2)"), ()),
        (RANK.replace("print(1)", "import os; os._exit(0)"), ()),
        (RANK, ("-k", "exercise or good")),
        (RANK, ("docs/good.md", "docs/page.md::rank-1")),
        (RANK.replace("print(1)", "print(2)"), ("-x", "docs/good.md", "docs/page.md")),
    ],
    ids=["a failure", "an exit", "some blocks", "one block", "an early end"],
)
def test_a_page_that_did_not_pass_as_a_whole_is_not_recorded(
    book: Book, file: Path, failing: str, arguments: tuple[str, ...]
) -> None:
    book.page("# Good\n\n```python\nx = 1\n```\n", "good")
    book.check(failing, "--record", str(file), *arguments)
    assert list(pages(file)) == ["good.md"]


def test_a_failed_page_leaves_what_was_recorded_of_it(book: Book, file: Path) -> None:
    book.check(RANK, "--record", str(file))
    before = file.read_bytes()
    book.check(RANK.replace("print(1)", "print(2)"), "--record", str(file)).assert_outcomes(passed=5, failed=1)
    assert file.read_bytes() == before


def test_what_was_skipped_is_recorded_with_its_reason(book: Book, file: Path) -> None:
    book.check(
        """
        # Two machines in one

        <!-- needs: cuda, mps -->
        ```python
        print(1)
        ```

        ```text
        1
        ```

        ```python
        x = 1
        ```
        """,
        "--record",
        str(file),
    ).assert_outcomes(passed=1, skipped=1)
    recorded = pages(file)["page.md"]
    assert (recorded["blocks"], recorded["results"]) == (1, 0)
    [skip] = recorded["skips"]
    assert skip["block"] == "two-machines-in-one-1"
    assert skip["reason"] in ("needs cuda, which this machine lacks", "needs mps, which this machine lacks")


@pytest.mark.parametrize(
    ("change", "line"),
    [(("1 / 0", "2 / 0"), 12), (("\n1\n```", "\n1.0\n```"), 4), (("assert answer", "assert  answer"), 26)],
    ids=["code", "a result", "white space in code"],
)
def test_the_record_is_stale_once_a_block_or_a_result_has_changed(
    book: Book, file: Path, change: tuple[str, str], line: int
) -> None:
    book.check(RANK, "--record", str(file))
    changed = book.page(RANK.replace(*change))
    assert f"{changed}:{line}: this block has changed" in record.stale(file, "page.md", Page.read(changed))


def test_the_record_is_not_stale_after_a_change_of_the_text_around(book: Book, file: Path) -> None:
    book.check(RANK, "--record", str(file))
    page = Page.read(book.page(RANK + "More.\n"))
    assert not record.stale(file, "page.md", page)
    assert "no run of this page" in record.stale(file, "other.md", page)


def test_the_record_is_stale_once_a_block_is_gone(book: Book, file: Path) -> None:
    book.check(RANK + "\n# More\n\n```python\nx = 1\n```\n", "--record", str(file))
    assert "a block is gone" in record.stale(file, "page.md", Page.read(book.page(RANK)))


def test_several_processes_record_the_same(book: Book, file: Path) -> None:
    for name in ("first", "second"):
        book.page(RANK, name)
    book.run("--record", str(file))
    alone = file.read_bytes()
    file.unlink()
    book.pytester.runpytest_subprocess("-p", "tensorproof.collect", "-n", "2", "--record", str(file))
    assert file.read_bytes() == alone


def test_other_surroundings_and_other_pages_stay_in_the_record(book: Book, file: Path) -> None:
    other = {
        "torch 2.11.0, torchvision 0.26.0, Python 3.12, on CPU": {
            "date": "2026-01-31",
            "pages": {"a.md": {"blocks": 1}},
        }
    }
    file.write_text(json.dumps(other))
    book.page(RANK, "first")
    book.page(RANK, "second")
    book.run("--record", str(file))
    whole = file.read_bytes()
    assert record.read(file).items() > other.items()
    book.run("--record", str(file), "docs/first.md")
    assert file.read_bytes() == whole, "a part of the book adds to the record"


def test_there_is_no_record_before_the_first_run(tmp_path: Path) -> None:
    assert record.read(tmp_path / "tested.json") == {}
