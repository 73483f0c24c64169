"""The report of a folder: that of a run, or that of a grid with a link to each of its runs."""

from __future__ import annotations

from pathlib import Path

from earnest.files import atomic_write_text
from earnest.reporting.report import page, write_report
from earnest.reporting.sections import Section
from earnest.scoring.tables import render
from earnest.tabulation import INDEX, tabulate


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
