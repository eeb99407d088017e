# %% [markdown]
# # Roofline
#
# How fast can this function be on this machine, and what holds it back: its
# bytes, its arithmetic or its calls? The program measures three ceilings of
# the machine, counts what a function moves and computes, and places it below
# them. Functions that take the place of each other are timed in turn.
#
# ```console
# $ python why.py --size 512
# $ python why.py --function model.py:block --shape 16,64,56,56
# $ python why.py --record speed.json
# ```

# %%
"""Roofline: what bounds a function here, memory, arithmetic or calls."""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.util
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Function = Callable[..., Any]

# %% [markdown]
# ## Kernels, bytes and operations
#
# Below autograd, each operation of a function passes a dispatch mode, which
# sees the tensors that go in and come out. An operation that puts out memory
# of its own, or writes into some, is one **kernel**, or several that torch
# starts together. A view writes nothing and is none.


# %%
@dataclass(frozen=True)
class Kernel:
    """One operation, and what it costs at least."""

    name: str
    """That of the operation, as `add_`."""
    read: int
    """The bytes of its arguments."""
    written: int
    """The bytes of its results."""
    flops: int
    """Its operations on floating-point numbers."""

    @property
    def moved(self) -> int:
        """The bytes read and written."""
        return self.read + self.written


OVERWRITE = {"copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_"}
"""Operations in place that do not read what they replace."""
TAKE = {"embedding", "index", "index_select", "gather"}
"""Operations that read of a tensor no more than they put out."""
COPY = {*OVERWRITE, *TAKE, "clone", "_to_copy", "cat", "stack"}
"""Operations that compute nothing."""
ALLOCATE = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "resize_",
    "set_",
}
"""Operations that reserve memory and touch none."""


def bytes_of(tensor: Tensor) -> int:
    """The bytes of memory that a tensor shows, those of `expand` once."""
    shown = zip(tensor.shape, tensor.stride(), strict=True)
    elements = math.prod(size for size, step in shown if step or size == 0)
    held = tensor.untyped_storage().nbytes()
    return min(elements * tensor.element_size(), held)


def storage(tensor: Tensor) -> int:
    """A number that tensors have in common if they share their memory."""
    return tensor.untyped_storage()._cdata


def distinct(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors without those that show the same memory as an earlier one.

    `x * x` reads x once, and so does `x @ x.T`.
    """
    found: dict[object, Tensor] = {}
    for each in tensors:
        axes = sorted(zip(each.stride(), each.shape, strict=True))
        start = each.storage_offset()
        found.setdefault((storage(each), start, tuple(axes)), each)
    return [*found.values()]


def tensors_in(value: object) -> list[Tensor]:
    """The tensors in a value, in lists, tuples and dictionaries as well."""
    return [each for each in tree_leaves(value) if isinstance(each, Tensor)]


class Traffic(TorchDispatchMode):
    """Lists the kernels of what runs in its `with`, as `kernels`.

    Bytes are those that cannot be avoided: each kernel reads its arguments and
    writes its results, once. A cache may save some, a bad order of access may
    cost more. The operations of matrix products, convolutions and attention
    are those of `torch.utils.flop_counter`; any other kernel counts one for
    each element of its largest tensor, whatever it computes.

    A function of `torch.compile` runs uncompiled in a dispatch mode, so what
    is listed are its kernels before they were fused: see `kernels_of`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Kernel] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if torch.is_inference_mode_enabled():  # then composites come in whole
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **kwargs)
        kernel = kernel_of(func, args, kwargs, result)
        if kernel:
            self.kernels.append(kernel)
        return result


