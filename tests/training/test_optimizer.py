"""The optimiser against torch's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tsx.training.optimizer import AdamW

RATES = (0.1, 0.05, 0.02)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_have_the_bits_of_torchs_own_and_a_parameter_without_a_gradient_stays(decay):
    mine, theirs = ([torch.linspace(-1, 1, 6).view(2, 3).requires_grad_() for _ in range(2)] for _ in range(2))
    optimiser = AdamW(mine, decay)
    torchs = torch.optim.AdamW(theirs, weight_decay=decay, fused=True)
    for rate in RATES:
        for each in (mine[0], theirs[0]):
            (each**3).sum().backward()
        optimiser.step(rate)
        torchs.param_groups[0]["lr"] = rate
        torchs.step()
        mine[0].grad = theirs[0].grad = None
    assert torch.equal(mine[0], theirs[0])
    assert torch.equal(mine[1], torch.linspace(-1, 1, 6).view(2, 3))


def test_a_step_does_not_load_torchs_compiler():
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, torch\nfrom tsx.training.optimizer import AdamW\n"
            "w = torch.ones(2, requires_grad=True)\nw.sum().backward()\nAdamW([w]).step(0.1)\n"
            "print('torch._dynamo' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "False"
