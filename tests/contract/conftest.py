"""A part whose extra is not installed is skipped, with the reason that it gives itself."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from earnest.errors import MissingExtra


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    try:
        return (yield)
    except MissingExtra as problem:
        pytest.skip(problem.message)
