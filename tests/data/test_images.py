"""Every file gives the right picture, or one error that names it with its row and the reason."""

from __future__ import annotations

import csv
import io
import os
import re
import runpy
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

PROGRAM = Path(__file__).parents[2] / "snippets/data/images.py"
images = SimpleNamespace(**runpy.run_path(str(PROGRAM)))

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
EXPECTED = torch.tensor(COLORS).permute(2, 0, 1)


def rgb():
    return Image.fromarray(COLORS)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(tmp_path, data, name="picture", **options):
    (tmp_path / name).write_bytes(data)
    return images.read_picture(tmp_path / name, **options)


def folders(root, *files):
    """Class folders with a picture in each file named; every picture has one level of its own."""
    for level, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), level).save(root / file, "PNG")
    return root


def table(root, *lines, encoding="utf-8"):
    """A table, and beside it two pictures, a.png and b.png."""
    root.mkdir(exist_ok=True)
    rgb().save(root / "a.png")
    rgb().convert("L").save(root / "b.png")
    (root / "labels.csv").write_bytes("\n".join(lines).encode(encoding))
    return root / "labels.csv"


def from_table(*arguments, **options):
    return images.ImageFiles(images.table_rows(*arguments), **options)


def from_folder(root, outside=False, **options):
    return images.ImageFiles(images.folder_rows(root, outside), **options)


def seen(dataset):
    """The class and the first level of each sample, as names and numbers."""
    return [(dataset.classes[label], int(pixels[0, 0, 0])) for pixels, label in dataset]


# What a file holds


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_colours_are_read_to_the_last_level(kind, tmp_path):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = read(tmp_path, saved(rgb(), kind, **options))
    assert (pixels.dtype, pixels.is_contiguous()) == (torch.uint8, True)
    assert torch.equal(pixels, EXPECTED)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    picture = rgb().convert(mode)
    pixels = read(tmp_path, saved(picture, "TIFF"))
    assert torch.equal(pixels, torch.tensor(np.array(picture.convert("RGB"))).permute(2, 0, 1))


def test_a_jpeg_in_cmyk_has_the_colours_of_the_picture(tmp_path):
    smooth = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
    pixels = read(tmp_path, saved(smooth.convert("CMYK"), "JPEG", quality=95))
    assert (pixels.permute(1, 2, 0).int() - torch.tensor(np.array(smooth)).int()).abs().max() < 8


def test_a_picture_of_one_pixel_is_a_picture(tmp_path):
    assert read(tmp_path, saved(Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1]], [[2]], [[3]]]


@pytest.mark.parametrize("name", ["scan.jpg", "scan.JPG", "scan.PNG", "scan", "scan.txt"])
def test_the_ending_of_a_name_does_not_matter(name, tmp_path):
    assert torch.equal(read(tmp_path, saved(rgb()), name), EXPECTED)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_grey_are_rounded_and_not_wrapped(kind, tmp_path):
    image = Image.fromarray(DEEP.astype(np.int32) if kind == "PPM" else DEEP)
    pixels = read(tmp_path, saved(image, kind))
    assert pixels.shape == (3, 5, 7)
    assert torch.equal(pixels[2], torch.tensor(np.round(DEEP / 257).astype(np.uint8)))


def test_every_level_of_eight_bits_comes_back_from_sixteen(tmp_path):
    every = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(read(tmp_path, saved(Image.fromarray(every * 257)))[0].numpy(), every)


@pytest.mark.parametrize("array", [COLORS[..., 0].astype(np.int32) * 70000, COLORS[..., 0].astype(np.float32)])
def test_numbers_without_a_known_white_are_refused(array, tmp_path):
    with pytest.raises(ValueError, match="nobody says which number is white"):
        read(tmp_path, saved(Image.fromarray(array), "TIFF"))


def test_a_palette_with_transparency_lies_on_white(tmp_path):
    picture = rgb().quantize(6)
    pixels = read(tmp_path, saved(picture, "PNG", transparency=bytes([0, 255, 255, 255, 255, 128])))
    clear, solid = np.array(picture) == 0, (np.array(picture) > 0) & (np.array(picture) < 5)
    assert clear.any()
    assert (pixels[:, torch.tensor(clear)] == 255).all()
    assert np.array_equal(pixels.permute(1, 2, 0).numpy()[solid], np.array(picture.convert("RGB"))[solid])


