"""The selective state space layer of Mamba: a linear recurrence whose numbers depend on the input.

A. Gu, T. Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv:2312.00752, equation 2 and
algorithm 2. For each of `inner` channels a state h of `states` numbers follows

    h_t = exp(Δ_t A) · h_{t−1} + Δ_t B_t x_t        y_t = C_t · h_t + D x_t

with Δ, B and C linear in x. Two evaluations with plain tensor operations stand in place of the authors' CUDA kernel:

- `step_by_step` is the recurrence as it is written, one token after the other. On a CPU it is the faster one by far in
  training, since a step's numbers stay in the cache.
- `in_stretches` is what the exported graph holds, which would else repeat every step of every block: the recurrence
  runs in stretches of eight tokens, all stretches at once; the states at their ends are a recurrence of the same kind,
  eight times shorter; what a stretch inherits is then added to it. So 512 tokens take 3 × 8 steps instead of 512, and
  nothing is divided or subtracted: the numbers are the same up to rounding.
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
    values, delta : x and Δ ≥ 0, (batch, tokens, inner); where Δ is 0 a token leaves no trace.
    rates : A < 0, (states, inner).
    drive, reading : B and C, (batch, tokens, states).

    Returns
    -------
    (batch, tokens, inner).
    """
    state = values.new_zeros(values.shape[0], *rates.shape)  # (batch, states, inner)
    read = []
    # unbind, since the gradient of an index is as large as what it was taken from
    tokens = zip(
        (delta * values)[:, :, None].unbind(1),  # each (batch, 1, inner)
        delta[:, :, None].unbind(1),
        drive[..., None].unbind(1),  # each (batch, states, 1)
        reading[..., None].unbind(1),
        strict=True,
    )
    for value, step, into, out_of in tokens:
        state = torch.addcmul(value * into, torch.exp(step * rates), state)
        read.append((state * out_of).sum(dim=1))
    return torch.stack(read, dim=1)


def in_stretches(
    values: torch.Tensor, delta: torch.Tensor, rates: torch.Tensor, drive: torch.Tensor, reading: torch.Tensor
) -> torch.Tensor:
    """What `step_by_step` gives, for the exported graph; the number of tokens is fixed there."""
    decay = torch.exp(delta[:, :, None] * rates)  # (batch, tokens, states, inner)
    states = _recurrence(decay, (delta * values)[:, :, None] * drive[..., None])
    return (states * reading[..., None]).sum(dim=2)


def _recurrence(decay: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    """h_t = decay_t · h_{t−1} + drive_t from h_0 = 0, element by element on (batch, tokens, states, inner)."""
    batch, tokens, states, inner = decay.shape
    if tokens <= STRETCH:
        return _within(decay[:, None], drive[:, None])[0][:, 0]
    missing = -tokens % STRETCH
    stretches = (tokens + missing) // STRETCH
    size = (batch, stretches, STRETCH, states, inner)
    decay = functional.pad(decay, (0, 0, 0, 0, 0, missing)).reshape(size)
    drive = functional.pad(drive, (0, 0, 0, 0, 0, missing)).reshape(size)
    own, passed = _within(decay, drive)
    ends = _recurrence(passed[:, :-1, -1], own[:, :-1, -1])  # (batch, stretches − 1, states, inner)
    inherited = functional.pad(ends, (0, 0, 0, 0, 1, 0))[:, :, None]  # the first stretch inherits nothing
    whole = own + passed * inherited
    return whole.reshape(batch, stretches * STRETCH, states, inner)[:, :tokens]


def _within(decay: torch.Tensor, drive: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Inside stretches (batch, stretches, tokens, states, inner): states from zero, and products of the decays."""
    own, passed = [drive[:, :, 0]], [decay[:, :, 0]]
    for token in range(1, decay.shape[2]):
        own.append(decay[:, :, token] * own[-1] + drive[:, :, token])
        passed.append(decay[:, :, token] * passed[-1])
    return torch.stack(own, dim=2), torch.stack(passed, dim=2)


def selective_scan(*parts: torch.Tensor) -> torch.Tensor:
    """`step_by_step`, or `in_stretches` in an export, in float32; gradients compute the states again."""
    parts = tuple(part.float() for part in parts)
    if torch.compiler.is_exporting():
        return in_stretches(*parts)
    if not torch.is_grad_enabled():
        return step_by_step(*parts)
    scanned: torch.Tensor = checkpoint(step_by_step, *parts, use_reentrant=False, preserve_rng_state=False)
    return scanned


class StateSpace(nn.Module):
    """Depthwise causal convolution, SiLU, and a selective scan; one way, or both ways with one set of projections.

    Parameters
    ----------
    inner, states, rank : channels, numbers in a state, and rank of Δ's projection.
    ways : 1 scans from first to last; 2 also from last to first with rates of its own, and takes the mean.
    """

    def __init__(self, inner: int, states: int, rank: int, ways: int) -> None:
        super().__init__()
        self.sizes = (rank, states, states)
        self.convolution = nn.Conv1d(inner, inner, KERNEL, groups=inner)
        self.projections = nn.Linear(inner, rank + 2 * states, bias=False)
        self.delta = nn.Linear(rank, inner)
        log_rates = torch.arange(1, states + 1, dtype=torch.float32).log()  # A = −1, −2 … (S4D-real)
        self.log_rates = nn.Parameter(log_rates[:, None].expand(ways, states, inner).clone())  # (ways, states, inner)
        self.direct = nn.Parameter(torch.ones(inner))
        self._initialise()

    def _initialise(self) -> None:
        """Δ between 0.001 and 0.1, spread evenly in its logarithm (section 3.6 of the paper)."""
        bound = self.sizes[0] ** -0.5
        nn.init.uniform_(self.delta.weight, -bound, bound)
        start = torch.rand(self.delta.out_features) * math.log(FASTEST / SLOWEST) + math.log(SLOWEST)
        with torch.no_grad():
            self.delta.bias.copy_(torch.log(torch.expm1(start.exp())))  # the inverse of softplus

    def forward(self, values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(batch, tokens, inner), float32; tokens that are not `valid` (batch, tokens) leave no trace."""
        if valid is not None:
            values = values * valid[:, :, None]
        values = functional.pad(values.transpose(1, 2), (KERNEL - 1, 0))  # (batch, inner, tokens + 3)
        values = functional.silu(self.convolution(values)).transpose(1, 2)  # (batch, tokens, inner)
        low, drive, reading = self.projections(values).split(self.sizes, dim=2)
        delta = functional.softplus(self.delta(low).float())
        if valid is not None:
            delta = delta * valid[:, :, None]
        rates = -self.log_rates.float().exp()
        scanned = selective_scan(values, delta, rates[0], drive, reading)
        if len(rates) == 2:
            back = selective_scan(values.flip(1), delta.flip(1), rates[1], drive.flip(1), reading.flip(1))
            scanned = (scanned + back.flip(1)) / 2
        return scanned + self.direct * values.float()
