# %% [markdown]
# # Array loader
#
# It makes tensors of the arrays in a `.npy` or `.npz` file. You say whether to
# copy or to share memory and which dtypes you want. It says what it did. What
# would go wrong in silence is refused: read-only memory that is shared, masks,
# words, whole numbers that the new dtype does not have.
#
# ```console
# $ python arrays.py wine.npz --only data,target --save wine.pt
# $ python arrays.py digits.npy --memory share
# ```

# %%
"""Array loader: NumPy's arrays become tensors, and nothing is lost unsaid."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

# %% [markdown]
# ## What holds no numbers for a tensor
#
# Some arrays have no tensor at all. A masked array would have one, without its
# mask.

# %%
NUMBERS = {
    np.dtype(name): getattr(torch, name)
    for name in (
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16",
        "int32", "int64", "float16", "float32", "float64", "complex64",
        "complex128",
    )
}  # fmt: skip
"""The dtypes that NumPy and torch have in common."""
ADVICE = {
    "T": "words: np.unique(words, return_inverse=True) numbers them",
    "U": "words: np.unique(words, return_inverse=True) numbers them",
    "S": "words: np.unique(words, return_inverse=True) numbers them",
    "O": "Python objects: make each of them a number first",
    "M": "dates: subtract one of them and divide by a unit of time",
    "m": "spans of time: divide them by a unit of time",
}
"""What to say about the other dtypes, by their kind in NumPy."""


def dtype_of(array: Array) -> torch.dtype:
    """The dtype that a tensor with the numbers of an array has.

    Raises:
        ValueError: if there is none, or if the array is masked.
    """
    if isinstance(array, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(array).sum())
        raise ValueError(
            f"{masked} of {array.size} numbers are masked, and a tensor has "
            "no mask: array.filled(value) makes numbers of them"
        )
    dtype = array.dtype
    if dtype.names:
        raise ValueError(
            f"it has the fields {', '.join(dtype.names)}: take one, as in "
            f"array[{dtype.names[0]!r}]"
        )
    if advice := ADVICE.get(dtype.kind):
        raise ValueError(f"it holds {advice}")
    common = NUMBERS.get(dtype.newbyteorder("="))
    if common is None:
        raise ValueError(
            f"torch has no {dtype}: array.astype(...) makes another dtype"
        )
    return common


# %% [markdown]
# ## What keeps a tensor from sharing
#
# A tensor that shares has a header of its own for the memory of the array. It
# walks forward, by whole elements, in the byte order of this machine, and has
# no word for "read-only".


# %%
def obstacles(array: Array) -> list[str]:
    """Why no tensor should share the memory of an array.

    Returns:
        One reason each, empty if a tensor may share it.
    """
    steps = array.strides if array.size else ()
    repeats = any(
        size > 1 and stride == 0
        for size, stride in zip(array.shape, steps, strict=False)
    )
    reasons = {
        "it is read-only": not array.flags.writeable,
        "it walks backwards": any(step < 0 for step in steps),
        "its strides are no whole number of elements": any(
            step % array.itemsize for step in steps
        ),
        "its numbers lie across addresses": not array.flags.aligned,
        "its bytes are in foreign order": not array.dtype.isnative,
        "its elements overlap": repeats,
    }
    return [reason for reason, holds in reasons.items() if holds]


# %% [markdown]
# ## What a new dtype changes
#
# Floats may be rounded, and you are told by how much. Whole numbers have to
# stay what they are, and a float has to stay finite.


# %%
def unchanged(before: Array, after: Array) -> Array:
    """Which numbers a cast left as they were.

    Args:
        before: Whole numbers, floats or bools.
        after: What a cast made of them, of the same shape.

    Returns:
        An array of the same shape and dtype bool.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        same = (after.astype(before.dtype) == before) & (
            (after < 0) == (before < 0)
        )
    for whole, other in ((before, after), (after, before)):
        if whole.dtype.kind in "iu" and other.dtype.kind == "f":
            # Out of range, a cast to whole numbers may give anything.
            low, high = map(float, _ends(whole.dtype))
            wide = other.astype(np.float64)  # float16 ends before they do
            same &= (wide >= low) & (wide < high)
    return np.asarray(same)


