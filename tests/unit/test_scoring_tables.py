"""Comparison tables in four styles."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ElementTree

import pytest

from earnest.errors import DataError
from earnest.scoring.tables import Column, render

ROWS = [
    {"model": "svm", "score": (0.822, 0.7, 0.9), "loss": 0.51, "n": 3000},
    {"model": "cnn_a|b <&>", "score": (0.873, 0.841, 0.9), "loss": 0.4, "n": 3000},
    {"model": "twin", "score": (0.985, 0.98, 0.99), "loss": 0.1, "n": 3000, "void": "speakers shared"},
    {"model": "none"},
]
COLUMNS = [
    Column("model", "Model"),
    Column("score", "Accuracy %", "percent", "high"),
    Column("loss", "Log loss", "number", "low", 2),
    Column("n", "Clips", "count"),
]


def test_markdown() -> None:
    assert render(ROWS, COLUMNS) == (
        "| Model | Accuracy % | Log loss | Clips |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| svm | 82.2 [70.0, 90.0] | 0.51 | 3,000 |\n"
        "| cnn_a\\|b <&> | **87.3** [84.1, 90.0] | **0.40** | 3,000 |\n"
        "| twin (void: speakers shared) | 98.5 [98.0, 99.0] | 0.10 | 3,000 |\n"
        "| none |  |  |  |\n"
    )


def test_latex() -> None:
    text = render(ROWS, COLUMNS, "latex")
    assert r"cnn\_a|b <\&> & \textbf{87.3} [84.1, 90.0]" in text
    assert r"Accuracy \%" in text
    assert text.startswith("\\begin{tabular}{lrrr}\n\\toprule")


def test_csv_holds_full_numbers() -> None:
    lines = list(csv.DictReader(io.StringIO(render(ROWS, COLUMNS, "csv"))))
    assert lines[1] == {
        "model": "cnn_a|b <&>", "score": "0.873", "score_low": "0.841", "score_high": "0.9",
        "loss": "0.4", "n": "3000", "void": "",
    }  # fmt: skip
    assert lines[2]["void"] == "speakers shared"
    assert lines[3]["score_high"] == ""


def test_html_is_escaped_and_well_formed() -> None:
    tree = ElementTree.fromstring(render(ROWS, COLUMNS, "html"))
    cells = ["".join(cell.itertext()) for cell in tree.iter("td")]
    assert "cnn_a|b <&>" in cells
    assert [strong.text for strong in tree.iter("strong")] == ["87.3", "0.40"]
    assert [row.get("class") for row in tree.iter("tr")][1:] == [None, None, "void", None]


def test_ties_as_shown_are_all_bold_and_a_single_row_is_not() -> None:
    rows = [{"score": 0.87301}, {"score": 0.87299}, {"score": 0.8}]
    assert render(rows).count("**") == 4
    assert "**" not in render([{"score": 0.9}])


def test_columns_are_guessed() -> None:
    text = render([{"model": "a", "score": (0.5, 0.4, 0.6), "clips": 3, "seconds": 12.34}])
    assert "| a | 50.0 [40.0, 60.0] | 3 | 12.3 |" in text


def test_errors() -> None:
    with pytest.raises(DataError, match="markdown"):
        render(ROWS, COLUMNS, "markdwon")
    with pytest.raises(DataError, match="no number"):
        render([{"score": "high"}], [Column("score", "Score", "percent")])
    with pytest.raises(DataError, match="2 parts"):
        render([{"score": (1, 2)}], [Column("score", "Score", "percent")])


def test_rows_of_different_corpora_do_not_compete() -> None:
    rows = [
        {"run": "a", "corpus": "easy", "accuracy": 0.9},
        {"run": "b", "corpus": "hard", "accuracy": 0.5},
        {"run": "c", "corpus": "hard", "accuracy": 0.6},
    ]
    text = render(rows, [Column("run", "run"), Column("accuracy", "accuracy", "percent", "high")])
    assert "**60.0**" in text
    assert "**90.0**" not in text
