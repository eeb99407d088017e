"""The summary is that of exact fractions, for every dtype, and says what does not exist."""

from __future__ import annotations

import math
import os
import random
import runpy
import statistics
import warnings
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/operations.py"
operations = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
summarize = operations.summarize

WHOLE = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]
FLOATS = [torch.float8_e5m2, torch.float8_e4m3fn, torch.bfloat16, torch.float16, torch.float32, torch.float64]
LARGE = torch.finfo(torch.float64).max


def exact(values):
    """The statistics of finite numbers by fractions, without a float in between."""
    numbers = sorted(map(Fraction, values))
    n, total = len(numbers), sum(numbers)
    mean = total / n
    variance = sum((x - mean) ** 2 for x in numbers) / (n - 1)
    digits = 2**200  # the root of a fraction, to sixty digits
    std = float(Fraction(math.isqrt(int(variance * digits**2)), digits))
    return n, total, float(mean), std, float(statistics.median(numbers))


def assert_exact(x):
    values = [value for value in x.flatten().tolist() if math.isfinite(value)]
    n, total, mean, std, median = exact(values)
    got = summarize(x)
    assert (got.numbers, got.lowest, got.highest) == (n, min(values), max(values))
    assert got.total == (int(total) if isinstance(values[0], int) else float(total))
    assert got.mean == pytest.approx(mean, rel=1e-15, abs=0)
    assert got.std == pytest.approx(std, rel=1e-13, abs=0)
    assert got.median == median


@pytest.mark.parametrize("dtype", WHOLE, ids=str)
@pytest.mark.parametrize("n", [2, 3, 1000])
def test_integers_at_both_ends_of_their_range(dtype, n):
    info, dice = torch.iinfo(dtype), random.Random(n)
    ends = [info.min, info.max]
    assert_exact(torch.tensor([dice.choice(ends) for _ in range(n)] + ends, dtype=dtype))
    assert_exact(torch.tensor([dice.randrange(info.min, info.max + 1) for _ in range(n)], dtype=dtype))
    assert_exact(torch.tensor([info.max - dice.randrange(4) for _ in range(n)] + [info.max - 4], dtype=dtype))
    assert_exact(torch.tensor([info.min + dice.randrange(4) for _ in range(n)] + [info.min + 4], dtype=dtype))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("n", [2, 3, 1000])
def test_floats_of_every_size(dtype, n):
    dice, largest = random.Random(n), torch.finfo(dtype).max
    for reach in (1.0, 1e-3, 50.0, largest / n / 4):
        x = torch.tensor([dice.uniform(-reach, reach) for _ in range(n)] + [0.0, reach], dtype=torch.float64)
        assert_exact(x.to(dtype))


def test_a_total_beyond_the_dtype_is_right():
    assert summarize(torch.full((100,), 60000.0, dtype=torch.float16)).total == 6_000_000
    assert summarize(torch.full((100,), 200, dtype=torch.uint8)).total == 20_000
    odd = torch.full((1000,), 2.0**24 - 1)
    assert summarize(odd).total == 1000 * (2**24 - 1) != odd.sum().item()
    assert summarize(torch.tensor([2**62] * 5)).total == 5 * 2**62


def test_large_numbers_cancel_without_taking_small_ones_along():
    got = summarize(torch.tensor([1e100, 1.0, -1e100], dtype=torch.float64))
    assert (got.total, got.mean) == (1.0, 1 / 3)


def test_numbers_far_from_zero_keep_their_deviation():
    assert summarize(torch.tensor([1e16, 1e16 + 2], dtype=torch.float64)).std == math.sqrt(2)
    assert summarize(torch.tensor([2**62, 2**62 + 1])).std == math.sqrt(0.5)
    assert_exact(torch.rand(500, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1e9)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e200, 1e307])
def test_squares_beyond_the_range_of_floats_do_not_spoil_the_deviation(size):
    got = summarize(torch.tensor([size, 3 * size], dtype=torch.float64))
    assert got.std == pytest.approx(math.sqrt(2) * size, rel=1e-3, abs=0)


def test_a_mean_may_exist_where_the_total_does_not():
    got = summarize(torch.tensor([LARGE, LARGE], dtype=torch.float64))
    assert (got.total, got.mean, got.median, got.std) == (None, LARGE, LARGE, 0)
    got = summarize(torch.tensor([LARGE, LARGE, -LARGE], dtype=torch.float64))
    assert (got.total, got.std) == (LARGE, None)
    assert got.mean == pytest.approx(LARGE / 3)


