"""The figure of a training: losses over epochs."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from earnest.errors import DataError
from earnest.reporting.charts._style import BLUE, ORANGE, Run, Style, absent, drawing, figure, opened, plain
from earnest.reporting.sections import curves_of, overfitting_gap

PANELS = {"column": 2, "page": 4}  # side by side


def learning(run: Run, style: Style = "page", *, folds: int = 12) -> Figure:
    """Training and validation loss over the epochs, one panel for each fold on shared axes.

    Every panel says its over-fitting gap, (validation − training) / training loss at the last epoch: a diagnosis, not a
    score.

    Parameters
    ----------
    run : its folder.
    folds : how many folds are drawn at most.

    Raises
    ------
    DataError : the run's model trains without epochs, or `folds` is less than 1.

    Examples
    --------
    >>> learning("runs/ravdess", folds=4)  # doctest: +SKIP
    """
    files = opened(run)
    if folds < 1:
        raise DataError(f"folds must be at least 1, not {folds}.")
    found = dict(list(curves_of(files).items())[:folds])
    if not found:
        raise absent(files, "learning curves", "its model trains without epochs, or has not begun")
    across = min(PANELS.get(style, 1), len(found))
    down = -(-len(found) // across)
    with drawing():
        made, axes = figure(style, 10 + 36 * down, down, across, sharex=True, sharey=True)
        for panel, (name, curves) in zip(axes.flat, found.items(), strict=False):
            for place, curve in enumerate(curves):
                for points, colour, line, word in (
                    (curve.train, BLUE, "-", "training"),
                    (curve.validation, ORANGE, "--", "validation"),
                ):
                    if points:
                        one = {"marker": "o", "ms": 2.5} if len(points) == 1 else {}
                        panel.plot(*zip(*points, strict=True), line, color=colour, label=None if place else word, **one)
            gap = overfitting_gap(curves)
            panel.set_title(f"fold {name}" + ("" if gap is None else f", gap {100 * gap:+.0f} %"), loc="left")
            plain(panel, "y")
        for panel in list(axes.flat)[len(found) :]:
            panel.set_visible(False)
        axes[0, 0].set_ylim(bottom=0)
        axes[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0, 0].legend(frameon=False)
        made.supxlabel("epoch", fontsize=8)
        made.supylabel("loss", fontsize=8)
    return made
