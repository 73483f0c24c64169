"""Unpack zip and tar.gz archives of other people's making without letting them write anywhere else.

The whole archive is refused for any entry that is not a plain file or folder inside it, for two entries of one name,
for too many entries, and for growing beyond a hundred times its size. Rights, owners and dates in it are ignored.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from earnest.errors import DataError
from earnest.fetch._download import Progress
from earnest.files import storage_error

MOST_ENTRIES = 1_000_000
MOST_GROWTH = 100  # unpacked size over archive size; audio stays below 10
_ROOM_FOR_SMALL = 1 << 20  # bytes that any archive may unpack to
_BLOCK_BYTES = 1 << 20
_EVERY = 500  # files between two reports of progress

# What zipfile and tarfile raise for damaged, encrypted or unknown contents; gzip's own error is an OSError.
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class _Guard:
    """Counts what has been unpacked and checks every name."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.allowed = max(archive.stat().st_size * MOST_GROWTH, _ROOM_FOR_SMALL)
        self.bytes = 0
        self.files: set[str] = set()

    def path(self, name: str, kind: str | None) -> PurePosixPath:
        """The relative path of an entry; `kind` names what it is when it is neither file nor folder."""
        if kind is not None:
            raise self.refusal(f"the entry {name!r} is {kind}")
        parts = [part for part in name.split("/") if part != "."]
        while parts and not parts[-1]:
            parts.pop()
        if any(part in ("", "..") or any(sign in part for sign in "\\:\0") for part in parts):
            raise self.refusal(f"the entry {name!r} lies outside of it or has an impossible name")
        return PurePosixPath(*parts)

    def new_file(self, path: PurePosixPath) -> None:
        """Count a file, which must have a name of its own (also where upper and lower case are one)."""
        name = str(path).casefold()
        if name in self.files or not path.parts:
            raise self.refusal(f"the file {str(path)!r} stands in it twice")
        self.files.add(name)
        if len(self.files) > MOST_ENTRIES:
            raise self.refusal(f"it holds more than {MOST_ENTRIES:,} files")

    def grow(self, count: int) -> None:
        """Count unpacked bytes."""
        self.bytes += count
        if self.bytes > self.allowed:
            raise self.refusal(f"it unpacks to more than {MOST_GROWTH} times its size")

    def refusal(self, reason: str) -> DataError:
        """The error for an archive that is not to be trusted."""
        return DataError(
            f"{self.archive.name} is refused: {reason}.", "Do not unpack it by hand; tell its maintainers."
        )


def extract(archive: Path, folder: Path, kind: Literal["zip", "tar.gz"], *, progress: Progress | None = None) -> None:
    """Unpack an archive into an existing, empty folder of its own; on an error the folder is to be thrown away.

    Raises
    ------
    DataError : the archive is damaged or refused (see the top of this module).
    StorageError : the disk is full or the folder cannot be written.
    """
    guard = _Guard(archive)
    entries = _zip_entries(archive, guard) if kind == "zip" else _tar_entries(archive, guard)
    done = 0
    try:
        for path, total, content in entries:
            _write(folder / path, content, guard)
            done += 1
            if progress and (done % _EVERY == 0 or done == total):
                progress("unpacking", done, total)
    except _DAMAGED as error:
        raise DataError(f"{archive.name} is damaged: {error or type(error).__name__}.", "Fetch it again.") from error
    except OSError as error:
        if error.errno is None:  # gzip.BadGzipFile carries no number
            raise DataError(f"{archive.name} is damaged: {error}.", "Fetch it again.") from error
        raise storage_error(folder, error) from error


def _zip_entries(archive: Path, guard: _Guard) -> Iterator[tuple[PurePosixPath, int | None, IO[bytes]]]:
    """Path, number of files and content of each file of a zip; all entries are checked before the first is given."""
    with zipfile.ZipFile(archive) as opened:
        files = []
        for entry in opened.infolist():
            path = guard.path(entry.filename, _zip_kind(entry))
            if not entry.is_dir():
                guard.new_file(path)
                files.append((path, entry))
        if sum(entry.file_size for _, entry in files) > guard.allowed:
            raise guard.refusal(f"it unpacks to more than {MOST_GROWTH} times its size")
        for path, entry in files:
            with opened.open(entry) as content:
                yield path, len(files), content


def _zip_kind(entry: zipfile.ZipInfo) -> str | None:
    """What an entry is, when it is neither a plain file nor a folder."""
    if entry.flag_bits & 0x1:
        return "encrypted"
    form = stat.S_IFMT(entry.external_attr >> 16)
    return None if form in (0, stat.S_IFREG, stat.S_IFDIR) else "a link or a device"


def _tar_entries(archive: Path, guard: _Guard) -> Iterator[tuple[PurePosixPath, int | None, IO[bytes]]]:
    """Path and content of each file of a tar.gz, in the order of the archive."""
    with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
        for entry in opened:
            plain = entry.isreg() and not entry.issparse()
            path = guard.path(entry.name, None if plain or entry.isdir() else "a link or a device")
            if entry.isdir():
                continue
            guard.new_file(path)
            content = opened.extractfile(entry)
            if content is not None:
                yield path, None, content
        # tarfile takes a damaged header for the end and does not read gzip's checksum: only zeros may follow.
        while block := stream.read(_BLOCK_BYTES):
            guard.grow(len(block))
            if any(block):
                raise tarfile.ReadError("data after the end of the archive, or a damaged header")


def _write(place: Path, content: IO[bytes], guard: _Guard) -> None:
    """Write one file that must be new."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        while block := content.read(_BLOCK_BYTES):
            guard.grow(len(block))
            file.write(block)
