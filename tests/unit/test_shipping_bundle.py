from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_bundle import LABELS, make_bundle

from earnest.errors import BundleError, StorageError
from earnest.recipe import Part
from earnest.runtime import Bundle, Predictor
from earnest.shipping import bundle as writer
from earnest.shipping.card import is_non_commercial, model_card


def manifest(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    values = json.loads((make_bundle(tmp_path) / "bundle.json").read_text(encoding="utf-8"))
    return {**values, **changes}


def test_what_is_written_is_what_the_format_says(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path)
    assert folder == tmp_path / "bundle"
    assert {path.name for path in folder.iterdir()} == {"bundle.json", "model.onnx", "README.md"}
    values = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert values["format"] == 1
    assert values["labels"] == list(LABELS)
    assert values["shape"] == "clip"
    for name, entry in values["files"].items():
        data = (folder / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "tiny.onnx"}, "nothing temporary is left"


def test_a_new_bundle_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    make_bundle(tmp_path, hop=8)
    folder = make_bundle(tmp_path, hop=10)
    assert Bundle.open(folder).hop_samples == 10
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "tiny.onnx"}


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(BundleError, match="is not a bundle"):
        make_bundle(tmp_path)
    assert (tmp_path / "bundle" / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    assert Bundle.open(make_bundle(tmp_path)).name == "tiny"


def test_a_missing_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiny_bundle.write_graph", lambda path: path)
    with pytest.raises(BundleError, match=r"tiny\.onnx is to become model\.onnx"):
        make_bundle(tmp_path)


def test_a_bundle_that_would_not_open_is_not_put_in_place(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path)
    with pytest.raises(BundleError, match="hop_samples"):
        make_bundle(tmp_path, hop=0)
    assert Bundle.open(folder).hop_samples == 8
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "tiny.onnx"}


@pytest.mark.parametrize("step", ["copyfile", "model_card"])
def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    folder = make_bundle(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.shutil if step == "copyfile" else writer, step, full)
    with pytest.raises(StorageError, match="the disk is full"):
        make_bundle(tmp_path, hop=10)
    assert Bundle.open(folder).hop_samples == 8
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "tiny.onnx"}


def test_a_failed_swap_puts_the_old_bundle_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_bundle(tmp_path)
    rename = Path.rename

    def sometimes(path: Path, target: Path) -> Path:
        if path.name == ".bundle.new":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", sometimes)
    with pytest.raises(StorageError, match="Input/output error"):
        make_bundle(tmp_path, hop=10)
    assert Bundle.open(folder).hop_samples == 8


def test_a_process_killed_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path)
    folder.rename(tmp_path / ".bundle.old")
    (tmp_path / ".bundle.new").mkdir()
    (tmp_path / ".bundle.new" / "model.onnx").write_bytes(b"half")
    with pytest.raises(BundleError, match="hop_samples"):
        make_bundle(tmp_path, hop=0)
    assert Bundle.open(folder).hop_samples == 8
    assert Bundle.open(make_bundle(tmp_path, hop=10)).hop_samples == 10
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "tiny.onnx"}


def test_more_files_are_copied_and_hashed(tmp_path: Path) -> None:
    first = make_bundle(tmp_path / "one")
    facts = json.loads((first / "bundle.json").read_text(encoding="utf-8"))
    kept = {key: facts[key] for key in facts if key not in ("format", "earnest", "files")}
    second = writer.write_bundle(
        tmp_path / "two" / "bundle",
        model_file=first / "model.onnx",
        more_files={"model.int8.onnx": first / "model.onnx"},
        **kept,
    )
    assert Bundle.open(second).path("model.int8.onnx").is_file()
    assert Predictor(second, model="model.int8.onnx").bundle.name == "tiny"
    with pytest.raises(BundleError, match="cannot be called"):
        writer.write_bundle(
            tmp_path / "three", model_file=first / "model.onnx", more_files={"../x": first / "model.onnx"}, **kept
        )


