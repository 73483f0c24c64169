"""Learning-rate schedules: the factor on the recipe's rate, as a function of the step."""

from __future__ import annotations

import math

from earnest.recipe import Training


class Schedule:
    """Warm-up, then none, step, cosine or plateau.

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
        return recipe.learning_rate * self._factor(step, warmup)

    def _factor(self, step: int, warmup: float) -> float:
        recipe = self.training
        if recipe.schedule == "cosine":
            total = recipe.epochs * self.steps_per_epoch
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
        if recipe.schedule == "step":
            return float(recipe.step_factor ** (step // self.steps_per_epoch // recipe.step_epochs))
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
