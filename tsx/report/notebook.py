"""Progress under the cell of a notebook: one line for each task that runs, gone when all are over."""

from __future__ import annotations

from html import escape
from time import monotonic
from typing import Any

from tsx.sanitize import clean

PAUSE = 0.1
"""Seconds between two drawings, at least."""
CELL = "display:inline-block;height:8px;vertical-align:middle;border-radius:4px"


class Bar:
    """The bars of all running tasks, drawn again in one place of the page."""

    def __init__(self) -> None:
        self._tasks: list[dict[str, Any]] = []
        self._place: Any = None
        self._drawn = 0.0

    def start(self, task: str, total: float) -> None:
        self._tasks.append({"name": task, "total": total, "done": 0.0, "note": "", "began": monotonic()})
        self._draw()

    def update(self, done: float, note: str = "") -> None:
        if self._tasks:
            self._tasks[-1] |= {"done": done, "note": note}
            if monotonic() - self._drawn > PAUSE:
                self._draw()

    def finish(self) -> None:
        if self._tasks:
            self._tasks.pop()
        self._draw()

    def decided(self, name: str, value: object, reason: str) -> None:
        """Shown by the result itself."""

    def _draw(self) -> None:
        from IPython.display import HTML, display

        self._drawn = monotonic()
        page = HTML("".join(map(self._line, self._tasks)))
        if self._place is None:
            self._place = display(page, display_id=True)
        else:
            self._place.update(page)

    @staticmethod
    def _line(task: dict[str, Any]) -> str:
        share = min(task["done"] / task["total"], 1.0) if task["total"] else 0.0
        seconds = monotonic() - task["began"]
        bar = f'<span style="{CELL};width:160px;background:rgb(128 128 128 / 25%)">'
        bar += f'<span style="{CELL};width:{100 * share:.0f}%;background:#0072b2;vertical-align:top"></span></span>'
        words = f"{share:.0%}, {seconds:.0f} s" if task["total"] else f"{seconds:.0f} s"
        note = f", {task['note']}" if task["note"] else ""
        return f"<div>{bar} {escape(clean(task['name']))}: {escape(clean(words + note))}</div>"
