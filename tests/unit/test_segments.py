"""Recordings cut, joined and padded by hand: lengths, gaps, coverage, and what a piece inherits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earnest.errors import RecipeError
from earnest.recipe import Clips, Split
from earnest.segments import scattered, segment, without_silence
from earnest.splits import make_folds, twin_of
from earnest.table import Table
from earnest.training.inputs import Inputs
from earnest.training.waveforms import SAMPLES, Waveforms, write_spans

RATE = 10  # samples per second: a window of 1 s holds 10 samples


def decoded(cache: Path, lengths: list[int], **columns: list) -> tuple[Table, np.ndarray]:
    """Recordings r0, r1 … of these lengths; sample i of recording r is 1000 (r + 1) + i, so that none is silent."""
    cache.mkdir(exist_ok=True)
    waves = [1000 * (r + 1) + np.arange(length, dtype=np.float32) for r, length in enumerate(lengths)]
    np.concatenate(waves).astype(np.float32).tofile(cache / SAMPLES)
    ends = np.cumsum(lengths)
    write_spans(cache, np.stack([ends - lengths, ends], axis=1), RATE)
    ids = [f"r{r}" for r in range(len(lengths))]
    frame = pl.DataFrame({"id": ids, "audio": [f"/x/{name}.wav" for name in ids], **columns})
    table = Table.from_frame(frame, "made up")
    labels = sorted(set(table.column("label")))
    return table, np.eye(len(labels), dtype=np.float32)[[labels.index(label) for label in table.column("label")]]


def cut(cache: Path, rule: str, lengths: list[int], gap_s: float = 0.5, **columns: list) -> tuple[Table, list[list]]:
    """The clips' table, and the samples of each clip."""
    columns.setdefault("label", ["a"] * len(lengths))
    table, targets = decoded(cache, lengths, **columns)
    clips = Clips(window_s=1.0, segments=rule, gap_s=gap_s)
    pieces = segment(table, targets, "label", cache, clips, window=10)
    waveforms = Waveforms.open(cache)
    assert len(waveforms) == len(pieces)
    return pieces, [waveforms[row].tolist() for row in range(len(waveforms))]


def numbers(first: int, last: int) -> list[float]:
    return [float(value) for value in range(first, last)]


def test_whole_changes_nothing(tmp_path: Path) -> None:
    pieces, samples = cut(tmp_path, "whole", [25, 4])
    assert pieces.column("id").to_list() == ["r0", "r1"]
    assert samples == [numbers(1000, 1025), numbers(2000, 2004)]


def test_crop_pad_keeps_the_first_window(tmp_path: Path) -> None:
    pieces, samples = cut(tmp_path, "crop-pad", [25, 4, 10])
    assert pieces.column("id").to_list() == ["r0", "r1", "r2"]
    assert samples == [numbers(1000, 1010), numbers(2000, 2004), numbers(3000, 3010)]
    inputs = Inputs(window=10, hop=5, short="pad", smallest=1)
    covers = [inputs.windows(np.array(wave)) for wave in samples]
    assert [[len(window) for window in cover] for cover in covers] == [[10], [10], [10]]
    assert covers[1][0].tolist() == [0, 0, 0, *numbers(2000, 2004), 0, 0, 0]


def test_cut_all_makes_a_row_of_every_window(tmp_path: Path) -> None:
    pieces, samples = cut(
        tmp_path, "cut-all", [25, 4, 20], label=["a", "b", "a"], speaker=["s", "s", None], source=["x", None, "y"]
    )
    assert pieces.column("id").to_list() == ["r0#1", "r0#2", "r0#3", "r1#1", "r2#1", "r2#2"]
    assert samples[:3] == [numbers(1000, 1010), numbers(1010, 1020), numbers(1020, 1025)]
    assert samples[3:] == [numbers(2000, 2004), numbers(3000, 3010), numbers(3010, 3020)]
    assert pieces.column("recording").to_list() == ["r0", "r0", "r0", "r1", "r2", "r2"]
    assert pieces.column("label").to_list() == ["a", "a", "a", "b", "a", "a"]
    assert pieces.column("speaker").to_list() == ["s", "s", "s", "s", None, None]
    assert pieces.column("source").to_list() == ["x", "x", "x", "r1", "y", "y"]
    assert pieces.column("start_s").to_list() == [0.0, 1.0, 2.0, 0.0, 0.0, 1.0]
    assert pieces.column("end_s").to_list() == [1.0, 2.0, None, None, 1.0, None]


