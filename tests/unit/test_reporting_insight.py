"""The report's charts of sound, embeddings, conditions and precision: drawn from what a run has stored."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from insight_run import write_insight
from PIL import Image
from reporting_run import write_run

from earnest.errors import DataError
from earnest.reporting import insights, pictures, png
from earnest.reporting.report import write_report
from earnest.reporting.rundir import read_run
from earnest.reporting.sounds import Sounds

LABELS = ("angry", "neutral", "<sad>")


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_a_picture_is_a_png_of_the_palettes_colours() -> None:
    image = decoded(png.picture([[0.0, 1.0], [2.0, float("nan")]], 0, 1, png.LOUDNESS)).convert("RGB")
    assert image.size == (2, 2)
    first, last = (tuple(int(part) for part in png.LOUDNESS[place, :3]) for place in (0, -1))
    assert [image.getpixel(place) for place in ((0, 0), (1, 0), (0, 1), (1, 1))] == [first, last, last, first]


def test_heat_is_clear_as_glass_where_there_is_nothing() -> None:
    image = decoded(png.picture([[0.0, 1.0]], 0, 1, png.HEAT)).convert("RGBA")
    assert [image.getpixel((place, 0))[3] for place in (0, 1)] == [0, 217]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with everything that a run keeps to be looked at."""
    root = write_run(
        tmp_path_factory.mktemp("run"),
        labels=LABELS,
        speakers=3,
        takes=3,
        epochs=2,
        changes={"precisions": {"fp16": {"score": 0.8, "interval": [0.7, 0.9], "difference": -0.012}}},
    )
    return write_insight(root)


def test_the_page_shows_them_all_and_stays_small(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    sections = re.findall(r'<section id="([\w-]+)"', page)
    assert [name for name in sections if name in ("precisions", "conditions", "mel", "map", "saliency")] == [
        "precisions",
        "conditions",
        "mel",
        "map",
        "saliency",
    ]
    assert "<sad>" not in page
    assert "<soft>" not in page
    assert "Mel per emotion" in page
    assert "−1.2 points" in page
    assert "largest drop 30.0 points" in page
    assert len(page) < 1_000_000


def test_pictures_play_the_clips_whose_sound_the_page_holds(run: Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    sounds = set(re.findall(r'data-clip="([^"]+)"', page))
    section = pictures.mel(read_run(run), Sounds(None))
    assert section
    medoids = {one["clip"] for row in section.data["rows"] for one in row["medoids"]}
    assert medoids <= sounds
    assert medoids <= set(re.findall(r'data-play="([^"]+)"', page))


def test_every_figure_is_well_formed(run: Path) -> None:
    files = read_run(run)
    made = (pictures.mel, insights.embedding_map, pictures.saliency)
    section = [make(files, Sounds(files.table)) for make in made]
    assert all(section)
    drawn = [row["band"] for row in section[0].data["rows"]]  # type: ignore[union-attr]
    drawn += [section[1].data["figure"], section[2].data["cards"][0]["pictures"][0][1]]  # type: ignore[union-attr]
    for figure in drawn:
        root = ElementTree.fromstring(figure)
        assert root.get("aria-label")
        assert "nan" not in ElementTree.tostring(root, encoding="unicode").lower()


def test_more_classes_than_colours_and_shapes_are_grey() -> None:
    points = [{"id": str(n), "x": n, "y": -n, "label": str(n), "prediction": str(n)} for n in range(30)]
    figure = insights.places(points, {str(n): insights._mark(n) for n in range(30)})
    assert figure.count("spot none") == 6
    assert figure.count("<rect") == 8
    assert figure.count("<polygon") == 8


def test_damaged_pictures_are_named(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "insight"
    place.mkdir()
    (tmp_path / "scores.json").write_text("{}")
    (place / "mel.npz").write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"mel\.npz is damaged"):
        pictures.mel(read_run(tmp_path), Sounds(None))
