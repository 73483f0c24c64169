"""The training loop of a network: plain, whole and visible.

Each fold gets a new model, a new optimiser and a new normaliser. An epoch starts from its own random seed and the
state of the last one, so a training that is killed and started again ends with the same bits (on the same machine, with
the same versions and threads).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from earnest.recipe import Training
from earnest.tasks import Task
from earnest.training.batches import Batch, Epochs, unless_full
from earnest.training.checkpoints import History
from earnest.training.schedules import Schedule

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], Training], torch.optim.Optimizer]] = {
    "adamw": lambda p, t: torch.optim.AdamW(p, lr=t.learning_rate, weight_decay=t.weight_decay, fused=True),
    "adam": lambda p, t: torch.optim.Adam(p, lr=t.learning_rate, weight_decay=t.weight_decay, fused=True),
    "sgd": lambda p, t: torch.optim.SGD(
        p, lr=t.learning_rate, weight_decay=t.weight_decay, momentum=t.momentum, nesterov=t.momentum > 0
    ),
}


@dataclass
class Progress:
    """What a training has reached; everything here goes into a checkpoint as JSON."""

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    waited: int = 0


@dataclass(frozen=True)
class Validation:
    """Loss and primary metric on the validation rows."""

    loss: float
    score: float


@dataclass
class Learner:
    """A network in training and all that moves with it.

    Attributes
    ----------
    accelerator : device and precision.
    model : the network as accelerate prepared it; `bare` is the same network without wrappers.
    averaged : the moving average of its weights, where the recipe asks for one.
    best : weights of the best validation epoch, where the recipe has patience.
    """

    accelerator: Accelerator
    model: nn.Module
    bare: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    averaged: Averaged | None
    best: dict[str, torch.Tensor]

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.averaged.model if self.averaged else self.bare


def train(
    build: Callable[[], nn.Module],
    epochs: Epochs,
    validate: Callable[[nn.Module], Validation] | None,
    task: Task,
    recipe: Training,
    *,
    seed: int,
    directory: Path,
    log: Callable[[dict[str, Any]], None],
) -> tuple[nn.Module, int]:
    """Train one network.

    Parameters
    ----------
    build : makes the untrained network; called once, right after seeding.
    epochs : training batches by epoch.
    validate : scores the network on the validation rows, or None where there are none.
    seed : start of every random stream of this training.
    directory : where its checkpoints live.
    log : takes one record per epoch.

    Returns
    -------
    network, epoch : the last epoch's weights, or with `patience` those of the best validation epoch; fp32, on the CPU.
    """
    learner = set_up(build, recipe, len(epochs), seed)
    history = History(directory)
    progress = restore(history, learner)
    saved = time.monotonic()
    while progress.epoch < recipe.epochs and not (recipe.patience and progress.waited >= recipe.patience):
        started = time.monotonic()
        torch.manual_seed(derive(seed, progress.epoch + 1))
        loss = train_epoch(learner, epochs.batches(progress.epoch), task, recipe, progress.epoch * len(epochs))
        progress.epoch += 1

        result = validate(learner.judged.eval()) if validate else None
        learner.schedule.end_epoch(result.loss if result else None)
        progress.waited += 1
        if result and result.score > progress.best_score:
            progress.best_score, progress.best_epoch, progress.waited = result.score, progress.epoch, 0
            if recipe.patience:
                learner.best = {key: value.detach().clone() for key, value in learner.judged.state_dict().items()}
        log(
            {
                "epoch": progress.epoch,
                "epochs": recipe.epochs,
                "train_loss": loss,
                "validation_loss": result.loss if result else None,
                "validation_score": result.score if result else None,
                "learning_rate": learner.schedule.rate(progress.epoch * len(epochs) - 1),
                "seconds": round(time.monotonic() - started, 3),
            }
        )
        if time.monotonic() - saved >= recipe.checkpoint_s:
            remember(history, progress, learner)
            saved = time.monotonic()

    if learner.best:
        learner.judged.load_state_dict(learner.best)
    return learner.judged.cpu().float().eval(), progress.best_epoch if learner.best else progress.epoch


def set_up(build: Callable[[], nn.Module], recipe: Training, steps_per_epoch: int, seed: int) -> Learner:
    """A new network with a new optimiser, on the device and in the precision that the recipe and machine give."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    # Determinism needs no filling of tensors that are about to be written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    accelerator = Accelerator(mixed_precision=precision(recipe), cpu=not torch.cuda.is_available())
    torch.manual_seed(derive(seed, 0))
    model = build()
    if any(parameter.dim() == 4 for parameter in model.parameters()):
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = OPTIMIZERS[recipe.optimizer](list(model.parameters()), recipe)
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    averaged = Averaged(bare, recipe.average) if recipe.average else None
    return Learner(accelerator, model, bare, optimizer, Schedule(recipe, steps_per_epoch), averaged, {})


def train_epoch(learner: Learner, batches: Iterable[Batch], task: Task, recipe: Training, step: int) -> float:
    """One pass over the training batches, whose first is step `step` of the training; returns the mean loss."""
    model, optimizer, accelerator = learner.model.train(), learner.optimizer, learner.accelerator
    total, clips = 0.0, 0
    for features, lengths, targets in batches:
        for group in optimizer.param_groups:
            group["lr"] = learner.schedule.rate(step)
        features, targets = features.to(accelerator.device), targets.to(accelerator.device)
        with accelerator.autocast():
            outputs = model(features, unless_full(features, lengths))
        loss = task.loss(outputs.float(), targets, recipe.label_smoothing)
        accelerator.backward(loss)
        if recipe.clip_norm:
            accelerator.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if learner.averaged:
            learner.averaged.update(learner.bare, step)
        total, clips, step = total + loss.item() * len(targets), clips + len(targets), step + 1
    return total / clips


class Averaged:
    """Exponential moving average of weights and running statistics (Polyak and Juditsky, 1992).

    The decay grows with the step, min(decay, (1 + step) / (10 + step)), so that early weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the model."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


def precision(recipe: Training) -> str:
    """Accelerate's name for the recipe's precision: `auto` is bf16 where the processor or GPU computes in it."""
    if recipe.precision != "auto":
        return {"fp32": "no", "bf16": "bf16"}[recipe.precision]
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    return "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"


def derive(*numbers: int) -> int:
    """One 63-bit seed from several numbers, the same on every machine."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def remember(history: History, progress: Progress, learner: Learner) -> None:
    """Write all that the next epoch depends on."""
    tensors = {f"model.{key}": value for key, value in learner.bare.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in learner.best.items()}
    if learner.averaged:
        tensors |= {f"average.{key}": value for key, value in learner.averaged.model.state_dict().items()}
    for index, slots in learner.optimizer.state_dict()["state"].items():
        for key, value in slots.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
    history.save(progress.epoch, tensors, {"progress": vars(progress), "schedule": learner.schedule.state()})


def restore(history: History, learner: Learner) -> Progress:
    """Go on from the newest whole checkpoint, or start."""
    found = history.newest()
    if found is None:
        return Progress()
    tensors, state = found

    def part(name: str) -> dict[str, torch.Tensor]:
        return {key[len(name) :]: value for key, value in tensors.items() if key.startswith(name)}

    learner.bare.load_state_dict(part("model."))
    learner.best = part("best.")
    if learner.averaged:
        learner.averaged.model.load_state_dict(part("average."))
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in part("optimizer.").items():
        index, _, key = name.partition(".")
        slots.setdefault(int(index), {})[key] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    learner.schedule.restore(state["schedule"])
    return Progress(**state["progress"])
