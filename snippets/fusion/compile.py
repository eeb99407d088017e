# %% [markdown]
# # Compile doctor
#
# Give it a function and inputs, and it tells what `torch.compile` makes of
# them: where the graph breaks, which guards fail, how many kernels and bytes
# are left, how fast that is, and whether the results agree.
#
# ```console
# $ python compile.py
# $ python compile.py --function mine.py:step --shape 64,1000 --shape 32,1000
# $ python compile.py --function mine.py:add --shape 64,64+64 --dtype bfloat16
# ```

# %%
"""Compile doctor: what torch.compile makes of a function and its inputs."""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import io
import logging
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

Function = Callable[..., Any]

# %% [markdown]
# ## What is found


# %%
@dataclass(frozen=True)
class Break:
    """A place where a graph ends."""

    reason: str
    """What Dynamo says, in short."""
    file: str
    line: int
    code: str
    """What stands on that line."""

    @property
    def place(self) -> str:
        """Where to look: Jupyter gives each cell a file that nobody sees."""
        file = Path(self.file)
        if file.parent.name.startswith("ipykernel_"):
            return f"line {self.line} of a cell"
        return f"{file.name}:{self.line}"


@dataclass(frozen=True)
class Recompile:
    """A call that was compiled again."""

    call: int
    """Its number, from 1."""
    guard: str
    """The guard that failed."""


@dataclass(frozen=True)
class Speed:
    """Medians over rounds of the ratio of two times of one round."""

    eager: float
    """Time of eager over that of compiled: above 1 it is faster."""
    floor: float
    """Time of compiled over that of a copy of as many bytes as go in and
    come out, into a new tensor. A fused chain comes close to 1."""


@dataclass(frozen=True)
class Agreement:
    """Compiled results held against eager ones."""

    close: bool
    """Whether dtypes, shapes, nan and numbers agree, the latter within what
    `torch.testing.assert_close` allows their dtype."""
    equal: bool
    """Whether no number differs at all."""
    eager: float | None = None
    """Mean absolute error of eager against float64; None if unknown."""
    compiled: float | None = None
    """The same of compiled."""


@dataclass(frozen=True)
class Diagnosis:
    """What torch.compile makes of a function. Bytes are of the first call."""

    graphs: int
    breaks: tuple[Break, ...]
    calls: int
    recompiles: tuple[Recompile, ...]
    operations: int
    """That eager dispatches, less views and allocations."""
    eager_bytes: int
    """Read and written by these."""
    least_bytes: int
    """Of all inputs and all results, each once."""
    kernels: int | None = None
    """That compiled code calls; None without a compiler or a graph."""
    bytes: int | None = None
    """Read and written by these, as Inductor counts."""
    speed: Speed | None = None
    agreement: Agreement | None = None
    untold: tuple[str, ...] = ()
    """What could not be found out, and why."""

    def __str__(self) -> str:
        """The report, a line for each finding."""
        lines = [f"graphs      {self.graphs}"]
        for each in self.breaks:
            lines.append(f"            break at {each.place}  {each.code}")
            lines.append(f"                {each.reason}")
        lines.append(
            f"recompiles  {len(self.recompiles)} in {self.calls} calls"
        )
        for one in self.recompiles:
            lines.append(f"            call {one.call}: {one.guard}")
        if self.kernels is not None:
            lines.append(
                f"kernels     {self.kernels} for {self.operations} operations"
            )
        if self.bytes is not None:
            lines.append(
                f"moved       {amount(self.bytes)}, eager "
                f"{amount(self.eager_bytes)}, at least "
                f"{amount(self.least_bytes)}"
            )
        if self.speed:
            lines.append(
                f"speed       {self.speed.eager:.2f} x as fast as eager, "
                f"takes {self.speed.floor:.2f} x the time of a copy"
            )
        if self.agreement:
            lines += agreement_lines(self.agreement)
        return "\n".join([*lines, *(f"unknown     {u}" for u in self.untold)])


