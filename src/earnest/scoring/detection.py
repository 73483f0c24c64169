"""Detection over time: how well stretches of sound are found, frame by frame and at their ends.

Conventions
-----------
Frames are booleans of equal length (10 ms, as elsewhere in the field of voice activity); stretches are pairs of begin
and end in seconds. The detection cost is 0.75 P(miss) + 0.25 P(false alarm) (NIST OpenSAT 2019, speech activity
detection). No collar is left out around the ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError

MISS_WEIGHT, FALSE_WEIGHT = 0.75, 0.25
REACH_S = 0.5  # so far from a true end one that was found may be and still be the same
Stretch = tuple[float, float]


def frame_rates(truth: ArrayLike, said: ArrayLike) -> dict[str, float | None]:
    """Missed share of the frames with sound, falsely reported share of those without, and the cost of both.

    A share is None where there are no such frames, and so is the cost.

    Raises
    ------
    DataError : arrays of different lengths, or empty ones.
    """
    true, given = (np.asarray(values, dtype=bool) for values in (truth, said))
    if true.ndim != 1 or true.shape != given.shape or not len(true):
        raise DataError(f"frames have the shapes {true.shape} and {given.shape}.", "Expected (frames,) for both.")
    missed = float((~given[true]).mean()) if true.any() else None
    false = float(given[~true].mean()) if not true.all() else None
    cost = None if missed is None or false is None else MISS_WEIGHT * missed + FALSE_WEIGHT * false
    return {"missed": missed, "false_alarms": false, "cost": cost}


def edge_errors(truth: Sequence[Stretch], said: Sequence[Stretch], reach_s: float = REACH_S) -> dict[str, Any]:
    """How far the begins and the ends of found stretches lie from the true ones.

    Each true begin is paired with the nearest found begin that is not paired yet, in the order of their distances, and
    so are ends; what is further away than the reach has no partner.

    Returns
    -------
    `onset` and `offset`: signed errors in seconds (later is positive) of the pairs; `n`, `found`: how many stretches
    there are, and were found.
    """
    onsets, offsets = (
        _paired([pair[side] for pair in truth], [pair[side] for pair in said], reach_s) for side in (0, 1)
    )
    return {"onset": onsets, "offset": offsets, "n": len(truth), "found": len(said)}


def _paired(truth: Sequence[float], said: Sequence[float], reach_s: float) -> list[float]:
    near = sorted(
        (abs(other - place), row, column)
        for row, place in enumerate(truth)
        for column, other in enumerate(said)
        if abs(other - place) <= reach_s
    )
    rows: set[int] = set()
    columns: set[int] = set()
    errors: list[tuple[int, float]] = []
    for _, row, column in near:
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            errors.append((row, said[column] - truth[row]))
    return [error for _, error in sorted(errors)]


def frames_of(stretches: Sequence[Stretch], frames: int, frame_s: float) -> NDArray[np.bool_]:
    """Stretches as frames: a frame is on where its middle lies in any of them."""
    middles = (np.arange(frames) + 0.5) * frame_s
    on = np.zeros(frames, dtype=bool)
    for begin, end in stretches:
        on |= (middles >= begin) & (middles < end)
    return on


def joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Stretches that touch or overlap become one, in the order of time."""
    result: list[Stretch] = []
    for begin, end in sorted(stretches):
        if result and begin <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((begin, end))
    return result
