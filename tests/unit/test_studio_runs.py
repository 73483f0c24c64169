"""Runs in the studio: recipes, runs that are started, watched, stopped and resumed, reports, comparisons."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="the studio is not installed: pip install 'earnest[studio]'")
pytest.importorskip("torch", reason="runs need the extra [lab]")

from reporting_run import write_run
from running_studio import Running, running

from earnest.errors import RecipeError
from earnest.studio import events, recipes
from earnest.studio.children import Children
from earnest.studio.events import Tail, Watch, progress_of
from earnest.studio.folder import Folder
from earnest.studio.runs import is_held
from earnest.studio.trainer import Conflict, Trainer

RATE = 8000
PATIENCE_S = 240.0  # other work may be going on
SETTINGS = [
    "corpus=folder:words",
    "pattern={label}/{speaker}_{take}.wav",
    "split=leave-one-group-out",
    "model=svm",
    "frontend.name=statistics",
    "frontend.of.name=mfcc",
    "sample_rate=8000",
    "clips.window_s=0.5",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones in `words/LABEL/SPEAKER_TAKE.wav`, a recipe, a YAML file that is none, and two made-up runs."""
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(3)
    for label, hz in (("beet", 300), ("leek", 900)):
        for speaker in ("ann", "bob", "cem"):
            for take in range(2):
                place = root / "words" / label / f"{speaker}_{take}.wav"
                place.parent.mkdir(parents=True, exist_ok=True)
                noise = 0.05 * rng.standard_normal(RATE // 2)
                soundfile.write(place, 0.3 * np.sin(2 * np.pi * hz * np.arange(RATE // 2) / RATE) + noise, RATE)
    (root / "mine.yaml").write_text("# Words of mine.\ncorpus: folder:words\nmodel: ds_cnn\n")
    (root / "other.yaml").write_text("services: {web: {image: none}}\n")
    write_run(root / "runs" / "digits", speakers=3, takes=2)
    write_run(root / "runs" / "more" / "digits", speakers=3, takes=2)
    return root


@pytest.fixture(scope="module")
def studio(root: Path) -> Iterator[Running]:
    with running(root) as one:
        yield one


def post(studio: Running, path: str, values: Any = None) -> tuple[int, Any]:
    body = json.dumps({} if values is None else values)
    status, _, said = studio.ask(path, "POST", body, {"Content-Type": "application/json"})
    return status, json.loads(said)


def until_state(studio: Running, id: str, *states: str) -> Any:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        run = studio.json(f"/api/runs/{id}")
        if run["state"] in states:
            return run
        time.sleep(0.2)
    raise AssertionError(run)


def listen(studio: Running, id: str) -> list[tuple[str, Any]]:
    """All events of a run until its end."""
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=PATIENCE_S)
    connection.request("GET", f"/api/runs/{id}/events", headers=studio.bearer)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    text = answer.read().decode()
    connection.close()
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_recipes_are_those_of_earnest_and_of_the_folder(studio: Running, root: Path) -> None:
    found = {one["name"]: one for one in studio.json("/api/recipes")}
    assert found["mine"] == {
        "name": "mine",
        "path": str(root / "mine.yaml"),
        "summary": "Words of mine.",
        "shipped": False,
    }
    assert found["fsdd-svm"]["shipped"]
    assert "other" not in found
    assert studio.json("/api/recipes/mine")["yaml"].startswith("# Words of mine.")
    assert studio.ask("/api/recipes/other")[0] == 404
    shipped = studio.json("/api/recipes/zoo")["values"]
    assert shipped["corpus"] == "esc10"
    assert shipped["training.epochs"] == "12"
    assert (shipped["split.name"], shipped["frontend"], shipped["clips.window_s"]) == ("official", "log_mel", "3.0")
    assert "model" not in shipped  # the grid varies it


def test_the_schema_is_the_recipes_own(studio: Running) -> None:
    found = studio.json("/api/schema")
    assert {"corpus", "model", "split", "training"} <= set(found["properties"])
    assert "fsdd" in found["choices"]["corpus"]
    assert "folder" not in found["choices"]["corpus"]
    assert {"ds_cnn", "svm"} <= set(found["choices"]["model"])


def test_runs_are_listed_with_those_of_folders_in_folders(studio: Running) -> None:
    found = {run["id"]: run for run in studio.json("/api/runs")}
    assert {"digits", "more~digits"} <= set(found)
    assert found["digits"]["state"] == "done"
    assert isinstance(found["digits"]["score"], float)
    assert studio.json("/api/runs/more~digits")["folds"]
    assert studio.ask("/api/runs/none")[0] == 404


def test_a_report_is_sealed(studio: Running, root: Path) -> None:
    (root / "runs" / "digits" / "report.html").write_text("<!doctype html><script>1</script>")
    status, headers, said = studio.ask("/api/runs/digits/report")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<script>" in said
    policy = headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy
    assert studio.ask("/api/runs/more~digits/report")[0] == 404


def test_two_runs_are_compared(studio: Running) -> None:
    status, said = post(studio, "/api/compare", {"a": "digits", "b": "more~digits"})
    assert status == 200, said
    assert said["difference"] == 0
    assert post(studio, "/api/compare", {"a": "digits", "b": "none"})[0] == 404


def test_what_would_not_start_is_refused(studio: Running, root: Path) -> None:
    before = sorted(path.name for path in (root / "runs").iterdir())
    wrong: list[Any] = [
        {"recipe": None, "overrides": []},
        {"recipe": None, "overrides": ["model=ds_cnn"]},
        {"recipe": "none", "overrides": []},
        {"recipe": "mine", "overrides": ["training.epochs=many"]},
        {"recipe": "mine", "overrides": ["--out=/tmp/elsewhere"]},
        {"recipe": "mine", "overrides": ["no setting"]},
        {"recipe": "mine", "overrides": ["model=a\nb"]},
        {"recipe": 7},
        [],
    ]
    for values in wrong:
        status, said = post(studio, "/api/runs", values)
        assert 400 <= status < 500, values
        assert said["error"]
    assert sorted(path.name for path in (root / "runs").iterdir()) == before


def test_a_run_is_started_watched_and_done(studio: Running, root: Path) -> None:
    status, said = post(studio, "/api/runs", {"recipe": None, "overrides": SETTINGS})
    assert (status, said) == (201, {"id": "words-svm"})
    found = listen(studio, "words-svm")
    kinds = {kind for kind, _ in found}
    assert {"log", "progress", "end"} <= kinds
    assert found[-1][0] == "end"
    assert found[-1][1]["state"] == "done", (root / "runs/words-svm/studio.log").read_text()
    run = studio.json("/api/runs/words-svm")
    assert (run["state"], run["model"], run["score"]) == ("done", "svm", found[-1][1]["score"])
    assert run["problem"] is None
    assert (root / "runs" / "words-svm" / "scores.json").is_file()
    assert post(studio, "/api/runs/words-svm/resume")[0] == 409
    assert post(studio, "/api/runs/words-svm/stop")[0] == 409
    assert listen(studio, "words-svm")[-1][0] == "end"
    assert studio.ask("/api/runs/words-svm/report")[0] == 200


def test_a_run_is_stopped_and_goes_on(studio: Running) -> None:
    slow = ["model=ds_cnn", "training.epochs=5000", *(one for one in SETTINGS[:3])]
    status, said = post(studio, "/api/runs", {"recipe": None, "overrides": slow})
    id = said["id"]
    assert (status, id) == (201, "words-ds_cnn")
    until_state(studio, id, "running")
    assert post(studio, f"/api/runs/{id}/resume")[0] == 409
    assert post(studio, f"/api/runs/{id}/stop") == (200, {"state": "stopped"})
    assert until_state(studio, id, "stopped")["score"] is None
    assert post(studio, f"/api/runs/{id}/resume")[0] == 200
    until_state(studio, id, "running")
    assert post(studio, f"/api/runs/{id}/stop")[0] == 200
    assert listen(studio, id)[-1] == ("end", {"state": "stopped", "score": None})


def test_a_run_that_fails_says_why(studio: Running) -> None:
    settings = ["corpus=folder:nowhere", "model=ds_cnn"]
    _, said = post(studio, "/api/runs", {"recipe": None, "overrides": settings})
    run = until_state(studio, said["id"], "failed")
    assert "nowhere" in run["problem"]["error"]
    assert run["problem"]["remedy"]


def test_runs_that_were_started_end_with_the_studio(root: Path) -> None:
    with running(root) as one:
        slow = ["model=ds_cnn", "training.epochs=5000", *SETTINGS[:3]]
        _, said = post(one, "/api/runs", {"recipe": None, "overrides": slow})
        place = root / "runs" / said["id"]
        until = time.monotonic() + PATIENCE_S
        while not is_held(place) and time.monotonic() < until:
            time.sleep(0.1)
        assert is_held(place)
    assert not is_held(place)
    trainer = Trainer(Folder(root), Children(root, None))
    assert trainer.state(place) == "stopped"


def test_no_more_runs_than_may_and_no_folder_twice(tmp_path: Path) -> None:
    children = Children(tmp_path, None)
    trainer = Trainer(Folder(tmp_path), children)
    first = trainer.start("one", ["corpus=folder:nowhere", "model=svm"])
    second = trainer.start("one", ["corpus=folder:nowhere", "model=svm"])
    assert (first.name, second.name) == ("one", "one-2")
    with pytest.raises(Conflict, match="going on"):
        trainer.start("one", ["model=svm"])
    os.killpg(trainer._living[first].process.pid, signal.SIGKILL)
    trainer._living[first].process.wait()
    trainer.close()
    until = time.monotonic() + 20
    while not all(trainer.ended(place) for place in (first, second)) and time.monotonic() < until:
        time.sleep(0.05)
    assert trainer.state(first) == "failed"
    assert trainer.state(second) == "stopped"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("training ...", ("training", 0, None)),
        ("training: 1,035/2,000, 3.2/s, 20 s left  fold 3", ("training", 1035, 2000)),
        ("comparing 3,000 clips: 12, 3/s", ("comparing 3,000 clips", 12, None)),
        ("Note: nothing", None),
        ("", None),
    ],
)
def test_progress_is_read_from_lines(line: str, expected: tuple[str, int, int | None] | None) -> None:
    found = progress_of(line)
    assert (found and (found["stage"], found["done"], found["total"])) == expected


def test_lines_are_read_whole_and_once(tmp_path: Path) -> None:
    place = tmp_path / "log"
    tail = Tail(place)
    assert tail.lines() == []
    place.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"]
    with place.open("ab") as stream:
        stream.write(b"o\nthree\n")
    assert tail.lines() == ["two", "three"]
    place.write_bytes(b"new\n")
    assert tail.lines() == ["new"]
    place.write_bytes(b"first\nsecond\nthird\n")
    assert Tail(place, last_bytes=8).lines() == ["third"]


def test_epochs_come_from_the_folds_and_bad_lines_are_left_out(tmp_path: Path) -> None:
    for fold in ("ann", "bob"):
        (tmp_path / f"fold-{fold}").mkdir()
        (tmp_path / f"fold-{fold}" / "log.jsonl").write_text('{"epoch": 1, "train_loss": NaN}\nnonsense\n[]\n{"epo')
    found = list(Watch(tmp_path).news())
    assert [(kind, record["fold"], record["epoch"]) for kind, record in found] == [
        ("epoch", "ann", 1),
        ("epoch", "bob", 1),
    ]
    assert '"train_loss": null' in events.event(*found[0])


@pytest.mark.parametrize(
    ("recipe", "overrides", "name"),
    [
        ("fsdd-svm", ["model=x"], "fsdd-svm"),
        (None, ["corpus=folder:a/b/../words", "model=ds_cnn"], "words-ds_cnn"),
        (None, ["name=../../etc", "model=ds_cnn"], "etc"),
        (None, ["training.epochs=3"], "run"),
    ],
)
def test_names_of_runs_are_names_of_folders(recipe: str | None, overrides: list[str], name: str) -> None:
    assert recipes.name_of(recipe, overrides) == name


def test_settings_are_checked_before_anything_starts() -> None:
    with pytest.raises(RecipeError, match="no setting"):
        recipes.check(None, ["-x=1"])
    with pytest.raises(RecipeError, match="Neither"):
        recipes.check(None, [])
