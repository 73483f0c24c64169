"""Gradients that explode, and what helps: one documented comparison on ESC-10.

python benchmarks/explosion.py [--epochs 15] [--seeds 0 1 2]      a Markdown section on standard output

A CNN without normalisation layers (`simple_cnn`) learns mel energies whose logarithm was not taken, with SGD at a high
rate. Though every band is brought to mean 0 and deviation 1, a few loud frames stand far above the rest: the gradient
explodes in the first steps, and either the training ends (NaN) or the network is dead and stays at the loss of
guessing, ln 10 = 2.30. Each further row changes one thing. Scores are those of validation rows (whole sources apart);
nothing is chosen by the test rows. Needs EARNEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from earnest import journey, recipe
from earnest.errors import TrainingError

BASE = [
    "corpus=esc10",
    "sample_rate=22050",
    "split={name: group-holdout, test: 0.2, validation: 0.2, copies: drop}",
    "clips.window_s=5",
    "clips.hop_s=5",
    "frontend={name: log_mel, bands: 64, window_ms: 46, hop_ms: 23, log: none}",
    "model=simple_cnn",
    "training.optimizer=sgd",
    "training.weight_decay=0",
    "training.schedule=none",
    "training.clip_norm=null",
    "training.precision=fp32",
]
RATE = 0.2
VARIANTS: dict[str, list[str]] = {
    "nothing": [],
    "every number of the gradient at most 0.01": ["training.clamp=0.01"],
    "gradient at most 1 long": ["training.clip_norm=1"],
    "a tenth of the rate": ["training.learning_rate=0.02"],
    "a hundredth of the rate": ["training.learning_rate=0.002"],
    "warm-up over 3 epochs": ["training.warmup_epochs=3"],
    "NovoGrad": ["training.optimizer=novograd", "training.learning_rate=0.02"],
    "GELU": ["model.activation=gelu"],
    "SELU": ["model.activation=selu"],
    "batch normalisation (model resnet)": ["model=resnet"],
    "logarithm of the mel": ["frontend.log=natural"],
    "logarithm, and gradient at most 1 long": ["frontend.log=natural", "training.clip_norm=1"],
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--epochs", type=int, default=15)
    options.add_argument("--rate", type=float, default=RATE)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--only", nargs="+", help="rows whose names contain one of these words")
    given = options.parse_args()
    if "EARNEST_DATA" not in os.environ:
        sys.exit("EARNEST_DATA does not name a folder with esc10 in it.")
    print("## Exploding gradients\n")
    print(f"`simple_cnn` on mel energies without their logarithm, SGD at {given.rate:g}, {given.epochs} epochs,")
    print(f"{len(given.seeds)} seeds; each row changes one thing. Means over the trainings that went to their end;")
    print("validation rows.\n")
    print("| changed | stopped (epoch) | loss of epoch 1 | last loss | validation loss | validation accuracy |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, overrides in VARIANTS.items():
        if not given.only or any(word in name for word in given.only):
            print(
                row(
                    name,
                    [
                        train([f"training.learning_rate={given.rate}", *overrides], given.epochs, seed)
                        for seed in given.seeds
                    ],
                ),
                flush=True,
            )


def train(overrides: list[str], epochs: int, seed: int) -> dict[str, Any]:
    """The last epoch's record of one training; `stopped` is the epoch in which its numbers ended."""
    (cell,) = recipe.load(None, [*BASE, f"training.epochs={epochs}", f"seeds=[{seed}]", *overrides])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        try:
            journey.run(cell, out, jobs=1)
        except TrainingError:
            records = log_of(out)
            return {"stopped": len(records) + 1}
        records = log_of(out)
        return records[-1] | {"first_loss": records[0]["train_loss"]}


def log_of(out: Path) -> list[dict[str, Any]]:
    """The epochs of a run's only training."""
    return [json.loads(line) for path in out.glob("fold-*/log.jsonl") for line in path.read_text().splitlines()]


def row(name: str, results: list[dict[str, Any]]) -> str:
    """One line of the table."""
    ended = [result for result in results if "stopped" not in result]
    stopped = ", ".join(str(result["stopped"]) for result in results if "stopped" in result)
    cells = [f"{len(results) - len(ended)} of {len(results)} ({stopped})" if stopped else "none"]
    for key in ("first_loss", "train_loss", "validation_loss"):
        cells.append(f"{statistics.fmean(result[key] for result in ended):.3f}" if ended else "–")
    cells.append(f"{statistics.fmean(result['validation_score'] for result in ended):.1%}" if ended else "–")
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
