"""Label tracks of Audacity: `BEGIN END TEXT` with tabs between, in seconds.

Reference: Audacity manual, "Importing and Exporting Labels"
(https://manual.audacityteam.org/man/importing_and_exporting_labels.html). Lines that begin with a backslash hold the
frequency range of the label above and are passed over. A file knows no lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earnest.errors import DataError
from earnest.formats.labels import Label, checked, text_of


def read_labels(place: Path, recording: str | None = None) -> list[Label]:
    """The labels of a file, all in one lane.

    Raises
    ------
    DataError : the file cannot be read, or a line is malformed.
    """
    labels = []
    for number, line in enumerate(text_of(place).splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        cells = line.split("\t", 2)
        if len(cells) < 2:
            raise DataError(
                f"{place}, line {number} is no label of Audacity: “{line[:60]}”.",
                "Write begin, end and text with tabs between, as “Export Labels” does.",
            )
        text = cells[2] if len(cells) > 2 else ""
        labels.append(checked(cells[0], cells[1], text.strip(), where=f"{place}, line {number}"))
    return labels


def labels_text(labels: Sequence[Label], recording: str, duration_s: float) -> str:
    """One line for each label, in the order of their begins."""
    ordered = sorted(labels)
    return "".join(f"{label.start_s:.6f}\t{label.end_s:.6f}\t{' '.join(label.label.split())}\n" for label in ordered)
