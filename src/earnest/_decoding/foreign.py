"""PyAV, from the extra [video]: MP4, WMA, WebM and other containers that libsndfile does not know."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from earnest._decoding import headers
from earnest._decoding.chatter import STDERR, squeeze
from earnest._decoding.gather import CONVERT, REPLACE, Decoded, Gather, Header
from earnest.errors import AudioError

_TOLERANCE_S = 0.05  # encoder delay and padding, which containers state differently
_ASF_TOLERANCE_S = 0.2  # WMA: ffmpeg leaves the last blocks undecoded
_COUNTED_TOLERANCE_S = 0.01
_SEEK_FROM_S = 10.0
_PREROLL_S = 1.0


class AvReader:
    """Reads the first audio stream of MP4, WMA, WebM and kin with PyAV.

    Raises
    ------
    AudioError : PyAV is missing, there is no audio stream, or nothing can be decoded.
    """

    def __init__(self, shown: str, file: BinaryIO, signature: headers.Signature) -> None:
        self._shown = shown
        self._file = file
        self._demuxer = signature.demuxer
        self._packets = 0
        self._tolerance_s = _ASF_TOLERANCE_S if signature.demuxer == "asf" else _TOLERANCE_S
        self._av = av = _import_av(shown, signature.name)
        self._errors = (av.error.FFmpegError, ValueError, OSError)
        file.seek(0)
        lines: list[str] = []
        try:
            with STDERR.captured(lines):
                self._container = av.open(_Source(file), format=signature.demuxer, metadata_errors="ignore")
        except self._errors as problem:
            raise AudioError(shown, f"ffmpeg cannot open it: {_said(problem, lines)}", CONVERT) from problem
        streams = self._container.streams.audio
        if not streams:
            self._container.close()
            raise AudioError(shown, f"there is no sound in this {signature.name} file", "Leave it out.")
        self._stream = stream = streams[0]
        if stream.codec_context is None:
            self._container.close()
            raise AudioError(shown, f"ffmpeg has no decoder for the sound in this {signature.name} file", CONVERT)
        rate = int(stream.codec_context.sample_rate or 0)
        self.header = Header(
            signature.name,
            str(stream.codec_context.name).upper(),
            rate,
            int(stream.codec_context.channels or 0),
            round(self._stated_s() * rate),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def read(self, start: int, stop: int | None, mono: bool) -> Decoded:
        """Decode frames start … stop (None: to the end)."""
        gather = Gather(self._shown, self.header.channels, mono)
        end = 2**62 if stop is None else stop
        rate, reached, trouble = self.header.sample_rate, 0, ""
        lines: list[str] = []
        try:
            with STDERR.captured(lines):
                for at, block in self._blocks(start):
                    gather.add(block[max(0, start - at) : max(0, end - at)])
                    reached = at + len(block)
                    if reached >= end:
                        break
        except self._errors as problem:
            trouble = _said(problem, lines)
        if trouble and not gather.frames:
            raise AudioError(self._shown, f"ffmpeg cannot decode it: {trouble}", REPLACE)
        remarks = []
        if trouble:
            remarks.append(f"truncated: the decoder stopped after {reached / rate:.2f} s: {trouble}")
        elif (stop is None or reached < stop) and self._is_short(reached / rate):
            promise = f"the header promises {self._stated_s():.2f} s"
            remarks.append(f"truncated: {promise}, {reached / rate:.2f} s could be decoded")
        elif stop is None and self._demuxer == "ogg" and (damage := headers.ogg_damage(self._file, start == 0)):
            remarks.append(f"{damage}; {reached / rate:.2f} s could be decoded")
        return Decoded(gather.result(), tuple(remarks), gather.bad_samples)

    def _is_short(self, reached_s: float) -> bool:
        """Whether the end came before the promised one; packets missing from an MP4's table settle a close case."""
        missing = 0 < self._packets < int(self._stream.frames)
        return reached_s < self._stated_s() - (_COUNTED_TOLERANCE_S if missing else self._tolerance_s)

    def _blocks(self, start: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first frame, block (frames, channels)) in order; indexed containers are entered just before a late piece."""
        rate, stream = self.header.sample_rate, self._stream
        base, origin = stream.time_base, stream.start_time or 0
        sought = start > _SEEK_FROM_S * rate and self._demuxer in ("mov", "matroska") and base is not None
        if sought:
            target = origin + round((start / rate - _PREROLL_S) / base)
            self._container.seek(target, stream=stream, backward=True)
        at, indexed = 0, self._demuxer == "mov" and not sought
        for frame in self._frames(indexed):
            if sought and frame.pts is not None:
                at, sought = round((frame.pts - origin) * base * rate), False
            if frame.sample_rate != rate or len(frame.layout.channels) != self.header.channels:
                raise AudioError(self._shown, "the sample rate or the channels change inside the file", CONVERT)
            block = _av_block(frame)
            yield at, block
            at += len(block)

    def _frames(self, count_packets: bool) -> Iterator[Any]:
        """The decoded frames; `count_packets` where the container states how many there must be."""
        for packet in self._container.demux(self._stream):
            self._packets += count_packets and packet.size > 0
            yield from packet.decode()

    def _stated_s(self) -> float:
        """Duration by the container, in seconds; 0.0 where it does not say."""
        stream = self._stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return max(0.0, float(self._container.duration or 0) / float(self._av.time_base))


class _Source:
    """A file as PyAV wants it. A seek to nowhere, which damaged files ask for, is answered and not raised: PyAV would
    print a traceback.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell = file.read, file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def _av_block(frame: Any) -> np.ndarray:
    """An av.AudioFrame as (frames, channels) int16 or float32, full scale at 1.0."""
    block: np.ndarray = frame.to_ndarray()
    block = block.T if frame.format.is_planar else block.reshape(-1, len(frame.layout.channels))
    if block.dtype == np.uint8:
        return (block.astype(np.float32) - 128.0) / 128.0
    if block.dtype.kind == "i" and block.dtype != np.int16:
        scaled: np.ndarray = np.multiply(block, 2.0 ** (1 - 8 * block.dtype.itemsize), dtype=np.float64)
        return scaled.astype(np.float32)
    if block.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return block.astype(np.float32)
    return block


def _import_av(shown: str, name: str) -> ModuleType:
    try:
        import av
        import av.error
    except ImportError as problem:
        raise AudioError(
            shown,
            f"{name} is read with the package 'av', which is not installed",
            "Install it with: pip install 'earnest[video]' (or convert the file to WAV or FLAC)",
        ) from problem
    return av


def _said(problem: BaseException, lines: list[str]) -> str:
    text = str(getattr(problem, "strerror", None) or problem) or type(problem).__name__
    return f"{text} ({squeeze(lines)})" if lines else text
