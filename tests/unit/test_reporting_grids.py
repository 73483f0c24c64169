"""The report of a grid: every cell in its place, with its score or the reason why it has none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from reporting_run import write_run

from earnest.errors import DataError
from earnest.overview import write_overview
from earnest.reporting.grids import Cell, head, heat_map


def cell(score: float | None, status: str = "done", leaky: bool = False, **coordinates: str) -> Cell:
    scores = (
        {"score": score, "interval": [score - 0.1, score + 0.1], "primary": "uar", "leaky": leaky} if score else None
    )
    return Cell(coordinates, "-".join(coordinates.values()), status, None if score else "it broke", None, scores)


def shown(cells: list[Cell]) -> Any:
    section = heat_map(cells)
    assert section is not None
    return section.data


def test_the_two_largest_axes_make_the_map_and_the_others_one_map_each() -> None:
    cells = [
        cell(0.5 + 0.01 * n, size=size, model=model, front=front)
        for n, (size, model, front) in enumerate((s, m, f) for s in "12" for m in "abc" for f in "xyz")
    ]
    data = shown(cells)
    assert (data["down"], data["across"], data["columns"]) == ("model", "front", ["x", "y", "z"])
    assert [one["title"] for one in data["maps"]] == ["size 1", "size 2"]
    assert [row["name"] for row in data["maps"][0]["rows"]] == ["a", "b", "c"]
    assert data["maps"][0]["rows"][1]["cells"][2]["text"] == "55.0"
    assert (data["maps"][0]["rows"][0]["cells"][0]["share"], data["maps"][1]["rows"][2]["cells"][2]["share"]) == (0, 1)


def test_one_axis_is_one_column_and_cells_without_a_score_say_why() -> None:
    data = shown([cell(0.5, model="a"), cell(None, "failed", model="b"), cell(0.9, leaky=True, model="c")])
    (one,) = data["maps"]
    kinds = [row["cells"][0]["kind"] for row in one["rows"]]
    assert kinds == ["done", "missing", "void"]
    assert one["rows"][1]["cells"][0]["say"] == "model b: failed: it broke"
    assert one["rows"][2]["cells"][0]["share"] is None


def test_the_verdict_counts_and_says_that_the_best_of_many_flatters() -> None:
    words = head("g", [cell(0.5, m="a"), cell(0.7, m="b"), cell(0.9, leaky=True, m="c"), cell(None, "failed", m="d")])
    assert words["verdict"] == (
        "4 cells: 3 done and 1 failed. The highest score is 70.0 % (95 % interval 60.0–80.0), of m b. "
        "It is the highest of 2 on the same test clips, so it flatters a little."
    )


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grid")
    entries = []
    for number, (model, status) in enumerate(
        [("lstm", "done"), ("<crnn>", "done"), ("svm", "failed"), ("vgg", "open")]
    ):
        entry = {"coordinates": {"model": model, "features": "raw"}, "run": f"cell {number}", "status": status}
        if status == "done":
            write_run(root / entry["run"], speakers=3, takes=1, epochs=1, skill=2.0 + number)
        entries.append(entry | {"problem": "needs one <row>" if status == "failed" else None, "remedy": "Add it."})
    (root / "cells.json").write_text(json.dumps({"name": "emotions", "table": {}, "cells": entries}))
    return root


def test_the_page_leads_to_the_runs_and_names_what_is_missing(grid: Path) -> None:
    page = write_overview(grid).read_text(encoding="utf-8")
    assert re.findall(r'<section id="(\w+)"', page) == ["cells", "table", "missing"]
    assert re.findall(r'<a href="(cell[^"]+)"', page) == ["cell%200/report.html", "cell%201/report.html"]
    assert "needs one &lt;row&gt;" in page
    assert "<crnn>" not in page
    assert page.count("<strong>") >= 1


def test_a_grid_without_any_score_has_a_page_too(tmp_path: Path) -> None:
    entry = {"coordinates": {"model": "a"}, "run": "a", "status": "failed", "problem": "no clips", "remedy": None}
    (tmp_path / "cells.json").write_text(json.dumps({"name": "g", "cells": [entry]}))
    assert "no clips" in write_overview(tmp_path).read_text(encoding="utf-8")
    (tmp_path / "cells.json").write_text("{")
    with pytest.raises(DataError, match="Run the grid again"):
        write_overview(tmp_path)


def test_a_runs_folder_gets_the_report_of_the_run(grid: Path) -> None:
    page = write_overview(grid / "cell 0").read_text(encoding="utf-8")
    assert '<section id="confusions"' in page
