"""The landscape explorable descends as the optimizers of torch do, to the last bit, and everyone can use it."""

from __future__ import annotations

import math
import platform
import random
import re
from collections import Counter
from dataclasses import astuple
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from explorables.descents import LANDSCAPES, Asked, random_descent, run, run_plainly
from explorables.element import Explorable, focused
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "autograd" / "gradients.md"
URL = "autograd/gradients/"
LANDSCAPE = Explorable("landscape", URL, "Learning rate")
page, requests, explorable = LANDSCAPE.fixtures()
SMALL = 1e-6

# For each case: fills in all fields as a reader does, goes to some steps, and returns what is seen.
READ = """
(cases) => cases.map(([landscape, optimizer, forgets, ...values]) => {
    const root = document.querySelector("explore-landscape");
    const [surface, method] = root.querySelectorAll("select");
    [surface.value, method.value] = [landscape, optimizer];
    root.querySelector("[type=checkbox]").checked = forgets;
    for (const [n, input] of root.querySelectorAll("[type=text]").entries()) input.value = values[n];
    root.querySelector("[type=text]").dispatchEvent(new Event("input", { bubbles: true }));
    const slider = root.querySelector(".stepper [type=range]");
    const step = (n) => {
        slider.value = n;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        return [...root.querySelectorAll(".sum > span > span")].map((term) =>
            ["small", "b"].map((part) => term.querySelector(part).textContent));
    };
    const last = Number(slider.max);
    return {
        program: root.querySelector(".paste").textContent,
        said: root.querySelector("[role=status]").textContent,
        limit: root.querySelector("details:not([hidden]) p")?.textContent,
        steps: [1, 2, 1 + (last >> 1), last].map((n) => [n, step(n)]),
    };
})
"""

# The same descents with all digits.
DESCEND = """
async (cases) => {
    const { descend } = await import(new URL("../../explorables/descent.js", location));
    const { LANDSCAPES } = await import(new URL("../../explorables/landscapes.js", location));
    return cases.map(([landscape, optimizer, forgets, ...values]) => {
        const [lr, momentum, k, x, y, steps] = values.map(Number);
        const settings = { optimizer: optimizer.split(" ")[0], nesterov: optimizer.includes("Nesterov"), lr, momentum };
        return descend({ landscape: LANDSCAPES[landscape], k, start: [x, y], steps, clears: !forgets, ...settings });
    });
}
"""

# What the optimizer makes of points and gradients that are given.
STEP = """
async (cases) => {
    const { OPTIMIZERS } = await import(new URL("../../explorables/descent.js", location));
    return cases.map(([optimizer, lr, momentum, given]) => {
        const nesterov = optimizer.includes("Nesterov");
        const step = OPTIMIZERS[optimizer.split(" ")[0]]({ lr, momentum, nesterov });
        return given.map(([w, grad]) => step(w, grad).next);
    });
}
"""

LOSSES = {
    "valley": lambda x, y, k: x**2 / 2 + k * y**2 / 2,
    "rosenbrock": lambda x, y, k: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "saddle": lambda x, y, k: x**2 - y**2,
    "himmelblau": lambda x, y, k: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "kink": lambda x, y, k: x.abs() + y.abs(),
}


def brief(number: float) -> str:
    """A number with six digits, as Python writes it. JavaScript rounds a half away from 0."""
    if not math.isfinite(number):
        return repr(number)
    return repr(float(Context(prec=6, rounding=ROUND_HALF_UP).plus(Decimal(number)))) if number else repr(number)


def vector(point: list[float]) -> str:
    return f"[{', '.join(map(brief, point))}]"


def floats(answer: Any) -> Any:
    """What a browser answers, in which whole numbers are floats as well."""
    if isinstance(answer, dict):
        return {name: floats(value) for name, value in answer.items()}
    return list(map(floats, answer)) if isinstance(answer, list) else float(answer)


@pytest.fixture(scope="module")
def descents(page) -> list[tuple[Asked, dict, list[dict]]]:
    """Random descents, what the page shows of each, and its numbers with all digits."""
    chooser = random.Random(1847)
    asked = sorted((random_descent(chooser) for _ in range(150)), key=lambda asked: (asked.landscape, asked.k))
    fields = list(map(astuple, asked))
    return list(zip(asked, page.evaluate(READ, fields), floats(page.evaluate(DESCEND, fields)), strict=True))


