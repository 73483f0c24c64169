"""The honest-versus-leaky table, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from earnest.reporting.verdict import is_void
from earnest.reporting.wording import hundredths, interval_of, metric_name


def format_score(score: Any, interval: Any = None) -> str:
    """Write a score and its interval in per cent: `87.3 [82.1, 91.0]`.

    Parameters
    ----------
    score : a proportion from 0 to 1; a dash is written where it is missing.
    interval : its lower and upper bound, from 0 to 1, or None.
    """
    bounds = interval_of(interval)
    text = hundredths(score)
    return f"{text} [{hundredths(bounds[0])}, {hundredths(bounds[1])}]" if bounds else text


def summary_table(scores: Mapping[str, Any]) -> Table:
    """Render the honest score, its baselines and its leaky twin as one table.

    Parameters
    ----------
    scores : the content of a run's `scores.json`.

    Returns
    -------
    A `rich.table.Table`; nothing is printed.
    """
    corpus, metric = escape(str(scores.get("corpus", ""))), metric_name(scores.get("primary", "accuracy"))
    table = Table(title=f"{corpus}: {metric}, %", title_justify="left", title_style="bold")
    table.add_column("")
    table.add_column("score [95 % interval]", justify="right", no_wrap=True)
    table.add_column("protocol")
    void = is_void(scores)
    own = format_score(scores.get("score"), scores.get("interval"))
    name = "this model (VOID: leaky)" if void else "this model (honest)"
    table.add_row(name, own, escape(str(scores.get("protocol", ""))), style="yellow" if void else "bold")
    seeds = scores.get("seeds") or {}
    if int(seeds.get("n") or 1) > 1:
        spread = f"{hundredths(seeds.get('mean'))} ± {hundredths(seeds.get('sd'))}"
        table.add_row("  its seeds, mean ± sd", spread, f"{int(seeds['n'])} seeds")
    twin = scores.get("twin")
    if isinstance(twin, Mapping):
        value = format_score(twin.get("score"), twin.get("interval"))
        table.add_row("leaky twin (VOID)", value, escape(str(twin.get("protocol", ""))), style="yellow")
    baseline = scores.get("baseline") or {}
    for key, words in (("majority", "most frequent class"), ("chance", "chance")):
        if baseline.get(key) is not None:
            table.add_row(words, hundredths(baseline[key]), "no model at all", style="dim")
    return table
