"""How gradients and changes of the state fade with the lag."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Column, Figure, ReportTable, Section, ShareCell, Sparkline
from tsx.report.labels import capital, chosen_lags, numbers, reach, span
from tsx.report.summaries import table_of
from tsx.wording import number

GRADIENT_FLOW = {
    "vanishing": "A change of the state {lag} steps back has almost vanished by the cutoff (largest singular value "
    "{largest}). Older inputs can hardly be learnt from.",
    "stable": "Changes of the state neither vanish nor explode over {lag} steps (largest singular value {largest}).",
    "exploding": "A change of the state {lag} steps back explodes by the cutoff (largest singular value {largest}). "
    "Training such a network is fragile.",
}
GONE = 0.05
"""A largest singular value below this is vanishing, above its inverse exploding."""


def section(explanation: Explanation) -> Section | None:
    frame = explanation.gradient_decay.sort("lag")
    if frame.is_empty():
        return None
    calendar = Calendar.parse(explanation.frequency)
    lags = chosen_lags(frame["lag"].to_list(), explanation.config.season)
    rows = tuple(
        (number(row["lag"]), span(row["lag"], calendar), ShareCell(row["share"]), number(row["mean_norm"], 3))
        for row in frame.filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    top = frame["mean_norm"].max()
    sizes = (frame["mean_norm"] / top).fill_null(0).fill_nan(0) if top else None
    spark = Sparkline("gradient", tuple(sizes), reach(frame["lag"])) if sizes is not None else None
    jacobian = table_of(explanation, "jacobian")
    return Section(
        "gradient",
        "How gradients decay",
        (_gradient_flow(jacobian),) if jacobian is not None else (),
        figures=(
            Figure(
                "gradient",
                "",
                "Mean norm of the recurrent component's gradient with respect to each lag's "
                "inputs, on a logarithmic axis: where it is tiny, training can hardly have learnt anything.",
            ),
            *(
                [
                    Figure(
                        "jacobian",
                        "Effect of a change in the state",
                        "Singular values of the state's Jacobian from each lag to the cutoff, mean over a few "
                        "windows: a value of 1 keeps it unchanged.",
                    )
                ]
                if jacobian is not None
                else []
            ),
        ),
        tables=(
            ReportTable(
                "Gradient by lag",
                (*numbers("lag"), Column("that is"), Column("share"), *numbers("mean norm")),
                rows,
                brief=0,
            ),
            *([_singular(jacobian, explanation, calendar)] if jacobian is not None else []),
        ),
        sparklines=(spark,) if spark else (),
    )


def _gradient_flow(jacobian: pl.DataFrame) -> str:
    lag, largest = jacobian.sort("lag").select("lag", "largest").row(-1)
    word = "vanishing" if largest < GONE else "exploding" if largest > 1 / GONE else "stable"
    return f"{capital(word)}. {GRADIENT_FLOW[word].format(lag=number(lag), largest=number(largest, 3))}"


def _singular(jacobian: pl.DataFrame, explanation: Explanation, calendar: Calendar) -> ReportTable:
    lags = chosen_lags(jacobian["lag"].unique().to_list(), explanation.config.season)
    rows = tuple(
        (
            number(row["lag"]),
            span(row["lag"], calendar),
            *(number(row[name], 3) for name in ("largest", "median", "smallest")),
        )
        for row in jacobian.sort("lag").filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    return ReportTable(
        "Singular values",
        (*numbers("lag"), Column("that is"), *numbers("largest", "median", "smallest")),
        rows,
        brief=0,
    )
