"""Random chains of operations on a tensor, as a reader of the strides explorable writes them, and what torch does."""

from __future__ import annotations

import math
import random
import warnings
from dataclasses import dataclass, field

import torch

METHODS = ("permute", "transpose", "reshape", "view", "flatten", "squeeze", "unsqueeze", "expand", "contiguous")
OPERATIONS = (*METHODS, "T", "mT", "index")
LARGEST, RANKS = 256, 6
"""How many elements and dimensions the explorable draws."""


@dataclass
class Step:
    """An operation that torch did, and the tensor that it made."""

    text: str
    tensor: torch.Tensor
    memory: str
    warned: bool = False


@dataclass
class Case:
    """A chain on `torch.arange(n).reshape(shape)`: the steps that torch did, and what it raised at last, or nothing."""

    shape: list[int]
    chain: str = ""
    steps: list[Step] = field(default_factory=list)
    failure: str = ""

    def __post_init__(self) -> None:
        x = torch.arange(math.prod(self.shape)).reshape(self.shape)
        self.steps.append(Step("x", x, "storage of x"))
        self._storages = {x.untyped_storage().data_ptr(): "x"}

    @property
    def tensor(self) -> torch.Tensor:
        """What the last step made."""
        return self.steps[-1].tensor

    def add(self, text: str) -> bool:
        """Have torch do one more operation. What is not drawn is not added."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            after = outcome(text, self.tensor)
        if isinstance(after, str):
            self.failure = after
        elif after.numel() > LARGEST or after.ndim > RANKS or min(after.shape, default=0) < 0:
            return False
        else:
            self.steps.append(Step(text, after, self._memory(after), bool(warned)))
        self.chain += text
        return True

    def _memory(self, after: torch.Tensor) -> str:
        """What an operation did to the memory, in the words of the explorable."""
        pointer = after.untyped_storage().data_ptr()
        if after is self.tensor:
            return "the same tensor"
        if pointer in self._storages:
            return f"view of {self._storages[pointer]}"
        self._storages[pointer] = "the copy" if len(self._storages) == 1 else f"copy {len(self._storages)}"
        return "copy"


def numbers(chooser: random.Random, low: int, high: int, count: int) -> list[int]:
    return [chooser.randint(low, high) for _ in range(count)]


def random_case(chooser: random.Random) -> tuple[Case, list[str]]:
    """Grow a chain of one to five operations until one is illegal. Returns the names of its operations as well."""
    case, names = Case(start(chooser)), []
    for _ in range(chooser.randint(1, 5)):
        while not case.add(operation(chooser, name := chooser.choice(OPERATIONS), case.tensor)):
            pass
        names.append(name)
        if case.failure:
            break
    return case, names


def outcome(text: str, tensor: torch.Tensor) -> torch.Tensor | str:
    """The tensor that an operation makes, or the name and the first line of the error that it raises."""
    try:
        return eval(f"tensor{text}", {"tensor": tensor})
    except (RuntimeError, IndexError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def start(chooser: random.Random) -> list[int]:
    while True:
        shape = chooser.choices([1, 1, 2, 2, 3, 4, 5], k=chooser.choice([0, 1, 2, 2, 3, 3, 3, 4]))
        if shape and chooser.random() < 0.02:
            shape[chooser.randrange(len(shape))] = 0
        if math.prod(shape) <= 48:
            return shape


def operation(chooser: random.Random, name: str, tensor: torch.Tensor) -> str:
    """An operation as Python writes it: legal for the tensor, or nearly so."""
    rank = tensor.ndim
    wild = chooser.random() < 0.18
    ends = -max(rank, 1) - wild, max(rank, 1) - 1 + wild
    if name in ("T", "mT"):
        return f".{name}"
    if name == "index":
        return index(chooser, tensor)
    if name == "permute":
        arguments = [chooser.choice([dim, dim - rank]) for dim in chooser.sample(range(rank), rank)]
        if wild:
            arguments = numbers(chooser, -rank - 1, rank + 1, max(rank + chooser.choice([-1, 0, 0, 1]), 0))
    elif name == "transpose":
        arguments = numbers(chooser, *ends, 2)
    elif name == "flatten":
        both = sorted(numbers(chooser, 0, max(rank, 1) - 1, 2), reverse=wild)
        arguments = chooser.choice([[], numbers(chooser, *ends, 1), both, [both[0], -1]])
    elif name == "squeeze":
        ones = [dim for dim, size in enumerate(tensor.shape) if size == 1]
        arguments = chooser.choice([[], numbers(chooser, *ends, 1), ones, ones[:1] * (2 if wild else 1)])
    elif name == "unsqueeze":
        arguments = [chooser.randint(-rank - 1 - wild, rank + wild)]
    elif name == "expand":
        arguments = expanded(chooser, tensor)
    elif name == "contiguous":
        arguments = []
    else:
        arguments = target_shape(chooser, tensor)
    written = ", ".join(map(str, arguments))
    if name in ("permute", "reshape", "view", "expand"):
        if not arguments or chooser.random() < 0.05:
            written = f"({written}{',' if len(arguments) == 1 else ''})"
        elif chooser.random() < 0.05:
            written = f"[{written}]"
    return f".{name}({written})"


def target_shape(chooser: random.Random, tensor: torch.Tensor) -> list[int]:
    """A shape to ask `view` for: mostly of the right number of elements, often close to the one there is."""
    how = chooser.random()
    if how < 0.2:
        return numbers(chooser, -2, 6, chooser.randint(0, 4))
    if how < 0.6:
        return cut(chooser, tensor.numel())
    sizes = list(tensor.shape)
    if len(sizes) > 1 and how < 0.85:  # merge two neighbours
        at = chooser.randrange(len(sizes) - 1)
        sizes[at : at + 2] = [sizes[at] * sizes[at + 1]]
    sizes.insert(chooser.randint(0, len(sizes)), 1)
    return sizes


def cut(chooser: random.Random, elements: int) -> list[int]:
    """Sizes that multiply to a number of elements, with ones between them, and sometimes -1 for one of them."""
    sizes = [] if elements else [0, *numbers(chooser, 0, 3, chooser.randint(0, 2))]
    while elements > 1:
        sizes.append(chooser.choice([size for size in range(2, elements + 1) if elements % size == 0]))
        elements //= sizes[-1]
    sizes += [1] * chooser.choice([0, 0, 1, 2])
    chooser.shuffle(sizes)
    if sizes and chooser.random() < 0.3:
        sizes[chooser.randrange(len(sizes))] = -1
    return sizes


def expanded(chooser: random.Random, tensor: torch.Tensor) -> list[int]:
    added = numbers(chooser, chooser.choice([0, 1, 1, 1]), 3, chooser.choice([0, 0, 1, 2]))
    sizes = added + [chooser.choice([size, -1, 3 if size == 1 else size]) for size in tensor.shape]
    if sizes and chooser.random() < 0.2:
        sizes[chooser.randrange(len(sizes))] = chooser.randint(-2, 5)
        return sizes[chooser.choice([0, 0, 1]) :]
    return sizes


def index(chooser: random.Random, tensor: torch.Tensor) -> str:
    wild = chooser.random() < 0.25
    items = []
    for dim in range(chooser.randint(0, tensor.ndim + wild)):
        size = tensor.shape[dim] if dim < tensor.ndim else 2
        if chooser.random() < 0.4:
            items.append(str(chooser.randint(-size - wild, max(size - 1 + wild, 0))))
        else:
            start, stop = (chooser.choice(["", "", str(end)]) for end in numbers(chooser, -size - 1, size + 1, 2))
            steps = ["", "", ":", ":1", ":2", ":3", *([":-1", ":0", ":-2"] * 3 if wild else [])]
            items.append(f"{start}:{stop}{chooser.choice(steps)}")
    extras = chooser.choice([[], [], ["None"], ["..."], ["...", "None"]]) or ([] if items else ["None"])
    for extra in extras:
        items.insert(chooser.randint(0, len(items)), extra)
    return f"[{', '.join(items)}{',' if chooser.random() < 0.05 else ''}]"
