"""The program that draws the charts of a page: Vega, Vega-Lite and Vega-Embed in one script, from vl-convert.

Putting the script together takes about two seconds and depends on nothing that is read, so that another process can do
it while this one works out what the page will show. A thread would not do: vl-convert holds on to Python's lock.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

MAKE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"
SECONDS = 60
"""After so long the other process is not waited for."""

_begun: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
"""The process that makes the program, and the file that it writes it to; empty, or one."""


def begin_drawing_program() -> None:
    """Have the program made by another process from now on.

    Does nothing where it was begun before, no process can be started, or this is no ordinary Python: an executable
    that holds one would run itself once more.
    """
    if _begun or not Path(sys.executable or "").name.startswith("python"):
        return
    try:
        file = TemporaryFile()  # noqa: SIM115 - read when the process has ended; it has no name and ends with this one
    except OSError:
        return
    command = [sys.executable, "-P", "-c", MAKE]  # -P: what lies in the working folder is data, not a module
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL)
    except OSError:
        file.close()
        return
    _begun.append((process, file))


@cache
def drawing_program() -> str:
    """The program: from the process that makes it, or made here where none was begun or it failed."""
    for process, file in _begun:
        if file.closed:  # by a call that was interrupted
            continue
        with file:
            if _ended_well(process):
                file.seek(0)
                return file.read().decode()
    import vl_convert

    made: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return made


def _ended_well(process: subprocess.Popen[bytes]) -> bool:
    try:
        return process.wait(SECONDS) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
