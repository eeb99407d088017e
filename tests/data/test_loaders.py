"""All recipes load the same pictures, each once, and what is recommended follows from the times."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "snippets/data/loaders.py"
PAGE = ROOT / "docs/data/loaders.md"
RECORD = ROOT / "docs/data/loaders-speed.json"
CPU = torch.device("cpu")


def load_program():
    spec = importlib.util.spec_from_file_location("program_loaders", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["program_loaders"] = module
    spec.loader.exec_module(module)
    return module


loaders = load_program()
FORK = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six pictures of photos, 96 wide and 72 high."""
    folder = tmp_path_factory.mktemp("photos")
    loaders.write_examples(folder, count=6, seed=0, width=96)
    return sorted(folder.iterdir())


def flat(folder, *names):
    """Pictures of one grey each, 10 levels apart."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 6), (10 * number,) * 3).save(folder / name)
    return folder


def timed(**seconds):
    """Rounds of one variant each: `timed(decode_image=[1, 1])`."""
    names = [*seconds]
    return [
        {variant_of(name): time for name, time in zip(names, times, strict=True)}
        for times in zip(*seconds.values(), strict=True)
    ]


NAMES = {
    "floor": loaders.Variant("decode_image"),
    "slow": loaders.Variant("PIL to tensor"),
    "resize": loaders.Variant("decode_image, resize"),
    "float": loaders.Variant("decode_image, resize, float"),
    "naive": loaders.Variant(loaders.NAIVE, 0),
    "pil0": loaders.Variant("PIL, v2 per item", 0),
    "item0": loaders.Variant(loaders.REFERENCE, 0),
    "item1": loaders.Variant(loaders.REFERENCE, 1),
    "item2": loaders.Variant(loaders.REFERENCE, 2),
    "batch2": loaders.Variant("decode_image, floats on the batch", 2),
    "cached": loaders.Variant(loaders.CACHED, 0),
}
variant_of = NAMES.__getitem__


# Each picture once, in order, whoever loads it


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_recipe_loads_each_picture_once_and_in_order(workers, tmp_path):
    paths = sorted(flat(tmp_path, *(f"{n:02}.png" for n in range(11))).iterdir())
    numbers = [7, 2, 10, 0, 5, 1, 9]
    with loaders.Kitchen(paths, 4, 3, CPU, FORK) as kitchen:
        for recipe in loaders.RECIPES:
            batches = [*kitchen.batches(recipe, numbers, workers)]
            assert [tuple(batch.shape) for batch in batches] == [(3, 3, 4, 4), (3, 3, 4, 4), (1, 3, 4, 4)]
            got = loaders.levels(torch.cat(batches))
            expected = 10.0 * torch.tensor(numbers)
            assert torch.allclose(got, expected[:, None, None, None].expand_as(got), atol=1e-3), recipe
        assert [*kitchen.loaders] == [workers]  # all recipes share the same workers


def test_workers_live_from_one_recipe_to_the_next_and_end_with_the_kitchen(photos):
    before = set(multiprocessing.active_children())
    with loaders.Kitchen(photos, 16, 2, CPU, FORK) as kitchen:
        first = [*kitchen.batches(loaders.REFERENCE, range(6), 2)]
        mine = set(multiprocessing.active_children()) - before
        [*kitchen.batches("PIL, v2 per item", range(6), 2)]
        assert set(multiprocessing.active_children()) - before == mine
    assert (len(first), len(mine)) == (3, 2)
    for each in mine:
        each.join(10)
    assert not any(each.is_alive() for each in mine)


def test_a_spawned_worker_gets_all_it_needs(photos, tmp_path):
    """The program itself holds every variant against the reference."""
    command = [sys.executable, "-W", "error", PROGRAM, photos[0].parent, "--start", "spawn", "--workers", "1"]
    command += ["--count", "6", "--rounds", "1", "--batch-size", "4", "--size", "32", "--device", "cpu"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\ndecode_image, floats on the batch, 1 worker " in ran.stdout
    assert ran.stdout.startswith("rounds: 1, of 6 pictures each, 72 x 96 pixels, to batches of 4 x 3 x 32 x 32, cpu, ")


# The same pictures


def kitchen_of(paths, size=32, batch_size=4):
    return loaders.Kitchen(paths, size, batch_size, CPU, FORK)


def test_recipes_give_the_same_pictures(photos):
    contenders = loaders.variants([0], whole=True)
    with kitchen_of(photos) as kitchen:
        apart = loaders.differences(kitchen, contenders, range(6))
    assert [*apart] == [*loaders.RECIPES, loaders.CACHED]
    same = {name: most for name, (_, most) in apart.items() if not name.startswith("PIL")}
    assert max(same.values()) < 1e-3
    assert apart["PIL, v2 per item"][1] <= 2.01  # a JPEG has more than one correct decoding
    assert apart[loaders.NAIVE][1] <= 3.01  # and Pillow rounds another way where it resizes


def test_the_reference_is_what_v2_makes_of_the_file(photos):
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(32),
            v2.CenterCrop(32),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(loaders.MEAN, loaders.DEVIATION),
        ]
    )
    expected = torch.stack([transform(Image.open(path).convert("RGB")) for path in photos])
    with kitchen_of(photos) as kitchen:
        got = torch.cat([*kitchen.batches(loaders.REFERENCE, range(6), 0)])
    assert (loaders.levels(got) - loaders.levels(expected)).abs().max() <= 2.01


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (lambda path, size: loaders.item_floats(path, size).flip(2), "PIL, v2 per item, 0 workers gives other"),
        (lambda path, size: loaders.item_floats(path, size + 1), "gives (6, 3, 33, 33) of torch.float32"),
        (lambda path, size: loaders.item_floats(path, size).double(), "gives (6, 3, 32, 32) of torch.float64"),
    ],
    ids=["mirrored", "larger", "double"],
)
def test_a_recipe_that_gives_other_pictures_is_refused(item, said, photos, monkeypatch):
    monkeypatch.setitem(loaders.RECIPES, "PIL, v2 per item", loaders.Recipe(item, loaders.batch_done))
    with kitchen_of(photos) as kitchen, pytest.raises(ValueError, match="PIL, v2 per item") as raised:
        loaders.differences(kitchen, loaders.variants([0], whole=True), range(6))
    assert said in str(raised.value)


def test_pictures_come_upright_from_both_decoders(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "phone.jpg", exif=exif)
    assert loaders.decode(tmp_path / "phone.jpg").shape == (3, 8, 6)
    assert loaders.decode_with_pillow(tmp_path / "phone.jpg").shape == (3, 8, 6)


def test_whole_pictures_of_several_sizes_are_not_stacked(tmp_path):
    folder = flat(tmp_path / "in", "a.jpg", "b.jpg")
    assert loaders.check_file(folder / "a.jpg") == (6, 8)
    Image.new("RGB", (7, 9)).save(folder / "c.jpg")
    found, settings, apart = loaders.measure(folder, [0], 2, 4, 8, 1, 0, CPU)
    assert loaders.WHOLE not in apart
    assert loaders.WHOLE not in {each.recipe for each in found[0]}
    assert (settings["pictures"], settings["count"], settings["sides"]) == (3, 3, [[6, 9], [7, 8]])
    assert "6 to 9 x 7 to 8 pixels" in loaders.opening(settings, apart, 2, CPU)


# Rounds


def test_a_round_takes_the_next_pictures_and_every_other_one_goes_backwards(photos, monkeypatch):
    calls, time = [], 0.0
    some = [NAMES["floor"], NAMES["slow"], NAMES["item0"]]

    def noted(kitchen, variant, numbers, kept):
        nonlocal time
        calls.append((variant, [*numbers]))
        time += len(numbers) * (2.0 + some.index(variant))
        assert torch.get_num_threads() == 1
        assert kept.shape == (len(numbers), 3, 32, 32)
        return len(numbers)

    monkeypatch.setattr(loaders, "run", noted)
    with kitchen_of(photos, batch_size=2) as kitchen:
        found = loaders.rounds(kitchen, some, 4, 2, clock=lambda: time)
    forth, back = some, some[::-1]
    turns = [(forth, [0, 1]), (back, [0, 1, 2, 3]), (forth, [4, 5, 0, 1])]
    assert calls == [(variant, numbers) for order, numbers in turns for variant in order]
    assert found == [dict(zip(some, (2.0, 3.0, 4.0), strict=True))] * 2
    assert [*found[0]] == some


def test_a_variant_that_loses_pictures_is_no_result(photos, monkeypatch):
    monkeypatch.setattr(loaders, "run", lambda kitchen, variant, numbers, kept: len(numbers) - 1)
    with kitchen_of(photos) as kitchen, pytest.raises(ValueError, match="decode_image gave 3 of 4 pictures"):
        loaders.rounds(kitchen, [NAMES["floor"]], 4, 1)


@pytest.mark.parametrize("name", ["floor", "resize", "float", "slow", "naive", "item0", "cached"])
def test_what_is_timed_handles_every_picture(name, photos):
    kept = torch.stack([loaders.item_bytes(path, 32) for path in photos])
    with kitchen_of(photos) as kitchen:
        assert loaders.run(kitchen, NAMES[name], range(6), kept) == 6


# What follows from the times


def test_ratios_are_taken_within_a_round_and_the_floor_grows_with_the_cores():
    # the machine slows down from round to round, all alike
    pace = (1, 10, 100)
    found = timed(
        floor=pace,
        slow=[2 * each for each in pace],
        naive=[6 * each for each in pace],
        item0=[2 * each for each in pace],
        item1=[2 * each for each in pace],
        item2=[each / 1.6 for each in pace],
    )
    rows = dict(zip(found[0], loaders.summary(found, cores=2), strict=True))
    assert rows[NAMES["item2"]].floors == pytest.approx(1.6)
    assert rows[NAMES["item2"]].share == pytest.approx(0.8)
    assert rows[NAMES["item2"]].naive == pytest.approx(9.6)
    assert rows[NAMES["item2"]].rate == pytest.approx(0.16)
    assert rows[NAMES["item1"]].share == rows[NAMES["item0"]].share == pytest.approx(0.5)
    assert rows[NAMES["floor"]].share == 1
    assert loaders.summary(found, cores=1)[-1].share == pytest.approx(1.6)


def test_the_floor_is_the_faster_decoder():
    assert loaders.floor_of(timed(floor=[3, 1, 3], slow=[2, 2, 2])) == NAMES["slow"]
    assert loaders.floor_of(timed(floor=[3, 1, 1], slow=[2, 2, 2])) == NAMES["floor"]


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        ({"naive": 0.3, "item0": 0.5, "item1": 0.5, "item2": 0.9}, "item2"),
        ({"naive": 0.3, "item0": 0.87, "item1": 0.8, "item2": 0.9}, "item0"),
        ({"item0": 0.85, "item1": 0.86, "item2": 0.9}, "item1"),
        ({"item2": 0.9, "batch2": 0.92}, "batch2"),
        ({"item0": 0.1, "naive": 0.3}, "naive"),
        ({"item0": 0.5, "cached": 9.0, "floor": 1.0}, "item0"),
    ],
    ids=["fastest", "none is as good", "one is as good", "of two the faster", "naive", "loads the same"],
)
def test_the_fastest_is_recommended_unless_fewer_workers_are_as_good(speeds, expected):
    rows = [loaders.Row(NAMES[name], 100, speed, 1, speed) for name, speed in speeds.items()]
    assert loaders.recommend(rows).variant == NAMES[expected]
    assert loaders.recommend(rows[::-1]).variant == NAMES[expected]


def test_without_a_loader_nothing_is_recommended():
    with pytest.raises(ValueError, match="no loader was timed"):
        loaders.recommend([loaders.Row(NAMES["floor"], 1, 1, 1, 1), loaders.Row(NAMES["cached"], 1, 1, 1, 1)])


MADE_UP = {
    "floor": [2.0, 20.0],
    "resize": [3.0, 30.0],
    "float": [4.0, 40.0],
    "slow": [5.0, 50.0],
    "naive": [9.0, 90.0],
    "pil0": [8.0, 80.0],
    "item0": [4.5, 45.0],
    "item1": [6.5, 65.0],
    "cached": [0.5, 5.0],
}


def test_what_takes_the_rest_is_told_in_floors():
    assert loaders.losses(timed(**MADE_UP)) == pytest.approx(
        {
            "resize and crop": 0.5,
            "float and normalize": 0.5,
            "batches": 0.25,
            "to another process": 1.0,
            "PIL instead of decode_image": 1.5,
            "v1 instead of v2": 0.5,
        }
    )
    alone = {name: times for name, times in MADE_UP.items() if name != "item1"}
    assert "to another process" not in loaders.losses(timed(**alone))


def test_the_report_says_what_to_take():
    lines = loaders.report(timed(**MADE_UP), cores=2).splitlines()
    assert lines[0].split() == ["pictures/s", "x", "naive", "of", "the", "floor"]
    (row,) = [line for line in lines if line.startswith(f"{loaders.REFERENCE}, 0 workers")]
    assert row.split()[-3:] == ["0", "2.00", "44%"]
    assert f"take {loaders.REFERENCE}, 0 workers: 2.0 x the naive one, 44% of the floor" in lines
    assert "pictures that stay in memory as bytes: 9.0 x that" in lines[-1]


# The command line


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder of folders with something wrong in each."""
    root = tmp_path_factory.mktemp("bad")
    for name in ("whole", "cut", "blank", "text", "moving", "deep"):
        flat(root / name, "a.png")
    flat(root / ".hidden", "a.png")
    (root / "none").mkdir()
    (root / "none/notes.txt").write_text("no picture")
    (root / "only/.hidden").mkdir(parents=True)
    flat(root / "only/.hidden", "a.png")
    large = Image.effect_noise((64, 64), 80).convert("RGB")
    large.save(root / "cut/b.jpg")
    (root / "cut/b.jpg").write_bytes((root / "cut/b.jpg").read_bytes()[:-200])
    (root / "blank/b.png").write_bytes(b"")
    (root / "text/b.jpg").write_text("a label")
    frames = [Image.new("L", (8, 6), level) for level in (0, 200)]
    frames[0].save(root / "moving/b.gif", save_all=True, append_images=frames[1:])
    Image.new("I;16", (8, 6), 300).save(root / "deep/b.png")
    return root


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "missing is not there: name a folder with pictures"),
        (["whole/a.png"], "whole/a.png is no folder"),
        (["none"], "none holds no picture that ends in"),
        (["only"], "only holds no picture that ends in"),
        (["cut"], "cut/b.jpg: Pillow cannot read it: image file is truncated"),
        (["blank"], "blank/b.png: Pillow cannot read it: "),
        (["text"], "text/b.jpg: Pillow cannot read it: "),
        (["moving"], "moving/b.gif: Pillow makes (3, 6, 8) of it, decode_image (2, 3, 6, 8)"),
        (["deep"], "deep/b.png: Pillow makes (3, 6, 8) of it, decode_image (3, 6, 8) of torch.uint16"),
        (["whole", "--workers", "0,,1"], "--workers is a whole number from 0 to 64, not ''"),
        (["whole", "--workers", "-1"], "--workers is a whole number"),
        (["whole", "--workers", "65"], "not '65'"),
        (["whole", "--batch-size", "0"], "--batch-size is a whole number from 1 to 4096, not '0'"),
        (["whole", "--size", "big"], "--size is a whole number from 1 to 4096, not 'big'"),
        (["whole", "--count", "1.5"], "--count is a whole number"),
        (["whole", "--rounds", "0"], "--rounds is a whole number from 1 to 1000, not '0'"),
        (["whole", "--seed", "\u0663"], "--seed is a whole number"),
        (["--generate", "0"], "--generate is a whole number"),
        (["whole", "--generate", "5"], "name a folder or --generate, not both"),
        (["whole", "--start", "thread"], "not 'thread'"),
        (["whole", "--device", "tpu"], "this machine has no tpu"),
        (["whole", "--record", "out.txt"], "out.txt does not end in .json"),
        (["whole", "--record", "nowhere/out.json"], "there is no folder nowhere"),
        (["whole", "--plot", "out.xyz"], "out.xyz does not end in .pdf, .png, .svg"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_gives_one_sentence(arguments, said, bad, monkeypatch, capsys):
    monkeypatch.chdir(bad)
    before = sorted(bad.rglob("*"))
    given = [] if "--device" in arguments else ["--device", "cpu"]
    try:
        code = loaders.main([*arguments, *given])
    except SystemExit as ended:  # "-1" is an option to argparse
        code = ended.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    sentences = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert len(sentences) == 1
    assert sentences[0].startswith("loaders.py: ")
    assert said in sentences[0]
    assert sorted(bad.rglob("*")) == before


def test_pictures_are_found_in_folders_and_hidden_ones_are_not(tmp_path):
    flat(tmp_path / "b", "2.JPG", "1.png")
    flat(tmp_path / ".thumbs", "3.png")
    flat(tmp_path, "0.webp", ".4.png")
    (tmp_path / "b/5.png").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in loaders.files_in(tmp_path)] == [
        "0.webp",
        "b/1.png",
        "b/2.JPG",
    ]


