"""The alignment explorable shows what torch makes of two shapes, and everyone can use it."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import zip_longest
from pathlib import Path

import pytest
import torch

from explorables.element import Explorable, focused, read, written
from explorables.lineup import broadcast_size, size, verdict
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "tensors" / "broadcasting.md"
URL = "tensors/broadcasting/"
ALIGNMENT = Explorable("alignment", URL, "Shape of a")
page, requests, explorable = ALIGNMENT.fixtures()
DRAWN = 6
"""How much of every dimension is drawn."""

Shape = tuple[int, ...]

# For each case: types into the fields as a reader does, chooses the first matrix and the last, returns what is seen.
READ = """
(cases) => cases.map((shapes) => {
    const root = document.querySelector("explore-alignment");
    const texts = (selector, parent = root) => [...parent.querySelectorAll(selector)].map((found) => found.textContent);
    for (const [n, input] of root.querySelectorAll("input").entries()) {
        input.value = shapes[n];
        input.dispatchEvent(new Event("input", { bubbles: true }));
    }
    const visible = (selector) => [...root.querySelectorAll(selector)].filter((found) => !found.closest("[hidden]"));
    const rows = visible(".aligned :is(tbody, tfoot) tr").map((row) => texts("td", row));
    const cells = visible(".steps tbody tr").map((row) => [...row.cells].slice(1));
    const memory = cells.map((row) => row.map((cell) => cell.firstChild?.data ?? ""));
    const choice = root.querySelector("select");
    const matrices = [];
    const options = choice.closest("[hidden]") ? [] : [choice.options[0], [...choice.options].at(-1)];
    for (const option of options.length ? options : [null]) {
        if (option) choice.value = option.value;
        if (option) choice.dispatchEvent(new Event("input", { bubbles: true }));
        const cells = visible("[data-cell]");
        matrices.push({
            names: visible(".numbers").map((table) => table.getAttribute("aria-label")),
            cells: cells.map((cell) => [cell.getAttribute("aria-label"), ...texts("span", cell)]),
            marks: [cells.at(-1), cells[0]].filter(Boolean).map((cell) => {
                cell.dispatchEvent(new Event("pointerover", { bubbles: true }));
                return [...texts(".sum b"), ...texts("td.on")];
            }),
        });
    }
    return { rows, memory, said: texts("[role=status] p"), matrices: matrices.filter(({ names }) => names.length) };
})
"""


def write(page, a: str, b: str) -> None:
    page.get_by_label("Shape of a").fill(a)
    page.get_by_label("Shape of b").fill(b)


def random_pair(chooser: random.Random) -> tuple[Shape, Shape]:
    """Two shapes that often fit, in part because one was made from the other."""
    sizes = [0, 1, 1, 1, 2, 2, 2, 3, 4, 5, 7, chooser.choice([8, 32, 1797, 10**5])]
    a = chooser.choices(sizes, k=chooser.choice([0, 1, 2, 2, 2, 3, 3, 4]))
    how = chooser.random()
    if how < 0.03:
        a, b = ([chooser.choice([2, 3, 8])] * 3)[: chooser.choice([2, 3])], []
        b = [chooser.choice([a[0], a[0], 1]) for _ in a[1:]]
    elif how < 0.6:
        b = chooser.choices(sizes, k=chooser.choice([0, 1, 2, 3, 4]))
    else:
        b = [chooser.choice([size, 1, chooser.choice(sizes)]) for size in a]
        b = chooser.choices(sizes, k=chooser.choice([0, 0, 0, 0, 1, 4 - len(b)])) + b
        b = b[chooser.choice([0, 0, 1, 2]) :][-4:]
    if math.prod(max(m, n, 1) for m, n in zip_longest(reversed(a), reversed(b), fillvalue=1)) > 10**15:
        return random_pair(chooser)
    return chooser.choice([(tuple(a), tuple(b)), (tuple(b), tuple(a))])


def added(a: Shape, b: Shape) -> torch.Tensor | str:
    """What torch makes of a sum, without its numbers, or what it raises."""
    try:
        if max(math.prod(a), math.prod(b)) <= 1000:
            together = torch.ones(a) + torch.ones(b)
        else:  # the meta device has other words where it refuses
            torch.broadcast_shapes(a, b)
            together = torch.empty(a, device="meta") + torch.empty(b, device="meta")
    except RuntimeError:
        with pytest.raises(RuntimeError) as raised:
            torch.zeros(()).expand(a) + torch.zeros(()).expand(b)
        return f"RuntimeError: {raised.value}"
    return together


def traps(a: Shape, b: Shape, result: torch.Tensor) -> list[str]:
    """What the explorable warns of, found out by torch."""
    found = []
    x, y = torch.empty(a, device="meta"), torch.empty(b, device="meta")
    if x.squeeze().shape == y.squeeze().shape and result.numel() > x.numel():
        each = result.numel() // x.numel()
        found.append(
            f"Each of {each} in a meets each of {each} in b. Right for all pairs. In a loss or a comparison every "
            "prediction meets every target: give a and b one shape."
        )
    (name, short), (other, long) = sorted({"b": b, "a": a}.items(), key=lambda item: len(item[1]))

    def meets(behind: int) -> str:
        """The dimensions that the shorter shape meets with that many ones behind it, if it fits there."""
        try:
            torch.empty((*short, *[1] * behind), device="meta").expand(long)
        except RuntimeError:
            return ""
        dims = [str(len(long) - len(short) - behind + dim) for dim, size in enumerate(short) if size != 1]
        return f"dimension{'s' if len(dims) > 1 else ''} {' and '.join(dims)}"

    here, *others = (meets(behind) for behind in range(len(long) - len(short) + 1))
    if max(short, default=0) > 1 and here and any(others):
        elsewhere = [
            f"As {(*short, *[1] * behind)} it would meet {dims}." for behind, dims in enumerate(others, 1) if dims
        ]
        found.append(
            f"{name} fits {other} in more than one place, so a mistake would not raise. "
            f"Lined up from the right it meets {here}. {' '.join(elsewhere)}"
        )
    return found


def subscript(name: str, parts: list) -> str:
    return f"{name}[{', '.join(map(str, parts)) or '()'}]"


def indices(shape: Shape, result: Shape, window: tuple) -> list[list[int]]:
    """For each element in a window of the broadcast shape its index in the tensor of the first shape."""
    elements = torch.arange(math.prod(shape)).reshape(shape).expand(result)[window].flatten()
    return torch.stack(torch.unravel_index(elements, shape), 1).tolist() if shape else [[]] * len(elements)


def matrix(a: Shape, b: Shape, result: Shape, lead: tuple[int, ...]) -> dict:
    """What is drawn of a result at an index of its dimensions before the last two."""
    window = (*lead, *[slice(DRAWN)] * min(len(result), 2))
    met = list(zip(*(indices(shape, result, window) for shape in (result, a, b)), strict=True))
    names, cells, marks = [], [], []
    for name, shape, index in zip(("a", "b", "(a + b)"), (a, b, result), (*met[0][1:], met[0][0]), strict=True):
        ends = [":" if size <= DRAWN else f":{DRAWN}" for size in shape[-2:]]
        names.append(subscript(name, [*index[:-2], *ends]) if shape else name)
    for index, i, j in met:
        named = [subscript("a", i), subscript("b", j)]
        halves = [",".join(map(str, part[-2:])) or "()" for part in (i, j)]
        cells.append([f"{index}: {' and '.join(named)}", *halves])
        marks.append([str(index), *named, *halves, "".join(halves)])
    return {"names": names, "cells": cells, "marks": [marks[-1], marks[0]]}


def matrices(a: Shape, b: Shape, result: Shape) -> list[dict]:
    """The first matrix that is drawn of a result, and the last one."""
    leading = result[:-2]
    leads = {(0,) * len(leading), tuple(min(size, DRAWN) - 1 for size in leading)}  # one, where all sizes are 1
    return [matrix(a, b, result, lead) for lead in sorted(leads)]


def expected(a: Shape, b: Shape) -> dict:
    """What `READ` returns where two shapes are shown as torch takes them."""
    pairs = list(zip_longest(reversed(a), reversed(b)))[::-1]
    result = added(a, b)
    verdicts = [verdict(*pair) for pair in pairs]
    sides = [[pair[n] for pair in pairs] for n in (0, 1)]
    rows = [list(map(size, side)) for side in sides]
    if isinstance(result, str):
        sizes = [broadcast_size(*pair) for pair in pairs]
        return {"rows": [*rows, sizes, verdicts], "memory": [], "said": [result], "matrices": []}
    shape = tuple(torch.broadcast_shapes(a, b))
    assert shape == tuple(result.shape)
    memory = []
    for own in (a, b):
        x = torch.empty(own, device="meta")
        used = result.numel() // x.numel() if x.numel() else None
        often = {None: "none", 1: "once"}.get(used, f"{used or 0:,} times")
        memory.append([str(x.expand(shape).stride()), f"{x.numel():,}", f"{x.nbytes:,}", often])
    strides = str(result.stride()) if result.numel() else "none"
    memory.append([strides, f"{result.numel():,}", f"{result.nbytes:,}", ""])
    drawn = None  # too many elements to count them all
    if result.numel() <= 10**4:
        drawn = matrices(a, b, shape) if result.numel() else []
    return {
        "rows": [*rows, list(map(str, shape)), verdicts] if shape else [],
        "memory": memory,
        "said": [f"a + b: shape {shape}", *traps(a, b, result)],
        "matrices": drawn,
    }


def compare(page, pairs: list[tuple[Shape, Shape]]) -> list[dict]:
    """Hold what the page shows of pairs of shapes against torch, and return what torch does."""
    shown = read(page, READ, [list(map(written, pair)) for pair in pairs])
    found, results = [], []
    for pair, seen in zip(pairs, shown, strict=True):
        results.append(expected(*pair))
        for part, value in results[-1].items():
            if value is not None and seen[part] != value:
                found.append(f"{pair}: {part} {value}, shown {seen[part]}")
    assert not found, "\n".join(found[:8])
    return results


def test_random_shapes_show_what_torch_does(page):
    chooser = random.Random(2017)
    pairs = [random_pair(chooser) for _ in range(2000)]
    results = compare(page, pairs)

    seen = Counter(word.split()[0] for result in results for word in (result["rows"] or [[""]])[-1] if word)
    refused = sum(not result["memory"] for result in results)
    warned = Counter(said.split()[0] for result in results for said in result["said"][1:])
    assert 2000 / 3 <= refused <= 1200
    assert min(seen[word] for word in ("missing", "equal", "the", "refused:")) >= 300
    assert sum(0 in a or 0 in b for a, b in pairs) >= 200
    assert sum("repeated 0 times" in str(result["rows"]) for result in results) >= 50
    assert sum(bool(result["matrices"]) for result in results) >= 500
    assert sum(len(result["matrices"] or []) == 2 for result in results) >= 100
    assert sum(result["matrices"] is None for result in results) >= 50
    assert min(warned[word] for word in ("Each", "a", "b")) >= 10
    assert {len(shape) for pair in pairs for shape in pair} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((), ()),
        ((), (3,)),
        ((1,), ()),
        ((1, 1), (1,)),
        ((0,), ()),
        ((0,), (2,)),
        ((0, 10), (10,)),
        ((0,), (0, 1)),
        ((3, 32, 32), (3,)),
        ((3, 32, 32), (3, 1, 1)),
        ((5, 4), (2, 3)),
        ((4, 1), (1, 4)),
        ((8,), (8, 8)),
        ((8, 8, 8), (8, 8)),
        ((8, 8, 8), (8, 1)),
        ((8, 8), (1, 8)),
        ((2, 2, 2), (1, 2)),
        ((8, 8, 1), (8,)),
        ((442, 1), (442,)),
        ((1797, 1, 64), (1797, 64)),
        ((7, 7, 7, 7), (7,)),
        ((31622776, 1), (31622776,)),
        ((10**6, 10**9 - 1), (1,)),
        ((10**6, 10**9 - 1), (3,)),
    ],
    ids=str,
)
def test_an_edge_case_shows_what_torch_does(page, a, b):
    compare(page, [(a, b)])


def test_a_few_bytes_have_no_unit_and_many_have_one(page):
    def units(shape):
        write(page, shape, "1")
        return page.locator(".steps tr").last.locator("small").all_inner_texts()

    assert [units(shape) for shape in ("249", "250", "1000", "250000", "206669376", "1000000, 999999999")] == [
        [],
        ["1.0 kB"],
        ["4.0 kB"],
        ["1.0 MB"],
        ["826.7 MB"],
        ["4.0 PB"],
    ]


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    source = next(block.source for block in Page.read(PAGE).blocks if "i, j, k =" in block.source)
    page = explorable()
    for name in "ab":
        shape = page.get_by_label(f"Shape of {name}").input_value()
        assert f"reshape({shape})\n" in source.split(f"\n{name} = " if name == "b" else "a = ")[1].split("\n")[0] + "\n"
    assert page.locator(".sum b").all_inner_texts() == ["[1, 2, 3]", "a[1, 2, 0]", "b[2, 3]"]


def test_without_scripts_the_worked_example_is_there(visit):
    assert "(2, 3, 4) (0, 4, 1) 48" in ALIGNMENT.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/alignment.js" in before
    assert "alignment-widget" not in before
    assert "alignment-widget" in after
    assert "strides" not in after


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("2, 3,, 4", "Not understood"),
        ("a", "Not understood"),
        ("2.5", "Not understood"),
        ("10000000000", "Not understood"),
        ("<b>2</b>", "Not understood"),
        ("-1", "Not shown"),
        ("1, 1, 1, 1, 1", "Not shown"),
        ("1000000, 999999999, 2", "Not shown"),
        ("0, 1000000, 999999999, 2", "Not shown"),
    ],
)
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_shape_that_cannot_be_read_is_named_and_leaves_no_result_in_sight(page, name, shape, said):
    write(page, "4, 1", "4")
    page.get_by_label(f"Shape of {name}").fill(shape)
    assert page.locator("[role=status]").inner_text().startswith(f"{said}: {shape}. ")
    assert page.locator("[aria-invalid=true]").count() == 1
    assert page.get_by_label(f"Shape of {name}").get_attribute("aria-invalid") == "true"
    assert not page.locator("explore-alignment :is(table, .sum, select)").filter(visible=True).count()
    page.get_by_label(f"Shape of {name}").fill("4")
    sizes = page.locator(".aligned tfoot tr").first.locator("td")
    assert sizes.all_inner_texts() == {"a": ["4"], "b": ["4", "4"]}[name]
    assert not page.locator("[aria-invalid=true]").count()


def test_two_shapes_that_cannot_be_read_are_both_named(page):
    write(page, "x", "2 3")
    said = page.locator("[role=status] p").all_inner_texts()
    assert [text.split(".")[0] for text in said] == ["Not understood: x", "Not understood: 2 3"]


def test_a_result_that_is_too_large_says_so(page):
    write(page, "4, 1", "4")
    write(page, "31622777, 1", "31622777")
    said = page.locator("[role=status]").inner_text()
    assert said.startswith("Not shown: (31622777, 1) and (31622777,). The result has more")
    assert not page.locator("explore-alignment :is(table, .sum)").filter(visible=True).count()


def test_refused_shapes_leave_only_their_verdicts_in_sight(page):
    write(page, "4, 1", "4")
    write(page, "3, 32, 32", "3")
    assert page.locator("explore-alignment table").filter(visible=True).count() == 1
    assert page.locator(".refused").all_inner_texts() == ["refused: 32 and 3 differ"]
    assert "size of tensor a (32) must match" in page.locator("[role=status]").inner_text()


@pytest.mark.parametrize("shape", ["(4, 1)", "[4, 1]", " 4 ,1, ", "4,1"])
def test_a_shape_may_be_written_as_python_allows(page, shape):
    write(page, shape, "(4,)")
    assert page.locator("[role=status] p").first.text_content() == "a + b: shape (4, 4)"


def test_every_example_shows_what_its_name_says(page):
    shown = {}
    for button in page.get_by_role("group", name="Examples").get_by_role("button").all():
        button.click()
        shown[button.inner_text()] = page.locator("[role=status]").text_content()
    assert shown.pop("a bias") == "a + b: shape (32, 10)"
    assert "Each of 4 in a meets each of 4 in b" in shown.pop("the trap of a loss")
    assert "As (8, 1) it would meet dimension 0" in shown.pop("the trap of a square")
    assert shown.pop("channels, refused").startswith("RuntimeError: The size of tensor a (32)")
    assert shown.pop("channels with None") == "a + b: shape (3, 32, 32)"
    assert "(1797, 1797, 64)" in shown.pop("all pairs of digits")
    assert shown.pop("an empty batch") == "a + b: shape (0, 10)"
    assert not shown


def test_a_cell_points_at_the_elements_that_meet(page):
    write(page, "2, 2, 1", "3")
    page.get_by_label("Matrix of the result").select_option("[0, :, :]")
    page.get_by_role("gridcell", name="[0, 1, 2]: a[0, 1, 0] and b[2]").hover()
    assert page.locator(".sum b").all_inner_texts() == ["[0, 1, 2]", "a[0, 1, 0]", "b[2]"]
    assert page.locator("explore-alignment td.on").all_inner_texts() == ["1,0", "2", "1,0\n2"]
    tables = page.locator(".numbers")
    assert [table.locator(".on").count() for table in tables.all()] == [1, 1, 1]


def test_what_is_repeated_to_the_right_stands_beside_the_result(page):
    for a, b, beside in (("4, 1", "4", "a"), ("4", "4, 1", "b"), ("3, 4", "4", "a"), ("4", "3, 4", "b")):
        write(page, a, b)
        x, y, result = (table.bounding_box() for table in page.locator(".numbers").all())
        left, above = (x, y) if beside == "a" else (y, x)
        assert left["x"] + left["width"] <= result["x"]
        assert abs(left["y"] + left["height"] - result["y"] - result["height"]) < 1
        assert above["y"] + above["height"] <= result["y"]
        assert above["x"] == result["x"]


def test_a_keyboard_reaches_everything(page):
    write(page, "2, 2, 1", "3")
    page.get_by_label("Shape of a").focus()
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(focused(page))
    assert reached[:2] == ["Shape of b", "a bias"]
    assert reached[8:] == ["Matrix of the result ", "[1, 1, 2]: a[1, 1, 0] and b[2]"]


def test_arrow_keys_walk_the_cells(page):
    write(page, "2, 2, 1", "3")
    page.get_by_role("gridcell").last.focus()
    walked = []
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowDown", "End", "Home"):
        page.keyboard.press(key)
        walked.append(focused(page))
        assert walked[-1].startswith(page.locator(".sum b").first.inner_text())
    assert [name[4:8] for name in walked] == ["1, 1", "0, 1", "0, 1", "0, 0", "0, 0", "1, 0", "1, 2", "0, 0"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert focused(page) == "[1, 0, 1]: a[1, 0, 0] and b[1]", "the Tab key stops where the arrow keys left"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowUp")
    assert page.locator(".sum b").first.inner_text() == "[0, 1, 2]"


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for a, b in (("7, 7", "7"), ("1000000, 1, 999999999", "1"), ("0, 2", "3"), ("x", "()")):
        write(page, a, b)
        assert not ALIGNMENT.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert ALIGNMENT.smallest(page, ":is(button, [data-cell], select, input)") >= 24
    for a, b in (
        ("2, 3, 1", "3, 4"),
        ("32, 10", "10"),
        ("999999999, 1, 1, 1", "10000"),
        ("5, 5", "1"),
        ("6, 1", "5"),
        ("1797, 1, 64", "1797, 64"),
        ("2, 3", "x"),
    ):
        write(page, a, b)
        assert not ALIGNMENT.scrolls_sideways(page), (a, b)


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    write(page, "2, 3", "3")
    ALIGNMENT.take_out_and_put_back(page, "[role=status]")
    assert page.locator("explore-alignment form").count() == 1
    assert page.get_by_label("Shape of a").input_value() == "2, 3"
    page.get_by_label("Shape of a").fill("2")
    assert "size of tensor a (2)" in page.locator("[role=status]").inner_text()
    assert page.evaluate("drawn") == 1
    assert not errors


def test_it_is_there_again_after_a_walk_through_the_book(page):
    ALIGNMENT.walk_away_and_back(page, "Views")
    write(page, "2", "1, 2")
    assert page.locator("[role=status] p").first.text_content() == "a + b: shape (1, 2)"
