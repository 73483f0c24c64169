"""Mel per class: what the clips of a class have in common, in one picture that can be compared with the others.

Every clip's log-mel spectrogram is brought to 100 frames by averaging; means, distances and band energies are taken of
those. All panels share one set of mel bands, and one reference: 0 dB is the loudest value of all panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from earnest import frontends
from earnest.frontends import FrontEnd
from earnest.frontends._mel import hz_to_mel, mel_to_hz
from earnest.recipe import Part
from earnest.scoring._student import t_quantile
from earnest.scoring.intervals import number_groups
from earnest.training.waveforms import Waveforms

BANDS, FRAMES, MEDOIDS = 64, 100, 3
F_MIN_HZ = 50.0
RANGE_DB = 80.0
CLASSES = 24  # the most frequent ones are shown
CLIPS, SECONDS = 1200, 1800.0  # how much is looked at in all, in equal parts for the classes
NEUTRAL = ("neutral", "neu", "中性")
FRONTEND = Part(
    name="log_mel",
    options={"bands": BANDS, "f_min": F_MIN_HZ, "window_ms": 50.0, "log": "db", "floor": 1e-10, "floor_mode": "clamp"},
)
Floats = NDArray[np.float32]


def portraits(
    waveforms: Waveforms,
    targets: NDArray[np.int64],
    labels: Sequence[str],
    groups: np.ndarray | None,
    ids: Sequence[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The pictures of every class.

    Parameters
    ----------
    waveforms, targets, ids : of every clip: samples, class number, id.
    labels : names of the classes.
    groups : who speaks in each clip (None where unknown), for the intervals; None where no clip has a speaker.

    Returns
    -------
    facts : classes with their numbers of clips and groups and the ids of their medoids, bands in Hz, range in dB.
    arrays : means and differences (classes, 100, 64), medoids (pictures, 100, 64) class by class, and band, low and
        high (classes, 64): the mean energy of each band and its 95 % interval. All in dB below the loudest value, as
        float16; differences in dB.
    """
    rate = waveforms.sample_rate
    frontend = frontends.build(FRONTEND, rate)
    counts = np.bincount(targets, minlength=len(labels))
    shown = sorted(np.argsort(-counts, kind="stable")[:CLASSES].tolist())
    shown = [number for number in shown if counts[number]]
    longest = SECONDS * rate / max(float(waveforms.lengths.mean()), 1.0)
    most = max(MEDOIDS, int(min(CLIPS, longest)) // len(shown))

    classes: list[dict[str, Any]] = []
    means, medoids, energies = [], [], []
    for number in shown:
        rows = spread(np.flatnonzero(targets == number), groups, most)
        clips = np.stack([normal_mel(frontend, waveforms[row]) for row in rows])  # (clips, 100, 64)
        own = None if groups is None else groups[rows]
        middle = central(clips, own)
        means.append(clips.mean(0))
        medoids.append(clips[middle])
        energies.append(np.stack(interval(clips.mean(1), own)))
        classes.append(
            {
                "label": labels[number],
                "clips": len(rows),
                "of": int(counts[number]),
                "groups": None if own is None else len({group for group in own.tolist() if group is not None}),
                "medoids": [ids[rows[place]] for place in middle],
                "seconds": float(waveforms.lengths[rows].mean() / rate),
            }
        )
    top = max(float(pictures.max()) for pictures in (*means, *medoids))
    neutral = next((place for place, one in enumerate(classes) if one["label"].lower() in NEUTRAL), None)
    mean = np.stack(means)
    differences = mean - (mean.mean(0) if neutral is None else mean[neutral])
    band, low, high = np.stack(energies, axis=1) - top
    facts = {
        "classes": classes,
        "hidden": int((counts > 0).sum()) - len(shown),
        "neutral": None if neutral is None else classes[neutral]["label"],
        "centres_hz": centres_hz(rate),
        "range_db": RANGE_DB,
        "frames": FRAMES,
    }
    arrays = {"means": mean - top, "medoids": np.concatenate(medoids) - top, "differences": differences}
    arrays |= {"band": band, "low": low, "high": high}
    return facts, {name: value.astype(np.float16) for name, value in arrays.items()}


def spread(rows: NDArray[np.int64], groups: np.ndarray | None, most: int) -> NDArray[np.int64]:
    """At most so many rows, of as many groups as possible, chosen by a fixed seed; in rising order."""
    if len(rows) <= most:
        return rows
    drawn = np.random.default_rng(0).permutation(rows)
    if groups is not None:
        seen: dict[Any, int] = {}
        turns = []  # how many rows of the same group come before each
        for group in groups[drawn].tolist():
            turns.append(seen.get(group, 0))
            seen[group] = turns[-1] + 1
        drawn = drawn[np.argsort(turns, kind="stable")]
    return np.sort(drawn[:most])


def normal_mel(frontend: FrontEnd, waveform: np.ndarray) -> Floats:
    """A clip's log-mel spectrogram in dB, brought to (100, 64); a clip too short for one frame is padded."""
    samples = np.pad(waveform, (0, max(0, frontend.min_samples - len(waveform))))
    with torch.no_grad():
        spectrogram = frontend(torch.from_numpy(samples)[None])  # (1, frames, 64)
        even = functional.adaptive_avg_pool1d(spectrogram.transpose(1, 2), FRAMES)  # (1, 64, 100)
    return even[0].T.numpy()


def central(clips: Floats, groups: np.ndarray | None) -> list[int]:
    """The medoid and those next to it: smallest mean distance to the class's other clips, of different groups first."""
    flat = clips.reshape(len(clips), -1).astype(np.float64)
    squares = (flat**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * flat @ flat.T, 0))  # (clips, clips)
    order = np.argsort(distances.mean(1), kind="stable").tolist()
    seen: set[Any] = set()
    first: list[int] = []
    later: list[int] = []
    for place in order:
        group = place if groups is None or groups[place] is None else groups[place]
        (later if group in seen else first).append(place)
        seen.add(group)
    return [*first, *later][:MEDOIDS]


def interval(energies: Floats, groups: np.ndarray | None, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Mean of each band over clips (clips, bands), with its interval: delete-one-group jackknife, Student's t.

    Without true groups single clips are left out in turn. A single clip has an empty interval.
    """
    numbers, count, _ = number_groups(groups, len(energies))
    totals = np.zeros((count, energies.shape[1]))
    np.add.at(totals, numbers, energies)
    sizes = np.bincount(numbers, minlength=count)[:, None].astype(np.float64)
    mean = totals.sum(0) / sizes.sum()
    if count == 1:
        return (mean.astype(np.float32),) * 3
    left = (totals.sum(0) - totals) / (sizes.sum() - sizes)  # (groups, bands)
    error = np.sqrt((count - 1) / count * ((left - mean) ** 2).sum(0))
    reach = t_quantile((1 + level) / 2, count - 1) * error
    low, high = mean - reach, mean + reach
    return mean.astype(np.float32), low.astype(np.float32), high.astype(np.float32)


def centres_hz(sample_rate: int) -> list[float]:
    """The centre of each mel band in Hz."""
    low, high = hz_to_mel(np.array([F_MIN_HZ, sample_rate / 2]), "htk")
    centres = mel_to_hz(np.linspace(low, high, BANDS + 2)[1:-1], "htk")
    return [round(float(hz), 1) for hz in centres]
