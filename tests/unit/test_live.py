"""Streams that arrive by themselves: many at once, with gaps, from pipes and from a microphone."""

from __future__ import annotations

import io
import sys
import threading
import types
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tiny_bundle import RATE, make_bundle

from earnest.errors import AudioError, MissingExtra
from earnest.runtime import Bundle, Event, Listener, Piece, Streamer, live

HOP, WINDOW = 7, 20


@pytest.fixture(scope="module")
def streamer(tmp_path_factory: pytest.TempPathFactory) -> Streamer:
    return Streamer(Bundle.open(make_bundle(tmp_path_factory.mktemp("live") / "bundle", hop=HOP)))


def sound(samples: int, seed: int = 0) -> np.ndarray:
    return (0.3 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def events_of(streamer: Streamer, clip: np.ndarray) -> list[Event]:
    alone = streamer.another()
    return alone.feed(clip) + alone.flush()


def heard(streamer: Streamer, pieces: Iterator[Piece] | list[Piece]) -> tuple[dict[str, list[Event]], Listener]:
    found: dict[str, list[Event]] = {}
    listener = Listener(streamer, lambda stream, event: found.setdefault(stream, []).append(event))
    listener.listen(pieces)
    return found, listener


def test_many_streams_at_once_hear_what_each_would_hear_alone(streamer: Streamer) -> None:
    clips = [(f"room {number}", sound(50 + 9 * number, number)) for number in range(5)]
    found, _ = heard(streamer, live.recordings(clips, RATE))
    assert found == {name: events_of(streamer, clip) for name, clip in clips}


def test_a_gap_is_silence_that_keeps_the_times_right(streamer: Streamer) -> None:
    before, after, lost = sound(33), sound(45, 1), 15
    found, listener = heard(streamer, [Piece("a", before), Piece("a", after, lost=lost)])
    assert found["a"] == events_of(streamer, np.concatenate([before, np.zeros(lost, np.float32), after]))
    assert listener.lost_s == {"a": lost / RATE}


@pytest.mark.parametrize("lost", [WINDOW, WINDOW + 1, 100, 101, 106, 10_000_003])
def test_windows_within_a_long_gap_are_left_out(streamer: Streamer, lost: int) -> None:
    before, after = sound(33), sound(45, 1)
    found, _ = heard(streamer, [Piece("a", before), Piece("a", after, lost=lost)])
    short = lost if lost < 1000 else lost % HOP + 10 * HOP  # windows lie where they would, so only the rest matters
    full = events_of(streamer, np.concatenate([before, np.zeros(short, np.float32), after]))
    shift = (lost - short) / RATE
    resumed = 33 + lost
    kept = [e for e in full if e.start_s * RATE < 33 or (e.end_s + shift) * RATE > resumed + 1e-6]
    times = [e.start_s + (shift if (e.end_s + shift) * RATE > resumed + 1e-6 else 0) for e in kept]
    real = [e for e in found["a"] if e.start_s * RATE < 33 or e.end_s * RATE > resumed + 1e-6]
    assert [e.start_s for e in real] == pytest.approx(times)
    assert [e.score for e in real] == [e.score for e in kept]


def test_every_channel_of_a_pipe_is_a_stream(streamer: Streamer) -> None:
    left, right = (np.clip(sound(60, seed) * 32768, -32768, 32767).astype("<i2") for seed in (1, 2))
    raw = np.stack([left, right], axis=1).tobytes() + b"\x01"
    found, _ = heard(streamer, live.pipe(io.BytesIO(raw), RATE, RATE, channels=2))
    for name, samples in (("channel 1", left), ("channel 2", right)):
        assert found[name] == events_of(streamer, samples.astype(np.float32) / np.float32(32768))


def test_a_pipe_at_another_rate_is_as_long(streamer: Streamer) -> None:
    raw = np.clip(sound(50 * RATE) * 32768, -32768, 32767).astype("<i2").tobytes()
    pieces = list(live.pipe(io.BytesIO(raw), RATE, 2 * RATE))
    assert sum(piece.samples.size for piece in pieces) == pytest.approx(25 * RATE, abs=2)
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]


class FakeSound(types.ModuleType):
    """What is used of sounddevice: a stream that calls back from a thread of its own."""

    class PortAudioError(Exception):
        pass

    def __init__(self, play: Callable[[Callable[..., None], int], None]) -> None:
        super().__init__("sounddevice")
        outer = self

        class InputStream:
            def __init__(self, *, samplerate: int, channels: int, dtype: str, blocksize: int, callback: object) -> None:
                if outer.broken:
                    raise outer.PortAudioError("Error querying device -1")
                self.thread = threading.Thread(target=play, args=(callback, blocksize))

            def __enter__(self) -> None:
                self.thread.start()

            def __exit__(self, *_: object) -> None:
                self.thread.join()

        self.InputStream = InputStream
        self.broken = False


def fine() -> types.SimpleNamespace:
    return types.SimpleNamespace(input_overflow=False)


def test_a_microphone_that_goes_away_is_told(streamer: Streamer, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = sound(60)

    def play(callback: Callable[..., None], size: int) -> None:
        for start in range(0, 60, size):
            callback(clip[start : start + size, None], size, None, fine())

    monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(play))
    monkeypatch.setattr(live, "SILENT_S", 0.2)
    found: list[Event] = []
    with pytest.raises(AudioError, match="delivered nothing for"):
        Listener(streamer, lambda stream, event: found.append(event)).listen(live.microphone(RATE))
    assert found == streamer.another().feed(clip)


def test_what_the_microphone_says_too_fast_is_counted(streamer: Streamer, monkeypatch: pytest.MonkeyPatch) -> None:
    full, emptied = threading.Event(), threading.Event()

    def play(callback: Callable[..., None], size: int) -> None:
        for _ in range(8):
            callback(np.ones((size, 1), np.float32), size, None, fine())
        full.set()
        emptied.wait(timeout=10)
        callback(np.ones((size, 1), np.float32), size, None, fine())

    monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(play))
    monkeypatch.setattr(live, "WAITING_S", 3 * live.CHUNK_S)
    pieces = live.microphone(RATE)
    taken = [next(pieces)]
    full.wait()
    taken += [next(pieces) for _ in range(2)]  # there is room again
    emptied.set()
    while not taken[-1].lost:
        taken.append(next(pieces))
    size = max(1, round(live.CHUNK_S * RATE))
    assert taken[-1].lost > 0
    assert sum(piece.samples.size + piece.lost for piece in taken) == 9 * size
    pieces.close()


def test_no_microphone_and_no_library_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module = FakeSound(lambda callback, size: None)
    module.broken = True
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    with pytest.raises(AudioError, match="Connect a microphone"):
        next(live.microphone(RATE))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match="mic"):
        next(live.microphone(RATE))
