"""`model.int8.tflite`: TensorFlow Lite, the network's weights and activations in 8 bits.

Audio in and scores out stay float32, and so do the front end, whose logarithm needs it, and the task's last step. In a
network with layer norms all but the products with weights stays float32 too: the norms and the attention between them
lose more in 8 bits than they gain (kwt: 7.2 ms in float32, 17.7 ms all in 8 bits, 3.8 ms so, a fifth of the error).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from earnest.runtime.engines.tflite import filled
from earnest.shipping import eightbit
from earnest.shipping.source import Source
from earnest.shipping.targets import tflite

FILE = "model.int8.tflite"
SUMMARY = "TensorFlow Lite, the network in 8 bits"
NETWORK = r".*Network_network/.*"  # names of operators begin with the modules that they come from


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Convert the whole model for one window, and quantise the network in it."""
    beside = folder.with_name("tflite") / tflite.FILE  # made in the same export
    exact = beside if beside.is_file() else tflite.convert(source, windows, folder / tflite.FILE)
    path = folder / FILE
    inputs = [(filled(window, source.inputs.window)[None],) for window in windows]
    norms = any(isinstance(module, nn.LayerNorm) for module in source.model.modules())
    eightbit.quantise(exact, inputs, path, NETWORK, eightbit.WITH_WEIGHTS if norms else eightbit.ANY)
    return {FILE: path}
