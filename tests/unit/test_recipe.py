"""Recipes: strict keys, overrides, grids, and a hash over all that decides a result."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from earnest import recipe
from earnest.errors import RecipeError

LEAST = ["corpus=fsdd", "model=ds_cnn"]


def test_two_keys_are_enough():
    (cell,) = recipe.load(None, LEAST)
    assert (cell.corpus, cell.model.name, cell.frontend.name) == ("fsdd", "ds_cnn", "log_mel")


def test_an_unknown_key_names_its_neighbour():
    with pytest.raises(RecipeError, match=r"unknown key 'training\.epoch'.*epochs"):
        recipe.load(None, [*LEAST, "training.epoch=3"])


def test_a_misspelt_key_is_named_before_the_key_it_leaves_missing():
    with pytest.raises(RecipeError, match=r"unknown key 'modle'\. Did you mean .*model"):
        recipe.load(None, ["corpus=fsdd", "modle=svm"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1"),
        ("training.optimizer=adamm", "training.optimizer"),
        ("split=randm", "split.name"),
        ("seeds=[]", "seeds"),
        ("model", "not of the form key=value"),
        ("model={", "not valid YAML"),
        ("sample_rate.x=3", "has no keys"),
    ],
)
def test_wrong_values_say_what_was_expected(override, said):
    with pytest.raises(RecipeError) as caught:
        recipe.load(None, [*LEAST, "sample_rate=8000", override])
    assert said in caught.value.message


def test_options_may_be_set_on_a_part_given_by_name():
    (cell,) = recipe.load(None, [*LEAST, "model.channels=32", "frontend=mfcc", "frontend.n_mfcc=13"])
    assert cell.model.options == {"channels": 32}
    assert cell.frontend.plain() == {"name": "mfcc", "n_mfcc": 13}


def test_a_recipe_survives_being_written_and_read(tmp_path):
    (cell,) = recipe.load(
        None, [*LEAST, "split=random", "augment=[spec_augment, {name: gain, max_db: 3}]", "seeds=[0, 1]"]
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(cell.to_yaml(), encoding="utf-8")
    (again,) = recipe.load(path)
    assert again == cell
    assert again.hash == cell.hash


def test_the_hash_ignores_the_name_and_nothing_else():
    one, named, other = (recipe.load(None, [*LEAST, extra])[0] for extra in ("name=a", "name=b", "training.epochs=2"))
    assert one.hash == named.hash != other.hash


def test_a_grid_multiplies_out():
    cells = recipe.load(None, ["corpus=fsdd", "grid={model: [ds_cnn, svm], training.epochs: [1, 2, 3]}"])
    assert [(cell.model.name, cell.training.epochs) for cell in cells] == [
        (model, epochs) for model in ("ds_cnn", "svm") for epochs in (1, 2, 3)
    ]


def test_files_that_are_no_recipes_are_named(tmp_path):
    path = tmp_path / "recipe.yaml"
    with pytest.raises(RecipeError, match="no recipe file"):
        recipe.load(path)
    path.write_text("- a list", encoding="utf-8")
    with pytest.raises(RecipeError, match="expected a mapping"):
        recipe.load(path)
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(RecipeError, match="not valid YAML"):
        recipe.load(path)


def test_options_of_parts_are_checked_against_their_numbers():
    @dataclass(frozen=True)
    class Config:
        width: int = 3

    assert recipe.configure(Config, {"width": 5}, "model x") == Config(5)
    with pytest.raises(RecipeError, match=r"model x: unknown option 'widht'.\nDid you mean width"):
        recipe.configure(Config, {"widht": 5}, "model x")
    with pytest.raises(RecipeError, match="model x: width"):
        recipe.configure(Config, {"width": "wide"}, "model x")


def test_options_of_a_part_that_is_taken_by_default() -> None:
    (one,) = recipe.load(None, ["corpus=fsdd", "model=ds_cnn", "frontend.hop_ms=5"])
    assert (one.frontend.name, one.frontend.options) == ("log_mel", {"hop_ms": 5})


def test_another_split_keeps_the_groups_and_fractions(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "corpus: fsdd\nmodel: ds_cnn\nsplit: {name: official, group: source, validation: 0}\n"
    )
    (one,) = recipe.load(tmp_path / "r.yaml", ["split=group-k-fold"])
    assert (one.split.name, one.split.group, one.split.validation) == ("group-k-fold", ("source",), 0)
