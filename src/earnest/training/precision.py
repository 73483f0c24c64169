"""A trained network in a lower precision: what is left of its score when weights and activations have fewer bits.

Every layer that multiplies (convolutions, dense and recurrent layers, attention) takes its weights and its inputs in
the format, through torch's own types; products are summed in float32, as the tensor cores of GPUs sum them. float16 and
bfloat16 round values as they are. The two float8 formats (P. Micikevicius et al., "FP8 formats for deep learning",
arXiv:2209.05433) have a scale with which the largest magnitude meets the format's largest number: one for each weight
tensor, and one for each clip's input of a layer, so that a clip's scores do not depend on its neighbours in a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

Precision = Literal["fp16", "bf16", "fp8_e5m2", "fp8_e4m3"]

FORMATS: Mapping[str, torch.dtype] = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e5m2": torch.float8_e5m2,
    "fp8_e4m3": torch.float8_e4m3fn,
}


def in_precision(network: nn.Module, precision: Precision) -> nn.Module:
    """A copy of a network that computes in a lower precision; the network itself stays as it is.

    Parameters
    ----------
    network : in float32, as it was scored.
    precision : the format of weights and activations.
    """
    lower = copy.deepcopy(network).eval()
    for module in lower.modules():
        tables = [value for value in _own_weights(module) if value.dim() >= 2]
        vectors = list(module.parameters(recurse=False)) if precision in ("fp16", "bf16") else []
        for weights in (*tables, *(value for value in vectors if value.dim() < 2)):
            weights.data = rounded(weights.data, precision, whole=True).to(weights.dtype)
        if tables:
            module.register_forward_pre_hook(_Rounding(precision), with_kwargs=True)
    return lower


def _own_weights(module: nn.Module) -> list[torch.Tensor]:
    """A module's own parameters, and its buffers: what an estimator has fitted lies there."""
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return [value for value in own if value.is_floating_point()]


def rounded(values: torch.Tensor, precision: Precision, *, whole: bool) -> torch.Tensor:
    """Values as the format holds them, again as float32; shape kept.

    Parameters
    ----------
    values : floating, any shape; where not `whole`, the first axis counts clips.
    whole : one scale for the whole tensor instead of one for each clip (float8 only).
    """
    kind, values = FORMATS[precision], values.float()
    if precision in ("fp16", "bf16"):
        return values.to(kind).float()
    rows = values.reshape(1, -1) if whole else values.flatten(1)
    largest = rows.abs().amax(dim=1).clamp_min(1e-12)
    scale = (torch.finfo(kind).max / largest).view(-1, *([1] * (values.dim() - 1)))
    return (values * scale).to(kind).float() / scale


class _Rounding:
    """Rounds the floating inputs (batch, …) of a layer before it computes."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision

    def __call__(
        self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return tuple(map(self._input, given)), {key: self._input(value) for key, value in named.items()}

    def _input(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32 or value.dim() < 2:
            return value
        return rounded(value, self.precision, whole=False)
