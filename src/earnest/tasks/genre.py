"""Musical genre: classification whose clips belong together by artist.

Tracks of one artist, and more so of one album, share voices, instruments and production. A genre classifier that has
met them in training recognises these and is praised for genre: A. Flexer and D. Schnitzer, "Album and Artist Effects
for Audio Similarity at the Scale of the Web", Proc. SMC 2009; E. Pampalk, A. Flexer and G. Widmer, "Improvements of
Audio-Based Music Similarity and Genre Classification", Proc. ISMIR 2005. So the artist is the group wherever a table
names it, beside speaker and source; where it does not, the result says so, and repeats the faults that the corpus
knows of itself.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from earnest.tasks import classification

if TYPE_CHECKING:
    from earnest.table import Table

NO_ARTISTS = (
    "The table names no artists, so tracks of one artist may stand in training and test: unless official parts keep "
    "them apart, the score holds for more music of the same artists, and is too high for music of others."
)


def notes(table: Table) -> list[str]:
    """What is wrong with the data, as far as it is known."""
    faults = [f"{str(fault).rstrip('.')}." for fault in table.info.get("faults") or ()]
    return faults if table.has("artist") else [NO_ARTISTS, *faults]


TASK = dataclasses.replace(
    classification.TASK, name="genre", target="genre", also=("label",), groups=("artist",), notes=notes
)
