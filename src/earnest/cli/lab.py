"""The verbs that make models; they need the extra `lab`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earnest import registry
from earnest.cli.progress import watching
from earnest.cli.verb import FAILED, SET_ASIDE, AsJson, Data, Debug, Quiet, next_step, print_json, say
from earnest.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from earnest.grid import Grid

Out = Annotated[Path | None, typer.Option(metavar="DIR", help="The run directory (default: runs/NAME-HASH).")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Folds and seeds trained at once; it changes no result.")]


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run directory.")] = Path("runs/demo"),
    jobs: Jobs = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """See the whole path at work, on synthetic words made on the spot.

    Examples
    --------
    earnest demo
    earnest demo --out runs/demo --json

    A small model learns ten words from some voices and is tested on others it has never heard; beside it stands its
    leaky twin, tested on voices it knows. Then the model listens to a stream. Nothing is downloaded.
    """
    from rich.cells import set_cell_size

    from earnest import demo as path

    say("The demo's words are synthetic: espeak-ng speaks them. Its scores say nothing about people.", quiet=quiet)
    with watching(quiet=quiet) as progress:
        directory = path.train(out, jobs=jobs, progress=progress)
    scores, streamed = {**_scores(directory), "run": str(directory)}, path.stream(directory)
    if as_json:
        events = [event.as_dict() for event in streamed.events]
        print_json({**scores, "synthetic": True, "stream": {"voice": streamed.voice, "events": events}})
        return
    print_run(scores, hint=False)
    typer.echo(f"\nA stream of synthetic words by {streamed.voice}, a voice the model has never heard:")
    for start_s, word, heard, score in streamed.heard():
        said = set_cell_size(word, 8)  # Chinese characters are two columns wide
        typer.echo(f"  {start_s:5.1f} s  said: {said}  heard: {f'{heard} ({score:.0%})' if heard else 'nothing sure'}")
    next_step(f"open {directory / 'report.html'}, then on people: earnest fetch fsdd", quiet=quiet)


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE] [KEY=VALUE]",
            help="A recipe file or a shipped recipe's name, and overrides.",
            autocompletion=complete_recipe,
        ),
    ] = None,
    out: Out = None,
    data: Data = None,
    jobs: Jobs = None,
    twin: Annotated[bool, typer.Option("--twin", help="Also score the leaky twin, for comparison.")] = False,
    on: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run a grid's cells on a Ray cluster: ray://HOST:PORT.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train and score a recipe, and leave scores, report and bundle.

    Examples
    --------
    earnest run esc10 model=bc_resnet training.epochs=20 --twin --out runs/esc10
    earnest run corpus=folder:words pattern='{label}/{speaker}_{take}.wav' split=leave-one-group-out model=ds_cnn
    earnest run emotion-grid corpus=ravdess --twin

    A run that was stopped goes on when the same command is given again, and ends with the same numbers. The axes under
    `grid:` in a recipe multiply into cells, each a run; a cell that fails is named and the others go on.
    """
    from earnest import grid

    path, overrides = split_arguments(arguments or [])
    cells = grid.read(path, [*overrides, "twin=true"] if twin else overrides)
    if cells.is_one_run and on is None:
        _run_one(cells, out, data, jobs, as_json, quiet)
        return
    with watching(quiet=quiet) as progress:
        directory, ended = grid.run(cells, out, data=data, jobs=jobs, on=on, progress=progress)
    done = [
        {**_scores(directory / cell.run), "run": str(directory / cell.run)} for cell in ended if cell.status == "done"
    ]
    failed = [cell for cell in ended if cell.status == "failed"]
    if as_json:
        problems = [{"cell": cell.coordinates, "error": cell.problem, "remedy": cell.remedy} for cell in failed]
        print_json({"runs": done, "failed": problems, "grid": str(directory)})
    else:
        print_grid(directory, quiet=quiet)
    for cell in failed:
        say(f"Failed: {grid.describe(cell.coordinates)}: {cell.problem}\n{cell.remedy or ''}".rstrip())
    if failed:
        raise typer.Exit(FAILED)
    if any(result.get("quarantined") for result in done):
        raise typer.Exit(SET_ASIDE)