def test_times_of_pieces_are_those_of_the_file(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path, "cut-all", [15], start_s=[3.0], end_s=[4.5], speaker=["s"])
    assert pieces.frame.select("start_s", "end_s").rows() == [(3.0, 4.0), (4.0, 4.5)]


def test_a_speaker_alone_keeps_pieces_together_without_made_up_sources(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path, "cut-all", [25], speaker=["s"])
    assert not pieces.has("source")


def test_rows_of_one_file_stay_one_source(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path / "a", "cut-all", [10, 10, 10], audio=["/x/1.wav", "/x/1.wav", "/x/2.wav"])
    assert pieces.column("source").to_list() == ["r0", "r0", "r2"]


def test_many_pieces_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    pieces, samples = cut(tmp_path, "cut-all", [105, 3])
    assert pieces.column("id").to_list() == [*(f"r0#{n:02d}" for n in range(1, 12)), "r1#01"]
    assert pieces.column("id").to_list() == sorted(pieces.column("id").to_list())
    assert samples[10] == numbers(1100, 1105)


def test_pieces_are_found_again_after_writing_and_reading(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path / "a", "cut-all", [105, 23, 3])
    pieces.write(tmp_path / "table.parquet")
    again = Table.read(tmp_path / "table.parquet")
    assert again.hash == pieces.hash


def test_join_by_speaker_with_silence_between(tmp_path: Path) -> None:
    """Speaker s says 7 samples, 5 of silence, 10 more, 5 of silence, 4 more: 31 samples, so 4 pieces."""
    pieces, samples = cut(
        tmp_path,
        "join-by-speaker",
        [7, 12, 10, 4],
        speaker=["s", "t", "s", "s"],
        label=["a", "a", "a", "a"],
        source=["x", "y", "z", "x"],
    )
    assert pieces.column("id").to_list() == ["s/a#1", "s/a#2", "s/a#3", "s/a#4", "t/a#1", "t/a#2"]
    assert samples[0] == [*numbers(1000, 1007), 0, 0, 0]
    assert samples[1] == [0, 0, *numbers(3000, 3008)]
    assert samples[2] == [3008, 3009, 0, 0, 0, 0, 0, 4000, 4001, 4002]
    assert samples[3] == [4003]
    assert samples[4:] == [numbers(2000, 2010), numbers(2010, 2012)]
    assert pieces.column("recording").to_list() == ["s/a"] * 4 + ["t/a"] * 2
    assert pieces.column("source").to_list() == ["x+1"] * 4 + ["y"] * 2
    assert [Path(path).name for path in pieces.column("audio")] == [
        *("r0.wav", "r2.wav", "r2.wav", "r3.wav"),
        *("r1.wav", "r1.wav"),
    ]
    begins = pieces.frame.select("start_s", "end_s").rows()
    assert begins == [(0.0, None), (0.0, 0.8), (0.8, None), (0.3, None), (0.0, 1.0), (1.0, None)]


def test_only_one_and_the_same_target_is_joined(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path, "join-by-speaker", [5, 5, 5], speaker=["s"] * 3, label=["a", "b", "a"], gap_s=0.0)
    assert pieces.column("id").to_list() == ["s/a#1", "s/b#1"]
    assert pieces.column("label").to_list() == ["a", "b"]


def test_official_parts_are_not_joined(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path, "join-by-speaker", [5, 5], speaker=["s"] * 2, split=["train", "test"])
    assert pieces.column("id").to_list() == ["s/a/test#1", "s/a/train#1"]


def test_recordings_without_a_speaker_stay_alone(tmp_path: Path) -> None:
    pieces, samples = cut(tmp_path, "join-by-speaker", [5, 5], speaker=[None, "s"])
    assert pieces.column("id").to_list() == ["r0#1", "s/a#1"]
    assert samples == [numbers(1000, 1005), numbers(2000, 2005)]
    assert pieces.column("source").to_list() == ["r0", "r1"]


def test_joined_recordings_that_would_have_one_name_get_different_ones(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path, "join-by-speaker", [5, 5], speaker=["s/a", "s"], label=["b", "a/b"])
    assert sorted(pieces.column("recording")) == ["s/a/b", "s/a/b~2"]


def test_sources_that_are_joined_anywhere_are_one(tmp_path: Path) -> None:
    """Speaker s joins x and y, speaker t joins y and z: all three are one source; w stands apart."""
    pieces, _ = cut(
        tmp_path,
        "join-by-speaker",
        [5, 5, 5, 5, 5],
        speaker=["s", "s", "t", "t", "u"],
        source=["x", "y", "y", "z", "w"],
    )
    sources = dict(pieces.frame.select("speaker", "source").rows())
    assert sources == {"s": "x+2", "t": "x+2", "u": "w"}


