"""Metrics against hand-worked values, edge cases and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from earnest.errors import DataError
from earnest.scoring import classification as scoring

# three classes; worked by hand: class 0 has 2 of 3 right, class 1 has 1 of 2, class 2 has 0 of 1
TARGETS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 1, 2, 0])


def test_worked_by_hand() -> None:
    assert scoring.accuracy(TARGETS, PREDICTIONS) == pytest.approx(3 / 6)
    assert scoring.recall_per_class(TARGETS, PREDICTIONS, 3) == pytest.approx([2 / 3, 1 / 2, 0])
    assert scoring.unweighted_average_recall(TARGETS, PREDICTIONS, 3) == pytest.approx(7 / 18)
    # F1: class 0: 2·2/(3+3) = 2/3; class 1: 2·1/(2+2) = 1/2; class 2: 0
    assert scoring.macro_f1(TARGETS, PREDICTIONS, 3) == pytest.approx(7 / 18)
    assert scoring.confusion_matrix(TARGETS, PREDICTIONS, 3).tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_log_loss_by_hand() -> None:
    probabilities = [[0.5, 0.5], [0.25, 0.75]]
    assert scoring.log_loss([0, 1], probabilities) == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_calibration_error_by_hand() -> None:
    # bin (0.8, 0.9]: two clips at 0.9, one right: gap 0.4; bin (0.5, 0.6]: two clips at 0.6, both right: gap 0.4
    probabilities = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]]
    assert scoring.calibration_error([0, 1, 0, 1], probabilities, bins=10) == pytest.approx(0.4)
    curve = scoring.reliability_curve([0, 1, 0, 1], probabilities, bins=10)
    assert curve.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]
    assert curve.accuracy[8] == pytest.approx(0.5)
    assert curve.confidence[5] == pytest.approx(0.6)
    assert np.isnan(curve.accuracy[0])


def test_perfect_and_hopeless() -> None:
    right = np.eye(3)[TARGETS]
    assert scoring.accuracy(TARGETS, TARGETS) == 1
    assert scoring.unweighted_average_recall(TARGETS, TARGETS, 3) == 1
    assert scoring.macro_f1(TARGETS, TARGETS, 3) == 1
    assert scoring.log_loss(TARGETS, right) == pytest.approx(0, abs=1e-12)
    assert scoring.calibration_error(TARGETS, right) == 0
    wrong = (TARGETS + 1) % 3
    assert scoring.accuracy(TARGETS, wrong) == 0
    assert scoring.macro_f1(TARGETS, wrong, 3) == 0
    assert scoring.log_loss(TARGETS, np.eye(3)[wrong]) == pytest.approx(-math.log(np.finfo(float).eps))


def test_one_class_only() -> None:
    recalls = scoring.recall_per_class([1, 1], [1, 0], 3)
    assert np.isnan(recalls[[0, 2]]).all()
    assert recalls[1] == 0.5
    assert scoring.unweighted_average_recall([1, 1], [1, 0], 3) == 0.5
    assert scoring.accuracy([0], [0]) == 1


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 8))
    targets = rng.integers(0, classes, 200)
    logits = rng.normal(size=(200, classes)) + 2 * np.eye(classes)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictions = probabilities.argmax(axis=1)
    assert scoring.accuracy(targets, predictions) == pytest.approx(reference.accuracy_score(targets, predictions))
    assert scoring.unweighted_average_recall(targets, predictions, classes) == pytest.approx(
        reference.balanced_accuracy_score(targets, predictions)
    )
    assert scoring.macro_f1(targets, predictions, classes) == pytest.approx(
        reference.f1_score(targets, predictions, average="macro")
    )
    assert scoring.log_loss(targets, probabilities) == pytest.approx(
        reference.log_loss(targets, probabilities, labels=range(classes))
    )
    assert np.array_equal(
        scoring.confusion_matrix(targets, predictions, classes),
        reference.confusion_matrix(targets, predictions, labels=range(classes)),
    )


def test_baselines() -> None:
    targets = [0] * 6 + [1] * 3 + [2]
    assert scoring.baselines(targets, 4) == {"majority": 0.6, "chance": 0.25}
    assert scoring.baselines(targets, 4, train_targets=[1, 1, 2]) == {"majority": 0.3, "chance": 0.25}
    assert scoring.baselines(targets, 4, metric="uar") == {"majority": pytest.approx(1 / 3), "chance": 0.25}
    # F1 of the constant answer: 2·6/(6+10) = 0.75 for class 0, zero for the other two
    assert scoring.baselines(targets, 3, metric="macro_f1")["majority"] == pytest.approx(0.25)


def test_summary_is_ready_for_json() -> None:
    summary = scoring.summary([0, 1], [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]], ["a", "b", "c"])
    assert summary["accuracy"] == 0.5
    assert summary["recall"] == {"a": 1.0, "b": 0.0, "c": None}


@pytest.mark.parametrize(
    ("targets", "predictions", "hint"),
    [
        ([], [], "at least one clip"),
        ([0, 1], [0], "one prediction per target"),
        (["yes", "no"], ["yes", "no"], "label names"),
        ([[1, 0], [0, 1]], [0, 1], "one-hot"),
        ([0.3, 0.7], [0, 1], "probabilities"),
        ([1, 3], [1, 2], "count classes from 1"),
        ([0, -1], [0, 0], "list of labels"),
    ],
)
def test_errors_guess_the_mistake(targets: list[object], predictions: list[object], hint: str) -> None:
    with pytest.raises(DataError, match=hint):
        scoring.recall_per_class(targets, predictions, 3)


@pytest.mark.parametrize(
    ("probabilities", "hint"),
    [
        ([[2.0, -1.0], [0.3, 0.4]], "logits"),
        ([[0.3, 0.3], [0.5, 0.5]], "logits"),
        ([[90.0, 10.0], [20.0, 80.0]], "percent"),
        (np.log([[0.9, 0.1], [0.2, 0.8]]), "log-probabilities"),
        ([[np.nan, 1.0], [0.5, 0.5]], "diverge"),
        ([0.5, 0.5], r"expected \(clips, classes\)"),
        ([[0.5, 0.5]], "one row per clip"),
    ],
)
def test_probability_errors_guess_the_mistake(probabilities: object, hint: str) -> None:
    with pytest.raises(DataError, match=hint):
        scoring.log_loss([0, 1], probabilities)  # type: ignore[arg-type]
