"""The museum: each bug is a line or two of one loop, and the record holds what the program computes."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs" / "explorables" / "museum-runs.json"
CPU = torch.device("cpu")
EPOCHS = 10


def load_program():
    spec = importlib.util.spec_from_file_location("program_museum", ROOT / "snippets" / "autograd" / "museum.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["program_museum"] = module
    spec.loader.exec_module(module)
    return module


museum = load_program()
ALL = {"healthy": museum.HEALTHY, **museum.BUGS}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return museum.load(CPU)


@pytest.fixture(scope="module")
def runs(digits):
    """A run of each bug with the first seed, as long as in the record."""
    return {name: museum.run(bug, digits, 0, EPOCHS) for name, bug in ALL.items()}


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORD.read_text("utf-8"))


def last(run) -> list[float]:
    return [getattr(run, curve)[-1] for curve in museum.CURVES]


def test_the_digits_are_split_once_and_sorted_to_train_on(digits):
    assert digits.train_x.shape == (1200, 8, 8)
    assert digits.test_x.shape == (597, 8, 8)
    assert digits.train_x.max() == digits.test_x.max() == 16
    assert (digits.train_y.diff() >= 0).all()
    assert not (digits.test_y.diff() >= 0).all()
    every = torch.cat([digits.train_x, digits.test_x]).flatten(1)
    assert len(every) == 1797
    both = (digits.train_x[:, None] == digits.test_x).flatten(2).all(dim=2)
    assert not both.any(), "a picture to train on is in the test"
    assert torch.equal(digits.test_x, museum.load(CPU).test_x)


def test_the_healthy_loop_computes_what_it_says(digits):
    model, steps, tests = museum.train(digits, 0, 2)
    assert (len(steps), len(tests)) == (48, 2)
    assert not model.training
    loss, right = museum.measure(model, digits.test_x / 16, digits.test_y)
    scores = model(digits.test_x / 16)
    assert loss.item() == pytest.approx(F.cross_entropy(scores, digits.test_y).item())
    assert right == pytest.approx((scores.argmax(1) == digits.test_y).double().mean().item())
    assert tests[-1] == pytest.approx((loss.item(), right))


def test_a_run_averages_the_steps_of_each_epoch(digits):
    _, steps, tests = museum.train(digits, 1, 2)
    run = museum.run(museum.HEALTHY, digits, 1, 2)
    assert run.first == steps[0][0]
    assert run.train_loss == pytest.approx([sum(s[0] for s in part) / 24 for part in (steps[:24], steps[24:])])
    assert run.train_right == pytest.approx([sum(s[1] for s in part) / 24 for part in (steps[:24], steps[24:])])
    assert list(zip(run.test_loss, run.test_right, strict=True)) == tests


def test_there_are_ten_bugs_and_each_changes_one_or_two_lines():
    assert len(museum.BUGS) == 10
    source = museum.loop()
    for bug in museum.BUGS.values():
        places = museum.places(bug, source)
        assert 1 <= len(places) <= 2
        assert {source[n].strip() for n in places} == set(bug.changes)
        for n, instead in places.items():
            assert source[n].strip() != instead
    assert len({tuple(bug.changes.items()) for bug in museum.BUGS.values()}) == 10


def test_a_line_that_is_not_there_once_is_refused():
    with pytest.raises(ValueError, match="0 lines of the loop: model"):
        museum.plant(museum.Bug({"model.run()": ""}, ""))
    with pytest.raises(ValueError, match="2 lines of the loop: here"):
        museum.places(museum.Bug({"here": ""}, ""), ["here", "    here"])


def test_a_planted_bug_stays_in_its_function(digits):
    museum.plant(museum.BUGS["softmax twice"])(digits, 0, 0)
    x = torch.eye(2, dtype=torch.float64) * 50
    loss, _ = museum.measure(torch.nn.Identity(), x, torch.tensor([0, 1]))
    assert loss < 1e-6
    assert museum.plant(museum.HEALTHY) is museum.train


def test_each_bug_shows_as_it_is_told(runs):
    """What `tells` says of each bug, in numbers."""
    guess = math.log(10)
    train_loss, train_right, test_loss, test_right = last(runs["healthy"])
    assert train_loss < 0.2
    assert test_loss < 0.15
    assert test_right > train_right > 0.9
    still = runs["zero_grad() before step()"]
    assert max(still.train_loss) - min(still.train_loss) < 0.1
    assert still.train_loss[-1] == pytest.approx(still.first, abs=0.2)
    assert min(runs["softmax twice"].train_loss + runs["softmax twice"].test_loss) > 1.46
    assert last(runs["softmax twice"])[3] > 0.94
    for name in ("test pictures transposed", "test pictures not scaled", "classes of the test shifted"):
        assert runs[name].train_loss == runs["healthy"].train_loss
        assert last(runs[name])[2] > 2 * guess
    assert 0.05 < last(runs["test pictures transposed"])[3] < 0.2
    assert last(runs["test pictures not scaled"])[3] > 0.7
    assert last(runs["classes of the test shifted"])[3] < 0.02
    assert last(runs["zero_grad() forgotten"])[0] > 1000
    everyone = runs["accuracy against all labels"]
    assert everyone.train_loss == runs["healthy"].train_loss
    assert everyone.test_loss == runs["healthy"].test_loss
    assert max(everyone.train_right + everyone.test_right) < 0.13
    ordered = runs["batches not shuffled"]
    assert max(ordered.train_right) < 0.1 < last(ordered)[3] + 0.05
    assert min(ordered.train_loss) > guess
    forgotten = runs["eval() forgotten"]
    assert forgotten.test_right[-1] < forgotten.train_right[-1]
    assert forgotten.test_loss[-1] > 1.5 * test_loss
    late = runs["head replaced too late"]
    assert last(late)[3] > 0.9
    assert last(late)[0] > 2 * train_loss
    assert last(late)[2] > 2 * test_loss


def test_clues_answer_what_the_curves_leave_open(digits):
    few = 3
    clues = {name: museum.ask(bug, digits, 0, few) for name, bug in ALL.items()}
    every = ["1.weight", "1.bias", "2.weight", "2.bias", "5.weight", "5.bias"]
    still = clues.pop("zero_grad() before step()")
    assert (still.unmoved, still.without) == (every, every)
    assert clues["head replaced too late"].unmoved == ["5.weight", "5.bias"]
    assert all(each.without == [] for each in clues.values())
    assert {name for name, each in clues.items() if each.unmoved} == {"head replaced too late"}
    assert {name for name, each in clues.items() if not each.repeats} == {"eval() forgotten"}
    assert clues["healthy"].batch[3] > 0.95
    assert clues["batches not shuffled"].batch[3] > 0.95
    assert clues["classes of the test shifted"].batch[3] < 0.05
    assert clues["accuracy against all labels"].batch[1] < 0.2
    assert still.batch[0] > 2


def test_the_record_says_what_ran_where(recorded):
    assert set(recorded) == {"date", "machine", "versions", "loop", "bugs"}
    assert recorded["date"].count("-") == 2
    assert set(recorded["machine"]) == {"processor", "cores", "instructions", "device"}
    assert set(recorded["versions"]) == {"python", "torch", "scikit-learn"}
    assert all(recorded["machine"].values())
    assert all(recorded["versions"].values())
    assert recorded["loop"] == museum.loop()
    assert list(recorded["bugs"]) == list(ALL)
    for name, bug in recorded["bugs"].items():
        assert bug["changes"] == {str(n): text for n, text in museum.places(ALL[name], museum.loop()).items()}
        assert bug["tells"] == ALL[name].tells
        assert [recorded["loop"][n].strip() for n in bug["alike"]] == [*ALL[name].alike]
        assert len(bug["runs"]) == 3
        for run in bug["runs"]:
            assert set(run) == {"first", *museum.CURVES}
            assert {len(run[curve]) for curve in museum.CURVES if run[curve] is not None} <= {EPOCHS}


def written(run, healthy):
    """A run as the record has it, with what is as in the healthy one."""
    kept = museum.rounded(run, healthy)
    return {
        name: value if value is not None else museum.rounded(healthy, healthy)[name] for name, value in kept.items()
    }


def test_the_record_holds_what_the_program_computes_today(recorded, runs):
    """To the last of its three digits, but for one unit, on the CPU; where the loss explodes, to a factor of ten."""
    for name, run in runs.items():
        kept = recorded["bugs"][name]["runs"][0]
        healthy = recorded["bugs"]["healthy"]["runs"][0]
        for curve, numbers in written(run, runs["healthy"]).items():
            then = kept[curve] if kept[curve] is not None else healthy[curve]
            wild = name == "zero_grad() forgotten"
            if not wild:
                assert numbers == pytest.approx(then, rel=0.011, abs=0.004), (name, curve)
            elif "loss" in curve:
                powers = [[math.log10(n) for n in side] for side in (numbers, then)]
                assert powers[0][:4] == pytest.approx(powers[1][:4], abs=0.05), curve
                assert powers[0] == pytest.approx(powers[1], abs=1), curve


def test_the_record_has_the_clues_of_today(recorded, digits):
    for name in ("healthy", "head replaced too late", "eval() forgotten"):
        clues, kept = museum.ask(ALL[name], digits, 0, EPOCHS), recorded["bugs"][name]
        assert (clues.unmoved, clues.without, clues.repeats) == (kept["unmoved"], kept["without"], kept["repeats"])
        assert clues.batch == pytest.approx(kept["batch"], rel=0.011)


def test_other_seeds_are_other_runs(recorded, digits):
    run = museum.run(museum.HEALTHY, digits, 2, EPOCHS)
    kept = recorded["bugs"]["healthy"]["runs"]
    assert run.test_loss == pytest.approx(kept[2]["test_loss"], rel=0.011)
    assert run.test_loss != pytest.approx(kept[0]["test_loss"], rel=0.011)


def test_the_loop_of_the_page_is_that_of_the_program():
    """All but annotations and docstrings."""
    page = (ROOT / "docs" / "autograd" / "museum.md").read_text("utf-8").splitlines()
    lines = [line for line in museum.loop() if not line.strip().startswith(('"""', "def "))]
    assert len(lines) == 25
    assert [line for line in lines if line not in page] == []


