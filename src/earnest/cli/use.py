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
    from earnest.runtime import Predictor

ModelFile = Annotated[str, typer.Option(metavar="FILE", help="Which of its model files.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor threads per prediction.")]
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle, as `earnest run` leaves it.")]


def predict(
    bundle: BundlePath,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, or folders of recordings.")],
    threads: Threads = 1,
    model: ModelFile = "model.onnx",
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

    predictor = Predictor(bundle, threads=threads, model=model)
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
