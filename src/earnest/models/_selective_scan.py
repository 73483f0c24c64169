"""The selective state space layer of Mamba: a linear recurrence whose numbers depend on the input.

A. Gu, T. Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv:2312.00752, equation 2 and
algorithm 2. For each of `inner` channels a state h of `states` numbers follows

    h_t = exp(Δ_t A) · h_{t−1} + Δ_t B_t x_t        y_t = C_t · h_t + D x_t

with Δ, B and C linear in x, and Δ B, as in the authors' code, for the exact integral. Two evaluations with plain tensor
operations stand in place of the authors' CUDA kernel:

- `step_by_step` is the recurrence as it is written, one token after the other. On a CPU it is the faster one by far in
  training, since a step's numbers stay in the cache.
- `in_stretches` is what the exported graph holds, which would else repeat every step of every block: the recurrence
  runs in stretches of eight tokens, all stretches at once; the states at their ends are a recurrence of the same kind,
  eight times shorter; what a stretch inherits, times exp(A · the sum of Δ since), is then added to it. So 512 tokens
  take 3 × 8 steps instead of 512, and nothing is divided or subtracted: the numbers are the same up to rounding.

Both take several ways through the tokens at once, (ways, batch, tokens, …), each with rates A of its own.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

STRETCH = 8
KERNEL = 4  # of the depthwise convolution, in tokens
SLOWEST, FASTEST = 0.001, 0.1  # range of Δ in a fresh network


def step_by_step(
    values: torch.Tensor, delta: torch.Tensor, rates: torch.Tensor, drive: torch.Tensor, reading: torch.Tensor
) -> torch.Tensor:
    """C_t · h_t, without the D x_t.

    Parameters
    ----------
    values, delta : x and Δ ≥ 0, (ways, batch, tokens, inner); where Δ is 0 a token leaves no trace.
    rates : A < 0, (ways, states, inner).
    drive, reading : B and C, (ways, batch, tokens, states).

    Returns
    -------
    (ways, batch, tokens, inner).
    """
    ways, states, inner = rates.shape
    state = values.new_zeros(ways, values.shape[1], states, inner)
    read = []
    # unbind, since the gradient of an index is as large as what it was taken from
    tokens = zip(
        (delta * values).unsqueeze(3).unbind(2),  # each (ways, batch, 1, inner)
        delta.unsqueeze(3).unbind(2),
        drive.unsqueeze(4).unbind(2),  # each (ways, batch, states, 1)
        reading.unsqueeze(4).unbind(2),
        strict=True,
    )
    for value, step, into, out_of in tokens:
        state = torch.addcmul(value * into, torch.exp(step * rates[:, None]), state)
        read.append((state * out_of).sum(dim=2))
    return torch.stack(read, dim=2)


def in_stretches(
    values: torch.Tensor, delta: torch.Tensor, rates: torch.Tensor, drive: torch.Tensor, reading: torch.Tensor
) -> torch.Tensor:
    """What `step_by_step` gives, for the exported graph; the number of tokens is fixed there."""
    driven = (delta * values).unsqueeze(3) * drive.unsqueeze(4)  # (ways, batch, tokens, states, inner)
    states = _recurrence(delta.unsqueeze(3), rates[:, None, None], driven)
    return (states * reading.unsqueeze(4)).sum(dim=3)


def _recurrence(delta: torch.Tensor, rates: torch.Tensor, driven: torch.Tensor) -> torch.Tensor:
    """h_t = exp(Δ_t A) · h_{t−1} + driven_t from h_0 = 0.

    Δ is (ways, batch, tokens, 1, inner), A (ways, 1, 1, states, inner), h (ways, batch, tokens, states, inner).
    """
    ways, _, tokens, states, inner = driven.shape
    if tokens <= STRETCH:
        return _within(torch.exp(delta * rates), driven)
    missing = -tokens % STRETCH
    stretches = (tokens + missing) // STRETCH
    delta = functional.pad(delta, (0, 0, 0, 0, 0, missing)).reshape(ways, -1, STRETCH, 1, inner)
    driven = functional.pad(driven, (0, 0, 0, 0, 0, missing)).reshape(ways, -1, STRETCH, states, inner)
    own = _within(torch.exp(delta * rates), driven).reshape(ways, -1, stretches, STRETCH, states, inner)
    since = delta.cumsum(2).reshape(ways, -1, stretches, STRETCH, 1, inner)
    ends = _recurrence(since[:, :, :-1, -1], rates, own[:, :, :-1, -1])
    inherited = functional.pad(ends, (0, 0, 0, 0, 1, 0)).unsqueeze(3)  # the first stretch inherits nothing
    whole = own + torch.exp(since * rates[:, None]) * inherited
    return whole.reshape(ways, -1, stretches * STRETCH, states, inner)[:, :, :tokens]


def _within(decay: torch.Tensor, driven: torch.Tensor) -> torch.Tensor:
    """The recurrence with given decays, one step after the other along dimension 2."""
    found: list[torch.Tensor] = []
    for factor, term in zip(torch.split(decay, 1, dim=2), torch.split(driven, 1, dim=2), strict=True):
        found.append(factor * found[-1] + term if found else term)
    return torch.cat(found, dim=2)


def selective_scan(*parts: torch.Tensor) -> torch.Tensor:
    """`step_by_step`, or `in_stretches` in an export, in float32; gradients compute the states again."""
    parts = tuple(part.float() for part in parts)
    if torch.compiler.is_exporting():
        return in_stretches(*parts)
    if not torch.is_grad_enabled():
        return step_by_step(*parts)
    scanned: torch.Tensor = checkpoint(step_by_step, *parts, use_reentrant=False, preserve_rng_state=False)
    return scanned


class Reader(nn.Module):
    """One way through the tokens: causal depthwise convolution, SiLU, and what the scan needs to know of each token."""

    def __init__(self, inner: int, states: int, rank: int) -> None:
        super().__init__()
        self.sizes = (rank, states, states)
        self.convolution = nn.Conv1d(inner, inner, KERNEL, groups=inner)
        self.projections = nn.Linear(inner, rank + 2 * states, bias=False)
        self.delta = nn.Linear(rank, inner)
        self.direct = nn.Parameter(torch.ones(inner))  # D
        bound = rank**-0.5
        nn.init.uniform_(self.delta.weight, -bound, bound)
        # Δ starts between 0.001 and 0.1, spread evenly in its logarithm (section 3.6 of the paper).
        start = torch.exp(torch.rand(inner) * math.log(FASTEST / SLOWEST) + math.log(SLOWEST))
        with torch.no_grad():
            self.delta.bias.copy_(torch.log(torch.expm1(start)))  # the inverse of softplus

    def forward(self, values: torch.Tensor, valid: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """x, Δ (batch, tokens, inner), B and C (batch, tokens, states) of values (batch, tokens, inner)."""
        if valid is not None:
            values = values * valid[:, :, None]
        values = functional.pad(values.transpose(1, 2), (KERNEL - 1, 0))  # (batch, inner, tokens + 3)
        values = functional.silu(self.convolution(values)).transpose(1, 2)  # (batch, tokens, inner)
        low, drive, reading = self.projections(values).split(self.sizes, dim=2)
        delta = functional.softplus(self.delta(low).float())
        if valid is not None:
            delta = delta * valid[:, :, None]
        return values, delta, drive, reading


class BothWays(nn.Module):
    """The mean of a scan from first to last and one from last to first, on (batch, tokens, inner).

    Parameters
    ----------
    inner, states, rank : channels, numbers in a state, and rank of Δ's projection.
    shared : read the tokens once, forwards, for both ways; the ways then differ in their rates alone.
    """

    def __init__(self, inner: int, states: int, rank: int, shared: bool) -> None:
        super().__init__()
        self.readers = nn.ModuleList(Reader(inner, states, rank) for _ in range(1 if shared else 2))
        log_rates = torch.arange(1, states + 1, dtype=torch.float32).log()  # A = −1, −2 … (S4D-real)
        self.log_rates = nn.Parameter(log_rates[:, None].expand(2, states, inner).clone())

    def forward(self, values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(batch, tokens, inner), float32; tokens that are not `valid` (batch, tokens) leave no trace."""
        there = self.readers[0](values, valid)
        if len(self.readers) == 1:
            back = tuple(part.flip(1) for part in there)
        else:
            back = self.readers[1](values.flip(1), None if valid is None else valid.flip(1))
        read, delta, drive, reading = (torch.stack(pair) for pair in zip(there, back, strict=True))
        direct = torch.stack([reader.get_parameter("direct") for reader in self.readers])[:, None, None]
        scanned = selective_scan(read, delta, -self.log_rates.float().exp(), drive, reading)
        scanned = scanned + direct * read.float()  # (2, batch, tokens, inner)
        return (scanned[0] + scanned[1].flip(1)) / 2
