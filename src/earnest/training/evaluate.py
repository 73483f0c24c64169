"""Scores of clips by a network or a whole pipeline: the rule of `Inputs`, in fp32, without anything random."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from earnest.training.batches import frames_of, pad, to_device, unless_full
from earnest.training.store import Windows

BATCH = 32


class Evaluator:
    """Scores rows with any network behind one front end; features are computed once and kept while it lives.

    Parameters
    ----------
    windows : where features come from.
    rows : the rows that may be asked for.
    frame : of a network that answers for frames, (batch, frames, outputs), the frame that speaks for the window.
    combine : how the answers for a clip's windows, (windows, outputs) float64, become one (outputs,); None: their mean.
    """

    def __init__(
        self,
        windows: Windows,
        rows: Sequence[int] | np.ndarray,
        combine: Callable[[np.ndarray], np.ndarray] | None = None,
        frame: int | None = None,
    ) -> None:
        self.rows = [int(row) for row in rows]
        self.combine = combine
        self.frame = frame
        self._clips = [windows[row] for row in self.rows]

    @torch.no_grad()
    def probabilities(
        self, network: nn.Module, probabilities: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[np.ndarray, torch.Tensor]:
        """Score every clip.

        Parameters
        ----------
        network : (features (batch, frames, bands), lengths (batch,)) → outputs.
        probabilities : outputs → what is combined over a clip's windows.

        Returns
        -------
        scores : (clips, outputs) float64, combined over each clip's windows.
        outputs : (clips, outputs) float32, the mean of the raw outputs, for the validation loss.
        """
        network.eval()
        device = next((value.device for value in network.state_dict().values()), torch.device("cpu"))
        windows = [(index, window) for index, clip in enumerate(self._clips) for window in clip]
        # Windows of like length go together, so that little is padded; sums return to their clips.
        windows.sort(key=lambda item: frames_of(item[1]))
        counts = torch.tensor([len(clip) for clip in self._clips], dtype=torch.float64)[:, None]
        sums: list[torch.Tensor] = []
        answers: list[list[np.ndarray]] = [[] for _ in self.rows]
        for start in range(0, len(windows), BATCH):
            chosen = windows[start : start + BATCH]
            features, lengths = pad([window for _, window in chosen])
            raw = network(to_device(features, device), unless_full(features, lengths)).float()
            raw = raw if self.frame is None else raw[:, self.frame]
            owners = torch.tensor([index for index, _ in chosen])
            both = torch.stack([probabilities(raw), raw]).double().cpu()
            if not sums:
                sums = [torch.zeros(len(self.rows), raw.shape[1], dtype=torch.float64) for _ in both]
            for total, part in zip(sums, both, strict=True):
                total.index_add_(0, owners, part)
            for index, answer in zip(owners.tolist(), both[0].numpy(), strict=True):
                answers[index].append(answer)
        scores, outputs = (total / counts for total in sums)
        if self.combine is None:
            return scores.numpy(), outputs.float()
        return np.stack([self.combine(np.stack(windows_of)) for windows_of in answers]), outputs.float()
