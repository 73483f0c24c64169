"""Two finished runs over the same clips: a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest.errors import DataError
from earnest.reporting.rundir import RunFiles, read_run
from earnest.scoring import paired
from earnest.scoring.ranking import average_precision

SEED = 0


def compare_runs(a: Path, b: Path) -> dict[str, Any]:
    """Is run A better than run B? A paired test over the test clips that both answered, resampled by group.

    What a clip counts with depends on the kind of task, and is its mean over seeds:

    - classes: whether it was labelled correctly. When both runs are known by their UAR, classes weigh alike; otherwise
      clips do, and the difference is that of the accuracy.
    - tags: the average precision of the clip's own tags in the order of its scores; clips without a tag are left out.
    - values: the squared error with its sign turned, of each dimension in parts of the targets' variance, the mean over
      dimensions.

    Runs that were both scored by recording or by subject are compared by recording or by subject.

    Returns
    -------
    metric, a, b, difference (A − B), interval, p_value, n_clips, n_groups, method, notes, sentence.

    Raises
    ------
    DataError : a run has no predictions, or the two share no test clip with the same target.
    """
    runs = [read_run(path) for path in (a, b)]
    kinds = {str((run.scores or {}).get("kind", "classes")) for run in runs}
    if len(kinds) > 1:
        raise DataError(f"{a} and {b} answer different questions: {' and '.join(sorted(kinds))}.", "Compare like runs.")
    kind = kinds.pop()
    joined, notes = _joined(*runs)
    if kind == "tags":
        tagged = joined.filter(pl.col("targets").list.sum() > 0)
        notes += [f"{len(joined) - len(tagged)} clips have no tag and are left out"] * (len(tagged) < len(joined))
        joined = tagged
    balanced = kind == "classes" and all((run.scores or {}).get("primary") == "uar" for run in runs)
    targets = np.unique(joined["target"].to_numpy(), return_inverse=True)[1] if balanced else None
    group = _group(runs, joined)
    result = paired.compare(
        _worth(joined, "", kind),
        _worth(joined, "_b", kind),
        joined[group].to_numpy() if group else None,
        np.random.default_rng(SEED),
        targets=targets,
    )
    of_values = {"scale": 1.0, "unit": " of the targets' variance in squared error"} if kind == "values" else {}
    return {
        "metric": {"tags": "clip_average_precision", "values": "squared_error"}.get(
            kind, "uar" if balanced else "accuracy"
        ),
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
        "sentence": paired.describe(result, *_names(a, b), **of_values),  # type: ignore[arg-type]
    }


def _worth(joined: pl.DataFrame, side: str, kind: str) -> np.ndarray:
    """What each clip counts with for one of the runs, shape (clips,); larger is better."""
    if kind == "classes":
        return joined[f"right{side}"].to_numpy()
    truth = np.array(joined["targets"].to_list(), dtype=np.float64)  # (clips, outputs)
    seeds = joined[f"scores{side}"].to_list()  # clips × seeds × outputs
    if kind == "values":
        spread = truth.std(axis=0)
        variance = np.where(spread > 0, spread, 1.0) ** 2
        return np.array(
            [-np.mean((np.array(said) - row) ** 2 / variance) for row, said in zip(truth, seeds, strict=True)]
        )
    return np.array(
        [np.mean([average_precision(row, seed) for seed in said]) for row, said in zip(truth, seeds, strict=True)]
    )


def worth_of(answers: pl.DataFrame, kind: str) -> np.ndarray:
    """What each of one run's answers counts with, (clips,); `answers` has the columns of its predictions."""
    one = answers.with_columns(
        pl.Series("scores", [[row] for row in answers["scores"].to_list()]),
        right=pl.col("prediction").eq(pl.col("target")).cast(pl.Float64),
    )
    return _worth(one, "", kind)


def _joined(a: RunFiles, b: RunFiles) -> tuple[pl.DataFrame, list[str]]:
    """One row per clip (or unit) that both runs answered: target, groups, and of each run the share of right seeds.

    Where the runs have `targets`, so have the rows, and of each run the `scores` of its seeds.
    """
    wanted = {str((run.scores or {}).get("level", "clip")) for run in (a, b)}
    level = wanted.pop() if len(wanted) == 1 else "clip"
    answers_a, answers_b = _answers(a, level), _answers(b, level)
    theirs = answers_b.select("id", "target", right_b="right", scores_b="scores")
    joined = answers_a.join(theirs, on=["id", "target"]).sort("id")
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


def _answers(run: RunFiles, level: str) -> pl.DataFrame:
    if run.predictions is None:
        raise DataError(f"{run.path} holds no predictions.", "Finish the run first: the same `earnest run` goes on.")
    rows = run.predictions if level == "clip" else _by_unit(run, run.predictions, level)
    right = pl.col("prediction").eq(pl.col("target")).cast(pl.Float64).mean()
    firsts = [name for name in ("target", "targets", "speaker", "source") if name in rows.columns]
    return rows.group_by("id").agg(pl.col(firsts).first(), pl.col("scores"), right=right)


def _by_unit(run: RunFiles, predictions: pl.DataFrame, level: str) -> pl.DataFrame:
    """One row per recording or subject, fold and seed, called by the unit's name."""
    from earnest import levels, tasks
    from earnest.recipe import Part

    scores = run.scores or {}
    task = tasks.find(Part(name=scores["task"]))
    units = levels.combine_units(predictions, tasks.level_of(task, level), scores["combine"], task, scores["labels"])
    return units.with_columns(id=pl.col(levels.COLUMN[level]))


def _group(runs: Sequence[RunFiles], joined: pl.DataFrame) -> str | None:
    """What the runs' own intervals were resampled by, where the clips have it; else speaker, else source."""
    wanted = [str((run.scores or {}).get("group")) for run in runs] + ["speaker", "source"]
    usable = [name for name in ("speaker", "source") if joined[name].null_count() < len(joined)]
    return next((name for name in wanted if name in usable), None)


def _names(a: Path, b: Path) -> tuple[str, str]:
    return (a.name, b.name) if a.name != b.name else (str(a), str(b))
