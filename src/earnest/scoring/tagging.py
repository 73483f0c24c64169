"""Scores of tags: clips with any number of labels.

Conventions
-----------
`targets` is 0 or 1, `scores` are probabilities of their own, both of shape (clips, tags). A tag is given from 0.5 on.
Means over tags are over those that something can be said about: for average precision, tags with at least one clip;
for AUC, tags with clips on both sides; for F1, tags that occur in targets or answers. Clips of all folds are ranked
together, though each fold's model has its own idea of a high score; that can only lower the value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError
from earnest.scoring.intervals import Interval, clips_note, group_bootstrap, number_groups, totals_bootstrap
from earnest.scoring.ranking import Ranking, check_tags
from earnest.scoring.scores import Score

Metric = Literal["map", "auc", "micro_f1", "macro_f1"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Statistic = Callable[[Floats], float]  # from how often each clip counts to the metric

METRICS: tuple[Metric, ...] = ("map", "auc", "micro_f1", "macro_f1")
THRESHOLD = 0.5
TAG_RESAMPLES = 1000  # for the intervals of single tags, of which there may be hundreds


def value(metric: Metric, targets: ArrayLike, scores: ArrayLike) -> float:
    """A metric of one set of scores, a fraction in [0, 1]; NaN where no tag has anything to say."""
    return _statistic(metric, *check_tags(targets, scores))(np.ones(len(np.asarray(targets))))


def f1_per_tag(targets: ArrayLike, scores: ArrayLike) -> Floats:
    """F1 of each tag at 0.5, shape (tags,); NaN where it occurs neither in targets nor in answers."""
    true, said = check_tags(targets, scores)
    return _f1(*_counts(true, said)(np.ones(len(true))))


def score(
    metric: Metric,
    targets: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Score:
    """A metric with its interval over groups.

    Parameters
    ----------
    metric : `map` (mean average precision over tags), `auc` (its mean over tags), `micro_f1` or `macro_f1` at 0.5.
    targets : (clips, tags).
    scores : (clips, tags), or (seeds, clips, tags) for the mean over seeds on the same clips.
    groups : the speaker or source of each clip, or None.
    rng, resamples : as in `intervals.group_bootstrap`.

    Raises
    ------
    DataError : unknown metric, wrong arrays, or no tag of which anything could be said.
    """
    if metric not in METRICS:
        raise DataError(f"unknown metric {metric!r}.", f"Known: {', '.join(METRICS)}.")
    true = np.asarray(targets, dtype=np.float64)
    seeds = np.asarray(scores, dtype=np.float64)
    seeds = seeds[None] if seeds.ndim == 2 else seeds
    statistics = [_statistic(metric, *check_tags(true, seed)) for seed in seeds]

    def mean(weights: Floats) -> float:
        return float(np.mean([statistic(weights) for statistic in statistics]))

    found = mean(np.ones(len(true)))
    if np.isnan(found):
        raise DataError("no tag occurs in the test clips, so there is nothing to score.", "Check the column of tags.")
    positives = true.sum(axis=0)
    positives = positives[positives > 0]
    # Kish's effective number of clips, since rare tags weigh as much as frequent ones
    effective = float(len(positives) ** 2 / np.sum(1 / positives)) if len(positives) else float(len(true))
    interval = _interval(mean, found, groups, len(true), effective, rng, resamples)
    return Score(found, interval, len(true), number_groups(groups, len(true))[1])


def by_tag(
    targets: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None,
    names: tuple[str, ...] | list[str],
    rng: np.random.Generator,
) -> dict[str, dict[str, Any]]:
    """Average precision (with its interval over groups) and AUC of each tag, means over seeds.

    Parameters
    ----------
    targets, scores, groups : as in `score`, scores as (seeds, clips, tags).
    names : the tags.

    Returns
    -------
    `average_precision` and `auc`: tag → value, interval (None where a tag's clips are too few for one), n (its clips).
    """
    true, seeds = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    precision: dict[str, Any] = {}
    areas: dict[str, Any] = {}
    for place, name in enumerate(names):
        rankings = [Ranking(true[:, place : place + 1], seed[:, place : place + 1]) for seed in seeds]
        clips = int(true[:, place].sum())

        def mean(weights: Floats, of: list[Ranking] = rankings) -> float:
            return float(np.mean([ranking.average_precision(weights)[0] for ranking in of]))

        found = mean(np.ones(len(true)))
        area = float(np.mean([ranking.auc()[0] for ranking in rankings]))
        bounds = None
        if clips:
            try:
                bounds = _interval(mean, found, groups, len(true), clips, rng, TAG_RESAMPLES).as_list()
            except DataError:  # all clips of the tag are of one group: nothing is known about another
                bounds = None
        precision[name] = {"value": _or_none(found), "interval": bounds, "n": clips}
        areas[name] = {"value": _or_none(area), "interval": None, "n": clips}
    return {"average_precision": precision, "auc": areas}


def summary(targets: ArrayLike, scores: ArrayLike, names: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """All metrics at once, ready for JSON: means over tags, then average precision, AUC and F1 by tag."""
    true, said = check_tags(targets, scores)
    ranking = Ranking(true, said)
    single = {
        "average_precision": ranking.average_precision(),
        "auc_of": ranking.auc(),
        "f1_of": f1_per_tag(true, said),
    }
    means: dict[str, Any] = {metric: _or_none(value(metric, true, said)) for metric in METRICS}
    return means | {
        key: {name: _or_none(float(found)) for name, found in zip(names, values, strict=True)}
        for key, values in single.items()
    }


def baselines(targets: ArrayLike, metric: Metric) -> dict[str, float]:
    """What giving every clip each tag's share of the clips scores: for average precision, that share itself."""
    true = np.asarray(targets, dtype=np.float64)
    found = value(metric, true, np.broadcast_to(true.mean(axis=0), true.shape))
    return {} if np.isnan(found) else {"prevalence": found}


def _statistic(metric: Metric, true: Floats, said: Floats) -> Statistic:
    """The metric as a function of how often each clip counts."""
    if metric in ("map", "auc"):
        ranking = Ranking(true, said)
        of = ranking.average_precision if metric == "map" else ranking.auc
        return lambda weights: _mean_known(of(weights))
    counts = _counts(true, said)
    if metric == "macro_f1":
        return lambda weights: _mean_known(_f1(*counts(weights)))
    return lambda weights: float(_f1(*(part.sum(keepdims=True) for part in counts(weights)))[0])


def _counts(true: Floats, said: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Per tag the right answers, and targets and answers together, each of shape (tags,)."""
    given = (said >= THRESHOLD).astype(np.float64)
    both, either = true * given, true + given
    return lambda weights: (weights @ both, weights @ either)


def _f1(right: Floats, either: Floats) -> Floats:
    return np.divide(2 * right, either, out=np.full_like(right, np.nan), where=either > 0)


def _mean_known(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _interval(
    statistic: Statistic,
    found: float,
    groups: ArrayLike | None,
    clips: int,
    effective: float,
    rng: np.random.Generator,
    resamples: int,
) -> Interval:
    """By resampling groups; of a perfect score, or one of nothing, the exact bound over the effective clips."""
    if found in (0.0, 1.0):
        numbers, count, true_groups = number_groups(groups, clips)
        sizes = np.bincount(numbers, minlength=count).astype(np.float64)
        note = f"{count} groups" if true_groups else clips_note(groups, clips)
        totals = np.stack([sizes, found * sizes], axis=1)
        return totals_bootstrap(
            totals, lambda sums: np.asarray(sums[:, 1] / sums[:, 0]), rng=rng, note=note, perfect_clips=effective
        )

    def of_rows(rows: Integers) -> float:
        return statistic(np.bincount(rows, minlength=clips).astype(np.float64))

    return group_bootstrap(of_rows, groups, rng=rng, clips=clips, resamples=resamples)


def _or_none(number: float) -> float | None:
    return None if np.isnan(number) else number
