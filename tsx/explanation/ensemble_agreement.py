"""How far the members of an ensemble are apart: in what they explain, and in what they remember.

SHAP values are linear in the forecast, so those of an ensemble are the means of its members', as far as the mean is
taken in units of y. What the members disagree on is what training could not settle, which a single network hides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from tsx.explanation.checks.refutation import Agreement, seed_stability
from tsx.explanation.checks.repeat_checks import Repeats
from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.explanation.memory.measure import measure_memory, unit_table
from tsx.explanation.shap.importance_writer import RowLayout
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.panel.calendar import Calendar
from tsx.wording import percent


@dataclass(frozen=True, eq=False)
class MemberAgreement:
    """What the members say of the same windows, from the same references and orders.

    table      feature, lag, (oldest_lag), mean_abs_shap of the whole on these windows, and of the members' own the
               spread (standard deviation), the lowest and the highest
    agreement  how alike they rank the inputs
    apart      root mean square over the members of |SHAP values - their mean|, relative to the size of the mean
    strongest  how many have the strongest input of the whole for their own
    half_life  (members) median half-life of the last layer's units by their gates, in steps of the table; inf where
               half of the units never lose half
    windows    how many forecasts were looked at
    """

    table: pl.DataFrame
    agreement: Agreement
    apart: float
    strongest: int
    half_life: np.ndarray
    windows: int

    def sentence(self, calendar: Calendar) -> str:
        count = self.agreement.networks
        words = (
            f"The forecast is the mean of {count} networks. On {self.windows} forecasts the SHAP values of one of them "
            f"lie {percent(self.apart)} of their size from the mean, and {self.strongest} of {count} have the same "
            "strongest input. Gates, states and memory are the first one's"
        )
        known = self.half_life[np.isfinite(self.half_life)]
        if len(known) < count:
            return words + "."
        low, high = (calendar.span(max(1, round(float(each)))) for each in (known.min(), known.max()))
        spans = f"{low} in each of them" if low == high else f"between {low} and {high}, over all of them"
        return f"{words}: the median unit's half-life is {spans}."


def compare_members(repeats: Repeats, population: Batch) -> MemberAgreement:
    """The members of an ensemble, explained one by one.

    Of the sample's few windows, each with a small part of the evaluations: `members x sample x max_evals / 16` in all.
    """
    forecaster, batch = repeats.forecaster, repeats.batch
    members = forecaster.members()
    whole = repeats.own()
    each = np.stack([repeats.values(member, batch) for member in members])
    profiles, profile = np.abs(each).mean((1, 3)), np.abs(whole).mean((0, 2))
    size = float(np.square(each.mean(0)).sum())
    apart = float(np.square(each - each.mean(0)).sum() / len(each) / size) ** 0.5 if size > 0 else 0.0
    layout = RowLayout.of(forecaster, repeats.task.panel, repeats.players, repeats.question)
    figures = {
        "mean_abs_shap": profile,
        "spread": profiles.std(0),
        "lowest": profiles.min(0),
        "highest": profiles.max(0),
    }
    by_row = repeats.players.by_row
    table = layout.row_columns.with_columns(**{name: by_row(each) for name, each in figures.items()})
    return MemberAgreement(
        table,
        seed_stability(list(profiles)),
        apart,
        int((profiles.argmax(1) == profile.argmax()).sum()),
        half_lives(forecaster.network, population),
        len(batch),
    )


def half_lives(network: Network, population: Batch) -> np.ndarray:
    """(members) the median half-life of the last layer's units, in steps of the table."""
    with torch.inference_mode():
        inputs = network.members[0].segments(network.encode(population))
    medians = []
    for member in network.members:
        units = unit_table(measure_memory(member.encoder, inputs), network.config.segment)
        top = units.filter(pl.col("layer") == pl.col("layer").max())
        medians.append(float(np.median(top["half_life"].to_numpy())))
    return np.array(medians)


def _measure(context: Context, results: Results) -> Measured:
    members = context.members
    assert members is not None
    return Measured({"members": members.table}, sentences=(members.sentence(context.panel.calendar),))


MEMBERS = Measure(
    name="members",
    section="checks",
    tables=(
        TableSpec(
            "members",
            {
                "feature": pl.String,
                "lag": pl.Int64,
                **dict.fromkeys(("mean_abs_shap", "spread", "lowest", "highest"), pl.Float64),
            },
            optional={"oldest_lag": pl.Int64},
        ),
    ),
    measure=_measure,
    applies=lambda context: context.members is not None,
)
