"""A training with Ray: this process leads a group, and Ray's actors do the same as it, each for its share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tsx.errors import ConfigError
from tsx.progress import SILENT, Progress
from tsx.runtime.group import Seat, is_asked_for, seated
from tsx.spec import verbs
from tsx.spec.verbs import Request
from tsx.workflows.elsewhere import Elsewhere, asked_elsewhere


@contextmanager
def together(
    request: Request, data: Any, function: Callable[[Any, Request, Progress], Any], progress: Progress = SILENT
) -> Iterator[None]:
    """Within the block this process leads a group where `--engine ray` asks for one; the others call the function.

    Raises ConfigError `settings-contradict` where torchrun has started it as one of several already, UsageError
    `source-unknown` for a table that no other process can read, and as `leading`.
    """
    if request["engine"] == "local":
        yield
        return
    if is_asked_for():
        raise ConfigError(
            "settings-contradict",
            "torchrun has started this process as one of several, and --engine ray starts others",
            hint="leave --engine out, or start it without torchrun",
            where="engine",
        )
    from tsx.runtime.followers import leading

    with leading(Elsewhere(partial(_follower, function, *asked_elsewhere(request, data))), progress):
        yield


def check_alone(request: Request, why: str, where: str) -> None:
    """Raises ConfigError `settings-contradict` for a training that one process does, where several are asked for."""
    if is_asked_for() or request["engine"] != "local":
        raise ConfigError(
            "settings-contradict",
            f"{why} is trained by one process",
            hint="start it without torchrun and without --engine",
            where=where,
        )


def _follower(
    function: Callable[[Any, Request, Progress], Any], verb: str, given: dict[str, Any], data: Any
) -> Callable[[Seat], None]:
    def follow(seat: Seat) -> None:
        with seated(seat):
            function(data, Request(verbs.by_name(verb), given), SILENT)

    return follow
