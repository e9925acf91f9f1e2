"""A training step against bare torch loops over the same batches. Run: python -m benchmarks.training

Two bare loops: the same network, loss and optimiser on batches that were cut beforehand (what the pipeline costs), and
a plain nn.LSTM with a linear head and an absolute error on the same shapes (what the whole network costs).
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.timing import describe_machine, report, take_turns
from tests.processes import autoregression, make_panel
from tsx.config import NetworkConfig, TrainingConfig
from tsx.data.windows import Cutoffs, Windows
from tsx.model.losses import pinball
from tsx.model.network import Network
from tsx.model.training import train

STEPS, SIZE = 20, 256


def compare(title: str, config: NetworkConfig) -> None:
    panel = make_panel([autoregression(2000, seed) for seed in range(20)])
    windows = Windows(
        panel, context_length=config.context_length, horizon=config.horizon, covariate_location=np.zeros(0),
        static_codes=np.zeros((len(panel), 0), np.int64),
    )  # fmt: skip
    learn = Cutoffs(np.full(len(panel), config.context_length - 1), panel.lengths - 1 - config.horizon)
    training = TrainingConfig(max_steps=STEPS, batch_size=SIZE, evaluate_every=10**9)
    draws = learn.draw(SIZE, training.seed)
    ready = [windows.cut(*next(draws)) for _ in range(STEPS)]

    def tsx_loop() -> None:
        torch.manual_seed(0)
        train(Network(config), windows, learn, [], training)

    def bare_loop() -> None:
        torch.manual_seed(0)
        network = Network(config).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, fused=True)
        for batch in ready:
            loss = pinball(*network.scaled(batch), network.levels)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()

    def plain_loop() -> None:
        torch.manual_seed(0)
        lstm = torch.nn.LSTM(config.segment, config.hidden_size, batch_first=True)
        head = torch.nn.Linear(config.hidden_size, config.horizon)
        parameters = [*lstm.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=2e-3, fused=True)
        for batch in ready:
            states, _ = lstm(batch.past.reshape(SIZE, -1, config.segment))
            loss = (head(states[:, -1]) - batch.target).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    loops = {"same network, ready batches": bare_loop, "tsx": tsx_loop, "plain nn.LSTM, ready batches": plain_loop}
    report(f"{title}: {STEPS} steps of {SIZE} windows", take_turns(loops), "same network, ready batches")


if __name__ == "__main__":
    print(describe_machine())
    compare("window 96, single lags, 128 units", NetworkConfig(24, 96, 1, 1, hidden_size=128))
    compare("window 96, segments of 24, 128 units", NetworkConfig(24, 96, 24, 24, hidden_size=128, season_skip=True))
