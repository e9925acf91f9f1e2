"""The game: the explained quantity as a function of the cells of a window."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.explanation.shap.units import from_link, to_link
from tsx.model.additive import Components
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.model.heads.quantiles import point_weights
from tsx.model.network import Network
from tsx.model.window_scaler import Frame, joined
from tsx.spec.channels import COVARIATES, TARGET
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Question
from tsx.wording import quantile_column

PARTS = ("location", "season", "linear", "recurrent")

Game = Callable[[Tensor, Tensor], Tensor]
"""Cells (n, M), and which explained window each row belongs to (n), to the explained quantity (n, O, G).

O outputs in units of y around the series' center, each split into G parts (`parts_of` a forecaster) that sum to it.
"""


class LayeredGame(ABC):
    """A game of which a smooth part can be had at a fraction of the cost, and which may be a mean of several games."""

    @abstractmethod
    def __call__(self, cells: Tensor, of: Tensor) -> Tensor:
        """(n, O, G): the whole game."""

    @abstractmethod
    def smooth(self, cells: Tensor, of: Tensor) -> Tensor:
        """(n, O, G): its smooth part."""

    @abstractmethod
    def smooth_and_rest(self, cells: Tensor, of: Tensor) -> Tensor:
        """(n, O, 2 G): `smooth`, and what the whole game has beside it."""

    @property
    def averaged(self) -> Sequence[LayeredGame]:
        """Games with the same smooth part whose mean this one is, of which each is cheaper."""
        return (self,)


@dataclass(frozen=True, eq=False)
class ForecastGame(LayeredGame):
    """The game of a forecaster: what is `explained` (n, O, G) of the components of windows of `batch`.

    frame    what the windows are scaled by, where that is held; None: each by itself
    origin   (W, H) what the location of a forecast is counted from: of an error, what came; None: 0
    """

    network: Network
    batch: Batch
    explained: Callable[[Components], Tensor]
    frame: Frame | None = None
    origin: Tensor | None = None

    def __call__(self, cells: Tensor, of: Tensor) -> Tensor:
        return self._explained(self.network.components(*self._rows(cells, of)), of)

    def smooth(self, cells: Tensor, of: Tensor) -> Tensor:
        """(n, O, G): the game without its recurrent and its pretrained component."""
        return self._explained(self.network.smooth_forecast(*self._rows(cells, of)), of)

    def smooth_and_rest(self, cells: Tensor, of: Tensor) -> Tensor:
        whole, smooth = self.network.whole_and_smooth(*self._rows(cells, of))
        values = self._explained(smooth, of)
        return torch.cat([values, self._explained(whole, of) - values], -1)

    def _rows(self, cells: Tensor, of: Tensor) -> tuple[Batch, Frame | None]:
        frame = None if self.frame is None else frame_of_rows(self.frame, of)
        return unflatten(cells, self.network.config, self.batch, of), frame

    def _explained(self, parts: Components, of: Tensor) -> Tensor:
        values = self.explained(parts)
        if self.origin is None:
            return values
        location, *others = values.unbind(-1)
        return torch.stack([location - self.origin[of], *others], -1)


def parts_of(config: NetworkConfig) -> tuple[str, ...]:
    """The components of a network's forecasts, in the order of `Components`."""
    *others, recurrent = PARTS
    return (*others, "pretrained", recurrent) if config.pretrained else PARTS


def flatten(batch: Batch) -> Tensor:
    """(B, M): the cells of every window, as `cells_of` names them."""
    codes = (each.flatten(1).to(batch.past.dtype) for each in (batch.static_codes, batch.words, batch.words_ahead))
    return torch.cat([batch.past.flatten(1), batch.future.flatten(1), batch.static_values, *codes], 1)


def unflatten(cells: Tensor, config: NetworkConfig, windows: Batch, of: Tensor) -> Batch:
    """The batch of windows whose cells (n, M) these are; what is no cell is that of windows `of` (n). No target."""
    channels = config.channels
    lags, ahead = (config.context_length, len(channels.time_varying)), (config.horizon, len(channels.ahead))
    words = (config.context_length, sum(config.at_once))
    words_ahead = (config.horizon, sum(config.at_once[len(channels.words) - len(channels.words_ahead) :]))
    statics = [len(channels.static_numbers), len(channels.static_categories)]
    counts = [math.prod(lags), math.prod(ahead), *statics, math.prod(words), math.prod(words_ahead)]
    past, future, values, codes, read, read_ahead = cells.split(counts, dim=1)
    return Batch(
        past=past.unflatten(1, lags),
        future=future.unflatten(1, ahead),
        static_values=values,
        static_codes=codes.long(),
        usual_scale=windows.usual_scale[of],
        center=windows.center[of],
        target=cells.new_zeros(len(cells), 0),
        words=read.long().unflatten(1, words),
        words_ahead=read_ahead.long().unflatten(1, words_ahead),
    )


