"""`tsx backtest`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tsx.cli import options as o
from tsx.errors import UsageError

if TYPE_CHECKING:
    from tsx.cli.console import Console

Refit = Annotated[
    Literal["once", "every"],
    typer.Option("--refit", help="Train before the first origin, or at every one.", rich_help_panel=o.EVALUATION),
]
Baselines = Annotated[
    list[str] | None,
    typer.Option(
        "--baselines",
        metavar="NAMES",
        callback=o._split,
        rich_help_panel=o.EVALUATION,
        help="Compare with these too: auto-ets, auto-theta, auto-arima (slow; needs tsx-forecast[stats]).",
    ),
]
Loss = Annotated[
    Literal["scaled", "qlike"] | None,
    typer.Option(
        "--loss",
        rich_help_panel=o.EVALUATION,
        help="What the verdict compares: scaled errors, or QLIKE. Default: QLIKE with --transform variance.",
    ),
]
Clinical = Annotated[
    Literal["mg/dl", "mmol/l"] | None,
    typer.Option(
        "--clinical",
        rich_help_panel=o.EVALUATION,
        help="The target is glucose in this unit: tell the zones of Clarke's and Parkes' error grids.",
    ),
]


def command(
    ctx: typer.Context,
    data: o.Data,
    id: o.Id = None,
    time: o.Time = None,
    target: o.Target = None,
    past: o.Past = None,
    future: o.Future = None,
    static: o.Static = None,
    freq: o.Freq = None,
    wide: o.Wide = False,
    id_from: o.IdFromType = None,
    time_format: o.TimeFormat = None,
    zone: o.Zone = None,
    decimal: o.Decimal = None,
    missing: o.Missing = None,
    duplicates: o.DuplicatesType = "error",
    regularize: o.RegularizeType = None,
    max_rows: o.MaxRows = None,
    calendar: o.Calendar = False,
    holidays: o.Holidays = None,
    horizon: o.Horizon = None,
    season: o.Season = None,
    quantile_levels: o.QuantileLevels = None,
    point: o.PointType = None,
    intervals: o.IntervalsType = "conformal",
    transform: o.TransformType = None,
    delay: o.Delay = 0,
    counts: o.Counts = False,
    cutoffs: o.Cutoffs = 8,
    stride: o.Stride = None,
    refit: Refit = "once",
    baselines: Baselines = None,
    loss: Loss = None,
    clinical: Clinical = None,
    context_length: o.ContextLength = None,
    segment: o.Segment = None,
    cell: o.CellType = "lstm",
    hidden_size: o.HiddenSize = None,
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.0,
    attention: o.AttentionType = "none",
    max_steps: o.MaxSteps = None,
    max_time: o.MaxTime = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    ensemble: o.Ensemble = 1,
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
    out: o.OutTable = None,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """See how the network would have done in the past, beside simple forecasts.

    Examples:
      tsx backtest sales.parquet
      tsx backtest sales.parquet --cutoffs 12 --stride 7 --refit every
      tsx backtest sales.parquet --out backtest.parquet

    From several origins in the past, each with only what was known then. Says in words whether the network is better
    than the last value, the last season, a drift, the Theta method or a ridge regression on the same lags.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    if console.json and out == "-":
        raise UsageError("stdout-twice", "--json and --out - both want stdout", hint="give --out a file's name")
    from tsx import api

    result = api.backtest(
        o.source(data),
        id=id,
        time=time or (),
        target=target or (),
        past=past or (),
        future=future or (),
        static=static or (),
        freq=freq,
        wide=wide,
        id_from=id_from,
        time_format=time_format,
        zone=zone,
        decimal=decimal,
        missing=missing or (),
        duplicates=duplicates or "error",
        regularize=regularize,
        max_rows=max_rows,
        calendar=calendar,
        holidays=holidays,
        horizon=horizon,
        context_length=context_length,
        segment=segment,
        season=season,
        quantile_levels=o.levels(quantile_levels),
        cell=cell,
        hidden_size=hidden_size,
        layers=layers,
        dropout=dropout,
        attention=attention,
        max_steps=max_steps,
        max_time=max_time,
        batch_size=batch_size,
        learning_rate=learning_rate,
        transform=transform,
        delay=delay,
        counts=counts,
        point=point,
        intervals=intervals,
        ensemble=ensemble,
        device=device,
        seed=seed,
        cutoffs=cutoffs,
        stride=stride,
        refit=refit,
        baselines=baselines or (),
        loss=loss,
        clinical=clinical,
        progress=console.progress,
    )
    console.close()
    if console.json:
        console.document(
            {
                "summary": result.summary,
                "per_step": result.per_step,
                "verdict": asdict(result.verdict),
                "clinical": list(result.clinical),
                "notes": list(result.notes),
                "out": out,
            }
        )
    elif out != "-":
        from tsx.report.terminal import render_backtest

        console.show(render_backtest(result))
    if out is not None:
        console.table(result.frame, out)
