"""Finding clips that may be copies among many, by landmarks; `_agreement` decides whether they are.

The strongest peaks of a spectrogram are joined in pairs; (frequency, frequency, distance) is a hash that
survives gain, polarity, time shifts, coding, resampling and noise (Wang, "An Industrial-Strength Audio Search
Algorithm", ISMIR 2003). Two clips that share several hashes at one and the same time offset are a candidate.

Everything happens at 8 kHz between 300 and 3400 Hz, the band that every codec and every sampling rate keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Integers = NDArray[np.int64]

RATE_HZ = 8_000
WINDOW = 512  # 64 ms
HOP = 64  # 8 ms
LOW_HZ, HIGH_HZ = 300, 3_400
PRE_EMPHASIS = 0.9

PEAK_FRAMES, PEAK_BINS = 4, 4  # a peak is the largest value within ±32 ms and ±62 Hz
SLAB_FRAMES, PEAKS_PER_SLAB = 16, 10  # the ten strongest per 128 ms
FLOOR = 1e-6  # peaks more than 60 dB below the clip's strongest are noise of the codec
PARTNERS = 10  # hashes per peak
NEAREST, FARTHEST = 2, 48  # frames between the two peaks of a hash

PLENTY = (
    300  # hashes per clip that suffice; longer clips keep every second, fourth or eighth, chosen by the hash itself
)
INDEX_LIMIT = 16_000_000  # hashes held at once (about 200 MB); beyond, all clips are thinned alike
NEIGHBOURS, CROWD_NEIGHBOURS, CROWD = 32, 4, 256  # how many of those that share a hash are compared, by their number
PAIR_LIMIT = 4_000_000  # matching hashes counted at once

MIN_VOTES = 4  # hashes in common at one offset
MIN_SHARE = 0.04  # the same, as a share of what the smaller clip offers
SHORTEST = RATE_HZ // 8  # below an eighth of a second nothing but identity is looked for


def landmarks(samples: Samples) -> tuple[Integers, Integers]:
    """The hashes of a clip at 8 kHz, and the frame at which each begins.

    Parameters
    ----------
    samples : mono audio at `RATE_HZ`, shape (samples,).

    Returns
    -------
    tuple
        hashes below 2²² and frame numbers, both int64 of shape (hashes,); empty for silence.
    """
    times, bins = _peaks(samples)
    hashes, starts = [], []
    partners = np.zeros(len(times), dtype=np.int64)
    for step in range(1, len(times)):
        distance = times[step:] - times[:-step]
        if distance.min() > FARTHEST:
            break
        fits = np.flatnonzero((distance >= NEAREST) & (distance <= FARTHEST) & (partners[:-step] < PARTNERS))
        partners[fits] += 1
        hashes.append((bins[fits] * 256 + bins[fits + step]) * 32 + distance[fits] // 2)
        starts.append(times[fits])
        if partners[:-step].min() >= PARTNERS:
            break
    empty = np.zeros(0, dtype=np.int64)
    return np.concatenate([empty, *hashes]), np.concatenate([empty, *starts])


def _peaks(samples: Samples) -> tuple[Integers, Integers]:
    """Frames and bins of the spectral peaks, ordered by time, then by frequency."""
    power = _power(samples)
    strongest = power.max(initial=0.0)
    if strongest <= 1e-12:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    around = _running_maximum(_running_maximum(power, PEAK_FRAMES).T, PEAK_BINS).T
    times, bins = np.nonzero((power == around) & (power > strongest * FLOOR))
    slab = times // SLAB_FRAMES
    order = np.lexsort((-power[times, bins], slab))
    rank = np.arange(len(order)) - np.searchsorted(slab[order], slab[order])
    kept = np.sort(order[rank < PEAKS_PER_SLAB])
    return times[kept], bins[kept]


def _power(samples: Samples) -> NDArray[np.float32]:
    """The power spectrogram between `LOW_HZ` and `HIGH_HZ`, shape (frames, bins)."""
    padded = np.zeros(len(samples) + WINDOW, dtype=np.float32)
    padded[WINDOW // 2 : WINDOW // 2 + len(samples)] = samples
    padded[1:] -= PRE_EMPHASIS * padded[:-1]
    frames = sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)
    spectrum = spectrum[:, LOW_HZ * WINDOW // RATE_HZ : HIGH_HZ * WINDOW // RATE_HZ + 1]
    return np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)


def _running_maximum(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The maximum over `reach` rows before and after each row."""
    result = values.copy()
    for step in range(1, min(reach, len(values) - 1) + 1):
        np.maximum(result[step:], values[:-step], out=result[step:])
        np.maximum(result[:-step], values[step:], out=result[:-step])
    return result


@dataclass(frozen=True)
class Candidate:
    """Two clips that may be copies: frame `t` of `first` sounds like frame `t + offset` of `second`."""

    first: int
    second: int
    offset: int
    votes: int


