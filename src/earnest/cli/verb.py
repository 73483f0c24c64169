"""What all verbs share: help that opens with examples, errors as messages, exit codes, and the common options."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from earnest.errors import EarnestError, MissingExtra, RecipeError
from earnest.registry import EXTRAS

FAILED = 1
WRONG_USAGE = 2
SET_ASIDE = 3
INTERRUPTED = 130
RESUMABLE = ("demo", "fetch", "run")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints on standard error.")]
Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of corpora (default: EARNEST_DATA).")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Verb(TyperCommand):
    """A verb whose help opens with its examples, and whose errors are messages."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Examples first, then what the verb does, its usage and its options."""
        _format_help(self, ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; an error becomes a message on standard error, the remedy last, and an exit code."""
        try:
            return super().invoke(ctx)
        except EarnestError as error:
            _fail(error, ctx.params)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRAS:
                raise
            _fail(MissingExtra(package, EXTRAS[package], f"earnest {self.name}"), ctx.params, error)
        except OSError as error:
            if error.errno == errno.EPIPE or ctx.params.get("debug"):
                raise
            place = f"{error.filename}: " if error.filename else ""
            _report(f"{place}{error.strerror or error}.", None, ctx.params)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt:
            say("\nStopped.")
            if self.name in RESUMABLE:
                say(paint("The same command goes on from here.", BOLD, sys.stderr))
            raise typer.Exit(INTERRUPTED) from None


class Group(TyperGroup):
    """The command itself: its help opens with examples too."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Examples first, then what the command is, its usage, options and verbs."""
        _format_help(self, ctx, formatter)


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on one line of standard output, at once; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(values), ensure_ascii=False, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(text: str, *, quiet: bool = False) -> None:
    """Print a line for people on standard error."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def next_step(command: str, *, quiet: bool = False) -> None:
    """After success: the command to try next."""
    say(f"Next: {paint(command, BOLD, sys.stderr)}", quiet=quiet)


def print_error(message: str, remedy: str | None = None) -> None:
    """Print what went wrong on standard error, and what to do as the last line."""
    say(f"{paint('Error:', RED, sys.stderr)} {message}")
    if remedy:
        say(paint(remedy, BOLD, sys.stderr))


BOLD, RED, GREEN, DIM = "1", "31;1", "32", "2"


def paint(text: str, style: str, stream: TextIO) -> str:
    """The text in a style, where the stream is a terminal that shows styles (and NO_COLOR is not set)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{style}m{text}\x1b[0m"


def _fail(error: EarnestError, params: Mapping[str, Any], cause: ImportError | None = None) -> NoReturn:
    _report(error.message, error.remedy, params)
    if params.get("debug"):
        raise error from cause
    raise typer.Exit(WRONG_USAGE if isinstance(error, RecipeError) else FAILED) from error


def _report(message: str, remedy: str | None, params: Mapping[str, Any]) -> None:
    if params.get("as_json"):
        print_json({"error": message, "remedy": remedy})
    print_error(message, remedy)


def _format_help(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    summary, examples, rest = split_help(command.help or "")
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"  {example}\n")
    formatter.write_paragraph()
    formatter.write_text("\n\n".join(part for part in (summary, rest) if part))
    formatter.write_paragraph()
    command.format_usage(ctx, formatter)
    command.format_options(ctx, formatter)


def split_help(text: str) -> tuple[str, list[str], str]:
    """A verb's docstring as its summary, its examples (the lines under `Examples`), and what follows them."""
    summary, _, tail = textwrap.dedent(text).partition("Examples\n--------\n")
    block, _, rest = tail.partition("\n\n")
    examples = [line.strip() for line in block.splitlines() if line.strip()]
    return " ".join(summary.split()), examples, rest.strip()
