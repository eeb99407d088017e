"""Nothing wrong in a table goes unnoticed, and no part of it knows of another."""

from __future__ import annotations

import csv
import json
import os
import runpy
import subprocess
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

PROGRAM = Path(__file__).parents[2] / "snippets/data/datasets.py"
datasets = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")
SMALL = "hand,size,weight,kind\n" + "".join(f"h{n % 7},{n},{n * n},{'ab'[n % 2]}\n" for n in range(40))


@pytest.fixture
def written(tmp_path):
    """Writes a file of these characters or bytes, and says where."""

    def write(content, name="table.csv"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.fixture
def told(written, capsys):
    """The one sentence that the program says of a file before it ends with 2."""

    def tell(content, *arguments):
        file = written(content)
        assert datasets.main([str(file), "--device", "cpu", *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("datasets.py: ")
        return err.removeprefix("datasets.py: ").strip().replace(str(file), "table.csv")

    return tell


def table(content=SMALL, target="kind", path=None, **more):
    rows = [tuple(row) for row in csv.reader(content.splitlines())]
    return datasets.table_from(datasets.cells_from("table.csv", rows), target, **more)


# Bad files


def changed(row, column, cell):
    """SMALL with one cell written differently; row 1 has the names."""
    rows = [line.split(",") for line in SMALL.splitlines()]
    rows[row - 1][rows[0].index(column)] = cell
    return "\n".join(",".join(cells) for cells in rows) + "\n"


BAD = {
    "no file of that name": (None, [], "cannot read ", "No such file or directory"),
    "empty": ("", [], "table.csv is empty", "needs a row of names"),
    "a byte-order mark alone": ("\ufeff", [], "table.csv is empty", ""),
    "empty lines alone": ("\n\n\n", [], "table.csv is empty", ""),
    "names alone": ("hand,kind\n", [], "table.csv has names and no rows", "add some"),
    "a missing column": (SMALL, ["--target", "sort"], "no column 'sort'", "one of hand, size, weight, kind"),
    "a missing group": (SMALL, ["--group", "author"], "no column 'author'", "choose one of"),
    "nothing to leave out": (SMALL, ["--without", "author"], "no column 'author'", "choose one of"),
    "semicolons": (SMALL.replace(",", ";"), [], "no column 'kind'", "separated by semicolons? Save it with commas"),
    "tabs": (SMALL.replace(",", "\t"), [], "no column 'kind'", "separated by tabs? Save it with commas"),
    "a word": (changed(5, "size", "big"), [], "row 5, column 'size': 'big' is no number", "--without 'size'"),
    "a decimal comma": (changed(5, "size", '"1,5"'), [], "row 5, column 'size': '1,5' is no number", "correct it"),
    "an underscore": (changed(5, "size", "1_0"), [], "row 5, column 'size': '1_0' is no number", "correct it"),
    "digits of other scripts": (changed(5, "size", "\uff11"), [], "'\uff11' is no number", "row 5"),
    "hexadecimal": (changed(5, "size", "0x1F"), [], "'0x1F' is no number", "row 5"),
    "an empty cell": (changed(6, "size", ""), [], "row 6, column 'size': '' is a missing value", "fill it in"),
    "a blank cell": (changed(6, "size", "  "), [], "row 6, column 'size': '' is a missing value", ""),
    "nan": (changed(41, "size", "NaN"), [], "row 41, column 'size': 'NaN' is a missing value", "remove"),
    "n/a": (changed(2, "size", "N/A"), [], "row 2, column 'size': 'N/A' is a missing value", "remove"),
    "no target": (changed(2, "kind", ""), [], "row 2, column 'kind': '' is a missing value", "fill"),
    "no group": (changed(9, "hand", ""), [], "row 9, column 'hand': '' is a missing value", "fill"),
    "infinite": (changed(7, "size", "-inf"), [], "row 7, column 'size': '-inf' is beyond 1e30", "unit"),
    "infinite in float64": (changed(7, "size", "1e999"), [], "'1e999' is beyond 1e30", "row 7"),
    "infinite in float32": (changed(7, "size", "-1e39"), [], "'-1e39' is beyond 1e30", "row 7"),
    "a short row": (SMALL + "h1,2,3\n", [], "table.csv, row 42: 3 cells where the names are 4", "quote"),
    "a long row": (SMALL + "h1,2,3,a,5\n", [], "table.csv, row 42: 5 cells where the names are 4", "quote"),
    "a row of none": (SMALL.replace("h3", "\nh3", 1), [], "row 5: 0 cells", "remove empty lines"),
    "a name twice": ("a, b,a \n1,2,3\n", [], "row 1: columns 1 and 3 are both named 'a'", "rename"),
    "no name": ("a,,kind\n1,2,3\n", [], "row 1: column 2 has no name", "give it one"),
    "not UTF-8": (changed(4, "hand", "J\u00fcrg").encode("latin-1"), [], "row 4: the byte 0xfc is not UTF-8", "save"),
    "UTF-16": (SMALL.encode("utf-16"), [], "row 1: the byte 0xff is not UTF-8", "save"),
    "a blank behind a quote": (SMALL + '"h1" ,2,3,a\n', [], "table.csv, row 42: ", "correct the quotes"),
    "an open quote": (SMALL + '"h1,2,3,a\n', [], "table.csv, row 42: unexpected end of data", "quotes"),
    "text behind a quote": (SMALL + '"h1"x,2,3,a\n', [], "table.csv, row 42: ", "correct the quotes"),
    "a huge cell": (changed(3, "size", "1" * 140000), [], "row 3: field larger than field limit", ""),
    "one target": (SMALL.replace(",b\n", ",a\n"), [], "column 'kind' is a in all rows", "choose another"),
    "no inputs": ("kind\na\nb\na\n", ["no group"], "has no inputs beside 'kind'", ""),
    "two groups": ("g,x,kind\n" + "1,2,a\n2,3,b\n" * 9, ["--group", "g"], "three groups or more, not 2", "add rows"),
    "two rows": ("x,kind\n2,a\n3,b\n", ["no group"], "three groups or more, not 2", "add rows"),
    "numbers and words": (
        changed(8, "weight", "n.a."),
        ["--target", "weight"],
        "row 8, column 'weight': 'n.a.' is no number, and other targets are",
        "--task classes",
    ),
    "words as numbers": (SMALL, ["--task", "numbers"], "row 2, column 'kind': 'a' is no number", "--task classes"),
    "target and group": (SMALL, ["--group", "kind"], "are different columns", ""),
    "target left out": (SMALL, ["--without", "kind"], "are different columns", ""),
    "group left out": (SMALL, ["--without", "hand"], "are different columns", ""),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_with_its_place_and_what_to_do(case, told, capsys, tmp_path):
    content, arguments, said, advice = BAD[case]
    given = [] if "--target" in arguments else ["--target", "kind"]
    given += [] if {"--group", "no group"} & {*arguments} else ["--group", "hand"]
    given += [each for each in arguments if each != "no group"]
    if content is None:
        assert datasets.main([str(tmp_path / "no.csv"), *given]) == 2
        message = capsys.readouterr().err
    else:
        message = told(content, *given)
    assert said in message
    assert advice in message


def test_a_huge_cell_and_a_long_number_are_refused_at_once(told):
    assert "is no number" in told(changed(3, "size", "1" * 100000 + "x"), "--target", "kind", "--group", "hand")


def test_a_value_too_far_from_the_training_rows_is_named():
    close = "x,kind\n" + "".join(f"{n}e-30,{'ab'[n % 2]}\n" for n in range(30))
    row = datasets.split(range(30), 0)["test"][0]
    lines = close.splitlines()
    lines[row + 1] = "1e29,a"
    found = table("\n".join(lines))
    with pytest.raises(ValueError, match=f"row {row + 2}, column 'x': too far from the training rows"):
        datasets.datasets_of(found, 0)


def test_a_target_has_to_be_chosen(told):
    assert told(SMALL) == "say what to predict: --target with one of hand, size, weight, kind"


def test_a_folder_is_no_table(tmp_path, capsys):
    assert datasets.main([str(tmp_path), "--target", "kind"]) == 2
    assert capsys.readouterr().err == f"datasets.py: cannot read {tmp_path}: Is a directory\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--batch-size", "0"], "--batch-size is a whole number, 1 to 1000000, not '0'"),
        (["--batch-size", "many"], "--batch-size"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "9" * 17], "--seed"),
        (["--workers", "65"], "--workers"),
        (["--task", "guess"], "--task is auto, classes or numbers, not 'guess'"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "no/such/folder.png"], "no such folder"),
        (["--plot", "means.xyz"], "means.xyz"),
        (["--target", "vintage"], "wine has no column 'vintage'"),
    ],
)
def test_bad_arguments_give_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert datasets.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("datasets.py: ")
    assert named in err
    assert (out, err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


# Good files


def test_a_file_is_read_whatever_its_mark_quotes_blanks_and_line_ends(written):
    text = '\ufeff name , "size, in m",kind \r\n "Smith, Ann", 1.50 ,a\r\n"two\nlines", " 2 ","say ""b"""\r\n\r\n\r\n'
    cells = datasets.read_csv(written(text))
    assert cells.names == ("name", "size, in m", "kind")
    assert cells.rows == (("Smith, Ann", "1.50", "a"), ("two\nlines", "2", 'say "b"'))


@pytest.mark.parametrize("text", ["1", "-2.5", "+3", ".5", "5.", "1e3", "-1.5E-7", "007", "1e30", "1e-400"])
def test_numbers_are_those_of_python(text):
    assert datasets.number_from(text) == float(text)


@pytest.mark.parametrize("text", ["", "1 2", "1,5", "1_0", "e5", "--1", "1e", "nan", "\u0661", "0x1", "1f", ".", "+"])
def test_what_is_no_number_is_none(text):
    assert datasets.number_from(text) is None


def test_inputs_are_float32_and_targets_int64_or_float32():
    part = datasets.datasets_of(table(without=["hand"]), 0)["training"]
    x, y = part[0]
    assert (x.dtype, x.shape, y.dtype, y.shape) == (torch.float32, (2,), torch.int64, ())
    part = datasets.datasets_of(table(target="weight", without=["hand", "kind"], task="numbers"), 0)["training"]
    x, y = part[0]
    assert (x.shape, y.dtype, y.shape) == ((1,), torch.float32, ())


def test_no_cell_is_lost_between_file_and_tensor():
    found = table(group="hand")
    assert found.columns == ("size", "weight")
    assert found.inputs.tolist() == [[n, n * n] for n in range(40)]
    assert found.targets.tolist() == [n % 2 for n in range(40)]
    assert found.classes == ("a", "b")
    assert found.groups == tuple(f"h{n % 7}" for n in range(40))


def test_the_wines_are_those_of_scikit_learn():
    found = datasets.table_from(datasets.wine(), "class")
    np.testing.assert_array_equal(found.inputs.numpy(), load_wine().data)
    np.testing.assert_array_equal(found.targets.numpy(), load_wine().target)
    assert list(found.columns) == load_wine().feature_names


@pytest.mark.parametrize(
    ("cells", "task", "classes", "targets"),
    [
        (["b", "a", "b"], "auto", ("a", "b"), [1, 0, 1]),
        (["10", "2", "10"], "auto", ("2", "10"), [1, 0, 1]),
        (["1", "0", "1.0"], "auto", ("0", "1"), [1, 0, 1]),
        (["1", "0.5", "2"], "auto", (), [1, 0.5, 2]),
        (["1", "2", "5"], "numbers", (), [1, 2, 5]),
        (["1.5", "0.5", "2"], "classes", ("0.5", "1.5", "2"), [1, 0, 2]),
        (["1", "x", "1"], "classes", ("1", "x"), [0, 1, 0]),
        ([str(n) for n in range(20)], "auto", tuple(str(n) for n in range(20)), list(range(20))),
        ([str(n) for n in range(21)], "auto", (), list(range(21))),
    ],
)
def test_targets_are_classes_or_numbers(cells, task, classes, targets):
    found = table("x,y\n" + "\n".join(f"{n},{cell}" for n, cell in enumerate(cells)), "y", task=task)
    assert (found.classes, found.targets.tolist()) == (classes, targets)
    assert found.targets.dtype == (torch.int64 if classes else torch.float32)


# Splitting


@pytest.mark.parametrize("count", [3, 4, 7, 10, 178, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_parts_share_no_row_and_miss_none(count, seed):
    parts = datasets.split(range(count), seed)
    assert list(parts) == ["training", "validation", "test"]
    assert sorted(chain(*parts.values())) == list(range(count))
    assert all(rows == sorted(rows) and rows for rows in parts.values())
    for name, share in (("training", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert abs(len(parts[name]) - share * count) < 1.5


@pytest.mark.parametrize("seed", range(30))
def test_no_group_is_in_two_parts(seed):
    draw = torch.Generator().manual_seed(seed)
    groups = torch.randint(3 + seed, (200,), generator=draw).tolist()
    parts = datasets.split(groups, seed)
    assert sorted(chain(*parts.values())) == list(range(200))
    found = [{groups[row] for row in rows} for rows in parts.values()]
    assert sum(map(len, found)) == len(set(groups))
    assert all(found)
    if seed >= 20:  # many small groups
        assert abs(len(parts["training"]) - 140) <= 15


def test_one_large_group_goes_to_training():
    groups = [0] * 50 + list(range(1, 51))
    for seed in range(20):
        assert 0 in datasets.split(groups, seed)["training"]


def test_the_seed_decides_the_split():
    first, second = (datasets.split(range(100), seed) for seed in (0, 1))
    assert datasets.split(range(100), 0) == first != second
    torch.manual_seed(5)
    assert datasets.split(range(100), 0) == first
    before = torch.get_rng_state()
    datasets.split(range(100), 0)
    assert torch.get_rng_state().equal(before)


def test_a_group_column_decides_the_split_and_is_no_input():
    parts = datasets.datasets_of(table(group="hand"), 0)
    found = [{row % 7 for row in part.rows} for part in parts.values()]
    assert sum(map(len, found)) == 7
    assert set.union(*found) == set(range(7))


RUN = """
import json, sys

sys.path.insert(0, sys.argv[1])
import datasets

def batches(workers, start):
    parts = datasets.datasets_of(datasets.table_from(datasets.wine(), "class"), 3)
    loaders = datasets.loaders_of(parts, 50, 3, workers, start)
    names = ["training"] if start == "spawn" else list(loaders)
    rows = {name: parts[name].rows for name in parts}
    return rows, {name: [[x.tolist(), y.tolist()] for x, y in loaders[name]] for name in names}

if __name__ == "__main__":
    for workers, start in json.loads(sys.argv[2]):
        rows, found = batches(workers, start)
        print(json.dumps([rows, found]))
"""


def test_split_and_batches_are_the_same_on_every_run_and_with_workers(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    starts = [(0, None)]
    if hasattr(os, "fork"):
        starts += [(1, "fork"), (2, "fork")]
    starts += [(1, "spawn")]

    def run(starts, hashes):
        command = [sys.executable, "-W", "error", script, str(PROGRAM.parent), json.dumps(starts)]
        environment = os.environ | {"PYTHONHASHSEED": hashes, "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        assert (ran.returncode, ran.stderr) == (0, "")
        return [json.loads(line) for line in ran.stdout.splitlines()]

    results = [*run(starts, "1"), *run([(0, None)], "2")]
    rows, batches = results[0]
    assert {name: len(found) for name, found in rows.items()} == {"training": 126, "validation": 26, "test": 26}
    for other, found in results[1:]:
        assert other == rows
        assert all(found[name] == batches[name] for name in found)
    sizes = [len(y) for _, y in batches["training"]]
    assert sizes == [50, 50, 26]


def test_loaders_lose_no_row_and_shuffle_training_only():
    parts = datasets.datasets_of(table(without=["hand"]), 0)
    first, second, again = (
        {name: [x for x, _ in loader] for name, loader in datasets.loaders_of(parts, 16, seed).items()}
        for seed in (0, 1, 0)
    )
    for name, part in parts.items():
        found = torch.cat(first[name])
        assert sorted(found.tolist()) == sorted(part.inputs.tolist())
        assert found.equal(part.inputs) == (name != "training")
        assert found.equal(torch.cat(second[name])) == (name != "training")
        assert found.equal(torch.cat(again[name]))
    assert [len(x) for x in first["training"]] == [16, 12]


# Standardising


def test_training_has_mean_0_and_standard_deviation_1_and_the_others_its_scale():
    found = datasets.table_from(datasets.wine(), "class")
    parts = datasets.datasets_of(found, 0)
    rows = list(parts["training"].rows)
    mean, std = found.inputs[rows].mean(0), found.inputs[rows].std(0, correction=0)
    for part in parts.values():
        expected = (found.inputs[list(part.rows)] - mean) / std
        torch.testing.assert_close(part.inputs, expected.float())
        assert part.targets.equal(found.targets[list(part.rows)])
    assert parts["training"].inputs.double().mean(0).abs().max() < 1e-6
    assert not parts["test"].inputs.double().mean(0).abs().max() < 1e-2


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_changed_row_of_another_part_changes_nothing_else(part):
    before = datasets.datasets_of(table(without=["hand"]), 0)
    row = before[part].rows[0]
    after = datasets.datasets_of(table(changed(row + 2, "size", "99999"), without=["hand"]), 0)
    for name in before:
        assert before[name].rows == after[name].rows
        same = (before[name].inputs == after[name].inputs).all(dim=1).tolist()
        assert same == [number != row for number in before[name].rows]


def test_a_changed_training_row_changes_all_parts():
    before = datasets.datasets_of(table(without=["hand"]), 0)
    row = before["training"].rows[0]
    after = datasets.datasets_of(table(changed(row + 2, "size", "99999"), without=["hand"]), 0)
    assert all(not before[name].inputs.equal(after[name].inputs) for name in before)


@pytest.mark.parametrize("value", ["0.1", "-7", "1e29", "123456789.123", "0", "1e-300"])
def test_a_constant_column_becomes_exactly_0(value):
    text = "x,c,kind\n" + "".join(f"{n},{value},{'ab'[n % 2]}\n" for n in range(37))
    parts = datasets.datasets_of(table(text), 0)
    for part in parts.values():
        assert not part.inputs[:, 1].any()
        assert part.inputs.isfinite().all()


def test_a_column_that_is_constant_in_training_only_stays_finite():
    lines = ("x,c,kind\n" + "".join(f"{n},5,{'ab'[n % 2]}\n" for n in range(30))).splitlines()
    row = datasets.split(range(30), 0)["test"][0]
    lines[row + 1] = f"{row},8,a"
    parts = datasets.datasets_of(table("\n".join(lines)), 0)
    assert parts["test"].inputs[0, 1] == 3
    assert not parts["training"].inputs[:, 1].any()


@pytest.mark.parametrize(("low", "step"), [(1e9, 1e-3), (1e30, -1e29), (0, 1e-300), (-1e15, 1)])
def test_columns_far_from_0_or_tiny_or_huge_are_standardised(low, step):
    column = torch.arange(9, dtype=torch.float64)[:, None] * step + low
    inputs = datasets.scale_of(column)(column)
    assert inputs.dtype == torch.float32
    expected = torch.arange(-4.0, 5.0)[:, None] / (60 / 9) ** 0.5
    torch.testing.assert_close(inputs, expected * (1 if step > 0 else -1), rtol=1e-3, atol=1e-3)


# Samples


def test_a_sample_changed_in_place_changes_no_data():
    part = datasets.datasets_of(table(without=["hand"]), 0)["training"]
    before = part.inputs.clone(), part.targets.clone()
    for i in range(len(part)):
        x, y = part[i]
        x.zero_()
        y.add_(7)
    assert part.inputs.equal(before[0])
    assert part.targets.equal(before[1])


def test_a_loop_over_a_part_ends():
    part = datasets.datasets_of(table(without=["hand"]), 0)["validation"]
    assert len([y for _, y in part]) == len(part) == 6
    assert part[-1][0].equal(part[5][0])
    with pytest.raises(IndexError):
        part[6]


def test_a_part_holds_its_own_rows_only():
    part = datasets.datasets_of(table(without=["hand"]), 0)["test"]
    tensors = [value for value in vars(part).values() if isinstance(value, torch.Tensor)]
    assert {value.untyped_storage().nbytes() // value[0].nbytes for value in tensors} == {len(part)}


# The model, and what is printed


def straight(count=300):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count, 2, generator=draw, dtype=torch.float64) * torch.tensor([1.0, 1000.0]) + 5
    y = 40 + 3 * x[:, 0] - 0.01 * x[:, 1]
    return "a,b,y\n" + "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x.tolist(), y.tolist(), strict=True))


def fitted(found, seed=0, batch_size=32):
    parts = datasets.datasets_of(found, seed)
    loaders = datasets.loaders_of(parts, batch_size, seed)
    return datasets.train(found, loaders["training"], CPU, seed), parts, loaders


def test_a_linear_relation_is_found():
    found = table(straight(), "y")
    model, parts, loaders = fitted(found)
    error = datasets.evaluate(found, model, loaders["validation"])
    targets = [parts[name].targets for name in ("training", "validation")]
    guessed = datasets.guess(found, *targets)
    assert guessed == pytest.approx((targets[1] - targets[0].mean()).square().mean().sqrt().item(), rel=1e-4)
    assert error < guessed / 20


@pytest.mark.parametrize("size", [1, 7, 100])
def test_what_is_measured_is_a_mean_over_rows_whatever_the_batches(size):
    for target, without in (("kind", ["hand"]), ("weight", ["hand", "kind"])):
        found = table(target=target, without=without)
        model, parts, _ = fitted(found)
        part = parts["validation"]
        scores = model(part.inputs).detach()
        if found.classes:
            expected = (scores.argmax(1) == part.targets).double().mean().item()
        else:
            expected = (scores[:, 0] - part.targets).double().square().mean().sqrt().item()
        loader = datasets.loaders_of(parts, size, 0)["validation"]
        assert datasets.evaluate(found, model, loader) == pytest.approx(expected, rel=1e-6)


def test_the_guess_is_the_most_frequent_class_of_training():
    found = table(target="kind", without=["hand"])
    assert datasets.guess(found, torch.tensor([1, 1, 0]), torch.tensor([0, 0, 0, 1])) == 0.25


def test_what_is_printed(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert datasets.main(["--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[:5] == lines[5:]
    assert lines[0] == "wine: 178 rows, 13 inputs, target 'class' (3 classes)"
    parts = [line.split() for line in lines[1:4]]
    assert [words[:3] for words in parts] == [
        ["training", "126", "rows:"],
        ["validation", "26", "rows:"],
        ["test", "26", "rows:"],
    ]
    counts = [[int(word.strip(",")) for word in words[4::2]] for words in parts]
    assert [sum(column) for column in zip(*counts, strict=True)] == [59, 71, 48]
    words = lines[4].split()
    assert words[:7] == ["a", "linear", "model", "has", "a", "validation", "accuracy"]
    assert float(words[8].rstrip("%")) > 90
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_groups_is_told_with_them(written, capsys):
    file = written(SMALL)
    arguments = [str(file), "--target", " kind ", "--group", "hand ", "--device", "cpu", "--workers", "1"]
    assert datasets.main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == f"{file}: 40 rows, 2 inputs, target 'kind' (2 classes)"
    assert sum(int(line.split()[4]) for line in lines[1:4]) == 7
    assert sum(int(line.split()[1]) for line in lines[1:4]) == 40


def test_what_is_odd_about_a_split_is_told(capsys):
    rare = "x,c,kind\n" + "".join(f"{n // 2},5,{'ab'[n % 2]}\n" for n in range(40))
    row = datasets.split(range(40), 0)["test"][0]
    lines = rare.splitlines()
    lines[row + 1] = lines[row + 1][:-1] + "z"
    found = table("\n".join(lines))
    parts = datasets.datasets_of(found, 0)
    datasets.describe(found, parts)
    out = capsys.readouterr().out.splitlines()
    assert out[4:6] == ["no row of class z is in the training part", "column 'c' is constant in the training part"]
    known = {found.inputs[n, 0].item() for n in parts["training"].rows}
    copies = sum(found.inputs[n, 0].item() in known for name in ("validation", "test") for n in parts[name].rows)
    assert out[6:] == [
        f"{copies} rows outside the training part have the inputs of a row in it: do they belong to one group?"
    ]


def test_the_plot_shows_the_means_of_each_part(tmp_path, capsys):
    found = table(without=["hand"])
    parts = datasets.datasets_of(found, 0)
    axes = datasets.draw(found, parts).axes[0]
    for line, (name, part) in zip(axes.lines, parts.items(), strict=True):
        assert line.get_label() == name
        assert list(line.get_xdata()) == pytest.approx(part.inputs.mean(dim=0).tolist(), abs=1e-6)
    assert datasets.main(["--device", "cpu", "--plot", str(tmp_path / "means.svg")]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["means.svg"]


def test_the_same_seed_gives_the_same_numbers(capsys):
    printed = []
    for seed in ("0", "0", "1"):
        arguments = ["--target", "proline", "--without", "class", "--device", "cpu", "--seed", seed]
        assert datasets.main(arguments) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
