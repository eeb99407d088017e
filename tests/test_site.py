"""The built site: strict, without outside requests, with formulae, figures and programs in place."""

import re
from pathlib import Path

import pytest
import yaml
from browser import SITE_URL
from bs4 import BeautifulSoup, SoupStrainer
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
        for name in ("nav", "watch", "extra_css", "extra_javascript"):
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
    that_ask = SoupStrainer(["script", "link", "img", "iframe"])
    for file in built_site.rglob("*.html"):
        for element in BeautifulSoup(file.read_text("utf-8"), "lxml", parse_only=that_ask).find_all():
            address = element.get("src") or (element.get("href") if element.get("rel") != ["canonical"] else "") or ""
            assert not re.match(r"(https?:)?//", address) or address.startswith(SITE_URL), f"{file}: {address}"


def test_formulae_are_mathml(build):
    said, folder = build({"index.md": "# Title\n\nAn element $x_i$ and\n\n$$\\sum_i x_i$$\n"})
    assert not said
    math = BeautifulSoup((folder / "index.html").read_text(), "lxml").find_all("math")
    assert [formula.get("display") for formula in math] == [None, "block"]
    assert "∑" in math[1].get_text()


def test_a_wrong_formula_fails_the_build_and_names_its_line(build):
    said, _ = build({"index.md": "# Title\n\nText.\n\n$$\\frac{a}{b$$\n"})
    assert "index.md:5: \\frac{a}{b" in said


def test_code_keeps_its_indentation_and_loses_the_spans_that_look_like_its_text(build):
    code = "if x:\n    y = 1\n\n    print(y)"
    page = f"# Title\n\n```python\n{code}\n```\n\nOne\n\n- two\n"
    said, site = build({"index.md": page, "reference/tested.md": "# Tested\n"})
    assert not said
    html = (site / "index.html").read_text()
    code_on_page = BeautifulSoup(html, "lxml").select_one("pre code")
    assert code_on_page.get_text() == f"{code}\n"
    assert {span["class"][0] for span in code_on_page.select("span")} == {"k", "o", "mi", "nb", "p"}
    assert not re.search(r">\s*\n\s+<", re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL))


def test_figures_are_part_of_the_page_and_take_its_colours(built_site):
    page = BeautifulSoup((built_site / "tensors" / "views" / "index.html").read_text("utf-8"), "lxml")
    figures = page.find_all("svg", class_="figure")
    assert len(figures) == 2
    assert all(figure["aria-label"] and figure["fill"] == "currentColor" for figure in figures)
    identifiers = [element["id"] for element in page.find_all(id=True)]
    assert len(identifiers) == len(set(identifiers))


PROGRAM = """# %% [markdown]
# # Title
#
# The formula $x_i$ and a [link](#draw).

# %%
def draw():
    \"\"\"Draw one line.\"\"\"
    import matplotlib.pyplot as plt

    return plt.subplots()[0]


# %% [markdown]
# ## Draw

# %%
if "get_ipython" in globals():
    import time

    print("`" * 3, "<b>", flush=True)
    time.sleep(0.5)  # what follows comes as another piece of output
    print("below")
    draw()
"""


def test_a_program_is_a_page_like_any_other_with_what_it_printed_and_drew(build):
    said, folder = build({"index.md": "# Title\n"}, {"lines.py": PROGRAM})
    assert not said
    page = BeautifulSoup((folder / "snippets" / "part" / "lines" / "index.html").read_text("utf-8"), "lxml")
    content = page.find("article")
    code, printed = content.select(".language-python code"), content.select(".language-text code")
    assert [block.get_text().splitlines()[0] for block in code] == ["def draw():", 'if "get_ipython" in globals():']
    assert [block.get_text() for block in printed] == ["``` <b>\nbelow\n"]
    assert [figure["aria-label"] for figure in content.find_all("svg", class_="figure")] == ["One line"]
    assert content.find("math")
    assert not content.find_all(["style", "script", "img"])
    assert content.find(id="draw")
    assert {link.get_text(strip=True) for link in page.select(".md-nav--secondary a.md-nav__link")} == {"Draw"}


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import warnings\nwarnings.warn('old')", "program.py: on standard error: "),
        ("import matplotlib.pyplot as plt\nplt.subplots()", "program.py: a figure that nothing describes"),
    ],
)
def test_a_program_that_fails_or_warns_or_draws_what_nothing_describes_fails_the_build(build, cell, complaint):
    said, _ = build({"index.md": "# Title\n"}, {"program.py": f"# %%\n{cell}\n"})
    assert complaint in said


def test_what_programs_printed_is_kept_apart_by_versions(monkeypatch):
    here = programs.cache_folder(ROOT)
    assert programs.cache_folder(ROOT) == here
    monkeypatch.setattr(programs, "version", lambda name: "0.0")
    assert programs.cache_folder(ROOT) != here


def test_a_chapter_says_whether_its_text_was_tested(build):
    said, folder = build({"index.md": "# Title\n\n```python\nx = 1\n```\n", "reference/tested.md": "# Tested\n"})
    assert not said
    assert "not been tested" in (folder / "index.html").read_text()


def test_a_chapter_and_its_program_say_where_their_code_is_to_be_had(build):
    text = "# Title\n\n```python\nx = 1\n```\n\n[Tested](../reference/tested.md)\n"
    pages = {"index.md": "# Home\n", "part/one.md": text, "reference/tested.md": "# Tested\n"}
    said, folder = build(pages, {"one.py": "# %% [markdown]\n# # Program\n\n# %%\nx = 1\n"})
    assert not said
    chapter = BeautifulSoup((folder / "part" / "one" / "index.html").read_text(), "lxml")
    program = BeautifulSoup((folder / "snippets" / "part" / "one" / "index.html").read_text(), "lxml")
    about = [[line.get_text() for line in page.select("h1 ~ .about")] for page in (chapter, program)]
    assert about[0][0] == "About 1 minute to read. Take its code along as a notebook or a script."
    assert about[0][1] == "The code of this page has not been tested since it was last changed."
    assert about[1] == ["Download it as one.py or one.ipynb. It belongs to this chapter."]
    assert "x = 1" in (folder / "part" / "one-chapter.py").read_text()
    assert "http://127.0.0.1:8000/part/one/" in (folder / "part" / "one-chapter.ipynb").read_text()
    assert (folder / "snippets" / "part" / "one" / "one.py").read_text().endswith("x = 1\n")
    assert (folder / "snippets" / "part" / "one" / "one.ipynb").is_file()


def test_a_page_without_a_program_is_no_chapter_to_take_along(build):
    said, folder = build({"index.md": "# Home\n\n```python\nx = 1\n```\n", "reference/tested.md": "# Tested\n"})
    assert not said
    assert "minute" not in (folder / "index.html").read_text()


def test_every_claim_links_to_its_proof(built_site):
    page = BeautifulSoup((built_site / "reference" / "claims" / "index.html").read_text("utf-8"), "lxml")
    items = page.find("article").find_all("li")
    ledger = claims.read(ROOT / "docs" / "reference" / "claims.yaml")
    assert len(items) == len(ledger) > 0
    assert all(item.find("a") for item in items)
