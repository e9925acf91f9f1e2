"""How the network is combined with simple forecasters, and what bounds it: chosen on windows, then fixed.

Shapes: B windows, H horizon steps, K simple forecasters, O origins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.spec.decision import Decision
from tsx.wording import count

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""What a simple forecaster may count."""
LEAST_ERROR = 1e-9
WORST = 0.1
"""The share of origins in which a forecast does worst."""


def bound(network: Network, sample: Batch) -> None:
    """Set how far the network may move a forecast, and what it takes for new, from training windows."""
    with torch.inference_mode():
        encoded = network.encode(sample)
        raw, mapped = network.decode(encoded)[0], network.linear_map(encoded.lags)
        network.additive.linear_limit.copy_(mapped.abs().amax(0))
        network.additive.recurrent_limit.copy_(raw[..., network.config.median].abs().amax(0))
        network.additive.novelty.fit(encoded)


@dataclass(frozen=True, eq=False)
class Evidence:
    """How a network did on windows that it did not learn from.

    names    of the simple forecasters (K)
    errors   float64 (K, SHARES, B, H) of each combination with one of them, in mean absolute deviations of each series
    origins  (B) which of the origins each window has
    """

    names: tuple[str, ...]
    errors: np.ndarray
    origins: np.ndarray


def evidence_of(network: Network, held: Sequence[Batch], origins: np.ndarray) -> Evidence:
    """From the windows `held` out, of these origins (B)."""
    names, horizon = network.config.simple, network.config.horizon
    before = network.additive.simple.weights.clone()
    network.additive.simple.weights.zero_()
    with torch.inference_mode():
        errors = [_errors(network, batch) for batch in held if names]
    network.additive.simple.weights.copy_(before)
    return Evidence(names, np.concatenate([np.zeros((len(names), len(SHARES), 0, horizon)), *errors], 2), origins)


def choose_combination(network: Network, evidence: Evidence, earlier: Evidence | None = None) -> Decision:
    """Choose and set what a simple forecaster counts beside the network.

    Of each forecaster and share the one with the least risk on held-out windows: its mean absolute error over that of
    the best simple forecaster, the mean of the ratio over all and of that over the tenth of the origins where it is
    largest. `earlier`: of a network that was trained in the same way on older rows.
    """
    simple, names = network.additive.simple, evidence.names
    simple.weights.zero_()
    simple.refuge.zero_()
    if not names:
        return Decision("simple_weights", {}, "no simple forecaster is combined with the network")
    parts = [each for each in (evidence, earlier) if each is not None and each.names == names and len(each.origins)]
    if not parts:
        simple.refuge[0] = 1.0
        return Decision("simple_weights", {}, "no window was held out to tell, so the network counts alone")
    losses = np.concatenate([_by_origin(each) for each in parts], 2)
    windows = sum(len(each.origins) for each in parts)
    best = int(np.argmin(losses[:, -1].mean(1)))
    reference = losses[best, -1]
    risks = np.array([[risk(loss, reference) for loss in of_name] for of_name in losses])
    chosen, share = np.unravel_index(int(np.argmin(risks)), risks.shape)
    simple.refuge[best] = 1.0
    simple.weights[int(chosen)] = SHARES[share]
    ratio = _relative(losses[chosen, share].mean(), reference.mean())
    alone = _relative(losses[0, 0].mean(), reference.mean())
    return Decision(
        "simple_weights",
        {names[chosen]: SHARES[share]} if share else {},
        f"the best simple forecaster on {windows:,} held-out windows is {names[best]}; against it the network "
        f"errs {alone:.2f} times as much, the combination {ratio:.2f} times, and "
        f"{2 * risks[chosen, share] - ratio:.2f} times in the worst tenth of {count(len(reference), 'origin')}",
    )


def _errors(network: Network, batch: Batch) -> np.ndarray:
    """(K, SHARES, B, H): absolute errors of each combination, in units of the series' usual movement."""
    encoded = network.encode(batch)
    parts = network.parts(encoded)
    own = parts.season + parts.linear + parts.raw[..., network.config.median]
    simple = network.additive.simple(encoded.lags[..., 0], encoded.observed[..., 0])
    moved = batch.usual_scale
    unit = torch.where(moved > 0, moved, moved[moved > 0].median() if bool((moved > 0).any()) else 1.0)[:, None]

    def error(scaled: Tensor) -> Tensor:
        y = network.scaler.in_units(
            (encoded.location + encoded.scale * scaled)[..., None], encoded.center, encoded.log_shift
        )[..., 0]
        return (y - batch.target).abs() / unit

    errors = [
        torch.stack([error((1 - share) * own + share * simple[:, k]) for share in SHARES])
        for k in range(simple.shape[1])
    ]
    return torch.stack(errors).cpu().double().numpy()


def _by_origin(evidence: Evidence) -> np.ndarray:
    """(K, SHARES, O): the mean error at each origin, NaN left out."""
    known = ~np.isnan(evidence.errors)
    _, number = np.unique(evidence.origins, return_inverse=True)
    size = int(number.max()) + 1
    counts = np.bincount(number, known[0, 0].sum(1), size)
    rows = np.where(known, evidence.errors, 0.0).sum(3).reshape(-1, len(number))
    sums = [np.bincount(number, row, size) for row in rows]
    means = np.stack(sums)[:, counts > 0] / counts[counts > 0]
    return np.asarray(means.reshape(*known.shape[:2], -1))


def risk(loss: np.ndarray, reference: np.ndarray) -> float:
    """Of losses (O) against reference ones: the ratio of the means, and the worst tenth of ratios, the mean of both."""
    ratios = np.sort(_relative(loss, reference))
    worst = ratios[-max(1, round(WORST * len(ratios))) :].mean()
    return float((_relative(loss.mean(), reference.mean()) + worst) / 2)


def _relative(loss: Any, reference: Any) -> Any:
    """loss / reference; a reference without an error counts as one with next to none."""
    return loss / np.maximum(reference, LEAST_ERROR)
