"""What a grid costs beside training, and what a second process gives.

EARNEST_DATA=… python benchmarks/grids.py [--epochs 30] [--rounds 1]     a Markdown section on standard output

Two networks learn ESC-10's official folds as the cells of one grid, once with one process and once with two, in turns.
What a cell costs beside training is its whole time, from reading the table to its report, without the time of its
epochs, in parts of the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from earnest import grid

RECIPE = [
    "name=cost",
    "corpus=esc10",
    "sample_rate=16000",
    "split={name: official, copies: drop, validation: 0}",
    "clips={window_s: 3.0, short: pad}",
    "frontend={name: log_mel, bands: 64, window_ms: 40, hop_ms: 20}",
    "augment=[{name: time_shift}, {name: gain}]",
    "grid={model: [simple_cnn, cnn_lstm]}",
]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--rounds", type=int, default=1)
    given = options.parse_args()
    if "EARNEST_DATA" not in os.environ:
        sys.exit("EARNEST_DATA does not name a folder with esc10 in it.")
    cells = grid.read(None, [*RECIPE, f"training.epochs={given.epochs}"])
    seconds: dict[int, list[float]] = {1: [], 2: []}
    beside: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for jobs, taken in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                directory, ended = grid.run(cells, Path(folder) / "grid", jobs=jobs)
                taken.append(time.perf_counter() - began)
                for cell in ended if jobs == 1 else ():  # with two, a cell's time holds its wait for the others' folds
                    beside.setdefault(cell.coordinates["model"], []).append(cost(directory / cell.run))
    print("## Grids\n")
    print(
        f"Two networks as cells of one grid on ESC-10, five folds, {given.epochs} epochs of 320 clips; rounds: "
        f"{given.rounds}.\nBeside training: reading, audit, features, scoring, export, its comparison with the model, "
        "report.\n"
    )
    print("| cell | beside training |")
    print("| --- | ---: |")
    for name, shares in beside.items():
        print(f"| `{name}` | {statistics.median(shares):.1%} |")
    print(f"| both | {statistics.median(share for shares in beside.values() for share in shares):.1%} |")
    share = statistics.median(share for shares in beside.values() for share in shares)
    print(
        f"\nThat is the time of {share * given.epochs:.1f} epochs, however many there are: 15 % or less from "
        f"{share * given.epochs / 0.15:.0f} epochs on."
    )
    one, two = (statistics.median(taken) for taken in seconds.values())
    print(f"\nThe whole grid: {one:.0f} s with one process, {two:.0f} s with two: {one / two:.2f} times as fast.")


def cost(run: Path) -> float:
    """A run's time without its epochs, in parts of the time of its epochs."""
    whole = float(json.loads((run / "scores.json").read_text())["seconds"])
    epochs = sum(json.loads(line)["seconds"] for line in (run / "log.jsonl").read_text().splitlines())
    return whole / epochs - 1


if __name__ == "__main__":
    main()
