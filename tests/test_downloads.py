"""The code of a page to take along runs from end to end, and prints what the page shows."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jupytext
import nbformat
import pytest
from fresh import WarmInterpreter, WarmKernels, run_file, run_notebook, surroundings

from tensorproof import downloads
from tensorproof.needs import has
from tensorproof.page import Block, Page, Result
from tensorproof.results import mismatches
from tensorproof.session import Outcome

ROOT = Path(__file__).parent.parent
URL = "https://example.org/part/page/"
CHAPTERS = {
    file.relative_to(ROOT / "docs").as_posix(): Page.read(file)
    for file in sorted((ROOT / "docs").rglob("*.md"))
    if (ROOT / "snippets" / file.relative_to(ROOT / "docs")).with_suffix(".py").exists()
}
every_chapter = pytest.mark.parametrize("page", CHAPTERS.values(), ids=CHAPTERS)


def that_run(page: Page) -> list[Block]:
    return [block for block in page.blocks if not block.is_answer]


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmInterpreter]:
    interpreter = WarmInterpreter()
    yield interpreter
    interpreter.close()


@every_chapter
def test_the_script_of_a_chapter_prints_what_the_chapter_shows(page: Page, warm: WarmInterpreter) -> None:
    assert differences(page, warm.run({"script": [downloads.script(page, URL)]})["script"]) == []


def test_a_fresh_python_runs_the_script_of_the_longest_chapter(tmp_path: Path) -> None:
    """The others run in forks of an interpreter that has loaded the libraries, and so do the kernels of notebooks."""
    page = longest()
    assert differences(page, run_file(downloads.script(page, URL), tmp_path)) == []


def longest() -> Page:
    return max(CHAPTERS.values(), key=lambda page: len(page.blocks))


def differences(page: Page, outcome: Outcome) -> list[str]:
    """Where a script does not print what its chapter shows."""
    shown = [result.shown for block in that_run(page) for result in results_here(block)]
    everything = replace(page.blocks[0], results=[Result("text", 1, 1, "\n".join(shown), "")])
    return [str(each) for each in mismatches(page, everything, replace(outcome, figures=[]))]


def results_here(block: Block) -> list[Result]:
    """What a block prints and raises on this machine, which may lack what the block needs."""
    return [result for result in block.results if result.kind != "figure"] if all(map(has, block.needs)) else []


def without_module(result: Result) -> Result:
    """A result as Jupyter shows it: of an error's type it gives the last part of the name."""
    return replace(result, shown=re.sub(r"^([\w.]+\.)(?=\w+:)", "", result.shown)) if result.kind == "pytb" else result


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmKernels]:
    folder = tmp_path_factory.mktemp("kernels") / "site"
    arguments = "-f", "{connection_file}", "--InteractiveShell.xmode=Minimal"  # a traceback in colour takes seconds
    kernels = WarmKernels(surroundings(folder) | {"OMP_NUM_THREADS": "1"}, arguments=arguments)  # a fork has no threads
    yield kernels
    kernels.close()


@every_chapter
def test_the_notebook_of_a_chapter_prints_what_the_chapter_shows(
    page: Page, kernels: WarmKernels, tmp_path: Path
) -> None:
    shows_what_ran(page, run_notebook(downloads.notebook(page, URL), tmp_path, kernels))


def test_a_fresh_kernel_runs_the_notebook_of_the_longest_chapter(tmp_path: Path) -> None:
    page = longest()
    shows_what_ran(page, run_notebook(downloads.notebook(page, URL), tmp_path))


TORCH_LOG = re.compile(r"^[VDIWEC]\d{4} \d\d:\d\d:.*\n?", re.MULTILINE)
"""What torch logs to standard error, with the time. A page shows none of it, and a notebook puts it in red."""


