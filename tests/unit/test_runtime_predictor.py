from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tiny_bundle import LABELS, RATE, make_bundle

from earnest import audio
from earnest.errors import AudioError
from earnest.runtime import Prediction, Predictor


def sound(samples: int, seed: int = 0) -> np.ndarray:
    return (0.3 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def bare(bundle: Path, clip: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["scores"], {"audio": clip[None]})[0][0])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


def test_one_window_is_the_bare_model(bundle: Path) -> None:
    clip = sound(20)
    got = Predictor(bundle).predict_samples(clip, RATE)
    np.testing.assert_array_equal(list(got.scores.values()), bare(bundle, clip).astype(np.float64))
    assert tuple(got.scores) == LABELS
    assert got.label == LABELS[int(bare(bundle, clip).argmax())]
    assert sum(got.scores.values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("samples", "front"), [(19, 0), (18, 1), (17, 1), (1, 9)])
def test_short_clips_are_padded_on_both_sides(bundle: Path, samples: int, front: int) -> None:
    clip = sound(samples)
    padded = np.pad(clip, (front, 20 - samples - front))
    got = Predictor(bundle).probabilities(clip)
    np.testing.assert_array_equal(got, bare(bundle, padded).astype(np.float64))


@pytest.mark.parametrize(("samples", "behind"), [(19, 0), (5, 0), (4, 1), (1, 4)])
def test_short_clips_keep_their_length_up_to_the_smallest(tmp_path: Path, samples: int, behind: int) -> None:
    bundle = make_bundle(tmp_path, short="keep", min_samples=5)
    clip = sound(samples)
    got = Predictor(bundle).probabilities(clip)
    np.testing.assert_array_equal(got, bare(bundle, np.pad(clip, (0, behind))).astype(np.float64))


@pytest.mark.parametrize(("samples", "starts"), [(21, [0, 1]), (28, [0, 8]), (37, [0, 8, 16, 17]), (36, [0, 8, 16])])
def test_long_clips_are_the_mean_over_windows(bundle: Path, samples: int, starts: list[int]) -> None:
    clip = sound(samples)
    expected = np.mean([bare(bundle, clip[start : start + 20]).astype(np.float64) for start in starts], axis=0)
    np.testing.assert_allclose(Predictor(bundle).probabilities(clip), expected, rtol=0, atol=1e-15)


def test_a_file_is_its_samples(bundle: Path, tmp_path: Path) -> None:
    clip = sound(50)
    audio.write(tmp_path / "clip.wav", clip, RATE, "FLOAT")
    got = Predictor(bundle).predict(tmp_path / "clip.wav")
    assert list(got.scores.values()) == Predictor(bundle).probabilities(clip).tolist()
    assert got.file == str(tmp_path / "clip.wav")
    assert got.remark is None
    assert got.seconds > 0
    assert set(got.as_dict()) == {"file", "label", "scores", "seconds"}


def test_another_rate_is_resampled(bundle: Path, tmp_path: Path) -> None:
    clip = sound(400)
    expected = Predictor(bundle).probabilities(audio.resample(clip, 2 * RATE, RATE))
    assert list(Predictor(bundle).predict_samples(clip, 2 * RATE).scores.values()) == expected.tolist()
    audio.write(tmp_path / "clip.wav", clip, 2 * RATE, "FLOAT")
    assert list(Predictor(bundle).predict(tmp_path / "clip.wav").scores.values()) == expected.tolist()


def test_many_files_come_in_order_with_errors_in_their_place(bundle: Path, tmp_path: Path) -> None:
    for name in ("one.wav", "three.wav"):
        audio.write(tmp_path / name, sound(50), RATE)
    (tmp_path / "two.wav").write_bytes(b"this is no audio")
    names = [tmp_path / name for name in ("one.wav", "two.wav", "three.wav", "missing.wav")]
    got = list(Predictor(bundle).predict_many(names))
    assert [type(result) for result in got] == [Prediction, AudioError, Prediction, AudioError]
    assert [result.path if isinstance(result, AudioError) else result.file for result in got] == [str(n) for n in names]


def test_a_repaired_file_says_so(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    audio.write(path, sound(4000), RATE)
    path.write_bytes(path.read_bytes()[:3000])
    got = Predictor(bundle).predict(path)
    assert got.remark
    assert got.as_dict()["remark"] == got.remark


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(30, dtype=np.int16), "floating point"),
        ([0, 1], "floating point"),
        (np.zeros((30, 2)), "one channel"),
        (np.float32(0), "one channel"),
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([0.0, np.inf]), "not finite"),
        (np.zeros(0), "no samples"),
        (["a"], "floating point"),
    ],
)
def test_samples_that_make_no_sense_are_refused(bundle: Path, samples: object, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        Predictor(bundle).predict_samples(samples, RATE)  # type: ignore[arg-type]


def test_memory_does_not_grow_with_the_number_of_windows(tmp_path: Path) -> None:
    predictor = Predictor(make_bundle(tmp_path, window=1000, hop=10))
    clip = sound(20_000)
    predictor.probabilities(clip)
    tracemalloc.start()
    predictor.probabilities(clip)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All 1901 windows together would be 7.6 MB.
    assert peak < 400_000


def test_using_a_bundle_imports_no_training_library() -> None:
    code = (
        "import sys, earnest.runtime; heavy = {'torch', 'polars', 'pydantic', 'scipy', 'sklearn', 'onnx', 'yaml'} & "
        "set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
