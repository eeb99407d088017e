"""Random lines that compute with leaves, as a reader of the tape explorable writes them, and what torch does."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

FUNCTIONS = ("exp", "log", "sin", "cos", "tanh", "sigmoid", "relu", "sqrt", "abs", "square")
BINARY = ("+", "-", "*", "/", "**")
MODES = ("recorded", "detach()", "no_grad()")
NUMBERS = ("2", "3", "0.5", "1", "1.5", "-1", "-2", "0")


@dataclass
class Case:
    """What a reader writes and switches."""

    leaves: dict[str, str]
    lines: dict[str, str]
    frozen: list[str] = field(default_factory=list)
    modes: dict[str, str] = field(default_factory=dict)
    is_twice: bool = False
    is_retained: bool = False

    @property
    def forward(self) -> str:
        """The program before backward."""
        used = [name for name in FUNCTIONS if re.search(rf"(^|[^.\w]){name}\(", "\n".join(self.lines.values()), re.M)]
        program = ["import torch", *([f"from torch import {', '.join(used)}"] if used else []), ""]
        for name, value in self.leaves.items():
            requires = "" if name in self.frozen else ", requires_grad=True"
            program.append(f"{name} = torch.tensor({value}, dtype=torch.float64{requires})")
        for name, line in self.lines.items():
            mode = self.modes.get(name)
            if mode == "no_grad()":
                program.append(f"with torch.no_grad():\n    {name} = {line}")
            else:
                program.append(f"{name} = ({line}).detach()" if mode == "detach()" else f"{name} = {line}")
        return "\n".join(program)

    @property
    def last(self) -> str:
        return list(self.lines)[-1]

    @property
    def program(self) -> str:
        """The program as the explorable shows it."""
        backward = [f"{self.last}.backward({'retain_graph=True' if self.is_retained else ''})"]
        backward += [f"{self.last}.backward()"] * self.is_twice
        return "\n".join([self.forward, *backward, f"print({', '.join(f'{name}.grad' for name in self.leaves)})"])

    def typed(self) -> dict[str, Any]:
        """What is put into the fields and the switches."""
        return {
            "leaves": ", ".join(f"{name} = {value}" for name, value in self.leaves.items()),
            "lines": "\n".join(f"{name} = {line}" for name, line in self.lines.items()),
            "frozen": self.frozen,
            "modes": self.modes,
            "passes": [self.is_twice, self.is_retained],
        }


@dataclass
class Step:
    """A node that the engine called: its number, what came in, what went out, and at a leaf its `grad`."""

    node: int
    came: float
    out: list[float | None] = field(default_factory=list)
    grad: float | None = None


@dataclass
class Traced:
    """What torch does with a case: its tape, each node by its number, and the steps of its engine."""

    names: list[str] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    edges: list[list[int | None]] = field(default_factory=list)
    saved: list[set[str]] = field(default_factory=list)
    freed: list[bool] = field(default_factory=list)
    slopes: list[list[float | None]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    grads: list[float | None] = field(default_factory=list)
    result: float = 0.0
    error: str = ""


def number(tensor: torch.Tensor | None) -> float | None:
    return None if tensor is None else tensor.item()


def saved_by(node: Any) -> dict[str, bool]:
    """The names of the tensors that a node has saved, and whether they are freed."""
    found = {}
    for name in dir(node):
        if name.startswith("_saved_"):
            try:
                if isinstance(getattr(node, name), torch.Tensor):
                    found[name.removeprefix("_saved_")] = False
            except RuntimeError:
                found[name.removeprefix("_saved_")] = True
    return found


def traced(case: Case) -> Traced:
    """Run a case, with a hook on each node."""
    names: dict[str, Any] = {}
    exec(case.forward, names)
    last, told = names[case.last], Traced()
    told.result = last.item()
    nodes = [torch.autograd.graph.get_gradient_edge(last).node] if last.requires_grad else []
    for node in nodes:  # grows
        nodes += [end for end, _ in dict.fromkeys(node.next_functions) if end and end not in nodes]
    for n, node in enumerate(nodes):
        told.names.append(type(node).__name__)
        told.edges.append([nodes.index(end) if end else None for end, _ in node.next_functions])
        told.saved.append(set(saved_by(node)))
        is_leaf = hasattr(node, "variable")
        told.values.append(node.variable.item() if is_leaf else None)
        slopes = None if is_leaf else node(torch.tensor(1.0, dtype=torch.float64))
        told.slopes.append([] if is_leaf else list(map(number, slopes if isinstance(slopes, tuple) else (slopes,))))
        node.register_prehook(lambda came, n=n: told.steps.append(Step(n, came[0].item())))
        node.register_hook(partial(_after, told, node))
    try:
        last.backward(retain_graph=case.is_retained)
        if case.is_twice:
            last.backward()
    except RuntimeError as error:
        told.error = f"RuntimeError: {error}"
    told.freed = [any(saved_by(node).values()) for node in nodes]
    told.grads = [number(names[name].grad) for name in case.leaves]
    return told


def _after(told: Traced, node: Any, out: tuple[torch.Tensor | None, ...], _: Any) -> None:
    """Note what went out of the node that was called last."""
    told.steps[-1].out = list(map(number, out))
    if hasattr(node, "variable"):
        told.steps[-1].grad = node.variable.grad.item()


def random_case(chooser: random.Random) -> Case:
    """Three to twelve operations on one to four leaves, in one to four lines, each of which uses the one before."""
    leaves = {name: str(chooser.randint(-8, 12) / 4) for name in "abcd"[: chooser.choice([1, 2, 2, 3, 3, 4])]}
    lines: dict[str, str] = {}
    operations = chooser.randint(3, 12)
    count = chooser.randint(1, min(4, operations))
    shares = [operations // count + (n < operations % count) for n in range(count)]
    for name, share in zip(["x", "y", "u", "z"][-count:], shares, strict=True):
        known = [*leaves, *lines, *lines]
        while True:
            line = expression(chooser, share, known)
            if not lines or list(lines)[-1] in line:
                break
        lines[name] = line
    case = Case(leaves, lines)
    case.frozen = [name for name in leaves if chooser.random() < 0.15]
    case.modes = {
        name: chooser.choice(MODES[1:]) for name in lines if chooser.random() < (0.04 if name == case.last else 0.2)
    }
    case.is_twice, case.is_retained = chooser.random() < 0.5, chooser.random() < 0.4
    return case


def expression(chooser: random.Random, operations: int, names: list[str]) -> str:
    """A tensor that so many operations make of the names. Some parts of it are detached, or numbers."""
    if not operations:
        name = chooser.choice(names)
        return f"{name}.detach()" if chooser.random() < 0.04 else name
    kind = chooser.random()
    if kind < 0.35:
        inside = expression(chooser, operations - 1, names)
        if chooser.random() < 0.2:
            return f"(-{inside})" if chooser.random() < 0.5 else f"({inside}).{chooser.choice(FUNCTIONS)}()"
        return f"{chooser.choice(FUNCTIONS)}({inside})"
    operator = chooser.choice(BINARY)
    if kind < 0.55:
        inside = expression(chooser, operations - 1, names)
        one = chooser.choice(NUMBERS) if chooser.random() < 0.8 else f"{chooser.choice(names)}.item()"
        if operator == "**":
            return f"({inside}) ** {one}" if chooser.random() < 0.8 else f"({one}) ** ({inside})"
        return f"({inside} {operator} {one})" if chooser.random() < 0.5 else f"({one} {operator} {inside})"
    first = chooser.randint(0, operations - 1)
    left, right = (expression(chooser, n, names) for n in (first, operations - 1 - first))
    return f"(({left}) ** ({right}))" if operator == "**" else f"({left} {operator} {right})"
