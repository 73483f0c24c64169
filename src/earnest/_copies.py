"""Clips that hold the same audio: identical by the hash of their samples, near-identical by landmarks and coherence.

Memory stays bounded: clips are decoded one at a time, and again when two are compared.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from earnest import audio
from earnest._agreement import COHERENCE, agreement
from earnest._fingerprint import RATE_HZ, Index
from earnest.errors import AudioError
from earnest.table import Table

SILENCE = "silence"
CACHED_SAMPLES = 32_000_000  # of the audio at 8 kHz, kept between comparisons (128 MB)

Samples = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Copies:
    """Two sets of rows with the same audio: any row of one is a copy of any row of the other (or of its own set)."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    kind: str
    seconds: float
    coherence: float


class Reader:
    """Clips one at a time: as decoded, or at 8 kHz; the latter a few at once."""

    def __init__(self, table: Table, samples: Samples | None, sample_rate: int) -> None:
        self.rejected: dict[int, dict[str, str | None]] = {}
        self._samples, self._rate = samples, sample_rate
        self._ids = table.column("id").to_list()
        self._places = list(zip(*(table.column(name).to_list() for name in ("audio", "start_s", "end_s")), strict=True))
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cached = 0

    def decoded(self, row: int) -> tuple[np.ndarray, int] | None:
        """Samples (mono float32) and their rate, or None when the clip cannot be read."""
        path, start_s, end_s = self._places[row]
        try:
            if self._samples is not None:
                return np.asarray(self._samples(row), dtype=np.float32).ravel(), self._rate
            recording = audio.load(path, start_s=start_s, end_s=end_s)
        except AudioError as error:
            entry = {"id": self._ids[row], "path": error.path, "reason": error.reason, "remedy": error.remedy}
            self.rejected.setdefault(row, entry)
            return None
        return recording.samples, recording.sample_rate

    def narrow(self, row: int, given: tuple[np.ndarray, int] | None = None) -> np.ndarray | None:
        """Samples at 8 kHz without the zeros at either end; `given` spares decoding."""
        if row in self._cache:
            self._cache.move_to_end(row)
            return self._cache[row]
        decoded = given or self.decoded(row)
        if decoded is None:
            return None
        values, rate = heard(decoded[0]), decoded[1]
        narrow = values if rate == RATE_HZ else audio.resample(values, rate, RATE_HZ)
        self._cache[row] = narrow
        self._cached += len(narrow)
        while self._cached > CACHED_SAMPLES and len(self._cache) > 2:
            self._cached -= len(self._cache.popitem(last=False)[1])
        return narrow


def find(reader: Reader, clips: int) -> tuple[list[Copies], list[str]]:
    """All copies: first by the hash of the samples, then by landmarks and coherence."""
    same: dict[str, list[int]] = defaultdict(list)
    index, short = Index(), 0
    for row in range(clips):
        decoded = reader.decoded(row)
        if decoded is None:
            continue
        key = _content(*decoded)
        same[key].append(row)
        if key != SILENCE and len(same[key]) == 1:
            narrow = reader.narrow(row, decoded)
            short += narrow is None or not index.add(row, narrow)
    twins = {rows[0]: tuple(rows) for rows in same.values()}
    found = [
        Copies(rows, rows, SILENCE if key == SILENCE else "identical", 0.0, 1.0)
        for key, rows in ((key, tuple(rows)) for key, rows in same.items())
        if len(rows) > 1
    ]
    for candidate in index.candidates():
        first, second = reader.narrow(candidate.first), reader.narrow(candidate.second)
        if first is None or second is None:
            continue
        agreed = agreement(first, second, candidate.offset)
        if agreed.coherence >= COHERENCE:
            rows = twins[candidate.first], twins[candidate.second]
            found.append(Copies(*rows, "near", agreed.seconds, agreed.coherence))
    notes = [f"{short} clips are too short or too quiet to be compared beyond identity."] if short else []
    if reader.rejected:
        notes.append(f"{len(reader.rejected)} clips could not be read and were not compared.")
    return sorted(found, key=lambda entry: (entry.first, entry.second)), notes


def heard(values: np.ndarray) -> np.ndarray:
    """The samples from the first to the last that is not zero."""
    places = np.flatnonzero(values)
    return values[places[0] : places[-1] + 1] if len(places) else values[:0]


def _content(values: np.ndarray, rate: int) -> str:
    """The hash of what is heard, and its rate."""
    sound = heard(values)
    if len(sound) == 0:
        return SILENCE
    return f"{rate} {hashlib.blake2b(np.ascontiguousarray(sound).tobytes(), digest_size=16).hexdigest()}"
