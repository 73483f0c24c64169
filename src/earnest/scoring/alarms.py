"""Keywords in streams: false alarms per hour against the share of words missed, over the folds of a run.

A rate of false alarms means nothing without the hours behind it, so each comes with its exact Poisson interval, which
takes alarms to be independent of each other. The interval of the missed share is resampled by group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from earnest.scoring.binary import rate_score
from earnest.scoring.poisson import rate_interval

THRESHOLDS = tuple(round(float(1 / (1 + np.exp(-x))), 6) for x in np.linspace(-3, 10, 66))
"""Where a curve is counted: close together near one, where smoothed probabilities lie."""

Record = Mapping[str, Any]


def pool(
    records: Sequence[Record], groups: Sequence[Any] | None, words: Sequence[str], wanted: float
) -> dict[str, Any]:
    """The folds' counts as one: the operating point with its intervals, alarms by corpus, and the curve.

    Every fold counts at the threshold that its own validation streams chose; the curve is of equal thresholds.

    Parameters
    ----------
    records : one per fold; `alarms` is what `earnest.alarms.measure` returns, records without it are passed over.
    groups : of every row of the table, the group (speaker); None: words are resampled one by one.
    words, wanted : the keywords, and the false alarms per hour that thresholds were chosen for.
    """
    found = [record for record in records if "alarms" in record]
    parts = [record["alarms"] for record in found]
    alarms, hours = (sum(part["test"][key] for part in parts) for key in ("alarms", "hours"))
    spoken = [word for part in parts for word in part["words"]]
    by_corpus: dict[str, tuple[int, float]] = {}
    for part in parts:
        for name, (count, over) in part["by_corpus"].items():
            before = by_corpus.get(name, (0, 0.0))
            by_corpus[name] = (before[0] + int(count), before[1] + over)
    false, missed = np.sum([part["curve"] for part in parts], axis=0).T  # (thresholds,) each
    return {
        "words": list(words),
        "wanted_per_hour": wanted,
        "point": {**rate(alarms, hours), **missed_share(spoken, groups)},
        "wrong": sum(part["test"]["wrong"] for part in parts),
        "validation": {key: sum(part["validation"][key] for part in parts) for key in parts[0]["validation"]},
        "folds": [
            {"name": record["fold"], "threshold": part["threshold"], "reached": part["reached"], **part["test"]}
            for record, part in zip(found, parts, strict=True)
        ],
        "by_corpus": {name: rate(*counts) for name, counts in sorted(by_corpus.items())},
        "curve": [
            {"threshold": at, **rate(int(alarm), hours), "missed_share": float(miss) / len(spoken) if spoken else None}
            for at, alarm, miss in zip(THRESHOLDS, false, missed, strict=True)
        ],
    }


def rate(alarms: int, hours: float) -> dict[str, Any]:
    """A count of false alarms per hour with its exact 95 % interval; None where there is nothing to hear."""
    interval = list(rate_interval(alarms, hours)) if hours else None
    return {"alarms": alarms, "hours": hours, "per_hour": alarms / hours if hours else None, "interval": interval}


def missed_share(spoken: Sequence[Sequence[Any]], groups: Sequence[Any] | None) -> dict[str, Any]:
    """The share of words that were not reported, with its 95 % interval over groups.

    Parameters
    ----------
    spoken : (row of the table, whether it was reported) for each word.
    groups : of every row of the table, or None.
    """
    if not spoken:
        return {"words": 0, "missed": 0, "missed_share": None, "missed_interval": None, "missed_method": None}
    hits = np.array([[int(hit) for _, hit in spoken]])
    known = None if groups is None else np.array([groups[int(row)] for row, _ in spoken], dtype=object)
    score = rate_score(np.ones(hits.shape[1], int), hits, 1, known, rng=np.random.default_rng(0))
    return {
        "words": hits.shape[1],
        "missed": int((1 - hits).sum()),
        "missed_share": 1 - score.value,
        "missed_interval": [1 - score.interval.high, 1 - score.interval.low],
        "missed_method": score.interval.method,
    }
