"""IEMOCAP: improvised and scripted dialogues of ten actors, labelled with emotions and with valence to dominance."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone, wrong_layout
from earnest.corpora._layout import Folder, Row
from earnest.errors import DataError
from earnest.lists import BadRow
from earnest.table import Table

EMOTIONS = {
    "ang": "angry",
    "hap": "happy",
    "sad": "sad",
    "neu": "neutral",
    "exc": "excited",
    "fru": "frustrated",
    "fea": "fearful",
    "sur": "surprised",
    "dis": "disgust",
    "oth": "other",
    "xxx": "no agreement",
}
FOUR = ("angry", "happy", "sad", "neutral")
SIX = (*FOUR, "excited", "frustrated")

INFO = CorpusInfo(
    name="iemocap",
    title="IEMOCAP: Interactive Emotional Dyadic Motion Capture (speech turns)",
    licence="for research, by agreement with the University of Southern California",
    citation=(
        "C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee and S. S. Narayanan, "
        "Language Resources and Evaluation 42(4): 335-359, 2008, doi:10.1007/s10579-008-9076-6"
    ),
    home="https://sail.usc.edu/iemocap/",
    faults=(
        "four-class scores differ with what is counted: excited as happy (5,531 turns) or left out (4,490); with all "
        "turns or only the improvised ones",
        "the scripted dialogues are the same texts in all sessions: a model that hears words can learn the script",
        "both actors of a session are heard in its recordings: leave out whole sessions, not single speakers",
        "about a quarter of the turns (xxx) have no emotion that a majority of the raters chose",
    ),
    protocol="the field's: leave one session out, five folds, which is split=official (column `fold`)",
    layout="Session1 … Session5, each with sentences/wav/DIALOG/TURN.wav and dialog/EmoEvaluation/DIALOG.txt",
    request="Ask for it at https://sail.usc.edu/iemocap/iemocap_release.htm.",
)

_TURN = r"(?P<dialog>Ses0(?P<session>[1-5])[FM]_(?P<scene>impro|script)\w*)_(?P<gender>[FM])\w+"
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
_SPAN, _NUMBER = r"\[[\d.]+ - [\d.]+\]", r"([\d.]+)"
_EVALUATION = re.compile(rf"{_SPAN}\s+(Ses0\w+)\s+([a-z]{{3}})\s+\[{_NUMBER}, {_NUMBER}, {_NUMBER}\]")


def build(root: Path) -> Table:
    """One row per turn, with its label in four columns, so that each protocol of the field is one target.

    label : angry, happy, sad, neutral; excited counts as happy; null for the others.
    label4 : the same four; excited is left out.
    label6 : the four, excited and frustrated.
    emotion : whatever the raters agreed on, all ten, or "no agreement".

    valence, arousal (there called activation) and dominance are the raters' means, 1 to 5. speaker is session and
    gender (Ses01F), source is the dialogue, in which both actors of a session are heard, so that grouping by both
    leaves out whole sessions. scene is impro or script.

    Parameters
    ----------
    root : the folder of the corpus; the recordings of whole dialogues are passed over.

    Raises
    ------
    DataError : the folder or its evaluations cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    found, bad_rows = folder.matches("a turn of a dialogue (Ses01F_impro01_F000)", _TURN, without=("dialog",))
    known = _evaluations(folder)
    if found and not known:
        raise wrong_layout(INFO, root, f"{len(found)} turns, but no dialog/EmoEvaluation/*.txt that evaluates any")
    rows = []
    for clip in found:
        evaluation = known.pop(clip.stem, None)
        if evaluation is None:
            bad_rows.append(BadRow(clip.file, "no file in EmoEvaluation evaluates it"))
            continue
        row = {
            "id": clip.stem,
            "audio": clip.file,
            "speaker": f"Ses0{clip['session']}{clip['gender']}",
            "source": clip["dialog"],
            "fold": clip["session"],
            "session": clip["session"],
            "scene": clip["scene"],
            "gender": "female" if clip["gender"] == "F" else "male",
            **evaluation,
        }
        rows.append(row)
    bad_rows += [BadRow(turn, "EmoEvaluation evaluates it, but there is no such recording") for turn in known]
    return corpus_table(INFO, root, rows, bad_rows)


def _evaluations(folder: Folder) -> dict[str, Row]:
    """Turn → its labels and values, from the summary lines of dialog/EmoEvaluation/*.txt (not of its subfolders)."""
    known = {}
    for file in folder.files:
        if not re.fullmatch(r"(.*/)?EmoEvaluation/Ses0[^/]*\.txt", file):
            continue
        try:
            text = (folder.root / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{folder.root / file} cannot be read: {error}.", "Copy the corpus anew.") from error
        for turn, code, *values in _EVALUATION.findall(text):
            emotion = EMOTIONS.get(code)
            valence, arousal, dominance = map(float, values)
            known[turn] = {
                "label": "happy" if emotion == "excited" else emotion if emotion in FOUR else None,
                "label4": emotion if emotion in FOUR else None,
                "label6": emotion if emotion in SIX else None,
                "emotion": emotion,
                "valence": valence,
                "arousal": arousal,
                "dominance": dominance,
            }
    return known


def example(root: Path, rng: np.random.Generator) -> None:
    """Three sessions, one dialogue with six turns each, and the recording of the whole dialogue."""
    for session in (1, 2, 3):
        place, dialog = root / f"Session{session}", f"Ses0{session}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for number, code in enumerate(("neu", "hap", "exc", "fru", "sad", "ang")):
            turn = f"{dialog}_{'FM'[number % 2]}{number // 2:03d}"
            write_tone(place / "sentences" / "wav" / dialog / f"{turn}.wav", rng)
            values = ", ".join(f"{value:.4f}" for value in rng.integers(2, 10, 3) / 2)
            lines.append(f"[{number}.5000 - {number + 1}.2500]\t{turn}\t{code}\t[{values}]")
            lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
        write_tone(place / "dialog" / "wav" / f"{dialog}.wav", rng)
        evaluations = place / "dialog" / "EmoEvaluation"
        evaluations.mkdir()
        (evaluations / f"{dialog}.txt").write_text("\n".join(lines), encoding="utf-8")
