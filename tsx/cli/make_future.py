"""`tsx make-future`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from tsx.cli.outputs import check_not_read
from tsx.cli.parameters import Arguments, command
from tsx.spec.command_line import flags
from tsx.spec.verbs import FORECAST, MAKE_FUTURE
from tsx.workflows.outputs import check_table

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(MAKE_FUTURE, out=check_table)
def make_future(console: Console, arguments: Arguments) -> None:
    """Write the table of known-future covariates to fill in for the next forecast.

    Examples:
      tsx make-future --out future.csv
      tsx make-future today.csv --model sales-model --out future.csv
      tsx forecast today.csv --model sales-model --future-data future.csv

    It has a row for every series and each of the next steps; what the table already knows is filled in.
    """
    check_not_read(arguments)
    from tsx import api
    from tsx.io.destination import place_of_result
    from tsx.io.remote import place_of

    frame = api.make_future(arguments.source, **arguments.keywords, progress=console.progress)
    out = arguments["out"]
    console.close()
    if out is not None and out != "-":
        console.table(frame, out)
    empty = sum(frame.null_count().row(0))
    if console.json:
        rows = {"future": frame.to_dicts()} if out is None else {"out": place_of_result(out)}
        console.document({"rows": frame.height, "columns": frame.columns, "empty": empty, **rows})
        return
    if out is None or out == "-":
        console.table(frame, "-")
        if out is None and sys.stdout.isatty():
            return
    given = {
        "model": place_of(arguments["model"]),
        "future_data": "FILE" if out in (None, "-") else place_of_result(out),
    }
    next_command = ["tsx", "forecast", *arguments.table_words, *flags(FORECAST, given)]
    console.note(f"{empty:,} value{'' if empty == 1 else 's'} to fill in; then: {shlex.join(next_command)}")
