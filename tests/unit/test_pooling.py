"""Pooling over time: worked by hand, masked by lengths, and by name."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from earnest.errors import RecipeError
from earnest.models import _pooling
from earnest.models._pooling import Attention, PannsAttention, PoolingName, build_pooling

NAMES = get_args(PoolingName)


def sequence(batch: int = 3, frames: int = 7, dim: int = 5) -> torch.Tensor:
    return torch.randn(batch, frames, dim, generator=torch.Generator().manual_seed(0))


def pooling(name: str, dim: int = 5) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_pooling(name, dim).eval()


def test_by_hand():
    values = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [8.0, 100.0]]])
    two = torch.tensor([2])
    assert pooling("mean", 2)(values, two).tolist() == [[2.0, -3.0]]
    assert pooling("max", 2)(values, two).tolist() == [[3.0, -2.0]]
    assert pooling("mean+max", 2)(values, two).tolist() == [[5.0, -5.0]]
    assert pooling("mean", 2)(values).tolist() == [[4.0, pytest.approx(94 / 3)]]


def test_attention_is_its_formula():
    layer = Attention(5, hidden=4)
    values = sequence(batch=1)
    scores = [layer.score.weight[0] @ torch.tanh(layer.hidden.weight @ h + layer.hidden.bias) for h in values[0]]
    expected = sum(a * h for a, h in zip(torch.stack(scores).softmax(0), values[0], strict=True))
    torch.testing.assert_close(layer(values)[0], expected)
    torch.testing.assert_close(layer.weights(values).sum(dim=1), torch.ones(1, 1))


def test_panns_attention_is_its_formula():
    layer = PannsAttention(5, outputs=2)
    with torch.no_grad():
        layer.attention.weight *= 100.0  # so that the clamp is reached
    values = sequence(batch=2)
    convolved = torch.nn.functional.conv1d(values.transpose(1, 2), layer.attention.weight[:, :, None])
    attention = (convolved + layer.attention.bias[:, None]).clamp(-10, 10).softmax(dim=2)
    value = torch.nn.functional.conv1d(values.transpose(1, 2), layer.value.weight[:, :, None], layer.value.bias)
    assert (convolved.abs() > 10).any()
    torch.testing.assert_close(layer(values), (attention * value.sigmoid()).sum(dim=2))


@pytest.mark.parametrize("name", NAMES)
def test_what_lies_beyond_the_length_does_not_matter(name):
    values, lengths = sequence(), torch.tensor([7, 4, 1])
    loud = values.clone()
    loud[1, 4:], loud[2, 1:] = 1e4, -1e4
    together = pooling(name)(loud, lengths)
    torch.testing.assert_close(together, pooling(name)(values, lengths))
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[row : row + 1], pooling(name)(values[row : row + 1, :length]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wild", [torch.inf, torch.nan])
def test_gradient_and_value_stay_finite(name, wild):
    layer = pooling(name)
    values = sequence().requires_grad_()
    pooled = layer(values, torch.tensor([7, 4, 0]))
    pooled.sum().backward()
    assert torch.isfinite(values.grad).all()
    assert (values.grad[1, 4:] == 0).all()
    padded = sequence()
    padded[1, 4:] = wild
    assert torch.isfinite(layer(padded, torch.tensor([7, 4, 3]))).all()


@pytest.mark.parametrize("name", NAMES)
def test_keeps_a_narrow_type(name):
    layer, values = pooling(name), sequence()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        narrow = layer(values.bfloat16(), torch.tensor([7, 4, 1]))
    with torch.no_grad():
        wide = layer(values, torch.tensor([7, 4, 1]))
    torch.testing.assert_close(narrow.float(), wide, rtol=0.03, atol=0.03)  # bfloat16 keeps 8 bits


def test_an_unknown_name_is_an_error():
    with pytest.raises(RecipeError, match="attention"):
        build_pooling("atention", 5)
    assert set(_pooling._POOLINGS) == set(NAMES)


@pytest.mark.parametrize("size", [(12, 8), (13, 5), (6, 4), (3, 2), (1, 1)])
def test_adaptive_mean_is_that_of_pytorch(size):
    image = torch.randn(3, 2, *size, generator=torch.Generator().manual_seed(0))
    reference = torch.nn.AdaptiveAvgPool2d((6, 4))
    torch.testing.assert_close(_pooling.adaptive_mean(image, None, (6, 4)), reference(image))
    lengths = torch.tensor([size[0], max(size[0] // 2, 1), 1])
    found = _pooling.adaptive_mean(image, lengths, (6, 4))
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row], reference(image[row, :, :length]))
