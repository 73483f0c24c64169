"""The audio room: what is read, what is repaired, what is rejected, and how each says so."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest import audio
from earnest._decoding.chatter import STDERR
from earnest.errors import AudioError, DataError, StorageError
from earnest.files import atomic_path, atomic_write_bytes, atomic_write_text, sha256_file

RATE = 44_100
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".caf", ".w64", ".rf64", ".sph")


def noise(seconds: float = 2.1, rate: int = RATE, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(7)
    sound = (0.1 * rng.standard_normal((channels, round(seconds * rate)))).astype(np.float32)
    return sound[0] if channels == 1 else sound


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """2.1 s of noise, 44.1 kHz mono, 16 bits."""
    path = tmp_path / "whole.wav"
    audio.write(path, noise(), RATE)
    return path


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def wav_bytes(data: bytes, *, stated: int | None = None, tag: int = 1, bits: int = 16, channels: int = 1) -> bytes:
    """A WAV of 8 kHz, its data chunk claiming `stated` bytes."""
    block = channels * bits // 8
    head = struct.pack("<HHIIHH", tag, channels, 8000, 8000 * block, block, bits)
    size = len(data) if stated is None else stated
    return (
        b"RIFF"
        + struct.pack("<I", (36 + len(data)) & 0xFFFFFFFF)
        + b"WAVEfmt \x10\0\0\0"
        + head
        + b"data"
        + struct.pack("<I", size)
        + data
    )


# ---- reading


def test_probe_reads_the_header(whole: Path) -> None:
    info = audio.probe(whole)
    assert (info.format, info.subtype, info.sample_rate, info.channels, info.frames) == (
        "WAV",
        "PCM_16",
        RATE,
        1,
        92610,
    )
    assert info.duration_s == pytest.approx(2.1)


@pytest.mark.parametrize("suffix", SOUND_SUFFIXES)
def test_a_written_file_comes_back(tmp_path: Path, suffix: str) -> None:
    path, sound = tmp_path / f"a{suffix}", noise()
    audio.write(path, sound, RATE)
    recording = audio.load(path)
    assert recording.verdict == audio.Verdict(str(path), "ok")
    assert recording.sample_rate == RATE
    assert recording.samples.dtype == np.float32
    assert recording.samples.shape == sound.shape
    if suffix not in (".ogg", ".mp3"):
        # 16 bits: half a step of rounding
        np.testing.assert_allclose(recording.samples, sound, atol=0.501 / 32768)
        audio.write(path, recording.samples, RATE)
        np.testing.assert_array_equal(audio.load(path).samples, recording.samples)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_the_quick_way_of_16_bits_gives_what_libsndfile_gives(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.wav"
    audio.write(path, noise(0.1, channels=2), RATE, subtype)
    expected, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(audio.load(path, mono=False).samples, expected.T)
    np.testing.assert_allclose(audio.load(path).samples, expected.mean(axis=1), atol=1e-7)  # float32 rounding


@pytest.mark.parametrize("suffix", SOUND_SUFFIXES)
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 0.5), (0.7, 1.3), (1.5, None)])
def test_a_piece_equals_the_same_stretch_of_the_whole(
    tmp_path: Path, suffix: str, start_s: float, end_s: float | None
) -> None:
    path = tmp_path / f"a{suffix}"
    audio.write(path, noise(), RATE)
    complete = audio.load(path).samples
    recording = audio.load(path, start_s=start_s, end_s=end_s)
    first, last = round(start_s * RATE), len(complete) if end_s is None else round(end_s * RATE)
    # mpg123 decodes in float32 and starts its filters afresh after a seek
    np.testing.assert_allclose(recording.samples, complete[first:last], atol=1e-6 if suffix == ".mp3" else 0)
    assert recording.verdict.status == "ok"


def test_channels_are_averaged_or_kept(tmp_path: Path) -> None:
    path, sound = tmp_path / "a.wav", noise(0.2, channels=3)
    audio.write(path, sound, RATE, "FLOAT")
    assert audio.load(path, mono=False).samples.shape == (3, 8820)
    np.testing.assert_allclose(audio.load(path).samples, sound.mean(axis=0), atol=1e-7)  # float32 rounding


def test_resampling_keeps_a_tone(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    audio.write(path, tone, RATE, "FLOAT")
    recording = audio.load(path, 16_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert len(recording.samples) == recording.sample_rate == 16_000
    # soxr HQ: 20 bits; the ends feel the filter's edge
    np.testing.assert_allclose(recording.samples[500:-500], expected[500:-500], atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 160, 44_101])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 16_000), (8_000, 16_000), (16_000, 8_000), (48_000, 100)])
def test_resampled_length_is_rounded_and_never_zero(samples: int, from_hz: int, to_hz: int) -> None:
    for shape in ((samples,), (2, samples)):
        result = audio.resample(np.ones(shape, np.float32), from_hz, to_hz)
        assert result.shape == (*shape[:-1], max(1, round(samples * to_hz / from_hz)))
        assert result.dtype == np.float32


def test_resampling_refuses_rates_out_of_range() -> None:
    with pytest.raises(DataError, match="Cannot resample"):
        audio.resample(np.zeros(5, np.float32), 0, 16_000)


@pytest.mark.parametrize(
    ("samples", "window", "hop", "starts"),
    [(10, 10, 5, [0]), (3, 10, 5, [0]), (20, 10, 5, [0, 5, 10]), (22, 10, 5, [0, 5, 10, 12]), (11, 10, 50, [0, 1])],
)
def test_windows_cover_the_recording(samples: int, window: int, hop: int, starts: list[int]) -> None:
    assert audio.window_starts(samples, window, hop) == starts


def test_windows_need_a_length() -> None:
    with pytest.raises(DataError, match="do not cover"):
        audio.window_starts(10, 10, 0)


# ---- repaired


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".au", ".w64", ".rf64", ".sph", ".mp3", ".ogg"])
def test_a_cut_off_file_is_repaired_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    audio.write(path, noise(6.3), RATE)
    data = path.read_bytes()
    put(path, data[: len(data) * 2 // 3])
    recording = audio.load(path)
    assert recording.verdict.status == "repaired"
    assert "truncated: the" in str(recording.verdict.reason)
    assert 2.0 < len(recording.samples) / RATE < 5.0


def test_a_cut_off_wav_states_both_lengths(whole: Path) -> None:
    put(whole, whole.read_bytes()[: 44 + 92_610])
    assert audio.examine(whole).reason == "truncated: the header promises 2.10 s, 1.05 s could be decoded"


def test_a_whole_piece_of_a_cut_off_file_is_ok(whole: Path) -> None:
    put(whole, whole.read_bytes()[: 44 + 92_610])
    assert audio.load(whole, start_s=0.2, end_s=0.9).verdict.status == "ok"
    assert "truncated" in str(audio.load(whole, start_s=0.9, end_s=1.5).verdict.reason)


@pytest.mark.parametrize("suffix", [".flac"])
def test_a_decoder_that_fails_half_way_rejects(tmp_path: Path, suffix: str) -> None:
    """libsndfile cannot tell a cut FLAC from a damaged one, and what it gave before the error is not passed on."""
    path = tmp_path / f"a{suffix}"
    audio.write(path, noise(), RATE)
    data = path.read_bytes()
    put(path, data[: len(data) // 2])
    with pytest.raises(AudioError, match="damaged or cut off"):
        audio.load(path)


@pytest.mark.parametrize("kind", [".ogg", ".opus"])
def test_ogg_pages_that_are_damaged_or_missing_are_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    audio.write(path, noise(20, rate=48_000), 48_000)
    data = path.read_bytes()
    middle = len(data) // 2
    for changed in (data[:middle] + bytes(9) + data[middle + 9 :], data[:middle] + data[middle + 6_000 :]):
        verdict = audio.examine(put(path, changed))
        assert verdict.status == "repaired"
        assert "damaged" in str(verdict.reason) or "truncated" in str(verdict.reason)


def test_an_mp3_whose_decoder_had_to_search_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    audio.write(path, noise(5), RATE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(3).bytes(3000)
    verdict = audio.examine(put(path, bytes(data)))
    assert verdict.status == "repaired"
    assert "damaged data" in str(verdict.reason)


@pytest.mark.parametrize("stated", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_streamed_wav_is_read_to_its_end(tmp_path: Path, stated: int) -> None:
    data = (1000 * np.sin(np.arange(16_000))).astype("<i2").tobytes()
    recording = audio.load(put(tmp_path / "a.wav", wav_bytes(data, stated=stated)))
    assert len(recording.samples) == 16_000
    assert recording.verdict.reason == "the header does not state the length: 2.00 s could be decoded"


def test_an_empty_data_chunk_before_other_chunks_is_empty_and_not_streamed(tmp_path: Path) -> None:
    path = put(tmp_path / "a.wav", wav_bytes(b"") + b"LIST\x0c\0\0\0INFOISFT\0\0\0\0")
    with pytest.raises(AudioError, match="no sound at all"):
        audio.load(path)


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    audio.write(path, noise(), RATE)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)  # STREAMINFO: total samples, 36 bits
    recording = audio.load(put(path, bytes(data)))
    assert len(recording.samples) == 92_610
    assert "does not state the length" in str(recording.verdict.reason)


def test_samples_that_are_no_numbers_become_zero(tmp_path: Path) -> None:
    sound = noise(0.1)
    sound[[3, 5, 7]] = np.nan, np.inf, -1e30
    path = put(tmp_path / "a.wav", wav_bytes(sound.astype("<f4").tobytes(), tag=3, bits=32))
    recording = audio.load(path)
    assert recording.samples[[3, 5, 7]].tolist() == [0.0, 0.0, 0.0]
    assert recording.samples[4] == sound[4]
    assert recording.verdict.status == "repaired"
    assert str(recording.verdict.reason).startswith("3 of 4,410 samples are NaN, infinite")


def test_loud_and_silent_files_are_ok(tmp_path: Path) -> None:
    loud = audio.load(put(tmp_path / "loud.wav", wav_bytes((noise(0.1) * 500).astype("<f4").tobytes(), tag=3, bits=32)))
    assert loud.verdict.status == "ok"
    assert loud.samples.max() > 20
    silent = audio.load(put(tmp_path / "silent.wav", wav_bytes(bytes(1600))))
    assert (silent.verdict.status, silent.verdict.reason) == ("ok", "digital silence: every sample is 0")


def test_a_piece_longer_than_its_recording_is_repaired(whole: Path) -> None:
    assert audio.load(whole, start_s=1.0, end_s=2.105).verdict.status == "ok"  # rounding in a table
    verdict = audio.load(whole, start_s=1.0, end_s=3.0).verdict
    assert verdict.reason == "the piece should end at 3.00 s, the recording ends at 2.10 s"


# ---- rejected


def rejection(path: Path | str, **piece: float) -> AudioError:
    with pytest.raises(AudioError) as caught:
        audio.load(path, **piece)
    assert caught.value.remedy
    assert caught.value.path in str(caught.value)
    verdict = audio.examine(path)
    if not piece:
        assert verdict.status == "rejected"
        assert (verdict.reason, verdict.remedy) == (caught.value.reason, caught.value.remedy)
    json.dumps(verdict.as_dict()).encode("utf-8")
    str(caught.value).encode("utf-8")
    return caught.value


def test_places_that_are_no_file(tmp_path: Path) -> None:
    assert "no such file" in rejection(tmp_path / "nowhere.wav").reason
    assert "folder" in rejection(tmp_path).reason
    assert "null character" in rejection(f"{tmp_path}/a\0b.wav").reason
    assert "cannot be read" in rejection(tmp_path / ("x" * 5000)).reason
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    assert "cannot be read" in rejection(tmp_path / "loop.wav").reason
    assert "empty" in rejection(put(tmp_path / "empty.wav", b"")).reason


def test_pipes_and_devices_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert "pipe or a device" in rejection(tmp_path / "pipe.wav").reason
    assert "pipe or a device" in rejection("/dev/zero").reason


def test_a_file_that_may_not_be_read(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "permission denied" in rejection(whole).reason


@pytest.mark.parametrize("name", ["ä ö 你好 🎵.wav", "a\nb.wav", "-n.wav", "bad\udcff\udc80.wav"])
def test_any_file_name_is_read_and_printable(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(0.1), RATE, format="WAV")
    path = tmp_path / name
    try:
        path.write_bytes(buffer.getvalue())
    except OSError:
        pytest.skip("this file system does not take such names")
    verdict = audio.examine(path)
    assert verdict.status == "ok"
    verdict.path.encode("utf-8")
    put(path, b"no sound")
    rejection(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,label\na.wav,dog\n", "no audio format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no audio format"),
        (b"ID3\x03\0\0\0\0\0\x10" + bytes(64), "cannot open"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "cannot open"),
        (b"OggS" + bytes(60), "cannot open"),
        (b"\0", "no audio format"),
    ],
)
def test_content_that_is_no_audio(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in rejection(put(tmp_path / "a.wav", content)).reason


def test_raw_samples_are_rejected_with_the_way_out(tmp_path: Path) -> None:
    error = rejection(put(tmp_path / "a.raw", bytes(3200)))
    assert "ffmpeg -f s16le" in str(error.remedy)


@pytest.mark.parametrize(("at", "value", "words"), [(22, 65, "65 channels"), (24, 384_001, "384,001 Hz")])
def test_channels_and_rates_out_of_range(tmp_path: Path, at: int, value: int, words: str) -> None:
    data = bytearray(wav_bytes(bytes(13_000), channels=65 if at == 22 else 1))
    if at == 24:
        data[24:28] = struct.pack("<I", value)
    assert words in rejection(put(tmp_path / "a.wav", bytes(data))).reason


def test_nothing_but_nan_is_rejected(tmp_path: Path) -> None:
    data = np.full(800, np.nan, "<f4").tobytes()
    assert "every sample is NaN" in rejection(put(tmp_path / "a.wav", wav_bytes(data, tag=3, bits=32))).reason


@pytest.mark.parametrize("piece", [{"start_s": 2.2}, {"start_s": 5.0, "end_s": 6.0}])
def test_a_piece_behind_the_end(whole: Path, piece: dict[str, float]) -> None:
    assert "behind the end" in rejection(whole, **piece).reason


@pytest.mark.parametrize(
    "piece",
    [{"start_s": 1.0, "end_s": 1.0}, {"start_s": 2.0, "end_s": 1.0}, {"start_s": -1.0}, {"start_s": float("nan")}],
)
def test_a_piece_that_is_none(whole: Path, piece: dict[str, float]) -> None:
    assert "there is no piece" in rejection(whole, **piece).reason


LIMITED = """
import resource, sys
from earnest import audio
audio.load(sys.argv[2])  # the libraries are loaded
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
print(audio.examine(sys.argv[1]).reason)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit memory")
def test_an_absurd_length_takes_no_memory(tmp_path: Path, whole: Path) -> None:
    """A FLAC that claims 2³⁶ - 1 samples: 256 GiB where the header is believed; this process has 300 MiB left."""
    path = tmp_path / "a.flac"
    audio.write(path, noise(), RATE)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    put(path, bytes(data))
    command = [sys.executable, "-c", LIMITED, str(path), str(whole)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "damaged or cut off" in done.stdout or "truncated" in done.stdout


def test_too_long_a_file_is_refused_before_decoding(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earnest._decoding.sndfile.MAX_SAMPLES", 90_000)
    error = rejection(whole)
    assert "92,610 samples over all channels" in error.reason
    assert "start_s" in str(error.remedy)
    assert audio.load(whole, start_s=0.1, end_s=1.0).verdict.status == "ok"


def test_resampling_a_slow_file_upwards_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(wav_bytes(bytes(range(200)) * 2))
    data[24:28] = struct.pack("<I", 1)  # 1 Hz: each sample becomes 16,000
    path = put(tmp_path / "a.wav", bytes(data))
    assert len(audio.load(path, 16_000).samples) == 200 * 16_000
    monkeypatch.setattr("earnest._decoding.gather.MAX_SAMPLES", 1_000_000)
    with pytest.raises(AudioError, match="3,200,000 samples"):
        audio.load(path, 16_000)


# ---- PyAV


@pytest.fixture
def m4a(tmp_path: Path) -> Path:
    """20 s of noise as AAC in MP4, with its index in front."""
    av = pytest.importorskip("av", reason="needs the extra [video]")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise(20)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for part in (*stream.encode(frame), *stream.encode(None)):
            container.mux(part)
    return path


def test_m4a_is_read_with_pyav(m4a: Path) -> None:
    info = audio.probe(m4a)
    assert (info.format, info.subtype, info.sample_rate, info.channels) == ("MP4/M4A", "AAC", RATE, 1)
    assert info.duration_s == pytest.approx(20, abs=0.05)
    recording = audio.load(m4a)
    assert recording.verdict.status == "ok"
    for start_s, end_s in ((0.0, 0.5), (3.0, 4.25), (15.5, 16.5), (18.0, 19.5)):
        piece = audio.load(m4a, start_s=start_s, end_s=end_s).samples
        first = round(start_s * RATE)
        np.testing.assert_array_equal(piece, recording.samples[first : first + len(piece)])


def test_a_cut_off_m4a_is_repaired(m4a: Path) -> None:
    put(m4a, m4a.read_bytes()[: m4a.stat().st_size // 2])
    recording = audio.load(m4a)
    assert "truncated" in str(recording.verdict.reason)
    assert 8 < len(recording.samples) / RATE < 12


def test_a_missing_pyav_names_the_extra(m4a: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert "pip install 'earnest[video]'" in str(rejection(m4a).remedy)


# ---- chatter of decoders


@pytest.mark.parametrize("suffix", SOUND_SUFFIXES)
def test_nothing_reaches_the_terminal(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"a{suffix}"
    audio.write(path, noise(), RATE)
    data = path.read_bytes()
    for end in (len(data), len(data) // 2, len(data) // 3):
        audio.examine(put(path, data[:end] + bytes(200)))
    assert capfd.readouterr() == ("", "")


def test_what_a_decoder_said_is_in_the_reason(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.mp3", noise(), RATE)
    frame = (tmp_path / "a.mp3").read_bytes()[:300]
    assert "mpg123" in rejection(put(tmp_path / "b.mp3", frame)).reason


def test_listeners_in_threads_share_the_detour(capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[list[str]] = [[] for _ in range(8)]
    together = threading.Barrier(8)

    def listen(number: int) -> None:
        together.wait()
        with STDERR.captured(heard[number]):
            os.write(2, f"from {number}\n".encode())

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"from {number}" in heard[number] for number in range(8))
    assert capfd.readouterr().err == ""
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


# ---- writing


def test_writing_is_whole_or_not_at_all(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = whole.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        StorageError, match=r"whole.wav: the disk is full \([\d,]+ bytes are needed, [\d,]+ bytes are free"
    ):
        audio.write(whole, noise(), RATE)
    assert whole.read_bytes() == before
    assert [path.name for path in whole.parent.iterdir()] == ["whole.wav"]


@pytest.mark.parametrize(
    ("name", "samples", "words"),
    [
        ("a.wav", np.zeros(0, np.float32), "shape"),
        ("a.wav", np.zeros((65, 3), np.float32), "shape"),
        ("a.wav", np.array([0.0, np.nan], np.float32), "NaN"),
        ("a.xyz", np.zeros(10, np.float32), "cannot write"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, samples: np.ndarray, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        audio.write(tmp_path / name, samples, 8000)
    assert list(tmp_path.iterdir()) == []


def test_atomic_files(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    atomic_write_text(target, "grüße\n")
    assert target.read_bytes() == "grüße\n".encode()
    atomic_write_bytes(target, b"abc")
    assert sha256_file(target) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half" * (1 // 0))
    assert target.read_bytes() == b"abc"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    put(tmp_path / "file", b"")
    with pytest.raises(StorageError, match="Cannot write"):
        atomic_write_text(tmp_path / "file" / "a.txt", "")


def test_importing_is_quick_and_brings_no_decoder() -> None:
    code = "import sys, earnest.audio; print(*({'soundfile', 'soxr', 'av', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
