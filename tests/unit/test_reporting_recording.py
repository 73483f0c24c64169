"""The page of one recording, and the verb that writes it."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earnest.cli import app
from earnest.errors import AudioError
from earnest.reporting import recording

RATE = 8_000


def _options(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="options">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    options: dict[str, Any] = json.loads(found[1])
    return options


def _sound(address: str) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(address.partition(",")[2])), dtype="int16")
    return samples, rate


def test_short_recording_lies_in_the_page_sample_by_sample(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-20_000, 20_000, (RATE, 2)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    written = recording.write(tmp_path / "a.wav", tmp_path / "a.html")
    assert (written.sound, written.beside) == ("inside, lossless", None)
    found, rate = _sound(_options(tmp_path / "a.html")["audio"])
    assert rate == RATE
    np.testing.assert_array_equal(found, samples)


def test_long_recording_brings_its_outline_and_grey_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LOSSLESS_BYTES", 1_000)
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(12 * RATE) / 3), RATE)
    written = recording.write(tmp_path / "a.wav", tmp_path / "a.html")
    options = _options(tmp_path / "a.html")
    assert written.sound == "inside, Ogg Vorbis"
    assert written.column_s == 0.01
    assert len(options["peaks"]["maximum"]) == 12 * recording.COLUMNS_PER_S
    assert [len(level) for level in options["tiles"]["pictures"]] == [3, 2, 1]
    assert len(_sound(options["audio"])[0]) == 12 * RATE


def test_sound_beside_is_found_by_its_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LOSSLESS_BYTES", 1_000)
    place = tmp_path / "a#1 你.wav"
    soundfile.write(place, np.zeros(2 * RATE), RATE)
    (tmp_path / "pages").mkdir()
    written = recording.write(place, tmp_path / "pages" / "a.html", beyond_bytes=1_000)
    assert written.beside == str(place)
    assert _options(tmp_path / "pages" / "a.html")["audio"] == "../a%231%20%E4%BD%A0.wav"


@pytest.mark.parametrize(
    ("subtype", "beside"), [("IMA_ADPCM", "page.html.ogg"), ("ULAW", "a.wav"), ("PCM_24", "a.wav")]
)
def test_a_wav_whose_samples_are_packed_is_written_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtype: str, beside: str
) -> None:
    monkeypatch.setattr(recording, "LOSSLESS_BYTES", 1_000)
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(2 * RATE) / 3), RATE, subtype)
    written = recording.write(tmp_path / "a.wav", tmp_path / "page.html", beyond_bytes=1_000)
    assert written.beside == str(tmp_path / beside)


def test_what_browsers_do_not_play_is_written_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LOSSLESS_BYTES", 1_000)
    soundfile.write(tmp_path / "a.aiff", 0.1 * np.sin(np.arange(2 * RATE) / 3), RATE)
    written = recording.write(tmp_path / "a.aiff", tmp_path / "page.html", beyond_bytes=1_000)
    assert written.beside == str(tmp_path / "page.html.ogg")
    assert soundfile.info(tmp_path / "page.html.ogg").frames == 2 * RATE


def test_names_and_labels_are_only_text(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    lane = {"name": "x", "kind": "labels", "items": [{"start_s": 0, "end_s": 1, "label": "</script><b>"}]}
    recording.write(tmp_path / "a.wav", tmp_path / "a.html", [lane])
    assert "</script><b>" not in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert _options(tmp_path / "a.html")["lanes"] == [lane]


def test_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        recording.write(tmp_path / "none.wav", tmp_path / "a.html")


def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", np.zeros(RATE), RATE)
    Path("words.txt").write_text("0.1\t0.5\thello\n", encoding="utf-8")
    Path("who.rttm").write_text("SPEAKER talk 1 0.0 0.5 <NA> <NA> ann <NA> <NA>\n", encoding="utf-8")
    done = CliRunner().invoke(
        app, ["spectrogram", "talk.wav", "--labels", "words.txt", "--labels", "who.rttm", "--json"]
    )
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["page"], told["lanes"], told["labels"]) == ("talk.html", 2, 2)
    assert [lane["name"] for lane in _options(Path("talk.html"))["lanes"]] == ["words", "speakers"]
    wrong = CliRunner().invoke(app, ["spectrogram", "talk.wav", "--labels", "talk.srt"])
    assert wrong.exit_code == 1


@pytest.mark.parametrize("place", ["talk.wav", "./talk.wav", "words.txt"])
def test_the_page_never_takes_the_place_of_what_it_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", np.zeros(RATE), RATE)
    Path("words.txt").write_text("0.1\t0.5\thello\n", encoding="utf-8")
    before = Path(place).read_bytes()
    done = CliRunner().invoke(app, ["spectrogram", "talk.wav", "--labels", "words.txt", "--out", place])
    assert done.exit_code == 1
    assert Path(place).read_bytes() == before
