"""Keywords from scores: worked by hand, and the same in any pieces of a stream."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import LABELS, RATE, make_bundle

from earnest.errors import BundleError, DataError
from earnest.runtime import Bundle, Event, Streamer
from earnest.runtime.spotting import Gate, Smoother, Spotter, Spotting, is_spotting, smoothed_windows
from earnest.scoring.poisson import at_most, rate_interval


def events(gate: Gate, *rows: tuple[float, ...], hop: int = 10) -> list[int | None]:
    return [gate.step(hop * (number + 1), np.array(row)) for number, row in enumerate(rows)]


def test_a_word_is_heard_once_until_its_score_has_fallen_below_the_release() -> None:
    gate = Gate([0], threshold=0.5, release=0.4, refractory=0)
    scores = [(0.2,), (0.5,), (0.9,), (0.45,), (0.6,), (0.39,), (0.49,), (0.5,)]
    assert events(gate, *scores) == [None, 0, None, None, None, None, None, 0]


def test_nothing_is_heard_in_the_refractory_time() -> None:
    gate = Gate([0, 1], threshold=0.5, release=0.4, refractory=25)
    scores = [(0.6, 0.1), (0.1, 0.9), (0.1, 0.9), (0.1, 0.9), (0.1, 0.9)]
    assert events(gate, *scores) == [0, None, None, 1, None], "the second word waits until 10 + 25 samples"
    gate.reset()
    assert gate.step(10, np.array([0.1, 0.9])) == 1


def test_the_best_word_is_heard_and_other_labels_never() -> None:
    gate = Gate([0, 2], threshold=0.3, release=0.2, refractory=0)
    assert gate.step(10, np.array([0.35, 0.25, 0.4])) == 2
    assert gate.step(20, np.array([0.1, 0.8, 0.1])) is None


@pytest.mark.parametrize("seed", range(20))
def test_windows_that_do_not_matter_may_be_left_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.clip(np.cumsum(rng.normal(0, 0.15, (400, 3)), axis=0) % 2 - 0.6, 0, 1)
    numbers = (0.5, float(rng.uniform(0.2, 0.5)), int(rng.integers(60)))
    one, other = Gate([0, 2], *numbers), Gate([0, 2], *numbers)
    whole = [(end, word) for end, row in enumerate(scores) if (word := one.step(end, row)) is not None]
    windows = other.matter(scores)
    some = [(int(end), word) for end in windows if (word := other.step(int(end), scores[end])) is not None]
    assert some == whole
    assert len(windows) < len(scores)
    assert len(other.matter(np.zeros((0, 3)))) == 0


def test_moving_average_begins_with_the_windows_there_are() -> None:
    smoother = Smoother(3)
    means = [float(smoother.step([score])[0]) for score in (0.9, 0.3, 0.6, 0.0)]
    assert means == pytest.approx([0.9, 0.6, 0.6, 0.3])
    smoother.reset()
    assert float(smoother.step([0.5])[0]) == 0.5


def test_smoothing_in_windows() -> None:
    spotting = Spotting(("yes",), smoothing_s=0.5)
    assert smoothed_windows(spotting, 16_000, 8_000) == 1
    assert smoothed_windows(spotting, 16_000, 320) == 25
    assert smoothed_windows(Spotting(("yes",), smoothing_s=0.0), 16_000, 320) == 1


def test_spotter_gives_label_and_smoothed_score() -> None:
    spotter = Spotter(Spotting(("yes",), smoothing_s=0.002, refractory_s=0.0), ["no", "yes"], 1000, 1)
    assert spotter.step(1, [0.6, 0.4]) is None
    assert spotter.step(2, [0.2, 0.8]) == (1, pytest.approx(0.6))
    assert spotter.step(3, [0.2, 0.8]) is None


SPOTTING = {"words": ["low", "high"], "threshold": 0.6, "release": 0.8, "smoothing_s": 0.02, "refractory_s": 0.03}


def test_streamed_keywords_do_not_depend_on_the_pieces(tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path, hop=8, spotting=SPOTTING))
    assert bundle.spotting == SPOTTING
    rng = np.random.default_rng(1)
    sound = (0.4 * rng.standard_normal(4000)).astype(np.float32)
    streamer = Streamer(bundle)
    whole = streamer.feed(sound) + streamer.flush()
    assert len(whole) > 3
    assert {event.label for event in whole} <= {"low", "high"}
    for cuts in ([1, 2, 700, 701, 3999], sorted(rng.integers(0, 4000, 60).tolist()), []):
        heard: list[Event] = []
        for piece in np.split(sound, cuts):
            heard += streamer.feed(piece)
        assert heard + streamer.flush() == whole
    steps = np.diff([event.end_s for event in whole])
    assert (steps >= 0.03 - 1e-9).all()
    assert all(event.score >= 0.6 for event in whole)


def test_the_last_window_knows_those_before_it(tmp_path: Path) -> None:
    """What is heard in the window that ends with the stream counts as heard already, if it is."""
    bundle = Bundle.open(make_bundle(tmp_path, hop=8, spotting={**SPOTTING, "words": list(LABELS), "threshold": 0.0}))
    streamer = Streamer(bundle)
    long_quiet = {**SPOTTING, "words": list(LABELS), "threshold": 0.0, "refractory_s": 3600.0}
    once = Streamer(Bundle.open(make_bundle(tmp_path / "b", hop=8, spotting=long_quiet)))
    sound = np.full(45, 0.1, np.float32)
    assert len(once.feed(sound) + once.flush()) == 1
    assert len(once.feed(sound) + once.flush()) == 1, "the next stream begins anew"
    assert streamer.feed(sound)[0].end_s == 20 / RATE


def test_a_threshold_of_the_user_goes_before_the_bundles(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, hop=8, spotting=SPOTTING)
    sound = (0.4 * np.random.default_rng(1).standard_normal(4000)).astype(np.float32)
    assert all(event.score >= 0.999 for event in Streamer(folder, threshold=0.999).feed(sound))
    assert len(Streamer(folder, threshold=0.1).feed(sound)) >= len(Streamer(folder).feed(sound))


def test_only_bundles_with_keywords_need_a_new_reader(tmp_path: Path) -> None:
    plain = json.loads((make_bundle(tmp_path / "a") / "bundle.json").read_text())
    spotting = json.loads((make_bundle(tmp_path / "b", spotting=SPOTTING) / "bundle.json").read_text())
    assert (plain["format"], spotting["format"]) == (1, 3)
    assert "spotting" not in plain
    assert Bundle.open(tmp_path / "a" / "bundle").spotting is None


@pytest.mark.parametrize(
    "wrong",
    [
        {**SPOTTING, "threshold": 1.5},
        {**SPOTTING, "words": []},
        {**SPOTTING, "words": [3]},
        {**SPOTTING, "refractory_s": -1},
        {**SPOTTING, "release": "low"},
        [],
    ],
)
def test_a_manifest_with_wrong_numbers_is_refused(tmp_path: Path, wrong: object) -> None:
    assert not is_spotting(wrong)
    with pytest.raises(BundleError, match="spotting"):
        make_bundle(tmp_path, spotting=wrong)  # type: ignore[arg-type]


def test_a_keyword_that_is_no_label_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="'alexa' is none of the model's labels"):
        Streamer(make_bundle(tmp_path, spotting={**SPOTTING, "words": ["alexa"]}))


# Rates


def test_rate_without_events_has_the_rule_of_three() -> None:
    low, high = rate_interval(0, 2.0)
    assert low == 0
    assert high == pytest.approx(-math.log(0.025) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("events", "low", "high"),  # chi-square quantiles: Garwood's table, 95 %
    [(1, 0.025318, 5.571643), (2, 0.242209, 7.224688), (5, 1.623486, 11.668332), (10, 4.795389, 18.390356)],
)
def test_rate_as_in_the_table(events: int, low: float, high: float) -> None:
    assert rate_interval(events, 1.0) == pytest.approx((low, high), abs=2e-6)


def test_rate_of_many_events() -> None:
    chi2 = pytest.importorskip("scipy.stats").chi2
    for events in (50, 1000, 20_000):
        expected = (chi2.ppf(0.025, 2 * events) / 2, chi2.ppf(0.975, 2 * events + 2) / 2)
        assert rate_interval(events, 1.0) == pytest.approx(expected, rel=1e-8)


def test_probability_of_so_many_or_fewer() -> None:
    assert at_most(0, 2.0) == pytest.approx(math.exp(-2))
    assert at_most(2, 1.0) == pytest.approx(2.5 * math.exp(-1))
    assert at_most(3, 0.0) == 1


@pytest.mark.parametrize("wrong", [(-1, 1.0, 0.95), (0, 0.0, 0.95), (0, float("nan"), 0.95), (0, 1.0, 95.0)])
def test_wrong_rates_are_refused(wrong: tuple[int, float, float]) -> None:
    with pytest.raises(DataError):
        rate_interval(*wrong)
