"""The sections of the report about the score itself: each a function from a run's files to what its template shows.

A section whose files are missing is None, and the report leaves it out.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from earnest.reporting import figures, tally
from earnest.reporting.rundir import RunFiles
from earnest.reporting.verdict import group_noun, is_void, unheard
from earnest.reporting.wording import (
    GUESSES,
    PLAIN_METRICS,
    between,
    count,
    hundredths,
    interval_of,
    metric_name,
    number,
    percent,
    plural,
    score_bare,
    score_points,
)

PANELS = 36


@dataclass(frozen=True)
class Section:
    """One part of the page: its anchor, its heading, its template and what the template shows."""

    anchor: str
    title: str
    template: str
    data: Mapping[str, Any] = field(default_factory=dict)


def summary(run: RunFiles) -> Section | None:
    """The honest-versus-leaky table: the score, its twin and guessing, on one scale."""
    scores = run.scores
    if scores is None or number(scores.get("score")) is None:
        return None
    void = is_void(scores)
    rows = [_row("This model, leaky split" if void else "This model", scores, "void" if void else "run", void)]
    if run.twin is not None and number(run.twin.get("score")) is not None:
        rows.append(_row("Leaky twin", {"primary": scores.get("primary"), **run.twin}, "void", True))
    baseline = scores.get("baseline") or {}
    primary = scores.get("primary", "accuracy")
    for key, (name, protocol) in GUESSES.items():
        if number(baseline.get(key)) is not None:
            guess = {"score": baseline[key], "protocol": protocol[0].upper() + protocol[1:], "primary": primary}
            rows.append(_row(name, guess, "baseline", False))
    plain = str(primary) in PLAIN_METRICS
    data = {
        "axis": figures.score_axis("{:g}" if plain else "{:.0%}"),
        "rows": rows,
        "metric": metric_name(primary),
        "unit": "" if plain else " in per cent",
        "ends": "0 to 1" if plain else "0 to 100",
        "method": scores.get("interval_method"),
        "seeds": _seeds(scores),
        "twin": _twin_sentence(scores, run.twin),
        "others": _other_metrics(scores),
        "notes": [str(note) for note in scores.get("notes") or ()],
        "reason": scores.get("allow_leaks"),
    }
    return Section("score", "Honest and leaky", "summary.html.j2", data)


def _row(name: str, values: Mapping[str, Any], kind: str, void: bool) -> dict[str, Any]:
    score, interval = number(values.get("score")), interval_of(values.get("interval"))
    return {
        "name": name,
        "kind": kind,
        "void": void,
        "score": score_bare(values.get("primary"), score),
        "interval": between(values.get("primary"), interval) if interval else "",
        "plot": figures.score_row(score, interval, kind),
        "protocol": values.get("protocol") or "",
    }


def _seeds(scores: Mapping[str, Any]) -> str | None:
    seeds = scores.get("seeds") or {}
    if int(seeds.get("n") or 1) < 2:
        return None
    primary = scores.get("primary")
    single = ", ".join(score_bare(primary, value) for value in seeds.get("scores") or ())
    mean, deviation = score_bare(primary, seeds.get("mean")), score_bare(primary, seeds.get("sd"))
    spread = f"{mean} ± {deviation} (mean ± standard deviation)"
    return f"{seeds['n']} seeds: {spread}" + (f"; single seeds {single}." if single else ".")


def _twin_sentence(scores: Mapping[str, Any], twin: Mapping[str, Any] | None) -> str | None:
    """What the twin's difference means."""
    own, other = number(scores.get("score")), number((twin or {}).get("score"))
    if own is None or other is None or is_void(scores):
        return None
    noun = group_noun(scores) or "source"
    gap = score_points(scores.get("primary"), other - own)
    where = f"with the same {plural(noun)} in training and test"
    if other - own < 0.0005:
        return (
            f"The leaky twin, the same recipe scored {where}, comes out {gap} lower or equal: "
            f"on this data the leak does not flatter the score. It is void all the same."
        )
    return (
        f"The leaky twin is the same recipe scored {where}. Its {gap} more are not skill: they come "
        f"from having met the {plural(noun)} in training, and vanish on {unheard(scores)}. Only the honest score tells "
        f"what to expect there."
    )


