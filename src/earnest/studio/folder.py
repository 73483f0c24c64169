"""What lies in the folder that a studio shows: runs, lists and folders of recordings, bundles.

An id is the path below its place with `~` for `/`. Ids that come in are compared with what was found; no path is ever
made from them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from earnest.audio import SUFFIXES as AUDIO
from earnest.errors import DataError

LISTS = (".csv", ".tsv", ".jsonl", ".parquet")
AUDIO_COLUMNS = ("audio", "file", "path", "filename", "file_name", "wav")
STARTED = "studio.json"  # how a run was started from a studio, and how it ended
MARKS = ("recipe.yaml", "scores.json", "log.jsonl", STARTED)  # a folder with one of them is a run
GRID = "cells.json"  # what a grid has beside its runs
OWN = ("annotations", "runs", "bundles")
DEPTH = 4  # folders below the studio's in which something is looked for
MOST = 5000  # entries of a folder that are looked at before it is taken for one without recordings


@dataclass(frozen=True)
class Source:
    """Where the rows of a table come from.

    Attributes
    ----------
    id, title : how it is called in addresses, and for people.
    kind : `run`, `file`, `folder` or `corpus`.
    path : the list or the folder; None for a corpus.
    """

    id: str
    title: str
    kind: str
    path: Path | None = None


@dataclass(frozen=True)
class Folder:
    """The folder that a studio shows."""

    root: Path

    @property
    def runs_root(self) -> Path:
        """Where runs lie, and where new ones go."""
        inside = self.root / "runs"
        if inside.is_dir() or not any(is_run(child) for child in _folders(self.root)):
            return inside
        return self.root

    def runs(self) -> dict[str, Path]:
        """Run directories by id; those of a grid lie in its folder."""
        return {_id(path, self.runs_root): path for path in _runs(self.runs_root, DEPTH)}

    def bundles(self) -> dict[str, Path]:
        """Folders with a `bundle.json` by id; a run's bundle has the run's id."""
        found: dict[str, Path] = {}
        for place in (self.runs_root, self.root / "bundles", self.root):
            for path in _marked(place, "bundle.json", DEPTH):
                name = path.parent if path.name == "bundle" and path.parent != place else path
                if path not in found.values():
                    found.setdefault(_id(name, place), path)
        return dict(sorted(found.items()))

    def sources(self) -> list[Source]:
        """Tables of runs, lists of clips and folders of recordings; corpora are not looked for here."""
        runs = [
            Source(f"run:{id}", id.replace("~", "/"), "run", path / "table.parquet")
            for id, path in self.runs().items()
            if (path / "table.parquet").is_file()
        ]
        lists = [
            Source(f"file:{_id(path, self.root)}", str(path.relative_to(self.root)), "file", path)
            for path in _lists(self.root, self.runs_root, 2)
        ]
        folders = [
            Source(f"folder:{_id(path, self.root)}", f"{path.name}/", "folder", path)
            for path in _folders(self.root)
            if path.name not in OWN and not is_run(path) and holds_audio(path)
        ]
        return runs + lists + folders


def find(known: dict[str, Path], id: str, what: str) -> Path:
    """The place of an id.

    Raises
    ------
    DataError : nothing of that id was found.
    """
    if id not in known:
        raise Unknown(f"There is no {what} {id[:80]!r} in this folder.", "Reload the page to see what there is.")
    return known[id]


class Unknown(DataError):
    """Nothing has that id."""


def is_run(path: Path) -> bool:
    """Whether a folder is a run directory."""
    return any((path / mark).is_file() for mark in MARKS)


def holds_audio(folder: Path) -> bool:
    """Whether a folder, or one in it, holds a file named like a recording."""
    seen = 0
    for _, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            seen += 1
            if os.path.splitext(name)[1].lower() in AUDIO:  # noqa: PTH122
                return True
        if seen > MOST:
            return False
    return False


def _id(path: Path, place: Path) -> str:
    relative = path.relative_to(place).as_posix()
    return (place.name if relative == "." else relative.replace("/", "~")) or "here"


def _folders(place: Path) -> list[Path]:
    """The folders in a folder, in order; hidden ones and links are left out."""
    try:
        return sorted(
            child
            for child in place.iterdir()
            if child.is_dir() and not child.is_symlink() and not child.name.startswith(".") and _printable(child.name)
        )
    except OSError:
        return []


def _printable(name: str) -> bool:
    return name.isprintable() and "~" not in name


def _runs(place: Path, depth: int) -> Iterator[Path]:
    if is_run(place):
        yield place
    if depth and (not is_run(place) or (place / GRID).is_file()):
        for child in _folders(place):
            yield from _runs(child, depth - 1)


def _marked(place: Path, mark: str, depth: int) -> Iterator[Path]:
    if (place / mark).is_file():
        yield place
    elif depth:
        for child in _folders(place):
            if not child.name.startswith(("fold-", "insight", "twin")):
                yield from _marked(child, mark, depth - 1)


def _lists(place: Path, runs: Path, depth: int) -> Iterator[Path]:
    if (place == runs and place.name == "runs") or is_run(place) or place.name == "annotations":
        return
    for child in sorted(place.iterdir()):
        if child.suffix in LISTS and child.is_file() and _printable(child.name) and _names_audio(child):
            yield child
    if depth:
        for child in _folders(place):
            yield from _lists(child, runs, depth - 1)


def _names_audio(path: Path) -> bool:
    """Whether the first line of a list names a column of recordings; parquet files are taken as they are."""
    if path.suffix == ".parquet":
        return True
    try:
        with path.open("rb") as stream:
            first = stream.readline(10_000).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return any(name in first for name in AUDIO_COLUMNS)
