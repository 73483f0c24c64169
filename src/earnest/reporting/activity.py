"""The section of the report about stretches of time: how well a sound is found in whole recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earnest.reporting import figures
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.tally import Share
from earnest.reporting.wording import interval_of, number, percent


def activity(run: RunFiles) -> Section | None:
    """Area under the ROC curve, detection cost and errors of begins and ends; the cost of every recording."""
    found = (run.scores or {}).get("activity")
    if not isinstance(found, Mapping) or not number((found.get("test") or {}).get("hours")):
        return None
    bars = [
        Share(name, round(rates["seconds"]), rates["cost"], rates["cost"], rates["cost"])
        for name, rates in sorted(found["recordings"].items(), key=lambda item: -(item[1]["cost"] or 0))
        if rates["cost"] is not None
    ]
    data = {
        "onset": f"{found['onset']:.3g}",
        "offset": f"{found['offset']:.3g}",
        "columns": [_column("test", found["test"]), _column("validation", found["validation"])],
        "figure": figures.group_bars(bars, "recordings", None, "Detection cost of every recording.") if bars else None,
        "one_sided": len(found["recordings"]) - len(bars),
    }
    return Section("activity", "In whole recordings", "activity.html.j2", data)


def _column(name: str, part: Mapping[str, Any]) -> dict[str, str]:
    """What is said of one part; a dash where nothing is known."""
    return {
        "name": name,
        "heard": f"{part['recordings']} recordings, {part['hours']:.2f} h",
        "auc": _with_interval(part, "auc"),
        "cost": _with_interval(part, "cost"),
        "missed": _share(part.get("missed")),
        "false_alarms": _share(part.get("false_alarms")),
        "onset": _edge(part, "onset"),
        "offset": _edge(part, "offset"),
    }


def _with_interval(part: Mapping[str, Any], key: str) -> str:
    bounds = interval_of(part.get(f"{key}_interval"))
    if number(part.get(key)) is None:
        return "–"
    return f"{part[key]:.3f}" + (f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else "")


def _share(value: Any) -> str:
    return "–" if number(value) is None else percent(float(value))


def _edge(part: Mapping[str, Any], key: str) -> str:
    """The median error of begins or ends, and how many of the true ones have a found one near."""
    edge = part.get(key) or {}
    if number(edge.get("median_s")) is None:
        return "–"
    return f"{1000 * edge['median_s']:.0f} ms ({edge['found']} of {part['stretches']} found)"
