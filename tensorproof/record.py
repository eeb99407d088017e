"""The record: what a run of the suite ran and on what, written by `pytest --record` and shown by the site."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tensorproof.page import Block, Page

PROPERTY = "tensorproof"
"""Name under which a test report carries what its block stands for."""
COUNTED = ("blocks", "results", "errors", "figures", "exercises")


@dataclass(frozen=True)
class Ran:
    """What one block of a page adds to the record."""

    page: str
    """Path of the page below `docs/`."""
    blocks: int
    """Number of blocks on the page."""
    block: str
    fingerprint: str
    results: int
    errors: int
    figures: int
    exercises: int

    @classmethod
    def of(cls, name: str, page: Page, block: Block) -> Ran:
        kinds = Counter(result.kind for result in block.results)
        return cls(
            page=name,
            blocks=len(page.blocks),
            block=block.name,
            fingerprint=fingerprint(block),
            results=kinds["text"],
            errors=kinds["pytb"],
            figures=kinds["figure"],
            exercises=int(block.role == "starter"),
        )


def fingerprint(block: Block) -> str:
    """Tells whether a block and its results are still those that ran."""
    parts = [block.source, *(part for result in block.results for part in (result.kind, result.shown))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def fingerprints(page: Page) -> dict[str, str]:
    """The fingerprint of each block of a page, by its name."""
    return {block.name: fingerprint(block) for block in page.blocks}


class Recorder:
    """A pytest plugin that writes a file with what ran, for every page that ran from end to end and passed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.reports: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        ran = dict(report.user_properties).get(PROPERTY)
        if ran and report.when == "call":
            reason = report.longrepr[2].removeprefix("Skipped: ") if report.skipped else ""
            self.reports.append(ran | {"passed": report.passed, "skipped": reason})

    def pytest_sessionfinish(self) -> None:
        pages = {name: page for name in sorted({ran["page"] for ran in self.reports}) if (page := self.page(name))}
        if pages:
            write(self.file, pages)

    def page(self, name: str) -> dict[str, Any] | None:
        """The counts of a page, or nothing if a block of it failed or did not get its turn."""
        reports = [ran for ran in self.reports if ran["page"] == name]
        skips = [{"block": ran["block"], "reason": ran["skipped"]} for ran in reports if ran["skipped"]]
        done = [ran for ran in reports if ran["passed"]]
        if len(done) + len(skips) < reports[0]["blocks"]:
            return None
        counts = {kind: sum(ran[kind] for ran in done) for kind in COUNTED[1:]}
        prints = {ran["block"]: ran["fingerprint"] for ran in reports}
        return {"blocks": len(done), **counts, "skips": skips, "fingerprints": prints}


def write(file: Path, pages: dict[str, Any]) -> None:
    """Put the pages that ran into the record, under the versions and the device they ran with."""
    recorded = read(file)
    name = ", ".join(f"{key} {value}" for key, value in surroundings().items())
    entry = recorded.setdefault(name, {"date": "", "pages": {}})
    entry["date"] = date.today().isoformat()
    entry["pages"] = entry["pages"] | pages
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n", "utf-8")
    os.replace(part, file)


def read(file: Path) -> dict[str, Any]:
    """The record by surroundings: `{"torch …": {"date": …, "pages": {name: counts}}}`; empty if there is none."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def stale(file: Path, name: str, page: Page) -> str:
    """Why the record does not speak of a page as it is, naming the blocks that changed; empty if it does.

    Args:
        file: The record.
        name: Path of the page below `docs/`.
        page: The page.
    """
    runs = [entry["pages"][name]["fingerprints"] for entry in read(file).values() if name in entry["pages"]]
    if not runs:
        return f"{page.path}: no run of this page is recorded"
    here = fingerprints(page)
    changes = [[block for block in page.blocks if run.get(block.name) != here[block.name]] for run in runs]
    if any(run == here for run in runs):
        return ""
    changed = "\n".join(f"{page.path}:{block.line}: this block has changed" for block in min(changes, key=len))
    return f"{changed or f'{page.path}: a block is gone'}\nsince the page was last recorded"


def surroundings() -> dict[str, str]:
    """Versions and device of this machine."""
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = torch.cuda.get_device_name() if accelerator and accelerator.type == "cuda" else str(accelerator or "CPU")
    return {
        "torch": version("torch").partition("+")[0],
        "torchvision": version("torchvision").partition("+")[0],
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "on": device,
    }
