"""The verbs that make models: they need the extra `lab`."""

from __future__ import annotations


def demo() -> None:
    """x."""


def corpora() -> None:
    """x."""


def fetch() -> None:
    """x."""


def audit() -> None:
    """x."""


def run() -> None:
    """x."""
