"""What torchvision makes of a photo in every order of eight steps: asked of it, and written for the explorable.

`python tests/explorables/pipelines.py` writes `pipeline-states.json`. Where two orders lead to the same values, they
share a state, and the rest of the way: so 533 answers tell all 109,601 orders.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.data import coffee
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

RECORD = Path(__file__).parents[2] / "docs" / "explorables" / "pipeline-states.json"
MEANS, DEVIATIONS = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
STEPS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "crop": ("CenterCrop(24)", v2.CenterCrop(24)),
    "grayscale": ("Grayscale()", v2.Grayscale()),
    "to_image": ("ToImage()", v2.ToImage()),
    "to_float": ("ToDtype(torch.float32, scale=True)", v2.ToDtype(torch.float32, scale=True)),
    "to_unscaled": ("ToDtype(torch.float32)", v2.ToDtype(torch.float32)),
    "divide": ("lambda x: x / 255", lambda x: x / 255),
    "normalize": ("Normalize(means, deviations)", v2.Normalize(MEANS, DEVIATIONS)),
    "to_tensor": ("ToTensor()", v1.ToTensor()),
}
"""Under the name that the page gives a step: how it is written, and what it is."""

RIGHT = (["to_image", "to_float", "normalize"], ["crop", "to_image", "to_float", "normalize"])
"""What ResNet18 was trained on comes out of these, but for the sizes."""


def photo() -> Image.Image:
    """A cup of coffee, small enough to bake."""
    return Image.fromarray(coffee()).crop((0, 0, 533, 400)).resize((32, 24), Image.Resampling.LANCZOS)


def values(x: Any) -> np.ndarray:
    return np.asarray(x)


def look(x: Any) -> list[str]:
    """What a reader would call the type, and shape and dtype as NumPy has them."""
    names = {Image.Image: "Pillow picture", tv_tensors.Image: "tv_tensors.Image", torch.Tensor: "torch.Tensor"}
    return [names[type(x)], str(values(x).shape), str(values(x).dtype)]


def alike(x: Any, y: Any) -> bool:
    """Whether two of one look hold the same. Floats may differ in their last digits, as orders of a sum make them."""
    a, b = values(x), values(y)
    return np.array_equal(a, b) if a.dtype == np.uint8 else np.allclose(a, b, rtol=1e-4, atol=1e-6)


def run(step: str, x: Any) -> Any:
    """What a step returns, or the error in words."""
    try:
        return STEPS[step][1](x)
    except (TypeError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def levels(x: Any) -> np.ndarray:
    """What of the values a screen would show: bytes as they are, floats from 0, black, to 1, white. Channels last."""
    a = values(x).astype(float)
    if not isinstance(x, Image.Image):
        a = a.transpose(1, 2, 0)
    return a.reshape(*a.shape[:2], -1) * (1 if values(x).dtype == np.uint8 else 255)


def pixels(x: Any) -> np.ndarray:
    return levels(x).clip(0, 255).round().astype(np.uint8)


def outside(x: Any) -> int:
    """How many percent of the values a screen cannot show. 0 and 100 mean none and all."""
    a = levels(x)
    share = ((a < -0.01) | (a > 255.01)).mean()
    return round(100 * share) if share in (0, 1) else min(max(round(100 * share), 1), 99)


def numbers(x: Any) -> list[float]:
    """Minimum, maximum and mean in four digits."""
    a = values(x).astype(float)
    return [float(f"{number:.4g}") for number in (a.min(), a.max(), a.mean())]


@dataclass
class Graph:
    """All states that orders of the steps lead to, the photo first, and where each step leads from each of them."""

    states: list[Any] = field(default_factory=list)
    of_look: dict[tuple[str, ...], list[int]] = field(default_factory=dict)
    after: dict[tuple[int, str], int | str] = field(default_factory=dict)

    def number(self, x: Any) -> int:
        same = self.of_look.setdefault(tuple(look(x)), [])
        for n in same:
            if alike(self.states[n], x):
                return n
        same.append(len(self.states))
        self.states.append(x)
        return len(self.states) - 1

    def follow(self, order: Sequence[str]) -> int | str:
        """The state that an order leads to, or its error."""
        at: int | str = 0
        for step in order:
            if isinstance(at, str):
                break
            at = self.after[at, step]
        return at


def ask() -> Graph:
    """Run every step on every state that it can meet, each step once in an order."""
    graph = Graph()
    todo = [(graph.number(photo()), frozenset(STEPS))]
    met = set(todo)
    for at, left in todo:
        for step in sorted(left, key=list(STEPS).index):
            if (at, step) not in graph.after:
                made = run(step, graph.states[at])
                graph.after[at, step] = made if isinstance(made, str) else graph.number(made)
            goal = graph.after[at, step]
            if isinstance(goal, int) and (goal, left - {step}) not in met:
                met.add((goal, left - {step}))
                todo.append((goal, left - {step}))
    return graph


def right(graph: Graph) -> list[int]:
    """The states that hold what ResNet18 was trained on, of whatever type they are."""
    goals = [graph.states[graph.follow(order)] for order in RIGHT]
    return [
        n
        for n, state in enumerate(graph.states)
        if any(
            look(state)[1:] == look(goal)[1:] and np.allclose(values(state), values(goal), atol=1e-4) for goal in goals
        )
    ]


def packed(picture: np.ndarray) -> str:
    file = BytesIO()
    Image.fromarray(picture.squeeze()).save(file, "WEBP", lossless=True, quality=100, method=6)
    return base64.b64encode(file.getvalue()).decode()


def unpacked(text: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(text))).convert("RGB"))


def write(graph: Graph) -> None:
    """Write the states, one in a line. Pictures between which nobody sees a difference are written once."""
    looks: list[list[str]] = []
    errors = sorted({error for error in graph.after.values() if isinstance(error, str)})
    pictures: list[np.ndarray] = []
    lines = []
    for n, state in enumerate(graph.states):
        if look(state) not in looks:
            looks.append(look(state))
        seen = pixels(state)
        near = [m for m, other in enumerate(pictures) if seen.shape == other.shape and is_near(seen, other)]
        if not near:
            pictures.append(seen)
        goals = [graph.after.get((n, step)) for step in STEPS]
        after = [-1 - errors.index(goal) if isinstance(goal, str) else goal for goal in goals]
        picture = near[0] if near else len(pictures) - 1
        lines.append([looks.index(look(state)), *numbers(state), outside(state), picture, after])
    record = {
        "steps": [[name, text] for name, (text, _) in STEPS.items()],
        "looks": looks,
        "errors": errors,
        "right": right(graph),
        "states": lines,
        "pictures": [packed(picture) for picture in pictures],
    }
    parts = (f'"{name}":[\n' + ",\n".join(map(dense, each)) + "\n]" for name, each in record.items())
    RECORD.write_text("{" + ",\n".join(parts) + "}\n", "utf-8")


def dense(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace(".0,", ",")


def is_near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether pixels differ by at most 5 of 255 levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max()) <= 5


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(ask())
