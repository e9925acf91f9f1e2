"""Replaying the gates from the fused layer's states against a loop over an LSTMCell. Run: python -m benchmarks.gates"""

from __future__ import annotations

import argparse

import torch
from torch.nn.functional import linear

from benchmarks.timing import describe_machine, report, take_turns
from tsx.model.encoders.registry import new_encoder


def loop_over_time(cell: torch.nn.LSTMCell, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Forget gates and what is written, each (B, S, D), by the cell's own equations step by step."""
    hidden = state = x.new_zeros(x.shape[0], cell.hidden_size)
    forget, written = [], []
    for step in x.unbind(1):
        products = linear(step, cell.weight_ih, cell.bias_ih) + linear(hidden, cell.weight_hh, cell.bias_hh)
        i, f, g, o = products.chunk(4, -1)
        f = torch.sigmoid(f)
        write = torch.sigmoid(i) * torch.tanh(g)
        state = f * state + write
        hidden = torch.sigmoid(o) * torch.tanh(state)
        forget.append(f)
        written.append(write)
    return torch.stack(forget, 1), torch.stack(written, 1)


def compare(batch: int, steps: int, size: int) -> None:
    torch.manual_seed(0)
    recurrence = new_encoder("lstm", 8, size, 1, dropout=0.0).eval()
    cell = torch.nn.LSTMCell(8, size)
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in recurrence.layers[0].state_dict().items()})
    x = torch.randn(batch, steps, 8)
    with torch.inference_mode():
        gates = recurrence.gates(x)[0]
        forget, written = loop_over_time(cell, x)
        gap = max(float((gates.keep - forget).abs().max()), float((gates.write - written).abs().max()))
        turns = {"LSTMCell loop": lambda: loop_over_time(cell, x), "replay": lambda: recurrence.gates(x)}
        report(
            f"batch {batch} x {steps} steps, {size} units (largest difference {gap:.1e})",
            take_turns(turns),
            "LSTMCell loop",
        )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(describe_machine())
    for batch, steps, size in ((1, 5000, 64), (1, 200, 64), (32, 200, 64), (256, 96, 128), (512, 24, 128)):
        compare(batch, steps, size)
