"""The bi-directional stack of temporal-aware blocks of TIM-Net, shared by the models that hold it as `model.tim`.

J. Ye et al., "Temporal Modeling Matters: A Novel Temporal Emotional Modeling Approach for Speech Emotion Recognition",
arXiv:2211.08233. Parameter names are the same in every model, so that the blocks of one trained model can be loaded
into another of the same widths.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import nn
from torch.nn import functional

from earnest.models._masking import blank

KERNEL = 2  # frames


class Block(nn.Module):
    """[Causal convolution, BN, ReLU, spatial dropout] twice, sigmoid, times the input: (batch, channels, frames).

    Backwards, the convolutions look at later frames in the place of earlier ones. That gives what reversing the
    sequence, a causal convolution and reversing again give, but a padded clip's own last frame stays where it is.
    """

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, channels, KERNEL, dilation=dilation)
        self.first_norm = nn.BatchNorm1d(channels)
        self.second = nn.Conv1d(channels, channels, KERNEL, dilation=dilation)
        self.second_norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None, backwards: bool) -> torch.Tensor:
        """A sequence of the same size; what lies beyond `lengths` (batch,) has no influence on what lies within."""
        gate = _look(self.first, mask(sequence, lengths), backwards)
        gate = self.dropout(functional.relu(self.first_norm(gate)))
        gate = _look(self.second, mask(gate, lengths), backwards)
        gate = self.dropout(functional.relu(self.second_norm(gate)))
        return sequence * torch.sigmoid(gate)


class TemporalModelling(nn.Module):
    """Blocks of dilation 1, 2, 4, … in both directions of time, and their weighted sum frame by frame.

    The paper takes the mean over time of forward_j + backward_j and then the weighted sum over the blocks j. Both are
    linear, so here the sum comes first and is handed out per frame; TIM-Net takes the mean behind it. The backward
    sequence is back in its own order before it is added, so that both halves of a sum speak of the same frame.

    Parameters
    ----------
    bands : channels of the input.
    channels : channels of the blocks and of the result; the paper has 39, as many as bands.
    blocks : number of dilations: 8 reach back 2 · (2⁸ − 1) = 510 frames.
    dropout : probability that a whole channel is dropped.
    shared : both directions use the same weights, as in the depression log; the paper has one set each.
    """

    def __init__(self, bands: int, channels: int, blocks: int, dropout: float, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        self.forward_input = nn.Conv1d(bands, channels, 1)
        self.forward_blocks = _blocks(channels, blocks, dropout)
        if not shared:
            self.backward_input = nn.Conv1d(bands, channels, 1)
            self.backward_blocks = _blocks(channels, blocks, dropout)
        self.weights = nn.Parameter(torch.empty(blocks).uniform_(-0.05, 0.05))  # as the paper's code starts them

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, bands, frames) → (batch, channels, frames); frames beyond `lengths` hold nothing of meaning."""
        backward_input = self.forward_input if self.shared else self.backward_input
        backward_blocks = self.forward_blocks if self.shared else self.backward_blocks
        ahead, back = self.forward_input(sequence), backward_input(sequence)
        parts = []
        for place, (forward_block, backward_block) in enumerate(zip(self.forward_blocks, backward_blocks, strict=True)):
            ahead = forward_block(ahead, lengths, backwards=False)
            back = backward_block(back, lengths, backwards=True)
            parts.append(self.weights[place] * (ahead + back))
        total: torch.Tensor = reduce(torch.add, parts)
        return total


def mask(sequence: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """The sequence (batch, channels, frames) with zeros in the frames beyond `lengths` (batch,)."""
    return blank(sequence.unsqueeze(3), lengths).squeeze(3)


def _blocks(channels: int, blocks: int, dropout: float) -> nn.ModuleList:
    return nn.ModuleList(Block(channels, 2**place, dropout) for place in range(blocks))


def _look(convolution: nn.Conv1d, sequence: torch.Tensor, backwards: bool) -> torch.Tensor:
    """The convolution over this frame and an earlier one, or backwards: over this frame and a later one."""
    reach = convolution.dilation[0] * (KERNEL - 1)
    if not backwards:
        looked: torch.Tensor = convolution(functional.pad(sequence, (reach, 0)))
        return looked
    mirrored = convolution.weight.flip(2)
    return functional.conv1d(
        functional.pad(sequence, (0, reach)), mirrored, convolution.bias, dilation=convolution.dilation
    )
