"""What learned weights say: those of variables kept apart, and whether those of attention may be read as importance."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.explanation.ranks import spearman
from tsx.explanation.result import Check, percent
from tsx.explanation.shap.units import slope
from tsx.model.batch import Batch
from tsx.model.network import Encoded, Network
from tsx.panel.sampling import evenly_spaced
from tsx.spec.schema import Schema

ROWS = 256
"""Windows pushed through the network at once."""
EXAMINED = 256
"""Windows at most whose attention is shuffled."""
SHUFFLES = 8
AGREEING = 0.5
"""Rank correlation with the SHAP values from which attention tells the important lags from the others."""
DECIDING = 0.25
"""Shuffled weights move the forecast this much of what another window's whole context does: .50 to .79 on trained
networks that attend to the season of an autoregression, up to .03 where attention is spread or untrained."""


def variable_tables(network: Network, schema: Schema, population: Batch) -> dict[str, pl.DataFrame]:
    """`variables` and `variable_lags` of a network that keeps its variables apart (imv-lstm); {} for any other.

    variables: feature, weight, contribution, recurrent, linear. weight: the learned mixture's, mean over windows; they
    sum to 1. The mixed state is the sum of weight x expert and the head that reads it is linear, so what a variable
    adds to the median is known exactly: `recurrent` is its mean size over windows and steps, `linear` that of what the
    variable adds through the linear map, both as far as the network is trusted, in units of y and around their own
    means over the windows. `contribution` is the variable's share of both together. What the decoder of statics, known
    future and attention makes of the mixed state is not linear and is left out; so are the smoothed season, level and
    trend, which are the target's.

    variable_lags: feature, lag, weight: attention over time within each variable, mean over the windows in which it was
    observed (over all where it never was); a segment's weight is shared evenly by its lags. They sum to 1 a feature.
    """
    if network.mixture is None:
        return {}
    config = network.config
    weights, lags, seen, recurrent, linear, scales = ([] for _ in range(6))
    with torch.inference_mode():
        for begin in range(0, len(population), ROWS):
            batch = population.take(np.arange(begin, min(begin + ROWS, len(population))))
            encoded = network.encode(batch)
            mixed = network.mix(network.recurrence(network.segments(encoded)), encoded)
            assert mixed is not None
            weights.append(mixed.variables.double().cpu())
            lags.append(mixed.lags.double().cpu())
            seen.append(network.seen(encoded).any(1).cpu())
            recurrent.append(_through_mixture(network, mixed.variables, mixed.experts).double().cpu())
            linear.append(_through_map(network, encoded).double().cpu())
            scales.append((network.share * slope(network, batch)).double().cpu())
    scale = torch.cat(scales)[..., None]
    parts = [torch.cat(each) for each in (recurrent, linear)]
    moves = [(part - part.mean(0)) * scale for part in parts]
    sizes = [move.abs().mean((0, 1)).numpy() for move in moves]
    together = (moves[0] + moves[1]).abs().mean((0, 1)).numpy()
    variables = pl.DataFrame(
        {
            "feature": schema.channels,
            "weight": torch.cat(weights).mean(0).numpy(),
            "contribution": together / together.sum() if together.sum() > 0 else together,
            "recurrent": sizes[0],
            "linear": sizes[1],
        }
    )
    observed = torch.cat(seen)
    counted = (observed | ~observed.any(0))[:, None].double()
    attended = ((torch.cat(lags) * counted).sum(0) / counted.sum(0)).flip(0).T / config.segment
    features = np.repeat(np.arange(config.channels), config.context_length)
    variable_lags = pl.DataFrame(
        {
            "feature": pl.Series(schema.channels).gather(features),
            "lag": np.tile(np.arange(1, config.context_length + 1), config.channels),
            "weight": attended.repeat_interleave(config.segment, 1).flatten().numpy(),
        }
    )
    return {"variables": variables, "variable_lags": variable_lags}


def attention_check(network: Network, population: Batch, shap_by_lag: np.ndarray) -> Check | None:
    """Whether attention may be read as importance here; None without attention. Never decisive: pass or weak.

    shap_by_lag (T), lag 1 first: mean |SHAP value|. Two figures: Spearman's rank correlation over the segments of mean
    attention with the sum of these (the figure of the check), and what shuffled weights change: the mean |change of the
    median| when each window's weights are permuted over its observed segments (Jain & Wallace 2019, section 4.2.1),
    relative to that when the whole context is another window's. Shuffling may be harmless although attention is needed,
    where the states it reads are alike; so that agreement with another measure is asked for beside it (Wiegreffe &
    Pinter 2019). Passes where they are at least AGREEING and DECIDING.
    """
    if network.attention is None:
        return None
    if not float(network.share):
        words = "The forecast is the smoothing's alone, whatever the attention: do not read it as importance here."
        return Check("attention", 0.0, "weak", words)
    config = network.config
    batch = population.take(evenly_spaced(len(population), EXAMINED))
    by_segment = np.asarray(shap_by_lag, dtype=np.float64).reshape(config.segments, config.segment).sum(1)
    with torch.inference_mode():
        encoded = network.encode(batch)
        states = network.recurrence(network.segments(encoded))
        context, weights = network.attend(states, encoded)
        assert context is not None
        assert weights is not None
        moved = _shuffling(network, states, encoded, context, weights)
    attended = weights.double().mean((0, 1)).flip(0).cpu().numpy()
    agreement = spearman(attended, by_segment)
    figure = 0.0 if agreement is None else agreement
    agrees, decides = figure >= AGREEING, moved >= DECIDING
    ranks = "rank lags alike" if agrees else "rank lags differently" if agreement is not None else "cannot be ranked"
    words = (
        f"Attention and SHAP values {ranks} ({figure:.2f}), and shuffling the attention weights changes the forecast "
        f"{percent(moved)} as much as another window's attention does: "
    )
    words += "attention may be read as importance here." if agrees and decides else "do not read it as importance here."
    return Check("attention", figure, "pass" if agrees and decides else "weak", words)


def _shuffling(network: Network, states: Tensor, encoded: Encoded, context: Tensor, weights: Tensor) -> float:
    """Mean |change of the median| with shuffled weights over that with another window's context; 0 where none moves."""

    def median(context: Tensor) -> Tensor:
        return network.read(states, encoded, context)[..., network.config.median].double()

    seen = network.seen(encoded).any(-1)
    random = torch.Generator().manual_seed(0)
    before = median(context)
    shuffled = replaced = 0.0
    for shift in range(1, SHUFFLES + 1):
        order = _orders(seen, random)[:, None].expand_as(weights)
        shuffled += float((median(weights.gather(2, order) @ states) - before).abs().mean())
        replaced += float((median(context.roll(shift, 0)) - before).abs().mean())
    return shuffled / replaced if replaced > 0 else 0.0


