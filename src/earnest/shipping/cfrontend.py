"""The front end in C, for microcontrollers: a folder of plain C99 that gives the features a model was trained on.

    earnest_frontend.h, .c   the same for every recipe: samples in blocks of any length, one frame out per hop
    frontend_settings.h      the recipe's numbers, and what they cost in memory and arithmetic
    frontend_tables.h        window, roots of unity, mel weights, cosines, mean and deviation
    golden.h, selftest.c     samples with the features that Python makes of them, and a program that compares

No library but <math.h> and <string.h>, no heap. Numbers are worked out here, in float64, and written as float32: the
device computes none of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earnest import frontends
from earnest.errors import BundleError
from earnest.files import atomic_write_text
from earnest.frontends._compression import FACTORS, Differences, cosine_matrix, lifter_weights
from earnest.frontends._framing import window_function
from earnest.frontends._mel import mel_filters
from earnest.frontends._spectral import SpectralFrontEnd
from earnest.recipe import Part
from earnest.shipping.csource import array, defines, header
from earnest.training.pipeline import AnyNormaliser, Normaliser

SOURCES = Path(__file__).parent / "c"
GIVEN = ("earnest_frontend.h", "earnest_frontend.c", "selftest.c")
SUPPORTED = ("spectrogram", "log_mel", "fbank", "mfcc")
POINTER_BYTES = 4

FRAMES_FOR = """/* How many frames come out of so many samples, EARNEST_MIN_SAMPLES or more. */
#define EARNEST_FRAMES_FOR(samples) (1 + ((samples) + EARNEST_LEFT + EARNEST_RIGHT - EARNEST_WINDOW) / EARNEST_HOP)
"""


@dataclass(frozen=True)
class CFrontend:
    """What a front end costs on a device.

    Attributes
    ----------
    directory : where the C sources lie.
    state_bytes : RAM of one stream, where a pointer has four bytes; nothing else is allocated.
    table_bytes : constants, in read-only memory.
    operations_per_frame : real additions and multiplications; a logarithm, a root or a power counts as one.
    """

    directory: Path
    state_bytes: int
    table_bytes: int
    operations_per_frame: int


def write_c_frontend(
    directory: str | os.PathLike[str],
    part: Part,
    sample_rate: int,
    normaliser: AnyNormaliser,
    window_samples: int,
    *,
    name: str = "run",
) -> CFrontend:
    """Write the C sources of a recipe's front end and normaliser.

    Parameters
    ----------
    directory : made where it is missing; files of the same names are replaced.
    part : the recipe's front end: `spectrogram`, `log_mel`, `fbank` or `mfcc`, with any of their numbers but `top_db`.
    sample_rate : Hz of the audio it will take.
    normaliser : fitted on the training rows; its mean and deviation stand in the tables.
    window_samples : length of the model's input; the golden samples are as long, up to a second.
    name : the recipe's name, for the reader of the files.

    Raises
    ------
    BundleError : there is no C form of this front end, or the normaliser does not fit it.
    RecipeError : an option is unknown, or the numbers do not fit together at this sample rate.
    StorageError : a file cannot be written.
    """
    frontend = _spectral(part, sample_rate)
    if not isinstance(normaliser, Normaliser) or len(normaliser.mean) != frontend.bands:
        raise BundleError(
            f"the normaliser does not belong to the front end {part.name}, which has {frontend.bands} bands.",
            "Give the normaliser that was fitted on this front end's features.",
        )
    tables = _tables(frontend, normaliser)
    settings = _settings(frontend, window_samples)
    costs = {
        "STATE_BYTES": _state_bytes(settings),
        "TABLE_BYTES": sum(table.nbytes for table in tables.values()),
        "OPERATIONS": _operations(settings, tables),
    }
    numbers = ", ".join(f"{key} {value}" for key, value in asdict(frontend.config).items())
    about = f"Recipe {name}, front end {part.name} at {sample_rate} Hz: {numbers}."
    texts = {file: (SOURCES / file).read_text("utf-8") for file in GIVEN}
    texts["frontend_settings.h"] = header("FRONTEND_SETTINGS", about, [defines(settings | costs), FRAMES_FOR])
    arrays = [array(f"earnest_{key}", table) for key, table in tables.items()]
    texts["frontend_tables.h"] = header("FRONTEND_TABLES", about, arrays)
    texts["golden.h"] = header("GOLDEN", about, _golden(frontend, normaliser, window_samples))
    for file, text in texts.items():
        atomic_write_text(Path(directory) / file, text)
    return CFrontend(Path(directory), costs["STATE_BYTES"], costs["TABLE_BYTES"], costs["OPERATIONS"])


def _spectral(part: Part, sample_rate: int) -> SpectralFrontEnd:
    """The front end, if it has a C form."""
    frontends.resolve(part)
    frontend = frontends.build(part, sample_rate) if part.name in SUPPORTED else None
    if not isinstance(frontend, SpectralFrontEnd):
        raise BundleError(
            f"the front end {part.name} has no form in C.",
            f"Choose one of {', '.join(SUPPORTED)}, or ship the model with raw audio as its input.",
        )
    if frontend.config.top_db is not None:
        raise BundleError(
            f"the front end {part.name} with top_db {frontend.config.top_db:g} has no form in C: it needs the clip's "
            "maximum before the first frame.",
            "Train with top_db: null.",
        )
    return frontend


def _settings(frontend: SpectralFrontEnd, window_samples: int) -> dict[str, int | float]:
    """What the C sources read, by their names there without `EARNEST_`."""
    config, framing = frontend.config, frontend.framing
    points, factors = _factors(framing.n_fft)
    bins = framing.n_fft // 2 + 1
    order = getattr(config, "order", 1)
    bands = getattr(config, "bands", bins)
    return {
        "SAMPLE_RATE": frontend.sample_rate,
        "WINDOW_SAMPLES": window_samples,
        "WINDOW": framing.window,
        "HOP": framing.hop,
        "N_FFT": framing.n_fft,
        "LEFT": framing.left,
        "RIGHT": framing.right,
        "REFLECT": int(framing.mode == "reflect"),
        "MIN_SAMPLES": frontend.min_samples,
        "BUFFER": max(framing.window + max(0, -framing.right), 2 * framing.left + 1),
        "REMOVE_DC": int(config.remove_dc),
        "PRE_EMPHASIS": float(config.pre_emphasis),
        "POINTS": points,
        "STAGES": len(factors),
        "LARGEST_PRIME": max([1, *(factor for factor in factors if factor % 2)]),
        "BINS": bins,
        "POWER": float(config.power),
        "MEL": int(hasattr(config, "bands")),
        "BANDS": bands,
        "LOG": int(config.log != "none"),
        "CLAMP": int(config.floor_mode == "clamp"),
        "FLOOR": float(config.floor),
        "LOG_SCALE": float(FACTORS.get(config.log, 1.0)),
        "OFFSET": float(config.offset),
        "FACTOR": float(config.factor),
        "CEPSTRA": getattr(config, "n_mfcc", 0),
        "ENERGY": int(getattr(config, "energy", False)),
        "SCALE": float(config.scale),
        "STATICS": frontend.bands // order,
        "ORDER": order,
        "SAVGOL": int(getattr(config, "difference", "") == "savgol"),
        "WIDTH": getattr(config, "difference_width", 1),
        "FEATURES": frontend.bands,
    }


def _tables(frontend: SpectralFrontEnd, normaliser: Normaliser) -> dict[str, np.ndarray]:
    """The constant tables that the C sources read, by their names there without `earnest_`."""
    config, framing = frontend.config, frontend.framing
    points, factors = _factors(framing.n_fft)
    tables = {
        "window": config.scale * window_function(config.window, framing.window, config.periodic),
        "factors": np.array(factors or [1]),
        "positions": _positions(points, factors),
        "roots": _roots(points, np.arange(points)),
    }
    if framing.n_fft % 2 == 0:
        tables["half_roots"] = _roots(framing.n_fft, np.arange(points // 2 + 1))
    if hasattr(config, "bands"):
        filters = mel_filters(config, frontend.sample_rate, framing.n_fft).T
        used = [np.flatnonzero(row) for row in filters]
        tables["band_starts"] = np.array([found[0] if len(found) else 0 for found in used])
        tables["band_bins"] = np.array([found[-1] + 1 - found[0] if len(found) else 0 for found in used])
        ends = tables["band_starts"] + tables["band_bins"]
        weights = [row[start:end] for row, start, end in zip(filters, tables["band_starts"], ends, strict=True)]
        tables["weights"] = np.concatenate([*weights, [0.0]])  # C has no empty tables
    if hasattr(config, "n_mfcc"):
        weights_of = lifter_weights(config.n_mfcc, config.lifter, config.lifter_offset)
        tables["cosines"] = (cosine_matrix(config.bands, config.n_mfcc) * weights_of).T.ravel()
    if getattr(config, "order", 1) > 1:
        differences = Differences(config.order, config.difference_width, config.difference)
        kernels = differences.slope if config.difference == "regression" else differences.fits
        tables["differences"] = kernels.double().numpy().ravel()
    tables["mean"] = normaliser.mean.double().cpu().numpy()
    tables["inverse_deviation"] = 1 / normaliser.deviation.double().cpu().numpy()
    return {name: _narrow(table) for name, table in tables.items()}


def _narrow(table: np.ndarray) -> np.ndarray:
    """Numbers as float32, whole numbers as the smaller of two unsigned types that holds them."""
    if table.dtype.kind == "f":
        return table.astype(np.float32)
    return table.astype(np.uint16 if table.max() < 1 << 16 else np.uint32)


def _factors(n_fft: int) -> tuple[int, list[int]]:
    """Points of the complex transform (half of n_fft, where that is even) and its radices, in the order of stages."""
    points = n_fft // 2 if n_fft % 2 == 0 else n_fft
    rest, radix = points, 4
    factors = []
    while rest > 1:
        while rest % radix:
            radix = {4: 2, 2: 3}.get(radix, radix + 2)
        factors.append(radix)
        rest //= radix
    return points, factors


def _positions(points: int, factors: list[int]) -> np.ndarray:
    """Where each value must stand, so that the stages can work in place: its digits in mixed radices, reversed."""
    rest, size = np.arange(points), points
    positions = np.zeros(points, dtype=np.int64)
    for factor in reversed(factors):
        size //= factor
        positions += rest % factor * size
        rest //= factor
    return positions


def _roots(points: int, numbers: np.ndarray) -> np.ndarray:
    """exp(-2πi n / points) as (numbers, 2): real and imaginary parts."""
    angle = 2 * np.pi * numbers / points
    return np.stack([np.cos(angle), -np.sin(angle)], axis=1)


def _state_bytes(settings: Mapping[str, Any]) -> int:
    """The size of `EarnestFrontend` in bytes; the C source holds itself to it."""
    s = settings
    words = 4 + s["BUFFER"] + 2 * s["POINTS"] + s["MEL"] * s["BANDS"] + s["FEATURES"]
    if s["LARGEST_PRIME"] > 2:
        words += 2 * s["LARGEST_PRIME"]
    if s["ORDER"] > 1:
        histories = 2 if s["ORDER"] == 3 and not s["SAVGOL"] else 1
        words += 1 + histories * s["WIDTH"] * s["STATICS"] + (s["ORDER"] - 1) * s["STATICS"]
    return 2 * POINTER_BYTES + 4 * int(words)


def _operations(settings: Mapping[str, Any], tables: Mapping[str, np.ndarray]) -> int:
    """Real additions and multiplications for one frame."""
    s = settings
    count = s["WINDOW"] * (1 + 2 * s["REMOVE_DC"] + 2 * (s["PRE_EMPHASIS"] > 0) + 5 * s["ENERGY"])
    for radix in tables["factors"].tolist():
        # Each value is turned (6); then 16 additions of real numbers, 4, or radix² turns and complex additions.
        each = {1: 0, 2: 6 + 4, 4: 18 + 16}.get(radix, 6 * radix + 8 * radix * (radix - 1))
        count += each * s["POINTS"] // radix
    count += 3 * s["BINS"] if s["N_FFT"] % 2 else 24 * (s["POINTS"] // 2 + 1)
    count += s["BINS"] * (s["POWER"] != 2)
    count += 2 * len(tables["weights"]) if s["MEL"] else 0
    count += 5 * s["BANDS"] + 2 * s["BANDS"] * s["CEPSTRA"]
    count += 2 * s["WIDTH"] * s["STATICS"] * (s["ORDER"] - 1) + 2 * s["FEATURES"]
    return int(count)


def _golden(frontend: SpectralFrontEnd, normaliser: Normaliser, window_samples: int) -> list[str]:
    """Samples and their features as C tables."""
    count = max(frontend.min_samples, min(window_samples, frontend.sample_rate))
    samples = _golden_samples(count, frontend.sample_rate)
    with torch.no_grad():
        audio = torch.from_numpy(samples.astype(np.float32) / 32768)
        features = normaliser(frontend(audio.unsqueeze(0)))[0].numpy()
    sizes = f"#define GOLDEN_SAMPLES {count}\n#define GOLDEN_FRAMES {len(features)}\n"
    return [sizes, array("golden_samples", samples), array("golden_features", features.ravel())]


def _golden_samples(count: int, sample_rate: int) -> np.ndarray:
    """Four quarters: a tone rising through all frequencies, quiet noise, silence, noise driven beyond full scale.

    There is noise beside the tone, so that no band holds only what single precision leaves of another.
    """
    rng = np.random.default_rng(0)
    time = np.arange(count) / sample_rate
    noise = rng.standard_normal(count)
    end = time[count // 4] or 1.0
    rising = 0.03 * np.sin(2 * math.pi * (50 + 0.2 * sample_rate * time / end) * time) + 0.01 * noise
    quarter = 4 * np.arange(count) // count
    samples = np.select([quarter == 0, quarter == 1, quarter == 3], [rising, 0.001 * noise, noise], 0.0)
    return np.clip(np.round(32768 * samples), -32768, 32767).astype(np.int16)
