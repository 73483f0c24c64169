"""A network of convolutions along time as TFLite for a stream: each convolution keeps the frames that it needs again.

    new frames ─► [variable + new ─► convolution ─► answer] × n ─► mean ─► dense ─► largest ─► probability

Each call takes `stride` new frames and computes one new answer of every layer; nothing is computed twice. The file is
written operator by operator, in 8 bits: weights symmetric with one scale per channel, activations with ranges measured
on training windows and cut to the least squared error (`earnest.shipping.eightbit`). The ends are those of ESPHome's
component micro_wake_word, as in `earnest.shipping.micro_stream`, and so are the operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from earnest.errors import MissingExtra
from earnest.models.mixednet import Stage
from earnest.shipping.eightbit import BINS, LEVELS, in_one_piece, least_error
from earnest.shipping.micro_stream import FEATURE_SCALE, FEATURE_ZERO, SCORE_SCALE, SCORE_ZERO, Draft

MOST_VARIABLES = 20  # that the component makes room for
WEIGHT_LEVELS = 127
VALID = "VALID"


class Layered(Protocol):
    """A network that tells its layers; see `earnest.models.mixednet`."""

    stride: int
    unused: int
    averaged: int
    output: torch.nn.Linear

    def stages(self) -> list[Stage]:
        """The convolutions in their order."""


@dataclass(frozen=True)
class Steps:
    """How int8 stands for numbers: (step - zero) × scale."""

    scale: float
    zero: int

    @classmethod
    def of(cls, values: np.ndarray) -> Steps:
        """The steps that keep these values, and zero, with the least squared error."""
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        if low == high:
            return cls(1.0, 0)
        low, high = least_error(np.histogram(values, BINS, (low, high))[0].astype(np.float64), low, high)
        scale = (high - low) / LEVELS
        return cls(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def has_layers(model: torch.nn.Module) -> bool:
    """Whether a network can be written layer by layer."""
    return hasattr(model, "stages")


def normalising(stages: Sequence[Stage], gain: torch.Tensor, shift: torch.Tensor) -> list[Stage]:
    """The same layers for features that are not yet normalised: x · gain + shift goes into the first one."""
    first, *rest = stages
    bias = (first.weight.sum(dim=2) * shift).sum(dim=1)
    if first.bias is not None:
        bias = bias + first.bias
    return [Stage(first.weight * gain[:, None], bias, first.stride, first.depthwise, first.rectified), *rest]


def in_layers(model: Layered, gain: torch.Tensor, shift: torch.Tensor, word: int, windows: np.ndarray) -> bytes:
    """The file for a stream.

    The dense layer says how far each other class lies above the word, and the probability is the logistic function of
    the largest of these, negated: that of the word against its strongest rival.

    Parameters
    ----------
    model : in evaluation mode, with two outputs or more.
    gain, shift : of the normaliser, (bands,): x · gain + shift.
    word : which output is the word.
    windows : features of training windows as the device has them, (windows, frames, bands).

    Raises
    ------
    MissingExtra : the schema of TFLite is not installed.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as missing:
        raise MissingExtra("ai-edge-litert", "edge", "A wake word for microcontrollers") from missing
    with torch.no_grad():
        stages = normalising(model.stages(), gain, shift)
        rivals = torch.arange(len(model.output.bias)) != word
        above = model.output.weight[rivals] - model.output.weight[word]
        offsets = model.output.bias[rivals] - model.output.bias[word]
        sequence = torch.from_numpy(windows)[:, model.unused :].transpose(1, 2)
        writer = _Writer(schema, model.stride, windows.shape[2])
        for stage in stages:
            sequence = stage(sequence)
            writer.convolution(stage, Steps.of(sequence.numpy()))
        newest = sequence.unfold(2, model.averaged, 1).mean(dim=3).squeeze(2)
        writer.mean(model.averaged, Steps.of(newest.numpy()))
        largest = (newest @ above.T + offsets).amax(dim=1)
        writer.probability(above.numpy(), offsets.numpy(), Steps.of(largest.numpy()))
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(writer.tree.Pack(builder), b"TFL3")
    return in_one_piece(bytes(builder.Output()))


