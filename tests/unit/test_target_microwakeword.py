"""The file for ESPHome, fed a stream as a device is: it answers as the network does to the features of the stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earnest import frontends, models, tasks
from earnest.errors import BundleError
from earnest.recipe import Part, parse
from earnest.runtime.engines.tflm import Micro
from earnest.runtime.spotting import Answers
from earnest.shipping.source import Source
from earnest.shipping.targets import microwakeword
from earnest.training.inputs import Inputs
from earnest.training.pipeline import Normaliser

for package in ("ai_edge_litert", "flatbuffers", "tflite_micro"):
    pytest.importorskip(package, reason="needs the extra [edge] on Linux on x86-64")

RATE, WORD, LABELS = 16_000, 1, ("zap", "boom", "unknown", "silence")
WINDOW = 480 + 98 * 160  # 99 frames, which are 33 steps of three
STEP = 3 * 160


def sound(seconds: float, seed: int) -> np.ndarray:
    """Tones that come and go in noise."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    pitches = np.interp(
        time, np.arange(0, seconds + 1, 0.2), rng.uniform(200, 3000, len(np.arange(0, seconds + 1, 0.2)))
    )
    loud = np.clip(np.sin(2 * np.pi * 0.9 * time + seed), 0, 1)
    tone = 0.3 * loud * np.sin(2 * np.pi * np.cumsum(pitches) / RATE)
    return (tone + 0.003 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def source() -> Source:
    """A network that is as sure of its answers as a trained one."""
    task = {"name": "keyword", "words": [LABELS[WORD]], "apart": ["zap"], "smoothing_s": 0.3}
    values = {"corpus": "x", "sample_rate": RATE, "task": task, "frontend": "micro_frontend", "model": "mixednet"}
    recipe = parse({**values, "clips": {"window_s": WINDOW / RATE, "hop_s": 0.1}})
    frontend, normaliser = frontends.build(recipe.frontend, RATE).eval(), Normaliser(40)
    torch.manual_seed(0)
    model = models.build(Part(name="mixednet"), 99, 40, len(LABELS))
    with torch.no_grad():
        features = frontend(torch.from_numpy(np.stack([sound(WINDOW / RATE, seed) for seed in range(48)])))
        normaliser.mean.copy_(features.mean((0, 1)))
        normaliser.deviation.copy_(features.std((0, 1)))
        for _ in range(20):
            model.train()(normaliser(features))
        model.output.weight.mul_(120)  # type: ignore[operator, union-attr]
        model.output.bias.sub_(model.eval()(normaliser(features)).mean(dim=0))  # type: ignore[operator, union-attr]
    inputs = Inputs.of(recipe.clips, RATE, frontend.min_samples)
    return Source(recipe, LABELS, inputs, tasks.find(recipe.task), frontend, normaliser.eval(), model.eval())


@pytest.fixture(scope="module")
def written(source: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answers, dict[str, Any]]:
    """The folder, what the file answers to streams, and what it was asked to hear with."""
    asked: dict[str, Any] = {}

    def hear(file: str, answers: Answers, step: int, thresholds: Sequence[float]) -> float:
        asked.update(file=file, answers=answers, step=step, thresholds=thresholds)
        return 0.858

    folder = tmp_path_factory.mktemp("mww")
    windows = [sound(WINDOW / RATE, seed) for seed in range(100, 160)]
    microwakeword.write(replace(source, hear=hear), windows, folder)
    return folder, asked["answers"], asked


def against_rivals(source: Source, features: torch.Tensor) -> np.ndarray:
    """The word's probability against its strongest rival, (windows,), of features (windows, frames, bands)."""
    with torch.no_grad():
        logits = source.model(source.normaliser(features), None).numpy()
    return np.asarray(1 / (1 + np.exp(np.delete(logits, WORD, axis=1).max(axis=1) - logits[:, WORD])))


def test_cutoff_is_the_threshold_that_streams_chose(written: tuple[Path, Answers, dict[str, Any]]) -> None:
    folder, _, asked = written
    assert json.loads((folder / "model.mww.json").read_text())["micro"]["probability_cutoff"] == 0.858
    assert (asked["file"], asked["step"]) == ("model.mww.tflite", STEP)
    assert max(asked["thresholds"]) <= 0.995, "at one a device hears nothing"
    facts = json.loads((folder / "model.mww.facts.json").read_text())
    assert (facts["word"], LABELS[facts["rest"]]) == (WORD, "unknown")


def test_a_window_alone_gets_the_answer_of_the_network(
    source: Source, written: tuple[Path, Answers, dict[str, Any]]
) -> None:
    _, answers, _ = written
    windows = np.stack([sound(WINDOW / RATE, seed) for seed in range(200, 216)])
    with torch.no_grad():
        expected = against_rivals(source, source.frontend(torch.from_numpy(windows)))
    found = []
    for window in windows:
        ((end, row),) = answers([window])
        assert (end, row.shape) == (WINDOW, (len(LABELS),))
        assert not np.delete(row, WORD).any()
        found.append(row[WORD])
    assert np.ptp(expected) > 0.3
    np.testing.assert_allclose(found, expected, atol=0.08)  # 8 bits in every layer


def test_its_answers_are_those_of_the_interpreter_of_microcontrollers(
    source: Source, written: tuple[Path, Answers, dict[str, Any]]
) -> None:
    folder, answers, _ = written
    heard = sound(10, 400)
    device = Micro((folder / "model.mww.tflite").read_bytes(), 1 << 20, "model.mww.tflite")
    with torch.no_grad():
        frames = source.frontend(torch.from_numpy(heard)[None]).numpy()
    expected = [float(device([frames[:, at : at + 3]])[0]) for at in range(0, frames.shape[1] - 2, 3)]
    apart = np.abs(np.array([row[WORD] for _, row in answers([heard])]) - expected[32:])
    assert apart.max() <= 1 / 256
    assert (apart == 0).mean() > 0.9


def test_a_long_stream_is_heard_with_the_noise_of_its_past(
    source: Source, written: tuple[Path, Answers, dict[str, Any]]
) -> None:
    _, answers, _ = written
    heard = sound(58, 300)
    whole = list(answers([heard]))
    assert [end for end, _ in whole] == list(range(WINDOW, len(heard) + 1, STEP))
    pieces = list(answers(np.split(heard, [7, 100, 5_000, 391_234, 400_000, 900_000])))
    assert [end for end, _ in pieces] == [end for end, _ in whole]
    rows = np.array([[row[WORD] for _, row in stream] for stream in (whole, pieces)])
    apart = np.abs(rows[0] - rows[1])  # where noise of 4 s before rounds to another step of a feature
    assert apart.max() < 0.05
    assert apart.mean() < 2e-3
    with torch.no_grad():
        features = source.frontend(torch.from_numpy(heard)[None])[0]
    expected = against_rivals(source, features.unfold(0, 99, 3).transpose(1, 2))
    assert len(expected) == len(whole)
    assert np.abs(rows[1] - expected).mean() < 0.02
    assert np.corrcoef(rows[1], expected)[0, 1] > 0.98


def test_a_stream_shorter_than_a_window_has_no_answer(written: tuple[Path, Answers, dict[str, Any]]) -> None:
    _, answers, _ = written
    assert list(answers([])) == []
    assert list(answers([np.zeros(300, np.float32), np.zeros(9_000, np.float32)])) == []


def test_two_words_are_refused(source: Source, tmp_path: Path) -> None:
    listening = replace(source.task.listening, words=("zap", "boom"))  # type: ignore[type-var]
    with pytest.raises(BundleError, match=r"one word.*zap, boom"):
        microwakeword.write(replace(source, task=replace(source.task, listening=listening)), [], tmp_path)
