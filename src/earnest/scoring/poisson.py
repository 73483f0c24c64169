"""Rates of rare events, such as false alarms per hour, with their exact interval."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from earnest.errors import DataError

HALVINGS = 80


def rate_interval(events: int, exposure: float, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a Poisson rate.

    F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936: the low end is the rate at which so
    many events or more would be seen with probability (1 - level) / 2, the high end that of so many or fewer. Without
    any event the low end is 0 and the high end, at 95 %, 3.69 / exposure.

    Parameters
    ----------
    events : how many were counted.
    exposure : over how long, in the unit that the rate is per (hours).
    level : nominal coverage in (0, 1).

    Raises
    ------
    DataError : a negative number of events, no exposure, or a level outside (0, 1).
    """
    if events < 0 or not exposure > 0:
        raise DataError(f"a rate needs events ≥ 0 over an exposure > 0, got {events} over {exposure}.")
    if not 0 < level < 1:
        raise DataError(f"level is {level}, expected a fraction such as 0.95.", "Did you pass percent? Divide by 100.")
    tail = (1 - level) / 2
    top = events + 12 * math.sqrt(events + 1) + 60.0
    low = 0.0 if events == 0 else _root(lambda mean: 1 - at_most(events - 1, mean) - tail, top)
    high = _root(lambda mean: tail - at_most(events, mean), top)
    return low / exposure, high / exposure


def at_most(events: int, mean: float) -> float:
    """The probability of so many events or fewer, by the sum of its terms."""
    if mean == 0:
        return 1.0
    counts = np.arange(events + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    return float(min(1.0, np.exp(counts * math.log(mean) - mean - log_factorials).sum()))


def _root(rising: Callable[[float], float], top: float) -> float:
    """Where a rising function of a mean in [0, top] crosses zero."""
    low, high = 0.0, top
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
