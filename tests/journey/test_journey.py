"""What the journey promises, seen on small synthetic recordings."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from earnest import journey, recipe
from earnest.errors import LeakError, RecipeError
from earnest.runtime import Predictor

PATTERN = "pattern={label}/{speaker}_{take}.wav"
FAST = ["sample_rate=8000", "clips.window_s=0.5", "model=ds_cnn", "training.epochs=2", "training.batch_size=8"]


def run(folder: Path, out: Path, *overrides: str, jobs: int = 1) -> dict:
    (cell,) = recipe.load(None, [f"corpus=folder:{folder}", PATTERN, "split.folds=2", *FAST, *overrides])
    journey.run(cell, out, jobs=jobs)
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scored(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A finished run with two seeds and a twin."""
    out = tmp_path_factory.mktemp("run")
    return out, run(tones, out, "seeds=[0, 1]", "twin=true")


def test_scores_hold_what_others_rely_on(scored):
    _, scores = scored
    keys = [
        "task",
        "corpus",
        "protocol",
        "primary",
        "score",
        "interval",
        "baseline",
        "n_clips",
        "n_groups",
        "folds",
        "metrics",
        "leaks",
        "seconds",
    ]
    assert set(keys) <= set(scores)
    assert scores["leaks"] == {"speaker": 0, "source": 0, "duplicate": 0}
    assert (scores["n_clips"], scores["n_groups"], len(scores["folds"])) == (48, 4, 4)
    assert scores["score"] == pytest.approx(np.mean(scores["seeds"]["scores"]))
    assert scores["interval"][0] <= scores["score"] <= scores["interval"][1]
    assert scores["twin"]["void"] is True
    assert "LEAKY" in scores["twin"]["protocol"]


