"""A TFLite network for one window becomes one for a stream: it keeps the window's frames in a variable of its own.

    new frames ─► variable: oldest frames out, new ones in ─► the network as it was ─► one probability as uint8

Each call takes the next few frames and answers for the window that ends with them. Features and probability have the
steps that ESPHome's component micro_wake_word gives and takes: int8 with 666 / 256 steps of the audio front end, and
uint8 with 1 / 256. The component registers the operators of `REGISTERED`, and no others.

Reference: esphome/components/micro_wake_word/streaming_model.cpp and micro_wake_word.cpp, as of 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from earnest.errors import BundleError, MissingExtra
from earnest.frontends.micro_frontend import STEP

FEATURE_SCALE, FEATURE_ZERO = 666 / 256 * STEP, -128
SCORE_SCALE, SCORE_ZERO = 1 / 256, 0
REGISTERED = frozenset(
    (
        *("CALL_ONCE", "VAR_HANDLE", "RESHAPE", "READ_VARIABLE", "STRIDED_SLICE", "CONCATENATION", "ASSIGN_VARIABLE"),
        *("CONV_2D", "MUL", "ADD", "MEAN", "FULLY_CONNECTED", "LOGISTIC", "QUANTIZE", "DEPTHWISE_CONV_2D"),
        *("AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "PACK", "SPLIT_V"),
    )
)
VARIABLE = "frames"


def in_stream(model: bytes, new_frames: int) -> bytes:
    """A file that takes `new_frames` frames at a time, of one that takes a whole window.

    Parameters
    ----------
    model : a TFLite file with one graph, from int8 features (1, frames, bands) to an int8 probability (1, 1).
    new_frames : how many frames each call brings, at most the window's.

    Raises
    ------
    BundleError : the file has another form.
    MissingExtra : the schema of TFLite is not installed.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as missing:
        raise MissingExtra("ai-edge-litert", "edge", "A wake word for microcontrollers") from missing
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    (graph,) = tree.subgraphs
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise BundleError("a wake word in a stream has one input and one output.", "Choose a model with one channel.")
    taken, given = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    _, frames, bands = (int(size) for size in taken.shape)
    if not 1 <= new_frames <= frames:
        raise BundleError(f"{new_frames} new frames do not fit a window of {frames}.", "Set a shorter clips.hop_s.")
    _untranspose(schema, tree, graph)
    draw = Draft(schema, tree)
    window = (1, frames, bands)
    fresh = draw.tensor(graph, "new_frames", (1, new_frames, bands), "INT8", FEATURE_SCALE, FEATURE_ZERO)
    handle = draw.tensor(graph, "variable", (), "RESOURCE")
    old = draw.tensor(graph, "old_frames", window, "INT8", FEATURE_SCALE, FEATURE_ZERO)
    longer = draw.tensor(graph, "all_frames", (1, frames + new_frames, bands), "INT8", FEATURE_SCALE, FEATURE_ZERO)
    kept = draw.tensor(graph, "window", window, "INT8", FEATURE_SCALE, FEATURE_ZERO)
    ends = [
        draw.constant(graph, name, np.array(values, np.int32))
        for name, values in (("from", (0, new_frames, 0)), ("to", (1, frames + new_frames, bands)), ("by", (1, 1, 1)))
    ]
    score = draw.tensor(graph, "probability", (1, 1), "UINT8", SCORE_SCALE, SCORE_ZERO)
    before = [
        draw.operator("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1),
        draw.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName=VARIABLE),
        draw.operator("READ_VARIABLE", [handle], [old], "ReadVariableOptions"),
        draw.operator("CONCATENATION", [old, fresh], [longer], "ConcatenationOptions", axis=1),
        draw.operator("STRIDED_SLICE", [longer, *ends], [kept], "StridedSliceOptions"),
        draw.operator("ASSIGN_VARIABLE", [handle, kept], [], "AssignVariableOptions"),
        draw.operator("QUANTIZE", [kept], [int(graph.inputs[0])], "QuantizeOptions"),
    ]
    after = draw.operator("QUANTIZE", [int(graph.outputs[0])], [score], "QuantizeOptions")
    if [int(size) for size in given.shape] != [1, 1]:
        raise BundleError(f"a wake word gives one probability, not {list(given.shape)}.", "Choose two classes.")
    graph.operators = [*before, *graph.operators, after]
    graph.inputs, graph.outputs = np.array([fresh], np.int32), np.array([score], np.int32)
    tree.subgraphs.append(_begin(schema, draw, window))
    tree.signatureDefs = []  # of the window; the ends are others now
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _untranspose(schema: Any, tree: Any, graph: Any) -> None:
    """Transpositions in front of a mean give their order to its axes: the component has means, but not those."""
    kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in tree.operatorCodes]
    transpose, mean = schema.BuiltinOperator.TRANSPOSE, schema.BuiltinOperator.MEAN

    def numbers(tensor: int) -> np.ndarray:
        return np.frombuffer(bytes(tree.buffers[graph.tensors[tensor].buffer].data), np.int32)

    for node in [node for node in graph.operators if kinds[node.opcodeIndex] == transpose]:
        readers = [other for other in graph.operators if node.outputs[0] in other.inputs]
        if len(readers) != 1 or kinds[readers[0].opcodeIndex] != mean or readers[0].builtinOptions.keepDims:
            continue
        axes = Draft(schema, tree).constant(
            graph, "axes", np.sort(numbers(node.inputs[1])[numbers(readers[0].inputs[1])]).astype(np.int32)
        )
        readers[0].inputs = np.array([node.inputs[0], axes], np.int32)
        graph.operators.remove(node)
    used = sorted({node.opcodeIndex for node in graph.operators})
    tree.operatorCodes = [tree.operatorCodes[number] for number in used]
    for node in graph.operators:
        node.opcodeIndex = used.index(node.opcodeIndex)


