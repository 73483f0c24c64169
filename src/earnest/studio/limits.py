"""What one studio takes at most: bytes, seconds, connections. Every bound that a client meets stands here."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bounds on what clients may send and hold.

    Parameters
    ----------
    upload_bytes, upload_s : of one recording that is sent to a model, counted while it streams in.
    body_bytes, body_s : of any other request's body.
    head_s : how long a connection may take to send its first request, or the rest of a request's head.
    connections : open at once, idle ones included; further ones are closed at once.
    kept_uploads, kept_s : recordings that stay to be played, and for how long.
    predictions : worker processes at once; further uploads wait.
    worker_bytes, worker_s : memory (address space) and time of a worker process.
    frame_bytes : of one WebSocket message.
    live : WebSocket connections to a model at once.
    live_ahead_s : seconds of audio that a live connection may be ahead of the clock.
    live_idle_s : a live connection that sends nothing for so long is closed.
    read_s, send_s : a client that reads nothing of an answer, or of a WebSocket, for so long is dropped.
    """

    upload_bytes: int = 100 * MB
    upload_s: float = 120.0
    body_bytes: int = 4 * MB
    body_s: float = 20.0
    head_s: float = 20.0
    connections: int = 512
    kept_uploads: int = 4
    kept_s: float = 3600.0
    predictions: int = 2
    worker_bytes: int = 4_000 * MB
    worker_s: float = 300.0
    frame_bytes: int = 2**20
    live: int = 8
    live_ahead_s: float = 30.0
    live_idle_s: float = 30.0
    read_s: float = 60.0
    send_s: float = 10.0