class _Writer:
    """The file as it grows; `at` is the tensor that the next layer takes, (1, frames, 1, channels)."""

    def __init__(self, schema: Any, new_frames: int, bands: int) -> None:
        self.schema = schema
        self.tree, self.graph, self.begin = schema.ModelT(), schema.SubGraphT(), schema.SubGraphT()
        self.tree.version, self.tree.description = 3, "earnest"
        self.tree.operatorCodes, self.tree.buffers = [], [schema.BufferT()]
        self.tree.subgraphs = [self.graph, self.begin]
        for graph, name in ((self.graph, "main"), (self.begin, "begin")):
            graph.name, graph.tensors, graph.operators = name, [], []
            graph.inputs = graph.outputs = np.array([], np.int32)
        self.draw = Draft(schema, self.tree)
        self.steps = Steps(FEATURE_SCALE, FEATURE_ZERO)
        self.frames, self.channels, self.variables = new_frames, bands, 0
        self.graph.operators.append(self.draw.operator("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1))
        fresh = self.tensor("new_frames", (1, new_frames, bands))
        self.graph.inputs = np.array([fresh], np.int32)
        self.at = self.tensor("image", (1, new_frames, 1, bands))
        self._reshape(fresh, self.at, (1, new_frames, 1, bands))

    def tensor(self, name: str, shape: Sequence[int]) -> int:
        """An int8 tensor with the steps of now."""
        return self.draw.tensor(self.graph, name, shape, "INT8", self.steps.scale, self.steps.zero)

    def add(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], options: str, **numbers: Any) -> None:
        """An operator behind all others."""
        self.graph.operators.append(self.draw.operator(kind, inputs, outputs, options, **numbers))

    def remember(self, frames: int) -> None:
        """Put the last `frames` frames of earlier calls in front of the new ones, and keep the newest for the next."""
        if not frames:
            return
        name, shape = f"frames_{self.variables}", (1, frames, 1, self.channels)
        self.variables += 1
        handle, old = self.draw.tensor(self.graph, name, (), "RESOURCE"), self.tensor(f"{name}_old", shape)
        together = frames + self.frames
        longer = self.tensor(f"{name}_all", (1, together, 1, self.channels))
        kept = self.tensor(f"{name}_kept", shape)
        ends = [
            self.draw.constant(self.graph, f"{name}_{end}", np.array(values, np.int32))
            for end, values in (
                ("from", (0, self.frames, 0, 0)),
                ("to", (1, together, 1, self.channels)),
                ("by", (1, 1, 1, 1)),
            )
        ]
        self.add("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName=name)
        self.add("READ_VARIABLE", [handle], [old], "ReadVariableOptions")
        self.add("CONCATENATION", [old, self.at], [longer], "ConcatenationOptions", axis=1)
        self.add("STRIDED_SLICE", [longer, *ends], [kept], "StridedSliceOptions")
        self.add("ASSIGN_VARIABLE", [handle, kept], [], "AssignVariableOptions")
        self._begin_with(name, shape)
        self.at, self.frames = longer, together

    def _begin_with(self, name: str, shape: Sequence[int]) -> None:
        """Before the first call a variable holds zeros."""
        handle = self.draw.tensor(self.begin, name, (), "RESOURCE")
        zeros = self.draw.constant(
            self.begin, f"{name}_zeros", np.full(shape, self.steps.zero, np.int8), self.steps.scale, self.steps.zero
        )
        self.begin.operators += [
            self.draw.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName=name),
            self.draw.operator("ASSIGN_VARIABLE", [handle, zeros], [], "AssignVariableOptions"),
        ]

    def convolution(self, stage: Stage, steps: Steps) -> None:
        """A convolution with its ReLU; its answers get `steps`."""
        self.remember(stage.kernel - self.frames)
        weight = stage.weight.numpy()  # (after, before, kernel)
        after = len(weight)
        # TFLite: (after, kernel, 1, before), or (1, kernel, 1, channels) for a depthwise one.
        order = (1, 2, 0) if stage.depthwise else (0, 2, 1)
        shaped = np.expand_dims(weight.transpose(order), 2)
        bias = np.zeros(after, np.float32) if stage.bias is None else stage.bias.numpy()
        scales = np.maximum(np.abs(weight).max(axis=(1, 2)), 1e-9) / WEIGHT_LEVELS
        numbers = self._weights(shaped, bias, scales, axis=3 if stage.depthwise else 0)
        kind = "DEPTHWISE_CONV_2D" if stage.depthwise else "CONV_2D"
        options: dict[str, Any] = {"depthMultiplier": 1} if stage.depthwise else {}
        activation = self.schema.ActivationFunctionType
        options |= {
            "padding": getattr(self.schema.Padding, VALID),
            "strideH": stage.stride,
            "strideW": 1,
            "dilationHFactor": 1,
            "dilationWFactor": 1,
            "fusedActivationFunction": activation.RELU if stage.rectified else activation.NONE,
        }
        source, self.steps = self.at, steps
        self.frames, self.channels = (self.frames - stage.kernel) // stage.stride + 1, after
        self.at = self.tensor("answer", (1, self.frames, 1, after))
        name = "DepthwiseConv2DOptions" if stage.depthwise else "Conv2DOptions"
        self.add(kind, [source, *numbers], [self.at], name, **options)

    def _weights(self, weight: np.ndarray, bias: np.ndarray, scales: np.ndarray, axis: int) -> tuple[int, int]:
        """Weights and bias as constants, with one scale for each place along an axis of the weights."""
        along = [1] * weight.ndim
        along[axis] = len(scales)
        whole = np.rint(weight / scales.reshape(along)).astype(np.int8)
        weights = self.draw.constant(self.graph, "weights", whole, 1.0)
        products = scales * self.steps.scale
        biases = self.draw.constant(self.graph, "bias", np.rint(bias / products).astype(np.int32), 1.0)
        for tensor, values, dimension in ((weights, scales, axis), (biases, products, 0)):
            told = self.graph.tensors[tensor].quantization
            told.scale, told.quantizedDimension = values.astype(np.float32), dimension
            told.zeroPoint = np.zeros(len(values), np.int64)
        return weights, biases

    def mean(self, frames: int, steps: Steps) -> None:
        """The mean of the newest `frames` answers."""
        self.remember(frames - self.frames)
        source, self.steps = self.at, steps
        axes = self.draw.constant(self.graph, "axes", np.array((1, 2), np.int32))
        self.at = self.tensor("mean", (1, self.channels))
        self.add("MEAN", [source, axes], [self.at], "ReducerOptions", keepDims=False)

    def probability(self, weight: np.ndarray, bias: np.ndarray, steps: Steps) -> None:
        """A dense layer (rivals, channels), the largest of its answers, and its logistic function, negated: the end."""
        rivals = len(bias)
        scale = np.array([max(float(np.abs(weight).max()), 1e-9) / WEIGHT_LEVELS])
        numbers = self._weights(weight, bias, scale, axis=0)
        source, self.steps = self.at, steps
        above = self.tensor("above", (1, rivals))
        self.add("FULLY_CONNECTED", [source, *numbers], [above], "FullyConnectedOptions")
        if rivals > 1:
            above = self._largest(above, rivals)
        minus = self._weights(np.array([[-1.0]]), np.zeros(1), np.array([1 / WEIGHT_LEVELS]), axis=0)
        self.steps = Steps(steps.scale, -1 - steps.zero)  # the same range, turned round
        logit = self.tensor("logit", (1, 1))
        self.add("FULLY_CONNECTED", [above, *minus], [logit], "FullyConnectedOptions")
        self.steps = Steps(SCORE_SCALE, -128)  # what the operator demands
        signed = self.tensor("signed", (1, 1))
        self.add("LOGISTIC", [logit], [signed], "AbsOptions")
        self.graph.operators[-1].builtinOptionsType, self.graph.operators[-1].builtinOptions = 0, None  # it has none
        score = self.draw.tensor(self.graph, "probability", (1, 1), "UINT8", SCORE_SCALE, SCORE_ZERO)
        self.add("QUANTIZE", [signed], [score], "QuantizeOptions")
        self.graph.outputs = np.array([score], np.int32)

    def _largest(self, row: int, length: int) -> int:
        """The largest number of a row (1, length), as (1, 1)."""
        image, largest = self.tensor("column", (1, length, 1, 1)), self.tensor("largest", (1, 1, 1, 1))
        alone = self.tensor("alone", (1, 1))
        self._reshape(row, image, (1, length, 1, 1))
        window = {"filterHeight": length, "filterWidth": 1, "strideH": 1, "strideW": 1}
        padding = getattr(self.schema.Padding, VALID)
        self.add("MAX_POOL_2D", [image], [largest], "Pool2DOptions", padding=padding, **window)
        self._reshape(largest, alone, (1, 1))
        return alone

    def _reshape(self, source: int, target: int, shape: Sequence[int]) -> None:
        numbers = self.draw.constant(self.graph, "shape", np.array(shape, np.int32))
        self.add("RESHAPE", [source, numbers], [target], "ReshapeOptions", newShape=np.array(shape))
