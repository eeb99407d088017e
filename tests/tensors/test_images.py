"""What can come back comes back to the last level, and what cannot is named."""

from __future__ import annotations

import io
import os
import re
import runpy
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/images.py"
images = SimpleNamespace(**runpy.run_path(str(PROGRAM)))

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
COLORS[0, 0], COLORS[0, 1] = 0, 255
DEEP = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(image, kind="PNG", background="white", **options):
    return images.decode(saved(image, kind, **options), "picture", background)


def levels(picture, white=255):
    """The numbers of a picture as (H, W, 3) levels."""
    return (picture.pixels.double() * white).round().int().permute(1, 2, 0).numpy()


def rgb():
    return Image.fromarray(COLORS)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_colours_are_read_to_the_last_level(kind):
    picture = decoded(rgb(), kind)
    assert (picture.pixels.shape, picture.pixels.dtype) == ((3, 5, 7), torch.float32)
    assert np.array_equal(levels(picture), COLORS)
    assert picture.pixels.tolist() == (torch.tensor(COLORS).permute(2, 0, 1) / 255).tolist()
    assert (picture.bits, picture.done, picture.lost) == (8, (), ())
    assert picture.source == f"{kind}, 7 x 5, mode RGB"


def test_a_grey_picture_has_three_equal_channels():
    grey = COLORS[..., 0]
    picture = decoded(Image.fromarray(grey))
    assert np.array_equal(levels(picture), np.stack([grey] * 3, axis=2))
    assert picture.pixels.is_contiguous()
    assert picture.lost == ()


def test_a_bool_picture_is_black_and_white():
    mask = COLORS[..., 0] > 127
    picture = decoded(Image.fromarray(mask))
    assert picture.pixels[1].tolist() == mask.astype(float).tolist()
    assert (picture.bits, picture.lost) == (1, ())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(kind):
    picture = decoded(Image.fromarray(DEEP), kind)
    assert np.array_equal(levels(picture, 65535)[..., 2], DEEP)
    assert (picture.bits, picture.lost) == (16, ())


