"""Starting from weights that were trained before: which tensors are taken, how long they rest, how fast they move.

    start: {run: runs/emotion, part: tim, frozen_epochs: 5, rate_factor: 0.1}

The whole network is taken, except a last layer of another size or for other labels; or, with `part`, one named module
of it, into a network that has the same one. What is taken rests for `frozen_epochs` (no gradient, and its batch
normalisations keep their statistics; the last layer always learns) and then moves at `rate_factor` times the rate. The
normaliser is never taken: each run measures its own training rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from earnest.errors import RecipeError, did_you_mean
from earnest.recipe import Start
from earnest.training import checkpoints
from earnest.training.optimizers import layers
from earnest.training.origins import Origin

PREFIX = "model."  # of the model's tensors, in checkpoints as in networks in training
SHOWN = 3  # tensors that a message names


class Transfer:
    """Weights on their way into a network.

    Parameters
    ----------
    tensors : of the model to start from, by name.
    recipe : what the recipe says about them.
    same_labels : whether both networks' outputs mean the same, so that the last layer fits too.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], recipe: Start, *, same_labels: bool) -> None:
        self.tensors = tensors
        self.recipe = recipe
        self.same_labels = same_labels
        self.taken: frozenset[str] = frozenset()
        self.rest: frozenset[str] = frozenset()

    @classmethod
    def load(cls, origin: Origin, recipe: Start, member: int, labels: Sequence[str]) -> Transfer:
        """Read the weights that member `member` of a unit with these labels starts from.

        Raises
        ------
        CheckpointError : they are gone or damaged.
        """
        tensors, _ = checkpoints.load(origin.checkpoint, "final")
        prefix = PREFIX if origin.members == 1 else f"{PREFIX}models.{member % origin.members}."
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        return cls(found, recipe, same_labels=origin.labels == tuple(labels))

    def into(self, network: nn.Module) -> nn.Module:
        """The same network with the weights in its `model`, whose names are kept for `freeze` and for the rates.

        Raises
        ------
        RecipeError : the networks, or their parts of that name, are not alike.
        """
        model: nn.Module = network.model  # type: ignore[assignment]
        wanted = self._wanted(model)
        own = model.state_dict()
        wrong = [key for key in wanted if key not in self.tensors or self.tensors[key].shape != own[key].shape]
        spare = [key for key in self.tensors if key not in own and self.recipe.part is None]
        faults = [self._fault(key, own) for key in wrong] + [f"the model has no {key}" for key in spare]
        if faults:
            raise RecipeError(
                f"start.run: {len(faults)} of its tensors do not fit the model: {'; '.join(faults[:SHOWN])}.",
                "Give both recipes the same model and options, or name a part that both have with start.part.",
            )
        model.load_state_dict({key: self.tensors[key] for key in wanted}, strict=False)
        last = {id(parameter) for parameter in layers(model)[-1]}
        kept = model.state_dict(keep_vars=True)
        self.taken = frozenset(PREFIX + key for key in wanted)
        self.rest = frozenset(PREFIX + key for key in wanted if id(kept[key]) not in last)
        return network

    def freeze(self, network: nn.Module, epoch: int) -> None:
        """Let what was taken rest in an epoch (counted from 1) or release it; `network` is in training mode."""
        frozen = epoch <= self.recipe.frozen_epochs
        for name, module in network.named_modules():
            own = dict(module.named_parameters(recurse=False))
            held = {f"{name}.{key}" for key in (*own, *dict(module.named_buffers(recurse=False)))}
            if not self.rest.isdisjoint(held):
                module.training = not frozen  # of this module alone: `train` would reach those below it too
                for parameter in own.values():
                    parameter.requires_grad_(not frozen)

    def _wanted(self, model: nn.Module) -> list[str]:
        """Names of the tensors to take."""
        own = model.state_dict(keep_vars=True)
        part = self.recipe.part
        if part is not None:
            found = [key for key in own if key.startswith(f"{part}.")]
            if not found:
                children = [name for name, _ in model.named_children()]
                raise RecipeError(f"start.part: the model has no module {part!r}.", did_you_mean(part, children))
            return found
        last = {id(parameter) for parameter in layers(model)[-1]}
        fits = self.same_labels and all(
            key in self.tensors and self.tensors[key].shape == value.shape
            for key, value in own.items()
            if id(value) in last
        )
        return [key for key, value in own.items() if fits or id(value) not in last]

    def _fault(self, key: str, own: Mapping[str, torch.Tensor]) -> str:
        """What is wrong with one tensor."""
        if key not in self.tensors:
            return f"{key} is missing"
        return f"{key} has the shape {tuple(self.tensors[key].shape)} instead of {tuple(own[key].shape)}"
