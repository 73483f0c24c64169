"""Learning-rate schedules: the factor on the recipe's rate, as a function of the step."""

from __future__ import annotations

import math

from earnest.recipe import Training


class Schedule:
    """Warm-up, a hold at the full rate, then none, step, cosine, polynomial or plateau.

    AST's schedule (arXiv:2104.01778), ×0.85 in each epoch after the fifth, is `step` with `hold_epochs: 4, step_epochs:
    1, step_factor: 0.85`; MatchboxNet's (arXiv:2004.08531) is a warm-up of 5 % of the epochs, a hold of 45 % and
    `polynomial` with the power 2.

    Only `plateau` has a memory (what the validation loss has been); it is two numbers and a factor, saved with the
    checkpoint by `state` and `restore`.
    """

    def __init__(self, training: Training, steps_per_epoch: int) -> None:
        self.training = training
        self.steps_per_epoch = steps_per_epoch
        self.best = math.inf
        self.waited = 0
        self.plateau_factor = 1.0

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0 over the whole training."""
        recipe = self.training
        warmup = recipe.warmup_epochs * self.steps_per_epoch
        if step < warmup:
            return recipe.learning_rate * (step + 1) / (warmup + 1)
        return recipe.learning_rate * self._factor(step, warmup + recipe.hold_epochs * self.steps_per_epoch)

    def _factor(self, step: int, start: float) -> float:
        """The factor at a step of a fall that begins at step `start`."""
        recipe = self.training
        total = recipe.epochs * self.steps_per_epoch
        fallen, height = max(step - start, 0), max(total - start, 1)
        if recipe.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * fallen / height))
        if recipe.schedule == "polynomial":
            return float((1 - fallen / height) ** recipe.power)
        if recipe.schedule == "step":
            epoch = max(step // self.steps_per_epoch - recipe.hold_epochs, 0)
            return float(recipe.step_factor ** (epoch // recipe.step_epochs))
        return self.plateau_factor

    def end_epoch(self, validation_loss: float | None) -> None:
        """Tell the plateau schedule how the epoch went."""
        if self.training.schedule != "plateau" or validation_loss is None:
            return
        if validation_loss < self.best:
            self.best, self.waited = validation_loss, 0
            return
        self.waited += 1
        if self.waited > self.training.plateau_patience:
            self.plateau_factor *= self.training.plateau_factor
            self.waited = 0

    def state(self) -> dict[str, float]:
        """What must be remembered to go on."""
        return {"best": self.best, "waited": self.waited, "plateau_factor": self.plateau_factor}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from a saved state."""
        self.best = float(state["best"])
        self.waited = int(state["waited"])
        self.plateau_factor = float(state["plateau_factor"])
