"""Prototypical networks: training in episodes, classification by the distance to the mean of each class.

    mode: {name: prototypical, way: 5, shot: 5, queries: 5, episodes: 50}

J. Snell, K. Swersky, R. Zemel, "Prototypical Networks for Few-shot Learning", arXiv:1703.05175. Each step is an
episode: `way` classes are drawn from the training classes, and of each class `shot` clips, whose mean embedding is its
prototype, and `queries` clips, which shall be nearest to their own. With the squared Euclidean distance the nearest
prototype is what a linear layer answers (section 2.3): -‖z - c‖² = 2 c·z - ‖c‖² - ‖z‖², where the last term is the same
for all classes, and so is the mean over classes of the other two, which is taken off. So, when trained, the prototypes
become the model's last layer, and it is scored and exported like any.

The prototypes are taken from training rows only (all of them, or `support` clips of each class), so that no test
speaker or recording is among them. Classes in `novel` stand in no episode: they are known by their support alone.

The training loss is that of `way` classes, the validation loss that of all; their gap means little unless both are
equal. `training.batch_size` is not used: a batch is way × (shot + queries) clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from earnest.augment import rng_for
from earnest.errors import DataError, RecipeError
from earnest.frontends import Features
from earnest.training.batches import ORDER, Epochs, Examples
from earnest.training.evaluate import Evaluator
from earnest.training.losses import Loss, smooth
from earnest.training.pipeline import AnyNormaliser

Count = Annotated[int, Field(ge=1)]
SUPPORT = 2**31 - 1  # the "epoch" of the stream that draws the support
NEVER = -1e4  # the answer for a class without any support


@dataclass(frozen=True)
class Config:
    """Options of `mode: prototypical`.

    Attributes
    ----------
    way, shot, queries : classes of an episode, and clips of each for its prototype and to be classified.
    episodes : steps of an epoch.
    support : clips of each class for the final prototypes; None for all training clips.
    novel : labels that stand in no episode.
    """

    way: Annotated[int, Field(ge=2)] = 5
    shot: Count = 5
    queries: Count = 5
    episodes: Count = 50
    support: Count | None = None
    novel: tuple[str, ...] = ()


class Episodes(Epochs):
    """Batches that are episodes: (class 1: shot + queries clips), (class 2: …) … in a row."""

    def __init__(
        self, examples: Examples, rows: np.ndarray, config: Config, labels: Sequence[str], workers: int
    ) -> None:
        super().__init__(examples, rows, config.way * (config.shot + config.queries), workers)
        self.config = config
        self.classes = classes_of(examples.targets, rows, config, labels)

    def __len__(self) -> int:
        """Episodes in an epoch."""
        return self.config.episodes

    def draw(self, epoch: int) -> list[list[int]]:
        """The rows of each episode of an epoch."""
        rng = rng_for(self.examples.seed, epoch, ORDER)
        clips = self.config.shot + self.config.queries
        return [
            [
                int(row)
                for chosen in rng.choice(len(self.classes), self.config.way, replace=False)
                for row in rng.choice(self.classes[chosen], clips, replace=False)
            ]
            for _ in range(self.config.episodes)
        ]


def classes_of(targets: np.ndarray, rows: np.ndarray, config: Config, labels: Sequence[str]) -> list[np.ndarray]:
    """The training rows of each class that episodes are made of.

    Raises
    ------
    RecipeError : a novel label that there is not, or more classes in an episode than there are.
    DataError : a class with fewer clips than an episode takes.
    """
    unknown = sorted(set(config.novel) - set(labels))
    if unknown:
        raise RecipeError(f"mode.novel: there is no label {unknown[0]!r}.", f"The labels are {', '.join(labels)}.")
    numbers = targets[rows].argmax(1)
    found = []
    for number, label in enumerate(labels):
        mine = rows[numbers == number]
        if label in config.novel or not len(mine):
            continue
        if len(mine) < config.shot + config.queries:
            raise DataError(
                f"mode prototypical: {label!r} has {len(mine)} training clips, and an episode takes "
                f"{config.shot} + {config.queries} of each class.",
                "Lower mode.shot or mode.queries, or make the label novel.",
            )
        found.append(mine)
    if len(found) < config.way:
        raise RecipeError(
            f"mode.way: an episode of {config.way} classes cannot be drawn from {len(found)}.", "Lower mode.way."
        )
    return found


class Embedding(nn.Module):
    """A network in training that gives embeddings; in evaluation it answers through its last layer.

    Parameters
    ----------
    normaliser, model : the network; the model has `embed`, and `output` ends in a linear layer.
    """

    def __init__(self, normaliser: AnyNormaliser, model: nn.Module) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.model = model

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """(batch, frames, bands) → (batch, dim) in training, (batch, labels) in evaluation."""
        if self.training:
            return self.embed(features, lengths)
        outputs: torch.Tensor = self.model(self.normaliser(features), lengths)
        return outputs

    def embed(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """What the last linear layer sees, (batch, dim)."""
        embedding: torch.Tensor = self.model.embed(self.normaliser(features), lengths)  # type: ignore[operator]
        output = self.model.output
        return output[:-1](embedding) if isinstance(output, nn.Sequential) else embedding


class Support:
    """The clips that the final prototypes are made of; features are computed once."""

    def __init__(self, examples: Examples, rows: np.ndarray, config: Config) -> None:
        numbers = examples.targets[rows].argmax(1)
        rng = rng_for(examples.seed, SUPPORT, 0)
        chosen = [rows[numbers == number] for number in range(examples.targets.shape[1])]
        if config.support:
            chosen = [rng.permutation(mine)[: config.support] for mine in chosen]
        self.sizes = [len(mine) for mine in chosen]
        self.evaluator = Evaluator(examples.windows, np.concatenate(chosen))

    @torch.no_grad()
    def settle(self, network: Embedding, last: nn.Linear) -> None:
        """Turn the prototypes of a network's embeddings into its last layer."""
        embeddings, _ = self.evaluator.probabilities(Embedder(network), lambda outputs: outputs)  # (clips, dim) float64
        parts = np.split(embeddings, np.cumsum(self.sizes)[:-1])
        known = [number for number, size in enumerate(self.sizes) if size]
        prototypes = torch.from_numpy(np.stack([parts[number].mean(0) for number in known]))  # (known, dim)
        # What all classes share may be taken off their answers, and small numbers keep more of float32's digits.
        lengths = prototypes.square().sum(1)
        last.weight.zero_()
        last.bias.fill_(NEVER)
        last.weight[known] = (2 * (prototypes - prototypes.mean(0))).to(last.weight)
        last.bias[known] = (lengths.mean() - lengths).to(last.bias)


class Embedder(nn.Module):
    """The embeddings of a network in evaluation."""

    def __init__(self, network: Embedding) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """(batch, frames, bands) → (batch, dim)."""
        return self.network.embed(features, lengths)


class EpisodeLoss(Loss):
    """Cross-entropy over the negative squared distances from each query to the episode's prototypes."""

    def __init__(self, labels: Loss, config: Config) -> None:
        super().__init__(labels.task, labels.smoothing)
        self.config = config

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor, epoch: int) -> torch.Tensor:
        """The mean loss of an episode's queries: outputs are embeddings (way × (shot + queries), dim)."""
        way, shot, queries = self.config.way, self.config.shot, self.config.queries
        classes = outputs.view(way, shot + queries, -1)  # (way, shot + queries, dim)
        prototypes = classes[:, :shot].mean(1)  # (way, dim)
        asked = classes[:, shot:].flatten(0, 1)  # (way × queries, dim)
        distances = (asked[:, None] - prototypes[None]).square().sum(2)  # (way × queries, way)
        truth = torch.eye(way, device=outputs.device).repeat_interleave(queries, 0)
        return self.of_clips(-distances, smooth(truth, self.smoothing)).mean()
