"""LSTM and GRU layers over (batch, frames, dim) that padding does not reach and that export at any length.

A forward direction never sees the padding behind a clip, and a backward direction reads each clip reversed within its
own length. Packed sequences would do the same and train three times slower on a CPU.

In an ONNX export each direction is written as ONNX's own LSTM or GRU operator: the exporter would unroll `nn.LSTM`
where the number of frames comes out of a convolution or pooling, and fail at it (torch 2.13).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

# Where the gates of an ONNX operator stand in PyTorch's weights: PyTorch has input, forget, cell, output and reset,
# update, new; ONNX has input, output, forget, cell and update, reset, new.
ONNX_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def reverse(sequence: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """The sequence (batch, frames, dim) with each clip's valid frames in reverse; what lies beyond stays in place."""
    if lengths is None:
        return sequence.flip(1)
    frames = torch.arange(sequence.shape[1], device=sequence.device)
    mirrored = lengths.to(sequence.device)[:, None] - 1 - frames  # (batch, frames)
    index = torch.where(mirrored >= 0, mirrored, frames)
    return sequence.gather(1, index[:, :, None].expand_as(sequence))


class Direction(nn.Module):
    """One direction of one layer, (batch, frames, dim) → (batch, frames, hidden), from the first frame to the last.

    A GRU can go on from a state (batch, hidden), its output at the last frame before; None: from zeros.
    """

    def __init__(self, kind: Literal["LSTM", "GRU"], dim: int, hidden: int) -> None:
        super().__init__()
        self.kind = kind
        make = nn.LSTM if kind == "LSTM" else nn.GRU
        self.cells = make(dim, hidden, batch_first=True)

    def forward(self, sequence: torch.Tensor, state: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs at every frame."""
        if torch.onnx.is_in_onnx_export():
            return self._in_onnx(sequence, state)
        outputs: torch.Tensor = self.cells(sequence, None if state is None else state[None])[0]
        return outputs

    def _in_onnx(self, sequence: torch.Tensor, state: torch.Tensor | None) -> torch.Tensor:
        """The same as one ONNX operator, which takes (frames, batch, dim) and gives (frames, 1, batch, hidden)."""
        batch, frames, _ = sequence.shape
        biases = torch.cat([self._gates("bias_ih_l0"), self._gates("bias_hh_l0")], dim=1)
        begin = () if state is None else (None, state[None])  # no lengths; (1, batch, hidden)
        outputs = torch.onnx.ops.symbolic(
            self.kind,
            (sequence.transpose(0, 1), self._gates("weight_ih_l0"), self._gates("weight_hh_l0"), biases, *begin),
            # In PyTorch's GRU the reset gate acts behind the matrix.
            {"hidden_size": self.cells.hidden_size, **({"linear_before_reset": 1} if self.kind == "GRU" else {})},
            dtype=sequence.dtype,
            shape=(frames, 1, batch, self.cells.hidden_size),
        )
        return outputs.squeeze(1).transpose(0, 1)

    def _gates(self, name: str) -> torch.Tensor:
        """A weight or bias with its gates in ONNX's order, (1, gates × hidden, …)."""
        order = ONNX_GATES[self.kind]
        values: torch.Tensor = getattr(self.cells, name)
        gates = values.reshape(len(order), self.cells.hidden_size, *values.shape[1:])
        return gates[list(order)].reshape(1, *values.shape)


class Recurrent(nn.Module):
    """Recurrent layers, (batch, frames, dim) → (batch, frames, `size`) with `size` = hidden × directions.

    Parameters
    ----------
    kind : `LSTM` or `GRU`.
    dim : size of one frame.
    hidden : units of each direction.
    layers : how many, one on top of the other.
    bidirectional : whether a second direction runs from each clip's last frame to its first.
    dropout : between the layers.
    """

    def __init__(
        self,
        kind: Literal["LSTM", "GRU"],
        dim: int,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.size = hidden * (2 if bidirectional else 1)
        sizes = [dim] + [self.size] * (layers - 1)
        self.ahead = nn.ModuleList(Direction(kind, size, hidden) for size in sizes)
        self.back = nn.ModuleList(Direction(kind, size, hidden) for size in sizes if bidirectional)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs of the last layer at every frame; those beyond `lengths` mean nothing."""
        for layer, ahead in enumerate(self.ahead):
            if layer:
                sequence = self.dropout(sequence)
            outputs = ahead(sequence)
            if self.back:
                behind = reverse(self.back[layer](reverse(sequence, lengths)), lengths)
                outputs = torch.cat([outputs, behind], dim=2)
            sequence = outputs
        return sequence
