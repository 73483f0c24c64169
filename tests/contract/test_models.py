"""Every model keeps the contract of `earnest.models`: new files in the folder are picked up unedited."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from earnest import models, registry
from earnest.errors import DataError, MissingExtra, RecipeError
from earnest.frontends import Features, Size, per_channel
from earnest.recipe import Part

OUTPUTS = 4
ESTIMATORS = [name for name in registry.names("models") if models.is_estimator(name)]
NETWORKS = [name for name in registry.names("models") if name not in ESTIMATORS]
PARAMETERS = [
    ("simple_cnn", {}, 173, 64, 10, 1_400_970),
    ("ds_cnn", {}, 49, 10, 12, 23_756),
    ("bc_resnet", {}, 101, 40, 12, 9_232),
    ("resnet", {}, 251, 64, 10, 308_794),
    ("vad_gru", {}, 199, 40, 2, 67_522),
    ("mixednet", {}, 98, 40, 2, 23_010),
]


class LastFrame(torch.nn.Module):
    """A network that answers for frames, as one that answers for clips: by each clip's last valid frame."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        outputs = self.model(features, lengths)
        if lengths is None:
            return outputs[:, -1]
        return outputs[torch.arange(len(outputs)), lengths - 1]


def network(name: str, frames: Size | None = None, bands: Size | None = None) -> torch.nn.Module:
    """An untrained network, whose answers are one row for each clip."""
    torch.manual_seed(0)
    example = models.example(name)
    part = Part(name=name, options=dict(example.options))
    try:
        model = models.build(part, frames or example.frames, bands or example.bands, OUTPUTS)
        return LastFrame(model) if models.shape_of(name) == "frames" else model
    except MissingExtra as problem:
        pytest.skip(problem.message)


def clips(name: str, count: int, frames: Size | None = None, bands: Size | None = None) -> Features:
    """Noise; several channels of it for a network that takes several."""
    example = models.example(name)
    generator = torch.Generator().manual_seed(0)
    return per_channel(
        lambda length, width: torch.randn((count, length, width), generator=generator),
        frames or example.frames,
        bands or example.bands,
    )


def lengths_of(features: Features, *shares: float) -> Features:
    """Valid frames of each clip, as shares of what is there."""
    return per_channel(lambda channel: torch.tensor([round(share * channel.shape[1]) for share in shares]), features)


@pytest.mark.parametrize("name", registry.names("models"))
def test_states_its_shape(name):
    module = registry.load("models", name)
    assert module.SHAPE in ("clip", "frames")
    assert isinstance(module.FIXED_INPUT, bool)
    assert hasattr(module, "Model") != hasattr(module, "Estimator")


@pytest.mark.parametrize("name", NETWORKS)
def test_output_shape(name):
    model = network(name).eval()
    assert model(clips(name, 3)).shape == (3, OUTPUTS)
    assert model(clips(name, 1), lengths_of(clips(name, 1), 1.0)).shape == (1, OUTPUTS)


@pytest.mark.parametrize("name", [name for name in NETWORKS if not models.needs_fixed_input(name)])
@pytest.mark.parametrize("size", [None, (49, 10), (101, 40), (17, 64), (230, 23)])
def test_any_size(name, size):
    example = models.example(name)
    frames, bands = size or (example.frames, example.bands)
    if isinstance(example.frames, tuple):
        pytest.skip("sizes of several channels belong together")
    if frames < example.frames or bands != example.bands:
        try:
            model = network(name, frames, bands).eval()
        except RecipeError as problem:
            pytest.skip(problem.message)
    else:
        model = network(name, frames, bands).eval()
    for count in (frames, frames + 1, 2 * frames + 3):
        with torch.no_grad():
            assert torch.isfinite(model(clips(name, 2, count, bands))).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_gradient(name):
    model = network(name).train()
    targets = torch.arange(8) % OUTPUTS
    torch.nn.functional.cross_entropy(model(clips(name, 8)), targets).backward()
    trained = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    for key, parameter in trained.items():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    # A bias in front of a batch normalisation has no influence, so its gradient is zero up to rounding.
    silent = [key for key, value in trained.items() if value.grad.abs().max() == 0 and "bias" not in key]
    assert silent == []


