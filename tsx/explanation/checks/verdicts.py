"""Attempts to refute an explanation, one verdict line each, and what they say together.

Thresholds were set on trained networks over known processes, and on explanations broken on purpose, whose figures are
in docs/tried.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from scipy.special import stdtrit

from tsx.explanation.checks.attention import ShuffledAttention
from tsx.explanation.checks.deletion_insertion import Curves, Faithfulness, Kind
from tsx.explanation.checks.learning import Learning
from tsx.explanation.checks.refutation import Agreement, Manifold, Randomised, Stability
from tsx.explanation.ranks import rank_similarity, spearman
from tsx.explanation.result import Check, Knowledge, Verdict
from tsx.wording import count, percent

# What passes, and what is still weak where a check has both.
ADDITIVITY = 1e-4
"""Of the forecast's scale: a hundred times float32's rounding of a sum of a thousand values."""
PRECISION = 0.15, 0.4
"""Pooled relative standard error: at 15 % a strong value's sign is sure; at 40 % a typical value is within two and a
half standard errors of zero."""
CONVERGENCE = 0.95, 0.8
"""Reliability of the whole sample: .95 is a relative error of 23 %, .8 one of 50 %."""
CURVES = 0.25, 0.1
"""Share of what a perfect order would gain over a random one: .36 to .87 on trained networks, under .06 with constant
values; shuffled ones reach .26 by luck where one input decides, which `faithfulness` then sees."""
FAITHFULNESS = 0.8, 0.5
"""Correlation of predicted and observed changes: .96 to 1 with correct values, up to .38 with shuffled ones."""
RANDOMISED_LAYERS = 0.6, 0.8
"""Signed rank correlation with a randomised network: -.7 to .55 for trained ones, 1 for what ignores the network."""
ROUNDING = 1e-6
"""A learned part of the values that is smaller than this share of them is rounding."""
NOISE_STABILITY = 0.1, 0.3
"""Change of the values beyond sampling, of their size, when the inputs move by 2 %: five and fifteen times as far."""
SEED_STABILITY = 0.6, 0.3
"""Share of the strongest players that two seeds have in common: five to eight of ten are usual at equal error."""
MANIFOLD = 1.5
"""Distance of the evaluated windows over that of real ones, in window scales: 1.0 where cells do not depend on each
other, 1.6 to 1.7 in autoregressions, seasonal series and walks."""
AGREEMENT = 0.5
"""Rank correlation with the SHAP values from which gradients and attention tell the important lags from the others."""
SHUFFLED_ATTENTION = 0.25
"""Shuffled weights move the forecast this much of what another window's whole context does: .50 to .79 on trained
networks that attend to the season of an autoregression, up to .03 where attention is spread or untrained."""
LEARNING = 0.08
"""What a learnt part is worth at least: up to .061 by overfitting to a shuffled target, .033 with half of the weights
drawn anew; .3 and more where a process was learnt, .065 where one was hardly learnt in 100 steps."""
SUFFICIENCY, COMPREHENSIVENESS = (0.8, 1.0), (1.5, 1.0)
"""Times a random order's change: .05 to .7 and 2.2 to 4.7 on trained networks, about 1 with shuffled values."""
LEVEL = 0.05
"""Of the tests against chance, one-sided."""
RAISE = "--max-evals N, above what was spent, gives more precise SHAP values."
CONDITIONAL = "--value conditional draws absent values that fit the present ones."
FEWEST_WINDOWS = 5
"""With fewer explained windows a test could hardly be passed, and the figure alone decides."""

ENOUGH_CHECKS = 8
"""From so many checks on, fewer than half passed is a failure, whichever they are."""
FEWEST_EXPLAINED = 4
"""With fewer explained windows there is little to refute, and passing says little."""

E = TypeVar("E")
Subject = Literal["explanation", "model"]
Judgement = tuple[float, Verdict, str] | tuple[float, Verdict, str, str]
"""The figure of a check, the verdict on it, what it means in a sentence, and what can be done about it."""


@dataclass(frozen=True, eq=False)
class Halves:
    """Signed SHAP values (W, P, O) by two independent parts of the sample, which has `longer` times the pairs."""

    first: np.ndarray
    second: np.ndarray
    longer: float = 2.0