def test_alpha_mixes_a_pixel_with_white(tmp_path):
    alpha = np.full((5, 7), 255, dtype=np.uint8)
    alpha[0, :3] = 0, 51, 204
    pixels = read(tmp_path, saved(Image.fromarray(np.dstack([COLORS, alpha]))))
    weight = alpha[..., None] / 255
    expected = COLORS * weight + 255 * (1 - weight)
    assert np.abs(pixels.permute(1, 2, 0).numpy() - expected).max() <= 1
    assert torch.equal(pixels[:, 1:], EXPECTED[:, 1:])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation, tmp_path):
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # as Image.Transpose
    lying = rgb() if undo is None else rgb().transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert torch.equal(read(tmp_path, saved(lying, exif=exif)), EXPECTED)


def test_an_animation_is_refused_unless_its_first_frame_is_asked_for(tmp_path):
    frames = [Image.new("L", (3, 2), level) for level in (50, 100, 200)]
    for kind in ("GIF", "TIFF"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        with pytest.raises(ValueError, match="3 frames, and first_frame=True"):
            read(tmp_path, data)
        assert (read(tmp_path, data, first_frame=True) == 50).all()


def test_the_preview_in_a_photo_of_a_phone_is_no_second_frame(tmp_path):
    data = saved(
        Image.new("RGB", (16, 16), (200, 0, 0)), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]
    )
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    assert read(tmp_path, data).shape == (3, 16, 16)


