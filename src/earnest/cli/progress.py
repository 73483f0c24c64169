"""Progress on standard error: a live bar on a terminal, a line now and then elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from earnest.cli.verb import say

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from earnest.pool import Progress

EVERY_S = 10.0


class Quiet:
    """Nothing is said but notes on what is unusual."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Say nothing."""

    def step(self, detail: str = "", done: int | None = None) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


class Lines:
    """For logs and pipes: a line when a stage begins and ends, and every ten seconds in between.

    Parameters
    ----------
    every_s : least number of seconds between two lines of a stage.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self.every_s = every_s
        self.name = ""
        self.total: int | None = None
        self.done = 0
        self.began = self.spoke = time.monotonic()

    def stage(self, name: str, total: int | None = None) -> None:
        """Name the stage."""
        self.name, self.total, self.done = name, total, 0
        self.began = self.spoke = time.monotonic()
        say(f"{name} ...")

    def step(self, detail: str = "", done: int | None = None) -> None:
        """Count, and say so when the last line is old enough or the stage is complete."""
        before = self.done
        self.done = self.done + 1 if done is None else done
        now = time.monotonic()
        ended = self.total is not None and self.done >= self.total > before
        if now - self.spoke >= self.every_s or (ended and now - self.began >= 1):
            self.spoke = now
            say(self._line(now - self.began, detail))

    def note(self, message: str) -> None:
        """Say it."""
        say(message)

    def _line(self, seconds: float, detail: str) -> str:
        parts = [f"{self.done:,}/{self.total:,}" if self.total else f"{self.done:,}", rate(self.done, seconds)]
        if self.total and 0 < self.done < self.total:
            parts.append(f"{duration((self.total - self.done) * seconds / self.done)} left")
        elif self.total:
            parts.append(f"{duration(seconds)} taken")
        return f"{self.name}: {', '.join(parts)}{f'  {detail}' if detail else ''}"


class Bar:
    """For a terminal: one live line per stage with rate, time left and the current item."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars
        self.task: TaskID | None = None
        self.done, self.began = 0, time.monotonic()

    def stage(self, name: str, total: int | None = None) -> None:
        """Finish the last line and begin a new one."""
        if self.task is not None:
            self.bars.update(self.task, detail="")
            self.bars.stop_task(self.task)
        self.task = self.bars.add_task(name, total=total, rate="", detail="")
        self.done, self.began = 0, time.monotonic()

    def step(self, detail: str = "", done: int | None = None) -> None:
        """Move the bar."""
        if self.task is None:
            return
        self.done = self.done + 1 if done is None else done
        pace = rate(self.done, time.monotonic() - self.began)
        self.bars.update(self.task, completed=self.done, rate=pace, detail=shortened(detail))

    def note(self, message: str) -> None:
        """Print it above the bars."""
        self.bars.console.print(message, markup=False, highlight=False)


class Transfer:
    """What a download reports, (what, done, total), told as stages; bytes become megabytes.

    Parameters
    ----------
    progress : who is told.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.what = ""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take one report."""
        unit = 1 if what == "unpacking" else 1_000_000
        if what != self.what:
            self.what = what
            name = "unpacking (files)" if unit == 1 else f"{what} (MB)"
            self.progress.stage(name, None if total is None else -(-total // unit))
        self.progress.step(done=-(-done // unit))


@contextmanager
def watching(*, quiet: bool) -> Iterator[Progress]:
    """The progress that fits where standard error goes."""
    if quiet:
        yield Quiet()
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        with _bars() as bars:
            yield Bar(bars)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        console=Console(stderr=True),
    )


def rate(done: int, seconds: float) -> str:
    """How fast it goes: `35.2/s`, or for slow steps `12 s each`."""
    if not done or seconds <= 0:
        return "0/s"
    return f"{done / seconds:,.1f}/s" if done >= seconds else f"{duration(seconds / done)} each"


def duration(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shortened(text: str, width: int = 40) -> str:
    """The end of a long text, which of a path is the telling part."""
    return text if len(text) <= width else f"…{text[-width + 1 :]}"
