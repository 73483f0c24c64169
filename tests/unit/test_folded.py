"""Networks folded for other runtimes: the same numbers, and nothing left to fold."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from earnest.errors import BundleError
from earnest.models._pooling import Attention, Max
from earnest.shipping.folded import fold


def settled(*layers: nn.Module) -> nn.Module:
    """The layers in evaluation mode, their batch norms with numbers that trained ones have."""
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(*layers)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
                if value is not None:
                    value.data = 0.5 + torch.rand(value.shape, generator=generator)
    return module.eval()


def folded(module: nn.Module, *shape: int) -> Counter[str]:
    """The operators left in a folded module, after it has given the module's numbers."""
    example = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    graph = fold(module, (example,))
    with torch.no_grad():
        torch.testing.assert_close(graph(example), module(example), rtol=1e-5, atol=1e-5)
    return Counter(
        str(node.target).removeprefix("aten.").partition(".")[0]
        for node in graph.graph.nodes
        if node.op == "call_function"
    )


def test_a_batch_norm_goes_into_its_convolution() -> None:
    module = settled(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    assert folded(module, 1, 1, 8, 8) == {"conv2d": 1, "relu": 1}


def test_also_in_one_dimension_with_a_bias_and_without_scales() -> None:
    module = settled(nn.Conv1d(3, 6, 3, groups=3), nn.BatchNorm1d(6, affine=False))
    assert folded(module, 1, 3, 8) == {"conv1d": 1}


def test_and_through_a_mean_pool_which_becomes_a_stride() -> None:
    module = settled(nn.Conv2d(2, 4, 3, padding=1), nn.AvgPool2d(2), nn.BatchNorm2d(4))
    assert folded(module, 1, 2, 9, 8) == {"conv2d": 1}


def test_a_pool_that_counts_zeros_outside_keeps_its_norm_behind() -> None:
    module = settled(nn.Conv2d(2, 4, 3), nn.AvgPool2d(3, padding=1), nn.BatchNorm2d(4))
    assert folded(module, 1, 2, 9, 9) == {"conv2d": 1, "avg_pool2d": 1, "mul": 1, "add": 1}


def test_a_pool_that_would_make_weights_much_larger_stays() -> None:
    module = settled(nn.Conv2d(2, 4, 1), nn.AvgPool2d(4))
    assert folded(module, 1, 2, 8, 8) == {"conv2d": 1, "avg_pool2d": 1}


def test_a_convolution_that_is_used_twice_keeps_its_weights() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            image = self.convolution(image)
            return image + self.norm(image)

    assert folded(settled(Twice()), 1, 1, 8, 8) == {"conv2d": 1, "mul": 1, "add": 2}


def test_a_batch_norm_in_front_is_a_product_and_a_sum() -> None:
    assert folded(settled(nn.BatchNorm1d(5)), 1, 5, 7) == {"mul": 1, "add": 1}


def test_what_stands_on_constants_is_one() -> None:
    class Mirrored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 2, 3))

        def forward(self, sequence: torch.Tensor) -> torch.Tensor:
            return nn.functional.conv1d(sequence, self.weight.flip(2).mul(2.0))

    assert folded(Mirrored().eval(), 1, 2, 9) == {"conv1d": 1}


def test_softmax_over_frames_is_over_the_last_axis() -> None:
    graph = fold(Attention(6).eval(), (torch.randn(1, 9, 6),))
    (node,) = (node for node in graph.graph.nodes if node.target is torch.ops.aten.softmax.int)
    assert node.args[1] == 2
    folded(Attention(6).eval(), 1, 9, 6)


def test_the_maximum_over_frames_is_a_pooling() -> None:
    assert folded(Max().eval(), 1, 9, 6)["max_pool2d"] == 1


def test_a_rectifier_comes_before_the_pool() -> None:
    graph = fold(settled(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU()), (torch.randn(1, 1, 8, 8),))
    names = [node.name for node in graph.graph.nodes if node.op == "call_function"]
    assert [name.partition("_")[0] for name in names] == ["conv2d", "relu", "max"]


def test_what_cannot_be_traced_is_told() -> None:
    class Branching(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values if values.sum() > 0 else -values

    with pytest.raises(BundleError, match="cannot trace this network"):
        fold(Branching().eval(), (torch.randn(3),))
