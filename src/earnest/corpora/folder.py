"""Anyone's own folder of recordings: labelled by a path pattern, by a list, or by the folders themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest.corpora._info import CorpusInfo, write_tone
from earnest.formats import audiofolder
from earnest.formats import pattern as path_pattern
from earnest.table import Table

INFO = CorpusInfo(
    name="folder",
    title="Your own recordings",
    licence="as you say",
    citation="none",
    home="a folder of yours",
    protocol="choose a split by speaker or source; without either, scores cannot be called honest",
)


def build(root: Path) -> Table:
    """The table of a folder without a pattern."""
    return build_folder(root)


def build_folder(path: Path, pattern: str | None = None) -> Table:
    """The table of a folder: by `pattern` if there is one, else by its metadata file, else by its label folders.

    Raises
    ------
    DataError : the folder cannot be read, holds no recordings, or nothing says what their labels are.
    """
    return path_pattern.read(path, pattern) if pattern else audiofolder.read(path)


def example(root: Path, rng: np.random.Generator) -> None:
    """Two labels, three speakers, two takes each, in one folder per label."""
    for label in ("no", "yes"):
        for speaker in ("ann", "bob", "cem"):
            for take in range(2):
                write_tone(root / label / f"{speaker}_{take}.wav", rng)