def amount(count: int) -> str:
    """Bytes with a unit: `2.1 MB` is 2.1 million."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def agreement_lines(found: Agreement) -> list[str]:
    """The lines of the report on results."""
    words = "agree, " if found.close else "DISAGREE, "
    words += "bit for bit" if found.equal else "with other bits"
    lines = [f"results     {words}"]
    if found.eager is not None and found.compiled is not None:
        lines.append(
            f"            mean error against float64: eager "
            f"{found.eager:.1e}, compiled {found.compiled:.1e}"
        )
    return lines


# %% [markdown]
# ## Counting without a clock
#
# Eager operations pass the dispatcher, so a mode sees each of them with its
# tensors. What compiled code does stands in its source.


# %%
class Traffic(TorchDispatchMode):
    """Counts the operations of eager code, and the bytes that they move."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.bytes = 0

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count it, unless it moves nothing."""
        result = operation(*args, **(kwargs or {}))
        once = {id(each): each for each in leaves((args, kwargs or {}))}
        given, made = [*once.values()], leaves(result)
        if not moves_nothing(operation, given, made):
            self.operations += 1
            self.bytes += sum(map(size_of, [*given, *made]))
        return result


def moves_nothing(
    operation: Any, given: Sequence[Tensor], made: Sequence[Tensor]
) -> bool:
    """Whether an operation gives a view, or memory that nobody wrote to."""
    if operation.overloadpacket.__name__.startswith("empty"):
        return True
    places = {each.untyped_storage().data_ptr() for each in given}
    shared = (each.untyped_storage().data_ptr() in places for each in made)
    return bool(made) and not operation._schema.is_mutable and all(shared)


def leaves(value: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts, in their order."""
    match value:
        case Tensor():
            return [value]
        case dict():
            return [t for each in value.values() for t in leaves(each)]
        case list() | tuple():
            return [t for each in value for t in leaves(each)]
    return []


def size_of(tensor: Tensor) -> int:
    """Bytes that a tensor has in memory: what is expanded is there once."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())


_CALLED = re.compile(
    r"^ +(?:\w+ = )?(?:cpp_fused\w*|triton_\w+\.run|mps_lib_\d+\.\w+"
    r"|extern_kernels\.\w+|torch\.ops(?:\.\w+){2,3})\(",
    re.MULTILINE,
)
"""A line of the code that Inductor writes which calls a kernel."""


def kernels_in(source: str) -> int:
    """How many kernels a module that Inductor wrote calls."""
    return len(_CALLED.findall(source.partition("def call(")[2]))


# %% [markdown]
# ## Breaks and guards
#
# Both are found with a backend that compiles nothing, so no compiler of C++ is
# needed for them.


# %%
def breaks_of(function: Function, *inputs: Any) -> tuple[int, list[Break]]:
    """How many graphs a call makes, and where they break."""
    import torch._dynamo as dynamo

    torch.compiler.reset()
    with quiet():
        found = dynamo.explain(function)(*copied(inputs))
    breaks = [
        break_at(each.reason, each.user_stack[-1])
        for each in found.break_reasons
    ]
    if not breaks:  # one within a loop is not explained
        torch.compiler.reset()
        whole = torch.compile(function, backend="eager", fullgraph=True)
        try:
            with quiet():
                whole(*copied(inputs))
        except dynamo.exc.Unsupported as error:
            breaks = [break_at(str(error), error.real_stack[-1])]
    return found.graph_count, breaks


def break_at(told: str, place: traceback.FrameSummary) -> Break:
    """What Dynamo tells of a break, in short."""
    reason, _, rest = told.partition("\n")
    if reason.startswith("generic_jump"):
        reason = "A branch asks for the value of a tensor"
    elif explained := re.search("Explanation: (.+)", rest):
        reason = f"{reason}: {explained[1]}"
    return Break(reason, place.filename, place.lineno or 0, place.line or "")


def recompiles_of(
    function: Function, calls: Sequence[Sequence[Any]]
) -> list[Recompile]:
    """Call a function with some inputs, and tell what was compiled again.

    Args:
        function: What is compiled.
        calls: The arguments of each call, in turn.
    """
    from torch._dynamo import utils

    torch.compiler.reset()
    compiled, found = torch.compile(function, backend="eager"), []
    with quiet():
        for number, inputs in enumerate(calls, 1):
            utils.clear_compilation_metrics()
            compiled(*copied(inputs))
            for each in utils.get_compilation_metrics():
                if each.recompile_reason:
                    guard = each.recompile_reason.partition(": ")[2]
                    found.append(Recompile(number, guard.split("\n")[0]))
    return list(dict.fromkeys(found))


def copied(inputs: Sequence[Any]) -> list[Any]:
    """The inputs, with copies of the tensors, should they be changed."""
    return [
        each.detach().clone().requires_grad_(each.requires_grad)
        if isinstance(each, Tensor)
        else each
        for each in inputs
    ]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what a function prints, and the log and warnings of torch."""
    handlers = {
        handler
        for name in list(logging.root.manager.loggerDict)
        if name.partition(".")[0] == "torch"
        for handler in logging.getLogger(name).handlers
    }
    for handler in handlers:
        handler.addFilter(_nothing)
    try:
        hidden = contextlib.redirect_stdout(io.StringIO())
        with warnings.catch_warnings(action="ignore"), hidden:
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


