"""`tsx fit`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments, command
from tsx.spec.command_line import flags
from tsx.spec.verbs import FIT

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(FIT)
def fit(console: Console, arguments: Arguments) -> None:
    """Train a network on a table and write it to a model directory.

    Examples:
      tsx fit sales.parquet
      tsx fit sales.csv --horizon 28 --past price --max-time 10m
      tsx fit glucose.parquet --target mg_dl --past carbs,insulin --model glucose-model
      tsx fit sales.parquet --update
      tsx fit stays.parquet --label died

    What you do not give is chosen; each choice is printed (those on the inner workings with --verbose) and stored with
    its reason. The newest rows are held out first, to say how the forecast does beside simple ones. A failed fit
    leaves the last good model untouched.
    """
    from tsx import api
    from tsx.workflows.fit_classifier import ClassifierFit
    from tsx.workflows.gates import Checked, failed_gate

    fitted = api.fit(arguments.source, **arguments.keywords, progress=console.progress)
    console.close()
    console.quote(fitted.findings)
    checked = Checked(fitted.findings, fitted.metrics.verdict, fitted.newest, fitted.ids)
    failed = failed_gate(arguments.values, checked)
    if console.json:
        console.document({**fitted.to_dict(), "findings": console.told(fitted.findings)}, failed)
    else:
        unnamed = ["DATA"] if arguments["private"] or arguments["private_epsilon"] else []
        again = arguments.table_words if "sql" in arguments.given else unnamed  # such a model knows no path
        where = [*again, *flags(FIT, {"model": arguments["model"]})]
        if isinstance(fitted, ClassifierFit):
            from tsx.report.classification import render_classifier_fit, render_classifier_fit_in_full

            console.show(render_classifier_fit_in_full(fitted) if console.verbose else render_classifier_fit(fitted))
            unlabelled = any(each.code == "series-without-label" for each in fitted.findings)
            others = [] if again or unlabelled else ["DATA"]  # else the series of the table that have no label
            console.note(f"next: {shlex.join(['tsx', 'classify', *others, *where])}")
        else:
            from tsx.report.terminal import render_fit, render_fit_in_full

            console.show(render_fit_in_full(fitted) if console.verbose else render_fit(fitted))
            console.note(f"next: {shlex.join(['tsx', 'forecast', *where])}, {shlex.join(['tsx', 'explain', *where])}")
    if failed is not None:
        raise failed
