"""`model.int8.onnx`: ONNX with weights and activations in 8 bits, for ONNX Runtime on any processor.

Static quantisation with QDQ nodes: weights symmetric, one scale per output channel, with seven bits, so that sums do
not overflow on processors without VNNI; activations with one scale and zero point per tensor, from the smallest and
largest value that training clips give. In float32 stay the front end, whose logarithm needs it; sums, products and
curves (softmax, sigmoid, tanh), which lose more than they gain; and a first convolution over one channel, which ONNX
Runtime computes faster so.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import quantization
from onnxruntime.quantization import qdq_loss_debug

from earnest.errors import BundleError
from earnest.files import atomic_write_text
from earnest.shipping.join import join_in_line
from earnest.shipping.simplify import fold_constants, plain_forms
from earnest.shipping.source import Source

FILE = "model.int8.onnx"
NOISE = "model.int8.noise.json"
SUMMARY = "ONNX, weights and activations in 8 bits"
FLOAT = ("Softmax", "Sigmoid", "Tanh", "Mul", "Add")
BEHIND = ("Relu", "MaxPool", "AveragePool")  # what stays in float32 with the convolution that it follows
LISTENED = 16  # windows over which the noise is measured


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Gives the network's inputs for one window after the other."""

    def __init__(self, source: Source, windows: Sequence[np.ndarray]) -> None:
        self.inputs: Iterator[dict[str, np.ndarray]] = self._inputs(source, windows)

    @classmethod
    def of(cls, inputs: Sequence[dict[str, np.ndarray]]) -> Reader:
        """A reader of inputs that are made already."""
        reader = cls.__new__(cls)
        reader.inputs = iter(inputs)
        return reader

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
    folded, prepared = folder / "folded.onnx", folder / "prepared.onnx"
    quantised, whole = folder / "quantised.onnx", folder / FILE
    fold_constants(network, folded)
    plain_forms(folded, prepared)
    try:
        with quiet():
            quantization.quantize_static(
                str(prepared),
                str(quantised),
                Reader(source, windows),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=stays_float(onnx.load(prepared).graph),
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError, onnx.checker.ValidationError) as problem:
        raise BundleError(f"onnxruntime cannot quantise this network: {problem}") from problem
    join_in_line(head, quantised, whole)
    told = folder / NOISE
    atomic_write_text(told, json.dumps(noise(prepared, quantised, Reader(source, windows[:LISTENED]), folder)))
    return {FILE: whole, NOISE: told}


def noise(exact: Path, quantised: Path, windows: Reader, folder: Path) -> dict[str, float]:
    """How far each value of the network is above the error that 8 bits bring into it, in dB, by its name in the file.

    All that lies before a value counts: the number falls where a layer loses most.
    """
    inputs = list(windows.inputs)
    powers: dict[str, list[np.ndarray]] = {}
    for path in (exact, quantised):
        opened = folder / f"opened-{path.name}"
        qdq_loss_debug.modify_model_output_intermediate_tensors(str(path), str(opened))
        again = Reader.of(inputs)
        for name, values in qdq_loss_debug.collect_activations(str(opened), again).items():
            powers.setdefault(name, []).append(np.concatenate([value.ravel() for value in values]).astype(np.float64))
    found = {}
    for name, both in powers.items():
        if len(both) == 2 and both[0].shape == both[1].shape and both[0].any():
            error = np.square(both[0] - both[1]).sum()
            decibels = 10 * np.log10(np.square(both[0]).sum() / error) if error else 200.0
            found[f"network/{name}"] = round(float(decibels), 1)
    return found


def stays_float(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that are not quantised."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    chosen, behind = [], set()
    for node in graph.node:
        groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
        one_channel = (
            node.op_type == "Conv" and groups == 1 and node.input[1] in weights and weights[node.input[1]][1] == 1
        )
        follows = node.op_type in BEHIND and node.input[0] in behind
        if one_channel or follows:
            behind.update(node.output)
        if one_channel or follows or node.op_type in FLOAT:
            chosen.append(node.name)
    return chosen


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
