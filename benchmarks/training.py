"""Clips per second of the training loop: against a plain eager fp32 loop, and against a bare loop of the same settings.

python benchmarks/training.py            a Markdown section on standard output

Each round trains `simple_cnn` (1 × 64 × 173 log-mel frames) for one epoch on the same synthetic clips in three ways,
one after the other, on one thread; the table gives the median over rounds of the ratios within each round.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from earnest import augment, frontends, models, tasks
from earnest.recipe import Part, Training
from earnest.training.batches import Epochs, Examples
from earnest.training.inputs import Inputs
from earnest.training.loop import precision, train
from earnest.training.losses import Loss
from earnest.training.waveforms import Waveforms

RATE, SAMPLES, CLIPS, BATCH, CLASSES, ROUNDS = 22_050, 88_064, 512, 32, 10, 7
FRONTEND = Part(name="log_mel", options={"bands": 64, "window_samples": 1024, "hop_samples": 512, "n_fft": 1024})
MODEL = Part(name="simple_cnn")


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    starts = np.arange(CLIPS, dtype=np.int64) * SAMPLES
    samples = rng.normal(0, 0.1, CLIPS * SAMPLES).astype(np.float32)
    waveforms = Waveforms(samples, np.stack([starts, starts + SAMPLES], 1), RATE)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(CLASSES, size=CLIPS)]
    frontend = frontends.build(FRONTEND, RATE)
    inputs = Inputs(SAMPLES, SAMPLES // 2, "pad", frontend.min_samples)
    examples = Examples(waveforms, targets, frontend, inputs, augment.build((), RATE), seed=0)
    features = [examples._unchanging(row, rng) for row in range(CLIPS)]
    frames = features[0].shape[0]

    ways = {
        "plain eager fp32": lambda: bare(features, targets, frames, bf16=False),
        "bare loop, same settings": lambda: bare(features, targets, frames, bf16=True),
        "earnest": lambda: ours(examples, frames),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            taken = way()
            if turn:  # the first round warms up
                seconds[name].append(taken)
    settings = precision(Training())
    print("## Training `simple_cnn`\n")
    print(f"{CLIPS} synthetic clips of {frames} × 64 features, batches of {BATCH}, one thread, `auto` = {settings}; ")
    print(f"medians over {ROUNDS} interleaved rounds.\n")
    print("| | clips per second | time, plain eager fp32 = 1 | goal |\n| --- | ---: | ---: | ---: |")
    for name, taken in seconds.items():
        rate = CLIPS / statistics.median(taken)
        ratio = statistics.median(a / b for a, b in zip(taken, seconds["plain eager fp32"], strict=True))
        print(f"| {name} | {rate:.0f} | {ratio:.3f} | |")
    speed = statistics.median(a / b for a, b in zip(seconds["plain eager fp32"], seconds["earnest"], strict=True))
    cost = statistics.median(
        a / b for a, b in zip(seconds["earnest"], seconds["bare loop, same settings"], strict=True)
    )
    print(f"| earnest against plain eager fp32 | | {speed:.2f} × as fast | ≥ 2.8 × |")
    print(f"| the loop's own overhead | | {100 * (cost - 1):+.1f} % | < 5 % |")


def bare(features: list[torch.Tensor], targets: np.ndarray, frames: int, *, bf16: bool) -> float:
    """One epoch of the shortest loop: in fp32 as one writes it down, in bf16 with our network and settings; seconds."""
    torch.manual_seed(0)
    if bf16:
        model = models.build(MODEL, frames, 64, CLASSES).to(memory_format=torch.channels_last)
    else:
        model = as_written(frames)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=bf16 or None)
    truth = torch.from_numpy(targets)
    order = torch.randperm(CLIPS)
    model.train()
    started = time.perf_counter()
    for start in range(0, CLIPS, BATCH):
        rows = order[start : start + BATCH]
        batch = torch.stack([features[row] for row in rows.tolist()])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs = model(batch if bf16 else batch.unsqueeze(1))
        loss = functional.cross_entropy(outputs.float(), truth[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
    return time.perf_counter() - started


def as_written(frames: int) -> nn.Module:
    """The same network in the plainest PyTorch, (batch, 1, frames, 64) → (batch, classes)."""
    blocks: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        blocks += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    dense = [nn.Flatten(), nn.Linear(64 * (frames // 8) * 8, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, CLASSES)]
    return nn.Sequential(*blocks, *dense)


def ours(examples: Examples, frames: int) -> float:
    """One epoch of the product's loop; seconds, as its own log has them."""
    records: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        train(
            lambda: models.build(MODEL, frames, 64, CLASSES),
            Epochs(examples, np.arange(CLIPS), BATCH, workers=0),
            None,
            Loss(tasks.find(Part(name="classification"))),
            Training(epochs=1, batch_size=BATCH),
            seed=0,
            where="benchmark",
            directory=Path(folder),
            log=records.append,
        )
    return records[0]["seconds"]


if __name__ == "__main__":
    main()
