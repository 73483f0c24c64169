"""The model of a bundle, ready to run, whatever kind of file it is: one window of audio in, one score per label out.

    samples (samples,) ─ fit ─► one window or a short clip ─ engine ─► scores (labels,)
    samples (samples,), state ─ engine ─► scores (frames, labels), state    of models that answer for frames

Predictor and streamer both go through `Graph.scores`, one window at a time, so that a recording and a stream of it
give the same bits. Running several windows as one batch was measured to gain nothing on one thread (0.56 ms per window
for ds_cnn alone and in batches of 8) and would change the last bits.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.bundle import MODEL, Bundle
from earnest.runtime.engines import onnx, open_engine


class Graph:
    """A loaded model.

    Parameters
    ----------
    bundle : a checked bundle of the shape `clip` or `frames`.
    threads : threads inside one operator, at least 1.
    model : which of the bundle's model files to run.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : what runs this kind of file is not installed.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, model: str = MODEL) -> None:
        if bundle.shape not in ("clip", "frames"):
            raise BundleError(
                f"{bundle.directory} holds a model of the shape {bundle.shape!r}; predictions here need 'clip' or "
                "'frames'.",
                "Use an Earnest version that runs this shape.",
            )
        if bundle.shape == "frames" and model != MODEL:
            raise BundleError(f"a model that answers for frames runs as {MODEL} only, not as {model}.", "Leave it out.")
        if threads < 1:
            raise BundleError(f"threads must be at least 1, got {threads}.", "Leave it out to use one thread.")
        self.bundle = bundle
        self._engine = open_engine(bundle, model, threads)

    def scores(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of at most one window of samples at the bundle's rate, fitted as the bundle says.

        Raises
        ------
        BundleError : the model fails on this input.
        """
        return self._engine.scores(fit(samples, self.bundle))

    def frames(
        self, samples: npt.NDArray[np.float32], state: npt.NDArray[np.float32] | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Scores (frames, labels) of the next piece of a stream, and the state behind it; None at its beginning.

        Raises
        ------
        BundleError : the model fails on this input.
        """
        return cast("onnx.Engine", self._engine).frames(np.ascontiguousarray(samples, dtype=np.float32), state)


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
