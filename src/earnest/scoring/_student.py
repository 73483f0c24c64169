"""Quantiles of Student's t, so that scoring needs NumPy only."""

from __future__ import annotations

import math


def t_cdf(t: float, degrees: int) -> float:
    """P(T <= t) for whole degrees of freedom: Abramowitz & Stegun 26.7.3 (odd) and 26.7.4 (even)."""
    angle = math.atan2(t, math.sqrt(degrees))
    cosine_squared = math.cos(angle) ** 2
    term, total = 1.0, 0.0
    if degrees % 2:
        for k in range(3, degrees + 1, 2):
            total += term
            term *= cosine_squared * (k - 1) / k
        central = 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)
    else:
        for k in range(2, degrees + 1, 2):
            total += term
            term *= cosine_squared * (k - 1) / k
        central = math.sin(angle) * total
    return 0.5 + central / 2


def t_quantile(probability: float, degrees: int) -> float:
    """The t with P(T <= t) = probability, by bisection; `0.5 <= probability < 1`."""
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < probability:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2