@dataclass
class Index:
    """Landmarks of many clips, from which pairs with common hashes are found."""

    _hashes: list[NDArray[np.int32]] = field(default_factory=list)
    _frames: list[NDArray[np.int32]] = field(default_factory=list)
    _clips: list[int] = field(default_factory=list)
    _offered: list[int] = field(default_factory=list)  # hashes before thinning
    _kept: list[int] = field(default_factory=list)  # of 256 parts, how many this clip keeps
    _size: int = 0
    _limit: int = 256

    def add(self, clip: int, samples: Samples) -> bool:
        """Take in a clip at 8 kHz; False when it holds too little to be recognised."""
        if len(samples) < SHORTEST:
            return False
        hashes, frames = landmarks(samples)
        if len(hashes) < MIN_VOTES:
            return False
        share = 256
        while share > 32 and len(hashes) * share > 2 * 256 * PLENTY:
            share //= 2
        keep = _rank(hashes) < min(share, self._limit)
        self._hashes.append(hashes[keep].astype(np.int32))
        self._frames.append(frames[keep].astype(np.int32))
        self._clips.append(clip)
        self._offered.append(len(hashes))
        self._kept.append(share)
        self._size += int(keep.sum())
        if self._size > INDEX_LIMIT and self._limit > 1:
            self._thin()
        return True

    def _thin(self) -> None:
        """Halve what is kept, by a rule on the hash itself, so that copies keep the same hashes."""
        self._limit //= 2
        for place, hashes in enumerate(self._hashes):
            keep = _rank(hashes.astype(np.int64)) < self._limit
            self._hashes[place], self._frames[place] = hashes[keep], self._frames[place][keep]
        self._size = sum(map(len, self._hashes))

    def candidates(self) -> list[Candidate]:
        """Pairs of clips with enough hashes in common at one offset, in a stable order."""
        if len(self._clips) < 2:
            return []
        clips = np.repeat(np.arange(len(self._clips), dtype=np.int32), [len(hashes) for hashes in self._hashes])
        hashes, frames = np.concatenate(self._hashes), np.concatenate(self._frames)
        order = np.lexsort((frames, clips, hashes))
        hashes, frames, clips = hashes[order], frames[order], clips[order]
        sizes = np.unique(hashes, return_counts=True)[1]
        crowded = np.repeat(sizes > CROWD, sizes)
        counted = _count(hashes, frames, clips, crowded, len(self._clips))
        return self._enough(*counted)

    def _enough(self, firsts: Integers, seconds: Integers, offsets: Integers, votes: Integers) -> list[Candidate]:
        """Of all pairs and offsets, each pair's best where it has enough votes."""
        kept = np.minimum(np.array(self._kept), self._limit)
        offered = np.array(self._offered)
        smaller = np.minimum(offered[firsts], offered[seconds]) * np.minimum(kept[firsts], kept[seconds]) / 256
        enough = votes >= np.maximum(MIN_VOTES, MIN_SHARE * smaller)
        firsts, seconds, offsets, votes = firsts[enough], seconds[enough], offsets[enough], votes[enough]
        order = np.lexsort((offsets, -votes, seconds, firsts))
        best: dict[tuple[int, int], Candidate] = {}
        for place in order:
            pair = self._clips[firsts[place]], self._clips[seconds[place]]
            best.setdefault(pair, Candidate(*pair, int(offsets[place]), int(votes[place])))
        return list(best.values())


def _rank(hashes: Integers) -> Integers:
    """A number from 0 to 255 that depends on the hash alone (Knuth's multiplicative hashing)."""
    return np.asarray((hashes * 2654435761 & 0xFFFFFFFF) >> 24)


def _count(
    hashes: NDArray[np.int32],
    frames: NDArray[np.int32],
    clips: NDArray[np.int32],
    crowded: NDArray[np.bool_],
    total: int,
) -> tuple[Integers, Integers, Integers, Integers]:
    """How often two clips share a hash at an offset (±1 frame); pairs seen once or twice are dropped on the way.

    In each set of equal hashes every entry meets its next neighbours, in the order of clips. In a crowded set these are
    few: true copies share their hashes in the same order throughout, and meet all the same.
    """
    span = 1 << 24  # offsets of up to 18 hours
    pending: list[Integers] = []
    for step in range(1, NEIGHBOURS + 1):
        same = (hashes[step:] == hashes[:-step]) & (clips[step:] != clips[:-step])
        if step > CROWD_NEIGHBOURS:
            same &= ~crowded[step:]
        here = np.flatnonzero(same)
        if len(here) == 0 and step > CROWD_NEIGHBOURS:
            break
        first, second = clips[here].astype(np.int64), clips[here + step].astype(np.int64)
        offset = frames[here + step].astype(np.int64) - frames[here]
        pending.append((first * total + second) * span + offset + span // 2)
    keys, counts = np.unique(np.concatenate(pending), return_counts=True)
    before = np.r_[0, np.where(np.diff(keys) == 1, counts[:-1], 0)]
    after = np.r_[np.where(np.diff(keys) == 1, counts[1:], 0), 0]
    votes = counts + before + after
    likely = votes >= MIN_VOTES
    keys, votes = keys[likely], votes[likely]
    pairs, offsets = keys // span, keys % span - span // 2
    return pairs // total, pairs % total, offsets, votes
