"""Starting from another run's weights: what is taken, what rests, and what would be a leak."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tiny_training import assert_same, network, run
from torch import nn

from earnest import recipe as recipes
from earnest.errors import LeakError, RecipeError
from earnest.recipe import Part, Start, Training
from earnest.splits import Fold
from earnest.table import Table
from earnest.training import checkpoints
from earnest.training.origins import Source, find
from earnest.training.transfer import Transfer

LABELS = ["a", "b", "c"]


class Whole(nn.Module):
    """A model as a training holds it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features, lengths=None):
        return self.model(features, lengths)


def trained() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return {key: value.clone() for key, value in network().state_dict().items()}


def test_all_but_a_last_layer_for_other_labels_is_taken():
    tensors = trained()
    torch.manual_seed(1)
    model = network()
    output = model.output.weight.clone()
    Transfer(tensors, Start(run="x"), same_labels=False).into(Whole(model))
    assert torch.equal(model.first.weight, tensors["first.weight"])
    assert torch.equal(model.first_norm.running_mean, tensors["first_norm.running_mean"])
    assert torch.equal(model.output.weight, output)


def test_with_the_same_labels_the_last_layer_is_taken_too():
    tensors = trained()
    model = network()
    Transfer(tensors, Start(run="x"), same_labels=True).into(Whole(model))
    assert_same(dict(model.state_dict()), tensors)


def test_one_part_is_taken_into_another_network():
    tensors = trained()
    torch.manual_seed(1)
    model = network()
    first = model.first.weight.clone()
    moved = Transfer(tensors, Start(run="x", part="blocks"), same_labels=False)
    moved.into(Whole(model))
    assert torch.equal(model.first.weight, first)
    assert torch.equal(model.blocks[0].pointwise.weight, tensors["blocks.0.pointwise.weight"])
    assert all(name.startswith("model.blocks.") for name in moved.taken)


@pytest.mark.parametrize(
    ("start", "change", "said"),
    [
        (Start(run="x"), {"first.weight": torch.zeros(4, 1, 10, 4)}, r"first.weight has the shape \(4, 1, 10, 4\)"),
        (Start(run="x"), {"tail.weight": torch.zeros(1)}, "the model has no tail.weight"),
        (Start(run="x", part="tim"), {}, "no module 'tim'"),
    ],
)
def test_weights_that_do_not_fit_are_named(start, change, said):
    with pytest.raises(RecipeError, match=said):
        Transfer(trained() | change, start, same_labels=True).into(Whole(network()))


def test_what_rests_does_not_move_and_is_released_at_its_own_rate(tmp_path):
    numbers = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "none", "clip_norm": None}
    recipe = Training(epochs=1, batch_size=24, learning_rate=0.01, precision="fp32", **numbers)
    tensors = trained()

    def moved(folder: str, start: Start, epochs: int) -> dict[str, float]:
        transfer = Transfer(tensors, start, same_labels=True)
        after, _ = run(
            tmp_path / folder,
            recipe.model_copy(update={"epochs": epochs}),
            build_network=lambda: transfer.into(Whole(network())),
            transfer=transfer,
        )
        return {key: float((after[f"model.{key}"] - value).abs().max()) for key, value in tensors.items()}

    frozen = moved("frozen", Start(run="x", frozen_epochs=1), 1)
    assert {key for key, distance in frozen.items() if distance} == {"output.weight", "output.bias"}
    released = moved("released", Start(run="x", frozen_epochs=1), 2)
    assert all(distance for key, distance in released.items() if key.endswith("weight"))
    full, slow = (moved(str(f), Start(run="x", rate_factor=f), 1) for f in (1.0, 0.1))
    assert slow["first.weight"] == pytest.approx(0.1 * full["first.weight"], rel=1e-2)


def test_a_killed_training_that_rested_ends_with_the_same_bits(tmp_path):
    recipe = Training(epochs=4, batch_size=8, checkpoint_s=0, average=0.9, layer_decay=0.8)

    def trained_again(folder: str, kill_after: int | None) -> dict[str, torch.Tensor]:
        transfer = Transfer(trained(), Start(run="x", frozen_epochs=2, rate_factor=0.5), same_labels=False)
        return run(
            tmp_path / folder,
            recipe,
            build_network=lambda: transfer.into(Whole(network())),
            transfer=transfer,
            kill_after=kill_after,
        )[0]

    whole = trained_again("whole", None)
    for kill_after in (2, 3):
        assert_same(whole, trained_again(f"killed-{kill_after}", kill_after))


def clips(folder: Path, name: str, count: int = 6, first: int = 0) -> Table:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}{number}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(f"sound {first + number}".encode())
    return Table.from_frame(pl.DataFrame({"id": [path.stem for path in paths], "audio": map(str, paths)}), name)


