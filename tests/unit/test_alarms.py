"""False alarms and missed words, on streams whose scores are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_bundle import LABELS, RATE, write_graph

from earnest import alarms, tasks
from earnest.alarms import Ear, Heard, Part, Rows, Spoken
from earnest.recipe import parse
from earnest.reporting.spotting import in_streams
from earnest.runtime.spotting import Gate
from earnest.scoring.alarms import THRESHOLDS, missed_share, pool, rate
from earnest.splits import Fold
from earnest.table import Table
from earnest.tasks import Listening
from earnest.training.inputs import Inputs
from earnest.training.waveforms import Waveforms

WORDS = ("low", "high")


def ear(tmp_path: Path, lengths: list[int], hop: int = 10, **listening: float) -> Ear:
    rng = np.random.default_rng(3)
    ends = np.cumsum(lengths)
    spans = np.stack([ends - lengths, ends], axis=1)
    waveforms = Waveforms((0.4 * rng.standard_normal(ends[-1])).astype(np.float32), spans, RATE)
    inputs = Inputs(20, hop, "pad", 0)
    return Ear(
        answers=alarms.in_windows(write_graph(tmp_path / "tiny.onnx"), inputs),
        window=inputs.window,
        step=inputs.hop,
        waveforms=waveforms,
        classes=np.array([0, 2, 0, 2, 1, 1, 1][: len(lengths)]),
        kinds=[None, None, None, None, "speech", "speech", "background"][: len(lengths)],
        corpora=["words"] * 4 + ["tales", "news", "noises"],
        made=frozenset({2, 3}),
        labels=LABELS,
        listening=Listening(WORDS, **{"smoothing_s": 0.0, "refractory_s": 0.0, **listening}),
    )


@pytest.mark.parametrize("hop", [7, 10, 20, 33])
def test_windows_of_a_stream_do_not_depend_on_its_pieces(tmp_path: Path, hop: int) -> None:
    listener = ear(tmp_path, [500], hop)
    sound = np.asarray(listener.waveforms[0])
    whole = listener.hear([sound])
    assert whole.ends == list(range(20, 501, hop))
    for cuts in ([3, 4, 17, 250, 499], [19, 20, 21]):
        parts = listener.hear(np.split(sound, cuts))
        assert parts.ends == whole.ends
        assert np.allclose(parts.smoothed, whole.smoothed, atol=1e-6)


def test_a_word_is_found_by_a_report_of_it_near_its_span() -> None:
    scores = np.zeros((40, 2))
    scores[11, 0] = scores[21, 1] = scores[35, 0] = 0.9  # windows end at 10, 20, …; reports at 120, 220, 360
    heard = Heard([10 * (number + 1) for number in range(40)], scores)
    spoken = Spoken(heard, rows=[7, 8], starts=[100, 200], stops=[115, 215], words=[0, 0], reach=20)
    hits, wrong = spoken.found(Gate([0, 1], 0.5, 0.4, 0))
    assert hits.tolist() == [True, False], "the second word was taken for another"
    assert wrong == 2, "that one, and the report at 360, which is near no word"
    assert spoken.found(Gate([0, 1], 0.95, 0.9, 0))[0].tolist() == [False, False]


def test_threshold_is_the_lowest_that_keeps_the_rate(tmp_path: Path) -> None:
    listener = ear(tmp_path, [100], false_alarms_per_hour=1.0)
    rows = np.zeros((60, 3))
    rows[::6, 0] = np.linspace(0.2, 0.9, 10)  # ten alarms if all are let through
    heard = Heard(list(range(20, 620, 10)), rows)
    chosen, reached = alarms._choose(listener, heard, hours=2.0)
    assert reached is True
    assert len(heard.events(listener.gate(chosen))) == 2
    lower = THRESHOLDS[THRESHOLDS.index(chosen) - 1]
    assert len(heard.events(listener.gate(lower))) == 3
    assert alarms._choose(listener, Heard([], np.zeros((0, 3))), hours=0.0) == (0.5, None)
    rows[::6, 0] = 1.0
    assert alarms._choose(listener, heard, hours=2.0) == (THRESHOLDS[-1], False)


def test_measure_counts_parts_apart(tmp_path: Path) -> None:
    listener = ear(tmp_path, [60, 60, 60, 60, 9_000, 9_000, 9_000])
    validation, test = Part([4], [0, 1]), Part([5, 6], [2, 3])
    found = alarms.measure(listener, validation, test, seed=1)
    assert found["validation"]["hours"] == pytest.approx(9 / 3600)
    assert found["test"]["hours"] == pytest.approx(18 / 3600)
    assert set(found["by_corpus"]) == {"news", "noises"}
    assert sum(count for count, _ in found["by_corpus"].values()) == found["test"]["alarms"]
    assert [row for row, _ in found["words"]] == [2, 3]
    assert len(found["curve"]) == len(THRESHOLDS)
    assert found == alarms.measure(listener, validation, test, seed=1)
    shares = [missed for _, missed in found["curve"]]
    assert shares == sorted(shares), "a higher threshold misses no fewer words"


def test_sentences_are_heard_for_their_word_instead_of_synthetic_clips(tmp_path: Path) -> None:
    listener = replace(ear(tmp_path, [60] * 7), kinds=[None, None, None, None, "said", "speech", "background"])
    assert alarms.part_of(listener, [4, 5, 6], [0, 2, 3]) == Part([5, 6], [0, 4])
    assert alarms.part_of(listener, [5, 6], [0, 2, 3]) == Part([5, 6], [0, 2, 3])


def test_background_lies_below_each_word(tmp_path: Path) -> None:
    listener = ear(tmp_path, [60, 60, 60, 60, 900, 900, 9_000])
    noise = alarms._noise(listener, [4, 6])
    assert len(noise) == 9_000
    assert np.mean(noise**2) == pytest.approx(1, rel=1e-4)
    under = alarms._under(noise, 8_990, 60, 0.5, 20.0)
    assert np.allclose(under, 0.05 * noise[np.arange(8_990, 9_050) % 9_000])
    assert not alarms._under(alarms._noise(listener, [4]), 0, 60, 0.5, 20.0).any()


def table(streams: list[str | None]) -> Table:
    frame = pl.DataFrame({"id": [f"{n}" for n in range(len(streams))], "audio": ["a.wav"] * len(streams)})
    return Table.from_frame(frame.with_columns(pl.Series("stream", streams, dtype=pl.String)), "t")


def rows(*parts: list[int]) -> Fold:
    return Fold("1", *(np.array(part, dtype=np.int64) for part in parts))


def test_streams_are_no_clips() -> None:
    whole = table([None, "speech", "only", None, "speech", None, "background", "only", "said"])
    fold = rows([0, 1, 2, 8], [3, 4], [5, 6, 7])
    keywords = tasks.find(
        parse({"corpus": "x", "model": "ds_cnn", "task": {"name": "keyword", "words": list(WORDS)}}).task
    )
    heard = alarms.divided(whole, fold, keywords)
    assert (heard.train.tolist(), heard.validation.tolist(), heard.test.tolist()) == ([0, 1], [3], [5])
    assert heard.streams == ((4,), (6, 7))
    alone = alarms.divided(whole, fold, replace(keywords, listening=Listening(WORDS, trained=False)))
    assert alone.train.tolist() == [0]
    as_they_are = alarms.divided(whole, fold, tasks.find(parse({"corpus": "x", "model": "ds_cnn"}).task))
    assert isinstance(as_they_are, Rows)
    assert (as_they_are.test.tolist(), as_they_are.streams) == ([5, 6, 7], ((), ()))


def record(fold: str, counted: int, hours: float, words: list[list[object]]) -> dict[str, object]:
    missed = sum(not hit for _, hit in words)
    part = {"alarms": counted, "hours": hours, "words": len(words), "missed": missed, "wrong": 1}
    return {
        "fold": fold,
        "alarms": {
            "threshold": 0.5,
            "reached": True,
            "validation": part,
            "test": part,
            "by_corpus": {"news": [counted, hours]},
            "words": words,
            "curve": [[counted, missed]] * len(THRESHOLDS),
        },
    }


def test_folds_are_counted_together() -> None:
    words = [[0, True], [1, False], [2, True], [3, True]]
    records = [record("1", 2, 0.5, words[:2]), {"fold": "9"}, record("2", 1, 1.0, words[2:])]
    found = pool(records, ["ann", "ann", "bob", None], WORDS, 1.0)
    assert found["point"]["alarms"] == 3
    assert found["point"]["per_hour"] == pytest.approx(2.0)
    assert found["point"]["interval"] == pytest.approx([0.61867 / 1.5, 8.76727 / 1.5], rel=1e-4)
    assert found["point"]["missed_share"] == pytest.approx(0.25)
    assert found["by_corpus"]["news"] == rate(3, 1.5)
    assert [fold["name"] for fold in found["folds"]] == ["1", "2"]
    assert found["curve"][0]["missed_share"] == pytest.approx(0.25)


def test_nothing_heard_says_so() -> None:
    assert rate(0, 0.0)["per_hour"] is None
    assert missed_share([], None)["missed_share"] is None


def test_a_point_is_said_in_words() -> None:
    words = [[row, row > 1] for row in range(8)]
    point = {**rate(4, 1.27), **missed_share(words, None)}
    said = in_streams(point)
    assert said.startswith("misses 25.0 % of 8 words (")
    assert said.endswith("gives 3.1 (0.86 to 8.1) false alarms per hour, 4 in 1.27 hours")
    assert in_streams({**rate(0, 0.0), **missed_share(words[:1], None)}).startswith("misses 100.0 % of 1 word")
    assert "nothing is known of its false alarms" in in_streams({**rate(0, 0.0), **missed_share(words, None)})
    assert in_streams({**rate(0, 2.0), **missed_share([], None)}).startswith("gives 0 (0 to 1.8) false alarms")
