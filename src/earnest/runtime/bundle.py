"""A bundle: one directory with the model, everything needed to use it, and the SHA-256 of every file in it.

    bundle/
      bundle.json     format version, labels, sample rate, window and hop, thresholds, scores, licences, hashes
      model.onnx      input `audio` float32 [batch, samples], output `scores` float32 [batch, labels]
      README.md       the model card

Nothing in a bundle is used before its hash has been checked.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from earnest.errors import BundleError
from earnest.files import sha256_file
from earnest.runtime.activity import is_activity
from earnest.runtime.combine import Rule
from earnest.runtime.frames import is_frames
from earnest.runtime.spotting import is_spotting

FORMAT = 4  # 1 knew neither `kind`, `segments` nor `combine`; 2 neither `spotting` nor `activity`; 3 no `frames`
MANIFEST = "bundle.json"
MODEL = "model.onnx"
Segments = Literal["whole", "crop-pad", "cut-all", "join-by-speaker"]
TAG_THRESHOLD = 0.5  # from here on a tag is given, where a bundle has no threshold of its own for it

Kind = Literal["classes", "tags", "values"]

_AGAIN = "Copy the bundle again from where it came, or make it again with `earnest export`."


@dataclass(frozen=True)
class Bundle:
    """A checked bundle; its fields are those of `bundle.json`.

    Attributes
    ----------
    directory : where the files lie.
    name, task, shape : what the model is called, its task, and the shape of its output (`clip`: one row per clip;
        `frames`: one row per frame, and a state that goes on to the next piece of a stream).
    labels : the names of the outputs, in their order.
    sample_rate : samples per second (Hz) of the audio that the model takes.
    window_samples, hop_samples : length of one model input, and the distance between the starts of two, in samples.
    short : what is done with clips shorter than a window: `pad` them with zeros on both sides, or `keep` their length.
    min_samples : with `keep`, clips shorter than this are filled up with zeros at the end.
    segments : how a recording becomes windows: all of it every `hop_samples` (`whole`), its first one alone
        (`crop-pad`), or one after the other (`cut-all`; `join-by-speaker`, for which the recordings of one speaker were
        joined before they were cut).
    combine : how the scores of its windows become one: their `mean`, the `majority` or the `geometric` mean.
    kind : what a row of scores says: `classes`, the probabilities of labels of which one is right; `tags`, those of
        labels of which any number is right; `values`, one number per label, in the unit of the training targets.
    thresholds : label → smallest score that counts as an event in a stream; labels without one always count, and tags
        without one from 0.5 on, in recordings as in streams.
    spotting : for keywords, how the scores of a stream's windows become events (`earnest.runtime.spotting`), and what
        was measured with these numbers; None: every window is reported by itself.
    activity : likewise for stretches of time in which a sound is there (`earnest.runtime.activity`).
    frames : of a model of the shape `frames`, where its answers lie in time (`earnest.runtime.frames`).
    frontend : the numbers of the front end inside the model, for the reader.
    recipe_hash, data_hash : SHA-256 of the recipe and of the clip table that the model was trained from.
    scores : model file → its score with interval, primary metric, protocol, number of clips.
    licences : one mapping per corpus of the training data.
    files : file name → `sha256` and `bytes`.
    earnest : the version that wrote the bundle.
    """

    directory: Path
    labels: tuple[str, ...]
    sample_rate: int
    window_samples: int
    hop_samples: int
    short: Literal["pad", "keep"] = "pad"
    min_samples: int = 0
    segments: Segments = "whole"
    combine: Rule = "mean"
    name: str = ""
    task: str = "classification"
    shape: str = "clip"
    kind: Kind = "classes"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    spotting: Mapping[str, Any] | None = None
    activity: Mapping[str, Any] | None = None
    frames: Mapping[str, Any] | None = None
    frontend: Mapping[str, Any] = field(default_factory=dict)
    recipe_hash: str = ""
    data_hash: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)
    licences: tuple[Any, ...] = ()
    files: Mapping[str, Any] = field(default_factory=dict)
    earnest: str = ""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read a bundle and check every file in it against its SHA-256.

        Parameters
        ----------
        path : the bundle's directory, its `bundle.json`, or a run directory that holds a `bundle/`.

        Raises
        ------
        BundleError : something is missing, damaged, or written by a newer Earnest; names the file and the remedy.
        """
        manifest = _find(Path(path))
        values = _read(manifest)
        _check_version(manifest, values)
        bundle = _build(manifest, values)
        for name in bundle.files:
            _check_file(bundle, name)
        return bundle

    def threshold(self, label: str) -> float:
        """The smallest score with which a label counts."""
        if self.kind == "values":
            return -math.inf
        return float(self.thresholds.get(label, TAG_THRESHOLD if self.kind == "tags" else 0.0))

    def path(self, name: str = MODEL) -> Path:
        """Where one of the bundle's files lies.

        Raises
        ------
        BundleError : the bundle has no file of that name.
        """
        if name not in self.files:
            raise BundleError(
                f"{self.directory} holds no file {name!r}.", f"It holds: {', '.join(sorted(self.files)) or 'nothing'}."
            )
        return self.directory / name


