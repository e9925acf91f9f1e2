"""The program run in this process, on a pipe or on a terminal of 80 columns, in a folder of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from tests.cli.shell import Run
from tsx.cli.main import main


class Screen(io.TextIOWrapper):
    """A stream of UTF-8 that can be a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="", write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    @property
    def shown(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode("utf-8")


@contextmanager
def environment(**given: str) -> Iterator[None]:
    """These variables and none of the program's own, for a while."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("TSX_") or name in ("FORCE_COLOR", "COLUMNS")]:
        del os.environ[name]
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def tsx(folder: Path, *arguments: str, terminal: bool = False) -> Run:
    """Run `tsx` with these arguments in `folder`; a terminal has 80 columns and no colours of its own."""
    out, err = Screen(terminal), Screen(terminal)
    screen = {"COLUMNS": "80", "LINES": "40", "TERM": "dumb", "NO_COLOR": "1"} if terminal else {}
    with environment(**screen), chdir(folder), redirect_stdout(out), redirect_stderr(err):
        status = main(list(arguments))
    return Run(status, out.shown, err.shown)


def written(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path there."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
