"""Programs that speak: synthesizers that are installed on this machine, and commands of the user.

    flite      English
    festival   the language that each of its voices names
    pico2wave  six languages
    mbrola     through the program espeak-ng, where a voice's data are installed; says phonemes too
    command    whatever the user names

The voices of the first four are made from recordings of people, which espeak-ng's own timbres are not.
"""

from __future__ import annotations

import html
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from earnest import audio
from earnest.errors import AudioError, DataError
from earnest.speaking.espeak import Utterance

NORMAL = Utterance("", "", "").words_per_minute
MBROLA = Path("/usr/share/mbrola")  # where espeak-ng looks for a voice's data
FESTIVAL = {"en": "english", "es": "spanish", "it": "italian", "cs": "czech", "fi": "finnish", "ru": "russian"}
PICO = {"en": ("en-US", "en-GB"), "de": ("de-DE",), "es": ("es-ES",), "fr": ("fr-FR",), "it": ("it-IT",)}
COMMAND = "command/"
LICENCES = {
    "espeak-ng": "synthetic, by espeak-ng (GPL 3)",
    "flite": "synthetic; each voice of flite has its own",
    "festival": "synthetic; each voice of festival has its own",
    "pico2wave": "synthetic, by SVOX Pico (Apache 2.0)",
    "mbrola": "synthetic; each voice of mbrola has its own, many non-commercial: not in products that are sold",
    "command": "synthetic, by a command of the user",
}
"""Program → what is known of the licence of its voices."""
_LANGUAGES = '(mapcar (lambda (v) (format t "%s %s\\n" v (cadr (assoc (quote language) (cadr (voice.description v))))))'


def program_of(voice: str) -> str:
    """The program in PROGRAM/VOICE; `espeak-ng` for a voice of its own."""
    program = voice.partition("/")[0]
    return program if program in LICENCES else "espeak-ng"


def is_program(voice: str) -> bool:
    """Whether another program than espeak-ng's library speaks."""
    return program_of(voice) != "espeak-ng"


def says_phonemes(voice: str) -> bool:
    """Whether a voice speaks what stands in [[ ]] as espeak-ng does."""
    return voice.startswith("mbrola/")


def listed(language: str) -> list[str]:
    """The voices of a language that the programs on this machine name.

    Parameters
    ----------
    language : `en`, `zh`, or a voice of espeak-ng, such as `de` or `fr-fr`; its first part decides.
    """
    base = language.split("-")[0]
    return [*_flite(base), *_festival(base), *_pico(base), *_mbrola(base)]


def able(language: str, text: str) -> list[str]:
    """Those of them that make a sound of a text."""
    names = listed(language)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        tries = [Utterance(f"{number}.wav", text, name) for number, name in enumerate(names)]
        works = pool.map(lambda one: _works(one, folder), tries)
        return [name for name, working in zip(names, works, strict=True) if working]


def speak(utterances: Iterable[Utterance], folder: Path) -> None:
    """Write the utterances' files below a folder; a program at a time for each core.

    Raises
    ------
    DataError : a program is missing or fails.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda utterance: say(utterance, folder), utterances))


def say(utterance: Utterance, folder: Path) -> None:
    """Have a program write one utterance's file."""
    file = (folder / utterance.file).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    arguments = _arguments(replace(utterance, file=str(file)))
    if shutil.which(arguments[0]) is None:
        raise DataError(f"there is no program {arguments[0]!r}.", "Give --voice-command 'PROGRAM … {text} … {file}'.")
    done = subprocess.run(arguments, input=utterance.text, capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0 or not file.is_file():
        last = (done.stderr.strip().splitlines() or ["it wrote no file"])[-1]
        without = "" if utterance.voice.startswith(COMMAND) else "; --no-other-voices does without"
        raise DataError(
            f"the voice command failed for {utterance.text!r}: {last}", f"It was: {' '.join(arguments)}{without}"
        )


def _arguments(utterance: Utterance) -> list[str]:
    """The command that speaks an utterance; its text also stands on standard input."""
    program, _, name = utterance.voice.partition("/")
    text, file, rate = utterance.text, utterance.file, utterance.words_per_minute / NORMAL
    if program == "flite":
        return ["flite", "-voice", name, "--setf", f"duration_stretch={1 / rate:.3f}", "-t", text, "-o", file]
    if program == "festival":
        slower = f"(Parameter.set 'Duration_Stretch {1 / rate:.3f})"
        return ["text2wave", "-eval", f"(voice_{name})", "-eval", slower, "-o", file]
    if program == "pico2wave":
        marked = f'<speed level="{100 * rate:.0f}">{html.escape(text)}</speed>'
        return ["pico2wave", "-l", name, "-w", file, marked]
    if program == "mbrola":
        numbers = ["-s", str(utterance.words_per_minute), "-p", str(utterance.pitch)]
        return ["espeak-ng", "-v", name, *numbers, "-w", file, "--", text]
    return [part.replace("{text}", text).replace("{file}", file) for part in shlex.split(name)]


def _works(utterance: Utterance, folder: str) -> bool:
    """Whether a voice makes a sound of something."""
    try:
        say(utterance, Path(folder))
        return bool(audio.load(Path(folder) / utterance.file).samples.any())
    except (DataError, AudioError):
        return False


def _printed(arguments: Sequence[str]) -> str:
    """What a program prints; nothing where it is not installed or fails."""
    if shutil.which(arguments[0]) is None:
        return ""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False)
    return done.stdout if done.returncode == 0 else ""


def _flite(language: str) -> list[str]:
    """Its voices, without those that can only tell the time."""
    names = _printed(["flite", "-lv"]).partition(":")[2].split() if language == "en" else []
    return [f"flite/{name}" for name in names if not name.endswith("_time")]


def _festival(language: str) -> list[str]:
    if language not in FESTIVAL:
        return []
    lines = _printed(["festival", "-b", f"{_LANGUAGES} (voice.list))"]).splitlines()
    found = [line.split()[0] for line in lines if line.split()[1:2] == [FESTIVAL[language]]]
    return [f"festival/{name}" for name in sorted(found)]


def _pico(language: str) -> list[str]:
    return [f"pico2wave/{name}" for name in PICO.get(language, ()) if shutil.which("pico2wave")]


def _mbrola(language: str) -> list[str]:
    """Voices whose data are installed, those of other languages that speak this one among them."""
    found = []
    for line in _printed(["espeak-ng", "--voices=mb"]).splitlines()[1:]:
        _, spoken, _, _, file = line.split()[:5]
        name = Path(file).name  # mb-us1, or mb-fr1-en
        if spoken.split("-")[0] == language and (MBROLA / name.split("-")[1]).exists():
            found.append(f"mbrola/{name}")
    return sorted(set(found))
