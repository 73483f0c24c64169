"""Speech encoders and what is fused with them, on tiny random (untrained) checkpoints that transformers writes here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch

from earnest import frontends, journey, models, recipe
from earnest.errors import MissingExtra, RecipeError
from earnest.models._speech_encoder import PLAIN, SIZES, EncoderConfig, SpeechEncoder
from earnest.recipe import Part
from earnest.runtime import Predictor
from earnest.shipping.onnx import export_onnx
from earnest.training.pipeline import Pipeline, normaliser_for

transformers = pytest.importorskip("transformers", reason="the extra 'pretrained' is not installed")

LAYER_NORM = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
KINDS = [("wav2vec2", {}), ("wav2vec2", LAYER_NORM), ("hubert", {}), ("hubert", LAYER_NORM), ("wavlm", {})]


def save(folder: Path, family: str, numbers: dict[str, object], seed: int = 0) -> Path:
    """A random encoder of a family, as a folder in transformers' format."""
    torch.manual_seed(seed)
    config = transformers.AutoConfig.for_model(family, **SIZES["tiny"], **PLAIN, **numbers)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0] + ("-layer" if kind[1] else ""))
def folder(request, tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("encoder"), *request.param)


def sound(samples: int = 1_200, clips: int = 2) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(3))


def standardise(samples: torch.Tensor) -> torch.Tensor:
    return (samples - samples.mean(1, keepdim=True)) / (samples.var(1, keepdim=True, correction=0) + 1e-7).sqrt()


def encoder(source: Path | str, mode: str = "frozen") -> SpeechEncoder:
    return SpeechEncoder(EncoderConfig(str(source), mode=mode)).eval()


def test_hidden_states_are_those_of_transformers(folder):
    samples = sound()
    whole = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        theirs = whole(standardise(samples), output_hidden_states=True)
        last, lengths = encoder(folder)(samples)
        mixed, _ = encoder(folder, "weighted")(samples)
    assert lengths is None
    torch.testing.assert_close(last, theirs.last_hidden_state, rtol=1e-5, atol=1e-5)
    # A new mean weighs all states alike: what goes into each layer, and what leaves the encoder.
    states = [*theirs.hidden_states[:-1], theirs.last_hidden_state]
    torch.testing.assert_close(mixed, torch.stack(states).mean(0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["frozen", "weighted"])
def test_a_clip_alone_equals_a_padded_one(folder, mode):
    network, samples = encoder(folder, mode), sound(1_200, 3)
    lengths = torch.tensor([1_200, 777, 30])
    loud = samples.masked_fill(torch.arange(1_200) >= lengths[:, None], 50.0)
    with torch.no_grad():
        states, valid = network(loud, lengths)
        for row, length in enumerate(lengths):
            alone, _ = network(samples[row : row + 1, :length])
            assert alone.shape[1] == valid[row]
            torch.testing.assert_close(states[row : row + 1, : valid[row]], alone, rtol=1e-4, atol=1e-4)


def test_only_what_the_mode_says_is_trained(folder):
    for mode, trained in (("frozen", set()), ("weighted", {"layer_weights"}), ("finetune", {"projection", "encoder"})):
        network = encoder(folder, mode).train()
        found = {name.partition(".")[0] for name, value in network.named_parameters() if value.requires_grad}
        assert found == trained
        assert network.encoder.training == (mode == "finetune")
        hidden, _ = network(sound())
        assert hidden.requires_grad == (mode != "frozen")


def test_frames_follow_from_the_convolutions():
    network = encoder("untrained")
    tiny = SpeechEncoder(EncoderConfig("untrained", "tiny"))
    assert network.min_samples == 400
    assert network.frames_for(48_000) == 149
    for samples in (tiny.min_samples, 1_000, 1_019, 1_020):
        assert tiny(sound(samples))[0].shape[1] == tiny.frames_for(samples)


@pytest.mark.parametrize(("size", "millions", "with_quantiser"), [("base", 94.4, 95.04), ("large", 315.4, 317.39)])
def test_parameter_counts(size, millions, with_quantiser):
    """The published sizes count the quantiser and projections of the pretraining too."""
    with torch.device("meta"):
        mine = SpeechEncoder(EncoderConfig("untrained", size))
        numbers = dict(SIZES[size]) | ({"codevector_dim": 768, "proj_codevector_dim": 768} if size == "large" else {})
        whole = transformers.Wav2Vec2ForPreTraining(transformers.AutoConfig.for_model("wav2vec2", **numbers))
    assert round(sum(value.numel() for value in mine.parameters()) / 1e6, 1) == millions
    assert round(sum(value.numel() for value in whole.parameters()) / 1e6, 2) == with_quantiser


def test_the_export_gives_the_same_numbers(folder, tmp_path):
    """Weighted states, any number of clips and samples; `export_onnx` itself compares several."""
    torch.manual_seed(0)
    part = Part(name="wav2vec2", options={"source": str(folder), "mode": "weighted"})
    pipeline = Pipeline(
        frontends.build(Part(name="waveform"), 8_000), normaliser_for(1), models.build(part, 1_200, 1, 3)
    )
    exported = pipeline.eval().for_export()
    export_onnx(exported, tmp_path / "m.onnx", example_samples=1_200, dynamic_samples=True, min_samples=1)
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"audio": sound(2_345, 3).numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, pipeline(sound(2_345, 3)).numpy(), atol=1e-4)


