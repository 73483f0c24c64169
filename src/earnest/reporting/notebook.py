"""A notebook that draws a run's figures with `earnest.reporting.charts`: plain JSON, in the format nbformat 4.5.

It holds code and words but no results: whoever opens it runs it, and changes what the paper needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from earnest.files import atomic_write_text
from earnest.reporting import details, outputs, sections
from earnest.reporting.insights import told_conditions
from earnest.reporting.rundir import RunFiles, read_run
from earnest.reporting.tally import at_level

FILE = "report.ipynb"


def write_notebook(runs: Sequence[Path]) -> Path:
    """Write `report.ipynb` into the folder of the first run, with the figures that each of the runs has.

    Parameters
    ----------
    runs : folders of runs or grids.

    Returns
    -------
    The path of the notebook.

    Raises
    ------
    DataError : a folder is neither a run nor a grid, or a file in it is damaged.
    StorageError : the notebook cannot be written.
    """
    from earnest.reporting.grids import INDEX

    target = runs[0] / FILE
    cells = [
        ("markdown", "# Figures\n\nDrawn by `earnest.reporting.charts` from the runs' own files; see `help(charts)`."),
        ("code", "%matplotlib inline\nfrom pathlib import Path\n\nfrom earnest.reporting import charts"),
    ]
    for path in runs:
        place = repr(str(path.resolve()))
        cells += [("markdown", f"## {path.resolve().name}"), ("code", f"run = Path({place})")]
        names = ["grid"] if (path / INDEX).is_file() else figures_of(at_level(read_run(path)))
        cells += [("code", f"charts.{name}(run)") for name in names]
        cells.append(("code", f'charts.save(charts.{names[0]}(run), "{names[0]}.pdf")') if names else ("code", ""))
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(cells) if text],
    }
    atomic_write_text(target, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return target


def figures_of(run: RunFiles) -> list[str]:
    """The names of the figures that `earnest.reporting.charts` can draw of a run."""
    return list(_figures(run))


def _figures(run: RunFiles) -> Iterator[str]:
    scores, insight = run.scores or {}, run.path / "insight"
    if run.predictions is not None and run.kind == "classes" and 2 <= len(run.labels) <= details.MATRIX_CLASSES:
        yield "confusion"
    if sections.curves_of(run):
        yield "learning"
    if details.groups_of(run) is not None:
        yield "groups"
    if told_conditions(run):
        yield "conditions"
    if details.reliability_of(run) is not None:
        yield "calibration"
    if outputs.det_of(run) is not None:
        yield "det"
    if ((scores.get("spotting") or {}).get("point") or {}).get("hours"):
        yield "false_alarms"
    if run.kind == "values" and run.predictions is not None:
        yield "scatter"
    if (insight / "mel.npz").is_file():
        yield "mel"
    if (insight / "map.json").is_file():
        yield "embedding"


def _cell(number: int, kind: str, text: str) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return {**cell, "source": text.splitlines(keepends=True)}
