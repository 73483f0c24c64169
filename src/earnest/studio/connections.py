"""Connections with bounds: how many, how long the head of a request may take, how long a reader may stand still.

uvicorn bounds neither a connection that never asks anything nor a client that never reads what it asked for; these two
protocols do, beneath everything else.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from earnest.studio.limits import Limits


def protocols(limits: Limits) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """The protocols of HTTP and of WebSockets of one server, which count their connections together."""
    open_now: set[Any] = set()

    class Patience:
        """A clock that ends a connection, unless it is stopped in time."""

        def __init__(self, connection: Any, seconds: float) -> None:
            self.connection, self.seconds = connection, seconds
            self.handle: asyncio.TimerHandle | None = None

        def start(self) -> None:
            if self.handle is None:
                self.handle = self.connection.loop.call_later(self.seconds, self.end)

        def stop(self) -> None:
            if self.handle is not None:
                self.handle.cancel()
                self.handle = None

        def end(self) -> None:
            self.connection.transport.abort()

    class Http(H11Protocol):
        """One HTTP connection."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.head, self.reader = Patience(self, limits.head_s), Patience(self, limits.read_s)
            if len(open_now) >= limits.connections:
                transport.abort()
                return
            open_now.add(self)
            self.head.start()

        def connection_lost(self, exc: Exception | None) -> None:
            open_now.discard(self)
            self.head.stop()
            self.reader.stop()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self.head.stop()
            elif not self.transport.is_closing() and self.transport.get_protocol() is self:
                self.head.start()

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            open_now.discard(self)
            self.head.stop()
            super().handle_websocket_upgrade(event)

        def pause_writing(self) -> None:
            self.reader.start()
            super().pause_writing()

        def resume_writing(self) -> None:
            self.reader.stop()
            super().resume_writing()

    class WebSocket(WebSocketsSansIOProtocol):
        """One WebSocket. While its client does not read, nothing more is taken from it: pings are answered too."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.reader = Patience(self, limits.send_s)
            open_now.add(self)

        def connection_lost(self, exc: Exception | None) -> None:
            open_now.discard(self)
            self.reader.stop()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            self.reader.start()
            self.transport.pause_reading()
            super().pause_writing()

        def resume_writing(self) -> None:
            self.reader.stop()
            if not self.read_paused:
                self.transport.resume_reading()
            super().resume_writing()

    return Http, WebSocket
