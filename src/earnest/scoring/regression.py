"""How well numbers are predicted: concordance, correlation and error as pure functions, with intervals over groups.

Conventions
-----------
`targets` and `predictions` have shape (clips, dimensions), or (clips,) for one dimension, both in the target's own
unit. Moments are those of the clips themselves (divided by n, not n − 1), as in Lin's definition. A correlation of
something that does not vary is 0: nothing was followed.

L. I.-K. Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility", Biometrics 45 (1989), equation 2:
CCC = 2 cov(t, p) / (var(t) + var(p) + (mean(t) − mean(p))²); it is 1 only where prediction and target are equal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError
from earnest.scoring.intervals import Interval, clips_note, number_groups, totals_bootstrap
from earnest.scoring.scores import Score

Metric = Literal["ccc", "pearson"]
Floats = NDArray[np.float64]

METRICS: tuple[Metric, ...] = ("ccc", "pearson")
STILL = 1e-12  # variances below this, relative to the target's, are rounding: nothing varies


def check_values(targets: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats]:
    """Both as (clips, dimensions) float64, checked.

    Raises
    ------
    DataError : empty, of different or wrong shapes, or values that are not finite.
    """
    true, said = (np.asarray(values, dtype=np.float64) for values in (targets, predictions))
    if true.shape != said.shape:
        raise DataError(
            f"targets have the shape {true.shape} and predictions {said.shape}.", "Give one prediction per target."
        )
    if true.ndim not in (1, 2) or true.size == 0:
        raise DataError(f"targets have the shape {true.shape}, expected (clips,) or (clips, dimensions).")
    if not np.all(np.isfinite(true)):
        raise DataError("targets hold NaN or infinite values.", "Leave out the clips that have no rating.")
    if not np.all(np.isfinite(said)):
        raise DataError("predictions hold NaN or infinite values.", "Did the training diverge?")
    return true.reshape(len(true), -1), said.reshape(len(said), -1)


def concordance(targets: ArrayLike, predictions: ArrayLike) -> Floats:
    """Lin's concordance correlation coefficient of each dimension, shape (dimensions,), from −1 to 1."""
    return _from_moments("ccc", _moments(*check_values(targets, predictions)).sum(axis=0))


def pearson(targets: ArrayLike, predictions: ArrayLike) -> Floats:
    """Pearson's correlation coefficient of each dimension, shape (dimensions,), from −1 to 1."""
    return _from_moments("pearson", _moments(*check_values(targets, predictions)).sum(axis=0))


def rmse(targets: ArrayLike, predictions: ArrayLike) -> Floats:
    """Root of the mean squared error of each dimension, shape (dimensions,), in the target's unit."""
    true, said = check_values(targets, predictions)
    return np.asarray(np.sqrt(np.mean((said - true) ** 2, axis=0)))


def mae(targets: ArrayLike, predictions: ArrayLike) -> Floats:
    """Mean absolute error of each dimension, shape (dimensions,), in the target's unit."""
    true, said = check_values(targets, predictions)
    return np.asarray(np.mean(np.abs(said - true), axis=0))


def score(
    metric: Metric,
    targets: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    unit: str = "groups",
    resamples: int = 2000,
    level: float = 0.95,
) -> Score:
    """The mean of a correlation over dimensions (and seeds), with its interval over groups.

    The interval is made on the logit scale of (1 + r) / 2, which is twice Fisher's z, so that it stays in [−1, 1].

    Parameters
    ----------
    metric : `ccc` or `pearson`.
    targets : (clips, dimensions).
    predictions : (clips, dimensions), or (seeds, clips, dimensions) for the mean over seeds on the same clips.
    groups : the speaker or source of each clip, or None.
    unit : what the groups are, for the method sentence.
    rng, resamples, level : as in `intervals.group_bootstrap`.

    Raises
    ------
    DataError : unknown metric, empty or unequal arrays, values that are not finite.
    """
    if metric not in METRICS:
        raise DataError(f"unknown metric {metric!r}.", f"Known: {', '.join(METRICS)}.")
    true = np.asarray(targets, dtype=np.float64)
    seeds = np.asarray(predictions, dtype=np.float64)
    if seeds.ndim == true.ndim:
        seeds = seeds[None]
    blocks = [_moments(*check_values(true, seed)) for seed in seeds]  # each (clips, dimensions, 6)
    numbers, count, true_groups = number_groups(groups, len(true))
    per_clip = np.concatenate(blocks, axis=1)  # (clips, seeds · dimensions, 6)
    totals = np.zeros((count, *per_clip.shape[1:]))
    np.add.at(totals, numbers, per_clip)

    def finish(sums: Floats) -> Floats:
        found = _from_moments(metric, sums.reshape(len(sums), *per_clip.shape[1:]))
        return np.asarray((1 + found.mean(axis=1)) / 2)

    flat = totals.reshape(count, -1)
    note = f"{count} {unit}" if true_groups else clips_note(groups, len(true))
    interval = totals_bootstrap(flat, finish, rng=rng, resamples=resamples, level=level, note=note)
    value = 2 * float(finish(flat.sum(axis=0, keepdims=True))[0]) - 1
    return Score(value, _from_half(interval), len(true), count)


def summary(targets: ArrayLike, predictions: ArrayLike, names: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """All metrics at once, ready for JSON.

    Returns
    -------
    dict
        ccc, pearson, rmse, mae: means over the dimensions (errors in the targets' unit, so a mean over dimensions says
        something only where these share one); and each by dimension, `ccc_of` and so on.
    """
    found = {
        "ccc": concordance(targets, predictions),
        "pearson": pearson(targets, predictions),
        "rmse": rmse(targets, predictions),
        "mae": mae(targets, predictions),
    }
    means: dict[str, Any] = {key: float(values.mean()) for key, values in found.items()}
    single = {f"{key}_of": dict(zip(names, values.tolist(), strict=True)) for key, values in found.items()}
    return means | single


def _moments(true: Floats, said: Floats) -> Floats:
    """Per clip and dimension 1, t, p, t², p², tp; t and p shifted and scaled alike, which changes no correlation."""
    spread = true.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    t, p = ((values - true.mean(axis=0)) / scale for values in (true, said))
    return np.stack([np.ones_like(t), t, p, t * t, p * p, t * p], axis=-1)


def _from_moments(metric: Metric, sums: Floats) -> Floats:
    """From sums of `_moments`, shape (…, 6), to the correlation, shape (…,)."""
    count, t, p, tt, pp, tp = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_t, mean_p = t / count, p / count
        var_t, var_p = (np.maximum(s / count - m * m, 0) for s, m in ((tt, mean_t), (pp, mean_p)))
        covariance = tp / count - mean_t * mean_p
    if metric == "ccc":
        top, bottom = 2 * covariance, var_t + var_p + (mean_t - mean_p) ** 2
    else:
        top, bottom = covariance, np.sqrt(var_t * var_p)
    moves = (bottom > STILL) & (var_t > STILL) & (var_p > STILL)
    found: Floats = np.divide(top, bottom, out=np.zeros_like(top), where=moves)
    return np.clip(found, -1, 1)


def _from_half(interval: Interval) -> Interval:
    """An interval of (1 + r) / 2 as one of r."""
    method = interval.method.replace("on the logit scale", "on the scale of Fisher's z")
    return replace(interval, low=2 * interval.low - 1, high=2 * interval.high - 1, method=method)