def test_the_table_has_a_row_per_bug(capsys):
    assert museum.main(["--device", "cpu", "--epochs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["first", "loss", "train", "loss", "right", "test", "loss", "right"]
    assert [line[:29].strip() for line in lines[1:]] == list(ALL)
    assert len({line.split()[-1] for line in lines[1:]}) > 4


def test_one_bug_is_shown_with_its_lines_and_clues(capsys, tmp_path):
    plot = tmp_path / "late.png"
    arguments = ["--device", "cpu", "--epochs", "2", "--seeds", "2", "--bug", "head replaced too late"]
    assert museum.main([*arguments, "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert f"- {museum.HEAD}\n- {museum.OPTIMIZER}\n+ {museum.OPTIMIZER}\n+ {museum.HEAD}\n" in out
    assert "did not move: 5.weight, 5.bias\nwithout gradient: none\nthe same test twice: one result" in out
    assert " to " in out.splitlines()[1]
    assert plot.stat().st_size > 0


def test_the_picture_has_a_line_per_curve_and_seed(digits):
    few = {name: [museum.run(ALL[name], digits, n, 2) for n in range(2)] for name in ("healthy", "softmax twice")}
    losses, rights = museum.draw(few).axes
    assert len(losses.get_lines()) == len(rights.get_lines()) == 8
    shown = few["softmax twice"][1]
    assert losses.get_lines()[-1].get_ydata().tolist() == shown.test_loss
    assert rights.get_lines()[-2].get_ydata().tolist() == shown.train_right
    assert losses.get_yscale() == "log"
    assert losses.get_title(loc="left") == "softmax twice"


def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    file = tmp_path / "runs.json"
    file.write_text("before")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(museum, "BUGS", {"softmax twice": museum.BUGS["softmax twice"]})
    arguments = ["--device", "cpu", "--epochs", "1", "--record", str(file)]
    with monkeypatch.context() as patch:
        patch.setattr(museum.os, "replace", fail)
        assert museum.main(arguments) == 2
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
    assert capsys.readouterr().err == "museum.py: disk full\n"
    assert museum.main(arguments) == 0
    assert list(json.loads(file.read_text())["bugs"]) == ["healthy", "softmax twice"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--bug", "gremlin"], "gremlin"),
        (["--seeds", "0"], "--seeds"),
        (["--seeds", "1e3"], "--seeds"),
        (["--epochs", "-1"], "--epochs"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "no/such/folder.png"], "no/such"),
        (["--plot", "curves.xyz"], "xyz"),
        (["--record", "no/such/runs.json"], "no/such"),
        (["--record", "runs.txt"], "runs.txt"),
        (["--record", "runs.json", "--bug", "softmax twice"], "--bug"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert museum.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("museum.py: ")
    assert named in err
    assert (out, err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []
