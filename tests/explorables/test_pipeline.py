"""The pipeline explorable shows what torchvision makes of a photo in any order, and everyone can use it."""

from __future__ import annotations

import json
import math
import random
from functools import cache

import numpy as np
import pytest
from torchvision.models import ResNet18_Weights

from explorables import pipelines
from explorables.element import Explorable, focused
from explorables.pipelines import STEPS

RECORD = json.loads(pipelines.RECORD.read_text("utf-8"))
PIPELINE = Explorable("pipeline", "data/transforms/", "The pipeline")
page, requests, explorable = PIPELINE.fixtures()
AGAIN = "run python tests/explorables/pipelines.py"

# Takes all steps away, adds those of an order, makes the moves, and returns what is there at last.
READ = """
(cases) => cases.map(([order, moves]) => {
    const root = document.querySelector("explore-pipeline");
    const press = (selector) => root.querySelector(selector).click();
    while (root.querySelector("[data-remove]")) press("[data-remove]");
    for (const step of order) press(`[data-add="${step}"]`);
    for (const [step, way] of moves) press(`[data-step="${step}"][data-move="${way}"]`);
    return {
        cards: [...root.querySelectorAll(".states li")].map((card) => ({
            name: card.querySelector("h3").textContent,
            kind: card.className,
            said: [...card.querySelectorAll("p, .facts > :not(img)")].map((part) => part.textContent),
            picture: card.querySelector("img")?.src.split(",")[1],
            width: card.querySelector("img")?.style.width,
        })),
        used: [...root.querySelectorAll("[data-add]")].map((add) => add.ariaDisabled === "true"),
        told: root.querySelector("output").textContent,
    };
})
"""


def ran(order: list[str]) -> list:
    """The photo, and what each step of an order makes of what the one before made; the last may be an error."""
    made = [pipelines.photo()]
    for step in order:
        if isinstance(made[-1], str):
            break
        made.append(pipelines.run(step, made[-1]))
    return made


def said(x, before) -> list[str]:
    """What is said of a state besides its numbers."""
    share = pipelines.outside(x)
    return (["unchanged"] if same(x, before) else []) + ([f"{share}% clamped"] if share else [])


def same(x, y) -> bool:
    return y is not None and pipelines.look(x) == pipelines.look(y) and pipelines.alike(x, y)


@cache
def goals() -> list:
    return [ran(order)[-1] for order in pipelines.RIGHT]


def is_right(x) -> bool:
    """Whether a state holds the photo, whole or cropped, as the weights of ResNet18 want it."""
    look = pipelines.look(x)[1:]
    return any(look == pipelines.look(goal)[1:] and np.allclose(x, goal, atol=1e-4) for goal in goals())


@cache
def unpacked(picture: str) -> np.ndarray:
    return pipelines.unpacked(picture)


def shows(picture: str, x) -> bool:
    """Whether a picture looks like the values of a state."""
    seen, shown = pipelines.pixels(x), unpacked(picture)
    seen = np.broadcast_to(seen, (*seen.shape[:2], 3))
    return seen.shape == shown.shape and pipelines.is_near(seen, shown)


def differences(card: dict, x, before) -> list[str]:
    """What a card shows that torchvision has not made."""
    look, (low, high, mean) = pipelines.look(x), pipelines.numbers(x)
    kind, shape, dtype, between, average, *marks = card["said"]
    found = [] if [kind, shape, dtype] == look else [f"{look}, shown {kind} {shape} {dtype}"]
    shown = [*map(float, between.split(" to ")), float(average.removeprefix("mean "))]
    if shown != pytest.approx([low, high, mean], rel=2e-3, abs=1e-5):
        found.append(f"{low} to {high}, mean {mean}, shown {shown}")
    if marks != said(x, before):
        found.append(f"{said(x, before)}, shown {marks}")
    if not shows(card["picture"], x):
        found.append("another picture")
    if float(card["width"].rstrip("%")) != 100 * pipelines.pixels(x).shape[1] / 32:
        found.append(f"a picture {card['width']} wide")
    return found


