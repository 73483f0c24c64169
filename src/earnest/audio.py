"""The only door that opens audio: probe → decode → resample, and write.

Every file ends in a verdict: `ok`, `repaired` (with the reason) or `rejected` (with the reason and what to do). A
shorter recording is never passed off as a whole one, a sample that is no number never gets through, and what a header
claims is checked before memory is taken for it.

Samples are float32 with full scale at ±1.0; louder float files keep their values.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from earnest.errors import AudioError, DataError
from earnest.files import atomic_write_bytes

if TYPE_CHECKING:
    from earnest._decoding.gather import Header, Reader

MIN_RATE_HZ, MAX_RATE_HZ = 1, 384_000
MAX_CHANNELS = 64
PIECE_TOLERANCE_S = 0.01  # a piece may end this much behind its recording: tables round to hundredths of a second

SUFFIXES: frozenset[str] = frozenset(
    (
        *(".wav", ".wave", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
        *(".w64", ".rf64", ".sph", ".nist", ".m4a", ".mp4", ".aac", ".wma", ".webm", ".mkv", ".mka", ".amr", ".wv"),
        *(".ape", ".mpc", ".tta", ".spx"),
    )
)

_FORM_OF_SUFFIX = {
    "aif": "AIFF",
    "aifc": "AIFF",
    "oga": "OGG",
    "opus": "OGG",
    "wave": "WAV",
    "sph": "NIST",
    "snd": "AU",
}

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Verdict:
    """What became of a file: `ok`, `repaired` (and why) or `rejected` (why, and what to do)."""

    path: str
    status: Literal["ok", "repaired", "rejected"]
    reason: str | None = None
    remedy: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The four fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says. `frames` (samples per channel) is 0 where the header leaves the length open."""

    path: str
    format: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int

    @property
    def duration_s(self) -> float:
        """Length in seconds by the header; 0.0 where it does not say."""
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class Recording:
    """Decoded sound: float32 samples, (samples,) or (channels, samples), their rate in hertz, and the verdict."""

    samples: np.ndarray
    sample_rate: int
    verdict: Verdict


def probe(path: PathLike) -> AudioInfo:
    """Read a file's header; nothing is decoded.

    Raises
    ------
    AudioError : no such file, not a regular file, not audio, or channels (1–64) or rate (1–384,000 Hz) out of range.
    """
    with _opened(path) as reader:
        header = reader.header
        return AudioInfo(
            shown(path), header.format, header.subtype, header.sample_rate, header.channels, max(0, header.frames)
        )


def load(
    path: PathLike,
    sample_rate: int | None = None,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    mono: bool = True,
) -> Recording:
    """Decode a file, or a piece of it, mix it to one channel and resample it.

    Parameters
    ----------
    path : the file; its kind is told by its content, not by its name.
    sample_rate : rate of the result in hertz; None keeps the file's own.
    start_s, end_s : the piece to read, in seconds from the beginning; the decoder seeks, and reads only that.
    mono : mean over the channels → (samples,); otherwise (channels, samples).

    Raises
    ------
    AudioError : the file, or the piece, cannot be used; carries the reason and the remedy.
    """
    name = shown(path)
    with _opened(path) as reader:
        header = reader.header
        start, stop = _piece(name, header, start_s, end_s)
        decoded = reader.read(start, stop, mono)
    samples, remarks = decoded.samples, list(decoded.remarks)
    frames = samples.shape[-1]
    if frames == 0:
        raise _nothing(name, remarks, start / header.sample_rate if start else None)
    if decoded.bad_samples:
        total = frames * header.channels
        what = "NaN, infinite or absurdly large"
        if decoded.bad_samples == total:
            raise AudioError(name, f"every sample is {what}", "Export it again; the program that wrote it went wrong.")
        remarks.append(f"{decoded.bad_samples:,} of {total:,} samples are {what}; set to zero")
    if stop is not None and not remarks and stop - start - frames > PIECE_TOLERANCE_S * header.sample_rate:
        there = (start + frames) / header.sample_rate
        remarks.append(f"the piece should end at {end_s:.2f} s, the recording ends at {there:.2f} s")
    rate = header.sample_rate if sample_rate is None else sample_rate
    if rate != header.sample_rate:
        _check_growth(name, frames * header.channels, header.sample_rate, rate)
        samples = resample(samples, header.sample_rate, rate)
    if remarks:
        return Recording(samples, rate, Verdict(name, "repaired", "; ".join(remarks)))
    return Recording(samples, rate, Verdict(name, "ok", _flat(samples)))


