"""Code that is copied from a page: every block of the book, with what it needs, does what it does on its page."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from fresh import WarmInterpreter, run_file

from tensorproof.dependencies import needed
from tensorproof.needs import has
from tensorproof.page import Block, Page
from tensorproof.results import mismatches
from tensorproof.session import Outcome
from tensorproof.standalone import error_of, indented, is_wrong_syntax, pieces, with_needs

ROOT = Path(__file__).parent.parent
PAGES = {file.relative_to(ROOT / "docs").as_posix(): Page.read(file) for file in sorted((ROOT / "docs").rglob("*.md"))}
BLOCKS = {f"{name}:{block.name}": (page, block) for name, page in PAGES.items() for block in page.blocks}


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Callable[[str], dict[str, Outcome]]]:
    """What the copies of all blocks of a page do, by the names of the blocks."""
    interpreter = WarmInterpreter()
    yield cache(lambda name: interpreter.run({b.name: pieces(PAGES[name], b) for b in PAGES[name].blocks}))
    interpreter.close()


def differences(page: Page, block: Block, outcome: Outcome) -> list[str]:
    """Where the outcome of a copy is not that of its last block on the page: the blocks before it print as well."""
    shown = [result.shown for each in needed(page, block)[1] for result in each.results if result.kind != "figure"]
    text = block.result("text")
    printed = outcome.printed
    if text:
        lines = text.shown.count("\n") + 1
        printed = "".join(printed.splitlines(keepends=True)[-lines:])
    elif shown:
        printed = ""
    figures = outcome.figures[len(outcome.figures) - len(block.figures) :]
    return [str(each) for each in mismatches(page, block, replace(outcome, printed=printed, figures=figures))]


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_with_what_it_needs_does_what_it_does_on_its_page(
    name: str, outcomes: Callable[[str], dict[str, Outcome]]
) -> None:
    page, block = BLOCKS[name]
    if missing := [need for each in (*needed(page, block)[1], block) for need in each.needs if not has(need)]:
        pytest.skip(f"needs {missing[0]}, which this machine lacks")
    if not is_wrong_syntax(block):
        compile(with_needs(page, block), name, "exec")
    assert differences(page, block, outcomes(name.partition(":")[0])[block.name]) == []


def test_a_fresh_python_runs_the_block_that_needs_most(tmp_path: Path) -> None:
    """All run in forks of an interpreter that has loaded the libraries, so one shows that they need no such thing."""
    candidates = [(page, block) for page, block in BLOCKS.values() if not block.figures and not block.needs]
    page, block = max(candidates, key=lambda one: len(needed(*one)[1]))
    assert differences(page, block, run_file(with_needs(page, block), tmp_path)) == []


def page_of(text: str) -> Page:
    return Page.parse(f"# Page\n\n{text}", Path("page.md"))


def copied(text: str) -> str:
    """What the button copies of the last block of a page."""
    page = page_of(text)
    return with_needs(page, page.blocks[-1])


def test_a_block_that_needs_nothing_is_copied_as_it_is() -> None:
    assert copied(blocks("x = 1", "print(2)")) == "print(2)\n"


def blocks(*sources: str) -> str:
    """A page of blocks. What one raises stands behind an arrow: `x / 0 -> ZeroDivisionError: division by zero`."""
    parts = (source.partition(" -> ") for source in sources)
    return "\n".join(
        f"```python\n{source}\n```\n" + (f"\n```pytb\n{error}\n```\n" if error else "") for source, _, error in parts
    )


def test_imports_stand_on_top_and_definitions_apart() -> None:
    text = blocks("import torch\nimport io", "def f():\n    return io", "f(torch)")
    assert copied(text) == "import io\nimport torch\n\n\ndef f():\n    return io\n\n\nf(torch)\n"


def test_what_an_earlier_block_raises_is_printed() -> None:
    program = copied(blocks("x = 1\nx / 0 -> ZeroDivisionError: division by zero", "print(x)"))
    assert "except ZeroDivisionError as error:" in program
    assert ran(program) == "ZeroDivisionError: division by zero\n1\n"


def test_an_error_with_a_dotted_name_is_caught_by_that_name() -> None:
    fault = "x = 1\nraise json.JSONDecodeError('a', 'b', 0) -> json.decoder.JSONDecodeError: a"
    program = copied(blocks("import json", fault, "print(x)"))
    assert ran(program).startswith("json.decoder.JSONDecodeError: a")


def test_what_the_block_itself_raises_comes_out() -> None:
    program = copied(
        "```python\nx = 1\n```\n\n```python\nx / 0\n```\n\n```pytb\nZeroDivisionError: division by zero\n```\n"
    )
    with pytest.raises(ZeroDivisionError):
        ran(program)


def test_an_example_of_wrong_syntax_is_copied_alone() -> None:
    assert copied(blocks("x = 1", "print x -> SyntaxError: ...")) == "print x\n"


def test_a_figure_is_brought_to_the_screen() -> None:
    text = "```python\nimport matplotlib.pyplot as plt\n\nplt.plot([1])\n```\n\n![A line](page/line.svg)\n"
    assert copied(text).endswith("plt.plot([1])\nplt.show()\n")


def test_a_block_for_another_machine_is_guarded() -> None:
    text = "<!-- needs: cuda -->\n```python\nx = torch.ones(1, device='cuda')\n```\n"
    assert copied(text) == ("import torch\n\nif torch.cuda.is_available():\n    x = torch.ones(1, device='cuda')\n")


def test_lines_within_a_string_stay_where_they_are() -> None:
    source = 'x = """a\n  b\n"""\nif x:\n    y = f"""{x}\nc"""\n'
    assert indented(source) == '    x = """a\n  b\n"""\n    if x:\n        y = f"""{x}\nc"""\n'


@pytest.mark.parametrize(("shown", "error"), [("ValueError: a: b", "ValueError"), ("a.b.C", "a.b.C")])
def test_the_type_of_an_error_is_read_from_its_page(shown: str, error: str) -> None:
    assert error_of(page_of(f"```python\nf()\n```\n\n```pytb\n{shown}\n```\n").blocks[0]) == error


def ran(program: str) -> str:
    """What a program prints."""
    from contextlib import redirect_stdout
    from io import StringIO

    out = StringIO()
    with redirect_stdout(out):
        exec(compile(program, "copied", "exec"), {"__name__": "__main__"})
    return out.getvalue()
