"""A forecaster that is a weighted sum of its window, so that every question about it has an answer in closed form."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor, nn

from tests.handmade import network_config
from tsx.explanation.measure import Context
from tsx.explanation.shap.players import players_of
from tsx.explanation.shap.shap_run import Task
from tsx.model.additive import Components
from tsx.model.batch import Batch
from tsx.model.embedding import Encoded
from tsx.model.forecaster import Forecaster
from tsx.model.window_scaler import Frame
from tsx.panel.panel import Panel
from tsx.spec.channels import Channels
from tsx.spec.history import History
from tsx.spec.network import TrainingConfig
from tsx.spec.settings import Question


class Weighted(nn.Module):
    """past (T, C, H) and future (H, F, H): what every cell counts in every step; the intervals are plus and minus 1."""

    def __init__(self, config, past: np.ndarray, future: np.ndarray) -> None:
        super().__init__()
        self.config, self.members = config, (None,)
        self.past, self.future = (torch.from_numpy(each).float() for each in (past, future))

    def forecast(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return self(batch), torch.zeros(len(batch), dtype=torch.bool)

    def components(self, batch: Batch, frame=None) -> Components:
        linear = torch.einsum("btc,tch->bh", batch.past.nan_to_num(), self.past)
        linear = linear + torch.einsum("bsf,sfh->bh", batch.future.nan_to_num(), self.future)
        spread = torch.tensor([-1.0, 0.0, 1.0]).expand(*linear.shape, 3)
        none = torch.zeros_like(linear)
        return Components(none, none, linear, none, spread)

    def smooth_forecast(self, batch: Batch, frame=None) -> Components:
        parts = self.components(batch)
        return replace(parts, recurrent=torch.zeros_like(parts.recurrent))

    def whole_and_smooth(self, batch: Batch, frame=None) -> tuple[Components, Components]:
        return self.components(batch), self.smooth_forecast(batch)

    def frame(self, batch: Batch) -> Frame:
        none, one = torch.zeros(len(batch), 1), torch.ones(len(batch), 1)
        covariates = torch.zeros(len(batch), len(self.config.channels.covariates))
        return Frame(none, one, covariates, covariates + 1)

    def encode(self, batch: Batch, frame=None) -> Encoded:
        return Encoded(**{each.name: batch.past if each.name == "lags" else None for each in fields(Encoded)})

    def forward(self, batch: Batch) -> Tensor:
        parts = self.components(batch)
        return parts.linear[..., None] + parts.recurrent


def linear_forecaster(panel: Panel, context: int, horizon: int, seed: int = 0) -> Forecaster:
    """Random weights, with covariates around 0."""
    channels, random = Channels.of(panel.schema), np.random.default_rng(seed)
    config = network_config(
        horizon=horizon,
        context_length=context,
        season=1,
        channels=channels,
        quantile_levels=(0.1, 0.5, 0.9),
    )
    past = random.normal(size=(context, len(channels.time_varying), horizon))
    future = random.normal(size=(horizon, len(channels.ahead), horizon))
    return Forecaster(
        network=Weighted(config, past, future),  # type: ignore[arg-type]
        training=TrainingConfig(device="cpu"),
        schema=panel.schema,
        frequency="1",
        covariate_location=np.zeros(len(channels.covariates)),
        decisions=(),
        history=History((), 1, "it is made by hand"),
    )


def context_of(
    forecaster: Forecaster, panel: Panel, series: np.ndarray, cutoffs: np.ndarray, question: Question, **more
) -> Context:
    """What a measure needs of the explained windows, without any SHAP values of theirs."""
    source, players = forecaster.windows(panel), players_of(forecaster.config, question)
    return Context(
        task=Task(forecaster, panel, question, players, source),
        run=None,  # type: ignore[arg-type]
        series=series,
        cutoffs=cutoffs,
        population=source.cut(series, cutoffs),
        population_series=series,
        population_cutoffs=cutoffs,
        repeats=None,  # type: ignore[arg-type]
        members=None,
        cohorts=None,
        **more,
    )
