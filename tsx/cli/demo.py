"""`tsx demo`."""

from __future__ import annotations

import shlex
from time import monotonic
from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments, command
from tsx.spec.command_line import flags
from tsx.spec.verbs import DEMO, EXPLAIN, FIT, FORECAST
from tsx.workflows.demo import REPORTS, copy_sample, plan
from tsx.workflows.outputs import check_report, prepare_programs

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(DEMO, out=check_report)
def demo(console: Console, arguments: Arguments) -> None:
    """Fit, forecast and explain on shipped data, and write everything that a run can write.

    Examples:
      tsx demo
      tsx demo --out /tmp/demo --max-steps 100
      tsx demo --classify

    The data are simulated: the glucose of six virtual patients, with their meals and insulin, every five minutes. Each
    step is printed as the command it stands for. Takes about a minute on two cores. With --classify the data are the
    1,797 handwritten digits that come with scikit-learn, read row by row, and the report has a map of each digit.
    """
    if arguments["classify"]:
        from tsx.cli.demo_digits import classify_digits

        classify_digits(console, arguments)
        return
    began = monotonic()
    made = plan(arguments.values)
    data, model, table, report = made.data, made.model, made.table, made.report
    fitting, explaining = made.fitting, made.explaining
    written = {"report": ("terminal", *REPORTS), "out": report}
    commands = [
        shlex.join(words)
        for words in (
            ("tsx", "fit", str(data), *flags(FIT, fitting)),
            ("tsx", "forecast", *flags(FORECAST, {"model": model, "out": table})),
            ("tsx", "explain", *flags(EXPLAIN, {**explaining, **written})),
        )
    ]
    steps = iter(commands)
    copy_sample(data)

    from tsx import api
    from tsx.io.writing import write_table
    from tsx.report.tables import write_explanation
    from tsx.report.terminal import render_explanation, render_fit, render_forecast
    from tsx.store.layout import files_of_model
    from tsx.workflows.fit import Fit

    def announce() -> None:
        if not console.json:
            console.line(f"\n$ {next(steps)}\n")

    def show(renderable: object) -> None:
        console.close()
        if not console.json:
            console.show(renderable)

    console.note("The data are simulated: glucose, meals and insulin of six virtual patients.")
    announce()
    device, progress = arguments["device"], console.progress
    fitted = api.fit(data, **fitting, device=device, progress=progress)
    assert isinstance(fitted, Fit)
    show(render_fit(fitted))

    announce()
    result = api.forecast(model=model, device=device, progress=progress)
    for path in (table, table.with_suffix(".csv")):
        write_table(result.frame, path)
    show(render_forecast(result.frame, result.schema, result.quantile_levels))

    announce()
    prepare_programs(REPORTS)
    explanation = api.explain(**explaining, device=device, progress=progress)
    files_of_report = write_explanation(explanation, report, REPORTS)
    show(render_explanation(explanation))

    paths = [data, *files_of_model(model), table, table.with_suffix(".csv"), *files_of_report]
    seconds = monotonic() - began
    if console.json:
        console.document({"commands": commands, "files": [str(path) for path in paths], "seconds": round(seconds, 1)})
        return
    console.line(f"\nThe three commands took {seconds:.0f} seconds and wrote:")
    for path in paths:
        console.line(f"  {path}")
    console.line(f"\nThe report, for a browser: {(report / 'report.html').resolve()}")
