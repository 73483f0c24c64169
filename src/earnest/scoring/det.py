"""Two kinds of error over every threshold: the DET curve, its equal error rate and its least cost.

Conventions: a trial is a *target* (the class that is looked for) or not; higher scores speak for it. At a threshold,
scores equal to it or above are accepted. A *miss* is a target that is not accepted, a *false alarm* an accepted other.

References: Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997. The cost is
that of NIST's speaker recognition evaluations, C_miss · P_miss · P_target + C_fa · P_fa · (1 − P_target), divided by
the cost of the better of always accepting and never accepting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earnest.errors import DataError

Floats = NDArray[np.float64]
P_TARGET = 0.05


@dataclass(frozen=True)
class Det:
    """The errors at every threshold.

    Attributes
    ----------
    thresholds : the scores that were seen, falling, after one above all of them (infinity), shape (points,).
    misses, false_alarms : shares of the targets and of the others, shape (points,); misses fall, false alarms rise.
    """

    thresholds: Floats
    misses: Floats
    false_alarms: Floats

    @property
    def equal_error_rate(self) -> float:
        """Where misses and false alarms are equally frequent, on the straight line between the points beside it."""
        gap = self.misses - self.false_alarms  # from 1 down to -1
        after = int(np.argmax(gap <= 0))
        before = after - 1
        share = gap[before] / (gap[before] - gap[after])
        return float(self.misses[before] + share * (self.misses[after] - self.misses[before]))

    def least_cost(self, p_target: float = P_TARGET) -> float:
        """The smallest normalised cost over all thresholds (minDCF), with both errors costing 1.

        Parameters
        ----------
        p_target : how frequent targets are supposed to be, in (0, 1).

        Raises
        ------
        DataError : `p_target` lies outside (0, 1).
        """
        if not 0 < p_target < 1:
            raise DataError(f"p_target must lie between 0 and 1, not {p_target}.")
        costs = p_target * self.misses + (1 - p_target) * self.false_alarms
        return float(costs.min() / min(p_target, 1 - p_target))


def det(targets: ArrayLike, scores: ArrayLike) -> Det:
    """The DET curve of a set of trials.

    Parameters
    ----------
    targets : True or 1 where the trial is a target, shape (trials,).
    scores : the higher, the more a target, shape (trials,).

    Raises
    ------
    DataError : shapes that differ, scores that are not finite, targets that are neither 0 nor 1, or one kind only.

    Examples
    --------
    >>> det([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.1]).equal_error_rate
    0.5
    """
    true, values = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if true.ndim != 1 or true.shape != values.shape:
        raise DataError(f"targets of shape {true.shape} and scores of shape {values.shape}: expected (trials,) each.")
    if not np.isfinite(values).all():
        raise DataError("a score is not finite.", "Check for NaN.")
    if not np.isin(true, (0.0, 1.0)).all():
        raise DataError("targets must be 0 or 1.", "1 stands for the class that is looked for.")
    wanted = int(true.sum())
    if wanted in (0, len(true)):
        raise DataError(f"{wanted} of {len(true)} trials are targets: a DET curve needs both kinds.")
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # equal scores are accepted together
    hits = np.cumsum(true[order])[last]
    alarms = last + 1 - hits
    return Det(
        np.concatenate([[np.inf], falling[last]]),
        np.concatenate([[1.0], 1 - hits / wanted]),
        np.concatenate([[0.0], alarms / (len(true) - wanted)]),
    )


def probit(shares: ArrayLike) -> Floats:
    """Shares in (0, 1) as standard normal deviates, the axes on which normal scores make a straight DET curve."""
    from statistics import NormalDist

    normal = NormalDist()
    deviates: Floats = np.vectorize(normal.inv_cdf, otypes=[np.float64])(np.asarray(shares, dtype=np.float64))
    return deviates
