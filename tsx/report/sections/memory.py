"""What the cells remember: retention, the state by age, gates over time, units, gradients and attention."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.parts import Cell, Column, Figure, Section, Share, Spark, Table
from tsx.report.sections.groups import table_of
from tsx.report.text import number, percent
from tsx.report.words import capital, chosen_lags, count, numbers, reach, span, step_words

TOP_ATTENDED = 8
FATES = {
    "vanishing": "A change of the state {lag} steps back has all but vanished at the cutoff: its largest singular "
    "value is {largest}. What is older can hardly be learnt.",
    "stable": "Changes of the state neither vanish nor explode over {lag} steps: their largest singular value is "
    "{largest}.",
    "exploding": "A change of the state {lag} steps back explodes on its way to the cutoff: its largest singular value "
    "is {largest}. Training such a network is fragile.",
}
GONE = 0.05
"""A largest singular value below this is vanishing, above its inverse exploding."""
FEWEST_UNITS = 8


def memory(explanation: Explanation) -> Section | None:
    frame, units, config = explanation.retention, explanation.memory_units, explanation.config
    if frame.is_empty():
        return None
    calendar = Calendar.parse(explanation.frequency)
    sparks = tuple(
        Spark(f"layer {layer}", tuple(part["mean"].fill_null(0).fill_nan(0).clip(0, 1)), reach(part["lag"]))
        for (layer,), part in frame.sort("layer", "lag").group_by("layer", maintain_order=True)
    )
    gates = _gates(explanation)
    return Section(
        "memory",
        "What the cells remember",
        _unit_sentences(explanation, calendar),
        _figures(explanation),
        tuple(
            t
            for t in (
                _retention(explanation, calendar),
                gates,
                _units(units, config.context_length, step_words(explanation)),
            )
            if t is not None
        ),
        sparks,
    )


def _figures(explanation: Explanation) -> tuple[Figure, ...]:
    figures = [
        Figure(
            "retention",
            "What the cells still hold",
            "Share of what was held that the forget gates let through to the cutoff: mean over units, band "
            "from 10 to 90 % of them. Dashed: 5 %, where a memory span ends.",
        )
    ]
    if table_of(explanation, "states") is not None:
        figures.append(
            Figure(
                "states",
                "What the state is made of, by age",
                "Share of the final state that each lag wrote and that is still there. Blue: written "
                "mostly with a plus; orange: with a minus; grey: units cancel each other.",
            )
        )
    elif _written(explanation.retention):
        figures.append(
            Figure(
                "written",
                "What each lag wrote",
                "Share of the final cell state that was written at each lag and is still there.",
            )
        )
    if table_of(explanation, "gates") is not None:
        figures.append(
            Figure(
                "gates",
                "Gates over time",
                "How far each gate is open by lag: mean over units, band from 10 to 90 % of them.",
            )
        )
    figures.append(
        Figure(
            "units",
            "Time constants of the units",
            "How slowly each unit forgets, in steps, on a logarithmic axis. Orange units still hold 5 % "
            "at the start of the context, so their span is longer than can be seen.",
        )
    )
    if has_measured(explanation.memory_units):
        figures.append(
            Figure(
                "sorted",
                "Half-lives: by the gates, and measured",
                "The units in order of the half-life that their forget gates give, and beside it the "
                "half-life of a change in the state, measured. Apart: gates alone mislead. Dashed: "
                "the context, beyond which half-lives are continued, not seen.",
            )
        )
    return tuple(figures)


def has_measured(units: pl.DataFrame) -> bool:
    """Whether there are measured half-lives to set beside the gates'."""
    return "measured_half_life" in units.columns and units["measured_half_life"].is_finite().sum() > 1


def _written(frame: pl.DataFrame) -> bool:
    return "written" in frame.columns and frame["written"].null_count() < frame.height


def _retention(explanation: Explanation, calendar: Calendar) -> Table:
    frame = explanation.retention
    written, several = _written(frame), frame["layer"].n_unique() > 1
    frame = frame.sort("layer", "lag").with_columns(
        (pl.col("written").cum_sum().over("layer") if written else pl.lit(None)).alias("since")
    )
    lags = chosen_lags(frame["lag"].unique().to_list(), explanation.config.season)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            *([f"{row['layer']}"] if several else []),
            number(row["lag"]),
            span(row["lag"], calendar),
            Share(row["mean"]),
            f"{percent(row['q10'])} to {percent(row['q90'])}",
            *([percent(row["since"])] if written else []),
        )
        for row in frame.filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    columns = (
        *numbers(*(["layer"] if several else []), "lag"),
        Column("that is"),
        Column("still there"),
        Column("10 to 90 % of units", "prose"),
        *numbers(*(["written since"] if written else [])),
    )
    note = "written since: share of the final state that came in at this lag or a later one" if written else ""
    return Table("Retention", columns, rows, note, brief=0)


