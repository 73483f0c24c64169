"""AudioFolder: folders named after labels, or a metadata file beside the recordings.

    folder/metadata.csv   with a column file_name (or audio, file, path) and any further columns; or
    folder/LABEL/…/clip.wav, or folder/{train,validation,test}/LABEL/…/clip.wav

Folders that all recordings share are skipped, so `data/wavs/LABEL/clip.wav` works from `data` on.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import polars as pl

from earnest.errors import DataError
from earnest.files import atomic_path
from earnest.formats._scan import scan_audio
from earnest.lists import BadRow
from earnest.table import SUFFIXES, Table

METADATA_NAMES = ("metadata", "table", "clips", "labels")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}


def metadata_file(folder: Path) -> Path | None:
    """The list that lies in a folder of recordings, if there is one."""
    places = (folder / f"{name}{suffix}" for name in METADATA_NAMES for suffix in SUFFIXES)
    return next((place for place in places if place.is_file()), None)


def read(path: str | Path) -> Table:
    """The recordings below a folder, labelled by their list or by the folders they lie in.

    Raises
    ------
    DataError : the folder cannot be read, holds no recording, or no folder gives labels.
    """
    folder = Path(path)
    listed = metadata_file(folder)
    if listed:
        table = Table.read(listed).without_missing_audio()
        return Table(table.frame, folder.absolute().name, table.bad_rows, table.info)
    files, bad_rows = scan_audio(folder)
    parents = [PurePosixPath(file).parent.parts for file in files]
    shared = _shared_depth(parents)
    has_splits = all(parts[shared : shared + 1] and parts[shared].lower() in SPLIT_NAMES for parts in parents)
    label_at = shared + 1 if has_splits else shared
    only_label = not has_splits and all(len(parts) == shared for parts in parents)  # one folder, one label
    rows = []
    for file, parts in zip(files, parents, strict=True):
        label = parts[label_at] if len(parts) > label_at else parts[-1] if only_label and parts else None
        if label is None:
            bad_rows.append(BadRow(file, "lies in no folder that gives its label"))
            continue
        row = {"id": file, "audio": file, "label": label}
        rows.append({**row, "split": SPLIT_NAMES[parts[shared].lower()]} if has_splits else row)
    if not rows:
        first = repr(files[0]) if files else bad_rows[0].row
        raise DataError(
            f"nothing says which label the recordings in {folder} have; the first one is {first}.",
            "Put them into one folder per label, add a metadata.csv, or give pattern={label}_{take}.wav or the like.",
        )
    return Table.from_frame(pl.DataFrame(rows), folder.absolute().name, root=folder, bad_rows=bad_rows)


def write(table: Table, path: str | Path) -> None:
    """Write a folder with `metadata.csv` that names the recordings where they lie; no audio is copied.

    Raises
    ------
    StorageError : the disk is full or the place cannot be written.
    """
    with atomic_path(Path(path) / "metadata.csv") as place:
        table.write(place)


def _shared_depth(parents: list[tuple[str, ...]]) -> int:
    """How many leading folders all recordings share."""
    first, last = min(parents, default=()), max(parents, default=())
    return next(
        (depth for depth, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(last)),
    )
