"""Several front ends for one model: bands side by side in one tensor, or a tuple of channels."""

from __future__ import annotations

import pytest
import torch

from earnest import frontends
from earnest.errors import RecipeError
from earnest.frontends import FrontEnd
from earnest.recipe import Part

RATE = 16_000


def build(*parts: object, name: str = "stack") -> FrontEnd:
    return frontends.build(Part(name=name, options={"of": list(parts)}), RATE)


def noise(samples: int = RATE, clips: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0))


def test_a_stack_is_its_parts_side_by_side():
    audio = noise()
    stack = build("fbank", {"name": "mfcc", "order": 3, "n_mfcc": 13})
    fbank = frontends.build(Part(name="fbank"), RATE)
    mfcc = frontends.build(Part(name="mfcc", options={"order": 3, "n_mfcc": 13, "pad": "none"}), RATE)
    assert stack.bands == 80 + 39
    assert torch.equal(stack(audio), torch.cat([fbank(audio), mfcc(audio)], dim=-1))


def test_a_stack_takes_the_frames_of_its_first_part():
    short = {"name": "log_mel", "window_ms": 20.0, "hop_ms": 5.0}
    for samples in (4_000, 16_001, 40_000):
        assert build(short, "mfcc").frames_for(samples) == frontends.build(Part.model_validate(short), RATE).frames_for(
            samples
        )
    assert build({"name": "log_mel", "window_samples": 320, "hop_samples": 80}, "mfcc").framing.hop == 80


@pytest.mark.parametrize("preset", ["librosa", "kaldi", "whisper"])
def test_a_preset_in_the_first_part_is_followed(preset):
    first = {"name": "log_mel", "preset": preset}
    audio = noise()
    stacked = build(first, "mfcc")(audio)
    assert torch.equal(stacked[..., :-20], frontends.build(Part.model_validate(first), RATE)(audio))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["fbank", {"name": "mfcc", "hop_ms": 20}], "98 .*|49 frames"),
        (["fbank", {"name": "mfcc", "pad": "reflect"}], "101 frames per second"),
        (["fbank", "waveform"], "'waveform' has no spectral frames"),
        (["statistics", "fbank"], "'statistics' has no spectral frames"),
        (["fbank"], "at least 2"),
        (["fbank", {"name": "mfcc", "n_mfc": 3}], "n_mfcc"),
    ],
)
def test_what_cannot_be_stacked_is_told(parts, message):
    with pytest.raises(RecipeError, match=message):
        build(*parts)


def test_a_part_of_a_stack_may_have_a_longer_window_where_the_count_stays():
    stack = build("log_mel", {"name": "mfcc", "window_ms": 40.0, "n_fft": 1024})
    assert stack(noise()).shape == (2, 101, 84)


def test_statistics_of_a_stack():
    parts = ["fbank", {"name": "mfcc", "order": 3}]
    statistics = frontends.build(
        Part(name="statistics", options={"of": {"name": "stack", "of": parts}, "bins": 1}), RATE
    )
    assert statistics(noise()).shape == (2, 1, 140 * 8)
    torch.testing.assert_close(statistics.for_export()(noise()), statistics(noise()), rtol=1e-3, atol=1e-3)


def test_cepstra_choose_how_differences_are_taken():
    """Regression and Savitzky-Golay slopes are different numbers of the same shape."""
    audio = noise()
    kinds = {"regression": 9, "savgol": 9, "regression5": 5}
    found = {
        kind: frontends.build(
            Part(
                name="mfcc",
                options={"order": 3, "difference": kind.removesuffix("5"), "difference_width": width},
            ),
            RATE,
        )(audio)
        for kind, width in kinds.items()
    }
    assert {features.shape for features in found.values()} == {(2, 101, 60)}
    assert not torch.allclose(found["regression"], found["savgol"])
    assert not torch.allclose(found["regression"], found["regression5"])


@pytest.mark.parametrize("name", ["log_mel", "fbank"])
def test_mel_bands_take_differences_too(name):
    audio = noise()
    static = frontends.build(Part(name=name), RATE)
    for difference in ("regression", "savgol"):
        frontend = frontends.build(Part(name=name, options={"order": 3, "difference": difference}), RATE)
        features = frontend(audio)
        assert features.shape[2] == frontend.bands == 3 * static.bands
        assert torch.equal(features[..., : static.bands], static(audio))
        torch.testing.assert_close(frontend.for_export()(audio), features, rtol=0, atol=1e-3)
        assert frontend(audio[:, : frontend.min_samples]).isfinite().all()
