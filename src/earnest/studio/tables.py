"""Tables of clips as the studio shows them: read once, then sorted, filtered, searched, grouped and counted in memory.

A run's table and a list are read here; a folder or a corpus is written as a list by a child process first, because
the code that knows corpora belongs to the lab.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earnest.errors import DataError, did_you_mean
from earnest.studio.folder import Source, Unknown

if TYPE_CHECKING:
    import polars as pl

KEPT = 4  # tables in memory
BINS = 24  # of a column of numbers
VALUES = 200  # of a column of text that are counted one by one


@dataclass(frozen=True)
class Query:
    """What of a table is asked for; see `rows`."""

    sort: str | None = None
    descending: bool = False
    search: str = ""
    filters: tuple[str, ...] = ()
    group: str | None = None
    offset: int = 0
    limit: int = 200


class Tables:
    """The tables that were opened last, by their place and the time of their last change."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[tuple[int, int], pl.DataFrame]] = OrderedDict()
        self._lock = threading.Lock()

    def frame(self, path: Path) -> pl.DataFrame:
        """The rows of a list.

        Raises
        ------
        DataError : it is gone, or no table.
        """
        try:
            stat = path.stat()
        except OSError as problem:
            raise Unknown(f"{path.name} is gone.", "Reload the page.") from problem
        stamp = (stat.st_mtime_ns, stat.st_size)
        with self._lock:
            kept = self._kept.get(path)
            if kept is None or kept[0] != stamp:
                from earnest.table import Table

                kept = stamp, _with_text(_with_numbers(Table.read(path).frame))
            self._kept[path] = kept
            self._kept.move_to_end(path)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return kept[1]

    def clips(self, source: Source) -> int | None:
        """How many clips a source has, where that is known without reading it."""
        kept = self._kept.get(source.path) if source.path else None
        if kept is not None:
            return kept[1].height
        if source.path is not None and source.path.suffix == ".parquet":
            return _rows_of_parquet(source.path)
        return None


def write_plain_list(folder: Path, place: Path) -> None:
    """List the recordings of a folder of which nothing else is known.

    Raises
    ------
    DataError : there are none.
    """
    import polars as pl

    from earnest.formats._scan import scan_audio
    from earnest.table import Table

    files, bad_rows = scan_audio(folder)
    Table.from_frame(pl.DataFrame({"audio": files}), folder.name, root=folder, bad_rows=bad_rows).write(place)


TEXT = "\x1ftext"  # the column that is searched: all texts of a row in lower case


def _with_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns in which every cell is a number as numbers, so that they sort as such; lists in text lack types."""
    import polars as pl

    from earnest.table import TEXT_COLUMNS

    found = []
    for name, kind in frame.schema.items():
        if kind == pl.String and name not in (*TEXT_COLUMNS, "audio") and frame[name].null_count() < frame.height:
            numbers = frame[name].cast(pl.Float64, strict=False)
            if numbers.null_count() == frame[name].null_count():
                whole = numbers.drop_nulls()
                found.append(
                    numbers.cast(pl.Int64)
                    if bool(((whole == whole.round()) & (whole.abs() < 2**53)).all())
                    else numbers
                )
    return frame.with_columns(found)


def _with_text(frame: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(pl.concat_str(texts, separator="\n", ignore_nulls=True).str.to_lowercase().alias(TEXT))


def _rows_of_parquet(path: Path) -> int | None:
    import polars as pl

    try:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError):
        return None


def kind_of(kind: Any) -> str:
    """`number`, `list` or `text` for a column's type."""
    if kind.is_numeric():
        return "number"
    return "list" if kind.is_nested() else "text"


