from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import LABELS, RATE, make_bundle

from earnest import audio
from earnest.errors import AudioError, BundleError
from earnest.runtime import Bundle, Event, Predictor, Streamer
from earnest.runtime.streamer import Window

WINDOW = 20


def sound(samples: int, seed: int = 0) -> np.ndarray:
    return (0.3 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], Bundle]:
    """Hops that divide the window, that do not, equal to it and larger than it; both ways with short clips."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        (hop, short): Bundle.open(make_bundle(folder / f"{hop}-{short}", hop=hop, short=short, min_samples=4))
        for hop in (1, 7, 10, 20, 33)
        for short in ("pad", "keep")
    }


def whole(bundle: Bundle, clip: np.ndarray) -> list[Event]:
    """The events worked out from the recording as a whole, window by window."""
    predictor = Predictor(bundle)
    events = []
    for start in audio.window_starts(clip.size, bundle.window_samples, bundle.hop_samples) if clip.size else []:
        piece = clip[start : start + bundle.window_samples]
        scores = predictor.predict_samples(piece, RATE)
        events.append(Event(start / RATE, (start + piece.size) / RATE, scores.label, max(scores.scores.values())))
    return events


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_chunking_gives_the_events_of_the_whole_recording(
    bundles: dict[tuple[int, str], Bundle], data: st.DataObject
) -> None:
    bundle = bundles[data.draw(st.sampled_from(sorted(bundles)))]
    clip = sound(data.draw(st.integers(0, 130), label="samples"), seed=data.draw(st.integers(0, 3)))
    cuts = sorted(data.draw(st.lists(st.integers(0, clip.size), max_size=12), label="cuts"))
    streamer = Streamer(bundle)
    events: list[Event] = []
    for chunk in np.split(clip, cuts):
        events += streamer.feed(chunk)
    events += streamer.flush()
    assert events == whole(bundle, clip)


@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.integers(0, 90), min_size=1, max_size=4), seed=st.integers(0, 100))
def test_streams_one_after_the_other_do_not_see_each_other(
    bundles: dict[tuple[int, str], Bundle], lengths: list[int], seed: int
) -> None:
    bundle = bundles[7, "pad"]
    streamer = Streamer(bundle)
    for number, length in enumerate(lengths):
        clip = sound(length, seed + number)
        assert streamer.feed(clip) + streamer.flush() == whole(bundle, clip)


def test_sample_by_sample(bundles: dict[tuple[int, str], Bundle]) -> None:
    bundle, clip = bundles[7, "keep"], sound(75)
    streamer = Streamer(bundle)
    events = [event for index in range(clip.size) for event in streamer.feed(clip[index : index + 1])]
    assert events + streamer.flush() == whole(bundle, clip)


def test_an_event_comes_with_the_sample_that_completes_its_window(bundles: dict[tuple[int, str], Bundle]) -> None:
    streamer = Streamer(bundles[10, "pad"])
    clip = sound(35)
    assert streamer.feed(clip[:19]) == []
    (first,) = streamer.feed(clip[19:20])
    assert (first.start_s, first.end_s) == (0.0, 0.020)
    assert streamer.feed(clip[20:29]) == []
    (second,) = streamer.feed(clip[29:30])
    assert (second.start_s, second.end_s) == (0.010, 0.030)
    assert streamer.feed(clip[30:]) == []
    (last,) = streamer.flush()
    assert (last.start_s, last.end_s) == (0.015, 0.035)


def test_nothing_comes_twice_when_the_last_window_ends_with_the_stream(bundles: dict[tuple[int, str], Bundle]) -> None:
    streamer = Streamer(bundles[10, "pad"])
    assert len(streamer.feed(sound(40))) == 3
    assert streamer.flush() == []
    assert streamer.flush() == []


def test_reset_forgets(bundles: dict[tuple[int, str], Bundle]) -> None:
    streamer = Streamer(bundles[10, "pad"])
    streamer.feed(sound(47, seed=9))
    streamer.reset()
    assert streamer.flush() == []
    clip = sound(33)
    assert streamer.feed(clip) + streamer.flush() == whole(bundles[10, "pad"], clip)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros(5, dtype=np.int16), "floating point"),
        (np.zeros((5, 2), dtype=np.float32), "one channel"),
        (np.array([0.1, np.nan]), "not finite"),
        (b"\x00\x00", "floating point"),
    ],
)
def test_a_refused_chunk_leaves_the_stream_as_it_was(
    bundles: dict[tuple[int, str], Bundle], chunk: object, message: str
) -> None:
    bundle, clip = bundles[7, "pad"], sound(50)
    streamer = Streamer(bundle)
    events = streamer.feed(clip[:23])
    with pytest.raises(AudioError, match=message):
        streamer.feed(chunk)  # type: ignore[arg-type]
    assert events + streamer.feed(clip[23:].tolist()) + streamer.flush() == whole(bundle, clip)


def test_the_callers_array_may_be_used_again(bundles: dict[tuple[int, str], Bundle]) -> None:
    bundle, clip = bundles[7, "pad"], sound(50)
    streamer, buffer = Streamer(bundle), np.zeros(10, dtype=np.float32)
    events: list[Event] = []
    for start in range(0, 50, 10):
        buffer[:] = clip[start : start + 10]
        events += streamer.feed(buffer)
        buffer[:] = 1e3
    assert events + streamer.flush() == whole(bundle, clip)


def test_thresholds_of_the_bundle_and_of_the_caller(tmp_path: Path) -> None:
    clip = sound(400)
    plain = Bundle.open(make_bundle(tmp_path / "plain"))
    all_events = whole(plain, clip)
    strict = Bundle.open(make_bundle(tmp_path / "strict", thresholds=dict.fromkeys(LABELS[:2], 0.9)))
    expected = [event for event in all_events if event.label == LABELS[2] or event.score >= 0.9]
    assert 0 < len(expected) < len(all_events)
    streamer = Streamer(strict)
    assert streamer.feed(clip) + streamer.flush() == expected
    streamer = Streamer(strict, threshold=0.95)
    assert streamer.feed(clip) + streamer.flush() == [event for event in all_events if event.score >= 0.95]
    streamer = Streamer(strict, threshold=0)
    assert streamer.feed(clip) + streamer.flush() == all_events


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_out_of_range_is_refused(bundles: dict[tuple[int, str], Bundle], threshold: float) -> None:
    with pytest.raises(BundleError, match="from 0 to 1"):
        Streamer(bundles[7, "pad"], threshold=threshold)


def test_memory_stays_that_of_one_window(bundles: dict[tuple[int, str], Bundle]) -> None:
    streamer = Streamer(bundles[20, "pad"])
    held = {name: getattr(value, "nbytes", 0) for name, value in vars(streamer).items()}
    for _ in range(50):
        streamer.feed(sound(1000))
    assert {name: getattr(value, "nbytes", 0) for name, value in vars(streamer).items()} == held
    assert sum(held.values()) == 4 * WINDOW


def test_windows_are_shown_while_they_make_events(bundles: dict[tuple[int, str], Bundle]) -> None:
    bundle = bundles[(7, "pad")]
    clip = sound(90)
    streamer = Streamer(bundle, threshold=1.0)  # no window makes an event
    seen: list[Window] = []
    assert streamer.feed(clip, seen.append) + streamer.flush(seen.append) == []
    expected = streamer.windows(clip) + streamer.last_window()
    assert [(window.start, window.end) for window in seen] == [(window.start, window.end) for window in expected]
    assert all((a.scores == b.scores).all() for a, b in zip(seen, expected, strict=True))
