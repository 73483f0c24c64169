"""The model of a bundle, ready to run: one window of audio in, one score per label out.

    samples (samples,) ─ fit ─► one window or a short clip ─ onnxruntime ─► scores (labels,)

Predictor and streamer both go through `Graph.scores`, one window at a time, so that a recording and a stream of it
give the same bits. Running several windows as one batch was measured to gain nothing on one thread (0.56 ms per window
for ds_cnn alone and in batches of 8) and would change the last bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from earnest.errors import BundleError
from earnest.runtime.bundle import MODEL, Bundle

INPUT = "audio"
OUTPUT = "scores"

# What onnxruntime raises for a file it cannot load or run; its exceptions have no common base of their own.
_FAILURES = (
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


class Graph:
    """A loaded model.

    All graph optimisations are on: against none they halve the time of a window (0.56 to 1.09 ms for ds_cnn) and cost
    under 15 ms when loading. The memory arena is off, which costs nothing measurable and keeps memory flat when lengths
    vary. With one thread no thread pool is made; with several, waiting threads sleep and do not spin.

    Parameters
    ----------
    bundle : a checked bundle of the shape `clip`.
    threads : threads inside one operator, at least 1.
    model : which of the bundle's model files to run.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, model: str = MODEL) -> None:
        if bundle.shape != "clip":
            raise BundleError(
                f"{bundle.directory} holds a model of the shape {bundle.shape!r}; predictions here need 'clip'.",
                "Use an Earnest version that runs this shape.",
            )
        if threads < 1:
            raise BundleError(f"threads must be at least 1, got {threads}.", "Leave it out to use one thread.")
        self.bundle = bundle
        self._path = bundle.path(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        except _FAILURES as problem:
            raise BundleError(
                f"{self._path} cannot be loaded by onnxruntime {onnxruntime.__version__}: {_first_line(problem)}",
                "Update onnxruntime (pip install --upgrade onnxruntime), or make the bundle again.",
            ) from problem
        self._check_ends()

    def scores(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of at most one window of samples at the bundle's rate, fitted as the bundle says.

        Raises
        ------
        BundleError : the model fails on this input.
        """
        audio = fit(samples, self.bundle)
        try:
            (scores,) = self.session.run([OUTPUT], {INPUT: audio[None]})
        except _FAILURES as problem:
            raise BundleError(
                f"{self._path} failed on {audio.size:,} samples: {_first_line(problem)}", "Make the bundle again."
            ) from problem
        row: npt.NDArray[np.float32] = scores[0]
        return row

    def _check_ends(self) -> None:
        """The graph's input and output are those of a bundle, with one score per label."""
        inputs = [node.name for node in self.session.get_inputs()]
        outputs = {node.name: node.shape for node in self.session.get_outputs()}
        if inputs != [INPUT] or OUTPUT not in outputs:
            raise BundleError(
                f"{self._path} maps {inputs} to {sorted(outputs)}, and a bundle's model maps {INPUT!r} to {OUTPUT!r}.",
                "Make the bundle again with `earnest export`.",
            )
        shape, labels = outputs[OUTPUT], len(self.bundle.labels)
        if len(shape) != 2 or (isinstance(shape[1], int) and shape[1] != labels):
            raise BundleError(
                f"{self._path} gives scores of shape {shape}, and the bundle names {labels} labels.",
                "Make the bundle again with `earnest export`.",
            )


def fit(samples: npt.NDArray[np.float32], bundle: Bundle) -> npt.NDArray[np.float32]:
    """A clip of at most one window as the model takes it, (samples,) float32.

    A clip shorter than the window is padded with zeros on both sides, `(window - samples) // 2` of them in front
    (`pad`), or keeps its own length and is only filled up to `min_samples` with zeros at the end (`keep`).
    """
    if bundle.short == "pad":
        length = bundle.window_samples
        front = (length - samples.size) // 2
    else:
        length, front = max(samples.size, bundle.min_samples), 0
    if samples.size >= length:
        return np.ascontiguousarray(samples, dtype=np.float32)
    audio = np.zeros(length, dtype=np.float32)
    audio[front : front + samples.size] = samples
    return audio


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().partition("\n")[0]
