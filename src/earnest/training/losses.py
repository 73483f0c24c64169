"""Losses: the task's own, and those that stand wrong labels or unequal classes.

    training: {loss: {name: lq, q: 0.7}, class_weights: balanced, label_smoothing: 0.1}

The losses here are for tasks with exactly one label per clip. Each is written as what it costs if class c is the true
one, (batch, classes); a clip's loss is the sum of these costs under its target distribution. So mixed clips, smoothed
labels and class weights mean the same in all of them, and a clip whose targets are all zero costs nothing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field

from earnest.errors import RecipeError, did_you_mean
from earnest.recipe import Training, configure
from earnest.tasks import Task

Share = Annotated[float, Field(gt=0, le=1)]


class Costs(Protocol):
    """What every loss below offers."""

    def costs(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes) → what each class would cost if it were the true one, same shape."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """-log p."""

    def costs(self, outputs: torch.Tensor) -> torch.Tensor:
        """As in `Costs`."""
        return -outputs.log_softmax(1)


@dataclass(frozen=True)
class Lq:
    """(1 - p^q) / q: between cross-entropy (q → 0) and the mean absolute error (q = 1), which forgives wrong labels.

    Z. Zhang, M. Sabuncu, "Generalized Cross Entropy Loss", arXiv:1805.07836; for sounds E. Fonseca et al.,
    arXiv:1901.01189, section 3.2.
    """

    q: Share = 0.7

    def costs(self, outputs: torch.Tensor) -> torch.Tensor:
        """As in `Costs`."""
        return -torch.expm1(self.q * outputs.log_softmax(1)) / self.q


@dataclass(frozen=True)
class SoftBootstrap:
    """-Σ [β y + (1 - β) p] log p: the labels are believed to a share of β, the network's own answer for the rest.

    S. Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", arXiv:1412.6596, equation 6.
    """

    beta: Share = 0.3

    def costs(self, outputs: torch.Tensor) -> torch.Tensor:
        """As in `Costs`."""
        logarithms = outputs.log_softmax(1)
        entropy = -(logarithms.exp() * logarithms).sum(1, keepdim=True)  # (batch, 1)
        return -self.beta * logarithms + (1 - self.beta) * entropy


@dataclass(frozen=True)
class Focal:
    """-(1 - p)^gamma log p: what is known already counts less.

    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, for a softmax.
    """

    gamma: Annotated[float, Field(ge=0)] = 2.0

    def costs(self, outputs: torch.Tensor) -> torch.Tensor:
        """As in `Costs`."""
        logarithms = outputs.log_softmax(1)
        return -((-torch.expm1(logarithms)).clamp_min(1e-12) ** self.gamma) * logarithms


@dataclass(frozen=True)
class MaximumLossDiscard:
    """Cross-entropy without the clips of a batch whose loss is largest: they are the likeliest to be labelled wrongly.

    E. Fonseca et al., "Learning Sound Event Classifiers from Web Audio with Noisy Labels", arXiv:1901.01189, section
    3.3. From epoch `from_epoch` (counted from 1) on, since a network must have learnt something before its losses tell
    anything, clips with a loss above `m` × the batch's maximum are left out; with `deviations` in the place of `m`,
    those above the batch's median + `deviations` × its standard deviation.
    Class weights do not enter the comparison.
    """

    m: Share | None = None
    deviations: Annotated[float, Field(gt=0)] | None = None
    from_epoch: Annotated[int, Field(ge=1)] = 10

    def costs(self, outputs: torch.Tensor) -> torch.Tensor:
        """As in `Costs`."""
        return CrossEntropy().costs(outputs)

    def kept(self, losses: torch.Tensor) -> torch.Tensor:
        """Which of a batch's clips count, (batch,) true or false; never none."""
        if self.m is not None:
            limit = self.m * losses.max()
        else:
            limit = losses.median() + (self.deviations or 0.0) * losses.std(correction=0)
        kept = losses <= limit
        return kept if kept.any() else torch.ones_like(kept)


LOSSES: dict[str, type[Any]] = {
    "cross_entropy": CrossEntropy,
    "lq": Lq,
    "soft_bootstrap": SoftBootstrap,
    "maximum_loss_discard": MaximumLossDiscard,
    "focal": Focal,
}


