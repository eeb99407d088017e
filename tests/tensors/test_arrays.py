"""What the array loader shares is shared, what it copies is the same, and what would change is refused."""

from __future__ import annotations

import gc
import math
import os
import random
import runpy
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/arrays.py"
arrays = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
REFUSED_BY_TORCH = {
    "it walks backwards",
    "its strides are no whole number of elements",
    "its bytes are in foreign order",
}
COMMON = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip


def an_array(dice):
    """A random view: of a table, a field of records or bytes, in any order, perhaps read-only."""
    dtype = np.dtype(dice.choice([">", "<"]) + dice.choice(["i2", "i8", "f4", "f8"]))
    if dice.random() < 0.2:
        array = np.zeros((4, 3, 2), dtype=[("a", "u1"), ("b", dtype)])["b"]
        array[:] = np.arange(24).reshape(4, 3, 2)
    elif dice.random() < 0.1:
        array = np.frombuffer(bytes(1 + 24 * dtype.itemsize), dtype, offset=1).reshape(4, 3, 2)
    else:
        array = np.arange(24).astype(dtype).reshape(4, 3, 2)
    array = array.transpose(dice.sample(range(3), 3))
    array = array[tuple(slice(dice.choice([None, 1]), None, dice.choice([1, 1, 1, 2, -1])) for _ in range(3))]
    if dice.random() < 0.1:
        array = np.lib.stride_tricks.as_strided(array, (2, *array.shape), (0, *array.strides))
    if dice.random() < 0.2:
        array = array.view()
        array.flags.writeable = False
    return array


def test_what_is_no_obstacle_is_shared_and_what_torch_refuses_is_one():
    dice, seen = random.Random(0), set()
    for _ in range(500):
        array = an_array(dice)
        reasons = set(arrays.obstacles(array))
        seen |= reasons
        assert ("it is read-only" in reasons) == (not array.flags.writeable)
        assert ("its elements overlap" in reasons) == (array.ndim == 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if "it is read-only" in reasons else "error")
            if reasons & REFUSED_BY_TORCH:
                with pytest.raises(ValueError, match="array"):
                    torch.from_numpy(array)
            else:
                torch.from_numpy(array)
        if reasons:
            with pytest.raises(ValueError, match="cannot be shared: ") as refused:
                arrays.tensor_of(array, share=True)
            assert all(reason in str(refused.value) for reason in reasons)
        else:
            made = arrays.tensor_of(array, share=True)
            assert (made.shares, made.done) == (True, ())
            assert made.tensor.data_ptr() == array.ctypes.data
            assert np.array_equal(made.tensor.numpy(), array)
    assert REFUSED_BY_TORCH | {"it is read-only", "its elements overlap", "its numbers lie across addresses"} == seen


