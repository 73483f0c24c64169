"""Augmentation: what each step does, and that chance comes only from (seed, epoch, row)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earnest import audio, augment
from earnest.augment.features import FrequencyWarp, Mixup, SpecAugment
from earnest.augment.waveforms import Equalise, Gain, ImpulseResponse, Noise, Pitch, Speed, TimeShift
from earnest.errors import DataError, RecipeError
from earnest.recipe import Part

RATE = 16_000
WAVEFORM_STEPS = ["time_shift", "gain", "noise", "impulse_response", "speed", "pitch", "equalise"]
FEATURE_STEPS = ["spec_augment", "frequency_warp"]


def tone(hz: float = 440.0, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def built(*parts: Any) -> augment.Augmentation:
    return augment.build([Part.model_validate(part) for part in parts], RATE)


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


def db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples**2)))


def rng(row: int = 0) -> np.random.Generator:
    return augment.rng_for(3, 1, row)


def test_streams_differ_and_repeat() -> None:
    triples = [(seed, epoch, row) for seed in range(3) for epoch in range(3) for row in (0, 1, 2**31 - 1)]
    draws = [augment.rng_for(*triple).random() for triple in triples]
    assert len(set(draws)) == len(draws)
    assert draws == [augment.rng_for(*triple).random() for triple in triples]


@pytest.mark.parametrize("name", WAVEFORM_STEPS)
def test_waveform_steps(name: str) -> None:
    step = built({"name": name, "probability": 1})
    assert step.touches_waveform
    for samples in (tone(), np.zeros(RATE, np.float32), tone()[:1], tone()[:37], np.zeros(0, np.float32)):
        before = samples.copy()
        outputs = [step.waveform(samples, rng(row), RATE) for row in (0, 0, 1, 2, 3, 4)]
        assert np.array_equal(samples, before)
        assert np.array_equal(outputs[0], outputs[1])
        for output in outputs:
            assert output.dtype == np.float32
            assert np.isfinite(output).all()
            assert name == "speed" or output.shape == samples.shape
        if len(samples) == RATE and samples.any():
            assert not np.array_equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", FEATURE_STEPS)
def test_feature_steps(name: str) -> None:
    step = built({"name": name, "probability": 1})
    assert not step.touches_waveform
    for frames, bands in ((101, 40), (1, 40), (50, 2), (3, 1)):
        features = torch.randn(frames, bands)
        before = features.clone()
        outputs = [step.features(features, rng(row)) for row in (0, 0, 1)]
        assert torch.equal(features, before)
        assert torch.equal(outputs[0], outputs[1])
        assert all(output.shape == features.shape and torch.isfinite(output).all() for output in outputs)


def test_probability_is_kept() -> None:
    step = built({"name": "gain", "min_db": 3, "max_db": 3, "probability": 0.3})
    changed = [not np.array_equal(step.waveform(tone(), rng(row), RATE), tone()) for row in range(500)]
    assert 0.24 < np.mean(changed) < 0.36  # three standard deviations
    assert built({"name": "gain", "probability": 0}).waveform(tone(), rng(), RATE) is not None


def test_time_shift_moves_and_fills_with_zeros() -> None:
    samples = np.arange(1, 101, dtype=np.float32)
    for row in range(20):
        moved = TimeShift(max_s=10 / RATE)(samples, rng(row), RATE)
        inside = moved[moved > 0]
        assert len(inside) >= 90
        assert np.array_equal(np.diff(inside), np.ones(len(inside) - 1))


def test_gain_in_decibels() -> None:
    louder = Gain(min_db=6, max_db=6)(tone(), rng(), RATE)
    assert db(louder) - db(tone()) == pytest.approx(6, abs=1e-3)


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -3.0), ("brown", -6.0)])
def test_noise_has_its_ratio_and_colour(colour: str, slope: float) -> None:
    samples = tone(seconds=8)
    added = Noise(colour=colour, min_snr_db=10, max_snr_db=10)(samples, rng(), RATE) - samples  # type: ignore[arg-type]
    assert db(samples) - db(added) == pytest.approx(10, abs=1e-2)
    power = np.abs(np.fft.rfft(added)) ** 2
    octaves = [10 * np.log10(power[start : 2 * start].mean()) for start in (8 * 2**k for k in range(5, 12))]
    assert np.polyfit(np.arange(7), octaves, 1)[0] == pytest.approx(slope, abs=0.5)


def test_noise_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    audio.write(tmp_path / "deep" / "hum.wav", tone(1_000, 0.3), RATE)
    (tmp_path / "notes.txt").write_text("not audio")
    step = built({"name": "noise", "folder": str(tmp_path), "min_snr_db": 0, "max_snr_db": 0, "probability": 1})
    added = step.waveform(tone(200), rng(), RATE) - tone(200)
    assert loudest_hz(added) == pytest.approx(1_000, abs=5)
    assert db(added) == pytest.approx(db(tone(200)), abs=0.1)
    again = pickle.loads(pickle.dumps(step)).waveform(tone(200), rng(), RATE) - tone(200)
    assert np.array_equal(added, again)


def test_folders_that_do_not_serve_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no audio file"):
        built({"name": "noise", "folder": str(tmp_path / "nowhere")})
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken\.wav"):
        built({"name": "impulse_response", "folder": str(tmp_path)})


def test_impulse_response_keeps_place_and_power(tmp_path: Path) -> None:
    click = np.zeros(RATE, np.float32)
    click[4_000] = 0.5
    for row in range(5):
        wet = ImpulseResponse(min_direct_db=6)(click, rng(row), RATE)
        assert np.abs(wet).argmax() == 4_000
        assert not wet[:3_990].any() or np.abs(wet[:3_990]).max() < 1e-5
        assert db(wet) == pytest.approx(db(click), abs=0.1)
    late = np.zeros(400, np.float32)
    late[100] = 0.9
    audio.write(tmp_path / "late.wav", late, RATE)
    heard = ImpulseResponse(folder=tmp_path)(tone(), rng(), RATE)
    np.testing.assert_allclose(heard, tone(), atol=1e-4)


def test_speed_changes_pitch_and_length() -> None:
    faster = Speed(min=1.25, max=1.25)(tone(400), rng(), RATE)
    assert len(faster) == pytest.approx(RATE / 1.25, abs=2)
    assert loudest_hz(faster) == pytest.approx(500, abs=2)


@pytest.mark.parametrize("semitones", [-12, -3, 2, 7])
def test_pitch_changes_pitch_only(semitones: int) -> None:
    samples = tone(300, 2)
    changed = Pitch(min_semitones=semitones, max_semitones=semitones)(samples, rng(), RATE)
    assert len(changed) == len(samples)
    assert loudest_hz(changed) == pytest.approx(300 * 2 ** (semitones / 12), rel=0.01)
    assert db(changed) == pytest.approx(db(samples), abs=0.5)


def test_pitch_keeps_the_time_of_events() -> None:
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    noise[: RATE // 2] = noise[RATE : RATE + RATE // 2] = 0
    changed = Pitch(min_semitones=3, max_semitones=3)(noise, rng(), RATE)
    loud = np.sqrt(np.mean(changed.reshape(-1, 800) ** 2, axis=1)) > 0.3
    np.testing.assert_array_equal(np.repeat([False, True, False, True], 10)[1:-1], loud[1:-1])


def test_equalise_stays_within_its_range() -> None:
    rising = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    changed = Equalise(max_db=6)(rising, rng(), RATE)
    gains = 20 * np.log10(np.abs(np.fft.rfft(changed)) / np.abs(np.fft.rfft(rising)))
    assert np.median(np.abs(gains)) < 6
    assert gains.max() - gains.min() > 1


def test_spec_augment_covers_with_the_mean() -> None:
    features = torch.randn(100, 40)
    for row in range(20):
        masked = SpecAugment(time_fraction=0.1)(features, rng(row))
        changed = masked != features
        assert torch.allclose(masked[changed], features.mean())
        assert changed.all(dim=1).sum() <= 2 * 10
        assert changed.all(dim=0).sum() <= 2 * 8


def test_frequency_warp_moves_a_peak() -> None:
    features = torch.zeros(5, 40)
    features[:, 20] = 1
    peaks = {int(FrequencyWarp(most=0.2)(features, rng(row))[0].argmax()) for row in range(50)}
    assert peaks <= set(range(16, 26))
    assert len(peaks) > 4


def test_mixup_blends_clips_and_targets() -> None:
    features = torch.stack([torch.full((6, 2), float(clip)) for clip in range(8)])
    lengths = torch.tensor([6, 6, 6, 6, 3, 2, 1, 6])
    mixed, partner, share = Mixup(alpha=1.0)(features, lengths, rng())
    assert sorted(partner.tolist()) == list(range(8))
    assert ((share >= 0.5) & (share <= 1)).all()
    expected = share * torch.arange(8) + (1 - share) * partner
    for clip, length in enumerate(lengths):
        torch.testing.assert_close(mixed[clip, :length], expected[clip].expand(int(length), 2))
        assert torch.equal(mixed[clip, length:], features[clip, length:])
    targets = torch.eye(8)
    _, kept, soft = built({"name": "mixup", "alpha": 1.0}).mix(features, lengths, targets, rng())
    assert torch.equal(kept, lengths)
    torch.testing.assert_close(soft, share[:, None] * targets + (1 - share[:, None]) * targets[partner])


def test_mixup_repeats_a_shorter_partner() -> None:
    features = torch.arange(12, dtype=torch.float32).view(2, 6, 1)
    lengths = torch.tensor([6, 2])
    stream = next(augment.rng_for(0, 0, row) for row in range(99) if augment.rng_for(0, 0, row).permutation(2)[0] == 1)
    mixed, _, share = Mixup(alpha=1.0)(features, lengths, stream)
    partner = torch.tensor([6.0, 7, 6, 7, 6, 7])
    torch.testing.assert_close(mixed[0, :, 0], share[0] * features[0, :, 0] + (1 - share[0]) * partner)


def test_order_is_the_recipes() -> None:
    both = built({"name": "mixup"}, "spec_augment", "speed", "time_shift")
    assert [type(step) for step in both.waveform_steps] == [Speed, TimeShift]
    assert both.batch == Mixup()
    assert not built().touches_waveform


def test_nothing_asked_changes_nothing() -> None:
    none = built()
    features, lengths, targets = torch.randn(2, 5, 3), torch.tensor([5, 4]), torch.eye(2)
    assert none.features(features[0], rng()) is not None
    assert none.waveform(tone(), rng(), RATE).shape == tone().shape
    assert none.mix(features, lengths, targets, rng())[0] is features


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["time_shfit"], "time_shift"),
        ([{"name": "noise", "snr": 3}], "unknown option 'snr'"),
        ([{"name": "gain", "probability": 2}], "probability"),
        ([{"name": "gain", "min_db": 3, "max_db": -3}], "min_db is 3, above max_db"),
        ([{"name": "speed", "min": 0}], "min"),
        (["mixup", "mixup"], "more than once"),
    ],
)
def test_mistakes_are_told(parts: list[Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        built(*parts)