def front_matter(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    values = yaml.safe_load(text)
    assert isinstance(values, dict)
    return values


def test_the_card_says_what_the_manifest_says(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| `model.onnx` | accuracy | 81.2 % | 70.0 % to 90.0 % | 3,000 | leave-one-speaker-out, 6 folds |" in card
    assert "The file holds the model of fold george." in card
    assert "`low`, `middle`, `high`" in card
    assert "**Tiny sounds**. Licence: CC BY-NC 4.0. Nobody (2020)" in card
    assert "non-commercial purposes only" in card
    assert "1000 Hz" in card
    assert "Nothing above 500 Hz" in card
    assert "a" * 64 in card
    assert Bundle.open(folder).files["model.onnx"]["sha256"] in card
    values = front_matter(card)
    assert values["library_name"] == "earnest"
    assert values["datasets"] == ["tiny"]
    assert "non-commercial-data" in values["tags"]
    assert "license" not in values
    (result,) = values["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.8123, "name": "leave-one-speaker-out, 6 folds"}]


def test_the_card_claims_nothing_that_it_was_not_given(tmp_path: Path) -> None:
    bare = manifest(tmp_path, scores={}, licences=[], recipe_hash="", data_hash="", frontend={})
    card = model_card(bare)
    assert "No score was measured" in card
    assert "Nothing is stated about the licence" in card
    assert "not stated" in card
    assert "%" not in card
    assert "commercial" not in card
    assert set(front_matter(card)) == {"library_name", "pipeline_tag", "tags"}


def test_the_card_shows_baselines_groups_and_the_method(tmp_path: Path) -> None:
    score = {
        "score": 0.5,
        "interval": None,
        "primary": "uar",
        "protocol": "unseen | actors",
        "n_clips": 1440,
        "n_groups": 24,
        "group": "speaker",
        "baseline": {"majority": 0.125, "chance": 0.125},
        "interval_method": "95 % by resampling speakers",
    }
    card = model_card(manifest(tmp_path, scores={"model.onnx": score}))
    assert "| UAR (unweighted average recall) | 50.0 % | – | 1,440 (24 by speaker) | unseen / actors |" in card
    assert "baselines: majority 12.5 %, chance 12.5 %." in card
    assert "95 % by resampling speakers." in card


def test_the_card_shows_one_folds_score_beside_that_of_all(tmp_path: Path) -> None:
    overall = {"score": 0.8, "interval": [0.75, 0.85], "n_clips": 3000, "protocol": "6 folds"}
    score = {"score": 0.9, "interval": [0.8, 1.0], "primary": "accuracy", "n_clips": 500, "all_folds": overall}
    card = model_card(manifest(tmp_path, scores={"model.onnx": score}))
    assert "| `model.onnx` | accuracy | 90.0 % | 80.0 % to 100.0 % | 500 | not stated |" in card
    assert "| its recipe, all folds | accuracy | 80.0 % | 75.0 % to 85.0 % | 3,000 | 6 folds |" in card
    card = model_card(manifest(tmp_path, scores={"model.onnx": {**score, "n_clips": 3000}}))
    assert "all folds" not in card


def test_a_void_score_is_shown_as_void_and_published_nowhere(tmp_path: Path) -> None:
    card = model_card(manifest(tmp_path, scores={"model.onnx": {"score": 0.99, "primary": "accuracy", "void": True}}))
    assert "99.0 % (void)" in card
    assert "model-index" not in front_matter(card)


def test_a_front_end_made_of_another_is_written_as_in_a_recipe(tmp_path: Path) -> None:
    facts = manifest(tmp_path / "one")
    kept = {key: facts[key] for key in facts if key not in ("format", "earnest", "files")}
    kept["frontend"] = {"name": "statistics", "of": Part(name="mfcc", options={"order": 3}), "bins": 3}
    folder = writer.write_bundle(tmp_path / "two", model_file=tmp_path / "one" / "bundle" / "model.onnx", **kept)
    assert Bundle.open(folder).frontend["of"] == {"name": "mfcc", "order": 3}


def test_labels_of_any_kind_stay_inside_their_code(tmp_path: Path) -> None:
    card = model_card(manifest(tmp_path, labels=["a`b", "c\nd", "|"]))
    assert "`` a`b ``" in card
    assert "`c d`" in card


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC BY-NC 4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("Creative Commons Attribution-NonCommercial", True),
        ("Attribution Non Commercial", True),
        ("research use only", True),
        ("CC BY 4.0", False),
        ("CC0", False),
        ("Apache-2.0", False),
        ("", False),
    ],
)
def test_non_commercial_licences_are_known_by_name(licence: str, expected: bool) -> None:
    assert is_non_commercial({"licence": licence}) is expected
