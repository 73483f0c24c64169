"""Runs that a studio starts, stops and resumes: each a child process `earnest run`, whose state lies in its folder.

`studio.json` in a run's folder says with which arguments it was started and, when it has ended, how; `studio.log` is
what it said. So a studio that was ended finds everything again.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.errors import DataError
from earnest.files import atomic_write_text
from earnest.studio.children import Children, end
from earnest.studio.folder import STARTED, Folder
from earnest.studio.runs import is_held, read_object

LOG, RESULT = "studio.log", "studio.out"
GOOD = (0, 3)  # exit codes of a run that has scores
AT_ONCE = 2  # runs; they take all cores


@dataclass
class _Living:
    process: subprocess.Popen[bytes]
    stopped: bool = False


class Trainer:
    """The runs of one studio that are going on.

    Parameters
    ----------
    folder : where runs go.
    children : starts their processes.
    """

    def __init__(self, folder: Folder, children: Children) -> None:
        self.folder, self.children = folder, children
        self._living: dict[Path, _Living] = {}
        self._lock = threading.Lock()

    def start(self, name: str, arguments: Sequence[str]) -> Path:
        """Start a run in a new folder, and give the folder.

        Raises
        ------
        DataError : as many runs as may are going on.
        """
        with self._lock:
            self._check_room()
            place = self.folder.runs_root / name
            number = 1
            while place.exists():
                number += 1
                place = self.folder.runs_root / f"{name}-{number}"
            place.mkdir(parents=True)
            self._begin(place, arguments)
        return place

    def resume(self, place: Path) -> None:
        """Let a run that is not finished go on, with the arguments that it was started with.

        Raises
        ------
        DataError : it is going on already, it is done, or nothing says how it was started.
        """
        with self._lock:
            self._check_room()
            if self.is_running(place):
                raise Conflict("This run is going on already.", "Watch it, or stop it.")
            if self.state(place) == "done":
                raise Conflict("This run is done.", "Start another one to change something.")
            arguments = read_object(place / STARTED).get("arguments")
            if not arguments and (place / "recipe.yaml").is_file():
                arguments = [str(place / "recipe.yaml")]
            if not arguments:
                raise Conflict("Nothing says how this run was started.", "Start it by the command that made it.")
            self._begin(place, arguments)

    def stop(self, place: Path) -> None:
        """End a run that was started here; what it has done so far is kept.

        Raises
        ------
        DataError : it is not going on, or was not started by this studio.
        """
        with self._lock:
            living = self._living.get(place)
        if living is None or living.process.poll() is not None:
            here = "It was not started from this studio." if is_held(place) else "It is not going on."
            raise Conflict(here, "Stop it where it was started.")
        living.stopped = True
        end(living.process)

    def is_running(self, place: Path) -> bool:
        """Whether a run is going on, here or elsewhere."""
        living = self._living.get(place)
        return (living is not None and living.process.poll() is None) or is_held(place)

    def state(self, place: Path) -> str:
        """`running`, `done`, `failed`, `stopped` or `unfinished`."""
        if self.is_running(place):
            return "running"
        ended = self.ended(place)
        if ended.get("state") in ("failed", "stopped"):
            return str(ended["state"])
        if (place / "scores.json").is_file() or ended.get("state") == "done":
            return "done"
        return "stopped" if (place / STARTED).is_file() else "unfinished"

    def ended(self, place: Path) -> Mapping[str, Any]:
        """How a run that was started from a studio has ended: `state`, and `problem` where there was one."""
        found = read_object(place / STARTED).get("ended")
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """Stop all runs that were started here."""
        for place in list(self._living):
            living = self._living[place]
            if living.process.poll() is None:
                living.stopped = True
                end(living.process)

    def _check_room(self) -> None:
        going = sum(living.process.poll() is None for living in self._living.values())
        if going >= AT_ONCE:
            raise Conflict(f"{going} runs are going on, and no more are started at once.", "Wait, or stop one.")

    def _begin(self, place: Path, arguments: Sequence[str]) -> None:
        atomic_write_text(place / STARTED, json.dumps({"arguments": list(arguments)}, ensure_ascii=False, indent=1))
        command = ["run", *arguments, "--out", str(place), "--json"]
        with (place / LOG).open("ab") as log, (place / RESULT).open("wb") as result:
            living = _Living(self.children.start(command, stdout=result, stderr=log))
        self._living[place] = living
        threading.Thread(target=self._wait, args=(place, living, list(arguments)), daemon=True).start()

    def _wait(self, place: Path, living: _Living, arguments: list[str]) -> None:
        """Write down how a run has ended."""
        code = living.process.wait()
        said = read_object(place / RESULT)
        state = "done" if code in GOOD else "stopped" if living.stopped or code in (130, -2) else "failed"
        ended: dict[str, Any] = {"state": state}
        if state == "failed":
            ended["problem"] = {
                "error": said.get("error") or f"The run ended with exit code {code}.",
                "remedy": said.get("remedy") or "The log says more.",
            }
        if place.is_dir():
            text = json.dumps({"arguments": arguments, "ended": ended}, ensure_ascii=False, indent=1)
            atomic_write_text(place / STARTED, text)


class Conflict(DataError):
    """A run is not in the state for what is asked."""
