"""`tsx forecast`."""

from __future__ import annotations

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
    future_data: o.FutureData = None,
    samples: o.Samples = None,
    aggregate: o.AggregateType = None,
    duplicates: o.DuplicatesType = None,
    max_rows: o.MaxRows = None,
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
    out: o.OutTable = None,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Forecast every series from its newest row, with intervals.

    Examples:
      tsx forecast
      tsx forecast --out forecast.parquet
      tsx forecast today.csv --model glucose-model --out - | head
      tsx forecast sales.csv --future-data holidays.csv --out forecast.csv
      tsx forecast --samples 500 --out paths.parquet
      tsx forecast --aggregate sum --out totals.csv

    With --samples or --aggregate these are the result. Without --out a terminal shows the first rows, and a pipe gets
    the whole table as CSV.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    if console.json and out == "-":
        raise UsageError("stdout-twice", "--json and --out - both want stdout", hint="give --out a file's name")
    o.one_reader_of_stdin(data, future_data)
    from tsx import api

    made = api.forecast(
        o.fitted_or(data),
        model=model,
        future_data=future_data,
        samples=samples,
        aggregate=aggregate,
        duplicates=duplicates,
        max_rows=max_rows,
        device=device,
        seed=seed,
        progress=console.progress,
    )
    console.close()
    frame = made.table
    for finding in made.findings:
        console.note(f"note: {finding.message}")
    console.quote(made.findings)
    if out is not None and out != "-":
        console.table(frame, out)
    if console.json:
        rows = {"forecast" if made.paths is None else "paths": frame.to_dicts()} if out is None else {"out": out}
        console.document(
            {
                "series": frame[made.schema.id_name].n_unique(),
                "rows": frame.height,
                "columns": frame.columns,
                "findings": [finding.to_dict() for finding in made.findings],
                "unseen_series": made.unseen.to_list(),
                **rows,
            }
        )
    elif out == "-" or (out is None and (aggregate is not None or not sys.stdout.isatty())):
        console.table(frame, "-")
    elif out is None:
        from tsx.report.terminal import render_forecast

        console.show(render_forecast(made.frame, made.schema))
        if made.paths is not None:
            console.note(f"note: {frame.height:,} rows of sample paths; --out writes them")
