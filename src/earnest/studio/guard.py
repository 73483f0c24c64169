"""Who may ask: the door in front of every request and every WebSocket.

A page of any other site that is open in the same browser can send requests to this machine. So a request passes only
with a Host and an Origin of the studio itself (else names that resolve to 127.0.0.1 would get in), a method that is
used here, and the token, as a cookie that other sites cannot send or as a bearer. Bodies are counted and timed while
they come in, and every answer says that it is to be neither guessed at, framed, nor stored.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earnest.studio.limits import Limits

NAMES = ("127.0.0.1", "localhost", "[::1]")  # of this machine, whatever anyone else says
METHODS = ("GET", "HEAD", "POST", "PUT")
OPEN = re.compile(r"/(health|favicon\.ico|static/.*|player/.*)?")  # needs no token: the program, and no data
UPLOAD = re.compile(r"/api/bundles/[^/]+/predict")
SLASH = "\x1f"  # stands in a path for a slash within one of its parts; ids hold no control characters
POLICY = (
    "default-src 'self'; media-src 'self' blob:; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self'; frame-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Refused(HTTPException):
    """An answer that says what is wrong and what to do."""

    def __init__(self, status: int, message: str, remedy: str = "", **headers: str) -> None:
        super().__init__(status, message, headers or None)
        self.remedy = remedy


class Guard:
    """The door of the application `app`.

    Parameters
    ----------
    app : what answers those who may ask.
    port : where the studio listens; part of the only Host and Origin that pass.
    token : what a client must know.
    limits : sizes and times of bodies.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, limits: Limits) -> None:
        self.app, self.token, self.limits = app, token, limits
        self.cookie = f"earnest-{port}"  # cookies are shared by all ports of a machine
        self.hosts = frozenset(f"{name}:{port}" for name in NAMES)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or turn away."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = _headers(scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal is not None:
                await receive()  # websocket.connect
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
                return
            await self.app({**scope, **_in_parts(scope)}, receive, send)
            return
        answer = refusal or self._entrance(scope)
        if answer is not None:
            await answer(scope, receive, _sealed(send))
            return
        body = Body(receive, self.limits, headers, upload=UPLOAD.fullmatch(scope["path"]) is not None)
        try:
            body.check_length()
            await self.app({**scope, **_in_parts(scope)}, body, _sealed(send))
        except HTTPException as problem:
            await _answer(problem)(scope, receive, _sealed(send))

    def _refusal(self, scope: Scope, headers: Mapping[str, list[str]]) -> Response | None:
        """Why a request is turned away; None lets it in."""
        if len(headers.get("host", ())) != 1 or headers["host"][0].lower() not in self.hosts:
            return _no(421, "This Host is not the studio's.", "Open the address that `earnest studio` printed.")
        origin = headers.get("origin", [])
        if origin and (len(origin) != 1 or origin[0] not in self.origins):
            return _no(403, "Pages of other sites may not ask the studio.", "Use the studio's own page.")
        home = scope["type"] == "http" and scope["path"] == "/" and scope["method"] in ("GET", "HEAD")
        if headers.get("sec-fetch-site", ["none"])[0] not in ("same-origin", "none") and not home:
            return _no(403, "Pages of other sites may not ask the studio.", "Use the studio's own page.")
        if scope["type"] == "http" and scope["method"] not in METHODS:
            return _no(405, f"The method {scope['method'][:20]} is not used here.", "", Allow=", ".join(METHODS))
        if not (scope["type"] == "http" and OPEN.fullmatch(scope["path"])) and not self._knows(headers):
            return _no(401, "The token is missing or wrong.", "Open the address that `earnest studio` printed.")
        return None

    def _knows(self, headers: Mapping[str, list[str]]) -> bool:
        """Whether the token came along, as a bearer or as the cookie."""
        for value in headers.get("authorization", ()):
            scheme, _, given = value.partition(" ")
            if scheme.lower() == "bearer" and self._is_token(given.strip()):
                return True
        for value in headers.get("cookie", ()):
            try:
                morsel = SimpleCookie(value).get(self.cookie)
            except CookieError:
                continue
            if morsel is not None and self._is_token(morsel.value):
                return True
        return False

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def _entrance(self, scope: Scope) -> Response | None:
        """`/?token=…` becomes a cookie, and an address without the token in it."""
        if scope["path"] != "/" or not scope["query_string"]:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if not given:
            return None
        if len(given) != 1 or not self._is_token(given[0]):
            return _no(401, "The token is wrong.", "Open the address that `earnest studio` printed last.")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
        return answer


class Body:
    """A request's body as it comes in, counted and timed.

    While it is read it raises HTTPException: 413 beyond the limit, 408 when it takes too long.
    """

    def __init__(self, receive: Receive, limits: Limits, headers: Mapping[str, list[str]], *, upload: bool) -> None:
        self.receive, self.headers, self.taken, self.ended = receive, headers, 0, False
        self.most = limits.upload_bytes + 16_384 if upload else limits.body_bytes  # the form around a file
        self.seconds = limits.upload_s if upload else limits.body_s
        self.shown = (limits.upload_bytes if upload else limits.body_bytes) / 1e6
        self.until = time.monotonic() + self.seconds

    def check_length(self) -> None:
        """Turn away at once what says that it is too long."""
        for length in self.headers.get("content-length", ()):
            if length.isdigit() and int(length) > self.most:
                raise self._too_long()

    async def __call__(self) -> Message:
        """The next piece."""
        if self.ended:
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), self.until - time.monotonic())
        except TimeoutError:
            self.ended = True
            raise Refused(
                408, f"The request took longer than {self.seconds:g} s.", "Send it again.", Connection="close"
            ) from None
        self.taken += len(message.get("body", b""))
        self.ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self.taken > self.most:
            raise self._too_long()
        return message

    def _too_long(self) -> HTTPException:
        self.ended = True
        return Refused(413, f"More than {self.shown:g} MB are not taken.", "Send a shorter one.", Connection="close")


def error_of(problem: HTTPException) -> dict[str, str]:
    """The body of an answer that refuses."""
    return {"error": problem.detail, "remedy": problem.remedy if isinstance(problem, Refused) else ""}


def part(text: str) -> str:
    """An id out of a path whose parts were told apart by `Guard`."""
    return text.replace(SLASH, "/")


def _answer(problem: HTTPException) -> Response:
    return JSONResponse(error_of(problem), problem.status_code, headers=dict(problem.headers or {}))


def _no(status: int, message: str, remedy: str, **headers: str) -> Response:
    return JSONResponse({"error": message, "remedy": remedy}, status, headers=headers)


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _in_parts(scope: Scope) -> dict[str, Any]:
    """The path with %2F kept apart from the slashes between its parts."""
    raw = scope.get("raw_path")
    if raw is None or not scope["path"].startswith("/api/"):
        return {}
    pieces = raw.decode("ascii", "replace").partition("?")[0].split("/")
    return {"path": "/".join(unquote(piece).replace("/", SLASH) for piece in pieces)}


def _sealed(send: Send) -> Send:
    """The same `send`, with the headers of every answer."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sealed
