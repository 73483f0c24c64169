"""When a sound is there, in a stream: from the scores of windows to stretches of time with exact ends.

    scores of each window ─ median of neighbours ─► smoothed ─ hysteresis ─► on and off ─ least lengths ─► stretches

A window speaks for the hop around its middle. Sound begins where the smoothed score reaches the onset and ends where it
falls below the offset; breaks shorter than `min_off_s` are bridged, and then stretches shorter than `min_on_s` left
out. The same code, NumPy only, decides in streams and in scoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from earnest.errors import BundleError


@dataclass(frozen=True)
class Activity:
    """The numbers of a decoder.

    Attributes
    ----------
    label : the label whose scores are followed.
    onset, offset : scores at which a stretch begins, and below which it ends, from 0 to 1; the offset is not above.
    median : how many windows the median is of, odd.
    min_on_s, min_off_s : the shortest stretch, and the shortest break between two, in seconds.
    """

    label: str
    onset: float = 0.5
    offset: float = 0.35
    median: int = 5
    min_on_s: float = 0.1
    min_off_s: float = 0.2

    @classmethod
    def of(cls, values: Mapping[str, Any], labels: Iterable[str]) -> Activity:
        """The numbers in a bundle's key `activity`; keys of later versions are left alone.

        Raises
        ------
        BundleError : the label is none of the model's.
        """
        if values["label"] not in labels:
            raise BundleError(
                f"{values['label']!r} is none of the model's labels: {', '.join(labels)}.",
                "Make the bundle again with `earnest export`.",
            )
        numbers = {field.name: values[field.name] for field in fields(cls)[1:] if field.name in values}
        return cls(values["label"], **numbers)


def is_activity(value: Any) -> bool:
    """Whether a value from a manifest holds what `Activity.of` needs, within its ranges."""
    if not isinstance(value, dict) or not isinstance(value.get("label"), str):
        return False
    numbers = [value.get(key, 0) for key in ("onset", "offset", "min_on_s", "min_off_s")]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        return False
    onset, offset, *lengths = numbers
    median = value.get("median", 1)
    odd = isinstance(median, int) and not isinstance(median, bool) and median % 2 == 1 and 1 <= median <= 10_001
    return 0 <= offset <= onset <= 1 and all(0 <= length <= 3600 for length in lengths) and odd


def odd_windows(seconds: float, sample_rate: int, hop_samples: int) -> int:
    """The odd number of windows nearest to a time, at least one."""
    return 2 * round((seconds * sample_rate / hop_samples - 1) / 2) + 1 if seconds * sample_rate > hop_samples else 1


@dataclass(frozen=True)
class Stretch:
    """One stretch of sound: begin and end in samples, and the mean of its windows' scores."""

    start: int
    end: int
    score: float


class Detector:
    """A decoder at work on one stream.

    Parameters
    ----------
    activity : its numbers.
    sample_rate, window_samples, hop_samples : Hz, and the windows that are given.
    """

    def __init__(self, activity: Activity, sample_rate: int, window_samples: int, hop_samples: int) -> None:
        self._activity = activity
        self._window, self._hop = window_samples, hop_samples
        self._least_on = round(activity.min_on_s * sample_rate)
        self._least_off = round(activity.min_off_s * sample_rate)
        self.reset()

    def reset(self) -> None:
        """Begin a new stream."""
        self._waiting: list[tuple[int, float]] = []  # middles and scores of windows whose neighbours are not all there
        self._known: list[float] = []  # scores behind the first of them, at most half a median
        self._on = False
        self._open: tuple[int, int, float, int] | None = None  # start, end, sum of scores, windows
        self._first = True

    def step(self, end: int, score: float) -> list[Stretch]:
        """Take the next window (its end in samples, its score), and give the stretches that are over."""
        self._waiting.append((end - self._window + self._window // 2, float(score)))
        half = self._activity.median // 2
        return self._decide() if len(self._waiting) > half else []

    def finish(self, end: int) -> list[Stretch]:
        """End the stream at a sample: what is open closes there."""
        found: list[Stretch] = []
        while self._waiting:
            found += self._decide()
        if self._open:
            start, stop, total, windows = self._open
            self._open = (start, end if self._on else stop, total, windows)
            found += self._closed()
        self.reset()
        return found

    def _decide(self) -> list[Stretch]:
        """Decide the first window that waits: the median is of those neighbours that there are."""
        half = self._activity.median // 2
        middle, score = self._waiting[0]
        smoothed = float(np.median(self._known + [other for _, other in self._waiting[: half + 1]]))
        self._known = [*self._known, score][-half:] if half else []
        del self._waiting[0]
        self._on = smoothed >= (self._activity.offset if self._on else self._activity.onset)
        begin = 0 if self._first else middle - self._hop // 2
        until = middle - self._hop // 2 + self._hop
        self._first = False
        return self._extend(begin, until, smoothed) if self._on else self._break(until)

    def _extend(self, begin: int, until: int, score: float) -> list[Stretch]:
        if self._open is None:
            self._open = (begin, until, score, 1)
            return []
        start, stop, total, windows = self._open
        if begin > stop and begin - stop >= self._least_off:  # windows in between were lost
            found = self._closed()
            self._open = (begin, until, score, 1)
            return found
        self._open = (start, until, total + score, windows + 1)
        return []

    def _break(self, until: int) -> list[Stretch]:
        """A window without sound: what is open is over once the break is long enough."""
        if self._open is None or until - self._open[1] < self._least_off:
            return []
        return self._closed()

    def _closed(self) -> list[Stretch]:
        if self._open is None:
            return []
        start, stop, total, windows = self._open
        self._open = None
        return [Stretch(start, stop, total / windows)] if stop - start >= self._least_on else []
