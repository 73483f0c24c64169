"""What a model file is made of: every operation with its shapes, parameters, multiply-adds and memory.

Sizes are those of one window at a batch of one. Multiply-adds are counted for convolutions, matrix products and
recurrent layers, which are nearly all of the arithmetic; memory is that of an operation's outputs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from earnest.errors import BundleError
from earnest.runtime.bundle import Bundle

NOISE = ".noise.json"
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FORMS = ("DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Reshape", "Unsqueeze", "Identity")
QUIET = ("Constant", "Identity", "QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Layer:
    """One operation.

    Attributes
    ----------
    name, operator, output : of the graph's node; `output` is its first value.
    shape : of its first output; an axis that is not known is 0.
    parameters : numbers in its weights.
    multiply_adds : for one window.
    bytes : of its outputs.
    """

    name: str
    operator: str
    output: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    bytes: int


def layers(path: Path, samples: int) -> list[Layer]:
    """The operations of a bundle's ONNX file, in order; those that only pass values on are left out.

    Parameters
    ----------
    path : an ONNX file that takes `audio` (batch, samples), and maybe a state.
    samples : the length of a window.

    Raises
    ------
    BundleError : the file is no ONNX model.
    """
    try:
        model = onnx.load(path)
    except (OSError, ValueError, DecodeError) as problem:
        raise BundleError(f"{path} cannot be read as ONNX: {problem}.") from problem
    for axis, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, samples), strict=True):
        axis.dim_value = size
    del model.graph.value_info[:]  # sizes with names; they follow from the input's
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    values = (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input)
    shapes = {value.name: _sizes(value) for value in values}
    if any(0 in shapes.get(node.output[0], (0,)) for node in inferred.graph.node):
        shapes |= _measured(model)
    widths = {value.name: _width(value.type.tensor_type.elem_type) for value in values}
    weights = {tensor.name: tuple(tensor.dims) for tensor in inferred.graph.initializer}
    passed = _passed_on(inferred.graph, weights)
    found = []
    for node in inferred.graph.node:
        if node.op_type in QUIET or node.output[0] in passed:
            continue
        inputs = [passed.get(name, name) for name in node.input]
        own = [weights[name] for name in inputs if name in weights]
        shape = shapes.get(node.output[0], ())
        known = {name: shapes.get(name) or weights.get(name, ()) for name in inputs}
        found.append(
            Layer(
                node.name or node.output[0],
                node.op_type,
                node.output[0],
                shape,
                sum(math.prod(size) for size in own),
                _multiply_adds(node, [known[name] for name in inputs], shape),
                sum(math.prod(shapes.get(name, ())) * widths.get(name, 4) for name in node.output if name),
            )
        )
    return found


def told(bundle: Bundle, file: str) -> list[dict[str, Any]]:
    """The operations of a bundle's ONNX file as plain values, with `noise_db` where the bundle knows it.

    `noise_db` says how far an operation's output stands above the error that 8 bits brought into it.

    Raises
    ------
    BundleError : the file is no ONNX model.
    """
    noted = file.replace(".onnx", NOISE)
    noise = json.loads(bundle.path(noted).read_text(encoding="utf-8")) if noted in bundle.files else {}
    found = layers(bundle.path(file), bundle.window_samples)
    return [{**vars(layer), "noise_db": noise.get(layer.output)} for layer in found]


def _measured(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The sizes of all values, seen while the model runs once on silence: for those that no rule derives."""
    model.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in model.graph.node for name in node.output if name
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {value.name: np.zeros([size or 1 for size in _sizes(value)], _type(value)) for value in model.graph.input}
    names = [value.name for value in session.get_outputs()]
    return {name: np.shape(value) for name, value in zip(names, session.run(names, feeds), strict=True)}


def _type(value: onnx.ValueInfoProto) -> np.dtype[Any]:
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _passed_on(graph: onnx.GraphProto, weights: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Value → the weight that it holds in another form: dequantised, of another precision, transposed or reshaped."""
    passed: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in FORMS:
            source = passed.get(node.input[0], node.input[0])
            if source in weights:
                passed[node.output[0]] = source
    return passed


def _multiply_adds(node: onnx.NodeProto, inputs: list[tuple[int, ...]], shape: tuple[int, ...]) -> int:
    if node.op_type in ("Conv", "ConvTranspose"):
        return math.prod(shape) * math.prod(inputs[1][1:])
    if node.op_type in ("Gemm", "MatMul") and inputs[0]:
        transposed = any(entry.name == "transA" and entry.i for entry in node.attribute)
        return math.prod(shape) * inputs[0][0 if transposed else -1]
    if node.op_type in GATES and len(inputs[0]) == 3:
        steps, batch, width = inputs[0]
        directions, gates_hidden, _ = inputs[1]
        hidden = gates_hidden // GATES[node.op_type]
        return steps * batch * directions * gates_hidden * (width + hidden)
    return 0


def _sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)


def _width(kind: int) -> int:
    return int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize) if kind else 4
