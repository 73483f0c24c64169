"""What decoders write to the terminal behind Python's back, caught at descriptor level."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

_MOST_CHARACTERS = 300


class Tap:
    """Keeps what C libraries write to a file descriptor off the terminal while somebody listens.

    The descriptor belongs to the whole process, so listeners in several threads share one detour: the first opens it,
    the last closes it, and none waits for another. What is written goes to the end of a file, and is read without
    moving its place, so that a reader and a writer do not meet.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._listeners = 0
        self._saved = -1
        self._file: Any = None

    @contextlib.contextmanager
    def captured(self, lines: list[str]) -> Iterator[None]:
        """Append what is written meanwhile to `lines`, once the block has ended, also when it ends in an error."""
        begin = self._enter()
        try:
            yield
        finally:
            lines.extend(self._leave(begin))

    def _enter(self) -> int:
        with self._lock:
            if self._listeners == 0:
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    sys.stderr.flush()
                self._detour()
            self._listeners += 1
            return os.fstat(self._file.fileno()).st_size if self._file is not None else 0

    def _detour(self) -> None:
        """Point the descriptor at a temporary file; where it is closed there is nothing to do."""
        try:
            self._saved = os.dup(self._descriptor)
        except OSError:
            self._saved, self._file = -1, None
            return
        self._file = _nameless_file()
        os.dup2(self._file.fileno(), self._descriptor)

    def _leave(self, begin: int) -> list[str]:
        with self._lock:
            self._listeners -= 1
            if self._file is None:
                return []
            written = os.fstat(self._file.fileno()).st_size - begin
            text = os.pread(self._file.fileno(), written, begin).decode("utf-8", "replace")
            if self._listeners == 0:
                os.dup2(self._saved, self._descriptor)
                os.close(self._saved)
                self._file.close()
                self._file = None
            return [line.strip() for line in text.splitlines() if line.strip()]


def _nameless_file() -> Any:
    """A file without a name that is only added to: in memory on Linux, otherwise in the temporary folder."""
    if hasattr(os, "memfd_create"):
        file: Any = open(os.memfd_create("chatter"), "w+b", buffering=0)  # noqa: PTH123, SIM115
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
    return file


STDERR = Tap(2)


def squeeze(lines: list[str]) -> str:
    """The lines in one, each once, cut to a length that fits into a message."""
    return " / ".join(dict.fromkeys(lines))[:_MOST_CHARACTERS]
