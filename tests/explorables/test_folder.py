"""The folder explorable shows what ImageFolder makes of a tree, and everyone can use it."""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from explorables import trees
from explorables.element import Explorable, focused
from explorables.trees import Tree
from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "data" / "images.md"
URL = "data/images/"
LABEL = "Files, one path on each line"
FOLDER = Explorable("folder", URL, LABEL)
page, requests, explorable = FOLDER.fixtures()

# For each tree: types its lines, sets the switch, and returns what is seen.
READ = """
(cases) => cases.map(([lines, allowEmpty]) => {
    const root = document.querySelector("explore-folder form");
    const [text, box] = root.querySelectorAll("textarea, [type=checkbox]");
    [text.value, box.checked] = [lines.join("\\n"), allowEmpty];
    text.dispatchEvent(new Event("input", { bubbles: true }));
    const texts = (parent, selector) => [...parent.querySelectorAll(selector)].map((found) => found.textContent);
    const cell = (found) => found.children.length ? texts(found, "*") : [found.textContent];
    const [above, below] = root.querySelectorAll(".tree");
    return {
        said: root.querySelector("[role=status]").textContent,
        invalid: text.ariaInvalid === "true",
        rows: [...above.querySelectorAll("tbody tr")].map((row) => {
            const [index, ...cells] = row.cells;
            return [index.textContent, row.classList.contains("other"), ...cells.map(cell)];
        }),
        why: texts(above, "table ~ .hint, div ~ .hint").join(),
        parts: [...below.children].map((part) => ({
            failed: texts(part, ".failed").join(),
            samples: [...part.querySelectorAll("tbody tr")].map((row) => [...row.cells].flatMap(cell)),
            out: texts(part, "li"),
        })),
    };
})
"""
EDGES = (
    Tree([], False),
    Tree(["train/", "test/"], False),
    Tree(["train/", "test/"], True),
    Tree(["train/a/", "test/b/"], True),
    Tree([f"train/a/{n}{ending}" for n, ending in enumerate(IMG_EXTENSIONS)], False),
    Tree([f"train/a/{n}{ending.upper()}" for n, ending in enumerate(IMG_EXTENSIONS)], False),
    Tree([f"train/a/{n}{ending[1:]}" for n, ending in enumerate(IMG_EXTENSIONS)], True),
    Tree(["train/a/.jpg", "train/a.jpg/b", "test/.jpg/a", "test/b./jpg"], True),
    Tree(["train/\uff5e/1.jpg", "train/🐕/1.jpg", "test/🐕/1.jpg"], False),
    Tree(["train/a/\uff5e.jpg", "train/a/🐕.jpg", "train/a/🐕/1.jpg", "train/a/\uff5e/1.jpg"], False),
    Tree([f"train/c/{path}.jpg" for path in ("a/c/1", "a b/1", "a-b/1", "a0/1", "a/1", "a.b/1", "a/c b/1")], False),
    Tree([f"train/{n}/1.jpg" for n in range(20)] + [f"test/{n}/1.jpg" for n in range(20)], False),
    Tree(["train/01 b/1.jpg", "train/1 a/1.jpg", "test/1a/1.jpg", "test/1b/1.jpg", "test/01/1.jpg"], False),
    Tree([f"train/{n:053}/" for n in range(40)], True),
    Tree(["train/b/1.jpg", "train/a/", "train/c/", "test/b/1.jpg", "test/b/1.gif"], False),
)


def write(page, *lines: str, allow_empty: bool = False) -> None:
    page.get_by_label(LABEL).fill("\n".join(lines))
    page.get_by_label("allow_empty=True").set_checked(allow_empty)


def compare(page, cases: list[Tree], place: Path) -> list[dict]:
    """Hold what the page shows of trees against a real ImageFolder on real folders."""
    results = []
    typed = [[case.lines, case.allow_empty] for case in cases]
    for n, (case, seen) in enumerate(zip(cases, page.evaluate(READ, typed), strict=True)):
        (place / str(n)).mkdir()
        with contextlib.chdir(place / str(n)):
            case.write(Path())
            results.append(trees.shown(case))
        assert seen == {**results[-1], "invalid": False}, case
    return results


