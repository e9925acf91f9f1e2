"""`tsx forecast`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from tsx.cli.outputs import check_not_read
from tsx.cli.parameters import Arguments, command, one_reader_of_stdin
from tsx.spec.verbs import FORECAST
from tsx.workflows.outputs import check_table_or_parts

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(FORECAST, out=check_table_or_parts)
def forecast(console: Console, arguments: Arguments) -> None:
    """Forecast every series from its newest row, with intervals.

    Examples:
      tsx forecast --out forecast.parquet
      tsx forecast today.csv --model glucose-model --out - | head
      tsx forecast sales.csv --future-data holidays.csv --out forecast.csv
      tsx forecast --samples 500 --out paths.parquet
      tsx forecast --aggregate sum --out totals.csv
      tsx forecast --above 180,250 --below 70 --out risks.csv
      tsx forecast --reconcile country,area --out totals-and-parts.csv
      tsx forecast --what-if price=+10% --out raised.csv

    Where there is no model, DATA is forecast by a network that comes with tsx, beside simple forecasts. --above 180
    adds p_above_180, the probability that a step lies above it, and p_any_above_180, that any step of the horizon
    does. With --samples or --aggregate these are the result, and --above asks about the aggregate. --reconcile
    country,area adds rows for the total and for each country and area, empty in the columns below, and makes them add
    up. Without --out a terminal shows the first rows, and a pipe gets the whole table as CSV; --out FOLDER/ writes
    parts (`tsx partition --help`).

    --what-if changes known-future covariates over the horizon, and past ones over the whole context. Both forecasts
    stand side by side. It is the model's answer: what it learnt goes together need not follow from each other.
    """
    one_reader_of_stdin(arguments.data, arguments["future_data"])
    check_not_read(arguments)
    from tsx import api
    from tsx.cli.in_parts import ran_in_parts
    from tsx.io.destination import place_of_result
    from tsx.workflows.gates import Checked, failed_gate

    if ran_in_parts(console, arguments, api.forecast):
        return
    result = api.forecast(arguments.source, **arguments.keywords, progress=console.progress)
    out = arguments["out"]
    console.close()
    frame = result.table
    console.tell(result.findings)
    if out is not None and out != "-":
        console.table(frame, out)
    times = result.times
    newest = times["newest"].max() if times.width else None
    failed = failed_gate(
        arguments.values,
        Checked(result.findings, result.verdict, newest, result.frame.select(result.schema.id_names).unique()),
    )
    if console.json:
        unseen = None if result.unseen is None else result.unseen.to_list()
        named = {"unseen_series": unseen, "times": times.to_dicts()} if console.show_values else {}
        rows = (
            {"forecast" if result.sample_paths is None else "paths": frame.to_dicts()}
            if out is None
            else {"out": place_of_result(out)}
        )
        console.document(
            {
                "series": result.series,
                "rows": frame.height,
                "columns": frame.columns,
                "newest": {"earliest": times["newest"].min() if times.width else None, "latest": newest},
                "drift": [asdict(column) for column in result.drift],
                **({"decisions": [asdict(decision) for decision in result.decisions]} if result.decisions else {}),
                "findings": console.told(result.findings),
                **named,
                **rows,
            },
            failed,
        )
    elif out == "-" or (out is None and (arguments["aggregate"] is not None or not sys.stdout.isatty())):
        console.table(frame, "-")
    elif out is None:
        from tsx.report.terminal import render_forecast

        shown = render_forecast(
            result.frame, result.schema, result.quantile_levels, result.probabilities, result.what_if
        )
        console.show(shown)
        if result.sample_paths is not None:
            console.note(f"note: {frame.height:,} rows of sample paths; --out writes them")
    if failed is not None:
        raise failed
