"""Outlines and spectrogram tiles of recordings: where sound lies in time and frequency, in blocks as in one."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from earnest.errors import AudioError, DataError
from earnest.reporting import envelopes, player, tiles

RATE = 16_000


def _write(path: Path, samples: NDArray[np.float64], rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def _shades(picture: bytes) -> NDArray[np.uint8]:
    """Palette indices of a tile, (rows, columns), from its PNG file."""
    width, height = struct.unpack(">II", picture[16:24])
    place, content = 8, b""
    while place < len(picture):
        (length,) = struct.unpack(">I", picture[place : place + 4])
        if picture[place + 4 : place + 8] == b"IDAT":
            content += picture[place + 8 : place + 8 + length]
        place += 12 + length
    lines = np.frombuffer(zlib.decompress(content), np.uint8).reshape(height, width + 1)
    return lines[:, 1:]


def test_peaks_are_the_extremes_of_equal_parts(tmp_path: Path) -> None:
    samples = np.zeros(4 * RATE)
    samples[RATE // 2], samples[3 * RATE + 10] = 0.5, -0.25
    minimum, maximum = envelopes.peaks(_write(tmp_path / "a.wav", samples), 4)
    assert maximum.tolist() == [0.5, 0, 0, 0]
    assert minimum.tolist() == [0, 0, 0, -0.25]


def test_peaks_of_a_piece_and_of_more_columns_than_steps(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.wav", np.linspace(0, 1, RATE))
    _, maximum = envelopes.peaks(path, 5, 0.5, 1.0)
    np.testing.assert_allclose(maximum, [0.6, 0.7, 0.8, 0.9, 1.0], atol=0.01)
    _, fine = envelopes.peaks(path, 50_000)
    assert len(fine) == 50_000
    assert fine[-1] == pytest.approx(1.0)


def test_a_piece_finer_than_the_outline_is_made_of_its_samples(tmp_path: Path) -> None:
    samples = np.zeros(100 * RATE)
    samples[50 * RATE + 3], samples[50 * RATE + 4] = 0.5, -0.25
    path = _write(tmp_path / "a.wav", samples)
    minimum, maximum = envelopes.peaks(path, 16, 50.0, 50.0 + 16 / RATE)  # one sample each, joined to the one before
    assert np.flatnonzero(maximum).tolist() == [3, 4]
    assert np.flatnonzero(minimum).tolist() == [4, 5]
    assert maximum[3:5].tolist() == [0.5, 0.5]
    shifted = np.ones(100 * RATE) * 0.25
    minimum, _ = envelopes.peaks(_write(tmp_path / "b.wav", shifted), 10, 99.99, 100.0)
    assert minimum.tolist() == [0.25] * 10
    assert [len(side) for side in envelopes.peaks(path, 100_000, 0, 1 / RATE)] == [100_000, 100_000]


def test_the_outline_of_a_quiet_recording_keeps_its_shape(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.wav", np.linspace(0, 1e-3, RATE))
    outline = envelopes.as_lists(*envelopes.peaks(path, 100))
    assert len(set(outline["maximum"])) == 100


def test_outline_in_blocks_equals_the_outline_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 5 * 11_025 + 77)
    whole = envelopes.envelope(_write(tmp_path / "a.wav", samples, 11_025))
    monkeypatch.setattr(envelopes, "BLOCK_S", 1)
    pieces = envelopes.envelope(_write(tmp_path / "b.wav", samples, 11_025))
    np.testing.assert_array_equal(whole.minimum, pieces.minimum)
    np.testing.assert_array_equal(whole.maximum, pieces.maximum)
    assert whole.samples == pieces.samples == len(samples)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.wav", np.full(RATE, 0.5))
    assert envelopes.envelope(path).loudest_db == pytest.approx(-6.02, abs=0.01)
    _write(path, np.full(2 * RATE, 0.25))
    assert envelopes.envelope(path).loudest_db == pytest.approx(-12.04, abs=0.01)


@pytest.mark.parametrize("scale", ["mel", "linear"])
def test_a_tone_is_brightest_in_the_row_of_its_frequency(tmp_path: Path, scale: tiles.Scale) -> None:
    hertz = 2_000
    path = _write(tmp_path / "a.wav", 0.1 * np.sin(2 * np.pi * hertz * np.arange(6 * RATE) / RATE))
    shades = _shades(tiles.tile(path, 0, 0, scale))
    share = hertz / 8_000 if scale == "linear" else np.log1p(hertz / 700) / np.log1p(8_000 / 700)
    row = tiles.HEIGHT - 1 - shades[:, 200].argmax()
    assert abs(row + 0.5 - share * tiles.HEIGHT) <= 1.5
    assert shades.max() >= 253  # a sine at the level of the loudest sample: the brightest colour, to half a decibel


def test_columns_are_ten_milliseconds_and_level_doubles_them(tmp_path: Path) -> None:
    samples = np.zeros(8 * RATE)
    samples[3 * RATE : 4 * RATE] = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    path = _write(tmp_path / "a.wav", samples)
    for level, first in [(0, 300), (1, 150)]:
        heard = np.flatnonzero(_shades(tiles.tile(path, level, 0)).mean(axis=0) > 100)
        assert abs(heard[0] - first) <= 2
        assert abs(len(heard) - 100 / 2**level) <= 4


def test_behind_the_end_is_silence_and_the_second_tile_goes_on(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 6 * RATE))
    shades = _shades(tiles.tile(path, 0, 1))
    assert shades[:, : 600 - 512].mean() > 100
    assert shades[:, 600 - 512 :].max() == 0


def test_the_overview_agrees_with_tiles_from_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rate, seconds = 2_000, 170
    tone = np.repeat([0.1, 0.5, 0.02, 0.3, 0.2], seconds * rate // 5)
    samples = tone * np.sin(2 * np.pi * 300 * np.arange(len(tone)) / rate)
    path = _write(tmp_path / "a.wav", samples, rate)
    monkeypatch.setattr(envelopes, "BLOCK_S", 7)
    assert tiles.levels(seconds) == 7
    coarse = _shades(tiles.tile(path, 5, 0))
    fine = _shades(tiles.tile(path, 4, 0))
    row = coarse.max(axis=1).argmax()
    np.testing.assert_allclose(coarse[row, 5:95], fine[row, 10:190:2], atol=4)
    top = _shades(tiles.tile(path, 6, 0))
    np.testing.assert_allclose(top[row, 5:95], coarse[row, 10:190:2], atol=4)


def test_silence_is_drawn(tmp_path: Path) -> None:
    assert _shades(tiles.tile(_write(tmp_path / "a.wav", np.zeros(RATE)), 0, 0)).max() == 0


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.wav", np.ones(RATE) * 0.1)
    for values in [(1, 0), (0, 1), (-1, 0), (0, -1), (9_999_999, 0)]:
        with pytest.raises(DataError, match="There is no tile"):
            tiles.tile(path, *values)
    with pytest.raises(DataError, match="viridis, magma, grey"):
        tiles.tile(path, 0, 0, palette="jet")
    with pytest.raises(DataError, match="100,000"):
        envelopes.peaks(path, 0)
    with pytest.raises(DataError, match="nothing between"):
        envelopes.peaks(path, 10, 2.0)
    with pytest.raises(AudioError, match="no such file"):
        tiles.tile(tmp_path / "none.wav", 0, 0)


def test_page_and_server_have_the_same_colours() -> None:
    text = player.files().joinpath("colours.js").read_text(encoding="utf-8")
    for name, colours in tiles.PALETTES.items():
        found = re.search(rf"{name}: \[([^\]]+)\]", text)
        assert found
        anchors = re.findall(r"#([0-9a-f]{6})", found[1])
        assert colours[0][:3].tobytes().hex() == anchors[0]
        assert colours[-1][:3].tobytes().hex() == anchors[-1]
        assert len(anchors) in (2, 11)
