"""The neighbours are those of scikit-learn, and no chunk takes more memory than allowed."""

from __future__ import annotations

import json
import runpy
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.profiler import ProfilerActivity, profile

PROGRAM = Path(__file__).parents[2] / "snippets/tensors/broadcasting.py"
broadcasting = SimpleNamespace(**runpy.run_path(str(PROGRAM)))
CPU = torch.device("cpu")
AMPLE = 10**9
SEEDS = (0, 3)


def random_points(seed, q, n, d, classes=3):
    """Queries, examples and labels; the numbers are whole and few, so that many distances are equal."""
    draw = partial(torch.randint, generator=torch.Generator().manual_seed(seed))
    return draw(0, 4, (q, d)).float(), draw(0, 4, (n, d)).float(), draw(0, classes, (n,))


def in_order(queries, examples):
    """For each query the numbers of all examples, by distance and then by number."""
    numbers = np.arange(len(examples))
    return [np.lexsort((numbers, ((query - examples.numpy()) ** 2).sum(1))).tolist() for query in queries.numpy()]


def largest_class(labels):
    """The class that comes most often, the smallest of several."""
    classes, counts = np.unique(labels, return_counts=True)
    return int(classes[counts.argmax()])


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_and_classes_are_those_of_a_loop(seed):
    q, n, d = 1 + seed, 5 + 3 * seed, 1 + seed % 4
    queries, examples, labels = random_points(seed, q, n, d)
    for k in (1, 2, 3, 5):
        expected = [row[:k] for row in in_order(queries, examples)]
        assert broadcasting.nearest(queries, examples, k).tolist() == expected
        got = broadcasting.classify(queries, examples, labels, k, AMPLE)
        assert got.tolist() == [largest_class(labels[row].tolist()) for row in expected]


def test_distances_are_those_of_cdist():
    queries, examples = torch.rand(7, 5, dtype=torch.float64), torch.rand(11, 5, dtype=torch.float64)
    squared = broadcasting.squared_distances(queries, examples)
    assert squared.shape == (7, 11)
    assert squared.allclose(torch.cdist(queries, examples) ** 2)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree"])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_digits_agree_with_scikit_learn_but_for_ties(k, algorithm):
    """scikit-learn takes any of the examples that share the k-th distance, the program those that come first."""
    ties = 0
    for seed in SEEDS:
        digits = broadcasting.load(seed, CPU)
        model = KNeighborsClassifier(k, algorithm=algorithm).fit(digits.examples.numpy(), digits.labels.numpy())
        squared = broadcasting.squared_distances(digits.queries, digits.examples).sort(dim=1).values
        distances, _ = model.kneighbors(digits.queries.numpy())
        np.testing.assert_allclose(distances, squared[:, :k].sqrt(), rtol=1e-6)

        tied = squared[:, k - 1] == squared[:, k]  # the k-th and the next are as far: there are several answers
        theirs = torch.tensor(model.predict(digits.queries.numpy()))
        ours = broadcasting.classify(digits.queries, digits.examples, digits.labels, k, AMPLE)
        assert torch.equal(ours[~tied], theirs[~tied])
        ties += int(tied.sum())
    assert ties > 0


def test_of_two_examples_at_one_distance_the_first_is_taken():
    queries, examples = torch.zeros(1, 2), torch.tensor([[3.0, 0], [0, 2], [2, 0], [-2, 0]])
    assert broadcasting.nearest(queries, examples, 2).tolist() == [[1, 2]]
    assert broadcasting.nearest(queries, examples.flip(0), 2).tolist() == [[0, 1]]


def test_of_two_classes_with_as_many_votes_the_smaller_wins_as_in_scikit_learn():
    queries, examples, labels = torch.zeros(1, 1), torch.tensor([[1.0], [2.0]]), torch.tensor([7, 4])
    assert broadcasting.classify(queries, examples, labels, 2, AMPLE).tolist() == [4]
    assert KNeighborsClassifier(2).fit(examples.numpy(), labels.numpy()).predict(queries.numpy()).tolist() == [4]


