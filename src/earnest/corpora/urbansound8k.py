"""UrbanSound8K: ten urban sounds, 8,732 clips of at most four seconds, ten official folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.corpora._layout import Folder
from earnest.table import Table

SALIENCE = {"1": "foreground", "2": "background"}
_COLUMNS = ("slice_file_name", "fsID", "salience", "fold", "class")

INFO = CorpusInfo(
    name="urbansound8k",
    title="UrbanSound8K",
    licence="CC BY-NC 3.0 (clips: as their authors on freesound.org say, see FREESOUNDCREDITS.txt)",
    citation=(
        "J. Salamon, C. Jacoby and J. P. Bello, A Dataset and Taxonomy for Urban Sound Research, ACM Multimedia 2014, "
        "doi:10.1145/2647868.2655045"
    ),
    home="https://urbansounddataset.weebly.com/urbansound8k.html",
    downloads=(Download("https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz", None, None, "tar.gz"),),
    faults=(
        "several clips are cut from one recording: with the folds reshuffled they stand on both sides, and 98 % has "
        "been published where the official folds give 84 %",
        "sampling rates, bit depths and channels are those of the uploads and differ from clip to clip",
        "car_horn (429 clips) and gun_shot (374) have fewer clips than the other classes (929 to 1,000)",
    ),
    protocol="official: cross-validation over the ten folds in `fold`, never reshuffled, a new model for each",
    layout="metadata/UrbanSound8K.csv and audio/fold1 … audio/fold10",
)


def build(root: Path) -> Table:
    """One row per clip; source is the recording on freesound.org, salience is foreground or background.

    Parameters
    ----------
    root : the folder of the corpus, or the one above it.

    Raises
    ------
    DataError : the folder or its list cannot be read, or it does not hold the corpus.
    """
    folder = Folder.open(INFO, root)
    listed, unread = folder.read(folder.need("UrbanSound8K.csv"), _COLUMNS)
    entries = {
        row["slice_file_name"]: {
            "source": row["fsID"],
            "label": row["class"],
            "fold": row["fold"],
            "salience": SALIENCE.get(row["salience"] or ""),
        }
        for row in listed
    }
    rows, bad_rows = folder.listed(entries, "UrbanSound8K.csv")
    return corpus_table(INFO, root, rows, unread + bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Two classes, ten folds, two slices of each of two recordings."""
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for fold in range(1, 11):
        for code, label in ((1, "car_horn"), (3, "dog_bark")):
            recording = int(rng.integers(1_000, 300_000))
            for cut in range(2):
                name = f"{recording}-{code}-0-{cut}.wav"
                write_tone(root / "audio" / f"fold{fold}" / name, rng)
                lines.append(f"{name},{recording},{cut * 2}.0,{cut * 2 + 4}.0,{cut + 1},{fold},{code},{label}")
    (root / "metadata").mkdir()
    (root / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
