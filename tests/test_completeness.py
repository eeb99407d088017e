"""Every piece of code that the site highlights as Python is a block of its page, and so one that runs."""

from collections import Counter
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from markdown import Markdown
from mkdocs.config import load_config

from tensorproof.page import Page, PageError

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PYTHON = {"python", "py", "python3", "py3", "pyi", "pycon", "ipython", "ipython3", "ipythonconsole", "sage", "numpy"}
"""Names under which Pygments highlights Python."""


def python_in(html: str) -> Counter[str]:
    """The pieces of code in HTML that a reader sees highlighted as Python."""
    pieces = []
    for element in BeautifulSoup(html, "lxml").find_all(["div", "pre", "code"]):
        names = {name.removeprefix("language-").removeprefix("highlight-").lower() for name in element.get("class", [])}
        if names & PYTHON and not element.find_parent(attrs={"data-counted": True}):
            element["data-counted"] = True
            pieces.append(element.get_text().strip("\n"))
    return Counter(pieces)


def blocks_of(page: Page) -> Counter[str]:
    return Counter(block.source.strip("\n") for block in page.blocks)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.relative_to(ROOT / "docs").as_posix())
def test_every_piece_of_python_on_the_built_page_is_a_block(built_site, file):
    url = file.relative_to(ROOT / "docs").with_suffix("")
    html = built_site / (url.parent if url.name == "index" else url) / "index.html"
    assert python_in(html.read_text("utf-8")) == blocks_of(Page.read(file))


@pytest.fixture(scope="module")
def as_the_site_renders_it():
    config = load_config(str(ROOT / "mkdocs.yml"))
    markdown = Markdown(extensions=config.markdown_extensions, extension_configs=config.mdx_configs)
    return lambda text: markdown.reset().convert(text)


HIDDEN = "print('hidden')"
SHOWN_BY_THE_SITE = {
    "admonition": '!!! note "A"\n\n    ```python\n    {}\n    ```\n',
    "collapsed": '??? note "A"\n\n    ```python\n    {}\n    ```\n',
    "expanded": '???+ note "A"\n\n    ```python\n    {}\n    ```\n',
    "tab": '=== "Tab"\n\n    ```python\n    {}\n    ```\n',
    "list": "- item\n\n    ```python\n    {}\n    ```\n",
    "numbered list": "1. item\n\n    ```python\n    {}\n    ```\n",
    "definition list": "term\n\n:   text\n\n    ```python\n    {}\n    ```\n",
    "footnote": "text[^1]\n\n[^1]:\n    text\n\n    ```python\n    {}\n    ```\n",
    "quotation": "> ```python\n> {}\n> ```\n",
    "grid": '<div class="grid" markdown>\n\n```python\n{}\n```\n\n</div>\n',
    "nested": '??? note "A"\n\n    - item\n\n        ```python\n        {}\n        ```\n',
    "tildes": "~~~python\n{}\n~~~\n",
    "braces": "```{{.python}}\n{}\n```\n",
    "capital": "```Python\n{}\n```\n",
    "short name": "```py\n{}\n```\n",
    "console": "```pycon\n>>> {}\n```\n",
    "ipython": "```ipython\n{}\n```\n",
    "title": '```python title="notest"\n{}\n```\n',
    "raw HTML": '<pre><code class="language-python">{}</code></pre>\n',
}  # fmt: skip


@pytest.mark.parametrize("place", SHOWN_BY_THE_SITE)
def test_a_block_is_found_wherever_the_site_shows_one(place, as_the_site_renders_it):
    """A block in this place would be missed by pytest-markdown-docs or by a careless model: both sides see it."""
    text = "# Title\n\n" + SHOWN_BY_THE_SITE[place].format(HIDDEN)
    shown = python_in(as_the_site_renders_it(text))
    assert any(HIDDEN in piece for piece in shown), "the site shows no Python here: nothing to find"
    try:
        page = Page.parse(text, Path("page.md"))
    except PageError:
        return  # refused, with file and line
    if place == "raw HTML":
        assert blocks_of(page) != shown, "the comparison of the built page reports it"
    else:
        assert blocks_of(page) == shown


@pytest.mark.parametrize(
    "text", ['--8<-- "other.md"\n', "<!--\n```python\nprint()\n```\n-->\n", "- ```python\n  1\n  ```\n"]
)
def test_what_cannot_be_shown_and_run_alike_is_refused(text):
    with pytest.raises(PageError):
        Page.parse(f"# Title\n\n{text}", Path("page.md"))


def test_a_block_that_only_the_site_shows_is_reported(as_the_site_renders_it):
    page = Page.parse("# Title\n\n```python\nx = 1\n```\n", Path("page.md"))
    html = as_the_site_renders_it("# Title\n\n```python\nx = 1\n```\n\n```python\nx = 2\n```\n")
    assert python_in(html) - blocks_of(page) == Counter(["x = 2"])
