from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from tests.stored import FIXTURES
from tsx.store import model_directory
from tsx.store.manifest import Manifest


class Model:
    """A stored model that takes no training: the first is that of 0.1.0, later ones differ in their steps."""

    def __init__(self, weights: dict[str, Tensor], manifest: Manifest) -> None:
        self.weights, self.manifest = weights, manifest

    def save(self, directory: Path, number: float = 0, keep: int = 3) -> str:
        """Write the model whose weights are moved by `number`, and whose manifest says so."""
        data = replace(self.manifest.data, steps=self.manifest.data.steps + int(np.nan_to_num(number)))
        weights = {**self.weights, "covariate_location": self.weights["covariate_location"] + number}
        return model_directory.save(directory, weights, replace(self.manifest, data=data), keep)

    def number(self, directory: Path) -> int:
        """Which model is stored there; its weights and its manifest must say the same."""
        weights, manifest = model_directory.load(directory)
        moved = weights["covariate_location"] - self.weights["covariate_location"]
        number = manifest.data.steps - self.manifest.data.steps
        assert moved.tolist() == pytest.approx([number] * len(moved))
        return number


@pytest.fixture(scope="session")
def model() -> Model:
    return Model(*model_directory.load(FIXTURES / "model-0.1.0"))
