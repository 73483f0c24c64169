"""A wake word with a network that a device computes a few frames at a time, from recordings to the scored file.

Nothing here needs the converter to TFLite: the file is written layer by layer.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest import deployment, journey, recipe, shipped

for package in ("ai_edge_litert", "flatbuffers", "tflite_micro"):
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


def test_word_to_device(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "CALLS", 3)
    options = "words: [low], background: [noises], silence: false, languages: [xx], smoothing_s: 0.3"
    (cell,) = recipe.load(
        None,
        [
            *("corpus=speech_commands", f"task={{name: keyword, {options}}}", "sample_rate=16000"),
            *("split.folds=2", "split.validation=0.3", "clips={window_s: 0.5, hop_s: 0.1}", "frontend=micro_frontend"),
            "model={name: mixednet, kernels: [[3], [3, 5]], channels: 24}",
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
    # Three frames of 10 ms for each answer, so that ten answers make 0.3 s.
    assert (told["feature_step_size"], told["sliding_window_size"]) == (10, 10)
    assert 0 < told["probability_cutoff"] <= 0.995
    facts = json.loads((exported.bundle / "model.mww.facts.json").read_text())
    assert facts["inputs"][0]["shape"] == [1, 3, 40]
    assert told["tensor_arena_size"] > facts["arena_bytes"] > 2_000
    found = {one.file: one for one in shipped.score(exported.bundle, run, data=data)}
    assert found["model.mww.tflite"].score > 0.9
    assert found["model.mww.tflite"].largest_difference < 0.2