def test_a_record_holds_the_medians_and_what_they_were_measured_with(photos, tmp_path, capsys):
    given = [str(photos[0].parent), "--workers", "0", "--batch-size", "3", "--size", "24", "--count", "2"]
    given += ["--rounds", "3", "--seed", "5", "--device", "cpu"]
    given += ["--record", str(tmp_path / "it.json"), "--plot", str(tmp_path / "it.svg")]
    assert loaders.main(given) == 0
    out, err = capsys.readouterr()
    assert err == ""
    written = json.loads((tmp_path / "it.json").read_text("utf-8"))
    assert written["versions"]["torch"] == torch.__version__
    assert written["machine"]["cores"] == loaders.cores_here()
    settings = written["settings"]
    assert {key: settings[key] for key in ("pictures", "size", "batch", "count", "rounds", "seed")} == {
        "pictures": 6,
        "size": 24,
        "batch": 3,
        "count": 2,
        "rounds": 3,
        "seed": 5,
    }
    assert settings["sides"] == [[72, 72], [96, 96]]
    rows = {(row["recipe"], row["workers"]): row for row in written["rows"]}
    assert rows[loaders.NAIVE, 0]["naive"] == 1
    assert rows[written["floor"], None]["share"] == 1
    assert rows[written["floor"], None]["spread"] == [1, 1]
    assert all(row["spread"][0] <= row["floors"] <= row["spread"][1] for row in written["rows"])
    best = written["recommended"]
    assert f"take {best['recipe']}, 0 workers: " in out
    assert set(written["levels apart"]) == {name for name, workers in rows if workers == 0}
    assert (tmp_path / "it.svg").read_text("utf-8").count("pictures per second")


