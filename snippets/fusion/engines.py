# %% [markdown]
# # Engine comparison
#
# Two functions go through every engine that is installed. Each engine shows
# the program that it made, and from that are counted its kernels and the
# bytes that they move. What it computes is held against eager PyTorch, with
# a nan among the numbers. Then all are timed in turn, against eager and
# against two floors. An engine that is missing is reported as such.
#
# ```console
# $ python engines.py
# $ python engines.py --engines inductor,jax --show
# $ python engines.py --size 1,512 --rounds 10 --record it.json
# ```

# %%
"""Engine comparison: kernels, bytes, equality and time of fused functions."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gc
import json
import logging
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# %% [markdown]
# ## Two functions and their floors
#
# `f1` reads its input once and writes its output once, if it is fused, and
# `f2` reads two inputs. No engine can move less. The floor *new* moves the
# same bytes into memory that it asks for, the floor *out* into memory that is
# there already.


# %%
CHANNELS = 64


class F1(nn.Module):
    """`relu(x) + 3`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map a float32 tensor `(N, 64, 64, 64)` to one of that shape."""
        return torch.relu(x) + 3


class F2(nn.Module):
    """`relu(x)`, batch norm as in evaluation, and a residual `r` added."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(CHANNELS)
        for each in (*self.norm.parameters(), *self.norm.buffers()):
            if each.is_floating_point():
                nn.init.uniform_(each, 0.5, 1.5)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Map two float32 tensors `(N, 64, 64, 64)` to one of that shape."""
        return self.norm(torch.relu(x)) + r


def channels(model: nn.Module) -> list[np.ndarray]:
    """Mean, variance, weight and bias of a batch norm, or nothing.

    Returns:
        float32 arrays `(64, 1, 1)`, which broadcast over a picture.
    """
    if not isinstance(model, F2):
        return []
    norm = model.norm
    found = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return [each.detach().cpu().numpy().reshape(-1, 1, 1) for each in found]


EXAMPLES: dict[str, type[nn.Module]] = {"f1": F1, "f2": F2}


def example(
    name: str, size: int, device: torch.device, seed: int = 0
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A function and what it is called with.

    Args:
        name: `f1` or `f2`.
        size: The size of each input in MB, of 2**20 bytes.
        device: Where the inputs lie.
        seed: Decides on the numbers.

    Returns:
        The function, and one or two float32 tensors `(size, 64, 64, 64)`. The
        first number of the first one is nan.
    """
    torch.manual_seed(seed)
    model = EXAMPLES[name]().eval().requires_grad_(False).to(device)
    shape = (size, CHANNELS, 64, 64)
    inputs = [torch.randn(shape) for _ in range(1 + (name == "f2"))]
    inputs[0][0, 0, 0, 0] = math.nan
    return model, tuple(each.to(device) for each in inputs)


def floors(inputs: Sequence[Tensor]) -> dict[str, Callable[[], object]]:
    """Calls that move what a fused function moves, and compute little."""
    out = torch.empty_like(inputs[0])
    if len(inputs) == 1:
        return {
            "floor new": inputs[0].clone,
            "floor out": lambda: out.copy_(inputs[0]),
        }
    return {
        "floor new": lambda: torch.add(*inputs),
        "floor out": lambda: torch.add(*inputs, out=out),
    }


# %% [markdown]
# ## What an engine gives back
#
# Every engine is a function with the same arguments. It compiles, and returns
# the program that came out, what was counted in it, and a call.


# %%
class Missing(Exception):
    """An engine that this machine cannot run: the message says why."""


@dataclass
class Fused:
    """A function as an engine runs it."""

    program: str
    """What the engine made of it."""
    kernels: int
    """How many kernels it starts."""
    moved: int
    """How many bytes these read and write."""
    run: Callable[[], Any]
    """Computes once, and returns the engine's own tensor."""
    tensor: Callable[[Any], Tensor] = torch.as_tensor
    """Makes a tensor of what `run` returns."""
    seconds: Callable[[int], float] | None = None
    """Times so many runs, if the clock stands elsewhere."""
    timed: bool = True
    """False where it is only simulated."""
    close: Callable[[], object] = lambda: None


Prepare = Callable[[nn.Module, tuple[Tensor, ...], int], Fused]

# %% [markdown]
# ## Eager and TorchScript
#
# Both hand their operations to the dispatcher of PyTorch, where a mode counts
# them. What comes out empty moves nothing: `batch_norm` makes such a tensor.


