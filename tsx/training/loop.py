"""Training: index batches, pinball loss, AdamW, averaged weights, early stopping on a validation cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from tsx.errors import DataError
from tsx.model.batch import Batch, Windows
from tsx.model.heads.quantiles import pinball
from tsx.model.network import Network, Prepared
from tsx.panel.cutoffs import Cutoffs
from tsx.progress import SILENT, Progress
from tsx.runtime.executor import side_by_side
from tsx.spec.checkpoints import NONE, Checkpoints, TrainingState
from tsx.spec.history import OUT_OF_TIME, History
from tsx.spec.network import TrainingConfig
from tsx.training.optimizer import AdamW
from tsx.training.resuming import random_states, restore, training_key
from tsx.training.slices import gradients, slice_count
from tsx.training.validation import losses_by_weight

HIDDEN_SHARE = 0.05
"""Share of the training windows whose category is hidden, so that the network learns what an unknown one means."""
WARM_UP = 0.05
"""Share of the run over which the learning rate rises."""
AVERAGED = 0.99
"""The final weights are an exponential average over about the last hundred steps (Polyak & Juditsky 1992)."""


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of some windows of a batch: series, cutoffs, and which categories are visible."""


def train(
    network: Network,
    windows: Windows,
    learn: Cutoffs,
    validate: Sequence[Batch],
    config: TrainingConfig,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> History:
    """Fit `network` in place to the windows at the `learn` cutoffs and leave it with the average of its last weights.

    `validate` holds batches that lie later in time: the loss there, with the share of the network that suits them best,
    stops a run that has long had nothing to gain. Same seed and machine: same weights, unless `max_time` cuts the run
    short. A run that was killed goes on from its newest checkpoint, to the same weights. Raises DataError
    `training-diverged` when the loss is no longer a number.
    """
    parameters: list[torch.Tensor] = list(network.parameters())
    optimiser = AdamW(parameters, config.weight_decay)
    levels = network.head.levels
    draws, hide = np.random.default_rng(config.seed), np.random.default_rng((config.seed, 1))
    batches, categories = learn.draw(config.batch_size, draws), len(network.config.channels.static_categories)
    average = [parameter.detach().clone() for parameter in parameters]
    best, best_step = float("inf"), 0
    evaluations: list[tuple[int, float, float]] = []
    stopped = "max_steps is reached"
    began = time.monotonic()
    step = begun = 0
    running = torch.zeros((), device=config.device)
    key = training_key(network, learn, config)
    tensors = {
        **{f"weight.{k}": parameter for k, parameter in enumerate(parameters)},
        **{f"average.{k}": each for k, each in enumerate(average)},
        **{f"buffer.{name}": buffer for name, buffer in network.named_buffers()},
        **optimiser.state(),
        "running": running,
    }
    if (earlier := checkpoints.load(key)) is not None:
        facts = earlier.facts
        restore(tensors, earlier)
        draws.bit_generator.state, hide.bit_generator.state = facts["random"]
        best, best_step = facts["best"], facts["best_step"]
        evaluations = [(int(at), mean, valid) for at, mean, valid in facts["evaluations"]]
        step = begun = facts["step"]
        began -= facts["seconds"]
        progress.decided("resumed", begun, "steps of this training were done before it was killed")
    count = slice_count(network.config, config.batch_size, config.device)
    held = [network.prepare(batch) for batch in validate]

    def draw() -> list[Drawn]:
        drawn = (*next(batches), hide.random((config.batch_size, categories)) >= HIDDEN_SHARE)
        return list(zip(*(np.array_split(of_each, count) for of_each in drawn)))

    def prepare(part: Drawn) -> Prepared:
        series, cutoffs, visible = part
        return network.prepare(_hide_categories(windows.cut(series, cutoffs), visible))

    def measure(part: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        quantiles, target = network.scaled_from(part)
        return pinball(quantiles, target, levels), (~torch.isnan(target)).sum()

    def save(done: int, random: Sequence[Any]) -> None:
        facts = {
            "step": done,
            "random": random,
            "best": best,
            "best_step": best_step,
            "evaluations": evaluations,
            "seconds": time.monotonic() - began,
        }
        checkpoints.save(key, TrainingState({**tensors, **random_states(config.device)}, facts))

    progress.start("training", config.max_steps)
    network.train()
    try:
        with side_by_side(config.device) as each:
            random = (draws.bit_generator.state, hide.bit_generator.state)  # before the next batch is drawn
            coming = each(prepare, draw())
            for step in range(begun + 1, config.max_steps + 1):
                if checkpoints.due(key):
                    save(step - 1, random)
                spent = (time.monotonic() - began) / config.max_time if config.max_time else 0.0
                rate = config.learning_rate * learning_rate_factor(max((step - 1) / config.max_steps, spent))
                parts = list(coming)
                random = (draws.bit_generator.state, hide.bit_generator.state)
                coming = each(prepare, draw())  # the next step's, where there is a thread for it
                loss = gradients(measure, parts, parameters, each)
                clip_grad_norm_(parameters, config.clip_norm)
                optimiser.step(rate)
                with torch.no_grad():
                    torch._foreach_lerp_(average, parameters, 1 - min(AVERAGED, (1 + step) / (10 + step)))
                running += loss
                out_of_time = spent >= 1
                if step % config.evaluate_every and step != config.max_steps and not out_of_time:
                    continue
                mean = float(running) / (step - (evaluations[-1][0] if evaluations else 0))
                running.zero_()
                valid = mean
                if validate:
                    valid = _with_weights(average, parameters, lambda: float(losses_by_weight(network, held).min()))
                if not mean < float("inf") or not valid < float("inf"):
                    raise DataError(
                        "training-diverged",
                        f"the loss is no longer a number at step {step}",
                        hint=f"lower --learning-rate (it was {config.learning_rate:g})",
                        where="training",
                    )
                evaluations.append((step, mean, valid))
                progress.update(step, f"loss {mean:.4f}, validation {valid:.4f}" if validate else f"loss {mean:.4f}")
                if valid < best or not validate:
                    best, best_step = valid, step
                elif step - best_step >= config.patience * config.evaluate_every:
                    stopped = f"no better for {step - best_step} steps"
                    break
                if out_of_time:
                    stopped = OUT_OF_TIME
                    break
    finally:
        progress.finish()
    with torch.no_grad():
        torch._foreach_copy_(parameters, average)
    network.eval()
    return History(tuple(evaluations), step, stopped, time.monotonic() - began)


def _with_weights(average: list[torch.Tensor], parameters: list[torch.Tensor], measure: Callable[[], float]) -> float:
    """`measure` with the averaged weights in place."""
    current = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        torch._foreach_copy_(parameters, average)
        measured = measure()
        torch._foreach_copy_(parameters, current)
    return measured


def _hide_categories(batch: Batch, visible: np.ndarray) -> Batch:
    """The batch with the categories that are not `visible` (B, statics) set to unknown."""
    codes = batch.static_codes
    return replace(batch, static_codes=codes * torch.from_numpy(visible).to(codes.device)) if codes.shape[1] else batch


def learning_rate_factor(done: float) -> float:
    """Factor on the learning rate after the share `done` of the run: a linear rise, then half a cosine to 2 %."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.05)
    angle = torch.pi * min((done - WARM_UP) / (1 - WARM_UP), 1.0)
    return 0.02 + 0.49 * (1 + float(torch.cos(torch.tensor(angle))))
