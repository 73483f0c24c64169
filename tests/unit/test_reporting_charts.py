"""Figures for papers: every one is drawn from a run, holds the report's numbers, and is saved as vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from insight_run import write_insight
from matplotlib.figure import Figure
from reporting_run import write_run

from earnest.errors import DataError
from earnest.reporting import charts, tally
from earnest.reporting.rundir import read_run

OF_CLASSES = ("calibration", "confusion", "groups", "learning", "mel", "embedding", "conditions")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = ("angry", "neutral", "sad")
    return write_insight(write_run(tmp_path_factory.mktemp("runs") / "three", labels=labels, skill=1.0, epochs=4))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "two", labels=("no", "yes"), skill=0.6, epochs=2)


def words(figure: Figure) -> str:
    figure.canvas.draw()
    return " ".join(text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text")))


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("style", ["column", "page"])
def test_every_figure_has_the_width_of_its_style_and_is_saved(run: Path, tmp_path: Path, name: str, style: Any) -> None:
    figure = getattr(charts, name)(run, style)
    assert figure.get_figwidth() * 25.4 == pytest.approx({"column": 85, "page": 178}[style])
    first = charts.save(figure, tmp_path / "a.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    assert b"/FontFile2" in first  # TrueType, embedded: journals refuse Type 3
    assert b"/Type3" not in first
    assert charts.save(getattr(charts, name)(run, style), tmp_path / "b.pdf").read_bytes() == first


def test_the_confusion_matrix_holds_the_reports_counts(run: Path) -> None:
    files = read_run(run)
    assert files.predictions is not None
    matrix = tally.confusion(files.predictions, files.labels)
    found = words(charts.confusion(run))
    for row, column in ((0, 0), (1, 2)):
        share = 100 * matrix[row, column] / matrix[row].sum()
        assert f"{share:.0f}\n({matrix[row, column]})" in found


def test_learning_curves_say_their_gap(run: Path) -> None:
    assert "gap +" in words(charts.learning(run, folds=2))
    with pytest.raises(DataError, match="at least 1"):
        charts.learning(run, folds=0)


def test_a_det_curve_takes_two_classes(run: Path, two: Path) -> None:
    assert "equal error rate" in words(charts.det(two))
    with pytest.raises(DataError, match="no DET curve: it takes two classes"):
        charts.det(run)


def test_false_alarms_of_a_run_that_heard_streams(run: Path, two: Path) -> None:
    with pytest.raises(DataError, match="no false alarms per hour"):
        charts.false_alarms(run)
    point = {"threshold": 0.5, "per_hour": 0.5, "interval": [0.1, 1.4], "missed_share": 0.2, "hours": 4.0}
    point |= {"missed_interval": [0.1, 0.4]}
    curve = [{**point, "per_hour": rate, "missed_share": missed} for rate, missed in ((0.0, 0.9), (0.5, 0.2), (9, 0))]
    scores = json.loads((two / "scores.json").read_text())
    (two / "scores.json").write_text(json.dumps({**scores, "spotting": {"point": point, "curve": curve}}))
    figure = charts.false_alarms(two)
    assert "false alarms per hour" in words(figure)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0, 0.5, 9]
    assert figure.axes[0].get_xticks().tolist() == [0, 1, 3]  # few, where the axis is a square root


def test_predicted_values(tmp_path: Path, run: Path) -> None:
    with pytest.raises(DataError, match="no predicted values"):
        charts.scatter(run)
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, (40, 2))
    rows = pl.DataFrame(
        {
            "id": [str(n) for n in range(40)],
            "fold": "1",
            "seed": 0,
            "speaker": [f"s{n % 4}" for n in range(40)],
            "source": pl.Series([None] * 40, dtype=pl.String),
            "targets": truth.tolist(),
            "scores": (0.5 * truth + 1).tolist(),
        }
    )
    rows.write_parquet(tmp_path / "predictions.parquet")
    details = {"ccc": {"arousal": {"value": 0.61, "interval": [0.5, 0.7]}}}
    scores = {"kind": "values", "labels": ["arousal", "valence"], "group": "speaker", "details": details}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    figure = charts.scatter(tmp_path, "page")
    assert "arousal: CCC 0.61 [0.50, 0.70]" in words(figure)
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert len(shown) == 2
    for panel in shown:
        assert panel.get_xlim() == panel.get_ylim()
        assert panel.get_xticks().tolist() == panel.get_yticks().tolist()


def test_the_heat_map_of_a_grid(tmp_path: Path) -> None:
    entries = []
    for model in ("a", "b"):
        for features in ("x", "y", "z"):
            place = tmp_path / f"{model}{features}"
            done = (model, features) != ("b", "z")
            if done:
                place.mkdir()
                (place / "scores.json").write_text(json.dumps({"score": 0.4 + 0.1 * len(entries), "primary": "uar"}))
            entries.append(
                {
                    "coordinates": {"model": model, "features": features},
                    "run": place.name,
                    "status": "done" if done else "failed",
                    "problem": None,
                }
            )
    (tmp_path / "cells.json").write_text(json.dumps({"name": "g", "cells": entries}))
    found = words(charts.grid(tmp_path))
    assert "40.0" in found
    written = {text.get_text(): text.get_color() for text in charts.grid(tmp_path).axes[0].texts}
    assert (written["40.0"], written["70.0"]) == ("#1d2025", "white")
    assert "failed" in found
    with pytest.raises(DataError, match="is not a grid"):
        charts.grid(tmp_path / "ax")


def test_bad_styles_endings_and_names_are_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="style must be column or page"):
        charts.confusion(run, "poster")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"\.pdf, \.svg or \.png"):
        charts.save(charts.confusion(run), tmp_path / "a.jpg")
    with pytest.raises(AttributeError, match="confusion"):
        charts.confusions  # noqa: B018
    assert "save" in dir(charts)