def rows(frame: pl.DataFrame, wanted: Query) -> dict[str, Any]:
    """One page of a table, and what is known of all of it.

    Raises
    ------
    DataError : a column that there is not.
    """
    import polars as pl

    chosen = frame
    for pair in wanted.filters:
        column, _, value = pair.partition(":")
        chosen = chosen.filter(_matches(_column(frame, column), frame.schema[column], value))
    for word in wanted.search.lower().split():
        chosen = chosen.filter(pl.col(TEXT).str.contains(word, literal=True))
    groups = None
    by, down = [], []
    if wanted.group:
        key = _column(frame, wanted.group)
        counts = chosen.group_by(key).len().sort(wanted.group, nulls_last=True)
        groups = [{"value": plain(value), "clips": clips} for value, clips in counts.iter_rows()]
        by, down = [wanted.group], [False]
    if wanted.sort:
        _column(frame, wanted.sort)
        by, down = [*by, wanted.sort], [*down, wanted.descending]
    total = chosen.height
    by = [name for name in by if not frame.schema[name].is_nested()]
    if by:
        chosen = chosen.sort(by, descending=down[-len(by) :], nulls_last=True, maintain_order=True)
    page = chosen.slice(wanted.offset, wanted.limit).drop(TEXT)
    return {
        "total": total,
        "offset": wanted.offset,
        "rows": [{name: plain(value) for name, value in row.items()} for row in page.to_dicts()],
        "columns": [{"name": name, "kind": kind_of(kind)} for name, kind in page.schema.items()],
        "groups": groups,
    }


def distribution(frame: pl.DataFrame, column: str) -> dict[str, Any]:
    """How the values of a column are spread over the clips: the commonest texts, or a histogram of numbers.

    Raises
    ------
    DataError : a column that there is not.
    """
    _column(frame, column)
    values = frame[column].drop_nulls()
    kind = kind_of(frame.schema[column])
    if kind == "number":
        return {"column": column, "kind": kind, "bins": _histogram(values)}
    if kind == "list":
        values = values.explode().drop_nulls()
    counts = values.value_counts(sort=True).head(VALUES)
    bins = [{"value": plain(value), "clips": clips} for value, clips in counts.iter_rows()]
    return {"column": column, "kind": "text", "bins": bins}


def _histogram(values: pl.Series) -> list[dict[str, Any]]:
    import numpy as np

    numbers = values.to_numpy().astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return []
    counts, edges = np.histogram(numbers, min(BINS, max(1, len(np.unique(numbers)))))
    return [
        {"from": float(low), "to": float(high), "clips": int(clips)}
        for clips, low, high in zip(counts, edges, edges[1:], strict=False)
    ]


def row_of(frame: pl.DataFrame, id: str) -> dict[str, Any]:
    """The row of a clip.

    Raises
    ------
    Unknown : there is none of that id.
    """
    import polars as pl

    found = frame.filter(pl.col("id") == id).drop(TEXT)
    if found.is_empty():
        raise Unknown(f"There is no clip {id[:80]!r} in this table.", "Reload the page to see what there is.")
    return {name: plain(value) for name, value in found.row(0, named=True).items()}


def plain(value: Any) -> Any:
    """A cell for JSON; numbers that are not finite become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _column(frame: pl.DataFrame, name: str) -> pl.Expr:
    import polars as pl

    if name not in frame.columns or name == TEXT:
        known = [column for column in frame.columns if column != TEXT]
        raise DataError(f"There is no column {name[:80]!r}.", did_you_mean(name[:80], known))
    return pl.col(name)


def _matches(column: pl.Expr, kind: Any, value: str) -> pl.Expr:
    """Whether a cell is what a filter says: a value; of numbers, `FROM..TO`, without TO; nothing for empty cells."""
    import polars as pl

    if value == "":
        return column.is_null()
    if kind.is_numeric():
        low, between, high = value.partition("..")
        try:
            if not between:
                return column == float(value)
            return (column >= float(low or "-inf")) & (column < float(high) if high else column.is_finite())
        except ValueError:
            return pl.lit(False)
    if isinstance(kind, pl.List):
        return column.cast(pl.List(pl.String)).list.contains(value)
    return column.cast(pl.String, strict=False) == value if not kind.is_nested() else pl.lit(False)
