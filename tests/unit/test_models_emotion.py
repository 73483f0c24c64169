"""TIM-Net and the depression log's networks: what is particular to them; the contract tests do the rest."""

from __future__ import annotations

import pytest
import torch

from earnest import models
from earnest.recipe import Part


def build(name: str, frames: int, bands: int, outputs: int, **options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build(Part(name=name, options=options), frames, bands, outputs)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def randomise_norms(module: torch.nn.Module) -> None:
    """Fresh batch normalisations do nothing; these do something, differently in each direction."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(part.running_mean)
            torch.nn.init.uniform_(part.running_var, 0.5, 2.0)


def test_tim_net_has_the_papers_size() -> None:
    with torch.device("meta"):
        model = build("tim_net", 100, 39, 6)
    # 2 inputs of 1,560; 16 blocks of 6,318; 8 weights; dense 240.
    assert count(model) == 104_456
    assert count(model.tim) == 104_216


def test_going_backwards_is_reversing_time() -> None:
    model = build("tim_net", 70, 13, 4, channels=11, blocks=5, shared_directions=True).eval()
    randomise_norms(model)
    clip = torch.randn(2, 70, 13)
    with torch.no_grad():
        per_frame = model.tim(clip.transpose(1, 2), None)
        mirrored = model.tim(clip.flip(1).transpose(1, 2), None)
        # With one set of weights for both directions, the reversed clip gives the reversed result: float32 sums only.
        torch.testing.assert_close(mirrored.flip(2), per_frame, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model(clip.flip(1)), model(clip), rtol=1e-5, atol=1e-6)


def test_each_direction_sees_its_own_side() -> None:
    blocks = build("tim_net", 40, 13, 4, channels=11, blocks=4).eval().tim.forward_blocks
    clip = torch.randn(1, 11, 40)
    changed = clip.clone()
    changed[:, :, 20] += 1.0
    for backwards in (False, True):
        before, after = clip, changed
        with torch.no_grad():
            for block in blocks:
                before, after = block(before, None, backwards), block(after, None, backwards)
        touched = (before != after).any(dim=1)[0].nonzero().flatten()
        assert (touched.max() if backwards else touched.min()) == 20
        assert len(touched) > 10


def test_the_backward_half_is_the_papers_forward_half_on_the_reversed_clip() -> None:
    """Written as in the paper: reverse the clip, run causal blocks, for each clip of its own length."""
    tim = build("tim_net", 50, 13, 4, channels=11, blocks=5).eval().tim
    randomise_norms(tim)
    clips, lengths = torch.randn(3, 13, 50), torch.tensor([50, 31, 7])
    with torch.no_grad():
        together = tim(clips, lengths)
        for row, length in enumerate(lengths):
            clip = clips[row : row + 1, :, :length]
            ahead, back = tim.forward_input(clip), tim.backward_input(clip.flip(2))
            expected = torch.zeros(1, 11, int(length))
            for weight, forward_block, backward_block in zip(
                tim.weights, tim.forward_blocks, tim.backward_blocks, strict=True
            ):
                ahead, back = forward_block(ahead, None, False), backward_block(back, None, False)
                expected += weight * (ahead + back.flip(2))
            torch.testing.assert_close(together[row : row + 1, :, :length], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["tim_net"])
def test_the_output_layer_is_all_that_follows_the_embedding(name: str) -> None:
    example = models.example(name)
    model = build(name, example.frames, example.bands, 4, **dict(example.options)).eval()
    clips = torch.randn(2, example.frames, example.bands)
    lengths = torch.tensor([example.frames, example.frames // 2])
    with torch.no_grad():
        torch.testing.assert_close(model.output(model.embed(clips, lengths)), model(clips, lengths))
