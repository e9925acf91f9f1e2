"""`tsx inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments, command
from tsx.errors import ConfigError, DataError
from tsx.spec.settings import Reading
from tsx.spec.verbs import INSPECT

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(INSPECT)
def inspect(console: Console, arguments: Arguments) -> None:
    """See what is in a table: columns and their roles, frequency, season, gaps.

    Examples:
      tsx inspect sales.parquet
      tsx inspect - --json < sales.csv
      tsx inspect glucose.csv --id patient --target mg_dl --past carbs,insulin

    Ends with the `tsx fit` command that fits the table with these roles. Nothing is written.
    """
    from tsx import api
    from tsx.report.inspection import render_inspection, render_overview
    from tsx.workflows.inspect import TableRequest, overview_of_columns

    try:
        inspection = api.inspect(arguments.source, **arguments.keywords, progress=console.progress)
    except (DataError, ConfigError):
        console.close()
        if not console.json:
            # What the columns hold is worth seeing above the reason why the rest cannot be said.
            written = {name: arguments[name] for name in ("zone", "decimal", "missing")}
            reading = INSPECT.request(written).part(Reading)
            overview = overview_of_columns(TableRequest(arguments.source or [], reading=reading))
            if overview is not None:
                console.show(render_overview(overview))
        raise
    console.quote(inspection.findings)
    if console.json:
        console.document({**inspection.to_dict(), "findings": console.told(inspection.findings)})
        return
    console.show(render_inspection(inspection))