@dataclass(frozen=True, eq=False)
class LagCurves:
    """Mean square of the SHAP values and the forecast's mean gradient norm by lag, both (T), lag 1 first."""

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
    halves: Halves | None
    curves: Curves
    faithfulness: Faithfulness
    randomised: Randomised
    stability: Stability
    learning: Learning | None = None
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
    subject   what it tries to refute: that the explanation is faithful to the model, or that the model knows anything
    """

    name: str
    evidence: Callable[[Evidence], E | None]
    judge: Callable[[E], Judgement]
    decisive: bool
    subject: Subject

    def __call__(self, evidence: E) -> Check:
        check = Check(self.name, *self.judge(evidence))
        return replace(check, advice="") if check.verdict == "pass" else check

    def of(self, evidence: Evidence) -> Check | None:
        """The check of an explanation; None where it does not apply."""
        own = self.evidence(evidence)
        return None if own is None else self(own)

    def failed(self, checks: Sequence[Check]) -> bool:
        """Whether this check is among `checks` and failed."""
        return any(check.name == self.name and check.verdict == "fail" for check in checks)


def check_rule(
    name: str,
    evidence: Callable[[Evidence], E | None],
    *,
    decisive: bool = False,
    subject: Subject = "explanation",
) -> Callable[[Callable[[E], Judgement]], CheckRule[E]]:
    """Make a check of a function that judges its evidence."""
    return lambda judge: CheckRule(name, evidence, judge, decisive, subject)


def low(figure: float, passes: float, weak: float) -> Verdict:
    """The verdict on a figure that is better the smaller it is."""
    return "pass" if figure <= passes else "weak" if figure <= weak else "fail"


def high(figure: float, passes: float, weak: float) -> Verdict:
    """The verdict on a figure that is better the larger it is."""
    return "pass" if figure >= passes else "weak" if figure >= weak else "fail"


@check_rule("additivity", lambda evidence: evidence.gap, decisive=True)
def additivity(gap: float) -> Judgement:
    """`gap`: largest |base value + sum of SHAP values - forecast| over all windows and steps, in forecast scales."""
    verdict: Verdict = "pass" if gap <= ADDITIVITY else "fail"
    words = "add" if verdict == "pass" else "do not add"
    sentence = f"Base value and SHAP values {words} up to the forecast, to {gap:.0e} of its scale."
    return gap, verdict, sentence


@check_rule("precision", lambda evidence: evidence.relative_error, decisive=True)
def precision(relative: float) -> Judgement:
    """`relative`: pooled relative standard error, the root of summed squared errors over squared values.

    Infinite where all values are zero: right where the forecast never moves, which other checks would refute.
    """
    if not np.isfinite(relative):
        sentence = "Every SHAP value is zero: the forecast does not react to its inputs."
        return 0.0, "weak", sentence
    verdict = low(relative, *PRECISION)
    sentence = f"The SHAP values carry a pooled standard error of {percent(relative)}."
    return relative, verdict, sentence, RAISE


@check_rule("convergence", lambda evidence: evidence.halves, decisive=True)
def convergence(halves: Halves) -> Judgement:
    """Would another sample give the same SHAP values?

    The figure is the reliability of the whole sample, which has n = `longer` times the pairs of either half:
    n r / (1 + (n - 1) r) (Spearman 1910, Brown 1910), where r is what the parts have in common, sum(a b) /
    sqrt(sum(a^2) sum(b^2)). A rank correlation of the two profiles is printed but does not decide: among many players
    without influence the ranks are noise, however sure the strong ones are.
    """
    first, second, longer = halves.first, halves.second, halves.longer
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    shared = float((first * second).sum()) / size if size > 0 else float(not first.any() and not second.any())
    figure = longer * shared / (1 + (longer - 1) * shared) if shared > 0 else 0.0
    ranks = rank_similarity(*(np.abs(part).mean((0, 2)) for part in (first, second)))
    verdict = high(figure, *CONVERGENCE)
    words = "say the same" if verdict == "pass" else "do not quite say the same" if verdict == "weak" else "disagree"
    return (
        figure,
        verdict,
        f"Two independent parts of the sample {words}: reliability {figure:.2f}, rank correlation of the profiles "
        f"{ranks:.2f}.",
        RAISE,
    )


@check_rule("deletion", lambda evidence: evidence.curves)
def deletion_curve(curves: Curves) -> Judgement:
    """Area under the deletion curve: what the order by SHAP gains over a random one, of what there is to gain."""
    return _curve(curves, "deletion", "Taking the strongest inputs away first")


@check_rule("insertion", lambda evidence: evidence.curves)
def insertion_curve(curves: Curves) -> Judgement:
    """Area over the insertion curve: what the order by SHAP gains over a random one, of what there is to gain."""
    return _curve(curves, "insertion", "Giving the strongest inputs back first")


def _curve(curves: Curves, kind: Kind, begin: str) -> Judgement:
    """Fails without a clear gain over the random order; weak where the data's autocorrelation orders better."""
    if curves.never_moves:
        return 0.0, "pass", f"{begin} moves nothing, nor does any other order: the forecast stays."
    random = curves.areas["random", kind]
    room = 1 - random if kind == "deletion" else random
    gains = curves.gains["shap", kind]
    gain = float(gains.mean()) / room if room > 0 else 0.0
    behind = curves.gains["autocorrelation", kind] - gains
    verdict = high(gain, *CURVES)
    sentence = f"{begin} gains {percent(min(max(gain, 0.0), 1.0))} of what a perfect order could over a random one."
    if verdict == "pass" and not _above_zero(gains):
        verdict = "weak"
        sentence += f" Over {len(gains)} windows that may be chance."
    if verdict == "fail":
        sentence = f"{begin} does no better than a random order (gain {gain:.2f})."
    elif room > 0 and float(behind.mean()) > 0.02 * room and _above_zero(behind):
        verdict = "weak"
        other = percent(min(float(curves.gains["autocorrelation", kind].mean()) / room, 1.0))
        sentence += f" The data's own autocorrelation, which knows no network, gains {other}."
    return gain, verdict, sentence


