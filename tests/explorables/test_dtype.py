"""The dtype explorable shows what torch makes of a number, and everyone can use it."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from explorables import typed
from explorables.element import Explorable, read
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "tensors" / "dtypes.md"
URL = "tensors/dtypes/"
DTYPE = Explorable("dtype", URL, "Number")
page, requests, explorable = DTYPE.fixtures()
UNDEFINED = "C does not define this cast. The result depends on the machine."
LONGEST = 60
"""The most characters of a number that is written out to its last digit."""

# For each number and dtype: fills in both as a reader does, and returns what is seen.
READ = """
(cases) => cases.map(([text, dtype]) => {
    const root = document.querySelector("explore-dtype");
    const [input, select] = root.querySelectorAll("input, select");
    [input.value, select.value] = [text, dtype];
    input.dispatchEvent(new Event("input", { bubbles: true }));
    const visible = (selector) => [...root.querySelectorAll(selector)].filter((found) => !found.closest("[hidden]"));
    const terms = (selector) => visible(`${selector} > span`).map((found) =>
        ["small", "b"].map((part) => found.querySelector(part).textContent));
    const style = (selector, name) => visible(selector).map((found) => Number(found.style.getPropertyValue(name)));
    return {
        ways: visible(".ways tbody tr").map(({ cells: [code, said] }) => {
            const words = said.querySelector("small")?.textContent ?? "";
            return [code.textContent, said.textContent.slice(0, said.textContent.length - words.length), words];
        }),
        said: root.querySelector("[role=status]").textContent,
        heard: visible(".line").map((found) => found.ariaLabel),
        ends: visible(".ends button").map((found) => [found.textContent, found.disabled]),
        marks: ["tick:not(.on)", "on", "pointer", "zone"].map((name) => style(`.line .${name}`, "--at")),
        zone: style(".line .zone", "--to"),
        hints: visible(".hint").map((found) => found.textContent),
        terms: terms(".sum:not(.bits)"),
        bits: terms(".bits"),
    };
})
"""
THICK = "All numbers on the thick part of the line are stored as the same one."


def write(page, number: str, dtype: str) -> None:
    page.get_by_role("combobox", name="Dtype").select_option(dtype)
    page.get_by_label("Number", exact=True).fill(number)


def ways(page) -> list[str]:
    """What is said of the two ways to store a number."""
    return page.locator("explore-dtype .ways td").all_text_contents()


def expected(text: str, dtype: str) -> dict:
    """What `READ` returns where a number is shown as torch stores it."""
    number = typed.as_python(text)
    code = text.replace("inf", "torch.inf").replace("nan", "torch.nan")
    source = "int64" if isinstance(number, int) else "float64"
    codes = [f"torch.tensor({code}, dtype=torch.{name})" for name in (dtype, source)]
    codes[1] += f".to(torch.{dtype})"
    outcomes, words = [], []
    for is_cast, outcome in enumerate(typed.outcomes(number, dtype)):
        note = typed.earlier(text, dtype, bool(is_cast))
        outcomes.append(typed.as_today(outcome, note, number, dtype))
        stored = isinstance(outcomes[-1], torch.Tensor)
        words.append(f"{typed.explanation(text, outcomes[-1], bool(is_cast)) if stored else ''} {note}".strip())
    values = [
        typed.written(outcome) if isinstance(outcome, torch.Tensor) else UNDEFINED if outcome is None else outcome
        for outcome in outcomes
    ]
    stored, why = next(
        (pair for pair in zip(outcomes, words, strict=True) if isinstance(pair[0], torch.Tensor)), (None, "")
    )
    same = isinstance(outcomes[0], torch.Tensor) and values[0] == values[1] and words[0] == words[1]
    shown = {
        "ways": list(map(list, zip(codes, values, [words[0], "The same." if same else words[1]], strict=True))),
        "said": f"{text} in {dtype}: {values[0] if stored is None else f'{typed.written(stored)}. {why}'}",
        **{name: [] for name in ("heard", "ends", "marks", "zone", "hints", "terms", "bits")},
    }
    if stored is None:
        return shown | {"marks": [[], [], [], []]}
    bits, hint = anatomy(stored)
    drawn = line(text, stored)
    drawn["hints"] = [*drawn.get("hints", []), hint]
    return shown | drawn | {"terms": terms(text, stored), "bits": bits}


def line(text: str, stored: torch.Tensor) -> dict:
    """The number line: the neighbours of a number, or around one that wrapped the whole range."""
    value, number, exact = typed.written(stored), typed.as_python(text), typed.exactly(text)
    if value == "nan":
        return {"marks": [[], [], [], []]}
    is_integer = not stored.is_floating_point()
    wrapped = is_integer and math.trunc(number) != stored.item()
    if wrapped:
        info = torch.iinfo(stored.dtype)
        ends = [torch.tensor(end, dtype=stored.dtype) for end in (info.min, info.max)]
        names, left, right = ("the smallest", "the largest"), 20, 80
    else:
        ends = [typed.neighbour(stored, direction) for direction in (-1, 1)]
        names, left, right = ("the next below", "the next above"), 8, 92
    at = typed.place(stored)
    low, high = (end if end is None else typed.place(end) for end in ends)
    start, stop = (2 * at - high if low is None else low), (2 * at - low if high is None else high)

    def percent(x: Fraction) -> float:
        return float(min(max(left + (right - left) * (x - start) / (stop - start), 0), 100))

    pointer = percent(exact) if exact is not None else 100.0 * (number > 0)
    zone = []
    if not is_integer:
        zone = [0 if low is None else percent((at + low) / 2), 100 if high is None else percent((at + high) / 2)]
    elif isinstance(number, float) and not wrapped:
        zone = [
            percent(start if low is not None and at <= 0 else at),
            percent(stop if high is not None and at >= 0 else at),
        ]
    labels = ["none" if end is None else typed.written(end) for end in ends]
    told = ", ".join(f"{name}: {label}" for name, label in zip(names, labels, strict=True))
    return {
        "heard": [f"{text} is stored as {value}. {told}."],
        "ends": [[f"{name} {label}", label == "none"] for name, label in zip(names, labels, strict=True)],
        "marks": [
            [at for at, end in ((left, low), (right, high)) if end is not None],
            [percent(at)],
            [pointer],
            zone[:1],
        ],
        "zone": zone[1:],
        "hints": [THICK] if zone else [],
    }


def terms(text: str, stored: torch.Tensor) -> list[list[str]]:
    """The typed number and the stored one, and how far they are apart."""
    number, exact, value = typed.as_python(text), typed.exactly(text), typed.written(stored)
    found = [["typed", text]]
    if repr(number) != text:
        found.append(["in Python", repr(number)])
    found.append(["stored", value])
    if not math.isfinite(float(value)):
        return found
    if stored.is_floating_point() and value != (digits := typed.all_digits(float(value))) and len(digits) <= LONGEST:
        found.append(["to its last digit", digits])
    if exact is not None:
        error = typed.place(stored) - exact
        found.append(["error", typed.three_digits(error)])
        if exact:
            found.append(["relative error", typed.three_digits(abs(error / exact))])
    return found


def anatomy(stored: torch.Tensor) -> tuple[list[list[str]], str]:
    """The groups of the bits with the value that their formula has, and the hint below."""
    pattern, value = typed.pattern(stored), typed.written(stored)
    if not stored.is_floating_point():
        rest = "counts twice as much as the next."
        if stored.dtype == torch.uint8:
            return [["value", pattern], ["which is", value]], f"Each bit {rest}"
        groups = [["sign", pattern[0]], ["value", pattern[1:]], ["which is", value]]
        return groups, f"The first bit counts -2**{len(pattern) - 1}. Each of the others {rest}"
    cut = len(pattern) - round(-math.log2(torch.finfo(stored.dtype).eps))
    groups = [["sign", pattern[0]], ["exponent", pattern[1:cut]], ["fraction", pattern[cut:]]]
    if value == "nan":
        return groups, "The bits of the exponent are set, and of the fraction: nan."
    if value.endswith("inf"):
        return groups, "The bits of the exponent are set, and none of the fraction: inf."
    groups.append(["which is", value])
    exponent, bias = int(pattern[1:cut], 2), 2 ** (cut - 2) - 1
    if exponent:
        return groups, f"The exponent says {exponent}, and 2 is raised to {exponent} - {bias} = {exponent - bias}."
    what = "A subnormal number" if stored else "Zero"
    return groups, f"{what}: no bit of the exponent is set, and the 1 before the fraction is gone."


def compare(page, cases: list[tuple[str, str]]) -> list[dict]:
    """Hold what the page shows of numbers in dtypes against torch, and return what torch does."""
    found, results = [], []
    for case, seen in zip(cases, read(page, READ, cases), strict=True):
        for term in seen["bits"]:
            if term[0] == "which is":
                term[1] = written_like(eval(term[1]), case[1])
        results.append(expected(*case))
        for part, value in results[-1].items():
            if seen[part] != (pytest.approx(value, abs=1e-3) if part == "zone" else value) and not (
                part == "marks" and all(a == pytest.approx(b, abs=1e-3) for a, b in zip(seen[part], value, strict=True))
            ):
                found.append(f"{case}: {part} {value}, shown {seen[part]}")
    assert not found, "\n".join(found[:8])
    return results


def written_like(value: float, dtype: str) -> str:
    return repr(value if dtype in typed.INTEGERS else float(value))


def random_cases(count: int) -> list[tuple[str, str]]:
    chooser = random.Random(754)
    dtypes = [typed.DTYPES[n % len(typed.DTYPES)] for n in range(count)]
    return [(typed.random_number(chooser, dtype), dtype) for dtype in dtypes]


def test_random_numbers_show_what_torch_stores(page):
    cases = random_cases(2200)
    results = compare(page, cases)

    first, second = ([result["ways"][n] for result in results] for n in (0, 1))
    words = Counter((why.split(",")[0] or value).split(":")[0] for _, value, why in first + second)
    assert sum(words.values()) == 2 * len(cases)
    assert words.pop("The same.") >= 500
    least = {"Exactly.": 200, "Rounded to the nearest.": 200, "Wrapped around": 100, "Too far past the last number": 80}
    least |= {"Halfway between two numbers. The one whose last bit is 0 is stored.": 80, "Not the nearest": 30}
    least |= {"What stands behind the point is cut off.": 80, "Too close to 0.": 10, "nan stands for no number.": 5}
    least |= {UNDEFINED: 50, "RuntimeError": 100, "ValueError": 5, "inf stays inf.": 3}
    assert not {name: (words[name], count) for name, count in least.items() if words[name] < count}
    hints = Counter(result["hints"][-1].split(":")[0] for result in results if result["hints"])
    assert hints["A subnormal number"] >= 50
    assert hints["Zero"] >= 20


def test_every_number_of_one_byte_is_shown_as_torch_stores_it(page):
    cases = []
    for dtype in ("uint8", "int8", "float8_e4m3fn", "float8_e5m2"):
        every = torch.arange(256).to(torch.uint8).view(typed.dtype_of(dtype))
        values = {typed.written(stored) for stored in every}
        cases += [(value, dtype) for value in sorted(values)]
    results = compare(page, cases)
    assert len(results) > 900
    assert all(
        result["ways"][0][2] in ("Exactly.", "inf stays inf.", "nan stands for no number.") for result in results
    )


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        ("0.1", "float64"),
        ("0.1 + 0.2", "float64"),
        ("1/3", "float32"),
        ("2**24 + 1", "float32"),
        ("2**60 + 2**36 + 1", "float32"),
        ("1 + 2**-11 + 2**-40", "float16"),
        ("65519.99", "float16"),
        ("65520", "float16"),
        ("464", "float8_e4m3fn"),
        ("464.01", "float8_e4m3fn"),
        ("inf", "float8_e4m3fn"),
        ("5e-324", "float64"),
        ("2**-1075", "float64"),
        ("1.7976931348623158e308", "float64"),
        ("1.7976931348623159e308", "float64"),
        ("2**1024", "float64"),
        ("2**1024 - 2**970", "float64"),
        ("2**1024 - 2**970 - 1", "float32"),
        ("1e-400", "float64"),
        ("-0.0", "int8"),
        ("-0", "float32"),
        ("-0.9", "uint8"),
        ("-1", "uint8"),
        ("-255", "uint8"),
        ("-256", "uint8"),
        ("255.0", "uint8"),
        ("255.9", "uint8"),
        ("256.0", "uint8"),
        ("-128.9", "int8"),
        ("2147483647.9", "int32"),
        ("-9223372036854775808.0", "int64"),
        ("9223372036854775807", "int64"),
        ("9223372036854775807.0", "int64"),
        ("9223372036854775808", "int64"),
        ("9223372036854775808", "float64"),
        ("2.99999999999999999999", "int32"),
        ("nan", "int16"),
        ("nan", "float8_e5m2"),
        ("-inf", "uint8"),
        ("0xff", "int8"),
        ("0b1111", "uint8"),
        ("-2**2", "int8"),
        ("2**3**2", "int16"),
        ("7 - 2 - 1", "int8"),
        ("12 / 2 / 3", "float16"),
        ("- (1 + 2) * 3", "int8"),
        (".5e1", "bfloat16"),
    ],
)
def test_an_edge_case_shows_what_torch_stores(page, number, dtype):
    compare(page, [(number, dtype)])


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    source = next(block.source for block in Page.read(PAGE).blocks if "tenth = torch.tensor(0.1" in block.source)
    page = explorable()
    number = page.get_by_label("Number", exact=True).input_value()
    dtype = page.get_by_role("combobox", name="Dtype").input_value()
    assert f"torch.tensor({number}, dtype=torch.{dtype})" in source
    shown = page.locator("explore-dtype .language-text").inner_text().split()
    assert shown[:2] == [page.locator(".below").text_content().split()[-1], "0011110111001101"]
    assert shown[-2:] == [text.split()[-1] for text in page.locator(".ends button").all_inner_texts()]


def test_without_scripts_the_worked_example_is_there(visit):
    assert "0.10009765625 0011110111001101" in DTYPE.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/dtype.js" in before
    assert "dtype-widget" not in before
    assert "dtype-widget" in after
    assert "views.js" not in after


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("", "Not understood"),
        ("one", "Not understood"),
        ("1 +", "Not understood"),
        ("(1", "Not understood"),
        ("1 2", "Not understood"),
        ("1)", "Not understood"),
        ("08", "Not understood"),
        ("-nan", "Not understood"),
        ("inf - inf", "Not understood"),
        ("<b>2</b>", "Not understood"),
        ("1 / 0", "Not shown"),
        ("1e308 * 10", "Not shown"),
        ("1e99999", "Not shown"),
        ("9**9**9", "Not shown"),
        ("3**-1", "Not shown"),
        ("2.5**2", "Not shown"),
        ("2**1024 * 1.5", "Not shown"),
    ],
)
def test_a_number_that_cannot_be_read_is_named_and_leaves_no_result_in_sight(page, number, said):
    write(page, "0.1", "float32")
    write(page, number, "float32")
    assert page.locator("explore-dtype [role=status]").inner_text().startswith(f"{said}: ")
    assert page.get_by_label("Number", exact=True).get_attribute("aria-invalid") == "true"
    assert not page.locator("explore-dtype :is(table, .line, .sum)").filter(visible=True).count()
    write(page, "1", "float32")
    assert ways(page) == ["1.0Exactly.", "1.0The same."]
    assert page.get_by_label("Number", exact=True).get_attribute("aria-invalid") == "false"


def test_every_example_shows_what_its_name_says(page):
    shown = {}
    for button in page.locator("explore-dtype [data-example]").all():
        button.click()
        shown[button.inner_text()] = page.locator("explore-dtype [role=status]").text_content()
    assert shown == {
        "a tenth": "0.1 in float32: 0.10000000149011612. Rounded to the nearest.",
        "a count that stops": "2**24 + 1 in float32: 16777216.0. "
        "Halfway between two numbers. The one whose last bit is 0 is stored.",
        "too bright": "300 in uint8: 44. Wrapped around: 300 - 256 = 44.",
        "halfway to inf": "65520 in float16: inf. Too far past the last number, 65504.0.",
        "cut off": "-1.7 in int32: -1. What stands behind the point is cut off.",
        "undefined": "300.0 in uint8: RuntimeError: value cannot be converted to type uint8 without overflow",
        "a small step": "1e-7 in float16: 1.1920928955078125e-07. Rounded to the nearest.",
        "rounded twice": "1 + 2**-11 + 2**-40 in float16: 1.0. "
        "Not the nearest, which is 1.0009765625. It was rounded to float64 and float32 before.",
    }


def test_steps_lead_from_one_number_of_a_dtype_to_the_next(page):
    write(page, "255", "bfloat16")
    below, above = page.locator(".ends button").all()
    seen = []
    for button in (above, above, below, below, below):
        button.focus()
        page.keyboard.press("Enter")
        seen.append(page.get_by_label("Number", exact=True).input_value())
        assert ways(page)[0] == f"{seen[-1]}Exactly."
        assert page.evaluate("document.activeElement.closest('.ends') !== null")
    assert seen == ["256.0", "258.0", "256.0", "255.0", "254.0"]


def test_a_keyboard_reaches_everything(page):
    write(page, "0.1", "bfloat16")
    page.get_by_label("Number", exact=True).focus()
    reached = []
    for _ in range(11):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText"))
    assert reached[1:9] == page.locator("explore-dtype [data-example]").all_inner_texts()
    assert [text.split()[-1] for text in reached[9:]] == ["0.099609375", "0.1005859375"]


def test_what_came_of_a_number_is_announced(page):
    write(page, "300", "uint8")
    status = page.locator("explore-dtype [role=status]")
    assert status.text_content() == "300 in uint8: 44. Wrapped around: 300 - 256 = 44."
    assert status.bounding_box()["height"] <= 1, "it is heard, and seen in the table"


CASES = (
    ("1e-300", "float64"),
    ("-300", "uint8"),
    ("nan", "float16"),
    ("x", "int8"),
    ("0.1", "float64"),
    ("300.0", "uint8"),
    ("3.4e38", "float8_e4m3fn"),
    ("9223372036854775807 + 2**1000 - 2**1000", "int64"),
    ("0.1 + 0.2 + 0.3 + 0.4 + 0.5 + 0.6 + 0.7 + 0.8 + 0.9", "float32"),
)


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for case in CASES[:4]:
        write(page, *case)
        assert not DTYPE.findings(page), case


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert DTYPE.smallest(page, ":is(button, select, input)") >= 24
    for case in CASES:
        write(page, *case)
        assert not DTYPE.scrolls_sideways(page, ":is(.wide, .sum, .ends)"), case


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    write(page, "7", "int8")
    DTYPE.take_out_and_put_back(page, "[role=status]")
    assert page.locator("explore-dtype form").count() == 1
    assert page.get_by_label("Number", exact=True).input_value() == "7"
    page.get_by_label("Number", exact=True).fill("200")
    assert "-56" in ways(page)[1]
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    DTYPE.walk_away_and_back(page, "Views")
    write(page, "2.5", "int8")
    assert ways(page)[0] == "2What stands behind the point is cut off."
