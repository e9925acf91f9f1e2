"""The encoders that `--cell` offers, and what can be asked of each; loads no torch.

`tsx.model.encoders.registry` holds the network layers under the same names. Code that depends on an encoder asks for
one of these capabilities, never for a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


@dataclass(frozen=True)
class EncoderCapabilities:
    """What an encoder can be asked.

    gates               names of its gates, as `Encoder.trace` gives them
    has_forget_gate     the state is kept by a gate: state_s = keep_s state_{s-1} + write_s, whose values can be
                        replayed, and whose bias begins with time constants up to the context (chrono initialisation)
    linear_recurrence   the gates depend on the input alone, so that one layer's last state is a sum over steps
    separate_variables  every variable has hidden units of its own, and a learned mixture over variables and lags reads
                        them
    gradients_apart     gradients of single windows can be taken side by side, as private training needs them
    """

    gates: tuple[str, ...] = ()
    has_forget_gate: bool = False
    linear_recurrence: bool = False
    separate_variables: bool = False
    gradients_apart: bool = False


LSTM_GATES = ("input", "forget", "output")

ENCODERS: dict[str, EncoderCapabilities] = {
    "lstm": EncoderCapabilities(LSTM_GATES, has_forget_gate=True, gradients_apart=True),
    "gru": EncoderCapabilities(("reset", "update"), has_forget_gate=True),
    "rnn": EncoderCapabilities(),
    "lstm-nog": EncoderCapabilities(("input", "forget"), has_forget_gate=True, gradients_apart=True),
    "minlstm": EncoderCapabilities(
        ("input", "forget"), has_forget_gate=True, linear_recurrence=True, gradients_apart=True
    ),
    "imv-lstm": EncoderCapabilities(LSTM_GATES, has_forget_gate=True, separate_variables=True),
}
"""By the names that `--cell` takes."""

if TYPE_CHECKING:
    Cell = str
else:
    Cell = Literal[tuple(ENCODERS)]
"""One of these names: the choices of `--cell`, which the generated stub of the package shows to editors."""