@check_rule("sufficiency", lambda evidence: evidence.curves)
def sufficiency(curves: Curves) -> Judgement:
    """Mean change with only the strongest 1 to 50 % of the players kept, over that with as many random ones."""
    if curves.never_moves:
        return 0.0, "pass", "Whichever inputs are kept, the forecast stays."
    random = curves.random_sufficiency
    ratio = curves.sufficiency / random if random > 0 else float("inf")
    verdict = low(ratio, *SUFFICIENCY)
    return (
        ratio,
        verdict,
        f"With only the strongest 1 to 50 % of the inputs, the forecast is {percent(curves.sufficiency)} of its "
        f"movement away from the whole one; with as many random inputs, {percent(random)}.",
    )


@check_rule("comprehensiveness", lambda evidence: evidence.curves)
def comprehensiveness(curves: Curves) -> Judgement:
    """Mean change without the strongest 1 to 50 % of the players, over that without as many random ones."""
    if curves.never_moves:
        return 0.0, "pass", "Whichever inputs are taken away, the forecast stays."
    random = curves.random_comprehensiveness
    ratio = curves.comprehensiveness / random if random > 0 else 0.0
    verdict = high(ratio, *COMPREHENSIVENESS)
    return (
        ratio,
        verdict,
        f"Without the strongest 1 to 50 % of the inputs, the forecast moves {percent(curves.comprehensiveness)} of "
        f"its movement; without as many random inputs, {percent(random)}.",
    )