def finished_run(folder: Path, table: Table, **scores) -> Source:
    """Three folds of two test clips each, two seeds."""
    folder.mkdir()
    (cell,) = recipes.load(None, ["corpus=x", "model=ds_cnn", "seeds=[0, 5]"])
    (folder / "recipe.yaml").write_text(cell.to_yaml(), encoding="utf-8")
    facts = {"corpus": table.name, "labels": LABELS, "leaky": False, "recipe_hash": "r", "data_hash": "d"}
    (folder / "scores.json").write_text(json.dumps(facts | scores), encoding="utf-8")
    table.write(folder / "table.parquet")
    rows = [(table.frame["id"][2 * fold + k], str(fold), seed) for seed in (0, 5) for fold in range(3) for k in (0, 1)]
    pl.DataFrame(rows, schema=["id", "fold", "seed"], orient="row").write_parquet(folder / "predictions.parquet")
    for name in ("fold-0", "fold-1", "fold-2", "fold-0-s5", "fold-1-s5", "fold-2-s5"):
        weights = {"model.x": torch.tensor([float(sum(map(ord, name)))])}
        checkpoints.save(folder / name / "checkpoint", "final", weights, {})
    return Source.open(folder)


def fold_of(name: str, *test: int) -> Fold:
    rest = np.setdiff1d(np.arange(6), test)
    return Fold(name, rest, np.array([], dtype=np.int64), np.array(test, dtype=np.int64))


def test_on_one_corpus_the_fold_that_tested_the_same_rows_is_taken(tmp_path):
    table = clips(tmp_path / "a", "a")
    source = finished_run(tmp_path / "run", table)
    origin = find(Start(run="x"), source, table, fold_of("1", 2, 3), 5, strict=True)
    assert (origin.fold, origin.seed, origin.checkpoint) == ("1", 5, tmp_path / "run" / "fold-1-s5" / "checkpoint")
    assert find(Start(run="x"), source, table, fold_of("1", 2, 3), 9, strict=True).seed == 0


def test_a_fold_that_trained_on_test_rows_is_a_leak_and_says_why(tmp_path):
    table = clips(tmp_path / "a", "a")
    source = finished_run(tmp_path / "run", table)
    with pytest.raises(LeakError, match=r"trained on 1 of the 2\s+recordings that fold 1 tests.*a4"):
        find(Start(run="x"), source, table, fold_of("1", 2, 4), 0, strict=True)
    with pytest.raises(LeakError, match="no fold '3'"):
        find(Start(run="x"), source, table, fold_of("3", 2), 0, strict=True)
    with pytest.raises(LeakError, match="trained on 2 of the 2"):
        find(Start(run="x", fold="0"), source, table, fold_of("1", 2, 3), 0, strict=True)
    assert find(Start(run="x"), source, table, fold_of("1", 2, 4), 0, strict=False).fold == "1"


@pytest.mark.parametrize("leaky", [{"leaky": True}])
def test_weights_of_a_leaky_run_on_the_same_corpus_are_a_leak(tmp_path, leaky):
    table = clips(tmp_path / "a", "a")
    source = finished_run(tmp_path / "run", table, **leaky)
    with pytest.raises(LeakError, match="shares groups"):
        find(Start(run="x"), source, table, fold_of("1", 2, 3), 0, strict=True)


def test_on_another_corpus_the_first_fold_or_a_named_one_is_taken(tmp_path):
    source = finished_run(tmp_path / "run", clips(tmp_path / "a", "a"))
    other = clips(tmp_path / "b", "b", first=100)
    assert find(Start(run="x"), source, other, fold_of("7", 0, 1), 0, strict=True).fold == "0"
    named = find(Start(run="x", fold="2", seed=5), source, other, fold_of("7", 0, 1), 0, strict=True)
    assert (named.fold, named.seed) == ("2", 5)
    with pytest.raises(RecipeError, match="no such fold"):
        find(Start(run="x", fold="9"), source, other, fold_of("7", 0), 0, strict=True)
    with pytest.raises(RecipeError, match="not 3"):
        find(Start(run="x", seed=3), source, other, fold_of("7", 0), 0, strict=True)


def test_the_same_recording_in_another_corpus_is_a_leak(tmp_path):
    source = finished_run(tmp_path / "run", clips(tmp_path / "a", "a"))
    part = clips(tmp_path / "b", "b")  # the same sounds under other names
    with pytest.raises(LeakError, match="trained on the same recording"):
        find(Start(run="x"), source, part, fold_of("7", 2, 3), 0, strict=True)
    assert find(Start(run="x"), source, part, fold_of("7", 0, 1), 0, strict=True).fold == "0"  # fold 0 held these out


def test_a_folder_without_a_finished_run_is_named(tmp_path):
    with pytest.raises(RecipeError, match="not the folder of a finished run"):
        Source.open(tmp_path)


def test_start_is_read_from_a_folder_alone_and_with_options():
    assert recipes.load(None, ["corpus=x", "model=ds_cnn", "start=runs/a"])[0].start == Start(run="runs/a")
    more = recipes.load(None, ["corpus=x", "model=ds_cnn", "start=runs/a", "start.part=tim", "start.frozen_epochs=2"])
    assert more[0].start == Start(run="runs/a", part="tim", frozen_epochs=2)
    assert more[0].mode == Part(name="supervised")
