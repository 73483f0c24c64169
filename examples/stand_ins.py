"""Real recordings in the layouts of corpora that only their owners hand out, so that their recipes can be seen to run.

python examples/stand_ins.py FOLDER       makes FOLDER/urbansound8k and FOLDER/modma

What is scored on them says nothing about the corpora whose layout they have:

- `urbansound8k` holds the 400 clips of ESC-10, their first four seconds, each official fold dealt into two by the
  recording that a clip was cut from; salience is made up.
- `modma` holds four recordings of each of RAVDESS's 24 actors. The label (MDD, HC) is the actor's sex, so that there is
  something to learn.

Needs EARNEST_DATA with esc10 and ravdess in it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from pathlib import Path

from earnest import audio
from earnest.corpora import open_table

RECORDINGS = 4


def main() -> None:
    """Make both trees."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    folder = options.parse_args().folder
    print(f"{urbansound8k(folder / 'urbansound8k')} clips in {folder / 'urbansound8k'}")
    print(f"{modma(folder / 'modma')} people in {folder / 'modma'}")


def urbansound8k(root: Path, sample_rate: int = 22_050) -> int:
    """ESC-10 as audio/fold1 … fold10 and metadata/UrbanSound8K.csv; the number of clips."""
    clips = open_table("esc10").frame
    labels = sorted(clips["label"].unique())
    rows = []
    for clip in clips.iter_rows(named=True):
        source, code = clip["source"], labels.index(clip["label"])
        half = int(hashlib.md5(str(source).encode()).hexdigest(), 16) % 2  # both clips of a recording go one way
        fold = 2 * (int(clip["fold"]) - 1) + half + 1
        name = f"{source}-{code}-0-{clip['id'].replace('-', '')}0.wav"
        place = root / "audio" / f"fold{fold}"
        place.mkdir(parents=True, exist_ok=True)
        audio.write(place / name, audio.load(clip["audio"], sample_rate).samples[: 4 * sample_rate], sample_rate)
        rows.append([name, source, 0, 4, 1 + half, fold, code, clip["label"]])
    header = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    write_csv(root / "metadata" / "UrbanSound8K.csv", header, rows)
    return len(rows)


def modma(root: Path, sample_rate: int = 16_000) -> int:
    """RAVDESS as SUBJECT/NN.wav and the list of subjects; the number of people."""
    clips = open_table("ravdess").frame.sort("id")
    people = []
    for number, speaker in enumerate(sorted(clips["speaker"].unique()), start=1):
        own = [row for row in clips.iter_rows(named=True) if row["speaker"] == speaker]
        subject = f"0201{number:04d}"
        (root / subject).mkdir(parents=True, exist_ok=True)
        for take, row in enumerate(own[:RECORDINGS], start=1):
            audio.write(root / subject / f"{take:02d}.wav", audio.load(row["audio"], sample_rate).samples, sample_rate)
        sex = {"female": "F", "male": "M"}[own[0]["gender"]]
        people.append([subject, "MDD" if sex == "F" else "HC", 30, sex, 12, 10])
    header = ["subject id", "type", "age", "gender", "education（years）", "PHQ-9"]
    write_csv(root / "subjects_information_audio_lanzhou_2015.csv", header, people)
    return len(people)


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    """A table with one header line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
