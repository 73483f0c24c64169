"""Synthetic speech through espeak-ng and other programs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from earnest import audio
from earnest.errors import DataError
from earnest.speaking import Utterance, phonemes_of, programs, speak

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


def test_a_timbre_with_breath_says_the_same_at_another_time(tmp_path: Path) -> None:
    for name in ("first", "second"):
        speak([Utterance(f"{name}.wav", "hello", "en-us+whisper")], tmp_path)
        time.sleep(1.1)
    assert (tmp_path / "first.wav").read_bytes() == (tmp_path / "second.wav").read_bytes()


@pytest.mark.parametrize(
    ("text", "voice", "match"), [("hello", "xx-none", "no voice 'xx-none'"), ("", "en-us", "no sound")]
)
def test_what_cannot_be_spoken_is_told(tmp_path: Path, text: str, voice: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        speak([Utterance("a.wav", text, voice)], tmp_path)


FLITE = """
import sys, wave
arguments = sys.argv[1:]
if arguments == ["-lv"]:
    print("Voices available: slt mute awb_time")
else:
    given = dict(zip(arguments[::2], arguments[1::2]))
    with wave.open(given["-o"], "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        length = round(4000 * float(given["--setf"].partition("=")[2]))
        out.writeframes((b"\\1\\1" if given["-voice"] != "mute" else b"\\0\\0") * length)
"""


@pytest.fixture
def only_flite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which a program `flite` is installed, and nothing else that speaks."""
    program = tmp_path / "bin" / "flite"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{FLITE}", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.mark.usefixtures("only_flite")
def test_voices_that_are_installed_and_make_a_sound_are_found() -> None:
    assert programs.able("en", "hello") == ["flite/slt"]
    assert programs.able("en-us", "hello") == ["flite/slt"]
    assert programs.able("de", "hallo") == []


@pytest.mark.usefixtures("only_flite")
def test_a_program_speaks_beside_espeak_and_at_the_speed_asked_for(tmp_path: Path) -> None:
    fast, slow = (Utterance(f"{rate}.wav", "hello", "flite/slt", rate) for rate in (350, 175))
    speak([fast, Utterance("own.wav", "hello", "en-us"), slow], tmp_path)
    lengths = [len(audio.load(tmp_path / f"{name}.wav").samples) for name in ("350", "175", "own")]
    assert lengths[:2] == [2000, 4000]
    assert lengths[2] > 4000
    with pytest.raises(DataError, match="no program 'pico2wave'"):
        speak([Utterance("a.wav", "hello", "pico2wave/en-US")], tmp_path)


@pytest.mark.parametrize(
    "voice",
    ["flite/slt", "festival/kal_diphone", "pico2wave/en-US", "mbrola/mb-us1"],
)
def test_real_programs_speak(tmp_path: Path, voice: str) -> None:
    if voice not in programs.able("en", "hello"):
        pytest.skip(f"the voice {voice} is not installed")
    fast, slow = (Utterance(f"{rate}.wav", "one & two", voice, rate) for rate in (260, 130))
    speak([fast, slow], tmp_path)
    lengths = [audio.load(tmp_path / f"{rate}.wav", 16_000).samples.size for rate in (260, 130)]
    assert lengths[1] > 1.3 * lengths[0]


def test_a_voice_that_says_phonemes_says_them_as_the_text(tmp_path: Path) -> None:
    voices = [voice for voice in programs.able("en", "marvin") if programs.says_phonemes(voice)]
    if not voices:
        pytest.skip("no voice of mbrola is installed")
    speak([Utterance("text.wav", "marvin", voices[0]), Utterance("said.wav", "[[m'A@vIn]]", voices[0])], tmp_path)
    text, said = (audio.load(tmp_path / f"{name}.wav", 16_000).samples for name in ("text", "said"))
    assert len(text) == pytest.approx(len(said), rel=0.05)
