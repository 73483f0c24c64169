"""Predictions for whole recordings.

file ─ audio.load ─► samples ─ windows ─► scores of each ─ combine ─► Prediction
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest import audio
from earnest.errors import AudioError
from earnest.runtime.bundle import MODEL, Bundle, Kind
from earnest.runtime.combine import combine
from earnest.runtime.frames import Frames
from earnest.runtime.graph import Graph


@dataclass(frozen=True)
class Prediction:
    """What the model says about one recording.

    Attributes
    ----------
    file : the recording, as it was given.
    label : the label with the highest score (which for tags may lie below its threshold); "" for values.
    scores : label → score, in the bundle's order: probabilities that add up to 1 for classes, probabilities from 0 to 1
        of their own for tags, numbers in the target's unit for values.
    seconds : how long reading and predicting took.
    remark : what is to be said about the file: what was wrong with it and repaired, or that it is silent; else None.
    labels : the tags whose score reaches its threshold, likeliest first; the one label for classes; none for values.
    kind : what the scores say, as in the bundle.
    """

    file: str
    label: str
    scores: dict[str, float]
    seconds: float
    remark: str | None = None
    labels: tuple[str, ...] = ()
    kind: Kind = "classes"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `label` and `scores` for classes, `labels` and `scores` for tags, `values` for values.

        `remark` stands there only where there is something to say.
        """
        said: dict[str, dict[str, Any]] = {
            "classes": {"label": self.label, "scores": self.scores},
            "tags": {"labels": list(self.labels), "scores": self.scores},
            "values": {"values": self.scores},
        }
        values = {"file": self.file, **said[self.kind], "seconds": self.seconds}
        return values if self.remark is None else {**values, "remark": self.remark}


class Predictor:
    """A bundle ready to predict.

    Parameters
    ----------
    bundle : a bundle, or the path of one.
    threads : threads for the model, at least 1; one is best when files are many and cores few.
    model : which of the bundle's model files to run.

    Raises
    ------
    BundleError : the bundle is missing, damaged, of a newer format, or does not load.

    Examples
    --------
    >>> predictor = Predictor("runs/fsdd/bundle")  # doctest: +SKIP
    >>> predictor.predict("seven.wav").label  # doctest: +SKIP
    'seven'
    """

    def __init__(self, bundle: Bundle | str | os.PathLike[str], threads: int = 1, *, model: str = MODEL) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._graph = Graph(self.bundle, threads, model)

    def predict(self, path: str | os.PathLike[str]) -> Prediction:
        """Read one recording, mixed down to mono at the bundle's rate, and predict.

        Raises
        ------
        AudioError : the file cannot be read as audio.
        """
        began = time.perf_counter()
        recording = audio.load(path, self.bundle.sample_rate)
        scores = self.probabilities(recording.samples, os.fspath(path))
        return self._prediction(os.fspath(path), scores, began, recording.verdict.reason)

    def predict_many(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Prediction | AudioError]:
        """Predict one recording after the other, in order; a file that cannot be read yields its error."""
        for path in paths:
            try:
                yield self.predict(path)
            except AudioError as problem:
                yield problem

    def predict_samples(
        self, samples: npt.ArrayLike, sample_rate: int | None = None, name: str = "samples"
    ) -> Prediction:
        """Predict from audio in memory.

        Parameters
        ----------
        samples : (samples,) floating point, full scale ±1, mono.
        sample_rate : their rate in Hz; other rates than the bundle's are resampled. None: at the bundle's rate.
        name : stands as `file` in the result and in errors.

        Raises
        ------
        AudioError : the samples are empty, whole numbers, not finite or not mono.
        """
        began = time.perf_counter()
        values = as_audio(samples, name)
        if sample_rate is not None and sample_rate != self.bundle.sample_rate:
            values = audio.resample(values, sample_rate, self.bundle.sample_rate)
        return self._prediction(name, self.probabilities(values, name), began, None)

    def probabilities(self, samples: npt.NDArray[np.float32], name: str = "samples") -> npt.NDArray[np.float64]:
        """Scores (labels,) of samples (samples,) at the bundle's rate, combined over their windows in float64.

        One window is in memory at a time, whatever the length of the recording. A model that answers for frames hears
        what is longer than a window once, and its frames are combined.

        Raises
        ------
        AudioError : there is not one sample.
        """
        if samples.size == 0:
            raise AudioError(name, "holds no samples.", "Give a recording with sound in it.")
        window = self.bundle.window_samples
        if self.bundle.frames and samples.size > window:
            scores = self._by_frame(samples, Frames.of(self.bundle.frames))
        else:
            starts = starts_of(samples.size, self.bundle)
            scores = np.empty((len(starts), len(self.bundle.labels)), dtype=np.float64)
            for row, start in enumerate(starts):
                scores[row] = self._graph.scores(samples[start : start + window])
        return combine(scores, self.bundle.combine, exclusive=self.bundle.kind == "classes")

    def _by_frame(self, samples: npt.NDArray[np.float32], frames: Frames) -> npt.NDArray[np.float64]:
        """Scores (frames, labels) of a recording, heard in pieces of about a window."""
        length, hop = frames.piece(self.bundle.window_samples)
        state, found = None, []
        for start in range(0, samples.size - frames.reach_samples + 1, hop):
            scores, state = self._graph.frames(samples[start : start + length], state)
            found.append(scores.astype(np.float64))
        return np.concatenate(found)

    def _prediction(self, file: str, scores: npt.NDArray[np.float64], began: float, remark: str | None) -> Prediction:
        names, kind = self.bundle.labels, self.bundle.kind
        best = names[int(scores.argmax())] if kind != "values" else ""
        given: tuple[str, ...] = (best,) if kind == "classes" else ()
        if kind == "tags":
            given = tuple(names[i] for i in np.argsort(-scores) if scores[i] >= self.bundle.threshold(names[i]))
        return Prediction(
            file=file,
            label=best,
            scores=dict(zip(names, scores.tolist(), strict=True)),
            seconds=time.perf_counter() - began,
            remark=remark,
            labels=given,
            kind=kind,
        )


def starts_of(samples: int, bundle: Bundle) -> Sequence[int]:
    """Where the windows of a recording of so many samples begin, as the bundle's `segments` say."""
    if bundle.segments == "crop-pad":
        return [0]
    if bundle.segments == "whole":
        return audio.window_starts(samples, bundle.window_samples, bundle.hop_samples)
    return range(0, samples, bundle.window_samples)


def as_audio(samples: npt.ArrayLike, name: str) -> npt.NDArray[np.float32]:
    """Samples from the caller as (samples,) float32.

    Raises
    ------
    AudioError : whole numbers (whose full scale is unknown), more than one channel, or values that are not finite.
    """
    values = np.asarray(samples)
    if values.dtype.kind != "f":
        raise AudioError(
            name,
            f"samples must be floating point with full scale ±1, got {values.dtype}.",
            "Divide whole numbers by their full scale first; 16-bit samples: samples / 32768.",
        )
    if values.ndim != 1:
        raise AudioError(
            name,
            f"samples must be one channel of shape (samples,), got the shape {values.shape}.",
            "Mix the channels down first; for (samples, channels): samples.mean(axis=1).",
        )
    if not np.isfinite(values).all():
        raise AudioError(name, "samples hold values that are not finite (NaN or infinity).", "Check their source.")
    return values.astype(np.float32, copy=False)
