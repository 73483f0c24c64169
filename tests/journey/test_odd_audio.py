"""376 odd, rare and broken files, and mutants of good ones: a verdict for each, and never anything but `AudioError`."""

from __future__ import annotations

import csv
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from earnest import audio
from earnest.errors import AudioError

SLOWEST_S = 5.0
MOST_MEMORY_BYTES = 1 << 30

# Files of which libsndfile said "ok" and Earnest says something else, with the reason for it.
STRICTER = {
    "pocketsphinx/awful.wav": ("rejected", "1,092,676 Hz"),
    "mediafile/emptylist.mp3": ("repaired", "promises 217.04 s, 1.10 s"),
    "tinytag/vbr_xing_header_2channel.mp3": ("repaired", "promises 249.98 s, 0.11 s"),
    "tinytag/test.opus": ("repaired", "the Ogg stream lacks its last page"),
    "scipy/test-44100Hz-le-1ch-4bytes-early-eof.wav": ("repaired", "promises 0.10 s, 0.01 s"),
}
# Files of which libsndfile said "error", read because the failure was not in the file: its header states no length, and
# soundfile asked for an array of 2⁶³ samples.
MILDER = {"flac_uncommon/04 - changing bitdepth.flac": ("repaired", "does not state the length")}
# Containers libsndfile does not know and PyAV reads; those that cannot be read even so are damaged or hold no sound.
FOREIGN = (".m4a", ".mp4", ".wma", ".ape", ".mpc", ".wv", ".spx", ".dsf")
FOREIGN_REJECTED = {
    "mediafile/empty.dsf": "cannot decode",
    "mediafile/unparseable.dsf": "cannot decode",
    "mediafile/empty.wma": "cannot open",
    "mediafile/full.wma": "cannot open",
    "mediafile/image.wma": "cannot open",
    "mediafile/pure.wma": "cannot open",
    "mediafile/unparseable.wma": "cannot open",
    "mediafile/oldape.ape": "cannot open",
    "tinytag/alac_file.m4a": "no sound at all",
    "tinytag/empty_custom_field.m4a": "no sound in this",
    "tinytag/invalid_object_size.wma": "cannot open",
    "tinytag/mp4_extended_size.m4a": "cannot decode",
    "tinytag/mp4_extended_size_truncated.m4a": "cannot open",
    "tinytag/mp4_invalid_size_zero.m4a": "cannot open",
    "tinytag/mpeg4_xa9des.m4a": "no sound in this",
    "tinytag/mvhd_version_1.m4a": "no sound at all",
    "tinytag/test.m4a": "no sound at all",
    "tinytag/test2.wma": "no sound at all",
    "tinytag/xmp_empty.m4a": "no sound at all",
    "tinytag/zero_value_properties.m4a": "0 channels",
    "tinytag/zero_value_properties.spx": "cannot open",
    "tinytag/zero_value_properties.wma": "cannot open",
    "tinytag/zero_value_properties_alac.m4a": "0 channels",
}
FOREIGN_REPAIRED = {"tinytag/xmp_data.wma": "promises 2.14 s, 0.09 s"}


@pytest.fixture(scope="module")
def odd() -> Path:
    root = Path(os.environ.get("EARNEST_DATA", "/nowhere")) / "odd_audio"
    if not (root / "manifest.csv").exists():
        pytest.skip("needs EARNEST_DATA with the folder odd_audio")
    pytest.importorskip("av", reason="needs the extra [video]")
    return root


def expected(name: str, libsndfile: str) -> tuple[str, str]:
    """(status, words in the reason) for a file, from what libsndfile 1.2.2 did with it."""
    if name in STRICTER | MILDER:
        return (STRICTER | MILDER)[name]
    if libsndfile == "ok":
        return "ok", ""
    if libsndfile == "ok_empty":
        return "rejected", "no sound at all"
    if name in FOREIGN_REJECTED:
        return "rejected", FOREIGN_REJECTED[name]
    if name in FOREIGN_REPAIRED:
        return "repaired", FOREIGN_REPAIRED[name]
    return ("ok", "") if name.endswith(FOREIGN) else ("rejected", "")


