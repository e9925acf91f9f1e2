"""The training loop of every network: AdamW, averaged weights, early stopping, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from tsx.errors import DataError
from tsx.progress import SILENT, Progress
from tsx.runtime.executor import side_by_side
from tsx.runtime.group import current
from tsx.spec.checkpoints import NONE, Checkpoints, State
from tsx.spec.history import OUT_OF_TIME, History
from tsx.spec.network import TrainingConfig
from tsx.training.lesson import Drawn, Lesson, Part
from tsx.training.optimizer import AdamW
from tsx.training.resuming import of_the_leader, random_states, restore, training_key
from tsx.training.slices import gradients

WARM_UP = 0.05
"""Share of the run over which the learning rate rises."""
AVERAGED = 0.99
"""The final weights are an exponential average over about the last hundred steps (Polyak & Juditsky 1992)."""


def train(
    network: nn.Module,
    lesson: Lesson[Drawn, Part],
    config: TrainingConfig,
    progress: Progress = SILENT,
    checkpoints: Checkpoints = NONE,
) -> History:
    """Fit `network` in place to the lesson and leave it with the averaged weights that the lesson keeps.

    The loss on what is held out stops a run that has long had nothing to gain. Same seed and machine: same weights,
    unless `max_time` cuts the run short. A run that was killed goes on from its newest checkpoint, to the same weights.
    The processes of a group learn from the same batches as one alone, each from its share of every one, and end with
    the same weights; only sums are in another order than in one.
    Raises DataError `training-diverged` when the loss is no longer a number.
    """
    group = current()
    parameters: list[torch.Tensor] = list(network.parameters())
    optimiser = AdamW(parameters, config.weight_decay)
    average = [parameter.detach().clone() for parameter in parameters]
    kept = average if lesson.keeps == "last" else [each.clone() for each in average]
    best, best_step = float("inf"), 0
    evaluations: list[tuple[int, float, float]] = []
    stopped = "max_steps is reached"
    began = time.monotonic()
    step = begun = 0
    running = torch.zeros((), device=config.device)
    key = training_key(network, lesson.size, config)
    tensors = {
        **{f"weight.{k}": parameter for k, parameter in enumerate(parameters)},
        **{f"average.{k}": each for k, each in enumerate(average)},
        **{f"buffer.{name}": buffer for name, buffer in network.named_buffers()},
        **optimiser.state(),
        "running": running,
    }
    if kept is not average:
        tensors |= {f"kept.{k}": each for k, each in enumerate(kept)}
    earlier = of_the_leader(checkpoints.load(key) if group.leads else None, tensors, group)
    if earlier is not None:
        facts = earlier.facts
        restore(tensors, earlier)
        lesson.restore(facts["random"])
        best, best_step = facts["best"], facts["best_step"]
        evaluations = [(int(at), mean, valid) for at, mean, valid in facts["evaluations"]]
        step = begun = facts["step"]
        began -= facts["seconds"]
        progress.decided("resumed", begun, "steps of this training were done before it was killed")

    def save(done: int, random: Any) -> None:
        facts = {
            "step": done,
            "random": random,
            "best": best,
            "best_step": best_step,
            "evaluations": evaluations,
            "seconds": time.monotonic() - began,
        }
        checkpoints.save(key, State(facts, {**tensors, **random_states(config.device)}))

    progress.start("training", config.max_steps)
    network.train()
    try:
        with side_by_side(config.device) as each:
            random = lesson.state()  # before the next batch is drawn
            coming = each(lesson.prepare, lesson.draw())
            for step in range(begun + 1, config.max_steps + 1):
                if group.leads and checkpoints.due(key):
                    save(step - 1, random)
                spent = group.say((time.monotonic() - began) / config.max_time) if config.max_time else 0.0
                rate = config.learning_rate * learning_rate_factor(max((step - 1) / config.max_steps, spent))
                parts = list(coming)
                random = lesson.state()
                coming = each(lesson.prepare, lesson.draw())  # the next step's, where there is a thread for it
                loss = gradients(lesson.measure, parts, parameters, each, group)
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
                if lesson.held_out:
                    valid = _with_weights(average, parameters, lesson.loss)
                mean, valid = group.say((mean, valid))
                if not mean < float("inf") or not valid < float("inf"):
                    raise DataError(
                        "training-diverged",
                        f"the loss is no longer a number at step {step}",
                        hint=f"lower --learning-rate (it was {config.learning_rate:g})",
                        where="training",
                    )
                evaluations.append((step, mean, valid))
                validated = f", validation {valid:.4f}" if lesson.held_out else ""
                progress.update(step, f"loss {mean:.4f}{validated}")
                if valid < best or not lesson.held_out:
                    best, best_step = valid, step
                    if kept is not average:
                        torch._foreach_copy_(kept, average)
                elif step - best_step >= config.patience * config.evaluate_every:
                    stopped = f"no better for {step - best_step} steps"
                    break
                if out_of_time:
                    stopped = OUT_OF_TIME
                    break
    finally:
        progress.finish()
    with torch.no_grad():
        torch._foreach_copy_(parameters, [group.give(each) for each in kept])
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


def learning_rate_factor(done: float) -> float:
    """Factor on the learning rate after the share `done` of the run: a linear rise, then half a cosine to 2 %."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.05)
    angle = torch.pi * min((done - WARM_UP) / (1 - WARM_UP), 1.0)
    return 0.02 + 0.49 * (1 + float(torch.cos(torch.tensor(angle))))
