"""The findings, and the answers of the first screen."""

from __future__ import annotations

import polars as pl

from tsx.explanation.components import recurrent_is_idle
from tsx.explanation.drivers import why_unnamed
from tsx.explanation.result import Explanation
from tsx.panel.calendar import Calendar
from tsx.report import summaries
from tsx.report.document import Section, Tile
from tsx.report.heading import assessments
from tsx.report.labels import INTERVAL, feature_words, player_words, within, words
from tsx.wording import number, percent


def section(explanation: Explanation) -> Section:
    """All findings but the sentences that stand above them, after the answers of the first screen."""
    calendar = Calendar.parse(explanation.frequency)
    above = [assessment.sentence for assessment in assessments(explanation)]
    of_a_group = {sentence for _, sentences in explanation.grouped for sentence in sentences}
    rest = tuple(sentence for sentence in explanation.findings if sentence not in {*above, *of_a_group})
    return Section("findings", "Findings", rest, tiles=_tiles(explanation, calendar), groups=explanation.grouped)


def _tiles(explanation: Explanation, calendar: Calendar) -> tuple[Tile, ...]:
    """The strongest input, how far back half and nearly all of the importance lies, and how far the gates reach.

    Nothing that a finding calls too uncertain, or not worth telling of a model that is not shown to know anything.
    """
    unnamed = why_unnamed(explanation.lag_profile, explanation.checks, explanation.knowledge)
    drivers = [] if unnamed else _drivers(explanation, calendar)
    return (*_accuracy(explanation), *drivers, *_remembered(explanation, calendar))


def _accuracy(explanation: Explanation) -> list[Tile]:
    """The error on the rows held out, in units of the target, beside that of the best simple method."""
    network, *simple = (explanation.origin and explanation.origin.held_out) or ({},)
    if network.get("rmse") is None:
        return []
    others = [(row["rmse"], words(str(row["model"]))) for row in simple if row.get("rmse") is not None]
    notes = [f"{name} {number(error)}" for error, name in sorted(others)[:1]]
    held = network.get(f"coverage_{INTERVAL}")
    notes += [] if held is None else [f"its {INTERVAL} % interval held {percent(held)}"]
    return [Tile("How accurate it was (RMSE)", number(network["rmse"]), "; ".join(notes))]


def _drivers(explanation: Explanation, calendar: Calendar) -> list[Tile]:
    tiles = []
    features = explanation.by_feature()
    if features.height > 1:
        leading = ", ".join(
            f"{feature_words(name)} {percent(share)}"
            for name, share in features.select("feature", "share").head(3).iter_rows()
        )
        tiles.append(Tile("What drives it", feature_words(features["feature"][0]), leading))
    elif features.height and explanation.lag_profile.height > 1:
        top = summaries.profile(explanation).sort("share", "lag", descending=[True, False])
        one, share = top.row(0, named=True), float(top["share"][0] or 0)
        words = player_words(one["feature"], one["lag"], one["oldest"])
        tiles.append(Tile("What drives it", words, f"{percent(share)} of all importance"))
    past = summaries.past(explanation)
    half, most = _within(explanation, past)
    if half is not None and most is not None and past.height > 1:
        tiles.append(
            Tile(
                "How far back it looks",
                f"90 % within {calendar.span(most)}",
                f"lag {number(most)}; half of the importance of the past within {calendar.span(half)}, "
                f"lag {number(half)}",
            )
        )
    return tiles


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
    components = explanation.tables.get("paths")
    idle = components is not None and recurrent_is_idle(components)
    if idle or frame.is_empty() or explanation.config.segments < 4:
        return []
    top = frame.filter(pl.col("layer") == pl.col("layer").max()).sort("lag")
    below = top.filter(pl.col("mean") < 0.5)
    longest = int(top["lag"].max())  # type: ignore[arg-type]
    question = "How long its cells remember"
    if below.is_empty():
        note = f"{percent(top['mean'][-1])} remains at the start of the context"
        return [Tile(question, f"over 50 % after {calendar.span(longest)}", note)]
    lag = int(below["lag"][0])
    note = f"lag {number(lag)}; {percent(top['mean'][-1])} is left at lag {number(longest)}"
    return [Tile(question, f"50 % after {calendar.span(lag)}", note)]