@pytest.mark.parametrize("name", NETWORKS)
def test_what_lies_beyond_the_length_does_not_matter(name):
    model = network(name).eval()
    features = clips(name, 3)
    lengths = lengths_of(features, 1.0, 0.64, 0.375)

    def beyond(channel, length, value):
        behind = torch.arange(channel.shape[1]) >= length[:, None]
        return channel.masked_fill(behind.unsqueeze(-1), value)

    quiet = per_channel(partial(beyond, value=0.0), features, lengths)
    loud = per_channel(partial(beyond, value=50.0), features, lengths)
    first, whole = per_channel(lambda channel: channel[:1], quiet), per_channel(lambda length: length[:1], lengths)
    with torch.no_grad():
        # The masked values are equal, so only the order of float32 sums may differ.
        torch.testing.assert_close(model(loud, lengths), model(quiet, lengths), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model(first), model(first, whole), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in NETWORKS if not models.needs_fixed_input(name)])
@pytest.mark.parametrize("share", [0.375, 0.64, 0.98])
def test_alone_equals_padded(name, share):
    model = network(name).eval()
    padded = clips(name, 1)
    lengths = lengths_of(padded, share)
    with torch.no_grad():
        alone = model(per_channel(lambda channel, length: channel[:, : int(length)], padded, lengths))
        together = model(padded, lengths)
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)  # float32 sums in another order


@pytest.mark.parametrize("name", NETWORKS)
def test_overfits_eight_clips(name):
    model = network(name).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d):
            module.p = 0.0
    features, targets = clips(name, 8), torch.arange(8) % OUTPUTS
    optimizer = torch.optim.Adam(model.parameters(), lr=models.example(name).learning_rate)
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(features), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert (model(features).argmax(dim=1) == targets).all()


@pytest.mark.parametrize(("name", "options", "frames", "bands", "outputs", "expected"), PARAMETERS)
def test_parameter_count(name, options, frames, bands, outputs, expected):
    model = models.build(Part(name=name, options=options), frames, bands, outputs)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize("name", [name for name in NETWORKS if models.shape_of(name) == "frames"])
def test_frames_in_pieces_are_those_of_the_whole(name):
    model = models.build(Part(name=name), 64, 40, OUTPUTS).eval()
    features = clips(name, 3, 57, 40)
    with torch.no_grad():
        whole = model(features)
        assert whole.shape == (3, 57, OUTPUTS)
        state, pieces = torch.zeros(3, model.state_size), []
        for piece in features.split([1, 20, 2, 34], dim=1):
            outputs, state = model.step(piece, state)
            assert state.shape == (3, model.state_size)
            pieces.append(outputs)
        later = features.clone()
        later[:, 40:] = 9.0
        torch.testing.assert_close(model(later)[:, :40], whole[:, :40])  # nothing looks ahead
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-5, atol=1e-5)  # float32 sums in another order


@pytest.mark.parametrize("name", NETWORKS)
def test_save_and_load(name, tmp_path):
    first = network(name)
    first.train()
    first(clips(name, 4))  # moves running statistics
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(1)
    second = network(name)
    for parameter in second.parameters():
        torch.nn.init.normal_(parameter)
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    with torch.no_grad():
        assert torch.equal(first.eval()(clips(name, 2)), second.eval()(clips(name, 2)))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fresh_network_knows_nothing(name):
    model = network(name).eval()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(clips(name, 32)), torch.arange(32) % OUTPUTS)
    assert abs(loss.item() - np.log(OUTPUTS)) < 0.7


@pytest.mark.parametrize(
    ("name", "size"), [("simple_cnn", (7, 40)), ("simple_cnn", (64, 4)), ("bc_resnet", (64, 7)), ("mixednet", (40, 64))]
)
def test_too_small_an_input_is_named(name, size):
    with pytest.raises(RecipeError, match=str(min(size))):
        models.build(Part(name=name), *size, OUTPUTS)


