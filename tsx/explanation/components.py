"""How much each component of the forecasts contributes: recurrent, smoothed season, or level, trend and linear map."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tsx.explanation.measure import Measure, Measured, Results, TableSpec
from tsx.explanation.shap.game import parts_of
from tsx.model.batch import Batch
from tsx.model.network import Network
from tsx.wording import percent

LITTLE = 0.1
"""A recurrent component whose share and share of the variance are both under this contributes next to nothing."""

NOTHING_ADDED = (
    "The fitted network adds nothing to the smoothing of level, trend and season here: its memory does not matter for "
    "the forecast."
)

COMPONENTS_TABLE = TableSpec("paths", {"path": pl.String, "share": pl.Float64, "variance_share": pl.Float64})


def component_table(network: Network, population: Batch) -> pl.DataFrame:
    """path (season, linear, pretrained, recurrent), share, variance_share, over the windows and steps of `population`.

    Of the point forecast; pretrained where that network has a part. share: mean |part| over the sum of all.
    variance_share: cov(part, movement) / var(movement), where movement is the forecast less the window's location, the
    sum of the parts; these add up to 1, and one is negative where a component takes back what another adds. Where
    nothing moves all are 0.
    """
    with torch.inference_mode():
        components = network.components(population)
    _, *between, _ = parts_of(network.config)
    parts = {part: getattr(components, part) for part in between} | {"recurrent": network.point(components.recurrent)}
    values = np.stack([part.cpu().double().numpy().ravel() for part in parts.values()])
    sizes = np.abs(values).mean(1)
    centered = values - values.mean(1, keepdims=True)
    together = (centered * centered.sum(0)).mean(1)
    return COMPONENTS_TABLE.frame(
        {
            "path": list(parts),
            "share": sizes / sizes.sum() if sizes.sum() > 0 else np.zeros(len(sizes)),
            "variance_share": together / together.sum() if together.sum() > 0 else np.zeros(len(sizes)),
        }
    )


def recurrent_is_idle(components: pl.DataFrame) -> bool:
    """Whether the recurrent component contributes next to nothing, so that the cells' memory hardly matters."""
    own = components.filter(pl.col("path") == "recurrent")
    share, variance = (float(own[name].sum()) for name in ("share", "variance_share"))
    return share < LITTLE and abs(variance) < LITTLE


def memory_matters(results: Results) -> bool:
    """Whether the forecasts depend on what the cells remember."""
    components = results.tables.get("paths")
    return bool(results.facts.get("share", 1.0)) and not (components is not None and recurrent_is_idle(components))


def component_sentences(components: pl.DataFrame, share: float = 1.0) -> list[str]:
    """What the components' shares mean for a reader; nothing where there is the recurrent component alone.

    `share`: the weight of the network's contribution beside the smoothing.
    """
    names = {
        "season": "season",
        "linear": "level, trend and the linear map" if share else "level and trend",
        "pretrained": "the pretrained network",
    }
    shares = {path: (size, variance) for path, size, variance in components.iter_rows()}
    others = [f"{words} {percent(shares[name][0])}" for name, words in names.items() if shares.get(name, (0,))[0] > 0]
    words = []
    if shares["recurrent"][0] > 0 and others:
        words.append(
            f"The recurrent component contributes {percent(shares['recurrent'][0])} of the forecast's movement; "
            f"{', '.join(others)}."
        )
    elif len(others) > 1:
        words.append(f"The forecast's movement: {', '.join(others)}.")
    if not share:
        words.append(NOTHING_ADDED)
    elif words and recurrent_is_idle(components):
        variance = shares["recurrent"][1]
        words.append(
            f"The recurrent component contributes next to nothing ({percent(max(variance, 0.0))} of the forecasts' "
            "variation): what the cells remember hardly matters here."
        )
    elif share < 1:
        words.append(
            f"What the fitted network adds to the smoothing of level, trend and season counts with a weight of "
            f"{percent(share)}: more did not help on held-out windows, or none could be held out."
        )
    return words


def _sentences(results: Results) -> list[str]:
    components = results.tables.get("paths")
    return [] if components is None else component_sentences(components, results.facts.get("share", 1.0))


COMPONENTS = Measure(
    name="components",
    section="components",
    tables=(COMPONENTS_TABLE,),
    measure=lambda context, results: Measured({"paths": component_table(context.network, context.population)}),
    sentences=_sentences,
)
