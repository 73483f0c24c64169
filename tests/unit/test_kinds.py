"""Bundles whose outputs are tags or values, and the words for scores that are no proportions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import LABELS, RATE, make_bundle

from earnest.errors import BundleError
from earnest.reporting.verdict import standing, verdict
from earnest.reporting.wording import between, score_text
from earnest.runtime import Bundle, Predictor, Streamer
from earnest.scoring.paired import compare, describe
from earnest.shipping.card import model_card
from earnest.shipping.parity import same_answer

SOUND = (0.3 * np.sin(np.arange(20) / 3)).astype(np.float32)


def bundle_of(folder: Path, kind: str, thresholds: dict[str, float] | None = None) -> Path:
    bundle = make_bundle(folder, thresholds=thresholds)
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    (bundle / "bundle.json").write_text(json.dumps({**manifest, "kind": kind}), encoding="utf-8")
    return bundle


def test_tags_are_those_that_reach_their_threshold_likeliest_first(tmp_path: Path) -> None:
    everything = dict.fromkeys(LABELS, 0.0)
    heard = Predictor(bundle_of(tmp_path / "all", "tags", everything)).predict_samples(SOUND, RATE)
    assert heard.labels == tuple(sorted(LABELS, key=lambda label: -heard.scores[label]))
    half = Predictor(bundle_of(tmp_path / "half", "tags")).predict_samples(SOUND, RATE)
    assert half.labels == tuple(label for label in half.labels if half.scores[label] >= 0.5)
    assert len(half.labels) <= 1  # three scores that add up to one
    none = Predictor(bundle_of(tmp_path / "none", "tags", dict.fromkeys(LABELS, 1.5)))
    assert none.predict_samples(SOUND, RATE).as_dict()["labels"] == []


def test_values_are_numbers_by_name_and_have_no_threshold(tmp_path: Path) -> None:
    place = bundle_of(tmp_path, "values", {LABELS[0]: 2.0})
    heard = Predictor(place).predict_samples(SOUND, RATE)
    assert (heard.label, heard.labels) == ("", ())
    assert set(heard.as_dict()) == {"file", "values", "seconds"}
    events = Streamer(place).feed(SOUND)
    assert [(event.label, event.score) for event in events] == [
        (label, pytest.approx(value)) for label, value in heard.scores.items()
    ]
    with pytest.raises(BundleError, match="no threshold"):
        Streamer(place, threshold=0.5)


def test_a_stream_of_tags_has_an_event_for_each(tmp_path: Path) -> None:
    place = bundle_of(tmp_path, "tags")
    assert [event.label for event in Streamer(place, threshold=0).feed(SOUND)] == list(LABELS)
    assert all(event.score >= 0.5 for event in Streamer(place).feed(SOUND))


def test_classes_are_told_as_ever(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert manifest.pop("kind") == "classes"
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")  # as older bundles are
    assert list(Predictor(bundle).predict_samples(SOUND, RATE).as_dict()) == ["file", "label", "scores", "seconds"]


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="'classes', 'tags' or 'values'"):
        Bundle.open(bundle_of(tmp_path, "words"))


def test_tags_are_the_same_answer_where_no_decision_differs_but_by_rounding() -> None:
    expected = np.array([0.9, 0.5, 0.1])
    assert same_answer(np.array([0.7, 0.5 - 1e-7, 0.2]), expected, "tags")
    assert not same_answer(np.array([0.4, 0.5, 0.1]), expected, "tags")
    assert same_answer(np.array([0.4, 0.3, 0.1]), expected, "classes")


@pytest.mark.parametrize(("kind", "words"), [("tags", "any number of 3 labels"), ("values", "a number for each of")])
def test_the_card_says_what_a_recording_gets(tmp_path: Path, kind: str, words: str) -> None:
    manifest = json.loads((bundle_of(tmp_path, kind) / "bundle.json").read_text(encoding="utf-8"))
    assert words in model_card(manifest)


def test_correlations_are_not_written_in_per_cent() -> None:
    scores = {
        "kind": "values",
        "primary": "ccc",
        "score": 0.6341,
        "interval": [-0.02, 0.71],
        "interval_method": "95% jackknife, 6 groups.",
        "baseline": {"mean": 0.0},
        "n_clips": 300,
        "n_groups": 6,
        "group": "speaker",
        "labels": ["valence", "arousal"],
    }
    assert verdict(scores) == (
        "On speakers it has never heard, this model reaches a concordance correlation (CCC) of 0.634 over 2 dimensions "
        "and 300 clips (95 % interval -0.020 to 0.710 by resampling 6 speakers); the interval reaches down to what "
        "always answering the mean of the training rows gives (0.000), so this does not show that it has learned."
    )
    assert standing(scores) == "unproven"
    assert score_text("map", 0.5) == "50.0 %"
    assert between("uar", (0.1, 0.2)) == "10.0–20.0"


def test_people_are_not_called_clips() -> None:
    scores = {"primary": "uar", "score": 0.7, "level": "subject", "n_units": 52, "n_clips": 1508, "labels": ["a", "b"]}
    assert "70.0 % of a class's subjects on average over 2 classes and 52 subjects" in verdict(scores)


def test_a_comparison_of_errors_is_said_in_their_unit() -> None:
    paired = compare([-0.5, -0.4, -0.6], [-0.9, -0.7, -0.8], None, np.random.default_rng(0))
    assert "+0.300 of the variance [" in describe(paired, "A", "B", scale=1.0, unit=" of the variance")
