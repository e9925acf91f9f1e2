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
from tsx.explanation.measure import GROUPS, Context, Measure, Results
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
from tsx.progress import SILENT, Progress, task

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
    """Take every measure that applies, each a task of `progress`; those that compare others come last."""
    results = Results(context.config, context.panel.calendar)
    for measure in sorted(MEASURES, key=lambda measure: measure.compares):
        if measure.applies(context):
            with task(progress, f"measuring {measure.name.replace('_', ' ')}"):
                results.add(measure.name, measure.measure(context, results))
    return results


def grouped(results: Results) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(what they are about, what the measures say of it), without what nothing is said of."""
    said = {
        group: tuple(each for one in MEASURES if one.group == group for each in one.findings(results))
        for group in GROUPS
    }
    return tuple((group, sentences) for group, sentences in said.items() if sentences)


def findings_of(results: Results) -> tuple[str, ...]:
    """What is to be said: the model's skill, what the measures say, and the checks of these that failed."""
    return (
        *([results.knowledge.sentence] if results.knowledge else []),
        *(sentence for _, sentences in grouped(results) for sentence in sentences),
        *(check.sentence for check in of_explanation(results.checks) if check.verdict == "fail"),
    )
