"""Explanations of classifiers side by side: what moved since an earlier report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.explanation.handmade_classes import Series, classifier_of, panel_of
from tsx.errors import DataError, QualityGate
from tsx.explanation.classes.explain import explain_classifier
from tsx.explanation.classes.result import ClassExplanation
from tsx.explanation.comparison import check_alike, compared, read_report
from tsx.spec.settings import Question

CLASSES = ("no", "perhaps", "yes")
PANEL = panel_of(
    [Series(np.random.default_rng(n).normal(size=(2, 4)).tolist(), label=CLASSES[n % 3]) for n in range(40)],
    statics=False,
)


def explained(feature: int, **asked: Any) -> ClassExplanation:
    """A classifier that follows the last value of one channel alone."""
    classifier = classifier_of(2, 4, CLASSES, statics=False)
    classifier.network.weights.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0]))
    classifier.network.summary.coefficients[2 + feature] = torch.tensor([-1.0, 0.0, 1.0])
    question = Question(windows=20, players="cell", max_evals=512, **asked)
    return explain_classifier(classifier, PANEL, question, skill={})


def test_an_explanation_has_not_drifted_from_itself_and_all_has_moved_to_another_channel(tmp_path: Path) -> None:
    first, other = explained(0), explained(1)
    first.write(tmp_path / "first", ())
    earlier = read_report(tmp_path / "first")
    same = compared(first, earlier)
    assert same.facts["drift"] == 0
    same.gate(0.0)
    moved = compared(other, earlier)
    assert moved.facts["drift"] > 0.95
    assert "was a at lag 1 and is b at lag 1" in moved.findings[-1]
    assert moved.tables["comparison"].height
    with pytest.raises(QualityGate):
        moved.gate(0.5)
    assert "Compared with the earlier report" in moved.report("md", tmp_path / "why.md").read_text("utf-8")


def test_a_report_of_another_label_is_refused(tmp_path: Path) -> None:
    explained(0).write(tmp_path / "first", ())
    with pytest.raises(DataError) as refused:
        check_alike(read_report(tmp_path / "first"), "severity", "1", Question())
    assert refused.value.code == "reports-differ"
