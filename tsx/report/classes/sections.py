"""The sections of the explanation of a classifier, in the order in which they are read."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from tsx.explanation.classes.checks import of_classes
from tsx.explanation.classes.drivers import LEAST
from tsx.explanation.classes.game import LOG_ODDS
from tsx.explanation.classes.result import ClassExplanation
from tsx.panel.calendar import Calendar
from tsx.report.answers import act_on_it
from tsx.report.classes import inside
from tsx.report.document import Cell, Column, Figure, ReportTable, Section, ShareCell, Tile
from tsx.report.labels import feature_words, lag_words, numbers, value_words, words
from tsx.report.sections import checks, comparison
from tsx.report.sections.counterfactuals import changes_in_words
from tsx.report.sections.method import advice
from tsx.report.summaries import class_figures_tables
from tsx.spec.metrics import SHOWN_CLASS_METRICS
from tsx.wording import NOT_DEFINED, and_list, count, fixed, number, percent, verb

TOP_FEATURES, TOP_LAGS, OF_A_CLASS, BRIEF = 12, 10, 3, 6
MOST_SERIES, MOST_CLASSES = 20, 12
METHOD_WORDS = {
    "explains": "explained of each class",
    "values": "SHAP values",
    "absent": "absent values are",
    "series": "series explained",
    "references": "series that absent values come from",
    "fewest_pairs": "antithetic pairs of permutations, at least",
    "most_pairs": "antithetic pairs of permutations, at most",
    "tolerance": "requested tolerance",
    "tolerance_reached": "series that reached the tolerance",
    "relative_error": "pooled relative standard error",
    "max_evals": "evaluations per series, at most",
    "evaluations": "evaluations of the classifier",
    "evaluations_of_checks": "evaluations for the checks",
}
SHORT = ("values", "players", "references", "absent", "relative_error", "evaluations", "seed")
"""The figures of the method that a terminal shows."""
DEFINITIONS = (
    ("lag", "Steps from the end of the series: lag 1 is its newest value."),
    (
        "log-odds",
        "log(p / (1 - p)) of a class against all others: 0 is even odds; 0.7 more doubles the odds, 2.3 more is ten "
        "times.",
    ),
    (
        "SHAP value",
        "What one input moved the log-odds (or the probability) of one series by, averaged over the orders in which "
        "inputs can become known. Base value plus all SHAP values is what is explained.",
    ),
    ("base value", "The mean over the references: what is said of a series of which nothing is known."),
    ("reference", "Another series, whose values stand in for absent ones; its missing values and its length too."),
    ("importance", "Shares are of squared SHAP values less their squared standard errors."),
    ("stretch", "The shortest run of lags that holds half of the importance of time."),
)


def sections(explanation: ClassExplanation) -> tuple[Section, ...]:
    """Every section that has something to show."""
    every = (
        *(_accuracy, _findings, _drivers, _series, _counterfactuals, _comparison, _checks),
        *(inside.reach, inside.memory, inside.gradient, inside.attention, inside.surrogate),
        _method,
    )
    return tuple(section for make in every if not (section := make(explanation)).is_empty)


def unit(explanation: ClassExplanation) -> str:
    """What SHAP values are in."""
    return "log-odds" if explanation.explain == LOG_ODDS else "probability"


def _findings(explanation: ClassExplanation) -> Section:
    told = {explanation.knowledge.sentence, *(each for _, said in explanation.grouped for each in said)}
    rest = tuple(each for each in explanation.findings if each not in told)
    return Section("findings", "Findings", rest, groups=explanation.grouped)


def answers(explanation: ClassExplanation) -> tuple[Tile, ...]:
    """What series were given, how often that was right on series held out, and whether to act on it."""
    series, classes = explanation.method["series"], len(explanation.config.classes)
    given = Tile(
        "What was said", explanation.label, f"one of {count(classes, 'class', 'classes')} for {count(series, 'series')}"
    )
    return (given, *_accuracy_tile(explanation), act_on_it(explanation))


def _accuracy_tile(explanation: ClassExplanation) -> list[Tile]:
    own, *others = explanation.origin.held_out if explanation.origin and explanation.origin.held_out else ({},)
    if own.get("accuracy") is None:
        return []
    simple = [
        f"{words(str(row['model']))} {percent(row['accuracy'])}" for row in others if row.get("accuracy") is not None
    ]
    return [Tile("How accurate it was", f"{percent(own['accuracy'])} right", "; ".join(simple))]


def _accuracy(explanation: ClassExplanation) -> Section:
    held_out = explanation.origin.held_out if explanation.origin else ()
    rows = tuple(
        (str(row["model"]).replace("_", " "), *(number(row.get(name)) for name in SHOWN_CLASS_METRICS))
        for row in held_out
    )
    columns = (Column("model", "name"), *numbers(*SHOWN_CLASS_METRICS.values()))
    note = "of series held out; of log loss and ECE less is better"
    tables = (ReportTable("", columns, rows, note), *class_figures_tables(held_out)) if rows else ()
    figures: tuple[Figure, ...] = ()
    if explanation.origin and explanation.origin.reliability:
        words = (
            "Series held out, in groups of about as many by the probability that was said, and how often it was so. On "
            "the dashed line both agree; below it the classifier is too sure."
        )
        figures = (Figure("reliability", "Are its probabilities right?", words),)
    return Section("accuracy", "How accurate it was", figures=figures, tables=tables)


def _drivers(explanation: ClassExplanation) -> Section:
    timed = explanation.lag_profile.drop_nulls("lag")
    in_unit = f"in {unit(explanation)}"
    figures = []
    if timed.height and explanation.question.players != "feature":
        figures.append(
            Figure("lags", "By lag", f"How much the values of each lag move the classes: mean |SHAP|, {in_unit}.")
        )
        if "image_profile" in explanation.tables:
            figures.append(
                Figure(
                    "map",
                    "By step and column",
                    f"Mean |SHAP| over series and classes, {in_unit}; darker moves more. {_laid_out(explanation)}",
                )
            )
        elif timed["feature"].n_unique() > 2:
            figures.append(
                Figure(
                    "map", "By lag and feature", f"Mean |SHAP| over series and classes, {in_unit}; darker moves more."
                )
            )
    several = len(explanation.classes) > 1
    tables = [_strongest(explanation) if several else _features(explanation), _lags(explanation)]
    if "word_profile" in explanation.tables:
        tables.append(_words(explanation))
    said = () if several else why_orders_differ(explanation.by_feature())
    return Section("drivers", "What drives the classes", said, tuple(figures), tuple(tables))


def why_orders_differ(features: pl.DataFrame) -> tuple[str, ...]:
    """A sentence where a feature that is shown has a larger share than another whose values add up to more; none where
    both say the same of all that count. `features`: feature, share, mean_abs_shap, by their shares."""
    counting = features.filter(pl.col("share") >= LEAST).select("feature", "mean_abs_shap").rows()
    for k, (feature, size) in enumerate(counting):
        larger = [name for name, other in counting[k + 1 :] if other > size]
        if larger:
            than = (
                f"{feature_words(feature)} has a larger share than {and_list([feature_words(each) for each in larger])}"
            )
            return (
                "Shares are of squared SHAP values, in which few large ones count for more than many small ones: "
                f"{than}, though the sizes of its values add up to less.",
            )
    return ()


def _features(explanation: ClassExplanation) -> ReportTable:
    features = explanation.by_feature()
    rows = tuple(
        (feature_words(row["feature"]), ShareCell(row["share"]), number(row["mean_abs_shap"]))
        for row in features.head(TOP_FEATURES).iter_rows(named=True)
    )
    more = features.height - TOP_FEATURES
    return ReportTable(
        f"Features, for {explanation.label} = {explanation.classes[0]}",
        (Column("feature", "name"), Column("share"), *numbers("sum of mean |SHAP|")),
        rows,
        f"{count(more, 'more feature')} in lag_profile.parquet" if more > 0 else "",
        brief=BRIEF,
    )


def _strongest(explanation: ClassExplanation) -> ReportTable:
    """The strongest features of each class."""
    features, rows = explanation.by_feature(), []
    for name in explanation.classes[:MOST_CLASSES]:
        own = features.filter(pl.col("class") == name).head(OF_A_CLASS)
        named = [f"{feature_words(row['feature'])} {percent(row['share'])}" for row in own.iter_rows(named=True)]
        rows.append((name, ", ".join(named)))
    more = len(explanation.classes) - MOST_CLASSES
    return ReportTable(
        "The strongest features of each class",
        (Column(explanation.label, "name"), Column("feature and share", "prose")),
        tuple(rows),
        f"{count(more, 'more class', 'more classes')} in lag_profile.parquet" if more > 0 else "",
    )


def _lags(explanation: ClassExplanation) -> ReportTable:
    profile = explanation.lag_profile
    oldest = pl.col("oldest_lag") if "oldest_lag" in profile.columns else pl.col("lag")
    top = (
        profile.with_columns(oldest.alias("oldest"))
        .sort("share", "class", "feature", "lag", descending=[True, False, False, False])
        .head(TOP_LAGS)
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            row["class"],
            feature_words(row["feature"]),
            lag_words(row["lag"], row["oldest"]),
            ShareCell(row["share"]),
            number(row["mean_abs_shap"], 3),
            number(row["mean_shap"], 3),
        )
        for row in top.iter_rows(named=True)
    )
    columns = (
        Column(explanation.label),
        Column("feature", "name"),
        *numbers("lag"),
        Column("share"),
        *numbers("mean |SHAP|"),
        Column("mean SHAP", "number", detail=True),
    )
    return ReportTable("Inputs that matter most", columns, rows, f"in {unit(explanation)}", drawn=True, brief=BRIEF)


def _words(explanation: ClassExplanation) -> ReportTable:
    """The strongest words of each of the first classes."""
    profile, several = explanation.tables["word_profile"], len(explanation.classes) > 1
    top = profile.group_by("class", maintain_order=True).head(OF_A_CLASS if several else TOP_LAGS)
    first = explanation.classes[:MOST_CLASSES]
    rows = tuple(
        (
            row["class"],
            row["feature"],
            row["word"],
            number(row["mean_shap"], 3),
            number(row["shap_se"], 2),
            number(row["series"]),
        )
        for row in top.filter(pl.col("class").is_in(first)).iter_rows(named=True)
    )
    return ReportTable(
        "Words that matter most",
        (
            Column(explanation.label),
            Column("feature", "name"),
            Column("word", "name"),
            *numbers("SHAP value", "standard error", "series"),
        ),
        rows,
        f"mean SHAP value of the times that hold the word, in {unit(explanation)}; first what all its times add up to "
        f"most of; {count(profile.height, 'row')} in word_profile.parquet",
        brief=BRIEF,
    )


def _series(explanation: ClassExplanation) -> Section:
    words = (
        f"From the base value, which is said of a series of which nothing is known, to the {unit(explanation)} of the "
        "class in the title: each bar is what one input moved it by; blue speaks for the class, orange against it; "
        "whiskers are one standard error."
    )
    figures = [Figure("waterfall", "Input by input", words)]
    if "by_time" in explanation.tables:
        what = f"what all values of a time together add to the {unit(explanation)} of the class in the title"
        figures.append(
            Figure(
                "stretch",
                "Which stretch of time decided",
                "The features that moved a series most, each in a scale of its own. The line of colours below them: "
                f"{what}; blue for it, orange against it.",
            )
        )
    if "words" in explanation.tables:
        figures.append(
            Figure(
                "words",
                "Which words decided",
                f"What each word moves the {unit(explanation)} of the class in the title by: blue speaks for it, "
                "orange against it. Words whose SHAP value is within two standard errors of 0 stay white; point at a "
                "word for its value.",
            )
        )
    if "image" in explanation.tables:
        values = f"On the left the values of a series, on the right their SHAP values, in {unit(explanation)}"
        words_of_maps = f"{values} of the class in the title: blue speaks for it, orange against it."
        figures.insert(0, Figure("maps", "Maps of single series", f"{words_of_maps} {_laid_out(explanation)}"))
    elif is_image(explanation):
        figures.append(
            Figure(
                "maps",
                "Maps of single series",
                f"SHAP values of every value, in {unit(explanation)} of the class in the title: blue speaks for it, "
                "orange against it.",
            )
        )
    return Section("series", "The series one by one", figures=tuple(figures), tables=(_of_each(explanation),))


def _laid_out(explanation: ClassExplanation) -> str:
    """How the maps of an image are to be read."""
    columns = explanation.tables["image_profile"]["column"].unique(maintain_order=True).to_list()
    read = {channel.name for channel in explanation.config.channels.every}
    words = f"Steps run down, the columns {columns[0]} to {columns[-1]} from left to right"
    side = explanation.question.group if explanation.question.players == "patch" else 1
    if side != 1:
        words += f"; the {side} x {side} values of a patch have one SHAP value, which they share evenly"
    unread = sum(name not in read for name in columns)
    if unread:
        words += f"; {count(unread, 'column')} in grey {verb(unread, 'is')} constant and not read"
    return f"{words}."


def is_image(explanation: ClassExplanation) -> bool:
    """Whether every value of equally long series of three channels or more has a SHAP value, as pixels of rows do."""
    profile = explanation.lag_profile.drop_nulls("lag")
    lengths = explanation.tables.get("history", pl.DataFrame())
    if explanation.question.players != "cell" or profile["feature"].n_unique() < 3 or lengths.is_empty():
        return False
    counted = lengths.group_by(*explanation.schema.id_names, "feature").len()
    return bool(counted["len"].n_unique() == 1)


def _of_each(explanation: ClassExplanation) -> ReportTable:
    """A row for each of the first series: what it is, what was said of it, and which stretch decided."""
    ids, calendar = list(explanation.schema.id_names), Calendar.parse(explanation.frequency)
    frame = shown_series(explanation).head(MOST_SERIES)
    stretches = explanation.tables.get("stretches")
    if stretches is not None:
        frame = frame.join(stretches, on=[*ids, "class"], how="left", maintain_order="left")
    rows = []
    for row in frame.iter_rows(named=True):
        newest, oldest = row.get("newest_lag"), row.get("oldest_lag")
        decided = NOT_DEFINED
        if newest is not None and oldest is not None:
            decided = f"lag {lag_words(newest, oldest)} ({calendar.span(oldest - newest + 1)})"
        rows.append(
            (
                *(str(row[name]) for name in ids),
                NOT_DEFINED if row["label"] is None else row["label"],
                row["class"],
                fixed(row["p"], 3),
                fixed(row["base_value"], 2),
                fixed(row["explained"], 2),
                *([decided] if stretches is not None else []),
            )
        )
    columns = (
        *(Column(name, "name") for name in ids),
        Column(explanation.label),
        Column("class"),
        *numbers("p", "base value", unit(explanation)),
        *([Column("stretch that decided", "prose")] if stretches is not None else []),
    )
    more = explanation.method["series"] - len(rows)
    note = f"{count(more, 'more series')} in series.parquet" if more > 0 else ""
    return ReportTable("Series", columns, tuple(rows), note, brief=BRIEF)


def shown_series(explanation: ClassExplanation) -> pl.DataFrame:
    """`series` with one class of each: the most probable one of those explained, the first of equals."""
    ids = list(explanation.schema.id_names)
    return explanation.series.filter(pl.int_range(pl.len()).over(ids) == pl.col("p").arg_max().over(ids))


def _counterfactuals(explanation: ClassExplanation) -> Section:
    frame, changes = (explanation.tables.get(name) for name in ("counterfactual_series", "counterfactuals"))
    if frame is None:
        return Section("counterfactuals", "")
    ids, rows = list(explanation.schema.id_names), []
    for row in frame.iter_rows(named=True):
        own = None
        if changes is not None and row["number"]:
            same = [pl.col(name).eq_missing(pl.lit(row[name])) for name in (*ids, "number")]
            own = changes.filter(*same).sort("feature", "lag")
        after = NOT_DEFINED if row["after"] is None else fixed(row["after"], 3)
        answer = changes_in_words(row["number"], own)
        rows.append((*(str(row[name]) for name in ids), fixed(row["before"], 3), after, answer))
    columns = (*(Column(name, "name") for name in ids), *numbers("p", "would be"), Column("if", "prose"))
    wanted = f"{explanation.label} = {frame['wanted'][0]}"
    title = f"Few values that would give a series the label {wanted}"
    return Section(
        "counterfactuals",
        "What would have to be different",
        tables=(ReportTable(title, columns, tuple(rows), f"p: the probability of {wanted}"),),
    )


def _comparison(explanation: ClassExplanation) -> Section:
    return comparison.section(explanation) or Section("comparison", "")


def _checks(explanation: ClassExplanation) -> Section:
    section = checks.section(explanation)
    if section is None:
        return Section("checks", "")
    return replace(
        section,
        figures=tuple(replace(each, caption=of_classes(each.caption)) for each in section.figures),
        tables=tuple(replace(each, note=of_classes(each.note)) for each in section.tables),
    )


def method(explanation: ClassExplanation, only: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """What was done, as (what, value); `only` these figures where some are named."""
    shown = {name: value for name, value in explanation.method.items() if not only or name in only}
    return [
        (words(name, METHOD_WORDS), percent(value) if name in ("tolerance", "relative_error") else value_words(value))
        for name, value in shown.items()
    ]


def _method(explanation: ClassExplanation) -> Section:
    decided = [(decision.name, f"{decision.value} ({decision.reason})") for decision in explanation.decisions]
    columns = (Column("what", "prose"), Column("value", "prose"))
    return Section(
        "method",
        "How this was computed",
        tables=(
            ReportTable("Method", columns, (*method(explanation), *decided)),
            *advice(explanation),
            ReportTable("Definitions", (Column("word"), Column("meaning", "prose")), DEFINITIONS),
        ),
    )