def test_the_weights_of_the_source_are_part_of_the_network(tmp_path):
    first, second = (save(tmp_path / str(seed), "wav2vec2", {}, seed) for seed in (1, 2))
    one, two = (
        models.build(Part(name="wav2vec2", options={"source": str(source)}), 1_200, 1, 3).eval()
        for source in (first, second)
    )
    samples = sound().unsqueeze(2)
    assert not torch.allclose(one(samples), two(samples))
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(samples), two(samples))


@pytest.mark.parametrize(
    ("source", "message"),
    [("", "no source"), ("/no/such/folder", "cannot be loaded"), ("nobody/no-such-encoder", "cannot be loaded")],
)
def test_a_source_that_is_not_there_is_told(source, message, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RecipeError, match=message) as told:
        encoder(source)
    assert told.value.remedy


def test_weights_of_another_kind_are_told(tmp_path, capfd):
    numbers = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.AutoConfig.for_model("bert", vocab_size=20, **numbers)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "bert")
    with pytest.raises(RecipeError, match="'bert'"):
        encoder(tmp_path / "bert")
    folder = save(tmp_path / "half", "wav2vec2", {})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}), encoding="utf-8")
    capfd.readouterr()
    with pytest.raises(RecipeError, match="no weights for 16 parts"):
        encoder(folder)
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"earnest\[pretrained\]"):
        encoder("untrained")


@pytest.mark.parametrize(
    ("model", "frames", "bands", "message"),
    [
        ("wav2vec2", 1_200, 40, "40 bands"),
        ("wav2vec2", 39, 1, "39 samples are too few"),
        ("coattention", (41, 41, 39), (201, 20, 1), "39 samples are too few"),
        ("coattention", (41, 41, 3_200), (201, 20, 64), "the last channel of coattention is the samples"),
        ("coattention", (41, 41, 3_200), (129, 20, 1), "uses 200 bins .* which has 129"),
        ("coattention", (41, 3_200), (201, 1), r"fuses 3 channels \(spectrogram, mfcc, waveform\), .* gives 2"),
        ("coattention", 41, 201, "gives a single front end"),
    ],
)
def test_inputs_that_do_not_fit_are_told(model, frames, bands, message):
    part = Part(name=model, options={"source": "untrained", "size": "tiny"})
    with pytest.raises(RecipeError, match=message):
        models.build(part, frames, bands, 3)


def fusion(frames: tuple[int, ...], bands: tuple[int, ...], **options: object) -> torch.nn.Module:
    return models.build(Part(name="coattention", options={"source": "untrained", **options}), frames, bands, 4)


