"""A trained network with its columns, calendar and decisions: it predicts, and is immutable.

It is trained by `tsx.training.fit` and saved by `tsx.store.forecaster`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from tsx.errors import DataError
from tsx.model.batch import Windows
from tsx.model.categories import codes_of, labels_of, word_codes
from tsx.model.distribution import mean_weights
from tsx.model.ensemble import members_of
from tsx.model.network import Network
from tsx.model.trained import BATCH, Trained
from tsx.panel.known_future import missing_future
from tsx.panel.panel import Panel
from tsx.runtime.executor import side_by_side
from tsx.spec.channels import TARGET
from tsx.spec.decision import Finding
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Intervals

LOOKED_AT = 1 << 22
"""Cells looked at in one go when it is asked which series can be forecast."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecaster(Trained):
    """A trained network that forecasts: `tsx.fit(...).forecaster`.

    A panel is what `tsx` makes of a table; positions of cutoffs count its steps from 0, series from 0.

    Examples:
        >>> forecaster = tsx.fit("sales.parquet", horizon=7, max_steps=200).forecaster
        >>> forecaster.config.horizon, forecaster.schema.target
        (7, 'units')
    """

    network: Network
    covariate_location: np.ndarray
    findings: tuple[Finding, ...] = ()
    """What training noticed; not stored."""
    ranks: np.ndarray | None = None
    """int16 (R, H): how held-out errors go together over the steps (`tsx.training.calibration.rank_templates`)."""
    intervals: Intervals = "conformal"

    @property
    def config(self) -> NetworkConfig:
        """The shape of the network, its columns and quantile levels."""
        return self.network.config

    def members(self) -> tuple[Forecaster, ...]:
        """Every network of an ensemble as a forecaster by itself; a single one is its own.

        >>> len(forecaster.members())
        1
        """
        return tuple(replace(self, network=network.eval()) for network in members_of(self.network))

    def windows(self, panel: Panel) -> Windows:
        """The panel on the model's device, to cut batches from.

        The panel must have the model's columns; a static one that was text and is numbers now, or the other way round,
        raises DataError `column-type-wrong`.
        """
        vocabulary = self.config.channels.static_vocabulary
        changed = sorted(set(vocabulary) ^ set(labels_of(panel, self.config.series_embedding).columns))
        if changed:
            was, now = ("text", "numbers") if changed[0] in vocabulary else ("numbers", "text")
            raise DataError(
                "column-type-wrong",
                f"static column `{changed[0]}` held {was} when the model was fitted and holds {now} here",
                hint="bring the column as it was, or fit again",
                where=changed[0],
            )
        return windows_of(panel, self.config, self.covariate_location, self.training.device)

    def quantiles(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """Quantiles (B, H, Q) in units of y at the cutoffs (B, positions) of `series` (B) of a panel, any B at once."""
        return self.predict(panel, series, cutoffs)[0]

    def predict(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`quantiles` of a panel's `series` (B) at `cutoffs`, and (B) bool where a limit pulled the median back."""
        windows, limited = self.windows(panel), np.zeros(len(series), np.bool_)
        out = np.empty((len(self.config.quantile_levels), len(series), self.config.horizon))  # a table's columns

        def forecast(begin: int) -> None:
            filled = np.arange(begin, begin + BATCH).clip(max=len(series) - 1)
            with torch.inference_mode():
                quantiles, reached = (
                    each[: len(series) - begin]
                    for each in self.network.forecast(windows.cut(series[filled], cutoffs[filled]))
                )
            part = slice(begin, begin + BATCH)
            limited[part] = reached.cpu().numpy()
            out[:, part] = quantiles.movedim(-1, 0).cpu().numpy()
            out[:, part] += panel.centers[series[part], TARGET][:, None]

        with side_by_side(self.training.device) as each:
            for _ in each(forecast, range(0, len(series), BATCH)):
                pass
        return out.transpose(1, 2, 0), limited

    @property
    def needs(self) -> str:
        """What a series must have to be forecast."""
        ahead = " and known-future covariates" if self.schema.given_ahead else ""
        return f"an observed target in the context{ahead}"

    def cutoffs(self, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
        """The newest cutoff of every series of the panel that can be forecast.

        Those with an observed target in the context and, where the model reads known-future covariates, with these
        for the whole horizon. Raises DataError `nothing-to-forecast` or `future-covariates-missing` when none is left.
        """
        cutoffs = panel.lengths - 1
        usable = np.flatnonzero(self._seen(panel, cutoffs))
        if len(usable) == 0:
            raise DataError(
                "nothing-to-forecast",
                f"none of {len(panel):,} series has an observed `{self.schema.target}` in its last "
                f"{self.config.context_length} steps",
                hint="bring newer rows, or train with a longer --context-length",
            )
        return self._with_future(panel, usable, cutoffs[usable])

    def _seen(self, panel: Panel, cutoffs: np.ndarray) -> np.ndarray:
        """(N) whether the context up to each series' cutoff has an observed target; some series at a time."""
        seen: np.ndarray = ~np.isnan(panel.values[panel.offsets[:-1] + np.maximum(cutoffs, 0), TARGET]) & (cutoffs >= 0)
        others = np.flatnonzero(~seen & (cutoffs > 0))
        size = max(1, LOOKED_AT // self.config.context_length)
        back = np.arange(self.config.context_length)
        for begin in range(0, len(others), size):
            some = others[begin : begin + size]
            rows = panel.offsets[some, None] + np.maximum(cutoffs[some, None] - back, 0)
            seen[some] = (~np.isnan(panel.values[rows, TARGET]) & (back <= cutoffs[some, None])).any(1)
        return seen

    def point(self, quantiles: np.ndarray) -> np.ndarray:
        """The point forecast (...) of quantiles (..., Q): their median, or the mean of the distribution they describe.

        The mean of counts is that of their quantiles before these are made whole.
        """
        if self.config.point == "median":
            return quantiles[..., self.config.median]
        return np.asarray(quantiles @ mean_weights(self.config.quantile_levels))

    def _with_future(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those whose known-future covariates are known for the horizon after the cutoff."""
        names = (*self.schema.ahead, *self.schema.future_words)
        if not names:
            return series, cutoffs
        missing = missing_future(panel, names, self.config.horizon, series, cutoffs)
        if missing.complete.any():
            return series[missing.complete], cutoffs[missing.complete]
        raise missing.error(panel)


def windows_of(panel: Panel, config: NetworkConfig, location: np.ndarray, device: str) -> Windows:
    """The panel on a device, to cut a network's batches from.

    location float64 (C - 1): what every covariate is moved by.
    """
    return Windows(
        panel,
        context_length=config.context_length,
        horizon=config.horizon,
        covariate_location=location,
        static_codes=codes_of(labels_of(panel, config.series_embedding), config.channels.static_vocabulary, len(panel)),
        delay=config.delay,
        words=word_codes(panel, config.channels, config.at_once),
        ahead=sum(config.at_once[len(config.at_once) - len(config.channels.words_ahead) :]),
        device=device,
    )
