"""TESS: seven acted emotions by two Canadian women, 200 words each in one carrier sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.corpora._layout import Folder
from earnest.table import Table

EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",  # pleasant surprise
    "sad": "sad",
}
SPEAKERS = {"OAF": "older", "OA": "older", "YAF": "younger"}  # one file of OAF is called OA_bite_neutral.wav

INFO = CorpusInfo(
    name="tess",
    title="TESS: Toronto Emotional Speech Set",
    licence="CC BY-NC-ND 4.0",
    citation="M. K. Pichora-Fuller and K. Dupuis, Toronto emotional speech set, Borealis 2020, doi:10.5683/SP2/E8H2MF",
    home="https://tspace.library.utoronto.ca/handle/1807/24487",
    faults=(
        "two speakers: unseen-speaker scores rest on one training and one test voice, and published scores near 100 % "
        "are of random splits, in which both voices and all 200 words stand on both sides",
        "one file of the older speaker is misnamed OA_bite_neutral.wav; it is read as hers",
        "a copy in circulation holds the whole set twice, one inside the other: the second copy is kept out",
    ),
    protocol="none official; unseen speaker: leave-one-group-out by speaker, 2 folds",
    layout="SPEAKER_emotion/SPEAKER_WORD_EMOTION.wav, such as OAF_angry/OAF_back_angry.wav",
    request=(
        "Download its folders by hand from https://tspace.library.utoronto.ca/handle/1807/24487 or "
        "https://doi.org/10.5683/SP2/E8H2MF."
    ),
)


def build(root: Path) -> Table:
    """One row per word, with the columns word and age.

    Parameters
    ----------
    root : the folder of the corpus; the recordings may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    found, bad_rows = Folder.open(INFO, root).matches(
        "SPEAKER_WORD_EMOTION (OAF_back_angry)",
        r"(?P<speaker>OAF?|YAF)_(?P<word>[A-Za-z]+)_(?P<emotion>(?i:angry|disgust|fear|happy|neutral|ps|sad))",
    )
    rows = [
        {
            "id": clip.stem,
            "audio": clip.file,
            "speaker": "YAF" if clip["speaker"] == "YAF" else "OAF",
            "label": EMOTIONS[clip["emotion"].lower()],
            "word": clip["word"].lower(),
            "age": SPEAKERS[clip["speaker"]],
        }
        for clip in found
    ]
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, both speakers, three words each."""
    for speaker in ("OAF", "YAF"):
        for emotion, folder in (("angry", "angry"), ("ps", "pleasant_surprise"), ("fear", "Fear")):
            for word in ("back", "bar", "base"):
                write_tone(root / f"{speaker}_{folder}" / f"{speaker}_{word}_{emotion}.wav", rng)
