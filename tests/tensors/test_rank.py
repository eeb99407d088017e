"""The shape doctor says what torch does."""

from __future__ import annotations

import random
import runpy
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/rank.py"
rank = SimpleNamespace(**runpy.run_path(str(PROGRAM)))


def a_walk(dice: random.Random) -> torch.Tensor:
    """A tensor behind a random chain of permute, slice, expand and unsqueeze."""
    x = torch.arange(2000)[: (n := 4 * 3 * 2 * 6)].reshape(dice.choice([(n,), (4, 36), (4, 3, 12), (4, 3, 2, 6)]))
    for _ in range(dice.randrange(5)):
        step = dice.choice(["permute", "slice", "expand", "unsqueeze"])
        dim = dice.randrange(x.ndim)
        if step == "permute":
            x = x.permute(dice.sample(range(x.ndim), x.ndim))
        elif step == "slice":
            start = dice.randrange(x.shape[dim] + 1)
            x = x[(slice(None),) * dim + (slice(start, dice.choice([start + 1, None]), dice.choice([1, 2])),)]
        elif step == "unsqueeze" and x.ndim < 6:
            x = x.unsqueeze(dim)
        elif x.shape[dim] == 1:
            x = x.expand(*x.shape[:dim], dice.choice([2, 3]), *x.shape[dim + 1 :])
    return x


def a_shape(dice: random.Random, x: torch.Tensor) -> list[int]:
    """A random shape, most often one with as many elements as the tensor."""
    if x.numel() == 0 or dice.random() < 0.1:
        return dice.choices([0, 1, 2, 3], k=dice.randrange(4))
    shape, left = [], x.numel()
    while left > 1:
        shape.append(dice.choice([n for n in range(1, left + 1) if left % n == 0]))
        left //= shape[-1]
    return shape


def test_why_no_view_agrees_with_view():
    dice, refused, allowed = random.Random(0), 0, 0
    for _ in range(1500):
        x = a_walk(dice)
        shape = a_shape(dice, x)
        try:
            x.view(shape)
            works = True
        except RuntimeError:
            works = False
        reason = rank.why_no_view(x, shape)
        assert (reason == "") == works, f"{tuple(x.shape)} {x.stride()} as {shape}: {reason!r}"
        refused, allowed = refused + (not works), allowed + works
    assert min(refused, allowed) > 200


@pytest.mark.parametrize(
    ("operation", "directly"),
    [
        ("permute(2, 0, 1)", lambda x: x.permute(2, 0, 1)),
        (" .reshape(4, -1) ", lambda x: x.reshape(4, -1)),
        ("transpose(dim0=0, dim1=2)", lambda x: x.transpose(dim0=0, dim1=2)),
        ("mT", lambda x: x.mT),
        ("[:, 0]", lambda x: x[:, 0]),
        ("[..., None, ::2]", lambda x: x[..., None, ::2]),
        ("[[1, 0]]", lambda x: x[[1, 0]]),
        ("[-1, [0, 2], 1:]", lambda x: x[-1, [0, 2], 1:]),
        ("unflatten(1, (3, 1))", lambda x: x.unflatten(1, (3, 1))),
        ("flip(0)", lambda x: x.flip(0)),
    ],
)
def test_an_operation_is_the_direct_call(operation, directly):
    x = torch.arange(24).reshape(2, 3, 4)
    applied, expected = rank.apply(x, operation), directly(x)
    assert torch.equal(applied, expected)
    assert (applied.stride(), applied.storage_offset()) == (expected.stride(), expected.storage_offset())