@pytest.fixture(scope="module")
def plain(descents) -> list[tuple[list[float], list[list[float]]]]:
    """What the programs print that the page shows, by kernels that round after each operation."""
    return run_plainly([seen["program"] for _, seen, _ in descents])


def close(shown: float, known: float) -> bool:
    return repr(shown) == repr(known) or math.isclose(shown, known, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="here torch has no kernels that round so")
def test_every_point_and_loss_of_random_descents_is_that_of_torch(descents, plain):
    """To the last bit. For Adam torch takes roots from a library whose last bit is wrong in one of a hundred."""
    exact = Counter()
    for (asked, _, steps), (losses, points) in zip(descents, plain, strict=True):
        assert len(steps) == len(losses) == 50
        shown, known = (
            [[loss, *point] for loss, point in zip(*both, strict=True)]
            for both in (([step["loss"] for step in steps], [step["next"] for step in steps]), (losses, points))
        )
        is_same = repr(shown) == repr(known)
        exact[asked.optimizer == "Adam", is_same] += 1
        for row, right in zip(shown, known, strict=True):
            assert is_same or (asked.optimizer == "Adam" and all(map(close, row, right))), (asked, row, right)
    assert exact[False, True] >= 90
    assert exact[True, True] >= 35
    assert exact[True, False] <= 10


def test_the_random_descents_are_of_all_kinds(descents):
    kinds = Counter(part for asked, _, _ in descents for part in (asked.landscape, asked.optimizer))
    assert len(kinds) == 8
    assert min(kinds.values()) >= 15
    assert sum(asked.forgets for asked, _, _ in descents) >= 25
    assert sum(asked.momentum == "1" for asked, _, _ in descents) >= 20
    assert sum(math.isnan(steps[-1]["next"][0]) for _, _, steps in descents) >= 10
    said = Counter(" ".join(seen["said"].split()[:2]) for _, seen, _ in descents)
    assert sum("last bit" in seen["said"] for _, seen, _ in descents) >= 4
    diverging = said.pop("Diverges. In")
    assert diverging >= 15
    assert set(said) == {"At rest", "Still moving", "Outside the"}
    assert min(said.values()) >= 5, said


def test_each_step_from_where_torch_stands_is_one_of_this_machines_torch(page, descents):
    """Its kernels round once less in a step. From the same points and gradients nothing else may differ."""
    cases, expected = [], []
    for asked, _, _ in descents[::4]:
        x, y, lr, momentum, k = (float(getattr(asked, name)) for name in ("x", "y", "lr", "momentum", "k"))
        w = torch.tensor([x, y], dtype=torch.float64, requires_grad=True)
        settings = {"momentum": momentum, "nesterov": "Nesterov" in asked.optimizer}
        optimizer = torch.optim.Adam([w], lr=lr) if asked.optimizer == "Adam" else torch.optim.SGD([w], lr, **settings)
        given, points = [], []
        for _ in range(50):
            if not asked.forgets:
                optimizer.zero_grad()
            LOSSES[asked.landscape](*w, k).backward()
            if not (w.isfinite().all() and (w.grad.abs() < 1e100).all()):
                break
            given.append([w.tolist(), w.grad.tolist()])
            optimizer.step()
            points.append(w.tolist())
        cases.append([asked.optimizer, lr, momentum, given])
        expected.append(points)
    steps = 0
    for (*settings, given), shown, known in zip(cases, page.evaluate(STEP, cases), expected, strict=True):
        for (w, _), new, right in zip(given, shown, known, strict=True):
            for i in (0, 1):
                scale = max(abs(w[i]), abs(right[i]), abs(right[i] - w[i]))
                assert abs(new[i] - right[i]) <= 1e-14 * scale, (settings, w, new, right)
            steps += 1
    assert steps >= 1000


