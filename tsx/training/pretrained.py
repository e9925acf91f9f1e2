"""Whether the network that comes with the package has a part in the forecasts of a fit, and which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.spec.decision import Decision
from tsx.spec.network import NetworkConfig
from tsx.spec.pretrained import FEWEST, HORIZON, SEASONS
from tsx.spec.settings import Settings
from tsx.training.gains import mean_gain
from tsx.training.validation import losses_of_windows, windows_in_words
from tsx.wording import count, number

NAME = "pretrained_weight"
"""Of the decision."""
PRETRAINED_WEIGHT = 0.5
"""What the pretrained network counts where it has a part: the mean of two forecasts is hard to beat, and more windows
would be needed to tell which of several weights is better than it."""
WORSE = 2.0
"""Standard errors by which half a forecast of the pretrained network must be worse to have no part."""
MOST_SERIES = 5_000
"""Series of a panel whose forecasts may take the five to seven times as long that the pretrained network makes of them:
nobody waits for that on few series, and many teach a network what the pretrained one could add."""


def no_pretrained(config: NetworkConfig, settings: Settings, series: int) -> str:
    """Why the network that comes with the package has no part in the forecasts of a panel of so many series.

    Empty where held-out windows decide.
    """
    least = max(FEWEST, 2 * config.season if config.season > 1 else 0)
    if settings.network_only:
        return "as asked: the network alone forecasts"
    if config.horizon > HORIZON:
        return f"the pretrained network forecasts {HORIZON} steps, and the horizon is {config.horizon}"
    if config.season not in SEASONS:
        return f"the pretrained network has learnt no season of {config.season}"
    if config.delay:
        delayed = "value" if config.delay == 1 else count(config.delay, "value")
        return f"the pretrained network reads up to the cutoff, and the newest {delayed} may change"
    if config.context_length < least:
        return f"the pretrained network needs a context of {least} steps, and it has {config.context_length}"
    if config.channels.given_ahead or config.channels.words_ahead:
        return "the pretrained network reads no known-future covariates"
    if series > MOST_SERIES:
        return f"with the pretrained network a forecast of {series:,} series would take about six times as long"
    return ""


def choose_pretrained_weight(network: Network, held: Sequence[Batch], groups: np.ndarray) -> Decision:
    """Choose and set the weight of the pretrained network, which the `network` has as a component.

    A half, unless its loss on the `held` out batches is `WORSE` than without it. groups (windows): those of one
    (`tsx.training.calibration.groups_of`) are one observation. Without a held-out window it has none: nothing is known
    of it.
    """
    assert network.pretrained is not None
    weight = network.pretrained.weight
    if not held:
        weight.fill_(0.0)
        return Decision(NAME, 0.0, "nothing could be held out, which could show that it does no harm")
    losses = []
    for chosen in (0.0, PRETRAINED_WEIGHT):
        weight.fill_(chosen)
        loss, counts = losses_of_windows(network, held)
        losses.append(loss)
    alone, mixed = (float(each.sum() / max(counts.sum(), 1)) for each in losses)
    gain, uncertain = mean_gain(losses[0] - losses[1], counts, groups)
    value = 0.0 if gain < -WORSE * uncertain else PRETRAINED_WEIGHT
    weight.fill_(value)
    return Decision(
        NAME,
        value,
        f"{'half' if value else 'nothing'} of the forecast is that of the pretrained network: on "
        f"{windows_in_words(groups)}, the loss is {number(mixed)} with half of it and "
        f"{number(alone)} without it; it counts half unless that is worse by two standard errors of the difference, "
        f"which are {number(WORSE * uncertain, 2)}",
    )
