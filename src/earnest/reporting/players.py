"""Short clips for the report: read, made small, and written into the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from earnest import audio
from earnest.errors import AudioError
from earnest.reporting.svg import peaks

HIGHEST_RATE_HZ = 16_000
LONGEST_S = 10.0
PLAIN_S = 2.0  # up to here 16-bit WAV, which every browser plays; longer clips as OGG/Vorbis, a sixth of the size
COLUMNS = 80
_BLOCK_SAMPLES = 16_384  # libsndfile's Vorbis encoder takes long blocks on its stack


@dataclass(frozen=True)
class Player:
    """A clip ready for an `<audio>` element, or the reason why there is none.

    Attributes
    ----------
    source : a `data:` address; None where the clip could not be read.
    levels : the clip's outline, relative peaks.
    seconds : how long it plays.
    note : what the listener should know (cut short, file missing).
    """

    source: str | None
    levels: tuple[float, ...] = ()
    seconds: float = 0.0
    note: str | None = None


def player_of(row: Mapping[str, Any] | None, longest_s: float = LONGEST_S) -> Player:
    """The clip of a row of the clip table (`audio`, `start_s`, `end_s`), its beginning, read and made small."""
    if row is None or not row.get("audio"):
        return Player(None, note="The table of this run does not say where the recording lies.")
    start, end = row.get("start_s"), row.get("end_s")
    try:
        rate = min(HIGHEST_RATE_HZ, audio.probe(str(row["audio"])).sample_rate)
        recording = audio.load(str(row["audio"]), rate, start_s=start, end_s=end)
    except AudioError as problem:
        return Player(None, note=f"The recording cannot be played: {problem.reason}")
    samples = np.asarray(recording.samples, dtype=np.float32)
    if samples.size == 0:
        return Player(None, note="The recording is empty.")
    cut = samples.size > longest_s * rate
    samples = samples[: int(longest_s * rate)]
    note = f"The first {longest_s:.0f} seconds." if cut else None
    return Player(encode(samples, rate), tuple(peaks(samples, COLUMNS)), len(samples) / rate, note)


def encode(samples: NDArray[np.float32], sample_rate: int) -> str:
    """A `data:` address of a clip of shape (samples,): 16-bit WAV when short, OGG/Vorbis when long.

    Clips whose peak lies above full scale are turned down to it; the others keep their level.
    """
    loudest = float(np.abs(samples).max(initial=0.0))
    scaled = samples / loudest if loudest > 1 else samples
    short = len(samples) <= PLAIN_S * sample_rate
    kind = ("WAV", "PCM_16", "audio/wav") if short else ("OGG", "VORBIS", "audio/ogg")
    memory = io.BytesIO()
    with soundfile.SoundFile(memory, "w", sample_rate, 1, kind[1], format=kind[0]) as file:
        for start in range(0, len(scaled), _BLOCK_SAMPLES):
            file.write(scaled[start : start + _BLOCK_SAMPLES])
    return f"data:{kind[2]};base64,{base64.b64encode(memory.getvalue()).decode('ascii')}"
