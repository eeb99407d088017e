"""The page model: a fence counts wherever a reader can see it, and what is not understood is an error."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

import markdown
import pytest
from conftest import Book, says

from tensorproof.page import Page, PageError, anchor_of

PATH = Path("docs/page.md")


def read(text: str) -> Page:
    return Page.parse(textwrap.dedent(text).lstrip("\n"), PATH)


PLACES = {
    "an admonition": """
        !!! note "Look"

            ```python
            1 / 0
            ```
    """,
    "a collapsed block": """
        ??? question

            ```python
            1 / 0
            ```
    """,
    "an open collapsible block": """
        ???+ question

            ```python
            1 / 0
            ```
    """,
    "a tab": """
        === "First"

            Text.

        === "Second"

            ```python
            1 / 0
            ```
    """,
    "a list": """
        1.  Text.

            ```python
            1 / 0
            ```
    """,
    "a list in an admonition": """
        !!! note

            - Text.

                ```python
                1 / 0
                ```
    """,
    "a footnote": """
        Text.[^1]

        [^1]: A note.

            ```python
            1 / 0
            ```
    """,
    "a definition": """
        Rank
        :   Text.

            ```python
            1 / 0
            ```
    """,
    "a quotation": """
        > Text.
        >
        > ```python
        > 1 / 0
        > ```
    """,
    "a fence of tildes": """
        ~~~python
        1 / 0
        ~~~
    """,
}


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES)
def test_a_block_runs_wherever_a_reader_sees_it(book: Book, text: str) -> None:
    run = book.check(text)
    run.assert_outcomes(failed=1)
    says(run, "it raises ZeroDivisionError")


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES)
def test_a_result_belongs_to_its_block_wherever_it_stands(book: Book, text: str) -> None:
    first = next(line for line in text.splitlines() if "python" in line)
    indent, ticks = first[: first.index("python") - 3].removeprefix(" " * 8), first[first.index("python") - 3 :][:3]
    result = f"{indent}{ticks}pytb\n{indent}ZeroDivisionError: division by zero\n{indent}{ticks}\n"
    run = book.check(f"{inspect.cleandoc(text)}\n{indent.rstrip()}\n{result}")
    run.assert_outcomes(passed=1)


ERRORS = {
    "an unknown directive": (
        """
        <!-- skip: this -->
        ```python
        x = 1
        ```
        """,
        "docs/page.md:1: unknown directive '<!-- skip: this -->': a comment on a page is one of needs, proves, shows",
    ),
    "a comment": ("<!-- to do -->", "docs/page.md:1: unknown directive '<!-- to do -->'"),
    "fences in an HTML comment": (
        """
        Text.

        <!--
        ```python
        x = 1
        ```
        -->
        """,
        "docs/page.md:3: unknown directive '<!--'",
    ),
    "a directive above text": (
        """
        <!-- proves: rank -->
        Text.

        ```python
        x = 1
        ```
        """,
        "docs/page.md:2: a directive stands on the line above a block; here is none",
    ),
    "a directive above a result": (
        """
        ```python
        print(1)
        ```

        <!-- proves: rank -->
        ```text
        1
        ```
        """,
        "docs/page.md:6: a directive stands on the line above a block of Python",
    ),
    "a directive at the end": ("<!-- proves: rank -->", "docs/page.md:1: a directive stands on the line above a block"),
    "a directive that names nothing": ("<!-- proves: rank, -->", "docs/page.md:1: `proves` names nothing"),
    "a directive that comes twice": (
        """
        <!-- proves: rank -->
        <!-- proves: axis -->
        """,
        "docs/page.md:2: a second `proves` above one block",
    ),
    "an unknown part": ("<!-- shows: weather -->", "docs/page.md:1: nothing is generated under the name 'weather'"),
    "an unknown need": (
        "<!-- needs: tpu -->",
        "docs/page.md:1: unknown need 'tpu': "
        "one of cuda, mps, compiler, jax, onnxruntime, openvino, tensorflow, triton, tvm",
    ),
    **{
        f"the info string {info}": (
            f"Text.\n\n```{info}\nx = 1\n```",
            f"docs/page.md:3: a fence says {info!r}: it is one word",
        )
        for info in (
            "Python",
            "py",
            "pyhton",
            "pycon",
            "python3",
            "ipython",
            "python notest",
            "python title='a'",
            "{.python}",
            "",
        )
    },
    "an include": ('Text.\n\n--8<-- "other.md"', "docs/page.md:3: an include"),
    "an include of lines": ("Text.\n\n-8<-\nother.md\n-8<-", "docs/page.md:3: an include"),
    "an unclosed fence": ("Text.\n\n```python\nx = 1\n", "docs/page.md:3: the fence ```python is never closed"),
    "a closing fence elsewhere": (
        "!!! note\n\n    ```python\n    x = 1\n```",
        "docs/page.md:5: the closing fence is not indented like its opening",
    ),
    "code left of its fence": (
        "- a\n\n    ```python\n  x = 1\n    ```",
        "docs/page.md:4: a line of a fence is indented less",
    ),
    "a fence on the line of its list item": (
        "- ```python\n  x = 1\n  ```",
        "docs/page.md:1: ``` is not at the start of its line",
    ),
    "tildes on the line of their list item": (
        "- ~~~python\n  x = 1\n  ~~~",
        "docs/page.md:3: the fence ~~~ is never closed",
    ),
    "a tab": ("!!! note\n\n\t```python\n\tx = 1\n\t```", "docs/page.md:3: a tab: indent with spaces"),
    "an empty block": ("```python\n\n```", "docs/page.md:1: an empty block"),
    "a text after no block": ("Text.\n\n```text\n1\n```", "docs/page.md:3: a `text` result follows no block"),
    "an error after no block": ("```pytb\nKeyError\n```", "docs/page.md:1: a `pytb` result follows no block"),
    "a text behind a paragraph": (
        """
        ```python
        print(1)
        ```

        It prints:

        ```text
        1
        ```
        """,
        "docs/page.md:7: a `text` result follows no block",
    ),
    "two texts": (
        "```python\nprint(1)\n```\n```text\n1\n```\n```text\n1\n```",
        "docs/page.md:7: a second `text` result for one block",
    ),
    "a text behind an error": (
        "```python\nprint(1)\n```\n```pytb\nKeyError\n```\n```text\n1\n```",
        "docs/page.md:7: what a block prints stands before its error and its figures",
    ),
    "an image that no block draws": ("![A cat](page/cat.svg)", "docs/page.md:1: an image that no block draws"),
    "an image that no block can draw": (
        "```python\nx = 1\n```\n![A cat](page/cat.png)",
        "docs/page.md:4: an image that no block draws",
    ),
    "an image in a line of text": ("See ![a cat](page/cat.svg).", "docs/page.md:1: an image stands alone on its line"),
    "an image with attributes": (
        "![A cat](page/cat.svg){ .wide }",
        "docs/page.md:1: an image stands alone on its line",
    ),
    "an image in HTML": ('<img src="page/cat.svg">', "docs/page.md:1: an image stands alone on its line"),
    "a figure of another page": (
        "```python\nx = 1\n```\n![A cat](other/cat.svg)",
        "docs/page.md:4: the figures of this page lie in page/",
    ),
    "a figure without an alt text": (
        "```python\nx = 1\n```\n![ ](page/cat.svg)",
        "docs/page.md:4: a figure without an alt text",
    ),
    "a heading with attributes": ("## Rank { #rank }", "docs/page.md:1: a heading ends with `}`"),
}


@pytest.mark.parametrize(("text", "error"), ERRORS.values(), ids=ERRORS)
def test_what_breaks_the_form_is_an_error_with_file_and_line(text: str, error: str) -> None:
    with pytest.raises(PageError) as caught:
        read(text)
    assert str(caught.value).startswith(error)


def test_a_page_that_breaks_the_form_fails_the_run(book: Book) -> None:
    book.page("```python\nx = 1\n```", "good")
    run = book.check("```py\nx = 1\n```")
    run.assert_outcomes(errors=1)
    assert run.ret != 0
    says(
        run,
        "ERROR collecting docs/page.md",
        "docs/page.md:1: a fence says 'py': it is one word, one of python, text, pytb",
    )
    assert str(book.docs) not in run.stdout.str()


def test_a_block_is_named_after_its_heading_and_its_number_there() -> None:
    page = read("""
        ```python
        x = 1
        ```

        # Rank

        ## Shapes line up

        ```python
        x = 2
        ```

        ```python
        x = 3
        ```

        ## `stride()` is free

        ```python
        x = 4
        ```

        ## Shapes line up

        ```python
        x = 5
        ```
    """)
    assert [(block.name, block.anchor) for block in page.blocks] == [
        ("top-1", ""),
        ("shapes-line-up-1", "shapes-line-up"),
        ("shapes-line-up-2", "shapes-line-up"),
        ("stride-is-free-1", "stride-is-free"),
        ("shapes-line-up_1-1", "shapes-line-up_1"),
    ]


def test_results_may_stand_in_the_collapsed_question_right_after_their_block() -> None:
    page = read("""
        ```python
        print(1)
        {}["key"]
        ```

        ??? question "What does it print?"

            ```text
            1
            ```

            ```pytb
            KeyError: 'key'
            ```
    """)
    [block] = page.blocks
    assert [(result.kind, result.shown, result.first) for result in block.results] == [
        ("text", "1", 8),
        ("pytb", "KeyError: 'key'", 12),
    ]


def test_a_collapsed_question_behind_a_paragraph_holds_no_result() -> None:
    with pytest.raises(PageError, match=r"page\.md:9: a `text` result follows no block"):
        read("""
            ```python
            print(1)
            ```

            Text.

            ??? question

                ```text
                1
                ```
        """)


def test_directives_are_read_from_the_lines_above_a_block() -> None:
    page = read("""
        <!-- proves: rank, strides -->
        <!-- needs: cuda -->
        ```python
        x = 1
        ```

        <!-- shows: claims -->

        ```python
        x = 2
        ```
    """)
    first, second = page.blocks
    assert (first.proves, first.needs) == (("rank", "strides"), ("cuda",))
    assert (second.proves, second.needs) == ((), ())


def test_other_languages_are_no_blocks_and_no_results() -> None:
    page = read("""
        ```python
        x = 1
        ```

        ```console
        $ python rank.py
        ```

        ```markdown
        <!-- skip: me -->
        ![A cat](cat.png)
        ```
    """)
    assert [block.results for block in page.blocks] == [[]]


def test_code_has_the_line_numbers_of_its_page() -> None:
    page = read("""
        # Rank

        ```python
        first = 1
        ```

        !!! note

            ```python
            if first:

                second = 2
            ```
    """)
    lines = page.text.splitlines()
    program = page.as_program()
    assert [line.strip() for line in program if line.strip()] == ["first = 1", "if first:", "second = 2"]
    assert len(program) == len(lines)
    for line, code in zip(lines, program, strict=True):
        assert code.strip() in ("", line.strip())


@pytest.mark.parametrize(
    "title",
    [
        "Rank",
        "A transpose moves no byte",
        "`x.T` is a view",
        "`a_b` and `__getitem__`",
        "What `*args` does",
        "One, two -- three!",
        "It's 3 x 4, isn't it?",
        "*Never* `in-place`",
        "**Bold** words",
        "See [the table](https://example.org/a_b) below",
        "Größe, naïve, Ångström",
        "張量 Tensor",
        "A < B & C > D",
        "(N, C, H, W)",
        "1e-6 is 0.000001",
        "dtype=float32",
        "A \N{EN DASH} dash",
        "???",
        "張量",
    ],
)
def test_anchors_are_those_of_the_site(title: str) -> None:
    site = markdown.Markdown(extensions=["toc", "attr_list", "tables"])
    site.convert(f"# {title}\n\n# {title}\n\n# {title}\n")
    page = read(f"# {title}\n\n```python\n1\n```\n\n" * 3)
    assert [block.anchor for block in page.blocks] == [token["id"] for token in site.toc_tokens]


def test_a_title_of_markup_alone_has_an_anchor() -> None:
    assert anchor_of("Views") == "views"
    assert anchor_of("???") == ""
