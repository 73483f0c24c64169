"""Addresses of runs: what there is, reports, and what is started from the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from earnest.studio import events, recipes, runs
from earnest.studio.folder import Unknown, find
from earnest.studio.guard import part
from earnest.studio.recordings import studio_of

router = APIRouter(tags=["runs"])
REPORT = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "media-src data: blob:; img-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)  # beside the report's own policy, which names its scripts by their hash


Setting = Annotated[str, Field(max_length=2000)]


class Start(BaseModel):
    """A run to be started: a recipe by name or none, settings `key=value`, and whether with its leaky twin."""

    recipe: Annotated[str, Field(max_length=200)] | None = None
    overrides: Annotated[list[Setting], Field(max_length=200)] = []
    twin: bool = False


class Pair(BaseModel):
    """Two runs to be compared."""

    a: Annotated[str, Field(max_length=1000)]
    b: Annotated[str, Field(max_length=1000)]


def place_of(request: Request, run: str) -> Path:
    """The folder of a run."""
    return find(studio_of(request).folder.runs(), part(run), "run")


@router.get("/api/recipes")
def list_recipes(request: Request) -> list[dict[str, Any]]:
    """The recipes that can be started."""
    return recipes.listed(studio_of(request).root)


@router.get("/api/recipes/{recipe}")
def get_recipe(request: Request, recipe: str) -> dict[str, Any]:
    """One recipe as it is written, and what it sets by dotted keys."""
    path = find(recipes.known(studio_of(request).root), part(recipe), "recipe")
    text = path.read_text(encoding="utf-8")
    return {"yaml": text, "values": recipes.values(text)}


@router.get("/api/schema")
def get_schema() -> dict[str, Any]:
    """What a recipe may hold: its JSON schema, and the names of corpora, models, front ends and tasks."""
    return recipes.schema()


@router.get("/api/runs")
def list_runs(request: Request) -> list[dict[str, Any]]:
    """Every run of the folder, the newest first."""
    studio = studio_of(request)
    found = [runs.summary(id, path, studio.trainer.state(path)) for id, path in studio.folder.runs().items()]
    return sorted(found, key=lambda run: run["date"] or "9", reverse=True)


@router.post("/api/runs", status_code=201)
def start_run(request: Request, wanted: Start) -> dict[str, str]:
    """Start a recipe, or settings alone, as a child process."""
    studio = studio_of(request)
    known = recipes.known(studio.root)
    path = find(known, wanted.recipe, "recipe") if wanted.recipe else None
    overrides = [*wanted.overrides, "twin=true"] if wanted.twin else wanted.overrides
    recipes.check(path, overrides)
    place = studio.trainer.start(
        recipes.name_of(wanted.recipe, wanted.overrides), [*([str(path)] if path else []), *overrides]
    )
    return {"id": next(id for id, found in studio.folder.runs().items() if found == place)}


@router.post("/api/runs/{run}/stop")
def stop_run(request: Request, run: str) -> dict[str, str]:
    """Stop a run that was started here; it can go on later."""
    studio, place = studio_of(request), place_of(request, run)
    studio.trainer.stop(place)
    return {"state": studio.trainer.state(place)}


@router.post("/api/runs/{run}/resume")
def resume_run(request: Request, run: str) -> dict[str, str]:
    """Let a run go on where it stopped."""
    studio, place = studio_of(request), place_of(request, run)
    studio.trainer.resume(place)
    return {"state": studio.trainer.state(place)}


@router.get("/api/runs/{run}")
def get_run(request: Request, run: str) -> dict[str, Any]:
    """One run: as in the list, with its folds and metrics, and why it failed."""
    studio, path = studio_of(request), place_of(request, run)
    known = runs.summary(part(run), path, studio.trainer.state(path))
    return {**known, **runs.details(path), "problem": studio.trainer.ended(path).get("problem")}


@router.get("/api/runs/{run}/events", response_class=StreamingResponse)
async def get_events(request: Request, run: str) -> StreamingResponse:
    """What happens in a run, as server-sent events: `progress`, `epoch`, `log` and `end`."""
    studio = studio_of(request)
    path = await asyncio.to_thread(place_of, request, run)
    return StreamingResponse(events.stream(path, lambda: studio.trainer.state(path)), media_type="text/event-stream")


@router.post("/api/compare")
def compare(request: Request, pair: Pair) -> dict[str, Any]:
    """A paired test of two runs over the same clips."""
    studio = studio_of(request)
    known = studio.folder.runs()
    a, b = (find(known, id, "run") for id in (pair.a, pair.b))
    return studio.children.ask(["compare", str(a), str(b)])


@router.get("/api/runs/{run}/report", response_class=FileResponse)
def get_report(request: Request, run: str) -> FileResponse:
    """The run's report, in a sandbox: it runs its own scripts and reaches nothing."""
    path = place_of(request, run) / "report.html"
    if not path.is_file():
        raise Unknown("This run has no report.", "A run writes its report when it is done.")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT})
