"""What a running studio holds: its folder, its temporary files, its child processes."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from earnest.errors import DataError, EarnestError
from earnest.studio.children import Children, Jobs
from earnest.studio.folder import Folder, Source, Unknown
from earnest.studio.limits import Limits
from earnest.studio.sounds import Sound, Sounds
from earnest.studio.tables import Tables, row_of, write_plain_list
from earnest.studio.trainer import Trainer

if TYPE_CHECKING:
    import polars as pl

CORPORA_S = 3.0  # that a first list of tables waits for the corpora
LOOK_AGAIN_S = 2.0  # what lies in the folder is looked for this often at most


@dataclass
class Studio:
    """One studio over one folder.

    Parameters
    ----------
    root : the folder it shows.
    limits : bounds on what clients may send.
    data : folder of corpora, for the child processes (None: as the environment says).

    Raises
    ------
    DataError : there is no such folder.
    """

    root: Path
    limits: Limits = field(default_factory=Limits)
    data: Path | None = None

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise DataError(f"There is no folder {self.root}.", "Give a folder with recordings or runs, or make it.")
        self.root = self.root.resolve()
        self.folder = Folder(self.root)
        self.temporary = Path(tempfile.mkdtemp(prefix="earnest-studio-"))
        self.tables = Tables()
        self.sounds = Sounds(self.temporary / "copies", self.limits)
        self.children = Children(self.root, self.data, self.temporary / "children")
        self.trainer = Trainer(self.folder, self.children)
        self.jobs = Jobs(self.children)
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._corpora: list[Source] | None = None
        self._sources: list[Source] = []
        self._until = 0.0
        self._began = time.monotonic()
        self.corpora()

    def close(self) -> None:
        """End what was started and remove every temporary file."""
        self.trainer.close()
        self.children.close()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def sources(self) -> list[Source]:
        """What can be opened as a table: of this folder, and the corpora on this machine."""
        with self._lock:
            if time.monotonic() > self._until:
                self._sources = self.folder.sources()
                self._until = time.monotonic() + LOOK_AGAIN_S
            found = list(self._sources)
        until = self._began + CORPORA_S
        while self.corpora() is None and time.monotonic() < until:
            time.sleep(0.05)
        return found + (self.corpora() or [])

    def corpora(self) -> list[Source] | None:
        """The corpora on this machine, as a child process finds them; None until it has."""
        if self._corpora is None:
            try:
                found = self.jobs.result("corpora")
            except EarnestError:  # without the extra `lab` there are none
                found = {"corpora": []}
            if found is not None:
                known = [one for one in found["corpora"] if one["present"]]
                self._corpora = [Source(f"corpus:{one['name']}", one["title"], "corpus") for one in known]
        return self._corpora

    def source(self, id: str) -> Source:
        """The source of a table.

        Raises
        ------
        Unknown : there is no table of that id.
        """
        for source in self.sources():
            if source.id == id:
                return source
        raise Unknown(f"There is no table {id[:80]!r}.", "Reload the page to see what there is.")

    def frame(self, table: str) -> pl.DataFrame:
        """The rows of a table; those of a folder or a corpus are listed by a child process first.

        Raises
        ------
        Unknown : there is no such table.
        DataError : it cannot be read.
        """
        return self.tables.frame(self.listed(self.source(table)))

    def listed(self, source: Source) -> Path:
        """A list with the rows of a source."""
        if source.path is not None and source.kind in ("run", "file"):
            return source.path
        place = self.temporary / "lists" / f"{hashlib.sha256(source.id.encode()).hexdigest()[:16]}.parquet"
        with self._listing:
            if not place.is_file():
                spec = source.id.removeprefix("corpus:") if source.path is None else f"folder:{source.path}"
                try:
                    self.children.ask(["corpora", spec, "--write", str(place)])
                except EarnestError:
                    if source.path is None:
                        raise
                    write_plain_list(source.path, place)
        return place

    def sound(self, table: str, clip: str) -> Sound:
        """The recording of a clip, or its piece of one."""
        row = row_of(self.frame(table), clip)
        return Sound(Path(row["audio"]), row.get("start_s"), row.get("end_s"))
