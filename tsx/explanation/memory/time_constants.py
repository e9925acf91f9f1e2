"""The time constants of a layer's units: how they are spread, against what they began as, against what is measured.

Units of many time constants together forget as a power law, although each forgets exponentially (Mahto, Vo, Turek &
Huth 2021, *Multi-timescale representation learning in LSTM language models*, eq. 5 to 7). Whether a trained layer
is such a mixture shows in its units sorted by time constant, beside what two laws would give that rank.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from tsx.explanation.measure import TableSpec
from tsx.spec.network import NetworkConfig

FEWEST_UNITS = 8
"""Fewer time constants tell no law from another."""
NO_CALL = 2.0
"""Log-likelihoods that differ by less than this (Akaike's difference of 4 with as many parameters) decide nothing."""
TIME_CONSTANTS_TABLE = TableSpec(
    "time_constants",
    {
        **{"rank": pl.Int64, "layer": pl.Int64, "unit": pl.Int64},
        **dict.fromkeys(("time_constant", "half_life", "measured_half_life", "log_normal", "power_law"), pl.Float64),
    },
)


def fit_time_constants(constants: np.ndarray) -> dict[str, Any] | None:
    """The log-normal law and the power law of these time constants (D), by maximum likelihood (JSON-able).

    log-normal: `mu`, `sigma`, mean and standard deviation of ln t. power law: density proportional to t^-(exponent + 1)
    from `shortest` on, exponent = D / sum ln(t / shortest) (Clauset, Shalizi & Newman 2009, eq. 3.1). `better` is
    `log-normal`, `power law`, or `neither` where the log-likelihoods are within 2. None for fewer than 8 finite time
    constants, or where they hardly differ.
    """
    logs = np.log(constants[np.isfinite(constants) & (constants > 0)].astype(np.float64))
    if len(logs) < FEWEST_UNITS or logs.std() < 1e-3:
        return None
    n, mu, sigma, low = len(logs), float(logs.mean()), float(logs.std()), float(logs.min())
    exponent = n / float((logs - low).sum())
    normal = -float(logs.sum()) - n * (math.log(sigma) + 0.5 * math.log(2 * math.pi) + 0.5)
    power = n * (math.log(exponent) + exponent * low) - (exponent + 1) * float(logs.sum())
    better = "neither" if abs(normal - power) < NO_CALL else "log-normal" if normal > power else "power law"
    return {
        "units": n,
        "mu": mu,
        "sigma": sigma,
        "exponent": exponent,
        "shortest": math.exp(low),
        "log_likelihood_log_normal": normal,
        "log_likelihood_power_law": power,
        "better": better,
    }


def time_constant_table(units: pl.DataFrame, fit: dict[str, Any] | None) -> pl.DataFrame:
    """rank, layer, unit, time_constant, half_life, measured_half_life, log_normal, power_law; the shortest first.

    The last two are what each law gives for that rank, at probability (rank - 1/2) / D; null without a fit.
    """
    table = units.select("layer", "unit", "time_constant", "half_life", "measured_half_life")
    table = table.sort("time_constant", "unit").with_row_index("rank", 1).with_columns(pl.col("rank").cast(pl.Int64))
    if fit is None:
        nothing = pl.lit(None, pl.Float64)
        return table.with_columns(nothing.alias("log_normal"), nothing.alias("power_law"))
    at = (table["rank"].to_numpy() - 0.5) / table.height
    law = NormalDist(fit["mu"], fit["sigma"])
    return table.with_columns(
        pl.Series("log_normal", np.exp([law.inv_cdf(p) for p in at])),
        pl.Series("power_law", fit["shortest"] * (1 - at) ** (-1 / fit["exponent"])),
    )


def chrono_bound(config: NetworkConfig) -> float | None:
    """The longest time constant that initialisation gives, in steps of the table; None without a forget gate.

    Forget biases begin as ln u with u up to T_max - 1 = S - 1 (Tallec & Ollivier 2018, eq. 16), so that a forget gate
    without input is at most (S - 1) / S, whose time constant is -1 / ln(1 - 1/S) recurrent steps.
    """
    if not config.encoder.has_forget_gate or config.segments < 2:
        return None
    return -config.segment / math.log1p(-1 / config.segments)
