"""Clips, recordings and subjects: what becomes of their scores, worked by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest import levels, recipe, tasks
from earnest.errors import RecipeError
from earnest.recipe import Part
from earnest.runtime.combine import FLOOR, combine
from earnest.table import Table

TASK = tasks.find(Part(name="classification"))
LABELS = ["no", "yes"]


def test_mean() -> None:
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    np.testing.assert_allclose(combine(scores), [0.5, 0.5])


def test_majority_counts_decisions() -> None:
    """Two of three say yes, though one no is much surer: 2 votes and half a vote of the mean, of 4 in all."""
    scores = np.array([[1.0, 0.0], [0.4, 0.6], [0.4, 0.6]])
    np.testing.assert_allclose(combine(scores), [0.6, 0.4])
    np.testing.assert_allclose(combine(scores, "majority"), [(1 + 0.6) / 4, (2 + 0.4) / 4])


def test_equal_votes_are_decided_by_the_mean() -> None:
    scores = np.array([[0.6, 0.4], [0.1, 0.9]])
    np.testing.assert_allclose(combine(scores, "majority"), [(1 + 0.35) / 3, (1 + 0.65) / 3])


def test_geometric_mean() -> None:
    """sqrt(.9 x .4) = .6 and sqrt(.1 x .6) = sqrt(.06)."""
    scores = np.array([[0.9, 0.1], [0.4, 0.6]])
    no, yes = 0.6, 0.06**0.5
    np.testing.assert_allclose(combine(scores, "geometric"), [no / (no + yes), yes / (no + yes)])


def test_a_zero_does_not_veto_for_ever() -> None:
    scores = np.array([[1.0, 0.0]] + [[0.001, 0.999]] * 4)
    result = combine(scores, "geometric")
    assert np.isfinite(result).all()
    no, yes = 0.001**0.8, (FLOOR * 0.999**4) ** 0.2
    np.testing.assert_allclose(result, [no / (no + yes), yes / (no + yes)])


@pytest.mark.parametrize("rule", ["mean", "majority", "geometric"])
def test_one_answer_stays_as_it_is(rule: str) -> None:
    scores = np.array([[0.3, 0.5, 0.2]])
    assert combine(scores, rule).tolist() == [0.3, 0.5, 0.2]


def test_tags_are_combined_each_with_its_complement() -> None:
    scores = np.array([[0.9, 0.2], [0.4, 0.2]])
    there, not_there = (0.9 * 0.4) ** 0.5, (0.1 * 0.6) ** 0.5
    result = combine(scores, "geometric", exclusive=False)
    np.testing.assert_allclose(result, [there / (there + not_there), 0.2])
    np.testing.assert_allclose(combine(scores, "mean", exclusive=False), [0.65, 0.2])
    np.testing.assert_allclose(combine(scores, "majority", exclusive=False), [(1 + 0.65) / 3, 0.2 / 3])


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(0.001, 1), min_size=3, max_size=3), min_size=1, max_size=9),
    rule=st.sampled_from(["mean", "majority", "geometric"]),
)
def test_what_is_combined_is_a_distribution_and_follows_agreement(rows: list[list[float]], rule: str) -> None:
    scores = np.array(rows)
    scores /= scores.sum(axis=1, keepdims=True)
    result = combine(scores, rule)
    assert result.sum() == pytest.approx(1)
    assert (result >= 0).all()
    first = scores.argmax(1)
    if (first == first[0]).all():
        assert result.argmax() == first[0]
    votes = np.bincount(first, minlength=3)
    if rule == "majority" and (votes == votes.max()).sum() == 1:
        assert result.argmax() == votes.argmax()


def table(**columns: list) -> Table:
    ids = [f"c{n}" for n in range(len(next(iter(columns.values()))))]
    return Table.from_frame(pl.DataFrame({"id": ids, "audio": [f"/x/{name}" for name in ids], **columns}), "made up")


def answers(clips: Table, yes: list[float], folds: list[str] | None = None) -> pl.DataFrame:
    """Predictions as the journey gathers them, from each clip's probability of yes."""
    truth = [[float(label == name) for name in LABELS] for label in clips.column("label")]
    frame = pl.DataFrame(
        {
            "id": clips.column("id"),
            "fold": folds or ["1"] * len(clips),
            "seed": [0] * len(clips),
            "speaker": clips.column("speaker"),
            "source": clips.column("source"),
            "target": clips.column("label"),
            "prediction": [LABELS[int(value > 0.5)] for value in yes],
            "targets": truth,
            "scores": [[1 - value, value] for value in yes],
        }
    )
    return levels.name_units(frame, clips)


PIECES = {
    "speaker": ["s", "s", "s", "t", "t"],
    "label": ["yes", "yes", "yes", "no", "no"],
    "recording": ["r", "r", "q", "p", "p"],
}


