"""Classification: each clip has exactly one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.nn import functional

from earnest.errors import DataError
from earnest.scoring import classification as metrics
from earnest.scoring.intervals import Interval
from earnest.scoring.scores import Metric, score
from earnest.tasks import Task

if TYPE_CHECKING:
    from earnest.table import Table


def labels(table: Table, column: str) -> list[str]:
    """The sorted labels of a column.

    Raises
    ------
    DataError : the column is absent, has empty cells, or holds fewer than two labels.
    """
    if not table.has(column):
        raise DataError(
            f"the table {table.name!r} has no column {column!r} to learn.",
            f"Its columns are: {', '.join(table.frame.columns)}. Name one with target=COLUMN.",
        )
    values = table.column(column)
    if values.null_count():
        raise DataError(
            f"{values.null_count()} clips of {table.name!r} have no {column!r}.", "Label them or leave them out."
        )
    found = sorted({str(value) for value in values.to_list()})
    if len(found) < 2:
        raise DataError(
            f"every clip of {table.name!r} has the same {column} ({found[0]!r}): there is nothing to tell apart.",
            "Add recordings of at least one other class.",
        )
    return found


def encode(table: Table, column: str, names: list[str]) -> np.ndarray:
    """Targets as one-hot rows, float32 (clips, labels), so that mixed clips have mixed targets."""
    place = {name: index for index, name in enumerate(names)}
    classes = np.array([place[str(value)] for value in table.column(column).to_list()])
    rows: np.ndarray = np.eye(len(names), dtype=np.float32)[classes]
    return rows


def loss(outputs: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy between logits (batch, labels) and target distributions of the same shape."""
    return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)


def probabilities(outputs: torch.Tensor) -> torch.Tensor:
    """Softmax over labels."""
    return torch.softmax(outputs, dim=-1)


def accuracy(targets: np.ndarray, scores: np.ndarray) -> float:
    """Share of clips whose most probable label is right."""
    return metrics.accuracy(targets.argmax(1), scores.argmax(1))


def uar(targets: np.ndarray, scores: np.ndarray) -> float:
    """Unweighted average recall: the mean of the classes' recalls."""
    return metrics.unweighted_average_recall(targets.argmax(1), scores.argmax(1), scores.shape[1])


def macro_f1(targets: np.ndarray, scores: np.ndarray) -> float:
    """Mean of the classes' F1."""
    return metrics.macro_f1(targets.argmax(1), scores.argmax(1), scores.shape[1])


def judge(
    targets: np.ndarray, scores: Sequence[np.ndarray], groups: np.ndarray | None, metric: str, rng: np.random.Generator
) -> tuple[float, Interval]:
    """A metric over several seeds' scores of the same clips, with its interval over groups."""
    predictions = np.stack([seed.argmax(1) for seed in scores])
    result = score(cast("Metric", metric), targets.argmax(1), predictions, targets.shape[1], groups, rng=rng)
    return result.value, result.interval


def summary(targets: np.ndarray, scores: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Every metric of a set of clips; recalls of classes without test clips are null."""
    return metrics.summary(targets.argmax(1), scores, names)


def baselines(targets: np.ndarray, metric: str) -> dict[str, float]:
    """What guessing gives: always the most frequent label, and all labels alike."""
    return metrics.baselines(targets.argmax(1), targets.shape[1], metric=cast("Metric", metric))


TASK = Task(
    name="classification",
    target="label",
    shape="clip",
    primary="accuracy",
    metrics={"accuracy": accuracy, "uar": uar, "macro_f1": macro_f1},
    labels=labels,
    encode=encode,
    loss=loss,
    probabilities=probabilities,
    judge=judge,
    summary=summary,
    baselines=baselines,
)
