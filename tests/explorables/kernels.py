"""Chains of elementwise operations at random, the operations that torch runs for them, and the kernels of Inductor."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

DTYPES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
CHANNELS = 64
NAMES = {"+": "aten.add.Tensor", "-": "aten.sub.Tensor", "*": "aten.mul.Tensor", "/": "aten.div.Tensor"}
NAMES |= {name: f"aten.{name}.default" for name in ("relu", "exp", "tanh", "sigmoid")}
NAMES |= {"batch_norm": "aten.native_batch_norm.default"}
SMALL = 2**18
"""Up to so many bytes a tensor is a real one, and beyond that one without data. It says to be on the CPU, where a batch
norm in eval mode saves nothing: one on the device `meta` would return the statistics as well."""


@dataclass(frozen=True)
class Case:
    """What a reader fills in, in the order of the fields."""

    chain: str
    elements: str
    dtype: str
    bandwidth: float
    rate: float
    overhead: float
    overhead_fused: float
    hard: float

    def typed(self) -> list[str]:
        return list(map(str, astuple(self)))

    @property
    def steps(self) -> list[str]:
        return self.chain.split(", ")

    @property
    def count(self) -> int:
        return int(eval(self.elements))

    @property
    def code(self) -> list[str]:
        """Each step as a statement about y."""
        unary = {"batch_norm": "norm(y)"}
        return [f"y = y {step}" if " " in step else f"y = {unary.get(step, f'torch.{step}(y)')}" for step in self.steps]

    def work(self, step: str) -> float:
        """How many operations a step takes."""
        costs = {"exp": self.hard, "tanh": self.hard, "sigmoid": self.hard, "batch_norm": 2}
        return self.count * costs.get(step, 1)


@dataclass
class Call:
    """An operation that torch ran, and the bytes of what it read and wrote."""

    name: str
    reads: int
    writes: int


def random_step(chooser: random.Random) -> str:
    kind = chooser.randrange(3)
    if kind == 0:
        return chooser.choice(["relu", "tanh", "exp", "sigmoid", "batch_norm", "batch_norm"])
    operand = chooser.choice(["x", "r", "r"]) if kind == 1 else chooser.choice(["3", "2", "0.5", "-1.25", "1000000"])
    return f"{chooser.choice('+-*/')} {operand}"


def random_case(chooser: random.Random) -> Case:
    dtype = chooser.choice(list(DTYPES))
    low, high = (2**power // DTYPES[dtype] for power in (16, 29))
    multiples = [low, high, CHANNELS * chooser.randint(low // CHANNELS, high // CHANNELS)]
    powers = [f"2**{power}" for power in range(13, 29) if low <= 2**power <= high]
    small = CHANNELS * chooser.randint(low // CHANNELS, 3 * low // CHANNELS)
    length = chooser.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 12])
    return Case(
        chain=", ".join(random_step(chooser) for _ in range(length)),
        elements=str(chooser.choice([*multiples, small, *powers])),
        dtype=dtype,
        bandwidth=chooser.choice([0.5, 10, 25.5, 3350, round(10 ** chooser.uniform(-1, 5), 3)]),
        rate=chooser.choice([1, 50, 67000, round(10 ** chooser.uniform(-1, 7), 3)]),
        overhead=chooser.choice([0, 0.5, 5, 1000, round(10 ** chooser.uniform(-2, 4), 3)]),
        overhead_fused=chooser.choice([0, 5, 20, round(10 ** chooser.uniform(-2, 4), 3)]),
        hard=chooser.choice([1, 20, 33.5, 1000]),
    )


def run(program: str, case: Case) -> list[Call]:
    """Run a program that prints operations with their bytes. Those that write nothing are left out."""
    printed: list[tuple[Any, int, int]] = []
    is_small = case.count * DTYPES[case.dtype] <= SMALL
    with contextlib.nullcontext() if is_small else FakeTensorMode():
        exec(program, {"__name__": "__main__", "print": lambda *told: printed.append(told)})
    return [Call(str(name), reads, writes) for name, reads, writes in printed if writes]


def fused(cases: Sequence[Case]) -> list[tuple[int, int]]:
    """The bytes that Inductor's kernels move for each chain, and how many kernels there are.

    `GraphLowering.count_bytes` is what `torch.compile` takes `metrics.num_bytes_accessed` from, once operations are
    scheduled. C++ is written after that, so no compiler is asked for, and nothing runs.
    """
    with torch.no_grad():
        return [bytes_and_kernels(case) for case in cases]


def bytes_and_kernels(case: Case) -> tuple[int, int]:
    # Loaded here, as it takes seconds and few tests need it.
    from torch._inductor.debug import DebugContext
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.graph import GraphLowering
    from torch._inductor.virtualized import V
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    def chain(x: torch.Tensor, r: torch.Tensor, *kept: torch.Tensor) -> torch.Tensor:
        names = {"torch": torch, "x": x, "r": r, "y": x, "norm": lambda y: F.batch_norm(y, *kept)}
        exec("\n".join(case.code), names)
        return names["y"]

    dtype = getattr(torch, case.dtype)
    mode = FakeTensorMode(shape_env=ShapeEnv())
    with mode:
        inputs = [torch.empty(1, CHANNELS, case.count // CHANNELS, dtype=dtype) for _ in range(2)]
        inputs += [torch.empty(CHANNELS, dtype=dtype) for _ in range(4)]
    traced = make_fx(chain, decomposition_table=select_decomp_table(), tracing_mode="fake")(*inputs)
    graph = GraphLowering(traced, shape_env=mode.shape_env, is_inference=True)
    with V.set_debug_handler(DebugContext()), V.set_fake_mode(mode), V.set_graph_handler(graph):
        graph.run(*inputs)
        graph.init_wrapper_code()
        graph._update_scheduler()
        moved, nodes, _ = graph.count_bytes()
    return moved, len(nodes)
