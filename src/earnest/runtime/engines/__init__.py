"""One file per kind of model file that a bundle can hold: what runs it.

An engine holds

    Engine(bundle, model, threads).scores(audio) -> scores

with audio (samples,) float32 as `graph.fit` gives it, and scores (labels,) float32 of that one window. A file with only
the network behind the front end in it is fed by `frontend.onnx`, which lies beside it in the bundle.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.bundle import Bundle

FRONTEND = "frontend.onnx"

ENGINES: Mapping[str, str] = {
    ".onnx": "onnx",
    ".xml": "openvino",
    ".ncnn.param": "ncnn",
    ".tflite": "tflite",
    ".tflm.tflite": "tflm",
    ".mww.tflite": "microwakeword",
}
"""End of a file's name → file here; of several that fit, the longest counts."""

WEIGHTS: Mapping[str, str] = {".xml": ".bin", ".ncnn.param": ".ncnn.bin"}
"""End of a file's name → that of the file with its weights, for kinds of files that keep them apart."""


class Engine(Protocol):
    """A loaded model file."""

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None: ...

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,).

        Raises
        ------
        BundleError : the model fails on this input.
        """


def weights_beside(model: str) -> str:
    """The name of the file with a model file's weights: its own, unless its kind keeps them in another."""
    suffix = next((suffix for suffix in WEIGHTS if model.endswith(suffix)), "")
    return model.removesuffix(suffix) + WEIGHTS[suffix] if suffix else model


def models_of(bundle: Bundle) -> list[str]:
    """Those of a bundle's files that a prediction can be made with."""
    return [name for name in bundle.files if name != FRONTEND and _suffix(name)]


def open_engine(bundle: Bundle, model: str, threads: int = 1) -> Engine:
    """Load one of a bundle's model files.

    Raises
    ------
    BundleError : the bundle holds no such file, or it is no model, or it cannot be loaded or does not fit its bundle.
    MissingExtra : what runs it is not installed.
    """
    suffix = _suffix(model)
    if suffix is None or model == FRONTEND:
        raise BundleError(f"{model} is no model file.", f"{bundle.directory} holds: {', '.join(models_of(bundle))}.")
    module = importlib.import_module(f"earnest.runtime.engines.{ENGINES[suffix]}")
    return cast("type[Engine]", module.Engine)(bundle, model, threads)


def _suffix(name: str) -> str | None:
    return max((suffix for suffix in ENGINES if name.endswith(suffix)), key=len, default=None)
