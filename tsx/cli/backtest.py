"""`tsx backtest`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tsx.cli.outputs import check_not_read, checkpoint_of
from tsx.cli.parameters import Arguments, command
from tsx.spec.verbs import BACKTEST
from tsx.workflows.outputs import check_table_or_parts

if TYPE_CHECKING:
    from tsx.cli.console import Console
    from tsx.errors import QualityGate
    from tsx.workflows.backtest import ClassBacktest


@command(BACKTEST, out=check_table_or_parts)
def backtest(console: Console, arguments: Arguments) -> None:
    """See how the forecasts would have done in the past, beside simple ones.

    Examples:
      tsx backtest sales.parquet
      tsx backtest sales.parquet --cutoffs 12 --stride 7 --refit every
      tsx backtest sales.parquet --out backtest.parquet
      tsx backtest glucose.parquet --above 180 --below 70
      tsx backtest stays.parquet --label died

    From several origins in the past, each with only what was known then. Says in words whether the forecast is better
    than the last value, the last season, a drift, the Theta method or a ridge regression on the same lags (and than
    AutoETS and AutoARIMA, with tsx-forecast[stats]). With --above or --below: how often it happened, by the probability
    that was forecast. With --label: series are held out, each once, and the classifier is compared with logistic
    regression and gradient boosting on summaries.
    """
    check_not_read(arguments)
    from tsx import api
    from tsx.cli.in_parts import ran_in_parts
    from tsx.io.destination import place_of_result
    from tsx.workflows.backtest import ClassBacktest
    from tsx.workflows.gates import Checked, failed_gate

    if ran_in_parts(console, arguments, api.backtest):
        return
    out = arguments["out"]
    result = api.backtest(
        arguments.source, **arguments.keywords, checkpoint=checkpoint_of(BACKTEST, out), progress=console.progress
    )
    console.close()
    console.quote(result.findings)
    failed = failed_gate(arguments.values, Checked(result.findings, result.verdict))
    if isinstance(result, ClassBacktest):
        _show_classes(console, result, out, failed)
    elif console.json:
        console.document(
            {
                "summary": result.summary,
                "per_step": result.per_step,
                "verdict": asdict(result.verdict),
                "clinical": list(result.clinical),
                "reliability": list(result.reliability),
                "wins": result.wins(),
                "notes": list(result.notes),
                "findings": console.told(result.findings),
                "out": place_of_result(out),
            },
            failed,
        )
    elif out != "-":
        from tsx.report.terminal import render_backtest

        console.show(render_backtest(result))
    if out is not None:
        console.table(result.frame, out)
    if failed is not None:
        raise failed


def _show_classes(console: Console, result: ClassBacktest, out: str | None, failed: QualityGate | None) -> None:
    from tsx.io.destination import place_of_result

    if console.json:
        console.document(
            {
                "summary": list(result.evaluation.summary),
                "verdict": asdict(result.verdict),
                "reliability": list(result.evaluation.reliability),
                "findings": console.told(result.findings),
                "out": place_of_result(out),
            },
            failed,
        )
    elif out != "-":
        from tsx.report.classification import render_class_backtest

        console.show(render_class_backtest(result))
