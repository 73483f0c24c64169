"""The verb that writes the page of one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earnest.cli.verb import AsJson, Debug, Quiet, print_json, say


def spectrogram(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording.")],
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="LABELS", help="Labels to show: .TextGrid, .rttm, .txt (Audacity), .csv, .tsv; repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="The page (default: FILE's name with .html, in this folder).")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a page that plays a recording under a moving playhead: waveform, spectrogram and labels.

    Examples
    --------
    earnest spectrogram lecture.wav
    earnest spectrogram lecture.wav --labels lecture.TextGrid --labels speakers.rttm
    earnest spectrogram lecture.wav --out lecture.html --json

    The page is one file and asks nothing of a network. Short recordings lie in it without loss, longer ones as Ogg
    Vorbis; where that would make it larger than 24 MB, it plays the file beside it.
    """
    from earnest.errors import StorageError
    from earnest.formats.labels import LANE, read, to_lanes
    from earnest.reporting.recording import write

    lanes = []
    for place in labels or []:
        for lane in to_lanes(read(place, file.name)):
            lanes.append(lane | {"name": place.stem if lane["name"] == LANE else lane["name"]})
    page = out or Path(f"{file.stem}.html")
    if page.resolve() in {place.resolve() for place in (file, *(labels or []))}:
        raise StorageError(
            f"The page would take the place of {page}, from which it is made.", "Give --out another name."
        )
    written = write(file, page, lanes)
    if as_json:
        print_json(written.as_dict() | {"lanes": len(lanes), "labels": sum(len(lane["items"]) for lane in lanes)})
        return
    typer.echo(written.page)
    where = written.sound if written.beside is None else f"beside the page, in {written.beside}"
    say(f"{written.bytes / 1e6:.1f} MB; the sound is {where}.", quiet=quiet)
