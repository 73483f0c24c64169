"""A run's model for TensorFlow Lite and microcontrollers: each file answers nearly as the scored model does."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from earnest import deployment, journey, recipe, shipped
from earnest.errors import BundleError
from earnest.runtime import Bundle, Predictor
from earnest.shipping import litert

for package in ("ai_edge_litert", "ai_edge_quantizer", "tflite_micro"):
    pytest.importorskip(package, reason="needs the extra [edge] on Linux on x86-64")
if not (importlib.util.find_spec("litert_torch") or litert.converter_folder().is_dir()):
    pytest.skip("needs the converter, which `earnest export --to tflite` fetches once", allow_module_level=True)

LIMITS = {"model.tflite": 1e-4, "model.int8.tflite": 0.1, "model.tflm.tflite": 0.1}


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (one,) = recipe.load(
        None,
        [
            *(f"corpus=folder:{tones}", "pattern={label}/{speaker}_{take}.wav", "sample_rate=8000"),
            *("clips={window_s: 0.5, short: pad}", "split={name: group-k-fold, folds: 2}", "model=micro_speech"),
            *("training.epochs=6", "training.batch_size=8", "frontend={name: log_mel, bands: 32}"),
        ],
    )
    return journey.run(one, tmp_path_factory.mktemp("tflite") / "run", jobs=1)


@pytest.fixture(scope="module")
def exported(run: Path) -> deployment.Exported:
    return deployment.export(run, ["tflite", "tflite-int8", "tflm"])


def test_every_file_answers_nearly_as_the_scored_model(exported: deployment.Exported, run: Path, tones: Path) -> None:
    assert exported.problems == {}
    fold = json.loads((exported.bundle / "bundle.json").read_text())["scores"]["model.onnx"]["fold"]
    rows = pl.read_parquet(run / "predictions.parquet").filter(pl.col("fold") == fold)
    for file, limit in LIMITS.items():
        predictor = Predictor(exported.bundle, model=file)
        for row in rows.iter_rows(named=True):
            samples, _ = soundfile.read(tones / row["target"] / Path(row["id"]).name, dtype="float32")
            np.testing.assert_allclose(predictor.probabilities(samples), row["scores"], atol=limit, err_msg=file)


def test_every_file_is_scored(exported: deployment.Exported, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "CALLS", 3)
    found = {one.file: one for one in shipped.score(exported.bundle, run)}
    assert set(found) == {"model.onnx", *LIMITS, "streamed"}
    assert found["model.tflite"].same_decisions == found["model.tflite"].clips
    assert found["model.int8.tflite"].bytes < found["model.tflite"].bytes
    assert all(one.score > 0.6 for one in found.values())


def test_what_a_device_needs_stands_beside_the_model(exported: deployment.Exported) -> None:
    facts = json.loads((exported.bundle / "model.tflm.json").read_text())
    header = (exported.bundle / "model_data.h").read_text()
    assert f"#define EARNEST_ARENA_BYTES {facts['arena_bytes']}\n" in header
    assert f"#define EARNEST_OPERATORS {len(facts['operators'])}\n" in header
    assert "FULLY_CONNECTED" in facts["operators"]
    assert facts["frontend"]["state_bytes"] > 1000
    model = (exported.bundle / "model.tflm.tflite").read_bytes()
    values = re.findall(r"\b\d+\b", (exported.bundle / "model_data.c").read_text().partition("_BYTES] = {")[2])
    assert bytes(int(value) for value in values[: len(model)]) == model


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")
def test_the_front_end_in_the_bundle_gives_what_python_gives(exported: deployment.Exported, tmp_path: Path) -> None:
    sources = [str(exported.bundle / name) for name in ("selftest.c", "earnest_frontend.c", "model_data.c")]
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run(["cc", *strict, *sources, "-lm", "-o", str(tmp_path / "selftest")], check=True)
    subprocess.run([tmp_path / "selftest"], check=True, capture_output=True)


def test_a_bundle_that_lost_its_arena_is_told(exported: deployment.Exported, tmp_path: Path) -> None:
    bundle = Bundle.open(shutil.copytree(exported.bundle, tmp_path / "bundle"))
    facts = tmp_path / "bundle" / "model.tflm.json"
    facts.write_text("{}")
    with pytest.raises(BundleError, match=r"model\.tflm\.json does not tell the size of the arena"):
        Predictor(bundle, model="model.tflm.tflite")
