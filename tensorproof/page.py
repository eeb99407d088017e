"""The page model: which blocks of Python a page shows, and what it says each of them results in.

A page is plain Markdown. The model reads it line by line, so that a fence counts wherever a reader can
see it: in an admonition, a tab, a list, a footnote or a quotation. What it does not understand is an
error with file and line, never something passed over.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tensorproof import needs

RESULT_LANGUAGES = ("text", "pytb")
OTHER_LANGUAGES = ("console", "html", "markdown", "toml", "yaml")
BLOCK_DIRECTIVES = ("needs", "proves")
"""Comments on the line above a block."""
PAGE_DIRECTIVES = ("shows",)
"""Comments that the site replaces by something generated (see `site`)."""
GENERATED = ("claims", "record")
SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")
NO_BLOCK = "a directive stands on the line above a block; here is none"

CONTAINER = re.compile(r'^(?P<indent> *)(?:\?\?\?\+?|!!!|===)\s*(?P<kind>[\w -]*?)\s*(?:"(?P<title>.*)")?$')
"""The line that opens an admonition, a box to unfold or a tab."""

_FENCE = re.compile(r"^(?P<indent>[> ]*)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")
_COMMENT = re.compile(r"^[> ]*<!--\s*(?P<name>[\w-]+):\s*(?P<value>.*?)\s*-->\s*$")
_HEADING = re.compile(r"^(?P<level>#{1,6})\s+(?P<title>.+?)\s*#*$")
_IMAGE = re.compile(r"^(?P<indent>[> ]*)!\[(?P<alt>[^\]]*)\]\((?P<src>[^)\s]+)\)\s*$")
_IMAGE_IN_TEXT = re.compile(r"!\[[^\]]*\]\(|<img\b")
_INCLUDE = re.compile(r"^[> ]*-+8<-+")


class PageError(Exception):
    """A page breaks a rule of the form. The message starts with file and line."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.line = line


@dataclass
class Result:
    """What the page says follows from a block: printed text, a traceback's last line, or a figure."""

    kind: str
    """`text`, `pytb` or `figure`."""
    first: int
    last: int
    """Lines of the page it takes up, counted from 1, both included."""
    shown: str
    """The text of the fence, or the path of the figure relative to the page's folder."""
    indent: str
    alt: str = ""


@dataclass
class Block:
    """One piece of Python that a reader sees, with its results."""

    name: str
    """The heading it stands under and its number there: `shapes-line-up-2`."""
    source: str
    line: int
    """Line of the page that holds its first line of code, counted from 1."""
    last: int
    """Line of its closing fence."""
    indent: str
    heading: str
    anchor: str
    proves: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    results: list[Result] = field(default_factory=list)
    role: str = ""
    """`starter`, `check`, `solution` or `wrong` in an exercise, else empty."""
    check: Block | None = None
    """The check that a solution or a wrong answer is held against."""

    def result(self, kind: str) -> Result | None:
        return next((result for result in self.results if result.kind == kind), None)

    @property
    def is_answer(self) -> bool:
        """Whether it answers an exercise. It then leaves nothing behind, and is run together with its check."""
        return self.role in ("solution", "wrong")

    @property
    def figures(self) -> list[Result]:
        return [result for result in self.results if result.kind == "figure"]


@dataclass
class Page:
    """A Markdown file and the blocks in it, in the order in which they run."""

    path: Path
    text: str
    blocks: list[Block]
    headings: dict[int, str]
    """Line of each heading and its title."""

    @classmethod
    def read(cls, path: Path) -> Page:
        """Read a page.

        Raises:
            PageError: naming file and line, if the page breaks a rule of the form.
        """
        page = cls.parse(path.read_text("utf-8"), path)
        shown = {path.parent / figure.shown for block in page.blocks for figure in block.figures}
        for file in sorted(path.with_suffix("").glob("*.svg")):
            if file not in shown:
                problem = f"{path.stem}/{file.name} is a figure that no block draws: show it or remove it"
                raise PageError(path, 1, problem)
        return page

    @classmethod
    def parse(cls, text: str, path: Path) -> Page:
        """Read a page from its text; the path names it in errors and places its figures."""
        return _Reader(path, text).page()

    def as_program(self) -> list[str]:
        """Lines of a Python file in which every line of code has the line number that it has on the page.

        Tracebacks, `inspect.getsource` and debuggers read it in place of the Markdown. It is Python as a whole:
        blocks that show an error of syntax are left out.
        """
        lines = [""] * self.text.count("\n")
        for block in self.blocks:
            if (error := block.result("pytb")) and error.shown.startswith(SYNTAX_ERRORS):
                continue
            code = block.source.splitlines()
            lines[block.line - 1 : block.line - 1 + len(code)] = code
        return [line + "\n" for line in lines]