def test_derivatives_by_hand_are_those_of_autograd_to_the_last_bit(descents):
    for asked, _, steps in descents:
        total = None
        for step in steps if asked.forgets else steps[::9]:
            w = torch.tensor(step["w"], dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(LOSSES[asked.landscape](*w, float(asked.k)), w)
            total = total + slope if total is not None and asked.forgets else slope
            assert repr([step["slope"], step["grad"]]) == repr([slope.tolist(), total.tolist()]), (asked, step)


def outcome(asked: Asked, steps: list[dict]) -> str:
    """What is to be said of a descent, without what is said of a momentum of 1."""
    points, losses = [step["next"] for step in steps], [step["loss"] for step in steps]
    place = vector(points[-1])
    spoiled = [n for n, loss in enumerate(losses, 1) if not math.isfinite(loss)]
    lost = [n for n, point in enumerate(points, 1) if any(map(math.isnan, point))]
    if spoiled:
        after = f", and step {lost[0]} makes w {vector(points[lost[0] - 1])}" if lost else ""
        return f"Diverges. In step {spoiled[0]} the loss is {losses[spoiled[0] - 1]}{after}."
    moving = [
        n
        for n, step in enumerate(steps, 1)
        if max(map(abs, step["slope"])) > SMALL
        or max(abs(new - old) for new, old in zip(step["next"], step["w"], strict=True)) > SMALL
    ]
    if not moving or moving[-1] < len(steps):
        doubt = " This is no minimum: the slope is 0 on a saddle as well." if asked.landscape == "saddle" else ""
        start = moving[-1] + 1 if moving else 1
        return f"At rest from step {start} on, at {place}, with the loss {brief(losses[-1])}.{doubt}"
    left, right, bottom, top = LANDSCAPES[asked.landscape]
    is_inside = left <= points[-1][0] <= right and bottom <= points[-1][1] <= top
    where = "Still moving" if is_inside else "Outside the picture"
    return f"{where} after step {len(steps)}, at {place}. The last loss is {brief(losses[-1])}."


def is_momentum_one(asked: Asked) -> bool:
    return asked.forgets and asked.optimizer == "SGD" and float(asked.momentum) == 0


def test_numbers_and_words_of_random_descents_are_those_of_their_steps(descents):
    for asked, seen, steps in descents:
        same = " Momentum 1 with zero_grad() makes the same numbers, to the last bit." * is_momentum_one(asked)
        assert seen["said"] == outcome(asked, steps) + same, asked
        for n, terms in seen["steps"]:
            step = steps[n - 1]
            state = [[name, vector(value)] for name, value in step["state"].items()]
            known = [["loss", brief(step["loss"])], ["w", vector(step["w"])], ["w.grad", vector(step["grad"])]]
            assert terms == [*known, *state, ["new w", vector(step["next"])]], (asked, n)


def test_without_zero_grad_torch_does_the_same_as_with_momentum_1(descents):
    programs = [seen["program"] for asked, seen, _ in descents if is_momentum_one(asked)]
    for program in programs[:5]:
        other = program.replace("range(50):\n", "range(50):\n    optimizer.zero_grad()\n").replace(
            "lr=", "momentum=1, lr="
        )
        assert other.count("momentum=1, ") == other.count("zero_grad") == 1
        assert repr(run(program)) == repr(run(other))


@pytest.mark.parametrize("optimizer", ["SGD", "SGD with Nesterov"])
@pytest.mark.parametrize("momentum", ["0", "0.5", "0.9", "1"])
def test_up_to_the_rate_that_is_named_the_valley_converges(page, optimizer, momentum):
    if (optimizer, momentum) == ("SGD with Nesterov", "0"):
        return
    (seen,) = page.evaluate(READ, [("valley", optimizer, False, "0.01", momentum, "20", "0", "1", "200")])
    rate = float(re.search(r"= ([\d.]+)\.( |$)", seen["limit"])[1])
    if momentum == "0":
        assert rate == 2 / 20
    last = []
    for factor in (0.95, 1.05):
        _, points = run(seen["program"].replace("lr=0.01", f"lr={rate * factor}"))
        last.append(max(abs(y) for _, y in points[-20:]))
    assert last[1] > 100
    assert last[0] < (10 if (optimizer, momentum) == ("SGD", "1") else 0.1)
    assert ("swings for ever" in seen["limit"]) == ((optimizer, momentum) == ("SGD", "1"))


# How strongly each of some places of the landscape is tinted, from 0 to 255.
TINTS = """
(places) => {
    const canvas = document.querySelector("explore-landscape canvas");
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    return places.map(([x, y]) => data[4 * (Math.floor(y * height) * width + Math.floor(x * width)) + 3]);
}
"""


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_a_landscape_is_tinted_the_stronger_the_higher_torch_finds_the_loss(page, landscape):
    page.evaluate(READ, [(landscape, "SGD", False, "0.01", "0", "7.3", "0.5", "0.5", "1")])
    chooser = random.Random(7)
    places = [[chooser.random(), chooser.random()] for _ in range(400)]
    left, right, bottom, top = LANDSCAPES[landscape]
    x, y = torch.tensor(places, dtype=torch.float64).T
    heights = LOSSES[landscape](left + x * (right - left), top - y * (top - bottom), 7.3)
    tints = torch.tensor(page.evaluate(TINTS, places), dtype=torch.float64)
    order = heights.argsort()
    parts = [tints[part].median() for part in order.split(50)]
    assert parts == sorted(parts), parts
    assert parts[-1] > parts[0] + 30


def test_points_are_drawn_where_they_are_and_the_arrow_leads_downhill(page):
    page.evaluate(READ, [("himmelblau", "SGD", False, "0.01", "0", "1", "-3", "1.2", "5")])
    (steps,) = page.evaluate(DESCEND, [("himmelblau", "SGD", False, "0.01", "0", "1", "-3", "1.2", "5")])
    drawn = page.locator("explore-landscape .spots").get_attribute("d")
    shown = [tuple(map(float, point)) for point in re.findall(r"M(-?[\d.]+),(-?[\d.]+)h0", drawn)]
    known = [((x + 6) / 12 * 500, (4.8 - y) / 12 * 500) for x, y in (step["w"] for step in steps)]
    assert shown == [pytest.approx(point, abs=0.06) for point in known]
    here = [page.locator("explore-landscape .here").get_attribute(side) for side in ("cx", "cy")]
    x, y = steps[-1]["next"]
    assert list(map(float, here)) == pytest.approx([(x + 6) / 12 * 500, (4.8 - y) / 12 * 500], abs=0.06)
    arrow = page.locator("explore-landscape .arrow").get_attribute("d")
    (x, y), (i, j) = [tuple(map(float, point)) for point in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", arrow)[:2]]
    slope = steps[-1]["slope"]
    assert (x, y) == pytest.approx(known[-1], abs=0.06)
    assert math.atan2(y - j, i - x) == pytest.approx(math.atan2(-slope[1], -slope[0]), abs=0.01)


def write(page, label: str, value: str) -> None:
    page.locator("explore-landscape").get_by_label(label, exact=True).fill(value)


def said(page) -> str:
    return page.locator("explore-landscape [role=status]").inner_text()


def example(page, name: str) -> str:
    page.locator("explore-landscape").get_by_role("button", name=name, exact=True).click()
    return said(page)


def values(page) -> list[str]:
    return page.locator("explore-landscape [type=text]").evaluate_all("all => all.map((field) => field.value)")


def position(page) -> str:
    return page.locator("explore-landscape .stepper > span").inner_text()


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    source = next(block.source for block in Page.read(PAGE).blocks if "for lr in (0.09" in block.source)
    page = explorable()
    assert values(page) == ["0.09", "0", "20", "4", "1", "50"]
    assert "torch.tensor([4.0, 1.0]" in source
    assert "20.0 * w[1]" in source
    shown = page.locator("explore-landscape .language-text").inner_text().splitlines()
    for rate, line in zip(("0.09", "0.1", "0.11"), shown, strict=True):
        write(page, "Learning rate", rate)
        last = page.locator("explore-landscape .sum b").last.inner_text()
        pairs = zip(eval(last), eval(line), strict=True)
        assert all(math.isclose(x, y, rel_tol=1e-4) for x, y in pairs), (last, line)  # the example is of float32


def test_without_scripts_the_worked_example_is_there(visit):
    assert "[0.020615098997950554, 1.0]" in LANDSCAPE.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/landscape.js" in before
    assert "landscape-widget" not in before
    assert "landscape-widget" in after


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("Learning rate", "fast", "Not understood: fast. Understood are numbers"),
        ("Learning rate", "", "Not understood: Understood are numbers"),
        ("Learning rate", "1e999", "Not understood: 1e999. "),
        ("Momentum", "1.01", "Not drawn: 1.01. Numbers here go up to 1.0."),
        ("k, how narrow", "31", "Not drawn: 31. Numbers here go from 1.0 to 30.0."),
        ("Start, x", "-5.1", "Not drawn: -5.1. Numbers here go from -5.0 to 5.0."),
        ("Start, y", "<b>1</b>", "Not understood: <b>1</b>. "),
        ("Steps", "0", "Not drawn: 0. Whole numbers here go from 1.0 to 200.0."),
        ("Steps", "2.5", "Not drawn: 2.5. Whole numbers"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_last_picture_stays(page, label, value, message):
    example(page, "momentum 0.9")
    picture = page.locator("explore-landscape").get_by_role("application")
    before, drawn = picture.inner_html(), page.locator("explore-landscape .sum").inner_text()
    right = page.locator("explore-landscape").get_by_label(label, exact=True).input_value()
    write(page, label, value)
    assert said(page).startswith(message)
    assert page.locator("explore-landscape [aria-invalid=true]").count() == 1
    assert (picture.inner_html(), page.locator("explore-landscape .sum").inner_text()) == (before, drawn)
    write(page, label, right)
    assert said(page).startswith("Still moving")
    assert not page.locator("explore-landscape [aria-invalid=true]").count()


@pytest.mark.parametrize(
    ("optimizer", "lr", "momentum"),
    [
        ("SGD", "-0.1", "0.9"),
        ("Adam", "-1e-05", "0"),
        ("SGD", "0.1", "-0.5"),
        ("SGD", "-1", "-1"),
        ("SGD with Nesterov", "0.1", "0"),
    ],
)
def test_what_torch_refuses_is_refused_in_its_words(page, optimizer, lr, momentum):
    w = torch.zeros(2, requires_grad=True)
    settings = {"momentum": float(momentum), "nesterov": "Nesterov" in optimizer}
    make = torch.optim.Adam if optimizer == "Adam" else torch.optim.SGD
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # its words are compared with those of the page
        make([w], lr=float(lr), **({} if optimizer == "Adam" else settings))
    (seen,) = page.evaluate(READ, [("valley", optimizer, False, lr, momentum, "20", "4", "1", "50")])
    assert seen["said"] == f"ValueError: {raised.value}"


def test_every_example_shows_what_its_name_says(page):
    buttons = page.locator("explore-landscape [data-example]").all_inner_texts()
    shown = {name: example(page, name) for name in buttons}
    assert shown.pop("just above 2 / k").startswith("Outside the picture after step 50, at [0.0")
    forgotten = shown.pop("zero_grad() left out")
    assert (
        forgotten == shown.pop("momentum 1") + " Momentum 1 with zero_grad() makes the same numbers, to the last bit."
    )
    assert shown.pop("momentum 0.9").startswith("Still moving after step 200, at [-1.72397e-05, 4.00933e-05]")
    assert shown.pop("on the ridge of a saddle").startswith(
        "At rest from step 70 on, at [4.07407e-10, 0.0], with the loss 2.59345e-19. This is no minimum"
    )
    assert shown.pop("beside it").startswith("Outside the picture after step 100")
    assert "The last loss is 0.1" in shown.pop("a curved valley")
    assert shown.pop("the same with Adam").startswith("Still moving after step 200, at [")
    assert shown.pop("four minima").startswith("Still moving after step 50, at [3.0, 2.0]")
    assert shown.pop("a kink") == "Still moving after step 50, at [0.2, -0.1]. The last loss is 0.3."
    assert not shown


def test_another_landscape_starts_where_it_can_be_seen(page):
    example(page, "just above 2 / k")
    for landscape in LANDSCAPES:
        page.get_by_role("combobox", name="Landscape").select_option(landscape)
        assert not page.locator("explore-landscape .failed, explore-landscape [aria-invalid=true]").count()
        assert "Diverges" not in said(page)
        assert page.get_by_label("k, how narrow", exact=True).is_visible() == (landscape == "valley")


def test_a_press_and_arrow_keys_move_the_start(page):
    example(page, "momentum 0.9")
    picture = page.locator("explore-landscape").get_by_role("application")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 4, "y": box["height"] / 4})
    assert [float(value) for value in values(page)[3:5]] == pytest.approx([-2.5, 2], abs=0.03)
    write(page, "Start, x", "4.9")
    write(page, "Start, y", "1")
    picture.focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "ArrowDown", "Shift+ArrowLeft", "a"):
        picture.press(key)
    assert [float(value) for value in values(page)[3:5]] == pytest.approx([4.98, 1.2]), "and stops at the edge"
    assert "Start [4.98, 1.2]" in focused(page)


