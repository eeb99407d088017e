"""The product explorable shows what torch makes of `a @ b`, and everyone can use it."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from itertools import product, zip_longest
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from explorables.element import Explorable, focused, read, written
from explorables.lineup import broadcast_size, size, verdict
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "tensors" / "matmul.md"
URL = "tensors/matmul/"
PRODUCT = Explorable("product", URL, "Shape of a")
page, requests, explorable = PRODUCT.fixtures()
VERSION = tuple(map(int, torch.__version__.split(".")[:2]))

Shape = tuple[int, ...]

# For each case: writes the two shapes, goes to the first element, one between and the last
# of every matrix. Returns what is seen.
READ = """
(cases) => cases.map((shapes) => {
    const root = document.querySelector("explore-product");
    const texts = (selector, parent = root) => [...parent.querySelectorAll(selector)].map((found) => found.textContent);
    const visible = (selector) => [...root.querySelectorAll(selector)].filter((found) => !found.closest("[hidden]"));
    const fields = root.querySelectorAll("[type=text]");
    for (const [n, input] of fields.entries()) input.value = shapes[n];
    fields[1].dispatchEvent(new Event("input", { bubbles: true }));
    const slider = root.querySelector("[type=range]");
    const step = (n) => {
        slider.value = n;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        const [numbers, crossed] = [texts(".sum b"), texts(".crossing .met")];
        const tables = visible(".numbers").map((table) => [
            table.getAttribute("aria-label"),
            [...table.tBodies[0].rows].map((row) => texts("td:not(:empty)", row)),
        ]);
        const [on] = visible("[data-cell].on");
        const valueText = slider.ariaValueText;
        return { n, numbers, crossed, tables, on: on.ariaLabel, valueText, at: texts(".stepper > span").join() };
    };
    const steps = [];
    if (visible(".stepper").length) {
        const last = Number(slider.max);
        const own = visible("[data-cell]").length;
        const ends = Array.from({ length: (last + 1) / own }, (_, matrix) => (matrix + 1) * own - 1);
        steps.push(...[0, last >> 1, ...ends].map(step));
    }
    return {
        rows: visible(".aligned :is(tbody, tfoot) tr").map((row) => texts("td", row)),
        code: texts(".paste").join(),
        said: [...root.querySelectorAll("[role=status] p")].map((told) => told.firstChild.data),
        note: texts("[role=status] small").join(),
        cost: visible("h3, .hint").map((found) => found.textContent),
        steps,
    };
})
"""


def write(page, a: str, b: str) -> None:
    page.get_by_label("Shape of a").fill(a)
    page.get_by_label("Shape of b").fill(b)


def random_pair(chooser: random.Random) -> tuple[Shape, Shape]:
    """Two shapes that often fit, because the sizes of one are made from the other."""
    sizes = [0, 1, 1, 2, 2, 3, 3, 4, 5, 6]
    a = chooser.choices(sizes, k=chooser.choice([0, 1, 1, 2, 2, 3, 3, 4, 4]))
    b = chooser.choices(sizes, k=chooser.choice([0, 1, 1, 2, 2, 3, 3, 4, 4]))
    if a and b and chooser.random() < 0.75:
        b[-2 if len(b) > 1 else 0] = a[-1]
    for dim in range(3, min(len(a), len(b)) + 1):
        if chooser.random() < 0.8:
            b[-dim] = chooser.choice([a[-dim], 1])
    if max(math.prod(a), math.prod(b)) > 100:
        return random_pair(chooser)
    return tuple(a), tuple(b)


def line(shape: Shape) -> str:
    """A tensor of a shape, as the explorable writes it."""
    return f"torch.arange(1, {math.prod(shape) + 1}).view({written(shape)})"


def multiplied(code: str) -> torch.Tensor | str:
    """What a line of Python makes, or what it raises."""
    try:
        return eval(code, {"torch": torch})
    except RuntimeError as error:
        return f"RuntimeError: {error}"


def said_of(seen: dict) -> str:
    """What a reader of this version of torch is told, of whom some have other words in a note."""
    if note := re.fullmatch(r"Before torch 2\.(\d+): (.*)", seen["note"]):
        return f"RuntimeError: {note[2]}" if (2, int(note[1])) > VERSION else seen["said"][0]
    return seen["said"][0]


def lined(a: Shape, b: Shape) -> list[list[str]]:
    """The table of the sizes: those of a, of b and of the result, and why."""
    if not a or not b:
        return []
    *left, n, m = (None, *a)[-len(a) - (len(a) == 1) :]
    *right, k, d = b if len(b) > 1 else (*b, None)
    pairs = list(zip_longest(reversed(left), reversed(right)))[::-1]
    columns = [[size(i), size(j), broadcast_size(i, j), verdict(i, j)] for i, j in pairs]
    vector = "{} is a vector: a 1 is put there, then taken away"
    of_a = [str(n), "stays from a"] if n is not None else ["gone: 1", vector.format("a")]
    of_b = [str(d), "stays from b"] if d is not None else ["gone: 1", vector.format("b")]
    inner = [f"gone: {m}", "equal: the sum runs over them"] if m == k else ["?", f"refused: {m} and {k} differ"]
    columns += [[size(n), "", *of_a], [str(m), str(k), *inner], ["", size(d), *of_b]]
    return list(map(list, zip(*columns, strict=True)))


def subscript(name: str, parts: list) -> str:
    return f"{name}[{', '.join(map(str, parts))}]" if parts else name


def index_of(n: int, shape: Shape) -> list[int]:
    return list(map(int, np.unravel_index(n, shape)))


def lead_of(shape: Shape, batch: Shape, lead: list[int]) -> list[int]:
    """Where broadcasting finds the matrix of an operand for an index of the result's batch."""
    own = shape[:-2]
    return index_of(int(torch.arange(math.prod(own)).view(own).expand(batch)[tuple(lead)]), own)


