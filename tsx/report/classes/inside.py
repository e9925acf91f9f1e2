"""How far back a classifier looks and how it works inside: rows needed, gradients, simpler models."""

from __future__ import annotations

import polars as pl

from tsx.explanation.classes.result import ClassExplanation
from tsx.model.sequence_classifier import ROUTES
from tsx.panel.calendar import Calendar
from tsx.report.document import Cell, Column, Figure, Listing, ReportTable, Section, ShareCell, Sparkline
from tsx.report.labels import capital, chosen_lags, numbers, span, step_words, words
from tsx.report.labels import reach as lag_range
from tsx.report.sections.memory import unit_scales
from tsx.report.summaries import table_of
from tsx.wording import NOT_DEFINED, and_list, count, fixed, number, percent

GONE = 0.05
"""A gradient at the oldest lag below this share of the largest has almost vanished."""
ROUTE_WORDS = {
    "forward": "the encoder that reads forward",
    "backward": "the encoder that reads backward",
    "convolutions": "the convolutions",
}
SURROGATE_WORDS = {"linear": "sparse linear model", "tree": "shallow tree"}
TOP_ATTENDED = 8
MOST_CLASSES = 6
"""Classes whose weights stand side by side."""


def reach(explanation: ClassExplanation) -> Section:
    """How many of the newest rows the decision needs."""
    frame = table_of(explanation, "memory_needed")
    if frame is None:
        return Section("reach", "")
    calendar = Calendar.parse(explanation.frequency)
    rows = tuple(
        (
            number(row["context_length"]),
            calendar.span(row["context_length"]),
            ShareCell(row["same_label"]),
            percent(max(row["kept"], 0.0)),
            fixed(row["moved"], 2),
            row["older"] or NOT_DEFINED,
        )
        for row in frame.iter_rows(named=True)
    )
    columns = (
        *numbers("rows"),
        Column("that is"),
        Column("same class"),
        *numbers("kept", "p moves by"),
        Column("older rows", "prose", detail=True),
    )
    note = (
        f"over {number(frame['series'][0])} series, shorter ones read whole; kept: of how probabilities differ between "
        "series; p moves by: at most, in 90 % of the series; older rows: what stood in their place"
    )
    figure = Figure(
        "needed",
        "Rows needed",
        "What is left where the model reads only the newest rows of each series: the share of series that get the same "
        "class, and how much of the differences between their probabilities is kept. Dashed: 90 %, from "
        "which on the rows are enough. The whole model is asked, its kernels, regression and trees too.",
    )
    return Section(
        "reach",
        "How far back the model looks",
        figures=(figure,),
        tables=(ReportTable("With the newest rows alone", columns, rows, note),),
    )


def memory(explanation: ClassExplanation) -> Section:
    """What the cells of either encoder hold on to."""
    units, retention = table_of(explanation, "memory_units"), table_of(explanation, "retention")
    if units is None or retention is None:
        return Section("memory", "")
    names = units["direction"].unique(maintain_order=True).to_list()
    longest = int(retention["lag"].max())  # type: ignore[arg-type]
    tables = tuple(
        unit_scales(
            units.filter(pl.col("direction") == name),
            longest,
            step_words(explanation),
            f"Time scales of the units that read {name}",
        )
        for name in names
    )
    figure = Figure(
        "retention",
        "Retention by lag",
        "Share of what was held that the forget gates let through to the end of the reading: mean over units, band "
        "from 10 to 90 % of them. The encoder that reads backward ends at the oldest step, and its lags count from "
        "there. Dashed: 5 %, where a memory span ends.",
    )
    return Section("memory", "What the cells remember", figures=(figure,), tables=tables)


def gradient(explanation: ClassExplanation) -> Section:
    """How the gradient of the networks' log-odds fades with the lag, and through what it passes."""
    frame = table_of(explanation, "gradient_decay")
    if frame is None or frame.height < 2:
        return Section("gradient", "")
    routes, calendar = routes_of(frame), Calendar.parse(explanation.frequency)
    lags = chosen_lags(frame["lag"].to_list(), 1)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            number(row["lag"]),
            span(row["lag"], calendar),
            ShareCell(row["share"]),
            number(row["mean_norm"], 3),
            *(number(row[name], 3) for name in routes),
        )
        for row in frame.filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    columns = (*numbers("lag"), Column("that is"), Column("share"), *numbers("mean norm", *routes))
    caption = (
        "Mean norm of the gradient of the networks' log-odds with respect to the values of each lag, in standard "
        "deviations, on a logarithmic axis: where it is tiny, training can hardly have learnt anything. The encoders' "
        "states are pooled over all steps, so that an old step need not be far from the classes; the one that reads "
        "backward meets the oldest step last."
    )
    top = float(frame["mean_norm"].max())  # type: ignore[arg-type]
    sizes = tuple(frame["mean_norm"] / top) if top > 0 else ()
    return Section(
        "gradient",
        "How gradients decay",
        gradient_sentences(frame, calendar),
        figures=(Figure("gradient", "", caption),),
        tables=(ReportTable("Gradient by lag", columns, rows, brief=0),),
        sparklines=(Sparkline("gradient", sizes, lag_range(frame["lag"])),) if sizes else (),
    )


