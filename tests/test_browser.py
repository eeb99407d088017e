"""Every page of the site in a real browser, light and dark: nothing fails, nothing leaves the site, all can read it."""

import json
import os
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from browser import PAGE_BUDGET, PROGRAM_BUDGET, Server, Visit, axe_findings

from tensorproof import standalone
from tensorproof.page import Page

ROOT = Path(__file__).parent.parent


def url_of(file: Path) -> str:
    """The address of the page that the site makes of a chapter or a program."""
    place = file.relative_to(ROOT / "docs" if file.suffix == ".md" else ROOT).with_suffix("")
    return "".join(f"{part}/" for part in place.parts if part != "index")


CHAPTERS = [url_of(file) for file in sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = [url_of(file) for file in sorted((ROOT / "snippets").rglob("*.py"))]
PAGES = [*CHAPTERS, *PROGRAMS, "404.html"]


def open_answers(visited: Visit) -> None:
    visited.page.eval_on_selector_all("details", "all => all.forEach(details => { details.open = true })")


def findings(visited: Visit) -> list[str]:
    """What axe finds on a page, in its collapsed answers as well."""
    open_answers(visited)
    return axe_findings(visited.page)


@pytest.fixture(scope="module", params=PAGES, ids=lambda url: url or "home")
def first(request, chromium, server, built_site):
    """A first visit by phone of each page. The tests that follow go on with it, one after the other."""
    with chromium.new_context(
        viewport={"width": 390, "height": 900}, color_scheme="light", permissions=["clipboard-read"]
    ) as context:
        visited = Visit(context.new_page(), server).go(request.param)
        yield request.param, visited.until_asked_for("/search/search_index.json")  # the last of all


def test_a_first_visit_by_phone_transfers_little_and_scrolls_one_way(first):
    url, visited = first
    budget = PROGRAM_BUDGET if url in PROGRAMS else PAGE_BUDGET
    assert visited.transferred <= budget, sorted(visited.server.sent, key=lambda sent: -sent[1])
    open_answers(visited)
    assert visited.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_page_works_and_everyone_can_read_it(first):
    _, visited = first
    visited.page.set_viewport_size({"width": 1280, "height": 900})
    assert findings(visited) == []
    # A real click would leave the mouse there, and axe would see half a tooltip.
    visited.page.get_by_title("Switch to dark mode").dispatch_event("click")
    visited.page.wait_for_selector("[data-md-color-scheme=slate]")
    assert findings(visited) == []
    assert visited.complaints == []


CHAPTERS_WITH_CODE = {
    url_of(file): page for file in (ROOT / "docs").rglob("*.md") if len((page := Page.read(file)).blocks) > 1
}


COPY_EACH = """
async () => {
    const copied = [];
    for (const code of document.querySelectorAll(".language-python.highlight"))
        for (const button of code.querySelectorAll("button[title='Copy with what it needs from above']")) {
            button.click();
            copied.push([code.querySelector("code").innerText, await navigator.clipboard.readText()]);
        }
    return copied;
}
"""


def test_the_second_copy_button_copies_a_block_with_what_it_needs(first):
    url, visited = first
    open_answers(visited)
    copies = visited.page.evaluate(COPY_EACH)
    page = CHAPTERS_WITH_CODE.get(url)
    if not page:
        assert copies == []
        return
    copied = {}
    for source, text in copies:
        copied.setdefault(source.strip(), []).append(text)
    expected = {}
    for block in page.blocks:
        text = standalone.with_needs(page, block)
        if text != block.source:
            expected.setdefault(block.source.strip(), []).append(text)
    assert copied == expected
    assert len(copied) > len(page.blocks) / 2
    # The clipboard holds the last one now. A reader clicks on the first.
    visited.page.locator("button[title='Copy with what it needs from above']").first.click()
    assert visited.page.evaluate("navigator.clipboard.readText()") == copies[0][1] != copies[-1][1]


@pytest.fixture
def planted(chromium, tmp_path):
    """Open a page of the given HTML, to see whether its faults are noticed."""
    server = Server(tmp_path)
    page = chromium.new_page()

    def open_page(html: str) -> Visit:
        (tmp_path / "index.html").write_text(
            f'<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Planted</title>{html}</html>'
        )
        return Visit(page, server).go("")

    yield open_page
    page.close()
    server.close()


SOUND = "<main><h1>Title</h1><p>Text.</p></main>"


def test_a_sound_page_is_not_complained_of(planted):
    visited = planted(SOUND)
    assert visited.complaints == []
    assert findings(visited) == []
    assert len(SOUND) < visited.transferred < 1000


def test_all_that_a_page_fetches_is_counted(planted):
    script = "<script>fetch('index.html')</script><script>fetch('index.html?again')</script>"
    once, thrice = planted(SOUND).transferred, planted(SOUND + script).transferred
    assert 2.5 * once < thrice < 4 * once


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ('<img alt="" src="https://example.org/a.png">', "another host: https://example.org/a.png"),
        ('<script src="//example.org/a.js"></script>', "another host: http://example.org/a.js"),
        ("<script>fetch('http://example.org/').catch(() => {})</script>", "another host: http://example.org/"),
        (
            "<script>new Worker(URL.createObjectURL(new Blob(['fetch(\"http://example.org/\")'])))</script>",
            "another host: http://example.org/",
        ),
        ('<img alt="" src="gone.png">', "404: "),
        ("<script>console.error('broken')</script>", "console: broken"),
        ("<script>console.warn('doubtful')</script>", "console: doubtful"),
        ("<script>nobody.knows()</script>", "error: nobody is not defined"),
    ],
)
def test_a_fault_of_a_page_is_complained_of(planted, fault, complaint):
    complaints = planted(SOUND + fault).complaints
    assert any(said.startswith(complaint) for said in complaints), complaints


