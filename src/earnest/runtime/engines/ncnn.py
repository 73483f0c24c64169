"""Files of ncnn (`model.ncnn.param`, weights in `model.ncnn.bin`): features in, fed by the bundle's `frontend.onnx`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError, MissingExtra
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines import FRONTEND, weights_beside
from earnest.runtime.engines.onnx import FrontEnd
from earnest.runtime.engines.tflite import filled

# x86 and ARM would store and compute in half precision or bfloat16.
EXACT = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_vulkan_compute")


class Engine:
    """A bundle's ncnn file, and the front end before it, from audio to scores.

    The file takes windows of one length. Where the bundle's model takes shorter clips too (`short: keep`), they get
    zeros at their end here, which is not what the scored model saw; `earnest score` tells what that costs.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : ncnn is not installed.
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        self._labels, self._samples = len(bundle.labels), bundle.window_samples
        self._frontend = FrontEnd(bundle.path(FRONTEND), threads)
        self._network = Network(bundle.path(model), bundle.path(weights_beside(model)), threads)

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,)."""
        row = self._network([channel[0] for channel in self._frontend(filled(audio, self._samples))])
        if row.size != self._labels:
            raise BundleError(
                f"{self._network.path} gives {row.size} scores, and the bundle names {self._labels} labels.",
                "Make the bundle again with `earnest export`.",
            )
        return row


class Network:
    """An ncnn file in float32 from features, one array (frames, bands) for each channel, to scores (labels,).

    Raises
    ------
    BundleError : the file cannot be loaded.
    MissingExtra : ncnn is not installed.
    """

    def __init__(self, path: Path, weights: Path, threads: int) -> None:
        try:
            import ncnn
        except ImportError as missing:
            raise MissingExtra("ncnn", "edge", f"Running {path.name}") from missing
        self.path = path
        self._array = ncnn.Mat
        self._net = ncnn.Net()
        for name in EXACT:
            setattr(self._net.opt, name, False)
        self._net.opt.num_threads = threads
        if self._net.load_param(str(path)) != 0 or self._net.load_model(str(weights)) != 0:
            raise BundleError(
                f"{path} cannot be loaded by ncnn {ncnn.__version__}.",
                "Update ncnn (pip install --upgrade ncnn), or make the bundle again.",
            )
        self._inputs, self._outputs = self._net.input_names(), self._net.output_names()

    def __call__(self, features: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Scores of one window.

        Raises
        ------
        BundleError : the network fails on this input.
        """
        if (len(features), 1) != (len(self._inputs), len(self._outputs)):
            raise BundleError(
                f"{self.path} takes {len(self._inputs)} inputs and gives {len(self._outputs)} outputs; the front end "
                f"gives {len(features)} channels, and one output was expected.",
                "Make the bundle again with `earnest export`.",
            )
        held = [np.ascontiguousarray(channel) for channel in features]  # ncnn borrows arrays and does not keep them
        with self._net.create_extractor() as extractor:
            codes = [
                extractor.input(name, self._array(channel)) for name, channel in zip(self._inputs, held, strict=True)
            ]
            code, scores = extractor.extract(self._outputs[0])
            if any((*codes, code)):
                shapes = " and ".join(f"{len(channel)} frames × {channel.shape[1]} bands" for channel in held)
                raise BundleError(f"{self.path} failed on {shapes} (code {code}).", "Make the bundle again.")
            return np.array(scores, dtype=np.float32).reshape(-1)
