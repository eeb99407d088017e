"""A tape is shown as it is: every node once, the leaves that get a gradient, and the lines that cut it."""

from __future__ import annotations

import re
import runpy
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

PROGRAM = Path(__file__).parents[2] / "snippets/autograd/tape.py"
tape = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")


def kinds(parts, kind):
    """Names and notes of the parts of one kind, in order."""
    return [(part.name, part.note) for part in parts if part.kind == kind]


def leaf(value=2.0):
    return torch.tensor(value, requires_grad=True)


def test_the_tape_of_a_product_and_a_sum():
    a, b, c = leaf(), leaf(), leaf()
    y = a * b
    z = y + c
    parts = tape.nodes_of(z, {"a": a, "b": b, "c": c, "y": y})
    assert [(part.kind, part.name, part.note) for part in parts if part.kind == "operation"] == [
        ("operation", "AddBackward0", ""),
        ("operation", "MulBackward0", "y"),
    ]
    leads = {part.name: sorted(parts[edge].name for edge in part.edges) for part in parts if part.edges}
    assert leads == {"AddBackward0": ["MulBackward0", "c"], "MulBackward0": ["a", "b"]}
    assert sorted(kinds(parts, "leaf")) == [("a", "()"), ("b", "()"), ("c", "()")]


@pytest.mark.parametrize("seed", range(5))
def test_each_node_comes_once_and_after_all_that_lead_to_it(seed):
    torch.manual_seed(seed)
    values = [leaf(), leaf()]
    for _ in range(20):
        i, j = torch.randint(len(values), (2,)).tolist()
        values.append(values[i] * values[j])
    parts = tape.nodes_of(sum(values))
    assert all(edge > number for number, part in enumerate(parts) for edge in part.edges)
    reached = {edge for part in parts for edge in part.edges}
    assert reached == set(range(1, len(parts)))
    assert [part.kind for part in parts].count("leaf") == 2
    assert sum(part.name == "MulBackward0" for part in parts) == 20


def test_a_tape_longer_than_python_may_recurse():
    x = y = leaf()
    for _ in range(5000):
        y = y + 1
    assert len([part for part in tape.nodes_of(y, {"x": x}) if part.name == "AddBackward0"]) == 5000


def test_the_tape_of_a_leaf_is_the_leaf():
    x = leaf()
    assert tape.nodes_of(x, {"x": x}) == [tape.Part("leaf", "x", "()", ())]


def test_what_has_no_tape_is_refused():
    with pytest.raises(ValueError, match="no tape"):
        tape.nodes_of(torch.ones(3))


def test_without_a_watch_an_end_is_a_constant():
    x = leaf()
    parts = tape.nodes_of(x * torch.ones(3), {"x": x})
    assert kinds(parts, "constant") == [("not recorded", "")]


def test_data_and_frozen_parameters_are_told_apart():
    model, data = nn.Linear(3, 2), torch.ones(4, 3)
    model.weight.requires_grad_(False)
    with tape.Watch() as watched:
        loss = model(data).sum()
    names = {"model": model, "data": data}
    parts = tape.nodes_of(loss, names, watched)
    assert kinds(parts, "leaf") == [("model.bias", "(2,)")]
    assert kinds(parts, "frozen") == [("model.weight", "(2, 3)")]
    assert kinds(parts, "constant") == [("data", "(4, 3)")]
    assert tape.lost(loss, names, watched) == []


def test_a_result_of_frozen_parameters_is_frozen():
    first, second = nn.Linear(3, 4), nn.Linear(4, 1)
    with tape.Watch() as watched:
        first.requires_grad_(False)
        hidden = first(torch.ones(2, 3)).relu() * 2
        loss = second(hidden).sum()
    parts = tape.nodes_of(loss, {"first": first, "second": second, "hidden": hidden}, watched)
    assert kinds(parts, "frozen") == [("hidden", "(2, 4), from first.bias, first.weight")]


