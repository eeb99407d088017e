"""The strides explorable shows what torch does, and everyone can use it."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import torch

from explorables.chains import OPERATIONS, Case, Step, outcome, random_case, target_shape
from explorables.element import Explorable, focused, read, written
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "tensors" / "views.md"
URL = "tensors/views/"
STRIDES = Explorable("strides", URL, "Operations")
page, requests, explorable = STRIDES.fixtures()

# For each case: types into the fields as a reader does, selects one step after the other, returns what is displayed.
READ = """
(cases) => cases.map(([shape, chain, targets]) => {
    const root = document.querySelector("explore-strides");
    const texts = (parent, selector) => [...parent.querySelectorAll(selector)].map((found) => found.textContent);
    const type = (name, value) => {
        const label = [...root.querySelectorAll("label")].find((found) => found.textContent.startsWith(name));
        label.control.value = value;
        label.control.dispatchEvent(new Event("input", { bubbles: true }));
    };
    type("Shape of x", shape);
    type("Operations", chain);
    const steps = [...root.querySelectorAll(".steps tbody tr")].map((row) => {
        row.querySelector("input").click();
        return {
            text: row.querySelector("code").textContent,
            cells: [...row.cells].slice(1).map((cell) => cell.firstChild.data),
            warned: texts(row, "small"),
            places: [...root.querySelectorAll(".strip button")].map(
                (place) => [place.getAttribute("aria-label"), ...texts(place, "small, span")]),
            tables: [...root.querySelectorAll("[role=grid]")].map((table) => [
                table.getAttribute("aria-label"),
                [...table.tBodies[0].rows].map((row) => texts(row, "td").map(Number)),
            ]),
            sum: texts(root, ".sum b"),
        };
    });
    const answers = targets.map((target) => {
        type("Is a view", target);
        return texts(root, ".asked output").join();
    });
    const [failure = "", said] = [texts(root, ".steps tfoot td")[0], texts(root, "[role=status]")[0]];
    return { steps, answers, failure, said };
})
"""


@pytest.fixture
def _every_warning():
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


def write(page, shape: str, chain: str) -> None:
    page.get_by_label("Shape of x").fill(shape)
    page.get_by_label("Operations").fill(chain)


def displayed(step: Step) -> dict[str, object]:
    """What `READ` returns of a step that is shown as torch made it."""
    tensor = step.tensor
    shape, strides = tuple(tensor.shape), tensor.stride()
    storage = torch.tensor([], dtype=tensor.dtype).set_(tensor.untyped_storage()).tolist()
    at = torch.arange(len(storage)).as_strided(shape, strides, tensor.storage_offset()).flatten().tolist()
    places = []
    for place, value in enumerate(storage):
        visits = [str(n) for n, visited in enumerate(at) if visited == place]
        when = f"visit {', '.join(visits)}" if visits else "not visited"
        shown = " ".join(visits if len(visits) <= 4 else [*visits[:3], "…"])
        places.append([f"place {place} holds {value}, {when}", str(place), str(value), shown])
    tables, total = [], []
    if at:
        batch = tensor.reshape(-1, shape[-2] if len(shape) > 1 else 1, shape[-1] if shape else 1)
        names = ["".join(f"{i}, " for i in prefix) for prefix in product(*map(range, shape[:-2]))]
        ending = ", ".join([":", ":"][: len(shape)])
        tables = [[f"elements [{name}{ending}]", rows] for name, rows in zip(names, batch.tolist(), strict=True)]
        last = [size - 1 for size in shape]
        terms = [f"{i} · {stride}" for i, stride in zip(last, strides, strict=True)]
        total = [str(last), str(tensor.storage_offset()), *terms, str(at[-1]), str(storage[at[-1]])]
    contiguous = "yes" if tensor.is_contiguous() else "no"
    return {
        "text": step.text,
        "cells": [str(shape), str(strides), str(tensor.storage_offset()), contiguous, step.memory],
        "warned": ["torch warns: deprecated"] if step.warned else [],
        "places": places,
        "tables": tables,
        "sum": total,
    }


def disagreements(case: Case, shown: dict) -> list[str]:
    found = []
    if case.failure != shown["failure"] or case.failure not in shown["said"]:
        found.append(f"raises {case.failure!r}, shown {shown['failure']!r}, said {shown['said']!r}")
    if len(case.steps) != len(shown["steps"]):
        found.append(f"{len(case.steps)} steps, shown {len(shown['steps'])}")
    for step, seen in zip(case.steps, shown["steps"], strict=False):
        for name, expected in displayed(step).items():
            if seen[name] != expected:
                found.append(f"{step.text}: {name} {expected}, shown {seen[name]}")
    return [f"{case.shape} x{case.chain}: {difference}" for difference in found]


def compare(page, cases: list[Case]) -> None:
    shown = read(page, READ, [[written(case.shape), f"x{case.chain}", []] for case in cases])
    found = [disagreements(*pair) for pair in zip(cases, shown, strict=True)]
    assert not any(found), "\n".join(difference for differences in found for difference in differences[:2])


@pytest.mark.usefixtures("_every_warning")
def test_random_chains_show_what_torch_does(page):
    chooser = random.Random(2015)
    cases, names = zip(*(random_case(chooser) for _ in range(500)), strict=True)
    compare(page, cases)

    steps = [step for case in cases for step in case.steps]
    failures = Counter(case.failure.partition(":")[0] for case in cases if case.failure)
    assert {name for chain in names for name in chain} == set(OPERATIONS)
    assert {len(chain) for chain in names} == {1, 2, 3, 4, 5}
    assert 100 <= failures.total() <= 200
    assert min(failures[name] for name in ("RuntimeError", "IndexError", "ValueError")) >= 5
    assert sum(step.memory == "copy" for step in steps) >= 20
    assert sum(step.tensor.numel() == 0 for step in steps) >= 20
    assert sum(0 in step.tensor.stride() for step in steps) >= 20


@pytest.mark.usefixtures("_every_warning")
@pytest.mark.parametrize(
    ("shape", "operations"),
    [
        ([3, 4], ["[:0]", ".reshape(-1, 3)", ".view(5, 0, 2)"]),
        ([2, 0, 3], [".reshape(-1, 0)"]),
        ([2, 0, 3], [".mT", ".reshape(2, 3, 0)", ".unsqueeze(1)"]),
        ([3, 4], [".T", ".contiguous()", ".T", ".contiguous()", ".T"]),
        ([1, 2, 1], [".expand(-1, -1, 4)", ".expand(2, 3, -1, 2, 4)", ".reshape(-1)"]),
        ([1], [".expand(-2)"]),
        ([1], [".expand(2, -2, 0)"]),
        ([], [".expand(3, 1)"]),
        ([], ["[0]"]),
        ([], ["[-1]"]),
        ([], ["[0,]"]),
        ([], ["[::2]"]),
        ([], ["[::-1]"]),
        ([], ["[None, ...]", ".T", ".mT"]),
        ([2, 3], ["[None, 5]"]),
        ([2, 3], ["[0, 5]"]),
        ([2, 3], ["[::-1, 0, 0]"]),
        ([4], ["[-9:-1:2]", "[9:]"]),
    ],
    ids=lambda value: "x" + "".join(value) if value and isinstance(value[0], str) else str(value),
)
def test_an_edge_case_shows_what_torch_does(page, shape, operations):
    case = Case(shape)
    assert all(case.add(text) for text in operations)
    compare(page, [case])


def test_a_view_is_legal_where_torch_makes_one(page):
    chooser = random.Random(2016)
    cases = [random_case(chooser)[0] for _ in range(80)]
    tensors = [case.tensor for case in cases]
    targets = [[target_shape(chooser, tensor) for _ in range(6)] for tensor in tensors]
    asked = [list(map(written, sizes)) for sizes in targets]
    shown = read(page, READ, [[written(cases[n].shape), f"x{cases[n].chain}", asked[n]] for n in range(len(cases))])
    verdicts = Counter()
    for n, case in enumerate(cases):
        expected = [answer(tensors[n], target) for target in targets[n]]
        assert shown[n]["answers"] == expected, f"{case.shape} x{case.chain} as {asked[n]}"
        verdicts.update("copies" if "copies" in said else said[:2] for said in expected)
    assert min(verdicts[verdict] for verdict in ("Ye", "No", "copies")) >= 25


def answer(tensor: torch.Tensor, target: list[int]) -> str:
    """What the explorable says to the question whether a view of the target shape is legal."""
    view = outcome(f".view({tuple(target)})", tensor)
    if not isinstance(view, str):
        return f"Yes, with shape {tuple(view.shape)} and strides {view.stride()}."
    reshaped = outcome(f".reshape({tuple(target)})", tensor)
    then = "raises the same" if isinstance(reshaped, str) else "copies the elements into a new storage"
    return f"No. {view}\nreshape {then}."


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    source = next(block.source for block in Page.read(PAGE).blocks if "y = x.T[1:]" in block.source)
    page = explorable()
    shape, chain = page.get_by_label("Shape of x").input_value(), page.get_by_label("Operations").input_value()
    assert f"reshape({shape})\n" in source
    assert f"y = {chain}\n" in source


def test_without_scripts_the_worked_example_is_there(visit):
    assert "(3, 3) (1, 4) 1" in STRIDES.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/strides.js" in before
    assert "strides-widget" not in before
    assert "strides-widget" in after


@pytest.mark.parametrize(
    ("chain", "piece"),
    [
        ("x.T.permut(1, 0)", ".permut(1, 0)"),
        ("x.T.transpose(0)", ".transpose(0)"),
        ("x.T.reshape()", ".reshape()"),
        ("x.T.reshape(2, a)", ".reshape(2, a)"),
        ("x.T.T()", ".T()"),
        ("x.T[[0, 1]]", "[[0, 1]]"),
        ("x.T[..., ...]", "[..., ...]"),
        ("x.T[]", "[]"),
        ("x.T + 1", "+ 1"),
        ("x.T.constructor()", ".constructor()"),
        ("x.T.<b>bold</b>", ".<b>bold</b>"),
    ],
)
def test_text_that_is_not_understood_is_named_and_stops_the_chain(page, chain, piece):
    write(page, "2, 3", chain)
    assert page.locator(".steps tfoot th").inner_text() == piece
    assert page.locator(".steps tfoot td").inner_text().startswith("Not understood: Understood are permute, transpose")
    assert piece in page.locator("[role=status]").inner_text()
    assert page.locator(".steps tbody code").all_inner_texts() == ["x", ".T"]


@pytest.mark.parametrize(
    "chain", ["", "x", " x ", "x .T", "T", ".T", "x . T", "x.T ", "transpose( 0,1 )", "[ : , None ]"]
)
def test_a_chain_may_be_written_as_python_allows(page, chain):
    write(page, "2, 3", chain)
    assert not page.locator(".steps tfoot td").count()


@pytest.mark.parametrize("shape", ["2, 3,, 4", "a", "-1", "3, 40", "1, 1, 1, 1, 1", "2.5"])
def test_a_shape_that_cannot_be_drawn_leaves_no_result_in_sight(page, shape):
    write(page, "2, 3", "x.T")
    page.get_by_label("Shape of x").fill(shape)
    assert shape in page.locator("[role=status]").inner_text()
    assert not page.locator(".steps, .strip, [role=grid]").filter(visible=True).count()
    page.get_by_label("Shape of x").fill("3, 2")
    assert page.locator(".steps tbody tr").last.inner_text().split("\t")[1:3] == ["(2, 3)", "(1, 2)"]


def test_what_is_too_large_to_draw_says_so(page):
    write(page, "3", "x.expand(1000, 3)")
    assert page.locator(".steps tfoot td").inner_text().startswith("Not drawn: At most 256 elements")


def test_every_example_shows_what_its_name_says(page):
    shown = {}
    for button in page.get_by_role("group", name="Examples").get_by_role("button").all():
        button.click()
        row = page.locator(".steps tr").last
        shown[button.inner_text()] = row.inner_text()
    assert "RuntimeError: view size" in shown.pop("a view that is refused")
    assert shown.pop("a reshape that copies").endswith("copy")
    assert "(0, 1)" in shown["an expanded row"]
    assert all("view of x" in row for row in shown.values())


def test_an_element_points_at_its_place_and_a_place_at_its_elements(page):
    write(page, "3", "x.expand(2, 3)")
    marked = page.locator("explore-strides .on")
    page.get_by_role("gridcell", name="1", exact=True).first.hover()
    assert page.locator(".sum b").all_inner_texts() == ["[0, 1]", "0", "0 · 0", "1 · 1", "1", "1"]
    assert marked.count() == 2
    page.get_by_role("button", name="place 2 ").hover()
    assert page.locator(".sum b").all_inner_texts() == ["2", "2", "[0, 2] [1, 2]"]
    assert marked.count() == 3
    page.get_by_label("Operations").fill("x[:2]")
    page.get_by_role("button", name="place 2 ").hover()
    assert page.locator(".sum b").all_inner_texts() == ["2", "2", "none"]


def test_a_keyboard_reaches_everything(page):
    write(page, "2, 2, 3", "x.mT")
    page.get_by_label("Shape of x").focus()
    reached = []
    for _ in range(13):
        page.keyboard.press("Tab")
        reached.append(focused(page))
    assert [reached[0], *reached[8:12]] == [
        "Operations",
        ".mT",
        "place 11 holds 11, visit 11",
        "11",
        "Is a view of this shape legal?",
    ]
    assert reached[1] == "a transpose"


def test_arrow_keys_walk_elements_places_and_steps(page):
    write(page, "2, 2, 3", "x.mT")
    page.get_by_role("gridcell", name="11", exact=True).focus()
    walked = []
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp", "ArrowUp", "Home", "ArrowLeft", "ArrowDown", "End"):
        page.keyboard.press(key)
        walked.append(focused(page))
        assert walked[-1] == page.locator(".sum b").last.inner_text()
    assert walked == ["8", "7", "6", "2", "0", "0", "1", "11"]
    page.keyboard.press("Home")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    assert focused(page).startswith("place 10 ")
    page.keyboard.press("Tab")
    assert focused(page) == "0", "the Tab key stops where the arrow keys left"
    page.get_by_role("radio", name=".mT").focus()
    page.keyboard.press("ArrowUp")
    assert focused(page) == "x"
    assert page.get_by_role("heading", name="Elements of").inner_text() == "Elements of x"


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for shape, chain in (("2, 3, 4", "x.T.reshape(4, 6)[:, ::2][None]"), ("2, 3", "x[5]"), ("3", "x.foo"), ("99", "x")):
        write(page, shape, chain)
        assert not STRIDES.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert STRIDES.smallest(page, ":is(button, [data-element], .steps label, input[type=text])") >= 24
    for chain in ("x.permute(3, 1, 0, 2)[1:]", "x.reshape(2, 24).foo", "x.reshape(1, 48).expand(2, 48)"):
        write(page, "2, 2, 3, 4", chain)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), chain
        strip = page.locator(".strip").bounding_box()
        assert strip["x"] >= 0, chain
        assert strip["x"] + strip["width"] <= 390, chain


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    write(page, "2, 3", "x.T")
    STRIDES.take_out_and_put_back(page, "tbody")
    assert page.locator("explore-strides form").count() == 1
    assert page.get_by_label("Operations").input_value() == "x.T"
    page.get_by_label("Operations").fill("x.T[0]")
    assert page.locator(".steps tbody code").all_inner_texts() == ["x", ".T", "[0]"]
    assert page.evaluate("drawn") == 1
    assert not errors


def test_it_is_there_again_after_a_walk_through_the_book(page):
    STRIDES.walk_away_and_back(page, "Batches")
    page.get_by_label("Operations").fill("x[0]")
    assert page.locator(".steps tbody code").all_inner_texts() == ["x", "[0]"]
