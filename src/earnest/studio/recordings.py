"""Addresses of recordings: tables, their rows, and clips with their sound."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from earnest.studio import annotations as drawn
from earnest.studio import tables
from earnest.studio.guard import part
from earnest.studio.sounds import facts
from earnest.studio.state import Studio

router = APIRouter(tags=["recordings"])
INLINE = "default-src 'none'; sandbox"  # of sound: nothing in it is ever run
MOST_ROWS = 1000
HIDDEN = ("id", "audio", "start_s", "end_s")

Text = Annotated[str, Query(max_length=500)]


class Item(BaseModel):
    """A label: what is said of a stretch of time, in seconds."""

    start_s: float
    end_s: float
    label: str


class Lane(BaseModel):
    """Labels of one kind."""

    name: str
    items: list[Item]


class Lanes(BaseModel):
    """All labels of a clip."""

    lanes: list[Lane]


class Outline(BaseModel):
    """Into how many parts a recording is divided, or a piece of it from one time to another."""

    columns: Annotated[int, Field(ge=1, le=100_000)] = 2000
    start_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    end_s: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None


class Tile(BaseModel):
    """Which tile of a spectrogram, and how it is drawn."""

    level: Annotated[int, Field(ge=0, le=40)]
    index: Annotated[int, Field(ge=0, le=2**40)]
    scale: Literal["mel", "linear"] = "mel"
    db: Annotated[float, Field(ge=20, le=160, allow_inf_nan=False)] = 80.0
    map: Literal["viridis", "magma", "grey"] = "viridis"


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
    """One page of a table's rows, sorted, filtered (`COLUMN:VALUE`, `COLUMN:FROM..TO`), searched and grouped."""
    wanted = tables.Query(sort or None, descending, search, tuple(filter), group or None, offset, limit)
    return tables.rows(studio_of(request).frame(part(table)), wanted)


@router.get("/api/tables/{table}/distribution")
def get_distribution(request: Request, table: str, column: Text) -> dict[str, Any]:
    """How the values of one column are spread over the clips."""
    return tables.distribution(studio_of(request).frame(part(table)), column)


@router.get("/api/tables/{table}/audit", responses={202: {"description": "It is being worked on; ask again."}})
def get_audit(request: Request, table: str) -> JSONResponse:
    """What training and test would share, and copies of the same audio; a child process finds it."""
    studio = studio_of(request)
    place = studio.listed(studio.source(part(table)))
    found = studio.jobs.result("audit", str(place), stamp=str(place.stat().st_mtime_ns))
    return JSONResponse({"state": "running"}, 202) if found is None else JSONResponse(found)


@router.get("/api/clips/{table}/{clip}/audio", response_class=FileResponse)
def get_audio(request: Request, table: str, clip: str) -> FileResponse:
    """The sound of a clip, as the file it lies in or as a 16-bit WAV; ranges are answered."""
    studio = studio_of(request)
    path, kind = studio.sounds.playable(studio.sound(part(table), part(clip)))
    return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": INLINE})


@router.get("/api/clips/{table}/{clip}/peaks")
def get_peaks(request: Request, table: str, clip: str, view: Annotated[Outline, Depends()]) -> dict[str, Any]:
    """The outline of a clip, or of a piece of it: the lowest and highest samples of equal parts."""
    studio = studio_of(request)
    return outline(studio.sounds.drawn(studio.sound(part(table), part(clip))), view)


@router.get("/api/clips/{table}/{clip}/tiles/{level}/{index}.png", response_class=Response)
def get_tile(request: Request, table: str, clip: str, view: Annotated[Tile, Depends()]) -> Response:
    """One tile of a clip's spectrogram, 512 by 256 pixels."""
    studio = studio_of(request)
    return picture(studio.sounds.drawn(studio.sound(part(table), part(clip))), view)


@router.get("/api/clips/{table}/{clip}/labels")
def get_labels(request: Request, table: str, clip: str) -> dict[str, Any]:
    """The labels that were drawn on a clip."""
    return {"lanes": drawn.read(_labels_of(request, table, clip))}


@router.put("/api/clips/{table}/{clip}/labels")
def put_labels(request: Request, table: str, clip: str, given: Lanes) -> dict[str, Any]:
    """Keep the labels of a clip."""
    place = _labels_of(request, table, clip)
    return {"lanes": drawn.write(place, [lane.model_dump() for lane in given.lanes])}


@router.get("/api/clips/{table}/{clip}/labels.{suffix}", response_class=Response)
def export_labels(
    request: Request, table: str, clip: str, suffix: Literal["rttm", "TextGrid", "txt", "csv"]
) -> Response:
    """The labels of a clip for other programs: RTTM, Praat, Audacity (txt) or CSV."""
    studio, id = studio_of(request), part(clip)
    lanes = drawn.read(_labels_of(request, table, clip))
    stem = PurePosixPath(id).stem or "clip"
    text = drawn.exported(lanes, suffix, stem, facts(studio.sound(part(table), id))["duration_s"])
    named = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{stem}.{suffix}', safe='')}"}
    return Response(text, media_type=drawn.MEDIA_TYPES[suffix], headers=named)


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
        **places(base, known),
    }


def places(base: str, sound: Mapping[str, Any]) -> dict[str, Any]:
    """Where the sound, the outline and the spectrogram of a recording are, by its duration and sample rate."""
    from earnest.reporting import tiles

    known = {"url": f"{base}/tiles", "step_s": tiles.STEP_S, "width": tiles.WIDTH}
    known |= {"levels": tiles.levels(sound["duration_s"]), "highest_hz": sound["sample_rate"] / 2}
    return {"audio": f"{base}/audio", "peaks": f"{base}/peaks", "tiles": known}


def outline(path: Path, view: Outline) -> dict[str, Any]:
    """A recording's outline as JSON; `duration_s` is that of the whole recording."""
    from earnest.reporting import envelopes

    lowest, highest = envelopes.peaks(path, view.columns, view.start_s, view.end_s)
    return {"duration_s": envelopes.envelope(path).duration_s, **envelopes.as_lists(lowest, highest)}


def picture(path: Path, view: Tile) -> Response:
    """A tile of a recording's spectrogram as a PNG."""
    from earnest.reporting import tiles

    return Response(tiles.tile(path, view.level, view.index, view.scale, view.db, view.map), media_type="image/png")


def _labels_of(request: Request, table: str, clip: str) -> Path:
    """Where the labels of a clip that there is lie."""
    studio = studio_of(request)
    tables.row_of(studio.frame(part(table)), part(clip))
    return drawn.place_of(studio.root, part(table), part(clip))
