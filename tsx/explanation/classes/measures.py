"""Every measure of a classifier beside its SHAP values.

A new measure is one file that defines a `ClassMeasure`, and its name in `MEASURES`.
"""

from __future__ import annotations

from tsx.explanation.classes.attention import ATTENTION
from tsx.explanation.classes.context_ablation import CONTEXT_ABLATION
from tsx.explanation.classes.gradients import GRADIENT
from tsx.explanation.classes.measure import ClassContext, ClassMeasure, ClassResults
from tsx.explanation.classes.memory import MEMORY
from tsx.explanation.classes.surrogates import SURROGATES
from tsx.explanation.measure import ResultsOf, take
from tsx.progress import SILENT, Progress

MEASURES: tuple[ClassMeasure, ...] = (CONTEXT_ABLATION, MEMORY, GRADIENT, ATTENTION, SURROGATES)
"""In the order of their findings within a group, the most consequential first."""


def measure_classes(context: ClassContext, progress: Progress = SILENT) -> ClassResults:
    """Take every measure that applies, each a task of `progress`; none of fewer series than a group that is shown."""
    results: ClassResults = ResultsOf(context.classifier.config, context.table.calendar)
    if len(context.table) >= context.task.detail.least_group:
        take(MEASURES, context, results, progress)
    return results
