"""How far back the cells remember: retention, time constants and memory spans from the replayed gates.

Definitions (f: forget gate of an LSTM, update gate of a GRU; one value a recurrent step and unit).
    retention at lag k   product of the last k values of f: the share of what a cell held k steps ago that its gates
                         let through to the cutoff
    time constant        -1 / mean(ln f), in steps: retention falls as exp(-k / time constant)
    half-life            ln 2 times that
    memory span          smallest k with retention under 5 %; censored where the context ends before
    measured half-life   the same question asked of the whole recurrence: see `gradients.measured_half_life`
A plain RNN has no gates: its retention is the gain of its state's Jacobian, |row of dh_S / dh_{S-k}| for every unit
(Pascanu, Mikolov & Bengio 2013), which may also exceed one.

Lags count steps of the table: a network that reads segments of p lags has one gate value every p lags. The k-th last
recurrent step reads the lags (k - 1) p + 1 to k p and stands in every table under the oldest of them, k p.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.explanation.memory.agreement import retention_curve
from tsx.explanation.memory.gates import (
    DEAD,
    GATES_TABLE,
    SATURATED,
    LayerGates,
    contributions,
    gate_table,
    gates_over_time,
    unit_means,
)
from tsx.explanation.memory.gradients import (
    DECAY_TABLE,
    JACOBIAN_TABLE,
    gradient_decay,
    jacobian_table,
    measured_half_life,
    state_growth,
    unit_gains,
)
from tsx.explanation.memory.sentences import memory_sentences
from tsx.explanation.memory.time_constants import (
    TIME_CONSTANTS_TABLE,
    chrono_bound,
    fit_time_constants,
    time_constant_table,
)
from tsx.explanation.ranks import spearman
from tsx.model.batch import Batch
from tsx.model.encoders.base import Encoder, Gates, LayerTrace
from tsx.model.network import Network

FORGOTTEN = 0.05
UNITS_TABLE = TableSpec(
    "memory_units",
    {
        **{"layer": pl.Int64, "unit": pl.Int64},
        **dict.fromkeys(("forget_mean", "time_constant", "half_life"), pl.Float64),
        **{"memory_span": pl.Int64, "censored": pl.Boolean},
        **{"saturated": pl.Float64, "dead": pl.Boolean},
        **dict.fromkeys(("input_mean", "output_mean", "measured_half_life"), pl.Float64),
    },
)
RETENTION_TABLE = TableSpec(
    "retention", {"layer": pl.Int64, "lag": pl.Int64, **dict.fromkeys(("mean", "q10", "q90", "written"), pl.Float64)}
)
STATES_TABLE = TableSpec(
    "states", {"layer": pl.Int64, "lag": pl.Int64, **dict.fromkeys(("share", "size", "sign"), pl.Float64)}
)
REPLAYED = 2**23
"""Gate values replayed at once, so that memory does not grow with context and width."""


@dataclass(frozen=True, eq=False)
class LayerMemory:
    """One layer's `retention` (S, D) at 1 to S recurrent steps, averaged over windows.

    `keep` (D) is the mean forget gate, `rate` (D) the mean of its logarithm. `written` (S) is the share of the final
    state that the k-th last step wrote, `size` (S) the mean size of what it wrote and is still there, `sign` (S) its
    net sign over units and windows (None for a plain RNN). `saturated` (D) is the share of the time that the forget
    gate (the state of a plain RNN) is over 0.95, `dead` (D) whether the unit never holds anything.
    """

    retention: np.ndarray
    keep: np.ndarray
    rate: np.ndarray
    written: np.ndarray | None
    size: np.ndarray | None
    sign: np.ndarray | None
    saturated: np.ndarray
    dead: np.ndarray


def memory_tables(network: Network, population: Batch) -> Measured:
    """Everything of memory that is measured on the network itself, over the windows of `population`.

    facts: `layer`, the last one, which the forecast is read from and which all others speak of; `segment`; `units`;
    `dead`, their number; `saturated`, mean share; `time_constants`, what `fit_time_constants` found;
    `gate_measured_correlation`, Spearman's over units between time constant and measured half-life; `half_life`, the
    units' median by their `gates` and `measured`; `chrono`, the longest time constant that the initialisation gave
    (`longest`, steps of the table) and how many units are `beyond`; `fate`, how a change of the state grows
    (`gradients.state_growth`). None where a cell or a context has no such thing.
    """
    segment, encoder = network.config.segment, network.members[0].encoder
    with torch.inference_mode():
        inputs = network.members[0].segments(network.encode(population))
    memories = measure_memory(encoder, inputs)
    gates = gates_over_time(encoder, inputs)
    gains = unit_gains(encoder, inputs)
    half_lives = [measured_half_life(gain) * segment for gain in gains.by_layer]
    units = unit_table(memories, segment)
    units = UNITS_TABLE.frame(units.to_dict() | _unit_details(memories, gates, half_lives))
    jacobian = jacobian_table(gains, segment)
    top = units.filter(pl.col("layer") == len(memories))
    constants = top["time_constant"].to_numpy()
    fit = fit_time_constants(constants)
    bound = chrono_bound(network.config)
    facts = {
        "layer": len(memories),
        "segment": segment,
        "units": top.height,
        "dead": int(top["dead"].sum()),
        "saturated": float(top["saturated"].to_numpy().mean()),
        "time_constants": fit,
        "gate_measured_correlation": spearman(constants, half_lives[-1]),
        "half_life": {
            "gates": _median(top["half_life"].to_numpy()),
            "measured": _median(half_lives[-1]),
        },
        "chrono": bound and {"longest": bound, "beyond": int((constants > bound * (1 + 1e-6)).sum())},
        "fate": state_growth(jacobian),
    }
    tables = {
        "memory_units": units,
        "retention": retention_table(memories, segment),
        "states": state_table(memories, segment),
        "gates": gate_table(gates, segment),
        "gradient_decay": gradient_decay(network, population),
        "jacobian": jacobian,
        "time_constants": time_constant_table(top, fit),
    }
    by_lag = {}
    if network.config.encoder.has_forget_gate:
        by_lag["gates"] = retention_curve(tables["retention"], network.config.context_length)
    return Measured(tables, facts, by_lag)


def measure_memory(encoder: Encoder, inputs: Tensor) -> list[LayerMemory]:
    """Every layer's memory over the windows whose recurrent inputs (B, S, I) these are."""
    with torch.inference_mode():
        if encoder.capabilities.has_forget_gate:
            return gate_memory(encoder, inputs, torch.full_like(inputs[:, 0, 0], inputs.shape[1], dtype=torch.int64))
        return [_jacobian_memory(layer) for layer in encoder.trace(inputs)]


