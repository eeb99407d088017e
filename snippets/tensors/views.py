# %% [markdown]
# # Memory doctor
#
# Give it a file of saved tensors. It tells which of them share a storage,
# which see only a part of theirs, how many bytes of the file nobody reads, and
# which tensors come to the same element twice. `--compact` writes a copy
# without the bytes that nobody reads.
#
# ```console
# $ python views.py checkpoint.pt
# $ python views.py checkpoint.pt --compact smaller.pt
# ```

# %%
"""Memory doctor: who reads which bytes of a file of saved tensors."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# %% [markdown]
# ## What a tensor reads
#
# A tensor walks along its storage. Lay the same walk over a row of zeros, fill
# it with ones, and the ones are what it reads. A dimension of stride 0 visits
# one place again and again, so one visit is enough.


# %%
def once(tensor: Tensor) -> Tensor:
    """The tensor with every dimension of stride 0 cut to size 1.

    It reads the same memory, without the repeats.
    """
    for dim in range(tensor.ndim):
        if tensor.stride(dim) == 0 and tensor.shape[dim] > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def reach(shape: Sequence[int], strides: Sequence[int]) -> int:
    """The places from the first element to the last, both counted.

    Args:
        shape: The sizes, none of them 0.
        strides: A stride per size, in elements.
    """
    steps = zip(shape, strides, strict=True)
    return 1 + sum((size - 1) * stride for size, stride in steps)


def places_read(tensor: Tensor) -> int:
    """How many places of its storage the tensor reads.

    They are fewer than `numel()` if elements overlap.
    """
    if tensor.is_contiguous():
        return tensor.numel()
    walk = once(tensor)
    marks = torch.zeros(reach(walk.shape, walk.stride()), dtype=torch.bool)
    marks.as_strided(walk.shape, walk.stride()).fill_(True)
    return int(marks.sum())


def marks_of(readers: Iterable[Tensor], length: int) -> Tensor:
    """Which places of a storage are read.

    Args:
        readers: The tensors that read it.
        length: The number of its elements.

    Returns:
        A tensor of shape `(length,)` and dtype bool on the CPU.
    """
    marks = torch.zeros(length, dtype=torch.bool)
    for walk in map(once, readers):
        strides, offset = walk.stride(), walk.storage_offset()
        marks.as_strided(walk.shape, strides, offset).fill_(True)
    return marks


# %% [markdown]
# ## The storages of a checkpoint
#
# A checkpoint is a tree: dicts, lists and tuples, with tensors at the ends. A
# tensor is named by its path.


# %%
def tensors_in(tree: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tree, each with its path, like `layers.0.weight`.

    Args:
        tree: A tensor, or nested dicts, lists and tuples. Anything else in
            them is passed over.
        path: The path of the tree itself.

    Raises:
        ValueError: if a tensor has no strides (sparse, nested, quantized) or
            no memory (on the meta device).
    """
    if isinstance(tree, Tensor):
        strided = tree.layout == torch.strided and not tree.is_nested
        if not strided or tree.is_quantized or tree.is_meta:
            raise ValueError(
                f"{path or 'the tensor'} is sparse, nested, quantized or "
                "meta: save the others without it"
            )
        yield path or "tensor", tree
    elif isinstance(tree, (dict, list, tuple)):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, part in pairs:
            yield from tensors_in(part, f"{path}.{key}" if path else str(key))


@dataclass(frozen=True)
class Storage:
    """A storage and the tensors that read it."""

    readers: dict[str, Tensor]
    """The tensors by name, all of one dtype."""
    nbytes: int
    unread: int
    """The bytes that no tensor reads."""


