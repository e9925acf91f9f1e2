"""The object a user holds: a trained network with the columns, the calendar and the decisions it was made with."""

from __future__ import annotations

import copy
import importlib.metadata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tsx.errors import DataError
from tsx.model.batch import Batch, Windows
from tsx.model.categories import codes_of, labels_of, vocabulary_of
from tsx.model.distribution import mean_weights
from tsx.model.ensemble import join, members_of, new_network
from tsx.model.network import Network
from tsx.panel.counts import whole
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.id_hashes import hash_ids
from tsx.panel.known_future import future_table, lacking_future
from tsx.panel.panel import Panel
from tsx.progress import SILENT, Progress
from tsx.runtime.devices import choose_device
from tsx.runtime.executor import side_by_side
from tsx.spec.decision import Decision, Finding
from tsx.spec.network import NetworkConfig, TrainingConfig, from_dict, to_dict
from tsx.spec.schema import Schema
from tsx.spec.settings import Intervals, Reading, Settings
from tsx.store import model_directory
from tsx.training.calibration import groups_of
from tsx.training.ensemble import train_members, untrained_members
from tsx.training.framing import plan_framing
from tsx.training.initialisation import smooth
from tsx.training.loop import History
from tsx.training.plan import all_cutoffs, plan_elapsed, plan_shape, plan_split, plan_training, short_series
from tsx.training.validation import calibrate_network, trust

