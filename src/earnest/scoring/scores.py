"""Accuracy, UAR and macro F1 with their intervals, from the same counts.

Estimate and interval are one statistic: the mean over seeds of the pooled metric, resampled by group. All three
metrics depend on sums over clips only, so that each group enters as a row of sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError
from earnest.scoring.classification import check_classes
from earnest.scoring.intervals import Interval, clips_note, number_groups, totals_bootstrap

Metric = Literal["accuracy", "uar", "macro_f1"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """An estimate, its interval, and how many clips and groups stand behind it."""

    value: float
    interval: Interval
    clips: int
    groups: int


def score(
    metric: Metric,
    targets: ArrayLike,
    predictions: ArrayLike,
    classes: int,
    groups: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    unit: str = "groups",
    resamples: int = 2000,
    level: float = 0.95,
) -> Score:
    """A metric with its interval over groups.

    Parameters
    ----------
    metric : `accuracy`, `uar` or `macro_f1`.
    targets : class numbers, shape (clips,).
    predictions : class numbers, shape (clips,), or (seeds, clips) for the mean over seeds on the same clips.
    classes : the number of classes.
    groups : the speaker or source of each clip, or None.
    unit : what the groups are, for the method sentence, such as `speakers`.
    rng, resamples, level : as in `intervals.group_bootstrap`.

    Raises
    ------
    DataError : unknown metric, empty or unequal arrays, class numbers out of range.
    """
    if metric not in ("accuracy", "uar", "macro_f1"):
        raise DataError(f"unknown metric {metric!r}.", "Known: accuracy, uar, macro_f1.")
    true = check_classes(targets, classes)
    said = np.atleast_2d(np.asarray(predictions))
    if said.ndim != 2 or said.shape[1] != len(true):
        raise DataError(f"predictions has shape {said.shape} for {len(true)} targets.", "Expected (seeds, clips).")
    said = check_classes(said.ravel(), classes, "predictions").reshape(said.shape)
    numbers, count, true_groups = number_groups(groups, len(true))
    totals = _totals(metric, true, said, classes, numbers, count)
    interval = totals_bootstrap(
        totals,
        lambda sums: _finish(metric, sums, len(said), classes),
        rng=rng,
        resamples=resamples,
        level=level,
        note=f"{count} {unit}" if true_groups else clips_note(groups, len(true)),
        perfect_clips=_effective_clips(metric, true, classes),
    )
    value = float(_finish(metric, totals.sum(axis=0, keepdims=True), len(said), classes)[0])
    return Score(value, interval, len(true), count)


def _effective_clips(metric: Metric, true: Integers, classes: int) -> float:
    """Kish's effective number of clips: all for accuracy, fewer where rare classes weigh more."""
    if metric == "accuracy":
        return len(true)
    per_class = np.bincount(true, minlength=classes)
    per_class = per_class[per_class > 0]
    return float(len(per_class) ** 2 / np.sum(1 / per_class))


def _totals(metric: Metric, true: Integers, said: Integers, classes: int, numbers: Integers, count: int) -> Floats:
    """Sums per group: (clips, right) for accuracy, per class for UAR, and per seed and class for macro F1."""
    right = (said == true).mean(axis=0)
    if metric == "accuracy":
        return np.stack([np.bincount(numbers, minlength=count), np.bincount(numbers, right, count)], axis=1)

    def by_class(values: Integers, weights: Floats | None = None) -> Floats:
        flat = np.bincount(numbers * classes + values, weights, count * classes)
        return flat.reshape(count, classes).astype(np.float64)

    if metric == "uar":
        return np.concatenate([by_class(true), by_class(true, right)], axis=1)
    blocks = []
    for row in said:
        both = by_class(true) + by_class(row)
        blocks += [both, by_class(true, (row == true).astype(np.float64))]
    return np.concatenate(blocks, axis=1)


def _finish(metric: Metric, sums: Floats, seeds: int, classes: int) -> Floats:
    """From sums to the metric; classes without clips stand aside."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric == "accuracy":
            return np.asarray(sums[:, 1] / sums[:, 0])
        if metric == "uar":
            recalls = sums[:, classes:] / sums[:, :classes]
            return _mean_of_present(recalls, sums[:, :classes] > 0)
        blocks = sums.reshape(len(sums), seeds, 2, classes)
        f1 = 2 * blocks[:, :, 1] / blocks[:, :, 0]
        return np.asarray(_mean_of_present(f1, blocks[:, :, 0] > 0).mean(axis=1))


def _mean_of_present(values: Floats, present: NDArray[np.bool_]) -> Floats:
    count = present.sum(axis=-1)
    return np.asarray(np.where(present, values, 0).sum(axis=-1) / count)
