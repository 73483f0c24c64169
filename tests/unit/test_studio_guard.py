"""The door of the studio: who gets in, by Host, Origin, method and token, and what every answer says of itself."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_bundle import make_bundle

pytest.importorskip("fastapi", reason="the studio is not installed: pip install 'earnest[studio]'")

from running_studio import Running, running


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("guard")
    make_bundle(root / "runs" / "one")
    with running(root) as one:
        yield one


def ask(studio: Running, method: str, path: str, headers: list[tuple[str, str]]) -> tuple[int, dict[str, str], bytes]:
    """A request with exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    try:
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
PORT = "{port}"
HOSTS = {
    f"127.0.0.1:{PORT}": True,
    f"localhost:{PORT}": True,
    f"LOCALHOST:{PORT}": True,
    f"[::1]:{PORT}": True,
    f"[::2]:{PORT}": False,
    "127.0.0.1": False,
    "localhost": False,
    "127.0.0.1:1": False,
    f"evil.example:{PORT}": False,
    f"127.0.0.1.evil.example:{PORT}": False,
    f"localhost.:{PORT}": False,
    f"127.0.0.1:{PORT}@evil.example": False,
    f"0.0.0.0:{PORT}": False,
    f"192.168.1.7:{PORT}": False,
    "": False,
    None: False,
}
ORIGINS = {
    None: True,
    f"http://127.0.0.1:{PORT}": True,
    f"http://localhost:{PORT}": True,
    f"http://[::1]:{PORT}": True,
    f"https://127.0.0.1:{PORT}": False,
    "http://127.0.0.1": False,
    "http://127.0.0.1:1": False,
    "http://evil.example": False,
    f"http://evil.example:{PORT}": False,
    f"http://127.0.0.1:{PORT}.evil.example": False,
    "null": False,
    "": False,
}


@pytest.mark.parametrize("method", METHODS)
def test_exactly_the_own_hosts_and_origins_pass(studio: Running, method: str) -> None:
    """Host × Origin for each method: 192 combinations, of which 16 may pass, and those for GET and HEAD only."""
    passed = 0
    for (host, good_host), (origin, good_origin) in itertools.product(HOSTS.items(), ORIGINS.items()):
        headers = [("Authorization", f"Bearer {studio.token}"), ("Content-Length", "0")]
        headers += [("Host", host.format(port=studio.port))] if host is not None else []
        headers += [("Origin", origin.format(port=studio.port))] if origin is not None else []
        status, _, _ = ask(studio, method, "/api/bundles", headers)
        if not good_host or not good_origin:
            assert status in (400, 403, 421), (host, origin, status)
        elif method in ("GET", "HEAD"):
            assert status == 200 if method == "GET" else status in (200, 405), (host, origin, status)
            passed += 1
        else:
            assert status == 405, (host, origin, status)
    if method == "GET":
        assert passed == 16


