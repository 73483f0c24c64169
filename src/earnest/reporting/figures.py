"""The report's figures as inline SVG: score rows, learning curves, group bars, reliability, waveforms.

Every figure has a text for screen readers, and every number in it stands in a table or a caption of the page as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from earnest.reporting import svg
from earnest.reporting.tally import Share, wilson
from earnest.reporting.wording import hundredths, percent
from earnest.scoring.classification import Reliability
from earnest.scoring.det import Det, probit

ROW_WIDTH = 260.0
ROW_MARGIN = 10.0


@dataclass(frozen=True)
class Curve:
    """One training's losses: (epoch, loss) pairs on training and validation rows."""

    train: tuple[tuple[int, float], ...]
    validation: tuple[tuple[int, float], ...]


def score_axis(form: str = "{:.0%}") -> Markup:
    """The heading of the score rows: 0 to 100 (per cent, said beside it), or 0 to 1 with the form `{:g}`."""
    scale = svg.Scale(0, 1, ROW_MARGIN, ROW_WIDTH - ROW_MARGIN)
    names = [
        svg.text(scale(tick), 12, form.format(tick).rstrip("%"), "tick", "middle") for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    return svg.picture(ROW_WIDTH, 16, "", *names, class_="score-row")


def score_row(score: float | None, interval: tuple[float, float] | None, kind: str) -> Markup:
    """A score as a dot and its interval as a bar, on a scale from 0 to 1 (lower ones at 0) shared by all rows."""
    scale, middle = svg.Scale(0, 1, ROW_MARGIN, ROW_WIDTH - ROW_MARGIN), 15.0
    parts = [svg.line(scale(tick), 0, scale(tick), 30, "grid") for tick in (0, 0.25, 0.5, 0.75, 1)]
    if interval:
        low, high = (scale(bound) for bound in interval)
        parts.append(svg.rectangle(low, middle - 4, max(2.0, high - low), 8, f"interval {kind}", rx=4))
    if score is not None:
        parts.append(svg.dot(scale(score), middle, 5.5, f"mark {kind}"))
    return svg.picture(ROW_WIDTH, 30, "", *parts, class_="score-row")


def meter(share: float | None, kind: str = "run") -> Markup:
    """A small bar for a proportion beside its number in a table."""
    parts = [svg.rectangle(0, 0, 96, 8, "track", rx=4)]
    if share is not None:
        parts.append(svg.rectangle(0, 0, 96 * min(1.0, max(0.0, share)), 8, f"fill {kind}", rx=4))
    return svg.picture(96, 8, "", *parts, class_="meter")


def learning_panel(name: str, curves: Sequence[Curve], epochs: int, top: float, gap: str) -> Markup:
    """One fold's losses over the epochs; the vertical axis ends at `top`, the same for all folds."""
    width, height, left, bottom = 300.0, 168.0, 38.0, 142.0
    across, up = svg.Scale(1, max(2, epochs), left, width - 10), svg.Scale(0, top, bottom, 12)
    parts = []
    for tick in svg.ticks(0, top, 3):
        parts.append(svg.line(left, up(tick), width - 10, up(tick), "grid"))
        parts.append(svg.text(left - 7, up(tick) + 4, f"{tick:g}", "tick", "end"))
    marks = sorted({1, *(int(tick) for tick in svg.ticks(1, epochs, 4) if tick >= 1), epochs})
    shown = [mark for mark in marks if mark in (1, epochs) or across(epochs) - across(mark) > 26]
    parts += [svg.text(across(mark), bottom + 17, str(mark), "tick", "middle") for mark in shown]
    faint = " faint" if len(curves) > 1 else ""
    for curve in curves:
        for points, kind in ((curve.train, "train"), (curve.validation, "validation")):
            if len(points) == 1:
                parts.append(svg.dot(across(points[0][0]), up(points[0][1]), 3, f"curve-dot {kind}"))
            elif points:
                parts.append(svg.path(((across(x), up(y)) for x, y in points), f"curve {kind}{faint}"))
    label = f"Fold {name}: training and validation loss over {epochs} epochs"
    label = f"{label}; {gap}" if gap else label
    return svg.picture(width, height, label, *parts)


def group_bars(groups: Sequence[Share], noun: str, mean: float | None, label: str | None = None) -> Markup:
    """One row per group: a bar for its share of right answers (or what `label` says), a whisker for its interval."""
    width, row, top = 880.0, 26.0, 24.0
    names = [svg.shorten(group.name, 22) for group in groups]
    left = 16 + 7.2 * max(len(name) for name in names)
    bottom = top + row * len(groups)
    across = svg.Scale(0, 1, left, width - 78)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(svg.line(across(tick), top - 4, across(tick), bottom, "grid"))
        parts.append(svg.text(across(tick), 12, f"{100 * tick:.0f} %", "tick", "middle"))
    for place, group in enumerate(groups):
        middle = top + row * (place + 0.5)
        reach = f"{percent(group.low)} to {percent(group.high)}"
        hint = f"{group.name}: {percent(group.value)}, {group.clips} clips, {reach}"
        bar = svg.rectangle(left, middle - 6, across(group.value) - left, 12, "fill run soft", rx=2)
        whisker = [
            svg.line(across(group.low), middle, across(group.high), middle, "whisker"),
            svg.line(across(group.low), middle - 4, across(group.low), middle + 4, "whisker"),
            svg.line(across(group.high), middle - 4, across(group.high), middle + 4, "whisker"),
            svg.dot(across(group.value), middle, 4, "mark run"),
        ]
        name = svg.text(left - 12, middle + 4, names[place], "name", "end")
        value = svg.text(width, middle + 4, hundredths(group.value), "value", "end")
        parts.append(svg.element("g", svg.element("title", hint), bar, *whisker, name, value))
    if mean is not None:
        parts.append(svg.line(across(mean), top - 4, across(mean), bottom, "reference"))
    label = label or (
        f"Share of clips labelled correctly for {len(groups)} {noun}, each with a 95 % interval over its clips."
    )
    return svg.picture(width, bottom + 4, label, *parts, class_="chart wide")


def reliability(curve: Reliability) -> Markup:
    """Accuracy against confidence; the area of a dot grows with its clips, below stands how many there are."""
    size, left, top, strip = 360.0, 46.0, 10.0, 54.0
    right, bottom = left + 300, top + 300
    across, up = svg.Scale(0, 1, left, right), svg.Scale(0, 1, bottom, top)
    most = max(1, int(curve.counts.max()))
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts += [
            svg.line(left, up(tick), right, up(tick), "grid"),
            svg.line(across(tick), top, across(tick), bottom, "grid"),
        ]
        parts.append(svg.text(left - 8, up(tick) + 4, f"{100 * tick:.0f}", "tick", "end"))
        parts.append(svg.text(across(tick), bottom + strip + 26, f"{100 * tick:.0f}", "tick", "middle"))
    parts.append(svg.line(across(0), up(0), across(1), up(1), "reference"))
    filled = [place for place in range(len(curve.counts)) if curve.counts[place] > 0]
    dots = [(across(float(curve.confidence[place])), up(float(curve.accuracy[place]))) for place in filled]
    for place, (x, y) in zip(filled, dots, strict=True):
        clips = int(curve.counts[place])
        surest, right_share = percent(float(curve.confidence[place])), percent(float(curve.accuracy[place]))
        hint = f"confidence {surest}, right {right_share}, {clips} clips"
        sure = [up(bound) for bound in wilson(float(curve.accuracy[place]), clips)]
        parts.append(svg.line(x, sure[0], x, sure[1], "whisker faint"))
        parts.append(svg.dot(x, y, 3 + 4 * float(np.sqrt(clips / most)), "mark run", hint))
        low, high = across(float(curve.edges[place])), across(float(curve.edges[place + 1]))
        tall = max(1.0, (strip - 8) * clips / most)
        parts.append(svg.rectangle(low + 1, bottom + 8 + strip - tall, high - low - 2, tall, "fill run soft"))
    label = "Share of right answers against the model's confidence. The table beside it holds the numbers."
    return svg.picture(size, bottom + strip + 32, label, *parts)


DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
DET_STEPS = 400


def det_axis(curve: Det) -> tuple[float, float]:
    """From which share to which the axes of a DET curve run, so that all of it is seen but its steps at the ends."""
    inner = np.concatenate([side[(side > 0) & (side < 1)] for side in (curve.misses, curve.false_alarms)])
    low = max((tick for tick in DET_TICKS if not len(inner) or tick <= inner.min()), default=DET_TICKS[0])
    return low, max(
        0.5, min((tick for tick in DET_TICKS if tick >= 0.5 and curve.equal_error_rate <= tick), default=0.99)
    )


def det_points(curve: Det, ends: tuple[float, float]) -> list[tuple[float, float]]:
    """(false alarms, misses) of a DET curve as normal deviates, at most some hundred of them.

    Shares below the axes lie on them; the curve ends where it reaches their upper ends.
    """
    places = np.unique(np.linspace(0, len(curve.misses) - 1, min(len(curve.misses), DET_STEPS)).astype(int))
    shares = np.stack([curve.false_alarms[places], curve.misses[places]], axis=1)
    inside = np.flatnonzero((shares <= ends[1]).all(axis=1))
    if len(inside):
        shares = shares[max(0, inside[0] - 1) : inside[-1] + 2]
    return [(float(alarms), float(misses)) for alarms, misses in probit(np.clip(shares, *ends))]


def det_curve(curve: Det, chosen: tuple[float, float] | None) -> Markup:
    """Misses over false alarms as normal deviates; `chosen` is (misses, false alarms) of the answers given."""
    left, top, side = 56.0, 26.0, 320.0
    ends = det_axis(curve)
    low, high = (float(end) for end in probit(ends))
    across, up = svg.Scale(low, high, left, left + side), svg.Scale(low, high, top + side, top)
    parts = []
    for tick in (tick for tick in DET_TICKS if ends[0] <= tick <= ends[1]):
        at = float(probit(tick))
        parts.append(svg.line(left, up(at), left + side, up(at), "grid"))
        parts.append(svg.line(across(at), top, across(at), top + side, "grid"))
        parts.append(svg.text(left - 8, up(at) + 4, f"{100 * tick:g}", "tick", "end"))
        parts.append(svg.text(across(at), top + side + 17, f"{100 * tick:g}", "tick", "middle"))
    parts.append(svg.line(across(low), up(low), across(high), up(high), "reference"))
    parts.append(svg.path(((across(x), up(y)) for x, y in det_points(curve, ends)), "curve train"))
    equal = float(probit(min(max(curve.equal_error_rate, ends[0]), ends[1])))
    hint = f"equal error rate {percent(curve.equal_error_rate)}"
    parts.append(svg.dot(across(equal), up(equal), 5, "mark run", hint))
    if chosen is not None:
        miss, alarm = (float(probit(min(max(share, ends[0]), ends[1]))) for share in chosen)
        words = f"the answers given: {percent(chosen[0])} missed, {percent(chosen[1])} false alarms"
        parts.append(svg.dot(across(alarm), up(miss), 5, "mark void", words))
    parts.append(svg.text(left + side / 2, top + side + 38, "false alarms, %", "tick", "middle"))
    parts.append(svg.text(left - 34, top - 13, "missed, %", "tick"))
    label = f"Misses over false alarms at every threshold; {hint}."
    return svg.picture(left + side + 14, top + side + 46, label, *parts)


def waveform(levels: Sequence[float]) -> Markup:
    """The outline of a clip, as mirrored bars."""
    width, height, step = 240.0, 44.0, 240.0 / max(1, len(levels))
    bars = [
        svg.rectangle(
            place * step, height / 2 * (1 - level), max(1.0, step - 1), max(1.0, height * level), "wave", rx=1
        )
        for place, level in enumerate(levels)
    ]
    return svg.picture(width, height, "", *bars, class_="waveform")