def unit_table(memories: list[LayerMemory], segment: int) -> pl.DataFrame:
    """layer, unit, forget_mean, time_constant, half_life, memory_span, censored; times in steps of the table."""
    return pl.concat([_units(number, memory, segment) for number, memory in enumerate(memories, 1)])


def retention_table(memories: list[LayerMemory], segment: int) -> pl.DataFrame:
    """layer, lag, mean, q10, q90 (over units), written."""
    return pl.concat([_retention(number, memory, segment) for number, memory in enumerate(memories, 1)])


def state_table(memories: list[LayerMemory], segment: int) -> pl.DataFrame:
    """layer, lag, share, size, sign: what the final state holds by age. No rows for a plain RNN, which adds nothing up.

    share: of the state's size, what that step wrote and is still there; adds up to 1 (mean over windows).
    size: the mean over windows and units of |what is still there|. sign: its sum over its size, from -1 to 1.
    """
    parts = [
        STATES_TABLE.frame(
            {
                "layer": np.full(len(memory.written), number),
                "lag": np.arange(1, len(memory.written) + 1) * segment,
                "share": memory.written,
                "size": memory.size,
                "sign": memory.sign,
            }
        )
        for number, memory in enumerate(memories, 1)
        if memory.written is not None and memory.size is not None and memory.sign is not None
    ]
    return pl.concat(parts) if parts else STATES_TABLE.empty()


