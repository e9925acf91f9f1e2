"""The encoders by the names that `--cell` takes. Their capabilities stand in `tsx.spec.encoders`, which needs no torch.

A new encoder is a module of this package with a class, an entry here, and its capabilities there.
"""

from __future__ import annotations

from tsx.model.encoders.base import Encoder
from tsx.model.encoders.gru import GRUEncoder
from tsx.model.encoders.imv import VariableLSTMEncoder
from tsx.model.encoders.lstm import LSTMEncoder, LSTMWithoutOutputGateEncoder
from tsx.model.encoders.minimal import MinimalLSTMEncoder
from tsx.model.encoders.rnn import RNNEncoder

ENCODER_CLASSES: dict[str, type[Encoder]] = {
    encoder.name: encoder
    for encoder in (
        LSTMEncoder,
        GRUEncoder,
        RNNEncoder,
        LSTMWithoutOutputGateEncoder,
        MinimalLSTMEncoder,
        VariableLSTMEncoder,
    )
}


def new_encoder(
    name: str, inputs: int, hidden_size: int, layers: int = 1, dropout: float = 0.0, variables: int = 1
) -> Encoder:
    """An untrained encoder. `variables`: channels among the inputs, for encoders that keep them apart."""
    return ENCODER_CLASSES[name](inputs, hidden_size, layers, dropout, variables)
