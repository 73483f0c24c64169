"""Writes `src/earnest/zoo.json`, which `earnest zoo` shows: what the architectures of `recipes/zoo.yaml` cost.

    python benchmarks/_zoo.py [NAME ...]      all of them, or those whose model is named

Models are untrained, but for their batch norms, which have heard some noise: none of this asks what their weights are.
Each is exported to ONNX and to 8 bits, all of it, and those made for devices to TensorFlow Lite Micro (extra `edge`).
Latency is that of a window on one thread in parts of its seconds. Scores are those of the table in docs/models.md; the
estimators, which are nothing before they are trained, are left out.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import timeit
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from earnest import frontends, models, registry, tasks, zoo
from earnest.errors import EarnestError
from earnest.files import atomic_write_text
from earnest.recipe import Recipe, load
from earnest.runtime.engines.onnx import INPUT, open_session
from earnest.shipping import targets
from earnest.shipping.layers import layers
from earnest.shipping.onnx import export_onnx
from earnest.shipping.source import Source
from earnest.shipping.targets import onnx_int8
from earnest.training.inputs import Inputs
from earnest.training.pipeline import normaliser_for

ON_DEVICES = ["simple_cnn", "ds_cnn", "bc_resnet", "matchboxnet", "micro_speech", "tim_net", "crnn", "kwt"]
ON_DEVICES += ["panns_mobilenet"]  # the others are not tried on microcontrollers
HERE = Path(__file__).parents[1]
ROW = re.compile(r"^\| (\w+) \| \**([\d.]+)\**[ ≈]*\[([\d.]+), ([\d.]+)\] \|", re.M)
LABELS = tuple(f"class {number}" for number in range(10))
WINDOWS = 40  # of noise, for the ranges of 8 bits


def main(names: list[str]) -> None:
    known = {entry["model"]: entry for entry in zoo.read()}
    table = (HERE / "docs" / "models.md").read_text(encoding="utf-8")
    scored = {row[0]: [float(value) / 100 for value in row[1:]] for row in ROW.findall(table)}
    for recipe in load(HERE / "recipes" / "zoo.yaml"):
        name = recipe.model.name
        if models.is_estimator(name) or (names and name not in names):
            continue
        score, *interval = scored[name]
        known[name] = measured(recipe) | {"score": score, "interval": interval}
        print(json.dumps(known[name]), flush=True)
        text = json.dumps(
            [known[one] for one in registry.names("models") if one in known], indent=1, ensure_ascii=False
        )
        atomic_write_text(zoo.FILE, text + "\n")


def measured(recipe: Recipe) -> dict[str, Any]:
    """One architecture's line, without its score."""
    name, source = recipe.model.name, untrained(recipe)
    window = source.inputs.window
    rng = np.random.default_rng(0)
    windows = [0.1 * rng.standard_normal(window, dtype=np.float32) for _ in range(WINDOWS)]
    settle(source, windows)
    problems: dict[str, str] = {}
    sizes: dict[str, int] = {}
    arena = None
    with tempfile.TemporaryDirectory() as place:
        folder, model = Path(place), Path(place) / "model.onnx"
        whole = nn.Sequential(source.head, source.network).eval()
        export_onnx(whole, model, example_samples=window, dynamic_samples=False)
        for target in ("int8", "tflm") if name in ON_DEVICES else ("int8",):
            made = folder / target
            made.mkdir()
            try:
                files = targets.find(target).write(source, windows, made)
            except EarnestError as problem:
                problems[target] = reason(problem)
                continue
            sizes[target] = files[targets.find(target).FILE].stat().st_size
            if target == "tflm":
                arena = json.loads(files["model.tflm.json"].read_text(encoding="utf-8"))["arena_bytes"]
        adds = sum(layer.multiply_adds for layer in layers(model, window))
        return {
            "model": name,
            "summary": (registry.load("models", name).__doc__ or "").strip().partition("\n")[0],
            "task": "sounds: ESC-10, official folds, 12 epochs",
            "parameters": sum(parameter.numel() for parameter in source.model.parameters()),
            "multiply_adds_per_s": round(adds * recipe.sample_rate / window),
            "bytes": model.stat().st_size,
            "bytes_int8": sizes.get("int8"),
            "ms_per_s": round(latency(model, window) * recipe.sample_rate / window, 3),
            "arena_bytes": arena,
            "not_made": problems,
            "published": zoo.PUBLISHED.get(name),
        }


def untrained(recipe: Recipe) -> Source:
    """A recipe's model as it is before training."""
    torch.manual_seed(0)
    frontend = frontends.build(recipe.frontend, recipe.sample_rate)
    inputs = Inputs.of(recipe.clips, recipe.sample_rate, frontend.min_samples)
    model = models.build(recipe.model, frontend.frames_for(inputs.window), frontend.bands, len(LABELS))
    normaliser = normaliser_for(frontend.bands)
    task = tasks.find(recipe.task)
    return Source(recipe, LABELS, inputs, task, frontend.eval(), normaliser.eval(), model.eval())


def settle(source: Source, windows: list[np.ndarray]) -> None:
    """Give batch norms the statistics of some windows; else values fade layer by layer, and 8 bits hold nothing."""
    network = source.network
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of all that it sees
    network.train()
    with torch.no_grad():
        network(*source.features(torch.from_numpy(np.stack(windows))))
    network.eval()


def latency(model: Path, window: int) -> float:
    """Milliseconds for one window on one thread, the median of 60 calls."""
    session = open_session(model, 1)
    audio = {INPUT: 0.1 * np.random.default_rng(0).standard_normal((1, window), dtype=np.float32)}
    times = [timeit.timeit(lambda: session.run(None, audio), number=1) for _ in range(60)]
    return 1e3 * statistics.median(times)


def reason(problem: EarnestError) -> str:
    """The first line of why a target could not be made."""
    return str(problem).strip().partition("\n")[0]


if __name__ == "__main__":
    onnx_int8.LEAST_DB = (
        -np.inf
    )  # the answers of untrained networks hardly vary, and first layers would stay in float32
    main(sys.argv[1:])
