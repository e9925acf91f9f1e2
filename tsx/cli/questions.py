"""The flags of `tsx explain` alone: what is asked of an explanation, and how sure it is to be."""

from __future__ import annotations

from typing import Annotated

import typer

from tsx.spec.settings import Level, Play, Value

QUESTION = "What is explained, and compared with what"
CHECKING = "How sure, and how it is checked"


def _drift(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise typer.BadParameter(f"{value:g} is not between 0 and 1.")
    return value


Windows = Annotated[
    int, typer.Option("--windows", metavar="N", help="Forecasts to explain: the newest of every series first.")
]
MaxEvals = Annotated[
    int,
    typer.Option(
        "--max-evals", metavar="N", help="Evaluations of the network for each at most.", rich_help_panel=CHECKING
    ),
]
Tolerance = Annotated[
    float,
    typer.Option(
        "--tolerance",
        metavar="SHARE",
        rich_help_panel=CHECKING,
        help="Stop where a forecast's SHAP values have this pooled relative standard error.",
    ),
]
Explain = Annotated[
    str,
    typer.Option(
        "--explain",
        metavar="WHAT",
        rich_help_panel=QUESTION,
        help="yhat, a quantile (q0.9), width (of the widest interval), or sum (yhat over the horizon).",
    ),
]
PlayersType = Annotated[
    Play | None,
    typer.Option(
        "--players",
        help="What gets SHAP values of its own. Default: cell, or group with --group.",
        rich_help_panel=QUESTION,
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="N|WORD",
        rich_help_panel=QUESTION,
        help="Lags of one group: 24, or hour, day, week, month, year. With --players cell: Owen values.",
    ),
]
References = Annotated[
    str,
    typer.Option(
        "--reference",
        metavar="series|panel|recent|FILE",
        rich_help_panel=QUESTION,
        help="What absent values are replaced from: other times of the series, all series, the series' newest "
        "windows, or a table.",
    ),
]
ValueType = Annotated[
    Value,
    typer.Option(
        "--value", rich_help_panel=QUESTION, help="Absent values as in the reference, or drawn given the present ones."
    ),
]
LevelType = Annotated[
    Level,
    typer.Option(
        "--level",
        rich_help_panel=QUESTION,
        help="Level and scale follow what is present, or are held: then only the shape is explained.",
    ),
]
Interactions = Annotated[
    int,
    typer.Option(
        "--interactions",
        metavar="N",
        rich_help_panel=QUESTION,
        help="Interactions of all pairs among each forecast's N strongest inputs.",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="COLUMN",
        rich_help_panel=QUESTION,
        help="Compare groups of series: a static covariate, or a column of --by-data.",
    ),
]
ByData = Annotated[
    str | None,
    typer.Option("--by-data", metavar="FILE", help="Table of ids and the column of --by.", rich_help_panel=QUESTION),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="N",
        rich_help_panel=CHECKING,
        help="Train N - 1 more networks with other seeds, and compare what explains their forecasts.",
    ),
]
MemoryNeeded = Annotated[
    bool,
    typer.Option(
        "--memory-needed",
        rich_help_panel=CHECKING,
        help="Shorten the context step by step: from which length on do errors stop improving?",
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare", metavar="DIR", rich_help_panel=CHECKING, help="An earlier report: what has changed since."
    ),
]
MaxDrift = Annotated[
    float | None,
    typer.Option(
        "--max-drift",
        metavar="SHARE",
        callback=_drift,
        rich_help_panel=CHECKING,
        help="Exit with status 6 where the explanation has drifted further than this since --compare.",
    ),
]
