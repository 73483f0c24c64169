"""A studio in a process of its own, as `earnest studio` starts it, with limits that a test can wait for."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CODE = """
import contextlib, json, sys
from pathlib import Path
from earnest.studio.limits import Limits
from earnest.studio.server import serve

def ready(address):
    print(json.dumps({"port": address.port, "token": address.token}), flush=True)

with contextlib.suppress(KeyboardInterrupt):
    serve(Path(sys.argv[1]), limits=Limits(**json.loads(sys.argv[2])), ready=ready)
"""


@dataclass(frozen=True)
class Running:
    """A studio that is there, its temporary folder's parent, and its process."""

    port: int
    token: str
    temporary: Path
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def ask(
        self, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer; the token goes along unless `headers` says otherwise."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {**self.bearer, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer that is expected to be one."""
        status, _, said = self.ask(path, method, body, headers)
        assert status < 300, (status, said[:500])
        return json.loads(said)

    def send(self, path: str, sound: bytes, name: str = "sound.wav", kind: str = "audio/wav") -> tuple[int, Any]:
        """Send a recording as the form's field `audio`."""
        body, headers = form(sound, name, kind)
        status, _, said = self.ask(path, "POST", body, headers)
        return status, json.loads(said)

    def temporary_bytes(self) -> int:
        """What lies in the temporary files of the studio."""
        return sum(file.stat().st_size for file in self.temporary.rglob("*") if file.is_file())

    def resident_mb(self) -> float:
        """Memory of the process that is really there."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000


def form(sound: bytes, name: str = "sound.wav", kind: str = "audio/wav") -> tuple[bytes, dict[str, str]]:
    """A form with one file, and its headers."""
    head = f'--edge\r\nContent-Disposition: form-data; name="audio"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    body = head.encode() + sound + b"\r\n--edge--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


@contextlib.contextmanager
def running(folder: Path, **limits: Any) -> Iterator[Running]:
    """A studio over a folder; it is ended, and is expected to end well and to leave no temporary file."""
    with tempfile.TemporaryDirectory() as temporary:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CODE, str(folder), json.dumps(limits)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(temporary),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said = json.loads(line)
            yield Running(said["port"], said["token"], Path(temporary), process)
        finally:
            process.terminate()
            try:
                _, errors = process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert "Traceback" not in errors, errors
        assert list(Path(temporary).iterdir()) == []


def _environment(temporary: str) -> dict[str, str]:
    return {**os.environ, "TMPDIR": temporary}
