"""A page is one session in an interpreter of its own: names stay within it, and nothing leaves it."""

from __future__ import annotations

import contextlib
import os
import random
import time

import pytest
from conftest import Book, says, verdicts

SETS = """
```python
import os, random, sys, warnings
import numpy as np

leak = 1
os.mkdir("made")
open("written.txt", "w").close()
os.chdir("made")
os.environ["LEAK"] = "1"
sys.path.insert(0, "leak")
warnings.simplefilter("error")
np.set_printoptions(precision=2)
random.seed(0)
np.random.seed(0)
```
"""

CHECKS = """
```python
import os, random, sys, warnings
import numpy as np

assert "leak" not in globals()
assert os.listdir() == []
assert "LEAK" not in os.environ
assert "leak" not in sys.path
assert all(action != "error" for action, *_ in warnings.filters)
assert np.get_printoptions()["precision"] == 8
assert random.random() != 0.8444218515250481, "the first number after seed 0"
assert np.random.rand() != 0.5488135039273248, "the first number after seed 0"
```
"""

SETS_MORE = """
```python
import matplotlib.pyplot as plt
import torch

plt.rcParams["lines.linewidth"] = 7
plt.switch_backend("svg")
torch.set_default_dtype(torch.float64)
torch.set_printoptions(precision=2)
torch.set_grad_enabled(False)
torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
print(torch.tensor([0.12345]))
```

```text
tensor([0.12])
```
"""

CHECKS_MORE = """
```python
import matplotlib.pyplot as plt
import torch

assert plt.rcParams["lines.linewidth"] == 1.8
assert plt.get_backend() == "agg"
assert plt.get_fignums() == []
assert torch.initial_seed() != 0
assert not torch.are_deterministic_algorithms_enabled()
print(torch.get_default_dtype(), torch.is_grad_enabled())
print(torch.tensor([0.12345]))
```

```text
torch.float32 True
tensor([0.1235])
```
"""


def test_blocks_of_a_page_share_one_session(book: Book) -> None:
    run = book.check("""
        ```python
        import os

        x = [1]
        os.mkdir("made")
        os.chdir("made")
        ```

        ```python
        x.append(2)
        ```

        ```python
        print(x, os.path.basename(os.getcwd()))
        ```

        ```text
        [1, 2] made
        ```
    """)
    run.assert_outcomes(passed=3)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_leaks_from_page_to_page_in_any_order(book: Book, seed: int) -> None:
    pages = [book.page(SETS, "sets"), book.page(SETS, "sets-again")]
    pages += [book.page(CHECKS, f"checks-{number}") for number in range(3)]
    random.Random(seed).shuffle(pages)
    book.run(*map(str, pages)).assert_outcomes(passed=5)


def test_what_a_page_sets_in_torch_and_matplotlib_does_not_leak(book: Book) -> None:
    pages = [book.page(SETS_MORE, "sets"), book.page(CHECKS_MORE, "checks")]
    book.run(*map(str, pages)).assert_outcomes(passed=2)


def test_open_figures_do_not_leak_from_block_to_block(book: Book) -> None:
    book.page("""
        ```python
        import matplotlib.pyplot as plt

        plt.figure(figsize=(1, 1))
        ```

        ![Nothing](page/nothing.svg)

        ```python
        assert plt.get_fignums() == []
        ```
    """)
    book.run("--update").assert_outcomes(passed=2)


def test_settings_of_the_machine_do_not_reach_a_page(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    monkeypatch.setenv("COLUMNS", "40")
    run = book.check("""
        ```python
        import os, shutil, sys, warnings

        warnings.warn("no error")
        print(shutil.get_terminal_size().columns, [name for name in os.environ if name.startswith("PYTEST")])
        print(repr(sys.stdin.read()), __name__)
        assert False
        ```

        ```text
        UserWarning: no error
        80 []
        '' __main__
        ```

        ```pytb
        AssertionError
        ```
    """)
    run.assert_outcomes(passed=1)


ENDS = {
    "an interrupt": ("raise KeyboardInterrupt", "it raises KeyboardInterrupt"),
    "an exit": ("raise SystemExit(3)", "it raises SystemExit: 3"),
    "an error": ("1 / 0", "it raises ZeroDivisionError: division by zero"),
    "the end of the process": ("import os; os._exit(3)", "it ended its interpreter (exit status 3)"),
    "a kill": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "it ended its interpreter (killed by SIGKILL)",
    ),
    "a segmentation fault": ("import ctypes; ctypes.string_at(0)", "it ended its interpreter (killed by SIGSEGV)"),
    "a busy loop": ("while True: pass", "it did not end within 0.6 s"),
    "a sleep": ("import time; time.sleep(60)", "it did not end within 0.6 s"),
}


