"""The reading time of a page grows with its words, its code and its results."""

from pathlib import Path

import pytest

from tensorproof import reading
from tensorproof.page import Page

WORDS = "word " * 238


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1),
        (WORDS * 5, 5),
        ("| word |\n|---|\n" + "| word |\n" * 475, 2),
        ("```python\n" + "x = 1\n" * 30 + "```\n", 2),
        ("```python\nx = 1\n```\n\n```text\n" + "1\n" * 88 + "```\n", 3),
        ("<!-- proves: " + ", ".join(f"claim-{n}" for n in range(500)) + " -->\n```python\nx = 1\n```\n", 1),
        (WORDS * 2 + "\n\n```python\n" + "x = 1\n" * 15 + "```\n\n```text\n" + "1\n" * 30 + "```\n", 4),
    ],
)
def test_minutes(text, expected):
    assert reading.minutes(Page.parse(text, Path("page.md"))) == expected


QUESTIONS = "## Ten questions\n\n```python\n" + "x = 1\n" * 60 + "```\n"
EXERCISE = """## Exercise: one

```python
x = 1
```

```python
assert x == 2
```

```pytb
AssertionError
```

??? failure "Three"

    ```python
    x = 3
    ```

    ```pytb
    AssertionError
    ```

??? success "Solution"

    ```python
    x = 2
    ```

    """


@pytest.mark.parametrize("work", [QUESTIONS, EXERCISE + WORDS * 3, QUESTIONS + EXERCISE])
def test_what_is_work_is_not_counted(work):
    assert reading.minutes(Page.parse(f"# Title\n\n{WORDS * 2}\n\n{work}\n", Path("page.md"))) == 2


def test_a_figure_takes_no_time_and_its_description_is_not_read():
    code = "```python\nx = 1\n```\n"
    figure = f"\n![{WORDS * 3}](page/figure.svg)\n"
    assert reading.minutes(Page.parse(code + figure, Path("page.md"))) == 1
