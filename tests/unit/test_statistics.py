"""Clip statistics, worked against NumPy."""

from __future__ import annotations

import numpy as np
import torch

from earnest import frontends
from earnest.frontends.statistics import Config, Summary
from earnest.recipe import Part


def described(features: np.ndarray, weight: np.ndarray, config: Config) -> np.ndarray:
    summary = Summary(config)(torch.from_numpy(features)[None], torch.from_numpy(weight)[None])
    return summary[0, 0].numpy().reshape(config.per_band, -1)


def test_statistics_by_hand() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 4)).astype(np.float32)
    weight = np.zeros(30, np.float32)
    weight[5:26] = 1
    inside = features[5:26]
    config = Config(percentiles=(0, 25, 50, 90, 100), bins=3, change=True)
    found = described(features, weight, config)
    time = np.linspace(-0.5, 0.5, 21)
    expected = [inside.mean(0), inside.std(0), inside.min(0), inside.max(0), np.polyfit(time, inside, 1)[0]]
    expected += [np.percentile(inside, percent, axis=0) for percent in config.percentiles]
    for part in (inside[:7], inside[7:14], inside[14:]):
        expected += [part.mean(0), part.std(0)]
    expected.append(np.abs(np.diff(inside, axis=0)).mean(0))
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-4, atol=1e-5)


def test_one_frame_is_finite() -> None:
    config = Config()
    assert np.isfinite(described(np.ones((1, 3), np.float32), np.ones(1, np.float32), config)).all()


def test_padding_hardly_changes_a_clip() -> None:
    rng = np.random.default_rng(1)
    clip = (0.1 * rng.standard_normal(8_000)).astype(np.float32)
    padded = np.pad(clip, (1_600, 4_000))
    both = [frontends.build(Part(name="statistics"), 16_000)(torch.from_numpy(x)[None])[0, 0] for x in (clip, padded)]
    options = {"skip_padding": False}
    counted = frontends.build(Part(name="statistics", options=options), 16_000)(torch.from_numpy(padded)[None])[0, 0]
    mean = slice(0, 20)  # static coefficients, whole clip
    assert (both[0] - both[1])[mean].abs().max() < 0.1 * (both[0] - counted)[mean].abs().max()
