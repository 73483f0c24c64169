"""Files of TensorFlow Lite Micro (`.tflm.tflite`), int8 features in, run by the interpreter of microcontrollers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest._decoding.chatter import STDERR, squeeze
from earnest.errors import BundleError, MissingExtra
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.onnx import FrontEnd, first_line
from earnest.runtime.engines.tflite import filled

FACTS = "model.tflm.json"
SPARE = 64 << 10  # bytes beyond what this model needed: another version may need more, and crash where it lacks some
_AGAIN = "Make the bundle again with `earnest export`."


class Engine:
    """A bundle's file for TensorFlow Lite Micro, and the front end before it, from audio to scores.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : tflite-micro is not installed (there are wheels for Linux on x86-64).
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        place = bundle.path(FACTS)
        try:
            facts = json.loads(place.read_text(encoding="utf-8"))
            arena, inputs = int(facts["arena_bytes"]), len(facts["inputs"])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise BundleError(f"{place} does not tell the size of the arena: {problem}.", _AGAIN) from problem
        self._path = bundle.path(model)
        self._samples = bundle.window_samples
        self._frontend = FrontEnd(bundle.path(FRONTEND), threads)
        self._network = Micro(self._path.read_bytes(), arena + SPARE, str(self._path), inputs)
        if self._network.labels != len(bundle.labels):
            raise BundleError(
                f"{self._path} gives {self._network.labels} scores, and the bundle names {len(bundle.labels)} labels.",
                _AGAIN,
            )

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,)."""
        return self._network(self._frontend(filled(audio, self._samples)))


class Micro:
    """A model in the interpreter of TensorFlow Lite Micro.

    Parameters
    ----------
    model : the file's bytes.
    arena_bytes : memory for all that it computes.
    name : what to call it in messages.
    inputs : how many it has, one for each channel of features.

    Attributes
    ----------
    inputs, output : shape, scale and zero point of each end, all of them int8.
    labels : how many scores it gives.

    Raises
    ------
    BundleError : an operator is lacking (it is named), or the arena is too small; a much too small one may crash the
        process, which is a fault of the interpreter.
    MissingExtra : tflite-micro is not installed.
    """

    def __init__(self, model: bytes, arena_bytes: int, name: str, inputs: int = 1) -> None:
        try:
            from tflite_micro import runtime
        except ImportError as missing:
            raise MissingExtra("tflite-micro", "edge", f"Running {name}") from missing
        self._name = name
        said: list[str] = []
        try:
            with STDERR.captured(said):  # the reason of a failure is told there only
                self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        except (RuntimeError, ValueError) as problem:
            raise BundleError(
                f"TensorFlow Lite Micro cannot hold {name}: {squeeze(said) or first_line(problem)}",
                "Choose another model, or another kind of file.",
            ) from problem
        self.inputs = [_end(self._interpreter.get_input_details(number)) for number in range(inputs)]
        self.output = _end(self._interpreter.get_output_details(0))
        self.labels = int(self.output["shape"][-1])

    def __call__(self, features: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of normalised features (1, frames, bands), one array for each channel.

        Raises
        ------
        BundleError : the model fails on this input.
        """
        said: list[str] = []
        try:
            with STDERR.captured(said):
                for number, (values, end) in enumerate(zip(features, self.inputs, strict=True)):
                    self._interpreter.set_input(encoded(values, end), number)
                self._interpreter.invoke()
        except (RuntimeError, ValueError) as problem:
            raise BundleError(f"{self._name} failed: {squeeze(said) or first_line(problem)}", _AGAIN) from problem
        return decoded(self._interpreter.get_output(0)[0], self.output)

    def allocations(self) -> list[str]:
        """What the interpreter tells of its arena, line by line."""
        said: list[str] = []
        with STDERR.captured(said):
            self._interpreter.print_allocations()
        return said


def _end(told: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an input or output, as plain values."""
    numbers = told["quantization_parameters"]
    return {
        "shape": [int(size) for size in told["shape"]],
        "scale": float(numbers["scales"][0]),
        "zero_point": int(numbers["zero_points"][0]),
    }


def encoded(values: npt.NDArray[np.float32], end: Mapping[str, Any]) -> npt.NDArray[np.int8]:
    """Values as an input of a model takes them: rounded to its steps, cut off at the ends of int8."""
    steps = np.rint(values / np.float32(end["scale"])) + end["zero_point"]
    row: npt.NDArray[np.int8] = np.clip(steps, -128, 127).astype(np.int8)
    return row


def decoded(steps: npt.NDArray[np.int8], end: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """What the steps of a model's output stand for."""
    values: npt.NDArray[np.float32] = (steps.astype(np.float32) - end["zero_point"]) * np.float32(end["scale"])
    return values
