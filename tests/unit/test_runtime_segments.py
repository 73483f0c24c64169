"""A bundle says how a recording becomes windows and how their scores become one; the predictor does it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import make_bundle

from earnest.errors import BundleError
from earnest.runtime import Bundle, Predictor
from earnest.runtime.combine import combine
from earnest.shipping.bundle import write_bundle


def sound(samples: int) -> np.ndarray:
    return (0.3 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Windows of 20 samples every 8."""
    return Bundle.open(make_bundle(tmp_path))


@pytest.mark.parametrize(
    ("segments", "pieces"),
    [
        ("whole", [(0, 20), (8, 28), (16, 36), (24, 44), (25, 45)]),
        ("crop-pad", [(0, 20)]),
        ("cut-all", [(0, 20), (20, 40), (40, 45)]),
        ("join-by-speaker", [(0, 20), (20, 40), (40, 45)]),
    ],
)
@pytest.mark.parametrize("rule", ["mean", "majority", "geometric"])
def test_windows_and_rule_are_those_of_the_bundle(
    bundle: Bundle, segments: str, pieces: list[tuple[int, int]], rule: str
) -> None:
    clip, single = sound(45), Predictor(bundle)
    each = np.stack([single.probabilities(clip[start:stop]) for start, stop in pieces])
    got = Predictor(replace(bundle, segments=segments, combine=rule)).probabilities(clip)
    np.testing.assert_allclose(got, combine(each, rule), rtol=0, atol=1e-15)


@pytest.mark.parametrize("segments", ["whole", "crop-pad", "cut-all"])
def test_a_short_clip_is_one_padded_window_under_every_rule(bundle: Bundle, segments: str) -> None:
    clip = sound(13)
    expected = Predictor(bundle).probabilities(clip)
    np.testing.assert_array_equal(Predictor(replace(bundle, segments=segments)).probabilities(clip), expected)


@pytest.mark.parametrize(("key", "wrong"), [("segments", "cut"), ("combine", "median")])
def test_unknown_rules_are_refused(tmp_path: Path, key: str, wrong: str) -> None:
    manifest = make_bundle(tmp_path) / "bundle.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(values | {key: wrong}), encoding="utf-8")
    with pytest.raises(BundleError, match=f"'{key}' must be one of"):
        Bundle.open(manifest)


def test_older_readers_are_told_of_what_they_would_get_wrong(tmp_path: Path) -> None:
    plain = make_bundle(tmp_path)
    values = json.loads((plain / "bundle.json").read_text(encoding="utf-8"))
    assert values["format"] == 1
    facts = {key: value for key, value in values.items() if key not in ("format", "earnest", "files")}
    cut = write_bundle(tmp_path / "cut", model_file=plain / "model.onnx", **facts | {"segments": "cut-all"})
    assert json.loads((cut / "bundle.json").read_text(encoding="utf-8"))["format"] == 2
    assert Bundle.open(cut).segments == "cut-all"


def test_a_bundle_that_does_not_say_is_read_as_before(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path) / "bundle.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    del values["segments"], values["combine"]
    manifest.write_text(json.dumps(values), encoding="utf-8")
    bundle = Bundle.open(manifest)
    assert (bundle.segments, bundle.combine) == ("whole", "mean")
