"""The report in a real browser: opens from disk, asks for nothing, plays what it holds and names what it does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest
from chromium import Page

from earnest.overview import write_comparison
from earnest.reporting.report import write_report

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from insight_run import write_insight
from reporting_run import write_run

LABELS = ("angry", "neutral", "sad", "<b>mad</b>")
# Where the playhead stands over waveform, spectrogram and lanes, in pixels from their left edge.
HEAD = "document.querySelector('.ep-head').getBoundingClientRect().x"
LEFT = "document.querySelector('.ep-spectrogram').getBoundingClientRect().x"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two synthetic runs of tones of half a second."""
    root = tmp_path_factory.mktemp("runs")
    skills = {"strong": 2.0, "weak": 0.5}
    return [
        write_insight(write_run(root / name, labels=LABELS, skill=skill, epochs=3)) for name, skill in skills.items()
    ]


@pytest.fixture(scope="module")
def report(runs: list[Path]) -> Path:
    return write_report(runs[0])


def boxes(page: Page, *selectors: str) -> list[list[float]]:
    """Left edge, top, width and height of elements, in pixels."""
    found = f"{json.dumps(selectors)}.map((name) => document.querySelector(name).getBoundingClientRect())"
    made: list[list[float]] = page.evaluate(f"{found}.map((box) => [box.x, box.y, box.width, box.height])")
    return made


def hear(page: Page, since: str = "") -> None:
    """Wait until something sounds and moves."""
    page.wait_for(f"heard.player && heard.player.time_s > 0.1 && {since or 'true'}", 20)


def test_it_opens_from_disk_without_errors_and_without_requests(page: Page, report: Path) -> None:
    page.open(report)
    assert page.evaluate("document.querySelector('.verdict').textContent").startswith("On speakers")
    assert page.first_paint_ms() < 1000
    assert report.stat().st_size < 5_000_000
    assert page.console_errors() == []
    assert page.requests_beyond() == [report.as_uri()]


def test_without_scripts_it_is_still_readable_and_lists_its_sounds(page: Page, report: Path) -> None:
    page.scripts(False)
    page.open(report)
    page.scripts(True)
    assert page.console_errors() == []
    text = page.evaluate("document.body.innerText")
    assert "Confusion matrix" in text
    assert "Clips of this page" in text
    assert page.evaluate("document.querySelectorAll('audio[controls]').length") > 12
    assert page.evaluate("getComputedStyle(document.getElementById('listen')).display") == "none"


def test_a_mistake_plays_with_one_playhead_over_all(page: Page, report: Path) -> None:
    page.open(report)
    page.click("#mistakes .card .hear")
    hear(page)
    (_, top, _, height), wave, picture = boxes(page, ".ep-head", ".ep-wave", ".ep-spectrogram")
    assert top <= wave[1]
    assert top + height >= picture[1] + picture[3] - 1
    assert wave[0] == pytest.approx(picture[0])
    assert wave[2] == pytest.approx(picture[2])
    assert page.evaluate(HEAD) > page.evaluate(LEFT)
    assert page.evaluate(
        "document.querySelector('#mistakes .card').classList.contains('playing') || !heard.player.playing"
    )
    page.wait_for("!heard.player.playing")
    page.click(".ep-spectrogram", (0.5, 0.5))
    assert page.evaluate("heard.player.time_s / heard.player.duration_s") == pytest.approx(0.5, abs=0.02)
    page.key("Escape")
    assert page.evaluate("document.getElementById('listen').hidden")
    assert page.console_errors() == []
    assert page.requests_beyond() == [report.as_uri()]


def test_what_the_model_looked_at_is_a_lane_that_moves_too(page: Page, report: Path) -> None:
    page.open(report)
    page.click("#saliency .card .hear")
    hear(page)
    assert page.evaluate("heard.player.lanes.get().map((lane) => lane.name)") == ["What it looked at"]
    (_, top, _, height), lane, picture = boxes(page, ".ep-head", ".ep-lane", ".ep-spectrogram")
    assert lane[0] == pytest.approx(picture[0])
    assert lane[2] == pytest.approx(picture[2])
    assert lane[1] >= picture[1] + picture[3]
    assert top + height >= lane[1] + lane[3] - 1
    assert page.console_errors() == []


def test_a_cell_of_the_matrix_lists_its_clips_and_plays_them(page: Page, runs: list[Path], report: Path) -> None:
    page.open(report)
    cell = page.evaluate(
        "[...document.querySelectorAll('[data-matrix] td[data-cell]:not(.hit)')].map((c) => c.dataset.cell)[0]"
    )
    target, said = (LABELS[int(place)] for place in cell.split("-"))
    page.click(f"[data-cell='{cell}']")
    listed = page.evaluate("[...document.querySelectorAll('[data-clips] .clip')].map((clip) => clip.dataset.play)")
    rows = pl.read_parquet(runs[0] / "predictions.parquet")
    found = rows.filter((pl.col("target") == target) & (pl.col("prediction") == said))["id"].to_list()
    assert sorted(listed) == sorted(found)
    page.click("[data-clips] .clip")
    hear(page)
    assert page.evaluate("document.querySelector('[data-facts]').textContent").startswith(
        f"label {target} · heard {said}"
    )
    page.evaluate("document.querySelector('[data-matrix] td').focus()")
    page.key("ArrowRight")
    page.key("Enter")
    assert page.evaluate("document.querySelector('[data-clips]').dataset.of") == page.evaluate(
        "document.activeElement.dataset.say"
    )
    assert page.console_errors() == []


def test_points_of_the_map_and_pictures_play_and_silent_clips_are_named(page: Page, report: Path) -> None:
    page.open(report)
    page.click("svg.map .plays")
    hear(page)
    page.click(".mel img.plays")
    hear(page, "heard.clip === document.querySelector('.mel img.plays').dataset.play")
    silent = "[...document.querySelectorAll('svg.map [data-play]:not(.plays)')][0]"
    clip = page.evaluate(f"{silent}.dataset.play")
    page.evaluate(f"{silent}.dispatchEvent(new MouseEvent('click', {{ bubbles: true }}))")
    assert page.evaluate("document.querySelector('[data-title]').textContent") == clip
    assert "left out to keep this page small" in page.evaluate("document.querySelector('[data-facts]').textContent")
    page.evaluate("document.querySelector('svg.map [data-play]').focus()")
    page.key("ArrowRight")
    assert page.evaluate(
        "document.activeElement.dataset.play !== document.querySelector('svg.map [data-play]').dataset.play"
    )
    assert page.console_errors() == []


def test_every_clip_of_the_page_can_be_decoded(page: Page, report: Path) -> None:
    page.open(report)
    seconds = page.evaluate(
        """Promise.all([...sounds.values()].map(async (source) => {
          const bytes = Uint8Array.from(atob(source.slice(source.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
          return (await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes.buffer)).duration;
        }))"""
    )
    assert len(seconds) == page.evaluate("sounds.size")
    assert min(seconds) == pytest.approx(0.5, abs=0.01)


def test_the_comparison_of_two_runs_plays_where_they_disagree(page: Page, runs: list[Path], tmp_path: Path) -> None:
    path = write_comparison(runs, tmp_path / "both.html")
    page.open(path)
    page.click("#disagreements li .hear")
    hear(page)
    assert "strong: " in page.evaluate("document.querySelector('[data-facts]').textContent")
    assert page.console_errors() == []
    assert page.requests_beyond() == [path.as_uri()]