def rows(matrix: torch.Tensor, is_column: bool = False) -> list[list[str]]:
    """A matrix as text. A vector is a row, or a column."""
    whole = matrix[:, None] if is_column else torch.atleast_2d(matrix)
    return [list(map(str, row)) for row in whole.tolist()]


def shown(x: torch.Tensor, y: torch.Tensor, result: torch.Tensor, n: int) -> dict:
    """What is seen of the nth element of a product."""
    index, dims = index_of(n, result.shape), (x.ndim > 1) + (y.ndim > 1)
    batch, lead = result.shape[: result.ndim - dims], index[: result.ndim - dims]
    leads = [lead_of(operand.shape, batch, lead) for operand in (x, y)]
    a, b, product = x[tuple(leads[0])], y[tuple(leads[1])], result[tuple(lead)]
    order = torch.arange(result.numel()).view(result.shape)[tuple(lead)]

    row, row_name = (a[index[len(lead)]], [*leads[0], index[len(lead)], ":"]) if x.ndim > 1 else (a, [])
    column, column_name = (b[:, index[-1]], [*leads[1], ":", index[-1]]) if y.ndim > 1 else (b, [])
    assert row @ column == result[tuple(index)]
    total, place = str(int(row @ column)), str(index) if index else "[()]"
    products = [f"{m} · {n}" for m, n in zip(row.tolist(), column.tolist(), strict=True)]

    stands = x.ndim > 1 and y.ndim == 1
    filled = [["·" if m == "-1" else m for m in line] for line in rows(product.where(order <= n, -1), stands)]
    matrices = [
        ("a", leads[0], a, rows(a)),
        ("b", leads[1], b, rows(b, is_column=y.ndim == 1)),
        ("(a @ b)", lead, product, filled),
    ]
    progress = f"{n + 1} of {result.numel()}"
    return {
        "n": n,
        "numbers": [place, subscript("a", row_name), subscript("b", column_name), *(products or ["none"]), total],
        "crossed": [*map(str, row.tolist()), *map(str, column.tolist())],
        "tables": [[subscript(name, at and [*at, *[":"] * part.ndim]), text] for name, at, part, text in matrices],
        "on": f"{place}: {total}",
        "valueText": f"{progress}, {place}",
        "at": progress,
    }


def cost(a: Shape, result: torch.Tensor) -> str:
    """What is said about the number of multiplications."""
    if not result.numel():
        return "A size is 0, so it has no element. 0 multiplications."
    counts = (result.numel(), "element"), (a[-1], "product"), (result.numel() * a[-1], "multiplication")
    elements, products, all_products = (f"{n} {thing}{'s' * (n != 1)}" for n, thing in counts)
    return f"{elements}, {products} each: {all_products}."


