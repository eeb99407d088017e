"""The memory doctor counts bytes as torch does, and its compact copies are the same tensors."""

from __future__ import annotations

import os
import random
import runpy
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/views.py"
views = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")


def save(tree, folder, name="tensors.pt"):
    torch.save(tree, folder / name)
    return folder / name


def compacted(tree, folder):
    """What `--compact` makes of a tree."""
    views.write_compact(save(tree, folder), folder / "compact.pt", CPU)
    return torch.load(folder / "compact.pt", weights_only=True)


def nbytes(*tensors):
    """The bytes of the storages of some tensors, each storage counted once."""
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())


def a_view(dice, x):
    """A random view of a vector."""
    x = x[dice.randrange(20) :][: dice.choice([24, 24, 1, 0])]
    if len(x) == 24:
        x = x.reshape(dice.choice([(24,), (4, 6), (2, 3, 4)]))
        x = x.permute(dice.sample(range(x.ndim), x.ndim))
        x = x[..., :: dice.choice([1, 2])]
    return x[None].expand(dice.randrange(1, 4), *x.shape) if dice.random() < 0.3 else x


def places(x):
    """The places of the storage that a tensor reads, told by the numbers 0, 1, 2, … in it."""
    return {int(value) for value in x.flatten().tolist()}


def test_read_and_unread_bytes_of_random_views():
    dice = random.Random(0)
    for _ in range(300):
        line = torch.arange(50.0)
        tree = [a_view(dice, line) for _ in range(dice.randrange(1, 4))]
        (storage,) = views.storages_in(tree)
        read = set().union(*map(places, tree))
        assert (storage.nbytes, storage.unread) == (200, 200 - 4 * len(read))
        assert [views.places_read(x) for x in tree] == [len(places(x)) for x in tree]


def test_compact_keeps_values_and_sharing_of_random_views():
    dice, exact = random.Random(1), 0
    for _ in range(300):
        line = torch.arange(50.0)
        tree = [a_view(dice, line) for _ in range(dice.randrange(1, 4))]
        before = [x.clone() for x in tree]
        read = set().union(*map(places, tree))
        views.compact(tree)
        assert all(map(torch.equal, tree, before))
        assert len({x.untyped_storage()._cdata for x in tree}) == 1
        kept = tree[0].untyped_storage().nbytes() // 4
        assert len(read) <= kept <= (max(read) - min(read) + 1 if read else 0)
        exact += kept == len(read)
    assert exact > 200


def test_a_slice_is_saved_without_the_rest(tmp_path):
    pictures = torch.rand(100, 28, 28)
    file = save(pictures[3:5], tmp_path)
    (storage,) = views.storages_in(views.load(file, CPU))
    assert (storage.nbytes, storage.unread) == (100 * 28 * 28 * 4, 98 * 28 * 28 * 4)
    assert torch.equal(small := compacted(pictures[3:5], tmp_path), pictures[3:5])
    assert nbytes(small) == 2 * 28 * 28 * 4
    assert (tmp_path / "compact.pt").stat().st_size < file.stat().st_size / 20


def test_tied_weights_stay_tied(tmp_path):
    big = torch.rand(10, 4)
    tree = compacted({"embedding": big[:3], "head": big[:3], "first row": big[0]}, tmp_path)
    assert nbytes(*tree.values()) == 3 * 4 * 4
    tree["head"][0, 0] = 7
    assert tree["embedding"][0, 0] == tree["first row"][0] == 7


def test_columns_move_together(tmp_path):
    table = torch.rand(5, 10)
    left, right = compacted([table[:, 2], table[:, 7]], tmp_path)
    assert torch.equal(left, table[:, 2])
    assert torch.equal(right, table[:, 7])
    assert nbytes(left, right) == 2 * 5 * 4


def test_woven_tensors_keep_the_gaps_between_them_and_still_share(tmp_path):
    line = torch.arange(100.0)
    first, even = compacted([line[40:50], line[40:60:2]], tmp_path)
    assert torch.equal(first, line[40:50])
    assert torch.equal(even, line[40:60:2])
    assert nbytes(first, even) == 19 * 4
    first[2] = 7
    assert even[1] == 7


def test_strides_stay_where_nothing_is_left_out(tmp_path):
    assert compacted(torch.rand(3, 4).T, tmp_path).stride() == (1, 4)
    assert compacted(torch.zeros(1).expand(10**12), tmp_path).stride() == (0,)
    channels_last = torch.rand(9, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert compacted(channels_last[:2], tmp_path).is_contiguous(memory_format=torch.channels_last)


def test_the_tree_keeps_its_form_and_what_is_no_tensor(tmp_path):
    state = nn.BatchNorm1d(3).state_dict()
    weight = nn.Parameter(torch.ones(9)[:2], requires_grad=False)
    tree = {"model": state, "steps": [(1, "a"), (torch.ones(9)[:2],)], 7: weight, "again": weight, "none": None}
    loaded = compacted(tree, tmp_path)
    assert list(loaded) == list(tree)
    assert type(loaded["model"]) is OrderedDict
    assert loaded["model"]._metadata == state._metadata
    assert loaded["steps"][0] == (1, "a")
    assert isinstance(loaded[7], nn.Parameter)
    assert loaded[7] is loaded["again"]
    assert not loaded[7].requires_grad


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.float16, torch.bfloat16, torch.float64, torch.complex64]
)
def test_any_dtype(dtype, tmp_path):
    x = (torch.arange(40) % 3).to(dtype)
    assert torch.equal(small := compacted(x[5:9], tmp_path), x[5:9])
    assert nbytes(small) == 4 * x.element_size()


