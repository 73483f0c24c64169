"""Folds that keep speakers and sources apart: training, validation and test rows of a table.

Groups are the connected parts of the clips under the group columns: two clips belong together when they share a speaker
or a source, directly or through others. No group stands on both sides of a fold, except in `random`, which is marked as
leaky, and in an official split that was made so. Validation rows come out of the training groups. The same table and
seed give the same folds in any process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from earnest.errors import DataError
from earnest.grouping import Rows, allocate, codes, connected_groups, deal, even_sizes, strata_of
from earnest.recipe import Split
from earnest.table import Table

DEFAULT_GROUPS = ("speaker", "source")
_PARTS = {"training": "train", "valid": "validation", "val": "validation", "dev": "validation"}
_PARTS |= {"testing": "test", "eval": "test"}
_DRAWS = 8  # attempts to keep every label in the training rows


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the clips; the three arrays are sorted row indices into the table, int64."""

    name: str
    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True, eq=False)
class Folds:
    """All folds of a split.

    Parameters
    ----------
    protocol : the split in words, such as "leave-one-speaker-out, 6 folds".
    groups : the columns that were kept apart.
    folds : the folds; in k-fold and leave-one-group-out every clip is tested exactly once.
    leaky : whether a group stands on both sides of any fold.
    notes : what a reader of the score should know.
    """

    protocol: str
    groups: tuple[str, ...]
    folds: tuple[Fold, ...]
    leaky: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Clips:
    """What the splits look at: the group and stratum of every row."""

    table: Table
    split: Split
    target: str
    columns: tuple[str, ...]
    groups: Rows
    strata: Rows

    @property
    def rows(self) -> Rows:
        return np.arange(len(self.table), dtype=np.int64)

    @property
    def by(self) -> str:
        return " and ".join(self.columns)

    def count(self, rows: Rows) -> int:
        return len(np.unique(self.groups[rows]))


_Parts = list[tuple[str, Rows, Rows | None, Rows]]  # name, training pool, validation if given, test


def make_folds(table: Table, split: Split, target: str = "label") -> Folds:
    """The folds of a table.

    Parameters
    ----------
    table : the clips.
    split : which split, by which group columns (default: speaker and source, where the table has them), how many folds,
        which fractions, and the seed.
    target : the column by which parts are balanced.

    Raises
    ------
    DataError : a group column is missing, there are too few groups or clips for the split, the official column is
        missing or unclear, or no test clip has a label that occurs in training.
    """
    clips = _clips(table, split, target)
    notes = _notes_on_groups(clips)
    makers: dict[str, Callable[[_Clips, list[str]], tuple[str, _Parts]]] = {
        "official": _official,
        "leave-one-group-out": _leave_one_out,
        "group-k-fold": _k_fold,
        "group-holdout": _holdout,
        "random": _random,
    }
    protocol, parts = makers[split.name](clips, notes)
    folds = []
    for number, (name, pool, validation, test) in enumerate(parts):
        if validation is None:
            pool, validation = _carve(clips, pool, name, number, notes)
        folds.append(Fold(name, pool, validation, test))
    _look_at_labels(clips, folds, notes)
    return Folds(protocol, clips.columns, tuple(folds), _is_leaky(clips, folds), tuple(dict.fromkeys(notes)))


def twin_of(table: Table, split: Split, target: str = "label") -> Folds:
    """The leaky twin: as many folds of the same sizes, but clips are dealt out at random, whatever their group.

    Raises
    ------
    DataError : as `make_folds`.
    """
    honest = make_folds(table, split, target)
    clips = _clips(table, split, target)
    rng = np.random.default_rng([split.seed, 2])
    sizes = [len(fold.test) for fold in honest.folds]
    rows = np.unique(np.concatenate([np.concatenate((f.train, f.validation, f.test)) for f in honest.folds]))
    tests = deal(rows, clips.strata[rows], [*sizes, len(rows) - sum(sizes)], rng)[: len(sizes)]
    folds = []
    for fold, test in zip(honest.folds, tests, strict=True):
        pool = np.setdiff1d(rows, test)
        train, validation = deal(pool, clips.strata[pool], [len(fold.train), len(fold.validation)], rng)
        folds.append(Fold(fold.name, train, validation, test))
    ignored = f"ignores {clips.by}" if clips.columns else "there are no groups to ignore"
    protocol = f"random {_folds(len(folds))} of the same sizes (LEAKY: {ignored})"
    return Folds(protocol, clips.columns, tuple(folds), True, ("Void: shown for comparison only.",))


