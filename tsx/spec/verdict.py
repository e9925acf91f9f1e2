"""Whether a network is better than simple forecasts: the answer as it is stored with a model and shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The comparison of a network with the best baseline.

    model, against         the network's name and the best baseline's; naive where none is more than 2 % better
    skill                  1 - loss / loss of `against`; null where that loss is 0 or nothing could be scored
    skill_seasonal_naive   the same against the seasonal naive forecast (naive where there is no season)
    p_value                two-sided, of "both lose the same on average"; null where no test is possible
    units                  what was counted as independent, such as "24 origins"
    test                   "diebold-mariano", "t-test over series" or "none"
    sentence               all of it in words
    has_skill              better than every baseline, and p < 0.05 against `against`
    loss                   what was compared: "scaled error" or "QLIKE"
    """

    model: str
    against: str
    skill: float | None
    skill_seasonal_naive: float | None
    p_value: float | None
    units: str
    test: str
    sentence: str
    has_skill: bool
    loss: str = "scaled error"
