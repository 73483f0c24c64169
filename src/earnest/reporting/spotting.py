"""The section of the report about keywords in streams: false alarms per hour against the share of words missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from earnest.reporting import svg
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.wording import hundredths, interval_of, many, number, percent

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560.0, 320.0, 52.0, 262.0, 26.0


def spotting(run: RunFiles) -> Section | None:
    """The curve over the test streams of all folds, and the operating point that validation chose."""
    found = (run.scores or {}).get("spotting")
    if not isinstance(found, Mapping) or not number((found.get("point") or {}).get("hours")):
        return None
    point, validation = found["point"], found["validation"]
    bounds = interval_of(point.get("missed_interval"))
    data = {
        "figure": curve(found["curve"], point),
        "per_hour": per_hour(point),
        "hours": f"{point['hours']:.2f}",
        "alarms": point["alarms"],
        "missed": None if point["missed_share"] is None else percent(point["missed_share"]),
        "between": f"{percent(bounds[0])} to {percent(bounds[1])}" if bounds else "",
        "words": point["words"],
        "wanted": f"{found['wanted_per_hour']:g}",
        "validation_hours": f"{validation['hours']:.2f}",
        "wrong": found["wrong"],
        "folds": [
            {
                "name": fold["name"],
                "threshold": f"{fold['threshold']:.4g}",
                "note": {None: "no validation streams", False: "wanted rate not reached"}.get(fold["reached"], ""),
                "alarms": fold["alarms"],
                "hours": f"{fold['hours']:.2f}",
                "missed": percent(fold["missed"] / fold["words"]) if fold["words"] else "",
            }
            for fold in found["folds"]
        ],
        "corpora": [
            {"name": name, "alarms": rate["alarms"], "hours": f"{rate['hours']:.2f}", "per_hour": per_hour(rate)}
            for name, rate in found["by_corpus"].items()
        ],
    }
    return Section("streams", "False alarms and missed words", "spotting.html.j2", data)


def in_streams(point: Mapping[str, Any]) -> str:
    """What is missed in streams and what is heard in them that was not there, as what a model does.

    Parameters
    ----------
    point : of `earnest.scoring.alarms.pool`: counts and rates at the chosen threshold.

    Returns
    -------
    Words such as "misses 27.2 % of 125 words (20.0 to 35.2 %) and gives 3.2 (0.87 to 8.1) false alarms per hour, 4 in
    1.27 hours".
    """
    parts = []
    if point["missed_share"] is not None:
        bounds = interval_of(point["missed_interval"])
        between = f" ({hundredths(bounds[0])} to {percent(bounds[1])})" if bounds else ""
        parts.append(f"misses {percent(point['missed_share'])} of {many(point['words'], 'word')}{between}")
    if point["hours"]:
        counted = f"{point['alarms']} in {point['hours']:.2f} hours"
        parts.append(f"gives {per_hour(point)} false alarms per hour, {counted}")
    else:
        parts.append("nothing is known of its false alarms, for no sound without a word was given")
    return " and ".join(parts)


def per_hour(rate: Mapping[str, Any]) -> str:
    """A rate with its interval, such as `0.8 (0.1 to 3)`."""
    bounds = interval_of(rate.get("interval"))
    if rate["per_hour"] is None or bounds is None:
        return "–"
    return f"{rate['per_hour']:.2g} ({bounds[0]:.2g} to {bounds[1]:.2g})"


def curve(points: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> Markup:
    """Missed share over false alarms per hour, one point for each threshold; the chosen ones as a dot with intervals.

    The axis of the rates is a square root, so that none at all has a place on it.
    """
    known = [point for point in points if point["missed_share"] is not None]
    most = max(
        [*(point["per_hour"] for point in known), *(interval_of(chosen["interval"]) or ()), chosen["per_hour"], 1.0]
    )
    across, up = svg.Scale(0, most**0.5, LEFT, WIDTH - 12), svg.Scale(0, 1, BOTTOM, TOP)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(svg.line(LEFT, up(tick), WIDTH - 12, up(tick), "grid"))
        parts.append(svg.text(LEFT - 8, up(tick) + 4, f"{100 * tick:.0f}", "tick", "end"))
    for tick in rates(most):
        x = across(tick**0.5)
        parts.append(svg.line(x, TOP, x, BOTTOM, "grid"))
        parts.append(svg.text(x, BOTTOM + 17, f"{tick:g}", "tick", "middle"))
    parts.append(svg.path(((across(p["per_hour"] ** 0.5), up(p["missed_share"])) for p in known), "curve train"))
    for point in known:
        hint = (
            f"threshold {point['threshold']:.4g}: {per_hour(point)} per hour, {percent(point['missed_share'])} missed"
        )
        parts.append(svg.dot(across(point["per_hour"] ** 0.5), up(point["missed_share"]), 2.5, "curve-dot train", hint))
    if chosen["missed_share"] is not None:
        x, y = across(chosen["per_hour"] ** 0.5), up(chosen["missed_share"])
        if bounds := interval_of(chosen["interval"]):
            parts.append(svg.line(across(bounds[0] ** 0.5), y, across(bounds[1] ** 0.5), y, "whisker"))
        if bounds := interval_of(chosen["missed_interval"]):
            parts.append(svg.line(x, up(bounds[0]), x, up(bounds[1]), "whisker"))
        parts.append(svg.dot(x, y, 5, "mark run", "at the thresholds that validation chose"))
    parts.append(svg.text((LEFT + WIDTH) / 2, BOTTOM + 38, "false alarms per hour", "tick", "middle"))
    parts.append(svg.text(LEFT - 8, TOP - 13, "missed, %", "tick", "middle"))
    label = "Share of words missed over false alarms per hour; the table holds the chosen point."
    return svg.picture(WIDTH, HEIGHT, label, *parts)


def rates(most: float) -> list[float]:
    """Round rates for an axis up to `most`, no two too near to each other."""
    powers = [base * 10.0**power for power in range(5) for base in (1, 3)]
    return [0.0, *(rate for rate in powers if most / 300 <= rate <= most)]
