"""Figures of a run for papers: matplotlib, in the sizes and fonts of a two-column layout, from the report's own data.

Every function takes a run (its folder, or what `earnest.reporting.rundir.read_run` returns) and returns a
`matplotlib.figure.Figure`, to be changed at will; `save` writes it as PDF with embedded fonts, PNG or SVG. Nothing is
computed that the report does not show: each figure draws what the function of the report with the same subject reads.

    style="column"   85 mm wide, for one column (the default of most figures)
    style="page"     178 mm wide, for both

Colours are told apart by colour-blind readers and in print, where lines differ in their dashes and points in their
shapes too. What a run does not hold is an error that says why.

>>> from earnest.reporting import charts
>>> figure = charts.confusion("runs/fsdd")  # doctest: +SKIP
>>> charts.save(figure, "confusion.pdf")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earnest.reporting.charts._answers import calibration, confusion, det, false_alarms, scatter
    from earnest.reporting.charts._bars import conditions, grid, groups
    from earnest.reporting.charts._sound import embedding, mel
    from earnest.reporting.charts._style import Style, save
    from earnest.reporting.charts._training import learning

__all__ = [
    "Style",
    "calibration",
    "conditions",
    "confusion",
    "det",
    "embedding",
    "false_alarms",
    "grid",
    "groups",
    "learning",
    "mel",
    "save",
    "scatter",
]

# Public name → the module it lives in.
_HOMES = {
    **dict.fromkeys(("calibration", "confusion", "det", "false_alarms", "scatter"), "_answers"),
    **dict.fromkeys(("conditions", "grid", "groups"), "_bars"),
    **dict.fromkeys(("embedding", "mel"), "_sound"),
    **dict.fromkeys(("Style", "save"), "_style"),
    "learning": "_training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        from earnest.errors import did_you_mean

        raise AttributeError(f"earnest.reporting.charts has no {name!r}. {did_you_mean(name, __all__)}")
    import importlib

    from earnest.errors import MissingExtra

    try:
        return getattr(importlib.import_module(f"earnest.reporting.charts.{_HOMES[name]}"), name)
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("earnest"):
            raise
        raise MissingExtra(problem.name or "matplotlib", "lab", "Drawing charts") from problem


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
