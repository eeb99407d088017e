"""What the site adds to the pages: figures and formulae in place, programs as pages, the record, the claims.

MkDocs calls the functions named `on_…` (`hooks:` in mkdocs.yml) in the order in which they stand here.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import math_core
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page as SitePage
from mkdocs.utils import get_relative_url

from tensorproof import claims, figures, programs, record
from tensorproof.page import Page

_styles: dict[str, str] = {}
"""The stylesheets that this build found inside pages, by their place on the site."""


def on_config(config: MkDocsConfig) -> None:
    """Keep what programs printed where only these versions find it."""
    root = Path(config.config_file_path).parent
    config.plugins["mkdocs-jupyter"].config["cache_dir"] = str(programs.cache_folder(root))


@event_priority(100)  # before mkdocs-jupyter looks for its files
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every program under `snippets/` is a page of the site."""
    root = Path(config.config_file_path).parent
    for program in sorted((root / "snippets").rglob("*.py")):
        files.append(File(program.relative_to(root).as_posix(), str(root), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: SitePage, config: MkDocsConfig, files: Files) -> str:
    """Put in what `<!-- shows: … -->` asks for, and below a chapter's title how it was tested."""
    docs = Path(config.docs_dir)
    generated = {"record": _record, "claims": _claims}
    markdown = re.sub(r"<!-- shows: (\w+) -->", lambda match: generated[match[1]](docs), markdown)
    markdown = markdown.replace("](../../snippets/", "](../snippets/")  # beside docs/ in the repository, below it here
    if "```python" in markdown:
        markdown = re.sub(
            r"^(# .+)$",
            lambda match: f"{match[1]}\n\n{_tested_line(docs, page)}",
            markdown,
            count=1,
            flags=re.MULTILINE,
        )
    return markdown


def on_page_content(html: str, page: SitePage, config: MkDocsConfig, files: Files) -> str:
    """Set formulae as MathML, put figures into the page, where they take its colours, and make programs lean."""
    if programs.is_program(html):
        html, _styles[programs.STYLESHEET] = programs.without_styles(html)
        return f'<link rel="stylesheet" href="{get_relative_url(programs.STYLESHEET, page.url)}">{html}'
    html = re.sub(
        r'<(span|div) class="arithmatex">(.*?)</\1>', lambda match: _formula(match, page), html, flags=re.DOTALL
    )
    html = re.sub(r'<img alt="([^"]*)" src="([^":]+\.svg)" ?/?>', lambda match: _figure(match, page, files), html)
    return _with_explorables(html, page, Path(config.docs_dir))


def on_post_build(config: MkDocsConfig) -> None:
    """Write the stylesheets that the pages share."""
    for place, style in _styles.items():
        file = Path(config.site_dir) / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(style, "utf-8")


def _formula(match: re.Match[str], page: SitePage) -> str:
    tex = unescape(match[2]).strip()[2:-2]  # without the delimiters that arithmatex leaves
    try:
        return str(math_core.LatexToMathML().convert_with_local_state(tex, displaystyle=match[1] == "div"))
    except math_core.LatexError as error:
        source = (page.markdown or "").split(tex.strip())[0]
        reason = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().splitlines()[0]
        raise PluginError(f"{page.file.src_uri}:{source.count(chr(10)) + 1}: {tex.strip()}: {reason}") from None


def _figure(match: re.Match[str], page: SitePage, files: Files) -> str:
    url = urljoin(page.url, match[2])
    file = next(file for file in files.media_files() if file.url == url)
    return figures.inline(file.content_string, Path(file.src_uri).stem, unescape(match[1]))


def _with_explorables(html: str, page: SitePage, docs: Path) -> str:
    """Load the module of each `<explore-name>` on the page, and none on a page without."""
    html = re.sub(r"<p>(</?explore-\w+>)</p>", r"\1", html)
    modules = [f"explorables/{name}.js" for name in re.findall(r"<explore-(\w+)>", html)]
    for module in modules:
        if not (docs / module).is_file():
            raise PluginError(f"{page.file.src_uri}: an explorable without its module docs/{module}")
    if not modules:
        return html
    style = get_relative_url("explorables/explorables.css", page.url)
    scripts = (f'<script type="module" src="{get_relative_url(module, page.url)}"></script>' for module in modules)
    return f'<link rel="stylesheet" href="{style}">{html}{"".join(scripts)}'


def _tested_line(docs: Path, page: SitePage) -> str:
    """One line that says with what the blocks of the page ran last as they are, or that they did not."""
    here = record.fingerprints(Page.read(docs / page.file.src_uri))
    current = {
        name: entry
        for name, entry in record.read(docs / "reference" / "tested.json").items()
        if entry["pages"].get(page.file.src_uri, {}).get("fingerprints") == here
    }
    to_record = "../" * page.file.src_uri.count("/") + "reference/tested.md"
    if not current:
        return f"*The code of this page has [not been tested]({to_record}) since it was last changed.*\n{{ .tested }}"
    name, entry = max(current.items(), key=lambda item: (item[1]["date"], item[0]))
    counts = entry["pages"][page.file.src_uri]
    others = f", and with {_number(len(current) - 1, 'other set-up')}" if len(current) > 1 else ""
    return f"*[Tested]({to_record}) {entry['date']}: {_counts(counts)}, with {name}{others}.*\n{{ .tested }}"


def _counts(counts: dict[str, Any]) -> str:
    """What ran on a page, in words: `34 blocks ran: 19 results, 14 errors, 1 figure, 2 exercises`."""
    said = [_number(counts[kind], kind.removesuffix("s")) for kind in record.COUNTED[1:] if counts[kind]]
    if counts["skips"]:
        said.append(f"{len(counts['skips'])} skipped")
    return f"{_number(counts['blocks'], 'block')} ran: {', '.join(said) or 'nothing shown'}"


def _number(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _record(docs: Path) -> str:
    """The whole record in Markdown: for each surroundings a table of the pages that ran there."""
    parts = []
    entries = record.read(docs / "reference" / "tested.json")
    for name, entry in sorted(entries.items(), key=lambda item: (item[1]["date"], item[0]), reverse=True):
        rows = ["| Page | Code | What ran | Skipped |", "|---|---|---|---|"]
        for page, counts in entry["pages"].items():
            file = docs / page
            current = file.exists() and record.fingerprints(Page.read(file)) == counts["fingerprints"]
            skips = "; ".join(f"{skip['block']}: {skip['reason']}" for skip in counts["skips"]) or "nothing"
            link = f"[{page.removesuffix('.md')}](../{page})" if file.exists() else page
            rows.append(f"| {link} | {'as shown' if current else 'changed since'} | {_counts(counts)} | {skips} |")
        parts.append(f"## {name}\n\nLast run {entry['date']}.\n\n" + "\n".join(rows))
    return "\n\n".join(parts) or "No run has been recorded."


def _claims(docs: Path) -> str:
    """Every claim with its verdict, what is so, and links to the blocks that prove it."""
    ledger = claims.read(docs / "reference" / "claims.yaml")
    found = claims.proofs([Page.read(file) for file in sorted(docs.rglob("*.md"))])
    items = []
    for claim in ledger:
        links = {
            f"[{proof.block.heading}](../{proof.page.path.relative_to(docs).as_posix()}#{proof.block.anchor})"
            for proof in found.get(claim.id, [])
        }
        verdict = claim.verdict.replace("-", " ").capitalize()
        items.append(f"- **{claim.claim}** *{verdict}.* {claim.fact} See {' and '.join(sorted(links))}.")
    return "\n".join(items)
