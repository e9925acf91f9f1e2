"""Flags that mean nothing for what is asked."""

from __future__ import annotations

from collections.abc import Iterable

from tsx.errors import UsageError
from tsx.spec.verbs import Request

WITH_A_LABEL = ("keep_together", "hold_out", "text", "threshold", "cost", "abstain")
"""Settings that mean nothing without a label."""


def check_no_label(request: Request) -> None:
    """Raises UsageError `flags-contradict` for a setting that means nothing without a label."""
    refuse_flags(request, WITH_A_LABEL, "is about a label, and none is named", ", or name the label with --label")


def refuse_flags(request: Request, names: Iterable[str], why: str, otherwise: str = "") -> None:
    """Raises UsageError `flags-contradict` where one of these settings was given another value than its default.

    `why` follows the flag in the message; `otherwise`: what else than leaving it out would do.
    """
    for name in names:
        if name in request.given and request[name] != request.verb[name].default:
            flag = request.verb[name].flag
            raise UsageError(
                "flags-contradict",
                f"{flag} {why}",
                hint=f"leave {flag} out{otherwise}",
                where=name,
            )
