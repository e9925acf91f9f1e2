"""What an explanation has to say, in which order: sections of sentences, figures and tables, free of any format.

The terminal, the Markdown file and the HTML file show the same sections. Strings here are as the user wrote them;
whoever shows them cleans and escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from tsx.data.calendar import Calendar
from tsx.explanation.result import Explanation
from tsx.report.parts import Cell, Column, Figure, Pill, Section, Share, Spark, Table
from tsx.report.text import decimals, fixed, number, percent

TOP_FEATURES = 12
TOP_LAGS = 10
TOP_DISTANCES = 8
MOST_SERIES = 6
MOST_CHOSEN_LAGS = 9

METHOD_WORDS = {
    "values": "SHAP values",
    "explains": "explained column",
    "players": "players (feature and lag)",
    "pairs": "antithetic pairs of permutations",
    "evaluations": "evaluations of the network",
    "max_evals": "asked for, for each forecast",
    "reference": "an absent value is replaced from",
    "windows_with_panel_references": "forecasts with references from other series",
    "windows": "forecasts explained",
    "population": "windows behind memory and gradients",
    "path_shares": "share of each path of the network",
}
SURROGATE_WORDS = {"windows_fitted": "windows it was fitted on", "windows_judged": "later windows it was judged on",
                   "r2": "R2, share of the forecasts' variance it explains there"}  # fmt: skip
DEFINITIONS = (
    ("lag", "Steps before the forecast's first step: lag 1 is the value at the cutoff. A value known ahead for step s "
            "has lag 1 - s."),
    ("distance", "lag + step - 1: the steps between an input and the value that is forecast."),
    ("SHAP value", "What one input moved one forecast by, in units of the target, averaged over the orders in which "
                   "inputs can become known. Base value plus all SHAP values is the forecast."),
    ("std. error", "The sampling error of the SHAP values: their mean standard error, an upper bound for the "
                   "error of a mean of them."),
    ("retention", "Share of what a cell held k steps before the cutoff that its forget gates let through: the product "
                  "of the last k gate values."),
    ("time constant", "-1 / mean(ln f) of a unit's forget gate f; its half-life is ln 2 times that."),
    ("memory span", "The smallest k with retention under 5 %; \"> context\" where it is not reached."),
)  # fmt: skip


def headline(explanation: Explanation) -> str:
    """The report's title."""
    return f"Why {explanation.schema.target} is forecast this way"


def subtitle(explanation: Explanation) -> str:
    """What was explained, in one line."""
    summary = explanation.summary()
    config, calendar = explanation.config, Calendar.parse(explanation.frequency)
    size = f"{config.layers} layer{'s' if config.layers > 1 else ''} of {config.hidden_size} units"
    return (
        f"{config.cell.upper()}, {size} · horizon {config.horizon} ({calendar.span(config.horizon)}) · "
        f"context {config.context_length} ({calendar.span(config.context_length)}) · "
        f"{_count(summary['windows'], 'forecast')} of {_count(summary['series'], 'series', 'series')} explained"
    )


def verdict(explanation: Explanation) -> tuple[str, bool | None]:
    """The sentence on skill and whether there is skill; None where nothing was held out."""
    skill = explanation.skill
    if not skill.get("sentence"):
        return "No rows were held out when this model was fitted, so its skill is not known.", None
    return str(skill["sentence"]), bool(skill.get("has_skill"))


def sections(explanation: Explanation) -> tuple[Section, ...]:
    """Every section that has something to show."""
    calendar = Calendar.parse(explanation.frequency)
    made = (
        _findings(explanation),
        _forecast(explanation),
        _drivers(explanation, calendar),
        _memory(explanation, calendar),
        _gradient(explanation, calendar),
        _attention(explanation, calendar),
        _checks(explanation),
        _method(explanation),
        _surrogate(explanation),
    )
    return tuple(s for s in made if s is not None and (s.sentences or s.figures or s.tables))


def step_words(explanation: Explanation) -> str:
    """The unit of a lag, for axes: `steps of 1 hour`."""
    calendar = Calendar.parse(explanation.frequency)
    return "steps" if calendar.unit == "step" and calendar.count == 1 else f"steps of {calendar.words}"


