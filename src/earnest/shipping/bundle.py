"""Write a bundle: model, model card and manifest, as one directory that is whole or not there at all.

bundle/ is written as .bundle.new/, read back and checked, and then takes the place of an older bundle/
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, Unpack

import earnest
from earnest.errors import BundleError
from earnest.files import atomic_path, atomic_write_text, sha256_file, storage_error
from earnest.recipe import Part
from earnest.runtime.bundle import FORMAT, MANIFEST, MODEL, Bundle, Kind, Segments
from earnest.runtime.combine import Rule
from earnest.shipping.card import model_card

CARD = "README.md"


class Facts(TypedDict):
    """What a bundle says about its model: the keyword arguments of `write_bundle`, and the keys of `bundle.json`.

    Attributes
    ----------
    name : what the model is called.
    labels : names of the model's outputs, in their order.
    sample_rate : Hz of the audio that the model takes.
    window_samples, hop_samples, short, min_samples, segments, combine : the windows, as in `earnest.runtime.Bundle`;
        the last two by default `whole` and `mean`.
    frontend : the front end's name and numbers.
    recipe_hash, data_hash : SHA-256 of the recipe and of the clip table.
    scores : file in the bundle → `score`, `interval`, `primary`, `protocol`, `n_clips`, `note`, and, where known,
        `baseline`, `n_groups`, `group`, `interval_method`, `level`, `all_folds`; `void` true where the split leaked.
    licences : one mapping per corpus trained on: `corpus`, `title`, `licence`, `citation`, `home`, as far as known.
    task, shape, kind : the task's name, the shape of the model's output, and what a row of it says; default
        `classification`, `clip` and `classes`.
    thresholds : label → smallest score of an event in a stream; default none.
    frames : of a model of the shape `frames`, where its answers lie in time.
    spotting, activity : for keywords, and for stretches of time: the decoder's numbers and what was measured with them;
        left out where None.
    """

    name: str
    labels: Sequence[str]
    sample_rate: int
    window_samples: int
    hop_samples: int
    short: Literal["pad", "keep"]
    min_samples: int
    frontend: Mapping[str, Any]
    recipe_hash: str
    data_hash: str
    scores: Mapping[str, Mapping[str, Any]]
    licences: Sequence[Mapping[str, Any]]
    task: NotRequired[str]
    shape: NotRequired[str]
    kind: NotRequired[Kind]
    thresholds: NotRequired[Mapping[str, float]]
    spotting: NotRequired[Mapping[str, Any] | None]
    activity: NotRequired[Mapping[str, Any] | None]
    frames: NotRequired[Mapping[str, int] | None]
    segments: NotRequired[Segments]
    combine: NotRequired[Rule]


def write_bundle(
    directory: str | os.PathLike[str],
    *,
    model_file: Path,
    more_files: Mapping[str, Path] | None = None,
    **facts: Unpack[Facts],
) -> Path:
    """Write a bundle; an older one in its place stays until the new one is complete and has been read back.

    Parameters
    ----------
    directory : the bundle's directory.
    model_file : the exported ONNX file; copied in as `model.onnx`.
    more_files : name in the bundle → further file to copy in.
    facts : everything that `Facts` names.

    Returns
    -------
    The bundle's directory.

    Raises
    ------
    BundleError : a file to copy is missing; `directory` holds something else than a bundle; what was written is not
        valid.
    StorageError : the disk is full or the place cannot be written; the older bundle is untouched.
    """
    target = Path(directory).absolute()
    sources = {MODEL: Path(model_file), **(more_files or {})}
    _check_sources(sources)
    _check_target(target)
    new, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    _recover(target, new, old)
    try:
        _fill(new, _manifest(facts), sources)
        Bundle.open(new)
        _swap(new, target, old)
    except OSError as problem:
        raise storage_error(target, problem) from problem
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return target


def write_scores(
    bundle: Bundle, measured: Mapping[str, Mapping[str, Any]], gate: float, layers: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Put what was measured of each file into a bundle's manifest and model card; the model files stay as they are.

    Parameters
    ----------
    bundle : a checked bundle.
    measured : file → the fields of `earnest.shipped.FileScore` and `primary`.
    gate : how far below the scored model a file may be.
    layers : what the model is made of, for the report.

    Raises
    ------
    StorageError : the place cannot be written; the older manifest is untouched.
    """
    place = bundle.directory / MANIFEST
    manifest = json.loads(place.read_text(encoding="utf-8"))
    manifest |= {"measured": {file: dict(values) for file, values in measured.items()}, "gate": gate}
    manifest |= {"layers": [dict(layer) for layer in layers]}
    manifest["files"].pop(CARD, None)
    atomic_write_text(bundle.directory / CARD, model_card(manifest))
    manifest["files"][CARD] = _entry(bundle.directory / CARD)
    atomic_write_text(place, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _manifest(facts: Facts) -> dict[str, Any]:
    """The facts as plain values for JSON, in a fixed order."""
    given: dict[str, Any] = {"task": "classification", "shape": "clip", "kind": "classes", "thresholds": {}, **facts}
    given = {"segments": "whole", "combine": "mean", **given}
    for key in ("thresholds", "frontend"):
        given[key] = dict(given[key])
    given["labels"] = list(given["labels"])
    given["scores"] = {file: dict(score) for file, score in given["scores"].items()}
    given["licences"] = [dict(licence) for licence in given["licences"]]
    newer = [key for key in ("spotting", "activity", "frames") if given.get(key) is not None]
    order = tuple(key for key in Facts.__annotations__ if key not in ("spotting", "activity", "frames") or key in newer)
    as_before = (given["kind"], given["segments"], given["combine"]) == ("classes", "whole", "mean")
    # Readers of an older format read rightly what needs no newer one, and would get the others wrong.
    version = FORMAT if "frames" in newer else 3 if newer else 1 if as_before else 2
    return {"format": version, "earnest": earnest.__version__, **{key: given[key] for key in order}}


def _check_sources(sources: Mapping[str, Path]) -> None:
    for name, path in sources.items():
        if not path.is_file():
            raise BundleError(
                f"{path} is to become {name} in the bundle, and there is no such file.", "Export it first."
            )
        if name in (MANIFEST, CARD) or Path(name).name != name:
            raise BundleError(f"a file of a bundle cannot be called {name!r}.", "Give it a plain name of its own.")


def _check_target(target: Path) -> None:
    """Never replace what is not a bundle."""
    if not target.exists():
        return
    if not target.is_dir() or (any(target.iterdir()) and not (target / MANIFEST).is_file()):
        raise BundleError(
            f"{target} exists and is not a bundle; it is left as it is.", "Choose another place, or move it away first."
        )


def _recover(target: Path, new: Path, old: Path) -> None:
    """Tidy up after a process that was killed while writing: a complete older bundle goes back to its place."""
    shutil.rmtree(new, ignore_errors=True)
    try:
        if old.is_dir() and not target.exists():
            old.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as problem:
        raise storage_error(target, problem) from problem


def _fill(new: Path, manifest: dict[str, Any], sources: Mapping[str, Path]) -> None:
    """Every file, forced to the disk; the manifest last, with the hashes of the others."""
    new.mkdir(parents=True)
    for name, source in sources.items():
        with atomic_path(new / name, needed_bytes=source.stat().st_size) as temporary:
            shutil.copyfile(source, temporary)
    manifest["files"] = {name: _entry(new / name) for name in sources}
    atomic_write_text(new / CARD, model_card(manifest))
    manifest["files"][CARD] = _entry(new / CARD)
    atomic_write_text(new / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: object) -> Any:
    """Parts inside a front end's numbers (one that is made of another) as they are written in a recipe."""
    if isinstance(value, Part):
        return value.plain()
    raise TypeError(f"{type(value).__name__} has no place in {MANIFEST}")


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def _swap(new: Path, target: Path, old: Path) -> None:
    """Put the new directory in the place of the old one, and the old one back if that fails."""
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
