"""DAIC-WOZ: interviews of 189 people with a virtual interviewer, with their depression scores; the person's turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone
from earnest.corpora._layout import Folder, Row, number
from earnest.errors import DataError
from earnest.lists import BadRow
from earnest.table import Table

SPLITS = {
    "train_split_Depression_AVEC2017.csv": "train",
    "dev_split_Depression_AVEC2017.csv": "validation",
    "full_test_split.csv": "test",
}
SHIFTS_S = {"318": 34.319917, "321": 3.8379167, "341": 6.1892, "362": 16.8582}  # the transcript runs ahead by so much
INTERRUPTIONS_S = {"373": (395.0, 428.0), "444": (286.0, 387.0)}  # other people come in and speak
_SYNC = frozenset(("<sync>", "<synch>", "[sync]", "[synch]", "[syncing]", "[synching]"))

INFO = CorpusInfo(
    name="daic_woz",
    title="DAIC-WOZ: Distress Analysis Interview Corpus, Wizard of Oz",
    licence="for research, by agreement with the University of Southern California",
    citation=(
        "J. Gratch et al., The Distress Analysis Interview Corpus of human and computer interviews, LREC 2014; parts "
        "as in F. Ringeval et al., AVEC 2017, doi:10.1145/3133944.3133953"
    ),
    home="https://dcapswoz.ict.usc.edu",
    faults=(
        "the interviewer's questions depend on the answers, so that models which hear or read her can score without "
        "the person (S. Burdisso et al., 2024, arXiv:2404.14463): only the person's turns are in the table",
        "the transcripts of 318, 321, 341 and 362 run ahead of the sound by 3.8 to 34.3 s; they are shifted here by "
        "what A. Bailey and M. D. Plumbley measured (Gender bias in depression detection using audio features, 2021)",
        "373 and 444 are interrupted by other people; turns in that time are kept out",
        "451, 458 and 480 have no transcript of the interviewer, so their turns may contain her voice",
        "409 has a score of 10 and is labelled 0 all the same; the label is kept as published",
        "sessions 342, 394, 398 and 460 were withdrawn",
    ),
    protocol="official (AVEC 2017): 107 people for training, 35 for validation, 47 for testing, in `split`, per person",
    task="depression",
    layout=f"300_P/300_AUDIO.wav, 300_P/300_TRANSCRIPT.csv and so on, and {', '.join(SPLITS)}",
    request="Ask for it at https://dcapswoz.ict.usc.edu.",
)


def build(root: Path) -> Table:
    """One row per turn of the person interviewed, as a piece (start_s to end_s) of the session's recording.

    label is depressed or control (PHQ8_Binary), phq8 the score (0 to 24), text the transcript. The part of the test
    with labels, full_test_split.csv, is read, not test_split_Depression_AVEC2017.csv, which has none.

    Parameters
    ----------
    root : the folder of the corpus.

    Raises
    ------
    DataError : the folder, a list or a transcript cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    people, bad_rows = _people(folder)
    found, unfit = folder.matches("SESSION_AUDIO (300_AUDIO)", r"(?P<session>\d{3})_AUDIO")
    bad_rows += unfit
    transcripts = {
        file.rpartition("/")[2].upper(): file for file in folder.files if file.upper().endswith("_TRANSCRIPT.CSV")
    }
    rows: list[Row] = []
    for clip in found:
        session = clip["session"]
        transcript = transcripts.get(f"{session}_TRANSCRIPT.CSV")
        if session not in people or transcript is None:
            reason = "no list of the three parts labels it" if transcript else f"there is no {session}_TRANSCRIPT.csv"
            bad_rows.append(BadRow(clip.file, reason))
            continue
        turns, bad = _turns(folder.root / transcript, session)
        bad_rows += bad
        rows += [
            {"audio": clip.file, "speaker": session, "source": session, **people[session], **turn} for turn in turns
        ]
    bad_rows += [
        BadRow(session, "a list labels it, but there is no recording")
        for session in people.keys() - {clip["session"] for clip in found}
    ]
    return corpus_table(INFO, root, rows, bad_rows)


def _people(folder: Folder) -> tuple[dict[str, Row], list[BadRow]]:
    """Session → label, score and part; in the test list the columns are called PHQ_, in the others PHQ8_."""
    people, bad_rows = {}, []
    for name, part in SPLITS.items():
        listed, bad = folder.read(folder.need(name), ())
        bad_rows += bad
        for row in listed:
            given = {column.lower().replace("phq8", "phq"): cell for column, cell in row.items()}
            session, binary = given.get("participant_id"), given.get("phq_binary")
            if not session or binary not in ("0", "1"):
                bad_rows.append(BadRow(f"{name}: {session}", f"PHQ8_Binary is {binary!r}, not 0 or 1"))
                continue
            label = "depressed" if binary == "1" else "control"
            people[session] = {"label": label, "phq8": number(given.get("phq_score")), "split": part}
    return people, bad_rows


def _turns(place: Path, session: str) -> tuple[list[Row], list[BadRow]]:
    """The person's turns in a transcript: lines of start, stop, speaker and text between tabs, times in seconds."""
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place} cannot be read: {error}.", "Unpack the session anew.") from error
    shift = SHIFTS_S.get(session, 0.0)
    away, back = INTERRUPTIONS_S.get(session, (0.0, 0.0))
    turns, bad_rows = [], []
    for row, line in enumerate(lines[1:], start=2):
        start_cell, stop_cell, speaker, text = [*line.split("\t", 3), "", "", "", ""][:4]
        if speaker != "Participant" or text.strip().lower() in _SYNC:
            continue
        start_s, end_s = number(start_cell), number(stop_cell)
        if start_s is None or end_s is None:
            bad_rows.append(BadRow(f"{place.name} line {row}", f"{start_cell!r} to {stop_cell!r} are no times"))
        elif start_s < back and end_s > away:
            bad_rows.append(BadRow(f"{place.name} line {row}", "other people speak at this time"))
        else:
            turn = {
                "id": f"{session}_{row:04d}",
                "start_s": start_s + shift,
                "end_s": end_s + shift,
                "text": text.strip(),
            }
            turns.append(turn)
    return turns, bad_rows


def example(root: Path, rng: np.random.Generator) -> None:
    """Six people, three turns each between the interviewer's, in the three parts."""
    lists = {name: ["Participant_ID,PHQ8_Binary,PHQ8_Score,Gender"] for name in SPLITS}
    lists["full_test_split.csv"] = ["Participant_ID,PHQ_Binary,PHQ_Score,Gender"]
    parts = ["train", "train", "validation", "validation", "test", "test"]
    names = {part: name for name, part in SPLITS.items()}
    for person, part in enumerate(parts):
        session, depressed = 300 + person, person % 2
        write_tone(root / f"{session}_P" / f"{session}_AUDIO.wav", rng, seconds=2.0)
        lines = ["start_time\tstop_time\tspeaker\tvalue"]
        for turn in range(3):
            start = 0.6 * turn
            lines.append(f"{start:.3f}\t{start + 0.2:.3f}\tEllie\thow are you doing today")
            lines.append(f'{start + 0.25:.3f}\t{start + 0.55:.3f}\tParticipant\ti\'m okay "i guess"')
        (root / f"{session}_P" / f"{session}_TRANSCRIPT.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        lists[names[part]].append(f"{session},{depressed},{15 if depressed else 3},{person % 2}")
    for name, rows in lists.items():
        (root / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
