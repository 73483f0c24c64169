"""The front end of microcontrollers' wake words against the library that runs on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earnest import frontends
from earnest.errors import RecipeError
from earnest.frontends.micro_frontend import STEP
from earnest.recipe import Part

RATE = 16_000
library = pytest.importorskip("pymicro_features", reason="needs the package pymicro-features")


def reference(sound: np.ndarray) -> np.ndarray:
    """The library's features (frames, 40) of samples in -1…1, in its own steps."""
    pcm = (sound * 32768).clip(-32768, 32767).astype("<i2").tobytes()
    engine, rows, at = library.MicroFrontend(), [], 0
    while at + 320 <= len(pcm):
        answer = engine.process_samples(pcm[at : at + 320])
        at += 2 * answer.samples_read
        rows += [answer.features] if answer.features else []
    return np.array(rows) / STEP


def sound_of(seed: int) -> np.ndarray:
    """Tones that come and go over noise, two seconds, rounded to 16 bits."""
    rng = np.random.default_rng(seed)
    time = np.arange(2 * RATE) / RATE
    tones = sum(
        np.sin(2 * np.pi * rng.uniform(150, 5000) * time) * (np.sin(rng.uniform(5, 20) * time) > 0) for _ in range(4)
    )
    sound = 0.08 * np.asarray(tones) + 0.01 * rng.standard_normal(len(time))
    return np.round(sound * 32768) / 32768


@pytest.mark.parametrize("seed", range(3))
def test_features_are_those_of_the_library(seed: int) -> None:
    sound = sound_of(seed)
    frontend = frontends.build(Part(name="micro_frontend"), RATE)
    ours = frontend(torch.from_numpy(sound.astype(np.float32))[None])[0].numpy()
    theirs = reference(sound)
    assert ours.shape == theirs.shape == (198, 40)
    difference = np.abs(ours / STEP - theirs)
    # The library's transform has 16 bits, so that bands next to silence differ more.
    assert np.median(difference) < 2
    assert difference.mean() < 8
    assert theirs.max() > 400


def test_a_clip_begins_without_noise_and_the_noise_is_its_past() -> None:
    frontend = frontends.build(Part(name="micro_frontend"), RATE)
    audio = torch.from_numpy(sound_of(5).astype(np.float32))[None]
    whole, part = frontend(audio), frontend(audio[:, :RATE])
    torch.testing.assert_close(part, whole[:, : part.shape[1]], rtol=1e-4, atol=1e-2)
    signal = torch.rand(1, 30, 40)
    noise, past = frontend.tail.noise(signal), torch.zeros(1, 40)
    share = torch.tensor([0.025, 0.06]).repeat(20)
    for frame in range(30):
        past = share * signal[:, frame] + (1 - share) * past
        torch.testing.assert_close(noise[:, frame], past)


def test_other_rates_and_hops_are_refused() -> None:
    with pytest.raises(RecipeError, match="16000"):
        frontends.build(Part(name="micro_frontend"), 8_000)
    with pytest.raises(RecipeError, match="hop"):
        frontends.build(Part(name="micro_frontend", options={"hop_ms": 31}), RATE)
