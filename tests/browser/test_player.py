"""The player in a real browser: one playhead over all, seeking, looping, keys, drawn labels, long recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from chromium import Page

from earnest.reporting import player, recording

RATE = 16_000
SECONDS = 4
LANES: list[dict[str, Any]] = [
    {"name": "words", "kind": "labels", "items": [{"start_s": 0.5, "end_s": 1.0, "label": "one"}], "editable": False},
    {"name": "scores", "kind": "scores", "times_s": [0, 2, 4], "labels": ["yes"], "values": [[0.1, 0.9, 0.2]]},
    {"name": "mine", "kind": "labels", "items": [{"start_s": 1.0, "end_s": 2.0, "label": "first"}]},
]
READY = "Boolean(window.player?.lanes)"  # before, the name means the element of that id
IDLE = "document.querySelector('.ep').getAttribute('aria-busy') === 'false'"
PLAYS = "player.playing && player.time_s > 0.15"
# Where the playhead stands, and where waveform, spectrogram and lanes begin and end, from left and from above.
BOXES = """(() => {
  const lanes = ["words", "scores", "mine"].map((lane) => `.ep-lane[data-lane="${lane}"]`);
  const boxes = [".ep-head", ".ep-wave", ".ep-spectrogram", ...lanes].map((name) => {
    const { x, y, width, height } = document.querySelector(name).getBoundingClientRect();
    return [x, y, width, height];
  });
  return { boxes, time_s: player.time_s };
})()"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a synthetic glide that ends in silence."""
    place = tmp_path_factory.mktemp("sound") / "glide <&'.wav"
    times = np.arange(SECONDS * RATE) / RATE
    soundfile.write(place, 0.3 * np.sin(2 * np.pi * (200 * times + 300 * times**2)) * (times < 3), RATE)
    return place


@pytest.fixture(scope="module")
def site(sound: Path) -> Path:
    """A page with a player whose labels can be changed; what it tells is kept in `told`."""
    options = {"audio": recording._address("audio/flac", recording._flac(sound)), "lanes": LANES, "editable": True}
    place = sound.with_name("editable.html")
    place.write_text(
        f"""<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><style>{player.style()}</style>
<body><div id="player"></div><script>{player.script()}</script><script>
window.told = [];
EarnestPlayer.Player.create(document.getElementById("player"), {json.dumps(options)}).then((player) => {{
  window.player = player;
  for (const name of ["lanes", "loop", "seek", "ready", "error"])
    player.addEventListener(name, ({{ detail }}) => told.push([name, detail]));
}});
</script>""",
        encoding="utf-8",
    )
    return place


@pytest.fixture
def opened(page: Page, site: Path) -> Page:
    page.open(site)
    page.wait_for(READY, 20)
    page.wait_for(IDLE, 20)
    return page


def mine(page: Page) -> list[tuple[float, float, str]]:
    items = page.evaluate("player.lanes.get().find(({ name }) => name === 'mine').items")
    return [(item["start_s"], item["end_s"], item["label"]) for item in items]


def shade(page: Page, x: float, y: float) -> list[int]:
    """Red, green and blue of the spectrogram at shares of its width and height."""
    asked = f"""(() => {{ const canvas = document.querySelector(".ep-spectrogram");
      const place = [Math.round({x} * canvas.width), Math.round({y} * canvas.height), 1, 1];
      return [...canvas.getContext("2d").getImageData(...place).data].slice(0, 3); }})()"""
    found: list[int] = page.evaluate(asked)
    return found


def test_the_playhead_moves_over_waveform_spectrogram_and_lanes_alike(opened: Page) -> None:
    opened.key("Tab")
    opened.click(".ep-play")
    opened.wait_for(PLAYS, 20)
    first = opened.evaluate(BOXES)
    opened.wait_for(f"player.time_s > {first['time_s'] + 0.5}", 20)
    opened.click(".ep-play")
    opened.wait_for("!player.playing")
    second = opened.evaluate(BOXES)
    for seen in (first, second):
        head, *rows = seen["boxes"]
        for left, top, width, height in rows:
            assert head[0] + 1 == pytest.approx(left + seen["time_s"] / SECONDS * width, abs=2)
            assert head[1] <= top
            assert head[1] + head[3] >= top + height
    assert second["boxes"][0][0] > first["boxes"][0][0]
    assert opened.console_errors() == []
    assert opened.requests_beyond("file:") == []


