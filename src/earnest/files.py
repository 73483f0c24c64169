"""Files written whole or not at all, and their SHA-256.

Whatever Earnest writes goes first into a temporary file in the same folder, is forced to the disk, and takes the place
of the old file in one step. A process killed at any moment, or a full disk, therefore leaves the old file as it was.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pickle
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from earnest.errors import StorageError

T = TypeVar("T")

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], *, needed_bytes: int | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, which becomes `path` when the block ends without an error.

    The temporary file keeps the suffix of `path`, so that libraries which choose a format by suffix choose rightly.

    Parameters
    ----------
    path : where the finished file shall lie; missing folders are made.
    needed_bytes : size of what will be written, where known; only for the message when the disk is full.

    Raises
    ------
    StorageError : the disk is full, or the place cannot be written; the old file is untouched.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_file_beside(target)
        yield temporary
        _force_to_disk(temporary)
        temporary.replace(target)
        temporary = None
        _force_to_disk(target.parent)
    except OSError as problem:
        needed = needed_bytes if needed_bytes is not None else _size_of(temporary)
        raise storage_error(target, problem, needed) from problem
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises
    ------
    StorageError : the disk is full, or the place cannot be written; the old file is untouched.
    """
    with atomic_path(path, needed_bytes=memoryview(data).nbytes) as temporary:
        temporary.write_bytes(data)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with the line ends it has, whole or not at all.

    Raises
    ------
    StorageError : the disk is full, or the place cannot be written; the old file is untouched.
    """
    atomic_write_bytes(path, text.encode("utf-8"))


def kept(place: Path | None, make: Callable[[], T]) -> T:
    """What `make` gives: read from `place` if it has been made before, else made and written there (None: nowhere).

    Only for files of this process's own making, such as a run's cache: what lies there is unpickled.

    Raises
    ------
    StorageError : the disk is full, or the place cannot be written.
    """
    if place is None:
        return make()
    if place.is_file():
        value: T = pickle.loads(place.read_bytes())
        return value
    value = make()
    atomic_write_bytes(place, pickle.dumps(value))
    return value


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits; the file is read in blocks."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """The user's cache folder for Earnest: XDG_CACHE_HOME on Linux, the system's own place on macOS and Windows."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "earnest"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "earnest"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "earnest" / "Cache"
    return Path.home() / ".cache" / "earnest"


def storage_error(path: Path, problem: OSError, needed_bytes: int | None = None) -> StorageError:
    """The `StorageError` for an `OSError` met while writing; on a full disk it gives needed and free bytes."""
    if problem.errno not in _FULL:
        return StorageError(
            f"Cannot write {path}: {problem.strerror or problem}.",
            "Choose a place you may write to, or change its permissions.",
        )
    needed = f"{needed_bytes:,} bytes are needed" if needed_bytes else "more room is needed"
    free = _free_bytes(path.parent)
    left = f", {free:,} bytes are free" if free is not None else ""
    return StorageError(
        f"Cannot write {path}: the disk is full ({needed}{left}).",
        "Free some room or write to another disk; what was there before is unchanged.",
    )


def _new_file_beside(target: Path) -> Path:
    """An empty hidden file of its own in the target's folder, with the permissions of any new file."""
    path = target.with_name(f".writing-{os.getpid()}-{secrets.token_hex(6)}{target.suffix}")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return path


def _force_to_disk(path: Path) -> None:
    """fsync a file, or on POSIX a folder (so that a rename survives a power cut)."""
    if path.is_dir():
        if os.name != "posix":
            return
        flags = os.O_RDONLY
    else:
        flags = os.O_RDWR
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size_of(path: Path | None) -> int | None:
    try:
        return path.stat().st_size if path is not None else None
    except OSError:
        return None


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
