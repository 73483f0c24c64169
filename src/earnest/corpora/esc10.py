"""ESC-10: ten environmental sounds, 400 clips of five seconds, five official folds, 44.1 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._esc import CITATION, ESC10_FOLDERS, FAULTS, esc_rows
from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.table import Table

_COMMIT = "553c8f1743b9dba6b282e1323c3ca8fa76923448"  # the last one with audio; the repository now points to ESC-50

INFO = CorpusInfo(
    name="esc10",
    title="ESC-10: Dataset for Environmental Sound Classification",
    licence="CC BY 3.0 (clips: CC0, CC BY and CC Sampling+)",
    citation=CITATION,
    home="https://github.com/karolpiczak/ESC-10",
    downloads=(Download(f"https://github.com/karolpiczak/ESC-10/archive/{_COMMIT}.zip", None, None, "zip"),),
    faults=(*FAULTS, "the clips of the ESC-10 repository are Ogg Vorbis, six of them not 5 s long (3.6 to 7.2 s)"),
    protocol="official: cross-validation over the five folds in `fold`",
    layout="001 - Dog bark/FOLD-CLIP-TAKE.ogg, or ESC-50's audio/FOLD-CLIP-TAKE-TARGET.wav",
)


def build(root: Path) -> Table:
    """One row per clip; also reads ESC-10 out of a copy of ESC-50.

    Parameters
    ----------
    root : the folder of ESC-10 or ESC-50.

    Raises
    ------
    DataError : the folder cannot be read or holds neither.
    """
    return corpus_table(INFO, root, *esc_rows(root, frozenset(ESC10_FOLDERS.values())))


def example(root: Path, rng: np.random.Generator) -> None:
    """Two categories, five folds, two clips each."""
    for folder in list(ESC10_FOLDERS)[:2]:
        for fold in range(1, 6):
            for take in "AB":
                write_tone(root / folder / f"{fold}-{rng.integers(10_000, 99_999)}-{take}.wav", rng)