def test_a_copy_has_the_same_numbers_and_memory_of_its_own():
    dice = random.Random(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(300):
            array = an_array(dice)
            made = arrays.tensor_of(array)
            assert made.tensor.shape == array.shape
            assert made.tensor.is_contiguous()
            assert np.array_equal(made.tensor.numpy(), array)
            assert not np.shares_memory(made.tensor, array)
            assert not made.shares
            gaps = [] if array.flags.c_contiguous else ["it has gaps, or another order"]
            assert list(made.done) == (arrays.obstacles(array) or gaps)
            made.tensor.fill_(7)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("name", COMMON)
def test_every_common_dtype_is_kept(name, share):
    tensor = arrays.tensor_of(np.array([0, 1, 1], dtype=name), share=share).tensor
    assert tensor.dtype == getattr(torch, name)
    assert tensor.tolist() == [0, 1, 1]


@pytest.mark.parametrize("char", "bBhHiIlLqQ")
@pytest.mark.parametrize("share", [True, False])
def test_each_name_of_an_integer_is_known(char, share):
    """NumPy has two types of 8 bytes, and `torch.from_numpy` takes one of the unsigned ones only."""
    array = np.array([1, 2], dtype=char)
    tensor = arrays.tensor_of(array, share=share).tensor
    assert tensor.tolist() == [1, 2]
    assert np.shares_memory(tensor, array) == share


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
def test_empty_arrays_and_scalars(shape):
    for share in (True, False):
        made = arrays.tensor_of(np.ones(shape), share=share)
        assert made.tensor.shape == shape
        assert made.shares == share
    assert arrays.tensor_of(np.ones(shape), torch.float32).tensor.shape == shape
    assert arrays.tensor_of(np.ones((1, 1))[::-1]).tensor.tolist() == [[1]]


def test_a_stride_of_zero_matters_only_where_there_are_steps():
    once, twice = (np.lib.stride_tricks.as_strided(np.ones(3), (size, 3), (0, 8)) for size in (1, 2))
    assert arrays.obstacles(once) == []
    assert arrays.obstacles(twice) == ["its elements overlap"]


def test_what_is_written_to_a_shared_tensor_is_in_the_array():
    array = np.zeros(3)
    arrays.tensor_of(array, share=True).tensor[1] = 5
    assert array.tolist() == [0, 5, 0]
    arrays.tensor_of(array).tensor[1] = 6
    assert array.tolist() == [0, 5, 0]


NO_NUMBERS = {
    "2 of 3 numbers are masked": np.ma.array([1.0, 2.0, 3.0], mask=[True, False, True]),
    "0 of 2 numbers are masked": np.ma.array([1.0, 2.0]),
    "holds words": np.array(["a", "bc"]),
    "words: ": np.array([b"a"]),
    "words: np.unique": np.array(["a"], dtype=np.dtypes.StringDType()),
    "Python objects": np.array([1, None]),
    "dates": np.array(["2026-11-21"], dtype="datetime64[D]"),
    "spans of time": np.array([3], dtype="timedelta64[s]"),
    "fields x, y: take one, as in array\\['x'\\]": np.zeros(2, dtype=[("x", "f4"), ("y", "i4")]),
    "torch has no ": np.ones(2, dtype=np.longdouble),
}


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("said", NO_NUMBERS)
def test_what_holds_no_numbers_is_refused(said, share):
    array = NO_NUMBERS[said]
    if array.dtype.kind == "f" and array.dtype.itemsize == 8 and not np.ma.isMaskedArray(array):
        pytest.skip("here a long double is a double")
    with pytest.raises(ValueError, match=said):
        arrays.tensor_of(array, share=share)


WHOLE = [0, 1, -1, 2, 127, 128, 255, 256, 257, -129, 2048, 2049, 65504, 65505, 2**24, 2**24 + 1, 2**31 - 1, 2**31]
WHOLE += [-(2**31), 2**32 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 2**63, 2**64 - 2**40, 2**64 - 1]
INTEGERS = {name: np.iinfo(name) for name in COMMON if "int" in name}
FLOATS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def has_whole(name, number):
    """Whether a dtype has a whole number, by its digits in base 2."""
    if name == "bool":
        return number in (0, 1)
    if name in INTEGERS:
        return int(INTEGERS[name].min) <= number <= int(INTEGERS[name].max)
    digits = abs(number) // max(1, number & -number)
    return digits < 2 ** FLOATS[name] and abs(number) <= torch.finfo(getattr(torch, name)).max


@pytest.mark.parametrize("target", ["bool", *INTEGERS, *FLOATS])
@pytest.mark.parametrize("source", INTEGERS)
def test_whole_numbers_stay_or_are_refused(source, target):
    for number in filter(lambda n: has_whole(source, n), WHOLE):
        array = np.array([1, number], dtype=source)
        if has_whole(target, number):
            assert arrays.tensor_of(array, getattr(torch, target)).tensor.tolist() == [1, number]
        else:
            with pytest.raises(ValueError, match=rf"to {target} would not keep {number}$"):
                arrays.tensor_of(array, getattr(torch, target))


@pytest.mark.parametrize("target", ["bool", *INTEGERS])
@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_floats_become_whole_numbers_if_they_are(source, target):
    numbers = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 300.0, 2.0**31, 2.0**63, -(2.0**63), 2.0**64, math.inf, math.nan]
    with np.errstate(over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in np.array(numbers).astype(source):
            array = np.array([1, number], dtype=source)
            if math.isfinite(number) and float(number).is_integer() and has_whole(target, int(number)):
                assert arrays.tensor_of(array, getattr(torch, target)).tensor.tolist() == [1, number]
            else:
                with pytest.raises(ValueError, match="would not keep"):
                    arrays.tensor_of(array, getattr(torch, target))


def test_a_cast_that_stops_at_the_end_of_the_range_is_seen_on_every_machine():
    """Out of range, one machine gives the least whole number and another the largest."""
    large, largest = np.array([2.0**63]), np.array([2**63 - 1])
    assert not arrays.unchanged(large, largest).any()
    assert not arrays.unchanged(largest, large).any()


@pytest.mark.parametrize(("target", "digits"), FLOATS.items())
def test_floats_are_rounded_as_torch_does_and_the_error_is_told(target, digits):
    array = np.random.default_rng(0).normal(size=500)
    array[:3] = np.nan, np.inf, 0
    made = arrays.tensor_of(array, getattr(torch, target))
    assert torch.equal(made.tensor[1:], torch.tensor(array[1:]).to(getattr(torch, target)))
    assert made.tensor[0].isnan()
    off = (made.tensor[3:].double() / torch.tensor(array[3:]) - 1).abs().max().item()
    assert off <= 2.0**-digits
    expected = () if target == "float64" else (f"float64 to {target}, rounded by up to {off:.1e} of a number",)
    assert made.done == expected


def test_a_float_that_would_become_infinite_is_refused():
    with pytest.raises(ValueError, match=r"float64 to float32 would not keep 1e\+39$"):
        arrays.tensor_of(np.array([np.inf, 1.0, 1e39]), torch.float32)
    with pytest.raises(ValueError, match=r"would not keep 70000\.0$"):
        arrays.tensor_of(np.array([70000.0], np.float32), torch.float16)


def test_exact_casts_say_nothing_of_rounding():
    assert arrays.tensor_of(np.array([0.5, 2.0]), torch.float32).done == ("float64 to float32",)


def test_complex_numbers_stay_complex():
    array = np.array([1 + 2j])
    assert arrays.tensor_of(array, torch.complex64).tensor.tolist() == [1 + 2j]
    assert arrays.tensor_of(np.array([1.5]), torch.complex64).tensor.tolist() == [1.5]
    with pytest.raises(ValueError, match="imaginary"):
        arrays.tensor_of(array, torch.float32)


def test_sharing_is_refused_where_it_takes_new_memory():
    with pytest.raises(ValueError, match="float64 to float32 takes new memory"):
        arrays.tensor_of(np.ones(2), torch.float32, share=True)
    with pytest.raises(ValueError, match="meta has memory of its own"):
        arrays.tensor_of(np.ones(2), share=True, device="meta")


def saved(folder, name="a.npy", array=None):
    np.save(folder / name, np.arange(6.0).reshape(2, 3) if array is None else array)
    return folder / name


def test_a_mapped_file_is_not_written_to_and_outlives_the_array(tmp_path):
    path = saved(tmp_path)
    (array,) = arrays.arrays_in(path, share=True).values()
    assert isinstance(array, np.memmap)
    tensor = arrays.tensor_of(array, share=True).tensor
    assert np.shares_memory(tensor, array)
    tensor[0, 0] = 99
    assert array[0, 0] == 99
    del array
    gc.collect()
    assert tensor.flatten().tolist() == [99, 1, 2, 3, 4, 5]
    assert np.load(path).flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_only_the_arrays_that_are_named_are_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.ones(2), words=np.array(["a"]), objects=np.array([None]), y=np.arange(3))
    found = arrays.arrays_in(path, ["y", "x"])
    assert {name: array.tolist() for name, array in found.items()} == {"y": [0, 1, 2], "x": [1, 1]}
    assert list(found) == ["y", "x"]
    with pytest.raises(ValueError, match=r"a\.npz has no array 'z': it has x, words, objects, y$"):
        arrays.arrays_in(path, ["z"])
    with pytest.raises(ValueError, match=r"a\.npz holds Python objects"):
        arrays.arrays_in(path)
    assert list(arrays.arrays_in(saved(tmp_path, "b.npy"))) == ["b"]
    with pytest.raises(ValueError, match=r"b\.npy has no array 'x': it has b$"):
        arrays.arrays_in(tmp_path / "b.npy", ["x"])


