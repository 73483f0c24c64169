"""Prototypical networks: episodes, distances, and prototypes that become the last layer."""

import numpy as np
import pytest
import torch
from tiny_training import CLASSIFICATION, FRONTEND, assert_same, examples, network, run
from torch.nn import functional

from earnest.errors import DataError, RecipeError
from earnest.recipe import Part, Recipe, Training
from earnest.training import episodes, lessons, losses
from earnest.training.lessons import Rows
from earnest.training.pipeline import normaliser_for

LABELS = ["a", "b", "c"]
ROWS = Rows(np.arange(0, 18), np.arange(18, 21), np.arange(21, 24))
SMALL = {"way": 2, "shot": 2, "queries": 3, "episodes": 4}


def recipe_of(**mode) -> Recipe:
    training = Training(epochs=4, checkpoint_s=0, average=0.9)
    part = Part(name="prototypical", options={**SMALL, **mode})
    return Recipe(corpus="x", model=Part(name="ds_cnn"), frontend=FRONTEND, training=training, mode=part)


def lesson_of(tmp_path, **mode) -> lessons.Lesson:
    return lessons.prepare(recipe_of(**mode), CLASSIFICATION, examples(), ROWS, LABELS, tmp_path / "table.parquet")


def test_an_episode_is_so_many_classes_of_so_many_different_training_clips(tmp_path):
    lesson = lesson_of(tmp_path)
    drawn = lesson.epochs.draw(3)
    assert len(drawn) == len(lesson.epochs) == 4
    for rows in drawn:
        classes = np.array(rows).reshape(2, 5) % 3
        assert (classes == classes[:, :1]).all()
        assert classes[0, 0] != classes[1, 0]
        assert len(set(rows)) == 10
        assert set(rows) <= set(ROWS.training)
    assert drawn == lesson.epochs.draw(3) != lesson.epochs.draw(4)


def test_novel_classes_stand_in_no_episode_and_have_prototypes(tmp_path):
    lesson = lesson_of(tmp_path, novel=["b"])
    assert not any(row % 3 == 1 for epoch in range(5) for rows in lesson.epochs.draw(epoch) for row in rows)
    wrapped = lesson.wrap(normaliser_for(10), network())
    lesson.settle(wrapped)
    assert wrapped.model.output.weight[1].any()


def test_the_loss_by_hand():
    loss = episodes.EpisodeLoss(losses.Loss(CLASSIFICATION), episodes.Config(way=2, shot=2, queries=1))
    # prototypes (1, 0) and (0, 3); queries (1, 1) and (0, 2)
    embeddings = torch.tensor([[0.0, 0], [2, 0], [1, 1], [0, 2], [0, 4], [0, 2]])
    distances = torch.tensor([[1.0, 5.0], [5.0, 1.0]])
    expected = functional.cross_entropy(-distances, torch.tensor([0, 1]))
    torch.testing.assert_close(loss(embeddings, torch.zeros(6, 3), 1), expected)


def test_the_settled_layer_answers_with_the_nearest_prototype(tmp_path):
    lesson = lesson_of(tmp_path)
    torch.manual_seed(0)
    wrapped = lesson.wrap(normaliser_for(10), network()).eval()
    lesson.settle(wrapped)
    clips = examples()
    features = torch.stack([clips.plain(row) for row in range(24)])
    with torch.no_grad():
        embedded, answers = wrapped.embed(features), wrapped(features)
        support = embedded[:18]
        prototypes = torch.stack([support[torch.arange(18) % 3 == number].mean(0) for number in range(3)])
        distances = (embedded[:, None] - prototypes[None]).square().sum(2)
    expected = (-distances).softmax(1)
    torch.testing.assert_close(answers.softmax(1), expected, rtol=1e-3, atol=1e-4)  # float32, large numbers cancel


def test_support_is_drawn_from_training_rows_and_may_be_few(tmp_path):
    mode = episodes.Config(support=2)
    support = episodes.Support(examples(), ROWS.training, mode)
    assert support.sizes == [2, 2, 2]
    assert set(support.evaluator.rows) <= set(ROWS.training)
    assert episodes.Support(examples(), ROWS.training, mode).evaluator.rows == support.evaluator.rows


def test_a_class_without_support_is_never_answered():
    support = episodes.Support(examples(), np.array([0, 1, 3, 4]), episodes.Config())  # no clip of class 2
    wrapped = episodes.Embedding(normaliser_for(10), network()).eval()
    support.settle(wrapped, wrapped.model.output)
    features = torch.stack([examples().plain(row) for row in range(6)])
    assert 2 not in wrapped(features).argmax(1).tolist()


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    def trained(folder: str, kill_after: int | None):
        lesson = lesson_of(tmp_path)
        build = lambda: lesson.wrap(normaliser_for(10), network())  # noqa: E731
        return run(
            tmp_path / folder,
            recipe_of().training,
            build_network=build,
            epochs=lesson.epochs,
            loss=lesson.loss,
            kill_after=kill_after,
        )

    whole, records = trained("whole", None)
    assert_same(whole, trained("killed", 2)[0])
    assert records[-1]["train_loss"] < records[0]["train_loss"]


@pytest.mark.parametrize(
    ("mode", "error", "said"),
    [
        ({"way": 4}, RecipeError, "4 classes cannot be drawn from 3"),
        ({"novel": ["z"]}, RecipeError, "no label 'z'"),
        ({"queries": 9}, DataError, "'a' has 6 training clips"),
    ],
)
def test_episodes_that_cannot_be_drawn_are_named(tmp_path, mode, error, said):
    with pytest.raises(error, match=said):
        lesson_of(tmp_path, **mode)


def test_episodes_take_no_mixed_clips():
    recipe = recipe_of().model_copy(update={"augment": (Part(name="mixup"),)})
    with pytest.raises(RecipeError, match="mixup"):
        lessons.check(recipe, CLASSIFICATION, network())