CUTS = {
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "argmax": lambda x: x.argmax(),
    "item": lambda x: x.sum().item(),
    "mul under no_grad": lambda x: under_no_grad(lambda: x * 2),
    "gt": lambda x: x > 0,
}


def under_no_grad(function):
    with torch.no_grad():
        return function()


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_is_found_with_its_line(name):
    x, w = torch.ones(3, requires_grad=True), leaf()
    with tape.Watch() as watched:
        off = CUTS[name](x * 3)
        loss = (w * off).sum()
    names = {"x": x, "w": w, "off": off}
    ((_, note),) = kinds(tape.nodes_of(loss, names, watched), "cut")
    assert f"by {name} in line " in note
    assert "lambda x:" in note
    line = int(re.search(r"line (\d+)", note)[1])
    assert f'"{name}":' in Path(__file__).read_text("utf-8").splitlines()[line - 1]
    assert tape.lost(loss, names, watched) == ["x"]


@pytest.mark.parametrize("start", [torch.from_numpy, torch.tensor, torch.as_tensor])
def test_a_cut_is_found_through_numpy_and_through_later_steps(start):
    x, w = torch.ones(3, requires_grad=True), leaf()
    with tape.Watch() as watched:
        array = (x * 3).detach().numpy()
        later = start(array).exp() + 1
        loss = (w * later).sum()
    ((name, note),) = kinds(tape.nodes_of(loss, {"w": w, "later": later}, watched), "cut")
    assert name == "later"
    assert note.startswith("(3,), by detach in line ")
    assert tape.lost(loss, {"x": x}, watched) == ["x"]


def test_a_number_in_the_loss_is_a_cut_and_a_number_for_the_log_is_none():
    x, w = leaf(), leaf()
    with tape.Watch() as watched:
        penalty = (x * x).item()
        loss = w * w + penalty
        (w * 5).item()
    parts = tape.nodes_of(loss, {"w": w, "x": x, "penalty": penalty}, watched)
    ((name, note),) = kinds(parts, "cut")
    assert name == "penalty"
    assert note.startswith("a number, by item in line ")
    assert tape.lost(loss, {"x": x, "w": w}, watched) == ["x"]


def test_the_line_of_a_cut_is_one_of_the_reader_and_none_of_torch():
    layer, w = nn.Linear(3, 3), leaf()
    with tape.Watch() as watched:
        with torch.no_grad():
            hidden = layer(torch.ones(3))
        loss = (w * hidden).sum()
    ((_, note),) = kinds(tape.nodes_of(loss, {}, watched), "cut")
    assert re.fullmatch(r"\(3,\), by linear under no_grad in line \d+, hidden = layer\(torch.ones\(3\)\)", note)
    assert tape.lost(loss, {"layer": layer}, watched) == ["layer.bias", "layer.weight"]


def test_detach_in_place_is_a_cut():
    x, w = leaf(), leaf()
    with tape.Watch() as watched:
        y = x * 2
        y.detach_()
        loss = w * y
    assert kinds(tape.nodes_of(loss, {"y": y}, watched), "cut")[0][1].startswith("(), by detach_ in line")


def test_a_new_leaf_after_a_cut_hides_the_old_one():
    x = torch.ones(3, requires_grad=True)
    with tape.Watch() as watched:
        fresh = (x * 2).detach().requires_grad_()
        loss = fresh.sum()
    assert kinds(tape.nodes_of(loss, {"fresh": fresh}, watched), "leaf") == [("fresh", "(3,)")]
    assert tape.lost(loss, {"x": x}, watched) == ["x"]


def test_a_leaf_that_is_cut_here_and_reached_there_is_not_lost():
    x = leaf()
    with tape.Watch() as watched:
        loss = x * x.detach()
    assert kinds(tape.nodes_of(loss, {"x": x}, watched), "leaf") == [("x", "()")]
    assert tape.lost(loss, {"x": x}, watched) == []


