"""Grids: one recipe, many cells, each a run of its own; some at once, here or on a cluster.

A cell that fails is named and the others go on. A finished cell is not run again, so that the same command goes on with
a grid that was stopped. `cells.json` in the grid's directory says where each cell lies and how it ended.
"""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earnest import ensemble, journey, pool, recipe
from earnest.errors import EarnestError, MissingExtra, RecipeError
from earnest.files import atomic_write_text
from earnest.overview import write_grid_report
from earnest.recipe import Recipe
from earnest.tabulation import INDEX


@dataclass(frozen=True)
class Grid:
    """A recipe with its cells.

    Attributes
    ----------
    name : the recipe's name.
    cells : its combinations, in order.
    ensembles : name → the cells that answer together under it, each by its place on some of the axes.
    table : how `earnest table` shows the grid: `columns`, and an axis to `spread` over them.
    """

    name: str
    cells: tuple[recipe.Cell, ...]
    table: dict[str, Any] = field(default_factory=dict)
    ensembles: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    @property
    def coordinates(self) -> list[dict[str, str]]:
        """The place of every cell, and after them of every ensemble, whose name stands on the first axis."""
        first = next((axis for cell in self.cells for axis in cell.coordinates), "ensemble")
        return [cell.coordinates for cell in self.cells] + [{first: name} for name in self.ensembles]

    @property
    def is_one_run(self) -> bool:
        """Whether the recipe has no grid at all."""
        return len(self.cells) == 1 and not self.cells[0].coordinates


@dataclass(frozen=True)
class Ended:
    """How a cell ended.

    Attributes
    ----------
    coordinates : the cell's place on every axis.
    run : its run directory, relative to the grid's.
    problem, remedy : why it failed and what to do; None where it is done.
    left_out : why the recipe leaves it out; None where it does not.
    """

    coordinates: dict[str, str]
    run: str
    problem: str | None = None
    remedy: str | None = None
    left_out: str | None = None

    @property
    def status(self) -> str:
        """`done`, `failed` or `left out`."""
        return "left out" if self.left_out is not None else "failed" if self.problem else "done"


def read(path: Path | None, overrides: Sequence[str] = ()) -> Grid:
    """A recipe's grid; an axis that an override sets is an axis no more, nor are there ensembles over it.

    Raises
    ------
    RecipeError : the file cannot be read, or its grid is malformed; what is wrong with one cell fails only that cell.
    """
    values = recipe.apply(recipe.read_yaml(path) if path else {}, overrides)
    set_here = {override.partition("=")[0].strip() for override in overrides}
    if isinstance(axes := values.get("grid"), dict):
        values["grid"] = {axis: points for axis, points in axes.items() if axis not in set_here}
    table = values.pop("table", None) or {}
    ensembles = _ensembles(values.pop("ensembles", None) or {}, recipe.place(path))
    ensembles = {name: cells for name, cells in ensembles.items() if not any(set_here & at.keys() for at in cells)}
    cells = recipe.expand(values, recipe.place(path), overrides)
    return Grid(str(values.get("name", "run")), tuple(cells), table, ensembles)


def _ensembles(given: Any, where: str) -> dict[str, list[dict[str, str]]]:
    """What stands under `ensembles:`, checked."""
    well = isinstance(given, dict) and all(
        isinstance(cells, list) and cells and all(isinstance(at, dict) and at for at in cells)
        for cells in given.values()
    )
    if not well:
        raise RecipeError(
            f"{where}: 'ensembles' must map names to lists of cells; got {given!r}.",
            "Example: ensembles: {both: [{model: ds_cnn}, {model: svm}]}",
        )
    return {
        str(name): [{str(axis): str(point) for axis, point in at.items()} for at in cells]
        for name, cells in given.items()
    }


def run(
    grid: Grid,
    out: Path | None = None,
    *,
    data: Path | None = None,
    jobs: int | None = None,
    on: str | None = None,
    progress: pool.Progress | None = None,
) -> tuple[Path, list[Ended]]:
    """Run every cell of a grid.

    Parameters
    ----------
    out : the grid's directory; default `runs/NAME`.
    data : where corpora lie.
    jobs : how many cells run at once; default one per core. It changes no result.
    on : the address of a Ray cluster (`ray://HOST:PORT`), whose machines see the same files; None is here.
    progress : told what happens.

    Returns
    -------
    The grid's directory, and how each cell ended, in the grid's order.

    Raises
    ------
    MissingExtra : a cluster is asked for and ray is not installed.
    RecipeError : not one cell has a recipe that can be read.
    """
    progress = progress or pool.Silent()
    directory = (out or Path("runs") / grid.name).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    progress.stage(f"{grid.name}: {len(grid.cells)} cells", len(grid.coordinates))
    places = [directory / folder_of(cell) for cell in grid.cells]
    places += [directory / folder_of_ensemble(grid, name) for name in grid.ensembles]
    cells, ended = [], {}
    for index, (cell, place) in enumerate(zip(grid.cells, places, strict=False)):
        if cell.skip is not None:
            ended[index] = Ended(cell.coordinates, place.name, left_out=cell.skip)
            continue
        try:
            cells.append((index, recipe.parse(cell.values), place))
        except RecipeError as problem:
            ended[index] = Ended(cell.coordinates, place.name, problem.message, problem.remedy)
    if not cells:
        first = next((one for one in ended.values() if one.problem), ended[0])
        raise RecipeError(f"no cell of {grid.name} can be run: {first.problem or first.left_out}", first.remedy)
    carry_out = _on_ray(on) if on else _here(jobs or pool.default_jobs(cells[0][1]))
    write_index(directory, grid, ended, places)
    shared = directory / "cache"
    coordinates = grid.coordinates
    for index, reason, remedy in itertools.chain(
        carry_out(cells, data, shared), answer_together(grid, ended, places, data)
    ):
        ended[index] = Ended(coordinates[index], places[index].name, reason, remedy)
        write_index(directory, grid, ended, places)
        if reason:
            progress.note(f"{describe(coordinates[index])} failed: {reason}")
        progress.step(describe(coordinates[index]), done=len(ended))
    shutil.rmtree(shared, ignore_errors=True)
    write_grid_report(directory)
    return directory, [ended[index] for index in range(len(coordinates))]