@pytest.mark.parametrize(("code", "problem"), ENDS.values(), ids=ENDS)
def test_a_block_that_breaks_its_page_is_reported_and_disturbs_no_other(book: Book, code: str, problem: str) -> None:
    book.limit(0.6)
    for name in ("before", "then"):
        book.page("```python\nprint(1)\n```\n\n```text\n1\n```", name)
    run = book.check(
        f"""
        ```python
        x = 1
        ```

        ## It breaks

        ```python
        {code}
        ```

        ## After it

        ```python
        print(x)
        ```

        ```text
        1
        ```
        """,
        *(f"docs/{name}.md" for name in ("before", "page", "then")),
    )
    assert verdicts(run) == {
        "before.md::top-1": "passed",
        "page.md::top-1": "passed",
        "page.md::it-breaks-1": "failed",
        "page.md::after-it-1": "failed",
        "then.md::top-1": "passed",
    }
    assert run.duration < 5
    says(run, f"docs/page.md:8: {problem}")
    says(run, "docs/page.md:14: not run, because the block at page.md:8 failed")


def test_an_exit_can_be_shown_as_an_error(book: Book) -> None:
    run = book.check("""
        ```python
        raise SystemExit(2)
        ```

        ```pytb
        SystemExit: 2
        ```

        ```python
        x = 1
        ```
    """)
    run.assert_outcomes(passed=2)


def test_blocks_run_on_after_a_result_that_is_wrong(book: Book) -> None:
    run = book.check("""
        ```python
        x = 1
        print(x)
        ```

        ```text
        2
        ```

        ```python
        assert x == 1
        ```
    """)
    run.assert_outcomes(failed=1, passed=1)


def test_a_block_that_raises_a_type_error_runs_once(book: Book) -> None:
    ran = book.docs.parent / "ran"
    run = book.check(f"""
        ```python
        print("once", file=open({str(ran)!r}, "a"))
        len(1)
        ```

        ```pytb
        TypeError: object of type 'int' has no len()
        ```

        ```python
        print("once", file=open({str(ran)!r}, "a"))
        len(1)
        ```
    """)
    assert verdicts(run) == {"page.md::top-1": "passed", "page.md::top-2": "failed"}
    assert ran.read_text() == "once\nonce\n"


def test_what_a_block_starts_ends_with_its_page(book: Book) -> None:
    pipe = book.docs.parent / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run = book.check(f"""
        ```python
        import subprocess

        sleeper = subprocess.Popen(["sleep", "60"], stdout=open({str(pipe)!r}, "w"))
        ```
    """)
    run.assert_outcomes(passed=1)
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):  # what was killed takes a moment to be gone
            ended = os.read(reader, 1) == b""
            break
        time.sleep(0.1)
    else:
        ended = False
    os.close(reader)
    assert ended, "nobody is left who could write"


def test_blocks_define_what_python_finds_again(book: Book) -> None:
    run = book.check("""
        ## A dataclass

        ```python
        from __future__ import annotations

        from dataclasses import dataclass
        from typing import ClassVar


        @dataclass
        class Point:
            x: int
            unit: ClassVar[str] = "px"


        print(Point(1))
        ```

        ```text
        Point(x=1)
        ```

        ## Its source

        !!! note

            ```python
            import inspect


            class Half:
                def of(self, x):

                    return x / 2


            def twice(x):
                return 2 * x


            print(inspect.getsource(Half), inspect.getsource(twice), inspect.getsource(Point), sep="--")
            ```

            ```text
            class Half:
                def of(self, x):

                    return x / 2
            --def twice(x):
                return 2 * x
            --@dataclass
            class Point:
                x: int
                unit: ClassVar[str] = "px"
            ```

        ## A pickle

        ```python
        import pickle

        print(pickle.loads(pickle.dumps([Point(2), twice])) == [Point(2), twice])
        ```

        ```text
        True
        ```
    """)
    run.assert_outcomes(passed=3)


def test_a_class_has_its_source_on_a_page_that_shows_an_error_of_syntax(book: Book) -> None:
    run = book.check("""
        ```python
        x = = 1
        ```

        ```pytb
        SyntaxError: invalid syntax
        ```

        ```python
        import inspect

        class Half: ...

        print(inspect.getsource(Half))
        ```

        ```text
        class Half: ...
        ```
    """)
    run.assert_outcomes(passed=2)


def test_torch_saves_and_loads_what_blocks_define(book: Book) -> None:
    run = book.check("""
        ## A module

        ```python
        import torch


        class Double(torch.nn.Module):
            def forward(self, x):
                return 2 * x


        torch.save(Double(), "double.pt")
        print(torch.load("double.pt", weights_only=False)(torch.ones(2)))
        ```

        ```text
        tensor([2., 2.])
        ```

        ## Workers

        ```python
        import os


        class Squares(torch.utils.data.Dataset):
            def __len__(self):
                return 4

            def __getitem__(self, at):
                print("item", at, flush=True)
                os.write(1, b"below Python\\n")
                return at**2


        print("before")
        loader = torch.utils.data.DataLoader(Squares(), batch_size=4, num_workers=2)
        print(list(loader))
        ```

        ```text
        before
        item 0
        below Python
        item 1
        below Python
        item 2
        below Python
        item 3
        below Python
        [tensor([0, 1, 4, 9])]
        ```
    """)
    run.assert_outcomes(passed=2)
