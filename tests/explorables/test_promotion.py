"""The promotion explorable shows what torch makes of two operands, and everyone can use it."""

from __future__ import annotations

import re
from itertools import product

import torch

from explorables import promotions
from explorables.element import Explorable

URL = "tensors/dtypes/"
PROMOTION = Explorable("promotion", URL, "a is")
page, requests, explorable = PROMOTION.fixtures()
WORDS = {"dims": "tensor with dimensions", "rank 0": "tensor of rank 0", "number": "number of Python"}
KINDS = ("bool", "integer", "float", "complex")

# For each pair of forms: chooses them, points at every cell, and returns what is seen.
READ = """
(cases) => cases.map((forms) => {
    const root = document.querySelector("explore-promotion");
    for (const [n, select] of root.querySelectorAll("select").entries()) {
        select.value = forms[n];
        select.dispatchEvent(new Event("input", { bubbles: true }));
    }
    return [...root.querySelectorAll("[data-cell]")].map((cell) => {
        cell.dispatchEvent(new Event("pointerover", { bubbles: true }));
        return {
            label: cell.ariaLabel,
            text: cell.textContent,
            tint: cell.style.getPropertyValue("--tint"),
            sum: [...root.querySelectorAll(".sum b")].map((found) => found.textContent),
            why: root.querySelector("output p:last-child").textContent,
            on: [...root.querySelectorAll(".on")].map((found) => found.ariaLabel),
        };
    });
})
"""


def choose(page, a: str, b: str) -> None:
    for name, form in (("a is", a), ("b is", b)):
        page.get_by_role("combobox", name=name).select_option(form)


def focused(page) -> str:
    return page.evaluate("document.activeElement.ariaLabel")


def dtypes(form: str) -> list[str]:
    return [name.removeprefix(f"{form} ") for name in promotions.OPERANDS if name.startswith(f"{form} ")]


def kind(dtype: torch.dtype) -> str:
    return KINDS[3 if dtype.is_complex else 2 if dtype.is_floating_point else int(dtype != torch.bool)]


def short(dtype: str) -> str:
    """As a small box names a dtype: u8, bf16, c128."""
    name, size = re.fullmatch(r"(\D+)(\d*)", dtype).groups()
    return {"uint": "u", "int": "i", "float": "f", "bfloat": "bf", "complex": "c", "bcomplex": "bc"}.get(
        name, name
    ) + size


def answer(since: str, a: str, b: str) -> str:
    """What torch says since a version."""
    names = list(promotions.OPERANDS)
    return promotions.RESULTS[ord(promotions.read()[since][names.index(a)][names.index(b)]) - ord("a")]


def rule(a: tuple[str, str], b: tuple[str, str], result: str) -> str:
    """Why torch gives this dtype, in the words of the explorable, each checked by asking torch something else."""
    forms = list(WORDS)
    (strong, own), (weak, other) = sorted((a, b), key=lambda operand: forms.index(operand[0]))
    alone = {x: promotions.OPERANDS[" ".join(x)] for x in (a, b)}
    x, y = (torch.result_type(alone[operand], alone[operand]) for operand in ((strong, own), (weak, other)))
    first, last = sorted((kind(x), kind(y)), key=KINDS.index)
    plural = {name: f"{name}s" for name in KINDS} | {"complex": "complex"}
    if strong == weak:
        if own == other:
            assert promotions.short(x) == result
            return (
                "Both have this dtype."
                if own == result
                else (f"Both are {own}, and numbers have the default dtype of their kind.")
            )
        if first == last:
            room = torch.promote_types(x, y)
            assert promotions.short(room) == result
            assert all(torch.can_cast(z, room) for z in (x, y))
            return (
                f"Both are {first}s, and {result} has room for both."
                if first != "complex"
                else (f"Both are complex, and {result} has room for both.")
            )
        later = own if kind(x) == last else other
        decides = f"{last} comes later than {first} and decides"
        if later == result:
            return f"{decides}."
        if strong == "number":
            return f"{decides}, with the default dtype of its kind."
        return f"{decides}, with room for {own if later == other else other}."
    if KINDS.index(kind(y)) <= KINDS.index(kind(x)):
        assert promotions.short(x) == result
        same = kind(x) == kind(y)
        order = f"both are {plural[kind(x)]}" if same else f"{kind(y)} does not come later than {kind(x)}"
        return f"The {WORDS[strong]} decides: {order}, so the {WORDS[weak]} does not count."
    counts = f"{kind(y)} comes later than {kind(x)}, so the {WORDS[weak]} counts"
    if x.is_floating_point:
        if result != "bcomplex32":  # bfloat16 has no complex dtype up to torch 2.13
            assert promotions.short(x.to_complex()) == result
        return f"{counts}, but only for its kind. The size follows {own}."
    assert promotions.short(y) == result
    return f"{counts}, with the default dtype of its kind, {result}." if weak == "number" else f"{counts}, and decides."