def test_every_level_of_sixteen_bits_comes_back(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    picture = decoded(Image.fromarray(every))
    assert images.write(picture.pixels, tmp_path / "deep.png", bits=16) == []
    assert np.array_equal(np.array(Image.open(tmp_path / "deep.png")), every)


def test_a_portable_map_of_sixteen_bits_has_its_white_at_65535():
    picture = decoded(Image.fromarray(DEEP.astype(np.int32)), "PPM")
    assert np.array_equal(levels(picture, 65535)[..., 0], DEEP)


def deep_colour_png():
    """A PNG with 16 bits for each of three colours, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.stack([DEEP] * 3, axis=2))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + data


def test_that_half_of_sixteen_bits_is_lost_in_colour_is_said():
    picture = images.decode(deep_colour_png(), "picture")
    assert np.array_equal(levels(picture)[..., 0], DEEP >> 8)
    assert picture.lost == ("8 of 16 bits: Pillow keeps 16 for grey pictures only",)


def test_a_palette_becomes_its_colours():
    painted = rgb().quantize(6)
    picture = decoded(painted)
    assert np.array_equal(levels(picture), np.array(painted.convert("RGB")))
    assert picture.done == ("the colours looked up in the palette",)
    assert picture.lost == ()


@pytest.mark.parametrize(
    ("background", "ground"), [("white", [255] * 3), ("black", [0] * 3), ("#ff8000", [255, 128, 0])]
)
def test_alpha_mixes_a_pixel_with_the_background(background, ground):
    alpha = np.full((5, 7), 255, dtype=np.uint8)
    alpha[0, :3] = 0, 51, 204
    picture = decoded(Image.fromarray(np.dstack([COLORS, alpha])), background=background)
    weight = alpha[..., None] / 255
    expected = (COLORS * weight + np.array(ground) * (1 - weight)) / 255
    assert np.abs(picture.pixels.permute(1, 2, 0).numpy() - expected).max() < 1e-6
    assert np.array_equal(levels(picture)[1:], COLORS[1:])
    assert picture.lost == ("alpha: 3 pixels lie on the background",)


def test_a_solid_alpha_loses_nothing():
    picture = decoded(rgb().convert("RGBA"), background="black")
    assert np.array_equal(levels(picture), COLORS)
    assert (picture.done, picture.lost) == (("alpha left out: every pixel is solid",), ())


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA"])
def test_what_is_transparent_in_another_mode_lies_on_the_background(mode):
    image = rgb().quantize(6) if mode == "P" else rgb().convert(mode)
    if mode == "LA":
        image.putalpha(Image.new("L", image.size, 0))
        hidden = np.ones((5, 7), bool)
        data = saved(image)
    else:
        hidden = np.array(image).astype(int) == np.array(image).astype(int)[0, 0]
        data = saved(image, transparency=int(np.array(image)[0, 0]))
    picture = images.decode(data, "picture", "#ff0000")
    assert (levels(picture)[hidden] == [255, 0, 0]).all()
    assert picture.lost == (f"alpha: {hidden.sum()} pixels lie on the background",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "I;16", "1", "P"])
def test_a_photo_is_turned_upright(orientation, mode):
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # as the sensor lay: a turn to the right undoes it
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = {"RGB": rgb(), "I;16": Image.fromarray(DEEP), "P": rgb().quantize(6)}.get(mode, rgb().convert("1"))
    image = upright.transpose(turned[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoded(image, exif=exif)
    assert torch.equal(picture.pixels, decoded(upright).pixels)
    assert any(f"orientation {orientation}" in note for note in picture.done) == (orientation > 1)
    assert picture.lost == ()


def test_colours_of_another_kind_are_named():
    assert decoded(rgb().convert("CMYK"), "JPEG").lost == ("the colours of CMYK, which became RGB",)


def test_frames_and_profiles_that_are_left_out_are_named():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decoded(rgb(), icc_profile=profile).lost == ("the colour profile, but none of the numbers",)
    film = decoded(rgb(), "TIFF", save_all=True, append_images=[rgb().rotate(180)])
    assert film.lost == ("all but the first of 2 frames",)
    assert np.array_equal(levels(film), COLORS)


def test_floats_from_0_to_1_are_kept_and_others_refused():
    floats = COLORS[..., 0].astype(np.float32) / 300
    picture = decoded(Image.fromarray(floats), "TIFF")
    assert np.array_equal(picture.pixels[0].numpy(), floats)
    assert picture.bits == 32
    for wrong in (floats + 1, floats - 0.5, floats * np.nan):
        with pytest.raises(ValueError, match="which one is white"):
            decoded(Image.fromarray(wrong), "TIFF")


def test_whole_numbers_without_a_known_white_are_refused():
    with pytest.raises(ValueError, match="nobody says which one is white"):
        decoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF")


def test_a_warning_of_pillow_is_passed_on():
    exif = Image.Exif()
    exif[0x010F] = "a maker of cameras"
    picture = decoded(rgb(), "JPEG", exif=exif.tobytes()[:30])
    assert picture.lost == ("perhaps more: Pillow warns 'Truncated File Read'",)


def test_a_picture_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(ValueError, match="picture cannot be read: Image size"):
        decoded(rgb())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_file_cut_anywhere_gives_a_picture_or_one_sentence(kind):
    data = saved(rgb(), kind)
    refused = []
    for length in range(len(data)):
        try:
            assert images.decode(data[:length], "picture").pixels.shape == (3, 5, 7)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > len(data) / 2
    for said in refused:
        assert re.fullmatch(r"picture (is no picture that Pillow knows|cannot be read: .+)", said)


def test_a_level_is_the_nearest_and_none_wraps():
    x = torch.tensor([-0.1, 0.0, 0.001, 0.0025, 0.5, 0.998, 1.0, 1.2]).expand(3, 1, -1)
    got, lost = images.to_levels(x)
    assert got[0, 0].tolist() == [0, 0, 0, 1, 128, 254, 255, 255]
    assert (got.shape, got.dtype) == ((3, 1, 8), torch.int32)
    assert lost == ["6 numbers beyond 0 and 1", "12 numbers between two levels of 8 bits"]
    assert images.to_levels(x, 16)[0][0, 0].tolist() == [0, 0, 66, 164, 32768, 65404, 65535, 65535]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [8, 16])
def test_levels_come_back_without_loss(bits, dtype):
    white = 2**bits - 1
    every = torch.arange(white + 1).expand(3, 1, -1)
    got, lost = images.to_levels(every.to(dtype) / white, bits)
    assert torch.equal(got, every.int())
    assert lost == []


def test_a_tensor_with_a_gradient_or_in_another_order_of_memory_is_taken():
    x = (torch.tensor(COLORS) / 255).permute(2, 0, 1).requires_grad_()
    assert np.array_equal(images.to_levels(x)[0].permute(1, 2, 0).numpy(), COLORS)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (torch.rand(5, 7, 3), r"\(3, H, W\), not \(5, 7, 3\): permute\(2, 0, 1\)"),
        (torch.rand(1, 3, 5, 7), r"not \(1, 3, 5, 7\)$"),
        (torch.rand(1, 5, 7), r"not \(1, 5, 7\)$"),
        (torch.rand(3, 0, 7), r"not \(3, 0, 7\)$"),
        (torch.zeros(3, 5, 7, dtype=torch.uint8), "another white"),
        (torch.full((3, 5, 7), torch.nan), "NaN"),
    ],
)
def test_what_is_no_picture_is_refused(pixels, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        images.write(pixels, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tiff", ".PNG"])
def test_a_tensor_comes_back_from_an_exact_file(ending, tmp_path):
    pixels = torch.tensor(COLORS).permute(2, 0, 1) / 255
    assert images.write(pixels, tmp_path / f"out{ending}") == []
    assert torch.equal(images.read(tmp_path / f"out{ending}").pixels, pixels)
    assert [path.name for path in tmp_path.iterdir()] == [f"out{ending}"]


def test_what_a_jpeg_changed_is_measured(tmp_path):
    pixels, path = torch.tensor(COLORS).permute(2, 0, 1) / 255, tmp_path / "out.jpg"
    (said,) = images.write(pixels, path, quality=50)
    apart = np.abs(levels(images.read(path)) - COLORS)
    assert said == f"{(apart > 0).mean():.1%} of the levels changed, by up to {apart.max()} of 255"
    coarse = path.stat().st_size
    images.write(pixels, path, quality=100)
    assert path.stat().st_size > coarse


@pytest.mark.parametrize(
    ("name", "bits", "said"),
    [
        ("out.xyz", 8, "no picture that Pillow writes"),
        ("out", 8, "no picture that Pillow writes"),
        ("out.pdf", 8, "no picture that Pillow knows"),
        ("out.jpg", 16, "holds no 16 bits"),
        ("out.png", 16, "grey pictures only"),
        ("out.png", 12, "8 or 16 bits, not 12"),
        ("no/out.png", 8, "no folder"),
        (".", 8, "is a folder"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(name, bits, said, tmp_path):
    pixels = torch.tensor(COLORS).permute(2, 0, 1) / 255
    with pytest.raises(ValueError, match=said):
        images.write(pixels, tmp_path / name, bits)
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_changes_the_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="changed the size"):
        images.write(torch.zeros(3, 300, 300), tmp_path / "out.ico")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path, pixels = tmp_path / "out.png", torch.tensor(COLORS).permute(2, 0, 1) / 255
    path.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        images.write(pixels, path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["out.png"]
    monkeypatch.undo()
    os.link(path, tmp_path / "other.png")
    assert images.write(pixels, path) == []
    assert (tmp_path / "other.png").read_bytes() == b"old"  # the new file took the name, the old one was not written to
    assert torch.equal(images.read(path).pixels, pixels)


def test_the_examples_are_of_six_kinds_and_all_are_drawn(tmp_path, capsys):
    assert images.main(["--plot", str(tmp_path / "all.png")]) == 0
    out, err = capsys.readouterr()
    kinds = re.findall(r"^(\w+\.\w+): \w+, \d+ x \d+, mode (\S+) -> \(3, \d+, \d+\), ", out, re.MULTILINE)
    assert [mode for _, mode in kinds] == ["L", "P", "RGBA", "1", "I;16", "RGB"]
    assert out.count("lost: nothing") == 5
    assert err == ""
    assert Image.open(tmp_path / "all.png").size[0] > 600
    pictures = {path.stem: images.read(path) for path in images.write_examples(tmp_path)}
    places = images.draw(pictures).axes
    assert [place.get_title() for place in places] == ["grey", "palette", "alpha", "bool", "deep", "phone"]
    shown = places[5].images[0].get_array()
    assert np.array_equal(shown, pictures["phone"].pixels.permute(1, 2, 0).numpy())
    upright, phone = pictures["palette"].pixels, pictures["phone"].pixels
    assert upright.shape == phone.shape
    assert (upright - phone).abs().mean() < 0.1


def test_a_tensor_lies_on_the_device_that_is_named(tmp_path):
    rgb().save(tmp_path / "in.png")
    assert images.read(tmp_path / "in.png", device=torch.device("meta")).pixels.is_meta
    assert images.read(tmp_path / "in.png").pixels.device.type == "cpu"


def test_the_command_line_converts_and_reports(tmp_path, capsys):
    rgb().save(tmp_path / "in.png")
    out = tmp_path / "out.png"
    assert images.main([str(tmp_path / "in.png"), "--to", str(out), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "in.png: PNG, 7 x 5, mode RGB -> (3, 5, 7), 0.000 to 1.000, cpu"
    assert lines[1:] == ["    lost: nothing", f"{out}: {out.stat().st_size} bytes", "    lost: nothing"]
    assert np.array_equal(np.array(Image.open(out)), COLORS)


@pytest.mark.parametrize(("arguments", "mode", "lost"), [([], "I;16", False), (["--bits", "8"], "RGB", True)])
def test_sixteen_bits_stay_sixteen_unless_told_otherwise(arguments, mode, lost, tmp_path, capsys):
    Image.fromarray(DEEP).save(tmp_path / "in.png")
    assert images.main([str(tmp_path / "in.png"), "--to", str(tmp_path / "out.png"), *arguments]) == 0
    assert Image.open(tmp_path / "out.png").mode == mode
    assert ("between two levels of 8 bits" in capsys.readouterr().out) == lost


def test_sixteen_bits_become_eight_in_a_jpeg(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "in.png")
    assert images.main([str(tmp_path / "in.png"), "--to", str(tmp_path / "out.jpg")]) == 0
    assert Image.open(tmp_path / "out.jpg").mode == "RGB"


def test_background_and_quality_are_passed_on(tmp_path, capsys):
    clear = rgb()
    clear.putalpha(0)
    clear.save(tmp_path / "in.png")
    out = str(tmp_path / "out.png")
    assert images.main([str(tmp_path / "in.png"), "--to", out, "--background", "#0a141e"]) == 0
    assert (np.array(Image.open(out)) == [10, 20, 30]).all()
    rgb().save(tmp_path / "in.png")
    sizes = []
    for quality in ("10", "100"):
        assert images.main([str(tmp_path / "in.png"), "--to", str(tmp_path / "q.jpg"), "--quality", quality]) == 0
        sizes.append((tmp_path / "q.jpg").stat().st_size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["missing.png"], "missing.png"),
        (["."], "folder"),
        (["text.png"], "text.png is no picture"),
        (["cut.png"], "cut.png cannot be read"),
        (["in.png", "--to", "in.png"], "the file to read"),
        (["in.png", "--to", "./link.png"], "the file to read"),
        (["in.png", "--to", "out.xyz"], "out.xyz"),
        (["in.png", "--to", "no/out.png"], "no folder no"),
        (["in.png", "--to", "out.png", "--bits", "9"], "--bits"),
        (["in.png", "--to", "out.png", "--bits", "16"], "grey pictures only"),
        (["in.png", "--to", "out.jpg", "--quality", "0"], "--quality"),
        (["in.png", "--to", "out.jpg", "--quality", "high"], "high"),
        (["in.png", "--background", "bleu"], "bleu"),
        (["in.png", "--background", "#00000080"], "alpha"),
        (["in.png", "--plot", "figure.xyz"], "xyz"),
        (["--to", "out.png"], "--to"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    rgb().save(tmp_path / "in.png")
    (tmp_path / "link.png").symlink_to("in.png")
    (tmp_path / "text.png").write_text("no picture\n")
    (tmp_path / "cut.png").write_bytes(saved(rgb())[:80])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    assert images.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("images.py: ")
    assert named in err
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_pillow_logs_of_a_broken_file_is_not_a_second_sentence(tmp_path):
    data = bytearray(saved(rgb(), "TIFF"))
    at = data.index(struct.pack("<HH", 277, 3)) + 8  # how many numbers a pixel has
    data[at : at + 2] = struct.pack("<H", 999)
    (tmp_path / "broken.tiff").write_bytes(data)
    command = [sys.executable, "-W", "error", PROGRAM, "broken.tiff"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r"images\.py: broken\.tiff .+\n", run.stderr)
