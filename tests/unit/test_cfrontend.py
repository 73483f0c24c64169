"""The front end in C gives what the front end in Python gives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earnest import audio, frontends
from earnest.errors import BundleError, DataError, RecipeError
from earnest.frontends._base import FrontEnd
from earnest.frontends._framing import window_function
from earnest.frontends._mel import mel_filters
from earnest.recipe import Part
from earnest.shipping.cfrontend import CFrontend, write_c_frontend
from earnest.training.pipeline import ChannelNormaliser, Normaliser

CC = shutil.which("cc")
DRIVER = Path(__file__).with_name("cfrontend_driver.c")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wdouble-promotion", "-Werror"]
LIMIT = 1e-3  # in normalised units, where a band's deviation is 1: what single precision leaves beside a loud sound

CASES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "log_mel": (16_000, "log_mel", {}),
    "deltas": (16_000, "log_mel", {"bands": 40, "order": 2}),
    "whisper": (16_000, "log_mel", {"preset": "whisper", "top_db": None}),
    "decibels": (22_050, "log_mel", {"preset": "librosa", "top_db": None}),
    "torchaudio": (8_000, "log_mel", {"preset": "torchaudio", "top_db": None, "bands": 40}),
    "slaney": (44_100, "log_mel", {"bands": 96, "mel_scale": "slaney", "f_min": 50, "f_max": 14_000, "order": 3}),
    "fbank": (16_000, "fbank", {}),
    "kaldi": (8_000, "fbank", {"preset": "kaldi", "order": 2, "difference": "savgol"}),
    "mfcc": (16_000, "mfcc", {"n_mfcc": 13, "order": 3}),
    "mfcc 800": (16_000, "mfcc", {"n_mfcc": 13, "order": 3, "window_samples": 800, "n_fft": 800, "hop_samples": 512}),
    "mfcc librosa": (22_050, "mfcc", {"preset": "librosa", "top_db": None, "order": 3, "lifter": 22}),
    "mfcc kaldi": (16_000, "mfcc", {"preset": "kaldi", "order": 3}),
    "magnitudes": (16_000, "spectrogram", {"log": "none", "power": 1.0}),
    "hamming": (16_000, "spectrogram", {"window_ms": 40, "n_fft": 800, "window": "hamming", "drop_last": True}),
    "cube": (11_025, "spectrogram", {"power": 1.5, "log": "log10", "window": "blackman", "pad": "constant"}),
    "odd": (16_000, "log_mel", {"n_fft": 405, "window_samples": 405, "hop_samples": 161, "bands": 20}),
    "prime": (16_000, "log_mel", {"n_fft": 401, "bands": 20, "order": 2, "difference_width": 5}),
    "gaps": (16_000, "log_mel", {"hop_samples": 1000, "window_samples": 300, "bands": 20}),
    "no gaps": (16_000, "log_mel", {"hop_samples": 512, "window_samples": 512, "bands": 20, "pad": "none"}),
    "half": (16_000, "log_mel", {"hop_samples": 256, "window_samples": 512, "bands": 20}),
    "waits": (16_000, "log_mel", {"hop_samples": 300, "pad": "none", "drop_last": True, "bands": 20}),
    "waits, centred": (16_000, "log_mel", {"hop_ms": 20, "pad": "constant", "drop_last": True, "bands": 20}),
    "tiny": (8_000, "spectrogram", {"window_samples": 5, "n_fft": 6, "hop_samples": 1}),
    "tiny, odd": (8_000, "spectrogram", {"window_samples": 4, "n_fft": 9, "hop_samples": 2, "pad": "constant"}),
    "one sample": (8_000, "spectrogram", {"window_samples": 1, "n_fft": 2, "hop_samples": 3}),
}

pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler, cc")


@dataclass(frozen=True)
class Built:
    """A case: what Python computes, and where the C sources and the driver lie."""

    frontend: FrontEnd
    normaliser: Normaliser
    facts: CFrontend

    def expected(self, samples: np.ndarray) -> np.ndarray:
        """Normalised features of int16 or float32 samples: (frames, bands)."""
        scaled = samples.astype(np.float32) / 32768 if samples.dtype == np.int16 else samples
        with torch.no_grad():
            features: np.ndarray = self.normaliser(self.frontend(torch.from_numpy(scaled)[None]))[0].numpy()
        return features

    def run(self, samples: np.ndarray, block: int = 0, program: str = "driver") -> np.ndarray:
        """The same from C."""
        kind = "int16" if samples.dtype == np.int16 else "float"
        command = [self.facts.directory / program, kind, str(block)]
        done = subprocess.run(command, input=samples.tobytes(), capture_output=True, timeout=120)
        if done.returncode == 3:
            raise DataError("too short")
        assert done.returncode == 0, (done.returncode, done.stderr.decode())
        return np.frombuffer(done.stdout, np.float32).reshape(-1, self.frontend.bands)


def compile_c(folder: Path, main: str | Path, program: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(CC), *STRICT, *options, f"-I{folder}", main, folder / "earnest_frontend.c", "-lm", "-o", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("c")

    @cache
    def built(case: str) -> Built:
        sample_rate, name, options = CASES[case]
        part = Part(name=name, options=options)
        frontend = frontends.build(part, sample_rate)
        normaliser = Normaliser(frontend.bands)
        levels = 10 ** np.linspace(-3, -0.5, 12)  # as loud and as quiet as a corpus is: the deviation of a corpus
        clips = [noise(sample_rate, seed) * level for seed, level in enumerate(levels)]
        with torch.no_grad():
            normaliser.fit(frontend(torch.from_numpy(clip)[None])[0] for clip in clips)
        facts = write_c_frontend(root / case, part, sample_rate, normaliser, sample_rate, name=case)
        done = compile_c(facts.directory, DRIVER, "driver", "-O2")
        assert done.returncode == 0, done.stderr
        return Built(frontend, normaliser, facts)

    return built


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def sounds(sample_rate: int) -> dict[str, np.ndarray]:
    """Half a second each of what a microphone may give."""
    count = sample_rate // 2 + 77
    time = np.arange(count) / sample_rate
    quiet = 1e-3 * noise(count)
    voice = sum(np.sin(2 * np.pi * k * 140 * time + k) / k for k in range(1, 20)) * np.sin(2 * np.pi * 2 * time)
    impulses = np.zeros(count)
    impulses[:: count // 5] = 0.9
    floats = {
        "noise": 0.1 * noise(count),
        "faint": 1e-4 * noise(count),
        "voice": 0.2 * voice + quiet,
        "tone": 0.1 * np.sin(2 * np.pi * 1000 * time) + quiet,
        "offset": 0.3 + 0.02 * noise(count),
        "silence": np.zeros(count),
        "impulses": impulses + quiet,
    }
    found = {name: sound.astype(np.float32) for name, sound in floats.items()}
    found["full scale"] = np.clip(np.round(40_000 * noise(count)), -32768, 32767).astype(np.int16)
    found["square"] = np.clip(np.round(40_000 * np.sign(voice) + 300 * noise(count)), -32768, 32767).astype(np.int16)
    found["16 bits"] = np.round(32768 * found["voice"].clip(-1, 0.999)).astype(np.int16)
    return found


@pytest.mark.parametrize("case", CASES)
def test_features_are_those_of_python(build: Any, case: str) -> None:
    built = build(case)
    for name, samples in sounds(built.frontend.sample_rate).items():
        found, expected = built.run(samples), built.expected(samples)
        assert found.shape == expected.shape
        difference = float(np.abs(found - expected).max())
        print(f"{case}, {name}: {difference:.1e}")
        assert difference <= LIMIT, name


@pytest.mark.parametrize("case", CASES)
def test_blocks_of_any_length_give_the_frames_of_the_clip(build: Any, case: str) -> None:
    built = build(case)
    samples = sounds(built.frontend.sample_rate)["16 bits"]
    whole = built.run(samples)
    for block in (1, 3, built.frontend.framing.hop, 997, -1, -2):
        assert built.run(samples, block).tobytes() == whole.tobytes(), block


@pytest.mark.parametrize("case", CASES)
def test_short_clips(build: Any, case: str) -> None:
    """The shortest clip and those a little longer are right; a shorter one is refused, and gives no frame."""
    built = build(case)
    shortest, hop = built.frontend.min_samples, built.frontend.framing.hop
    for samples in {shortest, shortest + 1, shortest + 2, shortest + hop - 1, shortest + hop, shortest + 3 * hop + 1}:
        sound = (0.1 * noise(samples)).astype(np.float32)
        for block in (0, 1, -3):
            np.testing.assert_allclose(built.run(sound, block), built.expected(sound), rtol=0, atol=LIMIT)
    for samples in {0, shortest - 1} - {shortest}:
        for block in (0, 1):
            with pytest.raises(DataError):
                built.run(np.zeros(samples, np.float32), block)


@pytest.mark.parametrize("case", CASES)
def test_selftest(build: Any, case: str) -> None:
    folder = build(case).facts.directory
    done = compile_c(folder, "selftest.c", "selftest", "-O2")
    assert done.returncode == 0, done.stderr
    done = subprocess.run([folder / "selftest"], capture_output=True, text=True, timeout=60)
    print(case, done.stdout)
    assert done.returncode == 0, done.stdout
    # The golden samples are chosen so that rounding stays below this; a wrong number shows far above it.
    assert all(float(found) <= 1e-4 for found in re.findall(r"difference (\S+):", done.stdout))


def test_selftest_finds_a_wrong_table(build: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(build("mfcc").facts.directory, tmp_path / "copy"))
    tables = folder / "frontend_tables.h"
    text = tables.read_text("utf-8")
    start = text.index("earnest_weights")
    changed = re.sub(r"\d\.\d{8}e-01f", "1.00000000e-02f", text[start:], count=1)
    tables.write_text(text[:start] + changed, "utf-8")
    assert compile_c(folder, "selftest.c", "selftest").returncode == 0
    done = subprocess.run([folder / "selftest"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "WRONG" in done.stdout


def test_where_python_is_rounding_c_is_no_worse(build: Any) -> None:
    """Beside a pure tone at full scale both show their own rounding: compared with float64, not with each other."""
    for case in ("log_mel", "whisper", "fbank", "decibels", "hamming", "odd"):
        built = build(case)
        rate = built.frontend.sample_rate
        samples = np.round(32_767 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.int16)
        truth = float64_features(built, samples)
        of_python, of_c = (np.abs(found - truth) for found in (built.expected(samples), built.run(samples)))
        print(case, f"Python {of_python.max():.1e} {of_python.mean():.1e}, C {of_c.max():.1e} {of_c.mean():.1e}")
        # Where the processor has long vectors, Python's Fourier transform rounds less than plain C does.
        assert of_c.mean() <= 1.5 * of_python.mean() + 5e-5, case
        assert of_c.max() <= 3 * of_python.max() + 1e-5, case


def float64_features(built: Built, samples: np.ndarray) -> np.ndarray:
    """Log-mel or logarithmic spectra by NumPy's Fourier transform, in float64."""
    config, framing = built.frontend.config, built.frontend.framing
    padded = framing.pad(torch.from_numpy(samples / 32768)[None])[0].numpy()
    frames = np.stack([padded[t * framing.hop :][: framing.window] for t in range(framing.frames_for(len(samples)))])
    if config.remove_dc:
        frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - config.pre_emphasis * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = config.scale * window_function(config.window, framing.window, config.periodic)
    energies = np.abs(np.fft.rfft(frames * window, framing.n_fft)) ** config.power
    if hasattr(config, "bands"):
        energies = energies @ mel_filters(config, built.frontend.sample_rate, framing.n_fft)
    floored = np.maximum(energies, config.floor) if config.floor_mode == "clamp" else energies + config.floor
    logs = np.log(floored) * {"natural": 1, "log10": 1 / np.log(10), "db": 10 / np.log(10)}[config.log]
    statics: np.ndarray = (logs + config.offset) * config.factor
    return (statics - built.normaliser.mean.double().numpy()) / built.normaliser.deviation.double().numpy()


