"""One unit of a run: one fold and one seed.

A unit is everything that depends on the training rows of one fold. It shares nothing with any other unit but the
decoded audio, so units may run in any order and in any number of processes, and a finished one is never run again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.files import atomic_write_text
from earnest.recipe import Recipe
from earnest.training.origins import Origin


@dataclass(frozen=True)
class Unit:
    """What one unit works on; plain values, so that it travels to another process.

    Attributes
    ----------
    directory : the unit's own folder in the run directory.
    cache : folder of the run's decoded audio, targets and groups.
    recipe, seed, fold : what is done.
    training, validation, test : rows of the table.
    labels : names of the outputs.
    ship : also export, and compare the exported file with the scored model.
    origin : the weights it starts from, where the recipe says so.
    streams : rows of recordings for streams, those of the validation groups and those of the test groups.
    """

    directory: Path
    cache: Path
    recipe: Recipe
    seed: int
    fold: str
    training: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    labels: tuple[str, ...]
    data_hash: str
    ship: bool
    origin: Origin | None = None
    streams: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides the result."""
        rows = [self.training, self.validation, self.test]
        facts = [self.recipe.hash, self.data_hash, self.seed, self.fold, rows, self.labels, self.ship]
        facts += [self.origin.sha256] if self.origin else []
        facts += [self.streams] if any(self.streams) else []
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def forget_other_work(unit: Unit) -> None:
    """Remove what another recipe or other data left in the unit's folder: nothing may go on from there."""
    place = unit.directory / "identity"
    if place.is_file() and place.read_text(encoding="utf-8") == unit.identity:
        return
    shutil.rmtree(unit.directory / "checkpoint", ignore_errors=True)
    (unit.directory / "log.jsonl").unlink(missing_ok=True)
    atomic_write_text(place, unit.identity)


def finished(unit: Unit) -> dict[str, Any] | None:
    """The record of a unit that is done already with exactly this work."""
    try:
        record = json.loads((unit.directory / "done.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256((unit.directory / "predictions.npy").read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None
    same = isinstance(record, dict) and record.get("identity") == unit.identity
    return record if same and record.get("predictions_sha256") == digest else None


def append_log(unit: Unit, member: int, record: dict[str, Any]) -> None:
    """Add one epoch to the unit's log."""
    line = json.dumps({"seed": unit.seed, "fold": unit.fold, "member": member, **record})
    with (unit.directory / "log.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def read_log(directory: Path) -> list[dict[str, Any]]:
    """A unit's epochs in order; what was done again after a kill counts once, half lines not at all."""
    try:
        lines = (directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    epochs: dict[tuple[int, int], dict[str, Any]] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        epochs[record["member"], record["epoch"]] = record
    return [epochs[key] for key in sorted(epochs)]


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a folder against every other process; waits for one that is just ending."""
    with (directory / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def end_with_parent(parent: int) -> None:
    """Let this worker process end when the command that started it is gone, however it went."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
