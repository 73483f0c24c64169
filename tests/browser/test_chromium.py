"""The browser harness itself: it acts like a person and sees what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import Page, PageError

PAGE = """<!doctype html><title>t</title><style>body { margin: 0 }</style>
<input type=file id=file><input id=words><div id=pad style="width: 200px; height: 100px"></div>
<script>
const seen = window.seen = [];
for (const kind of ["pointerdown", "pointermove", "pointerup", "click"])
  pad.addEventListener(kind, (event) => seen.push([kind, Math.round(event.offsetX), Math.round(event.offsetY)]));
addEventListener("keydown", (event) => seen.push(["key", event.key, event.shiftKey]));
const shadow = pad.attachShadow({ mode: "open" });
shadow.innerHTML = "<button>inside</button>";
shadow.querySelector("button").onclick = () => seen.push(["inside"]);
</script>"""


@pytest.fixture
def opened(page: Page, tmp_path: Path) -> Page:
    path = tmp_path / "page.html"
    path.write_text(PAGE)
    page.open(path)
    return page


def test_it_clicks_drags_and_presses_keys(opened: Page) -> None:
    opened.click("#pad", (0.75, 0.75))
    assert ["click", 150, 75] in opened.evaluate("seen")
    opened.drag("#pad", (0.75, 0.5), (0.95, 0.5), steps=4)
    drawn = [entry for entry in opened.evaluate("seen") if entry[0] == "pointermove"]
    assert drawn[-1] == ["pointermove", 190, 50]
    opened.click("#pad >>> button")
    assert ["inside"] in opened.evaluate("seen")
    opened.key("ArrowRight", "Shift")
    opened.key("l")
    assert opened.evaluate("seen.filter((entry) => entry[0] === 'key')") == [
        ["key", "ArrowRight", True],
        ["key", "l", False],
    ]


def test_it_writes_and_chooses_files(opened: Page, tmp_path: Path) -> None:
    opened.click("#words")
    opened.write("你好")
    assert opened.evaluate("words.value") == "你好"
    (tmp_path / "a.txt").write_text("hello")
    opened.set_files("#file", [tmp_path / "a.txt"])
    assert opened.evaluate("file.files[0].text()") == "hello"


def test_it_sees_errors_requests_and_long_tasks(opened: Page) -> None:
    assert opened.console_errors() == []
    opened.evaluate("setTimeout(() => { throw new Error('broken') })")
    opened.evaluate("fetch('https://example.org/x').catch(() => 0)")
    opened.evaluate(
        "new Promise((done) => setTimeout(() => { const end = performance.now() + 80;"
        "while (performance.now() < end); setTimeout(done, 50) }))"
    )
    assert any("broken" in text for text in opened.console_errors())
    assert opened.requests_beyond("file:") == ["https://example.org/x"]
    opened.wait_for("__longTasks.length > 0")
    assert max(opened.long_tasks()) >= 80
    assert 0 < opened.memory_bytes() < 100_000_000
    assert opened.metrics()["JSHeapUsedSize"] > 0


def test_what_is_not_there_is_named(opened: Page) -> None:
    with pytest.raises(PageError, match="holds no #nothing"):
        opened.click("#nothing")
    with pytest.raises(PageError, match="TypeError"):
        opened.evaluate("null.x")
    with pytest.raises(PageError, match="not true within"):
        opened.wait_for("false", 0.1)


def test_it_waits_while_the_page_loads_anew(opened: Page) -> None:
    opened.evaluate("window.old = true")
    opened.reload()
    assert opened.evaluate("window.old") is None
    opened.evaluate("window.old = true; setTimeout(() => location.reload(), 100)")
    slow = "new Promise((done) => setTimeout(done, 5000))"  # asked of the page before, which goes without an answer
    assert opened.wait_for(f"window.old ? {slow} : document.title") == "t"


def test_it_looks_in_both_themes(opened: Page, tmp_path: Path) -> None:
    opened.dark(True)
    assert opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    opened.dark(False)
    assert not opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    opened.size(640, 480)
    assert opened.screenshot(tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")
