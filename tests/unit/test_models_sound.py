"""What is particular to the networks of sound classification: sizes, equality with PyTorch's own layers, directions."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn

from earnest import models
from earnest.errors import RecipeError
from earnest.models import alexnet, audio_transformer, piczak_cnn
from earnest.models._recurrent import Recurrent, reverse
from earnest.recipe import Part
from earnest.shipping.onnx import export_onnx

NAMES = ["audio_transformer", "piczak_cnn", "vgg", "crnn", "alexnet", "lstm", "bilstm", "cnn_lstm"]
VGGISH = {"hidden": [4096, 4096, 128]}
PARAMETERS = [
    ("audio_transformer", {}, 173, 64, 10, 2_466_506),
    ("piczak_cnn", {}, 41, 120, 50, 26_534_130),
    ("piczak_cnn", {}, 101, 120, 50, 29_334_130),
    ("vgg", {}, 96, 64, 10, 4_499_712 + 513 * 10),
    ("vgg", VGGISH, 96, 64, 527, 72_141_184 + 129 * 527),  # VGGish is 72,141,184 up to its embedding
    ("alexnet", {}, 300, 200, 1000, 61_100_840 - 2 * 64 * 11 * 11),  # torchvision's, less two input channels
    ("alexnet", {}, 300, 200, 10, 57_029_322),
]


def build(name: str, frames: int, bands: int, outputs: int = 5, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return models.build(Part(name=name, options=options), frames, bands, outputs).eval()


def small(name: str, **options: object) -> nn.Module:
    example = models.example(name)
    return build(name, example.frames, example.bands, **{**example.options, **options})


def noise(*size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(1))


def clips(name: str, count: int = 3) -> torch.Tensor:
    return noise(count, models.example(name).frames, models.example(name).bands)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "options", "frames", "bands", "outputs", "expected"), PARAMETERS)
def test_parameter_count(name, options, frames, bands, outputs, expected):
    with torch.device("meta"):
        assert count(build(name, frames, bands, outputs, **options)) == expected


@pytest.mark.parametrize(("name", "both"), [("lstm", False), ("bilstm", True)])
def test_parameter_count_of_recurrent_networks(name, both):
    reference = nn.LSTM(40, 256, 2, bidirectional=both)
    width = 512 if both else 256
    assert count(build(name, 300, 40, 4)) == count(reference) + 4 * (width + 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_layer_stands_on_the_embedding(name):
    model, features, lengths = small(name), clips(name), torch.tensor([models.example(name).frames, 30, 24])
    with torch.no_grad():
        embedding = model.embed(features, lengths)
        assert embedding.shape == (3, model.output.in_features)
        torch.testing.assert_close(model.output(embedding), model(features, lengths))


@pytest.mark.parametrize("name", NAMES)
def test_trains_in_bfloat16_and_channels_last(name):
    model, features = small(name).train(), clips(name, 8)
    model = model.to(memory_format=torch.channels_last)
    for lengths in (None, torch.full((8,), features.shape[1] - 5)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(features, lengths).float(), torch.arange(8) % 5)
        loss.backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("name", ["vgg", "crnn", "lstm", "bilstm", "cnn_lstm", "audio_transformer"])
@pytest.mark.parametrize("pooling", ["mean", "max", "mean+max", "attention", "panns"])
def test_pooling_is_chosen_by_name(name, pooling):
    model, features = small(name, pooling=pooling), clips(name, 1)
    with torch.no_grad():
        alone, padded = model(features[:, :40]), model(features, torch.tensor([40]))
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-5)  # float32 sums in another order
    with pytest.raises(RecipeError, match="pooling"):
        small(name, pooling="median")


@pytest.mark.parametrize("name", ["audio_transformer", "vgg", "crnn", "alexnet", "lstm", "bilstm", "cnn_lstm"])
def test_one_frame_is_enough(name):
    model, features = small(name), clips(name, 1)
    with torch.no_grad():
        alone, padded = model(features[:, :1]), model(features, torch.tensor([1]))
    assert torch.isfinite(alone).all()
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-5)


# -- recurrent layers ------------------------------------------------------------------------------------------------


def twin(layers: Recurrent, kind: str, dim: int, hidden: int, count: int, both: bool) -> nn.LSTM | nn.GRU:
    """PyTorch's own layers with the same weights."""
    reference = getattr(nn, kind)(dim, hidden, count, batch_first=True, bidirectional=both)
    for suffix, directions in (("", layers.ahead), ("_reverse", layers.back)):
        for index, direction in enumerate(directions):
            for name, value in direction.cells.named_parameters():
                getattr(reference, f"{name[: -len('_l0')]}_l{index}{suffix}").data.copy_(value)
    return reference


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers_are_those_of_pytorch(kind, both):
    layers = Recurrent(kind, 6, 8, layers=2, bidirectional=both)
    reference, sequence, lengths = twin(layers, kind, 6, 8, 2, both), noise(3, 11, 6), torch.tensor([11, 5, 1])
    with torch.no_grad():
        torch.testing.assert_close(layers(sequence), reference(sequence)[0])
        packed = nn.utils.rnn.pack_padded_sequence(sequence, lengths, batch_first=True)
        expected, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
        outputs = layers(sequence, lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(outputs[row, :length], expected[row, :length])


def test_reverse_keeps_to_the_valid_frames():
    sequence = torch.arange(5).reshape(1, 5, 1).repeat(3, 1, 1)
    found = reverse(sequence, torch.tensor([5, 3, 0]))[:, :, 0].tolist()
    assert found == [[4, 3, 2, 1, 0], [2, 1, 0, 3, 4], [0, 1, 2, 3, 4]]


def test_lstm_is_causal_and_bilstm_is_not():
    sequence, changed = noise(1, 20, 6), noise(1, 20, 6)
    changed[0, 12:] += 1.0
    for both in (False, True):
        layers = Recurrent("LSTM", 6, 8, layers=2, bidirectional=both)
        with torch.no_grad():
            first, second = layers(sequence), layers(changed)
        assert torch.equal(first[:, :12], second[:, :12]) is not both
        assert not torch.equal(first[:, 12:], second[:, 12:])


def test_swapped_directions_read_the_reversed_clip():
    layers = Recurrent("GRU", 6, 8, bidirectional=True)
    sequence, lengths = noise(2, 20, 6), torch.tensor([20, 13])
    with torch.no_grad():
        ahead, back = layers(sequence, lengths).chunk(2, dim=2)
        layers.ahead, layers.back = layers.back, layers.ahead
        swapped = reverse(layers(reverse(sequence, lengths), lengths), lengths)
    for row, length in enumerate(lengths):
        expected = torch.cat([back, ahead], dim=2)[row, :length]
        torch.testing.assert_close(swapped[row, :length], expected)


class Behind(nn.Module):
    """Recurrent layers behind a strided convolution: their number of frames is an expression of the input's."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 6, (3, 1), (2, 1))
        self.layers = Recurrent(kind, 6, 8, layers=2, bidirectional=True)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return self.layers(self.convolution(audio[:, None, :, None])[..., 0].transpose(1, 2)).sum(dim=1)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_become_one_operator_a_direction(kind, tmp_path):
    torch.manual_seed(0)
    export_onnx(Behind(kind).eval(), tmp_path / "model.onnx", example_samples=40, dynamic_samples=True, min_samples=3)
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operators.count(kind) == 4  # two layers in two directions


# -- convolutional networks ------------------------------------------------------------------------------------------


def test_alexnet_is_torchvisions():
    """The reference's layers in a row, with our weights."""
    model = small("alexnet")
    convolutions, pool = model.features.convolutions, nn.MaxPool2d(3, 2)
    layers: list[nn.Module] = []
    for convolution, pooled in zip(convolutions, alexnet.POOLED, strict=True):
        layers += [convolution, nn.ReLU(), *([pool] if pooled else [])]
    layers += [nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten(), nn.Dropout(), model.first, nn.ReLU()]
    reference = nn.Sequential(*layers, nn.Dropout(), model.second, nn.ReLU(), model.output).eval()
    for frames, bands in ((224, 224), (63, 63), (300, 200)):
        features = noise(2, frames, bands)
        with torch.no_grad():
            torch.testing.assert_close(model(features), reference(features[:, None]), rtol=1e-5, atol=1e-5)
    shapes = [(c.out_channels, *c.kernel_size, *c.stride, *c.padding) for c in alexnet.Features().convolutions]
    assert shapes[:2] == [(64, 11, 11, 4, 4, 2, 2), (192, 5, 5, 1, 1, 2, 2)]
    assert shapes[2:] == [(384, 3, 3, 1, 1, 1, 1), (256, 3, 3, 1, 1, 1, 1), (256, 3, 3, 1, 1, 1, 1)]
    assert alexnet.Features().size == 9216


def test_alexnet_extends_small_images_by_zeros():
    model, features = small("alexnet"), noise(2, 40, 40)
    with torch.no_grad():
        extended = model(nn.functional.pad(features, (0, 23, 0, 23)))
        torch.testing.assert_close(model(features), extended)


def test_vggish_takes_its_patches_as_they_are_and_others_by_cells():
    options = {"channels": (4, 4, 4, 4, 4, 4), "hidden": (16, 8)}
    model, patch = build("vgg", 96, 64, **options), noise(2, 96, 64)
    image = patch[:, None]
    for convolution, pooled in zip(model.convolutions, (1, 1, 0, 1, 0, 1), strict=True):
        image = convolution(image).relu()
        image = nn.functional.max_pool2d(image, 2) if pooled else image
    assert image.shape == (2, 4, 6, 4)
    expected = model.output(model.hidden[1](model.hidden[0](image.flatten(1)).relu()).relu())
    with torch.no_grad():
        torch.testing.assert_close(model(patch), expected)
        alone, padded = model(patch[:, :50]), model(patch, torch.tensor([50, 50]))
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-5)