# %% [markdown]
# ## Inductor
#
# Its count of bytes is made where its log is asked for, and nothing comes from
# a cache.


# %%
class NoCompilerError(Exception):
    """This machine lacks a compiler that Inductor needs."""


@dataclass(frozen=True)
class Built:
    """What Inductor made."""

    function: Function
    kernels: int
    bytes: int


def build(function: Function, *inputs: Any) -> Built:
    """Compile a function with Inductor, and count what it made.

    Raises:
        NoCompilerError: if there is no compiler of C++, or no Triton.
    """
    from torch._inductor import config, metrics
    from torch._inductor.utils import run_and_get_code

    torch.compiler.reset()
    metrics.reset()
    compiled = torch.compile(function)
    log = logging.getLogger("torch._inductor")
    level = log.level
    fresh = {"fx_graph_cache": False, "compile_threads": 1}
    try:
        with quiet(), config.patch(fresh):
            log.setLevel(logging.INFO)
            sources = run_and_get_code(compiled, *copied(inputs))[1]
    except Exception as error:
        if re.search("InvalidCxxCompiler|TritonMissing|Triton", str(error)):
            raise NoCompilerError(one_line(error)) from error
        raise
    finally:
        log.setLevel(level)
    kernels = sum(map(kernels_in, sources))
    return Built(compiled, kernels, metrics.num_bytes_accessed)


# %% [markdown]
# ## Do the results agree?
#
# A difference does not tell who is wrong. So both are held against the same
# function in float64.


# %%
def agreement(function: Function, built: Function, *inputs: Any) -> Agreement:
    """Hold the results of a compiled function against eager ones."""
    with torch.no_grad(), quiet():
        eager, compiled = (
            leaves(each(*copied(inputs))) for each in (function, built)
        )
    try:
        torch.testing.assert_close(compiled, eager, equal_nan=True)
        close = True
    except AssertionError:
        close = False
    equal = close and all(
        torch.equal(one.nan_to_num(0), other.nan_to_num(0))
        for one, other in zip(eager, compiled, strict=True)
    )
    exact = in_float64(function, *inputs)
    if exact is None:
        return Agreement(close, equal)
    errors = (mean_error(each, exact) for each in (eager, compiled))
    return Agreement(close, equal, *errors)


def in_float64(function: Function, *inputs: Any) -> list[Tensor] | None:
    """The results in float64 on the CPU; None if it cannot compute there."""
    doubled = [
        each.detach().cpu().double()
        if isinstance(each, Tensor) and each.is_floating_point()
        else each
        for each in inputs
    ]
    if isinstance(function, nn.Module):
        function = copy.deepcopy(function).cpu().double()
    try:
        with torch.no_grad(), quiet():
            found = leaves(function(*doubled))
    except (RuntimeError, TypeError):  # weights of another dtype or device
        return None
    if any(each.dtype != torch.float64 for each in found):
        return None
    return found


