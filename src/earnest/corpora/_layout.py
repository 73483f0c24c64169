"""What the corpora's parsers share: the files of a folder, names that follow a scheme, lists of recordings."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from earnest import lists
from earnest.corpora._info import CorpusInfo, wrong_layout
from earnest.errors import DataError
from earnest.formats._scan import is_audio, scan
from earnest.lists import BadRow

Row = dict[str, Any]


@dataclass(frozen=True)
class Folder:
    """All files of a corpus folder, relative to it, in a stable order; names that are not Unicode are bad rows."""

    info: CorpusInfo
    root: Path
    files: tuple[str, ...]
    bad_rows: tuple[BadRow, ...]

    @classmethod
    def open(cls, info: CorpusInfo, root: Path) -> Folder:
        """Look through a folder; raises `DataError` when it does not exist or cannot be read."""
        files, bad_rows = scan(root)
        return cls(info, root, tuple(files), tuple(bad_rows))

    def audio(self, *, without: Collection[str] = ()) -> list[str]:
        """The recordings, without those that lie anywhere below a folder of one of these names."""
        return [file for file in self.files if is_audio(file) and not set(without) & set(file.split("/")[:-1])]

    def matches(self, scheme: str, pattern: str, *, without: Collection[str] = ()) -> tuple[list[Match], list[BadRow]]:
        """The recordings whose path ends, before its suffix, in `pattern`; the others are bad rows.

        Parameters
        ----------
        scheme : the pattern in words, for the reason of a bad row.
        pattern : regular expression for the end of the path without suffix, beginning at a file's or folder's name.
        without : names of folders to pass over.
        """
        expression = re.compile(rf"(?:.*/)?(?:{pattern})")
        found, bad_rows = [], list(self.bad_rows)
        for file in self.audio(without=without):
            match = expression.fullmatch(str(PurePosixPath(file).with_suffix("")))
            if match is None:
                bad_rows.append(BadRow(file, f"the name is not {scheme}"))
            else:
                found.append(Match(file, PurePosixPath(file).stem, match.groupdict()))
        return found, bad_rows

    def find(self, name: str) -> Path | None:
        """The file of this name (upper and lower case are one) with the shortest path, or None."""
        fits = [file for file in self.files if file.rpartition("/")[2].lower() == name.lower()]
        return self.root / min(fits, key=lambda file: (file.count("/"), file)) if fits else None

    def need(self, name: str) -> Path:
        """As `find`, but a missing file is an error that says what the folder should look like."""
        place = self.find(name)
        if place is None:
            recordings = self.audio()
            example = f", for example {recordings[0]}" if recordings else ""
            raise wrong_layout(
                self.info,
                self.root,
                f"no file {name} among {len(self.files)} files ({len(recordings)} recordings{example})",
            )
        return place

    def read(self, place: Path, columns: Collection[str]) -> tuple[list[Row], list[BadRow]]:
        """Rows of a CSV or TSV file that must have these columns; lines that cannot be read are bad rows."""
        try:
            rows, bad_rows = lists.read_csv(place)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"{place} cannot be read: {error}.", f"Get it anew: earnest fetch {self.info.name}"
            ) from error
        missing = [name for name in columns if rows and name not in rows[0]]
        if missing:
            raise wrong_layout(
                self.info, self.root, f"{place.name} without {', '.join(missing)} (its columns: {', '.join(rows[0])})"
            )
        return rows, [BadRow(f"{place.name} {bad.row}", bad.reason) for bad in bad_rows]

    def listed(self, entries: Mapping[str, Row], name: str) -> tuple[list[Row], list[BadRow]]:
        """Rows of a list joined with their recordings by file name.

        Parameters
        ----------
        entries : file name → row.
        name : what the list is called. Recordings that are not in it, and rows without a recording, are bad rows.
        """
        rows, bad_rows, seen = [], list(self.bad_rows), set()
        for file in self.audio():
            key = file.rpartition("/")[2]
            if key in entries:
                rows.append({"id": PurePosixPath(file).stem, "audio": file, **entries[key]})
                seen.add(key)
            else:
                bad_rows.append(BadRow(file, f"{name} does not list it"))
        bad_rows += [
            BadRow(key, f"{name} lists it, but there is no such recording") for key in entries if key not in seen
        ]
        return rows, bad_rows


@dataclass(frozen=True)
class Match:
    """A recording whose path fits a scheme: its relative path, its name without suffix, and the parts of the scheme."""

    file: str
    stem: str
    parts: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.parts[name]


def number(cell: str | None) -> float | None:
    """A cell as a number; None where it is empty or none."""
    try:
        return float(cell) if cell else None
    except ValueError:
        return None
