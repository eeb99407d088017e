"""The two layers by hand compute what nn.Linear, autograd and SGD compute, and learn to read digits."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/matmul.py"
matmul = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_network(seed, inputs=7, hidden=5, outputs=3):
    return matmul.new_network(inputs, hidden, outputs, generator(seed), CPU)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_layer_and_its_gradients_pass_gradcheck(n):
    draw = generator(n)
    x, weight, bias, upstream = (
        torch.rand(shape, generator=draw, dtype=torch.float64, requires_grad=True)
        for shape in [(n, 4), (3, 4), (3,), (n, 3)]
    )
    assert torch.autograd.gradcheck(matmul.linear, (x, weight, bias))
    (matmul.linear(x, weight, bias) * upstream).sum().backward()
    ours = matmul.linear_backward(upstream, x, weight)
    for gradient, each in zip(ours, (x, weight, bias), strict=True):
        assert gradient.shape == each.shape
        assert gradient.allclose(each.grad)


def test_relu_lets_no_gradient_through_where_its_input_is_not_positive():
    x, upstream = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True), torch.tensor([3.0, 3.0, 3.0])
    x.relu().backward(upstream)
    assert torch.equal(matmul.relu_backward(upstream, x.detach()), x.grad)


@pytest.mark.parametrize("scale", [1, 1000])
def test_cross_entropy_is_that_of_torch_also_for_huge_scores(scale):
    scores = (scale * torch.randn(6, 4, generator=generator(), dtype=torch.float64)).requires_grad_()
    labels = torch.tensor([0, 3, 1, 2, 2, 0])
    expected = F.cross_entropy(scores, labels)
    expected.backward()
    loss, gradient = matmul.cross_entropy(scores.detach(), labels)
    assert loss.allclose(expected)
    assert gradient.allclose(scores.grad)


@pytest.mark.parametrize("n", [1, 7, 32, 100])
@pytest.mark.parametrize("hidden", [1, 5, 64])
def test_scores_and_gradients_are_those_of_autograd_to_a_few_last_places(n, hidden):
    draw = generator(n)
    digits, network = matmul.load(draw, CPU), matmul.new_network(64, hidden, 10, draw, CPU)
    apart = {name: steps for name, _, steps in matmul.compare(network, digits.x[:n], digits.labels[:n])}
    assert len(apart) == 7
    assert max(apart.values()) <= 4


def test_the_module_has_copies_of_the_parameters():
    network = random_network(0)
    module = network.module()
    before = [parameter.clone() for parameter in network.parameters()]
    assert all(map(torch.equal, module.parameters(), before))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert all(map(torch.equal, network.parameters(), before))


def test_weights_start_as_wide_as_those_of_nn_linear():
    network, module = random_network(3, 50, 200, 10), nn.Sequential(nn.Linear(50, 200), nn.ReLU(), nn.Linear(200, 10))
    for ours, theirs, width in zip(network.parameters(), module.parameters(), [50, 50, 200, 200], strict=True):
        assert ours.shape == theirs.shape
        assert 0.8 / math.sqrt(width) < ours.abs().max() <= 1 / math.sqrt(width)
    assert torch.equal(network.weight1, random_network(3, 50, 200, 10).weight1)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([1.0, 4.0], [1.0 + 2**-23, 4.0], 0.25),
        ([1.0], [1.0 + 2**-23], 1),
        ([0.0, -8.0], [0.0, -8.0 - 2**-20], 1),
        ([0.0], [-0.0], 0),
    ],
)
def test_steps_are_counted_at_the_largest_number(a, b, expected):
    assert matmul.steps_apart(torch.tensor(a), torch.tensor(b)) == expected
    assert matmul.steps_apart(torch.tensor(b), torch.tensor(a)) == expected


def test_training_is_that_of_sgd_to_a_few_last_places():
    """Given the same gradient of the scores: that of the loss differs by a step."""
    draw = generator()
    digits, network = matmul.load(draw, CPU), matmul.new_network(64, 16, 10, draw, CPU)
    module, state = network.module(), draw.get_state()
    matmul.train(network, digits.x, digits.labels, 3, draw)
    draw.set_state(state)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
    for _ in range(3):
        for rows in torch.randperm(len(digits.x), generator=draw).split(32):
            optimizer.zero_grad()
            scores = module(digits.x[rows])
            scores.backward(matmul.cross_entropy(scores.detach(), digits.labels[rows])[1])
            optimizer.step()
    for ours, theirs in zip(network.parameters(), module.parameters(), strict=True):
        assert matmul.steps_apart(ours, theirs) <= 100


def test_training_tells_each_epoch_and_uses_every_picture():
    x = torch.eye(5)
    network, told = random_network(0, 5, 8, 5), []
    matmul.train(network, x, torch.arange(5), 200, generator(), batch=2, after=lambda *each: told.append(each))
    assert [epoch for epoch, _ in told] == list(range(1, 201))
    assert told[-1][1] < told[0][1]
    assert network.scores(x).argmax(dim=1).tolist() == list(range(5))


def test_no_picture_is_both_held_out_and_learned_from():
    digits = matmul.load(generator(4), CPU)
    assert (digits.x.shape, digits.held_out.shape) == ((1438, 64), (359, 64))
    assert (digits.labels.shape, digits.truth.shape) == ((1438,), (359,))
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    seen = {tuple(row) for row in digits.x.tolist()}
    assert not any(tuple(row) in seen for row in digits.held_out.tolist())


def test_digits_are_learned(capsys):
    network = matmul.show(32, 10, 0, CPU)
    digits = matmul.load(generator(), CPU)
    right = int((network.scores(digits.held_out).argmax(dim=1) == digits.truth).sum())
    out = capsys.readouterr().out
    assert right > 0.9 * 359
    assert f"right: {right} of 359 pictures held out" in out
    assert out.count("epoch ") == 6


def test_the_same_seed_gives_the_same_training(capsys):
    runs = []
    for seed in (1, 1, 2):
        assert matmul.main(["--epochs", "1", "--hidden", "4", "--seed", str(seed), "--device", "cpu"]) == 0
        runs.append(capsys.readouterr().out)
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("hidden", [1, 8, 40])
def test_the_neurons_are_drawn(hidden, tmp_path):
    arguments = ["--epochs", "1", "--hidden", str(hidden), "--plot", str(tmp_path / "neurons.png"), "--device", "cpu"]
    assert matmul.main(arguments) == 0
    assert (tmp_path / "neurons.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--hidden", "0"),
        ("--hidden", "many"),
        ("--hidden", "100000"),
        ("--epochs", "-1"),
        ("--epochs", "1.5"),
        ("--seed", "a"),
    ],
)
def test_a_number_out_of_range_gives_one_sentence(option, value, capsys):
    assert matmul.main([f"{option}={value}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"matmul.py: {option} is a whole number from ")
    assert err.count("\n") == 1


def test_a_place_that_cannot_be_drawn_to_gives_one_sentence(tmp_path, capsys):
    plot = str(tmp_path / "no/such/folder.png")
    assert matmul.main(["--epochs", "1", "--hidden", "1", "--device", "cpu", "--plot", plot]) == 2
    assert capsys.readouterr().err.count("\n") == 1
