"""Every page of the site in a real browser, light and dark: nothing fails, nothing leaves the site, all can read it."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parent.parent


def url_of(file: Path) -> str:
    """The address of the page that the site makes of a chapter or a program."""
    place = file.relative_to(ROOT / "docs" if file.suffix == ".md" else ROOT).with_suffix("")
    return "".join(f"{part}/" for part in place.parts if part != "index")


CHAPTERS = [url_of(file) for file in sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = [url_of(file) for file in sorted((ROOT / "snippets").rglob("*.py"))]
every_page = pytest.mark.parametrize("url", [*CHAPTERS, *PROGRAMS, "404.html"], ids=lambda url: url or "home")


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_works_and_everyone_can_read_it(visit, url, scheme):
    visited = visit(url, scheme)
    assert not visited.complaints
    findings = Axe().run(visited.page).response["violations"]
    assert not [
        f"{finding['id']}: {node['target']} {node['failureSummary']}"
        for finding in findings
        for node in finding["nodes"]
    ]


@every_page
def test_a_first_visit_transfers_little(visit, url):
    visited = visit(url)
    budget = 150_000 if url in PROGRAMS else 100_000
    assert visited.transferred <= budget, sorted(visited.server.sent, key=lambda sent: -sent[1])
