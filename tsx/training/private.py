"""Training with differential privacy, where what is protected is a whole series with all of its windows.

In every step each series takes part with the same probability, by itself (Poisson sampling). The gradient at one of its
windows is clipped to a norm, and Gaussian noise in units of that norm is added to the sum over series (Abadi et al.
2016, algorithm 1, with series for examples). Which window it is does not matter to the accounting: all are cut from the
series, and whatever they say of it is in the one gradient that is clipped. Where windows themselves are the units that
are sampled, overlaps count (Schuchardt et al. 2025, arXiv 2502.02410).

Scales are those of each window. The smoothing is trained first, then the network that is added to it, then one factor
makes intervals as wide as they must be.

Shapes: N series, S of them in a step, P parameters, H horizon, Q quantiles.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from tsx.model.batch import Batch, Windows
from tsx.model.embedding import Encoded
from tsx.model.exporting import for_any_batch
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network, Prepared
from tsx.model.smoothing import TARGET_LIMIT
from tsx.panel.cutoffs import Cutoffs
from tsx.progress import SILENT, Progress
from tsx.spec.channels import TARGET
from tsx.training.initialisation import RATE
from tsx.training.loop import learning_rate_factor
from tsx.training.optimizer import AdamW
from tsx.training.private_plan import (
    CLIP_NORM,
    SMOOTHING_NOISE,
    SMOOTHING_STEPS,
    WIDTH_NOISE,
    PrivateRun,
    Uniform,
    normal,
)

AT_A_TIME = 256
"""Series whose gradients are held at once."""
AVERAGED = 0.98
"""What is kept is an exponential average over about the last fifty steps, which costs no privacy."""
FACTORS = 2.0 ** (np.arange(-16, 17) / 8)
"""By which all spreads may be multiplied."""
PREPARED = tuple(field.name for field in fields(Prepared) if field.name != "encoded")
"""What is prepared of a window beside its inputs."""
Gradients = Callable[[Batch], Tensor]
"""(S, P): the gradient of the loss at each window of a batch by itself."""


def train_privately(
    network: Network, windows: Windows, learn: Cutoffs, run: PrivateRun, uniform: Uniform, progress: Progress = SILENT
) -> None:
    """Fit the network in place to windows at the `learn` cutoffs.

    A series without such a cutoff counts nothing. All chance, the noise too, is drawn from `uniform`.
    """
    network.eval()
    smoothing = network.additive.smoothing
    sums = SeriesSums(windows, learn, run, uniform)
    progress.start("training", SMOOTHING_STEPS + run.steps)
    try:
        _descend(
            sums,
            smoothing_gradients(network),
            [smoothing.weights, smoothing.leaning],
            SMOOTHING_NOISE * run.noise,
            [RATE * (1 - step / SMOOTHING_STEPS) for step in range(SMOOTHING_STEPS)],
            progress.update,
        )
        _descend(
            sums,
            network_gradients(network),
            [parameter.detach() for parameter in network.parameters()],
            run.noise,
            [run.learning_rate * learning_rate_factor(step / run.steps) for step in range(run.steps)],
            lambda done: progress.update(SMOOTHING_STEPS + done),
        )
    finally:
        progress.finish()


class SeriesSums:
    """Noisy sums of clipped gradients over series that are drawn anew each time."""

    def __init__(self, windows: Windows, learn: Cutoffs, run: PrivateRun, uniform: Uniform) -> None:
        self.windows, self.learn, self.run, self.uniform = windows, learn, run, uniform
        self.count, self.first = cutoffs_of_series(learn, len(windows.rows))

    def drawn(self) -> np.ndarray:
        """Running numbers of cutoffs, one of each series that takes part this time."""
        taking = (self.uniform(len(self.count)) < self.run.rate) & (self.count > 0)
        places = self.first + (self.uniform(len(self.count)) * self.count).astype(np.int64)
        return np.asarray(places[taking])

    def mean(self, gradients: Gradients, size: int, noise: float) -> Tensor:
        """(P): the sum over the series drawn, with noise, over the number of series expected."""
        numbers, total = self.drawn(), torch.zeros(size)
        for begin in range(0, len(numbers), AT_A_TIME):
            batch = self.windows.cut(*self.learn.pick(numbers[begin : begin + AT_A_TIME]))
            total += clipped(gradients(batch).cpu(), CLIP_NORM).sum(0)
        total += noise * CLIP_NORM * torch.from_numpy(normal(size, self.uniform)).float()
        return total / self.run.expected


def _descend(
    sums: SeriesSums,
    gradients: Gradients,
    parameters: Sequence[Tensor],
    noise: float,
    rates: Sequence[float],
    done: Callable[[int], None],
) -> None:
    """Move the parameters by a noisy gradient at each of these learning rates, and leave them with their average."""
    optimiser, sizes = AdamW(parameters), [parameter.numel() for parameter in parameters]
    average = [parameter.clone() for parameter in parameters]
    for step, rate in enumerate(rates, 1):
        mean = sums.mean(gradients, sum(sizes), noise)
        for parameter, part in zip(parameters, mean.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter.device)
        optimiser.step(rate)
        torch._foreach_lerp_(average, list(parameters), 1 - min(AVERAGED, (1 + step) / (10 + step)))
        done(step)
    torch._foreach_copy_(list(parameters), average)
    for parameter in parameters:
        parameter.grad = None


def clipped(gradients: Tensor, most: float) -> Tensor:
    """Rows (S, P) with norms of at most `most`; a row that is not finite counts nothing."""
    norms = torch.linalg.vector_norm(gradients.double(), dim=1, keepdim=True)
    kept: Tensor = torch.where(torch.isfinite(norms), gradients * (most / norms).clamp(max=1.0).float(), 0.0)
    return kept


def smoothing_gradients(network: Network) -> Gradients:
    """Of the mean absolute error of level, trend and season (`tsx.training.initialisation.fit_smoothing`)."""
    smoothing = network.additive.smoothing
    parameters = {"weights": smoothing.weights, "leaning": smoothing.leaning}

    def loss(parameters: dict[str, Tensor], x: Tensor, observed: Tensor, target: Tensor) -> Tensor:
        season, line = functional_call(smoothing, parameters, (x[None], observed[None]))
        seen = ~torch.isnan(target)
        missed = (season + line)[0] - torch.where(seen, target, 0.0).clamp(-TARGET_LIMIT, TARGET_LIMIT)
        error: Tensor = (missed.abs() * seen).sum() / seen.sum().clamp(min=1)
        return error

    vectorised = vmap(grad(loss), in_dims=(None, 0, 0, 0))

    def of_each(batch: Batch) -> Tensor:
        encoded = network.encode(batch)
        target = network.scaled_target(batch, encoded)
        with for_any_batch():
            found = vectorised(parameters, encoded.lags[..., TARGET], encoded.observed[..., TARGET], target)
        return torch.cat([found[name] for name in parameters], 1)

    return of_each


def network_gradients(network: Network) -> Gradients:
    """Of the pinball loss, in the order of the network's parameters.

    The derivatives here are vectorised over windows, which is several times as fast as one window after the other.
    """
    plain = _Scaled(network)
    own = dict(network.named_parameters())
    parameters = {name: own[name.removeprefix("network.")].detach() for name, _ in plain.named_parameters()}

    def loss(parameters: dict[str, Tensor], tensors: Sequence[Tensor]) -> Tensor:
        alone = [tensor[None] for tensor in tensors]
        prepared = Prepared(Encoded(*alone[: -len(PREPARED)]), *alone[-len(PREPARED) :])
        quantiles, target = functional_call(plain, parameters, (prepared,))
        return pinball(quantiles, target, network.head.levels)

    vectorised = vmap(grad(loss), in_dims=(None, 0))

    def of_each(batch: Batch) -> Tensor:
        prepared = network.prepare(batch)
        encoded = (getattr(prepared.encoded, field.name) for field in fields(Encoded))
        found = vectorised(parameters, [*encoded, *(getattr(prepared, name) for name in PREPARED)])
        return torch.cat([found[name].flatten(1) for name in parameters], 1)

    return of_each


class _Scaled(nn.Module):
    """A network as a module of what training compares, with encoders that can be differentiated window by window."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for member in self.network.members:
            layers = member.encoder.layers
            for k, layer in enumerate(layers):
                layers[k] = member.encoder.step_by_step(layer)

    def forward(self, prepared: Prepared) -> tuple[Tensor, Tensor]:
        return self.network.scaled_from(prepared)


