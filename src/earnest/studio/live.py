"""A model that listens while someone speaks: sound comes in over a WebSocket, scores and events go back.

    16-bit samples at the browser's rate ─ resampled as a stream ─ Streamer ─► {"time_s", "scores"}, {"event"}

Nothing waits in a queue: a message is heard before the next one is taken from the connection, so a sender that is too
fast is slowed down, and one that runs away from the clock is closed with a reason. So is one that falls silent, and one
that does not read its answers.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from earnest.errors import EarnestError
from earnest.studio.folder import find
from earnest.studio.guard import part
from earnest.studio.limits import Limits
from earnest.studio.state import Studio

if TYPE_CHECKING:
    from earnest.runtime.streamer import Streamer, Window

router = APIRouter()
FULL_SCALE = 32768.0
BETWEEN_S = 0.04  # of sound between two answers with scores; a model that answers for frames has a hundred a second
DONE, GOING, NO, TOO_MUCH, LATER = 1000, 1001, 1008, 1009, 1013  # reasons for closing, RFC 6455 section 7.4.1


@dataclass
class Models:
    """Models in memory, each once, for as long as someone speaks to it."""

    _held: dict[Path, tuple[Streamer, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, path: Path) -> Streamer:
        """A stream of its own through a model; give it back with `leave`.

        Raises
        ------
        BundleError : the bundle is damaged or does not load.
        """
        from earnest.runtime import Streamer

        with self._lock:
            streamer, users = self._held.get(path) or (Streamer(path), 0)
            self._held[path] = streamer, users + 1
        return streamer.another()

    def leave(self, path: Path) -> None:
        """Nobody needs this stream any more."""
        with self._lock:
            streamer, users = self._held.pop(path)
            if users > 1:
                self._held[path] = streamer, users - 1


class Ear:
    """One stream of sound through one model.

    Parameters
    ----------
    streamer : a stream of its own.
    rate : of what comes in, in hertz.
    """

    def __init__(self, streamer: Streamer, rate: int) -> None:
        self.streamer, self.rate = streamer, rate
        bundle = streamer.bundle
        self.heard_s = 0.0
        self._shown_s = -BETWEEN_S
        self._labels, self._own_rate = bundle.labels, bundle.sample_rate
        self._resample: Any = None
        if rate != bundle.sample_rate:
            import soxr

            self._resample = soxr.ResampleStream(rate, bundle.sample_rate, 1, dtype="float32", quality="HQ")

    def hear(self, message: bytes) -> list[dict[str, Any]]:
        """Take 16-bit samples, little-endian, one channel; the answers are scores and events.

        Raises
        ------
        BundleError : the model fails.
        """
        samples = np.frombuffer(message, dtype="<i2").astype(np.float32) / np.float32(FULL_SCALE)
        self.heard_s += samples.size / self.rate
        return self._feed(samples, last=False)

    def end(self) -> list[dict[str, Any]]:
        """No more sound: what is left in the resampler and in the model."""
        answers = self._feed(np.zeros(0, np.float32), last=True)
        events = self.streamer.flush(lambda window: self._show(window, answers))
        return answers + [{"event": event.as_dict()} for event in events]

    def _feed(self, samples: np.ndarray, *, last: bool) -> list[dict[str, Any]]:
        if self._resample is not None:
            samples = self._resample.resample_chunk(samples, last=last)
        answers: list[dict[str, Any]] = []
        events = self.streamer.feed(samples, lambda window: self._show(window, answers))
        return answers + [{"event": event.as_dict()} for event in events]

    def _show(self, window: Window, answers: list[dict[str, Any]]) -> None:
        """Add the scores of a window, unless some were shown a moment before."""
        time_s = window.end / self._own_rate
        if time_s - self._shown_s >= BETWEEN_S:
            self._shown_s = time_s
            scores = dict(zip(self._labels, (round(float(score), 5) for score in window.scores), strict=True))
            answers.append({"time_s": round(time_s, 4), "scores": scores})


@dataclass
class Live:
    """Everyone who speaks to a model of this studio now."""

    limits: Limits
    models: Models = field(default_factory=Models)
    speaking: int = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[bool]:
        """Whether there is room for one more speaker, for as long as the block lasts."""
        room = self.speaking < self.limits.live
        self.speaking += room
        try:
            yield room
        finally:
            self.speaking -= room

    @asynccontextmanager
    async def ear(self, path: Path, rate: int) -> AsyncIterator[Ear]:
        """A model that listens.

        Raises
        ------
        BundleError : the bundle is damaged or does not load.
        """
        streamer = await run_in_threadpool(self.models.take, path)
        try:
            yield Ear(streamer, rate)
        finally:
            self.models.leave(path)


@router.websocket("/api/bundles/{bundle}/live")
async def listen(socket: WebSocket, bundle: str, rate: Annotated[int, Query(ge=1000, le=384_000)]) -> None:
    """Hear 16-bit samples (little-endian, one channel, `rate` Hz) and answer with scores and events as JSON."""
    studio: Studio = socket.app.state.studio
    live: Live = socket.app.state.live
    await socket.accept()
    try:
        async with live.place() as room:
            if not room:
                await _close(socket, live.limits, LATER, "Too many are speaking at once; try again in a while.")
                return
            path = await run_in_threadpool(lambda: find(studio.folder.bundles(), part(bundle), "bundle"))
            async with live.ear(path, rate) as ear:
                await _converse(socket, ear, live.limits)
    except EarnestError as problem:
        await _close(socket, live.limits, NO, problem.message, problem.remedy or "")
    except (WebSocketDisconnect, TimeoutError):
        return  # it left, or it does not read


async def _converse(socket: WebSocket, ear: Ear, limits: Limits) -> None:
    """Hear and answer until the other side ends, or asks for too much."""
    began = time.monotonic()
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), limits.live_idle_s)
        except TimeoutError:
            await _close(socket, limits, NO, f"Nothing was heard for {limits.live_idle_s:g} s.")
            return
        if message["type"] == "websocket.disconnect":
            return
        sound = message.get("bytes")
        if sound is None:
            await _last(socket, ear, limits, message.get("text") or "")
            return
        if len(sound) > limits.frame_bytes:
            await _close(socket, limits, TOO_MUCH, f"A message may hold {limits.frame_bytes:,} bytes.")
            return
        if len(sound) % 2:
            await _close(socket, limits, NO, "A message holds half a sample; send 16-bit samples.")
            return
        await _send(socket, limits, await run_in_threadpool(ear.hear, sound))
        if ear.heard_s - (time.monotonic() - began) > limits.live_ahead_s:
            await _close(socket, limits, NO, "The sound comes much faster than it lasts; send recordings to /predict.")
            return


async def _last(socket: WebSocket, ear: Ear, limits: Limits, text: str) -> None:
    """A text ends the conversation: `{"end": true}`; any other one is a mistake."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("end") is not True:
        await _close(socket, limits, NO, 'A text may only say {"end": true}; samples come as binary messages.')
        return
    await _send(socket, limits, await run_in_threadpool(ear.end))
    await _close(socket, limits, DONE)


async def _send(socket: WebSocket, limits: Limits, answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        await asyncio.wait_for(socket.send_text(json.dumps(answer, ensure_ascii=False)), limits.send_s)


async def _close(socket: WebSocket, limits: Limits, code: int, reason: str = "", remedy: str = "") -> None:
    """Say why, and close; the reason of a close frame may hold 123 bytes."""
    try:
        if reason:
            error: Mapping[str, str] = {"error": reason, "remedy": remedy}
            await _send(socket, limits, [dict(error)])
        short = reason.encode()[:120].decode("utf-8", "ignore")
        await asyncio.wait_for(socket.close(code, short), limits.send_s)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return  # it is gone already
