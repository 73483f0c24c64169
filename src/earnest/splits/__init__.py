"""Folds that keep speakers and sources apart: training, validation and test rows of a table.

Groups are the connected parts of the clips under the group columns: two clips belong together when they share a speaker
or a source, directly or through others. No group stands on both sides of a fold, except in `random`, which is marked as
leaky, and in an official split that was made so. Validation rows come out of the training groups. The same table and
seed give the same folds in any process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earnest.errors import DataError
from earnest.grouping import Rows, deal
from earnest.recipe import Split
from earnest.splits._clips import DEFAULT_GROUPS, Clips, carve, clips_of, notes_on_groups, shares_groups
from earnest.splits._schemes import SCHEMES, in_folds
from earnest.table import Table

__all__ = ["DEFAULT_GROUPS", "Fold", "Folds", "make_folds", "twin_of"]


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
    clips = clips_of(table, split, target)
    notes = notes_on_groups(clips)
    protocol, parts = SCHEMES[split.name](clips, notes)
    folds = []
    for number, (name, pool, validation, test) in enumerate(parts):
        if validation is None:
            pool, validation = carve(clips, pool, name, number, notes)
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
    clips = clips_of(table, split, target)
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
    protocol = f"random {in_folds(len(folds))} of the same sizes (LEAKY: {ignored})"
    return Folds(protocol, clips.columns, tuple(folds), True, ("Void: shown for comparison only.",))


def _look_at_labels(clips: Clips, folds: list[Fold], notes: list[str]) -> None:
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


def _is_leaky(clips: Clips, folds: list[Fold]) -> bool:
    return any(shares_groups(clips, np.concatenate((fold.train, fold.validation)), fold.test) for fold in folds)
