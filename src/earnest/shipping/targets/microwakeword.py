"""A wake word for ESPHome: a file that its component micro_wake_word runs, with the manifest that the component reads.

    model.mww.tflite      a few frames of `micro_frontend` in, one probability out, what was before kept inside; int8
    model.mww.json        the manifest, version 2: cutoff, sliding window, arena
    model.mww.facts.json  for those who run the file on a computer: arena, operators, the normaliser's numbers

A network that tells its layers (`mixednet`) keeps the few frames that each layer needs again; any other one keeps its
whole window, and is computed anew for each answer. The probability is that of the word against its strongest rival
among the other classes. The cutoff is chosen by having the file itself listen to the fold's validation streams as a
device does: features that follow the noise since the stream began, and a memory that is never cleared.

Reference: esphome/components/micro_wake_word/__init__.py (MANIFEST_SCHEMA_V2), as of 2025.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from earnest.errors import BundleError
from earnest.files import atomic_write_text
from earnest.frontends.micro_frontend import WINDOW_SAMPLES
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.microwakeword import FACTS
from earnest.runtime.engines.tflite import filled
from earnest.runtime.engines.tflm import encoded
from earnest.runtime.spotting import Answers
from earnest.scoring.alarms import THRESHOLDS
from earnest.shipping import eightbit, litert, micro, micro_layers
from earnest.shipping.eightbit import quiet
from earnest.shipping.micro_stream import FEATURE_SCALE, FEATURE_ZERO, REGISTERED, SCORE_SCALE, in_stream
from earnest.shipping.source import Source
from earnest.tasks.keyword import UNKNOWN
from earnest.training.pipeline import Normaliser

FILE = "model.mww.tflite"
MANIFEST = "model.mww.json"
SUMMARY = "ESPHome's micro_wake_word, 8 bits, with its manifest"
FRONT_END = "micro_frontend"
MOST_CUTOFF = 0.995
CUTOFFS = tuple(round(at, 3) for at in THRESHOLDS if at <= MOST_CUTOFF)
SPARE_BYTES = 8 << 10  # the kernels of ESP-NN take scratch memory, and those that the arena is measured with do not
PIECE_S, BEFORE_S = 6, 4  # of a stream whose features are computed at once, and before it, so that noise is known
OLDEST_ESPHOME = "2024.7.0"  # the first with manifests of version 2


class Word(nn.Module):
    """Features as the device has them, (1, frames, bands) → the probability of the word, (1, 1).

    The logistic function of the word's logit less that of its strongest rival, which for two classes is the softmax;
    and the normaliser as one product and one sum: forms for which the component has operators.
    """

    gain: torch.Tensor
    shift: torch.Tensor

    def __init__(self, source: Source, normaliser: Normaliser, word: int) -> None:
        super().__init__()
        self.model = source.model
        self.register_buffer("gain", 1 / normaliser.deviation)
        self.register_buffer("shift", -normaliser.mean / normaliser.deviation)
        labels = len(source.labels)
        above = torch.cat([torch.eye(labels)[:word], torch.eye(labels)[word + 1 :]])
        above[:, word] = -1.0
        self.above, self.minus = nn.Linear(labels, labels - 1, bias=False), nn.Linear(1, 1, bias=False)
        self.above.weight, self.minus.weight = nn.Parameter(above), nn.Parameter(torch.tensor([[-1.0]]))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """One window's features → how likely it ends with the word."""
        above = self.above(self.model(features * self.gain + self.shift, None))
        if above.shape[1] > 1:
            above = functional.max_pool2d(above[:, None, :, None], (above.shape[1], 1)).flatten(1)
        return torch.sigmoid(self.minus(above))


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
    rest = source.labels.index(UNKNOWN) if UNKNOWN in source.labels else int(word == 0)
    numbers = {"word": word, "rest": rest, "mean": normaliser.mean.tolist(), "deviation": normaliser.deviation.tolist()}
    atomic_write_text(folder / FACTS, json.dumps(asdict(needs) | numbers, indent=1) + "\n")
    cutoff = source.task.listening.threshold if source.task.listening else 0.5
    if source.hear:
        answers = in_a_stream(source, model, word, step_frames)
        cutoff = source.hear(FILE, answers, step_frames * _hop(source), CUTOFFS)
    told = manifest(source, word, step_frames, needs.arena_bytes, cutoff)
    atomic_write_text(folder / MANIFEST, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    parts = folder / "parts"
    parts.mkdir()
    frontend, _ = source.write_parts(parts)
    return {FILE: path, MANIFEST: folder / MANIFEST, FACTS: folder / FACTS, FRONTEND: frontend}


def in_a_stream(source: Source, model: bytes, word: int, step_frames: int) -> Answers:
    """What the file answers to a stream, once for each `step_frames` frames, when a whole window has been heard.

    LiteRT runs it here. Its reference kernels give the answers of TensorFlow Lite Micro, rarely a 256th away; for a
    network whose whole window is computed each time they are too slow, and its fast ones may be some 256ths away.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF if micro_layers.has_layers(source.model) else OpResolverType.AUTO

    def answers(pieces: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        with quiet():  # it tells which kernels it takes
            device = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
            device.allocate_tensors()
        (given,), (score,) = device.get_input_details(), device.get_output_details()
        steps, hop = {"scale": FEATURE_SCALE, "zero_point": FEATURE_ZERO}, _hop(source)
        frames, heard = np.zeros((0, given["shape"][2]), np.float32), 0
        for more in _stream_features(source, pieces):
            frames = np.concatenate([frames, more])
            whole = len(frames) // step_frames * step_frames
            for at in range(0, whole, step_frames):
                device.set_tensor(given["index"], encoded(frames[None, at : at + step_frames], steps))
                device.invoke()
                heard += step_frames
                end = (heard - 1) * hop + WINDOW_SAMPLES
                if end >= source.inputs.window:
                    row = np.zeros(len(source.labels))
                    row[word] = SCORE_SCALE * device.get_tensor(score["index"])[0, 0]
                    yield end, row
            frames = frames[whole:]

    return answers


def _stream_features(source: Source, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Features (frames, bands) of a stream, as the device has them, some seconds at a time."""
    rate, hop = source.recipe.sample_rate, _hop(source)
    held, given = np.zeros(0, np.float32), 0  # what is held of the stream, and how many of its frames were given out

    def features() -> np.ndarray:
        with torch.no_grad():
            found: torch.Tensor = source.frontend(torch.from_numpy(held)[None])
        return found[0, given:].numpy()

    size = PIECE_S * rate  # what the noise costs grows with the square of the frames
    for part in (piece[at : at + size] for piece in pieces for at in range(0, len(piece), size)):
        held = np.concatenate([held, part])
        if len(held) >= (PIECE_S + BEFORE_S) * rate:
            fresh = features()
            yield fresh
            known = max(0, given + len(fresh) - BEFORE_S * rate // hop)  # the oldest frame that is needed again
            held, given = held[known * hop :], given + len(fresh) - known
    if len(held) >= given * hop + WINDOW_SAMPLES:
        yield features()


def manifest(source: Source, word: int, step_frames: int, arena_bytes: int, cutoff: float) -> dict[str, Any]:
    """What ESPHome reads: version 2, all of its keys.

    The cutoff is at most `MOST_CUTOFF`, for at one the device hears nothing; the sliding window is the smoothing of the
    task. The arena has `SPARE_BYTES` more than was measured.
    """
    recipe, listening = source.recipe, source.task.listening
    smoothing_s = listening.smoothing_s if listening else 0.5
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
            "probability_cutoff": min(round(cutoff, 3), MOST_CUTOFF),
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
    if listening is None or len(listening.words) != 1 or len(source.labels) < 2:
        words = ", ".join(listening.words if listening else source.labels)
        raise BundleError(
            f"a file for ESPHome tells one word from all else; this run has {words}.",
            "Train the task keyword with one word; `earnest wakeword --to microwakeword` does.",
        )
    if micro_layers.has_layers(source.model):
        return source.labels.index(listening.words[0]), int(source.model.stride)  # type: ignore[arg-type]
    frame = _hop(source)
    if source.inputs.hop % frame:
        raise BundleError(
            f"a hop of {source.inputs.hop} samples is no whole number of frames of {frame}.", "Set clips.hop_s=0.1."
        )
    return source.labels.index(listening.words[0]), source.inputs.hop // frame


def _hop(source: Source) -> int:
    """Samples from one frame to the next."""
    return source.recipe.sample_rate * int(source.recipe.frontend.options.get("hop_ms", 10)) // 1000


def _features(source: Source, normaliser: Normaliser, window: np.ndarray) -> np.ndarray:
    """A window's features (1, frames, bands) as the device has them, not normalised."""
    audio = torch.from_numpy(filled(window, source.inputs.window))
    (features,) = source.features(audio[None])
    raw: np.ndarray = (features * normaliser.deviation + normaliser.mean).numpy()
    return raw