def examine(path: PathLike) -> Verdict:
    """Decode a file to its end and say what became of it; a bad file is a verdict here, never an error."""
    try:
        return load(path).verdict
    except AudioError as problem:
        return Verdict(problem.path, "rejected", problem.reason, problem.remedy)


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resample with soxr HQ along the last axis: round(n · to / from) samples, at least one.

    Parameters
    ----------
    samples : float32, (samples,) or (channels, samples).
    from_hz, to_hz : rates in hertz, 1 to 384,000.

    Raises
    ------
    DataError : a rate out of range.
    """
    for rate in (from_hz, to_hz):
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise DataError(f"Cannot resample from {from_hz} Hz to {to_hz} Hz.", "Rates go from 1 to 384,000 Hz.")
    if from_hz == to_hz or samples.shape[-1] == 0:
        return samples
    import soxr

    channels_last = np.ascontiguousarray(samples.T, dtype=np.float32)
    result = np.ascontiguousarray(soxr.resample(channels_last, from_hz, to_hz, quality="HQ").T)
    wanted = max(1, round(samples.shape[-1] * to_hz / from_hz))
    if result.shape[-1] < wanted:
        padding = [(0, 0)] * (result.ndim - 1) + [(0, wanted - result.shape[-1])]
        result = np.pad(result, padding)
    return result[..., :wanted]


def write(path: PathLike, samples: np.ndarray, sample_rate: int, subtype: str | None = None) -> None:
    """Write samples to a file whose suffix names the format (.wav, .flac, .ogg …), whole or not at all.

    Parameters
    ----------
    samples : float, (samples,) or (channels, samples), full scale ±1.0; integer subtypes clip beyond it.
    subtype : libsndfile's name (PCM_16, PCM_24, FLOAT, VORBIS …); None takes the format's default (WAV, FLAC: PCM_16).

    Raises
    ------
    AudioError : samples that are not finite or not of one of the two shapes, or a suffix or subtype not to be written.
    StorageError : the disk is full (with needed and free bytes) or the place cannot be written; an old file stays.
    """
    import soundfile

    name = shown(path)
    if samples.ndim not in (1, 2) or not samples.size or (samples.ndim == 2 and len(samples) > MAX_CHANNELS):
        raise AudioError(
            name, f"cannot write samples of shape {samples.shape}", "Give (samples,) or (channels, samples)."
        )
    if not np.isfinite(samples).all():
        raise AudioError(name, "cannot write NaN or infinite samples", "Find out where they come from.")
    suffix = Path(path).suffix.lower().lstrip(".")
    form = _FORM_OF_SUFFIX.get(suffix, suffix.upper())
    buffer = io.BytesIO()
    try:
        kind = subtype or ("OPUS" if suffix == "opus" else soundfile.default_subtype(form))
        sound = _as_int16(samples) if kind == "PCM_16" and samples.dtype.kind == "f" else samples
        soundfile.write(buffer, sound.T, sample_rate, subtype=kind, format=form)
    except (soundfile.LibsndfileError, ValueError, TypeError) as problem:
        advice = "Use .wav or .flac, or another rate or subtype."
        raise AudioError(name, f"cannot write it as {form} at {sample_rate} Hz: {problem}", advice) from problem
    atomic_write_bytes(path, buffer.getbuffer())


def _as_int16(samples: np.ndarray) -> np.ndarray:
    """The integers that `load` turns back into the same floats; libsndfile would scale by 32,767 and read by 32,768."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def window_starts(samples: int, window: int, hop: int) -> list[int]:
    """Where the windows begin that cover a recording: 0, hop, 2·hop …, and a last one that ends with the recording.

    A recording no longer than the window has one window, at 0.

    Raises
    ------
    DataError : a window or a hop below one sample.
    """
    if window < 1 or hop < 1:
        raise DataError(
            f"Windows of {window} samples every {hop} samples do not cover anything.", "Use at least 1 each."
        )
    if samples <= window:
        return [0]
    last = samples - window
    starts = list(range(0, last + 1, hop))
    return starts if starts[-1] == last else [*starts, last]


