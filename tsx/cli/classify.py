"""`tsx classify`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tsx.cli.outputs import check_not_read
from tsx.cli.parameters import Arguments, command
from tsx.spec.verbs import CLASSIFY
from tsx.workflows.outputs import check_table_or_parts

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(CLASSIFY, out=check_table_or_parts)
def classify(console: Console, arguments: Arguments) -> None:
    """Give every series a class, with the probability of each, by a model that was fitted with --label.

    Examples:
      tsx classify new.parquet
      tsx classify new.parquet --out classes.csv
      tsx classify

    Without DATA the series of the fitted file are classified that have no label. The result has the id, the most
    probable class under the name of your label, and p_CLASS for each class. Without --out a terminal shows the first
    rows, and a pipe gets the whole table as CSV.
    """
    check_not_read(arguments)
    from tsx import api
    from tsx.cli.in_parts import ran_in_parts
    from tsx.io.destination import place_of_result

    if ran_in_parts(console, arguments, api.classify):
        return
    result = api.classify(arguments.source, **arguments.keywords, progress=console.progress)
    out = arguments["out"]
    console.close()
    console.tell(result.findings)
    if out is not None and out != "-":
        console.table(result.frame, out)
    if console.json:
        console.document(
            {
                "series": result.frame.height,
                "classes": list(result.classes),
                "columns": result.frame.columns,
                "findings": console.told(result.findings),
                **({"classes_of_series": result.frame.to_dicts()} if out is None else {"out": place_of_result(out)}),
            }
        )
    elif out == "-" or (out is None and not sys.stdout.isatty()):
        console.table(result.frame, "-")
    elif out is None:
        from tsx.report.classification import render_classification

        console.show(render_classification(result))
