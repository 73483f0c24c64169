"""The application: every address of the studio, and what an error looks like."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from earnest import __version__, reporting
from earnest.errors import AudioError, EarnestError, StorageError
from earnest.studio import live, models, openapi_page, recordings, training
from earnest.studio.folder import Unknown
from earnest.studio.guard import error_of
from earnest.studio.state import Studio
from earnest.studio.trainer import Conflict
from earnest.studio.uploads import Uploads

PAGES = Path(__file__).parent / "static"
PLAYER = Path(reporting.__file__).parent / "player"


def create_app(studio: Studio) -> FastAPI:
    """The application over one folder; `guard.Guard` goes in front of it."""
    app = FastAPI(title="Earnest studio", version=__version__, docs_url=None, redoc_url=None)
    app.state.studio = studio
    app.state.uploads = Uploads(studio.temporary / "uploads", studio.limits)
    app.state.live = live.Live(studio.limits)
    for router in (recordings.router, training.router, models.router, live.router, openapi_page.router):
        app.include_router(router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(EarnestError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)

    @app.get("/health", tags=["studio"])
    async def health() -> dict[str, Any]:
        """That the studio is there; needs no token."""
        return {"ok": True, "version": __version__}

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGES / "index.html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> FileResponse:
        return FileResponse(PAGES / "icon.svg")

    app.mount("/static", StaticFiles(directory=PAGES))
    app.mount("/player", StaticFiles(directory=PLAYER))
    return app


async def _refused(_: Request, problem: Exception) -> JSONResponse:
    if not isinstance(problem, HTTPException):
        raise problem
    return JSONResponse(error_of(problem), problem.status_code, headers=dict(problem.headers or {}))


async def _problem(_: Request, problem: Exception) -> JSONResponse:
    """An error of Earnest's as an answer."""
    if not isinstance(problem, EarnestError):
        raise problem
    status = 400
    if isinstance(problem, Unknown):
        status = 404
    elif isinstance(problem, Conflict):
        status = 409
    elif isinstance(problem, AudioError):
        status = 422
    elif isinstance(problem, StorageError):
        status = 507
    return JSONResponse({"error": problem.message, "remedy": problem.remedy or ""}, status)


async def _invalid(_: Request, problem: Exception) -> JSONResponse:
    """A question of the wrong shape: where, and what was expected."""
    if not isinstance(problem, RequestValidationError):
        raise problem
    said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problem.errors()[:5]]
    return JSONResponse({"error": "; ".join(said), "remedy": "/docs says what each address takes."}, 422)


async def _unexpected(_: Request, problem: Exception) -> JSONResponse:
    traceback.print_exception(problem, file=sys.stderr)
    return JSONResponse(
        {"error": "Something went wrong that should not have.", "remedy": "The terminal says what."}, 500
    )
