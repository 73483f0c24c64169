"""Scores by condition: for every further column of the table, how well the clips of each of its values are done.

Intensity, gender, salience, room, sentence: whatever the table says about clips beside their target and their groups.
The score of a value is the run's own metric over its clips, with an interval over the same groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from earnest import levels
from earnest.errors import DataError
from earnest.recipe import Recipe
from earnest.table import FIRST_COLUMNS, Table
from earnest.tasks import Task

COLUMNS, FEWEST, MOST = 8, 2, 12  # columns that are shown; values that such a column has
OTHERS = (*FIRST_COLUMNS, "fold", "split", "corpus", "licence", "recording", "subject")
SEED = 0


def score(
    predictions: pl.DataFrame, table: Table, recipe: Recipe, task: Task, target: str, scores: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The score for each value of each condition, in the order of the table's columns.

    Parameters
    ----------
    predictions : one row per test clip, fold and seed.
    target : the column that holds the target; columns that say the same in other words are no conditions.
    scores : the run's `scores.json`: metric, level and group of the score.

    Returns
    -------
    One mapping per condition: name, and values with value, score, interval, n (of what the score counts) and groups.
    A score that cannot be told from the clips of one value is None.
    """
    names = columns_of(table, recipe, task, target)
    if not names or predictions.is_empty():
        return []
    group = scores.get("group")
    wanted = dict.fromkeys([*names, *([group] if group else [])])
    extra = table.frame.select("id", *(pl.col(name).cast(pl.String) for name in wanted))
    rows = predictions.drop(*(name for name in wanted if name in predictions.columns)).join(
        extra, on="id", how="left", maintain_order="left"
    )
    level = scores.get("level", "clip")
    if level != "clip":
        unit = levels.COLUMN[level]
        names = [name for name in names if rows.group_by(unit).agg(pl.col(name).n_unique())[name].max() == 1]
        rows = levels.combine_units(rows, level, recipe.combine, task, scores["labels"])
    found = [{"name": name, "values": _values(rows, name, group, task, scores["primary"])} for name in names[:COLUMNS]]
    return [condition for condition in found if len(condition["values"]) >= FEWEST]


def columns_of(table: Table, recipe: Recipe, task: Task, target: str) -> list[str]:
    """The table's columns that are conditions: 2 to 12 values, neither target nor group, nor the target renamed."""
    taken = {*OTHERS, target, task.target, *task.also, *(recipe.split.group or ()), *task.groups}
    frame, found = table.frame, []
    for name, kind in frame.schema.items():
        plain = kind == pl.String or kind == pl.Boolean or kind.is_integer()
        if name in taken or not plain or not FEWEST <= frame[name].drop_nulls().n_unique() <= MOST:
            continue
        if target in frame.columns and _same(frame, name, target):
            continue
        found.append(name)
    return found


def _same(frame: pl.DataFrame, name: str, target: str) -> bool:
    """Whether every value of a column goes with one target only: then it is the target, or a part of it."""
    if frame[target].dtype.is_nested():
        return False
    return frame.drop_nulls(name).group_by(name).agg(pl.col(target).n_unique())[target].max() == 1


def _values(rows: pl.DataFrame, name: str, group: str | None, task: Task, primary: str) -> list[dict[str, Any]]:
    found = []
    for value in sorted(rows[name].drop_nulls().unique().to_list()):
        by_seed = [part.sort("id", "fold") for _, part in sorted(rows.filter(pl.col(name) == value).group_by("seed"))]
        first = by_seed[0]
        targets = np.array(first["targets"].to_list(), dtype=np.float32)
        each = [np.array(part["scores"].to_list()) for part in by_seed]
        groups = None if group is None else first.select(pl.coalesce(group, "=" + pl.col("id"))).to_series().to_numpy()
        entry: dict[str, Any] = {"value": value, "score": None, "interval": None, "n": len(first)}
        entry["groups"] = None if group is None else first[group].drop_nulls().n_unique()
        try:
            one, interval = task.judge(targets, each, groups, primary, np.random.default_rng(SEED))
            entry |= {"score": one, "interval": interval.as_list() if math.isfinite(interval.high) else None}
        except DataError as problem:
            entry["reason"] = problem.message
        found.append(entry)
    return found
