"""The landscape explorable descends as the optimizers of torch do, to the last bit, and everyone can use it."""

from __future__ import annotations

import math
import platform
import random
import re
from collections import Counter
from dataclasses import astuple
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from descents import LANDSCAPES, Asked, random_descent, run, run_plainly
from element import Explorable, focused

from tensorproof.page import Page

PAGE = Path(__file__).parents[2] / "docs" / "autograd" / "gradients.md"
URL = "autograd/gradients/"
LANDSCAPE = Explorable("landscape", URL, "Learning rate")
page, explorable = LANDSCAPE.fixtures()
SMALL = 1e-6

# For each case: fills in all fields as a reader does, goes to some steps, and returns what is seen.
READ = """
(cases) => cases.map(([landscape, optimizer, forgets, ...values]) => {
    const root = document.querySelector("explore-landscape");
    const [surface, method] = root.querySelectorAll("select");
    [surface.value, method.value] = [landscape, optimizer];
    root.querySelector("[type=checkbox]").checked = forgets;
    for (const [n, input] of root.querySelectorAll("[type=text]").entries()) input.value = values[n];
    root.querySelector("[type=text]").dispatchEvent(new Event("input", { bubbles: true }));
    const slider = root.querySelector(".stepper [type=range]");
    const step = (n) => {
        slider.value = n;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        return [...root.querySelectorAll(".sum > span > span")].map((term) =>
            ["small", "b"].map((part) => term.querySelector(part).textContent));
    };
    const last = Number(slider.max);
    return {
        program: root.querySelector(".paste").textContent,
        said: root.querySelector("[role=status]").textContent,
        limit: root.querySelector("details:not([hidden]) p")?.textContent,
        steps: [1, 2, 1 + (last >> 1), last].map((n) => [n, step(n)]),
    };
})
"""

# The same descents with all digits.
DESCEND = """
async (cases) => {
    const { descend } = await import(new URL("../../explorables/descent.js", location));
    const { LANDSCAPES } = await import(new URL("../../explorables/landscapes.js", location));
    return cases.map(([landscape, optimizer, forgets, ...values]) => {
        const [lr, momentum, k, x, y, steps] = values.map(Number);
        const settings = { optimizer: optimizer.split(" ")[0], nesterov: optimizer.includes("Nesterov"), lr, momentum };
        return descend({ landscape: LANDSCAPES[landscape], k, start: [x, y], steps, clears: !forgets, ...settings });
    });
}
"""

# What the optimizer makes of points and gradients that are given.
STEP = """
async (cases) => {
    const { OPTIMIZERS } = await import(new URL("../../explorables/descent.js", location));
    return cases.map(([optimizer, lr, momentum, given]) => {
        const nesterov = optimizer.includes("Nesterov");
        const step = OPTIMIZERS[optimizer.split(" ")[0]]({ lr, momentum, nesterov });
        return given.map(([w, grad]) => step(w, grad).next);
    });
}
"""

LOSSES = {
    "valley": lambda x, y, k: x**2 / 2 + k * y**2 / 2,
    "rosenbrock": lambda x, y, k: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "saddle": lambda x, y, k: x**2 - y**2,
    "himmelblau": lambda x, y, k: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "kink": lambda x, y, k: x.abs() + y.abs(),
}


def brief(number: float) -> str:
    """A number with six digits, as Python writes it. JavaScript rounds a half away from 0."""
    if not math.isfinite(number):
        return repr(number)
    return repr(float(Context(prec=6, rounding=ROUND_HALF_UP).plus(Decimal(number)))) if number else repr(number)


def vector(point: list[float]) -> str:
    return f"[{', '.join(map(brief, point))}]"


def floats(answer: Any) -> Any:
    """What a browser answers, in which whole numbers are floats as well."""
    if isinstance(answer, dict):
        return {name: floats(value) for name, value in answer.items()}
    return list(map(floats, answer)) if isinstance(answer, list) else float(answer)


@pytest.fixture(scope="module")
def descents(page) -> list[tuple[Asked, dict, list[dict]]]:
    """Random descents, what the page shows of each, and its numbers with all digits."""
    chooser = random.Random(1847)
    asked = sorted((random_descent(chooser) for _ in range(150)), key=lambda asked: (asked.landscape, asked.k))
    fields = list(map(astuple, asked))
    return list(zip(asked, page.evaluate(READ, fields), floats(page.evaluate(DESCEND, fields)), strict=True))


