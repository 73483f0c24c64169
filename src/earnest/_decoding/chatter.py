"""What decoders write to the terminal behind Python's back, caught at descriptor level."""

from __future__ import annotations

import contextlib
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
    the last closes it, and none waits for another.
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
            return self._file.seek(0, 2) if self._file is not None else 0

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
            self._file.seek(begin)
            text = self._file.read().decode("utf-8", "replace")
            if self._listeners == 0:
                os.dup2(self._saved, self._descriptor)
                os.close(self._saved)
                self._file.close()
                self._file = None
            return [line.strip() for line in text.splitlines() if line.strip()]


def _nameless_file() -> Any:
    """A file without a name: in memory on Linux, otherwise in the temporary folder."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("chatter"), "w+b", buffering=0)  # noqa: PTH123
    return tempfile.TemporaryFile(buffering=0)


STDERR = Tap(2)


def squeeze(lines: list[str]) -> str:
    """The lines in one, each once, cut to a length that fits into a message."""
    return " / ".join(dict.fromkeys(lines))[:_MOST_CHARACTERS]
