"""One file per task: target, loss, metrics, baseline.

A task is a value. The journey asks it for everything that depends on what is being learnt, so that batches, the loop,
scoring and reporting need not know whether outputs describe clips, frames, embeddings or tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from earnest import registry
from earnest.errors import RecipeError
from earnest.recipe import Part
from earnest.scoring.intervals import Interval

if TYPE_CHECKING:
    from earnest.table import Table

Shape = Literal["clip", "frames", "embedding", "tokens"]


@dataclass(frozen=True)
class Task:
    """What is learnt, and how it is judged.

    Attributes
    ----------
    name : the file name.
    target : the table's column that holds the target, unless a recipe names another.
    shape : what a model must give: one row of outputs per clip, per frame, an embedding, or tokens.
    primary : the metric a run is known by; the recipe may choose another of `metrics`.
    metrics : name → function (targets, probabilities) → value, of those that have one number.
    labels : (table, column) → the sorted names of the outputs.
    encode : (table, column, labels) → targets, one row per clip; (clips, outputs) float32 for clip tasks.
    loss : (outputs, targets, label smoothing) → scalar tensor.
    probabilities : outputs → what is reported; part of the exported graph.
    judge : (targets, scores of each seed, groups or None, metric, rng) → the mean over seeds, and its interval.
    summary : (targets, probabilities, labels) → every metric of `scores.json`.
    baselines : (targets, metric) → the trivial scores {"majority", "chance"} of a metric.
    """

    name: str
    target: str
    shape: Shape
    primary: str
    metrics: Mapping[str, Callable[[np.ndarray, np.ndarray], float]]
    labels: Callable[[Table, str], list[str]]
    encode: Callable[[Table, str, list[str]], np.ndarray]
    loss: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
    probabilities: Callable[[torch.Tensor], torch.Tensor]
    judge: Callable[
        [np.ndarray, Sequence[np.ndarray], np.ndarray | None, str, np.random.Generator], tuple[float, Interval]
    ]
    summary: Callable[[np.ndarray, np.ndarray, list[str]], dict[str, Any]]
    baselines: Callable[[np.ndarray, str], dict[str, float]]


def find(part: Part) -> Task:
    """The task a recipe names."""
    task = registry.load("tasks", part.name).TASK
    if not isinstance(task, Task):
        raise RecipeError(f"tasks/{part.name}.py does not define TASK.")
    if part.options:
        raise RecipeError(f"task {part.name}: unknown option {sorted(part.options)[0]!r}. This task has no options.")
    return task
