"""Descents for the landscape explorable: random ones, and what torch makes of the program that the page shows."""

from __future__ import annotations

import io
import json
import math
import os
import random
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass

Point = list[float]

LANDSCAPES = {
    "valley": (-5, 5, -4, 4),
    "rosenbrock": (-2, 2, -0.8, 2.4),
    "saddle": (-2.5, 2.5, -2, 2),
    "himmelblau": (-6, 6, -4.8, 4.8),
    "kink": (-2.5, 2.5, -2, 2),
}
"""The sides of each picture: left, right, bottom, top."""
OPTIMIZERS = ("SGD", "SGD with Nesterov", "Adam")


@dataclass(frozen=True)
class Asked:
    """What a reader asks for: the fields as text, in their order on the page."""

    landscape: str
    optimizer: str
    forgets: bool
    lr: str
    momentum: str
    k: str
    x: str
    y: str
    steps: str = "50"


def random_descent(chooser: random.Random) -> Asked:
    """A descent whose rate may lead down, swing or diverge."""
    landscape = chooser.choice(list(LANDSCAPES))
    optimizer = chooser.choice(OPTIMIZERS)
    left, right, bottom, top = LANDSCAPES[landscape]
    momentum = chooser.choice(["0.9", "1", "0.5", f"{chooser.uniform(0.01, 1):.2f}"])
    if optimizer != "SGD with Nesterov" and chooser.random() < 0.3:
        momentum = "0"
    return Asked(
        landscape,
        optimizer,
        forgets=chooser.random() < 0.3,
        lr=f"{10 ** chooser.uniform(-4, 1):.3g}",
        momentum=momentum,
        k=chooser.choice(["1", "2.5", "7.3", "20", "30"]),
        x=chooser.choice([repr(chooser.uniform(left, right)), "0", "-1", "1"]),
        y=chooser.choice([repr(chooser.uniform(bottom, top)), "0", "1"]),
    )


def run(program: str) -> tuple[list[float], list[Point]]:
    """The losses and the points that a program prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec("import torch\n" + program, {})
    names = {"nan": math.nan, "inf": math.inf}
    lines = [eval("({}, {})".format(*line.split(" ", 1)), names) for line in printed.getvalue().splitlines()]
    return [loss for loss, _ in lines], [point for _, point in lines]


PLAIN = "import json, sys, descents; print(json.dumps([descents.run(program) for program in json.load(sys.stdin)]))"


def run_plainly(programs: list[str]) -> list[tuple[list[float], list[Point]]]:
    """The same, by the kernels of torch that round after each operation, as JavaScript does.

    Those that it takes otherwise make one operation of a product and a sum, where the processor has one for it.
    """
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "default", "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", PLAIN]
    process = subprocess.run(
        command, input=json.dumps(programs), env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(process.stdout)
