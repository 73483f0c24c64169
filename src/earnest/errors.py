"""The errors Earnest raises, and the helpers that make their messages useful.

    EarnestError
    ├── RecipeError       a recipe or an override is wrong
    ├── DataError         a table, a corpus or a label is wrong
    │   └── LeakError     the split shares speakers, sources or audio between training and test
    ├── AudioError        a file cannot be read as audio (carries path, reason, remedy)
    ├── TrainingError     a training cannot go on: its numbers are no longer numbers
    ├── CheckpointError   a checkpoint is damaged or belongs to another run
    ├── BundleError       a bundle is damaged, incomplete or of another version
    ├── StorageError      the disk is full or a place cannot be written
    └── MissingExtra      an optional dependency is not installed (names the extra)

Each message says what came, what was expected, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EarnestError(Exception):
    """Anything that Earnest reports to its user without a traceback.

    Parameters
    ----------
    message : what came and what was expected, in one or two sentences.
    remedy : what to do about it; printed last, as the most important line.
    """

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class RecipeError(EarnestError):
    """A recipe or an override is wrong."""


class DataError(EarnestError):
    """A table, a corpus or a label is wrong."""


class LeakError(DataError):
    """Training and test rows share a speaker, a source or the same audio."""


class AudioError(EarnestError):
    """A file cannot be read as audio."""

    def __init__(self, path: str, reason: str, remedy: str | None = None) -> None:
        super().__init__(f"{path}: {reason}", remedy)
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str, str | None]]:
        return AudioError, (self.path, self.reason, self.remedy)


class TrainingError(EarnestError):
    """A training cannot go on: its loss or its weights are no longer finite numbers."""


class CheckpointError(EarnestError):
    """A checkpoint is damaged or belongs to another run."""


class BundleError(EarnestError):
    """A bundle is damaged, incomplete or of another version."""


class StorageError(EarnestError):
    """The disk is full, or a place cannot be written."""


class MissingExtra(EarnestError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed.",
            f"Install it with: pip install 'earnest[{extra}]'",
        )
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[EarnestError], tuple[str, str | None]]:
        return EarnestError, (self.message, self.remedy)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A sentence that names the closest choices, or all of them when none is close."""
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known names: {', '.join(known)}." if known else "There are none."