Work = tuple[int, Recipe, Path]
Result = tuple[int, str | None, str | None]
CarryOut = Callable[[list[Work], Path | None, Path], Iterator[Result]]


def run_cell(
    work: Work, data: Path | None, shared: Path, jobs: int | None = 1, processes: Executor | None = None
) -> Result:
    """One cell: its number, and why it failed, if it did. Its folds are trained in `processes`, where there are any."""
    index, cell, place = work
    try:
        journey.run(cell, place, data=data, jobs=jobs, shared=shared, pool=processes)
    except EarnestError as problem:
        return index, problem.message, problem.remedy
    except (RuntimeError, ValueError, MemoryError) as fault:  # what torch and scikit-learn raise in the middle of work
        return index, f"{type(fault).__name__}: {fault}", "Run this cell alone with --debug to see where."
    return index, None, None


def answer_together(
    grid: Grid, ended: Mapping[int, Ended], places: Sequence[Path], data: Path | None
) -> Iterator[Result]:
    """The grid's ensembles, when its cells have ended."""
    for index, name in enumerate(grid.ensembles, start=len(grid.cells)):
        chosen = members_of(grid, name)
        missing = [describe(grid.cells[number].coordinates) for number in chosen if ended[number].status != "done"]
        if missing:
            yield index, f"it needs {', '.join(missing)}.", "Mend these cells; the same command goes on."
            continue
        try:
            ensemble.run([places[number] for number in chosen], places[index], name=name, data=data)
        except EarnestError as problem:
            yield index, problem.message, problem.remedy
        else:
            yield index, None, None


def members_of(grid: Grid, name: str) -> list[int]:
    """The numbers of the cells that an ensemble is made of."""
    return [
        number
        for number, cell in enumerate(grid.cells)
        if cell.skip is None and any(at.items() <= cell.coordinates.items() for at in grid.ensembles[name])
    ]


def _here(jobs: int) -> CarryOut:
    """Cells on this machine: each is read and reported on by a thread here, and their folds share the processes.

    So no process waits while a fold of any cell is left, however long the last cell takes.
    """

    def carry_out(cells: list[Work], data: Path | None, shared: Path) -> Iterator[Result]:
        if len(cells) == 1 or jobs == 1:
            yield from (run_cell(cell, data, shared, jobs) for cell in cells)
            return
        with pool.workers(jobs) as processes:
            threads = ThreadPoolExecutor(jobs + 1)  # one more than processes, so that folds are always waiting
            try:
                futures = [threads.submit(run_cell, cell, data, shared, 1, processes) for cell in cells]
                yield from (future.result() for future in as_completed(futures))
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    return carry_out


def _on_ray(address: str) -> CarryOut:
    """Cells as tasks of a Ray cluster, each on as many cores as its recipe's threads."""

    def carry_out(cells: list[Work], data: Path | None, shared: Path) -> Iterator[Result]:
        try:
            import ray
        except ModuleNotFoundError as missing:
            raise MissingExtra("ray", "cluster", "Running a grid on a cluster") from missing
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        try:
            task = ray.remote(run_cell)
            waiting = [
                task.options(num_cpus=cell.training.threads).remote((n, cell, p), data, shared) for n, cell, p in cells
            ]
            while waiting:
                done, waiting = ray.wait(waiting)
                yield from ray.get(done)
        finally:
            ray.shutdown()

    return carry_out


def folder_of(cell: recipe.Cell) -> str:
    """The name of a cell's directory: its coordinates in letters and digits, and a part of a hash of its values."""
    return f"{words('-'.join(cell.coordinates.values())) or 'run'}-{recipe.digest(cell.values)[:8]}"


def folder_of_ensemble(grid: Grid, name: str) -> str:
    """The name of an ensemble's directory: its name, and a part of a hash of its members."""
    members = [folder_of(grid.cells[number]) for number in members_of(grid, name)]
    return f"{words(name)}-{recipe.digest({'members': members})[:8]}"


def words(name: str) -> str:
    """A name as it may stand in the name of a folder."""
    return re.sub(r"[^\w.=+]+", "-", name).strip("-")[:60]


def describe(coordinates: dict[str, str]) -> str:
    """A cell's place in words: `model lstm, features raw`."""
    return ", ".join(f"{axis} {name}" for axis, name in coordinates.items())


def write_index(directory: Path, grid: Grid, ended: dict[int, Ended], places: Sequence[Path]) -> None:
    """Write `cells.json`; cells that have not ended have the status `open`."""
    cells = []
    for index, (coordinates, place) in enumerate(zip(grid.coordinates, places, strict=True)):
        one = ended.get(index, Ended(coordinates, place.name))
        cells.append({**asdict(one), "status": one.status if index in ended else "open"})
    content = {"name": grid.name, "table": grid.table, "cells": cells}
    atomic_write_text(directory / INDEX, json.dumps(content, indent=1, ensure_ascii=False))
