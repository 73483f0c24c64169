"""Paired comparisons and Holm's adjustment."""

from __future__ import annotations

import numpy as np
import pytest

from earnest.errors import DataError
from earnest.scoring.paired import compare, describe, holm


def test_worked_by_hand() -> None:
    # three groups; A is right more often in each: group sums +1, +2, +1 over 6 clips
    a, b = [1, 1, 1, 1, 1, 0], [0, 1, 0, 0, 0, 0]
    paired = compare(a, b, [0, 0, 1, 1, 2, 2], np.random.default_rng(0))
    assert paired.difference == pytest.approx(4 / 6)
    assert paired.p_value == 2 / 8  # only the two patterns where all signs agree reach |4|
    assert (paired.n, paired.groups) == (6, 3)
    assert "smallest possible p 0.25" in paired.method
    assert paired.interval.low <= paired.difference <= paired.interval.high


def test_equal_systems() -> None:
    right = np.arange(200) % 3 == 0
    paired = compare(right, right, np.arange(200) // 2, np.random.default_rng(0))
    assert (paired.difference, paired.p_value) == (0, 1)
    assert "score the same" in describe(paired, "A", "B")


def test_uar_difference_weighs_classes_alike() -> None:
    # class 0: A better by 1 of 4 clips; class 1: A worse by 1 of 1 clip: (0.25 - 1) / 2
    paired = compare([1, 1, 1, 1, 0], [1, 1, 1, 0, 1], None, np.random.default_rng(0), targets=[0, 0, 0, 0, 1])
    assert paired.difference == pytest.approx(-0.375)


def test_groups_keep_one_lucky_speaker_from_deciding() -> None:
    a, b = np.zeros(500), np.zeros(500)
    a[:100] = 1  # the whole advantage lies with one of five speakers
    names = np.arange(500) // 100
    assert compare(a, b, names, np.random.default_rng(0)).p_value == 1
    assert compare(a, b, None, np.random.default_rng(0)).p_value < 0.001


@pytest.mark.parametrize("groups", [10, 40])
def test_false_alarms_stay_at_their_level(groups: int) -> None:
    rng = np.random.default_rng(1)
    names = np.repeat(np.arange(groups), 20)
    alarms = 0
    for _ in range(300):
        favour = np.repeat(rng.normal(0, 0.15, groups), 20)
        a, b = rng.random(len(names)) < 0.7 + favour, rng.random(len(names)) < 0.7 - favour
        alarms += compare(a, b, names, rng, resamples=100).p_value <= 0.05
    assert alarms / 300 <= 0.09  # 0.05 and three binomial standard errors


def test_a_true_difference_is_found() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(3000) < 0.9, rng.random(3000) < 0.8
    paired = compare(a, b, np.arange(3000) // 100, rng)
    assert paired.p_value < 0.001
    assert paired.interval.low > 0
    assert describe(paired, "new", "old").startswith("new is better than old")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]).max() <= 1
    assert holm([]).size == 0
    with pytest.raises(DataError, match="percent"):
        holm([5.0])


def test_errors() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="same test clips"):
        compare([1, 0], [1], None, rng)
    with pytest.raises(DataError, match="finite"):
        compare([1, np.nan], [1, 0], None, rng)
    with pytest.raises(DataError, match="at least one clip"):
        compare([], [], None, rng)
    with pytest.raises(DataError, match="one target per clip"):
        compare([1, 0], [1, 0], None, rng, targets=[0])
