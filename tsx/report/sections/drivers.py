"""What drives the forecast: findings, the answers of the first screen, features, lags, distances and paths."""

from __future__ import annotations

import polars as pl

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report import players
from tsx.report.parts import Cell, Column, Figure, Section, Share, Table, Tile
from tsx.report.text import decimals, fixed, number, percent
from tsx.report.words import (
    ago,
    count,
    explained_words,
    feature_words,
    interval_levels,
    lag_words,
    listed,
    numbers,
    places,
    player_words,
    span,
    time_words,
    within,
)

TOP_FEATURES = 12
TOP_LAGS = 10
TOP_DISTANCES = 8
BRIEF = 6
MOST_SERIES = 6
FEATURE = Column("feature", "name")


def findings(explanation: Explanation, above: tuple[str, ...]) -> Section:
    """All findings but the sentences that stand above them, after the answers of the first screen."""
    calendar = Calendar.parse(explanation.frequency)
    found = tuple(f for f in explanation.findings if f not in above)
    return Section("findings", "What was found", found, tiles=_tiles(explanation, calendar))


def _tiles(explanation: Explanation, calendar: Calendar) -> tuple[Tile, ...]:
    """The strongest input, how far back half and nearly all of the importance lies, and how far the gates reach."""
    made = []
    features = explanation.by_feature()
    if features.height > 1:
        leading = ", ".join(
            f"{feature_words(name)} {percent(share)}"
            for name, share in features.select("feature", "share").head(3).iter_rows()
        )
        made.append(Tile("What drives it", feature_words(features["feature"][0]), leading))
    elif features.height and explanation.lag_profile.height > 1:
        top = players.profile(explanation).sort("share", "lag", descending=[True, False])
        one, share = top.row(0, named=True), float(top["share"][0] or 0)
        words = player_words(one["feature"], one["lag"], one["oldest"])
        made.append(Tile("What drives it", words, f"{percent(share)} of all importance"))
    past = players.past(explanation)
    half, most = _within(explanation, past)
    if half is not None and most is not None and past.height > 1:
        made.append(
            Tile(
                "How far back it looks",
                f"90 % within {calendar.span(most)}",
                f"lag {number(most)}; half of the importance of the past within {calendar.span(half)}, "
                f"lag {number(half)}",
            )
        )
    made += _remembered(explanation, calendar)
    return tuple(made)


def _within(explanation: Explanation, past: pl.DataFrame) -> tuple[int | None, int | None]:
    """The lags within which half and 90 % of the importance lie, as the findings have them."""
    agreement = explanation.tables.get("agreement")
    known = None if agreement is None else agreement.filter(pl.col("measure") == "shap").drop_nulls("lag_90")
    if known is not None and known.height:
        half, most = known.select("lag_50", "lag_90").row(0)
        return int(half), int(most)
    return within(past, 0.5), within(past, 0.9)


def _remembered(explanation: Explanation, calendar: Calendar) -> list[Tile]:
    frame = explanation.retention
    if frame.is_empty() or explanation.config.segments < 4:
        return []
    top = frame.filter(pl.col("layer") == pl.col("layer").max()).sort("lag")
    below = top.filter(pl.col("mean") < 0.5)
    longest = int(top["lag"].max())  # type: ignore[arg-type]
    question = "How long its cells hold"
    if below.is_empty():
        note = f"{percent(top['mean'][-1])} is still there at the start of the context"
        return [Tile(question, f"half for more than {calendar.span(longest)}", note)]
    lag = int(below["lag"][0])
    note = f"lag {number(lag)}; {percent(top['mean'][-1])} is left at lag {number(longest)}"
    return [Tile(question, f"half for {calendar.span(lag)}", note)]


def forecast(explanation: Explanation) -> Section | None:
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
    columns = [
        Column(schema.id_name, "name"),
        Column(schema.time, "prose"),
        Column("step", "number", detail=True),
        *numbers("forecast"),
    ]
    if wide:
        columns += numbers("from", "to")
    digits = decimals(float((frame[wide[2]] - frame[wide[1]]).median() or 0)) if wide else 4  # type: ignore[arg-type]
    rows = []
    for row, when in zip(ends.iter_rows(named=True), time_words(ends[schema.time].to_list()), strict=True):
        values = ["yhat", *(wide[1:] if wide else ())]
        rows.append(
            (str(row[schema.id_name]), when, number(row["step"]), *(fixed(row[name], digits) for name in values))
        )
    note = f"{wide[0]:.0%} interval".replace("%", " %") if wide else ""
    caption = "Grey: what was observed. Blue: the median forecast"
    if pairs:
        caption += " and its " + listed([f"{coverage:.0%}".replace("%", " %") for coverage, *_ in reversed(pairs)])
        caption += " intervals" if len(pairs) > 1 else " interval"
    caption += "."
    if len(ids) > len(shown):
        caption += f" The first {len(shown)} of {len(ids):,} series."
    return Section(
        "forecast",
        "The forecast",
        figures=(Figure("forecast", "", caption),),
        tables=(Table("First and last step", tuple(columns), tuple(rows), note, brief=0),),
    )


