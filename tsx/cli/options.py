"""The flags, each declared once: the same flag means the same in every command.

A flag's long name is its key in `tsx.toml` and, in capitals after `TSX_`, its environment variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tsx.cli.defaults import apply_defaults
from tsx.cli.help import OUTPUT, SHARED
from tsx.config import QUANTILE_LEVELS, Attention, Cell, Device
from tsx.errors import UsageError

COLUMNS = "Columns of the table (found by themselves on a tidy table)"
SHAPE = "What to forecast"
NETWORK = "Network (chosen, with a printed reason, where not given)"
TRAINING = "Training"
EVALUATION = "Evaluation"

TABLES = (".parquet", ".csv", ".json")
REPORTS = ("terminal", "html", "json", "md")


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
            "file-format-unknown", f"{path} names no known format", where=value,
            hint=f"end the name in {', '.join(TABLES)}, or give - for CSV on stdout",
        )  # fmt: skip
    if not path.parent.is_dir() or path.is_dir():
        why = "that is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UsageError("file-not-writable", f"{path} cannot be written: {why}", hint="name a file", where=value)
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


Data = Annotated[str, typer.Argument(metavar="DATA", help="The table: a .csv, .tsv or .parquet file, - for stdin.")]
DataOrFitted = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="The table: a .csv, .tsv or .parquet file, - for stdin. Without it, the file the model was fitted on.",
    ),
]

Id = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Which series a row belongs to.", rich_help_panel=COLUMNS),
]
Time = Annotated[str | None, typer.Option("--time", metavar="COLUMN", help="When.", rich_help_panel=COLUMNS)]
Target = Annotated[
    str | None, typer.Option("--target", metavar="COLUMN", help="What to forecast.", rich_help_panel=COLUMNS)
]
Past = Annotated[
    list[str] | None,
    typer.Option(
        "--past", metavar="COLUMNS", callback=_split, rich_help_panel=COLUMNS,
        help="Covariates known up to the cutoff only; comma-separated or repeated.",
    ),
]  # fmt: skip
Future = Annotated[
    list[str] | None,
    typer.Option(
        "--future", metavar="COLUMNS", callback=_split, rich_help_panel=COLUMNS,
        help="Covariates known ahead, such as holidays or prices already set.",
    ),
]  # fmt: skip
Static = Annotated[
    list[str] | None,
    typer.Option(
        "--static", metavar="COLUMNS", callback=_split, rich_help_panel=COLUMNS,
        help="Covariates that are constant within a series; text becomes categories.",
    ),
]  # fmt: skip
Freq = Annotated[
    str | None,
    typer.Option(
        "--freq",
        metavar="FREQ",
        rich_help_panel=COLUMNS,
        help="Step: 30s, 5m, 1h, 1d, 1w, 1mo, 1q, 1y, trading-day, or a number of plain steps.",
    ),
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
        "--quantile-levels", metavar="LEVELS", callback=_split_levels, rich_help_panel=SHAPE,
        help="Quantiles to forecast, with 0.5 among them. Default: 0.025,0.1,0.25,0.5,0.75,0.9,0.975.",
    ),
]  # fmt: skip

ContextLength = Annotated[
    int | None,
    typer.Option(
        "--context-length", metavar="N", parser=_whole, help="Past steps the network reads.", rich_help_panel=NETWORK
    ),
]
Segment = Annotated[
    int | None,
    typer.Option(
        "--segment", metavar="N", parser=_whole, rich_help_panel=NETWORK,
        help="Lags read in one recurrent step; more is faster.",
    ),
]  # fmt: skip
CellType = Annotated[Cell, typer.Option("--cell", help="Recurrent cell.", rich_help_panel=NETWORK)]
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
        "--max-time", metavar="TIME", parser=_seconds, rich_help_panel=TRAINING,
        help="Training time at most, in seconds or as 90s, 10m, 1h.",
    ),
]  # fmt: skip
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", parser=_whole, help="Windows in a step.", rich_help_panel=TRAINING),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", metavar="RATE", help="Highest learning rate.", rich_help_panel=TRAINING),
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

Windows = Annotated[
    int, typer.Option("--windows", metavar="N", help="Forecasts to explain: the newest of every series first.")
]
MaxEvals = Annotated[
    int,
    typer.Option(
        "--max-evals", metavar="N", help="Evaluations of the network for each of them; ten pairs of orders at least."
    ),
]
Report = Annotated[
    list[str] | None,
    typer.Option(
        "--report", metavar="KIND", callback=_split_reports, rich_help_panel=OUTPUT,
        help=f"{'|'.join(REPORTS)}, several comma-separated or repeated. Default: terminal.",
    ),
]  # fmt: skip

Cutoffs = Annotated[
    int, typer.Option("--cutoffs", metavar="N", help="Origins to forecast from.", rich_help_panel=EVALUATION)
]
Stride = Annotated[
    int | None,
    typer.Option(
        "--stride", metavar="N", parser=_whole, rich_help_panel=EVALUATION,
        help="Steps between origins. Default: the horizon.",
    ),
]  # fmt: skip

OutDirectory = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder to write.", rich_help_panel=OUTPUT)]
OutTable = Annotated[
    str | None,
    typer.Option(
        "--out", metavar="PATH", callback=_table_path, rich_help_panel=OUTPUT,
        help="Table to write: .parquet, .csv or .json by suffix, - for CSV on stdout.",
    ),
]  # fmt: skip

ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config", metavar="FILE", is_eager=True, callback=apply_defaults, rich_help_panel=SHARED,
        help="Settings file. Default: tsx.toml, where there is one.",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=SHARED)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.", rich_help_panel=SHARED)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.", rich_help_panel=SHARED)]


def levels(values: list[str] | None) -> tuple[float, ...]:
    """The quantile levels given, or the default ones."""
    return tuple(float(value) for value in values) if values else QUANTILE_LEVELS


def one_reader_of_stdin(*tables: str | Path | None) -> None:
    """Standard input can be read once."""
    if sum(str(table) == "-" for table in tables) > 1:
        raise typer.BadParameter("only one table can come from stdin.", param_hint="-")
