"""The sections of the report about conditions, embeddings and precision: stored numbers, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from earnest.reporting import figures, svg, tally
from earnest.reporting.pictures import stored
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.tally import Share
from earnest.reporting.wording import (
    PLAIN_METRICS,
    between,
    interval_of,
    metric_name,
    number,
    plural,
    score_bare,
    score_points,
)

COLOURS, SHAPES = 8, 3
PRECISION_NAMES = {"fp8_e5m2": "fp8, e5m2", "fp8_e4m3": "fp8, e4m3"}


def conditions(run: RunFiles) -> Section | None:
    """The score for every value of the table's other columns, such as intensity or gender."""
    found = stored(run, "conditions.json")
    if found is None or run.scores is None:
        return None
    primary = run.scores.get("primary", "accuracy")
    plain = str(primary) in PLAIN_METRICS
    overall, told = number(run.scores.get("score")), told_conditions(run)
    noun = "recording" if run.scores.get("group") == "source" else run.scores.get("group")
    parts = []
    for condition in found[0]["conditions"]:
        rows = sorted(condition["values"], key=lambda row: tally.natural(str(row["value"])))
        shares, figure = told.get(str(condition["name"])), None
        if shares and not plain:
            label = f"{metric_name(primary)} by {condition['name']}, with 95 % intervals"
            figure = figures.group_bars(shares, "values", overall, label)
        parts.append({"name": condition["name"], "figure": figure, "rows": [_row(primary, row) for row in rows]})
    data = {
        "parts": parts,
        "metric": metric_name(primary),
        "unit": "" if plain else ", %",
        "overall": score_bare(primary, overall),
        "nouns": plural(str(noun)) if noun else None,
        "units": plural(str(run.scores.get("level", "clip"))),
    }
    return Section("conditions", "Score by condition", "conditions.html.j2", data)


def told_conditions(run: RunFiles) -> dict[str, list[Share]]:
    """Of every condition, the values that have a score, with their intervals, in natural order."""
    found = stored(run, "conditions.json")
    told: dict[str, list[Share]] = {}
    for condition in found[0]["conditions"] if found else ():
        rows = sorted(condition["values"], key=lambda row: tally.natural(str(row["value"])))
        shares = [_share(row) for row in rows if number(row["score"]) is not None]
        if shares:
            told[str(condition["name"])] = shares
    return told


def _share(row: Mapping[str, Any]) -> Share:
    low, high = interval_of(row["interval"]) or (row["score"], row["score"])
    return Share(str(row["value"]), int(row["n"]), float(row["score"]), low, high)


