"""From recordings of one word to the file that ESPHome runs, scored like every other file of the bundle."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest import deployment, journey, recipe, shipped
from earnest.errors import BundleError
from earnest.shipping import litert

for package in ("ai_edge_litert", "ai_edge_quantizer", "tflite_micro"):
    pytest.importorskip(package, reason="needs the extra [edge] on Linux on x86-64")
if not (importlib.util.find_spec("litert_torch") or litert.converter_folder().is_dir()):
    pytest.skip("needs the converter, which `earnest export --to tflite` fetches once", allow_module_level=True)

RATE = 16_000
# MANIFEST_SCHEMA_V2 of esphome/components/micro_wake_word: all of these, and nothing else but `website`.
KEYS = {"type": str, "model": str, "author": str, "version": int, "wake_word": str, "trained_languages": list}
MICRO = {
    "feature_step_size": int,
    "tensor_arena_size": int,
    "probability_cutoff": float,
    "sliding_window_size": int,
    "minimum_esphome_version": str,
}


def tone(pitch_hz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(RATE // 2) / RATE
    sound = np.sin(2 * np.pi * pitch_hz * rng.uniform(0.95, 1.05) * time) * np.hanning(len(time))
    return rng.uniform(0.2, 0.6) * sound + 0.003 * rng.standard_normal(len(time))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, pitch_hz in {"low": 400.0, "other": 2800.0}.items():
        for speaker in range(8):
            for take in range(3):
                path = root / f"speech_commands/{name}/{speaker:08x}_nohash_{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, tone(pitch_hz, rng), RATE)
    for number in range(8):
        (root / f"noises/{number}").mkdir(parents=True)
        soundfile.write(root / f"noises/{number}/{number}.wav", 0.1 * rng.standard_normal(3 * RATE), RATE)
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = "words: [low], background: [noises], silence: false, languages: [xx], smoothing_s: 0.3"
    (cell,) = recipe.load(
        None,
        [
            *("corpus=speech_commands", f"task={{name: keyword, {options}}}", "sample_rate=16000"),
            *("split.folds=2", "split.validation=0.3", "clips={window_s: 0.5, hop_s: 0.1}", "model=ds_cnn"),
            *("frontend=micro_frontend", "training={epochs: 4, batch_size: 8, learning_rate: 3.0e-3}"),
        ],
    )
    return journey.run(cell, tmp_path_factory.mktemp("run") / "run", data=data, jobs=1)


def test_word_to_device(run: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "CALLS", 3)
    exported = deployment.export(run, ["microwakeword"], data=data)
    assert exported.problems == {}
    manifest = json.loads((exported.bundle / "model.mww.json").read_text())
    told = manifest.pop("micro")
    manifest.pop("website")
    assert {key: type(value) for key, value in manifest.items()} == KEYS
    assert {key: type(value) for key, value in told.items()} == MICRO
    assert (manifest["type"], manifest["version"], manifest["model"]) == ("micro", 2, "model.mww.tflite")
    assert (manifest["wake_word"], manifest["trained_languages"]) == ("low", ["xx"])
    assert (told["feature_step_size"], told["sliding_window_size"]) == (10, 3)
    assert 0 < told["probability_cutoff"] <= 1
    assert 5_000 < told["tensor_arena_size"] < 200_000
    found = {one.file: one for one in shipped.score(exported.bundle, run, data=data)}
    assert set(found) == {"model.onnx", "model.mww.tflite", "streamed"}
    small = found["model.mww.tflite"]
    assert small.same_decisions >= 0.9 * small.clips
    assert small.largest_difference < 0.2


def test_other_runs_are_refused_with_what_to_do(tones: Path, tmp_path: Path) -> None:
    (cell,) = recipe.load(
        None,
        [
            *(f"corpus=folder:{tones}", "pattern={label}/{speaker}_{take}.wav", "sample_rate=8000"),
            *("clips.window_s=0.25", "split={name: group-k-fold, folds: 2}", "model=ds_cnn", "training.epochs=1"),
        ],
    )
    run = journey.run(cell, tmp_path / "run", jobs=1)
    problem = deployment.export(run, ["microwakeword"]).problems["microwakeword"]
    assert isinstance(problem, BundleError)
    assert "micro_frontend" in str(problem)