def test_the_record_is_what_torchvision_makes_of_every_order():
    graph = pipelines.ask()
    assert len(graph.after) == 533
    assert sum(math.perm(len(STEPS), n) for n in range(len(STEPS) + 1)) == 109_601
    assert [[name, code] for name, (code, _) in STEPS.items()] == RECORD["steps"]
    assert len(RECORD["states"]) == len(graph.states), AGAIN
    assert RECORD["right"] == pipelines.right(graph), AGAIN
    for n, (state, line) in enumerate(zip(graph.states, RECORD["states"], strict=True)):
        look, *numbers, outside, picture, after = line
        assert RECORD["looks"][look] == pipelines.look(state), AGAIN
        assert numbers == pytest.approx(pipelines.numbers(state), rel=2e-3, abs=1e-5), AGAIN
        assert outside == pytest.approx(pipelines.outside(state), abs=1), AGAIN
        assert shows(RECORD["pictures"][picture], state), AGAIN
        goals = [RECORD["errors"][-1 - goal] if goal is not None and goal < 0 else goal for goal in after]
        assert goals == [graph.after.get((n, step)) for step in STEPS], AGAIN


def test_the_means_are_those_of_the_weights():
    preset = ResNet18_Weights.DEFAULT.transforms()
    assert (preset.mean, preset.std) == (pipelines.MEANS, pipelines.DEVIATIONS)


def test_random_orders_show_what_torchvision_does(page):
    chooser = random.Random(2017)
    names = list(STEPS)
    orders = [chooser.sample(names, chooser.randint(0, len(names))) for _ in range(100)]
    orders += [[*order] for order in pipelines.RIGHT]
    shown = page.evaluate(READ, [[[names.index(step) for step in order], []] for order in orders])
    raised = right = 0
    for order, seen in zip(orders, shown, strict=True):
        made = ran(order)
        first, *cards = seen["cards"]
        assert not differences(first, made[0], None)
        assert [card["name"] for card in cards] == [f"{n} {STEPS[step][0]}" for n, step in enumerate(order, 1)]
        assert seen["used"] == [name in order for name in names]
        for n, card in enumerate(cards, 1):
            if n >= len(made):
                assert (card["said"], card["kind"]) == (["does not run"], "idle"), order
            elif isinstance(made[n], str):
                assert (card["said"], card["kind"]) == ([made[n]], "failed"), order
            else:
                assert not differences(card, made[n], made[n - 1]), order
        if isinstance(made[-1], str):
            assert seen["told"] == f"Step {len(made) - 1} raises. {made[-1]}", order
            raised += 1
        else:
            assert seen["told"].startswith("Right" if is_right(made[-1]) else "Nothing is raised"), order
            right += is_right(made[-1])
            _, shape, dtype, between, mean, *_ = seen["cards"][-1]["said"]
            assert f": {dtype} {shape}, {between}, {mean}. " in seen["told"]
    assert 30 <= raised <= 80
    assert right >= 3


def test_steps_move_past_each_other(page):
    chooser = random.Random(2018)
    cases, expected = [], []
    for _ in range(50):
        order = chooser.sample(range(len(STEPS)), chooser.randint(2, len(STEPS)))
        moves, now = [], list(order)
        for _ in range(5):
            at, way = chooser.randrange(len(now)), chooser.choice([-1, 1])
            moves.append([now[at], way])
            if 0 <= at + way < len(now):
                now[at], now[at + way] = now[at + way], now[at]
        cases.append([order, moves])
        expected.append([f"{n} {RECORD['steps'][step][1]}" for n, step in enumerate(now, 1)])
    assert [[card["name"] for card in seen["cards"][1:]] for seen in page.evaluate(READ, cases)] == expected


