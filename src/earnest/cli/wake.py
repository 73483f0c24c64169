"""The verb that makes a wake word; it needs the extras `lab` and `speech`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from earnest.cli.lab import Jobs, print_heard, print_run
from earnest.cli.progress import watching
from earnest.cli.verb import AsJson, Data, Debug, Quiet, next_step, print_json, say


def wakeword(
    phrase: Annotated[str, typer.Argument(metavar="PHRASE", help="What shall be heard, as it is written.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]", help="Changes to the recipe, such as model=bc_resnet.")
    ] = None,
    lang: Annotated[str, typer.Option(help="en, zh, or a voice of espeak-ng such as de or fr-fr.")] = "en",
    negatives: Annotated[
        str, typer.Option(metavar="A,B,…", help="Corpora or folders of real speech without the word.")
    ] = "",
    streams: Annotated[
        str, typer.Option(metavar="A,B,…", help="More of it, never trained on: heard for the threshold and the test.")
    ] = "",
    background: Annotated[str, typer.Option(metavar="A,B,…", help="Corpora or folders of sounds without speech.")] = "",
    recordings: Annotated[
        str | None, typer.Option(metavar="CORPUS", help="Real recordings of the word, or with it: a corpus or folder.")
    ] = None,
    learn_from: Annotated[int, typer.Option(min=0, help="How many of these are trained on; the others test.")] = 0,
    other_words: Annotated[
        str, typer.Option(metavar="A,B,…", help="Corpora of other single words by people: how people sound.")
    ] = "",
    near: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A phrase to leave alone.")] = None,
    voice_command: Annotated[
        list[str] | None,
        typer.Option(metavar="COMMAND", help="A further voice: a command that speaks {text} into {file} (WAV)."),
    ] = None,
    other_voices: Annotated[
        bool,
        typer.Option(help="Whether the voices of flite, festival, pico2wave and mbrola that are installed here speak."),
    ] = True,
    to: Annotated[str, typer.Option("--to", metavar="A,B,…", help="Kinds of model files beside ONNX.")] = "int8",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to (default: runs/wakeword-PHRASE).")] = None,
    data: Data = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a wake word from its text: many synthetic voices say it, and a small model learns it.

    Examples
    --------
    earnest wakeword "hey earnest" --other-words speech_commands --negatives LibriSpeech --background esc10
    earnest wakeword 你好小智 --lang zh --negatives data_aishell --background esc10 --to int8,tflite-int8,tflm
    earnest wakeword marvin --recordings speech_commands --learn-from 10 --negatives LibriSpeech

    Without recordings of people the missed share is that of synthetic voices, and says little about people; the false
    alarms are counted on the real sound that is given. Recordings in which the word stands among others test it: it
    must be heard somewhere in each. espeak-ng also says phrases that sound nearly like the word. A corpus of other
    single words teaches how people sound, which synthetic voices cannot. Voices of other programs, made from recordings
    of people, come nearer to it than espeak-ng's.
    """
    from earnest.speaking import programs
    from earnest.wakeword import Wanted, make, spoken_by

    voices = programs.able(lang, phrase) if other_voices else []
    names = ", ".join(dict.fromkeys(voice.partition("/")[0] for voice in voices))
    if names:
        say(f"Said by espeak-ng, and by {len(voices)} voices of {names}.", quiet=quiet)
    elif other_voices:
        say("Said by espeak-ng alone: flite, festival, pico2wave and mbrola have no voice for it here.", quiet=quiet)
    wanted = Wanted(
        phrase=phrase,
        language=lang,
        recordings=recordings,
        learn_from=learn_from,
        near_words=tuple(near or ()),
        other_words=tuple(_listed(other_words)),
        voices=tuple(voices),
        commands=tuple(voice_command or ()),
    )
    lists = {"task.negatives": negatives, "task.streams": streams, "task.background": background}
    given = [f"{key}={json.dumps(_listed(names))}" for key, names in lists.items() if names]
    place = out or Path("runs") / f"wakeword-{'-'.join(phrase.split())}"
    with watching(quiet=quiet) as progress:
        run, exported = make(
            wanted,
            place,
            overrides=[*given, *(overrides or [])],
            targets=_listed(to),
            data=data,
            jobs=jobs,
            progress=progress,
        )
    scores: dict[str, Any] = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    tested = spoken_by(place)
    if as_json:
        files = {name: list(names) for name, names in exported.files.items()}
        told = {"run": str(run), "bundle": str(exported.bundle), "files": files, "heard": exported.heard}
        print_json({**scores, **told, "tested_by": tested})
    else:
        if tested["sentence"]:
            say(f"{tested['sentence']} recordings of people hold the word: they are heard as streams.", quiet=quiet)
        elif not tested["real"]:
            say("Nobody was recorded saying the word: what is missed is counted on synthetic voices.", quiet=quiet)
        if tested["sentence"] and not tested["real"]:
            say("Nobody was recorded saying it alone: its clips in the accuracy are of synthetic voices.", quiet=quiet)
        print_run({**scores, "run": str(run)}, hint=False)
        print_heard(exported.heard, quiet=quiet)
    for name, problem in exported.problems.items():
        say(f"Not made: {name}: {problem}", quiet=quiet)
    next_step(f"earnest listen {exported.bundle}", quiet=quiet or as_json)


def _listed(text: str) -> list[str]:
    """The names between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
