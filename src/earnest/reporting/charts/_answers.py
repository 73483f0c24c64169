"""Figures of what a model answered: confusions, calibration, the two kinds of error, predicted values."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from earnest.errors import DataError
from earnest.reporting import figures, outputs, spotting, tally
from earnest.reporting import scatter as points
from earnest.reporting.charts._style import (
    BLUE,
    GRID,
    INK,
    ORANGE,
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
from earnest.reporting.details import reliability_of
from earnest.reporting.wording import interval_of, number, percent
from earnest.scoring.det import probit

COUNTED = 12  # up to so many classes, counts are written into the cells
LARGEST = 60


def confusion(run: Run, style: Style = "column", *, counts: bool = True) -> Figure:
    """The confusion matrix: rows are labels, columns answers, colour and numbers the share of the row in per cent.

    Parameters
    ----------
    run : its folder.
    counts : write the number of clips below the share, where there are no more than 12 classes.

    Raises
    ------
    DataError : the run has no classes, or more than 60.

    Examples
    --------
    >>> confusion("runs/ravdess", "page")  # doctest: +SKIP
    """
    files = opened(run)
    labels = files.labels
    if files.predictions is None or files.kind != "classes" or len(labels) < 2:
        raise absent(files, "confusion matrix", "it labels no classes, or is not finished")
    if len(labels) > LARGEST:
        raise DataError(f"{len(labels)} classes do not fit into a figure; at most {LARGEST} do.")
    matrix = tally.confusion(files.predictions, labels)
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    with drawing():
        made, axes = figure(style, 85 if style == "column" else 130)
        (panel,) = axes.flat
        panel.imshow(shares, cmap=SHARES, vmin=0, vmax=1, aspect="auto")
        panel.set_xticks(range(len(labels)), labels, rotation=90 if len(labels) > 6 else 0)
        panel.set_yticks(
            range(len(labels)), [f"{name} ({row.sum()})" for name, row in zip(labels, matrix, strict=True)]
        )
        panel.set_xlabel("answer")
        panel.set_ylabel(f"label ({files.units})")
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        for (row, column), share in np.ndenumerate(shares) if len(labels) <= COUNTED else ():
            if matrix[row, column]:
                written = f"{100 * share:.0f}" + (f"\n({matrix[row, column]})" if counts else "")
                colour = "white" if share > 0.5 else INK
                panel.text(column, row, written, ha="center", va="center", color=colour, fontsize=SMALL_PT - 1.5)
    return made


def calibration(run: Run, style: Style = "column") -> Figure:
    """The reliability diagram: right answers over confidence with Wilson intervals, and how many clips there are.

    Raises
    ------
    DataError : the run has no classes, or its scores are no probabilities.

    Examples
    --------
    >>> calibration("runs/ravdess")  # doctest: +SKIP
    """
    files = opened(run)
    found = reliability_of(files)
    if found is None:
        raise absent(files, "calibration", "its answers are no probabilities of classes")
    curve, _ = found
    filled = np.flatnonzero(curve.counts > 0)
    sure, right, clips = curve.confidence[filled], curve.accuracy[filled], curve.counts[filled]
    bounds = [tally.wilson(float(share), int(n)) for share, n in zip(right, clips, strict=True)]
    with drawing():
        made, axes = figure(style, 85, 2, 1, sharex=True, height_ratios=(4, 1))
        upper, lower = axes.flat
        upper.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=0.8)
        upper.errorbar(sure, right, whiskers(bounds, right.tolist()), fmt="o", ms=3, color=BLUE, elinewidth=0.8)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="right answers")
        plain(upper, "both")
        widths = (curve.edges[1:] - curve.edges[:-1])[filled]
        lower.bar(curve.edges[:-1][filled], clips, widths, align="edge", color=PALE_BLUE, edgecolor="white")
        lower.set(xlabel="confidence", ylabel=files.units)
        plain(lower)
        error = number(((files.scores or {}).get("metrics") or {}).get("calibration_error"))
        if error is not None:
            upper.set_title(f"expected calibration error {percent(error)}", loc="left")
    return made


def det(run: Run, style: Style = "column") -> Figure:
    """The DET curve of a run with two classes, with its equal error rate, on axes of normal deviates.

    Raises
    ------
    DataError : the run has not two classes.

    Examples
    --------
    >>> det("runs/depression")  # doctest: +SKIP
    """
    files = opened(run)
    found = outputs.det_of(files)
    if found is None:
        raise absent(files, "DET curve", "it takes two classes with test clips of both")
    curve, wanted, other = found
    ends = figures.det_axis(curve)
    low, high = (float(end) for end in probit(ends))
    ticks = [tick for tick in figures.DET_TICKS if ends[0] <= tick <= ends[1]]
    alarms, misses = zip(*figures.det_points(curve, ends), strict=True)
    equal = float(probit(min(max(curve.equal_error_rate, ends[0]), ends[1])))
    with drawing():
        made, axes = figure(style, 85)
        (panel,) = axes.flat
        panel.plot([low, high], [low, high], "--", color=SOFT, linewidth=0.8)
        panel.plot(alarms, misses, color=BLUE)
        panel.plot([equal], [equal], "o", color=BLUE, ms=4)
        panel.set_title(f"equal error rate {percent(curve.equal_error_rate)}", loc="left")
        names = [f"{100 * tick:g}" for tick in ticks]
        panel.set_xticks(probit(ticks), names)
        panel.set_yticks(probit(ticks), names)
        panel.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        panel.set(xlabel=f"“{other}” taken for “{wanted}”, %", ylabel=f"“{wanted}” missed, %")
        plain(panel, "both")
    return made


def false_alarms(run: Run, style: Style = "column") -> Figure:
    """Words missed over false alarms per hour in streams, and the point that validation chose, with its intervals.

    Raises
    ------
    DataError : the run has listened to no streams.

    Examples
    --------
    >>> false_alarms("runs/keywords")  # doctest: +SKIP
    """
    files = opened(run)
    found = (files.scores or {}).get("spotting")
    if not found or not number((found.get("point") or {}).get("hours")):
        raise absent(files, "false alarms per hour", "its recipe names no keyword, or it has heard no streams")
    point = found["point"]
    known = [one for one in found["curve"] if one["missed_share"] is not None]
    with drawing():
        made, axes = figure(style, 65)
        (panel,) = axes.flat
        panel.plot(
            [one["per_hour"] for one in known],
            [100 * one["missed_share"] for one in known],
            "o-",
            color=BLUE,
            ms=2.5,
            label="every threshold",
            clip_on=False,  # points on the axes are whole
        )
        most = max([1.0, *(one["per_hour"] for one in known)])
        if point["missed_share"] is not None:
            x, y = point["per_hour"], 100 * point["missed_share"]
            across, up = interval_of(point["interval"]) or (x, x), interval_of(point["missed_interval"])
            most = max(most, x, across[1])
            reach = [(100 * up[0], 100 * up[1])] if up else [(y, y)]
            panel.errorbar(
                [x],
                [y],
                whiskers(reach, [y]),
                whiskers([across], [x]),
                fmt="s",
                color=ORANGE,
                ms=4,
                capsize=2,
                elinewidth=0.9,
                label="chosen in validation",
                clip_on=False,
                zorder=3,
            )
        panel.set_xscale("function", functions=(_root, np.square))
        ticks = spotting.rates(most)
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.set(xlabel="false alarms per hour", ylabel="words missed, %", xlim=(0, 1.05 * most), ylim=(0, 100))
        panel.legend(frameon=False)
        plain(panel, "both")
    return made


def _root(values: np.ndarray) -> np.ndarray:
    roots: np.ndarray = np.sqrt(np.maximum(values, 0))
    return roots


def scatter(run: Run, style: Style = "column") -> Figure:
    """Predicted over true values, one panel for each dimension, with the means of groups.

    Raises
    ------
    DataError : the run predicts no values.

    Examples
    --------
    >>> scatter("runs/emotion-regression", "page")  # doctest: +SKIP
    """
    files = opened(run)
    if files.kind != "values" or files.predictions is None:
        raise absent(files, "predicted values", "it answers with classes or tags, or is not finished")
    found = outputs.points_of(files)
    shown = points.drawn(len(found.truth))
    across = 1 if style == "column" else min(3, len(files.labels))
    down = -(-len(files.labels) // across)
    scored = ((files.scores or {}).get("details") or {}).get("ccc") or {}
    with drawing():
        made, axes = figure(style, down * (78 if across == 1 else 165 / across), down, across)
        for place, (panel, name) in enumerate(zip(axes.flat, files.labels, strict=False)):
            truth, said = found.truth[:, place], found.said[:, place]
            panel.plot(truth[shown], said[shown], "o", color=BLUE, alpha=0.3, ms=2, mew=0, rasterized=len(shown) > 500)
            ends = np.array([min(truth.min(), said.min()), max(truth.max(), said.max())])
            margins = ends + np.array([-0.04, 0.04]) * max(ends[1] - ends[0], 1e-9)
            panel.plot(ends, ends, "--", color=SOFT, linewidth=0.8)
            for group in sorted(set(found.groups or ()))[: points.GROUPS_DRAWN]:
                rows = np.array(found.groups) == group
                panel.plot(truth[rows].mean(), said[rows].mean(), "D", color=ORANGE, ms=3.5, mec="white", mew=0.4)
            entry = scored.get(name) or {}
            bounds, value = interval_of(entry.get("interval")), number(entry.get("value"))
            reach = f" [{bounds[0]:.2f}, {bounds[1]:.2f}]" if bounds else ""
            panel.set_title(f"{name}" + (f": CCC {value:.2f}{reach}" if value is not None else ""), loc="left")
            panel.set(xlabel="true", ylabel="predicted", aspect="equal", xlim=margins, ylim=margins)
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            panel.grid(color=GRID, linewidth=0.5)
            plain(panel)
        for panel in list(axes.flat)[len(files.labels) :]:
            panel.set_visible(False)
    return made
