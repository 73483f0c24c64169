"""The honest-versus-leaky table, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from earnest.reporting.verdict import is_void
from earnest.reporting.wording import GUESSES, PLAIN_METRICS, interval_of, metric_name, score_bare


def format_score(score: Any, interval: Any = None, metric: str = "accuracy") -> str:
    """Write a score and its interval, proportions in per cent: `87.3 [82.1, 91.0]`.

    Parameters
    ----------
    score : a proportion from 0 to 1, or a number of another metric; a dash is written where it is missing.
    interval : its lower and upper bound, or None.
    metric : whose score it is.
    """
    bounds = interval_of(interval)
    text = score_bare(metric, score)
    return f"{text} [{score_bare(metric, bounds[0])}, {score_bare(metric, bounds[1])}]" if bounds else text


def summary_table(scores: Mapping[str, Any]) -> Table:
    """Render the honest score, its baselines and its leaky twin as one table.

    Parameters
    ----------
    scores : the content of a run's `scores.json`.

    Returns
    -------
    A `rich.table.Table`; nothing is printed.
    """
    corpus, primary = escape(str(scores.get("corpus", ""))), str(scores.get("primary", "accuracy"))
    unit = "" if primary in PLAIN_METRICS else ", %"
    table = Table(title=f"{corpus}: {metric_name(primary)}{unit}", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("score [95 % interval]", justify="right", no_wrap=True)
    table.add_column("protocol")
    void = is_void(scores)
    own = format_score(scores.get("score"), scores.get("interval"), primary)
    name = "this model (VOID: leaky)" if void else "this model (honest)"
    table.add_row(name, own, escape(str(scores.get("protocol", ""))), style="yellow" if void else "bold")
    seeds = scores.get("seeds") or {}
    if int(seeds.get("n") or 1) > 1:
        spread = f"{score_bare(primary, seeds.get('mean'))} ± {score_bare(primary, seeds.get('sd'))}"
        table.add_row("  its seeds, mean ± sd", spread, f"{int(seeds['n'])} seeds")
    twin = scores.get("twin")
    if isinstance(twin, Mapping):
        value = format_score(twin.get("score"), twin.get("interval"), primary)
        table.add_row("leaky twin (VOID)", value, escape(str(twin.get("protocol", ""))), style="yellow")
    baseline = scores.get("baseline") or {}
    for key, (words, _) in GUESSES.items():
        if baseline.get(key) is not None:
            table.add_row(words.lower(), score_bare(primary, baseline[key]), "no model at all", style="dim")
    return table
