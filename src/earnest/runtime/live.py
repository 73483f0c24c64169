"""Audio that arrives by itself: who delivers it, and many streams through one model.

    microphone, pipe, recordings ─► pieces (stream, samples, lost before) ─ Listener ─► events of each stream

A piece that comes too late to be taken is dropped by its source and counted; the stream goes on with silence in its
place, so that times stay right. Nothing here grows with the length of a stream.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import soxr

from earnest.errors import AudioError, MissingExtra
from earnest.runtime.streamer import Event, Streamer

CHUNK_S = 0.1
WAITING_S = 5.0  # of microphone audio that may wait for the model
SILENT_S = 3.0  # without audio from the microphone: it is gone


@dataclass(frozen=True)
class Piece:
    """A piece of one stream.

    Attributes
    ----------
    stream : its name.
    samples : (samples,) float32 at the bundle's rate.
    lost : samples at the bundle's rate that were lost before it.
    last : whether the stream ends with it.
    """

    stream: str
    samples: npt.NDArray[np.float32]
    lost: int = 0
    last: bool = False


@dataclass
class Listener:
    """One model listening to any number of streams.

    Parameters
    ----------
    streamer : a streamer on the bundle; every stream gets one beside it, with its own memory and the same model.
    on_event : called with the stream's name and the event, as soon as it is known.

    Attributes
    ----------
    lost_s : seconds of audio that were lost, by stream.

    Examples
    --------
    >>> listener = Listener(Streamer("bundle"), lambda stream, event: print(stream, event.label))  # doctest: +SKIP
    >>> listener.listen(microphone(16_000))  # doctest: +SKIP
    """

    streamer: Streamer
    on_event: Callable[[str, Event], None]
    lost_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._streams: dict[str, Streamer] = {}

    def listen(self, pieces: Iterable[Piece]) -> None:
        """Take pieces of any streams in any order until there are no more; streams left open are ended."""
        for piece in pieces:
            self.take(piece)
        for stream in list(self._streams):
            self.end(stream)

    def take(self, piece: Piece) -> None:
        """Take one piece."""
        streamer = self._streams.get(piece.stream)
        if streamer is None:
            streamer = self._streams[piece.stream] = self.streamer.another()
        if piece.lost:
            self.lost_s[piece.stream] = self.lost_s.get(piece.stream, 0.0) + piece.lost / streamer.bundle.sample_rate
            self._tell(piece.stream, streamer.skip(piece.lost))
        self._tell(piece.stream, streamer.feed(piece.samples))
        if piece.last:
            self.end(piece.stream)

    def end(self, stream: str) -> None:
        """End a stream and forget it; nothing happens where there is none of that name."""
        streamer = self._streams.pop(stream, None)
        if streamer is not None:
            self._tell(stream, streamer.flush())

    def _tell(self, stream: str, events: Sequence[Event]) -> None:
        for event in events:
            self.on_event(stream, event)


def recordings(streams: Sequence[tuple[str, npt.NDArray[np.float32]]], sample_rate: int) -> Iterator[Piece]:
    """Recordings (name, samples) as if they were heard at the same time, a tenth of a second of each in turn."""
    size = max(1, round(CHUNK_S * sample_rate))
    for start in range(0, max((len(samples) for _, samples in streams), default=0), size):
        for name, samples in streams:
            if start < len(samples):
                yield Piece(name, samples[start : start + size], last=start + size >= len(samples))


def pipe(source: IO[bytes], sample_rate: int, rate: int, channels: int = 1) -> Iterator[Piece]:
    """Raw signed 16-bit little-endian audio, every channel a stream of its own, resampled on the way.

    Parameters
    ----------
    source : read until its end; bytes that fill no whole sample at the end are left out.
    sample_rate, rate : Hz of the bundle, and of what comes in.
    channels : how many are interleaved; streams are called `channel 1` and so on, a single one `stdin`.
    """
    names = ["stdin"] if channels == 1 else [f"channel {number + 1}" for number in range(channels)]
    resampler = soxr.ResampleStream(rate, sample_rate, channels, dtype="float32", quality="HQ")
    frame = 2 * channels
    wanted, held = frame * max(1, round(CHUNK_S * rate)), b""
    while data := source.read(wanted - len(held)):
        data = held + data
        whole = len(data) // frame * frame
        held = data[whole:]
        samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float32) / np.float32(32768)
        samples = samples.reshape(-1, channels)
        if rate != sample_rate:
            samples = np.asarray(resampler.resample_chunk(samples), dtype=np.float32)
        yield from (Piece(name, samples[:, column]) for column, name in enumerate(names))
    rest = np.zeros((0, channels), dtype=np.float32)
    if rate != sample_rate:
        rest = np.asarray(resampler.resample_chunk(rest, last=True), dtype=np.float32)
    yield from (Piece(name, rest[:, column], last=True) for column, name in enumerate(names))


def microphone(sample_rate: int) -> Iterator[Piece]:
    """The default microphone, mono, without end. Audio that the model is too slow for is dropped and counted.

    Raises
    ------
    MissingExtra : sounddevice is not installed.
    AudioError : there is no microphone, or it stops delivering.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtra("sounddevice", "mic", "Listening to the microphone") from error
    except OSError as error:
        raise AudioError("microphone", str(error), "Install the system library PortAudio, or use --wav.") from error
    size = max(1, round(CHUNK_S * sample_rate))
    heard: queue.Queue[Piece] = queue.Queue(maxsize=max(1, round(WAITING_S / CHUNK_S)))
    lost = 0

    def receive(block: npt.NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        """Called by PortAudio in a thread of its own, which must not wait."""
        nonlocal lost
        if status.input_overflow:
            lost += size  # PortAudio says that, not how much
        try:
            heard.put_nowait(Piece("microphone", block[:, 0].copy(), lost))
            lost = 0
        except queue.Full:
            lost += frames

    try:
        with sounddevice.InputStream(
            samplerate=sample_rate, channels=1, dtype="float32", blocksize=size, callback=receive
        ):
            while True:
                yield heard.get(timeout=SILENT_S)
    except queue.Empty:
        raise AudioError(
            "microphone", f"delivered nothing for {SILENT_S:g} s.", "Is it still connected? Or use --wav or --stdin."
        ) from None
    except sounddevice.PortAudioError as error:
        raise AudioError("microphone", str(error), "Connect a microphone, or use --wav FILE or --stdin.") from error