def test_missing_and_infinite_numbers_are_counted_and_left_out():
    x = torch.tensor([3.0, math.nan, 1.0, math.inf, -math.inf, math.nan, math.inf, 5.0])
    got = summarize(x)
    assert (got.numbers, got.missing, got.infinite) == (3, 2, 3)
    assert (got.lowest, got.highest, got.total, got.mean, got.std, got.median) == (1, 5, 9, 3, 2, 3)
    nothing = summarize(torch.tensor([math.nan, math.inf]))
    assert (nothing.numbers, nothing.missing, nothing.infinite) == (0, 1, 1)
    assert (nothing.lowest, nothing.mean, nothing.total) == (None, None, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_no_numbers_have_a_total_and_nothing_else(dtype):
    got = summarize(torch.empty(0, 3, dtype=dtype))
    assert (got.numbers, got.total) == (0, 0)
    assert (got.lowest, got.highest, got.mean, got.std, got.median) == (None,) * 5


def test_one_number_has_no_deviation():
    for x in (torch.tensor(7), torch.tensor(7.0), torch.tensor([[7.0]])):
        got = summarize(x)
        assert (got.numbers, got.lowest, got.mean, got.std, got.median) == (1, 7, 7, None, 7)


def test_bools_are_counted():
    got = summarize(torch.tensor([True, True, True, False]))
    assert (got.total, got.mean, got.std, got.median) == (3, 0.75, 0.5, 1)
    assert (got.lowest, got.highest) == (0, 1)


def test_the_median_of_an_even_number_is_between_the_two():
    assert summarize(torch.tensor([4, 1, 3, 2])).median == 2.5
    assert summarize(torch.tensor([4.0, 1.0, 3.0, 2.0])).median == 2.5
    tiny = torch.tensor([5e-324, 5e-324, 0.0, 1.0], dtype=torch.float64)
    assert summarize(tiny).median == 5e-324
    assert summarize(torch.tensor([-LARGE, LARGE], dtype=torch.float64)).median == 0


def test_the_tensor_stays_as_it_is():
    for x in (torch.tensor([3.0, 1.0, 2.0]), torch.tensor([3, 1, 2]), torch.tensor([3.0, 1, 2], dtype=torch.float64)):
        before = x.clone()
        summarize(x)
        assert torch.equal(x, before)


def test_views_and_tensors_with_a_tape_are_summarized():
    table = torch.arange(12.0).reshape(3, 4)
    assert summarize(table.T[1:, ::2]) == summarize(table.T[1:, ::2].clone())
    assert summarize(torch.ones(3).expand(1000, 3)).total == 3000
    large = torch.tensor([[1, 2], [3, 2**64 - 1]], dtype=torch.uint64)
    assert summarize(large.T).total == 5 + 2**64
    assert summarize(torch.ones(3, requires_grad=True)).mean == 1


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.ones(2, dtype=torch.complex64), "complex"),
        (torch.eye(3).to_sparse(), "to_dense"),
        (torch.empty(3, device="meta"), "meta"),
        (torch.empty(4, dtype=torch.bits8), "bits8"),
    ],
)
def test_what_holds_no_real_numbers_is_refused(x, said):
    with pytest.raises(ValueError, match=said):
        summarize(x)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), (3, 0), (0, 3)])
def test_slices_are_those_that_a_sum_adds_up(shape):
    x = torch.arange(math.prod(shape)).reshape(shape)
    for dim in range(-x.ndim, x.ndim):
        sums, found = x.sum(dim), list(operations.slices(x, dim))
        assert len(found) == sums.numel() == operations.count(x, dim)
        assert all(len(part) == shape[dim] and part.sum() == sums[index] for index, part in found)
        assert len({index for index, _ in found}) == len(found)


def test_a_dimension_that_is_not_there_is_refused():
    for x, dim in ((torch.ones(2, 3), 2), (torch.ones(2, 3), -3), (torch.tensor(1), 0)):
        with pytest.raises(ValueError, match=f"no dimension {dim}"):
            list(operations.slices(x, dim))


def source(x, columns=()):
    return operations.Source("some", x, tuple(columns))


