"""The building blocks of the report's charts, and the counts behind them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import soundfile

from earnest.reporting import figures, players, svg, tally
from earnest.reporting.sounds import Sounds
from earnest.scoring.classification import reliability_curve
from earnest.scoring.det import Det, probit


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    inner = svg.text(1, 2, "<b> & 'c'")
    drawn = svg.element("g", inner, "<i>", data_name='"x"', class_="a", id=None)
    assert drawn == (
        '<g data-name="&#34;x&#34;" class="a"><text x="1" y="2">&lt;b&gt; &amp; &#39;c&#39;</text>&lt;i&gt;</g>'
    )


def test_numbers_are_written_short() -> None:
    assert svg.line(0.0, 1.50, 2.126, -0.0001, "x") == '<line x1="0" y1="1.5" x2="2.13" y2="-0" class="x"></line>'


def test_a_scale_maps_both_ways_and_holds_values_inside() -> None:
    up = svg.Scale(0, 10, 100, 0)
    assert [up(0), up(2.5), up(10), up(12), up(-3)] == [100, 75, 0, 0, 100]
    assert svg.Scale(3, 3, 0, 10)(3) == 5


@pytest.mark.parametrize(
    ("low", "high", "about", "expected"),
    [
        (0, 1, 4, [0, 0.5, 1]),
        (0, 2.3, 3, [0, 1, 2]),
        (1, 40, 4, [10, 20, 30, 40]),
        (0, 0.04, 4, [0, 0.01, 0.02, 0.03, 0.04]),
        (2, 2, 4, [2]),
        (0, float("inf"), 4, [0]),
    ],
)
def test_ticks_are_round(low: float, high: float, about: int, expected: list[float]) -> None:
    assert svg.ticks(low, high, about) == pytest.approx(expected)


def test_long_names_are_cut_in_the_middle() -> None:
    assert svg.shorten("speaker", 7) == "speaker"
    assert svg.shorten("speaker-number-12", 9) == "spea…r-12"


def test_peaks_cover_every_sample_once() -> None:
    assert svg.peaks([0.1, -0.4, 0.2, 0.0], 2) == pytest.approx([1.0, 0.5])
    assert svg.peaks([], 3) == [0, 0, 0]
    assert svg.peaks([0.5], 3).count(1.0) == 1


def test_wilson_agrees_with_newcombes_published_example() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263 gives 0.2553 to 0.3662."""
    assert tally.wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert tally.wilson(0.0, 20)[0] == 0
    assert tally.wilson(1.0, 20)[1] == pytest.approx(1)
    assert tally.wilson(0.5, 0) == (0, 1)


def predictions() -> pl.DataFrame:
    """Four clips, two seeds; worked by hand below."""
    rows = [
        ("a1", 0, "s1", "a", "a", [0.9, 0.1]),
        ("a2", 0, "s2", "a", "b", [0.3, 0.7]),
        ("b1", 0, "s1", "b", "b", [0.2, 0.8]),
        ("b2", 0, "s10", "b", "a", [0.6, 0.4]),
        ("a1", 1, "s1", "a", "a", [0.8, 0.2]),
        ("a2", 1, "s2", "a", "b", [0.1, 0.9]),
        ("b1", 1, "s1", "b", "a", [0.55, 0.45]),
        ("b2", 1, "s10", "b", "b", [0.2, 0.8]),
    ]
    names = ["id", "seed", "speaker", "target", "prediction", "scores"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(fold=pl.lit("1"))


def test_confusions_sum_over_seeds() -> None:
    matrix = tally.confusion(predictions(), ("a", "b"))
    assert matrix.tolist() == [[2, 2], [2, 2]]
    assert tally.top_confusions(matrix, ("a", "b")) == [("a", "b", 2, 4), ("b", "a", 2, 4)]
    assert tally.top_confusions(np.diag([3, 4]), ("a", "b")) == []


def test_shares_count_clips_once_and_average_seeds() -> None:
    found = tally.shares(predictions(), "speaker")
    assert [(share.name, share.clips, share.value) for share in found] == [
        ("s1", 2, 0.75),
        ("s2", 1, 0),
        ("s10", 1, 0.5),
    ]


def test_the_surest_mistake_of_each_clip_counts_once() -> None:
    found = tally.worst_mistakes(predictions(), ("a", "b"), "speaker", limit=9)
    assert [(mistake.clip, mistake.confidence, mistake.group) for mistake in found] == [
        ("a2", 0.9, "s2"),
        ("b2", 0.6, "s10"),
        ("b1", 0.55, "s1"),
    ]


def test_rows_of_unknown_classes_do_not_enter_the_calibration() -> None:
    extra = predictions().with_columns(target=pl.when(pl.col("id") == "a2").then(pl.lit("c")).otherwise("target"))
    targets, table = tally.probabilities(extra, ("a", "b"))
    assert targets.tolist() == [0, 1, 1, 0, 1, 1]
    assert table.shape == (6, 2)


def test_the_groups_column_follows_the_runs_group() -> None:
    frame = predictions().with_columns(source=pl.lit(None, dtype=pl.String))
    assert tally.group_column({"group": "speaker"}, frame) == "speaker"
    assert tally.group_column({"group": "source"}, frame) == "speaker"
    assert tally.group_column({"group": None}, frame.drop("speaker")) is None


def all_figures() -> list[str]:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(3), 200)
    curve = figures.Curve(((1, 2.0), (2, 1.0)), ((1, 2.1),))
    share = tally.Share("<script>", 10, 0.5, 0.2, 0.8)
    return [
        figures.score_axis(),
        figures.score_row(0.9, (0.8, 1.0), "run"),
        figures.score_row(None, None, "void"),
        figures.meter(None),
        figures.meter(1.2),
        figures.learning_panel("<fold>", [curve, curve], 2, 2.1, ""),
        figures.learning_panel("1", [figures.Curve(((1, 0.0),), ())], 1, 1.0, "gap +3 %"),
        figures.group_bars([share], "speakers", 0.4),
        figures.reliability(reliability_curve(rng.integers(3, size=200), table)),
        figures.waveform([0.0, 0.5, 1.0]),
    ]


