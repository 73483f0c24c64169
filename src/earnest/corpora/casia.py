"""CASIA: six acted emotions in Mandarin by four speakers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.corpora._layout import Folder
from earnest.table import Table

EMOTIONS = {
    "angry": "angry",
    "anger": "angry",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}

INFO = CorpusInfo(
    name="casia",
    title="CASIA Mandarin emotional speech corpus",
    licence="licensed by the Chinese Linguistic Data Consortium for research, against a fee",
    citation=(
        "Institute of Automation, Chinese Academy of Sciences, CASIA Mandarin emotional corpus, Chinese Linguistic "
        "Data Consortium CLDC-SPC-2005-010"
    ),
    home="http://www.chineseldc.org",
    faults=(
        "the whole corpus has 9,600 recordings; what most papers use is a part of 1,200: 50 sentences, 201 to 250",
        "every speaker says the same 50 sentences in every emotion: a model can learn the sentence and the voice",
        "published scores above 90 % are of random folds in which all four speakers are on both sides",
    ),
    protocol="none official; unseen speakers: leave-one-group-out by speaker, 4 folds",
    layout="SPEAKER/EMOTION/NUMBER.wav, such as liuchanhong/angry/201.wav",
    request="Ask the Chinese Linguistic Data Consortium (http://www.chineseldc.org) for the corpus.",
)


def build(root: Path) -> Table:
    """One row per recording, with the column sentence (its number).

    Parameters
    ----------
    root : the folder of the corpus; the speakers' folders may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    found, bad_rows = Folder.open(INFO, root).matches(
        "SPEAKER/EMOTION/NUMBER (liuchanhong/angry/201)",
        rf"(?P<speaker>[^/]+)/(?P<emotion>(?i:{'|'.join(EMOTIONS)}))/(?P<sentence>\d+)",
    )
    rows = []
    for clip in found:
        speaker, emotion = clip["speaker"].lower(), EMOTIONS[clip["emotion"].lower()]
        row = {
            "id": f"{speaker}/{emotion}/{clip['sentence']}",
            "audio": clip.file,
            "speaker": speaker,
            "label": emotion,
            "sentence": clip["sentence"],
        }
        rows.append(row)
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, four speakers, two sentences each."""
    for speaker in ("liuchanhong", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang"):
        for emotion in ("angry", "neutral", "surprise"):
            for sentence in (201, 202):
                write_tone(root / speaker / emotion / f"{sentence}.wav", rng)
