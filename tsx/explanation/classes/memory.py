"""What the cells of a classifier's encoders hold on to: retention and memory spans, of each direction by itself.

Definitions are those of `tsx.explanation.memory.measure`. Lags count from the end of the reading: for the encoder that
reads forward that is the newest step of a series, for the one that reads backward the oldest. Of several networks the
first is shown.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.classes.measure import ClassContext, ClassMeasure, ClassResults
from tsx.explanation.measure import Measured, TableSpec
from tsx.explanation.memory.gradients import DECAY_TABLE
from tsx.explanation.memory.measure import RETENTION_TABLE, gate_memory, retention_table, unit_table
from tsx.explanation.memory.sentences import FEWEST_STEPS
from tsx.model.encoders.base import Encoder
from tsx.model.sequence_classifier import BACKWARD, CONVOLUTIONS, FORWARD, SequenceClassifier
from tsx.model.sequences import SequenceBatch
from tsx.panel.calendar import Calendar
from tsx.wording import percent

SERIES = 256
"""Series at most over which the cells are measured."""
HALF = 0.5
LITTLE = 0.1
"""A share of the gradient under which the encoders hardly matter, and nothing is said of what they hold."""
UNITS = {
    **{"direction": pl.String, "layer": pl.Int64, "unit": pl.Int64},
    **dict.fromkeys(("forget_mean", "time_constant", "half_life"), pl.Float64),
    **{"memory_span": pl.Int64, "censored": pl.Boolean},
}
UNITS_TABLE = TableSpec("memory_units", UNITS)
RETENTION = TableSpec(RETENTION_TABLE.name, {"direction": pl.String, **RETENTION_TABLE.columns})
READS = (FORWARD, BACKWARD)
"""The directions, whose names say how they read."""


def readings(member: SequenceClassifier, batch: SequenceBatch) -> list[tuple[str, Encoder, Tensor, Tensor]]:
    """Of each direction its name, encoder, recurrent inputs (B, S, I) as it reads them, and how many count (B)."""
    with torch.inference_mode():
        segments, steps = member.segments(member.inputs(batch)), member.steps(batch.lengths)
        read = [(FORWARD, member.forward_encoder, segments, steps)]
        if member.backward_encoder is not None:
            read.append((BACKWARD, member.backward_encoder, member.turned(segments, steps), steps))
    return read


def cells_memory(member: SequenceClassifier, batch: SequenceBatch) -> dict[str, pl.DataFrame]:
    """The tables `memory_units` and `retention`, the rows of one direction after those of the other."""
    segment = member.config.segment
    units: list[pl.DataFrame] = []
    retention: list[pl.DataFrame] = []
    for name, encoder, inputs, steps in readings(member, batch):
        longest = int(steps.max())
        layers = gate_memory(encoder, inputs[:, :longest], steps)
        # the last segment of the longest series may not be full
        for made, frame, lag in (
            (units, unit_table(layers, segment), "memory_span"),
            (retention, retention_table(layers, segment), "lag"),
        ):
            within = frame.with_columns(pl.col(lag).clip(upper_bound=int(batch.lengths.max())))
            made.append(within.select(pl.lit(name).alias("direction"), pl.all()))
    return {UNITS_TABLE.name: pl.concat(units), RETENTION.name: pl.concat(retention)}


def memory_sentence(retention: pl.DataFrame, calendar: Calendar) -> str:
    """After how long half of what the cells hold is gone, in each direction."""
    when = {}
    for name in READS:
        top = retention.filter((pl.col("direction") == name) & (pl.col("layer") == pl.col("layer").max())).sort("lag")
        below = top.filter(pl.col("mean") < HALF)
        if below.height:
            when[name] = f"after {calendar.span(int(below['lag'][0]))}"
        elif top.height:
            left = percent(float(top["mean"][-1]))
            when[name] = f"not within {calendar.span(int(top['lag'][-1]))} ({left} is left)"
    if len(when) > 1 and len(set(when.values())) == 1:
        parts = [f"{when[FORWARD]}, in either direction"]
    else:
        parts = [f"{span} of reading {name}" for name, span in when.items()]
    return f"On average over the units, half of what the cells hold is gone {' and '.join(parts)}."


def encoders_matter(gradients: pl.DataFrame | None) -> bool:
    """Whether a tenth of the gradient or more passes through the encoders, where convolutions stand beside them."""
    if gradients is None or CONVOLUTIONS not in gradients.columns:
        return True
    sums = {name: float(gradients[name].sum()) for name in (*READS, CONVOLUTIONS) if name in gradients.columns}
    total = sum(sums.values())
    return total > 0 and 1 - sums[CONVOLUTIONS] / total >= LITTLE


def _measure(context: ClassContext, results: ClassResults) -> Measured:
    population = context.population(SERIES)
    member = context.classifier.network.members[0]
    assert isinstance(member, SequenceClassifier)
    return Measured(cells_memory(member, population.batch(np.arange(len(population)))))


def _sentences(results: ClassResults) -> list[str]:
    retention = results.tables.get(RETENTION.name)
    if retention is None or retention["lag"].n_unique() < FEWEST_STEPS:
        return []
    if not encoders_matter(results.tables.get(DECAY_TABLE.name)):
        return []
    return [memory_sentence(retention, results.calendar)]


def _applies(context: ClassContext) -> bool:
    return context.classifier.config.encoder.has_forget_gate and context.networks_count


MEMORY = ClassMeasure(
    name="memory",
    section="memory",
    tables=(UNITS_TABLE, RETENTION),
    measure=_measure,
    applies=_applies,
    sentences=_sentences,
)