@pytest.mark.parametrize("number", range(10))
def test_every_figure_is_well_formed_and_named_or_hidden(number: int) -> None:
    root = ElementTree.fromstring(all_figures()[number])
    assert root.tag == "svg"
    assert root.get("aria-hidden") == "true" or (root.get("role") == "img" and root.get("aria-label"))
    assert "nan" not in ElementTree.tostring(root, encoding="unicode").lower()


def decoded(address: str) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(base64.b64decode(address.partition(",")[2])), dtype="float32")


@pytest.mark.parametrize(("seconds", "kind"), [(0.5, "audio/wav"), (3.0, "audio/ogg")])
def test_clips_are_embedded_at_their_own_level_and_length(seconds: float, kind: str) -> None:
    time = np.arange(int(8000 * seconds)) / 8000
    tone = (0.25 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    address = players.encode(tone, 8000)
    assert address.startswith(f"data:{kind};base64,")
    samples, rate = decoded(address)
    assert (len(samples), rate) == (len(tone), 8000)
    # 16-bit steps are 3e-5; Vorbis at its default quality keeps a tone's level within a few per cent
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.25 / np.sqrt(2), rel=0.05)


def test_clips_over_full_scale_are_turned_down_rather_than_clipped() -> None:
    samples, _ = decoded(players.encode(np.array([0.0, 2.0, -1.0], dtype=np.float32), 8000))
    assert samples == pytest.approx([0, 1, -0.5], abs=1e-4)


def test_players_keep_to_their_budget_and_say_what_is_missing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noise.wav", 0.1 * rng.normal(size=8000), 8000)
    soundfile.write(tmp_path / "long.wav", 0.1 * rng.normal(size=8000 * 12), 8000)
    place = [str(tmp_path / name) for name in ("noise.wav", "long.wav", "gone.wav", "noise.wav")]
    table = pl.DataFrame(
        {"id": ["a", "b", "c", "d"], "audio": place, "start_s": [None, None, None, 0.5], "end_s": None}
    )
    sounds = Sounds(table)
    sounds.want(["a", "b", "c", "d", "e"])
    first, long, gone, crop, unknown = (sounds.player(clip) for clip in "abcde")
    assert first.note is None
    assert first.seconds == 1
    assert len(first.levels) == players.COLUMNS
    assert long.note == "The first 10 seconds."
    assert gone.source is None
    assert "cannot be played" in str(gone.note)
    assert len(decoded(str(crop.source))[0]) == 4000
    assert unknown.source is None
    filled = sounds.fill(len(str(crop.source)) + 2_010)
    assert [clip for clip, _ in filled] == ["d"]
    assert sounds.facts["a"]["note"] == "Its sound is left out to keep this page small."
    assert "cannot be played" in sounds.facts["c"]["note"]


def test_a_det_curve_ends_where_it_leaves_the_axes() -> None:
    shares = np.linspace(0, 1, 101)
    curve = Det(thresholds=1 - shares, misses=1 - shares, false_alarms=shares**2)
    ends = figures.det_axis(curve)
    points = np.array(figures.det_points(curve, ends))
    high = float(probit(ends[1]))
    assert points.max() == high
    assert (points == high).sum(axis=0).max() <= 2  # no line along the frame
