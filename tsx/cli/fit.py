"""`tsx fit`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

from tsx.cli import options as o

if TYPE_CHECKING:
    from tsx.cli.console import Console


def command(
    ctx: typer.Context,
    data: o.Data,
    model: o.ModelOut = "tsx-model",
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
    update: o.Update = False,
    freeze_scale: o.FreezeScale = False,
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Train a network on a table and write it to a model directory.

    Examples:
      tsx fit sales.parquet
      tsx fit sales.csv --horizon 28 --past price --max-time 10m
      tsx fit glucose.parquet --target mg_dl --past carbs,insulin --model glucose-model
      tsx fit sales.parquet --update

    Roles of columns, frequency, horizon, context and segment are chosen where you do not give them; each choice is
    printed and stored with its reason. The newest rows are held out first, to say how the network does beside simple
    forecasts. A failed fit leaves the last good model untouched.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    from tsx import api

    fitted = api.fit(
        o.source(data),
        model=model,
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
        update=update,
        freeze_scale=freeze_scale,
        progress=console.progress,
    )
    console.close()
    console.quote(fitted.findings)
    if console.json:
        console.document(fitted.to_dict())
        return
    from tsx.report.terminal import render_fit

    console.show(render_fit(fitted))
    where = [] if model == "tsx-model" else ["--model", model]
    console.note(f"next: {shlex.join(['tsx', 'forecast', *where])}, {shlex.join(['tsx', 'explain', *where])}")