def test_nan_conjugates_and_nothing_at_all(tmp_path):
    numbers = torch.tensor([1 + 2j, 3 - 1j, 0]).conj()
    tree = [
        torch.full((9,), torch.nan)[:2],
        numbers[:2],
        torch.ones(9)[:0],
        torch.ones(0, 3),
        torch.tensor(5),
        torch.ones(0).long(),
    ]
    loaded = compacted(tree, tmp_path)
    assert loaded[0].isnan().all()
    assert torch.equal(loaded[1], numbers[:2])
    assert [tuple(x.shape) for x in loaded[2:]] == [(0,), (0, 3), (), (0,)]
    assert nbytes(loaded[2]) == 0


@pytest.mark.parametrize(
    ("tensor", "overlaps"),
    [
        (torch.zeros(1).expand(5), True),
        (torch.arange(9).unfold(0, 3, 1), True),
        (torch.arange(9).unfold(0, 3, 3), False),
        (torch.arange(12).as_strided((2, 3), (3, 2)), False),
        (torch.arange(12).as_strided((2, 4), (3, 2)), False),
        (torch.arange(12).as_strided((2, 4), (4, 2)), True),
        (torch.zeros(3, 4).T[::2], False),
        (torch.zeros(1).expand(0), False),
    ],
)
def test_overlaps_are_found_and_told(tensor, overlaps):
    report = views.report(views.storages_in(tensor))
    assert ("clone it before you write to it" in report) is overlaps


def test_who_shares_with_whom_is_told():
    weight = torch.ones(4, 4)
    report = views.report(views.storages_in({"a": weight, "b": torch.ones(2), "c": {"d": [weight[1:]]}})).splitlines()
    assert report[1].endswith("shares with c.d.0")
    assert report[2].endswith("shares with a; reads 48 of 64 bytes")
    assert report[3].endswith("2")


def test_two_dtypes_in_one_storage_are_refused():
    x = torch.ones(4)
    with pytest.raises(ValueError, match="clone"):
        views.storages_in([x, x.view(torch.int32)])


@pytest.mark.parametrize("target", ["tensors.pt", "./tensors.pt", "link.pt", "hard.pt"])
def test_the_input_is_never_overwritten(target, tmp_path, capsys):
    file = save(torch.ones(99)[:2], tmp_path)
    (tmp_path / "link.pt").symlink_to(file)
    os.link(file, tmp_path / "hard.pt")
    before = file.read_bytes()
    assert views.main([str(file), "--compact", str(tmp_path / target)]) == 2
    assert file.read_bytes() == before
    assert capsys.readouterr().err.count("\n") == 1


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, capsys):
    resource = pytest.importorskip("resource")
    file = save({"big": torch.rand(10**6)}, tmp_path)
    (tmp_path / "old.pt").write_bytes(b"old")
    before, limit = sorted(tmp_path.iterdir()), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 10**6, limit[1]))
    try:
        code = views.main([str(file), "--compact", str(tmp_path / "old.pt")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.pt").read_bytes() == b"old"


@pytest.mark.parametrize("target", ["no/such/folder.pt", "folder"])
def test_a_place_that_cannot_be_written_leaves_nothing_behind(target, tmp_path, capsys):
    file = save(torch.ones(99)[:2], tmp_path)
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert views.main([str(file), "--compact", str(tmp_path / target)]) == 2
    err = capsys.readouterr().err
    assert target.split("/")[0] in err
    assert ".part" not in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


class NotATensor:
    """What a pickle can hold and weights_only refuses."""


def endless():
    tree = [torch.ones(2)]
    tree.append(tree)
    return tree


FILES = {
    "missing.pt": None,
    "empty.pt": b"",
    "text.pt": b"hello",
    "cut.pt": b"PK\x03\x04",
    "object.pt": NotATensor(),
    "number.pt": 3,
    "nothing.pt": {"a": []},
    "endless.pt": endless(),
    "meta.pt": {"a": torch.empty(2, device="meta")},
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_gives_one_sentence(name, tmp_path, capsys):
    if isinstance(FILES[name], bytes):
        (tmp_path / name).write_bytes(FILES[name])
    elif FILES[name] is not None:
        save(FILES[name], tmp_path, name)
    assert views.main([str(tmp_path / name), "--compact", str(tmp_path / "out.pt")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("views.py: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out.pt").exists()


def test_the_example_is_told_and_shrinks(tmp_path, capsys):
    assert views.main(["--compact", str(tmp_path / "small.pt"), "--plot", str(tmp_path / "bars.png")]) == 0
    out = capsys.readouterr().out
    assert "nobody reads 3035648 of 3136000 bytes" in out
    assert f"{(tmp_path / 'small.pt').stat().st_size} bytes" in out
    assert (tmp_path / "bars.png").stat().st_size > 0
