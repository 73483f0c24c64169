"""The clip table: one row per clip, checked once, in a stable order, with a content hash.

    id       text, unique          audio    absolute path of the recording
    start_s  seconds or null       end_s    seconds or null (null: from the beginning, to the end)
    speaker  text or null          source   text or null: the recording or session the clip was cut from
    label …  whatever columns a task needs; optional fold, split, corpus, licence

Rows that cannot be used are kept out, and named with their reason in `Table.bad_rows`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from earnest import lists
from earnest.errors import DataError, did_you_mean
from earnest.files import atomic_write_bytes
from earnest.lists import BadRow

FIRST_COLUMNS = ("id", "audio", "start_s", "end_s", "speaker", "source")
TEXT_COLUMNS = ("id", "audio", "speaker", "source", "label", "text", "fold", "split", "corpus", "licence")
NUMBER_COLUMNS = ("start_s", "end_s", "valence", "arousal", "dominance")
AUDIO_NAMES = ("audio", "file", "path", "filename", "file_name", "wav")  # what lists in the wild call the audio column
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")

_ABSOLUTE = r"^([A-Za-z]:[\\/]|[\\/])"


@dataclass(frozen=True, eq=False)
class Table:
    """Clips with their targets and groups; make one with `Table.from_frame` or `Table.read`.

    Parameters
    ----------
    frame : the rows, sorted by id, with the columns described at the top of this module.
    name : the corpus's or folder's name.
    bad_rows : rows that were kept out.
    info : title, licence, citation and so on, where the corpus knows them.
    """

    frame: pl.DataFrame
    name: str
    bad_rows: tuple[BadRow, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_frame(
        cls,
        frame: pl.DataFrame,
        name: str,
        *,
        root: Path | None = None,
        info: Mapping[str, Any] | None = None,
        bad_rows: Sequence[BadRow] = (),
    ) -> Table:
        """Check rows and put them in order.

        Parameters
        ----------
        frame : at least the column `audio`; without `id` the audio as written (and the start) becomes the id.
        name : name of the table.
        root : folder against which relative audio paths are resolved (default: the current folder).
        info : facts about the corpus.
        bad_rows : rows already found to be bad by the caller.

        Raises
        ------
        DataError : there is no audio column, or no row is left.
        """
        frame, unread = _typed(_with_first_columns(frame))
        reasons = _reasons(frame, unread)
        rejected = [
            BadRow(frame["id"][row] or f"row {row + 1}", reason)
            for row, reason in enumerate(reasons)
            if reason is not None
        ]
        everything_bad = (*bad_rows, *rejected)
        kept = frame.filter(pl.Series([reason is None for reason in reasons], dtype=pl.Boolean))
        if kept.is_empty():
            raise DataError(
                f"{name}: no usable row. {_first_bad(everything_bad)}", "A table needs one row per recording."
            )
        place = Path.cwd() if root is None else root.absolute()
        audio = pl.when(pl.col("audio").str.contains(_ABSOLUTE)).then("audio")
        kept = kept.with_columns(audio.otherwise(pl.lit(f"{place}/") + pl.col("audio")).alias("audio")).sort("id")
        return cls(kept, name, everything_bad, dict(info or {}))

    @classmethod
    def read(cls, path: str | Path) -> Table:
        """Read a `.csv`, `.tsv`, `.jsonl` or `.parquet` list of clips; relative audio paths start at its folder.

        Raises
        ------
        DataError : the file is missing, unreadable, of an unknown kind, or holds no usable row.
        """
        path = Path(path)
        try:
            if path.suffix == ".parquet":
                return _read_parquet(path)
            if path.suffix in SUFFIXES:
                rows, bad_rows = lists.read_json_lines(path) if path.suffix == ".jsonl" else lists.read_csv(path)
                if not rows:
                    raise DataError(f"{path}: no usable row. {_first_bad(bad_rows)}", "A list needs one line per clip.")
                return cls.from_frame(_frame(rows), path.stem, root=path.parent, bad_rows=bad_rows)
        except FileNotFoundError as error:
            raise DataError(f"no table at {path}.", "Check the path.") from error
        except (OSError, UnicodeDecodeError, csv.Error, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"{path} cannot be read as a table: {error}.", "Save it as UTF-8 CSV or as JSON lines."
            ) from error
        raise DataError(f"{path}: unknown kind of table {path.suffix!r}.", f"Known kinds: {', '.join(SUFFIXES)}.")

    def write(self, path: str | Path) -> None:
        """Write the rows, whole or not at all, in the form the suffix names; audio below that folder becomes relative.

        Parquet also keeps the table's name, info and bad rows; the other forms keep the rows alone.

        Raises
        ------
        DataError : the suffix is unknown.
        StorageError : the disk is full or the place cannot be written.
        """
        path = Path(path)
        below = f"{path.absolute().parent}/"
        inside = pl.col("audio").str.starts_with(below)
        frame = self.frame.with_columns(
            audio=pl.when(inside).then(pl.col("audio").str.strip_prefix(below)).otherwise("audio")
        )
        buffer = io.BytesIO()
        if path.suffix == ".parquet":
            facts = {"name": self.name, "info": dict(self.info), "bad_rows": [bad.as_dict() for bad in self.bad_rows]}
            frame.write_parquet(buffer, metadata={"earnest": json.dumps(facts, default=str)})
        elif path.suffix == ".jsonl":
            frame.write_ndjson(buffer)
        elif path.suffix in SUFFIXES:
            nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
            cells = [
                pl.Series(name, [_as_json(value) for value in frame[name].to_list()], pl.String) for name in nested
            ]
            frame.with_columns(cells).write_csv(buffer, separator="\t" if path.suffix == ".tsv" else ",")
        else:
            raise DataError(f"{path}: unknown kind of table {path.suffix!r}.", f"Known kinds: {', '.join(SUFFIXES)}.")
        atomic_write_bytes(path, buffer.getvalue())

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every column but `audio` (so that moving the recordings changes nothing), in a stable order."""
        digest = hashlib.sha256()
        for name in sorted(set(self.frame.columns) - {"audio"}):
            if self.has(name):
                values = json.dumps(self.frame[name].to_list(), ensure_ascii=False, default=str)
                digest.update(f"{name}={values}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return self.frame.height

    def has(self, name: str) -> bool:
        """Whether a column exists and is not empty throughout."""
        return name in self.frame.columns and self.frame[name].null_count() < self.frame.height

    def column(self, name: str) -> pl.Series:
        """One column.

        Raises
        ------
        DataError : there is no such column (close names are given).
        """
        if name not in self.frame.columns:
            raise DataError(f"{self.name}: there is no column {name!r}.", did_you_mean(name, self.frame.columns))
        return self.frame[name]

    def rows(self, indices: Sequence[int] | np.ndarray) -> Table:
        """The table of some rows, in the order given."""
        return Table(self.frame[np.asarray(indices, dtype=np.int64)], self.name, self.bad_rows, self.info)

    def with_target(self, name: str) -> Table:
        """The rows that have a value in a target column; the others are added to the bad rows.

        Raises
        ------
        DataError : there is no such column, or it is empty.
        """
        missing = self.column(name).is_null()
        if not missing.any():
            return self
        if missing.all():
            raise DataError(f"{self.name}: the column {name!r} is empty.", "Choose another one with target=NAME.")
        unlabelled = tuple(BadRow(row, f"{name} is empty") for row in self.frame.filter(missing)["id"])
        return Table(self.frame.filter(~missing), self.name, self.bad_rows + unlabelled, self.info)

    def without_missing_audio(self) -> Table:
        """The rows whose recording exists; the others are added to the bad rows.

        Raises
        ------
        DataError : no recording exists where the table says.
        """
        exists = pl.Series([Path(path).is_file() for path in self.frame["audio"]], dtype=pl.Boolean)
        if exists.all():
            return self
        gone = self.frame.filter(~exists)
        if not exists.any():
            raise DataError(
                f"{self.name}: none of the {len(self)} recordings exists, for example {gone['audio'][0]}.",
                "Relative paths in a list start at the folder of the list.",
            )
        lost = tuple(BadRow(row, f"no file at {path}") for row, path in gone.select("id", "audio").iter_rows())
        return Table(self.frame.filter(exists), self.name, self.bad_rows + lost, self.info)


def _with_first_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the six leading columns present and in front."""
    audio = next((name for name in AUDIO_NAMES if name in frame.columns), None)
    if audio is None:
        raise DataError(
            f"no column names the recordings (found: {', '.join(frame.columns) or 'none'}).",
            f"Call the column with the file paths {' or '.join(AUDIO_NAMES[:2])}.",
        )
    frame = frame.rename({audio: "audio"})
    frame = frame.with_columns(pl.lit(None).alias(name) for name in FIRST_COLUMNS[2:] if name not in frame.columns)
    if "id" not in frame.columns:
        at = pl.concat_str("audio", pl.lit("#"), pl.col("start_s").cast(pl.String))  # null where there is no start
        frame = frame.with_columns(id=pl.coalesce(at, "audio"))
    return frame.select(*FIRST_COLUMNS, pl.exclude(FIRST_COLUMNS))


def _typed(frame: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """Columns in their types (empty text is null), and per number column a mask of the cells that are not numbers."""
    text = [name for name in TEXT_COLUMNS if name in frame.columns]
    frame = frame.with_columns(pl.col(text).cast(pl.String).replace("", None))
    unread = {}
    for name in NUMBER_COLUMNS:
        if name in frame.columns:
            given = frame[name].replace("", None) if frame[name].dtype == pl.String else frame[name]
            number = given.cast(pl.Float64, strict=False)
            unread[name] = (number.is_null() & given.is_not_null()) | ~number.is_finite().fill_null(True)
            frame = frame.with_columns(number.alias(name))
    return frame, unread


def _reasons(frame: pl.DataFrame, unread: Mapping[str, pl.Series]) -> list[str | None]:
    """For each row, what is wrong with it, or None."""
    start, end = pl.col("start_s"), pl.col("end_s")
    checks = {f"{name} is not a finite number": pl.lit(mask) for name, mask in unread.items()}
    checks |= {
        "the audio path is empty": pl.col("audio").is_null(),
        "the id is empty": pl.col("id").is_null(),
        "start_s is negative": start < 0,
        "end_s is not after start_s": end <= start.fill_null(0.0),
        "the id stands in an earlier row already": ~pl.col("id").is_first_distinct(),
    }
    conditions = [pl.when(check).then(pl.lit(reason)) for reason, check in checks.items()]
    return frame.select(reason=pl.coalesce(*conditions))["reason"].to_list()


def _first_bad(bad_rows: Sequence[BadRow]) -> str:
    return (
        f"First of {len(bad_rows)} bad rows: {bad_rows[0].row}: {bad_rows[0].reason}." if bad_rows else "It is empty."
    )


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _read_parquet(path: Path) -> Table:
    frame = pl.read_parquet(path, glob=False)
    facts = json.loads(pl.read_parquet_metadata(path).get("earnest", "{}"))
    bad_rows = [BadRow(**bad) for bad in facts.get("bad_rows", ())]
    return Table.from_frame(
        frame, facts.get("name", path.stem), root=path.parent, info=facts.get("info"), bad_rows=bad_rows
    )


def _frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """A frame of rows that may differ in their keys; what is known to be text is made text first."""
    columns: dict[str, None] = {key: None for row in rows for key in row}
    values: dict[str, list[Any]] = {key: [row.get(key) for row in rows] for key in columns}
    for key in {*TEXT_COLUMNS, *AUDIO_NAMES} & set(values):
        values[key] = [cell if cell is None else str(cell) for cell in values[key]]
    return pl.DataFrame({key: pl.Series(key, cells, strict=False) for key, cells in values.items()})