def kernel_of(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> Kernel | None:
    """What an operation read, wrote and computed.

    Args:
        func: The operation, as a dispatch mode gets it.
        args: Its positional arguments.
        kwargs: Its named ones.
        result: What it returned.

    Returns:
        The kernel, or None if the operation moves nothing.
    """
    name = func._overloadpacket.__name__
    # `new_zeros` and `rand_like` take a shape from a tensor, and no numbers.
    makes_its_own = name.startswith("new_") or name.endswith("_like")
    read: list[Tensor] = []
    written: list[Tensor] = []
    for place, argument in enumerate(func._schema.arguments):
        given = args[place] if place < len(args) else kwargs.get(argument.name)
        tensors = [] if makes_its_own else tensors_in(given)
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += tensors
            if argument.is_out or name in OVERWRITE:
                continue
        read += tensors
    results = tensors_in(result)
    known = {storage(each) for each in read + written}
    written += [each for each in results if storage(each) not in known]
    # Without a result, a kernel still reads: `equal` and `item` answer Python.
    if name in ALLOCATE or not (written if results else read or written):
        return None
    read, written = distinct(read), distinct(written)
    out = sum(map(bytes_of, written))
    most = out if name in TAKE else math.inf
    return Kernel(
        name,
        int(sum(min(bytes_of(each), most) for each in read)),
        out,
        flops_of(func, args, kwargs, result, read, written),
    )


def formula_of(packet: Any) -> Callable[..., int] | None:
    """What torch counts the operations of a kernel with, if it can."""
    from torch.utils.flop_counter import flop_registry

    name = packet.__name__
    if packet not in flop_registry and name.startswith("_scaled_dot_product"):
        # torch 2.11 knows attention on GPUs only. Its shapes are the same.
        end = "_backward" if name.endswith("_backward") else ""
        flash = f"_scaled_dot_product_flash_attention{end}"
        packet = getattr(torch.ops.aten, flash)
    return flop_registry.get(packet)


def flops_of(
    func: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    result: Any,
    read: Sequence[Tensor],
    written: Sequence[Tensor],
) -> int:
    """The floating-point operations of a kernel, as `Traffic` counts them."""
    formula = formula_of(func._overloadpacket)
    if formula:
        return int(formula(*args, **kwargs, out_val=result))
    if func._overloadpacket.__name__ in COPY or not read:
        return 0
    return max(each.numel() for each in [*read, *written])


def count(function: Function, *tensors: Tensor) -> list[Kernel]:
    """Run a function once, and list its kernels.

    Args:
        function: What to look at.
        tensors: Its arguments. On the device "meta" they cost no memory.
    """
    with torch.no_grad(), Traffic() as traffic:
        function(*tensors)
    return traffic.kernels


def read_by(tensors: Sequence[Tensor]) -> int:
    """The bytes of some tensors, each memory once."""
    return sum(map(bytes_of, distinct(tensors)))


def least_bytes(function: Function, *tensors: Tensor) -> int:
    """The bytes that one kernel for all of a function would move.

    It reads each argument and writes each result once. Parameters that the
    function holds are not counted.

    Args:
        function: Runs once.
        tensors: Its arguments.
    """
    with torch.no_grad():
        results = distinct(tensors_in(function(*tensors)))
    return read_by(tensors) + sum(map(bytes_of, results))


def is_compiled(function: Function) -> bool:
    """Whether `torch.compile` made a function or compiled a module."""
    marks = (
        "_torchdynamo_orig_callable",  # a function
        "_orig_mod",  # a module
        "_compiled_call_impl",  # a module, by its method `compile`
    )
    return any(getattr(function, mark, None) is not None for mark in marks)


def kernels_of(function: Function, *tensors: Tensor) -> list[Kernel]:
    """As `count`, and for a compiled function one kernel for all of it.

    Its bytes are those of `least_bytes`: it may in fact move more, or be more
    kernels. Its operations are those of the function before.

    Args:
        function: Runs once or twice.
        tensors: Its arguments.
    """
    kernels = count(function, *tensors)
    if not is_compiled(function):
        return kernels
    flops = sum(each.flops for each in kernels)
    written = least_bytes(function, *tensors) - read_by(tensors)
    return [Kernel("compiled", read_by(tensors), written, flops)]


# %% [markdown]
# ## An honest clock
#
# A GPU works off a queue, so the clock waits for an empty one before it starts
# and before it stops. Functions run twice before any time counts: the first
# call reserves memory and starts threads. Short calls are repeated until they
# are long beside the clock. As a machine does not run at one speed, all
# functions take turns, each round in the other order. Ratios are taken within
# a round, and the median over the rounds counts.


# %%
LONG = 0.0005
"""Seconds that are long beside the clock."""


def waiter(device: torch.device) -> Callable[[], object]:
    """What returns once all that a device was asked for is done."""
    if device.type == "cpu":
        return lambda: None
    return partial(torch.accelerator.synchronize, device)


def seconds(
    run: Callable[[], object],
    wait: Callable[[], object],
    repeats: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """The time of a call, on average over some repeats.

    Args:
        run: What is timed.
        wait: Returns once all that was asked for is done.
        repeats: How often to call, without waiting in between.
        clock: Tells the time in seconds.
    """
    wait()
    start = clock()
    for _ in range(repeats):
        run()
    wait()
    return (clock() - start) / repeats


Times = list[dict[str, float]]
"""For each round the seconds of each function."""


def rounds(
    runs: Mapping[str, Callable[[], object]],
    count: int,
    wait: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Time functions in turn.

    Args:
        runs: What is timed, by name.
        count: How many rounds there are.
        wait: Returns once all that was asked for is done.
        clock: Tells the time in seconds.
    """
    repeats = {}
    for name, run in runs.items():
        run()
        once = seconds(run, wait, clock=clock)
        repeats[name] = 1 + int(LONG / max(once, 1e-7))
    found, order = [], list(runs)
    for _ in range(count):
        times = {
            name: seconds(runs[name], wait, repeats[name], clock)
            for name in order
        }
        found.append({name: times[name] for name in runs})
        order.reverse()
    return found


def ratios(found: Times, one: str, other: str) -> list[float]:
    """How many times as long the one takes as the other, round by round."""
    return [times[one] / times[other] for times in found]


def typical(found: Times, name: str) -> float:
    """The median of the seconds of a function."""
    return median(times[name] for times in found)


# %% [markdown]
# ## The ceilings of a machine
#
# **Bandwidth** is what a copy reads and writes in a second, into memory that
# is there. **Rate** is what a product of matrices computes. **Overhead** is
# what a call costs that has next to nothing to do. A copy into new memory is
# measured as well: it tells what the system takes for fresh pages.


# %%
@dataclass(frozen=True)
class Ceilings:
    """What a device does at best."""

    bandwidth: float
    """Bytes read and written per second, by a copy into memory in use."""
    fresh: float
    """The same for a copy that asks for its memory."""
    rate: float
    """Floating-point operations per second, by a product of matrices."""
    overhead: float
    """Seconds of a call on one element."""

    @property
    def ridge(self) -> float:
        """Operations per byte from which on arithmetic binds."""
        return self.rate / self.bandwidth


def noise(
    shape: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Random numbers of a shape, the same at each call."""
    random = torch.Generator(device).manual_seed(0)
    found = torch.empty(*shape, device=device, dtype=dtype)
    return found.normal_(generator=random)


def images(
    size: float, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Random numbers of shape `(N, 64, 16, 16)`, the same at each call.

    Args:
        size: The bytes they should have. N is chosen for it.
        device: Where they lie.
        dtype: One with a floating point.
    """
    number = max(1, round(size / 2**14 / dtype.itemsize))
    return noise([number, 64, 16, 16], device, dtype)


class Gauge:
    """What is timed to learn the ceilings of a device.

    Its runs take turns with the functions to be placed, so that a machine
    that slows down lowers both alike.

    Args:
        size: The bytes of the tensor to copy.
        device: Whose ceilings they are.
        dtype: That of the matrices, one with a floating point.
    """

    def __init__(
        self,
        size: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        x = images(size, device, dtype)
        there = torch.empty_like(x)
        one = torch.ones(1, device=device, dtype=dtype)
        side = 1024 if device.type == "cpu" else 4096
        matrix = torch.ones(side, side, device=device, dtype=dtype)
        product = torch.empty_like(matrix)
        self.copied, self.computed = 2 * bytes_of(x), 2 * side**3
        self.runs: dict[str, Callable[[], object]] = {
            "ceiling there": lambda: there.copy_(x),
            "ceiling fresh": lambda: x.clone(),
            "ceiling product": lambda: torch.mm(matrix, matrix, out=product),
            "ceiling call": lambda: torch.relu(one),
        }

    def read(self, found: Times) -> Ceilings:
        """The ceilings, from rounds that the runs took part in."""
        there, fresh, product, call = (
            typical(found, name) for name in self.runs
        )
        return Ceilings(
            bandwidth=self.copied / there,
            fresh=self.copied / fresh,
            rate=self.computed / product,
            overhead=call,
        )


def ceilings_of(
    size: float,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    count: int = 5,
) -> Ceilings:
    """Measure the ceilings of a device.

    Args:
        size: The bytes of the tensor to copy.
        device: Whose they are.
        dtype: That of the matrices.
        count: How many rounds there are.
    """
    gauge = Gauge(size, device, dtype)
    return gauge.read(rounds(gauge.runs, count, waiter(device)))


# %% [markdown]
# ## The prediction
#
# Bytes move while numbers are computed, so the slower of the two counts. Calls
# come on top.


# %%
@dataclass(frozen=True)
class Prediction:
    """The seconds that a function takes at best, in three parts."""

    memory: float
    compute: float
    overhead: float

    @property
    def seconds(self) -> float:
        """max(bytes / bandwidth, operations / rate) + calls * overhead."""
        return max(self.memory, self.compute) + self.overhead

    @property
    def bound(self) -> str:
        """What takes the longest: memory, compute or overhead."""
        parts = asdict(self)
        return max(parts, key=lambda name: parts[name])


def predict(kernels: Sequence[Kernel], ceilings: Ceilings) -> Prediction:
    """The time of some kernels below these ceilings (the roofline model).

    Args:
        kernels: Those of `count`.
        ceilings: Those of the device.
    """
    return Prediction(
        sum(each.moved for each in kernels) / ceilings.bandwidth,
        sum(each.flops for each in kernels) / ceilings.rate,
        len(kernels) * ceilings.overhead,
    )


# %% [markdown]
# ## Functions to place
#
# f1 and f2 are chains that a compiler can fuse. By hand, their memory can be
# saved, and with `addcmul` or `scaled_dot_product_attention` their kernels.


# %%
def f1(x: Tensor) -> Tensor:
    """relu, then 3 more: two kernels, x of any shape."""
    return torch.relu(x) + 3


def f1_in_place(x: Tensor) -> Tensor:
    """f1 with one tensor of memory instead of two."""
    return torch.relu(x).add_(3)


def f1_out(x: Tensor, out: Tensor) -> Tensor:
    """f1 into memory that is there, of the shape of x."""
    return torch.clamp(x, min=0, out=out).add_(3)


def f2(x: Tensor, residual: Tensor, *norm: Tensor) -> Tensor:
    """relu, batch norm in eval mode, a residual: three kernels.

    Args:
        x: Of shape `(N, C, H, W)`.
        residual: Of the same shape.
        norm: Mean, variance, weight and bias, of shape `(C,)`.
    """
    return F.batch_norm(torch.relu(x), *norm) + residual


def f2_in_place(x: Tensor, residual: Tensor, *norm: Tensor) -> Tensor:
    """f2 with two tensors of memory instead of three."""
    return F.batch_norm(torch.relu(x), *norm).add_(residual)


def f2_out(
    x: Tensor, residual: Tensor, scale: Tensor, shift: Tensor, out: Tensor
) -> Tensor:
    """f2 into memory that is there, batch norm as one `addcmul`.

    Args:
        x: Of shape `(N, C, H, W)`.
        residual: Of the same shape.
        scale: weight / sqrt(variance + 1e-5), of shape `(C, 1, 1)`.
        shift: bias - mean * scale, of shape `(C, 1, 1)`.
        out: The memory, of the shape of x.
    """
    torch.clamp(x, min=0, out=out)
    return torch.addcmul(shift, out, scale, out=out).add_(residual)


def scaled_sum(x: Tensor, residual: Tensor, scale: Tensor) -> Tensor:
    """x * scale + residual, in two kernels."""
    return x * scale + residual


def scaled_sum_addcmul(x: Tensor, residual: Tensor, scale: Tensor) -> Tensor:
    """x * scale + residual, in one kernel."""
    return torch.addcmul(residual, x, scale)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of shape `(N, heads, length, width)`, step by step."""
    weights = q @ k.mT / math.sqrt(q.shape[-1])
    return weights.softmax(-1) @ v


@dataclass(frozen=True)
class Case:
    """A function and the tensors it gets."""

    name: str
    function: Function
    tensors: Sequence[Tensor]


def norm_of(x: Tensor) -> list[Tensor]:
    """Mean, variance, weight and bias for the channels of `(N, C, H, W)`."""
    steps = torch.linspace(0.5, 1.5, x.shape[1]).to(x)
    return [steps - 1, steps, steps.flip(0), 1 - steps]


def folded(norm: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Batch norm as scale and shift, both of shape `(C, 1, 1)`.

    Args:
        norm: Mean, variance, weight and bias, of shape `(C,)`.
    """
    mean, variance, weight, bias = norm
    scale = weight / torch.sqrt(variance + 1e-5)
    shift = bias - mean * scale
    return scale[:, None, None], shift[:, None, None]


def chains(x: Tensor) -> dict[str, list[Case]]:
    """f1 and f2 in all their forms, and below each its two floors.

    A floor moves the bytes that a fused function has to move: the one writes
    into new memory, the other into memory that is there.

    Args:
        x: Of shape `(N, C, H, W)`. Three more of its kind are made.
    """
    residual, out, norm = x.flip(0), torch.empty_like(x), norm_of(x)
    scale, shift = folded(norm)
    both = [x, residual]
    return {
        "f1": [
            Case("f1", f1, [x]),
            Case("f1 in place", f1_in_place, [x]),
            Case("f1 out=", f1_out, [x, out]),
            Case("floor new", torch.clone, [x]),
            Case("floor out", Tensor.copy_, [out, x]),
        ],
        "f2": [
            Case("f2", f2, [*both, *norm]),
            Case("f2 in place", f2_in_place, [*both, *norm]),
            Case("f2 out=", f2_out, [*both, scale, shift, out]),
            Case("floor new", torch.add, both),
            Case("floor out", partial(torch.add, out=out), both),
        ],
    }


def cases(
    size: float, device: torch.device, dtype: torch.dtype = torch.float32
) -> list[Case]:
    """The functions of this program, with tensors to call them with.

    Args:
        size: The bytes of a tensor.
        device: Where they lie.
        dtype: One with a floating point.
    """
    x = images(size, device, dtype)
    both = chains(x)
    floor = both["f1"][-1]
    scaled = [*both["f2"][-1].tensors, folded(norm_of(x))[0]]
    qkv = noise([3, 1, 4, 256, 64], device, dtype).unbind()
    side = 512 if device.type == "cpu" else 4096
    matrix = noise([side, side], device, dtype)
    return [
        Case("copy", floor.function, floor.tensors),
        *both["f1"][:3],
        *both["f2"][:3],
        Case("x * s + r", scaled_sum, scaled),
        Case("addcmul", scaled_sum_addcmul, scaled),
        Case("softmax", partial(torch.softmax, dim=1), [x]),
        Case("attention", attention, qkv),
        Case("SDPA", F.scaled_dot_product_attention, qkv),
        Case("product", torch.mm, [matrix, matrix]),
    ]


# %% [markdown]
# ## A function of your own
#
# It is named as a file or a module, and gets tensors of random numbers.


# %%
def one_line(error: BaseException) -> str:
    """The kind of an error, and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Let imports look into a folder first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def function_from(text: str) -> Function:
    """The function that `file.py:name` or `module:name` stands for.

    Raises:
        ValueError: if there is none.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ValueError(
            f"--function is file.py:name or module:name, not {text!r}"
        )
    file = Path(place)
    if file.suffix == ".py" and not file.is_file():
        raise ValueError(f"there is no file {place}")
    try:
        if file.suffix == ".py":
            own = f"roofline_{file.stem}"
            spec = importlib.util.spec_from_file_location(own, file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[own] = module
            with importing_from(file.resolve().parent):
                spec.loader.exec_module(module)
        else:
            with importing_from(Path.cwd()):
                module = importlib.import_module(place)
    except (Exception, SystemExit) as error:  # it can do whatever it likes
        raise ValueError(
            f"{place} cannot be imported: {one_line(error)}"
        ) from None
    try:
        found = attrgetter(name)(module)
    except AttributeError:
        raise ValueError(f"{place} has no {name}") from None
    if not callable(found):
        raise ValueError(f"{name} in {place} is no function")
    return found


def own_case(
    text: str,
    shapes: Sequence[Sequence[int]],
    device: torch.device,
    dtype: torch.dtype,
) -> Case:
    """A function of the reader's, tried once.

    Args:
        text: As `function_from` takes it. A module moves to the device.
        shapes: Those of its arguments.
        device: Where they lie.
        dtype: One with a floating point.

    Raises:
        ValueError: if it is not there, or fails for such tensors.
    """
    function = function_from(text)
    if isinstance(function, torch.nn.Module):
        function = function.to(device)
    tensors = [noise(shape, device, dtype) for shape in shapes]
    try:
        with torch.no_grad():
            function(*tensors)
    except Exception as error:
        told = ", ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(
            f"{text} fails for a tensor of {told}: {one_line(error)}"
        ) from None
    return Case(text.rpartition(":")[2], function, tensors)


# %% [markdown]
# ## What came out


# %%
@dataclass(frozen=True)
class Point:
    """A function below the ceilings."""

    name: str
    kernels: Sequence[Kernel]
    prediction: Prediction
    seconds: float
    """Measured, the median over the rounds."""

    @property
    def moved(self) -> int:
        """The bytes read and written."""
        return sum(each.moved for each in self.kernels)

    @property
    def flops(self) -> int:
        """The floating-point operations."""
        return sum(each.flops for each in self.kernels)

    @property
    def intensity(self) -> float:
        """Operations per byte; 0 where nothing moves."""
        return self.flops / self.moved if self.moved else 0.0


def place_all(
    some: Sequence[Case], gauge: Gauge, device: torch.device, times: int
) -> tuple[Ceilings, list[Point]]:
    """Count, predict and time functions, and measure the ceilings with them.

    Args:
        some: The functions. Their names differ.
        gauge: That of the device that they run on.
        device: Where they run.
        times: How many rounds there are.
    """
    runs = {each.name: partial(each.function, *each.tensors) for each in some}
    with torch.no_grad():
        found = rounds({**gauge.runs, **runs}, times, waiter(device))
    ceilings = gauge.read(found)
    points = []
    for each in some:
        kernels = kernels_of(each.function, *each.tensors)
        prediction = predict(kernels, ceilings)
        taken = typical(found, each.name)
        points.append(Point(each.name, kernels, prediction, taken))
    return ceilings, points


def aligned(table: Sequence[Sequence[str]]) -> str:
    """A table as text, its first column to the left, all others right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], rest)])
        for row in table
        for rest in [widths[1:]]
    )


