"""What the studio says of a worker that did not answer."""

from __future__ import annotations

import subprocess

import pytest

pytest.importorskip("fastapi", reason="the extra [studio] is not installed")

from earnest.errors import AudioError
from earnest.studio import worker
from earnest.studio.limits import Limits


@pytest.mark.parametrize(
    ("code", "errors", "said"),
    [
        (-9, b"", "more memory or time"),
        (-24, b"", "more memory or time"),
        (-6, b"terminate called after throwing an instance of 'std::bad_alloc'", "more memory or time"),
        (1, b"Traceback (most recent call last):\nKeyError: 'x'\n", "ended without an answer, with code 1"),
        (-11, b"", "ended without an answer, with signal 11"),
    ],
)
def test_a_limit_and_a_crash_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, errors: bytes, said: str
) -> None:
    done = subprocess.CompletedProcess([], code, b"", errors)
    monkeypatch.setattr(worker.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(AudioError, match=said):
        worker.ask({"do": "copy", "name": "a.wav"}, Limits())
    assert ("KeyError" in capsys.readouterr().err) == (code == 1)