def widen(network: Network, windows: Windows, learn: Cutoffs, epsilon: float, uniform: Uniform) -> float:
    """Multiply all spreads by the one factor with which intervals cover what they name, chosen with noise; give it.

    Every series counts with its newest window: how much more of it the intervals cover than they name, on average over
    intervals and steps, which is within (-1, 1). Of FACTORS the one is taken whose sum over series is nearest to 0, by
    the exponential mechanism (McSherry & Talwar 2007) with Gumbel noise: a series changes that distance by 1 at most.
    With an epsilon of its own of 2 / noise it has the divergence of Gaussian noise (Cesar & Rogers 2021, lemma 3.4).
    """
    count, first = cutoffs_of_series(learn, len(windows.rows))
    newest = (first + count - 1)[count > 0]
    excess = np.zeros(len(FACTORS))
    for begin in range(0, len(newest), AT_A_TIME):
        with torch.no_grad():
            scaled = network.scaled(windows.cut(*learn.pick(newest[begin : begin + AT_A_TIME])))
        quantiles, target = (each.cpu().double().numpy() for each in scaled)
        median = quantiles[..., network.config.median, None]
        for k, factor in enumerate(FACTORS):
            wider = median + factor * (quantiles - median)
            excess[k] += excess_coverage(network.config.quantile_levels, wider, target).sum()
    factor = float(FACTORS[least_with_noise(np.abs(excess), WIDTH_NOISE / epsilon, uniform)])
    network.head.spread_factors.mul_(factor)
    return factor


def least_with_noise(distances: np.ndarray, noise: float, uniform: Uniform) -> int:
    """The place of about the least of the distances: each with probability proportional to exp(-distance / noise)."""
    gumbel = -np.log(-np.log(uniform(len(distances))))
    return int(np.argmax(gumbel - distances / noise))


def excess_coverage(levels: Sequence[float], quantiles: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(S): how much more of the targets (S, H) lie in central intervals of quantiles (S, H, Q) than these name.

    The mean over intervals and observed steps; 0 where there is none.
    """
    seen = ~np.isnan(target)
    excess = np.zeros(len(target))
    central = [(low, high) for low in levels for high in levels if low < 0.5 and abs(low + high - 1) < 1e-9]
    for low, high in central:
        inside = (target >= quantiles[..., levels.index(low)]) & (target <= quantiles[..., levels.index(high)])
        excess += np.where(seen, inside - (high - low), 0.0).sum(1) / np.maximum(seen.sum(1), 1) / len(central)
    return excess


def cutoffs_of_series(learn: Cutoffs, series: int) -> tuple[np.ndarray, np.ndarray]:
    """(N) how many cutoffs each of the series has, and the running number of its first one."""
    runs = np.arange(len(learn.first)) if learn.series is None else learn.series
    count = np.bincount(runs, np.maximum(learn.last - learn.first + 1, 0), minlength=series).astype(np.int64)
    return count, np.cumsum(count) - count
