"""The report of a grid: a heat map over its two largest axes, its table, and the cells that have no score.

Like the report of a run it is one file that asks nothing of the network; its cells lead to the reports of their runs,
which lie in folders beside it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from earnest.errors import DataError
from earnest.reporting.rundir import read_run
from earnest.reporting.sections import Section
from earnest.reporting.verdict import is_void
from earnest.reporting.wording import between, interval_of, listing, many, metric_name, number, score_bare, score_text

INDEX = "cells.json"
MAPS = 24


@dataclass(frozen=True)
class Cell:
    """One cell of a grid.

    Attributes
    ----------
    coordinates : axis → the cell's point on it.
    run : its run directory, relative to the grid's.
    status : `done`, `failed`, `left out` or `open`.
    reason, remedy : why there is no score, and what to do.
    scores : its `scores.json`; None where there is none.
    """

    coordinates: Mapping[str, str]
    run: str
    status: str
    reason: str | None = None
    remedy: str | None = None
    scores: Mapping[str, Any] | None = None

    @property
    def score(self) -> float | None:
        """The score, where the cell has one."""
        return number((self.scores or {}).get("score"))

    @property
    def primary(self) -> str:
        """The metric of its score."""
        return str((self.scores or {}).get("primary", "accuracy"))

    @property
    def place(self) -> str:
        """Its coordinates in words: `model lstm, features raw`."""
        return ", ".join(f"{axis} {point}" for axis, point in self.coordinates.items())


def read_grid(directory: Path) -> tuple[str, list[Cell]]:
    """The name of a grid and its cells, finished or not.

    Raises
    ------
    DataError : the folder is no grid, or its index is damaged.
    """
    path = directory / INDEX
    if not path.is_file():
        raise DataError(f"{directory} is not a grid: it holds no {INDEX}.", "Give the folder that 'earnest run' named.")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise DataError(f"{path} is damaged: {problem}.", "Run the grid again; finished cells are kept.") from problem
    cells = []
    for entry in index["cells"]:
        place = directory / entry["run"]
        scores = read_run(place).scores if (place / "scores.json").is_file() else None
        reason = entry.get("problem") or entry.get("left_out")
        cells.append(Cell(entry["coordinates"], entry["run"], entry["status"], reason, entry.get("remedy"), scores))
    return index["name"], cells


@dataclass(frozen=True)
class Layout:
    """How a grid is drawn: axes down and across, their points, and one map for each combination of the other axes.

    Attributes
    ----------
    maps : title → rows of cells, (points down, points across); None where there is no such cell.
    """

    down: str
    across: str | None
    rows: list[str]
    columns: list[str]
    maps: dict[str, list[list[Cell | None]]]


def layout(cells: Sequence[Cell]) -> Layout | None:
    """The two largest axes of a grid make its maps; None where cells have no coordinates."""
    points: dict[str, list[str]] = {}
    for cell in cells:
        for axis, point in cell.coordinates.items():
            if point not in points.setdefault(axis, []):
                points[axis].append(point)
    if not points:
        return None
    largest = sorted(points, key=lambda axis: -len(points[axis]))[:2]
    down, across = (largest[0], largest[1]) if len(largest) > 1 else (largest[0], None)
    others = [axis for axis in points if axis not in largest]
    axes = [down, *([across] if across else []), *others]
    found = {tuple(cell.coordinates.get(axis) for axis in axes): cell for cell in cells}
    columns: list[tuple[str, ...]] = [(point,) for point in points[across]] if across else [()]
    maps = {}
    for rest in itertools.product(*(points[axis] for axis in others)):
        inside = [[found.get((row, *column, *rest)) for column in columns] for row in points[down]]
        if any(any(row) for row in inside):
            maps[", ".join(f"{axis} {point}" for axis, point in zip(others, rest, strict=True))] = inside
    return Layout(down, across, points[down], points[across] if across else ["score"], maps)


def head(name: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """Title, verdict and key figures of the page."""
    done = [cell for cell in cells if cell.score is not None]
    kinds = {status: sum(cell.status == status for cell in cells) for status in ("done", "failed", "left out", "open")}
    counted = listing([f"{n} {status}" for status, n in kinds.items() if n])
    honest = [cell for cell in done if not is_void(cell.scores or {})]
    metrics = {cell.primary for cell in honest}
    best = max(honest, key=lambda cell: cell.score or 0.0) if honest and len(metrics) == 1 else None
    words = f"{many(len(cells), 'cell')}: {counted}."
    if best is not None:
        bounds = interval_of((best.scores or {}).get("interval"))
        sure = f" (95 % interval {between(best.primary, bounds)})" if bounds else ""
        words += f" The highest score is {score_text(best.primary, best.score)}{sure}, of {best.place}."
        if len(honest) > 1:
            words += f" It is the highest of {len(honest)} on the same test clips, so it flatters a little."
    corpora = list(dict.fromkeys(str((cell.scores or {}).get("corpus")) for cell in done))
    protocols = list(dict.fromkeys(str((cell.scores or {}).get("protocol")) for cell in done))
    return {
        "name": name,
        "corpus": listing(corpora) if corpora else None,
        "protocol": protocols[0] if len(protocols) == 1 else None,
        "verdict": words,
        "standing": "grid",
        "facts": [("cells", len(cells)), *((status, n) for status, n in kinds.items() if n)],
    }


def ends_of(cells: Sequence[Cell]) -> tuple[float, float] | None:
    """The lowest and the highest honest score; None without any, and where cells are known by several metrics."""
    known = [cell.score for cell in cells if cell.score is not None and not is_void(cell.scores or {})]
    metrics = {cell.primary for cell in cells if cell.scores}
    return (min(known), max(known)) if known and len(metrics) == 1 else None


def heat_map(cells: Sequence[Cell]) -> Section | None:
    """The scores over the two largest axes, one map for every combination of the others."""
    found = layout(cells)
    if found is None:
        return None
    metrics, ends = list(dict.fromkeys(cell.primary for cell in cells if cell.scores)), ends_of(cells)
    maps = [
        {
            "title": title,
            "rows": [
                {"name": name, "cells": [_shown(cell, ends) for cell in row]}
                for name, row in zip(found.rows, inside, strict=True)
            ],
        }
        for title, inside in found.maps.items()
    ]
    data = {
        "down": found.down,
        "across": found.across,
        "columns": found.columns,
        "maps": maps[:MAPS],
        "hidden": max(0, len(maps) - MAPS),
        "metric": listing([metric_name(metric) for metric in metrics]) or "score",
        "ends": [score_text(metrics[0], end) for end in ends] if ends else None,
    }
    return Section("cells", "Scores of the cells", "cells.html.j2", data)


def _shown(cell: Cell | None, ends: tuple[float, float] | None) -> dict[str, Any]:
    """One cell of the map: what is written in it, how dark it is, and where it leads."""
    if cell is None:
        return {"kind": "none", "text": "", "small": "", "link": None, "share": None, "say": ""}
    score, bounds = cell.score, interval_of((cell.scores or {}).get("interval"))
    if score is None:
        say = f"{cell.place}: {cell.status}" + (f": {cell.reason}" if cell.reason else "")
        return {"kind": "missing", "text": cell.status, "small": "", "link": None, "share": None, "say": say}
    void = is_void(cell.scores or {})
    share = None
    if ends and not void:
        share = round((score - ends[0]) / (ends[1] - ends[0]), 3) if ends[1] > ends[0] else 0.5
    return {
        "kind": "void" if void else "done",
        "text": score_bare(cell.primary, score),
        "small": between(cell.primary, bounds) if bounds else "",
        "link": f"{quote(cell.run)}/report.html",
        "share": share,
        "say": cell.place + (": void, on a leaky split" if void else ""),
    }


def missing(cells: Sequence[Cell]) -> Section | None:
    """The cells that failed, were left out or have not ended, with their reasons."""
    rows = [
        {"place": cell.place, "status": cell.status, "reason": cell.reason, "remedy": cell.remedy}
        for status in ("failed", "left out", "open")
        for cell in cells
        if cell.status == status
    ]
    return Section("missing", "Cells without a score", "missing.html.j2", {"rows": rows}) if rows else None
