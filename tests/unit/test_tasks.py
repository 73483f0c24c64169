"""What each task makes of a table, of outputs and of scores; and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from earnest import recipe, registry, tasks
from earnest.errors import DataError, RecipeError
from earnest.recipe import Part
from earnest.table import Table
from earnest.tasks import depression, genre, regression, tagging


def table(**columns: list[Any]) -> Table:
    clips = len(next(iter(columns.values())))
    frame = pl.DataFrame({"audio": [f"/{row:02}.wav" for row in range(clips)], **columns}, strict=False)
    return Table.from_frame(frame, "clips")


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_every_task_says_what_it_is(name: str) -> None:
    task = tasks.find(Part(name=name))
    assert task.name == name
    assert task.kind in ("classes", "tags", "values")
    assert task.primary in task.metrics
    assert task.level in task.levels


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_judge_and_metric_are_one_statistic_and_baselines_are_below_perfect(name: str) -> None:
    task = tasks.find(Part(name=name))
    rng = np.random.default_rng(0)
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    scores = np.abs(targets - rng.random((40, 1)) * 0.9)
    if task.kind == "classes":
        scores = scores / scores.sum(1, keepdims=True)
    for metric, function in task.metrics.items():
        value, interval = task.judge(targets, [scores], np.arange(40) // 2, metric, rng)
        assert value == pytest.approx(function(targets, scores))
        assert interval.low <= value <= interval.high
        assert all(0 <= guess <= 1 for guess in task.baselines(targets, metric).values())
    assert task.summary(targets, scores, ["a", "b"])[task.primary] == pytest.approx(
        task.metrics[task.primary](targets, scores)
    )
    assert task.decide(targets, ["a", "b"]) == task.tell(targets, ["a", "b"])


def test_tags_come_as_lists_or_as_text() -> None:
    lists = table(labels=[["dog", "rain"], [], ["rain"]])
    assert tagging.labels(lists, "labels") == ["dog", "rain"]
    np.testing.assert_array_equal(tagging.encode(lists, "labels", ["dog", "rain"]), [[1, 1], [0, 0], [0, 1]])
    for texts in (["dog; rain", "rain"], ["dog|rain", "rain"], ["dog,rain", "rain"], ['["dog", "rain"]', '["rain"]']):
        assert tagging.labels(table(labels=texts), "labels") == ["dog", "rain"]
    assert tagging.labels(table(labels=["chirp, tweet; dog", "dog"]), "labels") == ["chirp, tweet", "dog"]


def test_tags_that_are_missing_are_not_taken_for_none() -> None:
    with pytest.raises(DataError, match="1 clips of 'clips' have no 'labels'"):
        tagging.labels(table(labels=["dog", None]), "labels")
    with pytest.raises(DataError, match="no column 'tags'"):
        tagging.labels(table(labels=["dog", "rain"]), "tags")
    with pytest.raises(DataError, match="nothing to tell apart"):
        tagging.labels(table(labels=["dog", "dog"]), "labels")


def test_binary_cross_entropy_by_hand() -> None:
    outputs, targets = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    expected = (np.log(2) + np.log1p(np.exp(2.0))) / 2
    assert float(tagging.loss(outputs, targets, 0.0)) == pytest.approx(expected)
    smoothed = (np.log(2) + 0.05 * np.log1p(np.exp(-2.0)) + 0.95 * np.log1p(np.exp(2.0))) / 2
    assert float(tagging.loss(outputs, targets, 0.1)) == pytest.approx(smoothed)
    assert tagging.given(np.array([[0.5, 0.4], [0.1, 0.2], [0.9, 0.6]]), ["a", "b"]) == ["a", "–", "a; b"]


def test_dimensions_are_those_that_are_there_or_those_that_are_named() -> None:
    both = table(arousal=[1, 2], valence=[3, 1], phq=["4", "5"])
    assert regression.labels(both, regression.DEFAULT) == ["valence", "arousal"]
    assert regression.labels(both, "phq, arousal") == ["phq", "arousal"]
    np.testing.assert_array_equal(regression.encode(both, "", ["phq", "arousal"]), [[4, 1], [5, 2]])
    assert regression.labels(table(pleasure=[1, 2], arousal=[1, 3]), regression.DEFAULT) == ["pleasure", "arousal"]


@pytest.mark.parametrize(
    ("columns", "target", "words"),
    [
        ({"label": ["a", "b"]}, regression.DEFAULT, "no column 'valence'"),
        ({"valence": [1.0, None]}, "valence", "1 clips of 'clips' have no number"),
        ({"score": ["1", "high"]}, "score", "have no number"),
        ({"valence": [2.0, 2.0]}, "valence", "nothing to follow"),
    ],
)
def test_targets_that_are_no_numbers_are_named(columns: dict[str, list[Any]], target: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        regression.labels(table(**columns), target)


def test_the_loss_is_one_minus_ccc_in_any_unit_and_the_way_back_is_exact() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal([50, 3], [20, 0.5], (64, 2)).astype(np.float32)
    task = regression.TASK.fitted(targets)
    outputs = torch.from_numpy(rng.normal(size=(64, 2)).astype(np.float32))
    said = task.probabilities(outputs).numpy()
    expected = 1 - regression.ccc(targets, said)
    assert float(task.loss(outputs, torch.from_numpy(targets), 0.0)) == pytest.approx(expected, abs=1e-5)
    perfect = torch.from_numpy((targets - targets.mean(0)) / targets.std(0))
    np.testing.assert_allclose(task.probabilities(perfect).numpy(), targets, rtol=1e-5)
    assert float(task.loss(perfect, torch.from_numpy(targets), 0.0)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("still", ["targets", "outputs", "both"])
def test_a_batch_that_does_not_vary_has_a_finite_loss_and_gradient(still: str) -> None:
    outputs = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    targets = outputs.clone()
    if still != "targets":
        outputs = torch.zeros(8, 2)
    if still != "outputs":
        targets = torch.zeros(8, 2)
    outputs.requires_grad_()
    loss = regression.TASK.loss(outputs, targets, 0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()


def test_depressed_is_known_by_name_or_said() -> None:
    assert depression.labels(table(label=["MDD", "HC"]), "label") == ["HC", "MDD"]
    assert depression.labels(table(label=["control", "depressed"]), "label") == ["control", "depressed"]
    with pytest.raises(DataError, match="not clear"):
        depression.labels(table(label=["a", "b"]), "label")
    with pytest.raises(DataError, match="holds 3"):
        depression.labels(table(label=["a", "b", "depressed"]), "label")
    task = tasks.find(Part(name="depression", options={"positive": "a"}))
    assert task.labels(table(label=["a", "b"]), "label") == ["b", "a"]
    with pytest.raises(RecipeError, match="unknown option 'positiv'"):
        tasks.find(Part(name="depression", options={"positiv": "a"}))


def test_sensitivity_and_specificity_by_hand() -> None:
    targets = np.eye(2)[[1, 1, 1, 0, 0]]
    scores = np.array([[0.2, 0.8], [0.4, 0.6], [0.7, 0.3], [0.9, 0.1], [0.4, 0.6]])
    found = depression.summary(targets, scores, ["HC", "MDD"])
    assert found["sensitivity"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(1 / 2)
    assert found["uar"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["auc"] == pytest.approx((2 + 1.5 + 1) / 6)  # 0.8 beats both, 0.6 beats one and ties, 0.3 beats one
    alone = depression.details(targets[:3], [scores[:3]], None, ["HC", "MDD"], np.random.default_rng(0))["rates"]
    assert alone["specificity"] == {"value": None, "interval": None, "n": 0}


def test_depression_is_claimed_of_people_only() -> None:
    task = tasks.find(Part(name="depression"))
    assert tasks.level_of(task, None) == "subject"
    for level in ("clip", "recording"):
        with pytest.raises(RecipeError, match="say nothing about new people"):
            tasks.level_of(task, level)
    assert tasks.level_of(tasks.find(Part(name="classification")), None) == "clip"


def test_artists_are_the_groups_of_genre_where_they_are_named() -> None:
    named = table(genre=["rock", "pop"], artist=["a", "b"], source=["s", "t"])
    assert tasks.groups_of(genre.TASK, None, named) == ("artist", "source")
    assert tasks.groups_of(genre.TASK, ["source"], named) == ("source",)
    assert tasks.column_of(genre.TASK, None, named) == "genre"
    assert genre.notes(named) == []
    bare = table(label=["rock", "pop"])
    assert tasks.groups_of(genre.TASK, None, bare) is None
    assert tasks.column_of(genre.TASK, None, bare) == "label"
    assert genre.notes(bare) == [genre.NO_ARTISTS]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["task=regression", "model=svm"], "tells classes apart"),
        (["task=tagging", "model=svm"], "tells classes apart"),
        (["task=regression", "model=ds_cnn", "training.label_smoothing=0.1"], "has numbers"),
        (["task=regression", "model=ds_cnn", "primary=rmse"], "unknown metric 'rmse'"),
    ],
)
def test_recipes_that_do_not_fit_a_task_are_refused(overrides: list[str], words: str) -> None:
    (cell,) = recipe.load(None, ["corpus=folder:x", *overrides])
    with pytest.raises(RecipeError, match=words):
        tasks.check(tasks.find(cell.task), cell)
