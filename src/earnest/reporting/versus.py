"""The page that compares finished runs: scores, differences in pairs, classes, groups, and where the runs disagree."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from earnest.reporting import figures, insights, svg, tally
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.tally import Share
from earnest.reporting.verdict import is_void
from earnest.reporting.wording import (
    PLAIN_METRICS,
    between,
    hundredths,
    interval_of,
    listing,
    many,
    metric_name,
    number,
    percent,
    plural,
    score_bare,
    score_text,
)

ALPHA = 0.05
ROWS = 40
LISTED = 10  # clips of each kind of disagreement
COLOURS = 8


@dataclass(frozen=True)
class Pair:
    """Two runs, by their places among the runs, and what `earnest.comparison.compare_runs` says of them.

    Attributes
    ----------
    corrected : the p-value after Holm's correction over all pairs of the page.
    problem : why there is no test; then `result` is empty.
    """

    a: int
    b: int
    result: Mapping[str, Any]
    corrected: float | None = None
    problem: str | None = None


def names_of(paths: Sequence[Path]) -> list[str]:
    """The folders' names, with as much of their parents as it takes to tell them apart."""
    for parts in range(1, max(len(path.resolve().parts) for path in paths) + 1):
        names = ["/".join(path.resolve().parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def head(runs: Sequence[RunFiles], names: Sequence[str], pairs: Sequence[Pair]) -> dict[str, Any]:
    """Title, verdict and key figures."""
    scores = [run.scores or {} for run in runs]
    corpora, protocols = (list(dict.fromkeys(str(one.get(key)) for one in scores)) for key in ("corpus", "protocol"))
    return {
        "name": listing(list(names)) if len(names) <= 3 else f"{len(names)} runs",
        "corpus": listing(corpora),
        "protocol": protocols[0] if len(protocols) == 1 else None,
        "verdict": verdict(runs, names, pairs),
        "standing": "void" if any(is_void(one) for one in scores) else "comparison",
        "facts": [("runs", len(runs)), ("pairs", len(pairs)), ("test", "paired, by group")],
    }


def verdict(runs: Sequence[RunFiles], names: Sequence[str], pairs: Sequence[Pair]) -> str:
    """Which run is ahead, and of which others that is shown."""
    void = [name for run, name in zip(runs, names, strict=True) if is_void(run.scores or {})]
    if void:
        return f"{listing(void)}: void, scored on a leaky split; its place among the others says nothing."
    if len(runs) == 2:
        sentence = str(pairs[0].result.get("sentence") or f"no comparison: {pairs[0].problem}")
        return f"No{sentence[2:]}" if sentence.startswith("no ") else sentence  # else it begins with a run's name
    known = [place for place, run in enumerate(runs) if number((run.scores or {}).get("score")) is not None]
    if not known or len({(runs[place].scores or {}).get("primary") for place in known}) > 1:
        return "The runs are known by different metrics, so none of them is the first."
    first = max(known, key=lambda place: float((runs[place].scores or {})["score"]))
    primary = (runs[first].scores or {}).get("primary")
    of_first = {pair.b if pair.a == first else pair.a: pair for pair in pairs if first in (pair.a, pair.b)}
    behind = [names[n] for n, pair in of_first.items() if pair.corrected is not None and pair.corrected < ALPHA]
    near = [names[n] for n, pair in of_first.items() if pair.corrected is not None and pair.corrected >= ALPHA]
    words = f"{names[first]} scores highest, {score_text(primary, (runs[first].scores or {}).get('score'))}"
    shown = f"that it is better than {listing(behind)} is shown" if behind else "that it is better is shown of none"
    return f"{words}; {shown}" + (f"; from {listing(near)} it does not differ significantly." if near else ".")


def scores(runs: Sequence[RunFiles], names: Sequence[str]) -> Section:
    """The runs' scores with their intervals on one scale, and the best guess."""
    primaries = list(dict.fromkeys(str((run.scores or {}).get("primary")) for run in runs))
    plain = all(primary in PLAIN_METRICS for primary in primaries)
    rows = []
    for name, run in zip(names, runs, strict=True):
        told: Mapping[str, Any] = run.scores or {}
        score, bounds, void = number(told.get("score")), interval_of(told.get("interval")), is_void(told)
        kind = "void" if void else "run"
        rows.append(
            {
                "name": name,
                "kind": kind,
                "void": void,
                "score": score_bare(told.get("primary"), score),
                "interval": between(told.get("primary"), bounds) if bounds else "",
                "plot": figures.score_row(score, bounds, kind),
                "metric": metric_name(told.get("primary")) if len(primaries) > 1 else None,
                "protocol": told.get("protocol") or "",
                "units": many(int(told.get("n_units") or told.get("n_clips") or 0), str(told.get("level", "clip"))),
            }
        )
    data = {
        "rows": rows,
        "axis": figures.score_axis("{:g}" if plain else "{:.0%}"),
        "ends": "0 to 1" if plain else "0 to 100",
        "metric": listing([metric_name(primary) for primary in primaries]),
        "unit": "" if plain else " in per cent",
    }
    return Section("scores", "Scores", "versus_scores.html.j2", data)


def differences(names: Sequence[str], pairs: Sequence[Pair]) -> Section:
    """Every pair's difference over the clips that both answered, with its interval and corrected p-value."""
    rows = []
    for pair in pairs:
        found, unit = pair.result, 1.0 if pair.result.get("metric") == "squared_error" else 100.0
        bounds = interval_of(found.get("interval")) if found else None
        corrected = pair.corrected
        rows.append(
            {
                "pair": f"{names[pair.a]} − {names[pair.b]}",
                "difference": f"{unit * found['difference']:+.{1 if unit > 1 else 3}f}" if found else "",
                "interval": f"{unit * bounds[0]:+.2f} to {unit * bounds[1]:+.2f}" if bounds else "",
                "p": "" if not found else f"{found['p_value']:.3g}",
                "corrected": "" if corrected is None else f"{corrected:.3g}",
                "shown": corrected is not None and corrected < ALPHA,
                "what": pair.problem
                or ", ".join(
                    [metric_name(found["metric"]), *(many(found[f"n_{one}s"], one) for one in ("clip", "group"))]
                ),
                "notes": list(found.get("notes") or ()),
            }
        )
    methods = list(dict.fromkeys(str(pair.result["method"]) for pair in pairs if pair.result))
    return Section(
        "differences", "Differences in pairs", "versus_pairs.html.j2", {"rows": rows, "methods": methods[:3]}
    )


def classes(runs: Sequence[RunFiles], names: Sequence[str]) -> Section | None:
    """The recall of every class in every run."""
    told = [_recall(run) for run in runs]
    section = _side_by_side(told, names, "class", "Recall by class")
    return section and Section("classes", *section)


def groups(runs: Sequence[RunFiles], names: Sequence[str]) -> Section | None:
    """The share of right answers of every group (speaker, recording) in every run."""
    from earnest.reporting.details import groups_of

    found = [groups_of(run) for run in runs]
    if any(one is None for one in found):
        return None
    told = [{share.name: share for share in one[1]} for one in found if one]
    noun = next(one[0] for one in found if one)
    section = _side_by_side(told, names, noun, f"Score by {noun}")
    return section and Section("groups", *section)


def _recall(run: RunFiles) -> dict[str, Share]:
    if run.predictions is None or run.kind != "classes":
        return {}
    return {share.name: share for share in tally.shares(run.predictions, "target")}


def _side_by_side(
    told: Sequence[Mapping[str, Share]], names: Sequence[str], noun: str, title: str
) -> tuple[str, str, dict[str, Any]] | None:
    """Title, template and data of shares by the same names in all runs; None where they have none in common."""
    if not all(told):
        return None
    common = [name for name in told[0] if all(name in one for one in told)]
    if not common:
        return None
    # Where the runs differ most comes first: that is what a comparison is read for.
    gap = {name: max(one[name].value for one in told) - min(one[name].value for one in told) for name in common}
    common.sort(key=lambda name: (-gap[name], tally.natural(name)))
    rows = [
        {"name": name, "gap": hundredths(gap[name]), "shares": [one[name] for one in told]} for name in common[:ROWS]
    ]
    data = {
        "rows": rows,
        "runs": [(name, _sample(place)) for place, name in enumerate(names)],
        "noun": noun,
        "hidden": len(common) - len(rows),
        "nouns": plural(noun),
        "figure": dots(rows),
    }
    return title, "versus_shares.html.j2", data


def dots(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """One row for each name, one mark for each run in it, with its interval, on a scale from 0 to 100 per cent."""
    width, row_height, top = 880.0, 30.0, 24.0
    left = 16 + 7.2 * max(len(svg.shorten(row["name"], 22)) for row in rows)
    bottom = top + row_height * len(rows)
    across = svg.Scale(0, 1, left, width - 24)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(svg.line(across(tick), top - 4, across(tick), bottom, "grid"))
        parts.append(svg.text(across(tick), 12, f"{100 * tick:.0f} %", "tick", "middle"))
    for number_, row in enumerate(rows):
        middle = top + row_height * (number_ + 0.5)
        parts.append(svg.text(left - 12, middle + 4, svg.shorten(row["name"], 22), "name", "end"))
        spread = min(6.0, 20.0 / len(row["shares"]))
        for place, share in enumerate(row["shares"]):
            y = middle + spread * (place - (len(row["shares"]) - 1) / 2)
            colour = f"c{place % COLOURS}"
            words = f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)}), {share.clips} clips"
            reach = svg.line(across(share.low), y, across(share.high), y, f"reach {colour}")
            mark = insights.spot(across(share.value), y, (place % COLOURS, place // COLOURS % 3), False)
            parts.append(svg.element("g", svg.element("title", f"{row['name']}: {words}"), reach, mark))
    return svg.picture(width, bottom + 4, "The same numbers stand in the table below.", *parts, class_="chart wide")


def _sample(place: int) -> Markup:
    mark = insights.spot(6, 6, (place % COLOURS, place // COLOURS % 3), False)
    return svg.picture(12, 12, "", mark, class_="sample")


def disagreements(runs: Sequence[RunFiles], names: Sequence[str], sounds: Sounds) -> Section | None:
    """Clips that one run alone labels rightly, or wrongly, surest first, to listen to."""
    joined = answers_of(runs)
    if joined is None:
        return None
    places = range(len(runs))
    right = [pl.col(f"said_{place}") == pl.col("target") for place in places]
    votes = functools.reduce(lambda a, b: a + b, [one.cast(pl.Int64) for one in right])
    parts: list[dict[str, Any]] = []
    for place in places:
        kinds = [("right", right[place] & (votes == 1))]
        if len(runs) > 2:
            kinds.append(("wrong", ~right[place] & (votes == len(runs) - 1)))
        for kind, rule in kinds:
            found = joined.filter(rule).sort(f"sure_{place}", "clip", descending=[True, False])
            if len(found):
                shown = list(found.head(LISTED).iter_rows(named=True))
                sounds.want([row["clip"] for row in shown])
                parts.append({"run": names[place], "kind": kind, "total": len(found), "clips": _listed(shown, names)})
    for part in parts:
        for row in part["clips"]:
            sounds.tell(row["clip"], label=row["target"], heard="; ".join(f"{n}: {s}" for n, s, _ in row["said"]))
    counts = {
        "all": len(joined.filter(votes == len(runs))),
        "none": len(joined.filter(votes == 0)),
        "some": len(joined.filter((votes > 0) & (votes < len(runs)))),
    }
    data = {"parts": parts, "clips": len(joined), "counts": counts, "runs": len(runs), "limit": LISTED}
    return Section("disagreements", "Where they disagree", "versus_clips.html.j2", data)


def answers_of(runs: Sequence[RunFiles]) -> pl.DataFrame | None:
    """The surest answer of every run to every clip that all answered: `clip, target, said_N, sure_N`.

    None where the runs label no classes, or share no clip with the same target.
    """
    joined: pl.DataFrame | None = None
    for place, run in enumerate(runs):
        if run.predictions is None or run.kind != "classes":
            return None
        own = tally.answers(run.predictions, run.labels, None).unique("clip", maintain_order=True)
        own = own.select(
            "clip", "target", pl.col("prediction").alias(f"said_{place}"), pl.col("confidence").alias(f"sure_{place}")
        )
        joined = own if joined is None else joined.join(own, on=["clip", "target"])
    return joined if joined is not None and len(joined) else None


def _listed(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "clip": row["clip"],
            "target": row["target"],
            "said": [
                (name, row[f"said_{place}"], percent(row[f"sure_{place}"], 0)) for place, name in enumerate(names)
            ],
            "right": [row[f"said_{place}"] == row["target"] for place in range(len(names))],
        }
        for row in rows
    ]


def table_of(runs: Sequence[RunFiles]) -> pl.DataFrame | None:
    """Where the clips of all runs lie: the clip tables joined, each clip once."""
    columns = ["id", "audio", "start_s", "end_s"]
    tables = [
        run.table.select(
            *(pl.col(name).cast(pl.String) for name in columns[:2]),
            *(
                (pl.col(name) if name in run.table.columns else pl.lit(None)).cast(pl.Float64).alias(name)
                for name in columns[2:]
            ),
        )
        for run in runs
        if run.table is not None and {"id", "audio"} <= set(run.table.columns)
    ]
    return pl.concat(tables).unique("id", maintain_order=True) if tables else None
