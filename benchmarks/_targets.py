"""Nine networks in every format: what each file lost on the test clips, its size and its time, as Markdown.

    python benchmarks/_targets.py runs/zoo [NAME ...]      a finished grid of the recipe `zoo`

Each run's fold is exported to every target, and every file is scored on the test clips that the model was scored on.
Times are of one second of sound on one thread, medians. Needs EARNEST_DATA and the extra `edge`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _zoo import export_again, reason

from earnest import deployment, shipped
from earnest.recipe import load
from earnest.runtime.bundle import MODEL
from earnest.shipped import FileScore
from earnest.shipping import targets
from earnest.tabulation import INDEX

MODELS = ["simple_cnn", "ds_cnn", "bc_resnet", "matchboxnet", "micro_speech", "tim_net", "crnn", "kwt"]
MODELS += ["panns_mobilenet"]
TARGETS = ("onnx-fp16", "int8", "tflite", "tflite-int8", "tflm", "openvino", "ncnn")
FILES = {MODEL: "onnx", shipped.STREAMED: "streamed"} | {targets.find(name).FILE: name for name in TARGETS}


def main(grid: Path, names: list[str]) -> None:
    scored: dict[str, dict[str, FileScore]] = {}
    missing: list[str] = []
    for cell in json.loads((grid / INDEX).read_text(encoding="utf-8"))["cells"]:
        run = grid / cell["run"]
        (recipe,) = load(run / "recipe.yaml")
        name = recipe.model.name
        if name not in (names or MODELS):
            continue
        with tempfile.TemporaryDirectory() as folder:
            bundle, copy = Path(folder) / "bundle", Path(folder) / "run"
            shutil.copytree(run, copy)
            export_again(copy, recipe, json.loads((copy / "scores.json").read_text(encoding="utf-8")))
            exported = deployment.export(copy, TARGETS, out=bundle)
            scored[name] = {one.file: one for one in shipped.score(bundle, copy)}
            print(name, sorted(scored[name]), file=sys.stderr, flush=True)
        missing += [f"{name}: {target}: {reason(problem)}" for target, problem in exported.problems.items()]
    print("Difference of the score from the scored model's, in points (answers that are not the same):\n")
    print(table(scored, lambda one: f"{one.difference * 100:+.2f} ({one.clips - one.same_decisions})"))
    print("Largest difference of a class's probability:\n")
    print(table(scored, lambda one: f"{one.largest_difference:.0e}"))
    print("Size in kB, and milliseconds for one second of sound:\n")
    print(table(scored, lambda one: f"{one.bytes / 1000:,.0f} · {one.median_ms:.2f}"))
    print("\n".join(f"- {line}" for line in missing))


def table(scored: dict[str, dict[str, FileScore]], cell: Callable[[FileScore], str]) -> str:
    """Models as rows, formats as columns."""
    rows = [["", *FILES.values()], ["---", *["---:"] * len(FILES)]]
    rows += [[name, *(cell(files[file]) if file in files else "-" for file in FILES)] for name, files in scored.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
