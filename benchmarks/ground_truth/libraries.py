"""What other libraries say of networks of their own: fitted to the same data, of similar size, in as many steps.

They are scored by the same truth; how well each network learnt the process is reported beside it.
"""

from __future__ import annotations

import logging
import warnings
from functools import lru_cache
from time import process_time
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.ground_truth.fitting import HIDDEN, JUDGED, WINDOWS, Cell, Problem
from benchmarks.ground_truth.methods import BUDGET
from benchmarks.ground_truth.processes import HOUR, LENGTH
from benchmarks.ground_truth.scores import Attribution

RATE = 5e-3
TRAINER: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_progress_bar": False,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
}


def _quiet() -> None:
    """Trainers of both libraries tell of every run what devices there are."""
    import pytorch_lightning  # noqa: F401 - its loggers take levels of their own when they are made

    warnings.filterwarnings("ignore")
    for name in list(logging.Logger.manager.loggerDict):
        if name.startswith(("pytorch_lightning", "lightning", "darts")):
            logging.getLogger(name).setLevel(logging.ERROR)


def _past(problem: Problem) -> list[str]:
    return [name for name in problem.sample.features if name != "y" and name not in problem.process.future]


def _filled(problem: Problem) -> dict[str, np.ndarray]:
    """The columns (N, T + ahead); neither library takes missing covariates, so these are 0, their mean."""
    shown = {name: np.nan_to_num(values) for name, values in problem.sample.columns.items()}
    shown["y"] = shown["y"][:, :LENGTH]
    return shown