def test_network_and_estimator_are_not_mixed_up():
    with pytest.raises(RecipeError, match="estimator"):
        models.build(Part(name="svm"), 1, 8, OUTPUTS)
    with pytest.raises(RecipeError, match="network"):
        models.build_estimator(Part(name="ds_cnn"), OUTPUTS)
    with pytest.raises(RecipeError, match=r"tau"):
        models.build(Part(name="bc_resnet", options={"taus": 2}), 64, 40, OUTPUTS)


def blobs(
    classes: int, per_class: int = 60, dims: int = 12, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(classes), per_class)
    centres = rng.normal(size=(classes, dims)) * np.linspace(0.1, 30, dims)
    features = centres[targets] + rng.normal(size=(len(targets), dims)) * 1.1 * np.linspace(0.1, 30, dims)
    groups = np.asarray([f"speaker {row % 5}" for row in range(len(targets))])
    return features.astype(np.float32), targets, groups


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_estimator_contract(name, classes):
    features, targets, groups = blobs(classes)
    estimator = models.build_estimator(Part(name=name), classes + 1)
    decision = estimator.fit(features, targets, groups, np.random.default_rng(0)).eval()
    again = estimator.fit(features, targets, groups, np.random.default_rng(0)).eval()
    batch = torch.from_numpy(features)[:, None, :]
    logits = decision(batch, torch.ones(len(batch), dtype=torch.int64))
    assert logits.shape == (len(features), classes + 1)
    assert torch.equal(logits, again(batch))
    assert (logits.argmax(dim=1).numpy() == targets).mean() > 0.8
    assert logits.softmax(dim=1)[:, classes].max() < 1e-6  # the class without training rows
    restored = estimator.restore(decision.state_dict()).eval()
    assert torch.equal(restored(batch), logits)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_svm_decides_as_scikit_learn_does(kernel, classes):
    features, targets, groups = blobs(classes)
    test, _, _ = blobs(classes, seed=1)
    options = {"kernel": kernel, "C": 2.0, "gamma": 0.5}
    decision = models.build_estimator(Part(name="svm", options=options), classes).fit(
        features, targets, groups, np.random.default_rng(0)
    )
    mean, scale = features.astype(np.float64).mean(0), features.astype(np.float64).std(0)
    reference = SVC(C=2.0, kernel=kernel, gamma=0.5 / features.shape[1], break_ties=True)
    reference.fit((features - mean) / scale, targets)
    values = reference.decision_function((test - mean) / scale)
    ours = decision.decisions(torch.from_numpy(test).double()).numpy()
    expected = np.stack([-values, values], axis=1) if classes == 2 else values
    np.testing.assert_allclose(ours, expected, atol=1e-6)  # both in double precision, sums in another order
    logits = decision(torch.from_numpy(test)[:, None, :]).numpy()
    assert (logits.argmax(axis=1) == reference.predict((test - mean) / scale)).all()


def test_svm_temperature_lowers_the_log_loss():
    features, targets, groups = blobs(5)
    test, _, _ = blobs(5)
    decision = models.build_estimator(Part(name="svm"), 5).fit(features, targets, groups, np.random.default_rng(0))
    rows = torch.from_numpy(test)
    calibrated = torch.nn.functional.cross_entropy(decision(rows[:, None, :]).double(), torch.from_numpy(targets))
    plain = torch.nn.functional.cross_entropy(decision.decisions(rows.double()), torch.from_numpy(targets))
    assert float(decision.temperature) != 1.0
    assert calibrated < plain


def test_svm_names_what_it_cannot_fit():
    features, targets, groups = blobs(2)
    estimator = models.build_estimator(Part(name="svm"), 2)
    with pytest.raises(DataError, match="two classes"):
        estimator.fit(features, targets * 0, groups, np.random.default_rng(0))
    features[0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        estimator.fit(features, targets, groups, np.random.default_rng(0))


def test_svm_fits_where_nothing_can_be_held_out():
    features, targets, _ = blobs(2, per_class=6)
    one_group = np.asarray(["only"] * len(targets))
    by_class = targets.astype(str)
    for groups in (one_group, by_class):
        decision = models.build_estimator(Part(name="svm"), 2).fit(features, targets, groups, np.random.default_rng(0))
        assert torch.isfinite(decision(torch.from_numpy(features)[:, None, :])).all()