def _gates(explanation: Explanation) -> Table | None:
    frame = table_of(explanation, "gates")
    if frame is None:
        return None
    several = frame["layer"].n_unique() > 1
    ends = (
        frame.sort("lag")
        .group_by("layer", "gate", maintain_order=True)
        .agg(
            all=pl.col("mean").mean(),
            newest=pl.col("mean").first(),
            oldest=pl.col("mean").last(),
            q10=pl.col("q10").mean(),
            q90=pl.col("q90").mean(),
        )
        .sort("layer", "gate")
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            *([str(row["layer"])] if several else []),
            str(row["gate"]),
            Share(row["all"]),
            f"{percent(row['q10'])} to {percent(row['q90'])}",
            percent(row["newest"]),
            percent(row["oldest"]),
        )
        for row in ends.iter_rows(named=True)
    )
    return Table(
        "Gates",
        (
            *numbers(*(["layer"] if several else [])),
            Column("gate"),
            Column("open"),
            Column("10 to 90 %", "prose"),
            *numbers("at the cutoff", "at the start"),
        ),
        rows,
        "10 to 90 % of the units; the start is that of the context",
        brief=0,
    )


def _units(units: pl.DataFrame, context: int, unit: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    names = [("time constant", "time_constant"), ("half-life", "half_life")]
    if has_measured(units):
        names.append(("measured half-life", "measured_half_life"))
    for (layer,), part in units.sort("layer", "unit").group_by("layer", maintain_order=True):
        for title, name in names:
            values = part[name].fill_nan(None).drop_nulls()
            at = [values.quantile(q, "nearest") if len(values) else None for q in (0.1, 0.5, 0.9)]
            seen = context if name == "measured_half_life" else math.inf  # what lies beyond was not measured
            cells = [f"> {context}" if value is not None and value > seen else number(value, 3) for value in at]
            rows.append((str(layer), title, *cells, ""))
        censored = part["censored"].fill_null(True)
        spans = (
            part["memory_span"].cast(pl.Float64).zip_with(~censored, pl.Series([math.inf])).fill_null(math.inf).sort()
        )
        spans_at = [spans[min(int(q * len(spans)), len(spans) - 1)] for q in (0.1, 0.5, 0.9)]
        cells = [f"> {context}" if s == math.inf else number(int(s)) for s in spans_at]
        beyond = int(censored.sum())
        rows.append((str(layer), "memory span", *cells, f"{beyond} of {part.height} units > context"))
    columns = (
        *numbers("layer"),
        Column(f"in {unit}", "prose"),
        *numbers("10 %", "median", "90 %"),
        Column("", "prose"),
    )
    return Table("Units", columns, tuple(rows), "quantiles over the units of a layer")


def _unit_sentences(explanation: Explanation, calendar: Calendar) -> tuple[str, ...]:
    units = explanation.memory_units
    top = units.filter(pl.col("layer") == pl.col("layer").max())
    known = top.filter(pl.col("time_constant").is_finite().fill_null(False) & (pl.col("time_constant") > 0))
    logs = known["time_constant"].log()
    said = []
    if len(logs) >= FEWEST_UNITS and logs.n_unique() > FEWEST_UNITS // 2:
        middle, wide = float(logs.mean()), float(logs.std(ddof=0))  # type: ignore[arg-type]
        low, mid, high = (number(math.exp(middle + k * wide), 3) for k in (-1, 0, 1))
        said.append(
            f"The units of the last layer have time constants around {mid} steps, two thirds of them between {low} and "
            f"{high}{_law(explanation)}."
        )
    saturated, dead = _mean(top, "saturated"), int(top["dead"].sum()) if "dead" in top.columns else 0
    if saturated is not None and saturated > 0:
        said.append(f"Their forget gates are all but open (over 0.95) {percent(saturated)} of the time.")
    if dead:
        told = "is dead: it never holds anything" if dead == 1 else "are dead: they never hold anything"
        said.append(f"{number(dead)} of {count(top.height, 'unit')} {told}.")
    agrees = fact(explanation, "gate_measured_correlation")
    if isinstance(agrees, float):
        alike = "much alike" if agrees >= 0.8 else "in part alike" if agrees >= 0.4 else "hardly alike"
        said.append(f"Gates and measured half-lives rank the units {alike} (rank correlation {agrees:.2f}).")
    chrono = fact(explanation, "chrono")
    if isinstance(chrono, dict) and isinstance(chrono.get("longest"), float):
        beyond = int(chrono.get("beyond") or 0)
        said.append(
            f"Training began with time constants of up to {number(chrono['longest'], 3)} steps; "
            f"{number(beyond)} of {count(top.height, 'unit')} went beyond."
        )
    return tuple(said)


def _law(explanation: Explanation) -> str:
    fit = fact(explanation, "time_constants")
    better = fit.get("better") if isinstance(fit, dict) else None
    return {
        "power law": "; a power law describes them better than a log-normal one, so that together they forget slowly",
        "log-normal": "; a log-normal law describes them better than a power law",
        "neither": "; a log-normal law and a power law describe them equally well",
    }.get(str(better), "")


def fact(explanation: Explanation, name: str) -> Any:
    """A figure by its name, among the facts or one level below."""
    facts = explanation.facts
    if name in facts:
        return facts[name]
    return next((inner[name] for inner in facts.values() if isinstance(inner, dict) and name in inner), None)


def _mean(frame: pl.DataFrame, name: str) -> float | None:
    if name not in frame.columns:
        return None
    found = frame[name].cast(pl.Float64).mean()
    return None if found is None else float(found)  # type: ignore[arg-type]


def gradient(explanation: Explanation) -> Section | None:
    frame = explanation.gradient_decay.sort("lag")
    if frame.is_empty():
        return None
    calendar = Calendar.parse(explanation.frequency)
    lags = chosen_lags(frame["lag"].to_list(), explanation.config.season)
    rows = tuple(
        (number(row["lag"]), span(row["lag"], calendar), Share(row["share"]), number(row["mean_norm"], 3))
        for row in frame.filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    top = frame["mean_norm"].max()
    sizes = (frame["mean_norm"] / top).fill_null(0).fill_nan(0) if top else None
    spark = Spark("gradient", tuple(sizes), reach(frame["lag"])) if sizes is not None else None
    jacobian = table_of(explanation, "jacobian")
    return Section(
        "gradient",
        "How gradients fade",
        (_fate(jacobian),) if jacobian is not None else (),
        figures=(
            Figure(
                "gradient",
                "",
                "Mean length of the recurrent path's gradient with respect to each lag's "
                "inputs, on a logarithmic axis: where it is tiny, training can hardly have learnt anything.",
            ),
            *(
                [
                    Figure(
                        "jacobian",
                        "What becomes of a change in the state",
                        "Singular values of the state's Jacobian from each lag to the cutoff, mean over a few "
                        "windows: 1 is kept as it is.",
                    )
                ]
                if jacobian is not None
                else []
            ),
        ),
        tables=(
            Table(
                "Gradient by lag",
                (*numbers("lag"), Column("that is"), Column("share"), *numbers("mean norm")),
                rows,
                brief=0,
            ),
            *([_singular(jacobian, explanation, calendar)] if jacobian is not None else []),
        ),
        sparks=(spark,) if spark else (),
    )


def _fate(jacobian: pl.DataFrame) -> str:
    lag, largest = jacobian.sort("lag").select("lag", "largest").row(-1)
    word = "vanishing" if largest < GONE else "exploding" if largest > 1 / GONE else "stable"
    return f"{capital(word)}. {FATES[word].format(lag=number(lag), largest=number(largest, 3))}"


def _singular(jacobian: pl.DataFrame, explanation: Explanation, calendar: Calendar) -> Table:
    lags = chosen_lags(jacobian["lag"].unique().to_list(), explanation.config.season)
    rows = tuple(
        (
            number(row["lag"]),
            span(row["lag"], calendar),
            *(number(row[name], 3) for name in ("largest", "median", "smallest")),
        )
        for row in jacobian.sort("lag").filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    return Table(
        "Singular values",
        (*numbers("lag"), Column("that is"), *numbers("largest", "median", "smallest")),
        rows,
        brief=0,
    )


def attention(explanation: Explanation) -> Section | None:
    if explanation.attention is None or explanation.attention.is_empty():
        return None
    calendar = Calendar.parse(explanation.frequency)
    # One weight belongs to all lags of a segment: they are one place to look at.
    segment = explanation.config.segment
    mean = (
        explanation.attention.group_by("lag")
        .agg(pl.col("weight").mean())
        .group_by(((pl.col("lag") - 1) // segment).alias("segment"))
        .agg(pl.col("weight").sum(), pl.col("lag").min().alias("first"), pl.col("lag").max().alias("last"))
        .sort("weight", "first", descending=[True, False])
    )
    rows = tuple(
        (
            str(row["first"]) if row["first"] == row["last"] else f"{row['first']} to {row['last']}",
            span(row["last"], calendar),
            Share(row["weight"]),
        )
        for row in mean.head(TOP_ATTENDED).iter_rows(named=True)
    )
    check = next((c for c in explanation.checks if c.name.startswith("attention")), None)
    return Section(
        "attention",
        "Where attention looks",
        (check.sentence,) if check else (),
        figures=(
            Figure(
                "attention",
                "",
                "Mean attention weight of each step over the states of the network. It shows "
                "where the network looks, not what that look changes.",
            ),
        ),
        tables=(Table("Lags attended to most", (Column("lag"), Column("back to"), Column("mean weight")), rows),),
    )
