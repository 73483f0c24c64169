"""Tagging: each clip has any number of labels.

The column `labels` (or the one that a recipe names) holds a list, or text in which a semicolon, a vertical bar or a
comma stands between labels: the first of these that occurs anywhere in the column, so that a label may hold those
after it. An empty list is a clip with none of the labels; an empty cell is a clip that nobody has labelled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.nn import functional

from earnest.errors import DataError, did_you_mean
from earnest.scoring import tagging as metrics
from earnest.scoring.intervals import Interval
from earnest.tasks import Task

if TYPE_CHECKING:
    from earnest.table import Table

SEPARATORS = (";", "|", ",")
NONE = "–"  # what is said of a clip without any label


def labels(table: Table, column: str) -> list[str]:
    """The sorted labels that occur.

    Raises
    ------
    DataError : the column is absent or has empty cells; no clip has a label, or every clip has all of them.
    """
    found = sorted({label for given in _tags(table, column) for label in given})
    if not found:
        raise DataError(f"no clip of {table.name!r} has any of its {column}.", "Label the clips first.")
    if len(found) == 1 and all(_tags(table, column)):
        raise DataError(
            f"every clip of {table.name!r} has the one label {found[0]!r}: there is nothing to tell apart.",
            "Add recordings without it, or with others.",
        )
    return found


def encode(table: Table, column: str, names: list[str]) -> np.ndarray:
    """Targets (clips, labels) float32: 1 where a clip has the label, else 0."""
    given = [set(tags) for tags in _tags(table, column)]
    return np.array([[name in tags for name in names] for tags in given], dtype=np.float32)


def loss(outputs: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Binary cross-entropy of logits (batch, labels), the mean over clips and labels; smoothing draws targets to ½."""
    softened = targets * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs, softened)


def probabilities(outputs: torch.Tensor) -> torch.Tensor:
    """A sigmoid for each label."""
    return torch.sigmoid(outputs)


def mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """Average precision, the mean over the labels that occur (mAP)."""
    return metrics.value("map", targets, scores)


def auc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, the mean over labels."""
    return metrics.value("auc", targets, scores)


def micro_f1(targets: np.ndarray, scores: np.ndarray) -> float:
    """F1 of all decisions together, at 0.5."""
    return metrics.value("micro_f1", targets, scores)


def macro_f1(targets: np.ndarray, scores: np.ndarray) -> float:
    """F1 of each label at 0.5, the mean over labels."""
    return metrics.value("macro_f1", targets, scores)


def judge(
    targets: np.ndarray, scores: Sequence[np.ndarray], groups: np.ndarray | None, metric: str, rng: np.random.Generator
) -> tuple[float, Interval]:
    """A metric over several seeds' scores of the same clips, with its interval over groups."""
    result = metrics.score(cast("metrics.Metric", metric), targets, np.stack(scores), groups, rng=rng)
    return result.value, result.interval


def details(
    targets: np.ndarray,
    scores: Sequence[np.ndarray],
    groups: np.ndarray | None,
    names: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Average precision, with its interval over groups, and AUC of each label."""
    return metrics.by_tag(targets, np.stack(scores), groups, list(names), rng)


def summary(targets: np.ndarray, scores: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Every metric of a set of clips; what no test clip can tell is null."""
    return metrics.summary(targets, scores, names)


def baselines(targets: np.ndarray, metric: str) -> dict[str, float]:
    """What giving every clip the share of clips that have a label scores, its prevalence."""
    return metrics.baselines(targets, cast("metrics.Metric", metric))


def given(scores: np.ndarray, names: Sequence[str]) -> list[str]:
    """The labels of each row of scores (or targets) from 0.5 on, as `dog; rain`; a dash where there are none."""
    rows = scores >= metrics.THRESHOLD
    return ["; ".join(name for name, yes in zip(names, row, strict=True) if yes) or NONE for row in rows]


def _tags(table: Table, column: str) -> list[list[str]]:
    """The labels of each clip."""
    if not table.has(column):
        raise DataError(
            f"the table {table.name!r} has no column {column!r} to learn.",
            f"{did_you_mean(column, table.frame.columns)} Name a column of lists with target=COLUMN.",
        )
    values = table.column(column)
    if values.null_count():
        raise DataError(
            f"{values.null_count()} clips of {table.name!r} have no {column!r}.",
            "Leave out clips that nobody has labelled; give those with none of the labels an empty list, [].",
        )
    cells = values.to_list()
    if values.dtype.is_nested():
        return [[str(label) for label in cell] for cell in cells]
    texts = [str(cell).strip() for cell in cells]
    if all(text.startswith("[") for text in texts):
        return [_read_list(table, column, text) for text in texts]
    separator = next((mark for mark in SEPARATORS if any(mark in text for text in texts)), SEPARATORS[0])
    return [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]


def _read_list(table: Table, column: str, text: str) -> list[str]:
    try:
        return [str(label) for label in json.loads(text)]
    except ValueError as error:
        raise DataError(
            f"{table.name}: {text[:60]!r} in {column!r} is no JSON list: {error}.", 'Write ["dog", "rain"] or dog;rain.'
        ) from error


TASK = Task(
    name="tagging",
    target="labels",
    shape="clip",
    primary="map",
    metrics={"map": mean_average_precision, "auc": auc, "micro_f1": micro_f1, "macro_f1": macro_f1},
    labels=labels,
    encode=encode,
    loss=loss,
    probabilities=probabilities,
    judge=judge,
    summary=summary,
    baselines=baselines,
    kind="tags",
    decide=given,
    tell=given,
    details=details,
)
