"""Files of OpenVINO (`model.xml`, its weights in `model.bin`), audio in, run on the processor in float32."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError, MissingExtra
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines import weights_beside
from earnest.runtime.engines.onnx import first_line


class Engine:
    """A bundle's OpenVINO file from audio to scores.

    The file takes any batch; one window at a time is run here, so its sizes are fixed first where the windows of the
    bundle have one length, and nothing is planned again from call to call. Processors with bfloat16 would compute in it
    unless told otherwise; here they are told.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : openvino is not installed.
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        openvino = openvino_alone(f"Running {model}")
        self._path = bundle.path(model)
        weights = bundle.path(weights_beside(model))
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        try:
            core = openvino.Core()
            network = core.read_model(self._path, weights)
            network.reshape([1, bundle.window_samples if bundle.short == "pad" else -1])
            compiled = core.compile_model(network, "CPU", settings)
            self._request = compiled.create_infer_request()
            shape = network.output(0).partial_shape
        except RuntimeError as problem:
            raise BundleError(
                f"{self._path} cannot be loaded by openvino {openvino.__version__}: {first_line(problem)}",
                "Update openvino (pip install --upgrade openvino), or make the bundle again.",
            ) from problem
        if not shape.compatible(openvino.PartialShape([1, len(bundle.labels)])):
            raise BundleError(
                f"{self._path} gives scores of shape {shape}, and the bundle names {len(bundle.labels)} labels.",
                "Make the bundle again with `earnest export`.",
            )

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,)."""
        try:
            self._request.infer({0: audio[None]}, share_inputs=True)
        except RuntimeError as problem:
            raise BundleError(
                f"{self._path} failed on {audio.size:,} samples: {first_line(problem)}", "Make the bundle again."
            ) from problem
        row: npt.NDArray[np.float32] = self._request.get_output_tensor(0).data[0].copy()
        return row


def openvino_alone(doing: str) -> Any:  # of a module: openvino comes without types
    """OpenVINO without its telemetry: importing it tells a server of its maker, unless that part is missing.

    Where a program has loaded the telemetry itself before, it stays as the program wants it.

    Parameters
    ----------
    doing : what needs it, for the error.

    Raises
    ------
    MissingExtra : openvino is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # documented: None forbids an import
    try:
        return importlib.import_module("openvino")
    except ImportError as missing:
        raise MissingExtra("openvino", "edge", doing) from missing