@pytest.mark.parametrize("place", [".ep-wave", ".ep-spectrogram", '.ep-lane[data-lane="words"]'])
def test_a_click_seeks(opened: Page, place: str) -> None:
    opened.click(place, (0.75, 0.5))
    assert opened.evaluate("player.time_s") == pytest.approx(3.0, abs=0.01)
    assert opened.evaluate("document.querySelector('.ep-time').textContent") == "0:03.0 / 0:04.0"
    assert (
        opened.evaluate("document.querySelector('[role=slider]').getAttribute('aria-valuetext')") == "0:03.0 of 0:04.0"
    )


def test_a_drawn_region_loops(opened: Page) -> None:
    opened.drag(".ep-spectrogram", (0.5, 0.5), (0.6, 0.5))
    [region] = opened.evaluate("told.filter(([name]) => name === 'loop').map(([, detail]) => detail)")
    assert region == {"start_s": pytest.approx(2.0, abs=0.02), "end_s": pytest.approx(2.4, abs=0.02)}
    opened.evaluate(
        "window.times = []; player.addEventListener('timeupdate', (event) => times.push(event.detail.time_s))"
    )
    opened.key("Space")
    opened.wait_for("times.some((time, at) => at && time < times[at - 1])", 20)  # it went back to its beginning
    opened.key("Space")
    times = opened.evaluate("times")
    assert min(times) >= region["start_s"] - 0.01
    opened.key("l")
    assert opened.evaluate("told.at(-1)") == ["loop", {"start_s": None, "end_s": None}]


def test_keys(opened: Page) -> None:
    opened.click(".ep-wave", (0.25, 0.5))
    steps = [("ArrowRight", (), 2.0), ("ArrowLeft", (), 1.0), ("ArrowRight", ("Shift",), 4.0), ("Home", (), 0.0)]
    for key, held, time_s in [*steps, ("End", (), 4.0)]:
        opened.key(key, *held)
        assert opened.evaluate("player.time_s") == pytest.approx(time_s, abs=0.01)
    speed = "Number(document.querySelector('.ep-choice').value)"
    for key, wanted in [("]", 1.25), ("[", 1.0), ("[", 0.75), ("[", 0.5), ("[", 0.5)]:
        opened.key(key)
        assert opened.evaluate(speed) == wanted
    width = (
        "document.querySelector('.ep-wave > div').shadowRoot.querySelector('.wrapper').getBoundingClientRect().width"
    )
    before = opened.evaluate(width)
    opened.key("+")
    assert opened.evaluate(width) == pytest.approx(2 * before, abs=3)
    opened.key("-")
    assert opened.evaluate(width) == pytest.approx(before, abs=3)


def test_zoomed_in_all_rows_still_share_their_time(opened: Page) -> None:
    opened.evaluate("player.seek(1.5); player.zoomBy(4)")
    opened.wait_for(IDLE, 20)
    opened.click(".ep-wave", (0.5, 0.5))
    seen = opened.evaluate(BOXES)
    head, wave, *_ = seen["boxes"]
    scroll = "document.querySelector('.ep-wave > div').shadowRoot.querySelector('.scroll')"
    left, whole = opened.evaluate(f"[{scroll}.scrollLeft, {scroll}.scrollWidth]")
    assert (left + head[0] + 1 - wave[0]) / whole * SECONDS == pytest.approx(seen["time_s"], abs=0.005)


def test_labels_are_drawn_moved_resized_and_renamed(opened: Page) -> None:
    lane = '.ep-lane[data-lane="mine"]'
    opened.drag(lane, (0.625, 0.5), (0.75, 0.5))
    opened.write("second")
    opened.key("Enter")
    assert mine(opened)[1] == (pytest.approx(2.5, abs=0.02), pytest.approx(3.0, abs=0.02), "second")
    opened.drag(lane, (0.7, 0.5), (0.825, 0.5))
    assert mine(opened)[1] == (pytest.approx(3.0, abs=0.03), pytest.approx(3.5, abs=0.03), "second")
    opened.drag(lane, (0.499, 0.5), (0.4, 0.5))
    assert mine(opened)[0] == (1.0, pytest.approx(1.6, abs=0.03), "first")
    [told] = opened.evaluate("told.filter(([name]) => name === 'lanes').slice(-1).map(([, { lanes }]) => lanes)")
    assert [one["label"] for one in told[2]["items"]] == ["first", "second"]
    opened.drag('.ep-lane[data-lane="words"]', (0.6, 0.5), (0.8, 0.5))  # cannot be changed
    assert opened.evaluate("player.lanes.get()[0].items.length") == 1
    assert opened.console_errors() == []


