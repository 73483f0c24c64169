"""nEMO: six acted emotions in Polish by nine actors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.corpora._layout import Folder, Row, number
from earnest.table import Table

EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
}
_COMMIT = "06f1f83dde8f1a780443a57d53b2af3971af34ab"

INFO = CorpusInfo(
    name="nemo_polish",
    title="nEMO: Dataset of Emotional Speech in Polish",
    licence="CC BY-NC-SA 4.0",
    citation="I. Christop, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING 2024, arXiv:2404.06292",
    home="https://github.com/amu-cai/nEMO",
    downloads=(Download(f"https://github.com/amu-cai/nEMO/archive/{_COMMIT}.zip", None, None, "zip"),),
    faults=("acted, and the same ninety sentences in every emotion: a model can learn the sentence",),
    protocol="none official; unseen actors: leave-one-group-out by speaker, 9 folds",
    layout="samples/SPEAKER_EMOTION_SENTENCE.wav, such as samples/EB0_anger_1.wav, and optionally data.tsv",
)


def build(root: Path) -> Table:
    """One row per recording; with data.tsv also its text and the gender and age of the actor.

    Parameters
    ----------
    root : the folder of the corpus; the recordings may lie anywhere below it.

    Raises
    ------
    DataError : the folder or data.tsv cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    found, bad_rows = folder.matches(
        "SPEAKER_EMOTION_SENTENCE (EB0_anger_1)",
        rf"(?P<speaker>[A-Z]+\d+)_(?P<emotion>{'|'.join(EMOTIONS)})_(?P<sentence>\d+)",
    )
    known = _known(folder)
    rows = [
        {
            "id": clip.stem,
            "audio": clip.file,
            "speaker": clip["speaker"],
            "label": EMOTIONS[clip["emotion"]],
            "sentence": clip["sentence"],
            **known.get(clip.stem, {}),
        }
        for clip in found
    ]
    return corpus_table(INFO, root, rows, bad_rows)


def _known(folder: Folder) -> dict[str, Row]:
    """Recording → text, gender and age, from data.tsv; empty where it is missing."""
    place = folder.find("data.tsv")
    if place is None:
        return {}
    listed, _ = folder.read(place, ("file_id", "raw_text", "gender", "age"))
    return {
        str(row["file_id"]).removesuffix(".wav"): {
            "text": row["raw_text"],
            "gender": row["gender"],
            "age": number(row["age"]),
        }
        for row in listed
    }


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, three actors, two sentences each, and data.tsv."""
    lines = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    for speaker, gender in (("EB0", "female"), ("MP0", "male"), ("SB0", "female")):
        for emotion in ("anger", "neutral", "surprised"):
            for sentence in (1, 2):
                name = f"{speaker}_{emotion}_{sentence}.wav"
                write_tone(root / "samples" / name, rng)
                lines.append(f"{name}\t{emotion}\tZdanie {sentence}.\tzdanie {sentence}\t{speaker}\t{gender}\t25")
    (root / "data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
