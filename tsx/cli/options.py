"""The flags, each declared once: the same flag means the same in every command.

A flag's long name is its key in `tsx.toml` and, in capitals after `TSX_`, its environment variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tsx.cli.defaults import apply_defaults
from tsx.cli.help import OUTPUT, SHARED
from tsx.errors import UsageError
from tsx.spec.settings import (
    QUANTILE_LEVELS,
    Aggregate,
    Attention,
    Cell,
    Device,
    Duplicates,
    IdFrom,
    Intervals,
    Point,
    Regularize,
    Transform,
)

COLUMNS = "Columns of the table (found by themselves on a tidy table)"
READING = "Reading the table (only what it does not tell by itself)"
SHAPE = "What to forecast"
NETWORK = "Network (chosen, with a printed reason, where not given)"
TRAINING = "Training"
EVALUATION = "Evaluation"

TABLES = (".parquet", ".csv", ".json")
REPORTS = ("terminal", "html", "json", "md", "png")


def _split(values: list[str] | None) -> list[str]:
    """Names given comma-separated or repeated, in order; a name that holds a comma is written in double quotes."""
    import csv

    names = [name.strip() for row in csv.reader(values or [], skipinitialspace=True) for name in row]
    return [name for name in names if name]


def _split_levels(values: list[str] | None) -> list[str]:
    for level in _split(values):
        _number(level)
    return _split(values)


def _split_reports(values: list[str] | None) -> list[str]:
    kinds = list(dict.fromkeys(_split(values)))
    for kind in kinds:
        if kind not in REPORTS:
            raise typer.BadParameter(f"'{kind}' is not one of {', '.join(REPORTS)}.")
    return kinds


def _table_path(value: str | None) -> str | None:
    """Say before hours of work, not after, that a table could not be written."""
    if value is None or value == "-":
        return value
    path = Path(value)
    if path.suffix.casefold() not in TABLES:
        raise UsageError(
            "file-format-unknown",
            f"{path} names no known format",
            where=value,
            hint=f"end the name in {', '.join(TABLES)}, or give - for CSV on stdout",
        )
    if not path.parent.is_dir() or path.is_dir():
        why = "that is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError("file-not-writable", f"{path} cannot be written: {why}", hint="name a file", where=value)
    return value


def _report_folder(value: str) -> str:
    """Say before the work that a report cannot be written there, or had better not be."""
    path = Path(value)
    if path.exists() and not path.is_dir():
        raise UsageError(
            "file-not-writable", f"{path} cannot be written: that is a file", hint="name a folder", where=value
        )
    if (path / "model.safetensors").exists():
        raise UsageError(
            "file-not-writable",
            f"{path} cannot be written: that is the directory of a model",
            hint="name another folder",
            where=value,
        )
    return value


def _whole(value: Any) -> int | None:
    """A whole number, or `auto` for the program's own choice."""
    if str(value).strip().casefold() == "auto":
        return None
    try:
        return int(str(value))
    except ValueError:
        raise typer.BadParameter(f"'{value}' is neither a whole number nor auto.") from None


def _seconds(value: Any) -> float:
    """A span of time in seconds, or with the unit s, m or h."""
    text = str(value).strip().casefold()
    unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:])
    return _number(text[:-1]) * unit if unit is not None else _number(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a number.") from None


TABLE = "a CSV, Parquet, Arrow, JSON lines or Excel file, several of them, a folder of parts, or - for stdin"
Data = Annotated[list[str], typer.Argument(metavar="DATA", help=f"The table: {TABLE}.")]
DataOrFitted = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help=f"The table: {TABLE}. Without it, the file the model was fitted on.",
    ),
]

Id = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Which series a row belongs to.", rich_help_panel=COLUMNS),
]
Time = Annotated[
    list[str] | None,
    typer.Option(
        "--time",
        metavar="COLUMNS",
        callback=_split,
        rich_help_panel=COLUMNS,
        help="When; several columns (date,clock or year,week) together make the time.",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMNS",
        callback=_split,
        rich_help_panel=COLUMNS,
        help="What to forecast; of several columns each becomes a series of its own.",
    ),
]
Past = Annotated[
    list[str] | None,
    typer.Option(
        "--past",
        metavar="COLUMNS",
        callback=_split,
        rich_help_panel=COLUMNS,
        help="Covariates known up to the cutoff only; comma-separated or repeated.",
    ),
]
Future = Annotated[
    list[str] | None,
    typer.Option(
        "--future",
        metavar="COLUMNS",
        callback=_split,
        rich_help_panel=COLUMNS,
        help="Covariates known ahead, such as holidays or prices already set.",
    ),
]
Static = Annotated[
    list[str] | None,
    typer.Option(
        "--static",
        metavar="COLUMNS",
        callback=_split,
        rich_help_panel=COLUMNS,
        help="Covariates that are constant within a series; text becomes categories.",
    ),
]
Freq = Annotated[
    str | None,
    typer.Option(
        "--freq",
        metavar="FREQ",
        rich_help_panel=COLUMNS,
        help="Step: 30s, 5m, 1h, 1d, 1w, 1mo, 1q, 1y, trading-day, or a number of plain steps.",
    ),
]

