"""The five ways to divide a table into training pools and test rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from earnest.errors import DataError
from earnest.grouping import Rows, allocate, deal, even_sizes
from earnest.splits._clips import Clips, best_cut, need_groups, shares_groups, too_few

Parts = list[tuple[str, Rows, Rows | None, Rows]]  # name, training pool, validation if given, test

_PARTS = {"training": "train", "valid": "validation", "val": "validation", "dev": "validation"}
_PARTS |= {"testing": "test", "eval": "test"}


def _official(clips: Clips, notes: list[str]) -> tuple[str, Parts]:
    table = clips.table
    if table.has("fold"):
        column = table.column("fold")
        names = sorted(column.drop_nulls().unique().to_list(), key=_natural)
        if len(names) < 2:
            raise DataError(f"{table.name}: the column 'fold' holds one fold only.", "Use split=group-k-fold.")
        values = column.to_numpy()
        used = column.is_not_null().to_numpy()
        if not used.all():
            notes.append(f"{int((~used).sum())} clips belong to no official fold and are not used.")
        tests = [(name, values == name) for name in names]
        parts: Parts = [(_n, np.flatnonzero(used & ~t), None, np.flatnonzero(t)) for _n, t in _named(tests)]
        return f"official {in_folds(len(names))}", parts
    if not table.has("split"):
        raise DataError(f"{table.name} has no official split (no column 'fold' or 'split').", "Use split=group-k-fold.")
    column = table.column("split").str.to_lowercase()
    names_given = column.replace(_PARTS).to_numpy()
    train, validation, test = (np.flatnonzero(names_given == part) for part in ("train", "validation", "test"))
    if not len(train) or not len(test):
        found = ", ".join(sorted(column.drop_nulls().unique()))
        raise DataError(
            f"{table.name}: the column 'split' must hold train and test, and may hold validation; found: {found}.",
            "Rename its values, or use split=group-holdout.",
        )
    unused = len(table) - len(train) - len(validation) - len(test)
    if unused:
        notes.append(f"{unused} clips belong to no official part and are not used.")
    if len(validation) and shares_groups(clips, train, validation):
        notes.append(f"The official validation part shares {clips.by} with the training part.")
    return "official test part", [("test", train, validation if len(validation) else None, test)]


def _leave_one_out(clips: Clips, notes: list[str]) -> tuple[str, Parts]:
    need_groups(clips, 2, "leave-one-group-out")
    order = np.argsort(clips.groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(clips.groups[order])) + 1)
    names = [_group_name(clips, rows) for rows in members]
    tests = sorted(zip(names, members, strict=True), key=lambda pair: _natural(pair[0]))
    one = clips.columns[0] if len(clips.columns) == 1 else "group"
    by = "" if one != "group" else f" by {clips.by}"
    parts: Parts = [(name, np.setdiff1d(clips.rows, rows), None, np.sort(rows)) for name, rows in _named(tests)]
    return f"leave-one-{one}-out{by}, {in_folds(len(parts))}", parts


def _k_fold(clips: Clips, notes: list[str]) -> tuple[str, Parts]:
    if not clips.columns:
        return f"stratified {in_folds(clips.split.folds)}, no groups known", _dealt(clips)
    need_groups(clips, clips.split.folds, f"group-k-fold with {clips.split.folds} folds")
    shares = [1 / clips.split.folds] * clips.split.folds
    tests = allocate(clips.rows, clips.groups, clips.strata, shares, np.random.default_rng([clips.split.seed, 0]))
    return f"group-k-fold by {clips.by}, {in_folds(len(tests))}", _numbered(clips, tests)


def _holdout(clips: Clips, notes: list[str]) -> tuple[str, Parts]:
    if clips.columns:
        need_groups(clips, 2, "group-holdout")
    elif len(clips.table) < 2:
        raise too_few(clips, 2)
    rng = np.random.default_rng([clips.split.seed, 0])
    train, test = best_cut(clips, clips.rows, clips.groups, clips.split.test, rng)
    by = f"group-holdout by {clips.by}" if clips.columns else "stratified holdout, no groups known"
    return f"{by}, {len(test) / len(clips.table):.0%} of the clips for testing", [("test", train, None, test)]


def _random(clips: Clips, notes: list[str]) -> tuple[str, Parts]:
    leaks = f"LEAKY: ignores {clips.by}" if clips.columns else "no groups known"
    return f"random {in_folds(clips.split.folds)} ({leaks})", _dealt(clips)


def _dealt(clips: Clips) -> Parts:
    """Stratified folds of single clips."""
    if len(clips.table) < clips.split.folds:
        raise too_few(clips, clips.split.folds)
    rng = np.random.default_rng([clips.split.seed, 0])
    return _numbered(clips, deal(clips.rows, clips.strata, even_sizes(len(clips.table), clips.split.folds), rng))


def _numbered(clips: Clips, tests: Iterable[Rows]) -> Parts:
    return [(str(n), np.setdiff1d(clips.rows, test), None, test) for n, test in enumerate(tests, start=1)]


def _group_name(clips: Clips, rows: Rows) -> str:
    """The first group column's values in a group, at most three of them."""
    values: list[str] = []
    for name in clips.columns:
        values = clips.table.column(name)[rows].drop_nulls().cast(pl.String).unique().sort().to_list()
        if values:
            break
    more = "+more" if len(values) > 3 else ""
    return "+".join(values[:3]) + more or str(clips.table.column("id")[int(rows[0])])


def _named(tests: Iterable[tuple[str, Rows]]) -> list[tuple[str, Rows]]:
    """The same pairs with names that can be folder names, no two alike (also where upper and lower case are one)."""
    seen: dict[str, int] = {}
    named = []
    for name, rows in tests:
        safe = re.sub(r"[^\w+-]+", "_", str(name)).strip("_")[:80] or "group"
        seen[safe.casefold()] = seen.get(safe.casefold(), 0) + 1
        copy = seen[safe.casefold()]
        named.append((safe if copy == 1 else f"{safe}~{copy}", rows))
    return named


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts 2 before 10."""
    parts = re.split(r"(\d+)", str(text))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def in_folds(count: int) -> str:
    return f"{count} fold" if count == 1 else f"{count} folds"


SCHEMES: dict[str, Callable[[Clips, list[str]], tuple[str, Parts]]] = {
    "official": _official,
    "leave-one-group-out": _leave_one_out,
    "group-k-fold": _k_fold,
    "group-holdout": _holdout,
    "random": _random,
}
