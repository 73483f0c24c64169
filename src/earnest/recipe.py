"""Typed recipes: what a run does, as one small YAML file and `key=value` overrides.

A recipe is strict: an unknown key is an error that names its neighbours. Parts with options of their own (front end,
model, task, augmentation) are written either as a name, `model: ds_cnn`, or as a name with options, `model: {name:
bc_resnet, tau: 2}`; the options belong to the part's own frozen dataclass and are checked by `configure`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from earnest.errors import RecipeError, did_you_mean
from earnest.sections import Clips, Part, Range, Search, Split, Start, Strict, Training

__all__ = [
    "Cell",
    "Clips",
    "Part",
    "Range",
    "Recipe",
    "Search",
    "Split",
    "Start",
    "Strict",
    "Training",
    "apply",
    "configure",
    "digest",
    "expand",
    "load",
    "parse",
    "place",
    "read_yaml",
    "with_value",
]

Config = TypeVar("Config")


class Recipe(Strict):
    """Everything that decides a run's result, and nothing else.

    `level` is what the score counts: clips, recordings or subjects (default: the task's own); `combine` is how the
    probabilities of several windows, or of several clips of one recording or subject, become one. `mode` is how a
    network is taught (`training.lessons`), `start` whose weights it starts from. Trained models are scored once more in
    each of `precisions` (`training.precision`). `twin: true` adds the leaky twin, which ignores the groups; the twin
    `carry-over` keeps the honest folds and carries one network from fold to fold, as some logs do. Keys that came after
    the first recipes are left out of the hash at their defaults, so that runs made before keep theirs.
    """

    name: str = "run"
    task: Part = Part(name="classification")
    corpus: str
    pattern: str | None = None
    target: str | None = None
    sample_rate: int = Field(16_000, ge=1_000, le=384_000)
    split: Split = Split()
    clips: Clips = Clips()
    frontend: Part = Part(name="log_mel")
    augment: tuple[Part, ...] = ()
    model: Part
    training: Training = Training()
    mode: Part = Field(Part(name="supervised"), exclude_if=lambda mode: mode == Part(name="supervised"))
    start: Start | None = None
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    primary: str | None = None
    level: Literal["clip", "recording", "subject"] | None = None
    combine: Literal["mean", "majority", "geometric"] = Field("mean", exclude_if=lambda rule: rule == "mean")
    search: Search | None = None
    precisions: tuple[Literal["fp16", "bf16", "fp8_e5m2", "fp8_e4m3"], ...] = Field(
        (), exclude_if=lambda kinds: not kinds
    )
    twin: bool | Literal["carry-over"] = False
    allow_leaks: str | None = None

    @field_validator("frontend", mode="before")
    @classmethod
    def _channels_from_list(cls, value: Any) -> Any:
        return {"name": "channels", "of": value} if isinstance(value, list) else value

    @field_validator("frontend", "task", "mode", mode="before")
    @classmethod
    def _options_alone(cls, value: Any, info: ValidationInfo) -> Any:
        """Options without a name are those of the part that is taken by default."""
        if isinstance(value, Mapping) and "name" not in value:
            return {"name": cls.model_fields[str(info.field_name)].default.name, **value}
        return value

    def plain(self) -> dict[str, Any]:
        """The recipe as plain YAML values, parts in their short form."""
        values = self.model_dump(mode="json", exclude_none=True)
        for key in {"task", "frontend", "model", "mode"} & values.keys():
            values[key] = getattr(self, key).plain()
        values["augment"] = [part.plain() for part in self.augment]
        if self.training.loss:
            values["training"]["loss"] = self.training.loss.plain()
        return values

    def to_yaml(self) -> str:
        """The resolved recipe as saved with a run."""
        return yaml.safe_dump(self.plain(), sort_keys=False, allow_unicode=True)

    @property
    def hash(self) -> str:
        """SHA-256 over everything in the recipe but its name."""
        return digest(self.plain())


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 over plain values but the name, whatever their order."""
    content = {key: value for key, value in values.items() if key != "name"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def parse(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Check plain values and make a recipe of them.

    Raises
    ------
    RecipeError : unknown keys (with close names), missing keys, values of the wrong type or out of range.
    """
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error, Recipe)}") from error


@dataclasses.dataclass(frozen=True)
class Cell:
    """One combination of a grid: its place on every axis, its recipe as plain YAML values, why it is left out."""

    coordinates: dict[str, str]
    values: dict[str, Any]
    skip: str | None = None


def load(path: Path | None, overrides: Sequence[str] = ()) -> list[Recipe]:
    """Read a recipe file (or none), apply overrides, and multiply its `grid:` out into cells.

    Raises
    ------
    RecipeError : the file cannot be read, is not a mapping, or holds wrong keys or values.
    """
    values = apply(read_yaml(path) if path else {}, overrides)
    for key in ("table", "ensembles"):
        values.pop(key, None)
    return [parse(cell.values, place(path)) for cell in expand(values, place(path), overrides) if cell.skip is None]


def place(path: Path | None) -> str:
    """What messages call a recipe."""
    return str(path) if path else "recipe"


def expand(values: Mapping[str, Any], where: str = "recipe", overrides: Sequence[str] = ()) -> list[Cell]:
    """The cells of a recipe's `grid:`; one without coordinates where it has none.

    Each axis of the grid is either a key of the recipe with a list of values, `model: [lstm, bilstm]`, or a name of
    its own with named settings of any keys, `features: {raw: {frontend: waveform}, mel: {frontend: log_mel}}`. Under
    `exceptions:` stand cells that need something else, `{at: {model: svm, features: raw}, set: {…}}`, or that make no
    sense, `{at: {…}, skip: reason}`; `at` may name only some of the axes. Where cells set a number that is also given
    by an override, such as `training.epochs=5`, the override counts.

    Raises
    ------
    RecipeError : an axis or an exception is malformed.
    """
    given = {key for key in (override.partition("=")[0].strip() for override in overrides) if "." in key}
    base = {key: value for key, value in values.items() if key not in ("grid", "exceptions")}
    grid = values.get("grid") or {}
    if not isinstance(grid, Mapping):
        raise RecipeError(f"{where}: 'grid' must map axes to values.", "Example: grid: {model: [ds_cnn, svm]}")
    axes = [_axis(str(name), points, where) for name, points in grid.items()]
    exceptions = [_exception(given, where) for given in values.get("exceptions") or ()]
    cells = []
    for combination in itertools.product(*axes):
        cell = base
        for _, settings in combination:
            cell = _with_settings(cell, settings, given)
        coordinates = {str(axis): name for axis, (name, _) in zip(grid, combination, strict=True)}
        skip = None
        for at, settings, reason in exceptions:
            if at.items() <= coordinates.items():
                skip = skip or reason
                cell = _with_settings(cell, settings, given)
        cells.append(Cell(coordinates, cell, skip))
    return cells


def _with_settings(cell: dict[str, Any], settings: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """A cell's values with further settings, but those that the user gave."""
    for key, value in settings.items():
        if key not in given:
            cell = with_value(cell, key, value)
    return cell


def _exception(given: Any, where: str) -> tuple[dict[str, str], Mapping[str, Any], str | None]:
    """What an entry of `exceptions:` says: the cells it is about, what they set, and why they are left out."""
    if not isinstance(given, Mapping) or not isinstance(given.get("at"), Mapping) or not {"set", "skip"} & set(given):
        raise RecipeError(
            f"{where}: exceptions: {given!r} is not of the form {{at: {{AXIS: NAME}}, set: {{KEY: VALUE}}}}.",
            "Or {at: {AXIS: NAME}, skip: REASON}.",
        )
    skip = given.get("skip")
    at = {str(axis): str(name) for axis, name in given["at"].items()}
    return at, given.get("set") or {}, None if skip is None else str(skip)


def _axis(axis: str, points: Any, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The points of an axis: name → settings."""
    if isinstance(points, list) and points:
        return [(_point_name(value), {axis: value}) for value in points]
    if isinstance(points, Mapping) and points and all(isinstance(settings, Mapping) for settings in points.values()):
        return [(str(name), settings) for name, settings in points.items()]
    raise RecipeError(
        f"{where}: grid.{axis} must be a list of values, or map names to settings; got {points!r}.",
        "Example: grid: {model: [ds_cnn, svm], features: {mel: {frontend: log_mel}, raw: {frontend: waveform}}}",
    )


def _point_name(value: Any) -> str:
    """A value of an axis in few words: a part with options is `name option=value`."""
    if not isinstance(value, Mapping):
        return str(value)
    options = [f"{key}={option}" for key, option in value.items() if key != "name"]
    return " ".join([str(value.get("name", "")), *options]).strip()


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping, with errors that name the file and line."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(
            f"no recipe file at {path}.", "Give the path of a .yaml file, or key=value pairs alone."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: expected a mapping of keys to values, got {type(values).__name__}.")
    return values


def apply(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply `key=value` and `section.key=value` overrides; values are read as YAML."""
    result = dict(values)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"override {override!r} is not of the form key=value.", "Example: training.epochs=10")
        try:
            value = text if key in ("corpus", "pattern") else yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"override {override!r}: the value is not valid YAML: {error}") from error
        key = key.strip()
        if key == "split" and isinstance(value, str) and isinstance(result.get(key), Mapping):
            key = "split.name"  # another scheme for the same groups, folds and fractions
        result = with_value(result, key, value)
    return result


def configure(config: type[Config], options: Mapping[str, Any], where: str) -> Config:
    """Make a part's frozen dataclass from a recipe's options.

    Raises
    ------
    RecipeError : an option is unknown (close names are given) or of the wrong type.
    """
    fields = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for key in options:
        if key not in fields:
            raise RecipeError(f"{where}: unknown option {key!r}.", did_you_mean(key, fields))
    try:
        return TypeAdapter(config).validate_python(dict(options))
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(error, None)}") from error


def with_value(values: Mapping[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    """A copy of nested mappings with one dotted key set; a part given by its name alone becomes a mapping."""
    key, _, rest = dotted.partition(".")
    copy = dict(values)
    if not rest:
        copy[key] = value
        return copy
    inner = copy.get(key, {})
    if isinstance(inner, str):
        inner = {"name": inner}
    if not isinstance(inner, Mapping):
        raise RecipeError(f"cannot set {dotted!r}: {key!r} holds {inner!r}, which has no keys.")
    copy[key] = with_value(inner, rest, value)
    return copy


def _explain(error: ValidationError, model: type[BaseModel] | None) -> str:
    """One sentence for what is wrong first; a misspelt key goes before the key that it leaves missing."""
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        owner = _section(model, first["loc"][:-1])
        known = owner.model_fields if owner else {}
        return f"unknown key {place!r}. {did_you_mean(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"the key {place!r} is missing."
    return f"{place}: {first['msg']} (got {first['input']!r})."


def _section(model: type[BaseModel] | None, path: Sequence[int | str]) -> type[BaseModel] | None:
    for key in path:
        field = model.model_fields.get(str(key)) if model else None
        annotation = field.annotation if field else None
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return model
