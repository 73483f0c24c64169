"""Depression from speech: two classes of people, scored by person.

What is claimed is about people, so a person counts once: the scores of all their recordings become one (`levels`), and
that is right or wrong. Scored by clip, the same network looks far better and its interval far narrower than anything
that can be said about a new person; so other levels than `subject` are refused.

The labels are put in the order (healthy, depressed). Which one is meant by depressed is known by its name, or said with
`task: {name: depression, positive: LABEL}`. Sensitivity is the share of depressed people who are found, specificity
that of healthy ones who are left alone; their mean is the UAR.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from earnest.errors import DataError
from earnest.scoring import classification as metrics
from earnest.scoring.binary import auc_score, rate_score
from earnest.scoring.intervals import Interval
from earnest.scoring.ranking import roc_auc
from earnest.tasks import Task, classification

if TYPE_CHECKING:
    from earnest.table import Table

POSITIVE = ("depressed", "depression", "mdd", "patient", "positive", "yes", "true", "1")
RATES: tuple[Literal["sensitivity", "specificity"], ...] = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Config:
    """The task's options.

    Attributes
    ----------
    positive : the label of depressed people; None: the one whose name says so.
    """

    positive: str | None = None


def labels(table: Table, column: str, positive: str | None = None) -> list[str]:
    """The two labels, healthy before depressed.

    Raises
    ------
    DataError : there are not exactly two labels, or it is not clear which of them means depressed.
    """
    found = classification.labels(table, column)
    if len(found) != 2:
        raise DataError(
            f"depression is told by two labels, and {column!r} of {table.name!r} holds {len(found)}: "
            f"{', '.join(found[:6])}.",
            "Join them into two, or name another column with target=COLUMN.",
        )
    meant = [label for label in found if (label == positive if positive else label.strip().lower() in POSITIVE)]
    if len(meant) != 1:
        raise DataError(
            f"which of {found[0]!r} and {found[1]!r} means depressed is not clear.",
            "Say it with task='{name: depression, positive: LABEL}'.",
        )
    return [next(label for label in found if label != meant[0]), meant[0]]


def sensitivity(targets: np.ndarray, scores: np.ndarray) -> float:
    """Share of the depressed who are found; NaN where there are none."""
    return float(metrics.recall_per_class(targets.argmax(1), scores.argmax(1), 2)[1])


def specificity(targets: np.ndarray, scores: np.ndarray) -> float:
    """Share of the healthy who are left alone; NaN where there are none."""
    return float(metrics.recall_per_class(targets.argmax(1), scores.argmax(1), 2)[0])


def auc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of the probability of depression; NaN where one kind of people is absent."""
    return roc_auc(targets[:, 1], scores[:, 1])


def judge(
    targets: np.ndarray, scores: Sequence[np.ndarray], groups: np.ndarray | None, metric: str, rng: np.random.Generator
) -> tuple[float, Interval]:
    """A metric over several seeds' scores of the same people, with its interval over groups (here: people)."""
    if metric in RATES:
        answers = np.stack([seed.argmax(1) for seed in scores])
        result = rate_score(targets.argmax(1), answers, 1 if metric == "sensitivity" else 0, groups, rng=rng)
    elif metric == "auc":
        result = auc_score(targets[:, 1], np.stack([seed[:, 1] for seed in scores]), groups, rng=rng)
    else:
        return classification.judge(targets, scores, groups, metric, rng)
    return result.value, result.interval


def details(
    targets: np.ndarray,
    scores: Sequence[np.ndarray],
    groups: np.ndarray | None,
    names: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Sensitivity, specificity and AUC with their intervals; null where a kind of people is absent."""
    people = np.bincount(targets.argmax(1), minlength=2)
    found: dict[str, Any] = {}
    for metric, n in (("sensitivity", people[1]), ("specificity", people[0]), ("auc", people.min())):
        value, interval = judge(targets, scores, groups, metric, rng) if n else (None, None)
        found[metric] = {"value": value, "interval": interval.as_list() if interval else None, "n": int(n)}
    return {"rates": found}


def summary(targets: np.ndarray, scores: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Every metric of classification, with sensitivity, specificity and AUC."""
    single = {"sensitivity": sensitivity, "specificity": specificity, "auc": auc}
    values = {key: metric(targets, scores) for key, metric in single.items()}
    known = {key: None if np.isnan(value) else value for key, value in values.items()}
    return classification.summary(targets, scores, names) | known


def baselines(targets: np.ndarray, metric: str) -> dict[str, float]:
    """What guessing gives; sensitivity alone, or specificity alone, is had for nothing by always answering the same."""
    if metric == "auc":
        return {"chance": 0.5}
    if metric in RATES:
        return {"majority": 1.0, "chance": 0.5}
    return classification.baselines(targets, metric)


def build(config: Config) -> Task:
    """The task of this configuration."""
    return dataclasses.replace(
        classification.TASK,
        name="depression",
        primary="uar",
        metrics={
            "uar": classification.uar,
            "macro_f1": classification.macro_f1,
            "accuracy": classification.accuracy,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "auc": auc,
        },
        labels=partial(labels, positive=config.positive),
        judge=judge,
        details=details,
        summary=summary,
        baselines=baselines,
        level="subject",
        levels=("subject",),
    )