class Loss:
    """What a training makes small: the task's own loss, or one of `LOSSES`, with weights for the classes.

    Parameters
    ----------
    task : whose loss it is by default.
    smoothing : the share of each label that is spread over all classes, in training only.
    costs : one of `LOSSES`; None with the task's own loss.
    weights : (classes,) float32, what multiplies the costs of each class; None for equal weights.
    """

    def __init__(
        self, task: Task, smoothing: float = 0.0, costs: Costs | None = None, weights: torch.Tensor | None = None
    ) -> None:
        self.task = task
        self.smoothing = smoothing
        self.costs = costs
        self.weights = weights
        self._seen = self._left_out = 0

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor, epoch: int) -> torch.Tensor:
        """The mean loss of a training batch, outputs and targets (batch, …), in an epoch counted from 1.

        Frames count as clips do, from (batch, frames, classes) on.
        """
        if outputs.dim() == 3:
            outputs, targets = outputs.flatten(0, 1), targets.flatten(0, 1)
        if self.costs is None:
            return self.task.loss(outputs, targets, self.smoothing)
        losses = self.of_clips(outputs, smooth(targets, self.smoothing))
        if not isinstance(self.costs, MaximumLossDiscard) or epoch < self.costs.from_epoch:
            return losses.mean()
        kept = self.costs.kept((targets * self.costs.costs(outputs.detach())).sum(1))
        self._seen, self._left_out = self._seen + len(kept), self._left_out + int((~kept).sum())
        return losses[kept].mean()

    def of_clips(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of each clip, (batch,), from logits and target distributions (batch, classes)."""
        costs = (self.costs or CrossEntropy()).costs(outputs)
        if self.weights is not None:
            costs = costs * self.weights.to(costs.device)
        return (targets * costs).sum(1)

    def validation(self, outputs: torch.Tensor, targets: torch.Tensor) -> float:
        """The same loss on validation clips: labels as they are, none left out."""
        if self.costs is None:
            return float(self.task.loss(outputs, targets, 0.0))
        return float(self.of_clips(outputs, targets).mean())

    def remarks(self) -> dict[str, Any]:
        """What an epoch's record gains: the share of clips left out since this was last asked, where any may be."""
        if not self._seen:
            return {}
        share, self._seen, self._left_out = self._left_out / self._seen, 0, 0
        return {"discarded": share}


def smooth(targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Target distributions (batch, classes) with a share spread over all classes; rows of zeros stay so."""
    return targets * (1 - smoothing) + targets.sum(1, keepdim=True) * (smoothing / targets.shape[1])


def balanced(targets: torch.Tensor) -> torch.Tensor:
    """Weights (classes,) inverse to the classes' shares of target rows (clips, classes).

    n / (k × n_c), with k classes present: the mean over clips is 1, as scikit-learn has it. A class without clips gets
    0, since nothing is known about it.
    """
    counts = targets.double().sum(0)
    present = counts > 0
    weights = counts.sum() / (present.sum() * counts.clamp_min(1e-12))
    return torch.where(present, weights, torch.zeros_like(weights)).float()


def build(task: Task, recipe: Training, targets: torch.Tensor) -> Loss:
    """The loss of a training.

    Parameters
    ----------
    task : what is learnt.
    recipe : names the loss, the class weights and the smoothing.
    targets : (clips, …), of the fold's training rows only.

    Raises
    ------
    RecipeError : an unknown loss or option, or one that is made for classes where the task has none.
    """
    costs = costs_of(task, recipe)
    weights = balanced(targets) if recipe.class_weights else None
    return Loss(task, recipe.label_smoothing, costs, weights)


def costs_of(task: Task, recipe: Training) -> Costs | None:
    """The loss that the recipe names, or None for the task's own.

    Raises
    ------
    RecipeError : as in `build`.
    """
    part = recipe.loss
    if part is None and recipe.class_weights is None:
        return None
    if task.kind != "classes":
        given = f"training.loss={part.name}" if part else f"training.class_weights={recipe.class_weights}"
        raise RecipeError(
            f"{given} is for clips with exactly one label, and the task {task.name} has {task.kind}.",
            "Leave it out: the task has a loss of its own.",
        )
    if part is None:
        return CrossEntropy()
    if part.name not in LOSSES:
        raise RecipeError(f"training.loss: unknown loss {part.name!r}.", did_you_mean(part.name, LOSSES))
    costs: Costs = configure(LOSSES[part.name], part.options, f"training.loss {part.name}")
    if not isinstance(costs, MaximumLossDiscard):
        return costs
    if costs.m is not None and costs.deviations is not None:
        raise RecipeError("training.loss: m and deviations are two rules for one thing.", "Keep one of them.")
    return dataclasses.replace(costs, m=0.9) if costs.deviations is None and costs.m is None else costs
