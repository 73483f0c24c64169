"""A run's model as files of OpenVINO and ncnn: the same scores from raw audio; what cannot be is named."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import soundfile
import torch
from torch import nn
from typer.testing import CliRunner

from earnest import deployment, journey, recipe, shipped
from earnest.cli import app
from earnest.errors import BundleError, MissingExtra
from earnest.runtime import Predictor
from earnest.runtime.engines import models_of
from earnest.shipping.source import Source
from earnest.shipping.targets import ncnn, openvino

HERE = {name: importlib.util.find_spec(name) is not None for name in ("openvino", "ncnn", "pnnx")}
pytestmark = pytest.mark.skipif(not all(HERE.values()), reason="needs openvino, ncnn and pnnx: earnest[edge]")

MODELS = ("model.xml", "model.ncnn.param")
PARITY = 1e-5  # float32 in another order; seen: 1e-6


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (one,) = recipe.load(
        None,
        [
            *(f"corpus=folder:{tones}", "pattern={label}/{speaker}_{take}.wav", "sample_rate=8000"),
            *("clips={window_s: 0.5, short: pad}", "split={name: group-k-fold, folds: 2}", "model=ds_cnn"),
            *("training.epochs=2", "training.batch_size=8", "frontend={name: log_mel, bands: 32}"),
        ],
    )
    return journey.run(one, tmp_path_factory.mktemp("runtimes") / "run", jobs=1)


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    done = deployment.export(run, ["openvino", "ncnn"])
    assert done.problems == {}
    return done.bundle


def test_both_answer_as_the_scored_model(bundle: Path, run: Path, tones: Path) -> None:
    fold = json.loads((bundle / "bundle.json").read_text())["scores"]["model.onnx"]["fold"]
    rows = pl.read_parquet(run / "predictions.parquet").filter(pl.col("fold") == fold)
    for file in MODELS:
        predictor = Predictor(bundle, model=file)
        for row in rows.head(8).iter_rows(named=True):
            samples, _ = soundfile.read(tones / row["target"] / Path(row["id"]).name, dtype="float32")
            given = predictor.probabilities(samples)
            np.testing.assert_allclose(given, row["scores"], atol=PARITY, err_msg=file)


def test_score_counts_the_weights_beside_a_file(bundle: Path, run: Path) -> None:
    found = {one.file: one for one in shipped.score(bundle, run)}
    assert set(found) == {"model.onnx", *MODELS, "streamed"}
    for file, weights in zip(MODELS, ("model.bin", "model.ncnn.bin"), strict=True):
        assert found[file].bytes == sum((bundle / name).stat().st_size for name in (file, weights))
        assert found[file].largest_difference < PARITY
        assert found[file].passes


def test_a_short_clip_gets_zeros_where_a_file_holds_one_length(bundle: Path, tmp_path: Path) -> None:
    told = json.loads((bundle / "bundle.json").read_text()) | {"short": "keep", "min_samples": 400}
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    (copy / "bundle.json").write_text(json.dumps(told))
    clip = np.random.default_rng(0).normal(0, 0.1, 3_000).astype(np.float32)
    predictor = Predictor(copy, model="model.ncnn.param")
    np.testing.assert_array_equal(predictor.probabilities(clip), predictor.probabilities(np.pad(clip, (0, 1_000))))


def test_the_verb_predicts_with_either(bundle: Path, tones: Path) -> None:
    recording = str(next(tones.rglob("*.wav")))
    labels = set()
    for file in ("model.onnx", *MODELS):
        result = CliRunner().invoke(app, ["predict", str(bundle), recording, "--model", file, "--json"])
        assert result.exit_code == 0, result.output
        labels.add(json.loads(result.stdout)["results"][0]["label"])
    assert len(labels) == 1


def test_a_damaged_weight_file_is_told(bundle: Path, tmp_path: Path) -> None:
    for weights in ("model.bin", "model.ncnn.bin"):
        copy = tmp_path / weights
        shutil.copytree(bundle, copy)
        damaged = bytearray((copy / weights).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (copy / weights).write_bytes(damaged)
        with pytest.raises(BundleError, match=rf"{weights} is damaged"):
            Predictor(copy, model="model.onnx")


def test_a_file_that_is_no_such_model_is_told(bundle: Path, tmp_path: Path) -> None:
    for file, said in zip(MODELS, ("cannot be loaded by openvino", "cannot be loaded by ncnn"), strict=True):
        copy = tmp_path / file
        shutil.copytree(bundle, copy)
        (copy / file).write_text("no model")
        told = json.loads((copy / "bundle.json").read_text())
        told["files"].pop(file)
        told["files"][file] = {"bytes": 8, "sha256": _sha256(copy / file)}
        (copy / "bundle.json").write_text(json.dumps(told))
        with pytest.raises(BundleError, match=said):
            Predictor(copy, model=file)


def test_only_models_are_models(bundle: Path) -> None:
    assert models_of(Predictor(bundle).bundle) == ["model.onnx", *MODELS]
    with pytest.raises(BundleError, match="is no model file"):
        Predictor(bundle, model="frontend.onnx")


def test_missing_packages_are_named(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package, file, target in (("openvino", "model.xml", openvino), ("ncnn", "model.ncnn.param", ncnn)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtra, match=rf"{package}.*\n.*earnest\[edge\]"):
            Predictor(bundle, model=file)
        if target is openvino:
            with pytest.raises(MissingExtra, match=r"earnest\[edge\]"):
                openvino.write(source_of(nn.Identity()), [], tmp_path)


class Spectrum(nn.Module):
    """A Fourier transform, which pnnx drops without an error."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(features, dim=1).abs()[:, 0]


class Inverse(nn.Module):
    """A function that pnnx passes on and ncnn does not know."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.special.erfinv(features.tanh()).mean(1)


class Rolled(nn.Module):
    """What ncnn dies of: the test goes on, because it runs in a process of its own."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.cumsum(1).roll(2, 2)[:, 0]


def source_of(network: nn.Module) -> Source:
    """Something that gives a network to a target as a fold's source does."""

    def features(audio: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (audio.reshape(1, 10, 8),)

    given: dict[str, Any] = {"network": network.eval(), "inputs": SimpleNamespace(window=80), "features": features}
    return cast("Source", SimpleNamespace(**given, write_parts=lambda folder: (folder / "a", folder / "b")))


@pytest.mark.parametrize(
    ("network", "said"),
    [(Spectrum(), r"torch\.fft\.rfft"), (Inverse(), "aten::erfinv"), (Rolled(), "ncnn cannot run this network")],
)
def test_what_ncnn_lacks_is_named(network: nn.Module, said: str, tmp_path: Path) -> None:
    windows = [np.random.default_rng(0).normal(size=80).astype(np.float32)]
    with pytest.raises(BundleError, match=said):
        ncnn.write(source_of(network), windows, tmp_path)


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_openvino_is_loaded_without_its_telemetry() -> None:
    code = (
        "import sys; from earnest.runtime.engines.openvino import openvino_alone; openvino_alone('a test');"
        "print(sorted(name for name in sys.modules if 'telemetry' in name and sys.modules[name] is not None))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "openvino_telemetry" not in done.stdout