Wide = Annotated[
    bool,
    typer.Option(
        "--wide",
        rich_help_panel=READING,
        help="Every column is a series (or, without a time column, a step) instead of every row a value.",
    ),
]
IdFromType = Annotated[
    IdFrom | None,
    typer.Option(
        "--id-from", metavar="filename", rich_help_panel=READING, help="Each file is a series, named as the file is."
    ),
]
TimeFormat = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        metavar="FORMAT",
        rich_help_panel=READING,
        help="day-first, month-first, iso, epoch-s, epoch-ms, epoch-us, epoch-ns, excel, or a pattern such as "
        "%d.%m.%Y %H:%M.",
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone",
        metavar="ZONE",
        rich_help_panel=READING,
        help="Time zone (Europe/Berlin) of times that name none; times with an offset are brought to it.",
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option("--decimal", metavar="MARK", rich_help_panel=READING, help="Decimal mark of numbers: . or a comma."),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        "--missing",
        metavar="VALUES",
        callback=_split,
        rich_help_panel=READING,
        help="Numbers or texts that mean missing, such as --missing=-999,LOW; NA, null, blanks and the like do anyway.",
    ),
]
DuplicatesType = Annotated[
    Duplicates | None,
    typer.Option(
        "--duplicates",
        metavar="error|last|mean",
        rich_help_panel=READING,
        help="What becomes of several rows of one series and time.",
    ),
]
RegularizeType = Annotated[
    Regularize | None,
    typer.Option(
        "--regularize",
        metavar="last|mean|none",
        rich_help_panel=READING,
        help="What becomes of times off the grid: the last value of each step, its mean, or none: an error. "
        "Default: small jitter is moved to the nearest step.",
    ),
]
Calendar = Annotated[
    bool,
    typer.Option(
        "--calendar", rich_help_panel=READING, help="Tell the network the hour, the weekday, the time of year."
    ),
]
Holidays = Annotated[
    str | None,
    typer.Option(
        "--holidays",
        metavar="COUNTRY",
        rich_help_panel=READING,
        help="Tell the network the public holidays of a country or region: DE, US, DE-BY.",
    ),
]
MaxRows = Annotated[
    int | None,
    typer.Option("--max-rows", metavar="N", rich_help_panel=READING, help="Refuse a table of more rows."),
]

Horizon = Annotated[
    int | None,
    typer.Option("--horizon", metavar="N", parser=_whole, help="Steps ahead to forecast.", rich_help_panel=SHAPE),
]
Season = Annotated[
    int | None,
    typer.Option("--season", metavar="N", parser=_whole, help="Steps in one season.", rich_help_panel=SHAPE),
]
QuantileLevels = Annotated[
    list[str] | None,
    typer.Option(
        "--quantile-levels",
        metavar="LEVELS",
        callback=_split_levels,
        rich_help_panel=SHAPE,
        help="Quantiles to forecast, with 0.5 among them. Default: 0.025,0.1,0.25,0.5,0.75,0.9,0.975.",
    ),
]
PointType = Annotated[
    Point | None,
    typer.Option("--point", rich_help_panel=SHAPE, help="What yhat is. Default: chosen by the data."),
]
IntervalsType = Annotated[
    Intervals,
    typer.Option(
        "--intervals",
        rich_help_panel=SHAPE,
        help="Quantiles calibrated on held-out errors, recalibrated as errors come in, or as the network gives them.",
    ),
]
TransformType = Annotated[
    Transform | None,
    typer.Option(
        "--transform",
        rich_help_panel=SHAPE,
        help="Learn the logarithm of the target (forecasts keep its units), or forecast a price's return, log-return "
        "or variance (squared log-return) instead. Default: none or log, by the data.",
    ),
]
Delay = Annotated[
    int,
    typer.Option(
        "--delay",
        metavar="K",
        rich_help_panel=SHAPE,
        help="The newest K values of the target are provisional: they are neither read nor learnt from.",
    ),
]
Counts = Annotated[
    bool,
    typer.Option(
        "--counts", rich_help_panel=SHAPE, help="Forecast whole numbers; the target must be whole and not negative."
    ),
]