def _find(path: Path) -> Path:
    """The manifest for what the user pointed at."""
    if path.name == MANIFEST and path.is_file():
        return path
    for directory in (path, path / "bundle"):
        if (directory / MANIFEST).is_file():
            return directory / MANIFEST
    if not path.exists():
        raise BundleError(f"There is no bundle at {path}: nothing of that name exists.", "Check the path.")
    if not path.is_dir():
        raise BundleError(
            f"{path} is a file, and a bundle is a directory.", f"Give the directory with {MANIFEST} in it."
        )
    raise BundleError(
        f"{path} is not a bundle: it holds no {MANIFEST}.",
        f"Give the directory with {MANIFEST} in it, or make one with `earnest export`.",
    )


def _read(manifest: Path) -> dict[str, Any]:
    try:
        values = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise BundleError(f"{manifest} cannot be read: {problem}.", _AGAIN) from problem
    if not isinstance(values, dict):
        raise BundleError(f"{manifest} must hold one JSON object, not a {type(values).__name__}.", _AGAIN)
    return values


def _check_version(manifest: Path, values: Mapping[str, Any]) -> None:
    version = values.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(
            f"{manifest} names no valid format version (got {version!r}, expected 1 to {FORMAT}).", _AGAIN
        )
    if version > FORMAT:
        raise BundleError(
            f"{manifest} has bundle format {version}, and this Earnest reads formats up to {FORMAT}.",
            "Update Earnest: pip install --upgrade earnest",
        )


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _labels(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(label, str) for label in value)
        and len(set(value)) == len(value)
    )


def _files(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("sha256"), str)
        and isinstance(entry.get("bytes"), int)
        and name not in ("", ".", "..")
        and not set(name) & set("/\\:\0")
        for name, entry in value.items()
    )


# What each key must hold, and how to say so.
_REQUIRED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "labels": (_labels, "a list of different names"),
    "sample_rate": (lambda value: _count(value) and value <= 384_000, "a whole number of Hz from 1 to 384000"),
    "window_samples": (_count, "a whole number of samples, at least 1"),
    "hop_samples": (_count, "a whole number of samples, at least 1"),
    "short": (lambda value: value in ("pad", "keep"), "'pad' or 'keep'"),
    "min_samples": (lambda value: value == 0 or _count(value), "a whole number of samples, at least 0"),
    "files": (_files, "file names (without folders), each with sha256 and bytes"),
}
_OPTIONAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "text"),
    "task": (lambda value: isinstance(value, str), "text"),
    "shape": (lambda value: isinstance(value, str), "text"),
    "frames": (is_frames, "step_samples up to reach_samples, and first_samples"),
    "kind": (lambda value: value in ("classes", "tags", "values"), "'classes', 'tags' or 'values'"),
    "segments": (lambda value: value in get_args(Segments), f"one of {', '.join(get_args(Segments))}"),
    "combine": (lambda value: value in get_args(Rule), f"one of {', '.join(get_args(Rule))}"),
    "thresholds": (
        lambda value: isinstance(value, dict) and all(_number(score) for score in value.values()),
        "labels with a number each",
    ),
    "spotting": (is_spotting, "words, threshold and release from 0 to 1, smoothing_s and refractory_s"),
    "activity": (is_activity, "a label, offset ≤ onset from 0 to 1, an odd median, min_on_s and min_off_s"),
    "frontend": (lambda value: isinstance(value, dict), "names with values"),
    "recipe_hash": (lambda value: isinstance(value, str), "text"),
    "data_hash": (lambda value: isinstance(value, str), "text"),
    "scores": (lambda value: isinstance(value, dict), "file names with scores"),
    "licences": (lambda value: isinstance(value, list), "a list"),
    "earnest": (lambda value: isinstance(value, str), "a version"),
}


def _build(manifest: Path, values: Mapping[str, Any]) -> Bundle:
    """The manifest's values, checked one by one; keys that this version does not know are left alone."""
    fields: dict[str, Any] = {}
    for key, (valid, expected) in (_REQUIRED | _OPTIONAL).items():
        if key not in values:
            if key in _REQUIRED:
                raise BundleError(f"{manifest} lacks the key {key!r} ({expected}).", _AGAIN)
            continue
        value = values[key]
        if not valid(value):
            raise BundleError(f"{manifest}: {key!r} must be {expected}, got {_shown(value)}.", _AGAIN)
        fields[key] = tuple(value) if isinstance(value, list) else value
    if MODEL not in fields["files"]:
        raise BundleError(f"{manifest} lists no {MODEL}.", _AGAIN)
    if (fields.get("shape") == "frames") != ("frames" in fields):
        raise BundleError(f"{manifest}: the shape 'frames' and the key 'frames' belong together.", _AGAIN)
    return Bundle(directory=manifest.parent, **fields)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_file(bundle: Bundle, name: str) -> None:
    path, expected = bundle.directory / name, bundle.files[name]
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise BundleError(
                f"{path} has {size:,} bytes, and {expected['bytes']:,} were written: it is cut or changed.", _AGAIN
            )
        digest = sha256_file(path)
    except FileNotFoundError as problem:
        raise BundleError(f"{path} is missing from the bundle.", _AGAIN) from problem
    except OSError as problem:
        raise BundleError(f"{path} cannot be read: {problem.strerror or problem}.", _AGAIN) from problem
    if digest != expected["sha256"]:
        raise BundleError(
            f"{path} is damaged or was changed: its SHA-256 starts with {digest[:12]}, "
            f"and {expected['sha256'][:12]} was written.",
            _AGAIN,
        )
