"""What a run keeps to be looked at: chosen by rule, the same again, and left out where it does not apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tiny_training
import torch
from torch import nn

from earnest import insight, tasks
from earnest.insight import conditions, embedding, mel, saliency
from earnest.recipe import Part, Recipe
from earnest.table import Table
from earnest.training.pipeline import Members, Normaliser
from earnest.training.waveforms import Waveforms

RATE = 8_000
RECIPE = Recipe(corpus="folder:x", model=Part(name="ds_cnn"))
CLASSIFICATION = tasks.find(Part(name="classification"))


def tones(hz: list[float], seconds: float = 0.3) -> Waveforms:
    time = np.arange(int(RATE * seconds)) / RATE
    samples = np.stack([0.5 * np.sin(2 * np.pi * one * time) for one in hz]).astype(np.float32)
    starts = np.arange(len(hz)) * len(time)
    return Waveforms(samples.ravel(), np.stack([starts, starts + len(time)], 1), RATE)


class TestMel:
    def test_a_class_is_loudest_where_its_tone_is_and_the_loudest_value_is_zero(self) -> None:
        waveforms = tones([500, 510, 520, 2000, 2010, 2020])
        groups = np.array(["a", "b", "c"] * 2, dtype=object)
        ids = [f"clip{number}" for number in range(6)]
        facts, arrays = mel.portraits(waveforms, np.array([0, 0, 0, 1, 1, 1]), ["low", "high"], groups, ids)
        assert arrays["means"].shape == (2, 100, 64)
        assert arrays["medoids"].shape == (6, 100, 64)
        loudest = [facts["centres_hz"][place] for place in arrays["band"].argmax(1)]
        assert loudest == pytest.approx([510, 2010], rel=0.06)
        assert max(arrays["means"].max(), arrays["medoids"].max()) == 0
        assert [one["groups"] for one in facts["classes"]] == [3, 3]
        assert sorted(facts["classes"][1]["medoids"]) == ["clip3", "clip4", "clip5"]
        assert facts["neutral"] is None
        np.testing.assert_allclose(arrays["differences"].sum(0), 0, atol=0.1)  # from the mean of the classes

    def test_differences_are_from_the_neutral_class_where_there_is_one(self) -> None:
        facts, arrays = mel.portraits(tones([500, 900]), np.array([0, 1]), ["angry", "Neutral"], None, ["a", "b"])
        assert facts["neutral"] == "Neutral"
        assert not arrays["differences"][1].any()
        assert facts["classes"][0]["groups"] is None
        np.testing.assert_array_equal(arrays["low"], arrays["high"])  # a single clip tells nothing of its spread

    def test_the_interval_of_a_mean_is_students_t_over_groups(self) -> None:
        """Four groups of one clip each: the jackknife's error is the standard error of the mean."""
        values = np.array([[1.0], [2.0], [3.0], [6.0]], np.float32)
        mean, low, high = mel.interval(values, np.array(list("abcd"), dtype=object))
        reach = 3.182446 * values.std(ddof=1) / 2
        assert [float(one[0]) for one in (mean, low, high)] == pytest.approx([3, 3 - reach, 3 + reach], rel=1e-5)

    def test_rows_are_spread_over_groups(self) -> None:
        groups = np.array(["a"] * 20 + ["b", "c"], dtype=object)
        chosen = mel.spread(np.arange(22), groups, 4)
        assert {"b", "c"} <= set(groups[chosen])
        np.testing.assert_array_equal(chosen, mel.spread(np.arange(22), groups, 4))

    def test_medoids_are_of_different_groups_first(self) -> None:
        clips = np.array([0.0, 0.1, 0.2, 5.0, 6.0], np.float32)[:, None, None]
        assert mel.central(clips, np.array(["a", "a", "a", "b", "b"], dtype=object)) == [2, 3, 1]

    def test_clips_too_short_for_a_frame_are_padded(self) -> None:
        facts, arrays = mel.portraits(tones([500, 900], 0.002), np.array([0, 1]), ["a", "b"], None, ["a", "b"])
        assert np.isfinite(arrays["means"]).all()
        assert facts["hidden"] == 0


class Bright(nn.Module):
    """Class 1 is the mean of the first half of the frames in the upper half of the bands."""

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        half, middle = features.shape[1] // 2, features.shape[2] // 2
        level = features[:, :half, middle:].mean((1, 2))
        return torch.stack([level, level**2], dim=1)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        level = self.embed(features, lengths)[:, 0]
        return torch.stack([-level, level], dim=1)


