"""The report as one page: complete, self-contained, harmless, and readable from whatever a run left behind."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from reporting_run import write_run

from earnest.errors import DataError, MissingExtra
from earnest.reporting.report import write_report

HOSTILE = "<script>alert('x')</script>\"&"
EMPTY = frozenset({"meta", "link", "br", "hr", "img", "input"})
DATA = {"type": "application/json"}
SCRIPTS = [{**DATA, "data-cells": None}, {**DATA, "id": "about"}, {}]  # two blocks of data, and the page's own script
EVERY_SECTION = [
    "score",
    "classes",
    "folds",
    "learning",
    "confusions",
    "groups",
    "calibration",
    "audit",
    "mistakes",
    "quarantine",
    "shipped",
    "environment",
    "recipe",
]


class Page(HTMLParser):
    """Tags, ids, links and text of a page; raises where tags are not nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def sections(self) -> list[str | None]:
        return [attributes["id"] for tag, attributes in self.tags if tag == "section" and "id" in attributes]


def read(run: Path) -> tuple[str, Page]:
    text = write_report(run).read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "digits")


def copied(run: Path, place: Path) -> Path:
    return Path(shutil.copytree(run, place / "copy"))


def change(run: Path, **values: Any) -> None:
    path = run / "scores.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_finished_run_has_every_section_in_order(run: Path) -> None:
    _, page = read(run)
    assert page.sections() == EVERY_SECTION
    linked = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert linked == ["#content", *(f"#{name}" for name in EVERY_SECTION)]


def test_the_page_opens_with_the_verdict(run: Path) -> None:
    _, page = read(run)
    score = json.loads((run / "scores.json").read_text())["score"]
    verdict = f"On speakers it has never heard, this model labels {100 * score:.1f} % of 720 clips correctly"
    assert verdict in page.text.replace("\u00a0", " ")


def test_ids_are_unique_and_every_reference_has_its_target(run: Path) -> None:
    _, page = read(run)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        target = attributes.get("aria-labelledby") or str(attributes.get("href") or "").removeprefix("#")
        assert not target or target.startswith("data:") or target in ids


