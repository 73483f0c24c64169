"""Recordings as a browser can play them: the file itself where it can, else a 16-bit WAV made by a worker process.

Copies lie in the studio's temporary folder, the newest few of them, and go when the studio ends.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest import audio
from earnest.errors import AudioError
from earnest.studio import worker
from earnest.studio.limits import Limits

KEPT = 24  # copies
PLAYABLE = {"FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg"}
PLAYABLE_WAV = ("PCM_16", "PCM_U8", "PCM_24", "FLOAT")


@dataclass(frozen=True)
class Sound:
    """A recording, or a piece of one, in seconds from its beginning."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is all of its file."""
        return not self.start_s and self.end_s is None


def facts(sound: Sound) -> dict[str, Any]:
    """Duration, sample rate and channels by the file's header.

    Raises
    ------
    AudioError : it cannot be read.
    """
    info = audio.probe(sound.path)
    start, whole = sound.start_s or 0.0, info.duration_s
    if not whole:
        from earnest.reporting.envelopes import envelope

        whole = envelope(sound.path).duration_s
    end = whole if sound.end_s is None else min(sound.end_s, whole)
    return {"duration_s": max(0.0, end - start), "sample_rate": info.sample_rate, "channels": info.channels}


def media_type(path: Path) -> str | None:
    """The type that a browser plays a file as, told by its content; None: it needs a copy."""
    info = audio.probe(path)
    if info.format == "WAV":
        return "audio/wav" if info.subtype in PLAYABLE_WAV else None
    return PLAYABLE.get(info.format)


class Sounds:
    """Files that can be played, by recording.

    Parameters
    ----------
    folder : where copies go.
    limits : of the worker that makes them.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self._lock = threading.Lock()

    def playable(self, sound: Sound) -> tuple[Path, str]:
        """A file that a browser plays, and its media type.

        Raises
        ------
        AudioError : the recording cannot be read.
        """
        known = media_type(sound.path) if sound.whole else None
        return (sound.path, known) if known else (self.copy(sound), "audio/wav")

    def drawn(self, sound: Sound) -> Path:
        """The file whose outline and spectrogram are those of the recording or the piece."""
        return sound.path if sound.whole else self.copy(sound)

    def copy(self, sound: Sound) -> Path:
        """A 16-bit WAV of the recording or the piece, made now or before."""
        place = self.folder / f"{_key(sound)}.wav"
        with self._lock:
            if not place.is_file():
                self.folder.mkdir(exist_ok=True)
                worker.ask(
                    {"do": "copy", "path": str(sound.path), "start_s": sound.start_s, "end_s": sound.end_s}
                    | {"out": str(place)},
                    self.limits,
                )
                self._forget()
        return place

    def _forget(self) -> None:
        files = sorted(self.folder.glob("*.wav"), key=lambda path: path.stat().st_mtime)
        for path in files[:-KEPT]:
            path.unlink(missing_ok=True)


def _key(sound: Sound) -> str:
    try:
        stat = sound.path.stat()
    except OSError as problem:
        raise AudioError(audio.shown(sound.path), "there is no such file", "Check where it went.") from problem
    said = f"{sound.path}\0{stat.st_mtime_ns}\0{stat.st_size}\0{sound.start_s}\0{sound.end_s}"
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:32]
