"""The audit: shared groups, identical and near-identical audio, and what must not be taken for a copy."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from earnest import _fingerprint, audio, leaks
from earnest.splits import Fold, Folds
from earnest.table import Table

RATE = 16_000
Clip = np.ndarray


def babble(rng: np.random.Generator, seconds: float) -> Clip:
    """Something like speech: a gliding pitch under formants that change from syllable to syllable, with pauses."""
    samples = int(seconds * RATE)
    syllable = np.minimum(np.arange(samples) // int(0.18 * RATE), 99)
    pitch = 120 * 2 ** np.interp(np.arange(samples), np.linspace(0, samples, 12), rng.uniform(-0.5, 0.8, 12))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = rng.uniform([300, 900, 2200], [800, 2200, 3300], (100, 3))
    clip = np.zeros(samples)
    for harmonic in range(1, 40):
        distance = (harmonic * pitch[:, None] - formants[syllable]) / 150
        clip += np.sin(harmonic * phase) * np.sum(1 / (1 + distance**2), axis=1)
    clip *= rng.uniform(0, 1, 100)[syllable] ** 2
    return (0.02 * clip + 0.002 * rng.standard_normal(samples)).astype(np.float32)


def noise(rng: np.random.Generator, seconds: float) -> Clip:
    return (0.1 * rng.standard_normal(int(seconds * RATE))).astype(np.float32)


def encoded(clip: Clip, kind: str, subtype: str, level: float) -> Clip:
    """Through a lossy codec and back; level 0 is the best quality, 1 the worst."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, subtype, format=kind, compression_level=level) as writer:
        writer.write(clip)
    file.seek(0)
    return np.asarray(soundfile.read(file, dtype="float32")[0])


COPIES: dict[str, Callable[[Clip], Clip]] = {
    "6 dB softer": lambda clip: clip * 0.5,
    "other polarity": lambda clip: -clip,
    "200 ms later": lambda clip: np.concatenate([np.zeros(3200, np.float32), clip[:-3200]]),
    "77.7 ms cut off": lambda clip: clip[1243:],
    "a second of silence around": lambda clip: np.pad(clip, (7001, 9003)),
    "middle part": lambda clip: clip[len(clip) // 5 : -len(clip) // 5],
    "Vorbis, low quality": lambda clip: encoded(clip, "OGG", "VORBIS", 0.9),
    "MP3, low quality": lambda clip: encoded(clip, "MP3", "MPEG_LAYER_III", 0.7),
    "16 → 8 → 16 kHz": lambda clip: audio.resample(audio.resample(clip, RATE, 8_000), 8_000, RATE),
    "8-bit": lambda clip: np.round(clip * 127).astype(np.float32) / 127 if np.abs(clip).max() > 0.2 else clip * 0.9,
}


def table_of(count: int, **columns: Sequence[object]) -> Table:
    frame = pl.DataFrame(
        {"id": [f"{row:04d}" for row in range(count)], "audio": [f"{row}.wav" for row in range(count)]}
    )
    return Table.from_frame(frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()}), "t")


def folds_of(*folds: tuple[Sequence[int], Sequence[int], Sequence[int]]) -> Folds:
    made = [Fold(str(n), *(np.array(rows, dtype=np.int64) for rows in fold)) for n, fold in enumerate(folds)]
    return Folds("by hand", (), tuple(made), False, ())


def audit_clips(clips: Sequence[Clip], folds: Folds | None = None, **columns: Sequence[object]) -> leaks.Audit:
    return leaks.audit(table_of(len(clips), **columns), folds, samples=clips.__getitem__, sample_rate=RATE)


@pytest.mark.parametrize("make", [babble, noise])
@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(name: str, make: Callable[[np.random.Generator, float], Clip]) -> None:
    rng = np.random.default_rng(5)
    originals = [make(rng, rng.uniform(0.6, 2.5)) for _ in range(40)]
    found = audit_clips([*originals, *(COPIES[name](clip) for clip in originals)])
    wanted = {(f"{row:04d}", f"{row + 40:04d}") for row in range(40)}
    pairs = {(first, second) for first, second, _ in found.duplicates}
    assert len(pairs & wanted) >= 38  # 95 %
    assert pairs <= wanted