def test_the_baked_tables_are_what_torch_says():
    tables = promotions.read()
    assert promotions.table_of(torch.__version__, tables) == promotions.ask(), (
        "run python tests/explorables/promotions.py with this torch"
    )


def test_the_module_is_what_its_generator_writes(tmp_path, monkeypatch):
    tables, text = promotions.read(), promotions.MODULE.read_text("utf-8")
    monkeypatch.setattr(promotions, "MODULE", tmp_path / "promotions.js")
    repeated = {"2.99": list(tables.values())[-1]}
    promotions.write(tables | repeated)
    assert (tmp_path / "promotions.js").read_text("utf-8") == text


def test_every_pair_of_operands_shows_what_torch_says_and_why(page):
    forms = list(product(WORDS, repeat=2))
    tints = {"bool": "0%", "integer": "9%", "float": "18%", "complex": "27%"}
    count = 0
    for (a, b), cells in zip(forms, page.evaluate(READ, forms), strict=True):
        pairs = list(product(dtypes(a), dtypes(b)))
        assert len(cells) == len(pairs)
        for (x, y), seen in zip(pairs, cells, strict=True):
            before, result = (answer(since, f"{a} {x}", f"{b} {y}") for since in ("2.11", "2.14"))
            note = "" if before == result else f" Before torch 2.14 it was {before}."
            label = f"{x} and {y} make {result}"
            assert seen == {
                "label": label,
                "text": short(result),
                "tint": tints[kind(getattr(torch, result))],
                "sum": [x, y, result],
                "why": rule((a, x), (b, y), result) + note,
                "on": [label],
            }
            count += 1
    assert count == len(promotions.OPERANDS) ** 2


def test_operands_of_lower_forms_have_the_dtypes_of_python(page):
    choose(page, "number", "rank 0")
    heads = page.locator("explore-promotion :is(th)")
    names = [head.get_attribute("aria-label") for head in heads.all()]
    assert names == [*dtypes("rank 0"), *dtypes("number")]


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    page = explorable()
    first = page.locator("explore-promotion .language-text").inner_text().split()[:3]
    assert [name.removeprefix("torch.") for name in first] == page.locator("explore-promotion .sum b").all_inner_texts()


def test_without_scripts_the_worked_example_is_there(visit):
    assert "torch.uint8 torch.int8 torch.int16" in PROMOTION.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/promotion.js" in before
    assert "promotion-widget" not in before
    assert "promotion-widget" in after


def test_another_form_stays_at_the_dtype_or_its_kind(page):
    choose(page, "dims", "dims")
    page.get_by_role("gridcell", name="int16 and float16 make float16").focus()
    choose(page, "rank 0", "number")
    assert page.locator("explore-promotion .sum b").all_inner_texts() == ["int16", "float", "float32"]


def test_arrow_keys_walk_the_table(page):
    choose(page, "dims", "number")
    page.get_by_role("gridcell", name="uint8 and int make uint8").focus()
    walked = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "Home", "ArrowUp", "End", "ArrowRight"):
        page.keyboard.press(key)
        walked.append(" ".join(focused(page).split()[:3:2]))
    assert walked == [
        *("uint8 float", "int8 float", "int8 int", "uint8 int", "bool bool", "bool bool"),
        *("complex128 complex", "complex128 complex"),
    ]
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "complex128 and complex make complex128", "the Tab key stops where the arrow keys left"


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for forms in (("dims", "dims"), ("number", "rank 0")):
        choose(page, *forms)
        assert not PROMOTION.findings(page), forms


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    wide = "[document.documentElement, ...document.querySelectorAll('explore-promotion :is(.wide, td, th)')]"
    for forms in (("dims", "dims"), ("number", "rank 0")):
        choose(page, *forms)
        assert page.evaluate(f"{wide}.every(box => box.scrollWidth <= box.clientWidth + 2)"), forms
        boxes = page.locator("explore-promotion form :is(td[data-cell], select)")
        sizes = boxes.evaluate_all(
            "all => all.map(box => box.getBoundingClientRect()).map(({ width, height }) => [width, height])"
        )
        assert min(map(min, sizes)) >= 24


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    choose(page, "rank 0", "dims")
    PROMOTION.take_out_and_put_back(page, ".wide")
    assert page.locator("explore-promotion form").count() == 1
    page.get_by_role("combobox", name="b is").select_option("number")
    assert page.locator("explore-promotion [data-cell]").count() == 48
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    PROMOTION.walk_away_and_back(page, "Views")
    choose(page, "dims", "number")
    assert page.locator("explore-promotion [data-cell]").count() == 48
