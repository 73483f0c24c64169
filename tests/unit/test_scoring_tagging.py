"""Average precision, AUC, F1 of tags and the rates of two classes: by hand, at the ends, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from earnest.errors import DataError
from earnest.scoring import tagging
from earnest.scoring.binary import auc_score, rate_score
from earnest.scoring.ranking import Ranking, average_precision, roc_auc


def drawn(clips: int = 150, tags: int = 5, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores with many ties."""
    rng = np.random.default_rng(3)
    targets = (rng.random((clips, tags)) < 0.25).astype(float)
    return targets, np.round(np.clip(0.3 * targets + rng.random((clips, tags)) * 0.7, 0, 1), digits)


def test_average_precision_by_hand() -> None:
    # ranked: hit, miss, hit, miss → (1/1 + 2/3) / 2
    assert average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(0.5)  # all tied: the prevalence
    assert average_precision([1, 1, 0], [0.9, 0.8, 0.1]) == 1


def test_auc_by_hand() -> None:
    # pairs: 0.9>0.8, 0.9>0.1, 0.7<0.8, 0.7>0.1 → 3 of 4
    assert roc_auc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]) == pytest.approx(3 / 4)
    assert roc_auc([1, 0], [0.5, 0.5]) == 0.5
    assert roc_auc([0, 1], [0.9, 0.1]) == 0


def test_what_no_clip_can_tell_is_not_a_number() -> None:
    assert np.isnan(average_precision([0, 0], [0.1, 0.2]))
    assert np.isnan(roc_auc([1, 1], [0.1, 0.2]))
    targets, scores = np.array([[1, 0], [0, 0]]), np.array([[0.9, 0.6], [0.2, 0.4]])
    assert tagging.value("map", targets, scores) == 1  # the second tag stands aside
    assert tagging.summary(targets, scores, ["a", "b"])["average_precision"] == {"a": 1.0, "b": None}


def test_parity_with_scikit_learn_with_ties_and_weights() -> None:
    targets, scores = drawn()
    weights = np.random.default_rng(0).integers(0, 4, len(targets)).astype(float)
    ranking = Ranking(targets, scores)
    for given in (None, weights):
        for place in range(targets.shape[1]):
            pair = (targets[:, place], scores[:, place])
            assert ranking.average_precision(given)[place] == pytest.approx(
                reference.average_precision_score(*pair, sample_weight=given), abs=1e-12
            )
            assert ranking.auc(given)[place] == pytest.approx(
                reference.roc_auc_score(*pair, sample_weight=given), abs=1e-12
            )
    for average in ("micro", "macro"):
        expected = reference.f1_score(targets, scores >= 0.5, average=average)
        assert tagging.value(f"{average}_f1", targets, scores) == pytest.approx(expected)  # type: ignore[arg-type]


def test_the_baseline_of_average_precision_is_prevalence() -> None:
    targets, _ = drawn()
    assert tagging.baselines(targets, "map")["prevalence"] == pytest.approx(targets.mean(0).mean())
    assert tagging.baselines(targets, "auc")["prevalence"] == pytest.approx(0.5)


@pytest.mark.parametrize("metric", tagging.METRICS)
def test_the_interval_is_of_the_same_statistic(metric: tagging.Metric) -> None:
    targets, scores = drawn()
    for groups in (np.arange(150) % 7, np.arange(150) % 55):
        found = tagging.score(metric, targets, np.stack([scores, scores]), groups, rng=np.random.default_rng(0))
        assert found.value == pytest.approx(tagging.value(metric, targets, scores))
        assert 0 <= found.interval.low < found.value < found.interval.high <= 1


def test_a_perfect_score_of_rare_tags_is_no_certainty() -> None:
    targets = np.zeros((200, 2))
    targets[:3, 0] = targets[3:6, 1] = 1
    found = tagging.score("map", targets, targets, np.arange(200) % 10, rng=np.random.default_rng(0))
    assert found.value == 1
    assert found.interval.low < 0.6  # six clips with a tag, not two hundred


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(DataError, match="no tag occurs"):
        tagging.score("map", np.zeros((4, 2)), np.zeros((4, 2)), None, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="other than 0 and 1"):
        tagging.value("map", np.full((4, 2), 0.5), np.zeros((4, 2)))


def test_single_tags_have_intervals_unless_one_group_holds_all_their_clips() -> None:
    targets, scores = drawn(60, 2)
    targets[:, 1] = np.arange(60) % 6 == 0
    found = tagging.by_tag(targets, scores[None], np.arange(60) % 6, ["spread", "alone"], np.random.default_rng(0))
    assert found["average_precision"]["spread"]["interval"] is not None
    assert found["average_precision"]["alone"]["value"] is not None
    assert found["average_precision"]["alone"]["n"] == 10


def test_rates_by_hand() -> None:
    targets = [1, 1, 1, 1, 0, 0]
    said = [[1, 1, 1, 0, 0, 1]]
    rng = np.random.default_rng(0)
    assert rate_score(targets, said, 1, None, rng=rng).value == pytest.approx(3 / 4)
    assert rate_score(targets, said, 0, None, rng=rng).value == pytest.approx(1 / 2)
    perfect = rate_score(targets, [targets], 1, None, rng=rng)
    assert (perfect.value, perfect.clips) == (1, 4)
    assert perfect.interval.low == pytest.approx(0.025 ** (1 / 4))  # Clopper and Pearson, four of four
    with pytest.raises(DataError, match="no test case"):
        rate_score([1, 1], [[1, 1]], 0, None, rng=rng)


def test_auc_of_cases() -> None:
    targets, scores = drawn(60, 1)
    found = auc_score(targets[:, 0], scores.T, None, rng=np.random.default_rng(0))
    assert found.value == pytest.approx(reference.roc_auc_score(targets[:, 0], scores[:, 0]))
    assert found.interval.low < found.value < found.interval.high
    with pytest.raises(DataError, match="one class"):
        auc_score([1, 1], [[0.1, 0.2]], None, rng=np.random.default_rng(0))
