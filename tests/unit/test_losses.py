"""Losses, worked by hand, and against PyTorch where it has the same."""

import math

import pytest
import torch
from torch.nn import functional

from earnest import tasks
from earnest.errors import RecipeError
from earnest.recipe import Part, Training
from earnest.training import losses

TASK = tasks.find(Part(name="classification"))
# p = 0.5, 0.25, 0.25 and 0.9, 0.05, 0.05
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]]).log()
FIRST = torch.eye(3)[[0, 0]]


def made(targets: torch.Tensor = FIRST, **numbers) -> losses.Loss:
    return losses.build(TASK, Training(**numbers), targets)


def soft_targets(clips: int = 6) -> torch.Tensor:
    return torch.rand(clips, 4, generator=torch.Generator().manual_seed(0)).softmax(1)


def logits(clips: int = 6) -> torch.Tensor:
    return torch.randn(clips, 4, generator=torch.Generator().manual_seed(1))


def test_the_default_is_the_task_own_loss_bit_for_bit():
    ours = made(label_smoothing=0.1)(logits(), soft_targets(), 1)
    assert torch.equal(ours, TASK.loss(logits(), soft_targets(), 0.1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_that_of_torch_on_mixed_and_smoothed_labels(smoothing):
    ours = made(loss=Part(name="cross_entropy"), label_smoothing=smoothing)(logits(), soft_targets(), 1)
    torch.testing.assert_close(ours, functional.cross_entropy(logits(), soft_targets(), label_smoothing=smoothing))


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_lq_by_hand(q):
    expected = ((1 - 0.5**q) / q + (1 - 0.9**q) / q) / 2
    assert made(loss=Part(name="lq", options={"q": q}))(LOGITS, FIRST, 1).item() == pytest.approx(expected, rel=1e-5)


def test_lq_goes_to_cross_entropy():
    near = made(loss=Part(name="lq", options={"q": 1e-4}))(LOGITS, FIRST, 1)
    assert near.item() == pytest.approx(TASK.loss(LOGITS, FIRST, 0.0).item(), rel=1e-3)


def test_soft_bootstrap_by_hand():
    mixed = [[0.3 + 0.7 * 0.5, 0.7 * 0.25, 0.7 * 0.25], [0.3 + 0.7 * 0.9, 0.7 * 0.05, 0.7 * 0.05]]
    expected = -(torch.tensor(mixed) * LOGITS).sum(1).mean()
    torch.testing.assert_close(made(loss=Part(name="soft_bootstrap"))(LOGITS, FIRST, 1), expected)


def test_focal_by_hand_and_with_gamma_zero():
    expected = -(0.5**2 * math.log(0.5) + 0.1**2 * math.log(0.9)) / 2
    assert made(loss=Part(name="focal"))(LOGITS, FIRST, 1).item() == pytest.approx(expected, rel=1e-5)
    plain = made(loss=Part(name="focal", options={"gamma": 0}))(LOGITS, FIRST, 1)
    torch.testing.assert_close(plain, TASK.loss(LOGITS, FIRST, 0.0))


@pytest.mark.parametrize("name", sorted(losses.LOSSES))
def test_every_loss_has_finite_gradients_for_sure_and_wrong_answers(name):
    outputs = torch.tensor([[80.0, -80.0, 0.0], [-80.0, 80.0, 0.0]], requires_grad=True)
    made(loss=Part(name=name))(outputs, torch.eye(3)[[0, 0]], 50).backward()
    assert torch.isfinite(outputs.grad).all()


def test_the_worst_clips_are_left_out_from_their_epoch_on():
    loss = made(loss=Part(name="maximum_loss_discard", options={"m": 0.9, "from_epoch": 3}))
    early, late = loss(LOGITS, FIRST, 2), loss(LOGITS, FIRST, 3)
    assert early.item() == pytest.approx(-(math.log(0.5) + math.log(0.9)) / 2, rel=1e-5)
    assert late.item() == pytest.approx(-math.log(0.9), rel=1e-5)
    assert loss.remarks() == {"discarded": 0.5}
    assert loss.remarks() == {}


def test_clips_far_above_the_median_are_left_out():
    rule = losses.MaximumLossDiscard(deviations=1.0)
    assert rule.kept(torch.tensor([1.0, 1.1, 0.9, 9.0])).tolist() == [True, True, True, False]
    assert rule.kept(torch.tensor([2.0, 2.0])).tolist() == [True, True]


def test_a_batch_of_equal_losses_is_kept():
    assert losses.MaximumLossDiscard(m=0.5).kept(torch.full((3,), 2.0)).all()


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    classes = torch.tensor([0] * 6 + [1] * 3 + [2])
    ours = losses.balanced(torch.eye(3)[classes])
    theirs = compute_class_weight("balanced", classes=torch.arange(3).numpy(), y=classes.numpy())
    torch.testing.assert_close(ours.double(), torch.from_numpy(theirs), rtol=1e-6, atol=0)


def test_an_absent_class_weighs_nothing_and_the_mean_weight_stays_one():
    targets = torch.eye(4)[[0, 0, 0, 1]]
    weights = losses.balanced(targets)
    assert weights[2:].tolist() == [0.0, 0.0]
    assert (targets @ weights).mean().item() == pytest.approx(1.0)


def test_weights_multiply_the_costs_of_their_classes():
    targets = torch.eye(3)[[0, 0, 0, 1, 2, 2]]
    loss = made(targets, class_weights="balanced")
    weights = losses.balanced(targets)
    outputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    expected = functional.cross_entropy(outputs, targets, weight=weights)  # torch divides by clips here as well
    torch.testing.assert_close(loss(outputs, targets, 1), expected)


def test_validation_is_without_smoothing_and_leaves_none_out():
    loss = made(loss=Part(name="maximum_loss_discard", options={"from_epoch": 1}), label_smoothing=0.2)
    assert loss.validation(LOGITS, FIRST) == pytest.approx(-(math.log(0.5) + math.log(0.9)) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"loss": Part(name="lp")}, "unknown loss 'lp'.\nDid you mean lq"),
        ({"loss": Part(name="lq", options={"p": 1})}, "unknown option 'p'"),
        ({"loss": Part(name="lq", options={"q": 2})}, "less than or equal to 1"),
        ({"loss": Part(name="maximum_loss_discard", options={"m": 0.5, "deviations": 2})}, "two rules"),
    ],
)
def test_wrong_losses_are_named(numbers, said):
    with pytest.raises(RecipeError) as caught:
        made(**numbers)
    assert said in str(caught.value)


@pytest.mark.parametrize("numbers", [{"loss": Part(name="lq")}, {"class_weights": "balanced"}])
def test_a_loss_for_classes_does_not_fit_tags(numbers):
    with pytest.raises(RecipeError, match="exactly one label"):
        losses.build(tasks.find(Part(name="tagging")), Training(**numbers), FIRST)
