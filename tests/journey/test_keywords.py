"""Keywords from recordings to events: two pitches are the words, a third one is another word, noise is silence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from earnest import journey, recipe
from earnest.audio import load
from earnest.cli.lab import print_run
from earnest.reporting.spotting import in_streams
from earnest.runtime import Bundle, Streamer

RATE = 8_000
PITCHES = {"low": 400.0, "high": 1500.0, "other": 2800.0}
FAST = [
    "sample_rate=8000",
    "split.folds=3",
    "split.validation=0.3",
    "clips={window_s: 0.5, hop_s: 0.1}",
    "model=ds_cnn",
    "augment=[{name: time_shift, max_s: 0.15}]",  # in a stream, words lie anywhere in a window
]
FAST += ["frontend={name: log_mel, bands: 24}", "training={epochs: 12, batch_size: 8, learning_rate: 3.0e-3}"]
TASK = "task={name: keyword, words: [low, high], background: [noises], negatives: [talk], smoothing_s: 0.2}"


def word(pitch: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(RATE // 2) / RATE
    tone = np.sin(2 * np.pi * pitch * rng.uniform(0.95, 1.05) * time) * np.hanning(len(time))
    return rng.uniform(0.2, 0.6) * tone + 0.003 * rng.standard_normal(len(time))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    sounds = {
        f"speech_commands/{name}/{speaker:08x}_nohash_{take}.wav": word(pitch, rng)
        for name, pitch in PITCHES.items()
        for speaker in range(8)
        for take in range(2)
    }
    sounds |= {f"noises/{n}/{n}.wav": 0.1 * rng.standard_normal(3 * RATE) for n in range(8)}
    sounds |= {f"talk/{n}/{n}.wav": np.concatenate([word(2800.0, rng) for _ in range(8)]) for n in range(8)}
    for name, samples in sounds.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, samples, RATE)
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (cell,) = recipe.load(None, ["corpus=speech_commands", TASK, *FAST])
    out = tmp_path_factory.mktemp("run")
    journey.run(cell, out, data=data, jobs=1)
    return out


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_score_counts_clips_and_streams_count_hours(run: Path) -> None:
    scores = read(run / "scores.json")
    assert scores["labels"] == ["high", "low", "silence", "unknown"]
    assert scores["n_clips"] == 3 * 16 + 16, "words, other words and pieces of noise; whole recordings are no clips"
    assert scores["score"] > 0.8
    assert sum(scores["leaks"].values()) == 0
    found = scores["spotting"]
    assert found["point"]["hours"] == pytest.approx((8 * 3 + 8 * 4) / 3600), "every recording was tested once"
    assert {name: rate["hours"] for name, rate in found["by_corpus"].items()} == {
        "noises": pytest.approx(24 / 3600),
        "talk": pytest.approx(32 / 3600),
    }
    assert found["point"]["words"] == 32
    assert found["point"]["missed_share"] < 0.4
    assert found["point"]["interval"][0] <= found["point"]["per_hour"] <= found["point"]["interval"][1]
    assert len(found["folds"]) == 3
    assert 'id="streams"' in (run / "report.html").read_text(encoding="utf-8")


def test_the_bundle_holds_the_decoder_that_was_scored(run: Path) -> None:
    scores, manifest = read(run / "scores.json"), read(run / "bundle/bundle.json")
    described, shipped = manifest["spotting"], manifest["scores"]["model.onnx"]["fold"]
    (fold,) = (fold for fold in scores["spotting"]["folds"] if fold["name"] == shipped)
    assert described["threshold"] == fold["threshold"]
    assert described["point"] == scores["spotting"]["point"]
    assert described["words"] == ["low", "high"]
    assert [entry["corpus"] for entry in manifest["licences"]] == ["speech_commands", "noises", "talk"]
    assert manifest["format"] == 3


def test_misses_and_false_alarms_are_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = read(run / "scores.json")
    said = in_streams(scores["spotting"]["point"])
    print_run({**scores, "run": str(run)})
    assert f"In streams that it has never heard, it {said}." in capsys.readouterr().out
    card = (run / "bundle/README.md").read_text(encoding="utf-8")
    assert f"- its recipe, over all folds, {said}." in card
    assert "Listening for `low`, `high`" in card


def test_a_stream_gives_one_event_for_each_word(run: Path, data: Path) -> None:
    bundle = Bundle.open(run / "bundle")
    rng = np.random.default_rng(5)
    pause = 0.003 * rng.standard_normal(2 * RATE)
    parts = [pause]
    for name in ("low", "high", "other", "low"):
        parts += [0.5 * word(PITCHES[name], rng), pause]
    stream = np.concatenate(parts).astype(np.float32)
    streamer = Streamer(bundle, threshold=0.5)
    events = [event for at in range(0, len(stream), 321) for event in streamer.feed(stream[at : at + 321])]
    events += streamer.flush()
    assert [event.label for event in events] == ["low", "high", "low"]
    for event, begin in zip(events, (2.0, 4.5, 9.5), strict=True):
        assert begin < event.end_s < begin + 0.5 + 0.5 + 0.2 + 0.1
    noise = load(data / "noises/0/0.wav", RATE).samples
    assert len(Streamer(bundle).feed(noise)) <= 1


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Three words and pauses, without what only a higher rate can hold."""
    rng = np.random.default_rng(7)
    pause = 0.003 * rng.standard_normal(2 * RATE)
    parts = [part for name in ("low", "high", "low") for part in (pause, 0.5 * word(PITCHES[name], rng))]
    return np.concatenate([*parts, pause]).astype(np.float32)


