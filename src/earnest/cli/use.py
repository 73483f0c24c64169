"""The verbs that use a finished model, and `doctor`: they work on the base install, without PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earnest.cli.verb import (
    DIM,
    FAILED,
    GREEN,
    RED,
    SET_ASIDE,
    AsJson,
    Debug,
    Quiet,
    next_step,
    paint,
    print_error,
    print_json,
    say,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from earnest.runtime import Predictor

CHUNK_S = 0.1
Threads = Annotated[int, typer.Option(min=1, help="Processor threads per prediction.")]
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, as `earnest run` leaves it.")]


def predict(
    bundle: BundlePath,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, or folders of recordings.")],
    threads: Threads = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what recordings are, with a bundle.

    Examples
    --------
    earnest predict runs/fsdd/bundle recording.wav
    earnest predict runs/fsdd/bundle recordings/ --json

    The answers come in the order of the files: one label, or the tags that reach their threshold, or numbers by name.
    A file that cannot be read as audio is reported and passed over; the exit code is then 3.
    """
    from earnest.runtime import Predictor

    predictor = Predictor(bundle, threads=threads)
    results: list[dict[str, Any]] = []
    for file in _recordings(files):
        results.append(_predict_one(predictor, file))
        if not as_json:
            _print_prediction(results[-1])
    if as_json:
        print_json({"results": results})
    if any("error" in result for result in results):
        raise typer.Exit(SET_ASIDE)
    next_step(f"earnest listen {bundle} --wav {files[0]}", quiet=quiet or as_json)


def listen(
    bundle: BundlePath,
    wav: Annotated[Path | None, typer.Option(metavar="FILE", help="Play a recording through the streamer.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read raw 16-bit little-endian mono from stdin.")] = False,
    rate: Annotated[int | None, typer.Option(help="Sample rate of --stdin in Hz (default: the bundle's).")] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Lowest score that makes an event.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Report what is heard, as it is heard: from a file, a pipe, or the microphone.

    Examples
    --------
    earnest listen runs/fsdd/bundle --wav recording.wav --json
    arecord -q -t raw -f S16_LE -r 16000 | earnest listen runs/fsdd/bundle --stdin --rate 16000
    earnest listen runs/fsdd/bundle

    With --json each line of standard output is one object: start_s, end_s, label, score.
    """
    from earnest.runtime import Bundle, Streamer

    opened = Bundle.open(bundle)
    streamer = Streamer(opened, threshold=threshold)
    chunks = _chunks(opened.sample_rate, wav=wav, stdin=stdin, rate=rate, quiet=quiet)
    for chunk in chunks:
        _print_events(streamer.feed(chunk), opened.kind, as_json=as_json)
    _print_events(streamer.flush(), opened.kind, as_json=as_json)


def doctor(
    data: Annotated[Path | None, typer.Option(help="Folder of corpora (default: EARNEST_DATA).")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look at this machine and say what works, what is missing, and what to do about it.

    Examples
    --------
    earnest doctor
    earnest doctor --json
    """
    from earnest.doctor import examine

    checks = examine(data)
    if as_json:
        print_json({"checks": [check.as_dict() for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            mark = paint("ok", GREEN, sys.stdout) if check.ok else paint("!!", RED, sys.stdout)
            print(f"{mark}  {check.name:<{width}}  {check.detail}")
            if check.remedy:
                print(f"    {'':<{width}}  {paint(check.remedy, DIM, sys.stdout)}")
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED)
    next_step("earnest demo", quiet=quiet or as_json)


def _recordings(paths: list[Path]) -> Iterator[Path]:
    """The files as given; a folder stands for the audio files in it, by name."""
    from earnest.audio import SUFFIXES

    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        else:
            yield path


def _predict_one(predictor: Predictor, file: Path) -> dict[str, Any]:
    from earnest.errors import AudioError

    try:
        prediction = predictor.predict(file)
    except AudioError as error:
        return {"file": str(file), "error": ". ".join(part for part in (error.reason, error.remedy) if part)}
    return prediction.as_dict()


def _print_prediction(result: dict[str, Any]) -> None:
    if "error" in result:
        print_error(f"{result['file']}: {result['error']}")
        return
    print(f"{result['file']}  {_in_words(result)}", flush=True)
    if result.get("remark"):
        say(f"Note: {result['file']}: {result['remark']}")


def _in_words(result: dict[str, Any]) -> str:
    """A label, tags with their scores (a dash where none is given), or numbers by name."""
    if "values" in result:
        return "  ".join(f"{name} {value:.3g}" for name, value in result["values"].items())
    given = result["labels"] if "labels" in result else [result["label"]]
    return "  ".join(f"{label}  {result['scores'][label]:.1%}" for label in given) or "–"


def _print_events(events: list[Any], kind: str, *, as_json: bool) -> None:
    for event in events:
        start_s, end_s, score = (
            round(float(event.start_s), 3),
            round(float(event.end_s), 3),
            round(float(event.score), 6),
        )
        if as_json:
            print_json({"start_s": start_s, "end_s": end_s, "label": event.label, "score": score})
        else:
            shown = f"{score:.3g}" if kind == "values" else f"{score:.1%}"
            print(f"{start_s:9.2f} – {end_s:.2f} s  {event.label}  {shown}", flush=True)


def _chunks(
    sample_rate: int, *, wav: Path | None, stdin: bool, rate: int | None, quiet: bool
) -> Iterator[NDArray[np.float32]]:
    """Audio at the bundle's sample rate, a tenth of a second at a time, from whichever source was asked for."""
    if wav is not None and stdin:
        raise typer.BadParameter("give either --wav or --stdin, not both")
    if rate is not None and not stdin:
        raise typer.BadParameter("--rate belongs to --stdin; the sample rate of a file is read from the file")
    size = max(1, round(CHUNK_S * sample_rate))
    if wav is not None:
        from earnest.audio import load

        samples = load(wav, sample_rate).samples
        return (samples[start : start + size] for start in range(0, len(samples), size))
    if stdin:
        return _from_pipe(sample_rate, rate or sample_rate)
    say("Listening to the microphone; Ctrl-C ends it.", quiet=quiet)
    return _from_microphone(sample_rate, size)


def _from_pipe(sample_rate: int, rate: int) -> Iterator[NDArray[np.float32]]:
    """Raw signed 16-bit little-endian mono from standard input, resampled on the way; an odd last byte is left out."""
    import numpy as np
    import soxr

    resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    pipe = sys.stdin.buffer
    while data := pipe.read(2 * max(1, round(CHUNK_S * rate))):
        samples = np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.float32) / np.float32(32768)
        yield samples if rate == sample_rate else np.asarray(resampler.resample_chunk(samples), dtype=np.float32)
    if rate != sample_rate:
        yield np.asarray(resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True), dtype=np.float32)


def _from_microphone(sample_rate: int, size: int) -> Iterator[NDArray[np.float32]]:
    """The default microphone, mono; needs the extra `mic`."""
    from earnest.errors import AudioError, MissingExtra

    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtra("sounddevice", "mic", "Listening to the microphone") from error
    except OSError as error:
        raise AudioError("microphone", str(error), "Install the system library PortAudio, or use --wav.") from error
    try:
        with sounddevice.InputStream(samplerate=sample_rate, channels=1, dtype="float32", blocksize=size) as stream:
            while True:
                samples, _ = stream.read(size)
                yield samples[:, 0]
    except sounddevice.PortAudioError as error:
        raise AudioError("microphone", str(error), "Connect a microphone, or use --wav FILE or --stdin.") from error
