"""Files for ESPHome's micro_wake_word (`.mww.tflite`): a few frames at a time, run by microcontrollers' interpreter."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.onnx import FrontEnd
from earnest.runtime.engines.tflite import filled
from earnest.runtime.engines.tflm import SPARE, Micro

ONE_WORD = ".mww.tflite"  # the end of names of files that tell one word from all else
FACTS = "model.mww.facts.json"


def word_of(bundle: Bundle) -> int:
    """Which label the file tells from all others.

    Raises
    ------
    BundleError : the bundle does not tell.
    """
    return int(_facts(bundle)["word"])


def _facts(bundle: Bundle) -> dict[str, Any]:
    place = bundle.path(FACTS)
    try:
        facts: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return {key: facts[key] for key in ("arena_bytes", "word", "rest", "mean", "deviation")}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BundleError(
            f"{place} does not tell what the model needs: {problem}.",
            "Make the bundle again with `earnest export`.",
        ) from problem


class Engine:
    """A bundle's file for micro_wake_word and the front end before it, from audio to scores of the word and the rest.

    The file keeps the frames of its window from call to call; for one window of audio they are all replaced. It gives
    one probability, of the word; what remains is the score of one other label, which stands for all of them.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : tflite-micro is not installed (there are wheels for Linux on x86-64).
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        facts = _facts(bundle)
        self._word, self._rest, self._labels = int(facts["word"]), int(facts["rest"]), len(bundle.labels)
        self._mean = np.array(facts["mean"], np.float32)
        self._deviation = np.array(facts["deviation"], np.float32)
        path = bundle.path(model)
        self._samples = bundle.window_samples
        self._frontend = FrontEnd(bundle.path(FRONTEND), threads)
        self._network = Micro(path.read_bytes(), int(facts["arena_bytes"]) + SPARE, str(path))
        self._step = int(self._network.inputs[0]["shape"][1])

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (labels,) of one window of audio (samples,)."""
        (normalised,) = self._frontend(filled(audio, self._samples))
        frames = normalised * self._deviation + self._mean  # (1, frames, bands)
        frames = np.pad(frames, ((0, 0), (-frames.shape[1] % self._step, 0), (0, 0)))
        pieces = [frames[:, at : at + self._step] for at in range(0, frames.shape[1], self._step)]
        probability = [self._network([piece])[0] for piece in pieces][-1]
        row = np.zeros(self._labels, np.float32)
        row[self._word], row[self._rest] = probability, 1 - probability
        return row