def disagreements(a: Shape, b: Shape, seen: dict) -> list[str]:
    """Where the page shows something else than torch does."""
    code = f"{line(a)} @ {line(b)}"
    result = multiplied(code)
    expected = {"code": code, "rows": lined(a, b)}
    if isinstance(result, str):
        expected |= {"raised": result, "cost": [], "steps": []}
        seen["raised"] = said_of(seen)
    else:
        x, y = (eval(line(shape), {"torch": torch}) for shape in (a, b))
        heading = f"a @ b has the shape {tuple(result.shape)}"
        expected |= {"said": [f"a @ b: shape {tuple(result.shape)}"], "cost": [heading, cost(a, result)]}
        expected["steps"] = [shown(x, y, result, step["n"]) for step in seen["steps"]]
        if result.numel():
            own = math.prod(result.shape[result.ndim - (x.ndim > 1) - (y.ndim > 1) :])
            ends = range(own - 1, result.numel(), own)
            assert [step["n"] for step in seen["steps"]] == [0, (result.numel() - 1) // 2, *ends]
    return [f"{a} @ {b}: {part} {value}, shown {seen[part]}" for part, value in expected.items() if seen[part] != value]


def compare(page, pairs: list[tuple[Shape, Shape]]) -> list[dict]:
    """Hold what the page shows of pairs of shapes against torch, and return what it shows."""
    seen = read(page, READ, [list(map(written, pair)) for pair in pairs])
    found = [disagreements(*pair, each) for pair, each in zip(pairs, seen, strict=True)]
    assert not any(found), "\n".join(part for parts in found for part in parts[:2])[:4000]
    return seen


def test_random_shapes_show_what_torch_does(page):
    chooser = random.Random(2018)
    pairs = [random_pair(chooser) for _ in range(2000)]
    seen = compare(page, pairs)

    refused = Counter(each["raised"][:30] for each in seen if "raised" in each)
    accepted = {(len(a), len(b)) for (a, b), each in zip(pairs, seen, strict=True) if "raised" not in each}
    assert 500 <= refused.total() <= 1000
    assert len(refused) == 6
    assert min(refused.values()) >= 10
    assert accepted == set(product(range(1, 5), repeat=2))
    assert sum(bool(each["note"]) for each in seen) >= 100
    assert sum(len(each["steps"]) > 3 for each in seen) >= 200
    assert sum(0 in a or 0 in b for a, b in pairs) >= 200
    assert sum("none" in step["numbers"] for each in seen for step in each["steps"]) >= 50


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((), ()),
        ((), (2, 2)),
        ((0,), (0,)),
        ((1,), (1,)),
        ((3,), (0,)),
        ((0,), (0, 2)),
        ((2, 0), (0,)),
        ((2, 0), (0, 3)),
        ((2, 3), (2, 3)),
        ((4, 2), (4, 2, 2)),
        ((3,), (0, 3, 2)),
        ((3,), (1, 2, 4)),
        ((3,), (4, 2, 1)),
        ((3,), (4, 2, 2)),
        ((3,), (4, 1, 2)),
        ((3,), (0, 2, 2)),
        ((2, 2, 3), (4,)),
        ((2, 3), (4, 2, 3)),
        ((2, 1, 3), (3, 2, 4)),
        ((1, 0, 2, 2), (3, 1, 2, 2)),
        ((6, 1, 4, 4), (1, 6, 4, 4)),
    ],
    ids=str,
)
def test_an_edge_case_shows_what_torch_does(page, a, b):
    compare(page, [(a, b)])


@pytest.mark.parametrize(
    ("a", "b", "said", "note"),
    [
        ("2, 3", "2, 3", "mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", "Before torch 2.15: mat1 and "),
        ("3", "1, 2, 4", "size mismatch, got input (4), mat (4x2), vec (3)", "Before torch 2.14: Expected size for "),
        ("3", "5, 2, 4", "Expected size for first two dimensions of batch2 tensor to be: [5, 3] but got: [5, 2].", ""),
        ("2, 3", "4", "size mismatch, got input (2), mat (2x3), vec (4)", ""),
    ],
)
def test_a_message_that_changed_is_todays_and_below_it_stands_the_older_one(page, a, b, said, note):
    write(page, a, b)
    shown, *notes = page.locator("[role=status]").inner_text().splitlines()
    assert shown == f"RuntimeError: {said}"
    assert bool(notes) == bool(note)
    assert "".join(notes).startswith(note)


