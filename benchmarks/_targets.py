"""Nine networks in every format: what each file lost on the test clips, its size and its time, as Markdown.

    python benchmarks/_targets.py runs/zoo [NAME ...]      a finished grid of the recipe `zoo`

Each run's fold is exported to every target, and every file is scored on the test clips that the model was scored on.
What was measured is kept in the grid's `targets.json`, so that a call that was stopped goes on.
Times are of one second of sound on one thread, medians. Needs EARNEST_DATA and the extra `edge`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _zoo import ON_DEVICES, reason
from torch import nn

from earnest import deployment, models, shipped, tasks
from earnest.files import atomic_write_text
from earnest.recipe import Recipe, load
from earnest.runtime.bundle import MODEL
from earnest.shipped import FileScore
from earnest.shipping import targets
from earnest.shipping.assemble import choose_fold
from earnest.shipping.onnx import export_onnx
from earnest.shipping.source import Source
from earnest.tabulation import INDEX

TARGETS = ("onnx-fp16", "int8", "tflite", "tflite-int8", "tflm", "openvino", "ncnn")
FILES = {MODEL: "onnx", shipped.STREAMED: "streamed"} | {targets.find(name).FILE: name for name in TARGETS}


def main(grid: Path, names: list[str]) -> None:
    place = grid / "targets.json"
    kept = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    wanted = names or ON_DEVICES
    for cell in json.loads((grid / INDEX).read_text(encoding="utf-8"))["cells"]:
        run = grid / cell["run"]
        (recipe,) = load(run / "recipe.yaml")
        name = recipe.model.name
        if name not in wanted or name in kept:
            continue
        kept[name] = measured(run, recipe)
        atomic_write_text(place, json.dumps(kept, indent=1))
        print(name, sorted(kept[name]["files"]), file=sys.stderr, flush=True)
    scored = {
        name: {file: FileScore(**told) for file, told in kept[name]["files"].items()} for name in wanted if name in kept
    }
    missing = [f"{name}: {line}" for name in scored for line in kept[name]["missing"]]
    print("Difference of the score from the scored model's, in points (answers that are not the same):\n")
    print(table(scored, lambda one: f"{one.difference * 100:+.2f} ({one.clips - one.same_decisions})"))
    print("Largest difference of a class's probability:\n")
    print(table(scored, lambda one: f"{one.largest_difference:.0e}"))
    print("Size in kB, and milliseconds for one second of sound:\n")
    print(table(scored, lambda one: f"{one.bytes / 1000:,.0f} · {one.median_ms:.2f}"))
    print("\n".join(f"- {line}" for line in missing))


def measured(run: Path, recipe: Recipe) -> dict[str, Any]:
    """One network in every format: `files`, and `missing` with what could not be made and why."""
    with tempfile.TemporaryDirectory() as folder:
        bundle, copy = Path(folder) / "bundle", Path(folder) / "run"
        shutil.copytree(run, copy)
        export_again(copy, recipe, json.loads((copy / "scores.json").read_text(encoding="utf-8")))
        exported = deployment.export(copy, TARGETS, out=bundle)
        files = {one.file: asdict(one) for one in shipped.score(bundle, copy)}
    return {"files": files, "missing": [f"{target}: {reason(why)}" for target, why in exported.problems.items()]}


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


def table(scored: dict[str, dict[str, FileScore]], cell: Callable[[FileScore], str]) -> str:
    """Models as rows, formats as columns."""
    rows = [["", *FILES.values()], ["---", *["---:"] * len(FILES)]]
    rows += [[name, *(cell(files[file]) if file in files else "-" for file in FILES)] for name, files in scored.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
