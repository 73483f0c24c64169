"""espeak-ng as a function from text to samples, through the library that the package `espeakng_loader` brings.

`speak` and `phonemes_of` work in a process of their own (`earnest.speaking.__main__`) because the library keeps state
from one utterance to the next: only the same utterances in the same order, in a fresh process, give the same bytes.

Reference: espeak-ng's speak_lib.h (version 1.52).
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.errors import DataError, MissingExtra

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PHONEMES = 0x100  # text in [[ ]] is phonemes
BETWEEN = "\x1f"  # phonemes, in what espeak_TextToPhonemes gives; no phoneme is written with it
NOT_SPOKEN = ("", "_", "(")  # how pauses and changes of language begin
_RATE, _PITCH, _RANGE = 1, 3, 4

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Utterance:
    """What is to be said, and how; `pitch` and `pitch_range` run from 0 to 99.

    In `text`, what stands in [[ ]] is said as phonemes in espeak-ng's own writing. `voice` is one of espeak-ng, or
    PROGRAM/VOICE as in `earnest.speaking.programs`, which need not heed pitch.
    """

    file: str
    text: str
    voice: str
    words_per_minute: int = 175
    pitch: int = 50
    pitch_range: int = 50


def speak(utterances: Iterable[Utterance], folder: Path) -> None:
    """Write the utterances' files below a folder, in a process of its own; equal calls give equal bytes.

    Raises
    ------
    MissingExtra : espeakng_loader is not installed.
    DataError : espeak-ng fails; `voice` or `text` is not for it.
    """
    _in_process([str(folder)], utterances)


def phonemes_of(utterances: Iterable[Utterance]) -> list[list[list[str]]]:
    """For each utterance its words, and for each word its phonemes, in espeak-ng's own writing; pauses are left out.

    Raises
    ------
    MissingExtra, DataError : as in `speak`.
    """
    lines = _in_process(["--phonemes"], utterances).splitlines()
    return [
        [[phoneme for phoneme in word.split(BETWEEN) if phoneme[:1] not in NOT_SPOKEN] for word in line.split(" ")]
        for line in lines
    ]


def _in_process(arguments: Sequence[str], utterances: Iterable[Utterance]) -> str:
    """Run the room's command over utterances; what it prints."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise MissingExtra("espeakng_loader", "speech", "synthetic speech")
    done = subprocess.run(
        [sys.executable, "-m", "earnest.speaking", *arguments],
        input="".join(json.dumps(asdict(utterance)) + "\n" for utterance in utterances),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        died = f"it died of signal {-done.returncode}" if done.returncode < 0 else "no message"
        last = (done.stderr.strip().splitlines() or [died])[-1]
        raise DataError(
            f"espeak-ng could not speak: {last}", "If it persists: pip install --force-reinstall espeakng-loader"
        )
    return done.stdout


class Espeak:
    """The library, started once per process; `sample_rate` is 22050 Hz."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path()).encode()
        self.sample_rate = int(self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _DONT_EXIT))
        if self.sample_rate <= 0:
            raise DataError("espeak-ng does not start.", "Reinstall it: pip install --force-reinstall espeakng-loader")
        # Some timbres breathe, by random numbers that the library would begin with the time of day.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._callback = _CALLBACK(self._receive)  # kept here: the library calls it for as long as it runs
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        """The samples of one utterance, in -1 to 1, shape (samples,)."""
        library = self._library
        self._take_voice(utterance.voice)
        library.espeak_SetParameter(_RATE, utterance.words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, utterance.pitch, 0)
        library.espeak_SetParameter(_RANGE, utterance.pitch_range, 0)
        self._blocks.clear()
        text = utterance.text.encode()
        flags = _CHARS_UTF8 | (_PHONEMES if "[[" in utterance.text else 0)
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, flags, None, None)
        library.espeak_Synchronize()
        if not any(block.any() for block in self._blocks):
            raise DataError(
                f"espeak-ng gave no sound for {utterance.text!r}.", "Write it with letters of its language."
            )
        return (np.concatenate(self._blocks) / 32768).astype(np.float32)

    def phonemes(self, utterance: Utterance) -> str:
        """Words, with spaces between them, of phonemes, with `BETWEEN` between them."""
        self._take_voice(utterance.voice)
        text = ctypes.create_string_buffer(utterance.text.encode())
        place, clauses = ctypes.c_void_p(ctypes.addressof(text)), []
        while place.value:  # the library moves it behind each clause, and to nothing at the end
            found = self._library.espeak_TextToPhonemes(ctypes.byref(place), _CHARS_UTF8, ord(BETWEEN) << 8)
            clauses.append((found or b"").decode())
        return " ".join(clause.strip() for clause in clauses)

    def _take_voice(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DataError(
                f"espeak-ng has no voice {voice!r}.", "Names are a language, or LANGUAGE+VARIANT: en-us+f2."
            )

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: int | None) -> int:
        """Called by the library with each block of samples; 0 asks for more."""
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0