def _other_metrics(scores: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The metrics beside the primary one, proportions in per cent."""
    metrics = scores.get("metrics") or {}
    plain = {key: value for key, value in metrics.items() if number(value) is not None and key != scores.get("primary")}
    return [
        (metric_name(key), f"{float(value):.3f}" if key in PLAIN_METRICS or value > 1 else percent(value))
        for key, value in plain.items()
    ]


def classes(run: RunFiles) -> Section | None:
    """Recall of every class, weakest first."""
    recall = ((run.scores or {}).get("metrics") or {}).get("recall") or {}
    if run.predictions is None or not recall:
        return None
    matrix = tally.confusion(run.predictions, run.labels)
    counted = {share.name: share for share in tally.shares(run.predictions, "target")}
    rows = []
    for place, label in enumerate(run.labels):
        others = matrix[place].copy()
        others[place] = 0
        taken = run.labels[int(others.argmax())] if others.sum() else None
        share, value = counted.get(label), number(recall.get(label))
        rows.append(
            {
                "label": label,
                "clips": share.clips if share else 0,
                "recall": value,
                "meter": figures.meter(value),
                "interval": f"{hundredths(share.low)}–{hundredths(share.high)}" if share else "",
                "taken": taken,
            }
        )
    rows.sort(key=lambda row: (row["recall"] is None, row["recall"]))
    return Section("classes", "Recall by class", "classes.html.j2", {"rows": rows, "units": run.units})


def folds(run: RunFiles) -> Section | None:
    """The score of every fold, over its seeds."""
    given = (run.scores or {}).get("folds") or ()
    if not given:
        return None
    primary = (run.scores or {}).get("primary")
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for fold in given:
        by_name.setdefault(str(fold.get("name")), []).append(fold)
    rows = []
    for name in sorted(by_name, key=tally.natural):
        cells = by_name[name]
        values = [value for cell in cells if (value := number(cell.get("score"))) is not None]
        inner = [value for cell in cells if (value := number(cell.get("validation"))) is not None]
        mean = statistics.fmean(values) if values else None
        rows.append(
            {
                "name": name,
                "clips": count(int(cells[0].get("n") or 0)),
                "score": score_bare(primary, mean),
                "range": between(primary, (min(values), max(values))) if len(values) > 1 else None,
                "meter": figures.meter(mean),
                "interval": _fold_interval(cells, primary),
                "validation": score_bare(primary, statistics.fmean(inner)) if inner else None,
                "epochs": ", ".join(str(cell["epochs"]) for cell in cells if cell.get("epochs") is not None),
            }
        )
    shown = {key: any(row[key] for row in rows) for key in ("range", "interval", "validation", "epochs")}
    methods = sorted({str(fold["interval_method"]) for fold in given if fold.get("interval_method")})
    data = {
        "rows": rows,
        "shown": shown,
        "units": run.units,
        "unit": "" if str(primary) in PLAIN_METRICS else ", %",
        "method": methods[0] if len(methods) == 1 and shown["interval"] else None,
    }
    return Section("folds", "Score by fold", "folds.html.j2", data)


def _fold_interval(cells: Sequence[Mapping[str, Any]], primary: Any) -> str | None:
    """The interval of a fold that was trained once; several seeds show their range instead."""
    bounds = interval_of(cells[0].get("interval")) if len(cells) == 1 else None
    return between(primary, bounds) if bounds else None


def curves_of(run: RunFiles) -> dict[str, list[figures.Curve]]:
    """The losses of every fold's trainings (seeds and members), folds in natural order; empty without epochs."""
    curves: dict[str, dict[tuple[Any, Any], tuple[list[Any], list[Any]]]] = {}
    for entry in run.log:
        epoch, train = number(entry.get("epoch")), number(entry.get("train_loss"))
        if epoch is None or train is None:
            continue
        trainings = curves.setdefault(str(entry.get("fold")), {})
        pair = trainings.setdefault((entry.get("seed"), entry.get("member")), ([], []))
        pair[0].append((int(epoch), train))
        validation = number(entry.get("validation_loss"))
        if validation is not None:
            pair[1].append((int(epoch), validation))
    names = sorted(curves, key=tally.natural)
    return {name: [figures.Curve(tuple(a), tuple(b)) for a, b in curves[name].values()] for name in names}


def learning(run: RunFiles) -> Section | None:
    """Training and validation loss over the epochs, one panel per fold."""
    made = curves_of(run)
    if not made:
        return None
    names = list(made)
    flat = [point for fold in made.values() for curve in fold for point in (*curve.train, *curve.validation)]
    epochs, top = max(epoch for epoch, _ in flat), max(loss for _, loss in flat) or 1.0
    panels = []
    for name in names[:PANELS]:
        gap = overfitting_gap(made[name])
        words = "" if gap is None else f"gap {100 * gap:+.0f} %"
        panels.append(
            {"name": name, "gap": words, "figure": figures.learning_panel(name, made[name], epochs, top, words)}
        )
    gaps = [gap for name in names if (gap := overfitting_gap(made[name])) is not None]
    data = {
        "panels": panels,
        "hidden": max(0, len(names) - PANELS),
        "gap": f"{100 * statistics.fmean(gaps):+.0f} %" if gaps else None,
        "trainings": sum(len(fold) for fold in made.values()),
        "validated": any(curve.validation for fold in made.values() for curve in fold),
    }
    return Section("learning", "Learning curves", "learning.html.j2", data)


def overfitting_gap(curves: Sequence[figures.Curve]) -> float | None:
    """The mean of (validation − training) / training loss at the last epoch of each training."""
    gaps = [
        (curve.validation[-1][1] - curve.train[-1][1]) / curve.train[-1][1]
        for curve in curves
        if curve.validation and curve.train[-1][1] > 0
    ]
    return statistics.fmean(gaps) if gaps else None