def test_strangers_are_not_copies() -> None:
    rng = np.random.default_rng(1)
    clips = [babble(rng, 1.0) for _ in range(60)] + [noise(rng, 1.0) for _ in range(60)]
    assert audit_clips(clips).duplicates == ()


def test_steady_tones_are_not_copies_of_each_other() -> None:
    rng = np.random.default_rng(1)
    seconds = np.arange(RATE) / RATE
    tones = [0.3 * np.sin(2 * np.pi * 440 * seconds + phase) for phase in rng.uniform(0, 6, 10)]
    hums = [
        0.1 * sum(np.sin(2 * np.pi * 150 * k * seconds + rng.uniform(0, 6)) / k for k in range(1, 8))
        + 0.001 * rng.standard_normal(RATE)
        for _ in range(10)
    ]
    assert audit_clips(np.array([*tones, *hums], dtype=np.float32)).duplicates == ()


def test_clicks_of_one_clock_are_not_copies() -> None:
    rng = np.random.default_rng(2)
    tick = np.exp(-np.arange(160) / 20) * rng.standard_normal(160)
    clips = []
    for _ in range(30):
        clip = 0.0005 * rng.standard_normal(3 * RATE)
        for start in rng.integers(0, 3 * RATE - 200, 5):
            clip[start : start + 160] += tick * rng.uniform(0.5, 1)
        clips.append(clip.astype(np.float32))
    assert audit_clips(clips).duplicates == ()


def test_identical_audio_apart_from_zeros_at_the_ends() -> None:
    rng = np.random.default_rng(0)
    clip, other = noise(rng, 0.5), noise(rng, 0.5)
    found = audit_clips([clip, other, clip.copy(), np.pad(clip, (100, 5000))])
    kinds = {("0000", "0002", "identical"), ("0000", "0003", "identical"), ("0002", "0003", "identical")}
    assert set(found.duplicates) == kinds


def test_digital_silence_is_identical_and_says_so() -> None:
    found = audit_clips([np.zeros(800, np.float32), np.zeros(16_000, np.float32), noise(np.random.default_rng(0), 1)])
    assert found.duplicates == (("0000", "0001", "identical"),)
    assert "every sample is zero" in found.rows[0]["note"]


def test_tiny_clips_are_compared_for_identity_only() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal(size).astype(np.float32) for size in rng.integers(1, 900, 30)]
    found = audit_clips([*clips, clips[3]])
    assert found.duplicates == (("0003", "0030", "identical"),)
    assert "too short" in found.notes[0]


def test_near_silent_noise_does_not_match() -> None:
    rng = np.random.default_rng(0)
    clips = [np.round(0.6 * rng.standard_normal(RATE)).astype(np.float32) / 32768 for _ in range(30)]
    assert audit_clips(clips).duplicates == ()


def test_a_shared_stretch_is_found_and_measured() -> None:
    rng = np.random.default_rng(0)
    shared = babble(rng, 2.5)
    first = np.concatenate([babble(rng, 3.0), shared])
    second = np.concatenate([shared * 0.7, babble(rng, 3.0)])
    pair = audit_clips([first, second, babble(rng, 5.0)]).rows[0]
    assert pair["ids"] == ["0000", "0001"]
    assert pair["shared_s"] == pytest.approx(2.5, abs=0.6)


