"""TIM-Net and the depression log's networks: what is particular to them; the contract tests do the rest."""

from __future__ import annotations

import pytest
import torch

from earnest import models
from earnest.errors import RecipeError
from earnest.models._encoder import EncoderLayer, sinusoids
from earnest.recipe import Part

FAMILY = ["tim_net", "cnn_transformer", "cnn_ml_transformer", "speech_emotion_transformer", "transformer_tim"]


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


@pytest.mark.parametrize("name", FAMILY)
def test_the_output_layer_is_all_that_follows_the_embedding(name: str) -> None:
    example = models.example(name)
    model = build(name, example.frames, example.bands, 4, **dict(example.options)).eval()
    clips = torch.randn(2, example.frames, example.bands)
    lengths = torch.tensor([example.frames, example.frames // 2])
    with torch.no_grad():
        torch.testing.assert_close(model.output(model.embed(clips, lengths)), model(clips, lengths))


LOG = {
    # name: (parameters with 2 outputs, the same with shared directions)
    "cnn_transformer": (2_484_407, 2_432_303),
    "cnn_ml_transformer": (2_484_410, 2_432_306),
    "transformer_tim": (3_743_945, 3_691_841),
}
UNUSED_IN_THE_ORIGINAL = 8 * (39 * 39 + 39)  # a k1 convolution in each of 8 blocks


@pytest.mark.parametrize("name", LOG)
def test_sizes_of_the_logs_networks_with_blocks(name: str) -> None:
    with torch.device("meta"):
        separate = count(build(name, 313, 39, 2))
        shared = count(build(name, 313, 39, 2, shared_directions=True))
    assert (separate, shared) == LOG[name]
    original = {"cnn_transformer": "2.44", "cnn_ml_transformer": "2.44", "transformer_tim": "3.70"}[name]
    assert f"{(shared + UNUSED_IN_THE_ORIGINAL) / 1e6:.2f}" == original


def test_size_of_the_speech_emotion_transformer() -> None:
    with torch.device("meta"):
        model = build("speech_emotion_transformer", 313, 39, 2)
    assert count(model) == 3_195_060
    assert model.dense.in_features == 128 * 7 * 8


@pytest.mark.parametrize("name", ["cnn_transformer", "cnn_ml_transformer", "transformer_tim"])
def test_a_trained_tim_can_be_loaded_by_name(name: str) -> None:
    teacher = build("tim_net", 313, 39, 6)
    torch.manual_seed(1)
    student = models.build(Part(name=name, options={"layers": 1, "width": 32, "hidden": 32}), 313, 39, 2)
    tim = {key: value for key, value in teacher.state_dict().items() if key.startswith("tim.")}
    missing, unexpected = student.load_state_dict(tim, strict=False)
    assert unexpected == []
    assert not any(key.startswith("tim.") for key in missing)
    torch.testing.assert_close(student.tim.state_dict(), teacher.tim.state_dict())


def test_the_encoder_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours = EncoderLayer(24, 4, 40, 0.1).eval()
    theirs = torch.nn.TransformerEncoderLayer(24, 4, 40, 0.1, batch_first=True).eval()
    names = {
        "self_attn.in_proj_weight": "attention_input.weight",
        "self_attn.in_proj_bias": "attention_input.bias",
        "self_attn.out_proj": "attention_output",
        "norm1": "attention_norm",
        "linear1": "expand",
        "linear2": "contract",
        "norm2": "dense_norm",
    }
    state = ours.state_dict()
    for key in theirs.state_dict():
        place = next(place for place in names if key.startswith(place))
        torch.nn.init.normal_(state[key.replace(place, names[place])], std=0.3)
    theirs.load_state_dict(
        {
            key: state[key.replace(place, names[place])]
            for key in theirs.state_dict()
            for place in names
            if key.startswith(place)
        }
    )
    tokens, lengths = torch.randn(3, 17, 24), torch.tensor([17, 9, 1])
    valid = torch.arange(17) < lengths[:, None]
    expected = theirs(tokens, src_key_padding_mask=~valid)
    # Frames beyond the length are nobody's business; float32 sums in another order.
    torch.testing.assert_close(ours(tokens, valid)[valid], expected[valid], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours(tokens, None), theirs(tokens), rtol=1e-4, atol=1e-5)


def test_sinusoids() -> None:
    positions = sinusoids(20, 6)
    assert positions.shape == (20, 6)
    torch.testing.assert_close(positions[:, 0], torch.arange(20).sin())
    torch.testing.assert_close(positions[:, 1], torch.arange(20).cos())
    torch.testing.assert_close(positions[:, 4], (torch.arange(20) / 10_000 ** (4 / 6)).sin())
    assert sinusoids(20, 5).shape == (20, 5)


def test_positions_tell_the_order_of_frames_apart() -> None:
    """Without them the encoder treats frames as a bag; the blocks are switched off by looking at it alone."""
    options = {"channels": 12, "blocks": 3, "width": 32, "heads": 4, "hidden": 64, "layers": 2}
    plain = build("cnn_transformer", 40, 13, 2, **options).eval()
    placed = build("cnn_ml_transformer", 40, 13, 2, **options).eval()
    tokens = torch.randn(1, 20, 32)
    order = torch.randperm(20)
    with torch.no_grad():
        torch.testing.assert_close(plain.encode(tokens[:, order], None), plain.encode(tokens, None)[:, order])
        assert not torch.allclose(placed.encode(tokens[:, order], None), placed.encode(tokens, None)[:, order])


@pytest.mark.parametrize(
    ("name", "frames", "options", "number"),
    [
        ("cnn_transformer", 1, {}, "1"),
        ("cnn_transformer", 64, {"heads": 7}, "7"),
        ("speech_emotion_transformer", 35, {}, "35"),
        ("speech_emotion_transformer", 64, {"width": 32}, "32"),
    ],
)
def test_what_does_not_fit_is_named(name: str, frames: int, options: dict[str, object], number: str) -> None:
    with pytest.raises(RecipeError, match=rf"\b{number}\b") as problem:
        build(name, frames, 13, 2, **options)
    assert problem.value.remedy


@pytest.mark.parametrize("name", FAMILY)
def test_a_clip_of_one_frame_among_longer_ones_is_finite(name: str) -> None:
    example = models.example(name)
    model = build(name, example.frames, example.bands, 4, **dict(example.options)).eval()
    with torch.no_grad():
        logits = model(torch.randn(2, example.frames, example.bands), torch.tensor([example.frames, 1]))
    assert torch.isfinite(logits).all()
