"""The effects of known-future covariates, fitted to training windows by ridge before the smoothing is."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from tsx.baselines.ridge import fit_ridge
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.model.smoothing import TARGET_LIMIT
from tsx.panel.sampling import evenly_spaced
from tsx.spec.channels import TARGET
from tsx.spec.decision import Decision
from tsx.training.gains import mean_gain
from tsx.training.initialisation import smooth
from tsx.wording import number

NAME = "known_effects"
MOST_VALUES = 4_000_000
"""Values of a design matrix at most; of more windows some are taken, evenly spaced."""
ROUNDS = 4
"""Times that regression and autocorrelation are estimated in turn."""


def smooth_on_effects(
    network: Network, sample: Batch, series: np.ndarray, stretches: np.ndarray
) -> tuple[Decision, ...]:
    """Fit the smoothing, and where the network may have them, the effects that it stands on. Returns the decisions.

    Effects are as large in every series, or as each series is, where that is better by a standard error: the deviation
    of a series is not known exactly, and moves with what is known ahead. They stay where the smoothing forecasts better
    with them by a standard error of the mean absolute error on the training windows `sample`, of `series` (B), of which
    those of one of `stretches` (B) are one observation.
    """
    effects, additive = network.additive.effects, network.additive
    if effects is None:
        return (smooth(network, sample, stretches),)
    untouched = _copied(network)
    smoothing = smooth(network, sample, stretches)
    alone, without = _copied(network), _errors(network, sample)

    def fitted(by_series: bool) -> tuple[dict[str, Tensor], Decision, Tensor]:
        additive.load_state_dict(untouched)
        effects.by_series.fill_(by_series)
        effects.weights.copy_(fit_effects(network, sample, series, stretches))
        decision = smooth(network, sample, stretches)
        return _copied(network), decision, _errors(network, sample)

    state, on_effects, missed = fitted(by_series=False)
    if network.config.link != "log" and len(np.unique(series)) > 1:
        own = fitted(by_series=True)
        gain, uncertain = _gain(missed, own[2], stretches)
        if gain > uncertain:
            state, on_effects, missed = own
    gain, uncertain = _gain(without, missed, stretches)
    steps = f"a step and of up to {effects.reach} before it" if effects.reach else "a step"
    reason = (
        f"linear effects of the known-future covariates of {steps}: the mean absolute error of the smoothing is "
        f"{number(float(missed.nanmean()), 3)} deviations with them and {number(float(without.nanmean()), 3)} without"
    )
    if gain > uncertain:
        additive.load_state_dict(state)
        sizes = "in deviations of each series" if state["effects.by_series"] else "as large in every series"
        return Decision(NAME, True, f"{reason} ({len(sample):,} training windows); they are {sizes}"), on_effects
    additive.load_state_dict(alone)
    shortfall = f"which is no better by its standard error of {number(uncertain, 2)}"
    return Decision(NAME, False, f"{reason}, {shortfall} ({len(sample):,} training windows)"), smoothing


def _gain(errors: Tensor, others: Tensor, stretches: np.ndarray) -> tuple[float, float]:
    """By how much the `others` (B, H) are less on average, and the standard error of that over `stretches` (B)."""
    gains, counts = (errors - others).nansum(1).double().numpy(), (~torch.isnan(others)).sum(1).numpy()
    gain, uncertain = mean_gain(gains, counts, stretches)
    return float(gain), float(uncertain)


def refit_effects(network: Network, sample: Batch, series: np.ndarray, stretches: np.ndarray) -> None:
    """Fit the effects again, where the network has any: they count in deviations, so that under other scales the same
    weights would be other effects. Takes what `smooth_on_effects` does."""
    effects = network.additive.effects
    if effects is not None and bool(effects.weights.any()):
        effects.weights.copy_(fit_effects(network, sample, series, stretches))


def _copied(network: Network) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.additive.state_dict().items()}


def _errors(network: Network, sample: Batch) -> Tensor:
    """(B, H): absolute errors of smoothing and effects in window scales, NaN where the target is missing."""
    prepared = network.prepare(sample)
    return (prepared.target.clamp(-TARGET_LIMIT, TARGET_LIMIT) - prepared.season - prepared.line).abs()


def fit_effects(network: Network, sample: Batch, series: np.ndarray, stretches: np.ndarray) -> Tensor:
    """The weights (F (K + 1)) of `KnownEffects`, by ridge regression with autocorrelated errors.

    Within windows, so that their levels do not matter; of changes from a season before, where the smoothing has a
    season; and of what is left of the value before by the share of it that errors keep (Cochrane & Orcutt 1949). The
    penalty is chosen on the newest third of the windows, by `stretches` (B). Each of the `series` (B) is counted in its
    deviation at its newest window, since what was known of it before is less exact.
    """
    effects, scaler = network.additive.effects, network.scaler
    if effects is None:
        raise ValueError("this network has no effects of known-future covariates")
    length = network.config.context_length + network.config.horizon
    most = max(1, MOST_VALUES // (length * len(effects.weights)))
    by_time = np.argsort(-stretches, kind="stable")
    chosen = by_time[evenly_spaced(len(by_time), most)]
    parts = parts_of(stretches[chosen], -(-length // network.config.horizon))
    some = Batch(*(getattr(sample, each.name)[torch.from_numpy(chosen)] for each in fields(Batch)))
    lags, observed = scaler.linked_lags(some)
    y = torch.cat([torch.where(observed[..., TARGET], lags[..., TARGET], torch.nan), scaler.linked_target(some)], 1)
    unit = effects.unit(sample, scaler.typical_scale)[newest_of(series, by_time)[chosen]]
    y = (y / unit[:, None]).cpu().double()
    x = effects.sequences(some, scaler.covariate_scale).cpu().double()
    season = network.additive.smoothing.season
    if season > 1:
        y, x = y[:, season:] - y[:, :-season], x[:, season:] - x[:, :-season]
    weights, kept = y.new_zeros(x.shape[2]), 0.0
    for _ in range(ROUNDS):
        weights = _regressed(y[:, 1:] - kept * y[:, :-1], x[:, 1:] - kept * x[:, :-1], parts)
        left = _within(y - x @ weights)
        products = (left[:, 1:] * left[:, :-1]).nansum()
        squares = torch.where(torch.isnan(left[:, 1:]), 0.0, left[:, :-1]).square().nansum()
        kept = float((products / squares.clamp(min=1e-12)).clamp(0, 1))
    return weights.to(effects.weights.dtype)


def newest_of(series: np.ndarray, by_time: np.ndarray) -> np.ndarray:
    """(B) which window is the newest of the series of each; by_time (B): the windows, the oldest first."""
    number = np.unique(series, return_inverse=True)[1].reshape(-1)
    newest = np.zeros(number.max() + 1, dtype=np.int64)
    newest[number[by_time]] = by_time  # of several the last one counts
    return newest[number]


def parts_of(stretches: np.ndarray, apart: int) -> np.ndarray:
    """(B) as `fit_ridge` takes them: 1 in the newest third of the stretches, -1 in those before, 0 between.

    apart: stretches between, so that the windows of one part share no row with those of the other; at most a third.
    """
    oldest, newest = (int(np.quantile(stretches, share, method="lower")) for share in (1, 1 / 3))
    early = stretches > newest + min(apart, (oldest - newest) // 2)
    return np.where(early, -1, np.where(stretches <= newest, 1, 0))


def _within(values: Tensor) -> Tensor:
    """Of each window (B, T) or (B, T, F) less its mean; NaN stays."""
    return values - values.nanmean(1, keepdim=True)


def _regressed(y: Tensor, x: Tensor, parts: np.ndarray) -> Tensor:
    """(F): ridge regression of y (B, T) on x (B, T, F) within windows, each of one of `parts` (B)."""
    seen = ~torch.isnan(y)
    features = _within(torch.where(seen[..., None], x, torch.nan))[seen].numpy()
    fit = fit_ridge(features, _within(y)[seen][:, None].numpy(), np.repeat(parts, seen.sum(1).numpy()))
    return torch.from_numpy(fit.weights[:, 0])