def _ends(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The least whole number of a dtype, and the first past its end."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max) + 1


def cast(tensor: Tensor, dtype: torch.dtype) -> tuple[Tensor, str]:
    """Give a tensor another dtype, and tell what that changed.

    Args:
        tensor: Of any shape, on the CPU.
        dtype: The new dtype.

    Returns:
        The new tensor, and a phrase like `float64 to float32, rounded by up
        to 6.0e-08 of a number`.

    Raises:
        ValueError: if a whole number or a bool would become another one, a
            finite number infinite, or a complex number real.
    """
    said = f"{_name(tensor.dtype)} to {_name(dtype)}"
    if tensor.is_complex() or dtype.is_complex:
        if tensor.is_complex() and not dtype.is_complex:
            raise ValueError(f"{said} would lose the imaginary part")
        return tensor.to(dtype), said
    result = tensor.to(dtype)
    before = tensor.numpy()
    wide = result.double() if dtype.is_floating_point else result
    after = wide.numpy()
    if tensor.is_floating_point() and dtype.is_floating_point:
        lost = np.isfinite(before) & ~np.isfinite(after)
    else:
        lost = ~unchanged(before, after)
    if lost.any():
        first = before[lost][0].item()
        raise ValueError(f"{said} would not keep {first}")
    if tensor.is_floating_point() and dtype.is_floating_point:
        numbers = np.isfinite(before) & (before != 0)
        exact = before[numbers].astype(np.float64)
        off = np.abs(after[numbers] / exact - 1).max(initial=0)
        said += f", rounded by up to {off:.1e} of a number" if off else ""
    return result, said


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# %% [markdown]
# ## The tensor of an array
#
# A copy is made by NumPy, which reads every array, in one pass: it is
# contiguous, may be written to, and has the byte order of this machine. A
# tensor then shares the memory of the copy with nobody.


# %%
@dataclass(frozen=True)
class Conversion:
    """A tensor that was made of an array."""

    array: Array
    tensor: Tensor
    shares: bool
    """Whether they have one memory."""
    done: tuple[str, ...]
    """What had to be done to the numbers or to their order."""


def tensor_of(
    array: Array,
    dtype: torch.dtype | None = None,
    *,
    share: bool = False,
    device: torch.device | str = "cpu",
) -> Conversion:
    """Make a tensor of an array.

    Args:
        array: Of any shape.
        dtype: The dtype of the tensor; None keeps that of the array.
        share: True to share the memory of the array, False to copy it.
        device: Where the tensor shall be.

    Returns:
        The tensor, of the same shape and with the same numbers, and what was
        done.

    Raises:
        ValueError: if the array holds no numbers, if a number would change as
            in `cast`, if the memory cannot be shared, or if the device lacks
            the dtype.
    """
    source = dtype_of(array)
    target, place = dtype or source, torch.device(device)
    reasons = obstacles(array)
    # NumPy has two types for some integers, and torch knows the one with this
    # name. `view` exchanges them, where a cast sees no difference.
    plain = array.dtype.newbyteorder("=").str
    if share:
        if target != source:
            reasons.append(
                f"{_name(source)} to {_name(target)} takes new memory"
            )
        if place.type != "cpu":
            reasons.append(f"{place} has memory of its own")
        if reasons:
            raise ValueError(f"it cannot be shared: {', '.join(reasons)}")
        return Conversion(
            array, torch.from_numpy(np.asarray(array).view(plain)), True, ()
        )
    copy = np.array(array, dtype=plain, order="C").view(plain)
    tensor, done = torch.from_numpy(copy), list(reasons)
    if not (reasons or array.flags.c_contiguous):
        done.append("it has gaps, or another order")
    if target != source:
        tensor, said = cast(tensor, target)
        done.append(said)
    try:
        tensor = tensor.to(place)
    except (TypeError, RuntimeError):
        raise ValueError(f"{place} cannot hold {_name(target)}") from None
    return Conversion(array, tensor, False, tuple(done))


# %% [markdown]
# ## Files
#
# A `.npy` file that is shared is mapped into memory: nothing is read before
# you look at it, and what you write into the tensor stays in memory and never
# reaches the file. The arrays of a `.npz` file are unpacked one by one, and
# only those you name. No file runs code, because Python objects are refused.


# %%
def arrays_in(
    path: Path, only: Sequence[str] = (), *, share: bool = False
) -> dict[str, Array]:
    """The arrays in a file that `np.save` or `np.savez` has written.

    Args:
        path: The file.
        only: The names of the arrays to read, in that order; empty for all.
        share: True to map a `.npy` file, False to read it.

    Returns:
        The arrays by name. The array of a `.npy` file is named like the file.

    Raises:
        ValueError: if there is no such file or array, if it cannot be read,
            or if it holds Python objects.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        if zipfile.is_zipfile(path):
            with np.load(path) as archive:
                names = _chosen(path, archive.files, only)
                found = {name: archive[name] for name in names}
        else:
            (name,) = _chosen(path, [path.stem], only)
            mode: Any = "c" if share else None
            with path.open("rb") as file:  # np.load leaves broken files open
                start = file.read(6)
            if start != b"\x93NUMPY":
                raise EOFError
            found = {name: np.load(path, mmap_mode=mode)}
    except (_Unknown, OSError):
        raise
    except Exception as error:  # whatever a broken file makes of a reader
        if "object" in str(error).lower():
            raise ValueError(
                f"{path} holds Python objects: save numbers in it"
            ) from None
        raise ValueError(
            f"{path} cannot be read: it is broken, or no .npy or .npz file"
        ) from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} in {path} is no array")
    return found


class _Unknown(ValueError):
    """A name that no array has."""


def _chosen(
    path: Path, names: Sequence[str], only: Sequence[str]
) -> Sequence[str]:
    for name in only:
        if name not in names:
            raise _Unknown(
                f"{path} has no array {name!r}: it has {', '.join(names)}"
            )
    if not names:
        raise _Unknown(f"{path} holds no array")
    return only or names


def save(tensors: Mapping[str, Tensor], target: Path) -> None:
    """Write tensors to a file, the whole file or none.

    Raises:
        ValueError: if `target` is a folder, or in none.
        OSError: if it cannot be written.
    """
    if target.is_dir():
        raise ValueError(f"{target} is a folder: name a file in it")
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent}: make it first")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            try:
                torch.save(dict(tensors), file)
            except RuntimeError:  # so says torch when the disk is full
                raise OSError(f"{target}: no room to write it") from None
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


# %% [markdown]
# ## What was done
#
# The table gives NumPy's strides in bytes and torch's in elements. The figure
# shows in which order an array and its tensor visit their memory.


# %%
def report(conversions: Mapping[str, Conversion]) -> str:
    """The conversions as a table."""
    rows = [["", "array", "strides", "tensor", "strides", "memory", ""]]
    for name, made in conversions.items():
        array, tensor = made.array, made.tensor
        memory = "shared" if made.shares else f"{tensor.nbytes} new bytes"
        if tensor.device.type != "cpu":
            memory += f" on {tensor.device}"
        rows.append([
            name,
            f"{array.shape} {array.dtype}",
            str(array.strides),
            f"{tuple(tensor.shape)} {_name(tensor.dtype)}",
            str(tensor.stride()),
            memory,
            "; ".join(made.done),
        ])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
    )


def places(
    shape: Sequence[int], strides: Sequence[int], unit: int
) -> list[float]:
    """Where the elements lie, counted in elements from the lowest one.

    Args:
        shape: The sizes, none of them 0.
        strides: A stride per size.
        unit: The length of an element in the units of the strides.

    Returns:
        A number for each element, in the order of the indices.
    """
    ways = np.indices(shape).reshape(len(shape), -1)
    steps = np.asarray(strides, dtype=np.int64) @ ways
    return [float(n) for n in (steps - steps.min()) / unit]


def draw(conversions: Mapping[str, Conversion]) -> Figure:
    """Draw in which order arrays and their tensors visit their memory.

    Args:
        conversions: Those of small arrays, with at least one element.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(conversions),
        1,
        figsize=(7, 1.1 * len(conversions) + 0.5),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, made) in zip(
        axes[:, 0], conversions.items(), strict=True
    ):
        array, tensor = made.array, made.tensor
        walks = (
            (1, places(array.shape, array.strides, array.itemsize)),
            (0, places(tensor.shape, tensor.stride(), 1)),
        )
        for y, walk in walks:
            axis.plot(walk, [y] * len(walk), linestyle="none")  # the limits
            for n, x in enumerate(walk):
                axis.text(x, y, str(n), ha="center", va="center")
        axis.set_ylim(-0.5, 1.5)
        axis.set_yticks((0, 1), ("tensor", "array"))
        axis.set_title(name, fontsize="medium")
    axis.set_xlabel("place in memory, in elements")
    return figure