def ceilings_text(ceilings: Ceilings) -> str:
    """The ceilings in two lines."""
    return (
        f"copy: {ceilings.bandwidth / 1e9:.1f} GB/s, into new memory "
        f"{ceilings.fresh / 1e9:.1f} GB/s; product: "
        f"{ceilings.rate / 1e9:.0f} GFLOP/s; a call: "
        f"{ceilings.overhead * 1e6:.1f} us\n"
        f"memory binds below {ceilings.ridge:.1f} FLOP per byte"
    )


HEADS = [
    "function",
    "kernels",
    "MB",
    "FLOP/B",
    "predicted ms",
    "measured ms",
    "ratio",
    "bound by",
]


def report(points: Sequence[Point]) -> str:
    """The functions as a table."""
    table = [HEADS]
    for each in points:
        at_best = each.prediction.seconds
        numbers = (
            f"{len(each.kernels)} {each.moved / 1e6:.1f} "
            f"{each.intensity:.2f} {at_best * 1e3:.3f} "
            f"{each.seconds * 1e3:.3f} "
            f"{each.seconds / at_best if at_best else math.nan:.2f} "
            f"{each.prediction.bound if each.kernels else '-'}"
        )
        table.append([each.name, *numbers.split()])
    return aligned(table)


def kernels_text(kernels: Sequence[Kernel], least: int) -> str:
    """The kernels of a function by name, and what fusing them would save.

    Args:
        kernels: Those of `count`.
        least: The bytes of `least_bytes`.
    """
    table = [["kernel", "times", "MB read", "MB written", "MFLOP"]]
    for name in dict.fromkeys(each.name for each in kernels):
        alike = [each for each in kernels if each.name == name]
        sums = (
            sum(each.read for each in alike),
            sum(each.written for each in alike),
            sum(each.flops for each in alike),
        )
        numbers = [f"{total / 1e6:.3f}" for total in sums]
        table.append([name, str(len(alike)), *numbers])
    moved = sum(each.moved for each in kernels)
    return (
        f"{aligned(table)}\n{moved / 1e6:.1f} MB in all; one kernel for all "
        f"would move {least / 1e6:.1f} MB"
    )


