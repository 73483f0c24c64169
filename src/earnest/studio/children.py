"""Child processes: the command `earnest`, asked for one JSON object, each in a process group of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.errors import EarnestError

AT_ONCE = 2  # besides runs


class Failed(EarnestError):
    """A child process ended with an error, which it has told."""


class Children:
    """The child processes of a studio; `close` ends them all.

    Parameters
    ----------
    root : the folder they work in.
    data : folder of corpora; None: as the environment says.
    temporary : folder for their temporary files, so that nothing stays of one that is killed; None: the system's.
    """

    def __init__(self, root: Path, data: Path | None, temporary: Path | None = None) -> None:
        self.root = root
        self.environment = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        if data is not None:
            self.environment["EARNEST_DATA"] = str(data.absolute())
        if temporary is not None:
            temporary.mkdir(exist_ok=True)
            self.environment["TMPDIR"] = str(temporary)
        self._living: set[subprocess.Popen[bytes]] = set()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
        """Start `earnest ARGUMENTS` in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "earnest", *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **streams,
        )
        with self._lock:
            self._living = {one for one in self._living if one.poll() is None} | {process}
        return process

    def ask(self, arguments: Sequence[str]) -> dict[str, Any]:
        """What `earnest ARGUMENTS --json` says.

        Raises
        ------
        Failed : it ended with an error.
        """
        with self._turns:
            process = self.start([*arguments, "--json", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            said, complaint = process.communicate()
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError as problem:
            last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise Failed(f"earnest {arguments[0]} failed: {last[0]}.", "The terminal may say more.") from problem
        if "error" in found:
            raise Failed(str(found["error"]), found.get("remedy"))
        return found

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            for process in self._living:
                end(process)


def end(process: subprocess.Popen[bytes], patience_s: float = 5.0) -> None:
    """End a process and what it started: as Ctrl-C does, and if that is not enough, at once."""
    for number, seconds in ((signal.SIGINT, patience_s), (signal.SIGKILL, patience_s)):
        if process.poll() is not None and number is signal.SIGINT:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


@dataclass
class _Job:
    thread: threading.Thread
    result: dict[str, Any] | None = None
    problem: EarnestError | None = None


class Jobs:
    """Questions to child processes that take a while: asked once, and answered when they are done."""

    def __init__(self, children: Children) -> None:
        self.children = children
        self._jobs: dict[tuple[str, ...], _Job] = {}
        self._lock = threading.Lock()

    def result(self, *arguments: str, stamp: str = "") -> dict[str, Any] | None:
        """What a question is answered; None while it is being worked on.

        Raises
        ------
        Failed : the child ended with an error; asked again, it is started again.
        """
        key = (*arguments, stamp)
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                job = self._jobs[key] = _Job(threading.Thread(target=self._work, args=(key,), daemon=True))
                job.thread.start()
            if job.problem is not None:
                del self._jobs[key]
                raise job.problem
            return job.result

    def _work(self, key: tuple[str, ...]) -> None:
        try:
            result, problem = self.children.ask(key[:-1]), None
        except EarnestError as error:
            result, problem = None, error
        with self._lock:
            self._jobs[key].result, self._jobs[key].problem = result, problem
