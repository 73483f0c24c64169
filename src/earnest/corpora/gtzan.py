"""GTZAN: ten genres of music, 1,000 clips of thirty seconds; here without its known faults, in the filtered parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._gtzan_parts import filtered_parts
from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.corpora._layout import Folder
from earnest.lists import BadRow
from earnest.table import Table

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
DAMAGED = frozenset(("jazz.00054",))  # in the WAV edition

INFO = CorpusInfo(
    name="gtzan",
    title="GTZAN genre collection, fault-filtered",
    licence="none stated: excerpts of commercial recordings, circulated for research",
    citation="G. Tzanetakis and P. Cook, IEEE Transactions on Speech and Audio Processing 10(5): 293-302, 2002",
    home="https://huggingface.co/datasets/marsyas/gtzan",
    downloads=(
        Download("https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz", None, None, "tar.gz"),
    ),
    faults=(
        "repetitions, distortions and wrong genres (B. L. Sturm, The GTZAN dataset: its contents, its faults, 2013, "
        "arXiv:1306.1461); the 70 clips outside the fault-filtered parts are kept out",
        "artists are not named, so no split but the official one can keep them apart: a k-fold split has the same "
        "artist, often the same album, on both sides",
        "jazz.00054.wav of the WAV edition is damaged and kept out",
    ),
    protocol=(
        "official here: the fault-filtered parts of C. Kereliuk, B. L. Sturm and J. Larsen, Deep Learning and Music "
        "Adversaries, IEEE Transactions on Multimedia 17(11), 2015 (443 training, 197 validation, 290 test)"
    ),
    task="genre",
    layout="GENRE/GENRE.NUMBER.wav (or .au), such as genres/blues/blues.00000.wav",
)


def build(root: Path) -> Table:
    """One row per clip of the fault-filtered parts, which are in the column split; the other clips are bad rows.

    There is neither speaker nor source: who plays is not known.

    Parameters
    ----------
    root : the folder of the corpus; the genres' folders may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    found, bad_rows = Folder.open(INFO, root).matches(
        "GENRE.NUMBER (blues.00000)", rf"(?P<genre>{'|'.join(GENRES)})\.(?P<number>\d{{5}})"
    )
    parts = filtered_parts()
    rows = []
    for clip in found:
        if clip.stem not in parts:
            bad_rows.append(BadRow(clip.file, "repeated, distorted or mislabelled: not in the fault-filtered parts"))
        elif clip.stem in DAMAGED and clip.file.endswith(".wav"):
            bad_rows.append(BadRow(clip.file, "known to be damaged in the WAV edition"))
        else:
            rows.append({"id": clip.stem, "audio": clip.file, "label": clip["genre"], "split": parts[clip.stem]})
    return corpus_table(INFO, root, rows, bad_rows)


def example(root: Path, rng: np.random.Generator) -> None:
    """Two genres, two clips of each part, and a further four for training."""
    chosen: dict[tuple[str, str], list[str]] = {}
    for name, part in sorted(filtered_parts().items()):
        chosen.setdefault((name.partition(".")[0], part), []).append(name)
    for genre in ("blues", "rock"):
        for part, clips in (("train", 6), ("validation", 2), ("test", 2)):
            for name in chosen[genre, part][:clips]:
                write_tone(root / "genres" / genre / f"{name}.wav", rng)
