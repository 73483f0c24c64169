"""Presets against the libraries they reproduce.

Tolerances: both sides work in single precision and add hundreds of products in different orders, which leaves a
relative error of some 1e-6 of the loudest bin of a frame in every bin. In a band 80 dB below it this is about 1e-4 of
the band (1e-4 natural, 5e-4 dB), and less elsewhere. Kaldi's floor lies so deep that single steps of a 16-bit recording
count as sound, in bands further below the loudest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import librosa
import numpy as np
import pytest
import torch

from earnest import audio, frontends
from earnest.recipe import Part

RATE = 16_000
STORED = np.load(Path(__file__).parent / "data" / "frontends.npz")
NATURAL, DECIBELS, KALDI = 3e-4, 1.5e-3, 1e-3


def stored_samples() -> np.ndarray:
    return (STORED["samples"] / np.float32(32768)).astype(np.float32)


def recorded_samples() -> np.ndarray:
    """The first recording of RAVDESS, at 16 bits."""
    data = os.environ.get("EARNEST_DATA")
    found = sorted((Path(data) / "ravdess").rglob("*.*")) if data else []
    files = [path for path in found if path.suffix.lower() in audio.SUFFIXES]
    if not files:
        pytest.skip("EARNEST_DATA names no folder with ravdess recordings")
    samples = audio.load(files[0], RATE).samples[: 3 * RATE]
    return np.round(samples * 32768).astype(np.float32) / np.float32(32768)


@pytest.fixture(params=["stored", "recorded"])
def samples(request: pytest.FixtureRequest) -> np.ndarray:
    return stored_samples() if request.param == "stored" else recorded_samples()


def features(samples: np.ndarray, name: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both evaluations, each (frames, bands)."""
    frontend = frontends.build(Part(name=name, options=options), RATE)
    batch = torch.from_numpy(samples)[None]
    return frontend(batch)[0].numpy(), frontend.for_export()(batch)[0].numpy()


def assert_both(samples: np.ndarray, expected: np.ndarray, atol: float, name: str, **options: Any) -> None:
    for found in features(samples, name, **options):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=atol)


def kaldi(samples: np.ndarray, kind: str) -> np.ndarray:
    options = knf.FbankOptions() if kind == "fbank" else knf.MfccOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 23
    computer = (knf.OnlineFbank if kind == "fbank" else knf.OnlineMfcc)(options)
    computer.accept_waveform(RATE, (samples * 32768).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])


def test_librosa_spectrogram(samples: np.ndarray) -> None:
    expected = np.abs(librosa.stft(samples)) ** 2
    assert_both(samples, expected.T, 1e-6 * expected.max(), "spectrogram", preset="librosa")


def test_librosa_log_mel(samples: np.ndarray) -> None:
    mel = librosa.feature.melspectrogram(y=samples, sr=RATE)
    assert_both(samples, librosa.power_to_db(mel).T, DECIBELS, "log_mel", preset="librosa")


def test_librosa_with_a_short_window_and_other_numbers(samples: np.ndarray) -> None:
    mel = librosa.feature.melspectrogram(
        y=samples,
        sr=RATE,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=64,
        htk=True,
        norm=None,
        pad_mode="reflect",
        window="hamming",
        fmin=50,
        fmax=7000,
    )
    options = {"n_fft": 512, "window": "hamming", "f_min": 50, "f_max": 7000}
    assert_both(samples, np.log(mel + 1e-6).T, NATURAL, "log_mel", **options)


@pytest.mark.parametrize("lifter", [0, 22])
def test_librosa_mfcc_with_differences(samples: np.ndarray, lifter: int) -> None:
    static = librosa.feature.mfcc(y=samples, sr=RATE, lifter=lifter)
    expected = np.concatenate([static, librosa.feature.delta(static), librosa.feature.delta(static, order=2)])
    # A coefficient sums 128 bands, and the lifter multiplies it by up to 12.
    atol = 3 * DECIBELS * (4 if lifter else 1)
    assert_both(samples, expected.T, atol, "mfcc", preset="librosa", order=3, lifter=lifter)


def test_kaldi_fbank(samples: np.ndarray) -> None:
    expected = kaldi(samples, "fbank")
    assert_both(samples, expected, KALDI, "fbank", preset="kaldi")
    assert_both(samples, expected, KALDI, "log_mel", preset="kaldi")


def test_torchaudio_fbank_is_kaldis_on_samples_as_they_come(samples: np.ndarray) -> None:
    assert_both(samples, kaldi(samples / 32768, "fbank"), NATURAL, "fbank", preset="torchaudio")


def test_kaldi_mfcc(samples: np.ndarray) -> None:
    # The lifter multiplies what fbank leaves by up to 12.
    assert_both(samples, kaldi(samples, "mfcc"), 12 * KALDI, "mfcc", preset="kaldi")


def test_torchaudio_spectrogram() -> None:
    expected = STORED["torchaudio_spectrogram"]
    assert_both(stored_samples(), expected, 1e-6 * expected.max(), "spectrogram", preset="torchaudio")


def test_torchaudio_log_mel() -> None:
    assert_both(stored_samples(), STORED["torchaudio_log_mel"], DECIBELS, "log_mel", preset="torchaudio")


def test_torchaudio_mfcc_with_differences() -> None:
    assert_both(stored_samples(), STORED["torchaudio_mfcc"], 3 * DECIBELS, "mfcc", preset="torchaudio", order=3)


def test_whisper_log_mel() -> None:
    assert_both(stored_samples(), STORED["whisper_log_mel"], NATURAL, "log_mel", preset="whisper")


def test_library_differences_are_parameter_differences() -> None:
    """Librosa's numbers by hand, without its preset."""
    samples = stored_samples()
    by_preset = features(samples, "mfcc", preset="librosa")[0]
    by_hand = features(
        samples,
        "mfcc",
        window_samples=2048,
        hop_samples=512,
        n_fft=2048,
        pad="constant",
        bands=128,
        mel_scale="slaney",
        mel_norm="slaney",
        log="db",
        floor=1e-10,
        floor_mode="clamp",
        top_db=80,
    )[0]
    np.testing.assert_array_equal(by_hand, by_preset)
