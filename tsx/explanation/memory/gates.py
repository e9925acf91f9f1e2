"""What the gates do over time and what the cells hold now, from the replayed gates.

The final state is a sum over steps: what step j wrote, times the retention since (unrolling c_s = f_s c_{s-1} + i_s g_s
of Gers, Schmidhuber & Cummins 2000, eq. 3.7). So each lag's share of it is exact, whatever the gates were.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.measure import TableSpec
from tsx.model.encoders.base import Encoder, Gates
from tsx.panel.sampling import evenly_spaced

SHOWN = 128
"""Windows over which the gates are shown by lag; the cells' memory is measured over all."""
SATURATED = 0.95
"""A forget gate above this is as good as open: of what a cell holds, less than a twentieth goes."""
DEAD = 0.01
"""A unit whose writes of a whole context, all kept, would not add up to this is dead. States are read through tanh,
so that less than a hundredth moves nothing."""
GATES_TABLE = TableSpec(
    "gates",
    {"layer": pl.Int64, "lag": pl.Int64, "gate": pl.String, **dict.fromkeys(("mean", "q10", "q90"), pl.Float64)},
)


def contributions(gates: Gates) -> Tensor:
    """(B, S, D), newest first: what each step wrote into the state, times what was kept of it until the last step.

    Their sum over S is the final state, up to rounding.
    """
    keep = gates.keep.flip(1)
    later = torch.cat([torch.ones_like(keep[:, :1]), keep[:, :-1].cumprod(1)], 1)
    return later * gates.write.flip(1)


LayerGates = dict[str, np.ndarray]
"""One layer's gates by name, each (S, D): their means over windows, newest first."""


def unit_means(gates: LayerGates, name: str) -> np.ndarray | None:
    """(D) a gate's mean over time; of a GRU, the input gate is what its update gate leaves: 1 - update."""
    if name in gates:
        return np.asarray(gates[name].mean(0, dtype=np.float64))
    if name == "input" and "update" in gates:
        return np.asarray(1 - gates["update"].mean(0, dtype=np.float64))
    return None


def gates_over_time(encoder: Encoder, inputs: Tensor) -> list[LayerGates]:
    """Every layer's gates over at most `SHOWN` evenly chosen windows of `inputs` (B, S, I)."""
    with torch.inference_mode():
        layers = encoder.trace(inputs[evenly_spaced(len(inputs), SHOWN)])
        names = encoder.capabilities.gates
        return [{name: layer.parts[name].mean(0).flip(0).cpu().numpy() for name in names} for layer in layers]


def gate_table(layers: list[LayerGates], segment: int) -> pl.DataFrame:
    """layer, lag, gate, mean, q10, q90 (over units of the means over windows); no rows for a cell without gates."""
    parts = [
        GATES_TABLE.frame(
            {
                "layer": np.full(len(mean), number),
                "lag": np.arange(1, len(mean) + 1) * segment,
                "gate": [name] * len(mean),
                "mean": mean.mean(1, dtype=np.float64),
                "q10": np.quantile(mean.astype(np.float64), 0.1, axis=1),
                "q90": np.quantile(mean.astype(np.float64), 0.9, axis=1),
            }
        )
        for number, layer in enumerate(layers, 1)
        for name, mean in layer.items()
    ]
    return pl.concat(parts) if parts else GATES_TABLE.empty()
