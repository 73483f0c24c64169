"""All clips of a table, decoded once into one memory-mapped file that every process of a run shares."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from earnest import audio
from earnest.audio import Verdict
from earnest.errors import AudioError
from earnest.files import atomic_path, atomic_write_text
from earnest.table import Table

SAMPLES, SPANS, VERDICTS = "waveforms.f32", "waveforms.json", "verdicts.json"
THREADS, SLICE_CLIPS = 2, 32
Clip = tuple[str, float | None, float | None]  # its file, and where in it it begins and ends in seconds


@dataclass(frozen=True)
class Waveforms:
    """Mono float32 waveforms at one sample rate, by row of the table.

    Attributes
    ----------
    samples : (all samples,) float32, memory-mapped.
    spans : (clips, 2) int64; clip i is samples[spans[i, 0]:spans[i, 1]]. Clips may lie in any order in the file.
    sample_rate : Hz.
    """

    samples: np.ndarray
    spans: np.ndarray
    sample_rate: int

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, row: int) -> np.ndarray:
        """The samples of one clip, read-only."""
        start, stop = self.spans[row]
        return self.samples[start:stop]

    @property
    def lengths(self) -> np.ndarray:
        """The samples of every clip, (clips,) int64."""
        return np.asarray(self.spans[:, 1] - self.spans[:, 0])

    @classmethod
    def open(cls, directory: Path) -> Waveforms:
        """Map the file that `decode` wrote, with the spans that were written last."""
        shape = json.loads((directory / SPANS).read_text(encoding="utf-8"))
        samples = np.memmap(directory / SAMPLES, dtype=np.float32, mode="r")
        return cls(samples, np.asarray(shape["spans"], dtype=np.int64).reshape(-1, 2), int(shape["sample_rate"]))


def write_spans(directory: Path, spans: np.ndarray, sample_rate: int) -> None:
    """Say where in the file each clip lies; `spans` has the shape (clips, 2)."""
    atomic_write_text(directory / SPANS, json.dumps({"sample_rate": sample_rate, "spans": spans.tolist()}))


def decode_once(
    table: Table, sample_rate: int, directory: Path, shared: Path, on_clip: Callable[[str], None] | None = None
) -> tuple[Table, list[Verdict]]:
    """The same as `decode`, for several runs that share a folder: the first one decodes, all link to its file."""
    rows = table.frame.select("id", "audio", "start_s", "end_s").rows()
    files = [(path, *_facts(path)) for path in dict.fromkeys(row[1] for row in rows)]
    name = hashlib.sha256(json.dumps([sample_rate, rows, files]).encode()).hexdigest()[:24]
    place = shared / "audio" / name
    place.mkdir(parents=True, exist_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / VERDICTS).is_file():
            kept, verdicts = decode(table, sample_rate, place, on_clip)
            told = {"kept": kept.column("id").to_list(), "verdicts": [verdict.as_dict() for verdict in verdicts]}
            atomic_write_text(place / VERDICTS, json.dumps(told, ensure_ascii=False))
    for file in (SAMPLES, SPANS):
        (directory / file).unlink(missing_ok=True)
    os.link(place / SAMPLES, directory / SAMPLES)
    shutil.copyfile(place / SPANS, directory / SPANS)
    told = json.loads((place / VERDICTS).read_text(encoding="utf-8"))
    kept_ids = set(told["kept"])
    rows_kept = [row for row, clip in enumerate(table.column("id").to_list()) if clip in kept_ids]
    verdicts = [Verdict(**verdict) for verdict in told["verdicts"]]
    return (table if len(rows_kept) == len(table) else table.rows(np.array(rows_kept, dtype=np.int64))), verdicts


def _facts(path: str) -> tuple[int, int]:
    """Size and time of change of a file; zeros where it is gone, which decoding will say."""
    try:
        facts = Path(path).stat()
    except OSError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


def decode(
    table: Table, sample_rate: int, directory: Path, on_clip: Callable[[str], None] | None = None
) -> tuple[Table, list[Verdict]]:
    """Decode every clip of a table into `directory`, two at a time, and set aside those that cannot be read.

    Returns
    -------
    table : the rows that could be decoded, in the same order.
    verdicts : one for each clip that was repaired or rejected.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kept: list[int] = []
    offsets = [0]
    verdicts: list[Verdict] = []
    rows = list(enumerate(table.frame.select("audio", "start_s", "end_s").iter_rows()))

    def read(path: str, start_s: float | None, end_s: float | None) -> audio.Recording | AudioError:
        try:
            return audio.load(path, sample_rate, start_s=start_s, end_s=end_s)
        except AudioError as error:
            return error

    def read_slice(slice_: list[tuple[int, Clip]]) -> list[audio.Recording | AudioError]:
        return [read(*clip) for _, clip in slice_]

    place = directory / SAMPLES
    with ThreadPoolExecutor(THREADS) as pool, atomic_path(place) as part_path, part_path.open("wb") as stream:
        # In parts, so that decoded audio waiting to be written stays bounded; in slices, since threads that hand over
        # clip by clip spend a third of their time waiting for each other.
        for begin in range(0, len(rows), THREADS * SLICE_CLIPS):
            part = rows[begin : begin + THREADS * SLICE_CLIPS]
            slices = [part[start : start + SLICE_CLIPS] for start in range(0, len(part), SLICE_CLIPS)]
            results = chain.from_iterable(pool.map(read_slice, slices))
            for (row, (path, _, _)), result in zip(part, results, strict=True):
                if on_clip:
                    on_clip(path)
                if isinstance(result, AudioError):
                    verdicts.append(Verdict(path, "rejected", result.reason, result.remedy))
                    continue
                if result.verdict.status != "ok":
                    verdicts.append(result.verdict)
                stream.write(np.ascontiguousarray(result.samples, dtype=np.float32).tobytes())
                offsets.append(offsets[-1] + len(result.samples))
                kept.append(row)
    write_spans(directory, np.stack([offsets[:-1], offsets[1:]], axis=1), sample_rate)
    return (table if len(kept) == len(table) else table.rows(np.array(kept, dtype=np.int64))), verdicts