@check_rule("faithfulness", lambda evidence: evidence.faithfulness, decisive=True)
def faithfulness(changes: Faithfulness) -> Judgement:
    """Correlation, within each window and step, of predicted and observed changes when random halves are replaced.

    Less the attenuation by the references' noise in what was observed (Spearman 1904).
    """
    if not changes.predicted.any() and not changes.observed.any():
        return 1.0, "pass", "The SHAP values foretell that the forecast stays, and it does."
    predicted, moved = (each - each.mean(1, keepdims=True) for each in (changes.predicted, changes.observed))
    power = float(np.square(moved).sum())
    # what few references add to the observed changes, no explanation could foretell; a floor keeps the ratio in bounds
    size = float(np.linalg.norm(predicted)) * max(power - changes.noise, power / 4) ** 0.5
    # of values that are all alike, only rounding is left
    flat = float(np.linalg.norm(predicted)) <= 1e-9 * float(np.linalg.norm(changes.predicted))
    figure = min(max(float((predicted * moved).sum()) / size, -1.0), 1.0) if size > 0 and not flat else 0.0
    verdict = high(figure, *FAITHFULNESS)
    words = {"pass": "foretell", "weak": "foretell roughly", "fail": "do not foretell"}[verdict]
    return (
        figure,
        verdict,
        f"The SHAP values {words} how far the forecast moves when half of the inputs is replaced "
        f"(correlation {figure:.2f}).",
    )


@check_rule("gradient_agreement", lambda evidence: evidence.by_lag)
def gradient_agreement(curves: LagCurves) -> Judgement:
    """Rank correlation (Spearman) of mean squared SHAP values and the forecast's mean gradient norm over the lags."""
    figure = spearman(curves.shap, curves.gradient) or 0.0
    verdict: Verdict = "pass" if figure >= AGREEMENT else "weak"
    words = "agree" if verdict == "pass" else "do not agree"
    return (
        figure,
        verdict,
        f"SHAP values and the forecast's gradients {words} on which lags matter (rank correlation {figure:.2f}).",
    )


@check_rule("randomised_layers", lambda evidence: evidence.randomised, decisive=True)
def randomised_layers(randomised: Randomised) -> Judgement:
    """Do the SHAP values change when the network forgets? An explanation that does not is of something else."""
    if not randomised.any_value:
        sentence = "Every SHAP value is zero, so that randomising the network's layers could change nothing."
        return 0.0, "weak", sentence
    if not randomised.network_adds and not randomised.learned > ROUNDING:
        sentence = (
            "The fitted network adds nothing to the smoothing of level, trend and season here, so that randomising its "
            "layers could change nothing."
        )
        return 0.0, "weak", sentence
    if not randomised.several:
        sentence = (
            "Whatever was learnt, one input alone moves the forecast, so that randomising the network's layers could "
            "not put another before it: this check cannot tell."
        )
        return 0.0, "weak", sentence
    verdict = low(randomised.figure, *RANDOMISED_LAYERS)
    ranks = float(randomised.table["rank_correlation"][-1])
    words = {
        "pass": "changes the explanation",
        "weak": "changes the explanation too little",
        "fail": "hardly changes the explanation, which is then not of what was learned",
    }[verdict]
    return (
        randomised.figure,
        verdict,
        f"Randomising the network's layers {words}: rank correlation {randomised.figure:.2f} with signs, {ranks:.2f} "
        f"of the mean sizes.",
    )


@check_rule("learning", lambda evidence: evidence.learning, subject="model")
def learning(worth: Learning) -> Judgement:
    """Is the network's learnt part worth anything? An untrained one's is not."""
    windows = f"over {count(worth.windows, 'window')}"
    if worth.gain < 0:
        size = f"larger than that of {worth.against}, by {percent(-worth.gain)}"
        sentence = f"The model's error is {size} {windows}: one that has learnt nothing would do as well."
        return worth.gain, "fail", sentence
    lower = f"What the network learnt lowers the error by {percent(worth.gain)} against {worth.against}, {windows}"
    if worth.p_value >= LEVEL:
        return worth.gain, "weak", f"{lower}: that may be chance."
    if worth.gain < LEARNING:
        return worth.gain, "weak", f"{lower}: hardly more than an untrained one might."
    return worth.gain, "pass", f"{lower}."


@check_rule("noise_stability", lambda evidence: evidence.stability)
def noise_stability(stability: Stability) -> Judgement:
    """Change of the SHAP values when every lag moves by 2 % of its feature's spread."""
    if not np.isfinite(stability.change):
        sentence = "Under noise of 2 % values appear where there were none: every SHAP value of the windows is zero."
        return 1.0, "fail", sentence
    verdict = low(stability.change, *NOISE_STABILITY)
    words = "hardly move" if verdict == "pass" else "move"
    return (
        stability.change,
        verdict,
        f"Under noise of 2 % the SHAP values {words}: by {percent(stability.change)} of their size beyond sampling "
        f"error, rank correlation {stability.rank_correlation:.2f}.",
    )