def test_the_multiplications_are_those_that_torch_counts(page):
    for a, b in [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 1, 2, 3), (6, 3, 4)), ((2, 0), (0, 3))]:
        write(page, written(a), written(b))
        with FlopCounterMode(display=False) as counter:
            torch.ones(a) @ torch.ones(b)
        said = page.locator("explore-product .hint").inner_text()
        assert said.endswith(f": {counter.get_total_flops() // 2} multiplications."), said


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    source = next(block.source for block in Page.read(PAGE).blocks if "row, column = a[1, :]" in block.source)
    page = explorable()
    for name in "ab":
        shape = page.get_by_label(f"Shape of {name}").input_value()
        assert re.search(rf"^{name} = torch.arange.*\.view\({shape}\)$", source, re.MULTILINE)
    page.get_by_role("slider").fill("38")
    assert page.locator(".sum b").all_inner_texts()[:3] == ["[4, 1, 2]", "a[1, :]", "b[4, :, 2]"]
    assert page.locator(".sum b").last.inner_text() == "833"
    assert "120 multiplications" in page.locator("explore-product .hint").inner_text()


def test_without_scripts_the_worked_example_is_there(visit):
    assert "tensor(833)" in PRODUCT.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/product.js" in before
    assert "product-widget" not in before
    assert "product-widget" in after


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("2, 3,, 4", "Not understood"),
        ("<b>2</b>", "Not understood"),
        ("-1", "Not drawn"),
        ("7", "Not drawn"),
        ("1, 1, 1, 1, 1", "Not drawn"),
        ("3, 6, 6", "Not drawn"),
    ],
)
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_shape_that_cannot_be_drawn_is_named_and_leaves_no_result_in_sight(page, name, shape, said):
    write(page, "3", "3")
    page.get_by_label(f"Shape of {name}").fill(shape)
    assert page.locator("[role=status]").inner_text().startswith(f"{said}: {shape}. ")
    assert page.get_by_label(f"Shape of {name}").get_attribute("aria-invalid") == "true"
    assert page.locator("[aria-invalid=true]").count() == 1
    assert not page.locator("explore-product :is(table, .sum, .paste, .stepper)").filter(visible=True).count()
    page.get_by_label(f"Shape of {name}").fill("3")
    assert page.locator(".sum b").last.inner_text() == "14"
    assert not page.locator("[aria-invalid=true]").count()


def test_refused_shapes_leave_their_sizes_and_the_line_in_sight(page):
    write(page, "3, 2, 3", "2, 2, 3")
    assert page.locator("explore-product table").filter(visible=True).count() == 1
    assert page.locator(".refused").all_inner_texts() == ["refused: 3 and 2 differ"] * 2
    assert page.locator(".paste").is_visible()
    assert not page.locator("explore-product :is(.sum, .stepper, .hint)").filter(visible=True).count()


def test_every_example_shows_what_its_name_says(page):
    shown = {}
    for button in page.get_by_role("group", name="Examples").get_by_role("button").all():
        button.click()
        shown[button.inner_text()] = page.locator("[role=status]").text_content()
    assert shown.pop("two matrices") == "a @ b: shape (2, 4)"
    assert shown.pop("a vector on the left") == "a @ b: shape (4,)"
    assert shown.pop("a vector on the right") == "a @ b: shape (2,)"
    assert shown.pop("two vectors") == "a @ b: shape ()"
    assert shown.pop("a column and a row") == "a @ b: shape (3, 4)"
    assert shown.pop("points and turns") == "a @ b: shape (4, 4, 2)"
    assert shown.pop("points with None") == "a @ b: shape (4, 1, 2)"
    assert "cannot be multiplied (5x3 and 2x3)" in shown.pop("a layer's weight, refused")
    assert shown.pop("nothing to add up") == "a @ b: shape (2, 3)"
    assert not shown


def element_shown(page) -> str:
    return page.locator(".sum b").first.inner_text()


def test_buttons_step_and_stop_at_the_ends(page):
    write(page, "2, 2", "2, 2")
    back, following = page.get_by_role("button", name="Back", exact=True), page.get_by_role("button", name="Next")
    walked = []
    for button in (following, following, following, following, back, back, back, back):
        button.press("Enter")
        walked.append(element_shown(page))
    assert walked == ["[0, 1]", "[1, 0]", "[1, 1]", "[1, 1]", "[1, 0]", "[0, 1]", "[0, 0]", "[0, 0]"]
    assert [button.get_attribute("aria-disabled") for button in (back, following)] == ["true", "false"]
    following.click()
    following.press("Space")
    assert element_shown(page) == "[1, 0]"
    assert page.locator("[data-cell]").all_inner_texts() == ["7", "10", "15", "·"]


def test_arrow_keys_step_through_the_slider_from_matrix_to_matrix(page):
    write(page, "2, 1, 3", "3, 2")
    page.get_by_role("slider", name="Element").focus()
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft", "Home", "End"):
        page.keyboard.press(key)
        walked.append(element_shown(page))
    assert walked == ["[0, 0, 1]", "[1, 0, 0]", "[1, 0, 1]", "[1, 0, 1]", "[1, 0, 0]", "[0, 0, 0]", "[1, 0, 1]"]
    assert page.locator(".numbers caption").all_inner_texts() == ["a[1, :, :]", "b", "(a @ b)[1, :, :]"]


