"""`model.int8.onnx`: ONNX with weights and activations in 8 bits, for ONNX Runtime on any processor.

Static quantisation with QDQ nodes: weights symmetric, one scale per output channel; activations with one scale and zero
point per tensor, from the smallest and largest value that training clips give. The front end stays in float32, where
its logarithm needs it, and so does the last softmax.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from earnest.errors import BundleError
from earnest.shipping.join import join_in_line
from earnest.shipping.source import Source

FILE = "model.int8.onnx"
SUMMARY = "ONNX, weights and activations in 8 bits"


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Gives the network's inputs for one window after the other."""

    def __init__(self, source: Source, windows: Sequence[np.ndarray]) -> None:
        self.inputs = self._inputs(source, windows)

    @staticmethod
    def _inputs(source: Source, windows: Sequence[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for window in windows:
            features = source.features(torch.from_numpy(window)[None])
            yield {name: value.numpy() for name, value in zip(source.names(), features, strict=True)}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next inputs; None when there are no more."""
        return next(self.inputs, None)


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Quantise the network behind the front end, and join both again."""
    head, network = source.write_parts(folder)
    prepared, quantised, whole = folder / "prepared.onnx", folder / "quantised.onnx", folder / FILE
    try:
        with quiet():
            quant_pre_process(str(network), str(prepared))
            quantization.quantize_static(
                str(prepared),
                str(quantised),
                Reader(source, windows),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError, onnx.checker.ValidationError) as problem:
        raise BundleError(f"onnxruntime cannot quantise this network: {problem}") from problem
    join_in_line(head, quantised, whole)
    return {FILE: whole}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the quantiser's advice on standard error."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
