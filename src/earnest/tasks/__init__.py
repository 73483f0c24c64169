"""One file per task: target, loss, metrics, baseline.

A task is a value. The journey asks it for everything that depends on what is being learnt, so that batches, the loop,
scoring and reporting need not know whether outputs describe clips, frames, embeddings or tokens. What a row of outputs
says about a clip is the task's `kind`:

    classes   exactly one of the labels        scores are probabilities that add up to one
    tags      any number of the labels         scores are probabilities of their own
    values    one number for each label        scores are numbers in the unit of the target

A task file holds `TASK`; one that has options holds `Config` (a frozen dataclass) and `build(config) -> Task` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from earnest import models, registry, splits
from earnest.errors import RecipeError, did_you_mean
from earnest.recipe import Part, Recipe, configure
from earnest.scoring.intervals import Interval

if TYPE_CHECKING:
    from earnest.table import Table

Shape = Literal["clip", "frames", "embedding", "tokens"]
Kind = Literal["classes", "tags", "values"]
Level = Literal["clip", "recording", "subject"]
STREAM = "stream"  # column of recordings that are for streams and are no clips: "background", "speech", or one of these
ONLY = "only"  # never trained on
SAID = "said"  # holds the word that is its label, somewhere in it; only tested
PIECE = "piece"  # a piece of a recording without the words; only trained on
LEVELS: tuple[Level, ...] = ("clip", "recording", "subject")


# (targets, scores of each seed, groups or None, labels, rng) → metric → name → {"value", "interval"}
Details = Callable[
    [np.ndarray, Sequence[np.ndarray], np.ndarray | None, Sequence[str], np.random.Generator], dict[str, Any]
]


@dataclass(frozen=True)
class Listening:
    """How a task's streams are decoded, and what is wanted of that.

    Attributes
    ----------
    words : the labels that make events.
    false_alarms_per_hour : the rate that the threshold is chosen for, on validation streams.
    threshold : taken where there are none.
    release, smoothing_s, refractory_s : as in `earnest.runtime.spotting.Spotting`.
    snr_db : how far the background in the stream of test words lies below each word.
    trained : whether recordings for streams of a fold's training groups are trained on.
    """

    words: tuple[str, ...]
    false_alarms_per_hour: float = 1.0
    threshold: float = 0.5
    release: float = 0.8
    smoothing_s: float = 0.5
    refractory_s: float = 1.0
    snr_db: float = 20.0
    trained: bool = True


@dataclass(frozen=True)
class Detecting:
    """How a task's windows become stretches of time.

    Attributes
    ----------
    label : whose scores are followed.
    gap : how far the offset lies below the onset, which validation streams decide.
    median_s, min_on_s, min_off_s : as in `earnest.runtime.activity.Activity`, the median in seconds.
    """

    label: str
    gap: float = 0.15
    median_s: float = 0.1
    min_on_s: float = 0.1
    min_off_s: float = 0.2


def most_probable(scores: np.ndarray, labels: Sequence[str]) -> list[str]:
    """The label with the highest score of each row of scores (clips, labels), or of one-hot targets."""
    return [labels[index] for index in scores.argmax(1)]


@dataclass(frozen=True)
class Task:
    """What is learnt, and how it is judged.

    Attributes
    ----------
    name : the file name.
    target : the table's column that holds the target, unless a recipe names another.
    shape : what a model must give: one row of outputs per clip, per frame, an embedding, or tokens. Of `frames` a clip
        is scored by the frame that speaks for its middle.
    primary : the metric a run is known by; the recipe may choose another of `metrics`.
    metrics : name → function (targets, probabilities) → value, of those that have one number.
    labels : (table, column) → the sorted names of the outputs.
    encode : (table, column, labels) → targets, one row per clip; (clips, outputs) float32 for clip tasks.
    loss : (outputs, targets, label smoothing) → scalar tensor.
    probabilities : outputs → what is reported; part of the exported graph.
    judge : (targets, scores of each seed, groups or None, metric, rng) → the mean over seeds, and its interval.
    summary : (targets, probabilities, labels) → every metric of `scores.json`.
    baselines : (targets, metric) → the trivial scores of a metric by name, such as {"majority", "chance"}.
    kind : what a row of outputs says about a clip.
    decide : (scores, labels) → what is answered for each clip, in words: the column `prediction`.
    tell : (targets, labels) → what is true of each clip, in words: the column `target`.
    level, levels : of what one score counts once (clips, recordings or subjects) unless a recipe says otherwise, and
        what a recipe may say.
    also : columns that hold the target where the table has no column `target`.
    groups : columns that groups are made of, before speaker and source, where a table has them and the recipe names
        none.
    fit : (task, training targets) → the task with what it takes from the training rows of a fold, such as the scale of
        its target; None where it takes nothing.
    details : (targets, scores of each seed, groups or None, labels, rng) → metric → name → {"value", "interval"}, for
        what is reported beside the score; None where there is nothing.
    notes : table → what a reader of the score should know about the data.
    compose : (table, column, recipe, folder of corpora or None) → the table with the classes and rows that the task
        makes, before anything is decoded; None: the table is taken as it is.
    by_frame : (table, column, labels, moments of the frames in seconds from a clip's begin) → targets (clips, frames,
        outputs) float32 that the frames are trained on, for the shape `frames`.
    delay_s : how much later than its moment a frame is answered for, for the shape `frames`.
    listening, detecting : how streams are decoded, for tasks whose events are scored in streams too: words, or
        stretches of time.
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
    kind: Kind = "classes"
    decide: Callable[[np.ndarray, Sequence[str]], list[str]] = most_probable
    tell: Callable[[np.ndarray, Sequence[str]], list[str]] = most_probable
    level: Level = "clip"
    levels: tuple[Level, ...] = LEVELS
    also: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fit: Callable[[Task, np.ndarray], Task] | None = None
    details: Details | None = None
    notes: Callable[[Table], list[str]] | None = None
    compose: Callable[[Table, str, Recipe, Path | None], Table] | None = None
    by_frame: Callable[[Table, str, list[str], np.ndarray], np.ndarray] | None = None
    delay_s: float = 0.0
    listening: Listening | None = None
    detecting: Detecting | None = None

    def fitted(self, targets: np.ndarray) -> Task:
        """The task as it is learnt from these training targets, (clips, outputs)."""
        return self.fit(self, targets) if self.fit else self