def test_leaks_count_what_stands_on_both_sides_of_a_fold() -> None:
    rng = np.random.default_rng(0)
    clip = noise(rng, 1.0)
    clips = [clip, 0.5 * clip, noise(rng, 1.0), noise(rng, 1.0)]
    labels = ["dog", "cat", "dog", "cat"]
    apart = folds_of(([0], [2], [1, 3]))
    found = audit_clips(clips, apart, label=labels)
    assert found.leaks == {"speaker": 0, "source": 0, "duplicate": 1}
    assert found.rows[0]["kind"] == "duplicate"
    assert found.rows[0]["example"] == ["0000", "0001"]
    assert found.rows[0]["labels_differ"] == ["cat", "dog"]
    # in validation it leaks as well: validation chooses the epoch
    assert audit_clips(clips, folds_of(([2], [0], [1, 3]))).leaks["duplicate"] == 1
    # both in training: a duplicate, no leak
    together = audit_clips(clips, folds_of(([0, 1], [2], [3])))
    assert together.leaks["duplicate"] == 0
    assert together.duplicates == (("0000", "0001", "near"),)
    assert together.rows[0]["kind"] == "copies"


def test_one_sound_in_many_copies_is_one_leak() -> None:
    rng = np.random.default_rng(0)
    clip, other = noise(rng, 1.0), noise(rng, 1.0)
    found = audit_clips([clip, clip, 0.5 * clip, -clip, other, other], folds_of(([0, 1, 4], [], [2, 3, 5])))
    assert found.leaks["duplicate"] == 2


def test_shared_speakers_and_sources_are_named() -> None:
    rng = np.random.default_rng(0)
    clips = [noise(rng, 0.3) for _ in range(6)]
    found = audit_clips(
        clips,
        folds_of(([0, 1], [2], [3, 4, 5]), ([3, 4], [5], [0, 1, 2])),
        speaker=["ann", "ann", "bob", "bob", "cid", None],
        source=["a", "b", "c", "d", "a", None],
    )
    assert found.leaks == {"speaker": 1, "source": 1, "duplicate": 0}
    assert (found.speakers, found.sources) == (3, 4)
    assert found.rows[0] == {
        "kind": "speaker", "value": "bob", "folds": ["0", "1"],
        "training_clips": 1, "test_clips": 1, "example": ["0002", "0003"],
    }  # fmt: skip
    assert found.rows[1]["value"] == "a"
    assert found.groups["speaker"] == {"n": 3, "smallest": 1, "largest": 2}


def test_pieces_of_one_recording_share_their_source() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"id": ["a", "b"], "audio": ["long.wav"] * 2, "start_s": [0.0, 5.0], "end_s": [1.0, 6.0]})
    table = Table.from_frame(frame, "pieces")
    clips = [noise(rng, 1.0), noise(rng, 1.0)]
    found = leaks.audit(table, folds_of(([0], [], [1])), samples=clips.__getitem__)
    assert found.leaks["source"] == 1


def test_without_copies_leaves_test_rows_whole() -> None:
    rng = np.random.default_rng(0)
    clip = noise(rng, 1.0)
    clips = [clip, 0.5 * clip, noise(rng, 1.0), noise(rng, 1.0)]
    folds = folds_of(([0, 2], [], [1, 3]), ([1, 3], [], [0, 2]), ([0, 1], [2], [3]))
    found = audit_clips(clips, folds)
    cleaned = leaks.without_copies(folds, found)
    assert [fold.train.tolist() for fold in cleaned.folds] == [[2], [3], [0, 1]]
    assert [fold.test.tolist() for fold in cleaned.folds] == [[1, 3], [0, 2], [3]]
    assert len(cleaned.notes) == 2
    assert "left out as copies" in cleaned.notes[0]
    assert audit_clips(clips, cleaned).leaks["duplicate"] == 0


def test_files_are_decoded_and_bad_ones_listed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clip = babble(rng, 1.5)
    audio.write(tmp_path / "a.wav", clip, RATE)
    audio.write(tmp_path / "b.flac", audio.resample(clip, RATE, 44_100), 44_100)
    (tmp_path / "c.wav").write_text("not audio")
    frame = pl.DataFrame({"audio": ["a.wav", "b.flac", "c.wav", "missing.wav"]})
    found = leaks.audit(Table.from_frame(frame, "files", root=tmp_path))
    assert found.duplicates == (("a.wav", "b.flac", "near"),)
    assert [entry["id"] for entry in found.rejected] == ["c.wav", "missing.wav"]
    assert all(entry["reason"] for entry in found.rejected)
    assert found.clips == 4


