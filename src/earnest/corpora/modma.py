"""MODMA: recordings of patients with depression and of healthy controls, in Mandarin (audio only)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, corpus_table, write_tone, wrong_layout
from earnest.corpora._layout import Folder, Row, number
from earnest.corpora._xlsx import read_xlsx, write_xlsx
from earnest.lists import BadRow
from earnest.table import Table

LABELS = ("HC", "MDD")  # healthy control, major depressive disorder

INFO = CorpusInfo(
    name="modma",
    title="MODMA: Multi-modal Open Dataset for Mental-disorder Analysis (audio)",
    licence="for research, by agreement with Lanzhou University",
    citation=(
        "H. Cai et al., A multi-modal open dataset for mental-disorder analysis, Scientific Data 9: 178, 2022, "
        "doi:10.1038/s41597-022-01211-x"
    ),
    home="https://modma.lzu.edu.cn/data/index/",
    faults=(
        "52 people (23 MDD, 29 HC), each with up to 29 recordings: the people are the sample, so scores are per person "
        "and their interval is wide",
        "published scores of 90 to 99 % are of random segments: every person is on both sides",
        "a model may learn age, gender or schooling where the two groups differ in them: see those columns",
    ),
    protocol="none official; unseen people: group-k-fold by speaker, scored per person",
    task="depression",
    layout=(
        "SUBJECT/NUMBER.wav, such as 02010002/01.wav, and subjects_information_audio_lanzhou_2015.xlsx (or .csv) with "
        "the columns subject id and type"
    ),
    request="Ask for it at https://modma.lzu.edu.cn/data/index/.",
)


def build(root: Path) -> Table:
    """One row per recording: label HC or MDD, take (1 to 29), gender, age, education_years and phq9 of the person.

    Parameters
    ----------
    root : the folder of the corpus.

    Raises
    ------
    DataError : the folder or the sheet cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    people, bad_rows = _people(folder)
    found, unfit = folder.matches("SUBJECT/NUMBER (02010002/01)", r"(?P<subject>0?\d{7})/0?(?P<take>\d{1,2})")
    bad_rows += unfit
    rows = []
    for clip in found:
        subject = clip["subject"].zfill(8)
        if subject not in people:
            bad_rows.append(BadRow(clip.file, f"the sheet does not tell whether {subject} is HC or MDD"))
            continue
        row = {"id": f"{subject}/{clip['take'].zfill(2)}", "audio": clip.file, "speaker": subject, "take": clip["take"]}
        rows.append(row | people[subject])
    silent = people.keys() - {row["speaker"] for row in rows}
    bad_rows += [
        BadRow(subject, "the sheet names this person, but there are no recordings") for subject in sorted(silent)
    ]
    return corpus_table(INFO, root, rows, bad_rows)


def _people(folder: Folder) -> tuple[dict[str, Row], list[BadRow]]:
    """Subject, eight digits → what the sheet says; a spreadsheet drops the leading zero of the number."""
    sheets = [file for file in folder.files if re.search(r"(^|/)subjects_information\w*\.(xlsx|csv)$", file, re.I)]
    if not sheets:
        folder.need("subjects_information_audio_lanzhou_2015.xlsx")
    place = folder.root / min(sheets, key=lambda file: ("audio" not in file, file.count("/"), file))
    listed: list[Row] = list(read_xlsx(place)) if place.suffix.lower() == ".xlsx" else folder.read(place, ())[0]
    listed = [{(name or "").strip().lower(): cell for name, cell in row.items()} for row in listed]
    if not listed or not {"subject id", "type"} <= listed[0].keys():
        columns = ", ".join(listed[0]) if listed else "none"
        raise wrong_layout(
            folder.info, folder.root, f"{place.name} without subject id and type (its columns: {columns})"
        )
    people, bad_rows = {}, []
    for row in listed:
        subject, label = number(row["subject id"]), (row["type"] or "").upper()
        if subject is None or label not in LABELS:
            bad_rows.append(BadRow(f"{place.name}: {row['subject id']}", f"type is {row['type']!r}, not HC or MDD"))
            continue
        people[f"{int(subject):08d}"] = {
            "label": label,
            "gender": {"M": "male", "F": "female"}.get((row.get("gender") or "").upper()),
            "age": number(row.get("age")),
            "education_years": number(row.get("education（years）") or row.get("education(years)")),
            "phq9": number(row.get("phq-9")),
        }
    return people, bad_rows


def example(root: Path, rng: np.random.Generator) -> None:
    """Three patients and three controls, four recordings each, and the sheet."""
    sheet: list[list[str | int]] = [["subject id", "type", "age", "gender", "education（years）", "PHQ-9"]]
    for person in range(6):
        label = LABELS[person % 2]
        subject = (2_010_001 if label == "MDD" else 2_020_001) + person
        sheet.append([subject, label, 20 + 5 * person, "MF"[person // 3], 12 + person % 4, 18 if label == "MDD" else 2])
        for take in range(1, 5):
            write_tone(root / f"{subject:08d}" / f"{take:02d}.wav", rng)
    write_xlsx(root / "subjects_information_audio_lanzhou_2015.xlsx", sheet)
