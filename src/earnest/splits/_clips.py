"""What the splits look at: the group and stratum of every clip, and cuts that keep groups whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earnest.errors import DataError
from earnest.grouping import Rows, allocate, codes, connected_groups, strata_of
from earnest.recipe import Split
from earnest.table import Table

DEFAULT_GROUPS = ("speaker", "source")
_DRAWS = 8  # attempts to keep every label in the training rows


@dataclass(frozen=True, eq=False)
class Clips:
    """What the splits look at: the group and stratum of every row."""

    table: Table
    split: Split
    target: str
    columns: tuple[str, ...]
    groups: Rows
    strata: Rows

    @property
    def rows(self) -> Rows:
        """All row indices."""
        return np.arange(len(self.table), dtype=np.int64)

    @property
    def by(self) -> str:
        """The group columns in words."""
        return " and ".join(self.columns)

    def count(self, rows: Rows) -> int:
        """How many groups some rows belong to."""
        return len(np.unique(self.groups[rows]))


def clips_of(table: Table, split: Split, target: str) -> Clips:
    """Group and stratum of every row; raises `DataError` when a group column is missing or empty."""
    columns = tuple(name for name in DEFAULT_GROUPS if table.has(name)) if split.group is None else split.group
    for name in columns:
        table.column(name)
        if not table.has(name):
            raise DataError(
                f"{table.name}: the group column {name!r} is empty.", "Choose another with split.group=NAME."
            )
    groups = connected_groups(table, columns) if columns else np.arange(len(table), dtype=np.int64)
    return Clips(table, split, target, columns, groups, strata_of(table, target))


def notes_on_groups(clips: Clips) -> list[str]:
    """What a reader should know about missing groups."""
    notes = []
    if not clips.columns:
        notes.append("The table names neither speakers nor sources, so the folds cannot be kept apart by them.")
    for name in clips.columns:
        unknown = clips.table.column(name).null_count()
        if unknown:
            notes.append(f"{unknown} clips have no {name}; as far as it goes, each counts as one of its own.")
    return notes


def need_groups(clips: Clips, least: int, purpose: str) -> None:
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


def carve(clips: Clips, pool: Rows, name: str, number: int, notes: list[str]) -> tuple[Rows, Rows]:
    """Divide the training pool of a fold into training and validation rows, by whole groups where there are two."""
    if len(pool) < 2:
        raise DataError(
            f"{clips.table.name}: fold {name} has {len(pool)} clips to train on; at least 2 are needed.",
            "Add recordings, or use fewer folds.",
        )
    if clips.split.validation == 0:
        return pool, pool[:0]
    rng = np.random.default_rng([clips.split.seed, 1, number])
    fraction = clips.split.validation
    if clips.split.name == "random" or not clips.columns:
        return best_cut(clips, pool, clips.rows, fraction, rng)
    if clips.count(pool) > 1:
        return best_cut(clips, pool, clips.groups, fraction, rng)
    table = clips.table
    sources = connected_groups(table, ["source"]) if table.has("source") else clips.groups
    finer, what = (sources, "other sources") if len(np.unique(sources[pool])) > 1 else (clips.rows, "other clips")
    notes.append(f"Fold {name} has one {clips.by} to train on; its validation clips are {what} of the same {clips.by}.")
    return best_cut(clips, pool, finer, fraction, rng)


def best_cut(clips: Clips, pool: Rows, groups: Rows, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
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
        raise too_few(clips, 2)
    return best


def shares_groups(clips: Clips, one: Rows, other: Rows) -> bool:
    """Whether any value of a group column stands on both sides."""
    columns = [codes(clips.table.column(name)) for name in clips.columns]
    return any(len(np.setdiff1d(np.intersect1d(values[one], values[other]), [-1])) > 0 for values in columns)


def too_few(clips: Clips, least: int) -> DataError:
    """The error for a table with too few clips."""
    return DataError(
        f"{clips.table.name} has {len(clips.table)} clips; {clips.split.name} needs at least {least}.",
        "Add recordings.",
    )