def shown(path: PathLike) -> str:
    """A path as it is shown and stored: undecodable bytes of a name appear as escapes, so that it always prints."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8")


@contextlib.contextmanager
def _opened(path: PathLike) -> Iterator[Reader]:
    """A reader for a regular file of a known kind, with its header inside the limits."""
    name = shown(path)
    place = _regular_file(Path(path), name)
    from earnest._decoding import headers
    from earnest._decoding.gather import CONVERT

    try:
        with place.open("rb") as file:
            signature = headers.sniff(file)
            if signature.kind == "unknown" or place.suffix.lower() == ".raw":
                raise _not_audio(place, name, file)
            reader: Reader
            if signature.kind == "foreign":
                from earnest._decoding.foreign import AvReader

                reader = AvReader(name, file, signature)
            else:
                from earnest._decoding.sndfile import SndfileReader

                reader = SndfileReader(place, name, file, signature)
            with reader:
                if not 1 <= reader.header.channels <= MAX_CHANNELS:
                    raise AudioError(
                        name, f"it has {reader.header.channels} channels; 1 to {MAX_CHANNELS} are read", CONVERT
                    )
                if not MIN_RATE_HZ <= reader.header.sample_rate <= MAX_RATE_HZ:
                    rate = f"{reader.header.sample_rate:,} Hz"
                    raise AudioError(name, f"its sample rate is {rate}; 1 to {MAX_RATE_HZ:,} Hz are read", CONVERT)
                yield reader
    except OSError as problem:
        raise _unreadable(name, problem) from problem


def _regular_file(path: Path, name: str) -> Path:
    """The path, once it is known to be a regular file: opening a pipe would wait for ever."""
    try:
        mode = path.stat()
    except ValueError as problem:
        raise AudioError(name, "the name contains a null character", "Check how the name was made.") from problem
    except OSError as problem:
        raise _unreadable(name, problem) from problem
    if stat.S_ISDIR(mode.st_mode):
        raise AudioError(name, "this is a folder, not a file", "Name a file in it, or use corpus=folder:PATH for all.")
    if not stat.S_ISREG(mode.st_mode):
        raise AudioError(name, "this is a pipe or a device, not a regular file", "Save the sound to a file first.")
    if mode.st_size == 0:
        raise AudioError(name, "the file is empty (0 bytes)", "Copy, record or download it again.")
    return path


def _unreadable(name: str, problem: OSError) -> AudioError:
    if isinstance(problem, FileNotFoundError):
        return AudioError(name, "there is no such file", "Check the path; relative paths start in the current folder.")
    if isinstance(problem, PermissionError):
        return AudioError(name, "it may not be read (permission denied)", "Give yourself the right to read it.")
    return AudioError(name, f"it cannot be read: {problem.strerror or problem}", "Check the path and the disk.")


def _not_audio(place: Path, name: str, file: io.BufferedReader) -> AudioError:
    from earnest._decoding.gather import CONVERT

    if place.suffix.lower() == ".raw":
        wrap = "Add a header, for example with: ffmpeg -f s16le -ar 16000 -ac 1 -i IN.raw OUT.wav"
        return AudioError(name, "raw samples carry no sample rate and no format", wrap)
    file.seek(0)
    begin = file.read(12)
    return AudioError(name, f"this is no audio format known here (it begins with {begin!r})", CONVERT)


def _piece(name: str, header: Header, start_s: float | None, end_s: float | None) -> tuple[int, int | None]:
    """The piece's first frame and the frame behind its last (None: to the end)."""
    begin, end = start_s or 0.0, math.inf if end_s is None else end_s
    if not 0.0 <= begin < end or math.isinf(begin):
        raise AudioError(
            name, f"there is no piece from {start_s} s to {end_s} s", "start_s must be ≥ 0 and below end_s."
        )
    start = round(begin * header.sample_rate)
    stop = None if math.isinf(end) else max(start + 1, round(end * header.sample_rate))
    if start and 0 < header.frames <= start:
        raise _nothing(name, [f"the recording lasts {header.frames / header.sample_rate:.2f} s"], begin)
    return start, stop


def _nothing(name: str, remarks: list[str], begin_s: float | None) -> AudioError:
    also = f" ({'; '.join(remarks)})" if remarks else ""
    if begin_s is not None:
        return AudioError(
            name, f"the piece at {begin_s:.2f} s lies behind the end{also}", "Correct start_s and end_s, in seconds."
        )
    return AudioError(name, f"it contains no sound at all{also}", "Copy or record it again, or leave it out.")


def _flat(samples: np.ndarray) -> str | None:
    """A note on a recording in which nothing happens; it is usable, and somebody may want to know."""
    if samples.flat[0] != samples.flat[-1] or samples.max() != samples.min():
        return None
    return "digital silence: every sample is 0" if samples.flat[0] == 0 else "every sample has the same value"


def _check_growth(name: str, samples: int, from_hz: int, to_hz: int) -> None:
    """Resampling a low rate upwards must not take more memory than decoding may."""
    from earnest._decoding.gather import MAX_SAMPLES, too_long

    if MIN_RATE_HZ <= to_hz <= MAX_RATE_HZ and samples * to_hz > MAX_SAMPLES * from_hz:
        raise too_long(name, samples * to_hz // from_hz)
