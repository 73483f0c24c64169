"""A headless Chromium for tests, driven over its DevTools protocol (https://chromedevtools.github.io/devtools-protocol).

`start` runs one browser, `Browser.page` opens pages that share nothing (cookies, storage) with each other, and `Page`
does what a person does: opens, clicks, drags, presses keys, chooses files; and tells what a person cannot see: errors,
requests, heap, long tasks, first paint. No name but this machine's resolves inside the browser.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
START_S = 30.0
REPLY_S = 30.0
LONG_TASKS = """
window.__longTasks = [];
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.__longTasks.push(task.duration);
}).observe({ type: "longtask", buffered: true });
"""
# An element by a CSS selector; ` >>> ` steps into the shadow tree of what stands before it.
FIND = """(selector) => selector.split(" >>> ").reduce(
  (place, part) => place && (place.shadowRoot ?? place).querySelector(part), document)"""
KEYS = {  # name → key, code, key code
    "Space": (" ", "Space", 32),
    "Enter": ("Enter", "Enter", 13),
    "Escape": ("Escape", "Escape", 27),
    "Tab": ("Tab", "Tab", 9),
    "Backspace": ("Backspace", "Backspace", 8),
    "Delete": ("Delete", "Delete", 46),
    "Home": ("Home", "Home", 36),
    "End": ("End", "End", 35),
    "ArrowLeft": ("ArrowLeft", "ArrowLeft", 37),
    "ArrowUp": ("ArrowUp", "ArrowUp", 38),
    "ArrowRight": ("ArrowRight", "ArrowRight", 39),
    "ArrowDown": ("ArrowDown", "ArrowDown", 40),
}
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
TEXTS = {"Space": " ", "Enter": "\r"}
# How the browser ends an answer that the page did not stay for.
LEFT = (
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find default execution context",
)


class PageError(AssertionError):
    """The page threw, did not answer, or does not hold what was asked for."""


def executable() -> str | None:
    """Where Chromium lies: `EARNEST_CHROMIUM`, else Debian's place, else on the path; None where there is none."""
    named = os.environ.get("EARNEST_CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    return shutil.which("/usr/bin/chromium") or shutil.which("chromium")


def microphone(wav: Path | None = None) -> tuple[str, ...]:
    """Flags for a microphone that needs no permission and hears beeps, or the WAV file over and over."""
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    return (*flags, f"--use-file-for-fake-audio-capture={wav}") if wav else flags


@contextlib.contextmanager
def start(*flags: str) -> Iterator[Browser]:
    """Run a browser with an empty profile until the block ends.

    Parameters
    ----------
    flags : further ones for its command line, such as those of `microphone`.
    """
    program = executable()
    if program is None:
        raise FileNotFoundError("Chromium is not on this machine: install it, or set EARNEST_CHROMIUM.")
    profile = Path(tempfile.mkdtemp(prefix="earnest-chromium-"))
    with (profile / "log").open("wb") as log:
        command = [program, *FLAGS, f"--user-data-dir={profile}", *flags, "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            browser = Browser(_address(profile, process))
            try:
                yield browser
            finally:
                browser.close()
        finally:
            _stop(process)
            shutil.rmtree(profile, ignore_errors=True)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """The WebSocket of the browser itself, which it writes into its profile once it listens."""
    port = profile / "DevToolsActivePort"
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        lines = port.read_text().splitlines() if port.is_file() else []
        if len(lines) >= 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.02)
    raise PageError(f"Chromium did not start: {(profile / 'log').read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


class Wire:
    """One DevTools connection: commands with their answers, and events as they come."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._stack = contextlib.ExitStack()
        way = connect(address, max_size=None, max_queue=None, compression=None, proxy=None, ping_interval=None)
        self._socket: ClientConnection = self._stack.enter_context(way)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, method: str, session: str | None = None, **values: Any) -> dict[str, Any]:
        """One command; its answer.

        Raises
        ------
        PageError : the browser refused it, or did not answer in time.
        """
        answer: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        number = next(self._numbers)
        self._waiting[number] = answer
        self._post(number, method, values, session)
        try:
            found = answer.get(timeout=REPLY_S)
        except queue.Empty:
            raise PageError(f"no answer to {method} within {REPLY_S:.0f} s") from None
        if "error" in found:
            raise PageError(f"{method}: {found['error'].get('message')}")
        result: dict[str, Any] = found.get("result", {})
        return result

    def post(self, method: str, session: str | None = None, **values: Any) -> None:
        """One command whose answer nobody waits for."""
        self._post(next(self._numbers), method, values, session)

    def _post(self, number: int, method: str, values: dict[str, Any], session: str | None) -> None:
        message = {"id": number, "method": method, "params": values}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))

    def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in self._socket:
                message = json.loads(text)
                if "id" in message:
                    answer = self._waiting.pop(message["id"], None)
                    if answer is not None:
                        answer.put(message)
                    continue
                with self.changed:
                    self.events.append(message)
                    self.changed.notify_all()
                self.happened(message)
        for answer in list(self._waiting.values()):
            answer.put({"error": {"message": "the browser hung up"}})

    def happened(self, event: dict[str, Any]) -> None:
        """Answers an event at once; runs beside everything else, so it may `post` but never `send`."""

    def close(self) -> None:
        """Hang up."""
        self._stack.close()
        self._reader.join(5)


class Browser(Wire):
    """A running Chromium."""

    def page(self) -> Page:
        """A new page, with cookies and storage of its own."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        host = self.address.split("/devtools/")[0]
        return Page(f"{host}/devtools/page/{target}", self, context)

    def largest_page_bytes(self) -> int:
        """Memory of the largest process that shows a page, with its share of what processes have in common (Linux)."""
        processes = self.send("SystemInfo.getProcessInfo")["processInfo"]
        sizes = []
        for process in processes:
            if process["type"] == "renderer":
                lines = Path(f"/proc/{process['id']}/smaps_rollup").read_text().splitlines()
                sizes += [1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")]
        return max(sizes)

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(PageError, ConnectionClosed):
            self.send("Browser.close")
        super().close()


class Page(Wire):
    """One page: what a person does with it, and what it does unseen."""

    def __init__(self, address: str, browser: Browser, context: str) -> None:
        super().__init__(address)
        self._browser, self._context = browser, context
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            self.send(f"{domain}.enable")
        self.send("Page.addScriptToEvaluateOnNewDocument", source=LONG_TASKS)
        self.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
        self.size(1280, 900)

    def happened(self, event: dict[str, Any]) -> None:
        """Dialogs are accepted; workers and frames of other origins are watched like the page."""
        if event["method"] == "Page.javascriptDialogOpening":
            self.post("Page.handleJavaScriptDialog", accept=True)
        if event["method"] == "Target.attachedToTarget":
            session = event["params"]["sessionId"]
            for domain in ("Runtime", "Log", "Network"):
                self.post(f"{domain}.enable", session)
            self.post("Runtime.runIfWaitingForDebugger", session)

    def open(self, url: str | Path, timeout_s: float = 20.0) -> None:
        """Go to an address, or to a file on disk, and wait until it is loaded."""
        address = url.resolve().as_uri() if isinstance(url, Path) else url
        seen = len(self.events)
        answer = self.send("Page.navigate", url=address)
        if answer.get("errorText"):
            raise PageError(f"{address}: {answer['errorText']}")
        if answer.get("loaderId"):  # absent where only what follows the # has changed
            self.wait_for_event("Page.loadEventFired", timeout_s, seen)

    def reload(self, timeout_s: float = 20.0) -> None:
        """Load the page anew, and wait until it is loaded."""
        seen = len(self.events)
        self.send("Page.reload")
        self.wait_for_event("Page.loadEventFired", timeout_s, seen)

    def wait_for_event(self, method: str, timeout_s: float = 10.0, since: int = 0) -> dict[str, Any]:
        """The first event of that name after the first `since` ones."""
        end = time.monotonic() + timeout_s
        with self.changed:
            while True:
                found = [event for event in self.events[since:] if event["method"] == method]
                if found:
                    params: dict[str, Any] = found[0]["params"]
                    return params
                if not self.changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise PageError(f"{method} did not come within {timeout_s:g} s")

    def evaluate(self, js: str, await_promise: bool = True) -> Any:
        """The value of a JavaScript expression, as Python data.

        Raises
        ------
        PageError : it threw.
        """
        values: dict[str, Any] = {"awaitPromise": await_promise, "returnByValue": True, "userGesture": True}
        answer = self.send("Runtime.evaluate", expression=js, **values)
        if "exceptionDetails" in answer:
            raise PageError(f"{js[:200]}: {_thrown(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def wait_for(self, js_condition: str, timeout_s: float = 10.0) -> Any:
        """Wait until a JavaScript expression is true; its value. The page may be on its way to another meanwhile."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                value = self.evaluate(js_condition)
            except PageError as error:
                if not str(error).endswith(LEFT):
                    raise
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise PageError(f"not true within {timeout_s:g} s: {js_condition}; errors: {self.console_errors()}")
            time.sleep(0.03)

    def place(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
        """Where a part of an element lies in the window, in CSS pixels, after scrolling it into view.

        Parameters
        ----------
        selector : CSS; ` >>> ` steps into a shadow tree.
        at : shares of its width and height.
        """
        box = self.evaluate(
            f"""(() => {{ const part = ({FIND})({json.dumps(selector)});
            if (!part) return null;
            part.scrollIntoView({{ block: "center", inline: "center", behavior: "instant" }});
            const box = part.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; }})()"""
        )
        if box is None:
            raise PageError(f"the page holds no {selector}")
        if box[2] == 0 or box[3] == 0:
            raise PageError(f"{selector} is not shown")
        return box[0] + at[0] * box[2], box[1] + at[1] * box[3]

    def click(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Click an element with the mouse, in its middle or at shares of its width and height."""
        x, y = self.place(selector, at)
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, button="left", clickCount=1)
        self._mouse("mouseReleased", x, y, button="left", clickCount=1)

    def hover(self, selector: str, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Point at an element."""
        self._mouse("mouseMoved", *self.place(selector, at))

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float], steps: int = 10) -> None:
        """Drag over an element, from one place to another, both in shares of its width and height."""
        x, y = self.place(selector, start)
        to_x, to_y = self.place(selector, end)
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, button="left", clickCount=1)
        for step in range(1, steps + 1):
            share = step / steps
            self._mouse("mouseMoved", x + share * (to_x - x), y + share * (to_y - y), button="left", buttons=1)
        self._mouse("mouseReleased", to_x, to_y, button="left", clickCount=1)

    def _mouse(self, kind: str, x: float, y: float, **values: Any) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **values)

    def key(self, name: str, *modifiers: str) -> None:
        """Press a key: a name of `KEYS` or a single character; with any of Alt, Control, Meta, Shift."""
        text = TEXTS.get(name, name if len(name) == 1 else "")
        key, code, number = KEYS.get(name, (name, f"Key{name.upper()}" if name.isalpha() else "", ord(name[0].upper())))
        held = sum(MODIFIERS[modifier] for modifier in modifiers)
        values: dict[str, Any] = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held}
        typed = {"text": text} if text and not held & ~MODIFIERS["Shift"] else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **values, **typed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **values)

    def write(self, text: str) -> None:
        """Type text into what has the focus."""
        self.send("Input.insertText", text=text)

    def set_files(self, selector: str, paths: Sequence[Path]) -> None:
        """Choose files in an `<input type=file>`."""
        found = self.send("Runtime.evaluate", expression=f"({FIND})({json.dumps(selector)})")["result"]
        if "objectId" not in found:
            raise PageError(f"the page holds no {selector}")
        files = [str(path.resolve()) for path in paths]
        self.send("DOM.setFileInputFiles", files=files, objectId=found["objectId"])

    def downloads(self, folder: Path) -> None:
        """Keep what the page saves in a folder, without asking."""
        values = {"behavior": "allow", "browserContextId": self._context, "downloadPath": str(folder.resolve())}
        self._browser.send("Browser.setDownloadBehavior", **values)

    def dark(self, on: bool) -> None:
        """Prefer the dark or the light theme."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def size(self, width: int, height: int, scale: float = 1.0) -> None:
        """The window, in CSS pixels."""
        values: dict[str, Any] = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **values)

    def scripts(self, on: bool) -> None:
        """Whether pages opened from now on may run JavaScript."""
        self.send("Emulation.setScriptExecutionDisabled", value=not on)

    def screenshot(self, path: Path, full: bool = False) -> Path:
        """Write what is seen, or the whole page, as PNG."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=full, **self._clip(full))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def _clip(self, full: bool) -> dict[str, Any]:
        if not full:
            return {}
        box = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": box["width"], "height": box["height"], "scale": 1}}

    def console_errors(self) -> list[str]:
        """What went wrong since the page was made: exceptions, errors and failed assertions, refused by the policy."""
        found = []
        for event in list(self.events):
            values = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(_thrown(values["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
                found.append(" ".join(str(part.get("value", part.get("description"))) for part in values["args"]))
            elif event["method"] == "Log.entryAdded" and values["entry"]["level"] == "error":
                found.append(f"{values['entry']['text']} {values['entry'].get('url', '')}".strip())
        return found

    def requests(self) -> list[str]:
        """All addresses that were asked for, `data:` and `blob:` ones too, also by workers and frames."""
        events = [event for event in list(self.events) if event["method"] == "Network.requestWillBeSent"]
        sockets = [event for event in list(self.events) if event["method"] == "Network.webSocketCreated"]
        return [event["params"]["request"]["url"] for event in events] + [event["params"]["url"] for event in sockets]

    def requests_beyond(self, *allowed: str) -> list[str]:
        """Addresses asked for that lie neither in the page itself nor below one of the allowed beginnings."""
        own = ("data:", "blob:", "about:", *allowed)
        return [url for url in self.requests() if not url.startswith(own)]

    def metrics(self) -> dict[str, float]:
        """The browser's numbers of this page: `JSHeapUsedSize`, `JSHeapTotalSize`, `Nodes`, `LayoutCount` …"""
        return {entry["name"]: entry["value"] for entry in self.send("Performance.getMetrics")["metrics"]}

    def memory_bytes(self) -> int:
        """What scripts hold after a collection: JavaScript's heap, what backs its arrays, the page's objects."""
        self.send("HeapProfiler.collectGarbage")
        usage = self.send("Runtime.getHeapUsage")
        return int(usage["usedSize"] + usage.get("embedderHeapUsedSize", 0) + usage.get("backingStorageSize", 0))

    def long_tasks(self) -> list[float]:
        """Milliseconds of every task over 50 ms since the page was opened."""
        tasks: list[float] = self.evaluate("window.__longTasks")
        return tasks

    def first_paint_ms(self) -> float:
        """Milliseconds from asking for the page to its first contents on the screen."""
        entry = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        return float(self.wait_for(entry))

    def close(self) -> None:
        """Close the page, and forget what it stored."""
        super().close()
        with contextlib.suppress(PageError, ConnectionClosed):
            self._browser.send("Target.disposeBrowserContext", browserContextId=self._context)


def _thrown(details: dict[str, Any]) -> str:
    thrown = details.get("exception") or {}
    return str(thrown.get("description") or thrown.get("value") or details.get("text"))
