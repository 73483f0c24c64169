"""Download a public corpus: resumed where it stopped, checked by SHA-256, unpacked safely, put in place in one step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from earnest import corpora
from earnest.corpora import CorpusInfo, Download
from earnest.errors import DataError
from earnest.fetch._archive import extract
from earnest.fetch._download import Progress, download
from earnest.files import atomic_write_text, sha256_file, storage_error

__all__ = ["Fetched", "Progress", "SeenFile", "download", "extract", "fetch", "fetch_into"]


@dataclass(frozen=True)
class SeenFile:
    """One downloaded file: its address, the SHA-256 and size it had, and whether that hash was known before."""

    url: str
    sha256: str
    bytes: int
    known: bool


@dataclass(frozen=True)
class Fetched:
    """Where a corpus lies; `files` is empty when it was there already."""

    name: str
    root: Path
    files: tuple[SeenFile, ...]
    already_there: bool

    def as_dict(self) -> dict[str, object]:
        """Everything as plain values."""
        return {**asdict(self), "root": str(self.root)}


def fetch(name: str, *, data: Path | None = None, progress: Progress | None = None) -> Fetched:
    """Download a corpus to where `earnest.open_table` looks for it.

    Parameters
    ----------
    name : the corpus.
    data : put it into `data/NAME`; otherwise EARNEST_DATA/NAME where that is set, else the user's cache folder.
    progress : called as `progress(what, done, total)`, in bytes while downloading and in files while unpacking; the
        total is None where the server does not say it.

    Raises
    ------
    RecipeError : no corpus has this name.
    DataError : the corpus needs no download or must be requested from its authors, the server cannot be reached, or a
        file is not what it should be.
    StorageError : the disk is full or the place cannot be written.
    """
    info = corpora.info(name)
    if info.request:
        raise DataError(
            f"{info.title} cannot be downloaded by a program ({info.licence}).",
            f"{info.request} Then put it into {corpora.home_of(name, data)}, or name its folder with --data.",
        )
    if info.embedded or not info.downloads:
        what = "is made on the spot" if info.embedded else "is your own"
        raise DataError(f"{name} {what}: there is nothing to download.", f"Use it at once: corpus={name}")
    return fetch_into(info, corpora.home_of(name, data), progress)


def fetch_into(info: CorpusInfo, root: Path, progress: Progress | None = None) -> Fetched:
    """Download the files of a corpus and unpack them into the folder `root`, which appears when all is complete.

    The hashes seen are written to `NAME.source.json` beside that folder. Where no published hash is known, the one seen
    at the first download is held against every later one.

    Raises
    ------
    DataError, StorageError : see `fetch`.
    """
    if root.is_dir() and any(root.iterdir()):
        return Fetched(info.name, root, (), already_there=True)
    record = root.with_name(f"{root.name}.source.json")
    earlier = _hashes(record)
    waiting = root.with_name(f".{root.name}.download")
    place = root.with_name(f".{root.name}.unpack")
    report = progress or _silent
    try:
        waiting.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place, ignore_errors=True)  # left by a process that was killed
        place.mkdir()
    except OSError as error:
        raise storage_error(root, error) from error
    try:
        seen = [_fetch_one(wanted, earlier, waiting, place, report) for wanted in info.downloads]
        _write_record(record, info, seen)
        if root.is_dir():
            root.rmdir()  # empty, see above
        place.rename(root)
    except OSError as error:
        raise storage_error(root, error) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(waiting, ignore_errors=True)
    return Fetched(info.name, root, tuple(seen), already_there=False)


def _fetch_one(wanted: Download, earlier: Mapping[str, str], waiting: Path, place: Path, report: Progress) -> SeenFile:
    """Download, check and unpack one file."""
    name = Path(urlsplit(wanted.url).path).name or "download"
    file = waiting / name
    download(wanted.url, file, expected_bytes=wanted.bytes, progress=report)
    expected = wanted.sha256 or earlier.get(wanted.url)
    found, size = sha256_file(file), file.stat().st_size
    if expected is not None and found != expected:
        file.unlink()
        origin = "published" if wanted.sha256 else "seen at an earlier download"
        raise DataError(
            f"{wanted.url} is not the file it should be: its SHA-256 is {found}, {origin} is {expected}.",
            "Fetch again; if it stays so, the file on the server has changed: compare it with the corpus's home page.",
        )
    if wanted.kind == "file":
        shutil.copyfile(file, place / name)
    else:
        extract(file, place, wanted.kind, progress=report)
    return SeenFile(wanted.url, found, size, expected is not None)


def _hashes(record: Path) -> dict[str, str]:
    """Address → SHA-256 from an earlier download's record."""
    if not record.is_file():
        return {}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return {str(file["url"]): str(file["sha256"]) for file in found["files"]}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{record} is damaged ({error}).", "Remove it, then fetch again.") from error


def _write_record(record: Path, info: CorpusInfo, seen: list[SeenFile]) -> None:
    facts = {"name": info.name, "title": info.title, "licence": info.licence, "citation": info.citation}
    facts["home"] = info.home
    atomic_write_text(record, json.dumps({**facts, "files": [asdict(file) for file in seen]}, indent=2) + "\n")


def _silent(what: str, done: int, total: int | None) -> None:
    """No progress wanted."""
