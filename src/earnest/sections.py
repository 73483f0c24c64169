"""The sections of a recipe: what may stand under each of its keys, with defaults and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Decay = Annotated[float, Field(ge=0, lt=1)]


class Strict(BaseModel):
    """A frozen section of a recipe in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Strict):
    """One named part and the options that belong to it."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name_or_mapping(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and "name" in value:
            given = dict(value)
            options = dict(given.pop("options", {}))
            return {"name": given.pop("name"), "options": {**options, **given}}
        return value

    def plain(self) -> str | dict[str, Any]:
        """The part as it is written in YAML."""
        return {"name": self.name, **self.options} if self.options else self.name


class Split(Strict):
    """How clips become training, validation and test rows.

    `group` names the columns whose values must not stand on both sides (default: speaker and source, where present);
    `test` and `validation` are fractions of the groups; validation groups always come out of the training groups, and
    `validation: 0` trains on all of them (for recipes whose number of epochs is fixed beforehand). Audio that stands on
    both sides fails the run, or with `copies: drop` is left out of the training rows; the test rows stay whole.
    """

    name: Literal["official", "leave-one-group-out", "group-k-fold", "group-holdout", "random"] = "group-k-fold"
    group: tuple[str, ...] | None = None
    folds: int = Field(5, ge=2)
    test: float = Field(0.2, gt=0, lt=1)
    validation: float = Field(0.15, ge=0, lt=1)
    copies: Literal["fail", "drop"] = "fail"
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("group"), str):
            return {**value, "group": [value["group"]]}
        return {"name": value} if isinstance(value, str) else value


class Clips(Strict):
    """How recordings become model inputs.

    Clips longer than `window_s` are cropped at random in training and covered by windows every `hop_s` in testing
    (default: half a window), whose probabilities are combined. Shorter ones are padded with silence (`pad`) or used
    at their own length (`keep`, for models that take any length).

    `segments` says what a clip is: the `whole` recording; its first window (`crop-pad`); each of the consecutive
    windows it is cut into (`cut-all`); or of those that all recordings of one speaker and target are cut into, joined
    with `gap_s` of silence between them (`join-by-speaker`). See `earnest.segments`.
    """

    window_s: float = Field(1.0, gt=0)
    hop_s: float | None = Field(None, gt=0)
    short: Literal["pad", "keep"] = "pad"
    segments: Literal["whole", "crop-pad", "cut-all", "join-by-speaker"] = Field(
        "whole", exclude_if=lambda segments: segments == "whole"
    )
    gap_s: float = Field(0.5, ge=0, exclude_if=lambda seconds: seconds == 0.5)

    @property
    def hop(self) -> float:
        """Seconds between the starts of two test windows."""
        return self.window_s / 2 if self.hop_s is None else self.hop_s


class Training(Strict):
    """The training loop's numbers.

    Rates are per step, `*_epochs` are counted in epochs. `members` networks are trained from different seeds and their
    outputs averaged; `average` is the decay of a moving average of the weights; `patience` stops a training whose
    validation score has not risen for so many epochs and takes its best epoch; `checkpoint_s` is how many seconds of
    work a kill may cost; `train_score` also scores the training rows, to be seen beside the validation score.

    `loss` is the task's own unless one of `training.losses` is named; `class_weights: balanced` weighs each class by
    the inverse of its share in the fold's training rows. The rate stays at its full height for `hold_epochs` after the
    warm-up; `step` then counts its epochs from the end of the hold, `polynomial` falls to zero as (1 - t) to the
    `power`. `betas` are those of adam, adamw and novograd; `layer_decay` multiplies the rate once for each layer below
    the last (`training.optimizers`). `clamp` bounds every number of the gradient, and `clip_norm` its length.
    """

    epochs: int = Field(40, ge=1)
    batch_size: int = Field(32, ge=1)
    optimizer: Literal["adamw", "adam", "sgd", "novograd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[Decay, Decay] | None = None
    layer_decay: float | None = Field(None, gt=0, le=1)
    schedule: Literal["none", "step", "cosine", "plateau", "polynomial"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    hold_epochs: float = Field(0.0, ge=0, exclude_if=lambda epochs: epochs == 0)
    power: float = Field(2.0, gt=0, exclude_if=lambda power: power == 2)
    step_epochs: int = Field(30, ge=1)
    step_factor: float = Field(0.3, gt=0, lt=1)
    plateau_patience: int = Field(5, ge=1)
    plateau_factor: float = Field(0.5, gt=0, lt=1)
    clip_norm: float | None = Field(5.0, gt=0)
    clamp: float | None = Field(None, gt=0)
    loss: Part | None = None
    class_weights: Literal["balanced"] | None = None
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    patience: int | None = Field(None, ge=1)
    average: float | None = Field(None, gt=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    members: int = Field(1, ge=1)
    train_score: bool = Field(False, exclude_if=lambda wanted: not wanted)
    workers: int = Field(0, ge=0)
    checkpoint_s: float = Field(15.0, ge=0)
    threads: int = Field(1, ge=1)


class Start(Strict):
    """The finished run whose weights a training starts from (`training.transfer`, `training.origins`).

    `part` names one module of the network instead of all of it; `fold` and `seed` say which of that run's networks,
    where the corpora differ. What is taken rests for `frozen_epochs` and then moves at `rate_factor` times the rate.
    """

    run: str
    part: str | None = None
    fold: str | None = None
    seed: int | None = None
    frozen_epochs: int = Field(0, ge=0)
    rate_factor: float = Field(1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_folder(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "name" in value:  # a folder alone, to which an override added a key
            return {"run": value["name"], **{key: given for key, given in value.items() if key != "name"}}
        return {"run": value} if isinstance(value, str) else value


class Range(Strict):
    """Numbers from `low` to `high`, on a logarithmic scale with `log`, whole ones with `whole`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


class Search(Strict):
    """What is tried on each fold's validation groups (`search`): keys of the recipe, with a range or a list each."""

    trials: int = Field(20, ge=1)
    space: dict[str, Range | tuple[Any, ...]] = Field(min_length=1)
