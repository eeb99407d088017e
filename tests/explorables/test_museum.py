"""The museum explorable shows the recorded runs, says at once whether a line is broken, and everyone can use it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from explorables.element import Explorable, focused

RECORD = json.loads((Path(__file__).parents[2] / "docs" / "explorables" / "museum-runs.json").read_text("utf-8"))
BUGS = {name: bug for name, bug in RECORD["bugs"].items() if name != "healthy"}
HEALTHY = RECORD["bugs"]["healthy"]["runs"]
MUSEUM = Explorable("museum", "autograd/museum/", "Exhibit 1")
page, requests, explorable = MUSEUM.fixtures()
SHOWN = [n for n, line in enumerate(RECORD["loop"]) if not line.strip().startswith('"""')]

# Opens every exhibit and returns what is drawn and said of it.
READ = """
() => [...document.querySelectorAll("explore-museum fieldset [data-exhibit]")].map((button) => {
    button.click();
    const root = document.querySelector("explore-museum");
    return [...root.querySelectorAll(".curves svg")].map((svg) => ({
        label: svg.getAttribute("aria-label"),
        lines: [...svg.querySelectorAll("path.healthy, path.shown")].map((path) => [
            path.getAttribute("class"),
            path.getAttribute("d").slice(1).split("L").map((point) => point.split(" ").map(Number)),
        ]),
        ticks: [...svg.querySelectorAll("path.tick")].map((path) => parseFloat(path.getAttribute("d").slice(3))),
        names: [...svg.querySelectorAll("path.tick + text")].map((text) => text.textContent),
    }));
})
"""

# Presses every line of every exhibit that is not broken, then those that are, and returns what is said.
ANSWER = """
() => [...document.querySelectorAll("explore-museum fieldset [data-exhibit]")].map((button) => {
    const root = document.querySelector("explore-museum");
    button.click();
    const numbers = [...root.querySelectorAll("[data-line]")].map((line) => Number(line.dataset.line));
    return numbers.map((number) => {
        root.querySelector(`[data-line="${number}"]`)?.click();
        const told = root.querySelector("output p")?.textContent ?? "";
        return [number, told];
    });
})
"""


def curve(name: str, seed: int, kind: str) -> list[float]:
    found = RECORD["bugs"][name]["runs"][seed][kind]
    return HEALTHY[seed][kind] if found is None else found


def exhibit(page, name: str) -> None:
    page.locator("explore-museum fieldset").first.get_by_role("button").nth(list(BUGS).index(name)).click()


def line(page, name: str):
    """The button of the first broken line."""
    return page.locator(f"explore-museum [data-line='{next(iter(BUGS[name]['changes']))}']")


def start_again(page) -> None:
    page.reload()
    page.locator("explore-museum").scroll_into_view_if_needed()
    page.get_by_label("Exhibit 1", exact=True).wait_for()


def number(text: str) -> float:
    return float(text.replace(" %", ""))


def test_every_curve_lies_where_its_numbers_are(page):
    """Points are measured against the ticks beside them, at least two of which every chart has."""
    count = 0
    for name, charts in zip(BUGS, page.evaluate(READ), strict=True):
        for kind, chart in zip(("loss", "right"), charts, strict=True):
            expected = [
                (f"{look} {part}", curve(bug, seed, f"{part}_{kind}"))
                for look, bug in (("healthy", "healthy"), ("shown", name))
                for seed in range(3)
                for part in ("train", "test")
            ]
            scale = math.log10 if kind == "loss" else lambda share: 100 * share
            marks = [math.log10(number(t)) if kind == "loss" else number(t) for t in chart["names"]]
            assert len(marks) >= 2, (name, kind)
            (low, at_low), (high, at_high) = ((marks[n], chart["ticks"][n]) for n in (0, -1))
            slope = (at_high - at_low) / (high - low)
            assert slope < 0
            assert [look for look, _ in chart["lines"]] == [look for look, _ in expected]
            for (_, points), (_, numbers) in zip(chart["lines"], expected, strict=True):
                assert [x for x, _ in points] == pytest.approx([300 * n / 9 for n in range(10)], abs=0.06)
                assert [y for _, y in points] == pytest.approx(
                    [at_low + slope * (scale(n) - low) for n in numbers], abs=0.2
                )
                assert all(0 <= y <= 170 for _, y in points)
                count += len(points)
    assert count == 10 * 2 * 12 * 10


def test_the_charts_are_described_by_their_numbers(page):
    exhibit(page, "batches not shuffled")
    losses, rights = (svg.get_attribute("aria-label") for svg in page.locator("explore-museum .curves svg").all())
    ends = sorted(curve("batches not shuffled", seed, "train_loss")[-1] for seed in range(3))
    assert "Training loss: " in losses
    assert f"{ends[0]:g} to {ends[-1]:g} in the last" in losses
    assert rights.startswith("Accuracy of exhibit 1. Right in training: ")


