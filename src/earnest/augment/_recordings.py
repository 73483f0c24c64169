"""A folder of recordings to draw noises or impulse responses from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earnest import audio
from earnest.errors import AudioError, DataError

LONGEST_S = 60.0
"""Only so much of each recording is used, so that a folder fits in memory."""

KEPT_BYTES = 512 * 2**20
"""Decoded recordings are kept up to this size; what goes beyond is decoded again each time."""


class Recordings:
    """The audio files of a folder and its subfolders, in the order of their names.

    Parameters
    ----------
    folder : the folder.
    kind : what they are, for messages.

    Raises
    ------
    DataError : there is no such folder, or no audio file in it.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        found = folder.expanduser().rglob("*") if folder.expanduser().is_dir() else ()
        self.paths = sorted(path for path in found if path.suffix.lower() in audio.SUFFIXES and path.is_file())
        if not self.paths:
            raise DataError(
                f"no audio file in {folder}, where recordings of {kind} are expected.",
                f"Give the folder's full path, with files such as: {', '.join(sorted(audio.SUFFIXES)[:6])}.",
            )
        self._kept: dict[tuple[Path, int], np.ndarray] = {}
        self._bytes = 0

    def check(self) -> None:
        """Read every file's header.

        Raises
        ------
        DataError : a file cannot be read; names it and says why.
        """
        for path in self.paths:
            try:
                audio.probe(path)
            except AudioError as error:
                raise DataError(
                    f"the {self.kind} {path} cannot be read: {error.reason}", "Repair it, or take it out of the folder."
                ) from error

    def whole(self, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """One recording drawn at random, mono, at a sample rate; (samples,) float32."""
        path = self.paths[int(rng.integers(len(self.paths)))]
        kept = self._kept.get((path, sample_rate))
        if kept is not None:
            return kept
        long = audio.probe(path).duration_s > LONGEST_S
        samples = audio.load(path, sample_rate, end_s=LONGEST_S if long else None).samples
        if self._bytes + samples.nbytes <= KEPT_BYTES:
            self._kept[path, sample_rate] = samples
            self._bytes += samples.nbytes
        return samples

    def piece(self, length: int, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """`length` samples from somewhere in one recording, which is repeated where it is shorter."""
        samples = self.whole(rng, sample_rate)
        if len(samples) >= length:
            start = int(rng.integers(len(samples) - length + 1))
            return samples[start : start + length]
        return np.resize(np.roll(samples, -int(rng.integers(max(1, len(samples))))), length)
