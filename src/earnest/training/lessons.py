"""Modes of teaching: what a network is wrapped in while it learns, from which batches, and by which loss.

    supervised     the labels of the training rows                                    (the default)
    dann           labels, and an embedding that does not tell the domain             `training.domain`
    prototypical   episodes; classification by distance to the classes' prototypes    `training.episodes`

The loop is the same for all: it asks a network for outputs and a loss for a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from earnest.errors import DataError, RecipeError, did_you_mean
from earnest.recipe import Recipe, configure
from earnest.splits import Folds
from earnest.tasks import Task
from earnest.training import domain, episodes, losses, optimizers
from earnest.training.batches import Epochs, Examples
from earnest.training.losses import Loss
from earnest.training.pipeline import AnyNormaliser, Normalised


@dataclass(frozen=True)
class Supervised:
    """`mode: supervised` has no options."""


Mode = Supervised | domain.Config | episodes.Config
MODES: dict[str, type[Any]] = {"supervised": Supervised, "dann": domain.Config, "prototypical": episodes.Config}


@dataclass(frozen=True)
class Rows:
    """A unit's rows of the table."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Lesson:
    """How one unit is taught.

    Attributes
    ----------
    epochs : the training batches; `epochs.examples.seed` starts their random streams.
    loss : what is made small.
    validation : rows that are looked at during training.
    wrap : (normaliser, model) → the network as the loop trains it, which holds both under these names.
    settle : brings the wrapped network's last layer up to date, before it is validated or kept.
    """

    epochs: Epochs
    loss: Loss
    validation: np.ndarray
    wrap: Callable[[AnyNormaliser, nn.Module], nn.Module] = Normalised
    settle: Callable[[Any], None] = lambda network: None


def prepare(recipe: Recipe, task: Task, examples: Examples, rows: Rows, labels: Sequence[str], table: Path) -> Lesson:
    """The lesson of one unit.

    Parameters
    ----------
    recipe, task : what is done.
    examples : all clips with their targets.
    rows : the unit's rows.
    labels : names of the outputs.
    table : the run's table, for modes that look at a column.

    Raises
    ------
    RecipeError, DataError : the mode does not fit the data.
    """
    mode = resolve(recipe)
    if isinstance(mode, domain.Config):
        return _adversarial(mode, recipe, task, examples, rows, table)
    loss = losses.build(task, recipe.training, torch.from_numpy(examples.targets[rows.training]))
    if isinstance(mode, episodes.Config):
        return _episodic(mode, recipe, loss, examples, rows, labels)
    epochs = Epochs(examples, rows.training, recipe.training.batch_size, recipe.training.workers)
    return Lesson(epochs, loss, rows.validation)


def _adversarial(
    mode: domain.Config, recipe: Recipe, task: Task, examples: Examples, rows: Rows, table: Path
) -> Lesson:
    frame = pl.read_parquet(table)
    if mode.domain not in frame.columns:
        raise DataError(
            f"mode.domain: the table has no column {mode.domain!r}.", did_you_mean(mode.domain, frame.columns)
        )
    found = domain.divide(mode, frame[mode.domain].to_list(), rows.training, rows.validation, rows.test)
    labels = losses.build(task, recipe.training, torch.from_numpy(examples.targets[found.labelled]))
    both = domain.with_domains(examples.targets, found)
    outputs = examples.targets.shape[1]
    loss = domain.DomainLoss(labels, outputs, torch.from_numpy(both[found.rows, outputs:]))
    epochs = Epochs(replace(examples, targets=both), found.rows, recipe.training.batch_size, recipe.training.workers)
    steps = recipe.training.epochs * len(epochs)

    def wrap(normaliser: AnyNormaliser, model: nn.Module) -> nn.Module:
        dim = last_linear(model, recipe.model.name).in_features
        return domain.Adversary(normaliser, model, dim, len(found.names), mode, steps)

    return Lesson(epochs, loss, found.validation, wrap)


def _episodic(
    mode: episodes.Config, recipe: Recipe, loss: Loss, examples: Examples, rows: Rows, labels: Sequence[str]
) -> Lesson:
    batches = episodes.Episodes(examples, rows.training, mode, labels, recipe.training.workers)
    support = episodes.Support(examples, rows.training, mode)

    def settle(network: episodes.Embedding) -> None:
        support.settle(network, last_linear(network.model, recipe.model.name))

    return Lesson(batches, episodes.EpisodeLoss(loss, mode), rows.validation, episodes.Embedding, settle)


def resolve(recipe: Recipe) -> Mode:
    """The options of a recipe's mode.

    Raises
    ------
    RecipeError : unknown mode or option.
    """
    part = recipe.mode
    if part.name not in MODES:
        raise RecipeError(f"unknown mode {part.name!r}.", did_you_mean(part.name, MODES))
    mode: Mode = configure(MODES[part.name], part.options, f"mode {part.name}")
    return mode


def check(recipe: Recipe, task: Task, model: nn.Module | None) -> None:
    """Say before anything is decoded what of a recipe's training does not fit together.

    Parameters
    ----------
    model : the recipe's network, or None for an estimator.

    Raises
    ------
    RecipeError : a loss, a mode or a start that the task or the model cannot have.
    """
    mode = resolve(recipe)
    costs = losses.costs_of(task, recipe.training)
    if model is None:
        if not isinstance(mode, Supervised) or recipe.start:
            given = "start" if recipe.start else f"mode={recipe.mode.name}"
            raise RecipeError(f"{given} is for networks; {recipe.model.name} is fitted in one go.", "Leave it out.")
        return
    optimizers.build(model, recipe.training)
    if isinstance(mode, Supervised):
        return
    last_linear(model, recipe.model.name)
    if task.kind != "classes":
        raise RecipeError(
            f"mode={recipe.mode.name} is for clips with exactly one label, and the task {task.name} has {task.kind}.",
            "Use mode=supervised.",
        )
    if isinstance(mode, episodes.Config) and (costs or any(part.name == "mixup" for part in recipe.augment)):
        raise RecipeError(
            "mode=prototypical has a loss of its own, over whole clips of equally many of each class.",
            "Leave out training.loss, training.class_weights and mixup.",
        )


def last_linear(model: nn.Module, name: str) -> nn.Linear:
    """The linear layer that ends a model, behind its `embed`.

    Raises
    ------
    RecipeError : the model has no embedding, or does not end in such a layer.
    """
    output = getattr(model, "output", None)
    last = output[-1] if isinstance(output, nn.Sequential) else output
    if not hasattr(model, "embed") or not isinstance(last, nn.Linear):
        raise RecipeError(
            f"the model {name} offers no embedding for this mode.", "Use mode=supervised, or model=resnet."
        )
    return last


def is_transductive(recipe: Recipe) -> bool:
    """Whether the sound of the test rows is trained on, without labels."""
    mode = resolve(recipe)
    return isinstance(mode, domain.Config) and mode.transductive


def said(folds: Folds, recipe: Recipe) -> Folds:
    """The folds with the protocol that scores are known by: whether test audio was trained on stands in it."""
    if not is_transductive(recipe):
        return folds
    note = "Transductive: the sound of the test rows, without labels, took part in training."
    protocol = f"{folds.protocol} (TRANSDUCTIVE: trained on the test sound without labels)"
    return replace(folds, protocol=protocol, notes=(*folds.notes, note))
