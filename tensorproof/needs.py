"""What a block may need of a machine, `<!-- needs: compiler -->`, and how to see whether it is there."""

from __future__ import annotations

import re

EXPRESSIONS = {
    "cuda": "torch.cuda.is_available()",
    "mps": "torch.backends.mps.is_available()",
    "compiler": 'shutil.which(os.environ.get("CXX", "g++"))',  # the one of C++ that torch.compile calls
} | {
    package: f'importlib.util.find_spec("{package}")'
    for package in ("jax", "onnxruntime", "openvino", "tensorflow", "triton", "tvm")
}
"""An expression of Python for each. It stands in what readers copy, too, so it uses nothing of ours."""

_MODULE = re.compile(r"\b(importlib\.util|os|shutil|torch)\.")


def has(need: str) -> bool:
    """Whether this machine has it."""
    names: dict[str, object] = {}
    exec(guard((need,)) + "    there = True\n", names)
    return "there" in names


def guard(needs: tuple[str, ...]) -> str:
    """The imports and the `if` above code that shall run only where all of this is."""
    condition = " and ".join(EXPRESSIONS[need] for need in needs)
    modules = sorted(set(_MODULE.findall(condition)))
    return "".join(f"import {module}\n" for module in modules) + f"\nif {condition}:\n"
