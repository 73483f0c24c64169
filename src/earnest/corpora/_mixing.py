"""Mixtures of speech, noise and silence whose labels are exact, because they are made from clean speech.

    clean speech of a talker ─ energy ─► where it is ─┐
    pauses of random length ──────────────────────────┼─► turns ─ room ─┐
    further talkers, each in turns of their own ──────┴─► turns ─ room ─┼─► mixture and its stretches of speech
    noise at a random level ────────────────────────────────────────────┘

A frame of clean speech counts as speech where its energy is within 30 dB of the loudest part of its recording; breaks
of less than 200 ms belong to the speech, bursts of less than 50 ms do not. That holds for recordings that are clean:
what stands 30 dB below the speech in them must be no speech. What a room adds behind the end of a word is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

FRAME_S = 0.01
RANGE_DB, LOUD = 30.0, 0.95  # below the level that so many of the frames do not reach
BREAK_S, BURST_S = 0.2, 0.05
FLOOR = 1e-8  # power below which nothing is speech


@dataclass(frozen=True)
class Plan:
    """How mixtures are made.

    Attributes
    ----------
    seconds : length of a mixture.
    pauses_s : shortest and longest silence before, between and behind pieces of speech.
    speech_s : the longest piece of a recording that is taken at once.
    snr_db : lowest and highest level of speech over noise.
    level_db : lowest and highest level of the speech, root mean square over full scale.
    turn_db : lowest and highest level of a turn beside the others.
    alone : share of mixtures with noise alone, and as many without noise.
    """

    seconds: float = 8.0
    pauses_s: tuple[float, float] = (0.2, 2.0)
    speech_s: float = 4.0
    snr_db: tuple[float, float] = (0.0, 30.0)
    level_db: tuple[float, float] = (-45.0, -15.0)
    turn_db: tuple[float, float] = (0.0, 0.0)
    alone: float = 0.15


def speech_frames(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Which frames of 10 ms of a clean recording are speech, (frames,) bool; a rest that fills no frame is left out."""
    size = round(FRAME_S * sample_rate)
    frames = len(samples) // size
    if not frames:
        return np.zeros(0, dtype=bool)
    power = np.mean(samples[: frames * size].reshape(frames, size).astype(np.float64) ** 2, axis=1)
    loud = float(np.quantile(power, LOUD))
    active = power > max(loud * 10 ** (-RANGE_DB / 10), FLOOR)
    active = without_short(active, round(BREAK_S / FRAME_S), value=False)
    return without_short(active, round(BURST_S / FRAME_S), value=True)


def without_short(frames: np.ndarray, least: int, *, value: bool) -> np.ndarray:
    """Frames in which runs of `value` shorter than `least` have become the other value; runs at the ends stay off."""
    result = frames.copy()
    for start, stop in runs(frames, value=value):
        at_end = start == 0 or stop == len(frames)
        if stop - start < least and (value or not at_end):
            result[start:stop] = not value
    return result


def runs(frames: np.ndarray, *, value: bool = True) -> list[tuple[int, int]]:
    """Begin and end of each run of a value, in frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], frames == value, [False]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def mix(
    speech: Sequence[np.ndarray],
    noise: np.ndarray | None,
    plan: Plan,
    sample_rate: int,
    rng: np.random.Generator,
    *,
    others: Sequence[Sequence[np.ndarray]] = (),
    room: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """One mixture.

    Parameters
    ----------
    speech : clean recordings (samples,) to take in this order, as many as there is room for; none: noise alone.
    noise : (samples,), repeated where it is shorter than the mixture; None: none.
    plan, sample_rate, rng : how, in Hz, and where chance comes from.
    others : recordings of further talkers, who speak at the same time.
    room : what a talker's turns sound like in a room, (samples,) → the same number of samples; None: as they are.

    Returns
    -------
    samples : (samples,) float32 within ±1.
    frames : (frames of 10 ms,) bool, where speech is.
    """
    sound, active = turns(speech, plan, sample_rate, rng)
    for talker in others:
        more, there = turns(talker, plan, sample_rate, rng)
        sound, active = sound + more, active | there
    heard = np.repeat(active, round(FRAME_S * sample_rate))
    if room is not None and heard.any():
        sound = room(sound)
    level = 10 ** (rng.uniform(*plan.level_db) / 20)
    if heard.any():
        sound *= np.float32(level / max(float(np.sqrt(np.mean(sound[heard] ** 2))), 1e-6))
    if noise is not None and len(noise):
        start = int(rng.integers(len(noise)))
        under = noise[(start + np.arange(len(sound))) % len(noise)]
        power = float(np.sqrt(np.mean(under.astype(np.float64) ** 2)))
        below = 10 ** (-rng.uniform(*plan.snr_db) / 20) if heard.any() else 1.0
        sound += under * np.float32(level * below / max(power, 1e-6))
    return np.clip(sound, -1, 1), active


def turns(
    speech: Sequence[np.ndarray], plan: Plan, sample_rate: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One talker: recordings with pauses between them, (samples,) float32, and where speech is, (frames,) bool."""
    size = round(FRAME_S * sample_rate)
    length = round(plan.seconds / FRAME_S)  # in frames, as are all places below
    sound, active = np.zeros(length * size, np.float32), np.zeros(length, dtype=bool)
    at = _pause(plan, rng)
    for clip in speech:
        piece = _piece(clip, plan, sample_rate, rng)
        labels = speech_frames(clip, sample_rate)[piece]
        count = min(len(labels), length - at)
        if count <= 0:
            break
        first, gain = piece.start * size, np.float32(10 ** (rng.uniform(*plan.turn_db) / 20))
        sound[at * size : (at + count) * size] = gain * clip[first : first + count * size]
        active[at : at + count] = labels[:count]
        at += count + _pause(plan, rng)
    return sound, active


def _pause(plan: Plan, rng: np.random.Generator) -> int:
    """Frames of silence."""
    return round(float(rng.uniform(*plan.pauses_s)) / FRAME_S)


def _piece(clip: np.ndarray, plan: Plan, sample_rate: int, rng: np.random.Generator) -> slice:
    """Frames of a recording: all of a short one, a random stretch of a longer one."""
    frames, most = len(clip) // round(FRAME_S * sample_rate), round(plan.speech_s / FRAME_S)
    start = int(rng.integers(frames - most + 1)) if frames > most else 0
    return slice(start, min(frames, start + most))
