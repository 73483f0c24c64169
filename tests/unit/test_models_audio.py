"""Sound and keyword networks: sizes as published, and what is particular to each."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn

from earnest import models
from earnest.errors import RecipeError
from earnest.models._selective_scan import in_stretches, selective_scan, step_by_step
from earnest.models._vit import Block
from earnest.recipe import Part


def build(name: str, options: dict[str, Any], frames: int, bands: int, outputs: int) -> nn.Module:
    """A network, seeded."""
    torch.manual_seed(0)
    return models.build(Part(name=name, options=options), frames, bands, outputs)


def parameters(model: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in model.parameters())


# Counts that the papers print, except where the line says otherwise.
PARAMETERS = [
    ("matchboxnet", {"repeat": 1}, 128, 64, 30, 77_214),
    ("matchboxnet", {"repeat": 2}, 128, 64, 30, 92_766),
    ("panns_cnn14", {}, 1001, 64, 527, 80_753_615),
    ("panns_cnn6", {}, 1001, 64, 527, 4_837_455),
    ("panns_mobilenet", {}, 1001, 64, 527, 4_796_303),
    ("kwt", {"heads": 1}, 98, 40, 12, 607_308),
    ("kwt", {"heads": 2}, 98, 40, 12, 2_394_252),
    ("kwt", {"heads": 3}, 98, 40, 12, 5_360_844),
    ("ast", {"size": "base"}, 1024, 128, 527, 86_594_063),  # "87 M"
    ("audio_mamba", {"size": "base"}, 1024, 128, 527, 92_107_535),  # "92.1 M"
    ("audio_mamba", {"size": "small", "directions": "separate"}, 1024, 128, 527, 25_539_215),  # "25.5 M"
    ("audio_mamba", {"size": "tiny"}, 1024, 128, 527, 6_438_479),  # not published
    ("micro_speech", {}, 49, 40, 4, 16_652),  # 8 · (80 + 1) + 4 · (8 · 25 · 20 + 1)
]


@pytest.mark.parametrize(("name", "options", "frames", "bands", "outputs", "expected"), PARAMETERS)
def test_parameter_count(name, options, frames, bands, outputs, expected):
    with torch.device("meta"):
        model = build(name, options, frames, bands, outputs)
    assert parameters(model) == expected


def test_fsdnoisy_cnn_counts_running_statistics_as_its_authors_do():
    model = build("fsdnoisy_cnn", {}, 100, 96, 20)
    running = sum(value.numel() for key, value in model.named_buffers() if "running" in key)
    assert (parameters(model), running) == (531_238, 386)
    assert parameters(model) + running == 531_624


@pytest.mark.parametrize(
    ("name", "options", "frames", "bands", "said"),
    [
        ("fsdnoisy_cnn", {}, 15, 96, "15"),
        ("fsdnoisy_cnn", {}, 100, 3, "3"),
        ("matchboxnet", {"kernels": [13, 14]}, 64, 40, "14"),
        ("matchboxnet", {"repeat": 0}, 64, 40, "repeat 0"),
        ("kwt", {"heads": 0}, 98, 40, "heads 0"),
        ("ast", {}, 15, 40, "15 frames"),
        ("ast", {"patch": 30}, 64, 20, "20 bands"),
        ("ast", {"depth": 0}, 64, 40, "depth 0"),
        ("audio_mamba", {}, 64, 13, "13 bands"),
        ("audio_mamba", {"states": 0}, 64, 40, "states 0"),
        ("panns_cnn14", {}, 100, 31, "31"),
        ("panns_cnn6", {}, 100, 13, "13"),
        ("panns_cnn6", {"widths": [8, 8]}, 100, 40, r"\[8, 8\]"),
        ("panns_mobilenet", {}, 100, 20, "20"),
        ("panns_mobilenet", {"width": 0}, 100, 40, "got 0"),
    ],
)
def test_what_does_not_fit_is_named(name, options, frames, bands, said):
    with pytest.raises(RecipeError, match=said):
        build(name, options, frames, bands, 4)


@pytest.mark.parametrize("first", [False, True])
def test_a_block_is_the_encoder_layer_of_torch(first):
    torch.manual_seed(0)
    block = Block(32, heads=4, hidden=48, first=first).eval()
    layer = nn.TransformerEncoderLayer(
        32, 4, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=first
    ).eval()
    parts = [
        (block.attention.output, layer.self_attn.out_proj),
        (block.attention_norm, layer.norm1),
        (block.dense[0], layer.linear1),
        (block.dense[3], layer.linear2),
        (block.dense_norm, layer.norm2),
    ]
    for ours, theirs in parts:
        ours.load_state_dict(theirs.state_dict())
    block.attention.projections.weight = layer.self_attn.in_proj_weight
    block.attention.projections.bias = layer.self_attn.in_proj_bias
    tokens = torch.randn(3, 7, 32)
    valid = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    with torch.enable_grad():  # torch's own fast path, which changes rows that are all padding, is left out
        expected = layer(tokens, src_key_padding_mask=~valid)
    # float32 sums in another order
    torch.testing.assert_close(block(tokens, valid)[valid], expected[valid], rtol=1e-5, atol=1e-5)


def test_ast_cuts_the_patches_of_its_paper():
    with torch.device("meta"):
        model = build("ast", {}, 1024, 128, 527)
    assert model.patches.grid == (101, 12)
    assert model.positions.shape[1] == 1214


def scan_inputs(tokens: int, batch: int = 2, inner: int = 6, states: int = 3) -> list[torch.Tensor]:
    """x, Δ, A, B and C of a selective scan in two ways, in double precision."""
    rng = torch.Generator().manual_seed(tokens)
    values = torch.randn(2, batch, tokens, inner, generator=rng, dtype=torch.float64)
    delta = torch.rand(2, batch, tokens, inner, generator=rng, dtype=torch.float64)
    rates = -3 * torch.rand(2, states, inner, generator=rng, dtype=torch.float64)
    drive, reading = torch.randn(2, 2, batch, tokens, states, generator=rng, dtype=torch.float64)
    return [values, delta, rates, drive, reading]


def test_selective_scan_is_the_equation_of_its_paper():
    values, delta, rates, drive, reading = scan_inputs(5)
    scanned = step_by_step(values, delta, rates, drive, reading)
    for way, clip, channel in itertools.product(range(2), range(2), range(6)):
        state = [0.0] * 3
        for token in range(5):
            step, value = float(delta[way, clip, token, channel]), float(values[way, clip, token, channel])
            state = [
                math.exp(step * float(rates[way, n, channel])) * state[n]
                + step * float(drive[way, clip, token, n]) * value
                for n in range(3)
            ]
            expected = sum(float(reading[way, clip, token, n]) * state[n] for n in range(3))
            assert float(scanned[way, clip, token, channel]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 64, 65, 125, 513])
def test_selective_scan_in_stretches_is_the_plain_recurrence(tokens):
    parts = scan_inputs(tokens)
    # Both in double precision, sums in another order.
    torch.testing.assert_close(in_stretches(*parts), step_by_step(*parts), rtol=1e-12, atol=1e-12)


def test_selective_scan_gives_the_gradients_of_the_recurrence():
    parts = [part.float().requires_grad_() for part in scan_inputs(20)]
    expected = torch.autograd.grad(step_by_step(*parts).square().sum(), parts)
    for ours, theirs in zip(torch.autograd.grad(selective_scan(*parts).square().sum(), parts), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_audio_mamba_looks_ahead_and_back():
    """The class token in the middle depends on the first patch and on the last."""
    for directions in ("shared", "separate"):
        model = build("audio_mamba", {"depth": 1, "states": 2, "directions": directions}, 160, 16, 4).eval()
        features = torch.randn(1, 160, 16, requires_grad=True)
        model.embed(features).square().sum().backward()
        reached = features.grad[0].abs().sum(dim=1) > 0
        assert reached[:16].all()
        assert reached[-16:].all()


@pytest.mark.parametrize("name", ["panns_cnn14", "panns_cnn6", "panns_mobilenet"])
def test_panns_take_a_single_frame_and_leave_long_clips_as_they_are(name):
    model = build(name, dict(models.example(name).options), 100, 40, 4).eval()
    features = torch.randn(2, 131, 40)
    with torch.no_grad():
        image, _ = model.front(features, None)
        assert image.shape == (2, 1, 131, 40)
        alone = model(features[:1, :1])
        together = model(features, torch.tensor([1, 131]))
    torch.testing.assert_close(alone, together[:1], rtol=1e-5, atol=1e-5)  # float32 sums in another order


@pytest.mark.parametrize(
    ("name", "frames", "bands", "dim"),
    [
        ("matchboxnet", 64, 40, 128),
        ("panns_cnn6", 64, 40, 512),
        ("micro_speech", 49, 40, 4000),
        ("kwt", 64, 40, 64),
        ("ast", 64, 40, 192),
        ("audio_mamba", 64, 40, 192),
        ("fsdnoisy_cnn", 64, 40, 64),
    ],
)
def test_embedding(name, frames, bands, dim):
    model = build(name, {}, frames, bands, 4).eval()
    features = torch.randn(2, frames, bands)
    with torch.no_grad():
        embedding = model.embed(features, torch.tensor([frames, frames // 2]))
    assert embedding.shape == (2, dim)


@pytest.mark.parametrize(
    "name",
    [
        *("panns_cnn14", "panns_cnn6", "panns_mobilenet", "fsdnoisy_cnn", "matchboxnet"),
        *("kwt", "micro_speech", "ast", "audio_mamba"),
    ],
)
def test_trains_in_bfloat16_with_channels_last(name):
    example = models.example(name)
    model = build(name, dict(example.options), example.frames, example.bands, 4)
    model = model.to(memory_format=torch.channels_last).train()
    features = torch.randn(4, example.frames, example.bands)
    lengths = torch.tensor([example.frames, example.frames // 2, 3, example.frames])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(model(features, lengths).float(), torch.arange(4))
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
