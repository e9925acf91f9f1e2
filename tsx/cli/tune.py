"""`tsx tune`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsx.cli import options as o
from tsx.cli.defaults import CONFIG_FILE
from tsx.errors import UsageError
from tsx.spec.settings import Cell

if TYPE_CHECKING:
    from tsx.cli.console import Console
    from tsx.evaluation.search import Tuning

SEARCH = "Search"

CellSearched = Annotated[
    Cell | None,
    typer.Option("--cell", rich_help_panel=o.NETWORK, help="Recurrent cell. Default: lstm and gru are tried."),
]
LayersSearched = Annotated[
    int | None,
    typer.Option("--layers", metavar="N", parser=o._whole, help="Recurrent layers.", rich_help_panel=o.NETWORK),
]
DropoutSearched = Annotated[
    float | None,
    typer.Option("--dropout", metavar="SHARE", help="Dropout between layers.", rich_help_panel=o.NETWORK),
]
MaxTime = Annotated[
    float | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        parser=o._seconds,
        rich_help_panel=SEARCH,
        help="Time of the whole search at most, in seconds or as 90s, 10m, 1h; the defaults are tried in any case.",
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        metavar="N",
        parser=o._whole,
        rich_help_panel=SEARCH,
        help="Trials of the study at most, earlier runs included. Default: 30, or as many as --max-time allows.",
    ),
]
StudyFile = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="FILE",
        rich_help_panel=SEARCH,
        help="SQLite file that keeps the trials: the same command goes on from there. It holds nothing of the table.",
    ),
]
OutSettings = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="FILE",
        rich_help_panel=o.OUTPUT,
        help="Settings file to write; other keys in it stay. - for stdout.",
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
    trials: Trials = None,
    max_time: MaxTime = None,
    study: StudyFile = None,
    context_length: o.ContextLength = None,
    segment: o.Segment = None,
    cell: CellSearched = None,
    hidden_size: o.HiddenSize = None,
    layers: LayersSearched = None,
    dropout: DropoutSearched = None,
    attention: o.AttentionType = "none",
    max_steps: o.MaxSteps = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = None,
    ensemble: o.Ensemble = 1,
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
    out: OutSettings = CONFIG_FILE,
    config: o.ConfigFile = None,
    show_values: o.ShowValues = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Search for settings that forecast a table better than the defaults, and write them to tsx.toml.

    Examples:
      tsx tune sales.parquet --max-time 10m
      tsx tune sales.parquet --trials 40 --study tune.db
      tsx tune sales.parquet --hidden-size 64 --layers 1 --out sales.toml

    What you give stays as you give it; of the rest, context, segment, size, layers, dropout, learning rate and cell are
    searched. Each trial is scored by a backtest that leaves out the newest rows, so that `tsx fit` still judges the
    result on rows that no trial saw. The first trial is the defaults: where nothing beats them, it says to keep them.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose, show_values=show_values)
    if console.json and out == "-":
        raise UsageError("stdout-twice", "--json and --out - both want stdout", hint="give --out a file's name")
    if out != "-":
        _check_place(Path(out))
    from tsx import api

    tuned = api.tune(
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
        trials=trials,
        max_time=max_time,
        study=study,
        progress=console.progress,
    )
    console.close()
    if out == "-":
        for line in tuned.to_toml().splitlines():
            console.line(line)
        return
    _write(tuned, Path(out))
    if console.json:
        console.document({**tuned.to_dict(), "out": out})
        return
    from tsx.report.terminal import render_tune

    console.show(render_tune(tuned))
    console.wrote(out)
    where = [] if out == CONFIG_FILE else ["--config", out]
    console.note(f"next: {shlex.join(['tsx', 'fit', *data, *where])}")


def _check_place(path: Path) -> None:
    """Say before the search that its result could not be written there."""
    if path.is_dir() or not path.parent.is_dir():
        why = "that is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError("file-not-writable", f"{path} cannot be written: {why}", hint="name a file", where=str(path))
    from tsx.cli.settings_file import merged, read_text

    text = read_text(path)
    for table in ("fit", "backtest"):
        merged(text, table, {"layers": "1"}, {"context_length"}, path)


def _write(tuned: Tuning, path: Path) -> None:
    from tsx.cli.settings_file import merged, read_text
    from tsx.evaluation.search import COMMENT, TABLES, toml_value
    from tsx.io.writing import atomic_write

    text = read_text(path)
    values = {name: toml_value(value) for name, value in tuned.settings.items()}
    for table in TABLES:
        text = merged(text, table, values, set(tuned.defaults), path)
    lines = [line for line in text.splitlines() if not line.startswith(COMMENT)]
    text = "\n".join([f"{COMMENT}{tuned.sentence}", *lines]) + "\n"
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
