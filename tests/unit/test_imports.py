"""The house's order: dependencies run one way, torch stays in its rooms, and starting is quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import earnest

HOUSE = Path(earnest.__file__).parent

# Each room may import what stands in a line above it, and, without going round in a circle, what stands beside it.
ORDER = (
    {"errors", "files", "lists"},
    {"registry", "sections", "recipe", "audio", "scoring"},
    {"table"},
    {"speaking"},
    {"formats", "grouping", "splits", "leaks", "corpora", "augment", "frontends", "models", "fetch"},
    {"tasks"},
    {"training"},
    {"reporting", "shipping"},
    {
        "activity",
        "alarms",
        "search",
        "preparation",
        "provenance",
        "units",
        "fitting",
        "work",
        "results",
        "comparison",
        "segments",
        "levels",
        "pool",
        "insight",
    },
    {"tabulation"},
    {"overview"},
    {"journey"},
    {"ensemble", "deployment", "shipped"},
    {"grid"},
    {"doctor", "demo", "wakeword", "zoo", "studio"},
    {"cli"},
    {"__main__"},
)
STUDIO_MAY_IMPORT = {"errors", "files", "audio", "registry", "recipe", "table", "formats", "reporting", "runtime"}
RUNTIME_MAY_IMPORT = {"errors", "files", "audio", "_decoding", "runtime"}
TORCH_ROOMS = {"augment", "frontends", "models", "tasks", "training", "shipping"}
# Which device, which threads, whose features; never at the import of `earnest`.
TORCH_ROOMS |= {"journey", "pool", "units", "fitting", "work", "provenance", "insight"}
FILES = sorted(HOUSE.rglob("*.py"))


def room_of(file: Path) -> str:
    """`errors` for errors.py, `frontends` for frontends/log_mel.py."""
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


@cache
def imported(file: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything a file imports, wherever in the file it does so."""
    return tuple(_imported(ast.parse(file.read_text(encoding="utf-8"), str(file))))


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
            elif node.module == "earnest":
                yield from ((node.lineno, f"earnest.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


ROOMS = {room_of(other) for other in FILES} - {"__init__"}


def rooms_imported(file: Path) -> Iterator[tuple[int, str]]:
    for line, name in imported(file):
        package, _, rest = name.partition(".")
        if package == "earnest" and rest.partition(".")[0] in ROOMS:
            yield line, rest.partition(".")[0]


def lines() -> dict[str, int]:
    """The line of every room; a private helper (`_name`) stands in the line of the first room that imports it."""
    found = {room: line for line, rooms in enumerate(ORDER) for room in rooms}
    for _ in ORDER:
        for file in FILES:
            line = found.get(room_of(file))
            for _, other in rooms_imported(file):
                if other.startswith("_") and line is not None:
                    found[other] = min(line, found.get(other, line))
    return found


def wrong(room: str, other: str) -> bool:
    if room == other or room == "__init__":
        return False
    if room == "runtime":
        return other not in RUNTIME_MAY_IMPORT
    if room == "studio":  # everything else it leaves to child processes of the command
        return other not in STUDIO_MAY_IMPORT
    if other == "runtime":
        return LINE[room] < LINE["shipping"]
    return LINE[other] > LINE[room]


LINE = lines()


def test_every_room_has_its_place() -> None:
    unplaced = {room_of(file) for file in FILES} - set(LINE) - {"__init__", "runtime"}
    assert not unplaced, f"give {sorted(unplaced)} a place in ORDER"


def test_dependencies_run_one_way() -> None:
    found = [
        f"{file.relative_to(HOUSE)}:{line} imports {other}"
        for file in FILES
        for line, other in rooms_imported(file)
        if wrong(room_of(file), other)
    ]
    assert not found, "\n".join(found)


def test_rooms_do_not_import_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for file in FILES:
        if (room := room_of(file)) != "__init__":
            rooms.setdefault(room, set()).update(other for _, other in rooms_imported(file) if other != room)
    TopologicalSorter(rooms).prepare()  # raises CycleError


def test_imports_are_absolute() -> None:
    found = [
        f"{file.relative_to(HOUSE)}:{line}" for file in FILES for line, name in imported(file) if name.startswith(".")
    ]
    assert not found


def test_torch_stays_in_its_rooms() -> None:
    found = [
        f"{file.relative_to(HOUSE)}:{line}"
        for file in FILES
        for line, name in imported(file)
        if name.partition(".")[0] in ("torch", "accelerate") and room_of(file) not in TORCH_ROOMS
    ]
    assert not found


@pytest.mark.parametrize("module", ["earnest", "earnest.cli", "earnest.runtime", "earnest.doctor"])
def test_starting_does_not_import_the_lab(module: str) -> None:
    code = f"import sys, {module}; print(*(set(sys.modules) & {{'torch', 'polars', 'scipy', 'sklearn', 'matplotlib'}}))"
    assert run_python(code) == ""


def test_using_a_model_does_not_import_torch(tmp_path: Path) -> None:
    code = "import sys, earnest; earnest.Predictor, earnest.Streamer, earnest.Bundle; print('torch' in sys.modules)"
    assert run_python(code) == "False"


def test_using_a_model_reports_to_nobody(tmp_path: Path) -> None:
    """ONNX Runtime leaves a session file in the temporary folder where it may report."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", "import earnest.runtime.predictor"], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []


def test_import_is_quick() -> None:
    """The goal is 0.15 s and 0.5 s on an idle core (benchmarks/lean.py); a busy machine gets eight times that."""
    assert fastest([sys.executable, "-c", "import earnest"]) < 1.2
    assert fastest([sys.executable, "-m", "earnest", "--help"]) < 4.0


def test_public_names() -> None:
    assert sorted(earnest.__all__) == [
        "AudioError",
        "Bundle",
        "BundleError",
        "DataError",
        "EarnestError",
        "Event",
        "Folds",
        "LeakError",
        "Prediction",
        "Predictor",
        "Recipe",
        "RecipeError",
        "Streamer",
        "Table",
        "__version__",
        "audit",
        "load_recipe",
        "make_folds",
        "open_table",
        "run",
    ]
    assert set(earnest.__all__) <= set(dir(earnest))
    for name in earnest.__all__:
        assert getattr(earnest, name) is not None
    with pytest.raises(AttributeError, match="Did you mean Predictor"):
        earnest.Predicter  # noqa: B018


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def fastest(command: list[str], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
