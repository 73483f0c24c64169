"""Features of the windows that cover each clip, computed once and shared by every fold, seed and cell that asks.

A store is a folder whose name is a hash of all that decides its content: the decoded samples, where clips lie in them,
how windows are cut, and the front end's numbers. The first process to ask computes all clips, others wait for it; what
is read is mapped from the file, so that memory is shared too. Folders that were not used for longest make room for new
ones when `LIMIT_BYTES` is reached.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import nn

from earnest.files import atomic_path, atomic_write_text, sha256_file
from earnest.frontends import Features, FrontEnd
from earnest.training.inputs import Inputs
from earnest.training.waveforms import SAMPLES, Waveforms

LIMIT_BYTES = 20 << 30
INDEX, PLACE = "index.npz", "features"


def extract(frontend: nn.Module, waves: Sequence[np.ndarray]) -> list[Features]:
    """Features (frames, bands) of each waveform: one call where all have one length, else one call each.

    Clips of different lengths are not padded before the front end, whose frames near the end would feel the padding.
    """
    with torch.no_grad():
        if len({len(wave) for wave in waves}) == 1:
            return clips_of(frontend(torch.from_numpy(np.stack(waves))))
        return [clips_of(frontend(torch.from_numpy(np.ascontiguousarray(wave))[None]))[0] for wave in waves]


def clips_of(features: Features) -> list[Features]:
    """(batch, frames, bands) → each clip's own (frames, bands)."""
    if isinstance(features, tuple):
        return list(zip(*([clip.clone() for clip in channel] for channel in features), strict=True))
    return [clip.clone() for clip in features]


class Windows:
    """Features of every window that covers a clip, by row of the table.

    Parameters
    ----------
    waveforms, inputs, frontend : where they come from.
    place : folder in which stores are kept; None computes what is asked for each time.
    audio : folder of the decoded samples, whose content is part of the store's name.
    """

    def __init__(
        self,
        waveforms: Waveforms,
        inputs: Inputs,
        frontend: FrontEnd,
        place: Path | None = None,
        audio: Path | None = None,
    ) -> None:
        self.waveforms, self.inputs, self.frontend = waveforms, inputs, frontend
        self._stored: Stored | None = None
        if place is not None and audio is not None and frontend.worth_keeping:
            self._stored = stored(place / name_of(waveforms, inputs, frontend, audio), self)

    def __getitem__(self, row: int) -> list[Features]:
        """Features (frames, bands) of each window of one clip; a tuple of them where the front end has channels."""
        return self.compute(row) if self._stored is None else self._stored[row]

    def compute(self, row: int) -> list[Features]:
        """The same, from the samples."""
        return extract(self.frontend, self.inputs.windows(np.asarray(self.waveforms[row])))


class AsShipped(Windows):
    """The same features by the front end's exported form, so that what is scored is what ships, rounding included."""

    def __init__(self, waveforms: Waveforms, inputs: Inputs, frontend: FrontEnd) -> None:
        super().__init__(waveforms, inputs, frontend)
        self.exported = frontend.for_export()

    def compute(self, row: int) -> list[Features]:
        """Features of each window of one clip, from the samples."""
        return extract(self.exported, self.inputs.windows(np.asarray(self.waveforms[row])))


class Stored:
    """A finished store, mapped into memory."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / INDEX) as index:
            self.firsts = index["firsts"]  # (clips + 1,): the first window of each clip
            self.frames = index["frames"]  # (channels, windows)
            self.bands = index["bands"]  # (channels,)
        ends = np.cumsum(self.frames * self.bands[:, None], axis=1)
        self.offsets = np.concatenate([np.zeros((len(self.bands), 1), np.int64), ends], axis=1)
        # Copy-on-write, since torch wants tensors it may write to; nothing ever reaches the file.
        self.values = [np.memmap(folder / f"{channel}.f32", np.float32, "c") for channel in range(len(self.bands))]

    def __getitem__(self, row: int) -> list[Features]:
        windows = []
        for window in range(self.firsts[row], self.firsts[row + 1]):
            channels = tuple(self._channel(channel, window) for channel in range(len(self.bands)))
            windows.append(channels if len(channels) > 1 else channels[0])
        return windows

    def _channel(self, channel: int, window: int) -> torch.Tensor:
        start, stop = self.offsets[channel, window : window + 2]
        return torch.from_numpy(self.values[channel][start:stop]).view(-1, int(self.bands[channel]))


def stored(folder: Path, windows: Windows) -> Stored:
    """The store in a folder, made first if it is not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(folder):
        if not (folder / INDEX).is_file():
            make_room(folder.parent, keep=folder)
            write(folder, windows)
        os.utime(folder)
        return Stored(folder)


def write(folder: Path, windows: Windows) -> None:
    """Compute the features of all clips, one clip in memory at a time; the index comes last: then all is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    firsts, frames, bands = [0], [], []
    streams: list[BinaryIO] = []
    try:
        for row in range(len(windows.waveforms)):
            for window in windows.compute(row):
                channels = window if isinstance(window, tuple) else (window,)
                if not streams:
                    bands = [channel.shape[1] for channel in channels]
                    streams = [(folder / f"{channel}.f32").open("wb") for channel in range(len(channels))]
                for stream, channel in zip(streams, channels, strict=True):
                    stream.write(np.ascontiguousarray(channel.numpy(), dtype=np.float32).tobytes())
                frames.append([len(channel) for channel in channels])
            firsts.append(len(frames))
    finally:
        for stream in streams:
            stream.close()
    with atomic_path(folder / INDEX) as path, path.open("wb") as index:
        np.savez(index, firsts=np.array(firsts), frames=np.array(frames).T, bands=np.array(bands))


def name_of(waveforms: Waveforms, inputs: Inputs, frontend: FrontEnd, audio: Path) -> str:
    """A hash of all that decides what a store holds."""
    digest = hashlib.sha256(content_of(audio / SAMPLES).encode())
    digest.update(np.ascontiguousarray(waveforms.spans).tobytes())
    digest.update(f"{waveforms.sample_rate} {inputs!r} {type(frontend).__module__} {frontend.config!r}".encode())
    return digest.hexdigest()[:24]


def content_of(path: Path) -> str:
    """SHA-256 of a file, remembered beside it for as long as its size and time of change stay the same."""
    facts = path.stat()
    stamp = f"{facts.st_size} {facts.st_mtime_ns}"
    note = path.with_suffix(".sha256")
    try:
        known, _, digest = note.read_text(encoding="utf-8").partition("\n")
    except OSError:
        known, digest = "", ""
    if known != stamp or not digest:
        digest = sha256_file(path)
        atomic_write_text(note, f"{stamp}\n{digest}")
    return digest


def make_room(place: Path, keep: Path, limit_bytes: int | None = None) -> None:
    """Remove the stores that were not used for longest until the rest fits; those that a process is opening stay."""
    limit = LIMIT_BYTES if limit_bytes is None else limit_bytes
    folders = [folder for folder in place.iterdir() if folder.is_dir() and folder != keep]
    sizes = {folder: sum(file.stat().st_size for file in folder.glob("*")) for folder in folders}
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime):
        if sum(sizes.values()) <= limit:
            return
        with held(folder, wait=False) as free:
            if free:
                shutil.rmtree(folder, ignore_errors=True)
                del sizes[folder]


@contextmanager
def held(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a store against other processes; gives False where another one holds it and we do not wait."""
    with folder.with_suffix(".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
