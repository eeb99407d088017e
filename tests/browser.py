"""A browser for the tests, and a server that hands it the built site as a host of static files would."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from filelock import FileLock
from fresh import WarmKernels
from playwright.sync_api import Browser, Error, Page, sync_playwright

ROOT = Path(__file__).parent.parent
PAGE_BUDGET = 100_000
PROGRAM_BUDGET = 150_000
"""Bytes that a first visit of a page, or of a program, may transfer."""

NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
"""The first has no window around its pages, which halves the time of a visit."""
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SITE_URL = "http://book.localhost/"
"""The address that the site is built for: one for all, so that it is built once. A browser takes it for a safe one."""
NO_BROWSER = (
    "no Chromium, so nothing was tested in a browser: `apt-get install chromium`, `brew install --cask google-chrome`, "
    "or name one in CHROMIUM"
)


def find_chromium() -> str | None:
    """The path of a Chromium on this machine, which `CHROMIUM` may name."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named)
    return next(filter(None, map(shutil.which, (*NAMES, *PLACES))), None)


class Server:
    """Serves a folder on a free port, compressed, and counts the bytes that it sends.

    Args:
        folder: What to serve.
        url: Where a browser finds it, if it knows the port by another name.
    """

    def __init__(self, folder: Path, url: str = "") -> None:
        self.sent: list[tuple[str, int]] = []
        """Path and bytes of each answer, its header included."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, sent=self.sent, directory=str(folder)))
        self.place = f"127.0.0.1:{self._server.server_port}"
        self.url = url or f"http://{self.place}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def knows_only(server: Server) -> str:
    """The switch with which a browser finds the site and no other host. Workers are out of reach of `Page.route`."""
    site = f"MAP {urlsplit(server.url).hostname}:80 {server.place}"
    return f"--host-resolver-rules={site}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, sent: list[tuple[str, int]], directory: str) -> None:
        self.sent = sent
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        file = file / "index.html" if file.is_dir() else file
        found = file.is_file()
        if not found:
            file = Path(self.directory) / "404.html"
        body = file.read_bytes() if file.is_file() else b""
        kind = self.guess_type(file)
        if kind.startswith("text/") or kind.endswith(("javascript", "json", "xml")):
            body = gzip.compress(body, 6)  # the level that servers use
        answer = BytesIO()
        answer.write(f"HTTP/1.1 {200 if found else 404} \r\nContent-Type: {kind}\r\n".encode())
        answer.write(b"Content-Encoding: gzip\r\n" if body[:2] == b"\x1f\x8b" else b"")
        answer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.sent.append((self.path, len(answer.getvalue())))
        self.wfile.write(answer.getvalue())

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests print what matters."""


WRONG = ("error", "warning")
"""What a page may not say on the console. An error in the worker of a search is a warning to Material."""


class Visit:
    """A page of the site in a tab of its own.

    Attributes:
        page: The tab.
        complaints: What went wrong: errors and warnings on the console, requests that failed, requests to another host.
    """

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.complaints: list[str] = []
        page.on("console", lambda said: said.type in WRONG and self.complaints.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self._asked(request.url))
        page.on("response", lambda answer: answer.ok or self.complaints.append(f"{answer.status}: {answer.url}"))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob") and not url.startswith(self.server.url):
            self.complaints.append(f"another host: {url}")

    def go(self, path: str, until: str = "networkidle") -> Visit:
        """Open a page of the site and wait until it asks for nothing more, or for an event."""
        self.server.sent.clear()
        self.page.goto(self.server.url + path, wait_until=until)
        return self

    def until_asked_for(self, path: str) -> Visit:
        """Wait for a request. A page asks for nothing while its scripts run, and that can outlast the wait of `go`."""
        for _ in range(200):
            if any(asked == path for asked, _ in self.server.sent):
                return self
            self.page.wait_for_timeout(50)
        pytest.fail(f"the page has not asked for {path} within 10 seconds")

    @property
    def transferred(self) -> int:
        """Bytes that the server has sent since the page was opened, in packed form, headers included."""
        return sum(size for _, size in self.server.sent)


