"""ESC-50: fifty environmental sounds, 2000 clips of five seconds, five official folds, 44.1 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._esc import CATEGORIES, CITATION, FAULTS, esc_rows
from earnest.corpora._info import CorpusInfo, Download, corpus_table, write_tone
from earnest.table import Table

INFO = CorpusInfo(
    name="esc50",
    title="ESC-50: Dataset for Environmental Sound Classification",
    licence="CC BY-NC 3.0",
    citation=CITATION,
    home="https://github.com/karolpiczak/ESC-50",
    downloads=(Download("https://github.com/karolpiczak/ESC-50/archive/master.zip", None, None, "zip"),),
    faults=FAULTS,
    protocol="official: cross-validation over the five folds in `fold`",
    layout="audio/FOLD-CLIP-TAKE-TARGET.wav, such as audio/1-100032-A-0.wav",
)


def build(root: Path) -> Table:
    """One row per clip, read from the file names (`meta/esc50.csv` says the same).

    Parameters
    ----------
    root : the folder of the corpus; the clips may lie anywhere below it.

    Raises
    ------
    DataError : the folder cannot be read or does not hold the corpus.
    """
    return corpus_table(INFO, root, *esc_rows(root, frozenset(CATEGORIES)))


def example(root: Path, rng: np.random.Generator) -> None:
    """Three categories, five folds, two clips of one recording each."""
    for target in (0, 10, 49):
        for fold in range(1, 6):
            source = rng.integers(10_000, 99_999)
            for take in "AB":
                write_tone(root / "audio" / f"{fold}-{source}-{take}-{target}.wav", rng)
