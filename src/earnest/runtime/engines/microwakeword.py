"""Files for ESPHome's micro_wake_word (`.mww.tflite`): a few frames at a time, run by microcontrollers' interpreter."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.bundle import Bundle
from earnest.runtime.engines import FRONTEND
from earnest.runtime.engines.onnx import FrontEnd
from earnest.runtime.engines.tflite import filled
from earnest.runtime.engines.tflm import SPARE, Micro

FACTS = "model.mww.facts.json"


class Engine:
    """A bundle's file for micro_wake_word and the front end before it, from audio to scores of the word and the rest.

    The file keeps the frames of its window from call to call; for one window of audio they are all replaced.

    Raises
    ------
    BundleError : the model cannot be loaded, or does not fit its bundle.
    MissingExtra : tflite-micro is not installed (there are wheels for Linux on x86-64).
    """

    def __init__(self, bundle: Bundle, model: str, threads: int) -> None:
        place = bundle.path(FACTS)
        try:
            facts = json.loads(place.read_text(encoding="utf-8"))
            arena, self._word = int(facts["arena_bytes"]), int(facts["word"])
            self._mean = np.array(facts["mean"], np.float32)
            self._deviation = np.array(facts["deviation"], np.float32)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise BundleError(
                f"{place} does not tell what the model needs: {problem}.",
                "Make the bundle again with `earnest export`.",
            ) from problem
        path = bundle.path(model)
        self._samples = bundle.window_samples
        self._frontend = FrontEnd(bundle.path(FRONTEND), threads)
        self._network = Micro(path.read_bytes(), arena + SPARE, str(path))
        self._step = int(self._network.inputs[0]["shape"][1])

    def scores(self, audio: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (2,) of one window of audio (samples,)."""
        (normalised,) = self._frontend(filled(audio, self._samples))
        frames = normalised * self._deviation + self._mean  # (1, frames, bands)
        frames = np.pad(frames, ((0, 0), (-frames.shape[1] % self._step, 0), (0, 0)))
        pieces = [frames[:, at : at + self._step] for at in range(0, frames.shape[1], self._step)]
        probability = [self._network([piece])[0] for piece in pieces][-1]
        row = np.full(2, 1 - probability, np.float32)
        row[self._word] = probability
        return row
