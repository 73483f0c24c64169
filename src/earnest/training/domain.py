"""Domain-adversarial training: what the network hears shall not tell where a clip comes from.

    mode: {name: dann, domain: condition, unlabelled: [telephone]}

Y. Ganin et al., "Domain-Adversarial Training of Neural Networks", arXiv:1505.07818. A small head of two layers learns
to tell the domains apart from the model's embedding; on the way back its gradient is multiplied by -λ, so that the
model learns to mislead it. The forward pass is the identity, and the loss is that of the labels plus that of the
domains. λ rises from 0 to `strength` as strength × (2 / (1 + e^(-10 p)) - 1) with the share p of all steps (section
5.2.2). The head is thrown away after training and is in no exported file.

Domains are the values of a column of the table (corpus, speaker, condition …). Clips of the domains in `unlabelled`
take part without their labels, in training and in validation. Only training rows take part; with `transductive` also
the fold's test rows, as sound without labels, which the run's protocol then says.

Deviation from the paper: batches are drawn from all clips alike instead of half and half from two domains, and each
domain is weighed by the inverse of its share of the clips instead, so that there may be any number of domains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from earnest.errors import DataError, did_you_mean
from earnest.frontends import Features
from earnest.training.losses import Loss, balanced
from earnest.training.pipeline import AnyNormaliser


@dataclass(frozen=True)
class Config:
    """Options of `mode: dann`.

    Attributes
    ----------
    domain : column whose values are the domains.
    unlabelled : domains whose labels are not used.
    strength : the largest λ.
    hidden : units of the head's first layer.
    transductive : whether the test rows' sound, without labels, is trained on too.
    """

    domain: str
    unlabelled: tuple[str, ...] = ()
    strength: Annotated[float, Field(gt=0)] = 1.0
    hidden: Annotated[int, Field(ge=1)] = 100
    transductive: bool = False


@dataclass(frozen=True)
class Domains:
    """The domain of every row of the table, and which rows teach what.

    Attributes
    ----------
    of : (rows,) number of each row's domain; -1 for rows whose domain does not take part.
    names : the domains that take part.
    rows : rows that are trained on.
    labelled : those of them whose labels are used.
    validation : validation rows whose labels may be looked at.
    """

    of: np.ndarray
    names: tuple[str, ...]
    rows: np.ndarray
    labelled: np.ndarray
    validation: np.ndarray


def divide(
    config: Config, values: Sequence[Any], training: np.ndarray, validation: np.ndarray, test: np.ndarray
) -> Domains:
    """Find out which rows take part in which way.

    Parameters
    ----------
    config : the options.
    values : of the domain's column, for every row of the table.
    training, validation, test : the unit's rows.

    Raises
    ------
    DataError : fewer than two domains, a row without one, or no labelled training row.
    """
    named = np.array(["" if value is None else str(value) for value in values], dtype=object)
    rows = np.sort(np.concatenate([training, test])) if config.transductive else training
    names = tuple(sorted(set(named[rows])))
    if "" in names:
        raise DataError(
            f"mode dann: {int((named[rows] == '').sum())} training clips have no {config.domain!r}.",
            "Name their domain in the table, or choose another column with mode.domain.",
        )
    if len(names) < 2:
        raise DataError(
            f"mode dann: all training clips have the same {config.domain!r} ({names[0]}): there is nothing to adapt.",
            "Choose another column with mode.domain, or let clips of the other domain be training rows.",
        )
    known = set(named) - {""}
    unknown = sorted(set(config.unlabelled) - known)
    if unknown:
        raise DataError(
            f"mode.unlabelled: no clip has the {config.domain} {unknown[0]!r}.", did_you_mean(unknown[0], known)
        )
    used = ~np.isin(named, config.unlabelled)
    labelled = training[used[training]]
    if not len(labelled):
        raise DataError("mode.unlabelled leaves no training clip with a label.", "Keep the labels of one domain.")
    place = {name: number for number, name in enumerate(names)}
    of = np.array([place.get(name, -1) for name in named])
    return Domains(of, names, rows, labelled, validation[used[validation]])


def with_domains(targets: np.ndarray, domains: Domains) -> np.ndarray:
    """Targets (clips, labels) → (clips, labels + domains): labels zero where they are not used, then the domain."""
    own = np.zeros_like(targets)
    own[domains.labelled] = targets[domains.labelled]
    marks = np.eye(len(domains.names) + 1, dtype=np.float32)[domains.of][:, :-1]  # -1 marks none
    return np.concatenate([own, marks], axis=1)


class Reversed(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -strength."""

    @staticmethod
    def forward(ctx: Any, embedding: torch.Tensor, strength: float) -> torch.Tensor:
        """The embedding as it is."""
        ctx.strength = strength
        return embedding.view_as(embedding)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The head's gradient, turned round."""
        return -ctx.strength * gradient, None


