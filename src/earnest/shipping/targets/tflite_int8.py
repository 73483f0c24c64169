"""`model.int8.tflite`: TensorFlow Lite, the network's weights and activations in 8 bits.

Audio in and scores out stay float32, and so do the front end, whose logarithm needs it, and the task's last step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
    eightbit.quantise(exact, [(filled(window, source.inputs.window)[None],) for window in windows], path, NETWORK)
    return {FILE: path}