def test_a_limit_on_pixels_is_held_before_anything_is_decoded(tmp_path):
    wide = saved(Image.new("1", (20_000, 3)))
    assert read(tmp_path, wide).shape == (3, 3, 20_000)
    assert read(tmp_path, wide, max_pixels=60_000).shape == (3, 3, 20_000)
    with pytest.raises(ValueError, match="20000 x 3 pixels, and the limit is 59999"):
        read(tmp_path, wide, max_pixels=59_999)
    head = wide[:16] + struct.pack(">II", 20_000, 4_000) + wide[24:29]  # a head that promises more than the default
    bomb = head + struct.pack(">I", zlib.crc32(head[12:29])) + wide[33:]
    with pytest.raises(ValueError, match="20000 x 4000 pixels, and the limit is 50000000"):
        read(tmp_path, bomb)
    head = wide[:16] + struct.pack(">II", 60_000, 60_000) + wide[24:29]
    with pytest.raises(ValueError, match=r"cannot be read: .*3600000000 pixels"):
        read(tmp_path, head + struct.pack(">I", zlib.crc32(head[12:29])) + wide[33:])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "^it is empty$"),
        (b"no picture\n", "^it is no picture that Pillow knows$"),
        (saved(rgb())[:60], "^it cannot be read: "),
        (saved(rgb(), "JPEG")[:-30], "^it cannot be read: image file is truncated"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG"],
)
def test_what_is_no_whole_picture_is_refused(data, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        read(tmp_path, data, "scan.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_wherever_a_file_is_cut_it_gives_the_right_picture_or_an_error(kind, tmp_path):
    data, errors = saved(rgb(), kind), 0
    right = read(tmp_path, data)
    for size in range(1, len(data), 1 + len(data) // 120):
        try:
            assert torch.equal(read(tmp_path, data[:size]), right)
        except ValueError:
            errors += 1
    assert errors > 50


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_byte_gives_a_picture_or_a_value_error(seed, tmp_path):
    change, said = np.random.default_rng(seed), []
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP"):
        for _ in range(25):
            data = bytearray(saved(rgb(), kind))
            data[change.integers(len(data))] = change.integers(256)
            try:
                pixels = read(tmp_path, bytes(data), max_pixels=10_000)
            except ValueError as error:
                said.append(str(error))
            else:
                assert (pixels.dtype, pixels.ndim, len(pixels)) == (torch.uint8, 3, 3)
    assert said
    assert "\n" not in "".join(said)


def test_a_folder_a_pipe_and_nothing_are_no_files(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"^it is a folder$"):
        images.read_picture(tmp_path)
    with pytest.raises(ValueError, match=r"^there is no such file$"):
        images.read_picture(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"^there is no such file$"):
        images.read_picture(tmp_path / "file" / "below.png")
    with pytest.raises(ValueError, match="it cannot be looked at: "):
        images.read_picture(tmp_path / ("x" * 300))
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"^it is a device or a pipe$"):
        images.read_picture(tmp_path / "pipe.png")


@contextmanager
def as_nobody():
    """Without the rights of root, to whom every file is readable."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_unreadable_file_is_named():
    root = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others, all the way up
    try:
        root.chmod(0o755)
        folders(root, "cat/1.png", "cat/2.png")
        (root / "cat/1.png").chmod(0)
        (root / "dog").mkdir(mode=0)
        Image.init()
        with as_nobody():
            if not os.access(root / "cat", os.X_OK, effective_ids=True) or os.access(
                root / "cat/1.png", os.R_OK, effective_ids=True
            ):
                pytest.skip(f"no file in {root} can be made unreadable")
            rows = images.folder_rows(root)
            dataset = images.ImageFiles(rows, skip=True)
        assert [row.file for row in dataset.samples] == ["cat/2.png"]
        assert [str(row).partition(", ")[2] for row in dataset.skipped] == [
            "entry 1, cat/1.png: it cannot be read: Permission denied",
            "entry 3, dog: it cannot be listed: Permission denied",
        ]
    finally:
        shutil.rmtree(root)


# Class folders


def test_classes_and_files_come_in_natural_order(tmp_path):
    root = folders(tmp_path / "in", *(f"{name}/{n}.png" for name in ("10", "2", "1") for n in (10, 9)))
    dataset = from_folder(root)
    assert dataset.classes == ("1", "2", "10")
    assert [row.file for row in dataset.samples] == [f"{name}/{n}.png" for name in (1, 2, 10) for n in (9, 10)]
    assert seen(dataset) == [("1", 5), ("1", 4), ("2", 3), ("2", 2), ("10", 1), ("10", 0)]
    assert [label for _, label in dataset] == [0, 0, 1, 1, 2, 2]
    assert dataset.skipped == []


@pytest.mark.parametrize(
    "right",
    [
        ["1", "2", "010", "10", "a"],
        ["a", "A2", "a10", "b"],
        ["x1y2", "x1y10", "x2y1"],
        ["0", "00", "1", "9" * 5000],
        ["", "1"],
    ],
)
def test_natural_order(right):
    backwards = right[::-1]
    assert sorted(backwards, key=images.natural) == right


def test_given_classes_decide_on_the_numbers(tmp_path):
    root = folders(tmp_path / "in", "cat/1.png", "dog/1.png")
    dataset = from_folder(root, classes=["owl", "dog", "cat"])
    assert [(row.label, label) for row, (_, label) in zip(dataset.samples, dataset, strict=True)] == [
        ("cat", 2),
        ("dog", 1),
    ]


def test_an_unknown_class_folder_is_an_error_for_each_of_its_files(tmp_path):
    root = folders(tmp_path / "in", "cat/1.png", "dog/1.png", "dog/2.png")
    with pytest.raises(
        ValueError, match=r"^in, entry 2, dog/1\.png: unknown label 'dog': the classes are cat \(and 1 more\)$"
    ):
        from_folder(root, classes=["cat"])
    dataset = from_folder(root, classes=["cat"], skip=True)
    assert (len(dataset), [row.file for row in dataset.skipped]) == (1, ["dog/1.png", "dog/2.png"])


@pytest.mark.parametrize("classes", [[], ["cat", "cat"], "cat"])
def test_classes_need_names_that_differ(classes, tmp_path):
    with pytest.raises(ValueError, match=r"^classes "):
        from_folder(folders(tmp_path / "in", "cat/1.png"), classes=classes)


def test_train_and_test_have_to_agree_on_classes(tmp_path):
    train = from_folder(folders(tmp_path / "train", "cat/1.png", "dog/1.png", "owl/1.png"))
    shifted = from_folder(folders(tmp_path / "test", "dog/1.png", "owl/1.png"))
    with pytest.raises(ValueError, match="class 0 is cat in one and dog in the other"):
        images.check_same_classes(train, shifted)
    shorter = from_folder(folders(tmp_path / "few", "cat/1.png", "dog/1.png"))
    with pytest.raises(ValueError, match="class 2 is owl in one and missing in the other"):
        images.check_same_classes(train, shorter)
    test = from_folder(tmp_path / "test", classes=train.classes)
    images.check_same_classes(train, test)
    assert [label for _, label in test] == [1, 2]


def test_whatever_lies_in_a_folder_is_a_sample_or_in_the_report(tmp_path):
    root = folders(tmp_path / "in", "cat/1.PNG", "cat/more/2.jpeg", "cat/.3.png", ".git/4.png", "dog/5.png")
    (root / "README.md").write_text("beside")
    (root / "cat" / "notes.txt").write_text("within")
    (root / "owl").mkdir()
    (root / "pig").mkdir()
    (root / "pig" / ".DS_Store").write_bytes(b"hidden")
    rows = images.folder_rows(root)
    dataset = images.ImageFiles(rows, skip=True)
    assert dataset.classes == ("cat", "dog", "owl", "pig")
    assert seen(dataset) == [("cat", 0), ("cat", 1), ("dog", 4)]
    assert {row.file: row.problem for row in dataset.skipped} == {
        ".git": "it is hidden",
        "README.md": "it lies beside the class folders",
        "cat/.3.png": "it is hidden",
        "cat/notes.txt": "it is no picture that Pillow knows",
        "owl": "it is a class folder without a picture",
        "pig/.DS_Store": "it is hidden",
        "pig": "it is a class folder without a picture",
    }
    places = [row.place for row in [*dataset.samples, *dataset.skipped]]
    assert sorted(places) == sorted(f"in, entry {number}" for number in range(1, len(rows) + 1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("README.md", "in, entry 2, README.md: it lies beside the class folders"),
        ("owl/", "in, entry 2, owl: it is a class folder without a picture"),
        ("cat/0.png", "in, entry 1, cat/0.png: it is empty"),
    ],
)
def test_what_is_wrong_in_a_folder_stops_at_once(wrong, said, tmp_path):
    root = folders(tmp_path / "in", "cat/1.png")
    if wrong.endswith("/"):
        (root / wrong).mkdir()
    else:
        (root / wrong).write_bytes(b"")
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        from_folder(root)


def test_hidden_files_do_not_stop_but_are_reported(tmp_path):
    root = folders(tmp_path / "in", "cat/1.png", "cat/._1.png", ".ipynb_checkpoints/1.png")
    dataset = from_folder(root)
    assert (len(dataset), dataset.classes) == (1, ("cat",))
    assert [row.file for row in dataset.skipped] == [".ipynb_checkpoints", "cat/._1.png"]


def test_a_broken_picture_is_named_when_it_is_asked_for(tmp_path):
    root = folders(tmp_path / "in", "cat/1.png", "cat/2.png")
    (root / "cat/2.png").write_bytes(saved(rgb(), "JPEG")[:-30])
    dataset = from_folder(root)
    assert dataset[0][0].shape == (3, 2, 3)
    with pytest.raises(ValueError, match=r"^in, entry 2, cat/2\.png: it cannot be read: image file is truncated"):
        dataset[1]
    skipping = from_folder(root, skip=True)
    assert (len(skipping), [row.file for row in skipping.skipped]) == (1, ["cat/2.png"])
    (root / "cat/1.png").unlink()
    with pytest.raises(ValueError, match=r"^in, entry 1, cat/1\.png: there is no such file$"):
        skipping[0]
    with pytest.raises(ValueError, match=r"^in, entry 1, cat/2\.png: it cannot be read"):
        from_folder(root, skip=True)  # nothing is left


def test_a_folder_without_class_folders_is_refused(tmp_path):
    root = folders(tmp_path / "in", "1.png", ".hidden/2.png")
    with pytest.raises(ValueError, match="holds no class folder: name the folder in which each class"):
        from_folder(root)
    with pytest.raises(ValueError, match=r"there is no folder .*none"):
        from_folder(tmp_path / "none")


def test_links_that_lead_out_are_refused_unless_asked_for(tmp_path):
    other = folders(tmp_path / "other", "1.png", "2.png")
    root = folders(tmp_path / "in", "cat/1.png", "dog/1.png")
    (root / "cat/2.png").symlink_to(other / "1.png")
    (root / "owl").symlink_to(other)
    (root / "dog/2.png").symlink_to("nowhere")
    (root / "dog/3").symlink_to(root)
    dataset = from_folder(root, skip=True)
    assert seen(dataset) == [("cat", 0), ("dog", 1)]
    assert {row.file: row.problem for row in dataset.skipped} == {
        "cat/2.png": "it lies outside the folder",
        "dog/2.png": "there is no such file",
        "dog/3": "it is a link in a circle",
        "owl": "it lies outside the folder",
    }
    assert dataset.classes == ("cat", "dog", "owl")
    dataset = from_folder(root, outside=True, skip=True)
    assert [(row.label, row.file) for row in dataset.samples] == [
        ("cat", "cat/1.png"),
        ("dog", "dog/1.png"),
        ("owl", "owl/2.png"),
    ]
    assert {row.problem for row in dataset.skipped if row.label == "owl"} == {
        "the same file as entry 2, with label cat"
    }


def test_a_name_that_is_no_text_is_read_and_shown_on_one_line(tmp_path):
    root = folders(tmp_path / "in", "cat/1.png")
    odd = os.fsencode(root) + b"/caf\xe9\n"
    try:
        os.mkdir(odd)
        shutil.copy(root / "cat/1.png", odd + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    dataset = from_folder(root, skip=True)
    assert len(dataset) == 2
    assert dataset.classes == (os.fsdecode(b"caf\xe9\n"), "cat")
    text = images.report(dataset)
    assert "\n  class " in text
    assert r"caf\udce9\n: 1" in text
    text.encode("utf-8")
    (Path(os.fsdecode(odd)) / "2.png").write_bytes(b"")
    with pytest.raises(ValueError, match="^" + re.escape(r"in, entry 1, caf\udce9\n/2.png: it is empty")):
        from_folder(root)


# Tables


def test_a_table_names_files_and_labels_in_columns_of_any_name(tmp_path):
    path = table(tmp_path / "in", "id,species,scan", '1,"cat, black",a.png', "2,dog,b.png")
    dataset = from_table(path, None, "scan", "species")
    assert dataset.classes == ("cat, black", "dog")
    assert torch.equal(dataset[0][0], EXPECTED)
    assert [label for _, label in dataset] == [0, 1]


@pytest.mark.parametrize(
    "lines",
    [
        ["\ufefffile,label", "a.png,cat"],
        ["file , label", " a.png  ,   cat"],
        ['"file","label"', '"a.png","cat"'],
        ["label,file", "cat,a.png", ""],
        ["", "file,label", "", "a.png,cat", "", ""],
        ["file,label\r", "a.png,cat\r"],
        ["file,label,note", 'a.png,cat,"two', 'lines"'],
        ["file,label", "./a.png,cat"],
        ["file,label", "../in/a.png,cat"],
    ],
    ids=["mark", "blanks", "quotes", "order", "empty lines", "Windows", "two lines", "dot", "out and in"],
)
def test_a_table_may_be_written_in_many_ways(lines, tmp_path):
    dataset = from_table(table(tmp_path / "in", *lines))
    assert dataset.classes == ("cat",)
    assert torch.equal(dataset[0][0], EXPECTED)


def test_an_absolute_path_within_the_root_is_taken(tmp_path):
    path = table(tmp_path / "in", "file,label", f"{tmp_path}/in/a.png,cat")
    assert len(from_table(path)) == 1


BAD_ROWS = [
    ("none.png,cat", "there is no such file"),
    ("sub,cat", "it is a folder"),
    ("empty.png,cat", "it is empty"),
    ("../out.png,cat", "it lies outside the folder"),
    ("/etc/hostname,cat", "it lies outside the folder"),
    ("link.png,cat", "it lies outside the folder"),
    ("sub/../../out.png,cat", "it lies outside the folder"),
    ("a.png", "1 cells, and the header has 2"),
    ("a.png,cat,3", "3 cells, and the header has 2"),
    ("a.png,", "its label is empty"),
    ("a.png,NaN", "its label is NaN"),
    (",cat", "no file is named"),
    ("a\0.png,cat", "it is no path: .*null"),
    ("b.png,dog", "the same file as line 2, with label cat"),
    ("b.png,cat", "the same file as line 2"),
    ("./b.png,cat", "the same file as line 2"),
    ("~/a.png,cat", "there is no such file"),
]


@pytest.mark.parametrize(("line", "said"), BAD_ROWS, ids=[repr(line) for line, _ in BAD_ROWS])
def test_a_bad_row_is_named_and_skipped_only_on_demand(line, said, tmp_path):
    path = table(tmp_path / "in", "file,label", "b.png,cat", line)
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "empty.png").write_bytes(b"")
    (tmp_path / "in" / "link.png").symlink_to("../out.png")
    rgb().save(tmp_path / "out.png")
    with pytest.raises(ValueError, match=r"^labels\.csv, line (2, b\.png: line 3 has label dog|3, .*: " + said + ")"):
        from_table(path)
    if line == "b.png,dog":
        return  # which of the two is right, nobody knows
    rows = images.table_rows(path)
    dataset = images.ImageFiles(rows, skip=True)
    assert len(dataset) + len(dataset.skipped) == len(rows) == 2
    (left,) = dataset.skipped
    assert re.search(said, left.problem)
    assert left.place == "labels.csv, line 3"


def test_of_two_rows_that_contradict_each_other_neither_is_a_sample(tmp_path):
    path = table(tmp_path / "in", "file,label", "b.png,cat", "a.png,cat", "b.png,dog", "b.png,cat")
    dataset = from_table(path, skip=True)
    assert [row.file for row in dataset.samples] == ["a.png"]
    assert [row.problem for row in dataset.skipped] == [
        "line 4 has label dog for it",
        "the same file as line 2, with label cat",
        "the same file as line 2",
    ]
    assert dataset.classes == ("cat", "dog")


def test_an_unknown_label_is_named_with_the_classes(tmp_path):
    path = table(tmp_path / "in", "file,label", "a.png,cat", "b.png,Cat")
    with pytest.raises(ValueError, match=r"^labels.csv, line 3, b.png: unknown label 'Cat': the classes are cat, dog$"):
        from_table(path, classes=["cat", "dog"])


def test_files_outside_are_taken_if_asked_for(tmp_path):
    path = table(tmp_path / "in", "file,label", "../out.png,cat", f"{tmp_path}/out2.png,cat")
    rgb().save(tmp_path / "out.png")
    rgb().save(tmp_path / "out2.png")
    dataset = images.ImageFiles(images.table_rows(path, outside=True))
    assert len(dataset) == 2


def test_nan_is_a_class_if_it_is_no_word_for_nothing(tmp_path):
    path = table(tmp_path / "in", "file,label", "a.png,nana", "b.png,none")
    assert from_table(path).classes == ("nana", "none")


@pytest.mark.parametrize(
    ("lines", "encoding", "said"),
    [
        ([], "utf-8", "labels.csv: it is empty"),
        ([""] * 3, "utf-8", "labels.csv has no column 'file': it has none"),
        (["file,label"], "utf-8", "labels.csv has a header and no row"),
        (["file,label", "", ""], "utf-8", "labels.csv has a header and no row"),
        (["name,label", "a.png,cat"], "utf-8", "labels.csv has no column 'file': it has 'name', 'label'"),
        (["file;label", "a.png;cat"], "utf-8", "labels.csv has no column 'file': it has 'file;label'"),
        (["file,label,label", "a.png,cat,dog"], "utf-8", "labels.csv has two columns 'label'"),
        (["file,label", "a.png,cat", "b.png,caf\xe9"], "latin-1", "labels.csv, line 3: it is not UTF-8"),
        (["file,label", "a.png,cat"], "utf-16", "labels.csv, line 1: it is not UTF-8"),
        (["file,label", "a.png,cat", '"b.png,cat', "a.png,dog"], "utf-8", "labels.csv, line 3: "),
        (["file,label", "a.png," + "x" * 200_000], "utf-8", "labels.csv, line 2: field larger"),
    ],
)
@pytest.mark.parametrize("skip", [False, True])
def test_a_table_that_cannot_be_read_is_refused_also_when_rows_may_be_skipped(lines, encoding, said, skip, tmp_path):
    path = table(tmp_path / "in", *lines, encoding=encoding)
    with pytest.raises(ValueError, match="^(.*/)?" + re.escape(said)):
        from_table(path, skip=skip)


def test_an_encoding_can_be_named(tmp_path):
    path = table(tmp_path / "in", "file,label", "a.png,caf\xe9", encoding="latin-1")
    assert images.ImageFiles(images.table_rows(path, encoding="latin-1")).classes == ("caf\xe9",)
    with pytest.raises(ValueError, match="there is no encoding 'klingon'"):
        images.table_rows(path, encoding="klingon")


def test_a_row_is_named_by_the_line_on_which_it_begins(tmp_path):
    path = table(tmp_path / "in", "file,label,note", 'a.png,cat,"one', 'two"', "none.png,cat,", "")
    with pytest.raises(ValueError, match=r"^labels\.csv, line 4, none\.png"):
        from_table(path)


def test_random_tables_lose_no_row(tmp_path):
    table(tmp_path / "in", "file,label")
    (tmp_path / "in" / "cut.png").write_bytes(saved(rgb())[:60])
    refused = []
    files = ["a.png", "b.png", "cut.png", "none.png", "../x", "", " a.png", "a b.png"]
    labels = ["cat", "dog", "", "nan", "2", "10", " cat "]
    for seed in range(300):
        draw = np.random.default_rng(seed)
        lines = [[str(draw.choice(files)), str(draw.choice(labels))][: draw.choice([1, 2, 2, 2])] for _ in range(6)]
        with (tmp_path / "in" / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["file", "label"], *lines])
        rows = images.table_rows(tmp_path / "in" / "labels.csv")
        try:
            dataset = images.ImageFiles(rows, skip=True)
        except ValueError as error:
            refused.append(str(error))
            continue
        kept = [*dataset.samples, *dataset.skipped]
        assert sorted(row.place for row in kept) == [f"labels.csv, line {line}" for line in range(2, 8)]
        assert all(row.problem for row in dataset.skipped)
        assert len(list(dataset)) == len({row.path for row in dataset.samples})
    assert 0 < len(refused) < 150
    assert all(re.match(r"labels\.csv, line \d, |classes need names", said) for said in refused)


# Samples


def test_making_a_dataset_opens_no_picture_and_asking_opens_one(tmp_path, monkeypatch):
    root, opened = folders(tmp_path / "in", "cat/1.png", "cat/2.png", "dog/1.png"), []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *rest, **more: opened.append(path.name) or real(path, *rest, **more))
    dataset = from_folder(root)
    assert (len(dataset), opened) == (3, [])
    assert dataset[1][0].shape == (3, 2, 3)
    assert opened == ["2.png"]
    opened.clear()
    from_folder(root, skip=True)
    assert opened == ["1.png", "2.png", "1.png"]


def test_a_transform_gets_the_pixels(tmp_path):
    root = folders(tmp_path / "in", "cat/1.png", "cat/2.png")
    dataset = from_folder(root, transform=lambda pixels: pixels.float().mean() + 0.5)
    assert [float(x) for x, _ in dataset] == [0.5, 1.5]
    assert dataset.pixels(1).dtype == torch.uint8


def test_indices_from_behind_and_beyond(tmp_path):
    dataset = from_folder(folders(tmp_path / "in", "cat/1.png", "cat/2.png"))
    assert dataset[-1][0][0, 0, 0] == 1
    with pytest.raises(IndexError):
        dataset[2]


WORKERS = """
import multiprocessing
import sys
import torch
from torch.utils.data import DataLoader
import images


def halved(pixels):
    return pixels // 2


if __name__ == "__main__":
    dataset = images.ImageFiles(images.folder_rows(sys.argv[1]), skip=True, transform=halved)
    expected = [(x.tolist(), y) for x, y in dataset]
    for workers, method in ((0, None), (1, "fork"), (2, "fork"), (1, "spawn")):
        if method and method not in multiprocessing.get_all_start_methods():
            continue
        loader = DataLoader(dataset, batch_size=2, num_workers=workers, multiprocessing_context=method)
        got = [(x.tolist(), int(y)) for batch, labels in loader for x, y in zip(batch, labels)]
        print(workers, method, got == expected and len(got) == 5)
    dataset.samples[3].path.unlink()
    try:
        list(DataLoader(dataset, num_workers=1, multiprocessing_context="fork"))
    except ValueError as error:
        print(str(error).splitlines()[-1])
"""


def test_samples_are_the_same_with_workers_however_they_start(tmp_path):
    root = folders(tmp_path / "in", *(f"{name}/{n}.png" for name in ("cat", "dog") for n in (1, 2, 3)))
    (root / "cat/2.png").write_bytes(b"")
    shutil.copy(PROGRAM, tmp_path / "images.py")
    (tmp_path / "use.py").write_text(WORKERS)
    command = [sys.executable, "-W", "error", "use.py", str(root)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    *lines, last = run.stdout.splitlines()
    assert len(lines) >= 3
    assert all(line.endswith("True") for line in lines), run.stdout
    assert last == "ValueError: in, entry 5, dog/2.png: there is no such file"


def test_statistics_are_those_of_all_pixels(tmp_path):
    pictures = [torch.randint(0, 256, (3, h, w), dtype=torch.uint8) for h, w in ((5, 7), (1, 1), (30, 4))]
    together = torch.cat([picture.flatten(1) for picture in pictures], dim=1).double() / 255
    mean, std = images.color_statistics(pictures)
    assert torch.allclose(mean, together.mean(dim=1), atol=1e-12)
    assert torch.allclose(std, together.std(dim=1, correction=0), atol=1e-12)


# The command line


def run(*arguments, capsys):
    code = images.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_the_digits_are_reported_with_what_is_broken(tmp_path, capsys):
    code, out, err = run("--plot", tmp_path / "all.png", "--device", "cpu", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("1797 rows: 1794 samples, 3 left out\n  class 0, 0: 177\n")
    assert re.findall(r"^left out: digits, entry \d+, (\S+): (.+)$", out, re.MULTILINE) == [
        ("0/0.png", "it cannot be read: image file is truncated"),
        ("3/13.png", "it is empty"),
        ("7/17.png", "it is no picture that Pillow knows"),
    ]
    from sklearn.datasets import load_digits

    levels = np.round(np.delete(load_digits().images, [0, 13, 17], axis=0) * 255 / 16)
    assert f"mean of red, green, blue: {', '.join([f'{levels.mean() / 255:.3f}'] * 3)}" in out
    assert f"deviation of red, green, blue: {', '.join([f'{levels.std() / 255:.3f}'] * 3)}" in out
    assert Image.open(tmp_path / "all.png").size[0] > 400


def test_a_figure_has_the_first_picture_of_each_class(tmp_path):
    dataset = from_folder(
        folders(tmp_path / "in", "cat/1.png", "cat/2.png", "dog/1.png"), classes=["dog", "owl", "cat"]
    )
    places = [place for place in images.draw(dataset).axes if place.get_title()]
    assert [place.get_title() for place in places] == ["dog: 1", "cat: 2"]
    assert [int(place.images[0].get_array()[0, 0, 0]) for place in places] == [2, 0]


def test_the_command_line_reads_a_table(tmp_path, capsys):
    path = table(tmp_path / "in", "scan,species", "a.png,cat", "b.png,dog", "c.png,owl")
    path = path.rename(tmp_path / "labels.csv")
    options = [path, "--root", tmp_path / "in", "--file", "scan", "--label", "species", "--device", "cpu"]
    assert run(*options, capsys=capsys) == (2, "", "images.py: labels.csv, line 4, c.png: there is no such file\n")
    code, out, err = run(*options, "--skip", "--classes", "owl, dog,cat", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("3 rows: 2 samples, 1 left out\n  class 0, owl: 0\n  class 1, dog: 1\n  class 2, cat: 1\n")
    assert out.splitlines()[-1] == "left out: labels.csv, line 4, c.png: there is no such file"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "there is no missing"),
        (["in/cat"], "in/cat holds no class folder"),
        (["in", "--root", "in"], "--root is for tables, and in is none"),
        (["in/cat/1.png"], "1.png, line 1: it is not UTF-8"),
        (["in", "--classes", "cat,cat"], "classes need names that differ"),
        (["in", "--classes", "dog"], "in, entry 1, cat/1.png: unknown label 'cat'"),
        (["in", "--max-pixels", "5"], "in, entry 1, cat/1.png: it has 3 x 2 pixels, and the limit is 5"),
        (["in", "--max-pixels", "many"], "--max-pixels is a whole number"),
        (["in", "--device", "tpu"], "tpu"),
        (["in", "--plot", "all.xyz"], "xyz"),
        (["moving"], "moving, entry 1, cat/1.gif: it has 2 frames"),
        (["/dev/null"], "/dev/null"),
        (["table.csv", "--root", "none"], "there is no folder none"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, said, tmp_path, monkeypatch, capsys):
    folders(tmp_path / "in", "cat/1.png")
    (tmp_path / "moving/cat").mkdir(parents=True)
    frames = [Image.new("L", (3, 2), level) for level in (0, 1)]
    frames[0].save(tmp_path / "moving/cat/1.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "table.csv").write_text("file,label\n1.png,cat\n")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("images.py: ")
    assert said in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_options_reach_the_dataset(tmp_path, capsys):
    frames = [Image.new("L", (3, 2), level) for level in (0, 1)]
    (tmp_path / "in/cat").mkdir(parents=True)
    frames[0].save(tmp_path / "in/cat/1.gif", save_all=True, append_images=frames[1:])
    rgb().save(tmp_path / "out.png")
    (tmp_path / "in/cat/2.png").symlink_to(tmp_path / "out.png")
    code, out, _ = run(tmp_path / "in", "--first-frame", "--outside", "--device", "cpu", capsys=capsys)
    assert (code, out.splitlines()[0]) == (0, "2 rows: 2 samples, 0 left out")


def test_a_terminal_shows_how_far_it_is_and_a_file_does_not(capsys, monkeypatch):
    watch = images.progress(150)
    for _ in range(150):
        watch(None)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    watch = images.progress(150)
    for _ in range(150):
        watch(None)
    assert capsys.readouterr().err == "\r100 of 150\r150 of 150\n"
