"""Kaldi data directories: wav.scp, segments, utt2spk, text, and one file utt2NAME per further column.

Reference: https://kaldi-asr.org/doc/data_prep.html. Deviations: commands in wav.scp (lines that end in `|`) are not run
but named as bad rows; white space and `%` inside an id or a speaker are written as %20, %25 and read back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from earnest.errors import DataError
from earnest.files import atomic_write_text
from earnest.lists import BadRow
from earnest.table import Table

_KNOWN = ("id", "audio", "start_s", "end_s", "source")


def is_kaldi(path: Path) -> bool:
    """Whether a folder is a Kaldi data directory."""
    return (path / "wav.scp").is_file()


def read(path: str | Path) -> Table:
    """The utterances of a Kaldi data directory; `source` is the recording where there are segments.

    Raises
    ------
    DataError : wav.scp is missing, a file cannot be read, or no utterance is usable.
    """
    folder = Path(path)
    if not is_kaldi(folder):
        raise DataError(f"{folder} has no wav.scp, so it is not a Kaldi data directory.", "Check the path.")
    try:
        recordings = _read_map(folder / "wav.scp")
        segments = _read_map(folder / "segments") if (folder / "segments").is_file() else None
        columns = {_column(place): _read_map(place) for place in sorted(folder.glob("utt2?*"))}
        if (folder / "text").is_file():
            columns["text"] = _read_map(folder / "text")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{folder} cannot be read as a Kaldi data directory: {error}.", "Its files are UTF-8."
        ) from error
    clips, bad_rows = _clips(folder, recordings, segments)
    if not clips:
        reason = f"{bad_rows[0].row}: {bad_rows[0].reason}" if bad_rows else "wav.scp is empty"
        raise DataError(f"{folder}: no usable utterance ({reason}).", "Name recordings as files, not as commands.")
    rows = [{**clip, **{name: values.get(clip["id"]) for name, values in columns.items()}} for clip in clips]
    rows = [{**row, "id": unquote(row["id"])} for row in rows]
    return Table.from_frame(
        pl.DataFrame(rows, infer_schema_length=None), folder.absolute().name, root=folder, bad_rows=bad_rows
    )


def write(table: Table, path: str | Path) -> None:
    """Write a Kaldi data directory; columns that hold no text, and empty cells, are left out.

    Raises
    ------
    StorageError : the disk is full or the place cannot be written.
    """
    folder = Path(path)
    ids = [_token(value) for value in table.frame["id"]]
    has_segments = table.has("start_s") or table.has("end_s")
    audio = table.frame["audio"].to_list()
    if has_segments:
        recordings = {place: f"rec{number:06d}" for number, place in enumerate(dict.fromkeys(audio))}
        _write_map(folder / "wav.scp", {name: place for place, name in recordings.items()})
        bounds = table.frame.select("start_s", "end_s").iter_rows()
        values = [
            f"{recordings[place]} {start or 0} {-1 if end is None else end}"
            for place, (start, end) in zip(audio, bounds, strict=True)
        ]
        _write_map(folder / "segments", dict(zip(ids, values, strict=True)))
    else:
        _write_map(folder / "wav.scp", dict(zip(ids, audio, strict=True)))
    for name in table.frame.columns:
        if name in _KNOWN or table.frame.schema[name] != pl.String or not table.has(name):
            continue
        cells = {key: cell for key, cell in zip(ids, table.frame[name], strict=True) if cell is not None}
        if name == "speaker":
            cells = {key: _token(cell) for key, cell in cells.items()}
            _write_map(folder / "spk2utt", _inverse(cells))
        _write_map(folder / {"speaker": "utt2spk", "text": "text"}.get(name, f"utt2{name}"), cells)


def _clips(
    folder: Path, recordings: Mapping[str, str], segments: Mapping[str, str] | None
) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """The usable utterances, and those whose segment or recording is unusable."""
    clips, bad_rows = [], []
    for utterance, segment in (segments if segments is not None else {name: name for name in recordings}).items():
        recording, *bounds = segment.split() if segments is not None else (segment,)
        place = recordings.get(recording)
        if place is None:
            bad_rows.append(BadRow(utterance, f"its recording {recording} is not in wav.scp"))
        elif place.endswith("|"):
            bad_rows.append(BadRow(utterance, f"wav.scp gives a command, not a file: {place}"))
        elif segments is not None and len(bounds) != 2:
            bad_rows.append(BadRow(utterance, "its line in segments is not: utterance recording start end"))
        else:
            clip: dict[str, Any] = {"id": utterance, "audio": _resolve(folder, place)}
            if segments is not None:
                start, end = bounds
                clip |= {"source": recording, "start_s": start, "end_s": None if _is_open(end) else end}
            clips.append(clip)
    return clips, bad_rows


def _is_open(end: str) -> bool:
    """Whether the end of a segment is Kaldi's -1, the end of the recording."""
    return re.fullmatch(r"-1(\.0*)?", end) is not None


def _resolve(folder: Path, place: str) -> str:
    """Kaldi's relative paths start where its scripts run; here the directory itself is tried first."""
    inside = folder.absolute() / place
    return str(inside if inside.is_file() else Path.cwd() / place)


def _column(place: Path) -> str:
    return "speaker" if place.name == "utt2spk" else place.name.removeprefix("utt2")


def _read_map(path: Path) -> dict[str, str]:
    """First word → the rest of the line."""
    lines = (line.strip().split(maxsplit=1) for line in path.read_text(encoding="utf-8-sig").split("\n"))
    rest = {parts[0]: parts[1] if len(parts) > 1 else "" for parts in lines if parts}
    return {key: unquote(value) for key, value in rest.items()} if path.name == "utt2spk" else rest


def _write_map(path: Path, values: Mapping[str, str]) -> None:
    """Lines sorted by their key as Kaldi wants them (in the C locale)."""
    lines = (f"{key} {' '.join(value.splitlines())}\n" for key, value in sorted(values.items()))
    atomic_write_text(path, "".join(lines))


def _inverse(values: Mapping[str, str]) -> dict[str, str]:
    keys: dict[str, list[str]] = {}
    for key, value in values.items():
        keys.setdefault(value, []).append(key)
    return {value: " ".join(sorted(found)) for value, found in keys.items()}


def _token(text: str) -> str:
    """A word without white space."""
    return re.sub(r"[\s%]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