def test_as_dict_is_json() -> None:
    clip = noise(np.random.default_rng(0), 1.0)
    values = json.loads(json.dumps(audit_clips([clip, clip], folds_of(([0], [], [1]))).as_dict()))
    assert values["duplicates"] == [["0000", "0001", "identical"]]
    assert values["leaks"] == {"speaker": 0, "source": 0, "duplicate": 1}
    keys = {"clips", "speakers", "sources", "leaks", "duplicates", "groups", "rows", "rejected", "notes"}
    assert set(values) == keys


def test_large_sets_of_identical_clips_are_listed_against_their_first() -> None:
    clip = noise(np.random.default_rng(0), 0.3)
    found = audit_clips([clip] * 30)
    assert len(found.duplicates) == 29
    assert found.rows[0]["further_ids"] == 10


def test_a_crowd_of_copies_is_one_sound() -> None:
    clip = babble(np.random.default_rng(0), 1.0)
    clips = [clip * gain for gain in np.linspace(0.2, 1, 300)]
    found = audit_clips(clips, folds_of((range(150), [], range(150, 300))))
    assert found.leaks["duplicate"] == 1
    linked = {row for entry in found.copies for row in (*entry.first, *entry.second)}
    assert linked == set(range(300))


def test_a_full_index_is_thinned_and_still_finds_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fingerprint, "INDEX_LIMIT", 4_000)
    rng = np.random.default_rng(0)
    originals = [noise(rng, 2.0) for _ in range(20)]
    found = audit_clips([*originals, *(0.5 * clip for clip in originals)])
    assert len(found.duplicates) == 20


def data(name: str) -> Table:
    if "EARNEST_DATA" not in os.environ:
        pytest.skip("needs real recordings: set EARNEST_DATA to a folder that holds them")
    from earnest.corpora import open_table
    from earnest.errors import DataError

    try:
        return open_table(name)
    except DataError as error:
        pytest.skip(f"needs the corpus {name}: {error.message}")


# What is truly there. RAVDESS: two takes of actor 7 are one recording. ESC-10: Freesound 30322 is a new mix of 28314;
# 151080 and 151085 share two seconds (correlation 0.98 at 44.1 kHz), although they stand in folds 3 and 5.
REAL = {
    "fsdd": (set(), 10),
    "ravdess": ({("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")}, 25),
    "esc10": ({("2-28314-A", "2-30322-A"), ("3-151080-A", "5-151085-A")}, 25),
    "speech_commands": (set(), 25),
}


@pytest.mark.parametrize("name", REAL)
def test_real_corpora(name: str) -> None:
    expected, seconds = REAL[name]
    table = data(name)
    started = time.process_time()
    found = leaks.audit(table)
    assert time.process_time() - started < seconds
    assert {(first, second) for first, second, _ in found.duplicates} == expected
    assert found.rejected == ()


@pytest.mark.parametrize("name", ["ravdess", "esc10"])
def test_copies_of_real_recordings(name: str) -> None:
    rng = np.random.default_rng(0)
    table = data(name)
    rows = rng.choice(len(table), 40, replace=False)
    originals = [audio.load(table.column("audio")[int(row)], RATE).samples for row in rows]
    for copy in ("6 dB softer", "200 ms later", "Vorbis, low quality", "16 → 8 → 16 kHz"):
        found = audit_clips([*originals, *(COPIES[copy](clip) for clip in originals)])
        wanted = {(f"{row:04d}", f"{row + 40:04d}") for row in range(40)}
        assert len(wanted & {(first, second) for first, second, _ in found.duplicates}) >= 38, copy
