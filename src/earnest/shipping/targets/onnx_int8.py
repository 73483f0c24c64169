"""`model.int8.onnx`: ONNX with weights and activations in 8 bits, for ONNX Runtime on any processor.

Static quantisation with QDQ nodes: weights symmetric, one scale per output channel, with seven bits, so that sums do
not overflow on processors without VNNI; activations with one scale and zero point per tensor, from the smallest and
largest value that training clips give. In float32 stay the front end, whose logarithm needs it; sums, products (also
matrix products of two activations, as in attention) and curves (softmax, sigmoid, tanh), which lose more than they
gain; and a first convolution over one channel, which ONNX Runtime computes faster so. Some networks make the error of
their first layers larger and larger: where the scores of training clips are not 20 dB above the error that 8 bits
bring, further first layers stay in float32 until they are. They are most of the time and little of the size, and what
they lose is lost for all that follow.
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
from earnest.runtime.engines.onnx import open_session
from earnest.shipping.join import join_in_line
from earnest.shipping.simplify import fold_constants, plain_forms
from earnest.shipping.source import Source

FILE = "model.int8.onnx"
NOISE = "model.int8.noise.json"
SUMMARY = "ONNX, weights and activations in 8 bits"
FLOAT = ("Softmax", "Sigmoid", "Tanh", "Mul", "Add")
BEHIND = ("Relu", "MaxPool", "AveragePool")  # what stays in float32 with the convolution that it follows
LISTENED = 16  # windows over which the noise is measured
AT_ONCE = 64  # values of the network that are kept at once for that: all of a deep scan's would not fit in memory
TRIED = 32  # windows over which the error of the scores is measured
LEAST_DB = 20.0  # from the scores' deviation over windows down to their error
SAVED = "_ReshapedSavedOutput"  # how qdq_loss_debug marks a value that it makes an output
BACK = "_DequantizeLinear_Output"  # how the quantiser marks one that comes back from 8 bits
FIRST = (0, 1, 2, 4, 8, 16)  # how many of the first layers with weights stay in float32
LAYERS = ("Conv", "Gemm", "MatMul")


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Gives the network's inputs for one window after the other."""

    def __init__(self, inputs: Sequence[dict[str, np.ndarray]]) -> None:
        self.inputs = iter(inputs)

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
    features = (source.features(torch.from_numpy(window)[None]) for window in windows)
    inputs = [{name: value.numpy() for name, value in zip(source.names(), one, strict=True)} for one in features]
    layers = layers_to_quantise(onnx.load(prepared).graph)
    for count in FIRST:
        quantise(prepared, quantised, inputs, layers[:count])
        enough = scores_above_error(prepared, quantised, inputs[:TRIED]) >= LEAST_DB
        if enough or 2 * count >= len(layers):
            break
    join_in_line(head, quantised, whole)
    told = folder / NOISE
    atomic_write_text(told, json.dumps(noise(prepared, quantised, inputs[:LISTENED], folder)))
    return {FILE: whole, NOISE: told}


def quantise(exact: Path, out: Path, inputs: Sequence[dict[str, np.ndarray]], exempt: Sequence[str]) -> None:
    """Write a network in 8 bits, all but some of its layers and what stands in front of the last of them.

    Raises
    ------
    BundleError : ONNX Runtime cannot quantise it.
    """
    graph = onnx.load(exact).graph
    try:
        with quiet():
            quantization.quantize_static(
                str(exact),
                str(out),
                Reader(inputs),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=[*stays_float(graph), *up_to(graph, exempt)],
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError, onnx.checker.ValidationError) as problem:
        raise BundleError(f"onnxruntime cannot quantise this network: {problem}") from problem


def scores_above_error(exact: Path, quantised: Path, inputs: Sequence[dict[str, np.ndarray]]) -> float:
    """How far the deviation of a network's scores over windows is above their error in 8 bits, in dB."""
    sessions = [open_session(path, 1) for path in (exact, quantised)]
    right, given = (np.concatenate([session.run(None, one)[0] for one in inputs]) for session in sessions)
    error = float(np.square(right - given).sum())
    deviation = float(np.square(right - right.mean(axis=0)).sum())
    return 10 * np.log10(deviation / error) if error and deviation else np.inf


def noise(exact: Path, quantised: Path, inputs: Sequence[dict[str, np.ndarray]], folder: Path) -> dict[str, float]:
    """How far each value of the network is above the error that 8 bits bring into it, in dB, by its name in the file.

    All that lies before a value counts: the number falls where a layer loses most.
    """
    sessions = []
    for path in (exact, quantised):
        opened = folder / f"opened-{path.name}"
        qdq_loss_debug.modify_model_output_intermediate_tensors(str(path), str(opened))
        sessions.append(open_session(opened, 1))
    known, found = ({value.name for value in session.get_outputs()} for session in sessions)
    pairs = []
    for name in sorted(known):
        # A value in 8 bits is what comes back from them: a rectifier that the step to 8 bits does by itself is gone.
        twin = next((one for one in (name.removesuffix(SAVED) + BACK + SAVED, name) if one in found), None)
        if name.endswith(SAVED) and twin:
            pairs.append((name, twin))
    powers, errors = np.zeros(len(pairs)), np.zeros(len(pairs))
    for one in inputs:
        for start in range(0, len(pairs), AT_ONCE):
            names = zip(*pairs[start : start + AT_ONCE], strict=True)  # those of the one network, of the other
            values = (session.run(list(own), one) for session, own in zip(sessions, names, strict=True))
            for place, (right, given) in enumerate(zip(*values, strict=True), start):
                powers[place] += np.square(right, dtype=np.float64).sum()
                errors[place] += np.square(right - given, dtype=np.float64).sum()
    return {
        f"network/{name.removesuffix(SAVED)}": round(float(10 * np.log10(power / error)), 1) if error else 200.0
        for (name, _), power, error in zip(pairs, powers, errors, strict=True)
        if power
    }


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
        of_activations = node.op_type == "MatMul" and not weights.keys() & set(node.input)
        if one_channel or follows:
            behind.update(node.output)
        if one_channel or follows or of_activations or node.op_type in FLOAT:
            chosen.append(node.name)
    return chosen


def layers_to_quantise(graph: onnx.GraphProto) -> list[str]:
    """Names of the layers with weights that do not stay in float32, in order."""
    weights, left = {tensor.name for tensor in graph.initializer}, set(stays_float(graph))
    return [
        node.name
        for node in graph.node
        if node.op_type in LAYERS and node.input[1] in weights and node.name not in left
    ]


def up_to(graph: onnx.GraphProto, layers: Sequence[str]) -> list[str]:
    """Names of the nodes up to the last of some layers."""
    names = [node.name for node in graph.node]
    return names[: names.index(layers[-1]) + 1] if layers else []


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
