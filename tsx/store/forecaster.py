"""A forecaster as a model directory, and back."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from tsx.errors import DataError
from tsx.model.ensemble import new_network
from tsx.model.forecaster import Forecaster, History
from tsx.runtime.devices import choose_device
from tsx.spec.decision import Decision
from tsx.spec.network import NetworkConfig, TrainingConfig, from_dict, to_dict
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading
from tsx.store import model_directory


def save_forecaster(
    forecaster: Forecaster,
    directory: str | Path,
    *,
    data: dict[str, Any],
    metrics: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> None:
    """Write the model directory.

    `data` says what it was trained on, `metrics` how well it did, `settings` what the user asked for (JSON-able).
    """
    weights = dict(forecaster.network.state_dict())
    weights["covariate_location"] = torch.from_numpy(forecaster.covariate_location)
    if forecaster.trained_on is not None:
        weights["trained_on"] = torch.from_numpy(forecaster.trained_on)
    if forecaster.ranks is not None:
        weights["ranks"] = torch.from_numpy(forecaster.ranks)
    history = asdict(forecaster.history)
    history.pop("seconds")  # the same run writes the same bytes
    model_directory.save(
        Path(directory),
        weights,
        {
            "versions": _versions(),
            "settings": settings or {},
            "network": to_dict(forecaster.config),
            "training": to_dict(forecaster.training),
            "point_forecast": forecaster.config.point,
            "intervals": forecaster.intervals,
            "schema": to_dict(forecaster.schema),
            "reading": to_dict(forecaster.reading),
            "frequency": forecaster.frequency,
            "vocabulary": {name: list(codes) for name, codes in forecaster.vocabulary.items()},
            "decisions": [asdict(decision) for decision in forecaster.decisions],
            "history": history,
            "data": data,
            "metrics": metrics,
        },
    )


def load_forecaster(directory: str | Path, *, device: str = "auto") -> tuple[Forecaster, dict[str, Any]]:
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
        forecaster = Forecaster(
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


def _versions() -> dict[str, str]:
    return {
        "tsx": importlib.metadata.version("tsx-forecast"),
        **{name: importlib.metadata.version(name) for name in ("torch", "polars", "numpy", "safetensors")},
    }
