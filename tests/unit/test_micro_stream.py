"""A network that keeps its own window: fed frame by frame it answers as for the whole window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from earnest.errors import BundleError
from earnest.shipping import micro
from earnest.shipping.micro_stream import FEATURE_SCALE, FEATURE_ZERO, REGISTERED, Draft, in_stream

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the extra [edge]")
flatbuffers = pytest.importorskip("flatbuffers")

FRAMES, BANDS = 6, 40


def network(transposed: bool = False, outputs: int = 1) -> tuple[bytes, np.ndarray]:
    """A file with one layer on the means of the bands, and its weights: int8 (1, 6, 40) → int8 (1, outputs)."""
    weights = np.random.default_rng(0).integers(-90, 90, (outputs, BANDS)).astype(np.int8)
    tree, graph = schema.ModelT(), schema.SubGraphT()
    tree.version, tree.description, tree.operatorCodes, tree.buffers = 3, "test", [], [schema.BufferT()]
    graph.tensors = []
    draw = Draft(schema, tree)
    taken = draw.tensor(graph, "in", (1, FRAMES, BANDS), "INT8", FEATURE_SCALE, FEATURE_ZERO)
    operators, shown, axis = [], taken, 1
    if transposed:
        order = draw.constant(graph, "order", np.array([0, 2, 1], np.int32))
        shown = draw.tensor(graph, "turned", (1, BANDS, FRAMES), "INT8", FEATURE_SCALE, FEATURE_ZERO)
        operators.append(draw.operator("TRANSPOSE", [taken, order], [shown], "TransposeOptions"))
        axis = 2
    axes = draw.constant(graph, "axes", np.array([axis], np.int32))
    mean = draw.tensor(graph, "mean", (1, BANDS), "INT8", FEATURE_SCALE, FEATURE_ZERO)
    operators.append(draw.operator("MEAN", [shown, axes], [mean], "ReducerOptions", keepDims=False))
    layer = draw.constant(graph, "weights", weights, 0.002)
    logit = draw.tensor(graph, "logit", (1, outputs), "INT8", 0.25, 0)
    operators.append(draw.operator("FULLY_CONNECTED", [mean, layer, -1], [logit], "FullyConnectedOptions"))
    score = draw.tensor(graph, "score", (1, outputs), "INT8", 1 / 256, -128)
    operators.append(draw.operator("LOGISTIC", [logit], [score], "AbsOptions"))
    operators[-1].builtinOptionsType, operators[-1].builtinOptions = 0, None  # it has none
    graph.operators = operators
    graph.inputs, graph.outputs = np.array([taken], np.int32), np.array([score], np.int32)
    tree.subgraphs = [graph]
    builder = flatbuffers.Builder()
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output()), 0.002 * weights.astype(np.float64)


def expected(window: np.ndarray, weights: np.ndarray) -> float:
    return float(1 / (1 + np.exp(-(window.mean(axis=0) @ weights[0]))))


def interpreter(model: bytes) -> Any:
    package = pytest.importorskip("tflite_micro", reason="needs tflite-micro, for Linux on x86-64 only")
    return package.runtime.Interpreter.from_bytes(model, arena_size=1 << 18)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("step", [1, 2, 6])
def test_it_answers_for_the_window_that_ends_with_the_newest_frames(transposed: bool, step: int) -> None:
    model, weights = network(transposed)
    streaming = in_stream(model, step)
    assert set(micro.operators(streaming)) <= REGISTERED
    device = interpreter(streaming)
    steps = np.random.default_rng(1).integers(-128, 128, (24, BANDS)).astype(np.int8)
    heard = np.concatenate([np.full((FRAMES, BANDS), FEATURE_ZERO, np.int8), steps])  # it begins with silence
    for at in range(0, len(steps), step):
        device.set_input(steps[None, at : at + step], 0)
        device.invoke()
        window = FEATURE_SCALE * (heard[at + step : at + step + FRAMES].astype(np.float64) - FEATURE_ZERO)
        answer = device.get_output(0)
        assert answer.dtype == np.uint8
        assert answer.shape == (1, 1)
        assert answer[0, 0] / 256 == pytest.approx(expected(window, weights), abs=0.06)  # logits in steps of 0.25


def test_ends_have_the_steps_of_the_component() -> None:
    device = interpreter(in_stream(network()[0], 2))
    given, score = device.get_input_details(0), device.get_output_details(0)
    assert given["shape"].tolist() == [1, 2, BANDS]
    assert given["quantization_parameters"]["scales"][0] == pytest.approx(666 / 256 * 0.0390625)
    assert given["quantization_parameters"]["zero_points"][0] == -128
    assert score["quantization_parameters"]["scales"][0] == pytest.approx(1 / 256)
    assert score["quantization_parameters"]["zero_points"][0] == 0


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(BundleError, match="7 new frames do not fit a window of 6"):
        in_stream(network()[0], 7)
    with pytest.raises(BundleError, match="one probability"):
        in_stream(network(outputs=3)[0], 2)
