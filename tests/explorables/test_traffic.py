"""The traffic explorable counts the bytes that torch and Inductor move, and everyone can use it."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest

from explorables.element import Explorable, focused
from explorables.kernels import NAMES, Call, Case, fused, random_case, run

TRAFFIC = Explorable("traffic", "fusion/why/", "Chain")
page, requests, explorable = TRAFFIC.fixtures()
CHAIN = "Chain, from x on"
FIELDS = [
    CHAIN,
    "Elements",
    "Dtype",
    "Bandwidth, GB/s",
    "Arithmetic, Gop/s",
    "Overhead eager, µs",
    "Overhead fused, µs",
]
FIELDS += ["Operations per exp"]

# For each case: fills in the fields, and returns what is said, the program, the table, and where the points lie.
READ = """
([fields, cases]) => cases.map((values) => {
    const root = document.querySelector("explore-traffic");
    const controls = fields.map(
        (name) => [...root.querySelectorAll("label")].find((label) => label.textContent.startsWith(name)).control,
    );
    for (const [n, value] of values.entries()) controls[n].value = value;
    controls[0].dispatchEvent(new Event("input", { bubbles: true }));
    const rows = (part) => [...root.querySelectorAll(`${part} tr`)].map((row) =>
        [...row.children].map((cell) => cell.textContent));
    const numbers = (box, ...names) => names.map((name) => Number(box.getAttribute(name)));
    const ends = (path) => path.getAttribute("d").match(/[-\\d.e]+/g).map(Number);
    const ticks = (way) => [...root.querySelectorAll(`.tick.${way}`)].map((path) =>
        [ends(path)[way === "across" ? 0 : 1], Number(path.nextSibling.textContent)]);
    const [said, program] = ["[role=status]", ".paste"].map((part) => root.querySelector(part).textContent);
    return {
        said, program, calls: rows("tbody"), sums: rows("tfoot"),
        label: root.querySelector("svg").ariaLabel,
        across: ticks("across"), up: ticks("up"), roof: ends(root.querySelector(".roof")),
        points: [...root.querySelectorAll("circle")].map((dot) => numbers(dot, "cx", "cy")),
    };
})
"""


def show(page, cases: list[Case]) -> list[dict]:
    return page.evaluate(READ, [FIELDS, [case.typed() for case in cases]])


def whole(text: str) -> int:
    return int(text.replace(",", ""))


def number(text: str) -> float:
    return float(text.replace(",", ""))


def short(number: float) -> str:
    """A number with four digits, as it is shown."""
    text = f"{float(f'{number:.4g}'):,.12f}"
    return text.rstrip("0").rstrip(".")


def cost(case: Case, calls: list[Call], work: list[float], overhead: float) -> tuple[float, str]:
    """How long calls take in microseconds, and what most of that is."""
    spent = {"memory": 0.0, "compute": 0.0, "overhead": 0.0}
    for call, operations in zip(calls, work, strict=True):
        moving = (call.reads + call.writes) / (case.bandwidth * 1e3)
        computing = operations / (case.rate * 1e3)
        spent["memory" if moving >= computing else "compute"] += max(moving, computing)
        spent["overhead"] += overhead
    return sum(spent.values()), max(spent, key=spent.__getitem__)


def spellings(number: float) -> list[str]:
    """A number with four digits. Halfway between two, its last bit decides, and may be another one in JavaScript."""
    return [short(number * (1 + nudge)) for nudge in (0, -1e-12, 1e-12)]


def total(calls: list[Call], name: str) -> Call:
    return Call(name, sum(call.reads for call in calls), sum(call.writes for call in calls))


def one_kernel(case: Case, calls: list[Call]) -> Call:
    """What a chain moves if it is one kernel: each of its inputs once, and what the last step makes."""
    size = calls[-1].writes
    inputs = {"x", *(step[-1] for step in case.steps if step.endswith((" x", " r")))}
    kept = next((call.reads - size for call in calls if "batch_norm" in call.name), 0)
    return Call("fused, 1 call", size * len(inputs) + kept, size)


def accounts(eager: Call, kernel: Call, times: list[float], bounds: list[str]) -> list[str]:
    """What may be said of the sums."""
    moved = [call.reads + call.writes for call in (eager, kernel)]
    before, after = bounds
    bound = f"Both are bound by {after}." if before == after else f"Eager is bound by {before}, fused by {after}."
    return [
        f"Eager moves {moved[0]:,} bytes, fused {moved[1]:,}: {bytes_ratio} to 1. "
        f"The predicted times are {times_ratio} to 1. {bound}"
        for bytes_ratio in spellings(moved[0] / moved[1])
        for times_ratio in spellings(times[0] / times[1])
    ]


def disagreements(case: Case, seen: dict) -> list[str]:
    """Where the page shows something else than torch does and than the formula gives."""
    found = []
    if seen["program"].splitlines()[-len(case.steps) :] != [f"    {line}" for line in case.code]:
        found.append(f"{case}: {seen['program']}")
    calls = run(seen["program"], case)
    work = [case.work(step) for step in case.steps]
    if [call.name for call in calls] != [NAMES[step.split()[0]] for step in case.steps]:
        found.append(f"{case}: torch ran {calls}")
    eager = total(calls, f"eager, {len(calls)} call{'s' * (len(calls) > 1)}")
    kernel = one_kernel(case, calls)
    costs = [cost(case, [call], [one], case.overhead) for call, one in zip(calls, work, strict=True)]
    costs += [cost(case, calls, work, case.overhead), cost(case, [kernel], [sum(work)], case.overhead_fused)]
    names = [*case.steps, eager.name, kernel.name]
    rows = seen["calls"] + seen["sums"]
    for name, call, (time, bound), row in zip(names, [*calls, eager, kernel], costs, rows, strict=True):
        expected = [[name, f"{call.reads:,}", f"{call.writes:,}", micros, bound] for micros in spellings(time)]
        if row not in expected:
            found.append(f"{case}: {expected[0]}, shown {row}")
    told = accounts(eager, kernel, *([pair[n] for pair in costs[-2:]] for n in range(2)))
    if seen["said"] not in told:
        found.append(f"{case}: {told[0]} Said: {seen['said']}")
    return found


def test_random_chains_move_the_bytes_that_torch_moves_and_take_as_long_as_the_formula_says(page):
    chooser = random.Random(2009)
    cases = [random_case(chooser) for _ in range(300)]
    seen = show(page, cases)
    found = [each for pair in zip(cases, seen, strict=True) for each in disagreements(*pair)]
    assert not found, f"{len(found)}\n" + "\n".join(found[:8])

    bounds = Counter(row[4] for one in seen for row in one["calls"] + one["sums"])
    assert min(bounds[cause] for cause in ("memory", "compute", "overhead")) >= 100
    assert min(Counter(case.dtype for case in cases).values()) >= 50
    steps = Counter(step.split()[0] for case in cases for step in case.steps)
    assert min(steps[name] for name in NAMES) >= 30
    assert sum(number(one["said"].split()[13]) < 1 for one in seen) >= 30, "what is fused may be slower"
    assert sum("batch_norm" in case.steps and " r" in case.chain for case in cases) >= 30


OFTEN_READ = ["relu, + 3", "relu, batch_norm, + r", "batch_norm, tanh, batch_norm", "+ x, * x", "* r, - x, / r"]


def test_fused_bytes_are_those_of_inductor(page):
    chooser = random.Random(1)
    cases = [random_case(chooser) for _ in range(25)]
    cases += [replace(case, chain=chain) for case, chain in zip(cases, OFTEN_READ, strict=False)]
    counted = fused(cases)
    shown = [sum(map(whole, one["sums"][1][1:3])) for one in show(page, cases)]
    assert counted == [(number, 1) for number in shown]
    assert len(set(shown)) >= 20


def log_place(ticks: list[list[float]], number: float) -> float:
    """Where a number lies on a logarithmic axis with these marks, as places and numbers."""
    (low_at, low), (high_at, high) = ticks[0], ticks[-1]
    slope = (high_at - low_at) / (math.log10(high) - math.log10(low))
    return low_at + slope * (math.log10(number) - math.log10(low))


def test_points_and_roof_lie_where_their_numbers_are(page):
    chooser = random.Random(3)
    cases = [random_case(chooser) for _ in range(100)]
    for case, seen in zip(cases, show(page, cases), strict=True):
        work = sum(map(case.work, case.steps))
        across, up = seen["across"], seen["up"]
        assert min(len(across), len(up)) >= 2, case
        for row, point in zip(seen["sums"], seen["points"], strict=True):
            moved, micros = sum(map(whole, row[1:3])), number(row[3])
            expected = log_place(across, work / moved), log_place(up, work / micros / 1e3)
            assert point == pytest.approx(expected, abs=0.2), (case, row)
            assert 0 <= point[0] <= 300, case
            assert 0 <= point[1] <= 170, case
        start_x, start_y, bend_x, bend_y, end_x, end_y = seen["roof"]
        assert (bend_x, bend_y) == pytest.approx(
            (log_place(across, case.rate / case.bandwidth), log_place(up, case.rate)), abs=0.1
        )
        assert bend_y == end_y, case
        assert start_x < bend_x < end_x, case
        assert start_y > bend_y, case
        for x, y in seen["points"]:
            roof = max(bend_y, bend_y + (bend_x - x) * (start_y - bend_y) / (bend_x - start_x))
            assert y >= roof - 0.2, "a call is never above the roof"


def write(page, label: str, value: str) -> None:
    page.locator("explore-traffic").get_by_label(label, exact=True).fill(value)


def said(page) -> str:
    return page.locator("explore-traffic [role=status]").inner_text()


def press(page, name: str) -> str:
    page.locator("explore-traffic").get_by_role("button", name=name, exact=True).click()
    return said(page)


def chain(page) -> str:
    return page.get_by_label(CHAIN).input_value()


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    page = explorable()
    values = page.locator("explore-traffic :is([type=text], select)").evaluate_all("all => all.map((one) => one.value)")
    assert values == ["relu, + 3", "2**20", "float32", "10", "50", "5", "5", "20"]
    printed = [line.split() for line in page.locator("explore-traffic .language-text").inner_text().splitlines()]
    rows = [row.locator("td").all_inner_texts()[:2] for row in page.locator("explore-traffic tbody tr").all()]
    assert [line[1:] for line in printed] == [[number.replace(",", "") for number in row] for row in rows]
    assert said(page) == (
        "Eager moves 16,777,216 bytes, fused 8,388,608: 2 to 1. The predicted times are 2 to 1. "
        "Both are bound by memory."
    )


def test_without_scripts_the_worked_example_is_there(visit):
    assert TRAFFIC.example(visit).count("4194304 4194304") == 2


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/traffic.js" in before
    for module in ("traffic-widget", "passes", "roofline"):
        assert module not in before
        assert module in after


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        (CHAIN, "relu, relo", "Not understood: relo. Steps are relu, batch_norm, exp, tanh, sigmoid, or + - * / with"),
        (CHAIN, "+ s", "Not understood: + s. Steps are"),
        (CHAIN, "+", "Not understood: +. "),
        (CHAIN, "relu 3", "Not understood: relu 3. "),
        (CHAIN, "+ 007", "Not understood: + 007. "),
        (CHAIN, "relu,, + 3", "Not understood: Steps are"),
        (CHAIN, "", "Not understood: A chain has at least one step, such as relu."),
        (CHAIN, "<b>1</b>", "Not understood: <b>1</b>. "),
        (CHAIN, "relu, " * 13, "Not drawn: 13 steps. Chains here have up to 12."),
        ("Elements", "many", "Not understood: many. A whole number stands here, such as 1048576 or 2**20."),
        ("Elements", "", "Not understood: A whole number"),
        ("Elements", "2.5", "Not understood: 2.5. "),
        (
            "Elements",
            "16383",
            "Not drawn: 16383. Tensors of float32 have 16384 to 134217728 elements here: 64 KB to 51",
        ),
        ("Elements", "2**28", "Not drawn: 2**28. Tensors of float32"),
        ("Elements", "16385", "Not drawn: 16385. x has 64 channels, so take a multiple of that."),
        ("Bandwidth, GB/s", "0", "Not drawn: 0. Bandwidths here go from 0.1 to 100000."),
        ("Bandwidth, GB/s", "fast", "Not understood: fast. Understood are numbers as Python writes a float"),
        ("Arithmetic, Gop/s", "1e8", "Not drawn: 1e8. Rates here go from 0.1 to 10000000."),
        ("Overhead eager, µs", "-1", "Not drawn: -1. Overheads here go from 0 to 10000."),
        ("Operations per exp", "0.5", "Not drawn: 0.5. Operations here go from 1 to 1000."),
    ],
)
def test_what_cannot_be_used_is_named_and_the_last_answer_stays(page, label, value, message):
    before = press(page, "relu, batch norm, residual")
    shown = page.locator("explore-traffic :is(table, .roofline, .paste)")
    answer = shown.evaluate_all("all => all.map((one) => one.innerHTML)")
    right = page.locator("explore-traffic").get_by_label(label, exact=True).input_value()
    write(page, label, value)
    assert said(page).startswith(message)
    assert page.locator("explore-traffic .failed").count() == 1
    assert page.locator("explore-traffic [aria-invalid=true]").count() == 1
    assert shown.evaluate_all("all => all.map((one) => one.innerHTML)") == answer
    write(page, label, right)
    assert said(page) == before
    assert not page.locator("explore-traffic :is(.failed, [aria-invalid=true])").count()


def test_a_dtype_sets_which_sizes_are_drawn(page):
    press(page, "relu and + 3")
    write(page, "Elements", "2**27")
    assert said(page).startswith("Eager moves")
    page.get_by_label("Dtype").select_option("float64")
    assert said(page).startswith("Not drawn: 2**27. Tensors of float64 have 8192 to 67108864 elements")
    write(page, "Elements", "8192")
    assert said(page).startswith("Eager moves 262,144 bytes")


def test_every_example_shows_what_its_name_says(page):
    shown = {name: press(page, name) for name in page.locator("explore-traffic [data-example]").all_inner_texts()}
    assert "fused 8,388,608: 2 to 1." in shown.pop("relu and + 3")
    residual, half = shown.pop("relu, batch norm, residual"), shown.pop("half as many bytes")
    assert residual.startswith(
        "Eager moves 29,361,152 bytes, fused 12,583,936: 2.333 to 1. The predicted times are 2.33"
    )
    assert half.startswith("Eager moves 14,680,576 bytes, fused 6,291,968: 2.333 to 1.")
    small = shown.pop("small, so it stays in the cache")
    assert small.startswith("Eager moves 262,144 bytes, fused 131,072: 2 to 1. The predicted times are 0.5923 to 1.")
    assert small.endswith("Both are bound by overhead.")
    assert "1 to 1. The predicted times are 1 to 1." in shown.pop("nothing to fuse")
    assert shown.pop("x read twice").startswith("Eager moves 20,971,520 bytes, fused 8,388,608: 2.5 to 1.")
    assert shown.pop("much arithmetic").endswith("Eager is bound by memory, fused by compute.")
    assert shown.pop("an H100, as specified").endswith("Both are bound by overhead.")
    assert not shown


def test_steps_are_added_and_removed(page):
    press(page, "relu and + 3")
    press(page, "+ r")
    press(page, "batch_norm")
    assert chain(page) == "relu, + 3, + r, batch_norm"
    for _ in range(4):
        press(page, "Remove the last")
    assert said(page).startswith("Not understood: A chain has at least one step")
    assert press(page, "tanh").startswith("Eager moves 8,388,608 bytes, fused 8,388,608")
    for name in page.locator("explore-traffic [data-add]").all_inner_texts():
        press(page, name)
    assert page.locator("explore-traffic tbody tr").count() == 9


def test_a_slider_sets_the_size(page):
    press(page, "relu and + 3")
    slider = page.get_by_label("Elements, slider")
    assert slider.get_attribute("aria-valuetext") == "1,048,576"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("Elements", exact=True).input_value() == "2**21"
    assert slider.get_attribute("aria-valuetext") == "2,097,152"
    page.keyboard.press("End")
    assert said(page).startswith("Eager moves 2,147,483,648 bytes")


def test_a_keyboard_reaches_everything(page):
    press(page, "relu and + 3")
    page.locator("explore-traffic [data-example]").first.focus()
    reached = [focused(page)]
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(focused(page))
    buttons = page.locator("explore-traffic :is([data-example], [data-add], [data-drop])").all_inner_texts()
    examples = len(buttons) - 9
    fields = ["Elements", "Elements, slider", *FIELDS[2:]]
    assert reached == [*buttons[:examples], CHAIN, *buttons[examples:], *fields]


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    press(page, "much arithmetic")
    assert not TRAFFIC.findings(page)
    write(page, "Elements", "x")
    assert not TRAFFIC.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert TRAFFIC.smallest(page, ":is(button, select, input)") >= 24
    for name in ("much arithmetic", "an H100, as specified"):
        press(page, name)
        assert not TRAFFIC.scrolls_sideways(page, ":is(form, .wide, .machine, .paste)"), name
    write(page, "Elements", "2**27")
    write(page, CHAIN, "/ -1.25, " + "batch_norm, " * 11)
    assert not TRAFFIC.scrolls_sideways(page, ":is(form, .wide, .machine, .paste)")


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    write(page, CHAIN, "tanh")
    TRAFFIC.take_out_and_put_back(page, "[role=status]")
    assert page.locator("explore-traffic form").count() == 1
    assert chain(page) == "tanh"
    write(page, CHAIN, "tanh, exp")
    assert said(page).startswith("Eager moves 16,777,216 bytes")
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    TRAFFIC.walk_away_and_back(page, "Views")
    write(page, CHAIN, "tanh, exp")
    assert said(page).startswith("Eager moves 16,777,216 bytes")