def test_coattention_has_the_sizes_of_the_paper():
    frontend = frontends.build(Part(name="channels"), 16_000)
    with torch.device("meta"):
        model = fusion(frontend.frames_for(48_000), frontend.bands)
        bi = fusion((300, 48_000), (40, 1), branches=["mfcc"])
        largest = fusion(frontend.frames_for(48_000), frontend.bands, attention="max")
    sizes = [(layer.in_features, layer.out_features) for layer in model.reduced]
    assert sizes == [(9_216, 128), (153_600, 128)]
    assert (model.guide.in_features, model.guide.out_features) == (256, 149)
    assert (model.heard.in_features, model.first.in_features) == (768, 384)
    assert (bi.guide.in_features, bi.first.in_features) == (128, 256)
    assert (largest.guide.in_features, largest.first.in_features) == (128, 384)

    def count(module: torch.nn.Module) -> int:
        return sum(value.numel() for value in module.parameters())

    # torchvision's features, with one channel in the place of three
    alexnet, lstm = 2_469_696 - 2 * 64 * 121, 4 * 2 * (256 * (40 + 256) + 512) + 4 * 2 * (256 * (512 + 256) + 512)
    dense = sum((a + 1) * b for a, b in [*sizes, (256, 149), (768, 128), (384, 128), (128, 128), (128, 4)])
    assert count(model) - count(model.speech) == alexnet + lstm + dense


@pytest.mark.parametrize("attention", ["co", "max"])
@pytest.mark.parametrize("branches", [["spectrogram", "mfcc"], ["mfcc", "spectrogram"], ["spectrogram"], ["mfcc"]])
def test_every_fusion_gives_logits_and_listens_to_all_its_channels(attention, branches):
    torch.manual_seed(0)
    small = {key: value for key, value in models.example("coattention").options.items() if key != "source"}
    bands = (*({"spectrogram": 129, "mfcc": 20}[branch] for branch in branches), 1)
    frames = (*(41 for _ in branches), 3_200)
    model = fusion(frames, bands, branches=branches, attention=attention, **small).eval()
    channels = tuple(torch.randn(2, *size) for size in zip(frames, bands, strict=True))
    logits = model(channels)
    assert logits.shape == (2, 4)
    assert model.embed(channels).shape == (2, 32)
    for place in range(len(channels)):
        changed = tuple(torch.randn_like(c) if index == place else c for index, c in enumerate(channels))
        assert not torch.allclose(model(changed), logits)


def test_a_branch_named_twice_is_told():
    with pytest.raises(RecipeError, match="named twice"):
        fusion((41, 41, 3_200), (20, 20, 1), branches=["mfcc", "mfcc"], size="tiny")


def test_a_fused_run_ships_what_was_scored(tmp_path):
    """Two hums of four speakers through the whole journey, with spec_augment and mixup, from a local folder."""
    source = save(tmp_path / "encoder", "hubert", {})
    rng = np.random.default_rng(0)
    for label, pitch in (("low", 200), ("high", 900)):
        (tmp_path / "hums" / label).mkdir(parents=True)
        for speaker in range(4):
            for take in range(2):
                time = np.arange(3_200) / 8_000
                wave = 0.3 * np.sin(2 * np.pi * (pitch + 20 * speaker) * time) + 0.01 * rng.standard_normal(3_200)
                soundfile.write(tmp_path / "hums" / label / f"s{speaker}_{take}.wav", wave, 8_000)
    options = {**models.example("coattention").options, "source": str(source), "mode": "weighted"}
    values = {
        "corpus": f"folder:{tmp_path / 'hums'}",
        "pattern": "{label}/{speaker}_{take}.wav",
        "sample_rate": 8_000,
        "clips": {"window_s": 0.4},
        "split": {"folds": 2, "validation": 0},
        "frontend": models.example("coattention").frontend.options["of"],
        "augment": ["spec_augment", "mixup"],
        "model": {"name": "coattention", **options},
        "training": {"epochs": 2, "batch_size": 4},
    }
    out = journey.run(recipe.parse(values), tmp_path / "run", jobs=1)
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert scores["parity"]["same_decisions"] == scores["parity"]["clips"] == 16
    assert len(scores["folds"]) == 2
    Predictor(out / "bundle").predict(tmp_path / "hums" / "low" / "s0_0.wav")
