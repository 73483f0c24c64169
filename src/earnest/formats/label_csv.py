"""Labels as a table: `start_s,end_s,label`, and `lane` where there are several.

The columns may also be called start or begin or onset, end or offset, text or event_label, and tier; semicolons and
tabs may stand between them. Other columns are passed over.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from earnest.errors import DataError
from earnest.formats.labels import LANE, Label, checked, text_of

NAMES = {
    "start_s": ("start_s", "start", "begin", "begin_s", "onset"),
    "end_s": ("end_s", "end", "offset"),
    "label": ("label", "text", "event_label"),
    "lane": ("lane", "tier"),
}


def read_labels(place: Path, recording: str | None = None) -> list[Label]:
    """The labels of a file.

    Raises
    ------
    DataError : the file cannot be read, lacks a column, or a line is malformed.
    """
    text = text_of(place)
    head, _, _ = text.partition("\n")
    between = max(",;\t", key=head.count)
    rows = _rows(place, text, between)
    columns = [name.strip().lower() for name in rows[0]] if rows else []
    places = {
        key: next((columns.index(name) for name in names if name in columns), None) for key, names in NAMES.items()
    }
    missing = [key for key in ("start_s", "end_s", "label") if places[key] is None]
    if missing:
        raise DataError(
            f"{place} has no column {' and no column '.join(missing)}; its first line is “{head.strip()[:80]}”.",
            "Begin with the line start_s,end_s,label (and lane, if there are several).",
        )
    labels = []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        start, end, label, lane = (_cell(cells, places[key]) for key in NAMES)
        labels.append(checked(start, end, label, lane or LANE, f"{place}, line {number}"))
    return labels


def labels_text(labels: Sequence[Label], recording: str, duration_s: float) -> str:
    """A table with a column for the lane."""
    memory = io.StringIO(newline="")
    table = csv.writer(memory, lineterminator="\n")
    table.writerow(NAMES)
    table.writerows((f"{one.start_s:.3f}", f"{one.end_s:.3f}", one.label, one.lane) for one in labels)
    return memory.getvalue()


def _rows(place: Path, text: str, between: str) -> list[list[str]]:
    table = csv.reader(io.StringIO(text, newline=""), delimiter=between)
    try:
        return list(table)
    except csv.Error as error:
        raise DataError(
            f"{place} is no table, from line {table.line_num} on: {error}.", "Close quotation marks, or save it again."
        ) from error


def _cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place].strip() if place is not None and place < len(cells) else ""
