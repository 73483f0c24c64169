"""The arithmetic below the splits: which clips belong together, and how rows or whole groups are dealt out evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from earnest.table import Table

Rows: TypeAlias = npt.NDArray[np.int64]

MOST_STRATA = 500  # above this, a target is text rather than a label, and rows are not balanced by it
_MOST_CELLS = 20_000_000  # size limit of the groups x strata matrix
_QUANTILES = 5


def codes(values: pl.Series) -> Rows:
    """Equal values → equal numbers from 0 in sorted order; null → -1."""
    ranks = values.rank("dense")
    return np.asarray(ranks.cast(pl.Int64).fill_null(0).to_numpy() - 1, dtype=np.int64)


def connected_groups(table: Table, columns: Sequence[str]) -> Rows:
    """The group of every row, numbered from 0 in the order of first appearance, shape (rows,).

    Two rows are in one group when they share a value in any of the columns, directly or through other rows. A row
    without any value is a group of its own.
    """
    rows = len(table)
    if not columns:
        return np.arange(rows)
    ends, used = [], rows
    for column in columns:
        values = codes(table.column(column))
        ends.append(np.where(values >= 0, values + used, np.arange(rows)))  # a null only points at its own row
        used += int(values.max(initial=-1)) + 1
    starts = np.tile(np.arange(rows), len(ends))
    graph = coo_array((np.ones(len(starts), dtype=np.int8), (starts, np.concatenate(ends))), shape=(used, used))
    components = connected_components(graph, directed=False)[1][:rows]
    _, first, inverse = np.unique(components, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[inverse]


def strata_of(table: Table, target: str) -> Rows:
    """A number per row by which parts are balanced: the label, or the fifth of a numeric target, or 0 for all."""
    everything_alike = np.zeros(len(table), dtype=np.int64)
    if not table.has(target):
        return everything_alike
    values = table.column(target)
    if values.dtype.is_float():
        ranks = codes(values)
        return ranks * _QUANTILES // (int(ranks.max()) + 1)
    if values.dtype.is_nested() or values.n_unique() > MOST_STRATA:
        return everything_alike
    return codes(values)


def deal(rows: Rows, strata: Rows, sizes: Sequence[int], rng: np.random.Generator) -> list[Rows]:
    """Deal rows into parts of exactly these sizes, each stratum spread as evenly as the sizes allow.

    The rows are shuffled and put in the order of their strata; the parts take turns in proportion to their sizes.

    Parameters
    ----------
    rows : row indices, shape (n,).
    strata : stratum of each of these rows, shape (n,).
    sizes : sizes of the parts, together n.
    """
    mixed = rng.permutation(len(rows))
    ordered = mixed[np.argsort(strata[mixed], kind="stable")]
    turns = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
    owners = np.repeat(np.arange(len(sizes)), sizes)[np.argsort(turns, kind="stable")]
    return [np.sort(rows[ordered[owners == part]]) for part in range(len(sizes))]


def even_sizes(total: int, parts: int) -> list[int]:
    """Sizes of `parts` parts of `total` things that differ by one at most."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def allocate(rows: Rows, groups: Rows, strata: Rows, shares: Sequence[float], rng: np.random.Generator) -> list[Rows]:
    """Hand out whole groups so that parts come near their shares, in clips and in every stratum.

    Greedy, the largest group first (equal ones in random order): each goes where it least increases the sum over parts
    of |part|² / share, where a part is the vector of its fractions of every stratum and of all clips. No part stays
    empty.

    Parameters
    ----------
    rows, groups, strata : row indices and the group and stratum of each, shape (n,).
    shares : the wanted fractions, together 1; at most as many as there are groups.
    """
    _, members = np.unique(groups, return_inverse=True)
    count = int(members.max()) + 1
    if count == len(rows):
        return deal(rows, strata, _sizes(len(rows), shares), rng)
    vectors = _vectors(members, strata, count)
    mixed = rng.permutation(count)
    order = mixed[np.argsort(-np.bincount(members)[mixed], kind="stable")]
    parts = np.zeros((len(shares), vectors.shape[1]))
    weights = 1 / np.asarray(shares)
    owner = np.empty(count, dtype=np.int64)
    empty = set(range(len(shares)))
    for place, group in enumerate(order):
        vector = vectors[group]
        cost = (2 * parts @ vector + vector @ vector) * weights
        if empty and count - place == len(empty):
            cost[[part for part in range(len(shares)) if part not in empty]] = np.inf
        best = int(np.argmin(cost))
        owner[group] = best
        parts[best] += vector
        empty.discard(best)
    owners = owner[members]
    return [np.sort(rows[owners == part]) for part in range(len(shares))]


def _sizes(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers near the shares, together `total`, none of them 0."""
    ends = np.round(np.cumsum(shares) * total).astype(int)
    ends[-1] = total
    sizes = [int(size) for size in np.diff(ends, prepend=0)]
    while min(sizes) == 0:
        sizes[sizes.index(max(sizes))] -= 1
        sizes[sizes.index(0)] += 1
    return sizes


def _vectors(members: Rows, strata: Rows, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Per group its fraction of each stratum and, with as much weight as all strata together, of all clips."""
    _, kinds = np.unique(strata, return_inverse=True)
    width = int(kinds.max()) + 1
    sizes = np.bincount(members, minlength=count)[:, None] / len(members)
    if width * count > _MOST_CELLS:
        return sizes
    table = np.bincount(members * width + kinds, minlength=count * width).reshape(count, width)
    return np.hstack([table / table.sum(axis=0), sizes * np.sqrt(width)])