def game_of(forecaster: Forecaster, batch: Batch, question: Question) -> ForecastGame:
    """The game of the windows of `batch`: what `question.explain` names, with location and scale as `level` says.

    Raises ConfigError `quantile-unknown` for a quantile that the model does not forecast.
    """
    network = forecaster.network
    return ForecastGame(
        network,
        batch,
        quantity(question, forecaster.config),
        network.frame(batch) if question.level == "hold" else None,
        batch.target if question.explain == "error" else None,
    )


def frame_of_rows(frame: Frame, of: Tensor) -> Frame:
    """The frames of windows `of` (n)."""
    return Frame(*(getattr(frame, f.name)[of] for f in fields(frame)))


def quantity(question: Question, config: NetworkConfig) -> Callable[[Components], Tensor]:
    """From the paths of n forecasts to what is explained of them (n, O, G): O = H, or 1 for a sum over the horizon."""
    weights = torch.from_numpy(_weights(question.explain, config))
    total = float(weights.sum())
    *same, _ = parts_of(config)

    def explained(paths: Components) -> Tensor:
        alike = [total * getattr(paths, part) for part in same]
        parts = torch.stack([*alike, paths.recurrent @ weights.to(paths.recurrent)], -1)
        return parts.sum(1, keepdim=True) if question.explain == "sum" else parts

    return explained


def of_quantiles(
    question: Question, config: NetworkConfig, quantiles: np.ndarray, target: np.ndarray | None = None
) -> np.ndarray:
    """What is explained (n, O) of forecasts (n, H, Q) as they are made; of an error, what came (n, H) is needed."""
    explained: np.ndarray = quantiles @ _weights(question.explain, config)
    if question.explain == "error" and target is not None:
        explained = explained - target
    return explained.sum(1, keepdims=True) if question.explain == "sum" else explained


def _weights(explain: str, config: NetworkConfig) -> np.ndarray:
    """(Q) what the quantiles count in what is explained; in the point forecast, what they count in tsx forecast's."""
    if explain in ("yhat", "sum", "error"):
        found: np.ndarray = point_weights(config).numpy()
        return found
    weights = np.zeros(len(config.quantile_levels), dtype=np.float32)
    for level, weight in _levels(explain, config).items():
        weights[level] += weight
    return weights


def _levels(explain: str, config: NetworkConfig) -> dict[int, float]:
    levels = config.quantile_levels
    if explain == "width":
        if len(levels) < 2:
            raise ConfigError(
                "quantile-unknown",
                "the model forecasts one quantile, which has no width",
                hint="fit with --quantile-levels 0.1,0.5,0.9",
                where="explain",
            )
        return {len(levels) - 1: 1.0, 0: -1.0}
    names = [quantile_column(level) for level in levels]
    if explain not in names:
        raise ConfigError(
            "quantile-unknown",
            f"explain is {explain!r}",
            hint=f"choose yhat, width, sum, error, or one of {', '.join(names)}",
            where="explain",
        )
    return {names.index(explain): 1.0}


def rescaled_to(network: Network, batch: Batch, frame: Frame, like: Batch) -> Batch:
    """`batch`, each window's shape moved into `frame`, and around the centers of the windows `like` that it is of.

    `frame` and `like` are of one window or of as many. Behind a logarithm levels and scales are moved there: the shape
    keeps its proportions.
    """
    config, own = network.config, network.frame(batch)
    old_location, new_location = own.locations(), frame.locations()
    power = 1 / config.scaling  # a window's scale is a power of its movement, which is what moves along with it
    old_scale, new_scale = (joined(f.scale**power, f.covariate_scale)[:, None] for f in (own, frame))
    ahead = config.channels.ahead_positions
    past = batch.past
    if config.link != "none":
        past = with_target(past, to_link(config, past[..., TARGET], batch))
    past = (past - old_location) / old_scale * new_scale + new_location
    if config.link != "none":
        past = with_target(past, from_link(config, past[..., TARGET], like))
    return replace(
        batch,
        past=past,
        future=(batch.future - old_location[..., ahead]) / old_scale[..., ahead] * new_scale[..., ahead]
        + new_location[..., ahead],
        usual_scale=like.usual_scale.expand(len(batch)),
        center=like.center.expand(len(batch)),
    )


def with_target(past: Tensor, target: Tensor) -> Tensor:
    """Lags (B, T, C) with other values (B, T) of the target."""
    return joined(target[..., None], past[..., COVARIATES])
