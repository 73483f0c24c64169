"""Optimisers, and the groups of parameters that have rates of their own.

AdamW, Adam and SGD are PyTorch's; `NovoGrad` is written out below. A group's `factor` multiplies the schedule's rate:
the loop sets `lr = rate × factor` before each step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, overload

import torch
from torch import nn
from torch.optim import Optimizer

from earnest.errors import RecipeError
from earnest.recipe import Training

Groups = list[dict[str, Any]]
ADAM_BETAS, NOVOGRAD_BETAS = (0.9, 0.999), (0.95, 0.98)


class NovoGrad(Optimizer):
    """Stochastic gradient with one second moment for each tensor instead of one for each number.

    B. Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep Networks",
    arXiv:1905.11286, algorithm 1, with a tensor (a weight or a bias) as what the paper calls a layer:

        v = β₂ v + (1 - β₂) ‖g‖²,  m = β₁ m + (g / (√v + ε) + d w),  w = w - rate × m;  at the first step v = ‖g‖²

    Parameters
    ----------
    parameters : tensors or groups of them.
    lr : the rate. It is of another size than Adam's, since every step has about the length of the rate: 0.01 to 0.05.
    betas : β₁ of the momentum and β₂ of the second moment.
    weight_decay : d, decoupled from the second moment.
    """

    def __init__(
        self,
        parameters: Groups,
        lr: float,
        betas: tuple[float, float] = NOVOGRAD_BETAS,
        weight_decay: float = 0.0,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "epsilon": epsilon})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter that has a gradient; a `closure` is called first, and its loss given back."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            momentum, memory = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                square = parameter.grad.float().square().sum()
                state = self.state[parameter]
                if state:
                    state["second_moment"].lerp_(square, 1 - memory)
                else:
                    state["second_moment"], state["momentum"] = square, torch.zeros_like(parameter)
                direction = parameter.grad / (state["second_moment"].sqrt() + group["epsilon"])
                direction.add_(parameter, alpha=group["weight_decay"])
                state["momentum"].mul_(momentum).add_(direction)
                parameter.sub_(state["momentum"], alpha=group["lr"])
        return loss


def build(network: nn.Module, recipe: Training, slowed: Collection[str] = (), factor: float = 1.0) -> Optimizer:
    """The recipe's optimiser over all parameters of a network.

    Parameters
    ----------
    network : what is trained.
    slowed, factor : names of parameters, and what multiplies their rate (see `transfer`).

    Raises
    ------
    RecipeError : `training.betas` with an optimiser that has none.
    """
    if recipe.betas and recipe.optimizer == "sgd":
        raise RecipeError(
            "training.betas belong to adam, adamw and novograd; sgd has none.", "Set training.momentum instead."
        )
    groups = parameter_groups(network, recipe.layer_decay or 1.0, slowed, factor)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        momentum = recipe.momentum
        return torch.optim.SGD(groups, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0)
    if recipe.optimizer == "novograd":
        return NovoGrad(groups, lr=rate, weight_decay=decay, betas=recipe.betas or NOVOGRAD_BETAS)
    adam = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return adam(groups, lr=rate, weight_decay=decay, betas=recipe.betas or ADAM_BETAS, fused=True)


def parameter_groups(network: nn.Module, layer_decay: float, slowed: Collection[str], factor: float) -> Groups:
    """Parameters by the factor on their rate, in the order in which the factors first occur.

    The factor is `layer_decay` to the power of the layer's distance from the last one (K. Clark et al., "ELECTRA",
    arXiv:2003.10555, appendix; see `layers`), times `factor` for the parameters that are `slowed`. What lies outside
    the model (`network.model` where there is one), such as the head of a domain classifier, keeps the full rate.
    """
    depth: dict[int, int] = {}
    order = layers(getattr(network, "model", network))
    for distance, layer in enumerate(reversed(order)):
        depth |= {id(parameter): distance for parameter in layer}
    members: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        mine = layer_decay ** depth.get(id(parameter), 0) * (factor if name in slowed else 1.0)
        members.setdefault(mine, []).append(parameter)
    return [{"params": parameters, "factor": mine} for mine, parameters in members.items()]


def layers(model: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of a model's layers, from the input to the output.

    A layer is a child of the model, in the order in which they were registered. Lists and sequences of modules, and
    children that hold a list (an encoder with its blocks), are entered. A normalisation belongs to the layer before it,
    what has no parameters is none, and parameters which a model holds itself (positions, tokens) belong to its first.
    """
    found: list[list[nn.Parameter]] = []
    for child in model.children():
        parameters = list(child.parameters())
        stack = isinstance(child, nn.Sequential) or any(
            isinstance(m, nn.ModuleList) for m in (child, *child.children())
        )
        if parameters and stack:
            found += layers(child)
        elif parameters and found and "norm" in type(child).__name__.lower():
            found[-1] += parameters
        elif parameters:
            found.append(parameters)
    own = list(model.parameters(recurse=False))
    return [own + found[0], *found[1:]] if found else [own]
