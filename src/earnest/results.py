"""From the units' test scores to one table of predictions and the content of `scores.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from earnest import __version__
from earnest.errors import DataError
from earnest.recipe import Recipe
from earnest.splits import Folds
from earnest.table import Table
from earnest.tasks import Task, groups_of
from earnest.units import Unit

RESAMPLING_SEED = 0


def gather(
    units: Sequence[Unit],
    table: Table,
    task: Task,
    targets: np.ndarray,
    labels: Sequence[str],
    group: str | None,
    file: str = "predictions.npy",
) -> pl.DataFrame:
    """One row per test clip, fold and seed.

    Parameters
    ----------
    targets : (clips, outputs), the encoded targets of all rows of the table.
    group : the column that intervals resample; kept where it is neither speaker nor source.
    file : where each unit's scores lie.

    Returns
    -------
    Columns id, fold, seed, speaker, source, target and prediction (in words), and two lists in the order of `labels`:
    targets, the encoded target, and scores. What the two hold is said by the task's `kind`.
    """
    parts = []
    own = {group} - {None, "speaker", "source"}
    for unit in units:
        rows = list(unit.test)
        scores = np.load(unit.directory / file)
        frame, truth = table.frame[rows], targets[rows]
        parts.append(
            pl.DataFrame(
                {
                    "id": frame["id"],
                    "fold": pl.Series([unit.fold] * len(rows), dtype=pl.String),
                    "seed": pl.Series([unit.seed] * len(rows), dtype=pl.Int64),
                    "speaker": frame["speaker"],
                    "source": frame["source"],
                    "target": pl.Series(task.tell(truth, labels), dtype=pl.String),
                    "prediction": pl.Series(task.decide(scores, labels), dtype=pl.String),
                    "targets": pl.Series(truth.tolist(), dtype=pl.List(pl.Float64)),
                    "scores": pl.Series(scores.tolist(), dtype=pl.List(pl.Float64)),
                    **{name: frame[name].cast(pl.String) for name in own if name},
                }
            )
        )
    return pl.concat(parts)


def group_column(table: Table, recipe: Recipe, task: Task) -> str | None:
    """The column whose values are resampled for intervals: the split's first group, else speaker, else source."""
    wanted = (*(groups_of(task, recipe.split.group, table) or ()), "speaker", "source")
    return next((name for name in wanted if table.has(name)), None)


def summarise(
    predictions: pl.DataFrame,
    records: Sequence[dict[str, Any]],
    recipe: Recipe,
    task: Task,
    table: Table,
    folds: Folds,
    labels: Sequence[str],
) -> dict[str, Any]:
    """Score, interval, baselines and provenance of a set of predictions; the report recomputes none of it.

    The score is the mean over seeds of the primary metric, pooled over the test clips of all folds.
    """
    names = list(labels)
    primary = recipe.primary or task.primary
    metric = task.metrics[primary]
    by_seed = [part.sort("id", "fold") for _, part in sorted(predictions.group_by("seed"), key=lambda item: item[0])]
    targets = _targets(by_seed[0])
    scores = [np.array(part["scores"].to_list()) for part in by_seed]
    column = group_column(table, recipe, task)
    groups = _groups(by_seed[0], table, column)
    value, interval = task.judge(targets, scores, groups, primary, np.random.default_rng(RESAMPLING_SEED))
    per_seed = [metric(targets, seed) for seed in scores]
    summaries = [task.summary(targets, seed, names) for seed in scores]

    result: dict[str, Any] = {
        "task": task.name,
        "kind": task.kind,
        "name": recipe.name,
        "corpus": table.name,
        "protocol": folds.protocol,
        "primary": primary,
        "score": value,
        "interval": interval.as_list(),
        "interval_method": interval.method,
        "baseline": task.baselines(targets, primary),
        "n_clips": len(targets),
        "n_groups": _count(groups, by_seed[0]),
        "group": column,
        "labels": names,
        "folds": _folds(predictions, records, task, primary, table, column),
        "metrics": _mean(summaries),
        "seeds": {
            "n": len(per_seed),
            "mean": value,
            "sd": float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None,
            "scores": per_seed,
        },
        "leaky": folds.leaky,
        "notes": [*folds.notes, *(task.notes(table) if task.notes else ())],
        "parameters": max(record["parameters"] for record in records),
        "training_seconds": round(sum(record["seconds"] for record in records), 1),
        "recipe_hash": recipe.hash,
        "data_hash": table.hash,
        "earnest": __version__,
    }
    if task.details:
        result["details"] = task.details(targets, scores, groups, names, np.random.default_rng(RESAMPLING_SEED))
    parity = [record["parity"] for record in records if "parity" in record]
    if parity:
        result["parity"] = {
            "clips": sum(part["clips"] for part in parity),
            "same_decisions": sum(part["same_decisions"] for part in parity),
            "largest_difference": max(part["largest_difference"] for part in parity),
        }
    return result


def _targets(part: pl.DataFrame) -> np.ndarray:
    """(clips, outputs) float32, as the task encoded them."""
    return np.array(part["targets"].to_list(), dtype=np.float32)


def _groups(part: pl.DataFrame, table: Table, column: str | None) -> np.ndarray | None:
    """The group of each prediction; clips without one count as groups of their own."""
    if column is None:
        return None
    known = dict(zip(table.column("id").to_list(), table.column(column).to_list(), strict=True))
    return np.array([f"={clip}" if known[clip] is None else str(known[clip]) for clip in part["id"].to_list()])


def _count(groups: np.ndarray | None, part: pl.DataFrame) -> int:
    return len(part) if groups is None else len(np.unique(groups))


def _folds(
    predictions: pl.DataFrame,
    records: Sequence[dict[str, Any]],
    task: Task,
    primary: str,
    table: Table,
    column: str | None,
) -> list[dict[str, Any]]:
    """The score of every fold and seed, with its interval."""
    folds = []
    for record in records:
        part = predictions.filter((pl.col("fold") == record["fold"]) & (pl.col("seed") == record["seed"]))
        scores = np.array(part["scores"].to_list())
        groups = _groups(part, table, column)
        rng = np.random.default_rng(RESAMPLING_SEED)
        value, bounds, method = _judged(task, _targets(part), scores, groups, primary, rng)
        folds.append(
            {
                "name": record["fold"],
                "seed": record["seed"],
                "score": value,
                "interval": bounds,
                "interval_method": method,
                "n": len(part),
                "n_groups": _count(groups, part),
                "validation": record["validation"],
                **({"train": record["train"]} if "train" in record else {}),
                "epochs": record["epochs"],
                "seconds": record["seconds"],
            }
        )
    return folds


def _judged(
    task: Task,
    targets: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray | None,
    metric: str,
    rng: np.random.Generator,
) -> tuple[float | None, list[float] | None, str]:
    """Score, interval and its method of one fold; no score where the fold lacks what the metric needs."""
    try:
        value, interval = task.judge(targets, [scores], groups, metric, rng)
    except DataError as problem:
        return None, None, f"no score: {problem}"
    return value, interval.as_list(), interval.method


def _mean(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each number over seeds, through nested mappings; absent where any seed has none."""
    first = summaries[0]
    result: dict[str, Any] = {}
    for key, value in first.items():
        values = [summary[key] for summary in summaries]
        if isinstance(value, dict):
            result[key] = _mean(values)
        else:
            result[key] = None if any(v is None for v in values) else float(np.mean(values))
    return result