def draw(points: Sequence[Point], ceilings: Ceilings) -> Figure:
    """Draw the roofline, and below it the functions that compute something.

    Args:
        points: Those of `place_all`.
        ceilings: Those of the device.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    shown = [each for each in points if each.flops and each.moved]
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    ends = [*(each.intensity for each in shown), ceilings.ridge]
    left, right = min(ends) / 2, max(ends) * 2
    roof = [left, ceilings.ridge, right]
    axes.plot(
        roof,
        [min(x * ceilings.bandwidth, ceilings.rate) / 1e9 for x in roof],
        color="black",
        label="roof",
    )
    for each, marker in zip(shown, "osD^v<>Pp*Xhd" * len(shown), strict=False):
        axes.plot(
            each.intensity,
            each.flops / each.seconds / 1e9,
            marker,
            label=each.name,
        )
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel("operations per byte (FLOP/B)")
    axes.set_ylabel("operations per second (GFLOP/s)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


# %% [markdown]
# ## The record
#
# f1 and f2 at sizes from 64 KB to 512 MB: the ratio to the floor that bytes
# predict, beside the measured one. On the CPU this runs twice, each time in a
# fresh process. In the second, glibc is told to keep the memory that a tensor
# leaves. So the two differ in fresh pages alone.


# %%
SIZES = [2**power for power in (16, 19, 22, 25, 27, 29)]
"""The bytes of a tensor in the record."""
KEEP = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}
"""Has glibc keep memory, if it stands in the environment at the start."""


@cache
def no_compiler() -> str:
    """Why `torch.compile` does not work here; empty if it does."""
    try:
        torch.compile(f1)(torch.ones(2, device="cpu"))
    except Exception as error:
        return one_line(error)
    return ""


def short(number: float) -> float:
    """Four digits of a number: more are noise."""
    return float(f"{number:.4g}")


def compare(
    size: int,
    device: torch.device,
    dtype: torch.dtype,
    ceilings: Ceilings,
    times: int,
    compiled: bool,
) -> list[dict[str, Any]]:
    """f1 and f2 at one size, in all their forms, against their floors.

    Args:
        size: The bytes of a tensor.
        device: Where it lies.
        dtype: One with a floating point.
        ceilings: Those of the device.
        times: How many rounds there are.
        compiled: Whether `torch.compile` takes part.

    Returns:
        For each form its bytes and kernels, the seconds predicted and
        measured, and the ratio to the floor that is there: predicted by
        bytes, measured (median over the rounds), lowest and highest.
    """
    rows = []
    for example, forms in chains(images(size, device, dtype)).items():
        if compiled:
            torch.compiler.reset()  # one function for each size
            fused = torch.compile(forms[0].function)
            forms.insert(1, Case(f"{example} fused", fused, forms[0].tensors))
        moved = {
            each.name: kernels_of(each.function, *each.tensors)
            for each in forms
        }
        runs = {
            each.name: partial(each.function, *each.tensors) for each in forms
        }
        with torch.no_grad():
            found = rounds(runs, times, waiter(device))
        floor = sum(each.moved for each in moved["floor out"])
        for form in runs:
            measured = ratios(found, form, "floor out")
            total = sum(each.moved for each in moved[form])
            rows.append(
                {
                    "example": example,
                    "form": form,
                    "size": size,
                    "moved": total,
                    "kernels": len(moved[form]),
                    "seconds": short(typical(found, form)),
                    "predicted seconds": short(
                        predict(moved[form], ceilings).seconds
                    ),
                    "predicted ratio": short(total / floor),
                    "ratio": short(median(measured)),
                    "spread": [short(min(measured)), short(max(measured))],
                }
            )
    return rows


def fresh_process(arguments: Sequence[str], kept: bool) -> dict[str, Any]:
    """Run this program with `--table` in a process of its own.

    Args:
        arguments: More of the command line.
        kept: Whether glibc is told to keep memory.

    Returns:
        What it printed.

    Raises:
        ValueError: if it fails.
    """
    environment = {k: v for k, v in os.environ.items() if k not in KEEP}
    environment |= KEEP if kept else {}
    done = subprocess.run(
        [sys.executable, __file__, "--table", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError("the process that measures failed: see above")
    return dict(json.loads(done.stdout))


def table_of(
    sizes: Sequence[int],
    device: torch.device,
    dtype: torch.dtype,
    times: int,
    watch: Callable[[str], object] = str,
) -> dict[str, Any]:
    """What one process measures for the record.

    Args:
        sizes: The bytes of a tensor, in growing order. Those that do not fit
            into the memory are left out, and the result says so.
        device: Where it lies.
        dtype: One with a floating point.
        times: How many rounds there are.
        watch: Called with what is done next.
    """
    left_out: dict[str, str] = {}
    fitting = []
    for size in sizes:
        try:
            check_memory(NEEDED * size, device)
            fitting.append(size)
        except ValueError as error:
            left_out[f"{size} bytes"] = str(error)
    if why := no_compiler():
        left_out["fused"] = why
    watch("ceilings")
    largest = max(fitting, default=SIZES[0])
    ceilings = ceilings_of(largest, device, dtype, times)
    rows = []
    for size in fitting:
        watch(f"tensors of {size} bytes")
        rows += compare(size, device, dtype, ceilings, times, not why)
    return {
        "ceilings": {k: short(v) for k, v in asdict(ceilings).items()},
        "left out": left_out,
        "rows": rows,
    }


def processor(device: torch.device) -> str:
    """The model of the processor or the GPU, as far as the system tells."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        told = ""
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def cache_size(cpu: Path = Path("/sys/devices/system/cpu/cpu0")) -> int | None:
    """The bytes of the largest cache of the CPU, None if it is not told."""
    found = []
    for file in cpu.glob("cache/index*/size"):
        told = re.fullmatch(r"(\d+)([KM]?)", file.read_text().strip())
        unit = {"": 1, "K": 2**10, "M": 2**20}
        found += [int(told[1]) * unit[told[2]]] if told else []
    return max(found, default=None)


