"""Batches of features: crop → augment → front end → augment → pad, each clip from its own random stream.

Whatever is random about a clip is drawn from (seed, epoch, row), and the order of an epoch from (seed, epoch); so a
batch is the same whichever process or worker makes it, and after a restart in the middle of a training.

Features are one tensor, or with several front ends a tuple of one for each channel; so are their lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from earnest.augment import Augmentation, rng_for
from earnest.frontends import Features, FrontEnd, per_channel
from earnest.training.inputs import Inputs
from earnest.training.store import Windows, extract
from earnest.training.waveforms import Waveforms

# features (batch, frames, bands), lengths (batch,) in frames, targets (batch, …)
Batch = tuple[Features, Features, torch.Tensor]
Example = tuple[Features, torch.Tensor]

ORDER = 2**31 - 1  # the "row" whose random stream shuffles an epoch
MIXING = 2**31 - 2  # the first "row" of the streams that mix batches; batch k uses MIXING - k


@dataclass
class Examples(Dataset[Example]):
    """Clips of one fold's training rows, as the model sees them.

    Attributes
    ----------
    waveforms, targets : all clips of the table, and their targets (clips, …) float32.
    frontend : audio (batch, samples) → (batch, frames, bands), never trained.
    inputs, augmentation : the recipe's rules.
    seed, epoch : where the random streams start; the loop advances `epoch`.
    stored : features of the clips as they are, where they are kept on disk; otherwise they are computed when asked for.
    by_frame : targets of the clips' frames (clips, frames, outputs) float32, which are trained on in the place of the
        clips' own where there are any.
    """

    waveforms: Waveforms
    targets: np.ndarray
    frontend: FrontEnd
    inputs: Inputs
    augmentation: Augmentation
    seed: int
    epoch: int = 0
    stored: Windows | None = None
    by_frame: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._kept: dict[int, Features] = {}
        self.windows = self.stored or Windows(self.waveforms, self.inputs, self.frontend)

    def __getitems__(self, rows: Sequence[int]) -> list[Example]:
        """One batch: features (frames, bands) and target of each row."""
        streams = [rng_for(self.seed, self.epoch, row) for row in rows]
        features = self._features(rows, streams)
        targets = self.targets if self.by_frame is None else self.by_frame
        return [
            (
                self.frontend.vary(clip, partial(self.augmentation.features, rng=rng)),
                torch.from_numpy(targets[row]),
            )
            for row, clip, rng in zip(rows, features, streams, strict=True)
        ]

    def __getitem__(self, row: int) -> Example:
        return self.__getitems__([row])[0]

    def plain(self, row: int) -> Features:
        """Features of one clip without augmentation, for the normaliser: all windows that cover it, joined in time."""
        windows = self.windows[row]
        if isinstance(windows[0], tuple):
            return tuple(torch.cat(channel) for channel in zip(*windows, strict=True))
        return torch.cat(windows)  # type: ignore[arg-type]

    def _features(self, rows: Sequence[int], streams: Sequence[np.random.Generator]) -> list[Features]:
        if not self.augmentation.touches_waveform:
            return [self._unchanging(row, rng) for row, rng in zip(rows, streams, strict=True)]
        rate = self.waveforms.sample_rate
        waves = [
            self.inputs.crop(self.augmentation.waveform(self._before(row, rng), rng, rate), rng)
            for row, rng in zip(rows, streams, strict=True)
        ]
        return extract(self.frontend, waves)

    def _before(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """What waveform augmentation starts from.

        A short clip already stands in its silence, so that shifts move it there and noise covers all of the window. Of
        a long one, a piece twice the window, so that augmenting it costs no more than what is used.
        """
        waveform = self.waveforms[row]
        if len(waveform) <= 2 * self.inputs.window:
            return np.array(self.inputs.fit(waveform))
        start = int(rng.integers(len(waveform) - 2 * self.inputs.window + 1))
        return np.array(waveform[start : start + 2 * self.inputs.window])

    def _unchanging(self, row: int, rng: np.random.Generator) -> Features:
        """Features of a clip whose waveform is not augmented; computed once where no crop is drawn."""
        waveform = self.waveforms[row]
        if len(waveform) > self.inputs.window:
            return extract(self.frontend, [self.inputs.crop(waveform, rng)])[0]
        if row not in self._kept:
            self._kept[row] = self.windows[row][0]
        return self._kept[row]


def frames_of(clip: Features) -> int:
    """Frames of one clip's features (frames, bands), in the first channel where there are several."""
    return len(clip[0] if isinstance(clip, tuple) else clip)


def pad(clips: Sequence[Features]) -> tuple[Features, Features]:
    """(frames, bands) of several clips → (batch, longest, bands) with zeros behind, and lengths (batch,) in frames."""
    if isinstance(clips[0], tuple):
        channels = [_pad(channel) for channel in zip(*clips, strict=True)]
        return tuple(features for features, _ in channels), tuple(lengths for _, lengths in channels)
    return _pad(clips)


def _pad(clips: Sequence[Features]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    return nn.utils.rnn.pad_sequence(list(clips), batch_first=True), lengths  # type: ignore[arg-type]


def unless_full(features: Features, lengths: Features) -> Features | None:
    """The lengths (batch,) of a padded batch, or None where no clip is padded: a network then spares its masks."""
    if isinstance(features, tuple):
        padded = any(unless_full(*channel) is not None for channel in zip(features, lengths, strict=True))
        return lengths if padded else None
    return None if bool((lengths == features.shape[1]).all()) else lengths  # type: ignore[union-attr]


def to_device(features: Features, device: torch.device) -> Features:
    """Features on a device."""
    return per_channel(lambda channel: channel.to(device), features)


def collate(examples: Sequence[Example]) -> Batch:
    """Examples → one padded batch."""
    features, lengths = pad([clip for clip, _ in examples])
    return features, lengths, torch.stack([target for _, target in examples])


class Epochs:
    """The training batches of any epoch.

    Rows are shuffled anew each epoch; the last, smaller batch is used unless it holds a single clip, which batch
    normalisation cannot take: then it joins the batch before.
    """

    def __init__(self, examples: Examples, rows: np.ndarray, batch_size: int, workers: int) -> None:
        self.examples = examples
        self.rows = rows
        self.batch_size = batch_size
        self.workers = workers

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._cut(self.rows))

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch (counted from 0), mixed if the recipe says so."""
        self.examples.epoch = epoch
        loader: DataLoader[Example] = DataLoader(
            self.examples,
            batch_sampler=self.draw(epoch),
            collate_fn=collate,
            num_workers=self.workers,
        )
        for index, (features, lengths, targets) in enumerate(loader):
            rng = rng_for(self.examples.seed, epoch, MIXING - index)
            yield self.examples.augmentation.mix(features, lengths, targets, rng)

    def draw(self, epoch: int) -> list[list[int]]:
        """The rows of each batch of an epoch."""
        return self._cut(rng_for(self.examples.seed, epoch, ORDER).permutation(self.rows))

    def _cut(self, order: np.ndarray) -> list[list[int]]:
        cuts = [order[start : start + self.batch_size].tolist() for start in range(0, len(order), self.batch_size)]
        if len(cuts) > 1 and len(cuts[-1]) == 1:
            last = cuts.pop()
            cuts[-1] += last
        return cuts
