"""Flags that mean nothing for what is asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tsx.errors import ConfigError, UsageError
from tsx.spec.verbs import DEFAULT_MODEL, Request

WITH_A_LABEL = ("keep_together", "hold_out", "shift", "jitter", "text", "threshold", "cost", "abstain")
"""Settings that mean nothing without a label."""


def has_no_model(data: Any, request: Request) -> bool:
    """Whether there is a table and no model: none is named, and none lies where one is looked for."""
    return data is not None and "model" not in request.given and not Path(DEFAULT_MODEL).exists()


def check_no_label(request: Request) -> None:
    """Raises UsageError `flags-contradict` for a setting that means nothing without a label."""
    refuse_flags(request, WITH_A_LABEL, "is about a label, and none is named", ", or name the label with --label")


def check_groups_only(request: Request) -> None:
    """Raises ConfigError `settings-contradict` where a private explanation is asked about single series."""
    asked = {
        "since": request["since"] is not None,
        "counterfactual": request["counterfactual"] is not None,
        "states": request["states"],
        "explain": request["explain"] == "error",
    }
    single = [name for name, given in asked.items() if given]
    if request["private"] and single:
        raise ConfigError(
            "settings-contradict",
            f"a private explanation is about groups of series, and {single[0]} is asked of single ones",
            hint=f"leave --{single[0]} or --private out",
            where=single[0],
        )


def refuse_flags(request: Request, names: Iterable[str], why: str, otherwise: str = "") -> None:
    """Raises UsageError `flags-contradict` where one of these settings was given another value than its default.

    `why` follows the flag in the message; `otherwise`: what else than leaving it out would do.
    """
    for name in names:
        if name not in request.given:
            continue
        setting = request.verb[name]
        if setting.kind == "table" or request[name] != setting.default:  # tables are not compared
            flag = setting.flag
            raise UsageError(
                "flags-contradict",
                f"{flag} {why}",
                hint=f"leave {flag} out{otherwise}",
                where=name,
            )
