"""The comparison of several runs as a page, and the notebook of figures."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from reporting_run import write_run
from test_reporting_report import Page
from typer.testing import CliRunner

from earnest.cli import app
from earnest.comparison import compare_runs
from earnest.errors import DataError
from earnest.overview import pairs_of, write_comparison
from earnest.reporting import notebook, versus
from earnest.reporting.rundir import read_run

LABELS = ("angry", "neutral", "sad")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    skills = {"strong": 3.0, "weak": 0.4, "weak too": 0.4}
    made = [write_run(root / name, labels=LABELS, skill=skill, epochs=2) for name, skill in skills.items()]
    # The third differs from the second in a few answers only.
    frame = pl.read_parquet(made[2] / "predictions.parquet").with_row_index()
    other = pl.when(pl.col("index") % 40 == 0).then(pl.lit("sad")).otherwise("prediction")
    frame.with_columns(prediction=other).drop("index").write_parquet(made[2] / "predictions.parquet")
    return made


def read(paths: list[Path]) -> tuple[str, Page]:
    text = write_comparison(paths).read_text(encoding="utf-8")
    return text, Page(text)


def test_two_runs_are_compared_as_by_the_command(runs: list[Path]) -> None:
    text, page = read(runs[:2])
    assert page.sections() == ["scores", "differences", "classes", "groups", "disagreements", "table"]
    sentence = compare_runs(*runs[:2])["sentence"]
    assert str(sentence)[1:].split(":")[0] in page.text
    assert "Only strong is right" in page.text
    assert len(text.encode()) < 5_000_000


def test_the_p_values_of_several_pairs_are_corrected(runs: list[Path]) -> None:
    pairs = pairs_of(runs)
    assert [(pair.a, pair.b) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    raw = [pair.result["p_value"] for pair in pairs]
    corrected = [pair.corrected for pair in pairs]
    assert corrected[raw.index(min(raw))] == pytest.approx(3 * min(raw))
    _, page = read(runs)
    assert "strong scores highest" in page.text
    assert "weak − weak too" in page.text
    assert "Only weak too is wrong" in page.text


def test_disagreements_name_the_clips_and_play_them(runs: list[Path]) -> None:
    _, page = read(runs[:2])
    joined = versus.answers_of([read_run(run) for run in runs[:2]])
    assert joined is not None
    right = joined.filter((pl.col("said_0") == pl.col("target")) & (pl.col("said_1") != pl.col("target")))
    assert f"Only strong is right: {len(right)}," in page.text
    listed = [attributes["data-play"] for tag, attributes in page.tags if tag == "li" and "data-play" in attributes]
    assert listed[0] == right.sort("sure_0", "clip", descending=[True, False])["clip"][0]
    assert set(listed) <= {attributes["data-clip"] for tag, attributes in page.tags if tag == "audio"}


def test_runs_that_have_no_clip_in_common_are_said_to(runs: list[Path], tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "run", labels=LABELS, epochs=1)
    other = write_run(tmp_path / "b" / "run", labels=("x", "y"), epochs=1)
    _, page = read([tmp_path / "a" / "run", other])
    assert "have no test clip with the same target in common" in page.text
    assert "a/run" in page.text
    assert page.sections() == ["scores", "differences", "groups", "table"]


def test_a_void_run_makes_the_comparison_void(runs: list[Path], tmp_path: Path) -> None:
    leaky = write_run(tmp_path / "leaky", labels=LABELS, epochs=1, changes={"leaky": True})
    _, page = read([runs[0], leaky])
    assert "leaky: void" in page.text


def test_one_run_is_no_comparison(runs: list[Path]) -> None:
    with pytest.raises(DataError, match="1 runs cannot be compared"):
        write_comparison(runs[:1])


def test_a_notebook_draws_what_the_run_has(runs: list[Path]) -> None:
    path = notebook.write_notebook(runs[:2])
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    code = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert "charts.confusion(run)" in code
    assert "charts.mel(run)" not in code
    for text in code:
        compile(text.removeprefix("%matplotlib inline"), str(path), "exec")


def test_the_command_writes_both(runs: list[Path], tmp_path: Path) -> None:
    command = CliRunner()
    arguments = ["report", *map(str, runs[:2]), "--out", str(tmp_path / "both.html"), "--notebook", "--json"]
    answer = command.invoke(app, arguments)
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {
        "report": str(tmp_path / "both.html"),
        "notebook": str(runs[0] / "report.ipynb"),
    }
    assert command.invoke(app, ["report", str(runs[0]), "--out", "x.html"]).exit_code == 2
