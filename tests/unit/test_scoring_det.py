"""DET curves: by hand, at the ends, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import det_curve

from earnest.errors import DataError
from earnest.scoring.det import det, probit


def test_a_curve_drawn_by_hand() -> None:
    curve = det([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1])
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.6, 0.4, 0.1]
    assert curve.misses.tolist() == [1, 0.5, 0.5, 0, 0]
    assert curve.false_alarms.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.equal_error_rate == 0.5
    assert curve.least_cost(0.5) == 0.5
    # At P = 0.1 the best threshold is 0.9: half of the targets missed, no false alarm.
    assert curve.least_cost(0.1) == pytest.approx(0.5)


def test_perfect_and_blind_scores() -> None:
    perfect = det([1, 1, 0], [3, 2, 1])
    assert (perfect.equal_error_rate, perfect.least_cost()) == (0, 0)
    blind = det([1, 0, 1, 0], [1, 1, 1, 1])
    assert (blind.equal_error_rate, blind.least_cost()) == (0.5, 1)
    wrong = det([1, 0], [0, 1])
    assert (wrong.equal_error_rate, wrong.least_cost()) == (1, 1)


def test_equal_scores_are_accepted_together() -> None:
    curve = det([1, 0, 1, 0], [2, 2, 1, 0])
    assert curve.misses.tolist() == [1, 0.5, 0, 0]
    assert curve.false_alarms.tolist() == [0, 0.5, 0.5, 1]


def test_it_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    targets = rng.random(400) < 0.3
    scores = rng.normal(size=400).round(1) + targets
    curve = det(targets, scores)
    alarms, misses, thresholds = det_curve(targets, scores)
    ours = dict(zip(curve.thresholds.tolist(), zip(curve.false_alarms, curve.misses, strict=True), strict=True))
    for threshold, alarm, miss in zip(thresholds.tolist(), alarms, misses, strict=True):
        assert ours[threshold] == pytest.approx((alarm, miss), abs=1e-12)


@pytest.mark.parametrize(
    ("targets", "scores", "words"),
    [
        ([1, 0], [0.1], "expected"),
        ([1, 0], [0.1, np.nan], "finite"),
        ([1, 2], [0.1, 0.2], "0 or 1"),
        ([1, 1], [0.1, 0.2], "needs both kinds"),
        ([], [], "needs both kinds"),
    ],
)
def test_what_is_no_set_of_trials_is_named(targets: list[float], scores: list[float], words: str) -> None:
    with pytest.raises(DataError, match=words):
        det(targets, scores)


def test_costs_need_a_probability() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        det([1, 0], [1, 0]).least_cost(1)


def test_normal_deviates() -> None:
    assert probit([0.5, 0.975]).tolist() == pytest.approx([0, 1.959964], abs=1e-6)