def cores_here() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def record(
    options: Sequence[str],
    device: torch.device,
    settings: Mapping[str, object],
) -> dict[str, Any]:
    """Measure all that the record holds, ready for JSON.

    Args:
        options: The part of the command line that the processes get.
        device: Where the tensors lie.
        settings: What was asked for.
    """
    left_out = {}
    parts = {"default": fresh_process(options, kept=False)}
    if device.type != "cpu":
        left_out["kept"] = f"torch keeps the memory of {device.type} itself"
    elif platform.libc_ver()[0] != "glibc":
        left_out["kept"] = "the settings are those of glibc, not found here"
    else:
        parts["kept"] = fresh_process(options, kept=True)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "processor": processor(device),
            "device": device.type,
            "cores": cores_here(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "cache": cache_size(),
            "system": platform.system(),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "settings": dict(settings),
        "environment of kept": KEEP,
        "left out": left_out,
        "memory": parts,
    }


def save(text: str, file: Path) -> None:
    """Write a text: all of it, or nothing.

    Raises:
        OSError: if it cannot be written there.
    """
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, encoding="utf-8", delete=False
    ) as part:
        part.write(text)
    try:
        Path(part.name).chmod(0o644)
        os.replace(part.name, file)
    except OSError:
        os.unlink(part.name)
        raise


