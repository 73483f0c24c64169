"""The sections of the report that are listened to: the worst mistakes, and what every clip is said to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from earnest.reporting import figures, tally
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.sounds import Sounds
from earnest.reporting.wording import percent

MISTAKES = 12
LEADS = {
    "classes": "The wrong answers the model was surest of.",
    "tags": "The tags given most surely where they are not, or left out most surely where they are; one of each clip.",
    "values": "The predictions furthest from the truth, in parts of the targets' spread; one of each clip.",
}


@dataclass(frozen=True)
class Mistake:
    """One wrong answer in words: what is true, what was said, how sure; `group` and `fold` of its clip."""

    clip: str
    truth: str
    said: str
    sure: str
    group: str | None
    fold: str


def mistakes(run: RunFiles, sounds: Sounds) -> Section | None:
    """The worst answers, to listen to."""
    if run.predictions is None or run.scores is None:
        return None
    column = tally.group_column(run.scores, run.predictions)
    found = list(worst(run, column, MISTAKES))
    if not found:
        return None
    sounds.want([mistake.clip for mistake in found])
    cards = []
    for mistake in found:
        player = sounds.player(mistake.clip)
        sounds.tell(
            mistake.clip,
            label=mistake.truth,
            heard=mistake.said,
            sure=mistake.sure,
            group=mistake.group,
            fold=mistake.fold,
        )
        wave = figures.waveform(player.levels) if player.levels else None
        cards.append({"mistake": mistake, "wave": wave, "note": player.note})
    noun = "recording" if column == "source" else column
    data = {"cards": cards, "noun": noun, "lead": LEADS[run.kind], "classes": run.kind == "classes"}
    return Section("mistakes", "Worst mistakes", "mistakes.html.j2", data)


def worst(run: RunFiles, column: str | None, most: int) -> Iterator[Mistake]:
    """The worst answers of a run of any kind, at most one for each clip."""
    if run.predictions is None or not run.labels:
        return
    if run.kind == "classes":
        for one in tally.worst_mistakes(run.predictions, run.labels, column, most):
            yield Mistake(one.clip, one.target, one.prediction, percent(one.confidence), one.group, one.fold)
        return
    rows = run.predictions.filter(pl.col("targets").list.len() == pl.col("scores").list.len()).sort("id", "fold")
    if rows.is_empty():
        return
    truth, said = (np.array(rows[name].to_list(), dtype=np.float64) for name in ("targets", "scores"))
    spread = truth.std(axis=0)
    off = np.abs(said - truth) / (np.where(spread > 0, spread, 1.0) if run.kind == "values" else 1.0)
    seen: set[str] = set()
    for row in np.argsort(-off.max(axis=1), kind="stable").tolist():
        facts = rows.row(row, named=True)
        if len(seen) == most or off[row].max() <= (0.5 if run.kind == "tags" else 0.0):
            return
        if facts["id"] not in seen:
            seen.add(facts["id"])
            yield _mistake(run, facts, int(off[row].argmax()), column)


def _mistake(run: RunFiles, facts: dict[str, Any], place: int, column: str | None) -> Mistake:
    """One row's answer for one tag or dimension in words."""
    name, true, said = run.labels[place], facts["targets"][place], facts["scores"][place]
    group = facts.get(column) if column else None
    if run.kind == "tags":
        words = (f"with {name}" if true else f"without {name}", f"{name} at", percent(said))
    else:
        words = (f"{name} {true:.3g}", f"{said:.3g}", "")
    return Mistake(str(facts["id"]), *words, None if group is None else str(group), str(facts["fold"]))


def describe(run: RunFiles, sounds: Sounds) -> None:
    """Tell of every clip that the page names what it is and what was heard in it, as it was answered most surely."""
    if run.predictions is None or run.kind != "classes":
        return
    column = tally.group_column(run.scores or {}, run.predictions)
    named = sounds.named()
    rows = run.predictions.filter(pl.col("id").is_in(named))
    for one in tally.answers(rows, run.labels, column).unique("clip", maintain_order=True).iter_rows(named=True):
        sounds.tell(
            one["clip"],
            label=one["target"],
            heard=one["prediction"],
            sure=percent(one["confidence"]),
            group=one["group"],
            fold=one["fold"],
        )