BATCH = 512
"""Windows of one forward pass outside training. Always this many (the last batch is filled up), because the order in
which a matrix product is summed may depend on its shape: so a forecast does not depend on its company."""
SAMPLED = 2048
"""Windows looked at for scales and skips."""
VALIDATED = 1024
"""Windows at most in one evaluation during training."""
LOOKED_AT = 1 << 22
"""Cells looked at in one go when it is asked which series can be forecast."""
PLAIN = Reading()
MORE, MORE_SLOWLY = 0.3, 0.5
"""Share of its steps that a network goes on for with the rows it was judged on, and how much smaller they are."""


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A trained network and all that is needed to use it on another day's table."""

    network: Network
    training: TrainingConfig
    schema: Schema
    frequency: str
    covariate_location: np.ndarray
    vocabulary: dict[str, tuple[str, ...]]
    """Hashes of the known categories of every categorical static covariate, in the order of their codes from 1."""
    decisions: tuple[Decision, ...]
    history: History
    reading: Reading = PLAIN
    """How the table was read, so that the next one is read in the same way."""
    findings: tuple[Finding, ...] = ()
    """What training noticed; not stored."""
    trained_on: np.ndarray | None = None
    """Sorted hashes int64 of the ids of the series learnt from; None in a model that did not keep them."""
    ranks: np.ndarray | None = None
    """int16 (R, H): how held-out errors go together over the steps (`tsx.training.calibration.rank_templates`)."""
    intervals: Intervals = "conformal"

    @property
    def config(self) -> NetworkConfig:
        return self.network.config

    @classmethod
    def fit(
        cls,
        panel: Panel,
        settings: Settings,
        *,
        ends: np.ndarray | None = None,
        reading: Reading = PLAIN,
        progress: Progress = SILENT,
    ) -> Forecaster:
        """Train on what lies before `ends` (N, positions) of every series; by default on all of it.

        First without the newest part, which settles how far the network is believed and how wide its intervals are, and
        then some more steps with it.

        Series too short for a window are left out, which the `findings` say. Raises DataError `series-too-short`,
        `too-few-windows`, ConfigError for settings that do not fit each other or the data.
        """
        judged = cls.judged(panel, settings, ends=ends, reading=reading, progress=progress)
        return judged.smoothed(panel, ends=ends).extended(panel, ends=ends, progress=progress)

    @classmethod
    def judged(
        cls,
        panel: Panel,
        settings: Settings,
        *,
        ends: np.ndarray | None = None,
        reading: Reading = PLAIN,
        progress: Progress = SILENT,
    ) -> Forecaster:
        """As `fit`, but without the validation cut, on which the share of the network and the intervals are settled."""
        ends = panel.lengths if ends is None else ends
        panel = replace(panel, lengths=ends)  # for whatever looks at the history, as the search for a season does
        device = choose_device(settings.device)
        config, shape = plan_shape(panel, settings)
        split, validation = plan_split(panel, config)
        vocabulary = vocabulary_of(labels_of(panel, config.identity))
        sampled = split.learn.spread(SAMPLED)
        location = covariate_location(panel, config, *sampled)
        windows = _windows(panel, config, location, vocabulary, device.value)
        sample = windows.cut(*sampled)
        elapsed = plan_elapsed(sample)
        config = replace(config, elapsed=elapsed.value)
        config, framing = plan_framing(panel, sample, sampled[0], config)
        series, cutoffs = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        if len(split.validate):
            series, cutoffs = split.validate.spread(VALIDATED)
        validate = [windows.cut(*part) for part in _parts(series, cutoffs)]
        training, how = plan_training(settings, split, device.value)
        computed = len(panel.schema.computed)
        timed = training.within(1 / (1 + MORE))
        network, history, smoothing = _learn(windows, split.learn, validate, config, timed, computed, progress)
        share, calibration, ranks = _settle(network, validate, series, cutoffs, sample, settings.intervals)
        learnt = panel.lengths >= config.shortest_context + config.horizon
        return cls(
            network,
            training,
            panel.schema,
            panel.calendar.alias,
            location,
            vocabulary,
            (*shape, *framing, elapsed, validation, *how, smoothing, share, calibration, device),
            history,
            reading,
            short_series(panel, config),
            np.unique(hash_ids(panel.ids.filter(pl.Series(learnt)))),
            ranks,
            settings.intervals,
        )

    @property
    def going_on(self) -> TrainingConfig:
        """How the network goes on from what it has learnt."""
        return replace(
            self.training.within(MORE / (1 + MORE)),
            max_steps=max(1, round(MORE * self.history.steps)),
            learning_rate=MORE_SLOWLY * self.training.learning_rate,
        )

    def resettled(self, panel: Panel, ends: np.ndarray) -> Forecaster:
        """With share and intervals settled on what comes after `ends` too, not learnt from yet."""
        older = plan_split(replace(panel, lengths=ends), self.config)[0].validate
        context, horizon = self.config.context_length, self.config.horizon
        newer = observed_cutoffs(panel, np.maximum(ends - 1, 0), panel.lengths - horizon - 1, context, horizon)
        parts = [held.spread(VALIDATED) for held in (older, newer) if len(held)]
        if not parts:
            return self
        series, cutoffs = (np.concatenate(each) for each in zip(*parts, strict=True))
        network, windows = copy.deepcopy(self.network), self.windows(panel)
        held = [windows.cut(*part) for part in _parts(series, cutoffs)]
        share, calibration, ranks = _settle(network, held, series, cutoffs, held[0], self.intervals)
        made = {decision.name: decision for decision in (share, calibration)}
        decisions = tuple(made.get(decision.name, decision) for decision in self.decisions)
        return replace(self, network=network, decisions=decisions, ranks=ranks)

    def smoothed(self, panel: Panel, *, ends: np.ndarray | None = None) -> Forecaster:
        """With the smoothing fitted again, to all that lies before `ends`."""
        panel = replace(panel, lengths=panel.lengths if ends is None else ends)
        network, windows = copy.deepcopy(self.network), self.windows(panel)
        sample = windows.cut(*all_cutoffs(panel, self.config).spread(SAMPLED))
        made = smooth(network, sample)
        decisions = tuple(made if decision.name == made.name else decision for decision in self.decisions)
        return replace(self, network=network, decisions=decisions)

    def extended(
        self,
        panel: Panel,
        training: TrainingConfig | None = None,
        *,
        ends: np.ndarray | None = None,
        progress: Progress = SILENT,
    ) -> Forecaster:
        """The network after some more steps on all that lies before `ends`; what was settled stays."""
        panel = replace(panel, lengths=panel.lengths if ends is None else ends)
        members = members_of(copy.deepcopy(self.network))
        for member in members:
            member.share.fill_(1.0)
            member.spread_factors.fill_(1.0)
        windows, everything = self.windows(panel), all_cutoffs(panel, self.config)
        training = training or self.going_on
        with torch.random.fork_rng():
            torch.manual_seed(training.seed)
            more = train_members(members, windows, everything, [], training, progress)
        return self._with(join(members), panel, self.history.seconds + more.seconds)

    def refit(self, panel: Panel, seed: int, progress: Progress = SILENT) -> Forecaster:
        """A network trained anew from another seed, as long, on all of the panel; what was settled stays."""
        training = replace(self.training, max_steps=self.history.steps, seed=seed)
        computed = len(panel.schema.computed)
        windows, everything = self.windows(panel), all_cutoffs(panel, self.config)
        network, history, _ = _learn(windows, everything, [], self.config, training, computed, progress)
        return replace(self._with(network, panel, history.seconds), training=replace(self.training, seed=seed))

    def members(self) -> tuple[Forecaster, ...]:
        """Every network of an ensemble as a forecaster by itself; a single one is its own."""
        return tuple(replace(self, network=network.eval()) for network in members_of(self.network))

    def _with(self, network: Network, panel: Panel, seconds: float) -> Forecaster:
        """This forecaster with another network, which has learnt from the whole panel."""
        for name in ("share", "usual", "spread_factors"):
            getattr(network, name).copy_(getattr(self.network, name))
        learnt = panel.lengths >= self.config.shortest_context + self.config.horizon
        met = np.unique(hash_ids(panel.ids.filter(pl.Series(learnt))))
        return replace(self, network=network, history=replace(self.history, seconds=seconds), trained_on=met)

    def windows(self, panel: Panel) -> Windows:
        """The panel on the model's device, to cut batches from.

        The panel must have the model's columns; a static one that was text and is numbers now, or the other way round,
        raises DataError `column-type-wrong`.
        """
        changed = sorted(set(self.vocabulary) ^ set(labels_of(panel, self.config.identity).columns))
        if changed:
            was, now = ("text", "numbers") if changed[0] in self.vocabulary else ("numbers", "text")
            raise DataError(
                "column-type-wrong",
                f"static column `{changed[0]}` held {was} when the model was fitted and holds {now} here",
                hint="bring the column as it was, or fit again",
                where=changed[0],
            )
        return _windows(panel, self.config, self.covariate_location, self.vocabulary, self.training.device)

    def unseen(self, panel: Panel) -> dict[str, int]:
        """Series whose category training did not meet, counted by static column; the network takes it as unknown."""
        labels = panel.static_labels
        codes = codes_of(labels, {name: self.vocabulary[name] for name in labels.columns}, len(panel))
        known = np.array([labels[name].is_not_null() for name in labels.columns], dtype=np.bool_)
        unseen = (codes == 0) & known.reshape(labels.width, len(panel)).T
        counts = dict(zip(labels.columns, unseen.sum(0).tolist(), strict=True))
        return {name: count for name, count in counts.items() if count}

    def unseen_series(self, panel: Panel) -> np.ndarray:
        """(N) bool: the series that training did not learn from, known by hashes of their ids.

        They are forecast like any other. None is marked by a model that did not keep the hashes.
        """
        if self.trained_on is None:
            return np.zeros(len(panel), dtype=np.bool_)
        return ~np.isin(hash_ids(panel.ids), self.trained_on)

    def quantiles(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
        """Quantiles (B, H, Q) in units of y at the cutoffs (B, positions) of `series` (B). Any B, in one pass."""
        windows = self.windows(panel)
        out = np.empty((len(self.config.quantile_levels), len(series), self.config.horizon))  # a table's columns

        def forecast(begin: int) -> None:
            filled = np.arange(begin, begin + BATCH).clip(max=len(series) - 1)
            with torch.inference_mode():
                made = self.network(windows.cut(series[filled], cutoffs[filled]))[: len(series) - begin]
            part = slice(begin, begin + BATCH)
            out[:, part] = made.movedim(-1, 0).cpu().numpy()
            out[:, part] += panel.centers[series[part], 0][:, None]

        with side_by_side(self.training.device) as each:
            for _ in each(forecast, range(0, len(series), BATCH)):
                pass
        return out.transpose(1, 2, 0)

    def cutoffs(self, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
        """The newest cutoff of every series that can be forecast.

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
        seen: np.ndarray = ~np.isnan(panel.values[panel.offsets[:-1] + np.maximum(cutoffs, 0), 0]) & (cutoffs >= 0)
        others = np.flatnonzero(~seen & (cutoffs > 0))
        size = max(1, LOOKED_AT // self.config.context_length)
        back = np.arange(self.config.context_length)
        for begin in range(0, len(others), size):
            some = others[begin : begin + size]
            rows = panel.offsets[some, None] + np.maximum(cutoffs[some, None] - back, 0)
            seen[some] = (~np.isnan(panel.values[rows, 0]) & (back <= cutoffs[some, None])).any(1)
        return seen

    def forecast(self, panel: Panel) -> pl.DataFrame:
        """The forecast of every series from its newest row: id, time, cutoff, step, yhat and quantiles.

        Raises DataError `future-covariates-missing` when known-future covariates are not known for the horizon.
        """
        series, cutoffs = self.cutoffs(panel)
        return self.frame(panel, series, cutoffs, self.quantiles(panel, series, cutoffs))

    def frame(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray, quantiles: np.ndarray) -> pl.DataFrame:
        """Quantiles (B, H, Q) as a table, B x H rows, under the user's own column names."""
        horizon = self.config.horizon
        long = np.repeat(series, horizon)
        steps = np.tile(np.arange(1, horizon + 1), len(series))
        flat = quantiles.reshape(-1, quantiles.shape[-1])
        levels = self.config.quantile_levels
        point = self.point(flat)
        if self.schema.counts:
            flat = whole(flat, levels)
        return pl.DataFrame(
            {
                self.schema.id_name: panel.ids.gather(long),
                self.schema.time: panel.times(long, np.repeat(cutoffs, horizon) + steps),
                "cutoff": panel.times(series, cutoffs).gather(np.repeat(np.arange(len(series)), horizon)),
                "step": steps,
                "yhat": flat[:, self.config.median] if self.config.point == "median" else point,
                **{f"q{level:g}": flat[:, k] for k, level in enumerate(levels)},
            }
        )

    def point(self, quantiles: np.ndarray) -> np.ndarray:
        """The point forecast (...) of quantiles (..., Q): their median, or the mean of the distribution they describe.

        The mean of counts is that of their quantiles before these are made whole.
        """
        if self.config.point == "median":
            return quantiles[..., self.config.median]
        return np.asarray(quantiles @ mean_weights(self.config.quantile_levels))

    def future_table(self, panel: Panel) -> pl.DataFrame:
        """The table of known-future covariates to fill in for the next horizon of every series.

        Raises UsageError `future-data-unused` for a model that reads none.
        """
        return future_table(panel, self.schema, self.config.horizon)

    def save(self, directory: str | Path, *, data: dict[str, Any], metrics: dict[str, Any]) -> None:
        """Write the model directory. `data` says what it was trained on, `metrics` how well it did (JSON-able)."""
        weights = dict(self.network.state_dict())
        weights["covariate_location"] = torch.from_numpy(self.covariate_location)
        if self.trained_on is not None:
            weights["trained_on"] = torch.from_numpy(self.trained_on)
        if self.ranks is not None:
            weights["ranks"] = torch.from_numpy(self.ranks)
        history = asdict(self.history)
        history.pop("seconds")  # the same run writes the same bytes
        model_directory.save(
            Path(directory),
            weights,
            {
                "versions": _versions(),
                "network": to_dict(self.config),
                "training": to_dict(self.training),
                "point_forecast": self.config.point,
                "intervals": self.intervals,
                "schema": to_dict(self.schema),
                "reading": to_dict(self.reading),
                "frequency": self.frequency,
                "vocabulary": {name: list(codes) for name, codes in self.vocabulary.items()},
                "decisions": [asdict(decision) for decision in self.decisions],
                "history": history,
                "data": data,
                "metrics": metrics,
            },
        )

    @classmethod
    def load(cls, directory: str | Path, *, device: str = "auto") -> tuple[Forecaster, dict[str, Any]]:
        """The forecaster and its manifest. Raises NotFound `model-not-found`, DataError `model-damaged`."""
        weights, manifest = model_directory.load(Path(directory))
        try:
            if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
                raise TypeError("weights are not finite")
            if not isinstance(manifest["data"].get("path", ""), str) or not isinstance(manifest["metrics"], dict):
                raise TypeError("data and metrics are not what they were")
            location = weights.pop("covariate_location").numpy()
            trained_on, ranks = weights.pop("trained_on", None), weights.pop("ranks", None)
            training = from_dict(TrainingConfig, manifest["training"])
            network = new_network(from_dict(NetworkConfig, manifest["network"]), training.members)
            network.load_state_dict(weights)
            chosen = choose_device(device).value
            history = manifest["history"]
            forecaster = cls(
                network.to(chosen).eval(),
                replace(training, device=chosen),
                from_dict(Schema, manifest["schema"]),
                manifest["frequency"],
                location,
                {name: tuple(codes) for name, codes in manifest["vocabulary"].items()},
                tuple(Decision(**decision) for decision in manifest["decisions"]),
                History(seconds=0.0, **{**history, "evaluations": tuple(map(tuple, history["evaluations"]))}),
                from_dict(Reading, manifest.get("reading", {})),
                trained_on=None if trained_on is None else trained_on.numpy(),
                ranks=None if ranks is None else ranks.numpy(),
                intervals=manifest.get("intervals", "network"),
            )
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise DataError(
                "model-damaged",
                f"weights and manifest do not belong together: {type(error).__name__}",
                hint="train it again with `tsx fit`",
                where=str(directory),
            ) from error
        return forecaster, manifest

    def _with_future(self, panel: Panel, series: np.ndarray, cutoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those whose known-future covariates are known for the horizon after the cutoff."""
        if not self.schema.ahead:
            return series, cutoffs
        lacking = lacking_future(panel, self.schema.ahead, self.config.horizon, series, cutoffs)
        if lacking.whole.any():
            return series[lacking.whole], cutoffs[lacking.whole]
        raise lacking.error(panel)


def _windows(
    panel: Panel, config: NetworkConfig, location: np.ndarray, vocabulary: dict[str, tuple[str, ...]], device: str
) -> Windows:
    return Windows(
        panel,
        context_length=config.context_length,
        horizon=config.horizon,
        covariate_location=location,
        static_codes=codes_of(labels_of(panel, config.identity), vocabulary, len(panel)),
        delay=config.delay,
        device=device,
    )


def _parts(series: np.ndarray, cutoffs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for begin in range(0, len(series), BATCH):
        yield series[begin : begin + BATCH], cutoffs[begin : begin + BATCH]


def _settle(
    network: Network, held: list[Batch], series: np.ndarray, cutoffs: np.ndarray, sample: Batch, intervals: Intervals
) -> tuple[Decision, Decision, np.ndarray | None]:
    """Share and calibration of the network from the windows held out, and the rank templates of their errors."""
    network.spread_factors.fill_(1.0)
    groups = groups_of(series, cutoffs, network.config.horizon)
    share = trust(network, held, len(np.unique(groups)) / max(len(np.unique(series)), 1), sample)
    return share, *calibrate_network(network, held, groups, intervals)


def _learn(
    windows: Windows,
    learn: Cutoffs,
    validate: list[Batch],
    config: NetworkConfig,
    training: TrainingConfig,
    computed: int,
    progress: Progress,
) -> tuple[Network, History, Decision]:
    """A network trained on the `learn` cutoffs, from the smoothing of a sample of them on."""
    sample = _to_cpu(windows.cut(*learn.spread(SAMPLED)))
    with torch.random.fork_rng():  # the caller's own random numbers go on as if nothing had happened
        members, smoothing = untrained_members(config, training, sample, computed)
        history = train_members(members, windows, learn, validate, training, progress)
    return join(members), history, smoothing


def _to_cpu(batch: Batch) -> Batch:
    return Batch(*(getattr(batch, name).cpu() for name in Batch.__dataclass_fields__))


def covariate_location(panel: Panel, config: NetworkConfig, series: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Mean of every covariate over the last lags of the sampled windows, float64 (C - 1), in its own units."""
    rows = panel.offsets[series] + cutoffs
    sampled = panel.values[rows, 1:].astype(np.float64) + panel.centers[series, 1:]
    counts = (~np.isnan(sampled)).sum(0)
    means: np.ndarray = np.nansum(sampled, 0) / np.maximum(counts, 1)
    return means


def _versions() -> dict[str, str]:
    return {
        "tsx": importlib.metadata.version("tsx-forecast"),
        **{name: importlib.metadata.version(name) for name in ("torch", "polars", "numpy", "safetensors")},
    }
