"""`tsx make-future`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import typer

from tsx.cli import options as o
from tsx.errors import UsageError

if TYPE_CHECKING:
    from tsx.cli.console import Console


def command(
    ctx: typer.Context,
    data: o.DataOrFitted = None,
    model: o.ModelIn = "tsx-model",
    duplicates: o.DuplicatesType = None,
    max_rows: o.MaxRows = None,
    out: o.OutTable = None,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Write the table of known-future covariates to fill in for the next forecast.

    Examples:
      tsx make-future --out future.csv
      tsx make-future today.csv --model sales-model --out future.csv
      tsx forecast today.csv --model sales-model --future-data future.csv

    It has a row for every series and each of the next steps; what the table already knows is filled in.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    if console.json and out == "-":
        raise UsageError("stdout-twice", "--json and --out - both want stdout", hint="give --out a file's name")
    from tsx import api

    frame = api.make_future(
        o.fitted_or(data),
        model=model,
        duplicates=duplicates,
        max_rows=max_rows,
        progress=console.progress,
    )
    console.close()
    if out is not None and out != "-":
        console.table(frame, out)
    empty = sum(frame.null_count().row(0))
    if console.json:
        rows = {"future": frame.to_dicts()} if out is None else {"out": out}
        console.document({"rows": frame.height, "columns": frame.columns, "empty": empty, **rows})
        return
    if out is None or out == "-":
        console.table(frame, "-")
        if out is None and sys.stdout.isatty():
            return
    next_command = [
        "tsx",
        "forecast",
        *(data or []),
        *(["--model", model] if model != "tsx-model" else []),
        "--future-data",
        out if out not in (None, "-") else "FILE",
    ]
    console.note(f"{empty:,} value{'' if empty == 1 else 's'} to fill in; then: {shlex.join(next_command)}")
