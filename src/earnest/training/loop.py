"""The training loop of a network: plain, whole and visible.

Each fold gets a new model, a new optimiser and a new normaliser. An epoch starts from its own random seed and the
state of the last one, so a training that is killed and started again ends with the same bits (on the same machine, with
the same versions and threads).
"""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from earnest.errors import TrainingError
from earnest.recipe import Training
from earnest.training import optimizers
from earnest.training.batches import Batch, Epochs, to_device, unless_full
from earnest.training.checkpoints import History
from earnest.training.losses import Loss
from earnest.training.schedules import Schedule
from earnest.training.transfer import Transfer


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
    transfer : what was taken from another run, and rests for some epochs.
    """

    accelerator: Accelerator
    model: nn.Module
    bare: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    averaged: Averaged | None
    best: dict[str, torch.Tensor]
    transfer: Transfer | None

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.averaged.model if self.averaged else self.bare


def train(
    build: Callable[[], nn.Module],
    epochs: Epochs,
    validate: Callable[[nn.Module], Validation] | None,
    loss: Loss,
    recipe: Training,
    *,
    seed: int,
    where: str,
    directory: Path,
    log: Callable[[dict[str, Any]], None],
    transfer: Transfer | None = None,
) -> tuple[nn.Module, int]:
    """Train one network.

    Parameters
    ----------
    build : makes the untrained network; called once, right after seeding.
    epochs : training batches by epoch.
    validate : scores the network on the validation rows, or None where there are none.
    loss : what is made small.
    seed : start of every random stream of this training.
    where : which training this is, in words, for errors.
    directory : where its checkpoints live.
    log : takes one record per epoch.
    transfer : what `build` took from another run, where it did.

    Returns
    -------
    network, epoch : the last epoch's weights, or with `patience` those of the best validation epoch; fp32, on the CPU.

    Raises
    ------
    TrainingError : the loss or the weights are no longer finite; nothing of them is written.
    """
    learner = set_up(build, recipe, len(epochs), seed, transfer)
    history = History(directory)
    progress = restore(history, learner)
    saved = time.monotonic()
    while progress.epoch < recipe.epochs and not (recipe.patience and progress.waited >= recipe.patience):
        started = time.monotonic()
        torch.manual_seed(derive(seed, progress.epoch + 1))
        mean = train_epoch(learner, epochs.batches(progress.epoch), loss, recipe, progress.epoch * len(epochs))
        progress.epoch += 1

        result = validate(learner.judged.eval()) if validate else None
        if not is_finite(mean, result, learner.bare):
            raise diverged(where, progress.epoch, recipe)
        learner.schedule.end_epoch(result.loss if result else None)
        progress.waited += 1
        if result and result.score > progress.best_score:
            progress.best_score, progress.best_epoch, progress.waited = result.score, progress.epoch, 0
            if recipe.patience:
                learner.best = {key: value.detach().clone() for key, value in learner.judged.state_dict().items()}
        rate = learner.schedule.rate(progress.epoch * len(epochs) - 1)
        record = epoch_record(progress.epoch, recipe.epochs, mean, result, rate, started) | loss.remarks()
        log(record | {"gap": gap(record["train_loss"], record["validation_loss"])})
        if time.monotonic() - saved >= recipe.checkpoint_s:
            remember(history, progress, learner)
            saved = time.monotonic()

    if learner.best:
        learner.judged.load_state_dict(learner.best)
    return learner.judged.cpu().float().eval(), progress.best_epoch if learner.best else progress.epoch


def set_up(
    build: Callable[[], nn.Module], recipe: Training, steps_per_epoch: int, seed: int, transfer: Transfer | None
) -> Learner:
    """A new network with a new optimiser, on the device and in the precision that the recipe and machine give."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    # Determinism needs no filling of tensors that are about to be written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Accelerate keeps one precision for a process; the cells of a grid may differ in it.
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=precision(recipe), cpu=not torch.cuda.is_available())
    torch.manual_seed(derive(seed, 0))
    model = laid_out(build())
    slowed, factor = (transfer.taken, transfer.recipe.rate_factor) if transfer else ((), 1.0)
    optimizer = optimizers.build(model, recipe, slowed, factor)
    model, optimizer = accelerator.prepare(model, optimizer)
    bare = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    averaged = Averaged(bare, recipe.average) if recipe.average else None
    return Learner(accelerator, model, bare, optimizer, Schedule(recipe, steps_per_epoch), averaged, {}, transfer)