@check_rule("seed_stability", lambda evidence: evidence.seeds)
def seed_stability(seeds: Agreement) -> Judgement:
    """Share of the strongest players that networks of other seeds have in common."""
    verdict = high(seeds.overlap, *SEED_STABILITY)
    shared = f"{seeds.overlap * seeds.top:.1f} of their top {seeds.top}" if seeds.top > 1 else percent(seeds.overlap)
    about = "inputs" if seeds.top > 1 else "of the time their strongest input"
    return (
        seeds.overlap,
        verdict,
        f"{seeds.networks} networks that differ by their seed share {shared} {about}; rank correlation "
        f"{seeds.rank_correlation:.2f}.",
    )


@check_rule("manifold", lambda evidence: evidence.manifold)
def manifold(distance: Manifold) -> Judgement:
    """Distance of the evaluated windows from real ones; never a failure, since replacing values always leaves them."""
    verdict: Verdict = "pass" if distance.ratio <= MANIFOLD else "weak"
    return (
        distance.ratio,
        verdict,
        f"The windows that were evaluated lie {distance.ratio:.1f} times as far out as real ones, "
        f"{percent(distance.outside)} of them farther than nearly all of these.",
        CONDITIONAL,
    )


@check_rule("attention", lambda evidence: evidence.attention)
def attention(shuffled: ShuffledAttention) -> Judgement:
    """Whether attention may be read as importance here; never a failure.

    The figure is the rank correlation of attention with the SHAP values. Shuffling may be harmless although attention
    is needed, where the states it reads are alike; so that agreement with another measure is asked for beside it
    (Wiegreffe & Pinter 2019).
    """
    if not shuffled.used:
        words = "The forecast does not depend on the attention: do not read it as importance here."
        return 0.0, "weak", words
    figure = 0.0 if shuffled.agreement is None else shuffled.agreement
    agrees, decides = figure >= AGREEMENT, shuffled.moved >= SHUFFLED_ATTENTION
    ranks = (
        "rank lags alike" if agrees else "cannot be ranked" if shuffled.agreement is None else "rank lags differently"
    )
    words = (
        f"Attention and SHAP values {ranks} ({figure:.2f}), and shuffling the attention weights changes the forecast "
        f"{percent(shuffled.moved)} as much as another window's attention does: "
    )
    words += "attention may be read as importance here." if agrees and decides else "do not read it as importance here."
    return figure, "pass" if agrees and decides else "weak", words


CHECKS: tuple[CheckRule[Any], ...] = (
    additivity,
    precision,
    convergence,
    deletion_curve,
    insertion_curve,
    sufficiency,
    comprehensiveness,
    faithfulness,
    randomised_layers,
    noise_stability,
    manifold,
    gradient_agreement,
    attention,
    seed_stability,
    learning,
)
"""Every check, in the order in which they are listed."""
DECISIVE = tuple(rule.name for rule in CHECKS if rule.decisive)
"""Checks that no explanation survives to fail. Not the curves: where inputs cancel or act together, an order by right
values gains little (.02 to .09 on a product of two inputs). Broken values that fail there, `faithfulness` sees too."""


def judge(evidence: Evidence) -> tuple[Check, ...]:
    """Every check that applies."""
    return tuple(check for check in (rule.of(evidence) for rule in CHECKS) if check is not None)


def of_explanation(checks: Sequence[Check]) -> list[Check]:
    """Those that try to refute that the explanation is faithful; the others are of the model's knowledge."""
    others = {rule.name for rule in CHECKS if rule.subject != "explanation"}
    return [check for check in checks if check.name not in others]