def find(part: Part) -> Task:
    """The task a recipe names.

    Raises
    ------
    RecipeError : unknown task or option.
    """
    module = registry.load("tasks", part.name)
    if hasattr(module, "Config"):
        task = module.build(configure(module.Config, part.options, f"task {part.name}"))
    else:
        task = getattr(module, "TASK", None)
        if part.options:
            unknown = sorted(part.options)[0]
            raise RecipeError(f"task {part.name}: unknown option {unknown!r}. This task has no options.")
    if not isinstance(task, Task):
        raise RecipeError(f"tasks/{part.name}.py does not define TASK.")
    return task


def check(task: Task, recipe: Recipe) -> None:
    """Say before anything is decoded what a task cannot do with a recipe.

    Raises
    ------
    RecipeError : an unknown primary metric; a model that only tells classes apart, or gives another shape than the task
        wants; smoothing of what are no labels.
    """
    shape = models.shape_of(recipe.model.name)
    if shape != task.shape:
        raise RecipeError(
            f"the model {recipe.model.name} answers by {shape}, and the task {task.name} wants it by {task.shape}.",
            "Frames are for task={name: detection, shape: frames}." if shape == "frames" else "Example: model=vad_gru",
        )
    if shape == "frames" and recipe.training.members > 1:
        raise RecipeError("a model that answers for frames is trained alone.", "Set training.members=1.")
    if recipe.primary and recipe.primary not in task.metrics:
        raise RecipeError(f"primary: unknown metric {recipe.primary!r}.", did_you_mean(recipe.primary, task.metrics))
    if task.kind != "classes" and models.is_estimator(recipe.model.name):
        raise RecipeError(
            f"the model {recipe.model.name} tells classes apart, and the task {task.name} has {task.kind}.",
            "Choose a network, for example model=ds_cnn.",
        )
    if task.kind == "values" and recipe.training.label_smoothing:
        raise RecipeError(
            f"training.label_smoothing mixes labels, and the task {task.name} has numbers.", "Set it to 0."
        )


def level_of(task: Task, wanted: str | None) -> Level:
    """The level at which a task is scored: what the recipe wants, else the task's own.

    Raises
    ------
    RecipeError : at this level the task's score would claim what it cannot.
    """
    if wanted is None:
        return task.level
    found = next((level for level in task.levels if level == wanted), None)
    if found is None:
        raise RecipeError(
            f"level={wanted}: the task {task.name} is scored by {' or '.join(task.levels)} only. Several pieces of one "
            "person share voice, room and session: counted one by one they look like as many cases, and the score and "
            "its interval say nothing about new people.",
            f"Leave level out, or set level={task.level}.",
        )
    return found


def column_of(task: Task, wanted: str | None, table: Table) -> str:
    """The column of a table that holds the target: what the recipe wants, else the first that there is."""
    choices = (task.target, *task.also)
    return wanted or next((name for name in choices if table.has(name)), task.target)


def groups_of(task: Task, wanted: Sequence[str] | None, table: Table) -> tuple[str, ...] | None:
    """The columns to group by: what the recipe wants, else the task's own with speaker and source; None: the usual."""
    if wanted or not any(table.has(name) for name in task.groups):
        return tuple(wanted) if wanted else None
    return tuple(name for name in (*task.groups, *splits.DEFAULT_GROUPS) if table.has(name))
