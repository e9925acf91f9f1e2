"""How far back the cells remember: retention, time constants and memory spans from the replayed gates.

Definitions (f: forget gate of an LSTM, update gate of a GRU; one value a recurrent step and unit).
    retention at lag k   product of the last k values of f: the share of what a cell held k steps ago that its gates
                         let through to the cutoff
    time constant        -1 / mean(ln f), in steps: retention falls as exp(-k / time constant)
    half-life            ln 2 times that
    memory span          smallest k with retention under 5 %; censored where the context ends before
A plain RNN has no gates: its retention is the gain of its state's Jacobian, |row of dh_S / dh_{S-k}| for every unit
(Pascanu, Mikolov & Bengio 2013), which may also exceed one.

Lags count steps of the table: a network that reads segments of p lags has one gate value every p lags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.model.cells import Gates, Layer, Recurrence

FORGOTTEN = 0.05


@dataclass(frozen=True, eq=False)
class LayerMemory:
    """One layer's `retention` (S, D) at 1 to S recurrent steps, averaged over windows.

    `keep` (D) is the mean forget gate, `rate` (D) the mean of its logarithm, `written` (S) the share of the final state
    that the k-th last step wrote (None for a plain RNN).
    """

    retention: np.ndarray
    keep: np.ndarray
    rate: np.ndarray
    written: np.ndarray | None


def measure_memory(recurrence: Recurrence, inputs: Tensor) -> list[LayerMemory]:
    """Every layer's memory over the windows whose recurrent inputs (B, S, I) these are."""
    with torch.inference_mode():
        if recurrence.cell == "rnn":
            return [
                _jacobian_memory(layer, states)
                for layer, states in zip(recurrence.layers, recurrence.hidden_states(inputs))
            ]
        return [_gate_memory(gates) for gates in recurrence.gates(inputs)]


def unit_table(memories: list[LayerMemory], segment: int) -> pl.DataFrame:
    """layer, unit, forget_mean, time_constant, half_life, memory_span, censored; times in steps of the table."""
    return pl.concat([_units(number, memory, segment) for number, memory in enumerate(memories, 1)])


def retention_table(memories: list[LayerMemory], segment: int) -> pl.DataFrame:
    """layer, lag, mean, q10, q90 (over units), written."""
    return pl.concat([_retention(number, memory, segment) for number, memory in enumerate(memories, 1)])


def _gate_memory(gates: Gates) -> LayerMemory:
    keep = gates.keep.flip(1)  # newest first, so that a cumulative product runs back in time
    retention = keep.cumprod(1)
    later = torch.cat([torch.ones_like(keep[:, :1]), retention[:, :-1]], 1)
    written = (later * gates.write.flip(1)).abs().sum(-1)
    share = written / written.sum(1, keepdim=True).clamp(min=torch.finfo(written.dtype).tiny)
    return LayerMemory(
        retention.mean(0).cpu().numpy(),
        keep.mean((0, 1)).cpu().numpy(),
        keep.clamp(1e-12, 1 - 1e-7).log().mean((0, 1)).cpu().numpy(),
        share.mean(0).cpu().numpy(),
    )


def _jacobian_memory(layer: Layer, states: Tensor) -> LayerMemory:
    gain, gains = None, []
    for state in states.flip(1).unbind(1):
        jacobian = (1 - state.square())[..., None] * layer.weight_hh_l0
        gain = jacobian if gain is None else gain @ jacobian
        gains.append(gain.norm(dim=-1))
    retention = torch.stack(gains, 1)
    rate = retention[:, -1].clamp(min=1e-30).log().mean(0) / retention.shape[1]
    return LayerMemory(retention.mean(0).cpu().numpy(), rate.exp().cpu().numpy(), rate.cpu().numpy(), None)


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
    written = pl.Series(memory.written if memory.written is not None else [None] * steps, dtype=pl.Float64)
    low, high = np.quantile(memory.retention.astype(np.float64), (0.1, 0.9), axis=1)
    return pl.DataFrame(
        {
            "layer": np.full(steps, number),
            "lag": np.arange(1, steps + 1) * segment,
            "mean": memory.retention.mean(1).astype(np.float64),
            "q10": low,
            "q90": high,
            "written": written,
        }
    )
