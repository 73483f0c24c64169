"""Units carried out: in this process, in several at once, or one after the other with the weights handed on."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from earnest.recipe import Recipe, Start
from earnest.training.origins import Origin
from earnest.units import Unit, end_with_parent, read_log
from earnest.work import run_unit


class Progress(Protocol):
    """What the journey tells whoever watches."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A new stage begins; `total` is how many steps it has, where known."""

    def step(self, detail: str = "", done: int | None = None) -> None:
        """One step is done (or `done` of them altogether)."""

    def note(self, message: str) -> None:
        """Something worth saying once."""


class Silent:
    """Progress that nobody watches."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Say nothing."""

    def step(self, detail: str = "", done: int | None = None) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


def run_carrying(units: Sequence[Unit], progress: Progress, pool: Executor | None = None) -> list[dict[str, Any]]:
    """Units one after the other, each starting from the weights that the one before ended with.

    Parameters
    ----------
    pool : processes that several runs share, one of which does it; None: this process.
    """
    if pool is not None:
        return pool.submit(run_carrying, units, Silent()).result()
    records: list[dict[str, Any]] = []
    before: Unit | None = None
    for index, unit in enumerate(units):
        if before and before.seed == unit.seed:
            start = Start(run=str(before.directory))
            place, members = before.directory / "checkpoint", before.recipe.training.members
            origin = Origin.read(place, before.fold, before.seed, before.labels, members)
            unit = replace(unit, recipe=unit.recipe.model_copy(update={"start": start}), origin=origin)
        records.append(run_unit(unit))
        progress.step(unit.fold, done=(index + 1) * epochs_of(unit.recipe))
        before = unit
    return records


def run_units(
    units: Sequence[Unit], jobs: int, progress: Progress, pool: Executor | None = None
) -> list[dict[str, Any]]:
    """Run units in this process (one job) or in several, in the order given; results come back in that order.

    Parameters
    ----------
    pool : processes that several runs share; None makes as many as there are jobs.
    """
    if pool is not None:
        return _in_pool(units, progress, pool)
    if min(jobs, len(units)) == 1:
        records = []
        for index, unit in enumerate(units):
            records.append(run_unit(unit))
            progress.step(unit.fold, done=(index + 1) * epochs_of(unit.recipe))
        return records
    with workers(min(jobs, len(units))) as own:
        return _in_pool(units, progress, own)


def _in_pool(units: Sequence[Unit], progress: Progress, pool: Executor) -> list[dict[str, Any]]:
    futures = [pool.submit(run_unit, unit) for unit in units]
    waiting = set(futures)
    try:
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            progress.step(done=sum(epochs_done(unit, futures[i].done()) for i, unit in enumerate(units)))
    finally:
        for future in waiting:
            future.cancel()
    return [future.result() for future in futures]


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end at once when the block fails or this process is killed."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent, initargs=(os.getpid(),))
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def epochs_of(recipe: Recipe) -> int:
    """Progress steps of one unit."""
    return recipe.training.epochs * recipe.training.members


def epochs_done(unit: Unit, done: bool) -> int:
    """Progress steps a unit has made."""
    return epochs_of(unit.recipe) if done else len(read_log(unit.directory))


def default_jobs(recipe: Recipe) -> int:
    """As many units at once as there are cores for their threads; one where a GPU does the work."""
    import torch

    if torch.cuda.is_available():
        return 1
    return max(1, len(os.sched_getaffinity(0)) // recipe.training.threads)
