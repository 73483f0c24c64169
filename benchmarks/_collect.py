"""Runs the benchmarks and writes docs/performance.md.

A benchmark is a file in this folder that prints a section of Markdown: a heading and a table. Ratios are measured
within one process, the things compared taking turns, so that a busy machine disturbs both alike.

    scripts/bench              all of them
    scripts/bench lean         only lean.py; the other sections stay as they are
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from earnest.files import atomic_write_text
from earnest.provenance import processor, version

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
OPENING = "# Performance\n\nMeasured by `scripts/bench`, which writes this page.\n"


def main(wanted: list[str]) -> int:
    known = {path.stem: path for path in sorted(HERE.glob("[!_]*.py"))}
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"No benchmark {', '.join(sorted(unknown))}. There are: {', '.join(known)}.", file=sys.stderr)
        return 2
    sections = read_page()
    failed = []
    for name in wanted or known:
        print(f"{name} ...", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, str(known[name])], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode or not done.stdout.startswith("## "):
            failed.append(name)
            continue
        print(done.stdout, flush=True)
        sections[name] = f"{done.stdout.rstrip()}\n\n{machine()}\n"
    body = "\n".join(f"<!-- {name} -->\n{text}" for name, text in sections.items() if name in known)
    atomic_write_text(PAGE, f"{OPENING}\n{body}")
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def read_page() -> dict[str, str]:
    """The sections that are there already, by the benchmark that wrote them."""
    if not PAGE.is_file():
        return {}
    sections = {}
    for part in PAGE.read_text(encoding="utf-8").split("<!-- ")[1:]:
        name, _, text = part.partition(" -->\n")
        sections[name] = text.rstrip() + "\n"
    return sections


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    day = datetime.now(UTC).date().isoformat()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "numpy"))
    return f"*{processor()}, {cores} cores, Python {platform.python_version()}, {packages}; {day}.*"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
