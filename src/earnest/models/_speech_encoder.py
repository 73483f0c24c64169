"""wav2vec 2.0, HuBERT and WavLM as the first part of a network: samples in, hidden states out.

A. Baevski et al., "wav2vec 2.0", arXiv:2006.11477; W.-N. Hsu et al., "HuBERT", arXiv:2106.07447; S. Chen et al.,
"WavLM", arXiv:2110.13900. The networks and their weights are those of the package transformers (extra `pretrained`);
here stands how they are used, and what makes padding harmless:

    samples ─ each clip to mean 0, deviation 1 ─► convolutions (frozen) ─► projection ─► transformer ─► hidden states

- Each clip is standardised over its own samples, as transformers' feature extractor does for most of these weights. The
  run's normaliser in front of it then changes nothing.
- The first convolution of the base models normalises each channel over time. Here it does so over a clip's own frames,
  so that a clip gives the same numbers alone and in a padded batch (transformers lets the padding in).
- A clip too short for one frame is extended by zeros.
- The convolutions stay as they come. Masking of time and bands (SpecAugment) and skipped layers, which transformers
  draws while it trains, are off: nothing in a training may depend on a random stream that a restart cannot repeat.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import MissingExtra, RecipeError
from earnest.models._masking import after_layer
from earnest.models._pooling import blank_frames, mean_pool, valid_frames

FAMILIES = ("wav2vec2", "hubert", "wavlm")
UNTRAINED = "untrained"
PLAIN = {"apply_spec_augment": False, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "layerdrop": 0.0}
SIZES: Mapping[str, Mapping[str, Any]] = {
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (32, 32, 32),
        "conv_kernel": (10, 3, 3),
        "conv_stride": (5, 2, 2),
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
    }
    | dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0),
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
    },
}


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder, and what of it is trained.

    Attributes
    ----------
    source : a name on the Hugging Face hub (`facebook/wav2vec2-base`, downloaded once into transformers' own cache), a
        local folder in transformers' format, or `untrained` for random weights of wav2vec 2.0: what pretraining is
        worth shows against them. There is no default, so that nothing is downloaded that was not asked for.
    size : of untrained weights: `base` (94.4 million parameters), `large` (315 million) or `tiny` (for trying).
    mode : `frozen` uses the last hidden states as they come; `weighted` a learned weighted mean of what goes into each
        layer and of the last ones (S. Yang et al., "SUPERB", arXiv:2105.01051); `finetune` trains all but the
        convolutions.
    """

    source: str = ""
    size: Literal["tiny", "base", "large"] = "base"
    mode: Literal["frozen", "weighted", "finetune"] = "frozen"