def test_buttons_step_and_stop_at_the_ends(page):
    example(page, "a kink")
    write(page, "Steps", "3")
    back, following = (page.get_by_role("button", name=name, exact=True).last for name in ("Back", "Next"))
    walked = []
    for button in (following, back, back, back, following):
        button.press("Enter")
        walked.append(position(page))
    assert walked == ["3 of 3", "2 of 3", "1 of 3", "1 of 3", "2 of 3"]
    assert page.locator("output.sum").get_attribute("aria-live") == "polite"
    back.press("Enter")
    assert [button.get_attribute("aria-disabled") for button in (back, following)] == ["true", "false"]
    assert page.get_by_role("slider", name="Step", exact=True).input_value() == "1"


def test_a_run_goes_to_the_end_and_can_be_stopped(explorable):
    page = explorable()
    example(page, "a kink")
    write(page, "Steps", "200")
    run = page.locator("explore-landscape .stepper button").last
    run.click()
    assert run.inner_text() == "Pause"
    assert page.locator("output.sum").get_attribute("aria-live") == "off"
    run.click()
    assert run.inner_text() == "Run"
    assert position(page) != "200 of 200"
    write(page, "Steps", "4")
    run.click()
    page.locator("explore-landscape .stepper > span", has_text="4 of 4").wait_for()
    page.wait_for_function("document.querySelector('.stepper button:nth-of-type(3)').textContent === 'Run'")
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("slider", name="Step", exact=True).fill("2")
    run.click()
    assert (run.inner_text(), position(page)) == ("Run", "4 of 4")


