"""Predictions while the audio is still coming in.

Windows lie where they lie in a whole recording: at 0, hop, 2 hop, ... as soon as each is complete, and at `flush` one
last window aligned with the end. How the audio is cut into chunks does not matter, to the last bit.

A model that answers for frames gets each sample once, in pieces of a hop and what its first frame needs of the piece
before; each frame is then a window of its own, and the model's state goes on from piece to piece, over gaps too.

A bundle with `spotting` reports keywords: one event for each time that a word is said (`earnest.runtime.spotting`); one
with `activity` reports each stretch in which a sound is there, when it is over (`earnest.runtime.activity`).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import BundleError
from earnest.runtime.activity import Activity, Detector, Stretch
from earnest.runtime.bundle import MODEL, Bundle
from earnest.runtime.frames import Frames
from earnest.runtime.graph import Graph
from earnest.runtime.predictor import as_audio
from earnest.runtime.spotting import Spotter, Spotting


@dataclass(frozen=True)
class Event:
    """What the model says about one window of a stream.

    A window makes one event for classes, one for each tag that reaches its threshold, and one for each value. A keyword
    makes one event for each time that it is said, in the first window in which it is heard; a detected sound one for
    each stretch of it, when that is over.

    Attributes
    ----------
    start_s, end_s : where the window (or the stretch) lies, in seconds since the start of the stream.
    label, score : the label with the highest score, and that score; or a tag and its probability; or the name of a
        value and the number, in the unit of the training targets; or a keyword and its smoothed score; or the sound and
        its mean smoothed score.
    """

    start_s: float
    end_s: float
    label: str
    score: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"start_s": self.start_s, "end_s": self.end_s, "label": self.label, "score": self.score}


@dataclass(frozen=True)
class Window:
    """A window of a stream: where it lies, in samples, the model's scores (labels,), and whether all of it is zero."""

    start: int
    end: int
    scores: npt.NDArray[np.float32]
    silent: bool = False


