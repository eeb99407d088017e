"""The built site: strict, without outside requests, with formulae, figures and programs in place."""

import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from mkdocs.commands.build import build as mkdocs_build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort, BuildError
from mkdocs.utils.yaml import get_yaml_loader
from nbclient.exceptions import CellExecutionError

from tensorproof import claims, programs

ROOT = Path(__file__).parent.parent
MkDocsLoader = get_yaml_loader()


@pytest.fixture
def build(tmp_path, caplog):
    """Build a site of the given pages with the book's settings.

    Returns what a failing build said, or nothing, and the site's folder.
    """

    def run(pages: dict[str, str], programs: dict[str, str] | None = None) -> tuple[str, Path]:
        files = {f"docs/{name}": text for name, text in pages.items()}
        files |= {f"snippets/part/{name}": text for name, text in (programs or {}).items()}
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        settings = yaml.load((ROOT / "mkdocs.yml").read_text(), MkDocsLoader)
        for name in ("nav", "watch", "extra_css"):
            del settings[name]
        settings |= {"hooks": [str(ROOT / "tensorproof" / "site.py")], "site_url": "http://127.0.0.1:8000/"}
        (tmp_path / "mkdocs.yml").write_text(yaml.dump(settings))
        try:
            mkdocs_build(load_config(str(tmp_path / "mkdocs.yml")))
        except (Abort, BuildError, CellExecutionError) as error:
            return f"{error}\n{caplog.text}", tmp_path / "site"
        return "", tmp_path / "site"

    return run


def test_the_book_builds_without_a_warning(built_site):
    assert (built_site / "index.html").is_file()
    assert (built_site / "tensors" / "rank" / "index.html").is_file()


@pytest.mark.parametrize(
    "link", ["[gone](gone.md)", "[gone](index.md#gone)", "[absolute](/index.md)", "![gone](gone.png)"]
)
def test_a_broken_link_fails_the_build(build, link):
    said, _ = build({"index.md": f"# Title\n\n{link}\n"})
    assert "index.md" in said


def test_no_page_asks_another_host_for_anything(built_site):
    for file in built_site.rglob("*.html"):
        for element in BeautifulSoup(file.read_text("utf-8"), "html.parser").find_all(
            ["script", "link", "img", "iframe"]
        ):
            address = element.get("src") or (element.get("href") if element.get("rel") != ["canonical"] else "") or ""
            assert not re.match(r"(https?:)?//", address) or address.startswith("http://127.0.0.1"), (
                f"{file}: {address}"
            )


def test_formulae_are_mathml(build):
    said, folder = build({"index.md": "# Title\n\nAn element $x_i$ and\n\n$$\\sum_i x_i$$\n"})
    assert not said
    math = BeautifulSoup((folder / "index.html").read_text(), "html.parser").find_all("math")
    assert [formula.get("display") for formula in math] == [None, "block"]
    assert "∑" in math[1].get_text()


def test_a_wrong_formula_fails_the_build_and_names_its_line(build):
    said, _ = build({"index.md": "# Title\n\nText.\n\n$$\\frac{a}{b$$\n"})
    assert "index.md:5: \\frac{a}{b" in said


def test_figures_are_part_of_the_page_and_take_its_colours(built_site):
    page = BeautifulSoup((built_site / "tensors" / "views" / "index.html").read_text("utf-8"), "html.parser")
    figures = page.find_all("svg", class_="figure")
    assert len(figures) == 2
    assert all(figure["aria-label"] and figure["fill"] == "currentColor" for figure in figures)
    identifiers = [element["id"] for element in page.find_all(id=True)]
    assert len(identifiers) == len(set(identifiers))


def test_a_program_is_a_page_with_what_it_printed_and_drew(built_site):
    page = BeautifulSoup(
        (built_site / "snippets" / "tensors" / "rank" / "index.html").read_text("utf-8"), "html.parser"
    )
    assert "permute(2, 0, 1)" in page.find(class_="jp-OutputArea-output").get_text()
    assert page.find("img", src=re.compile("^data:image/png"))


def test_an_error_in_a_program_fails_the_build(build):
    said, _ = build({"index.md": "# Title\n"}, {"broken.py": "# %%\n1 / 0\n"})
    assert "ZeroDivisionError" in said


def test_what_programs_printed_is_kept_apart_by_versions(monkeypatch):
    here = programs.cache_folder(ROOT)
    assert programs.cache_folder(ROOT) == here
    monkeypatch.setattr(programs, "version", lambda name: "0.0")
    assert programs.cache_folder(ROOT) != here


def test_programs_share_their_styles(built_site):
    page = built_site / "snippets" / "tensors" / "rank" / "index.html"
    content = BeautifulSoup(page.read_text("utf-8"), "html.parser").find("article")
    assert not content.find("style")
    assert (page.parent / content.find("link", rel="stylesheet")["href"]).stat().st_size > 100_000


def test_a_chapter_says_whether_its_text_was_tested(build):
    said, folder = build({"index.md": "# Title\n\n```python\nx = 1\n```\n", "reference/tested.md": "# Tested\n"})
    assert not said
    assert "not been tested" in (folder / "index.html").read_text()


def test_every_claim_links_to_its_proof(built_site):
    page = BeautifulSoup((built_site / "reference" / "claims" / "index.html").read_text("utf-8"), "html.parser")
    items = page.find("article").find_all("li")
    ledger = claims.read(ROOT / "docs" / "reference" / "claims.yaml")
    assert len(items) == len(ledger) > 0
    assert all(item.find("a") for item in items)
