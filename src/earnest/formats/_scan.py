"""Find the recordings in a folder, in a stable order."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from earnest.audio import SUFFIXES
from earnest.errors import DataError
from earnest.lists import BadRow


def is_audio(path: str) -> bool:
    """Whether the file ending is one of a recording."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def scan(folder: Path) -> tuple[list[str], list[BadRow]]:
    """All files below a folder as relative paths with forward slashes, sorted; hidden files and folders are left out.

    Links to folders are not followed. Names that are not valid Unicode cannot be written into a table and are returned
    as bad rows.

    Raises
    ------
    DataError : the folder does not exist or cannot be read.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise DataError(f"{folder} {what}.", "Give the folder that holds the recordings.")
    found, bad_rows = [], []
    for place, folders, files in os.walk(folder, onerror=_cannot_read):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        inside = Path(place).relative_to(folder).as_posix()
        for name in files:
            if name.startswith("."):
                continue
            path = name if inside == "." else f"{inside}/{name}"
            if _is_unicode(path):
                found.append(path)
            elif is_audio(path):
                readable = os.fsencode(path).decode("utf-8", "replace")
                bad_rows.append(BadRow(readable, "the file name is not valid Unicode; rename the file"))
    return sorted(found), bad_rows


def scan_audio(folder: Path) -> tuple[list[str], list[BadRow]]:
    """The recordings among the files that `scan` finds.

    Raises
    ------
    DataError : the folder does not exist, cannot be read, or holds no recording.
    """
    files, bad_rows = scan(folder)
    audio = [path for path in files if is_audio(path)]
    if not audio and not bad_rows:
        seen = f"{len(files)} other files, for example {files[0]}" if files else "no files at all"
        raise DataError(f"{folder} holds no recordings ({seen}).", f"Known file endings: {' '.join(sorted(SUFFIXES))}.")
    return audio, bad_rows


def _is_unicode(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cannot_read(error: OSError) -> None:
    raise DataError(
        f"the folder {error.filename} cannot be read: {error.strerror}.", "Change its permissions, or move it out."
    ) from error
