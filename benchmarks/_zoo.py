"""Writes `src/earnest/zoo.json`, which `earnest zoo` shows: costs from a grid of the recipe `zoo`, scores of the docs.

    python benchmarks/_zoo.py runs/zoo [NAME ...]      all of its runs, or those whose model is named

Each run's model is exported to 8 bits, small ones to TensorFlow Lite Micro too, and every file runs over the test clips
that the model was scored on; latency is that of a window on one thread in parts of its seconds. None of that asks how
long a model was trained, so a grid of one fold and few epochs will do. Scores are those of the table in docs/models.md.
Needs EARNEST_DATA.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import tempfile
import timeit
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from earnest import deployment, models, registry, shipped, tasks, zoo
from earnest.errors import EarnestError
from earnest.files import atomic_write_text
from earnest.recipe import Recipe, load
from earnest.runtime.engines.onnx import INPUT, open_session
from earnest.shipping.assemble import choose_fold
from earnest.shipping.layers import layers
from earnest.shipping.onnx import export_onnx
from earnest.shipping.source import Source
from earnest.tabulation import INDEX

ON_DEVICES = ["simple_cnn", "ds_cnn", "bc_resnet", "matchboxnet", "micro_speech", "tim_net", "crnn", "kwt"]
ON_DEVICES += ["panns_mobilenet"]  # the others are not tried on microcontrollers
TABLE = Path(__file__).parents[1] / "docs" / "models.md"
ROW = re.compile(r"^\| (\w+) \| \**([\d.]+)\**[ ≈]*\[([\d.]+), ([\d.]+)\] \|", re.M)


def main(grid: Path, names: list[str]) -> None:
    known = {entry["model"]: entry for entry in zoo.read()} if zoo.FILE.is_file() else {}
    scored = {row[0]: [float(value) / 100 for value in row[1:]] for row in ROW.findall(TABLE.read_text("utf-8"))}
    for cell in json.loads((grid / INDEX).read_text(encoding="utf-8"))["cells"]:
        run = grid / cell["run"]
        if not (run / "scores.json").is_file():
            continue
        (recipe,) = load(run / "recipe.yaml")
        if names and recipe.model.name not in names:
            continue
        score, *interval = scored[recipe.model.name]
        entry = measured(run) | {"score": score, "interval": interval}
        known[entry["model"]] = entry
        print(json.dumps(entry), flush=True)
        order = [name for name in registry.names("models") if name in known]
        text = json.dumps([known[name] for name in order], indent=1, ensure_ascii=False)
        atomic_write_text(zoo.FILE, text + "\n")


def measured(run: Path) -> dict[str, Any]:
    """One architecture's line."""
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    (recipe,) = load(run / "recipe.yaml")
    with tempfile.TemporaryDirectory() as folder:
        bundle, copy = Path(folder) / "bundle", Path(folder) / "run"
        shutil.copytree(run, copy)
        export_again(copy, recipe, scores)
        targets = ("int8", "tflm") if recipe.model.name in ON_DEVICES else ("int8",)
        exported = deployment.export(copy, targets, out=bundle)
        files = {one.file: one for one in shipped.score(bundle, copy)}
        window = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["window_samples"]
        adds = sum(layer.multiply_adds for layer in layers(bundle / "model.onnx", window))
        ms = round(latency(bundle / "model.onnx", window) * recipe.sample_rate / window, 3)
        facts = bundle / "model.tflm.json"
        arena = json.loads(facts.read_text(encoding="utf-8"))["arena_bytes"] if facts.is_file() else None
    whole, eight = files["model.onnx"], files.get("model.int8.onnx")
    return {
        "model": recipe.model.name,
        "summary": (registry.load("models", recipe.model.name).__doc__ or "").strip().partition("\n")[0],
        "task": "sounds: ESC-10, official folds, 12 epochs",
        "parameters": scores["parameters"],
        "multiply_adds_per_s": round(adds * recipe.sample_rate / window),
        "bytes": whole.bytes,
        "bytes_int8": eight.bytes if eight else None,
        "ms_per_s": ms,
        "arena_bytes": arena,
        "not_made": {name: reason(problem) for name, problem in exported.problems.items()},
        "published": zoo.PUBLISHED.get(recipe.model.name),
    }


def latency(model: Path, window: int) -> float:
    """Milliseconds for one window on one thread, the median of 60 calls."""
    session = open_session(model, 1)
    audio = {INPUT: 0.1 * np.random.default_rng(0).standard_normal((1, window), dtype=np.float32)}
    times = [timeit.timeit(lambda: session.run(None, audio), number=1) for _ in range(60)]
    return 1e3 * statistics.median(times)


def export_again(run: Path, recipe: Recipe, scores: dict[str, Any]) -> None:
    """Write the shipped fold's `model.onnx` as today's export writes it; estimators stay as they are."""
    if models.is_estimator(recipe.model.name):
        return
    fold = run / f"fold-{choose_fold(scores)['name']}"
    source = Source.load(fold, recipe, tuple(scores["labels"]), tasks.find(recipe.task))
    export_onnx(
        nn.Sequential(source.head, source.network).eval(),
        fold / "model.onnx",
        example_samples=source.inputs.window,
        dynamic_samples=source.dynamic,
        min_samples=source.inputs.smallest,
    )


def reason(problem: EarnestError) -> str:
    """The first line of why a target could not be made."""
    return str(problem).strip().partition("\n")[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
