"""The spectrogram of a recording of any length, as pictures of 512 by 256 pixels that are made when they are looked at.

A column at level L is 10 ms · 2^L wide. Up to level 4 a tile is computed from the samples it shows, with a frame every
20 ms (level 0: 10 ms); above, from one pass over the recording with four frames every 320 ms, which is remembered. Rows
go evenly through mel or hertz up to half the sample rate. A frame of 32 ms or a little longer has a Hann window, and a
sine at the level of the recording's largest sample has the brightest colour.
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earnest import audio
from earnest.errors import DataError
from earnest.reporting import png
from earnest.reporting.envelopes import Envelope, blocks, envelope, identity

WIDTH, HEIGHT = 512, 256  # pixels of a tile
STEP_S = 0.01  # a column at level 0
FRAME_S = 0.032  # the shortest frame
OVERVIEW_LEVEL, OVERVIEW_FRAMES = 5, 4
REMEMBERED = 128  # tiles, 128 KiB each
_OVERVIEWS = 8  # recordings, 3 MB for an hour of each
STEP_DB = 0.5  # of what is remembered
_FLOOR = 1e-20
_BATCH = 512  # frames transformed at once

Scale = Literal["mel", "linear"]
Power = NDArray[np.float32]

# matplotlib's maps at eleven even places: even to the eye and in grey print. Also in player/colours.js.
_VIRIDIS = "#440154 #482475 #414487 #355f8d #2a788e #21918c #22a884 #44bf70 #7ad151 #bddf26 #fde725"
_MAGMA = "#000004 #140e36 #3b0f70 #641a80 #8c2981 #b73779 #de4968 #f7705c #fe9f6d #fecf92 #fcfdbf"
PALETTES = {
    "viridis": png.palette(_VIRIDIS.split(), 256),
    "magma": png.palette(_MAGMA.split(), 256),
    "grey": png.palette(("#ffffff", "#000000"), 256),
}
_STEPS = png.palette(("#000000", "#ffffff"), 256)

_lock = threading.Lock()


def levels(duration_s: float) -> int:
    """How many levels there are: at the last one, the whole recording lies in one tile."""
    return 1 + max(0, math.ceil(math.log2(max(duration_s, STEP_S) / STEP_S / WIDTH)))


def tile(
    path: audio.PathLike,
    level: int,
    index: int,
    scale: Scale = "mel",
    range_db: float = 80.0,
    palette: str = "viridis",
) -> bytes:
    """One tile of a recording's spectrogram, as a PNG file.

    Parameters
    ----------
    level, index : columns of 10 ms · 2^level, from column 512 · index on; what lies behind the end is silence.
    scale : rows evenly in mel (HTK's formula) or in hertz.
    range_db : how far below the brightest colour the darkest lies, 20 to 160 dB.
    palette : "viridis", "magma" or "grey".

    Raises
    ------
    AudioError : the recording cannot be read.
    DataError : there is no such tile, scale, range or palette.
    """
    if scale not in ("mel", "linear") or palette not in PALETTES or not 20 <= range_db <= 160:
        raise DataError(
            f"A spectrogram with the scale {scale!r}, {range_db:g} dB and the colours {palette!r} cannot be drawn.",
            f"Scales are mel and linear, ranges 20 to 160 dB, colours {', '.join(PALETTES)}.",
        )
    _check(envelope(path), level, index)
    below = _below_top(*identity(path), level, index, scale)
    shades = np.array([255 - round(min(1.0, step * STEP_DB / range_db) * 255) for step in range(256)], np.uint8)
    return png.encode(shades[below], PALETTES[palette], fast=True)


def grey_tile(path: audio.PathLike, level: int, index: int, scale: Scale = "mel") -> bytes:
    """One tile without colours, small, for pages that hold it and colour it themselves.

    A pixel's grey says how far it lies below the top, in half decibels rounded to whole decibels: black is the top.

    Raises
    ------
    AudioError : the recording cannot be read.
    DataError : there is no such tile.
    """
    _check(envelope(path), level, index)
    below = _below_top(*identity(path), level, index, scale)
    return png.encode(np.bitwise_and(below, np.uint8(0xFE)), _STEPS, fast=True)


def tiles_at(duration_s: float, level: int) -> int:
    """How many tiles a level has."""
    return max(1, math.ceil(duration_s / (STEP_S * 2.0**level) / WIDTH))


def _check(whole: Envelope, level: int, index: int) -> None:
    count = levels(whole.duration_s)
    if not 0 <= level < count or not 0 <= index < tiles_at(whole.duration_s, level):
        raise DataError(
            f"There is no tile {index} at level {level} of a recording of {whole.duration_s:.2f} s.",
            f"Levels go from 0 to {count - 1}; a tile at level L shows {WIDTH * STEP_S:g} s · 2^L.",
        )


@lru_cache(REMEMBERED)
def _below_top(path: str, size: int, changed: int, level: int, index: int, scale: Scale) -> NDArray[np.uint8]:
    """How far each pixel lies below the top in half decibels, (rows, columns), the highest frequency first."""
    whole = envelope(path)
    if level >= OVERVIEW_LEVEL:
        with _lock:
            columns = _overview(path, size, changed, scale)
        power = _coarser(columns, level - OVERVIEW_LEVEL, index)
    else:
        power = _finer(path, whole, level, index, scale)
    below = (whole.loudest_db - 10 * np.log10(np.maximum(power, _FLOOR))) / STEP_DB
    pixels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    pixels[:, : power.shape[1]] = np.clip(np.rint(below), 0, 255)[::-1]
    return pixels


def _finer(path: str, whole: Envelope, level: int, index: int, scale: Scale) -> Power:
    """Mean power of the columns of one tile, (rows, columns), from its samples."""
    rate = whole.sample_rate
    size = frame_size(rate)
    column = STEP_S * 2**level * rate  # in samples
    begin = index * WIDTH * column
    columns = min(WIDTH, math.ceil((whole.samples - begin) / column))
    frames = max(1, 2**level // 2)
    middles = begin + (np.arange(columns * frames) + 0.5) * column / frames
    starts = np.floor(middles - size / 2 + 0.5).astype(np.int64)
    first, last = max(0, int(starts[0])), min(whole.samples, int(starts[-1]) + size)
    samples = audio.load(path, start_s=first / rate, end_s=last / rate).samples
    samples = np.pad(samples, (first - int(starts[0]), max(0, int(starts[-1]) + size - first - len(samples))))
    return _rows(_power(samples, starts - starts[0], rate, frames), rate, scale)


@lru_cache(_OVERVIEWS)
def _overview(path: str, size: int, changed: int, scale: Scale) -> NDArray[np.float16]:
    """Decibels of columns of 320 ms of a whole recording, (rows, columns), in one pass over it."""
    whole = envelope(path)
    rate = whole.sample_rate
    column = STEP_S * 2**OVERVIEW_LEVEL * rate
    parts: list[NDArray[np.float16]] = []
    rest, begin, done = np.zeros(0, np.float32), 0, 0  # `begin`: sample at which `rest` starts; `done`: columns
    for block in blocks(path):
        joined = np.concatenate([rest, block])
        ready = int((begin + len(joined)) / column) - done
        if ready > 0:
            parts.append(_overview_columns(joined, done * column - begin, ready, column, rate, scale))
            done += ready
        kept = max(0, math.floor(done * column) - begin)
        rest, begin = joined[kept:], begin + kept
    if done * column < whole.samples:
        padded = np.pad(rest, (0, math.ceil(column)))
        parts.append(_overview_columns(padded, done * column - begin, 1, column, rate, scale))
    return np.concatenate(parts, axis=1)


def _overview_columns(
    samples: NDArray[np.float32], begin: float, columns: int, column: float, rate: int, scale: Scale
) -> NDArray[np.float16]:
    size = frame_size(rate)
    middles = begin + (np.arange(columns * OVERVIEW_FRAMES) + 0.5) * column / OVERVIEW_FRAMES
    starts = np.maximum(0, np.floor(middles - size / 2 + 0.5).astype(np.int64))
    rows = _rows(_power(samples, starts, rate, OVERVIEW_FRAMES), rate, scale)
    return (10 * np.log10(np.maximum(rows, _FLOOR))).astype(np.float16)


def _coarser(columns: NDArray[np.float16], doublings: int, index: int) -> Power:
    """Mean power of the columns of one tile, (rows, columns), each of 2^doublings columns of the overview."""
    each = 2**doublings
    seen = columns[:, index * WIDTH * each : (index + 1) * WIDTH * each].astype(np.float32)
    power = np.asarray(10 ** (seen / 10), dtype=np.float32)
    first = np.arange(0, power.shape[1], each)
    sums: Power = np.add.reduceat(power, first, axis=1)
    counts = np.diff(np.append(first, power.shape[1]))
    return np.asarray(sums / counts, dtype=np.float32)


def frame_size(sample_rate: int) -> int:
    """Samples of a frame: a power of two, 32 ms or a little longer."""
    size: int = 2 ** math.ceil(math.log2(max(4.0, FRAME_S * sample_rate)))
    return size


def _power(samples: NDArray[np.float32], starts: NDArray[np.int64], rate: int, frames: int) -> Power:
    """Mean power of every `frames` frames, (bins, columns); a full-scale sine has 1; behind the end is silence."""
    size = frame_size(rate)
    missing = int(starts[-1]) + size - len(samples)
    samples = np.pad(samples, (0, missing)) if missing > 0 else np.ascontiguousarray(samples)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32) * np.float32(4 / size)
    framed = np.lib.stride_tricks.sliding_window_view(samples, size)
    parts: list[Power] = []
    for first in range(0, len(starts), _BATCH):
        spectrum = np.fft.rfft(framed[starts[first : first + _BATCH]] * window)
        power: Power = np.asarray(spectrum.real**2 + spectrum.imag**2, dtype=np.float32)
        parts.append(power if frames == 1 else power.reshape(-1, frames, power.shape[1]).mean(axis=1))
    return np.ascontiguousarray(np.concatenate(parts).T)


def _rows(power: Power, rate: int, scale: Scale) -> Power:
    """Power of rows, (rows, columns): between two bins, and the largest of the bins that a row spans."""
    low, share, spans = _row_bins(rate, scale)
    rows = power[low]
    rows += (power[low + 1] - rows) * share
    widths = np.diff(spans)
    for place in range(int(widths.max())):
        wide = np.flatnonzero(widths > place)
        rows[wide] = np.maximum(rows[wide], power[spans[wide] + place])
    return rows


@lru_cache(8)
def _row_bins(rate: int, scale: Scale) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """For each row the bin below its middle and how far beyond it that lies; and the first bin above each edge."""
    size = frame_size(rate)
    edges = np.arange(0, HEIGHT + 0.5, 0.5) / HEIGHT
    hertz = edges * rate / 2 if scale == "linear" else 700 * (10 ** (edges * math.log10(1 + rate / 2 / 700)) - 1)
    places = hertz / rate * size
    middles = places[1::2]
    low = np.minimum(np.floor(middles).astype(np.int64), size // 2 - 1)
    spans = np.ceil(places[::2] - 1e-9).astype(np.int64)
    return low, (middles - low).astype(np.float32)[:, None], spans