# %% [markdown]
# ## On the command line


# %%
def write_examples(folder: Path) -> list[Path]:
    """Write three files with data of scikit-learn.

    The digits are bytes, the patients come from a machine with another byte
    order, and the wines are in the order of Fortran.
    """
    from sklearn.datasets import load_diabetes, load_digits, load_wine

    paths = [folder / name for name in ("digits.npy", "patients.npy")]
    np.save(paths[0], load_digits().images.astype(np.uint8))
    other = ">f8" if sys.byteorder == "little" else "<f8"
    np.save(paths[1], load_diabetes().data.astype(other))
    wine = load_wine()
    paths.append(folder / "wine.npz")
    np.savez(paths[2], data=np.asfortranarray(wine.data), target=wine.target)
    return paths


def small_arrays() -> dict[str, Array]:
    """Four arrays with eight numbers each: views, and a field of records."""
    rows = np.arange(8.0).reshape(2, 4)
    records = np.zeros(8, dtype=[("number", "f8"), ("kind", "u1")])
    records["number"] = np.arange(8)
    return {
        "mirrored": rows[:, ::-1],
        "transposed": rows.T,
        "every other": np.arange(16.0)[::2],
        "a field": records["number"],
    }


def dtype_from(name: str, option: str, kinds: str) -> torch.dtype | None:
    """The dtype of that name; None for `keep`.

    Args:
        name: What was given.
        option: The option it was given for.
        kinds: `f` for floats, `iu` for whole numbers.

    Raises:
        ValueError: if it is neither.
    """
    known = {_name(d): d for n, d in NUMBERS.items() if n.kind in kinds}
    if "f" in kinds:
        known["bfloat16"] = torch.bfloat16
    if name != "keep" and name not in known:
        names = ", ".join(known)
        raise ValueError(f"{option} is keep or one of {names}, not {name!r}")
    return known.get(name)


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