@pytest.fixture(scope="module")
def plain(descents) -> list[tuple[list[float], list[list[float]]]]:
    """What the programs print that the page shows, by kernels that round after each operation."""
    return run_plainly([seen["program"] for _, seen, _ in descents])


def close(shown: float, known: float) -> bool:
    return repr(shown) == repr(known) or math.isclose(shown, known, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="here torch has no kernels that round so")
def test_every_point_and_loss_of_random_descents_is_that_of_torch(descents, plain):
    """To the last bit. For Adam torch takes roots from a library whose last bit is wrong in one of a hundred."""
    exact = Counter()
    for (asked, _, steps), (losses, points) in zip(descents, plain, strict=True):
        assert len(steps) == len(losses) == 50
        shown, known = (
            [[loss, *point] for loss, point in zip(*both, strict=True)]
            for both in (([step["loss"] for step in steps], [step["next"] for step in steps]), (losses, points))
        )
        isSame = repr(shown) == repr(known)
        exact[asked.optimizer == "Adam", isSame] += 1
        for row, right in zip(shown, known, strict=True):
            assert isSame or (asked.optimizer == "Adam" and all(map(close, row, right))), (asked, row, right)
    assert exact[False, True] >= 90
    assert exact[True, True] >= 35
    assert exact[True, False] <= 10


def test_the_random_descents_are_of_all_kinds(descents):
    kinds = Counter(part for asked, _, _ in descents for part in (asked.landscape, asked.optimizer))
    assert len(kinds) == 8
    assert min(kinds.values()) >= 15
    assert sum(asked.forgets for asked, _, _ in descents) >= 25
    assert sum(asked.momentum == "1" for asked, _, _ in descents) >= 20
    assert sum(math.isnan(steps[-1]["next"][0]) for _, _, steps in descents) >= 10
    said = Counter(" ".join(seen["said"].split()[:2]) for _, seen, _ in descents)
    assert sum("last bit" in seen["said"] for _, seen, _ in descents) >= 4
    diverging = said.pop("Diverges. In")
    assert diverging >= 20
    assert set(said) == {"At rest", "Still moving", "Outside the"}
    assert min(said.values()) >= 5, said


def test_each_step_from_where_torch_stands_is_one_of_this_machines_torch(page, descents):
    """Its kernels round once less in a step. From the same points and gradients nothing else may differ."""
    cases, expected = [], []
    for asked, _, _ in descents[::4]:
        x, y, lr, momentum, k = (float(getattr(asked, name)) for name in ("x", "y", "lr", "momentum", "k"))
        w = torch.tensor([x, y], dtype=torch.float64, requires_grad=True)
        settings = {"momentum": momentum, "nesterov": "Nesterov" in asked.optimizer}
        optimizer = torch.optim.Adam([w], lr=lr) if asked.optimizer == "Adam" else torch.optim.SGD([w], lr, **settings)
        given, points = [], []
        for _ in range(50):
            if not asked.forgets:
                optimizer.zero_grad()
            LOSSES[asked.landscape](*w, k).backward()
            if not (w.isfinite().all() and (w.grad.abs() < 1e100).all()):
                break
            given.append([w.tolist(), w.grad.tolist()])
            optimizer.step()
            points.append(w.tolist())
        cases.append([asked.optimizer, lr, momentum, given])
        expected.append(points)
    steps = 0
    for (*settings, given), shown, known in zip(cases, page.evaluate(STEP, cases), expected, strict=True):
        for (w, _), new, right in zip(given, shown, known, strict=True):
            for i in (0, 1):
                scale = max(abs(w[i]), abs(right[i]), abs(right[i] - w[i]))
                assert abs(new[i] - right[i]) <= 1e-14 * scale, (settings, w, new, right)
            steps += 1
    assert steps >= 1000


