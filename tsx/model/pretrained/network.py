"""A recurrent network that weighs simple forecasts of a window and corrects them: nine quantiles of every step.

Shapes: B windows, H horizon, K simple forecasts, Q quantile levels.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from tsx.model.pretrained.windows import CHANNELS, KNOWN, SEGMENT, SIMPLE, Windows, in_units, squash
from tsx.spec.pretrained import HORIZON

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MEDIAN = 4
SIDE = 4
"""Quantiles on either side of the median."""
PER_STEP = len(SIMPLE) + 1 + 2 * SIDE
WEIGHTS = Path(__file__).with_name("weights.safetensors")
FIRST_STEP = -0.7
"""Softplus of it is the first distance between two quantiles, in units of the scale."""


class PretrainedNetwork(nn.Module):
    """A GRU over segments; from its last state the weights of K simple forecasts, a correction, distances of quantiles.

    Before training all simple forecasts weigh the same, and nothing is corrected.
    """

    def __init__(self, embedded: int = 96, units: int = 192, joined: int = 224) -> None:
        super().__init__()
        self.embed = nn.Linear(SEGMENT * CHANNELS + KNOWN, embedded)
        self.cell = nn.GRU(embedded, units, batch_first=True)
        self.join = nn.Linear(units + KNOWN + len(SIMPLE) * HORIZON, joined)
        self.deep = nn.Linear(joined, joined)
        self.out = nn.Linear(joined, HORIZON * PER_STEP)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():
            self.out.bias.view(HORIZON, PER_STEP)[:, -2 * SIDE :] = FIRST_STEP

    def forward(self, windows: Windows) -> Tensor:
        """(B, H, Q) quantiles less the level, in units of the scale."""
        segments, known, simple = windows.segments, windows.known, windows.simple
        inputs = torch.cat([segments, known[:, None].expand(-1, segments.shape[1], -1)], 2)
        state = self.cell(silu(self.embed(inputs)))[0][:, -1]
        z = silu(self.join(torch.cat([state, known, squash(simple).flatten(1)], 1)))
        z = z + silu(self.deep(z))
        made = self.out(z).unflatten(1, (HORIZON, PER_STEP))
        weights, correction, distances = made.split([len(SIMPLE), 1, 2 * SIDE], dim=2)
        # What is corrected, and how far, grows where the simple forecasts differ.
        unit = 1 + simple.std(1)[..., None]
        median = (weights.softmax(2) * simple.transpose(1, 2)).sum(2, keepdim=True) + correction * unit
        above, below = (softplus(distances) * unit).unflatten(2, (2, SIDE)).cumsum(3).unbind(2)
        return torch.cat([median - below.flip(2), median, median + above], 2)


def forecast(network: PretrainedNetwork, windows: Windows) -> Tensor:
    """(B, H, Q) in the units of the values that the windows were read of."""
    with torch.no_grad():
        return in_units(network(windows), windows)


def load(path: Path) -> PretrainedNetwork:
    """The network with the weights of a file, which has two bytes a parameter."""
    with torch.random.fork_rng(devices=[]):  # does not advance the caller's random numbers
        network = PretrainedNetwork()
    network.load_state_dict({name: each.float() for name, each in load_file(path).items()})
    return network.eval()


@cache
def shipped() -> PretrainedNetwork:
    """The network with the weights that come with the package."""
    return load(WEIGHTS)