def test_copied_is_what_data_ptr_says():
    x = torch.arange(24).reshape(2, 3, 4)
    chain = ["permute(2, 0, 1)", "reshape(4, 6)", "[1:]", "T", "reshape(18)", "contiguous()", "[[0, 1]]", "view(1, 2)"]
    steps = rank.examine(x, chain)
    for before, after in pairwise(steps):
        same = before.tensor.untyped_storage().data_ptr() == after.tensor.untyped_storage().data_ptr()
        assert after.copied is not same, after.operation
    assert [step.operation for step in steps if step.note] == ["reshape(18)"]
    assert torch.equal(steps[-1].tensor, x.permute(2, 0, 1).reshape(4, 6)[1:].T.reshape(18)[[0, 1]].view(1, 2))


@pytest.mark.parametrize(
    "operation",
    [
        "__class__", "[().__class__]", "[__import__('os')]", "__reduce__()", "numpy()", "add_(1)", "data",
        "view(print(1))",
        "view(*[6])", "T.T", "[0][0]", "view(6).__class__", "permute(1, 0).reshape(6)", "[0](1)", "T if 1 else 2",
        "view(", "", "\0", "(" * 500, "reshape(7)", "[9]", "T()", "view", "[99999999999999999999]", "[::0]",
    ],
)  # fmt: skip
def test_what_is_not_one_known_operation_is_refused_in_one_line(operation, capsys):
    with pytest.raises(ValueError, match=r"^.") as refused:
        rank.apply(torch.arange(6).reshape(2, 3), operation)
    assert "\n" not in str(refused.value)
    assert " at 0x" not in str(refused.value)
    assert capsys.readouterr().out == ""


class NotATensor:
    """What a pickle can hold and weights_only refuses."""


FILES = {
    "empty.pt": lambda path: path.write_bytes(b""),
    "text.pt": lambda path: path.write_text("hello"),
    "object.pt": lambda path: torch.save(NotATensor(), path),
    "dict.pt": lambda path: torch.save({"a": torch.ones(2)}, path),
    "cut.pt": lambda path: (torch.save(torch.ones(99), path), path.write_bytes(path.read_bytes()[:300])),
    "text.npy": lambda path: path.write_text("hello"),
    "words.npy": lambda path: np.save(path, np.array(["a"])),
    "folder.pt": lambda path: path.mkdir(),
    "missing.pt": lambda path: None,
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_gives_one_sentence_that_names_it(name, tmp_path, capsys):
    FILES[name](tmp_path / name)
    assert rank.main([str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert name in err
    assert err.startswith("rank.py: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["2,x", "2,-3", "1000000,1000000,1000000"])
def test_a_bad_shape_gives_one_sentence_that_names_it(text, capsys):
    assert rank.main([text]) == 2
    assert text in (err := capsys.readouterr().err)
    assert err.count("\n") == 1


def test_a_file_is_read_with_its_strides(tmp_path, capsys):
    torch.save(torch.zeros(3, 4).T, tmp_path / "x.pt")
    np.save(tmp_path / "x.npy", np.zeros((4, 3)))
    assert rank.main([str(tmp_path / "x.pt"), "contiguous()"]) == 0
    assert "(1, 4)" in (out := capsys.readouterr().out)
    assert "a copy" in out
    assert rank.main([str(tmp_path / "x.npy")]) == 0
    assert "torch.float64" in capsys.readouterr().out


def test_the_drawing_numbers_the_places_that_are_visited():
    figure = rank.draw(rank.examine(torch.arange(12).reshape(3, 4), ["T", "[1]"]))
    strips = [[text.get_text() for text in place.texts] for place in figure.axes]
    places = [[int(text.get_position()[0]) for text in place.texts] for place in figure.axes]
    assert sorted(places[2]) == [1, 5, 9]
    assert [strips[2][places[2].index(at)] for at in (1, 5, 9)] == ["0", "1", "2"]
    assert [strips[1][places[1].index(at)] for at in (0, 4, 8, 1)] == ["0", "1", "2", "3"]


def test_a_storage_too_long_to_draw_is_refused():
    with pytest.raises(ValueError, match="200 elements"):
        rank.draw(rank.examine(torch.zeros(200), []))
