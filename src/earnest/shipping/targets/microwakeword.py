"""A wake word for ESPHome: a file that its component micro_wake_word runs, with the manifest that the component reads.

    model.mww.tflite      a few frames of `micro_frontend` in, one probability out, what was before kept inside; int8
    model.mww.json        the manifest, version 2: cutoff, sliding window, arena
    model.mww.facts.json  for those who run the file on a computer: arena, operators, the normaliser's numbers

A network that tells its layers (`mixednet`) keeps the few frames that each layer needs again; any other one keeps its
whole window, and is computed anew for each answer.

Reference: esphome/components/micro_wake_word/__init__.py (MANIFEST_SCHEMA_V2), as of 2025.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from earnest.errors import BundleError
from earnest.files import atomic_write_text
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.microwakeword import FACTS
from earnest.runtime.engines.tflite import filled
from earnest.shipping import eightbit, litert, micro, micro_layers
from earnest.shipping.micro_stream import REGISTERED, in_stream
from earnest.shipping.source import Source
from earnest.training.pipeline import Normaliser

FILE = "model.mww.tflite"
MANIFEST = "model.mww.json"
SUMMARY = "ESPHome's micro_wake_word, 8 bits, with its manifest"
FRONT_END = "micro_frontend"
MOST_CUTOFF = 0.995
SPARE_BYTES = 8 << 10  # the kernels of ESP-NN take scratch memory, and those that the arena is measured with do not
OLDEST_ESPHOME = "2024.7.0"  # the first with manifests of version 2


class Word(nn.Module):
    """Features as the device has them, (1, frames, bands) → the probability of the word, (1, 1).

    The softmax over two classes is the logistic function of their difference, and the normaliser one product and one
    sum: forms for which the component has operators.
    """

    gain: torch.Tensor
    shift: torch.Tensor

    def __init__(self, source: Source, normaliser: Normaliser, word: int) -> None:
        super().__init__()
        self.model = source.model
        self.register_buffer("gain", 1 / normaliser.deviation)
        self.register_buffer("shift", -normaliser.mean / normaliser.deviation)
        self.difference = nn.Linear(2, 1, bias=False)
        signs = torch.full((1, 2), -1.0)
        signs[0, word] = 1.0
        self.difference.weight = nn.Parameter(signs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """One window's features → how likely it ends with the word."""
        return torch.sigmoid(self.difference(self.model(features * self.gain + self.shift, None)))


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Convert, quantise, give it a memory, run it in the interpreter, and write the manifest."""
    word, step_frames = _checked(source)
    normaliser = source.normaliser
    if not isinstance(normaliser, Normaliser):
        raise BundleError("ESPHome's wake words take one channel of features.")
    inputs = [(_features(source, normaliser, window),) for window in windows]
    network, path = Word(source, normaliser, word).eval(), folder / FILE
    if micro_layers.has_layers(source.model):
        features = np.concatenate([features for (features,) in inputs])
        layered = cast("micro_layers.Layered", source.model)
        model = micro_layers.in_layers(layered, network.gain, network.shift, word, features)
    else:
        exact, small = folder / "exact.tflite", folder / "small.tflite"
        litert.convert(network, (torch.from_numpy(inputs[0][0]),), exact)
        eightbit.quantise(exact, inputs, small)
        model = in_stream(small.read_bytes(), step_frames)
    path.write_bytes(model)
    lacking = sorted(set(micro.operators(path.read_bytes())) - REGISTERED)
    if lacking:
        raise BundleError(
            f"ESPHome's component lacks the operator{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}.",
            "Choose model=mixednet, model=ds_cnn or model=bc_resnet.",
        )
    needs = micro.needs(path, [inputs[0][0][:, :step_frames]])
    numbers = {"word": word, "mean": normaliser.mean.tolist(), "deviation": normaliser.deviation.tolist()}
    atomic_write_text(folder / FACTS, json.dumps(asdict(needs) | numbers, indent=1) + "\n")
    told = manifest(source, word, step_frames, needs.arena_bytes)
    atomic_write_text(folder / MANIFEST, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    parts = folder / "parts"
    parts.mkdir()
    frontend, _ = source.write_parts(parts)
    return {FILE: path, MANIFEST: folder / MANIFEST, FACTS: folder / FACTS, FRONTEND: frontend}


def manifest(source: Source, word: int, step_frames: int, arena_bytes: int) -> dict[str, Any]:
    """What ESPHome reads: version 2, all of its keys.

    The cutoff is the threshold that the fold's validation streams chose, at most `MOST_CUTOFF`, for at one the device
    hears nothing; the sliding window is the smoothing of the task. The arena has `SPARE_BYTES` more than was measured.
    """
    recipe, listening = source.recipe, source.task.listening
    spotting = source.spotting or {}
    smoothing_s = listening.smoothing_s if listening else 0.5
    threshold = float(spotting.get("threshold", listening.threshold if listening else 0.5))
    step_ms = int(recipe.frontend.options.get("hop_ms", 10))
    return {
        "type": "micro",
        "wake_word": source.labels[word],
        "author": "made with Earnest",
        "website": "https://esphome.io/components/micro_wake_word",
        "model": FILE,
        "trained_languages": list(recipe.task.options.get("languages", ())),
        "version": 2,
        "micro": {
            "probability_cutoff": min(round(threshold, 3), MOST_CUTOFF),
            "feature_step_size": step_ms,
            "sliding_window_size": max(1, round(1000 * smoothing_s / (step_frames * step_ms))),
            "tensor_arena_size": arena_bytes + SPARE_BYTES,
            "minimum_esphome_version": OLDEST_ESPHOME,
        },
    }


def _checked(source: Source) -> tuple[int, int]:
    """The word's place among the labels, and the frames between two answers.

    Raises
    ------
    BundleError : the run's front end, classes or hop are not those of the component.
    """
    recipe, listening = source.recipe, source.task.listening
    if recipe.frontend.name != FRONT_END:
        raise BundleError(
            f"ESPHome's component hears through {FRONT_END}; this run has {recipe.frontend.name}.",
            f"Train with frontend={FRONT_END}; `earnest wakeword --to microwakeword` does.",
        )
    if listening is None or len(source.labels) != 2:
        raise BundleError(
            f"a wake word for ESPHome is told from the rest; this run has the classes {', '.join(source.labels)}.",
            "Train with task.silence=false and one word; `earnest wakeword --to microwakeword` does.",
        )
    if micro_layers.has_layers(source.model):
        return source.labels.index(listening.words[0]), int(source.model.stride)  # type: ignore[arg-type]
    frame = recipe.sample_rate * int(recipe.frontend.options.get("hop_ms", 10)) // 1000
    if source.inputs.hop % frame:
        raise BundleError(
            f"a hop of {source.inputs.hop} samples is no whole number of frames of {frame}.", "Set clips.hop_s=0.1."
        )
    return source.labels.index(listening.words[0]), source.inputs.hop // frame


def _features(source: Source, normaliser: Normaliser, window: np.ndarray) -> np.ndarray:
    """A window's features (1, frames, bands) as the device has them, not normalised."""
    audio = torch.from_numpy(filled(window, source.inputs.window))
    (features,) = source.features(audio[None])
    raw: np.ndarray = (features * normaliser.deviation + normaliser.mean).numpy()
    return raw
