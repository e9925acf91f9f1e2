"""What was found of windows that are explained together, as it is kept for a run that is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from tsx.explanation.shap.sampling import ShapValues
from tsx.spec.checkpoints import Checkpoints, State, begun_part


@dataclass(frozen=True, eq=False)
class Played:
    """SHAP values of W windows, and how they were found.

    how           in words how the values were found
    absent        in words what took the place of absent cells
    interactions  where they were asked for, a table of them, and the `evaluations` it took
    """

    shap: Sequence[ShapValues]
    how: str
    absent: str
    interactions: tuple[pl.DataFrame, ...] = ()
    evaluations: int = 0


def random_of(seed: int, first: int) -> np.random.Generator:
    """The random numbers of the windows from number `first` on, which spawns those of each: they depend on its number
    alone, whatever was explained before, and by which process."""
    return np.random.default_rng(np.random.SeedSequence(seed, n_children_spawned=first))


def begun(checkpoints: Checkpoints, first: int, begin: Callable[[], Callable[[], Played]]) -> Callable[[], Played]:
    """What waits for what is found of the windows from number `first` on, now or before the run was killed."""
    return begun_part(checkpoints, ("windows", first), begin, _pack, _unpack)


def _pack(played: Played) -> State:
    columns = {one.name: [getattr(each, one.name) for each in played.shap] for one in fields(ShapValues)}
    arrays = {name: np.stack(column) for name, column in columns.items() if isinstance(column[0], np.ndarray)}
    plain = {name: column for name, column in columns.items() if name not in arrays}
    tables = {str(k): table for k, table in enumerate(played.interactions)}
    facts = {"shap": plain, "how": played.how, "absent": played.absent, "evaluations": played.evaluations}
    return State(facts, arrays, tables)


def _unpack(state: State) -> Played:
    facts, arrays = state.facts, {name: each.numpy() for name, each in state.tensors.items()}
    columns = {**arrays, **facts["shap"]}
    shap = [ShapValues(**dict(zip(columns, each))) for each in zip(*columns.values())]
    tables = tuple(state.frames[str(k)] for k in range(len(state.frames)))
    return Played(shap, facts["how"], facts["absent"], tables, facts["evaluations"])
