"""The loop: it goes on bit for bit after a kill, and stops where numbers end."""

import pytest
import torch
from tiny_training import assert_same, network, run
from torch import nn

from earnest.doctor import _processor_flags
from earnest.errors import TrainingError
from earnest.recipe import Part, Training
from earnest.training.loop import computes_in_bf16

WAYS = {
    "novograd": {"optimizer": "novograd", "learning_rate": 0.02, "betas": (0.9, 0.8), "schedule": "polynomial"},
    "lq": {"loss": Part(name="lq"), "class_weights": "balanced", "layer_decay": 0.7, "clamp": 0.01},
    "discard": {"loss": Part(name="maximum_loss_discard", options={"from_epoch": 2}), "average": 0.9},
    "sgd": {"optimizer": "sgd", "schedule": "plateau", "plateau_patience": 1, "clip_norm": None, "clamp": 0.1},
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_killed_training_ends_with_the_same_bits(tmp_path, way):
    recipe = Training(epochs=4, batch_size=8, checkpoint_s=0, **WAYS[way])
    whole, records = run(tmp_path / "whole", recipe)
    killed, again = run(tmp_path / "killed", recipe, kill_after=3)
    assert_same(whole, killed)
    assert [record["epoch"] for record in again] == [1, 2, 3, 3, 4]
    assert records[-1]["train_loss"] == again[-1]["train_loss"]


def test_novograd_learns(tmp_path):
    _, records = run(tmp_path, Training(epochs=8, batch_size=8, optimizer="novograd", learning_rate=0.02))
    assert records[-1]["train_loss"] < 0.6 * records[0]["train_loss"]


def test_the_log_holds_the_gap_in_per_cent_and_what_was_discarded(tmp_path):
    part = Part(name="maximum_loss_discard", options={"from_epoch": 1})
    _, records = run(tmp_path, Training(epochs=1, batch_size=8, loss=part))
    (record,) = records
    assert record["gap"] == pytest.approx(100 * (2.0 - record["train_loss"]) / record["train_loss"])
    assert 0 < record["discarded"] < 1


class Exploding(nn.Module):
    """A network whose outputs are no numbers from its third batch on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.batches = 0

    def forward(self, features, lengths=None):
        self.batches += self.training
        outputs = self.inner(features, lengths)
        return outputs * float("nan") if self.batches > 3 else outputs


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    with pytest.raises(TrainingError) as caught:
        run(tmp_path, Training(epochs=3, batch_size=8, checkpoint_s=0), build_network=Exploding)
    assert "fold 1, seed 0, epoch 2" in caught.value.message
    assert all(word in caught.value.remedy for word in ("training.learning_rate", "logarithm", "batch norm"))
    (kept,) = tmp_path.glob("epoch-*.json")
    assert kept.stem == "epoch-00001"


def test_weights_that_are_no_numbers_are_never_kept(tmp_path, monkeypatch):
    """The last step of an epoch may spoil the weights after the last loss was still finite."""

    def spoil(parameters, value):
        for parameter in parameters:
            parameter.grad.mul_(float("inf"))

    monkeypatch.setattr(
        "accelerate.Accelerator.clip_grad_value_", lambda self, parameters, value: spoil(parameters, value)
    )
    with pytest.raises(TrainingError, match="epoch 1"):
        run(tmp_path, Training(epochs=3, batch_size=24, checkpoint_s=0, clamp=1.0, clip_norm=None))
    assert not list(tmp_path.glob("epoch-*"))


def test_clamping_bounds_every_number_of_the_gradient(tmp_path):
    recipe = Training(
        epochs=1, batch_size=24, optimizer="sgd", momentum=0.0, weight_decay=0.0, learning_rate=1.0, schedule="none",
        clamp=1e-4, clip_norm=None, precision="fp32",
    )  # fmt: skip
    torch.manual_seed(0)
    start = network()
    before = {key: value.clone() for key, value in start.named_parameters()}
    after, _ = run(tmp_path, recipe, build_network=lambda: start)
    moved = max(float((after[key] - value.detach()).abs().max()) for key, value in before.items())
    assert moved == pytest.approx(1e-4, rel=1e-2)


def test_auto_is_bf16_only_where_the_processor_has_it():
    flags = _processor_flags()
    if not flags:
        pytest.skip("the system does not tell the processor's instructions")
    assert computes_in_bf16() == bool({"avx512_bf16", "amx_bf16", "bf16"} & flags)
