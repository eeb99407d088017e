"""Every block of every page is a test: selected, run once, reported with page, line and what to expect."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest
from conftest import Book, says, verdicts


def counting(book: Book, *headings: str) -> Path:
    """Write a page whose blocks, one below each heading, note that they run; return the file that they note it in."""
    ran = book.docs.parent / "ran"
    book.page(
        "\n".join(f"## {name}\n```python\nprint({name!r}, file=open({str(ran)!r}, 'a'))\n```" for name in headings)
    )
    return ran


def test_a_page_of_n_blocks_runs_n_blocks(book: Book) -> None:
    names = [f"block-{number}" for number in range(20)]
    ran = counting(book, *names)
    book.run().assert_outcomes(passed=20)
    assert ran.read_text().split() == names


@pytest.mark.parametrize("selection", [("-k", "three"), ("docs/page.md::three-1",)], ids=["-k", "node id"])
def test_one_block_is_selected_and_those_before_it_run_once(book: Book, selection: tuple[str, ...]) -> None:
    ran = counting(book, "one", "two", "three", "four")
    run = book.run(*selection)
    assert verdicts(run) == {"page.md::three-1": "passed"}
    assert ran.read_text().split() == ["one", "two", "three"]


def test_two_selected_blocks_share_the_blocks_before_them(book: Book) -> None:
    ran = counting(book, "one", "two", "three", "four")
    run = book.run("-k", "two or four")
    assert verdicts(run) == {"page.md::two-1": "passed", "page.md::four-1": "passed"}
    assert ran.read_text().split() == ["one", "two", "three", "four"]


def test_a_selected_block_fails_where_one_before_it_fails(book: Book) -> None:
    book.page("## One\n```python\n1 / 0\n```\n## Two\n```python\nx = 1\n```")
    run = book.run("-k", "two")
    run.assert_outcomes(failed=1, deselected=1)
    says(run, "docs/page.md:7: not run, because the block at page.md:3 failed")


def test_collecting_runs_nothing_and_names_no_lines(book: Book) -> None:
    ran = counting(book, "one", "two")
    run = book.run("--collect-only", "-q")
    assert run.outlines[:2] == ["docs/page.md::one-1", "docs/page.md::two-1"]
    assert not ran.exists()


def test_several_processes_come_to_the_same_verdicts(book: Book) -> None:
    for name in ("first", "second", "third"):
        ran = counting(book, "one", "two", "three")
        text = (book.docs / "page.md").read_text()
        book.page(f"{text}\n## Failing\n```python\nassert False\n```\n## After\n```python\nx = 1\n```", name)
    (book.docs / "page.md").unlink()
    alone = book.pytester.runpytest_subprocess("-p", "tensorproof.collect", "-v")
    ran.unlink()
    together = book.pytester.runpytest_subprocess("-p", "tensorproof.collect", "-v", "-n", "2")
    expected = {f"docs/{page}.md::{block}-1" for page in ("first", "second", "third") for block in ("failing", "after")}
    for run in (alone, together):
        run.assert_outcomes(passed=9, failed=6)
        assert {word for line in run.outlines if "FAILED" in line for word in line.split() if "::" in word} == expected
    assert sorted(ran.read_text().split()) == sorted(["one", "two", "three"] * 3)


def test_several_processes_share_the_cores(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    book.page("# Page\n```python\nimport os\nprint(os.environ['OMP_NUM_THREADS'])\n```\n```text\n1\n```\n")
    run = book.pytester.runpytest_subprocess("-p", "tensorproof.collect", "-n", str(os.cpu_count()))
    run.assert_outcomes(passed=1)


def test_pages_with_the_same_text_keep_apart(book: Book) -> None:
    text = '```python\nopen("made", "x")\n1 / 0\n```'
    book.page(text, "first")
    book.page(text, "second")
    run = book.run()
    assert verdicts(run) == {"first.md::top-1": "failed", "second.md::top-1": "failed"}
    says(run, "docs/first.md:2: it raises ZeroDivisionError")
    says(run, "docs/second.md:2: it raises ZeroDivisionError")


def test_only_what_lies_in_docs_is_a_page(book: Book) -> None:
    (book.docs.parent / "README.md").write_text("```python\n1 / 0\n```\n")
    book.check("```python\nx = 1\n```", "docs", ".").assert_outcomes(passed=1)


def test_the_collector_of_pytest_markdown_docs_is_refused(book: Book) -> None:
    counting(book, "one")
    run = book.run("--markdown-docs")
    assert run.ret != 0
    run.stderr.fnmatch_lines(["*leave out --markdown-docs*"])


def test_a_failure_shows_the_page_the_block_and_what_differs(book: Book) -> None:
    run = book.check("""
        # Rank

        ```python
        import sys

        print("asking", file=sys.stderr)
        print("rank", 2)
        ```

        ```text
        rank 3
        ```
    """)
    lines = run.outlines
    start = next(at for at, line in enumerate(lines) if "rank-1" in line)
    assert "\n".join(lines[start + 1 : -1]) == (
        """\
docs/page.md:10: it prints something else than the page shows

    - shown on the page
    + what the code does

    - rank 3
    ?      ^
    + rank 2
    ?      ^

docs/page.md:4: this block

     4 | import sys
     5 |
     6 | print("asking", file=sys.stderr)
     7 | print("rank", 2)

it wrote to standard error:
asking"""
    )


def test_a_failure_shows_every_problem_of_its_block(book: Book) -> None:
    run = book.check("""
        ```python
        print(1)
        1 / 0
        ```

        ```text
        2
        ```

        ![A line](page/line.svg)
    """)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:2: it raises ZeroDivisionError: division by zero")
    says(run, "docs/page.md:6: it prints something else than the page shows")
    says(run, "docs/page.md:2: figures that it draws: 0; that the page shows below it: 1")


def test_a_traceback_names_lines_of_the_page_and_no_path_of_the_machine(book: Book) -> None:
    run = book.check("""
        Text.

        !!! note

            ```python
            import json

            def ask(answer):
                return json.loads(answer)
            ```

        ```python
        ask("no")
        ```
    """)
    run.assert_outcomes(passed=1, failed=1)
    says(run, "docs/page.md:13: it raises json.decoder.JSONDecodeError")
    says(run, 'File "docs/page.md", line 13, in <module>', 'ask("no")')
    says(run, 'File "docs/page.md", line 9, in ask', "return json.loads(answer)", 'File "json/')
    report = run.stdout.str().partition("FAILURES")[2]
    assert str(book.docs.parent) not in report
    assert '"/' not in report


def test_a_block_runs_where_it_has_what_it_needs_and_is_skipped_with_its_reason_elsewhere(
    book: Book, torch: ModuleType
) -> None:
    run = book.check("""
        <!-- needs: cuda -->
        ```python
        import torch

        print(torch.cuda.is_available())
        ```

        ```text
        True
        ```

        <!-- needs: mps -->
        ```python
        import torch

        print(torch.backends.mps.is_available())
        ```

        ```text
        True
        ```

        ```python
        x = 1
        ```
    """)
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    assert verdicts(run) == {
        "page.md::top-1": "passed" if has["cuda"] else "skipped",
        "page.md::top-2": "passed" if has["mps"] else "skipped",
        "page.md::top-3": "passed",
    }
    for need, line in {"cuda": 3, "mps": 14}.items():
        if not has[need]:
            says(run, f"SKIPPED [1] docs/page.md:{line}: needs {need}, which this machine lacks")
