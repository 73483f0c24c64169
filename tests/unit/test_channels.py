"""Several front ends for one model: bands side by side in one tensor, or a tuple of channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earnest import augment, frontends, preparation, recipe
from earnest.errors import RecipeError
from earnest.frontends import FrontEnd
from earnest.recipe import Part
from earnest.training.batches import extract, pad, unless_full
from earnest.training.pipeline import normaliser_for

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


# ---- channels -------------------------------------------------------------------------------------------------------

FUSED = ["log_mel", {"name": "mfcc", "hop_ms": 20.0}, "waveform"]


def fused() -> FrontEnd:
    return build(*FUSED, name="channels")


def test_channels_are_a_tuple_in_the_order_given():
    frontend, audio = fused(), noise()
    features = frontend(audio)
    assert isinstance(features, tuple)
    assert frontend.bands == (64, 20, 1)
    assert frontend.frames_for(RATE) == tuple(channel.shape[1] for channel in features) == (101, 51, RATE)
    for part, channel, exported in zip(FUSED, features, frontend.for_export()(audio), strict=True):
        assert torch.equal(channel, frontends.build(Part.model_validate(part), RATE)(audio))
        torch.testing.assert_close(exported, channel, rtol=0, atol=1e-3)


def test_a_list_of_front_ends_is_channels():
    (cell,) = recipe.load(None, ["corpus=demo", "model=coattention", "frontend=[log_mel, {name: mfcc, n_mfcc: 13}]"])
    assert cell.frontend == Part(name="channels", options={"of": ["log_mel", {"name": "mfcc", "n_mfcc": 13}]})
    assert recipe.parse(cell.plain()) == cell
    assert frontends.build(cell.frontend, RATE).bands == (64, 13)


@pytest.mark.parametrize(
    ("parts", "message"), [(["log_mel"], "at least 2"), ([FUSED[0], "channels"], "cannot have channels itself")]
)
def test_what_cannot_be_a_channel_is_told(parts, message):
    with pytest.raises(RecipeError, match=message):
        build(*parts, name="channels")


def test_the_default_is_what_coattention_takes():
    frontend = frontends.build(Part(name="channels"), RATE)
    assert frontend.frames_for(3 * RATE) == (300, 300, 3 * RATE)
    assert frontend.bands == (401, 40, 1)


def test_spectrograms_are_masked_and_samples_are_not():
    frontend = fused()
    (clip,) = extract(frontend, [noise()[0].numpy()])
    steps = augment.build([Part(name="spec_augment", options={"time_masks": 3, "frequency_masks": 3})])
    varied = frontend.vary(clip, lambda channel: steps.features(channel, np.random.default_rng(1)))
    assert [bool(torch.equal(old, new)) for old, new in zip(clip, varied, strict=True)] == [False, False, True]


def test_one_front_end_is_varied_as_before():
    frontend = frontends.build(Part(name="log_mel"), RATE)
    clip = frontend(noise())[0]
    assert torch.equal(frontend.vary(clip, lambda features: features + 1), clip + 1)


def test_mixup_blends_all_channels_with_one_partner_and_one_share():
    mixup = augment.build([Part(name="mixup", options={"alpha": 1.0})])
    one, two = torch.randn(6, 11, 4), torch.randn(6, 30, 1)
    lengths = (torch.tensor([11, 11, 11, 5, 11, 7]), torch.tensor([30, 30, 30, 12, 30, 20]))
    targets = torch.eye(6)
    (first, second), same, shared = mixup.mix((one, two), lengths, targets, np.random.default_rng(4))
    assert same is lengths
    for features, length, found in ((one, lengths[0], first), (two, lengths[1], second)):
        alone, _, target = mixup.mix(features, length, targets, np.random.default_rng(4))
        assert torch.equal(alone, found)
        assert torch.equal(target, shared)
    assert (shared.max(1).values < 1).any()


def test_padding_and_lengths_of_channels():
    clips = [(torch.ones(3, 2), torch.ones(9, 1)), (torch.ones(2, 2), torch.ones(6, 1))]
    features, lengths = pad(clips)
    assert [channel.shape for channel in features] == [(2, 3, 2), (2, 9, 1)]
    assert [length.tolist() for length in lengths] == [[3, 2], [9, 6]]
    assert features[1][1, 6:].abs().sum() == 0
    assert unless_full(features, lengths) is lengths
    assert unless_full(*pad(clips[:1] * 2)) is None


def test_channels_of_clips_of_different_lengths():
    waves = [noise(8_000, 1)[0].numpy(), noise(9_111, 1)[0].numpy()]
    clips = extract(fused(), waves)
    assert [tuple(len(channel) for channel in clip) for clip in clips] == [
        fused().frames_for(8_000),
        fused().frames_for(9_111),
    ]


def test_each_channel_has_its_own_mean_and_deviation():
    clips = [(torch.randn(50, 3) * 4 + 1, torch.randn(700, 1) / 9), (torch.randn(20, 3), torch.randn(90, 1))]
    both = normaliser_for((3, 1))
    both.fit(iter(clips))
    for index, width in enumerate((3, 1)):
        alone = normaliser_for(width)
        alone.fit(clip[index] for clip in clips)
        assert torch.equal(both(clips[0])[index], alone(clips[0][index]))


@pytest.mark.parametrize(("model", "frontend"), [("ds_cnn", FUSED), ("svm", ["statistics", "statistics"])])
def test_a_model_of_one_front_end_says_so(model, frontend):
    (cell,) = recipe.load(None, ["corpus=demo", f"model={model}"])
    cell = cell.model_copy(update={"frontend": Part(name="channels", options={"of": frontend})})
    with pytest.raises(RecipeError, match=f"{model} takes one front end, and the recipe gives {len(frontend)}"):
        preparation.check_parts(cell)
