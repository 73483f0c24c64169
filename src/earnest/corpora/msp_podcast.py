"""MSP-Podcast: natural emotional speech from podcasts, with emotions and with valence, arousal and dominance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.corpora._layout import Folder, number
from earnest.table import Table

EMOTIONS = {
    "A": "angry",
    "S": "sad",
    "H": "happy",
    "U": "surprised",
    "F": "fearful",
    "D": "disgust",
    "C": "contempt",
    "N": "neutral",
}
SPLITS = {"train": "train", "development": "validation", "validation": "validation", "test1": "test"}
_LISTS = ("labels_consensus.csv", "labels_concensus.csv")  # older releases misspell it
_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")

INFO = CorpusInfo(
    name="msp_podcast",
    title="MSP-Podcast",
    licence="by agreement with the Multimodal Signal Processing Laboratory (academic or commercial)",
    citation=(
        "R. Lotfian and C. Busso, Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional "
        "Speech from Existing Podcast Recordings, IEEE Transactions on Affective Computing 10(4): 471-483, 2019, "
        "doi:10.1109/TAFFC.2017.2736999"
    ),
    home="https://www.lab-msp.com/MSP/MSP-Podcast.html",
    faults=(
        "scores depend on the release (1.0 to 2.0): its parts grow, and turns move between them",
        "the parts were made by speaker, and turns whose speaker is unknown exist; the audit says whether a podcast "
        "(column source) stands on both sides",
        "turns labelled other (O) or without agreement (X) have no label, only values",
        "Test2 was collected in another way and Test3 is published without labels: neither is in split=official",
    ),
    protocol="official: Train, Development and Test1 in `split`; Test2 stands in `split` as test2",
    task="regression",
    layout="Labels/labels_consensus.csv and Audios/MSP-PODCAST_PODCAST_TURN.wav",
    request="Ask for it at https://www.lab-msp.com/MSP/MSP-Podcast.html.",
)


def build(root: Path) -> Table:
    """One row per speaking turn: label, valence, arousal and dominance (means of the raters, 1 to 7).

    speaker is null where the corpus says Unknown; source is the podcast, from the file name. emotion_code is the
    consensus as listed, including O (other) and X (no agreement), for which label is null.

    Parameters
    ----------
    root : the folder of the corpus.

    Raises
    ------
    DataError : the folder or its list cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    place = next((place for place in map(folder.find, _LISTS) if place is not None), None) or folder.need(_LISTS[0])
    listed, unread = folder.read(place, _COLUMNS)
    entries = {}
    for row in listed:
        podcast = re.match(r"MSP-PODCAST_(\d+)_", row["FileName"] or "")
        part = (row["Split_Set"] or "").lower()
        entries[row["FileName"]] = {
            "speaker": None if (row["SpkrID"] or "Unknown").lower() == "unknown" else row["SpkrID"],
            "source": podcast[1] if podcast else None,
            "label": EMOTIONS.get(row["EmoClass"] or ""),
            "valence": number(row["EmoVal"]),
            "arousal": number(row["EmoAct"]),
            "dominance": number(row["EmoDom"]),
            "split": SPLITS.get(part, part),
            "gender": (row["Gender"] or "").lower() or None,
            "emotion_code": row["EmoClass"],
        }
    rows, bad_rows = folder.listed(entries, place.name)
    return corpus_table(INFO, root, rows, unread + bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Six podcasts of one speaker each, three turns per podcast, in the four parts."""
    lines = [",".join(_COLUMNS)]
    for podcast, part in enumerate(("Train", "Train", "Train", "Development", "Test1", "Test2"), start=1):
        for turn, code in enumerate("HNX"):
            name = f"MSP-PODCAST_{podcast:04d}_{turn:04d}.wav"
            write_tone(root / "Audios" / name, rng)
            values = ",".join(f"{value:.1f}" for value in rng.uniform(1, 7, 3))
            speaker = "Unknown" if podcast == 2 else str(podcast * 11)
            lines.append(f"{name},{code},{values},{speaker},{'Female' if podcast % 2 else 'Male'},{part}")
    (root / "Labels").mkdir()
    (root / "Labels" / "labels_consensus.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
