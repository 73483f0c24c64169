"""Synthetic speech: text, or phonemes, to files, by espeak-ng, by other programs that are installed, or by any command.

    utterances ─ espeak-ng, in a process of its own ─► one WAV file for each
               └ programs, a process for each

Synthetic speech is always called so: a score on it says nothing about people.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from earnest.speaking import espeak, programs
from earnest.speaking.espeak import Utterance, phonemes_of

__all__ = ["Utterance", "phonemes_of", "speak"]


def speak(utterances: Iterable[Utterance], folder: Path) -> None:
    """Write the utterances' files below a folder, each by the voice that it names.

    Raises
    ------
    MissingExtra : espeakng_loader is not installed.
    DataError : espeak-ng, a program or a command fails; `voice` or `text` is not for it.
    """
    wanted = list(utterances)
    espeak.speak([utterance for utterance in wanted if not programs.is_program(utterance.voice)], folder)
    programs.speak([utterance for utterance in wanted if programs.is_program(utterance.voice)], folder)
