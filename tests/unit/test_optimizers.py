"""Optimisers: NovoGrad by hand, rates by layer, and schedules of two reference recipes."""

import pytest
import torch
from torch import nn

from earnest import models
from earnest.errors import RecipeError
from earnest.recipe import Part, Training
from earnest.training import optimizers
from earnest.training.optimizers import NovoGrad, layers, parameter_groups
from earnest.training.schedules import Schedule


def test_two_steps_of_novograd_by_hand():
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = NovoGrad([{"params": [weight]}], lr=0.1, betas=(0.5, 0.75), weight_decay=0.1)
    weight.grad = torch.tensor([3.0, 4.0])  # of length 5
    optimizer.step()
    # m = g / 5 + 0.1 w = (0.7, 0.6)
    torch.testing.assert_close(weight.detach(), torch.tensor([0.93, -2.06]))
    weight.grad = torch.tensor([0.0, 1.0])
    optimizer.step()
    # v = 0.75 × 25 + 0.25 × 1 = 19; m = 0.5 × (0.7, 0.6) + (0, 1 / √19) + 0.1 w
    momentum = torch.tensor([0.35 + 0.093, 0.3 + 19**-0.5 - 0.206])
    torch.testing.assert_close(weight.detach(), torch.tensor([0.93, -2.06]) - 0.1 * momentum)


def test_novograd_finds_the_minimum_of_a_parabola_and_leaves_the_unused_alone():
    used, unused = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([1.0]))
    optimizer = NovoGrad([{"params": [used, unused]}], lr=0.02, betas=(0.9, 0.9))
    for _ in range(400):
        optimizer.zero_grad()
        (used - 1).square().sum().backward()
        optimizer.step()
    assert abs(used.item() - 1) < 0.1
    assert unused.item() == 1.0


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(3))
        self.first = nn.Linear(2, 3)
        self.first_norm = nn.BatchNorm1d(3)
        self.dropout = nn.Dropout(0.1)
        self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
        self.output = nn.Linear(3, 2)


def test_layers_run_from_the_input_to_the_output():
    sizes = [sum(parameter.numel() for parameter in layer) for layer in layers(Small())]
    assert sizes == [3 + 9 + 6, 12, 12, 8]


def test_rates_fall_with_the_distance_from_the_last_layer():
    network = nn.Module()
    network.model, network.head = Small(), nn.Linear(3, 1)
    groups = parameter_groups(network, 0.5, (), 1.0)
    factor = {id(parameter): group["factor"] for group in groups for parameter in group["params"]}
    model = network.model
    assert factor[id(model.token)] == factor[id(model.first_norm.weight)] == 0.125
    assert [factor[id(part.weight)] for part in (*model.blocks, model.output, network.head)] == [0.25, 0.5, 1.0, 1.0]


def test_all_at_one_rate_is_one_group_in_the_order_of_the_parameters():
    network = models.build(Part(name="bc_resnet"), 49, 40, 3)
    (group,) = parameter_groups(network, 1.0, (), 1.0)
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in network.parameters()]


@pytest.mark.parametrize("name", ["ds_cnn", "bc_resnet", "resnet", "ast"])
def test_every_parameter_stands_in_one_layer(name):
    example = models.example(name)
    network = models.build(Part(name=name, options=dict(example.options)), example.frames, example.bands, 3)
    members = [id(parameter) for layer in layers(network) for parameter in layer]
    assert sorted(members) == sorted(id(parameter) for parameter in network.parameters())
    assert layers(network)[-1][-1] is list(network.output.parameters())[-1]


def test_betas_do_not_fit_sgd():
    with pytest.raises(RecipeError, match="sgd has none"):
        optimizers.build(Small(), Training(optimizer="sgd", betas=(0.9, 0.99)))


def test_a_hold_and_a_polynomial_fall():
    recipe = Training(
        epochs=20, learning_rate=1.0, warmup_epochs=1, hold_epochs=9, schedule="polynomial", optimizer="novograd"
    )
    schedule = Schedule(recipe, steps_per_epoch=10)
    rates = [schedule.rate(step) for step in range(200)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:101] == [1.0] * 91
    assert rates[150] == pytest.approx(0.25)
    assert 0 < rates[-1] < 1e-3


def test_a_rate_that_falls_in_every_epoch_after_the_fifth():
    recipe = Training(epochs=9, learning_rate=1.0, schedule="step", hold_epochs=4, step_epochs=1, step_factor=0.85)
    schedule = Schedule(recipe, steps_per_epoch=1)
    expected = [1.0] * 5 + [0.85**power for power in (1, 2, 3, 4)]
    assert [schedule.rate(epoch) for epoch in range(9)] == pytest.approx(expected)
