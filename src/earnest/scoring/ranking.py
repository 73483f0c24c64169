"""How well scores put the right clips first: average precision and area under the ROC curve, for many labels at once.

Everything is computed from one sort, in which each clip may count any number of times: so resampling whole groups
changes weights only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Ranking:
    """Clips in the order of their scores, highest first, for each label.

    Parameters
    ----------
    targets : (clips, labels), 1 or True where a clip has the label.
    scores : (clips, labels), finite; larger means likelier.

    Raises
    ------
    DataError : empty or unequal arrays, targets other than 0 and 1, scores that are not finite.
    """

    def __init__(self, targets: ArrayLike, scores: ArrayLike) -> None:
        true, said = check_tags(targets, scores)
        clips = len(true)
        self.order = np.argsort(-said, axis=0, kind="stable")  # (clips, labels)
        self.hits = np.take_along_axis(true, self.order, axis=0)
        ranked = np.take_along_axis(said, self.order, axis=0)
        steps = np.ones_like(true)
        steps[1:] = ranked[1:] != ranked[:-1]  # a tie begins
        rows = np.arange(clips)[:, None]
        self.first = np.maximum.accumulate(np.where(steps > 0, rows, 0), axis=0)  # where each clip's tie begins
        ends = np.concatenate([steps[1:], np.ones_like(true[:1])])
        self.last = np.minimum.accumulate(np.where(ends > 0, rows, clips - 1)[::-1], axis=0)[::-1]

    def average_precision(self, weights: Floats | None = None) -> Floats:
        """Average precision of each label, shape (labels,): Σ (recall_i − recall_i−1) · precision_i over thresholds.

        Not interpolated, ties taken together, as scikit-learn counts it. NaN for a label without clips.

        Parameters
        ----------
        weights : how often each clip counts, shape (clips,); default once.
        """
        weight = self._weights(weights)  # (clips, labels), in ranked order
        hits = weight * self.hits
        found, seen = (np.take_along_axis(np.cumsum(part, axis=0), self.last, axis=0) for part in (hits, weight))
        precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        return _over((hits * precision).sum(axis=0), hits.sum(axis=0))

    def auc(self, weights: Floats | None = None) -> Floats:
        """Area under the ROC curve of each label, shape (labels,): how often a clip with it outranks one without.

        Ties count half (Mann and Whitney). NaN where all clips have the label or none.
        """
        weight = self._weights(weights)
        hits, misses = weight * self.hits, weight * (1 - self.hits)
        below = np.cumsum(misses, axis=0)
        upto = np.take_along_axis(below, self.last, axis=0)
        before = np.take_along_axis(below - misses, self.first, axis=0)
        total = misses.sum(axis=0)
        outranked = total - upto + (upto - before) / 2
        return _over((hits * outranked).sum(axis=0), hits.sum(axis=0) * total)

    def _weights(self, weights: Floats | None) -> Floats:
        given = np.ones(len(self.order)) if weights is None else np.asarray(weights, dtype=np.float64)
        return given[self.order]


def check_tags(targets: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Both as (clips, labels) float64, checked; see `Ranking`."""
    true, said = (np.asarray(values, dtype=np.float64) for values in (targets, scores))
    if true.ndim != 2 or true.size == 0 or true.shape != said.shape:
        raise DataError(
            f"targets have the shape {true.shape} and scores {said.shape}.", "Expected (clips, labels) for both."
        )
    if not np.all((true == 0) | (true == 1)):
        raise DataError("targets hold values other than 0 and 1.", "Did you pass scores in their place?")
    if not np.all(np.isfinite(said)):
        raise DataError("scores hold NaN or infinite values.", "Did the training diverge?")
    return true, said


def average_precision(targets: ArrayLike, scores: ArrayLike) -> float:
    """Average precision of one label: targets and scores of shape (clips,); NaN without any clip that has it."""
    return float(Ranking(*(np.asarray(values)[:, None] for values in (targets, scores))).average_precision()[0])


def roc_auc(targets: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve of one label: targets and scores of shape (clips,); NaN where one kind is absent."""
    return float(Ranking(*(np.asarray(values)[:, None] for values in (targets, scores))).auc()[0])


def _over(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
