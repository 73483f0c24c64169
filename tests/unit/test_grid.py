"""Grids: cells and exceptions, cells that fail, the index, and the tables of a grid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earnest import grid, journey, recipe
from earnest.errors import DataError, RecipeError
from earnest.tabulation import Run, tabulate, unfinished

BASE = ["corpus=fsdd", "name=small"]
AXES = "grid={model: [ds_cnn, svm], features: {mel: {frontend: log_mel}, raw: {frontend: waveform, clips.window_s: 2}}}"


def read(*more: str) -> grid.Grid:
    return grid.read(None, [*BASE, *more])


def test_axes_multiply_and_named_settings_set_several_keys() -> None:
    cells = read(AXES).cells
    assert [tuple(cell.coordinates.values()) for cell in cells] == [
        ("ds_cnn", "mel"),
        ("ds_cnn", "raw"),
        ("svm", "mel"),
        ("svm", "raw"),
    ]
    raw = recipe.parse(cells[1].values)
    assert (raw.model.name, raw.frontend.name, raw.clips.window_s) == ("ds_cnn", "waveform", 2)
    assert len({grid.folder_of(cell) for cell in cells}) == 4


def test_exceptions_set_or_leave_out() -> None:
    cells = read(
        AXES,
        "exceptions=[{at: {model: svm}, set: {frontend: statistics}}, {at: {model: svm, features: raw}, skip: never}]",
    ).cells
    assert [cell.skip for cell in cells] == [None, None, None, "never"]
    assert recipe.parse(cells[2].values).frontend.name == "statistics"


@pytest.mark.parametrize(
    "wrong", ["grid=[1, 2]", "grid={model: svm}", "grid={model: {svm: 3}}", "exceptions=[{at: 3}]"]
)
def test_malformed_grids_are_explained(wrong: str) -> None:
    with pytest.raises(RecipeError, match=r"grid|exceptions"):
        read(wrong)


def test_an_override_counts_more_than_what_a_cell_sets() -> None:
    overrides = ["corpus=none", "grid={system: {a: {model: svm, training.epochs: 60}, b: {model: ds_cnn}}}"]
    exceptions = "exceptions=[{at: {system: b}, set: {training.epochs: 70}}]"
    assert [cell.values["training"]["epochs"] for cell in grid.read(None, [*overrides, exceptions]).cells] == [60, 70]
    cells = grid.read(None, [*overrides, exceptions, "training.epochs=5"]).cells
    assert [cell.values["training"]["epochs"] for cell in cells] == [5, 5]
    assert [cell.values["model"] for cell in cells] == ["svm", "ds_cnn"]


def test_an_override_of_an_axis_takes_its_place() -> None:
    one = read(AXES, "model=kwt")
    assert {cell.coordinates["features"] for cell in one.cells} == {"mel", "raw"}
    assert all(recipe.parse(cell.values).model.name == "kwt" for cell in one.cells)
    assert read("model=kwt").is_one_run


def fake_run(scores: dict[str, float]) -> Any:
    """A journey that only writes scores, and fails for a model of which it has none."""

    def run(cell: recipe.Recipe, place: Path, **_: Any) -> Path:
        if cell.model.name not in scores:
            raise DataError(f"{cell.model.name} cannot work.", "Take another one.")
        place.mkdir(parents=True, exist_ok=True)
        value = scores[cell.model.name]
        content = {
            "corpus": cell.corpus,
            "primary": "accuracy",
            "score": value,
            "interval": [value - 0.1, value + 0.05],
            "metrics": {"accuracy": value},
            "n_clips": 10,
            "parameters": 7,
            "twin": {"score": 0.99},
            "precisions": {"fp16": {"score": value - 0.01}},
            "folds": [{"name": "1", "score": value, "train": 1.0, "validation": 0.5}],
        }
        (place / "scores.json").write_text(json.dumps(content))
        (place / "recipe.yaml").write_text(cell.to_yaml())
        return place

    return run


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[grid.Ended]]:
    monkeypatch.setattr(journey, "run", fake_run({"ds_cnn": 0.8, "svm": 0.6}))
    cells = read(
        "grid={model: [ds_cnn, svm, kwt], training.epochs: [5, 6]}",
        "table={columns: [model, epochs=training.epochs, score, fp16, twin]}",
        "exceptions=[{at: {model: svm, training.epochs: 6}, skip: known already}]",
    )
    return grid.run(cells, tmp_path / "grid", jobs=1)


def test_one_impossible_cell_does_not_stop_the_others(done: tuple[Path, list[grid.Ended]]) -> None:
    directory, ended = done
    assert [cell.status for cell in ended] == ["done", "done", "done", "left out", "failed", "failed"]
    assert ended[4].problem == "kwt cannot work."
    index = json.loads((directory / grid.INDEX).read_text())
    assert [cell["status"] for cell in index["cells"]] == [cell.status for cell in ended]
    assert [cell["coordinates"]["model"] for cell in unfinished(directory)] == ["kwt", "kwt"]
    assert not (directory / "cache").exists()


def test_the_grid_says_how_its_table_looks(done: tuple[Path, list[grid.Ended]]) -> None:
    rows, columns = tabulate([done[0]])
    assert [column.title for column in columns] == ["model", "epochs", "score", "fp16", "leaky twin (void)"]
    assert [row["training.epochs"] for row in rows] == ["5", "6", "5"]
    assert rows[0]["score"] == (0.8, pytest.approx(0.7), pytest.approx(0.85))


def test_an_axis_spread_over_columns(done: tuple[Path, list[grid.Ended]]) -> None:
    rows, columns = tabulate([done[0]], spread="training.epochs")
    assert [column.title for column in columns] == ["model", "5", "6"]
    assert [row["model"] for row in rows] == ["ds_cnn", "svm"]
    assert rows[1].get("training.epochs=6") is None
    with pytest.raises(DataError, match="axis"):
        tabulate([done[0]], spread="colour")


def test_columns_by_choice(done: tuple[Path, list[grid.Ended]]) -> None:
    rows, columns = tabulate([done[0]], ["rate=training.learning_rate", "train_validation"])
    assert [column.title for column in columns] == ["rate", "train validation"]
    assert rows[0]["train_validation"] == "[100.0, 50.0]"
    with pytest.raises(DataError, match="accuracie"):
        tabulate([done[0]], ["accuracie"])


def test_a_value_that_is_no_fraction_is_not_in_per_cent(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(json.dumps({"primary": "ccc", "score": 0.5, "interval": [0.4, 0.6]}))
    _, (column,) = tabulate([tmp_path], ["score"])
    assert (column.kind, column.digits) == ("number", 3)
    assert Run(tmp_path).value("score") == (0.5, 0.4, 0.6)


def test_no_cell_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no cell"):
        grid.run(read("grid={modle: [svm, ds_cnn]}"), tmp_path)
