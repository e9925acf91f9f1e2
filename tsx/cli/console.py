"""What a person or a script sees: results on stdout, everything else on stderr.

Text from the user's table (names, ids) is shown with its control characters replaced, and never read as markup.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from tsx.errors import TsxError, UsageError, WriteError
from tsx.progress import SILENT, Progress
from tsx.sanitize import inert
from tsx.spec.decision import Finding
from tsx.wording import json_value

if TYPE_CHECKING:
    import polars as pl
    import rich.console
    import rich.progress

PIPE_WIDTH = 100


class Console:
    """The two streams of one run. `json`, `quiet` and `verbose` are set once the flags are known."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.quiet = False
        self.verbose = False
        self.show_values = False
        self._progress_display: Progress | None = None
        self._error_in_document: TsxError | None = None
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A pipe or a file is UTF-8 wherever it is made; a terminal shows what it can.
                with suppress(io.UnsupportedOperation, ValueError):
                    if stream.isatty():
                        stream.reconfigure(errors="replace")
                    else:
                        stream.reconfigure(encoding="utf-8")

    def configure(self, *, json: bool, quiet: bool, verbose: bool, show_values: bool = False) -> Console:
        if quiet and verbose:
            raise UsageError("flags-contradict", "--quiet and --verbose contradict each other", hint="give one of them")
        self.json, self.quiet, self.verbose, self.show_values = json, quiet, verbose, show_values
        return self

    @property
    def progress(self) -> Progress:
        """Where progress is shown: bars on a terminal, lines with --verbose, otherwise nowhere."""
        if self._progress_display is None:
            if self.quiet:
                self._progress_display = SILENT
            elif sys.stderr.isatty():
                self._progress_display = _Bars()
            else:
                self._progress_display = _Lines() if self.verbose else SILENT
        return self._progress_display

    def show(self, renderable: Any) -> None:
        """A result, for people."""
        from rich.console import Console as Rich

        terminal = sys.stdout.isatty()
        width = None if terminal or "COLUMNS" in os.environ else PIPE_WIDTH
        paper = sys.stdout if terminal else io.StringIO()
        with writing():
            Rich(file=paper, width=width, highlight=False, markup=False, emoji=False).print(
                _Inert(renderable), crop=False
            )
            if isinstance(paper, io.StringIO):
                sys.stdout.writelines(line.rstrip() + "\n" for line in paper.getvalue().split("\n")[:-1])
            sys.stdout.flush()

    def line(self, text: str) -> None:
        """One line of a result for people, never wrapped: a path or a command to copy."""
        with writing():
            sys.stdout.write(inert(text) + "\n")
            sys.stdout.flush()

    def document(self, content: Any, error: TsxError | None = None) -> None:
        """A result, for programs: exactly one JSON document.

        `error`: the failure that the command raises after it, which then stands in the document.
        """
        import json

        if error is not None:
            content, self._error_in_document = {**content, "error": error.to_dict()}, error

        with writing():
            json.dump(json_value(content), sys.stdout, allow_nan=False, ensure_ascii=False, indent=2)
            sys.stdout.write("\n")
            sys.stdout.flush()

    def table(self, frame: pl.DataFrame, path: str | Path) -> None:
        """A result as a file, which is then named; `-` is CSV on stdout."""
        from tsx.io.writing import write_table

        if str(path) == "-":
            with writing():
                write_table(frame, "-")
            return
        write_table(frame, path)
        self.note(f"wrote {path}")

    def note(self, text: str) -> None:
        """Something to know beside the result."""
        if not self.quiet:
            with suppress(OSError):
                sys.stderr.write(inert(text) + "\n")
                sys.stderr.flush()

    def quote(self, findings: Iterable[Finding]) -> None:
        """The data that findings are about, where the user asked to see them."""
        for finding in findings:
            if self.show_values and finding.values:
                self.note(f"{finding.code}: {finding.values}")

    def fail(self, error: TsxError) -> None:
        """A failure: the contract's JSON object on stdout, or words on stderr."""
        self.close()
        if self.json and error is self._error_in_document:
            return
        if self.json:
            values = {"values": error.values} if self.show_values and error.values else {}
            with suppress(TsxError):
                self.document({"error": {**error.to_dict(), **values}})
            return
        head = "\x1b[1;31merror:\x1b[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else "error:"
        lines = [f"{head} {inert(error.message)}"]
        for name in ("where", "hint", "values"):
            if (text := getattr(error, name)) and (name != "values" or self.show_values):
                lines.append(f"  {name}: {inert(text)}")
        lines.append(f"  code: {error.code}")
        with suppress(OSError):
            sys.stderr.write("\n".join(lines) + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Take a bar off the screen, however the work ended."""
        if isinstance(self._progress_display, _Bars | _Lines):
            self._progress_display.close()


class ClosedStream(io.TextIOBase):
    """Stands for a standard output that is closed: nothing can be written to it."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


@contextmanager
def writing() -> Iterator[None]:
    """Turn a failure to write to stdout into `WriteError`, except that of a closed pipe, which is passed on."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WriteError(
            "file-not-writable",
            f"stdout cannot be written: {error.strerror or 'input/output error'}",
            hint="check that it is open and its disk has room",
            where="stdout",
        ) from None


class _Inert:
    """A rich renderable whose text cannot steer the terminal."""

    def __init__(self, renderable: Any) -> None:
        self.renderable = renderable

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> rich.console.RenderResult:
        from rich.segment import Segment

        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(inert(segment.text), segment.style)


def _decision(name: str, value: object, reason: str) -> str:
    """A decision on one line."""
    shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return inert(f"{name}: {shown} ({reason})")


class _Bars:
    """Rich progress bars on stderr, one below the other; each is gone when its task is over."""

    def __init__(self) -> None:
        self._progress: rich.progress.Progress | None = None
        self._tasks: list[rich.progress.TaskID] = []

    def start(self, task: str, total: float) -> None:
        from rich.console import Console as Rich
        from rich.markup import escape
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("elapsed,"),
                TimeRemainingColumn(),
                TextColumn("left"),
                TextColumn("{task.fields[note]}", markup=False),
                console=Rich(file=sys.stderr),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._progress.start()
        self._tasks.append(self._progress.add_task(escape(inert(task)), total=total or None, note=""))

    def update(self, done: float, note: str = "") -> None:
        if self._progress is not None and self._tasks:
            self._progress.update(self._tasks[-1], completed=done, note=inert(note))

    def finish(self) -> None:
        if self._progress is None:
            return
        last = self._tasks.pop()
        if self._tasks:
            self._progress.remove_task(last)
        else:
            self._progress.stop()
            self._progress = None

    def decided(self, name: str, value: object, reason: str) -> None:
        line = _decision(name, value, reason)
        if self._progress is None:
            sys.stderr.write(line + "\n")
        else:
            self._progress.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        while self._progress is not None:
            self.finish()


class _Lines:
    """One line on stderr when a task is over, and for each decision, for logs."""

    def __init__(self) -> None:
        self._tasks: list[tuple[str, float]] = []
        self._note = ""

    def start(self, task: str, total: float) -> None:
        self._tasks.append((task, monotonic()))
        self._note = ""

    def update(self, done: float, note: str = "") -> None:
        self._note = note or self._note

    def finish(self) -> None:
        if self._tasks:
            task, began = self._tasks.pop()
            tail = f", {self._note}" if self._note else ""
            self._note = ""
            sys.stderr.write(inert(f"{task}: {monotonic() - began:.1f} s{tail}") + "\n")

    def decided(self, name: str, value: object, reason: str) -> None:
        sys.stderr.write(_decision(name, value, reason) + "\n")

    def close(self) -> None:
        while self._tasks:
            self.finish()
