"""The functionals of openSMILE: one row per clip, scored and reported without a bundle."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earnest import frontends, journey, recipe
from earnest.errors import BundleError, DataError, MissingExtra, RecipeError
from earnest.recipe import Part
from earnest.shipping.assemble import assemble_bundle
from earnest.table import Table

opensmile = pytest.importorskip("opensmile", reason="the extra 'opensmile' is not installed")
RATE = 16_000
SETS = [("egemaps", "eGeMAPSv02", 88), ("compare", "ComParE_2016", 6_373)]


def voice(samples: int = RATE // 2, clips: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(1)
    time = np.arange(samples) / RATE
    rows = [
        sum(np.sin(2 * np.pi * k * (110 + 20 * clip) * time) / k for k in range(1, 20))
        + 0.01 * rng.standard_normal(samples)
        for clip in range(clips)
    ]
    return torch.from_numpy(0.2 * np.stack(rows).astype(np.float32))


def build(name: str, rate: int = RATE) -> frontends.FrontEnd:
    return frontends.build(Part(name=name), rate)


@pytest.mark.parametrize(("name", "feature_set", "count"), SETS)
def test_numbers_are_those_of_opensmile(name, feature_set, count):
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    frontend, clips = build(name), voice()
    features = frontend(clips)
    assert features.shape == (2, 1, count) == (2, frontend.frames_for(RATE), frontend.bands)
    expected = np.concatenate([smile.process_signal(clip.numpy(), RATE).to_numpy() for clip in clips])
    np.testing.assert_array_equal(features[:, 0].numpy(), expected)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("name", ["egemaps", "compare"])
def test_the_shortest_clip_and_silence_are_finite(name, rate):
    frontend = build(name, rate)
    for clips in (voice(frontend.min_samples, 1), torch.zeros(1, rate)):
        assert torch.isfinite(frontend(clips)).all()
    with pytest.raises(DataError, match="shortest input"):
        frontend(voice(frontend.min_samples - 1, 1))


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(MissingExtra, match="egemaps needs the package 'opensmile'") as told:
        build("egemaps")
    assert "earnest[opensmile]" in str(told.value)


def test_it_is_no_part_of_stacks_and_statistics():
    for part in ({"name": "stack", "of": ["fbank", "egemaps"]}, {"name": "statistics", "of": "egemaps"}):
        with pytest.raises(RecipeError, match="no spectral frames"):
            frontends.build(Part.model_validate(part), RATE)


def test_channels_with_it_do_not_export():
    channels = Part(name="channels", options={"of": ["egemaps", "log_mel"]})
    assert not frontends.build(channels, RATE).exportable
    assert frontends.build(Part(name="channels"), RATE).exportable


def test_a_run_is_scored_and_says_that_it_ships_nothing(tmp_path: Path):
    """A linear machine on eGeMAPS of two hums by four made-up speakers."""
    rng = np.random.default_rng(0)
    for label, pitch in (("low", 120), ("high", 260)):
        (tmp_path / "hums" / label).mkdir(parents=True)
        for speaker in range(4):
            for take in range(3):
                time = np.arange(RATE // 4) / RATE
                wave = sum(np.sin(2 * np.pi * k * (pitch + 6 * speaker) * time) / k for k in range(1, 12))
                wave = 0.1 * wave + 0.005 * rng.standard_normal(len(time))
                soundfile.write(tmp_path / "hums" / label / f"s{speaker}_{take}.wav", wave, RATE)
    cell = recipe.parse(
        {
            "corpus": f"folder:{tmp_path / 'hums'}",
            "pattern": "{label}/{speaker}_{take}.wav",
            "clips": {"window_s": 0.25},
            "split": {"folds": 2, "validation": 0},
            "frontend": "egemaps",
            "model": {"name": "svm", "kernel": "linear", "search": False},
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = journey.run(cell, tmp_path / "run", jobs=1)
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert scores["score"] == 1.0
    assert "parity" not in scores
    note = "No bundle was written: the front end egemaps cannot be part of an exported model."
    assert note in scores["notes"]
    assert note in (out / "report.html").read_text(encoding="utf-8")
    assert not (out / "bundle").exists()
    with pytest.raises(BundleError, match="egemaps cannot be part"):
        assemble_bundle(out, cell, Table.read(out / "table.parquet"), scores)