def broken(path, change):
    path.write_bytes(change(path.read_bytes()))


FILES = {
    "missing.npy": lambda path: None,
    "folder.npy": lambda path: path.mkdir(),
    "empty.npy": lambda path: path.write_bytes(b""),
    "text.npy": lambda path: path.write_text("hello"),
    "cut.npy": lambda path: (saved(path.parent, path.name), broken(path, lambda data: data[:150])),
    "header.npy": lambda path: (saved(path.parent, path.name), broken(path, lambda data: data[:40])),
    "objects.npy": lambda path: saved(path.parent, path.name, np.array([None])),
    "words.npy": lambda path: saved(path.parent, path.name, np.array(["a"])),
    "torch.pt": lambda path: torch.save(torch.ones(2), path),
    "none.npz": lambda path: np.savez(path),
    "cut.npz": lambda path: (np.savez(path, a=np.ones(99)), broken(path, lambda data: data[:300])),
    "flipped.npz": lambda path: (
        np.savez(path, a=np.ones(99)),
        broken(path, lambda data: data.replace(b"\xf0\x3f", b"\xf1\x3f", 1)),
    ),
}


@pytest.mark.parametrize("memory", ["copy", "share"])
@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_gives_one_sentence_that_names_it(name, memory, tmp_path, monkeypatch, capsys):
    FILES[name](tmp_path / name)
    before = sorted(tmp_path.iterdir())
    unraised = []
    monkeypatch.setattr(sys, "unraisablehook", unraised.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = arrays.main([str(tmp_path / name), "--memory", memory, "--save", str(tmp_path / "out.pt")])
        gc.collect()
    out, err = capsys.readouterr()
    assert (code, out, unraised) == (2, "", [])
    assert name in err
    assert err.startswith("arrays.py: ")
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_tensors_are_saved_under_their_names(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", x=np.array([0.5, 1.5]), y=np.array([1, 2], np.int32), z=np.array(["a"]))
    target = tmp_path / "out.pt"
    arguments = [str(tmp_path / "a.npz"), "--only", "x,y", "--integers", "int64", "--save", str(target)]
    assert arrays.main([*arguments, "--device", "cpu"]) == 0
    tensors = torch.load(target, weights_only=True)
    assert {name: (t.dtype, t.tolist()) for name, t in tensors.items()} == {
        "x": (torch.float32, [0.5, 1.5]),
        "y": (torch.int64, [1, 2]),
    }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npz", "out.pt"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("  ")[0] == "x"
    assert lines[2].endswith("16 new bytes  int32 to int64")


def test_a_saved_file_takes_the_place_of_another_and_does_not_write_into_it(tmp_path):
    old, target = tmp_path / "old.pt", tmp_path / "out.pt"
    old.write_text("old")
    os.link(old, target)
    arrays.save({"a": torch.ones(2)}, target)
    assert old.read_text() == "old"
    assert torch.load(target, weights_only=True)["a"].tolist() == [1, 1]


def test_what_is_shared_stays_off_the_accelerator_unless_it_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("meta"))
    arguments = [str(saved(tmp_path)), "--memory", "share", "--floats", "keep"]
    assert arrays.main(arguments) == 0
    assert arrays.main([*arguments, "--device", "meta"]) == 2
    assert capsys.readouterr().err == "arrays.py: a in a.npy: it cannot be shared: meta has memory of its own\n"
    assert arrays.main([arguments[0]]) == 0
    assert "  24 new bytes on meta  " in capsys.readouterr().out


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, capsys):
    path, target = saved(tmp_path), tmp_path / "out.pt"
    target.write_text("old")

    def full(*_):
        raise RuntimeError("no space")

    monkeypatch.setattr(torch, "save", full)
    assert arrays.main([str(path), "--save", str(target), "--device", "cpu"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"arrays.py: {target}: no room to write it\n")
    assert target.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npy", "out.pt"]


def test_the_examples_say_what_was_done(capsys):
    assert arrays.main(["--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["digits", "patients", "wine.data", "wine.target"]
    assert lines[1].endswith("115008 new bytes")
    assert "foreign order; float64 to float32, rounded by up to 5.9e-08 of a number" in lines[2]
    assert "it has gaps, or another order" in lines[3]


def test_sharing_is_shown(tmp_path, capsys):
    assert arrays.main([str(saved(tmp_path)), "--memory", "share", "--floats", "keep"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert " ".join(row.split()) == "a (2, 3) float64 (24, 8) (2, 3) float64 (3, 1) shared"


def test_the_figure_numbers_the_places_in_the_order_of_the_indices():
    made = {name: arrays.tensor_of(array) for name, array in arrays.small_arrays().items()}
    for axis, each in zip(arrays.draw(made).axes, made.values(), strict=True):
        drawn = {1: [], 0: []}
        for text in axis.texts:
            drawn[text.get_position()[1]].append((int(text.get_text()), text.get_position()[0]))
        start = each.array.__array_interface__["data"][0]
        low = np.lib.array_utils.byte_bounds(each.array)[0]
        assert drawn[0] == [(n, n) for n in range(8)]
        assert (start - low) / 8 == drawn[1][0][1]
        for n, index in enumerate(np.ndindex(each.array.shape)):
            part = each.array[tuple(slice(i, i + 1) for i in index)]
            assert drawn[1][n] == (n, (part.__array_interface__["data"][0] - low) / 8)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--memory", "steal"], "steal"),
        (["--floats", "int64"], "--floats is keep or one of float16, float32, float64, bfloat16"),
        (["--integers", "float32"], "--integers is keep or one of uint8"),
        (["--integers", "int7"], "int7"),
        (["--device", "abacus"], "abacus"),
        (["--only", "nothing"], "nothing"),
        (["--memory", "share"], "patients in patients.npy"),
        (["--save", "no/such/folder.pt"], "no folder no/such"),
        (["--save", "."], "is a folder"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert arrays.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("arrays.py: ")
    assert named in err.replace("\\", "/")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
