"""Stretches of sound: the decoder and the scores by hand, the labels of mixtures, and RTTM."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from tiny_bundle import RATE, make_bundle

from earnest.corpora import open_table
from earnest.corpora._mixing import Plan, mix, runs, speech_frames, without_short
from earnest.errors import BundleError, DataError
from earnest.formats import rttm
from earnest.runtime import Bundle, Event, Streamer
from earnest.runtime.activity import Activity, Detector, Stretch, is_activity, odd_windows
from earnest.runtime.frames import Frames, is_frames
from earnest.scoring.detection import edge_errors, frame_rates, frames_of, joined
from earnest.table import Table
from earnest.tasks import ONLY, STREAM
from earnest.tasks._scenes import Scene, chords
from earnest.tasks.detection import by_frame, stretches

# The decoder: windows of 20 samples every 10, at 1000 Hz; the middle of the first one is at 10.


def decode(scores: list[float], end: int | None = None, **numbers: float) -> list[tuple[int, int]]:
    plain = {"onset": 0.5, "offset": 0.3, "median": 1, "min_on_s": 0.0, "min_off_s": 0.0}
    detector = Detector(Activity("speech", **{**plain, **numbers}), 1000, 20, 10)  # type: ignore[arg-type]
    found = [s for n, score in enumerate(scores) for s in detector.step(20 + 10 * n, score)]
    found += detector.finish(20 + 10 * (len(scores) - 1) if end is None else end)
    return [(s.start, s.end) for s in found]


def test_a_window_speaks_for_the_hop_around_its_middle() -> None:
    assert decode([0, 0, 1, 1, 0, 0]) == [(25, 45)]


def test_a_stretch_begins_at_the_onset_and_ends_below_the_offset() -> None:
    assert decode([0, 0.4, 0.5, 0.31, 0.4, 0.29, 0.45, 0]) == [(25, 55)]


def test_ends_of_the_recording_belong_to_the_first_and_the_last_window() -> None:
    assert decode([1, 1, 0, 0]) == [(0, 25)]
    assert decode([0, 0, 1, 1], end=58) == [(25, 58)]
    assert decode([1], end=30) == [(0, 30)]


def test_short_breaks_are_bridged_and_short_stretches_left_out() -> None:
    scores = [0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]
    assert decode(scores) == [(25, 35), (45, 55), (85, 95)]
    assert decode(scores, min_off_s=0.02) == [(25, 55), (85, 95)]
    assert decode(scores, min_off_s=0.02, min_on_s=0.02) == [(25, 55)]
    assert decode(scores, min_off_s=0.1) == [(25, 95)]


def test_median_of_the_neighbours_that_there_are() -> None:
    assert decode([0, 0, 1, 0, 0, 0], median=3) == []
    assert decode([0, 0, 1, 1, 0, 1, 1, 0, 0], median=3) == [(25, 75)]
    assert decode([1, 0, 0, 0], median=3) == [(0, 15)], "two neighbours: their mean reaches the onset"


def test_a_stretch_is_told_when_it_is_over() -> None:
    detector = Detector(Activity("speech", 0.5, 0.3, 1, 0.0, 0.02), 1000, 20, 10)
    told = [detector.step(20 + 10 * n, score) for n, score in enumerate([0.9, 0.7, 0, 0, 0])]
    assert told == [[], [], [], [Stretch(0, 25, pytest.approx(0.8))], []]


def test_lost_windows_end_a_stretch() -> None:
    detector = Detector(Activity("speech", 0.5, 0.3, 1, 0.0, 0.02), 1000, 20, 10)
    assert detector.step(20, 1.0) == []
    assert detector.step(520, 1.0) == [Stretch(0, 15, 1.0)]
    assert detector.finish(530) == [Stretch(505, 530, 1.0)]


def test_odd_numbers_of_windows() -> None:
    assert [odd_windows(seconds, 1000, 10) for seconds in (0.0, 0.005, 0.01, 0.03, 0.05, 0.1)] == [1, 1, 1, 3, 5, 9]


ACTIVITY = {"label": "high", "onset": 0.6, "offset": 0.4, "median": 3, "min_on_s": 0.02, "min_off_s": 0.03}


def test_streamed_stretches_do_not_depend_on_the_pieces(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, hop=8, activity=ACTIVITY)
    assert json.loads((folder / "bundle.json").read_text())["format"] == 3
    bundle = Bundle.open(folder)
    assert bundle.activity == ACTIVITY
    sound = (0.4 * np.random.default_rng(2).standard_normal(4000)).astype(np.float32)
    streamer = Streamer(bundle)
    whole = streamer.feed(sound) + streamer.flush()
    assert len(whole) > 3
    for cuts in ([1, 700, 701, 3999], list(range(8, 4000, 8))):
        heard: list[Event] = []
        for piece in np.split(sound, cuts):
            heard += streamer.feed(piece)
        assert heard + streamer.flush() == whole
    assert all(event.label == "high" and event.end_s - event.start_s >= 0.02 for event in whole)
    assert all(a.end_s + 0.03 <= b.start_s + 1e-9 for a, b in itertools.pairwise(whole))
    other = streamer.another()
    other.feed(sound[:2000])
    assert streamer.feed(sound) + streamer.flush() == whole, "another stream has a decoder of its own"
    assert whole[-1].end_s <= 4000 / RATE


@pytest.mark.parametrize(
    "wrong",
    [
        {**ACTIVITY, "onset": 0.3},
        {**ACTIVITY, "median": 4},
        {**ACTIVITY, "min_on_s": "short"},
        {**ACTIVITY, "label": 3},
        [],
    ],
)
def test_a_manifest_with_wrong_numbers_is_refused(tmp_path: Path, wrong: object) -> None:
    assert not is_activity(wrong)
    with pytest.raises(BundleError, match="activity"):
        make_bundle(tmp_path, activity=wrong)  # type: ignore[arg-type]


def test_a_sound_that_is_no_label_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="'bark' is none of the model's labels"):
        Streamer(make_bundle(tmp_path, activity={**ACTIVITY, "label": "bark"}))


# Scores


def test_frames_by_hand() -> None:
    truth, said = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1, 0, 0, 1, 1]
    assert frame_rates(truth, said) == {"missed": 0.25, "false_alarms": 0.5, "cost": 0.75 * 0.25 + 0.25 * 0.5}
    assert frame_rates(truth, truth)["cost"] == 0
    assert frame_rates([1, 1], [0, 1]) == {"missed": 0.5, "false_alarms": None, "cost": None}
    with pytest.raises(DataError):
        frame_rates([], [])
    with pytest.raises(DataError):
        frame_rates([1], [1, 0])


def test_edges_by_hand() -> None:
    found = edge_errors([(1.0, 2.0), (3.0, 4.0)], [(1.1, 1.9), (3.4, 4.6), (9.0, 9.5)])
    assert found["onset"] == pytest.approx([0.1, 0.4])
    assert found["offset"] == pytest.approx([-0.1])
    assert (found["n"], found["found"]) == (2, 3)
    one_for_two = edge_errors([(1.0, 2.0), (1.3, 2.0)], [(1.25, 2.0)])
    assert one_for_two["onset"] == pytest.approx([-0.05]), "a found begin belongs to the nearest true one alone"


def test_frames_of_stretches() -> None:
    assert frames_of([(0.02, 0.04), (0.035, 0.05)], 6, 0.01).tolist() == [False, False, True, True, True, False]
    assert joined([(3, 4), (0, 1), (0.5, 2), (4, 5)]) == [(0, 2), (3, 5)]
    assert stretches(["0.5 1 ann", "0.9 2 bob"]) == [(0.5, 2.0)]
    with pytest.raises(DataError, match="BEGIN END LABEL"):
        stretches(["now later"])


# Mixtures

FAST = 8_000


def words(*pauses: float) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Tones of 0.3 s behind pauses, and where they are in seconds."""
    rng = np.random.default_rng(0)
    parts, at, found = [], 0.0, []
    for pause in pauses:
        parts += [1e-4 * rng.standard_normal(round(pause * FAST)), 0.3 * np.sin(np.arange(round(0.3 * FAST)))]
        found.append((at + pause, at + pause + 0.3))
        at += pause + 0.3
    return np.concatenate(parts).astype(np.float32), found


