"""The network in ONNX gives the numbers that it gives here. Needs onnxscript and onnxruntime, which dev has not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import tsx
from tsx.model.batch import Batch
from tsx.model.categories import FEWEST_SERIES
from tsx.model.ensemble import with_pretrained
from tsx.store.forecaster import load_forecaster, save_forecaster

MISSING = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.filterwarnings("ignore"),  # of the exporter's own parts
]
HALVED = "half the pretrained network"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "covariates with gaps": {"past": ["x"], "future": ["z"], "static": ["kind", "size"], "calendar": True},
    "attention of an ensemble of gru": {"cell": "gru", "attention": "self", "ensemble": 2, "past": ["x"]},
    HALVED: {"season": 4},
    "segments and a season": {"segment": 2, "season": 7, "context_length": 14, "attention": "temporal"},
}


def table() -> pl.DataFrame:
    """Series with every kind of covariate, and gaps in the target and in `x`; as many share a kind as a model asks for
    to know its name."""
    random = np.random.default_rng(0)
    shops, length = 2 * FEWEST_SERIES, 60
    rows = shops * length
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(length)]
    number = np.repeat(np.arange(shops), length)
    values = pl.DataFrame(
        {
            "shop": number,
            "day": days * shops,
            "y": 50 + 5 * np.sin(np.arange(rows)) + random.normal(size=rows),
            "x": random.normal(size=rows),
            "z": random.normal(size=rows),
            "kind": np.array(["small", "large"])[number % 2],
            "size": 1.0 + number % 2,
        }
    )
    for name in ("y", "x"):
        gone = pl.Series(random.random(rows) < 0.15)
        values = values.with_columns(pl.when(gone).then(None).otherwise(pl.col(name)).alias(name))
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_the_exported_network_gives_the_same_quantiles_for_any_number_of_windows(kind: str, tmp_path: Path) -> None:
    import onnxruntime

    from tsx.interop.onnx import INPUTS, export_network

    small: dict[str, Any] = {"horizon": 3, "context_length": 12, "hidden_size": 4, "max_steps": 20, "target": "y"}
    tsx.fit(table(), model=tmp_path / "model", **{**small, **KINDS[kind]})
    if kind == HALVED:
        with_half_of_the_pretrained(tmp_path / "model")
    file = export_network(tmp_path / "model", tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(file)
    network = load_forecaster(tmp_path / "model", device="cpu")[0].network.eval()
    names = [one.name for one in session.get_inputs()]
    for windows in (1, 5, 40):
        inputs = random_windows(network, windows)
        with torch.no_grad():
            expected = network(Batch(*inputs, inputs[0][:, :1, 0])).numpy()
        given = {name: each.numpy() for name, each in zip(INPUTS, inputs) if name in names}
        (found,) = session.run(None, given)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def with_half_of_the_pretrained(model: Path) -> None:
    forecaster, manifest = load_forecaster(model, device="cpu")
    network = with_pretrained(forecaster.network)
    assert network.pretrained is not None
    network.pretrained.weight.fill_(0.5)
    save_forecaster(replace(forecaster, network=network), model, data=manifest.data, metrics=manifest.metrics)


def random_windows(network: Any, windows: int) -> list[torch.Tensor]:
    """Windows with values missing here and there, as `Batch` has them."""
    from tsx.interop.onnx import example_batch

    torch.manual_seed(windows)
    past, future, numbers, codes, scale, center = example_batch(network, windows)
    past[torch.rand_like(past) < 0.2] = torch.nan
    future[torch.rand_like(future) < 0.2] = torch.nan
    return [past * 10, future, numbers, codes.random_(0, 2), scale, center + 50]
