"""`tsx inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tsx.cli import options as o
from tsx.errors import ConfigError, DataError
from tsx.spec.settings import Reading

if TYPE_CHECKING:
    from tsx.cli.console import Console


def command(
    ctx: typer.Context,
    data: o.Data,
    id: o.Id = None,
    time: o.Time = None,
    target: o.Target = None,
    past: o.Past = None,
    future: o.Future = None,
    static: o.Static = None,
    freq: o.Freq = None,
    wide: o.Wide = False,
    id_from: o.IdFromType = None,
    time_format: o.TimeFormat = None,
    zone: o.Zone = None,
    decimal: o.Decimal = None,
    missing: o.Missing = None,
    duplicates: o.DuplicatesType = "error",
    regularize: o.RegularizeType = None,
    max_rows: o.MaxRows = None,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """See what is in a table: columns and their roles, frequency, season, gaps.

    Examples:
      tsx inspect sales.parquet
      tsx inspect - --json < sales.csv
      tsx inspect glucose.csv --id patient --target mg_dl --past carbs,insulin

    Ends with the `tsx fit` command that fits the table with these roles. Nothing is written.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    from tsx import api
    from tsx.report.inspection import render_glance, render_inspection
    from tsx.workflows.inspect import Asked, glance_at

    source = o.source(data)
    try:
        found = api.inspect(
            source,
            id=id,
            time=time or (),
            target=target or (),
            past=past or (),
            future=future or (),
            static=static or (),
            freq=freq,
            wide=wide,
            id_from=id_from,
            time_format=time_format,
            zone=zone,
            decimal=decimal,
            missing=missing or (),
            duplicates=duplicates or "error",
            regularize=regularize,
            max_rows=max_rows,
            progress=console.progress,
        )
    except (DataError, ConfigError):
        console.close()
        if not console.json:
            # What the columns hold is worth seeing above the reason why the rest cannot be said.
            wishes = Reading(zone=zone, decimal=decimal, missing=tuple(missing or ()))
            if (seen := glance_at(Asked(source, reading=wishes))) is not None:
                console.show(render_glance(seen))
        raise
    console.quote(found.findings)
    if console.json:
        console.document(found.to_dict())
        return
    console.show(render_inspection(found))
