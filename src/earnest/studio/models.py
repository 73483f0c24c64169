"""Addresses of models: the bundles of the folder, what is in them, and what they say of a recording that is sent."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from earnest.studio import worker
from earnest.studio.folder import Unknown, find
from earnest.studio.guard import part
from earnest.studio.recordings import INLINE, Outline, Tile, outline, picture, places, studio_of
from earnest.studio.uploads import FORM, Uploads

router = APIRouter(tags=["models"])
MANIFEST, CARD = "bundle.json", "README.md"
PIECE = 1 << 18  # bytes read at once


def place_of(request: Request, bundle: str) -> Path:
    """The folder of a bundle."""
    return find(studio_of(request).folder.bundles(), part(bundle), "bundle")


def uploads_of(request: Request) -> Uploads:
    """The recordings that were sent."""
    uploads: Uploads = request.app.state.uploads
    return uploads


@router.get("/api/bundles")
def list_bundles(request: Request) -> list[dict[str, Any]]:
    """Every bundle of the folder."""
    found = [summary(id, path) for id, path in studio_of(request).folder.bundles().items()]
    return [one for one in found if one]


@router.get("/api/bundles/{bundle}/card", response_class=Response)
def get_card(request: Request, bundle: str) -> Response:
    """The model card, as Markdown."""
    path = files_of(place_of(request, bundle)).get(CARD)
    if path is None:
        raise Unknown("This bundle has no model card.", "Make it again with `earnest export`.")
    text = path.read_text(encoding="utf-8", errors="replace")
    return Response(text, media_type="text/markdown", headers={"Content-Security-Policy": INLINE})


@router.get("/api/bundles/{bundle}/download", response_class=StreamingResponse)
def download(request: Request, bundle: str) -> StreamingResponse:
    """All files of the bundle as one zip archive, made while it is sent."""
    files = files_of(place_of(request, bundle))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", part(bundle)).strip("-.") or "bundle"
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"', "Content-Security-Policy": INLINE}
    return StreamingResponse(archive(files), media_type="application/zip", headers=headers)


@router.get("/api/bundles/{bundle}/files/{file}", response_class=FileResponse)
def get_file(request: Request, bundle: str, file: str) -> FileResponse:
    """One file of the bundle."""
    path = find(files_of(place_of(request, bundle)), part(file), "file")
    sealed = {"Content-Security-Policy": INLINE}
    return FileResponse(path, filename=path.name, media_type="application/octet-stream", headers=sealed)


@router.post("/api/bundles/{bundle}/predict", openapi_extra=FORM)
async def predict(request: Request, bundle: str) -> dict[str, Any]:
    """What the model says of a recording (the field `audio` of a form): as a whole, over time, and as events."""
    studio, uploads = studio_of(request), uploads_of(request)
    model = await run_in_threadpool(place_of, request, bundle)
    async with uploads.coming(request) as (path, name):
        copy = uploads.new_place(".wav")
        wanted = {"do": "predict", "bundle": str(model), "path": str(path), "out": str(copy), "name": name}
        try:
            async with _turns(request.app.state, studio.limits.predictions):
                said = await run_in_threadpool(partial(worker.ask, wanted, studio.limits))
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    sound = said.pop("sound")
    id = uploads.keep(copy).id
    return {**said, "upload": {"id": id, **sound, **places(f"/api/uploads/{id}", sound)}}


@router.get("/api/uploads/{upload}/audio", response_class=FileResponse)
def get_audio(request: Request, upload: str) -> FileResponse:
    """A recording that was sent, as a 16-bit WAV; ranges are answered."""
    path = uploads_of(request).find(upload).path
    return FileResponse(path, media_type="audio/wav", headers={"Content-Security-Policy": INLINE})


@router.get("/api/uploads/{upload}/peaks")
def get_peaks(request: Request, upload: str, view: Annotated[Outline, Depends()]) -> dict[str, Any]:
    """The outline of a recording that was sent, or of a piece of it: the lowest and highest samples of equal parts."""
    return outline(uploads_of(request).find(upload).path, view)


@router.get("/api/uploads/{upload}/tiles/{level}/{index}.png", response_class=Response)
def get_tile(request: Request, upload: str, view: Annotated[Tile, Depends()]) -> Response:
    """One tile of the spectrogram of a recording that was sent."""
    return picture(uploads_of(request).find(upload).path, view)


def summary(id: str, path: Path) -> dict[str, Any] | None:
    """One bundle as the list shows it; None for a folder whose manifest cannot be read."""
    manifest = manifest_of(path)
    try:
        window_s = manifest["window_samples"] / manifest["sample_rate"]
        files = [
            {"file": file, "bytes": entry["bytes"], "score": _score(manifest, file)}
            for file, entry in manifest["files"].items()
        ]
        known = {key: manifest[key] for key in ("labels", "sample_rate")}
    except (KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None
    more = {key: manifest[key] for key in ("measured", "gate", "licences", "kind", "shape") if key in manifest}
    return {
        "id": id,
        "name": id.replace("~", "/"),
        "task": manifest.get("task", "classification"),
        **known,
        "window_s": window_s,
        "files": files,
        "scores": manifest.get("scores", {}),
        "card": f"/api/bundles/{id}/card",
        **more,
    }


def manifest_of(path: Path) -> Mapping[str, Any]:
    """What a bundle's manifest says; nothing where it cannot be read. Files are checked when the model is used."""
    try:
        values = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def files_of(path: Path) -> dict[str, Path]:
    """The files of a bundle by name: the manifest and what it lists, if they are plain files in its folder."""
    listed = manifest_of(path).get("files")
    names = [MANIFEST, *(listed if isinstance(listed, dict) else ())]
    found = {name: path / name for name in names if name == Path(name).name and "\0" not in name}
    return {name: place for name, place in found.items() if place.is_file() and not place.is_symlink()}


def archive(files: Mapping[str, Path]) -> Iterator[bytes]:
    """A zip archive of files, piece by piece; models do not compress, so nothing is compressed."""
    out = _Pieces()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as zipped:
        for name, path in files.items():
            entry = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            with path.open("rb") as source, zipped.open(entry, "w") as target:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield out.take()
    yield out.take()


class _Pieces(io.RawIOBase):
    """A place to write to that hands on what was written; it cannot go back."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.held += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.held)
        self.held.clear()
        return taken


def _score(manifest: Mapping[str, Any], file: str) -> Any:
    """The score of a file: as it was measured, else the run's for the model."""
    for key in ("measured", "scores"):
        entry = manifest.get(key)
        found = entry.get(file) if isinstance(entry, dict) else None
        if isinstance(found, dict) and "score" in found:
            return found["score"]
    return None


def _turns(state: Any, places: int) -> asyncio.Semaphore:
    """What lets a few predictions run at once; it belongs to the event loop that first asks."""
    if not hasattr(state, "turns"):
        state.turns = asyncio.Semaphore(places)
    turns: asyncio.Semaphore = state.turns
    return turns
