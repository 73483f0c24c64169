"""Fixtures for tests in a real browser; without Chromium they are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import chromium
import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    """One Chromium for all tests."""
    if chromium.executable() is None:
        pytest.skip("Chromium is not on this machine; EARNEST_CHROMIUM may name it")
    with chromium.start() as running:
        yield running


@pytest.fixture
def page(browser: chromium.Browser) -> Iterator[chromium.Page]:
    """A fresh page that shares nothing with those of other tests."""
    opened = browser.page()
    yield opened
    opened.close()
