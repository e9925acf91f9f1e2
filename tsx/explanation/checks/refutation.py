"""Attempts to refute an explanation that need more than its own figures.

Randomised layers: does it change when the network forgets what it learned (Adebayo et al. 2018, cascading)? Noise: does
it stay when the window hardly moves (Alvarez-Melis & Jaakkola 2018)? Seeds: do networks that were trained alike say
alike? Manifold: how far from real windows are those that were evaluated (Frye et al. 2021)?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.ranks import rank_similarity
from tsx.explanation.shap.chunk import Chunk
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.model.member import Member
from tsx.model.network import Network

Profile = Callable[[Forecaster], np.ndarray]
"""A forecaster to its signed SHAP values (W, P, O): the same windows, references and orders in every call."""

HEADS = ("mixture", "attention", "linear", "decoder.direct", "decoder.joint")
"""Trained parts of a network that stand after its encoder, as far as it has them."""
NOISE = 0.02
"""Noise as a share of a feature's standard deviation within the window: what no reader of a chart would see."""
TOP = 10
"""Strongest players whose overlap between seeds is counted."""


@dataclass(frozen=True, eq=False)
class Randomised:
    """Randomised layers. `figure`: the signed rank correlation that is left with the last of them randomised.

    `table`: layers (randomised so far, from the heads downwards), rank_correlation (of the mean |SHAP| profiles, as
    Adebayo et al. print it) and signed_correlation (of the signed values, every window, player and step a pair, after
    what no weight contributes is taken away). `learned`: the size of the learned part over that of all values.
    `any_value`: whether there is any value other than zero. `network_adds`: whether the network adds to the forecast.
    `several`: whether more than one input has such a value, as it was learnt or randomised.
    """

    figure: float
    table: pl.DataFrame
    learned: float
    any_value: bool = True
    network_adds: bool = True
    several: bool = True


@dataclass(frozen=True)
class Stability:
    """SHAP values against those of nearly the same windows.

    `rank_correlation` of the signed values; `change`: size of the difference over that of the values.
    """

    rank_correlation: float
    change: float


@dataclass(frozen=True)
class Agreement:
    """Networks of other seeds: mean rank correlation of two profiles, mean share of the `top` players in common."""

    rank_correlation: float
    overlap: float
    top: int
    networks: int


@dataclass(frozen=True)
class Manifold:
    """How far evaluated windows lie from real ones.

    `ratio`: median distance of the mixed windows over that of real windows kept apart; `outside`: share of the mixed
    windows farther out than 95 % of these.
    """

    ratio: float
    outside: float


def randomised_layers(profile_of: Profile, forecaster: Forecaster, *, seed: int = 0) -> Randomised:
    """Randomise the network from its heads down to its first layer, and compare its SHAP values each time.

    Weights become those of a network before training, which has no limits; fixed scales stay. What location and
    smoothing contribute is the same whatever the weights are: a ranking by mean |SHAP| hardly changes without them, and
    an untrained network's may correlate .9 with a trained one's. SHAP values are linear in the forecast, so that part
    is taken away exactly: it is what the network with heads of zero explains. The rest is compared with its signs,
    window by window. `profile_of` is called once for each stage and twice more.
    """
    values = profile_of(forecaster)
    fixed = profile_of(replace(forecaster, network=without_heads(forecaster.network)))
    learned = values - fixed
    stages = _stages(forecaster.network)
    correlations = np.empty((len(stages), 2))
    network, fresh = deepcopy(forecaster.network), _untrained(forecaster.network, seed)
    network.limits.lift()  # they were learnt
    for stage, (_, names) in enumerate(stages):
        for member, untrained in zip(network.members, fresh.members, strict=True):
            for name in names:
                member.get_submodule(name).load_state_dict(untrained.get_submodule(name).state_dict())
        other = profile_of(replace(forecaster, network=network))
        correlations[stage] = (
            rank_similarity(_profile(values), _profile(other)),
            rank_similarity(learned, other - fixed),
        )
    table = pl.DataFrame(
        {
            "layers": [label for label, _ in stages],
            "rank_correlation": correlations[:, 0],
            "signed_correlation": correlations[:, 1],
        }
    )
    size = float(np.linalg.norm(values))
    share = float(np.linalg.norm(learned)) / size if size > 0 else 0.0
    return Randomised(
        float(correlations[-1, 1]), table, share, size > 0, float(forecaster.network.additive.network_weight) > 0
    )