def test_every_odd_file_gets_the_verdict_that_can_be_explained(odd: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (odd / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 376
    wrong = []
    for row in rows:
        begun = time.perf_counter()
        verdict = audio.examine(odd / row["path"])
        took = time.perf_counter() - begun
        status, words = expected(row["path"], row["libsndfile_1_2_2"])
        if verdict.status != status or words not in (verdict.reason or "") or took > SLOWEST_S:
            wrong.append(f"{row['path']}: {verdict} in {took:.1f} s; expected {status} {words!r}")
        if (verdict.status == "rejected") != bool(verdict.remedy):
            wrong.append(f"{row['path']}: a rejected file, and only one, has a remedy: {verdict}")
    assert not wrong, "\n".join(wrong)
    assert capfd.readouterr() == ("", ""), "a decoder wrote to the terminal"


def test_whole_files_have_the_length_libsndfile_gives(odd: Path) -> None:
    with (odd / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["frames"] not in ("", "0")]
    for row in rows:
        if row["path"] in STRICTER:
            continue
        recording = audio.load(odd / row["path"], mono=False)
        assert recording.samples.shape == (int(row["channels"]), int(row["frames"])), row["path"]
        assert recording.sample_rate == int(row["rate"]), row["path"]


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, change bytes anywhere, change bytes of the header to extremes, cut out, or insert."""
    changed = bytearray(data)
    at = int(rng.integers(len(data)))
    match rng.integers(5):
        case 0:
            return data[:at]
        case 1:
            for place in rng.integers(len(data), size=rng.integers(1, 8)):
                changed[place] = rng.integers(256)
        case 2:
            for place in rng.integers(min(len(data), 200), size=rng.integers(1, 6)):
                changed[place] = rng.choice([0, 1, 127, 128, 255])
        case 3:
            del changed[at : at + rng.integers(1, 300)]
        case _:
            changed[at:at] = rng.bytes(rng.integers(1, 64))
    return bytes(changed)


def good_files(folder: Path) -> list[bytes]:
    """One second of a tone in each format libsndfile writes, and in MP4 and WebM where PyAV is there."""
    tone = (0.3 * np.sin(np.arange(16_000) / 20)).astype(np.float32)
    kinds = [(suffix, None) for suffix in (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".au", ".caf", ".w64")]
    kinds += [(".sph", None), (".rf64", None)]
    kinds += [(".wav", subtype) for subtype in ("FLOAT", "PCM_24", "IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW")]
    made = []
    for suffix, subtype in kinds:
        path = folder / f"good{suffix}"
        audio.write(path, tone, 16_000, subtype)
        made.append(path.read_bytes())
    try:
        import av
    except ImportError:
        return made
    for container_name, codec in (("mp4", "aac"), ("matroska", "aac"), ("mp4", "alac")):
        path = folder / f"good.{container_name}"
        with av.open(str(path), "w", format=container_name) as container:
            stream = container.add_stream(codec, rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            converted = av.AudioResampler(format=stream.format, layout="mono", rate=16_000).resample(frame)
            for part in (*(packet for piece in converted for packet in stream.encode(piece)), *stream.encode(None)):
                container.mux(part)
        made.append(path.read_bytes())
    return made


def loaded(path: Path, number: int) -> audio.Recording | None:
    """The recording, resampled or not, mixed or not by turns; None where it is rejected."""
    try:
        return audio.load(path, 8_000 if number % 3 == 0 else None, mono=number % 2 == 0)
    except AudioError:
        return None


def hunt(folder: Path, mutants: int, seed: int) -> None:
    """Load mutants; what comes out is finite sound with a verdict, or `AudioError`."""
    rng = np.random.default_rng(seed)
    files, path = good_files(folder), folder / "mutant.bin"
    for number in range(mutants):
        path.write_bytes(mutant(files[number % len(files)], rng) or b"\0")
        begun = time.perf_counter()
        recording = loaded(path, number)
        assert time.perf_counter() - begun < SLOWEST_S, number
        if recording is None:
            continue
        assert recording.samples.size, number
        assert np.isfinite(recording.samples).all(), number
        assert (recording.verdict.status == "repaired") <= bool(recording.verdict.reason), number
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak < MOST_MEMORY_BYTES or mutants < 1000, f"{peak:,} bytes"


def test_mutants(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hunt(tmp_path, 400, seed=1)
    assert capfd.readouterr() == ("", ""), "a decoder wrote to the terminal"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_mutants(tmp_path: Path, seed: int) -> None:
    hunt(tmp_path, 20_000, seed)
