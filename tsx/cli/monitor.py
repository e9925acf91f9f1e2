"""`tsx monitor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments, command
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
    or refit (a simple forecast is better).
    """
    from tsx import api
    from tsx.cli.in_parts import ran_in_parts
    from tsx.workflows.gates import Checked, failed_gate

    if ran_in_parts(console, arguments, api.monitor):
        return
    result = api.monitor(arguments.source, **arguments.keywords, progress=console.progress)
    console.close()
    console.tell(result.findings)
    kinds = arguments["report"] or ("terminal",)
    page = None
    if "html" in kinds:
        from tsx.report.monitoring import write_dashboard

        page = write_dashboard(result, Path(arguments["out"]))
    checked = Checked(result.findings, result.verdict, result.newest, metrics=result.own, drifted=result.gate)
    failed = failed_gate(arguments.values, checked)
    if console.json:
        console.document(
            {
                "advice": asdict(result.advice),
                "summary": result.summary,
                "verdict": asdict(result.verdict),
                "nights": result.nights.to_dicts(),
                "drift": [asdict(column) for column in result.drift],
                "reasons": None if result.reasons is None else result.reasons.to_dict(),
                "newest": result.newest,
                "notes": list(result.notes),
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