@pytest.mark.parametrize("seed", SEEDS)
def test_chunks_of_any_size_give_the_same_classes(seed):
    queries, examples, labels = random_points(seed, 23, 40, 3)
    one = broadcasting.bytes_per_query(examples, 3, 3)
    whole = broadcasting.classify(queries, examples, labels, 3, AMPLE)
    for limit in (one, 2 * one, 7 * one + 1, 22 * one, 23 * one):
        assert torch.equal(broadcasting.classify(queries, examples, labels, 3, limit), whole)


def peak(function, folder):
    """The most bytes that the allocator of the CPU had given out at a time during a call."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as watched:
        function()
    watched.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text("utf-8"))["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event["name"] == "[memory]")


def test_peak_sees_what_is_allocated_and_let_go(tmp_path):
    assert peak(lambda: (torch.ones(1000) + torch.ones(500, 1)).sum(), tmp_path) >= 4 * 500 * 1000
    assert peak(lambda: torch.ones(1000).expand(500, 1000), tmp_path) < 10**4


@pytest.mark.parametrize("distances", [broadcasting.squared_distances, torch.cdist], ids=["broadcast", "cdist"])
@pytest.mark.parametrize(
    ("q", "n", "d", "k", "classes", "at_once"),
    [
        (50, 300, 64, 3, 10, 1),
        (50, 300, 64, 3, 10, 7),
        (200, 300, 1, 3, 10, 20),
        (200, 300, 1, 300, 100, 20),
        (30, 40, 2, 40, 40, 1),
        (3, 2000, 500, 1, 2, 2),
    ],
)
def test_memory_stays_within_the_limit(q, n, d, k, classes, at_once, distances, tmp_path):
    queries, examples, labels = random_points(0, q, n, d, classes)
    if distances is torch.cdist:
        distances = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
    limit = at_once * broadcasting.bytes_per_query(examples, k, len(labels.unique()))
    took = peak(lambda: broadcasting.classify(queries, examples, labels, k, limit, distances), tmp_path)
    assert took <= limit + q * 8  # the result comes on top
    if distances is broadcasting.squared_distances:
        assert took > limit / 3  # and the limit is used


def test_a_limit_for_less_than_one_query_is_refused():
    queries, examples, labels = random_points(0, 5, 40, 3)
    one = broadcasting.bytes_per_query(examples, 3, 3)
    assert broadcasting.chunk_size(examples, 3, 3, one) == 1
    with pytest.raises(ValueError, match="too little"):
        broadcasting.classify(queries, examples, labels, 3, one - 1)


@pytest.mark.parametrize(
    ("queries", "examples", "labels", "k", "said"),
    [
        (torch.ones(3), torch.ones(5, 3), torch.ones(5).long(), 1, "shapes"),
        (torch.ones(2, 3), torch.ones(5, 4), torch.ones(5).long(), 1, "3 features, examples 4"),
        (torch.ones(2, 1), torch.ones(5, 4), torch.ones(5).long(), 1, "1 features, examples 4"),
        (torch.ones(2, 3), torch.ones(5, 3), torch.ones(5, 1).long(), 1, r"\(5,\), not \(5, 1\)"),
        (torch.ones(2, 3).byte(), torch.ones(5, 3).byte(), torch.ones(5).long(), 1, "float"),
        (torch.ones(2, 3), torch.ones(5, 3).byte(), torch.ones(5).long(), 1, "float"),
        (torch.ones(2, 3), torch.ones(5, 3), torch.ones(5).long(), 0, "from 1 to 5"),
        (torch.ones(2, 3), torch.ones(5, 3), torch.ones(5).long(), 6, "from 1 to 5"),
        (torch.ones(2, 3), torch.ones(0, 3), torch.ones(0).long(), 1, "from 1 to 0"),
    ],
)
def test_what_would_broadcast_or_wrap_is_refused(queries, examples, labels, k, said):
    with pytest.raises(ValueError, match=said):
        broadcasting.classify(queries, examples, labels, k, AMPLE)


def test_no_queries_have_no_classes():
    _, examples, labels = random_points(0, 1, 5, 3)
    assert broadcasting.classify(torch.ones(0, 3), examples, labels, 1, AMPLE).shape == (0,)


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("1000", 1000),
        ("64MB", 64 * 10**6),
        ("64 mb", 64 * 10**6),
        ("1.5g", 15 * 10**8),
        ("512KiB", 512 * 1024),
        ("2GiB", 2 * 1024**3),
        ("7B", 7),
    ],
)
def test_amounts_of_memory(text, nbytes):
    assert broadcasting.bytes_from(text) == nbytes


@pytest.mark.parametrize(
    "text", ["", "MB", "-1MB", "1e6", "64 apples", "64iB", "1 2MB", "٣MB", "nan", "1TB", "9" * 400]
)
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(ValueError, match="is not an amount of memory"):
        broadcasting.bytes_from(text)


@pytest.mark.parametrize(("nbytes", "text"), [(999, "999 bytes"), (62_900_000, "62.9 MB"), (10**10, "10.0 GB")])
def test_bytes_in_units(nbytes, text):
    assert broadcasting.in_units(nbytes) == text


def test_no_digit_is_both_held_out_and_an_example():
    digits = broadcasting.load(0, CPU)
    assert (digits.examples.shape, digits.queries.shape) == ((1438, 64), (359, 64))
    together = torch.cat([digits.examples, digits.queries])
    assert together.sum() == broadcasting.load(1, CPU).examples.sum() + broadcasting.load(1, CPU).queries.sum()
    assert not torch.equal(digits.queries, broadcasting.load(1, CPU).queries)
    assert torch.equal(digits.queries, broadcasting.load(0, CPU).queries)


def test_the_accuracy_is_good_and_the_same_with_cdist(capsys):
    assert broadcasting.main(["--device", "cpu", "--k", "3", "--memory", "5MB"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("(359, 1438, 64), 132.2 MB")
    assert lines[1] == "in one chunk: (13, 1438, 64), 4.8 MB"
    assert int(lines[2].split(": ")[1].split()[0]) / 359 > 0.97
    assert lines[3].endswith(": 359 of 359")


def test_mistakes_are_drawn_first(tmp_path, capsys):
    digits = broadcasting.load(0, CPU)
    rows = broadcasting.show(digits, 3, AMPLE)
    predicted = broadcasting.classify(digits.queries, digits.examples, digits.labels, 3, AMPLE)
    wrong = (predicted != digits.truth)[rows].tolist()
    assert wrong == sorted(wrong, reverse=True)
    assert wrong[0]
    assert sorted(rows) == list(range(359))
    titles = [place.get_title() for place in broadcasting.draw(digits, rows[:2], 3).axes]
    found = broadcasting.nearest(digits.queries[rows[1]][None], digits.examples, 3)[0]
    assert titles[4:] == [f"is {digit}" for digit in [int(digits.truth[rows[1]]), *digits.labels[found].tolist()]]
    assert broadcasting.main(["--device", "cpu", "--plot", str(tmp_path / "digits.png")]) == 0
    assert (tmp_path / "digits.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--k", "0"], "--k"),
        (["--k", "three"], "three"),
        (["--k", "1439"], "1438"),
        (["--seed", "-1"], "--seed"),
        (["--memory", "lots"], "lots"),
        (["--memory", "300kB"], "300.0 kB"),
        (["--memory", "0"], "0 bytes"),
        (["--device", "abacus"], "abacus"),
        (["--plot", "no/such/folder.png"], "folder.png"),
        (["--plot", "digits.xyz"], "xyz"),
    ],
)
def test_bad_input_gives_one_sentence(arguments, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert broadcasting.main([*arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("broadcasting.py: ")
    assert named in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