def _run_one(cells: Grid, out: Path | None, data: Path | None, jobs: int | None, as_json: bool, quiet: bool) -> None:
    """A recipe without a grid."""
    from earnest import journey, recipe

    with watching(quiet=quiet) as progress:
        directory = journey.run(recipe.parse(cells.cells[0].values), out, data=data, jobs=jobs, progress=progress)
    result = {**_scores(directory), "run": str(directory)}
    if as_json:
        print_json(result)
    else:
        print_run(result, hint=not quiet)
    if result.get("quarantined"):
        raise typer.Exit(SET_ASIDE)


def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS", help="Finished runs, scored in the same folds.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run directory (default: runs/NAME).")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it (default: the runs' names).")] = None,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Let finished runs answer together, by the mean of their probabilities, and score that.

    Examples
    --------
    earnest ensemble runs/ravdess runs/ravdess-svm --out runs/both
    earnest ensemble runs/a runs/b runs/c --name three --json

    The runs must have been scored in the same folds, so that no member of an answer has heard the clip. Members that
    take the same audio are shipped as one model. Choose them before you look at test scores.
    """
    from earnest import ensemble as path

    with watching(quiet=quiet) as progress:
        directory = path.run(runs, out, name=name, data=data, progress=progress)
    result = {**_scores(directory), "run": str(directory)}
    if as_json:
        print_json(result)
    else:
        print_run(result, hint=not quiet)


def print_grid(directory: Path, *, quiet: bool) -> None:
    """A finished grid for people: its table, and where it lies."""
    from earnest.scoring.tables import render
    from earnest.tabulation import tabulate

    rows, columns = tabulate([directory])
    typer.echo(render(rows, columns), nl=False)
    typer.echo(f"runs: {directory}")
    next_step(f"earnest table {directory} --format latex", quiet=quiet)


def split_arguments(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The recipe among the arguments of `run`, if there is one, and the overrides.

    Raises
    ------
    RecipeError : nothing was given, two recipes were given, or no recipe of that name is shipped.
    """
    overrides = [text for text in arguments if re.match(r"[A-Za-z_][\w.]*=", text)]
    names = [text for text in arguments if text not in overrides]
    if len(names) > 1:
        raise RecipeError(f"expected one recipe, got {len(names)}: {', '.join(names)}.", "Overrides are key=value.")
    if not arguments:
        raise RecipeError("neither a recipe nor key=value pairs were given.", "For examples: earnest run --help")
    return (find_recipe(names[0]) if names else None), overrides


def find_recipe(name: str) -> Path:
    """The path of a recipe that was given as a path, or by the name of a shipped one."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    shipped = registry.recipes()
    if name not in shipped:
        raise RecipeError(f"there is no recipe {name!r}.", did_you_mean(name, shipped))
    return shipped[name]


def complete_recipe(incomplete: str) -> list[str]:
    """For shell completion: shipped recipes that begin so."""
    return [name for name in registry.recipes() if name.startswith(incomplete)]


def print_run(scores: dict[str, Any], *, hint: bool = True) -> None:
    """A run's result for people: the table, the verdict, where things lie, what to do next."""
    from rich.console import Console

    from earnest.reporting.console import summary_table
    from earnest.reporting.spotting import in_streams
    from earnest.reporting.verdict import verdict

    directory = Path(scores["run"])
    console = Console()
    console.print(summary_table(scores))
    console.print(verdict(scores), markup=False, highlight=False, soft_wrap=True)
    if scores.get("spotting"):
        heard = f"In streams that it has never heard, it {in_streams(scores['spotting']['point'])}."
        console.print(heard, markup=False, highlight=False, soft_wrap=True)
    if scores.get("quarantined"):
        say(f"{scores['quarantined']} files were set aside: {directory / 'quarantine.jsonl'}")
    for name, place in (("report", directory / "report.html"), ("bundle", directory / "bundle")):
        if place.exists():
            typer.echo(f"{name}: {place}")
    if (directory / "bundle").exists():
        next_step(f"earnest predict {directory / 'bundle'} FILE", quiet=not hint)


def print_heard(heard: Mapping[str, Mapping[str, Any]], *, quiet: bool) -> None:
    """What files that hear streams in their own way gave in them."""
    from earnest.reporting.spotting import in_streams

    for file, point in heard.items():
        say(f"{file} in streams: at its threshold {point['threshold']:g} it {in_streams(point)}.", quiet=quiet)


def _scores(directory: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((directory / "scores.json").read_text(encoding="utf-8"))
    return scores
