"""Sound and keyword networks: sizes as published, and what is particular to each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from earnest import models
from earnest.errors import RecipeError
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
        ("fsdnoisy_cnn", 64, 40, 64),
    ],
)
def test_embedding(name, frames, bands, dim):
    model = build(name, {}, frames, bands, 4).eval()
    features = torch.randn(2, frames, bands)
    with torch.no_grad():
        embedding = model.embed(features, torch.tensor([frames, frames // 2]))
    assert embedding.shape == (2, dim)
