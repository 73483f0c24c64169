"""What both decoders share: the header, the limits, and the collecting of decoded blocks."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from earnest.errors import AudioError

MAX_SAMPLES = 2**29  # frames × channels of one piece: 2 GiB as float32, 1.5 h of 48 kHz stereo
MAX_MAGNITUDE = 2.0**32  # beyond it a float sample is no sound level; integers stored as floats stay below

CONVERT = "Convert it to WAV or FLAC, for example with: ffmpeg -i FILE -acodec pcm_s16le OUT.wav"
REPLACE = "Fetch or export the file again; if that is not possible, leave it out."
SHORTEN = "Cut it into shorter files, or read pieces of it with start_s and end_s."


@dataclass(frozen=True)
class Header:
    """What a file says about itself. `frames` is 0 when it leaves its length open."""

    format: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int


@dataclass(frozen=True)
class Decoded:
    """Float32 samples, (frames,) or (channels, frames), what was wrong, and how many samples were not finite."""

    samples: np.ndarray
    remarks: tuple[str, ...]
    bad_samples: int


class Reader(Protocol):
    """An open audio file."""

    header: Header

    def read(self, start: int, stop: int | None, mono: bool) -> Decoded:
        """Decode frames start … stop (None: to the end)."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Gather:
    """Collects decoded blocks as float32, mixed to mono where asked, with what is not a number set to zero."""

    def __init__(self, shown: str, channels: int, mono: bool) -> None:
        self._shown, self._channels, self._mono = shown, channels, mono
        self._pieces: list[np.ndarray] = []
        self.frames = 0
        self.bad_samples = 0

    def add(self, block: np.ndarray) -> None:
        """Take a block (frames, channels) of int16 or float32."""
        self.frames += len(block)
        if self.frames * self._channels > MAX_SAMPLES:
            raise too_long(self._shown, self.frames * self._channels)
        if not len(block):
            return
        full_scale = np.float32(32768 if block.dtype == np.int16 else 1)
        if block.dtype != np.int16:
            self.bad_samples += _silence_what_is_no_number(block)
        if not self._mono or self._channels == 1:
            mixed = np.divide(block.T, full_scale, dtype=np.float32, order="C")
            mixed = mixed[0] if self._mono else mixed
        else:
            mixed = block[:, 0].astype(np.float32)
            for channel in range(1, self._channels):
                mixed += block[:, channel]
            mixed /= full_scale * np.float32(self._channels)
        self._pieces.append(mixed)

    def result(self) -> np.ndarray:
        """(frames,) or (channels, frames)."""
        if not self._pieces:
            return np.zeros((0,) if self._mono else (self._channels, 0), np.float32)
        return self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces, axis=-1)


def _silence_what_is_no_number(block: np.ndarray) -> int:
    """Set NaN, infinite and absurdly large samples to zero, in place; how many there were."""
    with np.errstate(invalid="ignore"):
        if block.max() <= MAX_MAGNITUDE and block.min() >= -MAX_MAGNITUDE:
            return 0
        bad = ~(np.abs(block) <= MAX_MAGNITUDE)
    block[bad] = 0.0
    return int(np.count_nonzero(bad))


def too_long(shown: str, samples: int) -> AudioError:
    """The error for a piece beyond `MAX_SAMPLES`."""
    return AudioError(shown, f"it holds {samples:,} samples over all channels, more than {MAX_SAMPLES:,}", SHORTEN)
