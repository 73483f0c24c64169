"""Finished runs side by side: one table of several, and a paired test of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest.errors import DataError
from earnest.reporting.rundir import RunFiles, read_run
from earnest.scoring import paired, tables

SEED = 0
COLUMNS = (
    tables.Column("run", "run"),
    tables.Column("corpus", "corpus"),
    tables.Column("protocol", "protocol"),
    tables.Column("accuracy", "accuracy", "percent", "high"),
    tables.Column("uar", "UAR", "percent", "high"),
    tables.Column("macro_f1", "macro F1", "percent", "high"),
    tables.Column("clips", "clips", "count"),
    tables.Column("groups", "groups", "count"),
    tables.Column("parameters", "parameters", "count"),
)


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run directories as given; a folder of runs stands for the finished runs in it.

    Raises
    ------
    DataError : a path holds no finished run.
    """
    found = []
    for path in paths:
        inside = [path] if (path / "scores.json").is_file() else sorted(p.parent for p in path.glob("*/scores.json"))
        if not inside:
            raise DataError(f"{path} holds no finished run.", "Give the folder that `earnest run` named at its end.")
        found += inside
    return found


def table_rows(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """One row per run, and one more, marked void, for each leaky twin.

    The primary metric comes as (score, low, high), the others as numbers; `scoring.tables.render` shows the rows.
    """
    rows = []
    for path in find_runs(paths):
        scores = read_run(path).scores or {}
        row = _row(path.name, scores)
        if scores.get("leaky"):
            row["void"] = "groups ignored"
        elif scores.get("allow_leaks"):
            row["void"] = f"leaks allowed: {scores['allow_leaks']}"
        rows.append(row)
        if isinstance(twin := scores.get("twin"), Mapping):
            same = {key: scores.get(key) for key in ("corpus", "primary", "n_clips")}
            rows.append({**_row(f"{path.name}, leaky twin", {**same, **twin}), "void": "groups ignored"})
    return rows


def table_columns(rows: Sequence[Mapping[str, Any]]) -> list[tables.Column]:
    """The columns that at least one row fills."""
    return [column for column in COLUMNS if any(row.get(column.key) is not None for row in rows)]


def _row(name: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    metrics = scores.get("metrics") or {}
    row: dict[str, Any] = {"run": name, "corpus": scores.get("corpus"), "protocol": scores.get("protocol")}
    row |= {key: metrics.get(key) for key in ("accuracy", "uar", "macro_f1")}
    row |= {"clips": scores.get("n_clips"), "groups": scores.get("n_groups"), "parameters": scores.get("parameters")}
    interval = scores.get("interval")
    if scores.get("score") is not None:
        bounds = tuple(interval) if interval else ()
        row[str(scores.get("primary", "accuracy"))] = (scores["score"], *bounds) if bounds else scores["score"]
    return row


def compare_runs(a: Path, b: Path) -> dict[str, Any]:
    """Is run A better than run B? A paired test over the test clips that both answered, resampled by group.

    A clip counts with the share of seeds that labelled it correctly. When both runs are known by their UAR, classes
    weigh alike; otherwise clips do, and the difference is that of the accuracy.

    Returns
    -------
    metric, a, b, difference (A − B), interval, p_value, n_clips, n_groups, method, notes, sentence.

    Raises
    ------
    DataError : a run has no predictions, or the two share no test clip with the same target.
    """
    runs = [read_run(path) for path in (a, b)]
    joined, notes = _joined(*runs)
    balanced = all((run.scores or {}).get("primary") == "uar" for run in runs)
    targets = np.unique(joined["target"].to_numpy(), return_inverse=True)[1] if balanced else None
    group = _group(runs, joined)
    result = paired.compare(
        joined["right"].to_numpy(),
        joined["right_b"].to_numpy(),
        joined[group].to_numpy() if group else None,
        np.random.default_rng(SEED),
        targets=targets,
    )
    return {
        "metric": "uar" if balanced else "accuracy",
        "a": str(a),
        "b": str(b),
        "difference": result.difference,
        "interval": [result.interval.low, result.interval.high],
        "p_value": result.p_value,
        "n_clips": result.n,
        "n_groups": result.groups,
        "group": group,
        "method": result.method,
        "notes": notes,
        "sentence": paired.describe(result, *_names(a, b)),
    }


def _joined(a: RunFiles, b: RunFiles) -> tuple[pl.DataFrame, list[str]]:
    """One row per clip that both runs answered: target, groups, share of seeds that were right in each."""
    answers_a, answers_b = _answers(a), _answers(b)
    joined = answers_a.join(answers_b.select("id", "target", right_b="right"), on=["id", "target"]).sort("id")
    if joined.is_empty():
        raise DataError(
            f"{a.path} and {b.path} have no test clip with the same target in common.",
            "Compare two runs over the same corpus and task.",
        )
    notes = [
        f"{len(answers) - len(joined)} of {len(answers)} test clips of {run.path} are not in the other run"
        for run, answers in ((a, answers_a), (b, answers_b))
        if len(answers) > len(joined)
    ]
    leaky = [
        str(run.path) for run in (a, b) if (run.scores or {}).get("leaky") or (run.scores or {}).get("allow_leaks")
    ]
    return joined, notes + [f"{path} was scored on a leaky split: its score is void" for path in leaky]


def _answers(run: RunFiles) -> pl.DataFrame:
    if run.predictions is None:
        raise DataError(f"{run.path} holds no predictions.", "Finish the run first: the same `earnest run` goes on.")
    right = pl.col("prediction").eq(pl.col("target")).cast(pl.Float64).mean()
    return run.predictions.group_by("id").agg(pl.col("target", "speaker", "source").first(), right=right)


def _group(runs: Sequence[RunFiles], joined: pl.DataFrame) -> str | None:
    """What the runs' own intervals were resampled by, where the clips have it; else speaker, else source."""
    wanted = [str((run.scores or {}).get("group")) for run in runs] + ["speaker", "source"]
    usable = [name for name in ("speaker", "source") if joined[name].null_count() < len(joined)]
    return next((name for name in wanted if name in usable), None)


def _names(a: Path, b: Path) -> tuple[str, str]:
    return (a.name, b.name) if a.name != b.name else (str(a), str(b))