@pytest.mark.parametrize("model", list(tape.MODELS))
def test_the_leaves_of_a_model_are_the_tensors_that_get_a_gradient(model):
    loss, names, watched = tape.built_in(model, 0, CPU)
    parts = tape.nodes_of(loss, names, watched)
    reached = {name for name, _ in kinds(parts, "leaf")}
    loss.backward()
    parameters = {
        f"{name}.{key}": each
        for name, module in names.items()
        if isinstance(module, nn.Module)
        for key, each in module.named_parameters()
    }
    assert reached == {name for name, each in parameters.items() if each.grad is not None}
    without = {name for name, each in parameters.items() if each.grad is None and each.requires_grad}
    assert set(tape.lost(loss, names, watched)) == without


def test_text_of_the_cut_model(capsys):
    assert tape.main(["--device", "cpu", "--model", "cut"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["1", "AddBackward0", "(loss)", "2,", "8"]
    assert re.fullmatch(r" 8  penalty +cut: a number, by item in line \d+, penalty = .*\.item\(\)", lines[8])
    assert re.fullmatch(r"10  hidden +cut: \(1797, 32\), by detach in line \d+, hidden = .*\.detach\(\)", lines[10])
    assert lines[-1] == "cut off from the loss: first.bias, first.weight"


def test_the_seed_decides_the_loss():
    losses = [tape.built_in("two-layers", seed, CPU)[0].item() for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_no_two_boxes_share_a_place_and_lines_go_down():
    loss, names, watched = tape.built_in("recurrent", 0, CPU)
    parts = tape.nodes_of(loss, names, watched)
    places, pieces = tape.layout(parts)
    rows = {}
    for column, row in [*places, *pieces]:
        rows.setdefault(row, []).append(column)
    for columns in rows.values():
        columns.sort()
        assert all(b - a > 1 - 1e-9 for a, b in pairwise(columns))
    for place, part in zip(places, parts, strict=True):
        for edge in part.edges:
            end, step = places[edge], 1
            assert end[1] > place[1]
            while end[1] - step > place[1]:  # every row on the way has a piece
                assert any(here[1] == end[1] - step for here in pieces)
                step += 1
    assert all(end[1] == here[1] + 1 for here, end in pieces.items())


@pytest.mark.parametrize("loss", [lambda x: x.sin().sin() + x, lambda x: x + x.sin().sin()], ids=["last", "first"])
def test_a_leaf_stands_below_all_that_lead_to_it(loss):
    parts = tape.nodes_of(loss(leaf()))
    places, _ = tape.layout(parts)
    assert {part.name: row for part, (_, row) in zip(parts, places, strict=True)} == {
        "AddBackward0": 0,
        "SinBackward0": 2,
        "unnamed": 3,
    }


def test_the_picture_names_leaves_and_cuts():
    loss, names, watched = tape.built_in("cut", 0, CPU)
    figure = tape.draw(loss, names, watched)
    written = {
        text.get_text(): text.get_bbox_patch().get_facecolor() for text in figure.axes[0].texts if text.get_text()
    }
    assert "AddBackward0\nloss" in written
    assert "second.weight\nleaf (10, 32)" in written
    (red,) = [color for text, color in written.items() if text.startswith("hidden\ncut by detach in line ")]
    assert red != written["second.weight\nleaf (10, 32)"]
    arrows = [each for each in figure.axes[0].texts if not each.get_text()]
    assert len(arrows) == sum(len(part.edges) for part in tape.nodes_of(loss, names, watched))


def test_a_line_that_passes_rows_bends_in_each_of_them():
    loss, names, watched = tape.built_in("recurrent", 0, CPU)
    parts = tape.nodes_of(loss, names, watched)
    places, _ = tape.layout(parts)
    rows = [places[edge][1] - place[1] for place, part in zip(places, parts, strict=True) for edge in part.edges]
    (axes,) = tape.draw(loss, names, watched).axes
    assert sorted(len(line.get_xdata()) for line in axes.lines) == sorted(rows)
    assert max(rows) > 1


def test_a_tape_too_long_to_draw_is_refused():
    y = leaf()
    for _ in range(200):
        y = y.sin()
    with pytest.raises(ValueError, match="201 parts, and 120"):
        tape.draw(y)


GOOD = """
import torch
from torch import nn

shared = torch.ones(3)

def loss():
    layer = nn.Linear(3, 2)
    weights = [torch.ones(2, requires_grad=True)]
    hidden = layer(shared)
    return (hidden * weights[0]).sum()
"""


def test_a_function_of_the_reader_is_shown_with_its_own_names(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(GOOD)
    picture = tmp_path / "tape.svg"
    arguments = ["--device", "cpu", "--file", f"{tmp_path / 'mine.py'}:loss", "--plot", str(picture)]
    assert tape.main(arguments) == 0
    out = capsys.readouterr().out
    for name in ("layer.weight", "layer.bias", "weights[0]", "shared", "(hidden)"):
        assert name in out
    assert picture.stat().st_size > 0
    assert out.splitlines()[-1] == "cut off from the loss: none"


def test_a_function_may_use_its_neighbours_and_the_search_path_stays_as_it_was(tmp_path, capsys):
    (tmp_path / "neighbour_of_mine.py").write_text("import sys, torch\nsys.path.insert(0, 'x')\nw = torch.ones(())")
    (tmp_path / "mine.py").write_text("from neighbour_of_mine import w\ndef loss():\n    return w.requires_grad_() * 2")
    before = list(sys.path)
    assert tape.main(["--device", "cpu", "--file", f"{tmp_path / 'mine.py'}:loss"]) == 0
    assert sys.path == before
    assert sys.getprofile() is None
    assert capsys.readouterr().out.splitlines()[2].split() == ["2", "w", "leaf:", "()"]


@pytest.mark.parametrize(
    ("code", "function", "said"),
    [
        (GOOD, "los", "has no function los"),
        (GOOD, "shared", "has no function shared"),
        (GOOD, "", "is not like path.py:function"),
        (GOOD, "no name", "is not like path.py:function"),
        ("def loss(:\n", "loss", "line 1 of bad.py raised SyntaxError"),
        ("x = 1\n\n1 / 0\ndef loss(): pass", "loss", "line 3 of bad.py raised ZeroDivisionError: division by zero"),
        ("def loss():\n    return {}['w']", "loss", "line 2 of bad.py raised KeyError: 'w'"),
        ("def loss():\n    raise SystemExit(3)", "loss", "line 2 of bad.py raised SystemExit: 3"),
        ("def loss(x): pass", "loss", "bad.py raised TypeError"),
        ("def loss(): return 3.0", "loss", "loss returned a float and no tensor"),
        ("import torch\ndef loss(): return torch.ones(())", "loss", "nothing that it was computed from requires"),
        (
            "import torch\nw = torch.ones(3, requires_grad=True)\ndef loss():\n    return (w * 2).sum().detach()",
            "loss",
            "it was cut by detach in line 4, return (w * 2).sum().detach()",
        ),
        ("import no_such_module_anywhere\ndef loss(): pass", "loss", "line 1 of bad.py raised ModuleNotFoundError"),
        ("def loss():\n    raise ValueError('first\\nsecond')", "loss", "ValueError: first second"),
    ],
)
def test_what_is_wrong_with_a_function_is_told_in_one_sentence(code, function, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(code)
    assert tape.main(["--device", "cpu", "--file", f"bad.py:{function}", "--plot", "tape.png"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("tape.py: ")
    assert said in err
    assert not Path("tape.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "three-layers"], "no model 'three-layers'"),
        (["--file", "missing.py:loss"], "there is no file missing.py"),
        (["--file", "missing.py"], "is not like path.py:function"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "one"], "--seed"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "no/such/folder.png"], "folder.png"),
        (["--plot", "tape.xyz"], "xyz"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tape.main(["--device", "cpu", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("tape.py: ")
    assert said in err
    assert list(tmp_path.iterdir()) == []
