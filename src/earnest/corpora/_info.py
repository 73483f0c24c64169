"""What a corpus says about itself, and the table that its rows become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from earnest import audio
from earnest.errors import DataError
from earnest.lists import BadRow
from earnest.table import Table


@dataclass(frozen=True)
class Download:
    """One public file of a corpus.

    `sha256` is None where no published hash is known: the hash seen at the first download is then recorded beside the
    data and held from there on.
    """

    url: str
    sha256: str | None
    bytes: int | None
    kind: Literal["zip", "tar.gz", "file"]


@dataclass(frozen=True)
class CorpusInfo:
    """Name, licence, citation, source and known faults of a corpus.

    `protocol` is the evaluation its authors or its field prescribe; `embedded` corpora are made on the spot and need no
    download; `synthetic` ones contain no human recordings. `layout` says in a line what the folder looks like.
    `request` says, for a corpus that no program may download, how one comes by it. Labels of a corpus of `words` are
    what is said.
    """

    name: str
    title: str
    licence: str
    citation: str
    home: str
    downloads: tuple[Download, ...] = ()
    faults: tuple[str, ...] = ()
    protocol: str = ""
    task: str = "classification"
    embedded: bool = False
    synthetic: bool = False
    words: bool = False
    layout: str = ""
    request: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)


def corpus_table(
    info: CorpusInfo, root: Path, rows: Sequence[Mapping[str, Any]], bad_rows: Iterable[BadRow] = ()
) -> Table:
    """The table of a corpus: its rows with the columns `corpus` and `licence` (unless the rows have their own).

    Raises
    ------
    DataError : there are no rows, so the folder does not hold this corpus.
    """
    bad_rows = tuple(bad_rows)
    if not rows:
        raise wrong_layout(info, root, _summary(root, bad_rows))
    given = {"corpus": info.name, "licence": info.licence, **rows[0]}
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame = frame.with_columns(pl.lit(given[name]).alias(name) for name in given if name not in frame.columns)
    return Table.from_frame(frame, info.name, root=root, info=info.as_dict(), bad_rows=bad_rows)


def wrong_layout(info: CorpusInfo, root: Path, found: str) -> DataError:
    """The error for a folder that does not hold a corpus: what was expected, what was found, how to get the corpus."""
    expected = f" Expected: {info.layout}." if info.layout else ""
    remedy = f"{info.request} " if info.request else ""
    return DataError(
        f"{root} does not look like {info.title}.{expected} Found: {found}.", f"{remedy}Run: earnest fetch {info.name}"
    )


def _summary(root: Path, bad_rows: tuple[BadRow, ...]) -> str:
    """What a folder without a single usable recording holds instead."""
    if bad_rows:
        return f"{len(bad_rows)} that do not fit, first {bad_rows[0].row}: {bad_rows[0].reason}"
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "an empty folder"


def write_tone(path: Path, rng: np.random.Generator, *, sample_rate: int = 8_000, seconds: float = 0.25) -> None:
    """A short noisy tone that no other call repeats: example trees hold no two identical recordings."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    tone = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 2_000) * time) + 0.05 * rng.standard_normal(len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, tone.astype(np.float32), sample_rate)