def test_every_pipeline_shows_what_its_name_says(page):
    told, last = {}, {}
    for button in page.get_by_role("group", name="Pipelines").get_by_role("button").all():
        button.click()
        assert page.locator("explore-pipeline [aria-pressed=true]").all_inner_texts() == [button.inner_text()]
        told[button.inner_text()] = page.locator("explore-pipeline output").inner_text()
        last[button.inner_text()] = page.locator(".states li").last.inner_text()
    assert told.pop("in the right order").startswith("Right for ResNet18: float32 (3, 24, 24), -2.0")
    assert told.pop("normalized too early").startswith("Step 3 raises. TypeError: Input tensor should be a float")
    assert "does not run" in last["normalized too early"]
    assert set(told) == {"without scale=True", "scaled twice", "grey, three means"}
    assert all(
        "Nothing is raised" in words and "ResNet18 expects float32 (3, 24, 32), -2.0" in words
        for words in told.values()
    )
    assert "to 1111" in last["without scale=True"]
    assert "100% clamped" in last["without scale=True"]
    assert "to -1.7" in last["scaled twice"]
    assert "(3, 24, 32)" in last["grey, three means"]


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    page = explorable()
    assert "[to_float, to_image]" in page.locator("explore-pipeline .language-python").inner_text()
    heads = page.locator(".states h3").all_inner_texts()
    assert heads == ["The photo", f"1 {STEPS['to_float'][0]}", f"2 {STEPS['to_image'][0]}"]
    assert page.locator(".states mark").all_inner_texts() == ["unchanged"]


def test_without_scripts_the_worked_example_is_there(visit):
    assert "uint8 0.00 to 255.00" in PIPELINE.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/pipeline.js" in before
    for name in ("pipeline-widget.js", "pipeline-states.json", "explorables.css", "pipeline.css"):
        assert name not in before
        assert name in after


def test_a_keyboard_moves_steps_and_takes_them_away(page):
    page.get_by_role("button", name="normalized too early").click()
    heads = page.locator(".states h3")
    move = f"Move left: {STEPS['to_float'][0]}"
    page.get_by_role("button", name=move).focus()
    page.keyboard.press("Enter")
    assert focused(page) == move
    assert page.locator("explore-pipeline output").inner_text().startswith("Right for ResNet18")
    for _ in range(3):
        page.keyboard.press("Enter")
    assert focused(page) == move
    assert heads.nth(1).inner_text() == f"1 {STEPS['to_float'][0]}"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert focused(page) == f"Remove: {STEPS['crop'][0]}"
    page.get_by_role("button", name=f"Remove: {STEPS['to_image'][0]}").focus()
    for goal in (f"Remove: {STEPS['normalize'][0]}", f"Remove: {STEPS['crop'][0]}"):
        page.keyboard.press("Enter")
        assert focused(page) == goal
    page.keyboard.press("Enter")
    assert heads.all_inner_texts() == ["The photo"]
    assert focused(page) == STEPS["crop"][0]
    page.keyboard.press("Enter")
    assert heads.all_inner_texts() == ["The photo", f"1 {STEPS['crop'][0]}"]
    assert page.locator("explore-pipeline output").get_attribute("aria-live") == "polite"


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for name in ("normalized too early", "without scale=True"):
        page.get_by_role("button", name=name).click()
        assert not PIPELINE.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    for name in ("normalized too early", "without scale=True"):
        page.get_by_role("button", name=name).click()
        assert not PIPELINE.scrolls_sideways(page, ".states li")
        assert PIPELINE.smallest(page, "button") >= 24


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    page.get_by_role("button", name="scaled twice").click()
    PIPELINE.take_out_and_put_back(page, ".states")
    assert page.locator("explore-pipeline form").count() == 1
    assert page.locator(".states li").count() == 5
    page.get_by_role("button", name="grey, three means").click()
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    PIPELINE.walk_away_and_back(page, "Views")
    page.get_by_role("button", name="scaled twice").click()
    assert page.locator(".states li").count() == 5
    assert page.locator(".states img").first.evaluate("img => getComputedStyle(img).imageRendering") == "pixelated"
