"""The report of a grid: a heat map over its two largest axes, its table, and the cells that have no score.

Like the report of a run it is one file that asks nothing of the network; its cells lead to the reports of their runs,
which lie in folders beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from earnest.reporting.sections import Section
from earnest.reporting.verdict import is_void
from earnest.reporting.wording import between, interval_of, listing, many, metric_name, number, score_bare, score_text

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


def heat_map(cells: Sequence[Cell]) -> Section | None:
    """The scores over the two largest axes, one map for every combination of the others."""
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
    metrics = list(dict.fromkeys(cell.primary for cell in cells if cell.scores))
    known = [cell.score for cell in cells if cell.score is not None and not is_void(cell.scores or {})]
    ends = (min(known), max(known)) if known and len(metrics) == 1 else None
    axes = [down, *([across] if across else []), *others]
    found = {tuple(cell.coordinates.get(axis) for axis in axes): cell for cell in cells}
    columns: list[tuple[str, ...]] = [(point,) for point in points[across]] if across else [()]
    maps: list[dict[str, Any]] = []
    for rest in itertools.product(*(points[axis] for axis in others)):
        inside = [[found.get((row, *column, *rest)) for column in columns] for row in points[down]]
        if not any(any(row) for row in inside):
            continue
        rows = [
            {"name": name, "cells": [_shown(cell, ends) for cell in row]}
            for name, row in zip(points[down], inside, strict=True)
        ]
        title = ", ".join(f"{axis} {point}" for axis, point in zip(others, rest, strict=True))
        maps.append({"title": title, "rows": rows})
    data = {
        "down": down,
        "across": across,
        "columns": points[across] if across else ["score"],
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
