"""RTTM and UEM: who speaks when in each recording, and which part of it is annotated.

    SPEAKER sample 1 6.690 0.430 <NA> <NA> speaker90 <NA> <NA>      recording, channel, begin and length in seconds
    sample NA 0.000 30.000                                          recording, channel, begin and end in seconds

Reference: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A (RTTM) and 2004
plan (UEM). Of RTTM the SPEAKER lines are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from earnest.errors import DataError
from earnest.formats._scan import scan_audio
from earnest.formats.labels import Label, checked
from earnest.lists import BadRow
from earnest.table import Table

Stretch = tuple[float, float]


def is_annotated(folder: Path) -> bool:
    """Whether a folder holds RTTM files."""
    return any(folder.glob("*.rttm"))


def read(folder: Path) -> Table:
    """The annotated recordings of a folder with its RTTM and UEM files.

    Returns
    -------
    One row per recording (whose file is named as in the RTTM), cut to its annotated part. The column `events` is a list
    of texts `BEGIN END SPEAKER`, in seconds from the beginning of that part; `source` is the recording.

    Raises
    ------
    DataError : a file cannot be read or is malformed, or no recording is annotated.
    """
    turns: dict[str, list[tuple[float, float, str]]] = {}
    for place in sorted(folder.glob("*.rttm")):
        for name, begin, end, speaker in read_rttm(place):
            turns.setdefault(name, []).append((begin, end, speaker))
    parts = {name: part for place in sorted(folder.glob("*.uem")) for name, part in read_uem(place).items()}
    files, bad_rows = scan_audio(folder)
    rows = []
    for file in files:
        name = Path(file).stem
        if name not in turns:
            bad_rows.append(BadRow(file, "no RTTM file names it"))
            continue
        start, end = parts.get(name, (0.0, float("inf")))
        inside = [(max(b, start), min(e, end), who) for b, e, who in turns[name] if e > start and b < end]
        events = [f"{b - start:.3f} {e - start:.3f} {who}" for b, e, who in inside]
        first, last = (start, end) if name in parts else (None, None)
        rows.append({"id": name, "audio": file, "source": name, "start_s": first, "end_s": last, "events": events})
    if not rows:
        raise DataError(f"no recording in {folder} is named in its RTTM files.", "Name them alike: sample.wav, sample.")
    frame = pl.DataFrame(rows, schema_overrides={"start_s": pl.Float64, "end_s": pl.Float64}, infer_schema_length=None)
    return Table.from_frame(frame, folder.absolute().name, root=folder, bad_rows=bad_rows)


def read_rttm(place: Path) -> list[tuple[str, float, float, str]]:
    """The SPEAKER lines of a file: recording, begin and end in seconds, speaker.

    Raises
    ------
    DataError : the file cannot be read, or a line is malformed.
    """
    found = []
    for number, cells in _lines(place):
        if cells[0] != "SPEAKER":
            continue
        begin, length = _numbers(place, number, cells[3:5])
        if len(cells) < 8 or length < 0:
            raise _malformed(place, number)
        found.append((cells[1], begin, begin + length, cells[7]))
    return found


def read_labels(place: Path, recording: str | None = None) -> list[Label]:
    """The turns of one recording, all in the lane `speakers`.

    Raises
    ------
    DataError : the file cannot be read, a line is malformed, or it tells of several recordings and not of this one.
    """
    turns = read_rttm(place)
    names = list(dict.fromkeys(name for name, *_ in turns))
    stem = "" if recording is None else Path(recording).stem
    chosen = stem if stem in names else names[0] if len(names) == 1 else None
    if names and chosen is None:
        raise DataError(
            f"{place} tells of {len(names)} recordings, and not of “{recording}”: {', '.join(names[:3])} …",
            "Name the recording as the file names it.",
        )
    return [
        checked(round(begin, 6), round(end, 6), "" if who == "<NA>" else who, "speakers", str(place))
        for name, begin, end, who in turns
        if name == chosen
    ]


def labels_text(labels: Sequence[Label], recording: str, duration_s: float) -> str:
    """SPEAKER lines; lanes are not told apart, and blanks within names become `_`."""
    file = "_".join(recording.split()) or "recording"
    lines = []
    for one in sorted(labels):
        length = round(one.end_s, 3) - round(one.start_s, 3)
        who = "_".join(one.label.split()) or "<NA>"
        lines.append(f"SPEAKER {file} 1 {one.start_s:.3f} {length:.3f} <NA> <NA> {who} <NA> <NA>\n")
    return "".join(lines)


def read_uem(place: Path) -> dict[str, Stretch]:
    """Recording → the part of it that is annotated, from the first begin to the last end.

    Raises
    ------
    DataError : the file cannot be read, or a line is malformed.
    """
    found: dict[str, Stretch] = {}
    for number, cells in _lines(place):
        begin, end = _numbers(place, number, cells[2:4])
        before = found.get(cells[0], (begin, end))
        found[cells[0]] = (min(before[0], begin), max(before[1], end))
    return found


def _lines(place: Path) -> list[tuple[int, list[str]]]:
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place} cannot be read: {error}.", "Save it as UTF-8.") from error
    split = enumerate((line.split() for line in text.splitlines()), start=1)
    return [(number, cells) for number, cells in split if cells and not cells[0].startswith(";;")]


def _numbers(place: Path, number: int, cells: list[str]) -> tuple[float, float]:
    try:
        first, second = (float(cell) for cell in cells)
    except ValueError as error:
        raise _malformed(place, number) from error
    return first, second


def _malformed(place: Path, number: int) -> DataError:
    return DataError(f"{place}, line {number} is not of the form of the format.", "Write it again with another tool.")
