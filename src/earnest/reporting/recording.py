"""A page with the player for one recording: one file, which asks nothing of a network.

Up to 6 MB as 16-bit samples the sound is inside without loss, and the page computes waveform and spectrogram itself. Of
longer recordings outline and spectrogram are computed here, and the sound is inside as Ogg Vorbis while the page stays
below 24 MB, else beside the page, which must then stay where it is.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import os
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile
from markupsafe import Markup

from earnest import audio
from earnest.errors import AudioError
from earnest.files import atomic_path, atomic_write_text
from earnest.reporting import envelopes, player, tiles

LOSSLESS_BYTES = 6_000_000
PAGE_BYTES = 24_000_000
TILES = 96  # in a page at most, some 70 KB each: they decide how fine the spectrogram is
COLUMNS_PER_S, MOST_COLUMNS = 20, 40_000  # of the outline of a long recording; some 16 bytes each
HIGHEST_RATE_HZ = 96_000
_BLOCK_SAMPLES = 16_384  # libsndfile's Vorbis encoder takes long blocks on its stack
# What browsers play as it is; others are written beside the page as Ogg Vorbis.
PLAYED = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm"}
WAV_PLAYED = {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW"}


@dataclass(frozen=True)
class Written:
    """What became of a page.

    Attributes
    ----------
    page : where it lies, and `bytes` its size.
    duration_s : of the recording.
    sound : "inside, lossless", "inside, Ogg Vorbis" or "beside".
    beside : the file that the page plays, where it does not hold the sound.
    column_s : the width of one column of the spectrogram at its finest.
    """

    page: str
    bytes: int
    duration_s: float
    sound: str
    beside: str | None
    column_s: float

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


def write(path: Path, page: Path, lanes: Sequence[dict[str, Any]] = (), beyond_bytes: int = PAGE_BYTES) -> Written:
    """Write the page of a recording.

    Parameters
    ----------
    lanes : of the player: labels, or scores over time.
    beyond_bytes : the page stays below this size by leaving the sound beside it.

    Raises
    ------
    AudioError : the recording cannot be read, or its sound cannot be written.
    StorageError : the page cannot be written.
    """
    whole = envelopes.envelope(path)
    info = audio.probe(path)
    options: dict[str, Any] = {"duration_s": whole.duration_s, "lanes": list(lanes)}
    column_s, beside = tiles.STEP_S / 4, None
    if whole.samples * min(2, info.channels) * 2 <= LOSSLESS_BYTES and whole.sample_rate <= HIGHEST_RATE_HZ:
        sound = "inside, lossless"
        options["audio"] = _address("audio/flac", _flac(path))
    else:
        columns = min(MOST_COLUMNS, math.ceil(COLUMNS_PER_S * whole.duration_s))
        options["peaks"] = envelopes.as_lists(*envelopes.peaks(path, columns))
        options["tiles"] = _tiles(path, whole)
        column_s = tiles.STEP_S * 2 ** options["tiles"]["finest"]
        room = beyond_bytes - len(json.dumps(options)) - len(player.script()) - len(player.style())
        inside = _vorbis(path, whole, room * 3 // 4)
        sound = "inside, Ogg Vorbis" if inside else "beside"
        beside = None if inside else _beside(path, page)
        options["audio"] = _address("audio/ogg", inside) if inside else _relative(beside or path, page)
    facts = _facts(path, info, whole, sound, column_s)
    text = _page(path.name, facts, options)
    atomic_write_text(page, text)
    size = len(text.encode())
    return Written(str(page), size, whole.duration_s, sound, None if beside is None else str(beside), column_s)


def _tiles(path: Path, whole: envelopes.Envelope) -> dict[str, Any]:
    """As many tiles as a page holds, from the finest level on that fits, all of them grey."""
    count = tiles.levels(whole.duration_s)
    numbers = [tiles.tiles_at(whole.duration_s, level) for level in range(count)]
    finest = next(level for level in range(count) if sum(numbers[level:]) <= TILES)
    pictures = [
        [_address("image/png", tiles.grey_tile(path, level, index)) for index in range(numbers[level])]
        for level in range(finest, count)
    ]
    highest_hz = whole.sample_rate / 2
    return {"pictures": pictures, "finest": finest, "levels": count, "highest_hz": highest_hz, "grey": True}


def _flac(path: Path) -> bytes:
    """The whole recording without loss: its own rate, at most two channels, 16 bits, or 24 where it has more."""
    recording = audio.load(path, mono=False)
    samples = np.atleast_2d(recording.samples)
    if len(samples) > 2:
        samples = samples.mean(axis=0, keepdims=True)
    steps = samples * 32_768
    fine = bool((np.abs(steps - np.rint(steps)) > 1e-4).any())
    memory = io.BytesIO()
    clipped = np.clip(samples, -1, 1 - 2**-23).T
    _encoded(path, memory, clipped, recording.sample_rate, "FLAC", "PCM_24" if fine else "PCM_16")
    return memory.getvalue()


def _encoded(path: Path, memory: io.BytesIO, samples: np.ndarray, rate: int, form: str, subtype: str) -> None:
    try:
        soundfile.write(memory, samples, rate, format=form, subtype=subtype)
    except soundfile.LibsndfileError as problem:
        raise _unwritten(path, form, problem) from problem


def _vorbis(path: Path, whole: envelopes.Envelope, room_bytes: int) -> bytes | None:
    """The recording as mono Ogg Vorbis; None as soon as it is seen to become larger than its room."""
    memory = io.BytesIO()
    pieces = _write_vorbis(path, whole, memory)
    for seconds in pieces:
        # After the first minute, what is to come is told from what there is; rates vary, so half as much again may.
        if memory.tell() * max(1.0, whole.duration_s / max(seconds, 1.0) / 1.5) > room_bytes:
            pieces.close()
            return None
    return memory.getvalue() if len(memory.getvalue()) <= room_bytes else None


def _write_vorbis(path: Path, whole: envelopes.Envelope, target: io.BytesIO | str) -> Generator[float, None, None]:
    """Write the recording as mono Ogg Vorbis, block by block; tells after each how many seconds are written."""
    scale = np.float32(1 / max(1.0, 10 ** (whole.loudest_db / 20)))
    done = 0
    try:
        with soundfile.SoundFile(target, "w", whole.sample_rate, 1, "VORBIS", format="OGG") as file:
            for block in envelopes.blocks(str(path)):
                for start in range(0, len(block), _BLOCK_SAMPLES):
                    file.write(block[start : start + _BLOCK_SAMPLES] * scale)
                done += len(block)
                yield done / whole.sample_rate
    except soundfile.LibsndfileError as problem:
        raise _unwritten(path, "Ogg Vorbis", problem) from problem


def _unwritten(path: Path, form: str, problem: Exception) -> AudioError:
    return AudioError(audio.shown(path), f"its sound cannot be written as {form}: {problem}", "Convert it to a WAV.")


def _beside(path: Path, page: Path) -> Path:
    """The file that the page plays: the recording itself, or where browsers do not play it, one that is written."""
    if path.suffix.lower() in PLAYED and not _packed(path):
        return path
    written = page.with_name(f"{page.name}.ogg")  # nobody else's file
    whole = envelopes.envelope(path)
    with atomic_path(written) as temporary:
        for _ in _write_vorbis(path, whole, str(temporary)):
            pass
    return written


def _packed(path: Path) -> bool:
    """Whether a WAV holds its samples in a form, such as ADPCM, that browsers do not play."""
    if path.suffix.lower() != ".wav":
        return False
    try:
        return soundfile.info(path).subtype not in WAV_PLAYED
    except soundfile.LibsndfileError:
        return True


def _relative(file: Path, page: Path) -> str:
    try:
        return quote(Path(os.path.relpath(file.resolve(), page.resolve().parent)).as_posix())
    except ValueError:  # another drive of Windows
        return file.resolve().as_uri()


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _facts(
    path: Path, info: audio.AudioInfo, whole: envelopes.Envelope, sound: str, column_s: float
) -> list[tuple[str, str, str]]:
    """What the page says of the recording: English name, Chinese name, value."""
    minutes, seconds = divmod(whole.duration_s, 60)
    level = f"{whole.loudest_db:.1f} dBFS"
    return [
        ("length", "时长", f"{minutes:.0f} min {seconds:.2f} s" if minutes else f"{seconds:.3f} s"),
        ("sample rate", "采样率", f"{whole.sample_rate:,} Hz"),
        ("channels", "声道", str(info.channels)),
        ("format", "格式", f"{info.format} {info.subtype}"),
        ("peak", "峰值", level),
        ("sound of this page", "页面中的声音", sound if sound != "beside" else f"beside: {path.name}"),
        ("finest column of the spectrogram", "语谱图最小列宽", f"{1000 * column_s:g} ms"),
    ]


def _page(title: str, facts: Sequence[tuple[str, str, str]], options: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("earnest.reporting"),
        undefined=StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
    )
    folder = resources.files("earnest.reporting") / "templates"
    own, style = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("recording.js", "recording.css"))
    script = f"{player.script()}\n{own}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    # Inside a script element only `<` could end the data or begin a comment.
    data = json.dumps(options, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    written: str = templates.get_template("recording.html.j2").render(
        title=title,
        facts=facts,
        data=Markup(data),
        style=Markup(f"{player.look()}\n{style}\n{player.style()}"),
        script=Markup(script),
        script_hash=digest,
    )
    return written
