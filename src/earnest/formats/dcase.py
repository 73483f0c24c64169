"""Sound events as the DCASE challenges write them: tabs between file name, onset, offset and label.

    filename        onset   offset  event_label         strong labels of task 4, 2018 on
    a.wav           0.250   1.500   Speech

Reference: DCASE 2023 task 4, "Sound event detection with weak labels and synthetic soundscapes"
(https://dcase.community/challenge2023/task-sound-event-detection-with-weak-labels-and-synthetic-soundscapes). Without
the line of names, three columns are onset, offset and label (task 2, 2016), four begin with the file name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from earnest.errors import DataError
from earnest.formats.labels import Label, checked, text_of

COLUMNS = ("filename", "onset", "offset", "event_label")


def read_labels(place: Path, recording: str | None = None) -> list[Label]:
    """The events of one recording.

    Raises
    ------
    DataError : the file cannot be read, a line is malformed, or the file tells of several recordings, of which none or
        an unknown one is asked for.
    """
    found: dict[str, list[Label]] = {}
    lines = [line.rstrip("\r\n").split("\t") for line in text_of(place).splitlines()]
    head = [cell.strip().lower() for cell in lines[0]] if lines else []
    named = "onset" in head
    columns = tuple(head) if named else COLUMNS if len(head) == 4 else COLUMNS[1:]
    if not lines or any(name not in columns for name in COLUMNS[1:]):
        raise DataError(
            f"{place} has no columns onset, offset and event_label.",
            "Begin with a line of names: filename, onset, offset, event_label, with tabs between.",
        )
    for number, cells in enumerate(lines[named:], start=1 + named):
        values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
        if not any(value for name, value in values.items() if name != "filename"):  # a file without events
            continue
        if not all(values.get(name) for name in COLUMNS[1:]):
            raise DataError(
                f"{place}, line {number} is no event: “{' '.join(cells)[:60]}”.",
                "Write onset, offset and event_label with tabs between.",
            )
        label = checked(values["onset"], values["offset"], values["event_label"], where=f"{place}, line {number}")
        found.setdefault(values.get("filename", ""), []).append(label)
    return _of(place, found, recording)


def labels_text(labels: Sequence[Label], recording: str, duration_s: float) -> str:
    """Strong labels of one recording, in the order of their onsets."""
    rows = [(f"{recording}.wav", f"{one.start_s:.3f}", f"{one.end_s:.3f}", one.label) for one in sorted(labels)]
    return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in [COLUMNS, *rows])


def _of(place: Path, found: dict[str, list[Label]], recording: str | None) -> list[Label]:
    if len(found) == 1 and (recording is None or "" in found):
        return next(iter(found.values()))
    wanted = "" if recording is None else Path(recording).stem
    for name, labels in found.items():
        if Path(name).stem == wanted:
            return labels
    if not found:
        return []
    raise DataError(
        f"{place} tells of {len(found)} recordings, and not of “{recording}”: {', '.join(list(found)[:3])} …",
        "Name the recording as the file names it.",
    )
