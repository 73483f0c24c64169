"""Ensembles: runs of the same folds answer together, as cells of a grid and by hand; others are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from typer.testing import CliRunner

from earnest import ensemble, grid
from earnest.cli import app
from earnest.comparison import compare_runs
from earnest.errors import DataError
from earnest.reporting.report import write_report
from earnest.reporting.verdict import is_void
from earnest.runtime import Predictor
from earnest.tabulation import tabulate

GRID = """
grid:
  system:
    network: {model: ds_cnn, training.epochs: 3}
    machine: {model: svm, frontend: {name: statistics, of: {name: mfcc, bands: 20, n_mfcc: 13}}}
    other folds: {model: ds_cnn, training.epochs: 1, split.seed: 5}
ensembles:
  both: [{system: network}, {system: machine}]
  mixed: [{system: network}, {system: other folds}]
table: {columns: [system, score, twin, parameters]}
"""


@pytest.fixture(scope="module")
def cells(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[grid.Ended]]:
    folder = tmp_path_factory.mktemp("together")
    recipe = folder / "small.yaml"
    recipe.write_text(
        f"corpus: folder:{tones}\npattern: '{{label}}/{{speaker}}_{{take}}.wav'\nsample_rate: 8000\n"
        "split: {name: group-k-fold, folds: 2}\nclips: {window_s: 0.5}\ntwin: true\n" + GRID
    )
    return grid.run(grid.read(recipe), folder / "out", jobs=1)


def place_of(directory: Path, ended: list[grid.Ended], name: str) -> Path:
    return directory / next(cell.run for cell in ended if cell.coordinates == {"system": name})


def test_the_answers_are_the_mean_and_the_bundle_gives_them(cells: tuple[Path, list[grid.Ended]], tones: Path) -> None:
    both, network, machine = (place_of(*cells, name) for name in ("both", "network", "machine"))
    frames = [pl.read_parquet(one / "predictions.parquet").sort("fold", "id") for one in (both, network, machine)]
    together, *alone = [np.array(frame["scores"].to_list()) for frame in frames]
    np.testing.assert_allclose(together, (alone[0] + alone[1]) / 2)
    scores = json.loads((both / "scores.json").read_text())
    assert [member["name"] for member in scores["ensemble"]] == ["run", "run"]
    assert scores["parity"]["same_decisions"] == scores["parity"]["clips"] == 48
    assert scores["parity"]["largest_difference"] < 1e-4
    assert "mean of the probabilities" in scores["notes"][0]
    assert scores["twin"]["void"]

    shipped = json.loads((both / "bundle" / "bundle.json").read_text())
    fold = next(f for f in scores["folds"] if f"fold {f['name']} " in shipped["scores"]["model.onnx"]["protocol"])
    row = frames[0].filter(pl.col("fold") == fold["name"]).row(0, named=True)
    samples, _ = soundfile.read(tones / row["target"] / Path(row["id"]).name, dtype="float32")
    np.testing.assert_allclose(Predictor(both / "bundle").probabilities(samples), row["scores"], atol=1e-4)
    assert "earnest ensemble" in write_report(both).read_text()


def test_runs_of_other_folds_are_refused(cells: tuple[Path, list[grid.Ended]]) -> None:
    failed = next(cell for cell in cells[1] if cell.coordinates == {"system": "mixed"})
    assert failed.status == "failed"
    assert "same clips, folds and seeds" in (failed.problem or "")
    rows, _ = tabulate([cells[0]])
    assert [row["system"] for row in rows] == ["network", "machine", "other folds", "both"]
    assert rows[3]["parameters"] == rows[0]["parameters"] + rows[1]["parameters"]


def test_a_leak_of_one_member_is_a_leak_of_the_whole(cells: tuple[Path, list[grid.Ended]], tmp_path: Path) -> None:
    members = []
    for name in ("network", "machine"):
        members.append(tmp_path / name)
        shutil.copytree(place_of(*cells, name), members[-1])
    scores = json.loads((members[1] / "scores.json").read_text())
    leaky = scores | {"leaks": {**scores["leaks"], "duplicate": 3}, "allow_leaks": "known"}
    (members[1] / "scores.json").write_text(json.dumps(leaky))
    found = json.loads((ensemble.run(members, tmp_path / "both") / "scores.json").read_text())
    assert (found["leaks"]["duplicate"], found["allow_leaks"]) == (3, "known")
    assert is_void(found)


def test_by_hand(cells: tuple[Path, list[grid.Ended]], tmp_path: Path) -> None:
    members = [str(place_of(*cells, name)) for name in ("network", "machine")]
    result = CliRunner().invoke(app, ["ensemble", *members, "--out", str(tmp_path / "hand"), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    assert (
        json.loads(result.stdout)["score"]
        == json.loads((place_of(*cells, "both") / "scores.json").read_text())["score"]
    )
    assert compare_runs(tmp_path / "hand", place_of(*cells, "both"))["difference"] == 0
    again = ensemble.run([Path(member) for member in members], tmp_path / "hand")
    assert again == tmp_path / "hand"


def test_what_is_no_ensemble(cells: tuple[Path, list[grid.Ended]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two"):
        ensemble.run([place_of(*cells, "network")], tmp_path)


def test_an_override_of_the_axis_leaves_no_ensembles(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("corpus: fsdd\n" + GRID)
    assert grid.read(tmp_path / "g.yaml", ["system=x"]).ensembles == {}


def test_cells_side_by_side_give_the_same_bits(cells: tuple[Path, list[grid.Ended]], tmp_path: Path) -> None:
    recipe = cells[0].parent / "small.yaml"
    directory, ended = grid.run(grid.read(recipe), tmp_path / "out", jobs=2)
    assert [(cell.run, cell.status) for cell in ended] == [(cell.run, cell.status) for cell in cells[1]]
    for cell in ended:
        if cell.status == "done":
            files = [place / cell.run / "predictions.parquet" for place in (directory, cells[0])]
            assert pl.read_parquet(files[0]).equals(pl.read_parquet(files[1]))
