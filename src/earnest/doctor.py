"""What works on this machine, what is missing, and what to do about it.

Every check is on its own and reports a sentence instead of failing; all of it runs on the base install.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from earnest import files, registry

NEEDED_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : what was looked at.
    ok : False when something is wrong; what is merely not installed and not needed by everyone counts as ok.
    detail : what was found.
    remedy : what to do about it, where there is something to do.
    """

    name: str
    ok: bool
    detail: str
    remedy: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The check as plain values: name, ok, detail, remedy."""
        return asdict(self)


def examine(data: Path | None = None) -> list[Check]:
    """Look at everything Earnest uses.

    Parameters
    ----------
    data : folder of corpora; default: the environment variable EARNEST_DATA.
    """
    return [
        python(),
        system(),
        processor(),
        *packages(),
        audio_formats(),
        onnx_runtime(),
        cache_folder(),
        *corpora(data),
        microphone(),
    ]


def python() -> Check:
    """The interpreter: 3.11 or newer."""
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    ok = sys.version_info >= (3, 11)
    return Check("python", ok, found, None if ok else "Earnest needs Python 3.11 or newer.")


def system() -> Check:
    """Operating system and architecture."""
    return Check("system", True, f"{platform.system()} {platform.release()} on {platform.machine()}")


def processor() -> Check:
    """Usable cores, and the instructions that make training and int8 models fast."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16")
    flags = _processor_flags()
    found = [name for name in known if name in flags]
    bf16 = "bf16 is fast here" if {"avx512_bf16", "amx_bf16", "bf16"} & flags else "no fast bf16: training uses fp32"
    detail = f"{cores} {'core' if cores == 1 else 'cores'}; {', '.join(found) or 'instructions unknown'}; {bf16}"
    return Check("processor", True, detail)


def _processor_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    lines = re.findall(r"^(?:flags|Features)\s*:\s*(.*)$", text, flags=re.MULTILINE)
    return set(lines[0].split()) if lines else set()


def packages() -> list[Check]:
    """Every package named in the installation's metadata, with its version and the extra it belongs to."""
    try:
        requirements = importlib.metadata.requires("earnest") or []
    except importlib.metadata.PackageNotFoundError:
        detail = "earnest itself is not installed, only found on the path"
        return [Check("packages", False, detail, "Install it with: pip install earnest")]
    checks = []
    for requirement in requirements:
        named = re.match(r"[A-Za-z0-9_.-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", requirement)
        if named and (extra is None or extra[1] not in ("dev", "docs")):
            checks.append(_package(named[0], extra[1] if extra else None))
    return checks


def _package(name: str, extra: str | None) -> Check:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if extra is None:
            return Check(name, False, "not installed, though Earnest needs it", f"Install it with: pip install {name}")
        return Check(name, True, f"not installed ({extra})", f"If you need it: pip install 'earnest[{extra}]'")
    return Check(name, True, f"{version} ({extra})" if extra else version)


def audio_formats() -> Check:
    """The formats libsndfile reads here, and one recording written and read back."""
    try:
        import numpy as np
        import soundfile

        formats = sorted(soundfile.available_formats())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tone.flac"
            soundfile.write(path, np.zeros(160, dtype=np.float32), 16_000)
            samples, _ = soundfile.read(path)
    except (ImportError, OSError, RuntimeError) as error:
        return Check("audio formats", False, str(error), "Reinstall it with: pip install --force-reinstall soundfile")
    detail = f"libsndfile {soundfile.__libsndfile_version__}: {', '.join(formats)}"
    return Check("audio formats", len(samples) == 160, detail)


# The graph y = x + x on a float vector as a serialised ONNX model (IR version 8, operator set 13).
_DOUBLE = bytes.fromhex(
    "08083a3a0a0e0a01780a017812017922034164641206646f75626c65"
    "5a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a02080142040a00100d"
)


def onnx_runtime() -> Check:
    """ONNX Runtime loads and runs a small graph."""
    try:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(_DOUBLE, providers=["CPUExecutionProvider"])
        (result,) = session.run(None, {"x": np.ones(1, dtype=np.float32)})
    except (ImportError, OSError, RuntimeError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Check("onnx runtime", False, detail, "Reinstall it with: pip install --force-reinstall onnxruntime")
    return Check("onnx runtime", float(result[0]) == 2.0, f"{onnxruntime.__version__} runs on the processor")


def cache_folder() -> Check:
    """The user's cache folder can be written and has room."""
    folder = files.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("cache folder", False, f"{folder} cannot be written: {error.strerror}", "Set XDG_CACHE_HOME.")
    enough = free >= NEEDED_FREE_BYTES
    detail = f"{folder}, {free / 1e9:.1f} GB free"
    return Check("cache folder", enough, detail, None if enough else "Free some room; large corpora need more.")


def corpora(data: Path | None = None) -> list[Check]:
    """Which corpora are on this machine, the library that speaks the embedded one, and what else speaks here."""
    given = data or (Path(os.environ["EARNEST_DATA"]) if os.environ.get("EARNEST_DATA") else None)
    if given is not None and not given.is_dir():
        return [
            Check("corpora", False, f"{given} is not a folder", "Point EARNEST_DATA or --data at your corpora."),
            _espeak(),
            _voices(),
        ]
    places = [place for place in (given, files.cache_folder() / "corpora") if place is not None]
    names = [name for name in registry.names("corpora") if name != "folder"]
    found = [name for name in names if any((place / name).is_dir() for place in places)]
    where = f"EARNEST_DATA={given}" if given else "EARNEST_DATA is not set"
    remedy = None if found else "Try `earnest demo`, which needs none, or `earnest fetch fsdd`."
    return [Check("corpora", True, f"{where}; found: {', '.join(found) or 'none'}", remedy), _espeak(), _voices()]


def _espeak() -> Check:
    if importlib.util.find_spec("espeakng_loader") is None:
        return Check("espeak-ng", True, "not installed (speech)", "For the demo: pip install 'earnest[lab,speech]'")
    try:
        import espeakng_loader

        library = Path(espeakng_loader.get_library_path())
    except (ImportError, OSError, RuntimeError) as error:
        return Check("espeak-ng", False, str(error), "pip install --force-reinstall espeakng-loader")
    return Check("espeak-ng", library.is_file(), str(library))


def _voices() -> Check:
    """Programs with voices made from recordings of people, which help wake words."""
    from earnest.speaking import programs

    counts = Counter(voice.partition("/")[0] for voice in programs.listed("en"))
    if not counts:
        return Check("other voices", True, "none", "For wake words: flite, festival, pico2wave or mbrola.")
    return Check("other voices", True, f"{', '.join(f'{name} {count}' for name, count in counts.items())} (English)")


def microphone() -> Check:
    """A microphone that `earnest listen` could use."""
    if importlib.util.find_spec("sounddevice") is None:
        return Check("microphone", True, "not looked for (mic)", "To listen live: pip install 'earnest[mic]'")
    try:
        import sounddevice

        device = sounddevice.query_devices(kind="input")
    except (OSError, ValueError) as error:
        return Check("microphone", True, f"none found: {error}", "earnest listen also takes --wav FILE and --stdin.")
    except sounddevice.PortAudioError as error:
        return Check("microphone", True, f"none found: {error}", "earnest listen also takes --wav FILE and --stdin.")
    return Check("microphone", True, str(device["name"]))
