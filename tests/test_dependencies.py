"""Which blocks a block needs: those that bind or change what it uses, and no others."""

from pathlib import Path
from statistics import mean
from textwrap import dedent

import pytest

from tensorproof.dependencies import needed
from tensorproof.page import Page

ROOT = Path(__file__).parent.parent


def page_of(*sources: str) -> Page:
    fences = (f"```python\n{dedent(source).strip()}\n```\n" for source in sources)
    return Page.parse("# Page\n\n" + "\n".join(fences), Path("page.md"))


def needed_by_last(*sources: str) -> tuple[list[str], list[int]]:
    """What the last block needs: imports, and the numbers of blocks, counted from 0."""
    page = page_of(*sources)
    imports, blocks = needed(page, page.blocks[-1])
    return imports, [page.blocks.index(block) for block in blocks]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["x = 1", "y = 2", "print(x)"], [0]),
        (["x = 1", "y = x", "print(y)"], [0, 1]),
        (["x = 1", "x = 2", "print(x)"], [1]),
        (["x = 1", "x = x + 1", "print(x)"], [0, 1]),
        (["x = 1", "print(x)\nx = 2", "print(x)"], [0, 1]),
        (["x = 1", "x = 2\nprint(x)", "print(x)"], [1]),
        (["x = 1", "if True:\n    x = 2", "print(x)"], [0, 1]),
        (["x = 1", "for x in []:\n    pass", "print(x)"], [0, 1]),
        (["x = y = 1", "x, *y = 1, 2", "print(x, y)"], [1]),
        (["print(n := 3)", "print(n)"], [0]),
        (["with open('a') as file:\n    text = 1", "print(file)"], [0]),
        (["def f():\n    return 1", "print(f())"], [0]),
        (["class A:\n    pass", "a = A()", "print(a)"], [0, 1]),
    ],
)
def test_a_block_needs_the_blocks_that_bind_its_names(sources, expected):
    assert needed_by_last(*sources) == ([], expected)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["x = 1", "def f():\n    return x", "f()"], [0, 1]),
        (["x = 1", "def f(x):\n    return x", "f(2)"], [1]),
        (["x = 1", "def f():\n    x = 2\n    return x", "f()"], [1]),
        (["x = 1", "f = lambda x: x", "f(2)"], [1]),
        (["x = 1", "f = lambda: x", "f()"], [0, 1]),
        (["x = 1", "[x for x in range(3)]"], []),
        (["x = 1", "[y for y in range(3) if y > x]"], [0]),
        (["x = 1", "class A:\n    def f(self):\n        return x", "A"], [0, 1]),
    ],
)
def test_a_function_needs_what_it_takes_from_the_page(sources, expected):
    assert needed_by_last(*sources) == ([], expected)


@pytest.mark.parametrize(
    "change",
    [
        "x[0] = 1",
        "x[0][1] = 1",
        "x.grad = None",
        "x += 1",
        "x[0] += 1",
        "x.fill_(1)",
        "print(x.fill_(1))",
        "x[0].fill_(1)",
        "x.append(1)",
        "x.a.b().append(1)",
        "f(x)",
        "torch.add(1, 2, out=x)",
        "print(next(x))",
        "del x[0]",
        "with torch.no_grad():\n    x -= 1",
        "for i in range(3):\n    x[i] = 1",
        "def change():\n    x[0] = 1\n\n\nchange()",
        "y = x\ny[0] = 1",
        "y, z = x, 1\ny[0] = 1",
        "y = x[0]\ny += 1",
        "y = x.view(6)\ny[0] = 1",
        "for row in x:\n    row += 1",
        "y = [x, x]\ny[0][0] = 1",
        "y = f(x)\ny.step()",
    ],
)
def test_a_block_needs_the_blocks_that_change_what_it_uses(change):
    assert needed_by_last("x = z = 1", change, "z = 2", "print(x)") == ([], [0, 1])


def test_what_is_changed_under_another_name_later_is_needed():
    assert needed_by_last("x = 1", "y = x[0]", "z = 1", "y[0] = 1", "print(x)") == ([], [0, 1, 3])


@pytest.mark.parametrize(
    "other",
    [
        "print(x)",
        "x + 1",
        "print(x.sum())",
        "y = x.clone()\ny[0] = 1",
        "y = x + 1\ny += 1",
        "y = x > 1\ny[0] = 1",
        "assert x",
        "z.append(1)",
    ],
)
def test_a_block_that_only_looks_is_not_needed(other):
    assert needed_by_last("x, z = 1, 1", other, "print(x)") == ([], [0])


@pytest.mark.parametrize("defined", ["def f():\n    return 1", "class f:\n    pass"])
def test_a_function_is_not_changed_by_whom_it_is_passed_to(defined):
    assert needed_by_last(defined, "call(f)", "print(f())") == ([], [0])
    assert needed_by_last(defined, "f.calls = 0", "print(f())") == ([], [0, 1])


def test_an_import_is_taken_alone():
    first = "import torch\nfrom math import pi, tau as turn\n\nx = 1"
    assert needed_by_last(first, "print(torch, turn)") == (["from math import pi, tau as turn", "import torch"], [])
    assert needed_by_last(first, "print(torch, x)") == ([], [0])
    assert needed_by_last("import os.path\ny = 2", "print(os.path)") == (["import os.path"], [])
    assert needed_by_last("import math", "math = 3", "print(math)") == ([], [1])


