"""Labels in time, as other programs write them: one value for all formats, and the format by the name of the file.

    .TextGrid   Praat: lanes, their order and their names           textgrid.py
    .txt        Audacity: one lane                                  audacity.py
    .csv        start_s,end_s,label and a lane where there is one   label_csv.py
    .tsv        DCASE: onset, offset, event_label, file name        dcase.py
    .rttm       who speaks when; blanks in names become `_`         rttm.py

Times are written to the millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from earnest.errors import DataError

LANE = "labels"  # of formats that know no lanes
MODULES = {".textgrid": "textgrid", ".txt": "audacity", ".csv": "label_csv", ".tsv": "dcase", ".rttm": "rttm"}
SUFFIXES = (".TextGrid", ".txt", ".csv", ".tsv", ".rttm")


@dataclass(frozen=True, order=True)
class Label:
    """What is said of a stretch of a recording: begin and end in seconds (equal for a point), text, and its lane."""

    start_s: float
    end_s: float
    label: str
    lane: str = LANE


def read(place: Path, recording: str | None = None) -> list[Label]:
    """The labels of a file, in the order of their lanes and then of their begins.

    Parameters
    ----------
    recording : the recording's file name or stem; where a file tells of several recordings, those of the others are
        left out.

    Raises
    ------
    DataError : the file cannot be read or is malformed, or tells of several recordings but not of this one.
    """
    module = import_module(f"earnest.formats.{_module(place.suffix)}")
    found: list[Label] = module.read_labels(place, recording)
    lanes = list(dict.fromkeys(label.lane for label in found))
    return sorted(found, key=lambda label: (lanes.index(label.lane), label))


def written(suffix: str, labels: Sequence[Label], recording: str, duration_s: float) -> str:
    """The text of a file with labels.

    Parameters
    ----------
    suffix : of the file, such as `.TextGrid`.
    recording : the stem of the recording's file name, for formats that name it.
    duration_s : its length, for formats that tell it.

    Raises
    ------
    DataError : no format has this suffix.
    """
    text: str = import_module(f"earnest.formats.{_module(suffix)}").labels_text(labels, recording, duration_s)
    return text


def to_lanes(labels: Iterable[Label]) -> list[dict[str, Any]]:
    """Lanes of the player, as JSON."""
    lanes: dict[str, list[dict[str, Any]]] = {}
    for label in labels:
        item = {"start_s": label.start_s, "end_s": label.end_s, "label": label.label}
        lanes.setdefault(label.lane, []).append(item)
    return [{"name": name, "kind": "labels", "items": items} for name, items in lanes.items()]


def from_lanes(lanes: Iterable[Mapping[str, Any]]) -> list[Label]:
    """The labels of the player's lanes; lanes of scores hold none.

    Raises
    ------
    DataError : a lane or a label is not of the form `{"name", "items": [{"start_s", "end_s", "label"}]}`.
    """
    found = []
    try:
        for lane in lanes:
            if lane.get("kind", "labels") != "labels":
                continue
            for item in lane["items"]:
                found.append(checked(item["start_s"], item["end_s"], str(item["label"]), str(lane["name"])))
    except (KeyError, TypeError, AttributeError) as problem:
        raise DataError(
            f"The lanes are not of the known form: {problem!r}.",
            'Send [{"name": …, "items": [{"start_s": …, "end_s": …, "label": …}]}].',
        ) from problem
    return found


def checked(start_s: float | str, end_s: float | str, label: str, lane: str = LANE, where: str = "A label") -> Label:
    """A label whose times are numbers, in order, and not before the beginning.

    Raises
    ------
    DataError : they are not; `where` begins the message.
    """
    try:
        start, end = float(start_s), float(end_s)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{where}: {start_s!r} and {end_s!r} are not two times in seconds.", _FORM) from problem
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
        raise DataError(f"{where} goes from {start:g} s to {end:g} s.", "Give a begin from 0 on and an end behind it.")
    return Label(start, end, label, lane)


def text_of(place: Path) -> str:
    """A text file in UTF-8, or in UTF-16 where it says so itself.

    Raises
    ------
    DataError : it cannot be read.
    """
    try:
        content = place.read_bytes()
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place} cannot be read: {error}.", "Check the path; save it as UTF-8.") from error


_FORM = "Write seconds as numbers with a point, such as 1.25."


def _module(suffix: str) -> str:
    if suffix.lower() not in MODULES:
        raise DataError(
            f"Labels are not read or written as “{suffix or 'a file without ending'}”.",
            f"Known file endings: {' '.join(SUFFIXES)}.",
        )
    return MODULES[suffix.lower()]
