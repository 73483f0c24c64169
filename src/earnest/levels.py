"""Of what a score counts once: each clip, each recording, or each person.

    clip        one row of the table: a whole recording, or a piece of one (see `segments`)
    recording   what the pieces were cut from
    subject     one speaker

Clips of one person are no independent cases. Where a claim is about people (depression), the subject is what counts:
the scores of a subject's clips become one, and that one is right or wrong. A level is offered only where each of its
units has one target; a speaker who is recorded happy and sad has no subject level.

Several seeds stay apart, and so do several folds: in a leaky twin, where a subject's clips are scattered over the
folds, it counts once in each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from earnest.errors import RecipeError
from earnest.recipe import Recipe
from earnest.runtime.combine import Rule, combine
from earnest.table import Table
from earnest.tasks import LEVELS, Level, Task, find, level_of

COLUMN = {
    "clip": "id",
    "recording": "recording",
    "subject": "subject",
}  # the column of the predictions that names units


def name_units(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Add to rows with `id` and `speaker` the columns `recording` (the clip itself where it is whole) and `subject`."""
    names = table.frame.select("id", recording="recording" if table.has("recording") else "id")
    return (
        frame.drop("recording", strict=False)
        .join(names, on="id", how="left", maintain_order="left")
        .with_columns(subject="speaker")
    )


def check_recipe(recipe: Recipe) -> None:
    """Say before anything is decoded that a level or a rule does not go with the task.

    Raises
    ------
    RecipeError : the task refuses the level, or its outputs are no probabilities and cannot vote.
    """
    task = find(recipe.task)
    level_of(task, recipe.level)
    if task.kind == "values" and recipe.combine != "mean":
        raise RecipeError(
            f"combine={recipe.combine} needs probabilities, and the task {task.name} gives numbers.",
            "Leave it out: numbers are averaged.",
        )


def obstacle(frame: pl.DataFrame, targets: np.ndarray, level: Level) -> str | None:
    """Why a level cannot be had, or None.

    Parameters
    ----------
    frame : one row per clip, with the columns of `name_units`.
    targets : the encoded target of each row, (clips, outputs).
    """
    units = frame[COLUMN[level]]
    unknown = units.null_count()
    if unknown:
        return f"{unknown} of {len(units)} clips have no speaker"
    kinds = np.unique(targets.reshape(len(units), -1), axis=0, return_inverse=True)[1].reshape(-1)
    several = pl.DataFrame({"unit": units, "kind": kinds}).group_by("unit").agg(pl.col("kind").n_unique())
    mixed = several.filter(pl.col("kind") > 1).sort("unit")
    if mixed.is_empty():
        return None
    return f"{len(mixed)} of {len(several)} {level}s have clips of several targets, {mixed['unit'][0]!r} among them"


def check(table: Table, targets: np.ndarray, level: Level) -> None:
    """Say before anything is trained that a score at this level is not to be had.

    Raises
    ------
    RecipeError : clips without a speaker, or speakers (or recordings) with several targets.
    """
    if level == "clip":
        return
    problem = obstacle(name_units(table.frame.select("id", "speaker"), table), targets, level)
    if problem:
        raise RecipeError(
            f"level={level}: {table.name} cannot be scored by {level}: {problem}.",
            "A unit that is scored once needs one target. Set level=clip, or another target.",
        )


def combine_units(
    predictions: pl.DataFrame, level: Level, rule: Rule, task: Task, labels: Sequence[str]
) -> pl.DataFrame:
    """One row per unit, fold and seed: combined scores, the decision made from them, all else from the first clip.

    Parameters
    ----------
    predictions : one row per clip, fold and seed.
    level, rule : what a unit is, and how its scores become one.
    task, labels : who decides, in which words.

    Returns
    -------
    The same columns; `id` is that of the unit's first clip.
    """
    if level == "clip":
        return predictions
    keys = ["seed", "fold", COLUMN[level]]
    firsts = pl.exclude(*keys, "scores").first()
    units = predictions.sort("id").group_by(keys, maintain_order=True).agg(firsts, pl.col("scores"))
    scores = np.stack(
        [combine(np.array(clips), rule, exclusive=task.kind == "classes") for clips in units["scores"].to_list()]
    )
    return units.with_columns(
        pl.Series("scores", scores.tolist(), pl.List(pl.Float64)),
        pl.Series("prediction", task.decide(scores, labels), pl.String),
    ).select(predictions.columns)


def offered(predictions: pl.DataFrame, asked: Level, task: Task) -> list[Level]:
    """The levels that have something to say: the asked one, and those of the task whose units are not single clips."""
    targets = np.array(predictions["targets"].to_list())
    found: list[Level] = []
    for level in LEVELS:
        units = predictions[COLUMN[level]]
        tells = level == "clip" or units.n_unique() < predictions["id"].n_unique()
        if level == asked or (level in task.levels and tells and obstacle(predictions, targets, level) is None):
            found.append(level)
    return found


def score_levels(
    predictions: pl.DataFrame,
    judge: Callable[[pl.DataFrame], dict[str, Any]],
    recipe: Recipe,
    task: Task,
    labels: Sequence[str],
) -> dict[str, Any]:
    """What `judge` says of the recipe's (else the task's) level, with the score at every level that is offered.

    Parameters
    ----------
    predictions : one row per clip, fold and seed, with the columns of `name_units`.
    judge : predictions → the content of `scores.json`.
    recipe : of it the level of the primary score, and how scores become one.

    Returns
    -------
    The asked level's summary, with `level`, `combine`, `n_units`, and `levels`: level → score, interval, n, metrics.
    """
    asked, rule = level_of(task, recipe.level), recipe.combine
    summaries = {
        level: _named(judge(combine_units(predictions, level, rule, task, labels)), level)
        for level in offered(predictions, asked, task)
    }
    found = summaries[asked]
    first_seed = predictions.filter(pl.col("seed") == predictions["seed"][0])
    return found | {
        "level": asked,
        "combine": rule,
        "n_units": found["n_clips"],
        "n_clips": len(first_seed),
        "levels": {
            level: {key: summary[key] for key in ("score", "interval", "interval_method", "n_groups", "metrics")}
            | {"n": summary["n_clips"]}
            for level, summary in summaries.items()
        },
    }


def _named(summary: dict[str, Any], level: Level) -> dict[str, Any]:
    """The summary with its intervals' methods in the words of the level: what was resampled are no clips."""
    if level == "clip":
        return summary

    def renamed(entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "interval_method": entry["interval_method"].replace("clips", f"{level}s")}

    return renamed(summary) | {"folds": [renamed(fold) for fold in summary["folds"]]}
