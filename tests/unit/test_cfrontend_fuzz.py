"""The front end in C on configurations and samples that nobody chose, under the compiler's sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earnest import frontends
from earnest.errors import EarnestError
from earnest.frontends._base import FrontEnd
from earnest.recipe import Part
from earnest.shipping.cfrontend import write_c_frontend
from earnest.training.pipeline import Normaliser

CC = shutil.which("cc")
DRIVER = Path(__file__).with_name("cfrontend_driver.c")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wdouble-promotion", "-Werror"]
SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LIMIT = 1e-4  # in normalised units, for nearly all features of noise
RARE = 1e-3  # for the rest: a bin of a spectrum that is nearly nothing, whose logarithm magnifies rounding
TURNS = 6  # streams for each configuration
ODD = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42, 1e6, 0.0], np.float32)

pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler, cc")


def drawn(rng: np.random.Generator) -> tuple[Part, int]:
    """A front end that has a form in C, most numbers of it at random, and a sample rate."""

    def choice(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    sample_rate = int(choice(8_000, 11_025, 16_000, 22_050, 44_100))
    window = int(rng.integers(32, 900))
    options: dict[str, Any] = {
        "window_samples": window,
        "n_fft": window + int(choice(0, 0, 1, int(rng.integers(0, 200)))),
        "hop_samples": int(rng.integers(8, 2 * window)),
        "pad": choice("none", "constant", "reflect"),
        "window": choice("hann", "hamming", "blackman"),
        "log": choice("natural", "log10", "db"),
        "power": float(choice(1.0, 2.0, 1.5)),
        "pre_emphasis": float(choice(0.0, 0.97)),
        "remove_dc": bool(choice(False, True)),
        "drop_last": bool(choice(False, True)),
    }
    name = choice("spectrogram", "log_mel", "fbank", "mfcc")
    if name != "spectrogram":
        options |= {"bands": int(rng.integers(4, 24)), "order": int(choice(1, 2, 3))}
    if name == "mfcc":
        options["n_mfcc"] = int(rng.integers(2, options["bands"] + 1))
    return Part(name=name, options=options), sample_rate


def compiled(folder: Path, part: Part, sample_rate: int) -> tuple[FrontEnd, Normaliser]:
    """The configuration in Python, and its program `checked` in the folder; skips where there are no sanitizers."""
    frontend = frontends.build(part, sample_rate)
    normaliser = Normaliser(frontend.bands)
    samples = max(sample_rate, 8 * frontend.min_samples)
    with torch.no_grad():
        normaliser.fit(frontend(torch.from_numpy(level * noise(samples, 7))[None])[0] for level in (1e-3, 0.02, 0.3))
    write_c_frontend(folder, part, sample_rate, normaliser, samples, name="drawn")
    sources = [DRIVER, folder / "earnest_frontend.c"]
    plain = [str(CC), *STRICT, f"-I{folder}"]
    strict = subprocess.run([*plain, "-O2", *sources, "-lm", "-o", folder / "driver"], capture_output=True, text=True)
    assert strict.returncode == 0, strict.stderr
    done = subprocess.run([*plain, *SANITIZE, *sources, "-lm", "-o", folder / "checked"], capture_output=True)
    if done.returncode:
        pytest.skip("the C compiler has no sanitizers")
    return frontend, normaliser


def noise(samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def run(folder: Path, samples: np.ndarray, block: int, bands: int) -> np.ndarray:
    command = [folder / "checked", "int16" if samples.dtype == np.int16 else "float", str(block)]
    done = subprocess.run(command, input=samples.tobytes(), capture_output=True, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stderr.decode())
    return np.frombuffer(done.stdout, np.float32).reshape(-1, bands)


def expected(frontend: FrontEnd, normaliser: Normaliser, samples: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        features: np.ndarray = normaliser(frontend(torch.from_numpy(samples)[None]))[0].numpy()
    return features


def fuzz(folder: Path, seed: int, turns: int) -> None:
    """One configuration: right features on noise, and the right number of frames, cleanly, on anything else."""
    rng = np.random.default_rng(seed)
    part, sample_rate = drawn(rng)
    try:
        frontend, normaliser = compiled(folder, part, sample_rate)
    except EarnestError as error:  # such as bands that lie between two frequencies: refused before there is any C
        pytest.skip(f"seed {seed} draws what a recipe may not say: {error}")
    framing = frontend.framing
    assert framing is not None
    differences = []  # of all streams together: a short one has too few features for a thousandth to be rare in it
    for turn in range(turns):
        count = frontend.min_samples + int(rng.integers(0, 8 * framing.window))
        samples = (0.1 * noise(count, turn)).astype(np.float32)
        block = int(rng.choice([0, 1, framing.hop, -1 - turn]))
        found = run(folder, samples, block, frontend.bands)
        difference = np.abs(found - expected(frontend, normaliser, samples))
        differences.append(difference.ravel())
        assert difference.max() <= RARE, (part, sample_rate, count, block, float(difference.max()))
        spoilt = samples.copy()
        spoilt[rng.integers(0, count, 5)] = rng.choice(ODD, 5)
        loud = rng.integers(-32768, 32768, count).astype(np.int16)
        bits = rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
        for strange in (spoilt, loud, bits):
            assert len(run(folder, strange, block, frontend.bands)) == frontend.frames_for(count), (part, count, block)
    assert np.quantile(np.concatenate(differences), 0.999) <= LIMIT, (part, sample_rate)


@pytest.mark.parametrize("seed", range(6))
def test_drawn_configurations(tmp_path: Path, seed: int) -> None:
    fuzz(tmp_path, seed, TURNS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1040))
def test_many_drawn_configurations(tmp_path: Path, seed: int) -> None:
    fuzz(tmp_path, seed, 3 * TURNS)
