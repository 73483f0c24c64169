"""A wake word from its text: speak it, learn it, test it on people where there are recordings, ship it.

    phrase ─ corpus ─► table ─ recipe of the task keyword ─► run ─ export, score ─► bundle with its decoder

The scores of a word that nobody has recorded are those of synthetic voices, and are called so; only its false alarms
are counted on real sound.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from earnest import deployment, journey, recipe, shipped
from earnest.pool import Progress, Silent
from earnest.table import Table
from earnest.tasks.keyword import SILENCE, UNKNOWN
from earnest.wakeword.corpus import SAMPLE_RATE, Wanted, build
from earnest.wakeword.plan import Amounts

__all__ = ["Amounts", "Wanted", "make", "spoken_by"]

RECIPE: dict[str, Any] = {
    "name": "wakeword",
    "sample_rate": SAMPLE_RATE,
    "split": {"name": "official", "copies": "drop"},
    "frontend": {"name": "log_mel", "bands": 40, "window_ms": 30, "hop_ms": 20},
    "augment": [
        {"name": "speed", "min": 0.85, "max": 1.2, "probability": 0.7},
        {"name": "pitch", "probability": 0.5},
        {"name": "time_shift", "max_s": 0.15},
        {"name": "impulse_response", "probability": 0.5},
        {"name": "noise", "min_snr_db": 3, "max_snr_db": 35, "probability": 0.7},
        {"name": "equalise", "max_db": 8, "probability": 0.6},
        {"name": "gain", "min_db": -12, "max_db": 6},
        {"name": "frequency_warp", "most": 0.1, "probability": 0.8},
        {"name": "spec_augment", "frequency_masks": 1, "frequency_width": 5, "time_masks": 1, "time_width": 6},
    ],
    "model": "matchboxnet",
    "training": {"epochs": 30, "batch_size": 64, "learning_rate": 3e-3, "warmup_epochs": 1, "average": 0.98},
}
TASK: dict[str, Any] = {"name": "keyword", "others": 6.0, "smoothing_s": 0.3, "refractory_s": 1.5}
HOP_S = 0.1
MICRO = "microwakeword"
FOR_MICRO = "frontend=micro_frontend"  # what that kind of file asks of a recipe
# A network that such devices carry, the shortest window it takes, and one for shorter windows.
SMALL, SMALL_S, SHORT = "model=mixednet", 0.85, "model=ds_cnn"


def make(
    wanted: Wanted,
    out: Path,
    *,
    overrides: Sequence[str] = (),
    targets: Sequence[str] = ("int8",),
    data: Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[Path, deployment.Exported]:
    """Make a detector for a phrase.

    Parameters
    ----------
    wanted : the phrase, and what it is learnt and tested from.
    out : gets `corpus/` with everything that was spoken, and `run/`, the run directory with its bundle.
    overrides : `key=value` changes to the recipe, such as `task.negatives=[librispeech]` or `model=bc_resnet`.
    targets : kinds of model files beside `model.onnx`; each is scored on the test clips.
    data, jobs, progress : as in `journey.run`.

    Returns
    -------
    The run directory, and what was exported; `problems` names targets that could not be made here.
    `spoken_by` tells who tests it.

    Raises
    ------
    DataError, RecipeError, LeakError, StorageError, MissingExtra : each names what is wrong and what to do.
    """
    progress = progress or Silent()
    progress.stage("speaking", 1)
    table, window_s = build(wanted, out / "corpus", data)
    progress.step(f"{len(table):,} clips")
    if MICRO in targets:
        overrides = [FOR_MICRO, SMALL if window_s >= SMALL_S else SHORT, *overrides]
    settings = RECIPE | {
        "corpus": str((out / "corpus" / "table.jsonl").absolute()),
        "task": TASK | {"words": [wanted.phrase], "apart": _apart(table, wanted), "languages": [wanted.language]},
        "clips": {"window_s": window_s, "hop_s": HOP_S},
    }
    cell = recipe.parse(recipe.apply(settings, overrides), "wakeword")
    run = journey.run(cell, out / "run", data=data, jobs=jobs, progress=progress)
    exported = deployment.export(run, ("onnx", *targets), data=data, progress=progress)
    shipped.score(exported.bundle, run, data=data, progress=progress)
    return run, exported


def _apart(table: Table, wanted: Wanted) -> list[str]:
    """The other words that are classes of their own."""
    return sorted(set(table.column("label").to_list()) - {wanted.phrase, UNKNOWN, SILENCE})


def spoken_by(out: Path) -> dict[str, int]:
    """How many test recordings of the word there are: `real` alone, `sentence` with it, `word` by synthetic voices."""
    lines = (out / "corpus" / "table.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = Counter(row["kind"] for row in map(json.loads, lines) if row.get("split") == "test")
    return {kind: kinds[kind] for kind in ("real", "sentence", "word")}
