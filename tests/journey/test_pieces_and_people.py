"""Recordings cut into pieces, scored by piece, recording and person: the whole way on small synthetic recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from earnest import journey, recipe
from earnest.errors import RecipeError
from earnest.runtime import Predictor
from earnest.runtime.combine import combine

RATE = 8_000
PATTERN = "pattern={label}/{speaker}_{take}.wav"
FAST = [
    *(f"sample_rate={RATE}", "clips.window_s=0.5", "model=ds_cnn", "training.epochs=2", "training.batch_size=8"),
    *("split={name: group-k-fold, folds: 2}", "primary=uar"),
]


def run(folder: Path, out: Path, *overrides: str) -> dict:
    (cell,) = recipe.load(None, [f"corpus=folder:{folder}", PATTERN, *FAST, *overrides])
    journey.run(cell, out, jobs=1)
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, four of them low and four high, three recordings each of 0.3 to 1.8 seconds."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    for person in range(8):
        label = ("low", "high")[person % 2]
        (folder / label).mkdir(exist_ok=True)
        for take in range(3):
            time = np.arange(int(RATE * (0.3 + 0.5 * take + 0.07 * person))) / RATE
            pitch = {"low": 220, "high": 440}[label] + 15 * person + 5 * take
            wave = 0.2 * np.sin(2 * np.pi * pitch * time) + 0.05 * rng.normal(size=len(time))
            soundfile.write(folder / label / f"p{person}_{take}.wav", wave, RATE)
    return folder


def pieces_of(seconds: float) -> int:
    return -(-int(RATE * seconds) // (RATE // 2))


LENGTHS = [0.3 + 0.5 * take + 0.07 * person for person in range(8) for take in range(3)]
PIECES = sum(pieces_of(length) for length in LENGTHS)


@pytest.fixture(scope="module")
def cut(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("cut")
    return out, run(people, out, "clips.segments=cut-all", "level=subject", "combine=majority", "twin=true")


def test_every_level_is_told_and_the_asked_one_is_the_score(cut: tuple[Path, dict]) -> None:
    out, scores = cut
    assert {level: told["n"] for level, told in scores["levels"].items()} == {
        "clip": PIECES,
        "recording": 24,
        "subject": 8,
    }
    assert (scores["level"], scores["combine"], scores["n_units"], scores["n_clips"]) == (
        "subject",
        "majority",
        8,
        PIECES,
    )
    told = scores["levels"]["subject"]
    assert (told["score"], told["interval"]) == (scores["score"], scores["interval"])
    assert "subjects" in scores["interval_method"]
    assert sum(fold["n"] for fold in scores["folds"]) == 8

    predictions = pl.read_parquet(out / "predictions.parquet")
    assert len(predictions) == PIECES
    votes = predictions.group_by("subject", "target").agg(yes=(pl.col("prediction") == pl.col("target")).mean())
    surely = votes.filter(pl.col("yes") != 0.5)
    recalls = surely.group_by("target").agg((pl.col("yes") > 0.5).mean())["yes"]
    if len(surely) == 8:
        assert scores["score"] == pytest.approx(recalls.mean())


def test_pieces_of_a_recording_stay_on_one_side_and_scatter_in_the_void_twin(cut: tuple[Path, dict]) -> None:
    _, scores = cut
    assert scores["leaks"] == {"speaker": 0, "source": 0, "duplicate": 0, "recording": 0}
    twin = scores["twin"]
    assert twin["void"] is True
    assert "LEAKY" in twin["protocol"]
    assert twin["leaks"]["recording"] > 0


def test_the_bundle_cuts_and_votes_as_it_was_scored(cut: tuple[Path, dict], people: Path) -> None:
    out, scores = cut
    assert scores["parity"]["clips"] == PIECES
    manifest = json.loads((out / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert (manifest["segments"], manifest["combine"]) == ("cut-all", "majority")
    fold = manifest["scores"]["model.onnx"]["protocol"].split()[5]
    rows = pl.read_parquet(out / "predictions.parquet").filter(pl.col("fold") == fold)
    predictor = Predictor(out / "bundle")
    audio = dict(pl.read_parquet(out / "table.parquet").select("recording", "audio").rows())
    for (recording,), part in rows.group_by("recording"):
        heard = predictor.predict(Path(out, audio[recording]))
        expected = combine(np.array(part.sort("id")["scores"].to_list()), "majority")
        np.testing.assert_allclose(list(heard.scores.values()), expected, atol=1e-4)


def test_the_report_shows_the_levels(cut: tuple[Path, dict]) -> None:
    page = (cut[0] / "report.html").read_text(encoding="utf-8")
    assert "Clips, recordings, subjects" in page
    assert "8 subjects" in page


def test_crop_pad_scores_and_predicts_the_first_window(people: Path, tmp_path: Path) -> None:
    scores = run(people, tmp_path, "clips.segments=crop-pad")
    assert (scores["n_clips"], scores["level"]) == (24, "clip")
    assert list(scores["levels"]) == ["clip", "subject"]
    fold = json.loads((tmp_path / "bundle" / "bundle.json").read_text("utf-8"))["scores"]["model.onnx"]["protocol"]
    rows = pl.read_parquet(tmp_path / "predictions.parquet").filter(pl.col("fold") == fold.split()[5])
    table = pl.read_parquet(tmp_path / "table.parquet").select("id", "audio")
    predictor = Predictor(tmp_path / "bundle")
    for row in rows.join(table, on="id").iter_rows(named=True):
        heard = predictor.predict(Path(tmp_path, row["audio"]))
        np.testing.assert_allclose(list(heard.scores.values()), row["scores"], atol=1e-4)


def test_recordings_of_a_speaker_are_joined(people: Path, tmp_path: Path) -> None:
    scores = run(people, tmp_path, "clips={window_s: 0.5, segments: join-by-speaker, gap_s: 0.1}", "level=recording")
    table = pl.read_parquet(tmp_path / "table.parquet")
    assert table["recording"].n_unique() == 8
    assert scores["levels"]["recording"]["n"] == 8
    seconds = [sum(LENGTHS[3 * person : 3 * person + 3]) + 0.2 for person in range(8)]
    assert len(table) == scores["n_clips"] == sum(pieces_of(length) for length in seconds)


def test_windows_of_a_whole_clip_are_combined_in_what_is_scored_and_in_what_ships(people: Path, tmp_path: Path) -> None:
    learn = ("training.epochs=12", "training.learning_rate=0.01")
    scores = run(people, tmp_path / "geometric", "combine=geometric", *learn)
    assert scores["parity"]["same_decisions"] == 24
    assert scores["parity"]["largest_difference"] <= 1e-4
    run(people, tmp_path / "mean", *learn)
    one, other = (
        np.array(pl.read_parquet(tmp_path / name / "predictions.parquet").sort("id")["scores"].to_list())
        for name in ("geometric", "mean")
    )
    apart = np.abs(one - other).max(1)
    assert (apart == 0).sum() == 3  # the clips of one window
    assert apart.max() > 1e-7
    np.testing.assert_allclose(one.sum(1), 1)


def test_a_random_split_of_pieces_is_marked_as_what_it_is(people: Path, tmp_path: Path) -> None:
    scores = run(people, tmp_path, "clips.segments=cut-all", "split={name: random, folds: 2}")
    assert scores["leaky"] is True
    assert scores["leaks"]["recording"] > 0
    assert "recording" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_people_with_several_labels_are_not_scored_as_subjects(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"level=subject: .* 4 of 4 subjects have clips of several targets"):
        run(tones, tmp_path, "level=subject")