def test_sliders_and_fields_follow_each_other(page):
    example(page, "momentum 0.9")
    slider = page.get_by_role("slider", name="Learning rate, slider")
    assert float(slider.input_value()) == pytest.approx(-2)
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowLeft", "End"):
        slider.press(key)
        walked.append(values(page)[0])
    assert walked == ["0.011", "0.013", "0.011", "0.01", "10.0"]
    write(page, "Learning rate", "0.1")
    assert float(slider.input_value()) == pytest.approx(-1)
    page.get_by_role("slider", name="Momentum, slider").press("End")
    page.get_by_role("slider", name="k, how narrow, slider").press("Home")
    assert values(page)[1:3] == ["1.0", "1.0"]
    assert "momentum=1.0" in page.locator("explore-landscape .paste").inner_text()


def test_what_does_not_count_cannot_be_set(page):
    example(page, "the same with Adam")
    assert page.get_by_label("Momentum", exact=True).is_disabled()
    assert "momentum" not in page.locator("explore-landscape .paste").inner_text()
    assert page.locator("explore-landscape .sum small").all_inner_texts()[3:5] == ["exp_avg", "exp_avg_sq"]
    assert not page.locator("explore-landscape details").filter(visible=True).count()


def test_the_largest_rate_stays_closed_until_it_is_asked_for(page):
    example(page, "just above 2 / k")
    answer = page.locator("explore-landscape details p").first
    assert not answer.is_visible()
    page.locator("explore-landscape summary").click()
    assert answer.inner_text().startswith("2 / k = 0.1. ")
    assert page.locator("explore-landscape details a").get_attribute("href") == "https://distill.pub/2017/momentum/"
    page.locator("explore-landscape summary").click()


