"""The studio in a real browser: recordings, runs, trying a model, models; in two languages, asking no other machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from chromium import Page
from studio_folder import LONG, studio, write_folder

from earnest.formats.rttm import read_rttm

pytest.importorskip("fastapi", reason="the studio needs the extra [studio]")
pytest.importorskip("uvicorn", reason="the studio needs the extra [studio]")

PAGES = {"recordings": "Recordings", "runs": "Runs", "runs/new": "Runs", "try": "Try", "models": "Models"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="module")
def address(browser: chromium.Browser, folder: Path) -> Iterator[str]:
    with studio(folder) as found:
        yield found


@pytest.fixture
def opened(page: Page, address: str) -> Iterator[Page]:
    """A page that is let in; at the end nothing has gone wrong in it, and no other machine was asked."""
    enter(page, address)
    yield page
    assert page.console_errors() == []
    host = address.split("/?")[0]
    assert page.requests_beyond(host, host.replace("http:", "ws:")) == []


def see(page: Page, selector: str, timeout_s: float = 10) -> None:
    """Wait until there is such an element."""
    page.wait_for(f"document.querySelector({json.dumps(selector)}) !== null", timeout_s)


def enter(page: Page, address: str) -> None:
    page.open(address)
    see(page, "h1")


def go(page: Page, place: str) -> None:
    page.evaluate(f"location.hash = {json.dumps('#/' + place)}")
    page.wait_for("!document.querySelector('main [aria-busy=true]') && !!document.querySelector('main .page')")


def shown_rows(page: Page) -> list[list[str]]:
    """The cells of the rows that are drawn and filled, in their order."""
    js = """[...document.querySelectorAll('.grid .body .row:not([hidden]):not(.wait)')]
      .sort((a, b) => a.dataset.place - b.dataset.place)
      .map((row) => [...row.children].map((cell) => cell.textContent))"""
    found: list[list[str]] = page.evaluate(js)
    return found


def choose_table(page: Page, title: str) -> None:
    """Choose a table by the beginning of its title."""
    go(page, "recordings")
    page.wait_for("document.querySelectorAll('.toolbar select option').length")
    page.evaluate(
        f"""(() => {{ const select = document.querySelector('.toolbar select');
        select.value = [...select.options].find((one) => one.text.startsWith({json.dumps(title)})).value;
        select.dispatchEvent(new Event('change')); }})()"""
    )
    page.wait_for(f"document.querySelector('.toolbar select').selectedOptions[0].text.startsWith({json.dumps(title)})")
    see(page, ".grid:not([aria-busy]) .row:not(.wait)")


def choose(page: Page, selector: str, value: str) -> None:
    page.evaluate(
        f"""(() => {{ const part = document.querySelector({json.dumps(selector)}); part.value = {json.dumps(value)};
        for (const kind of ['input', 'change']) part.dispatchEvent(new Event(kind, {{ bubbles: true }})); }})()"""
    )


def click_text(page: Page, text: str) -> None:
    """Click the button or link that says just this."""
    page.wait_for(f"[...document.querySelectorAll('button, a')].some((one) => one.textContent === {json.dumps(text)})")
    page.evaluate(
        f"[...document.querySelectorAll('button, a')].find((one) => one.textContent === {json.dumps(text)}).click()"
    )


def test_every_page_opens_in_both_themes_and_languages(opened: Page) -> None:
    for dark in (False, True):
        opened.dark(dark)
        for place, title in PAGES.items():
            go(opened, place)
            assert opened.evaluate("document.querySelector('h1').textContent") == title
            assert opened.evaluate("document.title").startswith(title)
            assert opened.evaluate("document.querySelectorAll('main, nav, h1').length") == 3
    opened.click(".language [lang=zh]")
    for place in PAGES:
        go(opened, place)
        assert opened.evaluate("document.documentElement.lang") == "zh-Hans"
    assert opened.evaluate("document.querySelector('h1').textContent") == "模型"


def test_the_language_is_remembered(opened: Page, address: str) -> None:
    assert opened.evaluate("document.querySelector('nav a').textContent") == "Recordings"
    opened.click(".language [lang=zh]")
    enter(opened, address)
    assert opened.evaluate("document.querySelector('nav a').textContent") == "录音"
    assert opened.evaluate("document.querySelector('.language [lang=zh]').getAttribute('aria-pressed')") == "true"


def test_every_control_has_a_name(opened: Page) -> None:
    nameless = """[...document.querySelectorAll('button, a, input, select, textarea')].filter((one) =>
      !one.hidden && !one.textContent.trim() && !one.getAttribute('aria-label') && !one.labels?.length && !one.title)
      .map((one) => one.outerHTML)"""
    for place in PAGES:
        go(opened, place)
        assert opened.evaluate(nameless) == []


def test_rows_are_sorted_filtered_grouped_and_searched(opened: Page) -> None:
    choose_table(opened, "digits")
    heads = "[...document.querySelectorAll('.grid .head .cell')].map((one) => one.textContent.replace(/[↑↓]/, ''))"
    label = opened.evaluate(heads).index("label")
    press = f"document.querySelectorAll('.grid .head button')[{label}].click()"
    opened.evaluate(press)
    opened.wait_for(f"document.querySelectorAll('.grid .head .cell')[{label}].ariaSort === 'ascending'")
    opened.wait_for(f"document.querySelector('.grid .row').children[{label}].textContent === 'eight'")
    opened.evaluate(press)
    opened.wait_for(f"document.querySelector('.grid .row').children[{label}].textContent === 'zero'")
    see(opened, ".facet[data-column=label] button.line")
    opened.click(".facet[data-column=label] button.line")
    opened.wait_for("document.querySelectorAll('.chip').length === 1")
    opened.wait_for("document.querySelector('.total').textContent === '6 clips found'")
    assert len({row[label] for row in shown_rows(opened)}) == 1
    opened.click(".chip")
    opened.wait_for("document.querySelector('.total').textContent === '60 clips'")
    opened.evaluate("document.querySelector('input[type=search]').focus()")
    opened.write("nine")
    opened.wait_for("document.querySelector('.total').textContent === '6 clips found'")
    choose(opened, ".toolbar .field:nth-child(3) select", "speaker")
    opened.wait_for("document.querySelectorAll('.grid .row.group').length === 3")


def test_a_part_of_a_histogram_narrows_the_table(opened: Page) -> None:
    choose_table(opened, "long")
    column = ".facet .histogram .column"
    see(opened, column)
    opened.evaluate(f"document.querySelector('{column}').focus()")
    opened.key("Enter")
    opened.wait_for("document.querySelectorAll('.chip').length === 1")
    clips = opened.evaluate(f"document.querySelector('{column} title').textContent.split(': ')[1].split(' ')[0]")
    opened.wait_for(f"document.querySelector('.total').textContent.startsWith('{clips} clip')")
    assert opened.evaluate(f"document.querySelector('{column}').getAttribute('aria-pressed')") == "true"
    opened.key("ArrowRight")
    assert opened.evaluate("document.activeElement.previousElementSibling.getAttribute('aria-pressed')") == "true"
    opened.click(".chip")
    opened.wait_for("document.querySelector('.total').textContent === '100,000 clips'")


def test_several_parts_of_a_histogram_are_taken_by_dragging_and_with_shift(opened: Page) -> None:
    choose_table(opened, "long")
    see(opened, ".facet .histogram .column")
    counts = """[...document.querySelectorAll('.facet .histogram .column')]
      .map((one) => Number(one.getAttribute('aria-label').split(': ')[1].replace(/[^0-9]/g, '')))"""
    pressed = """[...document.querySelectorAll('.facet .histogram .column')]
      .flatMap((one, at) => one.getAttribute('aria-pressed') === 'true' ? [at] : [])"""
    clips = opened.evaluate(counts)
    assert sum(clips) == LONG
    width = 1 / len(clips)
    total = "document.querySelector('.total').textContent === '{:,} clips found'"
    opened.drag(".facet .histogram svg", (3.5 * width, 0.5), (1.5 * width, 0.5))  # from right to left
    opened.wait_for(total.format(sum(clips[1:4])))
    assert opened.evaluate(pressed) == [1, 2, 3]
    assert opened.evaluate("document.querySelectorAll('.chip').length") == 1
    opened.evaluate("document.querySelectorAll('.facet .histogram .column')[2].focus()")
    opened.key("ArrowRight", "Shift")
    opened.key("ArrowRight", "Shift")
    opened.wait_for(total.format(sum(clips[2:5])))
    assert opened.evaluate(pressed) == [2, 3, 4]
    opened.drag(
        ".facet .histogram svg", ((len(clips) - 1.5) * width, 0.5), (1 - width / 2, 0.5)
    )  # the highest values too
    opened.wait_for(total.format(sum(clips[-2:])))


def test_a_hundred_thousand_clips_scroll(opened: Page) -> None:
    choose_table(opened, "long")
    assert opened.evaluate("document.querySelector('.total').textContent") == f"{LONG:,} clips"
    before = len(opened.long_tasks())
    for share in (0.2, 0.5, 0.8, 1.0):
        opened.evaluate(
            f"document.querySelector('.grid').scrollTop = {share} * document.querySelector('.grid').scrollHeight"
        )
        opened.wait_for("!document.querySelector('.grid .row.wait:not([hidden])')")
    opened.wait_for(
        f"[...document.querySelectorAll('.grid .row')].some((row) => row.textContent.includes('clip-{LONG - 1:06d}'))"
    )
    assert opened.evaluate("document.querySelectorAll('.grid .row').length") < 80
    assert max(opened.long_tasks()[before:], default=0) < 200  # ms; two busy processors may stretch a frame


def test_copies_are_heard_side_by_side(opened: Page) -> None:
    choose_table(opened, "twice")
    click_text(opened, "Audit")
    click_text(opened, "Compare")
    opened.wait_for("document.querySelectorAll('.side-by-side .ep[aria-busy=false]').length === 2", 20)
    names = "[...document.querySelectorAll('.one-side > .path')].map((one) => one.textContent).sort()"
    assert opened.evaluate(names) == ["a again.wav", "a.wav"]
    facts = """Object.fromEntries([...document.querySelectorAll('.facts > div')]
      .map((one) => [...one.children].map((part) => part.textContent)))"""
    assert opened.evaluate(facts)["Speakers"] == "–"  # the folder does not tell of any
    middles = """[...document.querySelectorAll('.rows.aligned tbody tr:first-child td > *')]
      .map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => (top + bottom) / 2)"""
    seen = opened.evaluate(middles)
    assert max(seen) - min(seen) < 4


def test_clips_are_reached_and_opened_by_keyboard(opened: Page) -> None:
    choose_table(opened, "digits")
    opened.evaluate("document.querySelector('.grid').focus()")
    for name in ("ArrowDown", "ArrowDown", "Enter"):
        opened.key(name)
    see(opened, ".clip h2")
    assert opened.evaluate("document.querySelector('.clip h2').textContent") == shown_rows(opened)[1][0]
    opened.wait_for("document.querySelector('.clip .player-host').firstElementChild?.childElementCount > 0")


def test_labels_drawn_are_exported_and_read_back(opened: Page, tmp_path: Path) -> None:
    choose_table(opened, "digits")
    opened.click(".grid .row")
    see(opened, ".clip .ep-editable")
    opened.drag(".clip .ep-editable", (0.2, 0.5), (0.6, 0.5))
    opened.write("wren")
    opened.key("Enter")
    opened.wait_for("document.querySelector('.label-table input[type=text]')?.value === 'wren'")
    begin, end = (
        f"Number(document.querySelector('.label-table input[aria-label={name}]').value)" for name in ("From", "To")
    )
    assert opened.evaluate(begin) == pytest.approx(0.2 * 0.5, abs=0.01)  # of a clip of 0.5 s
    assert opened.evaluate(end) == pytest.approx(0.6 * 0.5, abs=0.01)
    choose(opened, ".label-table input[aria-label=From]", "0.125")
    choose(opened, ".label-table input[aria-label=To]", "0.25")
    click_text(opened, "Save")
    opened.wait_for("document.querySelector('.labels [role=status]').textContent === 'Saved'")
    for suffix in ("rttm", "TextGrid", "txt", "csv"):
        link = f"document.querySelector('.labels a[href$=\"labels.{suffix}\"]').href"
        text = opened.evaluate(f"fetch({link}).then((answer) => answer.text())")
        assert "wren" in text
        (tmp_path / f"labels.{suffix}").write_text(text, encoding="utf-8")
    [(_, begin_s, end_s, label)] = read_rttm(tmp_path / "labels.rttm")
    assert (round(begin_s, 3), round(end_s, 3), label) == (0.125, 0.25, "wren")
    opened.reload()
    opened.wait_for("document.querySelector('.label-table input[type=text]')?.value === 'wren'")


def test_labels_are_made_and_deleted_by_keyboard(opened: Page) -> None:
    choose_table(opened, "digits")
    opened.evaluate("document.querySelector('.grid').focus()")
    for name in ("End", "Enter"):
        opened.key(name)
    see(opened, ".clip .ep-editable")
    opened.evaluate(
        "[...document.querySelectorAll('.labels button')].find((one) => one.textContent === 'Add label').focus()"
    )
    opened.key("Enter")
    opened.write("robin")
    opened.key("Tab")
    opened.key("Tab")
    opened.wait_for("document.activeElement.getAttribute('aria-label') === 'Delete “robin” at 0.00 s'")
    opened.key("Enter")
    opened.wait_for("document.querySelector('.label-table').textContent.includes('No labels yet')")


def test_a_run_started_from_the_form_finishes_and_its_report_opens(opened: Page, address: str, page: Page) -> None:
    go(opened, "runs/new")
    see(opened, "[name=corpus]")
    values = {"corpus": "folder:words", "pattern": "{label}/{speaker}_{take}.wav", "model": "simple_cnn"}
    values |= {"sample_rate": "8000", "split.name": "group-holdout", "split.group": "speaker", "training.epochs": "2"}
    for key, value in values.items():
        choose(opened, f"[name='{key}']", value)
    choose(opened, "[name=extra]", "name=words\nsplit.test=0.34\nsplit.validation=0.3")
    click_text(opened, "Start")
    opened.wait_for("location.hash.startsWith('#/runs/') && document.querySelector('.run-head') !== null")
    see(opened, ".run-head .state.done", 240)  # seconds; about 15 of computing, on a machine that may be busy
    assert "%" in opened.evaluate("document.querySelector('.verdict').textContent")
    assert opened.evaluate("document.querySelectorAll('.panels polyline').length") >= 2
    report = opened.evaluate("document.querySelector('.run-head a').href")
    opened.open(report)
    assert opened.evaluate("document.querySelector('.verdict').textContent")
    enter(opened, address)
    go(opened, "models")
    assert "words" in opened.evaluate("document.querySelector('.bundles').textContent")


def test_the_form_shows_what_the_chosen_recipe_says(opened: Page) -> None:
    go(opened, "runs/new")
    see(opened, "[name=recipe]")
    choose(opened, "[name=recipe]", "zoo")
    opened.wait_for("document.querySelector('[name=\"training.epochs\"]').placeholder === '12 (recipe)'")
    assert opened.evaluate("document.querySelector('[name=frontend]').selectedOptions[0].text") == "log_mel (recipe)"
    choose(opened, "[name=recipe]", "")
    opened.wait_for("!document.querySelector('[name=\"training.epochs\"]').placeholder.includes('recipe')")


def test_a_recipe_that_cannot_run_is_said_clearly(opened: Page) -> None:
    go(opened, "runs/new")
    see(opened, "[name=corpus]")
    click_text(opened, "Start")
    assert "No corpus" in opened.wait_for("document.querySelector('.problem')?.textContent")


def try_bundle(page: Page) -> None:
    go(page, "try")
    see(page, ".drop")
    value = "[...document.querySelectorAll('.of-bundle option')].find((one) => one.text.startsWith('tiny')).value"
    choose(page, ".of-bundle select", page.evaluate(value))


def test_an_upload_is_predicted(opened: Page, folder: Path) -> None:
    try_bundle(opened)
    opened.set_files("input[type=file]", [folder / "upload.wav"])
    said = opened.wait_for("document.querySelector('.said')?.textContent")
    assert said in ("low", "middle", "high")
    assert opened.evaluate("document.querySelectorAll('.answer .score-bars li').length") == 3
    opened.wait_for("document.querySelector('.trial .player-host').firstElementChild?.childElementCount > 0")


def test_what_is_no_sound_is_refused_in_words(page: Page, address: str, tmp_path: Path) -> None:
    enter(page, address)
    try_bundle(page)
    (tmp_path / "page.wav").write_text("<svg onload=alert(1)>")
    page.set_files("input[type=file]", [tmp_path / "page.wav"])
    assert page.wait_for("document.querySelector('.problem')?.textContent")
    assert page.evaluate("document.querySelector('.problem svg')") is None


def test_a_microphone_is_predicted_while_it_records(address: str, folder: Path) -> None:
    host = address.split("/?")[0]
    with chromium.start(*chromium.microphone(folder / "upload.wav")) as listening:
        page = listening.page()
        enter(page, address)
        try_bundle(page)
        click_text(page, "Record")
        assert page.wait_for("document.querySelector('.live-label')?.textContent.match(/low|middle|high/)?.[0]")
        assert page.evaluate("document.querySelectorAll('.live-lines polyline').length") == 3
        page.wait_for("document.querySelector('.live-lines polyline').points.length > 3")
        click_text(page, "Stop")
        assert page.wait_for("document.querySelector('.said')?.textContent") in ("low", "middle", "high")
        assert page.console_errors() == []
        assert page.requests_beyond(host, host.replace("http:", "ws:")) == []
        page.close()
