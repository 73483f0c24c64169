"""Networks in lower precision: what is rounded, and how much."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from earnest.training.precision import FORMATS, in_precision, rounded


def test_values_by_hand() -> None:
    values = torch.tensor([[1.0, 1 + 2**-9, 448.0, -3.3]])
    assert rounded(values, "bf16", whole=True).tolist() == [[1.0, 1.0, 448.0, -3.296875]]
    assert rounded(values, "fp16", whole=True)[0, 1] == 1 + 2**-9
    # The largest value meets the format's largest number (448), so that the scale is 1 and steps are those of e4m3.
    assert rounded(values, "fp8_e4m3", whole=True).tolist() == [[1.0, 1.0, 448.0, -3.25]]


@pytest.mark.parametrize("precision", sorted(FORMATS))
def test_relative_error_is_that_of_the_format(precision: str) -> None:
    values = torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
    bits = {"fp16": 10, "bf16": 7, "fp8_e5m2": 2, "fp8_e4m3": 3}[precision]
    large = values.abs() > 0.1
    error = ((rounded(values, precision, whole=False) - values) / values)[large].abs().max()
    assert 2.0 ** -(bits + 2) < error <= 2.0 ** -(bits + 1) * 1.001


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    quiet, loud = torch.randn(1, 50), 1000 * torch.randn(1, 50)
    together = rounded(torch.cat([quiet, loud]), "fp8_e5m2", whole=False)
    assert torch.equal(together[:1], rounded(quiet, "fp8_e5m2", whole=False))


def test_silence_stays_silence() -> None:
    assert not rounded(torch.zeros(2, 3, 4), "fp8_e4m3", whole=False).any()


@pytest.mark.parametrize("precision", sorted(FORMATS))
def test_the_network_itself_stays_as_it_is(precision: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 8, 4)).eval()
    clip = torch.randn(5, 3, 10)
    with torch.no_grad():
        before = network(clip)
        lower = in_precision(network, precision)
        difference = (lower(clip) - before).abs().max()
        assert torch.equal(network(clip), before)
    assert 0 < difference < 0.5
    assert not any(module._forward_pre_hooks for module in network.modules())
