"""The device that a network is trained and evaluated on."""

from __future__ import annotations

import torch

from tsx.errors import ConfigError
from tsx.runtime.group import current
from tsx.spec.decision import Decision


def choose_device(wish: str) -> Decision:
    """The device to compute on. Raises ConfigError `device-unavailable` for one that is not there.

    On a GPU the recurrence computes in full float32 from then on: by default it would round its products to ten bits,
    and the gates replayed from its states would not be its own.
    """
    decision = _find_device(wish) if current().size == 1 else _of_several_processes(wish)
    if decision.value == "cuda":
        torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
    return decision


def _of_several_processes(wish: str) -> Decision:
    """Of a group: the processor, since nothing else could be tried."""
    size = current().size
    if wish not in ("auto", "cpu"):
        raise ConfigError(
            "device-unavailable",
            f"{size} processes train together on the CPU only",
            hint="use --device cpu, or start one process for the other device",
            where="device",
        )
    return Decision("device", "cpu", f"{size} processes train together, each on its share of every batch")


def _find_device(wish: str) -> Decision:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wish == "auto":
        best = next(name for name in ("cuda", "mps", "cpu") if there[name])
        others = [name for name in ("cuda", "mps") if not there[name]]
        reason = "the fastest there is" if best != "cpu" else f"no {' or '.join(others)} device here"
        return Decision("device", best, reason)
    if not there[wish]:
        raise ConfigError(
            "device-unavailable",
            f"this machine offers torch no {wish} device",
            hint=f"use --device auto; available: {', '.join(n for n, ok in there.items() if ok)}",
            where="device",
        )
    return Decision("device", wish, "as asked")
