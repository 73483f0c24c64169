"""Search on validation groups: what is asked, kept and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from earnest import recipe, search
from earnest.errors import RecipeError
from earnest.recipe import Recipe

pytest.importorskip("optuna", reason="needs the extra [search]")
SPACE = (
    "search={trials: 12, space: {training.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}, "
    "model.dropout_last: [0.1, 0.4]}}"
)


def given(*more: str) -> Recipe:
    return recipe.load(None, ["corpus=fsdd", "model=ds_cnn", SPACE, *more])[0]


def judge(tried: Recipe, place: Path) -> float:
    """Best at a rate of 1e-2 and with the smaller dropout."""
    rate = tried.training.learning_rate
    return -abs(rate - 1e-2) - float(tried.model.options["dropout_last"])


def test_the_best_trial_is_taken_and_the_search_repeats_itself(tmp_path: Path) -> None:
    chosen, record = search.best(given(), tmp_path / "a", 7, judge)
    again, same = search.best(given(), tmp_path / "b", 7, judge)
    assert record == same
    assert chosen == again
    assert chosen.search is None
    assert chosen.model.options["dropout_last"] == 0.1
    assert record["trials"] == len(list((tmp_path / "a").glob("trial-*/trial.json"))) == 12
    assert record["validation"] == judge(chosen, tmp_path)


def test_a_search_that_was_stopped_goes_on(tmp_path: Path) -> None:
    tried: list[Recipe] = []

    def stopping(one: Recipe, place: Path) -> float:
        tried.append(one)
        if len(tried) == 5:
            raise KeyboardInterrupt
        return judge(one, place)

    with pytest.raises(KeyboardInterrupt):
        search.best(given(), tmp_path, 7, stopping)
    chosen, _ = search.best(given(), tmp_path, 7, stopping)
    assert len(tried) == 5 + 12 - 4
    assert chosen == search.best(given(), tmp_path / "whole", 7, judge)[0]


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"split\.validation"):
        search.check(given("split.validation=0"))
    with pytest.raises(RecipeError, match=r"frontend\.bands"):
        search.check(given("search.space={frontend.bands: [32, 64]}"))
    search.check(given())
    assert given().hash != recipe.load(None, ["corpus=fsdd", "model=ds_cnn"])[0].hash