@pytest.mark.parametrize(
    "setting",
    [
        "torch.set_printoptions(3)",
        "torch.backends.mkldnn.enabled = False",
    ],
)
def test_settings_of_a_module_are_needed_by_all_that_use_it(setting):
    assert needed_by_last("import torch", setting, "y = 1", "print(torch)") == (["import torch"], [1])
    assert needed_by_last("import torch", setting, "y = 1", "print(y)") == ([], [2])


IMPORTS = "import torch, numpy\nimport numpy as np\nfrom random import random\nfrom torch import nn"


@pytest.mark.parametrize("seed", ["torch.manual_seed(0)", "numpy.random.seed(0)", "np.random.seed(0)"])
@pytest.mark.parametrize(
    "draw",
    [
        "torch.rand(2)",
        "torch.ones(2).normal_()",
        "nn.Linear(2, 2)",
        "nn.Sequential(nn.Linear(2, 2))",
        "isinstance(torch.rand(2), nn.Linear)",
        "random()",
    ],
)
def test_what_draws_needs_the_last_seed(seed, draw):
    assert needed_by_last(IMPORTS, seed, "torch.ones(2)", draw)[1] == [1]
    assert needed_by_last(IMPORTS, seed, seed, draw)[1] == [2]
    assert needed_by_last(IMPORTS, seed, f"def f():\n    return {draw}", "f()")[1] == [1, 2]
    assert needed_by_last(IMPORTS, seed, f"y = {draw}", "print(y)")[1] == [1, 2]


@pytest.mark.parametrize(
    "other",
    [
        "torch.ones(2)",
        "nn.functional.relu(3)",
        "nn.Sequential()",
        "isinstance(2, nn.Linear)",
        "torch.manual_seed(1); torch.rand(2)",
    ],
)
def test_what_draws_nothing_or_seeds_itself_needs_no_seed(other):
    assert needed_by_last(IMPORTS, "torch.manual_seed(0)", other)[1] == []
    assert needed_by_last(IMPORTS, "torch.manual_seed(0)", f"def f():\n    {other}", "f()")[1] == [2]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["x = y = [1]", "x = 2", "x += 1", "print(y)"], [0]),
        (["x = y = [1]", "x.append(2)\nx = 3", "print(y)"], [0, 1]),
        (["x = [1]", "y = x", "x = 3", "y += [2]", "print(y)"], [0, 1, 3]),
        (["x = [1]", "y = [x]", "y = 3", "y += 1", "print(x)"], [0]),
        (["def f():\n    return []", "x = f()\nx += [1]", "print(f)"], [0]),
        (["def f():\n    return []", "f.calls = 3", "print(f)"], [0, 1]),
        (["input = [1]", "other = input", "other += [2]", "print(input)"], [0, 1, 2]),
        (["a = [1]", "for x in enumerate(a):\n    pass", "for y in enumerate(b):\n    y += 1", "print(a)"], [0]),
    ],
)
def test_a_name_that_was_bound_again_stands_for_another_object(sources, expected):
    assert needed_by_last(*sources) == ([], expected)


@pytest.mark.parametrize(("values", "expected"), [("(1, 2)", [1]), ("[1]", [1]), ("()", [0, 1]), ("values", [0, 1])])
def test_a_loop_over_written_values_binds_its_name(values, expected):
    assert needed_by_last("x = 1", f"for x in {values}:\n    pass", "print(x)") == ([], expected)


def test_a_module_is_not_changed_by_being_used():
    assert needed_by_last("import torch", "torch.save(1, 2)", "print(torch)") == (["import torch"], [])
    assert needed_by_last("import torch", "y = torch.ones(2)\ny += 1", "print(torch)") == (["import torch"], [])


EXERCISE = """# Page

```python
import math

limit = 3
```

## Exercise: one

```python
def f():
    pass
```

```python
assert f() == limit
```

```pytb
AssertionError
```

??? failure "Wrong"

    ```python
    def f():
        return math.pi
    ```

    ```pytb
    AssertionError
    ```

??? success "Solution"

    ```python
    def f():
        return 3
    ```

## After

```python
print(f())
```
"""


def test_an_answer_needs_what_its_check_needs_and_no_block_needs_an_answer():
    page = Page.parse(EXERCISE, Path("page.md"))
    first, starter, check, wrong, solution, after = page.blocks
    assert needed(page, check) == ([], [first, starter])
    assert needed(page, wrong) == ([], [first])
    assert needed(page, solution) == ([], [first])
    assert needed(page, after) == ([], [starter])


def test_wrong_syntax_is_not_needed_and_needs_nothing():
    assert needed_by_last("x = 1", "x = = 2", "print(x)") == ([], [0])
    assert needed_by_last("x = 1", "x = = 2") == ([], [])


ONE_EXPERIMENT = {
    "autograd/museum.md": 0.43,  # the loop, what plants a bug in it and the runs are what all later blocks look at
    "autograd/training.md": 0.37,  # so are its loop and the split; a loss may be taken for what it was made from
}
"""Pages whose blocks go on from one thing, so that a copy is a larger part of them."""


def test_a_copy_is_a_small_part_of_its_page():
    """A block that is given too much is of no more use than the page."""
    for file in (ROOT / "docs").rglob("*.md"):
        page = Page.read(file)
        if len(page.blocks) > 10:
            share = mean(len(needed(page, block)[1]) / at for at, block in enumerate(page.blocks) if at)
            assert share < ONE_EXPERIMENT.get(file.relative_to(ROOT / "docs").as_posix(), 0.3), file