def with_noise(batch: Batch, share: float = NOISE, *, seed: int = 0) -> Batch:
    """The windows with noise on every observed lag: `share` of the standard deviation of its feature in its window.

    A feature that does not move stays as it is; so do known-future values and static covariates.
    """
    past = batch.past.cpu().double()
    seen = ~torch.isnan(past)
    count = seen.sum(1, keepdim=True).clamp(min=1)
    centered = torch.where(seen, past - past.nanmean(1, keepdim=True).nan_to_num(), 0.0)
    spread = (centered.square().sum(1, keepdim=True) / count).sqrt()
    noise = torch.randn(past.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return replace(batch, past=batch.past + (share * spread * noise).to(batch.past))


def noise_stability(values: np.ndarray, again: np.ndarray) -> Stability:
    """Compare `values` with those of the same windows with noise, `again`, both (W, P, O).

    Both must be sampled with the same orders and references: they then share their sampling noise, which cancels.
    """
    size = float(np.square(values).sum())
    if size <= 0:
        return Stability(0.0, float("inf") if np.any(again) else 0.0)
    return Stability(rank_similarity(values, again), float(np.square(again - values).sum() / size) ** 0.5)


def seed_stability(profiles: Sequence[np.ndarray]) -> Agreement:
    """`profiles`: mean |SHAP| (P) of networks that differ by their seed alone, two at least."""
    players = len(profiles[0])
    top = min(TOP, max(1, players // 3))
    strongest = [set(np.argsort(-profile, kind="stable")[:top].tolist()) for profile in profiles]
    pairs = list(combinations(range(len(profiles)), 2))
    return Agreement(
        rank_correlation=float(np.mean([rank_similarity(profiles[a], profiles[b]) for a, b in pairs])),
        overlap=float(np.mean([len(strongest[a] & strongest[b]) / top for a, b in pairs])),
        top=top,
        networks=len(profiles),
    )


def mixed_windows(chunk: Chunk, references: Tensor, count: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`count` windows (n, M) as sampling evaluates them, and which window each began as (n).

    A random number of players, and random ones, take the values of a random one of `references` (W, R, M).
    """
    players, of_cell = len(chunk.players), chunk.players.of_cell
    of = torch.from_numpy(np.arange(count) % len(chunk.cells))
    which = torch.from_numpy(random.integers(references.shape[1], size=count))
    sizes = random.integers(1, max(players, 2), size=count)
    ranks = random.permuted(np.tile(np.arange(players), (count, 1)), axis=1)
    gone = torch.from_numpy((ranks < sizes[:, None])[:, of_cell.clip(min=0)] & (of_cell >= 0))
    return chunk.mixed(of, references[of, which], gone.to(chunk.cells.device)), of


def manifold_distance(mixed: np.ndarray, real: np.ndarray) -> Manifold | None:
    """How far `mixed` (n, M) windows lie from `real` ones (N, M, in order of time), both in window scales.

    Mahalanobis distance from the mean of one half of the real windows, its covariance shrunk towards the mean variance
    by Ledoit & Wolf (2004); the other half says how far real windows lie. The halves are alternating runs, so that
    overlapping windows hardly meet. Missing cells stand at the mean. None with fewer than 16 real windows or where
    they do not vary.
    """
    runs = np.arange(len(real)) * min(8, len(real)) // max(len(real), 1) % 2 == 1
    fitted, held_out = real[~runs], real[runs]
    if len(real) < 16:
        return None
    seen = ~np.isnan(fitted)
    count = np.maximum(seen.sum(0), 1)
    mean = np.where(seen, fitted, 0.0).sum(0) / count
    spread = np.sqrt(np.where(seen, np.square(fitted - mean), 0.0).sum(0) / count)
    varied = spread > 1e-9 * spread.max(initial=0.0)
    if not varied.any():
        return None
    known, apart, tried = (
        np.nan_to_num((x[:, varied] - mean[varied]) / spread[varied]) for x in (fitted, held_out, mixed)
    )
    _, singular, axes = np.linalg.svd(known, full_matrices=False)
    variances = singular**2 / len(known)
    shrinkage = max(shrinkage_of(known, variances), 1e-6)
    floor = shrinkage * float(variances.sum()) / known.shape[1]

    def distance(x: np.ndarray) -> np.ndarray:
        along = x @ axes.T
        off = np.maximum(np.square(x).sum(1) - np.square(along).sum(1), 0.0)
        return np.asarray(np.sqrt((np.square(along) / ((1 - shrinkage) * variances + floor)).sum(1) + off / floor))

    usual, evaluated = distance(apart), distance(tried)
    middle = float(np.median(usual))
    if middle <= 0:
        return None
    return Manifold(float(np.median(evaluated)) / middle, float((evaluated > np.quantile(usual, 0.95)).mean()))


def shrinkage_of(x: np.ndarray, variances: np.ndarray) -> float:
    """How far the covariance of x (N, M), around 0, is shrunk (Ledoit & Wolf 2004, lemmas 3.2 to 3.4).

    `variances`: its eigenvalues other than 0. From these alone, since M may be thousands.
    """
    windows, cells = x.shape
    squared = float(np.square(variances).sum())
    spread = squared - float(variances.sum()) ** 2 / cells
    noise = (float(np.square(np.square(x).sum(1)).sum()) / windows - squared) / windows
    return min(max(noise, 0.0) / spread, 1.0) if spread > 0 else 1.0


def _profile(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(values).mean((0, 2)))


def _stages(network: Network) -> list[tuple[str, list[str]]]:
    """What is randomised one after the other: a label, and the names of the modules."""
    member = network.members[0]
    stages = [("heads", _heads(member))]
    layers = len(member.encoder.layers)
    stages += [(f"layer {k + 1}", [f"encoder.layers.{k}"]) for k in reversed(range(layers))]
    if len(member.embedding.categories):
        stages.append(("categories", ["embedding.categories"]))
    if len(member.embedding.words.tables):
        stages.append(("words", ["embedding.words"]))
    return stages


def _heads(member: Member) -> list[str]:
    present = dict(member.named_modules())
    return [name for name in HEADS if name in present]


def _untrained(network: Network, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(network.config, len(network.members))


def without_heads(network: Network) -> Network:
    """The network with heads of zero: its forecast is what no trained weight contributes.

    At a network weight of 0 nothing of it is run over the steps.
    """
    silent = deepcopy(network)
    with torch.no_grad():
        silent.additive.mean_output *= 1 - silent.additive.network_weight  # what weighted outputs of zero are
        silent.additive.network_weight.zero_()
    return silent
