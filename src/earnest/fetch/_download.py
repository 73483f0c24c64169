"""One file over HTTP, resumed where an earlier attempt stopped (RFC 9110, sections 13.1.5 If-Range and 14 Range)."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from earnest.errors import DataError
from earnest.files import atomic_write_text, storage_error

_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 5
_AGENT = "earnest (+https://pypi.org/project/earnest/)"
_GIVE_UP = frozenset({400, 401, 403, 404, 405, 410, 451})


class Progress(Protocol):
    """Called with what is done, how much of it, and how much there is (None: unknown)."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Report progress."""


class _InterruptedError(Exception):
    """The connection ended before the file did."""


def download(
    url: str,
    path: Path,
    *,
    expected_bytes: int | None = None,
    progress: Progress | None = None,
    pause_s: float = 1.0,
) -> None:
    """Download a file to `path`, which appears when it is complete; what has come so far lies in `path.part`.

    A connection that breaks is taken up again, up to five times without progress, with growing pauses. An old part is
    only continued when the server still has the same file (its ETag or date of change).

    Parameters
    ----------
    url : http or https.
    path : where the file shall lie; if it is there already, nothing is done.
    expected_bytes : size, where known; a file that claims another or grows beyond it is refused.
    progress : called after every block with bytes done and in all.
    pause_s : pause before the second attempt, in seconds; each further one is twice as long.

    Raises
    ------
    DataError : the server cannot be reached, refuses, or sends another size than expected.
    StorageError : the disk is full or the place cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url} is not an http or https address.", "Check the address.")
    if path.is_file():
        return
    part = path.with_name(f"{path.name}.part")
    failures, furthest = 0, _size(part)
    while (reason := _attempt(url, part, expected_bytes, progress)) is not None:
        failures = 1 if _size(part) > furthest else failures + 1
        furthest = max(furthest, _size(part))
        if failures >= _ATTEMPTS:
            raise DataError(
                f"{url} cannot be downloaded: {reason}.",
                f"Check the connection and run the command again; {_size(part):,} bytes are kept.",
            )
        time.sleep(pause_s * 2 ** (failures - 1))
    try:
        part.rename(path)
    except OSError as error:
        raise storage_error(path, error) from error
    _facts(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, expected_bytes: int | None, progress: Progress | None) -> str | None:
    """One attempt: None when the file is complete, the reason when it is worth trying again."""
    try:
        _continue(url, part, expected_bytes, progress)
    except urllib.error.HTTPError as error:
        if error.code in _GIVE_UP:
            raise DataError(
                f"{url}: the server answers {error.code} {error.reason}.", "See the corpus's home page."
            ) from error
        return f"{error.code} {error.reason}"
    except (OSError, http.client.HTTPException, _InterruptedError) as error:  # files raise StorageError instead
        return str(getattr(error, "reason", None) or error or type(error).__name__)
    return None


def _continue(url: str, part: Path, expected_bytes: int | None, progress: Progress | None) -> None:
    """Ask for what is missing and append it to `part`."""
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})
    have, version = _size(part), _version(part, url)
    if have and version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is as long as the file, or longer: begin anew
            part.unlink(missing_ok=True)
        raise
    with answer:
        start, total = _place_of(answer, have)
        if expected_bytes is not None and total is not None and total != expected_bytes:
            raise DataError(f"{url} has {total:,} bytes, expected {expected_bytes:,}.", "See the corpus's home page.")
        done = _append(answer, part, start, url, total if total is not None else expected_bytes, progress)
    if total is not None and done < total:
        raise _InterruptedError(f"the connection ended after {done:,} of {total:,} bytes")
    if expected_bytes is not None and done != expected_bytes:
        raise DataError(f"{url} has {done:,} bytes, expected {expected_bytes:,}.", "See the corpus's home page.")


def _append(answer: Any, part: Path, start: int, url: str, total: int | None, progress: Progress | None) -> int:
    """Write an answer's body behind the first `start` bytes of `part`; returns the size reached."""
    done = start
    try:
        if start == 0:
            facts = {"url": url, "version": answer.headers.get("ETag") or answer.headers.get("Last-Modified")}
            atomic_write_text(_facts(part), json.dumps(facts))
        file = part.open("ab" if start else "wb")
    except OSError as error:
        raise storage_error(part, error) from error
    with file:
        while block := answer.read(_BLOCK_BYTES):
            done += len(block)
            if total is not None and done > total:
                raise DataError(f"{url} sends more than the {total:,} bytes it should have.", "Try again later.")
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise storage_error(part, error, total) from error
            if progress:
                progress(part.name.removesuffix(".part"), done, total)
    return done


def _place_of(answer: Any, have: int) -> tuple[int, int | None]:
    """Where the body of an answer begins in the file, and the file's whole size where the server says it."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise _InterruptedError("the server sent another part than the one asked for")
        return have, None if found[2] == "*" else int(found[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _version(part: Path, url: str) -> str | None:
    """The ETag or date of the file that `part` was begun from; None when it cannot be continued safely."""
    try:
        facts = json.loads(_facts(part).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None  # no usable note of what the part is: the file is downloaded from its beginning
    version = facts.get("version") if isinstance(facts, dict) and facts.get("url") == url else None
    return version if isinstance(version, str) and not version.startswith("W/") else None


def _facts(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
