"""Free Spoken Digit Dataset: ten English digits, six speakers, fifty takes each, 8 kHz."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.formats._scan import scan_audio
from earnest.lists import BadRow
from earnest.table import Table

_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"

INFO = CorpusInfo(
    name="fsdd",
    title="Free Spoken Digit Dataset",
    licence="CC BY-SA 4.0",
    citation="Z. Jackson et al., Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset",
    home="https://github.com/Jakobovski/free-spoken-digit-dataset",
    downloads=(
        Download(f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{_COMMIT}.zip", None, None, "zip"),
    ),
    faults=(
        "the official test takes 0-4 come from the six speakers of the training takes: split=official leaks speakers",
        "all takes of a speaker were trimmed by the same program and recorded with the same microphone",
    ),
    protocol="official: takes 0-4 for testing (speaker-dependent); for unseen speakers: leave-one-group-out by speaker",
    layout="DIGIT_SPEAKER_TAKE.wav, such as recordings/7_jackson_32.wav",
)

_NAME = re.compile(r"(?P<label>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)")


def build(root: Path) -> Table:
    """One row per take; `split` holds the official, speaker-dependent division.

    Parameters
    ----------
    root : the folder of the corpus; the recordings may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    files, bad_rows = scan_audio(root)
    rows = []
    for file in files:
        found = _NAME.fullmatch(PurePosixPath(file).stem)
        if found is None:
            bad_rows.append(BadRow(file, "the name is not DIGIT_SPEAKER_TAKE"))
            continue
        split = "test" if int(found["take"]) < 5 else "train"
        rows.append({"id": found[0], "audio": file, **found.groupdict(), "split": split})
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Two digits, three speakers, seven takes each."""
    for digit in (0, 7):
        for speaker in ("ann", "bob", "cem"):
            for take in range(7):
                write_tone(root / "recordings" / f"{digit}_{speaker}_{take}.wav", rng)
