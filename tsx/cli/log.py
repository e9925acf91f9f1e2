"""The log of a run on stderr: a line for everything that happens, with its time and the id of the run.

Clock times and seconds stand here and in JSON documents alone: tables and reports of the same run are the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from tsx.progress import Run
from tsx.sanitize import inert
from tsx.wording import json_value


class Log(Protocol):
    def write(self, level: str, event: str, message: str, **more: Any) -> None:
        """A line: `level` info, warning or error; `event` what kind of line it is; `more` figures by name."""
        ...


class TextLog:
    """`2026-01-31T02:00:05.123Z INFO run=0123456789abcdef task: training: 12.3 s`."""

    def __init__(self, run: Callable[[], str | None]) -> None:
        self.run = run

    def write(self, level: str, event: str, message: str, **more: Any) -> None:
        figures = "".join(f" {name}={value}" for name, value in more.items() if value is not None)
        _line(f"{_time()} {level.upper()} run={self.run() or '-'} {event}: {message}{figures}")


class JsonLog:
    """A JSON object a line: `time`, `level`, `run` (null until the table was read), `event`, `message` and figures."""

    def __init__(self, run: Callable[[], str | None]) -> None:
        self.run = run

    def write(self, level: str, event: str, message: str, **more: Any) -> None:
        import json

        line = {"time": _time(), "level": level, "run": self.run(), "event": event, "message": message, **more}
        _line(json.dumps(json_value(line), ensure_ascii=False, allow_nan=False))


LOGS: dict[str, Callable[[Callable[[], str | None]], Log]] = {"text": TextLog, "json": JsonLog}
"""By the value of `--log-format`; made from a function that gives the id of the run once it is known."""


class Logged:
    """Progress as lines of a log: where a task begins and ends, and what was decided."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._tasks: list[tuple[str, float]] = []
        self._note = ""

    def start(self, task: str, total: float) -> None:
        self._tasks.append((task, monotonic()))
        self._note = ""
        self.log.write("info", "begin", task)

    def update(self, done: float, note: str = "") -> None:
        self._note = note or self._note

    def finish(self) -> None:
        if self._tasks:
            task, began = self._tasks.pop()
            tail, self._note = f", {self._note}" if self._note else "", ""
            self.log.write("info", "end", task + tail, seconds=round(monotonic() - began, 3))

    def decided(self, name: str, value: object, reason: str) -> None:
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        self.log.write("info", "decision", f"{name}: {shown} ({reason})")

    def identified(self, run: Run) -> None:
        model = "" if run.version is None else f" and model {run.version} ({run.model_sha256})"
        self.log.write("info", "run", f"table {run.data_sha256}{model}")


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(inert(text) + "\n")
        sys.stderr.flush()