class Adversary(nn.Module):
    """A network in training with its domain head; in evaluation it is the network alone.

    Parameters
    ----------
    normaliser, model : the network; the model has `embed` and `output`.
    dim, domains : size of the embedding, and number of domains.
    config : the mode's options.
    steps : of the whole training.
    """

    step: torch.Tensor

    def __init__(
        self, normaliser: AnyNormaliser, model: nn.Module, dim: int, domains: int, config: Config, steps: int
    ) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.model = model
        self.head = nn.Sequential(nn.Linear(dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, domains))
        self.strength = config.strength
        self.steps = steps
        self.register_buffer("step", torch.tensor(0))  # goes into checkpoints with the weights

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """(batch, frames, bands) → (batch, labels + domains) in training, (batch, labels) in evaluation."""
        embedding: torch.Tensor = self.model.embed(self.normaliser(features), lengths)  # type: ignore[operator]
        outputs: torch.Tensor = self.model.output(embedding)  # type: ignore[operator]
        if not self.training:
            return outputs
        strength = rising(int(self.step), self.steps) * self.strength
        self.step += 1
        domains = self.head(Reversed.apply(embedding, strength))  # type: ignore[no-untyped-call]
        return torch.cat([outputs, domains], dim=1)


def rising(step: int, steps: int) -> float:
    """λ of a step, from 0 towards 1."""
    return 2 / (1 + math.exp(-10 * step / max(steps, 1))) - 1


class DomainLoss(Loss):
    """The loss of the labelled clips plus cross-entropy over domains, for outputs and targets with both side by side.

    The log keeps them apart: `train_loss` is that of the labels, beside `domain_loss` and `domain_accuracy`, which is
    near chance where the model has learnt to mislead the head.
    """

    def __init__(self, labels: Loss, outputs: int, domains: torch.Tensor) -> None:
        super().__init__(labels.task, labels.smoothing, labels.costs, labels.weights)
        self.outputs = outputs
        self.domain_weights = balanced(domains)
        self._sums = np.zeros(5)  # label loss, its clips, domain loss, right domains, clips

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor, epoch: int) -> torch.Tensor:
        """The mean loss of a batch: outputs and targets are (batch, labels + domains)."""
        labels, domains = targets[:, : self.outputs], targets[:, self.outputs :]
        answers, guesses = outputs[:, : self.outputs], outputs[:, self.outputs :]
        used = labels.sum(1) > 0
        label_loss = super().__call__(answers[used], labels[used], epoch) if used.any() else answers.sum() * 0.0
        weights = self.domain_weights.to(domains.device)
        domain_loss = -(domains * weights * guesses.log_softmax(1)).sum(1).mean()
        right = (guesses.argmax(1) == domains.argmax(1)).sum()
        clips, many = len(targets), int(used.sum())
        self._sums += [label_loss.item() * many, many, domain_loss.item() * clips, right.item(), clips]
        total: torch.Tensor = label_loss + domain_loss
        return total

    def remarks(self) -> dict[str, Any]:
        """The epoch's losses and the head's accuracy, apart."""
        label, many, domain, right, clips = self._sums
        self._sums = np.zeros(5)
        own = {"train_loss": label / max(many, 1), "domain_loss": domain / clips, "domain_accuracy": right / clips}
        return {key: float(value) for key, value in own.items()} | super().remarks()