TOKEN = "<code><span style='color: #333'>token</span></code>"
TITLE = "<main><h1>Title</h1>"


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (f"{TITLE}<p style='color: #aaa'>Text.</p></main>", "color-contrast"),
        (f"{TITLE}<details><summary>A</summary><p style='color: #aaa'>Text.</p></details></main>", "color"),
        (f"{TITLE}<button></button></main>", "button-name"),
        (f"{TITLE}<code><span>one</span><span style='color: #aaa'>two</span></code></main>", "color-contrast"),
        (f"{TITLE}{TOKEN}<div style='background: #555'>{TOKEN}</div></main>", "color-contrast"),
        (f"{TITLE}{TOKEN}<div style='opacity: 0.3'>{TOKEN}</div></main>", "color-contrast"),
        (f"{TITLE}<p hidden style='color: #aaa'>One</p><p style='color: #aaa'>Two</p></main>", "color-contrast"),
        (f"{TITLE}<p>One</p><p>Two</p><p>Three</p><p style='color: #888'>Four</p></main>", "color"),
    ],
)
def test_what_not_everyone_can_read_is_found(planted, fault, rule):
    found = findings(planted(fault))
    assert any(finding.startswith(rule) for finding in found), found


def search(visited: Visit, words: str) -> list[list[str]]:
    """Addresses of what the search field offers: the pages, best first, and for each the sections that fit."""
    visited.page.fill("[data-md-component=search-query]", "")
    visited.page.get_by_text("Type to start searching").wait_for()
    visited.page.keyboard.insert_text(words)
    visited.page.wait_for_selector(".md-search-result__item")
    items = "items => items.map(item => [...item.querySelectorAll('a')].map(link => link.href))"
    found = visited.page.eval_on_selector_all(".md-search-result__item", items)
    return [[re.sub(r"\?[^#]*", "", link.removeprefix(visited.server.url)) for link in links] for links in found]


FOUND = [
    ("only one dimension can be inferred", "tensors/views/#view-keeps-the-order"),
    ("mat1 and mat2 shapes cannot be multiplied", "tensors/batches/#nnlinear-takes-any-rank-from-1"),
    ("Boolean value of Tensor is ambiguous", "tensors/rank/#what-comes-out-is-still-a-tensor"),
    (
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x10 and 20x5)",
        "tensors/batches/#nnlinear-takes-any-rank-from-1",
    ),
    ("shape '[5, 7]' is invalid for input of size 12", "tensors/views/#view-keeps-the-order"),
    ("expected sequence of length 4 at dim 1 (got 3)", "tensors/rank/#every-row-is-as-long-as-the-next"),
    ("batchnorm1d", "autograd/modules/#eval-and-no_grad-are-two-switches"),
    ("Trying to backward through the graph a second time", "autograd/tape/#backward-frees-what-was-saved"),
    ("Weights only load failed", "autograd/modules/#a-file-can-run-code"),
    ("is_contiguous", "tensors/views/#a-transpose-moves-no-byte"),
    ("nn.Linear", "tensors/batches/#nnlinear-takes-any-rank-from-1"),
    ("matrix_rank", "tensors/rank/#three-names-for-the-rank-two-for-the-shape"),
    ("ndim", "tensors/rank/#rank-counts-the-indices"),
    ("poisson_nll_loss", "tensors/batches/#a-wrong-rank-does-not-always-raise"),
    ("stride", "tensors/views/#a-shape-is-a-way-to-walk-along-one-line"),
]
"""What readers search for, and where it stands."""


def test_search_finds_an_error_message_or_a_name(visit):
    visited = visit("")
    visited.page.keyboard.press("/")  # the index is made when the field is first used, and that takes seconds
    lost = [words for words, place in FOUND if not any(place in links for links in search(visited, words)[:2])]
    assert (lost, visited.complaints) == ([], [])


