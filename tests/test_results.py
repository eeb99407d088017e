"""What follows a block is its result, and that holds both ways."""

from __future__ import annotations

import pytest
from conftest import Book, says, verdicts

from tensorproof.results import same_text


def test_a_block_that_prints_what_the_page_shows_passes(book: Book) -> None:
    run = book.check("""
        ```python
        print(1 + 1)
        ```

        ```text
        2
        ```
    """)
    run.assert_outcomes(passed=1)


def test_a_silent_block_without_a_result_passes(book: Book) -> None:
    run = book.check("""
        ```python
        x = 1
        ```
    """)
    run.assert_outcomes(passed=1)


def test_a_block_that_prints_and_shows_nothing_fails(book: Book) -> None:
    run = book.check("""
        ```python
        print("loud")
        ```
    """)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:2: it prints, and the page shows nothing of it", "+ loud")


def test_a_text_after_a_silent_block_fails(book: Book) -> None:
    run = book.check("""
        ```python
        x = 1
        ```

        ```text
        1
        ```
    """)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:5: it prints nothing, but the page shows text", "- 1")


def test_a_text_that_is_not_what_is_printed_fails(book: Book) -> None:
    run = book.check("""
        ```python
        print("first")
        print("second")
        ```

        ```text
        first
        third
        ```
    """)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:6: it prints something else than the page shows", "  first", "- third", "+ second")


def test_a_block_that_raises_what_the_page_shows_passes(book: Book) -> None:
    run = book.check("""
        ```python
        print("before")
        {}["key"]
        ```

        ```text
        before
        ```

        ```pytb
        KeyError: 'key'
        ```
    """)
    run.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("code", "shown", "problem"),
    [
        ("x = 1", "KeyError: 'key'", "docs/page.md:5: it raises nothing, but the page shows an error"),
        ("{}['key']", "KeyError: 'lock'", "docs/page.md:5: it raises another error than the page shows"),
        ("{}['key']", "LookupError: 'key'", "docs/page.md:5: it raises another error than the page shows"),
        ("{}['key']", "...Error: 'key'", "docs/page.md:5: it raises another error than the page shows"),
        ("{}['key']", "...", "docs/page.md:5: it raises another error than the page shows"),
        ("assert False", "AssertionError: it holds", "docs/page.md:5: it raises another error than the page shows"),
    ],
    ids=["no error", "another message", "a base class", "any type", "anything", "a message where there is none"],
)
def test_an_error_on_the_page_that_is_not_the_one_raised_fails(book: Book, code: str, shown: str, problem: str) -> None:
    run = book.check(f"""
        ```python
        {code}
        ```

        ```pytb
        {shown}
        ```
    """)
    run.assert_outcomes(failed=1)
    says(run, problem, f"- {shown}")


def test_the_message_of_an_error_may_vary_where_the_page_says_so(book: Book) -> None:
    run = book.check("""
        ```python
        raise ValueError(f"at {id(object())}, after 0.1000000001 s")
        ```

        ```pytb
        ValueError: at ..., after 0.1 s
        ```
    """)
    run.assert_outcomes(passed=1)


def test_an_error_that_the_page_does_not_show_fails(book: Book) -> None:
    run = book.check("""
        ```python
        {}["key"]
        ```
    """)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:2: it raises KeyError: 'key'")


def test_an_error_of_syntax_can_be_shown(book: Book) -> None:
    run = book.check("""
        ```python
        x = = 1
        ```

        ```pytb
        SyntaxError: invalid syntax
        ```
    """)
    run.assert_outcomes(passed=1)


def test_errors_are_named_as_python_names_them(book: Book) -> None:
    run = book.check("""
        ```python
        class TooFar(Exception): ...

        raise TooFar
        ```

        ```pytb
        TooFar
        ```

        ```python
        import subprocess

        raise subprocess.SubprocessError("gone")
        ```

        ```pytb
        subprocess.SubprocessError: gone
        ```
    """)
    run.assert_outcomes(passed=2)


def test_a_warning_is_part_of_what_a_block_prints(book: Book) -> None:
    run = book.check("""
        ```python
        import warnings

        print("before")
        warnings.warn("mind the gap")
        print("after")
        ```

        ```text
        before
        UserWarning: mind the gap
        after
        ```

        ```python
        warnings.warn("old", DeprecationWarning)
        ```
    """)
    assert verdicts(run) == {"page.md::top-1": "passed", "page.md::top-2": "failed"}
    says(run, "docs/page.md:16: it prints, and the page shows nothing of it", "+ DeprecationWarning: old")


