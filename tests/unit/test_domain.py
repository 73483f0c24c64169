"""Domain-adversarial training: the gradient is turned round, labels and rows stay where they belong."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tiny_training import CLASSIFICATION, CLIPS, FRONTEND, assert_same, examples, network, run
from torch.nn import functional

from earnest import models
from earnest.errors import DataError, RecipeError
from earnest.recipe import Part, Recipe, Training
from earnest.splits import Folds
from earnest.tasks import find
from earnest.training import domain, lessons, losses
from earnest.training.lessons import Rows
from earnest.training.pipeline import normaliser_for

PLACES = np.array(["studio", "telephone"])[np.arange(CLIPS) // 3 % 2]
ROWS = Rows(np.arange(0, 16), np.arange(16, 20), np.arange(20, 24))


def recipe_of(**mode) -> Recipe:
    training = Training(epochs=4, batch_size=8, checkpoint_s=0)
    part = Part(name="dann", options={"domain": "place", **mode})
    return Recipe(corpus="x", model=Part(name="ds_cnn"), frontend=FRONTEND, training=training, mode=part)


def lesson_of(folder: Path, recipe: Recipe) -> lessons.Lesson:
    pl.DataFrame({"id": range(CLIPS), "place": PLACES}).write_parquet(folder / "table.parquet")
    return lessons.prepare(recipe, CLASSIFICATION, examples(), ROWS, ["a", "b", "c"], folder / "table.parquet")


def test_forward_is_the_identity_and_backward_is_turned_round():
    embedding = torch.randn(3, 4, requires_grad=True)
    out = domain.Reversed.apply(embedding, 0.3)
    assert torch.equal(out, embedding)
    out.backward(torch.ones(3, 4))
    torch.testing.assert_close(embedding.grad, torch.full((3, 4), -0.3))


def test_the_strength_rises_as_in_the_paper():
    assert domain.rising(0, 100) == 0
    assert domain.rising(50, 100) == pytest.approx(2 / (1 + math.exp(-5)) - 1)
    assert domain.rising(100, 100) == pytest.approx(0.9999, abs=1e-4)


def divided(**options) -> domain.Domains:
    return domain.divide(domain.Config("place", **options), list(PLACES), ROWS.training, ROWS.validation, ROWS.test)


def test_test_rows_never_take_part_unless_the_recipe_says_so():
    assert divided().rows.tolist() == ROWS.training.tolist()
    assert set(divided(transductive=True).rows) == {*ROWS.training, *ROWS.test}
    assert divided(transductive=True).labelled.tolist() == ROWS.training.tolist()


def test_labels_of_unlabelled_domains_are_used_nowhere():
    found = divided(unlabelled=("telephone",), transductive=True)
    assert set(PLACES[found.labelled]) == set(PLACES[found.validation]) == {"studio"}
    targets = domain.with_domains(examples().targets, found)
    assert not targets[PLACES == "telephone", :3].any()
    assert not targets[ROWS.test, :3].any()
    assert targets[ROWS.training, 3:].sum(1).tolist() == [1.0] * 16


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (["a"] * CLIPS, {}, "nothing to adapt"),
        ([None, *PLACES[1:]], {}, "1 training clips have no 'place'"),
        (list(PLACES), {"unlabelled": ("radio",)}, "no clip has the place 'radio'"),
        (list(PLACES), {"unlabelled": ("studio", "telephone")}, "no training clip with a label"),
    ],
)
def test_columns_that_cannot_be_domains_are_named(values, options, said):
    with pytest.raises(DataError, match=said):
        domain.divide(domain.Config("place", **options), values, ROWS.training, ROWS.validation, ROWS.test)


def test_the_loss_is_that_of_labels_and_domains_and_the_log_keeps_them_apart():
    outputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]).float()
    loss = domain.DomainLoss(losses.Loss(CLASSIFICATION), 3, targets[:, 3:])
    total = loss(outputs, targets, 1)
    labels = functional.cross_entropy(outputs[:2, :3], targets[:2, :3])
    domains = functional.cross_entropy(outputs[:, 3:], targets[:, 3:])
    torch.testing.assert_close(total, labels + domains)
    remarks = loss.remarks()
    assert remarks["train_loss"] == pytest.approx(labels.item())
    assert remarks["domain_loss"] == pytest.approx(domains.item())
    assert loss.validation(outputs[:2, :3], targets[:2, :3]) == pytest.approx(labels.item())


def test_a_batch_without_labels_teaches_the_domains_alone():
    targets = torch.tensor([[0.0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])
    outputs = torch.randn(2, 5, requires_grad=True)
    domain.DomainLoss(losses.Loss(CLASSIFICATION), 3, targets[:, 3:])(outputs, targets, 1).backward()
    assert not outputs.grad[:, :3].any()
    assert outputs.grad[:, 3:].any()


def test_the_head_learns_and_the_model_is_led_the_other_way():
    torch.manual_seed(0)
    config = domain.Config("place")
    adversary = domain.Adversary(normaliser_for(10), network(), 8, 2, config, steps=10).train()
    adversary.step.fill_(10)
    features, places = torch.randn(6, 49, 10), torch.eye(2)[[0, 1, 0, 1, 0, 1]]

    def gradients(strength: float) -> tuple[torch.Tensor, torch.Tensor]:
        adversary.strength = strength
        adversary.step.fill_(10)
        adversary.zero_grad()
        torch.manual_seed(1)
        functional.cross_entropy(adversary(features)[:, 3:], places).backward()
        return adversary.model.first.weight.grad.clone(), adversary.head[0].weight.grad.clone()

    (model, head), (model_turned, head_same) = gradients(1.0), gradients(-1.0)
    torch.testing.assert_close(model, -model_turned)
    torch.testing.assert_close(head, head_same)


def test_a_killed_training_ends_with_the_same_bits_and_the_head_is_not_kept(tmp_path):
    def trained(folder: str, kill_after: int | None):
        recipe = recipe_of(unlabelled=["telephone"])
        lesson = lesson_of(tmp_path, recipe)
        build = lambda: lesson.wrap(normaliser_for(10), network())  # noqa: E731
        return run(
            tmp_path / folder,
            recipe.training,
            build_network=build,
            epochs=lesson.epochs,
            loss=lesson.loss,
            kill_after=kill_after,
        )

    whole, records = trained("whole", None)
    killed, again = trained("killed", 2)
    assert_same(whole, killed)
    assert records[-1]["domain_loss"] == again[-1]["domain_loss"]
    assert int(whole["step"]) == 8
    assert {"domain_accuracy", "domain_loss"} <= records[0].keys()


def test_in_evaluation_it_is_the_network_alone():
    model = network()
    adversary = domain.Adversary(normaliser_for(10), model, 8, 2, domain.Config("place"), 5).eval()
    features = torch.randn(2, 49, 10)
    assert torch.equal(adversary(features), model(features))


def test_a_transductive_run_says_so_in_its_protocol():
    folds = Folds("by speaker", (), (), False, ())
    assert lessons.said(folds, recipe_of()) is folds
    told = lessons.said(folds, recipe_of(transductive=True))
    assert "TRANSDUCTIVE" in told.protocol
    assert "without labels" in told.notes[0]


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("ds_cnn", {"mode": Part(name="dan")}, "unknown mode 'dan'.\nDid you mean dann"),
        ("ds_cnn", {"task": Part(name="tagging")}, "exactly one label"),
        ("svm", {}, "fitted in one go"),
        ("ds_cnn", {"mode": Part(name="dann")}, "the key 'domain' is missing"),
    ],
)
def test_modes_that_do_not_fit_are_named(name, overrides, said):
    recipe = recipe_of().model_copy(update={"model": Part(name=name), **overrides})
    with pytest.raises(RecipeError) as caught:
        lessons.check(recipe, find(recipe.task), None if name == "svm" else network())
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["simple_cnn", "ds_cnn", "bc_resnet", "resnet", "ast", "crnn", "tim_net"])
def test_the_last_layer_sees_the_embedding(name):
    example = models.example(name)
    torch.manual_seed(0)
    model = models.build(Part(name=name, options=dict(example.options)), example.frames, example.bands, 3).eval()
    features = torch.randn(2, example.frames, example.bands)
    embedding = model.embed(features)
    assert embedding.shape == (2, lessons.last_linear(model, name).in_features)
    torch.testing.assert_close(model.output(embedding), model(features))
