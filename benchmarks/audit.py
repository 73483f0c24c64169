"""The leak audit: which copies it finds among real recordings, what else it reports, and how long it takes.

EARNEST_DATA=… python benchmarks/audit.py            a Markdown section on standard output

Every corpus is audited as it is. Then copies of a sample of its clips are mixed in, one kind at a time, and the share
of them that is found is counted, with the pairs that are reported beside them.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import soundfile

from earnest import audio, leaks
from earnest.corpora import open_table
from earnest.errors import DataError
from earnest.scoring.tables import Column, render
from earnest.table import Table

RATE, SAMPLE = 16_000, 100
CORPORA = ("fsdd", "speech_commands", "ravdess", "esc10")


def main() -> int:
    if "EARNEST_DATA" not in os.environ:
        print("This benchmark needs real recordings: set EARNEST_DATA to a folder that holds them.", file=sys.stderr)
        return 1
    print("## The leak audit\n")
    print(render([row for name in CORPORA if (row := as_it_is(name))], AS_IT_IS))
    print(f"Copies of {SAMPLE} clips of each corpus, one kind at a time; the share that is found, in percent:\n")
    columns = [Column("copy", "copy"), *(Column(name, name, "percent", digits=0) for name in CORPORA)]
    print(render(list(with_copies()), columns))
    return 0


AS_IT_IS = [
    Column("corpus", "corpus"),
    Column("clips", "clips", "count"),
    Column("minutes", "minutes of audio", "number"),
    Column("seconds", "seconds of audit (CPU)", "number"),
    Column("found", "pairs reported", "count"),
]


def as_it_is(name: str) -> dict[str, object] | None:
    try:
        table = open_table(name)
    except DataError as error:
        print(f"{name} left out: {error.message}", file=sys.stderr)
        return None
    minutes = sum(audio.probe(path).duration_s for path in table.column("audio")) / 60
    started = time.process_time()
    found = leaks.audit(table)
    seconds = time.process_time() - started
    for pair in found.duplicates:
        print(f"{name}: {pair}", file=sys.stderr)
    return {
        "corpus": name,
        "clips": len(table),
        "minutes": minutes,
        "seconds": seconds,
        "found": len(found.duplicates),
    }


def encoded(clip: np.ndarray, kind: str, subtype: str, level: float) -> np.ndarray:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, subtype, format=kind, compression_level=level) as writer:
        writer.write(clip)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])


def noisy(clip: np.ndarray) -> np.ndarray:
    level = 0.1 * float(np.sqrt(np.mean(clip**2)))
    return clip + level * np.random.default_rng(len(clip)).standard_normal(len(clip)).astype(np.float32)


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "6 dB softer": lambda clip: clip * 0.5,
    "10 dB louder and clipped": lambda clip: np.clip(clip * 3, -1, 1),
    "200 ms later, end cut off": lambda clip: np.pad(
        clip[: max(len(clip) - RATE // 5, len(clip) // 2)], (RATE // 5, 0)
    ),
    "the middle 60 %": lambda clip: clip[len(clip) // 5 : -len(clip) // 5],
    "Vorbis, lowest quality": lambda clip: encoded(clip, "OGG", "VORBIS", 1.0),
    "MP3, low quality": lambda clip: encoded(clip, "MP3", "MPEG_LAYER_III", 0.7),
    "resampled to 8 kHz and back": lambda clip: audio.resample(audio.resample(clip, RATE, 8_000), 8_000, RATE),
    "with noise at 20 dB": noisy,
}


def with_copies() -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    originals = {}
    for name in CORPORA:
        try:
            table = open_table(name)
        except DataError:
            continue
        rows = rng.choice(len(table), min(SAMPLE, len(table)), replace=False)
        originals[name] = [audio.load(table.column("audio")[int(row)], RATE).samples for row in rows]
    lines = []
    for kind, change in COPIES.items():
        line: dict[str, object] = {"copy": kind}
        for name, clips in originals.items():
            line[name] = found_share(clips, change)
        lines.append(line)
    return lines


def found_share(clips: list[np.ndarray], change: Callable[[np.ndarray], np.ndarray]) -> float:
    both = [*clips, *(change(clip) for clip in clips)]
    names = [f"{row:06d}" for row in range(len(both))]
    table = Table.from_frame(pl.DataFrame({"id": names, "audio": names}), "copies")
    pairs = {pair[:2] for pair in leaks.audit(table, samples=both.__getitem__, sample_rate=RATE).duplicates}
    wanted = {(names[row], names[row + len(clips)]) for row in range(len(clips))}
    return len(pairs & wanted) / len(wanted)


if __name__ == "__main__":
    sys.exit(main())
