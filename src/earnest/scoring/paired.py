"""Paired comparison of two systems on the same clips, resampled by group."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError
from earnest.scoring.classification import check_classes
from earnest.scoring.intervals import Interval, clips_note, number_groups, totals_bootstrap

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

EXACT_GROUPS = 14  # up to 2¹⁴ sign patterns are enumerated, beyond they are drawn
CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class Paired:
    """The difference A − B over the same clips.

    Attributes
    ----------
    difference : the mean difference (over classes first, when targets were given).
    interval : its interval over groups.
    p_value : two-sided, from swapping A and B within whole groups.
    n, groups : how many clips and groups.
    method : one sentence for the report.
    """

    difference: float
    interval: Interval
    p_value: float
    n: int
    groups: int
    method: str


def compare(
    values_a: ArrayLike,
    values_b: ArrayLike,
    groups: ArrayLike | None,
    rng: np.random.Generator,
    *,
    targets: ArrayLike | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> Paired:
    """Is A better than B, or were the groups kind to it?

    Parameters
    ----------
    values_a, values_b : per clip, in the same order: 1 or True for right and 0 for wrong, or any score such as a loss
        or the share of seeds that were right. Shape (clips,).
    groups : the speaker or source of each clip, or None.
    targets : class numbers; when given, the difference is that of the UAR (classes weigh alike), else of the mean.

    Notes
    -----
    The p-value is a permutation test by group: under the null hypothesis A and B are exchangeable within each group, so
    that the sign of each group's summed difference is arbitrary (Good, "Permutation, Parametric and Bootstrap Tests of
    Hypotheses", 2005, section 3.2). G groups cannot give less than 2 / 2^G.

    Raises
    ------
    DataError : empty or unequal arrays, or values that are not finite.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (values_a, values_b))
    if a.ndim != 1 or a.shape != b.shape:
        hint = "Both systems must have answered the same test clips, in the same order."
        raise DataError(f"the two systems have values of shapes {a.shape} and {b.shape}.", hint)
    if a.size == 0 or not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        raise DataError("a comparison needs at least one clip, and finite values.", "Check for NaN.")
    gaps = a - b
    numbers, count, true_groups = number_groups(groups, len(gaps))
    true, classes = np.zeros(len(gaps), dtype=np.int64), 1
    if targets is not None:
        classes = int(np.max(np.asarray(targets), initial=0)) + 1
        true = check_classes(targets, classes)
        if len(true) != len(gaps):
            raise DataError(f"{len(true)} targets for {len(gaps)} clips.", "Give one target per clip.")
    sums, clips = (
        np.bincount(numbers * classes + true, weights, count * classes).reshape(count, classes).astype(np.float64)
        for weights in (gaps, None)
    )
    reach = float(max(np.max(a), np.max(b)) - min(np.min(a), np.min(b))) or 1.0
    interval = totals_bootstrap(
        np.concatenate([clips, sums], axis=1),
        lambda totals: _difference(totals, classes),
        rng=rng,
        resamples=resamples,
        level=level,
        bounds=(-reach, reach),
        note=None if true_groups else clips_note(groups, len(gaps)),
    )
    difference = float(_difference(np.concatenate([clips, sums], axis=1).sum(axis=0, keepdims=True), classes)[0])
    p_value, test = _sign_flips(_contributions(clips, sums), rng, max(resamples, 9999))
    kind = f"{count} groups" if true_groups else "single clips"
    return Paired(difference, interval, p_value, len(gaps), count, f"Paired over {len(gaps)} clips; {test} of {kind}.")


def _difference(totals: Floats, classes: int) -> Floats:
    """The mean over classes that have clips of the mean difference within the class."""
    clips, sums = totals[:, :classes], totals[:, classes:]
    present = clips > 0
    means = np.divide(sums, clips, out=np.zeros_like(sums), where=present)
    return np.asarray(means.sum(axis=1) / present.sum(axis=1))


def _contributions(clips: Floats, sums: Floats) -> Floats:
    """What each group adds to the difference, shape (groups,); they sum to it."""
    per_class = clips.sum(axis=0)
    present = per_class > 0
    return np.asarray((sums[:, present] / per_class[present]).sum(axis=1) / present.sum())


def _sign_flips(contributions: Floats, rng: np.random.Generator, draws: int) -> tuple[float, str]:
    """The two-sided p-value of the sum under random signs, and how it was found."""
    groups = len(contributions)
    observed = abs(float(contributions.sum())) * (1 - 1e-12) - 1e-15
    if groups <= EXACT_GROUPS:
        bits = (np.arange(2**groups)[:, None] >> np.arange(groups)) & 1
        flipped = np.abs((2 * bits - 1) @ contributions)
        smallest = (
            f"exact sign-flip test, smallest possible p {2 / 2**groups:.2g}," if groups <= 6 else "exact sign-flip test"
        )
        return float(np.mean(flipped >= observed)), smallest
    # m equal magnitudes under random signs sum to (2 · Binomial(m, ½) − m) · magnitude
    magnitudes, repeats = np.unique(np.abs(contributions[contributions != 0]), return_counts=True)
    at_least, rows = 0, max(1, CHUNK_VALUES // max(len(magnitudes), 1))
    for start in range(0, draws, rows):
        signs = 2 * rng.binomial(repeats, 0.5, size=(min(rows, draws - start), len(repeats))) - repeats
        at_least += int(np.sum(np.abs(signs @ magnitudes) >= observed))
    return (1 + at_least) / (1 + draws), f"sign-flip test, {draws} random flips,"


def holm(p_values: ArrayLike) -> Floats:
    """P-values adjusted for their number by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

    Parameters
    ----------
    p_values : one per comparison, shape (comparisons,), in [0, 1].

    Returns
    -------
    array
        Adjusted p-values in the same order; those below the level may be called different together.

    Raises
    ------
    DataError : a value outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise DataError(f"p-values must be a list of numbers from 0 to 1, got {p_values!r}.", "Did you pass percent?")
    order = np.argsort(values, kind="stable")
    steps = values[order] * (len(values) - np.arange(len(values)))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(values) else steps
    return adjusted


def describe(
    paired: Paired,
    name_a: str,
    name_b: str,
    threshold: float = 0.05,
    *,
    scale: float = 100.0,
    unit: str = " points",
) -> str:
    """The comparison as one sentence, in points of percent, or in another `unit` with `scale` 1."""
    difference, low, high = (scale * value for value in (paired.difference, paired.interval.low, paired.interval.high))
    digits = 1 if scale > 1 else 3
    better, worse = (name_a, name_b) if paired.difference >= 0 else (name_b, name_a)
    verdict = f"no difference between {name_a} and {name_b} is shown"
    if paired.p_value < threshold:
        verdict = f"{better} is better than {worse}"
    if math.isclose(paired.difference, 0, abs_tol=1e-12) and paired.p_value >= 1:
        verdict = f"{name_a} and {name_b} score the same"
    bounds = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"{verdict}: {difference:+.{digits}f}{unit} {bounds}, p = {paired.p_value:.3g}."
