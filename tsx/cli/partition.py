"""`tsx partition` and `tsx merge`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tsx.cli.outputs import check_not_read
from tsx.cli.parameters import Arguments, command
from tsx.spec.verbs import MERGE, PARTITION
from tsx.wording import count
from tsx.workflows.outputs import check_table

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(PARTITION)
def partition(console: Console, arguments: Arguments) -> None:
    """Cut a table into parts of whole series, for runs larger than memory or on several machines.

    Examples:
      tsx partition sales.parquet --id store --parts 100 --out parts
      tsx partition sales.parquet --id store,item --parts 100 --out parts
      tsx forecast parts --out forecasts/
      tsx forecast parts --out forecasts/ --shard 2/7
      tsx merge forecasts --out forecasts.parquet

    The part of a series follows from its id alone. Rows keep their order, and cells stay as they are. At most some
    million rows are in memory at a time. The folder appears whole or not at all.
    """
    check_not_read(arguments)
    from tsx import api

    result = api.partition(arguments.source, **arguments.keywords, out=arguments["out"], progress=console.progress)
    console.close()
    if console.json:
        console.document(
            {
                "out": str(result.folder),
                "ids": list(result.ids),
                "series": result.series,
                "rows": result.rows,
                "parts": [asdict(part) for part in result.parts],
            }
        )
    else:
        console.line(
            f"{count(len(result.parts), 'part')}: {count(result.series, 'series')}, {count(result.rows, 'row')}"
        )
    console.note(f"wrote {arguments['out']}")


@command(MERGE, out=check_table)
def merge(console: Console, arguments: Arguments) -> None:
    """Make one table of the results of a run in parts, after checking each against its receipt.

    Examples:
      tsx merge forecasts
      tsx merge forecasts --out forecasts.parquet

    The table is that of a run in one piece. Without --out the parts are checked only. An explanation's parts give one
    table of SHAP values.
    """
    check_not_read(arguments)
    from tsx import api

    result = api.merge(arguments.source, **arguments.keywords, out=arguments["out"], progress=console.progress)
    console.close()
    rows = sum(one.rows for one in result.receipts)
    if console.json:
        receipts = [{name: value for name, value in asdict(one).items() if name != "facts"} for one in result.receipts]
        content = {"parts": len(receipts), "series": result.series, "rows": rows, "out": arguments["out"]}
        console.document({**content, "verb": result.plan.verb, "receipts": receipts})
    elif arguments["out"] != "-":
        console.line(f"{count(len(result.receipts), 'part')}: {count(result.series, 'series')}, {count(rows, 'row')}")
    if arguments["out"] not in (None, "-"):
        console.note(f"wrote {arguments['out']}")