def routes_of(frame: pl.DataFrame) -> list[str]:
    """The ways through the networks that have a column of their own; none where there is only one."""
    there = [name for name in ROUTES if name in frame.columns]
    return there if len(there) > 1 else []


def gradient_sentences(frame: pl.DataFrame, calendar: Calendar) -> tuple[str, ...]:
    """How much of the largest gradient is left at the oldest lag, and through what it passes."""
    frame = frame.sort("lag")
    largest, oldest = float(frame["mean_norm"].max()), int(frame["lag"][-1])  # type: ignore[arg-type]
    if not largest > 0:
        return ("The log-odds of the networks do not depend on any value.",)
    left = float(frame["mean_norm"][-1]) / largest
    what = "it has almost vanished there" if left < GONE else "it has not vanished"
    sentences = [f"The gradient {calendar.span(oldest)} back is {percent(left)} of the largest: {what}."]
    sums = {name: float(frame[name].sum()) for name in routes_of(frame)}
    total = sum(sums.values())
    if total > 0:
        ordered = sorted(sums.items(), key=lambda each: -each[1])
        first, *rest = [f"{percent(size / total)} {{}}through {ROUTE_WORDS[name]}" for name, size in ordered]
        parts = [first.format("of it passes "), *(each.format("") for each in rest)]
        sentences.append(f"{and_list(parts)}.")
    return tuple(sentences)


def attention(explanation: ClassExplanation) -> Section:
    """Where the attention of the networks looks."""
    frame = table_of(explanation, "attention")
    if frame is None:
        return Section("attention", "")
    calendar, config = Calendar.parse(explanation.frequency), explanation.config
    rows = tuple(
        (
            number(row["lag"]),
            span(row["lag"], calendar),
            ShareCell(row["mean"]),
            percent(row["q10"]),
            percent(row["q90"]),
        )
        for row in frame.sort("mean", "lag", descending=[True, False]).head(TOP_ATTENDED).iter_rows(named=True)
    )
    columns = (*numbers("lag"), Column("that is"), Column("mean weight"), *numbers("10 %", "90 %"))
    shared = f" The {count(config.segment, 'step')} of a segment share its weight." if config.segment > 1 else ""
    caption = (
        "Attention weight of each lag over the states of the networks: mean over the series that have it, band from 10 "
        f"to 90 % of them.{shared} The plain mean, the largest and the last of the states reach the classes beside it, "
        "so that a step without weight may still count."
    )
    return Section(
        "attention",
        "Where attention looks",
        tuple(check.sentence for check in explanation.checks if check.name == "attention"),
        figures=(Figure("attention", "", caption),),
        tables=(ReportTable("Lags attended to most", columns, rows, brief=3),),
    )


def surrogate(explanation: ClassExplanation) -> Section:
    """Simpler models of the whole model, how well each copies it, and what it is made of."""
    frame, details = table_of(explanation, "surrogates"), explanation.surrogate
    if frame is None:
        return Section("surrogate", "")
    rows = tuple(
        (
            capital(words(row["name"], SURROGATE_WORDS)),
            ShareCell(max(row["fidelity"], 0.0)),
            percent(row["same_label"]),
            number(row["terms"]),
        )
        for row in frame.sort("fidelity", descending=True).iter_rows(named=True)
    )
    columns = (Column("model", "prose"), Column("fidelity"), *numbers("same class", "terms"))
    judged, commonest = number(details["series_judged"]), percent(details["commonest_label"])
    note = (
        f"on {judged} series that they were not fitted on; fidelity: how much of the differences between log-odds they "
        f"explain; the most frequent class is given to {commonest}; terms: inputs, or splits"
    )
    text = tuple(details["tree"].get("text", ()))  # a private explanation quotes no values
    terms = (_terms(explanation),) if "terms" in details["linear"] else ()
    return Section(
        "surrogate",
        "A simpler model",
        (details["sentence"],),
        tables=(ReportTable("Simpler models", columns, rows, note), *terms),
        listings=(Listing("The tree", text),) if text and details["tree"]["splits"] else (),
    )


def _terms(explanation: ClassExplanation) -> ReportTable:
    """What the linear model reads, and what one standard deviation more of it adds to the log-odds of each class."""
    classes = explanation.classes[:MOST_CLASSES]
    rows = tuple(
        (
            term["input"],
            *(fixed(weight, 2) for weight in term["weights"][: len(classes)]),
            number(term["mean"], 3),
            number(term["standard_deviation"], 3),
        )
        for term in explanation.surrogate["linear"]["terms"]
    )
    columns = (
        Column("input", "name"),
        *numbers(*(f"{explanation.label} = {name}" for name in classes)),
        Column("mean", "number", detail=True),
        Column("std. deviation", "number", detail=True),
    )
    note = "log-odds that one standard deviation more adds"
    more = len(explanation.classes) - len(classes)
    note += f"; {count(more, 'more class', 'more classes')} in surrogate.json" if more > 0 else ""
    return ReportTable("The linear model", columns, rows, note, brief=0)