def test_arrow_keys_walk_the_cells(page):
    write(page, "2, 2", "2, 3")
    page.locator("[data-cell]").first.focus()
    walked = []
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowUp", "End", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        walked.append(focused(page).split(":")[0])
        assert walked[-1] == element_shown(page)
    assert walked == ["[1, 0]", "[1, 1]", "[0, 1]", "[0, 1]", "[1, 2]", "[1, 2]", "[1, 1]"]
    assert page.get_by_role("slider").input_value() == "4"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert focused(page).startswith("[1, 1]: "), "the Tab key stops where the arrow keys left"


def test_a_cell_that_is_pressed_is_filled_in_with_those_before(page):
    write(page, "2, 3", "3")
    page.get_by_role("gridcell", name="[1]: not yet").click()
    assert page.locator("[data-cell]").all_inner_texts() == ["14", "32"]
    page.get_by_role("button", name="Back", exact=True).dispatch_event("click")  # Safari leaves the focus where it was
    assert page.locator("[data-cell]").all_inner_texts() == ["14", "·"]
    page.get_by_role("gridcell", name="[1]: not yet").click()
    assert page.locator(".sum b").last.inner_text() == "32"


def test_row_and_column_cross_in_the_element(page):
    write(page, "3, 1, 2, 4", "5, 4, 2")
    page.get_by_role("slider").fill("3")
    above, cell = (page.locator(f".crossing {part}").bounding_box() for part in (".above .met >> nth=0", ".on"))
    beside = page.locator(".crossing .beside .met").first.bounding_box()
    assert (above["x"], above["width"]) == pytest.approx((cell["x"], cell["width"]), abs=1)
    assert (beside["y"], beside["height"]) == pytest.approx((cell["y"], cell["height"]), abs=1)
    assert beside["x"] < cell["x"]
    assert above["y"] < cell["y"]


def test_the_sum_is_read_out_where_the_reader_steps_and_not_where_shapes_are_written(page):
    told = page.locator("output.sum")
    write(page, "2, 3", "3")
    assert told.get_attribute("aria-live") == "off"
    page.get_by_role("slider").press("ArrowRight")
    assert told.get_attribute("aria-live") == "polite"


def test_a_keyboard_reaches_everything(page):
    write(page, "2, 3", "3, 4")
    page.get_by_label("Shape of a").focus()
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(focused(page).strip())
    assert reached[:2] == ["Shape of b", "two matrices"]
    assert reached[10:] == ["Back", "Next", "Element", "[0, 0]: 38"]


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for a, b in (("2, 2, 3", "3, 4"), ("3", "3"), ("2, 0", "0, 2"), ("0, 2", "2"), ("3", "1, 2, 4"), ("()", "x")):
        write(page, a, b)
        assert not PRODUCT.findings(page), (a, b)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert PRODUCT.smallest(page, ":is(button, [data-cell], input)") >= 24
    for a, b in (
        ("2, 3", "5, 3, 4"),
        ("4, 5, 5", "4, 5, 5"),
        ("2, 2, 4, 6", "6, 6"),
        ("5, 5, 4", "4, 5"),
        ("3, 1, 2, 6", "5, 6, 1"),
        ("6, 6", "6, 6"),
        ("4, 6", "6"),
        ("6", "6, 6"),
        ("2, 3", "3, 2, 3"),
        ("2, 3", "x"),
    ):
        write(page, a, b)
        assert not PRODUCT.scrolls_sideways(page), (a, b)
        if page.get_by_role("slider").is_visible():
            page.get_by_role("slider").press("End")
            assert not PRODUCT.scrolls_sideways(page), (a, b)


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    write(page, "2, 3", "3")
    PRODUCT.take_out_and_put_back(page, "[role=status]")
    assert page.locator("explore-product form").count() == 1
    assert page.get_by_label("Shape of a").input_value() == "2, 3"
    page.get_by_label("Shape of a").fill("2, 2")
    assert "vec (3)" in page.locator("[role=status]").inner_text()
    assert page.evaluate("drawn") == 1
    assert not errors


def test_it_is_there_again_after_a_walk_through_the_book(page):
    PRODUCT.walk_away_and_back(page, "Views")
    write(page, "2", "2")
    assert page.locator(".sum b").last.inner_text() == "5"
