"""Every local address in the built site leads to a file that is there, and to an anchor that is there."""

import re
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from browser import SITE_URL
from lxml import html

BASE = "http://site.test/"
ADDRESSES = ("href", "src", "xlink:href")


def broken_links(site: Path, base: str = BASE) -> list[str]:
    """The addresses of a built site that lead nowhere, each with its page or stylesheet.

    Args:
        site: Its folder.
        base: The address that it was built for.
    """
    pages = {file: html.document_fromstring(file.read_bytes()) for file in site.rglob("*.html")}
    anchors = {file: {*page.xpath("//@id")} for file, page in pages.items()}
    broken = []
    for file, page in pages.items():
        here = base + file.relative_to(site).as_posix().removesuffix("index.html")
        for element in page.iter():
            for name in ADDRESSES:
                address = element.get(name)
                if address is not None and leads_nowhere(urljoin(here, address), site, base, anchors):
                    broken.append(f"{file.relative_to(site)}: {name}={address}")
    for file in site.rglob("*.css"):
        here = base + file.relative_to(site).as_posix()
        for address in re.findall(r"url\(['\"]?([^'\")]+)", file.read_text("utf-8")):
            if leads_nowhere(urljoin(here, address), site, base, anchors):
                broken.append(f"{file.relative_to(site)}: url({address})")
    return broken


def leads_nowhere(address: str, site: Path, base: str, anchors: dict[Path, set[str]]) -> bool:
    address, anchor = urldefrag(address)
    if not address.startswith(base):
        return False
    file = site / unquote(urlsplit(address).path).removeprefix(urlsplit(base).path)
    file = file / "index.html" if file.is_dir() else file
    return not file.is_file() or bool(anchor and anchor not in anchors.get(file, ()))


def test_every_local_address_leads_somewhere(built_site):
    assert broken_links(built_site, SITE_URL) == []


SOUND = '<h1 id="top">Title</h1><a href="#top">up</a><a href="https://example.org/gone">far</a><img src="data:,">'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text(SOUND)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "index.html").write_text('<a id="here" href="../">home</a>')
    (tmp_path / "style.css").write_text("a { background: url(index.html) }")
    return tmp_path


def test_a_sound_site_has_no_broken_link(site):
    assert broken_links(site) == []


@pytest.mark.parametrize(
    "fault",
    [
        'href="gone.html"',
        'href="gone/"',
        'href="#gone"',
        'href="part/#gone"',
        'href="part/index.html#top"',
        'href="/gone"',
        f'href="{BASE}gone"',
        'src="gone.js"',
        'src="gone.png?width=3"',
    ],
)
def test_a_broken_link_is_found(site, fault):
    (site / "index.html").write_text(f"{SOUND}<a {fault}>fault</a>")
    name, value = fault.split("=", 1)
    assert broken_links(site) == [f"index.html: {name}={value[1:-1]}"]


def test_a_stylesheet_that_wants_a_missing_file_is_found(site):
    (site / "style.css").write_text("a { background: url('gone.svg') }")
    assert broken_links(site) == ["style.css: url(gone.svg)"]


def test_links_that_lead_somewhere_else_on_the_site_are_followed(site):
    (site / "index.html").write_text(f'{SOUND}<a href="part/#here">there</a><a href="part/index.html">there</a>')
    assert broken_links(site) == []