def test_every_line_is_answered_at_once(page):
    start_again(page)
    for name, said in zip(BUGS, page.evaluate(ANSWER), strict=True):
        broken = {int(n) for n in BUGS[name]["changes"]}
        first = min(broken)
        assert [n for n, _ in said] == SHOWN
        for n, told in said:
            if n < first:
                assert told.startswith("Not this line. "), (name, n)
                assert told.endswith("could look the same.") == (n in BUGS[name]["alike"])
            else:  # the answer stays
                assert told == f"Right: {name}. {BUGS[name]['tells']}", (name, n)
    score = page.locator("explore-museum .hint").nth(-2).inner_text()
    assert score.startswith("All ten solved, 0 found at once (✓), 0 clues")
    page.get_by_role("button", name="Start again").click()
    assert page.locator("explore-museum .hint").nth(-2).inner_text().startswith("0 of 10 solved")


def test_an_answer_shows_the_line_as_it_ran_and_counts(page):
    start_again(page)
    exhibit(page, "head replaced too late")
    line(page, "head replaced too late").click()
    assert page.locator(".listing del").all_inner_texts() == page.locator(".listing ins").all_inner_texts()[::-1]
    exhibit(page, "eval() forgotten")
    page.locator("[data-line]").first.click()
    line(page, "eval() forgotten").click()
    assert page.locator(".listing del").all_inner_texts() == ["model.eval()"]
    assert page.locator(".listing ins").count() == 0
    numbers = page.locator("explore-museum fieldset").first.get_by_role("button").all_inner_texts()
    assert (numbers[7], numbers[4], numbers[0]) == ("8 ✓", "5 ○", "1")
    assert "2 of 10 solved, 1 found at once" in page.locator("explore-museum .hint").nth(-2).inner_text()


def test_clues_come_one_after_the_other_and_say_what_was_recorded(page):
    start_again(page)
    exhibit(page, "zero_grad() before step()")
    for _ in range(4):
        page.locator("[data-clue]").click()
    told = page.locator("explore-museum ol li").all_inner_texts()
    bug = BUGS["zero_grad() before step()"]
    firsts = sorted(run["first"] for run in bug["runs"])
    assert f"costs {firsts[0]:g} to {firsts[-1]:g}. A guess among ten classes costs 2.3." in told[0]
    for each in (bug, RECORD["bugs"]["healthy"]):
        assert f"the loss is {each['batch'][0]:g}, and {100 * each['batch'][1]:g} % are right" in told[1]
    assert told[2].count(", ".join(bug["unmoved"])) == 2
    assert "returns the same scores" in told[3]
    assert page.locator("[data-clue]").is_disabled()
    page.get_by_role("button", name="Show the line").click()
    assert page.locator("explore-museum output p").inner_text().startswith("It is: zero_grad() before step()")
    assert "0 found at once (✓), 4 clues" in page.locator("explore-museum .hint").nth(-2).inner_text()


def test_it_starts_with_the_worked_example_and_says_where_it_was_recorded(explorable):
    page = explorable()
    pressed = page.locator("explore-museum fieldset [aria-pressed=true]")
    assert pressed.inner_text() == "2"
    assert ".softmax(dim=1)" in page.locator("explore-museum .language-python").inner_text()
    told = page.locator("explore-museum .hint").last.inner_text()
    for said in (RECORD["date"], RECORD["machine"]["processor"], RECORD["versions"]["torch"], "3 seeds"):
        assert said in told


def test_without_scripts_the_worked_example_is_there(visit):
    element = visit("autograd/museum/", javascript=False).page.locator("explore-museum")
    assert element.locator(".language-python").is_visible()
    assert element.locator("svg").first.is_visible()
    assert not element.locator("form").count()


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/museum.js" in before
    assert "museum-widget" not in before
    assert "museum-runs.json" in after


def test_a_keyboard_walks_the_loop_and_answers(page):
    start_again(page)
    exhibit(page, "softmax twice")
    page.locator("[data-line]").first.focus()
    page.keyboard.press("ArrowDown")
    assert focused(page) == "scores = model(x)"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    told = "Not this line. Broken here, a run could look the same."
    assert page.locator("explore-museum output p").inner_text() == told
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.locator("explore-museum output p").inner_text().startswith("Right: softmax twice.")
    assert focused(page) == "On to exhibit 3"


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    page.locator("[data-clue]").click()
    page.locator("[data-line]").first.click()
    assert not MUSEUM.findings(page)
    line(page, "softmax twice").click()
    assert not MUSEUM.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert not MUSEUM.scrolls_sideways(page, ".listing, .curves")
    assert MUSEUM.smallest(page, "button") >= 24
    line(page, "softmax twice").click()
    assert not MUSEUM.scrolls_sideways(page, ".listing, .curves")


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    start_again(page)
    line(page, "softmax twice").click()
    MUSEUM.take_out_and_put_back(page, ".listing")
    assert page.locator("explore-museum form").count() == 1
    assert page.locator("explore-museum output p").inner_text().startswith("Right: ")
    exhibit(page, "eval() forgotten")
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    MUSEUM.walk_away_and_back(page, "Views")
    exhibit(page, "eval() forgotten")
    assert "exhibit 5" in page.locator("explore-museum .curves h3").first.inner_text()
