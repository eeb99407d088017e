"""The tape explorable shows the tape that torch records, and goes back along it as torch does."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest

from explorables.element import Explorable, focused
from explorables.tapes import FUNCTIONS, Case, Traced, random_case, traced
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "autograd" / "tape.md"
URL = "autograd/tape/"
TAPE = Explorable("tape", URL, "Leaves")
page, requests, explorable = TAPE.fixtures()

TOLERANCE = 1e-9
"""Relative. Torch and a browser have each an exp and a sin of their own, whose last digits differ. Twelve operations on
top of each other make more of that, above all where nearly equal numbers are subtracted."""

# For each case: types it, sets the switches, and steps to the end. Returns the picture, and what each step shows.
READ = """
(cases) => cases.map(({ leaves, lines, frozen, modes, passes }) => {
    const root = document.querySelector("explore-tape");
    const all = (selector, parent = root) => [...parent.querySelectorAll(selector)];
    const texts = (selector, parent) => all(selector, parent).map((found) => found.textContent);
    const entered = () => root.querySelector("textarea").dispatchEvent(new Event("input", { bubbles: true }));
    const button = (name) => all(".stepper button").find((found) => found.textContent === name);
    const terms = (list) => all(":scope > span > span", list).map((each) => [
        each.querySelector("small").textContent,
        each.querySelector("b").textContent,
        all("data", each).map(({ value }) => Number(value)),
    ]);
    root.querySelector("[type=text]").value = leaves;
    root.querySelector("textarea").value = lines;
    entered();
    for (const input of all("[name=requires]")) input.checked = !frozen.includes(input.value);
    for (const select of all("select")) select.value = modes[select.ariaLabel] ?? "recorded";
    for (const [n, input] of all("[name=pass]").entries()) input.checked = passes[n];
    entered();
    const seen = {
        program: root.querySelector(".program").textContent,
        said: root.querySelector("[role=status]").textContent,
        items: all("[data-item]").map((item) => [Number(item.dataset.value), ...texts("text", item)]),
        edges: all("[data-edge]").map(({ dataset }) => dataset.edge.split(" ").map(Number)),
        steps: [],
    };
    while (button("Step").ariaDisabled === "false") {
        button("Step").click();
        const [told, grads] = all(".sum").map(terms);
        seen.steps.push({
            on: all(".tape :is(.on, .failed)").map(({ dataset }) => Number(dataset.item)),
            told,
            grads: grads.map(([, , [value]]) => value ?? null),
            labels: texts(".tape text.gone"),
            order: texts(".tape .order"),
            error: root.querySelector("p.failed:not([hidden])")?.textContent ?? "",
        });
    }
    seen.notes = texts(".tape .note");
    return seen;
})
"""


def write(page, leaves: str, lines: str) -> None:
    page.get_by_label("Leaves").fill(leaves)
    page.get_by_label("Lines").fill(lines)


def press(page, name: str, times: int = 1) -> None:
    for _ in range(times):
        page.get_by_role("button", name=name, exact=True).click()


def grads(page) -> list[str]:
    return page.locator(".sum").last.locator("b").all_inner_texts()


def is_close(shown: float | None, expected: float | None) -> bool:
    """Whether two numbers are equal up to rounding. All nan are equal."""
    if shown is None or expected is None:
        return shown is expected
    if math.isnan(shown) or math.isnan(expected):
        return math.isnan(shown) and math.isnan(expected)
    return math.isclose(shown, expected, rel_tol=TOLERANCE)


def are_close(shown: list[float | None], expected: list[float | None]) -> bool:
    return len(shown) == len(expected) and all(map(is_close, shown, expected))


def same_digits(label: float, number: float) -> bool:
    """Whether a label of the picture, which has four digits, is this number."""
    return label == number or math.isnan(label + number) or math.isclose(label, number, rel_tol=6e-4)


def disagreements(case: Case, seen: dict) -> list[str]:
    """Where the page shows something else than torch does."""
    told = traced(case)
    found = []

    def hold(what: str, shown: object, expected: object, equal: bool | None = None) -> None:
        if not (shown == expected if equal is None else equal):
            found.append(f"{what}: {expected}, shown {shown}\n{case.program}")

    hold("program", seen["program"], case.program)
    hold("nodes", [item[1] for item in seen["items"] if item[1] != "None"], told.names)
    if told.names:
        edges = [[n, i, end] for n, ends in enumerate(told.edges) for i, end in enumerate(ends)]
        shown = [[n, i, end if end < len(told.names) else None] for n, i, end in seen["edges"]]
        hold("edges", shown, edges)
    hold("result", seen["items"][0][0], told.result, is_close(seen["items"][0][0], told.result))
    for item, value in zip(seen["items"], told.values, strict=False):
        hold("leaf", item[0], value, value is None or is_close(item[0], value))
    for item, saved in zip(seen["items"], told.saved, strict=False):
        if item[1] != "AccumulateGrad":
            verb, names = item[3].split(" ", 1)
            hold("saved", (verb, set(names.split(", "))), ("saves", saved or {"nothing"}))
    freed = [not note.startswith("saves") for note in seen["notes"] if not note.startswith("grad ")]
    hold("freed", freed, [free for free, name in zip(told.freed, told.names, strict=True) if name != "AccumulateGrad"])

    steps = seen["steps"]
    hold("error", steps[-1]["error"], told.error)
    hold("errors before the last step", [step["error"] for step in steps[:-1] if step["error"]], [])
    ran = steps if told.names else []
    hold("order", [step["on"] for step in ran], [[step.node] for step in told.steps])
    for step, expected in zip(ran, told.steps, strict=False):
        hold_step(hold, told, step, expected)
    hold("grads", steps[-1]["grads"], told.grads, are_close(steps[-1]["grads"], told.grads))
    return found


def hold_step(hold, told: Traced, step: dict, expected) -> None:
    """Hold what is shown of a step against what torch did in it."""
    (_, name, _), _, (_, _, came), *rest = step["told"]
    hold("node", name, told.names[expected.node])
    hold("comes in", came, expected.came, is_close(came[-1], expected.came))
    hold("added up", came, expected.came, len(came) == 1 or is_close(sum(came[:-1]), came[-1]))
    if step["error"]:
        hold("goes out", rest, [])
    elif name == "AccumulateGrad":
        hold("grad", rest[0][2], expected.grad, is_close(rest[0][2][-1], expected.grad))
    else:
        shown = [numbers for _, _, numbers in rest]
        slopes = [slope for slope in told.slopes[expected.node] if slope is not None]
        out = [gradient for gradient in expected.out if gradient is not None]
        hold("slopes", [numbers[1] for numbers in shown], slopes, are_close([numbers[1] for numbers in shown], slopes))
        hold("out", [numbers[2] for numbers in shown], out, are_close([numbers[2] for numbers in shown], out))
        hold("in", [numbers[0] for numbers in shown], came[-1], all(is_close(n[0], came[-1]) for n in shown))
        labels = [float(label) for label in step["labels"]]
        hold("labels", labels, out, all(any(same_digits(label, gradient) for label in labels) for gradient in out))


def compare(page, cases: list[Case]) -> list[dict]:
    seen = page.evaluate(READ, [case.typed() for case in cases])
    found = [disagreements(*pair) for pair in zip(cases, seen, strict=True)]
    assert not any(found), f"{sum(map(bool, found))} differ\n" + "\n".join(
        part for parts in found for part in parts[:1]
    )
    return seen


def test_random_lines_leave_the_tape_of_torch_and_go_back_in_its_order(page):
    chooser = random.Random(2026)
    cases = [random_case(chooser) for _ in range(300)]
    seen = compare(page, cases)
    names = Counter(item[1] for each in seen for item in each["items"])
    errors = Counter(each["steps"][-1]["error"][:24] for each in seen)
    assert len(names) == 21, names  # a leaf, nothing, and 19 operations
    assert min(names.values()) >= 10
    assert errors["RuntimeError: Trying to "] >= 50
    assert errors["RuntimeError: element 0 "] >= 30
    finite = [each for each in seen if all(math.isfinite(grad or 0) for grad in each["steps"][-1]["grads"])]
    assert len(finite) >= 180
    assert sum(case.is_twice and not each["steps"][-1]["error"] for case, each in zip(cases, seen, strict=True)) >= 40


CALLS = [f"{name}(a)" for name in FUNCTIONS]
POWERS = [
    "a ** 0",
    "a ** 1",
    "a ** 2.5",
    "a ** -1",
    "0 ** a",
    "1 ** a",
    "-2 ** a",
    "(-2) ** a",
    "a ** k",
    "k ** a",
    "a ** a",
]
SUMS = ["a + 5", "5 + a", "a - 5", "5 - a", "a + k", "k - a", "-a", "--a", "+a", "a - a", "-(-a)"]
PRODUCTS = ["a * 5", "5 * a", "a / 5", "5 / a", "a * k", "k * a", "a / k", "k / a", "a * a", "a / a", "2 * 3 * a / 4"]
ENDS = ["a", "k", "a.detach()", "a * a.item()", "k * 2", "a.exp().detach() * a", "torch.exp(a)", "a * 1e-300 * 1e15"]


@pytest.mark.parametrize("value", ["2", "0", "-1.5", "40"])
@pytest.mark.parametrize("is_retained", [False, True])
def test_every_operation_is_that_of_torch_at_its_edges_too(page, value, is_retained):
    cases = [
        Case({"a": value, "k": "3"}, {"z": line}, frozen=["k"], is_twice=True, is_retained=is_retained)
        for line in CALLS + POWERS + SUMS + PRODUCTS + ENDS
    ]
    compare(page, cases)


@pytest.mark.parametrize(
    ("lines", "modes"),
    [
        ({"y": "a * b", "z": "y"}, {}),
        ({"y": "a", "z": "y * a"}, {}),
        ({"y": "a", "z": "y * a"}, {"y": "no_grad()"}),
        ({"y": "a", "z": "y * a"}, {"y": "detach()"}),
        ({"y": "a * b", "z": "a + b"}, {}),
        ({"y": "a * b", "z": "y * y * y"}, {}),
        ({"y": "a * b", "u": "exp(y)", "z": "u + y * u - b / y"}, {"u": "detach()"}),
        ({"y": "a + b", "u": "a - b", "z": "y + u + a"}, {}),
    ],
)
@pytest.mark.parametrize("passes", [(False, False), (False, True), (True, False), (True, True)])
def test_lines_that_name_others_leave_the_tape_of_torch(page, lines, modes, passes):
    compare(page, [Case({"a": "2", "b": "3"}, lines, modes=modes, is_twice=passes[0], is_retained=passes[1])])


def test_it_starts_with_the_tape_of_the_page_and_steps_through_what_its_block_prints(explorable):
    page = explorable()
    block = next(block for block in Page.read(PAGE).blocks if "register_prehook" in block.source)
    printed = block.results[0].shown.splitlines()
    assert printed[0] == " ".join({*grads(page)})
    for line in printed[1:-1]:
        press(page, "Step")
        name, _, came, *_ = page.locator(".sum b").all_inner_texts()
        assert f"{name} {float(came)}" == line
    assert " ".join(f"tensor({grad}.)" for grad in grads(page)) == printed[-1]
    assert page.locator(".stepper").inner_text().endswith("5 of 5")


def test_without_scripts_the_worked_example_is_there(visit):
    assert "MulBackward0 1.0" in TAPE.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/tape.js" in before
    assert "tape-widget" not in before
    assert "tape-widget" in after


REFUSED_LEAVES = {
    "a = 2, b": "Not understood: b. A line is written as name = expression.",
    "a = 2, a = 3": "Not understood: a. Each name is given once.",
    "a = 2, if = 3": "Not understood: if. This name is taken.",
    "a = 2, exp = 3": "Not understood: exp. This name is taken.",
    "a = <b>2</b>": "Not understood: <b>2</b>. Understood are",
    "a = 1 / 0": "Not drawn: 1 / 0. Numbers are real",
    "a = 2, b = a": "Not understood: a. A leaf is a number.",
    "a = 1, b = 1, c = 1, d = 1, e = 1, f = 1, g = 1": "Not drawn: Drawn are up to 6 leaves.",
}
REFUSED_LINES = {
    "z = a +": "Not understood: a +. Understood are",
    "z = a */ a": "Not understood: a */ a. ",
    "z = 2a": "Not understood: 2a. ",
    "z = a 2": "Not understood: a 2. ",
    "z = 02 * a": "Not understood: 02 * a. ",
    "z = a ^ 2": "Not understood: ^ 2. ",
    "z = a.exp": "Not understood: .exp. ",
    "z = (a": "Not understood: (a. ",
    "z = a)": "Not understood: a). ",
    "z = erf(a)": "Not understood: erf(a). ",
    "z = detach(a)": "Not understood: detach(a). ",
    "z = exp * a": "NameError: name 'exp' is not defined",
    "z = a.constructor()": "Not understood: a.constructor(). ",
    "z = exp(2) * a": "Not understood: exp(2). 2 is a number, and no tensor.",
    "z = a * (2).detach()": "Not understood: 2.detach(). Understood are",
    "z = 2 * 3": "Not understood: z = 2 * 3. No tensor goes into this line.",
    "a = a * 2": "Not understood: a. Each name is given once.",
    "z == a": "Not understood: z == a. ",
    "a * 2": "Not understood: a * 2. A line is written as name = expression.",
    "": "Not understood: There is no line to compute.",
    "z = a * q": "NameError: name 'q' is not defined",
    "z = y * 2\ny = a * 2": "NameError: name 'y' is not defined",
    "z = a * 1e16": "Not drawn: 1e16. ",
    "z = a * (-8) ** 0.5": "Not drawn: (-8) ** 0.5. ",
    f"z = a{' * a' * 25}": "Not drawn: Drawn are up to 24 operations.",
    "\n".join(f"z{n} = a * 2" for n in range(9)): "Not drawn: Drawn are up to 8 lines.",
}

# For each case: draws a square, takes a step, writes what is refused and goes on; then writes a square again.
REFUSE = """
(cases) => cases.map(([leaves, lines]) => {
    const root = document.querySelector("explore-tape");
    const fields = [root.querySelector("[type=text]"), root.querySelector("textarea")];
    const write = (...texts) => {
        for (const [n, field] of fields.entries()) field.value = texts[n];
        fields[1].dispatchEvent(new Event("input", { bubbles: true }));
    };
    const press = (name) => [...root.querySelectorAll("button")].find((b) => b.textContent === name).click();
    const drawn = () => [...root.querySelectorAll(".tape .value")].map((found) => found.textContent).join();
    const invalid = () => fields.map((field) => field.ariaInvalid === "true");
    press("a product and a sum");
    write("a = 2", "z = a * a");
    press("Step");
    write(leaves, lines);
    const told = [root.querySelector(".failed[role=status]")?.textContent ?? "", invalid(), drawn()];
    press("All");
    const grad = [...root.querySelectorAll(".sum")].at(-1).querySelector("b").textContent;
    write("a = 3", "z = a * a");
    return [...told, grad, invalid(), drawn()];
})
"""


def test_what_cannot_be_read_is_named_and_the_last_picture_can_still_be_stepped_through(page):
    cases = [(leaves, "z = a * a", said, [True, False]) for leaves, said in REFUSED_LEAVES.items()]
    cases += [("a = 2", lines, said, [False, True]) for lines, said in REFUSED_LINES.items()]
    seen = page.evaluate(REFUSE, [case[:2] for case in cases])
    for (*typed, said, invalid), (told, *shown) in zip(cases, seen, strict=True):
        assert told.startswith(said), typed
        assert shown == [invalid, "z = 4,a = 2", "4", [False, False], "z = 9,a = 3"], typed


def test_lines_may_be_written_as_python_allows(page):
    write(page, "a = 2, b=.5 ,", "\n y = ( a*b )# a comment\n\nz=torch.exp(y)")
    assert page.locator(".tape .name").first.text_content() == "ExpBackward0"


def test_every_example_shows_what_its_name_says(page):
    shown = {}
    for button in page.get_by_role("group", name="Examples").get_by_role("button").all():
        button.click()
        press(page, "All")
        error = page.locator("p.failed").filter(visible=True).all_inner_texts()
        shown[button.inner_text()] = [page.locator(".tape .name").count(), *grads(page), *(text[:35] for text in error)]
    assert shown == {
        "a product and a sum": [5, "3", "2", "1"],
        "two ways to a leaf": [4, "12", "4"],
        "cut by detach": [3, "6", "None"],
        "half a second pass": [5, "3", "2", "2", "RuntimeError: Trying to backward th"],
        "a second pass": [5, "6", "4", "2"],
        "sums keep nothing": [4, "4", "2"],
        "one line, two nodes": [4, "-0.25"],
        "a neuron": [9, "-0.5", "-0.25", "None", "None"],
        "no tape": [1, "None", "None", "RuntimeError: element 0 of tensors "],
    }


def test_switches_change_the_tape_and_stay_where_a_line_changes(page):
    press(page, "two ways to a leaf")
    page.get_by_label("y", exact=True).select_option("detach()")
    page.get_by_label("b", exact=True).uncheck()
    assert "y = (a * b).detach()" in page.locator(".program").inner_text()
    assert page.locator(".tape .constant").count() == 2  # the edge and its end
    page.get_by_label("Lines").fill("y = a * b\nz = y * a + b")
    assert page.get_by_label("y", exact=True).input_value() == "detach()"
    assert not page.get_by_label("b", exact=True).is_checked()
    press(page, "All")
    assert grads(page) == ["6", "None"]


def test_a_second_pass_goes_on_where_the_first_one_is(page):
    press(page, "a product and a sum")
    press(page, "All")
    page.get_by_label("a second pass").check()
    assert page.locator(".stepper").inner_text().endswith("5 of 8, pass 1")
    press(page, "Step")
    assert page.locator(".tape .order").all_text_contents() == ["1"]
    press(page, "Step", 2)
    assert page.locator(".tape .failed .name").text_content() == "MulBackward0"
    page.get_by_label("retain_graph=True").check()
    assert page.locator(".stepper").inner_text().endswith("8 of 10, pass 2")


def test_buttons_step_and_stop_at_the_ends(page):
    press(page, "a product and a sum")
    walked = []
    for name in ("Step", "Step", "Back", "Back", "Back", "All", "Step", "Back", "Restart", "Restart", "Step"):
        page.get_by_role("button", name=name, exact=True).press("Enter")
        walked.append(page.locator(".stepper span").inner_text()[0])
    assert walked == list("12100554001")


def test_each_step_is_read_out_in_a_sentence_where_the_reader_steps(page):
    told = page.locator("output")
    press(page, "a product and a sum")
    write(page, "a = 2, b = 3", "y = a * b\nz = y * a")
    assert told.get_attribute("aria-live") == "off"
    sentences = []
    for _ in range(4):
        page.get_by_role("button", name="Step", exact=True).press("Space")
        sentences.append(told.text_content())
    assert told.get_attribute("aria-live") == "polite"
    assert sentences == [
        "1 of 4. MulBackward0 of z = y * a: 1 comes in, to y goes 1 times 2, 2, and to a goes 1 times 6, 6.",
        "2 of 4. MulBackward0 of y = a * b: 2 comes in, to a goes 2 times 3, 6, and to b goes 2 times 2, 4.",
        "3 of 4. AccumulateGrad of a: 12 comes in, and a.grad becomes 12.",
        "4 of 4. AccumulateGrad of b: 4 comes in, and b.grad becomes 4.",
    ]
    description = page.locator(".tape").get_attribute("aria-label")
    assert "MulBackward0 of y = a * b leads to AccumulateGrad of a and AccumulateGrad of b." in description


def test_edges_lead_down_and_boxes_do_not_overlap(page):
    chooser = random.Random(7)
    for _ in range(12):
        case = random_case(chooser)
        write(page, *(case.typed()[name] for name in ("leaves", "lines")))
        boxes = [box.bounding_box() for box in page.locator(".tape rect").all()]
        for n, one in enumerate(boxes):
            for other in boxes[n + 1 :]:
                left, right = sorted((one, other), key=lambda box: box["x"])
                assert one["y"] != other["y"] or left["x"] + left["width"] <= right["x"], case.lines
        edges = page.eval_on_selector_all("[data-edge]", "all => all.map(({dataset}) => dataset.edge.split(' '))")
        assert all(boxes[int(top)]["y"] < boxes[int(bottom)]["y"] for top, _, bottom in edges), case.lines


def test_a_keyboard_reaches_everything(page):
    press(page, "a product and a sum")
    page.get_by_label("Leaves").focus()
    reached = []
    for _ in range(22):
        page.keyboard.press("Tab")
        reached.append(focused(page).strip())
    assert reached[:2] == ["Lines", "a product and a sum"]
    assert reached[10:21] == [
        "a",
        "b",
        "c",
        "y",
        "z",
        "a second pass",
        "retain_graph=True",
        *["Back", "Step", "All", "Restart"],
    ]
    assert reached[21].startswith("Tape. AddBackward0 of z = y + c leads to MulBackward0 of y")


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for name in ("half a second pass", "a neuron", "no tape"):
        press(page, name)
        press(page, "Step")
        if name == "half a second pass":
            press(page, "All")
        if name == "no tape":
            write(page, "a", "a")
        assert not TAPE.findings(page), name


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert TAPE.smallest(page, ":is(button, select, label:has(input))") >= 24
    for button in page.get_by_role("group", name="Examples").get_by_role("button").all():
        button.click()
        press(page, "All")
        assert not TAPE.scrolls_sideways(page), button.inner_text()
    write(
        page,
        "a = 0.123456789, b = 2",
        "y = a ** b / sigmoid(1 / a) + tanh(b) * (a - 3)\nz = exp(y) * cos(a) - a / b ** a",
    )
    press(page, "All")
    assert not TAPE.scrolls_sideways(page, "form"), "a large tape scrolls in its own place"


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    write(page, "a = 2", "z = a * a")
    press(page, "Step")
    TAPE.take_out_and_put_back(page, ".tape")
    assert page.locator("explore-tape form").count() == 1
    assert page.get_by_label("Leaves").input_value() == "a = 2"
    press(page, "Step")
    assert grads(page) == ["4"]
    assert page.evaluate("drawn") == 1
    assert not errors


def test_it_is_there_again_after_a_walk_through_the_book(page):
    TAPE.walk_away_and_back(page, "Views")
    write(page, "a = 2", "z = a * a")
    press(page, "All")
    assert grads(page) == ["4"]
