"""The section of the report that tells clips, recordings and people apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.wording import between, interval_of, many, metric_name, plural, score_bare

UNITS: Mapping[str, str] = {
    "clip": "each clip by itself",
    "recording": "the clips of one recording together",
    "subject": "the clips of one speaker together",
}
RULES: Mapping[str, str] = {
    "mean": "the mean of their probabilities",
    "majority": "the majority of their answers",
    "geometric": "the geometric mean of their probabilities",
}


def by_level(run: RunFiles) -> Section | None:
    """The score at every level that the run offers, the twin's beside it; None where there is one level only."""
    scores: Mapping[str, Any] = run.scores or {}
    told = scores.get("levels") or {}
    if len(told) < 2:
        return None
    primary, twin = scores.get("primary", "accuracy"), (run.twin or {}).get("levels") or {}
    rows = []
    for level, found in told.items():
        bounds = interval_of(found.get("interval"))
        other = twin.get(level) or {}
        rows.append(
            {
                "name": plural(level).capitalize(),
                "what": UNITS.get(level, ""),
                "n": many(int(found.get("n") or 0), level),
                "score": score_bare(primary, found.get("score")),
                "interval": between(primary, bounds) if bounds else "",
                "twin": score_bare(primary, other.get("score")) if other else "",
                "known": level == scores.get("level"),
            }
        )
    data = {
        "rows": rows,
        "metric": metric_name(primary),
        "rule": RULES.get(str(scores.get("combine")), str(scores.get("combine"))),
        "twin": any(row["twin"] for row in rows),
    }
    return Section("levels", "Clips, recordings, subjects", "levels.html.j2", data)
