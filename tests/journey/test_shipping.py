"""A run's model as other kinds of files: they answer nearly as the scored model does, and what cannot be is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from typer.testing import CliRunner

from earnest import deployment, journey, recipe, shipped
from earnest.cli import app
from earnest.errors import BundleError, DataError
from earnest.runtime import Bundle, Predictor

KINDS = ["onnx", "onnx-fp16", "int8"]


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (one,) = recipe.load(
        None,
        [
            *(f"corpus=folder:{tones}", "pattern={label}/{speaker}_{take}.wav", "sample_rate=8000"),
            *("clips={window_s: 0.5, short: pad}", "split={name: group-k-fold, folds: 2}", "model=simple_cnn"),
            *("training.epochs=6", "training.batch_size=8", "frontend={name: log_mel, bands: 32}"),
        ],
    )
    return journey.run(one, tmp_path_factory.mktemp("shipping") / "run", jobs=1)


@pytest.fixture(scope="module")
def exported(run: Path) -> deployment.Exported:
    return deployment.export(run, KINDS)


def test_every_file_answers_nearly_as_the_scored_model(exported: deployment.Exported, run: Path, tones: Path) -> None:
    assert exported.problems == {}
    fold = json.loads((exported.bundle / "bundle.json").read_text())["scores"]["model.onnx"]["fold"]
    rows = pl.read_parquet(run / "predictions.parquet").filter(pl.col("fold") == fold)
    limits = {"model.onnx": 1e-4, "model.fp16.onnx": 5e-3, "model.int8.onnx": 0.15}
    for file, limit in limits.items():
        predictor = Predictor(exported.bundle, model=file)
        for row in rows.iter_rows(named=True):
            samples, _ = soundfile.read(tones / row["target"] / Path(row["id"]).name, dtype="float32")
            np.testing.assert_allclose(predictor.probabilities(samples), row["scores"], atol=limit, err_msg=file)


def test_small_files_are_smaller(exported: deployment.Exported) -> None:
    sizes = {file.name: file.stat().st_size for file in exported.bundle.glob("*.onnx")}
    assert sizes["model.int8.onnx"] < 0.5 * sizes["model.onnx"]
    assert sizes["model.fp16.onnx"] < 0.7 * sizes["model.onnx"]


def test_unknown_kinds_are_told(run: Path) -> None:
    with pytest.raises(BundleError, match="unknown kind of model file 'int9'"):
        deployment.export(run, ["int9"])


def test_recordings_of_another_corpus_are_refused(run: Path, tones: Path, tmp_path: Path) -> None:
    resolved = (run / "recipe.yaml").read_text()
    fewer = tmp_path / "tones"
    for file in sorted(tones.rglob("*.wav"))[:-1]:
        (fewer / file.parent.name).mkdir(parents=True, exist_ok=True)
        (fewer / file.parent.name / file.name).write_bytes(file.read_bytes())
    (run / "recipe.yaml").write_text(resolved.replace(str(tones), str(fewer)))
    try:
        with pytest.raises(DataError, match="not those that"):
            deployment.export(run, ["int8"])
    finally:
        (run / "recipe.yaml").write_text(resolved)


def test_the_verb(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    result = CliRunner().invoke(app, ["export", str(run), "--to", "int8", "--out", str(out), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["files"] == ["model.onnx", "model.int8.onnx", "model.int8.noise.json"]
    assert (out / "model.int8.onnx").is_file()


def test_every_file_is_scored_and_the_bundle_says_so(exported: deployment.Exported, run: Path) -> None:
    found = {one.file: one for one in shipped.score(exported.bundle, run)}
    assert list(found) == ["model.onnx", "model.fp16.onnx", "model.int8.onnx", "streamed"]
    exact, streamed, small = found["model.onnx"], found["streamed"], found["model.int8.onnx"]
    assert exact.same_decisions == exact.clips
    assert exact.largest_difference < 1e-4
    assert (exact.difference, exact.passes) == (0, True)
    assert streamed.largest_difference == exact.largest_difference
    assert small.bytes < exact.bytes
    assert all(one.median_ms > 0 and one.p99_ms >= one.median_ms for one in found.values())
    bundle = Bundle.open(exported.bundle)
    assert "in pieces of 100 ms" in (bundle.directory / "README.md").read_text()
    assert "in a stream" in (run / "report.html").read_text()


def test_a_file_below_the_gate_is_marked(run: Path, tmp_path: Path) -> None:
    bundle = deployment.export(run, ["int8"], out=tmp_path / "bundle").bundle
    result = CliRunner().invoke(app, ["score", str(bundle), str(run), "--gate", "-1000", "--json", "--quiet"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["below_the_gate"] == ["model.onnx", "model.int8.onnx", "streamed"]


def test_a_bundle_of_another_run_is_refused(exported: deployment.Exported, run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    scores = json.loads((other / "scores.json").read_text())
    (other / "scores.json").write_text(json.dumps(scores | {"recipe_hash": "0" * 64}))
    with pytest.raises(BundleError, match="was not made from"):
        shipped.score(exported.bundle, other)


@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx", "model.fp16.onnx"])
def test_layers_are_counted(exported: deployment.Exported, run: Path, file: str) -> None:
    result = CliRunner().invoke(app, ["show", str(exported.bundle), "--model", file, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    # In the network; the front end cuts its frames with a convolution too.
    convolutions = [layer for layer in found["layers"] if layer["operator"] == "Conv" and len(layer["shape"]) == 4]
    assert len(convolutions) == 3
    first = convolutions[0]
    channels, *size = first["shape"][1:]
    assert first["multiply_adds"] == channels * int(np.prod(size)) * 9
    noise = [layer["noise_db"] for layer in convolutions]
    assert all(10 < decibels < 100 for decibels in noise[1:]) if "int8" in file else noise == [None] * 3
    trained = json.loads((run / "scores.json").read_text())["parameters"]
    front = sum(layer["parameters"] for layer in found["layers"] if "matmul" in layer["name"])
    assert trained <= found["parameters"] - front < 1.1 * trained


def test_show_prints_a_table(exported: deployment.Exported) -> None:
    result = CliRunner().invoke(app, ["show", str(exported.bundle)])
    assert result.exit_code == 0, result.output
    assert "million multiply-adds for 0.5 s of sound" in result.stdout