def interval_levels(columns: Iterable[str]) -> list[tuple[float, str, str]]:
    """(coverage, lower column, upper column) of the symmetric intervals among quantile columns, the widest first."""
    levels = {round(float(name[1:]), 6): name for name in columns if _is_quantile(name)}
    pairs = [(round(1 - 2 * q, 6), name, levels[round(1 - q, 6)]) for q, name in levels.items()
             if q < 0.5 and round(1 - q, 6) in levels]  # fmt: skip
    return sorted(pairs, reverse=True)


def chosen_lags(available: Sequence[int], season: int) -> list[int]:
    """A few telling lags among those there are: the first ones, the season and its double, the longest."""
    if not available:
        return []
    last = max(available)
    wanted = sorted({1, 2, 4, 8, 16, 32, 64, 128, *((season, 2 * season) if season > 1 else ()), last})
    nearest = sorted({min(available, key=lambda lag: (abs(lag - k), lag)) for k in wanted if k <= last})
    keep = {min(available, key=lambda lag: (abs(lag - k), lag)) for k in (1, season, last)}
    while len(nearest) > MOST_CHOSEN_LAGS:
        spare = [lag for lag in nearest if lag not in keep]
        nearest.remove(spare[len(spare) // 2])
    return nearest


def _findings(explanation: Explanation) -> Section:
    """All findings but the verdict, which stands above them."""
    stands_above, _ = verdict(explanation)
    return Section("findings", "What was found", tuple(f for f in explanation.findings if f != stands_above))


def _forecast(explanation: Explanation) -> Section | None:
    frame, schema = explanation.quantiles, explanation.schema
    if frame.is_empty():
        return None
    ids = frame[schema.id_name].unique(maintain_order=True)
    shown = ids.head(MOST_SERIES)
    pairs = interval_levels(frame.columns)
    wide = pairs[0] if pairs else None
    ends = frame.filter(
        pl.col(schema.id_name).is_in(shown.implode()) & pl.col("step").is_in([1, explanation.config.horizon])
    )
    columns = [Column(schema.id_name, "name"), Column(schema.time, "prose"), Column("step", "number", detail=True),
               *_numbers("forecast")]  # fmt: skip
    if wide:
        columns += _numbers("from", "to")
    places = decimals(float((frame[wide[2]] - frame[wide[1]]).median() or 0)) if wide else 4  # type: ignore[arg-type]
    rows = []
    for row, when in zip(ends.iter_rows(named=True), time_words(ends[schema.time].to_list()), strict=True):
        values = ["yhat", *(wide[1:] if wide else ())]
        rows.append((str(row[schema.id_name]), when, number(row["step"]),
                     *(fixed(row[name], places) for name in values)))  # fmt: skip
    note = f"{wide[0]:.0%} interval".replace("%", " %") if wide else ""
    caption = "Grey: what was observed. Blue: the median forecast"
    if pairs:
        caption += " and its " + _and([f"{coverage:.0%}".replace("%", " %") for coverage, *_ in reversed(pairs)])
        caption += " intervals" if len(pairs) > 1 else " interval"
    caption += "."
    if len(ids) > len(shown):
        caption += f" The first {len(shown)} of {len(ids):,} series."
    return Section(
        "forecast", "The forecast",
        figures=(Figure("forecast", "", caption),),
        tables=(Table("First and last step", tuple(columns), tuple(rows), note),),
    )  # fmt: skip


def _drivers(explanation: Explanation, calendar: Calendar) -> Section:
    schema, season = explanation.schema, explanation.config.season
    features = explanation.by_feature()
    roles = {schema.target: "target", **dict.fromkeys(schema.past, "past"), **dict.fromkeys(schema.future, "future"),
             **dict.fromkeys(schema.computed, "calendar"),
             **dict.fromkeys(schema.static, "static")}  # fmt: skip
    feature_rows = tuple(
        (row["feature"], roles.get(row["feature"], ""), Share(row["share"]), number(row["mean_abs_shap"]))
        for row in features.head(TOP_FEATURES).iter_rows(named=True)
    )
    more = features.height - TOP_FEATURES
    errors = explanation.lag_importance.group_by("feature", "lag").agg(pl.col("shap_se").mean())
    top = explanation.lag_profile.join(errors, on=["feature", "lag"], how="left").sort(
        "share", "feature", "lag", descending=[True, False, False], nulls_last=True
    )
    places = _places(top["mean_abs_shap"].head(TOP_LAGS))
    lag_rows = tuple(
        (row["feature"], number(row["lag"]), _ago(row["lag"], calendar), Share(row["share"]),
         *(fixed(row[name], places) for name in ("mean_abs_shap", "mean_shap", "shap_se")))
        for row in top.head(TOP_LAGS).iter_rows(named=True)
    )  # fmt: skip
    distances = explanation.by_distance().sort(
        "share", "feature", "distance", descending=[True, False, False], nulls_last=True
    )
    distance_rows = tuple(
        (row["feature"], number(row["distance"]), _span(row["distance"], calendar), Share(row["share"]),
         fixed(row["mean_abs_shap"], places))
        for row in distances.head(TOP_DISTANCES).iter_rows(named=True)
    )  # fmt: skip
    unit = f"in units of {schema.target}"
    shown = heat_feature(explanation)
    reach = explanation.config.context_length + explanation.config.horizon
    figures = [
        Figure("lags", "By lag", "How much each past value moves the forecasts: mean |SHAP| over all explained "
               f"forecasts and steps, {unit}." + (" Whiskers: one standard error." if features.height == 1 else "")),
        Figure("heat", f"Lag by step: {shown}", "Which lag matters for which step. A season shows as a diagonal, where "
               "lag and step add up to it."),
        Figure("distance", "By distance", "The same values by the steps between an input and its forecast."
               + (f" Dashed: the season of {season} and its multiples." if 1 < season < reach else "")),
    ]  # fmt: skip
    if explanation.config.horizon == 1:
        figures = figures[:1]
    feature, measures = Column("feature", "name"), _numbers("mean |SHAP|")
    return Section(
        "drivers", "What drives the forecast",
        figures=tuple(figures),
        tables=(
            Table("Features", (feature, Column("role"), Column("share"), *_numbers("sum of mean |SHAP|")), feature_rows,
                  f"{more} more features in lag_profile.parquet" if more > 0 else ""),
            Table("Lags that matter most",
                  (feature, *_numbers("lag"), Column("that is"), Column("share"), *measures,
                   Column("mean SHAP", "number", detail=True), *_numbers("std. error")), lag_rows, unit),
            *([Table("Distances that matter most",
                     (feature, *_numbers("distance"), Column("that is"), Column("share"), *measures),
                     distance_rows, f"season: {season}" if season > 1 else "")] if explanation.config.horizon > 1
              else []),
        ),
    )  # fmt: skip


def heat_feature(explanation: Explanation) -> str:
    """The feature of the heat map: the target where it has any weight, else the most important one."""
    features = explanation.by_feature()
    target = explanation.schema.target
    if features.filter((pl.col("feature") == target) & (pl.col("share") > 0)).height or features.is_empty():
        return target
    return str(features["feature"][0])


def _memory(explanation: Explanation, calendar: Calendar) -> Section | None:
    frame, units, config = explanation.retention, explanation.memory_units, explanation.config
    if frame.is_empty():
        return None
    written = "written" in frame.columns and frame["written"].null_count() < frame.height
    several = frame["layer"].n_unique() > 1
    frame = frame.sort("layer", "lag").with_columns(
        (pl.col("written").cum_sum().over("layer") if written else pl.lit(None)).alias("since")
    )
    rows: list[tuple[Cell, ...]] = []
    for row in frame.filter(pl.col("lag").is_in(chosen_lags(frame["lag"].unique().to_list(), config.season))).iter_rows(
        named=True
    ):
        rows.append((
            *([f"{row['layer']}"] if several else []), number(row["lag"]), _span(row["lag"], calendar),
            Share(row["mean"]), f"{percent(row['q10'])} to {percent(row['q90'])}",
            *([percent(row["since"])] if written else []),
        ))  # fmt: skip
    columns = (
        *_numbers(*(["layer"] if several else []), "lag"), Column("that is"), Column("still there"),
        Column("10 to 90 % of units", "prose"), *_numbers(*(["written since"] if written else [])),
    )  # fmt: skip
    figures = [Figure("retention", "What the cells still hold",
                      "Share of what was held that the forget gates let through to the cutoff: mean over units, band "
                      "from 10 to 90 % of them. Dashed: 5 %, where a memory span ends."),
               Figure("units", "Time constants of the units",
                      "How slowly each unit forgets, in steps, on a logarithmic axis. Orange units still hold 5 % "
                      "at the start of the context, so their span is longer than can be seen.")]  # fmt: skip
    if written:
        figures.append(
            Figure(
                "written",
                "What each lag wrote",
                "Share of the final cell state that was written at each lag and is still there.",
            )
        )
    sparks = tuple(
        Spark(f"layer {layer}", tuple(part["mean"].fill_null(0).fill_nan(0).clip(0, 1)), _reach(part["lag"]))
        for (layer,), part in frame.group_by("layer", maintain_order=True)
    )
    return Section(
        "memory", "How far back it remembers", figures=tuple(figures), sparks=sparks,
        tables=(
            Table("Retention", columns, tuple(rows),
                  "written since: share of the final state that came in at this lag or a later one" if written else ""),
            _units(units, config.context_length, step_words(explanation)),
        ),
    )  # fmt: skip


def _units(units: pl.DataFrame, context: int, unit: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for (layer,), part in units.sort("layer", "unit").group_by("layer", maintain_order=True):
        for title, name in (("time constant", "time_constant"), ("half-life", "half_life")):
            values = part[name].fill_nan(None).drop_nulls()
            cells = [number(values.quantile(q, "linear"), 3) if len(values) else number(None) for q in (0.1, 0.5, 0.9)]
            rows.append((str(layer), title, *cells, ""))
        censored = part["censored"].fill_null(True)
        spans = part["memory_span"].cast(pl.Float64).zip_with(~censored, pl.Series([float("inf")])).fill_null(
            float("inf")).sort()  # fmt: skip
        spans_at = [spans[min(int(q * len(spans)), len(spans) - 1)] for q in (0.1, 0.5, 0.9)]
        cells = [f"> {context}" if s == float("inf") else number(int(s)) for s in spans_at]
        beyond = int(censored.sum())
        rows.append((str(layer), "memory span", *cells, f"{beyond} of {part.height} units > context"))
    columns = (
        *_numbers("layer"), Column(f"in {unit}", "prose"), *_numbers("10 %", "median", "90 %"), Column("", "prose")
    )  # fmt: skip
    return Table("Units", columns, tuple(rows), "quantiles over the units of a layer")


def _gradient(explanation: Explanation, calendar: Calendar) -> Section | None:
    frame = explanation.gradient_decay.sort("lag")
    if frame.is_empty():
        return None
    lags = chosen_lags(frame["lag"].to_list(), explanation.config.season)
    rows = tuple(
        (number(row["lag"]), _span(row["lag"], calendar), Share(row["share"]), number(row["mean_norm"], 3))
        for row in frame.filter(pl.col("lag").is_in(lags)).iter_rows(named=True)
    )
    top = frame["mean_norm"].max()
    sizes = (frame["mean_norm"] / top).fill_null(0).fill_nan(0) if top else None
    spark = Spark("gradient", tuple(sizes), _reach(frame["lag"])) if sizes is not None else None
    return Section(
        "gradient", "How gradients fade",
        figures=(Figure("gradient", "", "Mean length of the recurrent path's gradient with respect to each lag's "
                        "inputs, on a logarithmic axis: where it is tiny, training can hardly have learnt anything."),),
        tables=(Table("Gradient by lag", (*_numbers("lag"), Column("that is"), Column("share"),
                                          *_numbers("mean norm")), rows),),
        sparks=(spark,) if spark else (),
    )  # fmt: skip


def _attention(explanation: Explanation, calendar: Calendar) -> Section | None:
    if explanation.attention is None or explanation.attention.is_empty():
        return None
    # One weight belongs to all lags of a segment: they are one place to look at.
    segment = explanation.config.segment
    mean = (
        explanation.attention.group_by("lag").agg(pl.col("weight").mean())
        .group_by(((pl.col("lag") - 1) // segment).alias("segment"))
        .agg(pl.col("weight").sum(), pl.col("lag").min().alias("first"), pl.col("lag").max().alias("last"))
        .sort("weight", "first", descending=[True, False])
    )  # fmt: skip
    rows = tuple(
        (str(row["first"]) if row["first"] == row["last"] else f"{row['first']} to {row['last']}",
         _span(row["last"], calendar), Share(row["weight"]))
        for row in mean.head(TOP_DISTANCES).iter_rows(named=True)
    )  # fmt: skip
    return Section(
        "attention", "Where attention looks",
        figures=(Figure("attention", "", "Mean attention weight of each step over the states of the network. It shows "
                        "where the network looks, not what that look changes."),),
        tables=(Table("Lags attended to most", (Column("lag"), Column("back to"), Column("mean weight")), rows),),
    )  # fmt: skip


def _checks(explanation: Explanation) -> Section | None:
    if not explanation.checks:
        return None
    rows = tuple(
        (check.name.replace("_", " "), Pill(check.verdict), number(check.figure, 3), check.sentence)
        for check in explanation.checks
    )
    columns = (Column("check", "prose"), Column("verdict"), *_numbers("figure"), Column("what it means", "prose"))
    return Section("checks", "Can this explanation be believed?", tables=(Table("", columns, rows),))


def _method(explanation: Explanation) -> Section:
    return Section(
        "method", "How this was computed",
        tables=(Table("Method", (Column("what", "prose"), Column("value", "prose")), tuple(method(explanation))),
                Table("Definitions", (Column("word"), Column("meaning", "prose")), DEFINITIONS)),
    )  # fmt: skip


def method(explanation: Explanation) -> list[tuple[str, str]]:
    """What was done, as (what, value)."""
    return [
        (METHOD_WORDS.get(key, key.replace("_", " ")), _shares(value) if key == "path_shares" else value_words(value))
        for key, value in explanation.method.items()
    ]


def _shares(shares: Any) -> str:
    if not isinstance(shares, dict):
        return value_words(shares)
    return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in shares.items())


def _surrogate(explanation: Explanation) -> Section | None:
    scalars = {k: v for k, v in explanation.surrogate.items() if not isinstance(v, (list, tuple, dict))}
    kind = str(scalars.pop("kind", "a linear autoregression, fitted to the network's own forecasts"))
    sentence = (
        f"{kind[:1].upper()}{kind[1:]}, both relative to the window's own location and scale: what a weight says goes "
        "on top of that location. The closer it comes, the simpler the network's rule."
    )
    tables = []
    if scalars:
        tables.append(Table("Fit", (Column("what", "prose"), Column("value", "number")), tuple(
            (SURROGATE_WORDS.get(key, key.replace("_", " ")), value_words(value)) for key, value in scalars.items()
        )))  # fmt: skip
    for key, value in explanation.surrogate.items():
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
            tables.append(_records(key.replace("_", " ").capitalize(), list(value)[:TOP_LAGS]))
    return Section("surrogate", "A simpler model of the network", (sentence,), tables=tuple(tables)) if tables else None


def _records(title: str, records: list[dict[str, Any]]) -> Table:
    names = list(records[0])
    columns = tuple(
        Column(name.replace("_", " "), "name" if isinstance(records[0][name], str) else "number") for name in names
    )
    rows = tuple(tuple(value_words(record.get(name)) for name in names) for record in records)
    return Table(title, columns, rows)


def value_words(value: Any) -> str:
    """A JSON-able value as a table cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(value_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {value_words(item)}" for key, item in value.items())
    return str(value)


def _numbers(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(title, "number") for title in titles)


def _places(sizes: pl.Series) -> int:
    """Decimals for a column of sizes: three digits of the largest, two of the smallest, within reason."""
    known = [size for size in sizes.fill_nan(None).drop_nulls().to_list() if size > 0]
    if not known:
        return 2
    fewest = decimals(max(known))
    return min(max(fewest, decimals(min(known)) - 1), fewest + 3)


def _reach(lags: pl.Series) -> str:
    known = lags.to_list()
    return f"lag {min(known)} to {max(known)}"


def _ago(lag: int, calendar: Calendar) -> str:
    """How long before the first forecast step; a lag of 0 or less is known ahead for step 1 - lag."""
    return calendar.span(lag) if lag >= 1 else f"known for step {1 - lag}"


def _span(steps: int, calendar: Calendar) -> str:
    return calendar.span(steps) if steps >= 0 else f"{calendar.span(-steps)} later"


def time_words(times: Sequence[Any]) -> list[str]:
    """Times as a person writes them: no clock where all are midnight, no seconds where none has any."""
    clocks = [t.time() for t in times if hasattr(t, "hour")]
    if len(clocks) < len(times):
        return [str(t) for t in times]
    if not any(clock.hour or clock.minute or clock.second or clock.microsecond for clock in clocks):
        return [str(t.date()) for t in times]
    size = "auto" if any(clock.second or clock.microsecond for clock in clocks) else "minutes"
    return [str(t.isoformat(" ", size)) for t in times]


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _is_quantile(name: str) -> bool:
    try:
        return name.startswith("q") and 0 < float(name[1:]) < 1
    except ValueError:
        return False
