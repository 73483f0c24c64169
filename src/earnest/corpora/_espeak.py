"""espeak-ng as a function from text to samples, through the library that the package `espeakng_loader` brings.

`python -m earnest.corpora._espeak FOLDER` writes the clips of `espeak_words`, as a process of its own because the
library keeps state from one utterance to the next: only the same utterances in the same order, in a fresh process, give
the same bytes.

Reference: espeak-ng's speak_lib.h (version 1.52).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest import audio
from earnest.corpora.espeak_words import Utterance, utterances
from earnest.errors import DataError

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_WRITERS = 16
_RATE, _PITCH, _RANGE = 1, 3, 4

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """The library, started once per process; `sample_rate` is 22050 Hz."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate = int(self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _DONT_EXIT))
        if self.sample_rate <= 0:
            raise DataError("espeak-ng does not start.", "Reinstall it: pip install --force-reinstall espeakng-loader")
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._callback = _CALLBACK(self._receive)  # kept here: the library calls it for as long as it runs
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        """The samples of one utterance, in -1 to 1, shape (samples,)."""
        library = self._library
        if library.espeak_SetVoiceByName(utterance.voice.encode()) != 0:
            raise DataError(
                f"espeak-ng has no voice {utterance.voice!r}.", "Install another version of espeakng-loader."
            )
        library.espeak_SetParameter(_RATE, utterance.words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, utterance.pitch, 0)
        library.espeak_SetParameter(_RANGE, utterance.pitch_range, 0)
        self._blocks.clear()
        text = utterance.text.encode()
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, _CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        if not self._blocks:
            raise DataError(f"espeak-ng gave no sound for {utterance.text!r}.", "Reinstall espeakng-loader.")
        return (np.concatenate(self._blocks) / 32768).astype(np.float32)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: int | None) -> int:
        """Called by the library with each block of samples; 0 asks for more."""
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0


def clips() -> Iterator[tuple[str, npt.NDArray[np.float32], int]]:
    """File name, samples and sample rate of every clip, always in the same order."""
    espeak = Espeak()
    for utterance in utterances():
        yield utterance.file, espeak.say(utterance), espeak.sample_rate


def main(folder: Path) -> None:
    """Write all clips into a folder; in threads, because each file waits for the disk."""

    def write(clip: tuple[str, npt.NDArray[np.float32], int]) -> None:
        file, samples, sample_rate = clip
        audio.write(folder / file, samples, sample_rate, "PCM_16")

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(write, clips()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
