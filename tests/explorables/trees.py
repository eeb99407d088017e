"""Random trees of folders and files, written as lines, and what a real ImageFolder makes of them."""

from __future__ import annotations

import random
import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder

ROOTS = ("train", "test")
NAMES = (
    *("1", "2", "10", "01", "day 2", "day 10", "cat", "Cat 3", "dog", "Zebra", "ant", "test", "train"),
    *("a", "a b", "a.b", "a-b", "it  is", "end ", "B.jpg", ".ipynb_checkpoints", ".a", "_", "x'y", 'q"r', "<b>"),
    *("éland", "e\u0301tang", "Ärzte", "ß", "日本", "🐕", "🐈 1", "\uff5e", "\ufb01g", "𝛀", "K\u0307"),
)
"""Some lie on both sides of the halves that JavaScript makes of an emoji, and some sort around a slash."""
ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".JPG", ".Png", ".TIFF"),
    *(".gif", ".txt", ".jpg.txt", "", "jpg", ".jpg~", ".JPE", ".heic"),
)


@dataclass(frozen=True)
class Tree:
    """Lines as a reader types them, and whether empty classes are allowed."""

    lines: list[str]
    allow_empty: bool

    def write(self, place: Path) -> None:
        """Make the files, which are empty, and the folders. A final slash tells a folder."""
        for line in filter(None, self.lines):
            path = place / line
            (path if line.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if not line.endswith("/"):
                path.touch()


def _key(name: str) -> str:
    """Names with one key are one name on some file systems."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFKD", name).casefold())


def _folder(chooser: random.Random, path: str, depth: int) -> list[str]:
    """The lines of a folder: files, folders, or that it has none."""
    taken: set[str] = set()
    lines = []
    for _ in range(chooser.choice((0, 1, 1, 2, 3)) if chooser.random() < 0.9 else 0):
        name = chooser.choice(NAMES)
        is_folder = depth < 3 and chooser.random() < 0.3
        name = name if is_folder else name.strip() + chooser.choice(ENDINGS[: chooser.choice((1, 12, len(ENDINGS)))])
        if _key(name) in taken:
            continue
        taken.add(_key(name))
        lines += _folder(chooser, f"{path}{name}/", depth + 1) if is_folder else [f"{path}{name}"]
    return lines or [path]


def _classes(chooser: random.Random) -> list[str]:
    names = {_key(name): name for name in chooser.sample(NAMES, chooser.choice((1, 2, 3, 4, 5)))}
    return list(names.values())


def _part(chooser: random.Random, root: str, classes: list[str]) -> list[str]:
    lines = []
    for name in classes:
        lines += _folder(chooser, f"{root}/{name}/", 1)
        if chooser.random() < 0.7:
            lines.append(f"{root}/{name}/{chooser.randrange(20)}.jpg")
    if chooser.random() < 0.2:
        lines += [f"{root}/{name}" for name in ("readme.txt", "0.png")]
    return lines or [f"{root}/"] * chooser.randrange(2)


def random_tree(chooser: random.Random) -> Tree:
    """Two datasets that have most classes in common. Some lines stand twice, some are empty, none is too long."""
    train = _classes(chooser)
    test = [name for name in train if chooser.random() < 0.8]
    if chooser.random() < 0.3:
        test = list({_key(name): name for name in [*test, *_classes(chooser)]}.values())
    lines = []
    for root, classes in zip(ROOTS, (train, test), strict=True):
        lines += _part(chooser, root, classes if chooser.random() < 0.95 else [])
    lines += chooser.sample(lines, min(2, len(lines)))
    lines = [line for line in lines if len(line) <= 60]
    chooser.shuffle(lines)
    lines = lines[:40]
    return Tree([*lines, ""] if chooser.random() < 0.5 else lines, chooser.random() < 0.5)


def dataset(root: str, allow_empty: bool) -> ImageFolder | str:
    """The dataset in the folder `root` of the folder that is open, or what ImageFolder raises."""
    try:
        return ImageFolder(root, allow_empty=allow_empty)
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def left_out(root: str, data: ImageFolder) -> list[str]:
    """The files that are no samples, those beside the classes first, and why."""
    chosen = {path for path, _ in data.samples}
    files = [path for path in Path(root).rglob("*") if path.is_file() and str(path) not in chosen]
    beside = sorted(str(path) for path in files if path.parent == Path(root))
    rest = sorted((path.parts[1], str(path.parent), path.name) for path in files if path.parent != Path(root))
    return [f"{path} (in no class folder)" for path in beside] + [
        f"{folder}/{name} (extension)" for _, folder, name in rest
    ]


def surprise(names: list[str]) -> str:
    """The sentence on the first two neighbours that a person would swap."""

    def parts(name: str) -> list[Any]:
        bare = "".join(c for c in unicodedata.normalize("NFD", name) if unicodedata.category(c) != "Mn")
        found: list[Any] = re.split(r"([0-9]+)", bare.lower())
        found[1::2] = map(int, found[1::2])
        return found

    for a, b in pairwise(names):
        if parts(a) > parts(b):
            x, y = next((x, y) for x, y in zip(a, b, strict=False) if x != y)
            told = [f'ord("{c}") is {ord(c)}'.replace('"""', '"\\""') for c in (x, y)]
            return f"{a} comes before {b}: {', '.join(told)}."
    return ""


def shown(tree: Tree) -> dict[str, Any]:
    """What is seen of a tree that is written in the folder that is open."""
    found = [dataset(root, tree.allow_empty) for root in ROOTS]
    classes = [[] if isinstance(data, str) else data.classes for data in found]
    labels = [set() if isinstance(data, str) else set(data.targets) for data in found]
    for data in found:
        assert isinstance(data, str) or data.class_to_idx == {name: n for n, name in enumerate(data.classes)}
    count = max(map(len, classes))
    other = {n for n, names in enumerate(zip(*classes, strict=False)) if len(set(names)) > 1}
    rows = []
    for n in range(count):
        cells = []
        for part in range(2):
            if n >= len(classes[part]):
                cells.append(["none"])
                continue
            name = classes[part][n]
            marks = ["another class"] * (n in other and part == 1) + ["hidden"] * name.startswith(".")
            cells.append([name, *marks, *["no samples"] * (n not in labels[part])])
        rows.append([str(n), n in other, *cells])
    parts = []
    for part, data in enumerate(found):
        if isinstance(data, str):
            parts.append({"failed": data, "samples": [], "out": []})
            continue
        samples = [[path, str(label)] for path, label in data.samples]
        for sample, label in zip(samples, data.targets, strict=True):
            if part == 1 and label in other:
                sample.append(f"{classes[0][label]} in train")
        parts.append({"failed": "", "samples": samples, "out": left_out(ROOTS[part], data)})
    why = dict.fromkeys(filter(None, map(surprise, classes)))
    return {"said": verdict(found, classes, len(other)), "rows": rows, "parts": parts, "why": " ".join(why)}


def verdict(found: list[ImageFolder | str], classes: list[list[str]], other: int) -> str:
    failed = [root for root, data in zip(ROOTS, found, strict=True) if isinstance(data, str)]
    if failed:
        return f"ImageFolder raises an error for {' and '.join(failed)}."
    if other:
        return f"{'1 index means' if other == 1 else f'{other} indices mean'} another class in test."
    more, less = sorted(ROOTS, key=lambda root: -len(classes[ROOTS.index(root)]))
    if len(classes[0]) == len(classes[1]):
        return "Each index means the same class in train and in test."
    return f"Each index of {less} means the same class in {more}, which has more of them."
