"""Several answers become one: those of a clip's windows, or of the clips of one recording or person."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Rule = Literal["mean", "majority", "geometric"]

FLOOR = 1e-7  # smaller probabilities count as this: float32 does not tell them from certainty, and none may veto alone


def combine(
    scores: npt.NDArray[np.floating], rule: Rule = "mean", *, exclusive: bool = True
) -> npt.NDArray[np.float64]:
    """Make one row of scores of several.

    `mean` is the mean of each output. `majority` counts for which output each row is highest; equal counts are decided
    by the mean, which enters as one more vote that is divided among the outputs. `geometric` is the geometric mean of
    probabilities, scaled so that they add up to one (arXiv 1901.01189, section 3, for the patches of a clip).

    Parameters
    ----------
    scores : (answers, outputs), at least one answer.
    rule : how.
    exclusive : whether the outputs exclude each other and add up to one; otherwise each is a probability of its own,
        and is combined together with its complement.

    Returns
    -------
    (outputs,) float64; a single answer is returned as it is.
    """
    mean: npt.NDArray[np.float64] = scores.sum(axis=0, dtype=np.float64) / len(scores)
    if rule == "mean" or len(scores) == 1:
        return mean
    if not exclusive:
        pairs = np.stack([1 - scores, scores], axis=-1)  # (answers, outputs, 2)
        return np.array([combine(pairs[:, output], rule)[1] for output in range(scores.shape[1])])
    if rule == "geometric":
        logs = np.log(np.maximum(scores.astype(np.float64), FLOOR)).mean(axis=0)
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())
    votes = np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])
    return np.asarray((votes + mean) / (len(scores) + 1))