def shows_what_ran(page: Page, ran: nbformat.NotebookNode) -> None:
    """Compare what the cells of a notebook printed, raised and drew with what the page shows."""
    cells = [cell for cell in ran.cells if cell.cell_type == "code" and cell.source != downloads.FORK]
    for block, cell in zip(that_run(page), cells, strict=True):
        outputs = cell.outputs
        printed = "".join(TORCH_LOG.sub("", output.text) for output in outputs if output.output_type == "stream")
        errors = [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        assert len(pictures) == len(block.figures)
        results = [without_module(result) for result in results_here(block)]
        outcome = Outcome(printed=printed, error="".join(errors))
        assert [str(each) for each in mismatches(page, replace(block, results=results), outcome)] == []


TEXT = """# Title

A [chapter](other.md#a-part), [home](../index.md), a [program](../../snippets/part/page.py), [here](#two) and
[elsewhere](https://example.org/). The formula $x_i$.

<!-- proves: claim -->
```python
import torch

print(torch.ones(1))
```

```text
tensor([1.])
```

## Two

??? question "What does it raise?"

    ```python
    torch.ones(2).view(3)
    ```

    ```pytb
    RuntimeError: shape '[3]' is invalid for input of size 2
    ```

    Three is not two.

<explore-strides>

A worked example.

</explore-strides>

## Exercise: one

```python
def f():
    pass
```

```python
assert f()
```

```pytb
AssertionError
```

??? failure "Wrong"

    ```python
    def f():
        return 0
    ```

    ```pytb
    AssertionError
    ```

    No text of an answer.

??? success "Solution"

    ```python
    def f():
        return 1
    ```
"""
SCRIPT = """# %% [markdown]
# # Title
#
# The code of <https://example.org/part/page/>. Run it from the top: it prints what the
# chapter shows.
#
# It needs `pip install torch torchvision matplotlib scikit-learn scikit-image`.
#
# A [chapter](https://example.org/part/other/#a-part), [home](https://example.org/), a
# [program](https://example.org/snippets/part/page/),
# [here](https://example.org/part/page/#two) and
# [elsewhere](https://example.org/). The formula $x_i$.

# %%
import torch

print(torch.ones(1))

# %% [markdown]
# ## Two

# %%
try:
    torch.ones(2).view(3)
except RuntimeError as error:
    print(f"RuntimeError: {error}")


# %% [markdown]
# Three is not two.
#
# A worked example.

# %% [markdown]
# ## Exercise: one

# %%
def f():
    pass


# %%
try:
    assert f()
except AssertionError as error:
    print(f"AssertionError: {error}")

# %% [markdown]
# A solution, and answers that look right and are wrong:
# <https://example.org/part/page/#exercise-one>
"""


def test_a_script_holds_text_and_blocks_and_neither_results_nor_answers() -> None:
    assert downloads.script(Page.parse(TEXT, Path("page.md")), URL) == SCRIPT


def test_a_notebook_holds_the_same_and_goes_on_past_what_raises() -> None:
    text = downloads.notebook(Page.parse(TEXT, Path("page.md")), URL)
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert [cell.source.splitlines()[-1] for cell in code] == [
        "print(torch.ones(1))",
        "torch.ones(2).view(3)",
        "    pass",
        "assert f()",
    ]
    assert [cell.metadata.get("tags", []) for cell in code] == [[], ["raises-exception"], [], ["raises-exception"]]
    assert not any(cell.outputs for cell in code)
    assert text == downloads.notebook(Page.parse(TEXT, Path("page.md")), URL), "two builds differ"


def test_a_script_wraps_text_and_leaves_tables_formulae_and_code_alone() -> None:
    long = "word " * 40
    table = f"| {long}|\n|---|\n| {long}|"
    made = downloads.script(Page.parse(f"# Title\n\n{long}\n\n{table}\n\n$${long}$$\n", Path("page.md")), URL)
    lengths = [len(line) for line in made.splitlines() if line.startswith("# word")]
    assert len(lengths) > 1
    assert max(lengths) <= 88
    assert f"# | {long}|" in made
    assert f"# $${long}$$" in made


@pytest.mark.parametrize(("source", "is_first"), [("DataLoader(x, num_workers=2)", True), ("DataLoader(x)", False)])
def test_workers_are_forked_in_any_python(source: str, is_first: bool) -> None:
    page = Page.parse(f"# Title\n\n```python\n{source}\n```\n\nOf num_workers.\n", Path("page.md"))
    made = jupytext.reads(downloads.script(page, URL), "py:percent")
    cells = nbformat.reads(downloads.notebook(page, URL), as_version=4).cells
    for code in ([cell.source for cell in cells if cell.cell_type == "code"] for cells in (made.cells, cells)):
        assert code == [downloads.FORK] * is_first + [source]


def test_an_example_of_wrong_syntax_is_a_comment_in_a_script() -> None:
    text = "# Title\n\n```python\nprint x\n```\n\n```pytb\nSyntaxError: ...\n```\n"
    assert "\n# print x\n" in downloads.script(Page.parse(text, Path("page.md")), URL)
    made = json.loads(downloads.notebook(Page.parse(text, Path("page.md")), URL))
    assert made["cells"][-1]["source"] == ["print x"]


def test_a_program_is_a_notebook_cell_by_cell() -> None:
    program = "# %% [markdown]\n# # Title\n\n# %%\nx = 1\n\n# %%\nprint(x)\n"
    made = nbformat.reads(downloads.program_as_notebook(program), as_version=4)
    assert [(cell.cell_type, cell.source) for cell in made.cells] == [
        ("markdown", "# Title"),
        ("code", "x = 1"),
        ("code", "print(x)"),
    ]
