"""The verb that listens: it works on the base install, without PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earnest.cli.use import BundlePath, ModelFile
from earnest.cli.verb import AsJson, Debug, Quiet, print_json, say

if TYPE_CHECKING:
    from earnest.runtime import Event
    from earnest.runtime.live import Piece


def listen(
    bundle: BundlePath,
    wav: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Play a recording through the streamer; several are streams of their own."),
    ] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read raw signed 16-bit little-endian audio.")] = False,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Sample rate of --stdin in Hz (default: the bundle's).")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Interleaved channels of --stdin, each a stream of its own.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Lowest score that makes an event.")] = None,
    model: ModelFile = "model.onnx",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Report what is heard, as it is heard: from files, a pipe, or the microphone.

    Examples
    --------
    arecord -q -t raw -f S16_LE -r 16000 | earnest listen runs/fsdd/bundle --stdin --rate 16000
    earnest listen runs/fsdd/bundle --wav kitchen.wav --wav hall.wav --json
    earnest listen runs/fsdd/bundle

    With --json each line of standard output is one object: start_s, end_s, label, score; and stream, where there are
    several. Audio that could not be taken in time is left out, counted, and said at the end.
    """
    from earnest.runtime import Bundle, Streamer
    from earnest.runtime.live import Listener

    opened = Bundle.open(bundle)
    several = len(wav or []) > 1 or (channels or 1) > 1

    def tell(stream: str, event: Event) -> None:
        _print_event(event, opened.kind, stream if several else None, as_json=as_json)

    listener = Listener(Streamer(opened, threshold=threshold, model=model), tell)
    try:
        listener.listen(_pieces(opened.sample_rate, wav or [], stdin=stdin, rate=rate, channels=channels, quiet=quiet))
    finally:
        for stream, seconds in listener.lost_s.items():
            say(f"Note: {seconds:.1f} s of {stream} were lost: the model or this machine is too slow for it.")


def _pieces(
    sample_rate: int, wav: list[Path], *, stdin: bool, rate: int | None, channels: int | None, quiet: bool
) -> Iterator[Piece]:
    """Audio at the bundle's sample rate from whichever source was asked for."""
    from earnest.runtime import live

    if wav and stdin:
        raise typer.BadParameter("give either --wav or --stdin, not both")
    if (rate is not None or channels is not None) and not stdin:
        raise typer.BadParameter("--rate and --channels belong to --stdin; for a file they are read from the file")
    if wav:
        from earnest.audio import load

        return live.recordings([(str(file), load(file, sample_rate).samples) for file in wav], sample_rate)
    if stdin:
        return live.pipe(sys.stdin.buffer, sample_rate, rate or sample_rate, channels or 1)
    say("Listening to the microphone; Ctrl-C ends it.", quiet=quiet)
    return live.microphone(sample_rate)


def _print_event(event: Event, kind: str, stream: str | None, *, as_json: bool) -> None:
    start_s, end_s, score = round(float(event.start_s), 3), round(float(event.end_s), 3), round(float(event.score), 6)
    if as_json:
        values: dict[str, Any] = {"start_s": start_s, "end_s": end_s, "label": event.label, "score": score}
        print_json(values if stream is None else {"stream": stream, **values})
        return
    shown = f"{score:.3g}" if kind == "values" else f"{score:.1%}"
    where = "" if stream is None else f"{stream}  "
    print(f"{where}{start_s:9.2f} – {end_s:.2f} s  {event.label}  {shown}", flush=True)