ContextLength = Annotated[
    int | None,
    typer.Option(
        "--context-length", metavar="N", parser=_whole, help="Past steps the network reads.", rich_help_panel=NETWORK
    ),
]
Segment = Annotated[
    int | None,
    typer.Option(
        "--segment",
        metavar="N",
        parser=_whole,
        rich_help_panel=NETWORK,
        help="Lags read in one recurrent step; more is faster.",
    ),
]
CellType = Annotated[
    Cell,
    typer.Option(
        "--cell",
        rich_help_panel=NETWORK,
        help="Recurrent cell. minlstm: what each lag contributes is exact. imv-lstm: weights for each column.",
    ),
]
AttentionType = Annotated[
    Attention, typer.Option("--attention", help="Attention over all hidden states.", rich_help_panel=NETWORK)
]
HiddenSize = Annotated[
    int | None,
    typer.Option("--hidden-size", metavar="N", parser=_whole, help="Units of a layer.", rich_help_panel=NETWORK),
]
Layers = Annotated[int, typer.Option("--layers", metavar="N", help="Recurrent layers.", rich_help_panel=NETWORK)]
Dropout = Annotated[
    float, typer.Option("--dropout", metavar="SHARE", help="Dropout between layers.", rich_help_panel=NETWORK)
]

MaxSteps = Annotated[
    int | None,
    typer.Option("--max-steps", metavar="N", parser=_whole, help="Training steps at most.", rich_help_panel=TRAINING),
]
MaxTime = Annotated[
    float | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        parser=_seconds,
        rich_help_panel=TRAINING,
        help="Training time at most, in seconds or as 90s, 10m, 1h.",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", parser=_whole, help="Windows in a step.", rich_help_panel=TRAINING),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", metavar="RATE", help="Highest learning rate.", rich_help_panel=TRAINING),
]
Ensemble = Annotated[
    int,
    typer.Option(
        "--ensemble",
        metavar="N",
        rich_help_panel=TRAINING,
        help="Networks from seeds of their own in one model; their quantiles are averaged.",
    ),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        rich_help_panel=TRAINING,
        help="Go on from the weights of the model at --model, on a table with newer rows.",
    ),
]
FreezeScale = Annotated[
    bool,
    typer.Option(
        "--freeze-scale",
        rich_help_panel=TRAINING,
        help="With --update: keep the scales and the smoothing of the fit.",
    ),
]
Seed = Annotated[
    int,
    typer.Option("--seed", metavar="N", help="Same seed, same machine: the same bits.", rich_help_panel=SHARED),
]
DeviceType = Annotated[Device, typer.Option("--device", help="Where to compute.", rich_help_panel=SHARED)]

ModelOut = Annotated[
    str, typer.Option("--model", metavar="DIR", help="Model directory to write.", rich_help_panel=OUTPUT)
]
ModelIn = Annotated[str, typer.Option("--model", metavar="DIR", help="Model directory to read.")]
FutureData = Annotated[
    str | None,
    typer.Option("--future-data", metavar="FILE", help="Table of the known-future covariates: id, time and these."),
]

Samples = Annotated[
    int | None,
    typer.Option("--samples", metavar="N", help="Sample paths of every series, with the dependence between steps."),
]
AggregateType = Annotated[
    Aggregate | None,
    typer.Option(
        "--aggregate",
        metavar="sum|mean|max|min",
        help="Quantiles of this over the horizon, from 500 paths or --samples.",
    ),
]

Report = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="KIND",
        callback=_split_reports,
        rich_help_panel=OUTPUT,
        help=f"{'|'.join(REPORTS)}, several comma-separated or repeated. Default: terminal.",
    ),
]

Cutoffs = Annotated[
    int, typer.Option("--cutoffs", metavar="N", help="Origins to forecast from.", rich_help_panel=EVALUATION)
]
Stride = Annotated[
    int | None,
    typer.Option(
        "--stride",
        metavar="N",
        parser=_whole,
        rich_help_panel=EVALUATION,
        help="Steps between origins. Default: the horizon.",
    ),
]

OutDirectory = Annotated[
    str,
    typer.Option("--out", metavar="DIR", callback=_report_folder, help="Folder to write.", rich_help_panel=OUTPUT),
]
OutTable = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="PATH",
        callback=_table_path,
        rich_help_panel=OUTPUT,
        help="Table to write: .parquet, .csv or .json by suffix, - for CSV on stdout.",
    ),
]

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=apply_defaults,
        rich_help_panel=SHARED,
        help="Settings file. Default: tsx.toml, where there is one.",
    ),
]
ShowValues = Annotated[
    bool,
    typer.Option(
        "--show-values",
        rich_help_panel=SHARED,
        help="Let messages quote the data (ids, dates, cells) where that says more.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=SHARED)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.", rich_help_panel=SHARED)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.", rich_help_panel=SHARED)]


def levels(values: list[str] | None) -> tuple[float, ...]:
    """The quantile levels given, or the default ones."""
    return tuple(float(value) for value in values) if values else QUANTILE_LEVELS


def one_reader_of_stdin(*tables: str | list[str] | None) -> None:
    """Standard input can be read once, and is a whole table."""
    named = [name for table in tables for name in ([table] if isinstance(table, str) else table or [])]
    if named.count("-") > 1:
        raise typer.BadParameter("only one table can come from stdin.", param_hint="-")


def source(data: list[str]) -> str | list[str]:
    """One file, or several."""
    return data[0] if len(data) == 1 else data


def fitted_or(data: list[str] | None) -> str | list[str] | None:
    return source(data) if data else None
