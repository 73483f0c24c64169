"""The outline of a recording of any length: its lowest and highest samples, read in blocks and remembered.

Memory holds one block of a minute and the outline itself: a step of 10 ms or less, 3 MB for an hour.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earnest import audio
from earnest.errors import DataError

BLOCK_S = 60
STEPS_PER_S = 100
LEAST_STEPS = 8_000  # of a short recording, whose steps are shorter than 10 ms
REMEMBERED = 16  # recordings
FINE_S = 120  # the longest piece whose samples are read again, where its columns are shorter than a step
_QUIETEST = 1e-5  # -100 dB: the reference of a recording that is silent

_lock = threading.Lock()


@dataclass(frozen=True)
class Envelope:
    """The outline of a recording, mixed to one channel.

    Attributes
    ----------
    minimum, maximum : the lowest (at most 0) and the highest sample (at least 0) of every step, shape (steps,).
    samples, sample_rate : of the whole recording, in samples and hertz.
    """

    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    samples: int
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """How long the recording is."""
        return self.samples / self.sample_rate

    @property
    def loudest_db(self) -> float:
        """The largest sample in decibels below full scale; -100 for silence."""
        return 20 * math.log10(max(_QUIETEST, float(self.maximum.max()), -float(self.minimum.min())))


def peaks(
    path: audio.PathLike, columns: int, start_s: float = 0.0, end_s: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lowest and the highest samples of equal parts of a recording, or of a piece of it.

    Parameters
    ----------
    columns : parts, 1 to 100,000.
    start_s, end_s : the piece in seconds; all of it by default.

    Returns
    -------
    minimum, maximum : shape (columns,), full scale ±1; minimum at most 0 and maximum at least 0. Only of pieces up to
        120 s whose columns are shorter than a step are the samples read again: every column then tells of its own
        samples and of the one before them, so that a drawn line has no gaps.

    Raises
    ------
    AudioError : the recording cannot be read.
    DataError : columns out of range, or an empty piece.
    """
    if not 1 <= columns <= 100_000:
        raise DataError(f"An outline of {columns} columns cannot be made.", "Ask for 1 to 100,000.")
    whole = envelope(path)
    end_s = whole.duration_s if end_s is None else min(end_s, whole.duration_s)
    if not 0 <= start_s < end_s:
        raise DataError(
            f"There is nothing between {start_s} s and {end_s} s of a recording of {whole.duration_s:.2f} s.",
            "Give a start before the end, both inside the recording.",
        )
    steps = len(whole.maximum)
    fine = (end_s - start_s) / columns < whole.duration_s / steps
    if fine and end_s - start_s <= FINE_S and audio.probe(path).frames:
        return _fine(path, columns, start_s, end_s)
    edges = np.linspace(start_s, end_s, columns + 1) / whole.duration_s * steps
    first = np.minimum(np.floor(edges[:-1] + 1e-9).astype(np.int64), steps - 1)
    last = int(min(steps, max(first[-1] + 1, math.ceil(edges[-1] - 1e-9))))
    lowest, highest = (np.append(side[:last], side[last - 1]) for side in (whole.minimum, whole.maximum))
    return np.minimum.reduceat(lowest, first), np.maximum.reduceat(highest, first)


def as_lists(minimum: NDArray[np.float32], maximum: NDArray[np.float32]) -> dict[str, list[float]]:
    """An outline as `minimum` and `maximum` for JSON, each value to a thousandth of the largest one or finer."""
    largest = max(_QUIETEST, float(np.abs(minimum).max()), float(np.abs(maximum).max()))
    digits = 3 - math.floor(math.log10(largest))
    return {
        "minimum": [round(value, digits) for value in minimum.tolist()],
        "maximum": [round(value, digits) for value in maximum.tolist()],
    }


def _fine(
    path: audio.PathLike, columns: int, start_s: float, end_s: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lowest and the highest sample of every column of a piece, each with the sample before it."""
    rate = audio.probe(path).sample_rate
    edges = np.linspace(start_s, end_s, columns + 1) * rate
    begin = max(0, math.floor(edges[0] + 1e-6) - 1)
    samples = audio.load(path, start_s=begin / rate, end_s=max(end_s, (begin + 1) / rate)).samples
    first = np.clip(np.floor(edges[:-1] + 1e-6).astype(np.int64) - 1 - begin, 0, len(samples) - 1)
    last = np.clip(np.ceil(edges[1:] - 1e-6).astype(np.int64) - begin, first + 1, len(samples))
    # reduceat takes pairs of a beginning and an end; ends may be as large as the length only of an array with one more.
    pairs = np.stack([first, last], axis=1).ravel()
    padded = np.append(samples, samples[-1])
    return np.minimum.reduceat(padded, pairs)[::2], np.maximum.reduceat(padded, pairs)[::2]


def envelope(path: audio.PathLike) -> Envelope:
    """The outline of a recording; read once as long as the file stays as it is.

    Raises
    ------
    AudioError : the recording cannot be read.
    """
    with _lock:  # who asks for the same recording at the same time waits, and finds it
        return _envelope(*identity(path))


def identity(path: audio.PathLike) -> tuple[str, int, int]:
    """What a file is remembered by: its place, size in bytes and time of change; a missing one has the size -1."""
    try:
        facts = Path(path).stat()
    except (OSError, ValueError):
        return os.fspath(path), -1, 0
    return os.fspath(path), facts.st_size, facts.st_mtime_ns


def blocks(path: str) -> Iterator[NDArray[np.float32]]:
    """The samples of a recording, (samples,), a minute at a time; all at once where its header hides the length."""
    info = audio.probe(path)
    if not info.frames:
        yield audio.load(path).samples
        return
    whole_s = math.ceil(info.duration_s)
    for start_s in range(0, whole_s, BLOCK_S):
        yield audio.load(path, start_s=start_s, end_s=min(start_s + BLOCK_S, info.duration_s)).samples


@lru_cache(REMEMBERED)
def _envelope(path: str, size: int, changed: int) -> Envelope:
    info = audio.probe(path)
    step = max(1, info.sample_rate // STEPS_PER_S)
    if info.frames:
        step = max(1, min(step, info.frames // LEAST_STEPS))
    lowest, highest, total = [], [], 0
    rest = np.zeros(0, np.float32)
    for block in blocks(path):
        total += len(block)
        joined = np.concatenate([rest, block]) if len(rest) else block
        whole = len(joined) // step * step
        table, rest = joined[:whole].reshape(-1, step), joined[whole:]
        lowest.append(table.min(axis=1, initial=0.0))
        highest.append(table.max(axis=1, initial=0.0))
    if len(rest):
        lowest.append(np.array([min(0.0, rest.min())], np.float32))
        highest.append(np.array([max(0.0, rest.max())], np.float32))
    return Envelope(np.concatenate(lowest), np.concatenate(highest), total, info.sample_rate)