# %% [markdown]
# ## On the command line


# %%
MEGABYTE = 2**20
DTYPES = ("float32", "float64", "float16", "bfloat16")
NEEDED = 8
"""How many tensors of the size asked for have to fit into the memory."""


def whole_number(text: str, name: str, least: int, most: int) -> int:
    """Read a whole number of at most nine digits.

    Raises:
        ValueError: if it is none, or out of range.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text) or not (
        least <= int(text) <= most
    ):
        raise ValueError(
            f"{name} is a whole number from {least} to {most}, not {text!r}"
        )
    return int(text)


def size_from(text: str) -> float:
    """The bytes of a number of megabytes, of 2**20 bytes each.

    Raises:
        ValueError: if it is no number from 0.01 to 65536.
    """
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", text) or not (
        0.01 <= float(text) <= 65536
    ):
        raise ValueError(
            f"--size is a number of MB from 0.01 to 65536, not {text!r}"
        )
    return float(text) * MEGABYTE


def shape_from(text: str) -> list[int]:
    """The sizes in a text like `16,64,56,56`.

    Raises:
        ValueError: if one of them is no whole number.
    """
    return [
        whole_number(part.strip(), "each part of --shape", 1, 10**8)
        for part in text.split(",")
    ]


def device_from(name: str) -> torch.device:
    """The device of that name; `auto` is the accelerator, or else the CPU.

    Raises:
        ValueError: if this machine has no such device.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    found = [accelerator] if accelerator else []
    found.append(torch.device("cpu"))
    for device in found:
        if name in ("auto", device.type):
            return device
    here = " and ".join(device.type for device in reversed(found))
    raise ValueError(f"this machine has no {name}: it has {here}")


