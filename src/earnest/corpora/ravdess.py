"""RAVDESS speech: eight acted emotions, 24 actors, 60 clips each."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.formats._scan import scan_audio
from earnest.lists import BadRow
from earnest.table import Table

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
STATEMENTS = ("Kids are talking by the door", "Dogs are sitting by the door")

INFO = CorpusInfo(
    name="ravdess",
    title="RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song (speech, audio only)",
    licence="CC BY-NC-SA 4.0",
    citation="S. R. Livingstone and F. A. Russo, PLoS ONE 13(5): e0196391, 2018, doi:10.1371/journal.pone.0196391",
    home="https://zenodo.org/records/1188976",
    downloads=(Download("https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip", None, None, "zip"),),
    faults=(
        "acted, and only two sentences: a model can learn the sentence and the actor",
        "neutral is spoken at one intensity only, so it has half as many clips as the other emotions",
    ),
    protocol="none official; unseen actors: group-k-fold or leave-one-group-out by speaker",
    layout="Actor_01/03-01-01-01-01-01-01.wav (speech, audio only)",
)

# modality (03 audio only) - channel (01 speech) - emotion - intensity - statement - repetition - actor
_NAME = re.compile(
    r"03-01-0(?P<emotion>[1-8])-0(?P<intensity>[12])-0(?P<statement>[12])-0(?P<take>[12])-(?P<actor>\d\d)"
)


def build(root: Path) -> Table:
    """One row per clip, with the columns intensity, statement, repetition and gender.

    Parameters
    ----------
    root : the folder of the corpus; the clips may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    files, bad_rows = scan_audio(root)
    rows = []
    for file in files:
        found = _NAME.fullmatch(PurePosixPath(file).stem)
        if found is None:
            bad_rows.append(BadRow(file, "the name is not one of a RAVDESS speech clip (03-01-…)"))
            continue
        row = {
            "id": found[0],
            "audio": file,
            "speaker": f"Actor_{found['actor']}",
            "label": EMOTIONS[int(found["emotion"]) - 1],
            "intensity": ("normal", "strong")[int(found["intensity"]) - 1],
            "statement": STATEMENTS[int(found["statement"]) - 1],
            "repetition": found["take"],
            "gender": "male" if int(found["actor"]) % 2 else "female",
        }
        rows.append(row)
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, four actors, two statements each."""
    for actor in range(1, 5):
        for emotion in (1, 3, 5):
            for statement in (1, 2):
                name = f"03-01-0{emotion}-01-0{statement}-01-{actor:02d}.wav"
                write_tone(root / f"Actor_{actor:02d}" / name, rng)
