"""What every front end keeps to, for each file in the folder."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from earnest import audio, frontends, registry
from earnest.errors import DataError, RecipeError
from earnest.frontends import FrontEnd
from earnest.recipe import Part

RATE = 16_000
# Channels are a tuple (tests/unit/test_channels.py); what cannot be exported is measured by others (test_opensmile.py).
PARTS = {name: registry.load("frontends", name).FrontEnd for name in registry.names("frontends") if name != "channels"}
NAMES = [name for name, part in PARTS.items() if part.exportable]

# Single precision leaves some 1e-7 of a frame's loudest bin in every bin. Just above the floor, 100 dB below a loud
# voice, that is about 1e-3 of what is there; it happens to one value in a thousand of a recording (of pure
# tones, whose gaps are empty, to one in a hundred of each evaluation), and coefficients average it out.
SAME, RARELY, RARE = 1e-4, 2e-3, 2e-2
# micro_frontend subtracts a band's noise before the logarithm, which makes the rounding of what is left greater.
RARELY_OF = {"micro_frontend": 1e-2}


def build(name: str) -> FrontEnd:
    return frontends.build(Part(name=name), RATE)


def voice(samples: int = RATE, clips: int = 2) -> torch.Tensor:
    """Voice-like tones of different pitch, which begin with silence and end in faint noise; (clips, samples)."""
    rng = np.random.default_rng(5)
    time = np.arange(samples) / RATE
    rows = []
    for clip in range(clips):
        tone = sum(np.sin(2 * np.pi * k * (100 + 30 * clip) * time + k) / k for k in range(1, 40))
        tone *= 0.2 * np.sin(np.pi * time / time[-1]) ** 2 if samples > 1 else 1.0
        faint = 1e-3 * rng.standard_normal(samples)
        rows.append((tone + faint) * (time > 0.05 * time[-1]))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def recorded(samples: int = 2 * RATE) -> torch.Tensor:
    """The first second of four speech recordings of three corpora; skips where EARNEST_DATA is not set."""
    data = os.environ.get("EARNEST_DATA")
    rows = []
    for corpus in ("ravdess", "fsdd", "speech_commands", "english_an4") if data else ():
        files = sorted(path for path in (Path(str(data)) / corpus).rglob("*") if path.suffix in audio.SUFFIXES)
        rows += [np.resize(audio.load(path, RATE).samples, samples) for path in files[:: max(1, len(files) // 5)][:5]]
    if not rows:
        pytest.skip("EARNEST_DATA names no folder with recordings")
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def assert_same(found: torch.Tensor, expected: torch.Tensor, name: str = "") -> None:
    """Equal to SAME, but for a share RARE of the values, which are equal to RARELY."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=RARELY_OF.get(name, RARELY))
    assert ((found - expected).abs() > SAME + 1e-6 * expected.abs()).float().mean() <= RARE


@pytest.mark.parametrize("name", NAMES)
def test_shape_is_what_it_says(name: str) -> None:
    frontend = build(name)
    for samples in (frontend.min_samples, frontend.min_samples + 1, 4_001, 16_000, 16_159, 40_000):
        features = frontend(voice(samples))
        assert features.shape == (2, frontend.frames_for(samples), frontend.bands)
        assert features.dtype == torch.float32
        assert features.shape[1] >= 1


@pytest.mark.parametrize("name", NAMES)
def test_shortest_input(name: str) -> None:
    frontend = build(name)
    assert torch.isfinite(frontend(voice(frontend.min_samples))).all()
    if frontend.min_samples > 1:
        with pytest.raises(DataError, match="shortest input"):
            frontend(voice(frontend.min_samples - 1))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_audio_is_told(name: str) -> None:
    with pytest.raises(DataError, match="shape"):
        build(name)(torch.zeros(RATE))
    with pytest.raises(DataError, match="int16"):
        build(name)(torch.zeros(1, RATE, dtype=torch.int16))


@pytest.mark.parametrize("name", NAMES)
def test_silence_is_finite_and_equal_in_both_evaluations(name: str) -> None:
    frontend = build(name)
    for level in (0.0, 1e-8):  # digital silence, next to nothing
        silence = torch.full((2, RATE), level)
        features, exported = frontend(silence), frontend.for_export()(silence)
        assert torch.isfinite(features).all()
        torch.testing.assert_close(exported, features, rtol=0, atol=SAME)
    assert torch.isfinite(frontend(torch.full((2, RATE), 0.25))).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("source", [voice, recorded])
