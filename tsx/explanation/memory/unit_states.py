"""What the units see: gates and states of one window over its own time."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec
from tsx.spec.channels import TARGET
from tsx.wording import verb

PARTS = ("input", "forget", "update", "reset", "output", "candidate")
"""Gates and candidates, as far as the cell has them."""
STATES_BY_TIME_TABLE = TableSpec(
    "states_by_time",
    {
        **{ID: None, CUTOFF: None, "at": None, "lag": pl.Int64, "layer": pl.Int64, "unit": pl.Int64},
        **{"y": pl.Float64, "state": pl.Float64, "hidden": pl.Float64},
    },
    optional=dict.fromkeys(PARTS, pl.Float64),
)
FOLLOWS, STILL = 0.8, 0.01
"""Correlation with the target from which on a unit follows it; spread of its state up to which it hardly moves."""


def states_by_time(context: Context, series: np.ndarray, cutoffs: np.ndarray) -> pl.DataFrame:
    """`STATES_BY_TIME_TABLE` of one window: of `series` (1) at `cutoffs` (1), the oldest step first.

    A row a step of the network, layer and unit. `lag`: the newest lag of the step, at time `at`; `y`: the mean target
    that it reads there, null where it is missing. `state`: the cell's state, for a cell without one its hidden state.
    Of an ensemble, its first member.
    """
    panel, config, network = context.panel, context.config, context.network
    batch = context.task.source.cut(series, cutoffs)
    member = network.members[0]
    with torch.inference_mode():
        inputs = member.segments(network.encode(batch))
        layers = member.encoder.trace(inputs)
        gated = config.encoder.has_forget_gate
        states = (
            [gates.states() for gates in member.encoder.gates(inputs)] if gated else [each.hidden for each in layers]
        )
    steps = config.segments
    target = batch.past[0, :, TARGET].double().cpu().reshape(steps, config.segment).nanmean(1).numpy()
    lag = np.arange(steps)[::-1] * config.segment + 1
    parts = []
    for number, (layer, state) in enumerate(zip(layers, states, strict=True), 1):
        units = state.shape[-1]
        long = np.repeat(np.arange(steps), units)
        values = {
            "state": state,
            "hidden": layer.hidden,
            **{name: layer.parts[name] for name in PARTS if name in layer.parts},
        }
        parts.append(
            STATES_BY_TIME_TABLE.frame(
                {
                    **panel.id_columns(np.repeat(series, len(long))),
                    CUTOFF: panel.times(series, cutoffs).gather(np.zeros(len(long), dtype=np.int64)),
                    "at": panel.times(np.repeat(series, steps), cutoffs + 1 - lag).gather(long),
                    "lag": lag[long],
                    "layer": np.full(len(long), number),
                    "unit": np.tile(np.arange(units), steps),
                    "y": pl.Series(target[long] + panel.centers[series[0], TARGET]).fill_nan(None),
                    **{name: value[0].double().cpu().numpy().ravel() for name, value in values.items()},
                },
                panel.schema.id_names,
            )
        )
    return pl.concat(parts)


def unit_sentences(table: pl.DataFrame, target: str) -> tuple[str, ...]:
    """How many units of the last layer follow the target over this window, and how many hardly move."""
    last = table.filter(pl.col("layer") == pl.col("layer").max())
    units = last.group_by("unit").agg(
        pl.corr("state", "y").abs().fill_nan(0.0).fill_null(0.0).alias("together"),
        pl.col("state").std().alias("spread"),
    )
    still = int((units["spread"].fill_null(0.0) <= STILL).sum())
    follow = int(((units["together"] >= FOLLOWS) & (units["spread"] > STILL)).sum())
    return (
        f"Over the window of the first explained forecast {follow} of {units.height} units of the last layer "
        f"{verb(follow, 'follows')} {target} (correlation of {FOLLOWS:g} or more, of either sign), and {still} hardly "
        f"{verb(still, 'moves')}.",
    )


def _measure(context: Context, results: Results) -> Measured:
    table = states_by_time(context, context.series[:1], context.cutoffs[:1])
    return Measured({"states_by_time": table}, sentences=unit_sentences(table, context.schema.target))


UNIT_STATES = Measure(
    name="unit_states",
    section="unit_states",
    tables=(STATES_BY_TIME_TABLE,),
    measure=_measure,
    applies=lambda context: context.question.states,
)
