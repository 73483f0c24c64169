"""Classification metrics as pure functions of integer targets and predictions.

Conventions
-----------
`targets` and `predictions` are class numbers, integer arrays of shape (clips,), in `0 … classes - 1`.
`probabilities` has shape (clips, classes); every row is non-negative and sums to one.
All scores are fractions in [0, 1] (not percent), log loss is in nats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

SUM_TOLERANCE = 1e-3  # float16 softmax over a thousand classes stays well inside; logits do not


def check_classes(values: ArrayLike, classes: int, what: str = "targets") -> Integers:
    """Integer class numbers of shape (clips,), checked.

    Raises
    ------
    DataError : empty, not one-dimensional, not integers, or outside `0 … classes - 1`.
    """
    array = np.asarray(values)
    if array.ndim == 2:
        raise DataError(
            f"{what} has shape {array.shape}, expected one class number per clip.",
            "Did you pass one-hot rows or probabilities? Use argmax(axis=1).",
        )
    if array.ndim != 1:
        raise DataError(f"{what} has {array.ndim} dimensions, expected one: a class number per clip.")
    if array.size == 0:
        raise DataError(f"{what} is empty; a score needs at least one clip.")
    if array.dtype.kind in "US" or array.dtype == object:
        raise DataError(
            f"{what} holds {array.dtype} values such as {array[0]!r}, expected class numbers.",
            "Did you pass label names? Give their positions in the list of labels.",
        )
    if array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
        raise DataError(f"{what} holds fractions, expected class numbers.", "Did you pass probabilities?")
    if array.dtype.kind not in "iufb":
        raise DataError(f"{what} has type {array.dtype}, expected integer class numbers.")
    numbers = array.astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= classes:
        wrong = numbers[(numbers < 0) | (numbers >= classes)][0]
        hint = "Did you count classes from 1?" if wrong == classes else "Check the list of labels."
        raise DataError(f"{what} holds class {wrong}, expected 0 to {classes - 1}.", hint)
    return numbers


def check_probabilities(probabilities: ArrayLike, clips: int | None = None) -> Floats:
    """Probabilities of shape (clips, classes), checked.

    Raises
    ------
    DataError : wrong shape, values that are not finite, negative, or rows that do not sum to one.
    """
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"probabilities has shape {array.shape}, expected (clips, classes).")
    if clips is not None and len(array) != clips:
        raise DataError(f"probabilities has {len(array)} rows for {clips} targets.", "Give one row per clip.")
    if not np.all(np.isfinite(array)):
        raise DataError("probabilities holds NaN or infinite values.", "Did the training diverge?")
    sums = array.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if np.all(array <= 0) and np.allclose(np.exp(array).sum(axis=1), 1, atol=SUM_TOLERANCE):
        raise DataError("probabilities are all zero or negative.", "Did you pass log-probabilities? Take their exp.")
    if array.min() < 0 or abs(sums[worst] - 1) > SUM_TOLERANCE:
        hint = "Did you pass logits? Apply softmax first."
        if np.allclose(sums, 100, atol=0.5):
            hint = "Did you pass percent? Divide by 100."
        raise DataError(f"probabilities of clip {worst} sum to {sums[worst]:.4g}, expected non-negative, sum 1.", hint)
    return array


def _pair(targets: ArrayLike, predictions: ArrayLike, classes: int | None = None) -> tuple[Integers, Integers, int]:
    """Both arrays checked and of equal length, and the number of classes (found when not given)."""
    if classes is None:
        given = [np.asarray(values) for values in (targets, predictions)]
        numeric = [int(array.max()) for array in given if array.size and array.dtype.kind in "iuf"]
        classes = max(numeric, default=0) + 1
    true = check_classes(targets, classes, "targets")
    said = check_classes(predictions, classes, "predictions")
    if len(true) != len(said):
        raise DataError(f"{len(true)} targets and {len(said)} predictions.", "Give one prediction per target.")
    return true, said, classes


def accuracy(targets: ArrayLike, predictions: ArrayLike) -> float:
    """The fraction of clips whose prediction equals the target."""
    true, said, _ = _pair(targets, predictions)
    return float(np.mean(true == said))


def confusion_matrix(targets: ArrayLike, predictions: ArrayLike, classes: int) -> Integers:
    """Counts of shape (classes, classes): the row is the target, the column the prediction."""
    true, said, _ = _pair(targets, predictions, classes)
    return np.bincount(true * classes + said, minlength=classes * classes).reshape(classes, classes)


def recall_per_class(targets: ArrayLike, predictions: ArrayLike, classes: int) -> Floats:
    """The fraction of each class's clips that were recognised, shape (classes,); NaN for a class without clips."""
    counts = confusion_matrix(targets, predictions, classes)
    clips = counts.sum(axis=1)
    recalls: Floats = np.divide(np.diag(counts), clips, out=np.full(classes, np.nan), where=clips > 0)
    return recalls