def test_a_run_keeps_what_its_report_shows_of_sound_and_model(scored):
    out, _ = scored
    assert {path.name for path in (out / "insight").iterdir()} >= {"conditions.json", "mel.npz", "saliency.npz"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<section id="mel"' in page
    assert '<section id="saliency"' in page
    assert not (out / "twin" / "insight").exists()
    assert not list(out.glob("twin/fold-*/insight.npz"))


def test_every_clip_is_predicted_once_per_seed_by_a_model_that_never_heard_its_speaker(scored):
    out, scores = scored
    predictions = pl.read_parquet(out / "predictions.parquet")
    assert predictions.group_by("id", "seed").len()["len"].unique().to_list() == [1]
    assert predictions.group_by("speaker").agg(pl.col("fold").n_unique())["fold"].unique().to_list() == [1]
    probabilities = np.array(predictions["scores"].to_list())
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    said = [scores["labels"][index] for index in probabilities.argmax(1)]
    assert said == predictions["prediction"].to_list()


def test_the_bundle_gives_the_scores_of_its_fold(scored):
    out, scores = scored
    assert scores["parity"]["clips"] == scores["parity"]["same_decisions"] == 48
    assert scores["parity"]["largest_difference"] <= 1e-4
    predictor = Predictor(out / "bundle")
    shipped = json.loads((out / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    fold = shipped["scores"]["model.onnx"]["protocol"].split()[5]
    table = pl.read_parquet(out / "table.parquet")
    rows = pl.read_parquet(out / "predictions.parquet").filter((pl.col("fold") == fold) & (pl.col("seed") == 0))
    for row in rows.join(table.select("id", "audio"), on="id").iter_rows(named=True):
        heard = predictor.predict(Path(out, row["audio"]))
        assert heard.label == row["prediction"]
        np.testing.assert_allclose(list(heard.scores.values()), row["scores"], atol=1e-4)


def test_the_first_loss_is_that_of_a_new_model_in_every_fold(scored):
    out, _ = scored
    log = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    first = [entry["train_loss"] for entry in log if entry["epoch"] == 1]
    assert len(first) == 4
    assert all(abs(loss - np.log(3)) < 0.6 for loss in first)


def predictions_of(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(out.glob("fold-*/predictions.npy"))]


def test_jobs_and_workers_change_no_bit(tones, tmp_path):
    augment = "augment=[{name: speed, min: 0.9, max: 1.1}, {name: noise}, spec_augment, {name: mixup, alpha: 0.3}]"
    run(tones, tmp_path / "one", augment)
    run(tones, tmp_path / "two", augment, jobs=2)
    run(tones, tmp_path / "workers", augment, "training.workers=2")
    assert predictions_of(tmp_path / "one") == predictions_of(tmp_path / "two") == predictions_of(tmp_path / "workers")


def test_members_are_one_model(tones, tmp_path):
    scores = run(tones, tmp_path, "training.members=2")
    alone = run(tones, tmp_path / "alone")
    assert scores["parameters"] == 2 * alone["parameters"]
    assert scores["parity"]["same_decisions"] == 48


@pytest.fixture
def copied(tones: Path, tmp_path: Path) -> Path:
    """The tones, with one speaker's clip copied under another's name."""
    folder = tmp_path / "copied"
    shutil.copytree(tones, folder)
    shutil.copy(folder / "noise" / "s0_0.wav", folder / "noise" / "s1_9.wav")
    return folder


def test_a_copy_on_both_sides_fails_the_run(copied, tmp_path):
    with pytest.raises(LeakError, match="1 duplicate"):
        run(copied, tmp_path / "run", "split=leave-one-group-out")


def test_a_leak_may_be_allowed_with_a_reason_that_shows(copied, tmp_path):
    scores = run(copied, tmp_path / "run", "split=leave-one-group-out", "allow_leaks=a test")
    assert (scores["leaks"]["duplicate"], scores["allow_leaks"]) == (1, "a test")
    assert "a test" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    bundle = json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert bundle["scores"]["model.onnx"]["void"] is True


def test_copies_may_be_left_out_of_training(copied, tmp_path):
    scores = run(copied, tmp_path / "run", "split={name: leave-one-group-out, copies: drop}")
    assert scores["leaks"]["duplicate"] == 0
    assert any("left out as copies" in note for note in scores["notes"])
    assert scores["n_clips"] == 49


def test_a_random_split_is_allowed_and_marked(tones, tmp_path):
    scores = run(tones, tmp_path, "split=random")
    assert scores["leaky"] is True
    assert scores["leaks"]["speaker"] == 4
    assert "void" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_unreadable_recordings_are_set_aside_and_the_rest_goes_on(tones, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(tones, folder)
    (folder / "rise" / "s0_8.wav").write_bytes(b"not audio")
    whole = (folder / "rise" / "s0_0.wav").read_bytes()
    (folder / "rise" / "s0_9.wav").write_bytes(whole[: len(whole) * 2 // 3])
    scores = run(folder, tmp_path / "run", "split.copies=drop")
    entries = [json.loads(line) for line in (tmp_path / "run" / "quarantine.jsonl").read_text().splitlines()]
    assert {(Path(entry["path"]).name, entry["status"]) for entry in entries} == {
        ("s0_8.wav", "rejected"),
        ("s0_9.wav", "repaired"),
    }
    assert (scores["n_clips"], scores["quarantined"]) == (49, 1)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model=svm"], "one row of numbers per clip"),
        (["model=simple_cnn", "clips.short=keep"], "clips of one length"),
        (["training.patience=2", "split.validation=0"], "validation rows"),
        (["primary=f1"], "unknown metric"),
    ],
)
def test_parts_that_do_not_fit_are_named_before_decoding(tones, tmp_path, overrides, said):
    with pytest.raises(RecipeError, match=said):
        run(tones, tmp_path, *overrides)
    assert not (tmp_path / "cache").exists()


def test_another_recipe_in_the_same_folder_starts_from_nothing(tones, tmp_path):
    run(tones, tmp_path / "clean", "training.learning_rate=0.01")
    run(tones, tmp_path / "used")
    (tmp_path / "used" / "scores.json").unlink()
    run(tones, tmp_path / "used", "training.learning_rate=0.01")
    assert predictions_of(tmp_path / "clean") == predictions_of(tmp_path / "used")


@pytest.mark.skipif("EARNEST_DATA" not in os.environ, reason="EARNEST_DATA does not name a folder of real recordings")
def test_a_training_table_of_odd_files(tmp_path):
    folder = Path(os.environ["EARNEST_DATA"]) / "odd_audio"
    if not folder.is_dir():
        pytest.skip("EARNEST_DATA holds no odd_audio")
    overrides = ["pattern={label}/{_}.*", "split=random", "split.folds=2", "clips.window_s=0.5", "model=svm"]
    statistics = "frontend={name: statistics, of: mfcc, bins: 1}"
    (cell,) = recipe.load(None, [f"corpus=folder:{folder}", *overrides, statistics, "model.search=false"])
    out = journey.run(cell, tmp_path, jobs=1)
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    entries = [json.loads(line) for line in (out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()]
    assert scores["n_clips"] > 250
    assert scores["quarantined"] == sum(entry["status"] == "rejected" for entry in entries) > 20
    assert all(entry["reason"] for entry in entries)


def test_the_carry_over_twin_starts_each_fold_from_the_last(tones: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    twin = run(tones, out, "twin=carry-over")["twin"]
    assert "carried from fold to fold" in twin["protocol"]
    assert twin["void"]
    records = [json.loads((out / "twin" / f"fold-{fold['name']}" / "done.json").read_text()) for fold in twin["folds"]]
    assert "start" not in records[0]
    assert records[1]["start"]["checkpoint"].endswith(f"fold-{twin['folds'][0]['name']}/checkpoint")