def test_an_empty_search_field_shows_no_results_and_pasted_words_are_searched(visit):
    page = visit("tensors/rank/").page
    page.keyboard.press("/")
    page.get_by_text("Type to start searching").wait_for()
    page.keyboard.insert_text("squeeze")
    page.wait_for_selector(".md-search-result__item")
    page.fill("[data-md-component=search-query]", "")
    page.get_by_text("Type to start searching").wait_for()
    assert not page.query_selector(".md-search-result__item")


def test_search_loads_nothing_before_it_is_used(visit):
    visited = visit("tensors/rank/")
    asked = [path for path, _ in visited.server.sent]
    assert "/search/documents.json" not in asked
    assert not [path for path in asked if path.startswith("/assets/javascripts/workers")]
    visited.page.keyboard.press("/")
    search(visited, "rank")
    asked = [path for path, _ in visited.server.sent]
    assert asked.count("/search/documents.json") == 1


FIND_EACH_WORD = """
async ([worker, config, words]) => {
    const search = new Worker(`/javascripts/search-index.js?worker=/assets/javascripts/workers/${worker}`);
    const answer = (message) => new Promise((told) => {
        search.onmessage = ({ data }) => told(data.data);
        search.postMessage(message);
    });
    const docs = words.map((word) => ({ location: word, title: "A page", text: word }));
    await answer({ type: 0, data: { config, docs, options: {} } });
    const found = [];
    for (const word of words) {
        const { items } = await answer({ type: 2, data: word });
        found.push(items.map(([{ location }]) => location));
    }
    return found;
}
"""


def test_a_book_of_numbers_holds_each_and_no_other(visit, built_site):
    page = visit("").page
    (worker,) = (built_site / "assets" / "javascripts" / "workers").glob("search.*.js")
    config = json.loads((built_site / "search" / "search_index.json").read_text("utf-8"))["config"]
    forks = [f"0{a}{b}{last}" for a, b in combinations(range(10), 2) for last in (a, b)]
    numbers = [*forks, str(3**900)]  # a letter of the long one and the node behind it read like two of a fork
    assert page.evaluate(FIND_EACH_WORD, [worker.name, config, numbers]) == [[number] for number in numbers]


def test_keys_turn_the_pages(visit):
    page = visit("tensors/rank/").page
    page.keyboard.press("n")
    page.wait_for_selector("h1#shape-doctor")  # the address changes before the page does
    page.keyboard.press("p")
    page.wait_for_selector("h1#rank")


def test_a_click_changes_the_page_without_loading_the_site_anew(visit):
    visited = visit("tensors/rank/")
    visited.server.sent.clear()
    visited.page.click("nav.md-nav--primary a[href$='tensors/batches/']")
    visited.page.wait_for_selector("h1:has-text('Batches')")
    visited.page.wait_for_load_state("networkidle")
    assert [path for path, _ in visited.server.sent if path.endswith((".js", ".css", ".xml", ".json"))] == []
    assert visited.complaints == []


def test_a_word_of_the_glossary_tells_what_it_means_by_keyboard_as_well(visit):
    visited = visit("tensors/batches/")
    open_answers(visited)
    page = visited.page
    term = page.locator("a.term", has_text="dimension").first
    term.focus()
    page.wait_for_selector(".md-tooltip2--active:has-text('What one index belongs to')")
    term.press("Enter")
    page.wait_for_url("**/reference/glossary/#dimension")
    page.locator("dt#dimension").wait_for()


def test_a_guess_can_be_checked_without_javascript(visit):
    page = visit("tensors/rank/", javascript=False).page
    question = page.locator("details.question").first
    answer = question.locator(".language-text").first
    assert not answer.is_visible()
    question.locator("summary").click()
    assert answer.is_visible()


def test_paper_shows_every_answer(visit):
    page = visit("tensors/rank/").page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.success .language-python").first.is_visible()


COLOURS = """
() => [...document.querySelectorAll(".md-content :is(.highlight span, a, p)")].map((e) => getComputedStyle(e).color)
"""


def test_paper_is_light_in_either_palette(visit):
    page = visit("tensors/rank/").page
    page.add_style_tag(content="* { transition: none !important }")
    page.emulate_media(media="print")
    light = page.evaluate(COLOURS)
    page.emulate_media(media="screen")
    page.get_by_title("Switch to dark mode").click()
    page.wait_for_selector("[data-md-color-scheme=slate]")
    dark = page.evaluate(COLOURS)
    page.emulate_media(media="print")
    assert page.evaluate(COLOURS) == light != dark


@pytest.mark.parametrize(("where", "expected"), [({}, "1 skipped"), ({"CI": "true"}, "1 error")])
def test_without_chromium_one_line_says_what_was_not_tested_and_in_ci_that_is_an_error(where, expected):
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | where
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_browser.py::test_a_sound_page_is_not_complained_of"]
    environment |= {"CHROMIUM": "nowhere"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert re.search(expected, run.stdout)
    assert "no Chromium, so nothing was tested in a browser: `apt-get install chromium`" in run.stdout
