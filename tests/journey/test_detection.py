"""Voice activity from clean speech and noises to events: tones are the speech, and the test recordings are apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earnest import deployment, journey, recipe, shipped
from earnest.audio import load
from earnest.errors import BundleError, DataError, RecipeError
from earnest.runtime import Predictor, Streamer
from earnest.table import Table

RATE = 8_000
FAST = ["corpus=meetings", "sample_rate=8000", "split=official", "clips={window_s: 0.3, hop_s: 0.05}", "model=ds_cnn"]
FAST += [
    "frontend={name: log_mel, bands: 16, hop_ms: 20}",
    "training={epochs: 6, batch_size: 16, learning_rate: 3.0e-3}",
]
TASK = "task={name: detection, speech: [voices], noises: [noises], mixtures: 24, seconds: 4, snr_db: [10, 30]}"


def tone(seconds: float, rng: np.random.Generator) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * rng.uniform(300, 900) * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    sounds: dict[str, np.ndarray] = {}
    for n in range(6):
        gap = np.zeros(RATE // 3)
        sounds[f"voices/{n}/{n}.wav"] = np.concatenate([tone(0.6, rng), gap, tone(0.8, rng)])
        sounds[f"noises/{n}/{n}.wav"] = 0.1 * rng.standard_normal(2 * RATE)
    lines = []
    for n in range(3):
        meeting = 0.01 * rng.standard_normal(6 * RATE)
        for begin in (1.0, 3.5):
            meeting[round(begin * RATE) : round((begin + 1) * RATE)] += tone(1.0, rng)
            lines.append(f"SPEAKER m{n} 1 {begin:.3f} 1.000 <NA> <NA> ann <NA> <NA>")
        sounds[f"meetings/m{n}.wav"] = meeting
    for name, samples in sounds.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, samples, RATE)
    (root / "meetings/all.rttm").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("EARNEST_DATA", str(data))
    out = tmp_path_factory.mktemp("run")
    try:
        (cell,) = recipe.load(None, [TASK, *FAST])
        journey.run(cell, out, jobs=1)
    finally:
        patch.undo()
    return out


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_meetings_are_tested_and_never_trained_on(run: Path) -> None:
    table = Table.read(run / "table.parquet").frame
    assert set(table.filter(table["split"] == "test")["source"]) == {"m0", "m1", "m2"}
    assert set(table.filter(table["split"] != "test")["corpus"]) == {"mixtures"}
    scores = read(run / "scores.json")
    assert (scores["primary"], scores["labels"], scores["group"]) == ("auc", ["other", "speech"], "source")
    assert sum(scores["leaks"].values()) == 0
    assert scores["score"] > 0.9
    assert scores["n_clips"] == 3 * 23, "windows of 0.3 s every quarter of 6 s; whole recordings are no clips"


def test_whole_recordings_are_scored_by_frames_and_ends(run: Path) -> None:
    found = read(run / "scores.json")["activity"]
    assert found["test"]["recordings"] == 3
    assert found["test"]["hours"] == pytest.approx(18 / 3600)
    assert found["test"]["stretches"] == 6
    assert found["test"]["auc"] > 0.9
    assert found["test"]["cost"] < 0.2
    assert found["test"]["onset"]["median_s"] < 0.15
    assert set(found["recordings"]) == {"m0", "m1", "m2"}
    assert "shown" not in found
    shown = read(run / "insight" / "activity.json")["recordings"]
    costs = [one["cost"] for one in shown]
    assert costs == sorted(costs, reverse=True)
    assert len(shown[0]["times_s"]) == len(shown[0]["scores"]) > 10
    page = (run / "report.html").read_text(encoding="utf-8")
    assert 'id="activity"' in page
    assert page.count("Ends off by (found)</th><td") == 1, "both parts stand side by side, so that all is seen"
    assert f'data-play="{shown[0]["id"]}"' in page
    assert '"name": "score"' in page


def test_the_stream_finds_what_was_scored(run: Path, data: Path) -> None:
    manifest = read(run / "bundle/bundle.json")
    assert manifest["activity"]["onset"] == read(run / "scores.json")["activity"]["onset"]
    assert {entry["corpus"] for entry in manifest["licences"]} == {"voices", "noises"}, "what was trained on"
    streamer = Streamer(run / "bundle")
    sound = load(data / "meetings/m0.wav", RATE).samples
    events = [event for at in range(0, len(sound), 333) for event in streamer.feed(sound[at : at + 333])]
    events += streamer.flush()
    assert [event.label for event in events] == ["speech"] * len(events)
    long = [event for event in events if event.end_s - event.start_s > 0.5]
    assert [(event.start_s, event.end_s) for event in long] == [
        pytest.approx((1.0, 2.0), abs=0.2),
        pytest.approx((3.5, 4.5), abs=0.2),
    ]


def test_what_cannot_be_done_is_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (folds,) = recipe.load(None, [TASK, *FAST, "split=group-k-fold"])
    with pytest.raises(RecipeError, match="trains on mixtures"):
        journey.run(folds, tmp_path / "a", jobs=1)
    (plain,) = recipe.load(None, [TASK, *FAST, "corpus=noises"])
    with pytest.raises(DataError, match="no column 'events'"):
        journey.run(plain, tmp_path / "b", jobs=1)
    (alone,) = recipe.load(None, ["task={name: detection, speech: [voices]}", *FAST])
    with pytest.raises(RecipeError, match="mixes speech with noises"):
        journey.run(alone, tmp_path / "c", jobs=1)


# A model that answers for frames

FRAMES = "task={name: detection, speech: [voices], noises: [noises], mixtures: 24, seconds: 4, snr_db: [10, 30], "
FRAMES += "shape: frames, steps: 1, delay_s: 0.04}"
IN_ONE_PASS = [*FAST[:3], "clips={window_s: 2, hop_s: 0.1, short: keep}"]
IN_ONE_PASS += ["model={name: vad_gru, hidden: 16, layers: 1}"]
IN_ONE_PASS += ["frontend={name: log_mel, bands: 16, window_ms: 32, hop_ms: 20, pad: none}"]
IN_ONE_PASS += ["training={epochs: 8, batch_size: 8, learning_rate: 1.0e-2}"]


@pytest.fixture(scope="module")
def frames_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    patch.setenv("EARNEST_DATA", str(data))
    out = tmp_path_factory.mktemp("run")
    try:
        (cell,) = recipe.load(None, [FRAMES, *IN_ONE_PASS])
        journey.run(cell, out, jobs=1)
    finally:
        patch.undo()
    return out


def test_a_model_for_frames_is_scored_in_one_pass(frames_run: Path) -> None:
    scores = read(frames_run / "scores.json")
    assert scores["parity"]["same_decisions"] == scores["parity"]["clips"] > 0
    assert scores["score"] > 0.9
    found = scores["activity"]["test"]
    assert found["auc"] > 0.9
    assert found["cost"] < 0.2
    manifest = read(frames_run / "bundle/bundle.json")
    assert (manifest["format"], manifest["shape"]) == (4, "frames")
    assert manifest["frames"] == {"step_samples": 160, "reach_samples": 256, "first_samples": 128 - 320}


def test_its_stream_in_any_pieces_is_the_whole_recording(frames_run: Path, data: Path) -> None:
    sound = load(data / "meetings/m0.wav", RATE).samples
    streamer = Streamer(frames_run / "bundle")
    whole = streamer.windows(sound) + streamer.last_window()
    assert len(whole) == (len(sound) - 256) // 160 + 1 - 2, "every frame once, but for those before the beginning"
    assert [(w.start, w.end) for w in whole[:2]] == [(128 - 80, 128 + 80), (288 - 80, 288 + 80)]
    for cuts in (range(333, len(sound), 333), (1, 2, 40_000)):
        again = [w for piece in np.split(sound, list(cuts)) for w in streamer.windows(piece)] + streamer.last_window()
        assert [(w.start, w.end) for w in again] == [(w.start, w.end) for w in whole]
        assert all(np.array_equal(a.scores, b.scores) for a, b in zip(again, whole, strict=True))
    events = streamer.feed(sound) + streamer.flush()
    long = [event for event in events if event.end_s - event.start_s > 0.5]
    assert [(event.start_s, event.end_s) for event in long] == [
        pytest.approx((1.0, 2.0), abs=0.2),
        pytest.approx((3.5, 4.5), abs=0.2),
    ]


def test_every_way_to_use_it_gives_the_same(frames_run: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    monkeypatch.setenv("EARNEST_DATA", str(data))
    found = shipped.score(frames_run / "bundle", frames_run)
    assert [one.file for one in found] == ["model.onnx", "streamed"]
    assert all(one.largest_difference < 1e-4 for one in found)
    sound = load(data / "meetings/m0.wav", RATE).samples
    frames = Streamer(frames_run / "bundle").windows(sound)
    mean = np.mean([window.scores for window in frames], axis=0)
    said = Predictor(frames_run / "bundle").probabilities(sound)
    assert said == pytest.approx(mean, abs=0.02), "but for the first and the last frames"
    with pytest.raises(BundleError, match=r"model\.onnx only"):
        deployment.export(frames_run, ["int8"], out=frames_run / "other")


def test_its_state_survives_a_gap(frames_run: Path, data: Path) -> None:
    sound = load(data / "meetings/m0.wav", RATE).samples
    streamer, other = Streamer(frames_run / "bundle"), Streamer(frames_run / "bundle").another()
    events = streamer.feed(sound[: 2 * RATE + 800]) + streamer.skip(10 * RATE) + streamer.feed(sound[2 * RATE + 800 :])
    assert other.feed(sound[:100]) == [], "another stream has a state of its own"
    events += streamer.flush()
    assert any(event.end_s == pytest.approx(14.5 + 0.1 - 0.1, abs=0.3) for event in events), "time went on"


def test_what_needs_other_parts_is_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(data))
    for change, said in (
        ("frontend={name: log_mel, bands: 16}", "pad=none"),
        ("model=ds_cnn", "answers by clip"),
        ("training.members=2", "trained alone"),
    ):
        (cell,) = recipe.load(None, [FRAMES, *IN_ONE_PASS, change])
        with pytest.raises(RecipeError, match=said):
            journey.run(cell, tmp_path / "a", jobs=1)