class SpeechEncoder(nn.Module):
    """Samples (batch, samples) → hidden states (batch, frames, `width`), with 20 ms between frames in the usual sizes.

    Raises
    ------
    MissingExtra : transformers is not installed.
    RecipeError : no source is given, or it cannot be loaded or is no encoder of a known family.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        loaded = load(config)
        self.convolutions = loaded.feature_extractor.conv_layers
        self.projection = loaded.feature_projection
        self.encoder = loaded.encoder
        self.steps = [(layer.conv.kernel_size[0], layer.conv.stride[0]) for layer in self.convolutions]
        self.mode = config.mode
        self.width = int(loaded.config.hidden_size)
        if config.mode == "weighted":
            self.layer_weights = nn.Parameter(torch.zeros(len(self.encoder.layers) + 1))
        for part in (self.convolutions, *((self.projection, self.encoder) if config.mode != "finetune" else ())):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> SpeechEncoder:
        """Training or evaluation; what is frozen drops nothing out in either."""
        return super().train(mode and self.mode == "finetune")

    def frames_for(self, samples: int) -> int:
        """Frames that come out of so many samples, at least `min_samples`."""
        for kernel, stride in self.steps:
            samples = (samples - kernel) // stride + 1
        return samples

    @property
    def min_samples(self) -> int:
        """The fewest samples that give a frame."""
        samples = 1
        for kernel, stride in reversed(self.steps):
            samples = (samples - 1) * stride + kernel
        return samples

    def forward(
        self, samples: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Hidden states, and how many of them are valid (None: all)."""
        samples, lengths = self._long_enough(samples, lengths)
        hidden = standardised(samples, lengths).unsqueeze(1)  # (batch, 1, samples)
        for layer, (kernel, stride) in zip(self.convolutions, self.steps, strict=True):
            lengths = after_layer(lengths, kernel, stride, padding=0)
            hidden = layer(hidden) if lengths is None else _convolved(layer, hidden, lengths)
        projected = self.projection(hidden.transpose(1, 2))
        hidden = projected[0] if isinstance(projected, tuple) else projected  # (batch, frames, width)
        mask = None if lengths is None else valid_frames(hidden, lengths)
        if self.mode != "weighted":
            return self._transformed(hidden, mask), lengths
        with _states_before(self.encoder.layers) as states:
            states.append(self._transformed(hidden, mask))
        weights = self.layer_weights.softmax(0)
        mixed = torch.stack([weight * state for weight, state in zip(weights, states, strict=True)]).sum(0)
        return mixed, lengths

    def _transformed(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The transformer's last hidden states (batch, frames, width)."""
        with warnings.catch_warnings():
            # WavLM of transformers 5 gives torch a boolean mask beside a float one, which torch deprecates.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            states: torch.Tensor = self.encoder(hidden, attention_mask=mask).last_hidden_state
        return states

    def _long_enough(
        self, samples: torch.Tensor, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Samples that fill at least one frame, with zeros behind where they do not."""
        # max() would export the side that the example takes.
        missing = torch.sym_max(self.min_samples - samples.shape[1], 0)  # type: ignore[no-untyped-call]
        if lengths is not None:
            samples = blank_frames(samples.unsqueeze(2), lengths).squeeze(2)
            lengths = lengths.clamp(min=self.min_samples)
        return functional.pad(samples, (0, missing)), lengths


def standardised(samples: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Each clip (batch, samples) with mean 0 and deviation 1 over its own samples, zeros behind.

    A constant clip is exactly zero: from rounding errors the norms that follow would make sound.
    """
    column = (samples - samples[:, :1]).unsqueeze(2)
    centred = column - mean_pool(column, lengths).unsqueeze(1)
    deviation = (mean_pool(centred.square(), lengths) + 1e-7).sqrt().unsqueeze(1)
    return blank_frames(centred / deviation, lengths).squeeze(2)


def _convolved(layer: Any, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """One layer of the convolutions (batch, channels, frames), its norm over time taken over `lengths` frames alone."""
    norm = getattr(layer, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm):
        output: torch.Tensor = layer(hidden)
        return output
    hidden = layer.conv(hidden).transpose(1, 2)  # (batch, frames, channels)
    centred = hidden - mean_pool(hidden, lengths).unsqueeze(1)
    deviation = (mean_pool(centred.square(), lengths) + norm.eps).sqrt().unsqueeze(1)
    activated: torch.Tensor = layer.activation(centred / deviation * norm.weight + norm.bias)
    return activated.transpose(1, 2)


@contextlib.contextmanager
def _states_before(layers: nn.ModuleList) -> Iterator[list[torch.Tensor]]:
    """Collect what goes into each layer, in order."""
    states: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        states.append(inputs[0] if inputs else named["hidden_states"])

    hooks = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def load(config: EncoderConfig) -> Any:
    """The encoder as transformers makes it, in single precision.

    Raises
    ------
    MissingExtra, RecipeError : as for `SpeechEncoder`.
    """
    if not config.source:
        raise RecipeError(
            "the speech encoder has no source of weights.",
            "Set source to a name on the Hugging Face hub (source=facebook/wav2vec2-base downloads 380 MB once), to a "
            "local folder in transformers' format, or to 'untrained'.",
        )
    try:
        transformers = importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        raise MissingExtra("transformers", "pretrained", "A speech encoder") from error
    if config.source == UNTRAINED:
        numbers = transformers.AutoConfig.for_model("wav2vec2", **SIZES[config.size], **PLAIN)
        return transformers.AutoModel.from_config(numbers)
    with _quiet(transformers):
        try:
            numbers = transformers.AutoConfig.from_pretrained(config.source, **PLAIN)
            _check_family(config.source, str(numbers.model_type))
            loaded, report = transformers.AutoModel.from_pretrained(
                config.source, config=numbers, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError) as error:
            raise RecipeError(
                f"the speech encoder {config.source!r} cannot be loaded: {str(error).strip().splitlines()[0]}",
                "Give the path of a folder with config.json and the weights, or a name on the Hugging Face hub; a name "
                "needs the network the first time.",
            ) from error
    missing = [name for name in report["missing_keys"] if name != "masked_spec_embed"]
    if missing:
        raise RecipeError(
            f"{config.source!r} holds no weights for {len(missing)} parts of the encoder ({missing[0]} …).",
            "Choose weights of a wav2vec2, HuBERT or WavLM model.",
        )
    return loaded


def _check_family(source: str, family: str) -> None:
    if family not in FAMILIES:
        raise RecipeError(
            f"{source!r} is a model of the kind {family!r}, not a speech encoder that is known here.",
            f"Choose one of the kinds {', '.join(FAMILIES)}.",
        )


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep the package's progress bars and advice off the terminal; what is missing is checked here."""
    talk = transformers.utils.logging
    level, bars = talk.get_verbosity(), talk.is_progress_bar_enabled()
    talk.set_verbosity(talk.CRITICAL)
    talk.disable_progress_bar()
    try:
        yield
    finally:
        talk.set_verbosity(level)
        if bars:
            talk.enable_progress_bar()