def test_random_trees_show_what_image_folder_makes_of_them(page, tmp_path):
    chooser = random.Random(1012)
    results = compare(page, [trees.random_tree(chooser) for _ in range(200)], tmp_path)

    parts = [part for result in results for part in result["parts"]]
    errors = Counter(" ".join(part["failed"].split()[1:3]) for part in parts)
    verdicts = Counter(result["said"].split()[0] for result in results)
    assert errors[""] >= 200
    assert min(errors[text] for text in ("Found no", "Couldn't find", "[Errno 2]")) >= 5
    assert min(verdicts[word] for word in ("ImageFolder", "Each", "1", "2")) >= 10
    assert sum(len(part["samples"]) for part in parts) >= 1000
    assert sum(len(part["out"]) for part in parts) >= 200
    assert sum(bool(result["why"]) for result in results) >= 50


def test_edge_cases_show_what_image_folder_makes_of_them(page, tmp_path):
    compare(page, list(EDGES), tmp_path)


def test_it_starts_with_the_worked_example_of_the_page(explorable):
    block = next(block for block in Page.read(PAGE).blocks if '"test/dog/2.jpg"' in block.source)
    page = explorable()
    lines = page.get_by_label(LABEL).input_value().splitlines()
    assert lines == re.findall(r'"(\w+/.*?)"', block.source)
    [seen] = page.evaluate(READ, [[lines, False]])
    for part, printed in enumerate(page.locator("explore-folder .language-text").inner_text().splitlines()):
        names = [(row[2 + part][0], int(row[0])) for row in seen["rows"] if row[2 + part] != ["none"]]
        assert printed == f"{trees.ROOTS[part]} {dict(names)}"


def test_without_scripts_the_worked_example_is_there(visit):
    assert "test {'dog': 0}" in FOLDER.example(visit)


def test_it_loads_when_a_reader_comes_near(requests):
    before, after = requests
    assert "/folder.js" in before
    assert "folder-widget" not in before
    assert "folder-widget" in after


REFUSED = {
    "cat/1.jpg": "Line 2: cat/1.jpg lies in neither train/ nor test/.",
    "train": "Line 2: train lies in neither train/ nor test/.",
    "Train/cat/1.jpg": "Line 2: Train/cat/1.jpg lies in neither train/ nor test/.",
    "/train/cat/1.jpg": "Line 2: /train/cat/1.jpg has a part without a name.",
    "train//1.jpg": "Line 2: train//1.jpg has a part without a name.",
    "train/cat//": "Line 2: train/cat// has a part without a name.",
    "/": "Line 2: / has a part without a name.",
    "train/../test/1.jpg": "Line 2: train/../test/1.jpg has the part .., which is no name.",
    "train/./1.jpg": "Line 2: train/./1.jpg has the part ., which is no name.",
    "\n\ntrain/dog": "Line 4: train/dog is a file, and in line 1 a folder.",
    "train/dog/1.jpg/2.jpg": "Line 2: train/dog/1.jpg is a folder, and in line 1 a file.",
    "train/dog/1.jpg/": "Line 2: train/dog/1.jpg is a folder, and in line 1 a file.",
    "train/<b>bold</b>/..": "Line 2: train/<b>bold</b>/.. has the part .., which is no name.",
    "train/" + 55 * "x": f"Line 2: train/{55 * 'x'} has more than 60 characters.",
    "\n" + 40 * "train/a/1.jpg\n": "Line 42: a tree has at most 40 paths.",
}


def test_a_line_that_cannot_be_read_is_named_and_the_last_picture_stays(page):
    [good] = page.evaluate(READ, [[["train/ant/1.jpg"], False]])
    seen = page.evaluate(READ, [[["train/dog/1.jpg", text], False] for text in REFUSED])
    for text, said, shown in zip(REFUSED, REFUSED.values(), seen, strict=True):
        assert shown == {**good, "said": said, "invalid": True}, text
    [again] = page.evaluate(READ, [[["train/ant/1.jpg"], False]])
    assert again == good


def test_a_tree_may_be_written_with_blanks_around_its_lines(page):
    plain = ["train/a b/1.jpg", "train/c/", "test/c/1.jpg"]
    loose = [
        "",
        "  train/a b/1.jpg\t",
        "train/c/ ",
        "   ",
        "test/c/1.jpg",
        "train/a b/1.jpg",
        "train/a b/",
        "train/",
        "",
    ]
    first, second = page.evaluate(READ, [[lines, True] for lines in (plain, loose)])
    assert first == second
    emoji = ["train/" + 54 * "🐕", 40 * "\n"]
    assert not page.evaluate(READ, [[emoji, True]])[0]["invalid"]


