"""What the PANNs networks share: batch normalisation of the mel bands in front, convolution blocks, and the head.

Q. Kong, Y. Cao, T. Iqbal, Y. Wang, W. Wang, M. D. Plumbley, "PANNs: Large-Scale Pretrained Audio Neural Networks for
Audio Pattern Recognition", arXiv:1912.10211, and the authors' code. Their features are log-mel of 32 kHz audio, window
1024, hop 320, 64 bands from 50 to 14,000 Hz; SpecAugment (2 × 64 frames, 2 × 8 bands) and mixup belong to the recipe.

Deviation, so that a clip of any length is right: a clip with fewer frames than the network pools into one is continued
with zeros behind the first normalisation, which is each band's mean (the authors' code refuses it).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models._masking import after_layer, blank
from earnest.models._pooling import MeanMax


class BandsNorm(nn.Module):
    """Each mel band normalised over batch and frames, laid out as an image of at least `least` frames."""

    def __init__(self, name: str, bands: int, least: int) -> None:
        super().__init__()
        if bands < least:
            raise RecipeError(
                f"{name} pools {least} frames × {least} bands into one: at least {least} bands, got {bands}.",
                "Give the front end more bands (64 in the paper).",
            )
        self.least = least
        self.norm = nn.BatchNorm1d(bands)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Image (batch, 1, frames, bands) and lengths, from features (batch, frames, bands) and lengths."""
        normed = self.norm(features.transpose(1, 2)).transpose(1, 2)
        image = blank(normed.unsqueeze(1), lengths)
        # A plain max() of a size that changes would be frozen in the exported graph.
        frames = torch.sym_max(features.shape[1], self.least)  # type: ignore[no-untyped-call]
        image = functional.pad(image, (0, 0, 0, self.least - 1))[:, :, :frames]
        return image, None if lengths is None else lengths.clamp(min=self.least)


class ConvBlock(nn.Module):
    """`count` × [Conv, BN, ReLU], then the mean over `pool` × `pool` cells, on (batch, channels, frames, bands)."""

    def __init__(self, before: int, after: int, kernel: int, count: int, pool: int) -> None:
        super().__init__()
        sizes = [before] + [after] * count
        self.convolutions = nn.ModuleList(
            nn.Conv2d(sizes[index], after, kernel, padding=kernel // 2, bias=False) for index in range(count)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for _ in range(count))
        self.pool = pool

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames / pool, bands / pool), rounded down."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            image = functional.relu(norm(convolution(blank(image, lengths))))
        return functional.avg_pool2d(blank(image, lengths), self.pool) if self.pool > 1 else image


class Head(nn.Module):
    """Mean over bands; mean plus maximum over time; dropout; dense ReLU of the same size."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.pooling = MeanMax()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(channels, channels)

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Embedding (batch, channels) of an image (batch, channels, frames, bands)."""
        sequence = image.mean(dim=3).transpose(1, 2)  # (batch, frames, channels)
        return functional.relu(self.hidden(self.dropout(self.pooling(sequence, lengths))))


class ConvNetwork(nn.Module):
    """Cnn6 and Cnn14: blocks of convolutions, their means, and the head.

    Parameters
    ----------
    name : of the model, for errors.
    widths : channels of each block.
    pools : frames and bands that each block's end makes one of.
    kernel, count : size and number of the convolutions in each block.
    dropout, dropout_dense : behind each block, and in front of the dense layer.
    bands, outputs : of the features, and of the logits.

    Raises
    ------
    RecipeError : no blocks, or too few bands.
    """

    def __init__(
        self,
        name: str,
        *,
        widths: Sequence[int],
        pools: Sequence[int],
        kernel: int,
        count: int,
        dropout: float,
        dropout_dense: float,
        bands: int,
        outputs: int,
    ) -> None:
        super().__init__()
        if len(widths) != len(pools):
            raise RecipeError(f"{name} has {len(pools)} blocks, got {len(widths)} widths: {list(widths)}.")
        least = 1
        for pool in pools:
            least *= pool
        self.front = BandsNorm(name, bands, least)
        sizes = (1, *widths)
        self.blocks = nn.ModuleList(
            ConvBlock(sizes[index], width, kernel, count, pool)
            for index, (width, pool) in enumerate(zip(widths, pools, strict=True))
        )
        self.pools = tuple(pools)
        self.dropout = nn.Dropout(dropout)
        self.head = Head(widths[-1], dropout_dense)
        self.output = nn.Linear(widths[-1], outputs)
        initialise(self)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The dense layer's values (batch, last width) for features (batch, frames, bands)."""
        image, lengths = self.front(features, lengths)
        for block, pool in zip(self.blocks, self.pools, strict=True):
            image = self.dropout(block(image, lengths))
            lengths = after_layer(lengths, kernel=pool, stride=pool, padding=0)
        embedding: torch.Tensor = self.head(image, lengths)
        return embedding

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits


def initialise(network: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, as the authors start."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