def faithful(checks: Sequence[Check], windows: int = FEWEST_EXPLAINED) -> Check:
    """Is the explanation faithful to the model? By this rule:

    1. A failed check of DECISIVE: fail.
    2. Fewer than half of `ENOUGH_CHECKS` or more passed: fail.
    3. Another failed check, or a weak one of DECISIVE: weak.
    4. Fewer than `FEWEST_EXPLAINED` explained `windows`: weak, since so few can hardly refute anything.
    5. Otherwise pass.

    The figure is the share of the checks that passed; the sentence counts them, and names the others.
    """
    checks = of_explanation(checks)
    passed = sum(check.verdict == "pass" for check in checks)
    verdict, _ = _doubts(checks, windows)
    if not checks:
        return Check("faithful", 0.0, verdict, "Nothing was checked.")
    attempts = f"all {len(checks)}" if passed == len(checks) else f"{passed} of {len(checks)}"
    words = f"The explanation stood up to {attempts} attempts to refute it{_others(checks)}."
    return Check("faithful", passed / len(checks), verdict, words)


def overall(checks: Sequence[Check], windows: int, knowledge: Knowledge) -> Check:
    """Can the explanation be believed? What is faithful to a model without skill is not worth more than the model.

    The verdict is that of `faithful`, and at best weak where skill is not shown. The figure is the share of the checks
    that passed, those of the model's knowledge among them; the sentence says why.
    """
    verdict, reasons = _doubts(of_explanation(checks), windows)
    figure = sum(check.verdict == "pass" for check in checks) / len(checks) if checks else 0.0
    if verdict == "fail":
        return Check("overall", figure, "fail", f"Do not believe this explanation: {reasons}")
    doubt = knowledge.doubt()
    if verdict == "weak":
        more = f" Besides, {doubt}." if doubt else ""
        return Check("overall", figure, "weak", f"Believe this explanation with care: {reasons}{more}")
    if doubt:
        words = f"Believe this explanation with care: it is faithful to the model, but {doubt}."
        return Check("overall", figure, "weak", words)
    words = f"It is faithful to the model, and the model forecasts better than {knowledge.against or 'simple methods'}."
    return Check("overall", figure, "pass", words)


def _doubts(checks: Sequence[Check], windows: int) -> tuple[Verdict, str]:
    """The verdict of `faithful`, and the reasons for it in sentences that begin small; none for a pass."""
    if not checks:
        return "weak", "nothing was checked."
    failed = [check for check in checks if check.verdict == "fail"]
    decisive = [check for check in failed if check.name in DECISIVE]
    if decisive:
        return "fail", _reasons(decisive)
    passed = sum(check.verdict == "pass" for check in checks)
    if len(checks) >= ENOUGH_CHECKS and 2 * passed < len(checks):
        return "fail", f"only {passed} of {len(checks)} checks passed{_others(checks)}."
    doubtful = [*failed, *(check for check in checks if check.verdict == "weak" and check.name in DECISIVE)]
    if doubtful:
        return "weak", _reasons(doubtful)
    if windows < FEWEST_EXPLAINED:
        few = "a single forecast was" if windows == 1 else f"only {windows} forecasts were"
        return "weak", f"{few} explained, too few to refute much."
    return "pass", ""


def _others(checks: Sequence[Check]) -> str:
    """The names of the checks that did not pass, as the end of a sentence."""
    named = [
        f"; {word}: {', '.join(names)}"
        for word, outcome in (("failed", "fail"), ("weak", "weak"))
        if (names := [check.name.replace("_", " ") for check in checks if check.verdict == outcome])
    ]
    return "".join(named)


def _reasons(checks: Sequence[Check]) -> str:
    """Sentences after a colon: the first begins small, unless it begins with a name or a figure."""
    first, *others = (check.sentence for check in checks)
    if not first.startswith("SHAP"):
        first = first[0].lower() + first[1:]
    return " ".join([first, *others])


def _above_zero(differences: np.ndarray) -> bool:
    """Whether they lie above zero beyond chance, one a window, by a one-sided t test; without a test, on average."""
    count = len(differences)
    if count < FEWEST_WINDOWS:
        return float(differences.mean()) > 0
    needed = float(stdtrit(count - 1, 1 - LEVEL)) * float(differences.std(ddof=1)) / count**0.5
    return bool(differences.mean() > needed)
