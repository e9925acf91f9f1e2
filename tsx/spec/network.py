"""What fixes a network and its training: every value that a plan chooses, stored beside the weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from tsx.spec.attentions import ATTENTIONS, Attention
from tsx.spec.channels import TARGET_ALONE, Channels, embedded_size
from tsx.spec.encoders import ENCODERS, Cell, EncoderCapabilities
from tsx.spec.settings import QUANTILE_LEVELS, Point

Link = Literal["none", "log"]

LOG_SHIFT = 0.1
"""Where the logarithm that admits zeros turns into a straight line, in mean absolute deviations of a series."""


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that fixes the network's shape; stored beside its weights."""

    horizon: int
    context_length: int
    segment: int
    season: int
    channels: Channels = TARGET_ALONE
    quantile_levels: tuple[float, ...] = QUANTILE_LEVELS
    cell: Cell = "lstm"
    hidden_size: int = 64
    layers: int = 1
    dropout: float = 0.0
    attention: Attention = "none"
    linear_skip: bool = True
    level: int | None = None
    """How many of the newest steps a window's location is the mean of; None: a season of them."""
    link: Link = "none"
    """What of y the network works on (`tsx.model.link`)."""
    least_log_shift: float = 0.0
    """The logarithm is a straight line up to about twice this value of y, or farther (`tsx.model.link.log_shift`)."""
    floor: float | None = None
    """No quantile is below it."""
    delay: int = 0
    """The newest values of the target that are taken as not observed."""
    point: Point = "median"
    time_since_observed: bool = False
    """Whether the encoder also reads how long ago each channel was observed before."""
    scaling: float = 1.0
    """In (0, 1]: how far a window's scale follows its own movement; the rest is the panel's typical one."""
    level_inputs: bool = False
    """Whether the decoder also reads a window's location and scale, which scaling takes away."""
    series_embedding: bool = False
    """Whether the last static category is which series it is."""
    future_reach: int = 0
    """K: how many steps before a step of the horizon the decoder reads known-future covariates of, beside its own."""
    known_effects: bool = False
    """Whether the smoothing stands on a linear regression on known-future covariates (`tsx.model.effects`)."""
    pretrained: bool = False
    """Whether the forecast is also that of the network that comes with the package (`PretrainedComponent`)."""
    at_once: tuple[int, ...] = ()
    """How many words of one time are read of each channel of words."""

    @property
    def encoder(self) -> EncoderCapabilities:
        """What the encoder can be asked."""
        return ENCODERS[self.cell]

    @property
    def exact_contributions(self) -> bool:
        """Whether the recurrent component is a sum over lags.

        Of several layers, the upper gates read states below; an attended state is not linear in what was written.
        """
        linear = self.encoder.linear_recurrence and self.layers == 1
        return linear and not ATTENTIONS[self.attention].replaces_state

    @property
    def known_series(self) -> int:
        """How many series the embedding tells apart; 0 without one, and where held-out windows gained nothing by it."""
        return len(self.channels.static_categories[-1].vocabulary) if self.series_embedding else 0

    @property
    def median(self) -> int:
        """Index of the point forecast among the quantile levels."""
        return self.quantile_levels.index(0.5)

    @property
    def steps_of_level(self) -> int:
        """How many of the newest steps a window's location is the mean of; 1: the last value."""
        if self.level is not None:
            return self.level
        return self.season if 2 * self.season <= self.context_length else 1

    @property
    def shortest_context(self) -> int:
        """Steps a window must have before its cutoff to be learnt from; the rest of its context may be missing."""
        return max(1, self.context_length // 4)

    @property
    def segment_inputs(self) -> int:
        """I: numbers that the encoder reads at each recurrent step (`tsx.model.embedding`)."""
        numbers = (3 if self.time_since_observed else 2) * len(self.channels.time_varying)
        return (numbers + embedded_size(self.channels.words)) * self.segment

    @property
    def segments(self) -> int:
        """S: recurrent steps that read the context."""
        return self.context_length // self.segment


@dataclass(frozen=True)
class TrainingConfig:
    max_steps: int = 1000
    max_time: float | None = None
    batch_size: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    evaluate_every: int = 50
    patience: int = 10
    """Evaluations without improvement before training stops."""
    members: int = 1
    """Networks that are trained, the k-th from seed + k, and averaged."""
    network_only: bool = False
    """Whether their whole output counts, whatever held-out rows say of it."""
    shift: float = 0.0
    """Share of its steps by which a labelled series is moved at most, at random, whenever it is learnt from."""
    jitter: float = 0.0
    """Standard deviation of the noise that is then added, in those of each channel."""
    seed: int = 0
    device: str = "cpu"

    def within(self, share: float) -> TrainingConfig:
        """With this share of the time, where that is limited."""
        return self if self.max_time is None else replace(self, max_time=share * self.max_time)


def to_dict(config: Any) -> dict[str, Any]:
    """A config as JSON-able values (tuples become lists)."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
