"""TALSER: Mandarin speech of classrooms, rated for pleasure and arousal, given as a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone, wrong_layout
from earnest.corpora._layout import Folder, Row, number
from earnest.lists import BadRow
from earnest.table import AUDIO_NAMES, Table

INFO = CorpusInfo(
    name="talser",
    title="TALSER: Mandarin classroom speech with pleasure and arousal",
    licence="unpublished; as its owners say",
    citation="none known; cite as its owners say",
    home="none public: any list of this form is read",
    faults=(
        "no public description of its layout was found: what is read is a CSV file with columns audio (or file), "
        "pleasure, arousal, and optionally speaker and label",
        "without a column speaker nothing keeps the voices of training and test apart",
    ),
    protocol="none official; unseen speakers: group-k-fold by speaker",
    task="regression",
    layout="a CSV or TSV file with the columns audio (or file), pleasure, arousal and optionally speaker, label",
    request="Ask its owners.",
)


def build(root: Path) -> Table:
    """One row per listed recording: valence (what the list calls pleasure) and arousal, in the list's own units.

    Paths in the list start at its folder; further columns are kept. A row without both numbers is a bad row.

    Parameters
    ----------
    root : the folder that holds the list.

    Raises
    ------
    DataError : the folder or its lists cannot be read, or no list has the columns.
    """
    folder = Folder.open(INFO, root)
    place, listed, bad_rows = _list(folder)
    audio = next(name for name in AUDIO_NAMES if name in listed[0])
    rows = []
    for row in listed:
        path = place.parent / str(row[audio])
        file = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        valence, arousal = number(row["pleasure"]), number(row["arousal"])
        if not path.is_file() or valence is None or arousal is None:
            reason = "pleasure or arousal is no number" if path.is_file() else f"there is no recording {path}"
            bad_rows.append(BadRow(str(row[audio]), reason))
            continue
        further = {name: cell for name, cell in row.items() if name not in (audio, "pleasure", "arousal")}
        rows.append({"id": file, **further, "audio": file, "valence": valence, "arousal": arousal})
    known = {row["audio"] for row in rows} | {bad.row for bad in bad_rows}
    bad_rows += [BadRow(file, f"{place.name} does not list it") for file in folder.audio() if file not in known]
    return corpus_table(INFO, root, rows, bad_rows)


def _list(folder: Folder) -> tuple[Path, list[Row], list[BadRow]]:
    """The first list in the folder that has the columns, and its rows."""
    lists = [folder.root / file for file in folder.files if file.endswith((".csv", ".tsv"))]
    for place in lists:
        rows, bad_rows = folder.read(place, ())
        if rows and {"pleasure", "arousal"} <= rows[0].keys() and rows[0].keys() & set(AUDIO_NAMES):
            return place, rows, list(folder.bad_rows) + bad_rows
    recordings = folder.audio()
    found = f"{len(recordings)} recordings{f', for example {recordings[0]},' if recordings else ''} and "
    found += f"the lists {', '.join(place.name for place in lists)}, none with these columns" if lists else "no list"
    raise wrong_layout(folder.info, folder.root, found)


def example(root: Path, rng: np.random.Generator) -> None:
    """Four speakers, four recordings each, on scales from 1 to 5."""
    lines = ["file,speaker,pleasure,arousal,label"]
    for speaker in ("t01", "t02", "s01", "s02"):
        for take in range(4):
            write_tone(root / "wav" / f"{speaker}_{take}.wav", rng)
            pleasure, arousal = rng.uniform(1, 5, 2)
            lines.append(
                f"wav/{speaker}_{take}.wav,{speaker},{pleasure:.2f},{arousal:.2f},{('calm', 'happy')[take % 2]}"
            )
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
