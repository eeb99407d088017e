"""Figures that follow the page: SVG whose black is the colour of the text around it.

A figure file is an SVG that any viewer shows, in the colours of the system's light or dark mode. The site
puts it into the page itself (`inline`), where it takes the page's own colours and its text is selectable.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Callable
from html import escape

STYLE = "<style>:root{color:#1f2328}@media(prefers-color-scheme:dark){:root{color:#e6edf3}}</style>"
"""Colours of a figure that stands alone."""
PIXELS = 0.02
"""How far a coordinate may move, in px: renderings of one figure differ in their last digit."""

_NUMBER = re.compile(r"-?\d+\.\d+")
_COORDINATE = re.compile(r"-?\d+(?:\.\d+)?")
_WRITTEN = re.compile(r">([^<]+)<")
_PICTURE = re.compile(r'data:image/png;base64,([A-Za-z0-9+/=\s]+)"')


def take() -> list[str]:
    """The open figures of matplotlib as SVG, in the order in which they were opened; they are closed."""
    import matplotlib.pyplot as plt

    taken = []
    for number in plt.get_fignums():
        buffer = io.StringIO()
        plt.figure(number).savefig(buffer, format="svg", metadata={"Date": None})
        taken.append(normal(buffer.getvalue()))
    plt.close("all")
    return taken


def normal(svg: str) -> str:
    """Matplotlib's SVG without what varies or repeats, in the colours of its surroundings."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", STYLE, svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[\d.]+pt" height="[\d.]+pt"', r"\1", svg, count=1)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(?<![&\w])#000000", "currentColor", svg)
    # Text has no fill of its own in matplotlib's SVG: it takes black by default.
    svg = re.sub(r"<svg ", '<svg fill="currentColor" ', svg, count=1)
    svg = _PICTURE.sub(lambda match: f'data:image/png;base64,{_smallest(match[1])}"', svg)
    svg = _outside_pictures(lambda part: _NUMBER.sub(_two_digits, part), svg)
    referenced = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in referenced else "", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def _smallest(picture: str) -> str:
    """A PNG with the same pixels and fewer bytes: without the channels that tell nothing."""
    from PIL import Image

    pixels = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA")
    for mode in ("L", "RGB", "RGBA"):
        if pixels.convert(mode).convert("RGBA") == pixels:
            break
    buffer = io.BytesIO()
    pixels.convert(mode).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _two_digits(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _outside_pictures(change: Callable[[str], str], svg: str) -> str:
    """Apply a change to an SVG but not inside the pictures that it carries."""
    parts = re.split(r"(data:image/png;base64,[A-Za-z0-9+/=\s]+)", svg)
    return "".join(part if part.startswith("data:") else change(part) for part in parts)


def difference(shown: str, drawn: str) -> str:
    """What tells two figures apart, in words; empty if they are the same to the eye."""
    if shown == drawn:
        return ""
    on_file, as_drawn = _lines(shown), _lines(drawn)
    for number, (a, b) in enumerate(zip(on_file, as_drawn, strict=False), 1):
        if not _same_line(a, b):
            same = len(os.path.commonprefix([a, b]))  # noqa: RUF071  # of characters, it is no path
            part = slice(max(0, same - 30), same + 50)
            return f"line {number} has {a[part]!r} on file and {b[part]!r} as drawn"
    if len(on_file) != len(as_drawn):
        return f"{len(on_file)} lines on file, {len(as_drawn)} as drawn"
    return _different_pictures(shown, drawn)


def _lines(svg: str) -> list[str]:
    return _PICTURE.sub('a picture"', svg).splitlines()


def _same_line(a: str, b: str) -> bool:
    """Coordinates may differ by `PIXELS`; all else, what is written in the figure included, is the same."""
    if _WRITTEN.findall(a) != _WRITTEN.findall(b) or _COORDINATE.sub("#", a) != _COORDINATE.sub("#", b):
        return False
    return all(
        abs(float(p) - float(q)) <= PIXELS for p, q in zip(_COORDINATE.findall(a), _COORDINATE.findall(b), strict=True)
    )


def _different_pictures(shown: str, drawn: str) -> str:
    """Pictures inside a figure are compared by their pixels: the bytes of a PNG depend on the zlib at hand."""
    import numpy as np
    from PIL import Image

    for number, (a, b) in enumerate(zip(_PICTURE.findall(shown), _PICTURE.findall(drawn), strict=True), 1):
        pixels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"), int) for data in (a, b)]
        if pixels[0].shape != pixels[1].shape:
            return f"picture {number} is {pixels[0].shape} on file and {pixels[1].shape} as drawn"
        if (apart := int(abs(pixels[0] - pixels[1]).max())) > 2:
            return f"picture {number} differs by up to {apart} of 255"
    return ""


def inline(svg: str, name: str, alt: str) -> str:
    """A figure as part of an HTML page: it takes the colours of the page, and its ids are its own."""
    svg = svg.replace(STYLE, "")
    if identifiers := re.findall(r' id="([^"]+)"', svg):
        known = "|".join(map(re.escape, identifiers))
        svg = re.sub(rf'(\bid="|#)({known})\b', rf"\1{name}-\2", svg)
    # References stay `xlink:href`: Material's instant navigation breaks on pictures and markers with a plain `href`.
    svg = re.sub(r' xmlns:xlink="[^"]*"| version="[^"]*"', "", svg)
    svg = " ".join(line.strip() for line in svg.splitlines())
    return svg.replace("<svg ", f'<svg class="figure" role="img" aria-label="{escape(alt)}" ', 1)
