"""What drives the forecast: features, lags and distances."""

from __future__ import annotations

from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report import summaries
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, ShareCell
from tsx.report.labels import ago, explained_words, feature_words, lag_words, numbers, places, span
from tsx.wording import count, fixed, number

TOP_FEATURES = 12
TOP_LAGS = 10
TOP_DISTANCES = 8
BRIEF = 6
FEATURE = Column("feature", "name")


def section(explanation: Explanation) -> Section:
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
    lags = summaries.at_lags(explanation)
    if lags.height < 2:
        return ()
    unit = f"in units of {explanation.schema.target}"
    several = lags["feature"].n_unique() > 1
    shown = feature_words(summaries.heat_feature(explanation))
    longest = explanation.config.context_length + explanation.config.horizon
    subject = "the forecasts" if question.explain in ("yhat", "sum") else explained_words(explanation)
    constant = " Static covariates have no lag; they are in the table." if _constants(explanation) else ""
    figures = [
        Figure(
            "lags",
            "By lag",
            f"How much each past value moves {subject}: mean |SHAP| over all explained "
            f"forecasts{'' if question.explain == 'sum' else ' and steps'}, {unit}."
            + " Whiskers: one standard error."
            + (
                " Each input has a scale of its own; the shares, of squared SHAP values, compare them."
                if several
                else ""
            )
            + constant,
        )
    ]
    if explanation.by_step["step"].n_unique() > 1:
        figures.append(
            Figure(
                "heat",
                f"Lag by step: {shown}",
                "Which lag matters for which step. A season shows as a diagonal, where lag plus step equals it.",
            )
        )
        if explanation.by_distance().height:
            marked = f" Dotted: the season of {season} and its multiples." if 1 < season < longest else ""
            caption = f"The same values by the number of steps between an input and the value being forecast.{marked}"
            figures.append(Figure("distance", "By distance", caption))
    return tuple(figures)


def _constants(explanation: Explanation) -> bool:
    return explanation.question.players != "feature" and explanation.lag_profile["lag"].null_count() > 0


def _features(explanation: Explanation) -> ReportTable | None:
    schema, features = explanation.schema, explanation.by_feature()
    if features.height < 2:
        return None
    roles = {
        schema.target: "target",
        **dict.fromkeys((*schema.past, *schema.past_words), "past"),
        **dict.fromkeys(schema.given_ahead, "future"),
        **dict.fromkeys(schema.computed, "calendar"),
        **dict.fromkeys(schema.static, "static"),
    }
    rows = tuple(
        (
            feature_words(row["feature"]),
            roles.get(row["feature"], ""),
            ShareCell(row["share"]),
            number(row["mean_abs_shap"]),
        )
        for row in features.head(TOP_FEATURES).iter_rows(named=True)
    )
    more = features.height - TOP_FEATURES
    further = f"; {count(more, 'more feature')} in lag_profile.parquet" if more > 0 else ""
    whole = explanation.question.players == "feature"
    return ReportTable(
        "Features",
        (
            FEATURE,
            Column("role", detail=True),
            Column("share"),
            *numbers("mean |SHAP|" if whole else "sum of mean |SHAP|"),
        ),
        rows,
        f"in units of {schema.target}{further}",
        brief=BRIEF,
    )


def _lags(explanation: Explanation, calendar: Calendar) -> ReportTable | None:
    frame = summaries.profile(explanation)
    if frame.is_empty() or explanation.question.players == "feature":
        return None
    top = frame.sort("share", "feature", "lag", descending=[True, False, False], nulls_last=True).head(TOP_LAGS)
    digits = places(top["mean_abs_shap"])
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            feature_words(row["feature"]),
            lag_words(row["lag"], row["oldest"]),
            ago(row["lag"] if row["lag"] is None or row["lag"] < 1 else row["oldest"], calendar),
            ShareCell(row["share"]),
            *(fixed(row[name], digits) for name in ("mean_abs_shap", "mean_shap", "shap_se")),
        )
        for row in top.iter_rows(named=True)
    )
    return ReportTable(
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
        drawn=True,
        brief=BRIEF,
    )


def _distances(explanation: Explanation, calendar: Calendar) -> ReportTable | None:
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
            ShareCell(row["share"]),
            fixed(row["mean_abs_shap"], digits),
        )
        for row in top.iter_rows(named=True)
    )
    return ReportTable(
        "Distances that matter most",
        (FEATURE, *numbers("distance"), Column("that is"), Column("share"), *numbers("mean |SHAP|")),
        rows,
        f"in units of {explanation.schema.target}" + (f"; season: {season}" if season > 1 else ""),
        drawn=True,
        brief=0,
    )