def test_silence_as_long_as_a_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="gap_s=1"):
        cut(tmp_path, "join-by-speaker", [5, 5], speaker=["s", "s"], gap_s=1.0)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 45), min_size=1, max_size=10))
def test_cut_all_uses_every_sample_once(tmp_path_factory: pytest.TempPathFactory, lengths: list[int]) -> None:
    pieces, samples = cut(tmp_path_factory.mktemp("cut"), "cut-all", lengths)
    assert [len(wave) for wave in samples if len(wave) > 10] == []
    by_recording: dict[str, list[float]] = {}
    for recording, wave in zip(pieces.column("recording"), samples, strict=True):
        assert wave
        by_recording.setdefault(recording, []).extend(wave)
    assert by_recording == {
        f"r{r}": numbers(1000 * (r + 1), 1000 * (r + 1) + length) for r, length in enumerate(lengths)
    }


@settings(max_examples=60, deadline=None)
@given(
    recordings=st.lists(
        st.tuples(st.integers(1, 30), st.sampled_from("st"), st.sampled_from("ab")), min_size=1, max_size=10
    ),
    gap=st.integers(0, 9),
)
def test_joining_loses_and_adds_nothing_but_silence(
    tmp_path_factory: pytest.TempPathFactory, recordings: list[tuple[int, str, str]], gap: int
) -> None:
    lengths, speakers, labels = (list(values) for values in zip(*recordings, strict=True))
    cache = tmp_path_factory.mktemp("join")
    pieces, samples = cut(cache, "join-by-speaker", lengths, gap_s=gap / RATE, speaker=speakers, label=labels)
    joined: dict[str, list[float]] = {}
    for recording, wave in zip(pieces.column("recording"), samples, strict=True):
        joined.setdefault(recording, []).extend(wave)
    for name, wave in joined.items():
        rows = [r for r, (_, speaker, label) in enumerate(recordings) if f"{speaker}/{label}" == name]
        assert len(wave) == sum(lengths[r] for r in rows) + gap * (len(rows) - 1)
        assert [value for value in wave if value] == [
            value for r in rows for value in numbers(1000 * (r + 1), 1000 * (r + 1) + lengths[r])
        ]
    assert sum(value > 0 for wave in joined.values() for value in wave) == sum(lengths)


def test_pieces_of_a_recording_stay_on_one_side_and_scatter_in_the_twin(tmp_path: Path) -> None:
    lengths = [40] * 8
    labels = ["a", "b"] * 4
    pieces, _ = cut(tmp_path, "cut-all", lengths, label=labels)
    split = Split(name="group-k-fold", folds=2)
    assert scattered(pieces, make_folds(pieces, split)) == 0
    twin = twin_of(pieces, split)
    assert scattered(pieces, twin) >= 6
    assert twin.leaky
    leaky = make_folds(pieces, Split(name="random", folds=2))
    assert leaky.leaky
    assert "LEAKY" in leaky.protocol


def test_silent_pieces_are_tested_but_not_trained_on(tmp_path: Path) -> None:
    pieces, _ = cut(tmp_path, "cut-all", [40] * 4, label=["a", "b"] * 2)
    samples = np.fromfile(tmp_path / SAMPLES, np.float32)
    samples[10:20] = 0.0  # r0#2
    samples[40:49] = 0.0  # all but the last sample of r1#1
    samples.tofile(tmp_path / SAMPLES)
    before = make_folds(pieces, Split(name="group-k-fold", folds=2, validation=0.0))
    after = without_silence(before, pieces, tmp_path)
    for was, now in zip(before.folds, after.folds, strict=True):
        assert now.train.tolist() == [row for row in was.train if row != 1]
        assert now.test.tolist() == was.test.tolist()
    assert after.notes[-1] == "1 of 16 pieces are digital silence; they are tested, but not trained on."


def test_the_same_recordings_give_the_same_pieces(tmp_path: Path) -> None:
    columns = {"speaker": ["s", "t", "s"], "label": ["a", "b", "a"]}
    one, samples = cut(tmp_path / "one", "join-by-speaker", [17, 8, 22], **columns)
    two, again = cut(tmp_path / "two", "join-by-speaker", [17, 8, 22], **columns)
    assert one.hash == two.hash
    assert samples == again
