"""Regression: each clip has one number for each dimension, such as valence, arousal and dominance.

The target is one column or several, `target: "valence, arousal"`; without one, those of valence (or pleasure, its other
name), arousal and dominance that the table has.

A network learns in standard units: the mean and the standard deviation of every dimension over the training rows of
the fold are the task's own (`fitted`). `probabilities` turns outputs back, outputs · deviation + mean, and as it is the
last step of the exported graph, every file gives the unit of the target; scores and predictions are in that unit too.
The loss is 1 − CCC, averaged over dimensions. CCC does not change when target and prediction are shifted and scaled
alike, so it is the same in standard units.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
import torch

from earnest.errors import DataError, did_you_mean
from earnest.scoring import regression as metrics
from earnest.scoring.intervals import Interval
from earnest.tasks import Task

if TYPE_CHECKING:
    from earnest.table import Table

DEFAULT = "valence,arousal,dominance"
EPSILON = 1e-8  # of a variance in standard units: keeps the loss and its gradient finite where nothing varies


def labels(table: Table, column: str) -> list[str]:
    """The dimensions, in the order of the recipe.

    Raises
    ------
    DataError : a column is absent, or has cells that are empty or no numbers, or holds one number only.
    """
    names = _dimensions(table, column)
    for name in names:
        values = _numbers(table, name)
        lacking = int(np.sum(~np.isfinite(values)))
        if lacking:
            raise DataError(f"{lacking} clips of {table.name!r} have no number as {name!r}.", "Rate or leave them out.")
        if np.ptp(values) == 0:
            raise DataError(
                f"every clip of {table.name!r} has the same {name} ({values[0]:g}): there is nothing to follow.",
                "Name other columns with target=COLUMN,COLUMN.",
            )
    return names


def encode(table: Table, column: str, names: list[str]) -> np.ndarray:
    """Targets (clips, dimensions) float32, in their own unit."""
    return np.stack([_numbers(table, name) for name in names], axis=1).astype(np.float32)


def ccc_loss(
    outputs: torch.Tensor,
    targets: torch.Tensor,
    smoothing: float,
    *,
    mean: Sequence[float] = (0.0,),
    deviation: Sequence[float] = (1.0,),
) -> torch.Tensor:
    """1 − Lin's concordance correlation over the batch, averaged over dimensions.

    Parameters
    ----------
    outputs : (batch, dimensions), in standard units.
    targets : (batch, dimensions), in their own unit.
    smoothing : not used; there are no labels to smooth, and a recipe that asks for it is refused.
    mean, deviation : of each dimension over the training rows.

    A batch in which targets or outputs do not vary has a loss of 1 or so and a finite gradient.
    """
    said = outputs.float()
    wanted = (targets - targets.new_tensor(mean)) / targets.new_tensor(deviation)
    gap = said.mean(0) - wanted.mean(0)  # (dimensions,)
    covariance = ((said - said.mean(0)) * (wanted - wanted.mean(0))).mean(0)
    spread = said.var(0, correction=0) + wanted.var(0, correction=0)
    return (1 - 2 * covariance / (spread + gap**2 + EPSILON)).mean()


def in_unit(
    outputs: torch.Tensor, *, mean: Sequence[float] = (0.0,), deviation: Sequence[float] = (1.0,)
) -> torch.Tensor:
    """Outputs (batch, dimensions) in standard units → numbers in the target's own unit."""
    return outputs * outputs.new_tensor(deviation) + outputs.new_tensor(mean)


def fit(task: Task, targets: np.ndarray) -> Task:
    """The task with the scale of the training rows' targets, (clips, dimensions)."""
    mean = tuple(targets.mean(0, dtype=np.float64).tolist())
    deviation = tuple(float(value) or 1.0 for value in targets.std(0, dtype=np.float64))
    return dataclasses.replace(
        task,
        loss=partial(ccc_loss, mean=mean, deviation=deviation),
        probabilities=partial(in_unit, mean=mean, deviation=deviation),
    )


def ccc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Concordance correlation, the mean over dimensions."""
    return float(metrics.concordance(targets, scores).mean())


def pearson(targets: np.ndarray, scores: np.ndarray) -> float:
    """Pearson's correlation, the mean over dimensions."""
    return float(metrics.pearson(targets, scores).mean())


def judge(
    targets: np.ndarray, scores: Sequence[np.ndarray], groups: np.ndarray | None, metric: str, rng: np.random.Generator
) -> tuple[float, Interval]:
    """A correlation over several seeds' scores of the same clips, with its interval over groups."""
    result = metrics.score(cast("metrics.Metric", metric), targets, np.stack(scores), groups, rng=rng)
    return result.value, result.interval


def details(
    targets: np.ndarray,
    scores: Sequence[np.ndarray],
    groups: np.ndarray | None,
    names: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Both correlations of each dimension, with their intervals over groups."""
    found: dict[str, Any] = {}
    for metric in metrics.METRICS:
        found[metric] = {}
        for place, name in enumerate(names):
            single = [seed[:, place : place + 1] for seed in scores]
            value, interval = judge(targets[:, place : place + 1], single, groups, metric, rng)
            found[metric][name] = {"value": value, "interval": interval.as_list()}
    return found


def summary(targets: np.ndarray, scores: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Every metric of a set of clips."""
    return metrics.summary(targets, scores, names)


def baselines(targets: np.ndarray, metric: str) -> dict[str, float]:
    """Always answering the mean of the training rows follows nothing: both correlations are 0."""
    return {"mean": 0.0}


def in_words(values: np.ndarray, names: Sequence[str]) -> list[str]:
    """Each row of values (clips, dimensions) as `valence 3.2, arousal 1.75`."""
    return [", ".join(f"{name} {value:.3g}" for name, value in zip(names, row, strict=True)) for row in values]


def _dimensions(table: Table, column: str) -> list[str]:
    """The columns that a target names; of the default ones those that are there."""
    if column == DEFAULT:
        first = "valence" if table.has("valence") else "pleasure"
        found = [name for name in (first, "arousal", "dominance") if table.has(name)]
        if found:
            return found
    names = [name.strip() for name in column.split(",") if name.strip()]
    for name in names:
        if not table.has(name):
            raise DataError(
                f"the table {table.name!r} has no column {name!r} to learn.",
                f"{did_you_mean(name, table.frame.columns)} Name columns of numbers with target=COLUMN,COLUMN.",
            )
    return names


def _numbers(table: Table, name: str) -> np.ndarray:
    """A column as float64 (clips,); NaN where a cell holds no number."""
    values = table.column(name).cast(pl.Float64, strict=False)
    numbers: np.ndarray = values.fill_null(float("nan")).to_numpy()
    return numbers


TASK = Task(
    name="regression",
    target=DEFAULT,
    shape="clip",
    primary="ccc",
    metrics={"ccc": ccc, "pearson": pearson},
    labels=labels,
    encode=encode,
    loss=ccc_loss,
    probabilities=in_unit,
    judge=judge,
    summary=summary,
    baselines=baselines,
    kind="values",
    decide=in_words,
    tell=in_words,
    fit=fit,
    details=details,
)