def test_energy_of_clean_speech_is_where_it_is() -> None:
    sound, true = words(0.2, 0.5, 0.05, 0.3)
    found = [(first / 100, last / 100) for first, last in runs(speech_frames(sound, FAST))]
    assert found == [pytest.approx(true[0]), pytest.approx((true[1][0], true[2][1])), pytest.approx(true[3])]
    assert not speech_frames(np.zeros(800, np.float32), FAST).any()
    assert len(speech_frames(np.zeros(10, np.float32), FAST)) == 0


def test_short_runs_become_the_other_value() -> None:
    frames = np.array([0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0], dtype=bool)
    assert without_short(frames, 2, value=True).astype(int).tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0]
    assert without_short(frames, 2, value=False).astype(int).tolist() == [0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_labels_of_a_mixture_are_where_the_speech_is() -> None:
    sound, _ = words(0.2, 0.5)
    rng = np.random.default_rng(4)
    samples, frames = mix([sound, sound, sound], None, Plan(seconds=4.0, level_db=(-20, -20)), FAST, rng)
    assert (len(samples), len(frames)) == (4 * FAST, 400)
    power = np.mean(samples.reshape(400, -1) ** 2, axis=1)
    assert power[frames].min() > 100 * power[~frames].max()
    assert np.sqrt(np.mean(samples.reshape(400, -1)[frames] ** 2)) == pytest.approx(0.1, rel=0.01)


def test_noise_lies_so_far_below_the_speech() -> None:
    sound, _ = words(0.2, 0.5)
    noise = np.random.default_rng(1).standard_normal(3 * FAST).astype(np.float32)
    plan = Plan(seconds=4.0, level_db=(-20, -20), snr_db=(10, 10))
    samples, frames = mix([sound], noise, plan, FAST, np.random.default_rng(4))
    power = np.mean(samples.reshape(400, -1)[~frames] ** 2)
    assert 10 * np.log10(0.01 / power) == pytest.approx(10, abs=0.3)
    alone, silent = mix([], noise, plan, FAST, np.random.default_rng(4))
    assert not silent.any()
    assert np.sqrt(np.mean(alone**2)) == pytest.approx(0.1, rel=0.05)
    again, _ = mix([sound], noise, plan, FAST, np.random.default_rng(4))
    assert np.array_equal(again, samples)


def test_further_talkers_and_rooms() -> None:
    sound, _ = words(0.2, 0.5)
    plan = Plan(seconds=4.0, level_db=(-20, -20), turn_db=(-6, 0))
    alone, frames = mix([sound, sound], None, plan, FAST, np.random.default_rng(4))
    both, more = mix([sound, sound], None, plan, FAST, np.random.default_rng(4), others=[[sound]])
    assert (more & frames).sum() == frames.sum() < more.sum(), "speech is where anybody speaks"
    assert not np.array_equal(both, alone)
    late = np.zeros(800, np.float32)
    late[[0, 799]] = 1.0, 0.5
    wet, same = mix(
        [sound, sound], None, plan, FAST, np.random.default_rng(4), room=lambda x: np.convolve(x, late)[: len(x)]
    )
    assert np.array_equal(same, frames), "echoes are no speech"
    power = np.mean(wet.reshape(400, -1) ** 2, axis=1)
    end = runs(frames)[0][1]
    assert power[end + 5] > 1e-4 > np.mean(alone.reshape(400, -1)[end + 5] ** 2)


def test_scenes_are_of_the_wanted_length_and_finite() -> None:
    rng = np.random.default_rng(0)
    scene, noise = Scene(FAST), rng.standard_normal(500).astype(np.float32)
    for _ in range(30):
        under = scene.noise(lambda: noise, 4_001, rng)
        room = scene.room(rng)
        sound = scene.finish(under if room is None else room(under), rng)
        assert (len(sound), sound.dtype) == (4_001, np.float32)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 1
    assert not scene.finish(np.zeros(100, np.float32), rng).any(), "silence stays silent"
    assert chords(1_000, FAST, rng).any()
    assert len(Scene(16_000).finish(np.ones(999, np.float32), rng)) == 999


# Frames


def test_where_frames_lie() -> None:
    frames = Frames(step_samples=10, reach_samples=16, first_samples=8 - 20)
    assert [frames.count(samples) for samples in (15, 16, 25, 26)] == [0, 1, 1, 2]
    assert [frames.moment(number) for number in (0, 1, 3)] == [-12, -2, 18]
    assert frames.middle(116) == 7, "its moment is 58"
    assert frames.middle(16) == 0, "the last one, where none has got as far"
    assert frames.piece(30) == (36, 30)
    assert frames.piece(34) == (36, 30)
    assert frames.piece(3) == (16, 10)
    assert Frames.of(frames.as_dict()) == frames


@pytest.mark.parametrize(
    "wrong",
    [[], {}, {"step_samples": 10, "reach_samples": 8, "first_samples": 0}]
    + [{"step_samples": 10, "reach_samples": 16, "first_samples": value} for value in (0.5, True, 10**9)],
)
def test_frames_that_cannot_be_are_refused(wrong: object) -> None:
    assert not is_frames(wrong)


def test_targets_of_frames_come_from_the_events_of_whole_recordings() -> None:
    events = ["0.5 1.0 speech", "1.5 2.0 speech"]
    base = {"audio": "a.wav", "source": "a", "split": "test", "end_s": None}
    rows = [
        {"id": "whole", "start_s": 10.0, STREAM: ONLY, "events": events, **base},
        {"id": "piece", "start_s": 10.4, STREAM: None, "events": None, **base},
    ]
    schema = {"events": pl.List(pl.String), STREAM: pl.String}
    table = Table.from_frame(pl.DataFrame(rows, schema_overrides=schema), "a")
    moments = np.array([-0.1, 0.0, 0.2, 0.65, 1.2])
    targets = by_frame(table, "label", ["other", "speech"], moments)
    place = table.column("id").to_list().index("piece")
    assert targets.shape == (2, 5, 2)
    assert targets[place, :, 1].tolist() == [0, 0, 1, 0, 1]
    assert (targets.sum(2) == 1).all()


# RTTM


def annotated(folder: Path) -> Path:
    for name in ("talk", "other"):
        soundfile.write(folder / f"{name}.wav", np.full(4_000, 0.1), 1_000)
    turns = ["SPEAKER talk 1 0.500 1.000 <NA> <NA> ann <NA> <NA>", "SPEAKER talk 1 1.2 2.0 <NA> <NA> bob <NA> <NA>"]
    (folder / "all.rttm").write_text("\n".join([";; a comment", *turns, "SPKR-INFO talk 1"]) + "\n", encoding="utf-8")
    (folder / "all.uem").write_text("talk NA 1.000 3.000\n", encoding="utf-8")
    return folder


def test_rttm_is_cut_to_the_annotated_part(tmp_path: Path) -> None:
    table = open_table(str(annotated(tmp_path)))
    assert table.column("id").to_list() == ["talk"]
    assert table.frame.select("start_s", "end_s").row(0) == (1.0, 3.0)
    assert table.column("events")[0].to_list() == ["0.000 0.500 ann", "0.200 2.000 bob"]
    assert [bad.row for bad in table.bad_rows] == ["other.wav"]


@pytest.mark.parametrize(
    "line", ["SPEAKER talk 1 soon 1.0 <NA> <NA> ann", "SPEAKER talk 1 1.0", "SPEAKER talk 1 1 -2 a b c"]
)
def test_malformed_lines_are_named(tmp_path: Path, line: str) -> None:
    (annotated(tmp_path) / "all.rttm").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        rttm.read(tmp_path)


def test_beginnings_of_the_costliest_recordings_and_of_some_in_the_middle() -> None:
    from earnest.activity import POINTS, Judge, Scored, beginnings
    from earnest.tasks import Detecting

    judge = Judge(Detecting("speech", median_s=0.0), 100, 1)
    length = 40 * 100
    middles = list(range(length))

    def recording(name: str, late_s: float) -> Scored:
        """Speech from 1 s to 3 s and from 35 s on, which is heard so much later."""
        truth = [(1.0, 3.0), (35.0, 40.0)]
        heard = [1.0 if any(a + late_s <= at / 100 < b for a, b in truth) else 0.0 for at in middles]
        return Scored(name, middles, heard, length, truth)

    shown = beginnings(judge, [recording(f"late {n}", 0.1 * n) for n in range(10)], 0.5)
    assert [one["id"] for one in shown] == ["late 9", "late 8", "late 7", "late 4", "late 3", "late 2"]
    first = shown[0]
    assert first["true"] == [[1.0, 3.0]], "what begins after 30 s is not shown"
    assert first["found"][0] == pytest.approx([1.9, 3.0], abs=0.011)
    assert first["seconds"] == 30
    assert max(first["times_s"]) <= 30
    assert len(first["times_s"]) == len(first["scores"]) <= POINTS
