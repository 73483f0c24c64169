"""The examples on the page about using a bundle run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import LABELS, RATE, make_bundle

from earnest import audio
from earnest.runtime import Predictor

PAGE = Path(__file__).parents[2] / "docs" / "use-anywhere.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_bundle(tmp_path, window=1000, hop=400)
    rng = np.random.default_rng(1)
    audio.write(tmp_path / "recording.wav", (0.3 * rng.standard_normal(1000)).astype(np.float32), RATE, "FLOAT")
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_example_runs(place: Path, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[number], f"example {number + 1}", "exec"), {})
    printed = capsys.readouterr().out
    assert any(label in printed for label in LABELS)


def test_there_are_examples_of_every_kind() -> None:
    text = "\n".join(EXAMPLES)
    for name in ("predict(", "predict_many(", "predict_samples(", "Streamer(", "onnxruntime.InferenceSession("):
        assert name in text


def test_plain_onnxruntime_says_what_the_predictor_says(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plain,) = (example for example in EXAMPLES if "import onnxruntime" in example)
    exec(compile(plain, "plain", "exec"), {})
    label, score = capsys.readouterr().out.split()
    got = Predictor("bundle").predict("recording.wav")
    assert label == got.label
    assert float(score) == pytest.approx(got.scores[got.label], abs=1e-6)