def _judged(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(series, cutoffs) of the forecasts of the newest steps, which nothing is fitted to."""
    times = np.arange(LENGTH - JUDGED, LENGTH) - problem.process.step
    count = len(problem.sample.expected)
    return np.repeat(np.arange(count), len(times)), np.tile(times, count)


def _learnt(problem: Problem, made: np.ndarray) -> float:
    series, cutoffs = _judged(problem)
    best = problem.sample.expected[series, cutoffs + problem.process.step]
    return float(1 - np.square(made - best).mean() / best.var())


def _windows(cells: tuple[Cell, ...], columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([columns[name][:WINDOWS, LENGTH - lag] for name, lag in cells], 1)


class NeuralForecastLSTM:
    """neuralforecast's LSTM. Its explanation stands against zeros, in units of y."""

    def __init__(self, problem: Problem) -> None:
        _quiet()
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MAE
        from neuralforecast.models import LSTM

        process = problem.process
        model = LSTM(
            h=process.horizon,
            input_size=process.context_length,
            recurrent=False,
            encoder_n_layers=1,
            encoder_hidden_size=HIDDEN,
            decoder_layers=1,
            decoder_hidden_size=HIDDEN,
            hist_exog_list=_past(problem) or None,
            futr_exog_list=list(process.future) or None,
            scaler_type="standard",
            loss=MAE(),
            max_steps=process.max_steps,
            learning_rate=RATE,
            batch_size=WINDOWS,
            windows_batch_size=256,
            random_seed=problem.seed,
            **TRAINER,
        )
        self.problem, self.library = problem, NeuralForecast(models=[model], freq="1h")
        columns = _filled(problem)
        series = np.arange(WINDOWS)
        known, _ = self._tables(columns, series, np.full(WINDOWS, LENGTH - JUDGED - 1), LENGTH - JUDGED)
        self.library.fit(known, val_size=0)

    def _tables(
        self, columns: dict[str, np.ndarray], series: np.ndarray, cutoffs: np.ndarray, length: int
    ) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """The last `length` steps up to each cutoff as series of their own, and the known future of each."""
        process = self.problem.process

        def rows(names: list[str], moves: np.ndarray, start: int) -> pl.DataFrame:
            steps, at = len(moves), cutoffs[:, None] + moves
            times = pl.Series(np.tile(np.arange(start, start + steps), len(series)) * HOUR)
            return pl.DataFrame(
                {
                    "unique_id": np.repeat([f"w{n:05d}" for n in range(len(series))], steps),
                    "ds": times.cast(pl.Datetime("us")),
                    **{name: columns[name][series[:, None], at].ravel() for name in names},
                }
            )

        known = rows(["y", *_past(self.problem), *process.future], np.arange(1 - length, 1), 0)
        if not process.future:
            return known, None
        return known, rows(list(process.future), np.arange(1, process.horizon + 1), length)

    def explain(self, explainer: str) -> Attribution:
        problem, process = self.problem, self.problem.process
        columns = _filled(problem)
        known, ahead = self._tables(columns, *_judged(problem), process.context_length)
        made = self.library.predict(df=known, futr_df=ahead)
        made = made.sort("unique_id", "ds")["LSTM"].to_numpy().reshape(-1, process.horizon)[:, process.step - 1]
        newest = np.full(WINDOWS, LENGTH - 1)
        known, ahead = self._tables(columns, np.arange(WINDOWS), newest, process.context_length)
        torch.manual_seed(problem.seed)
        began = process_time()
        _, found = self.library.explain(
            horizons=[process.step - 1], explainer=explainer, df=known, futr_df=ahead, verbose=False
        )
        worked = process_time() - began
        parts = found["LSTM"]
        length = process.context_length
        values: dict[Cell, np.ndarray] = {}
        insample = parts["insample"][:, 0, 0, 0, :, 0].double().numpy()
        values |= {("y", length - i): insample[:, i] for i in range(length)}
        for key, names in (("hist_exog", _past(problem)), ("futr_exog", list(process.future))):
            for n, name in enumerate(names):
                each = parts[key][:, 0, 0, 0, n].double().numpy()
                values |= {(name, length - i): each[:, i] for i in range(each.shape[1])}
        cells = tuple(values)
        return Attribution(
            cells,
            np.stack(list(values.values()), 1),
            _windows(cells, columns),
            reference="zero",
            facts={"learnt": _learnt(problem, made), "seconds": worked / WINDOWS},
        )


@lru_cache(maxsize=1)
def _fitted(problem: Problem) -> NeuralForecastLSTM:
    return NeuralForecastLSTM(problem)


def neuralforecast_gradients(problem: Problem) -> Attribution:
    return _fitted(problem).explain("IntegratedGradients")


def neuralforecast_sampling(problem: Problem) -> Attribution:
    return _fitted(problem).explain("ShapleyValueSampling")


def darts_shap(problem: Problem) -> Attribution:
    """darts' ShapExplainer on its LSTM; on its TiDE where covariates are known ahead, which that LSTM cannot read."""
    _quiet()
    import pandas as pd
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler
    from darts.explainability import ShapExplainer
    from darts.models import BlockRNNModel, TiDEModel
    from sklearn.preprocessing import StandardScaler

    process, columns, past = problem.process, _filled(problem), _past(problem)

    def series(names: list[str], stop: int) -> list[Any]:
        """One TimeSeries for every series, up to `stop`; an empty list where there are no columns."""
        if not names:
            return []
        shape = (WINDOWS, -1, len(names))
        cells = np.stack([columns[name][:, :stop] for name in names], -1).astype(np.float32).reshape(shape)
        times = pd.RangeIndex(cells.shape[1])
        return [TimeSeries.from_times_and_values(times, each, columns=names) for each in cells]

    learning = LENGTH - JUDGED
    scaler = Scaler(StandardScaler(), global_fit=True)
    scaler.fit(series(["y"], learning))
    whole = {
        "series": scaler.transform(series(["y"], LENGTH)),
        "past_covariates": series(past, LENGTH),
        "future_covariates": series(list(process.future), LENGTH + process.horizon),
    }

    def given(stop: int) -> dict[str, Any]:
        """What is known at `stop`; covariates known ahead go on for a horizon."""
        cut = {
            name: [each[: stop + process.horizon * (name == "future_covariates")] for each in many]
            for name, many in whole.items()
        }
        return {name: many for name, many in cut.items() if many}

    common: dict[str, Any] = {
        "input_chunk_length": process.context_length,
        "output_chunk_length": process.horizon,
        "batch_size": 256,
        "n_epochs": 1000,
        "optimizer_kwargs": {"lr": RATE},
        "use_reversible_instance_norm": True,
        "random_state": problem.seed,
        "loss_fn": torch.nn.L1Loss(),
        "pl_trainer_kwargs": {**TRAINER, "max_steps": process.max_steps},
    }
    if process.future:
        model = TiDEModel(hidden_size=HIDDEN, **common)
    else:
        model = BlockRNNModel(model="LSTM", hidden_dim=HIDDEN, **common)
    model.fit(**given(learning), verbose=False)
    made = []
    for cutoff in np.unique(_judged(problem)[1]):
        forecasts = model.predict(process.horizon, **given(cutoff + 1), verbose=False, show_warnings=False)
        made.append([each.values()[process.step - 1, 0] for each in scaler.inverse_transform(forecasts)])
    explainer = ShapExplainer(
        model,
        **{f"background_{name}": many for name, many in given(learning).items()},
        background_num_samples=100,
        batch_size=1024,
        test_stationarity=False,
    )
    players = len(explainer.explainer.feature_names)
    rounds = -(-BUDGET // (100 * (2 * players + 1)))
    np.random.seed(problem.seed)  # noqa: NPY002 - shap draws from the global generator
    rows = []
    began = process_time()
    for n in range(WINDOWS):
        one = {f"foreground_{name}": many[n] for name, many in given(LENGTH).items()}
        found = explainer.explain_single(**one, max_evals=rounds * (2 * players + 1), silent=True)
        rows.append(found.get_explanation().values()[process.step - 1])
    worked = process_time() - began
    cells = tuple(_cell(name) for name in explainer.explainer.feature_names)
    scale = float(scaler._fitted_params[0].scale_[0])
    return Attribution(
        cells,
        scale * np.stack(rows).astype(np.float64),
        _windows(cells, columns),
        facts={"learnt": _learnt(problem, np.array(made).T.ravel()), "seconds": worked / WINDOWS},
    )


def _cell(name: str) -> Cell:
    """`x_pastcov_lag-3` is x at lag 3; `x_futcov_lag1`, two steps ahead, is x at lag -1."""
    feature, lag = name.rsplit("_lag", 1)
    return feature.rsplit("_", 1)[0], -int(lag)
