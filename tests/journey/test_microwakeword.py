"""From recordings of words to the file that ESPHome runs for one of them, scored like all other files of the bundle."""

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

for package in ("ai_edge_litert", "ai_edge_quantizer", "flatbuffers", "tflite_micro"):
    pytest.importorskip(package, reason="needs the extra [edge] on Linux on x86-64")

RATE = 16_000
# MANIFEST_SCHEMA_V2 of esphome/components/micro_wake_word: these keys are required, `website` may stand beside them.
REQUIRED = {"type", "model", "author", "version", "wake_word", "trained_languages", "micro"}
REQUIRED_MICRO = {
    "feature_step_size",
    "tensor_arena_size",
    "probability_cutoff",
    "sliding_window_size",
    "minimum_esphome_version",
}

# A network that a device computes a few frames at a time, and one whose whole window is computed anew; name → recipe,
# frames for each answer, answers in the 0.3 s of smoothing.
NETWORKS = {
    "mixednet": ("model={name: mixednet, kernels: [[3], [3, 5]], channels: 24}", 3, 10),
    "ds_cnn": ("model=ds_cnn", 10, 3),
}


def tone(pitch_hz: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(RATE // 2) / RATE
    sound = np.sin(2 * np.pi * pitch_hz * rng.uniform(0.95, 1.05) * time) * np.hanning(len(time))
    return rng.uniform(0.2, 0.6) * sound + 0.003 * rng.standard_normal(len(time))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, pitch_hz in {"low": 400.0, "high": 1200.0, "other": 2800.0}.items():
        for speaker in range(8):
            for take in range(3):
                path = root / f"speech_commands/{name}/{speaker:08x}_nohash_{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, tone(pitch_hz, rng), RATE)
    for number in range(8):
        (root / f"noises/{number}").mkdir(parents=True)
        soundfile.write(root / f"noises/{number}/{number}.wav", 0.1 * rng.standard_normal(3 * RATE), RATE)
    return root


@pytest.mark.parametrize("name", NETWORKS)
def test_word_to_device(name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "ds_cnn" and not (importlib.util.find_spec("litert_torch") or litert.converter_folder().is_dir()):
        pytest.skip("needs the converter, which `earnest export --to tflite` fetches once")
    model, frames, answers = NETWORKS[name]
    monkeypatch.setattr(shipped, "CALLS", 3)
    options = "words: [low], apart: [high], background: [noises], languages: [xx], smoothing_s: 0.3"
    (cell,) = recipe.load(
        None,
        [
            *("corpus=speech_commands", f"task={{name: keyword, {options}}}", "sample_rate=16000"),
            *("split.folds=2", "split.validation=0.3", "clips={window_s: 0.5, hop_s: 0.1}", "frontend=micro_frontend"),
            model,
            "training={epochs: 10, batch_size: 8, learning_rate: 3.0e-3}",
        ],
    )
    run = journey.run(cell, tmp_path / "run", data=data, jobs=1)
    exported = deployment.export(run, ["microwakeword"], data=data)
    assert exported.problems == {}
    manifest = json.loads((exported.bundle / "model.mww.json").read_text())
    assert set(manifest) >= REQUIRED
    assert set(manifest) <= REQUIRED | {"website"}
    told = manifest["micro"]
    assert set(told) == REQUIRED_MICRO
    assert (manifest["type"], manifest["version"], manifest["wake_word"]) == ("micro", 2, "low")
    assert (exported.bundle / manifest["model"]).is_file()
    assert (told["feature_step_size"], told["sliding_window_size"]) == (10, answers)
    assert 0 < told["probability_cutoff"] <= 0.995
    heard = exported.heard["model.mww.tflite"]
    assert heard["threshold"] == pytest.approx(told["probability_cutoff"])
    assert heard["words"] == 12, "every test clip of the word, by the file itself"
    assert heard["hours"] > 0
    assert [at for at, *_ in heard["curve"]][-1] <= 0.995
    kept = json.loads((exported.bundle / "bundle.json").read_text())["spotting"]["files"]["model.mww.tflite"]
    assert kept["per_hour"] == heard["per_hour"]
    assert "hears streams in its own way" in (exported.bundle / "README.md").read_text()
    facts = json.loads((exported.bundle / "model.mww.facts.json").read_text())
    assert facts["inputs"][0]["shape"] == [1, frames, 40]
    assert told["tensor_arena_size"] > facts["arena_bytes"] > 2_000
    found = {one.file: one for one in shipped.score(exported.bundle, run, data=data)}
    small = found["model.mww.tflite"]
    assert (small.word, found["model.onnx"].word) == ("low", None)
    assert small.same_decisions >= 0.9 * small.clips
    assert small.largest_difference < 0.2


def test_a_run_without_streams_keeps_its_threshold(data: Path, tmp_path: Path) -> None:
    (cell,) = recipe.load(
        None,
        [
            *("corpus=speech_commands", "task={name: keyword, words: [low], threshold: 0.6}", "sample_rate=16000"),
            *("split.folds=2", "split.validation=0.3", "clips={window_s: 0.5, hop_s: 0.1}", "frontend=micro_frontend"),
            *(NETWORKS["mixednet"][0], "training={epochs: 1, batch_size: 8}"),
        ],
    )
    run = journey.run(cell, tmp_path / "run", data=data, jobs=1)
    exported = deployment.export(run, ["microwakeword"], data=data)
    assert (exported.problems, exported.heard) == ({}, {})
    manifest = json.loads((exported.bundle / "model.mww.json").read_text())
    assert manifest["micro"]["probability_cutoff"] == 0.6
    assert "In streams" not in (exported.bundle / "README.md").read_text()


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
