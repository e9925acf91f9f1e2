"""What an explanation is asked, from the settings that were given."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from tsx.spec.settings import Question, Reference
from tsx.spec.verbs import Request


def question_of(request: Request) -> Question:
    """The question with what follows from the rest of it: a reference that is no word for one is a table, and with a
    group the players are groups unless others are named."""
    given = dict(request.given)
    reference = given.pop("reference", request["reference"])
    named = isinstance(reference, str) and reference in get_args(Reference)
    if "group" in given:
        given.setdefault("players", "group")
    question = replace(request, given=given).part(Question)
    return replace(question, reference=reference if named else "table")
