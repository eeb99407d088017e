"""An explorable in a browser: how its tests reach it, and what each of them asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from browser import Visit, axe_findings
from playwright.sync_api import Page

FOCUSED = """
(({ ariaLabel, labels, textContent }) => {
    const parts = [...(labels?.[0]?.childNodes ?? [])].map((part) => part.textContent);
    return ariaLabel ?? parts.find(Boolean) ?? textContent;
})(document.activeElement)
"""

TAKE_OUT_AND_PUT_BACK = """
([name, watched]) => {
    const element = document.querySelector(name);
    for (let time = 0; time < 3; time++) {
        const parent = element.parentNode, next = element.nextSibling;
        element.remove();
        parent.insertBefore(element, next);
    }
    window.drawn = 0;
    new MutationObserver((seen) => (window.drawn += seen.length))
        .observe(element.querySelector(watched), { childList: true });
}
"""

TAKE_AWAY_THE_REST = """
(name) => {
    for (let box = document.querySelector(name); box !== document.body; box = box.parentElement)
        for (const other of [...box.parentElement.children])
            if (other !== box && other.localName !== "link") other.remove();  // the styles stand beside the element
}
"""

SWITCH_THE_PALETTE = """
(palette) => {  // as the button in the header does, and without transitions as well
    document.body.dataset.mdColorSwitching = "";
    document.body.dataset.mdColorScheme = palette;
}
"""


@dataclass(frozen=True)
class Explorable:
    """The element `<explore-name>` on the page at a URL. Once it has loaded, a field with the given label is there."""

    name: str
    url: str
    label: str

    def fixtures(self) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
        """Three fixtures: `page`, `requests`, and `explorable("dark", width=390)`, which opens a page of its own.

        `page` is a tab that the tests share, and `requests` what it asked for, before a reader came near the element
        and until it could be used.
        """
        asked: list[str] = []

        @pytest.fixture(scope="module")
        def page(chromium, server, built_site) -> Iterator[Page]:
            with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
                visited = Visit(context.new_page(), server).go(self.url)
                before = str(server.sent)
                self.reach(visited)
                asked[:] = before, str(server.sent)
                yield visited.page
                assert not visited.complaints, visited.complaints

        @pytest.fixture
        def requests(page) -> list[str]:
            return asked

        @pytest.fixture
        def explorable(visit) -> Callable[..., Page]:
            return lambda *arguments, **settings: self.reach(visit(self.url, *arguments, until="load", **settings))

        return page, requests, explorable

    def reach(self, visited: Visit) -> Page:
        """Scroll to the element, and wait until it can be used."""
        element = visited.page.locator(f"explore-{self.name}")
        element.scroll_into_view_if_needed()
        element.get_by_label(self.label).first.wait_for()
        return visited.page

    def example(self, visit: Callable[..., Visit]) -> str:
        """What the worked example prints, where scripts do not run and there is nothing to fill in."""
        element = visit(self.url, javascript=False).page.locator(f"explore-{self.name}")
        assert element.locator(".language-python").is_visible()
        assert not element.locator("form").count()
        return element.locator(".language-text").inner_text()

    def findings(self, page: Page) -> list[str]:
        """What axe finds in the element, in both palettes. It is alone on its page from then on: axe reads all."""
        element = f"explore-{self.name}"
        page.evaluate(TAKE_AWAY_THE_REST, element)
        found = []
        for palette in ("slate", "default"):
            page.evaluate(SWITCH_THE_PALETTE, palette)
            found += [f"{palette}: {finding}" for finding in axe_findings(page, element)]
        return found

    def scrolls_sideways(self, page: Page, parts: str = ".wide") -> bool:
        """Whether the page is wider than the screen, or a part of the element wider than its place."""
        boxes = f"[document.documentElement, ...document.querySelectorAll('explore-{self.name} {parts}')]"
        return page.evaluate(f"{boxes}.some(box => box.scrollWidth > box.clientWidth)")

    def smallest(self, page: Page, targets: str) -> float:
        """The shortest side of what can be pressed, in pixels."""
        boxes = [target.bounding_box() for target in page.locator(f"explore-{self.name} form {targets}").all()]
        return min(min(box["width"], box["height"]) for box in boxes if box)

    def take_out_and_put_back(self, page: Page, watched: str) -> None:
        """Take the element out of the page and put it back, three times. From then on `drawn` counts changes."""
        page.evaluate(TAKE_OUT_AND_PUT_BACK, [f"explore-{self.name}", watched])
        page.locator(f"explore-{self.name}").scroll_into_view_if_needed()

    def walk_away_and_back(self, page: Page, chapter: str) -> None:
        """Open another chapter, and go back."""
        page.get_by_role("navigation", name="Navigation").get_by_role("link", name=chapter, exact=True).click()
        page.locator(f"explore-{self.name}").wait_for(state="detached")
        page.go_back()
        page.locator(f"explore-{self.name}").scroll_into_view_if_needed()


def read(page: Page, function: str, *arguments: object) -> Any:
    """What a function returns in the page, as JSON can say it: not NaN. Playwright is slow at much that is no text."""
    return json.loads(page.evaluate(f"async (given) => JSON.stringify(await ({function})(given))", *arguments))


def focused(page: Page) -> str:
    """What the focused element is called or holds."""
    return page.evaluate(FOCUSED)


def written(shape: list[int] | tuple[int, ...]) -> str:
    """A shape as a reader types it."""
    return ", ".join(map(str, shape)) or "()"
