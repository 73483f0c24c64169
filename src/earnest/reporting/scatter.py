"""Figures of predicted numbers as inline SVG: prediction over truth, and errors by group, in the target's own unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from earnest.reporting import svg
from earnest.reporting.tally import Z_95

POINTS = 1500  # clips drawn at most, evenly taken
GROUPS_DRAWN = 40


@dataclass(frozen=True)
class GroupError:
    """The error of one group: root mean squared error with its 95 % interval over clips, and the mean of the error."""

    name: str
    clips: int
    value: float
    low: float
    high: float
    lean: float


def drawn(clips: int) -> list[int]:
    """Which of so many clips are drawn, evenly taken."""
    places: list[int] = np.unique(np.linspace(0, clips - 1, min(clips, POINTS)).astype(int)).tolist()
    return places


def scatter(
    truth: NDArray[np.float64],
    said: NDArray[np.float64],
    groups: Sequence[str] | None,
    name: str,
    clips: Sequence[str] | None = None,
) -> Markup:
    """Predictions over true values with the line of identity, and the means of groups with their intervals.

    Parameters
    ----------
    truth, said : (clips,), on one scale for both axes.
    groups : the group of each clip; a group is drawn at its mean truth and mean prediction, with a 95 % interval of the
        latter over its clips. None: clips alone.
    name : the dimension.
    clips : the id of each clip, which its point plays.
    """
    left, top, side = 52.0, 12.0, 300.0
    right, bottom = left + side, top + side
    low, high = float(min(truth.min(), said.min())), float(max(truth.max(), said.max()))
    margin = 0.04 * (high - low) or 1.0
    low, high = low - margin, high + margin
    across, up = svg.Scale(low, high, left, right), svg.Scale(low, high, bottom, top)
    parts = []
    for tick in svg.ticks(low, high, 5):
        parts += [
            svg.line(left, up(tick), right, up(tick), "grid"),
            svg.line(across(tick), top, across(tick), bottom, "grid"),
            svg.text(left - 8, up(tick) + 4, f"{tick:g}", "tick", "end"),
            svg.text(across(tick), bottom + 16, f"{tick:g}", "tick", "middle"),
        ]
    parts.append(svg.line(across(low), up(low), across(high), up(high), "reference"))
    for place in drawn(len(truth)):
        x, y, clip = across(float(truth[place])), up(float(said[place])), clips[place] if clips else None
        title = (svg.element("title", f"{clip}: {said[place]:.3g}, true {truth[place]:.3g}"),) if clip else ()
        parts.append(svg.element("circle", *title, cx=x, cy=y, r=2.6, class_="point", data_play=clip))
    for group in sorted(set(groups or ()))[:GROUPS_DRAWN]:
        parts.append(_group(group, truth, said, np.array(groups) == group, across, up))
    parts.append(svg.text((left + right) / 2, bottom + 36, f"true {name}", "tick", "middle"))
    label = f"Predicted over true {name} of {len(truth)} clips; on the dashed line they are equal."
    return svg.picture(right + 12, bottom + 42, label, *parts)


def _group(
    name: str,
    truth: NDArray[np.float64],
    said: NDArray[np.float64],
    rows: NDArray[np.bool_],
    across: svg.Scale,
    up: svg.Scale,
) -> Markup:
    """One group at its means, with the interval of its mean prediction."""
    x, y = float(truth[rows].mean()), float(said[rows].mean())
    reach = Z_95 * float(said[rows].std()) / float(np.sqrt(rows.sum()))
    hint = f"{name}: true {x:.3g}, predicted {y:.3g} ± {reach:.2g} on average over {int(rows.sum())} clips"
    return svg.element(
        "g",
        svg.element("title", hint),
        svg.line(across(x), up(y - reach), across(x), up(y + reach), "whisker"),
        svg.dot(across(x), up(y), 4, "mark run"),
    )


def error_bars(groups: Sequence[GroupError], name: str) -> Markup:
    """One row per group: a bar for its root mean squared error, a whisker for its interval."""
    width, row, top = 880.0, 26.0, 24.0
    names = [svg.shorten(group.name, 22) for group in groups]
    left = 16 + 7.2 * max((len(text) for text in names), default=0)
    bottom = top + row * len(groups)
    end = max((group.high for group in groups), default=1.0) or 1.0
    across = svg.Scale(0, end, left, width - 78)
    parts = []
    for tick in svg.ticks(0, end, 5):
        parts.append(svg.line(across(tick), top - 4, across(tick), bottom, "grid"))
        parts.append(svg.text(across(tick), 12, f"{tick:g}", "tick", "middle"))
    for place, group in enumerate(groups):
        middle = top + row * (place + 0.5)
        hint = f"{group.name}: {group.value:.3g}, {group.clips} clips, {group.low:.3g} to {group.high:.3g}"
        parts.append(
            svg.element(
                "g",
                svg.element("title", hint),
                svg.rectangle(left, middle - 6, across(group.value) - left, 12, "fill run soft", rx=2),
                svg.line(across(group.low), middle, across(group.high), middle, "whisker"),
                svg.line(across(group.low), middle - 4, across(group.low), middle + 4, "whisker"),
                svg.line(across(group.high), middle - 4, across(group.high), middle + 4, "whisker"),
                svg.dot(across(group.value), middle, 4, "mark run"),
                svg.text(left - 12, middle + 4, names[place], "name", "end"),
                svg.text(width, middle + 4, f"{group.value:.3g}", "value", "end"),
            )
        )
    label = f"Root mean squared error of {name} for {len(groups)} groups, each with a 95 % interval over its clips."
    return svg.picture(width, bottom + 4, label, *parts, class_="chart wide")
