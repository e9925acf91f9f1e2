"""Training on synthetic series alone, each seen once, for a number of processor seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.pretraining.generators import log_uniform, mixture
from tsx.model.pretrained.network import LEVELS, MEDIAN, PretrainedNetwork
from tsx.model.pretrained.windows import context_length, read
from tsx.spec.pretrained import FEWEST, HORIZON, LONGEST, SEASONS, USUAL

BATCH = 256
RATE = 1.5e-3
WARM_UP = 200
AVERAGED = 0.998
MOST = 40.0
"""Scales that a value may lie from the level."""
BEYOND = 0.15
"""Weight of a step beyond the horizon that is aimed at."""


@dataclass(frozen=True)
class Kind:
    """Series that are drawn together: their share, seasons, rows of a context and the horizon that is aimed at."""

    share: float
    seasons: tuple[int, ...]
    fewest: int
    most: int
    horizon: int


KINDS = (
    Kind(0.28, (1,), FEWEST, USUAL[1], 8),
    Kind(0.26, (4,), 8, USUAL[4], 8),
    Kind(0.39, (12,), 24, USUAL[12], 24),
    Kind(0.07, SEASONS, 6, LONGEST, 24),
)
"""Yearly, quarterly and monthly series, and any."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """values (B, T), there (B, T), truth (B, H), the season, weights (H) of the steps."""

    values: Tensor
    there: Tensor
    truth: Tensor
    season: int
    weights: Tensor


def draw(rng: np.random.Generator, kind: Kind, count: int = BATCH) -> Drawn:
    """New series and, half of them by its logarithm, a number of rows for each that is read."""
    season = int(rng.choice(kind.seasons))
    fewest = max(kind.fewest, min(2 * season, kind.most))
    length = context_length(kind.most, season)
    y = torch.as_tensor(mixture(rng, count, length + HORIZON, season), dtype=torch.float32)
    by_logarithm = np.floor(log_uniform(rng, fewest, kind.most + 1, count)).astype(int)
    rows = np.where(rng.random(count) < 0.5, by_logarithm, rng.integers(fewest, kind.most + 1, count))
    there = torch.as_tensor(np.arange(length) >= length - rows[:, None])
    weights = torch.where(torch.arange(HORIZON) < kind.horizon, 1.0, BEYOND)
    return Drawn(y[:, :length] * there, there, y[:, length:], season, weights / weights.sum())


def losses(network: PretrainedNetwork, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Pinball loss and absolute error of the median, in scales; windows without a scale are left out."""
    with torch.no_grad():
        windows = read(drawn.values, drawn.there, drawn.season)
    known = windows.scale > 0
    unit = torch.where(known, windows.scale, torch.ones_like(windows.scale))[:, None]
    truth = ((drawn.truth - windows.level[:, None]) / unit).clamp(-MOST, MOST)
    weights = drawn.weights * known[:, None] / known.sum().clamp(min=1)
    quantiles = network(windows)
    return (pinball(truth, quantiles) * weights).sum(), ((truth - quantiles[..., MEDIAN]).abs() * weights).sum()


def train(
    path: Path, seconds: float, seed: int, every: float, start: PretrainedNetwork | None = None, minutes: float = np.inf
) -> None:
    """Train for as many processor seconds, but not longer than `minutes` of the clock.

    The averaged weights are written to `path`, also every `every` processor seconds.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = start or PretrainedNetwork()
    network.train()
    average = {name: each.clone() for name, each in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    began, clock, saved, step, recent = time.process_time(), time.monotonic(), 0.0, 0, np.zeros(2)
    while True:
        used = time.process_time() - began
        share = max(used / seconds, (time.monotonic() - clock) / (60 * minutes))
        if share >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * share))
        drawn = draw(rng, KINDS[rng.choice(len(KINDS), p=[kind.share for kind in KINDS])])
        of_quantiles, of_median = losses(network, drawn)
        optimiser.zero_grad()
        (of_quantiles + 0.5 * of_median).backward()
        # A series that overflows is one of millions: its batch is left out.
        if torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0).isfinite():
            optimiser.step()
        step += 1
        for name, each in network.state_dict().items():
            average[name].lerp_(each, 1 - min(AVERAGED, step / (step + 20)))
        loss = np.array([float(of_quantiles.detach()), float(of_median.detach())])
        recent = loss if step == 1 else 0.99 * recent + 0.01 * loss
        if used - saved > every:
            saved = used
            save(average, path)
            print(_progress(step, used, recent), flush=True)
    save(average, path)
    print(_progress(step, time.process_time() - began, recent))


def _progress(steps: int, seconds: float, recent: np.ndarray) -> str:
    return f"{steps} steps, {seconds:.0f} s, loss {recent[0]:.4f}, of the median {recent[1]:.4f}"


def pinball(y: Tensor, quantiles: Tensor) -> Tensor:
    """(B, H) twice the mean loss over the levels: y (B, H), quantiles (B, H, Q)."""
    gap, levels = y[..., None] - quantiles, torch.tensor(LEVELS)
    return 2 * torch.maximum(levels * gap, (levels - 1) * gap).mean(-1)


def save(weights: dict[str, Tensor], path: Path) -> None:
    """Two bytes a parameter."""
    save_file({name: each.half() for name, each in weights.items()}, path)
