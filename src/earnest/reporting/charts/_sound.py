"""Figures that show sound: mel spectrograms of classes, and clips as a model places them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earnest.reporting import png
from earnest.reporting.charts._style import (
    BLUE,
    COLOURS,
    MM,
    SHAPES,
    SMALL_PT,
    SOFT,
    WIDTHS,
    Run,
    Style,
    absent,
    colours_of,
    drawing,
    figure,
    opened,
    plain,
)
from earnest.reporting.pictures import DIFFERENCE_DB, TICKS_HZ, reference_energy, stored
from earnest.reporting.wording import many

COLUMNS = ("mean", "clip", "clip", "clip", "difference")


def mel(run: Run, style: Style = "page", *, energy: bool = True) -> Figure:
    """Every class as pictures: mean log-mel, three clips from its middle, difference from neutral, energy by band.

    All panels have one reference and range, and one set of bands. The energy by band has its 95 % interval over groups;
    dashed is that of the reference.

    Parameters
    ----------
    run : its folder.
    energy : draw the energy by band as a last column (only in style "page").

    Raises
    ------
    DataError : the run labels no classes, or its pictures are damaged.

    Examples
    --------
    >>> mel("runs/ravdess")  # doctest: +SKIP
    """
    files = opened(run)
    found = stored(files, "mel.npz")
    if found is None:
        raise absent(files, "mel pictures", "it labels no classes, or is not finished")
    facts, arrays = found
    classes = facts["classes"]
    with_energy = energy and style == "page"
    with drawing():
        wide = (1, 1, 1, 1, 1, 1.5) if with_energy else (1, 1, 1, 1, 1)
        made, axes = figure(style, 12 + 15 * len(classes), len(classes), len(wide), width_ratios=wide)
        first, sound, gap = 0, None, None
        for number, (one, panels) in enumerate(zip(classes, axes, strict=True)):
            clips = arrays["medoids"][first : first + len(one["medoids"])]
            first += len(clips)
            for panel, picture in zip(panels, [arrays["means"][number], *clips], strict=False):
                sound = _picture(panel, picture, facts["range_db"])
            if one["label"] != facts["neutral"]:
                gap = _difference(panels[4], arrays["differences"][number])
            for panel in panels[:5]:
                panel.set(xticks=[], yticks=[])
                panel.spines[:].set_visible(False)
            groups = f"\n{many(one['groups'], facts['group'])}" if one["groups"] and facts.get("group") else ""
            panels[0].set_ylabel(f"{one['label']}\n{many(one['clips'], 'clip')}{groups}", fontsize=SMALL_PT - 0.5)
            if with_energy:
                _energy(panels[5], facts, arrays, number)
        for panel, title in zip(axes[0], COLUMNS, strict=False):
            panel.set_title(title)
        if with_energy:
            axes[0, 5].set_title("energy by band, dB")
        for image, places, words in ((sound, axes[:, :4], "dB"), (gap, axes[:, 4], "dB against the reference")):
            if image is not None:
                bar = made.colorbar(image, ax=places, location="bottom", aspect=40, shrink=0.8, pad=0.01)
                bar.set_label(words, fontsize=SMALL_PT)
                bar.outline.set_visible(False)
    return made


def _picture(panel: Axes, picture: np.ndarray, range_db: float) -> Any:
    """(frames, bands) with time to the right."""
    colours = colours_of(png.LOUDNESS)
    return panel.imshow(
        picture.T, origin="lower", aspect="auto", interpolation="none", cmap=colours, vmin=-range_db, vmax=0
    )


def _difference(panel: Axes, picture: np.ndarray) -> Any:
    colours = colours_of(png.DIFFERENCE)
    return panel.imshow(
        picture.T,
        origin="lower",
        aspect="auto",
        interpolation="none",
        cmap=colours,
        vmin=-DIFFERENCE_DB,
        vmax=DIFFERENCE_DB,
    )


def _energy(panel: Axes, facts: dict[str, Any], arrays: dict[str, np.ndarray], number: int) -> None:
    """One class's energy over the bands with its interval, and that of the reference."""
    bands = np.arange(len(facts["centres_hz"]))
    low, high = arrays["low"][number], arrays["high"][number]
    panel.fill_between(bands, low, high, color=BLUE, alpha=0.22, linewidth=0)
    panel.plot(bands, reference_energy(facts, arrays), "--", color=SOFT, linewidth=0.8)
    panel.plot(bands, arrays["band"][number], color=BLUE, linewidth=1)
    panel.set_ylim(float(arrays["band"].min()) - 6, float(arrays["band"].max()) + 6)
    shown = [hz for hz in TICKS_HZ if facts["centres_hz"][0] <= hz <= facts["centres_hz"][-1]]
    shown = [hz for hz in shown if hz != 300]  # too near to 100 on so small an axis
    names = [f"{hz / 1000:g}k" if hz >= 1000 else str(hz) for hz in shown]
    panel.set_xticks(np.interp(shown, facts["centres_hz"], bands), names)
    panel.tick_params(labelsize=SMALL_PT - 1.5)
    plain(panel, "y")


def embedding(run: Run, style: Style = "column") -> Figure:
    """The test clips of the fold whose model ships, as that model places them; hollow where its answer is wrong.

    Neighbours tell something, distances between clusters and their sizes do not.

    Raises
    ------
    DataError : the run has no map: its model offers no embedding.

    Examples
    --------
    >>> embedding("runs/ravdess")  # doctest: +SKIP
    """
    files = opened(run)
    found = stored(files, "map.json")
    if found is None or not found[0]["points"]:
        raise absent(files, "embedding map", "its model offers no embedding, or it has too few clips")
    points = found[0]["points"]
    labels = [label for label in files.labels if any(point["label"] == label for point in points)]
    with drawing():
        wide, high = (max(float(np.ptp([point[axis] for point in points])), 1e-9) for axis in "xy")
        width_mm = WIDTHS[style] / MM
        made, axes = figure(style, 14 + width_mm * min(1.1, max(0.4, high / wide)))
        (panel,) = axes.flat
        for place, label in enumerate(labels):
            known = place < len(COLOURS) * len(SHAPES)
            colour = COLOURS[place % len(COLOURS)] if known else "#bbbbbb"
            shape = SHAPES[place // len(COLOURS)] if known else "."
            own = [point for point in points if point["label"] == label]
            for right in (True, False):
                at = [(point["x"], point["y"]) for point in own if (point["prediction"] == label) == right]
                if at:
                    face = colour if right else "white"
                    panel.scatter(*zip(*at, strict=True), s=11, marker=shape, c=face, edgecolors=colour, linewidths=0.8)
            panel.scatter([], [], s=14, marker=shape, c=colour, label=label)
        panel.set(xticks=[], yticks=[])
        panel.set_aspect("equal", adjustable="datalim")
        panel.spines[:].set_color("#cccccc")
        if len(labels) <= len(COLOURS) * len(SHAPES):
            made.legend(
                loc="outside lower center", ncols=4 if style == "column" else 8, frameon=False, handletextpad=0.1
            )
    return made