def _orders(seen: Tensor, random: torch.Generator) -> Tensor:
    """(B, S) int64: a random order of each window's seen segments, the others where they are."""
    draws = torch.rand(seen.shape, generator=random).to(seen.device)
    # the seen ones in order of place, and in order of draw: one goes where the other was
    steps = seen.shape[1]
    places = torch.where(seen, torch.arange(steps, device=seen.device), steps).argsort(dim=1, stable=True)
    drawn = torch.where(seen, draws, 2.0).argsort(dim=1, stable=True)
    return torch.empty_like(places).scatter_(1, places, drawn)


def _through_mixture(network: Network, variables: Tensor, experts: Tensor) -> Tensor:
    """(B, H, V): what each variable adds to the median through the mixed state, in window scales."""
    weights = network.direct.weight.unflatten(0, (network.config.horizon, -1))[:, network.config.median]
    return torch.einsum("bvd,hd->bhv", variables[..., None] * experts, weights)


def _through_map(network: Network, encoded: Encoded) -> Tensor:
    """(B, H, V): what each variable adds through the linear map, in window scales; zeros without one."""
    config = network.config
    if network.linear is None:
        return encoded.lags.new_zeros(len(encoded.lags), config.horizon, config.channels)
    weights = network.linear.weight.unflatten(1, (config.context_length, config.channels))
    return torch.einsum("btc,htc->bhc", encoded.lags, weights)