def test_labels_by_keyboard(opened: Page) -> None:
    opened.evaluate("""document.querySelector('.ep-lane[data-lane="mine"]').focus()""")
    opened.key("ArrowDown")
    assert opened.evaluate("document.querySelector('.ep [role=status]').textContent") == "first, 1.00 to 2.00 s, 1 of 1"
    for key in (".", ".", ">"):
        opened.key(key)
    assert mine(opened) == [(1.02, 2.03, "first")]
    opened.evaluate("player.seek(3)")
    opened.key("n")
    opened.write("typed")
    opened.key("Enter")
    assert mine(opened) == [(1.02, 2.03, "first"), (3.0, 3.5, "typed")]
    opened.key("Delete")
    assert mine(opened) == [(1.02, 2.03, "first")]


def test_colours_range_and_scale_change_the_picture(opened: Page) -> None:
    opened.wait_for("document.querySelector('.ep-spectrogram').width > 300")
    x, row = 0.5, 1 - np.log1p(1_400 / 700) / np.log1p(8_000 / 700)  # after two seconds the glide is at 1,400 Hz
    tone = shade(opened, x, float(row))
    assert tone[1] > 180  # viridis is bright green or yellow
    assert shade(opened, 0.9, 0.5)[1] < 40  # and dark where there is silence
    opened.evaluate("player.look({ map: 'grey' })")
    opened.wait_for(IDLE)
    assert max(shade(opened, x, float(row))) < 80  # ink on paper
    opened.evaluate("player.look({ map: 'viridis', scale: 'linear' })")
    opened.wait_for(IDLE, 20)
    assert shade(opened, x, 1 - 1_400 / 8_000)[1] > 180


def test_dark_theme_and_chinese(opened: Page, site: Path) -> None:
    light = opened.evaluate("getComputedStyle(document.querySelector('.ep')).backgroundColor")
    opened.dark(True)
    assert opened.evaluate("getComputedStyle(document.querySelector('.ep')).backgroundColor") != light
    again = "EarnestPlayer.Player.create(document.getElementById('player'), { audio, language: 'zh' })"
    opened.evaluate(
        f"(async () => {{ const {{ audio }} = player; player.destroy(); window.player = await {again}; }})()"
    )
    assert opened.evaluate("document.querySelector('.ep-play').getAttribute('aria-label')") == "播放"
    assert opened.console_errors() == []


def test_page_of_a_short_recording(page: Page, sound: Path, tmp_path: Path) -> None:
    written = recording.write(sound, tmp_path / "short.html", LANES[:1])
    assert written.sound == "inside, lossless"
    page.open(tmp_path / "short.html")
    page.wait_for(READY, 20)
    assert page.evaluate("document.querySelector('h1').textContent") == sound.name
    page.click(".ep-play")
    page.wait_for(PLAYS, 20)
    assert page.console_errors() == []
    assert page.requests_beyond() == [(tmp_path / "short.html").as_uri()]


@pytest.mark.parametrize("inside", [True, False])
def test_page_of_a_long_recording(page: Page, tmp_path: Path, inside: bool) -> None:
    rate, minutes = 8_000, 8
    place = tmp_path / "long recording.wav"
    with soundfile.SoundFile(place, "w", rate, 1) as file:
        for minute in range(minutes):
            file.write(0.2 * np.sin(2 * np.pi * (300 + 400 * minute) * np.arange(60 * rate) / rate))
    written = recording.write(place, tmp_path / "long.html", beyond_bytes=recording.PAGE_BYTES if inside else 100_000)
    assert written.sound == ("inside, Ogg Vorbis" if inside else "beside")
    page.open(tmp_path / "long.html")
    page.wait_for(READY, 20)
    page.wait_for(IDLE, 20)
    for minute in (0, 3, 7):
        hertz = 300 + 400 * minute
        row = 1 - np.log1p(hertz / 700) / np.log1p(rate / 2 / 700)
        assert shade(page, (minute + 0.5) / minutes, float(row))[1] > 180
    page.evaluate("player.seek(400)")
    page.click(".ep-play")
    page.wait_for("player.playing && player.time_s > 400.2", 20)
    assert page.console_errors() == []
