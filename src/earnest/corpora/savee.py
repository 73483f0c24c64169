"""SAVEE: seven acted emotions by four British men, 480 sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.corpora._layout import Folder
from earnest.table import Table

EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
SPEAKERS = ("DC", "JE", "JK", "KL")

INFO = CorpusInfo(
    name="savee",
    title="SAVEE: Surrey Audio-Visual Expressed Emotion (audio only)",
    licence="free for research, after registration",
    citation=(
        "S. Haq and P. J. B. Jackson, Speaker-dependent audio-visual emotion recognition, AVSP 2009; and Multimodal "
        "Emotion Recognition, in Machine Audition, IGI Global 2010, ch. 17"
    ),
    home="http://kahlan.eps.surrey.ac.uk/savee/",
    faults=(
        "four speakers, all men, so that every score for unseen speakers has a wide interval",
        "three sentences are common to all emotions, the others belong to one or few: a model can learn the sentence",
        "neutral has twice as many clips (30 per speaker) as each other emotion (15)",
    ),
    protocol="none official; unseen speakers: leave-one-group-out by speaker, 4 folds",
    layout="SPEAKER/EMOTION+NUMBER.wav or SPEAKER_EMOTION+NUMBER.wav, such as AudioData/DC/a01.wav or ALL/DC_a01.wav",
    request="Register at http://kahlan.eps.surrey.ac.uk/savee/ and download the audio files.",
)


def build(root: Path) -> Table:
    """One row per sentence.

    Parameters
    ----------
    root : the folder of the corpus; the recordings may lie anywhere below it, in folders per speaker or in one.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    found, bad_rows = Folder.open(INFO, root).matches(
        "SPEAKER_EMOTION+NUMBER (DC_a01, or a01 in a folder DC)",
        r"(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>sa|su|[adfhn])(?P<number>\d\d)",
    )
    rows = [
        {
            "id": f"{clip['speaker']}_{clip['emotion']}{clip['number']}",
            "audio": clip.file,
            "speaker": clip["speaker"],
            "label": EMOTIONS[clip["emotion"]],
            "gender": "male",
        }
        for clip in found
    ]
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, four speakers, two sentences each."""
    for speaker in SPEAKERS:
        for emotion in ("a", "n", "su"):
            for number in (1, 2):
                write_tone(root / "AudioData" / speaker / f"{emotion}{number:02d}.wav", rng)