def load(
    path: Path,
    only: Sequence[str],
    dtypes: Mapping[str, torch.dtype | None],
    *,
    share: bool,
    device: torch.device,
) -> dict[str, Conversion]:
    """Make tensors of the arrays in a file.

    Args:
        path: The file.
        only: As in `arrays_in`.
        dtypes: The dtype for each kind of NumPy; kinds that are missing, and
            those with None, keep theirs.
        share: As in `tensor_of`.
        device: As in `tensor_of`.

    Raises:
        ValueError: as in `arrays_in` and `tensor_of`, naming file and array.
    """
    made = {}
    for name, array in arrays_in(path, only, share=share).items():
        dtype = dtypes.get(array.dtype.kind)
        try:
            made[name] = tensor_of(array, dtype, share=share, device=device)
        except ValueError as error:
            raise ValueError(f"{name} in {path.name}: {error}") from None
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Make tensors of the arrays in a file."
    )
    parser.add_argument(
        "file", nargs="?", type=Path, help=".npy or .npz (default: examples)"
    )
    parser.add_argument(
        "--only", metavar="NAMES", help="the arrays to take, like data,target"
    )
    parser.add_argument(
        "--memory",
        metavar="copy|share",
        default="copy",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--floats",
        metavar="DTYPE",
        default="float32",
        help="the dtype of floats, or keep (default: %(default)s)",
    )
    parser.add_argument(
        "--integers",
        metavar="DTYPE",
        default="keep",
        help="the dtype of whole numbers, or keep (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--save", metavar="FILE", type=Path, help="write the tensors to a file"
    )
    options = parser.parse_args(arguments)
    try:
        if options.memory not in ("copy", "share"):
            raise ValueError(
                f"--memory is copy or share, not {options.memory!r}"
            )
        share = options.memory == "share"
        if share and options.device == "auto":
            options.device = "cpu"
        integers = dtype_from(options.integers, "--integers", "iu")
        floats = dtype_from(options.floats, "--floats", "f")
        dtypes = {"f": floats, "i": integers, "u": integers}
        device = device_from(options.device)
        only = [n for n in (options.only or "").split(",") if n]
        made: dict[str, Conversion] = {}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            files = [options.file] if options.file else []
            for path in files or write_examples(Path(folder)):
                found = load(path, only, dtypes, share=share, device=device)
                inside = not files and path.suffix == ".npz"
                prefix = f"{path.stem}." if inside else ""
                made |= {prefix + name: each for name, each in found.items()}
            if options.save:
                tensors = {name: each.tensor for name, each in made.items()}
                save(tensors, options.save)
            print(report(made))
    except (ValueError, OSError) as error:
        print(f"arrays.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, small arrays
        small = {name: tensor_of(a) for name, a in small_arrays().items()}
        print(report(small))
        draw(small)
    else:
        sys.exit(main())
