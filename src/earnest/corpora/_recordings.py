"""Recordings without labels: those of a corpus, or of any folder, with what is known of who speaks and what is said.

They stand beside a labelled corpus, where only that matters which they do not hold. Whatever may connect two of them is
kept: the speaker and the source where a corpus names them, and otherwise the folder that a recording lies in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import polars as pl

from earnest import corpora, registry
from earnest.errors import DataError
from earnest.formats._scan import is_audio, scan_audio

COLUMNS = ("id", "audio", "start_s", "end_s", "speaker", "source", "text", "corpus", "licence")
LIST = "transcripts.tsv"
SPACELESS = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, Khmer, kana, Chinese


def open_recordings(spec: str, data: Path | None = None) -> pl.DataFrame:
    """The recordings of a corpus or a folder.

    Parameters
    ----------
    spec : the name of a corpus, or the path of a folder, as it is or below the folder of corpora. In a folder, a file
        `transcripts.tsv` whose lines are `path … text`, between tabs, says what is said.
    data : the folder of corpora; default `EARNEST_DATA`.

    Returns
    -------
    One row per recording with the columns id, audio, start_s, end_s, speaker, source, text, corpus and licence (text
    but for the two times), null where nothing is known. Ids, speakers and sources begin with the corpus's name.

    Raises
    ------
    DataError : there is no such corpus or folder, or no recording in it.
    """
    if spec in registry.names("corpora") and spec != "folder":
        beside = data if data is not None and (data / spec).is_dir() else None
        frame = corpora.open_table(spec, data=beside).frame
        if "text" not in frame.columns and corpora.info(spec).words:
            frame = frame.with_columns(text=pl.col("label").cast(pl.String))
    else:
        frame = _of_folder(_folder(spec, data))
    name = PurePosixPath(spec).name
    for column in COLUMNS:
        if column not in frame.columns:
            kind = pl.Float64 if column in ("start_s", "end_s") else pl.String
            frame = frame.with_columns(pl.lit(None, dtype=kind).alias(column))
    known = pl.coalesce("source", "speaker", "audio")
    frame = frame.with_columns(source=pl.when(pl.col("speaker").is_null()).then(known).otherwise("source"))
    named = [(pl.lit(f"{name}/") + pl.col(column)).alias(column) for column in ("id", "speaker", "source")]
    return frame.with_columns(*named, corpus=pl.lit(name)).select(COLUMNS)


def says(text: str | None, phrases: Collection[str]) -> bool:
    """Whether any of the phrases stands in a text: as whole words, or where its script has no spaces, anywhere."""
    spoken = plain(text or "")
    return any(
        plain(phrase).replace(" ", "") in spoken.replace(" ", "")
        if SPACELESS.search(phrase)
        else f" {plain(phrase)} " in f" {spoken} "
        for phrase in phrases
    )


def plain(text: str) -> str:
    """A text's words in small letters, with one space between."""
    return " ".join(re.findall(r"[\w']+", text.casefold()))


def _folder(spec: str, data: Path | None) -> Path:
    """The folder that is meant, below one of the folders of corpora or as it is."""
    roots = [data, data.parent if data else None, os.environ.get("EARNEST_DATA")]
    places = [Path(root) / spec for root in roots if root] + [Path(spec)]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = ", ".join(dict.fromkeys(str(place) for place in places))
        raise DataError(f"{spec!r} is neither a corpus nor a folder; looked for {looked}.", "Check the name.")
    return found


def _of_folder(root: Path) -> pl.DataFrame:
    """The recordings below a folder; those in one folder count as one source."""
    files, _ = scan_audio(root)
    texts = _texts(root / LIST)
    rows = [
        {
            "id": file,
            "audio": str(root.absolute() / file),
            "source": str(PurePosixPath(file).parent),
            "text": texts.get(file),
        }
        for file in files
    ]
    return pl.DataFrame(rows, schema={"id": pl.String, "audio": pl.String, "source": pl.String, "text": pl.String})


def _texts(place: Path) -> dict[str, str]:
    """Path → what is said, from a list that may have a head line, which names no recording (but may name the text)."""
    if not place.is_file():
        return {}
    try:
        lines = [line.split("\t") for line in place.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place} cannot be read: {error}.", "Save it as UTF-8.") from error
    column = lines[0].index("text") if lines and "text" in lines[0] else -1
    return {cells[0]: cells[column] for cells in lines if len(cells) > 1 and is_audio(cells[0])}