def names(x, dim, columns=(), most=9):
    return [name for name, _ in operations.summaries(source(x, columns), dim, most)]


def test_slices_have_the_names_of_columns_where_columns_are_left():
    table, columns = torch.ones(2, 3), ("a", "b", "c")
    assert names(table, 0, columns) == names(table, -2, columns) == ["a", "b", "c"]
    assert names(table, 1, columns) == names(table, 1) == ["0", "1"]
    assert names(table, 0) == ["0", "1", "2"]
    assert names(torch.ones(2, 2, 3), 0, columns)[:4] == ["0, a", "0, b", "0, c", "1, a"]
    assert names(torch.ones(2, 2, 3), 2, columns) == ["0, 0", "0, 1", "1, 0", "1, 1"]
    assert names(table, 0, columns, most=2) == ["a", "b"]
    assert names(torch.ones(4), 0) == names(table, None) == ["all"]


def read_csv(text, folder):
    file = folder / "table.csv"
    file.write_text(text, "utf-8")
    return operations.read(file)


def test_a_table_of_whole_numbers_is_int64(tmp_path):
    got = read_csv("a, b\n1,-2\n9223372036854775807,4\n\n", tmp_path)
    assert got.columns == ("a", "b")
    assert got.tensor.tolist() == [[1, -2], [2**63 - 1, 4]]
    assert got.tensor.dtype == torch.int64


def test_a_table_with_gaps_is_float64(tmp_path):
    got = read_csv("\ufeff1,2.5, NA\n,1e3,-inf\n", tmp_path)
    assert got.columns == ()
    expected = [[1.0, 2.5, math.nan], [math.nan, 1000.0, -math.inf]]
    np.testing.assert_array_equal(got.tensor.numpy(), expected)
    assert got.tensor.dtype == torch.float64


def test_names_may_leave_one_out_and_the_first_row_may_be_a_gap(tmp_path):
    assert read_csv(",a\n0,1\n", tmp_path).columns == ("", "a")
    got = read_csv(",nan\n0,1\n", tmp_path)
    assert (got.columns, got.tensor.shape) == ((), (2, 2))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no numbers"),
        ("a,b\n", "holds no numbers"),
        ("\n\n", "holds no numbers"),
        ("1,2\n3\n", "row 2: 1 cells"),
        ("1,2\n\n3,4\n", "row 2: 0 cells"),
        ("a,b\n1,2,3\n", "row 2: 3 cells"),
        ("1,2\n3,four\n", "row 2: 'four'"),
        ("1,two\n3,4\n", "row 1: 'two'"),
        ("1_000\n2\n1_0\n", "'1_0'"),
        ("1\n٣\n", "'٣'"),
        ("9223372036854775808\n", "too large"),
        ("9" * 5000 + "\n", "too large"),
        ("0.5\n1e400\n", "1e400 is too large"),
        ("0.5\n9007199254740993\n", "9007199254740993 is not a float64"),
        ('1\n"2\n', "no CSV"),
        ("1\n2\x00\n", "table.csv"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(text, said, tmp_path):
    with pytest.raises(ValueError, match=r"table\.csv") as error:
        read_csv(text, tmp_path)
    assert said in str(error.value)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", ">i4", "u8", "?", "u2"])
def test_numpy_files_of_every_byte_order(dtype, tmp_path):
    array = np.array([[1, 0], [1, 1]]).astype(dtype)[::-1]
    np.save(tmp_path / "a.npy", array)
    got = operations.read(tmp_path / "a.npy")
    assert (got.name, got.tensor.tolist()) == ("a.npy", array.tolist())
    np.save(tmp_path / "a.npy", np.array(7.0))
    assert operations.read(tmp_path / "a.npy").tensor.shape == ()


def test_a_tensor_or_one_of_a_dictionary_is_loaded(tmp_path):
    torch.save(torch.ones(2), tmp_path / "one.pt")
    assert torch.equal(operations.read(tmp_path / "one.pt").tensor, torch.ones(2))
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "layer.pt")
    got = operations.read(tmp_path / "layer.pt", "weight")
    assert (got.name, got.tensor.shape) == ("layer.pt, weight", (3, 2))


