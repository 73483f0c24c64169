"""Files of ONNX, audio or features in, run by ONNX Runtime on the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from earnest.errors import BundleError
from earnest.runtime.bundle import Bundle
from earnest.runtime.frames import Frames

INPUT = "audio"
OUTPUT = "scores"
STATE, NEXT_STATE = "state", "next_state"

# What onnxruntime raises for a file it cannot load or run; its exceptions have no common base of their own.
FAILURES = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NoSuchFile,
    state.NotFound,
    state.NotImplemented,
    state.RuntimeException,
)


class Engine:
    """A bundle's ONNX file from audio to scores.

    All graph optimisations are on: against none they halve the time of a window (0.56 to 1.09 ms for ds_cnn) and cost
    under 15 ms when loading. The memory arena is off, which costs nothing measurable and keeps memory flat when lengths
    vary. With one thread no thread pool is made; with several, waiting threads sleep and do not spin.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        self._path = bundle.path(model)
        self._frames = Frames.of(bundle.frames) if bundle.frames else None
        self.session = open_session(self._path, threads)
        self._check_ends(len(bundle.labels))

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,); of a model that answers for frames, its middle one's."""
        if self._frames:
            scores, _ = self.frames(audio, None)
            middle: npt.NDArray[np.float32] = scores[self._frames.middle(audio.size)]
            return middle
        (scores,) = self._run([OUTPUT], {INPUT: audio[None]})
        row: npt.NDArray[np.float32] = scores[0]
        return row

    def frames(
        self, audio: npt.NDArray[np.float32], state: npt.NDArray[np.float32] | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Scores (frames, labels) of the next piece of a stream (samples,), and the state (1, size) behind it.

        The state is what the piece before gave; None at the beginning.
        """
        if state is None:
            state = np.zeros((1, self.session.get_inputs()[1].shape[1]), np.float32)
        scores, after = self._run([OUTPUT, NEXT_STATE], {INPUT: audio[None], STATE: state})
        return scores[0], after

    def _run(self, outputs: list[str], inputs: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        try:
            found: list[npt.NDArray[np.float32]] = self.session.run(outputs, inputs)
        except FAILURES as problem:
            raise BundleError(
                f"{self._path} failed on {inputs[INPUT].size:,} samples: {first_line(problem)}",
                "Make the bundle again.",
            ) from problem
        return found

    def _check_ends(self, labels: int) -> None:
        """The graph's input and output are those of a bundle, with one score per label."""
        inputs = [node.name for node in self.session.get_inputs()]
        outputs = {node.name: node.shape for node in self.session.get_outputs()}
        taken, given = ([INPUT, STATE], {OUTPUT, NEXT_STATE}) if self._frames else ([INPUT], {OUTPUT})
        if inputs != taken or not given <= outputs.keys():
            raise BundleError(
                f"{self._path} maps {inputs} to {sorted(outputs)}, and such a bundle's model maps {taken} to "
                f"{sorted(given)}.",
                "Make the bundle again with `earnest export`.",
            )
        shape = outputs[OUTPUT]
        if len(shape) != (3 if self._frames else 2) or (isinstance(shape[-1], int) and shape[-1] != labels):
            raise BundleError(
                f"{self._path} gives scores of shape {shape}, and the bundle names {labels} labels.",
                "Make the bundle again with `earnest export`.",
            )


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX file ready to run.

    Raises
    ------
    BundleError : it cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except FAILURES as problem:
        raise BundleError(
            f"{path} cannot be loaded by onnxruntime {onnxruntime.__version__}: {first_line(problem)}",
            "Update onnxruntime (pip install --upgrade onnxruntime), or make the bundle again.",
        ) from problem


class FrontEnd:
    """A bundle's `frontend.onnx`: audio (samples,) → normalised features (1, frames, bands), one array per channel."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        self._session = open_session(path, threads)

    def __call__(self, audio: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """The network's inputs for one window.

        Raises
        ------
        BundleError : the front end fails on this input.
        """
        try:
            features: list[npt.NDArray[np.float32]] = self._session.run(None, {INPUT: audio[None]})
        except FAILURES as problem:
            raise BundleError(
                f"{self._path} failed on {audio.size:,} samples: {first_line(problem)}", "Make the bundle again."
            ) from problem
        return features


def first_line(problem: BaseException) -> str:
    """The first line of what an error says."""
    return str(problem).strip().partition("\n")[0]
