"""What a training did, as it is stored with the model."""

from __future__ import annotations

from dataclasses import dataclass

OUT_OF_TIME = "max_time is reached"


@dataclass(frozen=True)
class History:
    """What training did: the evaluations (step, training loss, validation loss), and why it stopped."""

    evaluations: tuple[tuple[int, float, float], ...]
    steps: int
    stopped: str
    seconds: float = 0.0

    @property
    def out_of_time(self) -> bool:
        """The time limit ended it."""
        return self.stopped == OUT_OF_TIME
