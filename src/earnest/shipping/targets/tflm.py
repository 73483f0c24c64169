"""TensorFlow Lite Micro: the network in 8 bits for microcontrollers, its front end in C, all in plain files.

    model.tflm.tflite         the network from normalised features to scores, int8 in and out
    model.tflm.json           arena, operators, scales: what a device has to give, found by running the interpreter
    model_data.h, .c          the same file as a C array, and the same numbers as macros
    frontend.onnx             audio to normalised features, for those who run the file on a computer
    earnest_frontend.h …      audio to normalised features in C, where the front end has such a form

The normaliser stands before the 8 bits, not behind them: features of very different sizes would share one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earnest.errors import BundleError
from earnest.files import atomic_write_text
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.tflite import filled
from earnest.runtime.engines.tflm import FACTS
from earnest.shipping import eightbit, litert, micro
from earnest.shipping.cfrontend import write_c_frontend
from earnest.shipping.source import Source

FILE = "model.tflm.tflite"
SUMMARY = "TensorFlow Lite Micro, 8 bits, as a file and as C"


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Convert and quantise the network, run it in the interpreter, and write it as C beside its front end."""
    inputs = [_features(source, window) for window in windows]
    exact, path = folder / "exact.tflite", folder / FILE
    litert.convert(source.network, tuple(torch.from_numpy(values) for values in inputs[0]), exact)
    eightbit.quantise(exact, inputs, path)
    needs = micro.needs(path, inputs[0])
    model = path.read_bytes()
    parts = folder / "parts"
    parts.mkdir()
    frontend, _ = source.write_parts(parts)
    code = folder / "code"
    code.mkdir()
    told = _c_frontend(source, code)
    about = f"Recipe {source.recipe.name}, model {source.recipe.model.name}: int8 for TensorFlow Lite Micro."
    texts = {
        FACTS: micro.facts(needs, told),
        "model_data.h": micro.c_header(needs, model, source.labels, about),
        "model_data.c": micro.c_source(model, source.labels, about),
    }
    for name, text in texts.items():
        atomic_write_text(code / name, text)
    return {FILE: path, FRONTEND: frontend, **{file.name: file for file in sorted(code.iterdir())}}


def _features(source: Source, window: np.ndarray) -> list[np.ndarray]:
    """The network's inputs for one window, (1, frames, bands) for each channel."""
    audio = torch.from_numpy(filled(window, source.inputs.window))
    return [channel.numpy() for channel in source.features(audio[None])]


def _c_frontend(source: Source, folder: Path) -> dict[str, Any]:
    """Write the front end in C; what it costs, or why there is none."""
    recipe = source.recipe
    try:
        found = write_c_frontend(
            folder, recipe.frontend, recipe.sample_rate, source.normaliser, source.inputs.window, name=recipe.name
        )
    except BundleError as problem:
        return {"none": problem.message}
    return {key: value for key, value in asdict(found).items() if key != "directory"}
