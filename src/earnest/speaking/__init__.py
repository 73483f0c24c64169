"""Synthetic speech: text, or phonemes, to files, by espeak-ng or by any program that the user names.

    utterances ─ a process of its own ─► one 16-bit WAV file for each

Synthetic speech is always called so: a score on it says nothing about people.
"""

from earnest.speaking.espeak import Utterance, phonemes_of, speak

__all__ = ["Utterance", "phonemes_of", "speak"]
