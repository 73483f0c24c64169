"""The report of a folder: that of a run, or that of a grid with a link to each of its runs; and of several runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from earnest.comparison import compare_runs
from earnest.errors import DataError
from earnest.files import atomic_write_text
from earnest.reporting.report import page, write_report
from earnest.reporting.sections import Section
from earnest.scoring.paired import holm
from earnest.scoring.tables import render
from earnest.tabulation import INDEX, find_runs, tabulate

if TYPE_CHECKING:
    from earnest.reporting.versus import Pair

COMPARED = 12


def write_overview(path: Path) -> Path:
    """Write `report.html` into the folder of a run or a grid.

    Returns
    -------
    The path of the report.

    Raises
    ------
    DataError : the folder is neither, or a file in it is damaged.
    MissingExtra : polars or jinja2 is not installed.
    StorageError : the report cannot be written.
    """
    return write_grid_report(path) if (path / INDEX).is_file() else write_report(path)


def write_grid_report(directory: Path) -> Path:
    """Write the report of a grid, finished or not: heat map, table, and the cells without a score."""
    from markupsafe import Markup

    from earnest.reporting import grids

    name, cells = grids.read_grid(directory)
    sections = [grids.heat_map(cells)]
    if any(cell.scores for cell in cells):
        table = Markup(render(*tabulate([directory]), "html"))  # `render` escapes every cell
        sections.append(Section("table", "Table", "tabulated.html.j2", {"table": table, "place": str(directory)}))
    sections.append(grids.missing(cells))
    target = directory / "report.html"
    atomic_write_text(target, page(grids.head(name, cells), sections))
    return target


def write_comparison(paths: Sequence[Path], target: Path | None = None) -> Path:
    """Write the page that compares finished runs.

    Parameters
    ----------
    paths : runs, grids, or folders of runs; from two to twelve runs in all.
    target : where to; None stands for `comparison.html` in the folder that holds the first run.

    Returns
    -------
    The path of the page.

    Raises
    ------
    DataError : a path holds no finished run, there are too few or too many of them, or a file is damaged.
    MissingExtra : polars or jinja2 is not installed.
    StorageError : the page cannot be written.
    """
    from markupsafe import Markup

    from earnest.reporting import versus
    from earnest.reporting.rundir import read_run
    from earnest.reporting.sounds import Sounds
    from earnest.reporting.tally import at_level

    places = [run.path for run in find_runs(paths)]
    if not 2 <= len(places) <= COMPARED:
        remedy = f"Give from 2 to {COMPARED} of them; `earnest table` takes any number."
        raise DataError(f"{len(places)} runs cannot be compared on one page.", remedy)
    names, runs = versus.names_of(places), [at_level(read_run(place)) for place in places]
    pairs = pairs_of(places)
    sounds = Sounds(versus.table_of(runs))
    table = Markup(render(*tabulate(paths), "html"))  # `render` escapes every cell
    sections = [
        versus.scores(runs, names),
        versus.differences(names, pairs),
        versus.classes(runs, names),
        versus.groups(runs, names),
        versus.disagreements(runs, names, sounds),
        Section("table", "Table", "tabulated.html.j2", {"table": table, "place": " ".join(map(str, paths))}),
    ]
    target = target or places[0].resolve().parent / "comparison.html"
    atomic_write_text(target, page(versus.head(runs, names, pairs), sections, sounds))
    return target


def pairs_of(places: Sequence[Path]) -> list[Pair]:
    """Every two of the runs, tested over the clips that both answered; p-values corrected by Holm's method."""
    from earnest.reporting.versus import Pair

    found: list[Pair] = []
    for a, b in itertools.combinations(range(len(places)), 2):
        try:
            found.append(Pair(a, b, compare_runs(places[a], places[b])))
        except DataError as problem:
            found.append(Pair(a, b, {}, problem=problem.message))
    corrected = iter(holm([pair.result["p_value"] for pair in found if pair.result]).tolist())
    return [replace(pair, corrected=next(corrected)) if pair.result else pair for pair in found]
