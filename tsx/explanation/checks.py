"""Attempts to refute an explanation, one verdict line each."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.stats import spearmanr

from tsx.explanation.result import Check, percent

Verdict = Literal["pass", "weak", "fail"]


def additivity(gap: float) -> Check:
    """`gap`: largest |base value + sum of SHAP values - forecast| over all windows and steps, in forecast scales."""
    verdict: Verdict = "pass" if gap <= 1e-4 else "fail"
    words = "add" if verdict == "pass" else "do not add"
    sentence = f"Base value and SHAP values {words} up to the forecast, to {gap:.0e} of its scale."
    return Check("additivity", gap, verdict, sentence)


def precision(values: np.ndarray, errors: np.ndarray) -> Check:
    """Pooled relative standard error of all SHAP values: the root of summed squared errors over squared values."""
    power = float(np.square(values).sum())
    ratio = float(np.sqrt(np.square(errors).sum() / power)) if power > 0 else float("inf")
    verdict: Verdict = "pass" if ratio <= 0.15 else "weak" if ratio <= 0.4 else "fail"
    advice = "" if verdict == "pass" else " Raise --max-evals for more precision."
    if power == 0:
        return Check("precision", ratio, "fail", "Every SHAP value is zero: the forecast does not react to its inputs.")
    sentence = f"The SHAP values carry a pooled standard error of {percent(ratio)}.{advice}"
    return Check("precision", ratio, verdict, sentence)


def deletion(top: float, random: float) -> Check:
    """Mean change of the forecast when the top tenth of the players, or as many others, take reference values."""
    ratio = top / random if random > 0 else float("inf") if top > 0 else 0.0
    verdict: Verdict = "pass" if ratio >= 2 else "weak" if ratio >= 1 else "fail"
    moved = f"moves the forecast {ratio:.1f} times as far as replacing as many others"
    sentence = f"Replacing the top tenth of the inputs {moved}."
    return Check("deletion", ratio, verdict, sentence)


def gradient_agreement(shap: np.ndarray, gradient: np.ndarray) -> Check:
    """Rank correlation (Spearman) of mean |SHAP| and the forecast's mean gradient norm over the lags; both (T)."""
    varied = np.ptp(shap) > 0 and np.ptp(gradient) > 0
    figure = float(spearmanr(shap, gradient).statistic) if varied and len(shap) > 2 else 0.0
    verdict: Verdict = "pass" if figure >= 0.5 else "weak"
    words = "agree" if verdict == "pass" else "do not agree"
    return Check(
        "gradient_agreement", figure, verdict,
        f"SHAP values and the forecast's gradients {words} on which lags matter (rank correlation {figure:.2f}).",
    )  # fmt: skip