class Intruder:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_file_from_a_stranger_runs_no_code(tmp_path):
    torch.save(Intruder(tmp_path / "made"), tmp_path / "intruder.pt")
    np.save(tmp_path / "intruder.npy", np.array(Intruder(tmp_path / "made")), allow_pickle=True)
    for name in ("intruder.pt", "intruder.npy"):
        with pytest.raises(ValueError, match="intruder"):
            operations.read(tmp_path / name)
        assert not (tmp_path / "made").exists()


def written_files(folder):
    """Files that hold no tensor of numbers."""
    torch.save([1], folder / "list.pt")
    torch.save({"weight": torch.ones(2), "note": "none"}, folder / "two.pt")
    torch.save({"a": 1}, folder / "none.pt")
    torch.save(Fraction(1), folder / "object.pt")
    torch.save(torch.ones(2), folder / "one.pt")
    torch.save(torch.ones(2, dtype=torch.complex64), folder / "complex.pt")
    (folder / "broken.pt").write_bytes(b"no tensor")
    (folder / "empty.pt").write_bytes(b"")
    (folder / "broken.npy").write_bytes(b"\x93NUMPY no array")
    np.save(folder / "words.npy", np.array(["a"]))
    np.save(folder / "objects.npy", np.array([None]), allow_pickle=True)
    np.save(folder / "wide.npy", np.ones(1, dtype=np.longdouble))
    np.savez(folder / "many.npz", a=np.ones(1))
    (folder / "many.npz").rename(folder / "many.npy")
    (folder / "latin.csv").write_bytes("größe\n1\n".encode("latin-1"))
    (folder / "words.csv").write_text("a\nb\nc\n")
    (folder / "good.csv").write_text("a,b\n1,2\n")
    (folder / "notes.txt").write_text("1\n")
    (folder / "folder.csv").mkdir()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["list.pt"], "list"),
        (["two.pt"], "two.pt holds weight:"),
        (["two.pt", "--key", "note"], "weight"),
        (["none.pt"], "no tensors"),
        (["object.pt"], "object.pt"),
        (["one.pt", "--key", "a"], "--key"),
        (["complex.pt"], "complex"),
        (["complex.pt", "--dim", "0"], "complex"),
        (["broken.pt"], "broken.pt"),
        (["empty.pt"], "empty.pt"),
        (["broken.npy"], "broken.npy"),
        (["words.npy"], "words.npy"),
        (["objects.npy"], "objects.npy"),
        (["wide.npy"], "wide.npy"),
        (["many.npy"], "several"),
        (["latin.csv"], "UTF-8"),
        (["words.csv"], "'b'"),
        (["notes.txt"], "notes.txt"),
        (["folder.csv"], "folder.csv"),
        (["missing.csv"], "missing.csv"),
        (["good.csv", "--key", "a"], "--key"),
        (["good.csv", "--data", "iris"], "both"),
        (["good.csv", "--dim", "2"], "from -2 to 1"),
        (["good.csv", "--dim", "-3"], "from -2 to 1"),
        (["good.csv", "--dim", "a"], "'a'"),
        (["good.csv", "--dim", ""], "''"),
        (["good.csv", "--dim", "0", "--rows", "0"], "--rows"),
        (["--data", "moon"], "iris"),
        (["--key", "weight"], "--key"),
        (["good.csv", "--plot", "no/folder.png"], "folder.png"),
        (["good.csv", "--plot", "figure.words"], "words"),
    ],
)
def test_bad_input_gives_one_sentence_and_no_table(arguments, named, tmp_path, monkeypatch, capsys):
    written_files(tmp_path)
    before = set(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    assert operations.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("operations.py: ")
    assert err.count("\n") == 1
    assert named in err
    assert set(tmp_path.iterdir()) == before


def test_the_table_has_a_line_for_each_slice_and_tells_how_many_are_left(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text("a,b,c\n1,2,\n3,4,\n5,10,7\n")
    assert operations.main(["good.csv", "--dim", "0", "--plot", "figure.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "good.csv: (3, 3), float64; of the finite numbers"
    assert lines[1].split() == ["numbers", "nan", "inf", "min", "max", "sum", "mean", "std", "median"]
    assert lines[2].split() == ["a", "3", "0", "0", "1", "5", "9", "3", "2", "3"]
    assert lines[4].split() == ["c", "1", "2", "0", "7", "7", "7", "7", "-", "7"]
    assert (tmp_path / "figure.png").stat().st_size > 0
    assert operations.main(["good.csv", "--dim", "0", "--rows", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "and 1 more: see --rows"
    assert operations.main(["good.csv", "--dim", "-1", "--rows", "3"]) == 0
    assert "more" not in capsys.readouterr().out


def test_torch_is_quoted_beside_the_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(torch.tensor([60000.0, 60000.0, math.nan]).half(), "half.pt")
    torch.save(torch.tensor([4, 1, 3, 2]), "whole.pt")
    torch.save(torch.empty(0), "none.pt")
    said = {}
    for name in ("half", "whole", "none"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert operations.main([f"{name}.pt", "--torch"]) == 0
        *_, here, there = capsys.readouterr().out.splitlines()
        said[name] = here.split()[1:], there.split()[4:]
    assert said["half"][0] == ["2", "1", "0", "60000", "60000", "120000", "60000", "0", "60000"]
    assert said["half"][1] == ["3", *["nan"] * 6]
    assert said["whole"][0] == ["4", "0", "0", "1", "4", "10", "2.5", "1.29099", "2.5"]
    assert said["whole"][1] == ["4", "1", "4", "10", "error", "error", "2"]
    assert said["none"][0] == ["0", "0", "0", "-", "-", "0", "-", "-", "-"]
    assert said["none"][1] == ["0", "error", "error", "0", "nan", "nan", "nan"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (2**70, str(2**70)), (0.1 + 0.2, "0.3"), (True, "1"), (1e-9, "1e-09"), (math.nan, "nan")],
)
def test_numbers_for_people(value, expected):
    assert operations.written(value) == expected


@pytest.mark.parametrize("name", operations.DATA)
def test_the_real_data_agree_with_numpy(name):
    data = operations.DATA[name]()
    array = data.tensor.numpy()
    assert not data.columns or len(data.columns) == array.shape[-1]
    for (index, part), _ in zip(operations.slices(data.tensor, 0), range(5), strict=False):
        got, column = summarize(part), array[(slice(None), *index)]
        assert got.mean == pytest.approx(column.mean())
        assert got.std == pytest.approx(column.std(ddof=1))
        assert got.median == np.median(column)
        assert (got.lowest, got.highest, got.numbers) == (column.min(), column.max(), len(column))


def test_a_figure_has_the_range_the_deviation_and_both_middles_of_each_row():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    table = torch.tensor([[1.0, 2.0, 9.0], [5.0, 5.0, math.nan], [math.nan] * 3, [4.0, math.inf, -math.inf]])
    figure = operations.draw(operations.summaries(source(table), 1, 9))
    (place,) = figure.axes
    lines = [(list(map(float, line.get_xdata())), set(line.get_ydata())) for line in place.get_lines()]
    std = math.sqrt(19)
    assert lines[0] == ([1, 9], {0})
    assert lines[1] == (pytest.approx([4 - std, 4 + std]), {0})
    assert lines[2:4] == [([4], {0}), ([2], {0})]
    assert lines[4:8] == [([5, 5], {1}), ([5, 5], {1}), ([5], {1}), ([5], {1})]
    assert lines[8:] == [([4, 4], {3}), ([4], {3}), ([4], {3})]
    assert [tick.get_text() for tick in place.get_yticklabels()] == ["0", "1", "2", "3"]
    pyplot.close(figure)


def test_a_notebook_prints_two_tables_and_draws(capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = set(pyplot.get_fignums())
    runpy.run_path(str(PROGRAM), {"get_ipython": object}, "__main__")
    out = capsys.readouterr().out
    assert "torch says" in out
    assert "sepal length" in out
    drawn = set(pyplot.get_fignums()) - before
    assert len(drawn) == 1
    for number in drawn:
        pyplot.close(number)


def test_a_tensor_moves_to_the_device_that_is_named():
    source = operations.Source("ones", torch.ones(2), ("a", "b"))
    moved = operations.moved(source, torch.device("meta"))
    assert (moved.name, moved.columns, moved.tensor.is_meta) == ("ones", ("a", "b"), True)


def test_a_device_without_the_dtype_is_named_in_one_sentence(monkeypatch):
    def refuse(*_):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr(torch.Tensor, "to", refuse)
    source = operations.Source("ones", torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"mps has no torch.float64: leave out --device"):
        operations.moved(source, torch.device("mps"))