def _clips(table: Table, split: Split, target: str) -> _Clips:
    columns = tuple(name for name in DEFAULT_GROUPS if table.has(name)) if split.group is None else split.group
    for name in columns:
        table.column(name)
        if not table.has(name):
            raise DataError(
                f"{table.name}: the group column {name!r} is empty.", "Choose another with split.group=NAME."
            )
    groups = connected_groups(table, columns) if columns else np.arange(len(table), dtype=np.int64)
    return _Clips(table, split, target, columns, groups, strata_of(table, target))


def _notes_on_groups(clips: _Clips) -> list[str]:
    notes = []
    if not clips.columns:
        notes.append("The table names neither speakers nor sources, so the folds cannot be kept apart by them.")
    for name in clips.columns:
        unknown = clips.table.column(name).null_count()
        if unknown:
            notes.append(f"{unknown} clips have no {name}; as far as it goes, each counts as one of its own.")
    return notes


def _need_groups(clips: _Clips, least: int, purpose: str) -> None:
    """Raise unless there are group columns and enough groups."""
    table = clips.table
    if not clips.columns:
        raise DataError(
            f"{table.name}: {purpose} needs groups, but the table has neither speakers nor sources.",
            "Name them in the pattern or the list ({speaker}), or use split=group-k-fold, which then deals out clips.",
        )
    count = clips.count(clips.rows)
    if count >= least:
        return
    joined = [f"{table.column(name).n_unique()} {name}s" for name in clips.columns]
    if len(clips.columns) > 1 and count < min(table.column(name).n_unique() for name in clips.columns):
        raise DataError(
            f"{table.name}: {purpose} needs {least} groups, but {' and '.join(joined)} are connected into {count}.",
            f"Keep one of them apart: split.group={clips.columns[0]}",
        )
    few = f"is only one {clips.by}" if count == 1 else f"are only {count} values of {clips.by}"
    remedy = f"Use split.folds={count}, or split=leave-one-group-out." if count > 1 else "Add recordings of others."
    raise DataError(f"{table.name}: {purpose} needs at least {least}, but there {few}.", remedy)


def _official(clips: _Clips, notes: list[str]) -> tuple[str, _Parts]:
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
        parts: _Parts = [(_n, np.flatnonzero(used & ~t), None, np.flatnonzero(t)) for _n, t in _named(tests)]
        return f"official {_folds(len(names))}", parts
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
    if len(validation) and _shared(clips, train, validation):
        notes.append(f"The official validation part shares {clips.by} with the training part.")
    return "official test part", [("test", train, validation if len(validation) else None, test)]


def _leave_one_out(clips: _Clips, notes: list[str]) -> tuple[str, _Parts]:
    _need_groups(clips, 2, "leave-one-group-out")
    order = np.argsort(clips.groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(clips.groups[order])) + 1)
    names = [_group_name(clips, rows) for rows in members]
    tests = sorted(zip(names, members, strict=True), key=lambda pair: _natural(pair[0]))
    one = clips.columns[0] if len(clips.columns) == 1 else "group"
    by = "" if one != "group" else f" by {clips.by}"
    parts: _Parts = [(name, np.setdiff1d(clips.rows, rows), None, np.sort(rows)) for name, rows in _named(tests)]
    return f"leave-one-{one}-out{by}, {_folds(len(parts))}", parts


def _k_fold(clips: _Clips, notes: list[str]) -> tuple[str, _Parts]:
    if not clips.columns:
        return f"stratified {_folds(clips.split.folds)}, no groups known", _dealt(clips)
    _need_groups(clips, clips.split.folds, f"group-k-fold with {clips.split.folds} folds")
    shares = [1 / clips.split.folds] * clips.split.folds
    tests = allocate(clips.rows, clips.groups, clips.strata, shares, np.random.default_rng([clips.split.seed, 0]))
    return f"group-k-fold by {clips.by}, {_folds(len(tests))}", _numbered(clips, tests)


def _holdout(clips: _Clips, notes: list[str]) -> tuple[str, _Parts]:
    if clips.columns:
        _need_groups(clips, 2, "group-holdout")
    elif len(clips.table) < 2:
        raise _too_few(clips, 2)
    rng = np.random.default_rng([clips.split.seed, 0])
    train, test = _best_cut(clips, clips.rows, clips.groups, clips.split.test, rng)
    by = f"group-holdout by {clips.by}" if clips.columns else "stratified holdout, no groups known"
    return f"{by}, {len(test) / len(clips.table):.0%} of the clips for testing", [("test", train, None, test)]