def anchor_of(title: str) -> str:
    """The anchor that the site gives a heading (the rule of Python-Markdown's `toc` extension)."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title)
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def with_site_links(text: str) -> str:
    """Text with its links to programs as the site needs them: `snippets/` lies beside `docs/`, and below it there."""
    return text.replace("../../snippets/", "../snippets/")


def unused_anchor(anchor: str, used: Collection[str]) -> str:
    """The anchor that a heading gets where others of its page have theirs (again the rule of `toc`)."""
    while anchor in used or not anchor:
        match = re.fullmatch(r"(.*)_(\d+)", anchor)
        anchor = f"{match[1]}_{int(match[2]) + 1}" if match else f"{anchor}_1"
    return anchor


class _Reader:
    """Walks once over the lines of a page."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        self.text = text
        self.blocks: list[Block] = []
        self.headings: dict[int, str] = {}
        self.containers: list[tuple[int, str]] = []  # indent and kind of the admonitions that are open
        self.directives: dict[str, tuple[str, ...]] = {}
        self.awaiting: Block | None = None  # the block that a following result belongs to
        self.heading = self.anchor = ""
        self.in_heading = 0
        self.anchors: set[str] = set()
        self.exercise: list[Block] | None = None

    def page(self) -> Page:
        number = 1
        while number <= len(self.lines):
            number = self.line(number)
        if self.directives:
            raise self.error(self.text.rstrip().count("\n") + 1, NO_BLOCK)
        self.end_exercise()
        return Page(self.path, self.text, self.blocks, self.headings)

    def error(self, line: int, problem: str) -> PageError:
        return PageError(self.path, line, problem)

    def line(self, number: int) -> int:
        """Read what starts on this line; return the number of the line after it."""
        line = self.lines[number - 1]
        if not line.strip(" >"):
            return number + 1
        self.leave_containers(line)
        if "\t" in line:
            raise self.error(number, "a tab: indent with spaces")
        if match := _FENCE.match(line):
            return self.fence(number, match)
        if "```" in line:
            raise self.error(number, "``` is not at the start of its line, so no block is made of it")
        if "<!--" in line:
            return self.comment(number, line)
        if self.directives:
            raise self.error(number, NO_BLOCK)
        if _INCLUDE.match(line):
            raise self.error(number, "an include: a page holds its own text, so that it reads well anywhere")
        if match := _IMAGE.match(line):
            return self.image(number, match)
        if match := CONTAINER.match(line):
            self.containers.append((len(match["indent"]), match["kind"]))
            return number + 1  # a result may stand in the collapsed question that follows its block
        if _IMAGE_IN_TEXT.search(line):
            raise self.error(number, "an image stands alone on its line: `![what it shows](page/figure.svg)`")
        self.awaiting = None
        if match := _HEADING.match(line):
            self.start_heading(number, match)
        return number + 1

    def leave_containers(self, line: str) -> None:
        indent = len(line) - len(line.lstrip())
        while self.containers and self.containers[-1][0] >= indent:
            self.containers.pop()

    def start_heading(self, number: int, match: re.Match[str]) -> None:
        self.end_exercise()
        self.heading, self.in_heading = match["title"], 0
        if self.heading.endswith("}"):
            raise self.error(number, "a heading ends with `}`: the site takes what is in braces for attributes")
        self.anchor = unused_anchor(anchor_of(self.heading), self.anchors)
        self.anchors.add(self.anchor)
        self.headings[number] = self.heading
        if re.match(r"Exercise\b", self.heading):
            self.exercise = []

    def comment(self, number: int, line: str) -> int:
        match = _COMMENT.match(line)
        known = ", ".join(BLOCK_DIRECTIVES + PAGE_DIRECTIVES)
        if not match or match["name"] not in BLOCK_DIRECTIVES + PAGE_DIRECTIVES:
            raise self.error(number, f"unknown directive {line.strip()!r}: a comment on a page is one of {known}")
        if match["name"] in PAGE_DIRECTIVES:
            if match["value"] not in GENERATED:
                problem = f"nothing is generated under the name {match['value']!r}: one of {', '.join(GENERATED)}"
                raise self.error(number, problem)
            return number + 1
        values = tuple(re.split(r"\s*,\s*", match["value"]))
        if "" in values:
            raise self.error(number, f"`{match['name']}` names nothing")
        if match["name"] == "needs" and (unknown := [value for value in values if value not in needs.EXPRESSIONS]):
            raise self.error(number, f"unknown need {unknown[0]!r}: one of {', '.join(needs.EXPRESSIONS)}")
        if match["name"] in self.directives:
            raise self.error(number, f"a second `{match['name']}` above one block")
        self.directives[match["name"]] = values
        return number + 1

    def fence(self, number: int, opening: re.Match[str]) -> int:
        indent, ticks, info = opening["indent"], opening["ticks"], opening["info"].strip()
        end = number + 1
        closing = re.compile(rf"^{re.escape(indent.rstrip())} *{re.escape(ticks)}+\s*$")
        while end <= len(self.lines) and not closing.match(self.lines[end - 1]):
            end += 1
        if end > len(self.lines):
            raise self.error(number, f"the fence {ticks}{info} is never closed")
        if self.lines[end - 1].rstrip() != indent + ticks:
            raise self.error(end, "the closing fence is not indented like its opening")
        content = [self.dedent(line, indent, number + 1 + at) for at, line in enumerate(self.lines[number : end - 1])]
        if info == "python":
            self.block(number, end, indent, content)
        elif self.directives:
            raise self.error(number, "a directive stands on the line above a block of Python")
        elif info in RESULT_LANGUAGES:
            self.result(Result(info, number, end, "\n".join(content), indent))
        elif info in OTHER_LANGUAGES:
            self.awaiting = None
        else:
            known = ", ".join(("python", *RESULT_LANGUAGES, *OTHER_LANGUAGES))
            raise self.error(number, f"a fence says {info!r}: it is one word, one of {known}")
        return end + 1

    def dedent(self, line: str, indent: str, number: int) -> str:
        if not line.startswith(indent.rstrip()) or (line.strip(" >") and not line.startswith(indent)):
            raise self.error(number, "a line of a fence is indented less than the fence")
        return line[len(indent) :]

    def block(self, number: int, end: int, indent: str, content: list[str]) -> None:
        if not "".join(content).strip():
            raise self.error(number, "an empty block")
        self.in_heading += 1
        block = Block(
            name=f"{self.anchor or 'top'}-{self.in_heading}",
            source="\n".join(content) + "\n",
            line=number + 1,
            last=end,
            indent=indent,
            heading=self.heading,
            anchor=self.anchor,
            proves=self.directives.get("proves", ()),
            needs=self.directives.get("needs", ()),
        )
        self.directives = {}
        self.blocks.append(block)
        self.awaiting = block
        if self.exercise is not None:
            self.in_exercise(block, number)

    def result(self, result: Result) -> None:
        if self.awaiting is None:
            raise self.error(result.first, f"a `{result.kind}` result follows no block")
        if result.kind != "figure" and self.awaiting.result(result.kind):
            raise self.error(result.first, f"a second `{result.kind}` result for one block")
        if result.kind == "text" and self.awaiting.results:
            raise self.error(result.first, "what a block prints stands before its error and its figures")
        self.awaiting.results.append(result)

    def image(self, number: int, match: re.Match[str]) -> int:
        if self.awaiting is None or not match["src"].endswith(".svg"):
            problem = "an image that no block draws: a figure is an .svg and follows the block that draws it"
            raise self.error(number, problem)
        if not re.fullmatch(rf"{re.escape(self.path.stem)}/[\w-]+\.svg", match["src"]):
            raise self.error(number, f"the figures of this page lie in {self.path.stem}/, and {match['src']} does not")
        if not match["alt"].strip():
            raise self.error(number, "a figure without an alt text: say what it shows")
        self.result(Result("figure", number, number, match["src"], match["indent"], match["alt"]))
        return number + 1

    def in_exercise(self, block: Block, number: int) -> None:
        """Give the block its role: starter, check, then answers in `??? success` and `??? failure`."""
        assert self.exercise is not None
        kind = self.containers[-1][1] if self.containers else ""
        if len(self.exercise) < 2:
            if kind:
                raise self.error(number, "an exercise starts with two blocks in the open: the starter and its check")
            block.role = ("starter", "check")[len(self.exercise)]
        elif kind in ("success", "failure"):
            block.role = {"success": "solution", "failure": "wrong"}[kind]
            block.check = self.exercise[1]
        else:
            raise self.error(number, "an answer stands in `??? success` (a solution) or `??? failure` (a wrong answer)")
        self.exercise.append(block)

    def end_exercise(self) -> None:
        if self.exercise is None:
            return
        roles = [block.role for block in self.exercise]
        for role in ("starter", "check", "solution", "wrong"):
            if role not in roles:
                line = max(self.headings)  # the last heading so far is that of the exercise
                raise self.error(line, f"the exercise {self.heading!r} has no {role}{' answer' * (role == 'wrong')}")
        for block in self.exercise:
            fails = block.role in ("check", "wrong")
            if fails and block.result("pytb") is None:
                who = "starter" if block.role == "check" else "wrong answer"
                raise self.error(block.last, f"show how the {who} fails its check: a `pytb` result")
            if not fails and block.result("pytb") is not None:
                raise self.error(block.last, f"the {block.role} of an exercise raises nothing")
        self.exercise = None
