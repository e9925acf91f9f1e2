"""What makes the program say each of its codes: a command in a folder of small made-up files.

`tests/docs/test_errors.py` runs every example and compares what is said with docs/reference/errors.md. Where a message
has changed on purpose, `PYTHONPATH=. python tests/docs/examples.py` writes the messages of now into the page.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl

import tsx
from tsx.cli.main import main
from tsx.errors import TsxError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
ENTRY = re.compile(r"^### `([a-z0-9-]+)`\n(.*?)(?=^##|\Z)", re.M | re.S)
BLOCK = re.compile(r"^(?:    .*\n)+", re.M)

Content = str | bytes | Callable[[], bytes]
Rows = list[list[str]]
Breaks = Mapping[str, Any]
"""What is wrong with the machine: dotted names, and what stands there instead."""


@dataclass(frozen=True)
class Example:
    """A command (or a call) in a folder of these files, after which the program says something under the code."""

    code: str
    command: str | Callable[[], Any]
    files: Mapping[str, Content] = field(default_factory=dict)
    breaks: Breaks = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    varies: bool = False
    """Whether figures differ from machine to machine."""

    def said(self, folder: Path) -> str:
        """The message under the code, as the program says it in `folder`."""
        for name, content in self.files.items():
            _put(folder / name, content)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(folder))
            stack.enter_context(patch.dict("os.environ", dict(self.variables)))
            stack.enter_context(patch("sys.stdin", io.TextIOWrapper(io.BytesIO(self.stdin.encode()))))
            for name, instead in self.breaks.items():
                module, _, attribute = name.rpartition(".")
                stack.enter_context(
                    patch.dict(sys.modules, {attribute: instead}) if not module else patch(name, instead)
                )
            found = _call(self.command) if callable(self.command) else _run(self.command)
        assert self.code in found, f"{self.command}: {found}"
        return found[self.code]


def _put(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = content() if callable(content) else content
    path.write_bytes(made.encode() if isinstance(made, str) else made)


def _call(function: Callable[[], Any]) -> dict[str, str]:
    try:
        made = function()
    except TsxError as error:
        return {error.code: error.message}
    return {finding.code: finding.message for finding in made.findings}


def _run(command: str) -> dict[str, str]:
    """The codes and messages of what `tsx ... --json` says."""
    arguments = shlex.split(command)[1:]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        main(arguments if "--json" in arguments else [*arguments, "--json"])
    document = json.loads(said.getvalue())
    found = [document["error"]] if "error" in document else document["findings"]
    return {one["code"]: one["message"] for one in found}


def raising(error: BaseException) -> Callable[..., Any]:
    def instead(*_: Any, **__: Any) -> Any:
        raise error

    return instead


# ---------------------------------------------------------------------------------------------------------- tables


def days(count: int, start: str = "2024-01-01", step: int = 1) -> list[str]:
    return [str(date.fromisoformat(start) + timedelta(days=step * n)) for n in range(count)]


def hours(count: int, start: str = "2024-01-01T00:00", minutes: float = 60) -> list[str]:
    return [(datetime.fromisoformat(start) + timedelta(minutes=minutes * n)).isoformat(" ") for n in range(count)]


def value(n: int) -> str:
    return f"{20 + n * 37 % 23 + n % 7 * 1.5:.1f}"


def rows(times: Sequence[str], ids: Sequence[str] = ("north", "south"), cell: Callable[[int], str] = value) -> Rows:
    """One row a ward and time: ward, time, value."""
    return [[id, time, cell(n + 5 * k)] for k, id in enumerate(ids) for n, time in enumerate(times)]


def text(table: Rows, header: str = "ward,day,cases", sep: str = ",") -> str:
    return "".join(line + "\n" for line in [header.replace(",", sep), *(sep.join(row) for row in table)])


def with_cell(table: Rows, row: int, column: int, cell: str) -> Rows:
    """The table with another cell in one row, counted from 1."""
    return [[*old[:column], cell, *old[column + 1 :]] if n == row else old for n, old in enumerate(table, 1)]


def with_column(table: Rows, cell: Callable[[int], str]) -> Rows:
    return [[*row, cell(n)] for n, row in enumerate(table)]


PLAIN = rows(days(60))
CASES = text(PLAIN)
ONE = [row[1:] for row in rows(days(60), ["north"])]
HOURS = [f"{time},{value(n)}\n" for n, time in enumerate(hours(60, "2024-03-30T12:00"))]
FALL = [f"{time},{value(n)}\n" for n, time in enumerate(hours(60, "2024-10-26T12:00"))]
EARLY = [f"{d:02}/{m:02}/2024" for m in range(1, 5) for d in range(1, 13)]
WIDE = (
    "day,"
    + ",".join(f"ward {n}" for n in range(40))
    + "\n"
    + "".join(",".join([day, *(value(n + 3 * k) for k in range(40))]) + "\n" for n, day in enumerate(days(60)))
)
FINE = [f"{time},{5 + n * 37 % 23}\n" for n, time in enumerate(hours(200, minutes=5))]
CENTURY = [[f"{year}-01-01 00:00:{n:02}", value(n)] for year in ("1900", "2020") for n in range(50)]
SCATTERED = [
    f"{datetime(2024, 1, 1) + timedelta(minutes=int(m))},{value(n)}\n"
    for n, m in enumerate(np.cumsum(np.random.default_rng(7).gamma(2, 30, 100).round() + 1))
]
RNG = np.random.default_rng(7)
NOISE = RNG.normal(20, 3, 400).round(2)

# The tables that models are fitted on: a covariate known ahead, and a category of each ward.
STAFFED_HEADER = "ward,day,cases,staff,site"
SITES = {"north": "city", "south": "coast", "west": "coast", "island": "island"}


def staffed(
    count: int = 60,
    start: str = "2024-01-01",
    ids: Sequence[str] = ("north", "south", "west"),
    ahead: int = 3,
    cell: Callable[[int], str] = value,
) -> Rows:
    """Wards with `ahead` more days of which the staff is known already."""
    table = rows(days(count + ahead, start), ids, cell)
    known = [row if n % (count + ahead) < count else [*row[:2], ""] for n, row in enumerate(table)]
    return [[*row, str(3 + n % 4), SITES[row[0]]] for n, row in enumerate(known)]


def future(table: Rows, ahead: int = 3, count: int = 60) -> Rows:
    """The part of `staffed` after the last cases: ward, day, staff."""
    return [[row[0], row[1], row[3]] for n, row in enumerate(table) if n % (count + ahead) >= count]


STAFFED = staffed()
BARE = [row for row in staffed() if row[2]]
AHEAD = text(future(STAFFED), "ward,day,staff")
NEWER = text(staffed(65), STAFFED_HEADER)
MODELS = ("model", "plain", "from-a-frame")
SMALL = {"horizon": 3, "context_length": 8, "max_steps": 1, "hidden_size": 4}


def fit_models(folder: Path) -> None:
    """`model`: a covariate known ahead and a category; `plain`: nothing but the target."""
    _put(folder / "cases.csv", text(STAFFED, STAFFED_HEADER))
    _put(folder / "plain.csv", CASES)
    with contextlib.chdir(folder):
        tsx.fit("cases.csv", model="model", future="staff", static="site", **SMALL)  # type: ignore[arg-type]
        tsx.fit("plain.csv", model="plain", **SMALL)  # type: ignore[arg-type]
        tsx.fit(pl.read_csv("plain.csv"), model="from-a-frame", **SMALL)  # type: ignore[arg-type]


def link_models(fitted: Path, folder: Path) -> None:
    for name in MODELS:
        (folder / name).symlink_to(fitted / name)


def explained() -> Any:
    return tsx.explain(model="plain", windows=2, max_evals=100)


def _wrapped(message: str) -> str:
    """The message as an indented block of the page."""
    indent = "    "
    lines = textwrap.wrap(message, 112, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{indent}{line}\n" for line in lines)


def blocks(entry: str) -> list[str]:
    """The messages that an entry of the page shows, each on one line."""
    return [" ".join(block.split()) for block in BLOCK.findall(entry)]


def refreshed(page: str, messages: Mapping[str, Sequence[str]]) -> str:
    """The page with these messages in its blocks, in their order."""

    def entry(found: re.Match[str]) -> str:
        turn = iter(messages.get(found[1], ()))
        return BLOCK.sub(lambda block: _wrapped(message) if (message := next(turn, "")) else block[0], found[0])

    return ENTRY.sub(entry, page)


def inspected(
    code: str, table: Rows | str, flags: str = "", header: str = "ward,day,cases", sep: str = ",", **more: Any
) -> Example:
    """`tsx inspect cases.csv` with these flags."""
    content = table if isinstance(table, str) else text(table, header, sep)
    return Example(code, f"tsx inspect cases.csv {flags}", {"cases.csv": content}, **more)


def inspected_hours(code: str, table: Sequence[str], flags: str = "", **more: Any) -> Example:
    return inspected(code, "time,glucose\n" + "".join(table), flags, **more)


def forecast_from(code: str, table: Rows | str | None = None, flags: str = "", **files: Content) -> Example:
    """`tsx forecast` from a later table with the model of `STAFFED`."""
    named = {} if table is None else {"new.csv": table if isinstance(table, str) else text(table, STAFFED_HEADER)}
    command = f"tsx forecast {'new.csv' if named else ''} --model model {flags}"
    return Example(code, command, {**named, **{f"{name}.csv": content for name, content in files.items()}})


def forecast_with(code: str, table: Rows | str, header: str = "ward,day,staff") -> Example:
    """`tsx forecast` with a table of the known-future covariates."""
    given = table if isinstance(table, str) else text(table, header)
    return forecast_from(code, BARE, "--future-data future.csv", future=given)


def _refresh() -> None:
    """Write the messages of now into the page."""
    from error_cases import ERRORS
    from finding_cases import FINDINGS

    messages: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as fitted:
        fit_models(Path(fitted))
        for example in [*ERRORS, *FINDINGS]:
            with tempfile.TemporaryDirectory() as folder:
                link_models(Path(fitted), Path(folder))
                messages.setdefault(example.code, []).append(example.said(Path(folder)))
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8"), messages), encoding="utf-8")


if __name__ == "__main__":
    _refresh()
