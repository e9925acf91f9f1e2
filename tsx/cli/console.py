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
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from tsx.cli.log import LOGS, Log, Logged
from tsx.errors import TsxError, UsageError, WriteError
from tsx.progress import SILENT, Progress, Relay, Run
from tsx.sanitize import inert
from tsx.spec.decision import Finding
from tsx.spec.findings import WARNING
from tsx.wording import json_value

if TYPE_CHECKING:
    import polars as pl
    import rich.console
    import rich.progress

PIPE_WIDTH = 100


class Console:
    """The two streams of one run. `json`, `quiet` and `verbose` are set once the flags are known, `run` once the table
    was read; with a `log` everything on stderr is a line of it."""

    def __init__(self, *, json: bool = False) -> None:
        self.began = monotonic()
        self.run: Run | None = None
        self.log: Log | None = None
        self.json = json
        self.quiet = False
        self.verbose = False
        self.show_values = False
        self._display: Progress | None = None
        self._error_in_document: TsxError | None = None
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A pipe or a file is UTF-8 wherever it is made; a terminal shows what it can.
                with suppress(io.UnsupportedOperation, ValueError):
                    if stream.isatty():
                        stream.reconfigure(errors="replace")
                    else:
                        stream.reconfigure(encoding="utf-8")

    def configure(
        self, *, json: bool, quiet: bool, verbose: bool, show_values: bool = False, log_format: str | None = None
    ) -> Console:
        if quiet and verbose:
            raise UsageError("flags-contradict", "--quiet and --verbose contradict each other", hint="give one of them")
        self.json, self.quiet, self.verbose, self.show_values = json, quiet, verbose, show_values
        self.log = None if log_format is None else LOGS[log_format](lambda: None if self.run is None else self.run.id)
        return self

    @property
    def progress(self) -> Progress:
        """Where progress is shown: in the log where there is one, as bars on a terminal, as lines with --verbose,
        otherwise nowhere."""
        if self._display is None:
            if self.quiet:
                self._display = SILENT
            elif self.log is not None:
                self._display = Logged(self.log)
            elif sys.stderr.isatty():
                self._display = _Bars()
            else:
                self._display = _Lines() if self.verbose else SILENT
        return _Identified(self, self._display)

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

        `error`: the failure that the command raises after it, which then stands in the document. Where the run is
        known, it does too, with the seconds that it took so far.
        """
        import json

        if self.run is not None:
            content = {"run": {**asdict(self.run), "seconds": round(monotonic() - self.began, 3)}, **content}
        if error is not None:
            content, self._error_in_document = {**content, "error": error.to_dict()}, error

        with writing():
            json.dump(json_value(content), sys.stdout, allow_nan=False, ensure_ascii=False, indent=2)
            sys.stdout.write("\n")
            sys.stdout.flush()

    def table(self, frame: pl.DataFrame, path: str | Path) -> None:
        """A result as a file, which is then named; `-` is CSV on stdout."""
        from tsx.io.destination import place_of_result
        from tsx.io.writing import write_table

        if str(path) == "-":
            with writing():
                write_table(frame, "-")
            return
        write_table(frame, path)
        self.note(f"wrote {place_of_result(path)}")

    def note(self, text: str) -> None:
        """Something to know beside the result, as a line of the log where there is one."""
        if self.quiet:
            return
        if self.log is not None:
            self.log.write("info", "note", text)
            return
        with suppress(OSError):
            sys.stderr.write(inert(text) + "\n")
            sys.stderr.flush()

    def tell(self, findings: Iterable[Finding]) -> None:
        """Findings, for people: a line each, with the data that they are about where the user asked to see them."""
        findings = tuple(findings)
        if self.log is None:
            for finding in findings:
                self.note(f"{finding.severity}: {finding.message}")
        self.quote(findings)

    def told(self, findings: Iterable[Finding]) -> list[dict[str, Any]]:
        """Findings, for programs: the data that they are about only where the user asked to see them."""
        return [
            {**each.to_dict(), **({"values": each.values} if self.show_values and each.values else {})}
            for each in findings
        ]

    def quote(self, findings: Iterable[Finding]) -> None:
        """The data that findings are about, where the user asked to see them; in a log, which is for many, the findings
        themselves."""
        for finding in findings:
            if self.log is not None:
                level = "warning" if finding.severity == WARNING else "info"
                if not self.quiet:
                    self.log.write(level, "finding", finding.message, code=finding.code, count=finding.count)
            elif self.show_values and finding.values:
                self.note(f"{finding.code}: {finding.values}")

    def fail(self, error: TsxError) -> None:
        """A failure: the contract's JSON object on stdout, or words on stderr; in a log in any case."""
        self.close()
        if self.log is not None:
            self.log.write("error", "error", error.message, code=error.code, status=error.exit_status)
            if not self.json:
                return
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

    def ended(self, status: int) -> None:
        """The last line of the log."""
        if self.log is not None and not self.quiet:
            self.log.write("info", "exit", f"exit status {status}", seconds=round(monotonic() - self.began, 3))

    def close(self) -> None:
        """Take a bar off the screen, however the work ended."""
        if isinstance(self._display, _Bars | _Lines):
            self._display.close()


class _Identified(Relay):
    """Passes progress on, and keeps which run it is for the console."""

    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(progress)
        self.console = console

    def identified(self, run: Run) -> None:
        self.console.run = run
        super().identified(run)


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
