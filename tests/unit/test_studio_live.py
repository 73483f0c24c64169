"""A model that listens over a WebSocket: what it says, and what it does not put up with."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import LABELS, RATE, make_bundle

pytest.importorskip("fastapi", reason="the studio is not installed: pip install 'earnest[studio]'")

from running_studio import Running, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from earnest.audio import resample
from earnest.runtime import Streamer
from earnest.studio.live import Ear

LIVE = "/api/bundles/one/live"
LIMITS: dict[str, Any] = {"live": 2, "live_ahead_s": 6.0, "live_idle_s": 1.0, "send_s": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("live")
    make_bundle(root / "runs" / "one", window=200, hop=100)
    return root


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[Running]:
    with running(folder, **LIMITS) as one:
        yield one


def speak(studio: Running, rate: int = RATE, path: str = LIVE, **more: Any) -> ClientConnection:
    headers = more.pop("headers", studio.bearer)
    return connect(f"ws://127.0.0.1:{studio.port}{path}?rate={rate}", additional_headers=headers, **more)


def sound(seconds: float, rate: int) -> np.ndarray:
    times = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 90 * times) * (1 + np.sin(2 * np.pi * 0.7 * times)) / 2).astype(np.float32)


def as_bytes(samples: np.ndarray) -> bytes:
    return np.rint(samples * 32767).astype("<i2").tobytes()


def said(connection: ClientConnection) -> list[dict[str, Any]]:
    """Everything that comes until it closes."""
    found = []
    try:
        while True:
            found.append(json.loads(connection.recv(timeout=10)))
    except ConnectionClosed:
        return found


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_what_is_heard_live_is_what_a_stream_gives(studio: Running, folder: Path, rate: int) -> None:
    samples = sound(2.0, rate)
    heard = as_bytes(samples)
    with speak(studio, rate) as connection:
        for at in range(0, len(heard), 2 * (rate // 10)):
            connection.send(heard[at : at + 2 * (rate // 10)])
        connection.send('{"end": true}')
        answers = said(connection)
        assert connection.close_code == 1000
    streamer = Streamer(folder / "runs/one/bundle")
    whole = resample(np.frombuffer(heard, "<i2").astype(np.float32) / np.float32(32768), rate, RATE)
    windows = streamer.windows(whole) + streamer.last_window()
    scores = [one for one in answers if "scores" in one]
    assert [one["time_s"] for one in scores] == [window.end / RATE for window in windows]
    assert list(scores[0]["scores"]) == list(LABELS)
    for one, window in zip(scores, windows, strict=True):
        assert list(one["scores"].values()) == pytest.approx(window.scores.tolist(), abs=1e-2 if rate != RATE else 1e-5)
    events = [one["event"] for one in answers if "event" in one]
    assert len(events) == len(windows)
    assert events[0].keys() == {"start_s", "end_s", "label", "score"}


def test_answers_come_while_one_speaks(studio: Running) -> None:
    with speak(studio) as connection:
        connection.send(as_bytes(sound(0.25, RATE)))
        assert json.loads(connection.recv(timeout=5))["time_s"] == 0.2


def test_scores_are_shown_every_40_ms_at_most(tmp_path: Path) -> None:
    ear = Ear(Streamer(make_bundle(tmp_path, window=20, hop=5)), RATE)
    times = [one["time_s"] for one in ear.hear(as_bytes(sound(1.0, RATE))) + ear.end() if "scores" in one]
    assert np.diff(times).min() >= 0.04
    assert ear.heard_s == 1.0


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (b"abc", 1008, "half a sample"),
        ("hello", 1008, "A text may only say"),
        ("[" * 100_000, 1008, "A text may only say"),
        ('{"end": 1}', 1008, "A text may only say"),
    ],
)
def test_mistakes_are_answered_with_a_reason(studio: Running, message: bytes | str, code: int, reason: str) -> None:
    with speak(studio) as connection:
        connection.send(message)
        assert reason in said(connection)[0]["error"]
        assert connection.close_code == code
        assert reason in connection.close_reason


def test_messages_of_more_than_a_mebibyte_are_not_taken(studio: Running) -> None:
    with speak(studio, 384_000) as connection:
        connection.send(bytes(2**20))
        assert "scores" in json.loads(connection.recv(timeout=10))
    with speak(studio, 384_000) as connection:
        connection.send(bytes(2**20 + 2))
        assert said(connection) == []
        assert connection.close_code == 1009


def test_a_flood_is_closed_with_a_reason(studio: Running) -> None:
    with speak(studio) as connection:
        try:
            for _ in range(100):
                connection.send(as_bytes(sound(1.0, RATE)))
        except ConnectionClosed:
            pass
        assert "faster than it lasts" in said(connection)[-1]["error"]
        assert connection.close_code == 1008


def test_a_flood_of_pings_and_empty_messages_holds_nobody_up(studio: Running) -> None:
    with speak(studio) as connection:
        for _ in range(2000):
            connection.send(b"")
            connection.ping()
        began = time.perf_counter()
        assert studio.ask("/health")[0] == 200
        assert time.perf_counter() - began < 1


def test_who_says_nothing_is_closed_with_a_reason(studio: Running) -> None:
    with speak(studio) as connection:
        assert "Nothing was heard" in said(connection)[0]["error"]
        assert connection.close_code == 1008


def test_only_so_many_speak_at_once(studio: Running) -> None:
    with speak(studio) as first, speak(studio) as second:
        for one in (first, second):
            one.send(as_bytes(sound(0.3, RATE)))
            one.recv(timeout=5)
        with speak(studio) as third:
            assert "Too many" in said(third)[0]["error"]
            assert third.close_code == 1013
    with speak(studio) as again:
        again.send(as_bytes(sound(0.3, RATE)))
        assert "scores" in json.loads(again.recv(timeout=5))


def test_a_bundle_that_there_is_not(studio: Running) -> None:
    with speak(studio, path="/api/bundles/..%2f..%2fetc/live") as connection:
        assert "There is no bundle" in said(connection)[0]["error"]
        assert connection.close_code == 1008


@pytest.mark.parametrize("query", ["", "?rate=0", "?rate=x", "?rate=1e9"])
def test_rates_that_no_sound_has(studio: Running, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{studio.port}{LIVE}{query}", additional_headers=studio.bearer)
    assert refused.value.response.status_code == 403


def test_pages_of_others_and_strangers_do_not_get_in(studio: Running) -> None:
    others = ["http://evil.example", "null", f"http://127.0.0.1:{studio.port + 1}", f"https://127.0.0.1:{studio.port}"]
    wrong = [{**studio.bearer, "Origin": origin} for origin in others]
    wrong += [{}, {"Authorization": "Bearer no"}, {"Cookie": f"earnest-{studio.port}=no"}]
    for headers in wrong:
        with pytest.raises(InvalidStatus) as refused:
            speak(studio, headers=headers)
        assert refused.value.response.status_code == 403
    own = {"Origin": studio.address, "Cookie": f"earnest-{studio.port}={studio.token}"}
    with speak(studio, headers=own) as connection:
        connection.send('{"end": true}')
        assert said(connection) == []


def test_nothing_is_compressed(studio: Running) -> None:
    with speak(studio, compression="deflate") as connection:
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers


def test_who_does_not_read_is_dropped(folder: Path) -> None:
    """A client asks for answers and reads none; the studio's buffers stay small, and in a while it is gone."""
    with running(folder, **LIMITS | {"live_ahead_s": 1e9, "live_idle_s": 60.0}) as studio:
        before = studio.resident_mb()
        connection = raw(studio)
        message = frame(as_bytes(sound(30.0, RATE)))
        connection.settimeout(1.0)
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012  # not a time-out: it was reset
            while time.monotonic() - began < 30:
                try:
                    connection.sendall(message)
                except TimeoutError:
                    continue
        assert time.monotonic() - began < 20
        connection.close()
        assert studio.ask("/health")[0] == 200
        assert studio.resident_mb() - before < 120  # the model is in memory, and what it needs


def raw(studio: Running) -> socket.socket:
    """A WebSocket by hand, whose answers nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", studio.port))
    head = f"GET {LIVE}?rate={RATE} HTTP/1.1\r\nHost: 127.0.0.1:{studio.port}\r\nUpgrade: websocket\r\n"
    head += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    connection.sendall(f"{head}Authorization: Bearer {studio.token}\r\n\r\n".encode())
    assert b"101" in connection.recv(20)
    return connection


def frame(message: bytes) -> bytes:
    """One binary frame, masked with zeros."""
    assert 126 <= len(message) < 2**16
    return bytes([0x82, 0x80 | 126]) + len(message).to_bytes(2, "big") + bytes(4) + message