def check_memory(needed: float, device: torch.device) -> None:
    """Refuse what does not fit into the memory of a device.

    Args:
        needed: How many bytes.
        device: Where. A CPU on Linux and a CUDA device tell what is free;
            for others, only asking for that much memory is tried.

    Raises:
        ValueError: if there is less.
    """
    free = math.inf
    told = Path("/proc/meminfo")
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    elif device.type == "cpu" and told.exists():
        line = re.search(r"MemAvailable:\s*(\d+) kB", told.read_text())
        free = int(line[1]) * 1024 if line else math.inf
    else:
        try:
            torch.empty(int(needed), dtype=torch.uint8, device=device)
        except RuntimeError:
            free = 0
    if needed > free:
        raise ValueError(
            f"that needs {needed / 1e9:.1f} GB, more than {device.type} has "
            "free"
        )


def check_ending(file: str | None, endings: Sequence[str]) -> None:
    """See that a file can be written, before anything runs.

    Raises:
        ValueError: if its folder is missing, or its name ends in another way.
    """
    if file is None:
        return
    if not Path(file).parent.is_dir():
        raise ValueError(f"there is no folder {Path(file).parent} for {file}")
    if Path(file).is_dir():
        raise ValueError(f"{file} is a folder")
    if Path(file).suffix[1:] not in endings:
        raise ValueError(f"{file} does not end in .{', .'.join(endings)}")


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let the CPU use so many threads, and then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def progress(text: str) -> None:
    """Show what is done in a line on a terminal, and nowhere else."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def opening(size: float, device: torch.device, dtype: torch.dtype) -> str:
    """What is measured with, in a line or two."""
    name = str(dtype).removeprefix("torch.")
    number = torch.get_num_threads()
    lines = [
        f"{device.type}, {number} thread{'s'[: number != 1]}, {name}, "
        f"tensors of {size / MEGABYTE:g} MB"
    ]
    cached = cache_size() if device.type == "cpu" else None
    if cached and 2 * size < 4 * cached:
        lines.append(
            f"a cache holds {cached / MEGABYTE:g} MB: with --size 512, the "
            "memory would be measured"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description="What bounds a function on this machine."
    )
    add = made.add_argument
    add("--device", default="auto", metavar="auto|cpu|cuda|mps")
    add(
        "--size",
        metavar="MB",
        help="MB of a tensor (default: 16, with a GPU 256)",
    )
    add("--dtype", default="float32", metavar="|".join(DTYPES))
    add("--threads", metavar="N", help="of the CPU (default: those of torch)")
    add(
        "--rounds",
        metavar="N",
        help="how often all is timed (default: 5, for --record 15)",
    )
    add(
        "--function",
        metavar="FILE.py:NAME",
        help="place a function of yours, or module:NAME",
    )
    add(
        "--shape",
        action="append",
        metavar="A,B",
        help="of an argument of --function, once for each",
    )
    add("--plot", metavar="FILE", help="draw it (.png, .svg, .pdf)")
    add(
        "--record",
        metavar="FILE.json",
        help="write f1 and f2 at 64 KB to 512 MB (or to --size) as JSON",
    )
    add(
        "--table",
        action="store_true",
        help="print what one process measures for --record",
    )
    return made


def run_table(
    options: argparse.Namespace,
    size: float | None,
    device: torch.device,
    times: int,
) -> None:
    """Do what `--table` or `--record` asks for.

    Args:
        options: The command line.
        size: The bytes of the largest tensor, None for all sizes.
        device: Where the tensors lie.
        times: How many rounds there are.
    """
    dtype = getattr(torch, options.dtype)
    sizes = [each for each in SIZES if size is None or each <= size]
    if not sizes:
        raise ValueError("the smallest size of a record is 0.0625 MB")
    if options.table:
        told = table_of(sizes, device, dtype, times, progress)
        progress("")
        print(json.dumps(told))
        return
    passed = [f"--device={device.type}", f"--dtype={options.dtype}"]
    passed += [f"--threads={torch.get_num_threads()}"]
    passed += [f"--rounds={times}"]
    passed += [f"--size={sizes[-1] / MEGABYTE:g}"]
    settings = {
        "sizes": sizes,
        "dtype": options.dtype,
        "threads": torch.get_num_threads(),
        "rounds": times,
        "load": short(os.getloadavg()[0])
        if hasattr(os, "getloadavg")
        else None,
    }
    made = record(passed, device, settings)
    save(json.dumps(made, indent=1) + "\n", Path(options.record))
    print(f"wrote {options.record}")


def run_report(
    options: argparse.Namespace,
    size: float,
    device: torch.device,
    times: int,
) -> None:
    """Measure the ceilings and place functions below them.

    Args:
        options: The command line.
        size: The bytes of a tensor.
        device: Where the tensors lie.
        times: How many rounds there are.
    """
    dtype = getattr(torch, options.dtype)
    shapes = [shape_from(each) for each in options.shape or []]
    if options.function is not None and not shapes:
        shapes = [[max(1, round(size / 2**14 / dtype.itemsize)), 64, 16, 16]]
    elements = sum(map(math.prod, shapes))
    check_memory(NEEDED * size + 2 * elements * dtype.itemsize, device)
    own = None
    if options.function is not None:
        own = own_case(options.function, shapes, device, dtype)
    progress("measuring")
    some = cases(size, device, dtype)
    if own:
        some = [some[0], own]
    gauge = Gauge(size, device, dtype)
    ceilings, points = place_all(some, gauge, device, times)
    progress("")
    lines = [opening(size, device, dtype), ceilings_text(ceilings)]
    lines += ["", report(points)]
    if own:
        least = least_bytes(own.function, *own.tensors)
        lines += ["", kernels_text(points[1].kernels, least)]
    if options.plot is not None:
        draw(points, ceilings).savefig(options.plot)
    print("\n".join(lines))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    options = parser().parse_args(arguments)
    try:
        device = device_from(options.device)
        size = size_from(options.size) if options.size is not None else None
        if options.dtype not in DTYPES:
            raise ValueError(
                f"--dtype is {', '.join(DTYPES)}, not {options.dtype!r}"
            )
        most = os.cpu_count() or 1
        number = torch.get_num_threads()
        if options.threads is not None:
            number = whole_number(options.threads, "--threads", 1, most)
        records = options.table or options.record is not None
        asked = "15" if records else "5"
        if options.rounds is not None:
            asked = options.rounds
        times = whole_number(asked, "--rounds", 1, 1000)
        check_ending(options.record, ["json"])
        check_ending(options.plot, ["pdf", "png", "svg"])
        if options.shape and options.function is None:
            raise ValueError("--shape is for --function")
        if records and (options.function, options.plot) != (None, None):
            raise ValueError("--record goes without --function and --plot")
        with threads(number):
            if records:
                run_table(options, size, device, times)
            else:
                usual = 16 if device.type == "cpu" else 256
                size = usual * MEGABYTE if size is None else size
                run_report(options, size, device, times)
    except (ValueError, OSError, TypeError, RuntimeError) as error:
        progress("")
        told = " ".join(str(error).split()) or type(error).__name__
        print(f"why.py: {told}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook: the CPU, small tensors
        cpu, size = torch.device("cpu"), 16 * MEGABYTE
        some, gauge = cases(size, cpu), Gauge(size, cpu)
        ceilings, points = place_all(some, gauge, cpu, times=5)
        print(opening(size, cpu, torch.float32))
        print(ceilings_text(ceilings))
        print(report(points))
        draw(points, ceilings)
    else:
        sys.exit(main())
