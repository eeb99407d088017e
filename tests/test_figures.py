"""Figures follow the colours of their page, and two of them are the same if the eye cannot tell them apart."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tensorproof import figures
from tensorproof.session import environment

DRAW = """
import matplotlib.pyplot as plt
import numpy as np
from tensorproof.figures import take

_, (left, right) = plt.subplots(1, 2, figsize=(4, 1.5))
left.plot([1, 2, 4], label="doubling")
left.set_title("growth & more")
left.legend()
right.imshow(np.arange(12).reshape(3, 4))
print(*take())
"""


def draw() -> str:
    run = subprocess.run([sys.executable, "-c", DRAW], env=environment(), capture_output=True, text=True, check=True)
    return run.stdout


@pytest.fixture(scope="module")
def drawn() -> str:
    return draw()


def test_a_figure_drawn_twice_is_the_same_to_the_byte(drawn: str) -> None:
    assert draw() == drawn


def test_black_is_the_colour_of_the_text_around_a_figure(drawn: str) -> None:
    assert "#000000" not in drawn
    assert 'fill="currentColor"' in drawn, "text"
    assert "stroke: currentColor" in drawn, "the axes"
    assert "#5c7cfa" in drawn, "the first colour of the book"
    assert "prefers-color-scheme:dark" in drawn


def test_a_figure_holds_its_text_and_no_date(drawn: str) -> None:
    assert ">doubling</text>" in drawn
    assert ">growth &amp; more</text>" in drawn
    assert "<metadata" not in drawn
    assert "<!--" not in drawn


def test_every_id_of_a_figure_is_used(drawn: str) -> None:
    for identifier in re.findall(r' id="([^"]+)"', drawn):
        assert f"#{identifier}" in drawn


def moved(svg: str, by: float) -> str:
    """The figure with the first coordinate of its curve moved."""
    found = re.search(r"(?<=M )(\d+\.\d+)(?= [^\"]*\" clip-path)", svg)
    assert found
    return svg[: found.start()] + f"{float(found[0]) + by:.3f}" + svg[found.end() :]


def test_a_coordinate_may_differ_where_the_eye_cannot_see_it(drawn: str) -> None:
    assert figures.difference(drawn, drawn) == ""
    assert figures.difference(drawn, moved(drawn, 0.015)) == ""
    assert figures.difference(moved(drawn, -0.015), drawn) == ""


@pytest.mark.parametrize("by", [0.03, -0.03, 5])
def test_a_coordinate_that_moves_is_a_difference(drawn: str, by: float) -> None:
    assert re.match(r"line \d+ has '.*' on file and '.*' as drawn", figures.difference(drawn, moved(drawn, by)))


@pytest.mark.parametrize(
    ("old", "new"),
    [("doubling", "tripling"), (">0<", ">0.01<"), ("#5c7cfa", "#5c7cfb"), ("stroke-width: 1.8", "stroke-width: 2.8")],
    ids=["a word", "a tick label", "a colour", "a width"],
)
def test_a_word_a_number_a_colour_and_a_width_are_differences(drawn: str, old: str, new: str) -> None:
    assert old in drawn
    assert figures.difference(drawn, drawn.replace(old, new, 1))


def test_a_missing_line_is_a_difference(drawn: str) -> None:
    assert re.fullmatch(r"\d+ lines on file, \d+ as drawn", figures.difference(drawn, drawn + "<g/>\n"))
    assert figures.difference(drawn + "<g/>\n", drawn)


def picture(pixel: int, level: int = 9, shape: tuple[int, int] = (2, 2)) -> str:
    """An SVG with a picture in it, of one colour, compressed at a level."""
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", shape, pixel).save(buffer, "png", compress_level=level)
    return f'<svg>\n<image href="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"/>\n</svg>\n'


def test_pictures_in_a_figure_are_compared_by_their_pixels() -> None:
    assert picture(100, level=0) != picture(100, level=9)
    assert figures.difference(picture(100, level=0), picture(100, level=9)) == ""
    assert figures.difference(picture(100), picture(102)) == ""
    assert figures.difference(picture(100), picture(103)) == "picture 1 differs by up to 3 of 255"
    assert figures.difference(picture(100), picture(100, shape=(2, 3))).startswith("picture 1 is (2, 2, 4) on file")


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("RGB", (1, 2, 3)), ("RGBA", (1, 2, 3, 4))])
def test_a_picture_in_a_figure_keeps_its_pixels_and_only_the_channels_that_it_needs(
    mode: str, colour: int | tuple[int, ...]
) -> None:
    import base64
    import io

    from PIL import Image

    original = Image.new(mode, (3, 2), colour)
    buffer = io.BytesIO()
    original.convert("RGBA").save(buffer, "png", compress_level=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    svg = f'<svg>\n<style type="text/css"></style><image href="data:image/png;base64,{data}"/>\n</svg>\n'
    kept = figures.normal(svg)
    data = re.search('base64,([^"]+)', kept)
    assert data
    stored = Image.open(io.BytesIO(base64.b64decode(data[1])))
    assert (stored.mode, stored.tobytes()) == (mode, original.tobytes())


def test_a_figure_in_a_page_has_its_name_its_own_ids_and_the_colours_of_the_page(drawn: str) -> None:
    first = figures.inline(drawn, "growth", 'A "rising" line')
    second = figures.inline(drawn, "other", "A line")
    assert 'role="img" aria-label="A &quot;rising&quot; line"' in first
    assert "<style>" not in first
    ids = re.findall(r' id="([^"]+)"', first)
    assert ids
    assert not set(ids) & set(re.findall(r' id="([^"]+)"', second))
    for reference in re.findall(r'(?:href="|url\()#([^")]+)', first):
        assert reference in ids
