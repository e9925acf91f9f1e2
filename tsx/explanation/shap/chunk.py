"""The windows that are explained together: their game, their cells, and what stands in for absent ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.explanation.shap.conditional import Dependence, dependences, draw_absent
from tsx.explanation.shap.game import Game, flatten, game_of
from tsx.explanation.shap.players import Players
from tsx.explanation.shap.references import References
from tsx.model.batch import Batch
from tsx.model.forecaster import Forecaster
from tsx.runtime.executor import side_by_side
from tsx.spec.settings import Question

ROWS = 256
"""Windows in one pass of the network, about."""
POPULATION = 1024
"""References of a window that are worth bringing: their cells' means cost no evaluation."""
MARGINAL = "those of the reference, whatever is present"


@dataclass(frozen=True, eq=False)
class Masker:
    """What stands in for the absent cells of one window: its references `population` (R, M).

    dependence  of the cells: absent cells follow the present ones (`conditional.py`). None: they are the reference's,
                whatever is present.
    """

    population: Tensor
    dependence: Dependence | None = None


@dataclass(frozen=True, eq=False)
class KnownPart:
    """SHAP values (W, P, O, G) of a part of a game that is not sampled, and what it is of the windows and on average
    over their references, `forecast` and `base` (W, O, G). The rest of the game is the mean of `games`."""

    games: Sequence[Game]
    values: Tensor
    base: Tensor
    forecast: Tensor


@dataclass(frozen=True, eq=False)
class Chunk:
    """W windows that are explained together.

    game     the explained quantity as a function of cells
    cells    (W, M) of the windows
    maskers  (W)
    players  which cells join and leave together
    absent   in words what takes the place of absent cells
    alike    whether the game and the references are the same for every window, those of cells that nobody plays too
    known    finds the SHAP values of a part of the game, of which there is a closed form
    """

    game: Game
    cells: Tensor
    maskers: Sequence[Masker]
    players: Players
    absent: str = MARGINAL
    alike: bool = False
    known: Callable[[], KnownPart] | None = None

    @classmethod
    def of(
        cls,
        forecaster: Forecaster,
        batch: Batch,
        references: Sequence[References],
        players: Players,
        question: Question,
    ) -> Chunk:
        """The windows of `batch` as the question has them, with the references of each.

        Raises ConfigError `settings-contradict` for conditional values where the network reads words over time.
        """
        game, cells = game_of(forecaster, batch, question), flatten(batch)
        populations = [each.population(POPULATION) for each in references]
        if question.value == "marginal":
            return cls(game, cells, [Masker(each) for each in populations], players)
        if texts := forecaster.config.channels.words:
            raise ConfigError(
                "settings-contradict",
                f"conditional values are of numbers with a normal distribution; {texts[0].name!r} holds words",
                hint="leave --value conditional out",
                where="value",
            )
        all_dependences, words = dependences(populations, players)
        # where no cell varies, absent cells are drawn as if they did not depend on the present ones
        usable = [each if bool(each.moves.any()) else None for each in all_dependences]
        maskers = [Masker(*each) for each in zip(populations, usable)]
        return cls(game, cells, maskers, players, f"drawn given the present ones, from {words}")

    def mixed(self, of: Tensor, references: Tensor, absent: Tensor) -> Tensor:
        """(n, M): the windows `of` (n) with other values in their `absent` cells (n, M).

        Those are drawn with the help of one of `references` (n, M) each, as the window's masker says.
        """
        windows = self.cells[of]
        if all(each.dependence is None for each in self.maskers):
            return torch.where(absent, references, windows)
        rows = zip(windows, references, absent, of.tolist())
        return torch.cat([draw_absent(x, r[None], ~gone, self.maskers[w].dependence) for x, r, gone, w in rows])

    def values(self, rows: Tensor, of: Tensor) -> Tensor:
        """(n, O, G) float64 on the CPU: the game of any number of rows (n, M) of windows `of` (n), on all threads."""
        with side_by_side(rows.device.type) as each:
            parts = each(lambda *part: evaluate(self.game, *part), rows.split(ROWS), of.split(ROWS))
            return torch.cat(list(parts)).double()


def evaluate(game: Game, rows: Tensor, of: Tensor, size: int = ROWS) -> Tensor:
    """The game of any number of rows (n, M) of windows `of` (n), in equal passes of about `size`, on the CPU."""
    passes = max(1, round(len(rows) / size))
    with torch.inference_mode():
        parts = zip(rows.tensor_split(passes), of.tensor_split(passes))
        return torch.cat([game(*part).cpu() for part in parts])
