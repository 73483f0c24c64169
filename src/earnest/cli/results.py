"""Res."""

from __future__ import annotations


def table() -> None:
    """x."""


def compare() -> None:
    """x."""


def report() -> None:
    """x."""


def export() -> None:
    """x."""
