"""The doctor finds each planted bug where it is, nothing elsewhere, and leaves gradients as `backward()` does."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

PROGRAM = Path(__file__).parents[2] / "snippets/autograd/gradients.py"
gradients = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")
NET = [f"{layer}.{part}" for layer in ("first", "middle", "head") for part in ("weight", "bias")]


def found(rows):
    """The findings by parameter, of those that have any."""
    return {row.name: set(row.findings) for row in rows if row.findings}


def stack(depth):
    return [f"{2 * layer}.{part}" for layer in range(depth) for part in ("weight", "bias")]


PLANTED = {
    "healthy": (None, []),
    "unused": ("cut off", ["spare.weight", "spare.bias"]),
    "detached": ("cut off", NET[:2]),
    "item": ("cut off", NET),
    "missing": ("missing", ["scale"]),
    "rounded": ("zero", NET[:2]),
    "dead": ("zero", NET[:5]),
    "nan": ("not finite", NET[:2]),
    "leftover": ("leftover", NET),
    "frozen": ("frozen", NET[2:4]),
    "late": ("frozen late", NET[:2]),
}


@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_bug_is_found_where_it_is_and_nowhere_else(case, seed):
    kind, names = PLANTED[case]
    assert found(gradients.build(case, seed, CPU)) == {name: {kind} for name in names}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_deep_sigmoids_vanish_towards_the_first_layer(seed):
    rows = gradients.build("deep", seed, CPU)
    names = [row.name for row in rows if row.findings]
    assert names == stack(20)[: len(names)]
    assert 8 <= len(names) <= 32
    assert set().union(*found(rows).values()) == {"vanishing"}
    weights = [row.size for row in rows if row.name.endswith("weight")]
    assert weights == sorted(weights)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_large_weights_explode_and_small_numbers_of_float16_underflow(seed):
    wild, half = gradients.build("wild", seed, CPU), gradients.build("half", seed, CPU)
    assert {"0.weight", "2.weight"} < set(found(wild))
    assert set().union(*found(wild).values()) == {"exploding"}
    assert {"0.weight"} <= set(found(half)) <= set(stack(4))
    assert set().union(*found(half).values()) == {"underflow"}
    assert {row.dtype for row in half} == {torch.float16}


def test_every_case_is_tested_and_every_kind_is_planted():
    assert set(gradients.CASES) == {*PLANTED, "deep", "wild", "half"}
    planted = {kind for kind, _ in PLANTED.values()} | {"vanishing", "exploding", "underflow"}
    assert planted - {None} == set(gradients.KINDS)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    return model, torch.rand(5, 4), torch.tensor([0, 1, 0, 1, 1])


def test_gradients_are_left_as_backward_leaves_them():
    model, x, y = network()
    twin = copy.deepcopy(model)
    for _ in range(3):  # the second and third are added
        gradients.examine(model, F.cross_entropy(model(x), y))
        F.cross_entropy(twin(x), y).backward()
        for mine, right in zip(model.parameters(), twin.parameters(), strict=True):
            assert torch.equal(mine.grad, right.grad)


def test_the_size_is_the_norm_of_this_gradient_alone():
    model, x, y = network()
    rows = gradients.examine(model, F.cross_entropy(model(x), y))
    norms = [parameter.grad.norm().item() for parameter in model.parameters()]
    again = gradients.examine(model, F.cross_entropy(model(x), y))
    assert [row.size for row in rows] == pytest.approx(norms)
    assert [row.size for row in again] == pytest.approx(norms)
    assert [row.findings for row in again] == [{"leftover": f"norm {norm:.1e}"} for norm in norms]
    assert [(row.name, row.shape) for row in rows][:2] == [("0.weight", (3, 4)), ("0.bias", (3,))]


def test_the_tape_is_freed_and_a_freed_one_changes_nothing():
    model, x, y = network()
    loss = F.cross_entropy(model(x), y)
    gradients.examine(model, loss)
    before = [parameter.grad.clone() for parameter in model.parameters()]
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        gradients.examine(model, loss)
    assert all(torch.equal(p.grad, old) for p, old in zip(model.parameters(), before, strict=True))


def test_gradients_are_stored_once():
    model, x, y = network()
    calls = []
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(calls.append)
    gradients.examine(model, F.cross_entropy(model(x), y))
    assert len(calls) == 4


def test_a_loss_without_a_tape_cuts_all_off_and_keeps_what_was_there():
    model, x, y = network()
    model[0].weight.grad = torch.ones(3, 4)
    rows = gradients.examine(model, F.cross_entropy(model(x), y).detach())
    assert found(rows)["0.weight"] == {"leftover", "cut off"}
    assert found(rows)["2.bias"] == {"cut off"}
    assert [row.size for row in rows] == [None] * 4
    assert torch.equal(model[0].weight.grad, torch.ones(3, 4))


class Numbers(nn.Module):
    """A vector of parameters."""

    def __init__(self, *values, dtype=torch.float32):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(values, dtype=dtype))


def only(model, loss, **limits):
    (row,) = gradients.examine(model, loss, **limits)
    return row.findings


def test_zeros_that_a_larger_loss_would_spare_are_counted():
    model = Numbers(1.0, 1.0, 1.0, 1.0, dtype=torch.float16)
    factors = torch.tensor([1.0, 1e-2, 1e-4, 0.0], dtype=torch.float16)
    assert only(model, ((model.w * factors).sum() * 1e-4)) == {"underflow": "1 of 4"}  # the last is a true 0
    model = Numbers(1.0, 1.0, 1.0, 1.0)
    assert only(model, (model.w * factors.float()).sum() * 1e-4) == {}
    assert only(model, (model.w * factors.float()).sum() * 1e-44)["underflow"] == "2 of 4"


def test_a_gradient_of_nothing_but_underflow_is_not_called_zero():
    model = Numbers(1.0, dtype=torch.float16)
    assert only(model, (model.w * 1e-4).sum() * 1e-4) == {"underflow": "1 of 1"}


def test_limits_can_be_moved():
    for factor, large, small, kind in [
        (999.0, 1e3, 1e-9, None),
        (1001.0, 1e3, 1e-9, "exploding"),
        (1001.0, 2e3, 1e-9, None),
        (2e-9, 1e3, 1e-9, None),
        (5e-10, 1e3, 1e-9, "vanishing"),
        (5e-10, 1e3, 1e-10, None),
        (0.0, 1e3, 1e-9, "zero"),
    ]:
        model = Numbers(1.0)
        findings = only(model, (model.w * factor).sum(), large=large, small=small)
        assert set(findings) == ({kind} if kind else set()), factor


def test_many_numbers_explode_together():
    model = Numbers(1.0, 1.0)
    assert only(model, (800 * model.w).sum()) == {"exploding": "norm above 1000"}


def test_one_large_number_is_enough_not_to_vanish():
    model = Numbers(1.0, 1.0)
    assert only(model, (model.w * torch.tensor([1e-12, 1.0])).sum()) == {}


def test_the_operation_that_made_the_first_nan_is_named():
    model = Numbers(0.0, 4.0)
    loss = torch.where(model.w > 0, model.w.sqrt(), 0.0).sum()
    assert only(model, loss) == {"not finite": "1 of 2, first in SqrtBackward0"}
    assert not torch.is_anomaly_enabled()


def test_infinity_is_not_finite_either():
    model = Numbers(0.0, 4.0)
    assert only(model, model.w.sqrt().sum()) == {"not finite": "1 of 2"}


def test_paths_are_those_of_the_tape():
    a, b, c = (torch.ones(1, requires_grad=True) for _ in range(3))
    loss = (a * b).sum() + c.detach().sum()
    assert gradients.reachable(loss) == {id(a), id(b)}
    assert gradients.reachable(a) == {id(a)}
    assert gradients.reachable(torch.ones(1)) == set()


def test_sparse_gradients_shared_parameters_and_empty_ones():
    model = nn.Module()
    model.words = nn.Embedding(10, 3, sparse=True)
    model.first, model.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    model.second.weight = model.first.weight
    model.nothing = nn.Parameter(torch.ones(0))
    loss = model.second(model.first(model.words(torch.tensor([1, 1, 4])))).square().mean() + model.nothing.sum()
    rows = gradients.examine(model, loss)
    assert [row.name for row in rows] == ["nothing", "words.weight", "first.weight"]
    assert found(rows) == {}
    assert rows[1].size == pytest.approx(model.words.weight.grad.to_dense().norm().item())


def test_a_frozen_model_runs_no_backward_and_a_loss_of_its_own_still_does():
    model, x, y = network()
    model.requires_grad_(False)
    offset = torch.zeros(1, requires_grad=True)
    rows = gradients.examine(model, F.cross_entropy(model(x), y) + offset)
    assert all(set(row.findings) == {"frozen"} for row in rows)
    assert offset.grad == 1


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_of_any_rank_is_a_loss(shape):
    model = Numbers(3.0)
    assert only(model, model.w.square().reshape(shape)) == {}
    assert model.w.grad == 6


@pytest.mark.parametrize(
    ("model", "loss", "said"),
    [
        (nn.Linear(2, 1), 0.5, "not float: leave out item"),
        (nn.Linear(2, 1), torch.ones(3), r"not of shape \(3,\)"),
        (nn.Linear(2, 1), torch.ones(0), r"not of shape \(0,\)"),
        (nn.Linear(2, 1), torch.tensor(3), "int64"),
        (nn.ReLU(), torch.tensor(3.0), "ReLU has no parameters"),
    ],
)
def test_what_is_no_loss_is_refused(model, loss, said):
    with pytest.raises(ValueError, match=said):
        gradients.examine(model, loss)


def test_the_report_has_a_line_per_parameter_and_explains_what_it_found():
    text = gradients.report(gradients.build("nan", 0, CPU)).splitlines()
    assert text[0].split() == ["parameter", "shape", "dtype", "gradient", "finding"]
    assert text[1].startswith("first.weight   32 x 64  float32  nan       not finite (")
    assert text[3].endswith("ok")
    assert text[7:] == [f"not finite: {gradients.KINDS['not finite']}"]
    model, x, y = network()
    plain = gradients.report(gradients.examine(model, F.cross_entropy(model(x), y))).splitlines()
    assert len(plain) == 5
    model = Numbers(1.0)
    model.w = nn.Parameter(torch.tensor(1.0))
    assert "one number  float32  none      cut off" in gradients.report(gradients.examine(model, torch.tensor(1.0)))


def test_the_summary_names_four_parameters_and_counts_the_rest():
    lines = gradients.summary(gradients.build("leftover", 0, CPU)).splitlines()
    assert lines == ["    leftover: first.weight, first.bias, middle.weight, middle.bias and 2 more"]
    assert gradients.summary(gradients.build("healthy", 0, CPU)) == "    ok"


def test_bars_end_at_the_norms_and_findings_stand_beside_them():
    rows = gradients.build("nan", 0, CPU)
    (place,) = gradients.draw(rows).axes
    ends = [bar.get_x() + bar.get_width() for bar in place.patches]
    assert ends[2:] == pytest.approx([row.size for row in rows[2:]])
    assert ends[0] == min(ends)
    assert [text.get_text().strip() for text in place.texts] == ["not finite", "not finite", "", "", "", ""]
    assert [label.get_text() for label in place.get_yticklabels()] == NET
    assert len({bar.get_facecolor() for bar in place.patches}) == 2
    (place,) = gradients.draw(gradients.build("item", 0, CPU)).axes  # no gradient at all
    assert len(place.patches) == 6


def test_all_cases_are_shown_and_the_seed_matters(capsys):
    assert gradients.main(["--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for case, plant in gradients.CASES.items():
        assert f"{case}: {plant.__doc__}\n    " in out
    for seed in ("0", "1", "1"):
        assert gradients.main(["--device", "cpu", "--case", "deep", "--seed", seed]) == 0
    first, second, third = capsys.readouterr().out.split("Twenty layers with sigmoid.\n")[1:]
    assert first != second == third


def test_the_plot_is_written(tmp_path, capsys):
    assert gradients.main(["--device", "cpu", "--case", "nan", "--plot", str(tmp_path / "sizes.png")]) == 0
    assert (tmp_path / "sizes.png").stat().st_size > 0
    assert capsys.readouterr().out.startswith("where() hides the root of a negative number.\nparameter ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--case", "shallow"], "shallow"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "9" * 19], "--seed"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "sizes.png"], "--case"),
        (["--case", "nan", "--plot", "no/such/folder.png"], "folder.png"),
        (["--case", "nan", "--plot", "sizes.xyz"], "xyz"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert gradients.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("gradients.py: ")
    assert named in err
    assert (out, err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []
