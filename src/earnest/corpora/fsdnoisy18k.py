"""FSDnoisy18k: twenty sound classes, 18,532 clips, most of them labelled by nobody but their uploader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.corpora._layout import Folder, Row
from earnest.lists import BadRow
from earnest.table import Table

_FILES = "https://zenodo.org/records/2529934/files"

INFO = CorpusInfo(
    name="fsdnoisy18k",
    title="FSDnoisy18k",
    licence="CC BY (clips: CC BY or CC0)",
    citation=(
        "E. Fonseca, M. Plakal, D. P. W. Ellis, F. Font, X. Favory and X. Serra, Learning Sound Event Classifiers from "
        "Web Audio with Noisy Labels, ICASSP 2019, arXiv:1901.01189"
    ),
    home="http://www.eduardofonseca.net/FSDnoisy18k/",
    downloads=tuple(
        Download(f"{_FILES}/FSDnoisy18k.{part}.zip", None, None, "zip")
        for part in ("audio_train", "audio_test", "meta")
    ),
    faults=(
        "90 % of the training clips carry the tags of their uploader, and about 60 % of those labels are wrong or "
        "incomplete: that is its purpose (columns manually_verified and noisy_small)",
        "its lists do not name the uploaders, so clips of one uploader may stand in training and test",
    ),
    protocol="official: train.csv for training, test.csv (all verified) for testing; validation out of training",
    layout=("FSDnoisy18k.meta/train.csv and test.csv, FSDnoisy18k.audio_train/*.wav and FSDnoisy18k.audio_test/*.wav"),
)


def build(root: Path) -> Table:
    """One row per clip; source is the clip's own number, since each is a whole upload.

    The columns manually_verified (a person checked the label) and noisy_small (an unverified part as long as the
    verified one) are booleans; both are as listed, test clips are verified.

    Parameters
    ----------
    root : the folder of the corpus.

    Raises
    ------
    DataError : the folder or its lists cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    entries: dict[str, Row] = {}
    unread: list[BadRow] = []
    for part in ("train", "test"):
        listed, bad = folder.read(folder.need(f"{part}.csv"), ("fname", "label"))
        unread += bad
        for row in listed:
            entries[row["fname"]] = {
                "source": str(row["fname"]).removesuffix(".wav"),
                "label": row["label"],
                "split": part,
                "manually_verified": part == "test" or row.get("manually_verified") == "1",
                "noisy_small": row.get("noisy_small") == "1",
            }
    rows, bad_rows = folder.listed(entries, "train.csv or test.csv")
    return corpus_table(INFO, root, rows, unread + bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Two classes, eight training and three test clips each."""
    (root / "FSDnoisy18k.meta").mkdir(parents=True)
    for part, clips in (("train", 8), ("test", 3)):
        lines = ["fname,label,aso_id,manually_verified,noisy_small"]
        for label in ("Rain", "Walk, footsteps"):
            for clip in range(clips):
                name = f"{rng.integers(1_000, 400_000)}.wav"
                write_tone(root / f"FSDnoisy18k.audio_{part}" / name, rng)
                verified = part == "test" or clip == 0
                lines.append(f'{name},"{label}",/m/06mb1,{int(verified)},{int(not verified and clip == 1)}')
        (root / "FSDnoisy18k.meta" / f"{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
