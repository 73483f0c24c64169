"""One file per kind of model file that a trained network can be written as.

A target holds `FILE` (what it is called in a bundle), `SUMMARY`, and

    write(source, windows, folder) -> {name in the bundle: path}

which makes its files of a fold's model in a folder. `windows` are inputs of the model, (samples,) float32, cut from the
fold's training clips; a target that quantises measures ranges on them and on nothing else. A target that cannot hold a
model raises `BundleError` and names the operator or part that it lacks; one whose packages are not installed raises
`MissingExtra`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from earnest.errors import BundleError, did_you_mean
from earnest.shipping.source import Source

TARGETS: Mapping[str, str] = {
    "onnx-fp16": "onnx_fp16",
    "int8": "onnx_int8",
    "openvino": "openvino",
    "ncnn": "ncnn",
    "tflite": "tflite",
    "tflite-int8": "tflite_int8",
    "tflm": "tflm",
    "microwakeword": "microwakeword",
}
"""Name on the command line → file here; `onnx` itself is what every run exports."""


class Target(Protocol):
    """What a target's file holds."""

    FILE: str
    SUMMARY: str

    def write(self, source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
        """Make the target's files in a folder."""


def find(name: str) -> Target:
    """The target of a name.

    Raises
    ------
    BundleError : there is no such target.
    """
    if name not in TARGETS:
        raise BundleError(f"unknown kind of model file {name!r}.", did_you_mean(name, ["onnx", *TARGETS]))
    return cast("Target", importlib.import_module(f"earnest.shipping.targets.{TARGETS[name]}"))
