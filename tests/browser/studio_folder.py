"""A small synthetic folder for the studio, and the studio itself as people start it."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from reporting_run import write_run
from tiny_bundle import make_bundle

START_S = 60.0
LABELS, SPEAKERS, TAKES = ("beet", "leek"), ("ann", "bob", "cem"), (0, 1)
LONG = 100_000  # rows of the long list


def write_folder(root: Path) -> Path:
    """Tones in `words/LABEL/SPEAKER_TAKE.wav`, a copy in `twice`, a long list of one tone, a made-up run, a bundle."""
    rng = np.random.default_rng(3)
    for label in LABELS:
        for speaker in SPEAKERS:
            for take in TAKES:
                write_tone(root / "words" / label / f"{speaker}_{take}.wav", rng, 0.6)
    for name in ("a", "b"):
        write_tone(root / "twice" / f"{name}.wav", rng, 0.6)
    shutil.copyfile(root / "twice" / "a.wav", root / "twice" / "a again.wav")
    write_tone(root / "upload.wav", rng, 1.2)
    _write_long(root / "long.csv", root / "words" / "beet" / "ann_0.wav")
    write_run(root / "runs" / "digits", speakers=3, takes=2)
    make_bundle(root / "runs" / "tiny", window=400, hop=200)
    return root


def write_tone(path: Path, rng: np.random.Generator, seconds: float, rate: int = 8000) -> None:
    """A noisy tone whose pitch no other has."""
    time_s = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 2000) * time_s) + 0.05 * rng.standard_normal(len(time_s))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone.astype(np.float32), rate)


def _write_long(path: Path, audio: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "audio", "label", "speaker", "level_db"])
        for number in range(LONG):
            rows.writerow([f"clip-{number:06d}", audio, LABELS[number % 2], f"speaker {number % 50}", -(number % 40)])


@contextlib.contextmanager
def studio(root: Path) -> Iterator[str]:
    """`earnest studio` over a folder until the block ends; its address, with the token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "earnest", "studio", str(root), "--no-browser", "--port", str(port)]
    log = root / "studio.log"
    threads = {"OMP_NUM_THREADS": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env={**os.environ, **threads}, start_new_session=True
        )
    try:
        yield _address(log, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w.~-]+", log.read_text(errors="replace"))
        if found:
            return found.group()
        time.sleep(0.05)
    raise AssertionError(f"the studio did not start: {log.read_text(errors='replace')[-2000:]}")
