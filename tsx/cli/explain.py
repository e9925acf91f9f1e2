"""`tsx explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tsx.cli import options as o
from tsx.cli import questions as q

if TYPE_CHECKING:
    from tsx.cli.console import Console


def command(
    ctx: typer.Context,
    data: o.DataOrFitted = None,
    model: o.ModelIn = "tsx-model",
    future_data: o.FutureData = None,
    duplicates: o.DuplicatesType = None,
    max_rows: o.MaxRows = None,
    windows: q.Windows = 24,
    explain: q.Explain = "yhat",
    players: q.PlayersType = None,
    group: q.Group = None,
    reference: q.References = "series",
    value: q.ValueType = "marginal",
    level: q.LevelType = "follow",
    interactions: q.Interactions = 0,
    by: q.By = None,
    by_data: q.ByData = None,
    max_evals: q.MaxEvals = 8192,
    tolerance: q.Tolerance = 0.1,
    seeds: q.Seeds = 1,
    memory_needed: q.MemoryNeeded = False,
    compare: q.Compare = None,
    max_drift: q.MaxDrift = None,
    report: o.Report = None,
    out: o.OutDirectory = "tsx-report",
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Say which past values drive the forecasts and how far back the network remembers.

    Examples:
      tsx explain
      tsx explain --report html
      tsx explain --report html,md --out why --windows 50 --tolerance 0.05
      tsx explain --explain width --players feature --by ward
      tsx explain --group day --value conditional
      tsx explain today.csv --compare tsx-report --max-drift 0.2 --json

    SHAP values with their standard errors, the memory of the forget gates, gradients and attention, and checks that
    try to refute them: whether to believe the explanation is part of it. The tables behind the report are written
    beside it.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    o.one_reader_of_stdin(data, future_data, by_data, reference)
    if max_drift is not None and compare is None:
        raise typer.BadParameter("there is nothing to compare with: give --compare DIR.", param_hint="--max-drift")
    kinds = report or ["terminal"]
    from tsx import api

    explanation = api.explain(
        o.fitted_or(data),
        model=model,
        future_data=future_data,
        duplicates=duplicates,
        max_rows=max_rows,
        windows=windows,
        explain=explain,
        players=players,
        group=group,
        reference=reference,
        value=value,
        level=level,
        interactions=interactions,
        by=by,
        by_data=by_data,
        max_evals=max_evals,
        tolerance=tolerance,
        seeds=seeds,
        memory_needed=memory_needed,
        compare=compare,
        scratch=out,
        device=device,
        seed=seed,
        progress=console.progress,
    )
    console.close()
    for finding in explanation.noticed:
        console.note(f"note: {finding.message}")
    console.quote(explanation.noticed)
    from tsx.report.tables import write_explanation

    paths = write_explanation(explanation, out, tuple(kind for kind in kinds if kind != "terminal"))
    if console.json:
        console.document({**explanation.summary(), "files": [str(path) for path in paths]})
    elif "terminal" in kinds:
        from tsx.report.terminal import render_explanation

        console.show(render_explanation(explanation))
    console.wrote(f"{len(paths)} files in {out}")
    for path in paths:
        console.detail(f"  {path}")
    for path in paths:
        if path.stem == "report":
            console.note(f"report: {path}")
    if max_drift is not None:
        explanation.gate(max_drift)