def test_saliency_finds_the_part_that_counts() -> None:
    examples = tiny_training.examples()
    normaliser = Normaliser(10)
    normaliser.fit(examples.plain(row) for row in range(12))
    look = saliency.look(normaliser, Bright(), examples, 0, 1, CLASSIFICATION)
    assert look is not None
    frames = look.gradient.shape[0]
    assert (look.gradient[: frames // 2, 5:] == 255).all()
    assert not look.gradient[:, :5].any()
    assert not look.gradient[frames // 2 + 1 :].any()
    assert look.occlusion.shape == (10, 6)
    np.testing.assert_allclose(look.occlusion[:, :3], 0, atol=1e-6)
    assert look.drop == pytest.approx(look.occlusion[:5, 3:].max())
    assert look.seconds == 0.25
    assert look.start_s == examples.inputs.starts(len(examples.waveforms[0]))[0] / RATE


def test_saliency_takes_the_surest_wrong_and_right_answers_of_different_classes() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.95, 0.05], [0.6, 0.4]])
    assert saliency.choose(np.array([0, 0, 1, 1, 1]), scores) == [3, 4, 0, 2]
    assert saliency.choose(np.array([0]), np.array([[0.9, 0.1]])) == [0]


def test_embeddings_of_members_stand_side_by_side_and_flat_ones_make_no_map() -> None:
    examples = tiny_training.examples()
    normaliser = Normaliser(10)
    rows = list(range(tiny_training.CLIPS))
    alone = embedding.embed(normaliser, Bright(), examples, rows)
    both = embedding.embed(normaliser, Members([Bright(), Bright()]), examples, rows)
    assert alone is not None
    assert both is not None
    np.testing.assert_allclose(both[1][:, 0], np.sqrt(2) * alone[1][:, 0], rtol=1e-4)
    assert embedding.embed(normaliser, nn.Identity(), examples, rows) is None
    assert embedding.embed(normaliser, Bright(), examples, rows[:5]) is None


def predictions(rows: int, **columns: Any) -> pl.DataFrame:
    truth = np.arange(rows) % 2
    said = np.where(np.arange(rows) % 4 == 3, 0, truth)
    return pl.DataFrame(
        {
            "id": [f"c{row:02d}" for row in range(rows)],
            "fold": ["1"] * rows,
            "seed": [0] * rows,
            "speaker": [f"s{row // 6}" for row in range(rows)],
            "target": [["a", "b"][one] for one in truth],
            "prediction": [["a", "b"][one] for one in said],
            "targets": np.eye(2)[truth].tolist(),
            "scores": (0.8 * np.eye(2)[said] + 0.1).tolist(),
            **columns,
        }
    )


def conditioned(rows: int = 24) -> tuple[Table, pl.DataFrame]:
    frame = predictions(rows)
    place = pl.int_range(rows)
    table = frame.select(
        "id",
        "speaker",
        label="target",
        audio=pl.lit("/nowhere.wav"),
        emotion=pl.col("target").str.to_uppercase(),
        loud=(place % 3 == 0),
        room=pl.when(place < 12).then(pl.lit("hall")).when(place < 23).then(pl.lit("car")),
        take=place,
    )
    return Table.from_frame(table, "made up"), frame


def test_conditions_are_columns_of_few_values_that_do_not_say_the_target() -> None:
    table, frame = conditioned()
    scores = {"primary": "accuracy", "group": "speaker", "labels": ["a", "b"]}
    found = conditions.score(frame, table, RECIPE, CLASSIFICATION, "label", scores)
    assert [one["name"] for one in found] == ["loud", "room"]
    car, hall = found[1]["values"]
    assert (car["value"], car["n"], car["groups"]) == ("car", 11, 2)
    assert hall["score"] == pytest.approx(0.75)
    assert hall["interval"][0] < 0.75 < hall["interval"][1]


def test_conditions_of_subjects_are_those_that_a_subject_has_one_of() -> None:
    table, frame = conditioned()
    frame = frame.with_columns(recording="id", subject="speaker")
    scores = {"primary": "accuracy", "group": "speaker", "labels": ["a", "b"], "level": "subject"}
    table = Table.from_frame(table.frame.with_columns(home=pl.col("speaker").is_in(["s0", "s1"])), "made up")
    found = conditions.score(frame, table, RECIPE, CLASSIFICATION, "label", scores)
    assert {one["name"]: [value["n"] for value in one["values"]] for one in found}["home"] == [2, 2]
    assert "loud" not in [one["name"] for one in found]


def test_a_fold_keeps_what_its_model_sees_and_the_run_gathers_it(tmp_path: Path) -> None:
    examples = tiny_training.examples()
    normaliser = Normaliser(10)
    normaliser.fit(examples.plain(row) for row in range(12))
    rows = list(range(tiny_training.CLIPS))
    frame = predictions(len(rows))
    scores = np.array(frame["scores"].to_list())
    examples.targets = np.array(frame["targets"].to_list(), np.float32)
    insight.keep(tmp_path, normaliser, Bright(), examples, rows, scores, CLASSIFICATION)
    kept = insight.load(tmp_path / insight.KEPT)
    ids = frame["id"].to_list()
    looks = saliency.gather({"1": kept, "2": None}, frame, ids)
    assert looks is not None
    assert [one["id"] for one in looks[0]["clips"]] == ["c03", "c07", "c00", "c01"]
    assert looks[1].keys() == {f"{name}_{n}" for n in range(4) for name in ("features", "gradient", "occlusion")}
    chart = embedding.chart(kept, frame, ids, "1")
    assert chart is not None
    assert chart == embedding.chart(kept, frame, ids, "1")
    assert [point["id"] for point in chart["points"]] == ids
