"""Files of TensorFlow Lite (`.tflite`), audio in, run by LiteRT on the processor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earnest._decoding.chatter import STDERR
from earnest.errors import BundleError, MissingExtra
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines.onnx import first_line


class Engine:
    """A bundle's TFLite file from audio to scores.

    The file takes windows of one length. Where the bundle's model takes shorter clips too (`short: keep`), they get
    zeros at their end here, which is not what the scored model saw; `earnest score` tells what that costs.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : ai-edge-litert is not installed.
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as missing:
            raise MissingExtra("ai-edge-litert", "edge", f"Running {model}") from missing
        self._path = bundle.path(model)
        try:
            with STDERR.captured([]):  # it tells which kernels it takes
                self._interpreter = Interpreter(model_path=str(self._path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as problem:
            raise BundleError(
                f"{self._path} cannot be loaded by LiteRT: {first_line(problem)}",
                "Update it (pip install --upgrade ai-edge-litert), or make the bundle again.",
            ) from problem
        given, scores = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shapes = [end["shape"].tolist() for end in (*given, *scores)]
        if shapes != [[1, bundle.window_samples], [1, len(bundle.labels)]]:
            raise BundleError(
                f"{self._path} has inputs and outputs of shapes {shapes}, and the bundle names "
                f"{bundle.window_samples} samples and {len(bundle.labels)} labels.",
                "Make the bundle again with `earnest export`.",
            )
        self._given, self._scores = given[0]["index"], scores[0]["index"]
        self._samples = bundle.window_samples

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,)."""
        try:
            self._interpreter.set_tensor(self._given, filled(audio, self._samples)[None])
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as problem:
            raise BundleError(
                f"{self._path} failed on {audio.size:,} samples: {first_line(problem)}", "Make the bundle again."
            ) from problem
        row: npt.NDArray[np.float32] = self._interpreter.get_tensor(self._scores)[0]
        return row


def filled(audio: npt.NDArray[np.float32], samples: int) -> npt.NDArray[np.float32]:
    """The audio with zeros at its end, so that it has so many samples."""
    return audio if audio.size >= samples else np.pad(audio, (0, samples - audio.size))