def _row(primary: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    bounds = interval_of(row["interval"])
    return {
        "value": str(row["value"]),
        "n": row["n"],
        "groups": row["groups"],
        "score": score_bare(primary, row["score"]),
        "interval": between(primary, bounds) if bounds else "",
        "reason": row.get("reason"),
    }


def precisions(run: RunFiles) -> Section | None:
    """The trained models in lower precision, beside their score in fp32."""
    found = (run.scores or {}).get("precisions")
    if not isinstance(found, Mapping) or not found or run.scores is None:
        return None
    primary = run.scores.get("primary", "accuracy")
    full = {"score": run.scores.get("score"), "interval": run.scores.get("interval")}
    base = number(full["score"])
    rows = []
    for name, entry in {"fp32": full, **found}.items():
        bounds, gap = interval_of(entry.get("interval")), number(entry.get("difference"))
        score = number(entry.get("score"))
        if gap is None and name != "fp32" and score is not None and base is not None:
            gap = score - base
        rows.append(
            {
                "name": PRECISION_NAMES.get(name, name),
                "score": score_bare(primary, score),
                "interval": between(primary, bounds) if bounds else "",
                "difference": "" if gap is None else _signed(primary, gap),
                "note": entry.get("problem"),
            }
        )
    data = {"rows": rows, "metric": metric_name(primary), "unit": "" if str(primary) in PLAIN_METRICS else ", %"}
    return Section("precisions", "Score by precision", "precisions.html.j2", data)


def _signed(primary: Any, gap: float) -> str:
    sign = "" if gap == 0 else "+" if gap > 0 else "−"
    return f"{sign}{score_points(primary, gap)}"


def embedding_map(run: RunFiles, sounds: Sounds) -> Section | None:
    """One fold's test clips as its model places them, coloured by class."""
    found = stored(run, "map.json")
    if found is None or not found[0]["points"]:
        return None
    chart = found[0]
    sounds.want([point["id"] for point in chart["points"]])
    labels = [label for label in run.labels if any(point["label"] == label for point in chart["points"])]
    known = {label: place for place, label in enumerate(labels)}
    marks = {label: _mark(place) for label, place in known.items()}
    data = {
        "fold": chart["fold"],
        "drawn": len(chart["points"]),
        "total": chart["total"],
        "perplexity": chart["perplexity"],
        "figure": places(chart["points"], marks),
        "legend": [(label, _sample(marks[label])) for label in labels if marks[label]],
        "unmarked": sum(mark is None for mark in marks.values()),
        "wrong": any(point["label"] != point["prediction"] for point in chart["points"]),
    }
    return Section("map", "Embedding map", "map.html.j2", data)


Mark = tuple[int, int]  # number of a colour and of a shape


def _mark(place: int) -> Mark | None:
    """A class's colour and shape; None (small and grey) when both are used up."""
    return (place % COLOURS, place // COLOURS) if place < COLOURS * SHAPES else None


def places(points: Sequence[Mapping[str, Any]], marks: Mapping[str, Mark | None]) -> Markup:
    """Points in two dimensions on one scale for both; hollow where the answer is wrong."""
    size, margin = 560.0, 14.0
    xs, ys = [float(point["x"]) for point in points], [float(point["y"]) for point in points]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    unit = (size - 2 * margin) / max(wide, high, 1e-9)  # pixels
    width, height = (max(200.0, unit * length + 2 * margin) for length in (wide, high))
    across = svg.Scale(min(xs), max(xs), (width - unit * wide) / 2, (width + unit * wide) / 2)
    up = svg.Scale(min(ys), max(ys), (height + unit * high) / 2, (height - unit * high) / 2)
    drawn = []
    for point in points:
        right = point["label"] == point["prediction"]
        words = f"{point['id']}: {point['label']}" + ("" if right else f", heard as {point['prediction']}")
        mark = marks.get(point["label"])
        drawn.append(spot(across(float(point["x"])), up(float(point["y"])), mark, not right, words, point["id"]))
    label = f"{len(points)} clips as the model places them, coloured by class; hollow where its answer is wrong"
    return svg.picture(width, height, label, *drawn, class_="chart map")


def spot(
    x: float, y: float, mark: Mark | None, hollow: bool, words: str | None = None, clip: str | None = None
) -> Markup:
    """One mark of a class's colour and shape, hollow where its answer is wrong; `clip` is what it plays."""
    colour, shape = mark or (None, 0)
    class_ = f"spot {'none' if colour is None else f'c{colour}'}{' hollow' if hollow else ''}"
    title = (svg.element("title", words),) if words else ()
    if shape == 0:
        return svg.element("circle", *title, cx=x, cy=y, r=4.0, class_=class_, data_play=clip)
    if shape == 1:
        return svg.element("rect", *title, x=x - 3.6, y=y - 3.6, width=7.2, height=7.2, class_=class_, data_play=clip)
    corners = f"{x:.2f},{y - 5:.2f} {x + 4.6:.2f},{y + 3.6:.2f} {x - 4.6:.2f},{y + 3.6:.2f}"
    return svg.element("polygon", *title, points=corners, class_=class_, data_play=clip)


def _sample(mark: Mark | None) -> Markup:
    return svg.picture(12, 12, "", spot(6, 6, mark, False), class_="sample")