def test_what_is_printed_below_python_is_captured_in_its_place(book: Book) -> None:
    run = book.check("""
        ```python
        import os

        print("one")
        os.write(1, b"two\\n")
        print("three")
        ```

        ```text
        one
        two
        three
        ```
    """)
    run.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("shown", "actual"),
    [
        ("0.3333333", "0.33333335"),
        ("tensor([1.0000000])", "tensor([1.])"),
        ("1.5e-08", "1.5000000001e-08"),
        ("a line   ", "a line"),
        ("at ...", "at 0x7f00"),
        ("...", "anything\nat all"),
        ("<A at ...> and ...", "<A at 1> and <B at 2>"),
        ("first\n...\nlast", "first\nsecond\nthird\nlast"),
        ("[1, ..., 9]", "[1, 2, 3, 9]"),
        ("[1, ..., 9]", "[1, ..., 9]"),
    ],
)
def test_texts_that_are_the_same(shown: str, actual: str) -> None:
    assert same_text(shown, actual)


@pytest.mark.parametrize(
    ("shown", "actual"),
    [
        ("1.000000", "1.000002"),
        ("1.000000", "0.999998"),
        ("1.0", "-1.0"),
        ("1.5e-08", "1.5e-07"),
        ("0.0", "1e-30"),
        ("2.7976931348623157e+308", "1.7976931348623157e+308"),
        ("1e400", "-1e400"),
        ("1000000", "1000001"),
        ("2", "2.0"),
        ("10.0 20.0", "10.0 21.0"),
        ("  indented", "indented"),
        ("a b", "a  b"),
        ("a\nb", "a\n\nb"),
        ("nan", "inf"),
        ("at ... !", "at 0x7f00"),
        ("first\n...\nlast", "first\nlast but one"),
        ("...b", "a"),
        ("", "a"),
    ],
)
def test_texts_that_are_not_the_same(shown: str, actual: str) -> None:
    assert not same_text(shown, actual)


FIGURE = """
```python
import matplotlib.pyplot as plt

plt.figure(figsize=(2, 1))
plt.plot([1, 2, 4])
plt.title("doubling")
```
"""


def test_a_figure_passes_only_if_it_is_the_one_on_file(book: Book) -> None:
    shown = ("same", "hardly-moved", "moved", "reworded")
    book.page("".join(f"\n## {name}\n{FIGURE}\n![A rising line](page/{name}.svg)\n" for name in (*shown, "missing")))
    assert book.run("--update").ret == 0
    drawn = {name: book.docs / f"page/{name}.svg" for name in shown}
    svg = drawn["same"].read_text()
    drawn["hardly-moved"].write_text(svg.replace('y="51.6"', 'y="51.61"'))
    drawn["moved"].write_text(svg.replace('y="51.6"', 'y="51.65"'))
    drawn["reworded"].write_text(svg.replace("doubling", "tripling"))
    (book.docs / "page/missing.svg").unlink()

    run = book.run()

    assert verdicts(run) == {
        "page.md::same-1": "passed",
        "page.md::hardly-moved-1": "passed",
        "page.md::moved-1": "failed",
        "page.md::reworded-1": "failed",
        "page.md::missing-1": "failed",
    }
    says(run, "docs/page.md:35: it draws another figure than page/moved.svg: line")
    says(run, "it draws another figure than page/reworded.svg: line*tripling", "there is no page/missing.svg")


def test_a_figure_that_is_drawn_and_not_shown_fails(book: Book) -> None:
    run = book.check(FIGURE)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:2: figures that it draws: 1; that the page shows below it: 0")


def test_a_figure_that_is_shown_and_not_drawn_fails(book: Book) -> None:
    run = book.check("""
        ```python
        x = 1
        ```

        ![A line](page/line.svg)
    """)
    run.assert_outcomes(failed=1)
    says(run, "docs/page.md:2: figures that it draws: 0; that the page shows below it: 1")


def test_a_figure_file_that_no_block_draws_is_an_error(book: Book) -> None:
    book.page("No block.")
    (book.docs / "page").mkdir()
    (book.docs / "page/left-over.svg").write_text("<svg/>")
    run = book.run()
    run.assert_outcomes(errors=1)
    says(run, "docs/page.md:1: page/left-over.svg is a figure that no block draws: show it or remove it")


def test_two_figures_of_a_block_are_held_against_their_own_files(book: Book) -> None:
    book.page(f"""{FIGURE.rstrip("`").rstrip()[:-3]}
plt.figure(figsize=(1, 1))
```

![A rising line](page/first.svg)

![Nothing](page/second.svg)
""")
    assert book.run("--update").ret == 0
    assert book.run().ret == 0
    first, second = book.docs / "page/first.svg", book.docs / "page/second.svg"
    assert first.read_bytes() != second.read_bytes()
    second.write_bytes(first.read_bytes())
    says(book.run(), "it draws another figure than page/second.svg")