def test_the_page_asks_nothing_of_the_network(run: Path) -> None:
    text, page = read(run)
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            assert str(attributes.get(name) or "#").startswith(("data:", "#")), (tag, attributes)
    without_script = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|url\(|@import", without_script)
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert str(policy).startswith("default-src 'none'")


def test_the_policy_allows_the_pages_own_script_and_no_other(run: Path) -> None:
    text, _ = read(run)
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text


def test_the_same_run_gives_the_same_page_in_few_bytes(run: Path) -> None:
    first = write_report(run).read_bytes()
    assert first == write_report(run).read_bytes()
    assert len(first) < 5_000_000


def test_the_twin_is_void_and_its_difference_is_said(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    change(place, score=0.873)
    _, page = read(place)
    assert "Leaky twin void 98.5" in page.text
    assert "Its 11.2 points more are not skill" in page.text


def test_a_twin_that_is_not_better_is_said_to_be_so(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    change(place, score=0.99)
    _, page = read(place)
    assert "on this data the leak does not flatter the score" in page.text


def test_a_leaky_run_is_void_from_the_first_line(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    change(place, leaky=True, leaks={"speaker": 6, "source": 0, "duplicate": 0}, allow_leaks=HOSTILE)
    text, page = read(place)
    assert "This score is void: training and test share 6 speakers" in page.text
    assert 'class="badge void"' in text
    assert "points more are not skill" not in page.text


def test_hostile_names_are_shown_as_text_everywhere(tmp_path: Path) -> None:
    labels = (HOSTILE, "<img src=x onerror=alert(1)>", "{{ 7 * 7 }}", "平静")
    place = write_run(tmp_path / "hostile", labels=labels, speakers=3, changes={"corpus": HOSTILE, "notes": [HOSTILE]})
    frame = pl.read_parquet(place / "predictions.parquet")
    hostile = frame.with_columns(
        speaker=pl.lit(HOSTILE) + pl.col("speaker"), fold=pl.lit(HOSTILE), id=HOSTILE + pl.col("id")
    )
    hostile.write_parquet(place / "predictions.parquet")
    (place / "recipe.yaml").write_text(f"name: {HOSTILE}\n", encoding="utf-8")
    (place / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE}), encoding="utf-8")
    entry = {"path": HOSTILE, "status": HOSTILE, "reason": HOSTILE, "remedy": HOSTILE}
    (place / "quarantine.jsonl").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    audit = {
        "clips": 3,
        "speakers": 3,
        "sources": 1,
        "leaks": {},
        "duplicates": [[HOSTILE] * 3],
        "rows": [{HOSTILE: HOSTILE}],
    }
    (place / "audit.json").write_text(json.dumps(audit), encoding="utf-8")
    bundle = {
        "files": {HOSTILE: {"sha256": HOSTILE, "bytes": 3}},
        "licences": [HOSTILE],
        "scores": {HOSTILE: {"note": HOSTILE}},
    }
    (place / "bundle" / "bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    log = {"seed": 0, "fold": HOSTILE, "member": 0, "epoch": 1, "train_loss": 1.0, "validation_loss": None}
    (place / "log.jsonl").write_text(json.dumps(log) + "\n", encoding="utf-8")
    change(place, folds=[{"name": HOSTILE, "seed": 0, "score": 0.5, "n": 3}])
    text, page = read(place)
    assert page.sections() == EVERY_SECTION
    assert [attributes for tag, attributes in page.tags if tag == "script"] == SCRIPTS
    assert "img" not in [tag for tag, _ in page.tags]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "平静" in page.text
    assert text.count("<script") == len(SCRIPTS)


def test_every_cell_of_the_matrix_says_its_own_count_and_not_its_percentage_too(run: Path) -> None:
    frame = pl.read_parquet(run / "predictions.parquet")
    zeros = frame.filter(pl.col("target") == "zero")
    ones = zeros.filter(pl.col("prediction") == "one").height
    _, page = read(run)
    said = [attributes["data-say"] for tag, attributes in page.tags if "data-say" in attributes]
    assert len(said) == 100
    assert said[1] == f"“zero” heard as “one”: {ones} of {zeros.height} ({100 * ones / zeros.height:.1f} %)"
    assert str(said[0]).startswith("“zero” heard rightly:")


def test_an_estimator_without_epochs_has_no_learning_curves(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    (place / "log.jsonl").write_text("")
    assert "learning" not in read(place)[1].sections()


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("bundle", {"shipped"}),
        ("audit.json", {"audit"}),
        ("environment.json", {"environment"}),
        ("quarantine.jsonl", {"quarantine"}),
        ("recipe.yaml", {"recipe"}),
        ("table.parquet", set()),
        ("twin", set()),
        ("predictions.parquet", {"classes", "confusions", "groups", "calibration", "mistakes"}),
    ],
)
def test_what_is_missing_is_left_out(run: Path, tmp_path: Path, missing: str, gone: set[str]) -> None:
    place = copied(run, tmp_path)
    path = place / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert read(place)[1].sections() == [name for name in EVERY_SECTION if name not in gone]


def test_an_interrupted_run_shows_how_far_it_came(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "stopped"
    fold = place / "fold-1"
    fold.mkdir(parents=True)
    shutil.copy(run / "recipe.yaml", place)
    line = json.dumps({"seed": 0, "fold": "1", "member": 0, "epoch": 1, "train_loss": 2.3, "validation_loss": 2.2})
    (fold / "log.jsonl").write_text(f'{line}\n{{"seed": 0, "fo', encoding="utf-8")
    _, page = read(place)
    assert "This run is not finished: it stopped after 1 logged epoch" in page.text
    assert "To go on where it stopped" in page.text
    assert page.sections() == ["learning", "recipe"]


def test_recordings_that_vanished_are_said(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    table = pl.read_parquet(place / "table.parquet").with_columns(audio=pl.lit(str(tmp_path / "gone.wav")))
    table.write_parquet(place / "table.parquet")
    _, page = read(place)
    assert "The recording cannot be played" in page.text
    assert "audio" not in [tag for tag, _ in page.tags]


def test_clips_have_players_with_names_those_of_mistakes_first(run: Path) -> None:
    _, page = read(run)
    found = [attributes for tag, attributes in page.tags if tag == "audio"]
    cards = [attributes["data-play"] for tag, attributes in page.tags if tag == "li" and "data-play" in attributes]
    assert len(cards) == 12
    assert [attributes["data-clip"] for attributes in found[:12]] == cards
    assert all("controls" in attributes and attributes["aria-label"] for attributes in found)


def test_a_model_without_mistakes_has_no_list_of_them(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    frame = pl.read_parquet(place / "predictions.parquet").with_columns(prediction=pl.col("target"))
    frame.write_parquet(place / "predictions.parquet")
    assert "mistakes" not in read(place)[1].sections()


def test_a_class_that_stands_only_in_the_test_rows_is_shown(run: Path, tmp_path: Path) -> None:
    place = copied(run, tmp_path)
    frame = pl.read_parquet(place / "predictions.parquet")
    frame = frame.with_columns(target=pl.when(pl.col("target") == "nine").then(pl.lit("ten")).otherwise("target"))
    frame.write_parquet(place / "predictions.parquet")
    _, page = read(place)
    assert "ten" in page.text


def test_many_classes_and_groups_are_cut_with_a_word(tmp_path: Path) -> None:
    labels = tuple(f"sound {number}" for number in range(61))
    place = write_run(tmp_path / "many", labels=labels, speakers=41, takes=1, epochs=2)
    text, page = read(place)
    assert "With more than 60 classes the matrix is not drawn" in page.text
    assert "1 further speakers do better" in page.text
    assert "5 further folds are not drawn" in page.text
    assert len(text) < 5_000_000


def test_seeds_are_averaged_and_named(tmp_path: Path) -> None:
    place = write_run(tmp_path / "seeds", speakers=2, seeds=(0, 1), epochs=2)
    _, page = read(place)
    assert "counts are summed over 2 seeds" in page.text
    assert "2 seeds:" in page.text


@pytest.mark.parametrize(
    ("same", "words"),
    [(720, "every decision is the same"), (True, "every decision is the same"), (718, "2 decisions differ")],
)
def test_parity_is_told_in_decisions(run: Path, tmp_path: Path, same: int | bool, words: str) -> None:
    place = copied(run, tmp_path)
    change(place, parity={"clips": 720, "same_decisions": same, "largest_difference": 3.1e-6})
    _, page = read(place)
    assert f"on 720 clips: {words}" in page.text
    assert "3.1 · 10⁻⁶" in page.text


def test_a_damaged_file_is_named(run: Path, tmp_path: Path) -> None:
    for name, content in (("scores.json", "{"), ("log.jsonl", "{\n{}\n"), ("audit.json", "[]"), ("table.parquet", "x")):
        place = Path(shutil.copytree(run, tmp_path / name))
        (place / name).write_text(content)
        with pytest.raises(DataError, match=rf"{name} is damaged"):
            write_report(place)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run directory"):
        write_report(tmp_path)


def test_a_missing_package_is_named_with_its_extra(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"jinja2.*\n.*earnest\[lab\]"):
        write_report(run)