LOOKS = """
const grounds = new Map();
const ground = (box) => {  // all that is behind a text, and what style sheets know its boxes by
    if (box && !grounds.has(box)) {
        const { backgroundColor, backgroundImage, opacity } = getComputedStyle(box);
        const own = [box.tagName, box.className, backgroundColor, backgroundImage, opacity];
        grounds.set(box, [...own, ground(box.parentElement)].join());
    }
    return grounds.get(box);
};
"""
KEEP_ONE_TOKEN_OF_EACH_LOOK = f"""
() => {{
    {LOOKS}
    const looks = new Set();
    for (const token of document.querySelectorAll("code span:not(:has(*))")) {{
        const look = token.className + token.style.cssText + ground(token.parentElement);
        if (looks.has(look)) token.replaceWith(...token.childNodes);
        looks.add(look);
    }}
    document.body.normalize();
}}
"""
MARK_ONE_TEXT_OF_EACH_LOOK = f"""
(root) => {{
    {LOOKS}
    const looks = new Set();
    for (const box of document.querySelectorAll(`${{root}} *`)) {{
        const text = [...box.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
        const {{ color, fontSize, fontWeight, textShadow }} = getComputedStyle(box);
        const look = [color, fontSize, fontWeight, textShadow, ground(box)].join();
        const visible = text && box.checkVisibility({{ visibilityProperty: true }});
        box.toggleAttribute("data-look", visible && !looks.has(look));
        if (visible) looks.add(look);
    }}
}}
"""


RUN_AXE = """
async (context) => {
    const options = { resultTypes: ["violations"] };  // to list all that passes takes as long again
    const { violations } = await axe.run(context ?? document, options);
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
}
"""


def axe_findings(page: Page, context: str | None = None) -> list[str]:
    """What axe finds on a page, or in a part of it.

    Axe takes milliseconds for the contrast of each of thousands of texts. So it looks at one of those that look the
    same, and afterwards the page holds only one token of code of each look.
    """
    page.evaluate(KEEP_ONE_TOKEN_OF_EACH_LOOK)
    page.evaluate(MARK_ONE_TEXT_OF_EACH_LOOK, context or "body")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
        page.evaluate("axe.configure({ rules: [{ id: 'color-contrast', selector: '[data-look]' }] })")
    return page.evaluate(RUN_AXE, context)


@pytest.fixture(scope="session")
def site_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where the site is built, by one of the processes that run the tests."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "site"


@pytest.fixture(scope="session")
def built_site(site_folder: Path) -> Path:
    """The folder of the book's site, built as its readers get it; `server` serves it."""
    with FileLock(f"{site_folder}.lock"):
        if not site_folder.exists():
            begun = f"{site_folder}-begun"
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", begun]
            kernel = json.loads((ROOT / "tensorproof" / "kernels" / "book" / "kernel.json").read_text("utf-8"))
            arguments = kernel["argv"][3:]  # those of `python -m ipykernel_launcher`
            style = {"MATPLOTLIBRC": str(ROOT / "tensorproof" / "matplotlibrc")}  # it is read when pyplot is loaded
            kernels = WarmKernels(os.environ | style, "book", arguments)  # else each program would load torch
            environment = os.environ | {"SITE_URL": SITE_URL, "JUPYTER_PATH": kernels.folder.name}
            process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
            kernels.close()
            assert process.returncode == 0, process.stderr
            Path(begun).rename(site_folder)
    return site_folder


@pytest.fixture(scope="session")
def server(site_folder: Path) -> Iterator[Server]:
    server = Server(site_folder, SITE_URL)
    yield server
    server.close()


def launched(server: Server) -> Iterator[Browser]:
    """A browser that is open until whoever asked for it is done."""
    path = find_chromium()
    if path is None:
        pytest.fail(NO_BROWSER) if os.environ.get("CI") else pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=[*SWITCHES, knows_only(server)])
        except Error as error:
            pytest.fail(f"{path} does not start: {error}")
        yield browser
        browser.close()


chromium = pytest.fixture(launched, scope="module", name="chromium")
"""One for each file: an open browser keeps an event loop running, and notebooks need theirs."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give all tests that need a browser one place, so that pytest says in one line that they were skipped."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].endswith(NO_BROWSER):
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture
def visit(chromium: Browser, server: Server, built_site: Path) -> Iterator[Callable[..., Visit]]:
    """Open a page as on a first visit: `visit("tensors/rank/", scheme="dark", width=390)`."""
    contexts = []

    def open_page(
        path: str, scheme: str = "light", width: int = 1280, javascript: bool = True, until: str = "networkidle"
    ) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=javascript,
            permissions=["clipboard-read"],
        )
        contexts.append(context)
        return Visit(context.new_page(), server).go(path, until)

    yield open_page
    for context in contexts:
        context.close()
