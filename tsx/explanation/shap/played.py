"""What was found of windows that are explained together, as it is kept for a run that is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl

from tsx.explanation.shap.sampling import ShapValues
from tsx.spec.checkpoints import Checkpoints, State, part


@dataclass(frozen=True, eq=False)
class Played:
    """SHAP values of W windows; where they were asked for, a table of interactions and the evaluations it took."""

    shap: Sequence[ShapValues]
    interactions: tuple[pl.DataFrame, ...] = ()
    evaluations: int = 0


def in_turn(
    checkpoints: Checkpoints,
    number: int,
    random: np.random.Generator,
    play: Callable[[np.random.Generator], Played],
) -> Played:
    """What `play` finds of the windows from `number` on, now or before the run was killed.

    Either way `random` is then as it is after they were played.
    """

    def unpack(state: State) -> Played:
        random.bit_generator.state = state.facts["random"]
        random.bit_generator.seed_seq.spawn(state.facts["spawned"] - _spawned(random))  # type: ignore[attr-defined]
        return _unpack(state)

    return part(
        checkpoints,
        ("windows", number),
        lambda: (play(random), random.bit_generator.state, _spawned(random)),
        lambda found: _pack(found[0], {"random": found[1], "spawned": found[2]}),
        lambda state: (unpack(state), None, 0),
    )[0]


def _spawned(random: np.random.Generator) -> int:
    """How many generators came of this one: its state does not say it."""
    return int(random.bit_generator.seed_seq.n_children_spawned)  # type: ignore[attr-defined]


def _pack(played: Played, facts: dict[str, Any]) -> State:
    columns = {one.name: [getattr(each, one.name) for each in played.shap] for one in fields(ShapValues)}
    arrays = {name: np.stack(column) for name, column in columns.items() if isinstance(column[0], np.ndarray)}
    plain = {name: column for name, column in columns.items() if name not in arrays}
    tables = {str(k): table for k, table in enumerate(played.interactions)}
    return State({**facts, "shap": plain, "evaluations": played.evaluations}, arrays, tables)


def _unpack(state: State) -> Played:
    arrays = {name: each.numpy() for name, each in state.tensors.items()}
    columns = {**arrays, **state.facts["shap"]}
    shap = [ShapValues(**dict(zip(columns, each))) for each in zip(*columns.values())]
    tables = tuple(state.frames[str(k)] for k in range(len(state.frames)))
    return Played(shap, tables, state.facts["evaluations"])