def laid_out(network: nn.Module) -> nn.Module:
    """The network in the memory layout in which it is trained and scored; another layout sums in another order."""
    if any(parameter.dim() == 4 for parameter in network.parameters()):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def train_epoch(learner: Learner, batches: Iterable[Batch], loss: Loss, recipe: Training, step: int) -> float:
    """One pass over the training batches, whose first is step `step` of the training; returns the mean loss.

    It ends at the first loss that is not finite, which it returns.
    """
    model, optimizer, accelerator = learner.model.train(), learner.optimizer, learner.accelerator
    epoch = step // learner.schedule.steps_per_epoch + 1
    if learner.transfer:
        learner.transfer.freeze(learner.bare, epoch)
    total, clips = 0.0, 0
    for features, lengths, targets in batches:
        for group in optimizer.param_groups:
            group["lr"] = learner.schedule.rate(step) * group["factor"]
        features, targets = to_device(features, accelerator.device), targets.to(accelerator.device)
        with accelerator.autocast():
            outputs = model(features, unless_full(features, lengths))
        value = loss(outputs.float(), targets, epoch)
        accelerator.backward(value)
        if recipe.clamp:
            accelerator.clip_grad_value_(model.parameters(), recipe.clamp)
        if recipe.clip_norm:
            accelerator.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if learner.averaged:
            learner.averaged.update(learner.bare, step)
        total, clips, step = total + value.item() * len(targets), clips + len(targets), step + 1
        if not math.isfinite(total):
            break
    return total / clips


def is_finite(loss: float, result: Validation | None, network: nn.Module) -> bool:
    """Whether an epoch left only finite numbers: its losses, and every weight and running statistic."""
    losses = (loss, result.loss if result else 0.0)
    return all(map(math.isfinite, losses)) and all(bool(v.isfinite().all()) for v in network.state_dict().values())


def diverged(where: str, epoch: int, recipe: Training) -> TrainingError:
    """The error for a training whose numbers grew beyond all bounds, with what helps against it."""
    remedies = [f"lower training.learning_rate (it is {recipe.learning_rate:g})", "warm up (training.warmup_epochs)"]
    if not recipe.clip_norm:
        remedies.append("bound the gradient (training.clip_norm=5, or training.clamp)")
    remedies.append("take the logarithm of the mel spectrogram where the front end has log: none")
    remedies.append("choose a model with batch normalisation")
    return TrainingError(
        f"{where}, epoch {epoch}: the loss or the weights are no longer finite numbers (NaN or infinite). Gradients "
        "grew beyond all bounds, and nothing of this epoch was kept.",
        f"Against it: {'; '.join(remedies)}.",
    )


def epoch_record(
    epoch: int, epochs: int, loss: float, result: Validation | None, rate: float, started: float
) -> dict[str, Any]:
    """What the log says of an epoch."""
    return {
        "epoch": epoch,
        "epochs": epochs,
        "train_loss": loss,
        "validation_loss": result.loss if result else None,
        "validation_score": result.score if result else None,
        "learning_rate": rate,
        "seconds": round(time.monotonic() - started, 3),
    }


def gap(train_loss: float, validation_loss: float | None) -> float | None:
    """The over-fitting gap in per cent, (validation - training) / training loss; None where it has no meaning."""
    if validation_loss is None or train_loss <= 0:
        return None
    return 100 * (validation_loss - train_loss) / train_loss


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
    return "bf16" if computes_in_bf16() else "no"


def computes_in_bf16() -> bool:
    """Whether this processor multiplies bf16 numbers itself.

    oneDNN also supports them where it has to imitate them, on every x86 with AVX-512: there training takes twice as
    long in bf16 as in fp32.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