def storages_in(tree: Any) -> list[Storage]:
    """The storages behind the tensors of a tree, in the order of the tree.

    Raises:
        ValueError: as in `tensors_in`, or if a storage is read as two dtypes,
            which `torch.save` refuses as well.
    """
    shared: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors_in(tree):
        # An empty storage has no address, and nothing to share.
        address = tensor.untyped_storage().data_ptr() or -id(tensor)
        shared.setdefault(address, {})[name] = tensor
    storages = []
    for readers in shared.values():
        first, *others = readers.values()
        if any(other.dtype != first.dtype for other in others):
            raise ValueError(
                f"{', '.join(readers)} read one storage as different dtypes: "
                "clone all but one"
            )
        nbytes, width = first.untyped_storage().nbytes(), first.element_size()
        read = int(marks_of(readers.values(), nbytes // width).sum())
        storages.append(Storage(readers, nbytes, nbytes - read * width))
    return storages


# %% [markdown]
# ## Leaving out what nobody reads
#
# The elements that are read move together, and each tensor gets the offset and
# the strides that find its own again. Tensors that shared a storage share the
# new one.
#
# Two tensors can be woven so that no strides fit after the move, like `x[:10]`
# and `x[::2]`. Their storage loses what lies before the first and behind the
# last element that is read, and keeps its gaps.


# %%
def moved(tensor: Tensor, places: Tensor) -> tuple[int, list[int]] | None:
    """The offset and strides with which a tensor finds its elements again.

    Args:
        tensor: The tensor before the move.
        places: The place to which each element of its storage moves, of shape
            `(elements,)` and dtype int64 on the CPU.

    Returns:
        None if no strides do.
    """
    if tensor.numel() == 0:
        return 0, list(tensor.stride())
    walk = once(tensor)
    shape, strides = walk.shape, list(walk.stride())
    after = places.as_strided(shape, strides, walk.storage_offset())
    corner = (0,) * walk.ndim
    offset = int(after[corner])
    for dim, size in enumerate(shape):
        if size > 1:
            strides[dim] = int(after.select(dim, 1)[corner[1:]]) - offset
    line = torch.arange(offset + reach(shape, strides))
    found = torch.equal(line.as_strided(shape, strides, offset), after)
    return (offset, strides) if found else None


@torch.no_grad()
def compact(tree: Any) -> None:
    """Take out of storages what no tensor reads, as far as strides allow.

    The tensors stay the same objects with the same values, and share what they
    shared. It needs memory for some 20 bytes per element of a storage.

    Raises:
        ValueError: as in `storages_in`.
    """
    for storage in storages_in(tree):
        if not storage.unread:
            continue
        readers = list(storage.readers.values())
        first = readers[0]
        whole = torch.empty(0, dtype=first.dtype, device=first.device)
        whole.set_(first.untyped_storage())
        marks = marks_of(readers, len(whole))
        order = torch.arange(len(marks))
        read = order[marks]
        if len(read):
            stretch = (order >= read[0]) & (order <= read[-1])
        for kept in (marks, stretch) if len(read) else (marks,):
            # The second always fits: it moves everything by one distance.
            places = kept.cumsum(0) - 1
            moves = [moved(reader, places) for reader in readers]
            if all(moves):
                break
        smaller = whole[kept.to(whole.device)].untyped_storage()
        for reader, move in zip(readers, moves, strict=True):
            assert move
            offset, strides = move
            reader.set_(smaller, offset, reader.shape, strides)


# %% [markdown]
# ## Files
#
# The copy is written beside its place, read again, compared with the original
# byte by byte, and then renamed. So there is a whole file or none.


# %%
def load(path: Path, device: torch.device) -> Any:
    """The tree of tensors in a file.

    Tensors and plain values are all that is loaded, so a file from a stranger
    runs no code.

    Raises:
        ValueError: if there is no such file, it cannot be read, or it holds no
            tensor, or one of those that `tensors_in` refuses.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        tree = torch.load(path, map_location=device, weights_only=True)
        tensors = list(tensors_in(tree))
    except (OSError, ValueError):
        raise
    except Exception:  # whatever a broken file makes of a reader
        raise ValueError(
            f"{path} cannot be read: it is broken, "
            "or holds more than tensors and plain values"
        ) from None
    if not tensors:
        raise ValueError(
            f"{path} holds no tensor, but a {type(tree).__name__}"
        )
    return tree


@torch.no_grad()
def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have one shape, one dtype and the same bytes.

    Bytes, so that NaN equals itself.
    """
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    lines = []
    for walk in (once(a), once(b)):
        fresh = walk.clone(memory_format=torch.contiguous_format).flatten()
        lines.append(fresh.view(torch.uint8))
    return torch.equal(*lines)


def write_compact(source: Path, target: Path, device: torch.device) -> None:
    """Write a compact copy of a file of tensors.

    Whatever fails, `target` is as it was before.

    Raises:
        ValueError: if `target` is `source` or in no folder, or as in `load`.
        OSError: if the copy cannot be written, or is not like the original.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the file to read: name another one")
    if target.is_dir():
        raise ValueError(f"{target} is a folder: name a file in it")
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent}: make it first")
    tree = load(source, device)
    compact(tree)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            try:
                torch.save(tree, file)
            except RuntimeError:  # so says torch when the disk is full
                raise OSError(f"{target}: no room to write it") from None
            file.flush()
            os.fsync(file.fileno())
        before = dict(tensors_in(load(source, device)))
        after = dict(tensors_in(load(part, device)))
        if before.keys() != after.keys() or not all(
            same(tensor, after[name]) for name, tensor in before.items()
        ):
            raise OSError(f"{target}: the copy was not like {source}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


# %% [markdown]
# ## On the command line


# %%
def report(storages: Sequence[Storage]) -> str:
    """The tensors as a table, and the storages with bytes that nobody reads.

    Strides and offsets are counted in elements.
    """
    rows = [["", "shape", "strides", "offset", "dtype", "storage", ""]]
    unread = []
    for number, storage in enumerate(storages, 1):
        for name, tensor in storage.readers.items():
            places, notes = places_read(tensor), []
            nbytes = places * tensor.element_size()
            if others := [other for other in storage.readers if other != name]:
                notes.append(f"shares with {', '.join(others)}")
            if nbytes < storage.nbytes:
                notes.append(f"reads {nbytes} of {storage.nbytes} bytes")
            if places < tensor.numel():
                notes.append(
                    f"its {tensor.numel()} elements overlap: "
                    "clone it before you write to it"
                )
            rows.append([
                name,
                str(tuple(tensor.shape)),
                str(tensor.stride()),
                str(tensor.storage_offset()),
                str(tensor.dtype),
                str(number),
                "; ".join(notes),
            ])  # fmt: skip
        if storage.unread:
            bytes_of = f"{storage.unread} of {storage.nbytes} bytes"
            unread.append(f"storage {number}: nobody reads {bytes_of}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(table + unread)


def draw(storages: Sequence[Storage]) -> Figure:
    """Draw a bar per storage: the bytes that are read, and the others.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt

    names = [", ".join(storage.readers) for storage in storages]
    unread = [storage.unread / 1e6 for storage in storages]
    read = [(each.nbytes - each.unread) / 1e6 for each in storages]
    figure, place = plt.subplots(
        figsize=(8, 0.4 * len(storages) + 1), layout="constrained"
    )
    place.barh(names, read, label="read")
    place.barh(names, unread, left=read, color="lightgrey", label="unread")
    place.invert_yaxis()
    place.set_xlabel("size of the storage in megabytes")
    place.legend()
    return figure


def write_example(folder: Path) -> Path:
    """Save a batch cut out of 1000 pictures, tied weights, an expanded bias.

    Returns:
        The path of the file.
    """
    pictures, weight = torch.zeros(1000, 28, 28), torch.ones(500, 64)
    path = folder / "example.pt"
    torch.save(
        {
            "batch": pictures[:32],
            "embedding.weight": weight,
            "head.weight": weight,
            "bias": torch.zeros(1).expand(500),
        },
        path,
    )
    return path


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if the input is wrong."""
    parser = argparse.ArgumentParser(
        description="Who reads which bytes of a file of saved tensors."
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="a file of torch.save (default: an example)",
    )
    parser.add_argument(
        "--compact",
        metavar="OUT",
        type=Path,
        help="write a copy without the bytes that nobody reads",
    )
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda|mps"
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw what is read of each storage (.png, .svg, .pdf)",
    )
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            device = device_from(options.device)
            file = options.file or write_example(Path(folder))
            storages = storages_in(load(file, device))
            print(report(storages))
            nbytes = sum(storage.nbytes for storage in storages)
            unread = sum(storage.unread for storage in storages)
            size = file.stat().st_size
            print(
                f"{file.name}: {size} bytes, {nbytes} of them storage, "
                f"{unread} of them read by nobody"
            )
            if options.plot:
                draw(storages).savefig(options.plot)
            if options.compact:
                write_compact(file, options.compact, device)
                smaller = options.compact.stat().st_size
                ratio = f"{smaller / size:.1%} of {file.name}"
                print(f"{options.compact}: {smaller} bytes, {ratio}")
    except (ValueError, OSError) as error:
        print(f"views.py: {error}", file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    if "get_ipython" in globals():  # in a notebook, an example
        with tempfile.TemporaryDirectory() as folder:
            example = write_example(Path(folder))
            storages = storages_in(load(example, torch.device("cpu")))
        print(report(storages))
        draw(storages)
    else:
        sys.exit(main())