def unweighted_average_recall(targets: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """The mean recall over the classes that have targets (UAR, also called balanced accuracy)."""
    return float(np.nanmean(recall_per_class(targets, predictions, classes)))


def macro_f1(targets: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """The mean F1 over the classes that occur in targets or predictions, as scikit-learn counts it.

    A class that was predicted but never right, or had clips and was never predicted, has F1 = 0.
    """
    counts = confusion_matrix(targets, predictions, classes)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = both > 0
    return float(np.mean(2 * np.diag(counts)[occurs] / both[occurs]))


def log_loss(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """The mean of −ln p(target), in nats; a probability of zero counts as 2.2e-16, as in scikit-learn."""
    return float(np.mean(_losses(targets, probabilities)))


def _losses(targets: ArrayLike, probabilities: ArrayLike) -> Floats:
    table = check_probabilities(probabilities, np.size(targets))
    true = check_classes(targets, table.shape[1])
    table = table / table.sum(axis=1, keepdims=True)
    chosen: Floats = table[np.arange(len(true)), true]
    return np.asarray(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1)))


@dataclass(frozen=True)
class Reliability:
    """How confidence and accuracy go together; arrays of shape (bins,), NaN where a bin holds no clip.

    Attributes
    ----------
    edges : the borders of the bins, shape (bins + 1,); a bin holds its upper border, the first also its lower.
    confidence : the mean probability of the predicted class.
    accuracy : the fraction of right predictions.
    counts : the number of clips.
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    counts: Integers


def reliability_curve(targets: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> Reliability:
    """Accuracy against confidence in `bins` equal steps of the winning class's probability (Guo et al. 2017)."""
    if bins < 1:
        raise DataError(f"bins is {bins}, expected at least 1.")
    table = check_probabilities(probabilities, np.size(targets))
    true = check_classes(targets, table.shape[1])
    confidence = np.clip(table.max(axis=1), 0, 1)
    right = table.argmax(axis=1) == true
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(place, confidence, bins) / counts
        mean_right = np.bincount(place, right.astype(np.float64), bins) / counts
    return Reliability(edges, mean_confidence, mean_right, counts)


def calibration_error(targets: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy, weighted by clips.

    Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    curve = reliability_curve(targets, probabilities, bins)
    filled = curve.counts > 0
    gaps = np.abs(curve.accuracy - curve.confidence)[filled]
    return float(np.sum(gaps * curve.counts[filled]) / curve.counts.sum())


def baselines(
    targets: ArrayLike,
    classes: int,
    *,
    metric: Literal["accuracy", "uar", "macro_f1"] = "accuracy",
    train_targets: ArrayLike | None = None,
) -> dict[str, float]:
    """What an answer without listening would score on these targets.

    Parameters
    ----------
    targets : the test targets, shape (clips,).
    classes : the number of classes the model can choose from.
    metric : the score the baselines stand beside.
    train_targets : when given, `majority` answers the most frequent class of these; else that of `targets`, the best
        that any constant answer could reach (and the fairer rival where each fold has another training majority).

    Returns
    -------
    dict
        `majority`: one constant answer; `chance`: the expectation of an answer drawn evenly from all classes (for macro
        F1 to first order, from expected counts).
    """
    true = check_classes(targets, classes)
    source = true if train_targets is None else check_classes(train_targets, classes, "train_targets")
    constant = np.full_like(true, np.bincount(source, minlength=classes).argmax())
    if metric == "macro_f1":
        share = np.bincount(true, minlength=classes) / len(true)
        return {
            "majority": macro_f1(true, constant, classes),
            "chance": float(np.mean(2 * share / classes / (share + 1 / classes))),
        }
    score = accuracy(true, constant) if metric == "accuracy" else unweighted_average_recall(true, constant, classes)
    return {"majority": score, "chance": 1 / classes}


def summary(
    targets: ArrayLike,
    probabilities: ArrayLike,
    labels: tuple[str, ...] | list[str],
    predictions: ArrayLike | None = None,
) -> dict[str, Any]:
    """All metrics at once, ready for JSON.

    Parameters
    ----------
    targets : class numbers, shape (clips,).
    probabilities : shape (clips, classes).
    labels : the names of the classes, in the order of the columns.
    predictions : class numbers; the winning column when not given.

    Returns
    -------
    dict
        accuracy, uar, macro_f1, log_loss, calibration_error, and recall by label (None for a class without clips).
    """
    table = check_probabilities(probabilities, np.size(targets))
    classes = len(labels)
    if table.shape[1] != classes:
        raise DataError(
            f"probabilities has {table.shape[1]} columns for {classes} labels.", "Give one column per label."
        )
    said = table.argmax(axis=1) if predictions is None else predictions
    recalls = recall_per_class(targets, said, classes)
    return {
        "accuracy": accuracy(targets, said),
        "uar": unweighted_average_recall(targets, said, classes),
        "macro_f1": macro_f1(targets, said, classes),
        "log_loss": log_loss(targets, table),
        "calibration_error": calibration_error(targets, table),
        "recall": {
            label: None if np.isnan(value) else float(value) for label, value in zip(labels, recalls, strict=True)
        },
    }