def test_derivatives_by_hand_are_those_of_autograd_to_the_last_bit(descents):
    for asked, _, steps in descents:
        total = None
        for step in steps if asked.forgets else steps[::9]:
            w = torch.tensor(step["w"], dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(LOSSES[asked.landscape](*w, float(asked.k)), w)
            total = total + slope if total is not None and asked.forgets else slope
            assert repr([step["slope"], step["grad"]]) == repr([slope.tolist(), total.tolist()]), (asked, step)


def outcome(asked: Asked, steps: list[dict]) -> str:
    """What is to be said of a descent, without what is said of a momentum of 1."""
    points, losses = [step["next"] for step in steps], [step["loss"] for step in steps]
    place = vector(points[-1])
    spoiled = [n for n, loss in enumerate(losses, 1) if not math.isfinite(loss)]
    lost = [n for n, point in enumerate(points, 1) if any(map(math.isnan, point))]
    if spoiled:
        after = f", and step {lost[0]} makes w {vector(points[lost[0] - 1])}" if lost else ""
        return f"Diverges. In step {spoiled[0]} the loss is {losses[spoiled[0] - 1]}{after}."
    moving = [
        n
        for n, step in enumerate(steps, 1)
        if max(map(abs, step["slope"])) > SMALL
        or max(abs(new - old) for new, old in zip(step["next"], step["w"], strict=True)) > SMALL
    ]
    if not moving or moving[-1] < len(steps):
        doubt = " This is no minimum: the slope is 0 on a saddle as well." if asked.landscape == "saddle" else ""
        start = moving[-1] + 1 if moving else 1
        return f"At rest from step {start} on, at {place}, with the loss {brief(losses[-1])}.{doubt}"
    left, right, bottom, top = LANDSCAPES[asked.landscape]
    isInside = left <= points[-1][0] <= right and bottom <= points[-1][1] <= top
    where = "Still moving" if isInside else "Outside the picture"
    return f"{where} after step {len(steps)}, at {place}. The last loss is {brief(losses[-1])}."


def is_momentum_one(asked: Asked) -> bool:
    return asked.forgets and asked.optimizer == "SGD" and float(asked.momentum) == 0


def test_numbers_and_words_of_random_descents_are_those_of_their_steps(descents):
    for asked, seen, steps in descents:
        same = " Momentum 1 with zero_grad() makes the same numbers, to the last bit." * is_momentum_one(asked)
        assert seen["said"] == outcome(asked, steps) + same, asked
        for n, terms in seen["steps"]:
            step = steps[n - 1]
            state = [[name, vector(value)] for name, value in step["state"].items()]
            known = [["loss", brief(step["loss"])], ["w", vector(step["w"])], ["w.grad", vector(step["grad"])]]
            assert terms == [*known, *state, ["new w", vector(step["next"])]], (asked, n)


def test_without_zero_grad_torch_does_the_same_as_with_momentum_1(descents):
    programs = [seen["program"] for asked, seen, _ in descents if is_momentum_one(asked)]
    for program in programs[:5]:
        other = program.replace("range(50):\n", "range(50):\n    optimizer.zero_grad()\n").replace(
            "lr=", "momentum=1, lr="
        )
        assert other.count("momentum=1, ") == other.count("zero_grad") == 1
        assert repr(run(program)) == repr(run(other))


@pytest.mark.parametrize("optimizer", ["SGD", "SGD with Nesterov"])
@pytest.mark.parametrize("momentum", ["0", "0.5", "0.9", "1"])
def test_up_to_the_rate_that_is_named_the_valley_converges(page, optimizer, momentum):
    if (optimizer, momentum) == ("SGD with Nesterov", "0"):
        return
    (seen,) = page.evaluate(READ, [("valley", optimizer, False, "0.01", momentum, "20", "0", "1", "200")])
    rate = float(re.search(r"= ([\d.]+)\.( |$)", seen["limit"])[1])
    if momentum == "0":
        assert rate == 2 / 20
    last = []
    for factor in (0.95, 1.05):
        _, points = run(seen["program"].replace("lr=0.01", f"lr={rate * factor}"))
        last.append(max(abs(y) for _, y in points[-20:]))
    assert last[1] > 100
    assert last[0] < (10 if (optimizer, momentum) == ("SGD", "1") else 0.1)
    assert ("swings for ever" in seen["limit"]) == ((optimizer, momentum) == ("SGD", "1"))
