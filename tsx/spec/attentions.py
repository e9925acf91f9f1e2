"""The kinds of attention that `--attention` offers, and what can be asked of each; loads no torch.

`tsx.model.attention` holds the layers under the same names. Code that depends on attention asks for one of these
capabilities, never for a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal


@dataclass(frozen=True)
class AttentionCapabilities:
    """What a kind of attention can be asked.

    replaces_state  the decoder reads the attended state instead of the encoder's last one
    pools_states    a classifier can read a mean of its states under these weights
    """

    replaces_state: bool = False
    pools_states: bool = False


ATTENTIONS: dict[str, AttentionCapabilities] = {
    "none": AttentionCapabilities(),
    "temporal": AttentionCapabilities(pools_states=True),
    "self": AttentionCapabilities(replaces_state=True),
}
"""By the names that `--attention` takes."""

if TYPE_CHECKING:
    Attention = str
else:
    Attention = Literal[tuple(ATTENTIONS)]
"""One of these names: the choices of `--attention`, which the generated stub of the package shows to editors."""
