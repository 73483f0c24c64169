"""Synthetic speech through espeak-ng."""

from __future__ import annotations

from pathlib import Path

import pytest

from earnest import audio
from earnest.errors import DataError
from earnest.speaking import Utterance, phonemes_of, speak

pytest.importorskip("espeakng_loader", reason="the extra [speech] is not installed")


def test_phonemes_come_by_words_and_without_pauses() -> None:
    english, mandarin = phonemes_of([Utterance("", "hey, earnest", "en-us"), Utterance("", "你好", "cmn")])
    assert english == [["h", "'eI"], ["'3:", "n", "I2", "s", "t"]]
    assert mandarin == [["n", "i214", "X", "'Au214"]]


def test_phonemes_are_spoken_as_the_text_is(tmp_path: Path) -> None:
    speak([Utterance("text.wav", "marvin", "en-us"), Utterance("said.wav", "[[m'A@vIn]]", "en-us")], tmp_path)
    text, said = (audio.load(tmp_path / f"{name}.wav", 16_000).samples for name in ("text", "said"))
    assert len(text) == pytest.approx(len(said), rel=0.05)
    assert len(text) > 4_000


@pytest.mark.parametrize(
    ("text", "voice", "match"), [("hello", "xx-none", "no voice 'xx-none'"), ("", "en-us", "no sound")]
)
def test_what_cannot_be_spoken_is_told(tmp_path: Path, text: str, voice: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        speak([Utterance("a.wav", text, voice)], tmp_path)
