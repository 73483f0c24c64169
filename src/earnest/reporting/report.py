"""The report of a run: one self-contained HTML file that opens anywhere and asks nothing of the network.

Everything in it is read from the run directory. A content security policy inside the page forbids every request, and
allows no script but the page's own, so that nothing in a label or a file name can do harm.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earnest.errors import MissingExtra
from earnest.files import atomic_write_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from earnest.reporting.rundir import RunFiles
    from earnest.reporting.sections import Section


def write_report(run: Path) -> Path:
    """Write `report.html` into a run directory.

    Parameters
    ----------
    run : a run directory; what is missing in it (a twin, a bundle, the scores of a run that was interrupted) is left
        out of the report.

    Returns
    -------
    The path of the report.

    Raises
    ------
    DataError : the folder is not a run directory, or a file in it is damaged.
    MissingExtra : polars or jinja2 is not installed.
    StorageError : the report cannot be written.
    """
    try:
        from earnest.reporting.rundir import read_run

        content = render(read_run(Path(run)))
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("earnest"):
            raise
        raise MissingExtra(problem.name or "jinja2", "lab", "Writing a report") from problem
    target = Path(run) / "report.html"
    atomic_write_text(target, content)
    return target


def render(run: RunFiles) -> str:
    """The report of a run as one HTML page."""
    return page(_head(run), _sections(run))


def page(head: Mapping[str, Any], sections: Sequence[Section | None]) -> str:
    """A whole page from its head and those of its sections that are there."""
    templates = _templates()
    style, script = _file(templates, "style.css"), _file(templates, "page.js")
    from markupsafe import Markup

    made: str = templates.get_template("report.html.j2").render(
        head=head,
        sections=[section for section in sections if section is not None],
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    return made


def _sections(run: RunFiles) -> list[Section | None]:
    from earnest.reporting import activity, by_level, details, evidence, insights, outputs, pictures, sections, spotting
    from earnest.reporting.inside import inside
    from earnest.reporting.tally import at_level

    run = at_level(run)

    return [
        sections.summary(run),
        by_level.by_level(run),
        sections.classes(run),
        sections.folds(run),
        insights.precisions(run),
        sections.learning(run),
        details.confusions(run),
        details.groups(run),
        insights.conditions(run),
        spotting.spotting(run),
        activity.activity(run),
        outputs.rates(run),
        outputs.tags(run),
        outputs.values(run),
        outputs.errors(run),
        details.calibration(run),
        pictures.mel(run),
        insights.embedding_map(run),
        evidence.leak_audit(run),
        details.mistakes(run),
        pictures.saliency(run),
        evidence.quarantine(run),
        evidence.shipped(run),
        inside(run),
        evidence.environment(run),
        evidence.recipe(run),
    ]


def _head(run: RunFiles) -> dict[str, Any]:
    """Title, verdict and the key figures under it."""
    from earnest.reporting.verdict import group_noun, standing, verdict
    from earnest.reporting.wording import count, duration, many, plural

    scores: Mapping[str, Any] = run.scores or {}
    noun = group_noun(scores)
    nouns = {"tags": "tags", "values": "dimensions"}.get(str(scores.get("kind")), "classes")
    facts = [
        ("task", scores.get("task")),
        ("clips", count(int(scores["n_clips"])) if scores.get("n_clips") else None),
        (plural(noun), count(int(scores["n_groups"])) if scores.get("n_groups") else None)
        if noun
        else ("groups", None),
        (nouns, len(scores.get("labels") or ()) or None),
        ("folds", len({str(fold.get("name")) for fold in scores.get("folds") or ()}) or None),
        ("parameters", count(int(scores["parameters"])) if scores.get("parameters") else None),
        ("time", duration(scores["seconds"]) if scores.get("seconds") else None),
    ]
    epochs = f" after {many(len(run.log), 'logged epoch')}" if run.log else ""
    unfinished = f"This run is not finished: it stopped{epochs} and has no score yet."
    return {
        "name": scores.get("name") or run.path.resolve().name,
        "corpus": scores.get("corpus"),
        "protocol": scores.get("protocol"),
        "verdict": verdict(scores) if run.scores else unfinished,
        "standing": standing(scores) if run.scores else "unfinished",
        "facts": [(name, value) for name, value in facts if value is not None],
    }


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from earnest.reporting.wording import percent, points, typeset

    templates = Environment(
        loader=PackageLoader("earnest.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(percent=percent, points=points, typeset=typeset)
    return templates


def _file(templates: Environment, name: str) -> str:
    """The text of a template file that is not a template."""
    if templates.loader is None:
        return ""
    return templates.loader.get_source(templates, name)[0].strip()
