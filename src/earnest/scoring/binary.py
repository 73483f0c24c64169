"""Two classes: sensitivity, specificity and AUC with their intervals over groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError
from earnest.scoring.classification import check_classes
from earnest.scoring.intervals import clips_note, group_bootstrap, number_groups, totals_bootstrap
from earnest.scoring.ranking import Ranking
from earnest.scoring.scores import Score

Integers = NDArray[np.int64]


def rate_score(
    targets: ArrayLike, predictions: ArrayLike, wanted: int, groups: ArrayLike | None, *, rng: np.random.Generator
) -> Score:
    """The share of one class's cases that are recognised, with its interval.

    Sensitivity is that of the positive class, specificity that of the negative one.

    Parameters
    ----------
    targets : class numbers 0 or 1, shape (cases,).
    predictions : class numbers, shape (seeds, cases); the mean over seeds is scored.
    wanted : the class.
    groups : the group of each case, or None.

    Raises
    ------
    DataError : there is no case of this class.
    """
    true = check_classes(targets, 2)
    right = (np.asarray(predictions) == true).mean(axis=0)
    cases = true == wanted
    if not cases.any():
        raise DataError(f"there is no test case of class {wanted}, so its recall is not known.")
    numbers, count, true_groups = number_groups(groups, len(true))
    sums = np.stack([np.bincount(numbers, values, count) for values in (cases * 1.0, cases * right)], axis=1)
    totals = sums[sums[:, 0] > 0].astype(np.float64)
    note = f"{len(totals)} groups" if true_groups else clips_note(groups, len(true))
    interval = totals_bootstrap(
        totals,
        lambda sums: np.asarray(
            np.divide(sums[:, 1], sums[:, 0], out=np.full(len(sums), np.nan), where=sums[:, 0] > 0)
        ),
        rng=rng,
        note=note,
        perfect_clips=float(cases.sum()),
    )
    return Score(float(right[cases].mean()), interval, int(cases.sum()), len(totals))


def auc_score(targets: ArrayLike, scores: ArrayLike, groups: ArrayLike | None, *, rng: np.random.Generator) -> Score:
    """Area under the ROC curve, with its interval.

    Parameters
    ----------
    targets : 0 or 1, shape (cases,).
    scores : shape (seeds, cases), larger for likelier positive; the mean over seeds is scored.
    groups : the group of each case, or None.

    Raises
    ------
    DataError : all cases are of one class.
    """
    true = np.asarray(targets, dtype=np.float64)
    positives = int(true.sum())
    if positives in (0, len(true)):
        raise DataError("all test cases are of one class, so there is no ROC curve.")
    rankings = [Ranking(true[:, None], seed[:, None]) for seed in np.asarray(scores, dtype=np.float64)]

    def area(rows: Integers) -> float:
        weights = np.bincount(rows, minlength=len(true)).astype(np.float64)
        return float(np.mean([ranking.auc(weights)[0] for ranking in rankings]))

    value = area(np.arange(len(true)))
    if value in (0.0, 1.0):  # nothing can be resampled: the exact bound over the rarer class
        numbers, count, true_groups = number_groups(groups, len(true))
        sizes = np.bincount(numbers, minlength=count).astype(np.float64)
        interval = totals_bootstrap(
            np.stack([sizes, value * sizes], axis=1),
            lambda sums: np.asarray(sums[:, 1] / sums[:, 0]),
            rng=rng,
            note=f"{count} groups" if true_groups else clips_note(groups, len(true)),
            perfect_clips=float(min(positives, len(true) - positives)),
        )
    else:
        interval = group_bootstrap(area, groups, rng=rng, clips=len(true))
    return Score(value, interval, len(true), number_groups(groups, len(true))[1])
