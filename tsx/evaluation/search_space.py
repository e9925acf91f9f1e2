"""What tuning may choose: the values of each choice, in an order, and the settings that a pick of them stands for.

A choice is left out where the user's own setting fixes it. All values are multiples or divisors of what the data
suggest (a season, the horizon, the default), so that a short search finds its way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Settings
from tsx.training.plan import LEARNING_RATE

LONGEST_CONTEXT = 512
MULTIPLES = (1, 2, 3, 4, 6, 8)
"""Contexts, in seasons, or in horizons where there is no season that fits."""
PARTS = (4, 8, 16, 32, 64)
"""Recurrent steps that a context is read in; the segment is the divisor of the context that comes nearest."""
SIZES = (32, 64, 128, 256)
LAYERS = (1, 2, 3)
DROPOUTS = (0.0, 0.1, 0.2, 0.3)
CELLS = ("lstm", "gru")
RATES = 5.0
"""Learning rates lie between the default over this and the default times this."""
SHORTEST_CONTEXT = 4
SEARCHED = ("context_length", "segment", "hidden_size", "layers", "dropout", "learning_rate", "cell", "transform")
"""Settings that are searched where they are not given."""

Kind = Literal["ordered", "named", "log"]


@dataclass(frozen=True)
class Choice:
    """One setting that is searched. `values`: all of them, in order; the two ends for the kind "log".

    `default` is the value among them that stands for the program's own; `name` is the setting's.
    """

    name: str
    values: tuple[Any, ...]
    default: Any
    kind: Kind = "ordered"


@dataclass(frozen=True)
class Space:
    """All choices of one search, over the settings that stay as they are."""

    choices: tuple[Choice, ...]
    base: Settings
    network: NetworkConfig | None = None
    """What the program chose by itself for a forecast, whose segments divide its context."""

    def settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that these values of the choices stand for, by their names in `Settings`."""
        settings, network = dict(values), self.network
        if network is not None:
            context = settings.get("context_length", network.context_length)
            if "segment" in settings:
                settings["segment"] = segment_for(context, settings["segment"], network.season)
            elif context != network.context_length:
                settings["segment"] = network.segment
        if "learning_rate" in settings:
            settings["learning_rate"] = float(f"{settings['learning_rate']:.2g}")
        return settings

    @property
    def shortest_context(self) -> int:
        """The shortest context that any pick has: every scored window must be one that it can forecast from."""
        assert self.network is not None
        return min(
            (c.values[0] for c in self.choices if c.name == "context_length"), default=self.network.context_length
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-able values, for comparison with another search."""
        return {choice.name: [choice.kind, *choice.values] for choice in self.choices}


def find_space(
    fixed: Iterable[str],
    base: Settings,
    network: NetworkConfig,
    room: int,
    *,
    least: int = SHORTEST_CONTEXT,
    transform: str = "",
) -> Space:
    """The choices that are open when the settings named in `fixed` are the user's, and `network` the program's choice.

    room   steps of context that the series of the middle has in the oldest part that is learnt from
    least  no context is shorter, unless it is the default
    transform  what the program would work on; empty: none is searched, as a logarithm has no meaning here
    """
    fixed = set(fixed)
    contexts = tuple(
        length
        for length in _contexts(network, max(room, SHORTEST_CONTEXT), "segment" in fixed)
        if length >= least or length == network.context_length
    )
    parts = around(PARTS, max(1, network.context_length // network.segment))
    rate = base.learning_rate or LEARNING_RATE
    every = (
        Choice("context_length", contexts, network.context_length),
        Choice("segment", parts, max(1, network.context_length // network.segment)),
        Choice("hidden_size", around(SIZES, network.hidden_size), network.hidden_size),
        Choice("layers", LAYERS, network.layers),
        Choice("dropout", DROPOUTS, network.dropout),
        Choice("learning_rate", (rate / RATES, min(rate * RATES, 1.0)), rate, "log"),
        Choice("cell", CELLS, network.cell, "named"),
        *((Choice("transform", ("none", "log"), transform, "named"),) if transform else ()),
    )
    return Space(tuple(c for c in every if c.name not in fixed and len(c.values) > 1), base, network)


def segment_for(context_length: int, parts: int, season: int) -> int:
    """The segment that divides a context into about `parts` recurrent steps.

    Where the context is whole seasons, the segment divides a season or is whole seasons, as the default's is: then
    every segment begins at the same place of the season, or at one of few.
    """
    fitting = [p for p in range(1, context_length + 1) if context_length % p == 0]
    if season > 1 and context_length % season == 0:
        fitting = [p for p in fitting if season % p == 0 or p % season == 0]
    return min(fitting, key=lambda p: (abs(math.log(context_length / p / parts)), p))


def _contexts(network: NetworkConfig, room: int, whole_segments: bool) -> tuple[int, ...]:
    default = network.context_length
    longest = max(min(room, LONGEST_CONTEXT), default)
    season = network.season
    unit = season if season > 1 and 2 * season <= longest else network.horizon
    lengths = {max(k * unit, SHORTEST_CONTEXT) for k in MULTIPLES} | {default}
    if whole_segments:
        lengths = {-(-length // network.segment) * network.segment for length in lengths}
    return tuple(sorted(length for length in lengths if length <= longest))


def around(values: tuple[int, ...], default: int) -> tuple[int, ...]:
    """`values` with the default in place of the nearest of them."""
    nearest = min(values, key=lambda value: abs(math.log(value / default)))
    return tuple(sorted({default if value == nearest else value for value in values}))