class Streamer:
    """A bundle listening to a stream.

    It remembers one window of audio and nothing else, however long the stream runs.

    Parameters
    ----------
    bundle : a bundle, or the path of one.
    threshold : smallest score that makes an event, from 0 to 1. None: the bundle's own threshold for the label, and
        where it has none, every window makes an event (tags: from a score of 0.5 on). For keywords it is the smallest
        smoothed score, for detected sounds the smoothed score at which a stretch begins.
    threads : threads for the model, at least 1.
    model : which of the bundle's model files to run.

    Raises
    ------
    BundleError : the bundle is missing, damaged, of a newer format, or does not load; the threshold is out of range, or
        there is one and the bundle gives values.

    Examples
    --------
    >>> streamer = Streamer("runs/fsdd/bundle")  # doctest: +SKIP
    >>> events = [event for chunk in chunks for event in streamer.feed(chunk)] + streamer.flush()  # doctest: +SKIP
    """

    def __init__(
        self,
        bundle: Bundle | str | os.PathLike[str],
        threshold: float | None = None,
        threads: int = 1,
        *,
        model: str = MODEL,
    ) -> None:
        if threshold is not None and not 0 <= threshold <= 1:
            raise BundleError(f"a threshold is a score from 0 to 1, got {threshold}.", "Scores are probabilities.")
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        if threshold is not None and self.bundle.kind == "values":
            raise BundleError(f"{self.bundle.directory} gives values, which have no threshold.", "Leave it out.")
        self._graph = Graph(self.bundle, threads, model)
        self._window, self._hop = self.bundle.window_samples, self.bundle.hop_samples
        self._frames = Frames.of(self.bundle.frames) if self.bundle.frames else None
        if self._frames:
            self._window, self._hop = self._frames.piece(self._hop)
        self._thresholds = [
            self.bundle.threshold(label) if threshold is None else threshold for label in self.bundle.labels
        ]
        self._spotter: Spotter | None = None
        if self.bundle.spotting is not None:
            spotting = Spotting.of(self.bundle.spotting, self.bundle.labels)
            spotting = spotting if threshold is None else replace(spotting, threshold=threshold)
            labels, rate = self.bundle.labels, self.bundle.sample_rate
            self._spotter = Spotter(spotting, labels, rate, self._hop)
        self._detector: Detector | None = None
        if self.bundle.activity is not None:
            activity = Activity.of(self.bundle.activity, self.bundle.labels)
            if threshold is not None:
                activity = replace(activity, onset=threshold, offset=min(activity.offset, threshold))
            step = self._frames.step_samples if self._frames else None  # a frame is a window of its own
            window, hop = step or self._window, step or self._hop
            self._detected = self.bundle.labels.index(activity.label)
            self._detector = Detector(activity, self.bundle.sample_rate, window, hop)
        # A ring of one window: sample number i of the stream lies at i modulo the window.
        self._ring = np.zeros(self._window, dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the audio so far; the next sample is the first of a new stream."""
        self._fed = 0  # samples of the stream so far
        self._state: npt.NDArray[np.float32] | None = None  # of a model that answers for frames
        self._next_end = self._window  # where the next window will be complete
        self._last_end = 0  # where the last window that was run ended
        for decoder in (self._spotter, self._detector):
            if decoder:
                decoder.reset()

    def feed(self, samples: npt.ArrayLike, on_window: Callable[[Window], None] | None = None) -> list[Event]:
        """Take the next piece of the stream, of any length, and give the events of the windows it completes.

        Parameters
        ----------
        samples : (samples,) floating point, full scale ±1, mono, at the bundle's sample rate; may be empty.
        on_window : called with each of those windows, whatever the thresholds.

        Raises
        ------
        AudioError : whole numbers, several channels, or values that are not finite; the stream stays as it was.
        """
        return self._told(self.windows(samples), on_window)

    def flush(self, on_window: Callable[[Window], None] | None = None) -> list[Event]:
        """End the stream: the event of the last window, if the windows so far do not reach the end; then start anew.

        A stream shorter than a window is fitted as a file of that length would be; an empty one gives nothing.
        """
        events = self._told(self._rest(), on_window)
        if self._detector:
            events += self._stretches(self._detector.finish(self._fed))
        self.reset()
        return events

    def skip(self, samples: int) -> list[Event]:
        """Let so many samples of the stream pass that were lost: silence stands in their place, and time goes on.

        Windows that still hold audio are run; those within the gap are left out.
        """
        window, hop = self._window, self._hop
        events = self.feed(np.zeros(min(samples, window), dtype=np.float32))
        if samples > window:  # the ring holds silence alone
            self._fed += samples - window
            self._next_end += max(0, (self._fed - self._next_end) // hop + 1) * hop
            self._last_end = self._fed
        return events

    def another(self) -> Streamer:
        """A further stream through the same loaded model, from its beginning."""
        other = copy.copy(self)
        other._ring = np.zeros_like(self._ring)
        other._spotter = copy.deepcopy(self._spotter)
        other._detector = copy.deepcopy(self._detector)
        other.reset()
        return other

    def windows(self, samples: npt.ArrayLike) -> list[Window]:
        """As `feed`, but all scores of each window, whatever the thresholds."""
        chunk = as_audio(samples, "stream")
        found: list[Window] = []
        while chunk.size:
            room = self._next_end - self._fed
            self._store(chunk[:room])
            chunk = chunk[room:]
            if self._fed == self._next_end:
                self._next_end += self._hop
                found += self._run(self._window)
        return found

    def last_window(self) -> list[Window]:
        """As `flush`, but all scores of the last window, if there is one."""
        found = self._rest()
        self.reset()
        return found

    def _rest(self) -> list[Window]:
        """The window that ends with the stream, if none has ended there; of frames, those that are complete."""
        if self._frames:
            rest = self._fed - (self._next_end - self._window)
            return self._run(rest) if rest >= self._frames.reach_samples else []
        return self._run(min(self._fed, self._window)) if self._fed > self._last_end else []

    def _store(self, piece: npt.NDArray[np.float32]) -> None:
        """Write a piece behind what is there; of a piece longer than the ring only the end will ever be needed."""
        size = self._ring.size
        tail = piece[-size:]
        at = (self._fed + piece.size - tail.size) % size
        first = min(tail.size, size - at)
        self._ring[at : at + first] = tail[:first]
        self._ring[: tail.size - first] = tail[first:]
        self._fed += piece.size

    def _run(self, length: int) -> list[Window]:
        """Run the model on the last `length` samples of the stream."""
        size = self._ring.size
        at = (self._fed - length) % size
        window = np.concatenate((self._ring[at:], self._ring[:at]))[:length]
        self._last_end, start = self._fed, self._fed - length
        if self._frames is None:
            return [Window(start, self._fed, self._graph.scores(window), silent=not window.any())]
        rows, self._state = self._graph.frames(window, self._state)
        step = self._frames.step_samples
        moments = [start + self._frames.moment(number) for number in range(len(rows))]
        begins = [(moment - step // 2, row) for moment, row in zip(moments, rows, strict=True) if moment >= 0]
        return [Window(begin, begin + step, row) for begin, row in begins]

    def _told(self, windows: Iterable[Window], on_window: Callable[[Window], None] | None) -> list[Event]:
        """The events of windows, which are shown to who wants to see them."""
        events: list[Event] = []
        for window in windows:
            if on_window:
                on_window(window)
            events += self._events(window)
        return events

    def _events(self, window: Window) -> list[Event]:
        """What is said of a window: a stretch that is over, a keyword, the best class, what reaches its threshold."""
        scores, rate = window.scores, self.bundle.sample_rate
        if window.silent and (self._detector or self._spotter):
            scores = np.zeros_like(scores)
        if self._detector:
            return self._stretches(self._detector.step(window.end, float(scores[self._detected])))
        if self._spotter:
            heard = self._spotter.step(window.end, scores)
            return (
                [Event(window.start / rate, window.end / rate, self.bundle.labels[heard[0]], heard[1])] if heard else []
            )
        said = [int(scores.argmax())] if self.bundle.kind == "classes" else range(len(scores))
        return [
            Event(window.start / rate, window.end / rate, self.bundle.labels[index], float(scores[index]))
            for index in said
            if float(scores[index]) >= self._thresholds[index]
        ]

    def _stretches(self, found: list[Stretch]) -> list[Event]:
        """Stretches of the detected sound as events."""
        rate, label = self.bundle.sample_rate, self.bundle.labels[self._detected]
        return [Event(stretch.start / rate, stretch.end / rate, label, stretch.score) for stretch in found]