def test_a_keyboard_reaches_everything(page):
    example(page, "just above 2 / k")
    page.get_by_role("combobox", name="Optimizer").focus()
    reached = []
    for _ in range(26):
        page.keyboard.press("Tab")
        reached.append(focused(page).strip())
    assert reached[9:16] == ["a kink", reached[10], "Back", "Next", "Run", "Step", "Learning rate"]
    assert reached[10].startswith("Landscape, x from -5")
    names = ["Learning rate, slider", "Momentum", "Momentum, slider", "k, how narrow", "k, how narrow, slider"]
    assert reached[16:] == [*names, "Start, x", "Start, y", "Steps", "zero_grad() left out", reached[-1]]
    assert reached[-1].startswith("Up to which")


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    page.locator("explore-landscape summary").click()
    for name in ("the same with Adam", "just above 2 / k"):
        example(page, name)
        assert not LANDSCAPE.findings(page), name
    write(page, "Learning rate", "x")
    assert not LANDSCAPE.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert LANDSCAPE.smallest(page, ":is(button, select, input:not([type=checkbox]), .check)") >= 24
    for name in ("just above 2 / k", "zero_grad() left out", "the same with Adam", "beside it"):
        example(page, name)
        assert not LANDSCAPE.scrolls_sideways(page, ":is(form, .sum, .paste, .descent, .stepper)"), name


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    write(page, "Learning rate", "0.05")
    LANDSCAPE.take_out_and_put_back(page, "[role=status]")
    assert page.locator("explore-landscape form").count() == 1
    assert values(page)[0] == "0.05"
    write(page, "Learning rate", "0.06")
    assert "lr=0.06" in page.locator("explore-landscape .paste").inner_text()
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    LANDSCAPE.walk_away_and_back(page, "Views")
    write(page, "Learning rate", "0.06")
    assert "lr=0.06" in page.locator("explore-landscape .paste").inner_text()
