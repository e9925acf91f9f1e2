"""`tsx monitor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsx.cli.parameters import Arguments, command
from tsx.errors import UsageError
from tsx.spec.verbs import MONITOR
from tsx.workflows.outputs import check_report

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(MONITOR, out=check_report)
def monitor(console: Console, arguments: Arguments) -> None:
    """Score the forecasts of earlier nights, and say whether to keep the model.

    Examples:
      tsx monitor today.parquet --ledger tsx-ledger
      tsx monitor today.parquet --report html --out dashboard
      tsx monitor today.parquet --max-error 1 --min-coverage 0.7 --fail-on warning --json

    Record forecasts with `tsx forecast --ledger DIR`. Once the actual values have come: their error beside simple
    forecasts, coverage, bias, a control chart of the errors, drift of the inputs, and drift of the reasons: what the
    forecasts are made from. The advice is keep, recalibrate (the intervals are off), update (the errors have shifted)
    or refit (a simple forecast is better). Of a classifier, classes that `tsx classify --ledger DIR` recorded are
    scored in the same way on a table with their labels, beside the class frequencies.
    """
    from tsx import api
    from tsx.cli.in_parts import ran_in_parts
    from tsx.workflows.gates import Checked, failed_gate

    if ran_in_parts(console, arguments, api.monitor):
        return
    result = api.monitor(arguments.source, **arguments.keywords, progress=console.progress)
    console.close()
    console.tell(result.findings)
    from tsx.workflows.monitor_classes import ClassMonitoring

    if isinstance(result, ClassMonitoring):
        _refuse_limits(arguments)
    kinds = arguments["report"] or ("terminal",)
    page = None
    if "html" in kinds:
        from tsx.report.monitoring import write_dashboard

        page = write_dashboard(result, Path(arguments["out"]))
    drifted = None if isinstance(result, ClassMonitoring) else result.gate
    checked = Checked(result.findings, result.verdict, result.newest, metrics=result.own, drifted=drifted)
    failed = failed_gate(arguments.values, checked)
    if console.json:
        more: dict[str, Any]
        if isinstance(result, ClassMonitoring):
            more = {"reliability": list(result.reliability)}
        else:
            reasons = None if result.reasons is None else result.reasons.to_dict()
            more = {"reasons": reasons, "notes": list(result.notes)}
        console.document(
            {
                "advice": asdict(result.advice),
                "summary": list(result.summary),
                "verdict": asdict(result.verdict),
                "nights": result.nights.to_dicts(),
                "drift": [asdict(column) for column in result.drift],
                **more,
                "newest": result.newest,
                "findings": console.told(result.findings),
                "report": None if page is None else str(page),
            },
            failed,
        )
    elif "terminal" in kinds:
        from tsx.report.monitoring import render_monitoring

        console.show(render_monitoring(result))
    if page is not None:
        console.note(f"report: {page}")
    if failed is not None:
        raise failed


def _refuse_limits(arguments: Arguments) -> None:
    """Raises UsageError `flags-contradict` for limits that are of forecasts alone."""
    for name in ("max_error", "min_coverage", "max_drift"):
        if arguments[name] is not None:
            flag = MONITOR[name].flag
            raise UsageError(
                "flags-contradict",
                f"{flag} has no meaning for a model that classifies series",
                hint=f"leave {flag} out; --fail-on warning fails where something is beyond chance",
                where=name,
            )
