"""What all figures share: sizes, fonts, colours, and how they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from earnest.errors import DataError
from earnest.files import atomic_path
from earnest.reporting.png import Palette
from earnest.reporting.rundir import RunFiles, read_run

Style = Literal["column", "page"]
Run = str | Path | RunFiles

MM = 1 / 25.4  # inches
WIDTHS = {"column": 85 * MM, "page": 178 * MM}
TEXT_PT, SMALL_PT = 8.0, 7.0
INK, SOFT, GRID = "#1d2025", "#5b616b", "#dddad3"
BLUE, ORANGE = "#0f62a8", "#b04a00"
PALE_BLUE = "#a9c9e6"
# Of the page's embedding map: told apart by colour-blind readers; shapes come to their help after eight.
COLOURS = ("#4477aa", "#ee8866", "#228833", "#cc3377", "#66bbdd", "#bba020", "#8855bb", "#7a6a5a")
SHAPES = ("o", "s", "^")
SHARES = LinearSegmentedColormap.from_list("shares", ["#f7f9fb", PALE_BLUE, BLUE, "#0a2f52"])
CJK = ("Noto Serif CJK SC", "Noto Sans CJK SC", "Source Han Serif SC", "WenQuanYi Zen Hei", "SimSun", "PingFang SC")


@cache
def families() -> list[str]:
    """The fonts of the figures: a serif one that comes with matplotlib, then one for Chinese where there is any."""
    known = set(font_manager.get_font_names())
    return ["STIXGeneral", *(name for name in CJK if name in known), "DejaVu Sans"]


def settings() -> Any:
    """matplotlib's settings (a mapping by the names of its own) while a figure is made and while it is saved."""
    return {
        "font.family": families(),
        "mathtext.fontset": "stix",
        "font.size": TEXT_PT,
        "axes.titlesize": TEXT_PT,
        "axes.labelsize": TEXT_PT,
        "axes.titlepad": 3.0,
        "axes.labelpad": 2.0,
        "xtick.labelsize": SMALL_PT,
        "ytick.labelsize": SMALL_PT,
        "legend.fontsize": SMALL_PT,
        "axes.edgecolor": SOFT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": SOFT,
        "ytick.color": SOFT,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 1.2,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "earnest",
    }


def figure(style: Style, height_mm: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, Any]:
    """A figure as wide as its style says, with its axes (rows, columns) as an object array.

    Raises
    ------
    DataError : there is no such style.
    """
    if style not in WIDTHS:
        raise DataError(f"style must be {' or '.join(WIDTHS)}, not {style!r}.")
    made = Figure(figsize=(WIDTHS[style], height_mm * MM), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02))
    return made, made.subplots(rows, columns, squeeze=False, **more)


def drawing() -> Any:
    """The context in which figures are made."""
    return rc_context(settings())


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the ending of the path says how: `.pdf` with embedded fonts, `.svg`, or `.png` at 300 dpi.

    The same figure gives the same bytes. What stood there is replaced only when all is written.

    Raises
    ------
    DataError : another ending.
    StorageError : the file cannot be written.

    Examples
    --------
    >>> save(confusion("runs/fsdd"), "confusion.pdf")  # doctest: +SKIP
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    undated: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    if kind not in undated:
        raise DataError(f"{target.name}: figures are written as .pdf, .svg or .png.", "Choose one of these endings.")
    with rc_context(settings()), atomic_path(target) as part:
        figure.savefig(part, format=kind, dpi=300, metadata=undated[kind])
    return target


def opened(run: Run) -> RunFiles:
    """The run, read where it is given as a folder; its answers are those of the units that its score counts.

    Raises
    ------
    DataError : the folder is not a run directory, or a file in it is damaged.
    """
    from earnest.reporting.tally import at_level

    return at_level(run if isinstance(run, RunFiles) else read_run(Path(run)))


def absent(run: RunFiles, what: str, why: str) -> DataError:
    """The error of a run that does not hold what a figure draws."""
    return DataError(f"{run.path} has no {what}: {why}.")


def colours_of(palette: Palette) -> ListedColormap:
    """One of the report's palettes for pictures."""
    return ListedColormap(palette.astype(float) / 255)


def plain(axes: Axes, grid: Literal["x", "y", "both"] | None = None) -> None:
    """Leave out the frame above and to the right; a faint grid where there is one."""
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.5)
        axes.set_axisbelow(True)


def whiskers(bounds: Sequence[tuple[float, float]], values: Sequence[float]) -> np.ndarray:
    """Distances of intervals from their values as matplotlib's error bars want them, (2, values)."""
    low, high = np.array([bound[0] for bound in bounds]), np.array([bound[1] for bound in bounds])
    middle = np.asarray(values)
    reach: np.ndarray = np.maximum(0.0, np.stack([middle - low, high - middle]))
    return reach
