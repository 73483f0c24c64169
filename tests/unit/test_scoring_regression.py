"""Concordance, correlation and errors: by hand, at the ends, and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from earnest.errors import DataError
from earnest.scoring import regression


def test_worked_by_hand() -> None:
    # targets 1 2 3, predictions 2 2 5: means 2 and 3, variances 2/3 and 2, covariance 1
    targets, said = [1.0, 2.0, 3.0], [2.0, 2.0, 5.0]
    assert regression.concordance(targets, said)[0] == pytest.approx(2 * 1 / (2 / 3 + 2 + 1))
    assert regression.pearson(targets, said)[0] == pytest.approx(1 / np.sqrt(2 / 3 * 2))
    assert regression.rmse(targets, said)[0] == pytest.approx(np.sqrt(5 / 3))
    assert regression.mae(targets, said)[0] == pytest.approx(1)


def test_perfect_shifted_and_turned() -> None:
    targets = np.array([1.0, 2.0, 4.0, 7.0])
    assert regression.concordance(targets, targets)[0] == pytest.approx(1)
    assert regression.pearson(targets, 3 * targets + 100)[0] == pytest.approx(1)
    assert regression.concordance(targets, 3 * targets + 100)[0] < 0.01
    assert regression.concordance(targets, 2 * targets.mean() - targets)[0] == pytest.approx(-1)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_what_does_not_vary_is_followed_by_nothing(offset: float) -> None:
    targets = np.array([1.0, 2.0, 3.0]) + offset
    still = np.full(3, targets.mean())
    for true, said in ((targets, still), (still, targets), (still, still)):
        assert regression.concordance(true, said)[0] == 0
        assert regression.pearson(true, said)[0] == 0


def test_parity_with_scipy_for_each_dimension() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(5, 2, (80, 3))
    said = 0.4 * targets + rng.normal(3, 1, (80, 3))
    expected = [pearsonr(targets[:, place], said[:, place])[0] for place in range(3)]
    np.testing.assert_allclose(regression.pearson(targets, said), expected, atol=1e-12)
    gap = targets.mean(0) - said.mean(0)
    lin = 2 * np.array([np.cov(t, p, ddof=0)[0, 1] for t, p in zip(targets.T, said.T, strict=True)])
    np.testing.assert_allclose(
        regression.concordance(targets, said), lin / (targets.var(0) + said.var(0) + gap**2), atol=1e-12
    )


def test_the_interval_is_of_the_same_statistic_and_inside_its_range() -> None:
    rng = np.random.default_rng(1)
    targets = rng.normal(size=(120, 2))
    seeds = np.stack([targets + rng.normal(0, 0.5, targets.shape) for _ in range(2)])
    for groups in (np.arange(120) % 8, np.arange(120) // 2, None):
        score = regression.score("ccc", targets, seeds, groups, rng=np.random.default_rng(0))
        assert score.value == pytest.approx(np.mean([regression.concordance(targets, seed).mean() for seed in seeds]))
        assert -1 <= score.interval.low < score.value < score.interval.high <= 1
    assert "Fisher" in regression.score("ccc", targets, seeds, np.arange(120) % 8, rng=rng).interval.method


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for draw in range(60):
        rng = np.random.default_rng(draw)
        group = np.repeat(np.arange(20), 30)
        targets = rng.normal(size=600)
        said = 0.8 * targets + rng.normal(0, 0.4, 600) + rng.normal(0, 0.3, 20)[group]
        truth = 2 * 0.8 / (1 + 0.64 + 0.16 + 0.09)  # population moments
        interval = regression.score("ccc", targets, said, group, rng=rng).interval
        covered += interval.low <= truth <= interval.high
    assert covered >= 52  # nominal 57 of 60; fewer than 52 has a chance of about 2 % at 95 % coverage


def test_the_summary_names_dimensions() -> None:
    found = regression.summary([[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.5]], ["valence", "arousal"])
    assert found["ccc_of"]["valence"] == pytest.approx(1)
    assert found["rmse_of"] == {"valence": 0, "arousal": pytest.approx(np.sqrt(0.125))}
    assert found["mae"] == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("targets", "said", "words"),
    [
        ([1.0, 2.0], [1.0], "shape"),
        ([], [], "expected"),
        ([1.0, np.nan], [1.0, 2.0], "targets hold NaN"),
        ([1.0, 2.0], [1.0, np.inf], "Did the training diverge"),
    ],
)
def test_wrong_values_are_named(targets: list[float], said: list[float], words: str) -> None:
    with pytest.raises(DataError, match=words):
        regression.concordance(targets, said)
