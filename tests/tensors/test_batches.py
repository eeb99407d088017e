"""The layer doctor says what calling the layer says."""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/batches.py"
batches = SimpleNamespace(**runpy.run_path(str(PROGRAM)))

CONV = "3 or more"
EXPECTED = {  # the sizes of each rank that is accepted, and what the rank is
    "Linear(5, 2)": {1: "5: one sample", 2: "any, 5: batch 0", 3: "any, any, 5: batch 0"},
    "Conv1d(3, 8, 3)": {2: f"3, {CONV}: one sample", 3: f"any, 3, {CONV}: batch 0"},
    "Conv2d(3, 8, 3)": {3: f"3, {CONV}, {CONV}: one sample", 4: f"any, 3, {CONV}, {CONV}: batch 0"},
    "Embedding(10, 4)": {0: ": one sample", 1: "any: batch 0", 2: "any, any: batch 0"},
    "LSTM(3, 2)": {2: "any, 3: one sample", 3: "any, any, 3: batch 1"},
    "GRU(3, 2, batch_first=True)": {2: "any, 3: one sample", 3: "any, any, 3: batch 0"},
    "BatchNorm1d(4)": {2: "any, 4: batch 0", 3: "any, 4, any: batch 0"},
    "BatchNorm2d(3)": {4: "any, 3, any, any: batch 0"},
    "LayerNorm([3, 4])": {2: "3, 4: one sample", 3: "any, 3, 4: batch 0"},
    "MaxPool2d(2)": {3: "any, 2 or more, 2 or more: one sample", 4: "any, any, 2 or more, 2 or more: batch 0"},
    "MaxPool2d(11)": {3: "any, 11 or more, 11 or more: one sample", 4: "any, any, 11 or more, 11 or more: batch 0"},
    "PixelShuffle(2)": {3: "a multiple of 4, any, any: one sample"},
    "Unflatten(1, (4, 7))": {2: "any, 28: batch 0"},
    "MultiheadAttention(8, 2)": {2: "any, 8: one sample", 3: "any, any, 8: batch 1"},
    "EmbeddingBag(10, 3)": {2: "any, any: batch 0"},
    "MSELoss()": {0: ": one whole", 2: "any, any: one whole"},
}


def read(answer, role):
    role = role.replace("a batch along dimension", "batch")
    return f"{', '.join(answer.sizes)}: {role}"


@pytest.mark.parametrize("text", EXPECTED)
def test_ranks_sizes_and_roles(text):
    layer = batches.build_layer(text).eval()
    answers = batches.find_shapes(layer, range(5))
    found = {rank: read(*pair) for rank, pair in enumerate(zip(answers, batches.roles(layer, answers), strict=True))}
    assert {rank: found[rank] for rank in EXPECTED[text]} == EXPECTED[text]
    accepted = [rank for rank, answer in enumerate(answers) if not answer.refusal]
    always = text.startswith(("Linear", "Embedding(", "LayerNorm", "PixelShuffle", "Unflatten", "MSELoss"))
    assert accepted == sorted(EXPECTED[text]) or always


def fits(size: int, meaning: str) -> bool:
    """Whether a size is what the program says it has to be."""
    if meaning == "any":
        return True
    if meaning.startswith("a multiple of "):
        return size % int(meaning.split()[-1]) == 0
    return size >= int(meaning.split()[0]) if meaning.endswith("or more") else size == int(meaning)


@pytest.mark.parametrize("text", [text for text in EXPECTED if not text.startswith(("Multi", "MSE"))])
def test_what_it_says_of_sizes_holds_for_random_shapes(text):
    layer, dice, agreed = batches.build_layer(text).eval(), random.Random(0), {True: 0, False: 0}
    for answer in batches.find_shapes(layer, range(5)):
        for _ in range(20):
            shape = [dice.choice([n, n, dice.randrange(1, 12)]) for n in answer.shape]
            expected = not answer.refusal and all(map(fits, shape, answer.sizes))
            try:
                inputs = torch.zeros(shape, dtype=torch.int64 if "Embedding" in text else torch.float32)
                works = layer(inputs) is not None
            except (IndexError, RuntimeError, ValueError):
                works = False
            assert works == expected, f"{shape}, {answer}"
            agreed[works] += 1
    assert agreed[True] >= 10


def test_output_shapes_are_those_of_the_layer():
    answers = batches.find_shapes(nn.LSTM(3, 2))
    output, (hidden, cell) = nn.LSTM(3, 2)(torch.zeros(answers[3].shape))
    assert answers[3].output == (output.shape, (hidden.shape, cell.shape))


def test_a_refusal_is_in_torchs_words():
    shape = (1, 32, 32, 3)
    with pytest.raises(RuntimeError) as refused:
        nn.Conv2d(3, 8, 3)(torch.zeros(shape))
    assert batches.refusal(nn.Conv2d(3, 8, 3), shape) == str(refused.value)


def test_batch_norm_wants_two_samples_in_training():
    report = batches.report(batches.build_layer("BatchNorm1d(5)"))
    assert "any, 5 (in training: 2 or more, 5)" in report


def test_cures_are_accepted_by_the_layer():
    for layer, shape, first in [
        (nn.Conv2d(3, 8, 3), (1, 32, 32, 3), "permute(0, 3, 1, 2)"),
        (nn.Conv2d(1, 8, 3), (28, 28), "unsqueeze(0)"),
        (nn.RNN(1, 2), (5,), "unsqueeze(1)"),
        (nn.BatchNorm1d(5).eval(), (5,), "unsqueeze(0)"),
        (nn.Linear(5, 2), (5, 3), "permute(1, 0)"),
    ]:
        cures = batches.cures(layer, shape)
        assert cures[0].operation == first
        for cure in cures:
            cured = eval(f"x.{cure.operation}", {"x": torch.zeros(shape)})
            assert cured.shape == cure.shape
            layer(cured)


def test_there_is_no_cure_for_a_size_that_fits_nowhere():
    assert batches.cures(nn.Linear(5, 2), (3, 4)) == []
    assert "No order" in batches.advice(nn.Linear(5, 2), (3, 4))


@pytest.mark.parametrize(
    "text",
    [
        "Conv2D(3)", "Linear", "Linear(", "Linear(3)", "Linear(x, 2)", "Linear(*[3, 2])", "Linear(-1, 2)",
        "LazyLinear(2)", "functional.relu(1)", "Parameter(1)", "__import__('os')", "Linear(__import__('os'), 2)",
        "Linear.__init__(2)", "Linear(().__class__, 2)", "(lambda: Linear)()(1, 2)", "", "\0", "(" * 500,
    ],
)  # fmt: skip
def test_what_is_no_layer_is_refused_in_one_sentence(text, capsys):
    assert batches.main([text]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert " at 0x" not in err
    assert err.startswith("batches.py: ")
    assert err.count("\n") == 1


def test_a_misspelt_layer_is_told_the_right_name(capsys):
    batches.main(["Conv2D(3, 8, 3)"])
    assert "did you mean Conv2d?" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3,x", "3,-1", "99999,99999", "1,1,1,1,1,1,1"])
def test_a_bad_input_shape_is_refused_in_one_sentence(text, capsys):
    assert batches.main(["--input", text]) == 2
    assert capsys.readouterr().err.count("\n") == 1
