"""The sections of the report about single outputs: tags, predicted values, and the two rates of a two-class test.

Their numbers stand in the `details` of `scores.json`, intervals over groups included; only scatter and errors by group
are counted here, from the stored predictions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from earnest.errors import DataError
from earnest.reporting import figures, scatter, tally
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.tally import Share
from earnest.reporting.wording import hundredths, interval_of, number, percent, plural, score_bare
from earnest.scoring.det import P_TARGET, Det, det

BARS = 60
CLIPS_PER_GROUP = 5
GROUPS = 40


def rates(run: RunFiles) -> Section | None:
    """Sensitivity, specificity and AUC of a task with two classes of cases."""
    found = _details(run).get("rates")
    if not isinstance(found, Mapping):
        return None
    shares = _shares(found)
    labels = [str(label) for label in (run.scores or {}).get("labels") or ()]
    words = {
        "sensitivity": f"of those that are “{labels[1]}”, how many are found",
        "specificity": f"of those that are “{labels[0]}”, how many are left alone",
        "auc": f"how often one that is “{labels[1]}” gets a higher score than one that is “{labels[0]}”",
    }
    data = {
        "figure": figures.group_bars(shares, "rates", None, "Sensitivity, specificity and AUC with 95 % intervals."),
        "rows": _rows(found, words),
        "units": run.units,
    }
    return Section("rates", "Sensitivity and specificity", "rates.html.j2", data)


def trade_off(run: RunFiles) -> Section | None:
    """Misses over false alarms at every threshold, of a run with two classes."""
    found = det_of(run)
    if found is None:
        return None
    curve, wanted, other = found
    chosen = [number(entry.get("value")) for entry in (_details(run).get("rates") or {}).values()][:2]
    point = (1 - chosen[0], 1 - chosen[1]) if len(chosen) == 2 and None not in chosen else None  # type: ignore[operator]
    data = {
        "figure": figures.det_curve(curve, point),
        "wanted": wanted,
        "other": other,
        "eer": percent(curve.equal_error_rate),
        "costs": [(f"{p:g}", f"{curve.least_cost(p):.3f}") for p in (0.01, P_TARGET, 0.5)],
        "point": point is not None,
        "seeds": tally.seeds_of(run.predictions) if run.predictions is not None else 1,
        "units": run.units,
    }
    return Section("det", "Misses and false alarms", "det.html.j2", data)


def det_of(run: RunFiles) -> tuple[Det, str, str] | None:
    """The DET curve of a run with two classes, over all its seeds and folds; the class looked for, and the other one.

    None for other runs, and where one of the classes has no test row.
    """
    labels = [str(label) for label in (run.scores or {}).get("labels") or ()]
    if run.kind != "classes" or len(labels) != 2 or run.predictions is None:
        return None
    targets, table = tally.probabilities(run.predictions, labels)
    if len(set(targets.tolist())) < 2 or not np.isfinite(table).all():
        return None
    return det(targets, table[:, 1]), labels[1], labels[0]


def tags(run: RunFiles) -> Section | None:
    """Average precision and AUC of every tag, weakest first."""
    details = _details(run)
    found, areas = details.get("average_precision"), details.get("auc")
    if run.kind != "tags" or not isinstance(found, Mapping) or not isinstance(areas, Mapping):
        return None
    known = sorted(_shares(found), key=lambda share: share.value)
    shown = known[:BARS]
    of_auc = {share.name: share for share in _shares(areas)}
    total = int((run.scores or {}).get("n_clips") or 0)
    rows = [
        {
            "name": name,
            "clips": entry.get("n"),
            "prevalence": hundredths(entry["n"] / total) if total and entry.get("n") is not None else "",
            "precision": hundredths(entry.get("value")),
            "interval": _bounds(entry),
            "auc": hundredths((areas.get(name) or {}).get("value")),
        }
        for name, entry in sorted(found.items(), key=lambda item: (item[1].get("value") is None, item[1].get("value")))
    ]
    data = {
        "rows": rows,
        "hidden": max(0, len(known) - len(shown)),
        "precision": figures.group_bars(shown, "tags", None, f"Average precision of {len(shown)} tags."),
        "auc": figures.group_bars(
            [of_auc[share.name] for share in shown if share.name in of_auc], "tags", 0.5, "Area under the ROC curve."
        ),
    }
    return Section("tags", "Score by tag", "tags.html.j2", data)


def values(run: RunFiles, sounds: Sounds) -> Section | None:
    """Predicted against true values, one panel per dimension."""
    if run.kind != "values" or run.predictions is None or run.scores is None:
        return None
    points = points_of(run)
    sounds.want([points.clips[place] for place in scatter.drawn(len(points.clips))])
    details, metrics = _details(run), run.scores.get("metrics") or {}
    panels = []
    for place, name in enumerate(run.labels):
        entry = (details.get("ccc") or {}).get(name) or {}
        bounds = interval_of(entry.get("interval"))
        panels.append(
            {
                "name": name,
                "figure": scatter.scatter(
                    points.truth[:, place], points.said[:, place], points.groups, name, points.clips
                ),
                "ccc": score_bare("ccc", entry.get("value")),
                "interval": f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else "",
                **{
                    key: score_bare(key, (metrics.get(f"{key}_of") or {}).get(name))
                    for key in ("pearson", "rmse", "mae")
                },
            }
        )
    clips = len(points.clips)
    data = {"panels": panels, "drawn": min(clips, scatter.POINTS), "clips": clips, "grouped": _noun(run)}
    return Section("values", "Predicted and true values", "values.html.j2", data)


def errors(run: RunFiles) -> Section | None:
    """The error of every dimension for every speaker, or whatever the clips are grouped by."""
    if run.kind != "values" or run.predictions is None or run.scores is None:
        return None
    column, noun = tally.group_column(run.scores, run.predictions), _noun(run)
    if column is None or noun is None:
        return None
    panels, hidden = [], 0
    for place, name in enumerate(run.labels):
        gap = pl.col("scores").list.get(place) - pl.col("targets").list.get(place)
        rows = run.predictions.select(
            pl.col(column).cast(pl.String).alias("group"), "id", square=gap**2, gap=gap
        ).drop_nulls()
        by_group = rows.group_by("group").agg(
            pl.col("square").mean().alias("mean"),
            (pl.col("square").std(ddof=0) / pl.col("id").n_unique().cast(pl.Float64).sqrt()).alias("error"),
            pl.col("gap").mean().alias("lean"),
            pl.col("id").n_unique().alias("clips"),
        )
        found = [_error(*row) for row in by_group.iter_rows()]
        found.sort(key=lambda row: -row.value)
        hidden = max(0, len(found) - GROUPS)
        panels.append({"name": name, "rows": found[:GROUPS], "figure": scatter.error_bars(found[:GROUPS], name)})
    if len(panels[0]["rows"]) < 2:
        return None
    data = {"panels": panels, "noun": noun, "nouns": plural(noun), "hidden": hidden}
    return Section("errors", f"Error by {noun}", "errors.html.j2", data)


def _error(name: str, mean: float, error: float, lean: float, clips: int) -> scatter.GroupError:
    """Root mean squared error of one group with a normal interval of the mean square."""
    low, high = (math.sqrt(max(0.0, mean + sign * tally.Z_95 * error)) for sign in (-1, 1))
    return scatter.GroupError(str(name), int(clips), math.sqrt(mean), low, high, lean)


@dataclass(frozen=True)
class Points:
    """True and predicted values (clips, dimensions), the mean over seeds; group (or None) and id of each clip."""

    truth: np.ndarray
    said: np.ndarray
    groups: list[str] | None
    clips: list[str]


def points_of(run: RunFiles) -> Points:
    """What the scatter of a run with predicted values shows.

    Raises
    ------
    DataError : the run has no predictions.
    """
    if run.predictions is None:
        raise DataError(f"{run.path} holds no predictions.", "Finish the run first: the same `earnest run` goes on.")
    column = tally.group_column(run.scores or {}, run.predictions) if _noun(run) else None
    seeds = [part.sort("id", "fold") for _, part in run.predictions.group_by("seed")]
    truth = np.array(seeds[0]["targets"].to_list(), dtype=np.float64)
    said = np.mean([np.array(part["scores"].to_list(), dtype=np.float64) for part in seeds], axis=0)
    groups = None if column is None else [str(name) for name in seeds[0][column].to_list()]
    return Points(truth, said, groups, [str(name) for name in seeds[0]["id"].to_list()])


def _noun(run: RunFiles) -> str | None:
    """What clips are grouped by, where several groups have enough clips each to be looked at alone."""
    if run.predictions is None:
        return None
    column = tally.group_column(run.scores or {}, run.predictions)
    if column is None:
        return None
    sizes = run.predictions.group_by(column).agg(pl.col("id").n_unique())["id"]
    if len(sizes) < 2 or float(np.median(sizes.to_numpy())) < CLIPS_PER_GROUP:
        return None
    return "recording" if column == "source" else column


def _details(run: RunFiles) -> Mapping[str, Any]:
    return (run.scores or {}).get("details") or {}


def _shares(found: Mapping[str, Any]) -> list[Share]:
    """The entries that have a value, as bars; where there is no interval, the value alone."""
    shares = []
    for name, entry in found.items():
        value = number(entry.get("value"))
        if value is not None:
            low, high = interval_of(entry.get("interval")) or (value, value)
            shares.append(Share(str(name), int(entry.get("n") or 0), value, low, high))
    return shares


def _rows(found: Mapping[str, Any], words: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": "AUC" if name == "auc" else name,
            "value": hundredths(entry.get("value")),
            "interval": _bounds(entry),
            "n": entry.get("n"),
            "what": words.get(name, ""),
        }
        for name, entry in found.items()
    ]


def _bounds(entry: Mapping[str, Any]) -> str:
    bounds = interval_of(entry.get("interval"))
    return f"{hundredths(bounds[0])}–{hundredths(bounds[1])}" if bounds else ""
