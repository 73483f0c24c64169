"""The sections of the report that look into the predictions: confusions, groups, confidence, mistakes."""

from __future__ import annotations

import statistics
from typing import Any

from earnest.errors import DataError
from earnest.reporting import figures, tally
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.wording import hundredths, many, number, percent, plural
from earnest.scoring.classification import Reliability, reliability_curve

MATRIX_CLASSES = 60
MATRIX_PERCENT_CLASSES = 12
BARS = 40
CLIPS_PER_BAR = 5
CELL_CLIPS, PAGE_CLIPS = 60, 6000  # clips that a cell lists, and that all of them list, at most
CELL_SOUNDS = 3


def confusions(run: RunFiles, sounds: Sounds) -> Section | None:
    """The confusion matrix, the clips of each of its cells, and its most frequent confusions as a list."""
    labels = run.labels
    if run.predictions is None or len(labels) < 2 or run.kind != "classes":
        return None
    matrix = tally.confusion(run.predictions, labels)
    totals = matrix.sum(axis=1)
    rows = [
        {
            "label": label,
            "total": int(totals[place]),
            "cells": [
                {
                    "n": int(n),
                    "share": round(int(n) / max(1, int(totals[place])), 3),
                    "hit": col == place,
                    "key": f"{place}-{col}" if n else None,
                    "say": _say(label, labels[col], int(n), int(totals[place])),
                }
                for col, n in enumerate(matrix[place])
            ],
        }
        for place, label in enumerate(labels)
    ]
    data = {
        "labels": labels,
        "units": run.units,
        "cells": _clips(run, sounds) if len(labels) <= MATRIX_CLASSES else {},
        "rows": rows if len(labels) <= MATRIX_CLASSES else None,
        "limit": MATRIX_CLASSES,
        "percents": len(labels) <= MATRIX_PERCENT_CLASSES,
        "top": [(*pair, percent(pair[2] / pair[3], 0)) for pair in tally.top_confusions(matrix, labels)],
        "seeds": tally.seeds_of(run.predictions),
    }
    return Section("confusions", "Confusion matrix", "confusions.html.j2", data)


def _clips(run: RunFiles, sounds: Sounds) -> dict[str, dict[str, Any]]:
    """Of every cell, `row-column`, how many clips it has and the surest of them with their probabilities."""
    if run.predictions is None:
        return {}
    index = {label: place for place, label in enumerate(run.labels)}
    full = run.predictions.group_by("target", "prediction").len()
    most = max(3, min(CELL_CLIPS, PAGE_CLIPS // max(1, len(full))))
    column = tally.group_column(run.scores or {}, run.predictions)
    found = tally.cells(run.predictions, run.labels, column, most)
    # One clip of every cell, wrong ones first and those with many clips before those with few; then a second one.
    order = sorted(found, key=lambda cell: (cell[0] == cell[1], -found[cell][0], index.get(cell[0], 0)))
    for turn in range(CELL_SOUNDS):
        sounds.want([found[cell][1][turn].clip for cell in order if turn < len(found[cell][1])])
    sounds.name([one.clip for cell in order for one in found[cell][1]])
    return {
        f"{index[target]}-{index[said]}": {"n": n, "clips": [(one.clip, round(one.confidence, 3)) for one in clips]}
        for (target, said), (n, clips) in found.items()
        if target in index and said in index
    }


def _say(label: str, heard: str, clips: int, total: int) -> str:
    """What one cell of the matrix means."""
    how = "heard rightly" if label == heard else f"heard as “{heard}”"
    return f"“{label}” {how}: {clips} of {total} ({percent(clips / max(1, total))})"


def groups_of(run: RunFiles) -> tuple[str, list[tally.Share], float] | None:
    """What a group is called, the share of right answers of every one, weakest first, and that over all clips.

    None for runs without classes or groups, and where groups have hardly more than one clip each.
    """
    if run.predictions is None or run.scores is None or run.kind != "classes":
        return None
    column = tally.group_column(run.scores, run.predictions)
    if column is None:
        return None
    found = sorted(tally.shares(run.predictions, column), key=lambda share: share.value)
    if len(found) < 2 or statistics.median([share.clips for share in found]) < CLIPS_PER_BAR:
        return None
    pooled = float((run.predictions["target"] == run.predictions["prediction"]).mean() or 0)  # type: ignore[arg-type]
    return "recording" if column == "source" else column, found, pooled


def groups(run: RunFiles) -> Section | None:
    """The share of right answers for every speaker, or whatever the clips are grouped by."""
    told = groups_of(run)
    if told is None:
        return None
    noun, found, pooled = told
    shown = found[:BARS]
    data = {
        "noun": noun,
        "nouns": plural(noun),
        "total": many(len(found), noun),
        "hidden": len(found) - len(shown),
        "lowest": found[0],
        "highest": found[-1],
        "figure": figures.group_bars(shown, plural(noun), pooled),
        "pooled": pooled,
        "rows": shown,
    }
    return Section("groups", f"Score by {noun}", "groups.html.j2", data)


def reliability_of(run: RunFiles) -> tuple[Reliability, float] | None:
    """The reliability curve, and how much surer the model is on average than it is right.

    None for runs without classes, and where the stored scores are no probabilities.
    """
    if run.predictions is None or run.scores is None or run.kind != "classes":
        return None
    labels = [str(label) for label in run.scores.get("labels") or ()]
    targets, table = tally.probabilities(run.predictions, labels)
    if len(targets) == 0:
        return None
    try:
        curve = reliability_curve(targets, table)
    except DataError:  # stored scores that are not probabilities have no calibration to show
        return None
    return curve, float(table.max(axis=1).mean()) - float((table.argmax(axis=1) == targets).mean())


def calibration(run: RunFiles) -> Section | None:
    """How far the model's confidence can be believed."""
    found = reliability_of(run)
    if found is None or run.scores is None:
        return None
    curve, lean = found
    rows = [
        {
            "span": f"{hundredths(float(curve.edges[place]), 0)}–{hundredths(float(curve.edges[place + 1]), 0)}",
            "confidence": float(curve.confidence[place]),
            "accuracy": float(curve.accuracy[place]),
            "clips": int(curve.counts[place]),
        }
        for place in range(len(curve.counts))
        if curve.counts[place] > 0
    ]
    error = number((run.scores.get("metrics") or {}).get("calibration_error"))
    data = {"figure": figures.reliability(curve), "rows": rows, "error": error, "lean": lean}
    return Section("calibration", "Calibration", "calibration.html.j2", data)