def test_both_evaluations_are_equal(name: str, source: Callable[[], torch.Tensor]) -> None:
    clips = source()
    frontend = build(name)
    assert_same(frontend.for_export()(clips), frontend(clips), name)


@pytest.mark.parametrize("name", NAMES)
def test_clips_do_not_touch_each_other(name: str) -> None:
    frontend = build(name)
    clips = voice(RATE, clips=7)
    alone = torch.cat([frontend(clip[None]) for clip in clips])
    torch.testing.assert_close(frontend(clips), alone, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_input_is_left_alone(name: str) -> None:
    clips = voice()
    before = clips.clone()
    build(name)(clips)
    assert torch.equal(clips, before)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_the_samples(name: str) -> None:
    frontend = build(name)
    for clips in (voice(), torch.zeros(1, RATE)):
        clips = clips.requires_grad_()
        (frontend(clips) ** 2).mean().backward()
        assert clips.grad is not None
        assert torch.isfinite(clips.grad).all()
    assert not list(frontend.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_autocast_does_not_change_it(name: str) -> None:
    frontend = build(name)
    clips = voice()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = frontend(clips)
    assert torch.equal(features, frontend(clips))


@pytest.mark.parametrize("name", NAMES)
def test_exported_graph_gives_the_same_numbers_for_any_batch_and_length(name: str, tmp_path: Path) -> None:
    frontend = build(name)
    path = tmp_path / "frontend.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            frontend.for_export(),
            (voice(8_000),),
            dynamo=True,
            input_names=["audio"],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},),
            verbose=False,
        )
    assert program is not None
    program.save(str(path))
    session = onnxruntime.InferenceSession(path)
    for clips in (voice(16_000, 1), voice(8_000, 3), voice(7_777, 2), voice(frontend.min_samples, 1)):
        (found,) = session.run(None, {"audio": clips.numpy()})
        assert_same(torch.from_numpy(found), frontend(clips))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("statistics", "micro_frontend")])
def test_chunks_equal_the_whole(name: str) -> None:
    """Frames away from the ends depend on their own samples only; those of micro_frontend on their past as well."""
    frontend = build(name)
    clips = voice(RATE)
    whole = frontend(clips)
    step = RATE // 100 if name != "waveform" else 1
    start, margin = 40, 8
    part = frontend(clips[:, start * step :])
    torch.testing.assert_close(part[:, margin:], whole[:, start + margin :], rtol=1e-6, atol=SAME)


@pytest.mark.parametrize("name", NAMES)
def test_config_is_frozen_plain_and_has_defaults(name: str) -> None:
    config = registry.load("frontends", name).Config()
    assert dataclasses.is_dataclass(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.anything = 1
    assert frontends.resolve(Part(name=name)) == config


@pytest.mark.parametrize("name", NAMES)
def test_unknown_option_is_told(name: str) -> None:
    with pytest.raises(RecipeError, match="unknown option 'bnads'"):
        frontends.build(Part(name=name, options={"bnads": 3}), RATE)


PRESETS = [(name, preset) for name in NAMES for preset in getattr(registry.load("frontends", name), "PRESETS", {})]


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_presets_are_sets_of_numbers(name: str, preset: str) -> None:
    frontend = frontends.build(Part(name=name, options={"preset": preset}), RATE)
    assert not hasattr(frontend.config, "preset")
    assert torch.isfinite(frontend(torch.zeros(1, RATE))).all()


def test_options_override_the_preset() -> None:
    part = Part(name="log_mel", options={"preset": "whisper", "bands": 128})
    config = frontends.resolve(part)
    assert (config.bands, config.mel_scale) == (128, "slaney")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"name": "log_mle"}, "log_mel"),
        ({"name": "log_mel", "preset": "librossa"}, "librosa"),
        ({"name": "log_mel", "bands": 0}, "bands"),
        ({"name": "log_mel", "f_min": 5_000, "f_max": 4_000}, "f_min < f_max"),
        ({"name": "log_mel", "f_max": 9_000}, "8000 Hz"),
        ({"name": "log_mel", "n_fft": 256}, "n_fft"),
        ({"name": "log_mel", "hop_ms": 0.01}, "under one sample"),
        ({"name": "mfcc", "n_mfcc": 41}, "41 coefficients"),
        ({"name": "mfcc", "difference_width": 4}, "odd"),
        ({"name": "mfcc", "order": 4}, "order"),
        ({"name": "statistics", "of": "waveform"}, "no spectral frames"),
        ({"name": "statistics", "functionals": [], "percentiles": [], "bins": 1}, "no statistic"),
    ],
)
def test_wrong_numbers_are_told(part: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        frontends.build(Part.model_validate(part), RATE)