def test_the_same_seed_takes_the_same_pictures(tmp_path, photos):
    other = tmp_path / "again"
    other.mkdir()
    loaders.write_examples(other, count=6, seed=0, width=96)
    assert [path.read_bytes() for path in sorted(other.iterdir())] == [path.read_bytes() for path in photos]
    assert len({path.read_bytes() for path in photos}) == 6
    loaders.write_examples(other, count=6, seed=1, width=96)
    assert [path.read_bytes() for path in sorted(other.iterdir())] != [path.read_bytes() for path in photos]
    assert Image.open(photos[0]).size == (96, 72)


def test_a_terminal_shows_what_is_done_and_a_file_does_not(capsys, monkeypatch):
    loaders.progress("round 1 of 3")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    loaders.progress("round 1 of 3")
    assert capsys.readouterr().err == "\r\x1b[Kround 1 of 3"


def test_a_notebook_draws_a_bar_for_each_variant(monkeypatch, capsys):
    import matplotlib.pyplot as plt

    plt.close("all")
    runpy.run_path(str(PROGRAM), {"get_ipython": object}, "__main__")
    out = capsys.readouterr().out
    (number,) = plt.get_fignums()
    (place,) = plt.figure(number).axes
    names = [label.get_text() for label in place.get_yticklabels()]
    assert loaders.__dict__["draw"].__doc__.startswith("Draw")
    assert len(place.patches) == len(names) == len(set(names)) > 8
    assert all(f"\n{name} " in out for name in names)
    assert all(bar.get_width() > 0 for bar in place.patches)
    plt.close("all")


