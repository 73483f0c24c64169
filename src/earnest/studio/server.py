"""The server: one process, on 127.0.0.1 and nowhere else, with bounds on its connections."""

from __future__ import annotations

import secrets
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from earnest.errors import StorageError
from earnest.studio.app import create_app
from earnest.studio.connections import protocols
from earnest.studio.guard import Guard
from earnest.studio.limits import Limits
from earnest.studio.state import Studio

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """Where a studio is found, and what lets one in."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{HOST}:{self.port}/?token={self.token}"


def serve(
    root: Path,
    port: int = 0,
    *,
    limits: Limits | None = None,
    data: Path | None = None,
    ready: Callable[[Address], None] = lambda _: None,
) -> None:
    """Serve a folder until the process is told to stop (Ctrl-C, SIGTERM).

    Parameters
    ----------
    root : the folder.
    port : 0 takes a free one.
    limits : bounds on clients.
    data : folder of corpora.
    ready : called with the address once the studio listens.

    Raises
    ------
    DataError : there is no such folder.
    StorageError : the port is taken.
    """
    limits = limits or Limits()
    studio = Studio(root, limits, data)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # being told to end is Ctrl-C: files are tidied up
    try:
        with _listen(port) as listening:
            address = Address(listening.getsockname()[1], secrets.token_urlsafe(32))
            server = _Server(_config(Guard(create_app(studio), address.port, address.token, limits), limits))
            server.when_started = lambda: ready(address)
            server.run(sockets=[listening])
    finally:
        studio.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as problem:
        listening.close()
        raise StorageError(
            f"The port {port} cannot be used: {problem.strerror}.", "Leave --port out, or name another one."
        ) from problem
    return listening


def _config(app: Guard, limits: Limits) -> uvicorn.Config:
    http, websocket = protocols(limits)
    return uvicorn.Config(
        app,
        http=http,
        ws=websocket,
        loop="asyncio",
        ws_max_size=limits.frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=64 * 1024,
    )


class _Server(uvicorn.Server):
    """Says when it listens."""

    when_started: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.when_started()
