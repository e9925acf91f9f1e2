"""What every check of an explanation brings: what it looks at, how it judges, and how much its failure weighs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from tsx.explanation.checks.attention import ShuffledAttention
from tsx.explanation.checks.deletion_insertion import Curves, Faithfulness
from tsx.explanation.checks.refutation import Agreement, Manifold, Randomised, Stability
from tsx.explanation.result import Check, Verdict

E = TypeVar("E")
Judgement = tuple[float, Verdict, str]
"""The figure of a check, the verdict on it, and what it means in a sentence."""


@dataclass(frozen=True, eq=False)
class Halves:
    """Signed SHAP values (W, P, O) from two independent parts of the sample, which has `longer` times the pairs."""

    first: np.ndarray
    second: np.ndarray
    longer: float = 2.0


@dataclass(frozen=True, eq=False)
class LagCurves:
    """Mean |SHAP| and the forecast's mean gradient norm by lag, both (T), lag 1 first."""

    shap: np.ndarray
    gradient: np.ndarray


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the checks look at; None where a check does not apply to the model or the question.

    gap             largest |base value + sum of SHAP values - forecast| over all windows and steps, in forecast scales
    relative_error  pooled relative standard error of the SHAP values; infinite where all are zero
    """

    gap: float
    relative_error: float
    halves: Halves
    curves: Curves
    faithfulness: Faithfulness
    randomised: Randomised
    stability: Stability
    manifold: Manifold | None = None
    by_lag: LagCurves | None = None
    attention: ShuffledAttention | None = None
    seeds: Agreement | None = None


@dataclass(frozen=True, eq=False)
class CheckRule(Generic[E]):
    """One check: called with what it looks at, it returns the verdict.

    evidence  picks what it looks at; None where it does not apply
    judge     the rule
    decisive  whether no explanation survives to fail it
    """

    name: str
    evidence: Callable[[Evidence], E | None]
    judge: Callable[[E], Judgement]
    decisive: bool

    def __call__(self, evidence: E) -> Check:
        return Check(self.name, *self.judge(evidence))

    def of(self, evidence: Evidence) -> Check | None:
        """The check of an explanation; None where it does not apply."""
        own = self.evidence(evidence)
        return None if own is None else self(own)

    def failed(self, checks: Sequence[Check]) -> bool:
        """Whether this check is among `checks` and failed."""
        return any(check.name == self.name and check.verdict == "fail" for check in checks)


def check_rule(
    name: str, evidence: Callable[[Evidence], E | None], *, decisive: bool = False
) -> Callable[[Callable[[E], Judgement]], CheckRule[E]]:
    """Make a check of a function that judges its evidence."""
    return lambda judge: CheckRule(name, evidence, judge, decisive)


def low(figure: float, passes: float, weak: float) -> Verdict:
    """The verdict on a figure that is better the smaller it is."""
    return "pass" if figure <= passes else "weak" if figure <= weak else "fail"


def high(figure: float, passes: float, weak: float) -> Verdict:
    """The verdict on a figure that is better the larger it is."""
    return "pass" if figure >= passes else "weak" if figure >= weak else "fail"
