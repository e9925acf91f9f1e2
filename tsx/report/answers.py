"""The answers of the first screen: what was forecast, how well, whether to act on it, and what drives it."""

from __future__ import annotations

import polars as pl

from tsx.evaluation.verdict import simple_words
from tsx.explanation.components import recurrent_is_idle
from tsx.explanation.drivers import why_unnamed
from tsx.explanation.result import Explained, Explanation
from tsx.panel.calendar import Calendar
from tsx.report import summaries
from tsx.report.document import Tile
from tsx.report.labels import INTERVAL, feature_words, player_words, time_words, within
from tsx.spec.metrics import SHOWN_METRICS
from tsx.wording import and_list, count, number, percent


def answers(explanation: Explanation) -> tuple[Tile, ...]:
    """What was forecast, how accurate that was and whether to act on it; what drives it, how far back it looks, and
    how long the gates remember.

    What a finding calls too uncertain, or not worth telling of a model that is not shown to know anything, is not
    named, and the reason stands in its place.
    """
    calendar = Calendar.parse(explanation.frequency)
    why = why_unnamed(explanation.lag_profile, explanation.checks, explanation.knowledge)
    drivers = [Tile("What drives it", "Not named", why)] if why else _drivers(explanation, calendar)
    return (
        _forecast(explanation, calendar),
        *_accuracy(explanation),
        act_on_it(explanation),
        *drivers,
        *_remembered(explanation, calendar),
    )


def _forecast(explanation: Explanation, calendar: Calendar) -> Tile:
    """What was forecast, how far ahead, of how many series and from which time."""
    horizon, target = explanation.config.horizon, explanation.schema.target
    series = explanation.forecasts.select(explanation.schema.id_names).n_unique()
    (newest,) = time_words([explanation.newest])
    apart = "" if calendar.unit == "step" else f", {calendar.words} apart,"
    of_each = f"{count(horizon, 'value')}{apart} of {'each of ' if series > 1 else ''}{count(series, 'series')}"
    return Tile("What was forecast", f"{target}, {calendar.span(horizon)} ahead", f"{of_each}, after {newest}")


def act_on_it(explanation: Explained) -> Tile:
    """Whether to act on what the model says and on the reasons given for it, by the verdicts on both."""
    against, faithful = explanation.knowledge.against or "a simple method", explanation.faithful.verdict
    reasons = {"pass": "and on its reasons", "weak": "on its reasons with care", "fail": "not on its reasons"}[faithful]
    answer, note = {
        "shown": (f"Yes, {reasons}", f"the model is better than {against}"),
        "not shown": ("With care", f"the model may be no better than {against}"),
        "none": ("No", f"the model is no better than {against}"),
        "unknown": ("Not known", "nothing was held out that could tell how good the model is"),
    }[explanation.knowledge.state]
    return Tile("Should you act on it?", answer, note)


def _accuracy(explanation: Explanation) -> list[Tile]:
    """The errors on the rows held out, beside those of the simple method that the verdict compares the network with."""
    network, *simple = (explanation.origin and explanation.origin.held_out) or ({},)
    if network.get("rmse") is None:
        return []
    known = [row for row in simple if row.get("rmse") is not None]
    least = min(known, key=lambda row: float(row["rmse"]), default=None)
    other = next((row for row in known if row["model"] == explanation.skill.get("against")), least)
    measures = {name: SHOWN_METRICS[name] for name in ("rmse", "mase") if network.get(name) is not None}
    answer = ", ".join(f"{title} {number(network[name])}" for name, title in measures.items())
    notes = ["on rows held out"]
    if other is not None:
        notes.append(f"{simple_words(str(other['model']))}: {and_list([number(other.get(name)) for name in measures])}")
    held = network.get(f"coverage_{INTERVAL}")
    notes += [] if held is None else [f"its {INTERVAL} % interval held {percent(held)}"]
    return [Tile("How accurate it was", answer, "; ".join(notes))]


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