def drivers(explanation: Explanation) -> Section:
    calendar = Calendar.parse(explanation.frequency)
    return Section(
        "drivers",
        f"What drives {'the forecast' if explanation.question.explain == 'yhat' else 'it'}",
        figures=_figures(explanation),
        tables=tuple(
            t
            for t in (
                _features(explanation),
                _lags(explanation, calendar),
                _distances(explanation, calendar),
            )
            if t is not None
        ),
    )


def _figures(explanation: Explanation) -> tuple[Figure, ...]:
    season, question = explanation.config.season, explanation.question
    lags = players.at_lags(explanation)
    if lags.height < 2:
        return ()
    unit = f"in units of {explanation.schema.target}"
    several = lags["feature"].n_unique() > 1
    shown = feature_words(players.heat_feature(explanation))
    longest = explanation.config.context_length + explanation.config.horizon
    subject = "the forecasts" if question.explain in ("yhat", "sum") else explained_words(explanation)
    constant = " What does not change has no lag: the table has it." if _constants(explanation) else ""
    figures = [
        Figure(
            "lags",
            "By lag",
            f"How much each past value moves {subject}: mean |SHAP| over all explained "
            f"forecasts{'' if question.explain == 'sum' else ' and steps'}, {unit}."
            + ("" if several else " Whiskers: one standard error.")
            + constant,
        )
    ]
    if explanation.by_step["step"].n_unique() > 1:
        figures.append(
            Figure(
                "heat",
                f"Lag by step: {shown}",
                "Which lag matters for which step. A season shows as a diagonal, where lag and step add up to it.",
            )
        )
        if explanation.by_distance().height:
            marked = f" Dashed: the season of {season} and its multiples." if 1 < season < longest else ""
            caption = f"The same values by the steps between an input and its forecast.{marked}"
            figures.append(Figure("distance", "By distance", caption))
    return tuple(figures)


def _constants(explanation: Explanation) -> bool:
    return explanation.question.players != "feature" and explanation.lag_profile["lag"].null_count() > 0


def _features(explanation: Explanation) -> Table | None:
    schema, features = explanation.schema, explanation.by_feature()
    if features.height < 2:
        return None
    roles = {
        schema.target: "target",
        **dict.fromkeys(schema.past, "past"),
        **dict.fromkeys(schema.future, "future"),
        **dict.fromkeys(schema.computed, "calendar"),
        **dict.fromkeys(schema.static, "static"),
    }
    rows = tuple(
        (
            feature_words(row["feature"]),
            roles.get(row["feature"], ""),
            Share(row["share"]),
            number(row["mean_abs_shap"]),
        )
        for row in features.head(TOP_FEATURES).iter_rows(named=True)
    )
    more = features.height - TOP_FEATURES
    whole = explanation.question.players == "feature"
    return Table(
        "Features",
        (FEATURE, Column("role"), Column("share"), *numbers("mean |SHAP|" if whole else "sum of mean |SHAP|")),
        rows,
        f"{count(more, 'more feature')} in lag_profile.parquet" if more > 0 else "",
        brief=BRIEF,
    )


def _lags(explanation: Explanation, calendar: Calendar) -> Table | None:
    frame = players.profile(explanation)
    if frame.is_empty() or explanation.question.players == "feature":
        return None
    top = frame.sort("share", "feature", "lag", descending=[True, False, False], nulls_last=True).head(TOP_LAGS)
    digits = places(top["mean_abs_shap"])
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            feature_words(row["feature"]),
            lag_words(row["lag"], row["oldest"]),
            ago(row["lag"] if row["lag"] is None or row["lag"] < 1 else row["oldest"], calendar),
            Share(row["share"]),
            *(fixed(row[name], digits) for name in ("mean_abs_shap", "mean_shap", "shap_se")),
        )
        for row in top.iter_rows(named=True)
    )
    return Table(
        "Lags that matter most",
        (
            FEATURE,
            *numbers("lag"),
            Column("that is", "prose"),
            Column("share"),
            *numbers("mean |SHAP|"),
            Column("mean SHAP", "number", detail=True),
            *numbers("std. error"),
        ),
        rows,
        f"in units of {explanation.schema.target}",
        brief=BRIEF,
    )


def _distances(explanation: Explanation, calendar: Calendar) -> Table | None:
    season = explanation.config.season
    top = (
        explanation.by_distance()
        .sort("share", "feature", "distance", descending=[True, False, False], nulls_last=True)
        .head(TOP_DISTANCES)
    )
    if top.is_empty() or explanation.by_step["step"].n_unique() < 2:
        return None
    digits = places(top["mean_abs_shap"])
    rows = tuple(
        (
            feature_words(row["feature"]),
            number(row["distance"]),
            span(row["distance"], calendar),
            Share(row["share"]),
            fixed(row["mean_abs_shap"], digits),
        )
        for row in top.iter_rows(named=True)
    )
    return Table(
        "Distances that matter most",
        (FEATURE, *numbers("distance"), Column("that is"), Column("share"), *numbers("mean |SHAP|")),
        rows,
        f"season: {season}" if season > 1 else "",
        brief=0,
    )
