"""EmoDB: the Berlin database of emotional speech: seven acted emotions, ten speakers, ten German sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.corpora._layout import Folder
from earnest.table import Table

EMOTIONS = {  # first letters of the German words: Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral
    "W": "angry",
    "L": "bored",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
MEN = frozenset(("03", "10", "11", "12", "15"))  # the women are 08, 09, 13, 14 and 16

INFO = CorpusInfo(
    name="emodb",
    title="EmoDB: Berlin Database of Emotional Speech",
    licence="CC0 1.0 (as republished in audformat; the authors' own site states no licence)",
    citation=(
        "F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier and B. Weiss, A Database of German Emotional Speech, "
        "Interspeech 2005, doi:10.21437/Interspeech.2005-446"
    ),
    home="http://emodb.bilderbar.info",
    downloads=(Download("https://zenodo.org/records/7447302/files/emodb.zip", None, None, "zip"),),
    faults=(
        "acted, and only ten sentences: a model can learn the sentence",
        "what listeners did not recognise was left out, so the emotions are unequal (46 disgust, 127 angry)",
        "ready-made folds in circulation share all ten speakers between training and test",
    ),
    protocol="none official; unseen speakers: leave-one-group-out by speaker, 10 folds",
    layout="wav/SPEAKER+TEXT+EMOTION+VERSION.wav, such as wav/03a01Fa.wav",
)


def build(root: Path) -> Table:
    """One row per utterance, with the columns sentence, version and gender.

    Parameters
    ----------
    root : the folder of the corpus; the recordings may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    found, bad_rows = Folder.open(INFO, root).matches(
        "SPEAKER TEXT EMOTION VERSION (03a01Fa)",
        r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<version>[a-z]?)",
    )
    rows = [
        {
            "id": clip.stem,
            "audio": clip.file,
            "speaker": clip["speaker"],
            "label": EMOTIONS[clip["emotion"]],
            "sentence": clip["sentence"],
            "version": clip["version"],
            "gender": "male" if clip["speaker"] in MEN else "female",
        }
        for clip in found
    ]
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, four speakers, two sentences each."""
    for speaker in ("03", "08", "10", "16"):
        for emotion in "WFN":
            for sentence in ("a01", "b02"):
                write_tone(root / "wav" / f"{speaker}{sentence}{emotion}a.wav", rng)
