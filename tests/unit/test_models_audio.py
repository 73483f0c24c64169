"""Sound and keyword networks: sizes as published, and what is particular to each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from earnest import models
from earnest.errors import RecipeError
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
        ("fsdnoisy_cnn", 64, 40, 64),
    ],
)
def test_embedding(name, frames, bands, dim):
    model = build(name, {}, frames, bands, 4).eval()
    features = torch.randn(2, frames, bands)
    with torch.no_grad():
        embedding = model.embed(features, torch.tensor([frames, frames // 2]))
    assert embedding.shape == (2, dim)