def _median(values: np.ndarray) -> float | None:
    """None where half of the units never lose half."""
    median = float(np.median(values))
    return median if np.isfinite(median) else None


def gate_memory(encoder: Encoder, inputs: Tensor, steps: Tensor) -> list[LayerMemory]:
    """Every layer's memory by its forget gates, over series (B, S, I) of which the first `steps` (B) count.

    A retention at k steps is averaged over the series that are so long. From sums over series, so that the gates of all
    need never be held at once.
    """
    totals: list[_Sums] = []
    size = max(1, REPLAYED // (inputs.shape[1] * encoder.size))
    with torch.inference_mode():
        for part, lengths in zip(inputs.split(size), steps.split(size)):
            sums = [_sums(gates, lengths) for gates in encoder.gates(part)]
            totals = [total.plus(more) for total, more in zip(totals, sums)] if totals else sums
    return [total.memory(len(inputs)) for total in totals]


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over windows of one layer: (S, D), (S), (D), (D), (D), (S), (S), (S); `most` (D) is a maximum.

    `there` (S): how many windows have so many steps.
    """

    retention: Tensor
    there: Tensor
    keep: Tensor
    rate: Tensor
    saturated: Tensor
    share: Tensor
    size: Tensor
    net: Tensor
    most: Tensor

    def plus(self, other: _Sums) -> _Sums:
        names = [name for name in self.__dataclass_fields__ if name != "most"]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return _Sums(**sums, most=torch.maximum(self.most, other.most))

    def memory(self, windows: int) -> LayerMemory:
        units, count = self.retention.shape[1], self.there.sum()
        size = self.size.clamp(min=torch.finfo(self.size.dtype).tiny)
        return LayerMemory(
            retention=(self.retention / self.there[:, None]).cpu().numpy(),
            keep=(self.keep / count).cpu().numpy(),
            rate=(self.rate / count).cpu().numpy(),
            written=(self.share / windows).cpu().numpy(),
            size=(self.size / (windows * units)).cpu().numpy(),
            sign=(self.net / size).cpu().numpy(),
            saturated=(self.saturated / count).cpu().numpy(),
            dead=(self.most < DEAD).cpu().numpy(),
        )


def _sums(gates: Gates, steps: Tensor) -> _Sums:
    gates, there = _ending_together(gates, steps)
    held = contributions(gates)
    written = held.abs().sum(-1)
    share = written / written.sum(1, keepdim=True).clamp(min=torch.finfo(written.dtype).tiny)
    keep, read = gates.keep, there[..., None]
    newest_first = there.flip(1)
    return _Sums(
        # newest first, so that a cumulative product runs back in time
        retention=(keep.flip(1).cumprod(1) * newest_first[..., None]).sum(0),
        there=newest_first.sum(0),
        keep=(keep * read).sum((0, 1)),
        rate=(keep.clamp(1e-12, 1 - 1e-7).log() * read).sum((0, 1)),
        saturated=((keep > SATURATED) & read).to(keep.dtype).sum((0, 1)),
        share=share.sum(0),
        size=written.sum(0),
        net=held.sum((0, -1)),
        most=gates.write.abs().sum(1).amax(0),
    )


def _ending_together(gates: Gates, steps: Tensor) -> tuple[Gates, Tensor]:
    """The gates of the first `steps` (B), moved so that all series end at the last step, and which (B, S) these are.

    Before them nothing is written and all is kept.
    """
    length = gates.keep.shape[1]
    at = torch.arange(length, device=steps.device) - (length - steps[:, None])
    there = at >= 0
    if bool(there.all()):
        return gates, there
    index = at.clamp(min=0)[..., None].expand_as(gates.keep)
    outside = ~there[..., None]
    keep, write = gates.keep.gather(1, index), gates.write.gather(1, index)
    return Gates(keep.masked_fill(outside, 1.0), write.masked_fill(outside, 0.0)), there


def _jacobian_memory(trace: LayerTrace) -> LayerMemory:
    gain, gains = None, []
    states = trace.hidden
    for state in states.flip(1).unbind(1):
        jacobian = (1 - state.square())[..., None] * trace.layer.weight_hh_l0
        gain = jacobian if gain is None else gain @ jacobian
        gains.append(gain.norm(dim=-1))
    retention = torch.stack(gains, 1)
    rate = retention[:, -1].clamp(min=1e-30).log().mean(0) / retention.shape[1]
    size = states.abs()
    return LayerMemory(
        retention.mean(0).cpu().numpy(),
        rate.exp().cpu().numpy(),
        rate.cpu().numpy(),
        written=None,
        size=None,
        sign=None,
        saturated=(size > SATURATED).to(size.dtype).mean((0, 1)).cpu().numpy(),
        dead=(size.amax((0, 1)) < DEAD).cpu().numpy(),
    )


def _unit_details(memories: list[LayerMemory], gates: list[LayerGates], half_lives: list[np.ndarray]) -> dict[str, Any]:
    """Further columns of `UNITS_TABLE`, in the order of `unit_table`."""
    means: dict[str, list[Any]] = {"input": [], "output": []}
    for memory, shown in zip(memories, gates):
        for name, values in means.items():
            mean = unit_means(shown, name)
            values += [None] * len(memory.keep) if mean is None else mean.tolist()
    return {
        "saturated": np.concatenate([memory.saturated for memory in memories]),
        "dead": np.concatenate([memory.dead for memory in memories]),
        "input_mean": means["input"],
        "output_mean": means["output"],
        "measured_half_life": np.concatenate(half_lives),
    }


def _units(number: int, memory: LayerMemory, segment: int) -> pl.DataFrame:
    steps, units = memory.retention.shape
    forgotten = memory.retention < FORGOTTEN
    censored = ~forgotten.any(0)
    with np.errstate(divide="ignore"):
        # a state that does not decay (an RNN whose gain is one or more) has no finite time constant
        constant = np.where(memory.rate < 0, -1 / memory.rate, np.inf) * segment
    return pl.DataFrame(
        {
            "layer": np.full(units, number),
            "unit": np.arange(units),
            "forget_mean": memory.keep.astype(np.float64),
            "time_constant": constant.astype(np.float64),
            "half_life": (np.log(2) * constant).astype(np.float64),
            "memory_span": np.where(censored, steps, forgotten.argmax(0) + 1) * segment,
            "censored": censored,
        }
    )


def _retention(number: int, memory: LayerMemory, segment: int) -> pl.DataFrame:
    steps = len(memory.retention)
    low, high = np.quantile(memory.retention.astype(np.float64), (0.1, 0.9), axis=1)
    return RETENTION_TABLE.frame(
        {
            "layer": np.full(steps, number),
            "lag": np.arange(1, steps + 1) * segment,
            "mean": memory.retention.mean(1),
            "q10": low,
            "q90": high,
            "written": [None] * steps if memory.written is None else memory.written,
        }
    )


def _measure(context: Context, results: Results) -> Measured:
    measured = memory_tables(context.network, context.population)
    return replace(measured, tables={name: frame for name, frame in measured.tables.items() if frame.height})


MEMORY = Measure(
    name="memory",
    section="memory",
    tables=(
        UNITS_TABLE,
        RETENTION_TABLE,
        STATES_TABLE,
        GATES_TABLE,
        DECAY_TABLE,
        JACOBIAN_TABLE,
        TIME_CONSTANTS_TABLE,
    ),
    measure=_measure,
    sentences=memory_sentences,
)
