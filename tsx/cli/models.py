"""`tsx models`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from tsx.cli.parameters import Arguments, command
from tsx.spec.verbs import MODELS, Request
from tsx.wording import count

if TYPE_CHECKING:
    from tsx.cli.console import Console


@command(MODELS)
def models(console: Console, arguments: Arguments) -> None:
    """List the versions of a model, go back to an earlier one, remove old ones, or say what differs.

    Examples:
      tsx models
      tsx models --json
      tsx models rollback
      tsx models rollback v3 --model sales-model
      tsx models prune --keep 2
      tsx models diff v2 v3

    Every fit writes a new version and puts it in use; the newest three stay. A rollback puts an earlier one in use and
    removes nothing.
    """
    action, most = ACTIONS[arguments["action"]]
    if len(arguments["versions"] or ()) > most:
        takes = f"at most {count(most, 'version')}" if most else "no version"
        raise typer.BadParameter(f"{arguments['action']} takes {takes}.", param_hint="VERSION")
    action(console, MODELS.request(arguments.keywords), arguments["versions"] or [])


def _list(console: Console, request: Request, names: list[str]) -> None:
    from tsx.io.remote import place_of
    from tsx.store.catalog import list_versions

    found = list_versions(request["model"])
    if console.json:
        console.document({"model": place_of(request["model"]), "versions": [version.to_dict() for version in found]})
        return
    from tsx.report.versions import render_versions

    console.show(render_versions(found))


def _rollback(console: Console, request: Request, names: list[str]) -> None:
    from tsx.store.catalog import rollback

    version = rollback(request["model"], next(iter(names), None), request["wait"] or 0)
    if console.json:
        console.document({"model": request["model"], "version": version.name})
    else:
        console.line(f"{version.name} is in use")


def _prune(console: Console, request: Request, names: list[str]) -> None:
    from tsx.store.catalog import prune

    removed = prune(request["model"], request["keep"], request["wait"] or 0)
    if console.json:
        console.document({"model": request["model"], "removed": removed})
    else:
        console.line(f"removed {', '.join(removed)}" if removed else "nothing to remove")


def _diff(console: Console, request: Request, names: list[str]) -> None:
    from tsx.io.remote import place_of
    from tsx.store.catalog import differences, find_version, version_before, version_in_use

    model = request["model"]
    before = find_version(model, names[0]) if names else version_before(model)
    after = find_version(model, names[1]) if len(names) == 2 else version_in_use(model)
    found = differences(before, after)
    if console.json:
        differing = [asdict(difference) for difference in found]
        named = {"model": place_of(model), "before": before.name, "after": after.name}
        console.document({**named, "differences": differing})
        return
    from tsx.report.versions import render_differences

    console.show(render_differences(before, after, found))


ACTIONS: dict[str, tuple[Callable[[Console, Request, list[str]], None], int]] = {
    "list": (_list, 0),
    "rollback": (_rollback, 1),
    "prune": (_prune, 0),
    "diff": (_diff, 2),
}
"""What each action does, and how many versions it can be given."""
