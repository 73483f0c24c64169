"""Keywords in a stream: from the scores of windows to events, one for each time that a word is said.

    scores of each window ─ moving average ─► smoothed scores ─ threshold, hysteresis, refractory time ─► events

A word makes an event in the window in which its smoothed score reaches the threshold. It makes no second one before
that score has fallen below the release (hysteresis), and for the refractory time after any event no word makes one. A
window without a single sample other than zero holds no word, whatever a model that never met it says: its scores are 0.
The moving average follows G. Chen, C. Parada, G. Heigold, "Small-footprint keyword spotting using deep neural
networks", ICASSP 2014, section 2.3; of its two windows only the first is used, since the model sees a whole word at
once. Everything here is NumPy, and the same code decides in streams, in scoring and in the choice of thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError

Floats = npt.NDArray[np.float64]
Answers = Callable[[Iterable[npt.NDArray[np.float32]]], Iterator[tuple[int, npt.NDArray[Any]]]]
"""A stream in pieces of any length → where a window ends, in samples, and its scores (labels,), window by window."""


@dataclass(frozen=True)
class Spotting:
    """The numbers of a decoder.

    Attributes
    ----------
    words : the labels that make events; the others (unknown words, silence) never do.
    threshold : smoothed score from which on a word is heard, from 0 to 1.
    release : part of the threshold below which a word's smoothed score must fall before it can be heard again, from 0
        to 1.
    smoothing_s : seconds over whose windows scores are averaged; at least one window.
    refractory_s : seconds after an event in which no other can follow.
    """

    words: tuple[str, ...]
    threshold: float = 0.5
    release: float = 0.8
    smoothing_s: float = 0.5
    refractory_s: float = 1.0

    @classmethod
    def of(cls, values: Mapping[str, Any], labels: Sequence[str]) -> Spotting:
        """The numbers in a bundle's key `spotting`; keys of later versions are left alone.

        Raises
        ------
        BundleError : a word is none of the labels.
        """
        numbers = {field.name: values[field.name] for field in fields(cls)[1:] if field.name in values}
        found = cls(tuple(values["words"]), **numbers)
        foreign = sorted(set(found.words) - set(labels))
        if foreign:
            raise BundleError(
                f"the keyword {foreign[0]!r} is none of the model's labels: {', '.join(labels)}.",
                "Make the bundle again with `earnest export`.",
            )
        return found


def is_spotting(value: Any) -> bool:
    """Whether a value from a manifest holds what `Spotting.of` needs: words, and numbers within their ranges."""
    if not isinstance(value, dict) or not isinstance(value.get("words"), list) or not value["words"]:
        return False
    numbers = [value.get(key, 0) for key in ("threshold", "release", "smoothing_s", "refractory_s")]
    return (
        all(isinstance(word, str) for word in value["words"])
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
        and all(0 <= number <= 1 for number in numbers[:2])
        and all(0 <= number <= 3600 for number in numbers[2:])
    )


class Smoother:
    """The moving average of the last windows' scores.

    Parameters
    ----------
    windows : how many, at least 1; at the beginning of a stream as many as there are.
    """

    def __init__(self, windows: int) -> None:
        self._most = windows
        self.reset()

    def reset(self) -> None:
        """Forget the windows so far."""
        self._rows: list[Floats] = []

    def step(self, scores: npt.ArrayLike) -> Floats:
        """Take the scores (labels,) of the next window, and give the mean of the last windows, float64."""
        self._rows.append(np.asarray(scores, dtype=np.float64))
        del self._rows[: -self._most]
        return np.asarray(np.mean(self._rows, axis=0))


class Gate:
    """Threshold, hysteresis and refractory time.

    Parameters
    ----------
    words : columns of the scores that can make events.
    threshold, release : scores at which a word is heard, and below which it can be heard again.
    refractory : samples after the end of an event's window in which no other can follow.
    """

    def __init__(self, words: Sequence[int], threshold: float, release: float, refractory: int) -> None:
        self._words = np.asarray(words, dtype=np.int64)
        self._threshold, self._release, self._refractory = threshold, release, refractory
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._held = np.zeros(len(self._words), dtype=bool)
        self._quiet_until = 0

    def matter(self, smoothed: Floats) -> npt.NDArray[np.int64]:
        """Which windows of a stream change anything when stepped through, by their smoothed scores (windows, labels).

        They are those in which a word is not below its release, and the first one behind each of these.
        """
        high = smoothed[:, self._words].max(axis=1) >= min(self._release, self._threshold)
        high[1:] |= high[:-1].copy()
        return np.flatnonzero(high)

    def step(self, end: int, smoothed: Floats) -> int | None:
        """Which column of the smoothed scores (labels,) makes an event in the window that ends at `end`, or None."""
        scores = smoothed[self._words]
        self._held &= scores >= self._release
        if end < self._quiet_until:
            return None
        free = np.where(self._held, -1.0, scores)
        best = int(free.argmax())
        if free[best] < self._threshold:
            return None
        self._held[best] = True
        self._quiet_until = end + self._refractory
        return int(self._words[best])


class Spotter:
    """A decoder at work on one stream.

    Parameters
    ----------
    spotting : its numbers.
    labels : the columns of the scores.
    sample_rate, hop_samples : Hz, and the distance of two windows.
    """

    def __init__(self, spotting: Spotting, labels: Sequence[str], sample_rate: int, hop_samples: int) -> None:
        self._smoother = Smoother(smoothed_windows(spotting, sample_rate, hop_samples))
        self._gate = gate_of(spotting, labels, sample_rate)

    def reset(self) -> None:
        """Begin a new stream."""
        self._smoother.reset()
        self._gate.reset()

    def step(self, end: int, scores: npt.ArrayLike) -> tuple[int, float] | None:
        """The label and the smoothed score of the event that a window (its end in samples, its scores) makes."""
        smoothed = self._smoother.step(scores)
        heard = self._gate.step(end, smoothed)
        return None if heard is None else (heard, float(smoothed[heard]))


def smoothed_windows(spotting: Spotting, sample_rate: int, hop_samples: int) -> int:
    """Over how many windows scores are averaged."""
    return max(1, round(spotting.smoothing_s * sample_rate / hop_samples))


def gate_of(spotting: Spotting, labels: Sequence[str], sample_rate: int) -> Gate:
    """The gate of a decoder's numbers."""
    words = [labels.index(word) for word in spotting.words]
    refractory = round(spotting.refractory_s * sample_rate)
    return Gate(words, spotting.threshold, spotting.threshold * spotting.release, refractory)
