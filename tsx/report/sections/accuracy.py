"""How accurate the model was: on rows held out, beside simple methods, and by series on the newest rows that are known.

Ids are no part of a model, so that only the table at hand can say which series it forecasts worst.
"""

from __future__ import annotations

import polars as pl

from tsx.explanation.known import KNOWN_TABLE, by_series
from tsx.explanation.result import Explanation
from tsx.report.document import Column, Figure, ReportTable, Section
from tsx.report.labels import INTERVAL, numbers, places
from tsx.report.summaries import table_of
from tsx.spec.metrics import SHOWN_METRICS
from tsx.wording import count, fixed, number, percent

WORST = 10
"""Series that are listed."""
BRIEF = 3


def section(explanation: Explanation) -> Section | None:
    table = table_of(explanation, KNOWN_TABLE.name)
    known = pl.DataFrame() if table is None else by_series(table, explanation.schema.id_names)
    tables = (*_held_out(explanation), *_by_series(explanation, known))
    if not tables:
        return None
    sentences = (*_sentences(explanation), *_worst(explanation, known))
    return Section("accuracy", "How accurate it was", sentences, figures=_figures(explanation), tables=tables)


def _by_series(explanation: Explanation, known: pl.DataFrame) -> list[ReportTable]:
    if known.height < 2:
        return []
    ids, shown = explanation.schema.id_names, known.head(WORST)
    digits = places(shown["error"])
    seasonal = known["seasonal_naive"].null_count() < known.height
    simple = ("naive", "seasonal_naive") if seasonal else ("naive",)
    held = known["held"].null_count() < known.height
    rows = tuple(
        (
            *(str(row[name]) for name in ids),
            *(number(row[name]) if row[name] is None else fixed(row[name], digits) for name in ("error", *simple)),
            percent(row["ratio"]),
            *([percent(row["held"])] if held else []),
        )
        for row in shown.iter_rows(named=True)
    )
    columns = (
        *(Column(name, "name") for name in ids),
        *numbers("mean |error|"),
        *(Column(name.replace("_", " "), "number", detail=name != "naive") for name in simple),
        *numbers("of the better one" if seasonal else "of naive"),
        *numbers(*([f"{INTERVAL} % interval covers"] if held else [])),
    )
    of = f"the {WORST} worst of {known.height:,} explained series; " if known.height > WORST else ""
    note = f"{of}mean absolute errors in units of {explanation.schema.target}"
    return [ReportTable("By series, the worst first", columns, rows, note, brief=BRIEF)]


def _worst(explanation: Explanation, known: pl.DataFrame) -> list[str]:
    """Which rows the accuracy by series is of, and for which series it was worst."""
    if known.is_empty() or known["ratio"][0] is None:
        return []
    worst, values = known.row(0, named=True), count(int(known["n"].sum()), "known value")
    of = f"On the newest {values} of this table, which the model may have learnt from,"
    size = f"off by {number(worst['error'], 3)} on average, a simple method by {number(worst['simple'], 3)}"
    if known.height == 1:
        return [f"{of} its forecasts were {size}."]
    name = ", ".join(str(worst[each]) for each in explanation.schema.id_names)
    return [f"{of} it gained least for {name}: {size}."]


def _held_out(explanation: Explanation) -> list[ReportTable]:
    held_out = explanation.origin.held_out if explanation.origin else ()
    if not held_out:
        return []
    known = {name: title for name, title in SHOWN_METRICS.items() if any(row.get(name) is not None for row in held_out)}
    coverage = f"coverage_{INTERVAL}"
    covered = [f"{INTERVAL} % interval covers"] if any(row.get(coverage) is not None for row in held_out) else []
    rows = tuple(
        (
            str(row["model"]).replace("_", " "),
            *(number(row.get(name)) for name in known),
            *([percent(row.get(coverage))] if covered else []),
        )
        for row in held_out
    )
    columns = (Column("model", "name"), *numbers(*known.values(), *covered))
    note = (
        f"{number(held_out[0].get('n'))} values, held out before the model was fitted to all rows; "
        "the smaller an error, the better"
    )
    return [ReportTable("", columns, rows, note)]


def _figures(explanation: Explanation) -> tuple[Figure, ...]:
    steps = explanation.origin.per_step if explanation.origin else ()
    figures = []
    if len({row["step"] for row in steps}) > 1:
        words = (
            "On the rows held out, by how far ahead is forecast: the error of each model, the smaller the better, and "
            f"how often the forecast's {INTERVAL} % interval held the value; nearer to {INTERVAL} % is better."
        )
        figures.append(Figure("held_out", "By how far ahead", words))
    if table_of(explanation, KNOWN_TABLE.name) is not None:
        words = (
            "On the newest known rows of this table, which the model may have learnt from. On the line both agree. "
            "Orange: the series that is forecast worst beside a simple method."
        )
        figures.append(Figure("known", "Forecast against actual", words))
    return tuple(figures)


def _sentences(explanation: Explanation) -> tuple[str, ...]:
    """The verdict of the hold-out, where it does not stand above the sections already."""
    sentence = str(explanation.skill.get("sentence", ""))
    return (sentence,) if sentence and sentence not in explanation.knowledge.sentence else ()
