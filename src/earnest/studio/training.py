"""Addresses of runs: what there is, reports, and what is started from the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from earnest.studio import runs
from earnest.studio.folder import Unknown, find
from earnest.studio.guard import part
from earnest.studio.recordings import studio_of

router = APIRouter(tags=["runs"])
REPORT = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "media-src data: blob:; img-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)  # beside the report's own policy, which names its scripts by their hash


def place_of(request: Request, run: str) -> Path:
    """The folder of a run."""
    return find(studio_of(request).folder.runs(), part(run), "run")


@router.get("/api/runs")
def list_runs(request: Request) -> list[dict[str, Any]]:
    """Every run of the folder, the newest first."""
    found = [runs.summary(id, path) for id, path in studio_of(request).folder.runs().items()]
    return sorted(found, key=lambda run: run["date"] or "", reverse=True)


@router.get("/api/runs/{run}")
def get_run(request: Request, run: str) -> dict[str, Any]:
    """One run: as in the list, with its folds and metrics."""
    path = place_of(request, run)
    return {**runs.summary(part(run), path), **runs.details(path), "problem": None}


@router.get("/api/runs/{run}/report", response_class=FileResponse)
def get_report(request: Request, run: str) -> FileResponse:
    """The run's report, in a sandbox: it runs its own scripts and reaches nothing."""
    path = place_of(request, run) / "report.html"
    if not path.is_file():
        raise Unknown("This run has no report.", "A run writes its report when it is done.")
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": REPORT})
