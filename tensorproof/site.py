"""What the site adds to the pages: figures and formulae in place, programs as pages, code to copy and to take along.

MkDocs calls the functions named `on_…` (`hooks:` in mkdocs.yml) in the order in which they stand here.
"""

from __future__ import annotations

import json
import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import urljoin

import math_core
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page as SitePage
from mkdocs.utils import get_relative_url

from tensorproof import downloads, figures, generated, glossary, programs, standalone
from tensorproof.page import Page, with_site_links


def on_config(config: MkDocsConfig) -> None:
    """Run programs in a kernel that draws as the book does, and keep what they printed for these versions alone."""
    root = Path(config.config_file_path).parent
    programs.use_kernel()
    config.plugins["mkdocs-jupyter"].config["cache_dir"] = str(programs.cache_folder(root))


@event_priority(100)  # before mkdocs-jupyter looks for its files
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every program under `snippets/` is a page of the site, and its code and that of its chapter are to be had."""
    root = Path(config.config_file_path).parent
    for program in sorted((root / "snippets").rglob("*.py")):
        name = program.relative_to(root)
        files.append(File(name.as_posix(), str(root), config.site_dir, config.use_directory_urls))
        folder = name.with_suffix("")
        source = program.read_text("utf-8")
        offered = {
            f"{folder}/{name.name}": source,
            f"{folder}/{name.stem}.ipynb": downloads.program_as_notebook(source),
        }
        chapter = Path(config.docs_dir, *name.parts[1:]).with_suffix(".md")
        if chapter.is_file():
            place = Path(*folder.parts[1:]).as_posix()
            page, url = Page.read(chapter), f"{config.site_url}{place}/"
            offered[f"{place}-chapter.py"] = downloads.script(page, url)
            offered[f"{place}-chapter.ipynb"] = downloads.notebook(page, url)
        for uri, content in offered.items():
            files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: SitePage, config: MkDocsConfig, files: Files) -> str:
    """Put in what `<!-- shows: … -->` asks for, and below a title what there is to know about the page."""
    docs, name = Path(config.docs_dir), page.file.src_uri
    shown = {"record": generated.all_records, "claims": generated.all_claims}
    markdown = re.sub(r"<!-- shows: (\w+) -->", lambda match: shown[match[1]](docs), markdown)
    markdown = with_site_links(markdown)
    # A search should find chapters first: programs use what they explain, and the reference repeats it.
    for part, boost in (("snippets/", 0.5), ("reference/", 0.1)):
        if name.startswith(part):
            page.meta["search"] = {"boost": boost}
    about = []
    if name.endswith(".md") and files.get_file_from_path(name.replace(".md", "-chapter.py")):
        about.append(generated.about_chapter(docs, name))
    if "```python" in markdown:
        about.append(generated.about_tests(docs, name))
    return _below_title(markdown, about)


def on_page_content(html: str, page: SitePage, config: MkDocsConfig, files: Files) -> str:
    """Set formulae as MathML, and put figures into the page, where they take its colours."""
    drawn: list[str] = []
    if programs.is_program(html):
        html, drawn = _program(html, page, config, files)
    html = re.sub(
        r'<(span|div) class="arithmatex">(.*?)</\1>', lambda match: _formula(match, page), html, flags=re.DOTALL
    )
    html = re.sub(r'<img alt="([^"]*)" src="([^":]+\.svg)" ?/?>', lambda match: _figure(match, page, files), html)
    html = programs.with_figures(html, drawn)
    docs = Path(config.docs_dir)
    html = _with_glossary(html, page, docs)
    html = _with_copies(html, page, docs)
    return _with_explorables(html, page, docs)


def on_post_page(output: str, page: SitePage, config: MkDocsConfig) -> str:
    """Every page has the search of the book, and no byte that nobody sees."""
    return _lean(_with_search(output))


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """So has the page for wrong addresses."""
    return _with_search(output)


def on_post_build(config: MkDocsConfig) -> None:
    """Put the words of the book aside until somebody searches them (javascripts/search.js)."""
    file = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(file.read_text("utf-8"))
    file.with_name("documents.json").write_text(json.dumps(index["docs"], separators=(",", ":")), "utf-8")
    file.write_text(json.dumps(index | {"docs": []}), "utf-8")


def _below_title(markdown: str, lines: list[str]) -> str:
    about = "".join(f"\n\n{line}\n{{ .about }}" for line in lines)
    return re.sub(r"^(# .+)$", lambda match: match[1] + about, markdown, count=1, flags=re.MULTILINE)


def _with_search(output: str) -> str:
    """Name the search dialog for those who hear the page, and have our worker answer it."""
    output = output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
    return re.sub(
        r'"search": "([^"]*)assets/javascripts/workers/([^"]+)"',
        r'"search": "\1javascripts/search.js?worker=../assets/javascripts/workers/\2"',
        output,
    )


def _lean(output: str) -> str:
    """The same page without spans that look like the code around them, and without the indentation of tags."""
    output = re.sub(r'<span class="[nw]">([^<]*)</span>', r"\1", output)
    return re.sub(r"(<pre.*?</pre>)|(?<=>)\s*\n\s*(?=<)", lambda match: match[1] or "\n", output, flags=re.DOTALL)


def _program(html: str, page: SitePage, config: MkDocsConfig, files: Files) -> tuple[str, list[str]]:
    """Render a program as any other page is rendered."""
    assert page.file.abs_src_path
    try:
        markdown, drawn = programs.as_page(Path(page.file.abs_src_path), html)
    except programs.ProgramError as error:
        raise PluginError(str(error)) from None
    page.markdown = _below_title(markdown, [generated.about_program(Path(config.docs_dir), page.file.src_uri)])
    SitePage.render(page, config, files)  # of the class: mkdocs-jupyter has replaced that of this page
    return f'<div class="program">{page.content}</div>', drawn


def _formula(match: re.Match[str], page: SitePage) -> str:
    tex = unescape(match[2]).strip()[2:-2]  # without the delimiters that arithmatex leaves
    try:
        formula = str(math_core.LatexToMathML().convert_with_local_state(tex, displaystyle=match[1] == "div"))
        return formula.replace("<math display", '<math tabindex="0" display')  # it scrolls, by keyboard as well
    except math_core.LatexError as error:
        source = (page.markdown or "").split(tex.strip())[0]
        reason = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().splitlines()[0]
        raise PluginError(f"{page.file.src_uri}:{source.count(chr(10)) + 1}: {tex.strip()}: {reason}") from None


def _figure(match: re.Match[str], page: SitePage, files: Files) -> str:
    url = urljoin(page.url, match[2])
    file = next(file for file in files.media_files() if file.url == url)
    return figures.inline(file.content_string, Path(file.src_uri).stem, unescape(match[1]))


def _with_glossary(html: str, page: SitePage, docs: Path) -> str:
    """Lead from the words of a page to what they mean."""
    if page.file.src_uri == glossary.PAGE:
        return glossary.with_anchors(html)
    if not (docs / glossary.PAGE).is_file():
        return html
    address = get_relative_url(glossary.PAGE.replace(".md", "/"), page.url)
    return glossary.with_tooltips(html, glossary.read(docs / glossary.PAGE), address)


def _with_copies(html: str, page: SitePage, docs: Path) -> str:
    """Give each block that needs others the text that its second copy button copies (javascripts/copy.js)."""
    if '"language-python highlight"' not in html or not (docs / page.file.src_uri).is_file():
        return html
    chapter = Page.read(docs / page.file.src_uri)
    copies: dict[str, list[str]] = {}
    for block in chapter.blocks:
        copies.setdefault(block.source.strip("\n"), []).append(standalone.with_needs(chapter, block))

    def with_copy(match: re.Match[str]) -> str:
        source = unescape(re.sub(r"<[^>]+>", "", match[2])).strip("\n")
        copy = copies[source].pop(0)
        return match[0] if copy.strip("\n") == source else f'{match[1]} data-with-needs="{escape(copy)}">{match[2]}'

    return re.sub(r'(<div class="language-python highlight")>(.*?</pre>)', with_copy, html, flags=re.DOTALL)


def _with_explorables(html: str, page: SitePage, docs: Path) -> str:
    """Load the module of each `<explore-name>` on the page, and nothing on a page without.

    Of the styles, its own if any, only the addresses are there: `explorable.js` has them fetched with the widget.
    """
    html = re.sub(r"<p>(</?explore-\w+>)</p>", r"\1", html)
    names = re.findall(r"<explore-(\w+)>", html)
    modules = [f"explorables/{name}.js" for name in names]
    for module in modules:
        if not (docs / module).is_file():
            raise PluginError(f"{page.file.src_uri}: an explorable without its module docs/{module}")
    if not modules:
        return html
    own = (f"explorables/{name}.css" for name in names)
    styles = ["explorables/explorables.css", *(style for style in own if (docs / style).is_file())]
    links = (f'<link rel="stylesheet" href="{get_relative_url(style, page.url)}" disabled>' for style in styles)
    scripts = (f'<script type="module" src="{get_relative_url(module, page.url)}"></script>' for module in modules)
    return "".join([*links, html, *scripts])
