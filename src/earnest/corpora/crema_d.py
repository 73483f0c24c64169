"""CREMA-D: six acted emotions by 91 actors, with the votes of listeners and viewers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.corpora._layout import Folder, number
from earnest.lists import BadRow
from earnest.table import Table

EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
VOTES = {code[0]: emotion for code, emotion in EMOTIONS.items()}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
UNUSABLE = {  # as the authors' own notes and issues say
    "1076_MTI_SAD_XX": "the recording holds no sound",
    "1064_IEO_DIS_MD": "the recording holds every emotion of its sentence, not one",
}

INFO = CorpusInfo(
    name="crema_d",
    title="CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset (audio only)",
    licence="Open Database License 1.0 (contents: Database Contents License)",
    citation=(
        "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova and R. Verma, IEEE Transactions on Affective "
        "Computing 5(4): 377-390, 2014, doi:10.1109/TAFFC.2014.2336244"
    ),
    home="https://github.com/CheyneyComputerScience/CREMA-D",
    faults=(
        "the label is what was acted; people who only listened recognised 40.9 % of it (see voice_vote)",
        "twelve sentences for all: a model can learn the sentence",
        "two recordings are kept out: 1076_MTI_SAD_XX has no sound, 1064_IEO_DIS_MD holds all emotions",
        "1040_ITH_SAD_X.wav is called 1040_ITH_SAD_XX in the vote tables",
        "ready-made folds in circulation share all 91 actors between training and test",
    ),
    protocol="none official; unseen actors: group-k-fold by speaker",
    layout=(
        "AudioWAV/ACTOR_SENTENCE_EMOTION_LEVEL.wav, such as AudioWAV/1001_DFA_ANG_XX.wav, and optionally "
        "processedResults/summaryTable.csv and VideoDemographics.csv"
    ),
    request="With git and git-lfs: git clone https://github.com/CheyneyComputerScience/CREMA-D.",
)


def build(root: Path) -> Table:
    """One row per clip: label is what was acted; voice_vote, face_vote and multimodal_vote are what was perceived.

    A vote is the emotion that most raters chose, null where emotions tie; voice_level is its mean intensity, 0 to 100.
    The columns exist where the vote table does. Further columns: sentence, level, and gender and age where known.

    Parameters
    ----------
    root : the folder of the corpus; the clips may lie anywhere below it. The MP3 copies in AudioMP3 are passed over.

    Raises
    ------
    DataError : the folder or its tables cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    found, bad_rows = folder.matches(
        "ACTOR_SENTENCE_EMOTION_LEVEL (1001_DFA_ANG_XX)",
        r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)",
        without=("AudioMP3",),
    )
    votes, actors = _votes(folder), _actors(folder)
    rows = []
    for clip in found:
        level = "XX" if clip["level"] == "X" else clip["level"]
        name = f"{clip['actor']}_{clip['sentence']}_{clip['emotion']}_{level}"
        if name in UNUSABLE:
            bad_rows.append(BadRow(clip.file, UNUSABLE[name]))
            continue
        row = {
            "id": name,
            "audio": clip.file,
            "speaker": clip["actor"],
            "label": EMOTIONS[clip["emotion"]],
            "sentence": clip["sentence"],
            "level": LEVELS[level],
            **votes.get(name, {}),
            **actors.get(clip["actor"], {}),
        }
        rows.append(row)
    return corpus_table(INFO, root, rows, bad_rows)


def _votes(folder: Folder) -> dict[str, Mapping[str, Any]]:
    """Clip → what raters perceived, from processedResults/summaryTable.csv; empty where it is missing."""
    place = folder.find("summaryTable.csv")
    if place is None:
        return {}
    listed, _ = folder.read(place, ("FileName", "VoiceVote", "VoiceLevel", "FaceVote", "MultiModalVote"))
    return {
        row["FileName"]: {
            "voice_vote": VOTES.get(row["VoiceVote"] or ""),  # a tie, such as A:F, is no vote
            "voice_level": number(row["VoiceLevel"]),
            "face_vote": VOTES.get(row["FaceVote"] or ""),
            "multimodal_vote": VOTES.get(row["MultiModalVote"] or ""),
        }
        for row in listed
    }


def _actors(folder: Folder) -> dict[str, Mapping[str, Any]]:
    """Actor → gender and age, from VideoDemographics.csv; empty where it is missing."""
    place = folder.find("VideoDemographics.csv")
    if place is None:
        return {}
    listed, _ = folder.read(place, ("ActorID", "Age", "Sex"))
    return {row["ActorID"]: {"gender": (row["Sex"] or "").lower() or None, "age": number(row["Age"])} for row in listed}


def example(root: Path, rng: np.random.Generator) -> None:
    """Three emotions, four actors, two sentences each, with votes and demographics."""
    votes = ['"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"']
    for actor in range(1001, 1005):
        for emotion in ("ANG", "HAP", "NEU"):
            for sentence in ("DFA", "IEO"):
                name = f"{actor}_{sentence}_{emotion}_XX"
                write_tone(root / "AudioWAV" / f"{name}.wav", rng)
                heard = "A:N" if sentence == "IEO" and emotion == "ANG" else "N"
                level = "40.5:51" if ":" in heard else "62.5"
                votes.append(f'"{len(votes)}","{name}","{heard}","{level}","{emotion[0]}","70","{emotion[0]}","75"')
    (root / "processedResults").mkdir(exist_ok=True)
    (root / "processedResults" / "summaryTable.csv").write_text("\n".join(votes) + "\n", encoding="utf-8")
    people = ['"ActorID","Age","Sex","Race","Ethnicity"']
    people += [
        f'{actor},{20 + actor % 50},"{"Female" if actor % 2 else "Male"}","Asian","Not Hispanic"'
        for actor in range(1001, 1005)
    ]
    (root / "VideoDemographics.csv").write_text("\n".join(people) + "\n", encoding="utf-8")
