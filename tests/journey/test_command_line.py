"""The command line from recordings to a stream: what each verb says, and that the verbs agree with each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = (
    "pattern={label}/{speaker}_{take}.wav",
    "split={name: group-k-fold, folds: 2}",
    "sample_rate=8000",
    "clips.window_s=0.5",
    "frontend={name: statistics}",
    "model=svm",
)


def earnest(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "earnest", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd, env=env)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a folder with spaces")


@pytest.fixture(scope="module")
def first(tones: Path, place: Path) -> dict[str, object]:
    """What `earnest run … --twin --json` prints."""
    done = earnest(
        "run", f"corpus=folder:{tones}", *SETTINGS, "--twin", "--out", "one", "--jobs", "1", "--json", cwd=place
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    values = json.loads(line)
    assert isinstance(values, dict)
    return values


def test_run_prints_the_scores_file(first: dict[str, object], place: Path) -> None:
    saved = json.loads((place / "one" / "scores.json").read_text(encoding="utf-8"))
    assert first == {**saved, "run": "one"}
    keys = "task corpus protocol primary score interval baseline n_clips n_groups folds metrics leaks seconds twin"
    assert set(keys.split()) <= set(first)
    assert first["leaks"] == {"speaker": 0, "source": 0, "duplicate": 0}
    assert {"score", "protocol"} <= set(first["twin"])
    assert first["n_clips"] == 48


def test_a_finished_run_is_shown_again(first: dict[str, object], tones: Path, place: Path) -> None:
    done = earnest("run", f"corpus=folder:{tones}", *SETTINGS, "--twin", "--out", "one", cwd=place)
    assert done.returncode == 0
    assert "this model (honest)" in done.stdout
    assert "leaky twin (VOID)" in done.stdout
    assert "report: one/report.html" in done.stdout
    assert done.stderr.splitlines()[-1] == "Next: earnest predict one/bundle FILE"


def test_another_recipe_does_not_overwrite_a_run(first: dict[str, object], tones: Path, place: Path) -> None:
    done = earnest("run", f"corpus=folder:{tones}", *SETTINGS, "seeds=[5]", "--out", "one", cwd=place)
    assert done.returncode == 2
    assert "another recipe" in done.stderr


def test_the_bundle_predicts_and_listens(first: dict[str, object], tones: Path, place: Path) -> None:
    files = [tones / "rise" / "s0_0.wav", tones / "noise" / "s1_0.wav"]
    done = earnest("predict", "one/bundle", *files, "--json", cwd=place)
    assert done.returncode == 0
    tone, noise = json.loads(done.stdout)["results"]
    assert (tone["file"], noise["file"]) == tuple(map(str, files))
    assert noise["label"] == "noise"
    assert set(tone["scores"]) == set(first["labels"])
    done = earnest("listen", "one/bundle", "--wav", files[1], "--json", cwd=place)
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["label"] == "noise"
    assert (event["start_s"], event["end_s"]) == (0.0, 0.5)


def test_a_grid_gives_several_runs_and_one_table(first: dict[str, object], tones: Path, place: Path) -> None:
    grid = "grid={model.C: [0.1, 10.0]}"
    done = earnest(
        "run", f"corpus=folder:{tones}", *SETTINGS, grid, "--out", "many", "--jobs", "1", "--json", cwd=place
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert len({run["run"] for run in runs}) == 2
    table = earnest("table", "many", "one", cwd=place).stdout.splitlines()
    assert len(table) == 2 + 2 + 2  # heading, rule, two cells, the first run and its twin
    assert sum("(void: groups ignored)" in line for line in table) == 1
    rows = json.loads(earnest("table", "many", "--json", cwd=place).stdout)["rows"]
    assert [row["clips"] for row in rows] == [48, 48]
    assert earnest("table", "one", "--format", "latex", cwd=place).stdout.startswith(r"\begin{tabular}")
    compared = json.loads(earnest("compare", runs[0]["run"], runs[1]["run"], "--json", cwd=place).stdout)
    assert compared["n_clips"] == 48
    assert compared["difference"] == pytest.approx(runs[0]["score"] - runs[1]["score"])
    assert compared["group"] == "speaker"


def test_report_and_export_again(first: dict[str, object], place: Path) -> None:
    (place / "one" / "report.html").unlink()
    done = earnest("report", "one", "--json", cwd=place)
    assert Path(place, json.loads(done.stdout)["report"]).is_file()
    fold = first["folds"][-1]["name"]
    done = earnest("export", "one", "--fold", fold, "--out", "again", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (place / "again" / "model.onnx").is_file()
    done = earnest("export", "one", "--fold", "nobody", cwd=place)
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_audit_finds_the_leak_of_a_random_split(tones: Path, place: Path) -> None:
    spec = (f"folder:{tones}", "pattern={label}/{speaker}_{take}.wav")
    honest = earnest("audit", *spec, "split=leave-one-group-out", "--json", cwd=place)
    assert honest.returncode == 0, honest.stderr
    leaky = earnest("audit", *spec, "split=random", "--json", cwd=place)
    assert leaky.returncode == 1
    found = json.loads(leaky.stdout)
    assert {"clips", "speakers", "sources", "leaks", "duplicates"} <= set(found)
    assert found["leaks"]["speaker"] == 4
    without = earnest("audit", *spec, "--json", cwd=place)
    assert without.returncode == 0
    assert json.loads(without.stdout)["leaks"] == {"speaker": 0, "source": 0, "duplicate": 0}


def test_what_is_missing_is_said(place: Path) -> None:
    for arguments in (("table", "nowhere"), ("report", "nowhere"), ("export", "nowhere"), ("compare", "a", "b")):
        done = earnest(*arguments, cwd=place)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