def listened(run: Path, *arguments: str, given: bytes = b"") -> list[tuple[str, float]]:
    """What `earnest listen` reports, (label, end in seconds), and nothing else."""
    command = [sys.executable, "-m", "earnest", "listen", str(run / "bundle"), "--threshold", "0.5", "--json"]
    done = subprocess.run([*command, *arguments], input=given, capture_output=True, check=True)
    assert done.stderr == b""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [(event["label"], event["end_s"]) for event in events]


@pytest.mark.parametrize("rate", [RATE, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_of_any_rate_and_channels_gives_the_same_events(
    run: Path, scene: np.ndarray, tmp_path: Path, rate: int, channels: int
) -> None:
    played = soxr.resample(scene, RATE, rate)
    soundfile.write(tmp_path / "scene.wav", np.stack([played] * channels, axis=1), rate)
    found = listened(run, "--wav", str(tmp_path / "scene.wav"))
    assert [label for label, _ in found] == ["low", "high", "low"]
    wanted = listened(run, "--stdin", given=pcm(scene))
    assert [end for _, end in found] == pytest.approx([end for _, end in wanted], abs=0.1)  # one hop


def test_a_pipe_at_48_khz_that_breaks_off_within_a_sample(run: Path, scene: np.ndarray) -> None:
    raw = pcm(soxr.resample(scene, RATE, 48_000))
    found = listened(run, "--stdin", "--rate", "48000", given=raw + b"\x01")
    assert [label for label, _ in found] == ["low", "high", "low"]


def test_clipping_and_silence(run: Path, scene: np.ndarray) -> None:
    assert listened(run, "--stdin", given=bytes(2 * 60 * RATE)) == []
    half = np.abs(scene).max() / 2
    clipped = np.clip(scene, -half, half)
    assert [label for label, _ in listened(run, "--stdin", given=pcm(clipped))] == ["low", "high", "low"]
    assert listened(run, "--stdin", given=b"") == []


def pcm(samples: np.ndarray) -> bytes:
    return np.clip(np.round(samples * 32_767), -32_768, 32_767).astype("<i2").tobytes()


def test_every_fold_takes_its_threshold_from_streams_of_its_own(run: Path) -> None:
    for done in sorted(run.glob("fold-*/done.json")):
        found = read(done)["alarms"]
        assert found["reached"] is not None
        assert all(found[part]["hours"] > 0 and found[part]["words"] > 0 for part in ("validation", "test"))
