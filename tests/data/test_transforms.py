"""Picture, mask and boxes move alike, the same with any workers, and what does not fit is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

PROGRAM = Path(__file__).parents[2] / "snippets/data/transforms.py"
sys.path.insert(0, str(PROGRAM.parent))
import transforms  # noqa: E402  # workers send what has a module to be found in; runpy gives none

sys.path.pop(0)

RNG = np.random.default_rng(0)
PICTURE = torch.tensor(RNG.integers(0, 256, (3, 20, 30), dtype=np.uint8))
MASK = torch.zeros(20, 30, dtype=torch.int64)
MASK[2:6, 3:10] = 7
MASK[8:18, 12:20] = 9
MASK[8:13, 12:15] = 0  # no rectangle: its box cut is not the box of what is left
MASK[0, 29] = 300
SAMPLE = transforms.sample_of(PICTURE, MASK)


def plain(mask):
    """Boxes and labels of a mask, pixel by pixel."""
    boxes = {}
    for i, j in mask.nonzero().tolist():
        left, top, right, bottom = boxes.get(int(mask[i, j]), (j, i, j + 1, i + 1))
        boxes[int(mask[i, j])] = min(left, j), min(top, i), max(right, j + 1), max(bottom, i + 1)
    return [list(map(float, boxes[label])) for label in sorted(boxes)], sorted(boxes)


def sliced(x, draw):
    """A crop and mirrors by slices of an array `(..., H, W)`."""
    a = x.numpy()[..., draw.top : draw.top + draw.size, draw.left : draw.left + draw.size]
    a = a[..., ::-1] if draw.mirrored else a
    return a[..., ::-1, :] if draw.upside_down else a


def test_boxes_end_behind_the_last_pixel():
    assert SAMPLE.labels.tolist() == [7, 9, 300]
    assert SAMPLE.boxes.tolist() == [[3, 2, 10, 6], [12, 8, 20, 18], [29, 0, 30, 1]]
    assert (SAMPLE.boxes.tolist(), SAMPLE.labels.tolist()) == plain(MASK)
    assert (SAMPLE.boxes.dtype, SAMPLE.labels.dtype) == (torch.float32, torch.int64)


def test_many_objects_have_their_boxes():
    mask = torch.arange(2000).reshape(40, 50)
    boxes, labels = transforms.boxes_of(mask)
    assert labels.tolist() == list(range(1, 2000))
    assert boxes[776].tolist() == [27, 15, 28, 16]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize(("top", "left", "size"), [(0, 0, 20), (0, 10, 20), (3, 4, 9), (7, 11, 12), (19, 29, 1)])
def test_crops_and_mirrors_are_those_of_slices(top, left, size, mirrored, upside_down):
    draw = transforms.Draw(top, left, size, mirrored, upside_down)
    pair = transforms.augment(SAMPLE, draw)
    assert np.array_equal(pair.sample.picture.numpy(), sliced(PICTURE, draw))
    assert np.array_equal(pair.sample.mask.numpy(), sliced(MASK, draw))
    assert pair.sample.mask.dtype == MASK.dtype
    boxes, labels = plain(pair.sample.mask)
    assert (pair.sample.boxes.tolist(), pair.sample.labels.tolist()) == (boxes, labels)
    assert (pair.alike, pair.off) == (1.0, 0.0)
    assert pair.dropped == 3 - len(labels)
    assert pair.cut == sum((pair.sample.mask == n).sum() < (n == MASK).sum() for n in labels)


def test_a_crop_says_how_many_it_cut_and_dropped_and_how_loose_their_boxes_were():
    pair = transforms.augment(SAMPLE, transforms.Draw(0, 0, 13))
    assert pair.sample.labels.tolist() == [7]  # of 9 the corner without pixels is in the crop
    assert (pair.dropped, pair.cut, pair.wider) == (2, 0, 0.0)
    pair = transforms.augment(SAMPLE, transforms.Draw(0, 0, 14))
    assert pair.sample.labels.tolist() == [7, 9]
    assert pair.sample.boxes[1].tolist() == [12, 13, 14, 14]  # a part of the moved box [12, 8, 14, 14]
    assert (pair.dropped, pair.cut, pair.wider) == (1, 1, 5.0)


def test_a_sample_may_lose_all_its_objects():
    pair = transforms.augment(SAMPLE, transforms.Draw(0, 11, 2))
    assert (pair.sample.boxes.shape, pair.sample.labels.shape) == ((0, 4), (0,))
    assert (pair.dropped, pair.cut, pair.alike) == (3, 0, 1.0)


def test_a_turn_takes_the_nearest_pixel_of_the_mask_and_mixes_those_of_the_picture():
    sample = transforms.coins()
    pair = transforms.augment(sample, transforms.Draw(0, 0, 300, angle=10.0))
    assert set(pair.sample.mask.unique().tolist()) <= set(sample.mask.unique().tolist())
    assert (pair.sample.boxes.tolist(), pair.sample.labels.tolist()) == plain(pair.sample.mask)
    assert 0.99 < pair.alike < 1
    assert pair.cut == len(pair.sample.labels)
    assert pair.wider > 3
    seen = pair.sample.picture[0][pair.sample.mask > 0].float().mean()
    assert abs(seen - sample.picture[0][sample.mask > 0].float().mean()) < 5
    levels = torch.zeros(1, 60, 60, dtype=torch.uint8)
    levels[:, 20:40, 20:40] = 255
    square = transforms.sample_of(levels, (levels[0] > 0).long())
    turned = transforms.augment(square, transforms.Draw(0, 0, 60, angle=10.0)).sample
    assert set(turned.mask.unique().tolist()) == {0, 1}
    assert len(turned.picture.unique()) > 10
    top = turned.mask[:30].nonzero()
    assert top[top[:, 0] == top[:, 0].min(), 1].float().mean() > 33  # turned to the left, the right corner is highest


def test_the_right_turns_are_those_of_arrays():
    levels = PICTURE[:, :, :20].contiguous()
    square = transforms.sample_of(levels, MASK[:, :20].contiguous())
    out = transforms.augment(square, transforms.Draw(0, 0, 20, angle=90.0)).sample
    assert np.array_equal(out.mask.numpy(), np.rot90(square.mask.numpy()))
    assert np.array_equal(out.picture.numpy(), np.rot90(levels.numpy(), axes=(1, 2)))


def test_brightness_is_the_pictures_alone():
    half = transforms.augment(SAMPLE, transforms.Draw(0, 0, 20, brightness=0.5)).sample
    same = transforms.augment(SAMPLE, transforms.Draw(0, 0, 20)).sample
    assert half.picture.tolist() == (same.picture // 2).tolist()
    assert torch.equal(half.mask, same.mask)
    bright = transforms.augment(SAMPLE, transforms.Draw(0, 0, 20, brightness=1.4)).sample
    assert (bright.picture >= same.picture).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_a_mask_keeps_its_dtype(dtype):
    mask = (MASK % 290).to(dtype)
    sample = transforms.sample_of(PICTURE, mask)
    for draw in (transforms.Draw(1, 2, 15, True), transforms.Draw(1, 2, 15, angle=12.0)):
        out = transforms.augment(sample, draw).sample.mask
        assert out.dtype == dtype
        assert set(out.unique().tolist()) <= {0, 7, 9, 10}


def test_what_goes_in_stays_as_it_is():
    before = PICTURE.clone(), MASK.clone(), SAMPLE.boxes.clone(), SAMPLE.labels.clone()
    transforms.augment(SAMPLE, transforms.Draw(2, 3, 12, True, True, 11.0, 1.3))
    after = PICTURE, MASK, SAMPLE.boxes, SAMPLE.labels
    assert all(map(torch.equal, before, after))


def test_what_comes_out_is_checked(monkeypatch):
    move = transforms.move

    def blurred(part, draw):
        return tv_tensors.Mask(move(part, draw) // 2) if isinstance(part, tv_tensors.Mask) else move(part, draw)

    def shifted(part, draw):
        moved = move(part, draw)
        if isinstance(part, tv_tensors.BoundingBoxes):
            return tv_tensors.BoundingBoxes(moved + 2, format="XYXY", canvas_size=(20, 20))
        return moved

    for wrong, said in ((blurred, "numbers that it did not have"), (shifted, "2.0 pixels from its object")):
        monkeypatch.setattr(transforms, "move", wrong)
        with pytest.raises(RuntimeError, match=said):
            transforms.augment(SAMPLE, transforms.Draw(0, 0, 20))


def test_draws_reach_every_place_and_no_further():
    generator = torch.Generator().manual_seed(0)
    draws = [transforms.draw_for((20, 30), 18, generator) for _ in range(2000)]
    assert {draw.top for draw in draws} == set(range(3))
    assert {draw.left for draw in draws} == set(range(13))
    for name in ("mirrored", "upside_down"):
        assert 900 < sum(getattr(draw, name) for draw in draws) < 1100
    angles = [draw.angle for draw in draws if draw.angle]
    assert 900 < len(angles) < 1100
    assert (min(angles) > -15, max(angles) < 15, max(angles) > 14, min(angles) < -14) == (True,) * 4
    levels = [draw.brightness for draw in draws]
    assert (min(levels) > 0.6, max(levels) < 1.4, max(levels) > 1.3, min(levels) < 0.7) == (True,) * 4


def contents(pair):
    sample = pair.sample
    return [pair.draw, *(part.tolist() for part in (sample.picture, sample.mask, sample.boxes, sample.labels))]


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    pairs = transforms.Pairs(SAMPLE, 10, 12, seed=3)
    first = [contents(pair) for pair in pairs]
    assert len(first) == len(pairs) == 10
    torch.manual_seed(5)
    assert [contents(pairs[i]) for i in reversed(range(10))] == first[::-1]
    pairs.set_epoch(1)
    second = [contents(pair) for pair in pairs]
    draws = [each[0] for each in first + second]
    draws += [pair.draw for pair in transforms.Pairs(SAMPLE, 10, 12, seed=4)]
    assert len(set(draws)) == 30
    pairs.set_epoch(0)
    assert [contents(pair) for pair in pairs] == first


def test_torchs_own_sequence_stays_where_it_was():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    transforms.Pairs(SAMPLE, 2, 12)[1]
    assert torch.rand(1) == expected


LOADS = """
import hashlib
import sys

