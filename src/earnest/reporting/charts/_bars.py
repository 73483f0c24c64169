"""Figures of scores side by side: by group, by condition, and the cells of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earnest.errors import DataError
from earnest.reporting import grids
from earnest.reporting.charts._style import (
    BLUE,
    INK,
    PALE_BLUE,
    SHARES,
    SMALL_PT,
    SOFT,
    Run,
    Style,
    absent,
    drawing,
    figure,
    opened,
    plain,
    whiskers,
)
from earnest.reporting.details import groups_of
from earnest.reporting.insights import told_conditions
from earnest.reporting.tally import Share
from earnest.reporting.verdict import is_void
from earnest.reporting.wording import PLAIN_METRICS, interval_of, metric_name, number, score_bare

ROW_MM, FRAME_MM = 3.6, 14.0
LUMINANCE = (0.2126, 0.7152, 0.0722)  # weights of red, green and blue (ITU-R BT.709)


def groups(run: Run, style: Style = "column") -> Figure:
    """The share of right answers of every speaker (or other group), weakest on top, with Wilson intervals over clips.

    Raises
    ------
    DataError : the run has no classes, no groups, or hardly more than one clip of each.

    Examples
    --------
    >>> groups("runs/ravdess")  # doctest: +SKIP
    """
    files = opened(run)
    found = groups_of(files)
    if found is None:
        raise absent(files, "scores by group", "it has no classes, no groups, or hardly more than one clip of each")
    noun, shares, pooled = found
    with drawing():
        made, axes = figure(style, FRAME_MM + ROW_MM * len(shares))
        (panel,) = axes.flat
        _bars(panel, shares)
        panel.axvline(100 * pooled, color=SOFT, linestyle="--", linewidth=0.8)
        panel.set_xlabel(f"{files.units} labelled correctly, %, by {noun}")
    return made


def conditions(run: Run, style: Style = "column") -> Figure:
    """The score for every value of the table's other columns, with intervals by group; dashed, that over all clips.

    Raises
    ------
    DataError : the table has no such columns.

    Examples
    --------
    >>> conditions("runs/ravdess")  # doctest: +SKIP
    """
    files = opened(run)
    found = told_conditions(files)
    if not found:
        raise absent(files, "scores by condition", "its table has no further column with 2 to 12 values")
    primary = (files.scores or {}).get("primary", "accuracy")
    factor = 1.0 if str(primary) in PLAIN_METRICS else 100.0
    overall = number((files.scores or {}).get("score"))
    rows = [len(shares) for shares in found.values()]
    with drawing():
        height = 8 + sum(7 + ROW_MM * count for count in rows)
        made, axes = figure(style, height, len(found), 1, sharex=True, height_ratios=rows)
        for panel, (name, shares) in zip(axes.flat, found.items(), strict=True):
            _bars(panel, shares, factor)
            panel.set_title(name, loc="left")
            if overall is not None:
                panel.axvline(factor * overall, color=SOFT, linestyle="--", linewidth=0.8)
        panel.set_xlabel(metric_name(primary) + (", %" if factor > 1 else ""))
    return made


def _bars(panel: Axes, shares: Sequence[Share], factor: float = 100.0) -> None:
    """One bar for each share, the first on top, with its interval."""
    values = [factor * share.value for share in shares]
    bounds = [(factor * share.low, factor * share.high) for share in shares]
    places = range(len(shares))
    panel.barh(places, values, 0.6, color=PALE_BLUE)
    panel.errorbar(values, places, xerr=whiskers(bounds, values), fmt="o", color=BLUE, ms=3, elinewidth=0.9)
    panel.set_yticks(places, [f"{share.name} ({share.clips})" for share in shares])
    panel.set_ylim(len(shares) - 0.4, -0.6)
    if factor > 1:
        panel.set_xlim(0, 100)
    plain(panel, "x")


def grid(directory: str | Path, style: Style = "page") -> Figure:
    """The heat map of a grid over its two largest axes, one map for each combination of the others.

    Parameters
    ----------
    directory : the grid's folder.

    Raises
    ------
    DataError : the folder is no grid, or its cells have no coordinates.

    Examples
    --------
    >>> grid("runs/emotion-grid")  # doctest: +SKIP
    """
    _, cells = grids.read_grid(Path(directory))
    found = grids.layout(cells)
    if found is None:
        raise DataError(f"{directory} has no axes: its cells have no coordinates.")
    ends = grids.ends_of(cells)
    low, high = ends or (0.0, 1.0)
    with drawing():
        height = 10 + len(found.maps) * (12 + 7 * len(found.rows))
        made, axes = figure(style, height, len(found.maps), 1)
        for panel, (title, rows) in zip(axes.flat, found.maps.items(), strict=True):
            table = np.array([[_score(cell) for cell in row] for row in rows])
            drawn = panel.imshow(table, cmap=SHARES, vmin=low - 0.25 * (high - low), vmax=high, aspect="auto")
            for (row, column), score in np.ndenumerate(table):
                dark = bool(np.isfinite(score)) and np.dot(drawn.to_rgba(score)[:3], LUMINANCE) < 0.5
                _write(panel, rows[row][column], (column, row), dark=dark)
            panel.set_xticks(range(len(found.columns)), found.columns)
            panel.set_yticks(range(len(found.rows)), found.rows)
            panel.set_ylabel(found.down)
            panel.set_title(title, loc="left")
            panel.tick_params(length=0)
            panel.spines[:].set_visible(False)
        panel.set_xlabel(found.across or "")
    return made


def _score(cell: grids.Cell | None) -> float:
    """What colours a cell: its honest score."""
    honest = cell is not None and cell.score is not None and not is_void(cell.scores or {})
    return float(cell.score) if honest and cell is not None and cell.score is not None else float("nan")


def _write(panel: Axes, cell: grids.Cell | None, place: tuple[float, float], *, dark: bool) -> None:
    """A cell's score and interval; what became of it where it has none."""
    if cell is None:
        return
    if cell.score is None:
        words = cell.status
    else:
        bounds = interval_of((cell.scores or {}).get("interval"))
        reach = "–".join(score_bare(cell.primary, bound) for bound in bounds) if bounds else ""
        void = " void" if is_void(cell.scores or {}) else ""
        words = score_bare(cell.primary, cell.score) + void + (f"\n{reach}" if reach else "")
    panel.text(*place, words, ha="center", va="center", fontsize=SMALL_PT - 1, color="white" if dark else INK)
