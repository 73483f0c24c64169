"""The verbs that look at finished runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from earnest.cli.lab import print_heard
from earnest.cli.verb import FAILED, AsJson, Data, Debug, Quiet, next_step, print_json, say

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]


class Style(StrEnum):
    """How a table is written."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    html = "html"


def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUNS", help="Runs, grids, or folders that hold runs.")],
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="What to show, in order: KEY or TITLE=KEY, by commas.")
    ] = None,
    spread: Annotated[
        str | None, typer.Option(metavar="AXIS", help="An axis of the grid whose values become columns.")
    ] = None,
    style: Annotated[Style, typer.Option("--format", help="How to write the table.")] = Style.markdown,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Put finished runs into one table, leaky twins marked void.

    Examples
    --------
    earnest table runs
    earnest table runs/emotion-grid --spread features --format latex
    earnest table runs --columns run,rate=training.learning_rate,score,twin,seconds --format csv > runs.csv

    Columns are axes of the grid, metrics, keys of the recipe (`training.epochs`), or any of: score twin seeds train
    validation clips groups parameters seconds date fp32 fp16 bf16 fp8_e5m2 fp8_e4m3. The best score is bold; ≈ marks
    those that do not differ from it significantly (paired test by group, Holm's correction, 5 %).
    """
    from earnest.scoring.tables import render
    from earnest.tabulation import tabulate, unfinished

    rows, shown = tabulate(runs, columns.split(",") if columns else None, spread)
    if as_json:
        print_json({"rows": rows})
        return
    typer.echo(render(rows, shown, style.value), nl=False)
    for cell in (cell for path in runs for cell in unfinished(path)):
        say(f"Not in the table: {cell['coordinates']} ({cell['status']}) {cell['problem'] or ''}".rstrip(), quiet=quiet)


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Folder of a run.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Folder of another run over the same clips.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Test whether one run is better than another, on the same clips.

    Examples
    --------
    earnest compare runs/ds_cnn runs/svm
    earnest compare runs/ds_cnn runs/svm --json

    The test is paired over the test clips that both runs answered, and resampled by speaker or source.
    """
    from earnest.comparison import compare_runs

    result = compare_runs(a, b)
    if as_json:
        print_json(result)
        return
    for note in result["notes"]:
        say(f"Note: {note}.")
    sentence = str(result["sentence"])
    typer.echo(sentence[:1].upper() + sentence[1:])
    typer.echo(result["method"])
    next_step(f"earnest table {a} {b}", quiet=quiet)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folder of a run or of a grid; or several runs.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the comparison of several runs goes.")] = None,
    notebook: Annotated[bool, typer.Option("--notebook", help="Write a notebook with the figures as well.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the report of a run or a grid again, or compare several runs; one file that opens without a network.

    Examples
    --------
    earnest report runs/fsdd
    earnest report runs/ds_cnn runs/svm --out ds_cnn-or-svm.html
    earnest report runs/fsdd --notebook

    Several runs become one page: their scores, the differences in pairs with Holm's correction, classes and groups side
    by side, and clips on which they disagree, to listen to. It goes into the folder that holds the first run, as
    comparison.html. A notebook draws the figures of a run with `earnest.reporting.charts`, for papers.
    """
    from earnest.overview import write_comparison, write_overview
    from earnest.reporting.notebook import write_notebook

    if out is not None and len(runs) == 1:
        raise typer.BadParameter("it is for the comparison of several runs; a run's report goes into its folder.")
    path = write_overview(runs[0]) if len(runs) == 1 else write_comparison(runs, out)
    drawn = write_notebook(runs) if notebook else None
    if as_json:
        print_json({"report": str(path)} | ({"notebook": str(drawn)} if drawn else {}))
        return
    typer.echo(path)
    if drawn:
        typer.echo(drawn)
    next_step(f"earnest table {' '.join(map(str, runs))}", quiet=quiet)


def export(
    run: RunPath,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="A,B,…",
            help="Kinds of model files: onnx onnx-fp16 int8 openvino ncnn tflite tflite-int8 tflm microwakeword.",
        ),
    ] = "onnx",
    fold: Annotated[str | None, typer.Option(metavar="NAME", help="Whose model (default: best in validation).")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to (default: RUN/bundle).")] = None,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a run's model as a bundle that runs anywhere.

    Examples
    --------
    earnest export runs/fsdd --to onnx,int8
    earnest export runs/fsdd --fold theo --out bundles/theo

    What a kind of file cannot hold is named, and the others are written. Ranges for 8 bits are measured on training
    clips. `earnest score` then scores every file on the test clips.
    """
    from earnest import deployment
    from earnest.cli.progress import watching
    from earnest.tabulation import find_runs

    place = find_runs([run])[0].path
    with watching(quiet=quiet) as progress:
        done = deployment.export(place, to.split(","), fold, out, data=data, progress=progress)
    names = [name for files in done.files.values() for name in files]
    failed = [{"target": name, "error": p.message, "remedy": p.remedy} for name, p in done.problems.items()]
    if as_json:
        print_json({"bundle": str(done.bundle), "files": names, "failed": failed, "heard": done.heard})
    else:
        typer.echo(done.bundle)
        print_heard(done.heard, quiet=quiet)
        next_step(f"earnest predict {done.bundle} FILE", quiet=quiet)
    for problem in failed:
        say(f"Not written: {problem['target']}: {problem['error']}\n{problem['remedy'] or ''}".rstrip())
    if failed:
        raise typer.Exit(FAILED)


def score(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")],
    run: RunPath,
    gate: Annotated[float, typer.Option(metavar="POINTS", help="How far below the scored model a file may be.")] = 1.0,
    data: Data = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score every file of a bundle, and the stream, on the test clips of its model.

    Examples
    --------
    earnest score runs/fsdd/bundle runs/fsdd
    earnest score bundles/theo runs/fsdd --gate 2 --json

    The table stands afterwards in the bundle, its model card and the run's report. A file that falls further below the
    scored model than the gate is marked, and the exit code is 1.
    """
    from earnest.cli.progress import watching
    from earnest.reporting.wording import size
    from earnest.scoring.tables import Column, render
    from earnest.shipped import score as score_files

    with watching(quiet=quiet) as progress:
        found = score_files(bundle, run, gate=gate / 100, data=data, progress=progress)
    fallen = [one.file for one in found if not one.passes]
    if as_json:
        print_json({"files": [vars(one) for one in found], "below_the_gate": fallen})
    else:
        rows = [
            {
                "file": f"{one.file} ({one.word} or not)" if one.word else one.file,
                "score": (one.score, *one.interval),
                "difference": (one.difference, *one.difference_interval),
                "same": f"{one.same_decisions}/{one.clips}",
                "largest": f"{one.largest_difference:.1e}",
                "size": size(one.bytes),
                "median": one.median_ms,
                "p99": one.p99_ms,
                "memory": one.peak_mb,
            }
            for one in found
        ]
        columns = [
            Column("file", "file"),
            # The best is no best where some files are asked for one word alone.
            Column("score", "score", "percent", None if any(one.word for one in found) else "high"),
            Column("difference", "from the scored model", "percent"),
            Column("same", "same answers"),
            Column("largest", "largest difference"),
            Column("size", "size"),
            Column("median", "ms per second", "number", "low", 2),
            Column("p99", "p99 ms", "number", None, 2),
            Column("memory", "memory MB", "number", "low", 1),
        ]
        typer.echo(render(rows, columns), nl=False)
    for file in fallen:
        say(f"Below the gate: {file}")
    if fallen:
        raise typer.Exit(FAILED)


def show(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")],
    model: Annotated[str, typer.Option(metavar="FILE", help="Which of its model files.")] = "model.onnx",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look inside a model: its operations with shapes, parameters, multiply-adds and memory, for one window.

    Examples
    --------
    earnest show runs/fsdd/bundle
    earnest show runs/fsdd/bundle --model model.int8.onnx --json

    Of a file in 8 bits it also says how many dB each value stands above the error that the 8 bits brought into it.
    """
    from earnest.runtime import Bundle
    from earnest.scoring.tables import Column, render
    from earnest.shipping.layers import told

    opened = Bundle.open(bundle)
    found = told(opened, model)
    total = {
        "parameters": sum(layer["parameters"] for layer in found),
        "multiply_adds": sum(layer["multiply_adds"] for layer in found),
        "largest_bytes": max(layer["bytes"] for layer in found),
    }
    if as_json:
        print_json({"file": model, **total, "layers": found})
        return
    rows = [{**layer, "shape": " × ".join(map(str, layer["shape"]))} for layer in found]
    noise = any(layer["noise_db"] is not None for layer in found)
    columns = [
        Column("name", "layer"),
        Column("operator", "operator"),
        Column("shape", "output"),
        *(Column(key, key.replace("_", " "), "count") for key in ("parameters", "multiply_adds", "bytes")),
        *([Column("noise_db", "dB above 8-bit error", "number")] if noise else []),
    ]
    typer.echo(render(rows, columns), nl=False)
    seconds = opened.window_samples / opened.sample_rate
    typer.echo(
        f"{total['parameters']:,} parameters, {total['multiply_adds'] / 1e6:,.1f} million multiply-adds for "
        f"{seconds:g} s of sound, at most {total['largest_bytes'] / 1024:,.0f} KiB from one operation."
    )


def zoo(as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show the architectures side by side: parameters, arithmetic, size, latency, and what they score.

    Examples
    --------
    earnest zoo
    earnest zoo --json

    All were trained alike and briefly, 12 epochs on ESC-10's official folds, so the scores compare architectures in
    minutes and not at their best. Latency is that of a window in parts of its seconds, on one thread; the arena is what
    TensorFlow Lite Micro needs. Published scores have other protocols, which stand beside them.
    """
    from earnest.reporting.wording import size
    from earnest.scoring.tables import Column, render
    from earnest.zoo import read

    entries = read()
    if as_json:
        print_json({"models": entries})
        return
    rows = [
        {
            "model": entry["model"],
            "parameters": entry["parameters"],
            "adds": f"{entry['multiply_adds_per_s'] / 1e6:,.0f} M",
            "size": " / ".join(size(entry[key]) if entry[key] else "–" for key in ("bytes", "bytes_int8")),
            "latency": entry["ms_per_s"],
            "arena": size(entry["arena_bytes"]) if entry["arena_bytes"] else "–",
            "score": (entry["score"], *entry["interval"]),
            "published": entry["published"] or "–",
        }
        for entry in entries
    ]
    columns = [
        Column("model", "model"),
        Column("parameters", "parameters", "count"),
        Column("adds", "multiply-adds / s"),
        Column("size", "float32 / 8 bits"),
        Column("latency", "ms / s", "number", digits=2),
        Column("arena", "arena"),
        Column("score", "ESC-10, 12 epochs", "percent", "high"),
        Column("published", "published"),
    ]
    typer.echo(render(rows, columns), nl=False)
    next_step("earnest run zoo", quiet=quiet)