def test_every_example_shows_what_its_name_says(page):
    shown = {}
    for button in page.get_by_role("group", name="Examples").get_by_role("button").all():
        button.click()
        lines, box = page.get_by_label(LABEL).input_value(), page.get_by_label("allow_empty=True").is_checked()
        [seen] = page.evaluate(READ, [[lines.split("\n"), box]])
        labels = ["".join(sample[1] for sample in part["samples"]) or part["failed"][19:39] for part in seen["parts"]]
        out = [path for part in seen["parts"] for path in part["out"]]
        shown[button.inner_text()] = [seen["said"].partition(" another")[0], *labels, *out]
        if button.inner_text() == "10 before 2":
            assert seen["why"] == '10 comes before 2: ord("1") is 49, ord("2") is 50.'
        if button.inner_text() == "a capital":
            assert seen["why"] == 'Wasp comes before ant: ord("W") is 87, ord("a") is 97.'
    same = "Each index means the same class in train and in test."
    assert shown == {
        "a class is missing in test": ["2 indices mean", "012", "01"],
        "10 before 2": ["1 index means", "012", "01"],
        "a capital": ["3 indices mean", "012", "012"],
        "a hidden folder": ["2 indices mean", "012", "01"],
        "an empty class": ["ImageFolder raises an error for test.", "01", "Found no valid file "],
        "an empty class, allowed": [same, "01", "1"],
        "a file beside the folders": [same, "01", "01", "train/3.jpg (in no class folder)"],
        "nested folders": ["1 index means", "0001", "00"],
        "extensions": [
            *("ImageFolder raises an error for test.", "01", "Found no valid file "),
            *("train/cat/2.gif (extension)", "train/cat/3.jpg.txt (extension)"),
        ],
        "no class folder": ["ImageFolder raises an error for train and test.", *2 * ["Couldn't find any cl"]],
    }


def test_a_class_with_two_numbers_is_marked(page):
    write(page, "train/cat/1.jpg", "train/dog/1.jpg", "test/dog/2.jpg")
    row = page.locator("explore-folder tr.other")
    assert row.inner_text().split() == ["0", "cat", "dog", "another", "class"]
    assert page.get_by_role("row", name="test/dog/2.jpg").inner_text().split() == [
        *("test/dog/2.jpg", "0", "cat", "in", "train")
    ]
    write(page, "train/cat/1.jpg", "train/dog/1.jpg", "test/dog/2.jpg", "test/cat/", allow_empty=True)
    assert not row.count()
    assert page.locator("explore-folder").get_by_role("status").inner_text().startswith("Each index means the same")


def test_a_keyboard_reaches_everything(page):
    write(page, "train/cat/1.jpg", "test/cat/")
    page.get_by_label(LABEL).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.get_by_label("allow_empty=True").is_checked()
    assert "Each index" in page.locator("explore-folder").get_by_role("status").inner_text()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "no class folder"
    page.keyboard.press("Enter")
    assert page.locator("explore-folder .failed").first.inner_text().startswith("FileNotFoundError: Couldn't find")


CASES = (
    ("train/cat/1.jpg", "train/dog/1.gif", "train/dog/2.png", "train/a.jpg", "test/dog/1.jpg", "test/.a/1.jpg"),
    ("train/cat/1.jpg", "test/cat/"),
    ("train/cat/1.jpg", "cat"),
    ("train/" + 54 * "W", f"train/{20 * 'W'}/{27 * 'W'}.jpg", f"test/{50 * 'W'}/", "test/a/1.jpg"),
)


def test_axe_finds_nothing(explorable):
    page = explorable("dark")
    for case in CASES[:3]:
        write(page, *case)
        assert not FOLDER.findings(page), case


def test_a_telephone_does_not_scroll_sideways_and_everything_to_press_is_large_enough(explorable):
    page = explorable(width=390)
    for case in CASES:
        write(page, *case, allow_empty=True)
        assert not FOLDER.scrolls_sideways(page, ":is(form, .tree, .tree div)"), case
    assert FOLDER.smallest(page, ":is(button, textarea, label:has([type=checkbox]))") >= 24


def test_an_element_that_leaves_and_comes_back_works_as_before(page):
    write(page, "train/cat/1.jpg")
    FOLDER.take_out_and_put_back(page, "[role=status] + div")
    assert page.locator("explore-folder form").count() == 1
    assert page.get_by_label(LABEL).input_value() == "train/cat/1.jpg"
    write(page, "train/dog/1.jpg")
    assert page.locator("explore-folder tbody code").first.inner_text() == "dog"
    assert page.evaluate("drawn") == 1


def test_it_is_there_again_after_a_walk_through_the_book(page):
    FOLDER.walk_away_and_back(page, "Views")
    write(page, "train/ant/1.jpg")
    assert page.locator("explore-folder tbody code").first.inner_text() == "ant"
