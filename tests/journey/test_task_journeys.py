"""Each task from recordings to a bundle, on a synthetic list: tones of several pitches, with and without noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from earnest import journey, recipe
from earnest.comparison import compare_runs
from earnest.errors import RecipeError
from earnest.runtime import Predictor, Streamer

RATE = 8_000
FAST = ["sample_rate=8000", "clips.window_s=0.5", "clips.short=pad", "model=ds_cnn", "split.folds=2"]
FAST += ["training.epochs=3", "training.batch_size=8", "frontend={name: log_mel, bands: 24}"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list with tags, values, a diagnosis and a genre for each clip of six speakers."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    time = np.arange(RATE // 2) / RATE
    rows = []
    for speaker in range(6):
        for take in range(6):
            pitch, level = float(rng.uniform(200, 2000)), float(rng.uniform(0.02, 0.5))
            tone, noise = take % 2, take % 3 == 0
            wave = tone * level * np.sin(2 * np.pi * pitch * time) + noise * 0.1 * rng.normal(size=len(time))
            wave += 0.002 * rng.normal(size=len(time))
            file = f"s{speaker}_{take}.wav"
            soundfile.write(folder / file, wave, RATE)
            rows.append(
                {"audio": file, "speaker": f"s{speaker}", "valence": pitch / 20, "arousal": 1 + 6 * level}
                | {"labels": ["tone"] * tone + ["noise"] * noise, "label": "MDD" if speaker % 2 else "HC"}
                | {"genre": "rock" if noise else "pop", "artist": f"a{speaker // 2}"}
            )
    listed = folder / "clips.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return listed


def run(clips: Path, out: Path, *overrides: str) -> tuple[dict, pl.DataFrame, str]:
    (cell,) = recipe.load(None, [f"corpus={clips}", *FAST, *overrides])
    journey.run(cell, out, jobs=1)
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    return scores, pl.read_parquet(out / "predictions.parquet"), (out / "report.html").read_text(encoding="utf-8")


def test_regression_gives_numbers_in_their_own_unit_everywhere(clips: Path, tmp_path: Path) -> None:
    scores, predictions, report = run(clips, tmp_path, "task=regression", "seeds=[0, 1]")
    assert (scores["kind"], scores["primary"], scores["baseline"]) == ("values", "ccc", {"mean": 0.0})
    assert scores["labels"] == ["valence", "arousal"]
    assert set(scores["details"]["ccc"]) == {"valence", "arousal"}
    assert scores["interval"][0] <= scores["score"] <= scores["interval"][1]
    said = np.array(predictions["scores"].to_list())
    truth = np.array(predictions["targets"].to_list())
    assert abs(np.median(said[:, 0]) - np.median(truth[:, 0])) < truth[:, 0].std()  # the unit of valence: 10 to 100
    assert predictions["target"][0].startswith("valence ")
    assert 'id="values"' in report
    assert 'id="errors"' in report
    assert 'id="confusions"' not in report
    assert 'id="calibration"' not in report

    predictor = Predictor(tmp_path / "bundle")
    assert predictor.bundle.kind == "values"
    heard = predictor.predict(clips.parent / "s0_0.wav")
    assert list(heard.as_dict()["values"]) == ["valence", "arousal"]
    fold = json.loads((tmp_path / "bundle/bundle.json").read_text())["scores"]["model.onnx"]["protocol"].split()[5]
    row = predictions.filter((pl.col("fold") == fold) & (pl.col("seed") == 0)).row(0, named=True)
    again = predictor.predict(clips.parent / row["id"]).scores.values()
    np.testing.assert_allclose(list(again), row["scores"], rtol=1e-4)
    samples, _ = soundfile.read(clips.parent / "s0_0.wav", dtype="float32")
    events = Streamer(tmp_path / "bundle").feed(samples)
    assert [event.label for event in events] == ["valence", "arousal"]
    assert [event.score for event in events] == pytest.approx(list(heard.scores.values()), rel=1e-5)
    assert compare_runs(tmp_path, tmp_path)["metric"] == "squared_error"


def test_tagging_gives_every_tag_that_reaches_its_threshold(clips: Path, tmp_path: Path) -> None:
    scores, predictions, report = run(clips, tmp_path, "task=tagging", "twin=true")
    assert (scores["kind"], scores["primary"], scores["labels"]) == ("tags", "map", ["noise", "tone"])
    assert scores["baseline"]["prevalence"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert set(scores["details"]["average_precision"]) == {"noise", "tone"}
    assert scores["parity"]["same_decisions"] == 36
    for row in predictions.iter_rows(named=True):
        given = [tag for tag, score in zip(scores["labels"], row["scores"], strict=True) if score >= 0.5]
        assert row["prediction"] == ("; ".join(given) or "–")
    assert 'id="tags"' in report
    assert 'id="confusions"' not in report
    heard = Predictor(tmp_path / "bundle").predict(clips.parent / "s0_1.wav")
    assert set(heard.as_dict()) == {"file", "labels", "scores", "seconds"}
    assert set(heard.labels) == {tag for tag, score in heard.scores.items() if score >= 0.5}
    compared = compare_runs(tmp_path, tmp_path)
    assert compared["metric"] == "clip_average_precision"
    assert compared["n_clips"] == predictions.filter(pl.col("targets").list.sum() > 0).height


def test_depression_is_scored_by_subject(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="say nothing about new people"):
        run(clips, tmp_path / "clip", "task=depression", "level=clip")
    scores, predictions, report = run(clips, tmp_path / "run", "task=depression")
    assert (scores["level"], scores["n_units"], scores["primary"]) == ("subject", 6, "uar")
    assert scores["labels"] == ["HC", "MDD"]
    rates = scores["details"]["rates"]
    assert (rates["sensitivity"]["n"], rates["specificity"]["n"]) == (3, 3)
    assert scores["score"] == pytest.approx((rates["sensitivity"]["value"] + rates["specificity"]["value"]) / 2)
    assert "clip" not in scores["levels"]
    assert len(predictions) == 36
    assert 'id="rates"' in report
    assert "6 subjects" in report
    assert compare_runs(tmp_path / "run", tmp_path / "run")["n_clips"] == 6


def test_genre_keeps_artists_apart(clips: Path, tmp_path: Path) -> None:
    scores, predictions, report = run(clips, tmp_path, "task=genre", "training.epochs=1")
    assert (scores["kind"], scores["group"], scores["n_groups"]) == ("classes", "artist", 3)
    assert predictions.group_by("artist").agg(pl.col("fold").n_unique())["fold"].unique().to_list() == [1]
    assert "artists it has never heard" in report
