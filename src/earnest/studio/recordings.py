"""Addresses of recordings: tables, their rows, and clips with their sound."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from earnest.studio import tables
from earnest.studio.guard import part
from earnest.studio.sounds import facts
from earnest.studio.state import Studio

router = APIRouter(tags=["recordings"])
INLINE = "default-src 'none'; sandbox"  # of sound: nothing in it is ever run
MOST_ROWS = 1000
HIDDEN = ("id", "audio", "start_s", "end_s")

Text = Annotated[str, Query(max_length=500)]


def studio_of(request: Request) -> Studio:
    """The studio that answers."""
    studio: Studio = request.app.state.studio
    return studio


@router.get("/api/tables")
def list_tables(request: Request) -> list[dict[str, Any]]:
    """Everything that can be opened as a table of clips."""
    studio = studio_of(request)
    return [
        {"id": source.id, "title": source.title, "kind": source.kind, "clips": studio.tables.clips(source)}
        for source in studio.sources()
    ]


@router.get("/api/tables/{table}/rows")
def list_rows(
    request: Request,
    table: str,
    sort: Annotated[str | None, Query(max_length=500)] = None,
    descending: bool = False,
    search: Text = "",
    filter: Annotated[list[Text], Query(max_length=50)] = [],  # noqa: B006
    group: Annotated[str | None, Query(max_length=500)] = None,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    limit: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 200,
) -> dict[str, Any]:
    """One page of a table's rows, sorted, filtered (`COLUMN:VALUE`), searched and grouped."""
    wanted = tables.Query(sort or None, descending, search, tuple(filter), group or None, offset, limit)
    return tables.rows(studio_of(request).frame(part(table)), wanted)


@router.get("/api/tables/{table}/distribution")
def get_distribution(request: Request, table: str, column: Text) -> dict[str, Any]:
    """How the values of one column are spread over the clips."""
    return tables.distribution(studio_of(request).frame(part(table)), column)


@router.get("/api/clips/{table}/{clip}/audio", response_class=FileResponse)
def get_audio(request: Request, table: str, clip: str) -> FileResponse:
    """The sound of a clip, as the file it lies in or as a 16-bit WAV; ranges are answered."""
    studio = studio_of(request)
    path, kind = studio.sounds.playable(studio.sound(part(table), part(clip)))
    return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": INLINE})


@router.get("/api/clips/{table}/{clip}")
def get_clip(request: Request, table: str, clip: str) -> dict[str, Any]:
    """What is known of a clip, and where its sound and its pictures are."""
    studio = studio_of(request)
    row = tables.row_of(studio.frame(part(table)), part(clip))
    known = facts(studio.sound(part(table), part(clip)))
    base = request.scope["raw_path"].decode("ascii").partition("?")[0]
    return {
        "id": part(clip),
        **known,
        "labels": {column: value for column, value in row.items() if column not in HIDDEN and value is not None},
        "lanes": [],
        "audio": f"{base}/audio",
        "peaks": f"{base}/peaks",
        "tiles": None,
    }
