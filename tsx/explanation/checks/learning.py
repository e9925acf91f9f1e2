"""Whether the network's learnt part is worth anything: its error beside that of forecasts that take no learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtr
from torch import Tensor

from tsx.explanation.checks.refutation import without_heads
from tsx.explanation.shap.units import window_scale
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.spec.channels import TARGET

RUNS = 24
"""Runs of windows, neighbours in time, whose mean differences are taken as independent."""
FEWEST = 8
"""With fewer windows nothing is said."""


@dataclass(frozen=True)
class Learning:
    """What the network's learnt part is worth on windows of the panel whose outcome is known.

    gain     1 - mean scaled error of the network / that of the best forecast that takes no learning
    against  which forecast that is, in words
    p_value  one-sided, of "it gains nothing", by a t test over runs of windows
    windows  how many
    """

    gain: float
    against: str
    p_value: float
    windows: int


def learning(network: Network, population: Batch) -> Learning | None:
    """The network beside its own smoothing of level, trend and season, and beside the last value.

    The pretrained network has the same part in the smoothing's forecast as in the network's, if any.

    To both the median of their errors at each step is added, in window scales: on a target that leans to one side a
    network that sees nothing else would gain by that alone. An untrained one adds noise. The windows of `population`
    come in order, and may be those that it learnt from: a network that has learnt does well on them at least. None with
    too few.
    """
    silent = without_heads(network)
    untaught = "level, trend and season" + " with the pretrained network" * (network.pretrained is not None)
    with torch.inference_mode():
        scale = window_scale(network, population)[:, None]
        own = network.point(network(population))
        simple = {
            f"its own {untaught}": silent.point(silent(population)),
            "the last value": _last(population.past[..., TARGET])[:, None],
        }
        missed = [(population.target - each) / scale for each in (own, *simple.values())]
        # what is the same in all windows, such as that values lean to one side, takes no knowledge of the series
        missed[1:] = [each - each.nanmedian(0, keepdim=True).values for each in missed[1:]]
        errors = [each.abs().nanmean(1) for each in missed]
    losses = torch.stack(errors).cpu().double().numpy()
    losses = losses[:, np.isfinite(losses).all(0)]
    windows = losses.shape[1]
    if windows < FEWEST:
        return None
    best = 1 + int(losses[1:].mean(1).argmin())
    saved = np.array([run.mean() for run in np.array_split(losses[best] - losses[0], min(RUNS, windows))])
    size = float(losses[best].mean())
    gain = 1 - float(losses[0].mean()) / size if size > 0 else 0.0
    return Learning(gain, list(simple)[best - 1], _chance(saved), windows)


def _last(target: Tensor) -> Tensor:
    """(B) the newest observed value of each window's lags (B, T); NaN where there is none."""
    steps = torch.arange(target.shape[1], device=target.device)
    newest = torch.where(torch.isnan(target), -1, steps).amax(1)
    return torch.where(newest >= 0, target.gather(1, newest.clamp(min=0)[:, None])[:, 0], torch.nan)


def _chance(saved: np.ndarray) -> float:
    """One-sided p-value of "the mean is not above 0"."""
    error = float(saved.std(ddof=1)) / len(saved) ** 0.5
    mean = float(saved.mean())
    if not error > 1e-12 * abs(mean):
        return 0.0 if mean > 0 else 1.0
    return float(stdtr(len(saved) - 1, -mean / error))
