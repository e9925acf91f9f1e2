"""Other libraries as contestants, where they are installed: `pip install -e '.[peers]'`."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from time import perf_counter, process_time
from typing import Any

import numpy as np
import polars as pl

from benchmarks.speed.data import hourly
from benchmarks.speed.rows import Contestant, Spent, clocked

TRAINER: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_progress_bar": False,
    "logger": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
}
CONTEXT, HORIZON, HIDDEN = 96, 24, 128
SERIES = {"neuralforecast": 10_000, "darts": 300}
"""Series forecast at once; each in its own time."""


def darts_step(steps: int) -> dict[str, Contestant]:
    if find_spec("darts") is None:
        return {}
    _quiet()
    from darts.models import BlockRNNModel

    series = _timeseries(hourly(20, 2_000))
    ticks = Ticks()

    def run() -> Spent:
        model = BlockRNNModel(
            CONTEXT,
            HORIZON,
            model="LSTM",
            hidden_dim=HIDDEN,
            n_rnn_layers=1,
            batch_size=256,
            n_epochs=1,
            force_reset=True,
            random_state=0,
            pl_trainer_kwargs={**TRAINER, "max_steps": steps, "callbacks": [ticks.callback()]},
        )
        model.fit(series, verbose=False)
        return ticks.spent()

    return {"darts": run}


def neuralforecast_step(steps: int, rows: int = 2_000) -> dict[str, Contestant]:
    if find_spec("neuralforecast") is None:
        return {}
    _quiet()
    frame = _renamed(hourly(20, rows))
    ticks = Ticks()

    def run() -> Spent:
        forecast = _neuralforecast(steps, callbacks=[ticks.callback()])
        forecast.fit(frame)
        return ticks.spent()

    return {"neuralforecast": run}


def darts_forecast() -> dict[str, Contestant]:
    if find_spec("darts") is None:
        return {}
    _quiet()
    from darts.models import BlockRNNModel

    model = BlockRNNModel(
        CONTEXT - HORIZON,
        HORIZON,
        model="LSTM",
        hidden_dim=HIDDEN,
        n_rnn_layers=1,
        n_epochs=1,
        random_state=0,
        pl_trainer_kwargs={**TRAINER, "max_steps": 1},
    )
    model.fit(_timeseries(hourly(20, 300)), verbose=False)
    count = SERIES["darts"]
    series = _timeseries(hourly(count, CONTEXT))
    return {"darts": clocked(lambda: model.predict(HORIZON, series, verbose=False, show_warnings=False), count)}


def neuralforecast_forecast() -> dict[str, Contestant]:
    if find_spec("neuralforecast") is None:
        return {}
    _quiet()
    forecast = _neuralforecast(1)
    forecast.fit(_renamed(hourly(20, 300)))
    count = SERIES["neuralforecast"]
    frame = _renamed(hourly(count, CONTEXT))
    return {"neuralforecast": clocked(lambda: forecast.predict(frame), count)}


def _neuralforecast(steps: int, **more: Any) -> Any:
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    model = LSTM(
        h=HORIZON,
        input_size=CONTEXT,
        encoder_n_layers=1,
        encoder_hidden_size=HIDDEN,
        decoder_layers=1,
        decoder_hidden_size=HIDDEN,
        windows_batch_size=256,
        batch_size=32,
        max_steps=steps,
        val_check_steps=10**6,
        start_padding_enabled=True,
        random_seed=0,
        **TRAINER,
        **more,
    )
    return NeuralForecast(models=[model], freq="1h")


class Ticks:
    """When training steps ended, on the clock and of processors."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def callback(self) -> Any:
        from pytorch_lightning.callbacks import Callback

        seen = self.seen  # trainers copy their callbacks

        class Clock(Callback):  # type: ignore[misc]
            def on_train_batch_end(self, *_: Any) -> None:
                seen.append((perf_counter(), process_time()))

        return Clock()

    def spent(self) -> Spent:
        """The median step, of those seen since it was asked last."""
        steps = np.diff(np.array(self.seen), axis=0)
        self.seen.clear()
        return Spent(*np.median(steps, 0).tolist())


def _renamed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({"id": "unique_id", "time": "ds"})


def _timeseries(frame: pl.DataFrame) -> list[Any]:
    from darts import TimeSeries

    return [TimeSeries.from_values(part["y"].to_numpy().astype(np.float32)) for part in frame.partition_by("id")]


def _quiet() -> None:
    """Trainers tell of every run what devices there are."""
    import pytorch_lightning  # noqa: F401 - its loggers take levels of their own when they are made

    warnings.filterwarnings("ignore")
    for name in list(logging.Logger.manager.loggerDict):
        if name.startswith(("pytorch_lightning", "lightning", "darts")):
            logging.getLogger(name).setLevel(logging.ERROR)
