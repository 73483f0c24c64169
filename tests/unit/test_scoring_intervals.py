"""Intervals: coverage, methods, speed, degenerate cases."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from earnest.errors import DataError
from earnest.scoring import classification
from earnest.scoring._student import t_cdf, t_quantile
from earnest.scoring.intervals import group_bootstrap
from earnest.scoring.scores import Metric, score


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 23, 48])
def test_student_quantiles_agree_with_scipy(degrees: int) -> None:
    for t in (-2.0, 0.0, 0.5, 3.0):
        assert t_cdf(t, degrees) == pytest.approx(stats.t.cdf(t, degrees), abs=1e-12)
    assert t_quantile(0.975, degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


def simulate(
    rng: np.random.Generator, groups: int, size: int, mean: float, spread: float = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong per clip, and groups, where groups differ in how often they are right."""
    rates = rng.beta(mean * spread, (1 - mean) * spread, groups)
    return rng.random(groups * size) < np.repeat(rates, size), np.repeat(np.arange(groups), size)


@pytest.mark.parametrize(("groups", "mean"), [(6, 0.85), (6, 0.97), (24, 0.6), (60, 0.85)])
def test_intervals_cover_the_truth(groups: int, mean: float) -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        right, names = simulate(rng, groups, 40, mean)
        interval = score(
            "accuracy", np.ones(len(right), int), right.astype(int), 2, names, rng=rng, resamples=500
        ).interval
        hits += interval.low <= mean <= interval.high
    assert 0.90 <= hits / 400 <= 0.99  # nominal 0.95, three binomial standard errors are 0.033


def test_groups_make_the_interval_wider_than_clips() -> None:
    right, names = simulate(np.random.default_rng(0), 60, 50, 0.8, spread=3)
    targets = np.ones(len(right), int)
    by_group = score("accuracy", targets, right.astype(int), 2, names, rng=np.random.default_rng(1)).interval
    by_clip = score("accuracy", targets, right.astype(int), 2, rng=np.random.default_rng(1)).interval
    assert by_group.high - by_group.low > 2.5 * (by_clip.high - by_clip.low)
    assert "60 groups" in by_group.method
    assert "no groups were given" in by_clip.method


@pytest.mark.parametrize("groups", [6, 80])
@pytest.mark.parametrize("metric", ["accuracy", "uar", "macro_f1"])
def test_fast_and_general_paths_agree(metric: Metric, groups: int) -> None:
    rng = np.random.default_rng(groups)
    targets = rng.choice(4, 800, p=[0.4, 0.3, 0.2, 0.1])
    predictions = np.where(rng.random(800) < 0.7, targets, rng.integers(0, 4, 800))
    names = rng.integers(0, groups, 800)

    def statistic(rows: np.ndarray) -> float:
        if metric == "accuracy":
            return classification.accuracy(targets[rows], predictions[rows])
        function = classification.macro_f1 if metric == "macro_f1" else classification.unweighted_average_recall
        return function(targets[rows], predictions[rows], 4)

    fast = score(metric, targets, predictions, 4, names, rng=rng, resamples=4000)
    general = group_bootstrap(statistic, names, rng=rng, resamples=1000)
    assert fast.value == pytest.approx(statistic(np.arange(800)), abs=1e-12)
    # few groups: both are exact; many: two bootstraps differ by their draws
    tolerance = 1e-12 if groups == 6 else 0.006
    assert fast.interval.low == pytest.approx(general.low, abs=tolerance)
    assert fast.interval.high == pytest.approx(general.high, abs=tolerance)
    assert fast.interval.low < fast.value < fast.interval.high


@pytest.mark.parametrize("metric", ["accuracy", "uar", "macro_f1"])
def test_seeds_are_averaged(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 90)
    seeds = np.where(rng.random((3, 90)) < 0.6, targets, rng.integers(0, 3, (3, 90)))
    names = np.arange(90) // 15
    together = score(metric, targets, seeds, 3, names, rng=rng)
    alone = [score(metric, targets, row, 3, names, rng=rng).value for row in seeds]
    assert together.value == pytest.approx(np.mean(alone))
    assert together.interval.low < together.value < together.interval.high


def test_perfect_score_has_an_honest_interval() -> None:
    targets = np.arange(60) % 2
    perfect = score("accuracy", targets, targets, 2, np.arange(60) // 10, rng=np.random.default_rng(0))
    # Clopper-Pearson: 0.025 ** (1 / 60)
    assert perfect.interval.low == pytest.approx(0.9404, abs=1e-4)
    assert perfect.interval.high == 1
    assert "exact binomial" in perfect.interval.method
    hopeless = score("uar", targets, 1 - targets, 2, rng=np.random.default_rng(0))
    assert hopeless.interval.low == 0
    assert hopeless.interval.high == pytest.approx(1 - 0.9404, abs=1e-4)


def test_method_sentences_tell_what_was_not_possible() -> None:
    rng = np.random.default_rng(0)
    targets, predictions = np.arange(12) % 2, np.r_[np.arange(8) % 2, 1, 1, 1, 1]
    few = score("accuracy", targets, predictions, 2, np.arange(12) // 2, rng=rng, unit="speakers").interval
    assert "6 speakers" in few.method
    assert "rough guide" in few.method
    one = score("accuracy", targets, predictions, 2, ["same"] * 12, rng=rng).interval
    assert "one group only" in one.method
    own = score("accuracy", targets, predictions, 2, np.arange(12), rng=rng).interval
    assert "group of its own" in own.method
    single = group_bootstrap(lambda rows: 0.5, None, clips=1, rng=rng)
    assert (single.low, single.high) == (0, 1)
    assert "nothing is known" in single.method


def test_same_generator_state_same_interval() -> None:
    right, names = simulate(np.random.default_rng(0), 60, 10, 0.8)
    results = [
        score("accuracy", np.ones(600, int), right.astype(int), 2, names, rng=np.random.default_rng(5))
        for _ in range(2)
    ]
    assert results[0] == results[1]


def test_unknown_groups_stand_alone() -> None:
    rng = np.random.default_rng(0)
    names = np.array(["a", "a", None, None], dtype=object)
    assert score("accuracy", [0, 1, 0, 1], [0, 1, 1, 1], 2, names, rng=rng).groups == 3


def test_hundred_thousand_clips_take_under_a_second() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 35, 100_000)
    predictions = np.where(rng.random(100_000) < 0.9, targets, 0)
    names = rng.integers(0, 1000, 100_000)
    metrics: tuple[Metric, ...] = ("accuracy", "uar")
    for metric in metrics:
        started = time.process_time()
        score(metric, targets, predictions, 35, names, rng=rng)
        assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("options", "hint"),
    [({"level": 95.0}, "percent"), ({"resamples": 10}, "at least 100"), ({"clips": 0}, "at least one clip")],
)
def test_wrong_options(options: dict[str, float], hint: str) -> None:
    arguments = {"clips": 5, **options}
    with pytest.raises(DataError, match=hint):
        group_bootstrap(lambda rows: float(rows.mean()), None, rng=np.random.default_rng(0), **arguments)  # type: ignore[arg-type]


def test_groups_of_another_length() -> None:
    with pytest.raises(DataError, match="one group per clip"):
        score("accuracy", [0, 1], [0, 1], 2, ["a"], rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="unknown metric"):
        score("f2", [0, 1], [0, 1], 2, rng=np.random.default_rng(0))  # type: ignore[arg-type]