def test_clips_recordings_and_subjects() -> None:
    clips = table(**PIECES)
    frame = answers(clips, [0.9, 0.3, 0.4, 0.2, 0.6])
    assert frame["recording"].to_list() == PIECES["recording"]
    assert frame["subject"].to_list() == PIECES["speaker"]

    by_recording = levels.combine_units(frame, "recording", "mean", TASK, LABELS)
    assert by_recording.columns == frame.columns
    assert by_recording.select("id", "recording", "prediction", "target").rows() == [
        ("c0", "r", "yes", "yes"),
        ("c2", "q", "no", "yes"),
        ("c3", "p", "no", "no"),
    ]
    np.testing.assert_allclose([row[1] for row in by_recording["scores"]], [0.6, 0.4, 0.4])

    by_subject = levels.combine_units(frame, "subject", "mean", TASK, LABELS)
    assert by_subject.select("subject", "prediction").rows() == [("s", "yes"), ("t", "no")]
    votes = levels.combine_units(frame, "subject", "majority", TASK, LABELS)
    assert votes["prediction"].to_list() == ["no", "no"]


def test_folds_and_seeds_stay_apart() -> None:
    clips = table(**PIECES)
    frame = answers(clips, [0.9, 0.3, 0.4, 0.2, 0.6], folds=["1", "2", "2", "1", "1"])
    both = pl.concat([frame, frame.with_columns(pl.lit(1, pl.Int64).alias("seed"))])
    units = levels.combine_units(both, "subject", "mean", TASK, LABELS)
    assert sorted(units.select("seed", "fold", "subject").rows()) == [
        *[(0, "1", "s"), (0, "1", "t"), (0, "2", "s")],
        *[(1, "1", "s"), (1, "1", "t"), (1, "2", "s")],
    ]


def test_levels_that_say_nothing_new_are_not_offered() -> None:
    whole = table(speaker=["s", "t", "t"], label=["yes", "no", "no"])
    assert levels.offered(answers(whole, [0.9, 0.1, 0.2]), "clip", TASK) == ["clip", "subject"]
    lonely = table(speaker=["s", "t"], label=["yes", "no"])
    assert levels.offered(answers(lonely, [0.9, 0.1]), "clip", TASK) == ["clip"]
    assert levels.offered(answers(lonely, [0.9, 0.1]), "subject", TASK) == ["clip", "subject"]


def test_a_speaker_with_several_labels_has_no_subject_level() -> None:
    mixed = table(speaker=["s", "s", "t"], label=["yes", "no", "no"])
    frame = answers(mixed, [0.9, 0.1, 0.2])
    assert levels.offered(frame, "clip", TASK) == ["clip"]
    targets = np.array(frame["targets"].to_list())
    with pytest.raises(RecipeError, match="1 of 2 subjects have clips of several targets, 's' among them"):
        levels.check(mixed, targets, "subject")
    levels.check(mixed, targets, "recording")


def test_clips_without_a_speaker_have_no_subject_level() -> None:
    unknown = table(speaker=["s", None, "t"], label=["yes", "no", "no"])
    frame = answers(unknown, [0.9, 0.1, 0.2])
    with pytest.raises(RecipeError, match="1 of 3 clips have no speaker"):
        levels.check(unknown, np.array(frame["targets"].to_list()), "subject")


def cell(*overrides: str) -> recipe.Recipe:
    (found,) = recipe.load(None, ["corpus=x", "model=ds_cnn", *overrides])
    return found


def test_the_asked_level_is_the_score_and_all_levels_are_told() -> None:
    clips = table(**PIECES)
    frame = answers(clips, [0.9, 0.3, 0.4, 0.2, 0.6])

    def judge(part: pl.DataFrame) -> dict:
        right = (part["prediction"] == part["target"]).mean()
        method = "95 % of single clips"
        return {
            "score": right,
            "interval": [0, 1],
            "interval_method": method,
            "n_clips": len(part),
            "n_groups": 2,
            "metrics": {"accuracy": right},
            "folds": [{"name": "1", "score": right, "interval_method": method}],
        }

    scores = levels.score_levels(frame, judge, cell("level=subject"), TASK, LABELS)
    assert (scores["score"], scores["level"], scores["combine"]) == (1.0, "subject", "mean")
    assert (scores["n_clips"], scores["n_units"]) == (5, 2)
    assert [(name, level["score"], level["n"]) for name, level in scores["levels"].items()] == [
        ("clip", 0.4, 5),
        ("recording", pytest.approx(2 / 3), 3),
        ("subject", 1.0, 2),
    ]
    assert scores["interval_method"] == scores["folds"][0]["interval_method"] == "95 % of single subjects"


def test_what_was_there_before_keeps_its_hash() -> None:
    assert cell().hash == cell("clips.segments=whole", "clips.gap_s=0.5", "combine=mean").hash
    assert len({cell().hash, cell("clips.segments=cut-all").hash, cell("combine=majority").hash}) == 3
    assert "segments" not in cell().to_yaml()
