"""An exercise is proved three ways: the starter fails its check, a solution passes, each wrong answer fails."""

from __future__ import annotations

import re

import pytest
from conftest import Book, says, verdicts

STARTER = """
```python
def double(x):
    return x
```
"""

CHECK = """
```python
assert double(2) == 4, f"the double of 2 is 4, not {double(2)}"
```

```pytb
AssertionError: the double of 2 is 4, not 2
```
"""

SOLUTION = """
??? success "Solution"

    ```python
    def double(x):
        return 2 * x
    ```
"""

WRONG = """
??? failure "Adding a constant"

    ```python
    def double(x):
        return x + 1
    ```

    ```pytb
    AssertionError: the double of 2 is 4, not 3
    ```
"""


def exercise(starter: str = STARTER, check: str = CHECK, solution: str = SOLUTION, wrong: str = WRONG) -> str:
    return f"# Doubling\n\n## Exercise: double a number\n{starter}\n{check}\n{solution}\n{wrong}\n"


def test_an_exercise_that_is_proved_three_ways_passes(book: Book) -> None:
    book.check(exercise()).assert_outcomes(passed=4)


def test_a_starter_that_passes_its_check_fails(book: Book) -> None:
    run = book.check(exercise(starter=STARTER.replace("return x", "return 2 * x")))
    assert verdicts(run)["page.md::exercise-double-a-number-2"] == "failed"
    says(run, "the starter passes the check of 'Exercise: double a number', but the page shows an error")


def test_a_solution_that_fails_its_check_fails(book: Book) -> None:
    run = book.check(exercise(solution=SOLUTION.replace("2 * x", "3 * x")))
    run.assert_outcomes(passed=3, failed=1)
    assert verdicts(run)["page.md::exercise-double-a-number-3"] == "failed"
    says(run, "docs/page.md:23: it raises AssertionError: the double of 2 is 4, not 6", "line 12, in <module>")


def test_a_wrong_answer_that_passes_its_check_fails(book: Book) -> None:
    run = book.check(exercise(wrong=WRONG.replace("x + 1", "x + x")))
    run.assert_outcomes(passed=3, failed=1)
    says(run, "the wrong answer passes the check of 'Exercise: double a number', but the page shows an error")


def test_a_wrong_answer_that_fails_in_another_way_fails(book: Book) -> None:
    run = book.check(exercise(wrong=WRONG.replace("x + 1", "x + 7")))
    run.assert_outcomes(passed=3, failed=1)
    says(run, "it raises another error than the page shows", "- AssertionError: the double of 2 is 4, not 3")


def test_every_wrong_answer_is_held_against_the_check(book: Book) -> None:
    run = book.check(exercise(wrong=WRONG + WRONG.replace("x + 1", "x + 2")))
    run.assert_outcomes(passed=4, failed=1)


def test_an_answer_leaves_nothing_behind(book: Book) -> None:
    solution = SOLUTION.replace("def double", "left = 1\n    def double")
    run = book.check(f"""{exercise(solution=solution)}
## After it

```python
print(double(2), "left" in globals())
```

```text
2 False
```
""")
    run.assert_outcomes(passed=5)


def test_an_answer_sees_what_stands_before_the_exercise(book: Book) -> None:
    before = "```python\nfactor = 2\n```\n\n"
    run = book.check(before + exercise(solution=SOLUTION.replace("2 * x", "factor * x")))
    run.assert_outcomes(passed=5)


def test_two_exercises_have_each_its_own_check(book: Book) -> None:
    second = re.sub("double", "triple", exercise()).replace("# Doubling", "")
    second = second.replace("2 * x", "3 * x").replace("== 4", "== 6").replace("is 4", "is 6")
    book.check(exercise() + second).assert_outcomes(passed=8)


def test_update_keeps_the_proof_of_an_exercise(book: Book) -> None:
    file = book.page(exercise(wrong=WRONG.replace("not 3", "not 5")))
    book.run("--update").assert_outcomes(passed=4)
    assert file.read_text() == exercise()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (exercise(solution=""), "3: the exercise 'Exercise: double a number' has no solution"),
        (exercise(wrong=""), "3: the exercise 'Exercise: double a number' has no wrong answer"),
        (exercise(check="", solution="", wrong=""), "3: the exercise 'Exercise: double a number' has no check"),
        (exercise(solution="") + "## Next\n", "3: the exercise 'Exercise: double a number' has no solution"),
        ("## Exercise\n", "1: the exercise 'Exercise' has no starter"),
        (exercise(check=""), "14: an exercise starts with two blocks in the open: the starter and its check"),
        (
            exercise(starter=STARTER.replace("\n", "\n    ").replace("    ```python", "??? note\n\n    ```python")),
            "7: an exercise starts with two blocks in the open: the starter and its check",
        ),
        (
            exercise(solution=SOLUTION.replace("success", "note")),
            "22: an answer stands in `??? success` (a solution) or",
        ),
        (exercise(solution=STARTER), "20: an answer stands in `??? success` (a solution) or"),
        (exercise(check=CHECK.partition("```pytb")[0]), "13: show how the starter fails its check: a `pytb` result"),
        (
            exercise(wrong=WRONG.partition("    ```pytb")[0]),
            "33: show how the wrong answer fails its check: a `pytb` result",
        ),
        (
            exercise(starter=STARTER + "\n```pytb\nNameError: x\n```\n"),
            "8: the starter of an exercise raises nothing",
        ),
        (
            exercise(solution=SOLUTION + "\n    ```pytb\n    NameError: x\n    ```\n"),
            "25: the solution of an exercise raises nothing",
        ),
    ],
    ids=[
        "no solution",
        "no wrong answer",
        "no check",
        "no solution before the next heading",
        "nothing",
        "an answer in place of the check",
        "a hidden starter",
        "an answer in another container",
        "an answer in the open",
        "a check that shows no failure",
        "a wrong answer that shows no failure",
        "a starter that raises",
        "a solution that raises",
    ],
)
def test_an_exercise_that_is_not_whole_is_an_error(book: Book, text: str, problem: str) -> None:
    run = book.check(text)
    run.assert_outcomes(errors=1)
    says(run, f"docs/page.md:{problem}")
