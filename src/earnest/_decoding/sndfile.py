"""libsndfile: WAV, FLAC, Ogg, MP3, AIFF and kin, with what it does not say about cut-off files."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import soundfile

from earnest._decoding import headers
from earnest._decoding.chatter import STDERR, squeeze
from earnest._decoding.gather import CONVERT, MAX_SAMPLES, REPLACE, Decoded, Gather, Header, too_long
from earnest.errors import AudioError

_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST"})
_INT16_SUBTYPES = frozenset({"PCM_16", "PCM_S8", "PCM_U8"})
_BLOCK_SAMPLES = 2**22
_UNKNOWN_FRAMES = 2**62  # libsndfile's way to say that a FLAC header leaves the length open
_MPEG_FRAME_SAMPLES = 1152
_SAMPLES_PER_BYTE = 256  # a header that claims more than this is not believed before decoding
_CHATTER_ABOUT_TAGS = ("id3.c", "Xing stream size")


class SndfileReader:
    """Reads WAV, FLAC, Ogg, MP3, AIFF and kin with libsndfile.

    Raises
    ------
    AudioError : libsndfile cannot open or decode the file.
    """

    def __init__(self, path: Path, shown: str, file: BinaryIO, signature: headers.Signature) -> None:
        self._shown = shown
        self._kind = signature.kind
        self._bytes = file.seek(0, 2)
        self._extent = headers.extent(file, signature)
        self._damage = functools.partial(headers.ogg_damage, file) if self._kind == "ogg" else None
        self._promised = self._kind != "mp3" or headers.mp3_states_length(file, signature.start)
        self._noisy = self._kind == "mp3" or (self._extent is not None and self._extent.mpeg)
        lines: list[str] = []
        try:
            with self._chatter(lines):
                self._file = _Forward(self._source(path, file))
        except soundfile.LibsndfileError as problem:
            raise self._failure("libsndfile cannot open it", problem, lines, CONVERT) from problem
        frames = self._file.frames if self._file.frames < _UNKNOWN_FRAMES else 0
        self.header = Header(
            self._file.format, self._file.subtype, self._file.samplerate, self._file.channels, int(frames)
        )
        if self.header.format not in _FORMATS:
            self._file.close()
            raise AudioError(shown, f"the format {self.header.format} is not supported", CONVERT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, start: int, stop: int | None, mono: bool) -> Decoded:
        """Decode frames start … stop (None: to the end)."""
        known = self._file.frames
        end = known if stop is None else min(stop, known)
        self._check_size(end - start)
        gather = Gather(self._shown, self.header.channels, mono)
        dtype = np.int16 if self.header.subtype in _INT16_SUBTYPES else np.float32
        block = max(1, _BLOCK_SAMPLES // self.header.channels)
        lines: list[str] = []
        try:
            with self._chatter(lines):
                if start:
                    self._file.seek(start)
                while (wanted := min(block, end - start - gather.frames)) > 0:
                    piece = self._file.read(out=np.empty((wanted, self.header.channels), dtype))
                    gather.add(piece)
                    if len(piece) < wanted:
                        break
        except soundfile.LibsndfileError as problem:
            text = "the decoder failed, so the file is damaged or cut off"
            raise self._failure(text, problem, lines, REPLACE) from problem
        damage = [line for line in lines if not any(tag in line for tag in _CHATTER_ABOUT_TAGS)]
        remarks = self._shortfall(start, start + gather.frames, stop)
        if damage:
            remarks.append(f"the decoder met damaged data: {squeeze(damage)}")
        return Decoded(gather.result(), tuple(remarks), gather.bad_samples)

    def _shortfall(self, start: int, reached: int, stop: int | None) -> list[str]:
        """What the header promises beyond the last decoded frame, in words."""
        known, rate, extent = self._file.frames, max(1, self.header.sample_rate), self._extent
        if stop is not None and reached >= stop:
            return []
        if known >= _UNKNOWN_FRAMES or (extent is not None and extent.stated is None):
            return [f"the header does not state the length: {reached / rate:.2f} s could be decoded"]
        promised = known if self._promised else 0
        slack = _MPEG_FRAME_SAMPLES if extent is not None and extent.mpeg else 0
        if extent is not None and extent.stated is not None and extent.stated > extent.present > 0:
            promised = max(promised, round(known * extent.stated / extent.present))
        if promised - reached > slack:
            return [f"truncated: the header promises {promised / rate:.2f} s, {reached / rate:.2f} s could be decoded"]
        if self._damage is not None and (damage := self._damage(start == 0)):
            return [f"{damage}; {reached / rate:.2f} s could be decoded"]
        return []

    def _check_size(self, frames: int) -> None:
        """Refuse what is too long before decoding it, unless the claim is absurd for the size of the file."""
        samples = frames * self.header.channels
        if MAX_SAMPLES < samples <= self._bytes * _SAMPLES_PER_BYTE:
            raise too_long(self._shown, samples)

    def _source(self, path: Path, file: BinaryIO) -> Any:
        """What libsndfile shall open: the path, or a copy in memory with the missing size of its data filled in."""
        if self._extent is None or self._extent.size_at is None or self._bytes > MAX_SAMPLES:
            return os.fsencode(path) if os.name == "posix" else str(path)
        file.seek(0)
        data = bytearray(file.read())
        at = self._extent.size_at
        data[at : at + 4] = b"\xff\xff\xff\xff"
        return io.BytesIO(data)

    def _chatter(self, lines: list[str]) -> contextlib.AbstractContextManager[None]:
        """Only MPEG decoding writes to descriptor 2; the other formats are quiet and skip the detour."""
        return STDERR.captured(lines) if self._noisy else contextlib.nullcontext()

    def _failure(self, text: str, problem: soundfile.LibsndfileError, lines: list[str], remedy: str) -> AudioError:
        said = str(problem.error_string).strip().removeprefix("Error : ").rstrip(".")
        if self._noisy and "regular file" in said:
            said = "no MPEG audio was found in it"
        also = f" ({squeeze(lines)})" if lines else ""
        return AudioError(self._shown, f"{text}: {said}{also}", remedy)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A SoundFile that reads forward: soundfile would else seek after every read, which fails on odd FLAC files."""

    def seekable(self) -> bool:
        return False
