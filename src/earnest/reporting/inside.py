"""The section of the report that looks inside the shipped model: where it computes, and where 8 bits lose most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from earnest.reporting import svg
from earnest.reporting.rundir import RunFiles
from earnest.reporting.sections import Section
from earnest.reporting.wording import number

ROW, LEFT, MIDDLE, WIDTH, TOP = 20.0, 190.0, 400.0, 640.0, 26.0
MOST_DB = 60.0


def inside(run: RunFiles) -> Section | None:
    """Multiply-adds of every layer and, where the file is in 8 bits, how far its output stands above their error."""
    layers = (run.bundle or {}).get("layers") or ()
    if not layers:
        return None
    known = [layer for layer in layers if number(layer.get("noise_db")) is not None]
    worst = min(known, key=lambda layer: float(layer["noise_db"]), default=None)
    total = sum(layer["multiply_adds"] for layer in layers)
    data = {
        "figure": figure(layers, with_noise=bool(known)),
        "total": f"{total / 1e6:,.1f}",
        "parameters": f"{sum(layer['parameters'] for layer in layers):,}",
        "memory": f"{max(layer['bytes'] for layer in layers) / 1024:,.0f}",
        "worst": None if worst is None else f"{worst['name']} ({worst['noise_db']:.0f} dB)",
    }
    return Section("inside", "Inside the model", "inside.html.j2", data)


def figure(layers: Sequence[Mapping[str, Any]], *, with_noise: bool) -> Markup:
    """A row for each layer: a bar of its multiply-adds, and a dot at its distance from the error."""
    height = TOP + ROW * len(layers) + 8
    most = max(layer["multiply_adds"] for layer in layers)
    across = svg.Scale(0, most, LEFT, MIDDLE - 50)
    decibels = svg.Scale(0, MOST_DB, MIDDLE + 20, WIDTH - 20)
    parts = [svg.text(LEFT, TOP - 10, "million multiply-adds", "tick", "start")]
    if with_noise:
        parts.append(svg.text(MIDDLE + 20, TOP - 10, "dB above the error of 8 bits", "tick", "start"))
        for tick in (0, 20, 40, 60):
            parts.append(svg.line(decibels(tick), TOP, decibels(tick), height - 8, "grid"))
            parts.append(svg.text(decibels(tick), height, f"{tick}", "tick", "middle"))
    for place, layer in enumerate(layers):
        y = TOP + ROW * place
        shape = " × ".join(map(str, layer["shape"]))
        hint = f"{layer['operator']} {shape}, {layer['parameters']:,} parameters, {layer['bytes'] / 1024:,.0f} KiB"
        name = str(layer["name"])
        bar = svg.rectangle(LEFT, y + 4, across(layer["multiply_adds"]) - LEFT, ROW - 8, "fill run soft", rx=2)
        parts.append(svg.text(LEFT - 8, y + 14, svg.shorten(name, 26), "tick", "end"))
        parts.append(svg.element("g", svg.element("title", hint), bar))
        amount = f"{layer['multiply_adds'] / 1e6:.2f}"
        parts.append(svg.text(across(layer["multiply_adds"]) + 5, y + 14, amount, "tick", "start"))
        noise = number(layer.get("noise_db"))
        if with_noise and noise is not None:
            parts.append(svg.dot(decibels(noise), y + ROW / 2, 4, "mark run", f"{noise:.1f} dB"))
    label = "Multiply-adds of each layer, and how far its output stands above the error of 8 bits."
    return svg.picture(WIDTH, height + 6, label, *parts)