# The record behind the page


def tables(recorded):
    """The tables of the section on speed: what the page has to show of a record."""
    rows = ["| recipe | workers | times the naive one | of the floor |", "|---|---|---|---|"]
    for row in recorded["rows"]:
        if row["workers"] is None or (row["recipe"].startswith("PIL") and row["workers"]):
            continue  # steps of recipes are in the other table, and one decoder with workers is enough
        rows.append(
            f"| {row['recipe']} | {row['workers']} | {row['naive']:.1f} | {row['share']:.0%} |".replace("%", " %")
        )
    parts = ["| beside decoding | floors |", "|---|---|"]
    parts += [f"| {name} | {part:.1f} |" for name, part in recorded["losses"].items()]
    return "\n".join(rows), "\n".join(parts)


def test_the_page_shows_the_record():
    recorded, page = json.loads(RECORD.read_text("utf-8")), PAGE.read_text("utf-8")
    for table in tables(recorded):
        assert table in page
    versions, settings = recorded["versions"], recorded["settings"]
    assert (
        f"Recorded on {recorded['date']} on an {recorded['machine']['processor']} with "
        f"{recorded['machine']['cores']} cores, Python {versions['python']}, torch {versions['torch']}, "
        f"torchvision {versions['torchvision']} and Pillow {versions['pillow']}: {settings['rounds']} rounds of "
        f"{settings['count']} JPEGs of 500 x 375, batches of {settings['batch']} x 3 x {settings['size']} x "
        f"{settings['size']}."
    ) in page


def test_the_record_is_of_this_program():
    recorded = json.loads(RECORD.read_text("utf-8"))
    workers = sorted({row["workers"] for row in recorded["rows"]} - {None})
    timed_then = [loaders.Variant(row["recipe"], row["workers"]) for row in recorded["rows"]]
    assert timed_then == loaders.variants(workers, whole=True)
    assert (workers, recorded["settings"]["sides"]) == ([0, 1, 2], [[375, 375], [500, 500]])
    rows = [
        loaders.Row(variant, row["rate"], row["floors"], row["naive"], row["share"])
        for variant, row in zip(timed_then, recorded["rows"], strict=True)
    ]
    assert vars(loaders.recommend(rows).variant) == recorded["recommended"]
    cores = recorded["machine"]["cores"]
    for row in rows:
        assert row.share == pytest.approx(row.floors / min(cores, max(1, row.variant.workers or 0)), rel=0.01)
