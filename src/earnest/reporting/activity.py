"""The section of the report about stretches of time: how well a sound is found in whole recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earnest.reporting import figures
from earnest.reporting.pictures import stored
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.tally import Share
from earnest.reporting.wording import interval_of, number, percent

LONGEST_S = 30.0  # of the recordings that are heard with their lanes


def activity(run: RunFiles, sounds: Sounds) -> Section | None:
    """Area under the ROC curve, detection cost and errors of begins and ends; the cost of every recording.

    A few recordings can be heard, with what was true and what was found as lanes, and the scores over time.
    """
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
        "shown": _shown(run, sounds),
    }
    return Section("activity", "In whole recordings", "activity.html.j2", data)


def _shown(run: RunFiles, sounds: Sounds) -> list[dict[str, Any]]:
    """The recordings that the run keeps to be looked at; they play with their lanes."""
    kept = stored(run, "activity.json")
    shown = kept[0]["recordings"] if kept else []
    sounds.want([one["id"] for one in shown], LONGEST_S)
    for one in shown:
        lanes = [
            {
                "name": name,
                "kind": "labels",
                "items": [{"start_s": start, "end_s": end, "label": one["label"]} for start, end in one[name]],
            }
            for name in ("true", "found")
        ]
        curve = {"name": "score", "kind": "scores", "times_s": one["times_s"], "labels": [one["label"]]}
        sounds.lanes.setdefault(one["id"], []).extend([*lanes, curve | {"values": [one["scores"]]}])
    return [{"id": one["id"], "cost": f"{one['cost']:.3f}", "seconds": f"{one['seconds']:.1f}"} for one in shown]


def _column(name: str, part: Mapping[str, Any]) -> dict[str, str]:
    """What is said of one part; a dash where nothing is known."""
    return {
        "name": name,
        "heard": f"{part['recordings']} ({part['hours']:.2f} h)",
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
    return f"{1000 * edge['median_s']:.0f} ms ({edge['found']} of {part['stretches']})"