def test_vgg_normalises_when_asked():
    model = small("vgg", batch_norm=True)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 6
    with torch.no_grad():
        alone, padded = model(clips("vgg", 1)[:, :40]), model(clips("vgg", 1), torch.tensor([40]))
    torch.testing.assert_close(alone, padded, rtol=1e-5, atol=1e-5)


def test_piczak_lays_static_values_and_differences_on_each_other():
    model = build("piczak_cnn", 41, 120, channels=4, hidden=8)
    assert model.first.weight.shape == (4, 2, 6, 57)  # frames × bands
    seen: list[torch.Tensor] = []
    model.first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = noise(2, 41, 120)
    model(features)
    assert torch.equal(seen[0], torch.stack([features[..., :60], features[..., 60:]], dim=1))


@pytest.mark.parametrize(("frames", "bands", "planes"), [(41, 61, 2), (41, 6, 2), (41, 3, 1), (19, 120, 2)])
def test_piczak_says_what_it_does_not_take(frames, bands, planes):
    with pytest.raises(RecipeError, match=rf"got ({frames}|{bands})") as caught:
        build("piczak_cnn", frames, bands, planes=planes, hidden=8)
    assert caught.value.remedy


def test_piczak_takes_the_smallest_segment():
    smallest = build("piczak_cnn", piczak_cnn.SMALLEST_FRAMES, 4, planes=1, channels=4, hidden=8)
    assert smallest(noise(2, piczak_cnn.SMALLEST_FRAMES, 4)).shape == (2, 5)


def test_too_few_bands_or_odd_heads_are_named():
    with pytest.raises(RecipeError, match="got 10"):
        build("crnn", 64, 10)
    with pytest.raises(RecipeError, match="5"):
        build("audio_transformer", 64, 40, heads=5)


def test_audio_transformer_has_one_frame_of_eight():
    model, seen = small("audio_transformer"), []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    model(noise(2, 173, 40), torch.tensor([173, 41]))
    tokens, lengths = seen[0]
    assert tokens.shape == (2, 22, audio_transformer.EXAMPLE.options["width"])
    assert lengths.tolist() == [22, 6]


def test_audio_transformer_knows_the_order_of_frames():
    model, features = small("audio_transformer"), noise(1, 64, 40)
    with torch.no_grad():
        straight, turned = model(features), model(features.roll(32, dims=1))
    assert (straight - turned).abs().max() > 1e-4