def _random(clips: _Clips, notes: list[str]) -> tuple[str, _Parts]:
    leaks = f"LEAKY: ignores {clips.by}" if clips.columns else "no groups known"
    return f"random {_folds(clips.split.folds)} ({leaks})", _dealt(clips)


def _dealt(clips: _Clips) -> _Parts:
    """Stratified folds of single clips."""
    if len(clips.table) < clips.split.folds:
        raise _too_few(clips, clips.split.folds)
    rng = np.random.default_rng([clips.split.seed, 0])
    return _numbered(clips, deal(clips.rows, clips.strata, even_sizes(len(clips.table), clips.split.folds), rng))


def _numbered(clips: _Clips, tests: Iterable[Rows]) -> _Parts:
    return [(str(n), np.setdiff1d(clips.rows, test), None, test) for n, test in enumerate(tests, start=1)]


def _carve(clips: _Clips, pool: Rows, name: str, number: int, notes: list[str]) -> tuple[Rows, Rows]:
    """Divide the training pool of a fold into training and validation rows, by whole groups where there are two."""
    if len(pool) < 2:
        raise DataError(
            f"{clips.table.name}: fold {name} has {len(pool)} clips to train on; at least 2 are needed.",
            "Add recordings, or use fewer folds.",
        )
    rng = np.random.default_rng([clips.split.seed, 1, number])
    fraction = clips.split.validation
    if clips.split.name == "random" or not clips.columns:
        return _best_cut(clips, pool, clips.rows, fraction, rng)
    if clips.count(pool) > 1:
        return _best_cut(clips, pool, clips.groups, fraction, rng)
    table = clips.table
    sources = connected_groups(table, ["source"]) if table.has("source") else clips.groups
    finer, what = (sources, "other sources") if len(np.unique(sources[pool])) > 1 else (clips.rows, "other clips")
    notes.append(f"Fold {name} has one {clips.by} to train on; its validation clips are {what} of the same {clips.by}.")
    return _best_cut(clips, pool, finer, fraction, rng)


def _best_cut(clips: _Clips, pool: Rows, groups: Rows, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Cut a fraction of the groups off, so that as few labels as possible are lost from the rest."""
    best: tuple[Rows, Rows] | None = None
    fewest = len(pool) + 1
    for _ in range(_DRAWS):
        rest, cut = allocate(pool, groups[pool], clips.strata[pool], [1 - fraction, fraction], rng)
        lost = len(np.setdiff1d(clips.strata[cut], clips.strata[rest]))
        if lost < fewest:
            best, fewest = (rest, cut), lost
        if not lost or len(pool) > 20_000:
            break
    if best is None:
        raise _too_few(clips, 2)
    return best


def _look_at_labels(clips: _Clips, folds: list[Fold], notes: list[str]) -> None:
    """Note labels that a fold tests but does not train; raise if no fold can recognise anything."""
    hopeless = True
    values = clips.table.column(clips.target) if clips.table.has(clips.target) else None
    for fold in folds:
        trained = np.unique(clips.strata[fold.train])
        unseen = ~np.isin(clips.strata[fold.test], trained)
        hopeless &= bool(unseen.all())
        if unseen.any() and values is not None:
            names = sorted({str(value) for value in values[fold.test[unseen]].unique()})
            shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            notes.append(f"Fold {fold.name}: {shown} occurs in its test clips but never in its training clips.")
    if hopeless:
        single = len(np.unique(clips.strata)) == len(clips.table)
        why = (
            "; every label has one clip only"
            if single
            else f"; every label has its own {clips.by}"
            if clips.columns
            else ""
        )
        raise DataError(
            f"{clips.table.name}: no test clip has a {clips.target} that occurs in training{why}.",
            "Each label needs clips of at least two groups; other groups can be chosen with split.group=NAME.",
        )


def _is_leaky(clips: _Clips, folds: list[Fold]) -> bool:
    return any(_shared(clips, np.concatenate((fold.train, fold.validation)), fold.test) for fold in folds)


def _shared(clips: _Clips, one: Rows, other: Rows) -> bool:
    """Whether any value of a group column stands on both sides."""
    columns = [codes(clips.table.column(name)) for name in clips.columns]
    return any(len(np.setdiff1d(np.intersect1d(values[one], values[other]), [-1])) > 0 for values in columns)


def _group_name(clips: _Clips, rows: Rows) -> str:
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


def _folds(count: int) -> str:
    return f"{count} fold" if count == 1 else f"{count} folds"


def _too_few(clips: _Clips, least: int) -> DataError:
    return DataError(
        f"{clips.table.name} has {len(clips.table)} clips; {clips.split.name} needs at least {least}.",
        "Add recordings.",
    )
