"""Recordings that are sent to be listened to: taken from the form they come in, and kept for a while to be played.

What comes in goes straight from the connection into one file of the studio's temporary folder, under a name of the
studio's own making, and that file is gone as soon as the recording is decoded, refused, or its sender has left. What
stays is the decoded copy, the newest few of them and none for longer than an hour.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from earnest.errors import DataError
from earnest.files import storage_error
from earnest.studio.folder import Unknown
from earnest.studio.guard import Refused
from earnest.studio.limits import Limits

FIELD = "audio"  # of the form
AT_ONCE = 6  # recordings that come in or wait for a worker; one more is refused
NAME = 100  # characters of a recording's own name that are shown again
HEADER_BYTES = 4096  # of the part of the form that is a recording
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}  # how the form is described to others


@dataclass(frozen=True)
class Upload:
    """A decoded recording that can be played.

    Attributes
    ----------
    id : what it is asked for by.
    path : its copy, a 16-bit WAV.
    """

    id: str
    path: Path


@dataclass
class Uploads:
    """The recordings that were sent last.

    Parameters
    ----------
    folder : where they lie; made when the first one comes.
    limits : how many stay, and for how long.
    """

    folder: Path
    limits: Limits
    _kept: OrderedDict[str, Upload] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _coming: int = 0

    @asynccontextmanager
    async def coming(self, request: Request) -> AsyncIterator[tuple[Path, str]]:
        """The recording in a request's form, as a file that is there inside the block, and its sender's name for it.

        Raises
        ------
        DataError : the form is damaged or holds no recording.
        StorageError : the disk is full.
        HTTPException : too many come in at once (503), it is too long (413) or takes too long (408).
        """
        if self._coming >= AT_ONCE:
            raise Refused(
                503, "Other recordings are being listened to.", "Send it again in a while.", **{"Retry-After": "5"}
            )
        self._coming += 1
        place = self.new_place(".part")
        try:
            name = await receive(request, place)
            yield place, name
        finally:
            self._coming -= 1
            place.unlink(missing_ok=True)

    def new_place(self, suffix: str) -> Path:
        """A path in the folder that nothing has; its name owes nothing to any sender."""
        self.folder.mkdir(exist_ok=True)
        return self.folder / f"{secrets.token_hex(16)}{suffix}"

    def keep(self, path: Path) -> Upload:
        """Keep a copy to be played; the oldest makes room for it."""
        upload = Upload(path.stem, path)
        with self._lock:
            self._kept[upload.id] = upload
            gone = [self._kept.popitem(last=False)[1] for _ in range(len(self._kept) - self.limits.kept_uploads)]
        for old in gone:
            old.path.unlink(missing_ok=True)
        later = threading.Timer(self.limits.kept_s, self.forget, [upload.id])
        later.daemon = True
        later.start()
        return upload

    def forget(self, id: str) -> None:
        """Remove a copy, if it is still there."""
        with self._lock:
            upload = self._kept.pop(id, None)
        if upload is not None:
            upload.path.unlink(missing_ok=True)

    def find(self, id: str) -> Upload:
        """The copy of that id.

        Raises
        ------
        Unknown : there never was one, or it is gone.
        """
        with self._lock:
            upload = self._kept.get(id)
        if upload is None:
            raise Unknown("This recording is no longer kept.", "Send it again.")
        return upload


async def receive(request: Request, place: Path) -> str:
    """Write the recording in a request's form to a file as it comes in; the answer is its sender's name for it.

    Raises
    ------
    DataError : the form is damaged or holds no recording.
    StorageError : the disk is full.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise _no_form("the request is no form with a file in it")
    try:
        with place.open("wb") as file:
            part = _Part(file)
            parser = MultipartParser(boundary, part.callbacks(), max_header_size=HEADER_BYTES)  # type: ignore[arg-type]
            async for chunk in request.stream():
                parser.write(chunk)
            parser.finalize()
    except FormParserError as problem:
        raise _no_form(f"the form is damaged ({problem})") from problem
    except ClientDisconnect as problem:
        raise _no_form("the sender left") from problem
    except OSError as problem:
        raise storage_error(place, problem) from problem
    if part.name is None or not part.ended:
        raise _no_form("the form holds no whole file")
    return part.name


class _Part:
    """What becomes of the parts of a form: the first file named `audio` is written, all else is passed over."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.name: str | None = None
        self.ended = self.taking = False
        self.header = b""
        self.headers: dict[str, bytes] = {}

    def callbacks(self) -> dict[str, Any]:
        """What the parser calls."""
        return {
            "on_part_begin": self.headers.clear,
            "on_header_field": self._field,
            "on_header_value": self._value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _field(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        name = self.header.decode("latin-1").lower()
        self.headers[name] = self.headers.get(name, b"") + data[start:end]

    def _header_end(self) -> None:
        self.header = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self.headers.get("content-disposition", b""))
        if self.name is None and options.get(b"name") == FIELD.encode() and b"filename" in options:
            self.name = shown(options[b"filename"])
            self.taking = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self.taking:
            self.file.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self.ended = self.ended or self.taking
        self.taking = False


def shown(name: bytes) -> str:
    """A sender's name for a recording as it may be shown: its last part, printable, not too long; never a path."""
    text = name.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return text[-NAME:] or "recording"


def _no_form(why: str) -> DataError:
    return DataError(
        f"No recording came: {why}.", f"Send it as the field {FIELD!r} of a form: curl -F {FIELD}=@recording.wav …"
    )
