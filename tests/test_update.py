"""`--update` brings results up to date in place, and nothing else; without it nothing is ever written."""

from __future__ import annotations

import os

import pytest
from conftest import Book, says

OUTDATED = """
# A page  with  odd   spacing

```python
print("new")
```

```text
old
```

Text between, with two spaces at its end.\x20\x20

```python
print("missing")
```
Text right behind.

```python
silent = True
```

```text
gone
```

!!! note "Indented"

    ```python
    print("first\\n\\nthird")
    ```

    ```text
    old
    ```

    ```python
    print("missing")
    {}["new"]
    ```

    ```pytb
    KeyError: 'old'
    ```

> ```python
> print("quoted")
> ```

```python
print(0.1 + 0.2, id(silent))
```

```text
0.3 ...
```

The last line has no end."""

UPDATED = """
# A page  with  odd   spacing

```python
print("new")
```

```text
new
```

Text between, with two spaces at its end.\x20\x20

```python
print("missing")
```

```text
missing
```
Text right behind.

```python
silent = True
```

!!! note "Indented"

    ```python
    print("first\\n\\nthird")
    ```

    ```text
    first

    third
    ```

    ```python
    print("missing")
    {}["new"]
    ```

    ```text
    missing
    ```

    ```pytb
    KeyError: 'new'
    ```

> ```python
> print("quoted")
> ```
>
> ```text
> quoted
> ```

```python
print(0.1 + 0.2, id(silent))
```

```text
0.3 ...
```

The last line has no end."""


def test_update_rewrites_results_and_nothing_else(book: Book) -> None:
    file = book.page(OUTDATED)
    run = book.run("--update")
    run.assert_outcomes(passed=7)
    assert file.read_bytes().decode() == UPDATED.lstrip("\n")
    book.run().assert_outcomes(passed=7)


def test_update_prints_the_diff(book: Book) -> None:
    book.page(OUTDATED)
    run = book.run("--update")
    says(run, "--- docs/page.md", "+++ docs/page.md", "@@ *", "-old", "+new")
    assert str(book.docs) not in run.stdout.str().partition("updated pages")[2]


def test_a_second_update_touches_no_file(book: Book) -> None:
    file = book.page(OUTDATED)
    book.run("--update")
    before, changed_at = file.read_bytes(), file.stat().st_mtime_ns
    run = book.run("--update")
    assert (file.read_bytes(), file.stat().st_mtime_ns) == (before, changed_at)
    says(run, "nothing to change")


def test_update_keeps_the_line_ends_of_a_page(book: Book) -> None:
    file = book.page("")
    file.write_bytes(b"Text.\r\n\r\n```python\r\nprint(1)\r\n```\r\n\r\n```text\r\n2\r\n```\r\n")
    book.run("--update").assert_outcomes(passed=1)
    assert file.read_bytes() == b"Text.\r\n\r\n```python\r\nprint(1)\r\n```\r\n\r\n```text\r\n1\r\n```\r\n"


def test_without_update_nothing_is_written(book: Book) -> None:
    book.page(OUTDATED)
    book.page("```python\nx = 1\n```\n\n![A line](figures/line.svg)", "figures")
    before = book.files()
    run = book.run()
    run.assert_outcomes(passed=1, failed=7)
    run.stdout.no_fnmatch_line("*updated pages*")
    assert book.files() == before


@pytest.mark.parametrize(
    "failing",
    [
        "1 / 0",
        "import os; os._exit(3)",
        "import matplotlib.pyplot as plt; plt.figure()",
        "print('```')",
    ],
    ids=["an error", "the end", "a figure that is not shown", "what would end its fence"],
)
def test_update_leaves_a_page_as_it_was_when_a_block_of_it_fails(book: Book, failing: str) -> None:
    other = book.page("```python\nprint(1)\n```", "other")
    file = book.page(f"{OUTDATED}\n\n```python\n{failing}\n```\n")
    before = file.read_bytes()
    run = book.run("--update")
    run.assert_outcomes(passed=8, failed=1)
    says(run, "left as it was, because a block failed: docs/page.md")
    assert file.read_bytes() == before
    assert other.read_text() == "```python\nprint(1)\n```\n\n```text\n1\n```"


def test_update_does_not_turn_an_error_that_is_no_longer_raised_into_silence(book: Book) -> None:
    file = book.page("```python\nx = 1\n```\n\n```pytb\nKeyError: 'key'\n```\n")
    before = file.read_bytes()
    book.run("--update").assert_outcomes(failed=1)
    assert file.read_bytes() == before


def test_update_of_one_block_leaves_the_results_of_others(book: Book) -> None:
    file = book.page("""
        ## One

        ```python
        print(1)
        ```

        ```text
        0
        ```

        ## Two

        ```python
        print(2)
        ```

        ```text
        0
        ```
    """)
    before = file.read_text()
    book.run("--update", "docs/page.md::two-1").assert_outcomes(passed=1)
    assert file.read_text() == before.replace("print(2)\n```\n\n```text\n0", "print(2)\n```\n\n```text\n2")


def test_update_draws_missing_and_changed_figures_and_leaves_the_same(book: Book) -> None:
    text = "".join(
        f"```python\nimport matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1)).text(0, 0, '{name}')\n```\n\n"
        f"![A word](page/{name}.svg)\n\n"
        for name in ("missing", "changed", "moved")
    )
    file = book.page(text)
    first = book.run("--update")
    says(
        first,
        "drawn anew: docs/page/missing.svg",
        "drawn anew: docs/page/changed.svg",
        "drawn anew: docs/page/moved.svg",
    )
    drawn = book.files()
    missing, changed, moved = (book.docs / f"page/{name}.svg" for name in ("missing", "changed", "moved"))
    missing.unlink()
    changed.write_text(changed.read_text().replace(">changed<", ">outdated<"))
    shape = moved.read_text()
    moved.write_text(shape.replace('viewBox="0 0 ', 'viewBox="0 0.01 '))
    assert moved.read_text() != shape
    os.utime(moved, ns=(1, 1))
    page_changed_at = file.stat().st_mtime_ns

    second = book.run("--update")

    says(second, "drawn anew: docs/page/missing.svg", "drawn anew: docs/page/changed.svg")
    second.stdout.no_fnmatch_line("*drawn anew: docs/page/moved.svg")
    assert missing.read_bytes() == drawn["page/missing.svg"]
    assert changed.read_bytes() == drawn["page/changed.svg"]
    assert (moved.stat().st_mtime_ns, file.stat().st_mtime_ns) == (1, page_changed_at)
    assert set(book.files()) == set(drawn)


def test_update_does_not_run_in_several_processes(book: Book) -> None:
    book.page(OUTDATED)
    run = book.run("--update", "-n", "2")
    assert run.ret != 0
    run.stderr.fnmatch_lines(["*leave out -n with --update*"])
