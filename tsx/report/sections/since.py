"""Why the forecast of the same time has changed."""

from __future__ import annotations

import polars as pl

from tsx.explanation.measure import CUTOFF
from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report.document import Column, ReportTable, Section
from tsx.report.labels import numbers, places, player_words
from tsx.report.summaries import table_of
from tsx.wording import fixed, number

SHOWN = 12
TITLES = {
    "new_data": "new rows",
    "moved_on": "horizon moved on",
    "new_model": "new model",
    "revised": "revised",
}


def section(explanation: Explanation) -> Section | None:
    """For each series the nearest and the farthest time that both forecasts reach, and the new values behind it."""
    changes, inputs = (table_of(explanation, name) for name in ("since", "since_inputs"))
    if changes is None:
        return None
    tables = [_changes(explanation, changes)]
    if inputs is not None and inputs.height:
        tables.append(_inputs(explanation, inputs))
    back = Calendar.parse(explanation.frequency).span(int((changes["earlier_step"] - changes["step"]).max()))  # type: ignore[arg-type]
    sentence = (
        f"The same times, forecast from the newest rows and from those known up to {back} earlier. A new row counts "
        "for how far it is from what was expected: the target from its own forecast, a past covariate from its last "
        "value."
    )
    return Section("since", "Why the forecast has changed", (sentence,), tables=tuple(tables))


def _changes(explanation: Explanation, changes: pl.DataFrame) -> ReportTable:
    ids = list(explanation.schema.id_names)
    step = pl.col("step")
    shown = changes.filter((step == step.min().over(ids)) | (step == step.max().over(ids))).head(SHOWN)
    digits = places(shown["change"])
    parts = [name for name in TITLES if (changes[name].abs() >= 0.5 * 10**-digits).any()]
    rows = tuple(
        (
            *(str(row[name]) for name in ids),
            number(row["step"]),
            *(fixed(row[name], digits) for name in ("before", "after", "change", *parts)),
        )
        for row in shown.iter_rows(named=True)
    )
    columns = (
        *(Column(name, "name") for name in ids),
        *numbers("step", "before", "now", "change", *(TITLES[name] for name in parts)),
    )
    sum_of = " + ".join(("before", *(TITLES[name] for name in parts)))
    note = f"in units of {explanation.schema.target}; now = {sum_of}"
    return ReportTable("Forecasts of the same time", columns, rows, note)


def _inputs(explanation: Explanation, inputs: pl.DataFrame) -> ReportTable:
    """The new values that moved the forecasts most, over the steps."""
    if "oldest_lag" not in inputs.columns:
        inputs = inputs.with_columns(oldest_lag="lag")
    ids = list(explanation.schema.id_names)
    means = (
        inputs.group_by(*ids, CUTOFF, "feature", "lag", "oldest_lag", maintain_order=True)
        .agg(
            pl.col("value", "expected").first(),
            pl.col("change", "change_se").mean(),
            size=pl.col("change").abs().mean(),
        )
        .sort("size", *ids, "feature", "lag", descending=[True, *([False] * (len(ids) + 2))])
        .head(SHOWN)
    )
    digits = places(means["size"])
    rows = tuple(
        (
            *(str(row[name]) for name in ids),
            player_words(row["feature"], row["lag"], row["oldest_lag"]),
            number(row["value"], 4),
            number(row["expected"], 4),
            *(fixed(row[name], digits) for name in ("change", "change_se")),
        )
        for row in means.iter_rows(named=True)
    )
    columns = (
        *(Column(name, "name") for name in ids),
        Column("new value", "name"),
        *numbers("it is", "expected", "moves by", "std. error"),
    )
    return ReportTable("What the new rows did", columns, rows, "mean over the steps that both forecasts reach")