def mean_error(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Mean absolute difference of all finite numbers, in float64."""
    parts = [
        (one.cpu().double() - other).flatten()
        for one, other in zip(found, exact, strict=True)
    ]
    apart = torch.cat(parts)
    return apart[apart.isfinite()].abs().mean().item()


def draws(function: Function, *inputs: Any) -> bool:
    """Whether the result depends on the seed."""
    results = []
    with torch.random.fork_rng(), torch.no_grad(), quiet():
        for seed in (0, 1):
            torch.manual_seed(seed)
            results.append(leaves(function(*copied(inputs))))
    return not all(
        torch.equal(one.nan_to_num(0), other.nan_to_num(0))
        for one, other in zip(*results, strict=True)
    )


# %% [markdown]
# ## An honest clock
#
# Each round times all of them in turn, and ratios are taken within a round.
# What was compiled before is not timed. A copy of as many bytes as must go in
# and out is the floor: a function that moves no more takes as long.


# %%
def speed(
    function: Function,
    built: Function,
    inputs: Sequence[Any],
    least: int,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time eager, compiled and the floor in turn.

    Args:
        function: Runs eagerly.
        built: The same, compiled.
        inputs: What both get.
        least: Bytes that go in and come out.
        rounds: How often each is timed.
        clock: Tells the time in seconds.
    """
    tensors = leaves(list(inputs))
    device = tensors[0].device if tensors else torch.device("cpu")
    block = torch.ones(max(1, least // 8), device=device)  # 4 bytes each
    contenders: list[Callable[[], Any]] = [
        lambda: function(*inputs),
        lambda: built(*inputs),
        block.clone,
    ]
    ratios = []
    with torch.no_grad(), quiet():
        for each in contenders:
            each()
        count = max(1, int(0.002 / (seconds(block.clone, 3, device) + 1e-7)))
        for turn in range(rounds):
            order = (0, 1, 2) if turn % 2 else (2, 1, 0)
            took = {
                i: seconds(contenders[i], count, device, clock) for i in order
            }
            ratios.append((took[0] / took[1], took[1] / took[2]))
    return Speed(*map(median, zip(*ratios, strict=True)))


def seconds(
    call: Callable[[], Any],
    count: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds of one of so many calls. It waits until they are done."""
    start = clock()
    for _ in range(count):
        call()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return (clock() - start) / count


# %% [markdown]
# ## The diagnosis


# %%
def diagnose(
    function: Function,
    *inputs: Any,
    more: Sequence[Sequence[Any]] = (),
    rounds: int = 5,
) -> Diagnosis:
    """Find out what torch.compile makes of a function.

    It is called a few dozen times, and what it prints is held back.

    Args:
        function: A function or a module.
        *inputs: Its arguments. Tensors are copied, and not changed.
        more: The arguments of further calls, which may fail a guard.
        rounds: How often it is timed. With 0 it is not.

    Raises:
        ValueError: if it changes its inputs: compiled and eager would be
            timed on numbers that move.
    """
    calls = [inputs, *more]
    graphs, breaks = breaks_of(function, *inputs)
    recompiles = recompiles_of(function, calls)
    given = copied(inputs)
    before = [each._version for each in leaves(given)]
    with Traffic() as eager, torch.no_grad(), quiet():
        results = leaves(function(*given))
    if before != [each._version for each in leaves(given)]:
        raise ValueError("the function changes its inputs: let it copy them")
    least = sum(map(size_of, [*leaves(list(inputs)), *results]))
    counted = len(calls), tuple(recompiles), eager.operations, eager.bytes
    found = graphs, tuple(breaks), *counted, least
    untold = []
    try:
        built = build(function, *inputs)
    except NoCompilerError as error:
        why = f"kernels, bytes, speed and results: {error}"
        return Diagnosis(*found, untold=(why,))
    timed = agreed = None
    if rounds:
        timed = speed(function, built.function, inputs, least, rounds)
    if draws(function, *inputs):
        untold.append("results: they are random, and compiled draws its own")
    else:
        agreed = agreement(function, built.function, *inputs)
    made = (built.kernels, built.bytes) if graphs else (None, None)
    if not graphs:
        untold.insert(0, "kernels and bytes: nothing is compiled")
    return Diagnosis(*found, *made, timed, agreed, tuple(untold))


# %% [markdown]
# ## Two patients
#
# The first is one chain. The second asks for a value in the middle.


# %%
def chain(x: Tensor) -> Tensor:
    """Relu, and 3 more. Any shape and dtype of floats."""
    return torch.relu(x) + 3


def broken(x: Tensor) -> Tensor:
    """Centre numbers, and halve them if one is large. The `if` breaks it."""
    x = x - x.mean()
    if x.abs().max() > 2:
        x = x / 2
    return torch.relu(x) + 3


def demonstrate(device: torch.device, rounds: int) -> None:
    """Diagnose both, the second with inputs of three lengths."""
    large = torch.randn(1000, 1000, device=device)
    print("chain, on 1000 x 1000 numbers")
    print(diagnose(chain, large, rounds=rounds), "\n")
    lengths = [torch.randn(n, device=device) for n in (50, 60, 70)]
    print("broken, on 50, 60 and 70 numbers")
    more = [[each] for each in lengths[1:]]
    print(diagnose(broken, lengths[0], more=more, rounds=rounds))


# %% [markdown]
# ## The command line


# %%
DTYPES = ("float32", "float64", "float16", "bfloat16")


def function_from(text: str) -> Function:
    """The function `name` of `file.py:name`. The file is run.

    Raises:
        ValueError: if there is no such file or function, or it fails.
    """
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise ValueError(f"--function is file.py:name, not {text!r}")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file} is no file")
    spec = importlib.util.spec_from_file_location("patient", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} does not end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{file} fails: {one_line(error)}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(f"{file} has no function {name}")
    return found


def shapes_from(text: str) -> list[list[int]]:
    """The shapes of one call: `64,64+64` is `(64, 64)` and `(64,)`.

    Raises:
        ValueError: if it is something else.
    """
    shapes = [part.split(",") for part in text.split("+")]
    if not all(
        re.fullmatch(r"[1-9][0-9]{0,8}", size)
        for shape in shapes
        for size in shape
    ):
        raise ValueError(f"--shape is sizes like 64,64 or 8,3+3, not {text!r}")
    return [[int(size) for size in shape] for shape in shapes]


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


def whole_number(text: str, option: str, least: int, most: int) -> int:
    """A whole number.

    Raises:
        ValueError: if it is none, or out of bounds.
    """
    if re.fullmatch("[0-9]{1,9}", text) and least <= int(text) <= most:
        return int(text)
    bounds = f"from {least} to {most}"
    raise ValueError(f"{option} is a whole number {bounds}, not {text!r}")


def one_line(error: BaseException) -> str:
    """The first line of what an error says, or its type."""
    return str(error).partition("\n")[0] or type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="What torch.compile makes of a function."
    )
    parser.add_argument(
        "--function", metavar="FILE.py:NAME", help="default: two examples"
    )
    parser.add_argument(
        "--shape",
        action="append",
        metavar="A,B",
        help="of the input; + joins inputs of a call, and each --shape is "
        "a call (default: 64,64)",
    )
    parser.add_argument("--dtype", default="float32", metavar="|".join(DTYPES))
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--threads", help="of the CPU (default: as torch does)"
    )
    parser.add_argument(
        "--rounds", default="5", help="0 times nothing (default: 5)"
    )
    parser.add_argument("--seed", default="0", help="default: 0")
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    try:
        rounds = whole_number(options.rounds, "--rounds", 0, 1000)
        seed = whole_number(options.seed, "--seed", 0, 999_999_999)
        if options.threads:
            asked = whole_number(options.threads, "--threads", 1, 1024)
            torch.set_num_threads(asked)
        if options.dtype not in DTYPES:
            known = ", ".join(DTYPES)
            raise ValueError(f"--dtype is one of {known}, not {options.dtype}")
        device = device_from(options.device)
        if options.shape and not options.function:
            raise ValueError("--shape goes with --function")
        torch.manual_seed(seed)
        if not options.function:
            demonstrate(device, rounds)
            return 0
        function = function_from(options.function)
        shapes = [shapes_from(each) for each in options.shape or ["64,64"]]
        dtype = getattr(torch, options.dtype)
        calls = [
            [torch.randn(one, dtype=dtype, device=device) for one in each]
            for each in shapes
        ]
        try:
            with torch.no_grad(), quiet():
                for inputs in calls:
                    function(*copied(inputs))
        except Exception as error:
            raise ValueError(f"it fails: {one_line(error)}") from error
        print(diagnose(function, *calls[0], more=calls[1:], rounds=rounds))
    except ValueError as error:
        print(f"compile.py: {one_line(error)}", file=sys.stderr)
        return 2
    finally:
        torch.set_num_threads(threads)
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook
        torch.manual_seed(0)
        demonstrate(torch.device("cpu"), rounds=5)
    else:
        sys.exit(main())
