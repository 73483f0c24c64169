"""What happens in a run, as server-sent events: its log, its progress and its epochs, from the files it writes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from earnest.studio.runs import read_object
from earnest.studio.trainer import LOG

EVERY_S = 0.5
BEAT_S = 15.0  # a comment at least this often, so that a client that is gone is noticed
MOST_BYTES = 1_000_000  # of the log, from its end

_STAGE = re.compile(r"(?P<stage>.+) \.\.\.$")
_COUNT = re.compile(r"(?P<stage>.+?): (?P<done>[\d,]+)(/(?P<total>[\d,]+))?, (?P<text>.*)$")


class Tail:
    """Whole lines of a file that grows; the file may come later."""

    def __init__(self, path: Path, last_bytes: int | None = None) -> None:
        self.path, self.last_bytes = path, last_bytes
        self.at: int | None = None

    def lines(self) -> list[str]:
        """The lines that were ended since the last call."""
        try:
            with self.path.open("rb") as stream:
                size = stream.seek(0, 2)
                if self.at is None:
                    self.at = self._start(stream, size)
                elif size < self.at:
                    self.at = 0  # written anew
                stream.seek(self.at)
                data = stream.read(size - self.at)
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.at += len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def _start(self, stream: BinaryIO, size: int) -> int:
        """Where the first line begins that is read."""
        if not self.last_bytes or size <= self.last_bytes:
            return 0
        stream.seek(size - self.last_bytes - 1)
        return size - self.last_bytes - 1 + len(stream.readline())


class Watch:
    """Everything new in a run's folder."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.log = Tail(run / LOG, MOST_BYTES)
        self.epochs: dict[Path, Tail] = {}
        self.whole = (run / "log.jsonl").is_file()
        self.stage, self.seen = "", 0

    def news(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Events since the last call."""
        for line in self.log.lines():
            yield "log", {"line": line}
            progress = progress_of(line)
            if progress is not None:
                self.stage = progress["stage"]
                yield "progress", progress
        found = list(self._epochs())
        for record in found:
            yield "epoch", record
        self.seen += len(found)

    def _epochs(self) -> Iterator[dict[str, Any]]:
        """Lines of the run's log, or of its folds' while it is not finished."""
        files = [self.run / "log.jsonl"] if self.whole else sorted(self.run.glob("fold-*/log.jsonl"))
        for path in files:
            for line in self.epochs.setdefault(path, Tail(path)).lines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict) and "epoch" in record:
                    fold = path.parent.name.removeprefix("fold-")
                    yield {"seed": 0, "fold": fold, "member": 0, **record}


def progress_of(line: str) -> dict[str, Any] | None:
    """How far a run is, by a line that it said: `training ...` or `training: 35/100, 3.2/s, 20 s left`."""
    counted = _COUNT.match(line)
    if counted:
        done, total = counted["done"].replace(",", ""), (counted["total"] or "").replace(",", "")
        return {
            "stage": counted["stage"],
            "done": int(done),
            "total": int(total) if total else None,
            "text": line,
        }
    begun = _STAGE.match(line)
    return {"stage": begun["stage"], "done": 0, "total": None, "text": line} if begun else None


async def stream(run: Path, state: Callable[[], str]) -> AsyncIterator[str]:
    """Events as text until the run is no longer running."""
    watch, quiet_s = Watch(run), 0.0
    while True:
        now = await asyncio.to_thread(state)  # before the files, so that nothing written at the end is missed
        news = await asyncio.to_thread(lambda: list(watch.news()))
        if news:
            yield "".join(event(kind, values) for kind, values in news)
            quiet_s = 0.0
        if now != "running":
            score = await asyncio.to_thread(read_object, run / "scores.json")
            yield event("end", {"state": now, "score": score.get("score")})
            return
        await asyncio.sleep(EVERY_S)
        quiet_s += EVERY_S
        if quiet_s >= BEAT_S:
            yield ":\n\n"
            quiet_s = 0.0


def event(kind: str, values: dict[str, Any]) -> str:
    """One event."""
    return f"event: {kind}\ndata: {json.dumps(_finite(values), ensure_ascii=False)}\n\n"


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    wrong = (float("inf"), float("-inf"))
    return {key: None if value != value or value in wrong else value for key, value in values.items()}
