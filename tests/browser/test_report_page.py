"""The report in a real browser: opens from disk, asks for nothing, plays what it holds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from chromium import Page

from earnest.reporting.report import write_report

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from reporting_run import write_run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_run(tmp_path_factory.mktemp("runs") / "digits"))


def test_it_opens_from_disk_without_errors_and_without_requests(page: Page, report: Path) -> None:
    page.open(report)
    assert page.evaluate("document.querySelector('.verdict').textContent").startswith("On speakers")
    assert page.first_paint_ms() < 1000
    assert page.console_errors() == []
    assert page.requests_beyond() == [report.as_uri()]


def test_without_scripts_it_is_still_readable(page: Page, report: Path) -> None:
    page.scripts(False)
    page.open(report)
    page.scripts(True)
    assert page.console_errors() == []
    assert "Confusion matrix" in page.evaluate("document.body.innerText")
