"""The timeline explorable shows what a `DataLoader` loads and hands out, and everyone can use it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import torch

from explorables.element import Explorable, focused, read
from explorables.loaders import DATASETS, Outcome, Settings, is_set, random_settings, refusal, run, share
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "data" / "loaders.md"
URL = "data/loaders/"
TIMELINE = Explorable("timeline", URL, "Batch size")
page, requests, explorable = TIMELINE.fixtures()

# For each case: fills in the fields, and returns what is said, the program, and the lanes of both epochs.
READ = """
(cases) => cases.map((values) => {
    const root = document.querySelector("explore-timeline");
    const controls = ["Items", "Batch size", "Dataset", "Workers", "drop_last", "shuffle", "Seed", "Epoch"].map(
        (name) => [...root.querySelectorAll("label")].find((label) => label.textContent.startsWith(name)).control,
    );
    for (const [n, value] of values.entries()) controls[n][typeof value === "boolean" ? "checked" : "value"] = value;
    const epochs = ["0", "1"].map((epoch) => {
        controls[7].value = epoch;
        controls[7].dispatchEvent(new Event("input", { bubbles: true }));
        return [...root.querySelectorAll("dt")].map((name) => {
            const batches = [...name.nextSibling.querySelectorAll("li")].map((batch) => ({
                name: batch.querySelector("small").textContent,
                items: [...batch.querySelectorAll("span")].map(({ textContent }) => Number(textContent)),
                again: [...batch.querySelectorAll(".again")].map(({ textContent }) => Number(textContent)),
                tint: batch.firstChild.style.getPropertyValue("--tint"),
                label: batch.firstChild.ariaLabel,
                dropped: batch.classList.contains("dropped"),
            }));
            return [name.textContent, batches];
        });
    });
    const [said, program] = ["[role=status]", ".paste"].map((part) => root.querySelector(part).textContent);
    return { said, program, epochs };
})
"""


def account(settings: Settings, outcome: Outcome) -> str:
    """What is said below the picture, made from what a loader did."""
    batches = outcome.epochs[0]
    out = Counter(item for items, _ in batches for item in items)
    again, lost = out.total() - len(out), settings.n - len(out)
    items = f"{settings.n} item{'s' * (settings.n != 1)}"
    if again or lost:
        parts = [f"{again} duplicate{'s' * (again != 1)}"] * bool(again) + [f"{lost} lost"] * bool(lost)
        verb = "come" if out.total() > 1 else "comes"
        told = [f"{items}, and {out.total() or 'none'} {verb} out: {', '.join(parts)}."]
    else:
        told = [f"{items}, and each comes out once."]
    if again:
        told.append("Each worker goes through the whole dataset.")
    handed = sum(len(items) for epoch in outcome.epochs for items, _ in epoch)
    if lost and outcome.loads.total() == handed:
        told.append("What is lost is not loaded at all.")
    elif lost:
        each = settings.workers > 1
        who = "each worker drops a last batch of its own" if each else "the last batch is not full"
        told.append(f"What is lost was loaded and thrown away: {who}.")
    one, many = ("item", "items") if settings.batch_size is None else ("batch", "batches")
    come = f"{len(batches)} {one if len(batches) == 1 else many} {'comes' if len(batches) == 1 else 'come'}"
    told.append(f"len(loader) is {outcome.length}, {'and' if outcome.length == len(batches) else 'but'} {come}.")
    if outcome.warned:
        told.append("That is more than there are items, so torch warns.")
    elif outcome.length != len(batches):
        told.append("torch does not warn.")
    return " ".join(told)


def lanes(settings: Settings, batches: list[tuple[list[int], str]]) -> dict:
    """The lanes of an epoch, as they have to be after what a loader handed out."""
    main, seen = [], set()
    for n, (items, who) in enumerate(batches):
        again = [item for item in items if item in seen]
        seen.update(items)
        main.append((str(n), items, again, who, f"batch {n}: {', '.join(map(str, items))}"))
    names = [f"worker {n}" for n in range(settings.workers)]
    expected = {name: [(n, items, [], *rest) for n, items, _, *rest in main if rest[0] == name] for name in names}
    expected["main"] = main
    lost = [item for item in range(settings.n) if item not in seen]
    if lost:
        expected["lost"] = [("", lost, [], None, f": {', '.join(map(str, lost))}")]
    return expected


def disagreements(settings: Settings, seen: dict) -> tuple[list[str], Outcome | str]:
    """Where the page shows something else than a loader does."""
    if refused := refusal(settings):
        return [f"{settings}: {refused}, shown {seen['said']}"] * (seen["said"] != refused), refused
    outcome = run(seen["program"], settings)
    found = [] if is_set(outcome.loader, settings) else [f"{settings}: {seen['program']}"]
    if seen["said"] != (words := account(settings, outcome)):
        found.append(f"{settings}: {words} Shown: {seen['said']}")

    loads: Counter = Counter()
    tints = {who: f"{6 + 13 * max(n, 0)}%" for n, who in enumerate(["main", *map("worker {}".format, range(4))], -1)}
    for batches, shown in zip(outcome.epochs, seen["epochs"], strict=False):
        expected = lanes(settings, batches)
        own = "main" if not settings.workers else "worker"
        for name, all_boxes in shown:
            boxes = [box for box in all_boxes if not box["dropped"] or name == "lost"]
            if name.startswith(own):
                loads.update((name, item) for box in all_boxes for item in box["items"])
            drawn = [(box["name"], box["items"], box["again"], box["tint"], box["label"]) for box in boxes]
            known = [(n, items, again, tints.get(who, ""), *rest) for n, items, again, who, *rest in expected[name]]
            if drawn != known:
                found.append(f"{settings}, {name}: {known}, shown {drawn}")
            if any(box["dropped"] and box["name"] not in ("dropped", "") for box in all_boxes):
                found.append(f"{settings}, {name}: {all_boxes}")
        if [name for name, _ in shown] != list(expected):
            found.append(f"{settings}: {list(expected)}, shown {[name for name, _ in shown]}")
    if loads != outcome.loads:
        found.append(f"{settings}: loaded {outcome.loads}, shown {loads}")
    if settings.dataset != "map":
        for worker in range(max(settings.workers, 1)):
            who = f"worker {worker}" if settings.workers else "main"
            assert [item for name, item in outcome.loads if name == who] == sorted(share(settings, worker))
    return found, outcome


def compare(page, cases: list[Settings]) -> list[Outcome | str]:
    """Hold what the page shows of settings against a real loader, and return what that does."""
    seen = read(page, READ, [case.typed() for case in cases])
    pairs = [disagreements(*pair) for pair in zip(cases, seen, strict=True)]
    found = [each for some, _ in pairs for each in some]
    assert not found, f"{len(found)}\n" + "\n".join(found[:8])
    return [outcome for _, outcome in pairs]


def test_random_settings_show_what_a_loader_does(page):
    chooser = random.Random(2016)
    cases = [random_settings(chooser) for _ in range(300)]
    outcomes = compare(page, cases)

    ran = [(case, outcome) for case, outcome in zip(cases, outcomes, strict=True) if isinstance(outcome, Outcome)]
    assert {str(outcome).split()[1] for outcome in outcomes if isinstance(outcome, str)} == {
        "DataLoader",
        "batch_size=None",
        "batch_size",
    }
    assert len(ran) >= 250
    assert {case.workers for case, _ in ran} == set(range(5))
    assert sum(case.workers > 0 for case, _ in ran) >= 80
    assert min(Counter((case.dataset, case.drop_last) for case, _ in ran).values()) >= 10
    assert sum(case.shuffle and case.workers > 0 for case, _ in ran) >= 12
    assert sum(case.shuffle for case, _ in ran) >= 50
    assert sum(case.batch_size is None for case, _ in ran) >= 10
    assert sum(outcome.warned for _, outcome in ran) >= 3
    assert sum(outcome.length != len(outcome.epochs[0]) for _, outcome in ran) >= 10
    assert sum(not outcome.epochs[0] for _, outcome in ran) >= 5


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_edge_case_shows_what_a_loader_does(page, dataset):
    cases = [Settings(1, 16, dataset, 2), Settings(9, 2, dataset, 4), Settings(40, None, dataset)]
    compare(page, [*cases, Settings(16, 16, dataset, 0, True), Settings(15, 16, dataset, 1, True)])


# The numbers that a generator draws first for each of some seeds, and an order that follows.
DRAW = """
async (seeds) => {
    const { MersenneTwister } = await import(new URL("../../explorables/mt19937.js", document.baseURI));
    return seeds.map((seed) => {
        const generator = new MersenneTwister(seed);
        return Array.from({ length: 1300 }, () => generator.random());
    });
}
"""


def test_a_generator_draws_the_bits_of_torch(page):
    chooser = random.Random(19937)
    seeds = [0, 1, 2**31, 2**32 - 1, *[chooser.randrange(2**32) for _ in range(20)]]
    for seed, drawn in zip(seeds, page.evaluate(DRAW, seeds), strict=True):
        generator = torch.Generator().manual_seed(seed)
        # All 32 bits of a draw are the last ones of a number of 64 bits, which takes two.
        pairs = torch.empty(650, dtype=torch.int64).random_(-(2**63), None, generator=generator)
        assert [n for pair in pairs.tolist() for n in (pair >> 32 & 0xFFFFFFFF, pair & 0xFFFFFFFF)] == drawn


def write(page, label: str, value: str) -> None:
    page.locator("explore-timeline").get_by_label(label, exact=True).fill(value)


def said(page) -> str:
    return page.locator("explore-timeline [role=status]").inner_text()


def example(page, name: str) -> str:
    page.locator("explore-timeline").get_by_role("button", name=name, exact=True).click()
    return said(page)


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    source = next(block.source for block in Page.read(PAGE).blocks if "for workers in (0, 2)" in block.source)
    assert "DataLoader(range(12)" in source
    assert "batch_size=4" in source
    page = explorable()
    values = page.locator("explore-timeline :is([type=text], select)").evaluate_all(
        "all => all.map((one) => one.value)"
    )
    assert values == ["12", "4", "map", "2", "0", "0"]
    shown = page.locator("explore-timeline .language-text").inner_text().splitlines()[1]
    main = page.locator(".lanes dd").last.locator("[role=img]").evaluate_all("all => all.map((one) => one.ariaLabel)")
    length, batches = shown.split(" ", 1)
    assert [label.split(": ")[1] for label in main] == [str(batch)[1:-1] for batch in eval(batches)]
    assert f"len(loader) is {length}, and {len(main)} batches come." in said(page)


def test_without_scripts_the_worked_example_is_there(visit):
    assert TIMELINE.example(visit).count("3 [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]") == 2


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/timeline.js" in before
    assert "timeline-widget" not in before
    assert "mt19937" not in before
    assert "timeline-widget" in after


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("Items", "many", "Not understood: many. A whole number stands here, such as 40."),
        ("Items", "", "Not understood: A whole number"),
        ("Items", "2.5", "Not understood: 2.5. "),
        ("Items", "<b>1</b>", "Not understood: <b>1</b>. "),
        ("Items", "0", "Not drawn: 0. Items here go from 1 to 40."),
        ("Items", "41", "Not drawn: 41. Items"),
        ("Batch size", "none", "Not understood: none. A whole number stands here, such as 16."),
        ("Batch size", "17", "Not drawn: 17. Batch sizes here go up to 16."),
        ("Batch size", "0", "ValueError: batch_size should be a positive integer value, but got batch_size=0"),
        ("Seed", "-1", "Not drawn: -1. Seeds here go from 0 to 4294967295: a generator on the CPU keeps 32 bits."),
        ("Seed", "4294967296", "Not drawn: 4294967296. "),
    ],
)
def test_what_cannot_be_used_is_named_and_the_last_picture_stays(page, label, value, message):
    before = example(page, "shuffled")
    lanes, program = page.locator(".lanes"), page.locator("explore-timeline .paste")
    drawn, code = lanes.inner_html(), program.inner_text()
    right = page.locator("explore-timeline").get_by_label(label, exact=True).input_value()
    write(page, label, value)
    assert said(page).startswith(message)
    assert page.locator("explore-timeline .failed").count() == 1
    refused = page.locator("explore-timeline [aria-invalid=true]")
    assert refused.count() == (0 if message.startswith("ValueError") else 1)
    assert (lanes.inner_html(), program.inner_text()) == (drawn, code)
    write(page, label, right)
    assert said(page) == before
    assert not page.locator("explore-timeline :is(.failed, [aria-invalid=true])").count()


def test_a_seed_beyond_32_bits_is_another_seed():
    def order(seed):
        return torch.randperm(40, generator=torch.Generator().manual_seed(seed)).tolist()

    assert order(2**32 + 7) == order(7)


def test_every_example_shows_what_its_name_says(page):
    buttons = page.locator("explore-timeline [data-example]").all_inner_texts()
    shown = {name: example(page, name) for name in buttons}
    once = "12 items, and each comes out once. len(loader) is 3, and 3 batches come."
    assert shown.pop("two workers") == once
    assert shown.pop("every item twice").startswith("16 items, and 32 come out: 16 duplicates. Each worker goes")
    assert shown.pop("every item once") == "16 items, and each comes out once. len(loader) is 4, and 4 batches come."
    assert shown.pop("the last batch dropped").startswith(
        "14 items, and 12 come out: 2 lost. What is lost is not loaded"
    )
    assert shown.pop("a last batch for each worker").endswith(
        "len(loader) is 4, but 5 batches come. torch does not warn."
    )
    assert "12 come out: 2 lost. What is lost was loaded and thrown away" in shown.pop("and each is dropped")
    assert shown.pop("nothing comes out").startswith("20 items, and none comes out: 20 lost.")
    assert shown.pop("a worker without work").endswith("len(loader) is 5, but 6 batches come. torch does not warn.")
    assert shown.pop("shuffled") == once
    assert shown.pop("no batches") == "6 items, and each comes out once. len(loader) is 6, and 6 items come."
    assert not shown

    example(page, "a worker without work")
    assert page.locator(".lanes dd").nth(3).inner_text() == "nothing"


def test_batches_of_one_turn_stand_below_each_other(page):
    example(page, "two workers")
    write(page, "Items", "16")
    places = [
        [batch.bounding_box() for batch in lane.locator("li").all()] for lane in page.locator(".lanes dd").all()[:2]
    ]
    for first, second in zip(*places, strict=True):
        assert first["x"] == second["x"]
        assert first["y"] < second["y"]
    assert len({box["y"] for box in places[0]}) == 1


def test_an_epoch_and_a_seed_can_be_set_where_they_count(page):
    example(page, "two workers")
    fields = [page.get_by_role("textbox", name="Seed"), page.get_by_role("combobox", name="Epoch")]
    assert all(field.is_disabled() for field in fields)
    write_invalid = "document.querySelectorAll('explore-timeline [type=text]')[2].value = 'x'"
    page.evaluate(write_invalid)
    write(page, "Items", "13")
    assert said(page).startswith("13 items"), "a seed that does not count is not read"
    page.get_by_label("shuffle=True").check()
    assert said(page).startswith("Not understood: x.")
    write(page, "Seed", "3")
    assert not any(field.is_disabled() for field in fields)
    first = page.locator(".lanes").inner_text()
    fields[1].select_option("2")
    assert page.locator(".lanes").inner_text() != first
    page.get_by_label("shuffle=True").uncheck()
    assert "shuffle" not in page.locator("explore-timeline .paste").inner_text()


def test_a_keyboard_reaches_everything(page):
    example(page, "shuffled")
    page.get_by_label("Items", exact=True).first.focus()
    reached = [focused(page)]
    for _ in range(17):
        page.keyboard.press("Tab")
        reached.append(focused(page))
    assert reached[:8] == [
        "Items",
        "Batch size",
        "Dataset",
        "Workers",
        "drop_last=True",
        "shuffle=True",
        "Seed",
        "Epoch",
    ]
    assert reached[8:] == page.locator("explore-timeline [data-example]").all_inner_texts()
    page.keyboard.press("Enter")
    assert said(page).endswith("6 items come.")


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for name in ("nothing comes out", "every item twice"):
        example(page, name)
        page.get_by_label("Workers").select_option("4")
        assert not TIMELINE.findings(page), name
    write(page, "Batch size", "x")
    assert not TIMELINE.findings(page)


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    assert TIMELINE.smallest(page, ":is(button, select, [type=text], .ticks label)") >= 24
    for name in ("every item twice", "and each is dropped", "nothing comes out"):
        example(page, name)
        assert not TIMELINE.scrolls_sideways(page, ":is(form, .lanes, dd, ol, .paste)"), name
    write(page, "Items", "40")
    write(page, "Batch size", "16")
    assert not TIMELINE.scrolls_sideways(page, ":is(form, .lanes, dd, ol, .paste)")


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    write(page, "Items", "20")
    TIMELINE.take_out_and_put_back(page, "[role=status]")
    assert page.locator("explore-timeline form").count() == 1
    assert page.get_by_label("Items", exact=True).first.input_value() == "20"
    write(page, "Items", "21")
    assert said(page).startswith("21 items")
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    TIMELINE.walk_away_and_back(page, "Views")
    write(page, "Items", "21")
    assert said(page).startswith("21 items")
