"""Every measure of an explanation, and what all of them say.

A new measure is one file that defines a `Measure`, and its name in `MEASURES`.
"""

from __future__ import annotations

from tsx.explanation.attention import ATTENTION, VARIABLES
from tsx.explanation.checks.verdicts import of_explanation
from tsx.explanation.cohorts import COHORTS
from tsx.explanation.components import COMPONENTS
from tsx.explanation.counterfactuals import COUNTERFACTUALS
from tsx.explanation.drivers import DRIVERS
from tsx.explanation.ensemble_agreement import MEMBERS
from tsx.explanation.errors import ERRORS
from tsx.explanation.known import KNOWN
from tsx.explanation.measure import Context, Measure, Results, grouped, take
from tsx.explanation.memory.agreement import AGREEMENT
from tsx.explanation.memory.context_ablation import CONTEXT_ABLATION
from tsx.explanation.memory.contributions import CONTRIBUTIONS
from tsx.explanation.memory.gradients import FORECAST_GRADIENT
from tsx.explanation.memory.measure import MEMORY
from tsx.explanation.memory.response import RESPONSE
from tsx.explanation.memory.unit_states import UNIT_STATES
from tsx.explanation.over_time import OVER_TIME
from tsx.explanation.shap.interactions import INTERACTIONS
from tsx.explanation.since import SINCE
from tsx.explanation.surrogates import SURROGATES
from tsx.progress import SILENT, Progress

MEASURES: tuple[Measure, ...] = (
    SINCE,
    COUNTERFACTUALS,
    ERRORS,
    DRIVERS,
    OVER_TIME,
    AGREEMENT,
    CONTEXT_ABLATION,
    MEMORY,
    UNIT_STATES,
    COMPONENTS,
    RESPONSE,
    FORECAST_GRADIENT,
    ATTENTION,
    VARIABLES,
    SURROGATES,
    INTERACTIONS,
    MEMBERS,
    COHORTS,
    CONTRIBUTIONS,
    KNOWN,
)
"""In the order of their findings within a group, the most consequential first."""


def measure_all(context: Context, progress: Progress = SILENT) -> Results:
    """Take every measure that applies, each a task of `progress`."""
    results = Results(context.config, context.panel.calendar)
    take(MEASURES, context, results, progress)
    return results


def findings_of(results: Results) -> tuple[str, ...]:
    """What is to be said: the model's skill, what the measures say, and the checks of these that failed."""
    return (
        *([results.knowledge.sentence] if results.knowledge else []),
        *(sentence for _, sentences in grouped(MEASURES, results) for sentence in sentences),
        *(check.sentence for check in of_explanation(results.checks) if check.verdict == "fail"),
    )
