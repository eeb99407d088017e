"""What a machine has, and what it lacks, told by the expressions that stand in copied code as well."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tensorproof.needs import EXPRESSIONS, guard, has


def program(folder: Path, name: str) -> Path:
    file = folder / name
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_a_compiler_is_one_that_torch_would_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert not has("compiler")
    program(tmp_path, "g++")
    assert has("compiler")
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    assert not has("compiler")
    monkeypatch.setenv("CXX", str(program(tmp_path, "clang++")))
    assert has("compiler")


@pytest.mark.parametrize("package", ["jax", "onnxruntime", "openvino", "tensorflow", "triton", "tvm"])
def test_a_package_is_there_where_python_finds_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "site-packages" not in each])
    assert not has(package)
    (tmp_path / f"{package}.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert has(package)


def test_a_guard_asks_for_everything_and_imports_what_it_asks_with() -> None:
    text = guard(("compiler", "jax", "cuda"))
    asks = f"{EXPRESSIONS['compiler']} and {EXPRESSIONS['jax']} and torch.cuda.is_available()"
    assert text == f"import importlib.util\nimport os\nimport shutil\nimport torch\n\nif {asks}:\n"