def test_a_host_or_an_origin_said_twice_does_not_pass(studio: Running) -> None:
    bearer, host = ("Authorization", f"Bearer {studio.token}"), ("Host", f"127.0.0.1:{studio.port}")
    own, other = ("Origin", studio.address), ("Origin", "http://evil.example")
    assert ask(studio, "GET", "/api/bundles", [bearer, host, ("Host", "evil.example")])[0] in (400, 421)
    assert ask(studio, "GET", "/api/bundles", [bearer, host, own, other])[0] == 403
    assert ask(studio, "GET", "/api/bundles", [bearer, host, own])[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_elsewhere_does_not_pass(studio: Running, site: str) -> None:
    cookie = {"Authorization": "", "Cookie": f"earnest-{studio.port}={studio.token}"}
    assert studio.ask("/api/bundles", headers={**cookie, "Sec-Fetch-Site": site})[0] == 403
    assert studio.ask("/api/bundles", headers={**cookie, "Sec-Fetch-Site": "same-origin"})[0] == 200


PATHS = [
    "/api/bundles",
    "/api/tables",
    "/api/runs",
    "/api/recipes",
    "/api/schema",
    "/openapi.json",
    "/docs",
    "/api/none",
]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_said_without_the_token(studio: Running, path: str) -> None:
    cookie = f"earnest-{studio.port}"
    wrong = [
        {"Authorization": ""},
        {"Authorization": studio.token},
        {"Authorization": f"Basic {studio.token}"},
        {"Authorization": f"Bearer {studio.token}x"},
        {"Authorization": f"Bearer {studio.token[:-1]}"},
        {"Authorization": "Bearer ÿ"},
        {"Authorization": "", "Cookie": f"{cookie}=wrong"},
        {"Authorization": "", "Cookie": f"other={studio.token}"},
        {"Authorization": "", "Cookie": f"{cookie}=\x7f"},
    ]
    for headers in wrong:
        status, _, said = studio.ask(path, headers=headers)
        assert status == 401, headers
        assert studio.token.encode() not in said
    assert studio.ask(f"{path}?token={studio.token}", headers={"Authorization": ""})[0] == 401


@pytest.mark.parametrize("path", ["/health", "/", "/static/main.js", "/player/player.js"])
def test_what_holds_no_data_needs_no_token(studio: Running, path: str) -> None:
    assert studio.ask(path, headers={"Authorization": ""})[0] == 200


def test_the_address_with_the_token_becomes_a_cookie(studio: Running) -> None:
    status, headers, _ = studio.ask(f"/?token={studio.token}", headers={"Authorization": ""})
    assert status == 303
    assert headers["location"] == "/"
    name, _, attributes = headers["set-cookie"].partition(";")
    assert name == f"earnest-{studio.port}={studio.token}"
    assert {part.strip().lower() for part in attributes.split(";")} == {"httponly", "path=/", "samesite=strict"}
    assert studio.ask("/api/bundles", headers={"Authorization": "", "Cookie": name})[0] == 200
    assert studio.ask("/?token=wrong", headers={"Authorization": ""})[0] == 401
    assert studio.ask(f"/?token={studio.token}&token=x", headers={"Authorization": ""})[0] == 401


def test_every_answer_is_neither_guessed_at_framed_nor_kept(studio: Running) -> None:
    found = [studio.ask(path) for path in ("/", "/health", "/api/bundles", "/api/nothing", "/static/main.js", "/docs")]
    found += [
        studio.ask("/api/bundles", headers={"Authorization": ""}),
        studio.ask("/", headers={"Host": "evil.example"}),
    ]
    for _, headers, _ in found:
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "object-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


CLIMBS = [
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2fapp.py",
    "/static/%252e%252e%252fapp.py",
    "/static/..%5capp.py",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/player/../../studio/guard.py",
    "/player/%2e%2e/%2e%2e/studio/guard.py",
    "/static/%00",
    "/api/runs/..%2f..%2f..%2fetc/report",
    "/api/runs/%252e%252e%252fetc/report",
    "/api/recipes/..%2f..%2fpyproject",
    "/api/recipes/%252e%252e%252fpyproject.toml",
    "/api/tables/file:..%2f..%2fetc%2fpasswd/rows",
    "/api/tables/folder:%252e%252e/rows",
    "/api/clips/..%2f..%2fetc/passwd/audio",
    "/api/clips/one/%2e%2e%2f%2e%2e%2fetc%2fpasswd/audio",
]


@pytest.mark.parametrize("path", CLIMBS)
def test_no_path_leaves_its_place(studio: Running, path: str) -> None:
    status, _, said = studio.ask(path)
    assert status in (400, 404), said[:200]
    assert b"root:" not in said
    assert b"import " not in said


def test_options_do_not_pass_as_settings_of_a_run(studio: Running, tmp_path: Path) -> None:
    wanted = tmp_path / "elsewhere"
    for setting in (f"--out={wanted}", f"-o={wanted}", "--on=ray://evil.example:1", "--help", "--debug", "nothing"):
        body = json.dumps({"recipe": "fsdd-svm", "overrides": [setting]})
        status, _, said = studio.ask("/api/runs", "POST", body, {"Content-Type": "application/json"})
        assert 400 <= status < 500, (setting, said)
    assert not wanted.exists()


def test_bodies_are_bounded(studio: Running) -> None:
    length = [("Host", f"127.0.0.1:{studio.port}"), ("Authorization", f"Bearer {studio.token}")]
    length += [("Content-Type", "application/json"), ("Content-Length", str(5_000_000))]
    status, _, said = ask(studio, "POST", "/api/runs", length)
    assert status == 413
    assert json.loads(said)["error"]
    deep = b"[" * 100_000 + b"]" * 100_000
    status, _, _ = studio.ask("/api/runs", "POST", deep, {"Content-Type": "application/json"})
    assert 400 <= status < 500


NO_REQUESTS = {
    "a very long head": b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000,
    "TLS": b"\x16\x03\x01\x02\x00",
    "NUL": b"GET /\x00 HTTP/9\r\n\r\n",
    "empty lines": b"\r\n" * 9,
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_what_is_no_request_ends_its_connection_only(studio: Running, name: str) -> None:
    connection = socket.create_connection(("127.0.0.1", studio.port), timeout=5)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(NO_REQUESTS[name])
        with contextlib.suppress(OSError):  # it has been ended already
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    assert studio.ask("/health")[0] == 200


def test_it_listens_on_this_machine_only(studio: Running) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()
    if not listening:
        pytest.skip("this system does not say who listens")
    mine = [line.split()[1] for line in listening if line.split()[1].endswith(f":{studio.port:04X}")]
    assert set(mine) <= {f"0100007F:{studio.port:04X}"}
    assert mine


def test_it_never_imports_torch_and_starts_without_the_lab() -> None:
    code = (
        "import sys, earnest.studio.server;"
        "print(*({'torch', 'polars', 'matplotlib', 'onnxruntime', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