def _begin(schema: Any, draw: Draft, window: tuple[int, ...]) -> Any:
    """The graph that is called once: the variable holds silence."""
    graph = schema.SubGraphT()
    graph.name, graph.tensors = "begin", []
    graph.inputs = graph.outputs = np.array([], np.int32)
    handle = draw.tensor(graph, "variable", (), "RESOURCE")
    silence = draw.constant(graph, "silence", np.full(window, FEATURE_ZERO, np.int8), FEATURE_SCALE, FEATURE_ZERO)
    graph.operators = [
        draw.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName=VARIABLE),
        draw.operator("ASSIGN_VARIABLE", [handle, silence], [], "AssignVariableOptions"),
    ]
    return graph


class Draft:
    """Adds tensors and operators to a model that is being changed; tensors are told by their number in their graph."""

    def __init__(self, schema: Any, tree: Any) -> None:
        self.schema = schema
        self.tree = tree

    def tensor(
        self, graph: Any, name: str, shape: Sequence[int], kind: str, scale: float = 0.0, zero: int = 0, buffer: int = 0
    ) -> int:
        """A tensor; a scale of 0 is that of no numbers."""
        made = self.schema.TensorT()
        made.name, made.buffer = name, buffer
        made.type = getattr(self.schema.TensorType, kind)
        made.shape = np.array(shape, np.int32)
        if scale:
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale = np.array([scale], np.float32)
            made.quantization.zeroPoint = np.array([zero], np.int64)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def constant(self, graph: Any, name: str, values: np.ndarray, scale: float = 0.0, zero: int = 0) -> int:
        """A tensor with values of its own."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.tree.buffers.append(buffer)
        kind = {"int8": "INT8", "int32": "INT32"}[values.dtype.name]
        return self.tensor(graph, name, values.shape, kind, scale, zero, len(self.tree.buffers) - 1)

    def operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options: str, **numbers: Any) -> Any:
        """An operator with its options."""
        schema = self.schema
        made = schema.OperatorT()
        made.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind))
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        made.builtinOptions = getattr(schema, f"{options}T")()
        for name, value in numbers.items():
            setattr(made.builtinOptions, name, value)
        return made

    def _code(self, builtin: int) -> int:
        """The number of an operator's kind in the model, which is added if it is new."""
        for number, code in enumerate(self.tree.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return number
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self.tree.operatorCodes.append(code)
        return len(self.tree.operatorCodes) - 1
