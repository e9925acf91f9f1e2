"""What a page of the documentation claims: its commands, its Python, and the output it shows for them.

In a `console` block a line that begins with "$ " is a command and the lines up to the next one are its output. A `text`
block right after a `python` block is what that prints. A line "…" stands for output that the page leaves out.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from tsx.cli.main import main

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
VERDICT = re.compile(
    r"^(Does the model know anything\?|Is it faithful to the model\?|No skill: |Too early to judge: "
    r"|The forecast (is better|beats) |• The model has reasons"
    r"|Can you trust this explanation|The explanation stood up|It is faithful to |Believe this |Do not believe "
    r"|The best of |Keep the defaults: |(pass|weak|fail)  )"
)
CHECK = re.compile(r"^(?:pass|weak|fail)  ([a-z]+(?: [a-z]+)*)  ")
FIGURE = re.compile(r"(< ?)?[-+]?\.?#(\.#)?(e[-+]?#)?")
SHELL = set("|&;<>$`*?~#=")
SMALL = {"TSX_HIDDEN_SIZE": "16"}
"""A network that costs a part of the default one: pages show figures, tests compare words."""
BAR = re.compile("[ ▁▂▃▄▅▆▇█▉▊▋▌▍▎▏]{2,}|[▁▂▃▄▅▆▇█▉▊▋▌▍▎▏]")


@dataclass
class Step:
    """One thing that the reader does, and the lines that the page shows for it."""

    language: str
    code: str
    shown: list[str] = field(default_factory=list)


def steps(page: Path) -> Iterator[Step]:
    """The page's commands and Python blocks, in order."""
    previous: Step | None = None
    for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "console":
            for line in body.splitlines():
                if line.startswith("$ "):
                    if previous is not None:
                        yield previous
                    previous = Step("console", line.removeprefix("$ "))
                elif previous is not None:
                    previous.shown.append(line)
        elif language == "python":
            if previous is not None:
                yield previous
            previous = Step("python", body)
        elif language == "text" and previous is not None and previous.language == "python":
            previous.shown = body.splitlines()
        elif previous is not None:
            yield previous
            previous = None
    if previous is not None:
        yield previous


class Reader:
    """A person who follows a page in an empty folder with the sample data beside it."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        (folder / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
        program = folder / ".bin" / "tsx"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tsx "$@"\n', encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TSX_") and name != "COLUMNS"}
        path = os.pathsep.join([str(program.parent), kept.get("PATH", os.defpath)])
        self.environment = {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", **variables}
        self.names: dict[str, object] = {"__name__": "page"}

    def follow(self, step: Step) -> str:
        """Do the step and give what it printed. A command that fails is an error, unless the page shows one."""
        if step.language != "console":
            return self._execute(step.code)
        return self.run(step.code, fails=any(line.startswith("error: ") for line in step.shown))

    def run(self, command: str, *, fails: bool = False) -> str:
        """What a command prints. A `tsx` that needs no shell runs in this process, which has torch already."""
        if command.startswith("tsx ") and not SHELL & set(command):
            said = io.StringIO()
            with self._inside(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                status, printed = main(shlex.split(command)[1:]), said.getvalue()
        else:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                check=False,
            )
            status, printed = done.returncode, done.stdout
        assert (status != 0) == fails, f"$ {command}\n{printed}"
        return printed

    def _execute(self, code: str) -> str:
        said = io.StringIO()
        with self._inside(), contextlib.redirect_stdout(said):
            exec(compile(code, "page", "exec"), self.names)
        return said.getvalue()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        with contextlib.chdir(self.folder), patch.dict(os.environ, self.environment, clear=True):
            yield


def cheaper(code: str) -> str:
    """The same step with a training of ten steps and few explained forecasts: pages show figures, tests words."""
    code = re.sub(r"(max[-_]steps[= ])\d+", r"\g<1>10", code)
    code = re.sub(r"(max[-_]evals[= ])\d+", r"\g<1>500", code)
    return re.sub(r"(windows[= ])(\d+)", lambda found: f"{found[1]}{max(6, int(found[2]) // 5)}", code)


def missing(shown: list[str], real: str) -> list[str]:
    """The shown lines that the real output lacks.

    Figures, bars and where a line is broken differ from machine to machine and are not compared, nor are verdicts,
    which are sentences about figures; but a check that is shown must be there, whatever came of it.
    """
    flat = _masked(real)
    lines, inside = [], False
    for line in shown:
        inside = line.strip() not in ("", "…") and (inside or VERDICT.match(line.strip()) is not None)
        check = CHECK.match(line.strip())
        if check and not re.search(rf"(pass|weak|fail) {check[1]} #", flat):
            lines.append(line)
        if not inside and line.strip() not in ("", "…") and _masked(line) not in flat:
            lines.append(line)
    return lines


def _masked(text: str) -> str:
    digits = re.sub(r"\d[\d,]*", "#", text)
    return " ".join(BAR.sub(" ", FIGURE.sub("#", digits)).replace("days", "day").split())
