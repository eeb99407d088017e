"""The dtype table says which numbers a dtype has, and measures what the device multiplies."""

from __future__ import annotations

import re
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/dtypes.py"
dtypes = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")
WHOLE = [x for x in dtypes.DTYPES if not (x.is_floating_point or x.is_complex or x == torch.bool)]
REAL = [x for x in dtypes.DTYPES if x.is_floating_point]

every_dtype = pytest.mark.parametrize("dtype", dtypes.DTYPES, ids=dtypes.name_of)


def row(dtype=torch.float32, ratio=1.0, refusal=""):
    return dtypes.Row(dtype, dtypes.facts(dtype), ratio, refusal)


def counts(n, dtype):
    """Whether n and n + 1 are two numbers in a dtype."""
    return bool(torch.tensor(n).to(dtype).double() != torch.tensor(n + 1).to(dtype).double())


@every_dtype
def test_bytes_are_those_of_an_element(dtype):
    assert dtypes.facts(dtype).bytes == torch.zeros(1, dtype=dtype).element_size()


@pytest.mark.parametrize("dtype", WHOLE, ids=dtypes.name_of)
def test_whole_numbers_are_those_of_iinfo_and_wrap_at_their_end(dtype):
    facts, info = dtypes.facts(dtype), torch.iinfo(dtype)
    assert (facts.lowest, facts.highest, facts.counts_to, facts.eps) == (info.min, info.max, info.max, None)
    assert (torch.tensor([facts.highest], dtype=dtype) + 1).item() == facts.lowest


@pytest.mark.parametrize("dtype", REAL, ids=dtypes.name_of)
def test_floats_are_those_of_finfo_and_count_to_where_one_more_is_lost(dtype):
    facts, info = dtypes.facts(dtype), torch.finfo(dtype)
    assert (facts.lowest, facts.highest, facts.eps) == (info.min, info.max, info.eps)
    assert counts(facts.counts_to - 1, dtype)
    assert not counts(facts.counts_to, dtype)
    assert all(counts(n, dtype) for n in range(min(facts.counts_to, 3000)))


def test_a_complex_dtype_is_told_by_its_parts():
    whole, part = dtypes.facts(torch.complex64), dtypes.facts(torch.float32)
    assert (whole.lowest, whole.highest, whole.eps, whole.counts_to) == (
        part.lowest,
        part.highest,
        part.eps,
        part.counts_to,
    )
    assert whole.bytes == 2 * part.bytes


def test_bools_are_0_and_1():
    assert dtypes.facts(torch.bool) == dtypes.Facts(1, 0, 1, None, 1)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"),
        (-128, "-128"),
        (65504.0, "65504"),
        (2**24, "2^24"),
        (2**31 - 1, "2^31 - 1"),
        (-(2**63), "-2^63"),
        (0.0078125, "0.0078125"),
        (torch.finfo(torch.float32).max, "3.4028e+38"),
        (123_456, "1.2346e+05"),
    ],
)
def test_numbers_are_written_in_few_characters(number, expected):
    assert dtypes.written(number) == expected


@every_dtype
def test_a_refusal_is_what_the_product_raises(dtype):
    reason = dtypes.refusal(dtype, CPU)
    a = dtypes.matrix(4, dtype, CPU)
    if reason:
        with pytest.raises(RuntimeError, match=re.escape(reason)):
            a @ a
    else:
        assert (a @ a).dtype == dtype


def test_a_device_that_does_not_hold_a_dtype_is_a_refusal():
    class Device:
        """Stands for a device without float64, which `to` refuses with a TypeError."""

    assert "Device" in dtypes.refusal(torch.float64, Device())


def test_the_time_of_float32_beside_float32_is_1_more_or_less():
    assert 1 / 3 < dtypes.ratio(torch.float32, CPU, 64) < 3


def test_a_larger_number_of_bytes_is_not_faster():
    assert dtypes.ratio(torch.complex128, CPU, 128) > 1


def test_a_ratio_stays_near_its_limit_and_leaves_the_threads_alone():
    threads, start = torch.get_num_threads(), time.perf_counter()
    dtypes.ratio(torch.float64, CPU, 64, limit=0.1)
    assert time.perf_counter() - start < 5
    assert torch.get_num_threads() == threads


def test_what_the_device_does_not_multiply_is_told_and_not_measured():
    (measured,) = dtypes.measure([torch.bool], CPU, size=8)
    assert measured.ratio is None
    assert "'Bool'" in measured.refusal
    assert "none: " in dtypes.report([measured], CPU)


def test_the_table_has_a_line_for_each_dtype():
    lines = dtypes.report([row(torch.bfloat16, 0.5), row()], torch.device("cuda")).splitlines()
    assert lines[0].split()[:2] == ["dtype", "bytes"]
    assert lines[1].split() == ["bfloat16", "2", "-3.3895e+38", "3.3895e+38", "0.0078125", "256", "0.5"]
    assert lines[2].endswith("  1")
    assert "on cuda" in lines[3]
    assert "one thread" in dtypes.report([row()], CPU)


def test_a_figure_has_a_dot_for_each_dtype_that_was_measured():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure = dtypes.draw([row(), row(torch.float64, 2.0), row(torch.bool, None, "no")])
    dots, _ = figure.axes[0].get_lines()
    assert list(dots.get_xdata()) == [1.0, 2.0]
    pyplot.close(figure)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--dtypes", "float31"], "float31"),
        (["--dtypes", "float32,half"], "half"),
        (["--dtypes", ","], "','"),
        (["--dtypes", ""], "''"),
        (["--device", "tpu"], "tpu"),
        (["--dtypes", "float32", "--device", "cpu", "--plot", "no/such/folder.png"], "folder.png"),
        (["--dtypes", "float32", "--device", "cpu", "--plot", "picture.words"], "words"),
    ],
)
def test_bad_input_gives_one_sentence_and_no_table(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dtypes.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dtypes.py: ")
    assert err.count("\n") == 1
    assert named in err
    assert list(tmp_path.iterdir()) == []


def test_the_dtypes_that_are_named_are_told_in_their_order(tmp_path, capsys):
    file = tmp_path / "times.png"
    assert dtypes.main(["--dtypes", "uint8, float32", "--device", "cpu", "--plot", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["dtype", "uint8", "float32", "matmul:"]
    assert file.stat().st_size > 0


def test_a_notebook_prints_the_table_and_draws(capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = set(pyplot.get_fignums())
    runpy.run_path(str(PROGRAM), {"get_ipython": object}, "__main__")
    assert len(capsys.readouterr().out.splitlines()) == len(dtypes.DTYPES) + 2
    drawn = set(pyplot.get_fignums()) - before
    assert len(drawn) == 1
    for number in drawn:
        pyplot.close(number)
