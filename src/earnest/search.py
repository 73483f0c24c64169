"""Hyper-parameters chosen on a fold's validation groups, anew for every fold; its test rows are never looked at.

    search:
      trials: 20
      space: {training.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}, model.dropout: [0.1, 0.3]}

Each trial trains the fold's network with other values and is judged by the primary metric on the validation groups;
the best trial's values then train the network that is scored (Optuna's tree-structured Parzen estimator, extra
`search`). Since every fold searches for itself, the search is nested: no test group has a say in any number it is
scored with. Finished trials are kept, so that a search that was killed goes on and ends with the same values.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from earnest import recipe as recipes
from earnest.errors import MissingExtra, RecipeError
from earnest.files import atomic_write_text
from earnest.recipe import Range, Recipe

SEARCHED = ("training.", "model.")


def check(recipe: Recipe) -> None:
    """Say before anything is decoded that a search cannot be had.

    Raises
    ------
    RecipeError : no validation groups to judge by, or a key that is neither the training's nor the model's.
    MissingExtra : Optuna is not installed.
    """
    if recipe.search is None:
        return
    if not recipe.split.validation:
        raise RecipeError("search judges trials on validation rows, and split.validation is 0.", "Set it, say to 0.15.")
    for key in recipe.search.space:
        if not key.startswith(SEARCHED):
            raise RecipeError(
                f"search.space: {key!r} cannot be searched for.",
                "Keys of `training` and `model` can; compare front ends and augmentations as cells of a grid.",
            )
    _optuna()


def best(
    recipe: Recipe, directory: Path, seed: int, judge: Callable[[Recipe, Path], float]
) -> tuple[Recipe, dict[str, Any]]:
    """The recipe with the values of the best trial.

    Parameters
    ----------
    recipe : with a `search`.
    directory : where trials are kept.
    seed : of the sampler.
    judge : (recipe, folder) → validation score of a network that is trained by the recipe; more is better.

    Returns
    -------
    recipe, record : the recipe without its search; trials, best values and their validation score.
    """
    optuna = _optuna()
    search = recipe.search
    if search is None:
        raise RecipeError("the recipe has no search.")
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed % 2**32))
    for number in range(search.trials):
        trial = study.ask()
        values = {key: _suggest(trial, key, given) for key, given in search.space.items()}
        place = directory / f"trial-{number}"
        known = _finished(place, values)
        if known is None:
            place.mkdir(parents=True, exist_ok=True)
            known = judge(_with(recipe, values), place)
            atomic_write_text(place / "trial.json", json.dumps({"values": values, "score": known}))
        study.tell(trial, known)
    found = study.best_trial
    values = {key: found.params[key] for key in search.space}
    return _with(recipe, values), {"trials": search.trials, "best": values, "validation": found.value}


def _suggest(trial: Any, key: str, given: Range | tuple[Any, ...]) -> Any:
    if not isinstance(given, Range):
        return trial.suggest_categorical(key, list(given))
    if given.whole:
        return trial.suggest_int(key, int(given.low), int(given.high), log=given.log)
    return trial.suggest_float(key, given.low, given.high, log=given.log)


def _with(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with other values and without its search."""
    plain = {key: value for key, value in recipe.plain().items() if key != "search"}
    for key, value in values.items():
        plain = recipes.with_value(plain, key, value)
    return recipes.parse(plain, "search")


def _finished(place: Path, values: dict[str, Any]) -> float | None:
    """The score of a trial that was finished with these values before."""
    try:
        content = json.loads((place / "trial.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return float(content["score"]) if content.get("values") == values else None


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as missing:
        raise MissingExtra("optuna", "search", "Searching for hyper-parameters") from missing
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
