"""What the report counts in a run's stored predictions: hits by class and by group, confusions, mistakes.

Nothing is decided anew here. Where a run has several seeds, each clip counts once per seed in sums, and a clip's share
of right answers is its mean over the seeds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from earnest.reporting.rundir import RunFiles
from earnest.runtime.combine import Rule, combine

Cell = tuple[str, str]  # label, answer
Z_95 = 1.959963984540054  # standard normal quantile at 0.975


@dataclass(frozen=True)
class Share:
    """How many clips of one class, group or fold are labelled correctly, with a 95 % Wilson interval over clips."""

    name: str
    clips: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Answer:
    """One labelled test clip, with the probability the model gave to its answer (the highest of its seeds)."""

    clip: str
    target: str
    prediction: str
    confidence: float
    group: str | None
    fold: str


def at_level(run: RunFiles) -> RunFiles:
    """The run with one row of predictions per unit that its score counts once: recording or subject in place of clip.

    The scores of a unit's clips become one by the run's own rule, and the answer is made from them, as in the score.
    """
    scores = run.scores or {}
    unit = str(scores.get("level", "clip"))
    rows, labels = run.predictions, [str(label) for label in scores.get("labels") or ()]
    if rows is None or unit not in rows.columns or run.kind != "classes" or not labels:
        return run
    units = rows.sort("id").group_by("seed", "fold", unit, maintain_order=True)
    joined = units.agg(pl.exclude("seed", "fold", unit, "scores").first(), pl.col("scores"))
    rule: Rule = scores.get("combine") or "mean"
    one = np.stack([combine(np.array(clips), rule) for clips in joined["scores"].to_list()])
    said = pl.Series("prediction", [labels[place] for place in one.argmax(1)], pl.String)
    return replace(run, predictions=joined.with_columns(pl.Series("scores", one.tolist(), pl.List(pl.Float64)), said))


def wilson(share: float, clips: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion (Wilson 1927; Brown, Cai and DasGupta 2001, equation 4)."""
    if clips <= 0:
        return 0.0, 1.0
    square = Z_95**2 / clips
    centre = (share + square / 2) / (1 + square)
    half = Z_95 / (1 + square) * math.sqrt(share * (1 - share) / clips + square / (4 * clips))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion(predictions: pl.DataFrame, labels: Sequence[str]) -> NDArray[np.int64]:
    """Counts of shape (targets, predictions) in the order of `labels`, summed over seeds."""
    index = {label: place for place, label in enumerate(labels)}
    matrix = np.zeros((len(labels), len(labels)), dtype=np.int64)
    counted = predictions.group_by("target", "prediction").len()
    for target, prediction, clips in counted.iter_rows():
        if str(target) in index and str(prediction) in index:
            matrix[index[str(target)], index[str(prediction)]] += clips
    return matrix


def shares(predictions: pl.DataFrame, column: str) -> list[Share]:
    """The share of right answers for every value of `column`, in natural order; rows without a value are left out."""
    rows = (
        predictions.filter(pl.col(column).is_not_null())
        .group_by(pl.col(column).cast(pl.String).alias("name"))
        .agg((pl.col("target") == pl.col("prediction")).mean().alias("value"), pl.col("id").n_unique().alias("clips"))
    )
    found = [
        Share(name, clips, value, *wilson(value, clips))
        for name, value, clips in rows.select("name", "value", "clips").iter_rows()
    ]
    return sorted(found, key=lambda share: natural(share.name))


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts `speaker 2` before `speaker 10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text) if part]


def top_confusions(matrix: NDArray[np.int64], labels: Sequence[str], limit: int = 8) -> list[tuple[str, str, int, int]]:
    """The most frequent confusions as (target, prediction, count, clips of the target), most frequent first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [divmod(int(flat), len(labels)) for flat in order]
    return [
        (labels[row], labels[col], int(wrong[row, col]), int(matrix[row].sum()))
        for row, col in pairs
        if wrong[row, col]
    ]


def answers(predictions: pl.DataFrame, labels: Sequence[str], column: str | None) -> pl.DataFrame:
    """One row per clip and answer, surest first: `clip, target, prediction, confidence, group, fold, seeds`.

    Parameters
    ----------
    predictions : the run's, of a task with classes; rows whose answer has no score are left out.
    labels : the classes in the order of the scores.
    column : what the clips are grouped by, or None.

    Returns
    -------
    A table in which `confidence` is that of the surest seed, and `seeds` counts those that gave this answer.
    """
    place = pl.col("prediction").cast(pl.String).replace_strict(list(labels), range(len(labels)), default=None)
    rows = predictions.with_columns(place=place).filter(pl.col("place") < pl.col("scores").list.len())
    shown = rows.select(
        pl.col("id").cast(pl.String).alias("clip"),
        pl.col("target", "prediction").cast(pl.String),
        pl.col("scores").list.get(pl.col("place")).alias("confidence"),
        (pl.col(column) if column else pl.lit(None)).cast(pl.String).alias("group"),
        pl.col("fold").cast(pl.String),
    )
    surest = shown.sort("confidence", descending=True).group_by("clip", "target", "prediction", maintain_order=True)
    joined = surest.agg(pl.col("confidence", "group", "fold").first(), pl.len().alias("seeds"))
    return joined.sort("confidence", "clip", descending=[True, False])


def worst_mistakes(predictions: pl.DataFrame, labels: Sequence[str], column: str | None, limit: int) -> list[Answer]:
    """The wrong answers given with the highest probability, one per clip, most confident first."""
    found = answers(predictions, labels, column).filter(pl.col("target") != pl.col("prediction"))
    return [_answer(row) for row in found.unique("clip", maintain_order=True).head(limit).iter_rows(named=True)]


def cells(
    predictions: pl.DataFrame, labels: Sequence[str], column: str | None, most: int
) -> dict[Cell, tuple[int, list[Answer]]]:
    """How many clips every cell of the confusion matrix has, and the surest of them, at most `most`."""
    found = answers(predictions, labels, column)
    grouped = found.group_by("target", "prediction", maintain_order=True)
    listed: dict[Cell, tuple[int, list[Answer]]] = {
        (target, said): (clips, []) for target, said, clips in grouped.len().iter_rows()
    }
    for row in grouped.head(most).iter_rows(named=True):
        listed[row["target"], row["prediction"]][1].append(_answer(row))
    return listed


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(**{key: value for key, value in row.items() if key != "seeds"})


def probabilities(predictions: pl.DataFrame, labels: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class numbers of shape (rows,) and stored scores of shape (rows, classes), of the rows whose class is known."""
    index = {label: place for place, label in enumerate(labels)}
    known = predictions.filter(pl.col("target").is_in(list(labels)) & (pl.col("scores").list.len() == len(labels)))
    targets = np.array([index[target] for target in known["target"].to_list()], dtype=np.int64)
    table = np.array(known["scores"].to_list(), dtype=np.float64).reshape(len(targets), len(labels))
    return targets, table


def seeds_of(predictions: pl.DataFrame) -> int:
    """How many seeds the predictions hold."""
    return max(1, predictions["seed"].n_unique()) if "seed" in predictions.columns else 1


def group_column(scores: Mapping[str, Any], predictions: pl.DataFrame) -> str | None:
    """The column of the predictions that tells the groups apart: the run's own group, or else speaker or source."""
    group = str(scores.get("group") or "")
    for name in (group, "speaker" if "speaker" in group else "source", "speaker", "source"):
        if name in predictions.columns and predictions[name].null_count() < len(predictions):
            return name
    return None