@pytest.mark.parametrize("case", ["log_mel", "fbank", "mfcc", "hamming"])
def test_real_recordings(build: Any, case: str) -> None:
    data = os.environ.get("EARNEST_DATA")
    built, seen = build(case), 0
    for corpus in ("ravdess", "fsdd", "speech_commands", "esc10", "mandarin_aishell") if data else ():
        files = sorted(path for path in (Path(str(data)) / corpus).rglob("*") if path.suffix in audio.SUFFIXES)
        for path in files[:: max(1, len(files) // 4)][:4]:
            samples = audio.load(path, built.frontend.sample_rate).samples
            samples = np.round(32768 * samples.clip(-1, 0.9999)).astype(np.int16)[: 5 * built.frontend.sample_rate]
            if len(samples) < built.frontend.min_samples:
                continue
            difference = np.abs(built.run(samples) - built.expected(samples))
            print(f"{case}, {corpus}: at most {difference.max():.1e}, mean {difference.mean():.1e}")
            assert difference.max() <= LIMIT, path
            seen += 1
    if not seen:
        pytest.skip("EARNEST_DATA names no folder with recordings")


@pytest.mark.parametrize("case", ["mfcc", "mfcc kaldi", "kaldi", "gaps", "waits", "half", "tiny", "tiny, odd", "prime"])
def test_no_undefined_behaviour(build: Any, case: str) -> None:
    """Random lengths, levels and blocks, and samples that are no numbers, under the compiler's sanitizers."""
    built = build(case)
    sanitize = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    done = compile_c(built.facts.directory, DRIVER, "checked", *sanitize)
    if done.returncode:
        pytest.skip("the C compiler has no sanitizers")
    rng = np.random.default_rng(1)
    for turn in range(12):
        count = built.frontend.min_samples + int(rng.integers(0, 6 * built.frontend.framing.window))
        samples = (10 ** rng.uniform(-6, 0) * noise(count, turn)).astype(np.float32)
        frames = built.frontend.frames_for(count)
        if turn % 3 == 0:
            np.testing.assert_allclose(
                built.run(samples, -turn, "checked"), built.expected(samples), rtol=0, atol=LIMIT
            )
        samples[rng.integers(0, count, 3)] = rng.choice(np.float32([np.nan, np.inf, -np.inf, 3e38, 1e-42]), 3)
        for block in (0, -1 - turn):
            assert len(built.run(samples, block, "checked")) == frames


def test_it_recovers_from_samples_that_are_no_numbers(build: Any) -> None:
    built = build("log_mel")
    samples = (0.1 * noise(16_000)).astype(np.float32)
    clean = built.run(samples)
    samples[5_000] = np.nan
    found = built.run(samples)
    touched = np.isnan(found).any(axis=1)
    assert 1 <= touched.sum() <= 4
    np.testing.assert_array_equal(found[~touched], clean[~touched])


def test_it_needs_nothing_but_the_mathematics(build: Any) -> None:
    """No heap, no input or output: what the object file takes from elsewhere."""
    folder = build("mfcc kaldi").facts.directory
    source = (folder / "earnest_frontend.c").read_text("utf-8") + (folder / "earnest_frontend.h").read_text("utf-8")
    assert set(re.findall(r"#include <(.*)>", source)) == {"math.h", "string.h", "stddef.h", "stdint.h"}
    if (nm := shutil.which("nm")) is None:
        pytest.skip("nm is not installed")
    subprocess.run([str(CC), "-std=c99", "-O2", "-c", "earnest_frontend.c"], cwd=folder, check=True)
    listed = subprocess.run([nm, "-u", "earnest_frontend.o"], cwd=folder, capture_output=True, text=True, check=True)
    names = {line.split()[-1].lstrip("_").partition("@")[0] for line in listed.stdout.splitlines()}
    compiler = {name for name in names if name.startswith(("stack_chk", "GLOBAL_OFFSET"))}
    assert names - compiler <= {"memcpy", "memmove", "memset", "logf", "sqrtf", "powf"}


def test_costs(build: Any) -> None:
    """The compiler confirms the bytes of state; the rest follows from the tables and the arithmetic."""
    facts = build("log_mel").facts
    settings = (facts.directory / "frontend_settings.h").read_text("utf-8")
    for name, value in (("STATE", facts.state_bytes), ("TABLE", facts.table_bytes)):
        assert f"#define EARNEST_{name}_BYTES {value}\n" in settings
    assert f"#define EARNEST_OPERATIONS {facts.operations_per_frame}\n" in settings
    # 401 samples, 256 complex values, 64 bands twice, four counters and two pointers
    assert facts.state_bytes == 4 * (401 + 512 + 64 + 64 + 4) + 8
    assert 8_000 < facts.operations_per_frame < 20_000
    assert build("prime").facts.operations_per_frame > 1_000_000
    changed = settings.replace(f"STATE_BYTES {facts.state_bytes}", f"STATE_BYTES {facts.state_bytes - 16}")
    (facts.directory / "wrong").mkdir()
    for file in facts.directory.glob("*.[ch]"):
        shutil.copy(file, facts.directory / "wrong")
    (facts.directory / "wrong" / "frontend_settings.h").write_text(changed, "utf-8")
    assert "earnest_state_has_its_size" in compile_c(facts.directory / "wrong", "selftest.c", "selftest").stderr


def test_the_example_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[2] / "docs" / "microcontrollers.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "example", "exec"), {})
    folder = tmp_path / "frontend"
    (command,) = re.findall(r"^\$ (cc .*?) &&", page.read_text("utf-8"), flags=re.MULTILINE)
    subprocess.run(command.split(), cwd=folder, check=True)
    subprocess.run([folder / "selftest"], check=True, capture_output=True)
    (listing,) = re.findall(r"```c\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    (folder / "device.c").write_text(listing, "utf-8")
    done = subprocess.run([str(CC), *STRICT, "-c", "device.c"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_header_is_c_plus_plus(build: Any) -> None:
    if (compiler := shutil.which("c++")) is None:
        pytest.skip("there is no C++ compiler")
    source = (
        '#include "earnest_frontend.h"\nstatic EarnestFrontend f;\nint main() { return earnest_frontend_finish(&f); }'
    )
    command = [compiler, "-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-"]
    subprocess.run(command, input=source, text=True, cwd=build("mfcc").facts.directory, check=True)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Part(name="waveform"), "waveform"),
        (Part(name="statistics"), "statistics"),
        (Part(name="stack"), "stack"),
        (Part(name="channels"), "channels"),
        (Part(name="egemaps"), "egemaps"),
        (Part(name="log_mel", options={"top_db": 80}), "top_db 80"),
    ],
)
def test_what_has_no_form_in_c_is_named(part: Part, named: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=named):
        write_c_frontend(tmp_path, part, 16_000, Normaliser(64), 16_000)
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(tmp_path: Path) -> None:
    part = Part(name="log_mel")
    for normaliser in (Normaliser(40), ChannelNormaliser([64])):
        with pytest.raises(BundleError, match="64 bands"):
            write_c_frontend(tmp_path, part, 16_000, normaliser, 16_000)
    with pytest.raises(RecipeError, match="Did you mean log_mel"):
        write_c_frontend(tmp_path, Part(name="logmel"), 16_000, Normaliser(64), 16_000)