sys.path.insert(0, {folder!r})
import torch
from torch.utils.data import DataLoader
import transforms

if __name__ == "__main__":
    torch.set_num_threads(1)
    pairs = transforms.Pairs(transforms.coins(), 6, 100, seed=1)
    for workers, start in [(0, None), (1, "fork"), (2, "fork"), (1, "spawn")]:
        loader = DataLoader(pairs, None, num_workers=workers, multiprocessing_context=start,
                            persistent_workers=workers > 0)
        said = []
        for epoch in (0, 1):
            pairs.set_epoch(epoch)
            for pair in loader:
                parts = pair.sample.picture, pair.sample.mask, pair.sample.boxes, pair.sample.labels
                data = b"".join(part.numpy().tobytes() for part in parts)
                said.append(hashlib.sha256(data + repr(pair.draw).encode()).hexdigest()[:12])
        print(*said)
"""


def test_workers_and_how_they_start_change_nothing(tmp_path):
    script = tmp_path / "loads.py"
    script.write_text(LOADS.format(folder=str(PROGRAM.parent)))
    run = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == 4
    assert len(set(lines)) == 1
    assert len(set(lines[0].split())) == 12


@pytest.mark.parametrize(
    ("picture", "mask", "said"),
    [
        (PICTURE.permute(1, 2, 0), MASK, r"not \(20, 30, 3\): permute\(2, 0, 1\)"),
        (PICTURE[None], MASK, r"not \(1, 3, 20, 30\)$"),
        (PICTURE[:2], MASK, r"not \(2, 20, 30\)$"),
        (PICTURE[:, :0], MASK[:0], r"not \(3, 0, 30\)$"),
        (PICTURE / 255, MASK, r"picture is torch\.float32"),
        (PICTURE, MASK.float(), r"mask is torch\.float32"),
        (PICTURE, MASK > 0, r"mask is torch\.bool"),
        (PICTURE, MASK.T, r"mask is \(30, 20\) and the picture \(20, 30\)"),
        (PICTURE, MASK[None], r"mask is \(1, 20, 30\)"),
        (PICTURE, -MASK, "from -300 to 0"),
        (PICTURE, MASK * 1000, "to 300000: numbers of objects are 0 to 65535"),
        (PICTURE, MASK * 0, "no object"),
    ],
)
def test_what_does_not_fit_together_is_refused(picture, mask, said):
    with pytest.raises(ValueError, match=said):
        transforms.sample_of(picture, mask)


@pytest.mark.parametrize(
    ("boxes", "labels", "said"),
    [
        (torch.zeros(3, 5), [7, 9, 300], r"\(N, 4\), not \(3, 5\)"),
        (torch.zeros(4), [7], r"\(N, 4\), not \(4,\)"),
        (SAMPLE.boxes, [7, 9], r"3 boxes need as many labels, not \(2,\)"),
        (torch.tensor([[3, 2, 3, 6.0]]), [7], r"box 0 has no area: \[3"),
        (torch.tensor([[3, 2, 5, 6], [3, 6, 5, 2.0]]), [7, 9], "box 1 has no area"),
        (torch.tensor([[-1, 2, 3, 6.0]]), [7], "leaves the picture"),
        (torch.tensor([[1, -2, 3, 6.0]]), [7], "leaves the picture"),
        (torch.tensor([[1, 2, 31, 6.0]]), [7], "leaves the picture"),
        (torch.tensor([[1, 2, 3, 21.0]]), [7], "leaves the picture"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(boxes, labels, said):
    with pytest.raises(ValueError, match=said):
        replace(SAMPLE, boxes=boxes, labels=torch.tensor(labels))


@pytest.mark.parametrize("crop", [0, 21])
def test_a_crop_that_does_not_fit_is_refused(crop):
    with pytest.raises(ValueError, match=f"a crop of {crop} does not fit into 20 x 30 pixels"):
        transforms.Pairs(SAMPLE, 1, crop)


@pytest.mark.parametrize("i", [-1, 2])
def test_there_is_no_sample_beyond_the_last(i):
    with pytest.raises(IndexError, match=f"no sample {i} of 2"):
        transforms.Pairs(SAMPLE, 2, 12)[i]


def saved(folder, picture=PICTURE, mask=MASK, mode=None):
    """A picture and a mask as files."""
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    image = image.convert(mode) if mode else image
    image.save(folder / "picture.png")
    Image.fromarray(mask.numpy().astype(np.uint16)).save(folder / "mask.png")
    return folder / "picture.png", folder / "mask.png"


@pytest.mark.parametrize(("mode", "channels"), [(None, 3), ("L", 1), ("P", 3)])
def test_files_become_a_sample(mode, channels, tmp_path):
    files = saved(tmp_path, mode=mode)
    sample = transforms.read(*files)
    expected = Image.open(files[0]).convert("RGB" if channels == 3 else "L")
    expected = torch.tensor(np.array(expected)).reshape(20, 30, channels).permute(2, 0, 1)
    assert torch.equal(sample.picture, expected)
    assert torch.equal(sample.mask, MASK)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_the_numbers_of_a_mask_count_whatever_its_mode(mode, tmp_path):
    picture, mask = saved(tmp_path)
    numbers = (MASK % 290).byte().numpy()
    image = Image.fromarray(numbers > 0 if mode == "1" else numbers)
    if mode == "P":
        image.putpalette(list(RNG.integers(0, 256, 768)))
    image.save(mask)
    assert Image.open(mask).mode == mode
    expected = (numbers > 0).astype(int) if mode == "1" else numbers
    assert transforms.read(picture, mask).mask.tolist() == expected.tolist()


def test_a_photo_that_lies_on_its_side_is_turned_upright(tmp_path):
    picture, mask = saved(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(picture).transpose(Image.Transpose.ROTATE_90).save(picture, exif=exif)
    assert torch.equal(transforms.read(picture, mask).picture, PICTURE)


def test_a_run_reports_each_pair(tmp_path, capsys):
    picture, mask = saved(tmp_path)
    arguments = [str(picture), str(mask), "--device", "cpu", "--count", "5", "--crop", "14"]
    assert transforms.main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    pairs = transforms.Pairs(SAMPLE, 5, 14)
    for i, (block, pair) in enumerate(zip(re.split(r"(?=^pair )", out, flags=re.MULTILINE)[1:], pairs, strict=True)):
        left = len(pair.sample.labels)
        assert block.startswith(f"pair {i}: {pair.draw}\n    {left} of 3 objects, {pair.dropped} dropped")
        assert f"agree at {pair.alike:.2%}" in block
        assert ("boxes of whole objects to 0 px" in block) == (pair.cut < left)
        assert (f"{pair.cut} cut or turned: boxes taken from the mask, {pair.wider:.0f} px" in block) == (pair.cut > 0)
    for changed in (["--workers", "2"], ["--workers", "1"], ["--seed", "0"], ["--epoch", "0"]):
        assert transforms.main([*arguments, *changed]) == 0
        assert capsys.readouterr().out == out
    for changed in (["--seed", "1"], ["--epoch", "1"]):
        assert transforms.main([*arguments, *changed]) == 0
        assert capsys.readouterr().out != out


def test_a_crop_is_two_thirds_of_the_shorter_side_unless_told(tmp_path, capsys):
    files = [str(file) for file in saved(tmp_path)]
    assert transforms.main([*files, "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert transforms.main([*files, "--device", "cpu", "--crop", "13", "--count", "4"]) == 0
    assert capsys.readouterr().out == out


def test_coins_are_objects_of_their_own():
    sample = transforms.coins()
    assert sample.labels.tolist() == list(range(1, len(sample.labels) + 1))
    assert 20 <= len(sample.labels) <= 24
    inside = sample.picture[0][sample.mask > 0].float().mean()
    assert inside > sample.picture[0][sample.mask == 0].float().mean() + 40
    sizes = sample.boxes[:, 2:] - sample.boxes[:, :2]
    assert (sizes / sizes.flip(1)).max() < 1.5  # a coin is round


def test_the_figure_shows_pictures_edges_and_boxes(tmp_path):
    pairs = [transforms.augment(SAMPLE, transforms.Draw(0, left, 20)) for left in (0, 5)]
    places = transforms.draw(pairs).axes
    assert [place.get_title() for place in places] == ["0: 2 objects", "1: 2 objects"]
    for place, pair in zip(places, pairs, strict=True):
        assert np.array_equal(place.images[0].get_array(), pair.sample.picture.permute(1, 2, 0))
        corners = [[*box.get_xy(), box.get_width(), box.get_height()] for box in place.patches]
        left, top, right, bottom = pair.sample.boxes.unbind(1)
        expected = torch.stack([left - 0.5, top - 0.5, right - left, bottom - top], 1)
        assert corners == expected.tolist()
    assert transforms.main(["--device", "cpu", "--count", "1", "--plot", str(tmp_path / "pairs.png")]) == 0
    assert Image.open(tmp_path / "pairs.png").size[0] > 200


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["picture.png"], "picture.png: name a picture and its mask"),
        (["picture.png", "mask.png", "mask.png"], "name a picture and its mask"),
        (["picture.png", "missing.png"], "missing.png"),
        (["missing.png", "mask.png"], "missing.png"),
        ([".", "mask.png"], ". is a folder"),
        (["picture.png", "text.png"], "text.png is no picture"),
        (["cut.png", "mask.png"], "cut.png cannot be read"),
        (["picture.png", "picture.png"], "has mode RGB: a mask has one channel"),
        (["mask.png", "mask.png"], "mask.png has mode I;16: convert it"),
        (["clear.png", "mask.png"], "clear.png has mode RGBA: convert it"),
        (["picture.png", "float.tiff"], "float.tiff has mode F"),
        (["picture.png", "empty.png"], "empty.png beside picture.png: the mask marks no object"),
        (["picture.png", "turned.png"], "(30, 20) and the picture (20, 30)"),
        (["picture.png", "mask.png", "--crop", "21"], "--crop is a whole number from 1 to 20, not '21'"),
        (["--count", "0"], "--count"),
        (["--count", "many"], "many"),
        (["--seed=-1"], "--seed"),
        (["--epoch", "1.5"], "1.5"),
        (["--workers", "65"], "--workers"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    picture, _ = saved(tmp_path)
    (tmp_path / "text.png").write_text("no picture\n")
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:200])
    Image.open(picture).convert("RGBA").save(tmp_path / "clear.png")
    Image.fromarray(MASK.float().numpy()).save(tmp_path / "float.tiff")
    Image.new("L", (30, 20)).save(tmp_path / "empty.png")
    Image.new("L", (20, 30), 1).save(tmp_path / "turned.png")
    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    assert transforms.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("transforms.py: ")
    assert named in err
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_figure_of_no_kind_gives_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert transforms.main(["--count", "1", "--device", "cpu", "--plot", "figure.xyz"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("transforms.py: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