# %%
class Counted(TorchDispatchMode):
    """Lists the kernels that run, with the bytes that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[tuple[str, int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and note it."""
        result = func(*args, **(kwargs or {}))
        read = {
            id(each): each.nbytes
            for each in tree_leaves((args, kwargs))
            if isinstance(each, Tensor)
        }
        if written := sum(each.nbytes for each in tree_leaves(result)):
            moved = sum(read.values()) + written
            self.kernels.append((str(func), moved))
        return result


def dispatched(run: Callable[[], Any], program: str = "") -> Fused:
    """What runs through the dispatcher, counted there.

    Args:
        run: Computes once.
        program: What to show. Nothing: the operations that ran.
    """
    with Counted() as counted:
        run()
    listed = "\n".join(name for name, _ in counted.kernels)
    moved = sum(moved for _, moved in counted.kernels)
    return Fused(program or listed, len(counted.kernels), moved, run)


def eager(model: nn.Module, inputs: tuple[Tensor, ...], threads: int) -> Fused:
    """PyTorch as it is: an operation is a kernel."""
    return dispatched(lambda: model(*inputs))


def torchscript(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """`torch.jit.trace`, and the graph that its executor took."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        traced = torch.jit.freeze(
            torch.jit.trace(model, inputs, check_trace=False)
        )
        for _ in range(3):  # the executor looks on before it optimizes
            traced(*inputs)
        graph = str(traced.graph_for(*inputs))
    return dispatched(lambda: traced(*inputs), graph)


# %% [markdown]
# ## Inductor
#
# The compiler behind `torch.compile`. It counts its bytes itself, if its
# metrics are logged and it does not take the graph from its cache.


# %%
@contextlib.contextmanager
def inductor_metrics() -> Iterator[Any]:
    """Inductor's metrics from zero, while it compiles in this process."""
    from torch._inductor import compile_fx, config, metrics

    logger = compile_fx.inductor_metrics_log
    cuda, level = logging.getLogger("torch.utils.cpp_extension"), logger.level

    def silent(record: logging.LogRecord) -> bool:
        return False

    logger.setLevel(logging.INFO)
    for each in (logger, cuda):  # the other one misses a GPU
        each.addFilter(silent)
    metrics.reset()
    try:
        with config.patch(fx_graph_cache=False, compile_threads=1):
            yield metrics
    finally:
        logger.setLevel(level)
        for each in (logger, cuda):
            each.removeFilter(silent)


def inductor(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """`torch.compile`: C++ on the CPU, Triton on a GPU."""
    from torch._inductor.utils import run_and_get_code

    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=False)
    with inductor_metrics() as metrics:
        _, code = run_and_get_code(compiled, *inputs)
    called = re.findall(r"^ +\w*_?fused_\w+(?:\.run)?\(", code[0], re.M)
    moved = metrics.num_bytes_accessed
    return Fused(code[0], len(called), moved, lambda: compiled(*inputs))


# %% [markdown]
# ## XLA, by JAX and by TensorFlow
#
# Both show a program in the language HLO. Each line of its entry is a kernel,
# unless it names an input or a constant. JAX counts the bytes of it, and for
# TensorFlow the shapes in it are added up.

# %%
HLO = re.compile(
    r"^ +(?:ROOT )?%?([\w.-]+) = (\w+)\[([\d,]*)\]\S* ([\w-]+)\((.*?)\)", re.M
)


def hlo_kernels(program: str) -> list[int]:
    """The bytes that each kernel of an HLO program of float32 moves."""
    sizes: dict[str, int] = {}
    found = []
    entry = program[program.index("\nENTRY ") :]
    for name, _, shape, operation, operands in HLO.findall(entry):
        sizes[name] = 4 * math.prod(int(n) for n in shape.split(",") if n)
        if operation not in ("parameter", "constant", "bitcast", "tuple"):
            read = set(re.findall(r"%([\w.-]+)", operands))
            found.append(sizes[name] + sum(sizes[each] for each in read))
    return found


def jax_xla(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """XLA by `jax.jit`, compiled before the first call."""
    import jax

    def f1(x: Any) -> Any:
        return jax.nn.relu(x) + 3

    def f2(x: Any, r: Any) -> Any:
        mean, variance, weight, bias = channels(model)
        scale = jax.lax.rsqrt(variance + 1e-5)
        return (jax.nn.relu(x) - mean) * scale * weight + bias + r

    arrays = [jax.dlpack.from_dlpack(each) for each in inputs]
    function = f2 if isinstance(model, F2) else f1
    compiled = jax.jit(function).lower(*arrays).compile()
    program = compiled.as_text()
    return Fused(
        program,
        len(hlo_kernels(program)),
        int(compiled.cost_analysis()["bytes accessed"]),
        run=lambda: compiled(*arrays).block_until_ready(),
        tensor=torch.from_dlpack,
    )


TENSORFLOW = """
import json, sys, time
import numpy as np
import tensorflow as tf

folder, threads = sys.argv[1], int(sys.argv[2])
tf.config.threading.set_intra_op_parallelism_threads(threads)
given = np.load(folder + "/channels.npy")
inputs = [tf.constant(np.load(f"{folder}/{i}.npy", mmap_mode="r"))
          for i in range(2 if len(given) else 1)]


@tf.function(jit_compile=True)
def f1(x):
    return tf.nn.relu(x) + 3


@tf.function(jit_compile=True)
def f2(x, r):
    mean, variance, weight, bias = given
    return tf.nn.batch_normalization(
        tf.nn.relu(x), mean, variance, bias, weight, 1e-5) + r


f = f2 if len(given) else f1
f(*inputs)
program = f.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
print(json.dumps(program), flush=True)
for line in sys.stdin:
    repeats = json.loads(line)
    start = time.perf_counter()
    for _ in range(repeats):
        f(*inputs)
    took = time.perf_counter() - start
    if not repeats:
        np.save(folder + "/result.npy", f(*inputs))
    print(took / max(repeats, 1), flush=True)
"""


def tensorflow_xla(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """XLA by `tf.function(jit_compile=True)`, in a process of its own.

    TensorFlow and Triton bring LLVM each, and both in a process may abort it.

    Raises:
        RuntimeError: if that process ends early.
    """
    folder = tempfile.TemporaryDirectory(prefix="engines-")
    place = Path(folder.name)
    np.save(place / "channels.npy", np.array(channels(model), "float32"))
    for number, each in enumerate(inputs):
        np.save(place / f"{number}.npy", each.numpy())
    complaints = (place / "stderr").open("w+")
    worker = subprocess.Popen(
        [sys.executable, "-c", TENSORFLOW, folder.name, str(threads)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        text=True,
    )

    def close() -> None:
        worker.communicate()
        complaints.close()
        folder.cleanup()

    def answer() -> Any:
        assert worker.stdout
        if not (line := worker.stdout.readline()):
            complaints.seek(0)
            said = one_line(RuntimeError(complaints.read()))
            close()
            raise RuntimeError(f"the process of TensorFlow ended: {said}")
        return json.loads(line)

    def ask(repeats: int) -> float:
        assert worker.stdin
        worker.stdin.write(f"{repeats}\n")
        worker.stdin.flush()
        return float(answer())

    def result() -> Tensor:
        ask(0)
        return torch.from_numpy(np.load(place / "result.npy", mmap_mode="c"))

    program = answer()
    moved = hlo_kernels(program)
    return Fused(
        program, len(moved), sum(moved), result, seconds=ask, close=close
    )


# %% [markdown]
# ## TVM
#
# Its passes are called one by one. `FuseOps` groups operators by what their
# loops look like, and sees a chain only behind `CanonicalizeBindings`. The
# loops of a group are made one by its schedule, which is written here.


# %%
def one_loop(function: Any, threads: int) -> Any:
    """Schedule a fused function of TVM: a loop over planes, and in vectors."""
    from tvm.s_tir import Schedule

    schedule = Schedule(function)
    blocks = schedule.get_child_blocks(schedule.get_sblock("root"))
    for block in blocks[:-1]:
        schedule.compute_inline(block)
    batch, channel, row, column = schedule.get_loops(blocks[-1])
    planes = schedule.fuse(batch, channel)
    if threads > 1:
        schedule.parallel(planes)
    pixels = schedule.fuse(row, column)
    _, lanes = schedule.split(pixels, [None, 16])
    schedule.vectorize(lanes)
    return schedule.mod["main"]


def tvm_fused(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """TVM: operators fused by its passes, loops by a schedule."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    import tvm
    from tvm import relax
    from tvm.relax import transform
    from tvm.relax.frontend.torch import from_exported_program

    module = from_exported_program(torch.export.export(model, inputs))
    for each in (
        transform.DecomposeOpsForInference(),
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
        transform.CanonicalizeBindings(),
        transform.FoldConstant(),
        transform.FuseOps(),
        transform.FuseTIR(),
    ):
        module = each(module)
    moved = []
    for name, function in module.functions.items():
        if isinstance(function, tvm.tirx.PrimFunc):
            shapes = [map(int, each.shape) for each in function.params]
            module[name] = one_loop(function, threads)
            between = module[name].script().count("alloc_buffer(")
            moved.append(
                4 * sum(map(math.prod, shapes))
                + 2 * between * inputs[0].nbytes  # written and read
            )
    device = tvm.cpu()
    built = tvm.compile(module, target="llvm")
    main = relax.VirtualMachine(built, device)["main"]
    arrays = [tvm.runtime.from_dlpack(each) for each in inputs]
    return Fused(
        module.script(),
        len(moved),
        sum(moved),
        run=lambda: main(*arrays)[0],
        tensor=torch.from_dlpack,
    )


# %% [markdown]
# ## ONNX Runtime and OpenVINO
#
# Both take an exported model, and both write into a tensor that is there.
# ONNX Runtime saves the model that it made of it, and OpenVINO tells what it
# will run.


# %%
def onnx_runtime(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """ONNX Runtime, with all of its optimizations."""
    import onnx
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        exported = torch.onnx.export(model, inputs, verbose=False)
    assert exported
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        session = onnxruntime.InferenceSession(
            exported.model_proto.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        optimized = onnx.load(options.optimized_model_filepath)
    graph = onnx.shape_inference.infer_shapes(optimized).graph
    sizes = {
        each.name: 4
        * math.prod(dim.dim_value for dim in each.type.tensor_type.shape.dim)
        for each in (*graph.input, *graph.value_info, *graph.output)
    } | {each.name: 4 * math.prod(each.dims) for each in graph.initializer}
    out = torch.empty_like(inputs[0])
    binding = session.io_binding()
    for place, each in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_input(
            place.name, "cpu", 0, np.float32, each.shape, each.data_ptr()
        )
    (place,) = session.get_outputs()
    binding.bind_output(
        place.name, "cpu", 0, np.float32, out.shape, out.data_ptr()
    )

    def run() -> Tensor:
        session.run_with_iobinding(binding)
        return out

    return Fused(
        onnx.printer.to_text(graph),
        len(graph.node),
        sum(
            sizes[name]
            for node in graph.node
            for name in {*node.input, *node.output}
        ),
        run,
    )


def openvino(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """OpenVINO on the CPU, in float32, for one shape."""
    os.environ.setdefault("CI", "1")  # else it reports that it is used
    import openvino as ov

    converted = ov.convert_model(
        torch.export.export(model, inputs),
        input=[tuple(each.shape) for each in inputs],
    )
    settings = {"INFERENCE_NUM_THREADS": threads}
    settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = ov.compile_model(converted, "CPU", settings)
    told, moved = [], []
    for each in compiled.get_runtime_model().get_ordered_ops():
        info = {k: v.astype(str) for k, v in each.get_rt_info().items()}
        if info["layerType"] in ("Input", "Output", "Const"):
            continue
        told.append(f"{info['layerType']}: {info['originalLayersNames']}")
        ends = (*each.inputs(), *each.outputs())
        shapes = [tuple(end.get_partial_shape().to_shape()) for end in ends]
        moved.append(4 * sum(map(math.prod, shapes)))
    out = torch.empty_like(inputs[0])
    request = compiled.create_infer_request()
    for number, each in enumerate(inputs):
        shared = ov.Tensor(each.numpy(), shared_memory=True)
        request.set_tensor(compiled.input(number), shared)
    request.set_output_tensor(ov.Tensor(out.numpy(), shared_memory=True))

    def run() -> Tensor:
        request.start_async()  # `infer` would copy the result
        request.wait()
        return out

    return Fused("\n".join(told), len(told), sum(moved), run)


# %% [markdown]
# ## Triton
#
# The kernels are written by hand. A program of the kernel takes one plane of
# 64 x 64 numbers, which is of one channel. Without a GPU Triton interprets
# them, which is no measure of time, and compiles them for an H100 all the
# same: what is counted is the loads and stores of that.

# %%
PLANE = 64 * 64


def triton_kernels(interpret: bool) -> dict[str, Any]:
    """The two kernels, interpreted or compiled."""
    import triton
    import triton.language as tl

    before = triton.knobs.runtime.interpret
    triton.knobs.runtime.interpret = interpret
    try:

        @triton.jit
        def f1(x, out, PLANE: tl.constexpr):
            at = tl.program_id(0) * PLANE + tl.arange(0, PLANE)
            tl.store(out + at, tl.maximum(tl.load(x + at), 0.0) + 3)

        @triton.jit
        def f2(x, r, mean, variance, weight, bias, out, PLANE: tl.constexpr):
            plane = tl.program_id(0)
            c = plane % 64
            scale = tl.load(weight + c) / tl.sqrt(tl.load(variance + c) + 1e-5)
            at = plane * PLANE + tl.arange(0, PLANE)
            y = tl.maximum(tl.load(x + at), 0.0) - tl.load(mean + c)
            y = y * scale + tl.load(bias + c) + tl.load(r + at)
            tl.store(out + at, y)

        return {"f1": f1, "f2": f2}
    finally:
        triton.knobs.runtime.interpret = before


def triton_by_hand(
    model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """Triton: one kernel, on a GPU or interpreted.

    Without a GPU it computes the first pictures only, 1 MB of them.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    name = "f2" if isinstance(model, F2) else "f1"
    on_gpu = inputs[0].device.type == "cuda"
    numbers = [torch.from_numpy(each).flatten() for each in channels(model)]
    given = [*inputs, *(each.to(inputs[0].device) for each in numbers)]
    out = torch.empty_like(inputs[0] if on_gpu else inputs[0][:1])
    kernel = triton_kernels(interpret=not on_gpu)[name]
    source = triton_kernels(interpret=False)[name]
    pointers = dict.fromkeys(source.arg_names[:-1], "*fp32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what Triton 3.10 will do
        compiled = triton.compile(
            ASTSource(
                source, {**pointers, "PLANE": "constexpr"}, {"PLANE": PLANE}
            ),
            target=GPUTarget("cuda", 90, 32),
        )
    ttir = re.sub(r" loc\(.*\)$", "", compiled.asm["ttir"], flags=re.M)
    touched = re.findall(rf"tt\.(?:load|store) .*<{PLANE}x!tt\.ptr", ttir)
    planes = out.numel() // PLANE

    def run() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kernel[(planes,)](*given, out, PLANE=PLANE)
        return out

    return Fused(
        compiled.asm["ptx"],
        compiled.asm["ptx"].count(".entry"),
        len(touched) * inputs[0].nbytes,
        run,
        timed=on_gpu,
    )


# %% [markdown]
# ## All of them


# %%
@dataclass(frozen=True)
class Engine:
    """How to run an engine, and what it asks for."""

    prepare: Prepare
    packages: tuple[str, ...] = ()
    """What to install, and to import, if that has another name: `name=module`.
    """
    devices: tuple[str, ...] = ("cpu",)


ENGINES = {
    "eager": Engine(eager, devices=("cpu", "cuda", "mps", "xpu")),
    "torchscript": Engine(torchscript, devices=("cpu", "cuda")),
    "inductor": Engine(inductor, devices=("cpu", "cuda", "mps", "xpu")),
    "jax": Engine(jax_xla, ("jax",)),
    "tensorflow": Engine(tensorflow_xla, ("tensorflow-cpu=tensorflow",)),
    "tvm": Engine(tvm_fused, ("apache-tvm=tvm",)),
    "onnxruntime": Engine(onnx_runtime, ("onnx", "onnxruntime", "onnxscript")),
    "openvino": Engine(openvino, ("openvino",)),
    "triton": Engine(triton_by_hand, ("triton",), devices=("cpu", "cuda")),
}


def prepare(
    name: str, model: nn.Module, inputs: tuple[Tensor, ...], threads: int
) -> Fused:
    """Have an engine compile a function.

    Args:
        name: A key of `ENGINES`.
        model: `F1` or `F2`.
        inputs: What it is called with, on one device.
        threads: How many threads it may take on a CPU.

    Raises:
        Missing: if it is not installed, or does not run here.
    """
    engine, device = ENGINES[name], inputs[0].device.type
    if device not in engine.devices:
        raise Missing(f"not on {device}: this program runs it on the CPU")
    absent = [
        package.partition("=")[0]
        for package in engine.packages
        if find_spec(package.rpartition("=")[2]) is None
    ]
    if absent:
        raise Missing(f"not installed: pip install {' '.join(absent)}")
    try:
        with torch.no_grad():
            return engine.prepare(model, inputs, threads)
    except Exception as error:
        if "InvalidCxxCompiler" not in f"{type(error).__name__} {error}":
            raise
    raise Missing("no compiler for C++: install g++")


# %% [markdown]
# ## The same numbers
#
# The result of each engine is held against eager, number by number. One of
# the inputs is nan, for which `relu` in PyTorch gives nan.


# %%
def compare(found: Tensor, expected: Tensor) -> tuple[float, float]:
    """How far a result is from what it should be, and what a nan became.

    Args:
        found: Of shape `(n, 64, 64, 64)`: n pictures, or the first of them.
        expected: Those of eager. The first number is nan.

    Returns:
        The largest difference, without the first number, and that number.
    """
    apart = [
        (one - other).flatten()[1 if number == 0 else 0 :].abs().max()
        for number, (one, other) in enumerate(
            zip(found, expected, strict=False)
        )
    ]
    return float(torch.stack(apart).max()), float(found[0, 0, 0, 0])


# %% [markdown]
# ## An honest clock
#
# A machine does not run at one speed. So each round times all engines, in one
# order and in the next round in the other, and ratios are taken within a
# round. Medians over the rounds count. All engines run on the same cores.


# %%
def seconds(
    run: Callable[[], object], repeats: int, device: torch.device
) -> float:
    """The time of a call, on average over some repeats."""
    wait = device.type != "cpu"
    if wait:
        torch.accelerator.synchronize(device)
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    if wait:
        torch.accelerator.synchronize(device)
    return (time.perf_counter() - start) / repeats


def rounds(
    timers: Mapping[str, Callable[[int], float]], count: int
) -> list[dict[str, float]]:
    """Time several contenders in turn.

    Args:
        timers: Each takes a number of repeats and returns the seconds of one.
        count: How many rounds there are, beside two to warm up.

    Returns:
        For each round the seconds of each contender.
    """
    warm = [{name: timer(1) for name, timer in timers.items()} for _ in "12"]
    repeats = {
        name: 1 + int(0.002 / max(warm[1][name], 1e-6)) for name in timers
    }
    order, found = list(timers), []
    for _ in range(count):
        times = {name: timers[name](repeats[name]) for name in order}
        found.append({name: times[name] for name in timers})
        order.reverse()
    return found


@contextlib.contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Have this process, and those that it starts, run on so many cores.

    Where the system cannot tie a process to cores, only the numbers of threads
    that engines are asked for apply.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    tie = getattr(os, "sched_setaffinity", None)
    cores = os.sched_getaffinity(0) if tie else set()
    try:
        if tie:
            tie(0, sorted(cores)[:count])
        yield
    finally:
        if tie:
            tie(0, cores)
        torch.set_num_threads(threads)


# %% [markdown]
# ## The comparison


# %%
@dataclass
class Row:
    """What is found about an engine and a function."""

    function: str
    size: int
    """Of an input, in MB of 2**20 bytes."""
    engine: str
    missing: str = ""
    """Why there is nothing else."""
    kernels: int | None = None
    passes: float | None = None
    """The bytes moved, in sizes of an input."""
    apart: float | None = None
    """The largest difference from eager."""
    nan: str = ""
    """What it makes of nan."""
    times: list[float] = field(default_factory=list)
    """Seconds in each round."""
    ratios: dict[str, float] = field(default_factory=dict)
    """Times of eager and of the floors: medians of the ratios of a round."""


BESIDE = ("eager", "floor new", "floor out")


def compared(
    name: str,
    size: int,
    engines: Sequence[str],
    device: torch.device,
    threads: int,
    count: int,
    seed: int = 0,
    show: Callable[[str], object] | None = None,
    watch: Callable[[str], object] = str,
) -> list[Row]:
    """Run a function through engines.

    Args:
        name: `f1` or `f2`.
        size: The size of an input in MB.
        engines: Keys of `ENGINES`.
        device: Where to run.
        threads: How many threads an engine may take.
        count: How many rounds are timed.
        seed: Decides on the inputs.
        show: Called with each program. Then nothing is timed.
        watch: Called with what is done next.

    Returns:
        A row for each engine.
    """
    model, inputs = example(name, size, device, seed)
    expected = model(*inputs)
    rows: list[Row] = []
    ready: dict[str, Fused] = {}
    with contextlib.ExitStack() as stack, torch.no_grad():
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", r"os\.fork")  # JAX, of compilers
        warnings.filterwarnings("ignore", r".torch\.jit\.")  # torch 2.11
        for engine in engines:
            watch(f"{name}, {size} MB: {engine} compiles")
            rows.append(row := Row(name, size, engine))
            try:
                fused = prepare(engine, model, inputs, threads)
                stack.callback(fused.close)
            except Missing as reason:
                row.missing = str(reason)
                continue
            except Exception as error:  # one that fails stops no other
                row.missing = f"fails: {one_line(error)}"
                continue
            if show:
                show(f"# {engine}, {name}\n{fused.program.strip()}\n")
                continue
            row.kernels = fused.kernels
            row.passes = fused.moved / inputs[0].nbytes
            row.apart, first = compare(fused.tensor(fused.run()), expected)
            row.nan = f"{first:.4g}"
            if fused.timed:
                ready[engine] = fused
        del expected  # it may be large
        if ready:
            time_all(rows, ready, model, inputs, count, watch)
    ready.clear()
    gc.collect()  # compilers leave circles that hold tensors
    return rows


def time_all(
    rows: Sequence[Row],
    ready: Mapping[str, Fused],
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    count: int,
    watch: Callable[[str], object],
) -> None:
    """Time engines, eager and the floors in turn, and write it to the rows."""
    device = inputs[0].device
    calls = {"eager": lambda: model(*inputs), **floors(inputs)}
    calls |= {name: fused.run for name, fused in ready.items()}

    def timer(name: str, run: Callable[[], object]) -> Callable[[int], float]:
        own = ready[name].seconds if name in ready else None
        return own or (lambda repeats: seconds(run, repeats, device))

    watch(f"timing {', '.join(calls)}")
    found = rounds(
        {name: timer(name, run) for name, run in calls.items()}, count
    )
    for row in rows:
        if row.engine in ready:
            row.times = [times[row.engine] for times in found]
            row.ratios = {
                other: median(
                    times[row.engine] / times[other] for times in found
                )
                for other in BESIDE
            }


HEADS = ["", "kernels", "passes", "apart", "nan", "ms", *BESIDE]


def report(rows: Sequence[Row]) -> str:
    """A table for each function and size: what was counted, and times.

    The last three columns tell how many times as long as eager and the floors
    an engine takes.
    """
    parts = []
    for name, size in dict.fromkeys((row.function, row.size) for row in rows):
        some = [r for r in rows if (r.function, r.size) == (name, size)]
        table = [HEADS]
        for row in some:
            if row.missing:
                continue
            spent = f"{median(row.times) * 1000:.3g}" if row.times else "-"
            ratios = [
                f"{row.ratios[n]:.2f}" if row.times else "-" for n in BESIDE
            ]
            apart = "equal" if row.apart == 0 else f"{row.apart:.1e}"
            counted = [str(row.kernels), f"{row.passes:.2f}", apart, row.nan]
            table.append([row.engine, *counted, spent, *ratios])
        parts.append(f"{name}: {EXAMPLES[name].__doc__} {size} MB")
        parts += aligned(table)
        parts += [f"{r.engine}  {r.missing}" for r in some if r.missing]
        parts.append("")
    return "\n".join(parts).rstrip()


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, the first column to the left and others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        )
        for row in table
    ]


# %% [markdown]
# ## The record


# %%
def processor() -> str:
    """The model of the processor, as far as the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        told = ""
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def cores_here() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def short(number: float) -> float:
    """Three digits of a number: more are noise."""
    return float(f"{number:.3g}")


def record(
    rows: Sequence[Row],
    device: torch.device,
    threads: int,
    count: int,
    load: float | None,
) -> dict[str, Any]:
    """What was found, and on which machine, ready for JSON.

    Args:
        rows: Those of `compared`.
        device: Where the engines ran.
        threads: How many they could take.
        count: How many rounds were timed.
        load: How many processes wanted the processor before.
    """
    packages = [
        package.partition("=")[0]
        for engine in ENGINES.values()
        for package in engine.packages
    ]
    versions = {"python": platform.python_version()}
    versions["torch"] = torch.__version__
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    written = []
    for row in rows:
        each = {key: value for key, value in asdict(row).items() if value}
        if row.missing:
            written.append(each)
            continue
        each |= {"kernels": row.kernels, "apart": row.apart}
        if row.times:
            each["seconds"] = short(median(row.times))
            each["spread"] = [short(min(row.times)), short(max(row.times))]
            each["ratios"] = {k: short(v) for k, v in row.ratios.items()}
        written.append({k: v for k, v in each.items() if k != "times"})
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": cores_here(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "device": device.type,
        },
        "versions": versions,
        "settings": {
            "threads": threads,
            "rounds": count,
            "load": load,
        },
        "rows": written,
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
def one_line(error: BaseException) -> str:
    """The last line of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


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


def engines_from(text: str) -> list[str]:
    """The engines in a text like `jax,eager`, in the order of `ENGINES`.

    Raises:
        ValueError: if there is no such engine.
    """
    if text == "all":
        return list(ENGINES)
    asked = {part.strip() for part in text.split(",")}
    for name in sorted(asked - set(ENGINES)):
        raise ValueError(
            f"there is no engine {name!r}: take all or {', '.join(ENGINES)}"
        )
    return [name for name in ENGINES if name in asked]


def check_record(file: str | None) -> None:
    """See that a record can be written, before anything runs.

    Raises:
        ValueError: if its folder is missing, or it does not end in .json.
    """
    if file is None:
        return
    if not Path(file).parent.is_dir():
        raise ValueError(f"there is no folder {Path(file).parent} for {file}")
    if Path(file).is_dir():
        raise ValueError(f"{file} is a folder")
    if Path(file).suffix != ".json":
        raise ValueError(f"{file} does not end in .json")


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


def progress(text: str) -> None:
    """Show what is done in a line on a terminal, and nowhere else."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Two functions through every engine that is installed."
    )
    parser.add_argument(
        "--engines",
        default="all",
        metavar="A,B",
        help=f"all, or some of {', '.join(ENGINES)} (default: all)",
    )
    parser.add_argument(
        "--size", default="4", help="MB of an input: 4 or 1,512 (default: 4)"
    )
    parser.add_argument(
        "--rounds", default="5", help="how often all is timed (default: 5)"
    )
    parser.add_argument(
        "--threads", default="1", help="cores for each engine (default: 1)"
    )
    parser.add_argument("--seed", default="0", help="of the inputs")
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--show", metavar="ENGINE", help="print its programs, and time nothing"
    )
    parser.add_argument(
        "--record", metavar="FILE.json", help="write what came out as JSON"
    )
    options = parser.parse_args(arguments)
    try:
        engines = engines_from(options.show or options.engines)
        sizes = [
            whole_number(part.strip(), "--size", 1, 65536)
            for part in options.size.split(",")
        ]
        count = whole_number(options.rounds, "--rounds", 1, 1000)
        threads = whole_number(options.threads, "--threads", 1, cores_here())
        seed = whole_number(options.seed, "--seed", 0, 999_999_999)
        device = device_from(options.device)
        check_record(options.record)
    except ValueError as error:
        print(f"engines.py: {error}", file=sys.stderr)
        return 2
    load = short(os.getloadavg()[0]) if hasattr(os, "getloadavg") else None
    rows = []
    with on_cores(threads):
        for size in sizes:
            for name in EXAMPLES:
                rows += compared(
                    name,
                    size,
                    engines,
                    device,
                    threads,
                    count,
                    seed,
                    show=print if options.show else None,
                    watch=progress,
                )
    progress("")
    if options.record:
        written = record(rows, device, threads, count, load)
        save(json.dumps(written, indent=1) + "\n", Path(options.record))
    failed = [row for row in rows if row.missing.startswith("fails")]
    if options.show:
        print(
            *dict.fromkeys(
                f"{r.engine}  {r.missing}" for r in rows if r.missing
            ),
            sep="\n",
            end="",
        )
    else:
        print(f"{device.type}, {threads} of {cores_here()} cores")
        print(report(rows))
    return 1 if failed else 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook: no options
        here = [name for name in ENGINES if name != "tensorflow"]
        cpu = torch.device("cpu")
        with on_cores(1):
            for name in EXAMPLES:
                print(report(compared(name, 4, here, cpu, 1, 5)), "\n")
    else:
        sys.exit(main())
